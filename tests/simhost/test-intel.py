#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The models of Intel's GPUs with SR-IOV: what virtual functions get, by xe's sriov_admin/ and i915's prelim_iov/."""

import unittest

import simhost

PCI = "/sys/bus/pci/devices"
MIB = 1024 * 1024
GIB = 1024 * MIB


class IntelTest(unittest.TestCase):
    MODEL = ""
    GPU = ""
    TREE = ""  # below /sys

    def setUp(self):
        self.host = self.enterContext(simhost.Host([self.MODEL]))
        self.inside = self.host.agent()

    def path(self, name):
        return f"{self.TREE}/{name}"

    def read(self, name):
        return self.inside.read(self.path(name))

    def number(self, name):
        return int(self.read(name))

    def write(self, name, value):
        return self.inside.error("write", self.path(name), str(value))

    def enable(self, count):
        return self.inside.error("write", f"{PCI}/{self.GPU}/sriov_numvfs", str(count))

    def modes(self, folder):
        return {
            name: self.inside.stat(self.path(f"{folder}/{name}"))["mode"] & 0o7777
            for name in self.inside.listdir(self.path(folder))
        }


class BattlemageTest(IntelTest):
    MODEL = "xe"
    GPU = "0000:03:00.0"
    TREE = f"{PCI}/{GPU}/sriov_admin"

    def quotas(self):
        return [self.number(f"vf{i}/profile/vram_quota") for i in range(1, 13)]

    def test_files(self):
        self.assertEqual(
            sorted(self.inside.listdir(self.TREE)), sorted([".bulk_profile", "pf"] + [f"vf{i}" for i in range(1, 13)])
        )
        both = {"exec_quantum_ms": 0o644, "preempt_timeout_us": 0o644}
        self.assertEqual(self.modes("pf/profile"), {**both, "sched_priority": 0o644})
        self.assertEqual(self.modes("vf12/profile"), {**both, "sched_priority": 0o444, "vram_quota": 0o644})
        self.assertEqual(
            self.modes(".bulk_profile"),
            {"exec_quantum_ms": 0o200, "preempt_timeout_us": 0o200, "sched_priority": 0o200, "vram_quota": 0o200},
        )
        self.assertEqual(self.modes("vf1")["stop"], 0o200)
        self.assertEqual(self.read("vf1/profile/exec_quantum_ms"), "0\n")
        self.assertEqual(self.read("pf/profile/sched_priority"), "[low] normal high\n")
        self.assertEqual(self.read("vf1/profile/sched_priority"), "[low] normal\n")
        self.assertEqual(self.inside.readlink(self.path("pf/device")), f"../../../{self.GPU}")

    def test_links_to_functions(self):
        self.assertFalse(self.inside.exists(self.path("vf1/device")))
        self.assertIsNone(self.enable(2))
        self.assertEqual(self.inside.realpath(self.path("vf2/device")), self.inside.realpath(f"{PCI}/0000:03:00.2"))
        self.assertFalse(self.inside.exists(self.path("vf3/device")))
        self.assertIsNone(self.enable(0))
        self.assertFalse(self.inside.exists(self.path("vf2/device")))

    def test_memory_is_divided_fairly(self):
        for count, share in {12: GIB, 5: 4 * GIB, 2: 8 * GIB, 1: 16 * GIB}.items():
            self.assertIsNone(self.enable(count))
            self.assertEqual(self.quotas(), [share] * count + [0] * (12 - count))
            self.assertIsNone(self.enable(0))
            self.assertEqual(self.quotas(), [0] * 12)

    def test_memory_set_by_hand(self):
        self.assertIsNone(self.write("vf1/profile/vram_quota", 1))
        self.assertEqual(self.number("vf1/profile/vram_quota"), 2 * MIB)
        self.assertIsNone(self.write("vf1/profile/vram_quota", f"{8 * GIB}\n"))
        self.assertIsNone(self.write("vf2/profile/vram_quota", 15 * GIB))
        self.assertEqual(self.write("vf3/profile/vram_quota", 1), "ENOSPC")
        self.assertEqual(self.write("vf2/profile/vram_quota", 15 * GIB + 1), "ENOSPC")
        self.assertEqual(self.write("vf2/profile/vram_quota", 2**64 - 1), "ENOSPC")
        self.assertEqual(self.write("vf2/profile/vram_quota", 2**64), "ERANGE")
        self.assertEqual(self.write("vf2/profile/vram_quota", "8G"), "EINVAL")
        self.assertIsNone(self.enable(3))
        self.assertEqual(self.quotas()[:4], [8 * GIB, 15 * GIB, 0, 0])  # enabling divided no memory
        self.assertEqual(self.write("vf1/profile/vram_quota", GIB), "EBUSY")
        self.assertEqual(self.write("vf4/profile/vram_quota", 1), "ENOSPC")
        self.assertEqual(self.write(".bulk_profile/vram_quota", GIB), "EBUSY")
        self.assertIsNone(self.enable(0))
        self.assertEqual(self.quotas(), [0] * 12)
        self.assertIsNone(self.write(".bulk_profile/vram_quota", GIB + 1))
        self.assertEqual(self.quotas(), [GIB + 2 * MIB] * 12)

    def test_scheduling(self):
        self.assertIsNone(self.write("vf1/profile/exec_quantum_ms", "0x10"))
        self.assertEqual(self.read("vf1/profile/exec_quantum_ms"), "16\n")
        self.assertIsNone(self.write("vf1/profile/exec_quantum_ms", 100001))
        self.assertEqual(self.read("vf1/profile/exec_quantum_ms"), "100000\n")
        self.assertEqual(self.write("vf1/profile/exec_quantum_ms", 2**32), "ERANGE")
        self.assertEqual(self.write("vf1/profile/preempt_timeout_us", "-1"), "EINVAL")
        self.assertIsNone(self.write(".bulk_profile/preempt_timeout_us", 700000))
        self.assertEqual(self.number("pf/profile/preempt_timeout_us"), 700000)
        self.assertEqual(self.number("vf12/profile/preempt_timeout_us"), 700000)
        self.assertEqual(self.inside.error("read", self.path(".bulk_profile/exec_quantum_ms")), "EACCES")

    def test_priority(self):
        self.assertEqual(self.write("vf1/profile/sched_priority", "normal"), "EACCES")
        self.assertIsNone(self.write("pf/profile/sched_priority", "high\n"))
        self.assertEqual(self.read("pf/profile/sched_priority"), "low normal [high]\n")
        self.assertEqual(self.write("pf/profile/sched_priority", "highest"), "EINVAL")
        self.assertEqual(self.write(".bulk_profile/sched_priority", "high"), "EPERM")
        self.assertIsNone(self.write(".bulk_profile/sched_priority", "normal"))
        self.assertEqual(self.read("vf7/profile/sched_priority"), "low [normal]\n")
        self.assertEqual(self.read("pf/profile/sched_priority"), "low [normal] high\n")

    def test_stop(self):
        self.assertEqual(self.write("vf1/stop", 1), "ENODEV")
        self.assertIsNone(self.enable(1))
        self.assertEqual(self.write("vf1/stop", "x"), "EINVAL")
        self.assertIsNone(self.write("vf1/stop", 0))
        self.assertIsNone(self.write("vf1/stop", 1))
        self.assertEqual(self.write("vf1/stop", 1), "ESTALE")
        self.assertIsNone(self.enable(0))
        self.assertIsNone(self.enable(1))
        self.assertIsNone(self.write("vf1/stop", 1))

    def test_every_errno_of_the_driver(self):
        for error in ("EIO", "EPERM", "EOPNOTSUPP", "ENODATA", "ECANCELED", "ENOKEY", "EPROTO"):
            self.host.fault(f"write:vf1/profile/vram_quota:errno={error}:1")
            self.assertEqual(self.write("vf1/profile/vram_quota", GIB), error)
        self.host.fault("read:vf1/profile/exec_quantum_ms:errno=EUCLEAN:1")
        self.assertEqual(self.inside.error("read", self.path("vf1/profile/exec_quantum_ms")), "EUCLEAN")
        for error in ("ENOSPC", "EUSERS", "EPERM", "ECANCELED", "ENODEV"):
            self.host.fault(f"write:{self.GPU}/sriov_numvfs:errno={error}:1")
            self.assertEqual(self.enable(2), error)
        self.assertIsNone(self.enable(2))

    def test_the_tree_goes_with_the_driver(self):
        self.assertIsNone(self.enable(2))
        self.host.ctl("unbind", self.GPU)
        self.assertFalse(self.inside.exists(self.TREE))
        self.host.ctl("bind", self.GPU)
        self.assertEqual(self.quotas(), [0] * 12)

    def test_where_it_is(self):
        self.assertEqual(
            self.inside.realpath(f"{PCI}/{self.GPU}"),
            "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/0000:02:01.0/0000:03:00.0",
        )
        self.assertEqual(self.inside.read(f"{PCI}/{self.GPU}/sriov_vf_device"), "e211\n")
        self.assertIsNone(self.enable(12))
        self.assertEqual(self.inside.readlink(f"{PCI}/{self.GPU}/virtfn11"), "../0000:03:01.4")
        self.assertIn("xe-vfio-pci", self.inside.listdir("/sys/bus/pci/drivers"))
        self.assertEqual(self.inside.error("write", f"{PCI}/0000:03:00.1/sriov_vf_msix_count", "4"), "EBUSY")


class IntegratedTest(IntelTest):
    MODEL = "xe-igpu"
    GPU = "0000:00:02.0"
    TREE = f"{PCI}/{GPU}/sriov_admin"

    def test_no_memory_of_its_own(self):
        self.assertEqual(self.inside.read(f"{PCI}/{self.GPU}/sriov_totalvfs"), "7\n")
        self.assertNotIn("vram_quota", self.inside.listdir(self.path("vf7/profile")))
        self.assertNotIn("vram_quota", self.inside.listdir(self.path(".bulk_profile")))
        self.assertFalse(self.inside.exists(self.path("vf8")))
        self.assertIsNone(self.enable(7))
        self.assertEqual(self.inside.readlink(f"{PCI}/{self.GPU}/virtfn6"), "../0000:00:02.7")


class I915Test(IntelTest):
    MODEL = "i915-sriov"
    GPU = "0000:00:02.0"
    TREE = "/sys/class/drm/card0/prelim_iov"
    FULL = {"ggtt": 3840 * MIB, "contexts": 64512, "doorbells": 240}

    def quota(self, function):
        return {name: self.number(f"vf{function}/gt0/{name}_quota") for name in self.FULL}

    def left(self):
        return {name: self.number(f"pf/gt0/available/{name}_free") for name in self.FULL}

    def test_files(self):
        self.assertEqual(self.inside.listdir(self.TREE), ["mode", "pf"] + [f"vf{i}" for i in range(1, 8)])
        self.assertEqual(self.read("vf3/id"), "3\n")
        self.assertEqual(
            self.inside.listdir(self.path("pf/gt0/policies")), ["engine_reset", "sample_period_ms", "sched_if_idle"]
        )
        self.assertEqual(self.left(), self.FULL)
        self.assertEqual(self.inside.realpath(self.path("pf/device")), self.inside.realpath(f"{PCI}/{self.GPU}"))
        # Both files have mode 0644, but the first cannot be written, and the second cannot be read.
        self.assertEqual(self.write("pf/gt0/available/ggtt_free", 1), "EIO")
        self.assertEqual(self.inside.error("read", self.path("vf1/control")), "EIO")

    def test_automatic(self):
        self.assertIsNone(self.enable(7))
        self.assertEqual(self.quota(7), {"ggtt": 575209472, "contexts": 9216, "doorbells": 34})
        self.assertEqual(self.inside.realpath(self.path("vf7/device")), self.inside.realpath(f"{PCI}/0000:00:02.7"))
        self.assertIsNone(self.enable(0))
        self.assertEqual(self.left(), self.FULL)

    def test_automatic_is_switched_off(self):
        """Any quota but 0 switches automatic provisioning off. The automatic quotas still end with the functions."""
        for name in ("ggtt_quota", "exec_quantum_ms"):
            self.assertIsNone(self.enable(2))
            self.assertIsNone(self.write("vf1/gt0/preempt_timeout_us", 0))
            self.assertEqual(self.read("pf/auto_provisioning"), "1\n")
            self.assertIsNone(self.write(f"vf1/gt0/{name}", 10))
            self.assertEqual(self.read("pf/auto_provisioning"), "0\n")
            self.assertEqual(self.write("pf/auto_provisioning", 1), "ESTALE")
            self.assertIsNone(self.enable(0))
            self.assertEqual(self.left(), self.FULL)
            self.assertIsNone(self.enable(3))
            self.assertEqual(self.quota(3), {"ggtt": 0, "contexts": 0, "doorbells": 0})
            self.assertIsNone(self.write("pf/auto_provisioning", 1))
            self.assertIsNone(self.enable(0))

    def test_by_hand(self):
        self.assertIsNone(self.write("vf1/gt0/ggtt_quota", 512 * MIB + 1))
        self.assertEqual(self.quota(1), {"ggtt": 512 * MIB + 65536, "contexts": 0, "doorbells": 0})
        self.assertEqual(self.read("pf/auto_provisioning"), "0\n")
        self.assertEqual(self.write("pf/auto_provisioning", 1), "ESTALE")
        self.assertEqual(self.enable(1), "ENOKEY")
        self.assertIsNone(self.write("vf1/gt0/contexts_quota", 1000))
        self.assertIsNone(self.write("vf1/gt0/doorbells_quota", 30))
        self.assertIsNone(self.enable(2))
        self.assertEqual(self.quota(2), {"ggtt": 0, "contexts": 0, "doorbells": 0})
        self.assertIsNone(self.enable(0))
        self.assertIsNone(self.enable(1))
        self.assertIsNone(self.enable(0))
        self.assertEqual(self.quota(1), {"ggtt": 512 * MIB + 65536, "contexts": 1024, "doorbells": 30})  # quotas set by hand stay
        self.assertEqual(self.left()["contexts"], self.FULL["contexts"] - 1024)
        self.assertIsNone(self.write("vf2/gt0/doorbells_quota", 7))
        self.assertEqual(self.write("vf2/gt0/doorbells_quota", 211), "EDQUOT")
        self.assertEqual(self.quota(2)["doorbells"], 0)  # the quota is lost
        self.assertEqual(self.write("vf2/gt0/doorbells_quota", 2**40), "ERANGE")
        self.assertEqual(self.write("vf2/gt0/ggtt_quota", 2**40), "E2BIG")
        self.assertEqual(self.write("vf2/gt0/ggtt_quota", 2**64 - 1), "EOVERFLOW")
        self.assertEqual(self.write("vf2/gt0/doorbells_quota", "many"), "EINVAL")
        for name in self.FULL:
            self.assertIsNone(self.write(f"vf1/gt0/{name}_quota", 0))
        self.assertIsNone(self.enable(1))
        self.assertEqual(self.quota(1), {"ggtt": 0, "contexts": 0, "doorbells": 0})
        self.assertIsNone(self.enable(0))
        self.assertIsNone(self.write("pf/auto_provisioning", 1))
        self.assertIsNone(self.enable(1))

    def test_control(self):
        self.assertEqual(self.write("vf1/control", "pause"), "ENODEV")
        self.assertIsNone(self.enable(1))
        for word in ("pause", "resume", "stop", "clear\n"):
            self.assertIsNone(self.write("vf1/control", word))
        self.assertEqual(self.write("vf1/control", "dance"), "EINVAL")

    def test_numbers_that_are_only_kept(self):
        for name in (
            "vf1/gt0/exec_quantum_ms",
            "vf1/gt0/threshold/irq_time_us",
            "pf/gt0/ggtt_spare",
            "pf/gt0/policies/engine_reset",
        ):
            self.assertIsNone(self.write(name, "7\n"))
            self.assertEqual(self.read(name), "7\n")
            self.assertEqual(self.write(name, "x"), "EINVAL")

    def test_the_tree_goes_with_the_card(self):
        self.assertIsNone(self.enable(2))
        self.host.ctl("unbind", self.GPU)
        self.assertEqual([n for n in self.inside.listdir("/sys/class/drm") if n.startswith("card")], [])
        self.host.ctl("bind", self.GPU)
        self.assertEqual(self.left(), self.FULL)
        self.assertIsNone(self.enable(2))
        self.host.ctl("unplug", self.GPU)
        self.host.ctl("plug", self.GPU)
        self.assertIsNone(self.enable(2))


if __name__ == "__main__":
    simhost.test_main()
