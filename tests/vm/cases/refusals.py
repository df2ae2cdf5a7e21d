# SPDX-License-Identifier: LGPL-2.1-or-later
"""Refusals of vgpud: each reason has its own D-Bus error and exit status, and the state does not change."""

import time

import vmcase

UUID = "abcdef01-2222-4333-8444-555555555555"
OTHER = "abcdef01-2222-4333-8444-666666666666"
NOBODY = "99999999-2222-4333-8444-555555555555"


class Requests(vmcase.VgpudCase):
    def assertRefused(self, status, error, type_id, gpu="", **options):  # pylint: disable=invalid-name
        """Creation fails by D-Bus and with vgpuctl; nothing changes. Returns the message of the daemon."""
        before = vmcase.devices(), vmcase.types(), vmcase.records()
        with self.assertBusError(vmcase.error_name(error)) as caught:
            self.create(type_id, gpu, **options)
        argv = ["--gpu", gpu] if gpu else []
        for key, value in options.items():
            argv.append(f"--{key}={value}")
        self.assertVgpuctlFails(status, error, "create", type_id, *argv)
        self.assertEqual((vmcase.devices(), vmcase.types(), vmcase.records()), before)
        message = caught[0].get_dbus_message()
        print(f"{error}: {message}")
        return message

    def test_the_fifth(self):
        for kind in ("mdpy-xga", "mdpy-vga", "mdpy-hd", "mdpy-xga"):
            vmcase.vgpuctl("create", kind)
        for kind in ("mdpy-xga", "mdpy-vga", "mdpy-hd"):
            self.assertRefused(5, "NoCapacity", kind)
            self.assertIn("mdpy", self.assertRefused(5, "NoCapacity", kind, "mdpy"))
        # The other parents have room.
        vmcase.vgpuctl("create", "mbochs-large")

    def test_the_last_of_other_drivers(self):
        for kind, count in (("mbochs-large", 4), ("mtty-2", 12)):
            vmcase.vgpuctl("create", kind, "--count", count)
            self.assertRefused(5, "NoCapacity", kind)

    def test_a_uuid_that_is_taken(self):
        vmcase.vgpuctl("create", "mdpy-xga", "--uuid", UUID)
        for kind in ("mdpy-xga", "mtty-1", "mbochs-small"):
            message = self.assertRefused(6, "Exists", kind, uuid=UUID)
            self.assertIn(UUID, message)
            self.assertIn("mdpy", message)
        self.assertRefused(6, "Exists", "mdpy-xga", uuid=UUID.upper())
        vmcase.create("mtty-2", OTHER)
        # The UUID of a device that vgpud has not seen yet is refused too.
        self.assertIn(OTHER, self.assertRefused(6, "Exists", "mdpy-xga", uuid=OTHER))

    def test_malformed_names(self):
        for text in ("hello", UUID[:-1], f"{{{UUID}}}", UUID.replace("-", ""), UUID.replace("a", "g"), ""):
            with self.subTest(uuid=text):
                self.assertRefused(2, "InvalidArgs", "mdpy-xga", uuid=text)
        for text in ("", "a/b", "../x", "-", "a b", "x" * 65, UUID):
            with self.subTest(name=text):
                self.assertRefused(2, "InvalidArgs", "mdpy-xga", name=text)

    def test_what_there_is_not(self):
        self.assertIn("mdpy-9", self.assertRefused(3, "NoSuchType", "mdpy-9"))
        self.assertRefused(3, "NoSuchType", "mtty-1", "mdpy")
        self.assertRefused(3, "NoSuchType", "../../mdpy-xga", "mdpy")
        self.assertRefused(3, "NoSuchGpu", "mdpy-xga", "nothing")
        # Only vgpuctl accepts a part of a name: the daemon takes the whole name.
        with self.assertBusError(vmcase.error_name("NoSuchGpu")):
            self.create("mdpy-xga", "mdp")
        self.assertRefused(7, "NotSupported", "mdpy-xga", "0000:00:03.0")

    def test_instances_there_are_not(self):
        vmcase.vgpuctl("create", "mdpy-xga", "--uuid", UUID)
        vmcase.vgpuctl("create", "mdpy-xga", "--uuid", OTHER)
        for verb in ("destroy", "show"):
            with self.subTest(verb=verb):
                self.assertVgpuctlFails(3, "NoSuchInstance", verb, NOBODY)
                self.assertVgpuctlFails(2, "Ambiguous", verb, UUID[:8])
        self.assertVgpuctlFails(3, "NoSuchInstance", "destroy", "a/b")
        # A verb that removes instances needs a longer beginning of a UUID.
        self.assertVgpuctlFails(2, "InvalidArgs", "destroy", UUID[:3])
        # The daemon takes only whole UUIDs and names.
        for name, text in (
            ("NoSuchInstance", NOBODY),
            ("NoSuchInstance", "nobody"),
            ("NoSuchInstance", UUID[:8]),
            ("InvalidArgs", "a/b"),
        ):
            with self.subTest(text=text), self.assertBusError(vmcase.error_name(name)):
                self.destroy(text)
        with self.assertBusError("org.freedesktop.DBus.Error.UnknownObject"):
            self.bus.call(vmcase.instance_path(NOBODY), "org.vgpud1.Instance", "Destroy", "a{sv}", {})
        self.assertEqual(set(vmcase.devices()), {UUID, OTHER})

    def test_what_people_are_told(self):
        for status, name, argv in (
            (2, "a/b", ("create", "mdpy-xga", "--name", "a/b")),
            (3, "mdpy-9", ("create", "mdpy-9")),
            (3, NOBODY, ("destroy", NOBODY)),
        ):
            done = vmcase.vgpuctl(*argv, status=status)
            self.assertEqual(done.out, "")
            self.assertIn(name, done.err)

    def test_options_there_are_not(self):
        second = vmcase.dbus.UInt64(1_000_000)
        for options in (
            {"no_such": True},
            {"uuid": 7},
            {"wait": "yes"},
            {"error_details": "yes"},
            {"wait": False, "timeout_usec": second},
            {"timeout_usec": vmcase.dbus.UInt64(0)},
        ):
            with self.subTest(options=options), self.assertBusError(vmcase.error_name("InvalidArgs")):
                self.create("mdpy-xga", **options)
        self.assertEqual(vmcase.devices(), {})


class InUse(vmcase.VgpudCase):
    drivers = ("mdpy",)

    def assertInUse(self, uuid, user):  # pylint: disable=invalid-name
        """Destroy fails at once, names the user, and changes nothing."""
        command = vmcase.Path(f"/proc/{user.pid}/comm").read_text(encoding="utf-8").strip()
        node = vmcase.group_node(uuid)
        available = vmcase.types()["mdpy-xga"].available
        began = time.monotonic()
        with self.assertBusError(vmcase.error_name("InUse")) as caught:
            self.destroy(uuid)
        took = time.monotonic() - began
        message = self.assertVgpuctlFails(6, "InUse", "destroy", uuid)
        print(f"refused after {took * 1000:.0f} ms: {message}")
        for text in (caught[0].get_dbus_message(), message):
            for word in (str(user.pid), command, node):
                self.assertIn(word, text)
        self.assertEqual(vmcase.devices(), {uuid: "mdpy-xga"})
        self.assertEqual(vmcase.types()["mdpy-xga"].available, available)
        self.assertEqual(self.assertTruth().instances[uuid]["State"], "active")

    def test_the_group_is_open(self):
        uuid = vmcase.vgpuctl("create", "mdpy-xga").out.strip()
        with vmcase.VfioProcess(uuid) as user:
            self.assertInUse(uuid, user)
        vmcase.vgpuctl("destroy", uuid)
        self.assertEqual(vmcase.devices(), {})

    def test_the_device_is_open(self):
        uuid = vmcase.vgpuctl("create", "mdpy-xga").out.strip()
        with vmcase.VfioProcess(uuid, device=True) as user:
            self.assertInUse(uuid, user)
        vmcase.vgpuctl("destroy", uuid)
        self.assertEqual(vmcase.devices(), {})

    def test_a_foreign_one_is_open(self):
        vmcase.create("mdpy-xga", UUID)
        self.bus.until(lambda objects: UUID in objects.instances)
        with vmcase.VfioProcess(UUID, device=True):
            self.assertVgpuctlFails(6, "InUse", "destroy", "--foreign", UUID)
            self.assertEqual(vmcase.devices(), {UUID: "mdpy-xga"})
        vmcase.vgpuctl("destroy", "--foreign", UUID)

    def test_nothing_is_written(self):
        """vgpud must never write to `remove` of an open device: the write would hang, and could not be cancelled."""
        vmcase.drop_in("debug", "[Service]\nExecStart=\nExecStart=/usr/libexec/vgpud --debug\n")
        vmcase.run("systemctl", "restart", "vgpud")

        def writes():
            return [entry["MESSAGE"] for entry in vmcase.journal() if f"{uuid}/remove" in entry["MESSAGE"]]

        uuid = vmcase.vgpuctl("create", "mdpy-xga").out.strip()
        with vmcase.VfioProcess(uuid, device=True):
            for _ in range(3):
                self.assertVgpuctlFails(6, "InUse", "destroy", uuid)
            self.assertEqual(writes(), [])
        vmcase.vgpuctl("destroy", uuid)
        # This removal shows that writes() finds a write to `remove`.
        self.assertEqual(len(writes()), 1)

    def test_a_user_comes_while_it_is_removed(self):
        """A user opens the device while vgpud removes it: the first one wins, the other fails, and both calls return."""
        outcomes = {"removed": 0, "refused": 0}
        for _ in range(20):
            uuid = self.create("mdpy-xga")
            answer = self.bus.begin(*vmcase.MANAGER, "Destroy", "sa{sv}", uuid, {"wait": True})
            vmcase.in_child(lambda uuid=uuid: try_to_use(uuid))
            self.bus.wait_answers([answer])
            if answer.error is None:
                outcomes["removed"] += 1
            else:
                outcomes["refused"] += 1
                self.assertEqual(answer.word(), "InUse")
                self.destroy(uuid)
            self.assertEqual(vmcase.devices(), {})
        print(outcomes)


def try_to_use(uuid):
    try:
        with vmcase.VfioUser(uuid, device=True):
            return "used"
    except (OSError, AssertionError) as error:
        return str(error)


vmcase.main()
