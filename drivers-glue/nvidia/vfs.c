/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The driver nvidia does not support sriov_numvfs. NVIDIA's script sriov-manage unbinds the driver, enables all
 * VFs or none, and binds the driver again. */

#include "drivers-glue/nvidia/vfs.h"

#include <inttypes.h>
#include <string.h>

#include "drivers-glue/nvidia/sriov-manage.h"
#include "drivers-glue/nvidia/vf.h"
#include "drivers-glue/pci-ids.h"

/* While sriov-manage runs, another driver has the GPU for some seconds, and the number of VFs is the script's
 * to set. Without the driver nvidia the VFs are of no use. */
static int nvidia_check_driver(const VfChange *c, VgpudError *reterr)
{
        if (g_strcmp0(c->driver, NVIDIA_DRIVER) == 0)
                return 0;

        return vgpud_error_setf(
                        reterr, VGPUD_ERROR_IN_USE,
                        "GPU %s has left its driver nvidia (%s%s), as it does while another program runs NVIDIA's sriov-manage; its virtual functions are left alone until it is back: try again in a moment, or bind it to nvidia",
                        c->t->facts->name, c->driver ? "it is bound to " : "no driver is bound",
                        c->driver ? c->driver : "");
}

static bool has_types_itself(const GpuFacts *facts)
{
        for (guint i = 0; i < facts->mdev_parents->len; i++)
                if (strcmp(((const MdevParent *)facts->mdev_parents->pdata[i])->name, facts->name) == 0)
                        return true;

        return false;
}

static int nvidia_check(const VfChange *c, VgpudError *reterr)
{
        if (c->wanted == 0)
                return 0;
        if (has_types_itself(c->t->facts))
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_UNSUPPORTED,
                                "vGPUs of GPU %s are made on the GPU itself, where its driver has registered their types; it advertises %" PRIu32
                                " virtual functions, but needs none, and never makes them",
                                c->t->facts->name, c->total);
        if (c->wanted != c->total)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "NVIDIA's sriov-manage enables all %" PRIu32
                                        " virtual functions of GPU %s or none, not %" PRIu32,
                                        c->total, c->t->facts->name, c->wanted);

        return 0;
}

static int nvidia_set(VgpuTarget *t, uint32_t count, VgpudError *reterr)
{
        return nvidia_run_sriov_manage(t, count > 0, reterr);
}

static int nvidia_explain_none(const VfChange *c, VgpudError *reterr)
{
        return vgpud_error_setf(
                        reterr, VGPUD_ERROR_FAILED,
                        "NVIDIA's sriov-manage reported success, but GPU %s has no virtual functions; GPUs from before Ampere (such as a T4) advertise some and never make them: their vGPUs are made on the GPU itself, as soon as the vGPU manager is loaded",
                        c->t->facts->name);
}

static int nvidia_find_instance(VgpuIo *io, const VgpuVf *vf, char **ret)
{
        g_autofree char *type = NULL;
        int r = vgpu_io_readf(io, &type, "%s/nvidia/current_vgpu_type", vf->path);

        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;

        if (strcmp(type, "0") != 0)
                *ret = g_strdup_printf("carries an instance of type nvidia-%s", type);
        return 0;
}

const VfMethod nvidia_vf_method = {
        .check_driver = nvidia_check_driver,
        .check = nvidia_check,
        .set = nvidia_set,
        .explain_none = nvidia_explain_none,
        .find_instance = nvidia_find_instance,
};

const VfMethod *nvidia_vf_method_for(const GpuFacts *facts)
{
        return facts->vendor == PCI_VENDOR_NVIDIA ? &nvidia_vf_method : NULL;
}
