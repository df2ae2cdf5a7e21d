# SPDX-License-Identifier: LGPL-2.1-or-later
"""The virtual functions of a network card, with addresses far from the PF and with a host driver: first the kernel
alone, then vgpud."""

import errno
import os

import vmcase
import vmsriov

HARDWARE = "igb"


class Igb(vmsriov.Facts, vmcase.Case):
    hardware = HARDWARE
    total = 7

    @classmethod
    def setUpClass(cls):
        # Otherwise udev loads igbvf for the first VFs, maybe only when enable() has switched autoprobe on again. Then
        # igbvf would bind VFs that must have no driver.
        vmcase.load("igbvf")
        super().setUpClass()

    def test_a_driver_that_takes_them_along(self):
        self.pf.enable(2)
        self.pf.unbind()
        self.assertEqual((self.pf.numvfs(), len(self.pf.vfs())), (0, 0))
        with self.assertErrno(errno.ENOENT):
            self.pf.write("sriov_numvfs", 2)

    def test_their_own_driver(self):
        vfs = self.pf.enable(2, autoprobe=True)
        self.assertEqual([vf.driver() for vf in vfs], ["igbvf", "igbvf"])
        vfs[0].bind("vfio-pci")
        self.assertEqual([vf.driver() for vf in vfs], ["vfio-pci", "igbvf"])
        vfs[0].bind(None)
        self.assertEqual((vfs[0].driver(), vfs[0].override()), ("igbvf", None))


class Igbvf(vmsriov.Managed):
    hardware = HARDWARE

    def test_as_many_as_there_can_be(self):
        vmcase.vgpuctl("enable-vfs", self.pf.address, self.total)
        for vf in self.assertVfs(self.total):
            self.assertLetGo(vf)
        vmcase.vgpuctl("disable-vfs", self.pf.address)
        self.assertVfs(0)

    def test_taken_from_a_driver_and_given_back(self):
        vfs = self.pf.enable(2, autoprobe=True)
        self.assertVfs(2)
        [net] = os.listdir(vfs[0].path / "net")
        uuid = vmcase.vgpuctl("create", "vf", "--gpu", self.pf.address).out.strip()
        vf = self.assertHandedOut(uuid)
        self.assertEqual(vf.address, vfs[0].address)
        self.assertFalse(os.path.exists(f"/sys/class/net/{net}"))
        self.assertEqual(vfs[1].driver(), "igbvf")
        # The restarted vgpud knows the earlier driver.
        vmcase.run("systemctl", "restart", "vgpud")
        self.bus.until(lambda objects: uuid in objects.instances)
        self.assertHandedOut(uuid)
        vmcase.vgpuctl("destroy", uuid)
        self.assertLetGo(vf, "igbvf")


vmcase.main()
