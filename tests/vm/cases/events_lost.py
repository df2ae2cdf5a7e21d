# SPDX-License-Identifier: LGPL-2.1-or-later
"""More device events than the kernel queues for a listener: vgpud scans all GPUs again and misses no change."""

import os
import signal

import vmcase

UUID = "33333333-2222-4333-8444-555555555555"
CATALOGUE_ID = "ba084163c941464581c2580acd4c0e11"
ROUNDS = 8


class EventsLost(vmcase.VgpudCase):
    def test_more_than_fit(self):
        self.load("mdpy")
        self.bus.until(lambda objects: objects.ready("mdpy"))
        pid = vmcase.main_pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            # The socket of the listener holds two hundred kilobytes, and one event takes about one kilobyte.
            for _ in range(ROUNDS):
                vmcase.run("udevadm", "trigger", "--subsystem-match=tty", "--settle", deadline_sec=60)
            vmcase.create("mdpy-xga", UUID)  # the queue is full by now, so the events of this device are lost
            vmcase.run("udevadm", "settle")
        finally:
            os.kill(pid, signal.SIGCONT)
        self.bus.until(lambda objects: UUID in objects.instances)
        self.assertIn(CATALOGUE_ID, vmcase.run("journalctl", "-u", "vgpud", "-o", "export").out)
        vmcase.remove(UUID)
        self.bus.until(lambda objects: UUID not in objects.instances)


vmcase.main()
