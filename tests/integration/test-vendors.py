#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every vendor: types, create, show, list, destroy and types again on each model of the simulated host; the writes to the
kernel, compared with tests/golden/vendor-MODEL.txt; and each errno with its explanation.

VGPUD_UPDATE_GOLDEN=1 writes the golden files anew."""

import dataclasses
import os
import pathlib
import re

import bus
import host
import runner
import simhost
from host import uuid

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
L40S = "0000:41:00.0"
H200 = "0000:19:00.0"
A2 = "0000:08:00.0"
XE = "0000:03:00.0"
IGPU = "0000:00:02.0"
MI300X = "0000:05:00.0"
S7150 = "0000:83:00.0"
T4 = "0000:5e:00.0"
STUB = "0001:41:00.0"
UNKNOWN = 2**64 - 1


@dataclasses.dataclass
class Case:
    model: str
    gpu: str
    back_end: str
    type: str  # the requested type, perhaps by another name
    id: str  # the id of the type
    before: int  # room at first
    after: int  # room after one create
    slot: str = ""  # slot of the new instance; "": the kernel has UUIDs
    enable: tuple = ()  # arguments of enable-vfs; empty: no enabling needed
    words: tuple = ()  # more arguments of create
    attributes: dict = dataclasses.field(default_factory=dict)  # expected attributes
    disables: bool = True  # disable-vfs works at the end
    domain: int = 0  # the Xen domain of the instance, in place of VFIO
    config: dict = dataclasses.field(default_factory=dict)  # vgpud.conf
    mig: tuple = ()  # profiles of the GPU instances of the GPU; empty: MIG mode is off
    memory: int = 0  # MiB of the GPU; 0: the driver does not report it
    share: int = 0  # MiB of the instance; 0: the driver does not report it

    @property
    def name(self):
        return f"{self.model}-mig" if self.mig else self.model


CASES = [
    Case("nvidia-l40s", L40S, "nvidia-vfio", "NVIDIA L40S-4Q", "nvidia-1150", 12, 11, "0000:41:00.4", (L40S,), memory=49152, share=4096),
    Case("nvidia-l40s-mdev", L40S, "mdev", "L40S-4Q", "nvidia-1150", 12, 11, "", (L40S,), memory=49152, share=4096),
    Case("nvidia-h200", H200, "nvidia-vfio", "H200X-141C", "nvidia-1428", 1, 0, "0000:19:00.4", (H200,), memory=144384, share=144384),
    Case("nvidia-h200", H200, "nvidia-vfio", "H200X-1-18C", "nvidia-1414", 2, 1, "0000:19:00.4", (H200,), mig=(19, 9, 19), memory=144384, share=18432),
    Case("nvidia-a2", A2, "mdev", "A2-4Q", "nvidia-746", 4, 3, memory=16384, share=4096),
    Case("nvidia-a2-vfio", A2, "nvidia-vfio", "A2-4Q", "nvidia-746", 4, 3, "0000:08:00.4", share=4096),
    Case("nvidia-t4", T4, "mdev", "T4-4Q", "nvidia-232", 4, 3, disables=False, memory=16384, share=4096),
    Case("sriov", STUB, "sriov", "vf", "vf", 3, 2, "0001:41:12.0", (STUB, "3"), config={"discovery": {"also": "1d0f:0053"}}),
    Case("xe", XE, "sriov", "vf", "vf", 2, 1, "0000:03:00.1", (XE, "2"), share=8192),
    Case("xe-igpu", IGPU, "sriov", "vf-profile", "vf-profile", 3, 2, "0000:00:02.1", (IGPU, "3"),
         ("--attr", "exec_quantum_ms=20"), {"exec_quantum_ms": "20"}),
    Case("gvt-g", IGPU, "mdev", "GVTg_V5_4", "i915-GVTg_V5_4", 5, 4, disables=False, share=640),
    Case("i915-sriov", IGPU, "sriov", "vf", "vf", 2, 1, "0000:00:02.1", (IGPU, "2")),
    Case("gim-mi300x", MI300X, "sriov", "vf", "vf", 4, 3, "0000:05:02.0", disables=False),
    Case("gim-s7150", S7150, "gim-legacy", "mxgpu", "mxgpu", 8, 7, "0000:83:02.0", (), (), {"fb_size": "992M"}, disables=False, share=992),
    Case("xengt", IGPU, "xengt", "Intel GVT-g", "xengt-128-384", 3, 2, "vm1", (),
         ("--attr", "primary=yes", "--attr", "vmid=1"), {"vmid": "1"}, domain=1, share=512),
]


def begin_domain(h, domain):
    if domain:
        h.sim.ctl("domain", domain, "begin")


def end_domain(h, domain):
    if domain:
        h.sim.ctl("domain", domain, "end")


def expand(cls):
    """Expand each method each_X to a test X for every case."""
    for name, function in [(n, f) for n, f in vars(cls).items() if n.startswith("each_")]:
        for case in CASES:
            def test(self, function=function, case=case):
                function(self, self.host(case.model, **({"config": case.config} if case.config else {})), case)

            setattr(cls, f"test_{name.removeprefix('each_')}_{case.name}", test)
    return cls


def available(h, case, type_name=None):
    return {t["id"]: t["available"] for t in h.vgpuctl("types", case.gpu, "--json").json()["types"]}[type_name or case.id]


@expand
class Ways(host.HostTest):
    def run_vgpuctl(self, h, *words):
        result = h.vgpuctl(*words)
        self.assertEqual((result.status, result.err), (0, ""), words)
        return result

    def enable(self, h, case):
        if case.mig:
            self.run_vgpuctl(h, "configure", case.gpu, "mig", "yes")
        if case.enable:
            self.run_vgpuctl(h, "enable-vfs", *case.enable)
        for profile in case.mig:
            h.sim.ctl("nvidia", "create-instance", case.gpu, profile)
        if case.mig:  # the driver sends no event
            self.run_vgpuctl(h, "rescan", case.gpu)

    def each_way(self, h, case):
        if case.enable:
            unprepared = h.bus.gpu(case.gpu).all()
            self.assertEqual((unprepared["State"], unprepared["EnabledVfs"]), ("unprepared", 0))
            self.assertEqual(unprepared["HintId"], "enable-vfs")
            self.assertEqual(h.vgpuctl("create", case.type, "--gpu", case.gpu).status, 7)
            self.enable(h, case)
        gpu = h.bus.gpu(case.gpu).all()
        self.assertEqual((gpu["State"], gpu["Reason"], gpu["BackEnd"]), ("ready", "", case.back_end))
        types = h.vgpuctl("types", case.gpu, "--json").json()["types"]
        self.assertEqual(available(h, case), case.before)

        begin_domain(h, case.domain)
        made = self.run_vgpuctl(h, "create", case.type, "--gpu", case.gpu, "--uuid", uuid(1), "--name", "one", *case.words)
        self.assertEqual(made.out.strip(), uuid(1))
        self.assertEqual(available(h, case), case.after)
        listed = h.vgpuctl("list", "--json").json()["instances"]
        self.assertEqual([(i["uuid"], i["name"], i["type"], i["gpu"], i["origin"]) for i in listed],
                         [(uuid(1), "one", case.id, case.gpu, "vgpud")])
        shown = h.bus.instance(uuid(1)).all()
        self.assertEqual(shown["Slot"], case.slot)
        self.check_hand_over(h, case, shown)
        self.check_memory(h, case, shown)
        for name, value in case.attributes.items():
            self.assertEqual(dict(shown["Attributes"])[name], value)
        full = self.run_vgpuctl(h, "show", "one", "--json").json()["instance"]
        self.assertEqual({key: full[key] for key in listed[0]}, listed[0])
        if case.enable and case.disables:
            busy = h.vgpuctl("disable-vfs", case.gpu)
            self.assertEqual(busy.status, 6, busy.err)

        end_domain(h, case.domain)
        self.run_vgpuctl(h, "destroy", "one")
        self.assertEqual(h.vgpuctl("list", "--json").json()["instances"], [])
        self.assertEqual(h.vgpuctl("types", case.gpu, "--json").json()["types"], types)
        self.assertEqual(h.records(), {})
        if case.disables and case.enable:
            self.run_vgpuctl(h, "disable-vfs", case.gpu)
            gone = h.bus.gpu(case.gpu).all()
            self.assertEqual((gone["State"], gone["EnabledVfs"], h.bus.gpu(case.gpu).vfs()), ("unprepared", 0, []))
        self.check_golden(h, case.name)

    def check_hand_over(self, h, case, shown):
        give = h.bus.instance(shown["Uuid"]).hand_over()
        if case.domain:
            self.assertEqual((shown["IommuGroup"], shown["Parent"]), (-1, case.gpu))
            self.assertEqual(set(give), {"sysfs_path"})
            self.assertNotIn("QEMU", h.vgpuctl("show", "one").out)
            self.assertEqual(h.sim.run(["test", "-d", give["sysfs_path"]]).returncode, 0)
            return
        if case.slot:
            self.assertEqual(shown["Parent"], case.slot)
            domain, number, device = case.slot.split(":")
            device, function = device.split(".")
            self.assertIn(f"<address domain='0x{domain}' bus='0x{number}' slot='0x{device}' function='0x{function}'/>",
                          give["libvirt_xml"])
            self.assertIn("managed='no'", give["libvirt_xml"])
        else:
            self.assertIn(f"<address uuid='{uuid(1)}'/>", give["libvirt_xml"])
        self.assertEqual(give["group_node"], f"/dev/vfio/{shown['IommuGroup']}")
        self.assertEqual(h.sim.run(["test", "-e", give["group_node"]]).returncode, 0)

    def check_memory(self, h, case, shown):
        """An unknown size is the largest number on the bus and null in JSON. The GPU's used memory is that of its one instance."""
        memory, share = case.memory << 20, case.share << 20
        gpu = h.bus.gpu(case.gpu).all()
        self.assertEqual((gpu["MemoryBytes"], gpu["MemoryUsedBytes"], shown["MemoryBytes"]),
                         (memory or UNKNOWN, share or UNKNOWN, share or UNKNOWN))
        (row,) = [g for g in h.vgpuctl("gpus", "--json").json()["gpus"] if g["name"] == case.gpu]
        self.assertEqual((row["memory_bytes"], row["memory_used_bytes"]), (memory or None, share or None))
        self.assertEqual(h.vgpuctl("show", "one", "--json").json()["instance"]["memory_bytes"], share or None)

    def check_golden(self, h, name):
        text = "".join(f"{result} {path} {value}\n" for result, path, value in h.sim.writes())
        path = GOLDEN / f"vendor-{name}.txt"
        if os.environ.get("VGPUD_UPDATE_GOLDEN"):
            path.write_text(text, "utf-8")
        self.assertEqual(text, path.read_text("utf-8"), path)

    def each_restart(self, h, case):
        """An instance keeps its owner when vgpud is killed and started again, and can be destroyed."""
        self.enable(h, case)
        begin_domain(h, case.domain)
        h.bus.create(case.gpu, case.type, uuid=uuid(1), name="one", **self.attributes(case))
        before = h.bus.instance(uuid(1)).all()
        h.kill()
        h.start()
        self.assertEqual(h.bus.instances(), {uuid(1): {**before, "Job": "/"}})
        end_domain(h, case.domain)
        h.bus.destroy("one")
        self.assertEqual((h.bus.instances(), h.records()), ({}, {}))

    @staticmethod
    def attributes(case):
        pairs = [tuple(word.split("=", 1)) for word in case.words if "=" in word]
        return {"attributes": pairs} if pairs else {}

    def each_count(self, h, case):
        """Creates fill all room; the next create fails with a reason."""
        if case.domain:
            self.count_domains(h, case)
            return
        self.enable(h, case)
        made = h.bus.create(case.gpu, case.type, count=case.before, **self.attributes(case))
        self.assertEqual(len(made), case.before)
        self.assertEqual(h.bus.gpu(case.gpu).types()[case.id]["available"], 0)
        self.assertNotEqual(h.bus.gpu(case.gpu).types()[case.id]["why_not"], "")
        self.assert_error("NoCapacity", h.bus.start_create(case.gpu, case.type, **self.attributes(case)))
        for name in made:
            h.bus.destroy(name)
        self.assertEqual(available(h, case), case.before)


    def count_domains(self, h, case):
        """Do the same as each_count, with a domain for each instance."""
        for domain in range(1, case.before + 1):
            begin_domain(h, domain)
            h.bus.create(case.gpu, case.type, uuid=uuid(domain), attributes=[("vmid", str(domain))])
        self.assertEqual(available(h, case), 0)
        self.assert_error("NoCapacity", h.bus.start_create(case.gpu, case.type, attributes=[("vmid", "9")]))
        for domain in range(1, case.before + 1):
            end_domain(h, domain)
            h.bus.destroy(uuid(domain))
        self.assertEqual(available(h, case), case.before)


class Nvidia(host.HostTest):
    def l40s(self):
        h = self.host("nvidia-l40s")
        h.vgpuctl("enable-vfs", L40S)
        return h

    def types(self, h):
        return {t["name"].rpartition("-")[2]: (t["available"], t["why_not"])
                for t in h.bus.gpu(L40S).types().values()}

    def test_homogeneous(self):
        h = self.l40s()
        before = self.types(h)
        self.assertEqual({k: before[k][0] for k in ("1Q", "2Q", "3Q", "4Q", "6Q", "8Q", "12Q", "16Q", "24Q", "48Q")},
                         {"1Q": 32, "2Q": 24, "3Q": 16, "4Q": 12, "6Q": 8, "8Q": 6, "12Q": 4, "16Q": 3, "24Q": 2, "48Q": 1})
        h.bus.create(L40S, "L40S-4Q", uuid=uuid(1))
        now = self.types(h)
        self.assertEqual({k: v[0] for k, v in now.items() if v[0]}, {"4Q": 11, "4A": 11})
        self.assertEqual(set(now), set(before))
        self.assertIn("4096 MB", now["8Q"][1])
        why = h.vgpuctl("types", L40S, "--why").out
        self.assertIn("L40S-8Q", why)
        self.assertIn("4096 MB", " ".join(why.split()))
        self.assert_error("NoCapacity", h.bus.start_create(L40S, "L40S-8Q"), "4096 MB")
        h.bus.destroy(uuid(1))
        self.assertEqual(self.types(h), before)

    def test_room_at_once(self):
        """The answer to create already shows the remaining room, even if a scan of the whole GPU is slow."""
        h = self.host("nvidia-l40s-mdev")
        h.vgpuctl("enable-vfs", L40S)
        idle = self.types(h)
        h.bus.create(L40S, "L40S-4Q", uuid=uuid(1))
        now = self.types(h)
        self.assertEqual({k: v[0] for k, v in now.items() if v[0]}, {"4Q": 11, "4A": 11})
        self.assertIn("4096 MB", now["8Q"][1])
        self.assertEqual(h.vgpuctl("place", "L40S-8Q").status, 5)
        h.bus.destroy(uuid(1))
        self.assertEqual(self.types(h), idle)
        h.vgpuctl("configure", L40S, "heterogeneous", "yes")
        h.bus.create(L40S, "L40S-24Q", uuid=uuid(1))
        now = self.types(h)
        h.bus.gpu(L40S).call("Rescan", wait=True)
        self.assertEqual(self.types(h), now)
        self.assertEqual({now["8Q"][0], now["48Q"][0]}, {3, 0})

    def test_names_are_remembered(self):
        """NVIDIA's lists omit types that cannot be created at present; vgpud remembers the names, also after a restart."""
        h = self.l40s()
        h.bus.create(L40S, "L40S-48Q", uuid=uuid(1))
        self.assertEqual(h.bus.instance(uuid(1)).get("TypeName"), "NVIDIA L40S-48Q")
        h.stop()
        h.start()
        self.assertEqual(h.bus.instance(uuid(1)).get("TypeName"), "NVIDIA L40S-48Q")
        self.assertEqual(len(h.bus.gpu(L40S).types()), 23)

    def test_heterogeneous(self):
        h = self.l40s()
        self.assertEqual(h.bus.gpu(L40S).get("Modes")["heterogeneous"]["value"], "no")
        h.bus.create(L40S, "L40S-4Q", uuid=uuid(1))
        self.assert_error("InUse", h.bus.gpu(L40S).start("Configure", "heterogeneous", "yes", wait=True))
        h.bus.destroy(uuid(1))
        result = h.vgpuctl("configure", L40S, "heterogeneous", "yes")
        self.assertEqual((result.status, result.err), (0, ""))
        self.assertEqual(h.bus.gpu(L40S).get("Modes")["heterogeneous"]["value"], "yes")
        h.bus.create(L40S, "L40S-16Q", uuid=uuid(1))
        h.bus.create(L40S, "L40S-8Q", uuid=uuid(2))
        self.assertEqual(set(h.bus.instances()), {uuid(1), uuid(2)})
        # The mode already has the value.
        result = h.vgpuctl("configure", L40S, "heterogeneous", "yes")
        self.assertEqual((result.status, result.err), (0, ""))
        # NVML refuses the child vgpud-nvml of vgpud, which lacks CAP_SYS_ADMIN, so vgpud starts the unit vgpud-nvml@.
        # The refusal is expected, and not logged.
        self.assertNotIn("NVML", h.log())

    def test_another_program_sets_a_type(self):
        h = self.l40s()
        path = f"/sys/bus/pci/devices/{L40S}/virtfn3/nvidia/current_vgpu_type"
        self.assertEqual(h.sim.run(["sh", "-c", f"echo 1150 > {path}"]).returncode, 0)
        h.bus.gpu(L40S).call("Rescan", wait=True)
        (found,) = h.bus.instances().values()
        self.assertEqual((found["Origin"], found["Slot"], found["Type"]), ("foreign", "0000:41:00.7", "nvidia-1150"))
        h.stop()
        h.start()
        self.assertEqual(list(h.bus.instances()), [found["Uuid"]])
        self.assert_error("Foreign", h.bus.manager.start("Destroy", found["Uuid"], wait=True))
        h.bus.destroy(found["Uuid"], foreign=True)
        self.assertEqual(h.bus.instances(), {})

    def test_busy_gpu(self):
        """sriov-manage needs exclusive use of the GPU."""
        h = self.host("nvidia-l40s")
        h.sim.ctl("nvidia", "hold", L40S)
        result = h.vgpuctl("enable-vfs", L40S)
        self.assertEqual(result.status, 1, result.err)
        self.assertIn("nvidia-persistenced", " ".join(result.err.split()))
        # The log names the GPU of the failed job.
        self.assertEqual([L40S in line for line in h.log().splitlines() if "sriov-manage" in line], [True])
        self.assertEqual(h.bus.gpu(L40S).get("EnabledVfs"), 0)

    def test_mig(self):
        """MIG mode, virtual functions, GPU instances and vGPUs are set up in this order. Enabled functions lock the mode."""
        h = self.host("nvidia-h200")
        gpu = h.bus.gpu(H200)
        self.assertEqual(gpu.get("HintId"), "enable-vfs")
        h.vgpuctl("enable-vfs", H200)
        (mig_type,) = (t for t in gpu.types().values() if t["name"] == "NVIDIA H200X-1-18C")
        self.assertEqual(mig_type["available"], 0)
        self.assertIn("MIG", mig_type["why_not"])
        self.assert_error("InUse", gpu.start("Configure", "mig", "yes", wait=True), hint="disable-vfs")
        h.vgpuctl("disable-vfs", H200)
        result = h.vgpuctl("configure", H200, "mig", "yes")
        self.assertEqual((result.status, result.err), (0, ""))
        h.vgpuctl("enable-vfs", H200)
        self.assertEqual((gpu.get("State"), gpu.get("Modes")["mig"]["value"]), ("ready", "yes"))
        gpu.start("Configure", "mig", "yes", wait=True).result()
        self.assert_error("NotSupported", gpu.start("Configure", "heterogeneous", "yes", wait=True), "heterogeneous", hint="configure-gpu")
        self.assert_error("NoCapacity", h.bus.start_create(H200, "H200X-1-18C"), hint="configure-gpu")
        # The user follows the hint: the next request sees the new GPU instances, and the remaining room is known.
        h.sim.ctl("nvidia", "create-instance", H200, 19)
        h.bus.create(H200, "H200X-1-18C", uuid=uuid(1))

        def slices():
            return {t["name"].removeprefix("NVIDIA H200X-"): t["available"] for t in gpu.types().values() if t["available"]}

        self.assertEqual(slices(), {})
        h.sim.ctl("nvidia", "create-instance", H200, 9)
        self.assert_error("NoCapacity", h.bus.start_create(H200, "H200X-1-18C"), hint="choose-other")
        self.assertEqual(slices(), {"3-71C": 1})
        h.sim.ctl("nvidia", "create-instance", H200, 19)
        gpu.call("Rescan", wait=True)
        self.assertEqual(slices(), {"1-18C": 1, "3-71C": 1})
        h.bus.destroy(uuid(1))
        self.assertEqual(slices(), {"1-18C": 2, "3-71C": 1})

    def test_mig_in_use(self):
        """The mode of a GPU in use does not change, not even at a later reset. If only a reset can change a mode, the
        error says so."""
        h = self.host("nvidia-h200")
        gpu = h.bus.gpu(H200)

        def mig():
            mode = gpu.get("Modes")["mig"]
            return mode["value"], "reset" in mode["help"]

        h.sim.ctl("nvidia", "hold", H200)
        self.assert_error("InUse", gpu.start("Configure", "mig", "yes", wait=True), 'mode "mig"', "nvidia-persistenced")
        self.assertEqual(mig(), ("no", False))
        h.sim.ctl("nvidia", "drop", H200)
        h.sim.ctl("nvidia", "reset", H200)
        gpu.call("Rescan", wait=True)
        self.assertEqual(mig(), ("no", False))
        h.sim.ctl("nvidia", "no-reset", H200, 1)
        self.assert_error("Failed", gpu.start("Configure", "mig", "yes", wait=True), "mig no", hint="reset-gpu")
        self.assertEqual(mig(), ("no", True))
        gpu.start("Configure", "mig", "no", wait=True).result()
        self.assertEqual(mig(), ("no", False))
        h.sim.ctl("nvidia", "no-reset", H200, 0)
        gpu.start("Configure", "mig", "yes", wait=True).result()
        self.assertEqual(mig(), ("yes", False))

    def test_mig_and_nvidia_drm(self):
        """nvidia_drm keeps the GPU open: the error names the module, and the hint says how to unload it."""
        h = self.host("nvidia-h200")
        gpu = h.bus.gpu(H200)
        h.sim.ctl("nvidia", "drm", 1)
        self.assert_error("InUse", gpu.start("Configure", "mig", "yes", wait=True), "nvidia_drm", "rmmod nvidia_drm", hint="stop-user")
        h.sim.ctl("nvidia", "drm", 0)
        gpu.start("Configure", "mig", "yes", wait=True).result()
        self.assertEqual(gpu.get("Modes")["mig"]["value"], "yes")

    def test_plugin_lingers(self):
        """The plugin of a vGPU ends a moment after the virtual machine."""
        h = self.l40s()
        h.bus.create(L40S, "L40S-4Q", uuid=uuid(1))
        h.sim.ctl("nvidia", "linger", "0000:41:00.4", 2)  # two writes fail before the plugin ends
        h.bus.destroy(uuid(1))
        self.assertEqual(h.bus.instances(), {})

    def test_one_function_is_ill(self):
        """One virtual function refuses a type, or stays busy while its plugin still runs: the other functions work."""
        h = self.l40s()
        for n, errno in enumerate(("EIO", "EBUSY", "EINVAL"), 1):
            h.sim.fault(f"write:0000:41:00.4/current_vgpu_type:errno={errno}")
            h.bus.create(L40S, "L40S-4Q", uuid=uuid(n))
            self.assertEqual(h.bus.instance(uuid(n)).get("Slot"), f"0000:41:00.{n + 4}")
            h.sim.ctl("fault", "clear")
        h.kill()
        h.start()
        self.assertEqual({i["Origin"] for i in h.bus.instances().values()}, {"vgpud"})
        h.bus.create(L40S, "L40S-4Q", uuid=uuid(9))
        self.assertEqual(h.bus.instance(uuid(9)).get("Slot"), "0000:41:00.4")

    def enable_behind(self, h):
        """Enable the virtual functions as sriov-manage does. False: a program has the GPU open."""
        try:
            h.sim.ctl("nvidia", "sriov", L40S, "enable")
        except simhost.ControlError as error:
            self.assertEqual(error.name, "EBUSY")
            return False
        return True

    def test_driver_for_graphics(self):
        """The driver for graphics, without the vGPU manager, enables no virtual functions."""
        h = self.host("nvidia-l40s")
        h.sim.ctl("nvidia", "manager", L40S, 0)
        result = h.vgpuctl("enable-vfs", L40S, "--json")
        self.assertEqual((result.status, result.error()["hint_id"]), (7, "load-driver"))
        bus.wait(lambda: self.enable_behind(h), "no helper of vgpud has the GPU open, so sriov-manage gets its lock")
        bus.wait(lambda: "32" in h.bus.gpu(L40S).get("Reason"), "vgpud has seen the functions that sriov-manage enabled")
        gpu = h.bus.gpu(L40S).all()
        self.assertEqual((gpu["BackEnd"], gpu["State"]), ("nvidia-vfio", "unprepared"))
        self.assertEqual(re.findall(r"\d+", gpu["Reason"]), ["32", "32"])
        self.assert_error("NotSupported", h.bus.start_create(L40S, "L40S-4Q"), L40S, gpu["Reason"], hint="load-driver")

    def test_t4(self):
        """The T4 advertises virtual functions that cannot be enabled."""
        h = self.host("nvidia-t4")
        gpu = h.bus.gpu(T4).all()
        self.assertEqual((gpu["BackEnd"], gpu["State"], gpu["TotalVfs"], gpu["Parents"]),
                         ("mdev", "ready", 16, [T4]))
        h.bus.create(T4, "T4-4Q")
        types = {t["name"]: (t["available"], t["why_not"]) for t in h.bus.gpu(T4).types().values()}
        self.assertEqual((types["GRID T4-4Q"][0], re.findall(r"\d+", types["GRID T4-4Q"][1])), (3, ["4", "4096", "1"]))
        self.assertEqual((types["GRID T4-8Q"][0], re.findall(r"\d+", types["GRID T4-8Q"][1])), (0, ["1", "4096", "8192"]))
        message = self.assert_error("NoCapacity", h.bus.start_create(T4, "T4-8Q"), "4096 MB")
        self.assertEqual(message.count("4096 MB"), 1, message)
        self.assert_error("NotSupported", h.bus.gpu(T4).start("SetVfs", 16, wait=True), T4, "16 ")
        self.assertEqual((h.vgpuctl("enable-vfs", T4).status, h.vgpuctl("disable-vfs", T4).status), (7, 0))
        self.assertEqual((h.bus.gpu(T4).get("EnabledVfs"), len(h.bus.instances())), (0, 1))
        self.assertRegex(h.vgpuctl("show", T4).out, r"\b0 of 16\b")


class Xengt(host.HostTest):
    def make(self, h, domain, type_name="xengt-64-448", attributes=(), **more):
        begin_domain(h, domain)
        return h.bus.create(IGPU, type_name, attributes=[("vmid", str(domain)), *attributes], **more)

    def write(self, h, *lines):
        script = "cd /sys/kernel/vgt/control" + "".join(f" && echo {line} > create_vgt_instance" for line in lines)
        self.assertEqual(h.sim.run(["sh", "-c", script]).returncode, 0)
        h.bus.gpu(IGPU).call("Rescan", wait=True)

    def test_domain(self):
        """The option vmid names the domain. While the domain exists, its instance is in use."""
        h = self.host("xengt")
        begin_domain(h, 1)
        self.assert_error("InvalidArgs", h.bus.start_create(IGPU, "xengt-64-448"), "vmid", hint="choose-other")
        self.assertEqual(h.vgpuctl("create", "xengt-64-448").status, 2)
        self.assert_error("Failed", h.bus.start_create(IGPU, "xengt-64-448", attributes=[("vmid", "3")]), "domain 3")
        self.assertEqual([value for result, _, value in h.sim.writes() if result == "ok"], [])
        self.make(h, 3, uuid=uuid(1))
        # The guest has no running driver (0), then a running one (1).
        for running in "0", "1":
            self.assertEqual(h.sim.run(["sh", "-c", f"echo {running} > /sys/kernel/vgt/vm3/start"]).returncode, 0)
            self.assert_error("InUse", h.bus.manager.start("Destroy", uuid(1), wait=True), "domain 3", "console-3-0", hint="stop-user")
        self.assertEqual(h.vgpuctl("destroy", uuid(1)).status, 6)
        end_domain(h, 3)
        h.bus.destroy(uuid(1))
        # /sys/hypervisor/type is not "xen", so vgpud cannot know whether the domain exists.
        self.make(h, 3, uuid=uuid(1))
        end_domain(h, 3)
        h.sim.ctl("set", "/sys/hypervisor/type", "kvm")
        self.assert_error("InUse", h.bus.manager.start("Destroy", uuid(1), wait=True), "-3 ", hint="remove-by-hand")
        h.sim.ctl("set", "/sys/hypervisor/type", "xen")
        h.bus.destroy(uuid(1))

    def test_sizes(self):
        h = self.host("xengt")
        self.make(h, 9, "xengt-custom", [("low_gm", "96M"), ("high_gm", "0"), ("fences", "2"), ("cap", "50")], uuid=uuid(1))
        one = h.bus.instance(uuid(1)).all()
        self.assertEqual((one["Slot"], one["Type"], dict(one["Attributes"])),
                         ("vm9", "xengt-custom",
                          {"low_gm": "96M", "high_gm": "0M", "vmid": "9", "fences": "2", "cap": "50"}))
        self.assertEqual(h.sim.writes()[-1][2], "9,96,0,2,-1,50")
        self.assert_error("Exists", h.bus.start_create(IGPU, "xengt-64-448", attributes=[("vmid", "9")]), "domain 9")
        self.assert_error("InvalidArgs", h.bus.start_create(IGPU, "xengt-64-448", attributes=[("low_gm", "96M")]), "xengt-custom",
                          hint="choose-other")
        self.assert_error("InvalidArgs", h.bus.start_create(IGPU, "xengt-64-448", count=2, attributes=[("vmid", "7")]), "vmid",
                          hint="choose-other")
        self.assertEqual(h.sim.writes()[-1][2], "9,96,0,2,-1,50")
        self.assert_error("NoCapacity", h.bus.start_create(IGPU, "xengt-512-2048", attributes=[("vmid", "7")]),
                          "288 of 512 MB", hint="destroy-instance")

    def test_in_place_of_ours(self):
        """A foreign instance of another size in the slot of an owned one is a new instance."""
        h = self.host("xengt")
        self.make(h, 1, uuid=uuid(1), name="desk")
        self.write(h, "-1", "1,128,384,4")
        (found,) = h.bus.instances().values()
        self.assertEqual((found["Origin"], found["Slot"], found["Type"]), ("foreign", "vm1", "xengt-128-384"))
        self.assertNotEqual(found["Uuid"], uuid(1))
        self.assertEqual(h.vgpuctl("show", "desk").status, 3)

    def test_of_the_same_size(self):
        """The attributes of an owned instance do not apply to a foreign one of the same size in the slot."""
        h = self.host("xengt")
        self.make(h, 1, attributes=[("cap", "20")], uuid=uuid(1))
        self.write(h, "-1", "1,64,448,4")
        (found,) = h.bus.instances().values()
        self.assertEqual((found["Origin"], found["Slot"], dict(found["Attributes"])),
                         ("foreign", "vm1", {"low_gm": "64M", "high_gm": "448M", "vmid": "1"}))

    def test_room_unknown(self):
        """ENODEV from one file does not mean that the driver has gone: the GPU stays ready, and its instance stays."""
        h = self.host("xengt")
        self.make(h, 1, uuid=uuid(1))
        h.sim.fault("read:available_resource:errno=ENODEV")
        h.bus.gpu(IGPU).call("Rescan", wait=True)
        self.assertEqual((h.bus.gpu(IGPU).get("State"), list(h.bus.instances())), ("ready", [uuid(1)]))
        shown = h.vgpuctl("show", IGPU).out
        self.assertIn("available_resource", shown)
        end_domain(h, 1)
        h.bus.destroy(uuid(1))

    def test_made_by_another_program(self):
        """The kernel sends no event. A rescan finds the foreign instance with its size, and vgpud does not change it."""
        h = self.host("xengt")
        begin_domain(h, 4)
        self.write(h, "4,128,384,4")
        (found,) = h.bus.instances().values()
        self.assertEqual((found["Origin"], found["Slot"], found["Type"]), ("foreign", "vm4", "xengt-128-384"))
        self.assert_error("Foreign", h.bus.manager.start("Destroy", found["Uuid"], wait=True))
        self.assert_error("InUse", h.bus.manager.start("Destroy", found["Uuid"], wait=True, foreign=True), "domain 4")
        end_domain(h, 4)
        h.bus.destroy(found["Uuid"], foreign=True)
        self.assertEqual(h.bus.instances(), {})


class Gim(host.HostTest):
    """AMD: partitions of gim 8, and the functions that the first gim allocates."""

    def modes(self, h, gpu=MI300X):
        return {name: mode["value"] for name, mode in h.bus.gpu(gpu).get("Modes").items()}

    def configure(self, h, mode, value, gpu=MI300X):
        return h.bus.gpu(gpu).start("Configure", mode, value, wait=True)

    def writes(self, h):
        return [(path.rpartition("/")[2], value) for _, path, value in h.sim.writes()]

    def test_partitions(self):
        h = self.host("gim-mi300x")
        modes = h.bus.gpu(MI300X).get("Modes")
        self.assertEqual({n: (m["value"], m.get("choices")) for n, m in modes.items()}, {
            "accelerator_partition_profile": ("QPX", ["SPX", "DPX", "QPX", "CPX"]),
            "memory_partition_mode": ("NPS1", ["NPS1", "NPS4"]),
            "spatial_partition_mode": ("QPX", None)})
        for words in (("accelerator_partition_profile", "CPX"), ("memory_partition_mode", "NPS4")):
            result = h.vgpuctl("configure", MI300X, *words)
            self.assertEqual((result.status, result.out, result.err), (0, "", ""))
        # The memory mode changes the profile too.
        self.assertEqual(self.modes(h), {"accelerator_partition_profile": "QPX", "memory_partition_mode": "NPS4",
                                         "spatial_partition_mode": "QPX"})
        self.assertEqual(self.writes(h), [("accelerator_partition_profile", "3"), ("memory_partition_mode", "NPS4")])
        listed = h.vgpuctl("configure", MI300X).out
        for words in ("memory_partition_mode", "NPS4", "NPS1, NPS4"):
            self.assertIn(words, listed)
        # The other GPU is linked to the first.
        bus.wait(lambda: self.modes(h, "0000:26:00.0")["memory_partition_mode"] == "NPS4", "vgpud has scanned the other GPU")

    def test_partitions_that_are_refused(self):
        """vgpud refuses without a write, or gim refuses although the write to its file succeeds."""
        h = self.host("gim-mi300x")
        self.assert_error("InvalidArgs", self.configure(h, "memory_partition_mode", "NPS8"), "NPS1, NPS4", hint="choose-other")
        self.assert_error("NotSupported", self.configure(h, "spatial_partition_mode", "SPX"), "spatial_partition_mode")
        self.assertEqual(h.vgpuctl("configure", MI300X, "reset_gpu", "1").status, 2)
        h.bus.create(MI300X, "vf", uuid=uuid(1))
        before = h.sim.writes()
        self.assert_error("InUse", self.configure(h, "memory_partition_mode", "NPS4"), "0000:05:02.0", "vfio-pci")
        h.sim.ctl("hold-device", "0000:05:02.0")
        self.assert_error("InUse", self.configure(h, "accelerator_partition_profile", "CPX"), "0000:05:02.0", "/dev/vfio/")
        self.assertEqual(h.sim.writes(), before)
        h.sim.ctl("drop-device", "0000:05:02.0")
        h.bus.destroy(uuid(1))
        self.assert_error("Failed", self.configure(h, "accelerator_partition_profile", "SPX"), "QPX",
                          "memory_partition_mode NPS1", "4 ", hint="configure-gpu")
        # A VF is enabled, but not used.
        h.sim.ctl("set", "/sys/bus/pci/devices/0000:05:02.1/enable", "1")
        self.assert_error("InUse", self.configure(h, "accelerator_partition_profile", "CPX"), "QPX",
                          "0000:05:02.1", hint="remove-by-hand")
        h.sim.ctl("set", "/sys/bus/pci/devices/0000:05:02.1/enable", "0")
        # The linked GPU has an instance in use.
        h.bus.create("0000:26:00.0", "vf", uuid=uuid(2))
        h.sim.ctl("hold-device", "0000:26:02.0")
        self.assert_error("InUse", self.configure(h, "accelerator_partition_profile", "CPX"), "0000:26:02.0",
                          "0000:26:00.0", "/dev/vfio/", hint="stop-user")
        h.sim.ctl("drop-device", "0000:26:02.0")
        self.configure(h, "accelerator_partition_profile", "CPX").result()
        self.assertEqual(self.modes(h)["accelerator_partition_profile"], "CPX")

    def test_partitions_that_fail(self):
        h = self.host("gim-mi300x")
        for errno, (name, hint, *words) in {"EINVAL": ("Failed", "", "Invalid argument"), "EACCES": ("Failed", "", "Permission denied"),
                                            "EPERM": ("Failed", "", "Operation not permitted"),
                                            "EIO": ("Failed", "see-kernel-log", "Input/output error"),
                                            "ENODEV": ("GpuGone", "", MI300X)}.items():
            with self.subTest(errno=errno):
                h.sim.fault(f"write:{MI300X}/accelerator_partition_profile:errno={errno}:1")
                self.assert_error(name, self.configure(h, "accelerator_partition_profile", "CPX"), *words, hint=hint)
                self.assertEqual(self.modes(h)["accelerator_partition_profile"], "QPX")
        # The file contains gim's error message instead of a value.
        path = f"/sys/bus/pci/devices/{MI300X}/memory_partition_mode"
        h.sim.ctl("set", path, "failed to get current mp mode")
        h.bus.gpu(MI300X).call("Rescan", wait=True)
        self.assertEqual(set(self.modes(h)), {"accelerator_partition_profile", "spatial_partition_mode"})
        self.assertEqual(h.bus.gpu(MI300X).get("State"), "ready")
        self.assert_error("InvalidArgs", self.configure(h, "memory_partition_mode", "NPS4"), "memory_partition_mode")

    def test_first_gim(self):
        h = self.host("gim-s7150")
        gpu = h.bus.gpu(S7150).all()
        self.assertEqual((gpu["BackEnd"], gpu["State"], gpu["EnabledVfs"], gpu["Modes"]), ("gim-legacy", "ready", 8, {}))
        h.bus.create(S7150, "mxgpu", uuid=uuid(1))
        h.bus.create(S7150, "mxgpu", uuid=uuid(2))
        self.assertEqual([v for n, v in self.writes(h) if n == "getvf"], ["0 0 0", "0 0 0"])
        options = [("fb_offset", "4G"), ("fb_size", "1G"), ("gfx_divider", "8")]
        self.assert_error("NoCapacity", h.bus.start_create(S7150, "mxgpu", attributes=options), hint="destroy-instance")
        self.assert_error("InvalidArgs", h.bus.start_create(S7150, "mxgpu", attributes=options[:2]), "fb_offset", "fb_size", "gfx_divider")
        # A process has the first function open.
        h.sim.ctl("hold-device", "0000:83:02.0")
        self.assert_error("InUse", h.bus.manager.start("Destroy", uuid(1), wait=True), "0000:83:02.0", "/dev/vfio/")
        h.sim.ctl("drop-device", "0000:83:02.0")
        h.bus.destroy(uuid(1))
        h.bus.destroy(uuid(2))
        # The instance gets a size of its own.
        h.bus.create(S7150, "mxgpu", uuid=uuid(1), attributes=options)
        self.assertEqual(dict(h.bus.instance(uuid(1)).get("Attributes")), {"fb_size": "1024M"})
        self.assert_error("NoCapacity", h.bus.start_create(S7150, "mxgpu"), "fb_offset", "gfx_divider", hint="destroy-instance")
        inside = [("fb_offset", "4352M"), ("fb_size", "512M"), ("gfx_divider", "8")]
        self.assert_error("NoCapacity", h.bus.start_create(S7150, "mxgpu", attributes=inside), "512 MB", "1024 MB", S7150,
                          hint="choose-other")
        self.assert_error("NoCapacity", h.bus.start_create(S7150, "mxgpu", attributes=options), "fb_offset", hint="choose-other")
        self.assertEqual(h.vgpuctl("disable-vfs", S7150).status, 7)

    def test_first_gim_bound_no_more(self):
        """The function is not bound any more. The record shows that gim allocated it, so the next daemon can release it."""
        h = self.host("gim-s7150")
        h.bus.create(S7150, "mxgpu", uuid=uuid(1))
        h.kill()
        self.assertEqual(h.sim.run(["sh", "-c", "echo 0000:83:02.0 > /sys/bus/pci/drivers/vfio-pci/unbind"]).returncode, 0)
        h.start()
        self.assertEqual(h.bus.instances()[uuid(1)]["State"], "incomplete")
        h.bus.destroy(uuid(1))
        self.assertEqual([v for n, v in self.writes(h) if n == "relvf"], ["0000:83:02.0"])

    def test_first_gim_beside_others(self):
        """One function is allocated by gim but not bound, and one is bound but not allocated."""
        h = self.host("gim-s7150")
        path = f"/sys/bus/pci/devices/{S7150}"
        self.assertEqual(h.sim.run(["sh", "-c", f"echo 0 0 0 > {path}/getvf; cat {path}/getvf > /dev/null"]).returncode, 0)
        h.bus.create(S7150, "mxgpu", uuid=uuid(1))
        self.assertEqual(h.bus.instance(uuid(1)).get("Slot"), "0000:83:02.1")
        script = "echo vfio-pci > /sys/bus/pci/devices/0000:83:02.2/driver_override; echo 0000:83:02.2 > /sys/bus/pci/drivers_probe"
        self.assertEqual(h.sim.run(["sh", "-c", script]).returncode, 0)
        h.bus.gpu(S7150).call("Rescan", wait=True)
        self.assertEqual({i["Slot"]: i["Origin"] for i in h.bus.instances().values()},
                         {"0000:83:02.1": "vgpud", "0000:83:02.2": "foreign"})
        self.assert_error("NoCapacity", h.bus.start_create(S7150, "mxgpu", uuid=uuid(2)), "0000:83:02.2", hint="stop-other-tool")
        (foreign,) = [i["Uuid"] for i in h.bus.instances().values() if i["Origin"] == "foreign"]
        h.bus.destroy(foreign, foreign=True)
        h.bus.create(S7150, "mxgpu", uuid=uuid(2))
        self.assertEqual(h.bus.instance(uuid(2)).get("Slot"), "0000:83:02.2")


class Choosing(host.HostTest):
    """The D-Bus object and vgpuctl show the back end of a GPU, and the reason why the GPU offers no instances."""

    def assert_gpu(self, h, gpu, back_end, state, *words, hint=None):
        def is_so():
            now = h.bus.gpu(gpu).all()
            text = f"{now['Reason']}\n{now['Hint']}"
            return ((now["BackEnd"], now["State"]) == (back_end, state) and all(w in text for w in words)
                    and hint in (None, now["HintId"]))

        bus.wait(is_so, f"{gpu} is {state} by back end \"{back_end}\", and says {words}")
        reason = h.bus.gpu(gpu).get("Reason")
        self.assertEqual(h.vgpuctl("show", gpu, "--json").json()["gpu"]["reason"], reason or None)
        for command in (("show", gpu), ("gpus",), ()):
            result = h.vgpuctl(*command)
            self.assertEqual((result.status, result.err), (0, ""), command)
            self.assertIn(state, result.out)
            if command[:1] != ("gpus",):  # show and the overview print the whole reason; a table may cut it
                self.assertIn("".join(reason.split()), "".join(result.out.split()), command)
        # No scan wrote to the kernel.
        self.assertEqual([w for w in h.sim.writes() if "sriov" in w[1]], [])
        return reason

    def test_t4_without_its_manager(self):
        """The GPU advertises virtual functions that cannot be enabled: the reason explains that, and no hint advises to
        enable them."""
        h = self.host("nvidia-t4")
        h.sim.ctl("unregister", T4)
        reason = self.assert_gpu(h, T4, "nvidia-vfio", "unprepared", "nvidia-vgpu-mgr")
        self.assertNotEqual(h.bus.gpu(T4).get("HintId"), "enable-vfs")
        self.assertNotIn("enable-vfs", reason)
        self.assert_error("NotSupported", h.bus.start_create(T4, "T4-4Q"), T4)
        self.assert_error("Failed", h.bus.gpu(T4).start("SetVfs", 16, wait=True), T4)
        h.sim.ctl("register", T4)
        self.assert_gpu(h, T4, "mdev", "ready")
        h.bus.create(T4, "T4-4Q")

    def test_ampere_is_no_t4(self):
        h = self.host("nvidia-l40s")
        self.assertNotIn("T4", self.assert_gpu(h, L40S, "nvidia-vfio", "unprepared", L40S, hint="enable-vfs"))

    def test_whole_gpu_given_away(self):
        """A whole GPU is bound to vfio-pci, so a VM may use it: vgpud does not change the number of its virtual functions."""
        h = self.host("xe")
        h.sim.ctl("unbind", XE)
        self.assert_gpu(h, XE, "", "unsupported", "xe", "i915", hint="load-driver")
        script = f"echo vfio-pci > /sys/bus/pci/devices/{XE}/driver_override; echo {XE} > /sys/bus/pci/drivers_probe"
        self.assertEqual(h.sim.run(["sh", "-c", script]).returncode, 0)
        self.assert_gpu(h, XE, "", "unsupported", "vfio-pci")
        self.assert_error("NotSupported", h.bus.gpu(XE).start("SetVfs", 2, wait=True), "vfio-pci")
        self.assert_error("NotSupported", h.bus.start_create(XE, "vf"), "vfio-pci")

    def test_vfio_driver_comes_later(self):
        """The administrator follows the hint "modprobe vfio-pci": no rescan is needed."""
        h = self.host("sriov", config={"discovery": {"also": "1d0f:0053"}})
        h.bus.gpu(STUB).call("SetVfs", 2, wait=True)
        h.sim.ctl("unload", "vfio-pci")
        self.assert_state(h, STUB, "unprepared", "load-driver")
        self.assert_error("NotSupported", h.bus.start_create(STUB, "vf"), hint="load-driver")
        h.sim.ctl("load", "vfio-pci")
        self.assert_state(h, STUB, "ready", "")
        h.bus.create(STUB, "vf")

    def assert_state(self, h, gpu, state, hint):
        bus.wait(lambda: (h.bus.gpu(gpu).get("State"), h.bus.gpu(gpu).get("HintId")) == (state, hint), f"{gpu} is {state}")

    def test_functions_without_a_manager(self):
        h = self.host("nvidia-a2-vfio")
        script = f"""for vf in /sys/bus/pci/devices/{A2}/virtfn*; do
            vf=$(basename $(readlink $vf)); echo pci-stub > /sys/bus/pci/devices/$vf/driver_override
            echo $vf > /sys/bus/pci/drivers/nvidia/unbind; echo $vf > /sys/bus/pci/drivers_probe; done"""
        self.assertEqual(h.sim.run(["sh", "-c", script]).returncode, 0)
        h.bus.gpu(A2).call("Rescan", wait=True)
        self.assert_gpu(h, A2, "nvidia-vfio", "unprepared", "16", "pci-stub")

    def test_gpu_that_nothing_divides(self):
        h = self.host("plain")
        self.assert_gpu(h, "0000:03:00.0", "", "unsupported", "amdgpu", "gim")

    def test_admitted(self):
        """A device of another class counts as a GPU by configuration only."""
        h = self.host("sriov", "xengt")
        self.assertEqual(list(h.bus.gpus()), [IGPU])
        h.close()
        h = self.host("sriov", config={"discovery": {"also": "1d0f:0053"}})
        self.assert_gpu(h, STUB, "sriov", "unprepared", "64", STUB, hint="enable-vfs")


class Functions(host.HostTest):
    """Virtual functions in use by the host."""

    def enabled_by_hand(self, model, gpu, count):
        h = self.host(model)
        h.sim.run(["sh", "-c", f"echo {count} >/sys/bus/pci/devices/{gpu}/sriov_numvfs"], check=True)
        bus.wait(lambda: h.bus.gpu(gpu).types()["vf"]["available"] == count, "vgpud has seen the virtual functions")
        return h

    def shell(self, h, command):
        return h.sim.run(["sh", "-c", command], text=True, capture_output=True, check=True).stdout.strip()

    def test_driver_refuses_it(self):
        """The host's driver does not rebind to the function: the message says so, and the function is free."""
        h = self.enabled_by_hand("xe", XE, 2)
        h.bus.create(XE, "vf", uuid=uuid(1), parent="0000:03:00.1")
        h.sim.fault("probe:0000:03:00.1:errno=EIO")
        self.assert_error("Failed", h.bus.manager.start("Destroy", uuid(1), wait=True), "0000:03:00.1", "Input/output error")
        self.assertEqual([(v["driver"], v["driver_override"]) for v in h.bus.gpu(XE).vfs()][0], ("", ""))
        self.assertEqual((h.bus.instances(), h.records()), ({}, {}))
        self.assertEqual(self.shell(h, "cat /sys/bus/pci/devices/0000:03:00.1/driver_override"), "(null)")
        self.assertEqual(h.bus.gpu(XE).types()["vf"]["available"], 2)
        h.sim.ctl("fault", "clear")
        h.bus.create(XE, "vf", uuid=uuid(1), parent="0000:03:00.1")

    def test_who_has_them(self):
        h = self.enabled_by_hand("xe", XE, 3)

        def vfs():
            return [(v["instance"], v["driver"], v["driver_override"]) for v in h.bus.gpu(XE).vfs()]

        self.assertEqual(vfs(), [("/", "xe", "")] * 3)
        h.bus.create(XE, "vf", uuid=uuid(1), parent="0000:03:00.1")
        (on_it, *bound), *others = vfs()
        self.assertEqual((on_it.rpartition("/")[2].replace("_", "")[:8], bound, others),
                         (uuid(1)[:8], ["xe-vfio-pci", "xe-vfio-pci"], [("/", "xe", "")] * 2))
        # Another program takes a function away.
        self.shell(h, "cd /sys/bus/pci/devices/0000:03:00.2; echo pci-stub >driver_override; "
                      "echo 0000:03:00.2 >driver/unbind; echo 0000:03:00.2 >/sys/bus/pci/drivers_probe")
        bus.wait(lambda: vfs()[1] == ("/", "pci-stub", "pci-stub"), "vgpud has seen the new driver")
        shown = h.vgpuctl("show", XE).out
        self.assertRegex(shown, r"0000:03:00\.1 +xe-vfio-pci +0")
        self.assertRegex(shown, r"0000:03:00\.2 +pci-stub \(reserved\) +- ")
        self.assertRegex(shown, r"0000:03:00\.3 +xe +- ")
        h.bus.destroy(uuid(1))
        self.assertEqual(vfs()[0], ("/", "xe", ""))

    def test_one_is_bad(self):
        """One virtual function cannot be bound. The others can be used."""
        for model, gpu, slot in (("i915-sriov", IGPU, "0000:00:02"), ("xe", XE, "0000:03:00")):
            h = self.host(model)
            h.vgpuctl("enable-vfs", gpu, "4")
            h.sim.fault(f"probe:{slot}.1:errno=ENOMEM")
            made = h.bus.create(gpu, "vf", count=3)
            self.assertEqual({h.bus.instance(name).get("Slot") for name in made}, {f"{slot}.2", f"{slot}.3", f"{slot}.4"})
            self.assert_error("Failed", h.bus.start_create(gpu, "vf"), f"{slot}.1", "Cannot allocate memory")
            self.assertEqual(h.bus.gpu(gpu).types()["vf"]["available"], 1)
            h.close()

    def test_advice_about_memory(self):
        """xe accepts a size only while no functions exist, and rounds it up: the error names the file to write the size to."""
        h = self.host("xe")
        quota = [("vram_quota", "1000000000")]
        h.vgpuctl("enable-vfs", XE, "2")
        said = self.assert_error("Failed", h.bus.start_create(XE, "vf-profile", attributes=quota), hint="disable-vfs")
        path = next(word for word in said.split() if word.endswith("/vram_quota"))
        h.vgpuctl("disable-vfs", XE)
        self.shell(h, f"echo 1000000000 >{path}")
        h.vgpuctl("enable-vfs", XE, "2")
        h.bus.create(XE, "vf-profile", uuid=uuid(1), attributes=quota)
        self.assertEqual(dict(h.bus.instance(uuid(1)).get("Attributes"))["vram_quota"], "1000341504")
        h.bus.destroy(uuid(1))
        self.assertEqual(self.shell(h, f"cat {path}"), "1000341504")

    def test_reserved(self):
        h = self.enabled_by_hand("xe", XE, 2)
        self.shell(h, "cd /sys/bus/pci/devices/0000:03:00.2; "
                      "echo mine >driver_override; echo 0000:03:00.2 >driver/unbind")
        h.bus.gpu(XE).call("Rescan", wait=True)
        self.assertEqual(h.bus.gpu(XE).types()["vf"]["available"], 1)
        for words in (("disable-vfs", XE), ("enable-vfs", XE, "5"), ("create", "vf", "--gpu", XE, "--parent", "0000:03:00.2")):
            result = h.vgpuctl(*words, "--json")
            self.assertEqual(result.status, 6, result.err)
            self.assertEqual(result.error()["hint_id"], "release-vf")
            self.assertIn("mine", result.error()["message"])
        self.assertEqual(h.bus.gpu(XE).get("EnabledVfs"), 2)
        # The command in the error message clears the reservation.
        self.shell(h, "echo >/sys/bus/pci/devices/0000:03:00.2/driver_override")
        self.assertEqual(h.vgpuctl("disable-vfs", XE).status, 0)


@dataclasses.dataclass
class Fault:
    """One failing operation on one model, with every errno that the driver is known to return."""
    model: str
    gpu: str
    type: str
    fault: str  # a fault of the simulated host, such as "write:…", "read:…" or "probe:…"
    errors: dict  # errno: (name of the error, words of its explanation…); "hint=ID" is the id of the hint, "hint=" none
    enable: tuple = ()
    attributes: tuple = ()
    domain: int = 0  # domain of Xen


NVIDIA_MDEV = {
    "EIO": ("Failed", "Input/output error", "hint=see-kernel-log"),
    "EINVAL": ("Failed", "Invalid argument", "hint=see-kernel-log"), "ENOMEM": ("Failed", "Cannot allocate memory"),
    "EAGAIN": ("Failed", "Resource temporarily unavailable", "hint=try-again"), "ENODEV": ("GpuGone", "hint=")}
NVIDIA_VF = {
    "EINVAL": ("Failed", "Invalid argument", "hint=see-kernel-log"),
    "ERANGE": ("Failed", "Numerical result out of range", "hint=see-kernel-log"),
    "EPERM": ("Failed", "Operation not permitted", "hint="), "EIO": ("Failed", "Input/output error", "hint=see-kernel-log"),
    "ENODEV": ("GpuGone", "hint="), "EACCES": ("Failed", "Permission denied", "hint=")}
XE_QUOTA = {
    "EINVAL": ("InvalidArgs", "Invalid argument", "hint="), "ERANGE": ("InvalidArgs", "Numerical result out of range", "hint="),
    "EPERM": ("NotSupported", "Operation not permitted", "hint="), "EACCES": ("NotSupported", "Permission denied", "hint="),
    "EOPNOTSUPP": ("NotSupported", "Operation not supported", "hint="), "EIO": ("Failed", "hint=see-kernel-log"),
    "ENODATA": ("Failed", "No data available", "hint="),
    "EBUSY": ("Failed", "hint=disable-vfs"), "ECANCELED": ("Failed", "hint=reset-gpu"),
    "ENOKEY": ("Failed", "hint=see-kernel-log"), "EPROTO": ("Failed", "hint=see-kernel-log"),
    "ENOSPC": ("NoCapacity", "No space left on device", "hint=choose-other"),
    "EUCLEAN": ("Failed", "Structure needs cleaning", "hint=")}
I915_QUOTA = {
    "EDQUOT": ("NoCapacity", "Disk quota exceeded"), "E2BIG": ("NoCapacity", "Argument list too long"),
    "EOVERFLOW": ("NoCapacity", "Value too large"), "ENOSPC": ("NoCapacity", "hint=choose-other"),
    "EINVAL": ("InvalidArgs", "Invalid argument"), "ENODEV": ("NotSupported", "No such device"),
    "EOPNOTSUPP": ("NotSupported", "Operation not supported"), "ENOKEY": ("Failed", "hint=configure-gpu"),
    "ESTALE": ("Failed", "hint=configure-gpu"),
    "EIO": ("Failed", "Input/output error", "hint=see-kernel-log")}
BIND = {
    "ENODEV": ("NotSupported", "vfio-pci"), "EBUSY": ("Failed", "Device or resource busy"), "EAGAIN": ("Failed", "hint=try-again"),
    "EINVAL": ("Failed", "vfio-pci"), "EPERM": ("Failed", "Operation not permitted", "hint="), "EIO": ("Failed", "Input/output error"),
    "ENOMEM": ("Failed", "Cannot allocate memory")}
GIM = {
    "EIO": ("Failed", S7150, "Input/output error", "hint=see-kernel-log"), "EACCES": ("Failed", "Permission denied", "hint="),
    "EPERM": ("Failed", "Operation not permitted", "hint="), "ENODEV": ("GpuGone", S7150, "hint=")}
XENGT_CREATE = {
    "EINVAL": ("Failed", "64 + 448 MB"), "ENOSPC": ("NoCapacity", "hint=destroy-instance"),
    "ENOMEM": ("NoCapacity", "384 of 512 MB", "hint=destroy-instance"), "ENODEV": ("GpuGone", IGPU, "hint="),
    "EPERM": ("Failed", "Operation not permitted"), "EBUSY": ("Failed", "Device or resource busy"),
    "EFAULT": ("Failed", "hint=choose-other")}

CREATE_FAULTS = [
    Fault("nvidia-l40s", L40S, "L40S-4Q", "write:current_vgpu_type",
          NVIDIA_VF | {"EBUSY": ("Failed", "nvidia-vgpu-mgr", "hint=try-again")}, (L40S,)),
    Fault("nvidia-h200", H200, "H200X-141C", "write:current_vgpu_type", NVIDIA_VF, (H200,)),
    Fault("nvidia-a2-vfio", A2, "A2-4Q", "write:current_vgpu_type", NVIDIA_VF),
    Fault("nvidia-l40s", L40S, "L40S-4Q", "write:0000:41:00.4/vgpu_params",
          {"E2BIG": ("InvalidArgs", "vgpu_params"), "ENXIO": ("Failed", "vgpu_params"), "EPERM": ("Failed", "vgpu_params"),
           "EINVAL": ("InvalidArgs", "vgpu_params")},
          (L40S,), (("vgpu_params", "frame_rate_limiter=0"),)),
    Fault("nvidia-a2", A2, "A2-4Q", "create:*", NVIDIA_MDEV),
    Fault("nvidia-a2", A2, "A2-4Q", "write:vgpu_params",
          {"E2BIG": ("InvalidArgs", "vgpu_params"), "ENXIO": ("Failed", "vgpu_params"), "EPERM": ("Failed", "vgpu_params"),
           "EINVAL": ("InvalidArgs", "vgpu_params")},
          (), (("nvidia/vgpu_params", "frame_rate_limiter=0"),)),
    Fault("nvidia-l40s-mdev", L40S, "L40S-4Q", "create:*", NVIDIA_MDEV, (L40S,)),
    Fault("nvidia-t4", T4, "T4-4Q", "create:*", {k: v[:1] for k, v in NVIDIA_MDEV.items()}),
    Fault("gvt-g", IGPU, "GVTg_V5_4", "create:*",
          {"ENOSPC": ("NoCapacity", "hint=choose-other"), "EINVAL": ("Failed", "Invalid argument"), "ENOMEM": ("Failed", "Cannot allocate memory"),
           "EFAULT": ("Failed", "Bad address")}),
    Fault("samples", "mdpy", "mdpy-xga", "create:*", {"EUSERS": ("NoCapacity", "hint=choose-other"), "EEXIST": ("Exists", uuid(1))}),
    Fault("xe", XE, "vf", "probe:*", BIND, (XE, "2")),
    Fault("xe", XE, "vf", "write:driver_override", {"EINVAL": ("Failed", "driver_override"), "ENOMEM": ("Failed", "driver_override")},
          (XE, "2")),
    Fault("xe", XE, "vf-profile", "write:vf1/exec_quantum_ms", XE_QUOTA, (XE, "2"), (("exec_quantum_ms", "20"),)),
    Fault("xe-igpu", IGPU, "vf-profile", "write:vf1/preempt_timeout_us", XE_QUOTA, (IGPU, "2"), (("preempt_timeout_us", "2000"),)),
    Fault("i915-sriov", IGPU, "vf-profile", "write:vf1/exec_quantum_ms", I915_QUOTA, (IGPU, "2"), (("exec_quantum_ms", "20"),)),
    Fault("i915-sriov", IGPU, "vf", "probe:*", BIND, (IGPU, "2")),
    Fault("xengt", IGPU, "xengt-64-448", "write:create_vgt_instance", XENGT_CREATE, (), (("vmid", "1"),), 1),
    Fault("gim-mi300x", MI300X, "vf", "probe:*", BIND),
    Fault("gim-s7150", S7150, "mxgpu", "write:getvf", GIM),
    # gim allocates a function, but vgpud cannot read which one. The hint says how to release the function.
    Fault("gim-s7150", S7150, "mxgpu", "read:getvf",
          {errno: ("Inconsistent", *(w for w in words if not w.startswith("hint=")), "relvf", "hint=release-vf")
           for errno, (_, *words) in GIM.items()}),
    Fault("gim-s7150", S7150, "mxgpu", "probe:*", BIND),
]

DESTROY_FAULTS = [
    Fault("nvidia-l40s", L40S, "L40S-4Q", "write:0000:41:00.4/current_vgpu_type",
          {errno: ("Failed", "hint=see-kernel-log") for errno in ("EIO", "EINVAL")}, (L40S,)),
    Fault("nvidia-h200", H200, "H200X-141C", "write:0000:19:00.4/current_vgpu_type",
          {"EBUSY": ("InUse", "nvidia-vgpu-mgr", "Device or resource busy", "hint=stop-user")}, (H200,)),
    Fault("nvidia-a2-vfio", A2, "A2-4Q", "write:0000:08:00.4/current_vgpu_type", {"EIO": ("Failed", "hint=see-kernel-log")}),
    Fault("xe", XE, "vf", "write:unbind", {"ENODEV": ("Failed", "0000:03:00.1"), "EIO": ("Failed", "0000:03:00.1", "Input/output error", "hint=see-kernel-log")},
          (XE, "2")),
    Fault("i915-sriov", IGPU, "vf", "write:driver_override",
          {"EINVAL": ("Failed", "driver_override"), "ENOMEM": ("Failed", "driver_override")}, (IGPU, "2")),
    Fault("xengt", IGPU, "xengt-64-448", "write:create_vgt_instance",
          {"EINVAL": ("Failed", "vm1"), "EBUSY": ("Failed", "vm1"), "ENODEV": ("Failed", "vm1")}, (), (("vmid", "1"),), 1),
    Fault("gim-mi300x", MI300X, "vf", "write:unbind", {"EIO": ("Failed", "0000:05:02.0", "Input/output error", "hint=see-kernel-log")}),
    Fault("gim-s7150", S7150, "mxgpu", "write:relvf", GIM),
    Fault("gim-s7150", S7150, "mxgpu", "read:relvf", GIM),
] + [Fault(model, gpu, type_name, "remove:*", {errno: answer}, enable)
     for model, gpu, type_name, enable in (("nvidia-a2", A2, "A2-4Q", ()), ("nvidia-t4", T4, "T4-4Q", ()),
                                           ("nvidia-l40s-mdev", L40S, "L40S-4Q", (L40S,)))
     for errno, answer in (("EPERM", ("InUse", "hint=stop-user")), ("EBUSY", ("InUse", "hint=stop-user")),
                           ("ENODEV", ("GpuGone", "No such device", "hint=")), ("EIO", ("Failed", "Input/output error")))]

ENABLE = {
    "EINVAL": ("Failed", "Invalid argument", "hint=see-kernel-log"), "ENODEV": ("NotSupported", "hint=configure-driver"),
    "ENOMEM": ("NoCapacity", "hint=enable-sriov"), "ENOSPC": ("NoCapacity", "No space left on device", "hint=choose-other"),
    "EIO": ("Failed", "Input/output error", "hint=see-kernel-log"), "EBUSY": ("Failed", "hint=try-again"),
    "ECANCELED": ("Failed", "hint=reset-gpu"), "EUSERS": ("InUse", "Too many users", "hint=stop-user"), "EPERM": ("Failed", "Operation not permitted"),
    "ENOKEY": ("Failed", "hint=configure-gpu"), "EPROTO": ("Failed", "hint=see-kernel-log"), "ENOENT": ("NotSupported",),
    "ERANGE": ("InvalidArgs", "Numerical result out of range"), "ENOSYS": ("NotSupported", "Function not implemented"),
    "EACCES": ("Failed", "Permission denied", "hint=")}


class Errors(host.HostTest):
    """An operation fails with each known errno of its driver. The tests check the error and that nothing is left over."""

    def prepared(self, fault):
        h = self.host(fault.model)
        if fault.enable:
            result = h.vgpuctl("enable-vfs", *fault.enable)
            self.assertEqual((result.status, result.err), (0, ""))
        return h

    def explained(self, name, pending, words):
        hints = [word.removeprefix("hint=") for word in words if word.startswith("hint=")]
        message = self.assert_error(name, pending, *(word for word in words if not word.startswith("hint=")),
                                    hint=hints[0] if hints else None)
        self.assertGreater(len(message), 40)
        clause, _, hint = message.partition("\nHint: ")
        self.assertFalse(clause.endswith(".") or "\n" in clause + hint, message)

    def test_create(self):
        for fault in CREATE_FAULTS:
            h = self.prepared(fault)
            before = h.bus.gpu(fault.gpu).types()
            begin_domain(h, fault.domain)
            more = {"attributes": list(fault.attributes)} if fault.attributes else {}
            for errno, (name, *words) in fault.errors.items():
                with self.subTest(model=fault.model, fault=fault.fault, errno=errno):
                    h.sim.ctl("fault", "clear")  # a failed subtest may have left its fault
                    h.sim.fault(f"{fault.fault}:errno={errno}")
                    self.explained(name, h.bus.start_create(fault.gpu, fault.type, uuid=uuid(1), **more), words)
                    h.sim.ctl("fault", "clear")
                    self.assertEqual((h.bus.instances(), h.records()), ({}, {}))
                    bus.wait(lambda h=h, fault=fault, before=before: h.bus.gpu(fault.gpu).types() == before,
                             "all is as before")
            h.bus.create(fault.gpu, fault.type, uuid=uuid(1), **more)
            end_domain(h, fault.domain)
            h.bus.destroy(uuid(1))
            h.close()

    def test_destroy(self):
        for fault in DESTROY_FAULTS:
            h = self.prepared(fault)
            more = {"attributes": list(fault.attributes)} if fault.attributes else {}
            for errno, (name, *words) in fault.errors.items():
                with self.subTest(model=fault.model, fault=fault.fault, errno=errno):
                    if not h.bus.instances():
                        begin_domain(h, fault.domain)
                        h.bus.create(fault.gpu, fault.type, uuid=uuid(1), name="one", **more)
                        end_domain(h, fault.domain)
                    h.sim.ctl("fault", "clear")  # a failed subtest may have left its fault
                    h.sim.fault(f"{fault.fault}:errno={errno}")
                    self.explained(name, h.bus.manager.start("Destroy", "one", wait=True), words)
                    h.sim.ctl("fault", "clear")
                    # The instance remains, with vgpud as owner.
                    (one,) = h.bus.instances().values()
                    self.assertEqual((one["Uuid"], one["Name"], one["Origin"], set(h.records())),
                                     (uuid(1), "one", "vgpud", {uuid(1)}))
            # A write to the file "remove" removes this file, even if the driver refuses. Then no write can destroy the instance.
            if not fault.fault.startswith("remove:"):
                h.bus.destroy("one")
            h.close()

    def test_enable(self):
        for model, gpu in (("xe", XE), ("xe-igpu", IGPU), ("i915-sriov", IGPU)):
            h = self.host(model)
            for errno, (name, *words) in ENABLE.items():
                with self.subTest(model=model, errno=errno):
                    h.sim.fault(f"write:{gpu}/sriov_numvfs:errno={errno}:1")
                    self.explained(name, h.bus.gpu(gpu).start("SetVfs", 2, wait=True), words)
                    self.assertEqual(h.bus.gpu(gpu).get("EnabledVfs"), 0)
            h.close()

    def test_autoprobe(self):
        """A failed write of sriov_drivers_autoprobe stops the enabling."""
        h = self.host("xe")
        for errno, words in (("EINVAL", "Invalid argument"), ("EACCES", "Permission denied")):
            with self.subTest(errno=errno):
                h.sim.fault(f"write:{XE}/sriov_drivers_autoprobe:errno={errno}:1")
                self.explained("Failed", h.bus.gpu(XE).start("SetVfs", 2, wait=True), ("sriov_drivers_autoprobe", words))
                self.assertEqual(h.bus.gpu(XE).get("EnabledVfs"), 0)

    def test_disable(self):
        h = self.host("xe")
        h.vgpuctl("enable-vfs", XE, "2")
        for errno in ("EPERM", "EIO", "ECANCELED"):
            with self.subTest(errno=errno):
                h.sim.fault(f"write:{XE}/sriov_numvfs:errno={errno}:1")
                self.explained("Failed", h.bus.gpu(XE).start("SetVfs", 0, wait=True), (XE,))
                self.assertEqual(h.bus.gpu(XE).get("EnabledVfs"), 2)

    def test_another_program_disables(self):
        """A reader of sriov_numvfs would wait, and could not be killed (Linux 6.1): vgpud does not read the file."""
        h = self.host("xe")
        h.vgpuctl("enable-vfs", XE, "3")
        h.sim.fault(f"disable:{XE}:hang:1")
        other = h.sim.popen(["sh", "-c", f"echo 0 > /sys/bus/pci/devices/{XE}/sriov_numvfs"])
        h.hanging(1)
        names = h.sim.run(["ls", f"/sys/bus/pci/devices/{XE}"], capture_output=True).stdout.split()
        links = sum(name.startswith("virtfn") for name in names)
        self.assertIn(links, (1, 2))
        self.assertEqual(h.vgpuctl("enable-vfs", XE, str(links)).status, 0)  # the current number: no work to do
        h.bus.gpu(XE).call("Rescan", wait=True)
        self.assertEqual(h.sim.ctl("waiting"), [])  # no reader of sriov_numvfs
        h.sim.ctl("release")
        self.assertEqual(other.wait(bus.DEADLINE), 0)
        bus.wait(lambda: h.bus.gpu(XE).get("EnabledVfs") == 0, "all VFs are gone")
        self.assertEqual(h.vgpuctl("enable-vfs", XE, "2").status, 0)

    def test_unreadable_quota(self):
        """EUCLEAN: the parts of a GPU have different quotas, and the attribute says so. ENODATA: there is no attribute."""
        h = self.host("xe")
        h.vgpuctl("enable-vfs", XE, "2")
        h.sim.fault("read:vf1/exec_quantum_ms:errno=EUCLEAN")
        h.sim.fault("read:vf1/preempt_timeout_us:errno=ENODATA")
        h.bus.create(XE, "vf", uuid=uuid(1))
        attributes = dict(h.bus.instance(uuid(1)).get("Attributes"))
        self.assertFalse(attributes["exec_quantum_ms"].isdigit())
        self.assertNotIn("preempt_timeout_us", attributes)
        h.sim.ctl("fault", "clear")
        h.bus.destroy(uuid(1))

    def test_too_many(self):
        h = self.host("xe")
        total = h.bus.gpu(XE).get("TotalVfs")
        self.assert_error("InvalidArgs", h.bus.gpu(XE).start("SetVfs", total + 1, wait=True), str(total))
        result = h.vgpuctl("enable-vfs", XE, str(total + 1))
        self.assertEqual(result.status, 2)


class Killed(host.HostTest):
    """A daemon is killed in the middle of a job. The tests check what the next daemon does with the unfinished work."""

    def read(self, h, path):
        result = h.sim.run(["cat", f"/sys/bus/pci/devices/{path}"], capture_output=True)
        self.assertEqual(result.returncode, 0, path)
        return result.stdout.strip()

    def test_enable(self):
        h = self.host("xe")
        self.kill_in(h, f"write:{XE}/sriov_numvfs", lambda: h.bus.gpu(XE).call("SetVfs", 2))
        gpu = h.bus.gpu(XE).all()
        self.assertEqual((gpu["State"], gpu["EnabledVfs"]), ("ready", 2))
        self.assertEqual(self.read(h, f"{XE}/sriov_drivers_autoprobe"), "1")
        self.assertEqual([p.name for p in (h.runtime / "autoprobe").iterdir()], [])
        h.bus.create(XE, "vf", uuid=uuid(1))
        h.bus.destroy(uuid(1))

    def test_enable_where_nothing_is_probed(self):
        """The administrator has switched probing off. vgpud keeps the setting."""
        h = self.host("xe")
        h.sim.run(["sh", "-c", f"echo 0 >/sys/bus/pci/devices/{XE}/sriov_drivers_autoprobe"], check=True)
        self.kill_in(h, f"write:{XE}/sriov_numvfs", lambda: h.bus.gpu(XE).call("SetVfs", 2))
        self.assertEqual(self.read(h, f"{XE}/sriov_drivers_autoprobe"), "0")

    def test_create_with_quotas(self):
        """The function is reserved, with quotas, and not bound. The progress is unknown, so vgpud removes the instance
        and restores the quotas."""
        for fault in ("write:0000:00:02.1/driver_override", "write:vf1/exec_quantum_ms", "write:drivers_probe"):
            with self.subTest(fault=fault):
                h = self.host("xe-igpu")
                h.vgpuctl("enable-vfs", IGPU, "2")
                before = h.bus.gpu(IGPU).types()
                self.kill_in(h, fault, lambda h=h: h.bus.queue_create(
                    IGPU, "vf-profile", uuid=uuid(1), attributes=[("exec_quantum_ms", "20")]))
                bus.wait(lambda h=h: not h.bus.instances() and not h.bus.jobs(), "the half-made instance has gone")
                self.assertEqual(self.read(h, f"{IGPU}/sriov_admin/vf1/profile/exec_quantum_ms"), "0")
                self.assertEqual(self.read(h, "0000:00:02.1/driver_override"), "(null)")
                self.assert_becomes((before, {}), lambda h=h: (h.bus.gpu(IGPU).types(), h.records()))
                h.close()

    IOV = f"{IGPU}/drm/card0/prelim_iov"

    def test_automatic_provisioning(self):
        """A quota has switched i915's automatic provisioning off. vgpud switches it on before it enables functions again, even
        if the daemon was killed in between."""
        def create(h):
            return h.bus.queue_create(IGPU, "vf-profile", uuid=uuid(1), attributes=[("exec_quantum_ms", "20")])
        for fault, start in (("write:vf1/exec_quantum_ms", create), ("write:drivers_probe", create),
                             ("write:sriov_numvfs", lambda h: h.bus.gpu(IGPU).call("SetVfs", 0)),
                             ("write:auto_provisioning", lambda h: h.bus.gpu(IGPU).call("SetVfs", 0)),
                             ("write:sriov_numvfs", lambda h: h.bus.gpu(IGPU).call("SetVfs", 4))):
            with self.subTest(fault=fault):
                h = self.host("i915-sriov")
                h.vgpuctl("enable-vfs", IGPU, "2")
                if start is not create:
                    h.bus.create(IGPU, "vf-profile", uuid=uuid(1), attributes=[("exec_quantum_ms", "20")])
                    h.bus.destroy(uuid(1))
                    self.assertEqual(self.read(h, f"{self.IOV}/pf/auto_provisioning"), "0")
                self.kill_in(h, fault, lambda h=h, start=start: start(h))
                bus.wait(lambda h=h: not h.bus.instances() and not h.bus.jobs(), "the half-made instance has gone")
                self.assertEqual(h.vgpuctl("enable-vfs", IGPU, "3").status, 0)
                for n in (1, 2, 3):
                    self.assertEqual(self.read(h, f"{self.IOV}/vf{n}/gt0/contexts_quota"), "21504")
                self.assertEqual(self.read(h, f"{self.IOV}/pf/auto_provisioning"), "1")
                self.assertEqual([p.name for p in (h.runtime / "auto-provisioning").iterdir()], [])
                h.close()

    def test_no_automatic_provisioning(self):
        """The administrator has switched automatic provisioning off: vgpud keeps the setting, and enables no functions without
        resources."""
        h = self.host("i915-sriov")
        h.sim.run(["sh", "-c", f"echo 0 >/sys/bus/pci/devices/{self.IOV}/pf/auto_provisioning"], check=True)
        said = self.assert_error("Failed", h.bus.gpu(IGPU).start("SetVfs", 1, wait=True), IGPU, "auto_provisioning")
        self.assertEqual(h.bus.gpu(IGPU).get("EnabledVfs"), 0)
        for name, number in (("ggtt_quota", 512 * 1024 * 1024), ("contexts_quota", 1024), ("doorbells_quota", 32)):
            self.assertIn(name, said)
            h.sim.run(["sh", "-c", f"echo {number} >/sys/bus/pci/devices/{self.IOV}/vf1/gt0/{name}"], check=True)
        self.assertEqual(h.vgpuctl("enable-vfs", IGPU, "1").status, 0)
        h.bus.create(IGPU, "vf-profile", uuid=uuid(1), attributes=[("exec_quantum_ms", "20")])
        h.kill()
        h.start()
        h.bus.destroy(uuid(1))
        self.assertEqual(h.vgpuctl("disable-vfs", IGPU).status, 0)
        self.assertEqual(self.read(h, f"{self.IOV}/pf/auto_provisioning"), "0")

    def test_create_plain(self):
        h = self.host("xe-igpu")
        h.vgpuctl("enable-vfs", IGPU, "2")
        self.kill_in(h, "write:drivers_probe", lambda: h.bus.queue_create(IGPU, "vf", uuid=uuid(1), name="one"))
        # The kernel completed the bind: the instance stands as requested.
        bus.wait(lambda: not h.bus.jobs(), "no job is left")
        (one,) = h.bus.instances().values()
        self.assertEqual((one["Uuid"], one["Name"], one["Origin"], one["Slot"]), (uuid(1), "one", "vgpud", "0000:00:02.1"))
        h.bus.destroy("one")
        self.assertEqual(self.read(h, "0000:00:02.1/driver_override"), "(null)")

    def test_destroy(self):
        """The next daemon completes a destroy, because the half-destroyed instance is unusable."""
        for type_name, attributes in (("vf", ()), ("vf-profile", [("exec_quantum_ms", "20")])):
            with self.subTest(type=type_name):
                h = self.host("xe-igpu")
                h.vgpuctl("enable-vfs", IGPU, "2")
                before = h.bus.gpu(IGPU).types()
                h.bus.create(IGPU, type_name, uuid=uuid(1), attributes=attributes)
                self.kill_in(h, "write:vfio-pci/unbind", lambda h=h: h.bus.manager.call("Destroy", uuid(1)))
                bus.wait(lambda h=h: not h.bus.instances() and not h.bus.jobs(), "the instance is gone")
                h.await_log(uuid(1))
                self.assertEqual(self.read(h, f"{IGPU}/sriov_admin/vf1/profile/exec_quantum_ms"), "0")
                self.assertEqual(self.read(h, "0000:00:02.1/driver_override"), "(null)")
                self.assert_becomes(({}, before), lambda h=h: (h.records(), h.bus.gpu(IGPU).types()))
                h.close()

    def test_destroy_of_what_others_made_anew(self):
        """The destroy waits behind another job; meanwhile another program enables the functions anew and takes one."""
        h = self.host("xe-igpu")
        h.vgpuctl("enable-vfs", IGPU, "2")
        h.bus.create(IGPU, "vf", uuid=uuid(1), parent="0000:00:02.1")
        h.sim.fault("write:drivers_probe:hang:1")
        h.bus.queue_create(IGPU, "vf", uuid=uuid(2), parent="0000:00:02.2")
        h.hanging(1)
        late = h.bus.manager.start("Destroy", uuid(1), wait=True)
        bus.wait(lambda: len(h.bus.jobs()) == 2, "the job of the destroy waits")
        h.sim.ctl("fault", "clear")
        pci = "/sys/bus/pci"
        h.sim.run(["sh", "-ec", f"echo 0000:00:02.1 >{pci}/drivers/vfio-pci/unbind; "
                   f"echo 0 >{pci}/devices/{IGPU}/sriov_numvfs; echo 2 >{pci}/devices/{IGPU}/sriov_numvfs; "
                   f"echo 0000:00:02.1 >{pci}/devices/0000:00:02.1/driver/unbind; "
                   f"echo vfio-pci >{pci}/devices/0000:00:02.1/driver_override; echo 0000:00:02.1 >{pci}/drivers_probe"], check=True)
        h.sim.ctl("release")
        # The lane refuses, or an earlier event has already reached the model, which refuses.
        self.assertIn(late.error().rpartition(".")[2], ("Foreign", "NoSuchInstance", "GpuGone"))
        self.assertEqual(self.read(h, "0000:00:02.1/driver_override"), "vfio-pci")

    def test_incomplete(self):
        """Another program unbinds the driver: the instance stays, but hypervisors cannot use it."""
        h = self.host("xe-igpu")
        h.vgpuctl("enable-vfs", IGPU, "2")
        h.bus.create(IGPU, "vf", uuid=uuid(1), name="one")
        h.sim.run(["sh", "-c", "echo 0000:00:02.1 >/sys/bus/pci/drivers/vfio-pci/unbind"], check=True)
        bus.wait(lambda: h.bus.instances()[uuid(1)]["State"] == "incomplete", "vgpud has seen the unbind")
        one = h.bus.instances()[uuid(1)]
        self.assertEqual((h.bus.instance(one["Uuid"]).hand_over(), one["Name"], one["Origin"]), ({}, "one", "vgpud"))
        self.assertEqual(h.vgpuctl("show", "one", "--json").json()["instance"]["state"], "incomplete")
        h.bus.destroy("one")
        self.assertEqual(self.read(h, "0000:00:02.1/driver_override"), "(null)")

    def test_unbound_meanwhile(self):
        """An unbind is no removal: the instance is incomplete, and vgpud keeps it."""
        h = self.host("xe-igpu")
        h.vgpuctl("enable-vfs", IGPU, "2")
        h.bus.create(IGPU, "vf-profile", uuid=uuid(1), name="one", attributes=[("exec_quantum_ms", "20")])
        h.kill()
        h.sim.run(["sh", "-c", "echo 0000:00:02.1 >/sys/bus/pci/drivers/vfio-pci/unbind"], check=True)
        h.start()
        (one,) = h.bus.instances().values()
        self.assertEqual((one["Uuid"], one["Name"], one["Origin"], one["State"]), (uuid(1), "one", "vgpud", "incomplete"))
        h.sim.run(["sh", "-c", "echo 0000:00:02.1 >/sys/bus/pci/drivers_probe"], check=True)
        bus.wait(lambda: h.bus.instances()[uuid(1)]["State"] == "active", "the instance is active again")

    def test_without_its_gpu(self):
        """Instances stay in the kernel while their GPU has no driver, and while the configuration does not admit the GPU."""
        also = {"discovery": {"also": "1d0f:0053"}}
        h = self.host("sriov", config=also)
        h.vgpuctl("enable-vfs", STUB, "3")
        h.bus.create(STUB, "vf", uuid=uuid(1), name="one")
        driver = h.sim.run(["readlink", f"/sys/bus/pci/devices/{STUB}/driver"], text=True, capture_output=True).stdout.strip()
        driver = "/sys/bus/pci/drivers/" + driver.rpartition("/")[2]
        h.sim.run(["sh", "-c", f"echo {STUB} >{driver}/unbind"], check=True)
        bus.wait(lambda: not h.bus.instances(), "the instance has left the model")
        self.assert_error("NotSupported", h.bus.manager.start("GetInstance", "one"), STUB)
        self.assertEqual(h.vgpuctl("destroy", "one").status, 7)
        h.sim.run(["sh", "-c", f"echo {STUB} >{driver}/bind"], check=True)
        bus.wait(h.bus.instances, "the instance is back")
        self.assertEqual([(i["Uuid"], i["Name"], i["Origin"]) for i in h.bus.instances().values()], [(uuid(1), "one", "vgpud")])
        h.kill()
        h.configure({"discovery": {"also": "1d0f:00f0"}})
        h.start()
        self.assertEqual((h.bus.gpus(), list(h.records())), ({}, [uuid(1)]))
        h.kill()
        h.configure(also)
        h.start()
        bus.wait(h.bus.instances, "the instance is back")
        self.assertEqual([(i["Uuid"], i["Name"], i["Origin"]) for i in h.bus.instances().values()], [(uuid(1), "one", "vgpud")])
        h.bus.destroy("one")

    def test_settled_anew(self):
        """Functions were enabled anew, and another program has reserved one: vgpud keeps the reservation."""
        h = self.host("xe-igpu")
        pci = "/sys/bus/pci"
        h.sim.run(["sh", "-c", f"echo 2 >{pci}/devices/{IGPU}/sriov_numvfs"], check=True)
        bus.wait(lambda: h.bus.gpu(IGPU).types()["vf"]["available"] == 2, "vgpud has seen the virtual functions")
        h.bus.create(IGPU, "vf", uuid=uuid(1), parent="0000:00:02.1")
        h.kill()
        h.sim.run(["sh", "-ec", f"echo 0 >{pci}/devices/{IGPU}/sriov_numvfs; echo 2 >{pci}/devices/{IGPU}/sriov_numvfs; "
                   f"echo xe >{pci}/devices/0000:00:02.1/driver_override"], check=True)
        h.start()
        self.assertEqual((h.bus.instances(), h.records()), ({}, {}))
        self.assertEqual(self.read(h, "0000:00:02.1/driver_override"), "xe")

    def test_made_anew(self):
        """While vgpud is down, another program recreates the functions and takes the one that had vgpud's instance."""
        h = self.host("xe-igpu")
        h.vgpuctl("enable-vfs", IGPU, "2")
        h.bus.create(IGPU, "vf", uuid=uuid(1), name="one")
        h.kill()
        h.start()
        self.assertEqual([(i["Uuid"], i["Origin"]) for i in h.bus.instances().values()], [(uuid(1), "vgpud")])
        h.kill()
        pci = "/sys/bus/pci"
        h.sim.run(["sh", "-ec", f"echo 0 >{pci}/devices/{IGPU}/sriov_numvfs; echo 2 >{pci}/devices/{IGPU}/sriov_numvfs; "
                   f"echo 0000:00:02.1 >{pci}/devices/0000:00:02.1/driver/unbind; "
                   f"echo vfio-pci >{pci}/devices/0000:00:02.1/driver_override; echo 0000:00:02.1 >{pci}/drivers_probe"], check=True)
        h.start()
        self.assertEqual(h.bus.instances(), {})
        self.assertEqual([v["name"] for v in h.bus.gpu(IGPU).vfs() if v["state"] == "bound-free"], ["0000:00:02.1"])
        self.assertEqual(h.vgpuctl("destroy", "one").status, 3)

    def test_destroy_for_the_driver_of_the_host(self):
        """vgpud is killed before its last write, which clears driver_override: the next daemon makes this write."""
        h = self.host("xe-igpu")
        h.sim.run(["sh", "-c", f"echo 2 >/sys/bus/pci/devices/{IGPU}/sriov_numvfs"], check=True)  # a foreign change
        bus.wait(lambda: h.bus.gpu(IGPU).types()["vf"]["available"] == 2, "vgpud has seen the virtual functions")
        before = h.bus.gpu(IGPU).types()
        h.bus.create(IGPU, "vf", uuid=uuid(1), parent="0000:00:02.1")
        self.kill_in(h, "write:drivers_probe", lambda: h.bus.manager.call("Destroy", uuid(1)))
        self.assertEqual(self.read(h, "0000:00:02.1/driver_override"), "(null)")
        self.assertEqual(h.sim.run(["readlink", "-f", "/sys/bus/pci/devices/0000:00:02.1/driver"], text=True,
                                   capture_output=True).stdout, "/sys/bus/pci/drivers/xe\n")
        self.assertEqual((h.bus.instances(), h.records(), h.bus.gpu(IGPU).types()), ({}, {}, before))

    def test_nvidia(self):
        h = self.host("nvidia-l40s")
        h.vgpuctl("enable-vfs", L40S)
        self.kill_in(h, "write:0000:41:00.4/current_vgpu_type",
                     lambda: h.bus.queue_create(L40S, "L40S-4Q", uuid=uuid(1), name="one"))
        (one,) = h.bus.instances().values()
        self.assertEqual((one["Uuid"], one["Name"], one["Origin"], one["Type"]), (uuid(1), "one", "vgpud", "nvidia-1150"))
        self.kill_in(h, "write:0000:41:00.4/current_vgpu_type", lambda: h.bus.manager.call("Destroy", uuid(1)))
        self.assertEqual((h.bus.instances(), h.records()), ({}, {}))

    def test_gim(self):
        h = self.host("gim-mi300x")
        self.kill_in(h, f"write:{MI300X}/memory_partition_mode",
                     lambda: h.bus.gpu(MI300X).call("Configure", "memory_partition_mode", "NPS4"))
        self.assertEqual(h.bus.gpu(MI300X).get("Modes")["memory_partition_mode"]["value"], "NPS4")

    def test_first_gim(self):
        """gim does not record who allocated a function. If vgpud has no record of the answer either, another program may have
        allocated the function, so vgpud does not release it."""
        h = self.host("gim-s7150")
        before = h.bus.gpu(S7150).types()
        self.kill_in(h, "write:getvf", lambda: h.bus.queue_create(S7150, "mxgpu", uuid=uuid(1), name="one"))
        bus.wait(lambda: not h.bus.instances() and not h.bus.jobs(), "the half-made instance has gone")
        self.assertEqual(self.read(h, "0000:83:02.0/driver_override"), "(null)")
        self.assert_becomes((before, {}), lambda: (h.bus.gpu(S7150).types(), h.records()))
        self.assertEqual([(path.rpartition("/")[2], value) for _, path, value in h.sim.writes()],
                         [("driver_override", "vfio-pci"), ("getvf", "0 0 0"), ("driver_override", "\\n")])
        h.await_log("0000:83:02.0")
        # The user follows the hint of the job and releases the function. Otherwise only seven would remain.
        path = f"/sys/bus/pci/devices/{S7150}/relvf"
        said = h.sim.run(["sh", "-c", f"echo 0000:83:02.0 > {path}; cat {path}"], text=True, capture_output=True).stdout
        self.assertEqual(said.strip(), "OK")
        made = h.bus.create(S7150, "mxgpu", count=8)
        for name in made[1:]:
            h.bus.destroy(name)
        self.kill_in(h, "write:relvf", lambda: h.bus.manager.call("Destroy", made[0]))
        bus.wait(lambda: not h.bus.instances() and not h.bus.jobs(), "the half-removed instance has gone")
        self.assertEqual(self.read(h, "0000:83:02.0/driver_override"), "(null)")
        self.assert_becomes((before, {}), lambda: (h.bus.gpu(S7150).types(), h.records()))

    def test_xengt(self):
        """The kernel stores neither owner nor type. The record has both."""
        h = self.host("xengt")
        before = h.bus.gpu(IGPU).types()
        fault = "write:create_vgt_instance"

        def create(domain, **more):
            h.bus.queue_create(IGPU, "xengt-custom", uuid=uuid(domain), attributes=[("vmid", str(domain))], **more)

        # The progress of a create with options is unknown: vgpud would remove the instance, but the domain uses it.
        begin_domain(h, 1)
        self.kill_in(h, fault, lambda: create(1, name="one"))
        bus.wait(lambda: not h.bus.jobs(), "the removal has been tried")
        (one,) = h.bus.instances().values()
        self.assertEqual((one["Uuid"], one["Name"], one["Origin"], one["Type"], one["Slot"]),
                         (uuid(1), "one", "vgpud", "xengt-custom", "vm1"))
        h.await_log("vm1")
        end_domain(h, 1)
        self.kill_in(h, fault, lambda: h.bus.manager.call("Destroy", uuid(1)))
        self.assertEqual((h.bus.instances(), h.records(), h.bus.gpu(IGPU).types()), ({}, {}, before))
        # The domain ends before the next daemon starts.
        begin_domain(h, 5)
        h.sim.fault(f"{fault}:hang:1")
        create(5)
        h.hanging(1)
        h.kill()
        h.sim.ctl("fault", "clear")
        h.sim.ctl("release")
        bus.wait(lambda: h.sim.run(["test", "-e", "/sys/kernel/vgt/vm5"]).returncode == 0, "the kernel has made the vGPU")
        end_domain(h, 5)
        h.start()
        bus.wait(lambda: not h.bus.instances() and not h.bus.jobs(), "the possibly half-made instance has gone")
        self.assert_becomes(({}, before), lambda: (h.records(), h.bus.gpu(IGPU).types()))
        self.assertEqual(h.sim.run(["test", "-e", "/sys/kernel/vgt/vm5"]).returncode, 1)


if __name__ == "__main__":
    runner.main()
