/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Hand out a VF step by step, with a rollback if a step fails. The back ends add their own steps. The functions
 * block; call them in the lane of the GPU. */

#include "drivers-glue/vf/return.h"

typedef struct VfCreate VfCreate;

/* Every member but read_instance and put_back may be NULL. */
typedef struct VfCreateOps {
        /* Read the instance on a newly bound VF. Takes ownership of s->driver. */
        int (*read_instance)(VgpuTarget *t, const VgpuVf *vf, VfState *s, InstanceDesc **ret);
        /* Check the request and save settings into c->was, before the first write. */
        int (*prepare)(VfCreate *c, VgpudError *reterr);
        /* Set up the VF, which is reserved by driver_override now. May choose another VF. */
        int (*provision)(VfCreate *c, VgpudError *reterr);
        /* Return the VF to the state in c->was. */
        int (*put_back)(VfCreate *c, VgpudError *reterr);
        /* Explain the failure *cause. r and *again are the result and the error of put_back(). NULL:
         * vf_explain_undo(). */
        int (*explain_undo)(VfCreate *c, int r, const VgpudError *again, VgpudError *cause, VgpudError *reterr);
} VfCreateOps;

/* The VF to hand out. The back end sets ops, userdata, t, args, vf and was.state. */
struct VfCreate {
        const VfCreateOps *ops;
        void *userdata;
        VgpuTarget *t;
        const CreateArgs *args;

        const VgpuVf *vf;   /* borrowed */
        VfRestore was;      /* owned; the state before */
        char *restore_text; /* owned; `was` as text for the record */
        char *driver;       /* owned; the VFIO driver to bind the VF to */
        GArray *held;       /* owned; locks other users out until the VF is reserved; NULL: none */
        bool vf_failed;     /* the error concerns this VF only: another one may work */
        bool vf_in_use;     /* the VF was not changed: a program uses it, or the host uses a device of its IOMMU
                               group */
};

/* Release all data of one VF, ready for the next one. */
void vf_create_done(VfCreate *c);

/* Bind the VF to this driver, NULL for none. driver_override names c->driver afterwards. */
int vf_create_bind(VfCreate *c, const char *driver, VgpudError *reterr);

/* Hand out the VF: VgpuDriver.create without the choice of the VF. On failure vf_failed and vf_in_use say
 * whether another VF may work. */
int vf_create_run(VfCreate *c, InstanceDesc **ret, VgpudError *reterr);
