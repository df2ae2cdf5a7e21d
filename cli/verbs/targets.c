/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/verbs/targets.h"

#include <stdio.h>
#include <string.h>

#include "base/uuid.h"
#include "cli/client/call-error.h"
#include "cli/output/json.h"
#include "dbus/bus-names.h"

int targets_open(Targets *ts, Client *c, const Arguments *a, const char *asked, const char *key)
{
        int status;

        g_assert(a->n_words > 0);

        for (unsigned i = 0; i < a->n_words; i++)
                if (!*a->words[i])
                        return fail_usage(a, "\"\" names no %s", key);

        status = client_open(c, a);
        if (status != 0)
                return status;

        *ts = (Targets){
                .client = c,
                .asked = asked,
                .key = key,
                .targets = g_new0(Target, a->n_words),
                .n_targets = a->n_words,
                .sent = g_ptr_array_new(),
                .seen = g_hash_table_new(g_str_hash, g_str_equal),
        };

        for (unsigned i = 0; i < ts->n_targets; i++) {
                ts->targets[i].word = a->words[i];
                ts->targets[i].result = "unknown";
        }

        return 0;
}

void targets_done(Targets *ts)
{
        for (unsigned i = 0; i < ts->n_targets; i++) {
                g_free(ts->targets[i].path);
                g_free(ts->targets[i].uuid);
                g_free(ts->targets[i].gpu);
                error_info_done(&ts->targets[i].error);
        }

        g_free(ts->targets);
        g_clear_pointer(&ts->sent, g_ptr_array_unref);
        g_clear_pointer(&ts->seen, g_hash_table_unref);
}

void targets_add_sent(Targets *ts, Target *t)
{
        g_assert(t->path);

        t->again = g_hash_table_contains(ts->seen, t->path);
        if (t->again)
                return;

        (void)g_hash_table_insert(ts->seen, t->path, t);
        g_ptr_array_add(ts->sent, t);
}

/* ---- results ---- */

void target_fail(const Targets *ts, Target *t, const ErrorInfo *said)
{
        const Arguments *a = ts->client->args;
        g_autofree char *asked =
                        t->destroyed ? g_strdup_printf("Destroyed the instance, but could not undefine %s",
                                                       t->word)
                                     : g_strdup_printf("%s %s", ts->asked, t->word);

        g_assert(!t->error.name);

        call_error_explain(&t->error, a, said, asked);
        if (ts->explain && !t->error.hint)
                ts->explain(&t->error, a);
        t->result = "failed";
        (void)error_info_print(a, &t->error, t->word);
}

void target_succeed(const Targets *ts, Target *t)
{
        g_assert(!t->error.name);

        t->result = ts->client->args->block || t->job == 0 ? "done" : "queued";
}

/* A word that repeats an instance or a definition has the result of the first such word. */
static void targets_copy_results(Targets *ts)
{
        for (unsigned i = 0; i < ts->n_targets; i++) {
                Target *t = &ts->targets[i];
                const Target *first;

                if (!t->again)
                        continue;

                first = g_hash_table_lookup(ts->seen, t->path);
                t->job = first->job;
                t->result = first->result;
                t->destroyed = first->destroyed;

                if (first->error.name)
                        error_info_copy(&t->error, &first->error);
        }
}

static void target_print_json(Json *j, const Targets *ts, const Target *t)
{
        json_object(j, NULL);
        json_string(j, ts->key, t->word);
        json_string(j, "uuid", t->uuid);
        json_u64_or_null(j, "job", t->job);
        json_string(j, "result", t->result);
        if (ts->show_destroyed)
                json_bool(j, "destroyed", t->destroyed);
        json_error(j, "error", &t->error, t->word);
        json_object_end(j);
}

static void targets_print(const Targets *ts)
{
        g_autoptr(GHashTable) printed = g_hash_table_new(g_direct_hash, g_direct_equal);

        if (ts->client->args->json) {
                Json j = json_new(false);

                json_object(&j, NULL);
                json_array(&j, "results");

                for (unsigned i = 0; i < ts->n_targets; i++)
                        target_print_json(&j, ts, &ts->targets[i]);
                json_array_end(&j);
                json_object_end(&j);
                json_print(&j, stdout);
                return;
        }

        for (unsigned i = 0; !ts->client->args->block && i < ts->n_targets; i++) {
                uint32_t job = ts->targets[i].job;

                if (job > 0 && g_hash_table_add(printed, GUINT_TO_POINTER(job)))
                        (void)printf("%" G_GUINT32_FORMAT "\n", job);
        }
}

int targets_finish(Targets *ts, int status)
{
        targets_copy_results(ts);
        targets_print(ts);

        for (unsigned i = 0; status == 0 && i < ts->n_targets; i++)
                if (ts->targets[i].error.name)
                        status = ts->targets[i].error.status;

        return status;
}

/* ---- words ---- */

/* Find the UUID of the definition that a word names. */
static char *target_find_uuid(const Targets *ts, const Host *h, const Target *t, ErrorInfo *ret_error)
{
        _cleanup_error_info_ ErrorInfo ignored = { 0 };
        g_autofree char *path = NULL;
        const DefinitionInfo *d;
        VgpudErrorCode code;
        ObjectKind kind;

        d = host_find(h, t->word, FIND_DEFINITION | FIND_NO_SHORT, &kind, ret_error);
        if (d)
                return g_strdup(d->uuid);

        code = error_info_code(ret_error);
        if (code == VGPUD_ERROR_AMBIGUOUS || !lookup_named_instance(ts->client, t->word, &path, &ignored))
                return NULL;

        return uuid_from_path(path);
}

static void targets_find_definition(Targets *ts, const Host *h, Target *t, bool listed)
{
        g_autofree char *from_path = t->word[0] == '/' ? uuid_from_path(t->word) : NULL;
        const char *word = from_path ? from_path : t->word;
        _cleanup_error_info_ ErrorInfo said = { 0 };
        g_autofree char *found = NULL;
        const DefinitionInfo *d;

        if (listed && !uuid_is_valid(word)) {
                found = target_find_uuid(ts, h, t, &said);
                if (!found) {
                        target_fail(ts, t, &said);
                        return;
                }
        }

        t->uuid = g_ascii_strdown(found ? found : word, -1);
        t->path = instance_path_from_uuid(t->uuid);
        d = host_find_path(h, OBJECT_DEFINITION, t->uuid);
        t->waits = d && strcmp(d->state, "waiting") == 0;
        t->stopped = t->waits || (d && strcmp(d->state, "stopped") == 0);
        targets_add_sent(ts, t);
}

int targets_find_definitions(Targets *ts, unsigned needs)
{
        _cleanup_host_ Host *h = host_new();
        bool listed = needs & TARGETS_STATES;
        int status = 0;

        for (unsigned i = 0; i < ts->n_targets; i++)
                listed = listed || !uuid_is_valid(ts->targets[i].word);
        if (listed)
                status = lookup_definitions(ts->client, h, NULL, LOOKUP_NAMES);
        if (status == 0 && (needs & TARGETS_GPUS) && ts->n_targets > 1)
                status = lookup_instances(ts->client, h, NULL, LOOKUP_NAMES);
        if (status != 0)
                return status;

        for (unsigned i = 0; i < ts->n_targets; i++) {
                Target *t = &ts->targets[i];
                const InstanceInfo *instance;

                targets_find_definition(ts, h, t, listed);
                instance = t->path ? host_find_path(h, OBJECT_INSTANCE, t->path) : NULL;
                t->gpu = instance ? g_strdup(instance->gpu) : NULL;
        }

        return 0;
}

/* ---- one call for each ---- */

static void targets_on_call(Call *call, void *userdata)
{
        const Targets *ts = userdata;
        Target *t = NULL;

        for (unsigned i = 0; i < ts->sent->len && !t; i++)
                if (((Target *)ts->sent->pdata[i])->word == call->object)
                        t = ts->sent->pdata[i];

        g_assert(t);

        if (call_job_id(call) != 0)
                t->job = call_job_id(call);

        if (call->error.name)
                target_fail(ts, t, &call->error);
        else
                target_succeed(ts, t);
}

int targets_call_each(Targets *ts, const char *member, CallKind kind, TargetAppend append)
{
        unsigned n = ts->sent->len;
        Call *calls = g_new0(Call, n);
        int status = 0;

        g_assert(n > 0);

        for (unsigned i = 0; status == 0 && i < n; i++) {
                const Target *t = ts->sent->pdata[i];
                int r;

                calls[i].object = t->word;
                calls[i].kind = kind;
                calls[i].message = client_call_new(ts->client, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, member,
                                                   &status);
                if (!calls[i].message)
                        break;

                r = append(calls[i].message, t, ts->client->args);
                if (r < 0)
                        status = client_not_sent(ts->client, r);
        }

        if (status == 0) {
                client_allow_password(ts->client);
                status = calls_run(ts->client, calls, n, targets_on_call, ts);
        }

        for (unsigned i = 0; i < n; i++)
                if (call_job_id(&calls[i]) != 0)
                        ((Target *)ts->sent->pdata[i])->job = call_job_id(&calls[i]);
        calls_done(calls, n);

        return status;
}
