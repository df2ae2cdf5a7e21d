#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What vgpuctl says of its own jobs: when it is interrupted, when they get stuck, and over ssh."""

import re
import signal

import bus
import host
import runner
from host import GVT, V5_4

XE = "0000:03:00.0"
WRITE = f"write:{XE}/sriov_numvfs"


class Interrupted(host.HostTest):
    def test_one_of_two_that_ask_for_the_same(self):
        h = self.host("xe")
        h.sim.fault(f"{WRITE}:hang")
        words = ("enable-vfs", XE, "2")
        first = h.start_vgpuctl(*words)
        bus.wait(lambda: len(h.bus.jobs()) == 1, "the first")
        second = h.start_vgpuctl(*words)
        bus.wait(lambda: len(h.bus.jobs()) == 2, "the second")
        second.send_signal(signal.SIGINT)
        result = h.end_vgpuctl(second)
        self.assertEqual(result.status, 130)
        self.assertEqual(result.err.count("the job goes on"), 1, result.err)
        self.assertIn("the job goes on: job 2 waits", result.err)
        h.sim.ctl("fault", "clear")
        h.sim.ctl("release")
        self.assertEqual(h.end_vgpuctl(first).status, 0)


class Stuck(host.HostTest):
    def test_past_the_deadline(self):
        """As the daemon tells those who call with "wait"."""
        h = self.host("gvt-g")
        h.sim.fault(f"create:{GVT}:hang:1")
        result = h.vgpuctl("create", V5_4, "--timeout", "1")
        self.assertEqual((result.status, result.out), (6, ""))
        self.assertIn("has not come back from the kernel for 1 s; what it was to do may still happen, or not", result.err)
        h.sim.ctl("release")

    def test_the_daemon_stops(self):
        h = self.host("gvt-g")
        h.sim.fault(f"create:{GVT}:delay=500")
        p = h.start_vgpuctl("create", V5_4)
        bus.wait(lambda: h.bus.jobs(), "the job")
        h.kill()
        result = h.end_vgpuctl(p)
        self.assertEqual((result.status, result.out), (1, ""))
        self.assertIn("vgpud went away", result.err)


class Names(host.HostTest):
    def test_all_verbs_find_the_same_gpu(self):
        """Some look for it themselves, others have the daemon look."""
        h = self.host("samples")
        verbs = (("show",), ("types",), ("rescan",), ("create", "mdpy-xga", "--gpu"))
        for what, status in (("mdpy", 0), ("mdp", 0), ("dpy", 0), ("MDPY", 3), ("mdpx", 3), ("m", 2)):
            self.assertEqual([h.vgpuctl(*v, what).status for v in verbs], [status] * len(verbs), what)


class Readme(host.HostTest):
    def test_the_refusal(self):
        """What README.md quotes of it is what is printed, up to where it is cut."""
        text = (host.TOP / "README.md").read_text("utf-8")
        quoted = " ".join(re.search(r"\n {4}\$ vgpuctl create --type A2-8Q\n((?: {4}[^$].*\n)+)", text)[1].split())
        self.assertEqual(quoted[-1], "\u2026")
        h = self.host("nvidia-a2")
        for command in re.findall(r"\n {4}\$ vgpuctl (create --type A2-4Q .*)", text):
            self.assertEqual(h.vgpuctl(*command.split()).status, 0)
        result = h.vgpuctl("create", "--type", "A2-8Q")
        self.assertEqual(result.status, 5)
        self.assertEqual(" ".join(result.err.split())[:len(quoted) - 1], quoted[:-1])


if __name__ == "__main__":
    runner.main()
