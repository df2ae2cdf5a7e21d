# SPDX-License-Identifier: LGPL-2.1-or-later
"""A /sys of plain files with any number of instances: NVIDIA GPUs whose virtual functions carry one mediated device each.

The simulated host has at most 16 GPUs with 240 virtual functions, and copying its tree reads each file through FUSE.
This tree has the files that vgpud reads, and no others."""

import os

VENDOR, DEVICE = "0x10de", "0x26b5"
MIB_PER_GIB = 1024
SIZES_GIB = (1, 2, 3, 4, 6, 8, 12, 16, 32, 64)
SERIES = "QBCA"
DRIVER, MDEV_DRIVER = "nvidia", "vfio_mdev"


def uuid(number):
    return f"{number:08x}-0000-4000-8000-{number:012x}"


class Writer:
    """Writes files. The tree repeats a few texts a hundred thousand times: hard links save memory."""

    def __init__(self, root):
        self.root = root
        self.known = {}

    def folder(self, path):
        os.makedirs(f"{self.root}/{path}", exist_ok=True)

    def file(self, path, text):
        target = f"{self.root}/{path}"
        first = self.known.setdefault(text, target)
        if first is not target:
            os.link(first, target)
            return
        with open(target, "w", encoding="utf-8") as stream:
            stream.write(text)

    def link(self, path, target):
        """Make a relative link at a path below the root to another path below it."""
        os.symlink("../" * path.count("/") + target, f"{self.root}/{path}")


def type_texts(number, room):
    size = SIZES_GIB[number % len(SIZES_GIB)]
    letter = SERIES[number // len(SIZES_GIB) % len(SERIES)]
    return {
        "available_instances": "0\n" if room == 0 else f"{room}\n",
        "create": "",
        "description": f"num_heads=4, frl_config=60, framebuffer={size * MIB_PER_GIB}M, max_resolution=7680x4320, "
                       f"max_instance={4096 // size}\n",
        "device_api": "vfio-pci\n",
        "name": f"NVIDIA S64-{size}{letter}\n",
    }


def write_function(writer, bridge, name, group, more):
    """Write a PCI function; return its path."""
    path = f"{bridge}/{name}"
    writer.folder(path)
    for file, text in {"class": "0x030200\n", "vendor": f"{VENDOR}\n", "device": f"{DEVICE}\n", "subsystem_vendor": f"{VENDOR}\n",
                       "subsystem_device": "0x169d\n", "numa_node": "0\n", "uevent": f"DRIVER={DRIVER}\n", **more}.items():
        writer.file(f"{path}/{file}", text)
    writer.folder(f"kernel/iommu_groups/{group}")
    writer.link(f"{path}/subsystem", "bus/pci")
    writer.link(f"{path}/driver", f"bus/pci/drivers/{DRIVER}")
    writer.link(f"{path}/iommu_group", f"kernel/iommu_groups/{group}")
    writer.link(f"bus/pci/devices/{name}", path)
    return path


def write_parent(writer, path, n_types, number, group):
    """Write the types of a parent and, unless the number is 0, an instance of the first type."""
    for i in range(n_types):
        folder = f"{path}/mdev_supported_types/nvidia-{1000 + i}"
        writer.folder(folder)
        for file, text in type_texts(i, 0 if number else 1).items():
            writer.file(f"{folder}/{file}", text)
    writer.link(f"class/mdev_bus/{os.path.basename(path)}", path)
    if not number:
        return
    instance = f"{path}/{uuid(number)}"
    writer.folder(instance)
    writer.folder(f"kernel/iommu_groups/{group}")
    writer.file(f"{instance}/uevent", f"DRIVER={MDEV_DRIVER}\n")
    writer.file(f"{instance}/remove", "")
    writer.link(f"{instance}/subsystem", "bus/mdev")
    writer.link(f"{instance}/driver", f"bus/mdev/drivers/{MDEV_DRIVER}")
    writer.link(f"{instance}/mdev_type", f"{path}/mdev_supported_types/nvidia-1000")
    writer.link(f"{instance}/iommu_group", f"kernel/iommu_groups/{group}")
    writer.link(f"bus/mdev/devices/{uuid(number)}", instance)


def build(root, gpus, vfs, types):
    """Write `gpus` GPUs, each in a PCI domain of its own, with `vfs` virtual functions, each with an instance."""
    writer = Writer(root)
    for folder in ("bus/pci/devices", f"bus/pci/drivers/{DRIVER}", "bus/mdev/devices", f"bus/mdev/drivers/{MDEV_DRIVER}",
                   "class/mdev_bus", "kernel/iommu_groups", "module"):
        writer.folder(folder)
    group = number = 0
    for gpu in range(gpus):
        bridge = f"devices/pci{gpu:04x}:10/{gpu:04x}:10:01.0"
        writer.folder(bridge)
        group += 1
        pf = write_function(writer, bridge, f"{gpu:04x}:11:00.0", group, {
            "sriov_totalvfs": f"{vfs}\n", "sriov_numvfs": f"{vfs}\n", "sriov_drivers_autoprobe": "1\n",
            "current_link_speed": "16.0 GT/s PCIe\n", "max_link_speed": "16.0 GT/s PCIe\n", "current_link_width": "16\n",
            "max_link_width": "16\n"})
        for vf in range(vfs):
            bus, rest = divmod(vf + 4, 256)
            name = f"{gpu:04x}:{0x11 + bus:02x}:{rest >> 3:02x}.{rest & 7}"
            group, number = group + 2, number + 1
            path = write_function(writer, bridge, name, group, {"sriov_vf_msix_count": "0\n"})
            writer.link(f"{path}/physfn", pf)
            writer.link(f"{pf}/virtfn{vf}", path)
            write_parent(writer, path, types, number, group + 1)
