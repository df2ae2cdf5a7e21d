#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Requests refused before a write, vendor attributes, and 32 creates where 8 instances fit."""

from gi.repository import GLib

import bus
import host
import runner
import simhost
from host import A2, GVT, NOBODY, S0, V5_4, V5_8, uuid

L40S = "0000:41:00.0"
LONG = "x" * 100_000


def repr_of(text):
    """The part of a long text that a message quotes."""
    return "\"" + text[:96].split("\n")[0]


class Refused(host.HostTest):
    """None of the requests reaches the kernel, and the daemon names the fault."""

    def setUp(self):
        super().setUp()
        self.h = self.host("gvt-g", "nvidia-a2")
        self.vf = self.h.bus.gpu(A2).get("Parents")[0]

    def tearDown(self):
        self.assertEqual(self.h.writes("create", "remove", "vgpu_params"), [])
        self.assertEqual((self.h.bus.instances(), self.h.bus.jobs(), self.h.records()), ({}, {}, {}))

    def refused(self, error, gpu, type_name, *words, hint=None, **options):
        return self.assert_error(error, self.h.bus.start_create(gpu, type_name, **options), *words, hint=hint)

    def test_uuid(self):
        bad = ["", "x", uuid(1)[:-1], uuid(1) + "0", uuid(1).replace("-", ""), "{" + uuid(1) + "}", uuid(1) + "\n",
               " " + uuid(1), uuid(1).replace("1", "g"), "../" + uuid(1), uuid(1).replace("-", "_"), "x" * 64]
        for text in bad:
            self.refused("InvalidArgs", GVT, V5_4, repr_of(text), uuid=text)
            if len(text) < 1000:
                result = self.h.vgpuctl("create", V5_4, "--uuid", text)
                self.assertEqual((result.status, result.out), (2, ""), text)

    def test_type(self):
        for text in ["", "no-such", "../i915-GVTg_V5_4", "i915-GVTg_V5_4/", "i915-GVTg_V5_4/../i915-GVTg_V5_4", ".", "..", "/",
                     V5_4.replace("-", ""), V5_4 + "\n", "\x01\x7fü\u2028", "x" * 255]:
            for gpu in (GVT, ""):
                message = self.refused("NoSuchType", gpu, text)
                self.assertIn(V5_4, message)  # the hint lists existing types
                self.assertLess(len(message), len(text) + 4000)
        self.assertEqual(self.h.vgpuctl("create", "no-such").status, 3)
        self.refused("NoSuchType", GVT, "A2-4Q")

    def test_an_unknown_type(self):
        """For a typing error the hint names the nearest type, for any other word a few types; create, place and vgpuctl agree."""
        for word, meant in (("A2-4QQ", "A2-4Q (nvidia-746)"), ("nvidia-7466", "A2-4Q (nvidia-746)"),
                            ("gvtg_v5_44", "GVTg_V5_4 (i915-GVTg_V5_4)")):
            for call in (self.h.bus.start_create("", word), self.h.bus.start_create(A2 if "nvidia" in meant else GVT, word),
                         self.h.bus.manager.start("Place", word)):
                message = self.assert_error("NoSuchType", call, meant, hint="choose-other")
                self.assertEqual(message.count("("), 1, message)
            error = self.h.vgpuctl("create", word, "--json")
            self.assertEqual((error.status, error.error()["hint_id"]), (3, "choose-other"))
            self.assertIn(meant, error.error()["hint"])
        for gpu in ("", A2):
            message = self.refused("NoSuchType", gpu, "no-such", hint="choose-other")
            self.assertIn(message.count("i915-") + message.count("nvidia-"), range(1, 6), message)

    def test_gpu(self):
        for text in ["nothing", "0000:00:02.1", "02.0"]:
            self.refused("NoSuchGpu", text, V5_4)
        for text in ["../" + GVT, GVT + "/", "/", "\x01", LONG]:
            self.refused("InvalidArgs", text, V5_4)
        self.assertEqual(self.h.vgpuctl("create", V5_4, "--gpu", "nothing").status, 3)
        result = self.h.vgpuctl("create", V5_4, "--gpu", "")
        self.assertEqual((result.status, result.out), (2, ""))
        self.assert_error("InvalidArgs", self.h.bus.manager.start("GetGpu", ""))

    def test_parent(self):
        for text in ["", "nothing", GVT, "../" + self.vf, self.vf + "/", "/", ".", "\x01\x02", LONG]:
            self.refused("InvalidArgs", A2, "A2-4Q", parent=text)
        self.refused("InvalidArgs", "", "A2-4Q", parent=self.vf)
        self.assertEqual(self.h.vgpuctl("create", "A2-4Q", "--parent", self.vf).status, 2)

    def test_count(self):
        for count in (0, 1025, 0xffffffff):
            self.refused("InvalidArgs", GVT, V5_8, "1024", str(count), count=count)
            self.assertEqual(self.h.vgpuctl("create", V5_8, "--count", str(count)).status, 2)
        self.refused("InvalidArgs", GVT, V5_8, "count", count=GLib.Variant("i", 2))
        self.refused("InvalidArgs", GVT, V5_8, "2", count=2, uuid=uuid(1))
        self.refused("InvalidArgs", GVT, V5_8, "2", count=2, name="x")

    def test_name(self):
        for name in ["", "-x", ".x", "_x", "a b", "a/b", "ä", "x" * 65, "a\nb", uuid(1), "x" * 255]:
            self.refused("InvalidArgs", GVT, V5_4, repr_of(name), name=name, hint="see-manual")

    def test_long_texts(self):
        for name in ("uuid", "name", "parent", "strategy", "near", "pool"):
            self.refused("InvalidArgs", "", V5_4, f"'{name}'", **{name: LONG})
        self.refused("InvalidArgs", GVT, LONG, "'type'")

    def test_options(self):
        self.refused("InvalidArgs", GVT, V5_4, "'nonsense'", nonsense=True)
        for name, value in {"uuid": ("b", True), "name": ("u", 1), "parent": ("o", "/"), "attributes": ("as", ["x=y"]),
                            "count": ("t", 1), "timeout_usec": ("u", 2_000_000), "attribute": ("s", "")}.items():
            self.refused("InvalidArgs", GVT, V5_4, f"'{name}'", **{name: GLib.Variant(*value)})
        wait = self.h.bus.manager.start("Create", GVT, V5_4, wait=GLib.Variant("i", 1))
        self.assert_error("InvalidArgs", wait, "'wait'", "type b, not i")
        self.refused("InvalidArgs", GVT, V5_4, "timeout_usec", timeout_usec=0)
        self.assert_error("InvalidArgs", self.h.bus.manager.start("Create", GVT, V5_4, timeout_usec=1), "timeout_usec")
        # A Python dictionary cannot repeat a key, but a D-Bus message can.
        twice = self.h.bus.start(bus.ROOT, bus.MANAGER, "Create", self.twice())
        self.assert_error("InvalidArgs", twice, "'count'", "twice")
        for member, arguments in {"GetGpu": (GVT,), "GetInstance": ("x",), "Destroy": ("x",)}.items():
            with self.assertRaises(bus.Error):
                self.h.bus.manager.call(member, *arguments, nonsense=True)
        self.assert_error("InvalidArgs", self.h.bus.gpu(GVT).start("Rescan", foreign=True), "'foreign'")

    @staticmethod
    def twice():
        entry = [GLib.Variant.new_dict_entry(GLib.Variant("s", "count"), GLib.Variant("v", GLib.Variant("u", n))) for n in (1, 2)]
        options = GLib.Variant.new_array(GLib.VariantType("{sv}"), entry)
        return GLib.Variant.new_tuple(GLib.Variant("s", GVT), GLib.Variant("s", V5_4), options)

    def test_wrong_signatures(self):
        for member, arguments in {"Create": ("(ss)", ("", V5_4)), "Destroy": ("(s)", ("x",)), "GetGpu": ("(u)", (1,)),
                                  "Nonsense": ("()", ())}.items():
            pending = self.h.bus.start(bus.ROOT, bus.MANAGER, member, GLib.Variant(*arguments))
            self.assertIn(pending.error(), ("org.freedesktop.DBus.Error.InvalidArgs", "org.freedesktop.DBus.Error.UnknownMethod"))

    def test_properties_cannot_be_set(self):
        value = GLib.Variant("(ssv)", (bus.GPU, "Name", GLib.Variant("s", "x")))
        pending = self.h.bus.start(bus.gpu_path(GVT), bus.PROPERTIES, "Set", value)
        self.assertEqual(pending.error(), "org.freedesktop.DBus.Error.PropertyReadOnly")

    def test_objects_have_one_path(self):
        for path in (f"{bus.ROOT}/gpu/nothing", f"{bus.ROOT}/gpu", f"{bus.gpu_path(GVT)}/x", f"{bus.ROOT}/gpu/_0000",
                     f"{bus.ROOT}/instance/{'0' * 36}", bus.instance_path(uuid(1)), f"{bus.ROOT}/job/0", f"{bus.ROOT}/job/01"):
            for interface in (bus.GPU, bus.INSTANCE, bus.JOB):
                with self.assertRaises(bus.Error):
                    bus.Object(self.h.bus, path, interface).all()


class Accepted(host.HostTest):
    def test_names(self):
        h = self.host()
        names = ["one", "Two", "x.y_z-1", "x" * 64, "zz", "g0"]
        for name in names:
            h.bus.create(GVT, V5_8, name=name)
        self.assertEqual(sorted(i["Name"] for i in h.mirror.instances().values()), sorted(names))
        self.assert_error("Exists", h.bus.start_create(GVT, V5_8, name="one"), "one")
        self.assertEqual(h.vgpuctl("create", V5_8, "--name", "one").status, 6)
        h.bus.destroy("one")
        h.bus.create(GVT, V5_8, name="one")

    def test_uuid_in_capitals(self):
        h = self.host()
        name = "ABCDEFAB-cdef-4ABC-8DEF-ABCDEFABCDEF"
        self.assertEqual(h.bus.create(GVT, V5_4, uuid=name), [name.lower()])
        self.assertEqual(h.tree(), {name.lower()})
        self.assertEqual(set(h.records()), {name.lower()})
        h.bus.destroy(name)

    def test_parents(self):
        h = self.host("nvidia-a2")
        parents = h.bus.gpu(A2).get("Parents")
        for parent in (parents[5], parents[0]):
            made = h.bus.create(A2, "A2-4Q", parent=parent)[0]
            self.assertEqual(h.mirror.instance(made)["Parent"], parent)
        self.assert_error("NoCapacity", h.bus.start_create(A2, "A2-4Q", parent=parents[0]))
        self.assertEqual(h.vgpuctl("create", "A2-4Q", "--gpu", A2, "--parent", parents[5]).status, 5)
        made = h.bus.create(A2, "A2-4Q")[0]
        self.assertEqual(h.mirror.instance(made)["Parent"], parents[1])


class Attributes(host.HostTest):
    def setUp(self):
        super().setUp()
        self.h = self.host("nvidia-a2")

    def steps(self):
        """The writes, without the names of the devices. The driver drops the last byte of each write to vgpu_params, so
        every value must end in a newline."""
        steps = [(result, path.rpartition("/")[2], value) for result, path, value in
                 self.h.writes("create", "remove", "vgpu_params", "vm_name", "nothing")]
        self.assertEqual([s for s in steps if s[1] == "vgpu_params" and not s[2].endswith("\\n")], [])
        return [(result, name, value.removesuffix("\\n")) for result, name, value in steps]

    def test_in_order(self):
        values = ["frame_rate_limiter=0", "plugin0.enable_uvm=1", "x" * 1000]
        made = self.h.bus.create(A2, "A2-4Q", uuid=uuid(1), attributes=[("nvidia/vgpu_params", v) for v in values])
        self.assertEqual(made, [uuid(1)])
        self.assertEqual(self.steps(), [("ok", "create", uuid(1))] + [("ok", "vgpu_params", v) for v in values])
        path = self.h.bus.instance(uuid(1)).get("SysfsPath")
        read = self.h.sim.run(["cat", f"{path}/nvidia/vgpu_params"], capture_output=True).stdout
        self.assertEqual(read, values[-1] + "\n")

    def test_vgpuctl(self):
        result = self.h.vgpuctl("create", "A2-4Q", "--attr", "nvidia/vgpu_params=a=1", "--attr", "nvidia/vgpu_params=b,c=2",
                                "--count", "2")
        self.assertEqual(result.status, 0, result)
        self.assertEqual([s[2] for s in self.steps() if s[1] == "vgpu_params"], ["a=1", "b,c=2"] * 2)
        for instance in self.h.tree():
            read = self.h.sim.run(["cat", f"/sys/bus/mdev/devices/{instance}/nvidia/vgpu_params"], capture_output=True).stdout
            self.assertEqual(read, "b,c=2\n")

    def test_rolled_back(self):
        good = ("nvidia/vgpu_params", "a=1")
        for number, (bad, name, *words) in enumerate((
                (("nvidia/nothing", "1"), "InvalidArgs", "nvidia/nothing"),
                (("nothing", "1"), "InvalidArgs", "nothing"),
                (("nvidia", "1"), "InvalidArgs", "nvidia"),
                (("nvidia/vgpu_params", "x" * 2000), "InvalidArgs", "vgpu_params", "Argument list too long"),
        ), 1):
            before = len(self.steps())
            job = self.h.bus.queue_create(A2, "A2-4Q", uuid=uuid(number), attributes=[good, bad, good])
            result, error, message, _ = self.h.mirror.await_end(job)
            self.assertEqual((result, error), ("failed", name), message)
            for word in words:
                self.assertIn(word, message)
            steps = self.steps()[before:]
            self.assertEqual((steps[0], steps[1], steps[-1]),
                             (("ok", "create", uuid(number)), ("ok", "vgpu_params", "a=1"), ("ok", "remove", "1")))
            self.assertLessEqual(len(steps), 4)
            self.assertEqual((self.h.tree(), self.h.records()), (set(), {}))
        self.h.settle()
        self.assertEqual([e for e in self.h.mirror.log if e[0] == "added" and "/instance/" in e[1]], [])

    def test_rolled_back_with_all_its_siblings(self):
        self.h.sim.fault("open:*/vgpu_params:delay=0:4")  # lets the write and the read of two instances pass
        self.h.sim.fault("open:*/vgpu_params:errno=EIO:1")  # fails the write of the third instance
        self.assert_error("Failed", self.h.bus.start_create(A2, "A2-4Q", count=3, attributes=[("nvidia/vgpu_params", "a=1")]),
                          "vgpu_params")
        self.assertEqual([s[1] for s in self.steps()],
                         ["create", "vgpu_params"] * 2 + ["create"] + ["remove"] * 3)
        self.assertEqual((self.h.tree(), self.h.records()), (set(), {}))

    def test_roll_back_fails(self):
        self.h.sim.fault("remove:*:errno=EBUSY:1")
        call = self.h.bus.start_create(A2, "A2-4Q", uuid=uuid(1), attributes=[("nvidia/nothing", "1")])
        self.assert_error("Inconsistent", call, "nvidia/nothing")
        # The instance that remains is vgpud's own, so users can see and remove it.
        self.assertEqual(self.h.bus.instances()[uuid(1)]["Origin"], "vgpud")
        self.assertEqual(set(self.h.records()), {uuid(1)})
        self.assertEqual(self.h.tree(), {uuid(1)})

    def test_names_that_lead_elsewhere(self):
        bad = ["", "/", "..", ".", "../x", "nvidia/../remove", "nvidia/..", "/nvidia/vgpu_params", "nvidia//vgpu_params",
               "nvidia/vgpu_params/", "a/b/c", "remove", "driver/unbind", "driver_override", "power/control", "mdev_type/create",
               "iommu_group/type", "subsystem/drivers_probe", "uevent", "vfio-dev/x", "nvidia/ü", "nvidia\nremove",
               "nvidia/vgpu params", "\x01\x02", "x" * 256, "x/" + "y" * 256, LONG, ".hidden", "nvidia/.hidden"]
        for name in bad:
            self.assert_error("InvalidArgs", self.h.bus.start_create(A2, "A2-4Q", attributes=[(name, "1")]))
        self.assertEqual(self.steps(), [])

    def test_values(self):
        for value in ["", "x" * 4097, LONG, "a\nb=1", "a\n", "\t", "\x01", "\x7f", "\x1b[2J", "\x9b2J"]:
            self.assert_error("InvalidArgs", self.h.bus.start_create(A2, "A2-4Q", attributes=[("nvidia/vgpu_params", value)]))
        self.assert_error("InvalidArgs", self.h.bus.start_create(
            A2, "A2-4Q", attributes=[("nvidia/vgpu_params", "a")] * 65), "64")
        self.assertEqual(self.steps(), [])
        odd = "=;'\"\\$(reboot) ü\u2028"
        self.h.bus.create(A2, "A2-4Q", attributes=[("nvidia/vgpu_params", odd)] * 64)
        self.assertEqual(len(self.steps()), 65)
        self.assertTrue(all(s[0] == "ok" for s in self.steps()))


class Words(host.HostTest):
    """Types and options by the names that other tools print."""

    def test_forms_of_a_type(self):
        h = self.host("nvidia-a2", "nvidia-l40s", "gvt-g")
        self.assertEqual(h.vgpuctl("enable-vfs", L40S).status, 0)
        key = {t: d["key"] for gpu in (A2, L40S, GVT) for t, d in h.bus.gpu(gpu).types().items()}
        for number, (gpu, type_id, *words) in enumerate((
                (A2, "nvidia-746", "a2-4q", "nvidia_a2-4q", "GRID_A2-4Q", "GRID A2-4Q", "nvidia.com/NVIDIA_A2-4Q", key["nvidia-746"]),
                (L40S, "nvidia-1150", "l40s-4q", "NVIDIA_L40S-4Q", "nvidia l40s-4q", key["nvidia-1150"].lower()),
                (GVT, V5_4, V5_4.lower(), "gvtg_v5_4", "GVTG V5 4", key[V5_4]),
        )):
            for word in words:
                with self.subTest(word):
                    self.assertEqual(h.bus.manager.call("Place", word)[0], bus.gpu_path(gpu))
                    for where in (gpu, ""):
                        h.bus.create(where, word, uuid=uuid(number + 1))
                        self.assertEqual(h.bus.instances()[uuid(number + 1)]["Type"], type_id)
                        h.bus.destroy(uuid(number + 1))
                    result = h.vgpuctl("create", word, "--uuid", uuid(number + 1))
                    self.assertEqual(result.status, 0, result)
                    self.assertEqual(h.vgpuctl("destroy", uuid(number + 1)).status, 0)

    def test_an_option_of_two_mechanisms(self):
        """NVIDIA's parameters have one name for mediated devices and VFs. The name of the file is accepted too, but not shown."""
        h = self.host("nvidia-a2", "nvidia-l40s", polkit=True)
        h.polkit.allow("create")
        self.assertEqual(h.vgpuctl("enable-vfs", L40S).status, 0)
        user, monitor, asked = h.client(NOBODY), host.Monitor(h), 0
        for gpu, type_name in ((A2, "A2-4Q"), (L40S, "L40S-4Q")):
            options = {tuple(o[0] for o in t["options"]) for t in h.bus.gpu(gpu).types().values()}
            self.assertEqual(options, {("vgpu_params",)})
            for verb in (("types", gpu, "--why"), ("show", gpu)):
                shown = h.vgpuctl(*verb).out
                self.assertIn("vgpu_params", shown)
                self.assertNotIn("nvidia/vgpu_params", shown)
            for name in ("vgpu_params", "nvidia/vgpu_params"):
                self.assertEqual(user.create(gpu, type_name, uuid=uuid(1), attributes=[(name, "a=1"), (name, "b=2")]), [uuid(1)])
                asked += 1
                self.assertEqual(monitor.await_questions(asked)[-1]["details"]["attributes"], "vgpu_params=a=1\nvgpu_params=b=2")
                written = [w for w in h.writes("vgpu_params") if w[0] == "ok"][-2:]
                self.assertEqual([w[2] for w in written], ["a=1\\n", "b=2\\n"])
                shown = dict(h.bus.instance(uuid(1)).get("Attributes"))
                self.assertEqual(shown["vgpu_params"], "b=2")
                self.assertNotIn("nvidia/vgpu_params", shown)
                self.assertIn("vgpu_params = b=2", h.vgpuctl("show", uuid(1)).out)
                h.bus.gpu(gpu).call("Rescan", wait=True)
                self.assert_becomes("b=2", lambda: dict(h.bus.instance(uuid(1)).get("Attributes")).get("vgpu_params"))
                h.bus.destroy(uuid(1))


class Parallel(host.HostTest):
    """32 creates where 8 instances fit."""

    def setUp(self):
        super().setUp()
        self.h = self.host("scalable", options=simhost.scalable(1, 8, 4))
        self.assertEqual(self.h.bus.gpu(S0).types()["nvidia-1000"]["available"], 8)

    def check(self, errors):
        self.assertEqual((errors.count(None), errors.count("NoCapacity"), len(errors)), (8, 24, 32), errors)
        self.assertEqual(len(self.h.tree()), 8)
        self.assertEqual(set(self.h.bus.instances()), self.h.tree())
        self.assertEqual(set(self.h.records()), self.h.tree())
        self.assertEqual(sorted(i["Parent"] for i in self.h.bus.instances().values()), sorted(self.h.bus.gpu(S0).get("Parents")))

    def test_dbus(self):
        clients = [self.h.client() for _ in range(32)]
        self.check([c.error() for c in [c.start_create(S0, "nvidia-1000") for c in clients]])

    def test_any_gpu(self):
        self.check([c.error() for c in [self.h.bus.start_create("", "S64-1Q") for _ in range(32)]])

    def test_slow(self):
        self.h.sim.fault("create:*:delay=20")
        self.check([c.error() for c in [self.h.bus.start_create(S0, "nvidia-1000") for _ in range(32)]])

    def test_without_waiting(self):
        jobs = [self.h.bus.queue_create(S0, "nvidia-1000") for _ in range(32)]
        self.check([self.h.mirror.await_end(j)[1] or None for j in jobs])

    def test_vgpuctl(self):
        processes = [self.h.start_vgpuctl("create", "nvidia-1000", "--gpu", S0) for _ in range(32)]
        names = {0: None, 5: "NoCapacity"}
        self.check([names.get(self.h.end_vgpuctl(p).status, "?") for p in processes])


class Policy(host.HostTest):
    """The policy of the bus: any user may call, only root may own org.vgpud1."""

    def test_everybody_may_call(self):
        h = self.host()
        h.bus.create(GVT, V5_4, uuid=uuid(1))
        user = h.client(NOBODY)
        self.assertEqual(set(user.instances()), {uuid(1)})
        self.assertEqual(user.manager.get("Version"), h.bus.manager.get("Version"))
        self.assertEqual(user.manager.call("GetGpu", GVT), bus.gpu_path(GVT))
        xml = user.call(bus.ROOT, "org.freedesktop.DBus.Introspectable", "Introspect", None, "(s)")
        self.assertIn(bus.MANAGER, xml)
        user.call(bus.ROOT, "org.freedesktop.DBus.Peer", "Ping")
        self.assertEqual(h.vgpuctl("list", uid=NOBODY).status, 0)

    def test_nobody_else_may_own_the_name(self):
        h = self.host(start=False)
        user = h.client(NOBODY)
        request = ("/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName")
        pending = user.start(*request, GLib.Variant("(su)", (bus.SERVICE, 4)), service="org.freedesktop.DBus")
        self.assertEqual(pending.error(), "org.freedesktop.DBus.Error.AccessDenied")

    def test_interfaces_that_are_not_ours(self):
        h = self.host()
        pending = h.client(NOBODY).start(bus.ROOT, "org.example.Nonsense", "Nonsense")
        self.assertEqual(pending.error(), "org.freedesktop.DBus.Error.AccessDenied")


if __name__ == "__main__":
    runner.main()
