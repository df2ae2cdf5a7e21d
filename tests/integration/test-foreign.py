#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Foreign devices: found by events, marked as foreign, and left alone."""

import bus
import host
import runner
import simhost
from host import A2, GVT, S0, V5_4, V5_8, uuid


class Foreign(host.HostTest):
    def setUp(self):
        super().setUp()
        self.h = self.host("gvt-g", "nvidia-a2", "samples")

    def seen(self, number):
        return bus.wait(lambda: self.h.mirror.instance(uuid(number)), f"instance {number} appears")

    def test_appears_and_goes_by_signal(self):
        vf = self.h.bus.gpu(A2).get("Parents")[3]
        for number, (parent, type_name, gpu) in enumerate(((GVT, V5_4, GVT), (vf, "nvidia-744", A2), ("mtty", "mtty-1", "mtty")), 1):
            free = self.h.mirror.types(gpu)[type_name]["available"]
            self.h.foreign(parent, type_name, number)
            instance = self.seen(number)
            self.assertEqual((instance["Origin"], instance["Owner"], instance["Name"], instance["CreatedUsec"]),
                             ("foreign", "", "", 0))
            self.assertEqual(instance["Gpu"], bus.gpu_path(gpu))
            bus.wait(lambda n=number, t=type_name: self.h.mirror.instance(uuid(n))["Type"] == t, f"the type of instance {number}")
            bus.wait(lambda g=gpu, t=type_name, f=free: self.h.mirror.types(g)[t]["available"] < f, "fewer instances are available")
            self.assertEqual(instance["Parent"], parent)
            self.h.sim.ctl("remove", uuid(number))
            bus.wait(lambda n=number: not self.h.mirror.instance(uuid(n)), f"instance {number} goes")
            bus.wait(lambda g=gpu, t=type_name, f=free: self.h.mirror.types(g)[t]["available"] == f, "as many as before are available")
        self.assertEqual([e[0] for e in self.h.mirror.log if e[0] != "changed"], ["added", "removed"] * 3)
        self.assert_becomes({}, self.h.records)

    def test_made_with_echo(self):
        self.h.sim.run(["sh", "-c", f"echo {uuid(1)} > /sys/class/mdev_bus/{GVT}/mdev_supported_types/{V5_8}/create"], check=True)
        self.assertEqual(self.seen(1)["Origin"], "foreign")
        self.h.sim.run(["sh", "-c", f"echo 1 > /sys/bus/mdev/devices/{uuid(1)}/remove"], check=True)
        bus.wait(lambda: not self.h.mirror.instances(), "the instance is gone")

    def test_is_refused_without_the_word(self):
        self.h.foreign(GVT, V5_4, 1)
        self.seen(1)
        for call in (self.h.bus.instance(uuid(1)).start("Destroy", wait=True),
                     self.h.bus.manager.start("Destroy", uuid(1)),
                     self.h.bus.manager.start("Destroy", uuid(1), foreign=False)):
            self.assert_error("Foreign", call, uuid(1))
        result = self.h.vgpuctl("destroy", uuid(1))
        self.assertEqual(result.status, 4)
        self.assertIn("--foreign", result.err)
        self.assertEqual(self.h.writes("remove"), [])
        self.assertEqual(self.h.tree(), {uuid(1)})

    def test_is_removed_with_it(self):
        self.h.foreign(GVT, V5_4, 1)
        self.h.foreign("mdpy", "mdpy-hd", 2)
        self.seen(1)
        self.seen(2)
        self.h.bus.instance(uuid(1)).call("Destroy", foreign=True, wait=True)
        result = self.h.vgpuctl("destroy", "--foreign", uuid(2))
        self.assertEqual(result.status, 0, result)
        self.assertEqual((self.h.tree(), self.h.bus.instances()), (set(), {}))

    def test_in_use(self):
        self.h.foreign(GVT, V5_4, 1)
        self.seen(1)
        self.h.sim.ctl("hold-device", uuid(1))
        self.assert_error("InUse", self.h.bus.instance(uuid(1)).start("Destroy", foreign=True, wait=True))
        self.h.sim.ctl("drop-device", uuid(1))

    def test_ours_removed_behind_our_back(self):
        self.h.bus.create(GVT, V5_4, uuid=uuid(1), name="one")
        self.h.sim.ctl("remove", uuid(1))
        bus.wait(lambda: not self.h.mirror.instances(), "the instance is gone")
        bus.wait(lambda: not self.h.records(), "the record is gone")
        # A new device with the same UUID is foreign.
        self.h.foreign(GVT, V5_4, 1)
        self.assertEqual((self.seen(1)["Origin"], self.seen(1)["Name"]), ("foreign", ""))
        self.h.bus.create(GVT, V5_4, name="one")

    def test_there_before_us(self):
        self.h.bus.create(GVT, V5_4, uuid=uuid(1), name="one")
        self.h.stop()
        self.h.foreign(GVT, V5_8, 2)
        self.h.start()
        found = self.h.mirror.instances()
        self.assertEqual({u: (i["Origin"], i["Name"], i["Owner"]) for u, i in found.items()},
                         {uuid(1): ("vgpud", "one", "0"), uuid(2): ("foreign", "", "")})
        self.h.await_log(uuid(2))

    def test_replaced_while_we_were_away(self):
        # The same UUID with another type, or on another GPU, is a foreign device.
        self.h.bus.create(GVT, V5_4, uuid=uuid(1), name="one")
        self.h.bus.create(GVT, V5_8, uuid=uuid(2), name="two")
        self.h.bus.create(GVT, V5_8, uuid=uuid(3), name="three")
        self.h.stop()
        for number in (1, 2, 3):
            self.h.sim.ctl("remove", uuid(number))
        self.h.foreign(GVT, V5_8, 1)
        self.h.foreign("mtty", "mtty-1", 2)
        self.h.start()
        self.assertEqual({u: (i["Origin"], i["Name"]) for u, i in self.h.mirror.instances().items()},
                         {uuid(1): ("foreign", ""), uuid(2): ("foreign", "")})
        bus.wait(lambda: uuid(3) not in self.h.records(), "the record of the instance is gone")

    def test_type_that_is_late(self):
        # The kernel makes the link to the type after the last event.
        self.h.sim.fault("link:*:hang:1")
        agent = self.h.sim.agent()
        agent.start("write", f"/sys/class/mdev_bus/{GVT}/mdev_supported_types/{V5_4}/create", uuid(1))
        self.h.hanging(1)
        self.assertEqual(self.seen(1)["Type"], "")
        self.h.sim.ctl("release")
        agent.finish()
        bus.wait(lambda: self.h.mirror.instance(uuid(1))["Type"] == V5_4, "the type")
        self.assertEqual(self.h.mirror.instance(uuid(1))["DeviceApi"], "vfio-pci")

    def test_a_creation_that_fails(self):
        # The kernel adds the device before the driver refuses it.
        self.h.sim.fault("create:*:errno=ENOSPC:3")
        for number in (1, 2, 3):
            self.h.sim.run(["sh", "-c", f"echo {uuid(number)} > /sys/class/mdev_bus/mtty/mdev_supported_types/mtty-1/create"],
                           capture_output=True)
        self.h.foreign("mtty", "mtty-1", 4)
        self.seen(4)
        bus.wait(lambda: set(self.h.mirror.instances()) == {uuid(4)}, "only the last device has an instance")
        self.h.settle()


class Large(host.HostTest):
    def test_before_the_types_are_read(self):
        # The scan after an event hangs at the last virtual function. Signals do not wait for it.
        h = self.host("scalable", options=simhost.scalable(1, 32, 23))
        parents = h.bus.gpu(S0).get("Parents")
        fault = f"read:{parents[-1]}/available_instances:hang"
        free = h.mirror.types(S0)["nvidia-1000"]["available"]
        h.sim.fault(fault)
        h.foreign(parents[3], "nvidia-1000", 1)
        instance = bus.wait(lambda: h.mirror.instance(uuid(1)), "the instance appears")
        self.assertEqual((instance["Origin"], instance["Type"], instance["Parent"], instance["DeviceApi"]),
                         ("foreign", "nvidia-1000", parents[3], "vfio-pci"))
        h.hanging(1)
        self.assertEqual(h.mirror.types(S0)["nvidia-1000"]["available"], free - 1)
        h.sim.ctl("fault", "clear")
        h.sim.ctl("release")
        h.settle()

        h.sim.fault(fault)
        h.sim.ctl("remove", uuid(1))
        bus.wait(lambda: not h.mirror.instances(), "the instance goes")
        h.hanging(1)
        h.sim.ctl("fault", "clear")
        h.sim.ctl("release")
        h.settle()
        self.assertEqual(h.mirror.types(S0)["nvidia-1000"]["available"], free)


if __name__ == "__main__":
    runner.main()
