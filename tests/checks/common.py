# SPDX-License-Identifier: LGPL-2.1-or-later
"""Shared code of the checks: the tree to check, and the form of complaints.

A check is a program: `CHECK [--root TREE] …` prints one line per complaint and exits with 1 after any complaint.
--root serves test-checks.py: the test breaks copies of the tree on purpose."""

import argparse
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

HERE = Path(__file__).resolve().parent

sys.path.insert(0, str(HERE.parent.parent / "dbus"))


def options(description, *arguments, flags=()):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--root", type=Path, default=HERE.parent.parent, help="the tree to check")
    for name, text in arguments:
        parser.add_argument(name, type=Path, help=text)
    for name, text in flags:
        parser.add_argument(name, action="store_true", help=text)
    return parser.parse_args()


# An argument for options().
INTROSPECT = ("introspect", "tests/bus/introspect of the build, or a file with its output")


def introspection(program):
    """The output of tests/bus/introspect as an XML element."""
    if program.suffix == ".xml":
        return ET.fromstring(program.read_text())
    return ET.fromstring(subprocess.run([program], check=True, stdout=subprocess.PIPE, text=True).stdout)


def finish(complaints):
    for complaint in complaints:
        print(complaint)
    sys.exit(1 if complaints else 0)


def source_files(root):
    """Relative paths of the files that git tracks or would add; in a tree without git, all files outside build folders."""
    if (root / ".git").exists():
        command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split("\0")
        paths = {Path(name) for name in names if name}
    else:
        paths = {p.relative_to(root) for p in root.rglob("*")}
        paths = {p for p in paths if not p.parts[0].startswith("build") and "__pycache__" not in p.parts}
    return sorted(p for p in paths if (root / p).is_file() and not (root / p).is_symlink())
