#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""`faults.py LOG`: print which faults of tests/faults.txt the tests of a run cover, with their results. LOG is the log
of `meson test` in JSON. Exits with 1 if a test of the table failed or did not run."""

import json
import pathlib
import re
import sys

TABLE = pathlib.Path(__file__).resolve().parent / "faults.txt"
# The lines in which the test programs report one test: the word for the result, and the name.
LINES = [
    re.compile(r"^(?P<result>passed|FAILED|skipped) +(?P<name>test_\w+)$", re.M),  # tests/unit/tests.h
    re.compile(r"^(?P<result>ok|FAIL|skip) +(?P<name>[\w.]+) \([\d.]+ s\)", re.M),  # tests/integration/runner.py
    re.compile(r"^(?P<result>(?:not )?ok) \d+ (?P<name>/\S+)", re.M),  # GLib
    # unittest prints the first line of the docstring, if any, between the name and the result.
    re.compile(r"^(?P<test>test_\w+) \(__main__\.(?P<class>\w+)[^)]*\)(?:\n[^\n]*)? \.\.\. (?P<result>\w+)", re.M),
]
GOOD = {"passed", "ok"}


def read_table(path):
    """Return [(number, situation, [(program, test)])]."""
    faults = []
    for line in path.read_text().splitlines():
        if line.startswith("  "):
            program, *tests = line.split()
            faults[-1][2].extend((program, test) for test in tests)
        elif line and not line.startswith("#"):
            number, situation = line.split(" ", 1)
            faults.append((number, situation, []))
    return faults


def read_results(log):
    """Return {program: [(test, passed)]} from the log of `meson test`."""
    results = {}
    for line in log.read_text(errors="replace").splitlines():
        test = json.loads(line)
        suite, _, name = test["name"].rpartition(":")[2].partition(" / ")
        found = results.setdefault(f"{suite}/{name}", [])
        text = f"{test.get('stdout') or ''}\n{test.get('stderr') or ''}"
        for pattern in LINES:
            for match in pattern.finditer(text):
                parts = match.groupdict()
                full_name = parts.get("name") or f"{parts['class']}.{parts['test']}"
                found.append((full_name, parts["result"] in GOOD))
    return results


def find(results, program, test):
    """The results of a test: a function, or all functions of a class."""
    return [passed for name, passed in results.get(program, ())
            if name == test or name.endswith(f".{test}") or name.startswith(f"{test}.")]


def judge(results, tests):
    """Return (number of passed tests, [what is wrong])."""
    passed, wrong = 0, []
    for program, test in tests:
        found = find(results, program, test)
        passed += sum(found)
        if not found:
            wrong.append(f"{program} {test} did not run")
        elif not all(found):
            wrong.append(f"{program} {test} failed")
    return passed, wrong


def show(log, table=TABLE):
    """Print the table. Return whether all tests in it ran and passed."""
    results = read_results(log)
    good = True
    for number, situation, tests in read_table(table):
        passed, wrong = judge(results, tests)
        good = good and not wrong and passed > 0
        print(f"  {number:4} {situation:70} {'; '.join(wrong) or f'{passed} passed'}")
    return good


if __name__ == "__main__":
    sys.exit(0 if show(pathlib.Path(sys.argv[1])) else 1)
