/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/verbs/ready.h"

#include <stdio.h>

#include "cli/client/call-error.h"
#include "cli/output/errors.h"
#include "cli/output/format.h"
#include "cli/output/json.h"
#include "cli/verbs/ready-wait.h"

/* The exit status if the host is degraded. No error of vgpud has this status. */
#define READY_EXIT_DEGRADED 9

/* Adds clauses about the named definitions that are not active to the missing things. */
static void ready_collect(Ready *ready)
{
        for (size_t i = 0; i < ready->n_definitions; i++)
                if (!ready->definitions[i].active)
                        g_ptr_array_add(ready->missing, ready_describe(&ready->definitions[i]));
}

static void ready_set_degraded(Ready *ready)
{
        g_autofree char *message = g_strdup_printf("The host is degraded, missing instances or settings: %u",
                                                   ready->missing->len);

        ready->error.status = READY_EXIT_DEGRADED;
        call_error_set(&ready->error, "vgpuctl.Degraded", message);
        error_info_set_hint(
                        &ready->error, VGPUD_HINT_TRY_AGAIN,
                        "wait for a single definition with \"vgpuctl wait --ready DEFINITION\"; vgpud goes on trying");
}

static void ready_print_json(const Ready *ready)
{
        Json j = json_new(false);

        json_object(&j, NULL);
        json_string(&j, "readiness", ready->readiness);
        json_array(&j, "missing");
        for (guint i = 0; i < ready->missing->len; i++)
                json_string(&j, NULL, ready->missing->pdata[i]);
        json_array_end(&j);

        json_array(&j, "definitions");
        for (size_t i = 0; i < ready->n_definitions; i++) {
                const ReadyDefinition *d = &ready->definitions[i];

                json_object(&j, NULL);
                json_string(&j, "definition", d->uuid);
                json_string(&j, "state", d->state);
                json_string(&j, "reason", d->reason && *d->reason ? d->reason : NULL);
                json_error(&j, "error", &d->error, d->word);
                json_object_end(&j);
        }

        json_array_end(&j);
        json_object_end(&j);
        json_print(&j, stdout);
}

static void ready_print_missing(const Arguments *a, const Ready *ready)
{
        if (a->json)
                return;

        for (guint i = 0; i < ready->missing->len; i++) {
                g_autofree char *printable = format_printable(ready->missing->pdata[i]);

                (void)fprintf(stderr, "  %s\n", printable);
        }
}

static int ready_report(const Arguments *a, Ready *ready)
{
        int status = 0;

        ready_collect(ready);
        if (ready->n_definitions == 0 && !ready->error.name && !ready_is_ready(ready))
                ready_set_degraded(ready);

        if (a->json)
                ready_print_json(ready);

        for (size_t i = 0; i < ready->n_definitions; i++)
                if (ready->definitions[i].error.name) {
                        int r = error_info_print(a, &ready->definitions[i].error, ready->definitions[i].word);

                        status = status != 0 ? status : r;
                }

        if (!ready->error.name)
                return status;

        status = error_info_print(a, &ready->error, NULL);
        ready_print_missing(a, ready);

        return status;
}

int ready_run(const Arguments *a)
{
        _cleanup_client_ Client c = { 0 };
        _cleanup_ready_ Ready ready;
        int status;

        ready_init(&ready, a->words, a->n_words);
        for (unsigned i = 0; i < a->n_words; i++)
                if (!*a->words[i])
                        return fail_usage(a, "wait --ready needs names or UUIDs of definitions");

        status = client_open(&c, a);
        if (status != 0)
                return status;

        ready_wait(&c, &ready);

        return ready_report(a, &ready);
}
