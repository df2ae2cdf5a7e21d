#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Definitions on the bus: every verb in every state, names and UUIDs, owners and polkit, lists, signals, a restart."""

import json
import re

import bus
import host
import runner
from host import A2, DAEMON, GVT, NOBODY, V5_1, V5_2, V5_4, V5_8, uuid


def read_table():
    """{call: {state: outcome}}, from the manual."""
    text = (bus.TOP / "man" / "org.vgpud1.5.rst.in").read_text("utf-8")
    table = re.search(r"^=+(?:  =+)+\n(call .*?)\n=+(?:  =+)+\n(.*?)\n=+(?:  =+)+$", text, re.M | re.S)
    head, *lines = [re.split(r"\s{2,}", line) for line in [table.group(1), *table.group(2).splitlines()]]
    return {line[0].replace("*", ""): dict(zip(head[1:], line[1:], strict=True)) for line in lines}


# Whole keys of types: a definition may then name a GPU that is missing.
KEY_5_2, KEY_5_4 = "8086/-/-/1280/GVTg_V5_2", "8086/-/-/640/GVTg_V5_4"
MISSING = "0000:99:00.0"


class Definitions(host.HostTest):
    def key(self, h, gpu, type_id):
        return h.bus.gpu(gpu).types()[type_id]["key"]

    def state(self, h, what):
        row = h.bus.definition(what)
        return row["state"], row["differs"]

    def property(self, h, what):
        return h.bus.instances()[what]["Definition"]

    def file(self, h, what):
        return json.loads((h.state / "definitions" / f"{what}.json").read_text("utf-8"))

    # ---- the table of verbs and states ----

    def reach(self, h, state):
        """Bring uuid(1), with the name "one", to a state of the table."""
        make = {"gpu": GVT, "uuid": uuid(1), "name": "one", "autostart": True}
        if state == "waiting":
            h.bus.define(KEY_5_4, **make | {"gpu": MISSING})
            h.boot()
            return
        if state == "undefined":
            h.bus.create(GVT, V5_4, uuid=uuid(1), name="one")
            return
        if state == "foreign":
            h.bus.define(V5_4, **make)
            h.foreign(GVT, V5_4, 1)
            bus.wait(lambda: h.mirror.instance(uuid(1)), "vgpud shows the foreign instance")
            return
        h.bus.define(V5_4, **make)
        if state == "starting":
            h.sim.fault("create:*:hang:1")
            h.bus.manager.call("Start", "one")
            h.hanging(1)
        elif state in ("active", "edited"):
            h.bus.start_definition("one")
        if state == "edited":
            h.bus.manager.call("Edit", "one", type=V5_8)

    HINTS = {("Destroy", "active"): "use-stop", ("Destroy", "edited"): "use-stop", ("Destroy, with foreign", "active"): "use-stop",
             ("Destroy", "foreign"): "use-foreign", ("Destroy, with defined", "foreign"): "use-foreign",
             ("Create", "stopped"): "use-start", ("Destroy", "stopped"): "use-start",
             ("Destroy, with defined", "stopped"): "use-start", ("Create", "waiting"): "use-start", ("Destroy", "waiting"): "use-start"}

    def start_verb(self, h, verb):
        manager = h.bus.manager
        return {
            "Define": lambda: manager.start("Define", V5_4, gpu=GVT, uuid=uuid(1)),
            "DefineInstance": lambda: manager.start("DefineInstance", uuid(1)),
            "Create": lambda: manager.start("Create", GVT, V5_2, uuid=uuid(1), wait=True),
            "Edit": lambda: manager.start("Edit", uuid(1), type=KEY_5_2),
            "Edit, autostart true": lambda: manager.start("Edit", uuid(1), autostart=True),
            "Edit, autostart false": lambda: manager.start("Edit", uuid(1), autostart=False),
            "CancelStart": lambda: manager.start("CancelStart", uuid(1)),
            "Undefine": lambda: manager.start("Undefine", uuid(1)),
            "Start": lambda: manager.start("Start", uuid(1), wait=True),
            "Destroy, with defined": lambda: manager.start("Destroy", uuid(1), defined=True, wait=True),
            "Destroy": lambda: manager.start("Destroy", uuid(1), wait=True),
            "Destroy, with foreign": lambda: manager.start("Destroy", uuid(1), foreign=True, wait=True),
        }[verb]()

    def observe(self, h):
        """The state of uuid(1), in the words of the table."""
        rows = h.bus.definitions("state", "differs")
        if not rows:
            self.release(h)  # after Undefine during a start, the job goes on and creates the instance
        instance = h.bus.instances().get(uuid(1))
        if not rows:
            self.assertFalse(instance and instance["Definition"])
            return "undefined" if instance and instance["Origin"] == "vgpud" else "none"
        state = "edited" if rows[0]["differs"] else rows[0]["state"]
        expected = {"edited": "differs", "active": "current", "foreign": ""}
        self.assertEqual(instance and instance["Definition"], expected.get(state))
        return state

    def test_every_verb_in_every_state(self):
        h = self.host("gvt-g")
        table = read_table()
        self.assertEqual((len(table), {len(row) for row in table.values()}), (12, {7}))
        for verb, outcomes in table.items():
            for state, expected in outcomes.items():
                with self.subTest(verb=verb, state=state):
                    self.reach(h, state)
                    before = self.observe(h)
                    self.assertEqual(before, state)
                    call = self.start_verb(h, verb)
                    error = call.error()
                    self.assertEqual(error.rpartition(".")[2] if error else self.observe(h), expected)
                    if error:
                        self.assertEqual(self.observe(h), before)
                    if (verb, state) in self.HINTS:
                        self.assertEqual(call.failure.hint_id, self.HINTS[verb, state])
                self.clear(h)

    COMMANDS = {
        "define --uuid": ("define", V5_4, "--gpu", GVT, "--uuid", uuid(1)),
        "define --from": ("define", "--from", uuid(1)),
        "edit": ("edit", uuid(1), "--type", KEY_5_2),
        "autostart on": ("autostart", uuid(1), "on"),
        "autostart off": ("autostart", uuid(1), "off"),
        "start": ("start", uuid(1)),
        "stop": ("stop", uuid(1)),
        "undefine": ("undefine", uuid(1)),
        "undefine --stop": ("undefine", uuid(1), "--stop"),
        "create --keep": ("create", V5_2, "--gpu", GVT, "--keep", "--uuid", uuid(1)),
        "destroy": ("destroy", uuid(1)),
        "destroy --foreign": ("destroy", uuid(1), "--foreign"),
    }

    def test_every_command_in_every_state(self):
        """The tables of vgpuctl(1)."""
        h = self.host("gvt-g")
        text = (bus.TOP / "man" / "vgpuctl.1.rst").read_text("utf-8")
        text = text[text.index(".. table begin"):text.index(".. table end")]
        n_cells = 0
        for block in re.findall(r"(?m)(?:^\S.*\n)+", text):
            head, *lines = [re.split("  +", line) for line in block.splitlines() if line[0].isalpha()] or [[]]
            for command, *cells in lines:
                for state, cell in zip(head[1:], cells, strict=True):
                    with self.subTest(command=command, state=state):
                        self.reach(h, state)
                        self.assertEqual(self.observe(h), state)
                        result = h.vgpuctl(*self.COMMANDS[command], "--json")
                        failed = re.fullmatch(r"(\w+) \((\d)\)", cell)
                        if failed:
                            self.assertEqual((result.status, result.error()["name"].rpartition(".")[2]), (int(failed[2]), failed[1]))
                        else:
                            self.assertEqual((result.status, result.err), (0, ""))
                        self.assertEqual(self.observe(h), state if failed else cell.replace("gone", "none"))
                    n_cells += 1
                    self.clear(h)
        self.assertEqual(n_cells, 84)

    def release(self, h):
        h.sim.ctl("fault", "clear")
        h.sim.ctl("release")
        bus.wait(lambda: not h.bus.jobs(), "no job runs")

    def clear(self, h):
        """Remove everything of uuid(1)."""
        self.release(h)
        if h.bus.definitions("uuid"):
            h.bus.manager.call("Undefine", uuid(1))
        if uuid(1) in h.bus.instances():
            h.bus.destroy(uuid(1), foreign=True)
        self.assertEqual((h.bus.definitions("uuid"), h.tree()), ([], set()))

    # ---- single verbs ----

    def test_life(self):
        """Define, start, edit, stop, start again, undefine."""
        h = self.host("gvt-g")
        made = h.bus.define(V5_4, gpu=GVT, name="desk")
        self.assertEqual(h.bus.instances(), {})
        row = h.bus.definition("desk")
        self.assertGreater(row.pop("created_usec"), 0)
        self.assertEqual(row, {"uuid": made, "name": "desk", "type": self.key(h, GVT, V5_4), "gpu": GVT, "parent": "", "pool": "",
                               "owner": "0", "state": "stopped", "differs": False, "autostart": False, "reason": "", "hint": "", "hint_id": "",
                               "attributes": []})
        self.assertEqual(self.file(h, made)["version"], 1)
        self.assertEqual(h.bus.start_definition("desk"), made)
        instance = h.bus.instances()[made]
        self.assertEqual((instance["Type"], instance["Name"], instance["Definition"]), (V5_4, "desk", "current"))
        h.bus.manager.call("Edit", "desk", type=V5_8, name="other")
        self.assertEqual(self.state(h, made), ("active", True))
        self.assertEqual((self.property(h, made), h.mirror.instance(made)["Type"]), ("differs", V5_4))
        h.bus.manager.call("Edit", "other", type=V5_4, name="desk")
        self.assertEqual((self.state(h, made), self.property(h, made)), (("active", False), "current"))
        h.bus.manager.call("Edit", "desk", type=V5_8)
        h.bus.destroy(made, defined=True)
        self.assertEqual(self.state(h, made), ("stopped", False))
        h.bus.start_definition(made.upper())
        self.assertEqual((h.bus.instances()[made]["Type"], self.property(h, made)), (V5_8, "current"))
        h.bus.manager.call("Undefine", "desk")
        self.assertEqual((self.property(h, made), h.bus.instances()[made]["Name"]), ("", "desk"))
        self.assertEqual((h.bus.definitions(), list((h.state / "definitions").iterdir())), ([], []))
        h.bus.destroy("desk")

    def test_keep(self):
        h = self.host("gvt-g")
        made = h.bus.create(GVT, V5_4, keep=True, count=2)
        self.assertEqual([(r["uuid"], r["gpu"], r["state"], r["differs"]) for r in h.bus.definitions()],
                         [(u, GVT, "active", False) for u in sorted(made)])
        h.bus.manager.call("DestroyMany", [bus.instance_path(u) for u in made], defined=True, wait=True)
        # The definition names neither the GPU nor the parent, because the call does not.
        anywhere = h.bus.create("", V5_4, keep=True, name="one")[0]
        self.assertEqual((h.bus.definition("one")["gpu"], h.bus.definition("one")["state"]), ("", "active"))
        # If the job fails, there is no definition.
        h.sim.fault("create:*:errno=ENOMEM:1")
        self.assertIsNotNone(h.bus.start_create(GVT, V5_4, keep=True, name="two").error())
        self.assertEqual({r["uuid"] for r in h.bus.definitions("uuid")}, {*made, anywhere})
        self.assert_error("InvalidArgs", h.bus.start_create("", V5_4, keep=True, strategy="depth"))
        h.bus.create(GVT, V5_4, name="two")

    def test_define_instance(self):
        h = self.host("gvt-g")
        made = h.bus.create(GVT, V5_4, name="one")[0]
        self.assertEqual(h.bus.manager.call("DefineInstance", "one"), made)
        self.assertEqual((self.property(h, made), self.state(h, made)), ("current", ("active", False)))
        row = h.bus.definition(made)
        self.assertEqual((row["type"], row["gpu"], row["name"]), (self.key(h, GVT, V5_4), GVT, "one"))
        h.bus.destroy("one", defined=True)
        h.bus.start_definition("one")
        self.assertEqual(h.bus.instances()[made]["Name"], "one")

    def test_a_failed_start_can_be_repeated(self):
        h = self.host("gvt-g")
        made = h.bus.define(V5_4, gpu=GVT)
        h.sim.fault("create:*:errno=ENOMEM:1")
        self.assertIsNotNone(h.bus.manager.start("Start", made, wait=True).error())
        self.assertEqual(self.state(h, made), ("stopped", False))
        h.bus.start_definition(made)

    def test_edit_place(self):
        """A GPU and a pool exclude each other, and a parent belongs to its GPU."""
        h = self.host("gvt-g", "nvidia-a2", config={f"gpu {GVT}": {"pool": "ai"}})
        made = h.bus.define(V5_4, gpu=GVT, parent=GVT)

        def place():
            row = h.bus.definition(made)
            return row["gpu"], row["parent"], row["pool"]

        for options, expected in (
            ({"parent": ""}, (GVT, "", "")), ({"parent": GVT}, (GVT, GVT, "")), ({"pool": "ai"}, ("", "", "ai")),
            ({"pool": ""}, ("", "", "")), ({"pool": "ai"}, ("", "", "ai")), ({"gpu": GVT}, (GVT, "", "")),
            ({"gpu": GVT, "parent": GVT}, (GVT, GVT, "")), ({"gpu": ""}, ("", "", ""))):
            with self.subTest(options=options):
                h.bus.manager.call("Edit", made, **options)
                self.assertEqual(place(), expected)
        for options in ({"parent": GVT}, {"gpu": GVT, "pool": "ai"}):
            self.assert_error("InvalidArgs", h.bus.manager.start("Edit", made, **options))
        self.assertEqual(place(), ("", "", ""))
        h.bus.manager.call("Edit", made, pool="ai")
        h.bus.start_definition(made)
        self.assertEqual(h.bus.instances()[made]["Gpu"], bus.gpu_path(GVT))

    def test_type(self):
        h = self.host("gvt-g")
        key = self.key(h, GVT, V5_4)
        for word in (V5_4, "GVTg_V5_4", key):
            self.assertEqual(h.bus.definition(h.bus.define(word))["type"], key)
        absent = "10de/L40S/Q/8192/NVIDIA-L40S-8Q"
        later = h.bus.define(absent, gpu="0000:77:00.0")
        self.assertEqual(h.bus.definition(later)["type"], absent)
        self.assert_error("NoSuchGpu", h.bus.manager.start("Start", later))
        self.assert_error("NoSuchType", h.bus.manager.start("Define", "none-such"))
        self.assert_error("NoSuchGpu", h.bus.manager.start("Define", V5_4, gpu="0000:77:00.0"))

    # ---- autostart ----

    def test_autostart(self):
        """A definition with autostart is started once after a boot, and not when vgpud restarts."""
        h = self.host("gvt-g")
        made = h.bus.define(KEY_5_4, gpu=MISSING, name="one", autostart=True)
        other = h.bus.define(KEY_5_4, gpu=MISSING)
        self.assertIs(self.file(h, made)["autostart"], True)
        self.assertNotIn("autostart", self.file(h, other))
        self.assertEqual([h.bus.definition(u)["autostart"] for u in (made, other)], [True, False])
        self.assertEqual(self.state(h, made), ("stopped", False))
        h.stop()
        h.start()
        self.assertEqual(self.state(h, made), ("stopped", False))
        h.boot()
        self.assertEqual((self.state(h, made), self.state(h, other)), (("waiting", False), ("stopped", False)))
        self.assertEqual([r["uuid"] for r in h.bus.definitions("uuid", state="waiting")], [made])
        h.kill()
        h.start()
        self.assertEqual(self.state(h, made), ("waiting", False))
        h.settle()
        h.mirror.log.clear()
        h.bus.manager.call("CancelStart", "one")
        self.assertEqual([e[:2] for e in h.mirror.log if e[1] == made], [("edited", made)])
        self.assertEqual(self.state(h, made), ("stopped", False))
        self.assert_error("InvalidArgs", h.bus.manager.start("CancelStart", "one"))
        h.kill()
        h.start()
        self.assertEqual(self.state(h, made), ("stopped", False))
        # Without autostart, the definition does not wait after the next boot.
        h.bus.manager.call("Edit", "one", autostart=False)
        self.assertNotIn("autostart", self.file(h, made))
        h.boot()
        self.assertEqual(self.state(h, made), ("stopped", False))
        h.bus.manager.call("Edit", "one", autostart=True)
        h.boot()
        h.mirror.log.clear()
        h.bus.manager.call("Edit", "one", autostart=False)
        self.assertEqual([e[:2] for e in h.mirror.log if e[1] == made], [("edited", made)])
        self.assertEqual(self.state(h, made), ("stopped", False))

    def test_started_after_a_boot(self):
        """After a boot, vgpud starts the definition for its owner. A stop lasts until the next boot."""
        h = self.host("gvt-g", polkit=True)
        h.polkit.allow("define")
        made = h.client(NOBODY).define(V5_4, gpu=GVT, name="hers", autostart=True)
        other = h.bus.define(V5_4)
        h.polkit.allow()
        self.assertEqual(h.tree(), set())
        h.boot()
        self.assert_becomes(("active", False), lambda: self.state(h, made))
        instance = h.bus.instances()[made]
        self.assertEqual((instance["Owner"], instance["Name"], instance["Definition"]), (str(NOBODY), "hers", "current"))
        self.assertEqual((h.tree(), self.state(h, other)), ({made}, ("stopped", False)))
        h.bus.destroy(made, defined=True)
        h.stop()
        h.start()
        self.assertEqual(self.state(h, made), ("stopped", False))
        h.boot()
        self.assert_becomes(("active", False), lambda: self.state(h, made))
        # Without autostart, the instance goes on, and no boot brings it back.
        h.bus.manager.call("Edit", made, autostart=False)
        self.assertEqual(self.state(h, made), ("active", False))
        h.bus.destroy(made, defined=True)
        h.boot()
        self.assertEqual((self.state(h, made), h.tree()), (("stopped", False), set()))

    def test_waits_for_room(self):
        """A definition without room waits with a reason, and starts as soon as there is room."""
        h = self.host("gvt-g")
        large, small = h.bus.create(GVT, V5_1)[0], h.bus.create(GVT, V5_4)[0]  # no further V5_4 fits
        made = h.bus.define(V5_4, gpu=GVT, name="one", autostart=True)
        h.boot()
        bus.wait(lambda: h.bus.definition("one")["reason"], "the reason")
        row = h.bus.definition("one")
        self.assertEqual((row["state"], h.tree()), ("waiting", {large, small}))
        self.assertIn(GVT, row["reason"])
        self.assertIn(row["reason"], " ".join(h.vgpuctl("show", "one").out.split()))
        shown = json.loads(h.vgpuctl("list", "--all", "--json").out)["definitions"]
        self.assertEqual([(d["state"], d["reason"], d["autostart"]) for d in shown], [("waiting", row["reason"], True)])
        # A start by a user fails for the same reason, and the definition goes on waiting.
        self.assert_error("NoCapacity", h.bus.manager.start("Start", "one", wait=True))
        self.assertEqual(self.state(h, made), ("waiting", False))
        h.bus.destroy(small)
        self.assert_becomes(("active", False), lambda: self.state(h, made))
        self.assertEqual([h.bus.definition("one")[k] for k in ("reason", "hint", "hint_id")], [""] * 3)

    def test_stop_of_a_waiting_one(self):
        """After the stop, vgpud does not start the definition when there is room."""
        h = self.host("gvt-g")
        large, small = h.bus.create(GVT, V5_1)[0], h.bus.create(GVT, V5_4)[0]  # no further V5_4 fits
        made = [h.bus.define(V5_4, gpu=GVT, name=name, autostart=True) for name in ("one", "two")]
        h.boot()
        bus.wait(lambda: all(r["reason"] for r in h.bus.definitions("reason")), "the reasons")
        self.assertEqual(h.vgpuctl("stop", "one").status, 0)
        h.bus.destroy(large)
        self.assert_becomes([("stopped", False), ("active", False)], lambda: [self.state(h, u) for u in made])
        self.assertEqual(h.tree(), {small, made[1]})

    def test_a_missing_gpu(self):
        h = self.host("gvt-g")
        made = h.bus.define(KEY_5_4, gpu=MISSING, autostart=True)
        h.boot()
        bus.wait(lambda: h.bus.definition(made)["reason"], "the reason")
        self.assertIn(MISSING, h.bus.definition(made)["reason"])
        # The edit names a GPU of the host, so the start is possible.
        h.bus.manager.call("Edit", made, gpu=GVT)
        self.assert_becomes(("active", False), lambda: self.state(h, made))

    def test_keep_with_autostart(self):
        h = self.host("gvt-g")
        made = h.bus.create(GVT, V5_4, keep=True, autostart=True)[0]
        self.assertIs(h.bus.definition(made)["autostart"], True)
        self.assert_error("InvalidArgs", h.bus.start_create(GVT, V5_4, autostart=True))
        # Autostart is no part of the instance, so the definition does not differ.
        h.bus.manager.call("Edit", made, autostart=False)
        self.assertEqual((self.state(h, made), self.property(h, made)), (("active", False), "current"))

    def test_waiting_with_vgpuctl(self):
        h = self.host("gvt-g")
        made = h.vgpuctl("define", KEY_5_4, "--gpu", MISSING, "--name", "one", "--autostart").out.strip()
        h.boot()
        rows = {row.split()[0]: row.split() for row in h.vgpuctl("list", "--all").out.splitlines()}
        self.assertEqual((rows[made][3], rows[made][-1]), ("waiting", "yes"))
        self.assertIn("waiting", h.vgpuctl("show", "one").out)
        self.assertEqual([h.vgpuctl(*words).status for words in (("stop", "one"), ("stop", "one"))], [0, 3])
        self.assertEqual(self.state(h, made), ("stopped", False))
        self.assertEqual(h.vgpuctl("autostart", "one", "off").status, 0)
        self.assertIs(h.bus.definition(made)["autostart"], False)

    # ---- names ----

    def test_names_and_uuids_are_taken_both_ways(self):
        h = self.host("gvt-g")
        h.bus.define(V5_4, uuid=uuid(1), name="one")
        h.bus.create(GVT, V5_4, uuid=uuid(2), name="two")
        for call, hint in (
            (h.bus.start_create(GVT, V5_4, uuid=uuid(1)), "use-start"), (h.bus.start_create(GVT, V5_4, name="one"), "use-start"),
            (h.bus.manager.start("Define", V5_4, uuid=uuid(1)), None), (h.bus.manager.start("Define", V5_4, name="one"), None),
            (h.bus.manager.start("Define", V5_4, uuid=uuid(2)), None), (h.bus.manager.start("Define", V5_4, name="two"), None),
            (h.bus.manager.start("Edit", "one", name="two"), None)):
            self.assert_error("Exists", call, hint=hint)
        for name in ("-x", "a" * 65, uuid(3)):
            self.assert_error("InvalidArgs", h.bus.manager.start("Define", V5_4, name=name))
        for word in ("nil", "00000000-0000-0000-0000-000000000000", "1"):
            self.assert_error("InvalidArgs", h.bus.manager.start("Define", V5_4, uuid=word))
        # An edit may repeat the name, and a new name frees the earlier one.
        h.bus.manager.call("Edit", "one", name="one")
        h.bus.manager.call("Edit", "one", name="three")
        h.bus.define(V5_4, name="one")
        for member in ("Start", "Undefine", "GetDefinition"):
            self.assert_error("NoSuchDefinition", h.bus.manager.start(member, "two"))
            self.assert_error("NoSuchDefinition", h.bus.manager.start(member, uuid(9)))
            self.assert_error("InvalidArgs", h.bus.manager.start(member, "no/name"))
        self.assert_error("NoSuchInstance", h.bus.manager.start("GetInstance", "three", ), hint="use-start")

    # ---- lists ----

    def test_lists(self):
        h = self.host("gvt-g", polkit=True)
        h.polkit.allow("define")
        user = h.client(NOBODY)
        for number in range(1, 6):
            h.bus.define(V5_4, uuid=uuid(number), **({"gpu": GVT} if number < 3 else {}))
        user.define(V5_4, uuid=uuid(6), pool="default", name="six")
        h.bus.start_definition(uuid(1))

        def listed(**options):
            return [int(r["uuid"][:8], 16) for r in user.definitions("uuid", **options)]

        for options, expected in (
            ({}, [1, 2, 3, 4, 5, 6]), ({"gpu": GVT}, [1, 2]), ({"gpu": bus.gpu_path(GVT)}, [1, 2]), ({"gpu": "00000000:00:02.0"}, [1, 2]),
            ({"gpu": ""}, [3, 4, 5, 6]), ({"gpu": "0000:99:00.0"}, []), ({"pool": "default"}, [6]), ({"pool": ""}, [1, 2, 3, 4, 5]),
            ({"owner": NOBODY}, [6]), ({"owner": 0}, [1, 2, 3, 4, 5]), ({"state": "active"}, [1]), ({"state": "foreign"}, []),
            ({"state": "stopped", "gpu": GVT}, [2]), ({"limit": 2}, [1, 2]), ({"limit": 2, "after": uuid(2)}, [3, 4]),
            ({"limit": 2, "after": uuid(6)}, []), ({"limit": 1, "gpu": "", "after": uuid(1).upper()}, [3])):
            with self.subTest(options=options):
                self.assertEqual(listed(**options), expected)
        self.assertEqual(user.definitions("name", "nothing", limit=1), [{"name": ""}])
        self.assertEqual(set(user.definitions()[0]), bus.DEFINITION_KEYS | bus.DEFINITION_STATE_KEYS | {"attributes"})
        self.assertEqual(user.definitions()[5], user.definition("six"))
        for options in ({"state": "x"}, {"after": "x"}, {"limit": 0}, {"limit": 16385}):
            self.assert_error("InvalidArgs", user.manager.start("ListDefinitions", **options))

    # ---- owners ----

    def test_owners_and_polkit(self):
        h = self.host("gvt-g", polkit=True)
        alice, mallory = h.client(NOBODY), h.client(DAEMON)

        def assert_denied(call, action):
            self.assertTrue(self.assert_error("NotAuthorized", call).endswith(f" org.vgpud1.{action}"))

        assert_denied(alice.manager.start("Define", V5_4), "define")
        h.polkit.allow("define", "start", "create", "destroy")
        made = alice.define(V5_4, gpu=GVT, name="hers")
        self.assertEqual(alice.definition(made)["owner"], str(NOBODY))
        for call, action in (
            (mallory.manager.start("Edit", made, name="mine"), "define-other"), (mallory.manager.start("Undefine", "hers"), "define-other"),
            (mallory.manager.start("Start", made), "start-other"),
            (mallory.manager.start("Edit", made, autostart=True), "define-other")):
            assert_denied(call, action)
        alice.start_definition(made)
        self.assertEqual(h.bus.instances()[made]["Owner"], str(NOBODY))
        assert_denied(mallory.manager.start("Destroy", made, defined=True), "destroy-other")
        assert_denied(mallory.manager.start("Undefine", made), "define-other")
        alice.destroy(made, defined=True)
        # Another user starts the definition, and the instance still belongs to the definition's owner.
        h.polkit.allow("start-other", "create", "define", "destroy")
        mallory.start_definition(made)
        self.assertEqual(h.bus.instances()[made]["Owner"], str(NOBODY))
        alice.manager.call("Undefine", made)
        assert_denied(mallory.manager.start("DefineInstance", made), "define-other")
        self.assertEqual(h.bus.definitions(), [])
        # The definition of an instance belongs to the owner of the instance.
        h.polkit.allow("define-other")
        mallory.manager.call("DefineInstance", made)
        self.assertEqual(h.bus.definition(made)["owner"], str(NOBODY))
        # The option "keep" needs both permissions.
        h.polkit.allow("create")
        assert_denied(alice.start_create(GVT, V5_8, keep=True), "define")
        h.polkit.allow("define")
        assert_denied(alice.start_create(GVT, V5_8, keep=True), "create")
        self.assertEqual(h.tree(), {made})

    def test_what_polkit_is_told(self):
        h = self.host("gvt-g", polkit=True)
        h.polkit.allow_unknown(True)
        monitor = host.Monitor(h)
        alice = h.client(NOBODY)
        me, key = str(NOBODY), self.key(h, GVT, V5_4)
        alice.define(V5_4, gpu=GVT, uuid=uuid(1), name="one")
        alice.start_definition("one")
        alice.manager.call("Edit", "one", gpu="")
        alice.manager.call("Undefine", "one")
        alice.create("", V5_4, keep=True)
        bus.wait(lambda: len(monitor.questions()) == 6, "six questions")
        definition = {"instance": uuid(1), "gpu": GVT, "type": key, "count": "1", "name": "one", "pool": "", "parent": "", "attributes": "",
                      "autostart": "no", "owner": me, "mine": "yes"}
        creation = {"gpu": GVT, "type": V5_4, "count": "1", "instance": "", "name": "", "parent": "", "attributes": ""}
        self.assertEqual([(q["action"].removeprefix("org.vgpud1."), q["details"]) for q in monitor.questions()], [
            ("define", definition),
            ("start", creation | {"instance": uuid(1), "name": "one", "owner": me, "mine": "yes"}),
            ("define", definition | {"gpu": ""}),
            ("define", definition | {"gpu": ""}),
            ("create", creation),
            ("define", definition | {"gpu": "", "instance": "", "name": ""}),
        ])

    def test_polkit_and_autostart(self):
        """The question about a definition has autostart, and the question about the end of a wait asks for no instance."""
        h = self.host("gvt-g", polkit=True)
        h.polkit.allow("define", "start")
        alice = h.client(NOBODY)
        alice.define(KEY_5_4, gpu=MISSING, uuid=uuid(1), autostart=True)
        h.boot()
        monitor = host.Monitor(h)
        alice, mallory = h.client(NOBODY), h.client(DAEMON)
        self.assertTrue(self.assert_error("NotAuthorized", mallory.manager.start("CancelStart", uuid(1))).endswith(" org.vgpud1.start-other"))
        alice.manager.call("CancelStart", uuid(1))
        alice.manager.call("Edit", uuid(1), autostart=False)
        bus.wait(lambda: len(monitor.questions()) == 3, "three questions")
        self.assertEqual([(q["action"].removeprefix("org.vgpud1."), q["details"]["count"], q["details"]["autostart"], q["details"]["mine"])
                          for q in monitor.questions()],
                         [("start-other", "0", "yes", "no"), ("start", "0", "yes", "yes"), ("define", "1", "no", "yes")])

    def test_a_definition_changes_while_polkit_decides(self):
        h = self.host("gvt-g", polkit=True)
        h.polkit.allow_unknown(True)
        alice = h.client(NOBODY)
        alice.define(V5_4, uuid=uuid(1))
        h.polkit.hang()
        calls = [alice.manager.start(*words) for words in (("Undefine", uuid(1)), ("Start", uuid(1)))]
        bus.wait(h.polkit.is_hanging, "polkit has the question")
        h.bus.manager.call("Edit", uuid(1), type=V5_8)
        h.polkit.release()
        for call in calls:
            self.assert_error("Failed", call)
        self.assertEqual((h.bus.definition(uuid(1))["state"], h.tree()), ("stopped", set()))

    def test_quota(self):
        """A user's definitions have a limit. A refusal for this reason is logged."""
        h = self.host("gvt-g", polkit=True, start=False)
        folder = h.state / "definitions"
        folder.mkdir(parents=True)
        for number in range(1, 1024):
            content = {"version": 1, "type": "8086/-/-/640/GVTg_V5_4", "owner": NOBODY, "created": number}
            (folder / f"{uuid(number)}.json").write_text(json.dumps(content), "utf-8")
        h.start()
        self.assertEqual((h.bus.manager.get("StoreErrors"), len(h.bus.definitions("uuid", owner=NOBODY))), ([], 1023))
        h.polkit.allow("define", "create")
        alice = h.client(NOBODY)
        alice.define(V5_4)
        self.assert_error("QuotaExceeded", alice.manager.start("Define", V5_4), "1024")
        self.assert_error("QuotaExceeded", alice.start_create(GVT, V5_4, keep=True), "1024")
        h.await_log(f"refused org.vgpud1.define to user {NOBODY}")
        h.bus.define(V5_4)
        alice.manager.call("Undefine", uuid(7))
        alice.define(V5_4)

    # ---- signals ----

    def test_signals(self):
        h = self.host("gvt-g")
        path = bus.instance_path(uuid(1))

        def heard(call):
            """The log of the signals about uuid(1) that came before the answer of the call."""
            h.settle()
            h.mirror.log.clear()
            call()
            return [e[:2] + tuple(e[2].get("Definition", "-") for _ in "x" if e[0] == "changed") for e in h.mirror.log
                    if e[1] in (uuid(1), path) or e[0] == "ended"]

        self.assertEqual(heard(lambda: h.bus.define(V5_4, gpu=GVT, uuid=uuid(1))), [("defined", uuid(1))])
        self.assertEqual(heard(lambda: h.bus.manager.call("Edit", uuid(1), name="x")), [("edited", uuid(1))])
        self.assertEqual(heard(lambda: h.bus.start_definition(uuid(1))), [("added", path), ("ended", 1)])
        self.assertEqual(heard(lambda: h.bus.manager.call("Edit", uuid(1), type=V5_8)), [("edited", uuid(1)), ("changed", path, "differs")])
        self.assertEqual(heard(lambda: h.bus.manager.call("Edit", uuid(1), type=V5_4)), [("edited", uuid(1)), ("changed", path, "current")])
        self.assertEqual(heard(lambda: h.bus.destroy(uuid(1), defined=True)), [("removed", path), ("ended", 2)])
        self.assertEqual(heard(lambda: h.bus.start_definition(uuid(1))), [("added", path), ("ended", 3)])
        self.assertEqual(heard(lambda: h.bus.manager.call("Undefine", uuid(1))), [("undefined", uuid(1)), ("changed", path, "")])
        self.assertEqual(heard(lambda: h.bus.manager.call("DefineInstance", uuid(1))), [("defined", uuid(1)), ("changed", path, "current")])
        h.bus.manager.call("Undefine", uuid(1))
        h.bus.destroy(uuid(1))
        self.assertEqual(heard(lambda: h.bus.create(GVT, V5_4, uuid=uuid(1), keep=True)),
                         [("defined", uuid(1)), ("added", path), ("ended", 5)])
        h.bus.destroy(uuid(1), defined=True)
        h.bus.manager.call("Undefine", uuid(1))
        h.sim.fault("create:*:errno=ENOMEM:1")
        self.assertEqual(heard(lambda: h.bus.start_create(GVT, V5_4, uuid=uuid(1), keep=True).error()),
                         [("defined", uuid(1)), ("undefined", uuid(1)), ("ended", 7)])

    # ---- restart ----

    def test_restart(self):
        h = self.host("gvt-g", "nvidia-a2")
        stopped = h.bus.define("A2-4Q", gpu=A2, name="stopped")
        active, edited = (h.bus.define(V5_4, gpu=GVT, name=n) for n in ("active", "edited"))
        for name in ("active", "edited"):
            h.bus.start_definition(name)
        h.bus.manager.call("Edit", "edited", type=V5_8)
        before = h.bus.definitions()
        for end in (h.stop, h.kill):
            with self.subTest(end=end.__name__):
                end()
                h.start()
                self.assert_becomes(before, h.bus.definitions)
                self.assertEqual((self.property(h, active), self.property(h, edited)), ("current", "differs"))
        self.assertEqual(h.bus.manager.get("StoreErrors"), [])
        h.bus.start_definition("stopped")
        self.assertEqual(h.bus.instances()[stopped]["Name"], "stopped")
        self.assert_error("Exists", h.bus.manager.start("Start", "active"))
        h.bus.destroy("edited", defined=True)
        h.bus.start_definition("edited")
        self.assertEqual(h.bus.instances()[edited]["Type"], V5_8)

    def test_damaged_files(self):
        h = self.host("gvt-g")
        good = h.bus.define(V5_4, gpu=GVT)
        h.stop()
        (h.state / "definitions" / f"{uuid(2)}.json").write_text("{", "utf-8")
        (h.state / "definitions" / f"{uuid(3)}.json").write_text('{"version": 2}', "utf-8")
        for _ in range(2):
            h.start()
            errors = h.bus.manager.get("StoreErrors")
            self.assertEqual(len(errors), 2, errors)
            for number in (2, 3):
                self.assertTrue(any(uuid(number) in e for e in errors), errors)
            self.assertEqual([r["uuid"] for r in h.bus.definitions("uuid")], [good])
            self.assertIsNotNone(h.bus.manager.start("Define", V5_4, uuid=uuid(3)).error())
            h.stop()
        h.start()
        self.assertTrue((h.state / "definitions" / f"{uuid(2)}.json.damaged").exists())
        h.bus.define(V5_4, uuid=uuid(2))


if __name__ == "__main__":
    runner.main()
