/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/intel/vfs.h"

#include <errno.h>

const Refusal intel_vf_refusals[] = {
        { EPERM, VGPUD_ERROR_FAILED,
          "the number of VFs is locked: a program has the lockdown file of xe in debugfs open, or a guest of Xen uses a VF" },
        { ENOKEY, VGPUD_ERROR_FAILED,
          "the VFs were provisioned by hand, but not with all resources, or the GPU's firmware (GuC) refused",
          INTEL_PROVISION_HINT },
        { EPROTO, VGPUD_ERROR_FAILED, INTEL_GUC_OR_WRITER, INTEL_GUC_OR_WRITER_HINT },
        { ECANCELED, VGPUD_ERROR_FAILED, INTEL_WEDGED, INTEL_WEDGED_HINT },
        { ENODEV, VGPUD_ERROR_UNSUPPORTED, "the driver does not support VFs on this GPU",
          VGPUD_HINT_CONFIGURE_DRIVER, "xe needs the firmware GuC and a parameter max_vfs other than 0" },
        { 0 },
};
