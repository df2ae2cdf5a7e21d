#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A vgpud for tests of vgpuctl: the objects and calls of dbus/*.xml over a host that is made up.

Nothing here decides what is right: tests say through org.vgpud1.Mock (object /mock) which error the next call meets,
whether jobs stay unfinished, and what changes by itself. conformance() in test_vgpuctl.py holds the objects against
the XML, so that this file cannot drift away from it."""

import json
import os
import sys
import time
import uuid

import dbus
import dbus.exceptions
import dbus.lowlevel
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib

ROOT = "/org/vgpud1"
MANAGER = "org.vgpud1.Manager"
GPU = "org.vgpud1.Gpu"
INSTANCE = "org.vgpud1.Instance"
JOB = "org.vgpud1.Job"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"
PROPERTIES = "org.freedesktop.DBus.Properties"
MOCK = "org.vgpud1.Mock"
NOBODY = 4294967295
HOUR = 3600 * 1000000
MIB = 1 << 20


def encode(name):
    """As sd_bus_path_encode(3) does."""
    out = ""
    for i, byte in enumerate(name.encode()):
        c = chr(byte)
        plain = c.isascii() and (c.isalpha() or (c.isdigit() and i > 0))
        out += c if plain else f"_{byte:02x}"
    return out


def gpu_path(name):
    return f"{ROOT}/gpu/{encode(name)}"


def instance_path(identity):
    return f"{ROOT}/instance/{identity.replace('-', '_')}"


def now():
    return int(time.time() * 1000000)


def make_type(name, description, api, aliases, available, **more):
    t = {"Name": name, "Description": description, "DeviceApi": api,
         "Aliases": dbus.Array(aliases, signature="s"), "Available": dbus.UInt32(available)}
    for key, value in more.items():
        if isinstance(value, list):
            t[key] = dbus.Array(value, signature="(ss)")
        elif isinstance(value, (str, bool)):
            t[key] = value
        else:
            t[key] = dbus.UInt64(value) if key.endswith("Bytes") else dbus.UInt32(value)
    return dbus.Dictionary(t, signature="sv", variant_level=0)


def make_mode(value, choices=None, text=None):
    m = {"Value": value}
    if choices:
        m["Choices"] = dbus.Array(choices, signature="s")
    if text:
        m["Help"] = text
    return dbus.Dictionary(m, signature="sv")


def make_vfs(names, taken=None, bound=None):
    """Virtual functions; `taken`: name -> path of the instance; `bound`: name -> driver and driver_override."""
    return dbus.Array([(dbus.UInt32(i), name, dbus.ObjectPath((taken or {}).get(name, "/")), *(bound or {}).get(name, ("", "")))
                       for i, name in enumerate(names)], signature="(usoss)")


def make_gpu(name, types, **more):
    p = {"Name": name, "SysfsPath": f"/sys/devices/virtual/{name}", "Subsystem": "", "VendorId": dbus.UInt16(0),
         "DeviceId": dbus.UInt16(0), "SubsystemVendorId": dbus.UInt16(0), "SubsystemDeviceId": dbus.UInt16(0),
         "Class": dbus.UInt32(0), "VendorName": "", "DeviceName": "", "Driver": "", "BackEnd": "mdev", "State": "ready",
         "Reason": "", "Stale": False, "NumaNode": dbus.Int32(-1), "IommuGroup": dbus.Int32(-1), "LinkSpeed": "",
         "LinkSpeedMax": "", "LinkWidth": dbus.UInt32(0), "LinkWidthMax": dbus.UInt32(0), "BootDisplay": False,
         "TotalVfs": dbus.UInt32(0), "EnabledVfs": dbus.UInt32(0), "Vfs": make_vfs([]), "Parents": dbus.Array([name], signature="s"),
         "Types": dbus.Dictionary(types, signature="sa{sv}"), "Modes": dbus.Dictionary({}, signature="sa{sv}"), "Job": dbus.ObjectPath("/"), "QueuedJobs": dbus.UInt32(0),
         "ScannedUsec": dbus.UInt64(now())}
    p.update(more)
    return p


def make_instance(identity, gpu, type_id, type_name, **more):
    device = f"/sys/bus/mdev/devices/{identity}"
    p = {"Uuid": identity, "Name": "", "Gpu": dbus.ObjectPath(gpu_path(gpu)), "Parent": gpu, "Slot": "", "Type": type_id,
         "TypeName": type_name, "DeviceApi": "vfio-pci", "Driver": "vfio_mdev", "Origin": "vgpud", "State": "active",
         "Owner": dbus.UInt32(0), "CreatedUsec": dbus.UInt64(now()), "SysfsPath": f"/sys/devices/virtual/{gpu}/{identity}",
         "IommuGroup": dbus.Int32(12), "Attributes": dbus.Dictionary({}, signature="ss"),
         "HandOver": dbus.Dictionary({
             "sysfs_path": device, "iommu_group": dbus.Int32(12), "group_node": "/dev/vfio/12",
             "libvirt_xml": "<hostdev mode='subsystem' type='mdev' managed='no' model='vfio-pci'>\n  <source>\n"
                            f"    <address uuid='{identity}'/>\n  </source>\n</hostdev>\n",
             "qemu_args": dbus.Array(["-device", f"vfio-pci,sysfsdev={device},display=on"], signature="s"),
         }, signature="sv"),
         "Job": dbus.ObjectPath("/")}
    p.update(more)
    return p


def make_job(number, kind, gpu, instances, type_id, requester, about=None):
    return {"Id": dbus.UInt32(number), "Kind": kind, "State": "running", "Gpu": gpu,
            "Instances": dbus.Array([dbus.ObjectPath(i) for i in instances], signature="o"), "Type": type_id,
            "Vfs": dbus.UInt32((about or {}).get("Vfs", 0)), "Mode": (about or {}).get("Mode", ""),
            "Value": (about or {}).get("Value", ""), "Requester": dbus.UInt32(requester), "CreatedUsec": dbus.UInt64(now()), "StartedUsec": dbus.UInt64(now()),
            "TimeoutUsec": dbus.UInt64(120 * 1000000)}


GVT = "0000:00:02.0"
NVIDIA = "0000:41:00.0"
OLD = "10000:03:00.0"
SAMPLE = "mdpy"
FIRST = "4f0c2ab6-8d0e-4c53-9d61-0f4f4a1d2c01"
SECOND = "4f0cd9e1-1111-4222-8333-444455556666"
FOREIGN = "c2c1d7f0-93ab-4d2f-8f6e-7a5b4c3d2e1f"


def world():
    gvt_text = "low_gm_size: 128MB\nhigh_gm_size: 512MB\nfence: 4\nresolution: 1920x1200\nweight: 4\n"
    objects = {}
    objects[gpu_path(GVT)] = {GPU: make_gpu(
        GVT, {"i915-GVTg_V5_4": make_type("GVTg_V5_4", gvt_text, "vfio-pci", ["GVTg_V5_4"], 1, LowGmBytes=128 * MIB,
                                          HighGmBytes=512 * MIB, FramebufferBytes=640 * MIB, Fences=4, MaxX=1920, MaxY=1200,
                                          Weight=4),
              "i915-GVTg_V5_8": make_type("GVTg_V5_8", gvt_text, "vfio-pci", ["GVTg_V5_8"], 0, LowGmBytes=64 * MIB,
                                          HighGmBytes=384 * MIB, FramebufferBytes=448 * MIB, Fences=4, MaxX=1024, MaxY=768,
                                          Weight=2, Key="8086/-/-/448/GVTg_V5_8")},
        SysfsPath="/sys/devices/pci0000:00/0000:00:02.0", Subsystem="pci", VendorId=dbus.UInt16(0x8086),
        DeviceId=dbus.UInt16(0x1912), SubsystemVendorId=dbus.UInt16(0x1028), SubsystemDeviceId=dbus.UInt16(0x06b9),
        Class=dbus.UInt32(0x030000), VendorName="Intel Corporation", DeviceName="HD Graphics 530", Driver="i915",
        IommuGroup=dbus.Int32(1), BootDisplay=True)}
    objects[gpu_path(NVIDIA)] = {GPU: make_gpu(
        NVIDIA, {"nvidia-746": make_type("NVIDIA A2-4Q", "num_heads=4, frl_config=60, framebuffer=4096M, "
                                         "max_resolution=7680x4320, max_instance=4", "vfio-pci", ["NVIDIA A2-4Q", "A2-4Q"], 3,
                                         FramebufferBytes=4096 * MIB, Heads=4, FrameRateLimit=60, MaxX=7680, MaxY=4320,
                                         MaxInstances=4, Key="10de/A2/Q/4096/A2-4Q", Product="A2", Class="Q",
                                         WhyNot="one vGPU of 4096 MB is there, and 12288 MB of framebuffer are left")},
        SysfsPath="/sys/devices/pci0000:40/0000:41:00.0", Subsystem="pci", VendorId=dbus.UInt16(0x10de),
        DeviceId=dbus.UInt16(0x25b6), Class=dbus.UInt32(0x030200), VendorName="NVIDIA Corporation",
        DeviceName="GA107GL [A2 / A16]", Driver="nvidia", NumaNode=dbus.Int32(1), IommuGroup=dbus.Int32(44),
        LinkSpeed="8.0 GT/s PCIe", LinkSpeedMax="16.0 GT/s PCIe", LinkWidth=dbus.UInt32(8), LinkWidthMax=dbus.UInt32(8),
        TotalVfs=dbus.UInt32(16), EnabledVfs=dbus.UInt32(2),
        Vfs=make_vfs(["0000:41:00.4", "0000:41:00.5"], {"0000:41:00.4": instance_path(SECOND)}),
        Modes=dbus.Dictionary({"heterogeneous": make_mode("no", ["no", "yes"], "types of several sizes beside each other"),
                               "mig": make_mode("no")}, signature="sa{sv}"),
        Parents=dbus.Array(["0000:41:00.4", "0000:41:00.5"], signature="s"))}
    objects[gpu_path(OLD)] = {GPU: make_gpu(
        OLD, {}, SysfsPath="/sys/devices/pci10000:00/10000:03:00.0", Subsystem="pci", VendorId=dbus.UInt16(0x1002),
        DeviceId=dbus.UInt16(0x6779), Class=dbus.UInt32(0x030000), BackEnd="", State="unsupported",
        Reason="no driver is bound to it", Parents=dbus.Array([], signature="s"))}
    objects[gpu_path(SAMPLE)] = {GPU: make_gpu(
        SAMPLE, {"mdpy-vga": make_type("640x480", "virtual display, 640x480 framebuffer", "vfio-pci", ["640x480"], 4),
                 "mdpy-xga": make_type("1024x768", "virtual display, 1024x768 framebuffer", "vfio-pci", ["1024x768"], 4)},
        SysfsPath="/sys/devices/virtual/mdpy/mdpy", Subsystem="mdpy", Driver="")}
    objects[instance_path(FIRST)] = {INSTANCE: make_instance(
        FIRST, GVT, "i915-GVTg_V5_4", "GVTg_V5_4", Name="desk", CreatedUsec=dbus.UInt64(now() - 3 * HOUR - 30 * 1000000))}
    objects[instance_path(SECOND)] = {INSTANCE: make_instance(
        SECOND, NVIDIA, "nvidia-746", "NVIDIA A2-4Q", Parent="0000:41:00.4", Owner=dbus.UInt32(65534),
        CreatedUsec=dbus.UInt64(now() - 72 * HOUR))}
    objects[instance_path(SECOND)][INSTANCE]["HandOver"]["cdev_node"] = "/dev/vfio/devices/vfio3"
    objects[instance_path(FOREIGN)] = {INSTANCE: make_instance(
        FOREIGN, GVT, "i915-GVTg_V5_4", "GVTg_V5_4", Origin="foreign", Owner=dbus.UInt32(NOBODY),
        CreatedUsec=dbus.UInt64(0))}
    return objects


XE = "0000:03:00.0"
XE_VF = "0000:03:00.1"
HANDED_OUT = "10000000-3333-4444-8555-666677778888"


def xe_world(prepared):
    """A GPU whose instances are virtual functions, and one of these; not part of world(): tests add it."""
    reason = f"no virtual functions are enabled; enable some: vgpuctl enable-vfs {XE} [COUNT], 12 at most"
    more = {} if prepared else {"WhyNot": reason}
    types = {"vf": make_type("vf", "a virtual function as the driver makes it", "vfio-pci", [], 2 if prepared else 0,
                             MaxInstances=12, **more),
             "vf-profile": make_type("vf-profile", "a virtual function with quotas of your own", "vfio-pci", ["profile"],
                                     2 if prepared else 0, MaxInstances=12, Key="8086/-/-/-/vf-profile", **more, Options=[("vram_quota", "bytes (K, M, G allowed), rounded up by the GPU"),
                                              ("exec_quantum_ms", "milliseconds (0 to 100000); 0: no limit")])}
    objects = {gpu_path(XE): {GPU: make_gpu(
        XE, types, SysfsPath="/sys/devices/pci0000:00/0000:03:00.0", Subsystem="pci",
        VendorId=dbus.UInt16(0x8086), DeviceId=dbus.UInt16(0xe211), Class=dbus.UInt32(0x030000), VendorName="Intel Corporation",
        DeviceName="Battlemage G21", Driver="xe", BackEnd="sriov", TotalVfs=dbus.UInt32(12), EnabledVfs=dbus.UInt32(0),
        Parents=dbus.Array([], signature="s"))}}
    gpu = objects[gpu_path(XE)][GPU]
    if not prepared:
        gpu.update(State="unprepared", Reason=reason)
        return objects
    names = [XE_VF, "0000:03:00.2", "0000:03:00.3", "0000:03:00.4", "0000:03:00.5"]
    bound = {XE_VF: ("xe-vfio-pci", "xe-vfio-pci"), names[2]: ("", "pci-stub"), names[3]: ("xe", ""), names[4]: ("xe", "xe")}
    gpu.update(EnabledVfs=dbus.UInt32(5), Vfs=make_vfs(names, {XE_VF: instance_path(HANDED_OUT)}, bound),
               Parents=dbus.Array(names, signature="s"))
    device = f"/sys/devices/pci0000:00/{XE_VF}"
    objects[instance_path(HANDED_OUT)] = {INSTANCE: make_instance(
        HANDED_OUT, XE, "vf-profile", "vf-profile", Parent=XE_VF, Slot=XE_VF, Driver="xe-vfio-pci", SysfsPath=device,
        Attributes=dbus.Dictionary({"exec_quantum_ms": "20", "vram_quota": "1073741824"}, signature="ss"),
        CreatedUsec=dbus.UInt64(now() - 3 * HOUR - 30 * 1000000), IommuGroup=dbus.Int32(17), HandOver=dbus.Dictionary({
            "sysfs_path": device, "iommu_group": dbus.Int32(17), "group_node": "/dev/vfio/17",
            "libvirt_xml": "<hostdev mode='subsystem' type='pci' managed='no'>\n  <source>\n    <address domain='0x0000' "
                           "bus='0x03' slot='0x00' function='0x1'/>\n  </source>\n</hostdev>\n",
            "qemu_args": dbus.Array(["-device", f"vfio-pci,host={XE_VF}"], signature="s")}, signature="sv"))}
    return objects


class Mock(dbus.service.FallbackObject):
    """All of /org/vgpud1."""

    def __init__(self, bus):
        super().__init__(bus, ROOT)
        self.bus = bus
        self.reset()

    def reset(self):
        self.objects = world()
        self.fail = []  # (name, message) of the next calls, in order
        self.hold = False  # jobs do not end by themselves
        self.config_errors = None  # None: as a daemon that does not know the property
        self.next_job = 17
        self.requester = 0  # who asks, whoever runs the tests
        self.waiting = {}  # job number -> what to do when it ends
        self.calls = []  # what was asked, for LastCalls

    def signal(self, path, interface, member, signature, *args):
        message = dbus.lowlevel.SignalMessage(path, interface, member)
        message.append(*args, signature=signature)
        self.bus.send_message(message)

    def add(self, path, interfaces):
        self.objects[path] = interfaces
        self.signal(ROOT, OBJECT_MANAGER, "InterfacesAdded", "oa{sa{sv}}", path, interfaces)

    def remove(self, path):
        if path in self.objects:
            interfaces = list(self.objects.pop(path))
            self.signal(ROOT, OBJECT_MANAGER, "InterfacesRemoved", "oas", path, interfaces)

    def change(self, path, interface, **values):
        self.objects[path][interface].update(values)
        self.signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", interface,
                    dbus.Dictionary(values, signature="sv"), dbus.Array([], signature="s"))

    @dbus.service.method(PROPERTIES, in_signature="ss", out_signature="v", message_keyword="message", path_keyword="path")
    def Get(self, interface, name, message=None, path=None):
        found = self.objects.get(message.get_path(), {}).get(interface, {})
        if name in found:
            return found[name]
        if (interface, name) != (MANAGER, "ConfigErrors") or self.config_errors is None:
            raise dbus.DBusException("no such property", name="org.freedesktop.DBus.Error.UnknownProperty")
        return dbus.Array(self.config_errors, signature="s")

    def enter(self, member, message, *args):
        """Note the call; raise the error that a test ordered."""
        self.calls.append({"member": member, "path": message.get_path(), "args": list(args)})
        if self.fail:
            name, text = self.fail.pop(0)
            raise dbus.exceptions.DBusException(text, name=name)

    def start_job(self, kind, gpu, instances, type_id, effect, options, reply, error, answer, about=None):
        number, self.next_job = self.next_job, self.next_job + 1
        path = f"{ROOT}/job/{number}"
        job = make_job(number, kind, gpu, instances, type_id, self.requester, about)
        others = [o[JOB] for o in self.objects.values() if JOB in o and o[JOB]["Gpu"] == gpu]
        if others:
            job["State"], job["StartedUsec"] = "waiting", dbus.UInt64(0)
        self.add(path, {JOB: job})
        if gpu_path(gpu) in self.objects and not others:
            self.change(gpu_path(gpu), GPU, Job=dbus.ObjectPath(path))
        wait = bool(options.get("wait", False))
        if not wait:
            reply(*answer(path))
        self.waiting[number] = (path, kind, gpu, instances, effect, wait, reply, error, answer)
        if not self.hold:
            GLib.idle_add(self.end_job, number, "done", "", "")

    def end_job(self, number, result, error_name, text):
        path, _kind, gpu, instances, effect, wait, reply, error, answer = self.waiting.pop(number)
        if result == "done":
            effect()
        if gpu_path(gpu) in self.objects and self.objects[gpu_path(gpu)][GPU]["Job"] == path:
            self.change(gpu_path(gpu), GPU, Job=dbus.ObjectPath("/"))
        self.remove(path)
        self.signal(ROOT, MANAGER, "JobRemoved", "uosssao", number, path, result, error_name, text,
                    dbus.Array([dbus.ObjectPath(i) for i in instances], signature="o"))
        if wait and result == "done":
            reply(*answer(path))
        elif wait:
            error(dbus.exceptions.DBusException(text, name=error_name or "org.vgpud1.Error.Canceled"))
        return False

    # ---- what vgpud offers ----

    @dbus.service.method(OBJECT_MANAGER, out_signature="a{oa{sa{sv}}}", message_keyword="message", path_keyword="path")
    def GetManagedObjects(self, message=None, path=None):
        self.enter("GetManagedObjects", message)
        return dbus.Dictionary(self.objects, signature="oa{sa{sv}}")

    @dbus.service.method(MANAGER, in_signature="a{sv}", out_signature="a(osssssssut)", message_keyword="message",
                         path_keyword="path")
    def ListInstances(self, options, message=None, path=None):
        self.enter("ListInstances", message, options)
        found = [(p, o[INSTANCE]) for p, o in self.objects.items() if INSTANCE in o]
        names = {gpu_path(o[GPU]["Name"]): o[GPU]["Name"] for o in self.objects.values() if GPU in o}
        return dbus.Array([(dbus.ObjectPath(p), i["Uuid"], i["Name"], i["Type"], i["State"], i["Origin"], i["Parent"],
                            names[i["Gpu"]], i["Owner"], i["CreatedUsec"]) for p, i in found], signature="(osssssssut)")

    @dbus.service.method(MANAGER, in_signature="a{sv}", out_signature="a(ssssuutuuuu)", message_keyword="message",
                         path_keyword="path")
    def ListTypes(self, options, message=None, path=None):
        self.enter("ListTypes", message, options)
        keys = ("Available", "MaxInstances", "FramebufferBytes", "Heads", "FrameRateLimit", "MaxX", "MaxY")
        return dbus.Array([(g["Name"], i, t["Name"], t["DeviceApi"], *(t.get(k, 0) for k in keys))
                           for g in (o[GPU] for o in self.objects.values() if GPU in o) for i, t in g["Types"].items()],
                          signature="(ssssuutuuuu)")

    @dbus.service.method(MANAGER, in_signature="sa{sv}", out_signature="osa(oa{sv})", message_keyword="message",
                         path_keyword="path")
    def Place(self, type_id, options, message=None, path=None):
        self.enter("Place", message, type_id, options)
        count, candidates = int(options.get("count", 1)), []
        for g in (o[GPU] for o in self.objects.values() if GPU in o):
            n = int(g["Types"].get(type_id, {}).get("Available", 0))
            c = {"name": g["Name"], "fits": n >= count, "room": dbus.UInt32(n), "available": dbus.UInt32(n + 1),
                 "promised": dbus.UInt32(1), "spare": dbus.UInt32(0), "instances": dbus.UInt32(2), "numa_node": g["NumaNode"],
                 "a_newer_key": dbus.Array(["x"], signature="s")}
            if type_id in g["Types"]:
                c["type"] = type_id
            if "near" in options:
                c["distance"] = dbus.UInt32(4)
            if n < count:
                offered = type_id in g["Types"]
                c["reason"] = "it has no room for another one" if offered else "it does not offer that type"
                if options.get("pool") != "mute":  # an older daemon tells no error
                    c["error"] = "org.vgpud1.Error." + ("NotSupported" if "pool" in options else
                                                        "NoCapacity" if offered else "NoSuchType")
            candidates.append((-n, (dbus.ObjectPath(gpu_path(g["Name"])), dbus.Dictionary(c, signature="sv"))))
        candidates = [c for _, c in sorted(candidates, key=lambda c: c[0])]
        if options.get("pool") == "wait":
            candidates[0][1]["would_wait"] = True
        best = candidates[0][0] if candidates[0][1]["fits"] or "would_wait" in candidates[0][1] else "/"
        return dbus.ObjectPath(best), options.get("strategy", "breadth"), dbus.Array(candidates, signature="(oa{sv})")

    @dbus.service.method(MANAGER, in_signature="ssa{sv}", out_signature="oao", message_keyword="message",
                         path_keyword="path", async_callbacks=("reply", "error"))
    def Create(self, gpu, type_id, options, message=None, path=None, reply=None, error=None):
        self.enter("Create", message, gpu, type_id, options)
        name = gpu or SAMPLE
        kinds = self.objects[gpu_path(name)][GPU]["Types"]
        count = int(options.get("count", 1))
        identities = [str(options["uuid"])] if "uuid" in options else [str(uuid.uuid4()) for _ in range(count)]
        paths = [instance_path(i) for i in identities]

        def effect():
            for i in identities:
                self.add(instance_path(i), {INSTANCE: make_instance(
                    i, name, type_id, kinds[type_id]["Name"], Name=options.get("name", ""),
                    Parent=options.get("parent", name))})
            types = dict(kinds)
            types[type_id]["Available"] = dbus.UInt32(types[type_id]["Available"] - count)
            self.change(gpu_path(name), GPU, Types=dbus.Dictionary(types, signature="sa{sv}"))

        self.start_job("create", name, paths, type_id, effect, options, reply, error, lambda job: (
            dbus.ObjectPath(job), dbus.Array([dbus.ObjectPath(p) for p in paths], signature="o")))

    @dbus.service.method(MANAGER, in_signature="sa{sv}", out_signature="o", message_keyword="message", path_keyword="path",
                         async_callbacks=("reply", "error"))
    def Destroy(self, instance, options, message=None, path=None, reply=None, error=None):
        self.enter("Destroy", message, instance, options)
        found = [p for p, o in self.objects.items() if INSTANCE in o and
                 (o[INSTANCE]["Uuid"].startswith(instance) or o[INSTANCE]["Name"] == instance)]
        if not found:
            raise dbus.exceptions.DBusException(f"there is no instance \"{instance}\"",
                                                name="org.vgpud1.Error.NoSuchInstance")
        target = self.objects[found[0]][INSTANCE]
        if target["Origin"] == "foreign" and not options.get("foreign", False):
            raise dbus.exceptions.DBusException("vgpud did not make it", name="org.vgpud1.Error.Foreign")
        self.start_job("destroy", target["Parent"] if gpu_path(target["Parent"]) in self.objects else NVIDIA, [found[0]], "",
                       lambda: self.remove(found[0]), options, reply, error, lambda job: (dbus.ObjectPath(job),))

    @dbus.service.method(GPU, in_signature="a{sv}", out_signature="o", message_keyword="message", path_keyword="path",
                         async_callbacks=("reply", "error"))
    def Rescan(self, options, message=None, path=None, reply=None, error=None):
        self.enter("Rescan", message, options)
        name = self.objects[message.get_path()][GPU]["Name"]
        self.start_job("rescan", name, [], "", lambda: None, options, reply, error, lambda job: (dbus.ObjectPath(job),))

    @dbus.service.method(GPU, in_signature="ua{sv}", out_signature="o", message_keyword="message", path_keyword="path",
                         async_callbacks=("reply", "error"))
    def SetVfs(self, count, options, message=None, path=None, reply=None, error=None):
        self.enter("SetVfs", message, count, options)
        where = message.get_path()
        name = self.objects[where][GPU]["Name"]
        self.start_job("set-vfs", name, [], "", lambda: self.change(
            where, GPU, EnabledVfs=dbus.UInt32(count), Vfs=make_vfs([f"{name[:-1]}{i + 1}" for i in range(count)])),
                       options, reply, error, lambda job: (dbus.ObjectPath(job),), {"Vfs": count})

    @dbus.service.method(GPU, in_signature="ssa{sv}", out_signature="o", message_keyword="message", path_keyword="path",
                         async_callbacks=("reply", "error"))
    def Configure(self, mode, value, options, message=None, path=None, reply=None, error=None):
        self.enter("Configure", message, mode, value, options)
        where = message.get_path()
        gpu = self.objects[where][GPU]

        def effect():
            gpu["Modes"][mode]["Value"] = value
            self.change(where, GPU, Modes=gpu["Modes"])

        self.start_job("configure", gpu["Name"], [], "", effect, options, reply, error, lambda job: (dbus.ObjectPath(job),),
                       {"Mode": mode, "Value": value})

    @dbus.service.method(JOB, in_signature="a{sv}", message_keyword="message", path_keyword="path")
    def Cancel(self, options, message=None, path=None):
        self.enter("Cancel", message, options)
        if message.get_path() not in self.objects:
            raise dbus.exceptions.DBusException("no such object", name="org.freedesktop.DBus.Error.UnknownObject")
        self.end_job(int(message.get_path().rsplit("/", 1)[1]), "canceled", "org.vgpud1.Error.Canceled",
                     "the job was cancelled")


class Control(dbus.service.Object):
    """How tests steer it."""

    def __init__(self, bus, mock):
        super().__init__(bus, "/mock")
        self.mock = mock

    @dbus.service.method(MOCK)
    def Reset(self):
        self.mock.reset()

    @dbus.service.method(MOCK, in_signature="as")
    def ConfigErrors(self, texts):
        self.mock.config_errors = texts

    @dbus.service.method(MOCK, in_signature="ss")
    def Fail(self, name, message):
        self.mock.fail.append((str(name), str(message)))

    @dbus.service.method(MOCK, in_signature="b")
    def Hold(self, hold):
        self.mock.hold = bool(hold)

    @dbus.service.method(MOCK, in_signature="u")
    def Requester(self, uid):
        self.mock.requester = int(uid)

    @dbus.service.method(MOCK, in_signature="usss")
    def End(self, number, result, error_name, message):
        self.mock.end_job(int(number), result, error_name, message)

    @dbus.service.method(MOCK, in_signature="ssa{sv}")
    def Change(self, path, interface, values):
        self.mock.change(path, interface, **{str(k): v for k, v in values.items()})

    @dbus.service.method(MOCK, in_signature="oa{sa{sv}}")
    def Add(self, path, interfaces):
        self.mock.add(path, interfaces)

    @dbus.service.method(MOCK, in_signature="o")
    def Remove(self, path):
        self.mock.remove(path)

    @dbus.service.method(MOCK, in_signature="u")
    def ManyInstances(self, n):
        for i in range(int(n)):
            identity = str(uuid.UUID(int=0xabcd << 112 | 1 << 78 | i))
            self.mock.objects[instance_path(identity)] = {INSTANCE: make_instance(identity, GVT, "i915-GVTg_V5_4",
                                                                                  "GVTg_V5_4")}

    @dbus.service.method(MOCK, out_signature="s")
    def Calls(self):
        calls, self.mock.calls = self.mock.calls, []
        return json.dumps(calls)

    @dbus.service.method(MOCK)
    def Quit(self):
        GLib.idle_add(sys.exit, 0)


def main():
    dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
    bus = dbus.bus.BusConnection(os.environ["DBUS_SYSTEM_BUS_ADDRESS"])
    mock = Mock(bus)
    control = Control(bus, mock)
    name = dbus.service.BusName("org.vgpud1", bus)
    loop = GLib.MainLoop()
    print("ready", flush=True)
    loop.run()
    del control, name


if __name__ == "__main__":
    main()
