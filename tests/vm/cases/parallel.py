# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many requests at once: exactly as many succeed as there is room for."""

import collections
import time

import vmcase


class Parallel(vmcase.VgpudCase):
    drivers = ("mdpy",)

    def test_32_vgpuctl_for_4_slots(self):
        kinds = ("mdpy-xga", "mdpy-vga", "mdpy-hd")
        began = time.monotonic()
        processes = [vmcase.start("vgpuctl", "create", kinds[number % 3]) for number in range(32)]
        results = [vmcase.finish(process) for process in processes]
        print(f"32 parallel vgpuctl create: {time.monotonic() - began:.2f} s")
        self.assertEqual(collections.Counter(done.status for done in results), {0: 4, 5: 28})
        for done in results:
            if done.status != 0:
                self.assertEqual(done.out, "")
                self.assertTrue(done.err)
        self.assertEqual({done.out.strip() for done in results if done.status == 0}, set(vmcase.devices()))
        self.assertEqual(vmcase.records(), sorted(vmcase.devices()))
        self.assertTruth()

    def test_32_calls_for_4_slots(self):
        began = time.monotonic()
        answers = [
            self.bus.begin(*vmcase.MANAGER, "Create", "ssa{sv}", "", "mdpy-xga", {"wait": True})
            for _ in range(32)
        ]
        self.bus.wait_answers(answers)
        print(f"32 calls: {time.monotonic() - began:.2f} s")
        self.assertEqual(
            collections.Counter(answer.word() for answer in answers), {"done": 4, "NoCapacity": 28}
        )
        self.assertEqual(
            {made["uuid"] for answer in answers if answer.error is None for made in answer.value[1]},
            set(vmcase.devices()),
        )
        self.assertTruth()

    def test_32_times_the_same_uuid(self):
        uuid = "11111111-2222-4333-8444-555555555555"
        answers = [
            self.bus.begin(
                *vmcase.MANAGER, "Create", "ssa{sv}", "mdpy", "mdpy-xga", {"wait": True, "uuid": uuid}
            )
            for _ in range(32)
        ]
        self.bus.wait_answers(answers)
        self.assertEqual(collections.Counter(answer.word() for answer in answers), {"done": 1, "Exists": 31})
        self.assertEqual(vmcase.devices(), {uuid: "mdpy-xga"})
        self.assertTruth()

    def test_one_is_destroyed_once(self):
        uuid = self.create("mdpy-xga")
        answers = [
            self.bus.begin(*vmcase.MANAGER, "Destroy", "sa{sv}", uuid, {"wait": True}) for _ in range(16)
        ]
        self.bus.wait_answers(answers)
        words = collections.Counter(answer.word() for answer in answers)
        print("16 times Destroy:", dict(words))
        self.assertEqual(words.pop("done"), 1)
        self.assertLessEqual(set(words), {"InUse", "NoSuchInstance"})
        self.assertEqual(vmcase.devices(), {})


vmcase.main()
