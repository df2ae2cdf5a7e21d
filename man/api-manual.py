#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fills in org.vgpud1.5.rst.in: the interfaces from dbus/*.xml, the errors and hints from daemon/base, the actions from
policy/actions.def, and the details of calls from the comment in policy/org.vgpud1.rules.example.

api-manual.py TEMPLATE OUTPUT KEY=VALUE…: each @KEY@ of the template becomes VALUE."""

import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "dbus"))

import api  # noqa: E402

DEFAULTS = {
    "no": "never",
    "yes": "allowed",
    "auth_self": "after the user's own password",
    "auth_self_keep": "after the user's own password, kept for a while",
    "auth_admin": "after an administrator's password",
    "auth_admin_keep": "after an administrator's password, kept for a while",
}
CHANGES = {"const": "constant", "false": "not announced", "invalidates": "announced without its value", "true": ""}
# Texts of the argument "options" that the manual leaves out.
PLAIN_OPTIONS = ("none", "only error_details", "see below")


def escape(text):
    """Escape characters that are special in reStructuredText."""
    return re.sub(r"([\\*_`|])", r"\\\1", text)


def bold(text):
    return f"**{text}**"


def wrap(text, indent=""):
    return textwrap.fill(text, 110, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def definition(term, text, indent=""):
    return f"{indent}{term}\n{wrap(text, indent + '    ')}\n"


def blocks(doc, indent=""):
    for kind, value in doc.blocks:
        if kind == "text":
            yield wrap(escape(value), indent) + "\n"
            continue
        for key, type_, text in value:
            yield definition(f"*{escape(key)}* ({type_})", escape(text), indent)


def signature(member):
    def part(direction):
        return ", ".join(f"{type_} *{escape(name)}*" for d, type_, name in member.arguments if d == direction)

    if member.kind == "property":
        notes = [member.type] + [n for n in [CHANGES[member.emits]] if n]
        return f"{bold(member.name)} ({', '.join(notes)})"
    if member.kind == "signal":
        return f"{bold(member.name)} ({part('')})"
    result = f" → ({part('out')})" if part("out") else ""
    return f"{bold(member.name)} ({part('in')}){result}"


def describe(member, since):
    indent = "    "
    yield signature(member)
    texts = list(blocks(member.doc, indent))
    for name, text in member.doc.arguments.items():
        if name != "options" or text not in PLAIN_OPTIONS:
            texts.append(definition(f"*{escape(name)}*", escape(text), indent))
    if member.kind == "method":
        # Put the arguments after the text, but before the list of options, which is a part of the text.
        count = len([n for n, t in member.doc.arguments.items() if n != "options" or t not in PLAIN_OPTIONS])
        if count:
            lead = next((i for i, (kind, value) in enumerate(member.doc.blocks) if value == "Options:"), len(member.doc.blocks))
            position = sum(1 if k == "text" else len(v) for k, v in member.doc.blocks[:lead])
            texts[position:position] = texts[-count:]
            del texts[-count:]
        action = member.annotations.get(api.ACTION, "none")
        if action != "none":
            names = " or ".join(bold(a) for a in action.split())
            texts.append(wrap(f"Action: {names}", indent) + "\n")
    if member.doc.since != since:
        texts.append(wrap(f"Since version {member.doc.since}.", indent) + "\n")
    yield "\n".join(texts)


def interfaces():
    for interface in api.read_all():
        title, short = interface.name, interface.doc.arguments["short_description"]
        yield f"{title}\n{'=' * len(title)}\n"
        yield wrap(escape(sentence(short)) + ".") + "\n"
        yield from blocks(interface.doc)
        for kind, heading in (("method", "Methods"), ("signal", "Signals"), ("property", "Properties")):
            members = [m for m in interface.members if m.kind == kind]
            if members:
                yield f"{heading}\n{'-' * len(heading)}\n"
                for member in members:
                    yield "\n".join(describe(member, interface.doc.since))
        yield wrap(f"All of this since version {interface.doc.since}, unless a member says otherwise.") + "\n"


def sentence(text):
    """Begin the text with a capital, except if it begins with a name."""
    return text if text.startswith(("vgpud ", "polkit")) else text[0].upper() + text[1:]


def errors():
    for error in api.read_errors():
        yield definition(
            bold(escape(error.name)), f"{escape(sentence(error.text))} (exit status {error.exit_status})."
        )


def hints(client):
    for hint in api.read_hints():
        if hint.client == client:
            yield definition(bold(hint.id), f"{escape(sentence(hint.text))}.")


def actions():
    for action in api.read_actions():
        others = " or ".join(DEFAULTS[d] for d in sorted({action.any, action.inactive}))
        text = f"In the active session: {DEFAULTS[action.active]}; elsewhere: {others}."
        if DEFAULTS[action.active] == others:
            text = f"Everywhere: {others}."
        yield definition(bold(action.name), f"{escape(action.description)}. {text}")


def details():
    lines = (ROOT / "policy/org.vgpud1.rules.example").read_text().splitlines()
    for line in lines:
        match = re.match(r"//   (\w+) +(\S.*?)  +(\S.*)$", line)
        if match:
            key, text, where = match.groups()
            where = "of every action" if where == "all actions" else f"of {where}"
            yield definition(f"*{key}*", escape(f"{text} ({where})"))


def main():
    template, output, *values = sys.argv[1:]
    fill = dict(value.split("=", 1) for value in values)
    fill.update(
        INTERFACES="\n".join(interfaces()), ERRORS="\n".join(errors()), ACTIONS="\n".join(actions()), DETAILS="\n".join(details()),
        HINTS="\n".join(hints(client=False)), CLIENT_HINTS="\n".join(hints(client=True)),
    )  # fmt: skip
    text = re.sub(r"@([A-Z_]+)@", lambda match: fill[match.group(1)], Path(template).read_text())
    Path(output).write_text(text)


main()
