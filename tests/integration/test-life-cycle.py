#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Types, create, show, list and destroy on each kind of GPU, through D-Bus and vgpuctl, and the signals in between."""

import bus
import host
import runner
import simhost
from host import A2, GVT, S0, V5_1, V5_4, uuid

# model, its options, GPU, type, another name of the type, initial count
CASES = [
    ("gvt-g", (), GVT, V5_4, "GVTg_V5_4", 5),
    ("nvidia-a2", (), A2, "nvidia-746", "A2-4Q", 4),
    ("samples", (), "mdpy", "mdpy-xga", None, 4),
    ("samples", (), "mtty", "mtty-2", "Dual port serial", 12),
    ("scalable", simhost.scalable(2, 8, 10), S0, "nvidia-1001", "S64-2Q", 8),
]


def expand(cls):
    """Expand each method each_X to a test X for every case."""
    for name, function in [(n, f) for n, f in vars(cls).items() if n.startswith("each_")]:
        for model, options, gpu, type_name, alias, available in CASES:
            def test(self, function=function, model=model, options=options, rest=(gpu, type_name, alias, available)):
                function(self, self.host(model, options=options), *rest)

            setattr(cls, f"test_{name.removeprefix('each_')}_{type_name}", test)
    return cls


@expand
class LifeCycle(host.HostTest):
    def each_dbus(self, h, gpu, type_name, alias, available):
        types = h.bus.gpu(gpu).types()
        self.assertEqual(types[type_name]["available"], available)
        if alias:
            self.assertIn(alias, types[type_name]["aliases"])
        before = h.mirror.types(gpu)

        job, (created,) = h.bus.manager.call("Create", gpu, alias or type_name, uuid=uuid(1), name="one", wait=True)
        self.assertEqual({k: created[k] for k in ("object_path", "uuid", "gpu", "type")},
                         {"object_path": bus.instance_path(uuid(1)), "uuid": uuid(1), "gpu": bus.gpu_path(gpu), "type": type_name})
        self.assertEqual(h.mirror.await_end(job), ("done", "", "", [uuid(1)]))
        made = h.bus.instance(uuid(1)).all()
        self.assertEqual(made, {**made, **h.mirror.instance(uuid(1))})
        self.assertEqual(
            {k: made[k] for k in ("Uuid", "Name", "Gpu", "Type", "DeviceApi", "Origin", "State", "Owner", "Job")},
            {"Uuid": uuid(1), "Name": "one", "Gpu": bus.gpu_path(gpu), "Type": type_name, "DeviceApi": "vfio-pci",
             "Origin": "vgpud", "State": "active", "Owner": "0", "Job": "/"})
        self.assertEqual(made["TypeName"], types[type_name]["name"])
        self.assertEqual(created["parent"], made["Parent"])
        self.assertIn(made["Parent"], h.bus.gpu(gpu).get("Parents"))
        self.assertGreater(made["CreatedUsec"], 0)
        self.assertEqual(h.tree(), {uuid(1)})
        self.assertLess(h.mirror.types(gpu)[type_name]["available"], available)

        # The paths for the hypervisor exist.
        give = h.bus.instance(uuid(1)).hand_over()
        self.assertEqual(give, created["hand_over"])
        self.assertEqual(give["iommu_group"], made["IommuGroup"])
        self.assertEqual(give["group_node"], f"/dev/vfio/{made['IommuGroup']}")
        self.assertIn(f"<address uuid='{uuid(1)}'/>", give["libvirt_xml"])
        self.assertEqual(give["qemu_args"][0], "-device")
        for path in (made["SysfsPath"], give["sysfs_path"], give["group_node"], give["qemu_args"][1].partition("=")[2]):
            self.assertEqual(h.sim.run(["test", "-e", path]).returncode, 0, path)

        for what in (uuid(1), uuid(1).upper(), bus.instance_path(uuid(1)), "one"):
            self.assertEqual(h.bus.manager.call("GetInstance", what), bus.instance_path(uuid(1)))
        for what in (gpu, bus.gpu_path(gpu)):
            self.assertEqual(h.bus.manager.call("GetGpu", what), bus.gpu_path(gpu))
        self.assert_error("NoSuchInstance", h.bus.manager.start("GetInstance", uuid(1)[:7]))
        self.assert_error("NoSuchGpu", h.bus.manager.start("GetGpu", gpu[:3]))

        job = h.bus.instance(uuid(1)).call("Destroy", wait=True)
        self.assertEqual(h.mirror.await_end(job), ("done", "", "", [uuid(1)]))
        self.assertEqual((h.tree(), h.records(), h.mirror.instances()), (set(), {}, {}))
        self.assertEqual(h.mirror.types(gpu), before)
        self.assertEqual([w[0] for w in h.writes("create", "remove")], ["ok", "ok"])

    def each_vgpuctl(self, h, gpu, type_name, alias, available):
        gpus = h.vgpuctl("gpus", "--json").json()["gpus"]
        self.assertEqual({g["name"]: g["state"] for g in gpus}[gpu], "ready")
        types = [t for t in h.vgpuctl("types", gpu, "--json").json()["types"] if t["id"] == type_name]
        self.assertEqual([(t["gpu"], t["available"]) for t in types], [(gpu, available)])
        self.assertIn(type_name, h.vgpuctl("types").out)

        made = h.vgpuctl("create", alias or type_name, "--gpu", gpu, "--name", "one")
        self.assertEqual((made.status, made.err), (0, ""))
        name = made.out.strip()
        self.assertEqual(h.tree(), {name})
        listed = h.vgpuctl("list", "--json").json()["instances"]
        self.assertEqual([(i["uuid"], i["name"], i["type"], i["gpu"], i["origin"]) for i in listed],
                         [(name, "one", type_name, gpu, "vgpud")])
        for what in (name, name[:9], "one"):
            shown = h.vgpuctl("show", what, "--json").json()["instance"]
            self.assertEqual({key: shown[key] for key in listed[0]}, listed[0])
            # The list of instances has no columns for these three.
            self.assertEqual(set(shown) - set(listed[0]), {"sysfs_path", "attributes", "hand_over"})
        self.assertIn(name, h.vgpuctl("list").out)
        self.assertIn(name, h.vgpuctl("show", "one").out)
        for words in ([], ["gpus"], ["show", gpu], ["jobs"], ["types", gpu]):
            self.assertEqual(h.vgpuctl(*words).status, 0, words)
        gone = h.vgpuctl("destroy", "one")
        self.assertEqual((gone.status, gone.err), (0, ""))
        self.assertEqual(h.vgpuctl("list", "--json").json()["instances"], [])
        self.assertEqual(h.tree(), set())

    def each_signals_in_order(self, h, gpu, type_name, _alias, _available):
        at_the_end = []
        h.mirror.watchers.append(
            lambda entry: entry[0] == "ended" and at_the_end.append(
                (sorted(h.mirror.instances()), [(i, t["available"]) for i, t in h.mirror.types(gpu).items()])))
        free = [(i, t["available"]) for i, t in h.mirror.types(gpu).items()]
        job, _ = h.bus.manager.call("Create", gpu, type_name, uuid=uuid(1))
        h.mirror.await_end(job)
        taken = [(i, t["available"]) for i, t in h.mirror.types(gpu).items()]
        again = h.bus.manager.call("Destroy", uuid(1))
        h.mirror.await_end(again)
        path = bus.instance_path(uuid(1))
        self.assertEqual(
            [e for e in h.mirror.log if e[0] != "changed"],
            [("added", job), ("added", path), ("removed", job), ("ended", 1, "done", "", [uuid(1)]),
             ("added", again), ("removed", path), ("removed", again), ("ended", 2, "done", "", [uuid(1)])])
        # A listener of the end of a job sees all changes of the job.
        self.assertNotEqual(free, taken)
        self.assertEqual(at_the_end, [([uuid(1)], taken), ([], free)])
        # At most one signal announces that the job runs, and each job changes the types and the count once.
        told = {}
        for entry in h.mirror.log:
            if entry[0] == "changed":
                for name, value in entry[2].items():
                    told.setdefault((entry[1], name), []).append(value)
        self.assertEqual(told.get((job, "State"), ["running"]), ["running"])
        self.assertEqual(len(told.get((bus.gpu_path(gpu), "types"), [])), 2)
        self.assertEqual(told[(bus.gpu_path(gpu), "InstanceCount")], [1, 0])

    def test_an_answer_without_waiting_comes_before_the_end(self):
        h = self.host(faults=["create:*:hang"])
        job, created = h.bus.manager.call("Create", "", V5_4, uuid=uuid(1))
        paths = [i["object_path"] for i in created]
        h.hanging(1)
        bus.wait(lambda: h.mirror.jobs() and h.mirror.jobs()[1]["State"] == "running", "the job runs")
        running = h.bus.job(job).all()
        self.assertEqual(
            {k: running[k] for k in ("Id", "Kind", "State", "Gpu", "Instances", "Requester", "Details")},
            {"Id": 1, "Kind": "create", "State": "running", "Gpu": bus.gpu_path(GVT), "Instances": paths, "Requester": 0,
             "Details": {"type": V5_4, "count": 1}})
        self.assertGreaterEqual(running["StartedUsec"], running["CreatedUsec"])
        self.assertEqual(h.bus.gpu(GVT).get("Job"), job)
        self.assertEqual(h.vgpuctl("jobs", "--json").json()["jobs"][0]["id"], 1)
        h.sim.ctl("release")
        self.assertEqual(h.mirror.await_end(job)[0], "done")
        self.assert_error("org.freedesktop.DBus.Error.UnknownObject", lambda: h.bus.job(job).all())

    def test_several_at_once(self):
        h = self.host()
        uuids = h.bus.create(GVT, "i915-GVTg_V5_8", count=7)
        self.assertEqual(len(set(uuids)), 7)
        self.assertEqual(h.tree(), set(uuids))
        self.assertEqual(set(h.mirror.instances()), set(uuids))
        result = h.vgpuctl("destroy", *uuids)
        self.assertEqual((result.status, result.out, result.err), (0, "", ""))
        self.assertEqual(h.tree(), set())

    def test_all_or_none(self):
        h = self.host()
        self.assert_error("NoCapacity", h.bus.start_create(GVT, V5_4, count=6), "5", V5_4)
        self.assertEqual(h.writes("create"), [])  # vgpud knows the answer before the first write

        # Now only the kernel knows that there is too little room.
        h.sim.ctl("set", f"/sys/class/mdev_bus/{GVT}/mdev_supported_types/{V5_4}/available_instances", 9)
        self.assert_error("NoCapacity", h.bus.start_create(GVT, V5_4, count=6), V5_4)
        self.assertEqual((h.tree(), h.bus.instances(), h.records()), (set(), {}, {}))
        writes = h.writes("create", "remove")
        self.assertEqual([(w[0], w[1].rpartition("/")[2]) for w in writes],
                         [("ok", "create")] * 5 + [("ENOSPC", "create")] + [("ok", "remove")] * 5)
        self.assertEqual(len(h.bus.create(GVT, V5_4, count=5)), 5)

    def test_any_gpu(self):
        h = self.host("scalable", options=simhost.scalable(2, 2, 4))
        made = [h.bus.create("", "nvidia-1000")[0] for _ in range(4)]
        where = [i["Gpu"] for i in h.mirror.instances().values()]
        self.assertEqual(sorted(where), sorted([bus.gpu_path(S0), bus.gpu_path(host.S1)] * 2))
        self.assert_error("NoCapacity", h.bus.start_create("", "nvidia-1000"))
        h.bus.destroy(made[0])
        gpu = h.bus.manager.call("GetGpu", S0)
        self.assertEqual(gpu, bus.gpu_path(S0))
        self.assertEqual(len(h.bus.create("", "nvidia-1000")), 1)

    def test_rescan(self):
        h = self.host()
        before = h.bus.gpu(GVT).get("ScannedUsec")
        self.assertEqual(h.mirror.await_end(h.bus.gpu(GVT).call("Rescan", wait=True)), ("done", "", "", []))
        self.assertGreater(h.bus.gpu(GVT).get("ScannedUsec"), before)
        self.assertEqual(h.vgpuctl("rescan", GVT).status, 0)
        self.assertEqual(h.vgpuctl("rescan").status, 0)

    def test_a_gpu_without_back_end(self):
        h = self.host("plain")
        amd = h.bus.gpus()["0000:03:00.0"]
        self.assertEqual((amd["State"], amd["BackEnd"], amd["types"], amd["Driver"]), ("unsupported", "", {}, "amdgpu"))
        self.assertTrue(amd["Reason"])
        for call in (h.bus.start_create("0000:03:00.0", "x"), h.bus.gpu("0000:03:00.0").start("Rescan")):
            self.assert_error("NotSupported", call, amd["Reason"])
        self.assertEqual(h.vgpuctl("create", "x", "--gpu", "0000:03:00.0").status, 7)

    def test_facts(self):
        h = self.host("gvt-g", "nvidia-a2", "samples")
        gpus = h.bus.gpus()
        self.assertEqual(sorted(gpus), [GVT, A2, "mbochs", "mdpy", "mtty"])
        for name, values in {
            GVT: {"Driver": "i915", "VendorId": 0x8086, "DeviceId": 0x5917, "Class": 0x030000, "NumaNode": -1,
                  "VendorName": "Intel Corporation", "TotalVfs": 0, "Subsystem": "pci", "Parents": [GVT],
                  "SysfsPath": f"/sys/devices/pci0000:00/{GVT}", "State": "ready", "Stale": False, "Reason": ""},
            A2: {"Driver": "nvidia", "VendorId": 0x10de, "NumaNode": 0, "TotalVfs": 16, "EnabledVfs": 16,
                 "LinkWidth": 8, "VendorName": "NVIDIA Corporation", "BackEnd": "mdev"},
            "mdpy": {"VendorId": 0, "Class": 0, "TotalVfs": 0, "Parents": ["mdpy"], "SysfsPath": "/sys/devices/virtual/mdpy/mdpy"},
        }.items():
            self.assertEqual({k: gpus[name][k] for k in values}, values)
        self.assertEqual(len(gpus[A2]["Parents"]), 16)
        self.assertEqual(gpus[GVT]["types"][V5_1]["fences"], 4)
        self.assertEqual(gpus[A2]["types"]["nvidia-746"]["max_instances"], 4)
        self.assertEqual(gpus[A2]["types"]["nvidia-746"]["framebuffer_bytes"], 4 << 30)


if __name__ == "__main__":
    runner.main()
