#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compares dbus/*.xml with the introspection of the daemon's objects, in both directions, and the options described in
the XML with the options in the code. Reading the XML already fails on a member without a description or a version."""

import re

import common

import api

# Files and functions that read the options of a method. Manager.Destroy is Instance.Destroy under another name.
OPTIONS = {
    ("org.vgpud1.Manager", "Create"): ("bus-create.c", "bus_method_create"),
    ("org.vgpud1.Manager", "Define"): ("bus-definitions.c", "bus_method_define"),
    ("org.vgpud1.Manager", "Edit"): ("bus-definitions.c", "bus_method_edit"),
    ("org.vgpud1.Manager", "Start"): ("bus-create.c", "bus_method_start"),
    ("org.vgpud1.Manager", "ForgetSettings"): ("bus-gpu.c", "bus_method_forget_settings"),
    ("org.vgpud1.Manager", "ListDefinitions"): ("bus-definitions.c", "bus_method_list_definitions"),
    ("org.vgpud1.Manager", "DestroyMany"): ("bus-instance.c", "bus_instance_destroy_many"),
    ("org.vgpud1.Manager", "ListGpus"): ("bus-manager.c", "method_list_gpus"),
    ("org.vgpud1.Manager", "ListInstances"): ("bus-manager.c", "method_list_instances"),
    ("org.vgpud1.Manager", "ListJobs"): ("bus-manager.c", "method_list_jobs"),
    ("org.vgpud1.Manager", "ListMissing"): ("bus-manager.c", "method_list_missing"),
    ("org.vgpud1.Manager", "Place"): ("bus-manager.c", "method_place"),
    ("org.vgpud1.Instance", "Destroy"): ("bus-instance.c", "bus_instance_destroy"),
    ("org.vgpud1.Gpu", "Rescan"): ("bus-gpu.c", "method_rescan"),
    ("org.vgpud1.Gpu", "SetVfs"): ("bus-gpu.c", "method_set_vfs"),
    ("org.vgpud1.Gpu", "Configure"): ("bus-gpu.c", "method_configure"),
}


def read_introspection(program):
    interfaces = {}
    for node in common.introspection(program).findall("node"):
        for element in node.findall("interface"):
            if element.get("name").startswith("org.vgpud1."):
                interfaces[element.get("name")] = api.read_interface(element)
    return interfaces


def compare(described, real, complaints):
    for name in sorted(described.keys() - real.keys()):
        complaints.append(f"{name}: in the XML, not in the daemon")
    for name in sorted(real.keys() - described.keys()):
        complaints.append(f"{name}: in the daemon, not in the XML")
    for name in sorted(described.keys() & real.keys()):
        a = {(m.kind, m.name): m.shape() for m in described[name].members}
        b = {(m.kind, m.name): m.shape() for m in real[name].members}
        for kind, member in sorted(a.keys() | b.keys()):
            one, other = a.get((kind, member)), b.get((kind, member))
            if one != other:
                complaints.append(f"{name}.{member}: {kind} in the XML is {one}, in the daemon {other}")


def options_in_code(root, file, function):
    source = (root / "dbus" / file).read_text()
    body = re.search(rf"^[\w ]+\b{function}\(.*?\n}}\n", source, re.S | re.M).group(0)
    table = re.search(r"const BusOption options\[\] = \{(.*?)\n        \};", body, re.S).group(1)
    options = dict(re.findall(r'\{ "(\w+)", "([^"]+)"', table))
    if "BUS_WAIT_OPTIONS" in table:
        options.update(wait="b", timeout_usec="t")
    return options


def check_options(root, interfaces, complaints):
    for interface in interfaces:
        for member in interface.members:
            if member.kind != "method":
                continue
            if ("in", "a{sv}", "options") != [a for a in member.arguments if a[0] == "in"][-1]:
                complaints.append(f"{interface.name}.{member.name}: its last argument must be a{{sv}} options")
            described = {key: kind for key, kind, _ in member.doc.options()}
            where = OPTIONS.get((interface.name, member.name))
            known = options_in_code(root, *where) if where else {}
            if described != known:
                complaints.append(f"{interface.name}.{member.name}: options described {described}, in the code {known}")


def main():
    arguments = common.options(__doc__, common.INTROSPECT)
    complaints = []
    try:
        interfaces = api.read_all(arguments.root)
    except api.Wrong as e:
        common.finish([str(e)])
    compare({i.name: i for i in interfaces}, read_introspection(arguments.introspect), complaints)
    check_options(arguments.root, interfaces, complaints)
    common.finish(complaints)


main()
