/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The tree of objects, and the signals: what the model tells through ModelEvents becomes InterfacesAdded,
 * InterfacesRemoved, PropertiesChanged and JobRemoved. Changes of properties are collected and announced once
 * per turn of the event loop; they are announced earlier before anything that a client could take as the sign
 * that they have been: a removal, or the answer to a call that waited. */

#include "dbus/bus.h"

#include <string.h>

#include "base/log.h"
#include "dbus/bus-error.h"
#include "dbus/bus-internal.h"
#include "dbus/bus-names.h"
#include "dbus/bus-util.h"

DEFINE_DESTROY_NOTIFY(slot_destroy, sd_bus_slot_unref)
DEFINE_DESTROY_NOTIFY(message_destroy, sd_bus_message_unref)

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

void bus_flush_changes(Bus *b)
{
        flush_table(b, b->gpus, VGPUD_INTERFACE_GPU, path_of_gpu, bus_gpu_properties);
        flush_table(b, b->instances, VGPUD_INTERFACE_INSTANCE, path_of_instance, bus_instance_properties);
        flush_table(b, b->jobs, VGPUD_INTERFACE_JOB, path_of_job, bus_job_properties);
        b->flush = sd_event_source_disable_unref(b->flush);
}

static int on_flush(sd_event_source *s, void *userdata)
{
        bus_flush_changes(userdata);
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

        bus_flush_changes(b);
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

        bus_flush_changes(b);
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

/* --- calls that wait for a job --- */

/* The answer says which job it was, and for a new instance which instances. */
static int answer(sd_bus_message *call, const Job *job)
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

static void on_job_finished(Job *job, const VgpudError *error, void *userdata)
{
        Bus *b = userdata;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        int r;

        if (!g_hash_table_steal_extended(b->waiting, GUINT_TO_POINTER(job->id), NULL, (gpointer *)&call))
                return;
        bus_flush_changes(b);
        if (error->code == VGPUD_ERROR_NONE)
                r = answer(call, job);
        else
                r = bus_error_reply(call, -vgpud_error_code_to_errno(error->code), error);
        if (r < 0) /* the caller may be gone, which is its right */
                log_debug_errno(r, "Failed to answer a call that waited for job %u, ignoring: %m", job->id);
}

int bus_answer_with_job(Bus *b, sd_bus_message *call, Job *job, bool wait)
{
        if (!wait)
                return answer(call, job);
        g_hash_table_insert(b->waiting, GUINT_TO_POINTER(job->id), sd_bus_message_ref(call));
        job_on_finished(job, on_job_finished, b);
        return 1;
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

        on_job_finished(job, &job->error, b); /* nobody shall wait for a job that is no more */
        bus_flush_changes(b);
        emitted(sd_bus_emit_object_removed(b->bus, path), path);
        emitted(emit_job_removed(b, job, path), "JobRemoved");
}

static const ModelEvents model_events = {
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

/* --- the tree --- */

static int find_gpu(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret,
                    sd_bus_error *error)
{
        Bus *b = userdata;
        g_autofree char *name = bus_path_to_gpu(path);

        *ret = name ? model_get_gpu(b->model, name) : NULL;
        return *ret ? 1 : 0;
}

static int find_instance(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret,
                         sd_bus_error *error)
{
        Bus *b = userdata;
        char uuid[UUID_STRLEN + 1];

        *ret = bus_path_to_instance(path, uuid) ? model_get_instance(b->model, uuid) : NULL;
        return *ret ? 1 : 0;
}

static int find_job(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret,
                    sd_bus_error *error)
{
        Bus *b = userdata;
        uint32_t id = bus_path_to_job(path);

        *ret = id > 0 ? model_get_job(b->model, id) : NULL;
        return *ret ? 1 : 0;
}

static char *gpu_path_of(void *key)
{
        return bus_path_gpu(key);
}

static char *instance_path_of(void *key)
{
        return bus_path_instance(key);
}

static char *job_path_of(void *key)
{
        return bus_path_job(GPOINTER_TO_UINT(key));
}

/* sd-bus frees the list with free(), which is what g_free() is. */
static char **paths_of(GHashTable *objects, char *(*path_of)(void *key))
{
        char **paths = g_new0(char *, g_hash_table_size(objects) + 1);
        GHashTableIter i;
        void *key;
        size_t n = 0;

        g_hash_table_iter_init(&i, objects);
        while (g_hash_table_iter_next(&i, &key, NULL))
                paths[n++] = path_of(key);
        return paths;
}

static int enumerate_gpus(sd_bus *bus, const char *prefix, void *userdata, char ***ret, sd_bus_error *error)
{
        Bus *b = userdata;

        *ret = paths_of(model_gpus(b->model), gpu_path_of);
        return 1;
}

static int enumerate_instances(sd_bus *bus, const char *prefix, void *userdata, char ***ret,
                               sd_bus_error *error)
{
        Bus *b = userdata;

        *ret = paths_of(model_instances(b->model), instance_path_of);
        return 1;
}

static int enumerate_jobs(sd_bus *bus, const char *prefix, void *userdata, char ***ret, sd_bus_error *error)
{
        Bus *b = userdata;

        *ret = paths_of(model_jobs(b->model), job_path_of);
        return 1;
}

static const struct {
        const char *path;
        const char *interface;
        const sd_bus_vtable *vtable;
        sd_bus_object_find_t find; /* NULL: it is one object, not a folder of them */
        sd_bus_node_enumerator_t enumerate;
} object_table[] = {
        { VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, bus_manager_vtable, NULL, NULL },
        { VGPUD_PATH_GPU, VGPUD_INTERFACE_GPU, bus_gpu_vtable, find_gpu, enumerate_gpus },
        { VGPUD_PATH_INSTANCE, VGPUD_INTERFACE_INSTANCE, bus_instance_vtable, find_instance,
          enumerate_instances },
        { VGPUD_PATH_JOB, VGPUD_INTERFACE_JOB, bus_job_vtable, find_job, enumerate_jobs },
};

Bus *bus_of_call(sd_bus_message *call)
{
        return sd_bus_slot_get_userdata(sd_bus_get_current_slot(sd_bus_message_get_bus(call)));
}

/* Keeps the slot if the registration went well. */
static int keep_slot(Bus *b, int r, sd_bus_slot **slot)
{
        if (r >= 0)
                g_ptr_array_add(b->slots, g_steal_pointer(slot));
        return r;
}

static int register_objects(Bus *b)
{
        sd_bus_slot *slot = NULL;
        int r;

        r = sd_bus_add_object_manager(b->bus, &slot, VGPUD_PATH_ROOT);
        r = keep_slot(b, r, &slot);
        for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(object_table); i++) {
                const char *path = object_table[i].path, *interface = object_table[i].interface;

                if (!object_table[i].find) {
                        r = sd_bus_add_object_vtable(b->bus, &slot, path, interface, object_table[i].vtable, b);
                        r = keep_slot(b, r, &slot);
                        continue;
                }
                r = sd_bus_add_fallback_vtable(b->bus, &slot, path, interface, object_table[i].vtable,
                                               object_table[i].find, b);
                r = keep_slot(b, r, &slot);
                if (r < 0)
                        break;
                r = sd_bus_add_node_enumerator(b->bus, &slot, path, object_table[i].enumerate, b);
                r = keep_slot(b, r, &slot);
        }
        return r < 0 ? r : 0;
}

int bus_new(sd_event *event, Model *m, sd_bus *bus, Bus **ret)
{
        Bus *b = g_new0(Bus, 1);
        int r;

        b->bus = sd_bus_ref(bus);
        b->model = m;
        b->authz = bus_authz_new(bus);
        b->slots = g_ptr_array_new_with_free_func(slot_destroy);
        b->gpus = g_hash_table_new(NULL, NULL);
        b->instances = g_hash_table_new(NULL, NULL);
        b->jobs = g_hash_table_new(NULL, NULL);
        b->waiting = g_hash_table_new_full(NULL, NULL, NULL, message_destroy);

        r = bus_error_register();
        if (r >= 0 && !sd_bus_get_event(bus)) {
                r = sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL);
                b->attached = r >= 0;
        }
        if (r >= 0)
                r = register_objects(b);
        if (r < 0) {
                bus_free(b);
                return r;
        }
        model_set_events(m, &model_events, b);
        *ret = b;
        return 0;
}

int bus_request_name(Bus *b)
{
        int r = sd_bus_request_name(b->bus, VGPUD_BUS_NAME, 0);

        return r < 0 ? r : 0;
}

static void refuse_waiting(Bus *b)
{
        const VgpudError e = {
                .code = VGPUD_ERROR_CANCELED,
                .message = (char *)"vgpud stops; what runs already will be finished by the kernel"
        };
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

Bus *bus_free(Bus *b)
{
        if (!b)
                return NULL;
        model_set_events(b->model, NULL, NULL);
        b->authz = bus_authz_free(b->authz);
        refuse_waiting(b);
        bus_flush_changes(b);
        g_hash_table_unref(b->waiting);
        g_hash_table_unref(b->gpus);
        g_hash_table_unref(b->instances);
        g_hash_table_unref(b->jobs);
        g_ptr_array_unref(b->slots);
        if (b->attached)
                (void)sd_bus_detach_event(b->bus);
        sd_bus_unref(b->bus);
        g_free(b);
        return NULL;
}
