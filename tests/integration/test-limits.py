#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Queues are limited per GPU and per user, and waiting jobs can be cancelled."""

import bus
import host
import runner
from host import A2, DAEMON, GVT, NOBODY, V5_4, V5_8, uuid


class Limits(host.HostTest):
    def busy(self, limits, *models):
        """Start a host where a job on the GPU with GVT-g hangs until "release"; users may create."""
        h = self.host(*(models or ("gvt-g", "nvidia-a2")), config={"jobs": limits}, faults=[f"create:{GVT}:hang:1"], polkit=True)
        h.polkit.allow("create", "destroy", "rescan")
        first = h.bus.start_create(GVT, V5_8)
        h.hanging(1)
        bus.wait(lambda: h.bus.gpu(GVT).get("Job") != "/", "the first job runs")
        return h, first

    def test_per_gpu(self):
        h, first = self.busy({"per-gpu": 3})
        waiting = [h.bus.start_create(GVT, V5_8) for _ in range(2)] + [h.bus.gpu(GVT).start("Rescan", wait=True)]
        bus.wait(lambda: h.bus.gpu(GVT).get("QueuedJobs") == 3, "three jobs wait")
        for call in (h.bus.start_create(GVT, V5_8), h.bus.gpu(GVT).start("Rescan"), h.client(NOBODY).start_create(GVT, V5_8)):
            self.assert_error("TooManyJobs", call, "3 jobs", GVT)
        self.assertEqual(h.vgpuctl("create", V5_8).status, 6)
        self.assertEqual(len(h.records()), 1)  # of the running job only
        h.bus.create(A2, "A2-4Q")  # another GPU has a queue of its own
        h.sim.ctl("release")
        for call in (first, *waiting):
            self.assertIsNone(call.error())
        h.bus.create(GVT, V5_8)

    def test_per_user(self):
        h, first = self.busy({"per-user": 2})
        user, other = h.client(NOBODY), h.client(DAEMON)
        waiting = [user.start_create(GVT, V5_8) for _ in range(2)]
        bus.wait(lambda: h.bus.gpu(GVT).get("QueuedJobs") == 2, "two jobs wait")
        self.assert_error("TooManyJobs", user.start_create(GVT, V5_8), str(NOBODY), "2 jobs")
        self.assert_error("TooManyJobs", user.start_create(A2, "A2-4Q"), str(NOBODY))
        self.assertEqual(h.vgpuctl("create", V5_8, uid=NOBODY).status, 6)
        waiting.append(other.start_create(GVT, V5_8))
        waiting += [h.bus.start_create(GVT, V5_8) for _ in range(3)]  # root has no user limit
        bus.wait(lambda: h.bus.gpu(GVT).get("QueuedJobs") == 6, "six jobs wait")
        h.sim.ctl("release")
        for call in (first, *waiting):
            self.assertIsNone(call.error())
        user.gpu(GVT).call("Rescan", wait=True)

    def test_cancel(self):
        h, first = self.busy({})
        h.bus.create(A2, "A2-4Q", uuid=uuid(9))
        waiting = h.bus.start_create(GVT, V5_8, uuid=uuid(1), name="one")
        bus.wait(lambda: h.bus.gpu(GVT).get("QueuedJobs") == 1, "the job waits")
        job = max(h.bus.jobs())
        self.assertEqual(h.bus.jobs()[job]["State"], "waiting")
        self.assertEqual(h.bus.jobs()[job]["StartedUsec"], 0)
        self.assertEqual(h.vgpuctl("cancel", str(job)).status, 0)
        self.assertEqual(waiting.error(), "Canceled")
        result = h.mirror.await_end(job)
        self.assertEqual((result[0], result[1], result[3]), ("canceled", "Canceled", [uuid(1)]))
        self.assertEqual(h.bus.gpu(GVT).get("QueuedJobs"), 0)
        self.assertNotIn(uuid(1), h.records())
        self.assertEqual(h.vgpuctl("cancel", str(job)).status, 3)
        self.assert_error("InUse", h.bus.job(f"{bus.ROOT}/job/1").start("Cancel"), "job 1")
        self.assertEqual(h.vgpuctl("cancel", "1").status, 6)
        h.sim.ctl("release")
        self.assertIsNone(first.error())
        self.assertNotIn(uuid(1), h.tree())
        h.bus.create(GVT, V5_8, uuid=uuid(1), name="one")

    def test_cancel_of_a_removal(self):
        h, first = self.busy({})
        # Let the first job end: vgpud sees a foreign instance in a scan, and a scan waits behind a hanging job.
        h.foreign(GVT, V5_4, 1)
        h.sim.ctl("release")
        self.assertIsNone(first.error())
        bus.wait(lambda: h.mirror.instance(uuid(1)), "vgpud shows the foreign instance")
        h.sim.fault(f"create:{GVT}:hang:1")
        second = h.bus.start_create(GVT, V5_8)
        h.hanging(1)
        job = h.bus.instance(uuid(1)).call("Destroy", foreign=True)
        bus.wait(lambda: h.bus.instance(uuid(1)).get("Job") == job, "the instance shows the job")
        h.bus.job(job).call("Cancel")
        self.assertEqual(h.mirror.await_end(job)[:2], ("canceled", "Canceled"))
        self.assertEqual(h.bus.instance(uuid(1)).get("Job"), "/")
        h.sim.ctl("release")
        self.assertIsNone(second.error())
        self.assertIn(uuid(1), h.tree())
        h.bus.instance(uuid(1)).call("Destroy", foreign=True, wait=True)

    def test_cancel_by_another(self):
        h, first = self.busy({})
        user, other = h.client(NOBODY), h.client(DAEMON)
        job = user.queue_create(GVT, V5_8)
        self.assert_error("NotAuthorized", other.job(job).start("Cancel"), "cancel-job")
        self.assertEqual(h.vgpuctl("cancel", job.rpartition("/")[2], uid=DAEMON).status, 4)
        h.polkit.allow("cancel-job")
        other.job(job).call("Cancel")
        self.assertEqual(h.mirror.await_end(job)[:2], ("canceled", "Canceled"))
        h.polkit.allow("create")
        for canceller in (h.bus, user):  # root, then the owner of the job
            job = user.queue_create(GVT, V5_8)
            canceller.job(job).call("Cancel")
            self.assertEqual(h.mirror.await_end(job)[0], "canceled")
        h.sim.ctl("release")
        self.assertIsNone(first.error())

    def test_cancel_in_the_middle(self):
        h, first = self.busy({})
        jobs = [h.bus.queue_create(GVT, V5_8, uuid=uuid(n)) for n in range(1, 6)]
        for number in (2, 4):
            h.bus.job(jobs[number - 1]).call("Cancel")
        h.sim.ctl("release")
        self.assertIsNone(first.error())
        self.assertEqual([h.mirror.await_end(j)[0] for j in jobs], ["done", "canceled", "done", "canceled", "done"])
        self.assertLessEqual({uuid(n) for n in (1, 3, 5)}, h.tree())
        self.assertFalse({uuid(2), uuid(4)} & h.tree())
        # Jobs of one GPU run in the order of the requests.
        self.assertEqual([w[2] for w in h.writes("create")][1:], [uuid(1), uuid(3), uuid(5)])

    def test_a_client_that_leaves_while_its_job_waits(self):
        h, first = self.busy({})
        client = h.client(NOBODY)
        client.start_create(GVT, V5_8, uuid=uuid(1))
        bus.wait(lambda: h.bus.gpu(GVT).get("QueuedJobs") == 1, "the job waits")
        client.close()
        h.sim.ctl("release")
        self.assertIsNone(first.error())
        bus.wait(lambda: h.mirror.instance(uuid(1)), "the job of the client runs all the same")
        self.assertEqual(h.mirror.instance(uuid(1))["Owner"], str(NOBODY))


if __name__ == "__main__":
    runner.main()
