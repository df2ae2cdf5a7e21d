#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""One user takes as much as possible. The daemon still serves other users and root."""

import pathlib
import sys

from gi.repository import GLib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

# pylint: disable=wrong-import-position
import bus  # noqa: E402
import host  # noqa: E402
import runner  # noqa: E402
from host import A2, DAEMON, GVT, NOBODY, V5_8, uuid  # noqa: E402

PLACES = 16  # [jobs] per-gpu
USER_SHARE = 8
ROOT_SHARE = 2


class Shares(host.HostTest):
    def busy(self, *models, **limits):
        """Start a host where a job on the GPU with GVT-g hangs until "release". Users may create instances."""
        h = self.host(*(models or ("gvt-g",)), config={"jobs": {"per-gpu": PLACES} | limits},
                      faults=[f"create:{GVT}:hang:1"], polkit=True)
        h.polkit.allow("create")
        first = h.bus.start_create(GVT, V5_8)
        h.hanging(1)
        bus.wait(lambda: h.bus.gpu(GVT).get("Job") != "/", "the first job runs")
        return h, first

    def fill(self, client, number):
        """Queue up to `number` jobs. Return how many the daemon accepted."""
        taken = 0
        for _ in range(number):
            call = client.manager.start("Create", GVT, V5_8)
            if call.error() == "TooManyJobs":
                return taken
            taken += 1
        return taken

    def test_one_user_has_half_of_a_queue(self):
        h, first = self.busy()
        self.assertEqual(self.fill(h.client(NOBODY), PLACES), USER_SHARE)
        other = h.client(DAEMON)
        self.assertEqual(self.fill(other, PLACES), PLACES - ROOT_SHARE - USER_SHARE)
        self.assertEqual(self.fill(h.bus, PLACES), ROOT_SHARE)
        self.assert_error("TooManyJobs", h.bus.start_create(GVT, V5_8), GVT, hint="wait-for-job")
        h.sim.ctl("release")
        self.assertIsNone(first.error())
        bus.wait(lambda: not h.bus.jobs(), "all jobs have ended")

    def test_a_full_share_leads_elsewhere(self):
        h, first = self.busy("gvt-g", "nvidia-a2")
        user = h.client(NOBODY)
        self.assertEqual(self.fill(user, PLACES), USER_SHARE)
        self.assert_error("TooManyJobs", user.start_create("", V5_8), GVT)
        self.assertEqual(user.create("", "A2-4Q", uuid=uuid(1)), [uuid(1)])
        self.assertEqual(h.bus.instances()[uuid(1)]["Gpu"], bus.gpu_path(A2))
        call = h.bus.start_create("", V5_8)  # the queue has a place for root besides the user's jobs
        bus.wait(lambda: h.bus.gpu(GVT).get("QueuedJobs") == USER_SHARE + 1, "the job waits")
        h.sim.ctl("release")
        self.assertIn(call.error(), (None, "NoCapacity"))
        self.assertIsNone(first.error())

    def test_many_instances(self):
        """A waiting job has no records, and a job without room writes none. The instances in the jobs of one user are limited."""
        h, first = self.busy("gvt-g", "samples")
        user = h.client(NOBODY)
        beyond = user.start_create(GVT, V5_8, count=1024)
        bus.wait(lambda: h.bus.gpu(GVT).get("QueuedJobs") == 1, "the job waits")
        self.assertEqual(len(h.records()), 1)
        h.sim.fault("create:mtty:hang:1")
        busy = h.bus.start_create("mtty", "mtty-1")
        h.hanging(2)
        taken = 0  # the jobs of a user may create 2048 instances at a time (QUEUE_INSTANCES_PER_USER_MAX)
        for _ in range(PLACES):
            if user.manager.start("Create", "mtty", "mtty-1", count=GLib.Variant("u", 1024)).error():
                break
            taken += 1
        self.assertLessEqual(taken, 2)
        self.assertEqual(len(h.records()), 2)
        h.sim.ctl("release")
        self.assertIsNone(busy.error())
        self.assertIsNone(first.error())
        self.assert_error("NoCapacity", beyond, GVT)
        bus.wait(lambda: not h.bus.jobs(), "all jobs have ended")
        self.assert_becomes(h.tree(), lambda: set(h.records()))

    def test_the_time_of_a_caller(self):
        """The timeout of a caller ends only the wait of that caller: the GPU does not become stuck."""
        h, first = self.busy()
        user, other = h.client(NOBODY), h.client(DAEMON)
        calls = [user.start_create(GVT, V5_8, uuid=uuid(n), timeout_usec=n * 200_000) for n in range(1, 4)]
        waiting = other.start_create(GVT, V5_8, uuid=uuid(9))
        for call in calls:
            self.assert_error("Timeout", call)
        gpu = h.bus.gpu(GVT).all()
        self.assertEqual((gpu["State"], gpu["Stale"], gpu["QueuedJobs"]), ("ready", False, 4))
        self.assertFalse(waiting.done)
        h.sim.ctl("release")
        self.assertIsNone(first.error())
        self.assertIsNone(waiting.error())
        bus.wait(lambda: not h.bus.jobs(), "all jobs have ended")
        self.assertLessEqual({uuid(n) for n in (1, 2, 3, 9)}, h.tree())
        self.assertNotIn("stuck", h.log())


if __name__ == "__main__":
    runner.main()
