/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The driver nvidia does not support sriov_numvfs. NVIDIA's script sriov-manage unbinds the driver, enables all
 * VFs or none, and binds the driver again. */

#include "drivers-glue/nvidia/vfs.h"

#include <inttypes.h>
#include <string.h>

#include "drivers-glue/nvidia/nvml.h"
#include "drivers-glue/nvidia/readiness.h"
#include "drivers-glue/nvidia/sriov-manage.h"
#include "drivers-glue/nvidia/vf.h"
#include "drivers-glue/pci-ids.h"

/* While sriov-manage runs, another driver has the GPU for some seconds, and only the script may change the
 * number of VFs. */
static int nvidia_vfs_check_driver(const VfChange *c, VgpudError *reterr)
{
        int r;

        if (g_strcmp0(c->driver, NVIDIA_DRIVER) == 0)
                return 0;

        r = vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE, "GPU %s is bound to %s, not to nvidia",
                             c->t->facts->name, c->driver ? c->driver : "no driver");
        vgpud_error_hintf(
                        reterr, VGPUD_HINT_STOP_OTHER_TOOL,
                        "another program may be running sriov-manage: retry in a moment, or bind the GPU to nvidia");

        return r;
}

static bool nvidia_vfs_types_on_gpu(const GpuFacts *facts)
{
        for (guint i = 0; i < facts->mdev_parents->len; i++)
                if (strcmp(((const MdevParent *)facts->mdev_parents->pdata[i])->name, facts->name) == 0)
                        return true;

        return false;
}

/* Refuse only if the library answers that the GPU can have no vGPUs. Without an answer go on: sriov-manage is
 * installed only with the vGPU manager, and its result decides. */
static int nvidia_vfs_check_vgpus(const VfChange *c, VgpudError *reterr)
{
        _cleanup_(nvml_answer_freep) NvmlAnswer *a = nvml_query(c->t);
        _cleanup_vgpud_hint_ VgpudHint hint = VGPUD_HINT_INIT;
        g_autofree char *reason = NULL;
        int r;

        if (a)
                reason = nvidia_explain_no_vgpus(c->t->facts, a, vgpu_io_exists(c->t->io, FACTS_NVIDIA_MANAGER),
                                                 &hint);
        if (!reason)
                return 0;

        r = vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED, "the VFs of GPU %s cannot be enabled: %s",
                             c->t->facts->name, reason);
        explain_copy_hint(&hint, reterr);

        return r;
}

static int nvidia_vfs_check(const VfChange *c, VgpudError *reterr)
{
        if (c->wanted == 0)
                return 0;

        if (nvidia_vfs_types_on_gpu(c->t->facts))
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_UNSUPPORTED,
                                "the driver of GPU %s creates vGPUs on the GPU itself, and does not support the %" PRIu32
                                " VFs that the GPU advertises",
                                c->t->facts->name, c->total);

        if (c->wanted != c->total)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "NVIDIA's sriov-manage enables all %" PRIu32
                                        " VFs of GPU %s or none, not %" PRIu32,
                                        c->total, c->t->facts->name, c->wanted);

        return nvidia_vfs_check_vgpus(c, reterr);
}

static int nvidia_vfs_set(VgpuTarget *t, uint32_t count, VgpudError *reterr)
{
        return nvidia_run_sriov_manage(t, count > 0, reterr);
}

static int nvidia_vfs_explain_none(const VfChange *c, VgpudError *reterr)
{
        int r = vgpud_error_setf(reterr, VGPUD_ERROR_FAILED,
                                 "NVIDIA's sriov-manage reported success, but GPU %s has no VFs",
                                 c->t->facts->name);

        vgpud_error_hintf(
                        reterr, VGPUD_HINT_LOAD_DRIVER,
                        "GPUs before Ampere (such as a T4) advertise VFs that do not exist; their vGPU types appear on the GPU itself once the vGPU manager is loaded");

        return r;
}

static int nvidia_vfs_find_instance(VgpuIo *io, const VgpuVf *vf, char **ret)
{
        g_autofree char *type = NULL;
        int r = vgpu_io_readf(io, &type, "%s/nvidia/current_vgpu_type", vf->path);

        g_assert(!*ret);

        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;

        if (strcmp(type, "0") != 0)
                *ret = g_strdup_printf("carries an instance of type nvidia-%s", type);

        return 0;
}

const VfMethod nvidia_vf_method = {
        .check_driver = nvidia_vfs_check_driver,
        .check = nvidia_vfs_check,
        .set = nvidia_vfs_set,
        .explain_none = nvidia_vfs_explain_none,
        .find_instance = nvidia_vfs_find_instance,
};

const VfMethod *nvidia_vf_method_for(const GpuFacts *facts)
{
        return facts->vendor == PCI_VENDOR_NVIDIA ? &nvidia_vf_method : NULL;
}
