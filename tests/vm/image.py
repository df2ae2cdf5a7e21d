# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes the image of a guest: a Debian root disk with the modules of all kernels, and the boot files of each kernel for
QEMU.

Only Debian packages are used, from the mirrors that this machine's own apt uses, through a private apt configuration.
The machine's package database is not changed. For a newer QEMU, apt reads the list of this machine's installed packages."""

import json
import lzma
import os
import re
import shutil
import struct
import subprocess
import time
from pathlib import Path

import store
import system

# Packages of the guest's user land, without recommended ones.
PACKAGES = """
    systemd-sysv udev dbus polkitd kmod util-linux passwd login
    mdevctl python3 python3-dbus python3-gi jq strace procps pciutils
    libsystemd0 libudev1 libglib2.0-0 libjson-glib-1.0-0 libasan8 libubsan1 libtsan2
""".split()
# By suite of Debian: packages with another name, and additional packages.
RENAMED = {"trixie": {"libglib2.0-0": "libglib2.0-0t64"}}
MORE_PACKAGES = {"trixie": "libvirt-daemon-driver-nodedev libvirt-daemon libvirt-clients".split()}

# The guest's modules; their dependencies are added. Copying the thousands of modules of Debian's kernels would dominate
# the build time. BOOT_MODULES also go into the initial RAM disk.
BOOT_MODULES = "virtio_pci virtio_blk ext4 crc32c_generic crc32c-intel".split()
MODULES = (
    BOOT_MODULES
    + """
    virtio_console virtio_rng 9p 9pnet_virtio autofs4 configfs fuse loop efi_pstore qemu_fw_cfg dmi-sysfs
    vfio vfio_iommu_type1 vfio-pci mdev udmabuf irqbypass bochs vgem pci-stub pci-pf-stub nvme igb igbvf
""".split()
)

# The kernel's own sample mediated drivers: a serial card and two displays. Debian does not build them.
SAMPLES = ["mtty", "mdpy", "mbochs"]

# Units that slow down booting, or that would act on their own while a case runs.
MASKED = """
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer e2scrub_all.timer
    e2scrub_reap.service systemd-tmpfiles-clean.timer systemd-timesyncd.service getty@tty1.service
    serial-getty@ttyS0.service systemd-pstore.service systemd-binfmt.service systemd-firstboot.service
    systemd-repart.service systemd-journal-flush.service systemd-random-seed.service systemd-pcrphase.service
    systemd-pcrphase-sysinit.service systemd-update-utmp.service systemd-update-utmp-runlevel.service
    systemd-machine-id-commit.service systemd-remount-fs.service proc-sys-fs-binfmt_misc.automount
    dev-hugepages.mount dev-mqueue.mount logrotate.timer
""".split()

# Units that must not start at boot, because libvirt's units run mdevctl at each event. A case starts them.
ON_DEMAND = "*virt*"

DISK_SIZE = "2G"
MACHINE_ID = "6d9b1f0e5c3a4b7d8e2f4a6c8b0d1e3f\n"


class BuildError(Exception):
    """The image cannot be made; the text says why and what to do."""


STARTED = time.monotonic()


def log(text):
    print(f"[{time.monotonic() - STARTED:4.0f}s] {text}", flush=True)


def call(*argv, **kwargs):
    """Run a program; show the output only on failure."""
    argv = [str(arg) for arg in argv]
    done = subprocess.run(
        argv,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=kwargs.pop("stderr", subprocess.STDOUT),
        text=True,
        errors="replace",
        **kwargs,
    )
    if done.returncode != 0:
        raise BuildError(f"{' '.join(argv)}\nended with status {done.returncode}:\n{done.stdout[-4000:]}")
    return done.stdout


def shell(script, **kwargs):
    return call("bash", "-euo", "pipefail", "-c", script, **kwargs)


def clear(path):
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


# ---- apt ---------------------------------------------------------------------------------------------------


def sources(suite, *more):
    """Return the lines of sources.list for the component "main" of the suite, of its security suite and of further suites.
    The mirrors are those of this machine's apt. Further suites are on the mirror of the suite."""
    targets = call(
        "apt-get",
        "indextargets",
        "--format",
        "$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(COMPONENT)|$(SIGNED_BY)",
        "Created-By: Packages",
    )
    mirror = {}
    for line in targets.splitlines():
        origin, codename, uri, component, key = line.split("|")
        if origin == "Debian" and component == "main" and codename.partition("-")[2] in ("", "security"):
            # If the source names no key, apt leaves the text "$(SIGNED_BY)".
            key = key if key.startswith("/") else "/usr/share/keyrings/debian-archive-keyring.gpg"
            mirror.setdefault("security" if "-security" in codename else "main", (uri, key))
    if "main" not in mirror:
        raise BuildError(
            "apt knows no Debian mirror here: add one to /etc/apt/sources.list, then run apt-get update"
        )
    names = {"main": [suite, *more], "security": [f"{suite}-security"]}
    return [
        f"deb [signed-by={key}] {uri} {name} main"
        for which, (uri, key) in sorted(mirror.items())
        for name in names[which]
    ]


def network_options():
    """The machine's settings for proxies and the like, in apt's own syntax."""
    dump = call("apt-config", "dump", "--no-empty", "--format", "%F %v%n", "Acquire")
    wanted = re.compile(r"^(Acquire::(?:https?|ftp)::\S*|Acquire::Retries) (.+)$")
    return [f'{found[1]} "{found[2]}";' for found in map(wanted.match, dump.splitlines()) if found]


class Apt:
    """apt-get and apt-cache with private lists and settings; status: a status file of dpkg with the installed packages
    (default: no packages)."""

    def __init__(self, root, suite, *more, status=None):
        self.root = root
        for part in (
            "etc/apt.conf.d",
            "etc/preferences.d",
            "etc/sources.list.d",
            "etc/trusted.gpg.d",
            "state/lists/partial",
            "cache/archives/partial",
        ):
            (root / part).mkdir(parents=True, exist_ok=True)
        (root / "state/status").touch()
        status = status or root / "state/status"
        (root / "etc/sources.list").write_text("\n".join(sources(suite, *more)) + "\n")
        (root / "apt.conf").write_text(
            "\n".join(
                [
                    f'Dir::Etc "{root}/etc";',
                    f'Dir::State "{root}/state";',
                    f'Dir::State::status "{status}";',
                    f'Dir::Cache "{root}/cache";',
                    'APT::Architecture "amd64";',
                    'APT::Sandbox::User "root";',
                    'Acquire::Languages "none";',
                    *network_options(),
                ]
            )
            + "\n"
        )

    def __call__(self, *argv, **kwargs):
        return call(*argv, env={**os.environ, "APT_CONFIG": str(self.root / "apt.conf")}, **kwargs)

    def update(self):
        self("apt-get", "-q", "update", "--error-on=any")

    def show(self, package):
        """(version, [names it depends on]) of the newest version of a package."""
        text = self("apt-cache", "show", "--no-all-versions", package)
        version = re.search(r"^Version: (\S+)", text, re.M)[1]
        depends = re.search(r"^Depends: (.*)", text, re.M)
        return version, [name.split()[0] for name in re.split(r"[,|] *", depends[1])] if depends else []

    def download(self, into, packages):
        """Fetches {name: version}; returns {name: file}."""
        clear(into)
        self(
            "apt-get",
            "-q",
            "download",
            *[f"{name}={version}" for name, version in packages.items()],
            cwd=into,
        )
        return {name: next(into.glob(f"{name}_*.deb")) for name in packages}


def choose_kernels(apt, release):
    """Choose the kernels to build: the release's first kernel and the newest, each as a dictionary."""
    names = apt("apt-cache", "search", "--names-only", r"^linux-image-([0-9.]+-)?amd64$").split("\n")
    metas = [line.split()[0] for line in names if line]
    found = []
    for meta in metas:
        version, depends = apt.show(meta)
        image = next(name for name in depends if name.startswith("linux-image-"))
        version_of_modules = image.removeprefix("linux-image-")
        number = ".".join(version_of_modules.split(".")[:2])
        header_version, headers = apt.show(meta.replace("linux-image", "linux-headers"))
        _, common = apt.show(headers[0])
        found.append(
            {
                "name": f"{number}{release.suffix}",
                "release": version_of_modules,
                "version": version,
                "image": image,
                "headers": headers[0],
                "source": f"linux-source-{number}",
                "packages": {
                    image: version,
                    f"linux-source-{number}": version,
                    headers[0]: header_version,
                    **{
                        package: apt.show(package)[0]
                        for package in common
                        if re.match(r"linux-(headers|kbuild)-", package)
                    },
                },
            }
        )
    found.sort(key=lambda kernel: [int(digits) for digits in kernel["release"].split(".")[:2]])
    if not found:
        raise BuildError(f"the mirror offers no kernel; do its lists belong to Debian {release.number}?")
    return found[:1] + found[1:][-1:]


# ---- kernels -----------------------------------------------------------------------------------------------


def unpack_vmlinux(bzimage, target):
    """Extract the ELF kernel from a bzImage (Documentation/arch/x86/boot.rst). QEMU starts an ELF kernel directly
    (PVH). Without hardware virtualisation, this saves seconds of unpacking."""
    data = bzimage.read_bytes()
    setup_sectors = data[0x1F1] or 4
    offset, length = struct.unpack_from("<II", data, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    payload = data[start : start + length]
    if payload.startswith(b"\xfd7zXZ"):
        elf = lzma.LZMADecompressor().decompress(payload)
    elif payload.startswith(b"\x28\xb5\x2f\xfd"):
        # The last four bytes are the unpacked size, which the decompressor must not see.
        elf = subprocess.run(["zstd", "-dcq"], input=payload[:-4], stdout=subprocess.PIPE, check=True).stdout
    else:
        raise BuildError(f"{bzimage}: packed in a way that is not known here ({payload[:4].hex()})")
    if not elf.startswith(b"\x7fELF"):
        raise BuildError(f"{bzimage}: holds no ELF kernel")
    target.write_bytes(elf)


def build_samples(kernel, debs, work, release):
    """Builds the sample drivers against the kernel's own headers, wherever those were unpacked, with the compiler of
    the kernel's release."""
    tree = clear(work / "headers")
    for name in kernel["packages"]:
        if re.match(r"linux-(headers|kbuild)-", name):
            call("dpkg-deb", "-x", debs[name], tree)
    source = clear(work / "samples")
    call(
        "bash",
        "-euo",
        "pipefail",
        "-c",
        'dpkg-deb --fsys-tarfile "$1" | tar xO --wildcards "./usr/src/linux-source-*.tar.xz" |'
        ' tar xJ -C "$2" --strip-components=3 --wildcards "*/samples/vfio-mdev/*.[ch]"',
        "-",
        debs[kernel["source"]],
        source,
    )
    (source / "Makefile").write_text("obj-m += " + " ".join(f"{name}.o" for name in SAMPLES) + "\n")
    # The headers' Makefile includes its common part by the absolute path of an installation.
    makefile = tree / "usr/src" / kernel["headers"] / "Makefile"
    makefile.write_text(makefile.read_text().replace("/usr/src", f"{tree}/usr/src"))
    # Type information needs pahole and the whole vmlinux, and is unused.
    make = ["make", "-s", "-C", makefile.parent, f"M={source}", "CONFIG_DEBUG_INFO_BTF_MODULES=", "modules"]
    call(*(make if release == store.DEFAULT else system.inside(release, make, [work])))
    call("strip", "--strip-debug", *source.glob("*.ko"))
    return source


def module_files(root, release, names):
    """The files of the modules and their dependencies, in load order; built-in modules have no file."""
    files = []
    for name in names:
        done = subprocess.run(
            ["modprobe", "-d", str(root), "-S", release, "--show-depends", name],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        files += [line.split()[1] for line in done.stdout.splitlines() if line.startswith("insmod ")]
    return [Path(file) for file in dict.fromkeys(files)]


def make_kernel(kernel, apt, release):
    """Leaves root/lib/modules with the wanted modules, and vmlinux, in work/kernel-NAME."""
    version = kernel["release"]
    work = clear(store.WORK / f"kernel-{kernel['name']}")
    debs = apt.download(work / "debs", kernel["packages"])
    call("dpkg-deb", "-x", debs[kernel["image"]], clear(work / "all"))
    unpack_vmlinux(work / f"all/boot/vmlinuz-{version}", work / "vmlinux")
    samples = build_samples(kernel, debs, work, release)

    # The packages of Debian 13 have no /lib, where depmod and modprobe look.
    if not (work / "all/lib").exists():
        (work / "all/lib").symlink_to("usr/lib")
    call("depmod", "-b", work / "all", version)
    whole = work / "all/lib/modules" / version
    kept = clear(work / "root") / "lib/modules" / version
    (kept / "updates").mkdir(parents=True)
    for file in module_files(work / "all", version, MODULES):
        target = kept / file.relative_to(whole)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    for file in samples.glob("*.ko"):
        shutil.copy(file, kept / "updates")
    for file in whole.glob("modules.builtin*"):
        shutil.copy(file, kept)
    shutil.copy(whole / "modules.order", kept)
    call("depmod", "-b", work / "root", version)
    for part in ("all", "headers", "samples", "debs"):
        shutil.rmtree(work / part)


def make_initrd(work, version, target):
    """The smallest RAM disk that finds the root disk: busybox, a handful of modules, one script."""
    tree = clear(work / "initrd")
    for part in ("bin", "dev", "proc", "sys", "root", "modules"):
        (tree / part).mkdir()
    shutil.copy("/bin/busybox", tree / "bin/busybox")
    (tree / "bin/sh").symlink_to("busybox")
    shutil.copy(store.GUEST / "initrd-init", tree / "init")
    os.chmod(tree / "init", 0o755)
    order = []
    for file in module_files(work / "root", version, BOOT_MODULES):
        name = file.name.removesuffix(".xz")
        data = file.read_bytes()
        (tree / "modules" / name).write_bytes(lzma.decompress(data) if file.suffix == ".xz" else data)
        order.append(name)
    if not any(name.startswith("virtio_blk") for name in order):
        raise BuildError(f"kernel {version} has no virtio_blk module")
    (tree / "modules/order").write_text("\n".join(order) + "\n")
    shell(f"find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 | gzip -9 >{target}", cwd=tree)
    shutil.rmtree(tree)


# ---- the root disk -----------------------------------------------------------------------------------------


def packages_of(release):
    renamed = RENAMED.get(release.suite, {})
    return [*[renamed.get(name, name) for name in PACKAGES], *MORE_PACKAGES.get(release.suite, [])]


def make_tree(target, release, variant, packages):
    """Unpack Debian packages into a folder, without recommended packages and without documentation."""
    shutil.rmtree(target, ignore_errors=True)
    unwanted = ("doc", "man", "locale", "info", "lintian")
    call(
        "mmdebstrap",
        "--quiet",
        "--mode=root",
        f"--variant={variant}",
        "--format=directory",
        f"--include={','.join(packages)}",
        '--aptopt=APT::Install-Recommends "false"',
        '--aptopt=Acquire::Languages "none"',
        *[f"--aptopt={line}" for line in network_options()],
        *[f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in unwanted],
        release.suite,
        target,
        *sources(release.suite),
    )


def write(root, path, text, mode=0o644):
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    os.chmod(target, mode)


def make_disk(base, kernels, release):
    """Puts base, modules and the guest's own files together into the folder of the image."""
    root = store.WORK / "root"
    shutil.rmtree(root, ignore_errors=True)
    call("cp", "-a", base, root)
    for kernel in kernels:
        work = store.WORK / f"kernel-{kernel['name']}"
        (root / "usr/lib/modules").mkdir(exist_ok=True)
        call("cp", "-a", work / "root/lib/modules" / kernel["release"], root / "usr/lib/modules/")
    call("chroot", root, "useradd", "--create-home", "--uid", "1000", "--shell", "/bin/bash", "alice")
    units = root / "etc/systemd/system"
    for unit in MASKED:
        (units / unit).symlink_to("/dev/null")
    for link in units.glob(f"*.wants/{ON_DEMAND}"):
        link.unlink()
    write(root, "usr/local/sbin/vm-agent", (store.GUEST / "agent").read_text(), 0o755)
    write(root, "etc/systemd/system/vm-agent.service", (store.GUEST / "agent.service").read_text())
    (units / "multi-user.target.wants").mkdir(exist_ok=True)
    (units / "multi-user.target.wants/vm-agent.service").symlink_to("../vm-agent.service")
    # The journal stays in memory: a case reads it in the same boot, or never.
    write(
        root,
        "etc/systemd/journald.conf.d/vm.conf",
        "[Journal]\nStorage=volatile\nRateLimitBurst=0\nForwardToConsole=no\n",
    )
    write(root, "etc/hostname", "guest\n")
    write(root, "etc/hosts", "127.0.0.1 localhost guest\n")
    write(root, "etc/machine-id", MACHINE_ID)
    write(root, "etc/fstab", "")
    for waste in ("var/cache/apt", "var/lib/apt/lists"):
        shutil.rmtree(root / waste, ignore_errors=True)

    image = clear(release.image)
    raw = image / "root.raw"
    call(
        "mke2fs",
        "-q",
        "-t",
        "ext4",
        "-O",
        "^has_journal",
        "-m",
        "0",
        "-E",
        "lazy_itable_init=1",
        "-d",
        root,
        raw,
        DISK_SIZE,
    )
    call("qemu-img", "convert", "-O", "qcow2", "-c", "-o", "compression_type=zstd", raw, image / "root.qcow2")
    raw.unlink()
    shutil.rmtree(root)
    for kernel in kernels:
        work = store.WORK / f"kernel-{kernel['name']}"
        shutil.copy(work / "vmlinux", image / f"vmlinux-{kernel['name']}")
        make_initrd(work, kernel["release"], image / f"initrd-{kernel['name']}.img")
    facts = {
        kernel["name"]: {"release": kernel["release"], "version": kernel["version"]} for kernel in kernels
    }
    (image / "kernels.json").write_text(json.dumps(facts, indent=2) + "\n")
    # Saved machines depend on the content of the image, not on its sources.
    (image / "id").write_text(store.digest(*sorted(image.glob("[!k]*"))))


# ---- a newer QEMU ------------------------------------------------------------------------------------------


def make_newer_qemu(refresh):
    """Unpack the QEMU of the distribution's backports into the cache: Debian 12's QEMU lacks the device igb. Installed
    packages of this machine are used and stay unchanged."""
    if store.stamp("qemu") and not refresh:
        return
    if call("qemu-system-x86_64", "-device", "igb,help").startswith("igb options"):
        return
    suite = f"{store.DEFAULT.suite}-backports"
    log(f"asking the mirror for the QEMU of {suite}")
    apt = Apt(store.WORK / "apt-newer", store.DEFAULT.suite, suite, status=Path("/var/lib/dpkg/status"))
    apt.update()
    plan = apt("apt-get", "-s", "-t", suite, "--no-install-recommends", "install", "qemu-system-x86")
    packages = dict(re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+) ", plan, re.M))
    key = store.digest(json.dumps(packages, sort_keys=True))
    if "qemu-system-x86" not in packages or store.stamp("qemu") == key:
        return
    log(f"qemu-system-x86 {packages['qemu-system-x86']}")
    with store.making("qemu", key):
        target = clear(store.NEWER_QEMU)
        for file in apt.download(store.WORK / "debs-newer", packages).values():
            call("dpkg-deb", "-x", file, target)
        shutil.rmtree(store.WORK / "debs-newer")


# ---- the stages --------------------------------------------------------------------------------------------


def kernel_key(kernel):
    return store.digest(json.dumps(kernel), " ".join(MODULES), " ".join(SAMPLES))


def build_system(release, refresh=False):
    """Update the root file system of a release in which the project is built and tested."""
    packages = system.packages()
    key = store.digest(release.suite, *packages)
    part = f"system{release.suffix}"
    if refresh or store.stamp(part) != key:
        log(f"system: {len(packages)} packages and what they need")
        with store.making(part, key):
            make_tree(release.system, release, "minbase", packages)
            (release.system / "old").mkdir()  # system.py moves the old root there
            # mmdebstrap leaves no machine ID, and dbus-broker does not start without one.
            write(release.system, "etc/machine-id", MACHINE_ID)


def build(release, refresh=False):
    """Update the image if its sources changed, and, with refresh, to today's Debian packages."""
    store.WORK.mkdir(parents=True, exist_ok=True)
    suffix = release.suffix
    if release != store.DEFAULT:
        build_system(release, refresh)
    chosen = store.WORK / f"kernels{suffix}.json"
    kernels = json.loads(chosen.read_text()) if chosen.exists() else []
    apt = None
    # A mirror keeps no old versions, so a part that is made again uses today's packages.
    if refresh or not kernels or any(store.stamp(f"kernel-{it['name']}") != kernel_key(it) for it in kernels):
        log("asking the mirror which kernels there are")
        apt = Apt(store.WORK / f"apt{suffix}", release.suite)
        apt.update()
        kernels = choose_kernels(apt, release)
        chosen.write_text(json.dumps(kernels, indent=2) + "\n")

    # A refresh makes the base again too: its packages may have had security updates.
    packages = packages_of(release)
    base, image = f"base{suffix}", f"image{suffix}"
    key = store.digest(release.suite, *packages)
    if refresh or store.stamp(base) != key:
        log(f"base: {len(packages)} packages and what they need")
        with store.making(base, key, image):
            make_tree(store.WORK / base, release, "essential", packages)
    for kernel in kernels:
        if store.stamp(f"kernel-{kernel['name']}") != kernel_key(kernel):
            log(f"kernel {kernel['name']}: {kernel['release']} ({kernel['version']})")
            with store.making(f"kernel-{kernel['name']}", kernel_key(kernel), image):
                make_kernel(kernel, apt, release)
    parts = [store.stamp(part) for part in [base, *[f"kernel-{kernel['name']}" for kernel in kernels]]]
    guest = [store.GUEST / name for name in ("agent", "agent.service", "initrd-init")]
    key = store.digest(*parts, Path(__file__).resolve(), *guest)
    if store.stamp(image) != key:
        log("root disk")
        with store.making(image, key):
            make_disk(store.WORK / base, kernels, release)
        log(f"root disk: {(release.image / 'root.qcow2').stat().st_size >> 20} MB")
    try:
        make_newer_qemu(refresh)
    except BuildError as error:
        # Most cases work without the newer QEMU; the others fail with an explanation.
        log(f"no newer QEMU: {error}")
