# SPDX-License-Identifier: LGPL-2.1-or-later
"""The saved machines: one booted machine per kernel, and one per kernel and recently installed tree.

The name of a saved machine contains a hash of all its inputs. So a stale machine is never resumed; _forget() deletes it."""

import contextlib
import fcntl
import os
import stat
import tarfile
import tempfile
from pathlib import Path

import machine
import store

# Number of installed trees to keep per kernel.
REMEMBERED = 3

# Run once in the booted guest before saving: wait until all services have started, start the services that every case
# needs, and read the files that cases read, so that the page cache holds them.
PRIME = """
set -e
state=$(systemctl is-system-running --wait) || {
    echo "the guest is $state" >&2
    systemctl --failed --no-legend --plain >&2
    exit 1
}
udevadm settle
systemctl start polkit.service
mount -t 9p -o trans=virtio,version=9p2000.L share /mnt
umount /mnt
busctl list >/dev/null
journalctl -n 1 >/dev/null
jq -n 1 >/dev/null
setpriv --reuid alice --regid alice --init-groups true
cd "/usr/lib/modules/$(uname -r)"
cat updates/*.ko $(find kernel -name '*vfio*.ko*' -o -name 'mdev.ko*') >/dev/null
modprobe --show-depends mdpy >/dev/null
udevadm settle
sync
"""

# Unpacks a tree and does what a package's maintainer script would. A tree may have folders where Debian has
# links (/lib).
INSTALL = """
set -e
cd /mnt/share
tar -x -f tree.tar -C / --keep-directory-symlink --no-same-owner --preserve-permissions
has() { grep -q -E "^($1)" names; }
! has 'usr/lib/sysusers.d/' || systemd-sysusers
! has 'usr/lib/tmpfiles.d/' || systemd-tmpfiles --create
! has '(usr/)?lib/udev/' || udevadm control --reload
! has 'usr/lib/systemd/catalog/' || journalctl --update-catalog
! has '.*\\.so' || ldconfig
! has '(usr/|etc/).*systemd/system/' || systemctl daemon-reload
busctl -q call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig
# Read all installed files into the page cache, so that a case does not wait for the disk.
while read -r name; do [ ! -f "/$name" ] || cat "/$name" >/dev/null; done <names
udevadm settle
cd /
sync
"""


def _files(name):
    return store.STATES / f"{name}.zst", store.STATES / f"{name}.qcow2"


def _whole(name):
    return all(file.exists() for file in _files(name))


def _make(guest, what, script, name):
    """Runs a script in a guest and saves the guest under a name."""
    said = []
    if guest.run(["/bin/sh", "-c", script], said.append, said.append) != 0:
        raise machine.MachineError(f"{what} failed in the guest:\n{b''.join(said).decode(errors='replace')}")
    guest.save(name)


def booted(kernel):
    """The name of the saved machine after booting this kernel; made if missing."""
    release = store.release_of(kernel)
    if not store.image_id(release) or kernel not in store.kernels(release):
        known = ", ".join(name for it in store.RELEASES.values() for name in store.kernels(it)) or "none"
        raise machine.MachineError(
            f"there is no guest with kernel {kernel} (built: {known}); tests/vm/build makes it"
        )
    name = f"{kernel}-{store.digest(store.image_id(release), machine.fingerprint(), PRIME)[:16]}"
    with store.lock(f"state-{kernel}.lock"):
        if not _whole(name):
            with machine.Machine(kernel, timeout=300) as guest:
                _make(guest, "a primed guest", PRIME, name)
            _forget(kernel, name)
    return name


def _hash_tree(tree):
    """The hash of a tree's names, modes, links and contents, without owners and times."""
    parts = []
    for folder, folders, files in os.walk(tree):
        folders.sort()
        for entry in sorted(folders + files):
            path = Path(folder) / entry
            mode = path.lstat().st_mode
            parts += [str(path.relative_to(tree)), oct(mode)]
            if stat.S_ISLNK(mode):
                parts.append(os.readlink(path))
            elif stat.S_ISREG(mode):
                parts.append(path)
    if not parts:
        raise machine.MachineError(f"{tree}: empty tree")
    return store.digest(*parts)


def installed(kernel, tree):
    """The name of the saved machine with this kernel and a `meson install --destdir` tree installed."""
    tree = Path(tree)
    if not tree.is_dir():
        raise machine.MachineError(f"{tree}: no such folder")
    base = booted(kernel)
    name = f"{base}+{store.digest(_hash_tree(tree), INSTALL)[:16]}"
    with store.lock(f"state-{kernel}.lock"):
        if not _whole(name):
            with tempfile.TemporaryDirectory(prefix="vgpud-vm-tree-") as share:
                _pack(tree, Path(share))
                with machine.Machine(kernel, state=base, folders={"share": share}) as guest:
                    _make(guest, "the installation", INSTALL, name)
            _forget(kernel, base)
        os.utime(_files(name)[0])
    return name


def _pack(tree, share):
    def owned_by_root(info):
        info.uid = info.gid = 0
        info.uname = info.gname = "root"
        return info

    with tarfile.open(share / "tree.tar", "w") as archive:
        for entry in sorted(tree.iterdir()):
            archive.add(entry, entry.name, filter=owned_by_root)
    with tarfile.open(share / "tree.tar") as archive:
        (share / "names").write_text("\n".join(archive.getnames()) + "\n")


def _forget(kernel, base):
    """Delete this kernel's stale or long unused saved machines, unless a running guest might need one."""
    with contextlib.suppress(BlockingIOError), open(store.CACHE / "lock", "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        mine = [path for path in store.STATES.glob(f"{kernel}-[0-9a-f]*.zst") if path.stem != base]
        mine.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        current = [path for path in mine if path.name.startswith(f"{base}+")]
        for path in set(mine) - set(current[:REMEMBERED]):
            for part in _files(path.name.removesuffix(".zst")):
                part.unlink(missing_ok=True)
