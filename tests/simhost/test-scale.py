#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A simulated host as large as the one in README.md's budget for a start: 16 GPUs, 64 virtual functions each, 40 types, 1 024
instances. The test prints times, and does not judge them."""

import pathlib
import subprocess
import sys
import time
import unittest

import simhost

PARENTS = 16 * 64
TYPES = 40

# A script that reads the attributes that a daemon reads of each type, and prints the numbers of parents and types.
SCAN = """
import os
parents = types = bytes = 0
root = "/sys/class/mdev_bus"
for parent in os.listdir(root):
    parents += 1
    for name in os.listdir(f"{root}/{parent}/mdev_supported_types"):
        types += 1
        for attribute in ("name", "description", "available_instances", "device_api"):
            fd = os.open(f"{root}/{parent}/mdev_supported_types/{name}/{attribute}", os.O_RDONLY)
            bytes += len(os.read(fd, 4096))
            os.close(fd)
print(parents, types, bytes > types * 100)
"""


class ScaleTest(unittest.TestCase):
    def timed(self, what, function):
        before = time.monotonic()
        result = function()
        print(f"{what}: {time.monotonic() - before:.3f} s", file=sys.stderr)
        return result

    def test_all_of_it(self):
        options = simhost.scalable(gpus=16, vfs=64, types=TYPES, populate=PARENTS)
        host = simhost.Host(["scalable"], options=options)
        self.timed("start with 1 024 instances", lambda: self.enterContext(host))
        inside = host.agent()
        self.assertEqual(len(inside.listdir("/sys/class/mdev_bus")), PARENTS)
        self.assertEqual(len(self.timed("udev, mdev", lambda: inside.enumerate("mdev"))), PARENTS)
        pci = self.timed("udev, pci", lambda: inside.enumerate("pci"))
        self.assertEqual(len(pci), 16 + 16 + PARENTS)  # GPUs, the ports before them, functions
        self.assertEqual(len({path.split("/")[3] for path in pci}), 16)
        result = self.timed("scan of all types", lambda: host.run(["/usr/bin/python3", "-c", SCAN], stdout=subprocess.PIPE))
        self.assertEqual(result.stdout, f"{PARENTS} {PARENTS * TYPES} True\n")
        status = pathlib.Path(f"/proc/{host.process.pid}/status").read_text(encoding="utf-8")
        print([line for line in status.splitlines() if line.startswith("VmRSS")][0], file=sys.stderr)


if __name__ == "__main__":
    simhost.test_main()
