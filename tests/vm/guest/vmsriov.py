# SPDX-License-Identifier: LGPL-2.1-or-later
"""SR-IOV in the guest: PCI functions as the kernel has them, and the facts common to all drivers."""

import errno
import os
import select

import vmcase

PCI = vmcase.PCI_DEVICES
DRIVERS = vmcase.Path("/sys/bus/pci/drivers")
PROBE = vmcase.Path("/sys/bus/pci/drivers_probe")


def _link(path):
    return path.resolve().name if path.exists() else None


class Function:
    """A function of PCI, physical or virtual, by its address."""

    def __init__(self, address):
        self.address = address
        self.path = PCI / address

    def __str__(self):
        return self.address

    def read(self, name):
        return (self.path / name).read_text(encoding="ascii").rstrip("\n")

    def write(self, name, value):
        vmcase.write(self.path / name, str(value))

    def there(self):
        return self.path.exists()

    def driver(self):
        return _link(self.path / "driver")

    def group(self):
        """The function's IOMMU group."""
        return int(_link(self.path / "iommu_group"))

    def override(self):
        value = self.read("driver_override")
        return None if value == "(null)" else value

    def unbind(self):
        vmcase.write(self.path / "driver/unbind", self.address)

    def probe(self):
        """Let the kernel look for a driver. The caller checks whether one was found."""
        vmcase.write(PROBE, self.address)

    def bind(self, driver):
        """Bind the function to this driver regardless of ids (None: to the matching driver)."""
        if self.driver():
            self.unbind()
        self.write("driver_override", driver or "\n")
        self.probe()

    def vfs(self):
        """The function's VFs, by index."""
        links = sorted(self.path.glob("virtfn*"), key=lambda path: int(path.name[6:]))
        return [Function(path.resolve().name) for path in links]

    def numvfs(self):
        return int(self.read("sriov_numvfs"))

    def release(self):
        """Unbind the function and clear the override."""
        self.unbind()
        self.write("driver_override", "\n")

    def enable(self, count, autoprobe=False):
        """Enable virtual functions and return them; by default without autoprobe, so that no driver binds."""
        self.write("sriov_drivers_autoprobe", int(autoprobe))
        self.write("sriov_numvfs", count)
        self.write("sriov_drivers_autoprobe", 1)
        return self.vfs()

    def disable(self):
        self.write("sriov_numvfs", 0)

    def vf_addresses(self, count):
        """The expected addresses of the virtual functions."""
        domain, bus, rest = self.address.split(":")
        device, function = rest.split(".")
        first = (int(bus, 16) << 8 | int(device, 16) << 3 | int(function)) + int(self.read("sriov_offset"))
        numbers = [first + index * int(self.read("sriov_stride")) for index in range(count)]
        return [f"{domain}:{it >> 8:02x}:{it >> 3 & 31:02x}.{it & 7}" for it in numbers]


def start_write(path, value):
    """Write in a separate process, which blocks as long as the kernel does. vmcase.finish() waits for the process."""
    return vmcase.start("sh", "-c", 'printf %s "$1" >"$2"', "-", str(value), path)


class Facts:
    """The kernel's own handling of virtual functions, for any device. A mix-in of vmcase.Case; the case names the
    hardware."""

    hardware = ""
    total = 0

    @classmethod
    def setUpClass(cls):
        vmcase.load("vfio-pci", "pci-stub")
        cls.pf = Function(vmcase.plug(cls.hardware))
        cls.driver = cls.pf.driver()
        cls.addClassCleanup(vmcase.unplug, cls.hardware, cls.pf.address)

    def tearDown(self):
        if self.pf.driver() != self.driver:
            self.pf.bind(None)
        self.pf.disable()
        self.assertEqual((self.pf.driver(), self.pf.vfs()), (self.driver, []))

    def assertRunning(self, process):  # pylint: disable=invalid-name
        """The process still runs after 1.5 s, so the kernel blocks it. A block has no event to wait for."""
        ended = os.pidfd_open(process.pid)
        try:
            self.assertEqual(select.select([ended], [], [], 1.5)[0], [])
        finally:
            os.close(ended)

    def test_where_virtual_functions_are(self):
        self.assertEqual(int(self.pf.read("sriov_totalvfs")), self.total)
        self.assertEqual((self.pf.numvfs(), self.pf.read("sriov_drivers_autoprobe")), (0, "1"))
        vfs = self.pf.enable(3)
        self.assertEqual(self.pf.numvfs(), 3)
        self.assertEqual([vf.address for vf in vfs], self.pf.vf_addresses(3))
        for vf in vfs:
            self.assertEqual((vf.path / "physfn").resolve(), self.pf.path.resolve())
            self.assertEqual((vf.driver(), vf.override()), (None, None))
            self.assertEqual(vf.read("class"), self.pf.read("class"))
            self.assertEqual(int(vf.read("device"), 16), int(self.pf.read("sriov_vf_device"), 16))
            # A VF can only be removed with all others.
            self.assertFalse((vf.path / "remove").exists())
            # Each VF has an IOMMU group of its own.
            members = vmcase.Path(f"/sys/kernel/iommu_groups/{vf.group()}/devices")
            self.assertEqual([path.name for path in members.iterdir()], [vf.address])
        self.assertFalse((self.pf.path / "physfn").exists())

    def test_binding(self):
        [vf] = self.pf.enable(1)
        self.pf.write("sriov_drivers_autoprobe", 0)
        self.addCleanup(self.pf.write, "sriov_drivers_autoprobe", 1)
        # Without autoprobe only driver_override makes a driver bind. A write to `bind` reports the result,
        # drivers_probe does not.
        vf.probe()
        self.assertIsNone(vf.driver())
        with self.assertErrno(errno.ENODEV):
            vmcase.write(DRIVERS / "vfio-pci/bind", vf.address)
        with self.assertErrno(errno.ENODEV):
            vmcase.write(DRIVERS / "vfio-pci/unbind", vf.address)
        vf.bind("no-such-driver")
        self.assertEqual((vf.driver(), vf.override()), (None, "no-such-driver"))
        vf.bind("vfio-pci")
        self.assertEqual((vf.driver(), vf.override()), ("vfio-pci", "vfio-pci"))
        self.assertTrue(os.path.exists(vmcase.group_node(vf.address)))
        self.assertEqual(len(list((vf.path / "vfio-dev").iterdir())), 1)
        with self.assertErrno(errno.EBUSY):
            vmcase.write(DRIVERS / "vfio-pci/bind", vf.address)
        # Clearing the override changes nothing; nor does a new probe.
        vf.write("driver_override", "\n")
        vf.probe()
        self.assertEqual((vf.driver(), vf.override()), ("vfio-pci", None))
        vf.unbind()
        self.assertIsNone(vf.driver())
        self.assertFalse((vf.path / "vfio-dev").exists())
        # No device has this address.
        with self.assertErrno(errno.ENODEV):
            vmcase.write(PROBE, "0000:ff:1f.7")

    def test_disabling_waits_for_what_is_open(self):
        vfs = self.pf.enable(2)
        for vf in vfs:
            vf.bind("vfio-pci")
        with vmcase.VfioUser(vfs[0].address, device=True):
            writer = start_write(self.pf.path / "sriov_numvfs", 0)
            reader = vmcase.start("cat", self.pf.path / "sriov_numvfs")
            self.assertRunning(writer)
            # The link to the first VF has gone, but not the device, and the kernel has not reached the second VF.
            self.assertEqual([vf.address for vf in self.pf.vfs()], [vfs[1].address])
            self.assertTrue(vfs[0].there())
            self.assertEqual(vfs[1].driver(), "vfio-pci")
        self.assertEqual(vmcase.finish(writer).status, 0)
        # A reader of the number waits (Linux 6.1), or reads the old number (6.12).
        self.assertIn(vmcase.finish(reader).out, ("0\n", "2\n"))
        self.assertEqual(self.pf.vfs(), [])

    def test_unplugged_while_it_enables(self):
        """Unplugging waits for the pending write, and removes all VFs."""
        with vmcase.Uevents() as events:
            writer = start_write(self.pf.path / "sriov_numvfs", self.total)
            events.wait(ACTION="add", SUBSYSTEM="pci")
            vmcase.pull(self.hardware)
            self.assertEqual(vmcase.finish(writer).status, 0)
            events.wait(ACTION="remove", PCI_SLOT_NAME=self.pf.address)
        self.assertEqual(list(PCI.glob(f"{self.pf.address[:7]}:*")), [])
        self.assertEqual(vmcase.plug(self.hardware), self.pf.address)


class AllFacts(Facts):
    """All facts, including those that do not depend on the device: one device is enough."""

    def test_what_numvfs_accepts(self):
        self.pf.enable(1)
        for text, code in (
            (self.total + 1, errno.ERANGE),
            (65535, errno.ERANGE),
            (65536, errno.EINVAL),
            (-1, errno.EINVAL),
            ("x", errno.EINVAL),
            (2, errno.EBUSY),
        ):
            with self.subTest(text=text), self.assertErrno(code):
                self.pf.write("sriov_numvfs", text)
            self.assertEqual(self.pf.numvfs(), 1)
        # Writing the current number again succeeds. A hexadecimal number is accepted too.
        self.pf.write("sriov_numvfs", "1")
        self.pf.disable()
        self.pf.write("sriov_numvfs", "0x2\n")
        self.assertEqual(len(self.pf.vfs()), 2)

    def test_without_a_driver_that_can(self):
        self.pf.unbind()
        with self.assertErrno(errno.ENOENT):
            self.pf.write("sriov_numvfs", 1)
        self.pf.bind("pci-stub")
        self.assertEqual(self.pf.driver(), "pci-stub")
        with self.assertErrno(errno.ENOENT):
            self.pf.write("sriov_numvfs", 1)
        # The kernel checks the range before the driver.
        with self.assertErrno(errno.ERANGE):
            self.pf.write("sriov_numvfs", self.total + 8)
        self.pf.write("sriov_numvfs", 0)

    def test_events(self):
        with vmcase.Uevents() as events:
            vfs = self.pf.enable(2)
            events.wait(ACTION="change", PCI_SLOT_NAME=self.pf.address)
            self.assertEqual(
                [(it["ACTION"], it["PCI_SLOT_NAME"]) for it in events.seen if it["SUBSYSTEM"] == "pci"],
                [(action, vf.address) for vf in vfs for action in ("add", "change")]
                + [("change", self.pf.address)],
            )
            vfs[0].bind("vfio-pci")
            events.wait(ACTION="bind", PCI_SLOT_NAME=vfs[0].address, DRIVER="vfio-pci")
            events.seen.clear()
            self.pf.disable()
            events.wait(ACTION="remove", PCI_SLOT_NAME=vfs[1].address)
            # Disabling sends no event of the physical function: the next one is the test's own.
            vmcase.write(self.pf.path / "uevent", "change")
            events.wait(ACTION="change", PCI_SLOT_NAME=self.pf.address, SYNTH_UUID="0")
            self.assertEqual(
                [(it["ACTION"], it["PCI_SLOT_NAME"]) for it in events.seen if it["SUBSYSTEM"] == "pci"],
                [
                    ("unbind", vfs[0].address),
                    ("remove", vfs[0].address),
                    ("remove", vfs[1].address),
                    ("change", self.pf.address),
                ],
            )

    def test_disabling_does_not_wait_for_an_open_group(self):
        [vf] = self.pf.enable(1)
        vf.bind("vfio-pci")
        with vmcase.VfioUser(vf.address):
            self.pf.disable()
            self.assertFalse(vf.there())

    def test_unbinding_waits_for_what_is_open(self):
        [vf] = self.pf.enable(1)
        vf.bind("vfio-pci")
        with vmcase.VfioProcess(vf.address, device=True) as user:
            writer = start_write(DRIVERS / "vfio-pci/unbind", vf.address)
            self.assertRunning(writer)
            # The function seems unbound already; only the group shows otherwise.
            self.assertIsNone(vf.driver())
            with self.assertErrno(errno.EBUSY):
                os.close(os.open(vmcase.group_node(vf.address), os.O_RDONLY))
            reader = vmcase.start("cat", vf.path / "driver_override")
            if (vf.path / "vfio-dev").exists():
                # Linux 6.1: a reader waits, too.
                self.assertRunning(reader)
            else:
                self.assertEqual(vmcase.finish(reader).out, "vfio-pci\n")
            user.kill()
        self.assertEqual(vmcase.finish(writer).status, 0)
        vmcase.finish(reader)
        self.assertFalse(os.path.exists(vmcase.group_node(vf.address)))


CONFIG = vmcase.Path("/etc/vgpud/vgpud.conf.d/vm.conf")


class Managed(vmcase.VgpudCase):
    """Tests of a running vgpud whose configuration admits the hardware. Each test begins and ends without virtual
    functions."""

    drivers = ()
    hardware = ""

    @classmethod
    def setUpClass(cls):
        vmcase.load("vfio-pci")
        cls.pf = Function(vmcase.plug(cls.hardware))
        cls.driver = cls.pf.driver()
        cls.total = int(cls.pf.read("sriov_totalvfs"))
        super().setUpClass()
        # On a busy machine vgpud answers calls before it knows all GPUs.
        displays = {
            path.name for path in PCI.glob("*") if (path / "class").read_text(encoding="ascii").startswith("0x03")
        }
        cls.before = cls.bus.until(lambda objects: displays <= set(objects.gpus)).gpus
        cls.admit()

    @classmethod
    def admit(cls):
        CONFIG.parent.mkdir(parents=True, exist_ok=True)
        vendor, device = (cls.pf.read(name)[2:] for name in ("vendor", "device"))
        CONFIG.write_text(f"[discovery]\nalso={vendor}:{device}\n", encoding="utf-8")
        vmcase.run("systemctl", "restart", "vgpud")
        cls.bus.until(lambda objects: objects.gpus.get(cls.pf.address, {}).get("State") == "unprepared")

    def tearDown(self):
        for uuid in self.objects().instances:
            vmcase.vgpuctl("destroy", "--foreign", uuid)
        self.pf.disable()
        self.bus.until(
            lambda objects: not objects.instances
            and not objects.jobs
            and objects.gpus[self.pf.address]["EnabledVfs"] == 0
        )
        self.assertEqual(self.pf.read("sriov_drivers_autoprobe"), "1")
        self.assertEqual(vmcase.records(), [])

    def gpu(self):
        return self.objects().gpus[self.pf.address]

    def types(self):
        return self.bus.types(self.gpu()["Path"])

    def vfs(self):
        return self.bus.vfs(self.gpu()["Path"])

    def create(self, type_id="vf", gpu=None, **options):
        return super().create(type_id, gpu or self.pf.address, **options)

    def vf_of(self, uuid):
        return Function(self.objects().instances[uuid]["Slot"])

    def assertVfs(self, count):  # pylint: disable=invalid-name
        """The kernel and vgpud both report this number of VFs, with the same properties."""
        self.assertEqual(self.pf.numvfs(), count)
        vfs = self.pf.vfs()
        self.assertEqual([vf.address for vf in vfs], self.pf.vf_addresses(count))
        gpu = self.bus.until(
            lambda objects: objects.gpus[self.pf.address]["EnabledVfs"] == count and len(self.vfs()) == count
        ).gpus[self.pf.address]
        self.assertEqual((gpu["EnabledVfs"], gpu["TotalVfs"]), (count, self.total))
        self.assertEqual(
            [(row["index"], row["name"]) for row in self.vfs()],
            [(index, vf.address) for index, vf in enumerate(vfs)],
        )
        return vfs

    def assertHandedOut(self, uuid):  # pylint: disable=invalid-name
        """vgpud reports the instance with the properties of the kernel's virtual function."""
        item = self.objects().instances[uuid]
        vf = Function(item["Slot"])
        self.assertEqual((vf.driver(), vf.override()), ("vfio-pci", "vfio-pci"))
        self.assertEqual((item["Driver"], item["IommuGroup"]), ("vfio-pci", vf.group()))
        self.assertEqual((item["Type"], item["State"]), ("vf", "active"))
        hand_over = self.bus.hand_over(item["Path"])
        self.assertEqual(hand_over["group_node"], f"/dev/vfio/{vf.group()}")
        self.assertEqual(os.stat(hand_over["group_node"]).st_uid, 0)
        self.assertEqual(vmcase.Path(hand_over["sysfs_path"]).resolve(), vf.path.resolve())
        self.assertIn((vf.address, item["Path"]), [(row["name"], row["instance"]) for row in self.vfs()])
        return vf

    def assertLetGo(self, vf, driver=None):  # pylint: disable=invalid-name
        self.assertEqual((vf.driver(), vf.override()), (driver, None))
