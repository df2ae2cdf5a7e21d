#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compares the interfaces with api-golden.txt, which holds every member of the released API: a member that is gone or
has changed breaks clients, and is an error. A new member must be added to the file; --add does that, and removes nothing."""

import common

import api

GOLDEN = "tests/checks/api-golden.txt"
STANDARD = "org.freedesktop.DBus."


def member_line(interface, member, action):
    """One member: its arguments with directions and names, or its type and flags."""
    arguments = ", ".join(f"{d or 'out'} {t} {n}" for d, t, n in member.arguments)
    words = [interface, member.kind, member.name]
    if member.kind == "property":
        words += [member.type, member.access, member.emits]
    else:
        words.append(f"({arguments})")
    if action:
        words.append(f"[{action}]")
    return " ".join(words)


def read_live(introspect, described):
    """The lines of the daemon's interfaces, with the actions of the XML."""
    actions = {(i.name, m.name): m.annotations.get(api.ACTION, "") for i in described for m in i.members}
    for node in common.introspection(introspect).findall("node"):
        for element in node.findall("interface"):
            if element.get("name").startswith(STANDARD):
                continue
            interface = api.read_interface(element)
            for member in interface.members:
                yield member_line(interface.name, member, actions.get((interface.name, member.name), ""))


def main():
    arguments = common.options(__doc__, common.INTROSPECT, flags=[("--add", "add new members to the file")])
    path = arguments.root / GOLDEN
    golden = path.read_text().splitlines() if path.exists() else []
    try:
        live = list(read_live(arguments.introspect, api.read_all(arguments.root)))
    except api.Wrong as e:
        common.finish([str(e)])
    if arguments.add:
        path.write_text("\n".join(sorted(set(golden) | set(live))) + "\n")
        return
    complaints = [f"{GOLDEN}: gone or changed: {line}" for line in golden if line not in live]
    complaints += [f"{GOLDEN}: not in the file: {line}" for line in live if line not in golden]
    common.finish(complaints)


main()
