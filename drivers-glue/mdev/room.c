/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/mdev/room.h"

#include <inttypes.h>
#include <string.h>

#include "drivers-glue/explain.h"
#include "drivers-glue/nvidia/capacity.h"
#include "drivers-glue/nvidia/nvml.h"

bool mdev_parents_are_vfs(const GpuFacts *facts)
{
        for (guint i = 0; i < facts->mdev_parents->len; i++)
                if (((const MdevParent *)facts->mdev_parents->pdata[i])->physfn)
                        return true;

        return false;
}

static const VgpuType *room_find_type(const GpuSnapshot *s, const char *id)
{
        for (guint i = 0; id && i < s->types->len; i++) {
                const VgpuType *t = s->types->pdata[i];

                if (strcmp(t->id, id) == 0)
                        return t;
        }

        return NULL;
}

static uint64_t room_to_mb(uint64_t bytes)
{
        return bytes >> 20;
}

/* Append how much the instances use of the resources that all types share. */
static void room_append_use(GString *text, const GpuSnapshot *s)
{
        uint64_t low = 0, high = 0, fences = 0;

        for (guint i = 0; i < s->instances->len; i++) {
                const VgpuType *t = room_find_type(s, ((const InstanceDesc *)s->instances->pdata[i])->type_id);

                if (!t)
                        continue;

                low += t->low_gm_bytes;
                high += t->high_gm_bytes;
                fences += t->fences;
        }

        g_string_append_printf(text, "the GPU has %u instance%s", s->instances->len,
                               s->instances->len > 1 ? "s" : "");
        if (low > 0)
                g_string_append_printf(text,
                                       ", which %s %" PRIu64 " MB of aperture, %" PRIu64
                                       " MB of hidden graphics memory and %" PRIu64 " fences",
                                       s->instances->len > 1 ? "together use" : "uses", room_to_mb(low),
                                       room_to_mb(high), fences);
}

/* If the parents are not VFs, available_instances is correct, and only the reason is missing. Each instance
 * takes room from all types, so give the reason from the first instance on. */
static void room_explain_types(GpuSnapshot *s)
{
        for (guint i = 0; i < s->types->len; i++) {
                VgpuType *t = s->types->pdata[i];
                GString *text;

                if (t->why_not || (t->available > 0 && s->instances->len == 0))
                        continue;

                text = g_string_new(NULL);
                if (s->instances->len == 0) {
                        g_string_append(text, "the driver reports no room, although the GPU has no instance");
                        vgpud_hint_setf(&t->hint, VGPUD_HINT_SEE_KERNEL_LOG,
                                        "look for messages of the driver in the kernel log");
                } else
                        room_append_use(text, s);

                if (t->low_gm_bytes > 0)
                        g_string_append_printf(text,
                                               "; one more needs %" PRIu64 " MB of aperture, %" PRIu64
                                               " MB of hidden graphics memory and %" PRIu32 " fences",
                                               room_to_mb(t->low_gm_bytes), room_to_mb(t->high_gm_bytes),
                                               t->fences);

                t->why_not = g_string_free(text, FALSE);
        }
}

/* True if every type has a maximum and a size. Only NVIDIA's driver reports both, so the rules of capacity.h
 * hold. */
static bool room_has_sizes(const GpuSnapshot *s)
{
        for (guint i = 0; i < s->types->len; i++) {
                const VgpuType *t = s->types->pdata[i];

                if (t->max_instances == 0 || t->framebuffer_bytes == 0)
                        return false;
        }

        return s->types->len > 0;
}

/* Each VF reports room for one instance, even if the GPU has room for fewer instances than VFs. */
static void room_share_among_vfs(VgpuTarget *t, GpuSnapshot *s)
{
        uint32_t n = t->facts->mdev_parents->len, used = s->instances->len;
        _cleanup_(nvml_answer_freep) NvmlAnswer *nvml = nvml_query(t);

        if (nvml)
                nvml_add_modes(nvml, s);
        if (nvml || room_has_sizes(s))
                s->memory_bytes = nvidia_memory_bytes(s->types, NULL, nvml ? nvml->framebuffer_bytes : 0);
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

/* The driver's numbers are correct without VFs; only the reasons are missing. */
static void room_share_by_size(GpuSnapshot *s)
{
        s->memory_bytes = nvidia_memory_bytes(s->types, NULL, 0);
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
        g_assert(t->facts->mdev_parents->len > 0);
        g_assert(s->modes->len == 0 && s->memory_bytes == 0);

        if (mdev_parents_are_vfs(t->facts))
                room_share_among_vfs(t, s);
        else if (room_has_sizes(s))
                room_share_by_size(s);
        else
                room_explain_types(s);
}

/* The value of a mode: 1 for yes, 0 for no, -1 if unknown. */
static int room_read_mode(const GpuSnapshot *s, const char *name)
{
        for (guint i = 0; i < s->modes->len; i++) {
                const VgpuMode *m = s->modes->pdata[i];

                if (strcmp(m->name, name) == 0)
                        return strcmp(m->value, "yes") == 0;
        }

        return -1;
}

/* Find the framebuffer size that all instances have. If *size is not 0 on entry, it must be this size. Without
 * instances, *size does not change. False if the sizes differ or one is unknown. */
static bool room_find_common_size(const GpuSnapshot *s, uint64_t *size)
{
        for (guint i = 0; i < s->instances->len; i++) {
                const VgpuType *t = room_find_type(s, ((const InstanceDesc *)s->instances->pdata[i])->type_id);

                if (!t || t->framebuffer_bytes == 0 || (*size > 0 && *size != t->framebuffer_bytes))
                        return false;

                *size = t->framebuffer_bytes;
        }

        return true;
}

/* True if every type has a known size, no type of MIG is available, and all available types have the size of
 * the instances (if there are any). */
static bool room_is_of_one_size(const GpuSnapshot *s, uint64_t size)
{
        for (guint i = 0; i < s->types->len; i++) {
                const VgpuType *t = s->types->pdata[i];

                if (t->framebuffer_bytes == 0 || (t->mig && t->available > 0) ||
                    (s->instances->len > 0 && t->available > 0 && t->framebuffer_bytes != size))
                        return false;
        }

        return true;
}

/* True if an instance is a slice of the GPU (MIG). */
static bool room_has_slices(const GpuSnapshot *s)
{
        for (guint i = 0; i < s->instances->len; i++) {
                const VgpuType *t = room_find_type(s, ((const InstanceDesc *)s->instances->pdata[i])->type_id);

                if (t && t->mig)
                        return true;
        }

        return false;
}

bool mdev_room_predict(const GpuFacts *facts, const GpuSnapshot *before, GpuSnapshot *s)
{
        uint32_t n = facts->mdev_parents->len, used = s->instances->len, used_before = before->instances->len;
        int heterogeneous = room_read_mode(s, "heterogeneous"), mig = room_read_mode(s, "mig");
        uint64_t size = 0;

        g_assert(heterogeneous >= -1 && heterogeneous <= 1);
        g_assert(mig >= -1 && mig <= 1);

        /* A snapshot with problems may lack instances, which use room. */
        if (before->problems->len > 0 || !mdev_parents_are_vfs(facts) || heterogeneous == 1 || mig == 1 ||
            !room_find_common_size(before, &size) || !room_find_common_size(s, &size) ||
            !room_is_of_one_size(before, size))
                return false;

        /* If the driver does not report whether the GPU is in MIG mode, an instance that is a slice proves MIG
         * mode. In MIG mode, types of the whole GPU never become available. */
        if (mig < 0 && (room_has_slices(before) || room_has_slices(s)))
                return false;

        /* Types of one size share the room. The first instance excludes all other sizes, until the last
         * instance is destroyed. */
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

int mdev_room_refuse(const GpuFacts *facts, const GpuSnapshot *s, const char *type_id, const char *parent,
                     int r, VgpudError *reterr)
{
        const VgpuType *wanted = room_find_type(s, type_id);
        bool elsewhere = parent && wanted && wanted->available > 0;

        g_assert(vgpu_io_name_is_valid(type_id));

        if (elsewhere)
                r = vgpud_error_set_errnof(reterr, VGPUD_ERROR_NO_CAPACITY, r, "%s has no room for another %s",
                                           parent, type_id);
        else
                r = vgpud_error_set_errnof(reterr, VGPUD_ERROR_NO_CAPACITY, r,
                                           "GPU %s has no room for another %s%s%s", facts->name, type_id,
                                           wanted && wanted->why_not ? ": " : "",
                                           wanted && wanted->why_not ? wanted->why_not : "");

        if (elsewhere)
                vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER,
                                  "other parents of GPU %s have room for %" PRIu32, facts->name,
                                  wanted->available);
        else
                explain_alternatives(s, type_id, reterr);

        return r;
}
