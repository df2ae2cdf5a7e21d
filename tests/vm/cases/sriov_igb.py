# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the kernel does with virtual functions by itself, without vgpud: those of a network card, which are far from
it and have a driver of their own."""

import errno

import vmcase
import vmsriov

HARDWARE = "igb"


class Igb(vmsriov.Facts, vmcase.Case):
    hardware = HARDWARE
    total = 7

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


vmcase.main()
