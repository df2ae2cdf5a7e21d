/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dbus/bus-announce.h"

#include "base/log.h"
#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/work/job.h"
#include "dbus/bus-gpu.h"
#include "dbus/bus-instance.h"
#include "dbus/bus-job.h"
#include "dbus/bus-names.h"
#include "dbus/bus-request.h"
#include "dbus/bus-util.h"

static void announce_log(int r, const char *what)
{
        if (r < 0)
                log_debug_errno(r, "Failed to announce %s, ignoring: %m", what);
}

/* ---- changes of properties ---- */

typedef char *(*PathOf)(const void *object);
typedef char **(*PropertiesOf)(unsigned changes);

static char *path_of_gpu(const void *object)
{
        return bus_path_gpu(gpu_name(object));
}

static char *path_of_instance(const void *object)
{
        return bus_path_instance(((const Instance *)object)->desc->uuid);
}

static char *path_of_job(const void *object)
{
        return bus_path_job(((const Job *)object)->id);
}

/* The getters that sd-bus calls in here change nothing in the model, so the table stays as it is. */
static void announce_flush_table(Bus *b, GHashTable *table, const char *interface, PathOf path_of,
                                 PropertiesOf properties_of)
{
        GHashTableIter i;
        void *object, *changes;

        g_hash_table_iter_init(&i, table);

        while (g_hash_table_iter_next(&i, &object, &changes)) {
                g_autofree char *path = path_of(object);
                g_autofree char **properties = properties_of(GPOINTER_TO_UINT(changes));

                if (properties[0])
                        announce_log(sd_bus_emit_properties_changed_strv(b->bus, path, interface, properties),
                                     path);
        }

        g_hash_table_remove_all(table);
}

void bus_announce_flush(Bus *b)
{
        announce_flush_table(b, b->gpus, VGPUD_INTERFACE_GPU, path_of_gpu, bus_gpu_properties);
        announce_flush_table(b, b->instances, VGPUD_INTERFACE_INSTANCE, path_of_instance,
                             bus_instance_properties);
        announce_flush_table(b, b->jobs, VGPUD_INTERFACE_JOB, path_of_job, bus_job_properties);
        b->flush = sd_event_source_disable_unref(b->flush);
}

static int on_flush(sd_event_source *s, void *userdata)
{
        bus_announce_flush(userdata);
        return 0;
}

static void announce_note(Bus *b, GHashTable *table, void *object, unsigned changes)
{
        unsigned before = GPOINTER_TO_UINT(g_hash_table_lookup(table, object));

        g_assert(changes != 0);

        g_hash_table_insert(table, object, GUINT_TO_POINTER(before | changes));

        /* The next answer or removal still announces the changes if this fails. */
        if (!b->flush)
                announce_log(sd_event_add_defer(sd_bus_get_event(b->bus), &b->flush, on_flush, b), "changes");
}

/* Gpu.Vfs shows the instance on each VF, so it follows from the instances. */
static void announce_note_occupancy(Bus *b, const Instance *instance)
{
        if (bus_gpu_instance_has_vf(instance))
                announce_note(b, b->gpus, instance->gpu, BUS_GPU_CHANGED_OCCUPANCY);
}

/* ---- ModelEvents ---- */

static void announce_on_gpu_added(Gpu *gpu, void *userdata)
{
        Bus *b = userdata;
        g_autofree char *path = bus_path_gpu(gpu_name(gpu));

        announce_log(sd_bus_emit_object_added(b->bus, path), path);
}

static void announce_on_gpu_changed(Gpu *gpu, unsigned changes, void *userdata)
{
        Bus *b = userdata;

        announce_note(b, b->gpus, gpu, changes);
}

static void announce_on_gpu_removed(Gpu *gpu, void *userdata)
{
        Bus *b = userdata;
        g_autofree char *path = bus_path_gpu(gpu_name(gpu));

        bus_announce_flush(b);
        announce_log(sd_bus_emit_object_removed(b->bus, path), path);
}

static void announce_on_instance_added(Instance *instance, void *userdata)
{
        Bus *b = userdata;
        g_autofree char *path = bus_path_instance(instance->desc->uuid);

        announce_log(sd_bus_emit_object_added(b->bus, path), path);
        announce_note_occupancy(b, instance);
}

static void announce_on_instance_changed(Instance *instance, unsigned changes, void *userdata)
{
        Bus *b = userdata;

        announce_note(b, b->instances, instance, changes);

        if (changes & INSTANCE_CHANGED_DESC)
                announce_note_occupancy(b, instance);
}

static void announce_on_instance_removed(Instance *instance, void *userdata)
{
        Bus *b = userdata;
        g_autofree char *path = bus_path_instance(instance->desc->uuid);

        bus_announce_flush(b);
        announce_log(sd_bus_emit_object_removed(b->bus, path), path);
        announce_note_occupancy(b, instance);
}

static void announce_on_job_added(Job *job, void *userdata)
{
        Bus *b = userdata;
        g_autofree char *path = bus_path_job(job->id);

        announce_log(sd_bus_emit_object_added(b->bus, path), path);
}

static void announce_on_job_changed(Job *job, void *userdata)
{
        Bus *b = userdata;

        announce_note(b, b->jobs, job, BUS_JOB_CHANGED);
}

static int announce_job_removed(Bus *b, const Job *job, const char *path)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
        bool success = job->error.code == VGPUD_ERROR_NONE;
        int r;

        r = sd_bus_message_new_signal(b->bus, &signal, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "JobRemoved");
        if (r < 0)
                return r;

        r = sd_bus_message_append(signal, "uoss", job->id, path, job_state_to_string(job->state),
                                  success ? "" : vgpud_error_code_to_dbus(job->error.code));
        if (r < 0)
                return r;

        r = bus_append_text(signal, success ? "" : job->error.message);
        if (r < 0)
                return r;

        r = bus_append_instance_paths(signal, job->uuids);
        if (r < 0)
                return r;

        return sd_bus_send(b->bus, signal, NULL);
}

static void announce_on_job_removed(Job *job, void *userdata)
{
        Bus *b = userdata;
        g_autofree char *path = bus_path_job(job->id);

        g_assert(job->state > JOB_STUCK);

        bus_request_end(b, job);
        bus_announce_flush(b);
        announce_log(sd_bus_emit_object_removed(b->bus, path), path);
        announce_log(announce_job_removed(b, job, path), "JobRemoved");
}

const ModelEvents bus_announce_events = {
        .gpu_added = announce_on_gpu_added,
        .gpu_changed = announce_on_gpu_changed,
        .gpu_removed = announce_on_gpu_removed,
        .instance_added = announce_on_instance_added,
        .instance_changed = announce_on_instance_changed,
        .instance_removed = announce_on_instance_removed,
        .job_added = announce_on_job_added,
        .job_changed = announce_on_job_changed,
        .job_removed = announce_on_job_removed,
};
