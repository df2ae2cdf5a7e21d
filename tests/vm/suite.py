#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the cases of tests/vm/cases, each in a fresh guest, and prints a line per case.

Exit status: 0 if all cases passed, else 1. After the line of a failed case, the program prints the output of the
case, and the end of vgpud's journal and of the kernel's log in the guest."""

import argparse
import ast
import concurrent.futures
import itertools
import os
import signal
import sys
import time
from pathlib import Path

import machine
import states
import store

CASES = Path(__file__).resolve().parent / "cases"
REBOOT = 75  # exit status of a case that asks for a reboot; also in guest/vmcase.py
RAW = CASES.parents[1] / "hostile/raw.py"  # a misbehaving client of the bus
LOGS = """
echo '--- journal of vgpud:'; journalctl --no-pager -n 80 -o short-monotonic -u vgpud.service -u vgpud-ready.service
echo '--- kernel:'; dmesg | tail -n 15
"""


def case_names():
    return sorted(path.stem for path in CASES.glob("*.py"))


def constant_of(source, name):
    """The value of a case's line `NAME = value`, or None."""
    for item in ast.parse(source).body:
        if isinstance(item, ast.Assign) and ast.unparse(item.targets[0]) == name:
            return ast.literal_eval(item.value)
    return None


def runs_on(name, kernel):
    """True if the case runs in the guest with this kernel. A line `DEBIAN = "13"` restricts a case to one release."""
    wanted = constant_of((CASES / f"{name}.py").read_text(encoding="utf-8"), "DEBIAN")
    return wanted in (None, store.release_of(kernel).number)


def run_in(guest, name, arguments, files, said):
    """Run the case to its end, with the reboots that it asks for, and return the exit status."""
    nightly = ["--nightly"] if os.environ.get("VGPUD_NIGHTLY") else []  # set by tests/run --nightly
    for boot in itertools.count():
        argv = [f"/run/vm/{name}.py", f"--boot={boot}", *nightly, *arguments]
        status = guest.run(argv, said, said, python=True, files=files)
        if status != REBOOT:
            return status
        began = time.monotonic()
        guest.reboot()
        said(f"reboot: {time.monotonic() - began:.1f} s\n".encode())
    raise AssertionError


def run_case(kernel, state, name, arguments, timeout):
    """(passed, seconds, output to show) of one case."""
    started = time.monotonic()
    said = []
    files = [
        (f"/run/vm/{path.name}", 0o644, path.read_text(encoding="utf-8"))
        for path in (*store.GUEST.glob("vm*.py"), RAW, CASES / f"{name}.py")
    ]
    try:
        hardware = constant_of(files[-1][2], "HARDWARE")
        with machine.Machine(kernel, state, timeout=timeout, hardware=hardware) as guest:
            try:
                status = run_in(guest, name, arguments, files, said.append)
            except machine.TimedOut:
                status = "none"
                said.append(f"the case did not end in {timeout:.0f} s\n".encode())
            took = time.monotonic() - started
            if status != 0:
                said.append(f"status {status}\n{guest.output(LOGS)}".encode())
    except (machine.MachineError, OSError) as error:
        status = "none"
        took = time.monotonic() - started
        said.append(f"{error}\n".encode())
    return status == 0, took, b"".join(said).decode(errors="replace")


def report(options, kernel, name, passed, took, said):
    word = "PASS" if passed else "FAIL"
    print(f"{word} {name} {kernel} {took:.1f} s", flush=True)
    if not passed or options.verbose:
        print("\n".join(f"    {line}" for line in said.splitlines()), flush=True)
    if options.results:
        with open(options.results, "a", encoding="utf-8") as file:
            file.write(f"{word} vm-{kernel}.{name}\n")
    return passed


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--kernel", metavar="K", action="append", help="repeatable (default: all built kernels of the release)"
    )
    parser.add_argument(
        "--debian",
        metavar="N",
        choices=sorted(store.RELEASES),
        default=store.DEFAULT.number,
        help="the release of the guests: %(choices)s (default: %(default)s)",
    )
    parser.add_argument(
        "--install", metavar="DESTDIR", help="the `meson install --destdir DESTDIR` tree to test"
    )
    parser.add_argument("--list", action="store_true", help="print the cases' names and exit")
    parser.add_argument(
        "--jobs", metavar="N", type=int, choices=(1, 2), default=2, help="guests at a time, 1 or 2 (default)"
    )
    parser.add_argument(
        "--timeout", metavar="S", type=float, default=300, help="seconds for each case (default: 300)"
    )
    parser.add_argument(
        "--results", metavar="FILE", help="append a line `PASS name` or `FAIL name` for each case"
    )
    parser.add_argument("--verbose", action="store_true", help="show the output of passed cases too")
    parser.add_argument(
        "--only", metavar="Class.test", action="append", default=[], help="only this test of the case"
    )
    parser.add_argument("case", nargs="*", help="names from --list (default: all)")
    options = parser.parse_args()
    unknown = set(options.case) - set(case_names())
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    return options


def main():
    options = parse()
    names = options.case or case_names()
    if options.list:
        print("\n".join(names))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    kernels = options.kernel or list(store.kernels(store.RELEASES[options.debian])) or ["any"]
    if not any(runs_on(name, kernel) for kernel in kernels for name in names):
        print(f"tests/vm/suite.py: {', '.join(names)}: no case for this release of Debian; use --debian", file=sys.stderr)
        return 1
    try:
        chosen = [
            (kernel, states.installed(kernel, options.install) if options.install else states.booted(kernel))
            for kernel in kernels
        ]
    except (machine.MachineError, OSError) as error:
        print(f"tests/vm/suite.py: {error}", file=sys.stderr)
        return 1
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        running = [
            (kernel, name, pool.submit(run_case, kernel, state, name, options.only, options.timeout))
            for kernel, state in chosen
            for name in names
            if runs_on(name, kernel)
        ]
        try:
            for kernel, name, future in running:
                failed += not report(options, kernel, name, *future.result())
        except BaseException:
            # An interrupt: begin no further case, and end the guests that the pool's threads wait for.
            pool.shutdown(wait=False, cancel_futures=True)
            machine.end_all()
            raise
    return 1 if failed else 0


sys.exit(main())
