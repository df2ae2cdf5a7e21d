/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/nvidia/scan.h"

#include <inttypes.h>
#include <string.h>

#include "drivers-glue/explain.h"
#include "drivers-glue/nvidia/capacity.h"
#include "drivers-glue/nvidia/nvml.h"
#include "drivers-glue/nvidia/parse.h"
#include "drivers-glue/nvidia/readiness.h"
#include "drivers-glue/nvidia/type-name.h"
#include "drivers-glue/nvidia/vf.h"
#include "drivers-glue/problem.h"
#include "drivers-glue/vf/bind.h"
#include "drivers-glue/vf/handout.h"
#include "drivers-glue/vfio/use.h"

#define DEVICE_API "vfio-pci"

DEFINE_DESTROY_NOTIFY(free_option, vgpu_type_option_free)
typedef struct Scan {
        VgpuTarget *t;
        GpuSnapshot *snapshot;
        NvmlAnswer *nvml;  /* owned; NULL: no answer */
        GHashTable *types; /* id -> VgpuType of the snapshot */
        uint32_t n_ready, n_free, n_not_ready, n_elsewhere, n_gone, n_unread;
        uint32_t n_shared; /* free, but in an IOMMU group with a device that the host uses */
        VgpudError shared; /* owned; the refusal of the first VF in n_shared */
        char *elsewhere;   /* owned; another driver that a VF is bound to */
} Scan;

static void nvidia_scan_done(Scan *s)
{
        nvml_answer_free(s->nvml);
        g_clear_pointer(&s->types, g_hash_table_unref);
        vgpud_error_done(&s->shared);
        g_free(s->elsewhere);
}

/* The type with this id, created if new. The name is NULL if unknown. */
static VgpuType *nvidia_scan_get_type(Scan *s, uint32_t id, const char *name)
{
        g_autofree char *type_id = nvidia_type_id(id);
        VgpuType *t = g_hash_table_lookup(s->types, type_id);

        if (t)
                return t;

        t = vgpu_type_new(type_id);
        if (name) {
                g_free(t->name);
                t->name = g_strdup(name);
        }

        t->device_api = g_strdup(DEVICE_API);
        type_name_apply(t);
        t->options = g_ptr_array_new_with_free_func(free_option);
        g_ptr_array_add(t->options, nvidia_params_option());
        g_ptr_array_add(s->snapshot->types, t);
        g_hash_table_insert(s->types, t->id, t);

        return t;
}

static void nvidia_read_attribute(VgpuIo *io, InstanceDesc *d, const char *name)
{
        g_autofree char *path = nvidia_vf_file(d->path, name), *text = NULL;

        if (vgpu_io_read(io, path, &text) < 0 || !g_strstrip(text)[0])
                return;

        if (!d->attributes)
                d->attributes = vgpu_attributes_new();
        g_autofree char *valid = g_utf8_make_valid(text, -1);
        g_ptr_array_add(d->attributes, vgpu_attribute_new(name, valid));
}

int nvidia_read_instance(VgpuIo *io, const VgpuVf *vf, uint32_t type, const char *uuid, InstanceDesc **ret)
{
        g_autofree char *driver = NULL, *cdev = NULL;
        InstanceDesc *d;
        int group, r;

        if ((r = vfs_read_driver(io, vf->path, &driver)) < 0 ||
            (r = vfio_read_group(io, vf->path, &group)) < 0 || (r = vfio_read_cdev(io, vf->path, &cdev)) < 0)
                return r;

        d = instance_desc_new(uuid);
        d->slot = g_strdup(vf->name);
        d->type_id = nvidia_type_id(type);
        d->parent = g_strdup(vf->name);
        d->path = g_strdup(vf->path);
        d->device_api = g_strdup(DEVICE_API);
        d->driver = g_steal_pointer(&driver);
        d->iommu_group = group;
        d->cdev = g_steal_pointer(&cdev);
        nvidia_read_attribute(io, d, NVIDIA_PARAMS);
        nvidia_read_attribute(io, d, "placement_id");
        nvidia_read_attribute(io, d, "gpu_instance_id");
        *ret = d;

        return 0;
}

/* Returns a negative errno if the VF cannot be read. */
static int nvidia_scan_vf(Scan *s, const VgpuVf *vf)
{
        g_autofree char *driver = NULL;
        InstanceDesc *d = NULL;
        uint32_t type = 0;
        NvidiaVfState state;
        int r;

        r = nvidia_vf_read(s->t->io, vf, &state, &type, &driver);
        if (r < 0) {
                s->n_unread++;
                return r;
        }

        switch (state) {
        case NVIDIA_VF_GONE:
                s->n_gone++;
                return 0;
        case NVIDIA_VF_NOT_READY:
                s->n_not_ready++;
                return 0;
        case NVIDIA_VF_ELSEWHERE:
                s->n_elsewhere++;
                if (!s->elsewhere)
                        s->elsewhere = g_steal_pointer(&driver);
                return 0;
        case NVIDIA_VF_READY:
                break;
        }

        s->n_ready++;
        if (type == 0) {
                g_autoptr(GPtrArray) creatable = nvidia_vf_read_creatable(s->t->io, vf->path);
                bool shared = vf_refuse_shared_group(s->t, vf,
                                                     s->shared.code != VGPUD_ERROR_NONE ? NULL : &s->shared) <
                              0;

                if (!shared)
                        s->n_free++;
                else if (creatable->len > 0)
                        s->n_shared++;

                for (guint i = 0; i < creatable->len; i++) {
                        const NvidiaListed *l = creatable->pdata[i];

                        nvidia_scan_get_type(s, l->id, l->name)->available += !shared;
                }

                return 0;
        }

        r = nvidia_read_instance(s->t->io, vf, type, NULL, &d);
        if (r < 0)
                return vgpu_io_is_gone(r) ? 0 : r;

        g_ptr_array_add(s->snapshot->instances, d);

        return 0;
}

/* Adds what the library reports: details that no file has, and types that the lists of the VFs omit. */
static void nvidia_scan_add_nvml_types(Scan *s)
{
        for (guint i = 0; s->nvml && i < s->nvml->types->len; i++) {
                const NvmlType *n = s->nvml->types->pdata[i];

                if (n->id == 0 || !n->name)
                        continue;

                VgpuType *t = nvidia_scan_get_type(s, n->id, n->name);
                if (t->framebuffer_bytes == 0)
                        t->framebuffer_bytes = n->framebuffer_bytes;
                t->heads = n->heads;
                t->max_x = n->max_x;
                t->max_y = n->max_y;
                t->frame_rate_limit = n->frame_rate_limit;
                t->max_instances = n->max_instances;
                t->mig |= n->mig;
        }
}

/* Adds types that GPUs of this model offered earlier and that the lists omit now. The list of the library is
 * complete, and the lists of a GPU without vGPUs are complete except for MIG types. A known type that is
 * missing in a complete list belongs to another release of the driver, and is not added. */
static void nvidia_scan_add_known_types(Scan *s)
{
        const GPtrArray *known = s->t->known_types;
        bool whole = s->snapshot->instances->len == 0 && s->snapshot->types->len > 0;

        if (s->nvml && s->nvml->types->len > 0)
                return;

        for (guint i = 0; known && i < known->len; i++) {
                const VgpuType *k = known->pdata[i];
                uint32_t id;

                if (nvidia_type_id_parse(k->id, &id) < 0 || (whole && !k->mig))
                        continue;

                VgpuType *t = nvidia_scan_get_type(s, id, k->name);
                if (t->framebuffer_bytes == 0)
                        t->framebuffer_bytes = k->framebuffer_bytes;
        }
}

/* Adds the types of the instances, with the names of known types. */
static void nvidia_scan_add_used_types(Scan *s)
{
        const GPtrArray *known = s->t->known_types;

        for (guint i = 0; i < s->snapshot->instances->len; i++) {
                const InstanceDesc *d = s->snapshot->instances->pdata[i];
                const char *name = NULL;
                uint32_t id;

                for (guint k = 0; known && k < known->len; k++)
                        if (strcmp(((const VgpuType *)known->pdata[k])->id, d->type_id) == 0)
                                name = ((const VgpuType *)known->pdata[k])->name;

                if (nvidia_type_id_parse(d->type_id, &id) >= 0)
                        (void)nvidia_scan_get_type(s, id, name);
        }
}

/* Explains VFs without a vGPU that create() would refuse, because they share their IOMMU group (mostly for lack
 * of ACS). */
static void nvidia_scan_explain_shared(Scan *s)
{
        if (s->n_shared == 0)
                return;

        gpu_snapshot_add_problem(s->snapshot, s->shared.hint.id, s->shared.hint.text, "%s", s->shared.message);

        for (guint i = 0; s->n_free == 0 && i < s->snapshot->types->len; i++) {
                VgpuType *t = s->snapshot->types->pdata[i];

                g_free(t->why_not);
                t->why_not = g_strdup(s->shared.message);
                vgpud_hint_copy(&t->hint, &s->shared.hint);
        }
}

int nvidia_scan(VgpuTarget *t, GpuSnapshot **ret, VgpudError *reterr)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *snapshot = gpu_snapshot_new();
        _cleanup_(nvidia_scan_done) Scan s = { .t = t,
                                               .snapshot = snapshot,
                                               .types = g_hash_table_new(g_str_hash, g_str_equal) };
        const GPtrArray *vfs = t->facts->vfs;

        for (guint i = 0; i < vfs->len; i++) {
                const VgpuVf *vf = vfs->pdata[i];
                int r;

                if (vgpu_target_must_yield(t))
                        return -EAGAIN;

                r = nvidia_scan_vf(&s, vf);
                if (r < 0)
                        gpu_snapshot_add_unread(snapshot, vf->name, vf->path, r);
                if (s.n_unread == vfs->len)
                        return explain_unreadable(vf->path, r, reterr);
        }

        if (s.n_gone == vfs->len && !vgpu_io_exists(t->io, t->facts->path))
                return explain_gpu_gone(t->facts, 0, reterr);

        g_assert(s.n_free + s.n_shared <= s.n_ready);
        g_assert(snapshot->instances->len <= s.n_ready - s.n_free);

        s.nvml = nvml_query(t);
        if (s.nvml)
                nvml_add_modes(s.nvml, snapshot);
        g_assert(s.n_ready + s.n_not_ready + s.n_elsewhere + s.n_gone + s.n_unread == vfs->len);
        snapshot->unprepared = nvidia_explain_unprepared(
                        &(NvidiaReadiness){
                                        .facts = t->facts,
                                        .snapshot = snapshot,
                                        .nvml = s.nvml,
                                        .has_manager = vgpu_io_exists(t->io, FACTS_NVIDIA_MANAGER),
                                        .n_vfs = vfs->len - s.n_gone,
                                        .n_ready = s.n_ready,
                                        .n_elsewhere = s.n_elsewhere,
                                        .n_shared = s.n_shared,
                                        .elsewhere = s.elsewhere,
                        },
                        &snapshot->hint);
        nvidia_scan_add_nvml_types(&s);
        nvidia_scan_add_known_types(&s);
        nvidia_scan_add_used_types(&s);
        /* Without the library the memory of the GPU stays unknown: the types do not show the memory, because
         * the driver may not offer the largest type now. */
        if (s.nvml && s.nvml->framebuffer_bytes > 0)
                snapshot->memory_bytes =
                                nvidia_memory_bytes(snapshot->types, t->known_types, s.nvml->framebuffer_bytes);
        nvidia_capacity(&(NvidiaBudget){
                        .types = snapshot->types,
                        .instances = snapshot->instances,
                        .known_types = t->known_types,
                        .n_vfs = s.n_ready,
                        .free_vfs = s.n_free,
                        .framebuffer_bytes = s.nvml ? s.nvml->framebuffer_bytes : 0,
                        .heterogeneous = s.nvml ? s.nvml->heterogeneous : -1,
                        .mig = s.nvml ? s.nvml->mig : -1,
                        .nvml = s.nvml,
                        .unprepared = snapshot->unprepared,
                        .hint = &snapshot->hint,
        });
        nvidia_scan_explain_shared(&s);
        gpu_snapshot_seal(snapshot);
        *ret = g_steal_pointer(&snapshot);

        return 0;
}

void nvidia_find_instances(VgpuTarget *t, const char *parent, GpuSnapshot *s)
{
        const VgpuVf *vf = gpu_facts_find_vf(t->facts, parent);
        g_autofree char *driver = NULL;
        InstanceDesc *d = NULL;
        NvidiaVfState state;
        uint32_t type = 0;
        int r = vf ? nvidia_vf_read(t->io, vf, &state, &type, &driver) : -ENOENT;

        if (r >= 0 && (state != NVIDIA_VF_READY || type == 0))
                return;

        if (r >= 0)
                r = nvidia_read_instance(t->io, vf, type, NULL, &d);
        if (r < 0)
                gpu_snapshot_add_unread(s, parent, vf ? vf->path : t->facts->path, r);
        else
                g_ptr_array_add(s->instances, d);
}
