/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* destroy: one call for all instances, with one job per GPU. If the daemon refuses that call because of one
 * instance, each instance gets a call of its own, so that vgpuctl destroys every instance that can be
 * destroyed. */

#include <stdio.h>
#include <string.h>

#include "cli/client/call-error.h"
#include "cli/client/lookup.h"
#include "cli/client/wait.h"
#include "cli/output/errors.h"
#include "cli/output/json.h"
#include "cli/verbs/batch.h"
#include "cli/verbs/call-options.h"
#include "cli/verbs/verbs.h"
#include "dbus/bus-names.h"

typedef struct Target {
        const char *word;
        char *path; /* NULL: the word names no instance */
        char *uuid;
        char *gpu;  /* path; NULL: not known */
        bool again; /* an earlier word names the same instance */

        uint32_t job; /* 0: no job */
        const char *result;
        ErrorInfo error; /* explained; without a name: none */
} Target;

typedef struct Destroy {
        Client *client;
        Target *targets;
        unsigned n_targets;
        GPtrArray *sent; /* Target: the targets of the calls, in the order of the calls */
} Destroy;

/* ---- results ---- */

static void target_fail(const Destroy *d, Target *t, const ErrorInfo *said)
{
        g_autofree char *asked = g_strdup_printf("Could not destroy %s", t->word);

        g_assert(!t->error.name);

        call_error_explain(&t->error, d->client->args, said, asked);
        t->result = "failed";
        (void)error_info_print(d->client->args, &t->error, t->word);
}

static void target_done(const Destroy *d, Target *t)
{
        g_assert(!t->error.name);

        t->result = d->client->args->block ? "done" : "queued";
}

static void target_print_json(Json *j, const Target *t)
{
        json_object(j, NULL);
        json_string(j, "instance", t->word);
        json_string(j, "uuid", t->uuid);
        json_u64_or_null(j, "job", t->job);
        json_string(j, "result", t->result);
        json_error(j, "error", &t->error, t->word);
        json_object_end(j);
}

static void destroy_print(const Destroy *d)
{
        uint32_t last = 0;

        if (d->client->args->json) {
                Json j = json_new(false);

                json_object(&j, NULL);
                json_array(&j, "results");

                for (unsigned i = 0; i < d->n_targets; i++)
                        target_print_json(&j, &d->targets[i]);
                json_array_end(&j);
                json_object_end(&j);
                json_print(&j, stdout);
                return;
        }

        for (unsigned i = 0; !d->client->args->block && i < d->n_targets; i++) {
                if (d->targets[i].job > last)
                        (void)printf("%" G_GUINT32_FORMAT "\n", d->targets[i].job);
                last = MAX(last, d->targets[i].job);
        }
}

/* ---- words ---- */

static int destroy_resolve(Destroy *d)
{
        const Arguments *a = d->client->args;
        _cleanup_host_ Host *h = host_new();
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
        bool listed = a->n_words > 1; /* the GPU of an instance tells which job removes the instance */

        for (unsigned i = 0; i < a->n_words; i++)
                listed = listed || !word_is_whole(a->words[i]);
        if (listed) {
                int status = lookup_instances(d->client, h, NULL, LOOKUP_NAMES);

                if (status != 0)
                        return status;
        }

        for (unsigned i = 0; i < a->n_words; i++) {
                Target *t = &d->targets[i];
                VgpudErrorCode code = VGPUD_ERROR_NONE;
                _cleanup_error_info_ ErrorInfo said = { 0 };
                g_autofree char *message = NULL;
                ObjectKind kind;
                InstanceInfo *instance = NULL;

                t->word = a->words[i];
                t->result = "unknown";

                if (listed)
                        instance = host_find(h, t->word, FIND_INSTANCE | FIND_NO_SHORT, &kind, &code, &message);
                if (instance) {
                        t->path = g_strdup(instance->path);
                        t->gpu = g_strdup(instance->gpu);
                } else if (t->word[0] == '/' && word_is_whole(t->word))
                        t->path = g_strdup(t->word);
                else if (word_is_whole(t->word))
                        t->path = instance_path_from_uuid(t->word);
                else if (!lookup_missing_instance(d->client, t->word, code, message, &t->path, &said)) {
                        target_fail(d, t, &said);
                        continue;
                }

                t->uuid = uuid_from_path(t->path);
                if (g_hash_table_add(seen, t->path))
                        g_ptr_array_add(d->sent, t);
                else
                        t->again = true;
        }

        return 0;
}

/* ---- one call for all ---- */

static int destroy_build_many(const Destroy *d, sd_bus_message *m)
{
        int r;

        r = sd_bus_message_open_container(m, 'a', "o");

        for (unsigned i = 0; r >= 0 && i < d->sent->len; i++)
                r = sd_bus_message_append_basic(m, 'o', ((const Target *)d->sent->pdata[i])->path);
        if (r >= 0)
                r = sd_bus_message_close_container(m);

        return r < 0 ? r : append_job_options(m, d->client->args);
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
static GPtrArray *destroy_read_failures(const Destroy *d, const CallJob *job)
{
        _cleanup_host_ Host *h = host_new();
        JobInfo *info;
        int status;

        if (!job->error.failures || job->error.failures->len >= job->error.n_failures)
                return job->error.failures ? g_ptr_array_ref(job->error.failures) : failures_new();

        d->client->quiet = true;
        status = lookup_job(d->client, h, job->id, &info);
        d->client->quiet = false;

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
static const GPtrArray *destroy_get_failures(const Destroy *d, GHashTable *known, const CallJob *job)
{
        GPtrArray *failures = g_hash_table_lookup(known, job);

        if (!failures) {
                failures = destroy_read_failures(d, job);
                g_hash_table_insert(known, (CallJob *)job, failures);
        }

        return failures;
}

static void destroy_apply_failed_job(const Destroy *d, Target *t, const CallJob *job, GHashTable *known)
{
        const GPtrArray *failures = destroy_get_failures(d, known, job);
        const FailureInfo *f = destroy_find_failure(failures, t->uuid);
        _cleanup_error_info_ ErrorInfo said = { 0 };

        g_assert(job->error.name);

        if (failures->len > 0 && !f) { /* only other instances failed */
                target_done(d, t);
                return;
        }

        if (!f) {
                target_fail(d, t, &job->error);
                return;
        }

        call_error_set(&said, f->error_name, f->message);
        said.hint = g_strdup(f->hint);
        said.hint_id = g_strdup(f->hint_id);
        error_info_add_job(&said, job->id);
        error_info_add_instance(&said, g_strdup(t->uuid));
        target_fail(d, t, &said);
}

static void destroy_apply(const Destroy *d, const Call *call)
{
        g_autoptr(GHashTable) jobs = g_hash_table_new(g_str_hash, g_str_equal);
        g_autoptr(GHashTable) failures =
                        g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, destroy_failures_unref);

        for (unsigned i = 0; i < d->sent->len; i++) {
                Target *t = d->sent->pdata[i];
                const CallJob *job = destroy_find_job(call, jobs, t->gpu ? t->gpu : "/");

                t->job = job ? job->id : 0;
                if (!call->done && !(job && job->done))
                        continue; /* interrupted */

                if (job && job->error.name)
                        destroy_apply_failed_job(d, t, job, failures);
                else if (job && (job->done || !call->error.name))
                        target_done(d, t);
                else
                        target_fail(d, t, &call->error);
        }
}

/* True if the daemon has refused the whole call, so that no job was queued. */
static bool destroy_was_refused(const Call *call)
{
        return call->done && call->error.name && !call->jobs &&
               vgpud_error_code_from_dbus(call->error.name) != VGPUD_ERROR_NONE;
}

static int destroy_many(Destroy *d, bool *ret_refused)
{
        Call *call = g_new0(Call, 1);
        int r = 0, status = 0;

        g_assert(d->sent->len > 1);

        call->kind = CALL_JOBS;
        call->object = "the instances";

        call->message = client_call_new(d->client, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "DestroyMany",
                                        &status);
        if (call->message)
                r = destroy_build_many(d, call->message);
        if (r < 0)
                status = client_not_sent(d->client, r);
        if (status == 0) {
                client_allow_password(d->client);
                status = calls_run(d->client, call, 1, NULL, NULL);

                *ret_refused = status == 0 && destroy_was_refused(call);
                if (!*ret_refused)
                        destroy_apply(d, call);
        }

        calls_done(call, 1);

        return status;
}

/* ---- one call for each ---- */

static void destroy_on_call(Call *call, void *userdata)
{
        const Destroy *d = userdata;
        Target *t = NULL;

        for (unsigned i = 0; i < d->sent->len && !t; i++)
                if (((Target *)d->sent->pdata[i])->word == call->object)
                        t = d->sent->pdata[i];

        g_assert(t);

        t->job = call_job_id(call);

        if (call->error.name)
                target_fail(d, t, &call->error);
        else
                target_done(d, t);
}

static int destroy_each(Destroy *d)
{
        unsigned n = d->sent->len;
        Call *calls = g_new0(Call, n);
        int r = 0, status = 0;

        g_assert(n > 0);

        for (unsigned i = 0; status == 0 && i < n; i++) {
                const Target *t = d->sent->pdata[i];

                calls[i].object = t->word;

                calls[i].message = client_call_new(d->client, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER,
                                                   "Destroy", &status);
                if (!calls[i].message)
                        break;

                r = sd_bus_message_append(calls[i].message, "s", t->path);
                if (r >= 0)
                        r = append_job_options(calls[i].message, d->client->args);
                if (r < 0)
                        status = client_not_sent(d->client, r);
        }

        if (status == 0) {
                client_allow_password(d->client);
                status = calls_run(d->client, calls, n, destroy_on_call, d);
        }

        for (unsigned i = 0; i < n; i++)
                ((Target *)d->sent->pdata[i])->job = call_job_id(&calls[i]);
        calls_done(calls, n);

        return status;
}

/* ---- the verb ---- */

/* A word that repeats an instance has the result of the first such word. */
static void destroy_copy_results(Destroy *d)
{
        for (unsigned i = 0; i < d->n_targets; i++)
                for (unsigned n = 0; d->targets[i].again && n < i; n++)
                        if (g_strcmp0(d->targets[n].path, d->targets[i].path) == 0 && !d->targets[n].again) {
                                d->targets[i].job = d->targets[n].job;
                                d->targets[i].result = d->targets[n].result;

                                if (d->targets[n].error.name)
                                        error_info_copy(&d->targets[i].error, &d->targets[n].error);
                        }
}

static int destroy_targets(Destroy *d)
{
        bool refused = d->sent->len == 1;
        int status = 0;

        if (d->sent->len > 1)
                status = destroy_many(d, &refused);
        if (status == 0 && refused)
                status = destroy_each(d);
        destroy_copy_results(d);
        destroy_print(d);

        for (unsigned i = 0; status == 0 && i < d->n_targets; i++)
                if (d->targets[i].error.name)
                        status = d->targets[i].error.status;

        return status;
}

static int destroy_run(const Arguments *a)
{
        _cleanup_client_ Client c = { 0 };
        Destroy d = { .client = &c, .n_targets = a->n_words };
        int status;

        g_assert(a->n_words >= 1);

        for (unsigned i = 0; i < a->n_words; i++)
                if (!*a->words[i])
                        return fail_usage(a, "destroy needs UUIDs or names of instances");

        status = client_open(&c, a);
        if (status != 0)
                return status;

        d.targets = g_new0(Target, a->n_words);
        d.sent = g_ptr_array_new();

        status = destroy_resolve(&d);
        if (status == 0)
                status = destroy_targets(&d);

        for (unsigned i = 0; i < a->n_words; i++) {
                g_free(d.targets[i].path);
                g_free(d.targets[i].uuid);
                g_free(d.targets[i].gpu);
                error_info_done(&d.targets[i].error);
        }

        g_free(d.targets);
        g_ptr_array_unref(d.sent);

        return status;
}

const VerbInfo verb_destroy = {
        .name = "destroy",
        .words = "INSTANCE...",
        .least_words = 1,
        .most_words = VERB_ANY_WORDS,
        .options = OPTION_FOREIGN | OPTION_TIMEOUT | OPTION_NO_BLOCK,
        .run = destroy_run,
        .text = "Remove instances",
};
