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

static void emitted(int r, const char *what)
{
        if (r < 0)
                log_debug_errno(r, "Failed to announce %s, ignoring: %m", what);
}

/* --- changes of properties --- */

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

/* sd-bus reads the properties in here, which changes nothing in the model: no new change is noted meanwhile. */
static void flush_table(Bus *b, GHashTable *table, const char *interface, PathOf path_of,
                        PropertiesOf properties_of)
{
        GHashTableIter i;
        void *object, *changes;

        g_hash_table_iter_init(&i, table);
        while (g_hash_table_iter_next(&i, &object, &changes)) {
                g_autofree char *path = path_of(object);
                g_autofree char **properties = properties_of(GPOINTER_TO_UINT(changes));

                if (properties[0])
                        emitted(sd_bus_emit_properties_changed_strv(b->bus, path, interface, properties), path);
        }
        g_hash_table_remove_all(table);
}

void bus_announce_flush(Bus *b)
{
        flush_table(b, b->gpus, VGPUD_INTERFACE_GPU, path_of_gpu, bus_gpu_properties);
        flush_table(b, b->instances, VGPUD_INTERFACE_INSTANCE, path_of_instance, bus_instance_properties);
        flush_table(b, b->jobs, VGPUD_INTERFACE_JOB, path_of_job, bus_job_properties);
        b->flush = sd_event_source_disable_unref(b->flush);
}

static int on_flush(sd_event_source *s, void *userdata)
{
        bus_announce_flush(userdata);
        return 0;
}

static void note_change(Bus *b, GHashTable *table, void *object, unsigned changes)
{
        unsigned before = GPOINTER_TO_UINT(g_hash_table_lookup(table, object));

        g_hash_table_insert(table, object, GUINT_TO_POINTER(before | changes));
        /* Without the event source they still go out with the next answer or removal. */
        if (!b->flush)
                emitted(sd_event_add_defer(sd_bus_get_event(b->bus), &b->flush, on_flush, b), "changes");
}

/* Which virtual function carries what is a property of the GPU that follows from its instances. */
static void note_occupancy(Bus *b, const Instance *instance)
{
        if (bus_gpu_instance_has_vf(instance))
                note_change(b, b->gpus, instance->gpu, BUS_GPU_CHANGED_OCCUPANCY);
}

/* --- ModelEvents --- */

static void on_gpu_added(Gpu *gpu, void *userdata)
{
        Bus *b = userdata;
        g_autofree char *path = bus_path_gpu(gpu_name(gpu));

        emitted(sd_bus_emit_object_added(b->bus, path), path);
}

static void on_gpu_changed(Gpu *gpu, unsigned changes, void *userdata)
{
        Bus *b = userdata;

        note_change(b, b->gpus, gpu, changes);
}

static void on_gpu_removed(Gpu *gpu, void *userdata)
{
        Bus *b = userdata;
        g_autofree char *path = bus_path_gpu(gpu_name(gpu));

        bus_announce_flush(b);
        emitted(sd_bus_emit_object_removed(b->bus, path), path);
}

static void on_instance_added(Instance *instance, void *userdata)
{
        Bus *b = userdata;
        g_autofree char *path = bus_path_instance(instance->desc->uuid);

        emitted(sd_bus_emit_object_added(b->bus, path), path);
        note_occupancy(b, instance);
}

static void on_instance_changed(Instance *instance, unsigned changes, void *userdata)
{
        Bus *b = userdata;

        note_change(b, b->instances, instance, changes);
        if (changes & INSTANCE_CHANGED_DESC)
                note_occupancy(b, instance);
}

static void on_instance_removed(Instance *instance, void *userdata)
{
        Bus *b = userdata;
        g_autofree char *path = bus_path_instance(instance->desc->uuid);

        bus_announce_flush(b);
        emitted(sd_bus_emit_object_removed(b->bus, path), path);
        note_occupancy(b, instance);
}

static void on_job_added(Job *job, void *userdata)
{
        Bus *b = userdata;
        g_autofree char *path = bus_path_job(job->id);

        emitted(sd_bus_emit_object_added(b->bus, path), path);
}

static void on_job_changed(Job *job, void *userdata)
{
        Bus *b = userdata;

        note_change(b, b->jobs, job, BUS_JOB_CHANGED);
}

static int emit_job_removed(Bus *b, const Job *job, const char *path)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
        bool well = job->error.code == VGPUD_ERROR_NONE;
        int r;

        r = sd_bus_message_new_signal(b->bus, &signal, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "JobRemoved");
        if (r < 0)
                return r;
        r = sd_bus_message_append(signal, "uoss", job->id, path, job_state_to_string(job->state),
                                  well ? "" : vgpud_error_code_to_dbus(job->error.code));
        if (r < 0)
                return r;
        r = bus_append_text(signal, well ? "" : job->error.message);
        if (r < 0)
                return r;
        r = bus_append_instance_paths(signal, job->uuids);
        if (r < 0)
                return r;
        return sd_bus_send(b->bus, signal, NULL);
}

static void on_job_removed(Job *job, void *userdata)
{
        Bus *b = userdata;
        g_autofree char *path = bus_path_job(job->id);

        bus_request_end(b, job);
        bus_announce_flush(b);
        emitted(sd_bus_emit_object_removed(b->bus, path), path);
        emitted(emit_job_removed(b, job, path), "JobRemoved");
}

const ModelEvents bus_announce_events = {
        .gpu_added = on_gpu_added,
        .gpu_changed = on_gpu_changed,
        .gpu_removed = on_gpu_removed,
        .instance_added = on_instance_added,
        .instance_changed = on_instance_changed,
        .instance_removed = on_instance_removed,
        .job_added = on_job_added,
        .job_changed = on_job_changed,
        .job_removed = on_job_removed,
};
