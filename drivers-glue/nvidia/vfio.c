/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The back end for NVIDIA vGPU without mediated devices (vGPU 17 and later). A write of a type to
 * nvidia/current_vgpu_type of a VF creates a vGPU, a write of 0 removes it. The VFs stay bound to nvidia, which
 * is their VFIO driver. NVIDIA does not promise this interface, so the code checks for files before it uses
 * them.
 *
 * Order of set-up: MIG mode, VFs, heterogeneous mode, GPU instances, types. Once a step is done, the settings
 * of the steps before it cannot be changed. */

#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "drivers-glue/explain.h"
#include "drivers-glue/nvidia/nvml.h"
#include "drivers-glue/nvidia/parse.h"
#include "drivers-glue/nvidia/scan.h"
#include "drivers-glue/nvidia/vf.h"
#include "drivers-glue/nvidia/vfs.h"
#include "drivers-glue/registry.h"
#include "drivers-glue/vfio/use.h"
#include "drivers-glue/vf/bind.h"
#include "drivers-glue/vf/handout.h"

/* Limit of refusals by single VFs: after so many, assume that the reason concerns the whole GPU. */
#define REFUSALS_MAX 4

#define PLUGIN_BUSY       "the plugin of an earlier vGPU has not ended"
#define PLUGIN_BUSY_HINT  VGPUD_HINT_TRY_AGAIN, "retry in a moment, or look into the journal of nvidia-vgpu-mgr"
#define TYPE_UNKNOWN      "the driver does not know the type, or the VF has no VFIO device"
#define TYPE_UNKNOWN_HINT VGPUD_HINT_SEE_KERNEL_LOG, "look for messages of the driver in the kernel log"
#define PLUGIN_RUNS       "the plugin of the vGPU has not ended, so a VM may still use the vGPU"
#define PLUGIN_RUNS_HINT      \
        VGPUD_HINT_STOP_USER, \
                        "stop the VM; if the plugin never ends (see the journal of nvidia-vgpu-mgr), disabling the VFs ends it"

/* Matches GPUs without ready VFs too, to explain the missing step. If mediated types appear later, the mdev
 * back end takes over. */
static VgpuMatch nvidia_match(const GpuFacts *f)
{
        return f->is_pci && g_strcmp0(f->driver, NVIDIA_DRIVER) == 0 && f->total_vfs > 0 &&
                                               f->mdev_parents->len == 0
                               ? VGPU_MATCH_VENDOR
                               : VGPU_MATCH_NO;
}

/* ---- create ---- */

static const VgpuType *nvidia_find_type(const GpuSnapshot *s, const char *id)
{
        for (guint i = 0; i < s->types->len; i++)
                if (strcmp(((const VgpuType *)s->types->pdata[i])->id, id) == 0)
                        return s->types->pdata[i];

        return NULL;
}

/* No VF has room. r: errno of the kernel, 0 if no write failed. */
static int nvidia_explain_no_room(VgpuTarget *t, const CreateArgs *args, int r, VgpudError *reterr)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;
        const VgpuType *wanted;
        int q = nvidia_scan(t, &s, reterr);

        g_assert(r <= 0);

        if (q < 0)
                return q;

        if (s->unprepared) {
                q = vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED, "GPU %s cannot create vGPUs: %s",
                                     t->facts->name, s->unprepared);
                explain_copy_hint(&s->hint, reterr);

                return q;
        }

        wanted = nvidia_find_type(s, args->type_id);
        if (!wanted)
                return explain_no_such_type(s, args->type_id, t->facts->name, reterr);

        if (r == 0 && args->parent && wanted->available > 0) {
                q = vgpud_error_setf(reterr, VGPUD_ERROR_NO_CAPACITY, "VF %s has no room for a %s",
                                     args->parent, wanted->name);
                vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER, "other VFs of GPU %s have room for %" PRIu32,
                                  t->facts->name, wanted->available);

                return q;
        }

        q = vgpud_error_set_errnof(reterr, VGPUD_ERROR_NO_CAPACITY, r, "GPU %s has no room for another %s%s%s",
                                   t->facts->name, wanted->name,
                                   wanted->why_not && wanted->available == 0 ? ": " : "",
                                   wanted->why_not && wanted->available == 0 ? wanted->why_not : "");
        explain_alternatives(s, args->type_id, reterr);

        return q;
}

static int nvidia_refuse_attribute(const VgpuAttribute *a, VgpudError *reterr)
{
        int r = vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                 "NVIDIA's vGPUs have no writable attribute \"%s\"", TEXT_QUOTE(a->name));

        vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER, "the only attribute is " NVIDIA_PARAMS);

        return r;
}

static int nvidia_check_args(VgpuTarget *t, const CreateArgs *args, uint32_t *ret_type, VgpudError *reterr)
{
        int r = create_args_check(args, reterr);

        if (r < 0)
                return r;

        if (args->parent && !gpu_facts_find_vf(t->facts, args->parent))
                return explain_no_vf(t->facts, args->parent, reterr);

        for (guint i = 0; args->attributes && i < args->attributes->len; i++) {
                const VgpuAttribute *a = args->attributes->pdata[i];

                if (!nvidia_params_is_name(a->name))
                        return nvidia_refuse_attribute(a, reterr);
        }

        return nvidia_type_id_parse(args->type_id, ret_type) < 0 ? nvidia_explain_no_room(t, args, 0, reterr)
                                                                 : 0;
}

/* The progress of create() over the VFs. */
typedef struct Attempt {
        VgpuTarget *t;
        const CreateArgs *args;
        uint32_t type;
        guint first;        /* index of the first VF to check */
        guint at;           /* number of VFs checked */
        const VgpuVf *vf;   /* the VF that was tried last */
        const VgpuVf *busy; /* the first VF whose earlier vGPU has not ended; NULL: none */
        guint refused;      /* number of VFs that refused, without busy ones */
        VgpudError shared;  /* owned; why the first VF that shares an IOMMU group cannot be used */
} Attempt;

static void nvidia_attempt_done(Attempt *a)
{
        vgpud_error_done(&a->shared);
}

/* Find the next free VF that offers the type. If the request names a VF, consider only that VF. */
static bool nvidia_attempt_find_vf(Attempt *a)
{
        const GPtrArray *vfs = a->t->facts->vfs;

        while (a->at < vfs->len) {
                guint at = (a->first + a->at++) % vfs->len;
                const VgpuVf *vf = vfs->pdata[at];
                uint32_t now = 0;

                if ((a->args->parent && strcmp(a->args->parent, vf->name) != 0) ||
                    nvidia_vf_read_type(a->t->io, vf->path, &now) < 0 || now != 0 ||
                    !nvidia_vf_offers(a->t->io, vf->path, a->type) ||
                    vf_refuse_shared_group(a->t, vf, a->shared.code ? NULL : &a->shared) < 0)
                        continue;

                /* The next create() of the job starts here: earlier VFs have no room. */
                a->t->parent_hint = at;
                a->vf = vf;
                return true;
        }

        return false;
}

static int nvidia_explain_create(VgpuTarget *t, const CreateArgs *args, const VgpuVf *vf, uint32_t type, int r,
                                 VgpudError *reterr)
{
        static const Refusal refusals[] = {
                { EIO, VGPUD_ERROR_FAILED, "the resource manager refused although the driver offers the type",
                  VGPUD_HINT_SEE_KERNEL_LOG,
                  "look for messages of NVRM in the kernel log; the GPU may be committed to another framebuffer size, or lack a GPU instance (MIG)" },
                { EPERM, VGPUD_ERROR_FAILED, "the VF may be in use, or a security module denies access" },
                { EBUSY, VGPUD_ERROR_FAILED, PLUGIN_BUSY, PLUGIN_BUSY_HINT },
                { EAGAIN, VGPUD_ERROR_FAILED, PLUGIN_BUSY, PLUGIN_BUSY_HINT },
                { EINVAL, VGPUD_ERROR_FAILED, TYPE_UNKNOWN, TYPE_UNKNOWN_HINT },
                { ERANGE, VGPUD_ERROR_FAILED, TYPE_UNKNOWN, TYPE_UNKNOWN_HINT },
                { 0 },
        };
        uint32_t now = 0;

        g_assert(type > 0);
        g_assert(r < 0);

        if (vgpu_io_is_gone(r))
                return explain_gpu_gone(t->facts, r, reterr);

        if (r == -EIO && !nvidia_vf_offers(t->io, vf->path, type))
                return nvidia_explain_no_room(t, args, r, reterr);
        if (r == -EPERM && nvidia_vf_read_type(t->io, vf->path, &now) >= 0 && now != 0)
                return vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r,
                                              "another program has created a nvidia-%u on VF %s meanwhile", now,
                                              vf->name);

        return explain_refusal(refusals, r, reterr, "a %s cannot be created on %s", args->type_id, vf->name);
}

/* Rolls back: removes an incomplete vGPU. *cause, which is emptied, is the error of create(). */
static int nvidia_undo_create(VgpuTarget *t, const VgpuVf *vf, VgpudError *cause, VgpudError *reterr)
{
        uint32_t now = 0;
        int r = nvidia_vf_write_type(t->io, vf->path, 0, NVIDIA_TRIES_MAX, NULL),
            q = nvidia_vf_read_type(t->io, vf->path, &now);

        vgpud_error_require(cause);

        if ((q >= 0 && now == 0) || vgpu_io_is_gone(q))
                return vgpud_error_move(reterr, cause);

        return explain_rollback(vf->name, r, NULL, cause, reterr);
}

static int nvidia_write_attributes(VgpuTarget *t, const CreateArgs *args, const VgpuVf *vf, VgpudError *reterr)
{
        g_autofree char *path = nvidia_vf_file(vf->path, NVIDIA_PARAMS);

        for (guint i = 0; args->attributes && i < args->attributes->len; i++) {
                const VgpuAttribute *a = args->attributes->pdata[i];
                int r = vgpu_attribute_write(t->io, path, a, reterr);

                if (r < 0)
                        return r;
        }

        return 0;
}

static int nvidia_verify_create(VgpuTarget *t, const CreateArgs *args, const VgpuVf *vf, uint32_t type,
                                VgpudError *reterr)
{
        uint32_t now = 0;
        int r = nvidia_vf_read_type(t->io, vf->path, &now);

        if (r >= 0 && now == type)
                return 0;

        if (vgpu_io_is_gone(r))
                return explain_gpu_gone(t->facts, r, reterr);

        if (r < 0)
                return vgpud_error_set_errnof(
                                reterr, VGPUD_ERROR_INCONSISTENT, r,
                                "the driver reported success, but the type of VF %s cannot be read: %s",
                                vf->name, g_strerror(-r));

        return vgpud_error_setf(reterr, VGPUD_ERROR_FAILED,
                                "the driver reported success, but VF %s has %s, not %s", vf->name,
                                now == 0 ? "no type" : "another type", args->type_id);
}

/* True if the reason may concern this VF alone, so that another VF is worth a try. */
static bool nvidia_refusal_is_local(int r)
{
        return r != -EACCES && r != -EPROTO;
}

static bool nvidia_refusal_is_busy(int r)
{
        return r == -EBUSY || r == -EAGAIN;
}

static int nvidia_attempt_explain(const Attempt *a, int r, VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        int q = nvidia_explain_create(a->t, a->args, a->vf, a->type, r, &e);

        g_assert(a->refused > 0 && a->refused <= REFUSALS_MAX);

        if (a->refused < 2 || e.code == VGPUD_ERROR_NO_CAPACITY)
                return vgpud_error_move(reterr, &e);

        q = vgpud_error_set_errnof(reterr, e.code, r, "%s; %u other VF%s refused as well", e.message,
                                   a->refused - 1, a->refused > 2 ? "s" : "");
        explain_copy_hint(&e.hint, reterr);

        return q;
}

static int nvidia_attempt_write(const Attempt *a, unsigned tries_max)
{
        VgpuWitness buffer;

        return nvidia_vf_write_type(a->t->io, a->vf->path, a->type, tries_max,
                                    create_args_witness(a->args, a->vf->path, &buffer));
}

/* Writes the type to a VF, a->vf. After a refusal by one VF, tries the next. Waits for the plugin of an earlier
 * vGPU only if no other VF is free. */
static int nvidia_attempt_take_vf(Attempt *a, VgpudError *reterr)
{
        const VgpuVf *refuser = NULL;
        int r, refusal = 0;

        g_assert(a->type > 0);

        while (a->refused < REFUSALS_MAX && nvidia_attempt_find_vf(a)) {
                r = slot_reserve(a->args, a->vf->name, NULL, reterr);
                if (r < 0)
                        return r;

                r = nvidia_attempt_write(a, 1);
                if (r >= 0)
                        return 0;

                if (nvidia_refusal_is_busy(r)) {
                        a->busy = a->busy ? a->busy : a->vf;
                        continue;
                }

                a->refused++;
                if (!refuser) {
                        refuser = a->vf;
                        refusal = r;
                }

                if (!nvidia_refusal_is_local(r))
                        break;
        }

        if (a->busy && (refusal == 0 || nvidia_refusal_is_local(refusal))) {
                a->vf = a->busy;
                r = slot_reserve(a->args, a->vf->name, NULL, reterr);
                if (r < 0)
                        return r;

                r = nvidia_attempt_write(a, NVIDIA_TRIES_MAX);
                return r < 0 ? nvidia_explain_create(a->t, a->args, a->vf, a->type, r, reterr) : 0;
        }

        if (!refuser && a->shared.code != VGPUD_ERROR_NONE)
                return vgpud_error_move(reterr, &a->shared);
        if (!refuser)
                return nvidia_explain_no_room(a->t, a->args, 0, reterr);

        a->vf = refuser;

        return nvidia_attempt_explain(a, refusal, reterr);
}

static int nvidia_create(VgpuTarget *t, const CreateArgs *args, InstanceDesc **ret, VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError cause = VGPUD_ERROR_INIT;
        _cleanup_(nvidia_attempt_done) Attempt a = { .t = t, .args = args, .first = t->parent_hint };
        InstanceDesc *d = NULL;
        int r;

        r = nvidia_check_args(t, args, &a.type, reterr);
        if (r < 0)
                return r;

        r = nvidia_attempt_take_vf(&a, reterr);
        if (r < 0)
                return r;

        r = nvidia_verify_create(t, args, a.vf, a.type, reterr);
        if (r < 0)
                return r;

        r = nvidia_write_attributes(t, args, a.vf, &cause);
        if (r < 0)
                return nvidia_undo_create(t, a.vf, &cause, reterr);

        r = nvidia_read_instance(t->io, a.vf, a.type, args->uuid, &d);
        if (r < 0) {
                (void)explain_unreadable(a.vf->path, r, &cause);
                return nvidia_undo_create(t, a.vf, &cause, reterr);
        }

        *ret = d;

        return 0;
}

/* ---- destroy ---- */

static int nvidia_explain_destroy(const VgpuVf *vf, int r, VgpudError *reterr)
{
        static const Refusal refusals[] = {
                { EPERM, VGPUD_ERROR_IN_USE, "a VM uses the vGPU, or is shutting down", VGPUD_HINT_STOP_USER,
                  "shut the VM down" },
                { EBUSY, VGPUD_ERROR_IN_USE, PLUGIN_RUNS, PLUGIN_RUNS_HINT },
                { EAGAIN, VGPUD_ERROR_IN_USE, PLUGIN_RUNS, PLUGIN_RUNS_HINT },
                { 0 },
        };

        g_assert(r <= 0);

        if (r == 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_FAILED,
                                        "the driver reported success, but the vGPU on %s still exists",
                                        vf->name);

        return explain_refusal(refusals, r, reterr, "the vGPU on %s cannot be removed", vf->name);
}

static int nvidia_destroy(VgpuTarget *t, const InstanceDesc *instance, VgpudError *reterr)
{
        const VgpuVf vf = { .name = instance->slot, .path = instance->path };
        g_autofree char *cdev = NULL, *type_id = NULL;
        _cleanup_close_ int keep_out_fd = -EBADF;
        uint32_t now = 0;
        int group, r, q;

        g_assert(instance->slot && instance->path);

        r = nvidia_vf_read_type(t->io, vf.path, &now);
        if (vgpu_io_is_gone(r) || (r >= 0 && now == 0))
                return 0;

        if (r < 0)
                return explain_unreadable(vf.path, r, reterr);

        type_id = nvidia_type_id(now);
        if (instance->type_id && strcmp(type_id, instance->type_id) != 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_FOREIGN,
                                        "VF %s has a %s of another program, not the %s of this instance",
                                        vf.name, type_id, instance->type_id);

        if ((r = vfio_read_group(t->io, vf.path, &group)) < 0 ||
            (r = vfio_read_cdev(t->io, vf.path, &cdev)) < 0)
                return vgpu_io_is_gone(r) && !vgpu_io_exists(t->io, vf.path)
                                       ? 0
                                       : explain_unreadable(vf.path, r, reterr);

        r = vfio_keep_out(t->io, group, cdev, &keep_out_fd, reterr);
        if (r < 0)
                return r;

        r = nvidia_vf_write_type(t->io, vf.path, 0, NVIDIA_TRIES_MAX, NULL);
        q = nvidia_vf_read_type(t->io, vf.path, &now);
        keep_out_fd = safe_close(keep_out_fd);

        if ((q >= 0 && now == 0) || vgpu_io_is_gone(q))
                return 1;

        return q < 0 ? explain_unreadable(vf.path, q, reterr) : nvidia_explain_destroy(&vf, r, reterr);
}

static int nvidia_set_vfs(VgpuTarget *t, uint32_t count, uint32_t *ret, VgpudError *reterr)
{
        return vfs_set(t, &nvidia_vf_method, count, ret, reterr);
}

const VgpuDriver nvidia_vfio_driver = {
        .name = "nvidia-vfio",
        .has_witness = true,
        .match = nvidia_match,
        .scan = nvidia_scan,
        .find_instances = nvidia_find_instances,
        .create = nvidia_create,
        .destroy = nvidia_destroy,
        .set_vfs = nvidia_set_vfs,
        .configure = nvidia_configure,
        .handover = handover_new_pci,
};
