/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/nvidia/readiness.h"

#include <inttypes.h>

#include "drivers-glue/registry.h"

char *nvidia_explain_no_vgpus(const GpuFacts *f, const NvmlAnswer *nvml, bool has_manager, VgpudHint *ret_hint)
{
        if (nvml ? nvml_answer_knows_vgpus(nvml) : has_manager)
                return NULL;

        registry_hint_manager(f, has_manager, ret_hint);

        return g_strdup(has_manager ? "the vGPU manager lists no types for the GPU"
                                    : "no vGPU manager is loaded (NVIDIA's host driver for vGPU)");
}

/* Some GPUs advertise VFs that do not exist. Before the first attempt to enable them, only NVML can
 * tell. */
static char *readiness_explain_no_vfs(const NvidiaReadiness *r, VgpudHint *ret_hint)
{
        const GpuFacts *f = r->facts;
        char *reason = nvidia_explain_no_vgpus(f, r->nvml, r->has_manager, ret_hint);

        if (reason)
                return reason;

        if (r->nvml && r->nvml->host_vgpu_mode == NVML_HOST_VGPU_MODE_NON_SRIOV) {
                vgpud_hint_setf(ret_hint, VGPUD_HINT_LOAD_DRIVER,
                                "check that nvidia_vgpu_vfio is loaded and that nvidia-vgpud and nvidia-vgpu-mgr run");

                return g_strdup_printf(
                                "the GPU advertises %" PRIu32
                                " VFs but creates vGPUs without VFs, and the vGPU manager has registered no types",
                                f->total_vfs);
        }

        if (r->nvml && r->nvml->host_vgpu_mode == NVML_HOST_VGPU_MODE_SRIOV)
                vgpud_hint_setf(ret_hint, VGPUD_HINT_ENABLE_VFS, "run vgpuctl enable-vfs %s", f->name);
        else
                vgpud_hint_setf(ret_hint, VGPUD_HINT_ENABLE_VFS,
                                "run vgpuctl enable-vfs %s; GPUs before Ampere (such as a T4) advertise VFs that do not exist: their types appear on the GPU itself once the vGPU manager is loaded",
                                f->name);

        return g_strdup_printf("the VFs are not enabled (0 of %" PRIu32 ")", f->total_vfs);
}

static char *readiness_explain_not_ready(const NvidiaReadiness *r, VgpudHint *ret_hint)
{
        if (r->n_elsewhere > 0 && r->elsewhere) {
                vgpud_hint_setf(ret_hint, VGPUD_HINT_LOAD_DRIVER,
                                "bind the VFs to nvidia again, or disable and enable them");

                return g_strdup_printf("%" PRIu32 " of the %" PRIu32 " VFs are bound to %s, not to nvidia",
                                       r->n_elsewhere, r->n_vfs, r->elsewhere);
        }

        if (r->n_elsewhere > 0) {
                vgpud_hint_setf(ret_hint, VGPUD_HINT_LOAD_DRIVER,
                                "install NVIDIA's host driver for vGPU (the vGPU manager): the driver for graphics and compute takes no VFs; also check that the IOMMU is on (intel_iommu=on, amd_iommu=on)");

                return g_strdup_printf("%" PRIu32 " of the %" PRIu32 " VFs are bound to no driver",
                                       r->n_elsewhere, r->n_vfs);
        }

        vgpud_hint_setf(ret_hint, VGPUD_HINT_LOAD_DRIVER,
                        "check that nvidia_vgpu_vfio is loaded and that nvidia-vgpud and nvidia-vgpu-mgr run (parts of NVIDIA's host driver for vGPU), then run vgpuctl rescan");

        return g_strdup_printf("none of the %" PRIu32 " VFs has a ready vGPU manager", r->n_vfs);
}

static bool readiness_is_offering(const GpuSnapshot *s)
{
        for (guint i = 0; i < s->types->len; i++)
                if (((const VgpuType *)s->types->pdata[i])->available > 0)
                        return true;

        return s->instances->len > 0;
}

char *nvidia_explain_unprepared(const NvidiaReadiness *r, VgpudHint *ret_hint)
{
        g_assert(r->n_ready + r->n_elsewhere <= r->n_vfs);
        g_assert(!r->elsewhere || r->n_elsewhere > 0);
        g_assert(ret_hint->id == VGPUD_HINT_NONE);

        if (r->n_vfs == 0)
                return readiness_explain_no_vfs(r, ret_hint);
        if (r->n_ready == 0)
                return readiness_explain_not_ready(r, ret_hint);

        if (r->n_shared > 0 || readiness_is_offering(r->snapshot))
                return NULL;

        /* If NVML lists the types, a GPU without GPU instances counts as prepared, although it has no room.
         * GPU instances appear without an event, and create() reads them again. If the GPU were unprepared,
         * vgpud would refuse the request before create() runs. */
        if (r->nvml && r->nvml->mig == 1 && r->nvml->types->len > 0)
                return NULL;

        if (r->nvml && r->nvml->mig == 1) {
                vgpud_hint_setf(ret_hint, VGPUD_HINT_CONFIGURE_GPU,
                                "create GPU instances (nvidia-smi mig -cgi PROFILES -C) and run vgpuctl rescan, or turn MIG mode off");

                return g_strdup("the GPU is in MIG mode and has no GPU instance for a vGPU");
        }

        vgpud_hint_setf(ret_hint, VGPUD_HINT_SEE_KERNEL_LOG,
                        "check that nvidia-vgpu-mgr runs, that the GPU supports vGPU, and whether it is in MIG mode without GPU instances; look into the kernel log, then run vgpuctl rescan");

        return g_strdup("the driver offers no type on any VF");
}
