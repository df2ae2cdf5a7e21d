#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tests the models of NVIDIA, AMD and XenGT: their files and rules, each errno, the order of events, and that a read of
a file with side effects ends the host."""

import json
import os
import re
import subprocess
import unittest

import simhost

PCI = "/sys/bus/pci/devices"


class VendorTest(unittest.TestCase):
    def start(self, *models, **options):
        self.host = self.enterContext(simhost.Host(models, **options))
        self.inside = self.host.agent()

    def read(self, path):
        return self.inside.read(path)

    def write(self, path, text):
        """The name of the errno, or None."""
        return self.inside.error("write", path, text)

    def mode(self, path):
        return oct(self.inside.stat(path)["mode"] & 0o7777)

    def names(self, directory):
        return set(self.inside.listdir(directory))

    def events(self, since, *subsystems):
        """(action, name of the device) of all events after the first `since`."""
        return [
            (action, path.rsplit("/", 1)[1])
            for action, path, subsystem, _ in self.host.events()[since:]
            if subsystem in subsystems
        ]


class XenGtTest(VendorTest):
    VGT = "/sys/kernel/vgt"
    CREATE = f"{VGT}/control/create_vgt_instance"
    # Low and high graphics memory in MiB, and fences: all of the GPU, and the part that guests can have.
    TOTAL = (512, 3584, 32)
    LEFT = (512 - 96 - 32, 3584 - 384, 32 - 4)

    def setUp(self):
        self.start("xengt")
        for domain in range(1, 13):
            self.host.ctl("domain", domain, "begin")

    def left(self):
        line = self.read(f"{self.VGT}/control/available_resource").splitlines()[0]
        self.assertRegex(line, r"^(0x[0-9a-f]{8}, ){5}0x[0-9a-f]{8}$")
        numbers = [int(word, 16) for word in line.split(", ")]
        self.assertEqual(tuple(numbers[::2]), self.TOTAL)
        return tuple(numbers[1::2])

    def test_host(self):
        self.assertFalse(self.inside.exists("/sys/class/mdev_bus"))
        self.assertEqual(self.inside.readlink(f"{PCI}/0000:00:02.0/driver").rsplit("/", 1)[1], "i915")
        self.assertFalse(self.inside.exists(f"{PCI}/0000:00:02.0/sriov_totalvfs"))
        self.assertEqual(self.names(self.VGT), {"control"})
        self.assertEqual(
            {name: self.mode(f"{self.VGT}/control/{name}") for name in ("create_vgt_instance", "available_resource")},
            {"create_vgt_instance": "0o220", "available_resource": "0o440"},
        )
        self.assertEqual(self.inside.error("read", self.CREATE), "EACCES")
        self.assertLessEqual({f"PORT_{port}" for port in "ABCDE"}, self.names(f"{self.VGT}/control"))
        self.assertEqual(self.left(), self.LEFT)

    def test_life(self):
        self.assertIsNone(self.write(self.CREATE, "3,64,448,4,1"))
        vm = f"{self.VGT}/vm3"
        self.assertEqual(
            {name: self.read(f"{vm}/{name}") for name in ("vgt_id", "gm_sz", "aperture_sz", "schedule")},
            {"vgt_id": "1\n", "gm_sz": f"{512 << 20:016x}\n", "aperture_sz": f"{64 << 20:016x}\n", "schedule": "REMOVED\n"},
        )
        self.assertEqual(self.left(), (self.LEFT[0] - 64, self.LEFT[1], self.LEFT[2] - 4))
        self.assertIsNone(self.write(self.CREATE, "12,128,384,8"))
        self.assertEqual(self.names(self.VGT), {"control", "vm3", "vm12"})
        self.assertIsNone(self.write(f"{vm}/start", "1"))
        self.assertEqual(self.read(f"{vm}/schedule"), "DEACTIVE\n")
        self.assertIsNone(self.write(self.CREATE, "-3\n"))
        self.assertEqual(self.names(self.VGT), {"control", "vm12"})
        self.assertEqual(self.inside.error("read", f"{vm}/vgt_id"), "ENOENT")
        self.assertIsNone(self.write(self.CREATE, "-12"))
        self.assertEqual(self.left(), self.LEFT)
        self.assertEqual(self.host.events(), [])  # no event

    def test_refusals(self):
        self.assertIsNone(self.write(self.CREATE, "3,64,448,4"))
        for text, error in {
            "3,64,448,4": "EINVAL",  # the domain has a vGPU already
            "4": "EINVAL",
            "4,64": "EINVAL",
            "4,64,448": "EINVAL",
            "0,64,448,4": "EINVAL",
            "4, 64, 448, 4": "EINVAL",  # only the first word counts
            "4,0,448,4": "EINVAL",
            "4,64,-1,4": "EINVAL",
            "4,64,448,0": "EINVAL",
            "4,64,448,4,2": "EINVAL",
            "4,64,448,4,1,101": "EINVAL",
            "x": "EINVAL",
            "-4": "ENODEV",
            "4,512,448,4": "ENOMEM",
            "4,64,3201,4": "ENOMEM",
            "4,64,448,32": "ENOMEM",
            "13,64,448,4": "EFAULT",  # domain 13 does not exist
        }.items():
            self.assertEqual(self.write(self.CREATE, text), error, text)
        self.assertEqual(self.names(self.VGT), {"control", "vm3"})

    def test_ids_run_out(self):
        for vm in range(1, 8):
            self.assertIsNone(self.write(self.CREATE, f"{vm},16,64,2"))
        self.assertEqual(self.write(self.CREATE, "8,16,64,2"), "ENOSPC")
        self.assertIsNone(self.write(self.CREATE, "-4"))
        self.assertIsNone(self.write(self.CREATE, "8,16,64,2"))
        self.assertEqual(self.read(f"{self.VGT}/vm8/vgt_id"), "4\n")

    def test_memory_is_in_one_piece(self):
        for vm in range(1, 7):
            self.assertIsNone(self.write(self.CREATE, f"{vm},64,64,4"))
        self.assertEqual(self.left()[0], 0)
        for vm in (2, 4):
            self.assertIsNone(self.write(self.CREATE, f"-{vm}"))
        self.assertEqual(self.left()[0], 128)
        self.assertEqual(self.write(self.CREATE, "9,128,64,4"), "ENOMEM")
        self.assertIsNone(self.write(self.CREATE, "9,64,64,4"))

    def test_high_memory_is_shared(self):
        for vm in range(1, 7):
            self.assertIsNone(self.write(self.CREATE, f"{vm},64,3200,4"))
        self.assertEqual(self.left(), (0, *self.LEFT[1:2], self.LEFT[2] - 24))

    def test_domains(self):
        backends = "/sys/bus/xen-backend/devices"
        self.assertEqual(self.read("/sys/hypervisor/type"), "xen\n")
        self.assertEqual(self.names(backends), {f"console-{n}-0" for n in range(1, 13)})
        self.assertIsNone(self.write(self.CREATE, "12,64,448,4"))
        self.host.ctl("domain", 12, "end")
        self.assertNotIn("console-12-0", self.names(backends))
        self.assertIn("vm12", self.names(self.VGT))  # the directory stays
        self.assertIsNone(self.write(self.CREATE, "-12"))

    def test_display(self):
        path = f"{self.VGT}/control/foreground_vm"
        self.assertIsNone(self.write(self.CREATE, "3,64,448,4"))
        self.assertEqual([self.write(path, text) for text in ("x", "7", "3", "0")], ["EINVAL", "ENODEV", "EAGAIN", None])
        self.assertIsNone(self.write(f"{self.VGT}/vm3/start", "1"))
        self.assertIsNone(self.write(path, "3"))
        self.assertEqual(self.read(path), "3\n")


class GimTest(VendorTest):
    GPUS = ("0000:05:00.0", "0000:26:00.0")
    GPU = f"{PCI}/{GPUS[0]}"

    def setUp(self):
        self.start("gim-mi300x")

    def memory(self):
        return self.read(f"{self.GPU}/memory_partition_mode").splitlines()[0].removeprefix("memory_partition_mode: ")

    def accelerator(self):
        """Index, name and number of partitions."""
        return tuple(self.read(f"{self.GPU}/accelerator_partition_profile").splitlines()[1].split()[:3])

    def test_functions(self):
        for gpu in self.GPUS:
            self.assertEqual(self.read(f"{PCI}/{gpu}/class"), "0x120000\n")
            self.assertEqual(self.read(f"{PCI}/{gpu}/device"), "0x74a1\n")
            self.assertEqual(self.read(f"{PCI}/{gpu}/sriov_numvfs"), "4\n")
            self.assertEqual(self.read(f"{PCI}/{gpu}/sriov_totalvfs"), "8\n")
            for text, error in {"0": "ENOENT", "2": "ENOENT", "4": None, "9": "ERANGE", "x": "EINVAL"}.items():
                self.assertEqual(self.write(f"{PCI}/{gpu}/sriov_numvfs", text), error, text)
            self.assertFalse(self.inside.exists(f"{PCI}/{gpu}/virtfn0/driver"))
        self.assertEqual(self.inside.readlink(f"{self.GPU}/virtfn0"), "../0000:05:02.0")

    def test_files(self):
        self.assertEqual(self.read(f"{self.GPU}/spatial_partition_caps"), "num_xcc=8 num_sdma=16 num_vcn=4 num_jpeg=32\n")
        self.assertEqual(self.read(f"{self.GPU}/memory_partition_config"), "NPS1 NPS4 \n")
        self.assertEqual(self.read(f"{self.GPU}/spatial_partition_mode"), "QPX\n")
        self.assertEqual(self.accelerator(), ("2", "QPX", "4"))
        table = self.read(f"{self.GPU}/accelerator_partition_profile_config").splitlines()
        self.assertEqual([line.split()[1] for line in table[table.index("profiles:") + 2 :]], ["SPX", "DPX", "QPX", "CPX"])
        for name, mode in {
            "reset_gpu": "0o400",
            "psp_vbflash": "0o664",
            "accelerator_partition_profile": "0o600",
            "memory_partition_mode": "0o600",
            "spatial_partition_mode": "0o400",
        }.items():
            self.assertEqual(self.mode(f"{self.GPU}/{name}"), mode, name)  # stat() of a file is harmless

    def test_stores_succeed_whatever_happens(self):
        profile, memory = f"{self.GPU}/accelerator_partition_profile", f"{self.GPU}/memory_partition_mode"
        self.assertEqual([self.write(profile, "x"), self.write(memory, "NPS3"), self.write(memory, "x")], ["EINVAL"] * 3)
        self.assertIsNone(self.write(memory, "NPS2"))  # no effect: NPS2 is not possible with four functions
        self.assertEqual(self.memory(), "NPS1")
        for text in ("7", "0", "1"):  # no such profile; fewer partitions than functions
            self.assertIsNone(self.write(profile, text))
            self.assertEqual(self.accelerator(), ("2", "QPX", "4"))
        self.assertIsNone(self.write(profile, "3\n"))
        self.assertEqual(self.accelerator(), ("3", "CPX", "8"))
        self.assertEqual(self.read(f"{self.GPU}/spatial_partition_mode"), "QPX\n")
        self.assertIsNone(self.write(memory, "NPS8"))
        self.assertEqual(self.memory(), "NPS4")
        self.assertEqual(self.accelerator(), ("2", "QPX", "4"))  # the profile that the memory mode implies

    def test_linked(self):
        """Linked GPUs change together."""
        other = f"{PCI}/{self.GPUS[1]}"
        self.assertIsNone(self.write(f"{self.GPU}/memory_partition_mode", "NPS4"))
        self.assertTrue(self.read(f"{other}/memory_partition_mode").startswith("memory_partition_mode: NPS4\n"))
        self.assertIsNone(self.write(f"{other}/accelerator_partition_profile", "3"))
        self.assertEqual(self.accelerator(), ("3", "CPX", "8"))

    def test_no_change_while_used(self):
        vf = "0000:26:02.1"
        self.inside.write(f"{PCI}/{vf}/driver_override", "vfio-pci")
        self.inside.write("/sys/bus/pci/drivers_probe", vf)
        self.host.ctl("hold-device", vf)
        self.assertIsNone(self.write(f"{self.GPU}/accelerator_partition_profile", "3"))
        self.assertEqual(self.accelerator(), ("2", "QPX", "4"))
        self.host.ctl("drop-device", vf)
        self.assertIsNone(self.write(f"{self.GPU}/accelerator_partition_profile", "3"))
        self.assertEqual(self.accelerator(), ("3", "CPX", "8"))

    def test_reload(self):
        self.host.ctl("unload", "gim")
        self.assertFalse(self.inside.exists(f"{self.GPU}/virtfn0"))
        self.assertFalse(self.inside.exists(f"{self.GPU}/memory_partition_mode"))
        since = len(self.host.events())
        self.host.ctl("load", "gim")
        functions = [f"0000:05:02.{n}" for n in range(4)]
        expected = [(action, vf) for vf in functions for action in ("add", "change")]
        expected += [("change", self.GPUS[0]), ("bind", self.GPUS[0])]
        self.assertEqual(self.events(since, "pci")[: len(expected)], expected)
        self.assertEqual(self.memory(), "NPS1")


class ForbiddenTest(unittest.TestCase):
    """Files that no program may open."""

    def check(self, model, path, prepare=(), domain=0):
        with self.assertRaises(simhost.HostAborted):
            with simhost.Host([model]) as host:
                if domain:
                    host.ctl("domain", domain, "begin")
                for command in prepare:
                    host.run(["sh", "-c", command])
                host.run(["cat", path], capture_output=True)
                host.process.wait(simhost.DEADLINE)
        simhost.wait_until(lambda: not os.path.exists(os.path.dirname(host.control)))

    def test_gim_reset(self):
        self.check("gim-mi300x", f"{PCI}/0000:05:00.0/reset_gpu")

    def test_gim_flash(self):
        self.check("gim-mi300x", f"{PCI}/0000:26:00.0/psp_vbflash")

    def test_first_gim_reset(self):
        self.check("gim-s7150", f"{PCI}/0000:83:00.0/hotlink_reset")

    def test_first_gim_divides_by_zero(self):
        gpu = f"{PCI}/0000:83:00.0"
        self.check("gim-s7150", f"{gpu}/gpuvf", [f"echo 0 0 0 > {gpu}/getvf; cat {gpu}/getvf"])

    def test_xengt_registers(self):
        self.check("xengt", "/sys/kernel/vgt/control/igd_mmio")

    def test_xengt_snapshot(self):
        self.check("xengt", "/sys/kernel/vgt/vm3/state", ["echo 3,64,448,4 > /sys/kernel/vgt/control/create_vgt_instance"], domain=3)


class FirstGimTest(VendorTest):
    GPU = f"{PCI}/0000:83:00.0"

    def setUp(self):
        self.start("gim-s7150")

    def call(self, name, text):
        self.inside.write(f"{self.GPU}/{name}", text)
        return self.read(f"{self.GPU}/{name}").rstrip("\n")

    def vf(self, number):
        """The entry of a function in the GPU's list: {key: value}."""
        part = self.read(f"{self.GPU}/gpuvf").split("VF #")[number + 1]
        return dict(line.strip().split(":", 1) for line in part.splitlines()[1:])

    def test_files(self):
        self.assertEqual(self.read(f"{self.GPU}/sriov_numvfs"), "8\n")
        self.assertEqual(self.write(f"{self.GPU}/sriov_numvfs", "2"), "ENOENT")
        self.assertEqual(
            self.vf(2),
            {
                "Type": "S7150",
                "BusId": "0000:83:02.2",
                "Name": "MxGPU_V1_8",
                "VF State": "Available",
                "VF Size": "992 M",
                "GFX engine partition": "12%",
            },
        )
        text = self.read(f"{self.GPU}/virtfn2/gpuvf")
        self.assertTrue(text.startswith("GPU:0000:83:00.0\n\tActive vGPUs:0\n\tvGPU ID:0000:83:02.2\n"))
        self.assertIn("vGPU State:Available\n", text)
        self.assertIn("\tName:S7150\n", self.read("/sys/bus/pci/drivers/gim/gpuinfo"))

    def test_automatic(self):
        made = [self.call("getvf", "0 0 0") for _ in range(8)]
        self.assertEqual(made, [f"0000:83:02.{n}" for n in range(8)])
        self.assertEqual(self.call("getvf", "0 0 0"), "Failed to do getvf with error: Can't find an availible VF")
        self.assertIn("three zero inputs", self.call("relvf", made[3]) + self.call("getvf", "256 512 4"))
        self.assertEqual(self.call("getvf", "0 0 0"), made[3])

    def test_chosen(self):
        self.assertEqual(self.call("getvf", "256 2048 4"), "0000:83:02.0")
        self.assertEqual((self.vf(0)["VF Size"], self.vf(0)["GFX engine partition"]), ("2048 M", "25%"))
        self.assertEqual((self.vf(1)["VF Size"], self.vf(1)["GFX engine partition"]), ("992 M", "0%"))
        for text, words in {
            "0 0 0": "three non-zero inputs",
            "1024 2048 4": "this offset and size",
            "8064 512 4": "this offset and size",
            "128 512 4": "frame buffer offset",
            "4096 512 3": "GFX partition",
            "4096 512 1": "GFX_partition cannot be satisfied",
            "4096 250 4": "frame buffer size",
            "4096 1000 4": "frame buffer size",
            "4096 0 4": "Invalid Parameters",
            "4096": "Invalid Parameters",
        }.items():
            answer = self.call("getvf", text)
            self.assertTrue(answer.startswith("Failed to do getvf with error: "), answer)
            self.assertIn(words, answer, text)
        # The driver does not notice that the two ranges of memory overlap.
        self.assertEqual(self.call("getvf", "1024 512 4"), "0000:83:02.1")
        self.assertEqual(self.call("relvf", "0000:83:02.0"), "OK")
        self.assertEqual(self.vf(0)["VF Size"], "992 M")

    def test_release(self):
        refusals = {"x": "Invalid Parameters", "0000:83:03.0": "cannot be found", "0000:83:02.0": "has not been set"}
        for text, words in refusals.items():
            self.assertIn(words, self.call("relvf", text))
        vf = self.call("getvf", "0 0 0")
        self.inside.write(f"{PCI}/{vf}/driver_override", "vfio-pci")
        self.inside.write("/sys/bus/pci/drivers_probe", vf)
        self.host.ctl("hold-device", vf)
        self.assertIn("still in use", self.call("relvf", vf))
        self.assertIn("\tvGPU State:Active\n", self.read(f"{self.GPU}/virtfn0/gpuvf"))
        self.inside.write(f"{PCI}/{vf}/clrvffb", "0")
        self.assertIn("is in use", self.read(f"{PCI}/{vf}/clrvffb"))
        self.host.ctl("drop-device", vf)
        self.inside.write(f"{PCI}/{vf}/clrvffb", "0")
        self.assertEqual(self.read(f"{PCI}/{vf}/clrvffb"), "OK\n")
        self.assertEqual(self.call("relvf", vf), "OK")
        self.inside.write(f"{PCI}/{vf}/clrvffb", "0")
        self.assertIn("not setup yet", self.read(f"{PCI}/{vf}/clrvffb"))
        self.inside.write(f"{PCI}/{vf}/clrvffb", "x")
        self.assertIn("Invalid Parameters", self.read(f"{PCI}/{vf}/clrvffb"))

    def test_lock(self):
        other = self.host.agent()
        self.host.ctl("gim-lock", simhost.DEADLINE)
        self.inside.write(f"{self.GPU}/getvf", "0 0 0")
        other.start("write", f"{self.GPU}/getvf", "0 0 0")
        self.host.await_waiting("lock gim")
        self.assertEqual(self.read(f"{self.GPU}/getvf"), "0000:83:02.0\n")  # the read releases the lock
        other.finish()
        self.inside.start("read", f"{self.GPU}/virtfn7/gpuvf")
        self.host.await_waiting("lock gim")
        self.host.ctl("gim-lock", 0)
        self.assertIn("MxGPU_V1_8", self.inside.finish())  # the driver's wait for the reader times out
        self.assertEqual(other.read(f"{self.GPU}/getvf"), "0000:83:02.1\n")


class NvidiaTest(VendorTest):
    """Common parts of the tests of NVIDIA's cards."""

    def boot(self, model, gpu, **options):
        self.start(model, **options)
        self.gpu = gpu

    def sriov(self, what):
        self.host.ctl("nvidia", "sriov", self.gpu, what)

    def vf(self, number):
        return f"{PCI}/{self.gpu}/virtfn{number}"

    def creatable(self, number):
        """{id: name} of the types that the function lists as creatable."""
        lines = self.read(f"{self.vf(number)}/nvidia/creatable_vgpu_types").splitlines()
        found = (re.fullmatch(r"(\d+) *: (.+)", line) for line in lines)
        return {int(match.group(1)): match.group(2) for match in found if match}

    def set_type(self, number, type_id):
        return self.write(f"{self.vf(number)}/nvidia/current_vgpu_type", str(type_id))

    def type(self, number):
        return self.read(f"{self.vf(number)}/nvidia/current_vgpu_type")

    def address(self, number):
        return self.inside.readlink(self.vf(number)).rsplit("/", 1)[1]

    def code(self, *words):
        """Run a command of nvidia-control.c. Return its reply, which begins with an nvmlReturn_t of NVIDIA's library."""
        return self.host.ctl("nvidia", *words)[0]


class L40sTest(NvidiaTest):
    GPU = "0000:41:00.0"
    SIZES = {1: (1145, 1147, 1157), 2: (1146, 1148, 1158), 3: (1149, 1159, 2164), 4: (1150, 1160), 6: (1151, 1161),
             8: (1152, 1162), 12: (1153, 1163), 16: (1154, 1164), 24: (1155, 1165), 48: (1156, 1166)}

    def setUp(self):
        self.boot("nvidia-l40s", self.GPU)

    def test_before(self):
        self.assertEqual(self.read(f"{PCI}/{self.GPU}/sriov_numvfs"), "0\n")
        self.assertEqual(self.read(f"{PCI}/{self.GPU}/sriov_totalvfs"), "32\n")
        self.assertEqual(self.write(f"{PCI}/{self.GPU}/sriov_numvfs", "32"), "ENOENT")
        self.assertFalse(self.inside.exists(f"{PCI}/{self.GPU}/nvidia"))
        self.assertFalse(self.inside.exists(f"{PCI}/{self.GPU}/virtfn0"))
        self.assertTrue(self.inside.exists("/dev/nvidiactl"))

    def test_files(self):
        self.sriov("enable")
        self.assertEqual(self.address(0), "0000:41:00.4")
        self.assertEqual(self.address(31), "0000:41:04.3")
        vf = self.vf(0)
        self.assertEqual(self.inside.readlink(f"{vf}/driver").rsplit("/", 1)[1], "nvidia")
        self.assertEqual(
            {name: self.mode(f"{vf}/nvidia/{name}") for name in self.names(f"{vf}/nvidia")},
            {
                "creatable_vgpu_types": "0o444",
                "current_vgpu_type": "0o644",
                "vgpu_params": "0o644",
                "placement_id": "0o444",
                "gpu_instance_id": "0o444",
            },
        )
        self.assertEqual(
            self.read(f"{vf}/nvidia/creatable_vgpu_types").splitlines()[:4],
            ["ID    : vGPU Name", "1145  : NVIDIA L40S-1B", "1146  : NVIDIA L40S-2B", "1147  : NVIDIA L40S-1Q"],
        )
        self.assertEqual(len(self.creatable(31)), 23)
        self.assertEqual(self.creatable(5)[2164], "NVIDIA L40S-3B")
        self.assertEqual(self.type(0), "0\n")
        self.assertEqual(self.read(f"{vf}/nvidia/vgpu_params"), "\n")
        for name in ("placement_id", "gpu_instance_id"):
            self.assertEqual(self.inside.error("read", f"{vf}/nvidia/{name}"), "ENXIO")
        group = self.inside.readlink(f"{vf}/iommu_group").rsplit("/", 1)[1]
        self.assertTrue(self.inside.exists(f"/dev/vfio/{group}"))
        self.assertEqual(len(self.inside.listdir(f"{vf}/vfio-dev")), 1)

    def test_one_size(self):
        self.sriov("enable")
        self.assertIsNone(self.set_type(0, "1150\n"))
        self.assertEqual(self.type(0), "1150\n")
        self.assertEqual(self.read(f"{self.vf(0)}/nvidia/creatable_vgpu_types"), "ID    : vGPU Name\n")
        for number in range(1, 32):
            self.assertEqual(set(self.creatable(number)), set(self.SIZES[4]))
        self.assertEqual(self.set_type(1, 1152), "EIO")
        for number in range(1, 12):
            self.assertIsNone(self.set_type(number, self.SIZES[4][number % 2]))
        self.assertEqual(self.creatable(20), {})
        self.assertEqual(self.set_type(20, 1150), "EIO")
        for number in range(12):
            self.assertIsNone(self.set_type(number, 0))
        self.assertEqual(len(self.creatable(0)), 23)

    def test_capacity_of_each_size(self):
        self.sriov("enable")
        for size, ids in self.SIZES.items():
            most = min(48 // size, 32)
            for number in range(most):
                self.assertIsNone(self.set_type(number, ids[-1]), size)
            if most < 32:
                self.assertEqual(self.set_type(most, ids[0]), "EIO")
            for number in range(most):
                self.assertIsNone(self.set_type(number, 0))

    def test_refusals(self):
        self.sriov("enable")
        for text, error in {"x": "EINVAL", "-1": "EINVAL", "0x47e": "EINVAL", "1150 ": "EINVAL",
                            "99999999999": "ERANGE", "99": "EIO", "0": "EPERM"}.items():
            self.assertEqual(self.set_type(0, text), error, text)
        self.assertIsNone(self.set_type(0, 1150))
        self.assertEqual(self.set_type(0, 1150), "EPERM")  # the type that is set
        self.assertEqual(self.set_type(0, 1160), "EPERM")  # another type, without clearing the first by writing 0
        vf = self.address(0)
        self.host.ctl("hold-device", vf)
        self.assertEqual(self.set_type(0, 0), "EPERM")
        self.assertEqual(self.write(f"{self.vf(0)}/nvidia/vgpu_params", "a=1"), "EPERM")
        self.host.ctl("drop-device", vf)
        self.host.ctl("nvidia", "linger", vf, 2)
        self.assertEqual([self.set_type(0, 0) for _ in range(3)], ["EBUSY", "EBUSY", None])
        self.host.fault(f"write:{vf}/current_vgpu_type:errno=EIO:1")
        self.assertEqual([self.set_type(0, 1150) for _ in range(2)], ["EIO", None])

    def test_group_that_only_is_kept(self):
        """A program that only holds the group open does not use the vGPU."""
        self.sriov("enable")
        self.assertIsNone(self.set_type(0, 1150))
        group = self.inside.readlink(f"{self.vf(0)}/iommu_group").rsplit("/", 1)[1]
        fd = self.inside.open(f"/dev/vfio/{group}", os.O_RDONLY)
        self.assertEqual(self.host.agent().error("open", f"/dev/vfio/{group}", os.O_RDONLY), "EBUSY")
        self.assertIsNone(self.set_type(0, 0))
        self.inside.close(fd)

    def test_parameters(self):
        self.sriov("enable")
        path = f"{self.vf(0)}/nvidia/vgpu_params"
        self.assertEqual(self.write(path, "a=1"), "ENXIO")
        self.assertIsNone(self.set_type(0, 1150))
        self.assertIsNone(self.write(path, "frame_rate_limiter=01"))  # the driver drops the last byte
        self.assertEqual(self.read(path), "frame_rate_limiter=0\n")
        self.assertIsNone(self.write(path, "frame_rate_limiter=0\n"))
        self.assertEqual(self.read(path), "frame_rate_limiter=0\n")
        self.assertEqual(self.write(path, "x" * 1024), "E2BIG")
        self.assertIsNone(self.set_type(0, 0))
        self.assertEqual(self.read(path), "\n")

    def test_functions_stay_on_nvidia(self):
        self.sriov("enable")
        vf = self.address(0)
        self.inside.write(f"{PCI}/{vf}/driver_override", "vfio-pci")
        self.inside.write("/sys/bus/pci/drivers/nvidia/unbind", vf)
        self.assertFalse(self.inside.exists(f"{PCI}/{vf}/nvidia"))
        self.assertFalse(self.inside.exists(f"{PCI}/{vf}/vfio-dev"))
        self.assertEqual(self.write("/sys/bus/pci/drivers/vfio-pci/bind", vf), "EINVAL")
        self.inside.write(f"{PCI}/{vf}/driver_override", "\n")
        self.inside.write("/sys/bus/pci/drivers/nvidia/bind", vf)
        self.assertEqual(len(self.creatable(0)), 23)

    def test_events(self):
        since = len(self.host.events())
        self.sriov("enable")
        vf, group = self.address(0), self.inside.readlink(f"{self.vf(0)}/iommu_group").rsplit("/", 1)[1]
        events = self.events(since, "pci", "vfio", "vfio-dev")
        self.assertEqual(events[:2], [("unbind", self.GPU), ("bind", self.GPU)])  # bound to pci-pf-stub
        self.assertEqual(events[2:7], [("add", vf), ("change", vf), ("add", group), ("add", "vfio0"), ("bind", vf)])
        self.assertEqual(events[-3:], [("change", self.GPU), ("unbind", self.GPU), ("bind", self.GPU)])
        self.assertEqual(len(events), 2 + 32 * 5 + 3)
        since = len(self.host.events())
        self.assertIsNone(self.set_type(0, 1150))
        self.assertIsNone(self.set_type(0, 0))
        self.assertEqual(self.events(since, "pci", "vfio", "vfio-dev"), [])  # no event
        self.sriov("disable")
        events = self.events(since, "pci", "vfio", "vfio-dev")
        self.assertEqual(
            events[:6],
            [("unbind", self.GPU), ("bind", self.GPU), ("remove", "vfio0"), ("remove", group), ("unbind", vf), ("remove", vf)],
        )
        self.assertEqual(events[-2:], [("unbind", self.GPU), ("bind", self.GPU)])
        self.assertFalse(self.inside.exists(f"{PCI}/{vf}"))

    def test_disable_forgets(self):
        self.sriov("enable")
        self.assertEqual(self.code("heterogeneous", self.GPU, 1), "0")
        self.assertIsNone(self.set_type(0, 1150))
        self.sriov("disable")
        self.sriov("enable")
        self.assertEqual(self.type(0), "0\n")
        self.assertIn("heterogeneous=0", self.host.ctl("nvidia", "query", self.GPU))

    def test_lock(self):
        """sriov-manage fails while another program has the GPU open."""
        for take, give in (("nvidia hold", "nvidia drop"), (f"nvidia nvml {os.getpid()}", f"nvidia nvml-end {os.getpid()}")):
            self.host.ctl(*take.split(), *([self.GPU] if "hold" in take else []))
            with self.assertRaises(simhost.ControlError) as caught:
                self.sriov("enable")
            self.assertEqual(caught.exception.name, "EBUSY")
            self.assertEqual(caught.exception.text, f"Cannot obtain unbindLock for {self.GPU}")
            self.host.ctl(*give.split(), *([self.GPU] if "hold" in take else []))
        process = subprocess.Popen(["true"])
        self.host.ctl("nvidia", "nvml", process.pid)
        process.wait()
        self.sriov("enable")  # a dead process holds no GPU
        self.host.ctl("hold-device", self.address(7))
        with self.assertRaises(simhost.ControlError):
            self.sriov("disable")
        self.assertEqual(self.read(f"{PCI}/{self.GPU}/sriov_numvfs"), "32\n")

    def test_heterogeneous(self):
        self.assertEqual(self.code("heterogeneous", self.GPU, 1), "29")
        self.sriov("enable")
        self.assertIsNone(self.set_type(0, 1150))
        self.assertEqual(self.read(f"{self.vf(0)}/nvidia/placement_id"), "Not Applicable\n")
        self.assertEqual(self.code("heterogeneous", self.GPU, 1), "19")
        self.assertIsNone(self.set_type(0, 0))
        self.assertEqual(self.code("heterogeneous", self.GPU, 1), "0")
        for number, type_id, place in ((0, 1150, 0), (1, 1152, 8), (2, 1147, 4), (3, 1154, 16), (4, 1151, 32)):
            self.assertIsNone(self.set_type(number, type_id))
            self.assertEqual(self.read(f"{self.vf(number)}/nvidia/placement_id"), f"{place}\n", number)
        self.assertNotIn(1154, self.creatable(10))  # no aligned range of 16 GiB is free
        self.assertIn(1152, self.creatable(10))
        self.assertNotIn(1156, self.creatable(10))

    def test_driver_without_vgpu(self):
        self.host.ctl("nvidia", "manager", self.GPU, 0)
        self.sriov("enable")
        self.assertFalse(self.inside.exists(f"{self.vf(0)}/driver"))
        self.assertFalse(self.inside.exists(f"{self.vf(0)}/nvidia"))
        self.assertEqual(self.write("/sys/bus/pci/drivers/nvidia/bind", self.address(0)), "ENODEV")
        self.host.ctl("nvidia", "manager", self.GPU, 1)
        self.assertIsNone(self.write("/sys/bus/pci/drivers/nvidia/bind", self.address(0)))
        self.assertEqual(len(self.creatable(0)), 23)

    def test_only_one_of_a_large_type(self):
        self.sriov("enable")
        self.assertEqual(self.code("heterogeneous", self.GPU, 1), "0")
        self.assertIsNone(self.set_type(0, 1156))
        self.assertEqual(self.creatable(1), {})


class L40sMdevTest(NvidiaTest):
    GPU = "0000:41:00.0"
    TYPES = "mdev_supported_types"

    def setUp(self):
        self.boot("nvidia-l40s-mdev", self.GPU)

    def test_life(self):
        self.assertFalse(self.inside.exists("/sys/class/mdev_bus"))
        self.sriov("enable")
        self.assertEqual(len(self.inside.listdir("/sys/class/mdev_bus")), 32)
        vf = self.vf(0)
        self.assertFalse(self.inside.exists(f"{vf}/nvidia"))
        self.assertEqual(self.read(f"{vf}/{self.TYPES}/nvidia-1150/name"), "NVIDIA L40S-4Q\n")
        uuid = "aaaaaaaa-0000-4000-8000-000000000001"
        self.assertIsNone(self.write(f"{vf}/{self.TYPES}/nvidia-1150/create", uuid))
        self.assertEqual(self.read(f"{self.vf(1)}/{self.TYPES}/nvidia-1152/available_instances"), "0\n")
        self.assertEqual(self.read(f"{self.vf(1)}/{self.TYPES}/nvidia-1160/available_instances"), "1\n")
        self.assertEqual(self.write(f"{self.vf(1)}/{self.TYPES}/nvidia-1152/create", uuid[:-1] + "2"), "EIO")
        self.host.ctl("hold-device", uuid)
        with self.assertRaises(simhost.ControlError):
            self.sriov("disable")
        self.host.ctl("drop-device", uuid)
        self.sriov("disable")
        self.assertFalse(self.inside.exists(f"/sys/bus/mdev/devices/{uuid}"))
        self.sriov("enable")
        self.assertEqual(self.read(f"{self.vf(1)}/{self.TYPES}/nvidia-1152/available_instances"), "1\n")


    def test_heterogeneous(self):
        def create(number, type_id):
            uuid = f"aaaaaaaa-0000-4000-8000-{number:012x}"
            return self.write(f"{self.vf(number)}/{self.TYPES}/nvidia-{type_id}/create", uuid)

        self.sriov("enable")
        self.assertEqual(self.code("heterogeneous", self.GPU, 1), "0")
        self.assertIsNone(create(0, 1150))
        self.assertEqual(self.code("heterogeneous", self.GPU, 0), "19")
        self.assertIsNone(create(1, 1155))
        self.assertEqual(create(2, 1155), "EIO")  # 20 GiB are left
        self.assertIsNone(create(2, 1154))
        self.assertEqual(self.read(f"{self.vf(3)}/{self.TYPES}/nvidia-1150/available_instances"), "1\n")
        self.assertEqual(self.read(f"{self.vf(3)}/{self.TYPES}/nvidia-1151/available_instances"), "0\n")
        self.sriov("disable")
        self.sriov("enable")
        self.assertIsNone(create(0, 1150))
        self.assertEqual(create(1, 1155), "EIO")


class H200Test(NvidiaTest):
    GPU = "0000:19:00.0"

    def setUp(self):
        self.boot("nvidia-h200", self.GPU)

    def test_time_sliced(self):
        self.sriov("enable")
        lines = self.read(f"{self.vf(0)}/nvidia/creatable_vgpu_types").splitlines()
        self.assertEqual(lines[-1], "1428  : NVIDIA H200X-141C")
        self.assertNotIn("ID    : vGPU Name", lines)
        self.assertFalse([name for name in self.creatable(0).values() if re.search(r"-\d-\d+C", name)])
        self.assertEqual(self.set_type(0, 1414), "EIO")
        self.assertIsNone(self.set_type(0, 1428))
        self.assertEqual(self.creatable(1), {})
        self.assertEqual(self.code("mig", self.GPU, 1), "19")

    def test_mig(self):
        self.assertEqual(self.code("create-instance", self.GPU, 19), "3")
        self.host.ctl("nvidia", "hold", self.GPU)
        self.assertEqual(self.code("mig", self.GPU, 1), "0 19")  # pending until the next reset
        self.assertEqual(self.code("create-instance", self.GPU, 19), "3")
        self.assertEqual(self.code("reset", self.GPU), "19")
        self.host.ctl("nvidia", "drop", self.GPU)
        self.assertEqual(self.code("mig", self.GPU, 1), "0 0")
        self.sriov("enable")
        self.assertEqual(self.creatable(0), {})
        self.assertEqual(self.code("heterogeneous", self.GPU, 1), "3")
        self.assertEqual(self.code("create-instance", self.GPU, 19), "0 1")
        self.assertEqual(self.code("create-instance", self.GPU, 9), "0 2")
        self.assertEqual(self.code("create-instance", self.GPU, 5), "23")
        self.assertEqual(self.code("create-instance", self.GPU, 77), "6")
        self.assertEqual(set(self.creatable(3)), {1414, 1417})
        self.assertIsNone(self.set_type(3, 1414))
        self.assertEqual(self.read(f"{self.vf(3)}/nvidia/gpu_instance_id"), "1\n")
        self.assertEqual(set(self.creatable(4)), {1417})
        self.assertEqual(self.code("delete-instance", self.GPU, 1), "19")
        self.assertIsNone(self.set_type(3, 0))
        self.assertEqual(self.code("delete-instance", self.GPU, 1), "0")
        self.assertEqual(self.code("delete-instance", self.GPU, 1), "6")
        self.assertEqual(self.set_type(3, 1414), "EIO")
        self.sriov("disable")
        self.sriov("enable")
        self.assertEqual(self.creatable(0), {})  # the mode is kept, the instances are not


class OtherCardsTest(NvidiaTest):
    def test_a2(self):
        self.boot("nvidia-a2-vfio", "0000:08:00.0")
        self.assertEqual(len(self.creatable(0)), 15)
        self.assertFalse(self.inside.exists("/sys/class/mdev_bus"))
        self.assertFalse(self.inside.exists("/dev/nvidiactl"))
        self.assertIsNone(self.set_type(0, 747))
        self.assertEqual(set(self.creatable(1)), {747, 752, 755})

    def test_a2_mdev(self):
        self.boot("nvidia-a2", "0000:08:00.0")
        path = f"{self.vf(3)}/mdev_supported_types/nvidia-746/available_instances"
        self.assertEqual(self.read(path), "1\n")
        self.sriov("disable")
        self.assertEqual(self.inside.listdir("/sys/class/mdev_bus"), [])
        self.sriov("enable")
        self.assertEqual(self.read(path), "1\n")
        self.assertEqual(len(self.inside.listdir(f"{self.vf(3)}/mdev_supported_types")), 15)

    def test_t4(self):
        self.boot("nvidia-t4", "0000:5e:00.0")
        gpu = f"{PCI}/{self.gpu}"
        self.assertEqual(self.read(f"{gpu}/sriov_totalvfs"), "16\n")
        self.assertEqual(self.write(f"{gpu}/sriov_numvfs", "16"), "ENOENT")
        self.sriov("enable")  # succeeds, and does nothing
        self.assertEqual(self.read(f"{gpu}/sriov_numvfs"), "0\n")
        types = f"{gpu}/mdev_supported_types"
        self.assertEqual(self.read(f"{types}/nvidia-222/name"), "GRID T4-1B\n")
        uuids = [f"aaaaaaaa-0000-4000-8000-{n:012x}" for n in range(5)]
        for number, uuid in enumerate(uuids[:4]):
            self.assertEqual(self.read(f"{types}/nvidia-232/available_instances"), f"{4 - number}\n")
            self.assertIsNone(self.write(f"{types}/nvidia-232/create", uuid))
        self.assertEqual(self.write(f"{types}/nvidia-232/create", uuids[4]), "EIO")
        self.assertEqual(self.code("mig", self.gpu, 1), "3")
        self.assertEqual(self.code("heterogeneous", self.gpu, 1), "3")


class ToolsTest(NvidiaTest):
    L40S = "0000:41:00.0"
    H200 = "0000:19:00.0"

    def setUp(self):
        self.start("nvidia-l40s", "nvidia-h200", "nvidia-t4")
        self.gpu = self.L40S
        self.tools = self.host.tools()

    def run_tool(self, name, *arguments):
        """Run a tool in the small environment that vgpud gives its children; return exit status, standard output, standard error."""
        result = self.host.run(["env", "-i", "PATH=/usr/bin:/bin", self.tools[name], *arguments], capture_output=True)
        return result.returncode, result.stdout, result.stderr

    def count(self, gpu):
        return int(self.read(f"{PCI}/{gpu}/sriov_numvfs"))

    def test_sriov_manage(self):
        self.assertEqual(self.run_tool("sriov-manage", "-e", self.L40S)[:2], (0, f"Enabling VFs on {self.L40S}\n"))
        self.assertEqual((self.count(self.L40S), self.count(self.H200)), (32, 0))
        self.assertEqual(self.run_tool("sriov-manage", "-e", "41:00.0")[1], f"GPU at {self.L40S} already has VFs enabled.\n")
        self.assertEqual(self.run_tool("sriov-manage", "-e", "ALL")[0], 0)
        self.assertEqual((self.count(self.L40S), self.count(self.H200), self.count("0000:5e:00.0")), (32, 32, 0))
        self.host.ctl("nvidia", "hold", self.H200)
        status, _, error = self.run_tool("sriov-manage", "-d", self.H200)
        self.assertEqual(status, 1)
        self.assertIn(f"Cannot obtain unbindLock for {self.H200}", error)
        self.host.ctl("nvidia", "drop", self.H200)
        self.assertEqual(self.run_tool("sriov-manage", "-d", "ALL")[0], 0)
        self.assertEqual((self.count(self.L40S), self.count(self.H200)), (0, 0))
        self.assertEqual(self.run_tool("sriov-manage", "-x")[0], 1)
        self.assertEqual(self.run_tool("sriov-manage", "-h")[0], 0)

    def systemctl(self, *arguments):
        return self.run_tool("systemctl", *arguments)

    def show(self, unit, name):
        return self.systemctl("show", "--value", f"--property={name}", unit)[1].rstrip("\n")

    def test_systemctl(self):
        unit = f"vgpud-sriov@enable-{self.L40S}.service"
        self.host.ctl("nvidia", "hold", self.L40S)
        self.assertEqual(self.systemctl("start", "--no-ask-password", unit)[0], 1)
        self.assertEqual(self.show(unit, "Result"), "exit-code")
        self.assertIn(f"Cannot obtain unbindLock for {self.L40S}\n", self.systemctl("status", "--lines=9", unit)[1])
        self.host.ctl("nvidia", "drop", self.L40S)
        self.assertEqual(self.systemctl("start", unit)[0], 0)
        self.assertEqual(self.count(self.L40S), 32)
        text = self.systemctl("show", "--property=Result,ExecMainStatus", unit)[1]
        self.assertEqual(text, "Result=success\nExecMainStatus=0\n")
        self.assertEqual(self.systemctl("start", "vgpud-sriov@remove-x.service")[0], 1)
        self.assertEqual(self.show("vgpud-sriov@remove-x.service", "ExecMainStatus"), "64")
        self.assertEqual(self.systemctl("start", "other.service")[0], 5)
        self.assertEqual(self.show("other.service", "LoadState"), "not-found")

    def test_no_sriov_manage(self):
        unit = f"vgpud-sriov@enable-{self.L40S}.service"
        command = ["env", "SIMHOST_SRIOV_MANAGE=/nothing", self.tools["systemctl"]]
        self.assertEqual(self.host.run([*command, "start", unit], capture_output=True).returncode, 1)
        state = os.path.join(os.path.dirname(self.host.control), f"{unit}.json")
        with open(state, encoding="utf-8") as file:
            self.assertEqual(json.load(file)["status"], 69)

    def query(self, gpu):
        status, text, _ = self.run_tool("vgpud-nvml", "query", gpu)
        self.assertEqual(status, 0)
        self.assertTrue(text.endswith("\nend\n"))
        return text.splitlines()

    def creatable_by_nvml(self):
        return [line for line in self.query(self.L40S) if line.startswith("creatable=")]

    def test_nvml(self):
        lines = self.query(self.L40S)
        for line in ("virtualization-mode=3", "host-vgpu-mode=1", "heterogeneous=0", f"framebuffer={46068 << 20}"):
            self.assertIn(line, lines)
        self.assertFalse([line for line in lines if line.startswith(("mig", "creatable"))])
        place = lines.index("type=1150")
        self.assertEqual(
            lines[place : place + 7],
            ["type=1150", "type.name=NVIDIA L40S-4Q", "type.class=Quadro", f"type.framebuffer={4 << 30}", "type.heads=4",
             "type.resolution=7680x4320", "type.frame-rate-limit=60"],
        )
        self.assertNotIn("host-vgpu-mode=1", self.query("0000:5e:00.0"))
        self.assertEqual(self.run_tool("vgpud-nvml", "query", "0000:01:00.0")[0], 6)
        self.run_tool("sriov-manage", "-e", self.L40S)  # succeeds, because vgpud-nvml keeps no GPU open
        self.assertEqual(len(self.creatable_by_nvml()), 23)
        self.assertIsNone(self.set_type(0, 1150))
        self.assertEqual(self.creatable_by_nvml(), ["creatable=1150", "creatable=1160"])
        self.assertIn("type.gpu-instance-profile=19", self.query(self.H200))

    def test_nvml_modes(self):
        # The library denies permission (4): only the unit may set modes.
        self.assertEqual(self.run_tool("vgpud-nvml", "set-mig", self.H200, "1")[0], 4)

        def set_mode(mode, gpu, value):
            unit = f"vgpud-nvml@set\\x2d{mode}-{gpu}-{value}.service"
            self.systemctl("start", unit)
            return int(self.show(unit, "ExecMainStatus"))

        def mig():
            return [line for line in self.query(self.H200) if line.startswith("mig")]

        # Another program holds the GPU: vgpud-nvml sets the old mode again, and reports that the GPU is in use.
        self.host.ctl("nvidia", "hold", self.H200)
        self.assertEqual(set_mode("mig", self.H200, 1), 19)
        self.assertEqual(mig(), ["mig=0", "mig-pending=0"])
        # A mode that was pending before the call stays pending until a reset: the exit status is 50 plus NVML's reason.
        self.host.ctl("nvidia", "mig", self.H200, 1)
        self.assertEqual(set_mode("mig", self.H200, 1), 50 + 19)
        self.assertEqual(mig(), ["mig=0", "mig-pending=1"])
        self.assertEqual(set_mode("mig", self.H200, 0), 0)
        self.assertEqual(mig(), ["mig=0", "mig-pending=0"])
        self.host.ctl("nvidia", "drop", self.H200)
        self.host.ctl("nvidia", "no-reset", self.H200, 1)
        self.assertEqual(set_mode("mig", self.H200, 1), 50 + 16)
        self.assertEqual(mig(), ["mig=0", "mig-pending=1"])
        self.host.ctl("nvidia", "reset", self.H200)
        self.assertEqual(mig(), ["mig=1", "mig-pending=1"])
        self.host.ctl("nvidia", "no-reset", self.H200, 0)
        self.assertEqual(set_mode("mig", self.H200, 0), 0)
        self.assertEqual(set_mode("mig", self.H200, 1), 0)
        self.assertEqual(mig(), ["mig=1", "mig-pending=1"])
        self.assertEqual(set_mode("mig", self.L40S, 1), 3)
        self.run_tool("sriov-manage", "-e", "ALL")
        self.assertEqual(set_mode("mig", self.H200, 0), 19)
        self.assertEqual(set_mode("heterogeneous", self.H200, 1), 3)
        self.assertEqual(set_mode("heterogeneous", self.L40S, 1), 0)
        self.assertIn("heterogeneous=1", self.query(self.L40S))
        self.assertIsNone(self.set_type(0, 1150))
        self.assertEqual(set_mode("heterogeneous", self.L40S, 0), 19)


if __name__ == "__main__":
    simhost.test_main()
