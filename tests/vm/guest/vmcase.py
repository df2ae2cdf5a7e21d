# SPDX-License-Identifier: LGPL-2.1-or-later
"""The library of the cases in the guest: sample drivers, hot-plug, programs, D-Bus, uevents, VFIO users, other users,
the journal.

Every wait has a deadline and waits for the event; no function here polls with sleep. A function that does not find the
expected state raises an AssertionError with the actual state."""

import argparse
import contextlib
import ctypes
import fcntl
import json
import os
import pwd
import select
import signal
import socket
import struct
import subprocess
import sys
import time
import traceback
import typing
import unittest
from pathlib import Path

import dbus
import dbus.lowlevel
import dbus.mainloop.glib
from gi.repository import GLib

BUS_NAME = "org.vgpud1"
ROOT_PATH = "/org/vgpud1"
MDEV_PARENTS = Path("/sys/class/mdev_bus")
MDEV_DEVICES = Path("/sys/bus/mdev/devices")
PCI_DEVICES = Path("/sys/bus/pci/devices")
SAMPLES = ("mtty", "mdpy", "mbochs")

# Enough for every successful operation, even with emulation on a busy machine; and longer than systemd's stop timeout
# (90 s).
DEADLINE_SEC = 120.0


# ---- programs ----------------------------------------------------------------------------------------------


class Result(typing.NamedTuple):
    argv: tuple
    status: int
    out: str
    err: str

    def __str__(self):
        return f"{' '.join(self.argv)}\nstatus {self.status}\nstdout: {self.out}\nstderr: {self.err}"


def _identity(user):
    """Arguments of subprocess to run a program as this user."""
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    return {
        "user": entry.pw_uid,
        "group": entry.pw_gid,
        "extra_groups": os.getgrouplist(user, entry.pw_gid),
        "cwd": entry.pw_dir,
        "env": {**os.environ, "HOME": entry.pw_dir, "USER": user, "LOGNAME": user},
    }


def run(*argv, status=0, user=None, stdin="", deadline_sec=DEADLINE_SEC):
    """Run a program to completion; assert the exit status (None: any)."""
    argv = tuple(str(arg) for arg in argv)
    try:
        done = subprocess.run(
            argv,
            check=False,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=deadline_sec,
            **_identity(user),
        )
    except subprocess.TimeoutExpired as error:
        raise AssertionError(
            f"{' '.join(argv)} did not end in {deadline_sec} s; so far: {error.stdout} {error.stderr}"
        ) from None
    result = Result(argv, done.returncode, done.stdout, done.stderr)
    if status is not None and done.returncode != status:
        raise AssertionError(f"expected status {status}: {result}")
    return result


def start(*argv, user=None):
    """Start a program and return the subprocess.Popen, with pipes for the output; to run several at a time."""
    return subprocess.Popen(
        [str(arg) for arg in argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **_identity(user),
    )


def finish(process, deadline_sec=DEADLINE_SEC):
    """Wait for the end of a process of start()."""
    try:
        out, err = process.communicate(timeout=deadline_sec)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"{process.args} did not end in {deadline_sec} s") from None
    return Result(tuple(process.args), process.returncode, out, err)


def vgpuctl(*argv, **kwargs):
    return run("vgpuctl", *argv, **kwargs)


def vgpuctl_json(*argv, **kwargs):
    return json.loads(run("vgpuctl", "--json", *argv, **kwargs).out)


def in_child(function, user=None, deadline_sec=DEADLINE_SEC):
    """Call a function in a child process, optionally as another user, and return the result (JSON values). A D-Bus
    connection cannot be shared with a child: the function has to make a new one."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            if user is not None:
                become(user)
            answer = {"value": function()}
        except BaseException:  # pylint: disable=broad-except
            answer = {"error": traceback.format_exc()}
        with os.fdopen(writer, "w") as pipe:
            json.dump(answer, pipe)
        os._exit(0)
    os.close(writer)
    end = time.monotonic() + deadline_sec
    text = b""
    try:
        while True:
            if not select.select([reader], [], [], max(0.0, end - time.monotonic()))[0]:
                os.kill(pid, signal.SIGKILL)
                raise AssertionError(f"the child did not answer in {deadline_sec} s")
            data = os.read(reader, 65536)
            if not data:
                break
            text += data
    finally:
        os.close(reader)
        os.waitpid(pid, 0)
    answer = json.loads(text)
    if "error" in answer:
        raise AssertionError(f"in a child process: {answer['error']}")
    return answer["value"]


def become(user):
    """Gives this process the identity of another user, for good."""
    entry = pwd.getpwnam(user)
    os.setgroups(os.getgrouplist(user, entry.pw_gid))
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    os.environ.update(HOME=entry.pw_dir, USER=user, LOGNAME=user)
    os.chdir(entry.pw_dir)


# ---- mediated devices, straight from the kernel ------------------------------------------------------------


class MdevType(typing.NamedTuple):
    parent: str
    name: str
    description: typing.Optional[str]
    device_api: str
    available: int
    path: Path


def load(*modules):
    for module in modules:
        run("modprobe", module)


def unload(*modules):
    for module in modules:
        run("modprobe", "-r", module)


def _text(path):
    try:
        return path.read_text(encoding="utf-8").rstrip("\n")
    except FileNotFoundError:
        return None


def types():
    """{type id: MdevType} of all parents, read from /sys."""
    found = {}
    for path in MDEV_PARENTS.glob("*/mdev_supported_types/*"):
        found[path.name] = MdevType(
            path.parts[-3],
            _text(path / "name"),
            _text(path / "description"),
            _text(path / "device_api"),
            int(_text(path / "available_instances")),
            path,
        )
    return found


def devices():
    """{uuid: type id} of all mediated devices."""
    return {path.name: (path / "mdev_type").resolve().name for path in MDEV_DEVICES.glob("*")}


def write(path, text):
    """Write the text with one write(2), as sysfs requires; raises OSError with the kernel's answer."""
    fd = os.open(path, os.O_WRONLY)
    try:
        return os.write(fd, text.encode())
    finally:
        os.close(fd)


def create(type_id, uuid):
    """Makes a device behind vgpud's back."""
    write(next(MDEV_PARENTS.glob(f"*/mdev_supported_types/{type_id}")) / "create", uuid)


def remove(uuid):
    """Removes a device behind vgpud's back. Blocks while the device is open."""
    write(MDEV_DEVICES / uuid / "remove", "1")


def group_node(name):
    """The path of the VFIO group of a device, /dev/vfio/N; name is its UUID, or the address of a PCI function."""
    folder = PCI_DEVICES if ":" in name else MDEV_DEVICES
    return "/dev/vfio/" + (folder / name / "iommu_group").resolve().name


def names_of(device):
    """(vendor, model) of a PCI function in udev's database of hardware."""
    lines = run("udevadm", "info", "--query=property", device).out.splitlines()
    properties = dict(line.split("=", 1) for line in lines)
    return properties["ID_VENDOR_FROM_DATABASE"], properties["ID_MODEL_FROM_DATABASE"]


# ---- VFIO users --------------------------------------------------------------------------------------------


def _vfio(number):
    return ord(";") << 8 | 100 + number


VFIO_GET_API_VERSION = _vfio(0)
VFIO_SET_IOMMU = _vfio(2)
VFIO_GROUP_GET_STATUS = _vfio(3)
VFIO_GROUP_SET_CONTAINER = _vfio(4)
VFIO_GROUP_GET_DEVICE_FD = _vfio(6)
VFIO_DEVICE_GET_INFO = _vfio(7)
VFIO_TYPE1V2_IOMMU = 3


class VfioUser:
    """Uses a device (UUID or PCI address) like QEMU: holds the group open and, with device, the device too."""

    def __init__(self, name, device=False):
        with contextlib.ExitStack() as stack:
            self.group = self._open(stack, group_node(name))
            self.device = None
            if device:
                # Opening /dev/vfio/vfio requests this module, but does not wait until the module is loaded.
                load("vfio_iommu_type1")
                self.container = self._open(stack, "/dev/vfio/vfio")
                fcntl.ioctl(self.group, VFIO_GROUP_SET_CONTAINER, struct.pack("i", self.container))
                fcntl.ioctl(self.container, VFIO_SET_IOMMU, VFIO_TYPE1V2_IOMMU)
                # A mutable buffer makes ioctl() return the kernel's result: the new descriptor.
                self.device = fcntl.ioctl(
                    self.group, VFIO_GROUP_GET_DEVICE_FD, bytearray(name.encode() + b"\0")
                )
                stack.callback(os.close, self.device)
            self.stack = stack.pop_all()

    @staticmethod
    def _open(stack, path):
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        stack.callback(os.close, fd)
        return fd

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        self.stack.close()


class VfioProcess:
    """A VfioUser in a process of its own; kill() ends the process as a crash ends QEMU."""

    def __init__(self, name, device=False):
        reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                VfioUser(name, device)
                os.write(writer, b"+")
            except BaseException:  # pylint: disable=broad-except
                os.write(writer, traceback.format_exc().encode())
                os._exit(1)
            while True:
                signal.pause()
        os.close(writer)
        with os.fdopen(reader, "rb", buffering=0) as pipe:
            answer = pipe.read(65536)
        if answer != b"+":
            self.kill()
            raise AssertionError(f"cannot open {name}: {answer.decode()}")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.kill()

    def kill(self):
        if self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = None


# ---- uevents -----------------------------------------------------------------------------------------------

NETLINK_KOBJECT_UEVENT = 15
KERNEL_GROUP = 1
SO_RCVBUFFORCE = 33


class Uevents:
    """The kernel's own uevents, from the moment this object was made, each a dictionary (ACTION, DEVPATH,
    ...)."""

    def __init__(self):
        self.socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT
        )
        # Room for a burst of events that the case has not read yet.
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
        self.socket.bind((0, KERNEL_GROUP))
        self.seen = []

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.socket.close()

    def wait(self, deadline_sec=DEADLINE_SEC, **wanted):
        """The next event with these properties; earlier events are kept in `seen`."""
        end = time.monotonic() + deadline_sec
        while True:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                raise AssertionError(f"no uevent {wanted} in {deadline_sec} s; there were {self.seen}")
            fields = self.socket.recv(65536).split(b"\0")[1:]
            event = dict(field.decode().split("=", 1) for field in fields if b"=" in field)
            self.seen.append(event)
            if all(event.get(key) == value for key, value in wanted.items()):
                return event


# ---- hardware that comes and goes --------------------------------------------------------------------------

PORT = "/dev/virtio-ports/vm.hardware"
_PORT = []


def _wish(verb, name):
    """Request a hot-plug from machine.py, outside the guest."""
    if not _PORT:
        _PORT.append(os.open(PORT, os.O_RDWR | os.O_CLOEXEC))
    os.write(_PORT[0], json.dumps({verb: name}).encode() + b"\n")
    answer = b""
    while not answer.endswith(b"\n"):
        answer += os.read(_PORT[0], 4096)
    error = json.loads(answer).get("error")
    if error:
        raise AssertionError(f"{verb} {name}: {error}")


def plug(name):
    """Plug in the hardware named by the case's HARDWARE, and return the PCI address once the driver is bound."""
    with Uevents() as events:
        _wish("plug", name)
        address = events.wait(ACTION="bind", SUBSYSTEM="pci")["PCI_SLOT_NAME"]
    run("udevadm", "settle")
    return address


def pull(name):
    """Request the unplugging of the hardware, like an administrator, without waiting for its end."""
    _wish("unplug", name)


def unplug(name, address):
    """Unplug the hardware, and wait until the kernel has removed the device."""
    with Uevents() as events:
        pull(name)
        events.wait(ACTION="remove", SUBSYSTEM="pci", PCI_SLOT_NAME=address)


# ---- D-Bus -------------------------------------------------------------------------------------------------


def plain(value):
    """A D-Bus value as an ordinary Python value."""
    if isinstance(value, dbus.Boolean):
        return bool(value)
    if isinstance(value, dbus.ByteArray):
        return bytes(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(plain(item) for item in value)
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def rows(table):
    """The rows of a table of vgpud: a dictionary by column for each."""
    columns = {name: values for name, values in table.items() if isinstance(values, list)}
    return [dict(zip(columns, row)) for row in zip(*columns.values())]


def offers(answer):
    """The rows of ListTypes, each with the columns of its type, the name of its GPU, and its texts."""
    gpus, kinds, texts = rows(answer["gpus"]), rows(answer["types"]), answer["texts"]
    return [
        {
            **kinds[row["type"]],
            "gpu": gpus[row["gpu"]]["name"],
            "available": row["available"],
            "why_not": texts[row["why_not"]],
            "hint": texts[row["hint"]],
            "hint_id": texts[row["hint_id"]],
        }
        for row in rows(answer["offers"])
    ]


class Signal(typing.NamedTuple):
    path: str
    interface: str
    member: str
    args: list
    received: float  # time.monotonic()


class Answer:
    """The pending result of Bus.begin()."""

    def __init__(self):
        self.done = False
        self.value = None  # return values of the method
        self.error = None  # or the dbus.DBusException

    def succeeded(self, *values):
        self.done = True
        self.value = plain(values[0] if len(values) == 1 else values)

    def failed(self, error):
        self.done = True
        self.error = error

    def word(self):
        """ "done", or the last part of the error's name: for counting."""
        return "done" if self.error is None else self.error.get_dbus_name().rsplit(".", 1)[-1]


class Bus:
    """A connection of its own to the system bus."""

    def __init__(self, name=BUS_NAME):
        self.name = name
        self.bus = dbus.SystemBus(private=True, mainloop=dbus.mainloop.glib.DBusGMainLoop())
        self.bus.set_exit_on_disconnect(False)
        self.signals = []

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.bus.close()

    def call(self, path, interface, member, signature="", *args, deadline_sec=DEADLINE_SEC):
        """A method call; an error reply raises dbus.DBusException, see get_dbus_name()."""
        return plain(
            self.bus.call_blocking(self.name, path, interface, member, signature, args, timeout=deadline_sec)
        )

    def get(self, path, interface, name):
        return self.call(path, "org.freedesktop.DBus.Properties", "Get", "ss", interface, name)

    def objects(self, path=ROOT_PATH):
        """{path: {interface: {property: value}}} of the object manager."""
        return self.call(path, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")

    def types(self, gpu):
        """{id: columns of ListTypes} of the GPU with this path; empty when the GPU has gone."""
        try:
            answer = self.call(gpu, "org.vgpud1.Gpu", "ListTypes", "a{sv}", {})
        except dbus.DBusException as error:
            if error.get_dbus_name() != "org.freedesktop.DBus.Error.UnknownObject":
                raise
            return {}
        return {row["id"]: row for row in offers(answer)}

    def vfs(self, gpu):
        """The virtual functions of the GPU with this path: the rows of ListVfs."""
        return rows(self.call(gpu, "org.vgpud1.Gpu", "ListVfs", "a{sv}", {}))

    def hand_over(self, instance):
        """The answer of GetHandOver of the instance with this path."""
        return self.call(instance, "org.vgpud1.Instance", "GetHandOver", "a{sv}", {})

    def listen(self):
        """Keep the signals of this bus name for wait() from now on. The subscription is active on return."""
        self.bus.add_message_filter(self._filter)
        # add_match_string() returns after the bus has replied.
        self.bus.add_match_string(f"type='signal',sender='{self.name}'")
        return self

    def forget(self):
        """Drop all signals that were sent before the last answer."""
        while GLib.MainContext.default().iteration(False):
            pass
        self.signals.clear()

    def _filter(self, _, message):
        # The bus's own signals (NameAcquired) come unasked.
        if (
            isinstance(message, dbus.lowlevel.SignalMessage)
            and message.get_sender() != "org.freedesktop.DBus"
        ):
            self.signals.append(
                Signal(
                    message.get_path(),
                    message.get_interface(),
                    message.get_member(),
                    plain(message.get_args_list()),
                    time.monotonic(),
                )
            )
        return dbus.lowlevel.HANDLER_RESULT_NOT_YET_HANDLED

    def wait(self, wanted, deadline_sec=DEADLINE_SEC):
        """The first pending signal for which wanted(signal) is true. Removes all signals up to that one."""
        looked_at = 0

        def look():
            nonlocal looked_at
            for index in range(looked_at, len(self.signals)):
                found = self.signals[index]
                if wanted(found):
                    del self.signals[: index + 1]
                    return found
            looked_at = len(self.signals)
            return None

        return _iterate(look, lambda: f"no such signal; there were {self.signals}", deadline_sec)

    def begin(self, path, interface, member, signature="", *args, deadline_sec=DEADLINE_SEC):
        """Send a method call and return the Answer, which wait_answers() completes."""
        answer = Answer()
        self.bus.call_async(
            self.name,
            path,
            interface,
            member,
            signature,
            args,
            answer.succeeded,
            answer.failed,
            timeout=deadline_sec,
        )
        return answer

    def wait_answers(self, answers, number=None, deadline_sec=DEADLINE_SEC):
        """Wait until `number` of these answers (None: all) have come."""
        wanted = len(answers) if number is None else number
        _iterate(
            lambda: sum(answer.done for answer in answers) >= wanted,
            lambda: f"{sum(answer.done for answer in answers)} of {wanted} answers",
            deadline_sec,
        )

    def until(self, holds, deadline_sec=DEADLINE_SEC):
        """Waits until holds(Objects) is true, looking when called and after each signal; needs listen().
        Returns the Objects."""
        end = time.monotonic() + deadline_sec
        while True:
            self.signals.clear()
            found = Objects(self.objects())
            if holds(found):
                return found
            left = end - time.monotonic()
            if left <= 0:
                raise AssertionError(f"the condition did not hold within {deadline_sec} s; there is {found}")
            with contextlib.suppress(AssertionError):
                self.wait(lambda signal: True, left)


def _iterate(look, describe, deadline_sec):
    """Run the main loop until look() returns a true value; return the value."""
    context = GLib.MainContext.default()
    expired = []
    timer = GLib.timeout_add(int(deadline_sec * 1000), lambda: expired.append(True) or GLib.SOURCE_REMOVE)
    try:
        while True:
            found = look()
            if found:
                return found
            if expired:
                raise AssertionError(f"after {deadline_sec} s: {describe()}")
            context.iteration(True)
    finally:
        if not expired:
            GLib.source_remove(timer)


# ---- vgpud -------------------------------------------------------------------------------------------------

MANAGER = (ROOT_PATH, "org.vgpud1.Manager")
RECORDS = Path("/run/vgpud/instance")
DROP_INS = Path("/run/systemd/system/vgpud.service.d")


class Objects:
    """vgpud's objects at one moment: gpus and instances by name and UUID, jobs by number, each a dictionary
    of its properties."""

    def __init__(self, managed):
        def of(interface, key):
            return {
                interfaces[interface][key]: {**interfaces[interface], "Path": path}
                for path, interfaces in managed.items()
                if interface in interfaces
            }

        self.gpus = of("org.vgpud1.Gpu", "Name")
        self.instances = of("org.vgpud1.Instance", "Uuid")
        self.jobs = of("org.vgpud1.Job", "Id")

    def __str__(self):
        return f"GPUs {self.gpus}, instances {self.instances}, jobs {self.jobs}"

    def ready(self, *gpus):
        return all(self.gpus.get(name, {}).get("State") == "ready" for name in gpus)


def instance_path(uuid):
    return f"{ROOT_PATH}/instance/{uuid.replace('-', '_')}"


def error_name(name):
    """The D-Bus name of one of vgpud's errors."""
    return f"org.vgpud1.Error.{name}"


def records():
    """The UUIDs that vgpud has a record of."""
    return sorted(os.listdir(RECORDS)) if RECORDS.exists() else []


def writers(gpu):
    """The processes of vgpud-write that work for this GPU: each has the lock file of the lane open."""
    found = []
    for path in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if path.read_text(encoding="utf-8") == "vgpud-write\n":
                kept = [os.readlink(fd) for fd in path.parent.glob("fd/*")]
                if f"/run/vgpud/lane/{gpu}" in kept:
                    found.append(int(path.parent.name))
    return found


PIDFD_GETFD = 438  # number of the system call
WRITER_SOCKET_FD = 3  # drivers-glue/io/writer.h


def await_request(writer, deadline_sec=DEADLINE_SEC):
    """Wait until vgpud has sent a write to this stopped vgpud-write, and waits for the answer. Returns False if vgpud has
    closed the socket of the writer, because the writer was idle, and uses another one."""
    pidfd = os.pidfd_open(writer)
    fd = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, pidfd, WRITER_SOCKET_FD, 0)
    os.close(pidfd)
    if fd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    with socket.socket(fileno=fd) as requests:
        if not select.select([requests], [], [], deadline_sec)[0]:
            raise AssertionError(f"no request to the writer {writer} in {deadline_sec} s")
        return bool(requests.recv(1, socket.MSG_PEEK))


# ---- services ----------------------------------------------------------------------------------------------


def drop_in(name, text):
    """Add settings to vgpud's unit; effective at the next start."""
    DROP_INS.mkdir(parents=True, exist_ok=True)
    (DROP_INS / f"{name}.conf").write_text(text, encoding="utf-8")
    run("systemctl", "daemon-reload")


def journal(unit="vgpud.service"):
    """All entries of a unit in the journal, as dictionaries."""
    run("journalctl", "--sync")
    return [
        json.loads(line)
        for line in run("journalctl", "--no-pager", "-o", "json", "-u", unit).out.splitlines()
    ]


def field(path, name):
    """The number of a line "Name: number unit" of a file of /proc."""
    lines = Path(path).read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def main_pid(unit="vgpud.service"):
    return int(run("systemctl", "show", "--value", "-p", "MainPID", unit).out)


# ---- cases -------------------------------------------------------------------------------------------------


BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
KEPT = Path("/var/lib/vm/kept.json")
REBOOT = 75  # exit status that asks for a reboot; also in suite.py


class Case(unittest.TestCase):
    """A group of tests. The tests of a file share a guest and run in file order, so each has to clean up."""

    maxDiff = None
    nightly = False  # true: takes long, and is left out of the default run

    def load(self, *modules):
        """Load sample drivers until the end of the test, including their devices."""
        for module in modules:
            load(module)
            self.addCleanup(unload, module)

    @contextlib.contextmanager
    def assertErrno(self, code):  # pylint: disable=invalid-name
        """The block must fail with this errno from the kernel."""
        with self.assertRaises(OSError) as caught:
            yield
        if caught.exception.errno != code:
            raise AssertionError(
                f"expected {os.strerror(code)}, got {caught.exception}"
            ) from caught.exception

    @contextlib.contextmanager
    def assertBusError(self, name):  # pylint: disable=invalid-name
        """The block must raise this D-Bus error; the exception goes into the list that the block gets."""
        caught = []
        with self.assertRaises(dbus.DBusException) as context:
            yield caught
        caught.append(context.exception)
        self.assertEqual(context.exception.get_dbus_name(), name, context.exception.get_dbus_message())


class VgpudCase(Case):
    """Tests of a running vgpud, with these drivers loaded. Each test begins and ends without devices."""

    drivers = SAMPLES

    @classmethod
    def setUpClass(cls):
        load(*cls.drivers)
        cls.addClassCleanup(unload, *cls.drivers)
        # Restart: the start waits until the GPUs are known, while a running vgpud may have an old list.
        run("systemctl", "restart", "vgpud")
        cls.bus = cls.enterClassContext(Bus()).listen()
        cls.bus.until(lambda objects: objects.ready(*cls.drivers))

    def tearDown(self):
        for uuid in devices():
            remove(uuid)
        self.bus.until(lambda objects: not objects.instances and not objects.jobs)

    def objects(self):
        return Objects(self.bus.objects())

    def create(self, type_id, gpu="", **options):
        """Makes an instance by D-Bus and returns its UUID."""
        _, made = self.bus.call(*MANAGER, "Create", "ssa{sv}", gpu, type_id, {"wait": True, **options})
        return made[0]["uuid"]

    def create_with_writer(self, type_id, gpu, **options):
        """Create an instance, and return also the pid of the writer, which lives on for some seconds."""
        while True:
            uuid = self.create(type_id, gpu, **options)
            found = writers(gpu)
            if found:
                return uuid, found[0]
            # The writer has ended already, on a busy machine: try again.
            self.destroy(uuid)

    def destroy(self, uuid, **options):
        return self.bus.call(*MANAGER, "Destroy", "sa{sv}", uuid, {"wait": True, **options})

    def assertVgpuctlFails(self, status, name, *argv, user=None):  # pylint: disable=invalid-name
        """vgpuctl must fail with this exit status and D-Bus error; returns the message."""
        done = vgpuctl("--json", *argv, status=status, user=user)
        told = [json.loads(line)["error"] for line in done.err.splitlines()]
        self.assertEqual([item["name"] for item in told], [error_name(name)], str(done))
        self.assertEqual(told[0]["exit_status"], status)
        return told[0]["message"]

    def assertTruth(self):  # pylint: disable=invalid-name
        """vgpud shows the kernel's instances, and how many more instances of each type the kernel offers."""
        objects = self.objects()
        listed = offers(self.bus.call(*MANAGER, "ListTypes", "a{sv}", {}))
        self.assertEqual({uuid: item["Type"] for uuid, item in objects.instances.items()}, devices())
        self.assertEqual(
            {row["id"]: row["available"] for row in listed},
            {name: kind.available for name, kind in types().items()},
        )
        return objects


def kept_before():
    """The value that before_reboot() of the last RebootCase has returned."""
    return json.loads(KEPT.read_text(encoding="utf-8"))["before"]


class RebootCase(Case):
    """Tests of a guest that has just rebooted. before_reboot() runs in the boot before, after the tests of the classes
    further up; the guest reboots, and the tests find the returned value (JSON) in `before`. In before_reboot(), `before`
    is the value of the previous RebootCase."""

    before = None
    bus = None

    @classmethod
    def before_reboot(cls):
        return None

    @classmethod
    def keep(cls):
        """For main(): call before_reboot() and store the value on the disk."""
        if KEPT.exists():
            cls.before = kept_before()
        kept = {"boot": BOOT_ID.read_text(encoding="ascii"), "before": cls.before_reboot()}
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        KEPT.write_text(json.dumps(kept), encoding="utf-8")

    @classmethod
    def setUpClass(cls):
        kept = json.loads(KEPT.read_text(encoding="utf-8"))
        if kept["boot"] == BOOT_ID.read_text(encoding="ascii"):
            raise AssertionError("the guest has not rebooted")
        cls.before = kept["before"]
        # The agent is back before the last services have started. A failed service must not fail the case here.
        run("systemctl", "is-system-running", "--wait", status=None)
        cls.bus = cls.enterClassContext(Bus()).listen()


class _Loader(unittest.TestLoader):
    """Keeps classes and tests in the order of the file, inherited tests first."""

    def getTestCaseNames(self, testCaseClass):
        names = super().getTestCaseNames(testCaseClass)
        written = [name for item in reversed(testCaseClass.__mro__) for name in vars(item)]
        return sorted(names, key=written.index)

    def loadTestsFromModule(self, module, *_, **__):
        return self.suiteClass(
            self.loadTestsFromTestCase(item)
            for item in vars(module).values()
            if isinstance(item, type) and issubclass(item, Case)
        )


def _stages(names, nightly):
    """The tests to run in each boot, in the order of the file: lists of names (Class.test, or Class for all its tests).
    A stage begins with each RebootCase. Without names, long tests run only if `nightly`."""
    stages = [[]]
    for name, item in vars(sys.modules["__main__"]).items():
        if isinstance(item, type) and issubclass(item, Case) and _Loader().getTestCaseNames(item):
            whole = [name] if nightly or not item.nightly else []
            tests = [it for it in names if it.partition(".")[0] == name] if names else whole
            if tests and issubclass(item, RebootCase):
                stages.append([])
            stages[-1] += tests
    return stages


def main():
    """The last line of a case: runs all tests, or the ones named in the arguments (Class.test)."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--boot", type=int, default=0)
    parser.add_argument("--nightly", action="store_true")
    parser.add_argument("test", nargs="*")
    options = parser.parse_args()
    stages = _stages(options.test, options.nightly)
    if stages[options.boot]:
        program = unittest.main(
            module="__main__",
            testLoader=_Loader(),
            verbosity=2,
            argv=["case", *stages[options.boot]],
            exit=False,
        )
        if not program.result.wasSuccessful():
            sys.exit(1)
    if options.boot + 1 < len(stages):
        coming = getattr(sys.modules["__main__"], stages[options.boot + 1][0].partition(".")[0])
        coming.keep()
        sys.exit(REBOOT)
