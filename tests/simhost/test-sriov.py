#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Virtual functions as in the kernel (drivers/pci/iov.c, drivers/base/dd.c): checks, errno, order of events,
blocking."""

import concurrent.futures
import random
import sys
import time
import unittest

import simhost

BUS = "/sys/bus/pci"
PCI = f"{BUS}/devices"
SUBSYSTEMS = ["pci", "vfio", "vfio-dev", "mdev", "drm"]


class SriovTest(unittest.TestCase):
    MODELS = ["xe"]
    PF = "0000:03:00.0"
    VFS = [f"0000:03:{i >> 3:02x}.{i & 7}" for i in range(1, 13)]
    OWN = "xe"  # the driver that binds the PF and, unless autoprobe is off, the VFs

    def setUp(self):
        self.host = self.enterContext(simhost.Host(self.MODELS))
        self.inside = self.host.agent()

    def write(self, name, text, device=None):
        """The errno of a write to a file of a device, None for success."""
        return self.inside.error("write", f"{PCI}/{device or self.PF}/{name}", text)

    def read(self, name, device=None):
        return self.inside.read(f"{PCI}/{device or self.PF}/{name}")

    def enable(self, count, autoprobe=True):
        self.assertIsNone(self.write("sriov_drivers_autoprobe", str(int(autoprobe))))
        self.assertIsNone(self.write("sriov_numvfs", str(count)))

    def probe(self, device):
        return self.inside.error("write", f"{BUS}/drivers_probe", device)

    def to_vfio(self, device, driver="vfio-pci"):
        """Binds a function to the VFIO driver and returns the number of its group."""
        self.assertIsNone(self.write("driver_override", driver, device))
        if self.driver(device):
            self.assertIsNone(self.write("driver/unbind", device, device))
        self.assertIsNone(self.probe(device))
        self.assertEqual(self.driver(device), driver)
        return self.inside.readlink(f"{PCI}/{device}/iommu_group").rsplit("/", 1)[1]

    def driver(self, device):
        path = f"{PCI}/{device}/driver"
        return self.inside.readlink(path).rsplit("/", 1)[1] if self.inside.exists(path) else None

    def virtual_links(self):
        return [name for name in self.inside.listdir(f"{PCI}/{self.PF}") if name.startswith("virtfn")]

    def listen(self):
        self.inside.monitor(SUBSYSTEMS)

    def hear(self, count):
        """Wait for COUNT events. Return these and all further events so far, as "ACTION SUBSYSTEM NAME"."""
        self.events = self.host.hear(self.inside, count)
        return [f"{e['ACTION']} {e['SUBSYSTEM']} {e['DEVPATH'].rsplit('/', 1)[1]}" for e in self.events]


class NumberTest(SriovTest):
    def test_checks_in_the_kernel_s_order(self):
        for text, error in {
            "x": "EINVAL",
            "-1": "EINVAL",
            "2 ": "EINVAL",
            "65536": "EINVAL",
            "65535": "ERANGE",
            "13": "ERANGE",
            "0": None,
            "0x2\n": None,
            "2": None,
            "+02": None,
            "3": "EBUSY",
            "1": "EBUSY",
            "14": "ERANGE",
        }.items():
            self.assertEqual(self.write("sriov_numvfs", text), error, text)
        self.assertEqual(self.read("sriov_numvfs"), "2\n")
        self.assertEqual(self.virtual_links(), ["virtfn0", "virtfn1"])
        self.enable(0)
        self.enable(3)
        self.assertEqual(len(self.virtual_links()), 3)

    def test_without_a_driver(self):
        self.enable(2)
        self.host.ctl("unbind", self.PF)
        self.assertEqual(self.read("sriov_numvfs"), "0\n")  # xe disables its VFs at unbind
        self.assertEqual(self.virtual_links(), [])
        self.assertEqual(self.write("sriov_numvfs", "2"), "ENOENT")
        self.assertEqual(self.write("sriov_numvfs", "13"), "ERANGE")
        self.assertIsNone(self.write("sriov_numvfs", "0"))
        self.to_vfio(self.PF)
        self.assertEqual(self.write("sriov_numvfs", "2"), "ENOENT")

    def test_any_errno(self):
        """If the driver or the firmware refuses, at the write or half-way, all VFs made so far are removed."""
        self.host.fault(f"write:{self.PF}/sriov_numvfs:errno=ENOMEM:1")
        self.assertEqual(self.write("sriov_numvfs", "4"), "ENOMEM")
        self.listen()
        self.host.fault(f"enable:{self.VFS[2]}:errno=ENOMEM:1")
        self.assertEqual(self.write("sriov_numvfs", "4"), "ENOMEM")
        # Each of the first two VFs has five events when it comes and four when it goes, the failing VF has two.
        heard = [event for event in self.hear(2 * 5 + 2 + 2 * 4) if " drm " not in event]
        self.assertEqual(heard[-6:-4], [f"add pci {self.VFS[2]}", f"remove pci {self.VFS[2]}"])
        self.assertEqual(heard[-4:], [f"{action} pci {vf}" for vf in self.VFS[:2] for action in ("unbind", "remove")])
        self.assertEqual(self.read("sriov_numvfs"), "0\n")
        self.assertEqual(self.virtual_links(), [])
        self.enable(4)

    def test_faults_at_every_file(self):
        self.enable(1, autoprobe=False)
        for name, device in {
            "sriov_drivers_autoprobe": self.PF,
            "driver_override": self.VFS[0],
            "driver/unbind": self.PF,
            "reset": self.PF,
        }.items():
            base = name.rsplit("/", 1)[-1]
            self.host.fault(f"write:*/{base}:errno=EPERM:1")
            self.assertEqual(self.write(name, "1", device), "EPERM", name)
        for path in (f"{BUS}/drivers_probe", f"{BUS}/drivers/vfio-pci/bind"):
            self.host.fault(f"write:*/{path.rsplit('/', 1)[1]}:errno=EIO:1")
            self.assertEqual(self.inside.error("write", path, self.VFS[0]), "EIO")

    def test_readers_wait_for_a_change(self):
        self.host.fault(f"enable:{self.VFS[1]}:hang")
        writer, reader = self.host.agent(), self.host.agent()
        writer.start("write", f"{PCI}/{self.PF}/sriov_numvfs", "3")
        self.host.await_hanging(1)
        reader.start("read", f"{PCI}/{self.PF}/sriov_numvfs")
        self.host.await_waiting(f"lock {self.PF}")
        self.assertEqual(self.virtual_links(), ["virtfn0"])  # the kernel hangs at the second VF
        self.assertEqual(self.read("sriov_totalvfs"), "12\n")
        self.host.ctl("release")
        writer.finish()
        self.assertEqual(reader.finish(), "3\n")

    def test_unplug_waits_for_a_change(self):
        self.host.fault(f"enable:{self.VFS[1]}:hang")
        writer = self.host.agent()
        writer.start("write", f"{PCI}/{self.PF}/sriov_numvfs", "3")
        self.host.await_hanging(1)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            unplug = pool.submit(self.host.ctl, "unplug", self.PF)
            self.host.await_waiting(f"lock {self.PF}")
            self.host.ctl("release")
            writer.finish()
            unplug.result()
        self.assertFalse([name for name in self.inside.listdir(PCI) if name.startswith("0000:03:")])
        self.host.ctl("plug", self.PF)
        self.assertEqual(self.read("sriov_numvfs"), "0\n")

    def test_order_of_events(self):
        self.listen()
        self.enable(2, autoprobe=False)
        heard = self.hear(5)
        self.assertEqual(
            heard,
            [f"{action} pci {vf}" for vf in self.VFS[:2] for action in ("add", "change")] + [f"change pci {self.PF}"],
        )
        self.assertEqual(self.events[0]["PCI_SLOT_NAME"], self.VFS[0])
        self.assertIn("iommu_group", self.inside.listdir(f"{PCI}/{self.VFS[0]}"))
        self.enable(0)
        self.assertEqual(self.hear(2), [f"remove pci {vf}" for vf in self.VFS[:2]])

        self.enable(1)
        self.assertEqual(
            self.hear(6),
            [
                f"add pci {self.VFS[0]}",
                f"change pci {self.VFS[0]}",
                "add drm renderD129",
                "add drm card1",
                f"bind pci {self.VFS[0]}",
                f"change pci {self.PF}",
            ],
        )
        self.assertEqual(self.events[4]["DRIVER"], self.OWN)
        self.assertNotIn("DRIVER", self.events[1])
        self.enable(0)
        self.assertEqual(
            self.hear(4),
            ["remove drm card1", "remove drm renderD129", f"unbind pci {self.VFS[0]}", f"remove pci {self.VFS[0]}"],
        )

    def test_links_come_after_add_and_go_first(self):
        self.host.fault(f"enable:{self.VFS[0]}:hang")
        writer = self.host.agent()
        writer.start("write", f"{PCI}/{self.PF}/sriov_numvfs", "1")
        self.host.await_hanging(1)
        self.assertTrue(self.inside.exists(f"{PCI}/{self.VFS[0]}"))
        self.assertEqual(self.virtual_links(), [])
        self.assertFalse(self.inside.exists(f"{PCI}/{self.VFS[0]}/physfn"))
        self.host.ctl("release")
        writer.finish()
        self.assertEqual(self.inside.readlink(f"{PCI}/{self.PF}/virtfn0"), f"../{self.VFS[0]}")
        self.assertEqual(self.inside.readlink(f"{PCI}/{self.VFS[0]}/physfn"), f"../{self.PF}")

        self.host.fault(f"disable:{self.VFS[0]}:hang")
        writer.start("write", f"{PCI}/{self.PF}/sriov_numvfs", "0")
        self.host.await_hanging(1)
        self.assertEqual(self.virtual_links(), [])
        self.assertEqual(self.driver(self.VFS[0]), self.OWN)
        self.host.ctl("release")
        writer.finish()


class BindingTest(SriovTest):
    def test_vfio(self):
        self.enable(2, autoprobe=False)
        self.listen()
        group = self.to_vfio(self.VFS[0])
        self.assertEqual(self.hear(3), [f"add vfio {group}", "add vfio-dev vfio0", f"bind pci {self.VFS[0]}"])
        self.assertEqual(self.inside.listdir("/dev/vfio"), [group, "vfio"])
        self.assertEqual(self.inside.listdir(f"{PCI}/{self.VFS[0]}/vfio-dev"), ["vfio0"])
        self.assertEqual(self.events[1]["DEVPATH"].rsplit("/", 3)[1:], [self.VFS[0], "vfio-dev", "vfio0"])
        self.assertIsNone(self.write("driver_override", "\n", self.VFS[0]))
        self.assertEqual(self.driver(self.VFS[0]), "vfio-pci")  # clearing unbinds nothing
        self.assertIsNone(self.write("driver/unbind", self.VFS[0], self.VFS[0]))
        self.assertEqual(self.hear(3), ["remove vfio-dev vfio0", f"remove vfio {group}", f"unbind pci {self.VFS[0]}"])
        self.assertEqual(self.inside.listdir("/dev/vfio"), ["vfio"])
        self.assertFalse(self.inside.exists(f"{PCI}/{self.VFS[0]}/vfio-dev"))

    def test_autoprobe_off_refuses_all_but_an_override(self):
        self.enable(1, autoprobe=False)
        vf = self.VFS[0]
        self.assertIsNone(self.driver(vf))
        self.assertIsNone(self.probe(vf))
        self.assertIsNone(self.driver(vf))
        self.assertEqual(self.inside.error("write", f"{BUS}/drivers/xe/bind", vf), "ENODEV")
        self.assertEqual(self.inside.error("write", f"{BUS}/drivers/vfio-pci/bind", vf), "ENODEV")
        self.write("driver_override", "xe", vf)
        self.assertIsNone(self.inside.error("write", f"{BUS}/drivers/xe/bind", vf))
        self.assertEqual(self.driver(vf), "xe")

    def test_autoprobe_is_read_when_a_driver_probes(self):
        self.enable(2, autoprobe=False)
        self.assertIsNone(self.write("sriov_drivers_autoprobe", "Y\n"))
        self.assertEqual(self.read("sriov_drivers_autoprobe"), "1\n")
        self.assertIsNone(self.driver(self.VFS[0]))
        self.assertIsNone(self.probe(self.VFS[0]))
        self.assertEqual(self.driver(self.VFS[0]), "xe")
        self.assertIsNone(self.write("sriov_drivers_autoprobe", "off"))
        self.assertEqual(self.driver(self.VFS[0]), "xe")
        for bad in ("2", "maybe"):
            self.assertEqual(self.write("sriov_drivers_autoprobe", bad), "EINVAL")
        self.host.ctl("unplug", self.PF)
        self.host.ctl("plug", self.PF)
        self.assertEqual(self.read("sriov_drivers_autoprobe"), "1\n")

    def test_override(self):
        self.enable(1)
        vf = self.VFS[0]
        self.assertEqual(self.read("driver_override", vf), "(null)\n")
        self.assertIsNone(self.write("driver_override", "vfio-pci\n", vf))
        self.assertEqual(self.read("driver_override", vf), "vfio-pci\n")
        self.assertEqual(self.driver(vf), "xe")
        self.assertEqual(self.inside.error("write", f"{BUS}/drivers/vfio-pci/bind", vf), "EBUSY")
        self.assertIsNone(self.write("driver/unbind", vf, vf))
        self.assertEqual(self.inside.error("write", f"{BUS}/drivers/xe/bind", vf), "ENODEV")
        self.assertIsNone(self.inside.error("write", f"{BUS}/drivers/vfio-pci/bind", vf))
        self.assertEqual(self.inside.error("write", f"{BUS}/drivers/xe/unbind", vf), "ENODEV")
        self.assertIsNone(self.probe(vf))  # bound already
        self.assertEqual(self.driver(vf), "vfio-pci")
        self.assertEqual(self.write("driver_override", "x" * 4095, vf), "EINVAL")
        self.assertEqual(self.probe("0000:03:00.7"), "ENODEV")
        self.assertEqual(self.inside.error("write", f"{BUS}/drivers/xe/unbind", "nonsense"), "ENODEV")

    def test_pci_stub_and_variant(self):
        self.enable(2, autoprobe=False)
        self.to_vfio(self.VFS[0], "xe-vfio-pci")
        self.assertTrue(self.inside.exists(f"{PCI}/{self.VFS[0]}/vfio-dev/vfio0"))
        self.assertIsNone(self.write("driver_override", "pci-stub", self.VFS[1]))
        self.assertIsNone(self.probe(self.VFS[1]))
        self.assertEqual(self.driver(self.VFS[1]), "pci-stub")
        self.assertFalse(self.inside.exists(f"{PCI}/{self.VFS[1]}/vfio-dev"))

    def test_failing_probe(self):
        self.enable(1, autoprobe=False)
        vf = self.VFS[0]
        self.write("driver_override", "vfio-pci", vf)
        self.host.fault(f"probe:{vf}:errno=EIO:2")
        self.assertIsNone(self.probe(vf))  # errors of the probe are not reported
        self.assertIsNone(self.driver(vf))
        self.assertEqual(self.inside.error("write", f"{BUS}/drivers/vfio-pci/bind", vf), "EIO")
        self.assertEqual(self.inside.listdir("/dev/vfio"), ["vfio"])
        self.assertIsNone(self.probe(vf))
        self.assertEqual(self.driver(vf), "vfio-pci")

    def test_modules_come_and_go(self):
        self.enable(2)
        self.inside.monitor(["pci", "module", "drivers"])
        self.host.ctl("unload", "vfio-pci")
        self.assertEqual(self.hear(2), ["remove drivers vfio-pci", "remove module vfio_pci"])
        self.assertFalse(self.inside.exists("/sys/module/vfio_pci"))
        self.assertFalse(self.inside.exists(f"{BUS}/drivers/vfio-pci"))
        vf = self.VFS[0]
        self.write("driver/unbind", vf, vf)
        self.write("driver_override", "vfio-pci", vf)
        self.assertIsNone(self.probe(vf))
        self.assertIsNone(self.driver(vf))
        self.host.ctl("load", "vfio-pci")
        self.assertEqual(self.hear(4)[1:], ["add module vfio_pci", f"bind pci {vf}", "add drivers vfio-pci"])
        self.assertEqual(self.driver(vf), "vfio-pci")
        with self.assertRaises(simhost.ControlError) as caught:
            self.host.ctl("load", "vfio-pci")
        self.assertEqual(caught.exception.name, "EEXIST")
        self.host.ctl("unload", "xe")
        self.assertEqual(self.virtual_links(), [])
        self.host.ctl("load", "xe")
        self.enable(2)
        self.assertEqual(self.driver(self.VFS[1]), "xe")

    def test_groups(self):
        self.enable(3, autoprobe=False)
        groups = [self.to_vfio(vf) for vf in self.VFS[:3]]
        self.assertEqual(len(set(groups)), 3)
        self.enable(0)
        self.enable(3, autoprobe=False)
        self.assertEqual([self.to_vfio(vf) for vf in self.VFS[:3]], groups)  # the numbers are free again


class InUseTest(SriovTest):
    def setUp(self):
        super().setUp()
        self.enable(2, autoprobe=False)
        self.group = self.to_vfio(self.VFS[0])
        self.writer = self.host.agent()

    def test_the_group_is_busy(self):
        self.host.ctl("hold-device", self.VFS[0])
        self.assertEqual(self.inside.error("open", f"/dev/vfio/{self.group}", 0), "EBUSY")
        self.host.ctl("drop-device", self.VFS[0])
        fd = self.inside.open(f"/dev/vfio/{self.group}", 0)
        self.assertEqual(self.host.agent().error("open", f"/dev/vfio/{self.group}", 0), "EBUSY")
        self.inside.close(fd)
        for device in (self.VFS[1], self.PF, "0000:99:00.0"):
            with self.assertRaises(simhost.ControlError) as caught:
                self.host.ctl("hold-device", device)
            self.assertEqual(caught.exception.name, "ENODEV")

    def test_disabling_waits_for_an_open_function(self):
        self.host.ctl("hold-device", self.VFS[0])
        self.writer.start("write", f"{PCI}/{self.PF}/sriov_numvfs", "0")
        self.host.await_waiting(f"close {self.VFS[0]}")
        reader = self.host.agent()
        reader.start("read", f"{PCI}/{self.PF}/sriov_numvfs")
        self.host.await_waiting(f"close {self.VFS[0]}", f"lock {self.PF}")
        # The first function is half gone, the second one has not been touched yet.
        self.assertEqual(self.virtual_links(), ["virtfn1"])
        self.assertTrue(self.inside.exists(f"{PCI}/{self.VFS[0]}/vendor"))
        self.assertIsNone(self.driver(self.VFS[0]))
        with self.assertRaises(simhost.ControlError):
            self.host.ctl("hold-device", self.VFS[0])
        self.host.ctl("drop-device", self.VFS[0])
        self.writer.finish()
        self.assertEqual(reader.finish(), "0\n")
        self.assertFalse(self.inside.exists(f"{PCI}/{self.VFS[0]}"))

    def test_unbinding_waits_for_an_open_function(self):
        self.host.ctl("hold-device", self.VFS[0])
        self.writer.start("write", f"{BUS}/drivers/vfio-pci/unbind", self.VFS[0])
        self.host.await_waiting(f"close {self.VFS[0]}")
        self.assertEqual(self.read("sriov_numvfs"), "2\n")  # each device has its own lock
        other = self.host.agent()
        other.start("write", f"{BUS}/drivers_probe", self.VFS[0])
        self.host.await_waiting(f"close {self.VFS[0]}", f"lock {self.VFS[0]}")
        self.to_vfio(self.VFS[1])
        self.host.ctl("drop-device", self.VFS[0])
        self.writer.finish()
        other.finish()
        self.assertEqual(self.driver(self.VFS[0]), "vfio-pci")  # the override is still set

    def test_who_switches_it_on(self):
        """A host driver enables a device at bind, VFIO at open."""
        vf = self.VFS[0]
        enabled = lambda: self.inside.read(f"{PCI}/{vf}/enable")
        self.assertEqual(enabled(), "0\n")
        self.host.ctl("hold-device", vf)
        self.assertEqual(enabled(), "1\n")
        self.host.ctl("drop-device", vf)
        self.assertEqual(enabled(), "0\n")
        self.inside.write(f"{BUS}/drivers/vfio-pci/unbind", vf)
        self.inside.write(f"{PCI}/{vf}/driver_override", "xe")
        self.inside.write(f"{BUS}/drivers_probe", vf)
        self.assertEqual((self.driver(vf), enabled()), ("xe", "1\n"))
        self.inside.write(f"{BUS}/drivers/xe/unbind", vf)
        self.assertEqual(enabled(), "0\n")

    def test_an_open_group_alone_keeps_nobody(self):
        fd = self.inside.open(f"/dev/vfio/{self.group}", 0)
        self.assertIsNone(self.write("sriov_numvfs", "0"))
        self.inside.close(fd)

    def test_the_host_ends_although_a_function_is_open(self):
        self.host.ctl("hold-device", self.VFS[0])
        self.writer.start("write", f"{PCI}/{self.PF}/sriov_numvfs", "0")
        self.host.await_waiting(f"close {self.VFS[0]}")


class OtherBusTest(SriovTest):
    MODELS = ["sriov"]
    PF = "0001:41:00.0"

    def test_all_of_them(self):
        self.listen()
        before = time.monotonic()
        self.enable(64)
        print(f"64 functions enabled: {time.monotonic() - before:.3f} s", file=sys.stderr)
        self.assertEqual(len(self.virtual_links()), 64)
        heard = self.hear(64 * 2 + 1)
        self.assertEqual(heard[:2], ["add pci 0001:41:12.0", "change pci 0001:41:12.0"])
        self.assertEqual(heard[-3:], ["add pci 0001:42:01.6", "change pci 0001:42:01.6", f"change pci {self.PF}"])
        self.assertEqual(self.inside.readlink(f"{PCI}/{self.PF}/virtfn63"), "../0001:42:01.6")
        self.assertEqual(self.inside.readlink(f"{PCI}/0001:42:01.6/physfn"), f"../{self.PF}")
        self.assertIsNone(self.driver("0001:42:01.6"))
        self.to_vfio("0001:42:01.6")
        before = time.monotonic()
        self.enable(0)
        print(f"64 functions disabled: {time.monotonic() - before:.3f} s", file=sys.stderr)
        self.assertEqual(self.inside.listdir(PCI), ["0001:40:01.0", self.PF])

    def test_functions_stay_without_their_driver(self):
        self.enable(2)
        self.host.ctl("unbind", self.PF)
        self.assertEqual(self.read("sriov_numvfs"), "2\n")
        self.assertEqual(self.write("sriov_numvfs", "0"), "ENOENT")
        self.assertIsNone(self.write("sriov_numvfs", "2"))
        self.host.ctl("bind", self.PF)
        self.enable(0)


class DriverItselfTest(SriovTest):
    """NVIDIA's driver changes the number of functions by itself, not through a write to sriov_numvfs."""

    MODELS = ["nvidia-a2"]
    PF = "0000:08:00.0"
    UUID = "aaaaaaaa-0000-4000-8000-000000000001"

    def test_off_and_on(self):
        self.assertEqual(self.write("sriov_numvfs", "0"), "ENOENT")
        self.host.ctl("set-vfs", self.PF, 0)
        self.assertEqual(self.read("sriov_numvfs"), "0\n")
        self.assertEqual(self.inside.listdir("/sys/class/mdev_bus"), [])
        self.assertEqual(self.write("sriov_numvfs", "16"), "ENOENT")
        self.host.ctl("set-vfs", self.PF, 16)
        self.host.ctl("set-vfs", self.PF, 16)
        self.assertEqual(len(self.inside.listdir("/sys/class/mdev_bus")), 16)
        self.assertEqual(self.driver("0000:08:02.3"), "nvidia")
        for address, count, error in ((self.PF, 17, "ERANGE"), ("0000:08:00.4", 1, "ENODEV"), ("x", 1, "ENODEV")):
            with self.assertRaises(simhost.ControlError) as caught:
                self.host.ctl("set-vfs", address, count)
            self.assertEqual(caught.exception.name, error)
        self.host.ctl("unbind", self.PF)
        with self.assertRaises(simhost.ControlError):
            self.host.ctl("set-vfs", self.PF, 0)

    def test_instances_go_with_their_functions(self):
        self.host.ctl("create", "0000:08:00.5", "nvidia-746", self.UUID)
        self.listen()
        self.host.ctl("set-vfs", self.PF, 0)
        heard = self.hear(16 * 3 + 4)
        self.assertIn(f"remove mdev {self.UUID}", heard)
        self.assertEqual(heard[-1], "remove pci 0000:08:02.3")
        self.host.ctl("set-vfs", self.PF, 16)
        self.host.ctl("create", "0000:08:00.5", "nvidia-748", self.UUID)


class StormTest(SriovTest):
    """Agents do random operations at the same time, and sometimes hold a function open. The state afterwards is consistent."""

    WORKERS = 6
    STEPS = 200
    SEED = 1

    def step(self, rng, agent):
        vf = rng.choice(self.VFS[:3])
        pf = f"{PCI}/{self.PF}"
        path, values = rng.choice(
            [
                (f"{pf}/sriov_numvfs", ["0", "1", "3"]),
                (f"{pf}/sriov_drivers_autoprobe", ["0", "1"]),
                (f"{pf}/sriov_admin/vf1/profile/vram_quota", ["0", "1048576"]),
                (f"{PCI}/{vf}/driver_override", ["vfio-pci", "xe-vfio-pci", "pci-stub", "\n"]),
                (f"{PCI}/{vf}/driver/unbind", [vf]),
                (f"{BUS}/drivers_probe", [vf]),
                (f"{BUS}/drivers/xe/bind", [vf, self.PF]),
            ]
        )
        agent.error("write", path, rng.choice(values))
        agent.error("read", f"{pf}/sriov_numvfs")
        words = rng.choice(
            [("hold-device", vf), ("unplug", self.PF), ("unbind", self.PF), ("unload", "vfio-pci")]
            if rng.random() < 0.1
            else [("plug", self.PF), ("bind", self.PF), ("load", "vfio-pci")]
        )
        held = self.ctl(*words) and words[0] == "hold-device"
        agent.error("read", f"{PCI}/{vf}/vendor")
        if held:
            self.ctl("drop-device", vf)

    def ctl(self, *words):
        """Run a command of the control socket; true on success."""
        try:
            self.host.ctl(*words)
        except simhost.ControlError:
            return False
        return True

    def work(self, number):
        rng = random.Random(self.SEED * 100 + number)
        agent = self.host.agent()
        for _ in range(self.STEPS):
            self.step(rng, agent)

    def test_storm(self):
        with concurrent.futures.ThreadPoolExecutor(self.WORKERS) as pool:
            list(pool.map(self.work, range(self.WORKERS)))
        for words in (("plug", self.PF), ("load", "vfio-pci"), ("bind", self.PF)):
            self.ctl(*words)
        self.assertEqual(self.driver(self.PF), "xe")
        links = self.virtual_links()
        self.assertEqual(self.read("sriov_numvfs"), f"{len(links)}\n")
        there = [name for name in self.inside.listdir(PCI) if name.startswith("0000:03:")]
        self.assertEqual(there, [self.PF] + self.VFS[: len(links)])
        groups = ["vfio"]
        for vf in self.VFS[: len(links)]:
            driver = self.driver(vf)
            self.assertEqual(
                self.inside.exists(f"{PCI}/{vf}/vfio-dev"), bool(driver) and driver.endswith("vfio-pci"), vf
            )
            if self.inside.exists(f"{PCI}/{vf}/vfio-dev"):
                groups.append(self.inside.readlink(f"{PCI}/{vf}/iommu_group").rsplit("/", 1)[1])
        self.assertEqual(self.inside.listdir("/dev/vfio"), sorted(groups))
        self.enable(0)
        self.assertEqual(self.inside.listdir("/dev/vfio"), ["vfio"])
        self.assertIsNone(self.inside.error("write", f"{PCI}/{self.PF}/sriov_numvfs", "12"))


class WritesTest(SriovTest):
    def test_log_of_writes(self):
        path = self.inside.realpath(f"{PCI}/{self.PF}")
        self.assertIsNone(self.write("sriov_numvfs", "1\n"))
        self.assertEqual(self.write("sriov_numvfs", 'a b\t\\"\0é'), "EINVAL")
        self.assertIsNone(self.probe(self.PF))
        expected = [
            ("ok", f"{path}/sriov_numvfs", "1\\n"),
            ("EINVAL", f"{path}/sriov_numvfs", 'a b\\011\\\\\\"\\000\\303\\251'),
            ("ok", f"{BUS}/drivers_probe", self.PF),
        ]
        self.assertEqual(self.host.writes(), expected)
        self.assertEqual(self.host.writes(clear=True), expected)
        self.assertEqual(self.host.writes(), [])
        with self.assertRaises(simhost.ControlError):
            self.host.ctl("writes", "everything")


if __name__ == "__main__":
    simhost.test_main()
