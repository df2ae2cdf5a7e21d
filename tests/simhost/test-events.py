#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Events of a libudev monitor inside the host, and their order. mdev events have the order of Linux 6.1 and 6.12."""

import unittest

import simhost

UUID = "aaaaaaaa-0000-4000-8000-000000000001"
MDEVS = "/sys/bus/mdev/devices"
SUBSYSTEMS = ["mdev", "vfio", "vfio-dev", "pci", "drm", "mdpy"]


class EventTest(unittest.TestCase):
    MODELS = ["gvt-g", "nvidia-a2", "plain"]

    def setUp(self):
        self.host = self.enterContext(simhost.Host(self.MODELS))
        self.inside = self.host.agent()
        self.inside.monitor(SUBSYSTEMS)

    def hear(self, count):
        """Wait for COUNT events. Return these and all further events so far, as "ACTION SUBSYSTEM NAME"."""
        self.events = self.host.hear(self.inside, count)
        return [f"{e['ACTION']} {e['SUBSYSTEM']} {e['DEVPATH'].rsplit('/', 1)[1]}" for e in self.events]

    def create(self, parent="mdpy", name="mdpy-vga", uuid=UUID):
        return self.inside.error("write", f"/sys/class/mdev_bus/{parent}/mdev_supported_types/{name}/create", uuid)

    def test_create_and_remove(self):
        self.assertIsNone(self.create())
        group = self.inside.readlink(f"{MDEVS}/{UUID}/iommu_group").rsplit("/", 1)[1]
        self.assertEqual(
            self.hear(4), [f"add mdev {UUID}", f"add vfio {group}", "add vfio-dev vfio0", f"bind mdev {UUID}"]
        )
        self.assertNotIn("DRIVER", self.events[0])
        self.assertEqual(self.events[1]["DEVNAME"], f"/dev/vfio/{group}")
        self.assertEqual((self.events[1]["MAJOR"], self.events[1]["MINOR"]), ("244", "0"))
        self.assertEqual(self.events[2]["DEVPATH"], f"/devices/virtual/mdpy/mdpy/{UUID}/vfio-dev/vfio0")
        self.assertEqual(self.events[3]["DRIVER"], "mdpy")

        self.inside.write(f"{MDEVS}/{UUID}/remove", "1")
        self.assertEqual(
            self.hear(4),
            ["remove vfio-dev vfio0", f"remove vfio {group}", f"unbind mdev {UUID}", f"remove mdev {UUID}"],
        )
        self.assertEqual([event[0] for event in self.host.events()], ["add"] * 3 + ["bind"] + ["remove"] * 2 + ["unbind", "remove"])

    def test_the_effect_is_there_before_the_event(self):
        """A listener of a removal event finds no trace of the device, even in the kernel's caches."""
        for _ in range(20):
            self.assertIsNone(self.create())
            self.assertTrue(self.inside.exists(f"{MDEVS}/{UUID}/mdev_type"))
            self.assertEqual(len(self.inside.events(4, simhost.DEADLINE)), 4)
            self.host.ctl("remove", UUID)
            self.assertEqual(self.inside.events(4, simhost.DEADLINE)[-1]["ACTION"], "remove")
            self.assertFalse(self.inside.exists(f"/sys/devices/virtual/mdpy/mdpy/{UUID}"))

    def test_failed_create(self):
        self.host.fault("create:mdpy:errno=ENOMEM:1")
        self.assertEqual(self.create(), "ENOMEM")
        self.assertEqual(self.hear(2), [f"add mdev {UUID}", f"remove mdev {UUID}"])

    def test_refusals_without_a_device_are_silent(self):
        self.assertEqual(self.create(uuid="x"), "EINVAL")
        for i in range(4):
            self.assertIsNone(self.create(uuid=f"{UUID[:-1]}{i}"))
        self.hear(16)
        self.assertEqual(self.create(uuid=f"{UUID[:-1]}3"), "EEXIST")
        self.assertEqual(self.create(uuid=f"{UUID[:-1]}4"), "EUSERS")
        self.assertEqual(self.hear(0), [])

    def test_add_comes_before_the_links(self):
        self.host.fault("link:*:hang:1")
        maker = self.host.agent()
        maker.start("write", "/sys/class/mdev_bus/mdpy/mdev_supported_types/mdpy-vga/create", UUID)
        self.assertEqual(self.hear(4)[-1], f"bind mdev {UUID}")
        self.assertFalse(self.inside.exists(f"{MDEVS}/{UUID}/mdev_type"))
        self.host.ctl("release")
        maker.finish()
        self.assertTrue(self.inside.exists(f"{MDEVS}/{UUID}/mdev_type"))

    def test_pci_parent_unregisters(self):
        self.assertIsNone(self.create("0000:00:02.0", "i915-GVTg_V5_4"))
        self.hear(4)
        self.host.ctl("unregister", "0000:00:02.0")
        self.assertEqual(self.hear(5)[3:], [f"remove mdev {UUID}", "change pci 0000:00:02.0"])
        self.assertEqual(self.events[4]["MDEV_STATE"], "unregistered")
        self.assertEqual(self.events[4]["PCI_ID"], "8086:5917")
        self.host.ctl("register", "0000:00:02.0")
        self.assertEqual(self.hear(1), ["change pci 0000:00:02.0"])
        self.assertEqual(self.events[0]["MDEV_STATE"], "registered")

    def test_virtual_parent_goes_and_comes(self):
        self.host.ctl("unregister", "mdpy")
        self.assertEqual(self.hear(2), ["change mdpy mdpy", "remove mdpy mdpy"])
        self.assertFalse(self.inside.exists("/sys/devices/virtual/mdpy/mdpy"))
        self.host.ctl("register", "mdpy")
        self.assertEqual(self.hear(2), ["add mdpy mdpy", "change mdpy mdpy"])
        self.assertIsNone(self.create())

    def test_unbind_and_bind(self):
        self.assertIsNone(self.create("0000:00:02.0", "i915-GVTg_V5_4"))
        self.hear(4)
        self.inside.write("/sys/bus/pci/devices/0000:00:02.0/driver/unbind", "0000:00:02.0")
        self.assertEqual(
            self.hear(8)[3:],
            [
                f"remove mdev {UUID}",
                "change pci 0000:00:02.0",
                "remove drm card0",
                "remove drm renderD128",
                "unbind pci 0000:00:02.0",
            ],
        )
        self.assertNotIn("DRIVER", self.inside.properties("/sys/bus/pci/devices/0000:00:02.0"))
        self.assertEqual(
            self.inside.error("write", "/sys/bus/pci/drivers/i915/unbind", "0000:00:02.0"), "ENODEV"
        )
        self.inside.write("/sys/bus/pci/drivers/i915/bind", "0000:00:02.0\n")
        self.assertEqual(self.hear(4)[-2:], ["change pci 0000:00:02.0", "bind pci 0000:00:02.0"])
        self.assertEqual(self.events[3]["DRIVER"], "i915")
        self.assertEqual(self.inside.error("write", "/sys/bus/pci/drivers/i915/bind", "0000:00:02.0"), "EBUSY")

    def test_unplug_and_plug(self):
        self.assertIsNone(self.create("0000:08:00.5", "nvidia-746"))
        self.hear(4)
        self.host.ctl("unplug", "0000:08:00.0")
        heard = self.hear(4 + 16 * 3 + 2)
        self.assertEqual(heard[-2:], ["unbind pci 0000:08:00.0", "remove pci 0000:08:00.0"])
        self.assertEqual(len(heard), 4 + 16 * 3 + 2)
        self.assertEqual(self.inside.enumerate("mdev"), [])
        self.assertFalse([name for name in self.inside.listdir("/sys/bus/pci/devices") if ":08:" in name])
        self.assertFalse([name for name in self.inside.listdir("/sys/class/mdev_bus") if ":08:" in name])

        self.host.ctl("plug", "0000:08:00.0")
        heard = self.hear(2 + 16 * 4 + 1)
        self.assertEqual(heard[:2], ["add pci 0000:08:00.0", "bind pci 0000:08:00.0"])
        self.assertEqual(heard[2:6], [f"{action} pci 0000:08:00.4" for action in ("add", "change", "change", "bind")])
        self.assertEqual(heard[-1], "change pci 0000:08:00.0")
        self.assertEqual(self.events[4]["MDEV_STATE"], "registered")
        self.assertIsNone(self.create("0000:08:00.5", "nvidia-748"))

    def test_trigger(self):
        self.inside.write("/sys/bus/pci/devices/0000:00:02.0/uevent", "change\n")
        self.assertEqual(self.hear(1), ["change pci 0000:00:02.0"])
        self.assertEqual(self.inside.error("write", "/sys/bus/pci/devices/0000:00:02.0/uevent", "jump"), "EINVAL")

    def test_lost_events(self):
        self.host.ctl("drop-events", 3)
        self.assertIsNone(self.create())
        self.assertEqual(self.hear(1), [f"bind mdev {UUID}"])

    def test_hear_tells_of_more(self):
        """hear() also returns events beyond COUNT, up to a mark that it sends. The mark itself is not in the log and
        has no sequence number."""
        self.assertEqual(self.hear(0), [])
        self.assertEqual(self.inside.read("/sys/kernel/uevent_seqnum"), "0\n")
        self.assertIsNone(self.create())
        self.assertEqual(len(self.hear(1)), 4)
        self.assertEqual(len(self.host.events()), 4)
        self.assertEqual(self.inside.read("/sys/kernel/uevent_seqnum"), "4\n")

    def test_burst(self):
        """A monitor that is not reading loses no event, although a stock kernel's socket queue holds ten."""
        for i in range(30):
            self.assertIsNone(self.create("mtty", "mtty-1", f"{UUID[:-2]}{i % 10:02x}"))
            self.inside.write(f"{MDEVS}/{UUID[:-2]}{i % 10:02x}/remove", "1")
        heard = self.hear(30 * 8)
        self.assertEqual(len(heard), 240)
        numbers = [int(event["SEQNUM"]) for event in self.events]
        self.assertEqual(numbers, sorted(numbers))
        self.assertEqual(self.inside.read("/sys/kernel/uevent_seqnum"), f"{numbers[-1]}\n")


if __name__ == "__main__":
    simhost.test_main()
