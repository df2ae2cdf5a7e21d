#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checks every #include against the order of folders: a folder uses only lower folders and the libraries named for
it."""

import re

import common

# Groups of lower folders, for the entries of LAYERS. "FOLDER" allows the headers directly in the folder, "FOLDER/x.h" one header.
CONTRACT = ["base", "drivers-glue/io", "drivers-glue"]
BACK_END = CONTRACT + ["drivers-glue/vfio", "drivers-glue/vf"]
DAEMON = CONTRACT + ["policy", "daemon/forward.h"]
CLI = ["base", "dbus/bus-names.h", "cli/arguments.h"]

# The order from low to high: each folder, the other headers allowed there, the libraries allowed there.
LAYERS = {
    "daemon/base": ([], ["glib", "sd-journal", "sd-daemon", "sd-id128"]),
    # the back ends: shared code first; no vendor's folder knows another vendor's
    "drivers-glue/io": (["base"], ["glib"]),
    "drivers-glue": (["base", "drivers-glue/io"], ["glib"]),
    "drivers-glue/vfio": (CONTRACT, ["glib"]),
    "drivers-glue/vf": (CONTRACT + ["drivers-glue/vfio"], ["glib"]),
    "drivers-glue/sriov": (BACK_END, ["glib"]),
    "drivers-glue/intel": (BACK_END + ["drivers-glue/sriov/provider.h"], ["glib"]),
    "drivers-glue/amd": (BACK_END + ["drivers-glue/sriov/provider.h"], ["glib"]),
    "drivers-glue/nvidia": (BACK_END, ["glib"]),
    # NVIDIA's mdev driver reports no capacity: nvidia/ computes it
    "drivers-glue/mdev": (BACK_END + ["drivers-glue/nvidia"], ["glib"]),
    # pure functions
    "policy": (["base"], ["glib"]),
    # the daemon: files on disk, the model, the work in progress, the requests
    "daemon/store": (DAEMON, ["glib", "json-glib", "sd-id128"]),
    "daemon/model": (DAEMON + ["daemon/store"], ["glib", "sd-event", "sd-id128"]),
    "daemon/work": (DAEMON + ["daemon/store", "daemon/model"], ["glib", "sd-event", "sd-id128"]),
    "daemon/discovery": (
        DAEMON + ["daemon/store", "daemon/model", "daemon/work"],
        ["glib", "sd-event", "sd-id128", "libudev"],
    ),
    "daemon/requests": (
        DAEMON + ["daemon/store", "daemon/model", "daemon/work", "daemon/discovery"],
        ["glib", "sd-event", "sd-id128"],
    ),
    "daemon/definitions": (
        DAEMON + ["daemon/store", "daemon/model", "daemon/work", "daemon/requests"],
        ["glib", "sd-event", "sd-id128"],
    ),
    "daemon/converge": (
        DAEMON + ["daemon/store", "daemon/model", "daemon/work", "daemon/requests", "daemon/definitions"],
        ["glib", "sd-event", "sd-id128"],
    ),
    "daemon": (
        DAEMON
        + ["daemon/store", "daemon/model", "daemon/work", "daemon/discovery", "daemon/requests", "daemon/definitions", "daemon/converge"],
        ["glib", "sd-event", "sd-id128"],
    ),
    "dbus/admission": (["base"], ["glib", "sd-event", "sd-bus"]),
    "dbus/message": (["base", "drivers-glue", "dbus/bus-names.h"], ["glib", "sd-bus"]),
    "dbus": (
        DAEMON + ["dbus/admission", "dbus/message"] + ["daemon/store", "daemon/model", "daemon/work", "daemon/requests", "daemon/definitions", "daemon/converge", "daemon"],
        ["glib", "sd-event", "sd-id128", "sd-bus"],
    ),
    # the client
    "cli/output": (CLI, ["glib", "sd-event", "sd-id128", "sd-bus"]),
    "cli/host": (CLI + ["cli/output"], ["glib", "sd-event", "sd-id128", "sd-bus"]),
    "cli/client": (CLI + ["cli/output", "cli/host"], ["glib", "sd-event", "sd-id128", "sd-bus"]),
    "cli/verbs": (CLI + ["cli/output", "cli/host", "cli/client"], ["glib", "sd-event", "sd-id128", "sd-bus"]),
    "cli": (
        CLI + ["cli/output", "cli/host", "cli/client", "cli/verbs"],
        ["glib", "sd-event", "sd-id128", "sd-bus"],
    ),
}
# Exceptions for single files: more headers, more libraries, and the reason.
EXCEPTIONS = {
    "daemon/main.c": (["dbus"], ["sd-daemon", "sd-bus"], "puts the daemon and its bus together"),
    "drivers-glue/registry.c": (["drivers-glue/vf"], [], "puts the back ends together"),
    "drivers-glue/sriov/sriov.c": (
        ["drivers-glue/amd/gim.h", "drivers-glue/intel/i915.h", "drivers-glue/intel/xe.h"],
        [],
        "holds the table of providers",
    ),
}
LIBRARIES = [
    (r"glib\.h|glib-unix\.h", "glib"),
    (r"(gio|glib-object|gobject|gmodule)\b.*", "gobject"),
    (r"json-glib/.*", "json-glib"),
    (r"libudev\.h", "libudev"),
    (r"systemd/(sd-[a-z0-9]+?)(-vtable|-protocol)?\.h", None),  # the name in the pattern
    (r"systemd/.*|libvirt/.*|polkit/.*|gudev/.*", "library of another kind"),
]


def library_of(header):
    for pattern, name in LIBRARIES:
        match = re.fullmatch(pattern, header)
        if match:
            return name or match.group(1)
    return None  # the C library


def header_path(name):
    """The path of a header that is included as name."""
    return "daemon/" + name if name.startswith("base/") else name


def header_name(path):
    """The name by which an #include names the header at a path."""
    return str(path).removeprefix("daemon/") if path.is_relative_to("daemon/base") else str(path)


def is_allowed(header, entries):
    return any(header == entry or header.rsplit("/", 1)[0] == entry for entry in entries)


def check_file(root, path, complaints):
    layer = str(path.parent)
    entries, libraries = LAYERS[layer]
    more_entries, more_libraries, _ = EXCEPTIONS.get(str(path), ([], [], None))
    entries = [header_name(path.parent)] + entries + more_entries
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
            if not (root / header_path(ours)).is_file():
                complaints.append(f'{where}: "{ours}" must be named from the top, with its folder')
            elif not is_allowed(ours, entries):
                complaints.append(f'{where}: "{ours}" is not below {layer}, which may use {", ".join(entries)}')
        else:
            library = library_of(theirs)
            if library and library not in libraries + more_libraries:
                complaints.append(f"{where}: <{theirs}> is not for {layer}")
    own = path.with_suffix(".h")
    if path.suffix == ".c" and (root / own).is_file() and first != header_name(own):
        complaints.append(f'{path}: its own header "{header_name(own)}" must be the first, to show that it stands alone')


def check_table(files):
    """Faults of the tables above: a rule for a missing file, a circle in the order, an exception without a reason."""
    folders = {str(path.parent) for path in files}
    for layer in LAYERS:
        if layer not in folders:
            yield f"layers.py: there is no folder {layer}"
    for path, (_, _, reason) in EXCEPTIONS.items():
        if path not in map(str, files):
            yield f"layers.py: there is no file {path}"
        if not reason:
            yield f"layers.py: the exception for {path} has no reason"
    below = []
    for layer, (entries, _) in LAYERS.items():
        for entry in entries:
            if header_path(entry + "/").rstrip("/") not in below and not entry.endswith(".h"):
                yield f"layers.py: {layer} uses {entry}, which is not below it"
        below.append(layer)


def main():
    root = common.options(__doc__).root
    tops = {layer.split("/")[0] for layer in LAYERS}
    files = [p for p in common.source_files(root) if p.suffix in (".c", ".h", ".def") and p.parts[0] in tops]
    complaints = list(check_table(files))
    for path in files:
        if str(path.parent) not in LAYERS:
            complaints.append(f"{path}: layers.py has no rule for the folder {path.parent}")
            continue
        check_file(root, path, complaints)
        if path.suffix == ".h" and not re.search(r"^#pragma once$", (root / path).read_text(), re.M):
            complaints.append(f"{path}: no #pragma once")
    common.finish(complaints)


if __name__ == "__main__":
    main()
