/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/nvidia/capacity.h"

#include <inttypes.h>
#include <string.h>

#include "drivers-glue/nvidia/parse.h"
#include "drivers-glue/nvidia/type-name.h"

/* What the instances have made of the GPU. */
typedef struct Use {
        uint64_t total_bytes;     /* 0: not known */
        uint64_t used_bytes;      /* by instances whose size is known */
        uint64_t committed_bytes; /* the largest size of one; 0: none, or none is known */
        uint32_t n_instances;
        bool heterogeneous;
} Use;

static uint64_t to_mb(uint64_t bytes)
{
        return bytes >> 20;
}

static const VgpuType *find_in(const GPtrArray *types, const char *id)
{
        for (guint i = 0; types && i < types->len; i++) {
                const VgpuType *t = types->pdata[i];
                if (strcmp(t->id, id) == 0)
                        return t;
        }
        return NULL;
}

static const VgpuType *find_type(const NvidiaBudget *b, const InstanceDesc *d)
{
        const VgpuType *t = d->type_id ? find_in(b->types, d->type_id) : NULL;

        return t || !d->type_id ? t : find_in(b->known_types, d->type_id);
}

static uint64_t largest(const GPtrArray *types, uint64_t bytes)
{
        for (guint i = 0; types && i < types->len; i++)
                bytes = MAX(bytes, ((const VgpuType *)types->pdata[i])->framebuffer_bytes);
        return bytes;
}

/* Where nobody says which mode it is in, the driver shows it: by what is there, or by what it offers beside it.
 */
static bool is_heterogeneous(const NvidiaBudget *b, uint64_t smallest, uint64_t committed)
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

static Use look_at(const NvidiaBudget *b)
{
        Use u = { .n_instances = b->instances->len };
        uint64_t smallest = 0;

        for (guint i = 0; i < b->instances->len; i++) {
                const VgpuType *t = find_type(b, b->instances->pdata[i]);
                uint64_t bytes = t ? t->framebuffer_bytes : 0;
                if (bytes == 0)
                        continue;
                u.used_bytes += bytes;
                u.committed_bytes = MAX(u.committed_bytes, bytes);
                smallest = smallest > 0 ? MIN(smallest, bytes) : bytes;
        }
        /* What the driver says is less than the types divide: they count what ECC and the firmware take, too.
         */
        u.total_bytes = largest(b->known_types, largest(b->types, b->framebuffer_bytes));
        u.heterogeneous = is_heterogeneous(b, smallest, u.committed_bytes);
        /* While a GPU is committed to a size, larger ones are not listed: the largest that is says nothing. */
        if (b->framebuffer_bytes == 0 && u.n_instances > 0 && !u.heterogeneous &&
            (u.committed_bytes == 0 || u.total_bytes <= u.committed_bytes))
                u.total_bytes = 0;
        return u;
}

static void set(VgpuType *t, uint32_t available, char *why_not)
{
        t->available = available;
        g_free(t->why_not);
        t->why_not = why_not;
}

/* How many of it an empty GPU takes; UINT32_MAX: not known. */
static uint32_t most(const Use *u, const VgpuType *t)
{
        if (t->max_instances > 0)
                return t->max_instances;
        if (u->total_bytes == 0 || t->framebuffer_bytes == 0)
                return UINT32_MAX;
        return (uint32_t)MIN(u->total_bytes / t->framebuffer_bytes, UINT32_MAX - 1);
}

/* How many more the framebuffer holds; UINT32_MAX: not known. */
static uint32_t room(const Use *u, const VgpuType *t)
{
        uint32_t n = most(u, t);

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

static char *say_room(const Use *u, const VgpuType *t)
{
        if (u->heterogeneous)
                return g_strdup_printf("its vGPUs have %" PRIu64 " of %" PRIu64 " MB of framebuffer",
                                       to_mb(u->used_bytes), to_mb(u->total_bytes));
        uint32_t n = most(u, t);
        return g_strdup_printf("the GPU takes %" PRIu32 " vGPU%s of %" PRIu64 " MB, and has %" PRIu32, n,
                               n > 1 ? "s" : "", to_mb(t->framebuffer_bytes), u->n_instances);
}

static char *say_vfs(const NvidiaBudget *b)
{
        if (b->free_vfs == 0)
                return g_strdup_printf("each of its %" PRIu32
                                       " virtual functions carries a vGPU already, and takes only one",
                                       b->n_vfs);
        return g_strdup_printf("only %" PRIu32 " of its %" PRIu32
                               " virtual functions %s free, and each takes one",
                               b->free_vfs, b->n_vfs, b->free_vfs > 1 ? "are" : "is");
}

static char *say_not_offered(const NvidiaBudget *b, const Use *u)
{
        if (b->n_vfs == NVIDIA_NO_VFS)
                return g_strdup_printf(
                                "the driver says that it has no room for %s; the kernel's log and that of "
                                "nvidia-vgpu-mgr may say why",
                                u->n_instances > 0 ? "one more" : "one, although there is none");
        if (u->n_instances == 0)
                return g_strdup("the driver offers it on none of the virtual functions; the kernel's log and "
                                "that of nvidia-vgpu-mgr may say why");
        if (u->heterogeneous)
                return g_strdup_printf(
                                "its vGPUs have %" PRIu64 " of %" PRIu64
                                " MB of framebuffer, and the driver finds no piece of the rest that is large "
                                "enough in one; pieces are aligned to their size, so make large vGPUs first",
                                to_mb(u->used_bytes), to_mb(u->total_bytes));
        return g_strdup("the driver does not offer it on the virtual functions that are free; the kernel's log "
                        "and that of nvidia-vgpu-mgr may say why");
}

/* GPU instances (MIG) */

typedef struct Slices {
        uint32_t there; /* GPU instances of the profile that the type needs */
        uint32_t room;  /* how many more of the type they take; UINT32_MAX: not known */
} Slices;

static uint32_t count_instances(const NvidiaBudget *b, uint32_t id)
{
        g_autofree char *type_id = nvidia_type_id(id);
        uint32_t n = 0;

        for (guint i = 0; i < b->instances->len; i++)
                n += g_strcmp0(((const InstanceDesc *)b->instances->pdata[i])->type_id, type_id) == 0;
        return n;
}

/* A GPU instance takes vGPUs of one type, in most cases only one. */
static Slices count_slices(const NvidiaBudget *b, const VgpuType *t)
{
        Slices s = { .room = UINT32_MAX };
        const NvmlType *wanted;
        uint32_t id, per, busy = 0, begun = 0;

        if (!b->nvml || nvidia_type_id_parse(t->id, &id) < 0)
                return s;
        wanted = nvml_answer_find_type(b->nvml, id);
        if (!wanted || !wanted->mig || !nvml_answer_count_gpu_instances(b->nvml, wanted->profile, &s.there))
                return s;
        for (guint i = 0; i < b->nvml->types->len; i++) {
                const NvmlType *n = b->nvml->types->pdata[i];
                if (!n->mig || n->profile != wanted->profile)
                        continue;
                uint32_t used = count_instances(b, n->id), taken;
                per = MAX(n->max_per_gpu_instance, 1);
                taken = used / per + (used % per > 0);
                busy += taken;
                if (n == wanted)
                        begun = taken * per - used;
        }
        per = MAX(wanted->max_per_gpu_instance, 1);
        s.room = (s.there > busy ? s.there - busy : 0) * per + begun;
        return s;
}

static char *say_no_slice(const VgpuType *t, const Slices *s)
{
        GString *text = g_string_new("it needs a GPU instance (MIG) of ");
        TypeName n;

        if (type_name_parse(t->name, &n) && n.slices > 0)
                g_string_append_printf(text, "%" PRIu32 " slice%s", n.slices, n.slices > 1 ? "s" : "");
        else
                g_string_append(text, "its size");
        g_string_append(text, " that has room for it, and ");
        if (s->room == UINT32_MAX || s->there == 0)
                g_string_append(text, "there is none");
        else
                g_string_append_printf(text, "there %s %" PRIu32 ", which carr%s vGPUs already",
                                       s->there > 1 ? "are" : "is", s->there, s->there > 1 ? "y" : "ies");
        g_string_append(text,
                        "; nvidia-smi mig -cgi makes one, which vgpud finds when one is asked for on this "
                        "GPU, or by vgpuctl rescan");
        return g_string_free(text, FALSE);
}

static void decide_slice(const NvidiaBudget *b, VgpuType *t)
{
        Slices s = count_slices(b, t);
        uint32_t available, usual = t->max_instances > 0 ? t->max_instances : UINT32_MAX;

        if (b->mig == 0) {
                set(t, 0,
                    g_strdup("it is made on a slice of the GPU (MIG), and the GPU is not in MIG mode, which is "
                             "chosen before its virtual functions are enabled"));
                return;
        }
        if (t->available == 0) {
                set(t, 0, say_no_slice(t, &s));
                return;
        }
        if (s.room == UINT32_MAX) {
                set(t, 1,
                    usual == 1 ? NULL
                               : g_strdup("the driver says that there is room for one; how many GPU instances "
                                          "(MIG) could take one is what NVIDIA's library does not tell"));
                return;
        }
        /* It offers one, and so there is room for one, whatever was worked out here. */
        available = MIN(MIN(t->available, b->free_vfs), MIN(MAX(s.room, 1), usual));
        if (available >= usual)
                set(t, available, NULL);
        else if (available < s.room)
                set(t, available, say_vfs(b));
        else
                set(t, available,
                    g_strdup_printf("the GPU has %" PRIu32
                                    " GPU instance%s (MIG) that could take one, and room "
                                    "for %" PRIu32 " more on them",
                                    s.there, s.there > 1 ? "s" : "", available));
}

static void decide(const NvidiaBudget *b, const Use *u, VgpuType *t)
{
        uint32_t n = room(u, t), available, usual;

        if (u->committed_bytes > 0 && !u->heterogeneous && t->framebuffer_bytes > 0 &&
            t->framebuffer_bytes != u->committed_bytes) {
                set(t, 0,
                    g_strdup_printf("all vGPUs of one GPU have the same framebuffer size%s, and this GPU is "
                                    "committed "
                                    "to %" PRIu64 " MB, not %" PRIu64
                                    " MB, until they are all destroyed (it has "
                                    "%" PRIu32 ")",
                                    b->heterogeneous == 0 ? " unless it is in heterogeneous mode" : "",
                                    to_mb(u->committed_bytes), to_mb(t->framebuffer_bytes), u->n_instances));
                return;
        }
        if (n == 0 && (t->available == 0 || (t->max_instances > 0 && !u->heterogeneous))) {
                set(t, 0, say_room(u, t));
                return;
        }
        if (t->available == 0) {
                set(t, 0, say_not_offered(b, u));
                return;
        }
        if (n == UINT32_MAX && u->n_instances > 0) {
                set(t, 1,
                    g_strdup("the driver says that there is room for one; how many fit is not known until "
                             "NVIDIA's library or an idle GPU of this model has said how large it is"));
                return;
        }
        /* It offers one, and so there is room for one, whatever was worked out here. */
        available = MIN(MIN(t->available, b->free_vfs), MAX(n, 1));
        usual = MIN(b->n_vfs, most(u, t));
        if (available >= usual)
                set(t, available, NULL);
        else if (available < MIN(b->free_vfs, n))
                set(t, available,
                    b->n_vfs == NVIDIA_NO_VFS
                                    ? g_strdup_printf("the driver says that it has room for %" PRIu32 " only",
                                                      available)
                                    : g_strdup_printf("the driver offers it on %" PRIu32
                                                      " of its virtual functions only",
                                                      available));
        else
                set(t, available, b->free_vfs <= n ? say_vfs(b) : say_room(u, t));
}

void nvidia_capacity(const NvidiaBudget *b)
{
        Use u = look_at(b);

        for (guint i = 0; i < b->types->len; i++) {
                VgpuType *t = b->types->pdata[i];
                if (b->unprepared)
                        set(t, 0, g_strdup(b->unprepared));
                else if (b->free_vfs == 0)
                        set(t, 0, say_vfs(b));
                else if (t->mig)
                        decide_slice(b, t);
                else if (b->mig == 1)
                        set(t, 0, g_strdup("the GPU is in MIG mode, and makes vGPUs on its slices only"));
                else
                        decide(b, &u, t);
        }
}
