/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* NVIDIA's script sriov-manage, run by systemd. */

#include "drivers-glue/driver.h"

/* Run /usr/lib/nvidia/sriov-manage -e or -d for the GPU in the unit vgpud-sriov@.service, and wait up to 10 s
 * for the vGPU manager to take the new VFs. Returns the result of the script; the caller checks its effect.
 * Errors: UNSUPPORTED (sriov-manage is not installed), FAILED (with the unit's last lines in the journal). */
int nvidia_run_sriov_manage(VgpuTarget *t, bool enable, VgpudError *reterr);
