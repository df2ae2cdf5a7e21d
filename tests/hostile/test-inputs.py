#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Arguments that no honest client sends: as long as the bus allows, with control characters, with too many entries. The
daemon answers with a short error, does not restart, and serves other clients."""

import pathlib
import re
import sys

from gi.repository import GLib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

# pylint: disable=wrong-import-position
import bus  # noqa: E402
import host  # noqa: E402
import runner  # noqa: E402
from host import GVT, NOBODY, V5_4, uuid  # noqa: E402

HUGE = "x" * (30 * 1024 * 1024)  # dbus-daemon delivers at most 32 MiB
LONG = "x" * 100_000  # within the limit of a call, beyond the limit of each argument
QUARANTINE_KIB = 256 * 1024  # freed memory that the address sanitizer keeps by default; all calls together are larger
SHORT = 1024  # characters of an error that names one argument
LINE = 4096  # bytes of a line of the log
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
EVIL = "a\x1b[2J\nb\x9bc\u202ed"


class Inputs(host.HostTest):
    def setUp(self):
        super().setUp()
        self.h = self.host(polkit=True)
        self.h.polkit.allow("create")
        self.user = self.h.client(NOBODY)
        self.pid = self.h.vgpud.pid

    def assert_short(self, call, *names):
        """The call fails with one of the errors and a short message, and the daemon does not restart."""
        with self.assertRaises(bus.Error) as caught:
            call.result()
        self.assertIn(caught.exception.name, names or ("InvalidArgs",))
        self.assertLess(len(caught.exception.message), SHORT)
        self.assertIsNone(CONTROL.search(caught.exception.message), caught.exception.message[:200])
        self.assertIsNone(self.h.vgpud.poll())
        self.assertEqual(self.h.vgpud.pid, self.pid)
        return caught.exception.message

    def check_log(self):
        for line in self.h.log().split("\n"):
            self.assertLess(len(line.encode()), LINE)
            self.assertIsNone(CONTROL.search(line), line[:200])

    def test_a_long_text_in_each_place(self):
        self.h.bus.create(GVT, V5_4, uuid=uuid(1))
        manager, gpu = self.user.manager, self.user.gpu(GVT)
        for argument, call in (
                ("gpu", lambda text: manager.start("Create", text, V5_4)),
                ("type", lambda text: manager.start("Create", GVT, text)),
                ("type", lambda text: manager.start("Place", text)),
                ("instance", lambda text: manager.start("Destroy", text)),
                ("name", lambda text: manager.start("GetGpu", text)),
                ("name", lambda text: manager.start("GetInstance", text)),
                ("mode", lambda text: gpu.start("Configure", text, "yes")),
                ("value", lambda text: gpu.start("Configure", "mig", text)),
                ("gpu", lambda text: manager.start("ListInstances", gpu=text)),
                ("attributes", lambda text: manager.start("Create", GVT, V5_4, attributes=[("a", text)])),
                ("attributes", lambda text: manager.start("Create", GVT, V5_4, attributes=[("a", "b")] * 1_000)),
                *((name, lambda text, n=name: manager.start("Create", "", V5_4, **{n: text}))
                  for name in ("uuid", "name", "parent", "strategy", "near", "pool"))):
            with self.subTest(argument=argument):
                self.assertIn(f"'{argument}'", self.assert_short(call(LONG)))
        self.assert_short(manager.start("Create", GVT, HUGE))
        self.assertEqual(self.h.tree(), {uuid(1)})
        self.check_log()

    def test_a_huge_name_of_an_option(self):
        self.assert_short(self.user.manager.start("Create", GVT, V5_4, **{HUGE: "x"}))
        self.check_log()

    def test_what_the_library_answers(self):
        """vgpud must refuse these texts before libsystemd repeats them in errors that are too long for the bus."""
        for path, interface, member, parameters in (
                (bus.ROOT, bus.PROPERTIES, "GetAll", GLib.Variant("(s)", (HUGE,))),
                (bus.ROOT, bus.PROPERTIES, "Get", GLib.Variant("(ss)", (bus.MANAGER, HUGE))),
                ("/" + "x" * 60_000, bus.MANAGER, "ListGpus", GLib.Variant("(a{sv})", ({},)))):
            with self.subTest(member=member, interface=interface):
                self.assert_short(self.user.start(path, interface, member, parameters))

    def test_many_waiting_calls_keep_nothing(self):
        """Refused calls leave no memory behind while polkit does not answer."""
        self.h.polkit.hang()
        before = self.h.resident_kib()
        for _ in range(20):
            self.assert_short(self.user.start_create(GVT, V5_4, parent=HUGE))
        # The allocator keeps the memory of the largest message, and the address sanitizer keeps memory that was freed last.
        self.assertLess(self.h.resident_kib() - before, 4 * len(HUGE) // 1024 + (QUARANTINE_KIB if host.IS_ASAN else 0))

    def test_control_characters(self):
        for call in (self.user.manager.start("Create", GVT, EVIL), self.user.manager.start("Create", EVIL, V5_4),
                     self.user.manager.start("Create", GVT, V5_4, name=EVIL), self.user.manager.start("Place", EVIL),
                     self.user.manager.start("Create", "", V5_4, pool=EVIL), self.user.manager.start("GetInstance", EVIL),
                     self.user.manager.start("Create", GVT, V5_4, **{EVIL: "x"})):
            self.assert_short(call, "InvalidArgs", "NoSuchType", "NoSuchGpu", "NoSuchInstance")
        # The back end checks `parent`, so the error belongs to the job, with a signal and a line in the log.
        message = self.assert_short(self.user.start_create(GVT, V5_4, parent=EVIL), "InvalidArgs")
        self.assertIn("a\\x1b[2J\\nb\\x9bc\\u202ed", message)
        self.h.await_log("b\\x9bc\\u202ed")
        self.check_log()


if __name__ == "__main__":
    runner.main()
