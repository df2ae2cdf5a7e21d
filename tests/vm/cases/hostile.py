# SPDX-License-Identifier: LGPL-2.1-or-later
"""Users without any authority, with the real bus, polkitd and systemd: vgpud stays the same process, root is answered,
and no device of another program is touched. tests/hostile has the same threats with all their variants."""

import contextlib
import os
import pwd
import select
import signal
import time
import uuid as uuids

import raw
import vmcase

BUS = "unix:path=/run/dbus/system_bus_socket"
TYPE = "mdpy-xga"
MIB = 1 << 20
DENIED = "org.freedesktop.DBus.Error.AccessDenied"
FLOOD_SEC = 10
RESIDENT_MIB = 64  # limit of vgpud's memory


class Hostile(vmcase.VgpudCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.pid = vmcase.main_pid()
        cls.alice = pwd.getpwnam("alice").pw_uid
        cls.nobody = pwd.getpwnam("nobody").pw_uid
        with contextlib.closing(raw.Raw(BUS)) as client:
            cls.owner = client.ask_bus("GetNameOwner", raw.Body().s(raw.SERVICE)).text()

    def tearDown(self):
        super().tearDown()
        self.assertEqual(vmcase.main_pid(), self.pid)
        self.assertEqual(vmcase.run("systemctl", "is-active", "vgpud").out, "active\n")
        peak = vmcase.field(f"/proc/{self.pid}/status", "VmHWM")
        print(f"{self.id().rpartition('.')[2]}: the same process {self.pid}, at most {peak >> 10} MiB")
        self.assertLess(peak >> 10, RESIDENT_MIB)

    def raw(self, uid, fds=False):
        client = raw.Raw(BUS, uid, fds)
        self.addCleanup(client.close)
        return client

    def assertRootIsAnswered(self):  # pylint: disable=invalid-name
        """Check that root's call is served; return the seconds that the call took."""
        began = time.monotonic()
        vmcase.vgpuctl("list")
        return time.monotonic() - began

    def test_1_long_texts(self):
        client = self.raw(self.alice)
        long = "x" * (30 * MIB)
        for member, body in (
            ("Place", raw.Body().s(long).options()),
            ("Create", raw.Body().s("").s(long).options()),
            ("Create", raw.Body().s("").s(TYPE).options(name=long)),
        ):
            answer = client.ask(member, body, seconds=vmcase.DEADLINE_SEC)
            self.assertIsNotNone(answer.error)
            self.assertLess(len(answer.text()), 4096)

    def test_2_file_descriptors(self):
        client = self.raw(self.alice, fds=True)
        null = os.open("/dev/null", os.O_RDONLY)
        self.addCleanup(os.close, null)
        before = len(os.listdir(f"/proc/{self.pid}/fd"))
        for target in (raw.SERVICE, self.owner):
            for _ in range(16):
                serial = client.next()
                body = raw.Body().s("").s(TYPE).options()
                client.send(raw.call(serial, "Create", body, destination=target, n_fds=16), [null] * 16)
                self.assertEqual(client.answer(serial).error, DENIED)
        self.assertLess(len(os.listdir(f"/proc/{self.pid}/fd")), before + 16)

    def test_3_calls_that_wait_for_polkit(self):
        polkit = vmcase.main_pid("polkit.service")
        os.kill(polkit, signal.SIGSTOP)
        self.addCleanup(os.kill, polkit, signal.SIGCONT)
        for size in (30 * MIB, 100_000):
            client = self.raw(self.alice)
            for _ in range(2 if size > MIB else 120):
                body = raw.Body().s("").s(TYPE).options(parent="y" * size)
                client.send(raw.call(client.next(), "Create", body, raw.NO_REPLY))
            self.assertIsNone(client.ask("GetGpu", raw.Body().s("mdpy").options(), vmcase.DEADLINE_SEC).error)
        self.assertRootIsAnswered()
        uuid = self.create(TYPE)
        self.destroy(uuid)

    def test_4_flood(self):
        """Create without reply, from two users, while root works."""
        until = time.monotonic() + FLOOD_SEC

        def calls(client):
            body = raw.Body().s("").s(TYPE).options(name="x")
            return b"".join(raw.call(client.next(), "Create", body, raw.NO_REPLY) for _ in range(500))

        floods = [raw.flood(BUS, uid, calls, until) for uid in (self.alice, self.nobody)]
        seconds = []
        while time.monotonic() < until - 1:
            seconds.append(self.assertRootIsAnswered())
        for pid in floods:
            os.waitpid(pid, 0)
        print(
            f"vgpuctl list of root: at most {max(seconds):.2f} s of {len(seconds)} calls;"
            f" afterwards {self.assertRootIsAnswered():.2f} s"
        )
        self.assertEqual(vmcase.devices(), {})

    def test_5_forged_signals(self):
        client = self.raw(self.alice)
        monitor = vmcase.start("vgpuctl", "--json", "monitor")
        self.addCleanup(vmcase.finish, monitor)
        self.addCleanup(monitor.terminate)
        self.assertIn("daemon-present", monitor.stdout.readline())
        for target in (raw.SERVICE, self.owner):
            for name in (raw.SERVICE, self.owner):
                fields = {
                    raw.PATH: "/org/freedesktop/DBus",
                    raw.INTERFACE: "org.freedesktop.DBus",
                    raw.MEMBER: "NameOwnerChanged",
                    raw.DESTINATION: target,
                }
                body = raw.Body().s(name).s(name).s("")
                client.send(raw.message(raw.SIGNAL, client.next(), fields, body))
        # A broadcast reaches every listener, including vgpuctl monitor.
        fields = {raw.PATH: raw.ROOT, raw.INTERFACE: raw.MANAGER, raw.MEMBER: "JobRemoved"}
        body = raw.Body().u(4711).o(f"{raw.ROOT}/job/4711").s("failed").s("").options()
        client.send(raw.message(raw.SIGNAL, client.next(), fields, body))
        self.assertIsNotNone(client.ask_bus("GetId"))
        uuid = self.create(TYPE)
        seen = ""
        while uuid not in seen:
            seen += monitor.stdout.readline()
        self.assertNotIn("4711", seen)
        self.destroy(uuid)


class Waiting(vmcase.VgpudCase):
    """vgpud is killed while a create waits in the queue. The job has written nothing, so a device with its UUID was made by
    another program."""

    drivers = ("mdpy",)

    def test_8_a_waiting_job(self):
        first, pid = self.create_with_writer(TYPE, "mdpy")
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(self.go_on, pid)
        waiting = str(uuids.uuid4())
        answers = [
            self.bus.begin(*vmcase.MANAGER, "Destroy", "sa{sv}", first, {"wait": True}),
            self.bus.begin(*vmcase.MANAGER, "Create", "ssa{sv}", "mdpy", TYPE, {"wait": True, "uuid": waiting}),
        ]
        self.bus.until(lambda objects: len(objects.jobs) == 2)
        killed = vmcase.main_pid()
        ended = os.pidfd_open(killed)
        os.kill(killed, signal.SIGKILL)
        self.assertTrue(select.select([ended], [], [], vmcase.DEADLINE_SEC)[0])
        os.close(ended)
        self.bus.wait_answers(answers)
        self.go_on(pid)
        vmcase.create(TYPE, waiting)
        vmcase.run("systemctl", "start", "vgpud")
        objects = self.bus.until(lambda objects: waiting in objects.instances and objects.ready("mdpy"))
        self.assertEqual(objects.instances[waiting]["Origin"], "foreign")
        vmcase.vgpuctl("rescan", "mdpy")
        self.assertIn(waiting, vmcase.devices())
        self.assertNotIn(waiting, vmcase.records())

    @staticmethod
    def go_on(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


vmcase.main()
