#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every source file names the licence in one of the first lines."""

import re

import common

LINE = "SPDX-License-Identifier: LGPL-2.1-or-later"
SUFFIXES = {
    ".c", ".h", ".def", ".py", ".sh", ".bash", ".xml", ".policy", ".conf", ".service", ".example", ".in", ".rst", ".catalog", ".yml",
    ".yaml", ".rules",
}  # fmt: skip
NAMES = {"meson.build", "meson_options.txt", ".clang-format", ".clang-tidy"}
DATA = re.compile(r"tests/(fuzz/corpus|golden|[\w-]+/(data|fixtures|golden))/")


def is_source(root, path):
    if DATA.match(str(path)):
        return False
    if path.suffix in SUFFIXES or path.name in NAMES:
        return True
    with open(root / path, "rb") as f:
        return f.read(2) == b"#!"


def main():
    root = common.options(__doc__).root
    complaints = []
    for path in common.source_files(root):
        if not is_source(root, path):
            continue
        with open(root / path, encoding="utf-8") as f:
            head = [f.readline() for _ in range(5)]
        if not any(LINE in line for line in head):
            complaints.append(f"{path}: '{LINE}' is not in its first five lines")
    common.finish(complaints)


main()
