# SPDX-License-Identifier: LGPL-2.1-or-later
"""The base of the tests of vgpuctl: a private bus, the mock of vgpud on the bus, and ways to run vgpuctl with pipes,
on a terminal and in the background. Every wait ends when a text has come or a process has ended. LIMIT_S passes only in a
hang."""

import fcntl
import os
import pathlib
import pty
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import types

import dbus
import dbus.bus
import dbus.lowlevel

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
LIMIT_S = 60  # a wait reaches the limit only in a hang

# A shell ignores SIGINT in a background job, and the programs that the tests start would inherit that. If Python handles
# SIGINT, they start with the default action.
signal.signal(signal.SIGINT, signal.default_int_handler)

CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={socket}</listen>
  <servicedir>{services}</servicedir>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
  </policy>
</busconfig>
"""


def wait_for(condition, what):
    """Wait until condition() is true; fail after LIMIT_S."""
    end = time.monotonic() + LIMIT_S
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"never came: {what}")
        select.select([], [], [], 0.01)


class Bus:
    """A private bus, with the mock if wanted."""

    def __init__(self):
        # The directory is not below TMPDIR: the path of a socket has at most 107 characters.
        self.folder = tempfile.TemporaryDirectory(prefix="vgpuctl-", dir="/tmp")
        folder = pathlib.Path(self.folder.name)
        folder.chmod(0o755)
        self.services = folder / "services"
        self.services.mkdir()
        self.address = f"unix:path={folder}/bus"
        config = folder / "bus.conf"
        config.write_text(CONFIG.format(socket=folder / "bus", services=self.services))
        self.environment = dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=self.address, LC_ALL="C.UTF-8", TERM="xterm",
                                TZ="UTC")
        for name in ("NO_COLOR", "COLUMNS"):
            self.environment.pop(name, None)
        self.daemon = subprocess.Popen(["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile",
                                        "--print-address"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                       env=self.environment)
        if not self.daemon.stdout.readline():
            raise RuntimeError("the private bus does not start")
        os.chmod(folder / "bus", 0o777)
        self.connection = dbus.bus.BusConnection(self.address)
        self.mock = None

    def start_mock(self):
        """Return when the mock owns the name of vgpud."""
        if self.mock and self.mock.poll() is None:
            return
        self.mock = subprocess.Popen([sys.executable, str(HERE / "mock_vgpud.py")], stdout=subprocess.PIPE,
                                     env=self.environment)
        if self.mock.stdout.readline() != b"ready\n":
            raise RuntimeError("the mock does not start")

    def stop_mock(self, how=signal.SIGTERM):
        if not self.mock:
            return
        self.mock.send_signal(how)
        self.mock.wait(LIMIT_S)
        self.mock.stdout.close()
        self.mock = None
        wait_for(lambda: not self.connection.name_has_owner("org.vgpud1"), "the end of the mock")

    def control(self, member, *args, signature=None):
        """Call org.vgpud1.Mock."""
        call = dbus.lowlevel.MethodCallMessage("org.vgpud1", "/mock", "org.vgpud1.Mock", member)
        call.append(*args, signature=signature)
        answer = self.connection.send_message_with_reply_and_block(call, LIMIT_S)
        values = answer.get_args_list()
        return values[0] if values else None

    def close(self):
        self.stop_mock(signal.SIGKILL)
        self.connection.close()
        self.daemon.terminate()
        self.daemon.wait(LIMIT_S)
        self.daemon.stdout.close()
        self.folder.cleanup()


class Withholding:
    """A proxy of the bus. It authenticates a client and passes on all messages from the client, but withholds all messages
    to the client until release(): the client keeps waiting for the answer to Hello."""

    def __init__(self, bus):
        self.folder = tempfile.TemporaryDirectory(prefix="vgpud-")
        self.released = threading.Event()
        self.target = bus.address.partition("path=")[2].partition(",")[0]
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(f"{self.folder.name}/bus")
        self.listener.listen(1)
        self.environment = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={self.folder.name}/bus"}
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        client, _ = self.listener.accept()
        with client, socket.socket(socket.AF_UNIX) as bus:
            bus.connect(self.target)
            there = threading.Thread(target=self.forward, args=(client, bus), daemon=True)
            there.start()
            answer = b""
            while not answer.endswith(b"AGREE_UNIX_FD\r\n"):
                answer += bus.recv(1)
            client.sendall(answer)
            self.released.wait(LIMIT_S)
            self.forward(bus, client)
            there.join(LIMIT_S)

    @staticmethod
    def forward(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:  # the other end has gone
            pass

    def release(self):
        self.released.set()

    def close(self):
        self.release()
        self.thread.join(LIMIT_S)
        self.listener.close()
        self.folder.cleanup()


class Program:
    """A running program, usually vgpuctl, on pipes or on a terminal."""

    def __init__(self, argv, environment, terminal=False, columns=100, stdin_terminal=False, echo=False, preexec=None, **popen):
        self.text = ""  # stdout so far, and stderr on a terminal
        self.errors = ""
        self.master = None
        if terminal or stdin_terminal:
            self.master, slave = pty.openpty()
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            attributes = termios.tcgetattr(slave)
            if not echo:
                attributes[3] &= ~termios.ECHO
            termios.tcsetattr(slave, termios.TCSANOW, attributes)
        if terminal:
            self.process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env=environment,
                                            start_new_session=True, preexec_fn=preexec, **popen)
            self.fds = {self.master: "text"}
        else:
            self.process = subprocess.Popen(argv, stdin=slave if stdin_terminal else subprocess.DEVNULL,
                                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
                                            preexec_fn=preexec, **popen)
            self.fds = {self.process.stdout.fileno(): "text", self.process.stderr.fileno(): "errors"}
        if self.master is not None:
            os.close(slave)

    def read(self, seconds):
        """Read the available output; True when the program has closed all its outputs."""
        ready, _, _ = select.select(list(self.fds), [], [], seconds)
        for fd in ready:
            try:
                data = os.read(fd, 65536)
            except OSError:  # the other end of the terminal has closed
                data = b""
            if not data:
                del self.fds[fd]
            where = "text" if fd == self.master or (self.process.stdout and fd == self.process.stdout.fileno()) else "errors"
            setattr(self, where, getattr(self, where) + data.decode())
        return not self.fds

    def expect(self, text, where="text"):
        """Wait until the output contains the text."""
        end = time.monotonic() + LIMIT_S
        while text not in getattr(self, where):
            if self.read(0.2) or time.monotonic() > end:
                raise AssertionError(f"never came: {text!r} in {self.text!r} and {self.errors!r}")

    def finish(self):
        """Wait for the end; return the exit status, negative after a signal."""
        end = time.monotonic() + LIMIT_S
        while not self.read(0.2):
            if time.monotonic() > end:
                self.process.kill()
                raise AssertionError(f"does not end, has said {self.text!r} and {self.errors!r}")
        status = self.process.wait(LIMIT_S)
        self.close()
        return status

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(LIMIT_S)
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()
        if self.master is not None:
            os.close(self.master)
            self.master = None


def run(argv, environment, **more):
    """Run a command to the end; return status, out, err."""
    done = subprocess.run(argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S, check=False,
                          **more)
    return types.SimpleNamespace(status=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())
