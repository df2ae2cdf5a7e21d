/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dbus/bus-request.h"

#include "base/log.h"
#include "daemon/model/model.h"
#include "daemon/work/job.h"
#include "dbus/bus-announce.h"
#include "dbus/bus-error.h"
#include "dbus/bus-util.h"

static int request_send_answer(sd_bus_message *call, const Job *job)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        g_autofree char *path = bus_path_job(job->id);
        int r;

        r = sd_bus_message_new_method_return(call, &reply);
        if (r < 0)
                return r;

        r = sd_bus_message_append_basic(reply, 'o', path);
        if (r >= 0 && job->kind->makes_instances)
                r = bus_append_instance_paths(reply, job->uuids);
        if (r < 0)
                return r;

        return sd_bus_send(NULL, reply, NULL);
}

static void request_on_finished(Job *job, const VgpudError *error, void *userdata)
{
        Bus *b = userdata;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        int r;

        if (!g_hash_table_steal_extended(b->waiting, GUINT_TO_POINTER(job->id), NULL, (gpointer *)&call))
                return;

        bus_announce_flush(b);
        if (error->code == VGPUD_ERROR_NONE)
                r = request_send_answer(call, job);
        else
                r = bus_error_reply(call, -vgpud_error_code_to_errno(error->code), error);

        if (r < 0) /* the caller may have left */
                log_debug_errno(r, "Failed to answer a call that waited for job %u, ignoring: %m", job->id);
}

static int request_answer(Bus *b, sd_bus_message *call, Job *job, bool wait)
{
        g_assert(!g_hash_table_contains(b->waiting, GUINT_TO_POINTER(job->id)));

        if (!wait)
                return request_send_answer(call, job);

        g_hash_table_insert(b->waiting, GUINT_TO_POINTER(job->id), sd_bus_message_ref(call));
        job_on_finished(job, request_on_finished, b);

        return 1;
}

int bus_request_run(Bus *b, sd_bus_message *call, const BusRequest *request, sd_bus_error *ret_error)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        Job *job;
        int r = 0;

        g_assert(request->action < _POLKIT_ACTION_MAX);
        g_assert(request->details && request->queue);

        if (request->check)
                r = request->check(request->arguments, &e);
        if (r >= 0)
                r = bus_authz_check(b->authz, call, request->requester, request->action, request->details, &e);
        if (r < 0)
                return bus_error_set(ret_error, r, &e);
        if (r == 0)
                return 1;

        r = request->queue(request->arguments, request->requester, &job, &e);
        if (r < 0)
                return bus_error_set(ret_error, r, &e);

        return request_answer(b, call, job, request->wait);
}

void bus_request_end(Bus *b, Job *job)
{
        request_on_finished(job, &job->error, b);
}

void bus_request_cancel_all(Bus *b)
{
        const VgpudError e = { .code = VGPUD_ERROR_CANCELED,
                               .message = (char *)"vgpud stops; a job that runs goes on in the kernel" };
        GHashTableIter i;
        void *key, *call;

        g_hash_table_iter_init(&i, b->waiting);

        while (g_hash_table_iter_next(&i, &key, &call)) {
                Job *job = model_get_job(b->model, GPOINTER_TO_UINT(key));

                if (job)
                        job_on_finished(job, NULL, NULL);
                (void)bus_error_reply(call, -ECANCELED, &e);
        }

        g_hash_table_remove_all(b->waiting);
}
