/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dbus/bus-job.h"

#include <inttypes.h>
#include <string.h>

#include "daemon/model/model.h"
#include "daemon/work/job.h"
#include "daemon/work/queue.h"
#include "dbus/bus-error.h"
#include "dbus/bus.h"
#include "dbus/bus-util.h"

static const char *job_detail_text(const Job *job, const char *name)
{
        JobDetail detail;

        return job_get_detail(job, name, &detail) ? detail.text : NULL;
}

static uint32_t job_detail_number(const Job *job, const char *name)
{
        JobDetail detail;

        return job_get_detail(job, name, &detail) ? (uint32_t)detail.number : 0;
}

BUS_DEFINE_GETTER(property_get_id, Job, job, "u", job->id)
BUS_DEFINE_TEXT_GETTER(property_get_kind, Job, job, job->kind->name)
BUS_DEFINE_TEXT_GETTER(property_get_state, Job, job, job_state_to_string(job->state))
BUS_DEFINE_TEXT_GETTER(property_get_gpu, Job, job, job->gpu_name)
BUS_DEFINE_TEXT_GETTER(property_get_type, Job, job,
                       strcmp(job->kind->name, "create") == 0 ? job_detail_text(job, "type") : NULL)
BUS_DEFINE_GETTER(property_get_vfs, Job, job, "u",
                  strcmp(job->kind->name, "set-vfs") == 0 ? job_detail_number(job, "count") : 0)
BUS_DEFINE_TEXT_GETTER(property_get_mode, Job, job, job_detail_text(job, "mode"))
BUS_DEFINE_TEXT_GETTER(property_get_value, Job, job, job_detail_text(job, "value"))
BUS_DEFINE_GETTER(property_get_requester, Job, job, "u", job->requester)
BUS_DEFINE_GETTER(property_get_created_usec, Job, job, "t", job->created_usec)
BUS_DEFINE_GETTER(property_get_started_usec, Job, job, "t", job->started_usec)
BUS_DEFINE_GETTER(property_get_timeout_usec, Job, job, "t", model_config(job->model)->job_timeout_usec)

static int property_get_instances(sd_bus *bus, const char *path, const char *interface, const char *property,
                                  sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        const Job *job = userdata;

        return bus_append_instance_paths(reply, job->uuids);
}

static int method_cancel(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        Job *job = userdata;
        Bus *b = bus_of_call(call);
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        uid_t uid;
        int r;

        r = bus_read_options(call, NULL, 0, &e);
        if (r >= 0)
                r = bus_authz_caller(call, &uid, &e);
        if (r < 0)
                return bus_error_set(ret_error, r, &e);

        if (uid != job->requester) {
                g_autofree char *id = g_strdup_printf("%" PRIu32, job->id);
                g_autofree char *owner = g_strdup_printf("%" PRIu32, (uint32_t)job->requester);
                const char *type = job_detail_text(job, "type");
                const char *details[] = {
                        "gpu", job->gpu_name, "type", type ? type : "", "job", id, "owner", owner, NULL,
                };

                r = bus_authz_check(b->authz, call, uid, POLKIT_CANCEL_JOB, details, &e);
                if (r < 0)
                        return bus_error_set(ret_error, r, &e);
                if (r == 0)
                        return 1;
        }

        g_assert(model_get_job(b->model, job->id) == job);

        r = queue_cancel(job, &e);
        if (r < 0)
                return bus_error_set(ret_error, r, &e);

        return sd_bus_reply_method_return(call, NULL);
}

static const BusChange job_changes[] = {
        { BUS_JOB_CHANGED, "State" },
        { BUS_JOB_CHANGED, "StartedUsec" },
};

char **bus_job_properties(unsigned changes)
{
        return bus_changed_properties(job_changes, G_N_ELEMENTS(job_changes), changes);
}

const sd_bus_vtable bus_job_vtable[] = {
        SD_BUS_VTABLE_START(0),
        BUS_PROPERTY_CONST("Id", "u", property_get_id),
        BUS_PROPERTY_CONST("Kind", "s", property_get_kind),
        BUS_PROPERTY_CHANGES("State", "s", property_get_state),
        BUS_PROPERTY_CONST("Gpu", "s", property_get_gpu),
        BUS_PROPERTY_CONST("Instances", "ao", property_get_instances),
        BUS_PROPERTY_CONST("Type", "s", property_get_type),
        BUS_PROPERTY_CONST("Vfs", "u", property_get_vfs),
        BUS_PROPERTY_CONST("Mode", "s", property_get_mode),
        BUS_PROPERTY_CONST("Value", "s", property_get_value),
        BUS_PROPERTY_CONST("Requester", "u", property_get_requester),
        BUS_PROPERTY_CONST("CreatedUsec", "t", property_get_created_usec),
        BUS_PROPERTY_CHANGES("StartedUsec", "t", property_get_started_usec),
        BUS_PROPERTY_CONST("TimeoutUsec", "t", property_get_timeout_usec),
        SD_BUS_METHOD_WITH_ARGS("Cancel", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT, method_cancel,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};
