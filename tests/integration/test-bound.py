#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Virtual functions that a udev rule binds to vfio-pci at boot."""

import os

import bus
import host
import runner
from host import uuid

XE = "0000:03:00.0"
VFS = [f"0000:03:00.{n}" for n in (1, 2, 3)]
TAKE = f"[gpu {XE}]\ntake-bound=yes\n"


def domain(function):
    bus_number, device, number = function[5:7], function[8:10], function[11]
    return f"""<!-- as libvirt writes it -->
<domain type='kvm'><name>vm</name><devices>
  <hostdev mode='subsystem' type='pci' managed='no'>
    <source><address domain='0x0000' bus='0x{bus_number}' slot='0x{device}' function='0x{number}'/></source>
    <address type='pci' domain='0x0000' bus='0x05' slot='0x00' function='0x0'/>
  </hostdev>
</devices></domain>
"""


class Bound(host.HostTest):
    def booted(self, count=3, bound=3, override=False, config=TAKE):
        """A host after its boot: a rule has bound the first functions."""
        h = self.host("xe", start=False, config=config)
        h.sim.run(["sh", "-c", f"echo {count} >/sys/bus/pci/devices/{XE}/sriov_numvfs"], check=True)
        for vf in VFS[:bound]:
            self.bind(h, vf, override)
        h.start()
        return h

    def bind(self, h, vf, override):
        pci = "/sys/bus/pci"
        h.sim.run(["sh", "-ec", f"echo vfio-pci >{pci}/devices/{vf}/driver_override; "
                   f"echo {vf} >{pci}/devices/{vf}/driver/unbind; echo {vf} >{pci}/drivers_probe; "
                   + ("" if override else f"echo >{pci}/devices/{vf}/driver_override")], check=True)

    def state(self, h, vf):
        """Driver and driver_override of a function, as the kernel has them."""
        out = h.sim.run(["sh", "-c", f"cd /sys/bus/pci/devices/{vf}; basename $(readlink driver); cat driver_override"],
                        capture_output=True, check=True).stdout
        return tuple(out.split())

    def bound_free(self, h):
        return [v["name"] for v in h.bus.gpu(XE).vfs() if v["state"] == "bound-free"]

    def available(self, h):
        return h.bus.gpu(XE).types()["vf"]["available"]

    def rescan(self, h):
        h.bus.gpu(XE).call("Rescan", wait=True)

    def define(self, h, path, text):
        file = h.definitions / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")

    def open_group(self, h, vf):
        group = h.sim.run(["readlink", f"/sys/bus/pci/devices/{vf}/iommu_group"], capture_output=True, check=True)
        program = h.sim.agent()
        return program, program.open(f"/dev/vfio/{group.stdout.strip().rpartition('/')[2]}", os.O_RDONLY)

    def test_left_alone(self):
        h = self.booted(config="")
        self.assertEqual((h.bus.instances(), self.bound_free(h), self.available(h)), ({}, VFS, 0))
        vfs = h.vgpuctl("show", XE, "--json").json()["gpu"]["vfs"]
        self.assertEqual([(v["driver"], v["instance"], v["state"]) for v in vfs], [("vfio-pci", None, "bound-free")] * 3)
        self.assertEqual(h.vgpuctl("show", XE).status, 0)
        types = h.vgpuctl("types", XE, "--why", "--json").json()["types"]
        self.assertEqual({t["hint_id"] for t in types}, {"change-config"})
        for parent in ({}, {"parent": VFS[1]}):
            self.assert_error("NoCapacity", h.bus.start_create(XE, "vf", **parent), hint="change-config")
        for words in (("types", XE, "--why"), ("create", "vf", "--gpu", XE), ("create", "vf", "--gpu", XE, "--parent", VFS[0]),
                      ("disable-vfs", XE)):
            result = h.vgpuctl(*words)
            self.assertIn("take-bound=yes", "".join((result.out + result.err).split("\n")), words)
        self.assertEqual(h.vgpuctl("disable-vfs", XE, "--json").error()["hint_id"], "change-config")
        self.assertEqual([self.state(h, vf) for vf in VFS], [("vfio-pci", "(null)")] * 3)

    def test_taken_and_put_back(self):
        for override in (False, True):
            with self.subTest(override=override):
                h = self.booted(override=override)
                found = [self.state(h, vf) for vf in VFS]
                self.assertEqual((self.bound_free(h), self.available(h)), (VFS, 3))
                h.sim.writes(clear=True)
                made = h.bus.create(XE, "vf", count=2)
                self.assertEqual({h.bus.instances()[u]["State"] for u in made}, {"active"})
                self.assertEqual((self.bound_free(h), self.available(h)), (VFS[2:], 1))
                h.kill()
                h.start()
                self.assertEqual({(u, i["Origin"]) for u, i in h.bus.instances().items()}, {(u, "vgpud") for u in made})
                for u in made:
                    h.bus.destroy(u)
                self.assertEqual((h.bus.instances(), h.records(), self.bound_free(h), self.available(h)), ({}, {}, VFS, 3))
                self.assertEqual([self.state(h, vf) for vf in VFS], found)
                # No function was unbound.
                self.assertEqual({path.rpartition("/")[2] for _, path, _ in h.sim.writes()} - {"driver_override"}, set())
                h.close()

    def test_put_back_with_quotas(self):
        h = self.booted(1, 1)
        quantum = f"/sys/bus/pci/devices/{XE}/sriov_admin/vf1/profile/exec_quantum_ms"
        h.bus.create(XE, "vf-profile", uuid=uuid(1), attributes=[("exec_quantum_ms", "20")])
        h.bus.destroy(uuid(1))
        self.assertEqual(self.state(h, VFS[0]), ("vfio-pci", "(null)"))
        self.assertEqual(h.sim.run(["cat", quantum], capture_output=True).stdout.strip(), "0")
        self.assertEqual(self.bound_free(h), VFS[:1])

    def test_after_the_others(self):
        h = self.booted(3, 1)
        self.assertEqual(self.available(h), 3)
        for number in (1, 2, 3):
            h.bus.create(XE, "vf", uuid=uuid(number))
        self.assertEqual([h.bus.instances()[uuid(n)]["Slot"] for n in (1, 2, 3)], [VFS[1], VFS[2], VFS[0]])
        self.assert_error("NoCapacity", h.bus.start_create(XE, "vf"), hint="destroy-instance")

    def test_opened(self):
        """A program opens a function after the scan: the job notices, and does not use the function."""
        h = self.booted(2, 2)
        program, fd = self.open_group(h, VFS[0])
        self.assertEqual(self.bound_free(h), VFS[:2])
        self.assert_error("NoCapacity", h.bus.start_create(XE, "vf", parent=VFS[0]), VFS[0])
        h.bus.create(XE, "vf", uuid=uuid(1))
        self.assertEqual(h.bus.instances()[uuid(1)]["Slot"], VFS[1])
        h.bus.destroy(uuid(1))
        (used,) = h.bus.instances().values()  # the later scan shows the open function as an instance
        self.assertEqual((used["Slot"], used["Origin"]), (VFS[0], "foreign"))
        self.assertEqual(self.bound_free(h), VFS[1:2])
        self.assert_error("InUse", h.bus.gpu(XE).start("SetVfs", 0, wait=True), VFS[0], hint="stop-user")
        program.close(fd)
        self.rescan(h)
        self.assertEqual((h.bus.instances(), self.bound_free(h)), ({}, VFS[:2]))

    def test_opened_when_destroyed(self):
        h = self.booted(1, 1)
        h.bus.create(XE, "vf", uuid=uuid(1))
        program, fd = self.open_group(h, VFS[0])
        self.assert_error("InUse", h.bus.manager.start("Destroy", uuid(1), wait=True), hint="stop-user")
        self.assertEqual((list(h.bus.instances()), self.state(h, VFS[0])), ([uuid(1)], ("vfio-pci", "vfio-pci")))
        program.close(fd)
        h.bus.destroy(uuid(1))
        self.assertEqual(self.state(h, VFS[0]), ("vfio-pci", "(null)"))

    def test_defined(self):
        h = self.booted()
        self.define(h, "etc/libvirt/qemu/vm.xml", domain(VFS[0]))
        self.define(h, "run/libvirt/qemu/other.xml", f"<domstatus state='running'>{domain(VFS[1])}</domstatus>")
        self.rescan(h)
        self.assertEqual((self.available(h), self.bound_free(h)), (1, VFS))
        self.assert_error("InUse", h.bus.start_create(XE, "vf", parent=VFS[0]), "etc/libvirt/qemu/vm.xml", hint="choose-other")
        self.assert_error("InUse", h.bus.start_create(XE, "vf", parent=VFS[1]), "run/libvirt/qemu/other.xml", hint="choose-other")
        self.assert_error("InUse", h.bus.gpu(XE).start("SetVfs", 0, wait=True), hint="choose-other")
        h.bus.create(XE, "vf", uuid=uuid(1))
        self.assertEqual(h.bus.instances()[uuid(1)]["Slot"], VFS[2])
        self.assert_error("NoCapacity", h.bus.start_create(XE, "vf"), "etc/libvirt/qemu/vm.xml", hint="choose-other")
        h.bus.destroy(uuid(1))
        # vgpud reads the definitions when it chooses, not only at a scan.
        self.define(h, f"etc/mdevctl.d/{VFS[2]}/{uuid(9)}", "{}")
        self.assert_error("InUse", h.bus.start_create(XE, "vf", parent=VFS[2]), f"etc/mdevctl.d/{VFS[2]}/")
        self.assert_error("NoCapacity", h.bus.start_create(XE, "vf"), hint="choose-other")
        self.assertEqual([self.state(h, vf) for vf in VFS], [("vfio-pci", "(null)")] * 3)

    def test_definition_that_nobody_understands(self):
        h = self.booted(3, 2)
        self.define(h, "etc/libvirt/qemu/vm.xml", "<domain><devices>")
        self.rescan(h)
        self.assertEqual(self.available(h), 1)
        h.await_log("etc/libvirt/qemu/vm.xml")
        self.assert_error("InUse", h.bus.start_create(XE, "vf", parent=VFS[0]), "etc/libvirt/qemu/vm.xml", hint="remove-by-hand")
        h.bus.create(XE, "vf", uuid=uuid(1))
        self.assertEqual(h.bus.instances()[uuid(1)]["Slot"], VFS[2])

    def test_disabled(self):
        h = self.booted()
        h.bus.create(XE, "vf", uuid=uuid(1))
        self.assert_error("InUse", h.bus.gpu(XE).start("SetVfs", 0, wait=True), hint="destroy-instance")
        h.bus.destroy(uuid(1))
        self.assertEqual(h.vgpuctl("disable-vfs", XE).status, 0)
        self.assertEqual(h.bus.gpu(XE).get("EnabledVfs"), 0)

    def test_bound_while_running(self):
        """The signals agree with ListVfs: settle() compares both."""
        h = self.booted(3, 0)
        self.bind(h, VFS[1], False)
        self.assert_becomes(VFS[1:2], lambda: self.bound_free(h))
        h.settle()
        h.sim.run(["sh", "-c", f"echo {VFS[1]} >/sys/bus/pci/drivers/vfio-pci/unbind"], check=True)
        self.assert_becomes([], lambda: self.bound_free(h))

    def test_ours_released_by_another_program(self):
        """The record is removed with the instance, so the function is no instance when another program binds it again."""
        h = self.booted(1, 0)
        h.bus.create(XE, "vf", uuid=uuid(1))
        folder = f"/sys/bus/pci/devices/{VFS[0]}"
        h.sim.run(["sh", "-ec", f"echo {VFS[0]} >{folder}/driver/unbind; echo >{folder}/driver_override"], check=True)
        self.assert_becomes(({}, {}), lambda: (h.bus.instances(), h.records()))
        h.sim.run(["sh", "-ec", f"echo vfio-pci >{folder}/driver_override; echo {VFS[0]} >/sys/bus/pci/drivers_probe"], check=True)
        self.assert_becomes(VFS[:1], lambda: self.bound_free(h))
        self.assertEqual(h.bus.instances(), {})

    def test_killed_in_create(self):
        """The kernel completed the only write: the instance stands as requested."""
        h = self.booted(1, 1)
        self.kill_in(h, f"write:{VFS[0]}/driver_override", lambda: h.bus.queue_create(XE, "vf", uuid=uuid(1)))
        self.assertEqual([(i["Uuid"], i["Origin"], i["State"]) for i in h.bus.instances().values()],
                         [(uuid(1), "vgpud", "active")])
        h.bus.destroy(uuid(1))
        self.assertEqual((self.state(h, VFS[0]), self.bound_free(h)), (("vfio-pci", "(null)"), VFS[:1]))

    def test_killed_before_a_failing_write(self):
        """vgpud is killed while it sets driver_override. The test lets the write end and then clears driver_override, as if the
        write had failed. So the function is bound and free, despite its record."""
        h = self.booted(1, 1)
        h.sim.fault(f"write:{VFS[0]}/driver_override:hang:1")
        h.bus.queue_create(XE, "vf", uuid=uuid(1))
        h.hanging(1)
        h.kill()
        h.sim.ctl("fault", "clear")
        h.sim.ctl("release")
        h.sim.run(["sh", "-c", f"echo >/sys/bus/pci/devices/{VFS[0]}/driver_override"], check=True)
        h.start()
        bus.wait(lambda: h.bus.gpu(XE).get("State") == "ready", "vgpud has scanned the GPU")
        self.assertEqual((h.bus.instances(), self.bound_free(h)), ({}, VFS[:1]))
        self.assert_becomes({}, h.records)

    def test_killed_in_create_with_quotas(self):
        """The progress is unknown, so vgpud removes the instance, and the function is bound as before."""
        for fault in (f"write:{VFS[0]}/driver_override", "write:vfio-pci/unbind", "write:vf1/exec_quantum_ms", "write:drivers_probe"):
            with self.subTest(fault=fault):
                h = self.booted(1, 1)
                self.kill_in(h, fault, lambda h=h: h.bus.queue_create(
                    XE, "vf-profile", uuid=uuid(1), attributes=[("exec_quantum_ms", "20")]))
                bus.wait(lambda h=h: not h.bus.instances() and not h.bus.jobs(), "the half-made instance has gone")
                self.assertEqual((self.state(h, VFS[0]), self.bound_free(h)), (("vfio-pci", "(null)"), VFS[:1]))
                self.assert_becomes({}, h.records)
                h.close()

    def test_killed_in_destroy(self):
        """The kernel completed the only write: the function is bound and free, and no instance."""
        h = self.booted(1, 1)
        h.bus.create(XE, "vf", uuid=uuid(1))
        self.kill_in(h, f"write:{VFS[0]}/driver_override", lambda: h.bus.manager.call("Destroy", uuid(1)))
        self.assertEqual((h.bus.instances(), self.state(h, VFS[0]), self.bound_free(h)), ({}, ("vfio-pci", "(null)"), VFS[:1]))
        self.assert_becomes({}, h.records)
        self.assertEqual(self.available(h), 1)

    def test_killed_in_destroy_with_quotas(self):
        for fault in ("write:vfio-pci/unbind", "write:vf1/exec_quantum_ms", "write:drivers_probe"):
            with self.subTest(fault=fault):
                h = self.booted(1, 1)
                h.bus.create(XE, "vf-profile", uuid=uuid(1), attributes=[("exec_quantum_ms", "20")])
                self.kill_in(h, fault, lambda h=h: h.bus.manager.call("Destroy", uuid(1)))
                bus.wait(lambda h=h: not h.bus.jobs(), "no job is left")
                for left in h.bus.instances():  # vgpud may have kept the instance: destroy it again
                    h.bus.destroy(left)
                self.assertEqual((self.state(h, VFS[0]), self.bound_free(h)), (("vfio-pci", "(null)"), VFS[:1]))
                self.assert_becomes({}, h.records)
                h.close()


if __name__ == "__main__":
    runner.main()
