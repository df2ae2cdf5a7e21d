/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/model/apply-parents.h"

#include <string.h>

#include "base/thread.h"
#include "daemon/model/apply.h"
#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/model/model.h"
#include "daemon/store/records.h"
#include "drivers-glue/problem.h"

/* The difference between the last snapshot and what the parents show now. */
typedef struct Difference {
        GPtrArray *made; /* owned; its InstanceDesc are borrowed from the quick scan */
        GPtrArray *gone; /* owned; its InstanceDesc are borrowed from the last snapshot */
        bool unfinished; /* the kernel is still adding or removing an instance */
        bool unknown;    /* an instance changed in another way */
} Difference;

static void difference_done(Difference *d)
{
        g_ptr_array_unref(d->made);
        g_ptr_array_unref(d->gone);
}

/* Find the instance in another snapshot. An instance in a slot is found by the slot, because a snapshot that
 * was not applied yet has no UUIDs of slots. */
static const InstanceDesc *parents_find_instance(const GpuSnapshot *s, const InstanceDesc *d)
{
        for (guint i = 0; i < s->instances->len; i++) {
                const InstanceDesc *other = s->instances->pdata[i];

                if (d->slot ? g_strcmp0(other->slot, d->slot) == 0 : strcmp(other->uuid, d->uuid) == 0)
                        return other;
        }

        return NULL;
}

/* True if the kernel has created the instance completely: the kernel creates the link to the type last, and
 * removes this link first. */
static bool parents_is_finished(const InstanceDesc *d)
{
        return d->type_id && !d->half_made && (d->driver || d->iommu_group >= 0 || d->cdev);
}

static void parents_compare(Difference *difference, const InstanceDesc *before, const InstanceDesc *now)
{
        if (before->type_id && !now->type_id)
                difference->unfinished = true;
        else if (before->half_made != now->half_made ||
                 (!now->type_guessed && g_strcmp0(before->type_id, now->type_id) != 0))
                difference->unknown = true;
}

static void parents_find_difference(const GpuSnapshot *before, const GPtrArray *parents,
                                    const GpuSnapshot *found, Difference *ret)
{
        for (guint i = 0; i < found->instances->len; i++) {
                InstanceDesc *now = found->instances->pdata[i];
                const InstanceDesc *known = parents_find_instance(before, now);

                if (known)
                        parents_compare(ret, known, now);
                else if (parents_is_finished(now))
                        g_ptr_array_add(ret->made, now);
                else
                        ret->unfinished = true;
        }

        for (guint i = 0; i < before->instances->len; i++) {
                InstanceDesc *known = before->instances->pdata[i];

                if (g_ptr_array_find_with_equal_func((GPtrArray *)parents, known->parent, g_str_equal, NULL) &&
                    !parents_find_instance(found, known) && !gpu_snapshot_is_unread(found, known->parent) &&
                    !gpu_snapshot_is_unread(found, known->uuid))
                        g_ptr_array_add(ret->gone, known);
        }
}

/* True if the new instance can be shown before a scan. Only a scan assigns UUIDs to slots, and decides whether
 * vgpud created a device whose record is in doubt. */
static bool parents_can_add(const Gpu *gpu, InstanceDesc *d)
{
        const Record *record = d->slot ? NULL : records_get(gpu->model->records, d->uuid);

        if (d->slot || (record && record->in_doubt))
                return false;

        for (guint i = 0; i < gpu->snapshot->types->len; i++) {
                const VgpuType *t = gpu->snapshot->types->pdata[i];

                if (strcmp(t->id, d->type_id) != 0)
                        continue;

                if (!d->device_api)
                        d->device_api = g_strdup(t->device_api);

                return true;
        }

        return false;
}

/* True if the removal can be shown before a scan. If a job works on the instance, the end of the job shows the
 * removal. If the record is newer than the quick scan, the instance has been created again. */
static bool parents_can_remove(const Gpu *gpu, const GpuSnapshot *found, const InstanceDesc *d)
{
        const Instance *instance = g_hash_table_lookup(gpu->instances, d->uuid);
        const Record *record = records_get(gpu->model->records, d->uuid);

        return !d->slot && instance && !instance->job && (!record || record->written_usec < found->began_usec);
}

/* Make a copy of the last snapshot with the difference. The availability stays as it was. */
static GpuSnapshot *parents_make_snapshot(const Gpu *gpu, const Difference *d)
{
        g_autoptr(GPtrArray) gone = g_ptr_array_new();

        for (guint i = 0; i < d->gone->len; i++)
                g_ptr_array_add(gone, ((InstanceDesc *)d->gone->pdata[i])->uuid);

        return gpu_snapshot_predict(gpu->snapshot, d->made, gone);
}

/* Predict the snapshot that a scan would read. If the back end cannot predict the availability, a GPU that is
 * slow to scan shows the instances now and the new availability after the scan. NULL: the GPU is not slow, so
 * the scan shows both. */
static GpuSnapshot *parents_predict(const Gpu *gpu, const Difference *d)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = parents_make_snapshot(gpu, d);

        if (gpu->driver->predict && gpu->driver->predict(gpu->facts, gpu->snapshot, s))
                return g_steal_pointer(&s);

        return gpu_is_slow_to_scan(gpu) ? parents_make_snapshot(gpu, d) : NULL;
}

static bool parents_apply(Gpu *gpu, const GpuSnapshot *found, const Difference *d)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;

        if (d->unknown)
                return false;

        for (guint i = 0; i < d->made->len; i++)
                if (!parents_can_add(gpu, d->made->pdata[i]))
                        return false;

        for (guint i = 0; i < d->gone->len; i++)
                if (!parents_can_remove(gpu, found, d->gone->pdata[i]))
                        return false;

        s = parents_predict(gpu, d);
        if (!s)
                return false;

        /* Remove the instances here. apply_snapshot() might keep them: the predicted snapshot has the time of
         * the last scan, so it does not prove the absence of instances with newer records. */
        for (guint i = 0; i < d->gone->len; i++)
                apply_remove_instance(
                                g_hash_table_lookup(gpu->instances, ((InstanceDesc *)d->gone->pdata[i])->uuid),
                                false);
        apply_snapshot(gpu, s);

        return true;
}

ApplyParents apply_parents(Gpu *gpu, const GPtrArray *parents, GpuSnapshot *found)
{
        _cleanup_(difference_done) Difference d = { .made = g_ptr_array_new(), .gone = g_ptr_array_new() };
        bool changed;

        assert_main_thread();

        /* Without a valid snapshot there is nothing to compare with. The scan that follows finds the change. */
        if (gpu->state != GPU_READY || !gpu->snapshot)
                return APPLY_PARENTS_DONE;

        parents_find_difference(gpu->snapshot, parents, found, &d);
        changed = d.unknown || d.made->len > 0 || d.gone->len > 0;
        if (changed && !parents_apply(gpu, found, &d))
                return APPLY_PARENTS_UNKNOWN;

        return d.unfinished ? APPLY_PARENTS_UNFINISHED : APPLY_PARENTS_DONE;
}
