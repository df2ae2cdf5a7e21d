# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compares vgpud with mdevctl, and with vgpud's own budgets. Run by tests/bench.

Both tools work on the same tree in one run, in turn, with warm caches; a figure is the median of all rounds. Only
ratios are comparable between machines, not times."""

import argparse
import json
import math
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

import boot
import growth
import guest
from places import Files, MEASURE, MEASURE_PLACE, Simulated, VGPUCTL, simhost
from writes import GPU, GVT, GVT_TYPE, OURS, TYPE, Writes, change_commands

BOLTD = "/usr/libexec/boltd"
REAL_ATTRIBUTE = "/sys/kernel/uevent_seqnum"
REST_SECONDS = 0.3  # vgpud at work never pauses this long between two reads
IDLE_AFTER_SECONDS = 7  # vgpud ends an idle writer after 5 s

OTHER_GPU = "0000:21:00.0"

CANDIDATES = 1024

ROWS = []
COUNTS = []
READS = {}  # name of a tree of files: milliseconds per read of an attribute in it


def say(text):
    print(text, file=sys.stderr, flush=True)


def median(samples, column=0):
    """The median in milliseconds."""
    return statistics.median(sample[column] for sample in samples) / 1e6


def milliseconds(value):
    if value is None:
        return "-"
    return f"{value:.2f} ms" if value < 10 else f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"


def row(what, ours=None, theirs=None, figure=None, budget=None, kept=None, form=milliseconds, **more):
    """figure: the value that the budget limits; kept: True if it is within the budget, None without a budget."""
    ROWS.append({"what": what, "vgpud": ours, "mdevctl": theirs, "figure": figure, "budget": budget, "kept": kept, **more,
                 "text": [what, form(ours), form(theirs), figure or "-", budget or "-",
                          {None: "-", True: "ok", False: "missed"}[kept]]})
    say("  " + "; ".join(ROWS[-1]["text"]))


def times(ratio):
    return f"{ratio:.1f} times" if math.isfinite(ratio) else "-"


# ---- rows that compare both tools ----

def count(place, what):
    """Check that both tools report the same number of objects, and not zero: on an empty tree every tool is fast."""
    parents = [entry for entry in json.loads(place.run("mdevctl", "types", "--dumpjson") or "[]")]
    offers = {name: sum(len(entry) for entry in types) for parent in parents for name, types in parent.items()}
    names = place.run(VGPUCTL, "gpus", "-q").splitlines()
    gpus = [json.loads(place.run(VGPUCTL, "show", name, "--json"))["gpu"] for name in names]
    ours = {"parents": sum(len(gpu["parents"]) for gpu in gpus),
            "types on parents": sum(len(gpu["parents"]) * len(gpu["types"]) for gpu in gpus),
            "instances": len(place.run(VGPUCTL, "list", "-q").splitlines())}
    theirs = {"parents": len(offers), "types on parents": sum(offers.values()),
              "instances": len(place.run("mdevctl", "list").split()) // 4}
    COUNTS.append({"tree": what, "vgpud": ours, "mdevctl": theirs})
    say(f"{what}: vgpud sees {ours}, mdevctl {theirs}")
    if ours != theirs or not ours["types on parents"]:
        sys.exit("bench: vgpud and mdevctl report different objects, so no figure would be comparable")


def compare(what, samples, ours, theirs, least, budget):
    mine, other = median(samples[ours]), median(samples[theirs])
    row(what, mine, other, times(other / mine), budget, other / mine >= least,
        cpu={"vgpuctl": median(samples[ours], 1), "vgpud and bus": median(samples[ours], 2), "mdevctl": median(samples[theirs], 1)})


def measure_queries(rounds):
    """Measure listing, on the tree of files."""
    with Files(8, 32, 23, 256) as place:
        place.start_vgpud()
        count(place, "8 GPUs, 32 VFs, 23 types, 256 instances, files")
        samples = place.rounds(rounds, {
            "our-types": [VGPUCTL, "types"], "their-types": ["mdevctl", "types"],
            "our-list": [VGPUCTL, "list"], "their-list": ["mdevctl", "list"], "floor": ["/bin/true"],
        })
        attribute = "/sys/bus/pci/devices/0000:11:00.4/mdev_supported_types/nvidia-1000/available_instances"
        READS["the tree of files"] = median(place.measure("read", 2000, attribute)["read"])
        compare("list all types, 256 parents with 23 types each", samples, "our-types", "their-types", 25, "25 times faster")
        compare("list 256 instances", samples, "our-list", "their-list", 3, "3 times faster")
        row("for comparison: starting an empty program", median(samples["floor"]), form=milliseconds)
        measure_idle(place)


def measure_idle(place):
    """Measure the idle daemon with 256 instances."""
    say("waiting for idle writers to end")
    time.sleep(IDLE_AFTER_SECONDS)
    begin = switches(place.vgpud.pid)
    time.sleep(SECONDS_IDLE)
    woken = switches(place.vgpud.pid) - begin
    row(f"idle for {SECONDS_IDLE} s: context switches", woken, None, f"{woken}", "none", woken == 0,
        form=lambda n: "-" if n is None else str(n))
    mine, other, whose = memory(place.vgpud.pid), None, "boltd is not installed"
    if os.path.exists(BOLTD):
        other, whose = bolt_memory(place), "boltd, started beside it"
    else:
        other, whose = (7.6, 0.84), "boltd as measured earlier: it is not installed here"
    row("resident memory with 256 instances", mine[0], None, f"boltd {other[0]:.1f} MB", "not above boltd's",
        mine[0] <= other[0], form=lambda n: "-" if n is None else f"{n:.1f} MB",
        anonymous={"vgpud": mine[1], "boltd": other[1]}, note=whose)


def switches(pid):
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status", encoding="ascii") as stream:
            total += sum(int(n) for n in re.findall(r"ctxt_switches:\s+(\d+)", stream.read()))
    return total


def memory(pid):
    """Resident memory in total and anonymous, in MB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as stream:
        text = stream.read()
    return tuple(int(re.search(rf"{name}:\s+(\d+)", text).group(1)) / 1024 for name in ("VmRSS", "RssAnon"))


def bolt_memory(place):
    """Return memory() of boltd. The function starts boltd on the bus of vgpud, because this bus allows every name."""
    state = place.directory / "bolt"
    state.mkdir()
    environment = dict(place.environment, STATE_DIRECTORY=str(state), RUNTIME_DIRECTORY=str(state))
    process = subprocess.Popen([BOLTD], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        subprocess.run(["gdbus", "wait", "--system", "--timeout=20", "org.freedesktop.bolt"], env=environment, check=True)
        time.sleep(1)
        return memory(process.pid)
    finally:
        place.end(process)


def measure_objects(rounds):
    """Measure a host as large as the budgets promise, 1 024 instances on 16 GPUs with 40 types each, and a host a
    quarter as large."""
    with Files(4, 64, 40, 256) as place:
        place.start_vgpud()
        few = place.measure("objects", 4 * rounds)["objects"]
    with Files(16, 64, 40, 1024) as place:
        starts = place.measure("start", max(2, rounds // 8), *place.daemon_command())["start"]
        place.start_vgpud()
        count(place, "16 GPUs, 64 VFs, 40 types, 1 024 instances, files")
        many = place.measure("objects", 4 * rounds)["objects"]
        large, small = median(many), median(few)
        row("GetManagedObjects with 1 024 instances", large, None, milliseconds(large), "under 15 ms", large < 15,
            objects=many[0][1], best=min(sample[0] for sample in many) / 1e6)
        growth = large / small
        row("the same with 256, on a quarter of the GPUs", small, None, f"{growth:.1f} times less", "linear: at most 4.5",
            growth <= 4.5, objects=few[0][1], best=min(sample[0] for sample in few) / 1e6)
        start = median(starts)
        row("start with 1 024 instances, until the name is taken", start, None,
            f"CPU {milliseconds(median(starts, 1))}, {median(starts, 2) * 1e6 / 1024:.1f} MB resident", "under 200 ms", start < 200)


def report_signals(place, device, kind, rounds, where):
    samples = place.measure("signals", rounds, f"{device}/mdev_supported_types/{kind}/create", device)
    for name, what in (("added", "made"), ("removed", "removed")):
        value = median(samples[name])
        row(f"instance {what} by another program, until the signal, {where}", value, None, milliseconds(value), "under 30 ms",
            value < 30)


def measure_changes_gvt(rounds):
    """Measure changes of a GPU with four types."""
    device = f"/sys/bus/pci/devices/{GVT}"
    with Simulated("gvt-g") as place:
        place.start_vgpud()
        count(place, "one GPU with GVT-g, simulated")
        attribute = f"{device}/mdev_supported_types/{GVT_TYPE}/available_instances"
        READS["the simulated host"] = median(place.measure("read", 2000, attribute)["read"])
        WRITES.report(place.rounds(rounds, change_commands(device, GVT, GVT_TYPE)), "4 types")
        report_signals(place, device, GVT_TYPE, rounds, "4 types")


def measure_changes_large(rounds):
    """Measure changes of GPUs with virtual functions, first with all GPUs working, then while one hangs."""
    device = "/sys/bus/pci/devices/0000:11:00.4"
    with Simulated("scalable", simhost.scalable(4, 32, 23)) as place:
        # measure_hang() needs a job that hangs longer than all rounds take.
        place.configure("[jobs]\ntimeout=1h\n")
        place.start_vgpud()
        count(place, "4 GPUs, 32 VFs, 23 types, simulated")
        WRITES.report(place.rounds(rounds, change_commands(device, GPU, TYPE)), "32 VFs with 23 types")
        report_signals(place, device, TYPE, rounds, "32 VFs with 23 types")
        measure_hang(place, rounds)


def measure_hang(place, rounds):
    commands = {
        "list": [VGPUCTL, "list"],
        "create": [VGPUCTL, "create", "--type", TYPE, "--gpu", GPU, "--uuid", OURS],
        "destroy": [VGPUCTL, "destroy", OURS],
    }
    count_half = max(3, rounds // 2)
    free = place.rounds(count_half, commands)
    place.host.fault(f"create:{OTHER_GPU}:hang")
    place.run(VGPUCTL, "create", "--no-block", "--type", TYPE, "--gpu", OTHER_GPU)
    hung = place.rounds(rounds, commands)
    place.host.ctl("fault", "clear")
    place.host.ctl("release")
    for name, samples in place.rounds(count_half, commands).items():
        free[name] += samples
    for name, what in (("list", "list"), ("create", "create on another GPU"), ("destroy", "destroy on another GPU")):
        before, after = median(free[name]), median(hung[name])
        ratio = after / before
        row(f"{what} while a GPU hangs", after, None, f"{ratio:.2f} times as long as without a hang", "at most 1.25 times", ratio <= 1.25, free=before)


def reads_of(place):
    """The number of read system calls of vgpud, when vgpud has become idle."""
    before, now = None, None
    while before is None or before != now:
        before = now
        time.sleep(REST_SECONDS)
        text = pathlib.Path(f"/proc/{place.vgpud.pid}/io").read_text("ascii")
        now = int(re.search(r"^syscr: (\d+)$", text, re.M).group(1))
    return now


def measure_one_write(rounds):
    """Measure the reads caused by a change of one virtual function: only the GPU of this function is scanned."""
    gpus, vfs, types = 16, 64, 40
    with Simulated("scalable", simhost.scalable(gpus, vfs, types)) as place:
        place.start_vgpud()
        at_start = reads_of(place)
        samples = []
        for _ in range(max(3, rounds // 5)):
            before = reads_of(place)
            place.run(VGPUCTL, "create", "--type", TYPE, "--gpu", GPU, "--uuid", OURS)
            made = reads_of(place)
            place.run(VGPUCTL, "destroy", OURS)
            samples += [made - before, reads_of(place) - made]
        once = statistics.median(samples)
        share = at_start / gpus
        row(f"reads after one create or destroy, {gpus} GPUs with {vfs} VFs with {types} types", once, None,
            f"{once / share:.2f} of a GPU's share of a start", "under 1.5 (only this GPU is scanned)", once < 1.5 * share,
            form=lambda value: "-" if value is None else f"{value:.0f}")


def measure_placement(rounds):
    """Measure placement alone, which is a pure function."""
    text = subprocess.run([MEASURE_PLACE, str(20 * rounds), str(CANDIDATES)], stdout=subprocess.PIPE, text=True, check=True).stdout
    samples = {}
    for line in text.splitlines():
        name, nanoseconds = line.split()
        samples.setdefault(name, []).append([int(nanoseconds)])
    for name, what in (("alike", "all alike"), ("rules", "with rules, half of them full")):
        value = median(samples[name])
        row(f"choose one of 1 024 GPUs, {what}", value, None, milliseconds(value), "under 0.5 ms", value < 0.5,
            best=min(sample[0] for sample in samples[name]) / 1e6)


# ---- the table ----

def print_table(details):
    head = ["what", "vgpud", "mdevctl", "figure", "budget", ""]
    lines = [head] + [entry["text"] for entry in ROWS]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for entry in COUNTS:
        seen = ", ".join(f"{number} {what}" for what, number in entry["vgpud"].items())
        print(f"{entry['tree']}: both see {seen}")
    print()
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
    print()
    for entry in ROWS:
        if "cpu" in entry:
            used = ", ".join(f"{who} {milliseconds(value)}" for who, value in entry["cpu"].items())
            print(f"CPU, {entry['what']}: {used}")
    print()
    for line in details:
        print(line)


def main():
    parser = argparse.ArgumentParser(prog="tests/bench", description="Measures vgpud against mdevctl and its own budgets.")
    parser.add_argument("--quick", action="store_true", help="few rounds")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--only", metavar="PART", help="one of: queries objects gvt large batch reads place boot growth guest guest13")
    arguments = parser.parse_args()
    rounds = 6 if arguments.quick else 30
    global SECONDS_IDLE, WRITES  # pylint: disable=global-variable-undefined
    SECONDS_IDLE = 5 if arguments.quick else 20
    WRITES = Writes(sys.modules[__name__], rounds)
    wanted = {arguments.only} if arguments.only else {"queries", "objects", "gvt", "large", "batch", "reads", "place", "boot", "growth"}
    if not arguments.only and not arguments.quick:
        wanted.add("guest")

    load = os.getloadavg()[0]
    if "queries" in wanted:
        measure_queries(rounds)
    if "objects" in wanted:
        measure_objects(rounds)
    if "gvt" in wanted:
        measure_changes_gvt(rounds)
    if "large" in wanted:
        measure_changes_large(rounds)
    if "batch" in wanted:
        WRITES.measure_batch()
    if "reads" in wanted:
        measure_one_write(rounds)
    if "place" in wanted:
        measure_placement(rounds)
    if "boot" in wanted:
        boot.measure(sys.modules[__name__], 1 if arguments.quick else 3)
    if "growth" in wanted:
        growth.measure(sys.modules[__name__], rounds, arguments.quick)
    if "guest" in wanted:
        guest.measure("12", rounds, row)
    if "guest13" in wanted:
        guest.measure("13", rounds, row)
    details = [f"medians of {rounds} rounds, the tools in turn; "
               f"load of the machine when the benchmark began: {load:.1f} on {len(os.sched_getaffinity(0))} processors"]
    text = subprocess.run([MEASURE, "read", "2000", REAL_ATTRIBUTE], stdout=subprocess.PIPE, text=True, check=True).stdout
    READS["this machine's sysfs"] = median([[int(line.split(" ")[1])] for line in text.splitlines()])
    details += [f"reading one attribute costs {value * 1000:.1f} us in {where}" for where, value in READS.items()]
    if arguments.json:
        json.dump({"counts": COUNTS, "rows": [{k: v for k, v in entry.items() if k != "text"} for entry in ROWS],
                   "rounds": rounds, "load": load,
                   "read_microseconds": {where: value * 1000 for where, value in READS.items()}}, sys.stdout, indent=2)
        print()
    else:
        print_table(details)
    return 0


if __name__ == "__main__":
    sys.exit(main())
