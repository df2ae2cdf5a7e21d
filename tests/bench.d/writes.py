# SPDX-License-Identifier: LGPL-2.1-or-later
"""The rows of tests/bench about changes: a command and its parts, a client that stays connected, and batches."""

import json

from places import EMPTY, STATIC_CLIENT, VGPUCTL, Simulated, simhost

GVT = "0000:00:02.0"
GVT_TYPE = "i915-GVTg_V5_8"
GPU = "0000:11:00.0"
TYPE = "nvidia-1000"
OURS = "11111111-1111-4111-8111-111111111111"
THEIRS = "22222222-2222-4222-8222-222222222222"
RAW = "33333333-3333-4333-8333-333333333333"

BATCH = 240  # the largest number of VFs of a simulated GPU


def change_commands(device, gpu, kind):
    """The commands for one create and one destroy by a bare write, by vgpuctl, by a client that stays connected, by the
    static client and by mdevctl; and the programs that show the cost of a start."""
    return {
        "raw-create": ["=write", f"{device}/mdev_supported_types/{kind}/create", RAW],
        "raw-destroy": ["=write", f"{device}/{RAW}/remove", "1"],
        "our-create": [VGPUCTL, "create", "--type", kind, "--gpu", gpu, "--uuid", OURS],
        "our-destroy": [VGPUCTL, "destroy", OURS],
        "client-create": ["=create", gpu, kind, OURS],
        "client-destroy": ["=destroy", OURS],
        "static-create": [STATIC_CLIENT, "create", gpu, kind, OURS],
        "static-destroy": [STATIC_CLIENT, "destroy", OURS],
        "their-create": ["mdevctl", "start", "-u", THEIRS, "-p", device.rpartition("/")[2], "-t", kind],
        "their-destroy": ["mdevctl", "stop", "-u", THEIRS],
        "start": ["/bin/true"],
        "libsystemd": [EMPTY],
        "libraries": [VGPUCTL, "--version"],
    }


class Writes:
    """`bench` is the module that keeps the rows."""

    def __init__(self, bench, rounds):
        self.bench = bench
        self.rounds = rounds

    def wall(self, samples, name):
        return self.bench.median(samples[name])

    def report_command(self, samples, where, verb, theirs, budget):
        bench, raw = self.bench, self.wall(samples, f"raw-{verb}")
        text = bench.milliseconds
        other = self.wall(samples, f"their-{verb}")
        ours = self.wall(samples, f"our-{verb}")
        client = self.wall(samples, f"client-{verb}")
        static = self.wall(samples, f"static-{verb}")
        ratio = (ours - raw) / (other - raw)

        bench.row(f"{verb} one, {where}, beyond the write itself ({text(raw)})", ours - raw, other - raw,
                  f"{ratio:.2f} of mdevctl {theirs}", f"at most {budget}", ratio <= budget,
                  cpu={"vgpuctl": bench.median(samples[f"our-{verb}"], 1),
                       "vgpud and bus": bench.median(samples[f"our-{verb}"], 2),
                       "mdevctl": bench.median(samples[f"their-{verb}"], 1),
                       "vgpud and bus after mdevctl": bench.median(samples[f"their-{verb}"], 2)})

        bench.row(f"{verb} one, {where}, by a client that stays connected, with the write", client, other,
                  f"{client / other:.2f} of mdevctl {theirs}", "at most 0.8", client / other <= 0.8,
                  cpu={"client": bench.median(samples[f"client-{verb}"], 1),
                       "vgpud and bus": bench.median(samples[f"client-{verb}"], 2)})

        bench.row(f"{verb} one, {where}, by a static client with one call, beyond the write", static - raw, other - raw,
                  f"{(static - raw) / (other - raw):.2f} of mdevctl {theirs}", "none: the floor", None)

        start, libraries = self.wall(samples, "start"), self.wall(samples, "libraries")
        libsystemd, daemon = self.wall(samples, "libsystemd"), client - raw
        parts = {"start": start, "libsystemd": libsystemd - start, "GLib and vgpuctl": libraries - libsystemd,
                 "vgpud": daemon, "connection and client": ours - raw - libraries - daemon}
        bench.row(f"parts of {verb} one, {where}", ours - raw, None,
                  ", ".join(f"{name} {text(value)}" for name, value in parts.items()), parts=parts)

    def report(self, samples, where):
        self.report_command(samples, where, "create", "start", 1.5)
        self.report_command(samples, where, "destroy", "stop", 1.7)

    def measure_batch(self):
        """Measure the largest possible batch: one instance on each virtual function of a simulated GPU. No model has
        room for as many instances on the GPU itself."""
        bench = self.bench
        device = "/sys/bus/pci/devices/0000:11:00.4"
        with Simulated("scalable", simhost.scalable(1, BATCH, 23)) as place:
            place.start_vgpud()
            bench.count(place, f"one GPU, {BATCH} VFs, 23 types, simulated")
            commands = change_commands(device, GPU, TYPE)
            single = place.rounds(self.rounds, {name: words for name, words in commands.items()
                                                if name.startswith(("raw-", "their-"))})
            uuids = place.directory / "uuids"
            batch = place.rounds(max(2, self.rounds // 8), {
                "create": [VGPUCTL, "create", "--type", TYPE, "--gpu", GPU, "--count", str(BATCH)],
                "list": ["/bin/sh", "-c", f"{VGPUCTL} list -q > {uuids}"],
                "destroy": ["xargs", "-a", uuids, VGPUCTL, "destroy"],
            })
            jobs = json.loads(place.run("busctl", "--system", "--json=short", "call", "org.vgpud1", "/org/vgpud1",
                                        "org.vgpud1.Manager", "ListJobs", "a{sv}", "1", "ended", "b", "true"))

        for verb, theirs, least in (("create", "start", 15), ("destroy", "stop", 10)):
            raw = BATCH * self.wall(single, f"raw-{verb}")
            other, ours = BATCH * self.wall(single, f"their-{verb}"), self.wall(batch, verb)
            ratio = (other - raw) / (ours - raw) if ours > raw else float("inf")
            bench.row(f"{BATCH} {verb}s in one command, beyond the writes ({bench.milliseconds(raw)})", ours - raw,
                      other - raw, f"1/{ratio:.1f} of {BATCH} mdevctl {theirs}", f"at most 1/{least}", ratio >= least,
                      cpu={"vgpuctl": bench.median(batch[verb], 1), "vgpud and bus": bench.median(batch[verb], 2)},
                      with_writes=other / ours)

        counts = jobs["data"][0]["n_instances"]["data"]
        bench.row(f"instances that one job removed when one command destroyed {BATCH}", counts[-1], None, str(counts[-1]),
                  f"{BATCH}", counts[-1] == BATCH, form=lambda n: "-" if n is None else str(n))
