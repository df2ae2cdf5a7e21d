# SPDX-License-Identifier: LGPL-2.1-or-later
"""Definitions on a real kernel, with the real polkitd: they outlive the device, the driver, the daemon and /run."""

import os
import select
import shutil
import signal

import vmcase
from vmdefine import Defined
from vmpolkit import Rules, allow

STATE = vmcase.Path("/var/lib/vgpud/definitions")
RUNTIME = vmcase.Path("/run/vgpud")
UUID = "11111111-2222-4333-8444-555555555555"
OTHER = "22222222-2222-4333-8444-555555555555"


class Definitions(Rules, Defined, vmcase.VgpudCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        vmcase.run("useradd", "--create-home", "mallory")

    def tearDown(self):
        for row in self.rows():
            vmcase.vgpuctl("undefine", row["uuid"])
        super().tearDown()
        self.assertEqual(list(STATE.iterdir()), [])

    def assertFails(self, status, name, *argv, user=None):  # pylint: disable=invalid-name
        """The call fails, and neither a device nor a definition changes."""
        before = (vmcase.devices(), self.rows())
        self.assertVgpuctlFails(status, name, *argv, user=user)
        self.assertEqual((vmcase.devices(), self.rows()), before)

    def test_life(self):
        uuid = self.define("mdpy-xga", "--name", "desk", "--gpu", "mdpy")
        self.assertEqual((vmcase.devices(), self.states()), ({}, {uuid: "stopped"}))
        self.assertEqual((STATE / f"{uuid}.json").stat().st_mode & 0o777, 0o600)
        vmcase.vgpuctl("start", "desk")
        self.assertEqual((vmcase.devices(), self.states()), ({uuid: "mdpy-xga"}, {uuid: "active"}))
        self.assertFails(6, "Exists", "start", "desk")
        self.assertFails(6, "Defined", "destroy", "desk")
        vmcase.vgpuctl("stop", "desk")
        self.assertEqual((vmcase.devices(), self.states()), ({}, {uuid: "stopped"}))
        vmcase.vgpuctl("undefine", "desk")
        self.assertEqual(self.states(), {})

    def test_without_the_driver(self):
        """Without the driver a start fails. An instance that ran comes back with its driver."""
        uuid = self.define("mdpy-xga", "--name", "desk", "--gpu", "mdpy")
        vmcase.unload("mdpy")
        self.bus.until(lambda objects: "mdpy" not in objects.gpus)
        self.assertEqual(self.states(), {uuid: "stopped"})
        self.assertFails(3, "NoSuchGpu", "start", uuid)
        vmcase.load("mdpy")
        self.bus.until(lambda objects: objects.ready("mdpy"))
        vmcase.vgpuctl("start", uuid)
        self.assertEqual(vmcase.devices(), {uuid: "mdpy-xga"})
        # converge.py has the other tests of such returns.
        vmcase.unload("mdpy")
        self.until_states(desk="waiting")
        vmcase.load("mdpy")
        self.until_states(desk="active")
        self.assertEqual(vmcase.devices(), {uuid: "mdpy-xga"})
        vmcase.vgpuctl("stop", uuid)

    def test_a_killed_daemon(self):
        uuid = self.define("mdpy-xga", "--name", "desk")
        stopped = self.define("mtty-1")
        vmcase.vgpuctl("start", "desk")
        vmcase.vgpuctl("edit", "desk", "--type", "mdpy-vga")
        before = self.rows()
        pid = vmcase.main_pid()
        ended = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        self.assertTrue(select.select([ended], [], [], vmcase.DEADLINE_SEC)[0])
        os.close(ended)
        vmcase.run("systemctl", "start", "vgpud")
        self.assertEqual(self.rows(), before)
        self.assertEqual({row["uuid"]: row["differs"] for row in before}, {uuid: True, stopped: False})
        vmcase.vgpuctl("stop", "desk")
        vmcase.vgpuctl("start", "desk")
        self.assertEqual(vmcase.devices(), {uuid: "mdpy-vga"})
        vmcase.vgpuctl("stop", "desk")

    def test_what_a_restart_of_the_host_leaves(self):
        """Without /run and the devices, only the definitions are left."""
        kept = vmcase.vgpuctl("create", "mdpy-xga", "--keep").out.strip()
        self.create("mdpy-xga")
        vmcase.run("systemctl", "stop", "vgpud")
        vmcase.unload("mdpy", "mtty", "mbochs")
        shutil.rmtree(RUNTIME)
        vmcase.load(*self.drivers)
        vmcase.run("systemctl", "start", "vgpud")
        self.bus.until(lambda objects: objects.ready(*self.drivers))
        self.assertEqual((vmcase.devices(), self.states()), ({}, {kept: "stopped"}))
        vmcase.vgpuctl("start", kept)
        self.assertEqual(vmcase.devices(), {kept: "mdpy-xga"})
        vmcase.vgpuctl("stop", kept)

    def test_another_program_has_the_uuid(self):
        self.define("mtty-1", "--uuid", UUID)
        vmcase.create("mtty-1", UUID)
        self.bus.until(lambda objects: UUID in objects.instances)
        self.assertEqual(self.states(), {UUID: "foreign"})
        self.assertFails(6, "Exists", "start", UUID)
        self.assertFails(4, "Foreign", "destroy", UUID)
        vmcase.vgpuctl("destroy", "--foreign", UUID)
        vmcase.vgpuctl("start", UUID)
        self.assertEqual(self.states(), {UUID: "active"})
        vmcase.vgpuctl("stop", UUID)

    def test_users(self):
        self.rule("60-define.rules", allow("org.vgpud1.define") + allow("org.vgpud1.start") + allow("org.vgpud1.destroy"))
        self.define("mtty-1", "--name", "roots")
        uuid = vmcase.vgpuctl("define", "mdpy-xga", "--name", "hers", user="alice").out.strip()
        for user, words in (("mallory", ["roots", "hers"]), ("alice", ["roots"])):
            for word in words:
                self.assertFails(4, "NotAuthorized", "start", word, user=user)
                self.assertFails(4, "NotAuthorized", "edit", word, "--name", "mine", user=user)
                self.assertFails(4, "NotAuthorized", "undefine", word, user=user)
        vmcase.vgpuctl("start", "hers", user="alice")
        self.assertEqual(self.objects().instances[uuid]["Owner"], "1000")
        self.assertFails(4, "NotAuthorized", "stop", "hers", user="mallory")
        vmcase.vgpuctl("edit", "hers", "--type", "mdpy-vga", user="alice")
        vmcase.vgpuctl("stop", "hers", user="alice")
        # Root may start the definition. The instance still belongs to alice.
        vmcase.vgpuctl("start", "hers")
        self.assertEqual(self.objects().instances[uuid]["Owner"], "1000")
        vmcase.vgpuctl("undefine", "--stop", "hers", user="alice")
        self.assertEqual((vmcase.devices(), [row["name"] for row in self.rows()]), ({}, ["roots"]))

    def test_files_that_people_damaged(self):
        uuid = self.define("mtty-1", "--name", "good")
        vmcase.run("systemctl", "stop", "vgpud")
        (STATE / f"{OTHER}.json").write_text('{ "version": 1, "type": ', encoding="utf-8")
        vmcase.run("systemctl", "start", "vgpud")
        self.assertEqual(self.states(), {uuid: "stopped"})
        [error] = self.bus.get(*vmcase.MANAGER, "StoreErrors")
        self.assertIn(OTHER, error)
        [aside] = [path for path in STATE.iterdir() if path.name.startswith(OTHER)]
        self.assertNotEqual(aside.name, f"{OTHER}.json")
        aside.unlink()


vmcase.main()
