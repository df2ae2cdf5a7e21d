#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""GPUs, drivers and parents come and go, at rest and while jobs wait or run."""

import threading

import bus
import host
import runner
import simhost
from host import A2, GVT, S0, S1, V5_4, V5_8, uuid


class HotPlug(host.HostTest):
    def gone(self, h, gpu):
        bus.wait(lambda: h.mirror.gpu(gpu) is None, f"{gpu} goes")

    def state(self, h, gpu, state):
        bus.wait(lambda: (h.mirror.gpu(gpu) or {}).get("State") == state, f"{gpu} is {state}")

    def test_unplug_and_plug(self):
        h = self.host("gvt-g", "nvidia-a2")
        before = h.bus.gpus()
        h.bus.create(GVT, V5_4, uuid=uuid(1), name="one")
        h.bus.create(A2, "A2-4Q", uuid=uuid(2))
        for gpu in (GVT, A2):
            h.settle()
            start = len(h.mirror.log)
            h.sim.ctl("unplug", gpu)
            self.gone(h, gpu)
            # The entry "ended" of a job may come late, so it is left out.
            entries = [e[:2] for e in h.mirror.log[start:] if e[0] in ("added", "removed")]
            number = 1 if gpu == GVT else 2
            self.assertEqual(entries, [("removed", bus.instance_path(uuid(number))), ("removed", bus.gpu_path(gpu))])
            self.assert_error("NoSuchGpu", h.bus.start_create(gpu, V5_4))
        self.assert_becomes(({}, {}, {}), lambda: (h.bus.gpus(), h.bus.instances(), h.records()))
        self.assertEqual(h.vgpuctl().status, 0)
        for gpu in (GVT, A2):
            h.sim.ctl("plug", gpu)
            self.state(h, gpu, "ready")
        bus.wait(lambda: len(h.bus.gpu(A2).get("Parents")) == 16, "all virtual functions")
        self.assert_becomes({n: sorted(g["types"]) for n, g in before.items()},
                            lambda: {n: sorted(g["types"]) for n, g in h.bus.gpus().items()})
        h.settle()
        h.bus.create(GVT, V5_4, uuid=uuid(1), name="one")
        h.bus.create(A2, "A2-4Q", uuid=uuid(2))

    def test_driver(self):
        h = self.host("gvt-g", "nvidia-a2")
        for gpu, type_name, driver in ((GVT, V5_4, "i915"), (A2, "A2-4Q", "nvidia")):
            h.bus.create(gpu, type_name, uuid=uuid(1))
            h.sim.ctl("unbind", gpu)
            self.state(h, gpu, "unsupported")
            self.assert_becomes(({}, "", "", {}, []), lambda g=gpu: (
                h.mirror.instances(), *(h.bus.gpus()[g][name] for name in ("Driver", "BackEnd", "types", "Parents"))))
            self.assertTrue(h.mirror.gpu(gpu)["Reason"])
            self.assert_error("NotSupported", h.bus.start_create(gpu, type_name))
            self.assert_becomes({}, h.records)
            h.sim.ctl("bind", gpu)
            self.state(h, gpu, "ready")
            bus.wait(lambda g=gpu, d=driver: h.mirror.gpu(g)["Driver"] == d and h.mirror.types(g), "the GPU has types")
            self.assertEqual(h.mirror.gpu(gpu)["Reason"], "")
            bus.wait(lambda g=gpu, t=type_name: h.bus.start_create(g, t, uuid=uuid(1)).error() is None, "the GPU creates instances again")
            h.bus.destroy(uuid(1))

    def test_parent(self):
        h = self.host("gvt-g", "samples")
        h.bus.create("mdpy", "mdpy-xga", uuid=uuid(1))
        h.bus.create(GVT, V5_4, uuid=uuid(2))
        h.sim.ctl("unregister", "mdpy")
        self.gone(h, "mdpy")
        h.sim.ctl("unregister", GVT)
        self.state(h, GVT, "unsupported")
        self.assert_becomes(({}, {}), lambda: (h.mirror.instances(), h.records()))
        h.sim.ctl("register", "mdpy")
        h.sim.ctl("register", GVT)
        self.state(h, "mdpy", "ready")
        self.state(h, GVT, "ready")
        h.bus.create("mdpy", "mdpy-xga", uuid=uuid(1))
        h.bus.create(GVT, V5_4, uuid=uuid(2))

    def test_virtual_function(self):
        h = self.host("nvidia-a2")
        parents = h.bus.gpu(A2).get("Parents")
        h.bus.create(A2, "A2-4Q", uuid=uuid(1), parent=parents[0])
        h.bus.create(A2, "A2-4Q", uuid=uuid(2), parent=parents[1])
        h.sim.ctl("unregister", parents[0])
        bus.wait(lambda: h.bus.gpu(A2).get("Parents") == parents[1:], "one parent is gone")
        bus.wait(lambda: set(h.mirror.instances()) == {uuid(2)}, "the instance of the parent is gone")
        self.assert_error("InvalidArgs", h.bus.start_create(A2, "A2-4Q", parent=parents[0]))
        h.sim.ctl("register", parents[0])
        bus.wait(lambda: h.bus.gpu(A2).get("Parents") == parents, "the parent is back")
        h.bus.create(A2, "A2-4Q", parent=parents[0])
        h.sim.ctl("unbind", parents[1])
        bus.wait(lambda: parents[1] not in h.bus.gpu(A2).get("Parents"), "unbound")
        h.sim.ctl("bind", parents[1])
        bus.wait(lambda: h.bus.gpu(A2).get("Parents") == parents, "bound")
        h.bus.create(A2, "A2-4Q", parent=parents[1])

    def test_while_a_job_runs(self):
        h = self.host("gvt-g", "nvidia-a2", faults=[f"create:{GVT}:hang:1"])
        running = h.bus.start_create(GVT, V5_4, uuid=uuid(1))
        h.hanging(1)
        waiting = [h.bus.start_create(GVT, V5_8) for _ in range(3)]
        bus.wait(lambda: h.bus.gpu(GVT).get("QueuedJobs") == 3, "three jobs wait")
        # The kernel waits for the creation before it lets the GPU go.
        remover = threading.Thread(target=h.sim.ctl, args=("unplug", GVT))
        remover.start()
        h.sim.await_waiting(f"unregister {GVT}")
        h.sim.ctl("release")
        bus.wait(lambda: not remover.is_alive(), "unplugged")
        self.gone(h, GVT)
        for call in (running, *waiting):
            self.assertIn(call.error(), (None, "GpuGone", "NoSuchGpu", "NoSuchType", "Failed"))
        bus.wait(lambda: not h.bus.jobs(), "no job is left")
        self.assert_becomes(({}, {}), lambda: (h.bus.instances(), h.records()))
        h.bus.create(A2, "A2-4Q")
        h.sim.ctl("plug", GVT)
        self.state(h, GVT, "ready")
        h.bus.create(GVT, V5_4, uuid=uuid(1))

    def test_while_a_job_is_stuck_reading(self):
        # The GPU goes while the lane reads: the waiting call gets an answer at once, the running call when the read returns.
        h = self.host("gvt-g", "nvidia-a2")
        h.sim.fault(f"read:{GVT}/available_instances:hang:1")
        running = h.bus.start_create(GVT, V5_4, uuid=uuid(1))
        h.hanging(1)
        waiting = h.bus.start_create(GVT, V5_8)
        h.sim.ctl("unplug", GVT)
        self.gone(h, GVT)
        self.assertEqual(waiting.error(), "GpuGone")
        self.assertFalse(running.done)
        h.sim.ctl("plug", GVT)  # the new GPU gets a lane, while the old lane still reads
        bus.wait(lambda: h.mirror.gpu(GVT), "the parent is back")
        h.sim.ctl("release")
        self.assertIn(running.error(), (None, "GpuGone"))
        self.state(h, GVT, "ready")
        h.bus.create(GVT, V5_4, uuid=uuid(2))
        bus.wait(lambda: set(h.mirror.instances()) == h.tree(), "the instances are the kernel's")
        h.settle()

    def test_driver_goes_while_jobs_wait(self):
        h = self.host("nvidia-a2", "gvt-g", faults=[f"create:{A2}:hang:1"])
        running = h.bus.start_create(A2, "A2-4Q", uuid=uuid(1))
        h.hanging(1)
        waiting = [h.bus.start_create(A2, "A2-4Q") for _ in range(3)]
        bus.wait(lambda: h.bus.gpu(A2).get("QueuedJobs") == 3, "three jobs wait")
        remover = threading.Thread(target=h.sim.ctl, args=("unbind", A2))
        remover.start()
        # The kernel waits for the creation before it lets its virtual function go.
        bus.wait(lambda: any(line.startswith("unregister ") for line in h.sim.ctl("waiting")), "the driver waits")
        h.sim.ctl("release")
        bus.wait(lambda: not remover.is_alive(), "unbound")
        self.state(h, A2, "unsupported")
        for call in (running, *waiting):
            self.assertIn(call.error(), (None, "GpuGone", "NotSupported", "NoSuchType", "Failed"))
        self.assert_becomes(({}, {}), lambda: (h.mirror.instances(), h.records()))
        h.settle()

    def test_a_burst(self):
        h = self.host("scalable", "samples", options=simhost.scalable(2, 16, 4))
        for turn in range(5):
            h.sim.ctl("unplug", S0)
            h.sim.ctl("unplug", S1)
            h.sim.ctl("plug", S0)
            h.sim.ctl("unbind", S0)
            h.sim.ctl("bind", S0)
            h.sim.ctl("plug", S1)
            h.bus.start_create(S0, "nvidia-1000", uuid=uuid(turn + 1)).error()
        h.pass_barrier()
        for gpu in (S0, S1):
            self.state(h, gpu, "ready")
            bus.wait(lambda gpu=gpu: len(h.bus.gpu(gpu).get("Parents")) == 16, "all virtual functions")
        h.settle()
        bus.wait(lambda: set(h.bus.instances()) == h.tree(), "the instances are the kernel's")
        self.assert_becomes(h.tree(), lambda: set(h.records()))

    def test_stop_while_things_change(self):
        h = self.host("scalable", options=simhost.scalable(2, 16, 4))
        for _ in range(5):
            h.sim.ctl("unplug", S0)
            calls = [h.bus.start_create(S1, "nvidia-1000") for _ in range(4)]
            h.sim.ctl("plug", S0)
            h.stop()
            for call in calls:
                # vgpud does not answer calls that it has not read: the bus does, with NoReply.
                self.assertIn(call.error(), (None, "Canceled", "org.freedesktop.DBus.Error.NoReply"))
            h.start()
            for name in h.bus.instances():
                h.bus.destroy(name)


if __name__ == "__main__":
    runner.main()
