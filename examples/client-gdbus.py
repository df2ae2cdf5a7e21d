#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""vgpud from Python with GDBus:  client-gdbus.py list | types | create TYPE | destroy UUID"""

import sys

from gi.repository import Gio, GLib

bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
verb, *words = sys.argv[1:]


def call(path, method, arguments=None):
    interface, _, member = method.rpartition(".")
    endless = GLib.MAXINT  # a job has a deadline of its own
    return bus.call_sync("org.vgpud1", path, interface, member, arguments, None, 0, endless).unpack()


wait = {"wait": GLib.Variant("b", True)}
(objects,) = call("/org/vgpud1", "org.freedesktop.DBus.ObjectManager.GetManagedObjects")


def all_with(interface):
    """The properties of all objects that have this interface."""
    return [item[interface] for item in objects.values() if interface in item]


if verb == "list":
    for instance in all_with("org.vgpud1.Instance"):
        print(instance["Uuid"], instance["Type"], instance["Origin"])
elif verb == "types":
    for gpu in all_with("org.vgpud1.Gpu"):
        for type_id, kind in gpu["Types"].items():
            print(gpu["Name"], type_id, kind["Available"])
elif verb == "create":
    request = GLib.Variant("(ssa{sv})", ("", words[0], wait))
    job, paths = call("/org/vgpud1", "org.vgpud1.Manager.Create", request)
    uuid = GLib.Variant("(ss)", ("org.vgpud1.Instance", "Uuid"))
    print(*call(paths[0], "org.freedesktop.DBus.Properties.Get", uuid))
elif verb == "destroy":
    call("/org/vgpud1", "org.vgpud1.Manager.Destroy", GLib.Variant("(sa{sv})", (words[0], wait)))
