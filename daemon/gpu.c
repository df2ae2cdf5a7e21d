/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/gpu.h"

#include <inttypes.h>
#include <string.h>

#include "base/log-ids.h"
#include "base/log.h"
#include "daemon/autoprobe.h"
#include "daemon/manager-private.h"

/* Events come in bunches (an mdev sends four, a virtual function three): look once, when the first is this old.
 */
#define SETTLE_USEC (20 * USEC_PER_MSEC)
/* The kernel makes the link to the type after the last event of a creation. Look again this often, this many
 * times. */
#define UNTYPED_RETRY_USEC (100 * USEC_PER_MSEC)
#define GONE_LOOKS         3
#define UNTYPED_RETRIES    50
/* Each parent says of each type how many it can make. So many of these attributes are read within about a
 * millisecond where they are plain; of a GPU with more (32 virtual functions with 23 types have 736) the answer
 * to a request does not wait for all of them. */
#define SCAN_AT_ONCE_MAX 256
/* A removal of ours that has failed is tried again when the GPU is looked at, but what the attempt itself has
 * brought about is over by then. */
#define UNDO_PAUSE_USEC (10 * USEC_PER_SEC)

static const char *const gpu_state_table[_GPU_STATE_MAX] = {
        [GPU_NEW] = "new",
        [GPU_READY] = "ready",
        [GPU_UNPREPARED] = "unprepared",
        [GPU_UNSUPPORTED] = "unsupported",
        [GPU_FAILED] = "failed",
        [GPU_STUCK] = "stuck",
};
DEFINE_STRING_TABLE_TO_STRING(gpu_state, GpuState)

bool gpu_is_stale(const Gpu *gpu)
{
        return gpu->state == GPU_STUCK || gpu->state == GPU_FAILED;
}

bool gpu_is_busy(Gpu *gpu)
{
        return gpu->state != GPU_STUCK && (gpu->current || gpu->scan || !g_queue_is_empty(&gpu->waiting));
}

bool gpu_scan_can_wait(const Gpu *gpu)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *same = NULL;

        if (gpu->state != GPU_READY || !gpu->snapshot || !gpu->facts->mdev_parents || !gpu->driver->amend ||
            (uint64_t)gpu->facts->mdev_parents->len * gpu->snapshot->types->len <= SCAN_AT_ONCE_MAX)
                return false;
        same = gpu_snapshot_amend(gpu->snapshot, NULL, NULL);
        return gpu->driver->amend(gpu->facts, gpu->snapshot, same);
}

void gpu_set_state(Gpu *gpu, GpuState state, const char *reason)
{
        if (gpu->state == state && g_strcmp0(gpu->reason, reason) == 0)
                return;
        if (gpu->state == GPU_STUCK && (state == GPU_READY || state == GPU_UNPREPARED))
                LOG_FIELDS(LOG_NOTICE, (.gpu = gpu_name(gpu), .message_id = VGPUD_MESSAGE_GPU_RECOVERED),
                           "GPU %s answers again", gpu_name(gpu));
        gpu->state = state;
        g_free(gpu->reason);
        gpu->reason = g_strdup(reason);
        MANAGER_EMIT(gpu->manager, gpu_changed, gpu, GPU_CHANGED_STATE);
        manager_check_ready(gpu->manager);
}

/* ---- scans that events cause ---- */

/* Of a record: a slot, and what its removal has to put back. */
typedef struct Claim {
        char *slot, *restore; /* owned */
        uint64_t identity;    /* of what it was made of; 0: not known */
} Claim;

static void claim_free(gpointer p)
{
        Claim *c = p;

        g_free(c->slot);
        g_free(c->restore);
        g_free(c);
}

typedef struct Scan {
        LaneWork work; /* first */
        Manager *manager;
        Gpu *gpu; /* borrowed; NULL once the GPU has gone */
        const VgpuDriver *driver;
        LatestFacts *latest;    /* ref */
        GpuFacts *facts;        /* ref; with which it began to run; NULL before */
        GPtrArray *known_types; /* ref */
        int runtime_fd;         /* borrowed; for GpuNotes */
        bool probe_again;       /* sriov_drivers_autoprobe was left switched off, see autoprobe.h */
        bool probed_again;      /* and it is on again */
        GPtrArray *claims;      /* owned: Claim, of an earlier daemon; NULL: none */
        GpuSnapshot *snapshot;
        VgpudError error;
        sd_event_source *deadline;
} Scan;

static void scan_free(Scan *s)
{
        sd_event_source_disable_unref(s->deadline);
        latest_facts_unref(s->latest);
        gpu_facts_unref(s->facts);
        g_ptr_array_unref(s->known_types);
        g_clear_pointer(&s->claims, g_ptr_array_unref);
        gpu_snapshot_unref(s->snapshot);
        vgpud_error_done(&s->error);
        g_free(s);
}

/* Only of what it was made of: somebody else may have made the slot anew. */
static void settle_claim(const Scan *s, VgpuTarget *t, const Claim *c)
{
        const VgpuVf *vf = gpu_facts_find_vf(t->facts, c->slot);
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        uint64_t now;

        if (vf && c->identity != 0 && vgpu_io_identify(t->io, vf->path, &now) >= 0 && now != c->identity)
                return;
        if (s->driver->settle(t, c->slot, c->restore, &error) < 0)
                log_warning("%s of GPU %s could not be returned to what it was, which an earlier daemon had "
                            "begun: %s",
                            c->slot, s->facts->name, error.message);
}

static void scan_run(LaneWork *w, VgpuIo *io)
{
        Scan *s = (Scan *)w;
        VgpuTarget t = { .io = io, .known_types = s->known_types };

        t.facts = s->facts = latest_facts_get(s->latest);
        t.notes = &(GpuNotes){ s->runtime_fd, s->facts->name };
        if (s->probe_again) {
                g_autofree char *path = g_strconcat(s->facts->path, "/sriov_drivers_autoprobe", NULL);
                int r = vgpu_io_write(io, path, "1");
                s->probed_again = r >= 0 || r == -ENOENT;
                if (s->probed_again)
                        autoprobe_unmark(s->runtime_fd, s->facts->name);
        }
        for (guint i = 0; s->claims && i < s->claims->len; i++)
                settle_claim(s, &t, s->claims->pdata[i]);
        if (s->driver->scan(&t, &s->snapshot, &s->error) >= 0)
                instances_identify(io, s->snapshot->instances);
}

static int on_scan_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
        Scan *s = userdata;
        Gpu *gpu = s->gpu;

        s->deadline = sd_event_source_disable_unref(s->deadline);
        if (!gpu)
                return 0;
        g_autofree char *reason =
                        g_strdup_printf("looking at it has not come back from the kernel for %" PRIu64 " s",
                                        gpu->manager->config->job_timeout_usec / USEC_PER_SEC);
        LOG_FIELDS(LOG_ERR, (.gpu = gpu_name(gpu), .message_id = VGPUD_MESSAGE_GPU_STUCK),
                   "GPU %s is stuck: %s", gpu_name(gpu), reason);
        gpu_set_state(gpu, GPU_STUCK, reason);
        gpu_cancel_waiting(gpu, VGPUD_ERROR_GPU_STUCK, reason);
        return 0;
}

static void scan_started(LaneWork *w)
{
        Scan *s = (Scan *)w;
        int r = sd_event_add_time_relative(s->manager->event, &s->deadline, CLOCK_MONOTONIC,
                                           s->manager->config->job_timeout_usec, 10 * USEC_PER_MSEC,
                                           on_scan_deadline, s);

        if (r < 0)
                log_warning_errno(r, "Cannot set the deadline of a scan: %m");
}

bool gpu_has_answered_since(const Gpu *gpu, uint64_t usec)
{
        GHashTableIter iter;
        gpointer uuid;

        if (gpu->facts->began_usec > usec ||
            (gpu->snapshot && gpu->state != GPU_FAILED && gpu->snapshot->began_usec > usec))
                return true;
        /* A job or a look that began before may have ended since. */
        g_hash_table_iter_init(&iter, gpu->instances);
        while (g_hash_table_iter_next(&iter, &uuid, NULL)) {
                const Record *record = records_get(gpu->manager->records, uuid);
                if (record && record->written_usec > usec)
                        return true;
        }
        return false;
}

void gpu_has_answered(Gpu *gpu)
{
        if (gpu->state == GPU_STUCK)
                gpu_set_state(gpu, GPU_FAILED, "it answers again, and has yet to be looked at");
}

static void scan_done(LaneWork *w)
{
        Scan *s = (Scan *)w;
        Gpu *gpu = s->gpu;

        if (gpu) {
                gpu->scan = NULL;
                if (s->probed_again)
                        gpu->probe_again = false;
                if (!gpu_facts_equal(s->facts, gpu->facts)) {
                        gpu_has_answered(gpu);
                        gpu->scan_again = true; /* what it saw may not be so any more */
                } else if (s->snapshot)
                        gpu_apply_snapshot(gpu, s->snapshot);
                else
                        gpu_scan_failed(gpu, &s->error);
                if (gpu->scan_again) {
                        gpu->scan_again = false;
                        gpu_request_scan(gpu, false);
                }
        }
        scan_free(s);
}

void gpu_scan_failed(Gpu *gpu, const VgpudError *error)
{
        const char *message = error->message ? error->message : "it could not be looked at";

        /* Which says what has become of it; and if that is nothing, asking for ever would be no use. */
        if (error->code == VGPUD_ERROR_GPU_GONE && gpu->gone_looks++ < GONE_LOOKS)
                inventory_request(gpu->manager->inventory);
        LOG_FIELDS(LOG_WARNING, (.gpu = gpu_name(gpu), .driver = gpu->driver->name, .error = -error->errnum),
                   "Cannot look at GPU %s: %s", gpu_name(gpu), message);
        gpu_set_state(gpu, GPU_FAILED, message);
}

/* What an earlier daemon had claimed is looked at once, by the first scan. */
static GPtrArray *find_claims(const Gpu *gpu)
{
        g_autoptr(GPtrArray) uuids = records_of_gpu(gpu->manager->records, gpu_name(gpu));
        g_autoptr(GPtrArray) claims = g_ptr_array_new_with_free_func(claim_free);

        if (!gpu->driver->settle || gpu->state != GPU_NEW)
                return NULL;
        for (guint i = 0; i < uuids->len; i++) {
                const Record *record = records_get(gpu->manager->records, uuids->pdata[i]);
                if (!record->slot || !record->restore)
                        continue;
                Claim *c = g_new(Claim, 1);
                *c = (Claim){ .slot = g_strdup(record->slot),
                              .restore = g_strdup(record->restore),
                              .identity = record->identity };
                g_ptr_array_add(claims, c);
        }
        return claims->len > 0 ? g_steal_pointer(&claims) : NULL;
}

static void gpu_submit_scan(Gpu *gpu)
{
        if (gpu->scan) {
                gpu->scan_again = true;
                return;
        }
        if (gpu->state == GPU_STUCK)
                return; /* what is stuck looks again when it comes back */
        Scan *s = g_new0(Scan, 1);
        *s = (Scan){
                .work = { .run = scan_run, .done = scan_done, .started = scan_started },
                .manager = gpu->manager,
                .gpu = gpu,
                .driver = gpu->driver,
                .latest = latest_facts_ref(gpu->latest),
                .known_types = known_types_get(gpu->manager->known_types, gpu->facts),
                .runtime_fd = gpu->manager->runtime_fd,
                .probe_again = gpu->probe_again,
                .claims = find_claims(gpu),
        };
        gpu->scan = (struct Scan *)s;
        lane_submit(gpu->lane, &s->work);
}

static int on_settle(sd_event_source *source, uint64_t usec, void *userdata)
{
        Gpu *gpu = userdata;

        gpu->settle = sd_event_source_disable_unref(gpu->settle);
        gpu_submit_scan(gpu);
        return 0;
}

static void gpu_scan_in(Gpu *gpu, uint64_t usec)
{
        int r;

        if (gpu->settle)
                return;
        r = sd_event_add_time_relative(gpu->manager->event, &gpu->settle, CLOCK_MONOTONIC, usec, USEC_PER_MSEC,
                                       on_settle, gpu);
        if (r < 0) {
                log_warning_errno(r, "Cannot wait for events of GPU %s to settle: %m", gpu_name(gpu));
                gpu_submit_scan(gpu);
        }
}

void gpu_request_scan(Gpu *gpu, bool now)
{
        if (!gpu->driver || gpu->manager->stopping)
                return;
        if (now)
                gpu_submit_scan(gpu);
        else
                gpu_scan_in(gpu, SETTLE_USEC);
}

/* ---- instances ---- */

static void instance_free(gpointer p)
{
        Instance *instance = p;

        instance_desc_free(instance->desc);
        g_free(instance->name);
        g_free(instance);
}

/* Ours is what we have a record of, made, on this GPU and of this type; anything else is somebody else's. */
static bool instance_update_origin(Instance *instance)
{
        const Record *record = records_get(instance->gpu->manager->records, instance->desc->uuid);
        bool ours = record && record->made && strcmp(record->gpu, gpu_name(instance->gpu)) == 0 &&
                    (!instance->desc->type_id || strcmp(record->type_id, instance->desc->type_id) == 0);
        InstanceOrigin origin = ours ? INSTANCE_ORIGIN_VGPUD : INSTANCE_ORIGIN_FOREIGN;
        const char *name = ours ? record->name : NULL;
        uid_t owner = ours ? record->owner : UID_INVALID;
        uint64_t created_usec = ours ? record->created_usec : 0;

        if (instance->origin == origin && g_strcmp0(instance->name, name) == 0 && instance->owner == owner &&
            instance->created_usec == created_usec)
                return false;
        instance->origin = origin;
        g_free(instance->name);
        instance->name = g_strdup(name);
        instance->owner = owner;
        instance->created_usec = created_usec;
        return true;
}

static bool instance_update_undo(Instance *instance)
{
        const Record *record = records_get(instance->gpu->manager->records, instance->desc->uuid);
        bool undo = instance->origin == INSTANCE_ORIGIN_VGPUD && record && record->undo;

        if (instance->undo == undo)
                return false;
        instance->undo = undo;
        return true;
}

/* The record of what has gone from the model goes with it, unless it is to be kept. */
static void gpu_remove_instance(Instance *instance, bool keep_record)
{
        Gpu *gpu = instance->gpu;
        Manager *m = gpu->manager;
        const Record *record = records_get(m->records, instance->desc->uuid);

        if (!instance->leaving)
                LOG_FIELDS(LOG_NOTICE,
                           (.gpu = gpu_name(gpu), .instance = instance->desc->uuid,
                            .message_id = VGPUD_MESSAGE_INSTANCE_GONE),
                           "Instance %s of type %s on GPU %s has gone: somebody else removed it, or its driver "
                           "went away",
                           instance->desc->uuid,
                           instance->desc->type_id ? instance->desc->type_id : "(not known)", gpu_name(gpu));
        /* Before anybody hears of it. An instance of this UUID may be on its way again: its record is not of
         * the one that goes. */
        if (!keep_record && record && record->made && strcmp(record->gpu, gpu_name(gpu)) == 0)
                records_forget(m->records, instance->desc->uuid);
        MANAGER_EMIT(m, instance_removed, instance);
        g_hash_table_remove(m->instances, instance->desc->uuid);
        g_hash_table_remove(gpu->instances, instance->desc->uuid);
}

/* The kernel has each UUID once: the one of another GPU has gone, which that has not been looked at for yet; or
 * what was seen here is old, and was made again there. Another look at the other one settles it. */
static void gpu_take_over(Gpu *gpu, const char *uuid)
{
        Instance *other = g_hash_table_lookup(gpu->manager->instances, uuid);
        Gpu *its = other ? other->gpu : NULL;

        if (!other)
                return;
        gpu_remove_instance(other, false);
        gpu_request_scan(its, false);
        gpu_request_scan(gpu, false);
}

static void gpu_add_instance(Gpu *gpu, const InstanceDesc *desc)
{
        Instance *instance;

        gpu_take_over(gpu, desc->uuid);
        instance = g_new0(Instance, 1);
        *instance = (Instance){
                .gpu = gpu,
                .desc = instance_desc_copy(desc),
                .origin = INSTANCE_ORIGIN_FOREIGN,
                .owner = UID_INVALID,
        };
        (void)instance_update_origin(instance);
        (void)instance_update_undo(instance);
        (void)instance_update_state(instance, false);
        g_hash_table_insert(gpu->instances, instance->desc->uuid, instance);
        g_hash_table_insert(gpu->manager->instances, instance->desc->uuid, instance);
        if (instance->origin == INSTANCE_ORIGIN_FOREIGN)
                LOG_FIELDS(LOG_INFO,
                           (.gpu = gpu_name(gpu), .instance = desc->uuid,
                            .message_id = VGPUD_MESSAGE_INSTANCE_FOREIGN),
                           "Instance %s of type %s on GPU %s was made by somebody else", desc->uuid,
                           desc->type_id ? desc->type_id : "(not known yet)", gpu_name(gpu));
        MANAGER_EMIT(gpu->manager, instance_added, instance);
}

static void gpu_change_instance(Instance *instance, const InstanceDesc *desc, const GHashTable *renamed)
{
        Manager *m = instance->gpu->manager;
        unsigned changes = 0;

        if (!instance_desc_equal(instance->desc, desc)) {
                /* The tables are keyed by the UUID in the description that goes. */
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
                changes |= INSTANCE_CHANGED_DESC; /* the hand-over */
        if (changes && instance_update_state(instance, instance->state == INSTANCE_STUCK))
                changes |= INSTANCE_CHANGED_STATE;
        if (changes)
                MANAGER_EMIT(m, instance_changed, instance, changes);
}

static void warn_unwritten(const char *uuid, int r)
{
        if (r < 0)
                log_warning_errno(r, "Cannot write the record of %s: %m", uuid);
}

/* What is on a mediated device's parent is nowhere else; other instances are functions of the GPU, or its own.
 */
static bool facts_have_place(const GpuFacts *facts, const InstanceDesc *desc)
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

/* Not in the snapshot because that was begun before it was made, or with facts that were read before and may
 * lack its parent: parents come one by one. Then it is looked for again. `desc`: NULL while not in the model.
 */
static bool is_out_of_sight(const Gpu *gpu, const GpuSnapshot *snapshot, const char *uuid,
                            const InstanceDesc *desc)
{
        const Record *record = records_get(gpu->manager->records, uuid);
        uint64_t began_usec = desc && facts_have_place(gpu->facts, desc)
                                              ? snapshot->began_usec
                                              : MIN(snapshot->began_usec, gpu->facts->began_usec);

        if (!record || record->written_usec <= began_usec)
                return false;
        inventory_request(gpu->manager->inventory);
        return true;
}

/* What an earlier daemon was making when it was killed: a bare device stands as it was asked for; of anything
 * more nobody knows how far it got, so it goes. What it was removing goes as well: such an instance is not
 * complete any more, so that nobody can be using it. */
static void gpu_settle_interrupted(Gpu *gpu, const GpuSnapshot *snapshot)
{
        Manager *m = gpu->manager;
        g_autoptr(GPtrArray) uuids = records_of_gpu(m->records, gpu_name(gpu));

        for (guint i = 0; i < uuids->len; i++) {
                g_autofree char *uuid = g_strdup(uuids->pdata[i]);
                const Record *record = records_get(m->records, uuid);
                const InstanceDesc *desc = gpu_snapshot_find_instance(snapshot, uuid);

                /* Made and gone while nobody looked, or never begun. */
                if (!desc &&
                    (record->interrupted || (record->made && !g_hash_table_contains(gpu->instances, uuid)))) {
                        if (!is_out_of_sight(gpu, snapshot, uuid, NULL))
                                records_forget(m->records, uuid);
                        continue;
                }
                if (record->removal_interrupted && desc) {
                        if (desc->half_made)
                                warn_unwritten(uuid, records_commit_undo(m->records, uuid));
                        else if (!record->undo)
                                LOG_FIELDS(LOG_NOTICE, (.gpu = gpu_name(gpu), .instance = uuid),
                                           "Instance %s was to be removed when the daemon ended, and stands",
                                           uuid);
                        records_mark_removing(m->records, uuid, false);
                        continue;
                }
                if (!record->interrupted)
                        continue;
                records_note_identity(m->records, uuid, desc->identity);
                if (record->undo || desc->half_made) {
                        warn_unwritten(uuid, records_commit_undo(m->records, uuid));
                        continue;
                }
                warn_unwritten(uuid, records_commit(m->records, uuid));
                LOG_FIELDS(LOG_NOTICE, (.gpu = gpu_name(gpu), .instance = uuid),
                           "Instance %s was being made when the daemon ended, and stands", uuid);
        }
}

/* Until it has gone, also for the next daemon. */
static void gpu_undo_interrupted(Gpu *gpu)
{
        uint64_t now = (uint64_t)g_get_monotonic_time();
        GHashTableIter iter;
        Instance *instance;

        g_hash_table_iter_init(&iter, gpu->instances);
        while (!gpu->manager->stopping && g_hash_table_iter_next(&iter, NULL, (gpointer *)&instance)) {
                bool first = instance->undo_usec == 0;
                if (!instance->undo || instance->job || (!first && now - instance->undo_usec < UNDO_PAUSE_USEC))
                        continue;
                if (first)
                        LOG_FIELDS(LOG_NOTICE,
                                   (.gpu = gpu_name(gpu), .instance = instance->desc->uuid,
                                    .message_id = VGPUD_MESSAGE_INSTANCE_UNDONE),
                                   "Instance %s was being made or removed when the daemon ended, and may be "
                                   "incomplete: removing it",
                                   instance->desc->uuid);
                instance->undo_usec = now;
                manager_undo(gpu->manager, instance);
        }
}

void gpu_undo_again(Gpu *gpu)
{
        GHashTableIter iter;
        Instance *instance;

        g_hash_table_iter_init(&iter, gpu->instances);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&instance))
                instance->undo_usec = 0;
}

/* Where the kernel has no UUIDs: the one under which we made it, or one that is the same for as long as the
 * host runs and this type is in this slot. */
static void name_instance(Gpu *gpu, InstanceDesc *desc)
{
        const Record *record = records_find_slot(gpu->manager->records, gpu_name(gpu), desc->slot);
        g_autofree char *text = NULL;

        if (record && record->made && record->identity != 0 && desc->identity != 0 &&
            record->identity != desc->identity) {
                LOG_FIELDS(LOG_NOTICE, (.gpu = gpu_name(gpu), .instance = record->uuid),
                           "%s of GPU %s is not what instance %s was made of any more: it was removed and made "
                           "again, by somebody else",
                           desc->slot, gpu_name(gpu), record->uuid);
                record = NULL;
        }
        if (record && record->restore && gpu->driver->recall && !gpu->driver->recall(desc, record->restore))
                record = NULL;
        if (record && desc->type_guessed) {
                g_free(desc->type_id);
                desc->type_id = g_strdup(record->type_id);
        }
        if (record && g_strcmp0(record->type_id, desc->type_id) == 0) {
                memcpy(desc->uuid, record->uuid, sizeof desc->uuid);
                return;
        }
        text = g_strdup_printf("%s/%s/%s/%s", gpu->manager->boot_id, gpu_name(gpu), desc->slot,
                               desc->type_id ? desc->type_id : "");
        uuid_derive(text, desc->uuid);
}

static void gpu_finish_snapshot(Gpu *gpu, GpuSnapshot *snapshot)
{
        for (guint i = 0; i < snapshot->instances->len; i++) {
                InstanceDesc *desc = snapshot->instances->pdata[i];
                if (!desc->uuid[0])
                        name_instance(gpu, desc);
        }
        for (guint i = 0; i < snapshot->types->len; i++) {
                VgpuType *t = snapshot->types->pdata[i];
                if (!t->key)
                        t->key = vgpu_type_make_key(t, gpu->facts->vendor);
        }
        gpu_snapshot_seal(snapshot);
        place_apply_rules(gpu, snapshot);
        known_types_learn(gpu->manager->known_types, gpu->facts, snapshot);
}

static bool modes_equal(const GpuSnapshot *a, const GpuSnapshot *b)
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

static bool types_equal(const GpuSnapshot *a, const GpuSnapshot *b)
{
        if (!a || a->types->len != b->types->len)
                return false;
        for (guint i = 0; i < a->types->len; i++)
                if (!vgpu_type_equal(a->types->pdata[i], b->types->pdata[i]))
                        return false;
        return true;
}

/* Ids, borrowed, of the types that have another name, have come, or have gone: an instance tells the name of
 * its type. */
static GHashTable *find_renamed_types(const GpuSnapshot *old, const GpuSnapshot *snapshot)
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

void gpu_apply_snapshot(Gpu *gpu, GpuSnapshot *snapshot)
{
        GpuSnapshot *old = gpu->snapshot;
        g_autoptr(GPtrArray) gone = g_ptr_array_new();
        g_autoptr(GHashTable) renamed = NULL;
        unsigned changes = GPU_CHANGED_SCANNED;
        bool untyped = false;
        GHashTableIter iter;
        Instance *instance;

        gpu_finish_snapshot(gpu, snapshot);
        if (!types_equal(old, snapshot)) {
                changes |= GPU_CHANGED_TYPES;
                renamed = find_renamed_types(old, snapshot);
        }
        if (!modes_equal(old, snapshot))
                changes |= GPU_CHANGED_MODES;
        if (old ? !gpu_snapshot_bindings_equal(old, snapshot) : snapshot->bindings->len > 0)
                changes |= GPU_CHANGED_VFS;
        gpu->snapshot = gpu_snapshot_ref(snapshot);
        gpu_settle_interrupted(gpu, snapshot);
        gpu->gone_looks = 0;

        g_hash_table_iter_init(&iter, gpu->instances);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&instance))
                if (!gpu_snapshot_find_instance(snapshot, instance->desc->uuid) &&
                    (instance->leaving ||
                     !is_out_of_sight(gpu, snapshot, instance->desc->uuid, instance->desc)))
                        g_ptr_array_add(gone, instance);
        for (guint i = 0; i < gone->len; i++)
                gpu_remove_instance(gone->pdata[i], false);
        for (guint i = 0; i < snapshot->instances->len; i++) {
                const InstanceDesc *desc = snapshot->instances->pdata[i];
                instance = g_hash_table_lookup(gpu->instances, desc->uuid);
                if (instance)
                        gpu_change_instance(instance, desc, renamed);
                else
                        gpu_add_instance(gpu, desc);
                untyped |= !desc->type_id;
        }
        gpu_snapshot_unref(old);
        MANAGER_EMIT(gpu->manager, gpu_changed, gpu, changes);
        gpu_set_state(gpu, snapshot->unprepared ? GPU_UNPREPARED : GPU_READY, snapshot->unprepared);
        gpu_undo_interrupted(gpu);

        if (!untyped)
                gpu->untyped_retries = 0;
        else if (gpu->untyped_retries++ < UNTYPED_RETRIES && !gpu->manager->stopping)
                gpu_scan_in(gpu, UNTYPED_RETRY_USEC);
}

/* ---- the life of a GPU ---- */

static void gpu_choose_driver(Gpu *gpu)
{
        g_autofree char *reason = NULL;

        gpu->driver = registry_choose(gpu->facts, &reason);
        g_free(gpu->reason);
        gpu->reason = gpu->driver ? NULL : g_steal_pointer(&reason);
        gpu->state = gpu->driver ? GPU_NEW : GPU_UNSUPPORTED;
        gpu->lane = gpu->driver ? lane_new(gpu->manager->lanes, gpu_name(gpu)) : NULL;
        gpu->claimed = gpu->driver ? g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free) : NULL;
        if (!gpu->driver)
                LOG_FIELDS(LOG_INFO, (.gpu = gpu_name(gpu), .message_id = VGPUD_MESSAGE_GPU_UNSUPPORTED),
                           "GPU %s offers no virtual GPUs: %s", gpu_name(gpu), gpu->reason);
}

Gpu *gpu_new(Manager *m, const GpuFacts *facts)
{
        Gpu *gpu = g_new0(Gpu, 1);

        gpu->manager = m;
        gpu->facts = gpu_facts_ref(facts);
        gpu->latest = latest_facts_new(facts);
        gpu->instances = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, instance_free);
        g_queue_init(&gpu->waiting);
        gpu->probe_again = facts->total_vfs > 0 && autoprobe_is_marked(m->runtime_fd, facts->name);
        gpu_choose_driver(gpu);
        return gpu;
}

void gpu_start(Gpu *gpu)
{
        gpu_request_scan(gpu, true);
}

Gpu *gpu_free(Gpu *gpu)
{
        if (!gpu)
                return NULL;
        g_assert(!gpu->lane && g_queue_is_empty(&gpu->waiting));
        sd_event_source_disable_unref(gpu->settle);
        g_hash_table_unref(gpu->instances);
        gpu_snapshot_unref(gpu->snapshot);
        latest_facts_unref(gpu->latest);
        gpu_facts_unref(gpu->facts);
        g_free(gpu->reason);
        g_free(gpu);
        return NULL;
}

void gpu_cancel_waiting(Gpu *gpu, VgpudErrorCode code, const char *message)
{
        g_autofree char *text = g_strdup_printf("GPU %s: %s", gpu_name(gpu), message);
        g_autoptr(GPtrArray) jobs = g_ptr_array_new();

        /* A job that has begun without the main thread knowing stays in the queue, and ends by itself. */
        for (GList *l = gpu->waiting.head; l; l = l->next)
                g_ptr_array_add(jobs, l->data);
        for (guint i = 0; i < jobs->len; i++)
                (void)job_drop(jobs->pdata[i], code == VGPUD_ERROR_CANCELED ? JOB_CANCELED : JOB_FAILED, code,
                               text);
}

/* Let go of the lane and of what is in it: what runs there ends without a GPU. */
static void gpu_leave_lane(Gpu *gpu, VgpudErrorCode code, const char *message)
{
        Scan *scan = (Scan *)gpu->scan;

        gpu->settle = sd_event_source_disable_unref(gpu->settle);
        if (!gpu->lane)
                return;
        gpu_cancel_waiting(gpu, code, message);
        for (GList *l = gpu->waiting.head; l; l = l->next)
                ((Job *)l->data)->gpu = NULL;
        g_queue_clear(&gpu->waiting);
        if (gpu->current) {
                gpu->current->gpu = NULL;
                gpu->current = NULL;
        }
        if (scan) {
                scan->gpu = NULL;
                if (lane_cancel(gpu->lane, &scan->work))
                        scan_free(scan);
                gpu->scan = NULL;
        }
        gpu->scan_again = false;
        gpu->lane = lane_release(gpu->lane);
        g_clear_pointer(&gpu->claimed, g_hash_table_unref);
}

static void gpu_drop_instances(Gpu *gpu)
{
        g_autoptr(GList) all = g_hash_table_get_values(gpu->instances);

        for (GList *l = all; l; l = l->next) {
                Instance *instance = l->data;
                gpu_remove_instance(instance, manager_slot_is_there(gpu->manager, instance->desc->slot));
        }
}

void gpu_withdraw(Gpu *gpu)
{
        gpu_leave_lane(gpu, gpu->manager->stopping ? VGPUD_ERROR_CANCELED : VGPUD_ERROR_GPU_GONE,
                       gpu->manager->stopping ? "the daemon stops" : "it went away");
        if (!gpu->manager->stopping)
                gpu_drop_instances(gpu);
}

bool gpu_is_device(const Gpu *gpu, const GpuFacts *facts)
{
        const GpuFacts *known = gpu->facts;

        return strcmp(known->path, facts->path) == 0 && strcmp(known->subsystem, facts->subsystem) == 0 &&
               known->vendor == facts->vendor && known->device == facts->device &&
               known->subsystem_vendor == facts->subsystem_vendor &&
               known->subsystem_device == facts->subsystem_device && known->class == facts->class &&
               known->boot_display == facts->boot_display;
}

/* By these facts the GPU would have another back end, or instances would be on nothing. */
static bool facts_lose_something(const Gpu *gpu, const GpuFacts *facts)
{
        g_autofree char *reason = NULL;
        GHashTableIter iter;
        const Instance *instance;

        if (registry_choose(facts, &reason) != gpu->driver)
                return true;
        g_hash_table_iter_init(&iter, gpu->instances);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&instance))
                if (!facts_have_place(facts, instance->desc))
                        return true;
        return false;
}

void gpu_update_facts(Gpu *gpu, const GpuFacts *facts)
{
        g_autofree char *reason = NULL;
        unsigned changes = GPU_CHANGED_FACTS;

        bool same = gpu_facts_equal(gpu->facts, facts);
        /* A discovery takes its time, and a job may have looked at what it did since that began. Another device
         * is another object, for a discovery to make that is newer than all that is known of this one. */
        if (!same && (!gpu_is_device(gpu, facts) || gpu_facts_is_older(facts, gpu->facts) ||
                      (gpu_has_answered_since(gpu, facts->began_usec) && facts_lose_something(gpu, facts)))) {
                inventory_request(gpu->manager->inventory);
                return;
        }
        /* Virtual functions come and go one by one; what stands in the end is looked up when the job ends. */
        if (!same && gpu->current && gpu->current->kind == JOB_SET_VFS) {
                gpu->facts_later = true;
                return;
        }
        if (!gpu_facts_is_older(facts, gpu->facts)) {
                gpu_facts_unref(gpu->facts);
                gpu->facts = gpu_facts_ref(facts);
                latest_facts_offer(gpu->latest, facts);
        }
        if (same) {
                gpu_request_scan(gpu, false);
                return;
        }
        const VgpuDriver *driver = registry_choose(facts, &reason);
        if (driver != gpu->driver) {
                gpu_leave_lane(gpu, VGPUD_ERROR_GPU_GONE, "its driver went away");
                gpu_drop_instances(gpu);
                gpu_snapshot_unref(gpu->snapshot);
                gpu->snapshot = NULL;
                gpu_choose_driver(gpu);
                changes |= GPU_CHANGED_BACK_END | GPU_CHANGED_STATE | GPU_CHANGED_TYPES | GPU_CHANGED_MODES |
                           GPU_CHANGED_JOB;
        } else if (!driver && g_strcmp0(gpu->reason, reason) != 0) {
                g_free(gpu->reason);
                gpu->reason = g_steal_pointer(&reason);
                changes |= GPU_CHANGED_STATE;
        }
        MANAGER_EMIT(gpu->manager, gpu_changed, gpu, changes);
        manager_check_ready(gpu->manager);
        gpu_request_scan(gpu, true);
}
