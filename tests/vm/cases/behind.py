# SPDX-License-Identifier: LGPL-2.1-or-later
"""Devices made and removed by other programs: vgpud reports each at once, and changes none on its own."""

import statistics
import time

import vmcase

UUID = "11111111-2222-4333-8444-555555555555"


def appeared(uuid):
    return lambda signal: signal.member == "InterfacesAdded" and signal.args[0] == vmcase.instance_path(uuid)


def vanished(uuid):
    return lambda signal: signal.member == "InterfacesRemoved" and signal.args[0] == vmcase.instance_path(
        uuid
    )


def told(what, seconds):
    milliseconds = sorted(value * 1000 for value in seconds)
    print(
        f"{what}: median {statistics.median(milliseconds):.1f} ms, most {milliseconds[-1]:.1f} ms,"
        f" of {len(milliseconds)}"
    )


class Others(vmcase.VgpudCase):
    def assertForeign(self, uuid, kind):  # pylint: disable=invalid-name
        properties = self.objects().instances[uuid]
        self.assertEqual((properties["Origin"], properties["Type"]), ("foreign", kind))
        self.assertEqual((properties["Owner"], properties["CreatedUsec"]), ("", 0))
        self.assertIn("foreign", vmcase.vgpuctl("list", "--no-legend").out)
        self.assertVgpuctlFails(4, "Foreign", "destroy", uuid)
        with self.assertBusError(vmcase.error_name("Foreign")):
            self.destroy(uuid)
        self.assertEqual(vmcase.devices(), {uuid: kind})
        vmcase.vgpuctl("destroy", "--foreign", uuid)
        self.assertEqual(vmcase.devices(), {})
        self.assertTruth()

    def test_made_by_echo(self):
        for kind in ("mdpy-xga", "mtty-2", "mbochs-small"):
            with self.subTest(kind=kind):
                path = next(vmcase.MDEV_PARENTS.glob(f"*/mdev_supported_types/{kind}"))
                self.bus.forget()
                vmcase.run("sh", "-c", f"echo {UUID} >{path}/create")
                added = self.bus.wait(appeared(UUID)).args[1]["org.vgpud1.Instance"]
                self.assertEqual(added["Origin"], "foreign")
                self.bus.until(lambda objects, kind=kind: objects.instances[UUID]["Type"] == kind)
                self.assertForeign(UUID, kind)

    def test_made_by_mdevctl(self):
        self.bus.forget()
        vmcase.run("mdevctl", "start", "-u", UUID, "-p", "mdpy", "-t", "mdpy-xga")
        ended = time.monotonic()
        signal = self.bus.wait(appeared(UUID))
        print(f"signal {(signal.received - ended) * 1000:.1f} ms after the end of mdevctl")
        self.bus.until(lambda objects: objects.instances[UUID]["Type"] == "mdpy-xga")
        self.assertForeign(UUID, "mdpy-xga")

    def test_how_soon_it_is_told(self):
        """Times are printed, not asserted: the test is that no signal is missing."""
        came, went = [], []
        for number in range(20):
            uuid = f"00000000-0000-4000-8000-{number:012x}"
            self.bus.forget()
            vmcase.create("mbochs-small", uuid)
            began = time.monotonic()
            came.append(self.bus.wait(appeared(uuid)).received - began)
            self.bus.forget()
            vmcase.remove(uuid)
            began = time.monotonic()
            went.append(self.bus.wait(vanished(uuid)).received - began)
        told("from the return of the write to InterfacesAdded", came)
        told("from the return of the write to InterfacesRemoved", went)

    def test_removed_behind_our_back(self):
        uuid = vmcase.vgpuctl("create", "mdpy-xga", "--name", "desk").out.strip()
        self.bus.forget()
        vmcase.remove(uuid)
        self.assertIn("org.vgpud1.Instance", self.bus.wait(vanished(uuid)).args[1])
        # vgpud sends the signal and drops the record in one iteration of its event loop, and replies after that.
        self.objects()
        self.assertEqual(vmcase.records(), [])
        self.assertVgpuctlFails(3, "NoSuchInstance", "show", "desk")
        # Another program creates the device again: the instance is foreign, and the name "desk" is free.
        vmcase.create("mdpy-xga", uuid)
        self.bus.until(lambda objects: uuid in objects.instances)
        self.bus.until(lambda objects: objects.instances[uuid]["Type"] == "mdpy-xga")
        vmcase.vgpuctl("create", "mdpy-xga", "--name", "desk")
        vmcase.vgpuctl("destroy", "desk")
        self.assertForeign(uuid, "mdpy-xga")

    def test_replaced_behind_our_back(self):
        """A device is removed and made again with another type before vgpud scans the GPU."""
        uuid = vmcase.vgpuctl("create", "mdpy-xga", "--name", "desk").out.strip()
        vmcase.remove(uuid)
        vmcase.create("mbochs-small", uuid)
        self.bus.until(lambda objects: objects.instances.get(uuid, {}).get("Type") == "mbochs-small")
        self.assertForeign(uuid, "mbochs-small")

    def test_a_burst(self):
        """The state after a burst of events is complete, whatever their order."""
        uuids = [f"00000000-0000-4000-8000-{number:012x}" for number in range(60)]
        self.bus.forget()
        began = time.monotonic()
        for uuid in uuids:
            vmcase.create("mbochs-small", uuid)
        wrote = time.monotonic()
        for uuid in uuids[::2]:
            vmcase.remove(uuid)
        removed = time.monotonic()
        self.bus.until(lambda objects: set(objects.instances) == set(uuids[1::2]))
        print(
            f"60 made in {wrote - began:.2f} s, 30 removed in {removed - wrote:.2f} s,"
            f" shown {(time.monotonic() - removed) * 1000:.0f} ms later"
        )
        self.bus.until(lambda objects: all(item["Type"] for item in objects.instances.values()))
        self.assertTruth()

    def test_ours_among_others(self):
        vmcase.create("mdpy-xga", UUID)
        ours = vmcase.vgpuctl("create", "mdpy-xga").out.strip()
        self.bus.until(lambda objects: len(objects.instances) == 2)
        self.assertEqual(
            {uuid: item["Origin"] for uuid, item in self.objects().instances.items()},
            {UUID: "foreign", ours: "vgpud"},
        )
        self.assertVgpuctlFails(4, "Foreign", "destroy", UUID, ours)
        self.assertEqual(list(vmcase.devices()), [UUID])


vmcase.main()
