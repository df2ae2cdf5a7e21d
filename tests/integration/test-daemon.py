#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""vgpud as a process: arguments, configuration, a second vgpud, loss of the bus, signals."""

import os
import signal
import socket
import subprocess

from gi.repository import Gio

import bus
import host
import runner
from host import GVT, V5_4, V5_8, uuid

DEFAULT_TIMEOUT_USEC = 120_000_000


class Arguments(host.HostTest):
    def run_daemon(self, *arguments):
        environment = dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS="unix:path=/nonexistent")
        return subprocess.run([str(host.BUILD / "vgpud"), *arguments], capture_output=True, text=True, check=False,
                              env=environment, timeout=bus.DEADLINE)

    def test_version(self):
        result = self.run_daemon("--version")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertRegex(result.stdout, r"^vgpud \d+\.\d+\n$")

    def test_help(self):
        for word in ("--help", "-h"):
            result = self.run_daemon(word)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            for option in ("--version", "--config-directory", "--runtime-directory", "--state-directory", "--writer", "--nvml",
                           "--systemctl", "--modules", "--debug"):
                self.assertIn(option, result.stdout)

    def test_wrong(self):
        for words in (["--nonsense"], ["word"], ["--writer"], ["--version=1"]):
            result = self.run_daemon(*words)
            self.assertEqual((result.returncode, result.stdout), (2, ""), words)
            self.assertTrue(result.stderr)

    def test_no_bus(self):
        h = self.host(start=False)
        result = self.run_daemon(f"--runtime-directory={h.runtime}")
        self.assertEqual(result.returncode, 1)
        self.assertTrue(result.stderr)

    def test_debug(self):
        h = self.host(start=False)
        h.start("--debug")
        h.bus.create(GVT, V5_4, uuid=uuid(1))
        self.assertTrue(any(f'"{uuid(1)}"' in line and V5_4 in line for line in h.log().splitlines()))


class Configuration(host.HostTest):
    def timeout_usec(self, h):
        return h.bus.manager.get("JobTimeoutUsec")

    def test_none(self):
        h = self.host()
        self.assertEqual(self.timeout_usec(h), DEFAULT_TIMEOUT_USEC)
        self.assertEqual(h.bus.manager.get("ConfigErrors"), [])

    def test_units(self):
        for text, usec in (("90", 90_000_000), ("90s", 90_000_000), ("5000ms", 5_000_000), ("2min", 120_000_000), ("1h", 3_600_000_000)):
            h = self.host(config={"jobs": {"timeout": text}})
            self.assertEqual(self.timeout_usec(h), usec, text)
            h.close()

    def test_dropins(self):
        # vgpud reads only names that end in ".conf" and do not begin with ".".
        dropins = {"10-a.conf": "[jobs]\ntimeout=10s\nper-gpu=1\n", "20-b.conf": "[jobs]\ntimeout=20s\n",
                   "30-c.txt": "[jobs]\ntimeout=30s\n", ".40.conf": "[jobs]\ntimeout=40s\n"}
        h = self.host(config={"jobs": {"timeout": "5s"}}, dropins=dropins)
        self.assertEqual(self.timeout_usec(h), 20_000_000)
        h.sim.fault("create:*:hang:1")
        h.bus.queue_create(GVT, V5_8)
        h.hanging(1)
        bus.wait(lambda: h.bus.gpu(GVT).get("QueuedJobs") == 0, "the first job runs")
        h.bus.queue_create(GVT, V5_8)
        self.assert_error("TooManyJobs", h.bus.start_create(GVT, V5_8), "1 jobs")
        h.sim.ctl("release")

    def test_wrong_values(self):
        bad = {"jobs": {"timeout": "soon", "per-gpu": "0", "per-user": "-1", "nonsense": "1"}, "start": {"timeout": ""},
               "stop": {"timeout": "99999999999999999999"}, "Nonsense": {"x": "y"}}
        h = self.host(config=bad)
        self.assertEqual(self.timeout_usec(h), DEFAULT_TIMEOUT_USEC)
        for text in ("[jobs] timeout=soon ", "[jobs] per-gpu=0 ", "[jobs] per-user=-1 ", "[jobs] nonsense= ", "[start] timeout= ",
                     "[Nonsense] x= ", "[stop] timeout=99999999999999999999 "):
            self.assertIn(text, h.log())
        self.assertEqual(len(h.bus.manager.get("ConfigErrors")), 7)

    def test_files_that_are_none(self):
        h = self.host(config="nonsense\n", dropins={"10-good.conf": "[jobs]\ntimeout=7s\n", "20-bad.conf": "[jobs\ntimeout=1s\n"})
        self.assertEqual(self.timeout_usec(h), 7_000_000)
        self.assertIn('vgpud.conf:1: "nonsense" ', h.log())
        self.assertIn('20-bad.conf:1: "[jobs" ', h.log())
        self.assertEqual(len(h.bus.manager.get("ConfigErrors")), 2)

    def test_one_bad_line(self):
        """The rules around an invalid line hold, and the log names the file and line."""
        h = self.host(config=f"[discovery]\nalso=8086:10c9 nonsense\n[gpu {GVT}]\nforbid=nothing\nnonsense\nforbid=*_4\n")
        self.assert_error("NotSupported", h.bus.start_create(GVT, V5_4), "forbid=*_4")
        self.assertIn('vgpud.conf:5: "nonsense" ', h.log())
        self.assertRegex(h.log(), r'vgpud\.conf:2: \[discovery\] also= .*: "nonsense"')
        errors = h.bus.manager.get("ConfigErrors")
        self.assertEqual([e.rpartition("/")[2].partition(" ")[0] for e in errors], ["vgpud.conf:2:", "vgpud.conf:5:"])

    def test_a_file_that_cannot_be_read(self):
        h = self.host(start=False)
        (h.config / "vgpud.conf").mkdir()
        h.start()
        (error,) = h.bus.manager.get("ConfigErrors")
        self.assertRegex(error, r"/vgpud\.conf\b")
        self.assertIn(error, h.log())
        h.bus.create(GVT, V5_4)


class Start(host.HostTest):
    def test_silent_until_the_name(self):
        """Until vgpud has its name, no client knows the objects: the first scans send no signals."""
        h = self.host(start=False)
        h.foreign(GVT, V5_8, 1)
        heard = []
        h.bus.gio.signal_subscribe(None, bus.OBJECT_MANAGER, "InterfacesAdded", None, None, Gio.DBusSignalFlags.NONE,
                                   lambda *signal: heard.append(signal[5].get_child_value(0).get_string()))
        h.start()
        self.assertIn(bus.instance_path(uuid(1)), h.bus.managed())
        h.foreign(GVT, V5_8, 2)
        bus.wait(lambda: heard, "a signal")
        self.assertEqual(heard, [bus.instance_path(uuid(2))])


class Process(host.HostTest):
    def test_a_second_one(self):
        h = self.host()
        first = h.vgpud
        second = h.launch()
        bus.wait(lambda: second.poll() is not None, "the second one ends")
        self.assertEqual(second.returncode, 1)
        h.vgpud = first
        h.bus.create(GVT, V5_4)

    def test_a_name_that_is_taken(self):
        # With another runtime directory, the second daemon gets the lock, but not the name on the bus.
        h = self.host()
        first = h.vgpud
        h.runtime = h.directory / "etc" / "run2"
        second = h.launch()
        bus.wait(lambda: second.poll() is not None, "the second one ends")
        self.assertEqual(second.returncode, 1)
        self.assertIn("org.vgpud1", h.log().splitlines()[-1])
        h.runtime = h.directory / "run"
        h.vgpud = first
        h.bus.create(GVT, V5_4)

    def test_the_bus_goes_away(self):
        h = self.host()
        h.bus.create(GVT, V5_4, uuid=uuid(1))
        h.bus_process.kill()
        bus.wait(lambda: h.vgpud.poll() is not None, "vgpud ends")
        self.assertEqual(h.vgpud.returncode, 1)
        self.assertEqual(set(h.records()), {uuid(1)})
        h.check_log()
        h.vgpud = None

    def test_the_bus_goes_away_with_a_job(self):
        h = self.host(faults=["create:*:hang:1"], config={"stop": {"timeout": "500ms"}})
        h.bus.start_create(GVT, V5_4, uuid=uuid(1))
        h.hanging(1)
        h.bus_process.kill()
        bus.wait(lambda: h.vgpud.poll() is not None, "vgpud ends")
        self.assertEqual(h.vgpud.returncode, 1)
        h.vgpud = None

    def test_signals(self):
        h = self.host()
        for number, name in ((signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "SIGINT")):
            process = h.vgpud
            self.assertEqual(h.end(process, number), 0)
            self.assertIn(name, h.log())
            h.forget()
            h.start()
        os.kill(h.vgpud.pid, signal.SIGPIPE)
        self.assertEqual(h.vgpuctl("list").status, 0)

    def test_it_tells_systemd(self):
        h = self.host(start=False)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            path = h.config / "notify"
            listener.bind(str(path))
            listener.settimeout(bus.DEADLINE)
            h.environment["NOTIFY_SOCKET"] = str(path)
            h.start()
            # The start may take [start] timeout, whatever the unit says.
            self.assertRegex(listener.recv(4096).decode(), r"^EXTEND_TIMEOUT_USEC=\d+$")
            message = listener.recv(4096).decode()
            self.assertIn("READY=1", message)
            self.assertRegex(message, r"(?m)^STATUS=1 \w+, 0 \w+")  # GPUs, instances
            h.stop()
            self.assertIn("STOPPING=1", listener.recv(4096).decode())

    def test_the_watchdog(self):
        h = self.host(start=False)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            path = h.config / "notify"
            listener.bind(str(path))
            listener.settimeout(bus.DEADLINE)
            h.environment.update(NOTIFY_SOCKET=str(path), WATCHDOG_USEC="1000000")
            h.start()
            h.sim.fault("create:*:hang:1")
            h.bus.queue_create(GVT, V5_4)
            h.hanging(1)
            for _ in range(3):  # also while the kernel hangs
                bus.wait(lambda: "WATCHDOG=1" in listener.recv(4096).decode(), "the watchdog is fed")
            h.sim.ctl("release")

    def test_start_again_and_again(self):
        h = self.host()
        made = h.bus.create(GVT, V5_4, name="one")
        for _ in range(10):
            h.stop()
            h.start()
            self.assertEqual([(u, i["Name"], i["Origin"]) for u, i in h.bus.instances().items()], [(made[0], "one", "vgpud")])
        self.assertEqual(h.writes("remove"), [])

    def test_nothing_to_manage(self):
        # vgpud keeps running on a host without GPUs.
        h = self.host("samples")
        for parent in ("mdpy", "mbochs", "mtty"):
            h.sim.ctl("unregister", parent)
        h.stop()
        h.start()
        self.assertEqual((h.bus.managed().keys() - {bus.ROOT}, h.vgpuctl().status), (set(), 0))
        self.assert_error("NoSuchType", h.bus.start_create("", V5_4))
        h.sim.ctl("register", "mtty")
        bus.wait(lambda: h.mirror.gpu("mtty") and h.mirror.gpu("mtty")["State"] == "ready", "a GPU")
        h.bus.create("mtty", "mtty-1")

    def test_runtime_directory_that_cannot_be_used(self):
        h = self.host(start=False)
        h.runtime.write_text("a file", "ascii")
        process = h.launch()
        bus.wait(lambda: process.poll() is not None, "vgpud ends")
        self.assertEqual(process.returncode, 1)
        self.assertIn(str(h.runtime), h.log())
        h.vgpud = None

    def test_records_that_cannot_be_written(self):
        h = self.host()
        # A file replaces the folder, since root ignores permissions.
        records = h.runtime / "instance"
        os.rename(records, h.runtime / "away")
        records.write_text("", "ascii")
        h.bus.create(GVT, V5_4, uuid=uuid(1))  # vgpud keeps the folder open
        h.stop()
        process = h.launch()
        bus.wait(lambda: process.poll() is not None, "vgpud ends")
        self.assertEqual(process.returncode, 1)
        records.unlink()
        os.rename(h.runtime / "away", records)
        h.start()
        self.assertEqual(h.bus.instances()[uuid(1)]["Origin"], "vgpud")


if __name__ == "__main__":
    runner.main()
