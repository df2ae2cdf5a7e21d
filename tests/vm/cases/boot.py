# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reboots of the guest: vgpud starts the definitions with autostart, and only then systemd reaches vgpu-ready.target.
If a driver is missing, systemd reaches the target at the deadline, and vgpud names the missing definition."""

import json
import shutil

import vmcase
from vmdefine import CONFIG, DEGRADED, READY, UNITS, Defined

MODULES = vmcase.Path("/etc/modules-load.d/vm.conf")
LATE_SEC = 20
DEADLINE_SEC = 10
DEGRADED_STATUS = 9  # of vgpuctl
POOL = "[gpu mbochs]\npool=desks\n"

# Loads a driver when vgpud has been running for a while.
LATE = f"""
[Unit]
After=vgpud.service
[Service]
ExecStart=sh -c 'sleep {LATE_SEC}; exec modprobe mdpy'
[Install]
WantedBy=multi-user.target
"""

# Stands for a service that starts virtual machines: records the instances at the start of the unit.
WITNESS = """
[Unit]
Wants=vgpu-ready.target
After=vgpu-ready.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=sh -c 'vgpuctl --json list >/run/witness.json; ls /sys/bus/mdev/devices >/run/witness'
[Install]
WantedBy=multi-user.target
"""


def enable(unit, text):
    (UNITS / unit).write_text(text, encoding="utf-8")
    vmcase.run("systemctl", "enable", unit)


def moment(unit, name="ActiveEnter"):
    """Seconds since the boot at which a unit changed."""
    text = vmcase.run("systemctl", "show", "--value", "-p", f"{name}TimestampMonotonic", unit).out
    return int(text) / 1e6


class Witnessed(Defined):
    def witnessed(self):
        """The UUIDs of the instances at the start of the unit after the target, which vgpud and the kernel both showed."""
        listed = json.loads(vmcase.Path("/run/witness.json").read_text(encoding="utf-8"))
        shown = {instance["uuid"] for instance in listed["instances"]}
        self.assertEqual(shown, set(vmcase.Path("/run/witness").read_text(encoding="ascii").split()))
        return shown

    def assertOrder(self, *moments):  # pylint: disable=invalid-name
        self.assertEqual(list(moments), sorted(moments))
        self.assertNotIn(0, moments)


class Complete(Witnessed, vmcase.RebootCase):
    """One of the drivers is loaded late."""

    @classmethod
    def before_reboot(cls):
        CONFIG.parent.mkdir(exist_ok=True)
        CONFIG.write_text(f"[ready]\ntimeout={vmcase.DEADLINE_SEC:.0f}s\n{POOL}", encoding="utf-8")
        vmcase.load(*vmcase.SAMPLES)
        vmcase.run("systemctl", "enable", "--now", "vgpud.service")
        late = vmcase.vgpuctl("define", "mdpy-xga", "--gpu", "mdpy", "--name", "late", "--autostart").out
        uuids = [
            late,
            vmcase.vgpuctl("define", "mbochs-small", "--pool", "desks", "--autostart").out,
            vmcase.vgpuctl("create", "mbochs-large", "--gpu", "mbochs", "--keep", "--autostart").out,
            vmcase.vgpuctl("create", "mtty-1", "--name", "stopped", "--keep").out,
        ]
        vmcase.vgpuctl("stop", "stopped")
        vmcase.vgpuctl("autostart", "stopped", "on")
        manual = vmcase.vgpuctl("create", "mtty-2", "--name", "manual", "--keep").out
        vmcase.vgpuctl("create", "mtty-1")
        MODULES.write_text("mbochs\nmtty\n", encoding="ascii")
        enable("late.service", LATE)
        enable("witness.service", WITNESS)
        return {"late": late.strip(), "uuids": [uuid.strip() for uuid in uuids], "manual": manual.strip()}

    def test_the_definitions_are_back(self):
        uuids = set(self.before["uuids"])
        self.assertEqual(self.witnessed(), uuids)
        self.assertEqual(vmcase.devices().keys(), uuids)
        self.assertEqual(
            self.states(), {self.before["manual"]: "stopped", **{uuid: "active" for uuid in uuids}}
        )
        self.assertEqual((self.readiness(), self.missing()), ("ready", []))
        self.assertEqual(sum(entry.get("MESSAGE_ID") == READY for entry in vmcase.journal()), 1)
        vmcase.vgpuctl("wait", "--ready")

    def test_the_target_waits_for_the_late_driver(self):
        loaded = moment("late.service", "ExecMainExit")
        self.assertGreaterEqual(loaded - moment("vgpud.service"), LATE_SEC)
        self.assertOrder(
            moment("vgpud.service"), loaded, moment("vgpu-ready.target"), moment("witness.service", "ExecMainStart")
        )

    def test_libvirt_is_not_ordered_after_the_target(self):
        for unit in ("libvirtd.service", "virtqemud.service", "libvirt-guests.service", "vgpud.service"):
            before = vmcase.run("systemctl", "list-dependencies", "--after", "--plain", unit).out
            self.assertNotIn("vgpu-ready.target", before)
            self.assertNotIn("vgpud-ready.service", before)


class Incomplete(Witnessed):
    """One of the drivers is not loaded."""

    @staticmethod
    def leave_out():
        vmcase.run("systemctl", "disable", "late.service")
        CONFIG.write_text(f"[ready]\ntimeout={DEADLINE_SEC}s\n{POOL}", encoding="utf-8")

    def test_the_target_is_reached_at_its_deadline(self):
        self.assertOrder(
            moment("vgpud.service", "InactiveExit") + DEADLINE_SEC,
            moment("vgpu-ready.target"),
            moment("witness.service", "ExecMainStart"),
        )
        uuids = set(self.before["uuids"]) - {self.before["late"]}
        self.assertLessEqual(self.witnessed(), uuids)
        # On a slow machine, vgpud may have created some instances after the deadline.
        self.bus.until(lambda objects: not objects.jobs and objects.instances.keys() == uuids)
        self.assertEqual(vmcase.devices().keys(), uuids)

    def test_vgpud_says_what_is_missing(self):
        late = self.before["late"]
        self.assertEqual(self.readiness(), "degraded")
        [missing] = self.missing()
        self.assertIn(late, missing)
        rows = {row["uuid"]: row for row in self.rows()}
        self.assertEqual(
            {uuid: row["state"] for uuid, row in rows.items()},
            {
                self.before["manual"]: "stopped",
                **{uuid: "waiting" if uuid == late else "active" for uuid in self.before["uuids"]},
            },
        )
        self.assertEqual({uuid for uuid, row in rows.items() if row["reason"]}, {late})
        [entry] = [entry for entry in vmcase.journal() if entry.get("MESSAGE_ID") == DEGRADED]
        self.assertIn(late, entry["MESSAGE"])
        vmcase.vgpuctl("wait", "--ready", status=DEGRADED_STATUS)
        for argv in (("list", "--all"), ()):
            shown = vmcase.vgpuctl(*argv)
            self.assertIn(rows[late]["reason"], shown.out + shown.err)

    def test_the_driver_comes_after_all(self):
        vmcase.load("mdpy")
        self.until_readiness("ready")
        uuids = self.before["uuids"]
        self.assertEqual(vmcase.devices().keys(), set(uuids))
        self.assertEqual(self.missing(), [])


class IncompleteStart(Incomplete, vmcase.Case):
    """The services start as at a boot: with an empty /run and without devices."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.before = vmcase.kept_before()
        cls.leave_out()
        vmcase.run("systemctl", "stop", "witness.service", "vgpu-ready.target", "vgpud-ready.service", "vgpud.service")
        vmcase.unload(*vmcase.SAMPLES)
        shutil.rmtree("/run/vgpud")
        vmcase.load(*MODULES.read_text(encoding="ascii").split())
        cls.bus = cls.enterClassContext(vmcase.Bus()).listen()
        vmcase.run("systemctl", "start", "witness.service")


class IncompleteBoot(Incomplete, vmcase.RebootCase):
    nightly = True

    @classmethod
    def before_reboot(cls):
        cls.leave_out()
        return cls.before


vmcase.main()
