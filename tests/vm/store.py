# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where the guest is kept on this machine, and how its parts are known to be current.

Everything lives below $XDG_CACHE_HOME/vgpud-vm (~/.cache/vgpud-vm):

    work/       what only the build needs: apt's lists, the unpacked base, the kernels' modules
    image/      the guest: root.qcow2, kernels.json, vmlinux-K and initrd-K.img for each kernel K
    states/     saved, booted machines: NAME.zst (memory and devices) and NAME.qcow2 (its disk layer)
    qemu/       a newer QEMU than the distribution's own, unpacked

A part that is made from other things carries the hash of those things as its stamp; a part whose stamp does
not match is made again. The stamp is written last, so a build that was cut off starts that part anew.
"""

import contextlib
import fcntl
import hashlib
import json
import os
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vgpud-vm"
WORK = CACHE / "work"
IMAGE = CACHE / "image"
STATES = CACHE / "states"
NEWER_QEMU = CACHE / "qemu"
GUEST = Path(__file__).resolve().parent / "guest"


def digest(*parts):
    """One hash of strings, bytes, and files (given as Path)."""
    total = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else part
        data = data.encode() if isinstance(data, str) else data
        total.update(b"%d:" % len(data))
        total.update(data)
    return total.hexdigest()


def stamp(name):
    """What the part called name was made from, or "" when there is no whole one."""
    try:
        return (CACHE / "stamps" / name).read_text()
    except FileNotFoundError:
        return ""


@contextlib.contextmanager
def making(name, value, *dependents):
    """Around the making of a part: its stamp goes first, as do those of the parts made from it, and comes
    back only when all went well."""
    folder = CACHE / "stamps"
    folder.mkdir(parents=True, exist_ok=True)
    for part in (name, *dependents):
        (folder / part).unlink(missing_ok=True)
    yield
    (folder / name).write_text(value)


@contextlib.contextmanager
def lock(name="lock", shared=False):
    """Holds a lock of the cache: builders hold it alone, runs share it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / name, "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield


def image_id():
    """The hash of the image's contents, or "" when there is no whole image."""
    return (IMAGE / "id").read_text() if stamp("image") else ""


def kernels():
    """{name: facts} of the kernels in the image, oldest first; names are "6.1", "6.12". Empty before the
    first build."""
    try:
        return json.loads((IMAGE / "kernels.json").read_text())
    except FileNotFoundError:
        return {}
