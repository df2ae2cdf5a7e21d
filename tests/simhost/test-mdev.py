#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mediated device core answers as the kernel does: every errno of create and remove, links, groups, in-use rules."""

import os
import unittest

import simhost

UUIDS = [f"aaaaaaaa-0000-4000-8000-{i:012x}" for i in range(64)]
GVT = "/sys/class/mdev_bus/0000:00:02.0/mdev_supported_types"
V5_4 = f"{GVT}/i915-GVTg_V5_4"
V5_8 = f"{GVT}/i915-GVTg_V5_8"
MDPY = "/sys/class/mdev_bus/mdpy/mdev_supported_types"
MTTY = "/sys/class/mdev_bus/mtty/mdev_supported_types"
MBOCHS = "/sys/class/mdev_bus/mbochs/mdev_supported_types"
MDEVS = "/sys/bus/mdev/devices"


class MdevTest(unittest.TestCase):
    def setUp(self):
        self.host = self.enterContext(simhost.Host(["gvt-g", "samples"]))
        self.inside = self.host.agent()

    def create(self, type_path, text):
        return self.inside.error("write", f"{type_path}/create", text)

    def remove(self, uuid, text="1"):
        return self.inside.error("write", f"{MDEVS}/{uuid}/remove", text)

    def available(self, type_path):
        return int(self.inside.read(f"{type_path}/available_instances"))

    def test_uuid_lengths(self):
        uuid = UUIDS[0]
        # sysfs ignores an empty write.
        for bad in ("", "1", uuid[:35], uuid + "\n\n", uuid + " x", "{" + uuid + "}"):
            self.assertEqual(self.create(V5_4, bad), "EINVAL" if bad else None, bad)
        self.assertEqual(self.inside.listdir(MDEVS), [])
        for number, end in enumerate(("", "\n", "x")):  # the 37th byte may be anything
            self.assertIsNone(self.create(V5_8, UUIDS[number] + end))
        self.assertEqual(self.inside.listdir(MDEVS), UUIDS[:3])

    def test_uuid_syntax(self):
        for bad in (
            "zzzzzzzz-0000-4000-8000-000000000000",
            "aaaaaaaa00000-4000-8000-000000000000",
            "aaaaaaaa-0000-4000-80000-00000000000",
            "aaaaaaaa_0000_4000_8000_000000000000",
            " aaaaaaa-0000-4000-8000-000000000000",
        ):
            self.assertEqual(len(bad), 36)
            self.assertEqual(self.create(V5_4, bad), "EINVAL", bad)
        self.assertIsNone(self.create(V5_4, "00000000-0000-0000-0000-000000000000"))

    def test_upper_case_becomes_lower(self):
        self.assertIsNone(self.create(V5_4, UUIDS[0].upper()))
        self.assertEqual(self.inside.listdir(MDEVS), [UUIDS[0]])

    def test_uuid_is_unique_over_all_parents(self):
        self.assertIsNone(self.create(V5_4, UUIDS[0]))
        for type_path in (V5_4, V5_8, f"{MDPY}/mdpy-vga", f"{MTTY}/mtty-1"):
            self.assertEqual(self.create(type_path, UUIDS[0].upper()), "EEXIST")
        self.assertIsNone(self.remove(UUIDS[0]))
        self.assertIsNone(self.create(f"{MTTY}/mtty-1", UUIDS[0]))

    def test_shared_budget(self):
        for uuid in UUIDS[:4]:
            self.assertIsNone(self.create(f"{MDPY}/mdpy-xga", uuid))
        self.assertEqual([self.available(f"{MDPY}/mdpy-{name}") for name in ("vga", "xga", "hd")], [0, 0, 0])
        self.assertEqual(self.create(f"{MDPY}/mdpy-hd", UUIDS[4]), "EUSERS")
        self.assertIsNone(self.remove(UUIDS[0]))
        self.assertEqual(self.available(f"{MDPY}/mdpy-hd"), 1)
        self.assertIsNone(self.create(f"{MDPY}/mdpy-hd", UUIDS[4]))

    def test_full_by_the_driver_s_own_count(self):
        for uuid in UUIDS[:12]:
            self.assertIsNone(self.create(f"{MTTY}/mtty-2", uuid))
        self.assertEqual(self.create(f"{MTTY}/mtty-1", UUIDS[12]), "ENOSPC")
        for uuid in UUIDS[13:17]:
            self.assertIsNone(self.create(f"{MBOCHS}/mbochs-large", uuid))
        self.assertEqual(self.create(f"{MBOCHS}/mbochs-small", UUIDS[17]), "ENOSPC")
        self.assertNotIn(UUIDS[12], self.inside.listdir(MDEVS))

    def test_sysfs_rules(self):
        self.assertEqual(self.inside.error("read", f"{V5_4}/create"), "EACCES")
        self.assertEqual(self.inside.error("write", f"{V5_4}/available_instances", "1"), "EACCES")
        self.assertEqual(self.inside.error("write", f"{GVT}/i915-GVTg_V5_3/create", UUIDS[0]), "ENOENT")
        self.assertEqual(self.inside.error("read", f"{MTTY}/mtty-1/description"), "ENOENT")
        self.assertEqual(self.inside.error("write", "/sys/bus/pci/devices/0000:00:02.0/numa_node", "1"), "EIO")
        self.assertEqual(self.inside.error("open", f"{V5_4}/new", os.O_WRONLY | os.O_CREAT), "EACCES")
        self.assertEqual(self.inside.stat(f"{V5_4}/create"), {"mode": 0o100200, "size": 4096, "rdev": 0})
        self.assertEqual(self.inside.stat(f"{V5_4}/name")["mode"], 0o100444)
        self.assertEqual(self.inside.stat(V5_4)["mode"], 0o40755)

    def test_content_is_made_at_the_beginning_of_a_read(self):
        fd = self.inside.open(f"{V5_8}/available_instances", os.O_RDONLY)
        self.assertEqual(self.inside.pread(fd), "7\n")
        self.assertIsNone(self.create(V5_8, UUIDS[0]))
        self.assertEqual(self.inside.pread(fd), "6\n")

    def test_links(self):
        self.assertIsNone(self.create(V5_4, UUIDS[0]))
        mdev = f"/sys/devices/pci0000:00/0000:00:02.0/{UUIDS[0]}"
        group = os.path.basename(self.inside.readlink(f"{mdev}/iommu_group"))
        for path, target in {
            f"{MDEVS}/{UUIDS[0]}": f"../../../devices/pci0000:00/0000:00:02.0/{UUIDS[0]}",
            f"{V5_4}/devices/{UUIDS[0]}": f"../../../{UUIDS[0]}",
            f"{mdev}/mdev_type": "../mdev_supported_types/i915-GVTg_V5_4",
            f"{mdev}/driver": "../../../../bus/mdev/drivers/intel_vgpu_mdev",
            f"{mdev}/subsystem": "../../../../bus/mdev",
            f"{mdev}/iommu_group": f"../../../../kernel/iommu_groups/{group}",
            f"{mdev}/vfio-dev/vfio0/device": f"../../../{UUIDS[0]}",
            f"/sys/kernel/iommu_groups/{group}/devices/{UUIDS[0]}": f"../../../../devices/pci0000:00/0000:00:02.0/{UUIDS[0]}",
            f"/sys/class/vfio/{group}": f"../../devices/virtual/vfio/{group}",
            "/sys/class/vfio-dev/vfio0": f"../../devices/pci0000:00/0000:00:02.0/{UUIDS[0]}/vfio-dev/vfio0",
            "/sys/class/mdev_bus/0000:00:02.0": "../../devices/pci0000:00/0000:00:02.0",
            f"/sys/bus/mdev/drivers/intel_vgpu_mdev/{UUIDS[0]}": f"../../../../devices/pci0000:00/0000:00:02.0/{UUIDS[0]}",
        }.items():
            self.assertEqual(self.inside.readlink(path), target, path)
            self.assertTrue(self.inside.exists(self.inside.realpath(path)), path)
        self.assertEqual(self.inside.read(f"{mdev}/uevent"), "DRIVER=intel_vgpu_mdev\n")
        self.assertIn(group, self.inside.listdir("/dev/vfio"))

        self.assertIsNone(self.remove(UUIDS[0]))
        for path in (mdev, f"{V5_4}/devices/{UUIDS[0]}", f"/sys/class/vfio/{group}", f"/dev/vfio/{group}"):
            self.assertFalse(self.inside.exists(path), path)
        self.assertEqual(self.inside.listdir("/sys/class/vfio-dev"), [])

    def test_links_do_not_depend_on_having_looked(self):
        """The host fills a type directory at the first lookup. An instance has its links, whether created before or after."""
        self.assertIsNone(self.create(V5_4, UUIDS[0]))
        self.assertEqual(self.inside.listdir(f"{V5_4}/devices"), [UUIDS[0]])
        self.assertEqual(self.inside.listdir(f"{V5_8}/devices"), [])
        self.host.ctl("create", "0000:00:02.0", "i915-GVTg_V5_8", UUIDS[1])
        self.assertEqual(self.inside.listdir(f"{V5_8}/devices"), [UUIDS[1]])

    def test_remove_parser(self):
        self.assertIsNone(self.create(V5_4, UUIDS[0]))
        for text in ("x", "1x", "-1", " 1", "1\n\n", "0x", "99999999999999999999"):
            self.assertEqual(self.remove(UUIDS[0], text), "EINVAL", text)
        for text in ("0", "0\n", "0x0", "00"):
            self.assertIsNone(self.remove(UUIDS[0], text))
        self.assertIn(UUIDS[0], self.inside.listdir(MDEVS))
        for text in ("1", "2\n", "0x10", "+1", "010"):
            self.assertIsNone(self.remove(UUIDS[0], text))
            self.assertEqual(self.inside.listdir(MDEVS), [])
            self.assertIsNone(self.create(V5_4, UUIDS[0]))
        self.assertIsNone(self.remove(UUIDS[0]))
        self.assertEqual(self.remove(UUIDS[0]), "ENOENT")

    def test_write_to_a_file_that_has_gone(self):
        self.assertIsNone(self.create(V5_4, UUIDS[0]))
        remove = self.inside.open(f"{MDEVS}/{UUIDS[0]}/remove", os.O_WRONLY)
        vgpu_id = self.inside.open(f"{MDEVS}/{UUIDS[0]}/intel_vgpu/vgpu_id", os.O_RDONLY)
        self.assertEqual(self.inside.write_fd(remove, "1"), 1)
        self.assertEqual(self.inside.error("write_fd", remove, "1"), "ENODEV")
        self.assertEqual(self.inside.error("pread", vgpu_id), "ENODEV")

    def test_remove_that_fails_leaves_no_remove_file(self):
        self.assertIsNone(self.create(V5_4, UUIDS[0]))
        self.host.fault(f"remove:{UUIDS[0]}:errno=EIO:1")
        self.assertEqual(self.remove(UUIDS[0]), "EIO")
        self.assertIn(UUIDS[0], self.inside.listdir(MDEVS))
        self.assertEqual(self.remove(UUIDS[0]), "ENOENT")
        self.host.ctl("unregister", "0000:00:02.0")
        self.assertEqual(self.inside.listdir(MDEVS), [])

    def test_create_that_fails_leaves_nothing(self):
        for name in ("EIO", "EAGAIN", "ENOMEM", "EPERM"):
            self.host.fault(f"create:0000:00:02.0:errno={name}:1")
            self.assertEqual(self.create(V5_4, UUIDS[0]), name)
        self.assertEqual(self.inside.listdir(MDEVS), [])
        self.assertEqual(self.inside.listdir("/dev/vfio"), ["vfio"])
        self.assertEqual(self.available(V5_8), 7)
        self.assertIsNone(self.create(V5_4, UUIDS[0]))

    def test_remove_while_not_active(self):
        self.host.fault("create:*:hang:1")
        maker = self.host.agent()
        maker.start("write", f"{V5_4}/create", UUIDS[0])
        self.host.await_hanging(1)
        self.assertFalse(self.inside.exists(f"{MDEVS}/{UUIDS[0]}/mdev_type"))
        self.assertEqual(self.remove(UUIDS[0]), "EAGAIN")
        self.assertEqual(self.create(V5_8, UUIDS[0]), "EEXIST")
        self.assertEqual(self.host.ctl("release"), ["1"])
        self.assertEqual(maker.finish(), 36)
        self.assertTrue(self.inside.exists(f"{MDEVS}/{UUIDS[0]}/mdev_type"))

    def group_of(self, uuid):
        return "/dev/vfio/" + os.path.basename(self.inside.readlink(f"{MDEVS}/{uuid}/iommu_group"))

    def test_group_is_exclusive(self):
        self.assertIsNone(self.create(V5_4, UUIDS[0]))
        group = self.group_of(UUIDS[0])
        other = self.host.agent()
        for _ in range(60):  # umockdev's preload library remembers at most 50 open files
            fd = self.inside.open(group, os.O_RDWR)
            self.inside.close(fd)
        fd = self.inside.open(group, os.O_RDWR)
        self.assertEqual(other.error("open", group, os.O_RDONLY), "EBUSY")
        copy = self.inside.dup(fd)
        self.inside.close(fd)
        self.assertEqual(other.error("open", group, os.O_RDONLY), "EBUSY")
        self.inside.close(copy)
        self.assertIsNone(other.error("open", group, os.O_RDONLY))

        # The holder dies.
        other.process.kill()
        other.process.wait()
        self.assertIsNone(self.inside.error("open", group, os.O_RDONLY))

    def test_group_held_by_somebody_else(self):
        self.assertIsNone(self.create(V5_4, UUIDS[0]))
        group = self.group_of(UUIDS[0])
        self.host.ctl("hold-group", os.path.basename(group))
        self.assertEqual(self.inside.error("open", group, os.O_RDONLY), "EBUSY")
        # Only the group is open: removal does not wait.
        self.assertIsNone(self.remove(UUIDS[0]))
        self.assertEqual(self.inside.error("open", group, os.O_RDONLY), "ENOENT")
        with self.assertRaises(simhost.ControlError) as caught:
            self.host.ctl("hold-group", "999")
        self.assertEqual(caught.exception.name, "ENODEV")

    def test_removal_of_an_open_device_waits(self):
        for uuid in UUIDS[:2]:
            self.assertIsNone(self.create(V5_4, uuid))
        self.host.ctl("hold-device", UUIDS[0])
        self.assertEqual(self.inside.error("open", self.group_of(UUIDS[0]), os.O_RDONLY), "EBUSY")

        remover = self.host.agent()
        before = self.available(V5_8)
        remover.start("write", f"{MDEVS}/{UUIDS[0]}/remove", "1")
        self.host.await_waiting(f"close {UUIDS[0]}")
        self.assertFalse(self.inside.exists(f"{MDEVS}/{UUIDS[0]}"))
        self.assertEqual(self.available(V5_8), before)  # the instance still takes its room
        self.assertEqual(self.create(V5_4, UUIDS[0]), "EIO")
        self.assertIsNone(self.remove(UUIDS[1]))

        self.host.ctl("drop-device", UUIDS[0])
        self.assertEqual(remover.finish(), 1)
        self.assertEqual(self.available(V5_8), 7)

    def test_unregister(self):
        create = self.inside.open(f"{V5_4}/create", os.O_WRONLY)
        for uuid in UUIDS[:3]:
            self.assertIsNone(self.create(V5_4, uuid))
        self.host.ctl("unregister", "0000:00:02.0")
        self.assertEqual(self.inside.listdir(MDEVS), [])
        self.assertNotIn("0000:00:02.0", self.inside.listdir("/sys/class/mdev_bus"))
        self.assertFalse(self.inside.exists("/sys/bus/pci/devices/0000:00:02.0/mdev_supported_types"))
        self.assertEqual(self.inside.error("write_fd", create, UUIDS[0]), "ENODEV")

        self.host.ctl("register", "0000:00:02.0")
        self.assertEqual(self.available(V5_8), 7)
        self.assertIsNone(self.create(V5_4, UUIDS[0]))

    def test_create_and_remove_while_the_parent_goes(self):
        for uuid in UUIDS[:3]:
            self.assertIsNone(self.create(V5_4, uuid))
            self.host.ctl("hold-device", uuid)
        create = self.inside.open(f"{V5_4}/create", os.O_WRONLY)
        removes = {uuid: self.inside.open(f"{MDEVS}/{uuid}/remove", os.O_WRONLY) for uuid in UUIDS[:3]}
        goer = self.host.agent()
        goer.start("write", "/sys/bus/pci/drivers/i915/unbind", "0000:00:02.0")
        simhost.wait_until(lambda: self.host.ctl("waiting"))
        first = self.host.ctl("waiting")[0].removeprefix("close ")
        left = self.inside.listdir(MDEVS)
        self.assertEqual(set(left), set(UUIDS[:3]) - {first})
        last = left[0]
        self.assertEqual(self.inside.error("write_fd", create, UUIDS[9]), "ENODEV")
        self.assertEqual(self.inside.error("write_fd", removes[last], "1"), "ENODEV")
        self.assertEqual(self.host.ctl("waiting"), [f"close {first}"])
        for uuid in UUIDS[:3]:
            self.host.ctl("drop-device", uuid)
        goer.finish()
        self.assertEqual(self.inside.listdir(MDEVS), [])
        self.assertFalse(self.inside.exists("/sys/bus/pci/devices/0000:00:02.0/driver"))

    def test_parallel_creates(self):
        """32 threads of one process create instances, but only 7 fit: exactly 7 succeed, all others get ENOSPC."""
        script = (
            "import os, sys, threading\n"
            "results = []\n"
            "def make(i):\n"
            "    fd = os.open(sys.argv[1], os.O_WRONLY)\n"
            "    try: os.write(fd, b'bbbbbbbb-0000-4000-8000-%012x' % i); results.append('ok')\n"
            "    except OSError as e: results.append(str(e.errno))\n"
            "threads = [threading.Thread(target=make, args=(i,)) for i in range(32)]\n"
            "[t.start() for t in threads]; [t.join() for t in threads]\n"
            "print(results.count('ok'), results.count('28'))\n"
        )
        result = self.host.run(["/usr/bin/python3", "-c", script, f"{V5_8}/create"], capture_output=True)
        self.assertEqual(result.stdout, "7 25\n", result.stderr)
        self.assertEqual(len(self.inside.listdir(MDEVS)), 7)


if __name__ == "__main__":
    simhost.test_main()
