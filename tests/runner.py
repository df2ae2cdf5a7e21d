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


def show(*command):
    """A command whose output is shown as it comes."""
    return subprocess.run([str(c) for c in command], cwd=TOP, stdin=subprocess.DEVNULL, check=False).returncode == 0


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


def build(counts, folder, *options, targets=(), env=None):
    path = TOP / folder
    env = {**os.environ, **(env or {})}
    if not (path / "build.ninja").exists():
        shutil.rmtree(path, ignore_errors=True)
        if not run("meson", "setup", folder, "-Dwerror=true", *options, env=env):
            counts.check(False)
            return False
    ok = run("ninja", "-C", folder, *targets, env=env)
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
        skipped = sum("# skip" in line.lower() for line in tap)
        return len(tap) - failed - skipped, failed if ok or failed else failed + 1, skipped
    return (1, 0, 0) if ok else (0, 1, 0)


def meson_test(counts, folder, suites, multiplier=1, env=None):
    """Run the suites and count what their programs count. A skipped test that README does not name counts as failed."""
    log = TOP / folder / "meson-logs" / "run.json"
    log.unlink(missing_ok=True)
    command = ["meson", "test", "-C", folder, "--no-rebuild", "--logbase", "run", "--timeout-multiplier", str(multiplier)]
    for suite in suites:
        command += ["--suite", suite]
    done = subprocess.run(command, cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", env={**os.environ, **(env or {})}, check=False)
    seen = set()
    complained = False
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
        if passed + failed + skipped == 0:
            print(f"{folder}: {name} ran no test")
            failed = 1
        if skipped and name not in MAY_SKIP:
            print(f"{folder}: {name} skipped {skipped}, which only hardware excuses")
            failed, skipped = failed + skipped, 0
        if failed:
            complained = True
            print(f"---- {folder}: {name}: {test['result']}\n{text}{test.get('stderr') or ''}----", flush=True)
        counts.add(passed, failed, skipped)
    if done.returncode != 0 and not complained:
        print(f"{folder}: meson test ended with {done.returncode}:\n{done.stdout}", flush=True)
        counts.check(False)
    for suite in sorted(set(suites) - seen):
        print(f"{folder}: no test of suite {suite} ran")
        counts.check(False)


def install(folder):
    """Install into a folder of its own; None, or where."""
    destdir = TOP / folder / "installed"
    shutil.rmtree(destdir, ignore_errors=True)
    ok = run("meson", "install", "-C", folder, "--no-rebuild", "--quiet", env={**os.environ, "DESTDIR": str(destdir)})
    return destdir if ok else None


def installed(destdir):
    return {"/" + str(path.relative_to(destdir)) for path in destdir.rglob("*") if path.is_symlink() or not path.is_dir()}


def check_install(counts, folder):
    """What is installed is what the list says, and all of it goes again."""
    destdir = install(folder)
    if not destdir:
        counts.check(False)
        return
    wanted = set((TOP / "tests/golden/installed.txt").read_text().split())
    found = installed(destdir)
    for path in sorted(found ^ wanted):
        print(f"{folder}: {path} is {'installed, but not in tests/golden/installed.txt' if path in found else 'not installed'}")
    counts.check(found == wanted)
    gone = run("ninja", "-C", folder, "uninstall", env={**os.environ, "DESTDIR": str(destdir)})
    left = installed(destdir) if destdir.exists() else set()
    for path in sorted(left):
        print(f"{folder}: {path} is left after uninstalling")
    counts.check(gone and not left)


def fuzz(counts, folder, runs):
    """Each fuzzer, for a while; it begins with the corpus, and keeps what it finds in its build folder."""
    corpora = sorted(path for path in (TOP / "tests/fuzz/corpus").iterdir() if path.is_dir())
    fuzzers = [f"tests/fuzz/fuzz-{corpus.name}" for corpus in corpora]
    if not build(counts, folder, "-Dfuzz=true", "-Db_sanitize=address,undefined", "-Db_lundef=false", "-Dsimhost=disabled",
                 "-Dman=disabled", targets=fuzzers, env={"CC": "clang"}):
        return
    for corpus, fuzzer in zip(corpora, fuzzers):
        new = TOP / folder / "found" / corpus.name
        new.mkdir(parents=True, exist_ok=True)
        counts.check(run(TOP / folder / fuzzer, f"-runs={runs}", "-seed=1", "-timeout=60", new, corpus, cwd=new))


ALL = ["unit", "model", "fuzz", "bus", "cli", "simhost", "integration", "checks"]


def step_lint(counts):
    """formatting, spelling, shell, python, the unit, the XML"""
    c_files = tracked("*.c", "*.h")
    counts.check(run("clang-format", "--dry-run", "-Werror", *c_files))
    counts.check(run("shellcheck", *scripts("sh")))
    counts.check(run("/usr/bin/python3", "-m", "pyflakes", *sorted(set(tracked("*.py") + scripts("python3")))))
    ours = [f for f in tracked() if f != "LICENSE" and not f.startswith("tests/fuzz/corpus/")]
    counts.check(run("codespell", "--ignore-words", "tests/checks/codespell-ignore", *ours))
    counts.check(run("xmllint", "--noout", "--nonet", *tracked("dbus/*.xml")))
    blanks = subprocess.run(["git", "grep", "-nIE", "[[:blank:]]+$", "--", ":!LICENSE"], cwd=TOP, text=True, check=False,
                            stdout=subprocess.PIPE).stdout
    print(blanks, end="")
    counts.check(not blanks)


def step_gcc(counts):
    """the build with gcc and all suites, the demo, the unit's sandbox"""
    if build(counts, "build-gcc"):
        meson_test(counts, "build-gcc", ALL)
        counts.check(run("systemd-analyze", "security", "--offline=true", "--threshold=22", "build-gcc/systemd/vgpud.service"))
        counts.check(run("tests/demo", env={**os.environ, "VGPUD_BUILD": "build-gcc"}))


def step_clang(counts):
    """the build with clang, release mode; what it installs; clang-tidy"""
    if build(counts, "build-clang", "-Dmode=release", "-Dbuildtype=release", env={"CC": "clang"}):
        meson_test(counts, "build-clang", ["unit", "model", "bus"])
        check_install(counts, "build-clang")
        sources = tracked("daemon/*.c", "dbus/*.c", "drivers-glue/*.c", "cli/*.c", "policy/*.c")
        counts.check(run("clang-tidy", "--quiet", "-p", "build-clang", *sources))


def step_asan(counts):
    """all suites under the address and undefined-behaviour sanitizers"""
    env = {"ASAN_OPTIONS": "abort_on_error=0:detect_stack_use_after_return=1", "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"}
    if build(counts, "build-asan", "-Db_sanitize=address,undefined", "-Db_lundef=false"):
        meson_test(counts, "build-asan", [s for s in ALL if s != "checks"], multiplier=4, env=env)


def step_tsan(counts):
    """lanes, jobs and the model under the thread sanitizer"""
    # GLib is not built for the sanitizer, which sees none of the locks of GLib's slices: memory that one thread gives back and
    # another gets would look like a race.
    env = {"TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1", "G_SLICE": "always-malloc"}
    if build(counts, "build-tsan", "-Db_sanitize=thread", "-Db_lundef=false", "-Dsimhost=disabled", "-Dman=disabled",
             env={"CC": "clang"}):
        meson_test(counts, "build-tsan", ["unit", "model", "bus"], multiplier=4, env=env)


def step_fuzz(counts):
    """libFuzzer on the parsers, under the sanitizers"""
    fuzz(counts, "build-fuzz", 200_000)


def step_vm(counts):
    """the installed program in a guest with a real kernel, systemd, D-Bus, polkit and udev: both kernels"""
    if not build(counts, "build-gcc"):
        return
    destdir = install("build-gcc")
    # Said as it goes: a first build takes minutes.
    if not destdir or not show("tests/vm/build"):
        counts.check(False)
        return
    results = TOP / "build-gcc/vm-results"
    results.unlink(missing_ok=True)
    ok = show("tests/vm/suite.py", "--install", destdir, "--results", results, "--timeout", 900)
    lines = results.read_text().splitlines() if results.exists() else []
    failed = sum(line.startswith("FAIL") for line in lines)
    counts.add(sum(line.startswith("PASS") for line in lines), failed if ok or failed else 1, 0)
    kernels = {line.split()[1].rpartition(".")[0] for line in lines}
    if len(kernels) < 2:
        print(f"vm: cases ran on {', '.join(sorted(kernels)) or 'no kernel'}, not on two kernels")
        counts.check(False)


def step_bench(counts):
    """one part of the benchmark runs through; its figures are not judged"""
    counts.check(run("tests/bench", "--quick", "--only", "gvt"))


STEPS = {
    "lint": step_lint,
    "gcc": step_gcc,
    "clang": step_clang,
    "asan": step_asan,
    "tsan": step_tsan,
    "fuzz": step_fuzz,
    "vm": step_vm,
    "bench": step_bench,
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
    # Root may work in the clone of somebody else, which git refuses unless told.
    os.environ |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": str(TOP)}
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
