/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/discovery/arrivals.h"

#include <string.h>

#include "base/log-ids.h"
#include "base/log.h"
#include "base/thread.h"
#include "base/time-util.h"
#include "daemon/discovery/discovery.h"
#include "daemon/model/defined.h"
#include "daemon/model/gpu.h"
#include "daemon/model/keep.h"
#include "daemon/model/instance.h"
#include "daemon/discovery/inventory.h"
#include "daemon/work/lane.h"
#include "daemon/model/latest-facts.h"
#include "daemon/model/apply.h"
#include "daemon/model/model.h"
#include "daemon/model/rules.h"
#include "drivers-glue/registry.h"
#include "daemon/store/records.h"
#include "daemon/work/queue.h"
#include "daemon/work/scan.h"

/* True if the slot is an existing PCI function, even if its GPU is not in the model. `slot` NULL: false. */
static bool arrivals_has_slot(Model *m, const char *slot)
{
        return slot && inventory_find_pci(m->inventory, slot, NULL);
}

/* ---- lanes ---- */

static void arrivals_enter_lane(Gpu *gpu)
{
        if (!gpu->driver)
                return;

        gpu->lane = lane_new(gpu->model->lanes, gpu_name(gpu));
        gpu->reserved = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

/* Release the lane and cancel its waiting work. Running work continues, but without the GPU: the result of a
 * job then changes only records, and the result of a scan is dropped. */
static void arrivals_leave_lane(Gpu *gpu, VgpudErrorCode code, const char *message)
{
        if (!gpu->lane)
                return;

        queue_cancel_waiting(gpu, code, message);
        queue_detach(gpu);
        scan_abandon(gpu);
        gpu->lane = lane_release(gpu->lane);
        g_clear_pointer(&gpu->reserved, g_hash_table_unref);
}

/* ---- a GPU ---- */

static void arrivals_drop_instances(Gpu *gpu)
{
        g_autoptr(GList) all = g_hash_table_get_values(gpu->instances);

        for (GList *l = all; l; l = l->next) {
                Instance *instance = l->data;

                apply_remove_instance(instance, arrivals_has_slot(gpu->model, instance->desc->slot));
        }
}

/* Release the lane and remove the instances. While the daemon stops, the instances stay. */
static void arrivals_withdraw(Gpu *gpu)
{
        if (gpu->model->stopping) {
                arrivals_leave_lane(gpu, VGPUD_ERROR_CANCELED, "the daemon stops");
                return;
        }

        arrivals_leave_lane(gpu, VGPUD_ERROR_GPU_GONE, "the GPU went away");
        arrivals_drop_instances(gpu);
}

static void arrivals_add_gpu(Model *m, const GpuFacts *facts)
{
        Gpu *gpu = gpu_new(m, facts);

        arrivals_enter_lane(gpu);
        g_hash_table_insert(m->gpus, g_strdup(gpu_name(gpu)), gpu);
        MODEL_EMIT(m, gpu_added, gpu);
        gpu_want_scan(gpu, GPU_SCAN_NOW);
}

static void arrivals_set_stuck(Gpu *gpu, const BlockedDevice *b)
{
        g_autofree char *reason = g_strdup_printf("a read of /sys/%s does not return from the kernel", b->file);

        LOG_FIELDS(LOG_ERR, (.gpu = gpu_name(gpu), .message_id = VGPUD_MESSAGE_GPU_STUCK),
                   "GPU %s is stuck: %s", gpu_name(gpu), reason);
        gpu_set_stuck(gpu, reason, NULL);
        queue_cancel_waiting(gpu, VGPUD_ERROR_GPU_STUCK, reason);
}

/* Add a GPU of which only name and path are known. The discovery that follows the end of the blocked read
 * replaces this GPU. */
static void arrivals_add_unread(Model *m, const BlockedDevice *b)
{
        GpuFacts *facts = gpu_facts_new(b->name, b->path);
        Gpu *gpu;

        facts->unread = true;
        gpu = gpu_new(m, facts);
        g_hash_table_insert(m->gpus, g_strdup(gpu_name(gpu)), gpu);
        MODEL_EMIT(m, gpu_added, gpu);
        arrivals_set_stuck(gpu, b);
        gpu_facts_unref(facts);
}

/* Mark a known GPU as stuck only after [jobs] timeout, like a GPU whose scan is blocked, because the state ends
 * its waiting jobs.
 */
static void arrivals_note_blocked(Gpu *gpu, const BlockedDevice *b)
{
        if (gpu->facts->unread || gpu->state == GPU_STUCK ||
            now_monotonic_usec() - b->since_usec < gpu->model->config->job_timeout_usec)
                return;

        gpu->facts_blocked = true;
        arrivals_set_stuck(gpu, b);
}

static void arrivals_apply_blocked(Model *m, const GPtrArray *blocked)
{
        for (guint i = 0; blocked && i < blocked->len; i++) {
                const BlockedDevice *b = blocked->pdata[i];
                Gpu *gpu = model_get_gpu(m, b->name);

                if (gpu)
                        arrivals_note_blocked(gpu, b);
                else if (b->kind == DEVICE_GPU && b->path)
                        arrivals_add_unread(m, b);
        }
}

/* End the state "stuck" after a discovery has read the files of the GPU again. If a job or scan of the GPU is
 * stuck too, the GPU stays stuck until this job or scan ends. */
static void arrivals_note_read(Gpu *gpu)
{
        if (!gpu->facts_blocked)
                return;

        gpu->facts_blocked = false;
        if (!gpu->current && !gpu->scan)
                gpu_set_answered(gpu);
}

/* `now`: the facts of the device that has the name of the GPU now; NULL: no device has this name. */
static void arrivals_remove_gpu(Model *m, Gpu *gpu, const GpuFacts *now)
{
        if (gpu->facts->unread && now)
                LOG_FIELDS(LOG_NOTICE, (.gpu = gpu_name(gpu), .message_id = VGPUD_MESSAGE_GPU_RECOVERED),
                           "GPU %s answers again", gpu_name(gpu));
        else
                log_info("GPU %s went away", gpu_name(gpu));
        arrivals_withdraw(gpu);
        MODEL_EMIT(m, gpu_removed, gpu);
        g_hash_table_remove(m->gpus, gpu_name(gpu));
        gpu_free(gpu);
}

void arrivals_remove_all(Model *m)
{
        GHashTableIter iter;
        Gpu *gpu;

        assert_main_thread();
        g_assert(m->stopping);

        g_hash_table_iter_init(&iter, m->gpus);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&gpu)) {
                arrivals_withdraw(gpu);
                g_hash_table_iter_remove(&iter);
                gpu_free(gpu);
        }
}

/* True if the facts give the GPU another back end, or take the parent of an instance away. */
static bool arrivals_facts_lose_something(const Gpu *gpu, const GpuFacts *facts)
{
        GHashTableIter iter;
        const Instance *instance;

        if (registry_choose(facts, NULL, NULL) != gpu->driver)
                return true;

        g_hash_table_iter_init(&iter, gpu->instances);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&instance))
                if (!apply_has_place(facts, instance->desc))
                        return true;

        return false;
}

/* True for facts that a job may have outdated since the discovery began, and for facts of another device of the
 * same name: a newer discovery must confirm them. */
static bool arrivals_facts_are_doubtful(const Gpu *gpu, const GpuFacts *facts)
{
        return !gpu_is_device(gpu, facts) || gpu_facts_is_older(facts, gpu->facts) ||
               (gpu_has_answered_since(gpu, facts->began_usec) && arrivals_facts_lose_something(gpu, facts));
}

static void arrivals_replace_facts(Gpu *gpu, const GpuFacts *facts)
{
        if (gpu_facts_is_older(facts, gpu->facts))
                return;

        gpu_facts_unref(gpu->facts);
        gpu->facts = gpu_facts_ref(facts);
        latest_facts_offer(gpu->latest, facts);
        keep_follow_driver(gpu);
}

static unsigned arrivals_change_driver(Gpu *gpu)
{
        arrivals_leave_lane(gpu, VGPUD_ERROR_GPU_GONE, "the back end of the GPU has changed");
        arrivals_drop_instances(gpu);
        gpu_snapshot_unref(gpu->snapshot);
        gpu->snapshot = NULL;
        gpu_choose_driver(gpu);
        arrivals_enter_lane(gpu);

        return GPU_CHANGED_BACK_END | GPU_CHANGED_STATE | GPU_CHANGED_TYPES | GPU_CHANGED_MODES |
               GPU_CHANGED_JOB;
}

void arrivals_update_facts(Gpu *gpu, const GpuFacts *facts)
{
        g_autofree char *reason = NULL;
        _cleanup_vgpud_hint_ VgpudHint hint = VGPUD_HINT_INIT;
        unsigned changes = GPU_CHANGED_FACTS;
        bool same = gpu_facts_equal(gpu->facts, facts);
        const VgpuDriver *driver;

        assert_main_thread();

        arrivals_note_read(gpu);

        if (!same && arrivals_facts_are_doubtful(gpu, facts)) {
                model_wish(gpu->model, MODEL_WISH_DISCOVERY);
                return;
        }

        /* A job is adding or removing VFs one by one. Ignore the intermediate facts: the job reads the facts
         * again at its end. */
        if (!same && queue_changes_vfs(gpu)) {
                gpu->facts_later = true;
                return;
        }

        arrivals_replace_facts(gpu, facts);
        if (same) {
                gpu_want_scan(gpu, GPU_SCAN_SOON);
                return;
        }

        driver = registry_choose(facts, &reason, &hint);
        if (driver != gpu->driver)
                changes |= arrivals_change_driver(gpu);
        else if (!driver)
                gpu_set_state(gpu, GPU_UNSUPPORTED, reason, &hint);

        MODEL_EMIT(gpu->model, gpu_changed, gpu, changes);
        model_wish(gpu->model, MODEL_WISH_START);
        gpu_want_scan(gpu, GPU_SCAN_NOW);
}

/* ---- a discovery ---- */

/* Forget the records of GPUs that are missing or have no back end: their instances are gone. Skip a record
 * whose instance a job is creating: that job owns the record. */
static void arrivals_forget_driverless(Model *m, const GPtrArray *blocked, uint64_t began_usec)
{
        g_autoptr(GPtrArray) uuids = records_of_gpu(m->records, NULL);

        for (guint i = 0; i < uuids->len; i++) {
                const Record *record = records_get(m->records, uuids->pdata[i]);
                const Gpu *gpu = model_get_gpu(m, record->gpu);

                if ((gpu && gpu->driver) || (!record->made && !record->interrupted) ||
                    blocked_device_find(blocked, record->gpu))
                        continue;

                /* A VF may outlive the driver of its PF. */
                if (arrivals_has_slot(m, record->slot))
                        continue;

                /* The record is newer than the discovery, so its GPU had a back end after the discovery began:
                 * discover again. */
                if (record->written_usec > began_usec)
                        model_wish(m, MODEL_WISH_DISCOVERY);
                else
                        defined_forget_record(m, uuids->pdata[i]);
        }
}

static void arrivals_remove_missing(Model *m, const GPtrArray *facts, const GPtrArray *blocked,
                                    uint64_t began_usec)
{
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
        g_autoptr(GList) all = g_hash_table_get_values(m->gpus);

        for (guint i = 0; i < facts->len; i++)
                g_hash_table_insert(seen, ((const GpuFacts *)facts->pdata[i])->name, facts->pdata[i]);

        for (GList *l = all; l; l = l->next) {
                Gpu *gpu = l->data;
                const GpuFacts *now = g_hash_table_lookup(seen, gpu_name(gpu));

                if (blocked_device_find(blocked, gpu_name(gpu)))
                        continue;

                if (now && (gpu_is_device(gpu, now) || gpu_has_answered_since(gpu, now->began_usec)))
                        continue;

                if (!now && gpu_has_answered_since(gpu, began_usec)) {
                        model_wish(m, MODEL_WISH_DISCOVERY);
                        continue;
                }

                arrivals_remove_gpu(m, gpu, now);
        }
}

void arrivals_apply(Model *m, const GPtrArray *facts, const GPtrArray *blocked, uint64_t began_usec)
{
        assert_main_thread();

        arrivals_remove_missing(m, facts, blocked, began_usec);
        arrivals_apply_blocked(m, blocked);

        for (guint i = 0; i < facts->len; i++) {
                const GpuFacts *f = facts->pdata[i];
                Gpu *gpu = model_get_gpu(m, f->name);

                if (gpu)
                        arrivals_update_facts(gpu, f);
                else
                        arrivals_add_gpu(m, f);
        }

        arrivals_forget_driverless(m, blocked, began_usec);
        if (!m->discovered) {
                m->discovered = true;
                rules_log_unmatched(m);
        }

        model_wish(m, MODEL_WISH_START);
}
