# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the checks share: the tree they look at, and the way they complain.

A check is a program: `CHECK [--root TREE] …`, which prints one line per complaint and exits with 1 if there was any.
--root is for test-checks.py, which breaks copies of the tree on purpose."""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

sys.path.insert(0, str(HERE.parent.parent / "dbus"))


def options(description, *arguments):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--root", type=Path, default=HERE.parent.parent, help="the tree to look at")
    for name, text in arguments:
        parser.add_argument(name, type=Path, help=text)
    return parser.parse_args()


def finish(complaints):
    for complaint in complaints:
        print(complaint)
    sys.exit(1 if complaints else 0)


def source_files(root):
    """What git knows or would take; in a tree without git, everything outside of build folders. Relative paths."""
    if (root / ".git").exists():
        command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split("\0")
        paths = {Path(name) for name in names if name}
    else:
        paths = {p.relative_to(root) for p in root.rglob("*")}
        paths = {p for p in paths if not p.parts[0].startswith("build") and "__pycache__" not in p.parts}
    return sorted(p for p in paths if (root / p).is_file() and not (root / p).is_symlink())
