#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A vgpud for tests of vgpuctl: the objects and calls of dbus/*.xml over an invented host.

The mock decides nothing: a test orders through org.vgpud1.Mock (object /mock) the error of the next call, whether jobs
stay unfinished, and changes of objects. The class Mock in test_vgpuctl.py compares the objects with the XML."""

import json
import os
import sys
import uuid

import dbus
import dbus.bus
import dbus.lowlevel
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib

from mock_calls import Refusal, method
from mock_definitions import Definitions
from mock_host import (DETAILS, GPU, GVT, HANDED_OUT, INSTANCE, JOB, JOB_KEYS, MANAGER, MOCK, OBJECT_MANAGER,
                       OF_INTERFACE, PROPERTIES, ROOT, SAMPLE, TYPE_COLUMNS, VF_COLUMNS, XE, add_xe, gpu_path, instance_path,
                       make_instance, make_properties, make_vfs, now, snake, table, typed_dictionary, world)


class GpuTypes(dbus.service.FallbackObject):
    """ListTypes of a GPU. The method has its own class because dbus-python finds only one method of a name in a class."""

    @method(GPU, "a{sv}", "a{sv}")
    def ListTypes(self, options, message=None, path=None):
        self.enter("ListTypes", message, options)
        self.of(message.get_path(), GPU)
        return self.type_tables([message.get_path()])


class Mock(GpuTypes, Definitions):
    """All of /org/vgpud1."""

    def __init__(self, bus):
        super().__init__(bus, ROOT)
        self.bus = bus
        self.reset()

    def reset(self):
        self.world = world()
        self.fail = []  # Refusals of the next calls, in order
        self.fail_of = {}  # method: Refusal of its next call; only GetInstance, GetDefinition, Undefine, CancelStart, and ListInstances of a GPU use it
        self.unlisted = set()  # UUIDs that ListInstances leaves out
        self.kept_of_absent = set()  # missing GPUs with kept settings
        self.hold = False  # jobs do not end by themselves
        self.config_texts = {}  # ConfigErrors, ConfigUnmatched, StoreErrors; missing: the property is unknown
        self.next_job = 17
        self.requester = 0
        self.waiting = {}  # job number to the record and what the job does
        self.ended = {}  # job number to the record
        self.calls = []  # for Calls
        self.definitions = {}  # UUID to the definition
        self.readiness = "ready"  # None: the property is unknown
        self.missing = []  # of ListMissing

    @property
    def objects(self):
        return self.world.objects

    # ---- signals ----

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
            self.world.types.pop(path, None)
            self.signal(ROOT, OBJECT_MANAGER, "InterfacesRemoved", "oas", path, interfaces)

    def announce(self, path, interface, values, invalidated=()):
        self.signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", interface, dbus.Dictionary(values, signature="sv"),
                    dbus.Array(invalidated, signature="s"))  # fmt: skip

    def change(self, path, interface, **values):
        """Values keep their types: tests send wrong types on purpose."""
        self.objects[path][interface].update(values)
        self.announce(path, interface, {k: v for k, v in values.items() if k != "Parents"}, ["Parents"] if "Parents" in values else [])

    def set_types(self, path, types):
        before, self.world.types[path] = self.world.types.get(path, []), types
        static = [[{k: t[k] for k in TYPE_COLUMNS} for t in side] for side in (before, types)]
        rows = [{"row": i, "available": t["available"]} for i, t in enumerate(types)]
        if static[0] != static[1]:
            self.signal(path, GPU, "TypesChanged", "ba{sv}", True, dbus.Dictionary({}, signature="sv"))
        else:
            rows = [r for r, old, new in zip(rows, before, types) if old != new]
            if rows:
                self.signal(path, GPU, "TypesChanged", "ba{sv}", False, table(rows, {"row": "u", "available": "u"}))
        if self.objects[path][GPU]["TypeCount"] != len(types):
            self.change(path, GPU, TypeCount=dbus.UInt32(len(types)))

    def set_vfs(self, path, vfs):
        before, self.world.vfs[path] = self.world.vfs[path], vfs
        if [(v["index"], v["name"]) for v in before] != [(v["index"], v["name"]) for v in vfs]:
            self.signal(path, GPU, "VfsChanged", "ba{sv}", True, dbus.Dictionary({}, signature="sv"))
            return
        rows = [new for old, new in zip(before, vfs) if old != new]
        columns = {"index": "u", "instance": "o"}
        for key in ("driver", "driver_override", "state"):
            if any(old[key] != new[key] for old, new in zip(before, vfs)):
                columns[key] = "s"
        if rows:
            self.signal(path, GPU, "VfsChanged", "ba{sv}", False, table(rows, columns))

    def recount(self, path):
        changed = self.world.count(self.objects[path][GPU]["Name"])
        if changed:
            self.announce(path, GPU, changed)

    # ---- jobs ----

    def jobs_of(self, gpu):
        return [j for j, _ in self.waiting.values() if j["gpu"] == gpu]

    def start_job(self, kind, gpu, instances, effect, **details):
        number, self.next_job = self.next_job, self.next_job + 1
        path = f"{ROOT}/job/{number}"
        waits = bool(self.jobs_of(gpu))
        job = {"id": number, "object_path": path, "kind": kind, "state": "waiting" if waits else "running", "result": "",
               "gpu": gpu, "instances": instances, "n_instances": len(instances), "requester": self.requester,
               "created_usec": now(), "started_usec": 0 if waits else now(), "ended_usec": 0,
               "details": typed_dictionary(details, DETAILS), "error_name": "", "message": "", "hint": "", "hint_id": "",
               "failures": [], "n_failures": 0}  # fmt: skip
        self.waiting[number] = job, effect
        properties = {"Id": number, "Kind": kind, "State": job["state"], "Gpu": gpu, "Instances": instances[:32],
                      "Requester": self.requester, "CreatedUsec": job["created_usec"], "StartedUsec": job["started_usec"],
                      "Details": job["details"]}  # fmt: skip
        self.add(path, {JOB: make_properties(JOB, properties)})
        self.derive_jobs()
        if not self.hold:
            GLib.idle_add(self.end_job, number, "done")
        return dbus.ObjectPath(path)

    def derive_jobs(self):
        """Derive Job and QueuedJobs, two properties without a signal."""
        for path, interfaces in self.objects.items():
            mine = self.jobs_of(path)
            if GPU in interfaces:
                running = [j["object_path"] for j in mine if j["state"] != "waiting"]
                interfaces[GPU]["Job"] = dbus.ObjectPath(running[0] if running else "/")
                interfaces[GPU]["QueuedJobs"] = dbus.UInt32(len(mine) - len(running))
            elif INSTANCE in interfaces:
                on_it = [j["object_path"] for j, _ in self.waiting.values() if path in j["instances"]]
                interfaces[INSTANCE]["Job"] = dbus.ObjectPath(on_it[0] if on_it else "/")

    @staticmethod
    def job_dictionary(job, without=()):
        left_out = [k for k, v in job.items() if (v in ("", 0) and k != "requester") or (k == "failures" and not v)]
        return typed_dictionary({k: v for k, v in job.items() if k not in (*left_out, *without)}, JOB_KEYS)

    def end_job(self, number, result, error_name="", text="", **more):
        if number not in self.waiting:
            return False
        job, effect = self.waiting.pop(number)
        job.update({"state": "ended", "result": result, "ended_usec": now(), "error_name": error_name, "message": text}, **more)
        job["failures"] = [dbus.Dictionary(f, signature="sv") for f in job["failures"]]
        job["n_failures"] = job["n_failures"] or len(job["failures"])
        failed = {str(f["instance"]) for f in job["failures"]}
        if result == "done" or job["failures"]:
            effect(failed)
        self.ended[number] = job
        self.derive_jobs()
        self.remove(job["object_path"])
        without = ["id", "object_path", "state", "result", "error_name", "requester", "created_usec", "details"]
        without += ["n_instances"] if job["n_instances"] <= len(job["instances"]) else []
        details = self.job_dictionary(dict(job, failures=job["failures"][:16]), without)
        self.signal(ROOT, MANAGER, "JobRemoved", "uossa{sv}", number, job["object_path"], result, error_name, details)
        return False

    # ---- arguments ----

    def enter(self, member, message, *args):
        """Record the call without error_details; raise the error ordered by a test."""
        args = list(args)
        self.asked_for_details = False
        if args and isinstance(args[-1], dict):
            options = dict(args[-1])
            self.asked_for_details = bool(options.pop("error_details", False))
            args[-1] = options
        self.calls.append({"member": member, "path": message.get_path(), "args": args, "details": self.asked_for_details})
        if self.fail:
            self.refuse(self.fail.pop(0))
        return args[-1] if args else {}

    def refuse(self, refusal):
        refusal.wanted = self.asked_for_details
        raise refusal

    def of(self, path, interface):
        if interface not in self.objects.get(path, {}):
            raise dbus.DBusException("no such object", name="org.freedesktop.DBus.Error.UnknownObject")
        return self.objects[path][interface]

    def find_gpu(self, name):
        for path, o in self.objects.items():
            if GPU in o and name in (path, o[GPU]["Name"]):
                return path
        return self.refuse(Refusal("NoSuchGpu", f"there is no GPU {name}"))

    def find_instance(self, name):
        if not name:
            self.refuse(Refusal("InvalidArgs", '"" is neither a name nor a UUID'))
        for path, o in self.objects.items():
            if INSTANCE in o and (name in (path, o[INSTANCE]["Name"]) or name.lower() == o[INSTANCE]["Uuid"]):
                return path
        job = self.creating(name)
        if job:
            return self.refuse(Refusal("NoSuchInstance", "not yet", job=dbus.ObjectPath(job["object_path"])))
        if any(name in (d["uuid"], d["name"]) and self.definition_state(d["uuid"]) in ("stopped", "waiting") for d in self.definitions.values()):
            return self.refuse(Refusal("NoSuchInstance", "the definition is not started", hint="start it", hint_id="use-start"))
        return self.refuse(Refusal("NoSuchInstance", f"there is no instance {name}"))

    def creating(self, name):
        """The job that creates an instance; the name is a UUID or a path."""
        found = [j for j, _ in self.waiting.values() if j["kind"] == "create" and {name, instance_path(name)} & set(j["instances"])]
        return found[0] if found else None

    # ---- properties ----

    @method(PROPERTIES, "ss", "v")
    def Get(self, interface, name, message=None, path=None):
        if name == "Job":
            self.enter("Get", message, interface, name)
        where = message.get_path()
        if (interface, name) == (MANAGER, "JobTimeoutUsec"):
            return dbus.UInt64(120 * 1000000)
        if (interface, name) == (MANAGER, "Readiness"):
            self.enter("Get", message, interface, name)
            if self.readiness is not None:
                return self.readiness
        if interface != MANAGER:
            return self.of(where, interface)[name]
        if name not in self.config_texts:
            raise dbus.DBusException("no such property", name="org.freedesktop.DBus.Error.UnknownProperty")
        return dbus.Array(self.config_texts[name], signature="s")

    @method(PROPERTIES, "s", "a{sv}")
    def GetAll(self, interface, message=None, path=None):
        self.enter("GetAll", message, interface)
        return dbus.Dictionary(self.of(message.get_path(), interface), signature="sv")

    @method(OBJECT_MANAGER, "", "a{oa{sa{sv}}}")
    def GetManagedObjects(self, message=None, path=None):
        self.enter("GetManagedObjects", message)
        return dbus.Dictionary(self.objects, signature="oa{sa{sv}}")

    # ---- lists ----

    def rows(self, interface, without=(), wanted=lambda o: True):
        """The table of the objects of an interface, with a column in snake_case for each property."""
        signatures = {snake(k): s for k, s in OF_INTERFACE[interface].items() if k not in without}
        rows = [dict({snake(k): v for k, v in o[interface].items()}, object_path=p)
                for p, o in self.objects.items() if interface in o and wanted(o[interface])]  # fmt: skip
        return table(rows, {"object_path": "o", **signatures})

    @method(MANAGER, "a{sv}", "a{sv}")
    def ListGpus(self, options, message=None, path=None):
        self.enter("ListGpus", message, options)
        return self.rows(GPU, ("Parents", "Modes", "KeptModes"))

    @method(MANAGER, "a{sv}", "a{sv}")
    def ListInstances(self, options, message=None, path=None):
        options = self.enter("ListInstances", message, options)
        gpu = self.find_gpu(options["gpu"]) if "gpu" in options else None
        if gpu and "ListInstances" in self.fail_of:
            self.refuse(self.fail_of.pop("ListInstances"))
        return self.rows(INSTANCE, ("SysfsPath", "Attributes"), lambda i: gpu in (None, i["Gpu"]) and i["Uuid"] not in self.unlisted)

    @method(MANAGER, "a{sv}", "a{sv}")
    def ListJobs(self, options, message=None, path=None):
        options = self.enter("ListJobs", message, options)
        jobs = [j for j, _ in self.waiting.values()] + (list(self.ended.values()) if options.get("ended") else [])
        jobs = [dict(j, instances=j["instances"][:32]) for j in sorted(jobs, key=lambda j: j["id"])]
        return table(jobs, {k: s for k, s in JOB_KEYS.items() if k != "failures"})

    @method(MANAGER, "a{sv}", "asu")
    def ListMissing(self, options, message=None, path=None):
        options = self.enter("ListMissing", message, options)
        return self.missing[:options.get("limit")], len(self.missing)

    def type_tables(self, paths):
        texts, types, offers, gpus = [""], [], [], []

        def text(t):
            if t not in texts:
                texts.append(t)
            return texts.index(t)

        for path in paths:
            properties = self.objects[path][GPU]
            gpus.append({"object_path": path, "name": properties["Name"], "stale": properties["Stale"]})
            for t in self.world.types[path]:
                static = {k: t[k] for k in TYPE_COLUMNS}
                if static not in types:
                    types.append(static)
                offers.append({"gpu": len(gpus) - 1, "type": types.index(static), "available": t["available"],
                               "why_not": text(t["why_not"]), "hint": text(t["hint"]), "hint_id": text(t["hint_id"])})  # fmt: skip
        numbers = dict.fromkeys(("gpu", "type", "available", "why_not", "hint", "hint_id"), "u")
        return dbus.Dictionary({"offers": table(offers, numbers), "types": table(types, TYPE_COLUMNS),
                                "gpus": table(gpus, {"object_path": "o", "name": "s", "stale": "b"}),
                                "texts": dbus.Array(texts, signature="s"), "next": "a key of a newer daemon"}, signature="sv")  # fmt: skip

    @method(MANAGER, "a{sv}", "a{sv}")
    def ListTypes(self, options, message=None, path=None):
        self.enter("ListTypes", message, options)
        return self.type_tables([p for p, o in self.objects.items() if GPU in o and self.world.types[p]])

    @method(GPU, "a{sv}", "a{sv}")
    def ListVfs(self, options, message=None, path=None):
        self.enter("ListVfs", message, options)
        self.of(message.get_path(), GPU)
        return table(self.world.vfs[message.get_path()], VF_COLUMNS)

    @method(INSTANCE, "a{sv}", "a{sv}")
    def GetHandOver(self, options, message=None, path=None):
        self.enter("GetHandOver", message, options)
        self.of(message.get_path(), INSTANCE)
        return dbus.Dictionary(self.world.hand_overs[message.get_path()], signature="sv")

    @method(MANAGER, "sa{sv}", "o")
    def GetInstance(self, name, options, message=None, path=None):
        self.enter("GetInstance", message, name, options)
        if self.fail_of.get("GetInstance"):
            self.refuse(self.fail_of.pop("GetInstance"))
        return dbus.ObjectPath(self.find_instance(name))

    @method(MANAGER, "ua{sv}", "a{sv}")
    def GetJob(self, number, options, message=None, path=None):
        self.enter("GetJob", message, number, options)
        job = self.ended.get(number) or self.waiting.get(number, (None,))[0]
        if not job:
            self.refuse(Refusal("NoSuchJob", f"there is no job {number}"))
        return self.job_dictionary(job)

    @method(MANAGER, "sa{sv}", "osa(oa{sv})")
    def Place(self, type_id, options, message=None, path=None):
        options = self.enter("Place", message, type_id, options)
        count, candidates = int(options.get("count", 1)), []
        for where, g in ((p, o[GPU]) for p, o in self.objects.items() if GPU in o):
            found = [t for t in self.world.types[where] if t["id"] == type_id]
            n = int(found[0]["available"]) if found else 0
            c = {"name": g["Name"], "fits": n >= count, "room": dbus.UInt32(n), "available": dbus.UInt32(n + 1),
                 "promised": dbus.UInt32(1), "spare": dbus.UInt32(0), "instances": dbus.UInt32(2), "numa_node": g["NumaNode"],
                 "a_newer_key": dbus.Array(["x"], signature="s")}  # fmt: skip
            if found:
                c["type"] = type_id
            if "near" in options:
                c["distance"] = dbus.UInt32(4)
            if n < count:
                c["reason"] = "it has no room for another one" if found else "it does not offer that type"
                c["reason_id"] = "no-room" if found else "no-such-type"
                if found:
                    c.update(hint="destroy an instance", hint_id="choose-other")
                if options.get("pool") != "mute":  # for a test of candidates without this key
                    c["error"] = "org.vgpud1.Error." + ("NotSupported" if "pool" in options else
                                                        "NoCapacity" if found else "NoSuchType")  # fmt: skip
            candidates.append((-n, (dbus.ObjectPath(where), dbus.Dictionary(c, signature="sv"))))
        candidates = [c for _, c in sorted(candidates, key=lambda c: c[0])]
        if options.get("pool") == "wait":
            candidates[0][1]["would_wait"] = True
        best = candidates[0][0] if candidates[0][1]["fits"] or "would_wait" in candidates[0][1] else "/"
        return dbus.ObjectPath(best), options.get("strategy", "breadth"), dbus.Array(candidates, signature="(oa{sv})")

    # ---- changes ----

    @method(MANAGER, "ssa{sv}", "oaa{sv}")
    def Create(self, gpu, type_id, options, message=None, path=None):
        options = self.enter("Create", message, gpu, type_id, options)
        where = self.find_gpu(gpu or SAMPLE)
        name = self.objects[where][GPU]["Name"]
        count = int(options.get("count", 1))
        identities = [str(options["uuid"])] if "uuid" in options else [str(uuid.uuid4()) for _ in range(count)]
        for i in identities:
            self.check_new(i, options.get("name", ""))
        if options.get("keep"):
            for i in identities:
                self.keep(i, gpu and name, type_id, options)
        return self.start_create(where, type_id, identities, options)

    def start_create(self, where, type_id, identities, options):
        """Queue the job of Create and Start."""
        name = self.objects[where][GPU]["Name"]
        kinds = self.world.types[where]
        count = len(identities)
        defined = {i: self.definitions.get(i) for i in identities}
        paths = [instance_path(i) for i in identities]

        def effect(_failed):
            kind = next(t for t in kinds if t["id"] == type_id)
            for i in identities:
                self.world.add_instance(i, name, type_id, kind["name"], Name=options.get("name", ""),
                                        Parent=options.get("parent", name), Owner=options.get("owner", "0"),
                                        Definition=self.compared(i, defined[i]))  # fmt: skip
                self.signal(ROOT, OBJECT_MANAGER, "InterfacesAdded", "oa{sa{sv}}", instance_path(i), self.objects[instance_path(i)])
            self.set_types(where, [dict(t, available=t["available"] - count) if t is kind else t for t in kinds])
            values = {k: self.objects[where][GPU][k] for k in ("InstanceCount", "MemoryUsedBytes")}
            self.announce(where, GPU, values)

        job = self.start_job("create", where, paths, effect, type=type_id, count=count)
        return job, dbus.Array([typed_dictionary(
            {"object_path": p, "uuid": i, "gpu": where, "type": type_id}, {"object_path": "o", "uuid": "s", "gpu": "o", "type": "s"})
            for p, i in zip(paths, identities)], signature="a{sv}")  # fmt: skip

    def start_destroy(self, paths, options):
        gpu = str(self.objects[paths[0]][INSTANCE]["Gpu"])
        kinds = {str(self.objects[p][INSTANCE]["Type"]) for p in paths}
        details = {"count": len(paths), **({"type": kinds.pop()} if len(kinds) == 1 else {}),
                   **({"foreign": True} if options.get("foreign") else {})}  # fmt: skip

        def effect(failed):
            for p in paths:
                if p not in failed:
                    self.remove(p)
            self.recount(gpu)

        return self.start_job("destroy", gpu, paths, effect, **details)

    def check_destroy(self, path, options):
        if self.objects[path][INSTANCE]["Origin"] == "foreign" and not options.get("foreign", False):
            self.refuse(Refusal("Foreign", "vgpud did not make the instance", hint="use --foreign", hint_id="use-foreign"))
        defined = self.objects[path][INSTANCE]["Definition"] != ""
        if defined and not options.get("defined", False):
            self.refuse(Refusal("Defined", "it has a definition", hint="stop it", hint_id="use-stop"))
        if options.get("defined", False) and not defined:
            self.refuse(Refusal("NoSuchDefinition", "it has no definition", hint="destroy it", hint_id="choose-other"))

    @method(MANAGER, "sa{sv}", "o")
    def Destroy(self, instance, options, message=None, path=None):
        options = self.enter("Destroy", message, instance, options)
        target = self.find_instance(instance)
        self.check_destroy(target, options)
        return self.start_destroy([target], options)

    @method(MANAGER, "aoa{sv}", "ao")
    def DestroyMany(self, instances, options, message=None, path=None):
        options = self.enter("DestroyMany", message, list(instances), options)
        paths = [str(p) for p in instances]
        if not 1 <= len(set(paths)) == len(paths) <= 1024:
            self.refuse(Refusal("InvalidArgs", "each instance once"))
        for p in paths:
            self.check_destroy(self.find_instance(p), options)
        of_gpu = {}
        for p in paths:
            of_gpu.setdefault(str(self.objects[p][INSTANCE]["Gpu"]), []).append(p)
        return dbus.Array([self.start_destroy(group, options) for group in of_gpu.values()], signature="o")

    @method(GPU, "a{sv}", "o")
    def Rescan(self, options, message=None, path=None):
        self.enter("Rescan", message, options)
        self.of(message.get_path(), GPU)
        return self.start_job("rescan", message.get_path(), [], lambda failed: None)

    @method(GPU, "ua{sv}", "o")
    def SetVfs(self, count, options, message=None, path=None):
        self.enter("SetVfs", message, count, options)
        where = message.get_path()
        name = self.of(where, GPU)["Name"]

        def effect(_failed):
            names = [f"{name[:-1]}{i + 1}" for i in range(count)]
            self.set_vfs(where, make_vfs(names))
            if options.get("keep"):
                self.change(where, GPU, KeptVfs=dbus.Int32(count or -1))
            self.change(where, GPU, EnabledVfs=dbus.UInt32(count), Parents=dbus.Array(names, signature="s"))

        return self.start_job("set-vfs", where, [], effect, count=count)

    @method(GPU, "ssa{sv}", "o")
    def Configure(self, mode, value, options, message=None, path=None):
        self.enter("Configure", message, mode, value, options)
        where = message.get_path()
        gpu = self.of(where, GPU)

        def effect(_failed):
            gpu["Modes"][mode]["value"] = value
            self.change(where, GPU, Modes=gpu["Modes"])
            if options.get("keep"):
                gpu["KeptModes"][mode] = value
                self.change(where, GPU, KeptModes=gpu["KeptModes"])

        return self.start_job("configure", where, [], effect, mode=mode, value=value)

    @method(MANAGER, "sa{sv}", "")
    def ForgetSettings(self, name, options, message=None, path=None):
        self.enter("ForgetSettings", message, name, options)
        if name in self.kept_of_absent:
            self.kept_of_absent.remove(name)
            return
        where = self.find_gpu(name)
        gpu = self.of(where, GPU)
        if "mode" in options:
            del gpu["KeptModes"][options["mode"]]
        elif not options.get("vfs"):
            gpu["KeptModes"].clear()
        if "mode" not in options:
            self.change(where, GPU, KeptVfs=dbus.Int32(-1))
        self.change(where, GPU, KeptModes=gpu["KeptModes"])

    @method(JOB, "a{sv}", "")
    def Cancel(self, options, message=None, path=None):
        self.enter("Cancel", message, options)
        self.of(message.get_path(), JOB)
        self.end_job(int(message.get_path().rsplit("/", 1)[1]), "canceled", "org.vgpud1.Error.Canceled", "the job was cancelled")


class Control(dbus.service.Object):
    """The interface through which tests control the mock."""

    def __init__(self, bus, mock):
        super().__init__(bus, "/mock")
        self.mock = mock

    @dbus.service.method(MOCK)
    def Reset(self):
        self.mock.reset()

    @dbus.service.method(MOCK, in_signature="as")
    def ConfigErrors(self, texts):
        self.mock.config_texts["ConfigErrors"] = texts

    @dbus.service.method(MOCK, in_signature="as")
    def ConfigUnmatched(self, texts):
        self.mock.config_texts["ConfigUnmatched"] = texts

    @dbus.service.method(MOCK, in_signature="ss")
    def Fail(self, name, message):
        self.mock.fail.append(Refusal(str(name), str(message)))

    @dbus.service.method(MOCK, in_signature="sss")
    def FailOf(self, method_name, name, message):
        self.mock.fail_of[str(method_name)] = Refusal(str(name), str(message))

    @dbus.service.method(MOCK, in_signature="ssa{sv}")
    def FailWith(self, name, message, details):
        self.mock.fail.append(Refusal(str(name), str(message), **{str(k): v for k, v in details.items()}))

    @dbus.service.method(MOCK, in_signature="s")
    def Unlist(self, uuid):
        self.mock.unlisted.add(str(uuid))

    @dbus.service.method(MOCK, in_signature="s")
    def KeepOfAbsent(self, name):
        self.mock.kept_of_absent.add(str(name))

    @dbus.service.method(MOCK, in_signature="as")
    def StoreErrors(self, texts):
        self.mock.config_texts["StoreErrors"] = texts

    @dbus.service.method(MOCK, in_signature="sa{sv}")
    def AddDefinition(self, identity, values):
        """Add a definition, or change one without a check."""
        self.mock.put(str(identity), {str(k): v for k, v in values.items()})

    @dbus.service.method(MOCK, in_signature="sas")
    def Readiness(self, readiness, missing):
        """Set the readiness and what ListMissing answers. Empty: an older vgpud, which has no such property."""
        self.mock.missing = [str(m) for m in missing]
        self.mock.readiness = str(readiness) or None
        if readiness:
            self.mock.announce(ROOT, MANAGER, {"Readiness": str(readiness)})

    @dbus.service.method(MOCK, in_signature="b")
    def Hold(self, hold):
        self.mock.hold = bool(hold)

    @dbus.service.method(MOCK, in_signature="u")
    def Requester(self, uid):
        self.mock.requester = int(uid)

    @dbus.service.method(MOCK, in_signature="usss")
    def End(self, number, result, error_name, message):
        self.mock.end_job(int(number), str(result), str(error_name), str(message))

    @dbus.service.method(MOCK, in_signature="usssa{sv}")
    def EndWith(self, number, result, error_name, message, more):
        self.mock.end_job(int(number), str(result), str(error_name), str(message), **{str(k): v for k, v in more.items()})

    @dbus.service.method(MOCK, in_signature="ssa{sv}")
    def Change(self, path, interface, values):
        values = {str(k): v for k, v in values.items()}
        if interface == JOB:
            job = self.mock.waiting[int(path.rsplit("/", 1)[1])][0]
            job["state"] = str(values.get("State", job["state"]))
            job["started_usec"] = int(values.get("StartedUsec", job["started_usec"]))
        self.mock.change(path, interface, **values)

    @dbus.service.method(MOCK, in_signature="oa{sa{sv}}")
    def Add(self, path, interfaces):
        self.mock.world.hand_overs.setdefault(str(path), {})
        self.mock.world.types.setdefault(str(path), [])
        self.mock.world.vfs.setdefault(str(path), [])
        self.mock.add(str(path), interfaces)

    @dbus.service.method(MOCK, in_signature="o")
    def Remove(self, path):
        self.mock.remove(str(path))

    @dbus.service.method(MOCK, in_signature="os")
    def Types(self, path, types):
        """All types of a GPU, as JSON of make_type()."""
        self.mock.set_types(str(path), json.loads(types))

    @dbus.service.method(MOCK, in_signature="os")
    def Vfs(self, path, vfs):
        self.mock.set_vfs(str(path), json.loads(vfs))

    @dbus.service.method(MOCK, in_signature="oa{sv}")
    def HandOver(self, path, values):
        self.mock.world.hand_overs[str(path)] = values

    @dbus.service.method(MOCK, in_signature="b")
    def AddXe(self, prepared):
        for path in (gpu_path(XE), instance_path(HANDED_OUT)):
            self.mock.remove(path)
        before = set(self.mock.objects)
        add_xe(self.mock.world, bool(prepared))
        for path in set(self.mock.objects) - before:
            self.mock.add(path, self.mock.objects[path])

    @dbus.service.method(MOCK, in_signature="u")
    def ManyInstances(self, n):
        for i in range(int(n)):
            identity = str(uuid.UUID(int=0xabcd << 112 | 1 << 78 | i))  # bit 78: the version is 4
            self.mock.objects[instance_path(identity)] = {INSTANCE: make_instance(identity, GVT, "i915-GVTg_V5_4", "GVTg_V5_4")}
        self.mock.world.count(GVT)

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
