# SPDX-License-Identifier: LGPL-2.1-or-later
"""The steps of tests/run: each builds in its own folder, runs its suites and says how many tests passed, failed and were skipped."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
COUNTS = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$")
# What needs hardware, and so may be skipped: (test, why). README names the same.
MAY_SKIP: set[str] = set()


class Counts:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def add(self, passed, failed, skipped):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped

    def check(self, ok):
        self.add(1, 0, 0) if ok else self.add(0, 1, 0)

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def run(*command, **options):
    """A command in the top folder; its output is shown only when it fails."""
    done = subprocess.run([str(c) for c in command], cwd=options.pop("cwd", TOP), text=True, errors="replace",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **options)
    if done.returncode != 0:
        print(f"$ {' '.join(str(c) for c in command)}\n{done.stdout}(exit status {done.returncode})", flush=True)
    return done.returncode == 0


def tracked(*patterns):
    return subprocess.run(["git", "ls-files", *patterns], cwd=TOP, text=True, stdout=subprocess.PIPE, check=True).stdout.split()


def scripts(interpreter):
    """Tracked files whose first line names the interpreter."""
    found = []
    for name in tracked():
        path = TOP / name
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as f:
                first = f.readline(80)
            if first.startswith(b"#!") and interpreter in first.decode(errors="replace"):
                found.append(name)
    return found


def build(counts, folder, *options, env=None):
    path = TOP / folder
    env = {**os.environ, **(env or {})}
    if not (path / "build.ninja").exists():
        shutil.rmtree(path, ignore_errors=True)
        if not run("meson", "setup", folder, "-Dwerror=true", *options, env=env):
            counts.check(False)
            return False
    ok = run("ninja", "-C", folder, env=env)
    counts.check(ok)
    return ok


def count_output(text, ok):
    """What a test program says of itself; one test if it does not say."""
    lines = text.strip().splitlines()
    for line in reversed(lines[-3:]):
        found = COUNTS.match(line.strip())
        if found:
            passed, failed, skipped = map(int, found.groups())
            return passed, failed if ok or failed else failed + 1, skipped
    tap = [line for line in lines if re.match(r"^(not )?ok \d+", line)]
    if tap:
        failed = sum(line.startswith("not ok") for line in tap)
        skipped = sum("# SKIP" in line for line in tap)
        return len(tap) - failed - skipped, failed if ok or failed else failed + 1, skipped
    return (1, 0, 0) if ok else (0, 1, 0)


def meson_test(counts, folder, suites, multiplier=1, env=None):
    """Run the suites and count what their programs count. A skipped test that README does not name counts as failed."""
    log = TOP / folder / "meson-logs" / "run.json"
    log.unlink(missing_ok=True)
    command = ["meson", "test", "-C", folder, "--no-rebuild", "--logbase", "run", "--timeout-multiplier", str(multiplier)]
    for suite in suites:
        command += ["--suite", suite]
    subprocess.run(command, cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   env={**os.environ, **(env or {})}, check=False)
    seen = set()
    for line in log.read_text(errors="replace").splitlines() if log.exists() else []:
        test = json.loads(line)
        text = test.get("stdout") or ""
        ok = test["result"] in ("OK", "EXPECTEDFAIL")
        name = test["name"]
        for suite in suites:
            if f":{suite} " in name or name.startswith(f"{suite} ") or f":{suite}+" in name or f"+{suite} " in name:
                seen.add(suite)
        if test["result"] == "SKIP":
            passed, failed, skipped = 0, 0, 1
        else:
            passed, failed, skipped = count_output(text, ok)
        if skipped and name not in MAY_SKIP:
            print(f"{folder}: {name} skipped {skipped}, which only hardware excuses")
            failed, skipped = failed + skipped, 0
        if failed:
            print(f"---- {folder}: {name}: {test['result']}\n{text}{test.get('stderr') or ''}----", flush=True)
        counts.add(passed, failed, skipped)
    for suite in set(suites) - seen:
        print(f"{folder}: no test of suite {suite} ran")
        counts.check(False)


ALL = ["unit", "model", "fuzz", "bus", "cli", "simhost", "integration", "checks"]


def step_lint(counts):
    """formatting, spelling, shell, python, the unit, the XML"""
    c_files = tracked("*.c", "*.h")
    counts.check(run("clang-format", "--dry-run", "-Werror", *c_files))
    counts.check(run("shellcheck", *scripts("sh")))
    counts.check(run("/usr/bin/python3", "-m", "pyflakes", *sorted(set(tracked("*.py") + scripts("python3")))))
    counts.check(run("codespell", "--ignore-words", "tests/checks/codespell-ignore", *[f for f in tracked() if f != "LICENSE"]))
    counts.check(run("xmllint", "--noout", "--nonet", *tracked("dbus/*.xml")))
    blanks = subprocess.run(["git", "grep", "-nIE", "[[:blank:]]+$", "--", ":!LICENSE"], cwd=TOP, text=True, check=False,
                            stdout=subprocess.PIPE).stdout
    print(blanks, end="")
    counts.check(not blanks)


def step_gcc(counts):
    """the build with gcc and all suites"""
    if build(counts, "build-gcc"):
        meson_test(counts, "build-gcc", ALL)
        counts.check(run("systemd-analyze", "security", "--offline=true", "--threshold=20", "build-gcc/systemd/vgpud.service"))


def step_clang(counts):
    """the build with clang, release mode, and clang-tidy"""
    if build(counts, "build-clang", "-Dmode=release", "-Dbuildtype=release", env={"CC": "clang"}):
        meson_test(counts, "build-clang", ["unit", "model", "bus"])
        sources = tracked("daemon/*.c", "dbus/*.c", "drivers-glue/*.c", "cli/*.c", "policy/*.c")
        counts.check(run("clang-tidy", "--quiet", "-p", "build-clang", *sources))


def step_asan(counts):
    """all suites under the address and undefined-behaviour sanitizers"""
    env = {"ASAN_OPTIONS": "abort_on_error=0:detect_stack_use_after_return=1", "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"}
    if build(counts, "build-asan", "-Db_sanitize=address,undefined", "-Db_lundef=false"):
        meson_test(counts, "build-asan", [s for s in ALL if s != "checks"], multiplier=4, env=env)


def step_tsan(counts):
    """lanes, jobs and the model under the thread sanitizer"""
    env = {"TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1"}
    if build(counts, "build-tsan", "-Db_sanitize=thread", "-Db_lundef=false", "-Dsimhost=disabled", "-Dman=disabled",
             env={"CC": "clang"}):
        meson_test(counts, "build-tsan", ["unit", "model", "bus"], multiplier=4, env=env)


def vm(counts, folder, name, kernels):
    if not build(counts, folder):
        return
    destdir = TOP / folder / "installed"
    results = TOP / folder / "vm-results"
    shutil.rmtree(destdir, ignore_errors=True)
    results.unlink(missing_ok=True)
    if not run("meson", "install", "-C", folder, "--no-rebuild", "--quiet", env={**os.environ, "DESTDIR": str(destdir)}):
        counts.check(False)
        return
    if not run("tests/vm/build"):
        counts.check(False)
        return
    command = ["tests/vm/suite.py", "--install", str(destdir), "--results", str(results)]
    for kernel in kernels or []:
        command += ["--kernel", kernel]
    ok = subprocess.run(command, cwd=TOP, stdin=subprocess.DEVNULL, check=False).returncode == 0
    lines = results.read_text().splitlines() if results.exists() else []
    failed = sum(line.startswith("FAIL") for line in lines)
    counts.add(sum(line.startswith("PASS") for line in lines), failed if ok or failed else 1, 0)
    if not lines:
        print(f"{name}: no case ran")
        counts.check(False)


def step_vm(counts):
    """the installed program in a guest with a real kernel, systemd, D-Bus, polkit and udev: both kernels"""
    vm(counts, "build-gcc", "vm", None)


STEPS = {
    "lint": step_lint,
    "gcc": step_gcc,
    "clang": step_clang,
    "asan": step_asan,
    "tsan": step_tsan,
    "vm": step_vm,
}


def main():
    wanted = sys.argv[1:]
    if "--list" in wanted:
        for name, step in STEPS.items():
            print(f"{name:8} {step.__doc__}")
        return 0
    unknown = [w for w in wanted if w not in STEPS]
    if unknown:
        print(f"tests/run: no step {unknown[0]}; there are {', '.join(STEPS)}", file=sys.stderr)
        return 2
    total = Counts()
    for name, step in STEPS.items():
        if wanted and name not in wanted:
            continue
        counts = Counts()
        begin = time.monotonic()
        print(f"== {name}: {step.__doc__}", flush=True)
        step(counts)
        print(f"== {name}: {counts} ({time.monotonic() - begin:.0f} s)", flush=True)
        total.add(counts.passed, counts.failed, counts.skipped)
    print(total)
    return 1 if total.failed or total.passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
