# SPDX-License-Identifier: LGPL-2.1-or-later
"""A root file system of another release of Debian, with the packages to build vgpud and to run its suites.
tests/vm/build makes it."""

import subprocess
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
# The root file system has the packages that tests/packages lists for these purposes.
PURPOSES = ("build", "demo", "test", "system")

# Runs a command in a container: some tests need a root that is a mount point. Mounts the sources read-only first, and
# then the folders to write to, which may be below the sources.
ENTER = """
root=$1 sources=$2 git=$3; shift 3
mount --rbind "$root" "$root"
mount --make-rprivate "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs tmpfs "$root/run"
for folder in "$sources" "$git"; do
    mkdir -p "$root$folder"
    mount --bind "$folder" "$root$folder"
    mount -o remount,bind,ro "$root$folder"
done
while [ "$1" != -- ]; do
    mkdir -p "$root$1"
    mount --bind "$1" "$root$1"
    shift
done
shift
directory=$PWD
cd "$root"
pivot_root . old
umount -l /old
cd "$directory"
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb "$@"
"""


def packages():
    """The names of the packages of PURPOSES."""
    found = []
    for line in (TOP / "tests/packages").read_text(encoding="utf-8").splitlines():
        purpose, _, names = line.partition(":")
        if purpose in PURPOSES:
            found += names.split()
    return list(dict.fromkeys(found))


def inside(release, command, writable=()):
    """Return the command line that runs a command in the root of a release, with these folders writable. The command
    starts in the present folder, which must be below the sources or writable."""
    git = subprocess.run(
        ["git", "-c", f"safe.directory={TOP}", "rev-parse", "--path-format=absolute", "--git-common-dir"],
        cwd=TOP,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ).stdout.strip()
    words = [release.system, TOP, git or TOP, *[Path(folder).resolve() for folder in writable], "--", *command]
    return [
        *["unshare", "--mount", "--pid", "--fork", "--kill-child", "--", "/bin/sh", "-euc", ENTER, "sh"],
        *[str(word) for word in words],
    ]
