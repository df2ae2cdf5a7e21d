# SPDX-License-Identifier: LGPL-2.1-or-later
"""The invented host of the mock of vgpud, with values in their D-Bus types."""

import time

import dbus

ROOT = "/org/vgpud1"
MANAGER = "org.vgpud1.Manager"
GPU = "org.vgpud1.Gpu"
INSTANCE = "org.vgpud1.Instance"
JOB = "org.vgpud1.Job"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"
PROPERTIES = "org.freedesktop.DBus.Properties"
MOCK = "org.vgpud1.Mock"
UNKNOWN = 18446744073709551615
HOUR = 3600 * 1000000
MIB = 1 << 20
GIB = 1 << 30

GPU_PROPERTIES = {
    "Name": "s", "SysfsPath": "s", "Subsystem": "s", "VendorId": "q", "DeviceId": "q", "SubsystemVendorId": "q",
    "SubsystemDeviceId": "q", "Class": "u", "VendorName": "s", "DeviceName": "s", "Driver": "s", "BackEnd": "s",
    "State": "s", "Reason": "s", "Hint": "s", "HintId": "s", "Stale": "b", "NumaNode": "i", "IommuGroup": "i",
    "LinkSpeed": "s", "LinkSpeedMax": "s", "LinkWidth": "u", "LinkWidthMax": "u", "BootDisplay": "b", "TotalVfs": "u",
    "EnabledVfs": "u", "MemoryBytes": "t", "MemoryUsedBytes": "t", "InstanceCount": "u", "TypeCount": "u",
    "Parents": "as", "Modes": "a{sa{sv}}", "KeptVfs": "i", "KeptModes": "a{ss}", "KeptReason": "s", "Job": "o", "QueuedJobs": "u", "ScannedUsec": "t",
}  # fmt: skip
INSTANCE_PROPERTIES = {
    "Uuid": "s", "Name": "s", "Gpu": "o", "Parent": "s", "Slot": "s", "Type": "s", "TypeName": "s", "DeviceApi": "s",
    "Driver": "s", "Origin": "s", "State": "s", "Owner": "s", "CreatedUsec": "t", "SysfsPath": "s", "IommuGroup": "i",
    "MemoryBytes": "t", "Attributes": "a(ss)", "Job": "o", "Definition": "s",
}  # fmt: skip
JOB_PROPERTIES = {
    "Id": "u", "Kind": "s", "State": "s", "Gpu": "o", "Instances": "ao", "Requester": "u", "CreatedUsec": "t",
    "StartedUsec": "t", "Details": "a{sv}",
}  # fmt: skip
OF_INTERFACE = {GPU: GPU_PROPERTIES, INSTANCE: INSTANCE_PROPERTIES, JOB: JOB_PROPERTIES}
TYPE_COLUMNS = {
    "id": "s", "name": "s", "description": "s", "device_api": "s", "aliases": "as", "key": "s", "product": "s",
    "class": "s", "earlier_name": "s", "mig": "b", "options": "a(ss)", "framebuffer_bytes": "t", "low_gm_bytes": "t",
    "high_gm_bytes": "t", "fences": "u", "weight": "u", "heads": "u", "frame_rate_limit": "u", "max_x": "u",
    "max_y": "u", "max_instances": "u",
}  # fmt: skip
JOB_KEYS = {
    "id": "u", "object_path": "o", "kind": "s", "state": "s", "result": "s", "gpu": "o", "instances": "ao",
    "n_instances": "u", "requester": "u", "created_usec": "t", "started_usec": "t", "ended_usec": "t",
    "details": "a{sv}", "error_name": "s", "message": "s", "hint": "s", "hint_id": "s", "failures": "aa{sv}",
    "n_failures": "u",
}  # fmt: skip
DETAILS = {"type": "s", "count": "u", "mode": "s", "value": "s", "foreign": "b"}
SIMPLE = {"s": dbus.String, "o": dbus.ObjectPath, "b": dbus.Boolean, "q": dbus.UInt16, "u": dbus.UInt32,
          "i": dbus.Int32, "t": dbus.UInt64}  # fmt: skip


def typed(signature, value):
    """The value with the D-Bus type."""
    if signature in SIMPLE:
        return SIMPLE[signature](value)
    if signature.startswith("a{"):
        return dbus.Dictionary(value, signature=signature[2:-1])
    if signature == "a(ss)":
        return dbus.Array([tuple(v) for v in value], signature="(ss)")
    return dbus.Array([typed(signature[1:], v) for v in value], signature=signature[1:])


def typed_dictionary(values, signatures):
    return dbus.Dictionary({k: typed(signatures[k], v) for k, v in values.items()}, signature="sv")


def snake(name):
    return "".join("_" + c.lower() if c.isupper() and i > 0 else c.lower() for i, c in enumerate(name))


def table(rows, signatures):
    """Rows as one array per column."""
    return dbus.Dictionary({k: dbus.Array([typed(s, row[k]) for row in rows], signature=s)
                            for k, s in signatures.items()}, signature="sv")  # fmt: skip


def encode(name):
    """Encode a name, see sd_bus_path_encode(3)."""
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


def make_type(identity, name, description, aliases, available, why_not="", hint="", hint_id="", **more):
    """A row of ListTypes, and its offer."""
    t = {k: UNKNOWN if s == "t" else 4294967295 if s == "u" else [] if s[0] == "a" else False if s == "b" else ""
         for k, s in TYPE_COLUMNS.items()}  # fmt: skip
    t.update({"id": identity, "name": name, "description": description, "device_api": "vfio-pci", "aliases": aliases}, **more)
    return {**t, "available": available, "why_not": why_not, "hint": hint, "hint_id": hint_id}


def make_mode(value, choices=None, text=None):
    m = {"value": value}
    if choices:
        m["choices"] = dbus.Array(choices, signature="s")
    if text:
        m["help"] = text
    return dbus.Dictionary(m, signature="sv")


def make_vfs(names, taken=None, bound=None, free=()):
    """Virtual functions; `taken`: name to path of the instance; `bound`: name to driver and driver_override; `free`:
    names of functions that another program bound and that no program uses."""
    rows = []
    for i, name in enumerate(names):
        driver, override = (bound or {}).get(name, ("", ""))
        rows.append({"index": i, "name": name, "instance": (taken or {}).get(name, "/"), "driver": driver,
                     "driver_override": override, "state": "bound-free" if name in free else ""})  # fmt: skip
    return rows


VF_COLUMNS = {"index": "u", "name": "s", "instance": "o", "driver": "s", "driver_override": "s",
              "state": "s"}


def make_properties(interface, values, **more):
    return {k: typed(OF_INTERFACE[interface][k], v) for k, v in {**values, **more}.items()}


def make_gpu(name, **more):
    values = {k: "/" if s == "o" else "" if s == "s" else False if s == "b" else [] if s == "as" else {} if s[0] == "a" else 0
              for k, s in GPU_PROPERTIES.items()}  # fmt: skip
    values.update({"Name": name, "SysfsPath": f"/sys/devices/virtual/{name}", "BackEnd": "mdev", "State": "ready",
                   "NumaNode": -1, "IommuGroup": -1, "KeptVfs": -1, "Parents": [name], "ScannedUsec": now(), "MemoryBytes": UNKNOWN})  # fmt: skip
    return make_properties(GPU, values, **more)


def make_instance(identity, gpu, type_id, type_name, **more):
    values = {"Uuid": identity, "Name": "", "Gpu": gpu_path(gpu), "Parent": gpu, "Slot": "", "Type": type_id,
              "TypeName": type_name, "DeviceApi": "vfio-pci", "Driver": "vfio_mdev", "Origin": "vgpud", "State": "active",
              "Owner": "0", "CreatedUsec": now(), "SysfsPath": f"/sys/devices/virtual/{gpu}/{identity}", "IommuGroup": 12,
              "MemoryBytes": UNKNOWN, "Attributes": [], "Job": "/", "Definition": ""}  # fmt: skip
    return make_properties(INSTANCE, values, **more)


def make_hand_over(identity, **more):
    device = f"/sys/bus/mdev/devices/{identity}"
    return {"sysfs_path": device, "iommu_group": dbus.Int32(12), "group_node": "/dev/vfio/12",
            "libvirt_xml": "<hostdev mode='subsystem' type='mdev' managed='no' model='vfio-pci'>\n  <source>\n"
                           f"    <address uuid='{identity}'/>\n  </source>\n</hostdev>\n",
            "qemu_args": dbus.Array(["-device", f"vfio-pci,sysfsdev={device},display=on"], signature="s"), **more}  # fmt: skip


GVT = "0000:00:02.0"
NVIDIA = "0000:41:00.0"
OLD = "10000:03:00.0"
SAMPLE = "mdpy"
FIRST = "4f0c2ab6-8d0e-4c53-9d61-0f4f4a1d2c01"
SECOND = "4f0cd9e1-1111-4222-8333-444455556666"
FOREIGN = "c2c1d7f0-93ab-4d2f-8f6e-7a5b4c3d2e1f"
XE = "0000:03:00.0"
XE_VF = "0000:03:00.1"
HANDED_OUT = "10000000-3333-4444-8555-666677778888"


class World:
    """A host: objects by path, and for each GPU the types and virtual functions, for each instance the hand-over."""

    def __init__(self):
        self.objects, self.types, self.vfs, self.hand_overs = {}, {}, {}, {}

    def add_gpu(self, name, types=(), vfs=(), **more):
        path = gpu_path(name)
        self.objects[path] = {GPU: make_gpu(name, TypeCount=len(types), EnabledVfs=len(vfs), **more)}
        self.types[path], self.vfs[path] = list(types), list(vfs)

    def add_instance(self, identity, gpu, type_id, type_name, hand_over=None, **more):
        self.objects[instance_path(identity)] = {INSTANCE: make_instance(identity, gpu, type_id, type_name, **more)}
        self.hand_overs[instance_path(identity)] = make_hand_over(identity) if hand_over is None else hand_over
        self.count(gpu)

    def count(self, gpu):
        """Count the instances of a GPU and their memory; return the changed properties."""
        found = [o[INSTANCE] for o in self.objects.values() if INSTANCE in o and o[INSTANCE]["Gpu"] == gpu_path(gpu)]
        memory = [int(i["MemoryBytes"]) for i in found]
        values = {"InstanceCount": len(found), "MemoryUsedBytes": UNKNOWN if UNKNOWN in memory else sum(memory)}
        p = self.objects[gpu_path(gpu)][GPU]
        changed = {k: typed(GPU_PROPERTIES[k], v) for k, v in values.items() if p[k] != v}
        p.update(changed)
        return changed


def world():
    gvt_text = "low_gm_size: 128MB\nhigh_gm_size: 512MB\nfence: 4\nresolution: 1920x1200\nweight: 4\n"
    w = World()
    w.add_gpu(GVT, [
        make_type("i915-GVTg_V5_4", "GVTg_V5_4", gvt_text, ["GVTg_V5_4"], 1, low_gm_bytes=128 * MIB,
                  high_gm_bytes=512 * MIB, framebuffer_bytes=640 * MIB, fences=4, max_x=1920, max_y=1200, weight=4),
        make_type("i915-GVTg_V5_8", "GVTg_V5_8", gvt_text, ["GVTg_V5_8"], 0, low_gm_bytes=64 * MIB,
                  high_gm_bytes=384 * MIB, framebuffer_bytes=448 * MIB, fences=4, max_x=1024, max_y=768, weight=2,
                  key="8086/-/-/448/GVTg_V5_8")],
              SysfsPath="/sys/devices/pci0000:00/0000:00:02.0", Subsystem="pci", VendorId=0x8086, DeviceId=0x1912,
              SubsystemVendorId=0x1028, SubsystemDeviceId=0x06b9, Class=0x030000, VendorName="Intel Corporation",
              DeviceName="HD Graphics 530", Driver="i915", IommuGroup=1, BootDisplay=True)  # fmt: skip
    w.add_gpu(NVIDIA, [
        make_type("nvidia-746", "NVIDIA A2-4Q", "num_heads=4, frl_config=60, framebuffer=4096M, "
                  "max_resolution=7680x4320, max_instance=4", ["NVIDIA A2-4Q", "A2-4Q"], 3,
                  "one vGPU of 4096 MB is there, and 12288 MB of framebuffer are left",
                  framebuffer_bytes=4096 * MIB, heads=4, frame_rate_limit=60, max_x=7680, max_y=4320, max_instances=4,
                  key="10de/A2/Q/4096/A2-4Q", product="A2", **{"class": "Q"})],
              make_vfs(["0000:41:00.4", "0000:41:00.5"], {"0000:41:00.4": instance_path(SECOND)}),
              SysfsPath="/sys/devices/pci0000:40/0000:41:00.0", Subsystem="pci", VendorId=0x10de, DeviceId=0x25b6,
              Class=0x030200, VendorName="NVIDIA Corporation", DeviceName="GA107GL [A2 / A16]", Driver="nvidia",
              NumaNode=1, IommuGroup=44, LinkSpeed="8.0 GT/s PCIe", LinkSpeedMax="16.0 GT/s PCIe", LinkWidth=8,
              LinkWidthMax=8, TotalVfs=16, MemoryBytes=16 * GIB,
              Modes={"heterogeneous": make_mode("no", ["no", "yes"], "types of several sizes beside each other"),
                     "mig": make_mode("no")}, Parents=["0000:41:00.4", "0000:41:00.5"])  # fmt: skip
    w.add_gpu(OLD, SysfsPath="/sys/devices/pci10000:00/10000:03:00.0", Subsystem="pci", VendorId=0x1002,
              DeviceId=0x6779, Class=0x030000, BackEnd="", State="unsupported", Reason="no driver is bound to it",
              Hint="load a driver that makes virtual GPUs", HintId="load-driver", Parents=[])  # fmt: skip
    w.add_gpu(SAMPLE, [
        make_type("mdpy-vga", "640x480", "virtual display, 640x480 framebuffer", ["640x480"], 4),
        make_type("mdpy-xga", "1024x768", "virtual display, 1024x768 framebuffer", ["1024x768"], 4)],
              SysfsPath="/sys/devices/virtual/mdpy/mdpy", Subsystem="mdpy")  # fmt: skip
    w.add_instance(FIRST, GVT, "i915-GVTg_V5_4", "GVTg_V5_4", Name="desk", CreatedUsec=now() - 3 * HOUR - 30 * 1000000)
    w.add_instance(SECOND, NVIDIA, "nvidia-746", "NVIDIA A2-4Q", make_hand_over(SECOND, cdev_node="/dev/vfio/devices/vfio3"),
                   Parent="0000:41:00.4", Owner="65534", CreatedUsec=now() - 72 * HOUR, MemoryBytes=4 * GIB)  # fmt: skip
    w.add_instance(FOREIGN, GVT, "i915-GVTg_V5_4", "GVTg_V5_4", Origin="foreign", Owner="", CreatedUsec=0)
    return w


def add_xe(w, prepared):
    """Add a GPU whose instances are virtual functions, and one instance; world() leaves both out."""
    reason, hint = "no virtual functions are enabled", f"enable some: vgpuctl enable-vfs {XE} [COUNT], 12 at most"
    more = {} if prepared else {"why_not": reason, "hint": hint, "hint_id": "enable-vfs"}
    n = 2 if prepared else 0
    types = [make_type("vf", "vf", "a virtual function as the driver makes it", [], n, max_instances=12, **more),
             make_type("vf-profile", "vf-profile", "a virtual function with quotas of your own", ["profile"], n,
                       max_instances=12, key="8086/-/-/-/vf-profile",
                       options=[("vram_quota", "bytes (K, M, G allowed), rounded up by the GPU"),
                                ("exec_quantum_ms", "milliseconds (0 to 100000); 0: no limit")], **more)]  # fmt: skip
    state = {} if prepared else {"State": "unprepared", "Reason": reason, "Hint": hint, "HintId": "enable-vfs"}
    names = [XE_VF, "0000:03:00.2", "0000:03:00.3", "0000:03:00.4", "0000:03:00.5", "0000:03:00.6"] if prepared else []
    bound = {XE_VF: ("xe-vfio-pci", "xe-vfio-pci"), "0000:03:00.3": ("", "pci-stub"), "0000:03:00.4": ("xe", ""),
             "0000:03:00.5": ("xe", "xe"), "0000:03:00.6": ("vfio-pci", "")}  # fmt: skip
    w.add_gpu(XE, types, make_vfs(names, {XE_VF: instance_path(HANDED_OUT)}, bound, {"0000:03:00.6"}),
              SysfsPath="/sys/devices/pci0000:00/0000:03:00.0", Subsystem="pci", VendorId=0x8086, DeviceId=0xe211,
              Class=0x030000, VendorName="Intel Corporation", DeviceName="Battlemage G21", Driver="xe", BackEnd="sriov",
              TotalVfs=12, Parents=names, **state)  # fmt: skip
    if prepared:
        device = f"/sys/bus/pci/devices/{XE_VF}"
        w.add_instance(
            HANDED_OUT, XE, "vf-profile", "vf-profile",
            {"sysfs_path": device, "iommu_group": dbus.Int32(23), "group_node": "/dev/vfio/23",
             "libvirt_xml": "<hostdev mode='subsystem' type='pci' managed='no'>\n  <driver name='vfio'/>\n  <source>\n"
                            "    <address domain='0x0000' bus='0x03' slot='0x00' function='0x1'/>\n  </source>\n</hostdev>\n",
             "qemu_args": dbus.Array(["-device", f"vfio-pci,host={XE_VF}"], signature="s")},
            Parent=XE_VF, Slot=XE_VF, Driver="xe-vfio-pci", SysfsPath=f"/sys/devices/pci0000:00/{XE_VF}", IommuGroup=23,
            MemoryBytes=1 * GIB, Attributes=[("vram_quota", "1073741824"), ("exec_quantum_ms", "20")])  # fmt: skip
