#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Injected errors, delays and hangs affect only the named objects."""

import pathlib
import signal
import subprocess
import time
import unittest

import simhost

UUIDS = [f"aaaaaaaa-0000-4000-8000-{i:012x}" for i in range(64)]
GVT = "/sys/class/mdev_bus/0000:00:02.0/mdev_supported_types"
V5_8 = f"{GVT}/i915-GVTg_V5_8"
A2 = "/sys/class/mdev_bus/0000:08:00.7/mdev_supported_types"
MDEVS = "/sys/bus/mdev/devices"


class FaultTest(unittest.TestCase):
    def setUp(self):
        self.host = self.enterContext(simhost.Host(["gvt-g", "nvidia-a2"], faults=["create:0000:00:02.0:errno=EIO:2"]))
        self.inside = self.host.agent()

    def create(self, uuid, type_path=V5_8):
        return self.inside.error("write", f"{type_path}/create", uuid)

    @staticmethod
    def state(pid):
        """The letter that the kernel has for the state of a process."""
        return pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]

    def test_count(self):
        self.assertEqual([self.create(UUIDS[0]) for _ in range(3)], ["EIO", "EIO", None])
        self.assertEqual(self.host.ctl("faults"), ["create:0000:00:02.0:errno=EIO:2 (0 left)"])

    def test_clear(self):
        self.host.ctl("fault", "clear")
        self.host.fault("create:*:errno=EPERM")
        for _ in range(5):
            self.assertEqual(self.create(UUIDS[0]), "EPERM")
        self.host.ctl("fault", "clear")
        self.assertIsNone(self.create(UUIDS[0]))

    def test_a_gpu_stands_for_its_functions(self):
        self.host.fault("create:0000:08:00.0:errno=EBUSY:1")
        self.assertEqual(self.create(UUIDS[0], f"{A2}/nvidia-746"), "EBUSY")
        self.host.fault("create:0000:08:00.6:errno=EBUSY:1")
        self.assertIsNone(self.create(UUIDS[0], f"{A2}/nvidia-746"))
        self.host.fault("read:0000:08:00.0/available_instances:errno=EINVAL:1")
        self.assertEqual(self.inside.error("read", f"{A2}/nvidia-746/available_instances"), "EINVAL")

    def test_read(self):
        self.host.fault("read:i915-GVTg_V5_8/name:errno=ENXIO")
        self.assertEqual(self.inside.error("read", f"{V5_8}/name"), "ENXIO")
        self.assertIsNone(self.inside.error("read", f"{V5_8}/description"))
        self.assertIsNone(self.inside.error("read", f"{GVT}/i915-GVTg_V5_4/name"))

    def test_open(self):
        self.host.fault("open:*/available_instances:errno=ENOMEM:1")
        self.assertEqual(self.inside.error("read", f"{V5_8}/available_instances"), "ENOMEM")
        self.assertIsNone(self.inside.error("read", f"{V5_8}/available_instances"))

    def test_delay(self):
        self.host.fault("read:*/available_instances:delay=300:1")
        before = time.monotonic()
        self.assertEqual(self.inside.read(f"{V5_8}/available_instances"), "7\n")
        self.assertGreaterEqual(time.monotonic() - before, 0.3)  # a lower limit, which no load can break

    def test_a_hang_stops_nothing_else(self):
        self.host.ctl("fault", "clear")
        self.host.fault("create:0000:00:02.0:hang:20")
        makers = [self.host.agent() for _ in range(20)]
        for maker, uuid in zip(makers, UUIDS):
            maker.start("write", f"{V5_8}/create", uuid)
        self.host.await_hanging(20)

        # Use the same file, the same GPU and another GPU, and list everything.
        self.assertIsNone(self.create(UUIDS[30]))
        self.assertEqual(self.inside.read(f"{V5_8}/available_instances"), "6\n")
        self.assertIsNone(self.create(UUIDS[31], f"{A2}/nvidia-746"))
        self.assertEqual(len(self.inside.listdir(MDEVS)), 22)
        self.assertIsNone(self.inside.error("write", f"{MDEVS}/{UUIDS[30]}/remove", "1"))
        self.assertEqual(self.host.ctl("release"), ["20"])
        results = []
        for maker in makers:
            try:
                results.append(maker.finish())
            except OSError as failure:
                results.append(failure.strerror)
        # The GPU has room for seven. write(2) returns 36, the length of a UUID.
        self.assertEqual(results.count(36), 7)
        self.assertEqual(results.count("No space left on device"), 13)

    def test_a_hanging_read_stops_nothing_else(self):
        self.host.fault("read:i915-GVTg_V5_8/available_instances:hang")
        reader = self.host.agent()
        reader.start("read", f"{V5_8}/available_instances")
        self.host.await_hanging(1)
        self.assertEqual(self.inside.read(f"{V5_8}/name"), "GVTg_V5_8\n")
        self.assertEqual(self.inside.read(f"{GVT}/i915-GVTg_V5_4/available_instances"), "5\n")
        self.assertEqual(self.host.ctl("release"), ["1"])
        self.assertEqual(reader.finish(), "7\n")
        self.assertEqual(self.inside.read(f"{V5_8}/available_instances"), "7\n")  # the release also dropped the fault

    def test_a_killed_writer(self):
        """The kernel completes an operation of a killed process, as for a thread in an uninterruptible wait."""
        self.host.ctl("fault", "clear")
        self.host.fault("create:*:hang:1")
        maker = self.host.agent()
        maker.start("write", f"{V5_8}/create", UUIDS[0])
        self.host.await_hanging(1)
        maker.process.send_signal(signal.SIGKILL)
        # FUSE waits interruptibly until a signal comes, and uninterruptibly (D) from then on.
        simhost.wait_until(lambda: self.state(maker.process.pid) == "D")
        self.host.ctl("release")
        maker.process.wait()
        simhost.wait_until(lambda: self.inside.exists(f"{MDEVS}/{UUIDS[0]}/mdev_type"))

    def test_what_was_let_go_does_not_count(self):
        self.host.ctl("fault", "clear")
        readers = [self.host.agent() for _ in range(8)]
        for turn in range(1, 6):
            self.host.fault("read:i915-GVTg_V5_8/available_instances:hang")
            for reader in readers:
                reader.start("read", f"{V5_8}/available_instances")
            self.host.await_hanging(8)
            self.assertEqual(self.host.ctl("release"), ["8"], turn)
            self.assertEqual(self.host.ctl("hanging"), ["0"], turn)
            self.assertEqual([reader.finish() for reader in readers], ["7\n"] * 8)

    def test_hanging_remove(self):
        self.host.ctl("fault", "clear")
        self.assertIsNone(self.create(UUIDS[0]))
        self.host.fault(f"remove:{UUIDS[0]}:hang")
        remover = self.host.agent()
        remover.start("write", f"{MDEVS}/{UUIDS[0]}/remove", "1")
        self.host.await_hanging(1)
        self.assertEqual(self.inside.error("write", f"{MDEVS}/{UUIDS[0]}/remove", "1"), "ENOENT")
        self.assertEqual(self.inside.listdir(MDEVS), [UUIDS[0]])
        self.host.ctl("release")
        self.assertEqual(remover.finish(), 1)
        self.assertEqual(self.inside.listdir(MDEVS), [])

    def test_the_host_ends_although_something_hangs(self):
        self.host.fault("read:*:hang")
        reader = self.host.agent()
        reader.start("read", f"{V5_8}/name")
        self.host.await_hanging(1)
        self.host.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.host.process.wait(), 0)

    def test_write_log(self):
        self.create(UUIDS[0])
        self.create(UUIDS[0], f"{A2}/nvidia-746")
        self.inside.error("write", f"{MDEVS}/{UUIDS[0]}/remove", "1\n")
        gpu = "/sys/devices/pci0000:00/0000:00:02.0"
        vf = "/sys/devices/pci0000:00/0000:00:03.0/0000:08:00.7"
        self.assertEqual(
            self.host.writes(),
            [
                ("EIO", f"{gpu}/mdev_supported_types/i915-GVTg_V5_8/create", UUIDS[0]),
                ("ok", f"{vf}/mdev_supported_types/nvidia-746/create", UUIDS[0]),
                ("ok", f"{vf}/{UUIDS[0]}/remove", "1\\n"),
            ],
        )

    def test_bad_specifications(self):
        for bad in (
            "",
            "create",
            "create:hang",
            "make:*:hang",
            "create:*:errno=EWHAT",
            "create:*:delay=soon",
            "create:*:hang:x",
            "create:*:3",
        ):
            with self.assertRaises(simhost.ControlError) as caught:
                self.host.fault(bad)
            self.assertEqual(caught.exception.name, "EINVAL", bad)
            result = subprocess.run([simhost.program(), f"--fault={bad}", "--", "true"], capture_output=True, check=False)
            self.assertEqual(result.returncode, 1, bad)


if __name__ == "__main__":
    simhost.test_main()
