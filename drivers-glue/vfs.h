/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Virtual functions of PCI (Linux Documentation/PCI/pci-iov-howto.rst,
 * Documentation/ABI/testing/sysfs-bus-pci): how many a GPU has, and which driver each is bound to. What back
 * ends whose instances are virtual functions, or live on them, share. Everything blocks, and is called in the
 * lane of the GPU. */

#include <stdint.h>

#include "base/error.h"
#include "drivers-glue/driver.h"

/* VgpuDriver.set_vfs of every back end that has virtual functions. By what is there it writes sriov_numvfs, or
 * has NVIDIA's sriov-manage run (nvidia_run_sriov_manage()), or says that they are fixed when the driver is
 * loaded (AMD's gim). What it returns was looked up afterwards. */
int vfs_set(VgpuTarget *t, uint32_t count, uint32_t *ret, VgpudError *reterr);

/* IN_USE while a function of the GPU carries an instance, is handed out, reserved or in use, naming which,
 * and the holder where there is one; `fate` is what would become of all of them ("go"). Everybody is kept out
 * of the others, until `kept` is freed. */
int vfs_refuse_loads(VgpuTarget *t, const char *fate, GArray *kept, VgpudError *reterr);
