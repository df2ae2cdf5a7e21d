# SPDX-License-Identifier: LGPL-2.1-or-later
"""Definitions in the mock of vgpud. The mock keeps only the rules that vgpuctl depends on."""

import uuid

import dbus

from mock_calls import Refusal, method
from mock_host import (GPU, INSTANCE, MANAGER, ROOT, SAMPLE, gpu_path, instance_path, now, table,
                       typed_dictionary)

DEFINITION_COLUMNS = {"uuid": "s", "name": "s", "type": "s", "gpu": "s", "parent": "s", "pool": "s", "owner": "s",
                      "created_usec": "t", "state": "s", "differs": "b", "autostart": "b", "reason": "s", "hint": "s",
                      "hint_id": "s", "attributes": "a(ss)"}  # fmt: skip
TEXTS = ("name", "type", "gpu", "parent", "pool")
REASON = ("reason", "hint", "hint_id")


class Definitions:
    """The part of Mock that knows definitions: self.definitions maps a UUID to all members except state and differs.
    The state of a stopped definition with a reason is "waiting"."""

    # ---- the store ----

    def definition_state(self, identity):
        instance = self.objects.get(instance_path(identity), {}).get(INSTANCE)
        if instance:
            return "foreign" if instance["Origin"] == "foreign" else "active"
        if self.creating(identity):
            return "starting"
        return "waiting" if self.definitions[identity]["reason"] else "stopped"

    def definition_row(self, identity):
        instance = self.objects.get(instance_path(identity), {}).get(INSTANCE, {})
        state = self.definition_state(identity)
        waiting = {} if state == "waiting" else dict.fromkeys(REASON, "")
        return {**self.definitions[identity], **waiting, "state": state,
                "differs": instance.get("Definition") == "differs"}  # fmt: skip

    def signal_definition(self, member, identity):
        values = {k: v for k, v in self.definition_row(identity).items() if k != "attributes"}
        self.signal(ROOT, MANAGER, member, "sa{sv}", identity, typed_dictionary(values, {**DEFINITION_COLUMNS, "reason": "s"}))

    def mark(self, identity, value):
        """Set the property Definition of the instance."""
        path = instance_path(identity)
        if self.objects.get(path, {}).get(INSTANCE, {}).get("Origin", "foreign") != "foreign":
            self.change(path, INSTANCE, Definition=dbus.String(value))

    def put(self, identity, values):
        is_new = identity not in self.definitions
        empty = {"uuid": identity, "owner": str(self.requester), "created_usec": now(), "attributes": [],
                 "autostart": False, **dict.fromkeys(TEXTS + REASON, "")}  # fmt: skip
        self.definitions[identity] = {**self.definitions.get(identity, empty), **values}
        if is_new or not values.keys() <= {"autostart", *REASON}:
            self.mark(identity, "current" if is_new else "differs")
        self.signal_definition("DefinitionAdded" if is_new else "DefinitionChanged", identity)

    def compared(self, identity, started):
        """The property Definition of a new instance, which was started from the definition `started`."""
        now_defined = self.definitions.get(identity)
        return "" if now_defined is None else "current" if now_defined is started else "differs"

    def keep(self, identity, gpu, type_id, options):
        """The option keep of Create."""
        self.put(identity, {"type": type_id, "gpu": gpu or "", **{k: v for k, v in options.items()
                                                                  if k in ("name", "parent", "pool", "attributes", "autostart")}})

    # ---- arguments ----

    def check_new(self, identity, name):
        for d in self.definitions.values():
            if identity == d["uuid"] or (name and name == d["name"]):
                self.refuse(Refusal("Exists", "a definition has it", hint="start it", hint_id="use-start"))
        for o in self.objects.values():
            if INSTANCE in o and (identity == o[INSTANCE]["Uuid"] or (name and name == o[INSTANCE]["Name"])):
                self.refuse(Refusal("Exists", "an instance has it"))

    def find_definition(self, word):
        for identity, d in self.definitions.items():
            if word.lower() == identity or (word and word == d["name"]):
                return identity
        return self.refuse(Refusal("NoSuchDefinition", f"there is no definition {word}"))

    def checked(self, type_id, options):
        if options.get("gpu") and "/" not in type_id:
            self.find_gpu(options["gpu"])
        if options.get("gpu") and options.get("pool"):
            self.refuse(Refusal("InvalidArgs", "gpu and pool"))
        if options.get("parent") and not options.get("gpu"):
            self.refuse(Refusal("InvalidArgs", "parent without gpu"))
        return options

    # ---- methods ----

    @method(MANAGER, "sa{sv}", "s")
    def Define(self, type_id, options, message=None, path=None):
        options = dict(self.checked(type_id, self.enter("Define", message, type_id, options)))
        identity = str(options.pop("uuid", uuid.uuid4()))
        self.check_new(identity, options.get("name", ""))
        self.put(identity, {"type": type_id, **options})
        return identity

    @method(MANAGER, "sa{sv}", "s")
    def DefineInstance(self, instance, options, message=None, path=None):
        self.enter("DefineInstance", message, instance, options)
        i = self.objects[self.find_instance(instance)][INSTANCE]
        if i["Origin"] == "foreign":
            self.refuse(Refusal("Foreign", "another program created it"))
        identity = str(i["Uuid"])
        if identity in self.definitions:
            self.refuse(Refusal("Exists", "it has a definition"))
        gpu = self.objects[i["Gpu"]][GPU]["Name"]
        parent = "" if i["Parent"] == gpu else i["Parent"]
        self.put(identity, {"type": i["Type"], "gpu": gpu, "parent": parent, "name": i["Name"], "owner": i["Owner"]})
        return identity

    @method(MANAGER, "sa{sv}", "")
    def Edit(self, definition, options, message=None, path=None):
        options = self.enter("Edit", message, definition, options)
        identity = self.find_definition(definition)
        if not options:
            self.refuse(Refusal("InvalidArgs", "no option"))
        if options.get("gpu"):
            options = {"pool": "", "parent": "", **options}
        elif options.get("pool"):
            options = {**options, "gpu": "", "parent": ""}
        if self.definitions[identity]["autostart"] and not options.get("autostart", True):
            options = {**options, **dict.fromkeys(REASON, "")}
        self.put(identity, options)

    @method(MANAGER, "sa{sv}", "")
    def Undefine(self, definition, options, message=None, path=None):
        self.enter("Undefine", message, definition, options)
        if "Undefine" in self.fail_of:
            self.refuse(self.fail_of.pop("Undefine"))
        identity = self.find_definition(definition)
        del self.definitions[identity]
        self.mark(identity, "")
        self.signal(ROOT, MANAGER, "DefinitionRemoved", "s", identity)

    @method(MANAGER, "sa{sv}", "oaa{sv}")
    def Start(self, definition, options, message=None, path=None):
        self.enter("Start", message, definition, options)
        identity = self.find_definition(definition)
        d = self.definitions[identity]
        if self.definition_state(identity) not in ("stopped", "waiting"):
            self.refuse(Refusal("Exists", f"it is {self.definition_state(identity)}"))
        where = self.find_gpu(d["gpu"] or SAMPLE)
        self.definitions[identity] = {**d, **dict.fromkeys(REASON, "")}
        return self.start_create(where, d["type"], [identity], {k: d[k] for k in ("name", "owner")})

    @method(MANAGER, "sa{sv}", "")
    def CancelStart(self, definition, options, message=None, path=None):
        self.enter("CancelStart", message, definition, options)
        if "CancelStart" in self.fail_of:
            self.refuse(self.fail_of.pop("CancelStart"))
        identity = self.find_definition(definition)
        if self.definition_state(identity) != "waiting":
            self.refuse(Refusal("InvalidArgs", "the definition does not wait"))
        self.put(identity, dict.fromkeys(REASON, ""))

    @method(MANAGER, "sa{sv}", "a{sv}")
    def GetDefinition(self, definition, options, message=None, path=None):
        self.enter("GetDefinition", message, definition, options)
        if "GetDefinition" in self.fail_of:
            self.refuse(self.fail_of.pop("GetDefinition"))
        return typed_dictionary(self.definition_row(self.find_definition(definition)), {**DEFINITION_COLUMNS, "reason": "s"})

    @method(MANAGER, "a{sv}", "a{sv}")
    def ListDefinitions(self, options, message=None, path=None):
        options = self.enter("ListDefinitions", message, options)
        rows = [self.definition_row(i) for i in sorted(self.definitions)]
        if "gpu" in options:
            rows = [r for r in rows if options["gpu"] in (r["gpu"], gpu_path(r["gpu"]))]
        columns = {k: s for k, s in DEFINITION_COLUMNS.items() if k in options.get("columns", DEFINITION_COLUMNS)}
        return table(rows, columns)
