# SPDX-License-Identifier: LGPL-2.1-or-later
"""Environments of the measured programs: a private bus, and a /sys that vgpuctl and mdevctl see.

Simulated is the simulated host: it reacts to writes like a kernel, but every read costs a round trip through FUSE. Files is
a copy of the simulated /sys as plain files: reading such a file costs about as much as reading sysfs, and the files never
change. Both trees are mounted over /sys in a private namespace."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ["VGPUD_BUILD"]).resolve()
MEASURE = BUILD / "bench-measure"
MEASURE_PLACE = BUILD / "bench-place"
STATIC_CLIENT = BUILD / "bench-static-client"
EMPTY = BUILD / "bench-empty"
VGPUD = BUILD / "vgpud"
VGPUCTL = BUILD / "cli" / "vgpuctl"
WRITER = BUILD / "drivers-glue" / "vgpud-write"
MEMORY = "/dev/shm"  # files here cost no disk

sys.path.insert(0, str(TOP / "tests" / "simhost"))
os.environ["SIMHOST"] = str(BUILD / "tests" / "simhost" / "simhost")

import simhost  # noqa: E402  pylint: disable=wrong-import-position

COVER = 'mount --bind "$0" /sys && exec "$@"'


class Place(contextlib.ExitStack):
    """The part that both kinds of environment share. inside() gives the command line that runs a command in the
    environment."""

    def __init__(self):
        super().__init__()
        self.directory = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory(prefix="vgpud-bench-", dir=MEMORY)))
        self.environment = dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=f"unix:path={self.directory}/bus", LC_ALL="C.UTF-8")
        self.bus = None
        self.vgpud = None
        self.runs = 0

    def inside(self, command):
        raise NotImplementedError

    def start_bus(self):
        self.bus = subprocess.Popen(
            ["dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address=1",
             f"--address=unix:path={self.directory}/bus"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.callback(self.end, self.bus)
        if not self.bus.stdout.readline():
            sys.exit("bench: the bus does not start")

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait()
        if process.stdout:
            process.stdout.close()

    def daemon_command(self):
        return [str(VGPUD), f"--config-directory={self.directory}/etc", f"--runtime-directory={self.directory}/run",
                f"--state-directory={self.directory}/state", f"--writer={WRITER}"]

    def configure(self, text):
        """Write vgpud.conf, before start_vgpud()."""
        folder = self.directory / "etc"
        folder.mkdir(exist_ok=True)
        (folder / "vgpud.conf").write_text(text, encoding="utf-8")

    def start_vgpud(self):
        self.runs += 1
        log = self.directory / f"vgpud-{self.runs}.log"
        with open(log, "wb") as stream:
            # The process that enters the namespace executes vgpud, so self.vgpud.pid is the pid of vgpud.
            self.vgpud = subprocess.Popen(self.inside(self.daemon_command()), env=self.environment, stderr=stream)
        self.callback(self.end, self.vgpud)
        status = subprocess.run(["gdbus", "wait", "--system", "--timeout=120", "org.vgpud1"], env=self.environment, check=False)
        if status.returncode != 0 or self.vgpud.poll() is not None:
            sys.exit("bench: vgpud does not start:\n" + log.read_text("utf-8"))

    def stop_vgpud(self):
        self.end(self.vgpud)
        if self.vgpud.returncode != 0:
            sys.exit(f"bench: vgpud ended with {self.vgpud.returncode}")
        self.vgpud = None

    def run(self, *command, stdin=None):
        """Return the output of a command that runs in the environment. If the command fails, the benchmark ends."""
        result = subprocess.run(self.inside([str(word) for word in command]), env=self.environment, input=stdin,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        if result.returncode != 0:
            sys.exit(f"bench: {' '.join(map(str, command))}: {result.returncode}\n{result.stderr}")
        return result.stdout

    def measure(self, *words, stdin=None):
        """Return {name: [sample]}. A sample is a list of numbers; the first one is the wall clock time in nanoseconds."""
        samples = {}
        for line in self.run(MEASURE, *words, stdin=stdin).splitlines():
            name, *values = line.split(" ")
            samples.setdefault(name, []).append([int(value) for value in values])
        return samples

    def rounds(self, count, commands, rest=True):
        """Run the commands {name: words} in turn, `count` times. rest: begin each one only when the daemon and the bus
        are idle."""
        lines = "".join("\t".join(map(str, (name, *words))) + "\n" for name, words in commands.items())
        pids = [self.vgpud.pid, self.bus.pid] if rest else []
        return self.measure("rounds", count, *pids, stdin=lines)

    def status(self):
        return pathlib.Path(f"/proc/{self.vgpud.pid}/status").read_text("ascii")


class Simulated(Place):
    """A simulated host; `options` as simhost.scalable() gives them."""

    def __init__(self, model, options=()):
        super().__init__()
        self.host = simhost.Host([model], options=list(options), namespace=True)

    def __enter__(self):
        super().__enter__()
        self.enter_context(self.host)
        self.start_bus()
        return self

    def inside(self, command):
        return self.host.inside(command)


class Files(Place):
    """A copy of a simulated host with the model "scalable"."""

    def __init__(self, gpus, vfs, types, populate):
        super().__init__()
        self.options = simhost.scalable(gpus, vfs, types, populate)
        self.tree = self.directory / "sys"

    def __enter__(self):
        super().__enter__()
        self.callback(shutil.rmtree, self.tree, ignore_errors=True)
        with Simulated("scalable", self.options) as host:
            host.run(MEASURE, "copy", "/sys", self.tree)
        self.start_bus()
        return self

    def inside(self, command):
        return ["unshare", "--mount", "--net", "--", "/bin/sh", "-c", COVER, str(self.tree), *command]
