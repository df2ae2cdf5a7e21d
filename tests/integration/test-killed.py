#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""SIGKILL at any moment, then a new daemon: an instance is complete, owned and recorded, or absent and unrecorded."""

import random
import time

import bus
import host
import runner
from host import A2, GVT, V5_1, V5_4, V5_8, uuid

PARAMETERS = [("nvidia/vgpu_params", f"a={i}") for i in range(8)]


class Killed(host.HostTest):
    def check(self, h):
        """The kernel, the daemon and the records have the same devices, and vgpud owns all of them."""
        bus.wait(lambda: not h.bus.jobs() and all(g["State"] == "ready" for g in h.bus.gpus().values()), "no job runs, and every GPU is ready")
        h.settle()
        tree = h.tree()
        self.assertEqual(set(h.mirror.instances()), tree)
        self.assertEqual({i["Origin"] for i in h.mirror.instances().values()}, {"vgpud"} if tree else set())
        self.assert_becomes(tree, lambda: set(h.records()))
        for text in h.records().values():
            self.assertIn("Made=true", text)
        return tree

    def restart(self, h):
        """Kill vgpud, start a new daemon, release hanging writes."""
        h.kill()
        h.launch()
        h.sim.ctl("release")
        self.assertTrue(h.bus.await_name(bus.SERVICE, lambda: h.vgpud.poll() is None))
        h.mirror = bus.Mirror(h.bus)

    def test_before_the_driver_has_begun(self):
        h = self.host(faults=["create:*:hang:1"])
        h.bus.start_create(GVT, V5_4, uuid=uuid(1), name="one")
        h.hanging(1)
        self.restart(h)
        self.assertEqual(self.check(h), {uuid(1)})
        self.assertEqual(h.mirror.instance(uuid(1))["Name"], "one")
        h.await_log(uuid(1))
        h.bus.destroy("one")

    def test_before_the_links_are_made(self):
        h = self.host(faults=["link:*:hang:1"])
        h.bus.start_create(GVT, V5_4, uuid=uuid(1))
        h.hanging(1)
        self.restart(h)
        self.assertEqual(self.check(h), {uuid(1)})
        self.assertEqual(h.mirror.instance(uuid(1))["Type"], V5_4)

    def test_before_the_answer(self):
        # The kernel has created the device; the daemon is about to check it. delay=0 lets the first read pass, so that the
        # second read hangs.
        h = self.host(faults=["open:*/mdev_supported_types:delay=0:1"])
        h.sim.fault("read:*/available_instances:delay=0:1")
        h.sim.fault("read:*/available_instances:hang:1")
        h.bus.start_create(GVT, V5_4, uuid=uuid(1))
        h.hanging(1)
        self.assertEqual([w[0] for w in h.writes("create")], ["ok"])
        # A thread blocks in the kernel, so the process stays until the kernel returns.
        h.vgpud.kill()
        h.sim.ctl("release")
        h.kill()
        h.start()
        self.assertEqual(self.check(h), {uuid(1)})

    def test_the_driver_refuses_afterwards(self):
        h = self.host(faults=["create:*:hang:1"])
        h.bus.start_create(GVT, V5_1, uuid=uuid(1), name="one")
        h.hanging(1)
        h.foreign(GVT, V5_1, 2)  # takes the room meanwhile
        h.kill()
        self.assertEqual(set(h.records()), {uuid(1)})
        h.launch()
        h.sim.ctl("release")
        h.bus.await_name(bus.SERVICE)
        bus.wait(lambda: set(h.bus.instances()) == {uuid(2)} and not h.records(), "only the foreign instance is left")
        self.assertEqual([w[0] for w in h.writes("create")], ["ENOSPC"])
        h.bus.destroy(uuid(2), foreign=True)
        h.bus.create(GVT, V5_4, uuid=uuid(1), name="one")

    def test_with_attributes(self):
        h = self.host("nvidia-a2", faults=["create:*:hang:1"])
        h.bus.start_create(A2, "A2-4Q", uuid=uuid(1), attributes=PARAMETERS)
        h.hanging(1)
        self.restart(h)
        self.assertEqual(self.check(h), set())
        h.await_log(uuid(1))

    def test_between_attributes(self):
        # delay=0 lets three of the eight attributes pass, so that the fourth hangs.
        h = self.host("nvidia-a2", faults=["open:*/vgpu_params:delay=0:3", "open:*/vgpu_params:hang:1"])
        h.bus.start_create(A2, "A2-4Q", uuid=uuid(1), attributes=PARAMETERS)
        h.hanging(1)
        h.vgpud.kill()
        h.sim.ctl("release")
        h.kill()
        h.start()
        self.assertEqual(self.check(h), set())
        self.assertEqual([w[1].rpartition("/")[2] for w in h.writes("create", "remove")], ["create", "remove"])

    def test_what_is_left_cannot_be_removed(self):
        h = self.host("nvidia-a2", faults=["open:*/vgpu_params:hang:1"])
        h.bus.start_create(A2, "A2-4Q", uuid=uuid(1), attributes=PARAMETERS)
        h.hanging(1)
        h.sim.ctl("hold-device", uuid(1))
        h.vgpud.kill()
        h.sim.ctl("release")
        for _ in range(2):
            h.kill()
            h.start()
            bus.wait(lambda: not h.bus.jobs(), "the removal has been tried")
            one = h.bus.instances()[uuid(1)]
            self.assertEqual((one["Origin"], one["State"], h.bus.instance(one["Uuid"]).hand_over()), ("vgpud", "incomplete", {}))
        h.sim.ctl("drop-device", uuid(1))
        h.vgpuctl("rescan")
        self.assertEqual(self.check(h), set())

    def test_several_at_once(self):
        # The fourth of six creates hangs.
        h = self.host(faults=["create:*:delay=0:3", "create:*:hang:1"])
        h.bus.start_create(GVT, V5_8, count=6)
        h.hanging(1)
        self.assertEqual(len(h.tree()), 4)
        self.restart(h)
        self.assertEqual(self.check(h), set())

    def test_what_has_been_made_before_stays(self):
        h = self.host("nvidia-a2", faults=["create:*:delay=0:2", "create:*:hang:1"])
        made = h.bus.create(A2, "A2-4Q", name="one", attributes=PARAMETERS) + h.bus.create(A2, "A2-4Q", uuid=uuid(2))
        h.bus.start_create(A2, "A2-4Q", attributes=PARAMETERS)
        h.hanging(1)
        self.restart(h)
        self.assertEqual(self.check(h), set(made))
        self.assertEqual(sorted(i["Name"] for i in h.mirror.instances().values()), ["", "one"])

    def test_jobs_that_waited(self):
        h = self.host(faults=["create:*:hang:1"])
        h.bus.start_create(GVT, V5_8, uuid=uuid(1))
        h.hanging(1)
        for number in range(2, 6):
            h.bus.queue_create(GVT, V5_8, uuid=uuid(number), name=f"n{number}")
        self.assertEqual(set(h.records()), {uuid(1)})  # a waiting job has no record
        self.restart(h)
        self.assertEqual(self.check(h), {uuid(1)})
        h.bus.create(GVT, V5_8, uuid=uuid(2), name="n3")

    def test_what_others_make_while_a_job_waits(self):
        # Another program creates devices with the UUIDs of two waiting jobs. vgpud must take neither for its own. If it
        # did, it would keep the device of the job without attributes as complete, and remove the device of the job with
        # attributes as half made.
        h = self.host("gvt-g", "nvidia-a2", faults=["create:*:hang:2"])
        free = h.bus.gpu(A2).get("Parents")[5]
        h.bus.start_create(GVT, V5_8, uuid=uuid(1))
        h.bus.start_create(A2, "A2-4Q", uuid=uuid(2))
        h.hanging(2)
        h.bus.queue_create(GVT, V5_8, uuid=uuid(3), name="three")
        h.bus.queue_create(A2, "A2-4Q", uuid=uuid(4), attributes=PARAMETERS)
        h.kill()
        h.sim.ctl("release")
        bus.wait(lambda: h.tree() == {uuid(1), uuid(2)}, "the writes of the killed daemon have ended")
        h.foreign(GVT, V5_8, 3)
        h.foreign(free, "nvidia-746", 4)
        h.start()
        bus.wait(lambda: not h.bus.jobs() and all(g["State"] == "ready" for g in h.bus.gpus().values()), "no job runs, and every GPU is ready")
        h.settle()
        self.assertEqual(h.tree(), {uuid(n) for n in (1, 2, 3, 4)})
        self.assertEqual({u: i["Origin"] for u, i in h.bus.instances().items()},
                         {uuid(1): "vgpud", uuid(2): "vgpud", uuid(3): "foreign", uuid(4): "foreign"})
        self.assertEqual(h.bus.instances()[uuid(3)]["Name"], "")

    def leave_record(self, h, undo):
        """Kill vgpud, and leave a record as after a kill between the write of the record and the write to the kernel."""
        h.kill()
        (h.runtime / "instance" / uuid(1)).write_text(
            f"[Instance]\nGpu={A2}\nType=nvidia-746\nOwner=0\nCreated={time.time_ns() // 1000}\nMade=false\n"
            + ("Undo=true\n" if undo else ""), "utf-8")

    def check_foreign(self, h):
        """vgpud leaves the device of the record alone."""
        h.start()
        bus.wait(lambda: not h.bus.jobs() and not h.records(), "the record is forgotten")
        self.assertEqual(h.bus.instances()[uuid(1)]["Origin"], "foreign")
        self.assertEqual(h.tree(), {uuid(1)})
        self.assertEqual(h.writes("remove"), [])
        self.assert_error("Foreign", h.bus.instance(uuid(1)).start("Destroy", wait=True), hint="use-foreign")
        h.bus.destroy(uuid(1), foreign=True)

    def test_what_others_made_before_the_write(self):
        for undo in (False, True):
            with self.subTest(undo=undo):
                h = self.host("nvidia-a2")
                h.foreign(h.bus.gpu(A2).get("Parents")[3], "nvidia-746", 1)
                bus.wait(lambda host_=h: host_.mirror.instance(uuid(1)), "vgpud shows the foreign instance")
                self.leave_record(h, undo)
                self.check_foreign(h)
                h.close()

    def test_what_others_make_instead_of_the_write(self):
        for undo in (False, True):
            with self.subTest(undo=undo):
                h = self.host("nvidia-a2")
                free = h.bus.gpu(A2).get("Parents")[3]
                self.leave_record(h, undo)
                h.foreign(free, "nvidia-746", 1)
                self.check_foreign(h)
                h.close()

    def test_the_proof_of_a_write(self):
        # The writing process survives the daemon, and adds the device's inode to the record.
        h = self.host(faults=["create:*:hang:1"])
        h.bus.start_create(GVT, V5_4, uuid=uuid(1))
        h.hanging(1)
        self.assertNotIn("Identity=", h.records()[uuid(1)])
        h.kill()
        h.sim.ctl("release")
        bus.wait(lambda: "Identity=" in h.records()[uuid(1)], "the proof")
        h.start()
        self.assertEqual(self.check(h), {uuid(1)})

    def test_no_proof_of_a_write_that_fails(self):
        h = self.host(faults=["create:*:hang:1"])
        h.bus.start_create(GVT, V5_1, uuid=uuid(1))
        h.hanging(1)
        h.foreign(GVT, V5_1, 2)
        h.kill()
        h.sim.ctl("release")
        bus.wait(lambda: [w[0] for w in h.writes("create")] == ["ENOSPC"], "the write of the killed daemon fails")
        h.sim.ctl("remove", uuid(2))
        h.foreign(GVT, V5_1, 1)
        h.start()
        bus.wait(lambda: not h.records() and not h.bus.jobs(), "the record is forgotten")
        self.assertEqual(h.bus.instances()[uuid(1)]["Origin"], "foreign")
        self.assertEqual(h.tree(), {uuid(1)})

    def test_what_others_made_anew_meanwhile(self):
        h = self.host()
        h.bus.create(GVT, V5_8, uuid=uuid(1), name="one")
        h.bus.create(GVT, V5_8, uuid=uuid(2), name="two")
        h.kill()
        h.sim.ctl("remove", uuid(1))
        h.foreign(GVT, V5_8, 1)
        h.start()
        bus.wait(lambda: set(h.records()) == {uuid(2)}, "the record is forgotten")
        self.assertEqual({u: (i["Origin"], i["Name"]) for u, i in h.bus.instances().items()},
                         {uuid(1): ("foreign", ""), uuid(2): ("vgpud", "two")})

    def test_a_removal(self):
        h = self.host()
        h.bus.create(GVT, V5_4, uuid=uuid(1))
        h.sim.fault("remove:*:hang:1")
        h.bus.instance(uuid(1)).start("Destroy", wait=True)
        h.hanging(1)
        self.restart(h)
        bus.wait(lambda: not h.bus.instances(), "the instance is gone")
        self.assertEqual(self.check(h), set())

    def test_a_removal_after_a_refused_call(self):
        """vgpud refuses the first Destroy, which lacks its argument. The removal by the second hangs when vgpud is killed."""
        h = self.host(config={"jobs": {"timeout": "60s"}})
        h.bus.create(GVT, V5_4, uuid=uuid(1))
        h.bus.create(GVT, V5_4, uuid=uuid(2))
        h.sim.fault("remove:*:hang:1")
        h.bus.start(bus.instance_path(uuid(1)), bus.INSTANCE, "Destroy", None)
        h.bus.instance(uuid(2)).start("Destroy")
        h.hanging(1)
        self.restart(h)
        self.check(h)

    def test_at_any_moment(self):
        h = self.host("gvt-g", "nvidia-a2")
        chance = random.Random(1)
        h.sim.fault("create:*:delay=5")
        h.sim.fault("open:*/vgpu_params:delay=3")
        h.sim.fault("remove:*:delay=5")
        for turn in range(25):
            number = 10 * turn
            stay = {i for i in h.bus.instances() if chance.random() < 0.5}
            for name in set(h.bus.instances()) - stay:
                h.bus.instance(name).start("Destroy")
            h.bus.start_create(GVT, V5_8, uuid=uuid(number + 1), name=f"n{number}")
            h.bus.start_create(A2, "A2-1Q", uuid=uuid(number + 2), attributes=PARAMETERS[:2])
            h.bus.start_create(GVT, V5_8, count=2)
            moment = time.monotonic() + chance.uniform(0, 0.08)
            bus.wait(lambda m=moment: time.monotonic() > m, "the moment of the kill")
            h.kill()
            h.start()
            self.assertLessEqual(stay, self.check(h))

    def test_records_that_are_not_ours(self):
        h = self.host()
        h.bus.create(GVT, V5_4, uuid=uuid(1), name="one")
        h.bus.create(GVT, V5_4, uuid=uuid(2), name="two")
        h.kill()
        directory = h.runtime / "instance"
        (directory / uuid(1)).write_text("[Instance\nnonsense", "utf-8")
        (directory / uuid(3)).write_bytes(b"\0" * 10_000)
        (directory / uuid(4)).write_text((directory / uuid(2)).read_text("utf-8").replace("two", "../x"), "utf-8")
        (directory / "nonsense").write_text("", "utf-8")
        (directory / f".{uuid(5)}.tmp").write_text("half", "utf-8")
        h.start()
        self.assertEqual({u: (i["Origin"], i["Name"]) for u, i in h.bus.instances().items()},
                         {uuid(1): ("foreign", ""), uuid(2): ("vgpud", "two")})
        self.assertEqual(set(h.records()), {uuid(2)})
        for name in (uuid(1), uuid(3), uuid(4), "nonsense"):
            self.assertEqual(h.log().count(f" {name}, "), 1, name)


if __name__ == "__main__":
    runner.main()
