#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compares the settings in daemon/store/config.c with the manual, the example and the comment of config.h, and the
ranges of numbers with the manual."""

import re

import common


def keys_of_code(text):
    """The set of (section, key) in config.c; "gpu" stands for all sections of GPUs."""
    rows = re.findall(r'^ *\{ (NULL|"\w+"), "([\w-]+)", config_set_\w+, offsetof', text, re.M)
    return {("gpu" if section == "NULL" else section.strip('"'), key) for section, key in rows}


def ranges_of_code(text):
    """Maps (section, key) in config.c to (min, max), or to None for a number without a range."""
    rows = re.findall(r'\{ (NULL|"\w+"), "([\w-]+)", config_set_(usec|count|number), offsetof\([^)]*\)(?:,\s*"([^"]+)",\s*"([^"]+)")? \}',
                      text)
    return {("gpu" if section == "NULL" else section.strip('"'), key): (low, high) if low else None
            for section, key, _, low, high in rows}


def ranges_of_manual(text):
    """Maps (section, key) to (min, max), from the text "*MIN* to *MAX*" in the paragraph below the key."""
    found = {}
    for part in re.split(r"^(?=\[[\w ]+\]$)", text, flags=re.M)[1:]:
        section = re.match(r"\[(\w+)", part).group(1)
        for key, body in re.findall(r"^\*([\w-]+)=[^\n]*\n((?:    .*\n|\n)+)", part, re.M):
            if stated := re.search(r"\*(-?\w+)\*\s+to\s+\*(-?\w+)\*", body):
                found[section, key] = stated.groups()
    return found


def keys_of_file(text, section_line, key_line):
    found, section = set(), None
    for line in text.splitlines():
        if match := re.match(section_line, line):
            section = match.group(1).split()[0]
        elif section and (match := re.match(key_line, line)):
            found.add((section, match.group(1)))
    return found


FILES = {
    "man/vgpud.conf.5.rst": (r"\[([\w ]+)\]$", r"\*([\w-]+)="),
    "examples/vgpud.conf": (r"\[([^]]+)\]$", r"#([\w-]+)="),
    "daemon/store/config.h": (r" \*     \[([^]]+)\]", r" \*     ([\w-]+)="),
}


def main():
    root = common.options(__doc__).root
    complaints = []
    code = (root / "daemon/store/config.c").read_text()
    known = keys_of_code(code)
    stated = ranges_of_manual((root / "man/vgpud.conf.5.rst").read_text())
    for (section, key), limits in sorted(ranges_of_code(code).items()):
        if not limits:
            complaints.append(f"daemon/store/config.c: [{section}] {key}= has no range")
        elif stated.get((section, key)) != limits:
            complaints.append(f"man/vgpud.conf.5.rst: [{section}] {key}= does not say \"{limits[0]} to {limits[1]}\"")
    if not known:
        complaints.append("daemon/store/config.c: there are no settings")
    for name, (section_line, key_line) in FILES.items():
        told = keys_of_file((root / name).read_text(), section_line, key_line)
        for section, key in sorted(known - told):
            complaints.append(f"{name}: [{section}] {key}= is missing")
        for section, key in sorted(told - known):
            complaints.append(f"{name}: daemon/store/config.c has no [{section}] {key}=")
    common.finish(complaints)


main()
