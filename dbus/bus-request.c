/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dbus/bus-request.h"

#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "daemon/model/instance.h"
#include "daemon/model/model.h"
#include "daemon/work/job.h"
#include "dbus/admission/bus-call.h"
#include "dbus/bus-announce.h"
#include "dbus/bus-instance.h"
#include "dbus/message/bus-error.h"
#include "dbus/message/bus-util.h"

/* A call that waits for jobs. */
typedef struct Waiter {
        Bus *bus;             /* borrowed */
        sd_bus_message *call; /* ref */
        BusAnswer answer;
        GPtrArray *jobs; /* WaiterJob, owned */
        unsigned n_open; /* jobs that have not ended */
        uint64_t timeout_usec;
        sd_event_source *timer; /* owned; the caller's timeout; NULL: no limit */
        BusWatch *watch;        /* owned; frees the waiter if the caller leaves; NULL without a timer */
} Waiter;

/* One job of the call. Keeps the result of the job until all jobs have ended. */
typedef struct WaiterJob {
        Waiter *waiter; /* borrowed */
        uint32_t id;
        GPtrArray *uuids; /* ref */
        bool ended;
        VgpudError error;
        GPtrArray *failures; /* JobFailure; ref; NULL: none */
} WaiterJob;

static void waiter_job_free(gpointer p)
{
        WaiterJob *w = p;

        (void)g_hash_table_remove(w->waiter->bus->waiting, GUINT_TO_POINTER(w->id));
        g_ptr_array_unref(w->uuids);
        vgpud_error_done(&w->error);
        g_clear_pointer(&w->failures, g_ptr_array_unref);
        g_free(w);
}

static void waiter_free(Waiter *w)
{
        g_ptr_array_unref(w->jobs);
        sd_event_source_disable_unref(w->timer);
        bus_watch_free(w->watch);
        sd_bus_message_unref(w->call);
        g_free(w);
}

/* ---- answers ---- */

/* Append the dictionary of one instance for the answer of Create. Parent and hand-over are known only after the
 * job. */
static int request_append_created(Bus *b, sd_bus_message *reply, const Job *job, const char *uuid)
{
        const Instance *instance = job->state == JOB_DONE ? model_get_instance(b->model, uuid) : NULL;
        g_autofree char *path = bus_path_instance(uuid);
        g_autofree char *gpu = bus_path_gpu(job->gpu_name);
        JobDetail type;
        int r;

        assert_se(job_get_detail(job, "type", &type));

        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = bus_append_entry(reply, "object_path", "o", path);
        if (r >= 0)
                r = bus_append_entry(reply, "uuid", "s", uuid);
        if (r >= 0)
                r = bus_append_entry(reply, "gpu", "o", gpu);
        if (r >= 0)
                r = bus_append_entry_string(reply, "type", type.text);
        if (r >= 0 && instance)
                r = bus_append_entry_string(reply, "parent",
                                            instance->desc->parent ? instance->desc->parent : "");
        if (r >= 0 && instance)
                r = bus_open_entry(reply, "hand_over", "a{sv}");
        if (r >= 0 && instance)
                r = bus_instance_append_hand_over(reply, instance);
        if (r >= 0 && instance)
                r = bus_close_entry(reply);

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int request_append_all_created(Bus *b, sd_bus_message *reply, const Job *job)
{
        int r;

        r = sd_bus_message_open_container(reply, 'a', "a{sv}");

        for (guint i = 0; r >= 0 && i < job->uuids->len; i++)
                r = request_append_created(b, reply, job, job->uuids->pdata[i]);

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int request_append_job_path(sd_bus_message *reply, uint32_t id)
{
        g_autofree char *path = bus_path_job(id);

        return sd_bus_message_append_basic(reply, 'o', path);
}

/* `ids`: numbers of all jobs. `job`: only used for BUS_ANSWER_CREATED, which has one job. */
static int request_send_answer(Bus *b, sd_bus_message *call, BusAnswer answer, const GPtrArray *ids,
                               const Job *job)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        g_assert(answer == BUS_ANSWER_JOBS || ids->len == 1);

        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0 && answer == BUS_ANSWER_JOBS)
                r = sd_bus_message_open_container(reply, 'a', "o");
        for (guint i = 0; r >= 0 && i < ids->len; i++)
                r = request_append_job_path(reply, GPOINTER_TO_UINT(ids->pdata[i]));
        if (r >= 0 && answer == BUS_ANSWER_JOBS)
                r = sd_bus_message_close_container(reply);
        if (r >= 0 && answer == BUS_ANSWER_CREATED)
                r = request_append_all_created(b, reply, job);

        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static GPtrArray *waiter_job_ids(const Waiter *w)
{
        GPtrArray *ids = g_ptr_array_new();

        for (guint i = 0; i < w->jobs->len; i++)
                g_ptr_array_add(ids, GUINT_TO_POINTER(((const WaiterJob *)w->jobs->pdata[i])->id));

        return ids;
}

static GPtrArray *waiter_uuids(const Waiter *w)
{
        GPtrArray *uuids = g_ptr_array_new();

        for (guint i = 0; i < w->jobs->len; i++) {
                const WaiterJob *job = w->jobs->pdata[i];

                for (guint k = 0; k < job->uuids->len; k++)
                        g_ptr_array_add(uuids, job->uuids->pdata[k]);
        }

        return uuids;
}

/* List the failures of all jobs. A job for one instance has an error and no list of failures. If the call has
 * several jobs, this error becomes the failure of the instance. */
static GPtrArray *waiter_failures(const Waiter *w)
{
        GPtrArray *failures = g_ptr_array_new_with_free_func(g_free);

        for (guint i = 0; i < w->jobs->len; i++) {
                const WaiterJob *job = w->jobs->pdata[i];

                for (guint k = 0; job->failures && k < job->failures->len; k++) {
                        const JobFailure *f = job->failures->pdata[k];
                        BusFailure *failure = g_new(BusFailure, 1);

                        *failure = (BusFailure){ .uuid = f->uuid, .error = &f->error };
                        g_ptr_array_add(failures, failure);
                }

                if (!job->failures && w->answer == BUS_ANSWER_JOBS && w->jobs->len > 1 &&
                    job->uuids->len == 1 && job->error.code != VGPUD_ERROR_NONE) {
                        BusFailure *failure = g_new(BusFailure, 1);

                        *failure = (BusFailure){ .uuid = job->uuids->pdata[0], .error = &job->error };
                        g_ptr_array_add(failures, failure);
                }
        }

        return failures;
}

/* Answer with an error about this job of the call. Frees the waiter. */
static void waiter_fail(Waiter *w, const WaiterJob *job, const VgpudError *e)
{
        g_autoptr(GPtrArray) ids = waiter_job_ids(w);
        g_autoptr(GPtrArray) uuids = w->jobs->len > 1 && e->code == VGPUD_ERROR_TIMEOUT
                                                     ? waiter_uuids(w)
                                                     : g_ptr_array_ref(job->uuids);
        g_autoptr(GPtrArray) failures = waiter_failures(w);
        const BusErrorJobs jobs = {
                .job = job->id,
                .jobs = w->answer == BUS_ANSWER_JOBS ? ids : NULL,
                .uuids = uuids,
                .failures = failures,
        };
        int r;

        r = bus_error_send(w->call, e, &jobs);
        if (r < 0) /* the caller may have left */
                log_debug_errno(r, "Failed to answer a call that waited for job %u, ignoring: %m", job->id);

        waiter_free(w);
}

static void waiter_succeed(Waiter *w, const Job *job)
{
        g_autoptr(GPtrArray) ids = waiter_job_ids(w);
        int r;

        r = request_send_answer(w->bus, w->call, w->answer, ids, job);
        if (r < 0) /* the caller may have left */
                log_debug_errno(r, "Failed to answer a call that waited for job %u, ignoring: %m", job->id);

        waiter_free(w);
}

/* ---- the end of a wait ---- */

static const WaiterJob *waiter_first_failed(const Waiter *w)
{
        for (guint i = 0; i < w->jobs->len; i++) {
                const WaiterJob *job = w->jobs->pdata[i];

                if (job->error.code != VGPUD_ERROR_NONE)
                        return job;
        }

        return NULL;
}

void bus_request_end(Bus *b, const Job *job)
{
        WaiterJob *wj = g_hash_table_lookup(b->waiting, GUINT_TO_POINTER(job->id));
        const WaiterJob *failed;
        Waiter *w;

        if (!wj)
                return;

        g_assert(job->state > JOB_STUCK && !wj->ended);

        w = wj->waiter;
        wj->ended = true;
        vgpud_error_copy(&wj->error, &job->error);
        wj->failures = job->failures ? g_ptr_array_ref(job->failures) : NULL;

        if (--w->n_open > 0)
                return;

        failed = waiter_first_failed(w);
        if (failed)
                waiter_fail(w, failed, &failed->error);
        else
                waiter_succeed(w, job);
}

/* Answer the call at once if a job is stuck or the daemon stops. If the job has ended, bus_request_end()
 * answers, after the signals about the job. */
static void request_on_finished(Job *job, const VgpudError *error, void *userdata)
{
        Bus *b = userdata;
        WaiterJob *wj = g_hash_table_lookup(b->waiting, GUINT_TO_POINTER(job->id));

        if (!wj || job->state > JOB_STUCK)
                return;

        bus_announce_flush(b);
        waiter_fail(wj->waiter, wj, error);
}

/* ---- the caller's timeout ---- */

static char *request_format_usec(uint64_t usec)
{
        if (usec % USEC_PER_SEC == 0)
                return g_strdup_printf("%" PRIu64 " s", usec / USEC_PER_SEC);

        return g_strdup_printf("%" PRIu64 " ms", usec / USEC_PER_MSEC);
}

/* "job 17", "jobs 17, 18" */
static char *waiter_name_open_jobs(const Waiter *w)
{
        GString *s = g_string_new(w->n_open == 1 ? "job" : "jobs");
        const char *separator = " ";

        for (guint i = 0; i < w->jobs->len; i++) {
                const WaiterJob *job = w->jobs->pdata[i];

                if (job->ended)
                        continue;

                g_string_append_printf(s, "%s%" PRIu32, separator, job->id);
                separator = ", ";
        }

        return g_string_free(s, false);
}

static char *request_join_uuids(const GPtrArray *uuids)
{
        GString *s = g_string_new(NULL);

        for (guint i = 0; i < uuids->len && i < BUS_INSTANCES_MAX; i++)
                g_string_append_printf(s, "%s%s", i > 0 ? ", " : " (", (const char *)uuids->pdata[i]);
        if (uuids->len > BUS_INSTANCES_MAX)
                g_string_append_printf(s, " and %u more", uuids->len - BUS_INSTANCES_MAX);
        if (uuids->len > 0)
                g_string_append_c(s, ')');

        return g_string_free(s, false);
}

static const WaiterJob *waiter_first_open(const Waiter *w)
{
        for (guint i = 0; i < w->jobs->len; i++) {
                const WaiterJob *job = w->jobs->pdata[i];

                if (!job->ended)
                        return job;
        }

        g_assert_not_reached();
}

static int waiter_on_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
        Waiter *w = userdata;
        const WaiterJob *job = waiter_first_open(w);
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        g_autoptr(GPtrArray) uuids = waiter_uuids(w);
        g_autofree char *jobs = waiter_name_open_jobs(w);
        g_autofree char *list = request_join_uuids(uuids);
        g_autofree char *time = request_format_usec(w->timeout_usec);

        (void)vgpud_error_setf(&e, VGPUD_ERROR_TIMEOUT, "the timeout of %s passed before the end of %s%s", time,
                               jobs, list);
        vgpud_error_hintf(&e, VGPUD_HINT_WAIT_FOR_JOB,
                          "vgpud continues the work; \"vgpuctl wait job %" PRIu32 "\" waits for the end",
                          job->id);
        waiter_fail(w, job, &e);

        return 0;
}

static void waiter_on_caller_left(void *userdata)
{
        waiter_free(userdata);
}

static void waiter_start_timer(Waiter *w, uint64_t timeout_usec)
{
        int r;

        if (timeout_usec == 0 || timeout_usec == UINT64_MAX)
                return;

        w->timeout_usec = timeout_usec;
        r = sd_event_add_time_relative(sd_bus_get_event(w->bus->bus), &w->timer, CLOCK_MONOTONIC, timeout_usec,
                                       0, waiter_on_timeout, w);
        if (r == -EOVERFLOW)
                return;
        if (r < 0) {
                log_warning_errno(r, "Failed to start the timeout of a caller, ignoring: %m");
                return;
        }

        w->watch = bus_admission_watch(w->bus->admission, w->call, waiter_on_caller_left, w);
}

/* ---- the request ---- */

/* Copy the call: unknown header fields can make the original far longer than its arguments. */
static sd_bus_message *request_keep_call(sd_bus_message *call)
{
        sd_bus_message *copy;

        return bus_call_copy(call, &copy) < 0 ? sd_bus_message_ref(call) : copy;
}

static void request_wait(Bus *b, sd_bus_message *call, const BusRequest *request, const GPtrArray *jobs)
{
        Waiter *w = g_new(Waiter, 1);

        *w = (Waiter){
                .bus = b,
                .call = request_keep_call(call),
                .answer = request->answer,
                .jobs = g_ptr_array_new_with_free_func(waiter_job_free),
                .n_open = jobs->len,
        };

        for (guint i = 0; i < jobs->len; i++) {
                Job *job = jobs->pdata[i];
                WaiterJob *wj = g_new(WaiterJob, 1);

                *wj = (WaiterJob){ .waiter = w, .id = job->id, .uuids = g_ptr_array_ref(job->uuids) };
                g_ptr_array_add(w->jobs, wj);
                assert_se(g_hash_table_insert(b->waiting, GUINT_TO_POINTER(job->id), wj));
                job_on_finished(job, request_on_finished, b);
        }

        waiter_start_timer(w, request->wait.timeout_usec);
}

static int request_answer_now(Bus *b, sd_bus_message *call, const BusRequest *request, const GPtrArray *jobs)
{
        g_autoptr(GPtrArray) ids = g_ptr_array_new();

        for (guint i = 0; i < jobs->len; i++)
                g_ptr_array_add(ids, GUINT_TO_POINTER(((const Job *)jobs->pdata[i])->id));

        /* The answer names the objects of the jobs: announce them first. */
        bus_announce_jobs(b);

        return request_send_answer(b, call, request->answer, ids, jobs->pdata[0]);
}

static int request_check(const BusRequest *request, VgpudError *reterr)
{
        if (request->wait.timeout_usec > 0 && !request->wait.wait)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "option 'timeout_usec' is possible only together with 'wait'");

        return request->check ? request->check(request->arguments, reterr) : 0;
}

int bus_request_identify(Bus *b, sd_bus_message *call, uid_t *ret, sd_bus_error *ret_error)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        int r;

        r = bus_admission_identify(b->admission, call, ret, &e);
        if (r < 0) {
                bus_admission_log_refusal(b->admission, call, NULL, NULL, &e);
                return bus_error_answer(call, r, &e, ret_error);
        }

        return r == 0 ? 1 : 0;
}

int bus_request_run(Bus *b, sd_bus_message *call, const BusRequest *request, sd_bus_error *ret_error)
{
        g_autoptr(GPtrArray) jobs = g_ptr_array_new();
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        int r;

        g_assert(request->n_questions > 0 && request->queue);

        r = request_check(request, &e);
        if (r >= 0)
                r = bus_authz_check(b->authz, call, request->requester, request->questions,
                                    request->n_questions, &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);
        if (r == 0)
                return 1;

        r = request->queue(request->arguments, request->requester, jobs, &e);
        if (r < 0) {
                bus_authz_log_refusal(b->authz, call, &request->questions[0], &e);
                return bus_error_answer(call, r, &e, ret_error);
        }

        g_assert(jobs->len > 0);

        if (!request->wait.wait)
                return request_answer_now(b, call, request, jobs);

        request_wait(b, call, request, jobs);

        return 1;
}

void bus_request_cancel_all(Bus *b)
{
        const VgpudError e = {
                .code = VGPUD_ERROR_CANCELED,
                .message = (char *)"vgpud stops before the end of the job, which may still complete in the kernel",
        };
        GHashTableIter i;
        void *value;

        /* Each waiter removes itself from the table. */
        while (g_hash_table_iter_init(&i, b->waiting), g_hash_table_iter_next(&i, NULL, &value)) {
                WaiterJob *wj = value;
                Waiter *w = wj->waiter;

                for (guint k = 0; k < w->jobs->len; k++) {
                        Job *job = model_get_job(b->model, ((const WaiterJob *)w->jobs->pdata[k])->id);

                        if (job)
                                job_on_finished(job, NULL, NULL);
                }

                waiter_fail(w, wj, &e);
        }
}
