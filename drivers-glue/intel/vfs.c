/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/intel/vfs.h"

#include <errno.h>

const Refusal intel_vf_refusals[] = {
        { EPERM, VGPUD_ERROR_FAILED,
          "an open lockdown file of debugfs (xe) or a guest that has one of them (Xen) locks the number" },
        { ENOKEY, VGPUD_ERROR_FAILED,
          "only a part of their resources was provisioned by hand; provision memory, contexts and doorbells of each or nothing; or the GPU's firmware (GuC) refused" },
        { EPROTO, VGPUD_ERROR_FAILED, EXPLAIN_GUC_OR_WRITER },
        { ECANCELED, VGPUD_ERROR_FAILED, EXPLAIN_WEDGED },
        { ENODEV, VGPUD_ERROR_UNSUPPORTED,
          "the driver does not run it as a GPU with virtual functions (for xe: without the firmware GuC, or with max_vfs=0)" },
        { 0 },
};
