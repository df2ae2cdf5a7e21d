#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compares the two tables of daemon/base/hint.h with the code: each hint is given somewhere, and the hints of vgpuctl are
given in cli/ alone. The code cannot give a hint without a row, because the functions that give hints take the enum."""

import re
from collections import defaultdict

import common
import source

import api

TABLE = "daemon/base/hint.h"


def givers(root):
    """Map the name of each enum value, without its prefix, to the files that contain it."""
    found = defaultdict(set)
    for path, text in source.product_files(root, common.source_files(root)):
        for token in source.tokens(text):
            match = re.fullmatch(r"VGPUD_HINT_([A-Z_]+)", token.text)
            if match:
                found[match.group(1)].add(path)
    return found


def compare(hints, found):
    seen = set()
    for hint in hints:
        if hint.id in seen:
            yield f"{TABLE}: two rows have the id {hint.id}"
        seen.add(hint.id)
        if hint.id != hint.identifier.lower().replace("_", "-"):
            yield f"{TABLE}: the id of {hint.identifier} is {hint.id}"
        in_client = {path for path in found[hint.identifier] if path.parts[0] == "cli"}
        others = found[hint.identifier] - in_client
        if hint.client and others:
            yield f"{TABLE}: {min(others)} gives {hint.id}, so it is no hint of vgpuctl alone"
        elif not hint.client and not others:
            yield f"{TABLE}: {'vgpuctl alone' if in_client else 'nothing'} gives {hint.id}"
        elif hint.client and not in_client:
            yield f"{TABLE}: nothing gives {hint.id}"


def main():
    options = common.options(__doc__)
    try:
        hints = api.read_hints(options.root)
    except api.Wrong as e:
        common.finish([str(e)])
    common.finish(list(compare(hints, givers(options.root))))


main()
