#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The crash matrix: SIGKILL at every fault point of every operation. The next daemon finds the state before the operation or
the state after it, and a further restart changes nothing.

An operation is a row of OPERATIONS. A run without a fault gives its points and the two states. $VGPUD_NIGHTLY makes every
test run for every operation."""

import collections
import contextlib
import dataclasses
import difflib
import errno
import json
import os
import re
import signal
import subprocess
import typing
import unittest

import bus
import fault_points
import host
import runner
import simhost
from fault_points import DAEMON, FAIL, KILL_CALLER, KILL_DAEMON, WRITER
from host import A2, GVT, V5_4, V5_8, uuid

SETTLING = 10  # seconds; only a failing test waits that long
L40S = "0000:41:00.0"
XE = "0000:03:00.0"
PARAMETERS = [("nvidia/vgpu_params", f"a={i}") for i in range(2)]
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
OURS = re.compile(r"[0-9a-f]{8}-1111-4222-8333-[0-9a-f]{12}")  # as host.uuid() makes them
# Keys of a record that a comparison leaves out: the moment of the create, the inode of the device, and the checksum of the
# definition, which stays when the definition is removed. The property Definition shows whether the checksum fits.
VOLATILE = ("Created", "Identity", "Definition")


@dataclasses.dataclass
class Operation:
    name: str
    model: str
    gpu: str
    act: typing.Callable  # (host) -> bus.Pending
    reset: typing.Callable  # (host): from the state after the operation to the state before it
    prepare: typing.Callable = lambda h: None  # (host): once, before the first run
    config: dict = dataclasses.field(default_factory=dict)
    is_over: typing.Callable = lambda h: True  # (host): true once vgpud has also done the work that follows the call


# ---- the operations ----


def create(gpu, type_name, **options):
    def start(h):
        return h.bus.start_create(gpu, type_name, **options)
    return start


def destroy(h):
    return h.bus.manager.start("Destroy", uuid(1), wait=True)


def destroy_all(h):
    for name in h.bus.instances():
        h.bus.destroy(name)


def ensure(gpu, type_name, **options):
    """Create the instance, if the operation has destroyed it."""
    def make(h):
        if not h.bus.instances():
            h.bus.create(gpu, type_name, uuid=uuid(1), name="one", **options)
    return make


def define(h):
    return h.bus.manager.start("Define", V5_4, gpu=GVT, uuid=uuid(1), name="one")


def define_instance(h):
    return h.bus.manager.start("DefineInstance", uuid(1))


def edit(type_name):
    def start(h):
        return h.bus.manager.start("Edit", uuid(1), type=type_name)
    return start


def undefine(h):
    return h.bus.manager.start("Undefine", uuid(1))


def start_definition(h):
    return h.bus.manager.start("Start", uuid(1), wait=True)


def stop(h):
    return h.bus.manager.start("Destroy", uuid(1), wait=True, defined=True)


def autostart(value):
    def start(h):
        return h.bus.manager.start("Edit", uuid(1), autostart=value)
    return start


def define_on_l40s(h):
    return h.bus.manager.start("Define", "L40S-4Q", gpu=L40S, uuid=uuid(1))


def want(h):
    """The next vgpud finds the definition wanted, as if the instance had been running."""
    (h.runtime / "wanted" / uuid(1)).touch()


def cancel_start(h):
    return h.bus.manager.start("CancelStart", uuid(1))


def is_active(h):
    return [row["state"] for row in bus.rows(h.bus.manager.call("ListDefinitions"))] == ["active"]


def lose_instance(h):
    """Leave a definition that is wanted and waits for VFs."""
    stop(h).result()
    set_vfs(L40S, 0)(h).result()
    want(h)


def remove_all(h):
    """Undefine and destroy everything."""
    for row in bus.rows(h.bus.manager.call("ListDefinitions")):
        h.bus.manager.call("Undefine", row["uuid"])
    destroy_all(h)


def set_vfs(gpu, count, **options):
    def start(h):
        return h.bus.gpu(gpu).start("SetVfs", count, wait=True, **options)
    return start


def configure(gpu, value, **options):
    def start(h):
        return h.bus.gpu(gpu).start("Configure", "heterogeneous", value, wait=True, **options)
    return start


def forget(gpu, **options):
    def start(h):
        return h.bus.manager.start("ForgetSettings", gpu, **options)
    return start


def once(start):
    """Make a step that starts the call and waits for its result."""
    def make(h):
        start(h).result()
    return make


def both(first, second):
    def make(h):
        first(h)
        second(h)
    return make


def while_enabled(gpu, wanted, change):
    """Make a step that changes the VFs, if the GPU has VFs but should have none, or the other way round."""
    def make(h):
        if (h.bus.gpu(gpu).get("EnabledVfs") > 0) != wanted:
            change(h).result()
    return make


OPERATIONS = [
    Operation("create of an mdev", "gvt-g", GVT, create(GVT, V5_4, uuid=uuid(1), name="one"), destroy_all),
    Operation("create of three mdevs", "gvt-g", GVT, create(GVT, V5_8, count=3), destroy_all),
    Operation("create of an mdev with attributes", "nvidia-a2", A2,
              create(A2, "A2-4Q", uuid=uuid(1), attributes=PARAMETERS), destroy_all),
    Operation("destroy of an mdev", "gvt-g", GVT, destroy, ensure(GVT, V5_4), ensure(GVT, V5_4)),
    Operation("create on nvidia-vfio", "nvidia-l40s", L40S, create(L40S, "L40S-4Q", uuid=uuid(1), name="one"), destroy_all,
              once(set_vfs(L40S, 32))),
    Operation("destroy on nvidia-vfio", "nvidia-l40s", L40S, destroy, ensure(L40S, "L40S-4Q"),
              both(once(set_vfs(L40S, 32)), ensure(L40S, "L40S-4Q"))),
    Operation("create on xe", "xe", XE, create(XE, "vf", uuid=uuid(1), name="one"), destroy_all, once(set_vfs(XE, 1))),
    Operation("destroy on xe", "xe", XE, destroy, ensure(XE, "vf"), both(once(set_vfs(XE, 1)), ensure(XE, "vf"))),
    Operation("define", "gvt-g", GVT, define, once(undefine)),
    Operation("define of an instance", "gvt-g", GVT, define_instance, once(undefine), ensure(GVT, V5_4)),
    Operation("edit", "gvt-g", GVT, edit(V5_8), once(edit(V5_4)), once(define)),
    Operation("edit of a running instance", "gvt-g", GVT, edit(V5_8), once(edit(V5_4)), both(once(define), once(start_definition))),
    Operation("undefine", "gvt-g", GVT, undefine, once(define), once(define)),
    Operation("undefine of a running instance", "gvt-g", GVT, undefine, once(define_instance), both(once(define), once(start_definition))),
    Operation("start", "gvt-g", GVT, start_definition, once(stop), once(define)),
    Operation("stop", "gvt-g", GVT, stop, once(start_definition), both(once(define), once(start_definition))),
    Operation("start on nvidia-vfio", "nvidia-l40s", L40S, start_definition, once(stop),
              both(once(set_vfs(L40S, 32)), once(define_on_l40s))),
    Operation("create with keep", "gvt-g", GVT, create(GVT, V5_4, uuid=uuid(1), name="one", keep=True), remove_all),
    Operation("autostart on", "gvt-g", GVT, autostart(True), once(autostart(False)), once(define)),
    Operation("autostart off", "gvt-g", GVT, autostart(False), once(autostart(True)), both(once(define), once(autostart(True)))),
    Operation("stop of a waiting definition", "nvidia-l40s", L40S, cancel_start, want, both(once(define_on_l40s), want)),
    Operation("return of an instance", "nvidia-l40s", L40S, set_vfs(L40S, 32), lose_instance, both(once(define_on_l40s), want),
              is_over=is_active),
    Operation("enable-vfs of nvidia-vfio", "nvidia-l40s", L40S, set_vfs(L40S, 32), while_enabled(L40S, False, set_vfs(L40S, 0))),
    Operation("enable-vfs of xe", "xe", XE, set_vfs(XE, 2), while_enabled(XE, False, set_vfs(XE, 0))),
    Operation("disable-vfs of xe", "xe", XE, set_vfs(XE, 0), while_enabled(XE, True, set_vfs(XE, 2)), once(set_vfs(XE, 2))),
    Operation("enable-vfs --keep of xe", "xe", XE, set_vfs(XE, 2, keep=True), once(set_vfs(XE, 0, keep=True))),
    Operation("disable-vfs --keep of xe", "xe", XE, set_vfs(XE, 0, keep=True), once(set_vfs(XE, 2, keep=True)),
              once(set_vfs(XE, 2, keep=True))),
    Operation("configure --keep of nvidia-vfio", "nvidia-l40s", L40S, configure(L40S, "yes", keep=True),
              both(once(configure(L40S, "no")), once(forget(L40S, mode="heterogeneous"))), once(set_vfs(L40S, 32))),
    Operation("forget", "xe", XE, forget(XE, vfs=True), once(set_vfs(XE, 2, keep=True)), once(set_vfs(XE, 2, keep=True))),
]


# ---- the state of a host ----


def generic(text):
    """The text with "UUID" for each UUID that vgpud has chosen."""
    return UUID.sub(lambda m: m.group() if OURS.fullmatch(m.group()) else "UUID", text)


def kernel(h, gpu):
    """The state of a GPU in the kernel, as lines."""
    agent, device, found = h.agent(), f"/sys/bus/pci/devices/{gpu}", []

    def name_of(link):
        return agent.realpath(link).rpartition("/")[2] if agent.exists(link) else ""

    def note(path, *names):
        found.extend(f"{path}/{n}: {agent.read(path + '/' + n).strip()}" for n in names if agent.exists(f"{path}/{n}"))

    note(device, "sriov_numvfs", "sriov_drivers_autoprobe")
    for vf in sorted(n for n in agent.listdir(device) if n.startswith("virtfn")):
        note(f"{device}/{vf}", "driver_override", "nvidia/current_vgpu_type")
        found.append(f"{vf} driver: {name_of(f'{device}/{vf}/driver')}")
    mdevs = "/sys/bus/mdev/devices"
    for name in agent.listdir(mdevs) if agent.exists(mdevs) else ():
        found.append(f"mdev {name}: {name_of(f'{mdevs}/{name}/mdev_type')} of {agent.realpath(f'{mdevs}/{name}').split('/')[-2]}")
    return sorted(generic(line) for line in found)


def meaning(text):
    """The meaning of a file of /run: the last value of a key counts, and a missing flag is false."""
    values = dict(line.partition("=")[::2] for line in text.splitlines() if line)
    return sorted(f"{k}={v}" for k, v in values.items() if k not in VOLATILE and (k, v) not in (("Undo", "false"), ("Removing", "false")))


def active(h):
    """The UUIDs of the definitions that run."""
    return {row["uuid"] for row in bus.rows(h.bus.manager.call("ListDefinitions")) if row["state"] == "active"}


def files(h):
    """The files of vgpud: those in /run with their meaning, those in /var/lib only by name. observe() lists the content of the
    definitions and of the kept settings, and the next scan learns the known types again. The notes in /run/vgpud/kept are left
    out: without a note, the next vgpud finds the setting in effect. So are the wants of running instances in /run/vgpud/wanted:
    the next vgpud writes them again, see check_wants()."""
    found, running = [], active(h)
    for root in (h.runtime, h.state):
        for path in root.rglob("*"):
            is_want_of_running = path.parent.name == "wanted" and path.name in running
            if path.is_file() and path.parent.name not in ("lane", "kept") and not is_want_of_running:
                text = meaning(path.read_text("utf-8")) if root == h.runtime else ""
                found.append(generic(f"{path.relative_to(h.directory)}: {text}"))
    return sorted(found)


def observe(h, gpu):
    """The whole state as lines, for comparison."""
    managed = h.bus.managed()
    wanted = {bus.GPU: ("Name", "State", "Reason", "EnabledVfs", "Modes", "KeptVfs", "KeptModes", "KeptReason"),
              bus.INSTANCE: ("Uuid", "Name", "Gpu", "Parent", "Slot", "Type", "Owner", "Origin", "State", "Attributes",
                             "Definition"),
              bus.JOB: ("Id", "Kind")}
    definitions = bus.rows(h.bus.manager.call("ListDefinitions"))
    for row in definitions:
        row.pop("created_usec")
    shown = [json.dumps(row) for row in definitions] + [json.dumps({n: o[i][n] for n in names}) for o in managed.values() for i, names in wanted.items() if i in o]
    return sorted(generic(line) for line in shown) + kernel(h, gpu) + files(h)


def is_idle(h):
    objects = h.bus.managed().values()
    gpus = [o[bus.GPU] for o in objects if bus.GPU in o]
    return gpus and not any(bus.JOB in o for o in objects) and all(
        g["State"] in ("ready", "unprepared") and g["Job"] == "/" and not g["QueuedJobs"] for g in gpus)


def differences(found, allowed):
    lines = []
    for name, state in allowed.items():
        lines += [f"differs from the state {name}:", *(d for d in difflib.ndiff(state, found) if d[0] in "+-")]
    return "\n".join(lines)


@contextlib.contextmanager
def named(point, after=False):
    """Name the point in the failure of a check. The state is spoiled then, so the test ends."""
    try:
        yield
    except (AssertionError, bus.Error) as error:
        raise AssertionError(f"{'after' if after else 'at'} {point}: {error}") from error


class Host(fault_points.Host):
    the_agent = None
    before = None  # the children of this process before the first vgpud

    def agent(self):
        if self.the_agent is None:
            self.the_agent = self.sim.agent()
        return self.the_agent

    def launch(self, *more):
        self.before = self.before or set(host.children())
        return super().launch(*more)

    def has_no_orphan(self):
        """Orphans of a killed vgpud are children of this process."""
        host.reap()
        known = self.before | {self.vgpud.pid} | {a.process.pid for a in self.sim.agents}
        return set(host.children()) <= known

    def describe(self):
        """The logs of the newest daemons."""
        return "\n".join(f"---- vgpud-{i}.log\n{self.read(f'vgpud-{i}.log')}" for i in range(max(1, self.runs - 2), self.runs + 1))


class Matrix(host.HostTest):
    def begin(self, operation):
        h = Host((operation.model,), config=operation.config)
        self.hosts.append(h)
        self.addCleanup(h.close)
        operation.prepare(h)
        return h

    def await_idle(self, h):
        bus.wait(lambda: is_idle(h), "no job runs, and every GPU is scanned")
        bus.wait(h.has_no_orphan, "the helper programs of the killed vgpud have ended")

    def finish(self, h, operation, pending):
        """Wait until all work of the operation is done: a rescan waits in the lane behind it. False if vgpud was killed."""
        for step in (lambda: pending, lambda: h.bus.gpu(operation.gpu).start("Rescan", wait=True)):
            call = step()
            bus.wait(lambda c=call: c.done or h.has_fired(), "the end of the operation, or of vgpud")
            if h.has_fired():
                return False

        def is_over():
            try:
                return h.has_fired() or operation.is_over(h) and is_idle(h)
            except bus.Error:
                if h.has_fired():
                    return True
                raise

        bus.wait(is_over, "no job runs")
        return not h.has_fired()

    @staticmethod
    def act(h, operation):
        """Do the operation while vgpud is not killed; return the error, or None."""
        error = operation.act(h).error()
        if not error:
            bus.wait(lambda: operation.is_over(h), "the work that follows the call")
        return error

    def restart(self, h):
        h.kill()
        h.start(mirror=False)
        self.await_idle(h)

    def await_state(self, h, operation, allowed):
        """Wait until the host has one of the states; return the state's name."""
        found = []

        def matches():
            found[:] = observe(h, operation.gpu)
            return next((name for name, state in allowed.items() if state == found), None)

        try:
            return bus.wait(matches, "an allowed state", SETTLING)
        except bus.Timeout:
            raise AssertionError(differences(found, allowed)) from None

    def dry_run(self, h, operation):
        """Run without a fault. Returns the trace and the states."""
        self.restart(h)  # so that the state before has no traces of `prepare`
        allowed = {"before": observe(h, operation.gpu)}
        h.arm()
        pending = operation.act(h)
        self.finish(h, operation, pending)
        pending.result()
        trace, _ = h.disarm()
        allowed["after"] = observe(h, operation.gpu)
        self.assertNotEqual(allowed["before"], allowed["after"])
        self.restart(h)
        self.assertEqual(self.await_state(h, operation, allowed), "after")
        self.reset(h, operation, allowed)
        return trace, allowed

    def reset(self, h, operation, allowed):
        operation.reset(h)
        self.restart(h)  # each operation begins with a new daemon, which has not started vgpud-write yet
        self.assertEqual(self.await_state(h, operation, allowed), "before")

    def check_wants(self, h):
        """After a restart, each running instance with a definition has its want, even if a full disk had no room for it."""
        lost = active(h) - {path.name for path in (h.runtime / "wanted").iterdir()}
        self.assertEqual(lost, set(), "running instances that a reload of their driver would end")

    def check_converged(self, h, operation, allowed):
        self.await_idle(h)
        state = self.await_state(h, operation, allowed)
        h.sim.writes(clear=True)
        self.restart(h)
        self.assertEqual(self.await_state(h, operation, allowed), state, "a second restart changes the state")
        self.assertEqual(h.sim.writes(), [], "a second restart writes to the kernel")
        self.check_wants(h)
        if state != "before":
            self.reset(h, operation, allowed)
        return state

    def check_points(self, operation, verb, dry, seen, missed, outcomes):
        """Print and check the numbers: each point was reached, and no run had a point that the run without a fault did not
        have. Starts of vgpud-nvml count neither as unvisited nor as new: each scan starts the program once, the number of scans
        depends on the time between events, and here the program only reads."""
        def without_scans(points):
            return [p for p in points if not p.name.endswith("spawn vgpud-nvml")]

        print(f"{operation.name}: {len(dry)} fault points, {sum(outcomes.values())} {verb}: {dict(outcomes)}", flush=True)
        self.assertEqual(without_scans(missed), [], "unvisited points")
        self.assertEqual(set(without_scans(seen - set(dry))), set(), "new points")

    def each_kill_of_vgpud(self, operation):
        h = self.begin(operation)
        trace, allowed = self.dry_run(h, operation)
        seen, missed, outcomes = set(), [], collections.Counter()
        for point, after in fault_points.moments(trace):
            with named(point, after):
                h.arm(point, KILL_DAEMON, after)
                pending = operation.act(h)
                self.finish(h, operation, pending)
                points, fired = h.disarm()
                seen.update(points)
                if not fired:
                    missed.append(point)
                h.kill()
                h.start(mirror=False)
                outcomes[self.check_converged(h, operation, allowed)] += 1
        self.check_points(operation, "kills", trace, seen, missed, outcomes)

    def each_kill_of_vgpud_write(self, operation):
        """vgpud goes on when its vgpud-write is killed. If the call failed, a second call succeeds."""
        h = self.begin(operation)
        trace, allowed = self.dry_run(h, operation)
        points = [p for p in trace if p.program == WRITER]
        missed, outcomes = [], collections.Counter()
        for point, after in [(p, after) for p in points for after in (False, True)]:
            with named(point, after):
                h.arm(point, KILL_CALLER, after)
                error = self.act(h, operation)
                if not h.disarm()[1]:
                    missed.append(point)
                if error:
                    self.await_idle(h)
                    self.assertIsNone(self.act(h, operation))
                self.assertEqual(self.check_converged(h, operation, allowed), "after")
                outcomes["failed, then repeated" if error else "done"] += 1
        print(f"{operation.name}: {len(points)} fault points of vgpud-write: {dict(outcomes)}", flush=True)
        self.assertEqual(missed, [], "unvisited points")

    def each_full_disk(self, operation):
        """Each change of vgpud's own files that needs space fails once."""
        h = self.begin(operation)
        trace, allowed = self.dry_run(h, operation)
        points = [p for p in trace if p.program == DAEMON and re.search(" (run|state)/", p.name) and " unlink " not in p.name]
        missed, outcomes = [], collections.Counter()
        for point in points:
            with named(point):
                h.arm(point, FAIL, error=errno.ENOSPC)
                error = self.act(h, operation)
                if not h.disarm()[1]:
                    missed.append(point)
                state = self.check_converged(h, operation, allowed)
                self.assertEqual(state, "before" if error else "after")
                outcomes[f"{error}: {state}"] += 1
        print(f"{operation.name}: {len(points)} changes of files: {dict(outcomes)}", flush=True)
        self.assertEqual(missed, [], "unvisited points")


def expand(cls):
    """Expand each method each_X to a test X for every operation; the default run has some methods only for every
    second operation."""
    default = {"each_kill_of_vgpud_write": OPERATIONS[1::2], "each_full_disk": OPERATIONS[::2]}
    for name, function in [(n, f) for n, f in vars(cls).items() if n.startswith("each_")]:
        for operation in OPERATIONS if os.environ.get("VGPUD_NIGHTLY") else default.get(name, OPERATIONS):
            def test(self, function=function, operation=operation):
                function(self, operation)

            setattr(cls, f"test_{name.removeprefix('each_')}_{operation.name.replace(' ', '_')}", test)


expand(Matrix)


class Library(host.HostTest):
    """strace sees the same calls as the library."""

    CALLS = {"write": "write", "pwrite64": "write", "writev": "write", "pwritev": "write", "pwritev2": "write", "sendfile": "write",
             "copy_file_range": "write", "fallocate": "fallocate", "open": "open", "openat": "open", "openat2": "open", "creat": "open",
             "rename": "rename", "renameat": "rename", "renameat2": "rename", "link": "link", "linkat": "link", "symlink": "symlink",
             "symlinkat": "symlink", "mkdir": "mkdir", "mkdirat": "mkdir", "mknod": "mknod", "mknodat": "mknod", "rmdir": "rmdir",
             "unlink": "unlink", "unlinkat": "unlink", "ftruncate": "ftruncate", "truncate": "truncate", "fsync": "fsync",
             "fdatasync": "fsync", "syncfs": "syncfs", "sync_file_range": "sync_file_range", "chmod": "chmod", "fchmod": "chmod",
             "fchmodat": "chmod", "chown": "chown", "fchown": "chown", "fchownat": "chown", "utimensat": "utimensat",
             "setxattr": "setxattr", "fsetxattr": "setxattr", "removexattr": "removexattr", "fremovexattr": "removexattr"}
    LINE = re.compile(r"^\d+ +(\w+)\((.*)")
    FD = re.compile(r'(?:\w+<([^>]*)>)(?:, "([^"]*)")?|"([^"]*)"')

    def name_of(self, h, path):
        testbed = h.sim.environment.get("UMOCKDEV_DIR", "")
        for name, root in (("run", h.runtime), ("state", h.state), ("sys", f"{testbed}/sys")):
            if path == str(root) or path.startswith(f"{root}/"):
                return name + UUID.sub("UUID", path[len(str(root)):])
        return None

    def calls(self, h, text):
        """{"CALL PATH": count} of the output of strace."""
        found = collections.Counter()
        for call, arguments in (m.groups() for m in map(self.LINE.match, text.splitlines()) if m):
            if self.CALLS[call] == "open" and not re.search(r"O_CREAT|O_TRUNC", arguments):
                continue
            takes_name = call.endswith("at") or call in ("renameat2", "openat2")
            paths = []
            for folder, name, plain in self.FD.findall(arguments):
                paths.append(plain or (name if name.startswith("/") else f"{folder}/{name}" if takes_name and name else folder))
            names = [self.name_of(h, path) for path in paths[:2 if self.CALLS[call] in ("rename", "link") else 1]]
            if None not in names and names and not names[0].startswith("run/lane"):
                found[" ".join([self.CALLS[call], *names])] += 1
        return found

    def test_no_call_is_missed(self):
        h = Host(("gvt-g",))
        self.hosts.append(h)
        self.addCleanup(h.close)
        h.arm()
        strace = h.spawn(["strace", "-f", "-y", "-e", f"trace={','.join('?' + c for c in self.CALLS)}", "-o", str(h.directory / "calls.log"),
                          "-p", str(h.vgpud.pid)], "strace.log", popen=h.sim.popen)
        bus.wait(lambda: "attached" in h.read("strace.log") or strace.poll() is not None, "strace has attached")
        self.assertIsNone(strace.poll(), h.read("strace.log"))
        h.bus.create(GVT, V5_4, uuid=uuid(1), name="one")
        h.bus.destroy(uuid(1))
        h.bus.gpu(GVT).call("Rescan", wait=True)
        trace, _ = h.disarm()
        h.end(strace, signal.SIGINT)
        listed = collections.Counter(p.name.partition(" ")[2] for p in trace if " spawn " not in p.name)
        self.assertEqual(self.calls(h, h.read("calls.log")), listed)
        print(f"strace and the library list {sum(listed.values())} calls", flush=True)


@unittest.skipUnless(simhost.use_namespace(), "a mount needs a mount namespace")
class Space(host.HostTest):
    """A full runtime directory, and a state directory that cannot be written: the error names the errno, and the running
    state is as before."""

    def begin(self, *options):
        h = Host(("gvt-g",), start=False)
        self.hosts.append(h)
        self.addCleanup(h.close)
        for folder in (h.runtime, h.state):
            folder.mkdir()
            h.sim.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], check=True)
        for words in options:
            h.sim.run(["mount", "-o", words, str(h.state)], check=True)
        h.start()
        return h

    @staticmethod
    def fill(h, folder):
        h.sim.run(["sh", "-c", f"head -c 1M /dev/zero >{folder}/filler"], stderr=subprocess.DEVNULL)

    def test_full_runtime_directory(self):
        h = self.begin()
        h.bus.create(GVT, V5_8, uuid=uuid(1), name="one")
        before = h.bus.instances()
        for folder in (h.runtime, h.state):
            self.fill(h, folder)
        self.assert_error("Failed", h.bus.start_create(GVT, V5_8, uuid=uuid(2)), os.strerror(errno.ENOSPC))
        self.assert_error("Failed", h.bus.start_create(GVT, V5_8, count=3), os.strerror(errno.ENOSPC))
        self.assertEqual((h.bus.instances(), h.tree()), (before, {uuid(1)}))
        h.kill()
        h.start()
        self.assert_becomes(before, h.bus.instances)
        h.bus.destroy(uuid(1))
        self.assertEqual((h.bus.instances(), h.tree()), ({}, set()))
        h.sim.run(["rm", f"{h.runtime}/filler"], check=True)
        h.bus.create(GVT, V5_8, uuid=uuid(2))

    def test_full_state_directory(self):
        h = self.begin()
        h.bus.create(GVT, V5_8, uuid=uuid(1), name="one")
        h.bus.define(V5_8, gpu=GVT, uuid=uuid(2), name="two")
        before, definitions = h.bus.instances(), h.bus.definitions()
        self.fill(h, h.state)
        for call in (lambda: define_instance(h), lambda: h.bus.manager.start("Define", V5_8, gpu=GVT, uuid=uuid(3)),
                     lambda: h.bus.manager.start("Edit", uuid(2), type=V5_4),
                     lambda: h.bus.start_create(GVT, V5_8, uuid=uuid(4), keep=True)):
            self.assert_error("Failed", call(), os.strerror(errno.ENOSPC))
            self.assertEqual((h.bus.instances(), h.bus.definitions(), h.tree()), (before, definitions, {uuid(1)}))
        h.kill()
        h.start()
        self.assertEqual((h.bus.instances(), h.bus.definitions()), (before, definitions))
        h.bus.start_definition(uuid(2))
        h.bus.destroy(uuid(2), defined=True)
        h.bus.manager.call("Undefine", uuid(2))
        self.assertEqual((h.bus.instances(), h.bus.definitions()), (before, []))

    def test_read_only_state_directory(self):
        h = self.begin("remount,ro")
        h.await_log(os.strerror(errno.EROFS))
        h.bus.create(GVT, V5_8, uuid=uuid(1), name="one")
        before = h.bus.instances()
        self.assert_error("Failed", define_instance(h), os.strerror(errno.EROFS))
        self.assert_error("Failed", h.bus.start_create(GVT, V5_8, uuid=uuid(2), keep=True), os.strerror(errno.EROFS))
        self.assertEqual((h.bus.instances(), h.bus.definitions(), h.tree()), (before, [], {uuid(1)}))
        h.kill()
        h.start()
        self.assert_becomes(before, h.bus.instances)
        h.bus.destroy(uuid(1))

if __name__ == "__main__":
    runner.main()
