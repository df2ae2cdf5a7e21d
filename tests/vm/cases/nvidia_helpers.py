# SPDX-License-Identifier: LGPL-2.1-or-later
"""The units that vgpud starts for NVIDIA's GPUs, started from within vgpud's sandbox as vgpud does. The guest has no
NVIDIA GPU: a script replaces NVIDIA's sriov-manage, and NVIDIA's library is missing. An NVMe controller has the VFs."""

import vmcase

HARDWARE = "nvme"

UNITS = vmcase.Path("/lib/systemd/system")
PROBE = vmcase.Path("/run/systemd/system/probe.service")
SCRIPT = vmcase.Path("/run/probe-script")
OUTPUT = vmcase.Path("/run/probe-output")
MANAGE = vmcase.Path("/usr/lib/nvidia/sriov-manage")
CALLED = vmcase.Path("/run/sriov-manage-called")
ENABLE = "vgpud-sriov@enable-0000:41:00.0.service"
DISABLE = "vgpud-sriov@disable-0000:41:00.0.service"
# Settings of a unit that sandboxed() leaves out: they belong to a long-running service.
OF_THE_SERVICE = ("BusName=", "Restart=", "RuntimeDirectory", "Standard", "StateDirectory", "Type=", "WatchdogSec=")
# Prints for each node whether it can be opened.
OPEN = vmcase.Path("/run/probe-open")
OPEN_SOURCE = """
import errno, os, sys
for node in sys.argv[1:]:
    try:
        os.close(os.open(node, os.O_RDONLY | os.O_NONBLOCK))
        print(node, "opened")
    except OSError as error:
        print(node, errno.errorcode[error.errno])
"""
# A node with NVIDIA's major number, for which the guest has no driver.
NODE = "/dev/nvidia77"
MAKE_NODE = f"mknod {NODE} c 195 77 && chown root:video {NODE} && chmod 660 {NODE}"
# The steps of a script like NVIDIA's on the NVMe controller $2.
STEPS = f"""
set -e
device=/sys/bus/pci/devices/$2
modprobe pci-pf-stub
echo 0 >$device/sriov_drivers_autoprobe
echo pci-pf-stub >$device/driver_override
echo $2 >/sys/bus/pci/drivers/nvme/unbind
echo $2 >/sys/bus/pci/drivers_probe
echo 2 >$device/sriov_numvfs
cat $device/sriov_numvfs >>{CALLED}
echo 0 >$device/sriov_numvfs
echo 1 >$device/sriov_drivers_autoprobe
echo >$device/driver_override
echo $2 >/sys/bus/pci/drivers/pci-pf-stub/unbind
echo $2 >/sys/bus/pci/drivers_probe
modprobe -r pci-pf-stub
{MAKE_NODE}
rm {NODE}
lspci -vv -s $2 | grep -qP 'Non-Vol\\w+'
kill -0 1
"""


class Helpers(vmcase.Case):
    def sandboxed(self, *commands, unit="vgpud.service"):
        """Run shell commands with all restrictions of the unit and the environment of vgpud's helpers; return the
        output."""
        text = (UNITS / unit).read_text(encoding="utf-8")
        lines = [line for line in text.splitlines() if not line.startswith(OF_THE_SERVICE)]
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
        # vgpud shows the part of the status below the first empty line.
        self.assertIn(str(MANAGE), said.split("\n\n", 1)[1])

    def test_runs(self):
        self.install(f'echo "$*" >>{CALLED}', "[ -w /sys/bus/pci/drivers_probe ] || exit 3", "[ -e /proc/modules ]")
        said = self.sandboxed(
            f"systemctl start --quiet --no-ask-password {ENABLE}; echo $?",
            f"systemctl start --quiet --no-ask-password {DISABLE}; echo $?",
        )
        self.assertEqual(said, "0\n0\n")
        self.assertEqual(CALLED.read_text(encoding="utf-8"), "-e 0000:41:00.0\n-d 0000:41:00.0\n")

    def test_can_do_its_work(self):
        """NVIDIA's script binds drivers, loads a module, enables VFs, makes nodes and calls other programs."""
        address = vmcase.plug(HARDWARE)
        self.install(*STEPS.splitlines())
        unit = f"vgpud-sriov@enable-{address}.service"
        done = vmcase.run("systemctl", "start", unit, status=None)
        self.assertEqual(done.status, 0, vmcase.run("systemctl", "status", "-n50", unit, status=None).out)
        self.assertEqual(CALLED.read_text(encoding="utf-8"), "2\n")
        self.assertEqual((vmcase.PCI_DEVICES / address / "driver").resolve().name, "nvme")
        vmcase.unplug(HARDWARE, address)

    def test_devices(self):
        """Each unit opens only the devices that it needs."""
        OPEN.write_text(OPEN_SOURCE, encoding="utf-8")
        look = f"python3 {OPEN} /dev/null /dev/vda /dev/fuse /dev/vfio/vfio"
        refused = "/dev/null opened\n/dev/vda EPERM\n/dev/fuse EPERM\n/dev/vfio/vfio EPERM\n"
        self.assertEqual(self.sandboxed(look), refused)
        self.assertEqual(self.sandboxed(f"({MAKE_NODE}) 2>/dev/null || echo none"), "none\n")
        for unit in ("vgpud-nvml@.service", "vgpud-sriov@.service"):
            with self.subTest(unit=unit):
                commands = [
                    look,
                    MAKE_NODE,
                    f"python3 {OPEN} {NODE}",
                    f"rm {NODE}",
                    "mknod /dev/fuse2 c 10 229 2>/dev/null || echo none",
                    "modprobe pci-pf-stub 2>/dev/null || echo none",
                ]
                # ENXIO: the sandbox allowed the open, and the kernel found no driver.
                told = f"{refused}{NODE} ENXIO\nnone\n" + ("none\n" if "nvml" in unit else "")
                self.assertEqual(self.sandboxed(*commands, unit=unit), told)
        vmcase.run("modprobe", "-r", "pci-pf-stub", status=None)

    def test_fails(self):
        """The unit can be started six times in a row, one more than systemd's usual limit, and its status contains the
        script's own words, which vgpud shows."""
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


vmcase.main()
