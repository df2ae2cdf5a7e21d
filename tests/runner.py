# SPDX-License-Identifier: LGPL-2.1-or-later
"""The steps of tests/run: each step builds in a folder of its own, runs suites and counts passed, failed and skipped
tests."""

import argparse
import contextlib
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
# The names of tests that may be skipped because they need hardware. As README says, there are none.
MAY_SKIP: set[str] = set()
# The highest exposure that "systemd-analyze security" may report for each unit, times ten, as in README's table.
UNITS = {"vgpud.service": 19, "vgpud-ready.service": 5, "vgpud-nvml@.service": 20, "vgpud-sriov@.service": 30}


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
    """Run a command in the top folder; show the output only on failure."""
    done = subprocess.run([str(c) for c in command], cwd=options.pop("cwd", TOP), text=True, errors="replace",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **options)
    if done.returncode != 0:
        print(f"$ {' '.join(str(c) for c in command)}\n{done.stdout}(exit status {done.returncode})", flush=True)
    return done.returncode == 0


def show(*command):
    """Run a command with its output shown at once."""
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


def build(counts, folder, *options, targets=(), env=None, prefix=()):
    """prefix: the words before each command, which enter another root."""
    path = TOP / folder
    env = {**os.environ, **(env or {})}
    if not (path / "build.ninja").exists():
        shutil.rmtree(path, ignore_errors=True)
        if not run(*prefix, "meson", "setup", folder, "-Dwerror=true", *options, env=env):
            counts.check(False)
            return False
    ok = run(*prefix, "ninja", "-C", folder, *targets, env=env)
    counts.check(ok)
    return ok


def count_output(text, ok):
    """Count the tests in a program's output; one test if the output has no counts."""
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


def meson_test(counts, folder, suites, tests=(), multiplier=1, env=None, prefix=()):
    """Run the suites, or the named tests, and add the counts of their programs. A skipped test that README does not
    list counts as failed."""
    log = TOP / folder / "meson-logs" / "run.json"
    log.unlink(missing_ok=True)
    command = [*prefix, "meson", "test", "-C", folder, "--no-rebuild", "--logbase", "run", "--timeout-multiplier", str(multiplier)]
    for suite in suites:
        command += ["--suite", suite]
    command += tests
    done = subprocess.run(command, cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", env={**os.environ, **(env or {})}, check=False)
    seen, names = set(), set()
    complained = False
    for line in log.read_text(errors="replace").splitlines() if log.exists() else []:
        test = json.loads(line)
        text = test.get("stdout") or ""
        ok = test["result"] in ("OK", "EXPECTEDFAIL")
        name = test["name"]
        names.add(name.rpartition(" / ")[2])
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
            print(f"{folder}: {name} skipped {skipped}, but only tests that need hardware may be skipped")
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
    for test in sorted(set(tests) - names):
        print(f"{folder}: no such test: {test}")
        counts.check(False)


def install(folder, prefix=()):
    """Install into a separate folder. Return the folder, or None on failure."""
    destdir = TOP / folder / "installed"
    shutil.rmtree(destdir, ignore_errors=True)
    ok = run(*prefix, "meson", "install", "-C", folder, "--no-rebuild", "--quiet", "--destdir", destdir)
    return destdir if ok else None


def installed(destdir):
    """Return the installed files. systemd of Debian 12 installs into /lib, which is a link to /usr/lib."""
    paths = ["/" + str(path.relative_to(destdir)) for path in destdir.rglob("*") if path.is_symlink() or not path.is_dir()]
    return {f"/usr{path}" if path.startswith("/lib/") else path for path in paths}


def check_install(counts, folder):
    """Compare the installed files with the list, and check that uninstalling removes all files."""
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


# Runs of a fuzzer in the step "fuzz"; "fuzz-long" has ten times as many.
FUZZ_RUNS = 200_000
# The slow fuzzers, which need about 20 seconds for this number of runs.
FUZZ_RUNS_OF = {"cli-host": 50_000, "config": 50_000, "drivers": 100_000, "facts": 100_000, "lying-kernel": 5_000, "store": 50_000}


def fuzz(counts, folder, times=1, seed=1):
    """Run each fuzzer, first on its corpus. New inputs go to the build folder."""
    corpora = sorted(path for path in (TOP / "tests/fuzz/corpus").iterdir() if path.is_dir())
    fuzzers = [f"tests/fuzz/fuzz-{corpus.name}" for corpus in corpora]
    if not build(counts, folder, "-Dfuzz=true", "-Db_sanitize=address,undefined", "-Db_lundef=false", "-Dsimhost=disabled",
                 "-Dman=disabled", targets=fuzzers, env={"CC": "clang"}):
        return
    for corpus, fuzzer in zip(corpora, fuzzers):
        new = TOP / folder / "found" / corpus.name
        new.mkdir(parents=True, exist_ok=True)
        runs = times * FUZZ_RUNS_OF.get(corpus.name, FUZZ_RUNS)
        counts.check(run(TOP / folder / fuzzer, f"-runs={runs}", f"-seed={seed}", "-timeout=60", new, corpus, cwd=new))


@contextlib.contextmanager
def busy_cores(wanted=True):
    """Keep each core busy with a process. The kernel ends these processes together with the runner, even if the runner is
    killed."""
    command = ["setpriv", "--pdeathsig", "KILL", "sh", "-c", "while :; do :; done"]
    loops = [subprocess.Popen(command, stdin=subprocess.DEVNULL) for _ in os.sched_getaffinity(0)] if wanted else []
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


ALL = ["unit", "model", "fuzz", "bus", "cli", "simhost", "integration", "hostile", "checks"]
QUICK = ["unit", "model", "bus", "cli", "checks"]
ASAN = {"ASAN_OPTIONS": "abort_on_error=0:detect_stack_use_after_return=1", "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"}


def build_gcc(counts):
    return build(counts, "build-gcc")


def build_asan(counts):
    return build(counts, "build-asan", "-Db_sanitize=address,undefined", "-Db_lundef=false")


def step_lint(counts):
    """formatting, spelling, shell, python, the unit, the XML"""
    # Releases of clang-format disagree. That of Debian 12 decides, see .clang-format.
    version = subprocess.run(["clang-format", "--version"], text=True, check=False, stdout=subprocess.PIPE).stdout.strip()
    if " version 14." in version:
        counts.check(run("clang-format", "--dry-run", "-Werror", *tracked("*.c", "*.h")))
    else:
        print(f"lint: the layout of C files is checked on Debian 12 only; this is {version}")
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
    """the build with gcc and all suites, the table of faults, the demo, the units' sandboxes"""
    if build_gcc(counts):
        meson_test(counts, "build-gcc", ALL)
        counts.check(show("tests/faults.py", "build-gcc/meson-logs/run.json"))
        for unit, threshold in UNITS.items():
            counts.check(run("systemd-analyze", "security", "--offline=true", f"--threshold={threshold}", f"build-gcc/systemd/{unit}"))
        counts.check(run("tests/demo", env={**os.environ, "VGPUD_BUILD": "build-gcc"}))


def step_clang(counts):
    """the build with clang, release mode; the installed files; clang-tidy"""
    if build(counts, "build-clang", "-Dmode=release", "-Dbuildtype=release", env={"CC": "clang"}):
        meson_test(counts, "build-clang", ["unit", "model", "bus"])
        check_install(counts, "build-clang")
        sources = tracked("daemon/*.c", "dbus/*.c", "drivers-glue/*.c", "cli/*.c", "policy/*.c")
        counts.check(run("clang-tidy", "--quiet", "-p", "build-clang", *sources))


def step_asan(counts):
    """all suites under the address and undefined-behaviour sanitizers"""
    if build_asan(counts):
        meson_test(counts, "build-asan", [s for s in ALL if s != "checks"], multiplier=4, env=ASAN)


def step_tsan(counts):
    """lanes, jobs and the model under the thread sanitizer"""
    # GLib is not built with the sanitizer, which does not see the locks of GLib's slice allocator: memory that moves from
    # one thread to another would look like a race.
    env = {"TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1", "G_SLICE": "always-malloc"}
    if build(counts, "build-tsan", "-Db_sanitize=thread", "-Db_lundef=false", "-Dsimhost=disabled", "-Dman=disabled",
             env={"CC": "clang"}):
        meson_test(counts, "build-tsan", ["unit", "model", "bus"], multiplier=4, env=env)


def step_fuzz(counts):
    """libFuzzer on the parsers and the back ends, under the sanitizers"""
    fuzz(counts, "build-fuzz")


def vm_cases(counts, destdir, debian, number):
    """Run all cases in the guests of a release, which has this number of kernels."""
    results = destdir.parent / "vm-results"
    results.unlink(missing_ok=True)
    ok = show("tests/vm/suite.py", "--debian", debian, "--install", destdir, "--results", results, "--timeout", 900)
    lines = results.read_text().splitlines() if results.exists() else []
    failed = sum(line.startswith("FAIL") for line in lines)
    counts.add(sum(line.startswith("PASS") for line in lines), failed if ok or failed else 1, 0)
    kernels = {line.split()[1].rpartition(".")[0] for line in lines}
    if len(kernels) < number:
        print(f"vm: cases ran on {', '.join(sorted(kernels)) or 'no kernel'}, not on {number} kernels")
        counts.check(False)


def step_vm(counts):
    """the installed program in guests with two real kernels, systemd, D-Bus, polkit and udev"""
    if not build_gcc(counts):
        return
    destdir = install("build-gcc")
    # Show the output at once, because the first build takes minutes.
    if not destdir or not show("tests/vm/build"):
        counts.check(False)
        return
    vm_cases(counts, destdir, "12", 2)


def step_bench(counts):
    """one part of the benchmark; figures are not asserted"""
    counts.check(run("tests/bench", "--quick", "--only", "gvt"))


def step_quick(counts):
    """the build with gcc and its short suites: unit, model, bus, cli, checks"""
    if build_gcc(counts):
        meson_test(counts, "build-gcc", QUICK)


def step_again(counts):
    """simhost and integration suites five times while every core is busy"""
    repeat(counts, ["simhost", "integration"], 5, busy=True)


def step_fuzz_long(counts):
    """libFuzzer as in "fuzz", ten times as long, with another seed each day"""
    seed = int(time.time()) // 86400
    print(f"fuzz-long: seed {seed}")
    fuzz(counts, "build-fuzz", 10, seed)


def step_debian13(counts):
    """Debian 13: the build and all suites in a root file system, all cases and a part of the benchmark in a guest"""
    if not show("tests/vm/build", "--debian", "13"):
        counts.check(False)
        return
    folder = "build-trixie"
    prefix = ["tests/vm/enter", "--debian", "13", "--write", folder]
    if not build(counts, folder, prefix=prefix):
        return
    meson_test(counts, folder, ALL, prefix=prefix)
    destdir = install(folder, prefix)
    if not destdir:
        counts.check(False)
        return
    vm_cases(counts, destdir, "13", 1)
    counts.check(show("tests/bench", "--only", "guest13"))


def step_bench_whole(counts):
    """the whole benchmark; figures are shown, not asserted"""
    counts.check(show("tests/bench"))


# A run without arguments.
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
# STEPS has no step "quick", because "gcc" runs the same suites.
QUICK_STEPS = {"lint": step_lint, "quick": step_quick}
NIGHTLY_STEPS = {"again": step_again, "fuzz-long": step_fuzz_long, "debian13": step_debian13, "bench-whole": step_bench_whole}
EVERY_STEP = {**STEPS, **QUICK_STEPS, **NIGHTLY_STEPS}


def repeat(counts, names, times, busy=False, asan=False):
    """Run steps, suites and tests of meson repeatedly, up to the first failure."""
    steps = [n for n in names if n in EVERY_STEP]
    suites = [n for n in names if n in ALL and n not in steps]
    tests = [n for n in names if n not in steps + suites]
    folder, env = ("build-asan", ASAN) if asan else ("build-gcc", None)
    if (suites or tests) and not (build_asan if asan else build_gcc)(counts):
        return

    # A busy machine may need several times as long. The limit only ends tests that hang.
    options = {"multiplier": 16 if asan else 4, "env": env}
    with busy_cores(busy):
        for number in range(1, times + 1):
            begin = time.monotonic()
            for name in steps:
                EVERY_STEP[name](counts)
            if suites:
                meson_test(counts, folder, suites, **options)
            if tests:
                meson_test(counts, folder, [], tests, **options)
            print(f"pass {number} of {times}: {counts} ({time.monotonic() - begin:.0f} s)", flush=True)
            if counts.failed:
                return


def describe_steps(steps):
    return "\n".join(f"  {name:12} {step.__doc__}" for name, step in steps.items())


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="tests/run", allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="tests/run [--quick | --nightly | --list | --help]\n"
              "       tests/run STEP...\n"
              "       tests/run --repeat N [--busy] [--asan] STEP|SUITE|TEST...",
        description="Installs the packages, builds, and runs tests. The last line is \"N passed, N failed, N skipped\"; the exit\n"
                    "status is 0 when all passed, 1 when a test failed, 2 when the arguments are wrong.",
        epilog=f"The steps of a run without arguments:\n{describe_steps(STEPS)}\n"
               f"The steps of --quick:\n{describe_steps(QUICK_STEPS)}\n"
               f"The steps of --nightly, besides those of a run without arguments:\n{describe_steps(NIGHTLY_STEPS)}\n"
               f"The suites: {', '.join(ALL)}. The tests: meson test -C build-gcc --list\n")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--quick", action="store_true", help="run the short steps: under three minutes when only a few files changed")
    mode.add_argument("--nightly", action="store_true", help="run everything: the default run and the long steps, which take hours")
    mode.add_argument("--list", action="store_true", help="show the steps, and do nothing")
    mode.add_argument("--repeat", type=int, metavar="N", help="run N passes one after another, up to the first failure")
    parser.add_argument("--busy", action="store_true", help="with --repeat: keep every core busy with other processes")
    parser.add_argument("--asan", action="store_true", help="with --repeat: suites and tests with the sanitizers, in build-asan")
    parser.add_argument("--parse-only", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", metavar="STEP", help="run these steps only; with --repeat also suites and tests of meson")
    arguments = parser.parse_args()

    if arguments.names and (arguments.quick or arguments.nightly or arguments.list):
        parser.error("--quick, --nightly and --list take no steps")
    if arguments.repeat is None and (arguments.busy or arguments.asan):
        parser.error("--busy and --asan go with --repeat")
    if arguments.repeat is not None and (arguments.repeat < 1 or not arguments.names):
        parser.error("--repeat wants a number from 1 on, and steps, suites or tests")
    unknown = [n for n in arguments.names if n not in EVERY_STEP]
    if unknown and arguments.repeat is None:
        parser.error(f"no step {unknown[0]}; there are {', '.join(EVERY_STEP)}")
    return arguments


def steps_of(arguments):
    if arguments.quick:
        return QUICK_STEPS
    if arguments.nightly:
        return {**STEPS, **NIGHTLY_STEPS}
    return {name: step for name, step in EVERY_STEP.items() if name in arguments.names} if arguments.names else STEPS


def main():
    arguments = parse_arguments()
    if arguments.parse_only:
        return 0
    if arguments.list:
        for name, step in EVERY_STEP.items():
            print(f"{name:12} {step.__doc__}")
        return 0
    # Root may work in another user's clone, where git refuses to run by default.
    os.environ |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": str(TOP)}
    if arguments.nightly:
        os.environ["VGPUD_NIGHTLY"] = "1"  # tests/integration/test-crash.py has more tests then
    total = Counts()
    if arguments.repeat is not None:
        repeat(total, arguments.names, arguments.repeat, arguments.busy, arguments.asan)
        print(total)
        return 1 if total.failed or total.passed == 0 else 0
    for name, step in steps_of(arguments).items():
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
