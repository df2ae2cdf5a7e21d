# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clients of the bus for tests: calls with types from the installed XML, and a mirror of the daemon's objects kept by
signals alone.

Every wait goes through wait(), which runs GLib's main loop, so signals are handled in the order of their arrival."""

import contextlib
import os
import pathlib
import time

from gi.repository import Gio, GLib

TOP = pathlib.Path(__file__).resolve().parents[2]
SERVICE = "org.vgpud1"
ROOT = "/org/vgpud1"
MANAGER = "org.vgpud1.Manager"
GPU = "org.vgpud1.Gpu"
INSTANCE = "org.vgpud1.Instance"
JOB = "org.vgpud1.Job"
PROPERTIES = "org.freedesktop.DBus.Properties"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"
EMITS = "org.freedesktop.DBus.Property.EmitsChangedSignal"

# The keys of a definition that only the signals about definitions change. The signals leave attributes out.
DEFINITION_KEYS = {"uuid", "name", "type", "gpu", "parent", "pool", "owner", "created_usec", "autostart"}
# The keys of the signals that also change without a signal.
DEFINITION_STATE_KEYS = {"state", "differs", "reason", "hint", "hint_id"}

# The limit of a wait; only a failing test reaches the limit.
DEADLINE = 60.0

INFINITE = GLib.MAXINT


def _load():
    nodes = [Gio.DBusNodeInfo.new_for_xml(p.read_text("utf-8")) for p in sorted((TOP / "dbus").glob("*.xml"))]
    return nodes, {interface.name: interface for node in nodes for interface in node.interfaces}


_NODES, INTERFACES = _load()


def emits(property_info):
    """The value of EmitsChangedSignal of a property."""
    return Gio.DBusAnnotationInfo.lookup(property_info.annotations, EMITS) or "true"


ANNOUNCED = {
    name: {p.name for p in interface.properties if emits(p) in ("true", "const")}
    for name, interface in INTERFACES.items()
}


class Timeout(AssertionError):
    pass


def wait(condition, what="that", seconds=DEADLINE):
    """Run the main loop until the condition holds; return the condition's value."""
    context = GLib.MainContext.default()
    end = time.monotonic() + seconds
    tick = GLib.timeout_add(10, lambda: True)
    try:
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > end:
                raise Timeout(f"not in {seconds:g} s: {what}")
            context.iteration(True)
    finally:
        GLib.source_remove(tick)


class Error(Exception):
    """An error answer of the bus.

    name: the D-Bus name, without the prefix of vgpud's errors; clause: what failed and why; hint, hint_id, details: from the
    answer to a call with the option error_details; message: clause and hint as the plain answer has them."""

    def __init__(self, name, clause, details=None):
        self.name = name.removeprefix("org.vgpud1.Error.")
        self.details = details or {}
        self.clause = clause
        self.hint, self.hint_id = self.details.get("hint", ""), self.details.get("hint_id", "")
        self.message = f"{clause}\nHint: {self.hint}" if self.hint else clause
        super().__init__(f"{self.name}: {self.message}")

    @classmethod
    def of_failure(cls, failure):
        """The error of a call without an answer."""
        return cls(Gio.DBusError.get_remote_error(failure) or failure.domain, failure.message)

    @classmethod
    def of_answer(cls, answer):
        body = answer.get_body()
        values = body.unpack() if body else ("",)
        return cls(answer.get_error_name(), *values[:2])


class Pending:
    """A call in progress."""

    def __init__(self, what, reply_type=None, then=None):
        self.what = what
        self.reply_type = reply_type
        self.then = then  # called with the answer, before later messages are handled
        self.done = False
        self.value = None
        self.failure = None

    def finish(self, connection, result, _data=None):
        try:
            answer = connection.send_message_with_reply_finish(result)
            if answer.get_message_type() == Gio.DBusMessageType.ERROR:
                self.failure = Error.of_answer(answer)
            else:
                self.take(answer.get_body() or GLib.Variant("()", ()))
        except GLib.Error as failure:
            self.failure = Error.of_failure(failure)
        self.done = True

    def take(self, value):
        if self.reply_type and value.get_type_string() != self.reply_type:
            raise AssertionError(f"{self.what} answered {value.get_type_string()}, not {self.reply_type}")
        self.value = value
        if self.then:
            self.then(value)

    def result(self, seconds=DEADLINE):
        wait(lambda: self.done, f"an answer to {self.what}", seconds)
        if self.failure:
            raise self.failure
        values = self.value.unpack()
        return values[0] if len(values) == 1 else values

    def error(self, seconds=DEADLINE):
        """The name of the error of the call, None for success."""
        wait(lambda: self.done, f"an answer to {self.what}", seconds)
        return self.failure.name if self.failure else None


@contextlib.contextmanager
def effective_user(uid):
    """Run the block as this effective user (None: no change): the bus asks the kernel for the effective user of a process
    that connects."""
    before = os.geteuid()
    if uid not in (None, before):
        os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(before)


class Connection:
    def __init__(self, address, uid=None):
        flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
        with effective_user(uid):
            self.gio = Gio.DBusConnection.new_for_address_sync(address, flags, None, None)
        self.gio.set_exit_on_close(False)
        self.name = self.gio.get_unique_name()
        self.manager = Object(self, ROOT, MANAGER)

    def start(self, path, interface, member, parameters=None, reply_type=None, service=SERVICE, interactive=False,
              then=None):
        pending = Pending(f"{interface}.{member} of {path}", reply_type, then)
        message = Gio.DBusMessage.new_method_call(service, path, interface, member)
        if interactive:
            message.set_flags(Gio.DBusMessageFlags.ALLOW_INTERACTIVE_AUTHORIZATION)
        if parameters:
            message.set_body(parameters)
        # Gio.DBusConnection.call() would drop the details of an error.
        self.gio.send_message_with_reply(message, Gio.DBusSendMessageFlags.NONE, INFINITE, None, pending.finish, None)
        return pending

    def call(self, *arguments, **more):
        return self.start(*arguments, **more).result()

    def managed(self):
        """{path: {interface: {property: value}}} of the interfaces of vgpud."""
        objects = self.call(ROOT, OBJECT_MANAGER, "GetManagedObjects", None, "(a{oa{sa{sv}}})")
        return {p: {i: v for i, v in c.items() if i in INTERFACES} for p, c in objects.items()}

    def objects(self, interface):
        """{path: properties} of the objects with the interface."""
        return {p: c[interface] for p, c in self.managed().items() if interface in c}

    def instances(self):
        """{UUID: properties}"""
        return {i["Uuid"]: i for i in self.objects(INSTANCE).values()}

    def gpus(self):
        """{name: properties}, with the types as an additional key."""
        return {g["Name"]: g | {"types": self.gpu(g["Name"]).types()} for g in self.objects(GPU).values()}

    def jobs(self):
        return {j["Id"]: j for j in self.objects(JOB).values()}

    def gpu(self, name):
        return Object(self, gpu_path(name), GPU)

    def instance(self, uuid):
        return Object(self, instance_path(uuid), INSTANCE)

    def job(self, path):
        return Object(self, path, JOB)

    def create(self, gpu, type_name, **options):
        """Create and wait; return the UUIDs."""
        return uuids_of(self.manager.call("Create", gpu, type_name, wait=True, **options)[1])

    def start_create(self, gpu, type_name, **options):
        return self.manager.start("Create", gpu, type_name, wait=True, **options)

    def queue_create(self, gpu, type_name, **options):
        """Create without waiting; return the path of the job."""
        return self.manager.call("Create", gpu, type_name, **options)[0]

    def define(self, type_name, **options):
        """Define; return the UUID."""
        return self.manager.call("Define", type_name, **options)

    def start_definition(self, what, **options):
        """Start a definition and wait; return the UUID."""
        return uuids_of(self.manager.call("Start", what, wait=True, **options)[1])[0]

    def definition(self, what):
        return self.manager.call("GetDefinition", what)

    def definitions(self, *columns, **options):
        """The rows of ListDefinitions."""
        if columns:
            options["columns"] = GLib.Variant("as", columns)
        return rows(self.manager.call("ListDefinitions", **options))

    def destroy(self, what, **options):
        return self.manager.call("Destroy", what, wait=True, **options)

    def name_owner(self, name):
        try:
            return self.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "GetNameOwner",
                             GLib.Variant("(s)", (name,)), "(s)", service="org.freedesktop.DBus")
        except Error as error:
            if error.name.endswith("NameHasNoOwner"):
                return None
            raise

    def await_name(self, name, alive=lambda: True):
        """Wait until the name has an owner, and return the owner; None if alive() is false before."""
        owners = []
        subscription = self.gio.signal_subscribe(
            "org.freedesktop.DBus", "org.freedesktop.DBus", "NameOwnerChanged", "/org/freedesktop/DBus", name,
            Gio.DBusSignalFlags.NONE, lambda *a: owners.append(a[5].unpack()[2]))
        try:
            owner = self.name_owner(name)
            if not owner:
                wait(lambda: (owners and owners[-1]) or not alive(), f"{name} on the bus")
                owner = owners[-1] if owners else None
            return owner
        finally:
            self.gio.signal_unsubscribe(subscription)

    def close(self):
        if not self.gio.is_closed():
            self.gio.close_sync(None)


def option(name, value):
    """A D-Bus value with the type of the named option."""
    if isinstance(value, GLib.Variant):
        return value
    if isinstance(value, bool):
        return GLib.Variant("b", value)
    if isinstance(value, int):
        return GLib.Variant("t" if name.endswith("_usec") else "u", value)
    if isinstance(value, str):
        return GLib.Variant("s", value)
    return GLib.Variant("a(ss)", value)


class Object:
    """An object with an interface of vgpud, described by the XML."""

    def __init__(self, connection, path, interface):
        self.connection = connection
        self.path = path
        self.interface = interface

    def start(self, member, *arguments, interactive=False, **options):
        method = INTERFACES[self.interface].lookup_method(member)
        signature = "".join(a.signature for a in method.in_args)
        reply = "".join(a.signature for a in method.out_args)
        options.setdefault("error_details", True)
        values = GLib.Variant(f"({signature})", (*arguments, {k: option(k, v) for k, v in options.items()}))
        return self.connection.start(self.path, self.interface, member, values, f"({reply})", interactive=interactive)

    def call(self, member, *arguments, **options):
        return self.start(member, *arguments, **options).result()

    def get(self, name):
        return self.connection.call(self.path, PROPERTIES, "Get", GLib.Variant("(ss)", (self.interface, name)), "(v)")

    def all(self):
        return self.connection.call(self.path, PROPERTIES, "GetAll", GLib.Variant("(s)", (self.interface,)), "(a{sv})")

    def types(self):
        """{id: constant data, available, why_not, hint and hint_id} of a GPU."""
        return by_id(offers(self.call("ListTypes")))

    def vfs(self):
        """The rows of ListVfs of a GPU."""
        return rows(self.call("ListVfs"))

    def hand_over(self):
        return self.call("GetHandOver")


def rows(table):
    """Rows of a table, as dictionaries."""
    columns = {key: value for key, value in table.items() if isinstance(value, list)}
    return [dict(zip(columns, row)) for row in zip(*columns.values())]


def offers(tables):
    """The answer of ListTypes as one flat dictionary per offer."""
    gpus, types, texts = rows(tables["gpus"]), rows(tables["types"]), tables["texts"]
    return [types[o["type"]] | {"gpu": gpus[o["gpu"]]["name"], "available": o["available"],
                                "why_not": texts[o["why_not"]], "hint": texts[o["hint"]], "hint_id": texts[o["hint_id"]]}
            for o in rows(tables["offers"])]


def by_id(offered):
    return {offer["id"]: offer for offer in offered}


def gpu_path(name):
    """Encode a name, see sd_bus_path_encode(3)."""
    plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    encoded = "".join(c if c in plain or (c.isdigit() and i > 0) else f"_{ord(c):02x}" for i, c in enumerate(name))
    return f"{ROOT}/gpu/{encoded}"


def instance_path(uuid):
    return f"{ROOT}/instance/{uuid.replace('-', '_')}"


def uuid_of(path):
    return path.removeprefix(f"{ROOT}/instance/").replace("_", "-")


def number_of(job):
    """The number of a job, given as number or path."""
    return job if isinstance(job, int) else int(job.rpartition("/")[2])


def uuids_of(instances):
    """UUIDs of object paths, or of the dictionaries from Create."""
    return [i["uuid"] if isinstance(i, dict) else uuid_of(i) for i in instances]


class Mirror:
    """The daemon's objects, known from one GetManagedObjects and from signals.

    objects: {path: {interface: {property: value}}}, without properties that no signal announces; log: received signals, as tuples:
    ("added", path), ("removed", path), ("changed", path, {property: value}), ("ended", id, result, error, [UUID]),
    ("defined", UUID), ("edited", UUID), ("undefined", UUID).
    Every signal is checked against the XML; violations are in `complaints`.

    tables: {path: {"types": offers, "vfs": rows}} of the GPUs, kept by TypesChanged and VfsChanged."""

    def __init__(self, connection):
        self.connection = connection
        self.objects = {}
        self.tables = {}
        self.gone = set()  # paths of GPUs that did not answer
        self.log = []
        self.ended = {}  # job's id -> (result, error name, message, [UUID])
        self.definitions = {}  # UUID -> the values of DEFINITION_KEYS
        self.manager = {}  # properties of the daemon that a signal has changed
        self.hint_ids = {}  # job's id -> the id of the error's hint, "" when there is none
        self.known_complaints = []
        self.doubts = {}  # (path, table) -> complaints that the next new list takes back
        self.watchers = []  # called with each entry of the log
        self.began = False  # while False, signals are dropped: the answer of GetManagedObjects covers them
        self.subscription = connection.gio.signal_subscribe(
            SERVICE, None, None, None, None, Gio.DBusSignalFlags.NONE, self.on_signal)
        connection.start(ROOT, OBJECT_MANAGER, "GetManagedObjects", None, "(a{oa{sa{sv}}})", then=self.begin).result()

    def close(self):
        if self.subscription:
            self.connection.gio.signal_unsubscribe(self.subscription)
            self.subscription = None

    def begin(self, answer):
        for path, interfaces in unpack_dict(answer.get_child_value(0)):
            self.take_object(path, interfaces)
            self.fetch_tables(path)
        self.definitions = self.fetch_definitions()
        self.began = True

    def fetch(self, path, member):
        """Fetch a table in a synchronous call. Signals sent before the answer are handled later, and change nothing then."""
        try:
            return self.connection.gio.call_sync(SERVICE, path, GPU, member, GLib.Variant("(a{sv})", ({},)), None,
                                                 Gio.DBusCallFlags.NONE, INFINITE, None).unpack()[0]
        except GLib.Error:
            return None  # the GPU has gone, and the signal will follow

    def fetch_definitions(self):
        """The definitions now, in a synchronous call; see fetch()."""
        table = self.connection.gio.call_sync(SERVICE, ROOT, MANAGER, "ListDefinitions", GLib.Variant("(a{sv})", ({},)), None,
                                              Gio.DBusCallFlags.NONE, INFINITE, None).unpack()[0]
        return {row["uuid"]: {k: v for k, v in row.items() if k in DEFINITION_KEYS} for row in rows(table)}

    def fetch_types(self, path):
        answer = self.fetch(path, "ListTypes")
        self.tables[path]["types"] = offers(answer) if answer else []
        self.note_gone(path, answer)

    def fetch_vfs(self, path):
        answer = self.fetch(path, "ListVfs")
        self.tables[path]["vfs"] = rows(answer) if answer else []
        self.note_gone(path, answer)

    def note_gone(self, path, answer):
        """Remember a GPU that has gone (answer None). Signals that vgpud sent about the GPU earlier may still arrive."""
        if answer is None:
            self.gone.add(path)

    def fetch_tables(self, path):
        if GPU in self.objects.get(path, {}):
            self.tables[path] = {}
            self.gone.discard(path)
            self.fetch_types(path)
            self.fetch_vfs(path)

    def take_rows(self, path, member, list_changed, table):
        name, key = {"TypesChanged": ("types", "row"), "VfsChanged": ("vfs", "index")}[member]
        if path not in self.tables:
            self.complain(f"{member} of {path}, which is not known")
            return
        changed = rows(table)
        if list_changed:
            if table:
                self.complain(f"{member} of {path} has a new list and {table}")
            self.doubts.pop((path, name), None)
            (self.fetch_types if name == "types" else self.fetch_vfs)(path)
        elif not changed:
            self.complain(f"{member} of {path} has no rows")
        for row in changed:
            known = self.tables[path][name]
            place = row[key] if name == "types" else next((i for i, v in enumerate(known) if v["index"] == row[key]), len(known))
            if place >= len(known) and path not in self.gone:
                # The rows may be of an older list than fetch() got. Then the signal of the new list is still to come.
                self.doubts.setdefault((path, name), []).append(f"{member} of {path} has {row}, of {len(known)} rows")
            elif place < len(known):
                known[place].update({k: v for k, v in row.items() if k != "row"})
        self.note("changed", path, {"types" if name == "types" else "vfs": changed})

    def complain(self, text):
        self.known_complaints.append(text)

    @property
    def complaints(self):
        return self.known_complaints + [text for texts in self.doubts.values() for text in texts]

    def take_object(self, path, interfaces):
        for interface, properties in unpack_dict(interfaces):
            if interface not in INTERFACES:
                if not interface.startswith("org.freedesktop.DBus."):
                    self.complain(f"{path} has an interface {interface}")
                continue
            wanted = {p.name: p.signature for p in INTERFACES[interface].properties}
            got = {name: value.get_variant() for name, value in unpack_dict(properties)}
            types = {name: value.get_type_string() for name, value in got.items()}
            # sd-bus leaves properties that are announced without their value out of InterfacesAdded.
            optional = {p.name for p in INTERFACES[interface].properties if emits(p) == "invalidates"}
            if types | {n: s for n, s in wanted.items() if n in optional} != wanted:
                self.complain(f"{path}: {interface} has {types}, the XML says {wanted}")
            self.objects.setdefault(path, {})[interface] = {
                name: value.unpack() for name, value in got.items() if name in ANNOUNCED[interface]}

    def note(self, *entry):
        self.log.append(entry)
        for watcher in self.watchers:
            watcher(entry)

    def on_signal(self, _gio, _sender, path, interface, member, parameters, *_data):
        if not self.began:
            return
        if (interface, member) == (OBJECT_MANAGER, "InterfacesAdded"):
            added = parameters.get_child_value(0).get_string()
            if added in self.objects:
                self.complain(f"{added} was added twice")
            self.take_object(added, parameters.get_child_value(1))
            self.fetch_tables(added)
            self.note("added", added)
        elif (interface, member) == (OBJECT_MANAGER, "InterfacesRemoved"):
            removed, interfaces = parameters.unpack()
            known = self.objects.pop(removed, None)
            self.tables.pop(removed, None)
            self.doubts = {key: texts for key, texts in self.doubts.items() if key[0] != removed}
            if known is None:
                self.complain(f"{removed} was removed, and not known")
            elif not set(known) <= set(interfaces):
                self.complain(f"{removed} lost {interfaces}, and had {sorted(known)}")
            self.note("removed", removed)
        elif (interface, member) == (PROPERTIES, "PropertiesChanged"):
            self.take_changes(path, parameters)
        elif interface in INTERFACES and INTERFACES[interface].lookup_signal(member):
            signature = "".join(a.signature for a in INTERFACES[interface].lookup_signal(member).args)
            if parameters.get_type_string() != f"({signature})" or (path == ROOT) != (interface == MANAGER):
                self.complain(f"{interface}.{member} of {path} has {parameters.get_type_string()}")
            if interface == GPU:
                self.take_rows(path, member, *parameters.unpack())
            elif member.startswith("Definition"):
                self.take_definition(member, *parameters.unpack())
            else:
                self.take_end(*parameters.unpack())
        else:
            self.complain(f"signal {interface}.{member} of {path} is not in the XML")

    def take_definition(self, member, uuid, values=None):
        if (uuid in self.definitions) != (member != "DefinitionAdded"):
            self.complain(f"{member} of {uuid}, of {len(self.definitions)} definitions")
        if member == "DefinitionRemoved":
            self.definitions.pop(uuid, None)
            self.note("undefined", uuid)
            return
        if set(values) != DEFINITION_KEYS | DEFINITION_STATE_KEYS or values["uuid"] != uuid:
            self.complain(f"{member} of {uuid} has {values}")
        self.definitions[uuid] = {k: v for k, v in values.items() if k in DEFINITION_KEYS}
        self.note("defined" if member == "DefinitionAdded" else "edited", uuid)

    def take_end(self, job, job_path, result, error, details):
        message, instances = details.get("message", ""), uuids_of(details["instances"])
        if job_path in self.objects:
            self.complain(f"{job_path} still exists when JobRemoved arrives")
        if (result == "done") != (error == "") or (result == "done") != (message == ""):
            self.complain(f"job {job}: {result}, {error}, {message}")
        self.hint_ids[job] = details.get("hint_id", "")
        self.ended[job] = (result, error.removeprefix("org.vgpud1.Error."), message, instances)
        self.note("ended", job, result, error.removeprefix("org.vgpud1.Error."), instances)

    def take_changes(self, path, parameters):
        interface = parameters.get_child_value(0).get_string()
        changed = {name: value.get_variant() for name, value in unpack_dict(parameters.get_child_value(1))}
        for name in parameters.get_child_value(2).unpack():
            info = INTERFACES[interface].lookup_property(name)
            if not info or emits(info) != "invalidates":
                self.complain(f"{path}: {interface}.{name} was invalidated without a value")
        if interface not in INTERFACES or (path not in self.objects and (path, interface) != (ROOT, MANAGER)):
            self.complain(f"{interface} of {path} changed, which is not known")
            return
        for name, value in changed.items():
            info = INTERFACES[interface].lookup_property(name)
            if not info or emits(info) != "true" or value.get_type_string() != info.signature:
                self.complain(f"{path}: {interface}.{name} of type {value.get_type_string()} changed")
        values = {name: value.unpack() for name, value in changed.items()}
        (self.manager if path == ROOT else self.objects[path].setdefault(interface, {})).update(values)
        self.note("changed", path, values)

    def is_true(self):
        """True if the mirror equals a fresh answer of the daemon."""
        now = {path: {i: {n: v for n, v in p.items() if n in ANNOUNCED[i]} for i, p in interfaces.items()}
               for path, interfaces in self.connection.managed().items()}
        return now == self.mine() and not self.table_differences() and self.definitions == self.fetch_definitions() \
            and all(self.connection.manager.get(name) == value for name, value in self.manager.items())

    def table_differences(self):
        lines = []
        for path, tables in list(self.tables.items()):
            types, vfs = self.fetch(path, "ListTypes"), self.fetch(path, "ListVfs")
            if types is None or vfs is None:
                continue
            for name, now in (("types", [(o["id"], o["available"]) for o in offers(types)]), ("vfs", rows(vfs))):
                told = [(o["id"], o["available"]) for o in tables["types"]] if name == "types" else tables["vfs"]
                if now != told:
                    lines.append(f"{path}: {name} are {now!r}, was told {told!r}")
        return lines

    def mine(self):
        return {path: interfaces for path, interfaces in self.objects.items() if interfaces}

    def differences(self):
        """The differences, for the report of a failed is_true()."""
        now = self.connection.managed()
        lines = []
        for path in sorted(set(now) | set(self.mine())):
            if path not in now or path not in self.objects:
                lines.append(f"{path}: {'known by signals only' if path not in now else 'never announced by a signal'}")
                continue
            for interface, properties in now[path].items():
                for name, value in properties.items():
                    told = self.objects[path].get(interface, {}).get(name)
                    if name in ANNOUNCED[interface] and told != value:
                        lines.append(f"{path}: {name} is {value!r}, was told {told!r}")
        told, fetched = self.definitions, self.fetch_definitions()
        lines += [f"definition {u} is {fetched.get(u)!r}, was told {told.get(u)!r}" for u in sorted(set(told) | set(fetched))
                  if told.get(u) != fetched.get(u)]
        lines += [f"{name} is {self.connection.manager.get(name)!r}, was told {value!r}" for name, value in self.manager.items()
                  if self.connection.manager.get(name) != value]
        return lines + self.table_differences()

    def await_end(self, job):
        """(result, error name, message, [UUID]) of a job, by its number or path."""
        number = number_of(job)
        return wait(lambda: self.ended.get(number), f"the end of job {number}")

    def gpu(self, name):
        return self.objects.get(gpu_path(name), {}).get(GPU)

    def types(self, name):
        """{id: offer} of a GPU."""
        return by_id(dict(o) for o in self.tables.get(gpu_path(name), {}).get("types", []))

    def instance(self, uuid):
        return self.objects.get(instance_path(uuid), {}).get(INSTANCE)

    def instances(self):
        return {i["Uuid"]: i for i in (o.get(INSTANCE) for o in self.objects.values()) if i}

    def jobs(self):
        return {j["Id"]: j for j in (o.get(JOB) for o in self.objects.values()) if j}


def unpack_dict(variant):
    """(key, value as a GLib.Variant) of a dictionary."""
    for i in range(variant.n_children()):
        entry = variant.get_child_value(i)
        yield entry.get_child_value(0).get_string(), entry.get_child_value(1)
