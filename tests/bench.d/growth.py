# SPDX-License-Identifier: LGPL-2.1-or-later
"""Measures whether the cost of a start, of reading and of a create is linear in the number of instances.

A start and reading are measured on plain files (tree.py) with up to 16 384 instances. A create needs a kernel that answers:
the simulated host, which has at most 16 GPUs with 240 virtual functions. An exponent is fitted to each series of
CPU time, wall-clock time, reads and memory. Wall-clock time is the least reliable, because other programs use the machine
too."""

import json
import math
import pathlib
import re
import shutil
import statistics
import subprocess

import tree
from places import BUILD, COVER, Place, Simulated, VGPUCTL, simhost

SIZES = (16, 256, 1024, 4096, 16384)
CREATE_SIZES = (16, 256, 1024, 3824)  # the last 16 virtual functions of the host stay free
DEFINITION_SIZES = (10, 100, 1000, 10000)
GPUS, TYPES = 16, 4
WORSE = 1.15  # a larger exponent counts as worse than linear
FLAT = 1.5  # a cost that stays below this multiple of its value at the first size counts as independent of the number
NOISE = 0.1  # growth by less than this share of the value at the first size does not count

GPU = "0000:11:00.0"
TYPE = "nvidia-1000"
OURS = "11111111-1111-4111-8111-111111111111"
FLOOR = BUILD / "bench-floor"


class Grown(Place):
    """A tree of plain files with a number of instances, and the bus."""

    def __init__(self, instances):
        super().__init__()
        self.instances = instances
        self.tree = self.directory / "sys"

    def __enter__(self):
        super().__enter__()
        self.callback(shutil.rmtree, self.tree, ignore_errors=True)
        tree.build(str(self.tree), GPUS, self.instances // GPUS, TYPES)
        self.configure("[start]\ntimeout=5min\n")
        self.start_bus()
        return self

    def inside(self, command):
        return ["unshare", "--mount", "--net", "--", "/bin/sh", "-c", COVER, str(self.tree), *command]


def exponent(values):
    """values: {number of instances: value}. Fits a power law to the growth of number and value beyond the first size, by
    least squares on both logarithms, and returns its exponent and the residual. So a constant part, such as the start of a
    program, does not count. The exponent is None if the values are flat, or fewer than two of them have grown."""
    (n_first, first), *rest = sorted(values.items())
    points = [(math.log(n - n_first), math.log(value - first)) for n, value in rest if value - first > NOISE * first]
    if len(points) < 2 or max(values.values()) < FLAT * first:
        return None, 0.0
    slope, intercept = statistics.linear_regression(*zip(*points))
    residual = math.sqrt(sum((y - slope * x - intercept) ** 2 for x, y in points) / len(points))
    return slope, residual


def report(bench, what, values, unit="ms"):
    """A row: the values, the exponent, and the cost of one more instance between the smallest and the largest size."""
    slope, residual = exponent(values)
    (n_last, last), (n_first, first) = max(values.items()), min(values.items())
    each = (last - first) / (n_last - n_first)
    text = ", ".join(f"{number}: {value:.4g}" for number, value in sorted(values.items()))
    if slope is None:
        grown = "flat" if last < FLAT * first else f"{last / first:.1f} times, too few sizes for a line"
    else:
        more = f"{each * 1000:.1f} us" if unit == "ms" else f"{each * 1024:.1f} kB" if unit == "MB" else f"{each:.1f}"
        grown = f"exponent {slope:.2f} (residual {residual:.2f}), {more} for each"
    if slope is not None and slope > WORSE:
        grown += ", worse than linear"
    bench.row(f"growth: {what} ({unit})", None, None, f"{grown}; {text}", f"exponent at most {WORSE}",
              slope is None or slope <= WORSE, values=values, exponent=slope)


def counted_reads(pid):
    text = pathlib.Path(f"/proc/{pid}/io").read_text("ascii")
    return int(re.search(r"^syscr: (\d+)$", text, re.M).group(1))


def resident(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text("ascii")
    return int(re.search(r"VmRSS:\s+(\d+)", text).group(1)) / 1024


def measure_reading(bench, rounds, sizes):
    found = {}

    def note(what, unit, number, value):
        found.setdefault((what, unit), {})[number] = value

    for number in sizes:
        bench.say(f"growth: {number} instances, files")
        with Grown(number) as place:
            starts = place.measure("start", max(2, rounds // 3), *place.daemon_command())["start"]
            place.start_vgpud()
            if len(place.run(VGPUCTL, "list", "-q").split()) != number:
                raise SystemExit(f"bench: vgpud does not show the {number} instances")
            note("start, CPU", "ms", number, bench.median(starts, 1))
            note("start, wall clock", "ms", number, bench.median(starts))
            note("start, reads", "calls", number, counted_reads(place.vgpud.pid))
            note("resident memory after the start", "MB", number, resident(place.vgpud.pid))
            samples = place.rounds(rounds, {"list": [VGPUCTL, "list"], "gpus": [VGPUCTL, "gpus"], "overview": [VGPUCTL]})
            for verb, taken in samples.items():
                note(f"vgpuctl {verb}, CPU of all processes", "ms", number,
                     statistics.median(sample[1] + sample[2] for sample in taken) / 1e6)
            objects = place.measure("objects", rounds, place.vgpud.pid, place.bus.pid)["objects"]
            note("GetManagedObjects, CPU of vgpud and bus", "ms", number, statistics.median(o[2] + o[3] for o in objects) / 1e6)
            note("GetManagedObjects, wall clock", "ms", number, bench.median(objects))
            note("resident memory after all of it", "MB", number, resident(place.vgpud.pid))
    for (what, unit), values in found.items():
        report(bench, what, values, unit)


def measure_create(bench, rounds, sizes):
    found = {}
    commands = {"create": [VGPUCTL, "create", "--type", TYPE, "--gpu", GPU, "--uuid", OURS], "destroy": [VGPUCTL, "destroy", OURS]}
    for number in sizes:
        bench.say(f"growth: {number} instances, simulated")
        with Simulated("scalable", simhost.scalable(GPUS, number // GPUS + 1, TYPES, number)) as place:
            place.configure("[start]\ntimeout=5min\n")
            place.start_vgpud()
            # The host makes the instances on one GPU after the other, so the last GPU has room.
            commands["create"][5] = place.run(VGPUCTL, "gpus", "-q").split()[-1]
            for verb, taken in place.rounds(rounds, commands).items():
                found.setdefault(f"{verb} one, wall clock", {})[number] = bench.median(taken)
                found.setdefault(f"{verb} one, CPU until all is quiet", {})[number] = \
                    statistics.median(sample[1] + sample[2] for sample in taken) / 1e6
    for what, values in found.items():
        report(bench, what, values)


def write_definitions(folder, number):
    """Files as vgpud writes them, with UUIDs in no order."""
    folder.mkdir(parents=True, mode=0o755)
    for i in range(number):
        uuid = f"{i * 2654435761 % 2**32:08x}-2222-4333-8444-{i:012x}"
        text = {"version": 1, "type": "10de/-/-/1024/BENCH-1", "gpu": GPU, "name": f"vm-{i}", "owner": 0,
                "created": 1764500000000000 + i, "attributes": []}
        (folder / f"{uuid}.json").write_text(json.dumps(text), encoding="ascii")


def measure_definitions(bench, rounds, sizes):
    """Rows about definitions that are not started: they are no objects, so GetManagedObjects must not grow."""
    found = {}
    for number in sizes:
        bench.say(f"growth: {number} definitions")
        with Grown(GPUS) as place:
            write_definitions(place.directory / "state" / "definitions", number)
            starts = place.measure("start", max(2, rounds // 3), *place.daemon_command())["start"]
            place.start_vgpud()
            rows = place.run(VGPUCTL, "list", "--all", "-q").split()
            if len(rows) != GPUS + number:
                raise SystemExit(f"bench: vgpud shows {len(rows)} instances and definitions, not {GPUS + number}")
            found.setdefault("start, CPU", {})[number] = bench.median(starts, 1)
            found.setdefault("start, wall clock", {})[number] = bench.median(starts)
            samples = place.rounds(rounds, {"list": [VGPUCTL, "list"], "list --all": [VGPUCTL, "list", "--all"]})
            for verb, taken in samples.items():
                found.setdefault(f"vgpuctl {verb}, CPU of all processes", {})[number] = \
                    statistics.median(sample[1] + sample[2] for sample in taken) / 1e6
            objects = place.measure("objects", rounds, place.vgpud.pid, place.bus.pid)["objects"]
            found.setdefault("GetManagedObjects, wall clock", {})[number] = bench.median(objects)
    for what, values in found.items():
        report(bench, f"definitions: {what}", values)


def measure_floor(bench, rounds, number=1024):
    """Add a row with the time that libsystemd and the bus need for GetManagedObjects if the service does nothing else."""
    with Grown(GPUS) as place:
        floor = subprocess.Popen([str(FLOOR), str(number)], env=place.environment)
        place.callback(place.end, floor)
        subprocess.run(["gdbus", "wait", "--system", "--timeout=20", "org.vgpud1"], env=place.environment, check=True)
        objects = place.measure("objects", rounds, floor.pid, place.bus.pid)["objects"]
        bench.row(f"for comparison: GetManagedObjects of a service with {number} objects, which are like instances but constant",
                  bench.median(objects), figure=f"CPU: service {bench.median(objects, 2):.1f} ms, bus {bench.median(objects, 3):.1f} ms")


def measure(bench, rounds, quick):
    """bench: the module with row(), say() and median()."""
    rounds = max(3, rounds // 3)
    measure_floor(bench, 4 * rounds)
    measure_reading(bench, rounds, SIZES[:3] if quick else SIZES)
    measure_definitions(bench, rounds, DEFINITION_SIZES[:3] if quick else DEFINITION_SIZES)
    measure_create(bench, rounds, CREATE_SIZES[:3] if quick else CREATE_SIZES)
