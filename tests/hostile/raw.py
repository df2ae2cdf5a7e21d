# SPDX-License-Identifier: LGPL-2.1-or-later
"""A misbehaving client of the bus. It builds messages by hand, sends them without waiting, leaves answers unread, and
attaches file descriptors."""

import array
import contextlib
import os
import select
import socket
import struct
import time

SERVICE = "org.vgpud1"
ROOT = "/org/vgpud1"
MANAGER = "org.vgpud1.Manager"
CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
NO_REPLY = 1
DEADLINE_S = 240.0  # with the sanitizers on a busy machine, a call of 30 MiB takes half a minute
PATH, INTERFACE, MEMBER, ERROR_NAME, REPLY_SERIAL, DESTINATION, SENDER, SIGNATURE, FDS = range(1, 10)


def pad(data, size):
    return data + b"\0" * (-len(data) % size)


def string(text):
    raw = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<I", len(raw)) + raw + b"\0"


def signature(text):
    return bytes([len(text)]) + text.encode() + b"\0"


class Body:
    """Arguments: Body().s("x").options(parent="y")"""

    def __init__(self):
        self.data = b""
        self.signature = ""

    def s(self, text):
        self.data = pad(self.data, 4) + string(text)
        self.signature += "s"
        return self

    def u(self, number):
        self.data = pad(self.data, 4) + struct.pack("<I", number)
        self.signature += "u"
        return self

    def o(self, path):
        self.data = pad(self.data, 4) + string(path)
        self.signature += "o"
        return self

    def options(self, **texts):
        """a{sv} of strings"""
        data = pad(self.data, 4)
        at = len(data)
        data = pad(data + b"\0\0\0\0", 8)
        start = len(data)
        for key, value in texts.items():
            data = pad(pad(data, 8) + string(key) + signature("s"), 4) + string(value)
        self.data = data[:at] + struct.pack("<I", len(data) - start) + data[at + 4:]
        self.signature += "a{sv}"
        return self


def message(kind, serial, fields, body=None, flags=0, unknown=b"", n_fds=0):
    """unknown: the text of a header field that the specification does not define."""
    body = body or Body()
    types = {PATH: "o", SIGNATURE: "g", REPLY_SERIAL: "u", FDS: "u"}
    fields = dict(fields)
    if body.signature:
        fields[SIGNATURE] = body.signature
    if n_fds:
        fields[FDS] = n_fds
    data = b""
    for code, value in fields.items():
        kind_of = types.get(code, "s")
        data = pad(data, 8) + bytes([code]) + signature(kind_of)
        data += signature(value) if kind_of == "g" else b""
        if kind_of == "u":
            data = pad(data, 4) + struct.pack("<I", value)
        elif kind_of in "so":
            data = pad(data, 4) + string(value)
    if unknown:
        data = pad(pad(data, 8) + bytes([100]) + signature("s"), 4) + string(unknown)
    head = struct.pack("<cBBBIII", b"l", kind, flags, 1, len(body.data), serial, len(data))
    return pad(head + data, 8) + body.data


def call(serial, member, body=None, flags=0, path=ROOT, interface=MANAGER, destination=SERVICE, **more):
    fields = {PATH: path, MEMBER: member, DESTINATION: destination}
    if interface:
        fields[INTERFACE] = interface
    return message(CALL, serial, fields, body, flags, **more)


def create(serial, flags=0, **options):
    options.setdefault("name", "x")
    return call(serial, "Create", Body().s("").s("i915-GVTg_V5_4").options(**options), flags)


class Answer:
    def __init__(self, raw):
        self.kind = raw[1]
        body, self.serial, header = struct.unpack_from("<III", raw, 4)
        self.fields = {}
        at, end = 16, 16 + header
        while at < end:
            at += -at % 8
            if at >= end:
                break
            code, length = raw[at], raw[at + 1]
            kind = raw[at + 2:at + 2 + length].decode()
            at += 3 + length
            if kind == "g":
                size = raw[at]
                value = raw[at + 1:at + 1 + size].decode()
                at += size + 2
            else:
                at += -at % 4
                number, = struct.unpack_from("<I", raw, at)
                at += 4
                value = number
                if kind in "so":
                    value = raw[at:at + number].decode()
                    at += number + 1
            self.fields[code] = value
        self.body = raw[len(raw) - body:] if body else b""

    @property
    def reply_to(self):
        return self.fields.get(REPLY_SERIAL)

    @property
    def error(self):
        return self.fields.get(ERROR_NAME, "").removeprefix("org.vgpud1.Error.") if self.kind == ERROR else None

    def text(self):
        """The first argument, a string."""
        size, = struct.unpack_from("<I", self.body)
        return self.body[4:4 + size].decode()


class Raw:
    """A connection, by default as the user of the test."""

    def __init__(self, address, uid=None, fds=False):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.buffer = b""
        self.serial = 1
        before = os.geteuid()
        if uid is not None:
            os.seteuid(uid)
        try:
            self.socket.connect(address.removeprefix("unix:path="))
            who = str(os.geteuid()).encode().hex()
            self.socket.sendall(b"\0AUTH EXTERNAL " + who.encode() + b"\r\n" + (b"NEGOTIATE_UNIX_FD\r\n" if fds else b"") + b"BEGIN\r\n")
        finally:
            os.seteuid(before)
        while self.buffer.count(b"\r\n") < (2 if fds else 1):
            self.buffer += self.socket.recv(4096)
        if b"REJECTED" in self.buffer:
            raise OSError(f"the bus says {self.buffer}")
        self.buffer = self.buffer.split(b"\r\n", 2 if fds else 1)[-1]
        self.name = self.ask_bus("Hello").text()

    def close(self):
        self.socket.close()

    def next(self):
        self.serial += 1
        return self.serial

    def send(self, data, fds=()):
        if fds:
            sent = self.socket.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
            data = data[sent:]
        self.socket.sendall(data)

    def read(self, seconds=DEADLINE_S):
        """Return the next message; None if no message arrives in time, or if the connection has ended."""
        end = time.monotonic() + seconds
        while True:
            if len(self.buffer) >= 16:
                body, _serial, header = struct.unpack_from("<III", self.buffer, 4)
                size = 16 + header + (-header % 8) + body
                if len(self.buffer) >= size:
                    raw, self.buffer = self.buffer[:size], self.buffer[size:]
                    return Answer(raw)
            ready, _, _ = select.select([self.socket], [], [], max(0, end - time.monotonic()))
            more = b""
            if ready:
                with contextlib.suppress(ConnectionError):
                    more = self.socket.recv(1 << 20)
            if not more:
                return None
            self.buffer += more

    def answer(self, serial, seconds=DEADLINE_S):
        """Return the answer to a call. Skip other messages."""
        end = time.monotonic() + seconds
        while (got := self.read(max(0, end - time.monotonic()))) is not None:
            if got.reply_to == serial:
                return got
        return None

    def ask_bus(self, member, body=None):
        serial = self.next()
        self.send(call(serial, member, body, path="/org/freedesktop/DBus", interface="org.freedesktop.DBus",
                       destination="org.freedesktop.DBus"))
        return self.answer(serial)

    def ask(self, member, body=None, seconds=DEADLINE_S, **more):
        serial = self.next()
        self.send(call(serial, member, body, **more))
        return self.answer(serial, seconds)


def flood(address, uid, make, until):
    """Start a process of the user that sends the bytes from `make` repeatedly until the time `until`, and never reads.
    Return the process id."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        raw = Raw(address, uid)
        data = memoryview(make(raw))
        raw.socket.setblocking(False)
        at = 0
        while time.monotonic() < until:
            if not select.select([], [raw.socket], [], 0.2)[1]:
                continue
            at += raw.socket.send(data[at:])
            at = 0 if at == len(data) else at
        status = 0
    except OSError:
        status = 2  # the bus has closed the connection
    finally:
        os._exit(status)
