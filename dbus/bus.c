/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dbus/bus.h"

#include "daemon/model/model.h"
#include "dbus/bus-announce.h"
#include "dbus/bus-gpu.h"
#include "dbus/bus-instance.h"
#include "dbus/bus-job.h"
#include "dbus/bus-log-control.h"
#include "dbus/bus-manager.h"
#include "dbus/bus-names.h"
#include "dbus/bus-request.h"
#include "dbus/message/bus-error.h"
#include "dbus/message/bus-util.h"

DEFINE_DESTROY_NOTIFY(slot_destroy, sd_bus_slot_unref)

/* ---- the tree ---- */

static int bus_find_gpu(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret,
                        sd_bus_error *ret_error)
{
        Bus *b = userdata;
        g_autofree char *name = bus_path_to_gpu(path);

        *ret = name ? model_get_gpu(b->model, name) : NULL;

        return *ret ? 1 : 0;
}

static int bus_find_instance(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret,
                             sd_bus_error *ret_error)
{
        Bus *b = userdata;
        char uuid[UUID_STRLEN + 1];

        *ret = bus_path_to_instance(path, uuid) ? model_get_instance(b->model, uuid) : NULL;

        return *ret ? 1 : 0;
}

static int bus_find_job(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret,
                        sd_bus_error *ret_error)
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

/* sd-bus frees the list with free(), which is allowed: g_free() calls the same function. */
static char **bus_paths_of(GHashTable *objects, char *(*path_of)(void *key))
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

/* Announce new objects first: GetManagedObjects must not contain an object that a later signal announces as
 * new. */
static void bus_announce_before_answer(Bus *b)
{
        bus_announce_jobs(b);
}

static int bus_enumerate_gpus(sd_bus *bus, const char *prefix, void *userdata, char ***ret,
                              sd_bus_error *ret_error)
{
        Bus *b = userdata;

        bus_announce_before_answer(b);
        *ret = bus_paths_of(model_gpus(b->model), gpu_path_of);

        return 1;
}

static int bus_enumerate_instances(sd_bus *bus, const char *prefix, void *userdata, char ***ret,
                                   sd_bus_error *ret_error)
{
        Bus *b = userdata;

        bus_announce_before_answer(b);
        *ret = bus_paths_of(model_instances(b->model), instance_path_of);

        return 1;
}

static int bus_enumerate_jobs(sd_bus *bus, const char *prefix, void *userdata, char ***ret,
                              sd_bus_error *ret_error)
{
        Bus *b = userdata;

        bus_announce_before_answer(b);
        *ret = bus_paths_of(model_jobs(b->model), job_path_of);

        return 1;
}

static const struct {
        const char *path;
        const char *interface;
        const sd_bus_vtable *vtable;
        sd_bus_object_find_t find; /* NULL: one object, not a folder of objects */
        sd_bus_node_enumerator_t enumerate;
} object_table[] = {
        { VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, bus_manager_vtable, NULL, NULL },
        { BUS_LOG_CONTROL_PATH, BUS_LOG_CONTROL_INTERFACE, bus_log_control_vtable, NULL, NULL },
        { VGPUD_PATH_GPU, VGPUD_INTERFACE_GPU, bus_gpu_vtable, bus_find_gpu, bus_enumerate_gpus },
        { VGPUD_PATH_INSTANCE, VGPUD_INTERFACE_INSTANCE, bus_instance_vtable, bus_find_instance,
          bus_enumerate_instances },
        { VGPUD_PATH_JOB, VGPUD_INTERFACE_JOB, bus_job_vtable, bus_find_job, bus_enumerate_jobs },
};

Bus *bus_of_call(sd_bus_message *call)
{
        sd_bus_slot *slot = sd_bus_get_current_slot(sd_bus_message_get_bus(call));

        g_assert(slot);

        return sd_bus_slot_get_userdata(slot);
}

/* Keeps the slot if the registration succeeded. */
static int bus_keep_slot(Bus *b, int r, sd_bus_slot **slot)
{
        if (r >= 0)
                g_ptr_array_add(b->slots, g_steal_pointer(slot));
        return r;
}

static int bus_register_objects(Bus *b)
{
        sd_bus_slot *slot = NULL;
        int r;

        r = sd_bus_add_object_manager(b->bus, &slot, VGPUD_PATH_ROOT);
        r = bus_keep_slot(b, r, &slot);

        for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(object_table); i++) {
                const char *path = object_table[i].path, *interface = object_table[i].interface;

                if (!object_table[i].find) {
                        r = sd_bus_add_object_vtable(b->bus, &slot, path, interface, object_table[i].vtable, b);
                        r = bus_keep_slot(b, r, &slot);
                        continue;
                }

                r = sd_bus_add_fallback_vtable(b->bus, &slot, path, interface, object_table[i].vtable,
                                               object_table[i].find, b);
                r = bus_keep_slot(b, r, &slot);
                if (r < 0)
                        break;

                r = sd_bus_add_node_enumerator(b->bus, &slot, path, object_table[i].enumerate, b);
                r = bus_keep_slot(b, r, &slot);
        }

        return r < 0 ? r : 0;
}

int bus_new(sd_event *event, Model *m, sd_bus *bus, Bus **ret)
{
        Bus *b = g_new0(Bus, 1);
        int r;

        b->bus = sd_bus_ref(bus);
        b->model = m;
        b->slots = g_ptr_array_new_with_free_func(slot_destroy);
        b->announce = bus_announce_new(b);
        b->waiting = g_hash_table_new(NULL, NULL);

        r = bus_error_register();
        if (r >= 0 && !sd_bus_get_event(bus)) {
                r = sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL);
                b->attached = r >= 0;
        }

        if (r >= 0)
                r = bus_admission_new(bus, &b->admission);
        if (r >= 0) {
                b->authz = bus_authz_new(bus, b->admission);
                r = bus_register_objects(b);
        }

        if (r < 0) {
                bus_free(b);
                return r;
        }

        model_set_events(m, &bus_announce_events, b);
        *ret = b;

        return 0;
}

int bus_request_name(Bus *b)
{
        int r;

        g_assert(b->slots->len > 0);

        r = sd_bus_request_name(b->bus, VGPUD_BUS_NAME, 0);

        return r < 0 ? r : 0;
}

Bus *bus_free(Bus *b)
{
        if (!b)
                return NULL;

        model_set_events(b->model, NULL, NULL);
        b->authz = bus_authz_free(b->authz);
        bus_request_cancel_all(b);
        b->admission = bus_admission_free(b->admission);
        bus_announce_flush(b);
        g_hash_table_unref(b->waiting);
        bus_announce_free(b->announce);
        g_ptr_array_unref(b->slots);

        if (b->attached)
                (void)sd_bus_detach_event(b->bus);
        sd_bus_unref(b->bus);
        g_free(b);

        return NULL;
}
