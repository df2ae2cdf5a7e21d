#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""vgpud from Python with GDBus:  client-gdbus.py list | types | create TYPE | destroy UUID"""

import sys

from gi.repository import Gio, GLib

bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
verb, *words = sys.argv[1:]


def call(member, signature, *arguments):
    """Call a method of the Manager. Return its only result, or the tuple of its results."""
    endless = GLib.MAXINT  # vgpud answers when the job ends or is stuck
    request = GLib.Variant(signature, arguments)
    results = bus.call_sync("org.vgpud1", "/org/vgpud1", "org.vgpud1.Manager", member, request, None, 0, endless).unpack()
    return results[0] if len(results) == 1 else results


def rows(table):
    """Turn a table of vgpud into a list of dictionaries."""
    columns = {key: value for key, value in table.items() if isinstance(value, list)}
    return [dict(zip(columns, row)) for row in zip(*columns.values())]


wait = {"wait": GLib.Variant("b", True)}

if verb == "list":
    for instance in rows(call("ListInstances", "(a{sv})", {})):
        print(instance["uuid"], instance["type"], instance["origin"])
elif verb == "types":
    tables = call("ListTypes", "(a{sv})", {})
    gpus, types = rows(tables["gpus"]), rows(tables["types"])
    for offer in rows(tables["offers"]):
        print(gpus[offer["gpu"]]["name"], types[offer["type"]]["id"], offer["available"])
elif verb == "create":
    job, instances = call("Create", "(ssa{sv})", "", words[0], wait)
    print(instances[0]["uuid"])
elif verb == "destroy":
    call("Destroy", "(sa{sv})", words[0], wait)
