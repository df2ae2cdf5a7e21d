#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A refusal in the log has the user, the action and the object. A flood of refusals makes only a few lines."""

import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests" / "integration"), str(TOP / "tests" / "hostile")]

import bus  # noqa: E402  pylint: disable=wrong-import-position
import host  # noqa: E402  pylint: disable=wrong-import-position
import raw  # noqa: E402  pylint: disable=wrong-import-position
import runner  # noqa: E402  pylint: disable=wrong-import-position
from gi.repository import GLib  # noqa: E402  pylint: disable=wrong-import-position
from host import DAEMON, GVT, NOBODY, V5_4, V5_8, uuid  # noqa: E402  pylint: disable=wrong-import-position

LINES = 5  # BUS_REFUSALS_LINES_MAX
PLACES = 128  # BUS_CALLS_PER_USER_MAX
LINE_BYTES = 1024
OTHER = 33  # the user "www-data": the id is fixed in Debian, and no other number in a line equals it
LOG_CONTROL = "org.freedesktop.LogControl1"


class Refusals(host.HostTest):
    def start(self, **more):
        self.h = self.host("gvt-g", polkit=True, **more)
        return self.h

    def lines(self, who):
        """Return the lines about this uid, or this name on the bus."""
        return [line for line in self.h.log().splitlines() if re.search(rf"\b{re.escape(str(who))}\b", line)]

    def await_line(self, *facts):
        """Wait for a line with all these facts, and return it."""
        def found():
            return [line for line in self.h.log().splitlines() if all(str(f) in line for f in facts)]
        return bus.wait(found, f"a line with {facts}")[0]

    def total(self, who):
        """Return (lines about this user, refusals that these lines count). Call this after the end of the daemon."""
        lines = self.lines(who)
        more = [int(re.search(r"\b(\d+)\b", line.replace(str(who), "")).group(1)) for line in lines if "org." not in line]
        return len(lines), len(lines) - len(more) + sum(more)

    def test_a_denied_action(self):
        h = self.start()
        user = h.client(NOBODY)
        self.assert_error("NotAuthorized", user.start_create(GVT, "gvtg_v5_4", uuid=uuid(1)))
        line = self.await_line("org.vgpud1.create")
        for fact in (str(NOBODY), GVT, V5_4, uuid(1)):
            self.assertIn(fact, line)
        self.assert_error("NotAuthorized", user.gpu(GVT).start("Rescan"))
        self.assertIn(GVT, self.await_line("org.vgpud1.rescan", NOBODY))

    def test_an_instance_of_another_user(self):
        h = self.start()
        h.polkit.allow("create", "destroy")
        h.client(DAEMON).create(GVT, V5_4, uuid=uuid(1))
        user = h.client(NOBODY)
        self.assert_error("NotAuthorized", user.manager.start("Destroy", uuid(1)))
        line = self.await_line("org.vgpud1.destroy-other")
        for fact in (str(NOBODY), uuid(1), GVT):
            self.assertIn(fact, line)
        h.bus.create(GVT, V5_4, uuid=uuid(2))
        self.assert_error("NotAuthorized", user.manager.start("DestroyMany", [bus.instance_path(uuid(2))]))
        self.await_line("org.vgpud1.destroy-other", NOBODY, uuid(2))
        self.assertEqual(h.tree(), {uuid(1), uuid(2)})

    def test_a_job_of_another_user(self):
        h = self.start(faults=[f"create:{GVT}:hang:1"])
        first = h.bus.start_create(GVT, V5_4)
        h.hanging(1)
        job, = h.bus.jobs()
        self.assert_error("NotAuthorized", h.client(NOBODY).job(f"{bus.ROOT}/job/{job}").start("Cancel"))
        self.await_line("org.vgpud1.cancel-job", NOBODY, GVT)
        h.sim.ctl("release")
        self.assertIsNone(first.error())

    def test_a_property(self):
        h = self.start()
        call = h.client(NOBODY).start("/org/freedesktop/LogControl1", bus.PROPERTIES, "Set",
                                      GLib.Variant("(ssv)", (LOG_CONTROL, "LogLevel", GLib.Variant("s", "debug"))))
        self.assertEqual(call.error(), "NotAuthorized")
        self.await_line(bus.PROPERTIES + ".Set", NOBODY, "/org/freedesktop/LogControl1")

    def test_a_share_of_the_jobs(self):
        h = self.start(config={"jobs": {"per-gpu": 16}}, faults=[f"create:{GVT}:hang:1"])
        h.polkit.allow("create")
        first = h.bus.start_create(GVT, V5_8)
        h.hanging(1)
        user = h.client(NOBODY)
        # The user's share of the queue is 8 jobs.
        calls = [user.manager.start("Create", where, V5_8) for where in [GVT] * 9 + [""]]
        self.assertEqual([c.error() for c in calls].count("TooManyJobs"), 2)
        bus.wait(lambda: len(self.lines(NOBODY)) == 2, "two lines")
        self.await_line("org.vgpud1.create", NOBODY, GVT, V5_8)
        h.sim.ctl("release")
        self.assertIsNone(first.error())

    def test_wrong_calls_are_no_refusals(self):
        h = self.start()
        h.polkit.allow("create")
        user = h.client(NOBODY)
        for call in (user.start_create(GVT, "no-such"), user.start_create("no-such", V5_4), user.start_create(GVT, V5_4, uuid="x"),
                     user.manager.start("Destroy", uuid(1)), user.manager.start("GetGpu", "no-such")):
            self.assertIsNotNone(call.error())
        self.assertEqual(self.lines(NOBODY), [])

    def test_a_flood(self):
        """A flood of one user makes a few lines, and a line with the number of the others. The refusal of another user is still logged."""
        h = self.start()
        user, number = h.client(NOBODY), 1000
        for _ in range(number // 100):
            calls = [user.start_create(GVT, V5_4, attributes=[("x", "y" * 300)]) for _ in range(100)]
            self.assertEqual({c.error() for c in calls}, {"NotAuthorized"})
        self.assertEqual(len(self.lines(NOBODY)), LINES)
        self.assertLess(max(len(line.encode()) for line in self.lines(NOBODY)), LINE_BYTES)
        self.assert_error("NotAuthorized", h.client(OTHER).start_create(GVT, V5_8))
        self.await_line("org.vgpud1.create", OTHER, V5_8)
        h.stop()
        self.assertEqual(self.total(NOBODY), (LINES + 1, number))
        self.assertEqual(len(self.lines(OTHER)), 1)

    def test_calls_beyond_the_places(self):
        h = self.start()
        h.polkit.hang()
        clients = [h.client(NOBODY) for _ in range(2)]
        calls = [c.start_create(GVT, V5_4) for c in clients for _ in range(100)]
        bus.wait(lambda: sum(c.done for c in calls) == 200 - PLACES, "some calls are refused")
        bus.wait(lambda: len(self.lines(NOBODY)) == LINES, "a few lines")
        h.polkit.hang(False)
        h.polkit.release()
        self.assertEqual({c.error() for c in calls}, {"TooManyCalls", "NotAuthorized"})
        h.stop()
        self.assertEqual(self.total(NOBODY), (LINES + 1, 200))

    def test_a_flood_without_replies(self):
        """Calls without a reply are refused and logged as well."""
        h = self.start()
        client = raw.Raw(h.address, NOBODY)
        self.addCleanup(client.close)
        for serial in range(2, 302):
            client.send(raw.create(serial, flags=1))
        self.await_line("org.vgpud1.", NOBODY)
        self.assertEqual(h.bus.call(bus.ROOT, "org.freedesktop.DBus.Peer", "Ping"), ())
        h.stop()
        self.assertLessEqual(len(self.lines(NOBODY)), LINES + 1)
        self.assertLess(max(len(line.encode()) for line in self.lines(NOBODY)), LINE_BYTES)


if __name__ == "__main__":
    runner.main()
