/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/model/gpu.h"

#include <string.h>

#include "base/log-ids.h"
#include "base/log.h"
#include "base/text.h"
#include "base/thread.h"
#include "daemon/store/autoprobe.h"
#include "daemon/model/instance.h"
#include "daemon/model/latest-facts.h"
#include "daemon/model/model.h"
#include "daemon/store/records.h"
#include "drivers-glue/registry.h"

/* Limit of attributes (parents times types) that a job scans before its answer. To read 256 attributes takes
 * about a millisecond; a GPU with 32 VFs and 23 types has 736. */
#define SCAN_AT_ONCE_MAX 256

static const char *const gpu_state_table[_GPU_STATE_MAX] = {
        [GPU_NEW] = "new",
        [GPU_READY] = "ready",
        [GPU_UNPREPARED] = "unprepared",
        [GPU_UNSUPPORTED] = "unsupported",
        [GPU_FAILED] = "failed",
        [GPU_STUCK] = "stuck",
};
DEFINE_STRING_TABLE_TO_STRING(gpu_state, GpuState)

void gpu_choose_driver(Gpu *gpu)
{
        assert_main_thread();

        g_free(gpu->reason);
        gpu->reason = NULL;
        gpu->driver = gpu->facts->unread ? NULL : registry_choose(gpu->facts, &gpu->reason, &gpu->hint);
        if (gpu->reason)
                gpu->reason = text_clean(gpu->reason, GPU_REASON_MAX);
        gpu->state = gpu->driver ? GPU_NEW : gpu->facts->unread ? GPU_STUCK : GPU_UNSUPPORTED;

        if (gpu->state == GPU_UNSUPPORTED)
                LOG_FIELDS(LOG_INFO, (.gpu = gpu_name(gpu), .message_id = VGPUD_MESSAGE_GPU_UNSUPPORTED),
                           "GPU %s offers no virtual GPUs: %s", gpu_name(gpu), gpu->reason);
}

/* The slots in the records that an earlier daemon, or an earlier Gpu of the same name, has left. */
static VgpuSlots *gpu_read_slots(const Gpu *gpu)
{
        VgpuSlots *slots = vgpu_slots_new();
        g_autoptr(GPtrArray) uuids = NULL;

        if (!gpu->model->records)
                return slots;

        uuids = records_of_gpu(gpu->model->records, gpu_name(gpu));

        for (guint i = 0; i < uuids->len; i++) {
                const Record *record = records_get(gpu->model->records, uuids->pdata[i]);

                if (record->slot)
                        vgpu_slots_add(slots, record->uuid, record->slot, record->identity);
        }

        return slots;
}

Gpu *gpu_new(Model *m, const GpuFacts *facts)
{
        Gpu *gpu = g_new0(Gpu, 1);

        assert_main_thread();

        gpu->model = m;
        gpu->facts = gpu_facts_ref(facts);
        gpu->latest = latest_facts_new(facts);
        gpu->slots = gpu_read_slots(gpu);
        gpu->instances = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, instance_free);
        gpu->probe_again = facts->total_vfs > 0 && autoprobe_is_marked(shared_fd_get(m->runtime), facts->name);
        gpu_choose_driver(gpu);
        keep_read_settled(gpu);

        return gpu;
}

Gpu *gpu_free(Gpu *gpu)
{
        assert_main_thread();

        if (!gpu)
                return NULL;

        g_assert(!gpu->lane && !gpu->scan && !gpu->debounce);
        g_assert(!gpu->quick_scan && !gpu->quick_parents && !gpu->quick_again);
        g_assert(g_queue_is_empty(&gpu->waiting) && !gpu->current);

        gpu_kept_done(&gpu->kept);
        g_hash_table_unref(gpu->instances);
        gpu_snapshot_unref(gpu->snapshot);
        latest_facts_unref(gpu->latest);
        vgpu_slots_unref(gpu->slots);
        gpu_facts_unref(gpu->facts);
        g_free(gpu->reason);
        vgpud_hint_done(&gpu->hint);
        g_free(gpu);

        return NULL;
}

void gpu_set_state(Gpu *gpu, GpuState state, const char *reason, const VgpudHint *hint)
{
        g_autofree char *clean = reason ? text_clean(g_strdup(reason), GPU_REASON_MAX) : NULL;
        const VgpudHint none = VGPUD_HINT_INIT;

        assert_main_thread();
        g_assert(state >= 0 && state < _GPU_STATE_MAX);

        if (gpu->state == state && g_strcmp0(gpu->reason, clean) == 0 &&
            vgpud_hint_equal(&gpu->hint, hint ? hint : &none))
                return;

        if (gpu->state == GPU_STUCK && (state == GPU_READY || state == GPU_UNPREPARED))
                LOG_FIELDS(LOG_NOTICE, (.gpu = gpu_name(gpu), .message_id = VGPUD_MESSAGE_GPU_RECOVERED),
                           "GPU %s answers again", gpu_name(gpu));

        gpu->state = state;
        g_free(gpu->reason);
        gpu->reason = g_steal_pointer(&clean);
        vgpud_hint_copy(&gpu->hint, hint);
        MODEL_EMIT(gpu->model, gpu_changed, gpu, GPU_CHANGED_STATE);
        model_wish(gpu->model, MODEL_WISH_START);
}

void gpu_set_stuck(Gpu *gpu, const char *reason, const char *holder)
{
        _cleanup_vgpud_hint_ VgpudHint hint = VGPUD_HINT_INIT;

        if (holder)
                vgpud_hint_setf(&hint, VGPUD_HINT_STOP_USER, GPU_STUCK_USER_HINT);
        else
                vgpud_hint_setf(&hint, VGPUD_HINT_RESET_GPU,
                                "if the operation never returns, reset the GPU or the host");
        gpu_set_state(gpu, GPU_STUCK, reason, &hint);
}

void gpu_set_answered(Gpu *gpu)
{
        assert_main_thread();

        if (gpu->state == GPU_STUCK)
                gpu_set_state(gpu, GPU_FAILED,
                              "the GPU answers again, but the scan that must follow has not ended", NULL);
}

bool gpu_is_stale(const Gpu *gpu)
{
        assert_main_thread();

        return gpu->state == GPU_STUCK || gpu->state == GPU_FAILED;
}

bool gpu_has_answered_since(const Gpu *gpu, uint64_t usec)
{
        GHashTableIter iter;
        gpointer uuid;

        assert_main_thread();

        if (gpu->facts->began_usec > usec ||
            (gpu->snapshot && gpu->state != GPU_FAILED && gpu->snapshot->began_usec > usec))
                return true;

        /* A job may have changed an instance since `usec`. */
        g_hash_table_iter_init(&iter, gpu->instances);
        while (g_hash_table_iter_next(&iter, &uuid, NULL)) {
                const Record *record = records_get(gpu->model->records, uuid);

                if (record && record->written_usec > usec)
                        return true;
        }

        return false;
}

bool gpu_is_device(const Gpu *gpu, const GpuFacts *facts)
{
        const GpuFacts *known = gpu->facts;

        assert_main_thread();

        return known->unread == facts->unread && strcmp(known->path, facts->path) == 0 &&
               strcmp(known->subsystem, facts->subsystem) == 0 && known->vendor == facts->vendor &&
               known->device == facts->device && known->subsystem_vendor == facts->subsystem_vendor &&
               known->subsystem_device == facts->subsystem_device && known->class == facts->class &&
               known->boot_display == facts->boot_display;
}

bool gpu_is_slow_to_scan(const Gpu *gpu)
{
        assert_main_thread();

        return gpu->snapshot && gpu->facts->mdev_parents &&
               (uint64_t)gpu->facts->mdev_parents->len * gpu->snapshot->types->len > SCAN_AT_ONCE_MAX;
}

bool gpu_is_predictable(const Gpu *gpu)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *same = NULL;

        assert_main_thread();

        if (gpu->state != GPU_READY || !gpu->driver->predict || !gpu_is_slow_to_scan(gpu))
                return false;

        same = gpu_snapshot_predict(gpu->snapshot, NULL, NULL);

        return gpu->driver->predict(gpu->facts, gpu->snapshot, same);
}

static int gpu_refuse(const Gpu *gpu, VgpudErrorCode code, const char *what, VgpudError *reterr)
{
        int r = vgpud_error_setf(reterr, code, "GPU %s %s%s%s", gpu_name(gpu), what, gpu->reason ? ": " : "",
                                 gpu->reason ? gpu->reason : "");

        if (gpu->hint.text)
                vgpud_error_hintf(reterr, gpu->hint.id, "%s", gpu->hint.text);

        return r;
}

int gpu_check_driven(const Gpu *gpu, VgpudError *reterr)
{
        assert_main_thread();

        if (gpu->state == GPU_STUCK)
                return gpu_refuse(gpu, VGPUD_ERROR_GPU_STUCK, "is stuck", reterr);
        if (!gpu->driver)
                return gpu_refuse(gpu, VGPUD_ERROR_UNSUPPORTED, "offers no virtual GPUs", reterr);
        if (!gpu->snapshot)
                return gpu_refuse(gpu, VGPUD_ERROR_FAILED, "has not completed a scan yet", reterr);

        return 0;
}

int gpu_check_ready(const Gpu *gpu, VgpudError *reterr)
{
        int r;

        assert_main_thread();

        r = gpu_check_driven(gpu, reterr);
        if (r < 0)
                return r;

        if (gpu->state == GPU_UNPREPARED)
                return gpu_refuse(gpu, VGPUD_ERROR_UNSUPPORTED, "offers no virtual GPUs yet", reterr);

        return 0;
}

void gpu_want_scan(Gpu *gpu, GpuScanWish when)
{
        assert_main_thread();

        if (!gpu->driver || gpu->model->stopping)
                return;

        gpu->wanted_scan = MAX(gpu->wanted_scan, when);
        model_wish(gpu->model, MODEL_WISH_SCANS);
}
