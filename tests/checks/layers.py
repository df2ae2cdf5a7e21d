#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checks every #include against the layers: a layer knows nothing of the layers above."""

import re

import common

# A layer: the folder, the folders with headers open to the layer, the permitted libraries.
LAYERS = {
    "daemon/base": (["base"], ["glib", "sd-journal", "sd-daemon", "sd-id128"]),
    "drivers-glue": (["base", "drivers-glue"], ["glib"]),
    "policy": (["base", "policy"], ["glib"]),
    "daemon": (["base", "drivers-glue", "policy", "daemon"], ["glib", "sd-event", "sd-id128", "libudev"]),
    "dbus": (["base", "drivers-glue", "policy", "daemon", "dbus"], ["glib", "sd-event", "sd-id128", "sd-bus"]),
    "cli": (["base", "cli", "dbus/bus-names.h"], ["glib", "sd-event", "sd-id128", "sd-bus"]),
}
# A file with other rules than its folder.
FILES = {
    # puts everything together
    "daemon/main.c": (
        ["base", "drivers-glue", "policy", "daemon", "dbus"],
        ["glib", "sd-event", "sd-daemon", "sd-bus"],
    ),
    # the only files that see a library of objects
    "daemon/base/json-util.c": (["base"], ["glib", "json-glib"]),
    "daemon/base/json-util.h": (["base"], ["glib", "json-glib"]),
    "cli/json.c": (["base", "cli"], ["glib", "json-glib"]),
    "cli/json.h": (["base", "cli"], ["glib", "json-glib"]),
}
LIBRARIES = [
    (r"glib\.h|glib-unix\.h", "glib"),
    (r"(gio|glib-object|gobject|gmodule)\b.*", "gobject"),
    (r"json-glib/.*", "json-glib"),
    (r"libudev\.h", "libudev"),
    (r"systemd/(sd-[a-z0-9]+?)(-vtable|-protocol)?\.h", None),  # the folder's own name
    (r"systemd/.*|libvirt/.*|polkit/.*|gudev/.*", "library of another kind"),
]


def folder_of(path):
    for layer in sorted(LAYERS, key=len, reverse=True):
        if path.is_relative_to(layer):
            return layer
    return None


def library_of(header):
    for pattern, name in LIBRARIES:
        match = re.fullmatch(pattern, header)
        if match:
            return name or match.group(1)
    return None  # the C library


def header_path(name):
    """The path of a header that is included as name."""
    return "daemon/" + name if name.startswith("base/") else name


def check_file(root, path, complaints):
    layer = folder_of(path)
    folders, libraries = FILES.get(str(path), LAYERS[layer])
    first = None
    for number, line in enumerate((root / path).read_text().splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>|(\S.*))', line)
        if not match:
            continue
        ours, theirs, macro = match.groups()
        where = f"{path}:{number}"
        first = first or ours or theirs or macro
        if macro:
            complaints.append(f"{where}: an #include must name its file")
        elif ours:
            if not any(ours == f or ours.startswith(f + "/") for f in folders):
                complaints.append(f'{where}: "{ours}" is not for {layer} (folders: {", ".join(folders)})')
            elif not (root / header_path(ours)).is_file():
                complaints.append(f'{where}: "{ours}" must be named from the top, with its folder')
        else:
            library = library_of(theirs)
            if library and library not in libraries:
                complaints.append(f"{where}: <{theirs}> is not for {path if str(path) in FILES else layer}")
    own = path.with_suffix(".h")
    if path.suffix == ".c" and (root / own).is_file():
        name = str(own).removeprefix("daemon/") if layer == "daemon/base" else str(own)
        if first != name:
            complaints.append(f'{path}: its own header "{name}" must be the first, to show that it stands alone')


def main():
    root = common.options(__doc__).root
    complaints = []
    files = [p for p in common.source_files(root) if p.suffix in (".c", ".h", ".def") and folder_of(p)]
    if not files:
        complaints.append(f"{root}: there are no sources")
    for path in files:
        check_file(root, path, complaints)
        if path.suffix == ".h" and not re.search(r"^#pragma once$", (root / path).read_text(), re.M):
            complaints.append(f"{path}: no #pragma once")
    common.finish(complaints)


main()
