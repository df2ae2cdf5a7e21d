# SPDX-License-Identifier: LGPL-2.1-or-later
"""A device is unplugged, or vgpud is killed, while virtual functions are enabled or handed out."""

import os
import random
import select
import signal

import vmcase
import vmsriov

HARDWARE = "nvme"


class Gone(vmsriov.Managed):
    hardware = HARDWARE

    def tearDown(self):
        if not self.pf.there():
            vmcase.plug(self.hardware)
        super().tearDown()

    def begin(self, member, signature, *args):
        path = self.gpu()["Path"]
        return self.bus.begin(path, "org.vgpud1.Gpu", member, signature, *args)

    def assertForgotten(self):  # pylint: disable=invalid-name
        """Neither an object nor a record is left, and vgpud answers. Plugs the device in again."""
        objects = self.bus.until(
            lambda objects: self.pf.address not in objects.gpus
            and not objects.instances
            and not objects.jobs
        )
        self.assertEqual(set(objects.gpus), set(self.before))
        self.assertEqual(vmcase.records(), [])
        self.assertVgpuctlFails(3, "NoSuchGpu", "types", self.pf.address)
        self.assertFalse(self.pf.there())
        self.assertEqual(vmcase.plug(self.hardware), self.pf.address)
        self.bus.until(lambda objects: objects.gpus.get(self.pf.address, {}).get("State") == "unprepared")
        vmcase.vgpuctl("enable-vfs", self.pf.address, 1)
        self.assertVfs(1)

    def test_unplugged_while_it_enables(self):
        with vmcase.Uevents() as events:
            answer = self.begin("SetVfs", "ua{sv}", vmcase.dbus.UInt32(self.total), {"wait": True})
            self.bus.bus.flush()
            # The write is in the kernel: the first VF has appeared.
            events.wait(ACTION="add", SUBSYSTEM="pci")
            vmcase.pull(self.hardware)
            self.bus.wait_answers([answer])
            events.wait(ACTION="remove", SUBSYSTEM="pci", PCI_SLOT_NAME=self.pf.address)
        print("answer:", answer.word(), answer.error)
        self.assertIn(answer.word(), ("done", "GpuGone"))
        self.assertForgotten()

    def test_unplugged_while_it_creates(self):
        self.pf.enable(self.total)
        self.assertVfs(self.total)
        with vmcase.Uevents() as events:
            create = ("Create", "ssa{sv}", self.pf.address, "vf", {"wait": True})
            answers = [self.bus.begin(*vmcase.MANAGER, *create) for _ in range(self.total)]
            self.bus.bus.flush()
            events.wait(ACTION="bind", SUBSYSTEM="pci")
            vmcase.pull(self.hardware)
            self.bus.wait_answers(answers)
            events.wait(ACTION="remove", SUBSYSTEM="pci", PCI_SLOT_NAME=self.pf.address)
        words = [answer.word() for answer in answers]
        print("answers:", words)
        # During the removal the driver is unbound for a moment, so a create may also fail as on a GPU without a driver.
        self.assertLessEqual(
            set(words), {"done", "GpuGone", "NoSuchGpu", "NoSuchType", "NoCapacity", "NotSupported"}
        )
        self.assertForgotten()

    def test_unplugged_with_instances(self):
        vmcase.vgpuctl("enable-vfs", self.pf.address, 2)
        uuids = [self.create(), self.create()]
        self.assertEqual(vmcase.records(), sorted(uuids))
        vmcase.unplug(self.hardware, self.pf.address)
        self.assertForgotten()

    def test_unplugged_while_in_use(self):
        """The kernel waits for the user. vgpud answers meanwhile, and reports the used instance as present."""
        vmcase.vgpuctl("enable-vfs", self.pf.address, 2)
        uuid = self.create()
        vf = self.assertHandedOut(uuid)
        with vmcase.Uevents() as events, vmcase.VfioProcess(vf.address, device=True) as user:
            vmcase.pull(self.hardware)
            # The unused VF goes first.
            events.wait(ACTION="remove", SUBSYSTEM="pci")
            message = self.assertVgpuctlFails(6, "InUse", "destroy", uuid)
            print(message)
            self.assertIn(str(user.pid), message)
            self.assertIn(self.pf.address, vmcase.vgpuctl("gpus").out)
            self.assertIn(uuid, vmcase.vgpuctl("list").out)
            vmcase.vgpuctl("rescan", self.pf.address)
            user.kill()
            events.wait(ACTION="remove", SUBSYSTEM="pci", PCI_SLOT_NAME=self.pf.address)
        self.assertForgotten()

    # -- killed --

    def kill(self, pid, answers, most_msec):
        """Kill vgpud within most_msec milliseconds, and start its successor."""
        ended = os.pidfd_open(pid)
        # The moment must be independent of every event.
        select.select([], [], [], random.uniform(0, most_msec / 1000))
        os.kill(pid, signal.SIGKILL)
        self.assertTrue(select.select([ended], [], [], vmcase.DEADLINE_SEC)[0])
        os.close(ended)
        self.bus.wait_answers(answers)
        vmcase.run("systemctl", "start", "vgpud")

    def test_killed_while_it_enables(self):
        vmcase.drop_in("restart", "[Unit]\nStartLimitIntervalSec=0\n")
        for number, (count, action) in enumerate(((self.total, "add"), (3, "remove"), (1, "add"), (2, "add"))):
            with self.subTest(number=number), vmcase.Uevents() as events:
                pid = vmcase.main_pid()
                answer = self.begin("SetVfs", "ua{sv}", vmcase.dbus.UInt32(count), {"wait": True})
                self.bus.bus.flush()
                events.wait(ACTION=action, SUBSYSTEM="pci")
                # In the first two rounds kill vgpud at once, while the kernel still carries out the write.
                self.kill(pid, [answer], 0 if number < 2 else 500)
                objects = self.bus.until(
                    lambda objects: not objects.jobs
                    and objects.gpus.get(self.pf.address, {}).get("State") in ("ready", "unprepared")
                )
                # The write goes on without vgpud; the successor waits for the end.
                self.assertEqual(objects.gpus[self.pf.address]["EnabledVfs"], self.pf.numvfs())
                print("enabled:", self.pf.numvfs())
                self.assertIn(self.pf.numvfs(), (0, count))
                # vgpud had turned autoprobe off for the write; the successor turns autoprobe on again.
                self.assertEqual(self.pf.read("sriov_drivers_autoprobe"), "1")
                vmcase.vgpuctl("enable-vfs", self.pf.address, self.total)
                self.assertVfs(self.total)

    def test_killed_while_it_creates(self):
        vmcase.drop_in("restart", "[Unit]\nStartLimitIntervalSec=0\n")
        vmcase.vgpuctl("enable-vfs", self.pf.address, self.total)
        for number in range(self.total):
            with self.subTest(number=number), vmcase.Uevents() as events:
                pid = vmcase.main_pid()
                create = ("Create", "ssa{sv}", self.pf.address, "vf", {"wait": True})
                answers = [self.bus.begin(*vmcase.MANAGER, *create) for _ in range(self.total)]
                self.bus.bus.flush()
                for _ in range(number):
                    events.wait(ACTION="bind", SUBSYSTEM="pci")
                self.kill(pid, answers, 20)
                objects = self.bus.until(
                    lambda objects: not objects.jobs
                    and objects.gpus.get(self.pf.address, {}).get("State") == "ready"
                )
                slots = {item["Slot"]: uuid for uuid, item in objects.instances.items()}
                print("answers:", [answer.word() for answer in answers], "there:", sorted(slots))
                for vf in self.assertVfs(self.total):
                    if vf.address in slots:
                        self.assertHandedOut(slots[vf.address])
                        self.assertEqual(objects.instances[slots[vf.address]]["Origin"], "vgpud")
                    else:
                        self.assertLetGo(vf)
                self.assertEqual(vmcase.records(), sorted(slots.values()))
                for answer in answers:
                    if answer.error is None:
                        self.assertIn(answer.value[1][0]["uuid"], objects.instances)
                if slots:
                    vmcase.vgpuctl("destroy", *slots.values())


vmcase.main()
