#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""vgpud from Python with dbus-python:  client-dbus-python.py list | types | create TYPE | destroy UUID"""

import sys

import dbus

ENDLESS_SEC = 2147483  # the most that D-Bus knows; a job has a deadline of its own
bus = dbus.SystemBus()
vgpud = bus.get_object("org.vgpud1", "/org/vgpud1")
manager = dbus.Interface(vgpud, "org.vgpud1.Manager")
objects = dbus.Interface(vgpud, "org.freedesktop.DBus.ObjectManager").GetManagedObjects()
verb, *words = sys.argv[1:]


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
    job, paths = manager.Create("", words[0], {"wait": True}, timeout=ENDLESS_SEC)
    instance = bus.get_object("org.vgpud1", paths[0])
    print(instance.Get("org.vgpud1.Instance", "Uuid", dbus_interface=dbus.PROPERTIES_IFACE))
elif verb == "destroy":
    manager.Destroy(words[0], {"wait": True}, timeout=ENDLESS_SEC)
