#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tests of vgpuctl alone, against a mock of vgpud on a private bus.

test_vgpuctl.py PROGRAM [--update] [NAME...]: --update rewrites golden/; review the result with git diff."""

import errno
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import termios
import time
import unicodedata
import xml.etree.ElementTree

import dbus

import case
import harness
import mock_definitions
import mock_host
import mock_vgpud
from case import Case
from harness import Bus, Program, TOP, Withholding, run, wait_for
import schema
from mock_host import (FIRST, FOREIGN, GPU, GVT, HANDED_OUT, INSTANCE, JOB, MANAGER, NVIDIA, OLD, ROOT, SAMPLE, SECOND, XE, XE_VF,
                       gpu_path, instance_path, make_type)

MANUAL = (TOP / "man/vgpuctl.1.rst").read_text()
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
# vgpuctl prints this command when it says that a job goes on.
GOES_ON = re.compile(r'"vgpuctl (?:cancel|wait job) (\d+)"')


def error_table():
    """D-Bus name and exit status of each error, from error.h."""
    text = (TOP / "daemon/base/error.h").read_text()
    rows = re.findall(r'X\((\w+), "(\w+)", (\w+), (\d),', text)
    assert len(rows) >= 18
    return [(name, int(status)) for _, name, _, status in rows]


def take_terminal():
    """Make the terminal of a child the controlling terminal, so Ctrl-C reaches the child."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Mock(Case):
    """The mock follows the XML: the other tests depend on it."""

    def test_objects_are_those_of_the_xml(self):
        self.bus.control("Hold", True)
        self.good("rescan", SAMPLE, "--no-block")
        answer = self.bus.connection.call_blocking("org.vgpud1", "/org/vgpud1", "org.freedesktop.DBus.ObjectManager",
                                                   "GetManagedObjects", "", ())
        seen = set()
        for path, interfaces in answer.items():
            for interface, properties in interfaces.items():
                node = xml.etree.ElementTree.parse(TOP / f"dbus/{interface}.xml")
                wanted = {p.get("name"): p.get("type") for p in node.iter("property")}
                self.assertEqual(set(properties), set(wanted), path)
                for name, value in properties.items():
                    self.assertEqual(self.signature(value), wanted[name], f"{path} {name}")
                seen.add(interface)
        self.assertEqual(seen, {GPU, INSTANCE, JOB})

    @staticmethod
    def signature(value):
        simple = {dbus.String: "s", dbus.ObjectPath: "o", dbus.Boolean: "b", dbus.UInt16: "q", dbus.UInt32: "u",
                  dbus.Int32: "i", dbus.UInt64: "t"}
        if isinstance(value, dbus.Dictionary):
            return f"a{{{value.signature}}}"
        return f"a{value.signature}" if isinstance(value, dbus.Array) else simple[type(value)]

    def test_methods_are_those_of_the_xml(self):
        for interface in (MANAGER, GPU, INSTANCE, JOB):
            node = xml.etree.ElementTree.parse(TOP / f"dbus/{interface}.xml")
            for method in node.iter("method"):
                found = [c.__dict__[method.get("name")] for c in mock_vgpud.Mock.__mro__ if method.get("name") in c.__dict__]
                found = [f for f in found if f._dbus_interface == interface]
                if not found:  # vgpuctl does not call the method
                    self.assertIn(method.get("name"), ("GetGpu", "GetInstance", "Destroy"))
                    continue
                for direction, signature in (("in", found[0]._dbus_in_signature), ("out", found[0]._dbus_out_signature)):
                    wanted = "".join(a.get("type") for a in method.iter("arg") if a.get("direction") == direction)
                    self.assertEqual(signature, wanted, method.get("name"))

    def test_columns_are_those_of_the_xml(self):
        """The text of each method names each column and the type of the column."""
        prose = (TOP / f"dbus/{MANAGER}.xml").read_text()
        for name, columns in (("ListJobs", mock_host.JOB_KEYS), ("ListTypes", mock_host.TYPE_COLUMNS),
                              ("ListDefinitions", mock_definitions.DEFINITION_COLUMNS)):
            text = " ".join(re.search(rf"(?s)        {name}:\n(.*?)<method", prose)[1].split())
            for column, signature in columns.items():
                if column != "failures":
                    self.assertRegex(text, rf"\b{column} (and \w+ )?\(a{re.escape(signature)}\)", name)


class Tables(Case):
    """Tables on a pipe."""

    def test_tables(self):
        for name, args in {"overview": (), "gpus": ("gpus",), "types": ("types",), "types-gpu": ("types", "41:00.0"),
                           "list": ("list",), "list-gpu": ("list", "00:02.0"), "show-instance": ("show", "desk"),
                           "show-instance-vf": ("show", SECOND), "show-foreign": ("show", "c2c1"),
                           "show-gpu": ("show", GVT), "show-gpu-vfs": ("show", NVIDIA), "show-unsupported": ("show", OLD),
                           "show-sample": ("show", "mdpy"), "jobs-none": ("jobs",), "types-why": ("types", "--why"),
                           "types-why-gpu": ("types", "41:00.0", "--why"), "modes": ("configure", "41:00.0")}.items():
            with self.subTest(name):
                self.golden(f"{name}.txt", self.good(*args))

    def test_overview_of_a_crowded_gpu(self):
        """If a GPU has more than 16 instances, the overview prints their number, and does not fetch them."""
        self.bus.control("ManyInstances", dbus.UInt32(14))  # plus the two that exist
        self.assertEqual(self.good().count("i915-GVTg_V5_4  active"), 16)
        self.calls()
        self.bus.control("ManyInstances", dbus.UInt32(15))
        text = self.good()
        self.assertNotIn("i915-GVTg_V5_4  active", text)
        self.assertRegex(text, rf"\n  Instances: 17\b.*\bvgpuctl list {re.escape(GVT)}\b")
        self.assertIn(SECOND, text)
        self.assertEqual([c["args"][0]["gpu"] for c in self.calls("ListInstances")], [gpu_path(NVIDIA)])
        self.assertEqual(len(self.data()["instances"]), 18)
        self.bus.control("FailOf", "ListInstances", "org.vgpud1.Error.NoSuchGpu", "just gone", signature="sss")
        self.assertNotIn(SECOND, self.good())
        self.bus.control("FailOf", "ListInstances", "org.vgpud1.Error.Failed", "the very reason", signature="sss")
        self.assertIn("the very reason", self.bad(1))

    def add_xe(self, prepared):
        self.bus.control("AddXe", prepared, signature="b")

    def test_virtual_functions(self):
        """A GPU with virtual functions as instances: before the first function exists, and with one in use."""
        self.add_xe(False)
        self.golden("show-unprepared.txt", self.good("show", XE))
        self.golden("types-why-unprepared.txt", self.good("types", XE, "--why"))
        self.assertEqual({t["hint_id"] for t in self.data("types", XE, "--why")["types"]}, {"enable-vfs"})
        for args in ((), ("gpus",)):
            self.assertIn("unprepared", self.good(*args))
        self.add_xe(True)
        self.golden("show-sriov.txt", self.good("show", XE))
        self.golden("types-why-sriov.txt", self.good("types", XE, "--why"))
        self.golden("show-instance-sriov.txt", self.good("show", HANDED_OUT))
        gpu, instance = self.data("show", XE)["gpu"], self.data("show", HANDED_OUT)["instance"]
        self.assertEqual(gpu["vfs"][:3], [
            {"index": 0, "name": XE_VF, "instance": HANDED_OUT, "driver": "xe-vfio-pci", "driver_override": "xe-vfio-pci", "state": None},
            {"index": 1, "name": "0000:03:00.2", "instance": None, "driver": None, "driver_override": None, "state": None},
            {"index": 2, "name": "0000:03:00.3", "instance": None, "driver": None, "driver_override": "pci-stub", "state": None}])
        self.assertEqual(instance["slot"], XE_VF)
        self.assertEqual([a["name"] for a in instance["attributes"]], ["vram_quota", "exec_quantum_ms"])

    def test_options_that_types_share(self):
        """Each option is listed once, with its types."""
        shared, one, other = ("params", "for all"), ("quota", "bytes"), ("quota", "blocks")
        self.types(SAMPLE, *(make_type(i, i, "", [], 1, options=options)
                             for i, options in (("a", (shared, one)), ("b", (shared, other)), ("c", (shared, one)))))
        for args in (("types", SAMPLE, "--why"), ("show", SAMPLE)):
            self.assertRegex(self.good(*args), r":\n    params \(.*\): for all\n    quota \(a, c\): bytes\n    quota \(b\): blocks\n\Z")

    def test_a_hand_over_without_anything_to_paste(self):
        self.change(instance_path(FIRST), INSTANCE, Slot="vm3")
        self.bus.control("HandOver", dbus.ObjectPath(instance_path(FIRST)), {"sysfs_path": "/sys/kernel/vgt/vm3"}, signature="oa{sv}")
        shown = self.good("show", "desk")
        self.assertIn("Slot: vm3\n", shown)
        self.assertNotIn("libvirt", shown)
        self.assertNotIn("QEMU", shown)
        self.assertEqual((self.data("show", "desk")["instance"]["hand_over"]["libvirt_xml"]), None)

    def test_an_id_that_has_changed(self):
        self.types(NVIDIA, make_type("nvidia-746", "NVIDIA L40S-4Q", "", [], 0, mig=True, earlier_name="NVIDIA A2-4Q"))
        for args in (("types", "--why"), ("show", NVIDIA)):
            self.assertIn("NVIDIA A2-4Q", self.good(*args))
        self.assertIn("(MIG)", self.good("show", NVIDIA))
        (only,) = self.data("types", NVIDIA)["types"]
        self.assertEqual((only["mig"], only["available"], only["why_not"]), (True, 0, None))

    def test_jobs(self):
        self.bus.control("Hold", True)
        self.assertEqual(self.good("create", "mdpy-xga", "--uuid", "00000000-0000-4000-8000-000000000001", "--no-block"), "17\n")
        self.assertEqual(self.good("destroy", "desk", "4f0cd", "--no-block"), "18\n19\n")
        self.assertEqual(self.good("rescan", "mdpy", "--no-block"), "20\n")
        text = re.sub(r"\b\d s\b", "N s", self.good("jobs"))
        self.golden("jobs.txt", text)
        self.golden("show-job.txt", self.good("show", "job", "17"))
        self.golden("overview-jobs.txt", re.sub(r"\b\d s\b", "N s", self.good()))
        self.assertEqual(self.good("jobs", "-q"), "17\n18\n19\n20\n")
        self.good("enable-vfs", NVIDIA, "4", "--no-block")
        self.good("disable-vfs", NVIDIA, "--no-block")
        self.good("configure", NVIDIA, "heterogeneous", "yes", "--no-block")
        self.golden("jobs-of-gpus.txt", re.sub(r"\b\d s\b", "N s", self.good("jobs", "--no-legend")))
        self.golden("show-job-vfs.txt", self.good("show", "job", "21"))
        self.golden("show-job-mode.txt", self.good("show", "job", "23"))
        jobs = self.data("jobs")["jobs"]
        self.assertEqual([(j["kind"], j["details"]) for j in jobs[3:]], [
            ("rescan", {}), ("set-vfs", {"count": 4}), ("set-vfs", {"count": 0}),
            ("configure", {"mode": "heterogeneous", "value": "yes"})])
        self.assertEqual(self.data("jobs")["jobs"][0]["instances"], ["00000000-0000-4000-8000-000000000001"])
        self.assertEqual(self.data("show", "job", "20")["job"]["kind"], "rescan")
        self.assertEqual(self.data("show", "mdpy")["gpu"]["job"], 17)

    def test_stale_and_stuck(self):
        reason = "4f0cd9e1 has not come back"
        self.change(gpu_path(NVIDIA), GPU, State="stuck", Reason=reason, Stale=True,
                    ScannedUsec=dbus.UInt64(mock_host.now() - 5 * mock_host.HOUR - 1000000))
        self.change(instance_path(SECOND), INSTANCE, State="stuck")
        self.golden("overview-stuck.txt", self.good())
        self.assertRegex(self.good("gpus"), r"\bstuck\b.*\b5 h\b")
        why = " ".join(self.good("types", "--why", NVIDIA).split())
        self.assertRegex(why, rf"\b{NVIDIA}: stuck\b.*\b5 h\b.*: {reason}; ")
        for args in (("types",), ("types", NVIDIA), ("types", "--no-legend")):
            self.assertEqual(" ".join(self.good(*args).split()).count(reason), 1)
        self.assertNotIn(reason, self.good("types", SAMPLE))
        stale = {(t["gpu"], t["stale"]) for t in self.data("types")["types"]}
        self.assertEqual(stale, {(GVT, False), (NVIDIA, True), (SAMPLE, False)})

    def test_quiet(self):
        self.assertEqual(self.good("-q"), f"{GVT}\n{NVIDIA}\n{OLD}\n{SAMPLE}\n")
        self.assertEqual(self.good("gpus", "-q"), f"{GVT}\n{NVIDIA}\n{OLD}\n{SAMPLE}\n")
        self.assertEqual(self.good("list", "-q"), f"{FIRST}\n{FOREIGN}\n{SECOND}\n")
        self.assertEqual(self.good("list", "mdpy", "-q"), "")
        self.assertEqual(self.good("types", "--quiet", "mdpy"), "mdpy-vga\nmdpy-xga\n")
        self.assertEqual(self.good("show", "desk", "-q"), f"{FIRST}\n")
        self.assertEqual(self.good("show", "02.0", "-q"), f"{GVT}\n")
        self.assertEqual(self.good("jobs", "-q"), "")

    def test_quiet_types_once(self):
        """Two GPUs of one kind offer the same types: each id is printed once."""
        w = mock_host.world()
        twin = w.objects[gpu_path(SAMPLE)]
        twin[GPU]["Name"] = "mdpy2"
        self.bus.control("Add", dbus.ObjectPath(gpu_path("mdpy2")), twin, signature="oa{sa{sv}}")
        self.types("mdpy2", *w.types[gpu_path(SAMPLE)])
        self.assertEqual(self.good("types", "-q").split().count("mdpy-xga"), 1)
        self.assertEqual(len(re.findall("^mdpy-xga ", self.good("types"), re.M)), 2)

    def test_no_legend(self):
        for verb in ("gpus", "types", "list"):
            with_legend, without = self.good(verb).splitlines(), self.good(verb, "--no-legend").splitlines()
            self.assertEqual([line.split() for line in with_legend[1:]], [line.split() for line in without])

    def test_sizes(self):
        """Sizes are exact, in the largest possible unit."""
        for size, text in ((1216 << 20, "1216 MiB"), (1536 << 20, "1.5 GiB"), (48 << 30, "48 GiB"), (1 << 40, "1 TiB"),
                           (3 << 10, "3 KiB"), (1000, "1000 B"), (1025, "1025 B"), (0, "0 B")):
            self.types(SAMPLE, make_type("x", "x", "", [], 1, framebuffer_bytes=size))
            row = self.good("types", SAMPLE, "--no-legend")
            self.assertEqual(re.split("  +", row)[3], text)

    def test_one_call_each(self):
        gpus, types, instances, jobs = "ListGpus", "ListTypes", "ListInstances", "ListJobs"
        path = gpu_path(NVIDIA)
        for args, members in (((), [gpus, instances, types, jobs, "Get"]), (("-q",), [gpus]), (("gpus",), [gpus]), (("types",), [types]),
                              (("types", "-q"), [types]), (("types", SAMPLE), [gpus, types]), (("types", "--json"), [types]),
                              (("list",), [instances]), (("list", "-q"), [instances]), (("list", SAMPLE), [gpus, instances]),
                              (("list", path), [instances]), (("list", "--json"), [instances]),
                              (("show", "desk"), [gpus, instances, "ListDefinitions", "GetAll", "GetHandOver"]),
                              (("show", FIRST), ["GetAll", "GetHandOver"]),
                              (("show", path), ["GetAll", types, "ListVfs", instances]), (("jobs",), [jobs]),
                              (("types", "--why"), [gpus, types]), (("configure", NVIDIA[5:]), [gpus, "GetAll"]),
                              (("configure", NVIDIA), ["GetAll"]), (("configure", path), ["GetAll"]), (("place", "mdpy-xga"), ["Place"]), (("rescan",), [gpus, *["Rescan"] * 3]),
                              (("disable-vfs", path), ["SetVfs"])):
            self.calls()
            self.good(*args)
            calls = self.calls()
            self.assertEqual([c["member"] for c in calls], members, args)
            for c in calls:
                self.assertTrue(c["details"] or c["member"] in ("Get", "GetAll"), f"{args}: {c}")

    def test_empty_host(self):
        for path in (instance_path(FIRST), instance_path(SECOND), instance_path(FOREIGN), gpu_path(GVT), gpu_path(NVIDIA),
                     gpu_path(OLD), gpu_path(SAMPLE)):
            self.bus.control("Remove", dbus.ObjectPath(path), signature="o")
        for args in ((), ("gpus",), ("types",), ("list",), ("jobs",), ("rescan",)):
            self.assertEqual(self.good(*args), "")
        self.assertEqual(self.data(), {"gpus": [], "types": [], "instances": [], "jobs": [], "readiness": "ready", "missing": []})
        self.assertEqual(self.data("rescan"), {"results": []})

    def test_a_newer_daemon(self):
        """Unknown properties, unknown interfaces and wrong types do no harm."""
        self.change(gpu_path(SAMPLE), GPU, Colour="blue")
        new = {"org.vgpud1.Display": {"Width": dbus.UInt32(3)}, INSTANCE: mock_host.make_instance(
            "00000000-0000-4000-8000-00000000000a", SAMPLE, "mdpy-xga", "1024x768")}
        self.bus.control("Add", dbus.ObjectPath(instance_path("00000000-0000-4000-8000-00000000000a")), new,
                         signature="oa{sa{sv}}")
        self.assertIn("00000000-0000-4000-8000-00000000000a", self.good("list", "-q"))
        gpu = self.data("show", "mdpy")["gpu"]
        self.assertEqual((gpu["numa_node"], gpu["reason"], gpu["state"]), (None, None, "ready"))
        self.change(gpu_path(SAMPLE), GPU, NumaNode=dbus.String("seven"), Reason=dbus.UInt32(3))
        gpu = self.data("show", gpu_path(SAMPLE))["gpu"]
        self.assertEqual((gpu["numa_node"], gpu["reason"], gpu["state"]), (None, None, "ready"))

    def test_a_type_not_known_yet(self):
        self.change(instance_path(FIRST), INSTANCE, Type="", TypeName="", Driver="", IommuGroup=dbus.Int32(-1))
        self.bus.control("HandOver", dbus.ObjectPath(instance_path(FIRST)), {}, signature="oa{sv}")
        self.golden("show-instance-bare.txt", self.good("show", "desk"))
        shown = self.data("show", "desk")["instance"]
        self.assertEqual((shown["type"], shown["iommu_group"], shown["hand_over"]["libvirt_xml"]), (None, None, None))


class Json(Case):
    """Output for programs."""

    def test_all_of_it(self):
        self.bus.control("Hold", True)
        self.good("create", "mdpy-xga", "--uuid", "00000000-0000-4000-8000-000000000001", "--no-block")
        self.golden("overview.json", self.good("--json"))

    def test_schema(self):
        """Golden files follow the schema, an unknown key is a fault, and all references resolve."""
        for path in case.GOLDEN.glob("*.json"):
            self.check(path.stem, json.loads(path.read_text()))
        data = json.loads((case.GOLDEN / "overview.json").read_text())
        for faulty in ({**data, "surprise": 1}, {**data, "gpus": [{**data["gpus"][0], "job": "17"}]},
                       {**data, "types": [{k: v for k, v in data["types"][0].items() if k != "id"}]}):
            self.assertEqual(len(schema.faults("overview", faulty)), 1)
        for reference in re.findall(r'"#(/[^"]+)"', json.dumps(schema.SCHEMA)):
            self.assertTrue(schema.resolve(f"#{reference}"))
        listed = {r["$ref"] for r in schema.SCHEMA["$defs"]["verbs"]["anyOf"]}
        self.assertEqual(listed, {f"#/$defs/{name}" for name in schema.SCHEMA["$defs"] if name.startswith("verb_")})

    def test_the_same_everywhere(self):
        everything = self.data()
        self.assertEqual(self.data("gpus"), {"gpus": everything["gpus"]})
        self.assertEqual(self.data("list"), {"instances": everything["instances"]})
        self.assertEqual(self.data("list", "41:00.0")["instances"], [i for i in everything["instances"] if i["gpu"] == NVIDIA])
        gpu = self.data("show", NVIDIA)["gpu"]
        more = {k: gpu.pop(k) for k in ("parents", "modes", "kept_modes", "types", "vfs")}
        self.assertEqual(gpu, everything["gpus"][1])
        self.assertEqual(more["types"], [t for t in everything["types"] if t["gpu"] == NVIDIA])
        instance = self.data("show", "desk")["instance"]
        for key in ("sysfs_path", "attributes", "hand_over"):
            instance.pop(key)
        self.assertEqual(instance, everything["instances"][0])
        self.assertEqual(self.data("types"), {"types": everything["types"]})
        self.assertEqual(len(everything["types"]), 5)
        self.assertEqual([t["id"] for t in self.data("types", "mdpy")["types"]], ["mdpy-vga", "mdpy-xga"])

    def test_keys_are_the_properties(self):
        self.bus.control("Hold", True)
        self.good("rescan", "mdpy", "--no-block")
        everything = self.data()
        for interface, key in ((GPU, "gpus"), (INSTANCE, "instances"), (JOB, "jobs")):
            node = xml.etree.ElementTree.parse(TOP / f"dbus/{interface}.xml")
            wanted = {re.sub(r"(?<!^)(?=[A-Z])", "_", p.get("name")).lower() for p in node.iter("property")}
            without = {"parents", "modes", "kept_modes", "sysfs_path" if key == "instances" else None, "attributes"}
            if key == "jobs":
                wanted = self.keys_of_prose(MANAGER, "GetJob")
            self.assertEqual(set(everything[key][0]), wanted - without | {"object_path"})
        self.assertEqual(set(everything["types"][0]), set(mock_host.TYPE_COLUMNS) | {"gpu", "stale", "available", "why_not", "hint", "hint_id"})
        self.assertEqual(set(self.data("show", "desk")["instance"]["hand_over"]), self.keys_of_prose(INSTANCE, "GetHandOver"))

    @staticmethod
    def keys_of_prose(interface, name):
        """The keys of a dictionary, listed as "- key (s):" in the text about a method."""
        text = (TOP / f"dbus/{interface}.xml").read_text()
        prose = re.search(rf"(?s)\n        {name}:\n(.*?)<method", text)[1]
        names = re.findall(r"(?m)^ *- (\w+) \(", prose)
        assert len(names) > 5
        return set(names)

    def test_keys_stand_in_the_manual(self):
        self.bus.control("Hold", True)
        self.good("create", "mdpy-xga", "--no-block")
        section = MANUAL[MANUAL.index("\nJSON\n"):MANUAL.index("\nEXIT STATUS\n")]
        words = set(re.findall(r"[a-z_]+", section))

        def keys(value):
            if isinstance(value, dict):
                for key, inner in value.items():
                    yield key
                    yield from keys(inner)
            elif isinstance(value, list):
                for inner in value:
                    yield from keys(inner)

        documents = [self.data(), self.data("types"), json.loads(self.vgpuctl("destroy", "nothing", "--json").out)]
        self.assertEqual(set(k for d in documents for k in keys(d)) - words, set())

    def test_text_is_kept(self):
        text = 'a "quoted" \\ line\nanother\ttab \u00e9\u4e16\x01\x7f'
        self.change(gpu_path(SAMPLE), GPU, Reason=text)
        self.assertEqual(self.data("show", "mdpy")["gpu"]["reason"], text)

    def test_usage_errors(self):
        for args in (("--json", "--nonsense"), ("--nonsense", "--json"), ("frobnicate", "--json"), ("create", "--json")):
            result = self.vgpuctl(*args)
            self.assertEqual((result.status, result.out), (2, ""))
            error = self.error(result)
            self.assertEqual((error["name"], error["exit_status"]), ("org.vgpud1.Error.InvalidArgs", 2))
        self.assertTrue(self.vgpuctl("frobnicate", "--", "--json").err.startswith("vgpuctl: "))


class HostileHost(Case):
    """A local or remote host. Every text from it contains control characters for the terminal."""

    # CSI, string terminator and NEL (C1 controls), DEL, ESC, overrides of the text direction, separators, invisible characters.
    EVIL = "\u009b2J\u009c\u0085\x7f\x1b[2J\u202e\u2066\u200f\u061c\u2028\u2029\ufeff\U000e0041"

    def setUp(self):
        super().setUp()
        folder = pathlib.Path(self.bus.folder.name)
        (folder / "ssh").write_text(f"#!/bin/sh\nexec systemd-stdio-bridge -p {self.bus.address}\n")
        (folder / "ssh").chmod(0o755)
        self.path = {"PATH": f"{folder}:{os.environ['PATH']}"}
        w = mock_host.world()
        for path, interfaces in w.objects.items():
            for interface, values in interfaces.items():
                kinds = mock_host.OF_INTERFACE[interface]
                texts = {k: dbus.String(str(v) + self.EVIL) for k, v in values.items() if kinds[k] == "s"}
                if interface == GPU:
                    texts["Modes"] = dbus.Dictionary({"mode" + self.EVIL: dbus.Dictionary(
                        {"value": "on" + self.EVIL, "help": self.EVIL, "choices": dbus.Array(["on" + self.EVIL], signature="s")},
                        signature="sv")}, signature="sa{sv}")
                self.change(path, interface, **texts)
        for gpu in (GVT, NVIDIA, SAMPLE):
            self.types(gpu, make_type("id" + self.EVIL, "name" + self.EVIL, self.EVIL, ["alias" + self.EVIL], 0,
                                      "full" + self.EVIL, "wait" + self.EVIL, device_api=self.EVIL,
                                      options=[["option" + self.EVIL, self.EVIL]]))
        self.bus.control("ConfigErrors", [self.EVIL], signature="as")
        self.bus.control("ConfigUnmatched", [self.EVIL], signature="as")

    def assert_safe(self, text, words):
        unsafe = {hex(ord(c)) for c in text if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") and c not in "\n\t"}
        self.assertEqual(unsafe, set(), f"{words}: {text!r}")

    WORDS = ([], ["gpus"], ["list"], ["types"], ["types", "--why"], ["jobs"], ["jobs", "--all"], ["show", GVT],
             ["show", FIRST], ["show", SECOND], ["configure", GVT], ["place", "id"], ["show", "nothing"],
             ["status"])

    def test_everything_printed(self):
        for words in self.WORDS:
            for form in ([], ["--json"], ["-q"], ["--no-legend"]):
                result = self.vgpuctl(*words, *form)
                self.assert_safe(result.out + result.err, [*words, *form])

    def test_another_host(self):
        for words in ([], ["gpus"], ["types", "--json"], ["__complete", "gpus"]):
            result = self.vgpuctl("-H", "elsewhere", *words, environment=self.path)
            self.assertEqual(result.status, 0, result.err)
            self.assert_safe(result.out + result.err, words)

    def test_completion(self):
        for kind in ("gpus", "vf-gpus", "instances", "types", "modes", "attributes", "jobs", "objects", "choices"):
            result = self.vgpuctl("__complete", kind)
            self.assertEqual(result.err, "", kind)
            self.assert_safe(result.out, kind)
        # A safe word with an unsafe explanation is offered.
        self.change(gpu_path(SAMPLE), GPU, Name=SAMPLE)
        self.assertEqual([line.split("\t")[0] for line in self.vgpuctl("__complete", "gpus").out.splitlines()], [SAMPLE])

    def test_json_keeps_the_text(self):
        data = json.loads(self.vgpuctl("show", GVT, "--json").out)
        self.assertTrue(data["gpu"]["reason"].endswith(self.EVIL))

    def test_numbers_below_all_ranges(self):
        self.change(gpu_path(GVT), GPU, NumaNode=dbus.Int32(-2**31))
        self.change(instance_path(FIRST), INSTANCE, IommuGroup=dbus.Int32(-2**31))
        for words in (["show", GVT], ["show", FIRST], ["place", "id" + self.EVIL]):
            for form in ([], ["--json"]):
                self.assertIn(self.vgpuctl(*words, *form).status, (0, 5), [*words, *form])

    def test_errors(self):
        for form in ([], ["--json"]):
            self.bus.control("FailWith", "org.vgpud1.Error.Failed", "no" + self.EVIL,
                             {"hint": "hint" + self.EVIL, "instance": self.EVIL}, signature="ssa{sv}")
            result = self.vgpuctl("rescan", *form)
            self.assertEqual(result.status, 1, result)
            self.assert_safe(result.out + result.err, form)

    def test_monitor(self):
        for form in ([], ["--json"]):
            p = self.program("monitor", *form)
            end = time.monotonic() + harness.LIMIT_S
            while "mark" not in p.text and time.monotonic() < end:
                self.change(gpu_path(SAMPLE), GPU, Reason=f"mark{time.monotonic()}" + self.EVIL, Driver=self.EVIL)
                p.read(0.2)
            self.assertIn("mark", p.text)
            self.assert_safe(p.text, form)


class Errors(Case):
    """Every error has an exit status and plain words."""

    def test_each_error_of_the_table(self):
        for name, status in error_table():
            for args in (("create", "mdpy-xga"), ("destroy", FIRST), ("rescan", "mdpy"), ("cancel", "3")):
                with self.subTest(name=name, verb=args[0]):
                    full = f"org.vgpud1.Error.{name}"
                    if args[0] == "rescan":  # rescan first lists the GPUs, and that call would take the error
                        self.bus.control("Fail", full, "unused", signature="ss")
                        self.assertIn("unused", self.bad(status, "gpus"))
                    self.bus.control("Hold", True)
                    p = None
                    if args[0] != "rescan":
                        self.bus.control("Fail", full, "the very reason", signature="ss")
                        said = self.bad(status, *args)
                    else:
                        p = self.program(*args)
                        wait_for(lambda: self.data("jobs")["jobs"], "the job")
                        number = self.data("jobs")["jobs"][0]["id"]
                        self.bus.control("End", dbus.UInt32(number), "failed", full, "the very reason", signature="usss")
                        self.assertEqual(p.finish(), status)
                        said = p.errors
                    self.assertIn("the very reason", said)
                    self.assertTrue(said.startswith("vgpuctl: "), said)
                    self.bus.control("Fail", full, "the very reason", signature="ss")
                    error = self.failed(status, "destroy", FIRST)
                    self.assertEqual((error["exit_status"], error["name"], error["object"]), (status, full, FIRST))

    def test_statuses_stand_in_the_manual(self):
        section = MANUAL[MANUAL.index("\nEXIT STATUS\n"):MANUAL.index("\nENVIRONMENT\n")]
        for name, status in error_table():
            entry = re.search(rf"^\*{status}\*\n((?: .*\n)+)", section, re.M)[1]
            self.assertIn(name, re.split(r"\W+", entry), f"{name} under {status}")

    def test_the_manual_promises_no_errno(self):
        """sd-bus makes EIO of unregistered error names: the errno of the table is internal to the daemon."""
        self.assertNotRegex((TOP / "man/org.vgpud1.5.rst.in").read_text() + (TOP / "man/api-manual.py").read_text(), r"errno")

    def test_errors_of_the_bus(self):
        for name, status, hint in (
                ("org.freedesktop.DBus.Error.AccessDenied", 4, "ask-administrator"),
                ("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", 4, "ask-administrator"),
                ("org.freedesktop.DBus.Error.NoReply", 1, "check-service"),
                ("org.freedesktop.DBus.Error.Timeout", 1, "check-service"),
                ("org.freedesktop.DBus.Error.ServiceUnknown", 1, "check-service"),
                ("org.freedesktop.DBus.Error.Spawn.ChildExited", 1, "check-service"),
                ("org.freedesktop.systemd1.LoadFailed", 1, "check-service"),
                ("org.freedesktop.DBus.Error.UnknownMethod", 1, "restart-daemon"),
                ("org.freedesktop.DBus.Error.InvalidArgs", 2, None),
                ("org.example.Error.Strange", 1, None)):
            for args in (("list",), ("create", "mdpy-xga"), ("destroy", FIRST)):
                self.bus.control("Fail", name, "the very reason", signature="ss")
                self.assertIn("the very reason", self.bad(status, *args))
                self.bus.control("Fail", name, "the very reason", signature="ss")
                error = self.failed(status, *args)
                self.assertEqual((error["name"], error["hint_id"]), (name, hint))

    def test_no_daemon(self):
        self.bus.stop_mock()
        for args in ((), ("list",), ("create", "x"), ("destroy", "x", "y"), ("cancel", "1"), ("rescan",)):
            self.bad(1, *args)
        self.assertEqual(self.failed(1, "list")["hint_id"], "check-service")

    def test_no_bus(self):
        for verb in (("list",), ("create", "x"), ("monitor",)):
            self.bad(1, *verb, environment={"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent/bus"})

    def test_daemon_dies_meanwhile(self):
        self.bus.control("Hold", True)
        p = self.program("destroy", "desk", "4f0cd", "c2c1", "--foreign")
        wait_for(lambda: self.calls("DestroyMany"), "the call")
        self.bus.stop_mock(signal.SIGKILL)
        self.assertEqual(p.finish(), 1)
        for word in ("desk", "4f0cd", "c2c1"):
            self.assertRegex(p.errors, rf"(?m)^vgpuctl: .*\b{word}\b")

    def test_another_daemon_meanwhile(self):
        """The daemon dies before vgpuctl subscribes to NameOwnerChanged; the next daemon does not know the job."""
        self.bus.control("Hold", True)
        p = self.program("destroy", "desk")
        wait_for(lambda: self.calls("Destroy"), "the call")
        self.bus.stop_mock(signal.SIGKILL)
        self.bus.start_mock()
        self.assertEqual(p.finish(), 1)
        self.assertRegex(p.errors, r"(?m)^vgpuctl: .*\bdesk\b")

    def test_no_other_daemon_for_long(self):
        """The next daemon takes longer to start than vgpuctl waits for the answer to a question."""
        service = self.bus.services / "org.vgpud1.service"
        service.write_text("[D-BUS Service]\nName=org.vgpud1\nExec=/bin/sleep 20\n")
        self.addCleanup(service.unlink)
        self.bus.connection.call_blocking("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                          "ReloadConfig", "", ())
        self.bus.control("Hold", True)
        p = self.program("destroy", "desk")
        wait_for(lambda: self.calls("Destroy"), "the call")
        self.bus.stop_mock(signal.SIGKILL)
        self.assertEqual(p.finish(), 1)
        self.assertRegex(p.errors, r"(?m)^vgpuctl: .*\bdesk\b")

    def test_daemon_dies_before_its_answer_is_read(self):
        self.bus.control("Hold", True)
        slow = Withholding(self.bus)
        self.addCleanup(slow.close)
        p = self.program("create", "mdpy-xga", environment=slow.environment)
        wait_for(lambda: self.calls("Create"), "the call")
        self.bus.stop_mock(signal.SIGKILL)
        self.assertFalse(p.read(1))  # vgpuctl listens now
        slow.release()
        self.assertEqual(p.finish(), 1)

    def test_stuck_job_and_a_refused_question(self):
        self.bus.control("Hold", True)
        p = self.program("create", "mdpy-xga")
        wait_for(lambda: self.calls("Create"), "the call")
        self.bus.control("Fail", "org.vgpud1.Error.TooManyCalls", "busy", signature="ss")
        self.change("/org/vgpud1/job/17", JOB, State="stuck")
        self.assertEqual(p.finish(), 6)

    def test_usage(self):
        self.calls()
        for args in (("frobnicate",), ("--frobnicate",), ("-x",), ("list", "--count", "3"), ("gpus", "more"),
                     ("types", "a", "b"), ("create",), ("create", ""), ("create", "a", "b"), ("create", "a", "--type", "b"),
                     ("create", "a", "--uuid", "zz"),
                     ("create", "a", "--uuid", "00000000-0000-0000-0000-000000000000"), ("create", "a", "--uuid"),
                     ("create", "a", "--count", "0"),
                     ("create", "a", "--count", "1025"), ("create", "a", "--count", "-1"), ("create", "a", "--count", "2x"),
                     ("create", "a", "--count", "2", "--name", "n"), ("create", "a", "--attr", "novalue"),
                     ("create", "a", "--gpu", ""), ("create", "a", "--gpu="),
                     ("create", "a", "--count", "2", "--uuid", "00000000-0000-4000-8000-000000000001"),
                     ("create", "a", "--attr", "=value"), ("create", "a", "--timeout", "soon"),
                     ("create", "a", "--timeout", "0"), ("create", "a", "--timeout", "1s", "--no-block"),
                     ("rescan", "--timeout", "1s", "--no-block"), ("wait",), ("wait", ""), ("wait", "job", "x"), ("wait", "job", "0"),
                     ("wait", "a", "--no-block"), ("monitor", "--full"), ("gpus", "--all"), ("create", "a", "--foreign"), ("destroy",), ("destroy", ""),
                     ("destroy", "a", "--gpu", "b"), ("cancel",), ("cancel", "x"), ("cancel", "0"), ("cancel", "-1"),
                     ("cancel", "1", "2"), ("show",), ("show", "a", "b"), ("show", "job", "x"), ("show", "job", "0"),
                     ("enable-vfs",), ("enable-vfs", "a", "0"), ("enable-vfs", "a", "-1"), ("enable-vfs", "a", "x"),
                     ("enable-vfs", "a", "1", "2"), ("disable-vfs",), ("disable-vfs", "a", "1"), ("configure",),
                     ("configure", "a", "b"), ("configure", "a", "b", "c", "d"), ("list", "--why"), ("types", "--foreign"),
                     ("rescan", "a", "b"), ("monitor", "x"), ("help", "frobnicate"), ("--host", ""), ("list", "--json=3"),
                     ("list", "--name", "x"), ("jobs", "--no-block"), ("create", b"\xff\xfe")):
            with self.subTest(args):
                self.assertIn("help", self.bad(2, *args))
        self.assertEqual(self.calls(), [])

    def test_options_that_are_not(self):
        """The message names the typed word."""
        for args, named in ((("--help=3",), "--help"), (("--quiet=1",), "--quiet"), (("list", "--json=3"), "--json"), (("-x",), "-x"),
                            (("list", "-qx"), "-x"), (("--frobnicate",), "--frobnicate"), (("--frobnicate=1",), "--frobnicate=1"),
                            (("-H",), "-H"), (("create", "--gpu"), "--gpu")):
            self.assertIn(f" {named}", self.bad(2, *args).partition("\n")[0])

    def test_output_that_cannot_be_written(self):
        with open("/dev/full", "wb") as full:
            for args in (("list",), ("gpus", "--json"), ("help",), ("--version",), ("create", "mdpy-xga")):
                done = subprocess.run([case.PROGRAM, *args], stdout=full, stderr=subprocess.PIPE, env=self.bus.environment,
                                      timeout=harness.LIMIT_S, check=False)
                self.assertEqual(done.returncode, 1)
                self.assertIn(os.strerror(errno.ENOSPC), done.stderr.decode())
                if args[0] == "create":  # the error names the new instance
                    self.assertRegex(done.stderr.decode(), UUID)


class Names(Case):
    """Objects named by words of the command line."""

    def test_instances(self):
        for what in (FIRST, FIRST.upper(), "4f0c2", "4F0C2", "desk", FIRST[:35]):
            self.assertEqual(self.good("show", what, "-q"), f"{FIRST}\n")
        said = self.bad(2, "show", "4f0c")
        self.assertIn(FIRST, said)
        self.assertIn(SECOND, said)
        self.assertEqual(self.good("show", instance_path(FIRST), "-q"), f"{FIRST}\n")
        for what in ("4f0c3", "des", "", "4f0c2ab6-8d0e-4c53-9d61-0f4f4a1d2c01x", "%", "4f0c2ab6-8d0e-4c53-9d61-0f4f4a1d2c0a",
                     instance_path("4f0c2ab6-8d0e-4c53-9d61-0f4f4a1d2c0a")):
            error = self.failed(3, "show", what)
            self.assertEqual((error["name"], error["hint_id"], error["object"]),
                             ("org.vgpud1.Error.NoSuchInstance", "list-instances", what))

    def test_only_on_record(self):
        """vgpuctl asks the daemon about a name or UUID that the daemon does not list, and prints the reason."""
        reason = "the driver of its GPU is gone"
        for word in ("nope", "4f0c2ab6-8d0e-4c53-9d61-0f4f4a1d2c0a"):
            for more in ((), ("-q",)):
                for code, status in (("NotSupported", 7), ("GpuGone", 1), ("GpuStuck", 6), ("NoSuchInstance", 3)):
                    self.bus.control("FailOf", "GetInstance", f"org.vgpud1.Error.{code}", reason, signature="sss")
                    error = self.failed(status, "show", word, *more)
                    self.assertEqual((error["name"], error["object"]), (f"org.vgpud1.Error.{code}", word))
                    self.assertIn(reason, error["message"])
        self.calls()
        for word in ("mdpy", "desk", FIRST, GVT):
            self.good("show", word)
        self.assertEqual(self.calls("GetInstance"), [])  # listed objects need no question

    def test_appears_meanwhile(self):
        """The daemon knows an instance that its earlier list lacks."""
        self.bus.control("Unlist", FIRST)
        self.assertEqual(self.good("show", "desk", "-q"), f"{FIRST}\n")

    def test_gpus(self):
        for what in (GVT, "0000:00", "02.0", "00:02.0"):
            self.assertEqual(self.good("show", what, "-q"), f"{GVT}\n")
        for verb in ("types", "list", "rescan", "show"):
            self.assertIn(NVIDIA, self.bad(2, verb, "0000:"))
            self.assertIn("no ", self.bad(3, verb, "0000:7f"))
        self.bad(3, "show", "MDPY")  # the kernel and the daemon distinguish capitals

    def test_addresses_of_other_tools(self):
        """Each form of the address names the GPU in every verb, even if the name of another GPU ends in the same way."""
        forms = ("00000000:41:00.0", "0000:41:00.0", "41:00.0", "pci_0000_41_00_0", "pci@0000:41:00.0", "PCI:65:0:0",
                 "PCI:0000:41:00", "pci-0000:41:00.0", "pci-0000_41_00_0")
        for word in forms:
            with self.subTest(word=word):
                for verb in ("show", "rescan"):
                    self.assertEqual(self.vgpuctl(verb, word).status, 0)
                self.assertEqual(self.good("show", word, "-q"), f"{NVIDIA}\n")
                self.assertEqual(self.good("types", word, "-q"), "nvidia-746\n")
                self.assertEqual(self.data("list", word), self.data("list", NVIDIA))
                self.assertEqual(self.good("__complete", "types", "--gpu", word).partition("\t")[0], "nvidia-746")
        self.calls()
        self.good("create", "nvidia-746", "--gpu", forms[0], "--no-block")
        self.assertEqual(self.calls("Create")[0]["args"][0], NVIDIA)
        for word in ("0000:4100.0", "10de:41:00.0", "pci_0000_41_00", "00000000:42:00.0", "pci_0000_42_00_0"):
            self.bad(3, "show", word)

    def test_a_gpu_and_an_instance(self):
        """An ambiguous word is refused; an exact name wins."""
        self.assertIn(FIRST, self.bad(2, "show", "4"))  # two instances
        self.change(instance_path(FIRST), INSTANCE, Name="mdp")
        self.assertEqual(self.good("show", "mdp", "-q"), f"{FIRST}\n")
        both = mock_host.make_instance("10000000-0000-4000-8000-000000000001", SAMPLE, "mdpy-xga", "1024x768")
        self.bus.control("Add", dbus.ObjectPath(instance_path(both["Uuid"])), {INSTANCE: both}, signature="oa{sa{sv}}")
        said = self.bad(2, "show", "1000")
        self.assertIn(OLD, said)
        self.assertIn(both["Uuid"], said)

    def test_jobs(self):
        self.assertIn("99", self.bad(3, "show", "job", "99"))
        self.assertIn("99", self.bad(3, "cancel", "99"))
        self.change(instance_path(FIRST), INSTANCE, Name="job")
        self.assertEqual(self.good("show", "job", "-q"), f"{FIRST}\n")

    def test_many_candidates(self):
        """The message about an ambiguous word names only the first of many matches."""
        self.bus.control("ManyInstances", dbus.UInt32(100), signature="u")
        said = self.bad(2, "show", "abcd")
        self.assertEqual(said.count("abcd0000"), 8)
        self.assertIn("\u2026", said)
        self.assertLess(len(said), 600)


class Create(Case):
    def asked(self):
        calls = self.calls("Create")
        self.assertEqual(len(calls), 1)
        return calls[0]["args"]

    def test_plain(self):
        self.calls()
        out = self.good("create", "mdpy-xga")
        self.assertRegex(out, f"^{UUID.pattern}\n$")
        calls = self.calls()
        self.assertEqual([c["member"] for c in calls], ["Create"], "one call, and no other")
        self.assertEqual(calls[0]["args"], ["", "mdpy-xga", {}])
        self.assertIn(out, self.good("list", "-q"))

    def test_all_options(self):
        out = self.good("create", "--type", "mdpy-xga", "--gpu", "mdpy", "--uuid", "B7AE9BC4-5D6E-4F1C-9A1E-2F0D3C4B5A69",
                        "--name", "desk2", "--parent", "mdpy", "--attr", "b=2=3", "--attr", "a=", "--timeout", "2min")
        self.assertEqual(out, "b7ae9bc4-5d6e-4f1c-9a1e-2f0d3c4b5a69\n")
        self.assertEqual(self.asked(), ["mdpy", "mdpy-xga", {
            "uuid": "b7ae9bc4-5d6e-4f1c-9a1e-2f0d3c4b5a69", "name": "desk2", "parent": "mdpy",
            "attributes": [["b", "2=3"], ["a", ""]]}])

    def test_count(self):
        out = self.good("create", "mdpy-xga", "--count=3", "--gpu=mdpy")
        self.assertEqual(len(UUID.findall(out)), 3)
        self.assertEqual(self.asked(), ["mdpy", "mdpy-xga", {"count": 3}])
        self.assertEqual(sorted(out.split()), sorted(self.good("list", "mdpy", "-q").split()))

    def test_count_of_one(self):
        self.good("create", "mdpy-xga", "--count", "1", "--name", "single")
        self.assertNotIn("count", self.asked()[2])

    def test_no_block(self):
        self.bus.control("Hold", True)
        self.assertEqual(self.good("create", "mdpy-xga", "--no-block"), "17\n")
        self.assertNotIn("wait", self.asked()[2])
        answer = self.data("create", "mdpy-xga", "--no-block", "--uuid", "b7ae9bc4-5d6e-4f1c-9a1e-2f0d3c4b5a69")
        identity = "b7ae9bc4-5d6e-4f1c-9a1e-2f0d3c4b5a69"
        self.assertEqual(answer, {"job": 18, "result": "queued", "instances": [
            {"object_path": instance_path(identity), "uuid": identity, "gpu": SAMPLE, "type": "mdpy-xga", "parent": None,
             "hand_over": None}]})

    def test_json(self):
        answer = self.data("create", "mdpy-xga")
        instance = self.data("show", self.good("list", "mdpy", "-q").strip())["instance"]
        self.assertEqual(answer, {"job": 17, "result": "done", "instances": [
            {k: instance[k] for k in ("object_path", "uuid", "gpu", "type", "parent", "hand_over")}]})

    def test_a_type_with_blanks(self):
        self.bus.control("Fail", "org.vgpud1.Error.NoSuchType", "mdpy offers mdpy-vga and mdpy-xga", signature="ss")
        said = self.bad(3, "create", "NVIDIA A2-4Q", "--gpu", gpu_path(NVIDIA))
        for fact in ("NVIDIA A2-4Q", gpu_path(NVIDIA), ": mdpy offers mdpy-vga and mdpy-xga"):
            self.assertIn(fact, said)
        self.assertEqual(self.asked()[:2], [NVIDIA, "NVIDIA A2-4Q"])

    def test_gpu_by_a_part_of_its_name(self):
        """vgpuctl resolves the word: the daemon takes whole names only."""
        self.good("create", "nvidia-746", "--gpu", "41:00.0", "--no-block")
        self.assertEqual(self.asked()[:2], [NVIDIA, "nvidia-746"])
        self.assertEqual(self.failed(3, "create", "nvidia-746", "--gpu", "99:")["name"], "org.vgpud1.Error.NoSuchGpu")
        self.assertEqual(self.failed(2, "create", "nvidia-746", "--gpu", "0000:")["hint_id"], "longer-prefix")
        self.assertEqual(self.calls("Create"), [])

    def test_hints(self):
        """The daemon's hint is in the details of an error, or, without details, in its message. Without a hint of the daemon,
        vgpuctl gives a general hint."""
        details = {"hint": "enable some: vgpuctl enable-vfs", "hint_id": "enable-vfs"}
        self.bus.control("FailWith", "NoCapacity", "no functions are enabled", details, signature="ssa{sv}")
        said = self.bad(5, "create", "vf")
        self.assertRegex(said, rf"\Avgpuctl: .*: no functions are enabled\.\nHint: {details['hint']}\.\n\Z")
        self.bus.control("FailWith", "NoCapacity", "no functions are enabled", details, signature="ssa{sv}")
        error = self.failed(5, "create", "vf")
        self.assertEqual((error["hint"], error["hint_id"]), tuple(details.values()))
        self.assertNotIn("Hint", error["message"])
        self.bus.control("Fail", "org.vgpud1.Error.NoCapacity", "no functions\nHint: enable some", signature="ss")
        error = self.failed(5, "create", "vf")
        self.assertEqual((error["message"].rpartition(": ")[2], error["hint"], error["hint_id"]), ("no functions", "enable some", None))
        self.bus.control("Fail", "org.vgpud1.Error.NoCapacity", "no functions", signature="ss")
        self.assertEqual(self.failed(5, "create", "vf")["hint_id"], "explain-types")
        self.bus.control("FailWith", "NoSuchType", "no", {"hint": "vf-profile?", "hint_id": "choose-other"}, signature="ssa{sv}")
        self.assertTrue(self.bad(3, "create", "vf-profil").endswith("\nHint: vf-profile?\n"))


class Gpus(Case):
    """enable-vfs, disable-vfs, configure."""

    def asked(self, member):
        calls = self.calls(member)
        self.assertEqual(len(calls), 1)
        self.assertEqual(calls[0]["path"], ROOT if member == "ForgetSettings" else gpu_path(NVIDIA))
        return calls[0]["args"]

    def test_enable_all(self):
        self.assertEqual(self.good("enable-vfs", "41:00.0"), "")
        self.assertEqual(self.asked("SetVfs"), [16, {}])
        self.assertEqual(self.data("show", NVIDIA)["gpu"]["enabled_vfs"], 16)

    def test_enable_some(self):
        self.assertEqual(self.good("enable-vfs", NVIDIA, "3", "--timeout", "2min"), "")
        self.assertEqual(self.asked("SetVfs"), [3, {}])
        shown = self.good("show", NVIDIA)
        self.assertIn("VFs: 3 of 16", shown)
        self.assertEqual(self.good("enable-vfs", NVIDIA, "4", "--no-block"), "18\n")
        self.assertEqual(self.asked("SetVfs"), [4, {}])
        self.assertEqual(self.data("enable-vfs", NVIDIA, "5"),
                         {"results": [{"gpu": NVIDIA, "job": 19, "result": "done", "error": None}]})

    def test_disable(self):
        self.assertEqual(self.good("disable-vfs", NVIDIA), "")
        self.assertEqual(self.asked("SetVfs"), [0, {}])
        self.assertEqual(self.data("show", NVIDIA)["gpu"]["vfs"], [])

    def test_none_to_enable(self):
        self.calls()
        self.assertEqual(self.failed(7, "enable-vfs", "mdpy")["name"], "org.vgpud1.Error.NotSupported")
        self.assertEqual(self.calls("SetVfs"), [])
        # The daemon knows the reason of a GPU that offers nothing.
        self.bus.control("Fail", "org.vgpud1.Error.NotSupported", "max_vfs is 0", signature="ss")
        error = self.failed(7, "enable-vfs", OLD)
        self.assertEqual(error["name"], "org.vgpud1.Error.NotSupported")
        self.assertIn("max_vfs is 0", error["message"])

    def test_configure(self):
        self.assertEqual(self.good("configure", NVIDIA, "heterogeneous", "yes"), "")
        self.assertEqual(self.asked("Configure"), ["heterogeneous", "yes", {}])
        self.assertEqual(self.data("configure", NVIDIA), {"gpu": NVIDIA, "modes": [
            {"name": "heterogeneous", "value": "yes", "choices": ["no", "yes"], "help": "types of several sizes beside each other"},
            {"name": "mig", "value": "no", "choices": None, "help": None}]})
        self.assertEqual(self.good("configure", NVIDIA, "-q"), "heterogeneous\nmig\n")
        self.assertEqual(self.good("configure", "mdpy"), "")
        self.assertEqual(self.data("configure", "mdpy"), {"gpu": SAMPLE, "modes": []})

    def test_keep(self):
        self.assertEqual(self.good("enable-vfs", NVIDIA, "3", "--keep"), "")
        self.assertEqual(self.asked("SetVfs"), [3, {"keep": True}])
        self.assertEqual(self.good("configure", NVIDIA, "heterogeneous", "yes", "--keep"), "")
        self.assertEqual(self.asked("Configure"), ["heterogeneous", "yes", {"keep": True}])
        gpu = self.data("show", NVIDIA)["gpu"]
        self.assertEqual((gpu["kept_vfs"], gpu["kept_modes"], gpu["kept_reason"]),
                         (3, [{"name": "heterogeneous", "value": "yes"}], None))
        self.assertIn("Kept: 3 VFs, heterogeneous yes\n", self.good("show", NVIDIA))
        self.assertEqual(self.data("gpus")["gpus"][1]["kept_vfs"], 3)
        self.assertEqual(self.good("disable-vfs", NVIDIA, "--keep"), "")
        self.assertIsNone(self.data("show", NVIDIA)["gpu"]["kept_vfs"])
        self.failed(2, "configure", NVIDIA, "--keep")
        self.failed(2, "rescan", NVIDIA, "--keep")

    def test_forget(self):
        self.good("enable-vfs", NVIDIA, "3", "--keep")
        self.good("configure", NVIDIA, "heterogeneous", "yes", "--keep")
        self.calls()
        self.assertEqual(self.good("forget", "41:00.0", "vfs"), "")
        self.assertEqual(self.asked("ForgetSettings"), [NVIDIA, {"vfs": True}])
        self.assertEqual(self.data("forget", NVIDIA, "heterogeneous"),
                         {"results": [{"gpu": NVIDIA, "job": None, "result": "done", "error": None}]})
        self.assertEqual(self.asked("ForgetSettings"), [NVIDIA, {"mode": "heterogeneous"}])
        self.assertEqual(self.good("forget", NVIDIA), "")
        self.assertEqual(self.asked("ForgetSettings"), [NVIDIA, {}])
        self.assertNotIn("Kept:", self.good("show", NVIDIA))
        self.bus.control("Fail", "org.vgpud1.Error.InvalidArgs", "no settings are kept", signature="ss")
        self.assertEqual(self.failed(2, "forget", NVIDIA, "mig")["name"], "org.vgpud1.Error.InvalidArgs")

    def test_forget_absent_gpu(self):
        for word, name in (("7f:00.0", "0000:7f:00.0"), ("0000:7f:00.0", "0000:7f:00.0"),
                           ("pci_0000_7f_00_0", "0000:7f:00.0"), (gpu_path("0000:7f:00.0"), "0000:7f:00.0"),
                           ("gone", "gone")):  # fmt: skip
            self.bus.control("KeepOfAbsent", name, signature="s")
            self.assertEqual(self.good("forget", word), "")
            self.assertEqual(self.asked("ForgetSettings"), [name, {}])
        self.assertEqual(self.failed(3, "forget", "7f:00.0")["name"], "org.vgpud1.Error.NoSuchGpu")

    def test_reason(self):
        """Why a kept setting is not in effect."""
        self.change(gpu_path(NVIDIA), GPU, KeptVfs=dbus.Int32(16), KeptReason="the driver is missing")
        self.assertIn(": the driver is missing\n", self.good("show", NVIDIA))

    def test_refused(self):
        for args in (("enable-vfs", NVIDIA, "3"), ("disable-vfs", NVIDIA), ("configure", NVIDIA, "mig", "yes")):
            self.bus.control("Hold", True)
            number = self.next_number(args)
            p = self.program(*args)
            wait_for(lambda n=number: str(n) in self.good("jobs", "-q").split(), "the job")
            self.bus.control("End", dbus.UInt32(number), "failed", "org.vgpud1.Error.InUse", "qemu holds 0000:41:00.5",
                             signature="usss")
            self.assertEqual(p.finish(), 6)
            self.assertIn(f"{NVIDIA}: qemu holds 0000:41:00.5", p.errors)

    def next_number(self, args):
        """The number of the next job."""
        number = int(self.good(*args, "--no-block"))
        self.bus.control("End", dbus.UInt32(number), "canceled", "org.vgpud1.Error.Canceled", "", signature="usss")
        return number + 1

    def test_options_of_a_type(self):
        """The error about a wrong option has a hint that leads to the list of options."""
        about, other = "type vf has no option vram", "\"a b\" cannot be a name"
        for attributes, text, hint in (((), about, False), (("--attr", "vram=1G"), about, True), (("--attr", "vram=1G"), other, False),
                                       (("--attr", "x=1"), "the value of the attribute is empty", True)):
            self.bus.control("Fail", "org.vgpud1.Error.InvalidArgs", text, signature="ss")
            self.assertEqual(self.failed(2, "create", "vf", *attributes)["hint_id"], "explain-types" if hint else None)


class Place(Case):
    def test_table(self):
        self.golden("place.txt", self.good("place", "mdpy-xga"))
        self.assertEqual([c["args"] for c in self.calls()], [["mdpy-xga", {}]], "one call, and no other")
        self.golden("place-none.txt", self.vgpuctl("place", "i915-GVTg_V5_4", "--count", "2", "--near", "41:00.0").out)

    def test_options(self):
        self.good("place", "--dry-run", "--type=mdpy-xga", "--count=3", "--strategy=depth", "--numa-node=1",
                  "--prefer-numa-node", "0", "--near=0000:41:00.0", "--pool=ai")
        self.assertEqual(self.calls("Place")[0]["args"],
                         ["mdpy-xga", {"count": 3, "strategy": "depth", "near": "0000:41:00.0", "pool": "ai", "numa_node": 1,
                                       "preferred_numa_node": 0}])
        self.good("create", "mdpy-xga", "--strategy=separated", "--numa-node=0", "--near=mdp", "--pool=ai")
        options = self.calls("Create")[0]["args"][2]
        self.assertEqual({k: options[k] for k in ("strategy", "numa_node", "near", "pool")},
                         {"strategy": "separated", "numa_node": 0, "near": "mdpy", "pool": "ai"})
        self.assertNotIn("preferred_numa_node", options)

    def test_json(self):
        place = self.data("place", "mdpy-xga", "--near", "mdpy")
        self.assertEqual([place[k] for k in ("gpu", "type", "count", "strategy")], [SAMPLE, "mdpy-xga", 1, "breadth"])
        self.assertEqual(place["candidates"][0],
                         {"gpu": SAMPLE, "object_path": gpu_path(SAMPLE), "type": "mdpy-xga", "fits": True, "would_wait": False,
                          "reason": None, "reason_id": None, "hint": None, "hint_id": None, "error": None, "room": 4, "available": 5,
                          "promised": 1, "spare": 0, "instances": 2, "numa_node": None, "distance": 4})
        other = next(c for c in place["candidates"] if c["gpu"] == NVIDIA)
        self.assertEqual((other["type"], other["fits"], other["reason_id"], other["error"], other["numa_node"]),
                         (None, False, "no-such-type", "org.vgpud1.Error.NoSuchType", 1))
        section = MANUAL[MANUAL.index("\n*place*\n"):MANUAL.index("\n*destroy*\n")]
        self.assertEqual(set(place) - set(re.findall(r"\w+", section)), set())
        self.assertEqual(set(other) - set(re.findall(r"\w+", section)), set())

    def test_quiet(self):
        self.assertEqual(self.good("place", "-q", "mdpy-xga"), SAMPLE + "\n")
        self.assertEqual(self.vgpuctl("place", "-q", "mdpy-xga", "--count=9").out, "")

    def test_none(self):
        self.assertRegex(self.bad(5, "place", "mdpy-xga", "--count", "9"), r"\b9\b.*\bmdpy-xga\b")
        result = self.vgpuctl("place", "mdpy-xga", "--count", "9", "--json")
        place = json.loads(result.out)
        self.check("place", place)
        self.assertEqual((result.status, place["gpu"]), (5, None))
        self.assertIn("choose-other", [c["hint_id"] for c in place["candidates"]])
        self.assertEqual({c["gpu"]: c["reason_id"] for c in place["candidates"]},
                         {SAMPLE: "no-room", GVT: "no-such-type", NVIDIA: "no-such-type", OLD: "no-such-type"})
        self.assertEqual(self.error(result)["name"], "org.vgpud1.Error.NoCapacity")
        self.bad(7, "place", "mdpy-xga", "--count", "9", "--pool=other")
        self.good("place", "mdpy-xga", "--count", "9", "--pool=wait")
        self.assertIs(self.data("place", "mdpy-xga", "--count", "9", "--pool=wait")["candidates"][0]["would_wait"], True)
        self.bad(5, "place", "mdpy-xga", "--count", "9", "--pool=mute")

    def test_errors(self):
        self.bus.control("Fail", "org.vgpud1.Error.NoSuchType", "no GPU offers a type \"x\"")
        self.assertIn(": no GPU offers a type \"x\"", self.bad(3, "place", "x"))
        for words in (["place"], ["place", ""], ["place", "a", "--type=b"], ["place", "a", "b"], ["place", "a", "--gpu=x"],
                      ["place", "a", "--numa-node=-1"], ["place", "a", "--prefer-numa-node=x"], ["place", "a", "--count=0"],
                      ["list", "--near=x"], ["create", "a", "--dry-run"]):
            self.bad(2, *words)
        self.assertEqual(self.calls("Place")[1:], [])


class Destroy(Case):
    def test_by_what_is_typed(self):
        for word, members in (("desk", ["ListInstances", "Destroy"]), (FIRST.upper(), ["Destroy"]), (instance_path(FIRST), ["Destroy"]),
                              ("4f0c2", ["ListInstances", "Destroy"])):
            self.bus.control("Reset")
            self.assertEqual(self.good("destroy", word), "")
            calls = self.calls()
            self.assertEqual([c["member"] for c in calls], members)
            self.assertEqual(calls[-1]["args"], [instance_path(FIRST), {}])
            self.assertNotIn(FIRST, self.good("list", "-q"))

    def test_a_beginning_is_long_enough(self):
        """Whole names win; the beginning of a UUID needs 4 digits."""
        for word in ("4", "4f0", "c2c"):
            error = self.failed(2, "destroy", word)
            self.assertEqual((error["name"], error["object"]), ("org.vgpud1.Error.InvalidArgs", word))
        self.assertEqual(self.failed(2, "destroy", "4f0c")["name"], "org.vgpud1.Error.Ambiguous")
        self.assertEqual(self.failed(3, "destroy", "des")["name"], "org.vgpud1.Error.NoSuchInstance")
        self.assertEqual(self.calls("Destroy"), [])
        for name in ("100", "abc", "d", "4f0c"):
            self.change(instance_path(SECOND), INSTANCE, Name=name)
            self.assertEqual(self.good("show", name, "-q"), f"{SECOND}\n")
        self.good("destroy", "4f0c")
        self.assertNotIn(SECOND, self.good("list", "-q"))

    def test_foreign(self):
        self.assertEqual(self.failed(4, "destroy", FOREIGN)["hint_id"], "use-foreign")
        self.calls()
        self.good("destroy", FOREIGN, "--foreign", "--timeout", "30")
        self.assertEqual(self.calls("Destroy")[0]["args"], [instance_path(FOREIGN), {"foreign": 1}])
        self.assertNotIn(FOREIGN, self.good("list", "-q"))

    def test_only_on_record(self):
        """vgpuctl asks the daemon about a name that the list lacks, and prints the daemon's reason."""
        self.calls()
        self.assertEqual(self.failed(3, "destroy", "nope")["name"], "org.vgpud1.Error.NoSuchInstance")
        self.assertEqual([(c["member"], c["args"]) for c in self.requests()][1:],
                         [("GetInstance", ["nope", {}]), ("GetDefinition", ["nope", {}])])
        reason = "the driver of its GPU is gone"
        for code, status in (("NotSupported", 7), ("GpuGone", 1), ("GpuStuck", 6)):
            self.bus.control("FailOf", "GetInstance", f"org.vgpud1.Error.{code}", reason, signature="sss")
            error = self.failed(status, "destroy", "nope")
            self.assertEqual((error["name"], error["object"]), (f"org.vgpud1.Error.{code}", "nope"))
            self.assertIn(reason, error["message"])

    def test_all_are_tried(self):
        """The status is the first failure in the order of the command line."""
        said = self.bad(3, "destroy", "nope", "desk", FOREIGN, "4f0cd")
        self.assertEqual(self.good("list", "-q"), f"{FOREIGN}\n")
        self.assertEqual(len(re.findall("^vgpuctl: ", said, re.M)), 2)
        self.assertEqual(self.vgpuctl("destroy", FOREIGN, "nope").status, 4)
        self.bus.control("Reset")
        self.calls()
        self.assertEqual(self.good("destroy", "desk", "4f0cd", FIRST), "")
        self.assertEqual([(c["member"], c["args"]) for c in self.requests()][1:],
                         [("DestroyMany", [[instance_path(FIRST), instance_path(SECOND)], {}])])
        self.bus.control("Reset")
        self.vgpuctl("destroy", "desk", FOREIGN)
        self.assertEqual([c["member"] for c in self.requests()], ["ListInstances", "DestroyMany", "Destroy", "Destroy"])

    def test_one_of_a_job_fails(self):
        """Some instances of a job fail: the result of the job names them."""
        self.bus.control("Hold", True)
        p = self.program("destroy", "desk", FOREIGN, "4f0cd", "--foreign", "--json")
        wait_for(lambda: len(self.good("jobs", "-q").split()) == 2, "the jobs")
        failure = {"instance": dbus.ObjectPath(instance_path(FOREIGN)), "error_name": "org.vgpud1.Error.InUse",
                   "message": "qemu holds it", "hint": "stop qemu", "hint_id": "stop-user"}
        more = {"failures": dbus.Array([dbus.Dictionary(failure, signature="sv")], signature="a{sv}")}
        self.bus.control("EndWith", dbus.UInt32(17), "failed", "org.vgpud1.Error.InUse", "qemu holds it", more, signature="usssa{sv}")
        self.bus.control("End", dbus.UInt32(18), "done", "", "", signature="usss")
        self.assertEqual(p.finish(), 6)
        results = json.loads(p.text)["results"]
        self.check("destroy", json.loads(p.text))
        self.assertEqual([(r["uuid"], r["job"], r["result"]) for r in results],
                         [(FIRST, 17, "done"), (FOREIGN, 17, "failed"), (SECOND, 18, "done")])
        error = results[1]["error"]
        self.assertEqual((error["hint_id"], error["instances"], error["job"], error["exit_status"]), ("stop-user", [FOREIGN], 17, 6))
        job = self.data("show", "job", "17")["job"]
        self.assertEqual([f["instance"] for f in job["failures"]], [FOREIGN])
        self.assertIn("Hint: stop qemu", self.good("show", "job", "17"))

    def test_json(self):
        result = self.vgpuctl("destroy", "desk", FOREIGN, "--json")
        self.assertEqual(result.status, 4)
        results = json.loads(result.out)["results"]
        self.check("destroy", json.loads(result.out))
        self.assertEqual(results[0], {"instance": "desk", "uuid": FIRST, "job": 17, "result": "done", "error": None})
        self.assertEqual((results[1]["instance"], results[1]["job"], results[1]["result"]), (FOREIGN, None, "failed"))
        self.assertEqual(results[1]["error"], self.error(result))
        self.assertEqual(self.data("destroy", "4f0cd", "--no-block"),
                         {"results": [{"instance": "4f0cd", "uuid": SECOND, "job": 18, "result": "queued", "error": None}]})

    def test_many(self):
        self.bus.control("ManyInstances", dbus.UInt32(200), signature="u")
        uuids = [u for u in self.good("list", "-q").split() if u.startswith("abcd")]
        self.assertEqual(len(uuids), 200)
        self.good("destroy", *uuids)
        self.assertEqual(len(self.good("list", "-q").split()), 3)

    def test_a_part_of_many_fails(self):
        """vgpuctl names each instance that is left, and reads the failures of a job once."""
        self.bus.control("ManyInstances", dbus.UInt32(60), signature="u")
        uuids = [u for u in self.good("list", "-q").split() if u.startswith("abcd")]
        left = uuids[::2]
        self.bus.control("Hold", True)
        self.calls()
        p = self.program("destroy", *uuids, "--json")
        wait_for(lambda: self.good("jobs", "-q"), "the job")
        failures = [dbus.Dictionary({"instance": dbus.ObjectPath(instance_path(u)), "error_name": "org.vgpud1.Error.InUse",
                                     "message": f"qemu holds {u}"}, signature="sv") for u in left]
        more = {"failures": dbus.Array(failures, signature="a{sv}")}
        self.bus.control("EndWith", dbus.UInt32(17), "failed", "org.vgpud1.Error.InUse", "qemu", more, signature="usssa{sv}")
        self.assertEqual(p.finish(), 6)
        results = json.loads(p.text)["results"]
        self.assertEqual([r["uuid"] for r in results if r["result"] == "failed"], left)
        self.assertEqual([r["error"]["message"].rpartition(": ")[2] for r in results if r["error"]], [f"qemu holds {u}" for u in left])
        self.assertEqual([c["member"] for c in self.calls()].count("GetJob"), 1)

    def test_rescan_and_cancel(self):
        self.calls()
        self.good("rescan")
        self.assertEqual([c["path"] for c in self.calls("Rescan")], [gpu_path(g) for g in (GVT, NVIDIA, SAMPLE)])
        self.assertEqual(self.data("rescan", "mdpy", "--no-block")["results"],
                         [{"gpu": "mdpy", "job": 20, "result": "queued", "error": None}])
        self.bus.control("Hold", True)
        self.good("create", "mdpy-xga", "--no-block")
        self.good("create", "mdpy-xga", "--no-block")
        self.assertEqual(self.good("cancel", "22"), "")
        self.assertEqual(self.data("cancel", "21"), {"job": 21, "result": "canceled"})
        self.assertEqual(self.good("jobs", "-q"), "")

    def test_cancelled_by_another(self):
        self.bus.control("Hold", True)
        p = self.program("create", "mdpy-xga", "--json")
        wait_for(lambda: self.good("jobs", "-q"), "the job")
        self.good("cancel", "17")
        self.assertEqual(p.finish(), 1)
        self.assertEqual(json.loads(p.errors)["error"]["name"], "org.vgpud1.Error.Canceled")


class Waiting(Case):
    """A terminal shows the progress; Ctrl-C names the jobs in progress."""

    def setUp(self):
        super().setUp()
        self.bus.control("Hold", True)
        self.bus.control("Requester", dbus.UInt32(os.getuid()), signature="u")

    def end(self, number):
        self.bus.control("End", dbus.UInt32(number), "done", "", "", signature="usss")

    def test_a_running_job(self):
        p = self.program("create", "mdpy-xga", terminal=True)
        p.expect("job 17 ")
        p.expect("mdpy-xga")
        self.end(17)
        self.assertEqual(p.finish(), 0)
        line = p.text.replace("\r\n", "\n").split("\033[K")[-1]
        self.assertRegex(line, f"^{UUID.pattern}\n$", "the line is gone before the result comes")

    def test_a_waiting_job(self):
        self.good("create", "mdpy-xga", "--count", "2", "--no-block")
        p = self.program("create", "mdpy-vga", terminal=True, columns=150)
        p.expect("job 18 ")
        p.expect("job 17 ")
        self.assertNotIn("mdpy-vga", p.text)
        self.end(17)
        self.change("/org/vgpud1/job/18", JOB, State="running", StartedUsec=dbus.UInt64(mock_host.now()))
        p.expect("mdpy-vga")
        self.end(18)
        self.assertEqual(p.finish(), 0)

    def test_several(self):
        p = self.program("destroy", "desk", "4f0cd", terminal=True)
        p.expect("0 of 2 ")
        p.expect(FIRST)
        self.end(17)
        p.expect("1 of 2 ")
        p.expect(SECOND)
        self.end(18)
        self.assertEqual(p.finish(), 0)

    def test_nothing_without_a_terminal(self):
        p = self.program("create", "mdpy-xga")
        wait_for(lambda: self.good("jobs", "-q"), "the first job")
        watch = self.program("create", "mdpy-xga", terminal=True)
        watch.expect("job 18 ")  # by now p has read job 17 too, and would print its progress on a terminal
        q = self.program("create", "mdpy-xga", "-q", terminal=True)
        wait_for(lambda: "19" in self.good("jobs", "-q"), "the third job")
        for number in (17, 18, 19):
            self.end(number)
        self.assertEqual((p.finish(), q.finish()), (0, 0))
        self.assertEqual(p.errors, "")
        self.assertRegex(q.text, f"^{UUID.pattern}\r\n$")

    def test_the_line_fits(self):
        p = self.program("create", "mdpy-xga", terminal=True, columns=40)
        p.expect("job 17 ")
        self.end(17)
        p.finish()
        for piece in re.split(r"\r\033\[K|\r\n", p.text)[:-2]:
            self.assertLess(len(piece), 40)

    def test_interrupt(self):
        for sent, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            p = self.program("create", "mdpy-xga")
            wait_for(lambda: self.calls("Create"), "the call")
            wait_for(lambda: self.good("jobs", "-q"), "the job")
            number = self.good("jobs", "-q").strip()
            p.process.send_signal(sent)
            self.assertEqual(p.finish(), status)
            self.assertEqual(p.text, "")
            self.assertEqual(GOES_ON.findall(p.errors), [number], p.errors)
            self.assertIn("mdpy-xga", p.errors)
            self.assertEqual(self.good("jobs", "-q").strip(), number)
            self.end(int(number))

    def test_interrupt_of_a_background_job(self):
        """Programs that the tests start have the default action for SIGINT, even if the tests run with SIGINT ignored."""
        script = "import harness; print(harness.run(['grep', 'SigIgn', '/proc/self/status'], {}).out)"
        done = subprocess.run([sys.executable, "-c", script], env=dict(os.environ, PYTHONPATH=str(harness.HERE)),
                              preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
                              stdout=subprocess.PIPE, text=True, check=True)
        self.assertEqual(int(done.stdout.split()[1], 16) >> (signal.SIGINT - 1) & 1, 0, done.stdout)

    def test_interrupt_on_a_terminal(self):
        p = self.program("destroy", "desk", terminal=True, preexec=take_terminal)
        p.expect("job 17 ")
        os.write(p.master, b"\x03")
        self.assertEqual(p.finish(), 130)
        self.assertEqual(GOES_ON.findall(" ".join(p.text.split())), ["17"], p.text)

    def test_interrupt_while_it_waits(self):
        self.good("create", "mdpy-xga", "--no-block")
        p = self.program("create", "mdpy-vga", "--count", "2")
        wait_for(lambda: "18" in self.good("jobs", "-q"), "the job")
        p.process.send_signal(signal.SIGINT)
        self.assertEqual(p.finish(), 130)
        self.assertEqual(GOES_ON.findall(p.errors), ["18"], p.errors)

    def test_interrupt_before_hello_is_answered(self):
        """The call is sent with Hello, so it has queued a job although the connection is not ready yet."""
        slow = Withholding(self.bus)
        self.addCleanup(slow.close)
        p = self.program("create", "mdpy-xga", environment=slow.environment)
        number = wait_for(lambda: self.good("jobs", "-q").strip(), "the job")
        p.process.send_signal(signal.SIGINT)
        wait_for(lambda: p.read(0) or self.pending_signals(p.process.pid) == 0, "the signal")
        slow.release()
        self.assertEqual(p.finish(), 130)
        self.assertEqual(GOES_ON.findall(p.errors), [number], p.errors)

    def test_interrupt_of_one_of_two(self):
        """A job with the same arguments may belong to another caller."""
        for words in (("create", "mdpy-xga", "--count=2"), ("enable-vfs", NVIDIA, "2"), ("rescan", NVIDIA),
                      ("configure", NVIDIA, "heterogeneous", "yes")):
            other, mine = self.program(*words), None
            first = wait_for(lambda: self.good("jobs", "-q").split(), "the first job")[0]
            mine = self.program(*words)
            second = wait_for(lambda: self.good("jobs", "-q").split()[1:], "the second job")[0]
            mine.process.send_signal(signal.SIGINT)
            self.assertEqual(mine.finish(), 130)
            self.assertEqual(GOES_ON.findall(mine.errors), [second], mine.errors)
            self.end(int(first))
            self.end(int(second))
            self.assertEqual(other.finish(), 0)

    def test_interrupt_of_another_user(self):
        """Over ssh, the requester of the job may be another user."""
        self.bus.control("Requester", dbus.UInt32(os.getuid() + 12345), signature="u")
        for words in (("create", "mdpy-xga", "--count=2"), ("enable-vfs", NVIDIA, "2"), ("rescan", NVIDIA),
                      ("configure", NVIDIA, "heterogeneous", "yes")):
            p = self.program(*words)
            number = wait_for(lambda: self.good("jobs", "-q").strip(), "the job")
            p.process.send_signal(signal.SIGINT)
            self.assertEqual(p.finish(), 130)
            self.assertEqual(GOES_ON.findall(p.errors), [number], p.errors)
            self.end(int(number))

    def test_past_the_deadline(self):
        """A job is stuck past its deadline: vgpuctl fails with GpuStuck for its instance, and waits for the other job."""
        p = self.program("destroy", "desk", "4f0cd", "--json")
        wait_for(lambda: self.good("jobs", "-q"), "the job")
        self.change("/org/vgpud1/job/17", JOB, State="stuck")
        wait_for(lambda: "18" in self.good("jobs", "-q"), "the next one")
        self.end(18)
        self.assertEqual(p.finish(), 6)
        results = json.loads(p.text)["results"]
        self.check("destroy", json.loads(p.text))
        self.assertEqual([(r["result"], r["job"]) for r in results], [("failed", 17), ("done", 18)])
        error = results[0]["error"]
        self.assertEqual((error["name"], error["job"], error["instances"]), ("org.vgpud1.Error.GpuStuck", 17, [FIRST]))
        self.assertEqual(json.loads(p.errors)["error"], error)

    def test_timeout(self):
        """--timeout bounds the wait: the job goes on, and the error names the job and the instances."""
        for args in (("create", "mdpy-xga"), ("destroy", "desk"), ("rescan", NVIDIA), ("destroy", "desk", "4f0cd")):
            with self.subTest(args):
                result = self.vgpuctl(*args, "--timeout", "10ms")
                self.assertEqual((result.status, result.out), (8, ""))
                self.assertIn("Hint: ", result.err)
                number = int(re.search(r"\b[Jj]ob (\d+)\b", result.err)[1])
                self.assertIn(str(number), self.good("jobs", "-q").split())
                result = self.vgpuctl(*args, "--timeout=10ms", "--json")
                error = json.loads(result.err.splitlines()[0])["error"]
                self.check("error", error)
                self.assertEqual((error["name"], error["hint_id"], error["exit_status"]), ("org.vgpud1.Error.Timeout", "wait-for-job", 8))
                if args[0] != "rescan":
                    self.assertEqual(len(error["instances"]), len(args) - 1)
                for job in self.good("jobs", "-q").split():
                    self.end(int(job))
                self.bus.control("Reset")
                self.bus.control("Hold", True)
        p = self.program("create", "mdpy-xga", "--timeout", "infinity")
        wait_for(lambda: self.good("jobs", "-q"), "the job")
        self.end(17)
        self.assertEqual(p.finish(), 0)

    def test_wait_for_a_job(self):
        self.good("create", "mdpy-xga", "--no-block")
        self.good("create", "mdpy-xga", "--no-block")
        p, q, seen = self.program("wait", "17", "--json"), self.program("wait", "job", "18"), []
        wait_for(lambda: seen.extend(self.calls("GetJob")) or len(seen) == 2, "both questions")
        r = self.vgpuctl("wait", "17", "--timeout", "10ms", "--json")
        self.assertEqual((r.status, json.loads(r.out)["results"][0]["result"]), (8, "timeout"))
        self.check("wait", json.loads(r.out))
        self.bus.control("End", dbus.UInt32(17), "failed", "org.vgpud1.Error.NoCapacity", "there is no room", signature="usss")
        self.end(18)
        self.assertEqual((p.finish(), q.finish()), (5, 0))
        result = json.loads(p.text)["results"][0]
        self.check("wait", json.loads(p.text))
        self.assertEqual((result["job"], result["result"], result["error"]["name"]), (17, "failed", "org.vgpud1.Error.NoCapacity"))
        self.assertEqual(q.text + q.errors, "")
        self.assertEqual(self.failed(5, "wait", "17")["job"], 17, "a job that has ended has its result at once")
        self.assertEqual(self.data("wait", "18")["results"], [{"job": 18, "instance": None, "result": "done", "error": None}])
        self.assertEqual(self.failed(3, "wait", "job", "99")["name"], "org.vgpud1.Error.NoSuchJob")

    def test_wait_for_an_instance(self):
        self.assertEqual(self.data("wait", "desk")["results"], [{"job": None, "instance": FIRST, "result": "none", "error": None}])
        self.good("destroy", "desk", "--no-block")
        self.calls()
        p = self.program("wait", "desk", "--json")
        wait_for(lambda: self.calls("Get"), "the question")
        self.end(17)
        self.assertEqual(p.finish(), 0)
        self.assertEqual(json.loads(p.text)["results"], [{"job": 17, "instance": FIRST, "result": "done", "error": None}])
        self.assertEqual(self.failed(3, "wait", FIRST)["name"], "org.vgpud1.Error.NoSuchInstance")
        for verb in ("wait", "destroy"):
            error = self.failed(2, verb, "4f0")
            self.assertEqual((error["name"], error["hint_id"]), ("org.vgpud1.Error.InvalidArgs", "longer-prefix"))
        self.change(instance_path(SECOND), INSTANCE, Name="17")
        self.assertEqual(self.data("wait", "17")["results"][0]["instance"], SECOND, "a name wins over a number")

    def test_wait_for_several_jobs(self):
        """vgpuctl asks for all jobs at once, so that Ctrl-C names all of them, and one --timeout covers all."""
        self.good("create", "mdpy-xga", "--no-block")
        self.good("create", "mdpy-xga", "--no-block")
        p = self.program("wait", "17", "18")
        seen = []
        wait_for(lambda: seen.extend(self.calls("GetJob")) or len(seen) == 2, "both questions")
        p.process.send_signal(signal.SIGINT)
        self.assertEqual(p.finish(), 130)
        self.assertEqual(GOES_ON.findall(p.errors), ["17", "18"], p.errors)

    def test_wait_for_one_job_twice(self):
        for number, status in ((17, 0), (18, 6)):
            self.good("rescan", "mdpy", "--no-block")
            p, seen = self.program("wait", str(number), str(number)), []
            wait_for(lambda s=seen: s.extend(self.calls("GetJob")) or len(s) == 2, "both questions")
            if status == 0:
                self.end(number)
            else:
                self.change(f"/org/vgpud1/job/{number}", JOB, State="stuck")
            self.assertEqual(p.finish(), status)

    def test_wait_for_a_stuck_job(self):
        """The wait for a stuck job ends with status 6, on a terminal and without one."""
        self.good("destroy", "desk", "--no-block")
        self.change("/org/vgpud1/job/17", JOB, State="stuck")
        for words in (("wait", "17"), ("wait", "desk")):
            for terminal in (True, False):
                self.assertEqual(self.program(*words, terminal=terminal).finish(), 6, (words, terminal))

    def test_wait_for_an_instance_to_come(self):
        """The daemon names the job that is to create the instance."""
        new = "00000000-0000-4000-8000-000000000001"
        self.good("create", "mdpy-xga", "--uuid", new, "--no-block")
        self.assertEqual(self.failed(8, "wait", "desk", new, "--timeout=10ms")["job"], 17)
        self.calls()
        p = self.program("wait", new, "--json")
        wait_for(lambda: self.calls("GetJob"), "the question")
        self.end(17)
        self.assertEqual(p.finish(), 0)
        self.assertEqual(json.loads(p.text)["results"], [{"job": 17, "instance": None, "result": "done", "error": None}])

    def test_jobs_that_have_ended(self):
        self.bus.control("Hold", False)
        self.good("create", "mdpy-xga", "--uuid", "00000000-0000-4000-8000-000000000001")
        self.bus.control("Hold", True)
        self.good("rescan", "mdpy", "--no-block")
        self.assertEqual([(j["id"], j["state"], j["result"]) for j in self.data("jobs", "--all")["jobs"]],
                         [(17, "ended", "done"), (18, "running", None)])
        self.assertEqual(self.good("jobs", "-q"), "18\n")
        self.assertEqual(self.good("jobs", "--all", "-q"), "17\n18\n")
        self.golden("jobs-all.txt", re.sub(r"\b\d s\b", "N s", self.good("jobs", "--all")))
        self.golden("show-job-ended.txt", self.good("show", "job", "17"))
        self.assertEqual(self.data("show", "job", "17")["job"]["state"], "ended")

    def test_the_bus_goes(self):
        bus = harness.Bus()
        bus.start_mock()
        bus.control("Hold", True)
        p = Program([case.PROGRAM, "create", "mdpy-xga", "--json"], bus.environment)
        self.addCleanup(p.close)
        wait_for(lambda: '"Create"' in bus.control("Calls"), "the call")
        bus.close()
        self.assertEqual(p.finish(), 1)
        self.assertEqual(json.loads(p.errors)["error"]["hint_id"], "check-service")

    def test_interrupt_in_json(self):
        p = self.program("destroy", "desk", "4f0cd", "--json")
        wait_for(lambda: "18" in self.good("jobs", "-q"), "the jobs")
        p.process.send_signal(signal.SIGINT)
        self.assertEqual(p.finish(), 130)
        self.check("error_line", json.loads(p.errors))
        error = json.loads(p.errors)["error"]
        self.assertEqual((error["name"], error["jobs"], error["exit_status"]), ("vgpuctl.Interrupted", [17, 18], 130))
        self.assertEqual([r["result"] for r in json.loads(p.text)["results"]], ["unknown", "unknown"])

    def test_interrupt_without_an_answer(self):
        """The second Ctrl-C does not wait for the daemon."""
        p = self.program("create", "mdpy-xga")
        wait_for(lambda: self.calls("Create"), "the call")
        self.bus.mock.send_signal(signal.SIGSTOP)
        try:
            p.process.send_signal(signal.SIGINT)
            wait_for(lambda: p.read(0) or self.pending_signals(p.process.pid) == 0, "the first signal")
            p.process.send_signal(signal.SIGINT)
            self.assertEqual(p.finish(), 130)
        finally:
            self.bus.mock.send_signal(signal.SIGCONT)
        self.assertIn("Interrupted", p.errors)

    @staticmethod
    def pending_signals(pid):
        try:
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
        except FileNotFoundError:
            return 0
        return int(re.search(r"^ShdPnd:\s*(\w+)", status, re.M)[1], 16)


class Terminal(Case):
    def lines(self, *args, columns=80, **more):
        p = self.program(*args, terminal=True, columns=columns, **more)
        self.assertEqual(p.finish(), 0)
        return p.text.replace("\r\n", "\n")

    def test_tables_fit(self):
        for columns in (120, 90):
            for line in self.lines("gpus", columns=columns).splitlines():
                self.assertLessEqual(len(re.sub(r"\033\[[0-9;]*m", "", line)), columns)
        self.assertIn("\u2026", self.lines("gpus", columns=90))
        self.assertNotIn("\u2026", self.good("gpus", environment={"COLUMNS": "40"}))
        self.assertIn("~", self.lines("gpus", columns=90, environment={"LC_ALL": "C"}))

    def test_colours(self):
        self.assertIn("\033[32mready\033[0m", self.lines("gpus"))
        self.assertNotIn("\033", self.lines("gpus", environment={"NO_COLOR": "1"}))
        self.assertNotIn("\033", self.lines("gpus", environment={"TERM": "dumb"}))
        self.assertNotIn("\033", self.good("gpus"))

    def test_texts_cannot_steer_the_terminal(self):
        evil = "\033]0;title\007 \033[2J\u009b31m\nline"
        self.change(gpu_path(OLD), GPU, Reason=evil, DeviceName=evil, VendorName=evil)
        self.change(instance_path(FIRST), INSTANCE, Name=evil, TypeName=evil)
        for args in ((), ("gpus",), ("list",), ("show", OLD), ("show", FIRST), ("types", OLD)):
            text = re.sub(r"\033\[(\d+;)*\d*m", "", self.lines(*args, columns=500))
            self.assertNotRegex(text, "[\x00-\x09\x0b-\x1f\x7f-\x9f]", args)
        self.bus.control("Fail", "org.vgpud1.Error.Failed", evil, signature="ss")
        self.assertNotIn("\033", self.bad(1, "create", "mdpy-xga"))

    def test_remarks(self):
        self.assertIn("mdpy", self.lines("list", "mdpy"))
        self.assertIn(self.data("show", OLD)["gpu"]["reason"], self.lines("types", OLD))
        self.assertNotEqual(self.lines("jobs"), "")
        self.assertEqual(self.lines("jobs", "-q"), "")
        self.assertEqual(json.loads(self.lines("jobs", "--json")), {"jobs": []})

    def test_what_is_ignored_of_the_configuration(self):
        """A table of GPUs on a terminal ends with a warning about rules of vgpud.conf that vgpud ignores."""
        for texts in (None, []):
            if texts is not None:
                self.bus.control("ConfigErrors", texts, signature="as")
                self.bus.control("ConfigUnmatched", texts, signature="as")
            for args in ((), ("gpus",), ("place", "mdpy-xga")):
                self.assertNotIn("vgpud.conf", self.lines(*args))
        for name in ("ConfigErrors", "ConfigUnmatched"):
            self.bus.control(name, ["vgpud.conf:3: [gpu *] forbd=", "x\033[31m"], signature="as")
            for args in ((), ("gpus",), ("place", "mdpy-xga")):
                text = self.lines(*args)
                self.assertIn("\n  vgpud.conf:3: [gpu *] forbd=", text)
                self.assertNotIn("x\033[31m", text)
                self.good(*args)
                self.assertNotIn("forbd", self.lines(*args, "--json"))
            self.bus.control(name, [], signature="as")

    def test_running_text(self):
        """The text breaks between words, and continued lines are indented."""
        whole = self.good("types", "--why", NVIDIA)
        for columns in (200, 60, 30, 5):
            text = re.sub(r"\033\[[0-9;]*m", "", self.lines("types", "--why", NVIDIA, columns=columns))
            for line in text.splitlines():
                self.assertTrue(len(line) <= columns or " " not in line.strip(), (columns, line))
            self.assertEqual(text.split(), whole.split())
        self.assertEqual(len(self.lines("types", "--why", NVIDIA, columns=200).splitlines()), len(whole.splitlines()))
        self.assertIn("\n        ", self.lines("types", "--why", NVIDIA, columns=60))

    def test_a_long_reason(self):
        reason = "word " * 30 + "end"
        self.change(gpu_path(OLD), GPU, Reason=reason)
        lines = self.lines("show", OLD, columns=60).splitlines()
        first = next(i for i, line in enumerate(lines) if line.startswith("        Reason: word"))
        self.assertTrue(all(line.startswith("                word ") for line in lines[first + 1:first + 3]))
        self.assertLessEqual(max(map(len, lines[first:first + 4])), 60)
        self.assertIn(f"Reason: {reason}\n", self.good("show", OLD))

    def test_progress_of_gpus(self):
        """The progress line names the GPU and what the job changes."""
        self.bus.control("Hold", True)
        for args, facts in ((("enable-vfs", NVIDIA, "4"), (NVIDIA, " 4 ")), (("disable-vfs", NVIDIA), (NVIDIA,)),
                            (("configure", NVIDIA, "heterogeneous", "yes"), (NVIDIA, "heterogeneous", "yes"))):
            p = self.program(*args, terminal=True, columns=200)
            for fact in facts:
                p.expect(fact)
            number = max(int(n) for n in self.good("jobs", "-q").split())
            self.bus.control("End", dbus.UInt32(number), "done", "", "", signature="usss")
            self.assertEqual(p.finish(), 0)

    def test_wide_characters(self):
        self.change(gpu_path(OLD), GPU, DeviceName="\u30b0\u30e9\u30d5\u30a3\u30c3\u30af", VendorName="\u00e9\u00e9")
        rows = self.good("gpus").splitlines()
        cells = lambda s: sum(2 if "\u3000" < c < "\uffff" else 1 for c in s)  # noqa: E731
        self.assertEqual(len({cells(row[:row.index(state)]) for row, state in zip(rows[1:], ("ready", "ready", "unsupported",
                                                                                            "ready"))}), 1)


class Pipes(Case):
    def test_reader_has_gone(self):
        self.bus.control("ManyInstances", dbus.UInt32(2000), signature="u")
        for args in (("list",), ("list", "--json"), ("list", "-q"), ("--json",)):
            # Started by a shell, vgpuctl has the default action for SIGPIPE, and the signal ends it silently. Python ignores
            # SIGPIPE, so set the default action.
            p = Program([case.PROGRAM, *args], self.bus.environment, preexec=lambda: signal.signal(signal.SIGPIPE, signal.SIG_DFL))
            self.addCleanup(p.close)
            os.read(p.process.stdout.fileno(), 1)
            del p.fds[p.process.stdout.fileno()]
            p.process.stdout.close()
            self.assertIn(p.process.wait(harness.LIMIT_S), (-signal.SIGPIPE,))
            self.assertEqual(p.process.stderr.read(), b"")
            # With SIGPIPE ignored, vgpuctl ends with status 1, and is still silent.
            p = Program([case.PROGRAM, *args], self.bus.environment, preexec=lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN),
                        restore_signals=False)
            self.addCleanup(p.close)
            os.read(p.process.stdout.fileno(), 1)
            del p.fds[p.process.stdout.fileno()]
            p.process.stdout.close()
            self.assertEqual(p.process.wait(harness.LIMIT_S), 1)
            self.assertEqual(p.process.stderr.read(), b"")

    def test_monitor_ends_with_its_reader(self):
        p = self.program("monitor", preexec=lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN), restore_signals=False)
        p.expect("\n")
        del p.fds[p.process.stdout.fileno()]
        p.process.stdout.close()
        self.change(gpu_path(SAMPLE), GPU, State="failed")
        self.assertEqual(p.process.wait(harness.LIMIT_S), 1)


    def test_monitor_notices_while_nothing_happens(self):
        """"vgpuctl monitor | head -1" ends together with head, not at the next event."""
        for ignored, status in ((signal.SIG_IGN, 1), (signal.SIG_DFL, 1)):
            p = self.program("monitor", preexec=lambda how=ignored: signal.signal(signal.SIGPIPE, how), restore_signals=False)
            p.expect("\n")
            del p.fds[p.process.stdout.fileno()]
            p.process.stdout.close()
            self.assertEqual(p.process.wait(harness.LIMIT_S), status)
            self.assertEqual(p.process.stderr.read(), b"")

    def test_monitor_into_a_file(self):
        """A file has no reader that could close, so monitor goes on."""
        path = pathlib.Path(self.bus.folder.name) / "events"
        with open(path, "wb") as f:
            process = subprocess.Popen([case.PROGRAM, "monitor"], stdout=f, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                       env=self.bus.environment)
        try:
            wait_for(lambda: "\n" in path.read_text(), "the first line")
        finally:
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=harness.LIMIT_S)[1]
        self.assertEqual((process.returncode, said), (0, b""))


class Monitor(Case):
    def watch(self, *args):
        p = self.program("monitor", *args)
        p.expect("daemon-present" if "--json" in args else "\n")
        return p

    def ends(self, p, sent=signal.SIGINT):
        p.process.send_signal(sent)
        self.assertEqual(p.finish(), 0)
        self.assertEqual(p.errors, "")

    def test_text(self):
        p = self.watch()
        out = self.good("create", "mdpy-xga", "--uuid", "b7ae9bc4-5d6e-4f1c-9a1e-2f0d3c4b5a69")
        self.good("destroy", out.strip())
        self.change(gpu_path(NVIDIA), GPU, State="stuck", Reason="silent", Stale=True)
        self.change(gpu_path(NVIDIA), GPU, State="stuck")  # no change: no line
        self.bus.control("Remove", dbus.ObjectPath(gpu_path(OLD)), signature="o")
        self.bus.control("Add", dbus.ObjectPath(gpu_path(OLD)), mock_host.world().objects[gpu_path(OLD)], signature="oa{sa{sv}}")
        p.expect(f"{OLD} added")
        self.good("enable-vfs", NVIDIA, "3")
        p.expect("vfs: 3")  # monitor asks for the list after the end of the job
        self.good("configure", NVIDIA, "heterogeneous", "yes")
        p.expect("job 20 ended")
        self.ends(p, signal.SIGTERM)
        text = re.sub(r"(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}  ", "TIME  ", p.text)
        self.golden("monitor.txt", text)

    def test_json(self):
        p = self.watch("--json")
        self.good("create", "mdpy-xga", "--name", "n1")
        self.bus.control("Fail", "org.vgpud1.Error.Failed", "no", signature="ss")
        self.vgpuctl("create", "mdpy-xga")
        self.change(instance_path(FIRST), INSTANCE, State="stuck")
        p.expect("instance-changed")
        self.ends(p)
        events = self.events(p)
        self.assertEqual([e["event"] for e in events], ["daemon-present", "job-added", "instance-added", "gpu-changed",
                                                        "gpu-changed", "job-ended", "instance-changed"])
        self.assertEqual(set(events[0]), {"time_usec", "event", "gpus", "instances", "definitions", "jobs"})
        self.assertEqual(len(events[0]["gpus"]), 4)
        self.assertEqual(events[1]["job"]["kind"], "create")
        instance = events[2]["instance"]
        self.assertEqual((instance["name"], instance["job"]), ("n1", 17))
        self.assertEqual((events[3]["gpu"], events[3]["changes"]), (SAMPLE, {"types": [{"id": "mdpy-xga", "available": 3}]}))
        self.assertEqual(events[4]["changes"], {"memory_used_bytes": None, "instance_count": 1})
        job = events[5]["job"]
        self.assertEqual((job["id"], job["state"], job["result"], job["instances"]), (17, "ended", "done", [instance["uuid"]]))
        for key in ("requester", "created_usec", "details"):  # JobRemoved leaves these out
            self.assertEqual(job[key], events[1]["job"][key])
        self.assertEqual((events[6]["instance"], events[6]["changes"]), (FIRST, {"state": "stuck"}))
        named = set(re.findall(r"[a-z]+-[a-z]+", MANUAL[MANUAL.index("Each line of **monitor**"):]))
        self.assertEqual({e["event"] for e in events} - named, set())

    def events(self, p):
        events = [json.loads(line) for line in p.text.splitlines()]
        for e in events:
            self.check("event", e)
        return events

    def test_lists(self):
        """After a signal that a list has changed, monitor reads the whole list; for a changed virtual function it reports the
        changed row."""
        p = self.watch("--json")
        self.bus.control("Vfs", dbus.ObjectPath(gpu_path(NVIDIA)), json.dumps(mock_host.make_vfs(
            ["0000:41:00.4", "0000:41:00.5"], {"0000:41:00.4": instance_path(SECOND)}, {"0000:41:00.5": ("nvidia", "")})), signature="os")
        self.types(SAMPLE, make_type("x", "x", "", [], 1))
        p.expect('["types"]')
        self.types(SAMPLE, make_type("x", "x", "", [], 0, "full"))
        self.change(gpu_path(SAMPLE), GPU, Parents=dbus.Array(["x"], signature="s"), State="failed")
        self.bus.control("Remove", dbus.ObjectPath(gpu_path(OLD)), signature="o")
        p.expect("gpu-removed")
        self.ends(p)
        events = self.events(p)[1:]
        self.assertEqual([(e["event"], e["gpu"], e.get("changes"), e.get("list_changed")) for e in events], [
            ("gpu-changed", NVIDIA, {"vfs": [{"index": 1, "instance": None, "driver": "nvidia"}]}, None),
            ("gpu-changed", SAMPLE, {"type_count": 1}, None), ("gpu-changed", SAMPLE, {}, ["types"]),
            ("gpu-changed", SAMPLE, {"types": [{"id": "x", "available": 0}]}, None),
            ("gpu-changed", SAMPLE, {"state": "failed"}, None), ("gpu-changed", SAMPLE, {}, ["parents"]),
            ("gpu-removed", OLD, None, None)])

    def test_full(self):
        """With --full, monitor reports whole objects, with types and virtual functions of GPUs."""
        p = self.watch("--json", "--full")
        self.good("create", "mdpy-xga")
        self.bus.control("AddXe", True, signature="b")
        p.expect("gpu-added")
        self.change(gpu_path(SAMPLE), GPU, Parents=dbus.Array(["x"], signature="s"))
        p.expect('"parents"]')
        self.bus.control("Remove", dbus.ObjectPath(gpu_path(XE)), signature="o")
        p.expect("gpu-removed")
        self.ends(p)
        events = self.events(p)
        self.assertEqual([len(g["types"]) for g in events[0]["gpus"]], [2, 1, 0, 2])
        self.assertEqual([len(g["vfs"]) for g in events[0]["gpus"]], [0, 2, 0, 0])
        added = next(e["gpu"] for e in events if e["event"] == "gpu-added")
        self.assertEqual((len(added["types"]), len(added["vfs"])), (2, 6))
        changed = {key: e["gpu"] for e in events if e["event"] == "gpu-changed" for key in e["changed"]}
        self.assertEqual([t["available"] for t in changed["types"]["types"]], [4, 3])
        self.assertEqual(changed["parents"]["parents"], ["x"])
        self.assertEqual(events[-1]["gpu"]["name"], XE)

    def test_failed_job(self):
        p = self.watch()
        self.bus.control("Hold", True)
        self.good("create", "mdpy-xga", "--no-block")
        self.bus.control("End", dbus.UInt32(17), "failed", "org.vgpud1.Error.NoCapacity", "there is no room", signature="usss")
        p.expect(": failed: there is no room")
        self.ends(p)

    def test_daemon_leaves_and_comes_back(self):
        p, text = self.watch("--json"), self.watch()
        self.bus.stop_mock()
        p.expect('"daemon-absent"')
        self.expect_lines(text, 2)
        self.bus.start_mock()
        wait_for(lambda: p.read(0.1) or p.text.count('"daemon-present"') == 2, "its return")
        self.expect_lines(text, 3)
        self.good("create", "mdpy-xga")
        p.expect("instance-added")
        text.expect("mdpy-xga")
        self.ends(p)
        self.ends(text)
        self.assertEqual((p.text.count('"daemon-absent"'), p.text.count('"daemon-present"')), (1, 2))

    def expect_lines(self, p, number):
        """Wait for this number of lines, because the text has no fixed word for the presence of the daemon."""
        wait_for(lambda: p.read(0.1) or p.text.count("\n") == number, f"{number} lines")

    def test_starts_before_the_daemon(self):
        self.bus.stop_mock()
        p = self.program("monitor", "--json")
        p.expect('"daemon-absent"')
        self.bus.start_mock()
        p.expect('"daemon-present"')
        self.ends(p)

    def test_not_permitted(self):
        self.bus.control("Fail", "org.freedesktop.DBus.Error.AccessDenied", "the bus forbids it", signature="ss")
        self.bad(4, "monitor")

    def test_bus_goes(self):
        bus = Bus()
        self.addCleanup(bus.folder.cleanup)
        p = Program([case.PROGRAM, "monitor", "--json"], bus.environment)
        self.addCleanup(p.close)
        p.expect('"daemon-absent"')
        bus.daemon.kill()
        bus.daemon.wait()
        bus.daemon.stdout.close()
        self.assertEqual(p.finish(), 1)
        self.assertEqual(json.loads(p.errors)["error"]["exit_status"], 1)


class Password(Case):
    def flags(self, *args):
        """The flags in the header of the call that the command sends."""
        monitor = subprocess.Popen(["dbus-monitor", "--address", self.bus.address, "--binary",
                                    "type='method_call',interface='org.vgpud1.Manager'"], stdout=subprocess.PIPE)
        try:
            # After NameLost, dbus-monitor's connection is a monitor.
            data = b""
            while b"NameLost" not in data:
                data += os.read(monitor.stdout.fileno(), 65536)
            self.good(*args)
            while b"Create" not in data:
                data += os.read(monitor.stdout.fileno(), 65536)
        finally:
            monitor.kill()
            monitor.wait()
            monitor.stdout.close()
        while data:
            body, fields = int.from_bytes(data[4:8], "little"), int.from_bytes(data[12:16], "little")
            size = 16 + (fields + 7) // 8 * 8 + body
            if b"Create" in data[:size]:
                return data[2]
            data = data[size:]
        raise AssertionError("no such call")

    def test_interactive_flag(self):
        self.assertEqual(self.flags("create", "mdpy-xga") & 4, 4)
        self.assertEqual(self.flags("create", "mdpy-xga", "--no-ask-password") & 4, 0)

    def test_agent_of_the_terminal(self):
        """A user on a terminal: the agent starts, finds no polkit on the bus, and the command does not hang."""
        if os.getuid() != 0 or not shutil.which("setpriv") or not os.access("/usr/bin/pkttyagent", os.X_OK):
            self.skipTest("needs root, setpriv and pkttyagent")
        user = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        if subprocess.run([*user, case.PROGRAM, "--version"], capture_output=True, check=False).returncode != 0:
            self.skipTest("other users cannot run the program from where it is built")
        p = self.program("create", "mdpy-xga", argv=user, terminal=True, preexec=take_terminal)
        self.assertEqual(p.finish(), 0, p.text)
        self.assertRegex(p.text, UUID)
        self.assertIn("rror", p.text, "the agent has not been started: no agent complains about the missing polkit")
        for args, preexec in ((("--no-ask-password",), take_terminal), ((), None)):  # None: not the controlling terminal
            p = self.program("create", "mdpy-xga", *args, argv=user, terminal=True, preexec=preexec)
            self.assertEqual(p.finish(), 0)
            self.assertRegex(p.text, f"^{UUID.pattern}\r\n$")


class Remote(Case):
    def setUp(self):
        super().setUp()
        bridge = shutil.which("systemd-stdio-bridge")
        if not bridge:
            self.skipTest("needs systemd-stdio-bridge")
        folder = pathlib.Path(self.bus.folder.name) / "bin"
        folder.mkdir(exist_ok=True)
        # The fake ssh logs each call, and connects to the private bus.
        (folder / "ssh").write_text(f"#!/bin/sh\necho \"$@\" >>{folder}/log\n"
                                    f"[ \"$FAIL\" = later ] && head -c1 >/dev/null\n"  # vgpuctl has begun to send
                                    f"[ \"$FAIL\" ] && exit 255\nexec {bridge} -p \"$DBUS_SYSTEM_BUS_ADDRESS\"\n")
        (folder / "ssh").chmod(0o755)
        self.log = folder / "log"
        self.path = {"PATH": f"{folder}:{os.environ['PATH']}"}

    def test_host(self):
        out = self.good("-H", "root@elsewhere", "list", environment=self.path)
        self.assertIn("root@elsewhere", self.log.read_text())
        owners = [line.split()[5] for line in out.splitlines()[1:]]
        self.assertEqual(owners, ["0", "-", "65534"], "names of this host's users are not those of the other host")
        self.assertRegex(self.good("--host=elsewhere", "create", "mdpy-xga", environment=self.path), UUID)

    def test_how_ssh_is_called(self):
        for host, destination in (("h", "h"), ("u@h", "u@h"), ("u@h:22", "ssh://u@h:22"), ("[::1]:22", "ssh://[::1]:22"),
                                  ("-oProxyCommand=x", "-oProxyCommand=x")):
            self.log.unlink(missing_ok=True)
            self.good("-H", host, "list", environment=self.path)
            self.assertEqual(self.log.read_text(), f"-xT -- {destination} systemd-stdio-bridge\n")

    def test_completion(self):
        """Completion offers existing objects; ssh must not ask questions during completion."""
        out = self.good("-H", "elsewhere", "__complete", "gpus", environment=self.path)
        self.assertEqual([line.split("\t")[0] for line in out.splitlines()], [GVT, NVIDIA, OLD, SAMPLE])
        self.assertIn("-oBatchMode=yes", self.log.read_text())
        self.assertEqual(self.good("-H", "elsewhere", "__complete", "gpus", environment=dict(self.path, FAIL="1")), "")

    def test_no_way(self):
        for verb in ("list", "monitor"):
            for when in ("1", "later"):
                said = self.bad(1, "-H", "elsewhere", verb, environment=dict(self.path, FAIL=when))
                self.assertIn("elsewhere", said, verb)
                self.assertIn("ssh", said, verb)


class Activation(Case):
    def test_completion_does_not_start_the_daemon(self):
        self.bus.stop_mock()
        marker = pathlib.Path(self.bus.folder.name) / "started"
        service = self.bus.services / "org.vgpud1.service"
        service.write_text(f"[D-BUS Service]\nName=org.vgpud1\nExec=/bin/sh -c 'touch {marker}; exit 7'\n")
        self.addCleanup(service.unlink)
        self.bus.connection.call_blocking("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                          "ReloadConfig", "", ())
        for kind in ("gpus", "types", "instances", "jobs", "objects", "parents"):
            self.assertEqual(self.good("__complete", kind), "")
        self.assertFalse(marker.exists())
        self.bad(1, "list")
        self.assertTrue(marker.exists())


class Completion(Case):
    path = os.environ["PATH"]

    def candidates(self, *args):
        return dict(line.split("\t") if "\t" in line else (line, "") for line in self.good("__complete", *args).splitlines())

    def test_kinds(self):
        self.assertEqual(list(self.candidates("gpus")), [GVT, NVIDIA, OLD, SAMPLE])
        self.assertEqual(self.candidates("gpus")[GVT], "Intel Corporation HD Graphics 530")
        self.assertEqual(list(self.candidates("types")), ["i915-GVTg_V5_4", "i915-GVTg_V5_8", "nvidia-746", "mdpy-vga",
                                                          "mdpy-xga"])
        self.assertEqual(self.candidates("types", "--gpu", "41:00.0"), {"nvidia-746": "NVIDIA A2-4Q, available 3 of 4"})
        self.assertEqual(list(self.candidates("instances")), [FIRST, "desk", FOREIGN, SECOND])
        self.assertEqual(list(self.candidates("parents", "--gpu", NVIDIA)), ["0000:41:00.4", "0000:41:00.5"])
        self.assertEqual(self.candidates("vf-gpus"), {NVIDIA: "NVIDIA Corporation GA107GL [A2 / A16], 2 of 16 VFs"})
        self.assertEqual(self.candidates("modes", "--gpu", NVIDIA), {"heterogeneous": "types of several sizes beside each other"})
        choices = self.candidates("choices", "heterogeneous", "--gpu", NVIDIA)
        self.assertEqual({value: text != "" for value, text in choices.items()}, {"no": True, "yes": False})  # "no" is set now
        for nothing in (("modes",), ("modes", "--gpu", SAMPLE), ("choices", "mig", "--gpu", NVIDIA), ("choices",),
                        ("attributes",)):
            self.assertEqual(self.candidates(*nothing), {})
        self.bus.control("AddXe", True, signature="b")
        for what in (("vf-profile",), ("profile",), ("VF-Profile",), (), ("--gpu", XE)):
            self.assertEqual(list(self.candidates("attributes", *what)), ["vram_quota=", "exec_quantum_ms="])
        self.assertEqual(self.candidates("attributes", "vf"), {})
        self.bus.control("Reset")
        self.assertEqual(list(self.candidates("objects")), [GVT, NVIDIA, OLD, SAMPLE, FIRST, "desk", FOREIGN, SECOND])
        self.assertEqual(self.candidates("jobs"), {})
        self.bus.control("Hold", True)
        self.good("create", "mdpy-xga", "--no-block")
        jobs = self.candidates("jobs")
        self.assertEqual(list(jobs), ["17"])
        for fact in ("create", "mdpy", "running"):
            self.assertIn(fact, jobs["17"])
        self.assertEqual(self.candidates("nonsense"), {})

    def test_silent_without_bus(self):
        self.assertEqual(self.good("__complete", "gpus", environment={"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent"}), "")

    def elsewhere(self):
        """A folder with a fake ssh that leads to a bus with other GPUs and logs each call."""
        other = harness.Bus()
        self.addCleanup(other.close)
        other.start_mock()
        for path in (gpu_path(GVT), gpu_path(NVIDIA), instance_path(FIRST), instance_path(SECOND)):
            other.control("Remove", dbus.ObjectPath(path), signature="o")
        folder = pathlib.Path(other.folder.name) / "bin"
        folder.mkdir()
        (folder / "ssh").write_text(f"#!/bin/sh\necho \"$@\" >>{folder}/log\nexec systemd-stdio-bridge -p {other.address}\n")
        (folder / "ssh").chmod(0o755)
        return folder

    def test_of_another_host(self):
        """Completion after -H offers the objects of the other host."""
        folder = self.elsewhere()
        self.path = f"{folder}:{os.environ['PATH']}"
        for line in ("vgpuctl -H root@there:22 destroy ", "vgpuctl -Hroot@there:22 destroy ", "vgpuctl destroy --host root@there:22 ",
                     "vgpuctl --host=root@there:22 destroy --foreign "):
            self.assertEqual(self.bash(line), [FOREIGN], line)
            self.assertIn("ssh://root@there:22 ", (folder / "log").read_text())
            (folder / "log").unlink()
        self.assertEqual(self.bash("vgpuctl types --host there "), [OLD, SAMPLE])
        if shutil.which("zsh"):
            for line in ("vgpuctl -H root@there:22 types ", "vgpuctl types --host=root@there:22 ", "vgpuctl --host root@there:22 types "):
                shown = self.zsh(line)
                self.assertIn(OLD, shown, line)
                self.assertNotIn(NVIDIA, shown, line)
                self.assertIn("ssh://root@there:22 ", (folder / "log").read_text())

    def bash(self, line):
        """The completions of bash for the line, split by bash's own rules."""
        script = f"""
        set -u
        source {TOP}/cli/completion/vgpuctl.bash
        line=$1
        # Split as readline does: at blanks, and around the characters of COMP_WORDBREAKS.
        COMP_WORDS=()
        word=
        for ((i = 0; i < ${{#line}}; i++)); do
                c=${{line:i:1}}
                case $c in
                ' ') [[ -n $word ]] && COMP_WORDS+=("$word"); word= ;;
                [:=]) [[ -n $word ]] && COMP_WORDS+=("$word"); COMP_WORDS+=("$c"); word= ;;
                *) word+=$c ;;
                esac
        done
        [[ -n $word || $line == *' ' ]] && COMP_WORDS+=("$word")
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        COMP_LINE=$line
        COMP_POINT=${{#line}}
        COMP_WORDBREAKS=$' \\t\\n"\\'@><=;|&(:'
        _vgpuctl
        ((${{#COMPREPLY[@]}})) && printf '%s\\n' "${{COMPREPLY[@]}}"
        exit 0
        """
        path = pathlib.Path(case.PROGRAM).parent
        result = run(["bash", "-c", script, "bash", line], dict(self.bus.environment, PATH=f"{path}:{self.path}"))
        self.assertEqual((result.status, result.err), (0, ""), line)
        return result.out.splitlines()

    def test_bash(self):
        verbs = list(self.candidates("verbs"))
        self.assertEqual(self.bash("vgpuctl "), verbs)
        self.assertEqual(self.bash("vgpuctl cr"), ["create"])
        self.bus.control("AddDefinition", "b7ae9bc4-5d6e-4f1c-9a1e-2f0d3c4b5a69", {"name": "one"}, signature="sa{sv}")
        for line in ("start ", "edit o", "undefine o", "show o", "undefine one o"):
            self.assertIn("one", self.bash(f"vgpuctl {line}"), line)
        self.assertEqual(self.bash("vgpuctl stop "), [])
        self.assertEqual(self.bash("vgpuctl define --from d"), ["desk"])
        self.assertEqual(self.bash("vgpuctl define m"), ["mdpy-vga", "mdpy-xga"])
        self.assertEqual(self.bash("vgpuctl edit one --gpu m"), ["mdpy"])
        self.assertEqual(self.bash("vgpuctl undefine --s"), ["--stop"])
        self.assertEqual(self.bash("vgpuctl --json c"), ["create", "configure", "cancel"])
        self.assertEqual(self.bash("vgpuctl wait d"), ["desk"])
        self.assertEqual(self.bash("vgpuctl jobs --a"), ["--all"])
        self.assertEqual(self.bash("vgpuctl monitor --f"), ["--full"])
        self.assertEqual(self.bash("vgpuctl create mdpy-"), ["mdpy-vga", "mdpy-xga"])
        self.assertEqual(self.bash("vgpuctl create --type n"), ["nvidia-746"])
        self.assertEqual(self.bash("vgpuctl create --type=n"), ["nvidia-746"])
        self.assertEqual(self.bash("vgpuctl create --gpu m"), ["mdpy"])
        self.assertEqual(self.bash("vgpuctl create --gpu 0000:41:00.0 "), ["nvidia-746"])
        self.assertEqual(self.bash("vgpuctl create --gpu=0000:41:00.0 "), ["nvidia-746"])
        self.assertEqual(self.bash("vgpuctl create --gpu 0000:41:00.0 --parent 0000:41:00.5"), ["00.5"])
        self.assertEqual(self.bash("vgpuctl create --name "), [])
        self.assertEqual(self.bash("vgpuctl destroy 4f0c"), [FIRST, SECOND])
        self.assertEqual(self.bash("vgpuctl destroy desk c"), [FOREIGN])
        self.assertEqual(self.bash("vgpuctl show d"), ["desk"])
        self.assertEqual(self.bash("vgpuctl show j"), ["job"])
        self.assertEqual(self.bash("vgpuctl destroy --f"), ["--foreign"])
        self.assertEqual(self.bash("vgpuctl list --f"), [])
        self.assertEqual(self.bash("vgpuctl help cre"), ["create"])
        self.assertEqual(self.bash("vgpuctl enable-vfs "), [NVIDIA])
        self.assertEqual(self.bash("vgpuctl disable-vfs 0000:41:"), ["00.0"])
        self.assertEqual(self.bash("vgpuctl configure m"), ["mdpy"])
        self.assertEqual(self.bash("vgpuctl configure 0000:41:00.0 "), ["heterogeneous"])
        self.assertEqual(self.bash("vgpuctl configure 0000:41:00.0 --no-block heterogeneous "), ["no", "yes"])
        self.assertEqual(self.bash("vgpuctl types --w"), ["--why"])
        self.bus.control("AddXe", True, signature="b")
        self.assertEqual(self.bash("vgpuctl create vf-profile --attr v"), ["vram_quota="])
        self.assertEqual(self.bash("vgpuctl create vf --attr v"), [])

    def test_bash_knows_when_it_is_enough(self):
        for line in ("gpus ", "jobs ", "monitor ", "types mdpy ", "list mdpy ", "rescan mdpy ", "cancel 17 ", "help create ",
                     "show desk ", "show job 17 ", "create mdpy-xga ", "enable-vfs 0000:41:00.0 ", "enable-vfs 0000:41:00.0 4 ",
                     "disable-vfs 0000:41:00.0 ", "configure 0000:41:00.0 heterogeneous yes ", "types --json mdpy ",
                     "create --gpu mdpy mdpy-xga ", "define mdpy-xga ", "edit one "):
            self.assertEqual(self.bash(f"vgpuctl {line}"), [], line)
        self.assertEqual(self.bash("vgpuctl destroy desk c2 4f0c"), [FIRST, SECOND])

    def test_bash_colons(self):
        """bash replaces only the text after the last colon."""
        self.assertEqual(self.bash("vgpuctl types "), [GVT, NVIDIA, OLD, SAMPLE])
        self.assertEqual(self.bash("vgpuctl types 0000"), [GVT, NVIDIA])
        self.assertEqual(self.bash("vgpuctl types 0000:"), ["00:02.0", "41:00.0"])
        self.assertEqual(self.bash("vgpuctl types 0000:4"), ["41:00.0"])
        self.assertEqual(self.bash("vgpuctl types 0000:41:"), ["00.0"])
        self.assertEqual(self.bash("vgpuctl create --gpu=0000:0"), ["00:02.0"])

    def test_bash_on_a_terminal(self):
        """A real bash on a terminal completes each of these lines after Tab."""
        path = pathlib.Path(case.PROGRAM).parent
        p = Program(["bash", "--norc", "--noprofile", "-i"],
                    dict(self.bus.environment, PATH=f"{path}:{os.environ['PATH']}", INPUTRC="/dev/null"), terminal=True,
                    columns=200, echo=True)
        self.addCleanup(p.close)
        os.write(p.master, f"PS1='>''> '; source {TOP}/cli/completion/vgpuctl.bash\r".encode())
        p.expect(">> ")
        for typed, line in (("vgpuctl types 0000:4", "vgpuctl types 0000:41:00.0 "),
                            ("vgpuctl create --gpu=0000:4", "vgpuctl create --gpu=0000:41:00.0 "),
                            ("vgpuctl create --gpu=0000:41:00.0 n", "vgpuctl create --gpu=0000:41:00.0 nvidia-746 "),
                            ("vgpuctl create --ty", "vgpuctl create --type "), ("vgpuctl show d", "vgpuctl show desk "),
                            ("vgpuctl destroy 4f0c2", f"vgpuctl destroy {FIRST} ")):
            p.text = ""
            os.write(p.master, typed.encode() + b"\t")
            p.expect(line)
            os.write(p.master, b"\x15")

    def test_bash_jobs(self):
        self.bus.control("Hold", True)
        self.good("create", "mdpy-xga", "--no-block")
        self.assertEqual(self.bash("vgpuctl cancel "), ["17"])
        self.assertEqual(self.bash("vgpuctl show job "), ["17"])

    def test_shellcheck(self):
        if not shutil.which("shellcheck"):
            self.skipTest("needs shellcheck")
        result = run(["shellcheck", str(TOP / "cli/completion/vgpuctl.bash")], self.bus.environment)
        self.assertEqual((result.status, result.out), (0, ""))

    def zsh(self, line):
        """The completions of zsh for the line: a real zsh on a terminal of zpty."""
        script = f"""
        zmodload zsh/zpty
        zpty z 'PS1= PS2= zsh -f -i'
        zpty -w z 'fpath=({TOP}/cli/completion $fpath); autoload -Uz compinit; compinit -u -D; PS1="<P>"; setopt nolistbeep'
        zpty -w z 'zstyle ":completion:*" list-prompt ""; zstyle ":completion:*" verbose no; LISTMAX=1000; bindkey "^I" list-choices'
        zpty -w z 'print re"ady"'
        # Wait for zsh's prompt: until then the terminal edits lines itself, and Ctrl-U would delete the Tab.
        zpty -r z out $'*ready*<P>*' || exit 1
        zpty -n -w z "$1"$'\\t'
        zpty -n -w z $'\\C-u'
        zpty -w z 'print fin"ished"'
        zpty -r z out $'*finished*' || exit 1
        print -r -- "$out"
        """
        path = pathlib.Path(case.PROGRAM).parent
        environment = dict(self.bus.environment, PATH=f"{path}:{self.path}", COLUMNS="200", LINES="100")
        result = run(["zsh", "-f", "-c", script, "zsh", line], environment)
        self.assertEqual(result.status, 0, result.err)
        return result.out

    def test_zsh(self):
        if not shutil.which("zsh"):
            self.skipTest("needs zsh")
        result = run(["zsh", "-n", str(TOP / "cli/completion/_vgpuctl")], self.bus.environment)
        self.assertEqual((result.status, result.err), (0, ""))
        self.bus.control("AddDefinition", "b7ae9bc4-5d6e-4f1c-9a1e-2f0d3c4b5a69", {"name": "one"}, signature="sa{sv}")
        for line, wanted, unwanted in (("vgpuctl ", ["create", "monitor"], ["nvidia-746"]),
                                       ("vgpuctl start ", ["one"], ["desk"]), ("vgpuctl stop ", [], ["one", "desk"]),
                                       ("vgpuctl undefine --stop ", ["one"], ["desk"]), ("vgpuctl edit ", ["one"], ["desk"]),
                                       ("vgpuctl edit one --", ["--no-attrs", "--pool"], ["--uuid", "--count"]),
                                       ("vgpuctl define ", ["mdpy-xga"], ["one"]), ("vgpuctl define --from ", ["desk"], ["one"]),
                                       ("vgpuctl list --", ["--all"], ["--keep"]), ("vgpuctl show ", ["one", "desk"], []),
                                       ("vgpuctl types ", [GVT, NVIDIA], ["desk"]),
                                       ("vgpuctl create --gpu 0000:41:00.0 ", ["nvidia-746"], ["mdpy-xga"]),
                                       ("vgpuctl create mdpy", ["mdpy-vga", "mdpy-xga"], ["nvidia-746"]),
                                       ("vgpuctl destroy ", [FIRST, "desk"], [GVT]),
                                       ("vgpuctl enable-vfs ", [NVIDIA], [GVT]),
                                       ("vgpuctl configure 0000:41:00.0 ", ["heterogeneous"], ["mig", "yes"]),
                                       ("vgpuctl configure 0000:41:00.0 heterogeneous ", ["no", "yes"], ["mig"]),
                                       ("vgpuctl create --", ["--parent", "--timeout", "--json"], ["--foreign"])):
            with self.subTest(line):
                shown = self.zsh(line)
                for word in wanted:
                    self.assertIn(word, shown)
                for word in unwanted:
                    self.assertNotIn(word, shown)


class Texts(Case):
    """Help, manual and completion agree."""

    def setUp(self):
        pass

    def options_of_help(self):
        return set(re.findall(r"(?m)^  (?:-\w, |    )(--[\w-]+)", self.good("--help")))

    def verbs_of_help(self):
        text = self.good("--help")
        return re.findall(r"(?m)^  ([a-z-]+)\b", text[text.index("Verbs:"):text.index("Options:")])

    def test_options(self):
        in_help = self.options_of_help()
        self.assertGreater(len(in_help), 14)
        section = MANUAL[MANUAL.index("\nOPTIONS\n"):MANUAL.index("\nWHAT IS PRINTED\n")]
        in_manual = set(re.findall(r"(?m)^(?:\*\*-\w\*\*, )?\*\*(--[\w-]+)\*\*", section))
        self.assertEqual(in_help, in_manual)
        letters = set(re.findall(r"(?m)^\*\*(-\w)\*\*", section))
        self.assertEqual(set(re.findall(r"(?m)^  (-\w), --", self.good("--help"))), letters)

    def test_verbs(self):
        in_help = self.verbs_of_help()
        section = MANUAL[MANUAL.index("\nVERBS\n"):MANUAL.index("\nOPTIONS\n")]
        self.assertEqual(["vgpuctl", *in_help], re.findall(r"(?m)^\*\*([a-z-]+)\*\*", section))
        self.assertEqual(in_help, [line.split("\t")[0] for line in self.good("__complete", "verbs").splitlines()])

    def test_options_of_verbs(self):
        """The manual's options of each verb are the options of the program and of the completions."""
        section = MANUAL[MANUAL.index("\nOptions of single verbs\n"):MANUAL.index("\nWHAT IS PRINTED\n")]
        for option, text in re.findall(r"(?m)^\*\*(--[\w-]+)\*\*.*\n((?: .*\n)+)", section):
            verbs = set(re.findall(r"(?<!\*)\*([a-z-]+)\*(?!\*)", text)) & set(self.verbs_of_help())
            self.assertTrue(verbs, option)
            for verb in self.verbs_of_help():
                offered = [line.split("\t")[0] for line in self.good("__complete", "options", verb).splitlines()]
                self.assertEqual(option in offered, verb in verbs, f"{option} of {verb}")
                self.assertEqual(f" {option}" in self.good("help", verb), verb in verbs, f"help {verb}: {option}")
        zsh = (TOP / "cli/completion/_vgpuctl").read_text()
        for option in self.options_of_help():
            self.assertIn(option, zsh)

    def test_help(self):
        self.assertEqual(self.good("--help"), self.good("help"))
        self.assertEqual(self.good("-h"), self.good("help"))
        self.assertEqual(self.good("create", "--help"), self.good("help", "create"))
        for line in self.good("help").splitlines():
            self.assertLessEqual(len(line), 110)

    def test_version(self):
        version = re.search(r"version: '([\d.]+)'", (TOP / "meson.build").read_text())[1]
        self.assertEqual(self.good("--version"), f"vgpuctl {version}\n")

    def test_nvidia_vgpud(self):
        """The manual says at its beginning that NVIDIA's daemon is another program."""
        self.assertIn("nvidia-vgpud", MANUAL[MANUAL.index("DESCRIPTION"):][:600])

    def test_manual_can_be_read(self):
        if not shutil.which("rst2man"):
            self.skipTest("needs rst2man")
        result = run(["rst2man", "--halt=2", str(TOP / "man/vgpuctl.1.rst")], self.bus.environment)
        self.assertEqual((result.status, result.err), (0, ""))


if __name__ == "__main__":
    case.main()
