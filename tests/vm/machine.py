# SPDX-License-Identifier: LGPL-2.1-or-later
"""One guest: the QEMU process, the channel to the agent in the guest, hot-plug of devices, and saving and resuming of
whole machines.

Booting takes about ten seconds with emulation; resuming a saved machine takes one. A saved machine is two files
(store.py). It can be resumed only with the same devices, and only by the same QEMU, or by a newer QEMU that emulates the
same machine version. So the name of a saved machine contains `fingerprint()`."""

import contextlib
import fcntl
import json
import os
import re
import secrets
import select
import shlex
import shutil
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path

import store

QEMU = "qemu-system-x86_64"
# Emulation is the default: it works everywhere, and no case may depend on KVM.
ACCEL = os.environ.get("VGPUD_VM_ACCEL", "tcg,thread=multi")
# cmpxchg16b is off: QEMU 7.2 leaves undefined bits in the flags after the instruction, and an interrupt at that moment
# makes the bits take effect. The kernel's allocator uses cmpxchg16b if present, so the guest would crash now and
# then.
CPU = "max,-cx16" if ACCEL.startswith("tcg") else "host"

# no_timer_check: at boot the kernel expects ten timer interrupts within a time measured by the TSC, and panics without
# them. The TSC goes on when a busy machine does not let QEMU run.
KERNEL_ARGUMENTS = (
    "console=ttyS0 root=/dev/vda rw quiet loglevel=4 mitigations=off net.ifnames=0 audit=0 random.trust_cpu=on "
    "panic=-1 oops=panic systemd.show_status=0 no_timer_check"
)

# An emulated IOMMU gives every PCI function an IOMMU group. The two displays are GPUs with drivers and without virtual
# GPUs; udev's database knows the name of the second. The root ports are free for hot-plug; the NVMe subsystem must
# exist before an NVMe controller.
DEVICES = """
    -nodefaults -no-user-config -display none -machine q35 -smp 2 -m 1024 -rtc base=utc -no-reboot
    -device intel-iommu,intremap=on,caching-mode=on
    -device virtio-serial-pci -device virtio-rng-pci
    -device bochs-display -device virtio-gpu-pci
    -device pcie-root-port,id=rp0,chassis=1,slot=1 -device pcie-root-port,id=rp1,chassis=2,slot=2
    -device nvme-subsys,id=subsystem
""".split()

# Hot-plug devices by name, as arguments of device_add. Each has virtual functions: the controller at most four, the
# network card seven, a limit of its driver.
HARDWARE = {
    "nvme": {
        "driver": "nvme",
        "bus": "rp0",
        "serial": "1",
        "subsys": "subsystem",
        "sriov_max_vfs": 4,
        "sriov_vq_flexible": 8,
        "sriov_vi_flexible": 4,
        "max_ioqpairs": 12,
        "msix_qsize": 8,
    },
    "igb": {"driver": "igb", "bus": "rp1"},
}

# Shared folders of the guest; both devices always exist, because a saved machine needs the same devices.
TAGS = ("share", "out")


# Running machines, for end_all().
_RUNNING = set()


class MachineError(Exception):
    """An error of the test machinery, not of the program under test."""


class TimedOut(MachineError):
    """The guest did not finish in time."""


def end_all():
    """End every guest of this process at once; waiting threads get a MachineError."""
    for qemu in list(_RUNNING):
        qemu.kill()


def fingerprint():
    """Hash of a saved machine's dependencies except the image."""
    version = subprocess.run([QEMU, "--version"], stdout=subprocess.PIPE, check=True, text=True).stdout
    return store.digest(version, ACCEL, CPU, KERNEL_ARGUMENTS, *DEVICES, *TAGS)


def _ask_qemu(qemu, *arguments):
    done = subprocess.run(
        [*qemu[0], *arguments],
        check=False,
        env=qemu[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode != 0:
        raise MachineError(f"{qemu[0][0]} ended with status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def _own_qemu():
    """(argv, environment) of this machine's QEMU."""
    return [QEMU], None


def _newer_qemu():
    """(argv, environment) of the QEMU that tests/vm/build has unpacked."""
    root = store.NEWER_QEMU
    argv = [str(root / "usr/bin" / QEMU)]
    for part in ("qemu", "seabios"):
        argv += ["-L", str(root / "usr/share" / part)]
    libraries = root / "usr/lib/x86_64-linux-gnu"
    return argv, {**os.environ, "QEMU_MODULE_DIR": str(libraries / "qemu"), "LD_LIBRARY_PATH": str(libraries)}


def _qemu_that_has(hardware):
    """(argv, environment, machine type) of the oldest QEMU at hand with this device (None: any)."""
    own = _own_qemu()
    driver = HARDWARE[hardware]["driver"] if hardware else ""

    def fits(qemu):
        # Ask for one device, not for a list of all: for a list, QEMU loads every module, even those of another QEMU.
        return _ask_qemu(qemu, "-device", f"{driver},help").startswith(f"{driver} options")

    if not driver or fits(own):
        return *own, "q35"
    newer = _newer_qemu()
    if not store.stamp("qemu") or not fits(newer):
        raise MachineError(
            f"this machine's QEMU has no {driver} and there is no newer one in {store.NEWER_QEMU}: run tests/vm/build, "
            "which gets one or says why it cannot"
        )
    # "q35" in the older QEMU is an alias of the saved machine version.
    return *newer, re.search(r"^q35 .*\(alias of (\S+)\)", _ask_qemu(own, "-machine", "help"), re.M)[1]


class Machine:
    """A guest that runs until the end of the `with` block. The disk is deleted then, unless save() kept it.

    state names the saved machine to resume; by default the guest boots. folders maps tags (TAGS) to folders of this
    machine, mounted in the guest at /mnt/TAG while a command runs. hardware names the device to be plugged later
    (HARDWARE), so that a QEMU with that device is chosen."""

    def __init__(self, kernel, state=None, folders=None, timeout=300, hardware=None):
        self.kernel = kernel
        self.state = state
        self.folders = {tag: str(Path(path).resolve()) for tag, path in (folders or {}).items()}
        self.end = time.monotonic() + timeout
        self.pending = b""
        self.busy = False
        self.answers = None
        self.disk = None
        self.wishes = b""
        self.leaving = set()
        self.argv, self.environment, self.type = _qemu_that_has(hardware)
        with contextlib.ExitStack() as stack:
            # Wait while tests/vm/build makes the image anew.
            stack.enter_context(store.lock(shared=True))
            self.work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vgpud-vm-")))
            self.console = self.work / "console"
            self._start(stack)
            self._wait_ready()
            self.stack = stack.pop_all()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.stack.close()

    def _start(self, stack):
        name = self.kernel
        image = store.release_of(name).image
        base = store.STATES / f"{self.state}.qcow2" if self.state else image / "root.qcow2"
        self.disk = self.work / "disk.qcow2"
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, self.disk], check=True
        )
        self.agent, agent = socket.socketpair()
        self.port, port = socket.socketpair()
        self.monitor, monitor = socket.socketpair()
        for end in (self.agent, agent, self.port, port, self.monitor, monitor):
            stack.enter_context(end)
        argv = [
            *self.argv,
            *[self.type if part == "q35" else part for part in DEVICES],
            "-accel",
            ACCEL,
            "-cpu",
            CPU,
            "-chardev",
            f"file,id=console,path={self.console}",
            "-serial",
            "chardev:console",
            "-chardev",
            f"socket,id=monitor,fd={monitor.fileno()}",
            "-mon",
            "chardev=monitor,mode=control",
            "-chardev",
            f"socket,id=agent,fd={agent.fileno()}",
            "-device",
            "virtserialport,chardev=agent,name=vm.agent",
            "-chardev",
            f"socket,id=hardware,fd={port.fileno()}",
            "-device",
            "virtserialport,chardev=hardware,name=vm.hardware",
            "-drive",
            f"file={self.disk},format=qcow2,if=none,id=disk,cache=unsafe,discard=unmap",
            "-device",
            "virtio-blk-pci,drive=disk",
            "-kernel",
            str(image / f"vmlinux-{name}"),
            "-initrd",
            str(image / f"initrd-{name}.img"),
            "-append",
            KERNEL_ARGUMENTS,
        ]
        for tag in TAGS:
            path = self.folders.get(tag)
            if path is None:
                path = self.work / f"no-{tag}"
                path.mkdir()
            path = str(path).replace(",", ",,")
            argv += [
                "-fsdev",
                f"local,id={tag},path={path},security_model=none,multidevs=remap",
                "-device",
                f"virtio-9p-pci,fsdev={tag},mount_tag={tag}",
            ]
        if self.state:
            argv += ["-incoming", f"exec:zstd -dcq {shlex.quote(str(store.STATES / self.state))}.zst"]
        # QEMU must not outlive this process in any case.
        self.log = stack.enter_context(open(self.work / "qemu.log", "w+", encoding="utf-8", errors="replace"))
        self.qemu = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *argv],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            pass_fds=(agent.fileno(), port.fileno(), monitor.fileno()),
        )
        _RUNNING.add(self.qemu)
        stack.callback(_RUNNING.discard, self.qemu)
        stack.callback(self.qemu.wait)
        stack.callback(self.qemu.kill)
        for end in (agent, port, monitor):
            end.close()

    def _wait_ready(self):
        """A booted guest sends a frame. A resumed guest is ready at once and answers a request."""
        if self.state is None:
            self._await(b"R", {})

    def console_tail(self, lines=30):
        with contextlib.suppress(FileNotFoundError):
            return "\n".join(self.console.read_text(errors="replace").splitlines()[-lines:])
        return ""

    def _fail(self, kind, text):
        self.log.seek(0)
        said = [part for part in (self.log.read().strip(), self.console_tail()) if part]
        raise kind("\n".join([text, *said]))

    # -- the agent --

    def _receive(self, size):
        while len(self.pending) < size:
            left = self.end - time.monotonic()
            ready = select.select([self.agent, self.port], [], [], left)[0] if left > 0 else []
            if not ready:
                self._fail(TimedOut, "the guest did not answer in time; its console:")
            if self.port in ready:
                self._grant_wishes()
            if self.agent not in ready:
                continue
            try:
                data = self.agent.recv(1 << 20)
            except ConnectionResetError:
                data = b""
            if not data:
                self._fail(MachineError, "the guest has gone; output of QEMU and of the console:")
            self.pending += data
        data, self.pending = self.pending[:size], self.pending[size:]
        return data

    def _await(self, wanted, sinks):
        """Read frames up to the first of the wanted kind, and return its content. Frames of a kind in `sinks` go to that
        function."""
        while True:
            kind, length = struct.unpack(">cI", self._receive(5))
            data = self._receive(length)
            if kind == wanted:
                return data
            if kind in sinks:
                sinks[kind](data)

    def run(self, argv, stdout=None, stderr=None, *, python=False, files=()):
        """Runs a program as root in the guest; stdout and stderr are called with each piece of output
        (bytes).

        files are (path, mode, text) to be written in the guest first. With python, argv[0] is a Python
        script, which runs without the start-up time of Python. Returns the exit status.
        """
        self._request(argv, python, files)
        self.busy = True
        ignore = bytes
        status = int(self._await(b"X", {b"O": stdout or ignore, b"E": stderr or ignore}))
        self.busy = False
        return status

    def _request(self, argv, python=False, files=()):
        request = {
            "argv": list(argv),
            "python": python,
            "files": [list(file) for file in files],
            "time": time.time(),
            "entropy": secrets.token_hex(32),
            "mounts": {tag: f"/mnt/{tag}" for tag in self.folders},
        }
        self.agent.sendall(json.dumps(request).encode() + b"\n")

    def reboot(self):
        """Reboot the guest as an administrator does, and wait until the agent is back; other services may still be
        starting. The disk, plugged hardware and the firmware's clock stay, everything else is new."""
        # -no-reboot makes a reset end QEMU, so that a kernel panic ends the case. One reboot is more than one reset: the
        # firmware may add its own.
        self._qmp("set-action", reboot="reset")
        self._request(["systemctl", "reboot"])
        try:
            self._event("RESET")
        except TimeoutError:
            self._fail(TimedOut, "the guest does not reboot; its console:")
        # Also skips the status of systemctl, if the agent was still there to send it.
        self._await(b"R", {})
        self._qmp("set-action", reboot="shutdown")

    def output(self, script, seconds=30):
        """Output and errors of a shell script, to inspect the guest of a failed case. Ends the running command first. The
        time limit is `seconds`, whatever is left of the case's deadline."""
        self.end = time.monotonic() + seconds
        parts = []
        try:
            if self.busy:
                self.agent.sendall(b'{"kill": true}\n')
                self._await(b"X", {})
            self.run(["/bin/sh", "-c", script], parts.append, parts.append)
        except (MachineError, OSError) as error:
            parts.append(f"\n(no answer from the guest: {error})\n".encode())
        return b"".join(parts).decode(errors="replace")

    # -- hot-plug --

    def plug(self, name):
        """Plug hardware in when the guest runs; the guest has to wait for the device."""
        # QEMU 7.2 may hang on device_add while loading a saved machine.
        if not self._qmp("query-status")["running"]:
            self._event("RESUME")
        self._qmp("device_add", id=name, **HARDWARE[name])

    def _grant_wishes(self):
        """Serve the requests of a case through its port vm.hardware, one JSON line each: {"plug": NAME} or {"unplug":
        NAME}. The reply is a line, too: {} or {"error": text}. An unplugged device goes when the guest releases it; the
        case can observe the removal."""
        data = self.port.recv(4096)
        if not data:
            self._fail(MachineError, "the guest has gone; QEMU and its console said:")
        *lines, self.wishes = (self.wishes + data).split(b"\n")
        for line in lines:
            [(verb, name)] = json.loads(line).items()
            answer = {}
            try:
                if verb == "plug":
                    while name in self.leaving:
                        self._event("DEVICE_DELETED")
                    self._qmp("device_add", id=name, **HARDWARE[name])
                else:
                    self._qmp("device_del", id=name)
                    self.leaving.add(name)
            except MachineError as error:
                answer = {"error": str(error)}
            self.port.sendall(json.dumps(answer).encode() + b"\n")

    # -- QEMU's monitor --

    def _connect(self):
        if self.answers is None:
            self.monitor.settimeout(120)
            self.answers = self.monitor.makefile("r", encoding="utf-8")
            self._qmp("qmp_capabilities")

    def _qmp(self, command, **arguments):
        self._connect()
        self.monitor.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        for line in self.answers:
            answer = json.loads(line)
            if "error" in answer:
                raise MachineError(f"QEMU refused {command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]
            self._note(answer)
        return self._fail(MachineError, f"QEMU ended during {command}:")

    def _note(self, event):
        if event.get("event") == "DEVICE_DELETED":
            self.leaving.discard(event["data"].get("device"))

    def _event(self, name):
        """Waits for the next event of this name."""
        for line in self.answers:
            event = json.loads(line)
            self._note(event)
            if event.get("event") == name:
                return
        self._fail(MachineError, f"QEMU ended before its {name}:")

    # -- saving --

    def save(self, name):
        """Save the machine in its present state under a name, and end the guest. No command may run and no folder be
        mounted."""
        store.STATES.mkdir(parents=True, exist_ok=True)
        memory = self.work / "memory.zst"
        # Events report the end of the migration. The machine runs until the last page is copied, so that the saved
        # state is a running machine.
        self._qmp("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}])
        self._qmp("migrate-set-parameters", **{"max-bandwidth": 10**10})
        # QEMU finishes before zstd: once the lock is free, the file is complete.
        lock = self.work / "memory.lock"
        command = f"flock {shlex.quote(str(lock))} zstd -q -3 -T2 -f -o {shlex.quote(str(memory))}"
        self._qmp("migrate", uri=f"exec:{command}")
        while (status := self._qmp("query-migrate")["status"]) not in ("completed", "failed"):
            self._event("MIGRATION")
        if status == "failed":
            raise MachineError("QEMU could not save the machine")
        self._qmp("quit")
        self.qemu.wait()
        with lock.open() as f:
            fcntl.flock(f, fcntl.LOCK_EX)
        subprocess.run(["zstd", "-tq", str(memory)], check=True)
        # Name the backing file relative to the folder of the new disk, so that the cache can be moved.
        image = store.release_of(self.kernel).image.name
        base = f"{self.state}.qcow2" if self.state else f"../{image}/root.qcow2"
        target = store.STATES / name
        shutil.copy(self.disk, f"{target}.qcow2.new")
        subprocess.run(
            ["qemu-img", "rebase", "-u", "-F", "qcow2", "-b", base, f"{target}.qcow2.new"], check=True
        )
        shutil.copy(memory, f"{target}.zst.new")
        os.rename(f"{target}.qcow2.new", f"{target}.qcow2")
        os.rename(f"{target}.zst.new", f"{target}.zst")
