#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tests of the verbs for definitions, against the mock of vgpud.

test_definitions.py PROGRAM [--update] [NAME...]: --update rewrites golden/; review the result with git diff."""

import json
import re
import signal
import unicodedata

import dbus

import case
import mock_host
from case import Case
from harness import TOP, run, wait_for
from mock_host import FIRST, FOREIGN, GVT, INSTANCE, NVIDIA, SAMPLE, SECOND, gpu_path, instance_path

MANUAL = (TOP / "man/vgpuctl.1.rst").read_text()
ERROR = "org.vgpud1.Error."
# Definitions of the tests: ONE and TWO begin with b7ae; NEAR, FIRST and SECOND begin with 4f0c.
ONE = "b7ae9bc4-5d6e-4f1c-9a1e-2f0d3c4b5a69"
TWO = "b7ae0000-5d6e-4f1c-9a1e-2f0d3c4b5a69"
NEAR = "4f0c2000-0000-4000-8000-000000000001"
VERBS = ("define", "edit", "autostart", "start", "stop", "undefine")
# Values that make a stopped definition of the mock wait.
WAITS = {"reason": "0000:99:00.0 is not plugged in", "hint": "wait for the driver", "hint_id": "load-driver"}


class Defined(Case):
    """A host with definitions."""

    def setUp(self):
        super().setUp()
        self.define(ONE, name="one")
        self.define(TWO, gpu=SAMPLE, parent=SAMPLE, owner="65534", attributes=dbus.Array([("a", "1"), ("b", "2")], signature="(ss)"))
        self.calls()

    def define(self, uuid, **values):
        values = {"type": "mdpy-xga", "created_usec": dbus.UInt64(mock_host.now() - 3 * mock_host.HOUR - 30000000), **values}
        self.bus.control("AddDefinition", uuid, values, signature="sa{sv}")

    def definitions(self):
        return {d["uuid"]: d for d in self.data("list", "--all")["definitions"]}

    def states(self):
        return {u: d["state"] for u, d in self.definitions().items()}

    def instances(self):
        return self.good("list", "-q").split()

    def end(self, number, result="done", error="", message=""):
        self.bus.control("End", dbus.UInt32(number), result, error and ERROR + error, message, signature="usss")

    def members(self):
        return [c["member"] for c in self.calls()]


class Define(Defined):
    KEY = "10de/A2/Q/4096/A2-4Q"

    def test_plain(self):
        uuid = self.good("define", "mdpy-xga").strip()
        self.assertEqual(self.calls("Define")[0]["args"], ["mdpy-xga", {}])
        self.assertEqual(self.states()[uuid], "stopped")
        self.assertNotIn(uuid, self.instances())
        self.assertEqual(self.good("define", "--type", "mdpy-vga", "-q").strip(), max(set(self.states()) - {uuid, ONE, TWO}))

    def test_all_options(self):
        self.assertEqual(self.good("define", "mdpy-xga", "--gpu", "mdp", "--parent", "mdpy", "--name", "n", "--attr", "a=1", "--attr", "b=",
                                   "--uuid", NEAR.upper()), f"{NEAR}\n")
        self.assertEqual(self.calls("Define")[0]["args"], ["mdpy-xga", {
            "gpu": SAMPLE, "parent": "mdpy", "name": "n", "uuid": NEAR, "attributes": [["a", "1"], ["b", ""]]}])
        self.data("define", "x", "--pool", "fast")
        self.assertEqual(self.calls("Define")[0]["args"], ["x", {"pool": "fast"}])

    def test_a_gpu_that_is_missing(self):
        """A definition may name a missing GPU, by an address in any form or by another name. A whole address needs no list."""
        missing = "0000:99:00.0"
        self.good("define", self.KEY, "--gpu", missing)
        self.assertEqual([(c["member"], c["args"][1]) for c in self.calls()], [("Define", {"gpu": missing})])
        for word, name in (("99:00.0", missing), ("pci_0000_99_00_0", missing), (gpu_path(missing), missing), ("other", "other")):
            self.good("define", self.KEY, "--gpu", word)
            self.good("edit", ONE, "--gpu", word, "--type", self.KEY)
            self.assertEqual([self.calls(m)[0]["args"][1]["gpu"] for m in ("Define",)] + [self.definitions()[ONE]["gpu"]], [name] * 2)
        self.assertEqual(self.failed(3, "define", "x", "--gpu", "none")["name"], ERROR + "NoSuchGpu")
        self.calls()
        for word in ("99:00", "9.0", "/org/vgpud1/job/3"):  # parts of an address, and the path of another object
            self.assertEqual(self.failed(3, "define", self.KEY, "--gpu", word)["name"], ERROR + "NoSuchGpu")
        self.assertEqual(self.calls("Define"), [])

    def test_list_of_a_missing_gpu(self):
        self.good("define", self.KEY, "--gpu", "99:00.0", "--uuid", NEAR)
        for word in ("0000:99:00.0", "99:00.0", gpu_path("0000:99:00.0")):
            self.assertEqual([d["uuid"] for d in self.data("list", "--all", word)["definitions"]], [NEAR])
            self.assertIn(NEAR, self.good("list", "--all", word))
            self.assertEqual(self.failed(3, "list", word)["name"], ERROR + "NoSuchGpu")
        self.assertEqual(self.failed(3, "list", "--all", "98:00.0")["name"], ERROR + "NoSuchGpu")

    def test_from(self):
        for word in ("desk", FIRST, FIRST.upper(), "4f0c2a", instance_path(FIRST)):
            self.bus.control("Reset")
            self.assertEqual(self.good("define", "--from", word), f"{FIRST}\n")
            self.assertEqual(self.calls("DefineInstance")[0]["args"], [FIRST, {}])
        d = self.definitions()[FIRST]
        self.assertEqual((d["type"], d["gpu"], d["name"], d["state"], d["differs"]), ("i915-GVTg_V5_4", GVT, "desk", "active", False))
        for word, status, name in ((FOREIGN, 4, "Foreign"), ("desk", 6, "Exists"), ("nope", 3, "NoSuchInstance"), ("4f0c", 2, "Ambiguous"),
                                   ("4f", 2, "InvalidArgs"), (ONE, 3, "NoSuchInstance")):
            error = self.failed(status, "define", "--from", word)
            self.assertEqual((error["name"], error["object"]), (ERROR + name, word))
        error = self.failed(4, "define", "--from", FOREIGN)  # define has no --foreign: the hint is a whole command
        self.assertEqual((error["hint_id"], FOREIGN in error["hint"]), ("use-foreign", True))

    def test_json(self):
        self.assertEqual(self.data("define", "mdpy-xga", "--uuid", NEAR), {"uuid": NEAR})
        self.assertEqual(self.data("define", "--from", "desk"), {"uuid": FIRST})
        self.assertEqual(self.data("edit", "one", "--name", "n"), {"uuid": ONE})

    def test_output_that_cannot_be_written(self):
        """The error names the new definition."""
        result = run(["sh", "-c", '"$0" define mdpy-xga >/dev/full', case.PROGRAM], self.bus.environment)
        self.assertEqual(result.status, 1)
        self.assertIn(max(set(self.states()) - {ONE, TWO}), result.err)

    def test_usage(self):
        for args in (("define",), ("define", ""), ("define", "a", "b"), ("define", "a", "--type", "b"), ("define", "a", "--from", "b"),
                     ("define", "--from", "b", "--name", "c"), ("define", "--from", ""), ("define", "a", "--gpu", "b", "--pool", "c"),
                     ("define", "a", "--gpu="), ("define", "a", "--uuid", "b"), ("define", "a", "--attr", "b"), ("define", "a", "--count", "2"),
                     ("define", "a", "--no-block"), ("define", "a", "--no-attrs"), ("edit",), ("edit", "a"), ("edit", "a", "b", "--name", "c"),
                     ("edit", "", "--name", "c"), ("edit", "a", "--attr", "b=c", "--no-attrs"), ("edit", "a", "--gpu", "b", "--pool", "c"),
                     ("edit", "a", "--uuid", NEAR), ("start",), ("start", ""), ("start", "a", "--stop"), ("start", "a", "--foreign"),
                     ("start", "a", "--timeout", "1s", "--no-block"), ("stop",), ("stop", "a", ""), ("stop", "a", "--foreign"), ("undefine",),
                     ("undefine", ""), ("undefine", "a", "--no-block"),
                     ("undefine", "a", "--timeout", "1s"), ("create", "a", "--stop"), ("destroy", "a", "--keep"),
                     ("list", "--keep"), ("gpus", "--from", "a"), *((verb, b"\xff\xfe") for verb in VERBS),
                     ("create", "a", "--autostart"), ("define", "--from", "a", "--autostart"), ("edit", "a", "--autostart"),
                     ("define", "a", "--autostart=yes"), ("start", "a", "--autostart"), ("autostart",), ("autostart", "a"),
                     ("autostart", "a", "yes"), ("autostart", "", "on"), ("autostart", "a", "on", "b"), ("autostart", "a", "on", "--type", "b"),
                     ("define", "a", "--name", b"\xff"), ("edit", "a", "--name", b"\xc3")):
            with self.subTest(args):
                self.assertIn("help", self.bad(2, *args))
        self.assertEqual(self.calls(), [])


class Edit(Defined):
    def test_options(self):
        for args, sent in ((("--type", "mdpy-vga"), {"type": "mdpy-vga"}), (("--gpu", "41:00.0"), {"gpu": NVIDIA}), (("--gpu", ""), {"gpu": ""}),
                           (("--pool", "fast"), {"pool": "fast"}), (("--pool="), {"pool": ""}), (("--parent", ""), {"parent": ""}),
                           (("--name", "three"), {"name": "three"}), (("--name", ""), {"name": ""}),
                           (("--attr", "x=y"), {"attributes": [["x", "y"]]}), (("--no-attrs",), {"attributes": []}),
                           (("--gpu", "", "--pool", "fast"), {"gpu": "", "pool": "fast"})):
            args = (args,) if isinstance(args, str) else args
            self.assertEqual(self.good("edit", TWO, *args), "")
            self.assertEqual([c["args"] for c in self.calls("Edit")], [[TWO, sent]])
        d = self.data("show", TWO)["definition"]
        self.assertEqual((d["type"], d["gpu"], d["pool"], d["name"], d["attributes"]), ("mdpy-vga", None, "fast", None, []))

    def test_words(self):
        for word, members in (("one", ["ListDefinitions", "Edit"]), (ONE, ["Edit"]), (ONE.upper(), ["Edit"]), ("b7ae9", ["ListDefinitions", "Edit"]),
                              (instance_path(ONE), ["ListDefinitions", "Edit"])):
            self.calls()
            self.assertEqual(self.good("edit", word, "--type", "t"), "")
            calls = self.calls()
            self.assertEqual(([c["member"] for c in calls], calls[-1]["args"][0]), (members, ONE))
        for word, status, name in (("nope", 3, "NoSuchDefinition"), (NEAR, 3, "NoSuchDefinition"), ("b7ae", 2, "Ambiguous"),
                                   ("b7", 2, "InvalidArgs"), ("desk", 3, "NoSuchDefinition"), ("/org/vgpud1/job/3", 3, "NoSuchDefinition")):
            error = self.failed(status, "edit", word, "--type", "t")
            self.assertEqual((error["name"], error["object"]), (ERROR + name, word))
            self.assertEqual(error["hint_id"], "list-definitions" if status == 3 else "longer-prefix")

    def test_a_running_one(self):
        """list marks an instance whose definition was edited, until the next start."""
        self.good("start", "one")
        self.assertNotIn("edited", self.good("list"))
        self.good("edit", "one", "--name", "two")
        rows = [row for row in self.good("list").splitlines() if "(edited)" in row]
        self.assertEqual([row.split()[0] for row in rows], [ONE])
        self.assertEqual({i["uuid"]: i["definition"] for i in self.data("list")["instances"]}[ONE], "differs")
        self.assertTrue(self.definitions()[ONE]["differs"])
        self.assertIn("(edited)", self.good("show", "mdpy"))
        # Each name finds the definition and the instance, which keeps its name until the next start.
        for word in ("one", "two", "b7ae9", ONE):
            shown = self.data("show", word)
            self.assertEqual(shown["definition"]["name"], "two", word)
        self.good("stop", "two")
        self.good("start", "two")
        self.assertNotIn("edited", self.good("list"))
        self.assertEqual(self.data("show", "two")["instance"]["name"], "two")


    def test_both_names(self):
        """Old and new name of an active definition find definition and instance after an edit of the name."""
        self.good("edit", "one", "--name", "d3")
        self.good("start", "d3")
        self.good("edit", "d3", "--name", "other")
        row = next(row for row in self.good("list", "--all").splitlines() if row.startswith(ONE))
        self.assertRegex(row, r"\bd3\b.*\bother\b")
        self.assertNotIn("other", self.good("list"))
        for name in ("d3", "other"):
            self.calls()
            self.good("edit", name, "--pool", name)
            self.assertEqual(self.calls("Edit")[0]["args"][0], ONE)
            self.assertEqual(self.failed(6, "destroy", name)["name"], ERROR + "Defined")
            self.assertEqual(self.failed(6, "start", name)["name"], ERROR + "Exists")
            self.assertEqual(self.failed(6, "define", "--from", name)["name"], ERROR + "Exists")
            self.assertEqual(self.data("wait", name)["results"][0]["instance"], ONE)
        self.good("stop", "d3")
        self.assertEqual(self.states()[ONE], "stopped")
        self.good("start", "other")
        self.good("edit", "other", "--name", "")
        self.assertEqual(self.good("undefine", "other", "--stop"), "")
        self.assertEqual((list(self.states()), ONE in self.instances()), ([TWO], False))
        self.good("create", "mdpy-xga", "--name", "d3")  # an instance without a definition
        for verb in ("start", "undefine"):
            self.assertEqual(self.failed(3, verb, "d3")["name"], ERROR + "NoSuchDefinition")
        self.assertEqual(self.failed(3, "stop", "d3")["hint_id"], "choose-other")

    def test_help(self):
        """edit changes an existing definition, so the texts of its options differ from those of create."""
        texts = {verb: dict(re.findall(r"(?m)^ +(--[a-z-]+)(.*)$", self.good("help", verb))) for verb in ("create", "edit")}
        self.assertEqual({o for o in ("--type", "--gpu", "--pool", "--parent", "--name", "--attr", "--json")
                          if texts["create"][o] == texts["edit"][o]}, {"--json"})  # fmt: skip
        offered = {verb: self.good("__complete", "options", verb).splitlines() for verb in ("create", "edit")}
        self.assertEqual([line for line in offered["edit"] if line.startswith("--gpu") and line in offered["create"]], [])


class Autostart(Defined):
    def test_options(self):
        for args, member in ((("define", "mdpy-xga"), "Define"), (("create", "mdpy-xga", "--keep"), "Create")):
            uuid = self.good(*args, "--autostart").strip()
            self.assertEqual(self.calls(member)[0]["args"][-1].get("autostart"), 1)
            self.assertIs(self.definitions()[uuid]["autostart"], True)
        self.assertIs(self.definitions()[ONE]["autostart"], False)

    def test_verb(self):
        for word in ("one", ONE, ONE.upper(), "b7ae9", instance_path(ONE)):
            for value in ("on", "off"):
                self.calls()
                self.assertEqual(self.good("autostart", word, value), "")
                self.assertEqual(self.calls("Edit")[0]["args"], [ONE, {"autostart": value == "on"}])
                self.assertIs(self.definitions()[ONE]["autostart"], value == "on")
        self.assertEqual(self.data("autostart", "one", "on"), {"uuid": ONE})
        for word, status, name in (("nope", 3, "NoSuchDefinition"), (NEAR, 3, "NoSuchDefinition"), ("b7ae", 2, "Ambiguous")):
            error = self.failed(status, "autostart", word, "on")
            self.assertEqual((error["name"], error["object"]), (ERROR + name, word))

    def test_a_running_one(self):
        """autostart changes nothing of the instance, so the definition does not differ from it."""
        self.good("start", "one")
        self.good("autostart", "one", "on")
        self.assertNotIn("edited", self.good("list"))
        rows = {row.split()[0]: row.split()[-1] for row in self.good("list", "--all").splitlines()}
        self.assertEqual((rows[ONE], rows[TWO], rows["UUID"]), ("yes", "no", "AUTOSTART"))
        self.assertNotIn("AUTOSTART", self.good("list"))


class Waiting(Defined):
    """A definition that vgpud cannot start yet."""

    def setUp(self):
        super().setUp()
        self.define(ONE, autostart=True, **WAITS)
        self.calls()

    def test_show(self):
        self.assertEqual(self.states(), {ONE: "waiting", TWO: "stopped"})
        self.assertEqual({k: self.definitions()[ONE][k] for k in WAITS}, WAITS)
        self.assertEqual({k: self.definitions()[TWO][k] for k in WAITS}, dict.fromkeys(WAITS))
        shown = self.good("show", "one")
        for text in ("waiting", WAITS["reason"], WAITS["hint"]):
            self.assertIn(text, shown)
        self.assertEqual(self.data("show", "one")["definition"]["reason"], WAITS["reason"])
        row = next(row for row in self.good("list", "--all").splitlines() if row.startswith(ONE))
        self.assertIn(" waiting ", row)

    def test_stop(self):
        self.assertEqual(self.good("stop", "one"), "")
        self.assertEqual([(c["member"], c["args"]) for c in self.requests()][1:], [("CancelStart", [ONE, {}])])
        self.assertEqual(self.states()[ONE], "stopped")
        self.assertEqual(self.failed(3, "stop", "one")["name"], ERROR + "NoSuchInstance")

    def test_stop_with_others(self):
        """stop cancels starts and destroys instances in one command."""
        self.good("start", TWO)
        self.good("define", "--from", "desk")
        self.calls()
        result = self.vgpuctl("stop", "desk", ONE, "nope", TWO, "one", "--json")
        self.assertEqual(result.status, 3)
        data = json.loads(result.out)
        self.check("definition_results", data)
        self.assertEqual([(r["uuid"], r["result"], bool(r["job"])) for r in data["results"]],
                         [(FIRST, "done", True), (ONE, "done", False), (None, "failed", False), (TWO, "done", True), (ONE, "done", False)])
        self.assertEqual([m for m in self.members() if m not in ("ListDefinitions", "ListInstances", "GetInstance")],
                         ["CancelStart", "DestroyMany"])
        self.assertEqual(self.states(), {ONE: "stopped", TWO: "stopped", FIRST: "stopped"})

    def test_stop_without_waiting(self):
        """A call without a job is done when it is answered."""
        self.assertEqual(self.data("stop", ONE, "--no-block")["results"],
                         [{"definition": ONE, "uuid": ONE, "job": None, "result": "done", "error": None}])
        self.define(ONE, **WAITS)
        self.assertEqual(self.good("stop", ONE, "--no-block"), "")

    def test_refused(self):
        self.bus.control("FailOf", "CancelStart", ERROR + "NotAuthorized", "denied", signature="sss")
        error = self.failed(4, "stop", "one")
        self.assertEqual((error["name"], error["object"]), (ERROR + "NotAuthorized", "one"))
        self.assertEqual(self.states()[ONE], "waiting")

    def test_autostart_off(self):
        self.good("autostart", "one", "on")
        self.assertEqual(self.states()[ONE], "waiting")
        self.good("autostart", "one", "off")
        self.assertEqual(self.states()[ONE], "stopped")

    def test_start(self):
        self.good("start", "one")
        self.assertEqual((self.states()[ONE], self.definitions()[ONE]["reason"]), ("active", None))

    def test_undefine(self):
        self.assertEqual(self.good("undefine", "one", "--stop"), "")
        self.assertEqual(self.members(), ["ListDefinitions", "Undefine"])
        self.assertEqual(list(self.states()), [TWO])

    def test_completion(self):
        for kind in ("definitions", "stopped-definitions", "active-definitions", "objects"):
            self.assertIn("one", [line.split("\t")[0] for line in self.good("__complete", kind).splitlines()], kind)

    def test_monitor(self):
        p = self.program("monitor", "--json")
        p.expect("\n")
        self.good("stop", "one")
        self.define(ONE, **WAITS)
        p.expect('"hint_id":"load-driver"}}')
        p.process.send_signal(signal.SIGINT)
        self.assertEqual((p.finish(), p.errors), (0, ""))
        events = [json.loads(line) for line in p.text.splitlines()]
        for e in events:
            self.check("event", e)
        self.assertEqual([{k: e["changes"][k] for k in WAITS} for e in events[1:]], [dict.fromkeys(WAITS), WAITS])


class Start(Defined):
    def test_plain(self):
        self.assertEqual(self.good("start", "one", TWO), "")
        self.assertEqual([(c["member"], c["args"]) for c in self.requests()][1:], [("Start", [ONE, {}]), ("Start", [TWO, {}])])
        self.assertEqual(self.states(), {ONE: "active", TWO: "active"})
        instance = self.data("show", "one")["instance"]
        self.assertEqual((instance["uuid"], instance["name"], instance["definition"], instance["type"]), (ONE, "one", "current", "mdpy-xga"))
        self.assertEqual({i["uuid"]: i["owner"] for i in self.data("list")["instances"]}[TWO], "65534")

    def test_no_block(self):
        self.bus.control("Hold", True)
        self.assertEqual(self.good("start", "one", TWO, "--no-block"), "17\n18\n")
        self.assertEqual(self.states(), {ONE: "starting", TWO: "starting"})
        self.assertEqual(self.failed(6, "start", "one")["name"], ERROR + "Exists")
        self.end(17)
        self.end(18, "failed", "NoCapacity", "full")
        self.assertEqual(self.states(), {ONE: "active", TWO: "stopped"})

    def test_json(self):
        result = self.vgpuctl("start", "one", "nope", "b7ae9", "--json")
        self.assertEqual(result.status, 3)
        data = json.loads(result.out)
        self.check("definition_results", data)
        self.assertEqual([(r["definition"], r["uuid"], r["job"], r["result"]) for r in data["results"]],
                         [("one", ONE, 17, "done"), ("nope", None, None, "failed"), ("b7ae9", ONE, 17, "done")])
        self.assertEqual(data["results"][1]["error"], self.error(result))
        self.assertEqual(self.data("start", TWO, "--no-block")["results"][0]["result"], "queued")

    def test_all_are_tried(self):
        self.good("start", "one")
        said = self.bad(6, "start", "one", "nope", TWO)
        self.assertEqual(len(re.findall("^vgpuctl: ", said, re.M)), 2)
        self.assertEqual(self.states()[TWO], "active")
        self.assertEqual(self.vgpuctl("start", "nope", "one").status, 3)

    def test_failed_job(self):
        self.bus.control("Hold", True)
        p = self.program("start", "one")
        wait_for(lambda: self.calls("Start"), "the call")
        self.end(17, "failed", "NoCapacity", "crowded")
        self.assertEqual(p.finish(), 5)
        self.assertRegex(p.errors, r"(?m)^vgpuctl: .*\bone\b.*crowded")

    def test_timeout(self):
        self.bus.control("Hold", True)
        error = self.failed(8, "start", "one", "--timeout", "10ms")
        self.assertEqual((error["name"], error["job"], error["instances"]), (ERROR + "Timeout", 17, [ONE]))

    def test_interrupt(self):
        self.bus.control("Hold", True)
        p = self.program("start", "one", TWO)
        wait_for(lambda: self.good("jobs", "-q") == "17\n", "the job")
        p.process.send_signal(signal.SIGINT)
        self.assertEqual(p.finish(), 130)
        self.assertIn("17", p.errors)
        self.assertEqual(self.states(), {ONE: "starting", TWO: "stopped"})  # the first call goes alone, so TWO was never sent

    def test_interrupt_in_json(self):
        self.bus.control("Hold", True)
        p = self.program("start", "one", "--json")
        wait_for(lambda: self.good("jobs", "-q") == "17\n", "the job")
        p.process.send_signal(signal.SIGINT)
        self.assertEqual(p.finish(), 130)
        self.assertEqual(json.loads(p.errors)["error"]["jobs"], [17])
        self.assertEqual([(r["uuid"], r["result"]) for r in json.loads(p.text)["results"]], [(ONE, "unknown")])


class Stop(Defined):
    def setUp(self):
        super().setUp()
        self.good("start", ONE, TWO)
        self.calls()

    def test_plain(self):
        self.assertEqual(self.good("stop", "one"), "")
        self.assertEqual([(c["member"], c["args"]) for c in self.requests()][1:], [("Destroy", [instance_path(ONE), {"defined": 1}])])
        self.assertEqual(self.states(), {ONE: "stopped", TWO: "active"})

    def test_several(self):
        """stop makes one job for each GPU, as destroy does."""
        self.good("define", "--from", "desk")
        self.calls()
        self.assertEqual(self.good("stop", "one", "b7ae0", "desk", ONE), "")
        self.assertEqual(self.members(), ["ListDefinitions", "ListInstances", "DestroyMany"])
        self.assertEqual(self.states(), {ONE: "stopped", TWO: "stopped", FIRST: "stopped"})
        self.assertEqual(self.instances(), [FOREIGN, SECOND])

    def test_all_are_tried(self):
        self.good("stop", "one")
        self.assertEqual(self.vgpuctl("stop", ONE, TWO).status, 3)
        self.assertEqual(self.states(), {ONE: "stopped", TWO: "stopped"})

    def test_without_a_definition(self):
        self.assertEqual(self.failed(3, "stop", "desk")["name"], ERROR + "NoSuchDefinition")
        error = self.failed(3, "stop", FIRST)
        self.assertEqual((error["name"], error["hint_id"]), (ERROR + "NoSuchDefinition", "choose-other"))
        self.assertIn(FIRST, self.instances())

    def test_destroy_is_refused(self):
        error = self.failed(6, "destroy", "one")
        self.assertEqual((error["name"], error["hint_id"], error["exit_status"]), (ERROR + "Defined", "use-stop", 6))
        self.assertEqual(self.vgpuctl("destroy", "desk", "one").status, 6)
        self.assertEqual(self.instances(), [FOREIGN, SECOND, TWO, ONE])

    def test_json_and_no_block(self):
        self.bus.control("Hold", True)
        self.assertEqual(self.good("stop", ONE, TWO, "--no-block"), "19\n")
        self.end(19)
        self.good("start", ONE, "--no-block")
        self.end(20)
        self.assertEqual(self.data("stop", "one", "--no-block")["results"],
                         [{"definition": "one", "uuid": ONE, "job": 21, "result": "queued", "error": None}])


class Undefine(Defined):
    def test_plain(self):
        self.good("start", ONE)
        self.calls()
        self.assertEqual(self.good("undefine", "one", TWO), "")
        self.assertEqual([(c["member"], c["args"]) for c in self.requests()][1:], [("Undefine", [ONE, {}]), ("Undefine", [TWO, {}])])
        self.assertEqual(self.definitions(), {})
        self.assertEqual({i["uuid"]: i["definition"] for i in self.data("list")["instances"]}[ONE], None)
        self.good("destroy", "one")

    def test_stop(self):
        self.good("start", ONE)
        self.calls()
        self.assertEqual(self.good("undefine", "one", TWO, "--stop"), "")
        self.assertEqual(self.members(), ["ListDefinitions", "ListInstances", "Destroy", "Undefine", "Undefine"])
        self.assertEqual((self.definitions(), ONE in self.instances()), ({}, False))

    def test_what_cannot_be_stopped_stays(self):
        self.good("start", ONE, TWO)
        self.bus.control("Hold", True)
        p = self.program("undefine", "one", TWO, "--stop", "--json")
        wait_for(lambda: self.good("jobs", "-q"), "the job")
        failure = {"instance": dbus.ObjectPath(instance_path(ONE)), "error_name": ERROR + "InUse", "message": "qemu holds it"}
        more = {"failures": dbus.Array([dbus.Dictionary(failure, signature="sv")], signature="a{sv}")}
        self.bus.control("EndWith", dbus.UInt32(19), "failed", ERROR + "InUse", "qemu holds it", more, signature="usssa{sv}")
        self.assertEqual(p.finish(), 6)
        data = json.loads(p.text)
        self.check("definition_results", data)
        self.assertEqual([(r["definition"], r["job"], r["result"]) for r in data["results"]], [("one", 19, "failed"), (TWO, 19, "done")])
        self.assertEqual(self.states(), {ONE: "active"})

    def test_interrupt(self):
        """vgpuctl undefines nothing after Ctrl-C during the stop."""
        self.good("start", ONE)
        self.bus.control("Hold", True)
        p = self.program("undefine", "one", "--stop")
        wait_for(lambda: self.good("jobs", "-q"), "the job")
        p.process.send_signal(signal.SIGINT)
        self.assertEqual(p.finish(), 130)
        self.assertIn("18", p.errors)
        self.assertRegex(p.errors, r"(?m)^vgpuctl: .*\bone\b")  # the error says that the definition stays
        self.assertEqual(self.calls("Undefine"), [])

    def test_json(self):
        result = self.vgpuctl("undefine", "one", "nope", "one", "--json")
        self.assertEqual(result.status, 3)
        data = json.loads(result.out)
        self.check("definition_results", data)
        self.assertEqual([(r["definition"], r["uuid"], r["job"], r["result"]) for r in data["results"]],
                         [("one", ONE, None, "done"), ("nope", None, None, "failed"), ("one", ONE, None, "done")])


    def test_refused_after_the_stop(self):
        """The error and the results tell that the instance is gone."""
        def refuse():
            self.bus.control("FailOf", "Undefine", ERROR + "NotAuthorized", "denied", signature="sss")

        refuse()
        plain = self.failed_results(4, "undefine", "one")
        self.assertEqual((plain["result"], plain["destroyed"]), ("failed", False))
        self.good("start", ONE)
        refuse()
        after = self.failed_results(4, "undefine", "one", "--stop")
        self.assertEqual((after["result"], after["destroyed"], after["job"]), ("failed", True, 18))
        self.assertNotEqual(after["error"]["message"], plain["error"]["message"])
        self.assertEqual(self.states()[ONE], "stopped")
        refuse()
        stopped = self.failed_results(4, "undefine", "one", "--stop")  # there was nothing to stop
        self.assertEqual((stopped["destroyed"], stopped["error"]["message"]), (False, plain["error"]["message"]))
        self.good("start", ONE)
        self.assertEqual([r["destroyed"] for r in self.data("undefine", "one", TWO, "--stop", "one")["results"]], [True, False, True])

    def failed_results(self, status, *args):
        result = self.vgpuctl(*args, "--json")
        self.assertEqual(result.status, status)
        data = json.loads(result.out)
        self.check("definition_results", data)
        return data["results"][0]

    def test_timeout(self):
        self.good("start", ONE)
        self.bus.control("Hold", True)
        error = self.failed(8, "undefine", "one", "--stop", "--timeout", "10ms")
        self.assertEqual((error["name"], error["job"]), (ERROR + "Timeout", 18))
        self.assertEqual((self.calls("Undefine"), ONE in self.states()), ([], True))
        self.end(18)
        self.good("undefine", "one", "--stop", "--timeout", "1min")


class Keep(Defined):
    def test_create(self):
        uuid = self.good("create", "mdpy-xga", "--keep", "--name", "kept", "--gpu", "mdpy").strip()
        self.assertEqual(self.calls("Create")[0]["args"], [SAMPLE, "mdpy-xga", {"name": "kept", "keep": 1}])
        d = self.definitions()[uuid]
        self.assertEqual((d["name"], d["gpu"], d["state"], d["differs"]), ("kept", SAMPLE, "active", False))
        error = self.failed(6, "create", "mdpy-xga", "--uuid", ONE)
        self.assertEqual((error["name"], error["hint_id"]), (ERROR + "Exists", "use-start"))


class Errors(Defined):
    """Every error reaches the user of every verb, with its status, in text and in JSON."""

    def test_each_error(self):
        text = (TOP / "daemon/base/error.h").read_text()
        table = [(n, int(s)) for n, s in re.findall(r'X\(\w+, "(\w+)", \w+, (\d),', text)]
        self.assertLess({("NoSuchDefinition", 3), ("Defined", 6), ("QuotaExceeded", 5)}, set(table))
        for name, status in table:
            for args in (("define", "t"), ("define", "--from", FIRST), ("edit", ONE, "--name", "n"), ("start", ONE), ("stop", ONE), ("undefine", ONE),
                         ("create", "t", "--keep"), ("list", "--all")):
                with self.subTest(name=name, args=args):
                    self.bus.control("Fail", ERROR + name, "the very reason", signature="ss")
                    self.assertIn("the very reason", self.bad(status, *args))
                    self.bus.control("Fail", ERROR + name, "the very reason", signature="ss")
                    error = self.failed(status, *args)
                    self.assertEqual((error["name"], error["exit_status"]), (ERROR + name, status))
                    if name in ("NoSuchDefinition", "QuotaExceeded", "Defined"):
                        self.assertEqual(error["hint_id"], "use-stop" if name == "Defined" else "list-definitions")
        self.assertEqual(self.states(), {ONE: "stopped", TWO: "stopped"})

    def test_two_of_one_name(self):
        """Two definitions have one name only if a person wrote their files. A longer word cannot help."""
        self.define(TWO, name="one")
        for args in (("start", "one"), ("stop", "one"), ("undefine", "one"), ("edit", "one", "--name", "n"), ("show", "one")):
            error = self.failed(2, *args)
            self.assertEqual((error["name"], error["hint_id"]), (ERROR + "Ambiguous", "choose-other"), args)
        self.assertEqual(self.failed(2, "start", "b7ae")["hint_id"], "longer-prefix")

    def test_names_of_digits(self):
        """A short word of hexadecimal digits may be the name of a definition."""
        self.define(NEAR, name="a")
        for verb in ("destroy", "wait"):
            error = self.failed(3, verb, "a")
            self.assertEqual((error["name"], error["hint_id"]), (ERROR + "NoSuchInstance", "use-start"))
            self.assertEqual(self.failed(2, verb, "b")["hint_id"], "longer-prefix")
        self.assertEqual(self.failed(3, "define", "--from", "a")["hint_id"], "use-start")
        self.good("undefine", "a")

    def test_absent(self):
        """The hint names the command that lists the definitions, too."""
        for args in (("stop", NEAR), ("show", NEAR), ("start", NEAR), ("undefine", NEAR), ("destroy", NEAR), ("wait", NEAR)):
            self.assertIn("list --all", self.failed(3, *args)["hint"], args)

    def test_attributes(self):
        """If an attribute is bad, the hint names the command that lists the good attributes."""
        for args in (("start", ONE), ("define", "t", "--attr", "a=b"), ("edit", ONE, "--attr", "a=b"), ("create", "t", "--attr", "a=b")):
            self.bus.control("Fail", ERROR + "InvalidArgs", "attribute a cannot be set", signature="ss")
            self.assertEqual(self.failed(2, *args)["hint_id"], "explain-types", args)
        self.bus.control("Fail", ERROR + "InvalidArgs", "no such parent", signature="ss")
        self.assertIsNone(self.failed(2, "start", ONE)["hint_id"])

    def test_failed_list(self):
        """If vgpud refuses the list of definitions, vgpuctl changes nothing."""
        for args in (("edit", "one", "--name", "n"), ("start", "one"), ("stop", "one"), ("undefine", "one", TWO), ("undefine", ONE, "--stop")):
            self.bus.control("Fail", ERROR + "TooManyCalls", "busy", signature="ss")
            self.calls()
            self.bad(6, *args)
            self.assertEqual(self.members(), ["ListDefinitions"])

    def test_no_daemon(self):
        self.bus.stop_mock()
        for args in (("define", "t"), ("edit", "one", "--name", "n"), ("start", "one"), ("stop", ONE), ("undefine", "one"), ("list", "--all")):
            self.assertEqual(self.failed(1, *args)["hint_id"], "check-service")

    def test_daemon_dies_meanwhile(self):
        self.bus.control("Hold", True)
        p = self.program("start", "one", TWO)
        wait_for(lambda: self.good("jobs", "-q") == "17\n", "the job")
        self.bus.stop_mock(signal.SIGKILL)
        self.assertEqual(p.finish(), 1)
        for word in ("one", TWO):
            self.assertRegex(p.errors, rf"(?m)^vgpuctl: .*\b{word}\b")


class Show(Defined):
    def test_tables(self):
        self.good("start", ONE)
        self.good("edit", ONE, "--type", "mdpy-vga")
        self.define(NEAR, type="10de/A2/Q/4096/A2-4Q", pool="fast", name="near", autostart=True, **WAITS)
        self.define(FOREIGN, type="8086/-/-/448/GVTg_V5_8", gpu=GVT)
        for name, args in {"list-all": ("list", "--all"), "list-all-gpu": ("list", "mdpy", "--all"), "show-definition": ("show", TWO),
                           "show-definition-pool": ("show", "near"), "show-defined": ("show", "one"), "show-foreign-defined": ("show", FOREIGN)}.items():
            with self.subTest(name):
                self.golden(f"{name}.txt", re.sub(r"\b\d s\b", "N s", self.good(*args)))

    def test_list(self):
        self.good("start", ONE)
        self.assertEqual(self.data("list"), {"instances": self.data("list", "--all")["instances"]})
        self.assertIsNone(self.data("list", "--all")["store_errors"])  # the mock has no such property, like an older vgpud
        self.assertEqual(self.states(), {ONE: "active", TWO: "stopped"})
        self.assertEqual(self.good("list", "--all", "-q").split(), [*self.instances(), TWO])
        self.assertEqual([d["uuid"] for d in self.data("list", "mdpy", "--all")["definitions"]], [TWO])
        self.calls()
        self.good("list", "--all")
        self.assertEqual(self.members(), ["ListDefinitions", "ListInstances", "Get"])

    def test_show(self):
        d = self.data("show", TWO)["definition"]
        self.assertEqual((d["uuid"], d["gpu"], d["parent"], d["owner"], d["state"]), (TWO, SAMPLE, SAMPLE, "65534", "stopped"))
        self.assertEqual(d["attributes"], [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}])
        for word in ("one", ONE, ONE.upper(), "b7ae9", instance_path(ONE)):
            self.assertEqual(self.good("show", word, "-q"), f"{ONE}\n")
            self.assertEqual(set(self.data("show", word)), {"definition"})
        self.good("start", ONE)
        for word in ("one", ONE, "b7ae9"):
            self.assertEqual(self.good("show", word, "-q"), f"{ONE}\n")
            shown = self.data("show", word)
            self.assertEqual((shown["instance"]["definition"], shown["definition"]["state"]), ("current", "active"))
        self.assertEqual(set(self.data("show", "desk")), {"instance"})
        self.assertEqual(self.failed(3, "show", "nope")["name"], ERROR + "NoSuchInstance")
        self.assertEqual(self.failed(3, "show", NEAR)["name"], ERROR + "NoSuchInstance")

    def test_ambiguous(self):
        """A beginning of a UUID may fit instances and definitions; a whole name wins, and a definition and its
        instance count as one object."""
        self.assertEqual(self.good("show", "4f0c2", "-q"), f"{FIRST}\n")
        self.define(NEAR)
        error = self.failed(2, "show", "4f0c2")
        self.assertEqual(error["name"], ERROR + "Ambiguous")
        for uuid in (FIRST, NEAR):
            self.assertIn(uuid, error["message"])
        self.assertEqual(self.good("show", "4f0c20", "-q"), f"{NEAR}\n")
        self.define(NEAR, name="4f0c2")
        self.assertEqual(self.good("show", "4f0c2", "-q"), f"{NEAR}\n")
        self.good("define", "--from", FIRST)
        self.assertEqual(self.good("show", "4f0c2a", "-q"), f"{FIRST}\n")
        # The verbs for definitions look only at definitions.
        self.assertEqual(self.failed(2, "undefine", "4f0c")["name"], ERROR + "Ambiguous")
        self.good("undefine", NEAR)
        self.good("undefine", "4f0c")
        self.assertNotIn(FIRST, self.states())

    def test_undefined_meanwhile(self):
        self.good("start", ONE)
        self.bus.control("FailOf", "GetDefinition", ERROR + "NoSuchDefinition", "just gone", signature="sss")
        self.assertEqual(set(self.data("show", ONE)), {"instance"})
        self.bus.control("FailOf", "GetDefinition", ERROR + "NoSuchDefinition", "just gone", signature="sss")
        self.assertEqual(self.failed(3, "show", TWO)["name"], ERROR + "NoSuchInstance")
        self.bus.control("FailOf", "GetDefinition", ERROR + "NoSuchDefinition", "just gone", signature="sss")
        self.assertEqual(self.failed(3, "show", "b7ae0")["name"], ERROR + "NoSuchDefinition")

    def test_remarks(self):
        self.bus.control("StoreErrors", ["/var/lib/x.json: damaged\033[31m"], signature="as")
        for args in (("list", "--all"), ("gpus",)):
            p = self.program(*args, terminal=True, columns=300)
            self.assertEqual(p.finish(), 0)
            self.assertIn("\n  /var/lib/x.json: damaged", p.text.replace("\r", ""))
            self.assertNotIn("damaged\033", p.text)
        # `list --all` without a terminal names the damaged files, too.
        result = self.vgpuctl("list", "--all")
        self.assertEqual((result.status, "\n  /var/lib/x.json: damaged" in result.err, "/var/lib" in result.out), (0, True, False))
        self.assertNotIn("\033", result.err)
        self.assertEqual(self.data("list", "--all")["store_errors"], ["/var/lib/x.json: damaged\033[31m"])
        for args in (("gpus",), ("list",), ("list", "--all", "-q")):
            self.assertNotIn("/var/lib", self.good(*args))
        self.bus.control("StoreErrors", [], signature="as")
        self.assertEqual(self.data("list", "--all")["store_errors"], [])
        self.good("list", "--all")

    def test_future(self):
        """A time in the future has no age."""
        self.good("start", ONE)
        future = dbus.UInt64(mock_host.now() + 5 * mock_host.HOUR)
        self.define(NEAR, created_usec=future)
        self.change(instance_path(ONE), INSTANCE, CreatedUsec=future)
        for word in (NEAR, ONE):
            self.assertNotIn(" s ago", self.good("show", word))
        row = next(row for row in self.good("list").splitlines() if row.startswith(ONE))
        self.assertNotIn("0 s", row)

    def test_texts_cannot_steer_the_terminal(self):
        evil = "\033]0;title\007\u009b31m\u202e\nline"
        self.define(NEAR, name=evil, type=evil, gpu=evil, parent=evil, pool=evil, owner=evil, state=evil,
                    attributes=dbus.Array([(evil, evil)], signature="(ss)"))
        for args in (("list", "--all"), ("show", NEAR), ("__complete", "definitions"), ("__complete", "objects"), ("list", "--all", "--json"),
                     ("show", NEAR, "--json"), ("edit", evil, "--name", evil), ("start", evil), ("undefine", evil, "--json"), ("stop", evil)):
            result = self.vgpuctl(*args)
            unsafe = {c for c in result.out + result.err if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") and c not in "\n\t"}
            self.assertEqual(unsafe, set(), args)


class Monitor(Defined):
    def watch(self, *args):
        p = self.program("monitor", *args)
        p.expect("\n")
        return p

    def events(self, p):
        p.process.send_signal(signal.SIGINT)
        self.assertEqual((p.finish(), p.errors), (0, ""))
        events = [json.loads(line) for line in p.text.splitlines()]
        for e in events:
            self.check("event", e)
        return events

    def change_some(self, p):
        self.good("define", "mdpy-xga", "--uuid", NEAR, "--name", "n")
        self.good("edit", NEAR, "--name", "m", "--pool", "fast")
        self.good("edit", NEAR, "--attr", "a=b")
        self.good("undefine", NEAR)
        p.expect("removed")

    def test_json(self):
        p = self.watch("--json")
        self.change_some(p)
        present, *events = self.events(p)
        self.assertEqual([d["uuid"] for d in present["definitions"]], [TWO, ONE])
        self.assertEqual([e["event"] for e in events], ["definition-added", "definition-changed", "definition-changed", "definition-removed"])
        self.assertEqual((events[0]["definition"]["uuid"], events[0]["definition"]["state"]), (NEAR, "stopped"))
        self.assertEqual((events[1]["definition"], events[1]["changes"]), (NEAR, {"name": "m", "pool": "fast"}))
        self.assertEqual(events[2]["changes"], {})
        self.assertEqual(events[3]["definition"], NEAR)
        named = set(re.findall(r"[a-z]+-[a-z]+", MANUAL[MANUAL.index("Each line of **monitor**"):]))
        self.assertEqual({e["event"] for e in events} - named, set())

    def test_full(self):
        p = self.watch("--json", "--full")
        self.change_some(p)
        present, *events = self.events(p)
        self.assertEqual(len(present["definitions"]), 2)
        self.assertEqual([e["definition"]["uuid"] for e in events], [NEAR] * 4)
        self.assertEqual(events[1]["changed"], ["name", "pool"])

    def test_text(self):
        p = self.watch()
        self.change_some(p)
        self.assertIn("definitions: 2", p.text)
        for what in ("added", "changed: name: m; pool: fast\n", "changed\n", "removed"):
            self.assertIn(f"definition {NEAR} {what}", p.text)

    def test_edit_of_a_running_one(self):
        self.good("start", ONE)
        p = self.watch("--json")
        self.good("edit", ONE, "--type", "mdpy-vga")
        p.expect("definition-changed")
        p.expect('"differs"')
        events = {e["event"]: e for e in self.events(p)[1:]}
        self.assertEqual(events["instance-changed"]["changes"], {"definition": "differs"})
        self.assertEqual(events["definition-changed"]["changes"], {"type": "mdpy-vga"})


class Completion(Defined):
    def words(self, kind):
        return [line.split("\t")[0] for line in self.good("__complete", kind).splitlines()]

    def test_kinds(self):
        self.good("start", ONE)
        self.assertEqual(self.words("definitions"), [TWO, ONE, "one"])
        self.assertEqual(self.words("stopped-definitions"), [TWO])
        self.assertEqual(self.words("active-definitions"), [ONE, "one"])
        self.assertIn(TWO, self.words("objects"))
        self.assertEqual(self.words("objects").count(ONE), 1)
        for verb in VERBS:
            self.assertIn(verb, self.words("verbs"))


class Table(Defined):
    """Each command does in each state what the tables of the manual say."""

    NEW = "00000000-0000-4000-8000-000000000001"
    COMMANDS = {
        "define --uuid": ("define", "mdpy-xga", "--uuid", NEW),
        "define --from": ("define", "--from", NEW),
        "edit": ("edit", NEW, "--type", "8086/-/-/320/mdpy-vga"),
        "autostart on": ("autostart", NEW, "on"),
        "autostart off": ("autostart", NEW, "off"),
        "start": ("start", NEW),
        "stop": ("stop", NEW),
        "undefine": ("undefine", NEW),
        "undefine --stop": ("undefine", NEW, "--stop"),
        "create --keep": ("create", "mdpy-xga", "--keep", "--uuid", NEW),
        "destroy": ("destroy", NEW),
        "destroy --foreign": ("destroy", NEW, "--foreign"),
    }

    @staticmethod
    def cells():
        """Command, state and outcome of each cell."""
        text = MANUAL[MANUAL.index(".. table begin"):MANUAL.index(".. table end")]
        for block in re.findall(r"(?m)(?:^\S.*\n)+", text):
            lines = [re.split("  +", line) for line in block.splitlines() if line[0].isalpha()]
            for row in lines[1:]:
                yield from ((row[0], state, cell) for state, cell in zip(lines[0][1:], row[1:], strict=True))

    def enter(self, state):
        if state == "undefined":
            self.good("create", "mdpy-xga", "--uuid", self.NEW)
            return
        if state == "foreign":
            foreign = mock_host.make_instance(self.NEW, SAMPLE, "mdpy-xga", "1024x768", Origin="foreign", Owner="")
            self.bus.control("Add", dbus.ObjectPath(instance_path(self.NEW)), {INSTANCE: foreign}, signature="oa{sa{sv}}")
        self.define(self.NEW, autostart=True, **({"gpu": "0000:99:00.0", **WAITS} if state == "waiting" else {}))
        if state == "starting":
            self.bus.control("Hold", True)
            self.good("start", self.NEW, "--no-block")
        elif state in ("active", "edited"):
            self.good("start", self.NEW)
        if state == "edited":
            self.good("edit", self.NEW, "--name", "new")

    def state(self):
        data = self.data("list", "--all")
        definition = {d["uuid"]: d for d in data["definitions"]}.get(self.NEW)
        instance = {i["uuid"]: i for i in data["instances"]}.get(self.NEW)
        if definition:
            return "edited" if definition["differs"] else definition["state"]
        return "undefined" if instance and instance["origin"] == "vgpud" else "gone"

    def test_every_cell(self):
        cells = list(self.cells())
        states = ["stopped", "waiting", "starting", "active", "edited", "foreign", "undefined"]
        self.assertEqual(sorted((c, s) for c, s, _ in cells), sorted((c, s) for c in self.COMMANDS for s in states))
        for command, state, outcome in cells:
            with self.subTest(command=command, state=state):
                self.bus.control("Reset")
                self.enter(state)
                self.assertEqual(self.state(), state)
                failed = re.fullmatch(r"(\w+) \((\d)\)", outcome)
                if failed:
                    error = self.failed(int(failed[2]), *self.COMMANDS[command])
                    self.assertEqual((error["name"], self.state()), (ERROR + failed[1], state))
                    continue
                self.good(*self.COMMANDS[command])
                if state == "starting" and outcome != "starting":  # the outcome when the job has ended
                    self.end(17)
                self.assertEqual(self.state(), outcome)

    def test_an_edit_while_it_starts(self):
        self.enter("starting")
        self.good("edit", self.NEW, "--type", "mdpy-vga")
        self.end(17)
        self.assertEqual(self.state(), "edited")


if __name__ == "__main__":
    case.main()
