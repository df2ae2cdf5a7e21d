# SPDX-License-Identifier: LGPL-2.1-or-later
"""vgpud and the virtual functions of a device admitted by the configuration: an NVMe controller in the role of an
accelerator."""

import os

import vmcase
import vmsriov

HARDWARE = "nvme"


class Sriov(vmsriov.Managed):
    hardware = HARDWARE

    def test_only_what_is_admitted(self):
        self.assertNotIn(self.pf.address, self.before)
        gpu = self.gpu()
        self.assertEqual((gpu["VendorId"], gpu["DeviceId"], gpu["Driver"]), (0x1B36, 0x10, "nvme"))
        self.assertEqual((gpu["State"], gpu["EnabledVfs"], gpu["TotalVfs"]), ("unprepared", 0, self.total))
        self.assertTrue(gpu["Reason"])
        self.assertEqual(gpu["IommuGroup"], self.pf.group())
        # The VFs are not managed as GPUs of their own.
        self.pf.enable(2, autoprobe=True)
        self.assertVfs(2)
        self.assertEqual(set(self.objects().gpus), {*self.before, self.pf.address})

    def test_there_and_back(self):
        for count in (2, 0, 3, 1, self.total):
            with self.subTest(count=count):
                argv = ["enable-vfs", self.pf.address, count] if count else ["disable-vfs", self.pf.address]
                vmcase.vgpuctl(*argv)
                for vf in self.assertVfs(count):
                    self.assertLetGo(vf)
                self.assertEqual(self.types()["vf"]["available"], count)
                self.assertEqual(self.gpu()["State"], "ready" if count else "unprepared")

    def test_more_than_there_can_be(self):
        vmcase.vgpuctl("enable-vfs", self.pf.address, 1)
        message = self.assertVgpuctlFails(2, "InvalidArgs", "enable-vfs", self.pf.address, self.total + 1)
        print(message)
        self.assertIn(str(self.total), message)
        self.assertIn(str(self.total + 1), message)
        vmcase.vgpuctl("enable-vfs", self.pf.address, 0, status=2)
        self.assertVfs(1)

    def test_behind_our_back(self):
        self.pf.enable(2)
        self.assertVfs(2)
        uuid = self.create()
        # Disabling by hand destroys the instance: vgpud notices.
        self.pf.disable()
        self.bus.until(lambda objects: uuid not in objects.instances)
        self.assertVfs(0)
        self.assertEqual(vmcase.records(), [])

    def test_without_a_driver(self):
        self.pf.unbind()
        self.bus.until(lambda objects: objects.gpus[self.pf.address]["Driver"] == "")
        print(self.gpu()["Reason"])
        self.assertEqual(self.gpu()["State"], "unsupported")
        self.assertVgpuctlFails(7, "NotSupported", "enable-vfs", self.pf.address, 2)
        self.pf.bind(None)
        self.bus.until(lambda objects: objects.gpus[self.pf.address]["State"] == "unprepared")

    # -- VFs in use --

    def assertRefusedFor(self, user, vf, *argv):  # pylint: disable=invalid-name
        message = self.assertVgpuctlFails(6, "InUse", *argv)
        print(message)
        self.assertIn(vf.address, message)
        self.assertIn(str(user.pid), message)
        self.assertIn(vmcase.Path(f"/proc/{user.pid}/comm").read_text(encoding="utf-8").strip(), message)

    def test_one_that_somebody_uses(self):
        """Another program has bound and opened a VF. While the device is open, disabling the VFs would block in the
        kernel."""
        vfs = self.pf.enable(3)
        self.assertVfs(3)
        vfs[1].bind("vfio-pci")
        for device in (True, False):
            with self.subTest(device=device), vmcase.VfioProcess(vfs[1].address, device) as user:
                self.assertRefusedFor(user, vfs[1], "disable-vfs", self.pf.address)
                self.assertRefusedFor(user, vfs[1], "enable-vfs", self.pf.address, 1)
                self.assertVfs(3)
                # The other VFs can still be handed out.
                uuid = self.create()
                self.assertNotEqual(self.assertHandedOut(uuid).address, vfs[1].address)
                self.destroy(uuid)
        vfs[1].release()
        self.bus.until(lambda objects: not objects.instances)
        vmcase.vgpuctl("disable-vfs", self.pf.address)
        self.assertVfs(0)

    def test_one_that_is_handed_out(self):
        vmcase.vgpuctl("enable-vfs", self.pf.address, 2)
        uuid = self.create(name="desk")
        vf = self.assertHandedOut(uuid)
        message = self.assertVgpuctlFails(6, "InUse", "disable-vfs", self.pf.address)
        print(message)
        self.assertIn(vf.address, message)
        self.assertVfs(2)
        with vmcase.VfioProcess(vf.address, device=True) as user:
            message = self.assertVgpuctlFails(6, "InUse", "destroy", "desk")
            print(message)
            self.assertIn(str(user.pid), message)
            self.assertHandedOut(uuid)
        vmcase.vgpuctl("destroy", "desk")
        self.assertLetGo(vf)
        vmcase.vgpuctl("disable-vfs", self.pf.address)
        self.assertVfs(0)

    def assertDrivers(self, *drivers):  # pylint: disable=invalid-name
        """The drivers of the virtual functions, bound and reserved."""
        self.assertEqual([(row["driver"], row["driver_override"]) for row in self.vfs()], list(drivers))

    def test_one_that_is_reserved(self):
        """The VF is not open, but reserved by another program."""
        vfs = self.pf.enable(3)
        self.assertVfs(3)
        vfs[1].write("driver_override", "mine")
        vmcase.vgpuctl("rescan", self.pf.address)
        self.assertDrivers(("", ""), ("", "mine"), ("", ""))
        for argv in (
            ("disable-vfs", self.pf.address),
            ("enable-vfs", self.pf.address, 1),
            ("create", "vf", "--gpu", self.pf.address, "--parent", vfs[1].address),
        ):
            message = self.assertVgpuctlFails(6, "InUse", *argv)
            self.assertIn(vfs[1].address, message)
            self.assertIn("mine", message)
        uuids = [self.create(), self.create()]
        self.assertEqual([self.assertHandedOut(uuid).address for uuid in uuids], [vfs[0].address, vfs[2].address])
        self.assertDrivers(("vfio-pci", "vfio-pci"), ("", "mine"), ("vfio-pci", "vfio-pci"))
        for uuid in uuids:
            self.destroy(uuid)
        # The administrator clears the override.
        vfs[1].write("driver_override", "\n")
        vmcase.vgpuctl("disable-vfs", self.pf.address)
        self.assertVfs(0)

    # -- instances --

    def test_created_and_destroyed(self):
        vmcase.vgpuctl("enable-vfs", self.pf.address, 2)
        uuid = vmcase.vgpuctl("create", "vf", "--gpu", self.pf.address, "--name", "desk").out.strip()
        vf = self.assertHandedOut(uuid)
        item = self.objects().instances[uuid]
        self.assertEqual((item["Name"], item["Origin"], item["Owner"]), ("desk", "vgpud", "0"))
        self.assertEqual(vmcase.records(), [uuid])
        self.assertEqual(self.types()["vf"]["available"], 1)
        self.assertIn(uuid, vmcase.vgpuctl("list").out)
        shown = vmcase.vgpuctl_json("show", "desk")["instance"]["hand_over"]
        self.assertEqual(shown["group_node"], vmcase.group_node(vf.address))
        # A program can open the VF as a virtual machine monitor does.
        with vmcase.VfioUser(vf.address, device=True):
            pass
        vmcase.vgpuctl("destroy", "desk")
        self.assertLetGo(vf)
        self.assertFalse(os.path.exists(shown["group_node"]))
        self.assertEqual(vmcase.records(), [])
        self.assertEqual(self.types()["vf"]["available"], 2)

    def test_until_there_are_no_more(self):
        vmcase.vgpuctl("enable-vfs", self.pf.address, 2)
        uuids = vmcase.vgpuctl("create", "vf", "--gpu", self.pf.address, "--count", 2).out.split()
        self.assertEqual(len({self.assertHandedOut(uuid).address for uuid in uuids}), 2)
        print(self.assertVgpuctlFails(5, "NoCapacity", "create", "vf", "--gpu", self.pf.address))
        vmcase.vgpuctl("destroy", *uuids)
        for vf in self.assertVfs(2):
            self.assertLetGo(vf)

    def test_a_restart_changes_nothing(self):
        vmcase.vgpuctl("enable-vfs", self.pf.address, 2)
        uuid = self.create(name="desk")
        before = self.objects().instances[uuid]
        vmcase.run("systemctl", "restart", "vgpud")
        self.bus.until(lambda objects: uuid in objects.instances)
        self.assertHandedOut(uuid)
        self.assertEqual(self.objects().instances[uuid], before)
        vf = self.vf_of(uuid)
        vmcase.vgpuctl("destroy", "desk")
        self.assertLetGo(vf)

    # -- VFs that another program bound --

    def assertBoundFree(self, *vfs):  # pylint: disable=invalid-name
        vmcase.vgpuctl("rescan", self.pf.address)
        found = [row["name"] for row in self.vfs() if row["state"] == "bound-free"]
        self.assertEqual(found, [vf.address for vf in vfs])
        self.assertEqual(self.objects().instances, {})

    def test_bound_by_another_program(self):
        """A VF that another program bound to VFIO is an instance only while a program uses it."""
        [vf, other] = self.pf.enable(2)
        self.assertVfs(2)
        vf.bind("vfio-pci")
        self.assertBoundFree(vf)
        self.assertVgpuctlFails(5, "NoCapacity", "create", "vf", "--gpu", self.pf.address, "--parent", vf.address)
        self.assertVgpuctlFails(6, "InUse", "disable-vfs", self.pf.address)
        with vmcase.VfioUser(vf.address, device=True):
            vmcase.vgpuctl("rescan", self.pf.address)
            [uuid] = self.objects().instances
            self.assertEqual(self.objects().instances[uuid]["Origin"], "foreign")
            self.assertVgpuctlFails(4, "Foreign", "destroy", uuid)
            self.assertVgpuctlFails(6, "InUse", "destroy", "--foreign", uuid)
        self.assertBoundFree(vf)
        self.assertLetGo(other)
        self.assertEqual((vf.driver(), vf.override()), ("vfio-pci", "vfio-pci"))

    def test_taken_from_another_program(self):
        config = vmcase.Path("/etc/vgpud/vgpud.conf.d/take-bound.conf")
        config.write_text(f"[gpu {self.pf.address}]\ntake-bound=yes\n", encoding="utf-8")
        self.addCleanup(config.unlink)
        [vf, other] = self.pf.enable(2)
        vf.bind("vfio-pci")
        vf.write("driver_override", "\n")
        vmcase.run("systemctl", "restart", "vgpud")
        self.bus.until(lambda objects: objects.gpus.get(self.pf.address, {}).get("State") == "ready")
        self.assertBoundFree(vf)
        self.assertEqual(self.types()["vf"]["available"], 2)
        uuids = [self.create(), self.create()]
        self.assertEqual([self.assertHandedOut(uuid).address for uuid in uuids], [other.address, vf.address])
        with vmcase.VfioUser(vf.address, device=True):
            self.assertVgpuctlFails(6, "InUse", "destroy", uuids[1])
        vmcase.vgpuctl("destroy", *uuids)
        self.assertLetGo(other)
        self.assertLetGo(vf, "vfio-pci")
        self.assertBoundFree(vf)
        with vmcase.VfioUser(vf.address):
            self.assertVgpuctlFails(6, "InUse", "disable-vfs", self.pf.address)
        vmcase.vgpuctl("disable-vfs", self.pf.address)
        self.assertVfs(0)


vmcase.main()
