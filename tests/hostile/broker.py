#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""`broker.py SOCKET CONFIG`: run dbus-broker as a private bus. dbus-broker-launch requires a listening socket and
journald's socket, and connects as a client to the bus that it starts."""

import ctypes
import os
import signal
import socket
import sys

CLONE_NEWNS = 0x20000
PR_SET_PDEATHSIG = 1
MS_REC, MS_PRIVATE = 0x4000, 0x40000


def main():
    path, config = sys.argv[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    if (libc.unshare(CLONE_NEWNS) or libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None) or
            libc.mount(b"tmpfs", b"/run", b"tmpfs", 0, None)):
        raise OSError(ctypes.get_errno(), "cannot set up a mount namespace")
    os.makedirs("/run/systemd/journal")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    os.chmod(path, 0o777)
    listener.listen(256)
    journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    journal.bind("/run/systemd/journal/socket")
    parent = os.getpid()
    if not os.fork():
        # This child reads the log, because dbus-broker blocks when its log socket is full.
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        listener.close()
        while os.getppid() == parent:
            os.write(2, journal.recv(1 << 16) + b"\n")
        os._exit(0)
    if listener.fileno() != 3:
        os.dup2(listener.fileno(), 3)
    os.set_inheritable(3, True)
    print(path, flush=True)
    os.dup2(2, 1)
    os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()), DBUS_SYSTEM_BUS_ADDRESS=f"unix:path={path}")
    os.execvp("dbus-broker-launch", ["dbus-broker-launch", "--scope", "system", "--config-file", config])


main()
