# SPDX-License-Identifier: LGPL-2.1-or-later
"""vgpuctl and mdevctl on a real kernel: in the guest of tests/vm, with the kernel's sample driver mdpy, and the guest's own
systemd, bus, udev and mdevctl. The guest is emulated, so times are about ten times those of real hardware; compare ratios."""

import pathlib
import statistics
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests" / "vm"))

import machine  # noqa: E402  pylint: disable=wrong-import-position
import states  # noqa: E402  pylint: disable=wrong-import-position
import store  # noqa: E402  pylint: disable=wrong-import-position
import system  # noqa: E402  pylint: disable=wrong-import-position

ROUNDS_MIN = 20
PARENT = "mdpy"
TYPE = "mdpy-hd"
DEVICE = f"/sys/class/mdev_bus/{PARENT}"
UUIDS = {name: f"{digit * 8}-{digit * 4}-4{digit * 3}-8{digit * 3}-{digit * 12}"
         for name, digit in (("raw", "1"), ("ours", "2"), ("theirs", "3"), ("connected", "4"))}
COMMANDS = {
    "raw-create": ["=write", f"{DEVICE}/mdev_supported_types/{TYPE}/create", UUIDS["raw"]],
    "raw-destroy": ["=write", f"{DEVICE}/{UUIDS['raw']}/remove", "1"],
    "ours-create": ["vgpuctl", "create", "--type", TYPE, "--gpu", PARENT, "--uuid", UUIDS["ours"]],
    "ours-destroy": ["vgpuctl", "destroy", UUIDS["ours"]],
    "theirs-create": ["mdevctl", "start", "-u", UUIDS["theirs"], "-p", PARENT, "-t", TYPE],
    "theirs-destroy": ["mdevctl", "stop", "-u", UUIDS["theirs"]],
    "connected-create": ["=create", PARENT, TYPE, UUIDS["connected"]],
    "connected-destroy": ["=destroy", UUIDS["connected"]],
}

# bench-measure begins each command when vgpud, the bus and udev are idle. The last line of the output names the release of
# the kernel and the version of mdevctl.
SCRIPT = f"""
set -e
cp /mnt/share/bench-measure /run/bench-measure
modprobe {PARENT}
systemctl restart vgpud
main_pid() {{ systemctl show --value -p MainPID "$1"; }}
/run/bench-measure rounds "$1" "$(main_pid vgpud)" "$(main_pid dbus)" "$(main_pid systemd-udevd)" </run/vm/commands
echo "= $(uname -r), $(mdevctl --version)"
"""

MEASURE = """
cc -std=gnu17 -O2 -D_GNU_SOURCE -o "$1/bench-measure" tests/bench.d/measure.c $(pkg-config --cflags --libs glib-2.0 libsystemd)
"""


def call(*command):
    """Run a command in the top folder; the benchmark ends when it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    if done.returncode != 0:
        sys.exit(f"bench: {' '.join(words)}: {done.returncode}\n{done.stdout}")


def build(release):
    """Build and install in the release of the guest; return the build folder."""
    folder = TOP / f"build-guest{release.suffix}"

    def inside(*command):
        words = [str(word) for word in command]
        call(*(words if release == store.DEFAULT else system.inside(release, words, [folder])))

    folder.mkdir(exist_ok=True)
    if not (folder / "build.ninja").exists():
        inside("meson", "setup", folder, "-Dbuildtype=release", "-Dmode=release", "-Dtests=false", "-Dman=disabled")
    inside("ninja", "-C", folder)
    inside("meson", "install", "-C", folder, "--no-rebuild", "--quiet", "--destdir", folder / "installed")
    inside("/bin/sh", "-c", MEASURE, "sh", folder)
    return folder


def run(kernel, folder, rounds):
    """Run the rounds in a fresh guest; return (kernel and version of mdevctl, {name: [nanoseconds]})."""
    said, complaints = [], []
    lines = "".join("\t".join((name, *words)) + "\n" for name, words in COMMANDS.items())
    state = states.installed(kernel, folder / "installed")
    with machine.Machine(kernel, state, {"share": folder}, timeout=900) as guest:
        status = guest.run(["/bin/sh", "-c", SCRIPT, "sh", str(rounds)], said.append, complaints.append,
                           files=[("/run/vm/commands", 0o644, lines)])
    if status != 0:
        sys.exit(f"bench: the guest ended with {status}\n{b''.join(complaints).decode(errors='replace')}")
    *found, last = b"".join(said).decode().splitlines()
    samples = {}
    for line in found:
        name, wall, *_ = line.split(" ")
        samples.setdefault(name, []).append(int(wall))
    return last.removeprefix("= "), samples


def measure(number, rounds, row):
    """Add the rows of the guest with this release of Debian."""
    release = store.RELEASES[number]
    try:
        # Both commands do nothing if the packages and the guest are there.
        call("tests/install", "guest")
        call("tests/vm/build", "--debian", number)
        kernel = list(store.kernels(release))[-1]
        where, samples = run(kernel, build(release), max(ROUNDS_MIN, rounds))
    except (machine.MachineError, OSError) as error:
        sys.exit(f"bench: {error}")
    for verb, theirs in (("create", "start"), ("destroy", "stop")):
        raw, ours, other, connected = (statistics.median(samples[f"{who}-{verb}"]) / 1e6
                                       for who in ("raw", "ours", "theirs", "connected"))
        ratio, share = ours / other, connected / other
        row(f"{verb} one, real kernel ({where}), by vgpuctl", ours, other,
            f"{ratio:.2f} of the time of mdevctl {theirs}; {(ours - raw) / (other - raw):.2f} if both times are taken without "
            f"the bare write ({raw:.2f} ms)", "at most 1.1", ratio <= 1.1)
        row(f"{verb} one, real kernel ({where}), by a client that stays connected", connected, other,
            f"{share:.2f} of the time of mdevctl {theirs}; {(connected - raw) / (other - raw):.2f} if both times are taken "
            "without the bare write", "at most 0.8", share <= 0.8)
