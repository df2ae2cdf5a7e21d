# SPDX-License-Identifier: LGPL-2.1-or-later
"""Another program binds a virtual function in the middle of vgpud's create and destroy: the job fails with a
message, and vgpud stays the same process."""

import contextlib
import os
import signal

import vmcase
import vmsriov

HARDWARE = "igb"


class Rival(vmsriov.Managed):
    hardware = HARDWARE

    def setUp(self):
        vmcase.load("pci-stub")
        self.pf.enable(1)
        [self.vf] = self.assertVfs(1)
        self.pid = vmcase.main_pid()

    def tearDown(self):
        self.doCleanups()
        if self.vf.driver() == "pci-stub":
            self.vf.release()
        super().tearDown()
        self.assertEqual(vmcase.main_pid(), self.pid)
        self.assertEqual(vmcase.run("systemctl", "is-active", "vgpud").out, "active\n")

    def interrupt(self, member):
        """Begin a Create or Destroy whose first write does not return, because vgpud-write is stopped. Returns the
        pending answer and the pid of that process. An earlier create starts the process. If the process has
        ended before the call, because it was idle for some seconds, try again."""
        while True:
            uuid, pid = self.create_with_writer("vf", self.pf.address)
            if member == "Create":
                self.destroy(uuid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                self.addCleanup(self.go_on, pid)
                answer = self.begin(member, uuid)
                if vmcase.await_request(pid):
                    return answer, pid
                self.go_on(pid)
                self.bus.wait_answers([answer])
            for uuid in self.objects().instances:
                self.destroy(uuid)

    def begin(self, member, uuid):
        if member == "Destroy":
            return self.bus.begin(*vmcase.MANAGER, "Destroy", "sa{sv}", uuid, {"wait": True})
        return self.bus.begin(*vmcase.MANAGER, "Create", "ssa{sv}", self.pf.address, "vf", {"wait": True})

    @staticmethod
    def go_on(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def settle(self, answer, pid):
        """Let the writer go on; return the result of the job, as a word."""
        self.go_on(pid)
        self.bus.wait_answers([answer])
        self.bus.until(lambda objects: not objects.jobs)
        print(f"{self.id().rpartition('.')[2]}: {answer.word()}: {answer.error and answer.error.get_dbus_message()}")
        return answer.word()

    def test_14_during_a_destroy(self):
        answer, pid = self.interrupt("Destroy")
        rival = vmsriov.start_write(self.vf.path / "driver/unbind", self.vf.address)
        self.assertEqual(vmcase.finish(rival).status, 0)
        self.vf.bind("pci-stub")
        self.assertEqual(self.settle(answer, pid), "Failed")
        # The other program has the VF, so vgpud shows no instance on it.
        self.assertEqual(self.vf.driver(), "pci-stub")
        self.assertEqual(self.objects().instances, {})

    def test_14_during_a_create(self):
        answer, pid = self.interrupt("Create")
        self.vf.bind("pci-stub")
        self.assertEqual(self.settle(answer, pid), "Failed")
        self.assertEqual(self.vf.driver(), "pci-stub")
        self.assertEqual(self.objects().instances, {})


vmcase.main()
