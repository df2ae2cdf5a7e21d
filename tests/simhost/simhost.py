# SPDX-License-Identifier: LGPL-2.1-or-later
"""The simulated host for tests in Python.

    with simhost.Host(["gvt-g"], faults=["create:*:errno=EIO:1"]) as host:
        daemon = host.popen(["build/daemon/vgpud"])
        host.ctl("create", "0000:00:02.0", "i915-GVTg_V5_4", uuid)
        assert "ok" in host.ctl("writes")[0]

popen() and run() start a program inside, in the same way with and without a namespace. An Agent is a process inside that
does single system calls, reports the errno of each, and listens to uevents with libudev.

A host in a namespace has its own network: a bus for programs inside and outside needs an address with a path, not an
abstract one.
"""

import ctypes
import errno
import glob
import json
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def program():
    """The built simhost: $SIMHOST, else the newest one in a build folder."""
    if os.environ.get("SIMHOST"):
        return os.environ["SIMHOST"]
    found = glob.glob(os.path.join(TOP, "build*", "tests", "simhost", "simhost"))
    if not found:
        raise FileNotFoundError("no build folder has tests/simhost/simhost")
    return max(found, key=os.path.getmtime)


def use_namespace():
    """True if hosts run in a namespace: by $SIMHOST_NAMESPACE ("0" or "1"), else if the user can have namespaces."""
    wanted = os.environ.get("SIMHOST_NAMESPACE")
    return can_unshare() if wanted is None else wanted == "1"


def can_unshare():
    """True if this user can have namespaces."""
    command = ["unshare", "--mount", "--net"] + ([] if os.geteuid() == 0 else ["--user", "--map-root-user"])
    return subprocess.run(command + ["true"], stderr=subprocess.DEVNULL, check=False).returncode == 0


# The limit of every wait, in seconds. Only a failing test waits that long.
DEADLINE = 60


def wait_until(condition, seconds=DEADLINE):
    """Poll until the condition holds; TimeoutError after the limit. Each poll should be a round trip to another
    process."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not in {seconds} s")


class ControlError(Exception):
    """The host replied "error"; name is the errno's name, text is the rest of the reply."""

    def __init__(self, command, answer):
        super().__init__(f"{command}: {answer}")
        self.name, _, self.text = answer.partition(": ")


class HostAborted(Exception):
    """The host aborted because a program opened a file with side effects."""


class Agent:
    """A process inside the host that does one system call after the other.

    read(path), write(path, text), listdir(path), readlink(path), realpath(path), exists(path), stat(path),
    open(path, flags) and close(fd) raise OSError if the call fails inside. monitor() and events() are for uevents.
    """

    def __init__(self, host, **popen_arguments):
        self.process = host.popen(
            ["/usr/bin/python3", os.path.abspath(__file__), "agent"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **popen_arguments,
        )

    def start(self, name, *arguments):
        """Sends a call without waiting; finish() gives its result."""
        self.process.stdin.write(json.dumps([name, arguments]) + "\n")
        self.process.stdin.flush()

    def finish(self):
        line = self.process.stdout.readline()
        if not line:
            raise EOFError(f"the agent ended with {self.process.wait()}")
        answer = json.loads(line)
        if "errno" in answer:
            raise OSError(answer["errno"], os.strerror(answer["errno"]))
        return answer["result"]

    def __getattr__(self, name):
        def call(*arguments):
            self.start(name, *arguments)
            return self.finish()

        return call

    def error(self, name, *arguments):
        """The name of the errno that a call fails with, or None."""
        try:
            getattr(self, name)(*arguments)
        except OSError as failure:
            return "EOPNOTSUPP" if failure.errno == errno.EOPNOTSUPP else errno.errorcode[failure.errno]
        return None

    def let_go(self):
        """Make the agent end after its current call."""
        if not self.process.stdin.closed:
            self.process.stdin.close()

    def stop(self):
        self.let_go()
        self.process.wait()
        self.process.stdout.close()


class Host:
    """A running host; use it in a "with" statement.

    models: names; faults: specifications; options: more of simhost's options, for example those of scalable();
    namespace: whether the tree lies over /sys in a namespace; None: see use_namespace().
    """

    def __init__(self, models, faults=(), options=(), namespace=None):
        self.namespace = use_namespace() if namespace is None else namespace
        self.command = [program()]
        self.command += [f"--model={model}" for model in models]
        self.command += [f"--fault={fault}" for fault in faults]
        self.command += list(options)
        if self.namespace:
            self.command.append("--namespace")
        self.environment = {}
        self.agents = []
        self.lock = threading.Lock()
        self.process = None
        self.control = None

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            if line == "ready\n":
                break
            name, _, value = line.rstrip("\n").partition("=")
            self.environment[name] = value
        else:
            self.process.stdout.close()
            raise RuntimeError(f"simhost ended with {self.process.wait()}")
        self.control = self.environment["SIMHOST_CONTROL"]
        return self

    def __exit__(self, *exception):
        for agent in self.agents:
            agent.let_go()
        ended = self.process.poll()
        if ended is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait()
        for agent in self.agents:
            agent.stop()
        self.process.stdout.close()
        if ended == -signal.SIGABRT and not any(exception):
            raise HostAborted("a program opened a file with side effects; see the host's output")

    def inside(self, command):
        """The command line that runs a command inside."""
        return [self.command[0], "enter", f"--control={self.control}", "--"] + list(command)

    def popen(self, command, **arguments):
        return subprocess.Popen(self.inside(command), **arguments)

    def run(self, command, **arguments):
        arguments.setdefault("text", True)
        arguments.setdefault("check", False)
        return subprocess.run(self.inside(command), **arguments)

    def agent(self, **popen_arguments):
        agent = Agent(self, **popen_arguments)
        with self.lock:
            self.agents.append(agent)
        return agent

    def ctl(self, *words):
        """Sends a control command. Returns the lines of the reply, [] for "ok" alone. Raises ControlError for "error"."""
        command = " ".join(str(word) for word in words)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.control)
            connection.sendall(command.encode() + b"\n")
            with connection.makefile() as stream:
                status, _, text = stream.readline().rstrip("\n").partition(" ")
                if status != "ok":
                    raise ControlError(command, text)
                if text.startswith("+"):
                    return [stream.readline().rstrip("\n") for _ in range(int(text))]
                return [text] if text else []

    def fault(self, specification):
        self.ctl("fault", specification)

    def await_hanging(self, count):
        """Waits until exactly COUNT requests hang in faults."""
        wait_until(lambda: self.ctl("hanging") == [str(count)])

    def await_waiting(self, *entries):
        """Waits until the list of blocked requests is exactly this: "lock FUNCTION", "close FUNCTION|UUID", "unregister PARENT",
        "lock gim"."""
        wait_until(lambda: sorted(self.ctl("waiting")) == sorted(entries))

    def hear(self, agent, count):
        """Waits for COUNT events on the agent's monitor, then sends a mark. Returns all events that came before the mark."""
        events = agent.events(count, DEADLINE)
        self.ctl("mark-events")
        return events + agent.events_to_mark(DEADLINE)

    def tools(self):
        """{name: path} of the programs of an NVIDIA host, for this host: "systemctl", "sriov-manage", and "vgpud-nvml"
        with a libnvidia-ml.so.1 for the host's cards. The programs need no environment and vanish with the host."""
        build = os.path.dirname(os.path.abspath(self.command[0]))
        here = os.path.join(TOP, "tests", "simhost")
        nvml = os.path.join(os.path.dirname(os.path.dirname(build)), "drivers-glue", "vgpud-nvml")
        tools = {}
        for name, program_path, variables in (
            ("systemctl", os.path.join(here, "systemctl"), {"SIMHOST_NVML": nvml, "LD_LIBRARY_PATH": build}),
            ("sriov-manage", os.path.join(here, "sriov-manage"), {}),
            # Only vgpud's units may set modes: the variable makes the fake NVML refuse vgpud itself.
            ("vgpud-nvml", nvml, {"LD_LIBRARY_PATH": build, "SIMHOST_NVML_UNPRIVILEGED": "1"}),
        ):
            variables = {"SIMHOST": os.path.abspath(self.command[0]), "SIMHOST_CONTROL": self.control, **variables}
            tools[name] = os.path.join(os.path.dirname(self.control), name)
            # Replace an existing script: it may be running, and a running program cannot be written to.
            with open(tools[name] + ".new", "w", encoding="utf-8") as file:
                print("#!/bin/sh", file=file)
                for variable, value in variables.items():
                    print(f"export {variable}={shlex.quote(value)}", file=file)
                print(f'exec {shlex.quote(program_path)} "$@"', file=file)
            os.chmod(tools[name] + ".new", 0o755)
            os.replace(tools[name] + ".new", tools[name])
        return tools

    def writes(self, clear=False):
        """All writes since the start, or since they were last cleared: (result, path, value)."""
        return [tuple(line.split(" ", 2)) for line in self.ctl("writes", *(["--clear"] if clear else []))]

    def events(self):
        """All events since the start: (action, devpath, subsystem, {property: value})."""
        events = []
        for line in self.ctl("events"):
            action, devpath, subsystem, *rest = line.split(" ")
            events.append((action, devpath, subsystem, dict(word.split("=", 1) for word in rest)))
        return events


def scalable(gpus, vfs, types, populate=0):
    """The options of the model "scalable"."""
    return [f"--gpus={gpus}", f"--vfs={vfs}", f"--types={types}", f"--populate={populate}"]


def test_main():
    """Runs the tests of the program and says, in its last line, how many passed, failed and were skipped."""
    result = unittest.main(module="__main__", exit=False, verbosity=2).result
    failed, skipped = len(result.failures) + len(result.errors), len(result.skipped)
    print(f"{result.testsRun - failed - skipped} passed, {failed} failed, {skipped} skipped")
    sys.exit(0 if result.wasSuccessful() and result.testsRun > 0 else 1)


# The subsystem of the events that "mark-events" sends.
MARK = "simhost"


class _Udev:
    """The part of libudev that the agent needs."""

    def __init__(self):
        self.library = ctypes.CDLL("libudev.so.1")
        for name, result in {
            "udev_new": ctypes.c_void_p,
            "udev_monitor_new_from_netlink": ctypes.c_void_p,
            "udev_monitor_receive_device": ctypes.c_void_p,
            "udev_enumerate_new": ctypes.c_void_p,
            "udev_enumerate_get_list_entry": ctypes.c_void_p,
            "udev_device_new_from_syspath": ctypes.c_void_p,
            "udev_device_get_properties_list_entry": ctypes.c_void_p,
            "udev_list_entry_get_next": ctypes.c_void_p,
            "udev_list_entry_get_name": ctypes.c_char_p,
            "udev_list_entry_get_value": ctypes.c_char_p,
            "udev_hwdb_new": ctypes.c_void_p,
            "udev_hwdb_get_properties_list_entry": ctypes.c_void_p,
        }.items():
            getattr(self.library, name).restype = result
        self.udev = ctypes.c_void_p(self.library.udev_new())
        self.monitor = None

    def _entries(self, entry):
        while entry:
            value = self.library.udev_list_entry_get_value(ctypes.c_void_p(entry))
            yield self.library.udev_list_entry_get_name(ctypes.c_void_p(entry)).decode(), (value or b"").decode()
            entry = self.library.udev_list_entry_get_next(ctypes.c_void_p(entry))

    def _properties(self, device):
        handle = ctypes.c_void_p(device)
        result = dict(self._entries(self.library.udev_device_get_properties_list_entry(handle)))
        self.library.udev_device_unref(handle)
        return result

    def listen(self, subsystems):
        self.monitor = ctypes.c_void_p(self.library.udev_monitor_new_from_netlink(self.udev, b"udev"))
        for subsystem in [*subsystems, MARK]:
            self.library.udev_monitor_filter_add_match_subsystem_devtype(self.monitor, subsystem.encode(), None)
        if self.library.udev_monitor_enable_receiving(self.monitor) < 0:
            raise OSError(errno.EIO, "monitor")

    def receive(self, wanted, seconds):
        """Up to `wanted` events; fewer if no event comes for `seconds`."""
        events = []
        fd = self.library.udev_monitor_get_fd(self.monitor)
        while len(events) < wanted and select.select([fd], [], [], seconds)[0]:
            device = self.library.udev_monitor_receive_device(self.monitor)
            if device:
                events.append(self._properties(device))
        return events

    def receive_to_mark(self, seconds):
        """All events that came before the mark of "mark-events"."""
        events = []
        while True:
            received = self.receive(1, seconds)
            if not received:
                raise OSError(errno.ETIME, "mark")
            if received[0]["SUBSYSTEM"] == MARK:
                return events
            events += received

    def enumerate(self, subsystem):
        handle = ctypes.c_void_p(self.library.udev_enumerate_new(self.udev))
        self.library.udev_enumerate_add_match_subsystem(handle, subsystem.encode())
        self.library.udev_enumerate_scan_devices(handle)
        paths = [name for name, _ in self._entries(self.library.udev_enumerate_get_list_entry(handle))]
        self.library.udev_enumerate_unref(handle)
        return paths

    def properties(self, path):
        device = self.library.udev_device_new_from_syspath(self.udev, path.encode())
        if not device:
            raise OSError(errno.ENODEV, path)
        return self._properties(device)

    def hwdb(self, modalias):
        handle = ctypes.c_void_p(self.library.udev_hwdb_new(self.udev))
        entries = self.library.udev_hwdb_get_properties_list_entry(handle, modalias.encode(), 0)
        return dict(self._entries(entries))


def _write(path, text):
    fd = os.open(path, os.O_WRONLY)
    try:
        return os.write(fd, text.encode())
    finally:
        os.close(fd)


def _read(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        parts = []
        while True:
            part = os.read(fd, 4096)
            if not part:
                return b"".join(parts).decode("latin-1")
            parts.append(part)
    finally:
        os.close(fd)


def _stat(path):
    status = os.lstat(path)
    return {"mode": status.st_mode, "size": status.st_size, "rdev": status.st_rdev}


def _agent():
    udev = None

    def with_udev(name):
        def call(*arguments):
            nonlocal udev
            udev = udev or _Udev()
            return getattr(udev, name)(*arguments)

        return call

    calls = {
        "read": _read,
        "write": _write,
        "stat": _stat,
        "listdir": lambda path: sorted(os.listdir(path)),
        "readlink": os.readlink,
        "realpath": os.path.realpath,
        "exists": os.path.lexists,
        "open": os.open,
        "close": os.close,
        "dup": os.dup,
        "pread": lambda fd: os.pread(fd, 4096, 0).decode(),
        "write_fd": lambda fd, text: os.write(fd, text.encode()),
        "monitor": with_udev("listen"),
        "events": with_udev("receive"),
        "events_to_mark": with_udev("receive_to_mark"),
        "enumerate": with_udev("enumerate"),
        "properties": with_udev("properties"),
        "hwdb": with_udev("hwdb"),
    }
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            answer = {"result": calls[name](*arguments)}
        except OSError as failure:
            answer = {"errno": failure.errno}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__" and sys.argv[1:] == ["agent"]:
    _agent()
