#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compares daemon/base/log-ids.h with systemd/vgpud.catalog, and both with the code."""

import re

import common

FIELDS = {"VGPUD_GPU", "VGPUD_DRIVER", "VGPUD_INSTANCE", "VGPUD_JOB", "VGPUD_REQUESTER", "VGPUD_ACTION", "VGPUD_OBJECT", "VGPUD_SUPPRESSED", "ERRNO"}


def read_ids(root, complaints):
    ids = {}
    for name, value in re.findall(r"^#define (VGPUD_MESSAGE_\w+)\s+(.*)$", (root / "daemon/base/log-ids.h").read_text(), re.M):
        match = re.fullmatch(r'"([0-9a-f]{32})"', value.strip())
        if not match:
            complaints.append(f"log-ids.h: {name} is not 32 hexadecimal digits")
        elif match.group(1) in ids:
            complaints.append(f"log-ids.h: {name} and {ids[match.group(1)]} have the same id")
        else:
            ids[match.group(1)] = name
    if not ids:
        complaints.append("log-ids.h: there are no ids")
    return ids


def read_catalog(root, complaints):
    path = root / "systemd/vgpud.catalog"
    if not path.is_file():
        complaints.append("systemd/vgpud.catalog is missing")
        return {}
    entries = {}
    for entry in re.split(r"^-- ", path.read_text(), flags=re.M)[1:]:
        key, _, text = entry.partition("\n")
        if key in entries:
            complaints.append(f"vgpud.catalog: {key} is there twice")
        header, _, body = text.partition("\n\n")
        if not re.search(r"^Subject: \S", header, re.M) or not body.strip():
            complaints.append(f"vgpud.catalog: {key} has no subject or no text")
        for field in re.findall(r"@(\w+)@", text):
            if field not in FIELDS:
                complaints.append(f"vgpud.catalog: {key}: there is no field {field}")
        entries[key] = text
    return entries


def main():
    root = common.options(__doc__).root
    complaints = []
    ids = read_ids(root, complaints)
    entries = read_catalog(root, complaints)
    code = "".join(
        (root / p).read_text() for p in common.source_files(root) if p.suffix == ".c" and p.parts[0] in ("daemon", "dbus")
    )
    for key, name in ids.items():
        if key not in entries:
            complaints.append(f"vgpud.catalog: no entry for {name} ({key})")
        if not re.search(rf"\b{name}\b", code):
            complaints.append(f"log-ids.h: nothing logs {name}")
    for key in entries:
        if key not in ids:
            complaints.append(f"vgpud.catalog: {key} is no id of log-ids.h")
    common.finish(complaints)


main()
