# SPDX-License-Identifier: LGPL-2.1-or-later
"""Instances of definitions come back with their driver, unless a user or another program has removed them. boot.py
has the tests of a boot."""

import os
import select
import signal

import vmcase
from vmdefine import INSTANCE_LOST, START_WAITS, WANTED, Defined

MANY = 8


class Converge(Defined, vmcase.VgpudCase):
    def tearDown(self):
        vmcase.load(*self.drivers)
        for row in self.rows():
            vmcase.vgpuctl("undefine", row["uuid"])
        super().tearDown()

    def assertRuns(self, *uuids):  # pylint: disable=invalid-name
        """These devices exist and no others, and vgpud created each."""
        self.assertEqual(sorted(vmcase.devices()), sorted(uuids))
        objects = self.assertTruth()
        self.assertEqual({item["Origin"] for item in objects.instances.values()}, {"vgpud"} if uuids else set())

    def reported(self, message_id, uuid):
        """The number of entries with this MESSAGE_ID about the instance or definition in the journal."""
        return sum(
            (entry.get("MESSAGE_ID"), entry.get("VGPUD_INSTANCE")) == (message_id, uuid) for entry in vmcase.journal()
        )

    def kill(self):
        """SIGKILL vgpud, and start the next one when it is dead."""
        pid = vmcase.main_pid()
        ended = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        self.assertTrue(select.select([ended], [], [], vmcase.DEADLINE_SEC)[0])
        os.close(ended)
        vmcase.run("systemctl", "start", "vgpud")

    def test_a_driver_is_reloaded(self):
        ran = self.define("mdpy-xga", "--name", "ran", "--gpu", "mdpy")
        anywhere = self.define("mdpy-vga", "--name", "anywhere", "--autostart")
        self.define("mdpy-xga", "--name", "stopped", "--autostart")
        self.define("mdpy-xga", "--name", "never", "--autostart")
        self.start("ran", "anywhere", "stopped")
        self.stop("stopped")
        lost = self.create("mdpy-vga")
        vmcase.unload("mdpy")
        self.bus.until(lambda _: len(self.missing()) == 2)
        self.until_readiness("degraded")
        rows = self.until_states(ran="waiting", anywhere="waiting", stopped="stopped", never="stopped")
        self.assertEqual({name for name, row in rows.items() if row["reason"]}, {"ran", "anywhere"})
        self.assertEqual(vmcase.devices(), {})
        self.assertLess(0, min(self.reported(START_WAITS, ran), self.reported(START_WAITS, anywhere)))
        vmcase.load("mdpy")
        rows = self.until_states(ran="active", anywhere="active", stopped="stopped", never="stopped")
        self.assertEqual({row["reason"] for row in rows.values()}, {""})
        self.until_readiness("ready")
        self.assertRuns(ran, anywhere)
        self.assertEqual(vmcase.devices()[ran], "mdpy-xga")
        self.assertEqual((self.missing(), self.reported(INSTANCE_LOST, lost)), ([], 1))

    def test_a_driver_is_reloaded_at_once(self):
        """vgpud may see the driver's new parent before the removal of the old parent."""
        uuid = self.define("mdpy-xga", "--name", "desk", "--gpu", "mdpy")
        self.start("desk")
        for _ in range(2):
            inode = os.stat(vmcase.MDEV_DEVICES / uuid).st_ino
            vmcase.run("sh", "-c", "rmmod mdpy && modprobe mdpy")
            self.bus.until(
                lambda objects, inode=inode: uuid in objects.instances
                and (vmcase.MDEV_DEVICES / uuid).exists()
                and os.stat(vmcase.MDEV_DEVICES / uuid).st_ino != inode
            )
            self.until_states(desk="active")
        self.assertRuns(uuid)

    def test_a_stop_ends_the_wait(self):
        desk = self.define("mdpy-xga", "--name", "desk")
        other = self.define("mdpy-xga", "--name", "other", "--gpu", "mdpy")
        self.start("desk", "other")
        vmcase.unload("mdpy")
        self.until_states(desk="waiting", other="waiting")
        self.assertEqual(sorted(set(os.listdir(WANTED)) & {desk, other}), sorted((desk, other)))
        self.stop("desk")
        self.assertEqual(self.states(), {desk: "stopped", other: "waiting"})
        vmcase.load("mdpy")
        self.until_states(other="active")
        self.until_readiness("ready")
        self.assertRuns(other)

    def test_removed_behind_our_back(self):
        """Another program removes the device: the definition is stopped, and only a user starts the definition again."""

        def by_mdevctl(uuid):
            vmcase.run("mdevctl", "stop", "-u", uuid)

        for remove in (vmcase.remove, by_mdevctl):
            with self.subTest(remove=remove.__name__):
                uuid = self.define("mdpy-xga", "--name", "desk", "--autostart")
                self.start("desk")
                remove(uuid)
                self.until_states(desk="stopped")
                self.assertNotIn(uuid, os.listdir(WANTED))
                # The GPU changes, and vgpud leaves the definition stopped.
                self.destroy(self.create("mdpy-vga", "mdpy"))
                self.until_readiness("ready")
                self.assertEqual((self.states(), vmcase.devices()), ({uuid: "stopped"}, {}))
                self.start("desk")
                self.assertRuns(uuid)
                vmcase.vgpuctl("undefine", "--stop", "desk")

    def test_created_behind_our_back(self):
        """While the definition waits, another program creates a device with its UUID."""
        uuid = self.define("mdpy-xga", "--name", "desk")
        self.start("desk")
        vmcase.unload("mdpy")
        self.until_states(desk="waiting")
        vmcase.create("mtty-1", uuid)
        self.until_states(desk="foreign")
        vmcase.load("mdpy")
        self.bus.until(lambda objects: objects.ready("mdpy"))
        self.assertEqual(vmcase.devices(), {uuid: "mtty-1"})
        vmcase.remove(uuid)
        self.until_states(desk="active")
        self.assertEqual(vmcase.devices(), {uuid: "mdpy-xga"})

    def test_a_restart_keeps_the_wants(self):
        """A restarted vgpud starts no definition that a user has stopped."""
        running = self.define("mtty-1", "--name", "running", "--autostart")
        stopped = self.define("mtty-1", "--name", "stopped", "--autostart")
        waiting = self.define("mdpy-xga", "--name", "waiting")
        self.start("running", "stopped", "waiting")
        self.stop("stopped")
        vmcase.vgpuctl("autostart", "waiting", "on")
        vmcase.unload("mdpy")
        self.until_states(running="active", stopped="stopped", waiting="waiting")
        for restart in (self.kill, lambda: vmcase.run("systemctl", "restart", "vgpud")):
            restart()
            self.until_states(running="active", stopped="stopped", waiting="waiting")
            self.assertEqual(list(vmcase.devices()), [running])
        vmcase.load("mdpy")
        self.until_states(waiting="active")
        self.until_readiness("ready")
        self.assertRuns(running, waiting)
        self.assertEqual(self.states()[stopped], "stopped")

    def test_killed_on_the_way(self):
        """vgpud is killed while it creates instances, at the first and at a later one. The next vgpud creates the rest."""
        uuids = [self.define("mbochs-small", "--name", f"desk{n}") for n in range(MANY)]
        self.start(*uuids)
        for number in (1, MANY // 2):
            with self.subTest(number=number):
                vmcase.unload("mbochs")
                self.bus.until(lambda objects: "mbochs" not in objects.gpus and not objects.instances)
                with vmcase.Uevents() as events:
                    vmcase.load("mbochs")
                    for _ in range(number):
                        events.wait(ACTION="add", SUBSYSTEM="mdev")
                    self.kill()
                self.until_states(**{f"desk{n}": "active" for n in range(MANY)})
                self.until_readiness("ready")
                self.assertRuns(*uuids)
                self.assertEqual(vmcase.records(), sorted(uuids))


vmcase.main()
