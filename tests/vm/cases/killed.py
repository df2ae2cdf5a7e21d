# SPDX-License-Identifier: LGPL-2.1-or-later
"""vgpud is killed at random moments of its work: the successor finds each instance complete or gone."""

import os
import random
import select
import signal
import time

import vmcase

# Number of rounds: as many as fit into this time, within these limits.
ROUNDS_SEC = 50
ROUNDS = (3, 25)


def rounds():
    end = time.monotonic() + ROUNDS_SEC
    for number in range(ROUNDS[1]):
        if number >= ROUNDS[0] and time.monotonic() > end:
            break
        yield number


def paths_of(answer):
    """The paths of the instances in the answer of Create."""
    _, made = answer.value
    return {instance["object_path"] for instance in made}


class Killed(vmcase.VgpudCase):
    drivers = ("mbochs", "mdpy")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        vmcase.drop_in("restart", "[Unit]\nStartLimitIntervalSec=0\n")
        cls.slowest_sec = 0
        seed = random.randrange(1 << 32)
        random.seed(seed)
        print("seed", seed)

    def kill(self, begin, margin_ms):
        """Call begin(), kill vgpud after a random number of answers and a random delay, and start the successor.
        Returns the result of begin()."""
        pid = vmcase.main_pid()
        ended = os.pidfd_open(pid)
        begun = begin()
        answers = list(begun.values())
        self.bus.wait_answers(answers, random.randrange(len(answers)))
        # The moment of the kill must not depend on any event.
        select.select([], [], [], random.uniform(0, margin_ms / 1000))
        os.kill(pid, signal.SIGKILL)
        self.assertTrue(select.select([ended], [], [], vmcase.DEADLINE_SEC)[0])
        os.close(ended)
        # Calls that vgpud did not serve get an error reply from the bus.
        self.bus.wait_answers(answers)
        began = time.monotonic()
        vmcase.run("systemctl", "start", "vgpud")
        self.slowest_sec = max(self.slowest_sec, time.monotonic() - began)
        return begun

    def begin_create(self, kind, **options):
        return self.bus.begin(*vmcase.MANAGER, "Create", "ssa{sv}", "", kind, {"wait": True, **options})

    def assertSettled(self):  # pylint: disable=invalid-name
        """All devices of the kernel are complete, known to vgpud, and made by vgpud; vgpud reports no others."""
        objects = self.bus.until(
            lambda objects: not objects.jobs
            and objects.ready(*self.drivers)
            and set(objects.instances) == set(vmcase.devices())
        )
        self.assertTruth()
        for uuid, properties in objects.instances.items():
            self.assertEqual(properties["Origin"], "vgpud", uuid)
            self.assertEqual(properties["Owner"], "0", uuid)
            self.assertEqual(properties["State"], "active", uuid)
            self.assertTrue(properties["Driver"], uuid)
            hand_over = self.bus.hand_over(properties["Path"])
            self.assertTrue(os.path.exists(hand_over["group_node"]), uuid)
        self.assertEqual(vmcase.records(), sorted(objects.instances))
        return objects

    def destroy_all(self):
        answers = [
            self.bus.begin(*vmcase.MANAGER, "Destroy", "sa{sv}", uuid, {"wait": True})
            for uuid in vmcase.devices()
        ]
        self.bus.wait_answers(answers)
        self.assertEqual([str(answer.error) for answer in answers if answer.error], [])
        self.assertEqual(vmcase.records(), [])

    def test_while_creating(self):
        """Single creations: after an answer the instance exists; without an answer it is complete or gone."""
        counts = {"killed": 0, "answered": 0, "stands": 0, "gone": 0}
        for number in rounds():
            names = [f"round{number}.{index}" for index in range(10)]

            def begin(names=tuple(names)):
                kinds = ["mbochs-small"] * 4 + ["mdpy-xga"]
                return {
                    name: self.begin_create(kinds[index % 5], name=name) for index, name in enumerate(names)
                }

            answers = self.kill(begin, 50)
            stands = {item["Name"]: item["Path"] for item in self.assertSettled().instances.values()}
            for name, answer in answers.items():
                if answer.error is None:
                    self.assertEqual(paths_of(answer), {stands[name]})
                    counts["answered"] += 1
                else:
                    self.assertEqual(answer.word(), "NoReply")
                    counts["stands" if name in stands else "gone"] += 1
            self.assertLessEqual(set(stands), set(names))
            counts["killed"] += 1
            self.destroy_all()
        print(f"{counts}; the slowest start took {self.slowest_sec:.2f} s")

    def test_while_creating_several(self):
        """Several instances from one call: all of them exist, or none."""
        counts = {"killed": 0, "answered": 0, "stands": 0, "gone": 0}

        def begin():
            count = vmcase.dbus.UInt32(4)
            return {number: self.begin_create("mbochs-small", count=count) for number in range(4)}

        for _ in rounds():
            self.bus.forget()
            answers = self.kill(begin, 100)
            jobs = [
                signal.args[1]["org.vgpud1.Job"]
                for signal in self.bus.signals
                if signal.member == "InterfacesAdded" and "org.vgpud1.Job" in signal.args[1]
            ]
            groups = [set(job["Instances"]) for job in jobs if job["Kind"] == "create"]
            answered = [paths_of(answer) for answer in answers.values() if answer.error is None]
            stands = {item["Path"] for item in self.assertSettled().instances.values()}
            counts["answered"] += len(answered)
            for group in answered:
                self.assertLessEqual(group, stands)
            for group in groups:
                self.assertIn(len(stands & group), (0, 4), f"{group}: there is {stands & group}")
                if group not in answered:
                    counts["stands" if stands & group else "gone"] += 1
            self.assertLessEqual(stands, set().union(*groups))
            counts["killed"] += 1
            self.destroy_all()
        print(counts)

    def test_while_destroying(self):
        counts = {"killed": 0, "answered": 0, "stands": 0, "gone": 0}
        for number in rounds():
            names = [f"round{number}.{index}" for index in range(10)]
            self.bus.wait_answers([self.begin_create("mbochs-small", name=name) for name in names])

            def begin(names=tuple(names)):
                return {
                    name: self.bus.begin(*vmcase.MANAGER, "Destroy", "sa{sv}", name, {"wait": True})
                    for name in names
                }

            answers = self.kill(begin, 50)
            stands = {item["Name"] for item in self.assertSettled().instances.values()}
            self.assertLessEqual(stands, set(names))
            for name, answer in answers.items():
                if answer.error is None:
                    self.assertNotIn(name, stands)
                    counts["answered"] += 1
                else:
                    counts["stands" if name in stands else "gone"] += 1
            counts["killed"] += 1
            self.destroy_all()
        print(counts)


vmcase.main()
