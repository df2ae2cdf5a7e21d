#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tests of vgpuctl and the readiness of the host: wait --ready, the overview, list --all, monitor."""

import json
import os
import pathlib
import signal

import dbus

import case
from harness import Program, wait_for
from mock_host import INSTANCE, SAMPLE, instance_path, make_instance

ONE = "11111111-2222-4333-8444-555555555555"
TWO = "22222222-2222-4333-8444-555555555555"
KEY = "-/-/-/3/Virtual XGA"
MISSING = [f"GPU {SAMPLE}: xyz\033[31m", *(f"definition d{i}: xyzzy" for i in range(5))]
DEGRADED = 9


class Ready(case.Case):
    def readiness(self, readiness, *missing):
        self.bus.control("Readiness", readiness, missing, signature="sas")

    def define(self, uuid, name, reason="xyzzy"):
        self.bus.control("AddDefinition", uuid, {"type": KEY, "gpu": SAMPLE, "name": name, "reason": reason}, signature="sa{sv}")

    def run_instance(self, uuid, **more):
        self.bus.control("Add", dbus.ObjectPath(instance_path(uuid)), {INSTANCE: make_instance(uuid, SAMPLE, "mdpy-xga", "Virtual XGA", **more)},
                         signature="oa{sa{sv}}")  # fmt: skip

    def waiting(self, *args, member="Get", **more):
        """A vgpuctl that waits, once it has asked the mock."""
        self.calls()
        p = self.program("wait", "--ready", *args, **more)
        asked = []
        wait_for(lambda: asked.extend(self.calls(member)) or asked, "a question about the readiness")
        return p

    def go_on(self, *programs):
        for p in programs:
            self.assertIsNone(p.process.poll(), p.text + p.errors)

    def ended(self, p, status):
        self.assertEqual(p.finish(), status, p.text + p.errors)

    def wait_json(self, status, *args):
        r = self.vgpuctl("wait", "--ready", *args, "--json")
        self.assertEqual(r.status, status, r.out + r.err)
        data = json.loads(r.out)
        self.check("wait_ready", data)
        return data, self.error(r) if r.err else None

    # ---- the host ----

    def test_ready(self):
        self.assertEqual(self.good("wait", "--ready"), "")
        data, _ = self.wait_json(0)
        self.assertEqual(data, {"readiness": "ready", "missing": [], "definitions": []})
        self.assertEqual(self.calls("ListMissing"), [])

    def test_degraded(self):
        self.readiness("degraded", *MISSING)
        err = self.bad(DEGRADED, "wait", "--ready", "--timeout", "1h").splitlines()
        for text in MISSING:
            self.assertEqual(sum(text.partition("\033")[0] in line for line in err), 1, text)
        self.assertNotIn("\033", "".join(err))
        data, error = self.wait_json(DEGRADED)
        self.assertEqual((data["readiness"], data["missing"]), ("degraded", MISSING))
        self.assertEqual((error["name"], error["exit_status"]), ("vgpuctl.Degraded", DEGRADED))
        self.assertEqual(self.calls("ListMissing")[-1]["args"], [{}])

    def test_converging(self):
        self.readiness("converging", "definition d")
        p, q = self.waiting(), self.waiting()
        self.readiness("converging", "definition d", "definition e")
        self.go_on(p, q)
        self.readiness("ready")
        self.ended(p, 0)
        self.ended(q, 0)
        self.readiness("converging", "definition d")
        p = self.waiting()
        self.readiness("degraded", "definition d")
        self.ended(p, DEGRADED)
        self.assertIn("definition d", p.errors)
        self.readiness("ready")
        self.good("wait", "--ready")

    def test_a_newer_readiness(self):
        self.readiness("half-ready")
        self.assertEqual(self.wait_json(DEGRADED)[0]["readiness"], "half-ready")

    def test_timeout(self):
        self.readiness("converging", "definition d")
        self.assertIn("definition d", self.bad(8, "wait", "--ready", "--timeout", "10ms"))
        data, error = self.wait_json(8, "--timeout", "10ms")
        self.assertEqual((data["readiness"], data["missing"], error["name"]), ("converging", ["definition d"], "org.vgpud1.Error.Timeout"))

    def test_interrupt(self):
        self.readiness("converging")
        for number in (signal.SIGINT, signal.SIGTERM):
            p = self.waiting("--json")
            p.process.send_signal(number)
            self.ended(p, 128 + number)
            self.assertEqual(json.loads(p.errors)["error"]["name"], "vgpuctl.Interrupted")

    def test_forged_signals(self):
        """Only the daemon's signals count."""
        self.readiness("converging")
        p = self.waiting()
        own = self.bus.connection.get_unique_name()
        for name in [str(n) for n in self.bus.connection.list_names() if str(n).startswith(":") and str(n) != own]:
            message = dbus.lowlevel.SignalMessage("/org/vgpud1", "org.freedesktop.DBus.Properties", "PropertiesChanged")
            message.append("org.vgpud1.Manager", {"Readiness": "ready"}, [], signature="sa{sv}as")
            message.set_destination(name)
            self.bus.connection.send_message(message)
        self.readiness("degraded")
        self.ended(p, DEGRADED)

    # ---- the daemon comes and goes ----

    def test_restart(self):
        self.readiness("converging", "definition d")
        self.define(ONE, "desk")
        p, q = self.waiting(), self.waiting("desk", member="GetDefinition")
        self.bus.stop_mock(signal.SIGKILL)
        self.go_on(p, q)
        self.bus.start_mock()
        self.ended(p, 0)
        # The definition is unknown to the mock that has just started.
        self.ended(q, 3)

    def test_absent(self):
        self.bus.stop_mock()
        p = self.program("wait", "--ready", terminal=True)
        q = self.program("wait", "--ready", "--timeout", "1h", terminal=True)
        for program in (p, q):
            program.expect("\033[K")  # the line of progress
        self.bus.start_mock()
        self.ended(p, 0)
        self.ended(q, 0)
        self.bus.stop_mock()
        error = self.wait_json(1, "--timeout", "10ms")[1]
        self.assertEqual(error["hint_id"], "check-service")
        p = self.program("wait", "--ready", terminal=True)
        p.expect("\033[K")
        p.process.send_signal(signal.SIGINT)
        self.ended(p, 130)

    def test_refused(self):
        """Errors that do not pass with time end the wait at once."""
        for name, status, hint in (("org.freedesktop.systemd1.UnitMasked", 1, "check-service"),
                                   ("org.freedesktop.systemd1.NoSuchUnit", 1, "check-service"),
                                   ("org.freedesktop.DBus.Error.AccessDenied", 4, "ask-administrator")):
            for words in ((), ("desk",)):
                self.bus.control("Fail", name, "refused", signature="ss")
                self.assertEqual(self.wait_json(status, *words)[1]["hint_id"], hint)

    def test_other_host(self):
        folder = pathlib.Path(self.bus.folder.name)
        (folder / "ssh").write_text(f"#!/bin/sh\nexec systemd-stdio-bridge -p {self.bus.address}\n")
        (folder / "ssh").chmod(0o755)
        path = {"PATH": f"{folder}:{os.environ['PATH']}", "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent"}
        self.readiness("converging")
        p = self.waiting("-H", "elsewhere", environment=path)
        self.bus.stop_mock(signal.SIGKILL)
        self.bus.start_mock()
        self.ended(p, 0)
        self.readiness("degraded", *MISSING)
        self.assertEqual(self.vgpuctl("-H", "elsewhere", "wait", "--ready", environment=path).status, DEGRADED)

    def test_older_daemon(self):
        self.readiness("")
        self.assertEqual(self.wait_json(1)[1]["hint_id"], "restart-daemon")
        self.assertIsNone(self.data()["readiness"])
        self.assertEqual(self.good("list", "--all").count("egraded"), 0)

    def test_bus_goes(self):
        bus = case.Bus()
        self.addCleanup(bus.folder.cleanup)
        p = Program([case.PROGRAM, "wait", "--ready"], bus.environment, terminal=True)
        self.addCleanup(p.close)
        p.expect("\033[K")
        bus.daemon.kill()
        bus.daemon.wait()
        bus.daemon.stdout.close()
        self.ended(p, 1)

    # ---- definitions ----

    def test_definitions(self):
        self.define(ONE, "desk")
        self.define(TWO, "web")
        p = self.waiting("desk", TWO.upper(), "--json", member="GetDefinition")
        self.run_instance(ONE)
        self.readiness("degraded", "definition web")
        self.go_on(p)
        self.run_instance(TWO)
        self.ended(p, 0)
        data = json.loads(p.text)
        self.check("wait_ready", data)
        self.assertEqual([(d["definition"], d["state"], d["error"]) for d in data["definitions"]], [(ONE, "active", None), (TWO, "active", None)])
        self.assertEqual(self.wait_json(0, "desk")[0]["missing"], [])

    def test_definitions_without_hope(self):
        self.define(ONE, "desk")
        self.define(TWO, "web", "")
        data, _ = self.wait_json(3, "desk", "web")
        self.assertIsNone(data["definitions"][0]["error"])
        self.assertEqual(data["definitions"][1]["error"]["hint_id"], "use-start")
        self.assertIn("xyzzy", self.bad(8, "wait", "--ready", "desk", "--timeout", "10ms"))
        self.assertEqual(self.failed_definition(3, "nonsense")["name"], "org.vgpud1.Error.NoSuchDefinition")
        self.run_instance(TWO, Origin="foreign")
        self.assertEqual(self.failed_definition(4, "web")["name"], "org.vgpud1.Error.Foreign")
        self.assertEqual(self.failed(2, "wait", "--ready", "")["name"], "org.vgpud1.Error.InvalidArgs")

    def failed_definition(self, status, word):
        return self.wait_json(status, word)[0]["definitions"][0]["error"]

    def test_end_of_a_want(self):
        self.define(ONE, "desk")
        p = self.waiting("desk", member="GetDefinition")
        self.bus.control("AddDefinition", ONE, {"reason": ""}, signature="sa{sv}")
        self.ended(p, 3)
        self.define(ONE, "desk")
        p = self.waiting("desk", member="GetDefinition")
        self.good("undefine", "desk")
        self.ended(p, 3)

    def test_failing_start(self):
        """No signal about the definition tells that its start has failed."""
        self.define(ONE, "desk", "")
        self.bus.control("AddDefinition", ONE, {"type": "mdpy-xga"}, signature="sa{sv}")
        self.bus.control("Hold", True)
        self.good("start", "desk", "--no-block")
        p = self.waiting("desk", member="GetDefinition")
        self.bus.control("End", 17, "failed", "org.vgpud1.Error.Failed", "no", signature="usss")
        self.ended(p, 3)

    # ---- the other verbs ----

    def test_overview_and_list(self):
        self.assertEqual(self.data()["readiness"], "ready")
        self.readiness("degraded", *MISSING)
        for args in ((), ("list", "--all")):
            err = self.vgpuctl(*args).err.splitlines()
            self.assertEqual([sum(t.split("\033")[0] in line for line in err) for t in MISSING], [1, 1, 1, 1, 0, 0], err)
            self.assertIn("2", err[-1])
            data = self.data(*args)
            self.assertEqual((data["readiness"], data["missing"]), ("degraded", MISSING))
            self.assertEqual(self.vgpuctl(*args, "-q").err, "")
        self.readiness("converging", *MISSING[:1])
        self.assertEqual(len(self.vgpuctl("list", "--all").err.splitlines()), 2)
        self.readiness("converging")
        self.assertEqual(self.vgpuctl().err, "")

    def test_monitor(self):
        p, q = self.program("monitor"), self.program("monitor", "--json")
        p.expect("GPUs")
        q.expect("daemon-present")
        for readiness in ("degraded", "ready"):
            self.readiness(readiness)
            p.expect(readiness)
            q.expect(f'"{readiness}"')
        for line in q.text.splitlines():
            self.check("event", json.loads(line))


if __name__ == "__main__":
    case.main()
