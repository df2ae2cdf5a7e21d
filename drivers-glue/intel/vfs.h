/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VFs of Intel GPUs: reasons and hints that the drivers xe and i915 share. */

#include "drivers-glue/explain.h"

#define INTEL_LIMIT_HINT \
        "start the kernel with xe.max_vfs=N or i915.max_vfs=N, and make sure that the firmware GuC is loaded"
#define INTEL_LOG_HINT VGPUD_HINT_SEE_KERNEL_LOG, "look for messages of the driver in the kernel log"
#define INTEL_PROVISION_HINT \
        VGPUD_HINT_CONFIGURE_GPU, "provision memory, contexts and doorbells of every VF by hand, or of no VF"
#define INTEL_WEDGED      "the driver has declared the GPU wedged after an error"
#define INTEL_WEDGED_HINT VGPUD_HINT_RESET_GPU, "unbind and rebind the driver, or reboot the host"

/* EPROTO: the firmware GuC refused, or vgpud-write did not start or died before it answered. */
#define INTEL_GUC_OR_WRITER \
        "the GPU's firmware (GuC) refused, or vgpud-write did not start or died before it answered"
#define INTEL_GUC_OR_WRITER_HINT   \
        VGPUD_HINT_SEE_KERNEL_LOG, \
                        "look for messages of the driver in the kernel log, and of vgpud-write in the journal of vgpud.service"

/* VfMethod.refusals */
extern const Refusal intel_vf_refusals[];
