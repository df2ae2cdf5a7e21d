#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Kept settings of GPUs: enable-vfs --keep, configure --keep, forget, boots, and reloads of the driver."""

import json
import shutil

import bus
import host
import runner
from host import NOBODY

XE = "0000:03:00.0"
L40S = "0000:41:00.0"


class Kept(host.HostTest):
    def kept(self, h, gpu=XE):
        values = h.bus.gpu(gpu).all()
        return values["KeptVfs"], values["KeptModes"], values["KeptReason"]

    def vfs(self, h, gpu=XE):
        return h.bus.gpu(gpu).get("EnabledVfs")

    def write_vfs(self, h, count, gpu=XE):
        """Another program sets the number, or the driver does when it takes the GPU."""
        h.sim.run(["sh", "-c", f"echo {count} >/sys/bus/pci/devices/{gpu}/sriov_numvfs"], check=True)

    def reboot(self, h, *counts, gpu=XE):
        """Boot the host: the runtime directory is empty, and the GPU has the VFs that other programs enabled."""
        h.kill()
        shutil.rmtree(h.runtime)
        for count in (0, *counts):
            self.write_vfs(h, count, gpu)
        h.start(mirror=False)

    def test_boot(self):
        h = self.host("xe")
        self.assertEqual(h.vgpuctl("enable-vfs", XE, "2", "--keep").status, 0)
        self.assertEqual(self.kept(h), (2, {}, ""))
        self.assertEqual(json.loads((h.state / "gpus" / f"{XE}.json").read_text())["vfs"], 2)
        self.reboot(h)
        self.assert_becomes(2, lambda: self.vfs(h))
        self.assertEqual(h.vgpuctl("disable-vfs", XE).status, 0)
        self.assertEqual((self.vfs(h), self.kept(h)[0]), (0, 2))
        h.kill()
        h.start(mirror=False)  # no boot
        h.bus.gpu(XE).call("Rescan", wait=True)
        self.assertEqual((self.vfs(h), self.kept(h)), (0, (2, {}, "")))
        self.reboot(h)
        self.assert_becomes(2, lambda: self.vfs(h))
        self.assertEqual(h.vgpuctl("disable-vfs", XE, "--keep").status, 0)
        self.assertEqual(self.kept(h), (-1, {}, ""))
        self.reboot(h)
        h.bus.gpu(XE).call("Rescan", wait=True)
        self.assertEqual(self.vfs(h), 0)

    def test_modes(self):
        h = self.host("nvidia-l40s")
        for words in (("enable-vfs", L40S), ("configure", L40S, "heterogeneous", "yes")):
            self.assertEqual(h.vgpuctl(*words, "--keep").status, 0)
        self.assertEqual(self.kept(h, L40S), (32, {"heterogeneous": "yes"}, ""))
        self.assertEqual(h.vgpuctl("disable-vfs", L40S).status, 0)  # without VFs, the mode is reset, too
        self.reboot(h, gpu=L40S)
        self.assert_becomes((32, "yes"), lambda: (self.vfs(h, L40S), h.bus.gpu(L40S).get("Modes")["heterogeneous"]["value"]))
        self.assertEqual(h.vgpuctl("forget", L40S, "heterogeneous").status, 0)
        self.assertEqual(self.kept(h, L40S), (32, {}, ""))
        self.assertEqual(h.vgpuctl("forget", L40S, "heterogeneous", "--json").error()["name"], "org.vgpud1.Error.InvalidArgs")
        self.assertEqual(h.vgpuctl("forget", L40S).status, 0)
        self.assertEqual(self.kept(h, L40S), (-1, {}, ""))
        self.assertFalse((h.state / "gpus" / f"{L40S}.json").exists())

    def test_other_number(self):
        """vgpud leaves VFs that another program enabled, and says why."""
        h = self.host("xe")
        h.bus.gpu(XE).call("SetVfs", 2, wait=True, keep=True)
        self.reboot(h, 3)
        self.assert_becomes(True, lambda: self.kept(h)[2] != "")
        self.assertEqual((self.vfs(h), self.kept(h)[0]), (3, 2))
        self.assertEqual(h.vgpuctl("show", XE, "--json").json()["gpu"]["kept_reason"], self.kept(h)[2])
        h.bus.gpu(XE).call("SetVfs", 3, wait=True, keep=True)
        self.assert_becomes((3, {}, ""), lambda: self.kept(h))

    def test_failed_job(self):
        h = self.host("xe")
        h.bus.gpu(XE).call("SetVfs", 2, wait=True, keep=True)
        h.bus.create(XE, "vf")
        for count in (0, 3):
            self.assert_error("InUse", h.bus.gpu(XE).start("SetVfs", count, wait=True, keep=True))
            self.assertEqual((self.vfs(h), self.kept(h)), (2, (2, {}, "")))

    def test_retry(self):
        """The driver refuses the first attempt after the boot. vgpud tries again by itself."""
        h = self.host("xe")
        h.bus.gpu(XE).call("SetVfs", 2, wait=True, keep=True)
        h.kill()
        shutil.rmtree(h.runtime)
        self.write_vfs(h, 0)
        h.sim.fault(f"write:{XE}/sriov_numvfs:errno=EIO:1")
        h.start(mirror=False)
        self.assert_becomes(2, lambda: self.vfs(h))
        self.assert_becomes((2, {}, ""), lambda: self.kept(h))

    def test_missing_gpu(self):
        h = self.host("xe")
        for verb in ("forget", "disable-vfs", "rescan"):
            result = h.vgpuctl(verb, L40S, "--json")
            self.assertEqual((result.status, result.error()["name"]), (3, "org.vgpud1.Error.NoSuchGpu"), verb)

    def test_damaged(self):
        h = self.host("xe")
        h.bus.gpu(XE).call("SetVfs", 2, wait=True, keep=True)
        h.kill()
        (h.state / "gpus" / f"{XE}.json").write_text("{")
        h.start(mirror=False)
        (error,) = h.bus.manager.get("StoreErrors")
        self.assertIn(f"{XE}.json.damaged", error)
        self.assertEqual(self.kept(h)[0], -1)

    def test_other_users(self):
        h = self.host("xe", polkit=True)
        h.polkit.allow("configure")
        user = h.client(NOBODY)
        h.bus.gpu(XE).call("SetVfs", 2, wait=True, keep=True)
        monitor = host.Monitor(h)
        for call in (user.gpu(XE).start("SetVfs", 0, keep=True), user.manager.start("ForgetSettings", XE),
                     user.manager.start("ForgetSettings", XE, vfs=True)):
            self.assert_error("NotAuthorized", call)
        bus.wait(lambda: {q["details"]["keep"] for q in monitor.questions()} == {"yes", "forget"}, "the questions")
        self.assertEqual(self.kept(h)[0], 2)
        h.polkit.allow("set-vfs")
        user.manager.call("ForgetSettings", XE, vfs=True)
        self.assertEqual(self.kept(h)[0], -1)

    def test_gone_for_good(self):
        """The settings of a removed GPU keep the host degraded until a user forgets them."""
        h = self.host("xe")
        h.bus.gpu(XE).call("SetVfs", 2, wait=True, keep=True)
        self.assert_becomes("ready", lambda: h.bus.manager.get("Readiness"))
        h.sim.ctl("unplug", XE)
        self.assert_becomes("degraded", lambda: h.bus.manager.get("Readiness"))
        self.assertEqual(h.vgpuctl("forget", "03:00.0", "mig", "--json").error()["name"], "org.vgpud1.Error.InvalidArgs")
        self.assertEqual(h.vgpuctl("forget", "03:00.0").status, 0)
        self.assert_becomes("ready", lambda: h.bus.manager.get("Readiness"))
        self.assertFalse((h.state / "gpus" / f"{XE}.json").exists())
        self.assertEqual(h.vgpuctl("forget", XE, "--json").error()["name"], "org.vgpud1.Error.NoSuchGpu")


if __name__ == "__main__":
    runner.main()
