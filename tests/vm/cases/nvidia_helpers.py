# SPDX-License-Identifier: LGPL-2.1-or-later
"""The units that vgpud starts for NVIDIA's GPUs, started from within vgpud's sandbox as vgpud does. The guest has no
such GPU: a script replaces NVIDIA's sriov-manage, and NVIDIA's library is missing."""

import vmcase

UNIT = vmcase.Path("/lib/systemd/system/vgpud.service")
PROBE = vmcase.Path("/run/systemd/system/probe.service")
SCRIPT = vmcase.Path("/run/probe-script")
OUTPUT = vmcase.Path("/run/probe-output")
MANAGE = vmcase.Path("/usr/lib/nvidia/sriov-manage")
CALLED = vmcase.Path("/run/sriov-manage-called")
ENABLE = "vgpud-sriov@enable-0000:41:00.0.service"
DISABLE = "vgpud-sriov@disable-0000:41:00.0.service"
# Settings of a service with readiness protocol, activation and folders.
OF_THE_DAEMON = ("BusName=", "Restart=", "RuntimeDirectory", "StateDirectory", "Type=", "WatchdogSec=")


class Helpers(vmcase.Case):
    def sandboxed(self, *commands):
        """Run shell commands with all restrictions of vgpud.service and the environment of vgpud's helpers; return the
        output."""
        lines = [line for line in UNIT.read_text(encoding="utf-8").splitlines() if not line.startswith(OF_THE_DAEMON)]
        command = f"ExecStart=/usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C /bin/sh {SCRIPT}"
        lines = [command if line.startswith("ExecStart=") else line for line in lines]
        at = lines.index("[Service]") + 1
        lines[at:at] = ["Type=oneshot", f"StandardOutput=truncate:{OUTPUT}", f"StandardError=append:{OUTPUT}"]
        PROBE.write_text("\n".join(lines) + "\n", encoding="utf-8")
        SCRIPT.write_text("\n".join(commands) + "\n", encoding="utf-8")
        vmcase.run("systemctl", "daemon-reload")
        vmcase.run("systemctl", "start", "probe.service")
        return OUTPUT.read_text(encoding="utf-8")

    def install(self, *lines):
        MANAGE.parent.mkdir(parents=True, exist_ok=True)
        MANAGE.write_text("\n".join(("#!/bin/bash", *lines)) + "\n", encoding="utf-8")
        MANAGE.chmod(0o755)
        self.addCleanup(MANAGE.unlink)
        self.addCleanup(CALLED.unlink, missing_ok=True)

    def test_not_installed(self):
        said = self.sandboxed(
            f"systemctl start --quiet --no-ask-password {ENABLE} 2>/dev/null; echo $?",
            f"systemctl show --value --property=LoadState {ENABLE}",
            f"systemctl show --value --property=ExecMainStatus {ENABLE}",
            f"systemctl status --no-pager --full --output=cat --lines=12 {ENABLE}; true",
        )
        print(said)
        self.assertEqual(said.splitlines()[:3], ["1", "loaded", "69"])
        # vgpud shows the part below the empty line.
        self.assertIn(str(MANAGE), said.split("\n\n", 1)[1])

    def test_runs(self):
        self.install(f'echo "$*" >>{CALLED}', "[ -w /sys/bus/pci/drivers_probe ] || exit 3", "[ -e /proc/modules ]")
        said = self.sandboxed(
            f"systemctl start --quiet --no-ask-password {ENABLE}; echo $?",
            f"systemctl start --quiet --no-ask-password {DISABLE}; echo $?",
        )
        self.assertEqual(said, "0\n0\n")
        self.assertEqual(CALLED.read_text(encoding="utf-8"), "-e 0000:41:00.0\n-d 0000:41:00.0\n")

    def test_fails(self):
        """The unit runs once per attempt of vgpud, and vgpud shows the script's own words."""
        self.install('echo "Cannot obtain unbindLock for $2"', "exit 1")
        said = self.sandboxed(
            *[f"systemctl start --quiet --no-ask-password {ENABLE} 2>/dev/null; echo $?"] * 6,
            f"systemctl show --value --property=ExecMainStatus {ENABLE}",
            f"systemctl show --value --property=Result {ENABLE}",
            f"systemctl status --no-pager --full --output=cat --lines=12 {ENABLE}; true",
        )
        print(said)
        self.assertEqual(said.splitlines()[:8], ["1"] * 7 + ["exit-code"])
        self.assertIn("Cannot obtain unbindLock for 0000:41:00.0", said.split("\n\n", 1)[1])

    def test_modes(self):
        unit = "vgpud-nvml@set\\x2dmig-0000:41:00.0-1.service"
        said = self.sandboxed(
            f"systemctl start --quiet --no-ask-password '{unit}' 2>/dev/null; echo $?",
            f"systemctl show --value --property=ExecMainCode '{unit}'",
            f"systemctl show --value --property=ExecMainStatus '{unit}'",
            "/usr/libexec/vgpud-nvml query 0000:41:00.0; echo $?",
        )
        self.assertEqual(said, "1\n1\n100\n100\n")  # the library is not there

    def test_no_such_unit(self):
        said = self.sandboxed(
            "systemctl start --quiet --no-ask-password nobody@x.service 2>/dev/null; echo $?",
            "systemctl show --value --property=LoadState nobody@x.service",
        )
        self.assertEqual(said, "5\nnot-found\n")

    def test_verify(self):
        for name in ("vgpud-sriov@enable.service", "vgpud-nvml@x.service"):
            self.assertEqual(vmcase.run("systemd-analyze", "verify", "--man=no", name).err.strip(), "")


vmcase.main()
