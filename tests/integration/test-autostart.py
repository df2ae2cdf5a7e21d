#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""vgpud starts definitions by itself: those with autostart after a boot, and those whose instance ran before its GPU left."""

import collections
import json
import pathlib
import random
import re
import shutil
import tempfile

import bus
import host
import runner
import simhost
from host import GVT, uuid

GPUS, VFS, TYPES = 16, 64, 40


def write_definitions(h, rows):
    """Write files of definitions as people write them, before vgpud starts. rows: (number of the UUID, key of the type, GPU or None)."""
    folder = h.state / "definitions"
    folder.mkdir(parents=True, exist_ok=True)
    for number, key, gpu in rows:
        text = {"version": 1, "type": key, "owner": 0, "created": 1764500000000000 + number, "autostart": True}
        if gpu:
            text["gpu"] = gpu
        (folder / f"{uuid(number)}.json").write_text(json.dumps(text), encoding="ascii")


def states(h):
    table = h.bus.manager.call("ListDefinitions")
    return dict(zip(table["uuid"], table["state"]))


def count_programs(h, directory):
    """Options that put a script before each program of vgpud, and the file to which the script adds a line per process."""
    log = directory / "log"
    log.touch()
    options = []
    for option in [word for word in h.daemon_command() if word.startswith(("--writer=", "--nvml=", "--systemctl="))]:
        name, _, program = option.partition("=")
        script = directory / f"count{name}"
        script.write_text(f'#!/bin/sh\necho {name} >>{log}\nexec {program} "$@"\n', "ascii")
        script.chmod(0o755)
        options.append(f"{name}={script}")
    return options, log


class Autostart(host.HostTest):
    def await_states(self, h, wanted):
        bus.wait(lambda: set(states(h).values()) == wanted, f"the definitions are {wanted}", 120)

    def test_hot_plug(self):
        h = self.host("gvt-g", start=False)
        h.sim.ctl("unplug", GVT)
        write_definitions(h, [(1, "8086/-/-/640/GVTg_V5_4", GVT), (2, "8086/-/-/640/GVTg_V5_4", None)])
        h.start()
        self.assertEqual(set(states(h).values()), {"waiting"})
        h.sim.ctl("plug", GVT)
        self.await_states(h, {"active"})
        h.settle()
        h.sim.ctl("unplug", GVT)
        self.await_states(h, {"waiting"})
        h.sim.ctl("plug", GVT)
        self.await_states(h, {"active"})
        h.settle()

        # A restart in the same boot starts nothing that a user has stopped.
        h.bus.destroy(uuid(1), defined=True)
        h.stop()
        h.start()
        self.assertEqual(states(h), {uuid(1): "stopped", uuid(2): "active"})

    def test_reasons_in_the_journal(self):
        """Each change of a GPU changes the reasons of all definitions that wait for it."""
        h = self.host("gvt-g", start=False)
        h.sim.ctl("unplug", GVT)
        write_definitions(h, [(n, "8086/-/-/640/unknown", GVT) for n in range(80)])
        h.start()
        before = len(h.log().splitlines())
        for verb in ("plug", "unplug") * 3:
            reason = h.bus.definition(uuid(79))["reason"]
            h.sim.ctl(verb, GVT)
            bus.wait(lambda old=reason: h.bus.definition(uuid(79))["reason"] != old, f"another reason after {verb}")
        self.assertGreater(before, 80)  # lines of the first reasons
        self.assertIn(len(h.log().splitlines()) - before, range(20, 30))

    def test_gpu_that_refuses(self):
        """A definition without a GPU does not wait for the first GPU if others can create the instance."""
        h = self.host("scalable", options=simhost.scalable(3, 4, 4))
        good, *bad = reversed(sorted(h.bus.gpus()))
        h.bus.define("nvidia-1000", uuid=uuid(1), autostart=True)
        for gpu in bad:
            h.sim.fault(f"create:{gpu}:errno=EIO")
        h.boot()
        self.await_states(h, {"active"})
        self.assertEqual(h.bus.instances()[uuid(1)]["Gpu"], bus.gpu_path(good))

    def test_1024_definitions(self):
        """16 GPUs with 64 virtual functions arrive in any order. No process is started for a single device."""
        h = self.host("scalable", options=simhost.scalable(GPUS, VFS, TYPES), config={"start": {"timeout": "5min"}}, start=False)
        h.start()
        gpus = sorted(h.bus.gpus())
        keys = {gpu: h.bus.gpu(gpu).types()["nvidia-1000"]["key"] for gpu in gpus}
        h.stop()
        shutil.rmtree(h.runtime)  # as a boot of the host does
        for gpu in gpus:
            h.sim.ctl("unplug", gpu)

        rows = [(n, keys[gpu], gpu if n % 2 else None) for n, gpu in enumerate(gpus * VFS)]
        write_definitions(h, rows)
        options, log = count_programs(h, pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())))
        h.start(*options)
        self.assertEqual(set(states(h).values()), {"waiting"})
        random.Random(10).shuffle(gpus)
        for gpu in gpus:
            h.sim.ctl("plug", gpu)
        self.await_states(h, {"active"})
        programs = collections.Counter(log.read_text("ascii").split())
        self.assertLessEqual(programs.total(), 4 * GPUS, programs)  # per GPU: a writer, and vgpud-nvml for each scan
        self.assertEqual(len(h.bus.instances()), GPUS * VFS)
        self.assertFalse(re.search("failed", h.log()))


if __name__ == "__main__":
    runner.main()
