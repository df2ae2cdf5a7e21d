/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The number of VFs of a GPU (Linux Documentation/PCI/pci-iov-howto.rst,
 * Documentation/ABI/testing/sysfs-bus-pci). The functions block; call them in the
 * lane of the GPU. */

#include <stdint.h>

#include "base/error.h"
#include "drivers-glue/driver.h"
#include "drivers-glue/explain.h"

typedef struct VfMethod VfMethod;

/* A request for another number of VFs. */
typedef struct VfChange {
        VgpuTarget *t;
        const VfMethod *method; /* never NULL */
        char *driver;           /* owned; the kernel driver of the GPU now; NULL: none */
        uint32_t total;         /* sriov_totalvfs */
        uint32_t before, wanted;
} VfChange;

/* A hint of a method; id VGPUD_HINT_NONE: none. */
typedef struct VfHint {
        VgpudHintId id;
        const char *text;
} VfHint;

/* The way in which a driver of the host enables and disables the VFs of its GPUs, as far as it differs from
 * writing sriov_numvfs. The back end passes its method to vfs_set(). Every member may be NULL. */
struct VfMethod {
        /* Refuse every request while the GPU has the wrong driver. */
        int (*check_driver)(const VfChange *c, VgpudError *reterr);
        /* Refuse a change of the number before the first write. */
        int (*check)(const VfChange *c, VgpudError *reterr);
        /* Enable `count` VFs; 0: disable all. vfs_set() counts afterwards and ignores the result if the
         * number is right. NULL: write sriov_numvfs. */
        int (*set)(VgpuTarget *t, uint32_t count, VgpudError *reterr);
        /* Explain why the GPU has no VFs although set() succeeded. NULL: vfs_set() reports the number. */
        int (*explain_none)(const VfChange *c, VgpudError *reterr);
        /* Restore settings of the driver that cannot change while a VF is enabled. Called while no VF is
         * enabled. */
        void (*after_disable)(VgpuTarget *t);
        /* Refuse to enable VFs that would not work. */
        int (*before_enable)(VgpuTarget *t, uint32_t count, VgpudError *reterr);
        /* Find an instance on this VF: *ret is a predicate ("carries …"), and stays NULL if there is none. */
        int (*find_instance)(VgpuIo *io, const VgpuVf *vf, char **ret);

        /* Reasons for which the driver refuses a write to sriov_numvfs, besides the reasons that hold for all
         * drivers. */
        const Refusal *refusals;
        VfHint limit_hint;  /* the driver allows no VFs */
        VfHint unable_hint; /* the driver cannot enable VFs, but another driver can */
        /* A clause that says that the driver creates a fixed number of VFs when it is loaded, and the hint how
         * to change the number. NULL: vfs_set() can change the number. */
        const char *fixed;
        VfHint fixed_hint;
};

/* VgpuDriver.set_vfs of every back end with VFs; `method` may be NULL. *ret is read back from the kernel. */
int vfs_set(VgpuTarget *t, const VfMethod *method, uint32_t count, uint32_t *ret, VgpudError *reterr);

/* Refuse to touch VFs in use: IN_USE if a VF of the GPU carries an instance, is handed out, reserved or open.
 * The message names the VF and, if visible, the process; `fate` is the verb in "the change would … all VFs"
 * ("remove"). Until `held` is freed, other programs are locked out of the VFs. `method` may be NULL. */
int vfs_refuse_loads(VgpuTarget *t, const VfMethod *method, const char *fate, GArray *held, VgpudError *reterr);
