/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/intel/vfs.h"

#include <errno.h>

const char *intel_explain_vfs(int r, VgpudErrorCode *code)
{
        switch (-r) {
        case EPERM:
                return "it is locked: by an open lockdown file of debugfs (xe), or because a guest has one of them (Xen)";
        case ENOKEY:
                return "only a part of what they need was provisioned by hand; provision all of it (memory, contexts and doorbells of each) or nothing, or the GPU's firmware (GuC) refused";
        case EPROTO:
                return "the GPU's firmware (GuC) refused, or the process that asks the kernel could not be started or died before the answer (the daemon's log would have that)";
        case ECANCELED:
                return "the driver has given the GPU up after an error (it is \"wedged\"); unbind and bind the driver, or reboot";
        case ENODEV:
                *code = VGPUD_ERROR_UNSUPPORTED;
                return "the driver does not run it as a GPU with virtual functions (for xe: without the firmware GuC, or with max_vfs=0)";
        default:
                return NULL;
        }
}
