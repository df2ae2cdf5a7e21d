#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The choice of a GPU for a request without one, and the answers of Place and vgpuctl place."""

from gi.repository import GLib

import bus
import host
import runner
import simhost
from host import NOBODY, S0, S1, uuid

S2, S3 = "0000:31:00.0", "0000:41:00.0"
Q1, Q2 = "nvidia-1000", "nvidia-1001"
FOUR = simhost.scalable(4, 4, 4)  # GPUs 0 and 2 are on NUMA node 0, 1 and 3 on node 1; each GPU has room for four instances


def node(number):
    return GLib.Variant("i", number)


class Place(host.HostTest):
    def place(self, h, type_name, **options):
        """The names of the fitting GPUs, in order, and a dictionary of all candidates by name."""
        path, _, candidates = h.bus.manager.call("Place", type_name, **options)
        fitting = [c["name"] for _, c in candidates if c["fits"]]
        taken = fitting or [c["name"] for _, c in candidates[:1] if c.get("would_wait")]
        self.assertEqual(path, bus.gpu_path(taken[0]) if taken else "/")
        self.assertFalse(any("would_wait" in c for _, c in candidates[0 if fitting else 1:]))
        self.assertEqual([p for p, _ in candidates], [bus.gpu_path(c["name"]) for _, c in candidates])
        self.assertEqual([c["name"] for _, c in candidates][:len(fitting)], fitting)
        self.assertEqual({c["name"] for _, c in candidates}, set(h.bus.gpus()))
        for _, c in candidates:
            self.assertEqual(c["fits"], not c.get("reason"), c)
            self.assertEqual(c["fits"], not c.get("reason_id"), c)
            self.assertLessEqual(c["room"], max(0, c["available"] - c["promised"] - c["spare"]))
        return fitting, {c["name"]: c for _, c in candidates}

    def where(self, h, **instance):
        """The GPU of a new instance."""
        made = h.bus.create("", instance.pop("type_name", Q1), **instance)[0]
        return h.bus.instances()[made]["Gpu"].rpartition("/")[2], made

    def refusal(self, h, type_name, **options):
        """The message of a request that is refused without a job, because no GPU has room. While a GPU is scanned after a
        change, vgpud may queue a job all the same. This job fails, and its error names the job: then ask again."""
        def ask():
            call = h.bus.start_create("", type_name, **options)
            self.assertEqual(call.error(), "NoCapacity")
            return None if "job" in call.failure.details else call.failure.message

        return bus.wait(ask, "an answer without a job")

    def test_create_does_what_place_says(self):
        h = self.host("scalable", "gvt-g", options=FOUR)
        for strategy, turns in (("breadth", 6), ("depth", 6), ("separated", 2)):
            for turn in range(turns):
                fitting, _ = self.place(h, Q1, strategy=strategy)
                gpu, _ = self.where(h, strategy=strategy)
                self.assertEqual(gpu, bus.gpu_path(fitting[0]).rpartition("/")[2], f"{strategy} {turn}")
        counts = sorted(c["instances"] for c in self.place(h, Q1)[1].values())
        self.assertEqual(sum(counts), 14)
        fitting, candidates = self.place(h, Q1, count=3)
        self.assertEqual(fitting, [])
        self.assertEqual(candidates[host.GVT]["error"], "org.vgpud1.Error.NoSuchType")
        # Two GPUs have room for one instance each. No GPU has room for three, and no job will change that.
        message = self.refusal(h, Q1, count=3)
        self.assertEqual(message.count("GPU 0000:"), 4)
        self.assertNotIn(host.GVT, message)
        self.assertEqual(len(h.writes("create")), 14)

    def test_breadth_and_depth(self):
        h = self.host("scalable", options=FOUR)
        self.assertEqual([bus.gpu_path(g).rpartition("/")[2] for g in (S0, S1, S2, S3)],
                         [self.where(h)[0] for _ in range(4)])
        for made in list(h.bus.instances()):
            h.bus.destroy(made)
        gpu, _ = self.where(h, strategy="consolidation")
        for _ in range(3):
            self.assertEqual(self.where(h, strategy="depth")[0], gpu)
        # The first GPU is full. The other three are empty and can take another size.
        self.assertEqual(self.place(h, Q2)[0], [S1, S2, S3])
        self.assertNotEqual(self.where(h, strategy="depth")[0], gpu)

    def test_nodes(self):
        h = self.host("scalable", options=FOUR)
        self.assertEqual(self.place(h, Q1, numa_node=node(1))[0], [S1, S3])
        self.assertEqual(self.place(h, Q1, preferred_numa_node=node(1))[0], [S1, S3, S0, S2])
        self.assertEqual(self.place(h, Q1, numa_node=node(-1))[0], [S0, S1, S2, S3])
        _, candidates = self.place(h, Q1, numa_node=node(1))
        self.assertEqual((candidates[S0]["reason_id"], candidates[S0]["error"], candidates[S0]["numa_node"]),
                         ("other-numa-node", "org.vgpud1.Error.NotSupported", 0))
        self.assert_error("NotSupported", h.bus.start_create("", Q1, numa_node=node(7)), S0)
        self.assert_error("InvalidArgs", h.bus.start_create("", Q1, numa_node=node(-2)), "-2")
        self.assert_error("InvalidArgs", h.bus.start_create(S0, Q1, numa_node=node(0)), S0, hint="choose-other")

    def test_neighbours(self):
        h = self.host("scalable", "sriov", options=FOUR)
        # Near a virtual function of S1: first S1, then the other GPU of its NUMA node, then the rest.
        fitting, candidates = self.place(h, Q1, near="0000:21:00.4")
        self.assertEqual(fitting, [S1, S3, S0, S2])
        self.assertEqual((candidates[S1]["distance"], "distance" in candidates[S3]), (2, False))
        self.assertEqual(self.place(h, Q1, near="31:00.0")[0], [S2, S0, S1, S3])
        self.assertEqual(self.place(h, Q1, near=S3.upper())[0], [S3, S1, S0, S2])
        # A device that is no GPU and is alone below its host bridge: only its NUMA node decides, while the device exists.
        other = "0001:41:00.0"
        self.assertEqual(self.place(h, Q1, near=other)[0], [S1, S3, S0, S2])
        h.sim.ctl("unplug", other)
        bus.wait(lambda: h.bus.manager.start("Place", Q1, near=other).error() == "InvalidArgs", "vgpud has seen that the device is gone")
        h.sim.ctl("plug", other)
        bus.wait(lambda: h.bus.manager.start("Place", Q1, near=other).error() is None, "vgpud has seen that the device is back")
        self.assertEqual(self.place(h, Q1, near=other)[0], [S1, S3, S0, S2])
        self.assert_error("InvalidArgs", h.bus.start_create("", Q1, near="0000:99:00.0"), "0000:99:00.0")
        # The option takes a name, no part of a path: any user may call Place, and must not learn which files exist.
        path = h.sim.run(["readlink", "-f", f"/sys/bus/pci/devices/{S0}"], capture_output=True, check=True).stdout.strip()
        for text in (path, path.removeprefix("/sys/"), path.removeprefix("/sys/devices/"), ""):
            call = h.client(NOBODY).manager.start("Place", Q1, near=text)
            self.assert_error("InvalidArgs", call, text)

    def test_rules(self):
        config = {"placement": {"strategy": "depth"}, "gpu *": {"spare": "1"}, f"gpu {S0}": {"forbid": "S64-1Q, *-3?"},
                  "gpu 0000:21:*": {"pool": "desk", "spare": "0"}, f"gpu {S3}": {"priority": "1", "allow": "*Q"}}
        h = self.host("scalable", options=FOUR, config=config)
        self.assertEqual(self.place(h, Q1)[0], [S3, S2])
        self.assertEqual(self.place(h, Q2)[0], [S3, S0, S2])
        self.assertEqual(self.place(h, Q1, pool="desk")[0], [S1])
        self.assertEqual(self.place(h, Q1, count=4)[0], [])
        self.assertEqual(self.place(h, Q1, count=4, pool="desk")[0], [S1])
        _, candidates = self.place(h, Q1, count=4)
        reasons = {S0: ("type-forbidden", "forbid=S64-1Q"), S1: ("other-pool", "desk"), S2: ("no-room", "spare="),
                   S3: ("no-room", "spare=")}
        self.assertEqual({gpu: c["reason_id"] for gpu, c in candidates.items()}, {gpu: reason for gpu, (reason, _) in reasons.items()})
        for gpu, (_, setting) in reasons.items():
            self.assertIn(setting, candidates[gpu]["reason"])
        self.assertEqual({g: (c["room"], c["available"], c["spare"]) for g, c in candidates.items() if g in (S2, S3)},
                         {S2: (3, 4, 1), S3: (3, 4, 1)})
        self.assertEqual(candidates[S0]["error"], "org.vgpud1.Error.NotSupported")
        self.assert_error("NoCapacity", h.bus.start_create("", Q1, count=4), S2, "spare=", "forbid=S64-1Q", "desk", hint="change-config")
        self.assert_error("NotSupported", h.bus.start_create(S0, Q1), "forbid=S64-1Q")
        self.assert_error("InvalidArgs", h.bus.start_create("", Q1, pool="dusk"), '"dusk"', hint="change-config")
        self.assertEqual(h.writes("create"), [])
        self.assertEqual(len(h.bus.create(S2, Q1, count=4)), 4)  # spare room is for callers who name the GPU
        self.assertEqual(self.where(h, pool="desk")[0], bus.gpu_path(S1).rpartition("/")[2])
        self.assertEqual(h.bus.manager.get("ConfigErrors"), [])

    def test_bad_configuration(self):
        config = (f"[placement]\nstrategy=width\nspread=1\n[gpu {S0}]\nspare=-1\npriority=high\npools=x\n[gpu]\npool=x\n"
                  f"[gpu {S1}]\npriority=1\n")
        h = self.host("scalable", options=FOUR, config=config)
        self.assertEqual(self.place(h, Q1)[0], [S1, S0, S2, S3])
        for text in ("[placement] strategy=width ", "[placement] spread= ", f"[gpu {S0}] spare=-1 ", f"[gpu {S0}] priority=high ",
                     f"[gpu {S0}] pools= ", "[gpu] pool= "):
            self.assertIn(text, h.log())

    def test_promises(self):
        """The room that an unfinished job will use counts as taken until the job ends."""
        h = self.host("scalable", options=FOUR)
        h.sim.fault(f"create:{S0}:hang")
        waiting = h.bus.start_create(S0, Q1, count=3)
        h.hanging(1)
        self.assertEqual(self.place(h, Q1)[0], [S1, S2, S3, S0])
        _, candidates = self.place(h, Q1, count=2)
        self.assertEqual((candidates[S0]["promised"], candidates[S0]["room"], candidates[S0]["instances"]), (3, 1, 3))
        self.assertEqual(candidates[S0]["reason_id"], "no-room")
        # For another size, S0 comes last: the unfinished job may leave no room for that size.
        self.assertEqual(self.place(h, Q2, strategy="depth")[0][-1:], [S0])
        h.sim.ctl("fault", "clear")
        h.sim.ctl("release")
        self.assertEqual(len(bus.uuids_of(waiting.result()[1])), 3)
        self.assertEqual(self.place(h, Q1)[1][S0]["promised"], 0)

    def test_behind_a_removal(self):
        """All GPUs are full, but a running job is about to free room."""
        h = self.host("scalable", options=simhost.scalable(2, 1, 4))
        made = [self.where(h)[1] for _ in range(2)]
        message = self.refusal(h, Q1)
        self.assertIn(S0, message)
        self.assertIn(S1, message)
        h.sim.fault(f"remove:{S1}:hang:1")
        on_second = next(i for i in made if h.bus.instances()[i]["Gpu"] == bus.gpu_path(S1))
        going = h.bus.manager.start("Destroy", on_second, wait=True)
        h.hanging(1)
        fitting, candidates = self.place(h, Q1)
        self.assertEqual((fitting, candidates[S1]["would_wait"], "would_wait" in candidates[S0]), ([], True, False))
        behind = h.bus.start_create("", Q1, uuid=uuid(7))
        bus.wait(lambda: len(h.bus.jobs()) == 2, "the job waits behind the removal")
        h.sim.ctl("release")
        self.assertEqual(bus.uuids_of(behind.result()[1]), [uuid(7)])
        self.assertEqual(h.bus.instances()[uuid(7)]["Gpu"], bus.gpu_path(S1))
        going.result()

    def test_everybody_may_ask(self):
        h = self.host("scalable", options=FOUR)
        user = h.client(NOBODY)
        self.assertEqual(user.manager.call("Place", Q1)[0], bus.gpu_path(S0))
        self.assert_error("NoSuchType", user.manager.start("Place", "no-such"), "nvidia-1000")
        self.assert_error("InvalidArgs", user.manager.start("Place", Q1, strategy="sideways"), "sideways", "breadth")
        self.assert_error("InvalidArgs", user.manager.start("Place", Q1, wait=True), "wait")

    def test_vgpuctl(self):
        h = self.host("scalable", options=FOUR, config={f"gpu {S1}": {"pool": "desk"}})
        result = h.vgpuctl("place", "S64-1Q", "--count=2", "--near", "31:00.0", uid=NOBODY)
        self.assertEqual((result.status, result.err), (0, ""))
        lines = result.out.splitlines()
        self.assertEqual([line.split()[0] for line in lines[:5]], ["GPU", S2, S0, S3, S1])
        self.assertEqual([(line.split()[0], line.split()[-1]) for line in lines[5:]], [(f"{S1}:", "desk")])
        self.assertEqual(h.vgpuctl("place", "-q", Q1, "--prefer-numa-node=1").out, S3 + "\n")
        data = h.vgpuctl("place", "--dry-run", Q1, "--pool", "desk", "--strategy=consolidated", "--json").json()
        self.assertEqual((data["gpu"], data["strategy"], data["candidates"][0]["type"]), (S1, "depth", Q1))
        result = h.vgpuctl("place", Q1, "--count", "5")
        self.assertEqual((result.status, len(result.out.splitlines())), (5, 5 + 4))
        self.assertEqual(h.vgpuctl("place", "no-such").status, 3)
        self.assertEqual(h.vgpuctl("create", Q1, "--pool", "desk").status, 0)
        self.assertEqual([i["Gpu"] for i in h.bus.instances().values()], [bus.gpu_path(S1)])
        self.assertEqual(h.vgpuctl("create", Q1, "--numa-node", "3").status, 7)

    def test_the_answer_of_create(self):
        """place fails like create when no GPU can take the instance."""
        h = self.host("scalable", "xe", options=FOUR, config={f"gpu {S1}": {"pool": "desk", "forbid": "nvidia-1001"}})
        for words in ((Q1, "--count=5"), (Q1, "--numa-node=3"), (Q2, "--pool=desk"), (Q1, "--pool=desk", "--count=5"), ("vf",),
                      ("no-such",), (Q1, "--pool=dusk")):
            place, create = h.vgpuctl("place", *words), h.vgpuctl("create", *words)
            self.assertNotEqual(place.status, 0, words)
            self.assertEqual(place.status, create.status, words)
        self.assertEqual(h.vgpuctl("place", Q2, "--pool=desk").status, 7)
        # The xe GPU has no enabled VFs, but would not offer the type anyway: the reason is the type, and there is no hint.
        _, candidates = self.place(h, Q1, pool="desk")
        self.assertNotIn("hint_id", candidates["0000:03:00.0"])
        self.assertEqual((candidates["0000:03:00.0"]["error"], candidates["0000:03:00.0"]["reason_id"]),
                         ("org.vgpud1.Error.NoSuchType", "no-such-type"))
        self.assertEqual(candidates[S0]["error"], "org.vgpud1.Error.NotSupported")
        self.assertNotIn("error", candidates[S1])
        candidate = self.place(h, "vf")[1]["0000:03:00.0"]
        self.assertEqual((candidate["reason_id"], candidate["hint_id"]), ("not-ready", "enable-vfs"))

    def test_the_answer_of_create_behind_a_removal(self):
        h = self.host("gvt-g")
        old = h.vgpuctl("create", "i915-GVTg_V5_1").out.strip()
        bus.wait(lambda: h.vgpuctl("place", "i915-GVTg_V5_1").status == 5, "the GPU is full, and no job or scan is in progress")
        h.sim.fault(f"remove:{host.GVT}:hang")
        going = h.start_vgpuctl("destroy", old)
        h.hanging(1)
        place, name, data = (h.vgpuctl("place", "i915-GVTg_V5_1", *words) for words in ((), ("-q",), ("--json",)))
        create = h.start_vgpuctl("create", "i915-GVTg_V5_1")
        bus.wait(lambda: len(h.bus.jobs()) == 2, "both jobs are queued")
        h.sim.ctl("fault", "clear")
        h.sim.ctl("release")
        self.assertEqual(h.end_vgpuctl(going).status, 0)
        self.assertEqual((place.status, h.end_vgpuctl(create).status), (0, 0))
        self.assertIn(host.GVT, place.out)
        self.assertEqual([(c["gpu"], c["fits"], c["would_wait"]) for c in data.json()["candidates"]],
                         [(host.GVT, False, True)])
        self.assertEqual(name.out, host.GVT + "\n")

    def test_not_prepared(self):
        """A GPU without virtual functions can create no instance, and the hint names the command to enable them."""
        h = self.host("nvidia-l40s", "nvidia-a2")
        self.assert_error("NotSupported", h.bus.start_create("", "L40S-4Q"), S3, hint="enable-vfs")
        self.assertEqual(self.place(h, "L40S-4Q")[0], [])
        fitting, candidates = self.place(h, "A2-4Q")
        self.assertEqual(fitting, [host.A2])
        self.assertEqual(candidates[S3]["error"], "org.vgpud1.Error.NoSuchType")
        self.assertNotIn("hint_id", candidates[S3])
        candidate = self.place(h, "L40S-4Q")[1][S3]
        self.assertEqual(candidate["hint_id"], "enable-vfs")
        self.assertIn(S3, candidate["hint"])
        self.assertEqual(h.vgpuctl("enable-vfs", S3).status, 0)
        self.assertEqual(self.place(h, "L40S-4Q")[0], [S3])
        self.assertEqual(self.where(h, type_name="L40S-4Q")[0], bus.gpu_path(S3).rpartition("/")[2])
        self.assertEqual(self.place(h, "L40S-8Q")[0], [])
        self.assertIn("4096", self.place(h, "L40S-8Q")[1][S3]["reason"])


if __name__ == "__main__":
    runner.main()
