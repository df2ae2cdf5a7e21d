#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""vgpud creates or destroys an instance, and another tool changes the device of the instance between a write of vgpud and
the effect of the write. The request may fail, with an explanation. The daemon and other jobs go on."""

import dataclasses
import subprocess

import bus
import host
import runner
from host import uuid

DRIVERS = "/sys/bus/pci/drivers"


@dataclasses.dataclass
class Case:
    model: str
    gpu: str
    type: str
    vf: str  # the function of the instance; "" for XenGT
    count: int = 0  # virtual functions to enable
    options: dict = dataclasses.field(default_factory=dict)
    writes: tuple = ()  # files, as simhost's `fault write:FILE` names them: the other tool acts while vgpud writes to one
    tools: tuple = ()  # shell commands of the other tool


def bindings(vf):
    """Commands with which driverctl, virt-manager or an administrator may change the driver of a function."""
    take = "echo {d} >/sys/bus/pci/devices/{v}/driver_override; echo {v} >/sys/bus/pci/devices/{v}/driver/unbind; " \
           "echo {v} >/sys/bus/pci/drivers_probe"
    return (take.format(d="pci-stub", v=vf), take.format(d="vfio-pci", v=vf),
            f"echo {vf} >/sys/bus/pci/devices/{vf}/driver/unbind; echo >/sys/bus/pci/devices/{vf}/driver_override")


def plain_writes(vf):
    return (f"{vf}/driver_override", "pci/drivers_probe", "vfio-pci/bind", "vfio-pci/unbind")


def of_vf(model, gpu, type_name, vf, count=0, writes=(), tools=()):
    return Case(model, gpu, type_name, vf, count, {}, (*plain_writes(vf), *writes), (*bindings(vf), *tools))


A2_VF = "0000:08:00.4"
NVIDIA = f"/sys/bus/pci/devices/{A2_VF}/nvidia/current_vgpu_type"
XENGT = "/sys/kernel/vgt/control/create_vgt_instance"

CASES = {
    "sriov": of_vf("xe", "0000:03:00.0", "vf", "0000:03:00.1", 2),
    "gim": of_vf("gim-mi300x", "0000:05:00.0", "vf", "0000:05:02.0"),
    "gim_legacy": of_vf("gim-s7150", "0000:83:00.0", "mxgpu", "0000:83:02.0",
                        writes=("0000:83:00.0/getvf", "0000:83:00.0/relvf"),
                        tools=("echo 0000:83:02.0 >/sys/bus/pci/devices/0000:83:00.0/relvf",)),
    "nvidia_vfio": Case("nvidia-a2-vfio", "0000:08:00.0", "nvidia-746", A2_VF, 0, {}, ("nvidia/current_vgpu_type",),
                        (f"echo 745 >{NVIDIA}", f"echo 0 >{NVIDIA}", f"echo {A2_VF} >/sys/bus/pci/devices/{A2_VF}/driver/unbind")),
    "xengt": Case("xengt", "0000:00:02.0", "xengt-64-448", "", 0, {"vmid": "1"}, ("control/create_vgt_instance",),
                  (f"echo 1,64,448,4 >{XENGT}", f"echo -1 >{XENGT}", f"echo 1,128,384,4 >{XENGT}")),
}


class Races(host.HostTest):
    def tool(self, h, command):
        """Run the other tool, and ignore refusals."""
        h.sim.run(["sh", "-c", command], capture_output=True)

    def clean(self, h, case):
        """Undo the changes of the other tool."""
        for identity in h.bus.instances():
            h.bus.instance(identity).start("Destroy", foreign=True, wait=True).error()
        if case.vf:
            self.tool(h, f"echo {case.vf} >/sys/bus/pci/devices/{case.vf}/driver/unbind")
            self.tool(h, f"echo >/sys/bus/pci/devices/{case.vf}/driver_override")
        if case.model == "nvidia-a2-vfio":
            self.tool(h, f"echo {case.vf} >{DRIVERS}/nvidia/bind; echo 0 >{NVIDIA}")
        if case.model == "xengt":
            self.tool(h, f"echo -1 >{XENGT}")
        self.rescan(h, case)

    def rescan(self, h, case):
        h.bus.gpu(case.gpu).start("Rescan", wait=True).error()

    def race(self, h, case, number, write, command, start):
        """Stop a request of vgpud before this write, let the other tool act, and let the write go on."""
        h.sim.fault(f"write:{write}:hang:1")
        call = start(number)
        bus.wait(lambda: call.done or h.sim.ctl("hanging") != ["0"], "the write, or the end of the request")
        raced = not call.done
        other = h.sim.popen(["sh", "-c", command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) if raced else None
        # FUSE allows one write of a file at a time: the tool may have to wait for the end of vgpud's write.
        if other and write.rpartition("/")[2] not in command:
            bus.wait(lambda: other.poll() is not None or h.sim.ctl("waiting"), "the other tool has acted, or waits")
        h.sim.ctl("release")
        h.sim.ctl("fault", "clear")
        call.error()
        if other:
            bus.wait(lambda: other.poll() is not None, "the end of the other tool")
        self.assertIsNone(h.vgpud.poll(), f"vgpud ended: {write}, {command}")
        bus.wait(lambda: h.bus.gpu(case.gpu).get("State") in ("ready", "unprepared"), "the GPU answers")
        return raced

    def run_case(self, case):
        h = self.host(case.model)
        pid = h.vgpud.pid
        if case.model == "xengt":
            h.sim.ctl("domain", "1", "begin")
        if case.count:
            h.bus.gpu(case.gpu).call("SetVfs", case.count, wait=True)
        number, races = 0, 0
        for command in case.tools:
            for write in case.writes:
                number += 1
                more = {"parent": case.vf} if case.vf else {}
                if case.options:
                    more["attributes"] = list(case.options.items())
                races += self.race(h, case, number, write, command,
                                   lambda n: h.bus.start_create(case.gpu, case.type, uuid=uuid(n), **more))
                self.clean(h, case)
                number += 1
                if h.bus.start_create(case.gpu, case.type, uuid=uuid(number), **more).error():
                    continue
                if case.model == "xengt":
                    h.sim.ctl("domain", "1", "end")
                races += self.race(h, case, number, write, command,
                                   lambda n: h.bus.instance(uuid(n)).start("Destroy", wait=True))
                if case.model == "xengt":
                    h.sim.ctl("domain", "1", "begin")
                self.clean(h, case)
        self.assertGreaterEqual(races, len(case.tools) * 2)
        self.assertEqual(h.vgpud.pid, pid)
        h.bus.create(case.gpu, case.type, uuid=uuid(999), **({"attributes": list(case.options.items())} if case.options else {}))


for name, case_ in CASES.items():
    setattr(Races, f"test_{name}", lambda self, case=case_: self.run_case(case))

if __name__ == "__main__":
    runner.main()
