#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""vgpud from Python with dbus-python:  client-dbus-python.py list | types | create TYPE | destroy UUID"""

import sys

import dbus

ENDLESS_SEC = 2147483  # the longest timeout of libdbus; vgpud answers when the job ends or is stuck
bus = dbus.SystemBus()
manager = dbus.Interface(bus.get_object("org.vgpud1", "/org/vgpud1"), "org.vgpud1.Manager")
verb, *words = sys.argv[1:]


def rows(table):
    """Turn a table of vgpud into a list of dictionaries."""
    columns = {key: value for key, value in table.items() if isinstance(value, list)}
    return [dict(zip(columns, row)) for row in zip(*columns.values())]


if verb == "list":
    for instance in rows(manager.ListInstances({})):
        print(instance["uuid"], instance["type"], instance["origin"])
elif verb == "types":
    tables = manager.ListTypes({})
    gpus, types = rows(tables["gpus"]), rows(tables["types"])
    for offer in rows(tables["offers"]):
        print(gpus[offer["gpu"]]["name"], types[offer["type"]]["id"], offer["available"])
elif verb == "create":
    job, instances = manager.Create("", words[0], {"wait": True}, timeout=ENDLESS_SEC)
    print(instances[0]["uuid"])
elif verb == "destroy":
    manager.Destroy(words[0], {"wait": True}, timeout=ENDLESS_SEC)
