#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compares the actions in policy/actions.def, org.vgpud1.policy, the annotations of dbus/*.xml, the example of rules
and the D-Bus policy."""

import re
import xml.etree.ElementTree as ET

import common

import api


def check_policy(root, actions, complaints):
    policy = {}
    for action in ET.parse(root / "policy/org.vgpud1.policy").getroot().findall("action"):
        policy[action.get("id")] = action
    for action in actions:
        element = policy.pop(action.name, None)
        if element is None:
            complaints.append(f"org.vgpud1.policy: no action {action.name}")
            continue
        for tag, expected in (
            ("description", action.description),
            ("message", action.message),
            ("defaults/allow_any", action.any),
            ("defaults/allow_inactive", action.inactive),
            ("defaults/allow_active", action.active),
        ):
            if element.findtext(tag) != expected:
                complaints.append(f"org.vgpud1.policy: {action.name}: {tag} is not '{expected}' as in actions.def")
    for name in policy:
        complaints.append(f"org.vgpud1.policy: {name} is not in actions.def")


def check_methods(interfaces, actions, complaints):
    used = set()
    known = {action.name for action in actions}
    for interface in interfaces:
        for member in interface.members:
            where = f"{interface.name}.{member.name}"
            value = member.annotations.get(api.ACTION)
            if member.kind == "property":
                if member.access != "read":
                    complaints.append(f"{where}: a property must be read-only: a setter of sd-bus could not wait for polkit")
                continue
            if member.kind == "signal":
                continue
            if value is None:
                complaints.append(f"{where}: no annotation {api.ACTION} (an action, or 'none')")
            elif value != "none":
                used.update(value.split())
    for name in sorted(used - known):
        complaints.append(f"dbus: {name} is not in actions.def")
    for name in sorted(known - used):
        complaints.append(f"actions.def: no method asks for {name}")


def check_live(introspect, interfaces, complaints):
    """The property Actions says the same as the annotations."""
    described = {
        (f"{i.name}.{m.name}", action)
        for i in interfaces
        for m in i.members
        for action in m.annotations.get(api.ACTION, "none").split()
        if action != "none"
    }
    live = {(a.get("method"), a.get("name")) for a in common.introspection(introspect).findall("action")}
    for method, action in sorted(described - live):
        complaints.append(f"{method}: {action} is in the XML, not in the property Actions")
    for method, action in sorted(live - described):
        complaints.append(f"{method}: {action} is in the property Actions, not in the XML")


def check_code(root, actions, complaints):
    code = "".join(p.read_text() for p in sorted((root / "dbus").glob("*.c")))
    for action in actions:
        if not re.search(rf"\bPOLKIT_{action.id}\b", code):
            complaints.append(f"actions.def: dbus/ never asks for POLKIT_{action.id}")


def check_rules(root, actions, complaints):
    rules = (root / "policy/org.vgpud1.rules.example").read_text()
    known = {action.name for action in actions}
    for name in re.findall(r'action\.id == "([^"]+)"', rules):
        if name not in known:
            complaints.append(f"org.vgpud1.rules.example: there is no action {name}")
    documented = set(re.findall(r"^//   (\w+) ", rules, re.M))
    for key in re.findall(r'action\.lookup\("(\w+)"\)', rules):
        if key not in documented:
            complaints.append(f"org.vgpud1.rules.example: it looks up {key}, which its comment does not have")
    told = set(told_to_polkit(root))
    for key in sorted(documented ^ told):
        complaints.append(f"org.vgpud1.rules.example: {key} is only in its comment or only in dbus/")
    for variable in sorted({v for a in actions for v in re.findall(r"\$\((\w+)\)", a.message)} - told):
        complaints.append(f"actions.def: a message has $({variable}), which polkit is never told")


def told_to_polkit(root):
    """The keys of the details for polkit: in dbus/, each handler has a table of key, value, key, value, …, NULL."""
    for path in sorted((root / "dbus").glob("bus-*.c")):
        for table in re.findall(r"details\[\] = \{(.*?)\};", path.read_text(), re.S):
            depth, fields = 0, [""]
            for c in table:
                depth += {"(": 1, ")": -1}.get(c, 0)
                if c == "," and depth == 0:
                    fields.append("")
                else:
                    fields[-1] += c
            for key in fields[0::2]:
                if key.strip() and key.strip() != "NULL":
                    yield key.strip().strip('"')


def check_bus_policy(root, interfaces, complaints):
    allowed = set()
    for allow in ET.parse(root / "dbus/org.vgpud1.conf").getroot().findall("policy[@context='default']/allow"):
        if allow.get("send_destination") == "org.vgpud1":
            allowed.add(allow.get("send_interface"))
    for interface in interfaces:
        if interface.name not in allowed:
            complaints.append(f"org.vgpud1.conf: no rule allows calls to {interface.name}")


def main():
    arguments = common.options(__doc__, common.INTROSPECT)
    root = arguments.root
    complaints = []
    try:
        actions, interfaces = api.read_actions(root), api.read_all(root)
    except api.Wrong as e:
        common.finish([str(e)])
    check_policy(root, actions, complaints)
    check_methods(interfaces, actions, complaints)
    check_live(arguments.introspect, interfaces, complaints)
    check_code(root, actions, complaints)
    check_rules(root, actions, complaints)
    check_bus_policy(root, interfaces, complaints)
    common.finish(complaints)


main()
