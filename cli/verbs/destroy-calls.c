/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/verbs/destroy-calls.h"

#include "cli/client/call-error.h"
#include "cli/verbs/call-options.h"
#include "dbus/bus-names.h"

/* ---- one call for all ---- */

static int destroy_build_many(const Targets *ts, sd_bus_message *m, bool defined)
{
        int r;

        r = sd_bus_message_open_container(m, 'a', "o");

        for (unsigned i = 0; r >= 0 && i < ts->sent->len; i++)
                r = sd_bus_message_append_basic(m, 'o', ((const Target *)ts->sent->pdata[i])->path);
        if (r >= 0)
                r = sd_bus_message_close_container(m);

        return r < 0 ? r : append_destroy_options(m, ts->client->args, defined);
}

/* Find the job of a GPU; NULL: none. vgpud answers one job per GPU, in the order in which the GPUs first occur
 * among the instances, so the caller must go through the instances in their order. `jobs`: GPU -> CallJob of
 * the GPUs that were looked up before. */
static CallJob *destroy_find_job(const Call *call, GHashTable *jobs, const char *gpu)
{
        unsigned n = g_hash_table_size(jobs);
        CallJob *job = g_hash_table_lookup(jobs, gpu);

        if (job || !call->jobs || n >= call->jobs->len)
                return job;

        job = call->jobs->pdata[n];
        g_hash_table_insert(jobs, (char *)gpu, job);

        return job;
}

/* Read all failures of a job. An error carries at most 16 failures; GetJob has all. */
static GPtrArray *destroy_read_failures(const Targets *ts, const CallJob *job)
{
        _cleanup_host_ Host *h = host_new();
        JobInfo *info;
        int status;

        if (!job->error.failures || job->error.failures->len >= job->error.n_failures)
                return job->error.failures ? g_ptr_array_ref(job->error.failures) : failures_new();

        ts->client->quiet = true;
        status = lookup_job(ts->client, h, job->id, &info);
        ts->client->quiet = false;

        return g_ptr_array_ref(status == 0 ? info->failures : job->error.failures);
}

static const FailureInfo *destroy_find_failure(const GPtrArray *failures, const char *uuid)
{
        for (unsigned i = 0; i < failures->len; i++)
                if (g_strcmp0(((const FailureInfo *)failures->pdata[i])->instance, uuid) == 0)
                        return failures->pdata[i];

        return NULL;
}

static void destroy_failures_unref(void *p)
{
        g_ptr_array_unref(p);
}

/* Get the failures of a job, and read them only once. `known`: CallJob -> its failures. */
static const GPtrArray *destroy_get_failures(const Targets *ts, GHashTable *known, const CallJob *job)
{
        GPtrArray *failures = g_hash_table_lookup(known, job);

        if (!failures) {
                failures = destroy_read_failures(ts, job);
                g_hash_table_insert(known, (CallJob *)job, failures);
        }

        return failures;
}

static void destroy_apply_failed_job(const Targets *ts, Target *t, const CallJob *job, GHashTable *known)
{
        const GPtrArray *failures = destroy_get_failures(ts, known, job);
        const FailureInfo *f = destroy_find_failure(failures, t->uuid);
        _cleanup_error_info_ ErrorInfo said = { 0 };

        g_assert(job->error.name);

        if (failures->len > 0 && !f) { /* only other instances failed */
                target_succeed(ts, t);
                return;
        }

        if (!f) {
                target_fail(ts, t, &job->error);
                return;
        }

        call_error_set(&said, f->error_name, f->message);
        said.hint = g_strdup(f->hint);
        said.hint_id = g_strdup(f->hint_id);
        error_info_add_job(&said, job->id);
        error_info_add_instance(&said, g_strdup(t->uuid));
        target_fail(ts, t, &said);
}

static void destroy_apply(const Targets *ts, const Call *call)
{
        g_autoptr(GHashTable) jobs = g_hash_table_new(g_str_hash, g_str_equal);
        g_autoptr(GHashTable) failures =
                        g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, destroy_failures_unref);

        for (unsigned i = 0; i < ts->sent->len; i++) {
                Target *t = ts->sent->pdata[i];
                const CallJob *job = destroy_find_job(call, jobs, t->gpu ? t->gpu : "/");

                t->job = job ? job->id : 0;
                if (!call->done && !(job && job->done))
                        continue; /* interrupted */

                if (job && job->error.name)
                        destroy_apply_failed_job(ts, t, job, failures);
                else if (job && (job->done || !call->error.name))
                        target_succeed(ts, t);
                else
                        target_fail(ts, t, &call->error);
        }
}

/* True if the daemon has refused the whole call, so that no job was queued. */
static bool destroy_was_refused(const Call *call)
{
        return call->done && call->error.name && !call->jobs &&
               vgpud_error_code_from_dbus(call->error.name) != VGPUD_ERROR_NONE;
}

static int destroy_many(Targets *ts, bool defined, bool *ret_refused)
{
        Call *call = g_new0(Call, 1);
        int r = 0, status = 0;

        g_assert(ts->sent->len > 1);

        call->kind = CALL_JOBS;
        call->object = "the instances";

        call->message = client_call_new(ts->client, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "DestroyMany",
                                        &status);
        if (call->message)
                r = destroy_build_many(ts, call->message, defined);
        if (r < 0)
                status = client_not_sent(ts->client, r);
        if (status == 0) {
                client_allow_password(ts->client);
                status = calls_run(ts->client, call, 1, NULL, NULL);

                *ret_refused = status == 0 && destroy_was_refused(call);
                if (!*ret_refused)
                        destroy_apply(ts, call);
        }

        calls_done(call, 1);

        return status;
}

/* ---- one call for each ---- */

static int destroy_append(sd_bus_message *m, const Target *t, const Arguments *a)
{
        int r = sd_bus_message_append(m, "s", t->path);

        return r < 0 ? r : append_destroy_options(m, a, false);
}

static int destroy_append_defined(sd_bus_message *m, const Target *t, const Arguments *a)
{
        int r = sd_bus_message_append(m, "s", t->path);

        return r < 0 ? r : append_destroy_options(m, a, true);
}

int destroy_targets(Targets *ts, bool defined)
{
        bool refused = ts->sent->len == 1;
        int status = 0;

        if (ts->sent->len > 1)
                status = destroy_many(ts, defined, &refused);

        return status == 0 && refused ? targets_call_each(ts, "Destroy", CALL_JOB,
                                                          defined ? destroy_append_defined : destroy_append)
                                      : status;
}
