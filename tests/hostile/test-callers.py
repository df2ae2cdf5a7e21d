#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Unprivileged users try to stop, overload or deceive the daemon and vgpuctl. The daemon still answers calls of root.
The program prints a table with a line for each attack. Names of tests and lines begin with the kind of attack:

A2  calls that carry file descriptors
A3  calls that are long, or that wait with long arguments
A4  floods of calls
A5  forged signals, to the daemon and to vgpuctl
A6  calls that need questions to polkit
A7  answers that their client does not read"""

import contextlib
import os
import pathlib
import re
import statistics
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests" / "integration"), str(TOP / "tests" / "hostile")]

import bus  # noqa: E402  pylint: disable=wrong-import-position
import host  # noqa: E402  pylint: disable=wrong-import-position
import raw  # noqa: E402  pylint: disable=wrong-import-position
import runner  # noqa: E402  pylint: disable=wrong-import-position
import simhost  # noqa: E402  pylint: disable=wrong-import-position
from gi.repository import GLib  # noqa: E402  pylint: disable=wrong-import-position
from host import DAEMON, GVT, NOBODY, V5_4, uuid  # noqa: E402  pylint: disable=wrong-import-position

GAMES = 5  # the user "games", with a fixed id in Debian
MIB = 1 << 20
RESIDENT_MIB = 64  # limit of the daemon's peak memory
ANSWER_S = 1.0  # limit of the median time of root's calls during an attack
DENIED = "org.freedesktop.DBus.Error.AccessDenied"
QUESTIONS_PER_USER = 16  # BUS_AUTHZ_QUESTIONS_PER_UID_MAX
FLOOD_S = 4.0

ROWS = []


def tearDownModule():
    width = max((len(threat) for threat, _ in ROWS), default=0)
    for threat, found in sorted(ROWS):
        print(f"{threat:{width}}  {found}")


class Hostile(host.HostTest):
    def row(self, threat, found):
        ROWS.append((threat, found))

    def start(self, *models, **more):
        self.h = self.host(*models, **more)
        self.pid = self.h.vgpud.pid
        self.owner = self.h.bus.name_owner(bus.SERVICE)
        return self.h

    def raw(self, uid=NOBODY, fds=False):
        client = raw.Raw(self.h.address, uid, fds)
        self.addCleanup(client.close)
        return client

    def peak_mib(self):
        """Return the peak of the daemon's resident memory."""
        text = pathlib.Path(f"/proc/{self.h.vgpud.pid}/status").read_text("ascii")
        return int(re.search(r"VmHWM:\s+(\d+) kB", text).group(1)) / 1024

    def seconds(self, call):
        began = time.monotonic()
        call()
        return time.monotonic() - began

    def list_seconds(self):
        """Return the time of a `vgpuctl list` of root."""
        def run():
            result = self.h.vgpuctl("list")
            self.assertEqual(result.status, 0, result)
        return self.seconds(run)

    def bus_seconds(self):
        """Return the time that a connection to the bus and a call of the bus itself take."""
        def run():
            client = raw.Raw(self.h.address)
            client.ask_bus("GetId")
            client.close()
        return self.seconds(run)

    def measure(self, until):
        """Call as root until the time `until`. Return (times of `vgpuctl list`, times of the bus alone)."""
        lists, alone = [], []
        while time.monotonic() < until:
            alone.append(self.bus_seconds())
            lists.append(self.list_seconds())
        return lists, alone

    def describe(self, lists, alone):
        return (f"vgpuctl list of root: {max(lists) * 1000:.0f} ms at most of {len(lists)} calls; the bus alone "
                f"{max(alone) * 1000:.0f} ms; vgpud had {self.peak_mib():.0f} MiB at most")

    def assert_in_time(self, seconds):
        """Compare the median with the limit, and the maximum with ten times the limit, because other programs may be busy.
        The table shows the maximum."""
        self.assertLess(statistics.median(seconds), ANSWER_S * (10 if host.IS_ASAN else 1))
        self.assertLess(max(seconds), ANSWER_S * 10)

    def assert_small(self):
        if not host.IS_ASAN:
            self.assertLess(self.peak_mib(), RESIDENT_MIB)

    def assert_alive(self):
        """The daemon answers, and was not restarted."""
        self.assertEqual(self.h.bus.call(bus.ROOT, "org.freedesktop.DBus.Peer", "Ping"), ())
        self.assertIsNone(self.h.vgpud.poll())
        self.assertEqual(self.h.vgpud.pid, self.pid)


class Descriptors(Hostile):
    def attack(self, broker):
        h = self.start("gvt-g", polkit=True, broker=broker)
        h.polkit.hang()
        before = h.open_files()
        client = self.raw(fds=True)
        null = os.open("/dev/null", os.O_RDONLY)
        self.addCleanup(os.close, null)
        answers = []
        for target in (bus.SERVICE, self.owner):
            for _ in range(32):
                serial = client.next()
                client.send(raw.call(serial, "Create", raw.Body().s("").s(V5_4).options(), destination=target, n_fds=16), [null] * 16)
                answers.append(serial)
        errors = {client.answer(serial, 5).error for serial in answers}
        self.assertEqual(errors, {DENIED})
        self.assert_alive()
        self.assertLess(h.open_files(), before + 16)
        # A call of the same client without descriptors is served.
        self.assertEqual(client.ask("GetGpu", raw.Body().s(GVT).options()).error, None)
        self.row(f"A2 file descriptors, {'dbus-broker' if broker else 'dbus-daemon'}",
                 f"64 calls with 16 each are refused by the bus; open in vgpud: {h.open_files()}, before {before}")

    def test_A2_descriptors(self):
        self.attack(broker=False)

    def test_A2_descriptors_dbus_broker(self):
        self.attack(broker=True)

    def test_A2_descriptors_are_not_negotiated(self):
        """The daemon refuses descriptors even if the policy of the bus permits them."""
        h = self.start("gvt-g", lax=True)
        client = self.raw(fds=True)
        null = os.open("/dev/null", os.O_RDONLY)
        self.addCleanup(os.close, null)
        before = h.open_files()
        serial = client.next()
        client.send(raw.call(serial, "ListGpus", raw.Body().options(), n_fds=4), [null] * 4)
        self.assertIsNotNone(client.answer(serial).error)
        self.assert_alive()
        self.assertEqual(h.open_files(), before)


class Bytes(Hostile):
    def long_calls(self, client, size):
        """Yield calls that are each long in one argument, option or header field."""
        long = "x" * size
        for body in (raw.Body().s(long).s(V5_4).options(), raw.Body().s("").s(long).options(),
                     raw.Body().s("").s(V5_4).options(parent=long), raw.Body().s("").s(V5_4).options(name=long),
                     raw.Body().s("").s(V5_4).options(**{f"key-{long}": "x"})):
            yield raw.call(client.next(), "Create", body)
        yield raw.call(client.next(), "Place", raw.Body().s(long).options())
        yield raw.call(client.next(), "Destroy", raw.Body().s(long).options())
        yield raw.call(client.next(), "NoSuchMethod", raw.Body().s(long))
        yield raw.call(client.next(), "GetGpu", raw.Body().s("").s(long))
        # sd-bus drops a call with a path of 64 KiB or more without an answer.
        yield raw.call(client.next(), "Create", raw.Body().s("").s(V5_4).options(), path="/" + "x" * 60_000)
        for body in (raw.Body().s(raw.MANAGER).s(long), raw.Body().s(long).s("Version")):
            yield raw.call(client.next(), "Get", body, interface=bus.PROPERTIES)
        yield raw.call(client.next(), "GetAll", raw.Body().s(long), interface=bus.PROPERTIES)

    def test_A3_long_calls(self):
        h = self.start("gvt-g", polkit=True)
        h.polkit.hang()
        client = self.raw()
        errors = []
        for data in self.long_calls(client, 30 * MIB):
            client.send(data)
            answer = client.answer(client.serial)
            self.assertIsNotNone(answer, f"the answer to long call {len(errors)}")
            self.assertLess(len(answer.text()), 4096)
            errors.append(answer.error)
        self.assertTrue(all(errors))
        self.assert_alive()
        self.assert_small()
        self.row("A3 long calls, 30 MiB", f"{len(errors)} kinds refused; vgpud had {self.peak_mib():.0f} MiB at most")

    def test_A3_calls_that_wait(self):
        """Several users send calls of almost the maximum length. The sum of the waiting bytes is bounded."""
        h = self.start("gvt-g", polkit=True)
        h.polkit.hang()
        sent = 0
        for uid in (NOBODY, DAEMON, GAMES):
            for _ in range(4):
                client = self.raw(uid)
                client.send(b"".join(raw.create(client.next(), raw.NO_REPLY, parent="y" * 100_000) for _ in range(120)))
                sent += 120
        self.h.bus.create(GVT, V5_4, name="root")
        self.assert_alive()
        self.assert_small()
        self.row("A3 waiting calls, 100 kB", f"{sent} sent; vgpud had {self.peak_mib():.0f} MiB at most")

    def test_A3_unknown_header_fields(self):
        """dbus-broker forwards unknown fields. A waiting call must not keep these fields."""
        h = self.start("gvt-g", polkit=True, broker=True)
        h.polkit.hang()
        client = self.raw()
        for _ in range(12):
            client.send(raw.call(client.next(), "Create", raw.Body().s("").s(V5_4).options(), raw.NO_REPLY, unknown="z" * (8 * MIB)))
        bus.wait(h.polkit.is_hanging, "polkit has a question")
        self.assertIsNone(client.ask("GetGpu", raw.Body().s(GVT).options()).error)
        self.assert_alive()
        self.assert_small()
        self.row("A3 unknown header fields of 8 MiB, dbus-broker", f"vgpud had {self.peak_mib():.0f} MiB at most")


class Floods(Hostile):
    def flood(self, make, uids=(NOBODY, DAEMON), each=2):
        """Flood as some users, and call as root during and after the flood. Return the times of root's calls."""
        h = self.h
        until = time.monotonic() + FLOOD_S
        pids = [raw.flood(h.address, uid, make, until) for uid in uids for _ in range(each)]
        time.sleep(0.5)  # let the flood begin
        during, alone = self.measure(until - 0.5)
        self.assertEqual([os.waitpid(pid, 0)[1] for pid in pids], [0] * len(pids))
        after = self.list_seconds()
        self.assert_alive()
        return during, alone, after

    def check(self, threat, make, **more):
        during, alone, after = self.flood(make, **more)
        self.row(threat, f"{self.describe(during, alone)}; afterwards {after * 1000:.0f} ms")
        self.assert_in_time(during)
        self.assert_in_time([after])
        self.assert_small()

    def test_A4_flood_of_creates(self):
        self.start("gvt-g", polkit=True)
        self.h.polkit.hang()
        self.check("A4 flood of Create without reply",
                   lambda client: b"".join(raw.create(client.next(), raw.NO_REPLY) for _ in range(1000)))

    def test_A4_flood_of_writes(self):
        """vgpud must refuse each write before sd-bus asks the bus synchronously who the caller is."""
        self.start("gvt-g")
        body = raw.Body().s("org.freedesktop.LogControl1").s("LogLevel")
        body.data = raw.pad(body.data + b"\1s\0", 4) + raw.string("debug")
        body.signature += "v"
        self.check("A4 flood of writes to a property",
                   lambda client: b"".join(raw.call(client.next(), "Set", body, raw.NO_REPLY, path="/org/freedesktop/LogControl1",
                                                    interface=bus.PROPERTIES) for _ in range(1000)))

    def test_A4_flood_of_lists(self):
        """Each call costs the daemon far more time than its sender."""
        self.start("nvidia-a2", "gvt-g", "samples")
        self.check("A4 flood of GetManagedObjects without reply",
                   lambda client: b"".join(raw.call(client.next(), "GetManagedObjects", None, raw.NO_REPLY,
                                                    interface=bus.OBJECT_MANAGER) for _ in range(1000)))

    def test_A4_flood_of_unread_errors(self):
        self.start("gvt-g", polkit=True)
        self.h.polkit.hang()
        self.check("A4 flood of Create, errors unread",
                   lambda client: b"".join(raw.create(client.next()) for _ in range(1000)))

    def test_A4_flood_of_connections(self):
        """Each call comes from a new connection, so vgpud asks the bus for the uid each time."""
        h = self.start("gvt-g")
        until = time.monotonic() + FLOOD_S
        pids = []
        for uid in (NOBODY, DAEMON):
            pid = os.fork()
            if not pid:
                with contextlib.suppress(OSError):
                    while time.monotonic() < until:
                        client = raw.Raw(h.address, uid)
                        client.send(b"".join(raw.create(client.next(), raw.NO_REPLY) for _ in range(50)))
                        client.close()
                os._exit(0)
            pids.append(pid)
        during, alone = self.measure(until)
        for pid in pids:
            os.waitpid(pid, 0)
        self.assert_alive()
        self.row("A4 flood of connections", self.describe(during, alone))
        self.assert_in_time(during)
        self.assert_small()


class Unread(Hostile):
    def held(self):
        """Return the number of bytes of unread answers of vgpud that the bus keeps."""
        return self.h.bus.call("/org/freedesktop/DBus", "org.freedesktop.DBus.Debug.Stats", "GetConnectionStats",
                               GLib.Variant("(s)", (self.owner,)), service="org.freedesktop.DBus")["IncomingBytes"]

    def test_A7_unread_answers(self):
        """vgpud must refuse users before unread answers reach 127 MiB, where dbus-daemon would stop reading from vgpud."""
        h = self.start("scalable", options=simhost.scalable(8, 32, 4))
        for gpu in sorted(h.bus.gpus()):
            h.bus.create(gpu, "nvidia-1000", count=32)
        deaf = [self.raw(uid) for uid in (NOBODY, DAEMON) for _ in range(3)]
        most = 0
        seconds = []
        for _ in range(5):
            for client in deaf:
                client.send(b"".join(raw.call(client.next(), "GetManagedObjects", interface=bus.OBJECT_MANAGER) for _ in range(25)))
            seconds.append(self.list_seconds())
            most = max(most, self.held())
        bus.wait(lambda: h.vgpuctl("list", uid=GAMES).status == 6, "users are refused")
        seconds.append(self.list_seconds())
        most = max(most, self.held())
        self.assert_alive()
        self.assertLess(most, 100 * MIB)
        for client in deaf:
            client.close()
        bus.wait(lambda: h.vgpuctl("list", uid=GAMES).status == 0, "users are served")
        self.row("A7 unread answers of 6 connections", f"the bus holds {most >> 20} MiB at most; vgpuctl list of root: "
                                                       f"{max(seconds) * 1000:.0f} ms at most; users are served after the connections close")


class Forgery(Hostile):
    def forge(self, client, target, path, interface, member, body):
        client.send(raw.message(raw.SIGNAL, client.next(), {raw.PATH: path, raw.INTERFACE: interface, raw.MEMBER: member,
                                                            raw.DESTINATION: target}, body))
        self.assertIsNotNone(client.ask_bus("GetId"))  # the bus has handled the signal

    def attack_daemon(self, **more):
        h = self.start("gvt-g", polkit=True, **more)
        h.polkit.allow("create")
        h.polkit.hang()
        victim, client = h.client(DAEMON), self.raw()
        call = victim.start_create(GVT, V5_4, uuid=uuid(1))
        bus.wait(h.polkit.is_hanging, "polkit has the question")
        for target in (bus.SERVICE, self.owner):
            for name in (victim.name, self.owner, bus.SERVICE):
                self.forge(client, target, "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameOwnerChanged",
                           raw.Body().s(name).s(name).s(""))
        self.assert_alive()
        h.polkit.release()
        self.assertIsNone(call.error(5))
        self.assertEqual(h.tree(), {uuid(1)})

    def test_A5_signal_to_the_daemon(self):
        self.attack_daemon()
        self.row("A5 NameOwnerChanged forged to vgpud", "refused by the bus; the victim's call is served")

    def test_A5_signal_to_the_daemon_without_the_policy(self):
        self.attack_daemon(lax=True)
        self.row("A5 NameOwnerChanged forged to vgpud, without the policy of the bus", "the victim's call is served")

    def test_A5_the_policy_stops_signals(self):
        h = self.start("gvt-g")
        client = self.raw()
        for target in (bus.SERVICE, self.owner):
            self.forge(client, target, "/x", "x.y", "Forged", raw.Body().s(target))
        rejected = [line for line in h.read("bus.log").splitlines() if "Rejected send message" in line and '"Forged"' in line]
        self.assertEqual(len(rejected), 2, h.read("bus.log"))

    def names(self):
        return set(self.h.bus.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "ListNames", None, "(as)",
                                   service="org.freedesktop.DBus"))

    def start_vgpuctl(self, *words):
        """Start vgpuctl. Return the process and its name on the bus."""
        before = self.names()
        process = self.h.start_vgpuctl(*words)
        name = bus.wait(lambda: next(iter(self.names() - before), None), "vgpuctl on the bus")
        return process, name

    def test_A5_signals_to_vgpuctl(self):
        h = self.start("gvt-g")
        client = self.raw()
        h.sim.fault("create:*:hang:1")
        process, name = self.start_vgpuctl("create", V5_4)
        h.hanging(1)
        job = next(iter(h.bus.jobs()))
        path = f"{bus.ROOT}/job/{job}"
        changed = raw.Body().s(bus.JOB).options(State="stuck")
        changed.data = raw.pad(changed.data, 4) + b"\0\0\0\0"
        changed.signature += "as"
        self.forge(client, name, bus.ROOT, bus.MANAGER, "JobRemoved", raw.Body().u(job).o(path).s("done").s("").options())
        self.forge(client, name, path, bus.PROPERTIES, "PropertiesChanged", changed)
        self.forge(client, name, "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameOwnerChanged",
                   raw.Body().s(bus.SERVICE).s(self.owner).s(""))
        time.sleep(0.3)  # a vgpuctl that believed the signals would end within a few milliseconds
        self.assertIsNone(process.poll(), "vgpuctl believes a forged signal")
        h.sim.ctl("release")
        result = h.end_vgpuctl(process)
        self.assertEqual((result.status, result.out.strip()), (0, next(iter(h.tree()))), result)
        self.row("A5 JobRemoved, \"stuck\" and the end of vgpud forged to vgpuctl", "vgpuctl waits for the real end")

    def test_A5_signals_to_monitor(self):
        h = self.start("gvt-g")
        client = self.raw()
        before = self.names()
        out = h.spawn([str(h.program()), "monitor", "--json"], "vgpuctl.log", "monitor.json")
        name = bus.wait(lambda: next(iter(self.names() - before), None), "vgpuctl on the bus")
        bus.wait(lambda: h.read("monitor.json"), "the first line of the monitor")
        self.forge(client, name, bus.ROOT, bus.MANAGER, "JobRemoved",
                   raw.Body().u(4711).o(f"{bus.ROOT}/job/4711").s("failed").s("").options())
        self.forge(client, name, "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameOwnerChanged",
                   raw.Body().s(bus.SERVICE).s(self.owner).s(""))
        h.bus.create(GVT, V5_4, uuid=uuid(1))
        bus.wait(lambda: uuid(1) in h.read("monitor.json"), "the line of the real instance")
        self.assertNotIn("4711", h.read("monitor.json"))
        # The monitor follows a restarted daemon.
        h.stop()
        h.start()
        bus.wait(lambda: h.read("monitor.json").count("\n") > 1, "the line of the new daemon")
        h.bus.create(GVT, V5_4, uuid=uuid(2))
        bus.wait(lambda: uuid(2) in h.read("monitor.json"), "the line of the next instance")
        h.end(out)
        self.row("A5 signals forged to vgpuctl monitor", "not printed; the monitor follows a restarted vgpud")


class Questions(Hostile):
    def test_A6_questions(self):
        h = self.start("gvt-g", polkit=True)
        h.polkit.allow("create")
        h.polkit.hang()
        monitor = host.Monitor(h)
        waiting = []
        for uid in (NOBODY, DAEMON):
            for _ in range(2):
                client = h.client(uid)
                waiting += [client.start_create(GVT, V5_4, name=f"of-{uid}") for _ in range(60)]
        monitor.await_questions(2 * QUESTIONS_PER_USER)
        h.polkit.hang(False)
        self.assertEqual(h.client(GAMES).create(GVT, V5_4, uuid=uuid(1)), [uuid(1)])
        self.assertFalse(any(c.done for c in waiting))
        h.polkit.release()
        errors = [c.error() for c in waiting]
        monitor.await_questions(len(waiting) + 1)
        self.assertNotIn("NotAuthorized", errors)
        self.assertNotIn("TooManyCalls", errors)
        self.row("A6 questions to polkit", f"for 240 calls of two users, {QUESTIONS_PER_USER} open at a time each, none refused; "
                                           "the question about a third user is asked at once")

    def test_A6_calls_beyond_the_places(self):
        """Of 200 calls of one user, 128 may wait (BUS_CALLS_PER_USER_MAX), and the others are refused at once."""
        h = self.start("gvt-g", polkit=True)
        h.polkit.hang()
        clients = [h.client(NOBODY) for _ in range(2)]
        calls = [c.start_create(GVT, V5_4) for c in clients for _ in range(100)]
        bus.wait(lambda: sum(c.done for c in calls) == 72, "72 calls are refused")
        self.assertEqual({c.error() for c in calls if c.done}, {"TooManyCalls"})
        h.polkit.hang(False)
        h.polkit.release()
        self.assertEqual({c.error() for c in calls}, {"TooManyCalls", "NotAuthorized"})


if __name__ == "__main__":
    runner.main()
