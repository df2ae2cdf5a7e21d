# SPDX-License-Identifier: LGPL-2.1-or-later
"""A write to the kernel that does not come back: vgpud-write is stopped with SIGSTOP before its next write.
The kernel's samples offer nothing that hangs by itself, as vgpud does not remove what is open."""

import contextlib
import errno
import os
import select
import signal
import time

import vmcase


class Stuck(vmcase.VgpudCase):
    drivers = ("mdpy", "mtty")

    @classmethod
    def setUpClass(cls):
        config = vmcase.Path("/etc/vgpud/vgpud.conf")
        config.parent.mkdir(exist_ok=True)
        config.write_text("[start]\ntimeout=1s\n[stop]\ntimeout=1s\n", encoding="utf-8")
        super().setUpClass()

    def tearDown(self):
        # Nothing can be removed while a writer is stopped.
        self.doCleanups()
        super().tearDown()

    def stop_writer(self):
        """Makes an instance, which starts a writer, and stops that; returns the UUID and the writer's pid."""
        uuid, pid = self.create_with_writer("mdpy-xga", "mdpy", name="first")
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(self.go_on, pid)
        return uuid, pid

    @staticmethod
    def go_on(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def hang(self, member, signature, *args):
        """Asks for something with a deadline of a second; it does not come back."""
        began = time.monotonic()
        with self.assertBusError(vmcase.error_name("GpuStuck")) as caught:
            self.bus.call(
                *vmcase.MANAGER,
                member,
                signature,
                *args,
                {"wait": True, "timeout_usec": vmcase.dbus.UInt64(1_000_000)},
            )
        print(f"after {time.monotonic() - began:.2f} s: {caught[0].get_dbus_message()}")

    def assertOthersWork(self, uuid):  # pylint: disable=invalid-name
        """The GPU is stuck and takes no work, what was known of it stays visible, all else goes on."""
        objects = self.objects()
        gpu = objects.gpus["mdpy"]
        self.assertEqual((gpu["State"], gpu["Stale"]), ("stuck", True))
        self.assertIn("has not come back", gpu["Reason"])
        self.assertEqual(objects.instances[uuid]["Name"], "first")
        self.assertVgpuctlFails(6, "GpuStuck", "create", "mdpy-vga")
        self.assertVgpuctlFails(6, "GpuStuck", "destroy", uuid)
        self.assertIn("stuck", vmcase.vgpuctl("gpus").out)
        began = time.monotonic()
        self.assertIn(uuid, vmcase.vgpuctl("list").out)
        print(f"list: {(time.monotonic() - began) * 1000:.0f} ms")
        vmcase.vgpuctl("destroy", vmcase.vgpuctl("create", "mtty-1").out.strip())

    def test_a_creation(self):
        uuid, pid = self.stop_writer()
        self.hang("Create", "ssa{sv}", "mdpy", "mdpy-vga")
        self.assertEqual(list(vmcase.devices()), [uuid])
        self.assertOthersWork(uuid)
        (job,) = self.objects().jobs.values()
        self.assertEqual(job["State"], "stuck")
        self.go_on(pid)
        objects = self.bus.until(lambda objects: objects.ready("mdpy") and len(objects.instances) == 2)
        self.assertTruth()
        # It was late, but it is vgpud's.
        self.assertEqual({item["Origin"] for item in objects.instances.values()}, {"vgpud"})
        vmcase.vgpuctl("destroy", *vmcase.devices())

    def test_a_removal(self):
        uuid, pid = self.stop_writer()
        self.hang("Destroy", "sa{sv}", uuid)
        self.assertEqual(self.objects().instances[uuid]["State"], "stuck")
        self.assertOthersWork(uuid)
        # Nobody can open it meanwhile, so that the write would find it in use.
        with self.assertErrno(errno.EBUSY):
            vmcase.VfioUser(uuid)
        self.go_on(pid)
        self.bus.until(lambda objects: objects.ready("mdpy") and not objects.instances and not objects.jobs)
        self.assertEqual(vmcase.devices(), {})
        self.assertTruth()

    def test_those_that_wait(self):
        """What waits behind a job that hangs is told, and not done later."""
        uuid, pid = self.stop_writer()
        options = {"wait": True, "timeout_usec": vmcase.dbus.UInt64(1_000_000)}
        answers = [
            self.bus.begin(*vmcase.MANAGER, "Create", "ssa{sv}", "mdpy", "mdpy-vga", options)
            for _ in range(3)
        ]
        self.bus.wait_answers(answers)
        self.assertEqual([answer.word() for answer in answers], ["GpuStuck"] * 3)
        self.go_on(pid)
        self.bus.until(lambda objects: objects.ready("mdpy") and len(objects.instances) == 2)
        self.assertEqual(len(vmcase.devices()), 2)
        self.assertEqual(len(vmcase.records()), 2)
        self.assertIn(uuid, vmcase.devices())

    def test_a_restart_meanwhile(self):
        """The write is not killed with vgpud; its successor waits for it, and for nothing else."""
        uuid, pid = self.stop_writer()
        self.hang("Create", "ssa{sv}", "mdpy", "mdpy-vga")
        began = time.monotonic()
        vmcase.run("systemctl", "stop", "vgpud")
        print(f"stopped after {time.monotonic() - began:.2f} s")
        self.assertEqual(vmcase.writers("mdpy"), [pid])
        began = time.monotonic()
        vmcase.run("systemctl", "start", "vgpud")
        print(f"started after {time.monotonic() - began:.2f} s")
        self.assertEqual(vmcase.writers("mdpy"), [pid])
        vmcase.vgpuctl("destroy", vmcase.vgpuctl("create", "mtty-1").out.strip())
        self.assertNotEqual(self.objects().gpus["mdpy"]["State"], "ready")
        ended = os.pidfd_open(pid)
        self.go_on(pid)
        self.assertTrue(select.select([ended], [], [], vmcase.DEADLINE_SEC)[0])
        os.close(ended)
        objects = self.bus.until(lambda objects: objects.ready("mdpy") and len(objects.instances) == 2)
        self.assertEqual({item["Origin"] for item in objects.instances.values()}, {"vgpud"})
        self.assertEqual(objects.instances[uuid]["Name"], "first")
        self.assertTruth()
        vmcase.vgpuctl("destroy", *vmcase.devices())


vmcase.main()
