#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Random calls, well-formed but senseless: the daemon survives, and the model equals the kernel.

$FUZZ_SEED and $FUZZ_CALLS select another run."""

import os
import random

from gi.repository import Gio, GLib

import bus
import host
import runner
import simhost
from host import A2, GVT, NOBODY, S0, V5_4, uuid

SEED = int(os.environ.get("FUZZ_SEED", "1"))
CALLS = int(os.environ.get("FUZZ_CALLS", "3000"))
AT_A_TIME = 48

STRINGS = ["", "x", GVT, "00:02.0", "0000:", A2, "mdpy", S0, V5_4, "GVTg_V5_8", "mtty-1", "mdpy-xga", "nvidia-746", "A2-4Q", "A2-1Q",
           "one", "two", "../..", "/", "nvidia/vgpu_params", "remove", "\u2028\U0001f600", "\x01\x7f", "%s%n%d", "x" * 300,
           "y" * 70_000, *(uuid(n) for n in range(6)), uuid(1).upper(), uuid(1)[:8], "-", "0"]
PATHS = ["/", bus.ROOT, f"{bus.ROOT}/gpu", f"{bus.ROOT}/instance", f"{bus.ROOT}/job", bus.gpu_path(GVT), bus.gpu_path("mdpy"),
         bus.gpu_path(A2), f"{bus.ROOT}/gpu/_", f"{bus.ROOT}/job/1", f"{bus.ROOT}/job/4294967296", f"{bus.ROOT}/instance/x",
         *(bus.instance_path(uuid(n)) for n in range(6))]
PAIRS = [("", V5_4), (GVT, V5_4), ("00:02.0", "GVTg_V5_8"), ("mtty", "mtty-1"), ("mdpy", "mdpy-xga"), ("", "mtty-2"), (A2, "A2-1Q"),
         ("", "nvidia-746"), (GVT, "mtty-1"), (S0, "nvidia-1000"), ("", "nvidia-1000")]
BASIC = "ybnqiuxtdsogv"
OPTIONS = {"uuid": "s", "name": "s", "parent": "s", "attributes": "a(ss)", "count": "u", "wait": "b", "timeout_usec": "t", "foreign": "b", "error_details": "b", "ended": "b",
           "nonsense": "s"}


class Source:
    """Random values, reproducible from the seed."""

    def __init__(self, seed):
        self.chance = random.Random(seed)

    def signature(self, depth=0):
        kind = self.chance.random()
        if depth > 3 or kind < 0.7:
            return self.chance.choice(BASIC)
        if kind < 0.8:
            return "a" + self.signature(depth + 1)
        if kind < 0.9:
            return "a{" + self.chance.choice("sybnqiuxto") + self.signature(depth + 1) + "}"
        return "(" + "".join(self.signature(depth + 1) for _ in range(self.chance.randint(1, 3))) + ")"

    def number(self, low, high):
        return self.chance.choice([low, high, 0, 1, 2, self.chance.randint(low, high)])

    def value(self, signature, depth=0):
        """A GLib.Variant of the type."""
        kind = signature[0]
        ranges = {"y": (0, 0xff), "n": (-0x8000, 0x7fff), "q": (0, 0xffff), "i": (-0x80000000, 0x7fffffff), "u": (0, 0xffffffff),
                  "x": (-(1 << 63), (1 << 63) - 1), "t": (0, (1 << 64) - 1)}
        if kind in ranges:
            low, high = ranges[kind]
            return GLib.Variant(kind, max(low, self.number(low, high)))
        if kind == "b":
            return GLib.Variant("b", self.chance.random() < 0.5)
        if kind == "d":
            return GLib.Variant("d", self.chance.choice([0.0, -1.5, 1e300]))
        if kind == "s":
            return GLib.Variant("s", self.chance.choice(STRINGS))
        if kind == "o":
            return GLib.Variant("o", self.chance.choice(PATHS))
        if kind == "g":
            return GLib.Variant("g", self.chance.choice(["", "s", "a{sv}"]))
        if kind == "v":
            inner = self.signature(depth + 1)
            return GLib.Variant("v", self.value(inner, depth + 1))
        if kind == "(":
            members = [signature_at(signature, i) for i in member_offsets(signature[1:-1], 1)]
            return GLib.Variant.new_tuple(*(self.value(m, depth + 1) for m in members))
        element = signature[1:]
        count = self.chance.choice([0, 0, 1, 2, 5, 70]) if depth < 2 else self.chance.randint(0, 2)
        if element[0] == "{":
            entries = [GLib.Variant.new_dict_entry(self.value(element[1], depth + 1), self.value(element[2:-1], depth + 1))
                       for _ in range(count)]
            return GLib.Variant.new_array(GLib.VariantType(element), entries)
        return GLib.Variant.new_array(GLib.VariantType(element), [self.value(element, depth + 1) for _ in range(count)])

    def options(self):
        entries = []
        for name in self.chance.sample(sorted(OPTIONS), self.chance.choice([0, 1, 1, 2, 2, 3, 6])):
            right = self.chance.random() < 0.85
            if right and name == "count":
                value = GLib.Variant("u", self.chance.choice([1, 2, 3, 8, 1024]))
            elif right and name == "timeout_usec":
                value = GLib.Variant("t", self.chance.choice([30_000_000, 3_600_000_000, (1 << 64) - 1]))
            elif right and name == "uuid":
                value = GLib.Variant("s", uuid(self.chance.randint(0, 5)))
            else:
                value = self.value(OPTIONS[name] if right else self.signature())
            entries.append(GLib.Variant.new_dict_entry(GLib.Variant("s", name), GLib.Variant("v", value)))
        return GLib.Variant.new_array(GLib.VariantType("{sv}"), entries)

    def arguments(self, method):
        """Arguments with mostly correct types, and often useful values."""
        if self.chance.random() < 0.1:
            return GLib.Variant.new_tuple(*(self.value(self.signature()) for _ in range(self.chance.randint(0, 4))))
        values = [self.options() if a.signature == "a{sv}" else self.value(a.signature) for a in method.in_args]
        if method.name == "Create" and self.chance.random() < 0.7:
            values[:2] = [GLib.Variant("s", text) for text in self.chance.choice(PAIRS)]
        elif method.name in ("Destroy", "GetInstance") and len(values) == 2 and self.chance.random() < 0.7:
            values[0] = GLib.Variant("s", self.chance.choice([*(uuid(n) for n in range(6)), uuid(3)[:8], "one", "two"]))
        return GLib.Variant.new_tuple(*values)

    def call(self, live):
        """Return (path, interface, member, arguments). live: the paths of the present objects."""
        paths = PATHS + live
        if self.chance.random() < 0.1:
            member, signature = self.chance.choice([
                ("org.freedesktop.DBus.Properties.Get", "(ss)"), ("org.freedesktop.DBus.Properties.GetAll", "(s)"),
                ("org.freedesktop.DBus.Properties.Set", "(ssv)"), ("org.freedesktop.DBus.Introspectable.Introspect", "()"),
                ("org.freedesktop.DBus.ObjectManager.GetManagedObjects", "()"), ("org.freedesktop.DBus.Peer.Ping", "()")])
            interface, _, member = member.rpartition(".")
            arguments = GLib.Variant.new_tuple(*(self.value(c) for c in signature[1:-1]))
            return self.chance.choice(paths), interface, member, arguments
        interface = self.chance.choice([bus.MANAGER, *bus.INTERFACES])
        method = self.chance.choice(bus.INTERFACES[interface].methods)
        if self.chance.random() < 0.05:
            interface = self.chance.choice(sorted(bus.INTERFACES))
        kind = interface.rpartition(".")[2].lower()
        fitting = [bus.ROOT] if interface == bus.MANAGER else [p for p in live if f"/{kind}/" in p]
        path = self.chance.choice(fitting if fitting and self.chance.random() < 0.85 else paths)
        return path, interface, method.name, self.arguments(method)


def signature_at(signature, start):
    """The complete type that begins at the offset `start` of the signature."""
    end = start
    while signature[end] == "a":
        end += 1
    if signature[end] in "({":
        depth = 0
        while True:
            depth += signature[end] in "({"
            depth -= signature[end] in ")}"
            if depth == 0:
                break
            end += 1
    return signature[start:end + 1]


def member_offsets(inner, offset):
    at = 0
    while at < len(inner):
        yield at + offset
        at += len(signature_at(inner, at))


class Fuzz(host.HostTest):
    def storm(self, h, seed, clients):
        source = Source(seed)
        pending = []
        outcomes = {}
        for number in range(CALLS):
            if number % 50 == 0:
                live = sorted(h.mirror.mine())
            client = source.chance.choice(clients)
            path, interface, member, arguments = source.call(live)
            if source.chance.random() < 0.05:
                message = Gio.DBusMessage.new_method_call(bus.SERVICE, path, interface, member)
                message.set_body(arguments)
                message.set_flags(Gio.DBusMessageFlags.NO_REPLY_EXPECTED)
                client.gio.send_message(message, Gio.DBusSendMessageFlags.NONE)
                continue
            pending.append(client.start(path, interface, member, arguments, interactive=source.chance.random() < 0.1))
            while len(pending) >= AT_A_TIME:
                bus.wait(lambda: any(c.done for c in pending), "an answer")
                for call in [c for c in pending if c.done]:
                    pending.remove(call)
                    outcomes[call.error()] = outcomes.get(call.error(), 0) + 1
        for call in pending:
            outcomes[call.error()] = outcomes.get(call.error(), 0) + 1
        return outcomes

    def check(self, h):
        self.assertIsNone(h.vgpud.poll())
        bus.wait(lambda: not h.bus.jobs(), "no job is left")
        bus.wait(lambda: set(h.bus.instances()) == h.tree(), "the instances are the kernel's")
        h.settle()
        self.assertEqual(set(h.records()), {u for u, i in h.bus.instances().items() if i["Origin"] == "vgpud"})
        for name, instance in h.bus.instances().items():
            h.bus.manager.call("Destroy", name, foreign=True, wait=True, **({"defined": True} if instance["Definition"] else {}))
        self.assertEqual((h.tree(), h.records()), (set(), {}))

    def test_as_root(self):
        h = self.host("gvt-g", "nvidia-a2", "samples", faults=["create:*:delay=1:20", "create:*:errno=EIO:20", "remove:*:delay=3:50"])
        files, threads = h.open_files(), h.threads()
        outcomes = self.storm(h, SEED, [h.bus, h.client(), h.client()])
        print("     seed", SEED, dict(sorted((str(k), v) for k, v in outcomes.items())))
        self.check(h)
        # Some calls succeeded, and many failed with our errors.
        for name in (None, "InvalidArgs", "NoSuchGpu", "NoSuchType", "NoSuchInstance"):
            self.assertGreater(outcomes.get(name, 0), 0, name)
        self.assertNotIn("org.freedesktop.DBus.Error.NoReply", outcomes)
        h.await_open_files(files)
        self.assertLessEqual(h.threads(), threads + 6)

    def test_as_users_with_polkit(self):
        h = self.host("gvt-g", "samples", polkit=True)
        h.polkit.allow("create", "rescan")
        outcomes = self.storm(h, SEED + 1, [h.client(NOBODY), h.client(host.DAEMON), h.client(NOBODY)])
        print("     seed", SEED + 1, dict(sorted((str(k), v) for k, v in outcomes.items())))
        self.check(h)
        self.assertGreater(outcomes.get("NotAuthorized", 0), 0)
        self.assertGreater(outcomes.get(None, 0), 0)
        self.assertNotIn("org.freedesktop.DBus.Error.NoReply", outcomes)

    def test_clients_that_leave(self):
        h = self.host("scalable", options=simhost.scalable(2, 4, 4), faults=["create:*:delay=2"])
        files = h.open_files()
        source = Source(SEED + 2)
        for _ in range(60):
            client = h.client()
            live = sorted(h.mirror.mine())
            for _ in range(source.chance.randint(1, 8)):
                client.start(*source.call(live))
            client.gio.flush_sync(None)
            client.close()
        self.check(h)
        h.await_open_files(files)


if __name__ == "__main__":
    runner.main()
