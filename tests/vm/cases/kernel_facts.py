# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kernel without vgpud: the facts on which the mdev back end and all other cases rely."""

import errno
import os
import select
import subprocess

import vmcase

UUID = "11111111-2222-4333-8444-555555555555"
OTHER = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"


def numbered(number):
    return f"00000000-0000-4000-8000-{number:012x}"


class Types(vmcase.Case):
    def test_no_parents_without_drivers(self):
        self.assertEqual(vmcase.types(), {})

    def test_types_of_the_samples(self):
        self.load(*vmcase.SAMPLES)
        found = vmcase.types()
        self.assertEqual(
            {name: kind.available for name, kind in found.items()},
            {
                "mtty-1": 24,
                "mtty-2": 12,
                "mdpy-vga": 4,
                "mdpy-xga": 4,
                "mdpy-hd": 4,
                "mbochs-small": 64,
                "mbochs-medium": 16,
                "mbochs-large": 4,
            },
        )
        self.assertEqual({kind.device_api for kind in found.values()}, {"vfio-pci"})
        self.assertEqual(found["mtty-2"].name, "Dual port serial")
        self.assertIsNone(found["mtty-2"].description)
        self.assertEqual(found["mdpy-xga"].description, "virtual display, 1024x768 framebuffer")

    def test_a_parent_announces_itself(self):
        with vmcase.Uevents() as events:
            vmcase.load("mdpy")
            event = events.wait(ACTION="change", MDEV_STATE="registered")
            self.assertEqual(event["DEVPATH"], "/devices/virtual/mdpy/mdpy")
            vmcase.unload("mdpy")
            events.wait(ACTION="change", MDEV_STATE="unregistered", DEVPATH="/devices/virtual/mdpy/mdpy")


class Create(vmcase.Case):
    def setUp(self):
        self.load(*vmcase.SAMPLES)

    def test_create_and_remove(self):
        with vmcase.Uevents() as events:
            vmcase.create("mdpy-xga", UUID)
            self.assertEqual(vmcase.devices(), {UUID: "mdpy-xga"})
            self.assertTrue(os.path.exists(vmcase.group_node(UUID)))
            events.wait(ACTION="bind", SUBSYSTEM="mdev")
            order = [
                (event["SUBSYSTEM"], event["ACTION"])
                for event in events.seen
                if event["SUBSYSTEM"] in ("mdev", "vfio", "vfio-dev")
            ]
            self.assertEqual(order, [("mdev", "add"), ("vfio", "add"), ("vfio-dev", "add"), ("mdev", "bind")])
            # The types of a parent share one budget.
            self.assertEqual({vmcase.types()[f"mdpy-{size}"].available for size in ("vga", "xga", "hd")}, {3})
            vmcase.remove(UUID)
            events.wait(ACTION="remove", SUBSYSTEM="mdev")
        self.assertEqual(vmcase.devices(), {})
        self.assertEqual(vmcase.types()["mdpy-xga"].available, 4)

    def test_refused_uuids(self):
        vmcase.create("mdpy-vga", UUID)
        for kind, text in (("mdpy-vga", UUID), ("mtty-1", UUID), ("mbochs-small", UUID.upper())):
            with self.subTest(kind=kind), self.assertErrno(errno.EEXIST):
                vmcase.create(kind, text)
        for text in (
            "hello\n",
            f"{{{OTHER}}}",
            OTHER.replace("-", ""),
            OTHER[:-1],
            f"{OTHER}\n\n",
            OTHER.replace("a", "g"),
        ):
            with self.subTest(text=text), self.assertErrno(errno.EINVAL):
                vmcase.create("mdpy-vga", text)

    def test_upper_case_is_stored_lower(self):
        vmcase.create("mdpy-vga", OTHER.upper() + "\n")
        self.assertEqual(list(vmcase.devices()), [OTHER])

    def test_full(self):
        # The kernel's mdev core counts for mdpy; mtty and mbochs count by themselves and return another errno.
        for kind, code in (
            ("mdpy-hd", errno.EUSERS),
            ("mtty-2", errno.ENOSPC),
            ("mbochs-large", errno.ENOSPC),
        ):
            with self.subTest(kind=kind):
                before = len(vmcase.devices())
                available = vmcase.types()[kind].available
                for number in range(available):
                    vmcase.create(kind, numbered(before + number))
                self.assertEqual(vmcase.types()[kind].available, 0)
                with self.assertErrno(code):
                    vmcase.create(kind, numbered(0xFFFF))
                self.assertEqual(len(vmcase.devices()), before + available)

    def test_what_remove_accepts(self):
        vmcase.create("mdpy-vga", UUID)
        path = vmcase.MDEV_DEVICES / UUID / "remove"
        vmcase.write(path, "0")
        with self.assertErrno(errno.EINVAL):
            vmcase.write(path, "x")
        self.assertEqual(list(vmcase.devices()), [UUID])
        vmcase.write(path, "2")
        self.assertEqual(vmcase.devices(), {})

    def test_devices_go_with_their_driver(self):
        vmcase.create("mdpy-vga", UUID)
        vmcase.create("mtty-1", OTHER)
        vmcase.unload("mdpy")
        self.assertEqual(vmcase.devices(), {OTHER: "mtty-1"})


class InUse(vmcase.Case):
    def setUp(self):
        self.load("mdpy")
        vmcase.create("mdpy-vga", UUID)

    def assertInUse(self):  # pylint: disable=invalid-name
        with self.assertErrno(errno.EBUSY):
            os.close(os.open(vmcase.group_node(UUID), os.O_RDONLY))

    def test_a_group_has_one_user(self):
        with vmcase.VfioUser(UUID):
            self.assertInUse()
        os.close(os.open(vmcase.group_node(UUID), os.O_RDONLY))

    def test_only_root_may_open_a_group(self):
        def attempt():
            try:
                os.close(os.open(vmcase.group_node(UUID), os.O_RDONLY))
            except OSError as error:
                return error.errno
            return 0

        self.assertEqual(vmcase.in_child(attempt), 0)
        self.assertEqual(vmcase.in_child(attempt, user="alice"), errno.EACCES)

    def test_a_killed_user_lets_go(self):
        with vmcase.VfioProcess(UUID, device=True) as user:
            self.assertInUse()
            user.kill()
        vmcase.remove(UUID)
        self.assertEqual(vmcase.devices(), {})

    def test_the_driver_of_an_open_device_stays(self):
        with vmcase.VfioUser(UUID, device=True):
            vmcase.run("rmmod", "mdpy", status=1)
            self.assertTrue(vmcase.Path("/sys/module/mdpy").exists())

    def test_an_open_group_does_not_stop_removal(self):
        with vmcase.VfioUser(UUID):
            vmcase.remove(UUID)
            self.assertEqual(vmcase.devices(), {})

    def test_removal_waits_for_the_device_to_be_closed(self):
        with vmcase.VfioUser(UUID, device=True):
            writer = vmcase.start("sh", "-c", f"echo 1 >{vmcase.MDEV_DEVICES}/{UUID}/remove")
            ended = os.pidfd_open(writer.pid)
            self.addCleanup(os.close, ended)
            # The write still runs after a time in which it would have ended; there is no event to wait for.
            self.assertEqual(select.select([ended], [], [], 1.0)[0], [])
        self.assertEqual(vmcase.finish(writer).status, 0)
        self.assertEqual(vmcase.devices(), {})


class Environment(vmcase.Case):
    """The parts of the guest on which the other cases rely."""

    def test_services(self):
        self.assertEqual(vmcase.run("systemctl", "is-system-running").out, "running\n")
        with vmcase.Bus("org.freedesktop.PolicyKit1") as bus:
            self.assertTrue(
                bus.get(
                    "/org/freedesktop/PolicyKit1/Authority",
                    "org.freedesktop.PolicyKit1.Authority",
                    "BackendVersion",
                )
            )

    def test_signals_arrive(self):
        with vmcase.Bus("org.freedesktop.systemd1") as bus:
            bus.listen()
            manager = ("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
            bus.call(*manager, "Subscribe")
            job = bus.call(
                *manager,
                "StartTransientUnit",
                "ssa(sv)a(sa(sv))",
                "probe.service",
                "fail",
                [("ExecStart", vmcase.dbus.Array([("/bin/true", ["true"], False)], "(sasb)"))],
                [],
            )
            found = bus.wait(lambda signal: signal.member == "JobRemoved" and signal.args[1] == job)
            self.assertEqual(found.args[2:], ["probe.service", "done"])

    def test_a_missing_signal_is_a_failure(self):
        with vmcase.Bus("org.freedesktop.systemd1") as bus, self.assertRaises(AssertionError):
            bus.listen().wait(lambda signal: False, deadline_sec=0.1)

    def test_alice_is_nobody_special(self):
        self.assertEqual(vmcase.run("id", "-un", user="alice").out, "alice\n")
        self.assertEqual(vmcase.in_child(os.getuid, user="alice"), 1000)

    def test_the_journal_can_be_read(self):
        vmcase.run("systemd-run", "--quiet", "--wait", "--unit=speaker", "echo", "a word")
        self.assertIn("a word", [entry["MESSAGE"] for entry in vmcase.journal("speaker.service")])

    def test_gpus_without_virtual_gpus(self):
        gpus = {
            (path / "driver").resolve().name: path
            for path in vmcase.Path("/sys/bus/pci/devices").glob("*")
            if (path / "class").read_text().startswith("0x03")
        }
        self.assertEqual(set(gpus), {"bochs-drm", "virtio-pci"})
        for path in gpus.values():
            self.assertTrue((path / "iommu_group").exists())
        vendor, model = vmcase.names_of(gpus["virtio-pci"])
        self.assertEqual(vendor, "Red Hat, Inc.")
        self.assertIn(model, ("Virtio 1.0 GPU", "Virtio 1.0 GPU (QEMU)"))

    def test_mdevctl_sees_the_same(self):
        self.load("mdpy")
        vmcase.create("mdpy-vga", UUID)
        listed = subprocess.run(["mdevctl", "list"], check=True, stdout=subprocess.PIPE, text=True).stdout
        self.assertEqual(listed.split()[:3], [UUID, "mdpy", "mdpy-vga"])


vmcase.main()
