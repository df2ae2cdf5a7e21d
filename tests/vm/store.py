# SPDX-License-Identifier: LGPL-2.1-or-later
"""The cache of the guest's parts on this machine, and their stamps.

The cache is below $XDG_CACHE_HOME/vgpud-vm (~/.cache/vgpud-vm):

    work/       files of the build only: apt's lists, the unpacked base, the kernels' modules
    image/      the guest: root.qcow2, kernels.json, vmlinux-K and initrd-K.img for each kernel K
    states/     saved, booted machines: NAME.zst (memory and devices) and NAME.qcow2 (its disk layer)
    qemu/       a newer QEMU than the distribution's own, unpacked
    system/     a root file system with the packages to build and to test with, see tests/vm/enter

The names of the parts of another release than Debian 12 end in its suite: image-trixie/, work/base-trixie/.
The stamp of a part is the hash of its inputs; a part with a wrong stamp is stale and made again. The stamp is
written last, so that an interrupted build repeats the part.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import typing
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vgpud-vm"
WORK = CACHE / "work"
STATES = CACHE / "states"
NEWER_QEMU = CACHE / "qemu"
GUEST = Path(__file__).resolve().parent / "guest"


class Release(typing.NamedTuple):
    """A release of Debian that a guest can have."""

    number: str
    suite: str
    suffix: str  # of the names of kernels and of parts of the cache

    @property
    def image(self):
        return CACHE / f"image{self.suffix}"

    @property
    def system(self):
        return CACHE / f"system{self.suffix}"


RELEASES = {
    release.number: release for release in (Release("12", "bookworm", ""), Release("13", "trixie", "-trixie"))
}
DEFAULT = RELEASES["12"]


def release_of(kernel):
    """The release that has the kernel of this name."""
    return next((it for it in RELEASES.values() if it.suffix and kernel.endswith(it.suffix)), DEFAULT)


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
    """The inputs' hash of a part, or "" if there is no complete part."""
    try:
        return (CACHE / "stamps" / name).read_text()
    except FileNotFoundError:
        return ""


@contextlib.contextmanager
def making(name, value, *dependents):
    """Context of making a part: deletes the stamps of the part and of its dependents first, and writes the part's stamp
    only on success."""
    folder = CACHE / "stamps"
    folder.mkdir(parents=True, exist_ok=True)
    for part in (name, *dependents):
        (folder / part).unlink(missing_ok=True)
    yield
    (folder / name).write_text(value)


@contextlib.contextmanager
def lock(name="lock", shared=False):
    """Hold a lock of the cache: exclusive for builders, shared for runs."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / name, "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield


def image_id(release):
    """The hash of the image's contents, or "" when there is no whole image."""
    return (release.image / "id").read_text() if stamp(f"image{release.suffix}") else ""


def kernels(release=DEFAULT):
    """{name: facts} of the kernels in the image, oldest first; names are "6.1", "6.12", "6.12-trixie". Empty before
    the first build."""
    try:
        return json.loads((release.image / "kernels.json").read_text())
    except FileNotFoundError:
        return {}
