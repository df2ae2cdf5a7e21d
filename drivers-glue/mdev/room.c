/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/mdev/room.h"

#include <inttypes.h>
#include <string.h>

#include "drivers-glue/nvidia/capacity.h"
#include "drivers-glue/nvidia/nvml.h"

/* Types named in one message. */
#define NAMES_IN_MESSAGE_MAX 8

bool mdev_parents_are_vfs(const GpuFacts *facts)
{
        for (guint i = 0; i < facts->mdev_parents->len; i++)
                if (((const MdevParent *)facts->mdev_parents->pdata[i])->physfn)
                        return true;
        return false;
}

static const VgpuType *find_type(const GpuSnapshot *s, const char *id)
{
        for (guint i = 0; id && i < s->types->len; i++) {
                const VgpuType *t = s->types->pdata[i];
                if (strcmp(t->id, id) == 0)
                        return t;
        }
        return NULL;
}

static uint64_t to_mb(uint64_t bytes)
{
        return bytes >> 20;
}

/* What the existing instances have taken of the budget that all types share. */
static void append_use(GString *text, const GpuSnapshot *s)
{
        uint64_t low = 0, high = 0, fences = 0;

        for (guint i = 0; i < s->instances->len; i++) {
                const VgpuType *t = find_type(s, ((const InstanceDesc *)s->instances->pdata[i])->type_id);
                if (!t)
                        continue;
                low += t->low_gm_bytes;
                high += t->high_gm_bytes;
                fences += t->fences;
        }
        g_string_append_printf(text, "it has %u instance%s", s->instances->len,
                               s->instances->len > 1 ? "s" : "");
        if (low > 0)
                g_string_append_printf(text,
                                       ", which %s %" PRIu64 " MB of aperture, %" PRIu64
                                       " MB of other graphics memory and %" PRIu64 " fences",
                                       s->instances->len > 1 ? "together use" : "uses", to_mb(low), to_mb(high),
                                       fences);
}

/* Where the parents are not virtual functions, available_instances is the whole truth, but for the reasons. It
 * is less than there could be as soon as there is an instance. */
static void say_why_not(GpuSnapshot *s)
{
        for (guint i = 0; i < s->types->len; i++) {
                VgpuType *t = s->types->pdata[i];
                GString *text;

                if (t->why_not || (t->available > 0 && s->instances->len == 0))
                        continue;
                text = g_string_new(NULL);
                if (s->instances->len == 0)
                        g_string_append(text,
                                        "the driver says that it has no room for one, although there is no "
                                        "instance; see the kernel's log for why");
                else
                        append_use(text, s);
                if (t->low_gm_bytes > 0)
                        g_string_append_printf(text,
                                               "; one more needs %" PRIu64 " MB of aperture, %" PRIu64
                                               " MB of other graphics memory and %" PRIu32 " fences",
                                               to_mb(t->low_gm_bytes), to_mb(t->high_gm_bytes), t->fences);
                t->why_not = g_string_free(text, FALSE);
        }
}

/* Each virtual function says that it has room for one, also when the GPU has not that many. */
static void share_among_vfs(VgpuTarget *t, GpuSnapshot *s)
{
        uint32_t n = t->facts->mdev_parents->len, used = s->instances->len;
        _cleanup_(nvml_answer_freep) NvmlAnswer *nvml = nvml_query(t);

        if (nvml)
                nvml_add_modes(nvml, s);
        nvidia_capacity(&(NvidiaBudget){
                        .types = s->types,
                        .instances = s->instances,
                        .n_vfs = n,
                        .free_vfs = n > used ? n - used : 0,
                        .framebuffer_bytes = nvml ? nvml->framebuffer_bytes : 0,
                        .heterogeneous = nvml ? nvml->heterogeneous : -1,
                        .mig = nvml ? nvml->mig : -1,
                        .nvml = nvml,
        });
}

/* Only NVIDIA's driver says how many of a type fit on a GPU, and of what size they are: with that come the
 * rules. */
static bool has_sizes(const GpuSnapshot *s)
{
        for (guint i = 0; i < s->types->len; i++) {
                const VgpuType *t = s->types->pdata[i];
                if (t->max_instances == 0 || t->framebuffer_bytes == 0)
                        return false;
        }
        return s->types->len > 0;
}

/* The numbers are the driver's; what it does not say is why. */
static void share_by_size(GpuSnapshot *s)
{
        nvidia_capacity(&(NvidiaBudget){
                        .types = s->types,
                        .instances = s->instances,
                        .n_vfs = NVIDIA_NO_VFS,
                        .free_vfs = NVIDIA_NO_VFS,
                        .heterogeneous = -1,
                        .mig = -1,
        });
}

void mdev_room_find(VgpuTarget *t, GpuSnapshot *s)
{
        if (mdev_parents_are_vfs(t->facts))
                share_among_vfs(t, s);
        else if (has_sizes(s))
                share_by_size(s);
        else
                say_why_not(s);
}

/* 1, 0, or -1: not known. */
static int read_mode(const GpuSnapshot *s, const char *name)
{
        for (guint i = 0; i < s->modes->len; i++) {
                const VgpuMode *m = s->modes->pdata[i];
                if (strcmp(m->name, name) == 0)
                        return strcmp(m->value, "yes") == 0;
        }
        return -1;
}

/* The framebuffer size that all instances have: 0 where there are none. False: they differ, or it is not known.
 */
static bool find_common_size(const GpuSnapshot *s, uint64_t *size)
{
        for (guint i = 0; i < s->instances->len; i++) {
                const VgpuType *t = find_type(s, ((const InstanceDesc *)s->instances->pdata[i])->type_id);
                if (!t || t->framebuffer_bytes == 0 || (*size > 0 && *size != t->framebuffer_bytes))
                        return false;
                *size = t->framebuffer_bytes;
        }
        return true;
}

/* Whether all of the GPU's types have the size of its instances, or none can be made. */
static bool is_of_one_size(const GpuSnapshot *s, uint64_t size)
{
        for (guint i = 0; i < s->types->len; i++) {
                const VgpuType *t = s->types->pdata[i];
                if (t->framebuffer_bytes == 0 || (t->mig && t->available > 0) ||
                    (s->instances->len > 0 && t->available > 0 && t->framebuffer_bytes != size))
                        return false;
        }
        return true;
}

/* Whether one of the instances is on a slice of the GPU (MIG). */
static bool has_slices(const GpuSnapshot *s)
{
        for (guint i = 0; i < s->instances->len; i++) {
                const VgpuType *t = find_type(s, ((const InstanceDesc *)s->instances->pdata[i])->type_id);
                if (t && t->mig)
                        return true;
        }
        return false;
}

bool mdev_room_amend(const GpuFacts *facts, const GpuSnapshot *before, GpuSnapshot *s)
{
        uint32_t n = facts->mdev_parents->len, used = s->instances->len, used_before = before->instances->len;
        int heterogeneous = read_mode(s, "heterogeneous"), mig = read_mode(s, "mig");
        uint64_t size = 0;

        if (!mdev_parents_are_vfs(facts) || heterogeneous == 1 || mig == 1 ||
            !find_common_size(before, &size) || !find_common_size(s, &size) || !is_of_one_size(before, size))
                return false;
        /* Where nobody tells the mode, a slice shows that it is MIG: nothing else is let in again. */
        if (mig < 0 && (has_slices(before) || has_slices(s)))
                return false;
        /* Types of one size share what there is; the first instance excludes all others, and the last one that
         * goes lets them in again. */
        for (guint i = 0; i < s->types->len; i++) {
                VgpuType *t = s->types->pdata[i];
                uint64_t room = (uint64_t)t->available + used_before;
                if (used == 0)
                        t->available = t->mig ? 0 : n;
                else if (t->framebuffer_bytes != size || room < used)
                        t->available = 0;
                else
                        t->available = (uint32_t)MIN(room - used, n);
        }
        nvidia_capacity(&(NvidiaBudget){
                        .types = s->types,
                        .instances = s->instances,
                        .n_vfs = n,
                        .free_vfs = n > used ? n - used : 0,
                        .heterogeneous = heterogeneous,
                        .mig = mig,
        });
        return true;
}

static void append_still_possible(GString *text, const GpuSnapshot *s, const char *refused)
{
        guint n = 0;

        for (guint i = 0; i < s->types->len; i++) {
                const VgpuType *t = s->types->pdata[i];
                if (t->available == 0 || n == NAMES_IN_MESSAGE_MAX || strcmp(t->id, refused) == 0)
                        continue;
                g_string_append_printf(text, "%s%s (%" PRIu32 ")", n > 0 ? ", " : "; still possible: ", t->id,
                                       t->available);
                n++;
        }
        if (n == 0 && s->instances->len > 0)
                g_string_append(text, "; destroy one first");
}

char *mdev_room_refuse(const GpuFacts *facts, const GpuSnapshot *s, const char *type_id, const char *parent)
{
        const VgpuType *wanted = find_type(s, type_id);
        GString *text;

        if (parent && wanted && wanted->available > 0)
                return g_strdup_printf(
                                "there is no room for another %s on %s, but other parents of GPU %s have "
                                "room for %" PRIu32,
                                type_id, parent, facts->name, wanted->available);
        text = g_string_new(NULL);
        g_string_printf(text, "there is no room for another %s on GPU %s", type_id, facts->name);
        if (wanted && wanted->why_not)
                g_string_append_printf(text, ": %s", wanted->why_not);
        append_still_possible(text, s, type_id);
        return g_string_free(text, FALSE);
}
