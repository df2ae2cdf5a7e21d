#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The program around the models: exit status, signals, and cleaning up in every case."""

import os
import pathlib
import signal
import subprocess
import tempfile
import unittest

import simhost

READY = "echo ready; exec sleep 1000"
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# Runs a command in a chroot that has the machine's own folders, and a file "inside" that shows where the command runs.
# $0 is an empty directory. If $1 is --rbind, the root directory of the chroot is a mount point; otherwise $1 is empty.
CHROOT = """
set -e
mount -t tmpfs none "$0"
mkdir "$0/root"
touch "$0/root/inside"
for path in /*; do
    if [ -L "$path" ]; then
        cp -P "$path" "$0/root/"
    elif [ -d "$path" ]; then
        mkdir "$0/root$path"
        mount --rbind "$path" "$0/root$path"
    fi
done
[ -z "$1" ] || mount "$1" "$0/root" "$0/root"
shift
exec chroot "$0/root" "$@"
"""


class HostTest(unittest.TestCase):
    def setUp(self):
        self.temporary = self.enterContext(tempfile.TemporaryDirectory())
        self.environment = dict(os.environ, TMPDIR=self.temporary)
        self.mode = ["--namespace"] if simhost.use_namespace() else []

    def tearDown(self):
        self.assertEqual(os.listdir(self.temporary), [])
        self.assertNotIn(self.temporary, pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8"))

    def arguments(self, *command, options=("--model=gvt-g",)):
        return [simhost.program(), *self.mode, *options, "--", *command]

    def run_host(self, *command, **options):
        return subprocess.run(
            self.arguments(*command, **options),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def start_host(self, *command):
        """Start a host, and wait until its command says "ready". Reset the signals, because a background job of a shell
        inherits an ignored SIGINT."""
        def reset():
            for number in SIGNALS:
                signal.signal(number, signal.SIG_DFL)

        process = subprocess.Popen(  # pylint: disable=subprocess-popen-preexec-fn
            self.arguments(*command), env=self.environment, stdout=subprocess.PIPE, text=True, preexec_fn=reset)
        self.addCleanup(process.stdout.close)
        self.assertEqual(process.stdout.readline(), "ready\n")
        return process

    def test_exit_status(self):
        self.assertEqual(self.run_host("true").returncode, 0)
        self.assertEqual(self.run_host("sh", "-c", "exit 42").returncode, 42)
        self.assertEqual(self.run_host("sh", "-c", "kill -KILL $$").returncode, 128 + signal.SIGKILL)
        self.assertEqual(self.run_host("/nonexistent").returncode, 127)
        self.assertEqual(self.run_host("/").returncode, 126)

    def test_streams_and_directory(self):
        result = subprocess.run(
            self.arguments("sh", "-c", "pwd; cat; echo err >&2"),
            env=self.environment,
            cwd="/usr/share",
            input="text",
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual((result.stdout, result.stderr), ("/usr/share\ntext", "err\n"))

    def test_usage_errors(self):
        for options in (
            ["--model=nothing"],
            ["--model=gvt-g", "--model=gvt-g"],
            ["--gpus=17", "--model=scalable"],
            ["--types=x"],
            ["--fault=x"],
            ["--frobnicate"],
            ["--model=gvt-g", "--populate=8"],
        ):
            result = self.run_host("true", options=options)
            self.assertEqual(result.returncode, 1, options)
            self.assertNotEqual(result.stderr, "", options)

    def test_signals_go_to_the_command(self):
        for number in SIGNALS:
            process = self.start_host("sh", "-c", READY)
            process.send_signal(number)
            self.assertEqual(process.wait(), 128 + number)
        process = self.start_host("sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do read -r x; done")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(), 7)

    def test_killed_host(self):
        """After the host is killed, its guard process cleans up."""
        process = self.start_host("sh", "-c", READY)
        self.assertNotEqual(os.listdir(self.temporary), [])
        process.kill()
        process.wait()
        simhost.wait_until(lambda: not os.listdir(self.temporary))

    def test_processes_left_behind(self):
        """A daemon started by the command ends with the host, even if SIGTERM is ignored."""
        result = self.run_host(
            "sh", "-c", "(trap '' TERM; exec setsid sleep 1001) >/dev/null & setsid sleep 1002 >/dev/null & echo $!"
        )
        self.assertEqual(result.returncode, 0)
        self.assertFalse(os.path.exists(f"/proc/{result.stdout.strip()}"))

    def test_a_file_kept_open(self):
        result = self.run_host("sh", "-c", "cd /sys/class && exec 9</sys/bus/pci/devices/0000:00:02.0/vendor && exit 3")
        self.assertEqual(result.returncode, 3)

    def test_ctl_and_enter(self):
        control = os.path.join(self.temporary, "here")
        process = subprocess.Popen(
            [simhost.program(), *self.mode, "--model=gvt-g", f"--control={control}"],
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        lines = list(iter(process.stdout.readline, "ready\n"))
        self.addCleanup(process.stdout.close)
        self.assertIn(f"SIMHOST_CONTROL={control}\n", lines)

        def client(*words):
            return subprocess.run([simhost.program(), *words], capture_output=True, text=True, check=False)

        uuid = "aaaaaaaa-0000-4000-8000-000000000001"
        result = client("ctl", f"--control={control}", "create", "0000:00:02.0", "i915-GVTg_V5_4", uuid)
        self.assertEqual((result.returncode, result.stdout), (0, ""))
        result = client("enter", f"--control={control}", "--", "ls", "/sys/bus/mdev/devices")
        self.assertEqual((result.returncode, result.stdout), (0, uuid + "\n"))
        result = client("ctl", f"--control={control}", "events")
        self.assertEqual(len(result.stdout.splitlines()), 4)
        result = client("ctl", f"--control={control}", "remove", "nobody")
        self.assertEqual((result.returncode, result.stderr), (1, "ENODEV\n"))
        result = client("ctl", f"--control={control}", "dance")
        self.assertEqual((result.returncode, result.stderr), (1, "EINVAL: unknown command\n"))
        result = client("ctl", f"--control={control}", "create", "0000:00:02.0")
        self.assertEqual((result.returncode, result.stderr), (1, "EINVAL: usage: create PARENT TYPE UUID\n"))

        self.assertEqual(client("ctl", f"--control={control}", "quit").returncode, 0)
        self.assertEqual(process.wait(), 0)
        self.assertNotEqual(client("ctl", f"--control={control}", "events").returncode, 0)

    def test_the_machine_s_own_devices_are_not_seen(self):
        result = self.run_host("sh", "-c", "ls /sys/bus/pci/devices /dev/vfio; cat /sys/class/drm/*/uevent", options=[])
        self.assertNotIn("0000:", result.stdout)

    def test_in_a_chroot(self):
        """Package builders and rescue systems have roots that are no mount points."""
        if os.geteuid() != 0:
            self.skipTest("needs root")
        inner = "ls -d /inside /sys/class/mdev_bus/*"
        # LD_PRELOAD names umockdev's library, which must not come before the sanitizer's library in simhost itself.
        script = f"{inner}; pwd; exec env -u LD_PRELOAD $SIMHOST enter -- sh -c '{inner}; pwd'"
        for kind in ("", "--rbind"):
            with self.subTest(kind=kind), tempfile.TemporaryDirectory() as root:
                result = subprocess.run(
                    ["unshare", "--mount", "sh", "-c", CHROOT, root, kind, "env", "-C", "/usr/share"]
                    + self.arguments("sh", "-c", script),
                    env=dict(self.environment, SIMHOST=os.path.abspath(simhost.program())),
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                seen = "/inside\n/sys/class/mdev_bus/0000:00:02.0\n/usr/share\n"
                self.assertEqual((result.returncode, result.stdout), (0, 2 * seen), result.stderr)
                self.assertNotIn(root, pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8"))

    def test_without_privileges(self):
        """Any user with access to FUSE can run a host; in a namespace, the user is root there."""
        if os.geteuid() != 0:
            self.skipTest("the whole suite runs without privileges")
        os.chmod(self.temporary, 0o777)
        result = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
            + self.arguments("sh", "-c", "id -u; ls /sys/class/mdev_bus; printf %s $U >$T/create; ls /sys/bus/mdev/devices"),
            env=dict(
                self.environment,
                U="aaaaaaaa-0000-4000-8000-000000000001",
                T="/sys/class/mdev_bus/0000:00:02.0/mdev_supported_types/i915-GVTg_V5_4",
            ),
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(
            result.stdout.split(),
            ["0" if self.mode else "65534", "0000:00:02.0", "aaaaaaaa-0000-4000-8000-000000000001"],
            result.stderr,
        )


if __name__ == "__main__":
    simhost.test_main()
