# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fault points of the daemon: the calls that change a file of vgpud or of the simulated /sys, and the starts of helper
programs. fault-points.c, preloaded into vgpud and vgpud-write, lists them in a trace, and kills a process or fails the call
at one of them.

A point is a name and an occurrence, not a position in the trace: threads may change the order of the calls."""

import collections
import dataclasses
import mmap
import os
import shlex
import struct
import tempfile

import host

LIBRARY = host.BUILD / "tests" / "integration" / "fault-points.so"
DAEMON, WRITER = "vgpud", "vgpud-write"

# struct Control of fault-points.c.
CONTROL = struct.Struct("8I1024s")
NONE, KILL_DAEMON, KILL_CALLER, FAIL = range(4)


@dataclasses.dataclass(frozen=True)
class Point:
    name: str  # "PROGRAM CALL FOLDER/PATH"
    occurrence: int  # of the calls with this name, from 1 on
    thread: str = dataclasses.field(compare=False, default="")

    @property
    def program(self):
        return self.name.partition(" ")[0]

    def __str__(self):
        return f"{self.name} #{self.occurrence}"


class Host(host.Host):
    """A host whose daemons have fault points."""

    def set_up(self, *arguments):
        self.folder = tempfile.TemporaryDirectory(prefix="vgpud-points-")
        self.control_path = os.path.join(self.folder.name, "control")
        self.trace_path = os.path.join(self.folder.name, "trace")
        self.wrapper = os.path.join(self.folder.name, WRITER)
        with open(self.control_path, "wb") as file:
            file.truncate(CONTROL.size)
        with open(self.control_path, "r+b") as file:
            self.control = mmap.mmap(file.fileno(), CONTROL.size)
        super().set_up(*arguments)

    def discard(self):
        try:
            super().discard()
        finally:
            self.control.close()
            self.folder.cleanup()

    def launch(self, *more):
        roots = {"run": self.runtime, "state": self.state, "sys": "/sys"}
        testbed = self.sim.environment.get("UMOCKDEV_DIR")
        paths = [f"{name}={path}" for name, path in roots.items()] + ([f"sys={testbed}/sys"] if testbed else [])
        variables = {"FAULT_POINTS": self.control_path, "FAULT_POINTS_TRACE": self.trace_path, "FAULT_POINTS_ROOTS": ":".join(paths)}
        self.environment |= variables
        self.preload = [str(LIBRARY)]
        # vgpud starts its helper programs with an empty environment, so a wrapper script sets the variables.
        variables["LD_PRELOAD"] = ":".join(self.preload_libraries())
        with open(self.wrapper, "w", encoding="utf-8") as file:
            print("#!/bin/sh", file=file)
            for name, value in variables.items():
                print(f"export {name}={shlex.quote(value)}", file=file)
            print(f"exec {shlex.quote(str(host.BUILD / 'drivers-glue' / WRITER))}", file=file)
        os.chmod(self.wrapper, 0o755)
        return super().launch(f"--writer={self.wrapper}", *more)

    def arm(self, point=None, action=NONE, after=False, error=0):
        """Begin a new trace. `action` happens at the point, before its call or after it (`after`); error: the errno of FAIL."""
        with open(self.trace_path, "wb"):
            pass
        pid = struct.unpack_from("I", self.control, 4)[0]
        name, occurrence = (point.name.encode(), point.occurrence) if point else (b"", 0)
        CONTROL.pack_into(self.control, 0, 0, pid, action, after, error, occurrence, 0, 0, name)
        struct.pack_into("I", self.control, 0, 1)

    def disarm(self):
        """End the trace; return its points, and whether the point of arm() was reached."""
        struct.pack_into("I", self.control, 0, 0)
        return self.trace(), self.has_fired()

    def has_fired(self):
        return CONTROL.unpack_from(self.control, 0)[7] == 1

    def trace(self):
        points, seen = [], collections.Counter()
        with open(self.trace_path, encoding="utf-8") as file:
            for line in file:
                thread, _, name = line.rstrip("\n").partition(" ")
                if " run/lane" in name:
                    continue  # locks, which hold no state
                seen[name] += 1
                points.append(Point(name, seen[name], thread))
        return points


def moments(trace):
    """(point, after): when to kill the daemon. The moment after a call is left out if the next call is of the same
    thread, because the moment before that next call stands for both."""
    last = len(trace) - 1
    return [(p, after) for i, p in enumerate(trace) for after in (False, True)
            if not after or i == last or trace[i + 1].thread != p.thread]
