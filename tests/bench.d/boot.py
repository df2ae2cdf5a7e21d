# SPDX-License-Identifier: LGPL-2.1-or-later
"""The row of tests/bench about a boot: the start of 1 024 definitions on the simulated host. vgpud starts the definitions of
several GPUs at the same time. mdevctl is called once for each parent, as by udev, but one call after the other."""

import json
import subprocess
import sys
import time

from places import VGPUCTL, Simulated, simhost

GPUS, VFS, TYPES = 16, 64, 40
TYPE = "nvidia-1000"
START_ALL = """
mount --bind "$0" /etc/mdevctl.d
for parent in /sys/class/mdev_bus/*; do mdevctl start-parent-mdevs "${parent##*/}" || exit 1; done
"""


def uuid(number):
    return f"{number * 2654435761 % 2**32:08x}-2222-4333-8444-{number:012x}"


def parents(place):
    """{parent: its GPU}: one virtual function of the model "scalable" for each definition."""
    gpus = [json.loads(place.run(VGPUCTL, "show", name, "--json"))["gpu"] for name in place.run(VGPUCTL, "gpus", "-q").split()]
    key = next(t["key"] for t in gpus[0]["types"] if t["id"] == TYPE)
    return {parent: gpu["name"] for gpu in gpus for parent in gpu["parents"]}, key


def write_ours(folder, found, key):
    folder.mkdir(parents=True, mode=0o755)
    for number, (parent, gpu) in enumerate(found.items()):
        text = {"version": 1, "type": key, "gpu": gpu, "parent": parent, "owner": 0, "created": number, "autostart": True}
        (folder / f"{uuid(number)}.json").write_text(json.dumps(text), encoding="ascii")


def write_theirs(folder, found):
    for name in ("callouts", "notifiers"):  # mdevctl does nothing without these folders
        (folder / "scripts.d" / name).mkdir(parents=True)
    for number, parent in enumerate(found):
        (folder / parent).mkdir(parents=True)
        text = {"mdev_type": TYPE, "start": "auto", "attrs": []}
        (folder / parent / uuid(number)).write_text(json.dumps(text), encoding="ascii")


def check(place):
    count = len(place.run("ls", "/sys/bus/mdev/devices").split())
    if count != GPUS * VFS:
        sys.exit(f"bench: {count} instances run, not {GPUS * VFS}")


def one_round(found, key):
    """Seconds that vgpud takes from its start until the readiness is "ready", and seconds of mdevctl for the same instances."""
    with Simulated("scalable", simhost.scalable(GPUS, VFS, TYPES)) as place:
        write_ours(place.directory / "state" / "definitions", found, key)
        place.configure("[ready]\ntimeout=10min\n")
        begin = time.monotonic()
        place.start_vgpud()
        place.run(VGPUCTL, "wait", "--ready")
        ours = time.monotonic() - begin
        check(place)

    with Simulated("scalable", simhost.scalable(GPUS, VFS, TYPES)) as place:
        write_theirs(place.directory / "mdevctl.d", found)
        begin = time.monotonic()
        subprocess.run(place.inside(["/bin/sh", "-c", START_ALL, str(place.directory / "mdevctl.d")]), env=place.environment, check=True)
        theirs = time.monotonic() - begin
        check(place)
    return ours, theirs


def measure(bench, rounds):
    with Simulated("scalable", simhost.scalable(GPUS, VFS, TYPES)) as place:
        place.start_vgpud()
        found, key = parents(place)
    times = [one_round(found, key) for _ in range(rounds)]
    ours, theirs = (sorted(column)[rounds // 2] * 1000 for column in zip(*times))
    bench.row(f"boot: start of {GPUS * VFS} definitions", ours, theirs, bench.times(theirs / ours), "none", None)
