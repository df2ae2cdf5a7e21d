#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kernel hangs: one GPU is stuck until the kernel returns, the rest works, and vgpud kills no process."""

import bus
import host
import runner
from host import A2, GVT, V5_4, V5_8, uuid

# A GPU is stuck 2 s after a job or scan began to hang.
SOON = {"jobs": {"timeout": "2s"}}
# Time for the calls that a test makes after the hanging job has begun and before its GPU is stuck.
LATER = {"jobs": {"timeout": "10s"}}
# A GPU is stuck if it has not answered 2 s after the start. The limit of jobs and scans is the default, which no test reaches.
SOON_AT_START = {"start": {"timeout": "2s"}}


class StuckTest(host.HostTest):
    def stuck(self, h, gpu=GVT):
        return bus.wait(lambda: h.mirror.gpu(gpu) and h.mirror.gpu(gpu)["State"] == "stuck", f"{gpu} is stuck")

    def ready(self, h, gpu=GVT):
        return bus.wait(lambda: h.mirror.gpu(gpu) and h.mirror.gpu(gpu)["State"] == "ready", f"{gpu} is ready")

    def writers(self):
        return [c for c in map(host.command_of, host.children()) if c and c.endswith(" vgpud-write")]


class Create(StuckTest):
    def test_others_go_on(self):
        h = self.host("gvt-g", "nvidia-a2", "samples")
        h.bus.create(GVT, V5_8, uuid=uuid(1))
        before = h.bus.instances()
        listed = h.vgpuctl("list", "--json").json()
        h.sim.fault(f"create:{GVT}:hang:1")
        hung = h.bus.start_create(GVT, V5_4, uuid=uuid(2))
        h.hanging(1)
        self.assertEqual(h.bus.instances(), before)
        self.assertEqual(h.vgpuctl("list", "--json").json(), listed)
        for words in ([], ["gpus"], ["types"], ["show", GVT], ["jobs"], ["show", uuid(1)]):
            self.assertEqual(h.vgpuctl(*words).status, 0, words)
        for number, (gpu, type_name) in enumerate(((A2, "A2-4Q"), ("mdpy", "mdpy-xga"), ("mtty", "mtty-1")), 3):
            h.bus.create(gpu, type_name, uuid=uuid(number))
            h.bus.destroy(uuid(number))
        self.assertFalse(hung.done)
        self.assertFalse(h.bus.gpu(GVT).get("Stale"))
        h.sim.ctl("release")
        self.assertIsNone(hung.error())
        self.assertEqual(set(h.bus.instances()), {uuid(1), uuid(2)})

    def test_past_the_deadline(self):
        h = self.host("gvt-g", "nvidia-a2", config=LATER)
        h.bus.create(GVT, V5_8, uuid=uuid(1))
        h.sim.fault(f"create:{GVT}:hang:1")
        hung = h.bus.start_create(GVT, V5_4, uuid=uuid(2))
        h.hanging(1)
        waiting = [h.bus.start_create(GVT, V5_4), h.bus.start_create(GVT, V5_4, name="x"),
                   h.bus.instance(uuid(1)).start("Destroy", wait=True)]
        queued = h.bus.queue_create(GVT, V5_4, uuid=uuid(3))
        bus.wait(lambda: h.bus.gpu(GVT).get("QueuedJobs") == 4, "four jobs wait")
        self.assertEqual(h.bus.instance(uuid(1)).get("Job"), f"{bus.ROOT}/job/5")

        for call in (hung, *waiting):
            self.assert_error("GpuStuck", call, GVT, "job 2", "create")
        self.assertEqual(h.mirror.await_end(queued)[:2], ("failed", "GpuStuck"))
        self.stuck(h)
        gpu = h.bus.gpu(GVT).all()
        self.assertEqual((gpu["State"], gpu["Stale"], gpu["QueuedJobs"], gpu["Job"]), ("stuck", True, 0, f"{bus.ROOT}/job/2"))
        self.assertIn("job 2", gpu["Reason"])
        self.assertEqual({j: (v["State"], v["Kind"]) for j, v in h.bus.jobs().items()}, {2: ("stuck", "create")})
        self.assertEqual(set(h.records()), {uuid(1), uuid(2)})  # the record of the instance that may exist, and no other

        # Known objects stay visible; no new job starts.
        self.assertEqual(set(h.bus.instances()), {uuid(1)})
        self.assertEqual(h.bus.instances()[uuid(1)]["Job"], "/")
        self.assertEqual(len(h.bus.gpu(GVT).types()), 4)
        for call in (h.bus.start_create(GVT, V5_4), h.bus.start_create("", V5_4), h.bus.gpu(GVT).start("Rescan"),
                     h.bus.instance(uuid(1)).start("Destroy")):
            self.assert_error("GpuStuck", call, GVT)
        result = h.vgpuctl("create", V5_4)
        self.assertEqual(result.status, 6)
        for verb in ("gpus", "jobs", "types"):
            self.assertIn("stuck", h.vgpuctl(verb).out)
        self.assertEqual({(t["gpu"], t["stale"]) for t in h.vgpuctl("types", "--json").json()["types"]}, {(GVT, True), (A2, False)})
        self.assert_error("InUse", h.bus.job(f"{bus.ROOT}/job/2").start("Cancel"), "2")
        h.bus.create(A2, "A2-4Q")

        h.sim.ctl("release")
        self.assertEqual(h.mirror.await_end(2), ("done", "", "", [uuid(2)]))
        self.ready(h)
        self.assertEqual((h.mirror.gpu(GVT)["Stale"], h.mirror.gpu(GVT)["Reason"], h.bus.gpu(GVT).get("Job")), (False, "", "/"))
        self.assertEqual(h.bus.instances()[uuid(2)]["Origin"], "vgpud")
        h.bus.create(GVT, V5_4, uuid=uuid(3))

    def test_events_meanwhile(self):
        h = self.host("gvt-g", config=SOON)
        h.sim.fault("create:*:hang:1")
        self.assert_error("GpuStuck", h.bus.start_create(GVT, V5_4, uuid=uuid(1)))
        h.foreign(GVT, V5_8, 2)
        h.sim.ctl("release")
        self.ready(h)
        bus.wait(lambda: set(h.mirror.instances()) == {uuid(1), uuid(2)}, "vgpud shows its own and the foreign instance")
        self.assertEqual(h.mirror.instance(uuid(2))["Origin"], "foreign")

    def test_several_gpus(self):
        h = self.host("gvt-g", "nvidia-a2", "samples", config=SOON)
        h.sim.fault("create:*:hang:5")
        calls = [h.bus.start_create(*w) for w in ((GVT, V5_4), (A2, "A2-4Q"), ("mdpy", "mdpy-xga"), ("mtty", "mtty-1"),
                                                  ("mbochs", "mbochs-small"))]
        for call in calls:
            self.assert_error("GpuStuck", call)
        self.assertEqual({g["State"] for g in h.bus.gpus().values()}, {"stuck"})
        h.sim.ctl("release")
        for gpu in (GVT, A2, "mdpy", "mtty", "mbochs"):
            self.ready(h, gpu)
        bus.wait(lambda: set(h.mirror.instances()) == h.tree(), "the instances are the kernel's")
        h.settle()


class File(StuckTest):
    def test_unbind(self):
        """The reason names the written file and the device whose address is written."""
        xe, vf = "0000:03:00.0", "0000:03:00.1"
        h = self.host("xe", config=SOON)
        h.bus.gpu(xe).call("SetVfs", 2, wait=True)
        made = h.bus.create(xe, "vf", parent=vf)[0]
        h.sim.fault(f"write:{h.bus.instances()[made]['Driver']}/unbind:hang:1")
        self.assert_error("GpuStuck", h.bus.instance(made).start("Destroy", wait=True), "/unbind", vf, hint="reset-gpu")
        self.stuck(h, xe)
        self.assertEqual(h.bus.gpu(xe).get("HintId"), "reset-gpu")
        self.assertIn("/unbind", h.bus.gpu(xe).get("Reason"))
        h.sim.ctl("release")
        self.ready(h, xe)


class Destroy(StuckTest):
    def test_past_the_deadline(self):
        h = self.host(config=SOON)
        h.bus.create(GVT, V5_4, uuid=uuid(1))
        h.sim.fault("remove:*:hang:1")
        self.assert_error("GpuStuck", h.bus.instance(uuid(1)).start("Destroy", wait=True), "destroy")
        bus.wait(lambda: h.mirror.instance(uuid(1))["State"] == "stuck", "the instance is stuck")
        self.assertEqual(h.vgpuctl("list", "--json").json()["instances"][0]["state"], "stuck")
        h.sim.ctl("release")
        self.ready(h)
        bus.wait(lambda: not h.mirror.instances(), "the instance is gone")
        self.assert_becomes((set(), {}), lambda: (h.tree(), h.records()))


class Stop(StuckTest):
    def test_the_writer_is_left_alone(self):
        h = self.host("gvt-g", "nvidia-a2", faults=[f"create:{GVT}:hang:1"])
        hung = h.bus.start_create(GVT, V5_4, uuid=uuid(1))
        queued = h.bus.start_create(GVT, V5_4, uuid=uuid(2))
        h.hanging(1)
        h.stop()
        self.assertEqual((hung.error(), queued.error()), ("Canceled", "Canceled"))
        self.assertEqual(len(self.writers()), 1)
        self.assertEqual(set(h.records()), {uuid(1)})

        # The next daemon waits for the end of the write before it uses the GPU; the other GPU does not wait.
        h.configure(SOON_AT_START)
        h.start()
        self.stuck(h)
        self.ready(h, A2)
        self.assert_error("GpuStuck", h.bus.start_create(GVT, V5_4), GVT)
        self.assert_error("Exists", h.bus.start_create(A2, "A2-4Q", uuid=uuid(1)), uuid(1))
        h.bus.create(A2, "A2-4Q")
        self.assertEqual(h.vgpuctl("list").status, 0)
        self.assertEqual(h.sim.ctl("hanging"), ["1"])
        h.sim.ctl("release")
        self.ready(h)
        bus.wait(lambda: h.mirror.instance(uuid(1)), "vgpud shows the instance")
        self.assertEqual(h.mirror.instance(uuid(1))["Origin"], "vgpud")
        bus.wait(lambda: not self.writers(), "the writer ends by itself")
        h.bus.create(GVT, V5_8)

    def test_after_it_is_known_to_be_stuck(self):
        h = self.host(faults=["create:*:hang:1"], config=SOON)
        self.assert_error("GpuStuck", h.bus.start_create(GVT, V5_4))
        h.stop()
        self.assertEqual(len(self.writers()), 1)
        self.assertEqual(h.sim.ctl("hanging"), ["1"])

    def test_a_write_that_ends_in_time(self):
        h = self.host(faults=["create:*:hang:1"])
        call = h.bus.start_create(GVT, V5_4, uuid=uuid(1))
        h.hanging(1)
        h.vgpud.terminate()
        h.await_log("SIGTERM")
        h.sim.ctl("release")
        self.assertIsNone(call.error())
        h.stop()
        h.start()
        self.assertEqual(h.mirror.instance(uuid(1))["Origin"], "vgpud")

    def test_with_a_removal(self):
        h = self.host()
        h.bus.create(GVT, V5_4, uuid=uuid(1))
        h.sim.fault("remove:*:hang:1")
        call = h.bus.instance(uuid(1)).start("Destroy", wait=True)
        h.hanging(1)
        h.stop()
        self.assertEqual(call.error(), "Canceled")
        h.launch()
        h.sim.ctl("release")
        h.bus.await_name(bus.SERVICE)
        bus.wait(lambda: not h.bus.instances() and not h.records(), "instance and record are gone")
        self.assertEqual(h.tree(), set())


class Read(StuckTest):
    def test_a_scan(self):
        h = self.host("gvt-g", "nvidia-a2", config=SOON)
        h.bus.create(GVT, V5_8, uuid=uuid(1))
        h.sim.fault(f"read:{GVT}/available_instances:hang:1")
        h.foreign(GVT, V5_8, 2)
        self.stuck(h)
        self.assertTrue(h.mirror.gpu(GVT)["Stale"])
        self.assertEqual(h.bus.gpu(GVT).get("Job"), "/")  # a scan, no job
        self.assertIn(uuid(1), h.bus.instances())
        self.assert_error("GpuStuck", h.bus.start_create(GVT, V5_4))
        h.bus.create(A2, "A2-4Q")
        h.sim.ctl("release")
        self.ready(h)
        bus.wait(lambda: h.mirror.instance(uuid(2)), "vgpud shows the foreign instance")
        h.bus.create(GVT, V5_8)

    def test_a_scan_with_jobs_behind_it(self):
        h = self.host("gvt-g", config=SOON)
        h.sim.fault(f"read:{GVT}/available_instances:hang:1")
        h.foreign(GVT, V5_8, 2)
        h.hanging(1)
        self.assert_error("GpuStuck", h.bus.start_create(GVT, V5_4), GVT)
        h.sim.ctl("release")
        self.ready(h)

    def test_in_a_job(self):
        h = self.host("gvt-g", config=SOON)
        h.sim.fault("read:*/device_api:hang:1")
        self.assert_error("GpuStuck", h.bus.start_create(GVT, V5_4, uuid=uuid(1)))
        h.sim.ctl("release")
        self.ready(h)
        self.assertEqual(set(h.bus.instances()), {uuid(1)})

    def test_a_read_that_fails(self):
        h = self.host("gvt-g", "nvidia-a2")
        h.sim.fault(f"open:{GVT}/mdev_type:errno=EIO")
        h.foreign(GVT, V5_8, 1)
        bus.wait(lambda: h.mirror.instances(), "vgpud shows the foreign instance")
        h.sim.ctl("fault", "clear")
        h.bus.gpu(GVT).call("Rescan", wait=True)
        self.assertEqual(h.mirror.gpu(GVT)["State"], "ready")

    def test_at_the_start(self):
        for attribute in (f"{GVT}/available_instances", f"{GVT}/device_api"):
            h = self.host("gvt-g", "nvidia-a2", "samples", faults=[f"read:{attribute}:hang:1"], config=SOON_AT_START)
            self.stuck(h)
            h.hanging(1)
            others = {A2, "mbochs", "mdpy", "mtty"}
            self.assert_becomes(others, lambda h=h: {n for n, g in h.bus.gpus().items() if g["State"] == "ready"})
            h.bus.create(A2, "A2-4Q")
            self.assertEqual(h.vgpuctl().status, 0)
            h.sim.ctl("release")
            self.ready(h)
            h.bus.create(GVT, V5_4)
            h.close()


class Discovery(StuckTest):
    """A read of one GPU's file never returns: the other GPUs and hot-plug do not wait for it."""

    FILES = {GVT: ("class", "vendor", "subsystem_vendor", "modalias", "numa_node", "boot_vga"),
             A2: ("class", "device", "current_link_speed", "max_link_width", "sriov_totalvfs")}
    TYPES = {GVT: V5_4, A2: "A2-4Q"}

    def others_are_ready(self, h, *names):
        self.assert_becomes(set(names), lambda: {n for n, g in h.bus.gpus().items() if g["State"] == "ready"})

    def at_the_start(self, gpu, name):
        h = self.host("gvt-g", "nvidia-a2", "samples", faults=[f"read:{gpu}/{name}:hang"])
        other = A2 if gpu == GVT else GVT
        shown = h.mirror.gpu(gpu)
        self.assertEqual((shown["State"], shown["HintId"], shown["Stale"]), ("stuck", "reset-gpu", True))
        self.assertIn(f"{gpu}/{name} ", shown["Reason"])
        self.assertNotIn("[start]", h.log())  # vgpud was ready before the timeout of this section
        self.others_are_ready(h, other, "mbochs", "mdpy", "mtty")
        h.bus.create(other, self.TYPES[other], uuid=uuid(1))
        self.assertEqual(h.vgpuctl().status, 0)
        self.assertIn("stuck", h.vgpuctl("gpus").out)
        self.assert_error("GpuStuck", h.bus.start_create(gpu, self.TYPES[gpu]), name)
        self.assert_error("GpuStuck", h.bus.gpu(gpu).start("Rescan"))
        # Hot-plug goes on.
        h.bus.instance(uuid(1)).call("Destroy", wait=True)
        h.sim.ctl("unplug", other)
        bus.wait(lambda: not h.mirror.gpu(other), "the other GPU is gone")
        h.sim.ctl("plug", other)
        self.ready(h, other)
        h.sim.ctl("release")
        self.ready(h, gpu)
        h.bus.create(gpu, self.TYPES[gpu])
        h.close()

    def test_at_the_start(self):
        for gpu, names in self.FILES.items():
            for name in names:
                with self.subTest(gpu=gpu, file=name):
                    self.at_the_start(gpu, name)

    def test_several_gpus(self):
        faults = [f"read:{GVT}/class:hang", f"read:{A2}/current_link_speed:hang", "read:mtty/device_api:hang"]
        h = self.host("gvt-g", "nvidia-a2", "samples", faults=faults)
        for gpu, file in ((GVT, "class"), (A2, "current_link_speed"), ("mtty", "device_api")):
            self.assertEqual(h.mirror.gpu(gpu)["State"], "stuck")
            self.assertIn(file, h.mirror.gpu(gpu)["Reason"])
        self.others_are_ready(h, "mbochs", "mdpy")
        h.bus.create("mdpy", "mdpy-xga")
        h.sim.ctl("release")
        for gpu in (GVT, A2, "mtty"):
            self.ready(h, gpu)

    def test_nothing_but_the_folder_can_be_read(self):
        # Neither the class nor the uevent can be read, and no name in the folder shows that the device is a GPU: vgpud does not
        # show the device until the read returns.
        h = self.host("gvt-g", "nvidia-a2", faults=[f"read:{A2}/class:hang", f"read:{A2}/uevent:hang"])
        self.ready(h)
        h.bus.create(GVT, V5_4)
        h.sim.ctl("release")
        self.ready(h, A2)

    def test_a_known_gpu(self):
        h = self.host("gvt-g", "nvidia-a2", "samples", config=SOON)
        h.bus.create(GVT, V5_8, uuid=uuid(1))
        h.sim.fault(f"read:{GVT}/vendor:hang")
        # Hot-plug of another GPU needs a discovery.
        h.sim.ctl("unregister", "mbochs")
        h.hanging(1)
        bus.wait(lambda: not h.mirror.gpu("mbochs"), "the GPU is gone")
        h.bus.create(GVT, V5_8, uuid=uuid(2))
        self.stuck(h)
        self.assertIn(f"{GVT}/vendor ", h.mirror.gpu(GVT)["Reason"])
        self.assertEqual(set(h.bus.instances()), {uuid(1), uuid(2)})
        self.assert_error("GpuStuck", h.bus.start_create(GVT, V5_4), "vendor")
        h.sim.ctl("register", "mbochs")
        self.ready(h, "mbochs")
        h.bus.create(A2, "A2-4Q")
        h.sim.ctl("release")
        self.ready(h)
        h.bus.instance(uuid(1)).call("Destroy", wait=True)

    def test_the_records_stay(self):
        h = self.host("gvt-g", "nvidia-a2")
        h.bus.create(GVT, V5_4, uuid=uuid(1), name="one")
        h.stop()
        h.sim.fault(f"read:{GVT}/numa_node:hang")
        h.start()
        self.stuck(h)
        self.assertEqual(set(h.records()), {uuid(1)})
        self.assert_error("Exists", h.bus.start_create(A2, "A2-4Q", uuid=uuid(1)))
        h.sim.ctl("release")
        self.ready(h)
        bus.wait(lambda: h.mirror.instance(uuid(1)), "vgpud shows the instance")
        self.assertEqual((h.mirror.instance(uuid(1))["Origin"], h.mirror.instance(uuid(1))["Name"]), ("vgpud", "one"))

    def test_restart(self):
        # The process of the stopped daemon stays in the kernel, with all its open files, until the read returns. The next
        # daemon works nevertheless.
        h = self.host("gvt-g", "nvidia-a2", faults=[f"read:{GVT}/numa_node:hang:1"], config={"stop": {"timeout": "100ms"}})
        self.stuck(h)
        before = h.vgpud
        before.terminate()
        bus.wait(lambda: not h.bus.name_owner(bus.SERVICE), "vgpud has stopped")
        h.mirror.close()
        h.start()
        self.assertIsNone(before.poll())
        self.ready(h, A2)
        h.bus.create(A2, "A2-4Q")
        h.sim.ctl("release")
        self.ready(h)

    def test_stop(self):
        # The process of the stopped daemon ends only when the blocked read returns.
        h = self.host("gvt-g", "nvidia-a2", faults=[f"read:{GVT}/vendor:hang"], config={"stop": {"timeout": "100ms"}})
        self.ready(h, A2)
        h.vgpud.terminate()
        bus.wait(lambda: not h.bus.name_owner(bus.SERVICE), "vgpud has stopped")
        h.sim.ctl("release")
        h.stop()


if __name__ == "__main__":
    runner.main()
