# SPDX-License-Identifier: LGPL-2.1-or-later
"""vgpud as a service: stopped, started, activated, restarted, in its sandbox, in the journal, and idle."""

import os
import re
import select
import time

import vmcase

UUID = "11111111-2222-4333-8444-555555555555"
CAP_DAC_READ_SEARCH = 1 << 2
CAP_SYS_PTRACE = 1 << 19
SECCOMP_MODE_FILTER = 2
# The highest exposure of each unit, as in README's table.
UNITS = {"vgpud.service": 1.9, "vgpud-ready.service": 0.5, "vgpud-nvml@x.service": 2.0, "vgpud-sriov@x.service": 3.0}
IDLE_SEC = 5
# daemon/base/log-ids.h
CREATED = "70150578a9b843f090c75de5ee86ac7c"
DESTROYED = "bbe5d52618054bc78359866fb07d26ad"
FOREIGN = "3c1eed5f4b224169b5a6f37050bea4c7"
JOB_FAILED = "fdfcaed3e3ac4efbb83df305f5df0972"
GPU_UNSUPPORTED = "2fdf5a52af9a4e45ab3ff6b65c27f31a"
STARTED = "f4886e80b53345d0a217499683ca9bd7"


def status_fields(pid):
    text = vmcase.Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return dict(line.split(":\t", 1) for line in text.splitlines())


class Restart(vmcase.VgpudCase):
    def make(self):
        """Make instances of all kinds; return them as vgpud shows them."""
        self.create("mdpy-xga", name="desk")
        self.create("mtty-2")
        vmcase.create("mbochs-small", UUID)
        objects = self.bus.until(lambda objects: objects.instances.get(UUID, {}).get("Type"))
        self.assertEqual(
            sorted((item["Type"], item["Origin"], item["Name"]) for item in objects.instances.values()),
            [("mbochs-small", "foreign", ""), ("mdpy-xga", "vgpud", "desk"), ("mtty-2", "vgpud", "")],
        )
        return objects.instances

    def test_instances_survive_a_restart(self):
        before = self.make()
        began = time.monotonic()
        vmcase.run("systemctl", "restart", "vgpud")
        print(f"restart: {time.monotonic() - began:.2f} s")
        self.assertEqual(self.objects().instances, before)
        self.assertTruth()
        vmcase.vgpuctl("destroy", "desk")

    def test_stop_and_activation(self):
        before = self.make()
        pid = vmcase.main_pid()
        began = time.monotonic()
        vmcase.run("systemctl", "stop", "vgpud")
        print(f"stop: {time.monotonic() - began:.2f} s")
        self.assertFalse(os.path.exists(f"/proc/{pid}"))
        self.assertEqual(set(vmcase.devices()), set(before))
        self.assertEqual(vmcase.run("systemctl", "is-active", "vgpud", status=None).out, "inactive\n")
        began = time.monotonic()
        self.assertIn("desk", vmcase.vgpuctl("list", user="alice").out)
        print(f"list, with activation: {time.monotonic() - began:.2f} s")
        self.assertEqual(vmcase.run("systemctl", "is-active", "vgpud").out, "active\n")
        self.assertEqual(self.objects().instances, before)

    def test_what_changed_meanwhile(self):
        before = self.make()
        vmcase.run("systemctl", "stop", "vgpud")
        gone = next(uuid for uuid, item in before.items() if item["Name"] == "desk")
        vmcase.remove(gone)
        vmcase.create("mdpy-vga", UUID.replace("5", "6"))
        vmcase.run("systemctl", "start", "vgpud")
        objects = self.assertTruth()
        self.assertNotIn(gone, objects.instances)
        self.assertEqual(objects.instances[UUID.replace("5", "6")]["Origin"], "foreign")
        self.assertNotIn(gone, vmcase.records())
        self.create("mdpy-xga", name="desk")

    def test_systemd_starts_it_again_when_it_dies(self):
        before = self.make()
        pid = vmcase.main_pid()
        with vmcase.Bus("org.freedesktop.systemd1") as systemd:
            systemd.listen()
            systemd.call("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "Subscribe")
            vmcase.run("systemctl", "kill", "-s", "KILL", "vgpud")
            # Wait for systemd: a call to vgpud would activate the service.
            systemd.wait(
                lambda signal: signal.member == "JobRemoved" and signal.args[2:] == ["vgpud.service", "done"]
            )
        self.assertNotIn(vmcase.main_pid(), (0, pid))
        self.assertEqual(self.objects().instances, before)

    def test_out_of_memory(self):
        """vgpud is killed when it exceeds its memory limit; the instances stay, and the next vgpud shows them."""
        before = self.make()
        ended = os.pidfd_open(vmcase.main_pid())
        vmcase.run("systemctl", "set-property", "--runtime", "vgpud.service", "MemoryMax=1M")
        self.assertTrue(select.select([ended], [], [], vmcase.DEADLINE_SEC)[0])
        os.close(ended)
        vmcase.run("systemctl", "revert", "vgpud.service")
        vmcase.run("systemctl", "start", "vgpud")
        self.assertEqual(self.objects().instances, before)
        self.assertEqual(set(vmcase.devices()), set(before))

    def test_there_is_one(self):
        pid = vmcase.main_pid()
        self.assertTrue(vmcase.run("/usr/libexec/vgpud", status=1).err)
        self.assertEqual(vmcase.main_pid(), pid)
        self.assertTrue(self.objects().ready(*self.drivers))


class Unit(vmcase.VgpudCase):
    def test_the_sandbox(self):
        pid = vmcase.main_pid()
        _, writer = self.create_with_writer("mdpy-xga", "mdpy")
        for name, number in (("vgpud-write", writer), ("vgpud", pid)):
            fields = status_fields(number)
            for key in ("CapBnd", "CapPrm", "CapEff"):
                self.assertEqual(int(fields[key], 16), CAP_DAC_READ_SEARCH | CAP_SYS_PTRACE, f"{name} {key}")
            self.assertEqual(int(fields["CapInh"], 16), 0)
            self.assertEqual(int(fields["CapAmb"], 16), 0)
            self.assertEqual(int(fields["Seccomp"]), SECCOMP_MODE_FILTER)
            self.assertEqual(int(fields["NoNewPrivs"]), 1)
            mounts = {
                line.split()[4]: line.split()[5].split(",")
                for line in vmcase.Path(f"/proc/{number}/mountinfo").read_text(encoding="utf-8").splitlines()
            }
            self.assertIn("ro", mounts["/"])
            self.assertIn("ro", mounts["/sys"])
            self.assertIn("rw", mounts["/sys/devices"])
            self.assertIn("rw", mounts["/run/vgpud"])
        root = vmcase.Path(f"/proc/{pid}/root")
        # The sandbox has modules.alias, which names the variant of vfio-pci for each device, but hides the modules.
        aliases = (root / "tmp/modules/modules.alias").read_text(encoding="utf-8")
        self.assertIn("alias vfio_pci:", aliases)
        self.assertEqual(os.listdir(root / "usr/lib/modules"), [])

    def test_limits(self):
        group = vmcase.Path("/sys/fs/cgroup/system.slice/vgpud.service")
        self.assertEqual((group / "memory.max").read_text(encoding="ascii"), f"{2 << 30}\n")
        self.assertEqual((group / "pids.max").read_text(encoding="ascii"), "4096\n")
        limits = vmcase.Path(f"/proc/{vmcase.main_pid()}/limits").read_text(encoding="ascii")
        self.assertEqual(re.search(r"Max open files +(\d+) +(\d+)", limits).groups(), ("32768", "32768"))

    def test_security_score(self):
        for unit, limit in UNITS.items():
            with self.subTest(unit=unit):
                told = vmcase.run("systemd-analyze", "security", "--no-pager", unit).out
                score = re.search(r"Overall exposure level for \S+: ([0-9.]+)", told)
                print(score.group(0))
                self.assertLessEqual(float(score.group(1)), limit)

    def test_verify(self):
        for unit in UNITS:
            self.assertEqual(vmcase.run("systemd-analyze", "verify", "--man=no", unit).err.strip(), "")

    def test_journal(self):
        uuid = self.create("mdpy-xga")
        with self.assertBusError(vmcase.error_name("NoCapacity")):
            self.create("mdpy-xga", "mdpy", count=vmcase.dbus.UInt32(4))
        self.destroy(uuid)
        vmcase.create("mtty-1", UUID)
        self.bus.until(lambda objects: UUID in objects.instances)
        entries = [
            entry
            for entry in vmcase.journal()
            if "MESSAGE_ID" in entry and entry.get("_SYSTEMD_UNIT") == "vgpud.service"
        ]
        by_id = {entry["MESSAGE_ID"]: entry for entry in entries}
        self.assertLessEqual({STARTED, GPU_UNSUPPORTED, CREATED, DESTROYED, JOB_FAILED, FOREIGN}, set(by_id))
        created = by_id[CREATED]
        self.assertEqual(
            (created["VGPUD_INSTANCE"], created["VGPUD_GPU"], created["VGPUD_REQUESTER"]), (uuid, "mdpy", "0")
        )
        self.assertEqual(by_id[FOREIGN]["VGPUD_INSTANCE"], UUID)
        job = by_id[JOB_FAILED]["VGPUD_JOB"]
        self.assertEqual(job, str(int(job)))

        for message_id, name in ((CREATED, uuid), (DESTROYED, uuid), (FOREIGN, UUID), (JOB_FAILED, job), (STARTED, "")):
            explained = vmcase.run(
                "journalctl", "--no-pager", "-x", "-u", "vgpud", f"MESSAGE_ID={message_id}"
            ).out
            self.assertRegex(explained, f"Subject: .*{name}")
            # The catalogue's text has no unknown field.
            self.assertNotIn("@VGPUD", explained)
        vmcase.vgpuctl("destroy", "--foreign", UUID)

    def test_nothing_is_left_open(self):
        """The number of open files and threads does not grow with the work done."""

        def used():
            pid = vmcase.main_pid()
            return len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task"))

        self.destroy(self.create("mdpy-xga"))
        before = used()
        for _ in range(20):
            self.destroy(self.create("mdpy-xga"))
            with self.assertBusError(vmcase.error_name("NoSuchType")):
                self.create("mdpy-9")
        after = used()
        self.assertLessEqual(after[0], before[0])
        self.assertLessEqual(after[1], before[1])
        print("files and threads:", after)


class Idle(vmcase.VgpudCase):
    def switches(self):
        """The number of voluntary context switches per thread; each wake-up adds one."""
        pid = vmcase.main_pid()
        return {
            task: int(status_fields(f"{pid}/task/{task}")["voluntary_ctxt_switches"])
            for task in os.listdir(f"/proc/{pid}/task")
        }

    def test_no_wake_ups(self):
        # A restart begins a new interval of the watchdog: the next wake-up for it is 90 s away.
        vmcase.run("systemctl", "restart", "vgpud")
        _, writer = self.create_with_writer("mdpy-xga", "mdpy")
        ended = os.pidfd_open(writer)
        # vgpud ends the idle vgpud-write of a lane after a few seconds.
        self.assertTrue(select.select([ended], [], [], vmcase.DEADLINE_SEC)[0])
        os.close(ended)
        vmcase.run("udevadm", "settle")
        self.objects()
        before = self.switches()
        # The absence of wake-ups shows only after a time.
        select.select([], [], [], IDLE_SEC)
        after = self.switches()
        print(f"context switches in {IDLE_SEC} s: {sum(after.values()) - sum(before.values())}")
        self.assertEqual(after, before)


vmcase.main()
