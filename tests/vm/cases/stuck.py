# SPDX-License-Identifier: LGPL-2.1-or-later
"""A write that does not return from the kernel: vgpud-write is stopped with SIGSTOP before the next write. With the
kernel's samples, only the removal of an open device would hang, and vgpud does not remove open devices."""

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
        config.write_text("[jobs]\ntimeout=3s\n[start]\ntimeout=1s\n[stop]\ntimeout=1s\n", encoding="utf-8")
        super().setUpClass()

    def tearDown(self):
        # No device can be removed while a writer is stopped.
        self.doCleanups()
        super().tearDown()

    def stop_writer(self):
        """Make an instance, which starts a writer, and stop the writer; return UUID and pid."""
        uuid, pid = self.create_with_writer("mdpy-xga", "mdpy", name="first")
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(self.go_on, pid)
        return uuid, pid

    @staticmethod
    def go_on(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def hang(self, member, signature, *args):
        """Call a method whose job does not end; the call fails when the GPU counts as stuck."""
        began = time.monotonic()
        with self.assertBusError(vmcase.error_name("GpuStuck")) as caught:
            self.bus.call(*vmcase.MANAGER, member, signature, *args, {"wait": True})
        print(f"after {time.monotonic() - began:.2f} s: {caught[0].get_dbus_message()}")

    def assertOthersWork(self, uuid):  # pylint: disable=invalid-name
        """The GPU is stuck and takes no work; its last known state stays visible; other GPUs work."""
        objects = self.objects()
        gpu = objects.gpus["mdpy"]
        self.assertEqual((gpu["State"], gpu["Stale"]), ("stuck", True))
        self.assertTrue(gpu["Reason"])
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
        # The instance came late, but is vgpud's.
        self.assertEqual({item["Origin"] for item in objects.instances.values()}, {"vgpud"})
        vmcase.vgpuctl("destroy", *vmcase.devices())

    def test_a_removal(self):
        uuid, pid = self.stop_writer()
        self.hang("Destroy", "sa{sv}", uuid)
        self.assertEqual(self.objects().instances[uuid]["State"], "stuck")
        self.assertOthersWork(uuid)
        # The group cannot be opened meanwhile, so the pending write cannot fail with EBUSY.
        with self.assertErrno(errno.EBUSY):
            vmcase.VfioUser(uuid)
        self.go_on(pid)
        self.bus.until(lambda objects: objects.ready("mdpy") and not objects.instances and not objects.jobs)
        self.assertEqual(vmcase.devices(), {})
        self.assertTruth()

    def test_a_caller_with_less_time(self):
        """A caller's timeout ends the wait of the caller, not the job."""
        _, pid = self.stop_writer()
        with self.assertBusError(vmcase.error_name("Timeout")):
            self.create("mdpy-vga", "mdpy", timeout_usec=vmcase.dbus.UInt64(100_000))
        ((number, job),) = self.objects().jobs.items()
        self.assertEqual((job["Kind"], job["Gpu"]), ("create", "/org/vgpud1/gpu/mdpy"))
        self.go_on(pid)
        self.bus.until(lambda objects: objects.ready("mdpy") and not objects.jobs)
        ended = self.bus.call(*vmcase.MANAGER, "GetJob", "ua{sv}", number, {})
        self.assertEqual((ended["state"], ended["instances"]), ("ended", job["Instances"]))
        self.assertEqual(len(self.assertTruth().instances), 2)
        vmcase.vgpuctl("destroy", *vmcase.devices())

    def test_those_that_wait(self):
        """Jobs queued behind a hanging job fail with a message, and are not run later."""
        uuid, pid = self.stop_writer()
        answers = [
            self.bus.begin(*vmcase.MANAGER, "Create", "ssa{sv}", "mdpy", "mdpy-vga", {"wait": True})
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
        """A restart of vgpud does not kill the writer. The new vgpud serves other GPUs before the write ends."""
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
