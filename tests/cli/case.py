# SPDX-License-Identifier: LGPL-2.1-or-later
"""The base class of the tests of vgpuctl, with ways to run vgpuctl and to read what it prints.

test_NAME.py PROGRAM [--update] [NAME...]: --update rewrites golden/; review the result with git diff."""

import json
import pathlib
import re
import sys
import time
import unittest

import dbus

import schema
from harness import Bus, Program, run
from mock_host import gpu_path

GOLDEN = pathlib.Path(__file__).resolve().parent / "golden"
PROGRAM = ""
UPDATE = False


class Case(unittest.TestCase):
    maxDiff = None
    bus = None

    @classmethod
    def setUpClass(cls):
        cls.bus = Bus()

    @classmethod
    def tearDownClass(cls):
        cls.bus.close()

    def setUp(self):
        self.bus.start_mock()
        self.bus.control("Reset")

    def vgpuctl(self, *args, **more):
        """Run vgpuctl to its end; return its status, out and err."""
        return run([PROGRAM, *args], dict(self.bus.environment, **more.pop("environment", {})), **more)

    def good(self, *args, **more):
        result = self.vgpuctl(*args, **more)
        self.assertEqual((result.status, result.err), (0, ""), args)
        return result.out

    def bad(self, status, *args, **more):
        result = self.vgpuctl(*args, **more)
        self.assertEqual(result.status, status, f"{args}: {result.out}{result.err}")
        self.assertRegex(result.err, r"^vgpuctl: .*\.\n")
        return result.err

    def data(self, *args):
        data = json.loads(self.good(*args, "--json"))
        self.check(schema.verb_of(args), data)
        return data

    def check(self, definition, data):
        """Check data against a definition of the schema; unknown keys are errors."""
        self.assertEqual(schema.faults(definition, data), [], definition)

    def error(self, result):
        """The error of a call with --json."""
        data = json.loads(result.err)
        self.check("error_line", data)
        return data["error"]

    def failed(self, status, *args):
        """Run vgpuctl with --json; return the error."""
        result = self.vgpuctl(*args, "--json")
        self.assertEqual(result.status, status, f"{args}: {result.out}{result.err}")
        return self.error(result)

    def program(self, *args, argv=(), **more):
        p = Program([*argv, PROGRAM, *args], dict(self.bus.environment, **more.pop("environment", {})), **more)
        self.addCleanup(p.close)
        return p

    def calls(self, member=None):
        """The calls to the mock since calls() was called last."""
        calls = json.loads(self.bus.control("Calls"))
        return [c for c in calls if member in (None, c["member"])]

    def requests(self):
        """calls() without ListJobs, which vgpuctl calls only if an answer takes longer than 300 ms."""
        return [c for c in self.calls() if c["member"] != "ListJobs"]

    def types(self, gpu, *types):
        """Replace the types of a GPU; make_type() makes the new types."""
        self.bus.control("Types", dbus.ObjectPath(gpu_path(gpu)), json.dumps(types), signature="os")

    def change(self, path, interface, **values):
        self.bus.control("Change", path, interface, values, signature="ssa{sv}")

    def golden(self, name, text):
        text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "YYYY-MM-DD HH:MM:SS", text)
        text = re.sub(r"\b\d+ s ago", "N s ago", text)
        text = re.sub(r'("\w+_usec": )[1-9]\d{12,}', r"\g<1>1700000000000000", text)
        path = GOLDEN / name
        if UPDATE:
            path.write_text(text)
        self.assertEqual(text, path.read_text(), f"not as in {path}")


def main():
    global PROGRAM, UPDATE
    words = [w for w in sys.argv[1:] if w != "--update"]
    if not words:
        sys.exit(__doc__)
    PROGRAM, UPDATE = str(pathlib.Path(words[0]).resolve()), "--update" in sys.argv
    loader = unittest.TestLoader()
    loader.testNamePatterns = [f"*{w}*" for w in words[1:]] or None
    start = time.monotonic()
    result = unittest.TextTestRunner(verbosity=2, buffer=False).run(loader.loadTestsFromModule(sys.modules["__main__"]))
    bad = len({str(getattr(test, "test_case", test)) for test, _ in result.failures + result.errors})
    skipped = len(result.skipped)
    print(f"{time.monotonic() - start:.1f} s", file=sys.stderr)
    print(f"{result.testsRun - bad - skipped} passed, {bad} failed, {skipped} skipped", flush=True)
    sys.exit(1 if bad or not result.testsRun else 0)
