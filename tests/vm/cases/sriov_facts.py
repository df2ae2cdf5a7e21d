# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kernel's handling of virtual functions without vgpud, for an NVMe controller."""

import errno

import vmcase
import vmsriov

HARDWARE = "nvme"


class Nvme(vmsriov.AllFacts, vmcase.Case):
    hardware = HARDWARE
    total = 4

    def test_a_driver_that_leaves_them(self):
        """The driver leaves VFs behind at unbind. A PF without a driver cannot disable them."""
        self.pf.enable(2)
        self.pf.unbind()
        self.assertEqual((self.pf.numvfs(), len(self.pf.vfs())), (2, 2))
        with self.assertErrno(errno.ENOENT):
            self.pf.disable()
        self.pf.write("sriov_numvfs", 2)
        self.pf.bind(None)
        self.assertEqual(len(self.pf.vfs()), 2)
        self.pf.disable()


vmcase.main()
