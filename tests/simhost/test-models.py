#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each model behaves like the hardware that it names: files, links, arithmetic, refusals."""

import unittest

import simhost

PCI = "/sys/bus/pci/devices"
MDEVS = "/sys/bus/mdev/devices"
UUIDS = [f"aaaaaaaa-0000-4000-8000-{i:012x}" for i in range(64)]


class ModelTest(unittest.TestCase):
    def start(self, *models, options=()):
        self.host = self.enterContext(simhost.Host(models, options=options))
        self.inside = self.host.agent()

    def available(self, parent):
        """{type: available} of all types of a parent."""
        types = f"/sys/class/mdev_bus/{parent}/mdev_supported_types"
        return {
            name: int(self.inside.read(f"{types}/{name}/available_instances")) for name in self.inside.listdir(types)
        }

    def create(self, parent, name, uuid):
        return self.inside.error("write", f"/sys/class/mdev_bus/{parent}/mdev_supported_types/{name}/create", uuid)

    def remove(self, uuid):
        self.inside.write(f"{MDEVS}/{uuid}/remove", "1")


class GvtTest(ModelTest):
    GPU = "0000:00:02.0"
    # LEFT: low and high graphics memory in MiB, and fences, for all guests together; TYPES: the amounts of each type
    LEFT = (1024 - 128, 4096 - 1024 - 384, 32 - 4)
    TYPES = {
        "i915-GVTg_V5_8": (64, 384, 4),
        "i915-GVTg_V5_4": (128, 512, 4),
        "i915-GVTg_V5_2": (256, 1024, 4),
        "i915-GVTg_V5_1": (512, 2048, 4),
    }

    def setUp(self):
        self.start("gvt-g")

    def expected(self, made):
        left = [total - sum(self.TYPES[name][i] for name in made) for i, total in enumerate(self.LEFT)]
        return {name: min(l // n for l, n in zip(left, need)) for name, need in self.TYPES.items()}

    def test_arithmetic(self):
        self.assertEqual(
            self.available(self.GPU),
            {"i915-GVTg_V5_8": 7, "i915-GVTg_V5_4": 5, "i915-GVTg_V5_2": 2, "i915-GVTg_V5_1": 1},
        )
        made = []
        for number, name in enumerate(["V5_4", "V5_8", "V5_8", "V5_2", "V5_8"]):
            name = f"i915-GVTg_{name}"
            self.assertGreater(self.expected(made)[name], 0)
            self.assertIsNone(self.create(self.GPU, name, UUIDS[number]))
            made.append(name)
            self.assertEqual(self.available(self.GPU), self.expected(made))
        self.assertEqual(self.create(self.GPU, "i915-GVTg_V5_4", UUIDS[9]), "ENOSPC")
        for number in (3, 0, 4, 1, 2):
            self.remove(UUIDS[number])
        self.assertEqual(self.available(self.GPU), self.expected([]))

    def test_each_resource_runs_out(self):
        self.assertIsNone(self.create(self.GPU, "i915-GVTg_V5_1", UUIDS[0]))
        self.assertEqual(self.create(self.GPU, "i915-GVTg_V5_1", UUIDS[1]), "ENOSPC")  # no high memory is left
        self.remove(UUIDS[0])
        for uuid in UUIDS[:7]:
            self.assertIsNone(self.create(self.GPU, "i915-GVTg_V5_8", uuid))
        self.assertEqual(self.create(self.GPU, "i915-GVTg_V5_8", UUIDS[7]), "ENOSPC")  # no fence and no id is left

    def test_type_files(self):
        types = f"{PCI}/{self.GPU}/mdev_supported_types"
        for name, (low, high, fence) in self.TYPES.items():
            lines = self.inside.read(f"{types}/{name}/description").splitlines()
            self.assertEqual(lines[:3], [f"low_gm_size: {low}MB", f"high_gm_size: {high}MB", f"fence: {fence}"])
            self.assertEqual([line.split(":")[0] for line in lines[3:]], ["resolution", "weight"])
            self.assertEqual(self.inside.read(f"{types}/{name}/name"), name.removeprefix("i915-") + "\n")
            self.assertEqual(self.inside.read(f"{types}/{name}/device_api"), "vfio-pci\n")
            self.assertEqual(
                self.inside.listdir(f"{types}/{name}"),
                ["available_instances", "create", "description", "device_api", "devices", "name"],
            )

    def test_vgpu_id_is_the_lowest_free_one(self):
        for uuid in UUIDS[:3]:
            self.create(self.GPU, "i915-GVTg_V5_8", uuid)
        self.remove(UUIDS[1])
        self.create(self.GPU, "i915-GVTg_V5_8", UUIDS[3])
        ids = [self.inside.read(f"{MDEVS}/{uuid}/intel_vgpu/vgpu_id") for uuid in (UUIDS[0], UUIDS[3], UUIDS[2])]
        self.assertEqual(ids, ["1\n", "2\n", "3\n"])

    def test_pci_files(self):
        gpu = f"{PCI}/{self.GPU}"
        for name, content in {
            "vendor": "0x8086\n",
            "device": "0x5917\n",
            "class": "0x030000\n",
            "numa_node": "-1\n",
            "boot_vga": "1\n",
            "driver_override": "(null)\n",
            "modalias": "pci:v00008086d00005917sv000017AAsd00002258bc03sc00i00\n",
            "uevent": "DRIVER=i915\nPCI_CLASS=30000\nPCI_ID=8086:5917\nPCI_SUBSYS_ID=17AA:2258\n"
            "PCI_SLOT_NAME=0000:00:02.0\nMODALIAS=pci:v00008086d00005917sv000017AAsd00002258bc03sc00i00\n",
        }.items():
            self.assertEqual(self.inside.read(f"{gpu}/{name}"), content, name)
        self.assertEqual(self.inside.read(f"{gpu}/config")[:4], "\x86\x80\x17\x59")
        self.assertEqual(self.inside.readlink(f"{gpu}/driver"), "../../../bus/pci/drivers/i915")
        self.assertEqual(self.inside.listdir(f"{gpu}/drm"), ["card0", "renderD128"])
        self.assertEqual(
            self.inside.read("/sys/class/drm/card0/uevent"),
            "MAJOR=226\nMINOR=0\nDEVNAME=dri/card0\nDEVTYPE=drm_minor\n",
        )
        self.inside.write(f"{gpu}/driver_override", "vfio-pci\n")
        self.assertEqual(self.inside.read(f"{gpu}/driver_override"), "vfio-pci\n")
        self.inside.write(f"{gpu}/driver_override", "\n")
        self.assertEqual(self.inside.read(f"{gpu}/driver_override"), "(null)\n")

    def test_libudev(self):
        self.assertEqual(
            self.inside.enumerate("pci"),
            ["/sys/devices/pci0000:00/0000:00:02.0", "/sys/devices/pci0000:00/0000:00:1f.6"],
        )
        self.create(self.GPU, "i915-GVTg_V5_4", UUIDS[0])
        self.assertEqual(self.inside.enumerate("mdev"), [f"/sys/devices/pci0000:00/0000:00:02.0/{UUIDS[0]}"])
        self.assertEqual(self.inside.properties(f"{PCI}/{self.GPU}")["PCI_CLASS"], "30000")
        names = self.inside.hwdb(self.inside.read(f"{PCI}/{self.GPU}/modalias").strip())
        self.assertEqual(names["ID_VENDOR_FROM_DATABASE"], "Intel Corporation")


class A2Test(ModelTest):
    GPU = "0000:08:00.0"
    VFS = [f"0000:08:{(4 + i) >> 3:02x}.{(4 + i) & 7}" for i in range(16)]
    SIZES = {1: (742, 744, 749), 2: (743, 745, 750), 4: (746, 751, 754), 8: (747, 752, 755), 16: (748, 753, 756)}

    def setUp(self):
        self.start("nvidia-a2")

    def creatable(self, vf):
        """The numbers of the types with available_instances 1 on a VF; all other types must have 0."""
        available = self.available(vf)
        self.assertEqual(len(available), 15)
        self.assertLessEqual(set(available.values()), {0, 1})
        return {int(name.removeprefix("nvidia-")) for name, count in available.items() if count}

    def test_functions(self):
        self.assertEqual((self.VFS[0], self.VFS[-1]), ("0000:08:00.4", "0000:08:02.3"))
        for number, vf in enumerate(self.VFS):
            self.assertEqual(self.inside.readlink(f"{PCI}/{self.GPU}/virtfn{number}"), f"../{vf}")
            self.assertEqual(self.inside.readlink(f"{PCI}/{vf}/physfn"), f"../{self.GPU}")
        self.assertFalse(self.inside.exists(f"{PCI}/{self.GPU}/virtfn16"))
        self.assertEqual(self.inside.listdir("/sys/class/mdev_bus"), sorted(self.VFS))
        for name, content in {
            "sriov_totalvfs": "16\n",
            "sriov_numvfs": "16\n",
            "sriov_offset": "4\n",
            "sriov_stride": "1\n",
            "sriov_vf_device": "25b6\n",
            "sriov_drivers_autoprobe": "1\n",
            "numa_node": "0\n",
            "class": "0x030200\n",
            "current_link_speed": "16.0 GT/s PCIe\n",
            "current_link_width": "8\n",
        }.items():
            self.assertEqual(self.inside.read(f"{PCI}/{self.GPU}/{name}"), content, name)
        groups = {self.inside.readlink(f"{PCI}/{name}/iommu_group") for name in self.VFS + [self.GPU]}
        self.assertEqual(len(groups), 17)
        # NVIDIA's driver cannot change the number (8: ENOENT), and the kernel reads 16 bits (70000: EINVAL).
        for text, error in {"16": None, "17": "ERANGE", "x": "EINVAL", "8": "ENOENT", "70000": "EINVAL"}.items():
            self.assertEqual(self.inside.error("write", f"{PCI}/{self.GPU}/sriov_numvfs", text), error, text)

    def test_one_size_at_a_time(self):
        self.assertEqual(len(self.creatable(self.VFS[0])), 15)
        self.assertIsNone(self.create(self.VFS[0], "nvidia-746", UUIDS[0]))
        self.assertEqual(self.creatable(self.VFS[0]), set())
        for vf in self.VFS[1:]:
            self.assertEqual(self.creatable(vf), set(self.SIZES[4]))
        self.assertEqual(self.create(self.VFS[1], "nvidia-745", UUIDS[1]), "EIO")
        self.assertEqual(self.create(self.VFS[0], "nvidia-746", UUIDS[1]), "EIO")
        for number in range(1, 4):
            self.assertIsNone(self.create(self.VFS[number], f"nvidia-{self.SIZES[4][number % 3]}", UUIDS[number]))
        for vf in self.VFS:
            self.assertEqual(self.creatable(vf), set())
        self.assertEqual(self.create(self.VFS[9], "nvidia-746", UUIDS[9]), "EIO")
        for number in range(4):
            self.remove(UUIDS[number])
        self.assertEqual(len(self.creatable(self.VFS[0])), 15)

    def test_capacity_of_each_size(self):
        for size, types in self.SIZES.items():
            count = 16 // size
            for number in range(count):
                self.assertIsNone(self.create(self.VFS[number], f"nvidia-{types[0]}", UUIDS[number]))
            if size > 1:
                self.assertEqual(self.create(self.VFS[count], f"nvidia-{types[0]}", UUIDS[count]), "EIO")
            for number in range(count):
                self.remove(UUIDS[number])

    def test_type_files(self):
        path = f"{PCI}/{self.VFS[3]}/mdev_supported_types/nvidia-746"
        self.assertEqual(self.inside.read(f"{path}/name"), "NVIDIA A2-4Q\n")
        self.assertEqual(
            self.inside.read(f"{path}/description"),
            "num_heads=4, frl_config=60, framebuffer=4096M, max_resolution=7680x4320, max_instance=4\n",
        )

    def test_vendor_files(self):
        self.create(self.VFS[0], "nvidia-746", UUIDS[0])
        path = f"{MDEVS}/{UUIDS[0]}/nvidia/vgpu_params"
        self.assertEqual(self.inside.read(path), "\n")
        self.inside.write(path, "frame_rate_limiter=01")  # the driver drops the last byte, whatever it is
        self.assertEqual(self.inside.read(path), "frame_rate_limiter=0\n")
        self.inside.write(path, "frame_rate_limiter=0\n")
        self.assertEqual(self.inside.read(path), "frame_rate_limiter=0\n")
        self.assertEqual(self.inside.error("write", path, "x" * 1024), "E2BIG")
        self.host.ctl("hold-device", UUIDS[0])
        self.assertEqual(self.inside.error("write", path, "y=1"), "EPERM")
        self.host.ctl("drop-device", UUIDS[0])
        self.assertEqual(self.inside.read(f"{MDEVS}/{UUIDS[0]}/nvidia/vm_name"), "\n")
        self.assertEqual(
            self.inside.readlink(f"{MDEVS}/{UUIDS[0]}/driver").rsplit("/", 1)[1], "nvidia-vgpu-vfio"
        )


class OtherTest(ModelTest):
    def test_plain(self):
        self.start("plain")
        self.assertEqual(self.inside.listdir("/sys/class/mdev_bus"), ["mbochs", "mdpy", "mtty"])
        self.assertFalse(self.inside.exists(f"{PCI}/0000:03:00.0/mdev_supported_types"))
        self.assertEqual(self.inside.read(f"{PCI}/0000:03:00.0/boot_vga"), "1\n")
        self.assertEqual(self.inside.read(f"{PCI}/0000:03:00.0/numa_node"), "-1\n")
        self.assertEqual(self.inside.read(f"{PCI}/0000:03:00.0/max_link_width"), "16\n")
        self.assertEqual(self.available("mdpy"), {"mdpy-hd": 4, "mdpy-vga": 4, "mdpy-xga": 4})
        self.assertEqual(self.available("mtty"), {"mtty-1": 24, "mtty-2": 12})
        self.assertEqual(self.available("mbochs"), {"mbochs-large": 4, "mbochs-medium": 16, "mbochs-small": 64})
        self.assertIsNone(self.create("mdpy", "mdpy-xga", UUIDS[0]))
        self.assertEqual(self.inside.read(f"{MDEVS}/{UUIDS[0]}/vendor/resolution"), "1024x768\n")
        self.assertEqual(self.available("mdpy"), {"mdpy-hd": 3, "mdpy-vga": 3, "mdpy-xga": 3})
        self.assertEqual(self.inside.readlink("/sys/devices/virtual/mdpy/mdpy/subsystem"), "../../../../class/mdpy")
        self.assertFalse(self.inside.exists("/sys/devices/virtual/mdpy/mdpy/driver"))

    def test_several_models(self):
        self.start("gvt-g", "nvidia-a2", "plain", "samples")
        self.assertEqual(len(self.inside.listdir("/sys/class/mdev_bus")), 1 + 16 + 3)
        boot = [
            name
            for name in self.inside.listdir(PCI)
            if self.inside.exists(f"{PCI}/{name}/boot_vga") and self.inside.read(f"{PCI}/{name}/boot_vga") == "1\n"
        ]
        self.assertEqual(boot, ["0000:00:02.0"])

    def test_scalable_on_functions(self):
        self.start("scalable", options=simhost.scalable(gpus=10, vfs=12, types=7, populate=25))
        parents = self.inside.listdir("/sys/class/mdev_bus")
        self.assertEqual(len(parents), 120)
        self.assertEqual({name.split(":")[0] for name in parents}, {"0000", "0001"})
        self.assertEqual(len(self.inside.listdir(f"{PCI}/{parents[-1]}/mdev_supported_types")), 7)
        self.assertEqual(len(self.inside.listdir(MDEVS)), 25)
        self.assertEqual(self.host.events(), [])  # the parents exist before the first listener
        self.assertEqual({self.inside.read(f"{PCI}/{name}/numa_node") for name in parents}, {"0\n", "1\n"})

    def test_scalable_on_gpus(self):
        self.start("scalable", options=simhost.scalable(gpus=1, vfs=0, types=6))
        gpu = self.inside.listdir("/sys/class/mdev_bus")[0]
        self.assertFalse(self.inside.exists(f"{PCI}/{gpu}/sriov_totalvfs"))
        before = self.available(gpu)
        self.assertEqual(before["nvidia-1005"], 8)  # 8 instances fill 64 GiB
        for uuid in UUIDS[:8]:
            self.assertIsNone(self.create(gpu, "nvidia-1005", uuid))
        self.assertEqual(self.create(gpu, "nvidia-1005", UUIDS[8]), "EIO")
        self.assertEqual(set(self.available(gpu).values()), {0})
        for uuid in UUIDS[:8]:
            self.remove(uuid)
        self.assertEqual(self.available(gpu), before)

    def test_set(self):
        self.start("gvt-g")
        path = f"{PCI}/0000:00:02.0/numa_node"
        self.host.ctl("set", path, "1")
        self.assertEqual(self.inside.read(path), "1\n")
        available = "/sys/class/mdev_bus/0000:00:02.0/mdev_supported_types/i915-GVTg_V5_4/available_instances"
        self.host.ctl("set", available, "many\\nlines")
        self.assertEqual(self.inside.read(available), "many\nlines\n")
        for bad, error in {"/sys/nothing": "ENOENT", "/etc/passwd": "EINVAL", "/sys/bus": "EISDIR"}.items():
            with self.assertRaises(simhost.ControlError) as caught:
                self.host.ctl("set", bad, "1")
            self.assertEqual(caught.exception.name, error)


if __name__ == "__main__":
    simhost.test_main()
