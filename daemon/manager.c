/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/manager.h"

#include "base/fs-util.h"
#include "base/log.h"
#include "base/thread.h"
#include "daemon/converge/converge.h"
#include "daemon/discovery/arrivals.h"
#include "daemon/model/gpu.h"
#include "daemon/discovery/inventory.h"
#include "daemon/model/model.h"
#include "daemon/model/instance.h"
#include "daemon/requests/destroy.h"
#include "daemon/work/finished.h"
#include "daemon/work/scan.h"
#include "daemon/work/queue.h"

struct Manager {
        Model *model; /* owned */
        LaneIoFactory factory;
        void *factory_userdata;
        Lanes *lanes;         /* owned */
        Inventory *inventory; /* owned */
        Finished *finished;   /* owned */
        Converge *converge;   /* owned */

        void (*ready)(Manager *m, void *userdata); /* NULL once called */
        void *ready_userdata;
        sd_event_source *start_timer; /* owned */
};

/* ---- wishes ---- */

static void manager_carry_out_scans(Manager *m)
{
        GHashTableIter iter;
        Gpu *gpu;

        g_hash_table_iter_init(&iter, m->model->gpus);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&gpu))
                scan_start_wanted(gpu);
}

static void manager_carry_out_undos(Manager *m)
{
        g_autoptr(GPtrArray) wanted = g_ptr_array_new();
        GHashTableIter iter;
        Instance *instance;

        g_hash_table_iter_init(&iter, m->model->instances);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&instance))
                if (instance->wants_undo)
                        g_ptr_array_add(wanted, instance);

        for (guint i = 0; i < wanted->len; i++)
                request_undo(wanted->pdata[i]);
}

/* Report the end of start-up, then start the convergence. */
static void manager_end_start(Manager *m)
{
        void (*ready)(Manager *, void *) = g_steal_pointer(&m->ready);

        m->start_timer = sd_event_source_disable_unref(m->start_timer);
        if (ready)
                ready(m, m->ready_userdata);
        (void)converge_start(m->converge);
}

static void manager_check_ready(Manager *m)
{
        GHashTableIter iter;
        Gpu *gpu;

        if (!m->ready || !m->model->discovered)
                return;

        g_hash_table_iter_init(&iter, m->model->gpus);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&gpu))
                if (gpu->state == GPU_NEW)
                        return;

        manager_end_start(m);
}

static int on_wishes(sd_event_source *source, void *userdata)
{
        Manager *m = userdata;
        unsigned wishes = model_take_wishes(m->model);

        if (wishes & MODEL_WISH_DISCOVERY)
                inventory_request(m->inventory);
        if (wishes & MODEL_WISH_UNDOS)
                manager_carry_out_undos(m);
        if (wishes & MODEL_WISH_SCANS)
                manager_carry_out_scans(m);
        if (wishes & MODEL_WISH_START)
                manager_check_ready(m);
        if (wishes & MODEL_WISH_CONVERGE)
                converge_run(m->converge);

        return 0;
}

/* ---- lanes ---- */

/* Show the GPU of the lane as failed, with the reason. The work in the lane waits until the thread can be
 * started. A scan then ends the state "failed". */
static void on_lane_threadless(Lane *lane, int problem, void *userdata)
{
        _cleanup_vgpud_hint_ VgpudHint hint = VGPUD_HINT_INIT;
        Manager *m = userdata;
        GHashTableIter iter;
        Gpu *gpu;

        vgpud_hint_setf(&hint, VGPUD_HINT_TRY_AGAIN,
                        "vgpud tries again by itself; raise TasksMax= of vgpud.service, or end other programs");

        g_hash_table_iter_init(&iter, m->model->gpus);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&gpu)) {
                g_autofree char *reason = NULL;

                if (gpu->lane != lane)
                        continue;

                reason = g_strdup_printf("no thread for its operations can be started: %s",
                                         g_strerror(-problem));
                gpu_set_state(gpu, GPU_FAILED, reason, &hint);
        }
}

/* ---- life ---- */

int manager_new(sd_event *event, const Config *config, LaneIoFactory factory, void *factory_userdata,
                Manager **ret)
{
        Manager *m = g_new0(Manager, 1);
        int r;

        assert_main_thread();

        m->factory = factory;
        m->factory_userdata = factory_userdata;

        r = model_new(event, config, on_wishes, m, &m->model);
        if (r < 0) {
                g_free(m);
                return r;
        }

        m->model->take_facts = arrivals_update_facts;
        m->model->finished = m->finished = finished_new();
        m->converge = converge_new(m->model);

        *ret = m;

        return 0;
}

Model *manager_model(Manager *m)
{
        return m->model;
}

int manager_converge(Manager *m)
{
        return converge_start(m->converge);
}

int manager_open(Manager *m)
{
        Model *model = m->model;
        int r;

        assert_main_thread();

        r = model_open(model);
        if (r < 0)
                return r;

        _cleanup_close_ int lane_fd = fs_open_directory_at(shared_fd_get(model->runtime), "lane", 0700);
        if (lane_fd < 0)
                return log_error_errno(lane_fd, "Cannot open %s/lane: %m", model->config->runtime_directory);

        r = lanes_new(model->event, lane_fd, m->factory, m->factory_userdata, &m->lanes);
        if (r < 0)
                return log_error_errno(r, "Cannot set up the lanes: %m");

        model->lanes = m->lanes;
        lanes_on_threadless(m->lanes, on_lane_threadless, m);

        return 0;
}

static int on_start_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
        Manager *m = userdata;
        GHashTableIter iter;
        Gpu *gpu;

        log_warning("Some GPUs did not answer within [start] timeout of vgpud.conf, starting without them");

        g_hash_table_iter_init(&iter, m->model->gpus);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&gpu))
                if (gpu->state == GPU_NEW)
                        gpu_set_stuck(gpu,
                                      "the GPU has not answered since vgpud started, perhaps because an operation of an earlier vgpud is still in progress",
                                      NULL);

        manager_end_start(m);

        return 0;
}

int manager_start(Manager *m, void (*ready)(Manager *m, void *userdata), void *userdata)
{
        int r;

        assert_main_thread();

        r = manager_open(m);
        if (r < 0)
                return r;

        g_assert(!m->inventory && !m->start_timer);

        m->ready = ready;
        m->ready_userdata = userdata;

        r = sd_event_add_time_relative(m->model->event, &m->start_timer, CLOCK_MONOTONIC,
                                       m->model->config->start_timeout_usec, 10 * USEC_PER_MSEC,
                                       on_start_timeout, m);
        if (r < 0)
                return log_error_errno(r, "Cannot set a timer: %m");

        r = inventory_start(m->model, arrivals_apply, &m->inventory);
        m->model->inventory = m->inventory;

        return r;
}

void manager_stop(Manager *m, uint64_t timeout_usec)
{
        Model *model = m->model;
        bool busy = inventory_is_busy(m->inventory);
        GHashTableIter iter;
        Gpu *gpu;

        assert_main_thread();

        model->stopping = true;
        m->ready = NULL;
        m->start_timer = sd_event_source_disable_unref(m->start_timer);
        (void)model_take_wishes(model);
        inventory_stop(m->inventory);

        g_hash_table_iter_init(&iter, model->gpus);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&gpu)) {
                queue_cancel_waiting(gpu, VGPUD_ERROR_CANCELED, "the daemon stops");
                busy |= queue_is_busy(gpu);
        }

        if (m->lanes) {
                unsigned left = lanes_stop(m->lanes, busy ? timeout_usec : 0);

                if (left > 0)
                        log_warning("Stopping while %u operations are still blocked in the kernel", left);
        }

        queue_abandon_all(
                        model,
                        "the daemon stops, but the operation is blocked in the kernel and may still complete");
}

Manager *manager_free(Manager *m)
{
        Model *model;

        assert_main_thread();

        if (!m)
                return NULL;

        model = m->model;
        model->stopping = true;
        model_set_events(model, NULL, NULL);
        m->converge = converge_free(m->converge);
        sd_event_source_disable_unref(m->start_timer);
        model->inventory = m->inventory = inventory_free(m->inventory);
        arrivals_remove_all(model);

        /* Remaining jobs belong to threads that are blocked in the kernel. */
        model->lanes = m->lanes = lanes_free(m->lanes);
        model_free(model);
        finished_free(m->finished);
        g_free(m);

        return NULL;
}
