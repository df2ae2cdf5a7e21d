/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/model/apply.h"

#include <string.h>

#include "base/log-ids.h"
#include "base/log.h"
#include "base/thread.h"
#include "daemon/model/defined.h"
#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/store/known-types.h"
#include "daemon/model/model.h"
#include "daemon/model/rules.h"
#include "daemon/store/records.h"
#include "drivers-glue/problem.h"

/* A new instance may have no type yet, and no event announces the type: repeat the scan at most this often. */
#define UNTYPED_RETRIES 50
/* After this many GPU_GONE failures in a row, stop asking for a discovery. */
#define GONE_SCANS_MAX 3
/* Pause before a failed removal is retried, so that the scan after the attempt does not retry at once. */
#define UNDO_PAUSE_USEC (10 * USEC_PER_SEC)

/* ---- instances ---- */

void apply_remove_instance(Instance *instance, bool keep_record)
{
        Gpu *gpu = instance->gpu;
        Model *m = gpu->model;
        const Record *record = records_get(m->records, instance->desc->uuid);

        assert_main_thread();

        if (!instance->leaving && instance->origin == INSTANCE_ORIGIN_VGPUD && record && record->made)
                defined_log_lost(m, record, "another program or the driver removed it");
        else if (!instance->leaving)
                LOG_FIELDS(LOG_NOTICE,
                           (.gpu = gpu_name(gpu), .instance = instance->desc->uuid,
                            .message_id = VGPUD_MESSAGE_INSTANCE_GONE),
                           "Instance %s of type %s on GPU %s is gone: another program or the driver removed it",
                           instance->desc->uuid,
                           instance->desc->type_id ? instance->desc->type_id : "(unknown)", gpu_name(gpu));

        /* Forget the record before the announcement. Keep a record that is not made: a job is creating a new
         * instance of the same UUID, which owns the record. */
        if (!keep_record && record && record->made && strcmp(record->gpu, gpu_name(gpu)) == 0)
                defined_forget_record(m, instance->desc->uuid);
        MODEL_EMIT(m, instance_removed, instance);
        g_hash_table_remove(m->instances, instance->desc->uuid);
        g_hash_table_remove(gpu->instances, instance->desc->uuid);
}

/* If another GPU of the model has an instance of this UUID, remove the instance there: the kernel has each UUID
 * only once. Either the instance moved to this GPU, or the snapshot is older than a move to the other GPU.
 * Scans of both GPUs decide. */
static void apply_take_over(Gpu *gpu, const char *uuid)
{
        Instance *other = g_hash_table_lookup(gpu->model->instances, uuid);

        if (!other)
                return;

        gpu_want_scan(other->gpu, GPU_SCAN_SOON);
        gpu_want_scan(gpu, GPU_SCAN_SOON);
        apply_remove_instance(other, false);
}

static void apply_add_instance(Gpu *gpu, const InstanceDesc *desc)
{
        Instance *instance;

        apply_take_over(gpu, desc->uuid);
        instance = instance_new(gpu, desc);
        (void)instance_update_origin(instance);
        (void)instance_update_undo(instance);
        (void)instance_update_state(instance, false);
        g_hash_table_insert(gpu->instances, instance->desc->uuid, instance);
        g_hash_table_insert(gpu->model->instances, instance->desc->uuid, instance);

        if (instance->origin == INSTANCE_ORIGIN_FOREIGN)
                LOG_FIELDS(LOG_INFO,
                           (.gpu = gpu_name(gpu), .instance = desc->uuid,
                            .message_id = VGPUD_MESSAGE_INSTANCE_FOREIGN),
                           "Instance %s of type %s on GPU %s was created by another program", desc->uuid,
                           desc->type_id ? desc->type_id : "(unknown)", gpu_name(gpu));

        MODEL_EMIT(gpu->model, instance_added, instance);
}

static void apply_change_instance(Instance *instance, const InstanceDesc *desc, const GHashTable *renamed)
{
        Model *m = instance->gpu->model;
        unsigned changes = 0;

        if (!instance_desc_equal(instance->desc, desc)) {
                /* The tables borrow their keys from the old description. */
                InstanceDesc *copy = instance_desc_copy(desc);

                g_hash_table_steal(instance->gpu->instances, instance->desc->uuid);
                g_hash_table_steal(m->instances, instance->desc->uuid);
                instance_desc_free(instance->desc);
                instance->desc = copy;
                g_hash_table_insert(instance->gpu->instances, copy->uuid, instance);
                g_hash_table_insert(m->instances, copy->uuid, instance);
                changes |= INSTANCE_CHANGED_DESC;
        }

        if (renamed && desc->type_id && g_hash_table_contains((GHashTable *)renamed, desc->type_id))
                changes |= INSTANCE_CHANGED_DESC;
        if (instance_update_origin(instance))
                changes |= INSTANCE_CHANGED_ORIGIN;
        if (instance_update_undo(instance))
                changes |= INSTANCE_CHANGED_DESC; /* `undo` withdraws the hand-over */
        if (changes && instance_update_state(instance, instance->state == INSTANCE_STUCK))
                changes |= INSTANCE_CHANGED_STATE;
        if (changes)
                MODEL_EMIT(m, instance_changed, instance, changes);
}

static void apply_warn_unwritten(const char *uuid, int r)
{
        if (r < 0)
                log_warning_errno(r, "Cannot write the record of instance %s, keeping it in memory: %m", uuid);
}

bool apply_has_place(const GpuFacts *facts, const InstanceDesc *desc)
{
        if (!desc->parent)
                return true;
        if (desc->slot)
                return strcmp(facts->name, desc->parent) == 0 || gpu_facts_find_vf(facts, desc->parent);

        for (guint i = 0; i < facts->mdev_parents->len; i++)
                if (strcmp(((const MdevParent *)facts->mdev_parents->pdata[i])->name, desc->parent) == 0)
                        return true;

        return false;
}

/* True if the snapshot lacks the instance but does not prove its absence: the record is newer than the scan, or
 * newer than facts that lack the parent. `desc` NULL: the instance is not in the model. */
static bool apply_is_out_of_sight(const Gpu *gpu, const GpuSnapshot *snapshot, const char *uuid,
                                  const InstanceDesc *desc)
{
        const Record *record = records_get(gpu->model->records, uuid);
        uint64_t began_usec = desc && apply_has_place(gpu->facts, desc)
                                              ? snapshot->began_usec
                                              : MIN(snapshot->began_usec, gpu->facts->began_usec);

        return record && record->written_usec > began_usec;
}

/* True if the scan could not see whether the instance exists: its VF, parent or own files cannot be read. */
static bool apply_is_unread(const GpuSnapshot *snapshot, const InstanceDesc *desc)
{
        return gpu_snapshot_is_unread(snapshot, desc->uuid) || gpu_snapshot_is_unread(snapshot, desc->slot) ||
               gpu_snapshot_is_unread(snapshot, desc->parent);
}

/* apply_is_unread() for an instance on record. The record of a mediated device does not name its parent, so it
 * counts as unread if any part of the GPU was left out. */
static bool apply_is_record_unread(const Gpu *gpu, const GpuSnapshot *snapshot, const Record *record)
{
        if (record->slot)
                return gpu_snapshot_is_unread(snapshot, record->slot);

        return gpu->facts->mdev_parents->len > 0 && gpu_snapshot_is_partial(snapshot);
}

/* Finish the jobs of a killed daemon. Remove an instance whose job set attributes or created several instances:
 * the work may be incomplete. Complete a removal if the instance is half made: no VM can be using it. */
static void apply_finish_interrupted(Gpu *gpu, const GpuSnapshot *snapshot)
{
        Model *m = gpu->model;
        g_autoptr(GPtrArray) uuids = records_of_gpu(m->records, gpu_name(gpu));

        for (guint i = 0; i < uuids->len; i++) {
                g_autofree char *uuid = g_strdup(uuids->pdata[i]);
                const Record *record = records_get(m->records, uuid);
                const InstanceDesc *desc = gpu_snapshot_find_instance(snapshot, uuid);

                /* No scan has decided about the record yet: the snapshot is a job's or a prediction, or the
                 * device could not be read. */
                if (record->in_doubt) {
                        if (desc)
                                gpu_want_scan(gpu, GPU_SCAN_SOON);
                        continue;
                }

                if (!desc && apply_is_record_unread(gpu, snapshot, record))
                        continue;

                /* The instance was removed before a scan showed it, or its creation never began. */
                if (!desc &&
                    (record->interrupted || (record->made && !g_hash_table_contains(gpu->instances, uuid)))) {
                        if (apply_is_out_of_sight(gpu, snapshot, uuid, NULL))
                                model_wish(m, MODEL_WISH_DISCOVERY);
                        else
                                defined_forget_record(m, uuid);

                        continue;
                }

                if (record->removal_interrupted && desc) {
                        if (desc->half_made)
                                apply_warn_unwritten(uuid, records_commit_undo(m->records, uuid));
                        else if (!record->undo)
                                LOG_FIELDS(LOG_NOTICE, (.gpu = gpu_name(gpu), .instance = uuid),
                                           "Instance %s still exists although an earlier vgpud ended while removing it",
                                           uuid);

                        records_mark_removing(m->records, uuid, false);
                        continue;
                }

                if (!record->interrupted)
                        continue;

                /* Without a slot, the identity is unknown here, but the record has it already. */
                if (desc->identity != 0)
                        records_note_identity(m->records, uuid, desc->identity);
                if (record->undo || desc->half_made) {
                        apply_warn_unwritten(uuid, records_commit_undo(m->records, uuid));
                        continue;
                }

                apply_warn_unwritten(uuid, records_commit(m->records, uuid));
                LOG_FIELDS(LOG_NOTICE, (.gpu = gpu_name(gpu), .instance = uuid),
                           "Keeping instance %s, which exists although an earlier vgpud ended while creating it",
                           uuid);
        }
}

/* Retry removals until the instance is gone, even after a restart of the daemon. */
static void apply_undo_interrupted(Gpu *gpu)
{
        uint64_t now = (uint64_t)g_get_monotonic_time();
        GHashTableIter iter;
        Instance *instance;

        g_hash_table_iter_init(&iter, gpu->instances);
        while (!gpu->model->stopping && g_hash_table_iter_next(&iter, NULL, (gpointer *)&instance)) {
                bool first = instance->undo_usec == 0;

                if (!instance->undo || instance->job || (!first && now - instance->undo_usec < UNDO_PAUSE_USEC))
                        continue;

                if (first)
                        LOG_FIELDS(LOG_NOTICE,
                                   (.gpu = gpu_name(gpu), .instance = instance->desc->uuid,
                                    .message_id = VGPUD_MESSAGE_INSTANCE_UNDONE),
                                   "Removing instance %s, which may be incomplete because its creation or removal was interrupted",
                                   instance->desc->uuid);

                instance->undo_usec = now;
                instance->wants_undo = true;
                model_wish(gpu->model, MODEL_WISH_UNDOS);
        }
}

void apply_retry_undos(Gpu *gpu)
{
        GHashTableIter iter;
        Instance *instance;

        assert_main_thread();

        g_hash_table_iter_init(&iter, gpu->instances);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&instance))
                instance->undo_usec = 0;
}

void apply_log_unproven(const Gpu *gpu, const char *uuid)
{
        assert_main_thread();

        LOG_FIELDS(LOG_WARNING,
                   (.gpu = gpu_name(gpu), .instance = uuid, .message_id = VGPUD_MESSAGE_INSTANCE_UNPROVEN),
                   "Keeping the device of interrupted instance %s on GPU %s as foreign: nothing proves that vgpud created it",
                   uuid, gpu_name(gpu));
}

/* Assign a UUID where the kernel keeps none: the UUID of the record, or one derived from boot id, GPU, slot and
 * type, which is stable until the host restarts. */
static void apply_assign_uuid(Gpu *gpu, InstanceDesc *desc, GHashTable *slots)
{
        const Record *record = desc->slot ? g_hash_table_lookup(slots, desc->slot) : NULL;
        g_autofree char *text = NULL;

        if (record && record->identity != 0 && desc->identity != 0 && record->identity != desc->identity) {
                LOG_FIELDS(LOG_NOTICE, (.gpu = gpu_name(gpu), .instance = record->uuid),
                           "Another program recreated %s of GPU %s, so it is not instance %s any more",
                           desc->slot, gpu_name(gpu), record->uuid);
                record = NULL;
        }

        if (record && record->interrupted && !record->proven && gpu->driver->has_witness) {
                if (!record->in_doubt)
                        apply_log_unproven(gpu, record->uuid);
                record = NULL;
        }

        if (record && record->restore && gpu->driver->match_reservation &&
            !gpu->driver->match_reservation(desc, record->restore))
                record = NULL;

        if (record && desc->type_guessed) {
                g_free(desc->type_id);
                desc->type_id = g_strdup(record->type_id);
        }

        if (record && g_strcmp0(record->type_id, desc->type_id) == 0) {
                memcpy(desc->uuid, record->uuid, sizeof desc->uuid);
                return;
        }

        text = g_strdup_printf("%s/%s/%s/%s", gpu->model->boot_id, gpu_name(gpu), desc->slot,
                               desc->type_id ? desc->type_id : "");
        uuid_derive(text, desc->uuid);
}

static void apply_finish_snapshot(Gpu *gpu, GpuSnapshot *snapshot)
{
        g_autoptr(GHashTable) slots = NULL;

        for (guint i = 0; i < snapshot->instances->len; i++) {
                InstanceDesc *desc = snapshot->instances->pdata[i];

                if (desc->uuid[0])
                        continue;

                if (!slots)
                        slots = records_index_slots(gpu->model->records, gpu_name(gpu));
                apply_assign_uuid(gpu, desc, slots);
        }

        for (guint i = 0; i < snapshot->types->len; i++) {
                VgpuType *t = snapshot->types->pdata[i];

                if (!t->key)
                        t->key = vgpu_type_make_key(t, gpu->facts->vendor);
        }

        gpu_snapshot_seal(snapshot);
        rules_apply(gpu, snapshot);
        known_types_learn(gpu->model->known_types, gpu->facts, snapshot);
}

static bool apply_modes_equal(const GpuSnapshot *a, const GpuSnapshot *b)
{
        if (!a || a->modes->len != b->modes->len)
                return a ? false : b->modes->len == 0;

        for (guint i = 0; i < a->modes->len; i++) {
                const VgpuMode *v = a->modes->pdata[i], *w = b->modes->pdata[i];

                if (strcmp(v->name, w->name) != 0 || g_strcmp0(v->value, w->value) != 0 ||
                    g_strcmp0(v->help, w->help) != 0 || !v->choices != !w->choices ||
                    (v->choices &&
                     !g_strv_equal((const char *const *)v->choices, (const char *const *)w->choices)))
                        return false;
        }

        return true;
}

static bool apply_types_equal(const GpuSnapshot *a, const GpuSnapshot *b)
{
        if (!a || a->types->len != b->types->len)
                return false;

        for (guint i = 0; i < a->types->len; i++)
                if (!vgpu_type_equal(a->types->pdata[i], b->types->pdata[i]))
                        return false;

        return true;
}

/* Ids, borrowed, of types that came, went or changed their name: instances show the name of their type. */
static GHashTable *apply_find_renamed_types(const GpuSnapshot *old, const GpuSnapshot *snapshot)
{
        GHashTable *renamed = g_hash_table_new(g_str_hash, g_str_equal);
        g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
        gpointer id, name;
        GHashTableIter iter;

        for (guint i = 0; old && i < old->types->len; i++) {
                const VgpuType *t = old->types->pdata[i];

                g_hash_table_insert(names, t->id, t->name);
        }

        for (guint i = 0; i < snapshot->types->len; i++) {
                const VgpuType *t = snapshot->types->pdata[i];

                if (!g_hash_table_steal_extended(names, t->id, NULL, &name) || g_strcmp0(name, t->name) != 0)
                        g_hash_table_add(renamed, t->id);
        }

        g_hash_table_iter_init(&iter, names);
        while (g_hash_table_iter_next(&iter, &id, NULL))
                g_hash_table_add(renamed, id);

        return renamed;
}

/* Set the state of the GPU. A GPU in state "ready" has a reason, too, if the scan left a part of it out. */
static void apply_state(Gpu *gpu, const GpuSnapshot *snapshot)
{
        _cleanup_vgpud_hint_ VgpudHint hint = VGPUD_HINT_INIT;
        g_autofree char *problems = NULL;

        if (snapshot->unprepared) {
                gpu_set_state(gpu, GPU_UNPREPARED, snapshot->unprepared, &snapshot->hint);
                return;
        }

        problems = gpu_snapshot_explain_problems(snapshot, &hint);
        if (problems && g_strcmp0(problems, gpu->reason) != 0)
                LOG_FIELDS(LOG_WARNING, (.gpu = gpu_name(gpu), .driver = gpu->driver->name),
                           "A part of GPU %s is left out: %s", gpu_name(gpu), problems);

        gpu_set_state(gpu, GPU_READY, problems, &hint);
}

/* Forget slots without a record: they are not vgpud's own any more. The slots of a running job stay, because a
 * job adds its records before it reserves slots. */
static void apply_forget_slots(Gpu *gpu)
{
        g_auto(GStrv) uuids = vgpu_slots_list(gpu->slots);

        for (char **u = uuids; *u; u++)
                if (!records_get(gpu->model->records, *u))
                        vgpu_slots_remove(gpu->slots, *u);
}

void apply_snapshot(Gpu *gpu, GpuSnapshot *snapshot)
{
        GpuSnapshot *old = gpu->snapshot;
        g_autoptr(GPtrArray) gone = g_ptr_array_new();
        g_autoptr(GHashTable) renamed = NULL;
        unsigned changes = GPU_CHANGED_SCANNED;
        bool untyped = false;
        GHashTableIter iter;
        Instance *instance;

        assert_main_thread();

        apply_finish_snapshot(gpu, snapshot);

        if (!apply_types_equal(old, snapshot)) {
                changes |= GPU_CHANGED_TYPES;
                renamed = apply_find_renamed_types(old, snapshot);
        }

        if (!apply_modes_equal(old, snapshot))
                changes |= GPU_CHANGED_MODES;
        if (old ? !gpu_snapshot_bindings_equal(old, snapshot) : snapshot->bindings->len > 0)
                changes |= GPU_CHANGED_VFS;
        gpu->snapshot = gpu_snapshot_ref(snapshot);
        apply_finish_interrupted(gpu, snapshot);
        gpu->gone_scans = 0;

        g_hash_table_iter_init(&iter, gpu->instances);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&instance)) {
                if (gpu_snapshot_find_instance(snapshot, instance->desc->uuid))
                        continue;

                if (!instance->leaving && apply_is_unread(snapshot, instance->desc))
                        continue;

                if (instance->leaving ||
                    !apply_is_out_of_sight(gpu, snapshot, instance->desc->uuid, instance->desc))
                        g_ptr_array_add(gone, instance);
                else
                        model_wish(gpu->model, MODEL_WISH_DISCOVERY);
        }

        for (guint i = 0; i < gone->len; i++)
                apply_remove_instance(gone->pdata[i], false);
        for (guint i = 0; i < snapshot->instances->len; i++) {
                const InstanceDesc *desc = snapshot->instances->pdata[i];

                instance = g_hash_table_lookup(gpu->instances, desc->uuid);
                if (instance)
                        apply_change_instance(instance, desc, renamed);
                else
                        apply_add_instance(gpu, desc);

                untyped |= !desc->type_id;
        }

        apply_forget_slots(gpu);
        gpu_snapshot_unref(old);
        MODEL_EMIT(gpu->model, gpu_changed, gpu, changes);
        apply_state(gpu, snapshot);
        apply_undo_interrupted(gpu);

        if (!untyped)
                gpu->untyped_retries = 0;
        else if (gpu->untyped_retries++ < UNTYPED_RETRIES)
                gpu_want_scan(gpu, GPU_SCAN_LATER);
}

void apply_scan_failure(Gpu *gpu, const VgpudError *error)
{
        const char *message = error->message ? error->message : "the scan failed";

        assert_main_thread();

        /* A discovery finds out whether the GPU has gone. */
        if (error->code == VGPUD_ERROR_GPU_GONE && gpu->gone_scans++ < GONE_SCANS_MAX)
                model_wish(gpu->model, MODEL_WISH_DISCOVERY);

        LOG_FIELDS(LOG_WARNING, (.gpu = gpu_name(gpu), .driver = gpu->driver->name, .error = -error->errnum),
                   "Cannot scan GPU %s: %s", gpu_name(gpu), message);
        gpu_set_state(gpu, GPU_FAILED, message, &error->hint);
}
