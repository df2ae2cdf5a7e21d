# SPDX-License-Identifier: LGPL-2.1-or-later
"""A FUSE file lies over a file of one GPU, and no read of it returns: a vgpud that starts serves the other GPUs."""

import contextlib
import ctypes
import os
import struct
import threading

import vmcase

GPU = "0000:00:03.0"
FILE = vmcase.PCI_DEVICES / GPU / "numa_node"

# The kernel's interface of FUSE (linux/fuse.h).
GETATTR, OPEN, READ, INIT = 3, 14, 15, 26
ENOSYS = 38
MNT_DETACH = 2
LIBC = ctypes.CDLL(None, use_errno=True)


class Blocked:
    """A file that can be opened, and whose reads have no answer until close()."""

    def __init__(self, path):
        self.path = str(path.resolve())
        self.fd = os.open("/dev/fuse", os.O_RDWR)
        self.reading = threading.Event()
        self.lock = threading.Lock()
        self.pending = []  # reads without an answer; None after close()
        options = f"fd={self.fd},rootmode=100444,user_id=0,group_id=0,allow_other"
        if LIBC.mount(b"blocked", self.path.encode(), b"fuse", 0, options.encode()) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):  # unmounted
            while True:
                request = os.read(self.fd, 1 << 17)
                _, opcode, unique = struct.unpack_from("<IIQ", request)
                with self.lock:
                    self.answer(opcode, unique)

    def answer(self, opcode, unique):
        error, data = 0, b""
        if opcode == INIT:
            data = struct.pack("<IIIIHHIII", 7, 31, 0, 0, 16, 12, 4096, 1, 0) + b"\0" * 32
        elif opcode == GETATTR:
            attributes = struct.pack("<QQQQQQIIIIIIIIII", 1, 4096, 8, 0, 0, 0, 0, 0, 0, 0o100444, 1, 0, 0, 0, 512, 0)
            data = struct.pack("<QII", 3600, 0, 0) + attributes
        elif opcode == OPEN:
            data = struct.pack("<QII", 1, 1, 0)  # direct I/O: each read reaches this program
        elif opcode == READ and self.pending is not None:
            self.pending.append(unique)
            self.reading.set()
            return
        elif opcode == READ:
            data = b"-1\n"
        else:
            error = -ENOSYS
        with contextlib.suppress(FileNotFoundError):  # the kernel expects no answer to this request
            os.write(self.fd, struct.pack("<IiQ", 16 + len(data), error, unique) + data)

    def close(self):
        """Answer all reads, and unmount the file, so that the attribute of the kernel shows again."""
        with self.lock:
            pending, self.pending = self.pending or [], None
            for unique in pending:
                self.answer(READ, unique)
        LIBC.umount2(self.path.encode(), MNT_DETACH)


class Reads(vmcase.VgpudCase):
    def assertOthersAreServed(self):  # pylint: disable=invalid-name
        """The GPU is stuck, and its reason names the file that blocks. The other GPUs create and destroy instances."""
        objects = self.bus.until(
            lambda objects: objects.ready(*self.drivers) and objects.gpus.get(GPU, {}).get("State") == "stuck"
        )
        self.assertIn("numa_node", objects.gpus[GPU]["Reason"])
        self.destroy(self.create("mdpy-xga"))
        # Hot-plug goes on.
        vmcase.unload("mtty")
        self.bus.until(lambda objects: "mtty" not in objects.gpus)
        vmcase.load("mtty")
        self.bus.until(lambda objects: objects.ready("mtty"))

    def test_15_at_the_start(self):
        blocked = Blocked(FILE)
        self.addCleanup(blocked.close)
        vmcase.run("systemctl", "restart", "vgpud")
        self.assertTrue(blocked.reading.wait(vmcase.DEADLINE_SEC))
        pid = vmcase.main_pid()
        self.assertOthersAreServed()
        blocked.close()
        self.bus.until(lambda objects: objects.gpus.get(GPU, {}).get("State") not in (None, "stuck"))
        self.assertEqual(vmcase.main_pid(), pid)
        self.assertEqual(vmcase.run("systemctl", "is-active", "vgpud").out, "active\n")


vmcase.main()
