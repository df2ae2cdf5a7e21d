# SPDX-License-Identifier: LGPL-2.1-or-later
"""The life of an instance from creation to destruction, and its types."""

import glob
import os
import xml.etree.ElementTree

import vmcase

UUID = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"


class Types(vmcase.VgpudCase):
    def assertTypes(self):  # pylint: disable=invalid-name
        """`vgpuctl types` lists what /sys has."""
        kernel = vmcase.types()
        listed = {
            (
                kind["gpu"],
                kind["id"],
                kind["name"],
                kind["description"],
                kind["device_api"],
                kind["available"],
            )
            for kind in vmcase.vgpuctl_json("types")["types"]
        }
        self.assertEqual(
            listed,
            {
                (kind.parent, name, kind.name or name, kind.description, kind.device_api, kind.available)
                for name, kind in kernel.items()
            },
        )
        for line in vmcase.vgpuctl("types", "--no-legend").out.splitlines():
            name, *words = line.split()
            kind = kernel.pop(name)
            self.assertIn(str(kind.available), words)
            self.assertEqual(words[-1], kind.parent)
        self.assertEqual(kernel, {})

    def test_all_types_with_true_availability(self):
        self.assertEqual(len(vmcase.types()), 8)
        self.assertTypes()

    def test_availability_follows_what_is_made_and_removed(self):
        made = []
        for kind in ("mdpy-xga", "mtty-2", "mbochs-large"):
            before = vmcase.types()[kind].available
            made.append(vmcase.vgpuctl("create", kind).out.strip())
            self.assertLess(vmcase.types()[kind].available, before)
            self.assertTypes()
        vmcase.vgpuctl("destroy", *made)
        self.assertTypes()
        self.assertEqual(vmcase.types()["mdpy-hd"].available, 4)

    def test_availability_follows_what_others_make(self):
        vmcase.create("mbochs-medium", UUID)
        self.bus.until(lambda objects: UUID in objects.instances)
        self.assertTypes()
        vmcase.remove(UUID)
        self.bus.until(lambda objects: not objects.instances)
        self.assertTypes()

    def test_of_one_gpu(self):
        self.assertEqual(
            vmcase.vgpuctl("types", "mdpy", "-q").out.splitlines(), ["mdpy-hd", "mdpy-vga", "mdpy-xga"]
        )


class Life(vmcase.VgpudCase):
    def test_made_listed_shown_destroyed(self):
        for kind, gpu in (("mdpy-xga", "mdpy"), ("mtty-2", "mtty"), ("mbochs-small", "mbochs")):
            with self.subTest(kind=kind):
                uuid = vmcase.vgpuctl("create", "--type", kind).out.strip()
                self.assertEqual(vmcase.devices(), {uuid: kind})
                self.assertTrue((vmcase.MDEV_DEVICES / uuid).exists())
                self.assertTrue(os.path.exists(vmcase.group_node(uuid)))
                # vgpud answers when its model is up to date, so the test need not wait.
                self.assertTruth()

                row = vmcase.vgpuctl("list", "--no-legend").out.split()
                self.assertEqual(row[0], uuid)
                self.assertEqual(row[-1], gpu)
                self.assertTrue({kind, "active", "vgpud", "root"} <= set(row), row)
                (listed,) = vmcase.vgpuctl_json("list")["instances"]
                shown = vmcase.vgpuctl_json("show", uuid)["instance"]
                self.assertLessEqual(listed.items(), shown.items())
                self.assertEqual(set(shown) - set(listed), {"sysfs_path", "attributes", "hand_over"})
                self.assertEqual(
                    (shown["uuid"], shown["type"], shown["gpu"], shown["parent"], shown["origin"]),
                    (uuid, kind, gpu, gpu, "vgpud"),
                )
                self.assertEqual((shown["state"], shown["owner"], shown["name"]), ("active", "0", None))
                self.assertEqual(shown["sysfs_path"], os.path.realpath(vmcase.MDEV_DEVICES / uuid))
                self.assertIn(vmcase.group_node(uuid), vmcase.vgpuctl("show", uuid).out)

                vmcase.vgpuctl("destroy", uuid)
                self.assertEqual(vmcase.devices(), {})
                self.assertEqual(vmcase.vgpuctl_json("list"), {"instances": []})
                self.assertEqual(vmcase.records(), [])
                self.assertTruth()

    def test_hand_over(self):
        uuid = vmcase.vgpuctl("create", "mdpy-vga").out.strip()
        told = vmcase.vgpuctl_json("show", uuid)["instance"]["hand_over"]
        print("hand-over:", told)
        self.assertEqual(told["sysfs_path"], str(vmcase.MDEV_DEVICES / uuid))
        self.assertEqual(told["group_node"], vmcase.group_node(uuid))
        self.assertEqual(told["group_node"], f"/dev/vfio/{told['iommu_group']}")
        # Only some kernels have a character device for each VFIO device.
        nodes = glob.glob(f"{vmcase.MDEV_DEVICES}/{uuid}/vfio-dev/vfio*/dev")
        self.assertEqual(told["cdev_node"], f"/dev/vfio/devices/{nodes[0].split('/')[-2]}" if nodes else None)
        self.assertEqual(glob.glob("/dev/vfio/devices/*"), [told["cdev_node"]] if nodes else [])
        hostdev = xml.etree.ElementTree.fromstring(told["libvirt_xml"])
        self.assertEqual(hostdev.tag, "hostdev")
        self.assertEqual(hostdev.attrib, {"mode": "subsystem", "type": "mdev", "model": "vfio-pci"})
        self.assertEqual(hostdev.find("source/address").attrib, {"uuid": uuid})
        option, value = told["qemu_args"]
        self.assertEqual(option, "-device")
        device, _, path = value.partition(",sysfsdev=")
        self.assertEqual(device, "vfio-pci")
        self.assertEqual(path, told["sysfs_path"])
        self.assertTrue(os.path.isdir(path))
        # A program can open the device as the hand-over says.
        vmcase.VfioProcess(uuid, device=True).kill()

    def test_name(self):
        uuid = vmcase.vgpuctl("create", "mtty-2", "--name", "desk").out.strip()
        other = vmcase.vgpuctl("create", "mtty-1", "--name", "100").out.strip()
        self.assertEqual(vmcase.vgpuctl_json("show", "desk")["instance"]["uuid"], uuid)
        self.assertEqual(vmcase.vgpuctl_json("show", "100")["instance"]["uuid"], other)
        self.assertEqual(
            {item["name"]: item["uuid"] for item in vmcase.vgpuctl_json("list")["instances"]},
            {"desk": uuid, "100": other},
        )
        self.assertIn("desk", self.assertVgpuctlFails(6, "Exists", "create", "mtty-1", "--name", "desk"))
        self.assertVgpuctlFails(2, "InvalidArgs", "create", "mtty-1", "--name", UUID)
        vmcase.vgpuctl("destroy", "desk", "100")
        # The name is free again.
        self.assertNotEqual(vmcase.vgpuctl("create", "mtty-2", "--name", "desk").out.strip(), uuid)
        vmcase.vgpuctl("destroy", "desk")
        self.assertEqual(vmcase.devices(), {})

    def test_upper_case_uuid(self):
        self.assertEqual(vmcase.vgpuctl("create", "mbochs-small", "--uuid", UUID.upper()).out, f"{UUID}\n")
        self.assertEqual(vmcase.devices(), {UUID: "mbochs-small"})
        vmcase.vgpuctl("destroy", UUID.upper()[:8])
        self.assertEqual(vmcase.devices(), {})

    def test_several(self):
        uuids = vmcase.vgpuctl("create", "mbochs-large", "--count", "3").out.split()
        self.assertEqual(vmcase.devices(), dict.fromkeys(uuids, "mbochs-large"))
        self.assertEqual(len(uuids), 3)
        # Only one more fits, and a create of two makes both or none.
        self.assertVgpuctlFails(5, "NoCapacity", "create", "mbochs-large", "--count", "2")
        self.assertEqual(set(vmcase.devices()), set(uuids))
        self.assertTruth()
        vmcase.vgpuctl("destroy", *uuids)

    def test_nothing_remains_when_an_attribute_is_refused(self):
        before = vmcase.types()
        self.assertVgpuctlFails(2, "InvalidArgs", "create", "mdpy-xga", "--attr", "no_such=1")
        self.assertEqual(vmcase.devices(), {})
        self.assertEqual(vmcase.types(), before)
        self.assertEqual(vmcase.records(), [])

    def test_a_job_that_is_not_waited_for(self):
        self.bus.forget()
        number = int(vmcase.vgpuctl("create", "mdpy-xga", "--no-block").out)
        ended = self.bus.wait(lambda signal: signal.member == "JobRemoved" and signal.args[0] == number)
        *_, result, error, details = ended.args
        self.assertEqual((result, error), ("done", ""))
        (uuid,) = vmcase.devices()
        self.assertEqual(details["instances"], [vmcase.instance_path(uuid)])
        job = vmcase.vgpuctl_json("show", "job", number)["job"]
        self.assertEqual((job["state"], job["result"], job["instances"]), ("ended", "done", [uuid]))


vmcase.main()
