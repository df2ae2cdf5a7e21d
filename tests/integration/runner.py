# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the tests of a file. Each test prints a line; the last line is "N passed, N failed, N skipped" for tests/run.

`TEST-FILE [PATTERN...]` runs the tests whose name contains one of the patterns. Below a failure follows
a description of each host in the list `hosts` of the test (host.py)."""

import os
import sys
import time
import traceback
import unittest


class Result(unittest.TestResult):
    """Count and print during the run. A test with a second failure in the cleanup counts once."""

    def __init__(self):
        super().__init__()
        self.passed = 0
        self.failed = 0
        self.missed = 0
        self.began = 0.0
        self.bad = False
        self.skip = None

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()
        self.bad = False
        self.skip = None

    def stopTest(self, test):
        super().stopTest(test)
        if self.bad:
            self.failed += 1
        elif self.skip is not None:
            self.missed += 1
        else:
            self.passed += 1
        word = "FAIL" if self.bad else "ok" if self.skip is None else "skip"
        reason = f": {self.skip}" if word == "skip" else ""
        print(f"{word:4} {test_name(test)} ({time.monotonic() - self.began:.1f} s){reason}", flush=True)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.skip = reason

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.complain(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self.complain(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.complain(subtest, err, test)

    def complain(self, test, err, owner=None):
        if not hasattr(owner or test, "_testMethodName"):
            self.failed += 1  # failures of a class or module have no stopTest()
        self.bad = True
        print(f"---- {test_name(test)}")
        print("".join(traceback.format_exception(*err)).rstrip())
        for host in getattr(owner or test, "hosts", []):
            print(host.describe())
        print("----", flush=True)


def test_name(test):
    return test.id().removeprefix("__main__.")


def flatten(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flatten(test)
        else:
            yield test


def main():
    patterns = sys.argv[1:]
    tests = list(flatten(unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])))
    if patterns:
        tests = [t for t in tests if any(p in t.id() for p in patterns)]
    if not tests:
        sys.exit("no such test")
    result = Result()
    if os.geteuid() != 0:
        result.missed = len(tests)
        print("skip all: the daemon's bus name, and clients with another uid, need root")
    else:
        unittest.TestSuite(tests).run(result)
    print(f"{result.passed} passed, {result.failed} failed, {result.missed} skipped", flush=True)
    sys.exit(1 if result.failed else 77 if result.missed == len(tests) else 0)
