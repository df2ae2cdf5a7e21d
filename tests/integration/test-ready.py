#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The readiness of the host: the property, the missing things, `vgpuctl wait --ready`, and restarts of vgpud meanwhile."""

import bus
import host
import runner
from host import GVT, V5_4, uuid

DEGRADED = 9  # the exit status of vgpuctl
LATE = {"ready": {"timeout": "10ms"}}
NEVER_LATE = {"ready": {"timeout": "1h"}}


class Ready(host.HostTest):
    def readiness(self, h):
        return h.bus.manager.get("Readiness")

    def missing(self, h):
        texts, count = h.bus.manager.call("ListMissing")
        self.assertEqual(len(texts), count)
        return texts

    def host_without_gpu(self, config):
        """A host on which vgpud does not run, with a wanted definition whose GPU has been unplugged."""
        h = self.host("gvt-g", config=config)
        h.bus.create(GVT, V5_4, uuid=uuid(1), name="desk", keep=True)
        self.assertEqual(self.readiness(h), "ready")
        h.stop()
        h.sim.ctl("unplug", GVT)
        return h

    def await_active(self, h):
        bus.wait(lambda: h.mirror.instance(uuid(1)), "the instance is back")

    def ended(self, h, process, status):
        result = h.end_vgpuctl(process)
        self.assertEqual(result.status, status, result)
        return result

    def test_nothing_is_wanted(self):
        h = self.host("gvt-g", config=NEVER_LATE)
        self.assertEqual((self.readiness(h), self.missing(h)), ("ready", []))
        self.assertEqual(h.vgpuctl("wait", "--ready").status, 0)
        h.bus.define(V5_4, gpu=GVT, uuid=uuid(1), name="desk")
        self.assertEqual(h.vgpuctl("wait", "--ready").status, 0)
        self.assertEqual(h.vgpuctl("wait", "--ready", "desk").status, 3)
        h.bus.start_definition("desk")
        self.assertEqual(h.vgpuctl("wait", "--ready", "desk").status, 0)

    def test_converging(self):
        h = self.host_without_gpu(NEVER_LATE)
        # One vgpuctl waits already when vgpud starts, and goes on when vgpud is killed and starts again.
        waits = [h.start_vgpuctl("wait", "--ready"), h.start_vgpuctl("wait", "--ready", "desk", "--timeout", "1h")]
        h.start()
        self.assertEqual(self.readiness(h), "converging")
        self.assertEqual([uuid(1) in text for text in self.missing(h)], [True])
        self.assertEqual(h.vgpuctl("wait", "--ready", "--timeout", "10ms").status, 8)
        h.kill()
        h.start()
        self.assertEqual(self.readiness(h), "converging")
        waits += [h.start_vgpuctl("wait", "--ready"), h.start_vgpuctl("wait", "--ready", uuid(1))]
        h.sim.ctl("plug", GVT)
        self.await_active(h)
        for process in waits:
            self.ended(h, process, 0)
        self.assertEqual((self.readiness(h), self.missing(h)), ("ready", []))

    def test_degraded_then_ready(self):
        h = self.host_without_gpu(LATE)
        p = h.start_vgpuctl("wait", "--ready", "--json")
        h.start()
        self.assert_becomes("degraded", lambda: self.readiness(h))
        result = self.ended(h, p, DEGRADED)
        self.assertEqual(result.json()["missing"], self.missing(h))
        self.assertIn(GVT, self.missing(h)[0])
        texts = h.vgpuctl("wait", "--ready").err
        for verb in ((), ("list", "--all")):
            self.assertIn(self.missing(h)[0], h.vgpuctl(*verb).err)
        self.assertIn(self.missing(h)[0], texts)
        h.await_log(self.missing(h)[0])

        desk = h.start_vgpuctl("wait", "--ready", "desk")
        h.sim.ctl("plug", GVT)
        self.ended(h, desk, 0)
        bus.wait(lambda: h.mirror.manager.get("Readiness") == "ready", "the signal")
        self.assertEqual(h.vgpuctl("wait", "--ready").status, 0)

        # After the first "ready", a lost instance makes the host degraded at once.
        h.sim.ctl("unplug", GVT)
        bus.wait(lambda: h.mirror.manager.get("Readiness") == "degraded", "the signal")
        self.assertEqual(h.vgpuctl("wait", "--ready").status, DEGRADED)
        h.bus.manager.call("Undefine", uuid(1))
        bus.wait(lambda: h.mirror.manager.get("Readiness") == "ready", "the signal")

    def test_undefine(self):
        h = self.host_without_gpu(NEVER_LATE)
        h.start()
        p = h.start_vgpuctl("wait", "--ready", "desk")
        h.bus.manager.call("Undefine", uuid(1))
        self.ended(h, p, 3)

    def test_a_stuck_create(self):
        """A job that hangs does not keep units waiting for more than the deadline."""
        h = self.host_without_gpu({"ready": {"timeout": "500ms"}})
        h.sim.fault("create:*:hang:1")
        h.sim.ctl("plug", GVT)
        h.start()
        self.assertEqual(h.vgpuctl("wait", "--ready").status, DEGRADED)
        h.sim.ctl("release")
        self.await_active(h)
        self.assertEqual(h.vgpuctl("wait", "--ready", "desk").status, 0)


if __name__ == "__main__":
    runner.main()
