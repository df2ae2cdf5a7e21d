#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Messages of vgpuctl about its own jobs: after an interrupt, with a stuck GPU, and over ssh."""

import contextlib
import json
import os
import re
import signal
import subprocess

import bus
import host
import runner
from host import A2, GVT, NOBODY, V5_4

XE = "0000:03:00.0"
WRITE = f"write:{XE}/sriov_numvfs"


class Interrupted(host.HostTest):
    def test_one_of_two_that_ask_for_the_same(self):
        h = self.host("xe")
        h.sim.fault(f"{WRITE}:hang")
        words = ("enable-vfs", XE, "2")
        first = h.start_vgpuctl(*words)
        bus.wait(lambda: len(h.bus.jobs()) == 1, "the first job is there")
        second = h.start_vgpuctl(*words)
        bus.wait(lambda: len(h.bus.jobs()) == 2, "the second job is there")
        second.send_signal(signal.SIGINT)
        result = h.end_vgpuctl(second)
        self.assertEqual(result.status, 130)
        self.assertEqual(re.findall(r'"vgpuctl (?:cancel|wait job) (\d+)"', result.err), ["2"], result.err)
        h.sim.ctl("fault", "clear")
        h.sim.ctl("release")
        self.assertEqual(h.end_vgpuctl(first).status, 0)


class OverSsh(host.HostTest):
    """A fake ssh: a bridge to the host's bus, with another user at the far end."""

    def over_ssh(self, script='exec setpriv --reuid={uid} --regid={uid} --clear-groups systemd-stdio-bridge '
                              '--bus-path="$DBUS_SYSTEM_BUS_ADDRESS"'):
        h = self.host("xe", polkit=True)
        h.polkit.allow("set-vfs")
        h.sim.fault(f"{WRITE}:hang")
        folder = h.directory / "ssh.log"  # the check for leftovers ignores logs
        folder.mkdir()
        (folder / "ssh").write_text(f"#!/bin/sh\necho $$ >>{folder}/pids\n{script.format(uid=NOBODY)}\n", "ascii")
        os.chmod(folder / "ssh", 0o755)
        h.environment["PATH"] = f"{folder}:{h.environment['PATH']}"
        return h

    def start(self, h, *words, stderr=subprocess.PIPE):
        """Start a new process group, like a shell with a terminal."""
        return subprocess.Popen([str(h.program()), "-H", "user@host", *words], env=h.environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=stderr, text=True, cwd="/", start_new_session=True)

    def start_job(self, h):
        p = self.start(h, "enable-vfs", XE, "2")
        bus.wait(lambda: any(j["State"] == "running" for j in h.bus.jobs().values()), "the job runs")
        return p

    def ends(self, h, p, status):
        result = h.end_vgpuctl(p)
        self.assertEqual(len(h.bus.jobs()), 1)
        h.sim.ctl("fault", "clear")
        h.sim.ctl("release")
        self.assertEqual(result.status, status, result.err)
        self.assertIn('"vgpuctl -H user@host wait job 1"', result.err)

    def test_ctrl_c(self):
        """The terminal sends Ctrl-C to all programs of the group, and ssh is one of them."""
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            h = self.over_ssh()
            p = self.start_job(h)
            os.killpg(p.pid, number)
            self.ends(h, p, status)
            h.close()

    def test_without_a_connection(self):
        """The connection ends at the moment of an interrupt: vgpuctl reports the job that it knows."""
        h = self.over_ssh()
        master, slave = os.openpty()
        self.addCleanup(os.close, master)
        p = self.start(h, "enable-vfs", XE, "2", stderr=slave)
        os.close(slave)
        said = b""
        while b"job 1 " not in said:  # the line of progress: the client knows the job
            said += os.read(master, 4096)
        p.send_signal(signal.SIGSTOP)
        os.kill(int(h.read("ssh.log/pids").split()[-1]), signal.SIGKILL)
        p.send_signal(signal.SIGINT)
        p.send_signal(signal.SIGCONT)
        with p:
            self.assertEqual(p.wait(bus.DEADLINE), 130)
        self.assertEqual(len(h.bus.jobs()), 1)
        h.sim.ctl("fault", "clear")
        h.sim.ctl("release")
        with contextlib.suppress(OSError):  # the end of the terminal
            while part := os.read(master, 4096):
                said += part
        self.assertIn(b"-H user@host wait job 1", said)

    @staticmethod
    def blocks(pid, number):
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            return bool(int(re.search(r"SigBlk:\s*(\w+)", f.read())[1], 16) >> number - 1 & 1)

    def test_before_there_is_a_connection(self):
        """An interrupt while ssh asks for a password: no job has started, and ssh ends together with vgpuctl."""
        h = self.over_ssh("exec sleep 1000")
        # The first command waits in its event loop, the second in a blocking call.
        for words, status in ((("create", "vf"), 130), (("enable-vfs", XE), -signal.SIGINT)):
            h.directory.joinpath("ssh.log/pids").unlink(missing_ok=True)
            p = self.start(h, *words)
            bus.wait(lambda: h.read("ssh.log/pids"), "ssh runs")
            ssh = int(h.read("ssh.log/pids"))
            bus.wait(lambda pid=ssh: host.command_of(pid) and "sleep" in host.command_of(pid), "ssh asks for a password")
            bus.wait(lambda pid=p.pid, s=status: s < 0 or self.blocks(pid, signal.SIGINT), "the event loop runs")
            os.killpg(p.pid, signal.SIGINT)
            result = h.end_vgpuctl(p)
            self.assertEqual(result.status, status)
            if status == 130:
                self.assertIn("user@host", result.err)
                self.assertNotIn("job 1", result.err)
            bus.wait(lambda pid=ssh: host.reap() or not host.command_of(pid), "ssh has gone")
        self.assertEqual(h.bus.jobs(), {})


class Stuck(host.HostTest):
    def test_past_the_deadline(self):
        """--timeout bounds only the wait of the caller: the error is Timeout, and the job goes on."""
        h = self.host("gvt-g")
        h.sim.fault(f"create:{GVT}:hang:1")
        result = h.vgpuctl("create", V5_4, "--timeout", "1", "--json")
        self.assertEqual((result.status, result.out), (8, ""))
        error = json.loads(result.err)["error"]
        self.assertEqual((error["name"], error["hint_id"], error["job"]), ("org.vgpud1.Error.Timeout", "wait-for-job", 1))
        self.assertEqual(h.bus.job(f"{bus.ROOT}/job/1").get("State"), "running")
        self.assertEqual(h.bus.gpu(GVT).get("State"), "ready")
        h.sim.ctl("release")
        self.assertEqual(h.mirror.await_end(1)[0], "done")

    def test_the_daemon_stops(self):
        h = self.host("gvt-g")
        h.sim.fault(f"create:{GVT}:hang:1")
        p = h.start_vgpuctl("create", V5_4, "--json")
        h.hanging(1)
        h.kill()
        h.sim.ctl("release")
        result = h.end_vgpuctl(p)
        self.assertEqual((result.status, result.out), (1, ""))
        self.assertEqual(result.error()["name"], "org.freedesktop.DBus.Error.NoReply")


class Names(host.HostTest):
    def test_all_verbs_find_the_same_gpu(self):
        """Some verbs find the GPU in the client, others in the daemon. A beginning or an end of a name, in the same case, is
        enough if it fits one GPU: "m" fits three."""
        h = self.host("samples")
        verbs = (("show",), ("types",), ("rescan",), ("create", "mdpy-xga", "--gpu"))
        for what, status in (("mdpy", 0), ("mdp", 0), ("dpy", 0), ("MDPY", 3), ("mdpx", 3), ("m", 2)):
            self.assertEqual([h.vgpuctl(*v, what).status for v in verbs], [status] * len(verbs), what)


    def test_addresses_of_other_tools(self):
        """vgpuctl and the bus accept the addresses, also for a parent. vgpud itself reports the kernel's names."""
        h = self.host("nvidia-a2")
        forms = {A2: "0000:08:00.4", "00000000:08:00.0": "00000000:08:00.4", "08:00.0": "08:00.4",
                 "pci_0000_08_00_0": "pci_0000_08_00_4", "pci@0000:08:00.0": "pci@0000:08:00.4", "PCI:8:0:0": "PCI:8:0:4",
                 "PCI:0000:08:00": "0000:08:00:4"}
        verbs = (("show",), ("types",), ("rescan",), ("list",), ("place", "A2-4Q", "--near"))
        for word, parent in forms.items():
            with self.subTest(word=word):
                self.assertEqual([h.vgpuctl(*v, word).status for v in verbs], [0] * len(verbs))
                self.assertEqual(h.bus.manager.call("GetGpu", word), bus.gpu_path(A2))
                self.assertIsNone(h.bus.manager.start("ListInstances", gpu=word).error())
                self.assertIsNone(h.bus.manager.start("Place", "A2-4Q", near=word).error())
                made = h.bus.create(word, "A2-4Q", parent=parent)[0]
                self.assertEqual((h.bus.instances()[made]["Gpu"], h.bus.instances()[made]["Parent"]),
                                 (bus.gpu_path(A2), "0000:08:00.4"))
                h.bus.destroy(made)
                self.assertEqual(h.vgpuctl("create", "A2-4Q", "--gpu", word).status, 0)
                self.assertEqual(h.vgpuctl("destroy", next(iter(h.bus.instances()))).status, 0)
        for word, name in (("00000000:09:00.0", "NoSuchGpu"), ("0000:0800.0", "NoSuchGpu"), ("pci_0000_08_00", "NoSuchGpu")):
            self.assert_error(name, h.bus.manager.start("GetGpu", word), word)
        # A word that means a GPU cannot name an instance.
        self.assert_error("Exists", h.bus.start_create(A2, "A2-4Q", name="pci_0000_08_00_0"))

    def test_sections_of_the_configuration(self):
        """A restriction in the form of another tool holds; a section that matches no GPU is shown and logged."""
        config = ("[gpu 00000000:08:00.0]\nforbid=*-8Q\n[gpu pci_0000_09_00_0]\nforbid=*\n[gpu 0000:0800.0]\nforbid=*\n"
                  "[gpu *]\nspare=0\n")
        h = self.host("nvidia-a2", config=config)
        self.assert_error("NotSupported", h.bus.start_create(A2, "A2-8Q"), "forbid=*-8Q", hint="change-config")
        unmatched = h.bus.manager.get("ConfigUnmatched")
        self.assertEqual([re.search(r"vgpud\.conf:\d+: \[[^]]*\]", text)[0] for text in unmatched],
                         ["vgpud.conf:3: [gpu pci_0000_09_00_0]", "vgpud.conf:5: [gpu 0000:0800.0]"])
        for text in unmatched:
            self.assertIn(text, h.log())
        self.assertEqual(h.bus.manager.get("ConfigErrors"), [])


class Readme(host.HostTest):
    def test_the_refusal(self):
        """The quotation in README.md equals the output, apart from line breaks."""
        text = (host.TOP / "README.md").read_text("utf-8")
        quoted = " ".join(re.search(r"\n {4}\$ vgpuctl create --type A2-8Q +#.*\n((?: {4}[^$].*\n)+)", text)[1].split())
        h = self.host("nvidia-a2")
        for command in re.findall(r"\n {4}\$ vgpuctl (create --type A2-4Q .*)", text):
            self.assertEqual(h.vgpuctl(*command.split()).status, 0)
        result = h.vgpuctl("create", "--type", "A2-8Q")
        self.assertEqual(result.status, 5)
        self.assertEqual(" ".join(result.err.split()), quoted)


if __name__ == "__main__":
    runner.main()
