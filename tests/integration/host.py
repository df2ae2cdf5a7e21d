# SPDX-License-Identifier: LGPL-2.1-or-later
"""The whole program for a test: a private system bus with the project's policy, a simulated host, vgpud, and a mock
polkitd if wanted. A test must leave behind no process, mount or directory, no complaint of a sanitizer, and no signal
that contradicts the XML or the daemon.

$VGPUD_BUILD names the build folder; the default is the newest one."""

import contextlib
import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

from gi.repository import Gio, GLib

import bus

TOP = bus.TOP
sys.path.insert(0, str(TOP / "tests" / "simhost"))

import simhost  # noqa: E402  pylint: disable=wrong-import-position

NOBODY = 65534
DAEMON = 1  # the user "daemon", with a fixed id in Debian
PR_SET_CHILD_SUBREAPER = 36
SANITIZER = re.compile(r"(Address|Leak|Thread|UndefinedBehavior)Sanitizer|runtime error:|== ?ERROR")
POLKIT = "org.freedesktop.PolicyKit1"
POLKIT_PATH = "/org/freedesktop/PolicyKit1/Authority"

# Names of the GPUs of the models.
GVT = "0000:00:02.0"
A2 = "0000:08:00.0"
S0 = "0000:11:00.0"
S1 = "0000:21:00.0"
V5_8, V5_4, V5_2, V5_1 = (f"i915-GVTg_V5_{n}" for n in (8, 4, 2, 1))


def build_directory():
    if os.environ.get("VGPUD_BUILD"):
        return pathlib.Path(os.environ["VGPUD_BUILD"]).resolve()
    found = [p for p in TOP.glob("build*/vgpud") if p.is_file()]
    if not found:
        sys.exit("no build folder has vgpud; set VGPUD_BUILD, or run 'meson setup build && ninja -C build'")
    return max(found, key=lambda p: p.stat().st_mtime).parent


BUILD = build_directory()
os.environ.setdefault("SIMHOST", str(BUILD / "tests" / "simhost" / "simhost"))


def sanitizers():
    options = json.loads((BUILD / "meson-info" / "intro-buildoptions.json").read_text("utf-8"))
    return next(o["value"] for o in options if o["name"] == "b_sanitize").split(",")


IS_ASAN = "address" in sanitizers()


def asan_library():
    """The path of the address sanitizer. It must be the first library, so LD_PRELOAD must name it first."""
    listing = subprocess.run(["ldd", str(BUILD / "vgpud")], capture_output=True, text=True, check=True).stdout
    return re.search(r"=> (\S*libasan\S*)", listing).group(1)


def uuid(number):
    """A recognizable UUID; the same number gives the same UUID."""
    return f"{number:08x}-1111-4222-8333-{number:012x}"


def children():
    found = []
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError):
            found += pathlib.Path(f"/proc/self/task/{task}/children").read_text("ascii").split()
    return [int(pid) for pid in found]


def command_of(pid):
    with contextlib.suppress(OSError):
        status = pathlib.Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
        text = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        return f"{pid} ({status}) {text}"
    return None


def reap():
    """Reap ended orphans. Call only after each Popen has been waited for, because its status would be lost here."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def bus_configuration(directory, lax=False):
    """Write the machine's own system bus configuration, with another address and only the policies of vgpud and the mock
    polkitd. lax: vgpud's policy has no mandatory rules."""
    tree = ElementTree.parse("/usr/share/dbus-1/system.conf")
    root = tree.getroot()
    for name in ("user", "fork", "keep_umask", "syslog", "pidfile", "listen", "standard_system_servicedirs", "servicedir",
                 "servicehelper", "include", "includedir"):
        for element in root.findall(name):
            root.remove(element)
    ElementTree.SubElement(root, "listen").text = f"unix:path={directory}/bus"
    policy = pathlib.Path(directory) / "policy.conf"
    text = (TOP / "dbus" / "org.vgpud1.conf").read_text("utf-8")
    policy.write_text(re.sub(r"<policy context=\"mandatory\">.*?</policy>", "", text, flags=re.DOTALL) if lax else text, "utf-8")
    ElementTree.SubElement(root, "include").text = str(policy)
    # These two rules are copies from polkitd's own policy.
    owner = ElementTree.SubElement(root, "policy", user="root")
    ElementTree.SubElement(owner, "allow", own=POLKIT)
    everybody = ElementTree.SubElement(root, "policy", context="default")
    ElementTree.SubElement(everybody, "allow", send_destination=POLKIT)
    header = ('<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN" '
              '"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">\n')
    path = pathlib.Path(directory) / "bus.conf"
    path.write_text(header + ElementTree.tostring(root, encoding="unicode"), "utf-8")
    return path


class Result:
    """The result of a run of vgpuctl."""

    def __init__(self, status, out, err):
        self.status = status
        self.out = out
        self.err = err

    def json(self):
        return json.loads(self.out)

    def error(self):
        """The error that a run with --json printed."""
        return json.loads(self.err)["error"]

    def __repr__(self):
        return f"vgpuctl: {self.status}\n{self.out}{self.err}"


class Polkit:
    """python-dbusmock's polkitd, on a host's bus. The default answer is a refusal."""

    def __init__(self, host):
        self.host = host
        self.process = host.spawn(
            ["/usr/bin/python3", "-m", "dbusmock", "--system", "--template", str(TOP / "tests" / "integration" / "polkitd.py")],
            "polkitd.log")
        if not host.bus.await_name(POLKIT, lambda: self.process.poll() is None):
            raise AssertionError(f"the mock polkitd ended: {host.read('polkitd.log')}")

    def mock(self, member, signature, *arguments, reply=None):
        return self.host.bus.call(POLKIT_PATH, "org.freedesktop.DBus.Mock", member,
                                  GLib.Variant(signature, arguments), reply, service=POLKIT)

    def allow(self, *actions):
        self.mock("SetAllowed", "(as)", [f"org.vgpud1.{a}" for a in actions])

    def allow_unknown(self, yes):
        self.mock("AllowUnknown", "(b)", yes)

    def hang(self, yes=True):
        self.mock("SimulateHang", "(b)", yes)

    def is_hanging(self):
        return bool(self.mock("HaveHangingCalls", "()", reply="(b)"))

    def release(self):
        self.mock("ReleaseHangingCalls", "()")

    def stop(self):
        self.host.end(self.process)


class Monitor:
    """The traffic to polkit, seen by busctl's monitor. messages(): JSON as busctl writes."""

    def __init__(self, host):
        self.host = host
        self.process = host.spawn(
            ["busctl", f"--address={host.address}", "--json=short", "--match",
             f"type='method_call',destination='{POLKIT}'", "monitor"], "monitor.log", "monitor.json")
        # Without a terminal, newer versions of busctl do not announce that they listen.
        bus.wait(lambda: self.hears_ping() or self.process.poll() is not None, "the monitor")
        if self.process.poll() is not None:
            raise AssertionError(f"busctl ended with {self.process.returncode}: {host.read('monitor.log')}")

    def hears_ping(self):
        """Send another Ping to polkit; return the Pings so far that the monitor has printed."""
        ping = Gio.DBusMessage.new_method_call(POLKIT, POLKIT_PATH, "org.freedesktop.DBus.Peer", "Ping")
        ping.set_flags(Gio.DBusMessageFlags.NO_REPLY_EXPECTED)
        self.host.bus.gio.send_message(ping, Gio.DBusSendMessageFlags.NONE)
        return self.messages("Ping")

    def messages(self, member):
        """The calls of this member so far. A line without its newline is incomplete, and is left out."""
        lines = self.host.read("monitor.json").split("\n")[:-1]
        return [m for m in map(json.loads, lines) if m.get("member") == member]

    def questions(self):
        """The questions to polkit: {subject, action, details, flags, cancellation}."""
        keys = ("subject", "action", "details", "flags", "cancellation")
        return [dict(zip(keys, m["payload"]["data"])) for m in self.messages("CheckAuthorization")]

    def await_questions(self, count):
        """Wait until there are exactly `count` questions. Until then the test makes no further call that needs polkit."""
        return bus.wait(lambda: len(self.questions()) == count and self.questions(), f"{count} questions")

    def cancelled(self):
        return [m["payload"]["data"][0] for m in self.messages("CancelCheckAuthorization")]


class Host:
    """A running host.

    models, faults, options: of simhost; config: {"jobs": {"timeout": "1s"}}, or the text of vgpud.conf; dropins:
    {name: text}; polkit: whether a mock polkitd runs; start: whether vgpud starts; broker: whether dbus-broker is the
    bus; lax: see bus_configuration(). Only one host exists at a time: the check for leftovers looks at the children of
    this process."""

    is_open = False

    def __init__(self, models=("gvt-g",), faults=(), config=None, dropins=None, options=(), polkit=False, start=True,
                 broker=False, lax=False):
        if Host.is_open:
            raise RuntimeError("close the other host first")
        Host.is_open = True
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="vgpud-test-", dir="/tmp"))
        self.address = f"unix:path={self.directory}/bus"
        self.runtime = self.directory / "run"
        self.state = self.directory / "state"
        self.config = self.directory / "etc"
        self.definitions = self.directory / "definitions"  # the root of etc/libvirt and etc/mdevctl.d
        self.environment = dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=self.address, TMPDIR=str(self.directory), LC_ALL="C.UTF-8")
        self.environment.pop("LISTEN_FDS", None)
        self.environment.pop("JOURNAL_STREAM", None)
        options_of = {"ASAN_OPTIONS": "abort_on_error=0:detect_stack_use_after_return=1:strict_string_checks=1",
                      "UBSAN_OPTIONS": "print_stacktrace=1", "LSAN_OPTIONS": "report_objects=1"}
        for name, value in options_of.items():
            self.environment[name] = ":".join(filter(None, [value, os.environ.get(name)]))
        self.processes = []
        self.clients = []
        self.sim = None
        self.bus = None
        self.mirror = None
        self.vgpud = None
        self.polkit = None
        self.runs = 0
        self.preload = []  # libraries that the test loads into vgpud
        self.texts = []  # logs of ended daemons
        self.closed = False
        try:
            self.set_up(models, faults, config, dropins or {}, options, polkit, start, broker, lax)
        except BaseException:
            print(self.describe())
            self.discard()
            raise

    # ---- beginning and end ----

    def set_up(self, models, faults, config, dropins, options, polkit, start, broker, lax):
        if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            raise OSError("prctl")
        os.chmod(self.directory, 0o755)
        self.configure(config, dropins)
        configuration = str(bus_configuration(self.directory, lax))
        command = ["dbus-daemon", f"--config-file={configuration}", "--nofork", "--nopidfile", "--print-address=1"]
        if broker:
            command = ["/usr/bin/python3", str(TOP / "tests" / "hostile" / "broker.py"), f"{self.directory}/bus", configuration]
        daemon = self.spawn(command, "bus.log", "bus.address")
        bus.wait(lambda: self.read("bus.address") or daemon.poll() is not None, "the bus")
        self.bus_process = daemon
        self.bus = self.client()
        before = os.environ.get("TMPDIR")
        os.environ["TMPDIR"] = str(self.directory)
        try:
            # /proc shows the processes of all hosts that run side by side, so their VFIO nodes need different names.
            numbers = f"--first-group={os.getpid() % 100000 * 8192}"
            self.sim = simhost.Host(list(models), list(faults), [numbers, *options])
            self.sim.__enter__()
        finally:
            if before is None:
                del os.environ["TMPDIR"]
            else:
                os.environ["TMPDIR"] = before
        if polkit:
            self.polkit = Polkit(self)
        if start:
            self.start()

    def configure(self, config, dropins=None):
        """Write vgpud.conf, for the next start of vgpud."""
        if isinstance(config, dict):
            config = "".join(f"[{section}]\n" + "".join(f"{k}={v}\n" for k, v in keys.items())
                             for section, keys in config.items())
        (self.config / "vgpud.conf.d").mkdir(parents=True, exist_ok=True)
        if config is not None:
            (self.config / "vgpud.conf").write_text(config, "utf-8")
        for name, text in (dropins or {}).items():
            (self.config / "vgpud.conf.d" / name).write_text(text, "utf-8")

    def spawn(self, command, log, out=None, environment=None, popen=subprocess.Popen):
        """Start a process, whose output goes to files of the host. end() or the end of the host stops the process."""
        with contextlib.ExitStack() as files:
            error = files.enter_context(open(self.directory / log, "ab"))
            output = files.enter_context(open(self.directory / out, "ab")) if out else error
            process = popen(command, env=environment or self.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=error)
        self.processes.append(process)
        return process

    def daemon_command(self, *more):
        tools = self.sim.tools()
        command = [str(BUILD / "vgpud"), f"--config-directory={self.config}", f"--runtime-directory={self.runtime}",
                   f"--state-directory={self.state}",
                   f"--writer={BUILD}/drivers-glue/vgpud-write", f"--nvml={tools['vgpud-nvml']}",
                   f"--systemctl={tools['systemctl']}",  # a stand-in, never the real systemctl
                   f"--modules={TOP}/tests/simhost/modules", f"--definitions={self.definitions}",
                   *more]
        if self.preload or (IS_ASAN and self.sim.environment.get("LD_PRELOAD")):
            command = ["env", f"LD_PRELOAD={':'.join(self.preload_libraries())}", *command]
        if self.sim.environment.get("LD_PRELOAD") and self.runs > 0:
            # umockdev sends a monitor's events to the first daemon whose monitor had the same descriptor number: give
            # each daemon another number.
            files = " ".join(f"{fd}</dev/null" for fd in range(3, 3 + self.runs))
            command = ["bash", "-c", f"exec {files}; exec \"$@\"", "vgpud", *command]
        return command

    def preload_libraries(self):
        """Libraries for vgpud: the sanitizer, those of the test, and that of the simulated host."""
        return [*([asan_library()] if IS_ASAN else []), *self.preload, *filter(None, [self.sim.environment.get("LD_PRELOAD")])]

    def launch(self, *more):
        """Start vgpud without waiting."""
        command = self.daemon_command(*more)
        self.runs += 1
        self.vgpud = self.spawn(command, f"vgpud-{self.runs}.log", popen=self.sim.popen)
        return self.vgpud

    def start(self, *more, mirror=True):
        """Start vgpud and wait for the name on the bus."""
        process = self.launch(*more)
        if not self.bus.await_name(bus.SERVICE, lambda: process.poll() is None):
            raise AssertionError(f"vgpud ended with {process.returncode}")
        if mirror:
            self.mirror = bus.Mirror(self.bus)
        return process

    def end(self, process, number=signal.SIGTERM, seconds=bus.DEADLINE):
        """End a process of spawn(); return the status."""
        if process.poll() is None:
            process.send_signal(number)
        bus.wait(lambda: process.poll() is not None, f"the end of {process.args[0]}", seconds)
        if process in self.processes:
            self.processes.remove(process)
        return process.returncode

    def stop(self, seconds=bus.DEADLINE):
        """Stop vgpud like systemd does; fail if the stop is not clean."""
        process = self.vgpud
        status = self.end(process, seconds=seconds)
        self.check_log()
        self.forget()
        if status != 0:
            raise AssertionError(f"vgpud ended with {status}")

    def boot(self):
        """Restart vgpud as after a boot of the host that keeps the GPUs: the runtime directory knows no wanted definitions."""
        self.stop()
        shutil.rmtree(self.runtime / "wanted")
        self.start()

    def kill(self):
        """Send SIGKILL."""
        self.end(self.vgpud, signal.SIGKILL)
        self.forget()

    def forget(self):
        self.vgpud = None
        if not self.bus.gio.is_closed():
            bus.wait(lambda: not self.bus.name_owner(bus.SERVICE), "the bus has noticed that vgpud has gone")
        if self.mirror:
            self.mirror.close()
            self.check_mirror()
            self.mirror = None

    def check_mirror(self):
        if self.mirror.complaints:
            raise AssertionError("signals are not as the XML says:\n" + "\n".join(self.mirror.complaints))

    def check_log(self):
        if SANITIZER.search(self.log()):
            raise AssertionError("a sanitizer complains")

    def settle(self):
        """Wait until the signals agree with the daemon."""
        try:
            bus.wait(self.mirror.is_true, "signals and objects agree")
        except bus.Timeout as error:
            raise AssertionError("\n".join(["signals and objects differ:", *self.mirror.differences()])) from error

    def close(self):
        """Take everything down; raise on any fault."""
        if self.closed:
            return
        self.closed = True
        wrong = []

        def attempt(step):
            try:
                step()
            except Exception as error:  # pylint: disable=broad-except
                wrong.append(f"{type(error).__name__}: {error}")

        with contextlib.suppress(Exception):
            self.sim.ctl("fault", "clear")
            self.sim.ctl("release")
        if self.vgpud and self.vgpud.poll() is None and self.bus_process.poll() is None and self.mirror:
            attempt(self.settle)
        if self.vgpud:
            attempt(self.stop)
        attempt(self.check_log)
        for client in self.clients:
            attempt(client.close)
        attempt(self.discard)
        if wrong:
            raise AssertionError("\n".join(wrong))

    def discard(self):
        """End all remaining processes, and remove the folder of the host; raise if something was left."""
        Host.is_open = False
        wrong = []
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(bus.DEADLINE)
                except subprocess.TimeoutExpired:
                    wrong.append(f"does not end: {command_of(process.pid)}")
                    process.kill()
        if self.sim and self.sim.process:
            self.sim.__exit__()
        for process in self.processes:
            process.wait()
        wrong += self.leftovers()
        shutil.rmtree(self.directory, ignore_errors=True)
        if wrong:
            raise AssertionError("\n".join(wrong))

    def leftovers(self):
        """End the processes that are left, and return a complaint about each thing that is left. Orphans are children
        of this process, which is the subreaper of all processes of the host."""
        wrong = []

        def are_gone():
            reap()
            return not children()

        try:
            bus.wait(are_gone, "no process is left")
        except bus.Timeout:
            for pid in children():
                wrong.append(f"left: {command_of(pid)}")
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        if str(self.directory) in pathlib.Path("/proc/self/mountinfo").read_text("utf-8"):
            wrong.append(f"something is mounted below {self.directory}")
        known = {"bus", "bus.conf", "policy.conf", "etc", "definitions", "run", "state", "vgpuctl"}
        for name in os.listdir(self.directory):
            if name not in known and not name.endswith((".log", ".json", ".address")):
                wrong.append(f"left: {self.directory}/{name}")
        left = [p for p in self.runtime.rglob("*") if p.is_file() and p.parent.name == "instance" and p.name.startswith(".")]
        wrong += [f"left: {p}" for p in left]
        return wrong

    # ---- helpers of tests ----

    def client(self, uid=None):
        connection = bus.Connection(self.address, uid)
        self.clients.append(connection)
        return connection

    def read(self, name):
        try:
            return (self.directory / name).read_text("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def log(self):
        """The logs of all daemons of the host, the newest last."""
        return "".join(self.read(f"vgpud-{i}.log") for i in range(1, self.runs + 1))

    def await_log(self, text):
        bus.wait(lambda: text in self.log(), f"\"{text}\" in the log")

    def records(self):
        """{UUID: text} of the records of instances."""
        directory = self.runtime / "instance"
        return {p.name: p.read_text("utf-8") for p in directory.iterdir()} if directory.exists() else {}

    def program(self):
        """A copy of vgpuctl in a path open to every user."""
        path = self.directory / "vgpuctl"
        if not path.exists():
            shutil.copy(BUILD / "cli" / "vgpuctl", path)
            os.chmod(path, 0o755)
        return path

    def start_vgpuctl(self, *words, uid=None):
        return subprocess.Popen([str(self.program()), *words], env=self.environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, user=uid, cwd="/")

    @staticmethod
    def end_vgpuctl(process, seconds=bus.DEADLINE):
        out, err = process.communicate(timeout=seconds)
        if SANITIZER.search(err):
            raise AssertionError(err)
        return Result(process.returncode, out, err)

    def vgpuctl(self, *words, uid=None):
        return self.end_vgpuctl(self.start_vgpuctl(*words, uid=uid))

    def foreign(self, parent, type_name, number):
        """Create a foreign device."""
        self.sim.ctl("create", parent, type_name, uuid(number))
        return uuid(number)

    def hanging(self, count):
        bus.wait(lambda: self.sim.ctl("hanging") == [str(count)], f"{count} requests hang")

    def pass_barrier(self):
        """Wait until the daemon has discovered the current devices. The model "samples" is required: only a discovery
        that began after the previous events can see the loss of mbochs."""
        for command, is_there in (("unregister", False), ("register", True)):
            self.sim.ctl(command, "mbochs")
            bus.wait(lambda t=is_there: bool(self.mirror.gpu("mbochs")) == t, f"vgpud has seen {command} of mbochs")
        bus.wait(lambda: all(g["State"] != "new" and g["Job"] == "/" for g in self.bus.gpus().values()), "every GPU is scanned, and no job runs")

    def tree(self):
        """The UUIDs of all devices of the kernel."""
        return set(self.sim.run(["ls", "/sys/bus/mdev/devices"], capture_output=True).stdout.split())

    def writes(self, *names):
        """The writes so far to attributes with these names: (result, path below the device or type, value)."""
        found = []
        for result, path, value in self.sim.writes():
            if path.rpartition("/")[2] in names:
                found.append((result, "/".join(path.split("/")[-2:]), value))
        return found

    def resident_kib(self):
        text = pathlib.Path(f"/proc/{self.vgpud.pid}/status").read_text("ascii")
        return int(re.search(r"VmRSS:\s+(\d+) kB", text).group(1))

    def await_open_files(self, most):
        """Wait until the daemon has at most this number of files open: a lane that has nothing to do closes its writer
        and its folders of /sys."""
        bus.wait(lambda: self.open_files() <= most, f"at most {most} open files")

    def open_files(self):
        return len(os.listdir(f"/proc/{self.vgpud.pid}/fd"))

    def threads(self):
        return len(os.listdir(f"/proc/{self.vgpud.pid}/task"))

    def describe(self):
        """Details for the analysis of a failure."""
        parts = []
        for name in [*(f"vgpud-{i}.log" for i in range(1, self.runs + 1)), "polkitd.log", "bus.log"]:
            text = self.read(name)
            if text:
                found = SANITIZER.search(text)
                lines = text[found.start():].splitlines()[:80] if found else text.splitlines()[-60:]
                parts.append(f"---- {name}\n" + "\n".join(lines))
        if self.mirror and self.mirror.complaints:
            parts.append("---- complaints\n" + "\n".join(self.mirror.complaints))
        return "\n".join(parts)


class HostTest(unittest.TestCase):
    """A test with hosts; the cleanup closes the hosts and checks for leftovers."""

    def setUp(self):
        self.hosts = []

    def host(self, *models, **more):
        host = Host(models or ("gvt-g",), **more)
        self.hosts.append(host)
        self.addCleanup(host.close)
        return host

    def assert_becomes(self, expected, get):
        """Wait until get() returns the expected value."""
        with contextlib.suppress(bus.Timeout):
            bus.wait(lambda: get() == expected)
        self.assertEqual(get(), expected)

    def kill_in(self, h, fault, start):
        """Kill vgpud while the write of start() hangs in the kernel, release the kernel, and start another daemon."""
        h.sim.fault(f"{fault}:hang:1")
        start()
        h.hanging(1)
        h.kill()
        h.sim.ctl("fault", "clear")
        h.sim.ctl("release")
        h.start()
        bus.wait(lambda: all(g["State"] not in ("new", "stuck") and g["Job"] == "/" and not g["QueuedJobs"]
                             for g in h.bus.gpus().values()), "vgpud has scanned all GPUs")

    def assert_error(self, name, pending_or_call, *words, hint=None):
        """Check that the call ends with this error, whose message has these words. `hint`: the id of the hint, "" for
        none."""
        with self.assertRaises(bus.Error) as caught:
            if callable(pending_or_call):
                pending_or_call()
            else:
                pending_or_call.result()
        self.assertEqual(caught.exception.name, name, caught.exception.message)
        if hint is not None:
            self.assertEqual(caught.exception.hint_id, hint, caught.exception.message)
        for word in words:
            self.assertIn(word, caught.exception.message)
        return caught.exception.message
