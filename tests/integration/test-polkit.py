#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""polkit allows, denies, delays, hangs or is missing; the details for polkit; the daemon's work meanwhile."""

import bus
import host
import runner
import simhost
from host import A2, DAEMON, GVT, NOBODY, V5_4, V5_8, uuid


XE = "0000:03:00.0"
QUESTIONS = 16  # BUS_AUTHZ_QUESTIONS_PER_UID_MAX


class PolkitTest(host.HostTest):
    def assert_denied(self, call, action):
        """polkit answered no. The message ends with the action."""
        message = self.assert_error("NotAuthorized", call)
        self.assertTrue(message.endswith(f" org.vgpud1.{action}"), message)

    def assert_not_asked(self, call, action):
        """polkit could not be asked. The reason follows the action."""
        self.assert_error("NotAuthorized", call, f" org.vgpud1.{action}: ")


class WholeGpus(PolkitTest):
    """Methods that change a whole GPU have polkit actions of their own."""

    def setUp(self):
        super().setUp()
        self.h = self.host("xe", polkit=True)
        self.user = self.h.client(NOBODY)

    def test_denied(self):
        self.h.polkit.allow("create", "destroy", "rescan")
        self.assert_denied(self.user.gpu(XE).start("SetVfs", 2), "set-vfs")
        for words in (("enable-vfs", XE), ("enable-vfs", XE, "2"), ("disable-vfs", XE)):
            result = self.h.vgpuctl(*words, uid=NOBODY)
            self.assertEqual((result.status, result.out), (4, ""), result)
            self.assertIn("polkit", result.err)
        self.assertEqual(self.h.bus.gpu(XE).all()["EnabledVfs"], 0)
        self.assertEqual(self.h.vgpuctl("configure", XE, uid=NOBODY).status, 0)  # a read-only call

    def test_what_cannot_be_is_not_asked_about(self):
        monitor = host.Monitor(self.h)
        self.assert_error("InvalidArgs", self.user.gpu(XE).start("SetVfs", 500), XE, "12", "500")
        self.assert_error("NotSupported", self.user.gpu(XE).start("Configure", "mig", "yes"), XE)
        self.assert_error("NotAuthorized", self.user.gpu(XE).start("SetVfs", 1), "org.vgpud1.set-vfs")
        self.assertEqual([q["details"] for q in monitor.await_questions(1)], [{"gpu": XE, "count": "1", "before": "0", "keep": "no"}])

    def test_allowed_and_told(self):
        monitor = host.Monitor(self.h)
        self.h.polkit.allow("set-vfs")
        self.user.gpu(XE).call("SetVfs", 2, wait=True)
        gpu = self.h.bus.gpu(XE).all()
        self.assertEqual((gpu["EnabledVfs"], [(v["index"], v["name"]) for v in self.user.gpu(XE).vfs()]), (2, [(0, "0000:03:00.1"), (1, "0000:03:00.2")]))
        self.assertEqual([(q["action"], q["details"]) for q in monitor.await_questions(1)],
                         [("org.vgpud1.set-vfs", {"gpu": XE, "count": "2", "before": "0", "keep": "no"})])
        self.assertEqual(self.h.vgpuctl("disable-vfs", XE, uid=NOBODY).status, 0)


class Polkit(PolkitTest):
    def setUp(self):
        super().setUp()
        self.h = self.host("gvt-g", "nvidia-a2", polkit=True)
        self.polkit = self.h.polkit
        self.user = self.h.client(NOBODY)

    def hang(self, count=1):
        """Start `count` creates without an answer from polkit."""
        monitor = host.Monitor(self.h)
        self.polkit.hang()
        calls = [self.user.start_create(GVT, V5_4, uuid=uuid(n)) for n in range(1, count + 1)]
        monitor.await_questions(min(count, QUESTIONS))
        return calls

    def test_denied(self):
        for call, action in ((self.user.start_create(GVT, V5_4), "create"), (self.user.gpu(GVT).start("Rescan"), "rescan")):
            self.assert_denied(call, action)
        self.h.bus.create(GVT, V5_4, uuid=uuid(1))
        self.assert_error("NotAuthorized", self.user.instance(uuid(1)).start("Destroy"), "org.vgpud1.destroy-other")
        self.assert_error("NotAuthorized", self.user.manager.start("Destroy", uuid(1)), "org.vgpud1.destroy-other")
        for words in (("create", V5_4), ("destroy", uuid(1)), ("rescan", GVT)):
            result = self.h.vgpuctl(*words, uid=NOBODY)
            self.assertEqual((result.status, result.out), (4, ""), result)
            self.assertIn("polkit", result.err)
        self.assertEqual(set(self.h.tree()), {uuid(1)})
        for words in ((), ("gpus",), ("types",), ("list",), ("show", uuid(1)), ("jobs",)):
            self.assertEqual(self.h.vgpuctl(*words, uid=NOBODY).status, 0, words)

    def test_allowed(self):
        self.polkit.allow("create", "destroy", "destroy-other", "rescan")
        made = self.user.create(GVT, V5_4, name="mine")
        self.assertEqual(self.h.bus.instances()[made[0]]["Owner"], str(NOBODY))
        self.user.gpu(GVT).call("Rescan", wait=True)
        self.user.destroy("mine")
        result = self.h.vgpuctl("create", V5_4, uid=DAEMON)
        self.assertEqual(result.status, 0, result)
        self.assertEqual(self.h.bus.instances()[result.out.strip()]["Owner"], str(DAEMON))
        self.assertEqual(self.h.vgpuctl("destroy", result.out.strip(), uid=NOBODY).status, 0)
        self.assertEqual(self.h.tree(), set())

    def test_one_action_is_not_another(self):
        self.polkit.allow("create", "destroy")
        self.h.foreign(GVT, V5_4, 1)
        bus.wait(lambda: self.h.mirror.instance(uuid(1)), "vgpud shows the foreign instance")
        destroy = self.user.instance(uuid(1)).start("Destroy", foreign=True)
        self.assert_error("NotAuthorized", destroy, "org.vgpud1.destroy-foreign")
        self.polkit.allow("destroy-foreign")
        self.user.instance(uuid(1)).call("Destroy", foreign=True, wait=True)
        self.assert_error("NotAuthorized", self.user.start_create(GVT, V5_4), "org.vgpud1.create")

    def test_instances_of_others(self):
        self.polkit.allow("create", "destroy")
        made = self.h.client(DAEMON).create(GVT, V5_4, name="mine")[0]
        own = self.user.create(GVT, V5_4)[0]
        for call in (self.user.instance(made).start("Destroy"), self.user.manager.start("Destroy", "mine"),
                     self.user.manager.start("DestroyMany", [bus.instance_path(u) for u in (own, made)])):
            self.assert_error("NotAuthorized", call, "org.vgpud1.destroy-other")
        self.assertEqual(self.h.tree(), {made, own})
        self.assert_error("Exists", self.user.start_create(GVT, V5_4, name="mine"), made)  # the name belongs to the earlier instance
        self.user.destroy(own)
        self.polkit.allow("destroy-other")
        self.user.destroy("mine")
        self.assertEqual(self.h.tree(), set())

    def test_root_is_not_asked_about(self):
        monitor = host.Monitor(self.h)
        self.h.bus.create(GVT, V5_4, name="one")
        self.h.bus.destroy("one")
        self.user.start_create(GVT, V5_4).error()
        bus.wait(monitor.questions, "a question")
        self.assertEqual(len(monitor.questions()), 1)

    def test_what_polkit_is_told(self):
        monitor = host.Monitor(self.h)
        self.polkit.allow_unknown(True)
        made = self.user.create("", "GVTg_V5_8", name="mine")[0]
        self.user.create(A2, "A2-4Q", count=2)
        self.user.instance(made).call("Destroy", wait=True)
        self.h.bus.create(GVT, V5_4, uuid=uuid(1))
        self.user.manager.call("Destroy", uuid(1), wait=True)
        self.h.foreign(GVT, V5_4, 2)
        bus.wait(lambda: self.h.mirror.instance(uuid(2)), "vgpud shows the foreign instance")
        self.user.instance(uuid(2)).call("Destroy", foreign=True, wait=True, interactive=True)
        self.user.gpu(GVT).call("Rescan", wait=True)
        bus.wait(lambda: len(monitor.questions()) == 6, "six questions")
        me = str(NOBODY)
        plain = {"instance": "", "parent": "", "attributes": ""}
        expected = [
            ("create", {"gpu": GVT, "type": V5_8, "count": "1", "name": "mine"} | plain, 0),
            ("create", {"gpu": A2, "type": "nvidia-746", "count": "2", "name": ""} | plain, 0),
            ("destroy", {"gpu": GVT, "type": V5_8, "instance": made, "name": "mine", "owner": me, "mine": "yes"}, 0),
            ("destroy-other", {"gpu": GVT, "type": V5_4, "instance": uuid(1), "name": "", "owner": "0", "mine": "no"}, 0),
            ("destroy-foreign", {"gpu": GVT, "type": V5_4, "instance": uuid(2), "name": "", "owner": "", "mine": "no"}, 1),
            ("rescan", {"gpu": GVT}, 0),
        ]
        asked = monitor.questions()
        self.assertEqual([(q["action"].removeprefix("org.vgpud1."), q["details"], q["flags"]) for q in asked], expected)
        for question in asked:
            self.assertEqual(question["subject"][0], "system-bus-name")
            self.assertEqual(question["subject"][1]["name"]["data"], self.user.name)
        self.assertEqual(len({q["cancellation"] for q in asked}), 6)

    def test_details_of_cancel(self):
        self.polkit.allow("create")
        self.h.sim.fault("create:*:hang:1")
        running = self.user.start_create(GVT, V5_4)
        self.h.hanging(1)
        job = self.user.queue_create(GVT, V5_8)
        other = self.h.client(DAEMON)
        monitor = host.Monitor(self.h)
        self.assert_error("NotAuthorized", other.job(job).start("Cancel"), "org.vgpud1.cancel-job")
        question = bus.wait(monitor.questions, "a question")[0]
        self.assertEqual(question["details"], {"gpu": GVT, "type": V5_8, "job": "2", "owner": str(NOBODY)})
        # The owner of a job can cancel without a question.
        self.user.job(job).call("Cancel")
        self.assertEqual(self.h.mirror.await_end(job)[:2], ("canceled", "Canceled"))
        self.h.sim.ctl("release")
        self.assertIsNone(running.error())
        self.assertEqual(len(monitor.questions()), 1)

    def test_others_are_served_while_polkit_takes_its_time(self):
        self.polkit.allow("create")
        self.polkit.hang()
        slow = self.user.start_create(GVT, V5_4, uuid=uuid(1))
        bus.wait(self.polkit.is_hanging, "polkit has the question")
        other = self.h.client(DAEMON)
        for _ in range(2):
            self.assertEqual(other.instances(), {})
            self.h.bus.create(A2, "A2-4Q", name="x")
            self.h.bus.destroy("x")
        self.assertFalse(slow.done)
        self.polkit.release()
        self.assertIsNone(slow.error())
        self.assertEqual(set(self.h.bus.instances()), {uuid(1)})

    def test_a_hang(self):
        calls = self.hang(3)
        other = self.h.client(DAEMON)
        self.assertEqual(other.instances(), {})
        self.assertEqual(self.h.vgpuctl("list", uid=NOBODY).status, 0)
        self.h.bus.create(GVT, V5_4, uuid=uuid(9))
        self.assertFalse(any(c.done for c in calls))
        self.polkit.allow_unknown(True)  # too late for pending calls
        self.polkit.release()
        for call in calls:
            self.assert_error("NotAuthorized", call)

    def test_a_client_that_leaves(self):
        files = self.h.open_files()
        monitor = host.Monitor(self.h)
        self.polkit.allow("create")
        for turn in range(10):
            self.polkit.hang()
            client = self.h.client(NOBODY)
            for number in range(10):
                client.start_create(GVT, V5_4, uuid=uuid(number + 1))
            bus.wait(lambda t=turn: len(monitor.questions()) == 10 * (t + 1), "ten questions")
            client.close()
        bus.wait(lambda: len(monitor.cancelled()) == 100, "all questions are cancelled")
        self.assertEqual(sorted(monitor.cancelled()), sorted(q["cancellation"] for q in monitor.questions()))
        self.polkit.release()
        self.polkit.hang(False)
        self.user.create(GVT, V5_4, uuid=uuid(20))
        self.assertEqual(set(self.h.bus.instances()), {uuid(20)})  # no work for the departed callers
        self.h.await_open_files(files)

    def test_many_questions(self):
        """Of 70 calls of one user, 16 are asked about at a time (QUESTIONS). The others wait, and do not delay another user."""
        calls = self.hang(70)
        other = self.h.client(DAEMON)
        self.polkit.hang(False)
        self.polkit.allow("create")
        other.create(GVT, V5_4, uuid=uuid(100))
        self.assertFalse(any(c.done for c in calls))
        self.polkit.release()
        self.assertNotIn("TooManyCalls", {c.error() for c in calls})

    def test_an_object_that_goes_meanwhile(self):
        self.h.bus.create(GVT, V5_4, uuid=uuid(1))
        self.polkit.allow("destroy-other")
        self.polkit.hang()
        monitor = host.Monitor(self.h)
        calls = [self.user.instance(uuid(1)).start("Destroy"), self.user.manager.start("Destroy", uuid(1))]
        monitor.await_questions(2)
        self.h.bus.destroy(uuid(1))
        self.polkit.release()
        self.assertEqual(calls[0].error(), "org.freedesktop.DBus.Error.UnknownObject")
        self.assertEqual(calls[1].error(), "NoSuchInstance")

    def test_an_object_that_changes_meanwhile(self):
        # Permission to remove an instance does not cover a new instance with the same UUID.
        self.h.bus.create(GVT, V5_4, uuid=uuid(1))
        self.polkit.allow("destroy-other", "destroy-foreign")
        self.polkit.hang()
        call = self.user.manager.start("Destroy", uuid(1), foreign=True)
        bus.wait(self.polkit.is_hanging, "polkit has the question")
        self.h.bus.destroy(uuid(1))
        self.h.foreign(GVT, V5_8, 1)
        bus.wait(lambda: self.h.mirror.instance(uuid(1)) and self.h.mirror.instance(uuid(1))["Type"] == V5_8, "the new instance")
        self.polkit.release()
        self.assert_error("Failed", call, hint="")
        self.assertEqual(self.h.tree(), {uuid(1)})

    def test_a_gpu_that_goes_meanwhile(self):
        self.polkit.allow("create", "rescan")
        self.polkit.hang()
        monitor = host.Monitor(self.h)
        calls = [self.user.start_create(GVT, V5_4), self.user.gpu(GVT).start("Rescan"), self.user.start_create("", V5_4)]
        monitor.await_questions(3)
        self.h.sim.ctl("unplug", GVT)
        bus.wait(lambda: self.h.mirror.gpu(GVT) is None, "the GPU goes")
        self.polkit.release()
        self.assertEqual([c.error() for c in calls], ["NoSuchGpu", "org.freedesktop.DBus.Error.UnknownObject", "NoSuchType"])

    def test_a_job_that_ends_meanwhile(self):
        self.polkit.allow("cancel-job", "create")
        self.h.sim.fault("create:*:hang:1")
        first = self.h.bus.start_create(GVT, V5_4)
        self.h.hanging(1)
        job = self.h.bus.queue_create(GVT, V5_4)
        self.polkit.hang()
        call = self.user.job(job).start("Cancel")
        bus.wait(self.polkit.is_hanging, "polkit has the question")
        self.h.sim.ctl("release")
        self.assertIsNone(first.error())
        self.h.mirror.await_end(job)
        self.polkit.release()
        self.assertEqual(call.error(), "org.freedesktop.DBus.Error.UnknownObject")

    def test_stop_while_polkit_thinks(self):
        calls = self.hang(2)
        self.h.stop()
        self.assertTrue(all(c.error() for c in calls))
        self.polkit.release()

    def test_polkit_goes_and_comes(self):
        calls = self.hang(2)
        self.polkit.stop()
        for call in calls:
            self.assert_not_asked(call, "create")
        self.assert_not_asked(self.user.start_create(GVT, V5_4), "create")
        self.h.polkit = host.Polkit(self.h)
        self.h.polkit.allow("create")
        self.user.create(GVT, V5_4)


class Absent(PolkitTest):
    def test_no_polkit(self):
        h = self.host()
        user = h.client(NOBODY)
        made = h.bus.create(GVT, V5_4, uuid=uuid(1))
        for call, action in ((user.start_create(GVT, V5_4), "create"), (user.instance(made[0]).start("Destroy"), "destroy-other"),
                             (user.gpu(GVT).start("Rescan"), "rescan")):
            self.assert_not_asked(call, action)
        result = h.vgpuctl("create", V5_4, uid=NOBODY)
        self.assertEqual(result.status, 4)
        self.assertIn(" org.vgpud1.create: ", " ".join(result.err.split()))
        self.assertEqual(set(user.instances()), {uuid(1)})
        h.bus.destroy(uuid(1))


class AnyGpu(host.HostTest):
    """vgpud chooses the GPU before it asks polkit, and other callers take the room while polkit decides."""

    def test_what_is_kept_spare_stays_spare(self):
        h = self.host("gvt-g", polkit=True, config="[gpu *]\nspare=4\n")
        user = h.client(NOBODY)
        self.assertEqual(h.bus.gpu(GVT).types()[V5_4]["available"], 5)
        h.polkit.allow("create")
        h.polkit.hang()
        call = user.start_create("", V5_4, uuid=uuid(1))
        bus.wait(h.polkit.is_hanging, "polkit has the question")
        h.bus.create("", V5_4, uuid=uuid(2))
        self.assert_error("NoCapacity", h.bus.start_create("", V5_4), GVT, "spare=")
        h.polkit.release()
        self.assert_error("NoCapacity", call, GVT, "spare=")

    def test_as_many_as_are_not_spare(self):
        h = self.host("scalable", options=simhost.scalable(1, 4, 4), config="[gpu *]\nspare=2\n", polkit=True)
        monitor = host.Monitor(h)
        h.polkit.allow("create")
        h.polkit.hang()
        started = [h.start_vgpuctl("create", "S64-1Q", uid=NOBODY) for _ in range(4)]
        monitor.await_questions(4)
        h.polkit.hang(False)
        h.polkit.release()
        self.assertEqual(sorted(h.end_vgpuctl(p).status for p in started), [0, 0, 5, 5])

    def test_polkit_is_asked_about_the_next(self):
        h = self.host("scalable", options=simhost.scalable(2, 4, 4), polkit=True)
        monitor = host.Monitor(h)
        first, second = sorted(h.bus.gpus())
        user = h.client(NOBODY)
        h.polkit.allow("create")
        h.polkit.hang()
        call = user.start_create("", "nvidia-1000", uuid=uuid(1))
        bus.wait(h.polkit.is_hanging, "polkit has the question")
        h.bus.create(first, "nvidia-1000", count=4)
        h.polkit.hang(False)
        h.polkit.release()
        call.result()
        self.assertEqual(h.bus.instances()[uuid(1)]["Gpu"], bus.gpu_path(second))
        self.assertEqual([bus.gpu_path(q["details"]["gpu"]) for q in monitor.questions()],
                         [bus.gpu_path(first), bus.gpu_path(second)])

    def test_room_elsewhere(self):
        h = self.host("scalable", options=simhost.scalable(4, 4, 4), polkit=True)
        monitor = host.Monitor(h)
        h.polkit.allow("create")
        h.polkit.hang()
        started = [h.start_vgpuctl("create", "S64-1Q", "--count=4", uid=NOBODY) for _ in range(4)]
        monitor.await_questions(4)
        h.polkit.hang(False)
        h.polkit.release()
        self.assertEqual([h.end_vgpuctl(p).status for p in started], [0, 0, 0, 0])
        # Each question names the GPU of the instance.
        gpus = {i["Gpu"].rpartition("/")[2] for i in h.bus.instances().values()}
        self.assertEqual(len(gpus), 4)
        self.assertEqual({bus.gpu_path(q["details"]["gpu"]).rpartition("/")[2] for q in monitor.questions()}, gpus)


if __name__ == "__main__":
    runner.main()
