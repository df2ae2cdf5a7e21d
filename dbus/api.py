#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads the sources of the API's description: dbus/*.xml, daemon/base/error.h, daemon/base/hint.h and policy/actions.def.

Used by the manual (man/api-manual.py) and by the checks (tests/checks). A reader fails on anything that it does not
understand.

A comment before an interface or a member describes it:

    NAME: text
    @argument: text          every argument, in their order; for an interface @short_description
                             (blank line)
    text                     paragraphs

    - key (type): text       lists of options, or of the keys of a dictionary

    Since: VERSION           also at the end of the text
"""

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INTERFACES = ["org.vgpud1.Manager", "org.vgpud1.Gpu", "org.vgpud1.Instance", "org.vgpud1.Job"]
EMITS = "org.freedesktop.DBus.Property.EmitsChangedSignal"
ACTION = "org.vgpud1.Action"

TEXT, LIST = object(), object()


class Wrong(Exception):
    """A source breaks a rule; the text says which rule and where."""


@dataclass
class Doc:
    """The content of a comment. blocks: ("text", str) or ("list", [(key, type, text)])."""

    arguments: dict = field(default_factory=dict)
    blocks: list = field(default_factory=list)
    since: str = ""

    def options(self):
        """The list after the text "Options:"."""
        before = ""
        for kind, value in self.blocks:
            if kind == "list" and before == "Options:":
                return value
            before = value
        return []


@dataclass
class Member:
    kind: str  # "method", "signal", "property"
    name: str
    arguments: list  # (direction, type, name); a property has none
    type: str = ""
    access: str = ""
    emits: str = ""
    annotations: dict = field(default_factory=dict)
    doc: Doc = None

    def shape(self):
        """The part that clients depend on. Annotations org.vgpud1.* are left out: they exist in the XML only."""
        return (self.kind, self.name, tuple(self.arguments), self.type, self.access, self.emits)


@dataclass
class Interface:
    name: str
    members: list
    doc: Doc = None


def read_doc(where, name, text):
    doc = Doc()
    lines = [line.strip() for line in text.strip().splitlines()]
    if not lines or not lines[0].startswith(name + ":"):
        raise Wrong(f"{where}: no comment that begins with '{name}:' precedes it")
    lines[0] = lines[0][len(name) + 1 :].strip()

    match = re.search(r"(?:^|\s)Since: (\d+(?:\.\d+)+)$", lines[-1])
    if not match:
        raise Wrong(f"{where}: its comment does not end with 'Since: VERSION'")
    doc.since = match.group(1)
    lines[-1] = lines[-1][: match.start()].rstrip()

    target = None  # the block, or the name of the argument, that a line continues
    for line in lines:
        argument = re.match(r"@(\w+): *(.*)", line)
        item = re.match(r"- (\w+) \(([a-z(){}]+)\): *(.*)", line)
        if not line:
            target = None
        elif argument:
            if argument.group(1) in doc.arguments:
                raise Wrong(f"{where}: @{argument.group(1)} is described twice")
            target = argument.group(1)
            doc.arguments[target] = argument.group(2)
        elif item:
            if not doc.blocks or doc.blocks[-1][0] != "list":
                doc.blocks.append(("list", []))
            doc.blocks[-1][1].append(item.groups())
            target = LIST
        elif line.startswith("- "):
            raise Wrong(f"{where}: the line cannot be read: {line}")
        elif target in doc.arguments:
            doc.arguments[target] += " " + line
        elif target is LIST:
            key, kind, old = doc.blocks[-1][1][-1]
            doc.blocks[-1][1][-1] = (key, kind, old + " " + line)
        elif target is TEXT:
            doc.blocks[-1] = ("text", doc.blocks[-1][1] + " " + line)
        else:
            doc.blocks.append(("text", line))
            target = TEXT
    return doc


def read_member(element):
    annotations = {a.get("name"): a.get("value") for a in element.findall("annotation")}
    arguments = [
        (a.get("direction", "in" if element.tag == "method" else ""), a.get("type"), a.get("name"))
        for a in element.findall("arg")
    ]
    emits = annotations.get(EMITS, "true") if element.tag == "property" else ""
    return Member(
        element.tag, element.get("name"), arguments, element.get("type", ""), element.get("access", ""), emits, annotations
    )


def read_interface(element):
    """Reads an element of the introspection, which has no comments."""
    members = [read_member(m) for m in element if m.tag in ("method", "signal", "property")]
    return Interface(element.get("name"), members)


def read_xml(path):
    """Reads one of our XML files, in which a comment describes the interface and each member."""
    parser = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))
    root = ET.parse(path, parser).getroot()
    result, comment = [], ""
    for node in root:
        if node.tag is ET.Comment:
            comment = node.text
            continue
        where = f"{path.name}: {node.get('name')}"
        interface = Interface(node.get("name"), [], read_doc(where, node.get("name"), comment))
        if "short_description" not in interface.doc.arguments or not interface.doc.blocks:
            raise Wrong(f"{where}: @short_description or text is missing")
        comment = ""
        for child in node:
            if child.tag is ET.Comment:
                comment = child.text
                continue
            member = read_member(child)
            where = f"{path.name}: {member.name}"
            member.doc = read_doc(where, member.name, comment)
            comment = ""
            if not member.doc.blocks:
                raise Wrong(f"{where}: the text is missing")
            if list(member.doc.arguments) != [name for _, _, name in member.arguments]:
                raise Wrong(f"{where}: the described arguments or their order differ from the declared ones")
            if not all(member.doc.arguments.values()):
                raise Wrong(f"{where}: the text of an argument is missing")
            interface.members.append(member)
        result.append(interface)
    if len(result) != 1:
        raise Wrong(f"{path.name}: the file must contain exactly one interface")
    return result[0]


def read_all(root=ROOT):
    files = sorted(p.stem for p in (root / "dbus").glob("*.xml"))
    if files != sorted(INTERFACES):
        raise Wrong(f"dbus/*.xml: {files}, not {sorted(INTERFACES)}")
    return [read_xml(root / "dbus" / f"{name}.xml") for name in INTERFACES]


def c_fields(text):
    """The arguments of a macro: strings, joined where C joins them, and words."""
    fields = []
    for part in re.findall(r'(?:"(?:[^"\\]|\\.)*"\s*)+|[\w.]+', text):
        if part.startswith('"'):
            part = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', part)).replace('\\"', '"')
        fields.append(part)
    return fields


def uncomment(text):
    return re.sub(r"/\*.*?\*/", "", text, flags=re.S)


def macro_calls(text, name):
    """The text between the brackets of each call of a macro."""
    for match in re.finditer(rf"\b{name}\(", text):
        depth, i, quoted = 1, match.end(), False
        while depth:
            c = text[i]
            if c == "\\":
                i += 1
            elif c == '"':
                quoted = not quoted
            elif not quoted:
                depth += {"(": 1, ")": -1}.get(c, 0)
            i += 1
        yield text[match.end() : i - 1]


@dataclass
class Error:
    id: str
    name: str
    exit_status: int
    text: str


def read_errors(root=ROOT):
    source = uncomment((root / "daemon/base/error.h").read_text())
    table = re.search(r"#define VGPUD_ERRORS\(X\)(.*?[^\\])\n", source, re.S).group(1)
    errors = []
    for call in macro_calls(table.replace("\\\n", "\n"), "X"):
        identifier, name, _errno, status, text = c_fields(call)
        errors.append(Error(identifier, "org.vgpud1.Error." + name, int(status), text))
    if not errors:
        raise Wrong("daemon/base/error.h: there is no table of errors")
    return errors


@dataclass
class Hint:
    identifier: str  # "ENABLE_VFS"
    id: str  # "enable-vfs"
    text: str
    client: bool  # vgpuctl alone gives the hint


def read_hints(root=ROOT):
    source = uncomment((root / "daemon/base/hint.h").read_text())
    hints = []
    for macro in ("VGPUD_HINTS", "VGPUD_CLIENT_HINTS"):
        table = re.search(rf"#define {macro}\(X\)(.*?[^\\])\n", source, re.S)
        if not table:
            raise Wrong(f"daemon/base/hint.h: there is no table {macro}")
        for call in macro_calls(table.group(1).replace("\\\n", "\n"), "X"):
            hints.append(Hint(*c_fields(call), client=macro == "VGPUD_CLIENT_HINTS"))
    return hints


@dataclass
class Action:
    id: str
    name: str
    any: str
    inactive: str
    active: str
    description: str
    message: str


def read_actions(root=ROOT):
    source = uncomment((root / "policy/actions.def").read_text())
    actions = [Action(*c_fields(call)) for call in macro_calls(source, "VGPUD_ACTION")]
    if not actions:
        raise Wrong("policy/actions.def: there is no table of actions")
    return actions
