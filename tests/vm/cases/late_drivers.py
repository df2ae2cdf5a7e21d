# SPDX-License-Identifier: LGPL-2.1-or-later
"""Drivers that are loaded while vgpud runs: the kernel assigns VFIO's device number only then."""

import vmcase

DRIVERS = ("mtty",)


def has_vfio():
    text = vmcase.Path("/proc/devices").read_text(encoding="ascii")
    return any(line.endswith(" vfio") for line in text.splitlines())


class Late(vmcase.Case):
    def test_vfio_is_loaded_after_the_start(self):
        vmcase.run("systemctl", "stop", "vgpud")
        # This also unloads VFIO, on which only the sample drivers depend.
        vmcase.unload(*vmcase.SAMPLES)
        self.assertFalse(has_vfio())
        vmcase.run("systemctl", "start", "vgpud")
        with vmcase.Bus() as bus:
            bus.listen()
            vmcase.load(*DRIVERS)
            self.assertTrue(has_vfio())
            bus.until(lambda objects: objects.ready(*DRIVERS))
            uuid = vmcase.vgpuctl("create", "mtty-1").out.strip()
            self.assertEqual(vmcase.devices(), {uuid: "mtty-1"})
            # vgpud detects users by opening the group.
            vmcase.vgpuctl("destroy", uuid)
            self.assertEqual(vmcase.devices(), {})
        vmcase.unload(*DRIVERS)


vmcase.main()
