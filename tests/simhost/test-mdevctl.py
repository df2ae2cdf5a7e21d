#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""An independent program, mdevctl, works on the simulated host."""

import json
import unittest

import simhost

UUID = "aaaaaaaa-0000-4000-8000-000000000001"


class MdevctlTest(unittest.TestCase):
    def setUp(self):
        self.host = self.enterContext(simhost.Host(["gvt-g", "nvidia-a2", "samples"]))

    def mdevctl(self, *arguments):
        return self.host.run(["mdevctl", *arguments], capture_output=True)

    def test_types(self):
        result = self.mdevctl("types", "--dumpjson")
        parents = {name: types for parent in json.loads(result.stdout) for name, types in parent.items()}
        self.assertEqual(len(parents), 1 + 16 + 3)  # the iGPU, the VFs of the A2, the samples
        self.assertEqual(len(parents["0000:08:00.4"]), 15)
        types = {name: facts for entry in parents["0000:00:02.0"] for name, facts in entry.items()}
        self.assertEqual(types["i915-GVTg_V5_4"]["available_instances"], 5)
        self.assertEqual(types["i915-GVTg_V5_4"]["device_api"], "vfio-pci")
        self.assertIn("fence: 4", types["i915-GVTg_V5_4"]["description"])

    def test_start_list_stop(self):
        result = self.mdevctl("start", "-u", UUID, "-p", "mdpy", "-t", "mdpy-xga")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(self.mdevctl("list").stdout.strip(), f"{UUID} mdpy mdpy-xga manual")
        self.assertEqual([line.split(" ")[0] for line in self.host.ctl("events")], ["add", "add", "add", "bind"])
        self.assertEqual(self.mdevctl("stop", "-u", UUID).returncode, 0)
        self.assertEqual(self.mdevctl("list").stdout.strip(), "")
        self.assertEqual([write[0] for write in self.host.writes()], ["ok", "ok"])

    def test_refusal(self):
        self.host.fault("create:*:errno=EIO")
        result = self.mdevctl("start", "-u", UUID, "-p", "0000:08:00.4", "-t", "nvidia-746")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("Input/output error", result.stderr)


if __name__ == "__main__":
    simhost.test_main()
