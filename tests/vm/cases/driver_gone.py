# SPDX-License-Identifier: LGPL-2.1-or-later
"""A driver is unloaded during creations: vgpud keeps no object without a device."""

import collections
import time

import vmcase

# Permitted results of a creation while the driver goes.
EXPECTED = {"done", "GpuGone", "NoSuchGpu", "NoSuchType", "NoCapacity", "Failed", "NotSupported"}


class Gone(vmcase.VgpudCase):
    def burst(self, kind, gpu, number):
        return [
            self.bus.begin(*vmcase.MANAGER, "Create", "ssa{sv}", gpu, kind, {"wait": True})
            for _ in range(number)
        ]

    def assertNoGhost(self, *gpus):  # pylint: disable=invalid-name
        objects = self.bus.until(lambda objects: not objects.jobs and not set(gpus) & set(objects.gpus))
        self.assertEqual(objects.instances, {})
        self.assertEqual(vmcase.devices(), {})
        self.assertEqual(vmcase.records(), [])
        self.assertEqual(vmcase.vgpuctl("list").out, "")
        self.assertEqual(vmcase.vgpuctl("jobs").out, "")
        listed = {gpu["name"] for gpu in vmcase.vgpuctl_json("gpus")["gpus"]}
        self.assertEqual(listed & set(gpus), set())

    def reload(self, *modules):
        vmcase.load(*modules)
        self.bus.until(lambda objects: objects.ready(*modules))
        for module in modules:
            kind = {"mdpy": "mdpy-xga", "mbochs": "mbochs-large"}[module]
            uuid = vmcase.vgpuctl("create", kind).out.strip()
            self.assertEqual(vmcase.devices(), {uuid: kind})
            self.assertTruth()
            vmcase.vgpuctl("destroy", uuid)

    def round(self, answers, number, *modules):
        """Unload the drivers after this number of answers, and check the remaining state."""
        self.bus.wait_answers(answers, number)
        process = vmcase.start("rmmod", *modules)
        self.bus.wait_answers(answers)
        done = vmcase.finish(process)
        self.assertEqual(done.status, 0, str(done))
        words = collections.Counter(answer.word() for answer in answers)
        print(f"rmmod {' '.join(modules)} after {number} answers: {dict(words)}")
        self.assertLessEqual(set(words), EXPECTED, [str(answer.error) for answer in answers])
        self.assertNoGhost(*modules)
        self.reload(*modules)

    def test_during_a_burst_of_mbochs(self):
        for number in (0, 1, 5, 20):
            with self.subTest(number=number):
                self.round(self.burst("mbochs-small", "", 60), number, "mbochs")

    def test_during_a_burst_of_mdpy(self):
        for number in (0, 1, 3):
            with self.subTest(number=number):
                self.round(self.burst("mdpy-xga", "mdpy", 12), number, "mdpy")

    def test_both(self):
        answers = self.burst("mbochs-small", "mbochs", 30) + self.burst("mdpy-vga", "mdpy", 4)
        self.round(answers, 8, "mdpy", "mbochs")

    def test_during_parallel_vgpuctl(self):
        processes = [vmcase.start("vgpuctl", "create", "mbochs-small") for _ in range(12)]
        first = vmcase.finish(processes[0])
        removal = vmcase.start("rmmod", "mbochs")
        results = [first] + [vmcase.finish(process) for process in processes[1:]]
        self.assertEqual(vmcase.finish(removal).status, 0)
        print("exit status of vgpuctl:", dict(collections.Counter(done.status for done in results)))
        for done in results:
            self.assertIn(done.status, (0, 1, 3), str(done))
            # Each caller gets an instance or an explanation.
            self.assertTrue(done.out if done.status == 0 else done.err, str(done))
        self.assertNoGhost("mbochs")
        self.reload("mbochs")

    def test_with_instances_that_stand(self):
        vmcase.vgpuctl("create", "mbochs-small", "--count", "20")
        vmcase.vgpuctl("create", "mdpy-xga", "--name", "desk")
        began = time.monotonic()
        vmcase.unload("mbochs", "mdpy")
        self.assertNoGhost("mbochs", "mdpy")
        print(f"unloaded and gone after {time.monotonic() - began:.2f} s")
        self.reload("mbochs", "mdpy")

    def test_unloaded_and_loaded_again_at_once(self):
        """The reload is faster than vgpud's scan: no record of the old driver's instances may survive."""
        uuid = vmcase.vgpuctl("create", "mdpy-xga", "--name", "desk").out.strip()
        vmcase.run("sh", "-c", "rmmod mdpy && modprobe mdpy")
        objects = self.bus.until(
            lambda objects: objects.ready("mdpy")
            and uuid not in objects.instances
            and self.bus.types(objects.gpus["mdpy"]["Path"]).get("mdpy-xga", {}).get("available") == 4
        )
        self.assertEqual(objects.jobs, {})
        self.assertEqual(vmcase.records(), [])
        again = vmcase.vgpuctl("create", "mdpy-xga", "--uuid", uuid, "--name", "desk").out.strip()
        self.assertEqual(vmcase.devices(), {again: "mdpy-xga"})
        self.assertTruth()
        vmcase.vgpuctl("destroy", "desk")

    def test_a_driver_that_is_in_use_stays(self):
        uuid = vmcase.vgpuctl("create", "mdpy-xga").out.strip()
        with vmcase.VfioProcess(uuid, device=True):
            vmcase.run("rmmod", "mdpy", status=1)
            self.assertTrue(vmcase.Path("/sys/module/mdpy").exists())
            self.assertTruth()
        vmcase.vgpuctl("destroy", uuid)


vmcase.main()
