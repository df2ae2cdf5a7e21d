/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/nvidia/capacity.h"

#include <inttypes.h>
#include <string.h>

#include "drivers-glue/nvidia/parse.h"
#include "drivers-glue/nvidia/type-name.h"

/* The use of the GPU by its instances. */
typedef struct Use {
        uint64_t total_bytes;     /* 0: unknown */
        uint64_t used_bytes;      /* sum over instances with a known size */
        uint64_t committed_bytes; /* largest known size of an instance; 0: none */
        uint32_t n_instances;
        bool heterogeneous;
} Use;

static uint64_t capacity_to_mb(uint64_t bytes)
{
        return bytes >> 20;
}

static const VgpuType *capacity_find_id(const GPtrArray *types, const char *id)
{
        for (guint i = 0; types && i < types->len; i++) {
                const VgpuType *t = types->pdata[i];

                if (strcmp(t->id, id) == 0)
                        return t;
        }

        return NULL;
}

static const VgpuType *capacity_find_type(const NvidiaBudget *b, const InstanceDesc *d)
{
        const VgpuType *t = d->type_id ? capacity_find_id(b->types, d->type_id) : NULL;

        return t || !d->type_id ? t : capacity_find_id(b->known_types, d->type_id);
}

static uint64_t capacity_largest_size(const GPtrArray *types, uint64_t bytes)
{
        for (guint i = 0; types && i < types->len; i++)
                bytes = MAX(bytes, ((const VgpuType *)types->pdata[i])->framebuffer_bytes);
        return bytes;
}

/* The total that the driver reports excludes memory of ECC and firmware; the sizes of types include it. */
uint64_t nvidia_memory_bytes(const GPtrArray *types, const GPtrArray *known_types, uint64_t framebuffer_bytes)
{
        return capacity_largest_size(known_types, capacity_largest_size(types, framebuffer_bytes));
}

/* If the driver does not report the mode, infer heterogeneous mode from instances of different sizes, or
 * from an available type of another size. */
static bool capacity_is_heterogeneous(const NvidiaBudget *b, uint64_t smallest, uint64_t committed)
{
        if (b->heterogeneous >= 0)
                return b->heterogeneous > 0;

        if (smallest != committed)
                return true;

        for (guint i = 0; committed > 0 && i < b->types->len; i++) {
                const VgpuType *t = b->types->pdata[i];

                if (t->available > 0 && !t->mig && t->framebuffer_bytes > 0 &&
                    t->framebuffer_bytes != committed)
                        return true;
        }

        return false;
}

static Use capacity_measure(const NvidiaBudget *b)
{
        Use u = { .n_instances = b->instances->len };
        uint64_t smallest = 0;

        for (guint i = 0; i < b->instances->len; i++) {
                const VgpuType *t = capacity_find_type(b, b->instances->pdata[i]);
                uint64_t bytes = t ? t->framebuffer_bytes : 0;

                if (bytes == 0)
                        continue;

                u.used_bytes += bytes;
                u.committed_bytes = MAX(u.committed_bytes, bytes);
                smallest = smallest > 0 ? MIN(smallest, bytes) : bytes;
        }

        u.total_bytes = nvidia_memory_bytes(b->types, b->known_types, b->framebuffer_bytes);
        u.heterogeneous = capacity_is_heterogeneous(b, smallest, u.committed_bytes);
        /* A GPU that is committed to a size does not list larger types, so the total cannot be derived from
         * types. */
        if (b->framebuffer_bytes == 0 && u.n_instances > 0 && !u.heterogeneous &&
            (u.committed_bytes == 0 || u.total_bytes <= u.committed_bytes))
                u.total_bytes = 0;

        return u;
}

static void capacity_set(VgpuType *t, uint32_t available, char *why_not)
{
        g_assert(available > 0 || why_not);

        t->available = available;
        g_free(t->why_not);
        t->why_not = why_not;
}

/* The number of instances of the type that an empty GPU holds; UINT32_MAX: unknown. */
static uint32_t capacity_of_empty_gpu(const Use *u, const VgpuType *t)
{
        if (t->max_instances > 0)
                return t->max_instances;

        if (u->total_bytes == 0 || t->framebuffer_bytes == 0)
                return UINT32_MAX;

        return (uint32_t)MIN(u->total_bytes / t->framebuffer_bytes, UINT32_MAX - 1);
}

/* The number of instances of the type that still fit into the framebuffer; UINT32_MAX: unknown. */
static uint32_t capacity_left(const Use *u, const VgpuType *t)
{
        uint32_t n = capacity_of_empty_gpu(u, t);

        if (n == UINT32_MAX || u->n_instances == 0)
                return n;

        if (!u->heterogeneous)
                return n > u->n_instances ? n - u->n_instances : 0;

        if (t->framebuffer_bytes == 0)
                return UINT32_MAX;

        return u->total_bytes > u->used_bytes
                               ? (uint32_t)MIN((u->total_bytes - u->used_bytes) / t->framebuffer_bytes, n)
                               : 0;
}

static char *capacity_explain_framebuffer(const Use *u, const VgpuType *t)
{
        uint32_t n = capacity_of_empty_gpu(u, t);

        if (u->heterogeneous)
                return g_strdup_printf("the vGPUs use %" PRIu64 " of %" PRIu64 " MB of framebuffer",
                                       capacity_to_mb(u->used_bytes), capacity_to_mb(u->total_bytes));

        return g_strdup_printf("the GPU holds at most %" PRIu32 " vGPU%s of %" PRIu64 " MB, and has %" PRIu32
                               " already",
                               n, n > 1 ? "s" : "", capacity_to_mb(t->framebuffer_bytes), u->n_instances);
}

static char *capacity_explain_vfs(const NvidiaBudget *b)
{
        if (b->free_vfs == 0)
                return g_strdup_printf("each of the %" PRIu32 " VFs carries a vGPU already", b->n_vfs);

        return g_strdup_printf("only %" PRIu32 " of the %" PRIu32
                               " VFs %s free, and a VF can carry only one vGPU",
                               b->free_vfs, b->n_vfs, b->free_vfs > 1 ? "are" : "is");
}

static char *capacity_explain_not_offered(const NvidiaBudget *b, const Use *u, VgpudHint *ret_hint)
{
        if (b->n_vfs != NVIDIA_NO_VFS && u->n_instances > 0 && u->heterogeneous) {
                vgpud_hint_setf(ret_hint, VGPUD_HINT_DESTROY_INSTANCE,
                                "create large vGPUs before small ones: the framebuffer of a vGPU is one block, aligned to its size");

                return g_strdup_printf("the vGPUs use %" PRIu64 " of %" PRIu64
                                       " MB of framebuffer, and no free block is large enough for the type",
                                       capacity_to_mb(u->used_bytes), capacity_to_mb(u->total_bytes));
        }

        vgpud_hint_setf(ret_hint, VGPUD_HINT_SEE_KERNEL_LOG,
                        "look for a reason in the kernel log and in the journal of nvidia-vgpu-mgr");
        if (b->n_vfs == NVIDIA_NO_VFS)
                return g_strdup(u->n_instances > 0
                                                ? "the driver reports no room for another one"
                                                : "the driver reports no room, although the GPU has no vGPU");

        return g_strdup(u->n_instances > 0 ? "the driver does not offer the type on the free VFs"
                                           : "the driver does not offer the type on any VF");
}

/* ---- GPU instances (MIG) ---- */

typedef struct Slices {
        uint32_t total; /* GPU instances with the profile of the type */
        uint32_t room;  /* vGPUs of the type that still fit on them; UINT32_MAX: unknown */
} Slices;

static uint32_t capacity_count_instances(const NvidiaBudget *b, uint32_t id)
{
        g_autofree char *type_id = nvidia_type_id(id);
        uint32_t n = 0;

        for (guint i = 0; i < b->instances->len; i++)
                n += g_strcmp0(((const InstanceDesc *)b->instances->pdata[i])->type_id, type_id) == 0;

        return n;
}

/* A GPU instance carries vGPUs of one type only, and in most cases a single vGPU. */
static Slices capacity_count_slices(const NvidiaBudget *b, const VgpuType *t)
{
        Slices s = { .room = UINT32_MAX };
        const NvmlType *wanted;
        uint32_t id, per, busy = 0, begun = 0;

        if (!b->nvml || nvidia_type_id_parse(t->id, &id) < 0)
                return s;

        wanted = nvml_answer_find_type(b->nvml, id);
        if (!wanted || !wanted->mig || !nvml_answer_count_gpu_instances(b->nvml, wanted->profile, &s.total))
                return s;

        for (guint i = 0; i < b->nvml->types->len; i++) {
                const NvmlType *n = b->nvml->types->pdata[i];

                if (!n->mig || n->profile != wanted->profile)
                        continue;

                uint32_t used = capacity_count_instances(b, n->id), taken;
                per = MAX(n->max_per_gpu_instance, 1);
                taken = used / per + (used % per > 0);
                busy += taken;

                if (n == wanted)
                        begun = taken * per - used;
        }

        per = MAX(wanted->max_per_gpu_instance, 1);
        s.room = (s.total > busy ? s.total - busy : 0) * per + begun;

        return s;
}

static char *capacity_explain_no_slice(const VgpuType *t, const Slices *s, VgpudHint *ret_hint)
{
        g_autofree char *size = NULL;
        TypeName n;

        if (type_name_parse(t->name, &n) && n.slices > 0)
                size = g_strdup_printf("%" PRIu32 " slice%s", n.slices, n.slices > 1 ? "s" : "");
        else
                size = g_strdup("its size");

        vgpud_hint_setf(ret_hint, VGPUD_HINT_CONFIGURE_GPU,
                        "create a GPU instance with nvidia-smi mig -cgi; vgpud finds it at the next request or after vgpuctl rescan");
        if (s->room == UINT32_MAX || s->total == 0)
                return g_strdup_printf(
                                "the type needs a GPU instance (MIG) of %s, and the GPU has none with room",
                                size);

        return g_strdup_printf("the type needs a GPU instance (MIG) of %s, and vGPUs use the %" PRIu32
                               " existing one%s",
                               size, s->total, s->total > 1 ? "s" : "");
}

static void capacity_decide_slice(const NvidiaBudget *b, VgpuType *t)
{
        Slices s = capacity_count_slices(b, t);
        uint32_t available, usual = t->max_instances > 0 ? t->max_instances : UINT32_MAX;

        if (b->mig == 0) {
                vgpud_hint_setf(&t->hint, VGPUD_HINT_CONFIGURE_GPU,
                                "disable the VFs, set mode mig of the GPU to yes, and enable the VFs again");
                capacity_set(t, 0, g_strdup("the type needs MIG mode, which is off"));
                return;
        }

        if (t->available == 0) {
                capacity_set(t, 0, capacity_explain_no_slice(t, &s, &t->hint));
                return;
        }

        if (s.room == UINT32_MAX) {
                capacity_set(t, 1,
                             usual == 1 ? NULL
                                        : g_strdup("vgpud knows of room for only one, because the number of GPU instances (MIG) is unknown"));
                return;
        }

        /* The driver offers the type, so at least one fits, whatever the count says. */
        available = MIN(MIN(t->available, b->free_vfs), MIN(MAX(s.room, 1), usual));
        if (available >= usual)
                capacity_set(t, available, NULL);
        else if (available < s.room)
                capacity_set(t, available, capacity_explain_vfs(b));
        else
                capacity_set(t, available,
                             g_strdup_printf("the %" PRIu32
                                             " GPU instance%s (MIG) of the type %s room for only %" PRIu32,
                                             s.total, s.total > 1 ? "s" : "", s.total > 1 ? "have" : "has",
                                             available));
}

static void capacity_refuse_size(const NvidiaBudget *b, const Use *u, VgpuType *t)
{
        if (b->heterogeneous == 0)
                vgpud_hint_setf(&t->hint, VGPUD_HINT_DESTROY_INSTANCE,
                                "destroy all vGPUs of the GPU first; heterogeneous mode, set before the first vGPU, allows several sizes");
        else
                vgpud_hint_setf(&t->hint, VGPUD_HINT_DESTROY_INSTANCE, "destroy all vGPUs of the GPU first");

        capacity_set(t, 0,
                     g_strdup_printf("the %" PRIu32
                                     " vGPU%s of the GPU commit%s it to a framebuffer size of %" PRIu64
                                     " MB, not %" PRIu64 " MB",
                                     u->n_instances, u->n_instances > 1 ? "s" : "",
                                     u->n_instances > 1 ? "" : "s", capacity_to_mb(u->committed_bytes),
                                     capacity_to_mb(t->framebuffer_bytes)));
}

/* Explain why fewer vGPUs of the type are available than on an empty GPU, although the driver offers the
 * type. */
static char *capacity_explain_fewer(const NvidiaBudget *b, const Use *u, const VgpuType *t, uint32_t n,
                                    uint32_t available)
{
        if (available >= MIN(b->free_vfs, n))
                return b->free_vfs <= n ? capacity_explain_vfs(b) : capacity_explain_framebuffer(u, t);

        if (b->n_vfs == NVIDIA_NO_VFS)
                return g_strdup_printf("the driver reports room for only %" PRIu32, available);

        return g_strdup_printf("the driver offers the type on only %" PRIu32 " VF%s", available,
                               available > 1 ? "s" : "");
}

static void capacity_decide(const NvidiaBudget *b, const Use *u, VgpuType *t)
{
        uint32_t n = capacity_left(u, t), available, usual;

        if (u->committed_bytes > 0 && !u->heterogeneous && t->framebuffer_bytes > 0 &&
            t->framebuffer_bytes != u->committed_bytes) {
                capacity_refuse_size(b, u, t);
                return;
        }

        if (n == 0 && (t->available == 0 || (t->max_instances > 0 && !u->heterogeneous))) {
                capacity_set(t, 0, capacity_explain_framebuffer(u, t));
                return;
        }

        if (t->available == 0) {
                capacity_set(t, 0, capacity_explain_not_offered(b, u, &t->hint));
                return;
        }

        if (n == UINT32_MAX && u->n_instances > 0) {
                capacity_set(t, 1,
                             g_strdup("vgpud knows of room for only one, because the framebuffer size of the GPU or of the type is unknown"));
                return;
        }

        /* The driver offers the type, so at least one fits, whatever the count says. */
        available = MIN(MIN(t->available, b->free_vfs), MAX(n, 1));
        usual = MIN(b->n_vfs, capacity_of_empty_gpu(u, t));
        capacity_set(t, available, available >= usual ? NULL : capacity_explain_fewer(b, u, t, n, available));
}

void nvidia_capacity(const NvidiaBudget *b)
{
        Use u = capacity_measure(b);

        g_assert(b->free_vfs <= b->n_vfs);
        g_assert(b->heterogeneous >= -1 && b->heterogeneous <= 1);
        g_assert(b->mig >= -1 && b->mig <= 1);

        for (guint i = 0; i < b->types->len; i++) {
                VgpuType *t = b->types->pdata[i];

                vgpud_hint_copy(&t->hint, b->unprepared ? b->hint : NULL);

                if (b->unprepared)
                        capacity_set(t, 0, g_strdup(b->unprepared));
                else if (b->free_vfs == 0)
                        capacity_set(t, 0, capacity_explain_vfs(b));
                else if (t->mig)
                        capacity_decide_slice(b, t);
                else if (b->mig == 1)
                        capacity_set(t, 0, g_strdup("the GPU is in MIG mode, and offers only MIG types"));
                else
                        capacity_decide(b, &u, t);
        }
}
