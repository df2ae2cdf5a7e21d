/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dbus/bus-manager.h"

#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "daemon/converge/missing.h"
#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/model/model.h"
#include "daemon/model/rules.h"
#include "daemon/requests/find.h"
#include "daemon/requests/place.h"
#include "daemon/store/definitions.h"
#include "daemon/store/settings.h"
#include "daemon/work/finished.h"
#include "daemon/work/job.h"
#include "dbus/bus-authz.h"
#include "dbus/bus-create.h"
#include "dbus/bus-definitions.h"
#include "dbus/bus-gpu.h"
#include "dbus/bus-instance.h"
#include "dbus/bus-job.h"
#include "dbus/bus-names.h"
#include "dbus/bus-types.h"
#include "dbus/message/bus-error.h"
#include "dbus/message/bus-util.h"

BUS_DEFINE_TEXT_GETTER(property_get_version, Bus, b, b ? PROJECT_VERSION : NULL)

static int manager_append_texts(sd_bus_message *reply, const GPtrArray *texts)
{
        int r = sd_bus_message_open_container(reply, 'a', "s");

        for (guint i = 0; r >= 0 && i < texts->len; i++)
                r = bus_append_text(reply, texts->pdata[i]);

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int property_get_config_errors(sd_bus *bus, const char *path, const char *interface,
                                      const char *property, sd_bus_message *reply, void *userdata,
                                      sd_bus_error *ret_error)
{
        const Bus *b = userdata;

        return manager_append_texts(reply, model_config(b->model)->errors);
}

static int property_get_config_unmatched(sd_bus *bus, const char *path, const char *interface,
                                         const char *property, sd_bus_message *reply, void *userdata,
                                         sd_bus_error *ret_error)
{
        const Bus *b = userdata;
        g_autoptr(GPtrArray) texts = rules_find_unmatched(b->model);

        return manager_append_texts(reply, texts);
}

static int property_get_store_errors(sd_bus *bus, const char *path, const char *interface, const char *property,
                                     sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        const Bus *b = userdata;

        g_autoptr(GPtrArray) texts = g_ptr_array_new();

        g_ptr_array_extend(texts, (GPtrArray *)definitions_errors(b->model->definitions), NULL, NULL);
        g_ptr_array_extend(texts, (GPtrArray *)settings_errors(b->model->settings), NULL, NULL);

        return manager_append_texts(reply, texts);
}

BUS_DEFINE_TEXT_GETTER(property_get_readiness, Bus, b, readiness_to_string(b->model->readiness))
BUS_DEFINE_GETTER(property_get_job_timeout_usec, Bus, b, "t", model_config(b->model)->job_timeout_usec)

/* The actions about which each method asks polkit. */
static const struct {
        const char *method;
        PolkitAction actions[3];
        size_t n_actions;
} manager_actions[] = {
        { VGPUD_INTERFACE_MANAGER ".Create", { POLKIT_CREATE, POLKIT_DEFINE }, 2 },
        { VGPUD_INTERFACE_MANAGER ".Define", { POLKIT_DEFINE }, 1 },
        { VGPUD_INTERFACE_MANAGER ".DefineInstance", { POLKIT_DEFINE, POLKIT_DEFINE_OTHER }, 2 },
        { VGPUD_INTERFACE_MANAGER ".Edit", { POLKIT_DEFINE, POLKIT_DEFINE_OTHER }, 2 },
        { VGPUD_INTERFACE_MANAGER ".Undefine", { POLKIT_DEFINE, POLKIT_DEFINE_OTHER }, 2 },
        { VGPUD_INTERFACE_MANAGER ".Start", { POLKIT_START, POLKIT_START_OTHER }, 2 },
        { VGPUD_INTERFACE_MANAGER ".CancelStart", { POLKIT_START, POLKIT_START_OTHER }, 2 },
        { VGPUD_INTERFACE_MANAGER ".ForgetSettings", { POLKIT_SET_VFS, POLKIT_CONFIGURE }, 2 },
        { VGPUD_INTERFACE_MANAGER ".Destroy",
          { POLKIT_DESTROY, POLKIT_DESTROY_OTHER, POLKIT_DESTROY_FOREIGN },
          3 },
        { VGPUD_INTERFACE_MANAGER ".DestroyMany",
          { POLKIT_DESTROY, POLKIT_DESTROY_OTHER, POLKIT_DESTROY_FOREIGN },
          3 },
        { VGPUD_INTERFACE_GPU ".SetVfs", { POLKIT_SET_VFS }, 1 },
        { VGPUD_INTERFACE_GPU ".Configure", { POLKIT_CONFIGURE }, 1 },
        { VGPUD_INTERFACE_GPU ".Rescan", { POLKIT_RESCAN }, 1 },
        { VGPUD_INTERFACE_INSTANCE ".Destroy",
          { POLKIT_DESTROY, POLKIT_DESTROY_OTHER, POLKIT_DESTROY_FOREIGN },
          3 },
        { VGPUD_INTERFACE_JOB ".Cancel", { POLKIT_CANCEL_JOB }, 1 },
};

static int manager_append_actions(sd_bus_message *reply, size_t i)
{
        int r;

        r = sd_bus_message_open_container(reply, 'e', "sas");
        if (r >= 0)
                r = sd_bus_message_append_basic(reply, 's', manager_actions[i].method);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "s");
        for (size_t k = 0; r >= 0 && k < manager_actions[i].n_actions; k++)
                r = sd_bus_message_append_basic(reply, 's',
                                                polkit_action_to_string(manager_actions[i].actions[k]));

        if (r >= 0)
                r = sd_bus_message_close_container(reply);

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int property_get_actions(sd_bus *bus, const char *path, const char *interface, const char *property,
                                sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{sas}");

        for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(manager_actions); i++)
                r = manager_append_actions(reply, i);

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* ---- names ---- */

/* Find the GPU that an argument names by its path, whole sysfs name or PCI address. */
static int manager_find_gpu(Bus *b, const char *word, Gpu **ret, VgpudError *reterr)
{
        g_autofree char *name = word[0] == '/' ? bus_path_to_gpu(word) : g_strdup(word);

        if (!name)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "%s is not the path of a GPU",
                                        TEXT_QUOTE(word));

        return request_get_gpu(b->model, name, ret, reterr);
}

/* Find the instance that an argument names by its path, UUID or whole name. */
static int manager_find_instance(Bus *b, const char *word, Instance **ret, VgpudError *reterr)
{
        char uuid[UUID_STRLEN + 1];

        if (word[0] != '/')
                return request_get_instance(b->model, word, ret, reterr);

        if (!bus_path_to_instance(word, uuid))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "%s is not the path of an instance",
                                        TEXT_QUOTE(word));

        return request_get_instance(b->model, uuid, ret, reterr);
}

/* ---- methods ---- */

static int method_destroy(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        Bus *b = userdata;
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        const char *what;
        Instance *instance;
        int r;

        r = bus_read_text(call, "instance", BUS_MAX_INSTANCE, &what, &e);
        if (r >= 0)
                r = manager_find_instance(b, what, &instance, &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);

        return bus_instance_destroy(b, call, instance, ret_error);
}

static int method_destroy_many(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        return bus_instance_destroy_many(userdata, call, ret_error);
}

static int method_define_instance(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        Bus *b = userdata;
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        const char *what;
        Instance *instance;
        int r;

        r = bus_read_text(call, "instance", BUS_MAX_INSTANCE, &what, &e);
        if (r >= 0)
                r = manager_find_instance(b, what, &instance, &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);

        return bus_definitions_define_instance(b, call, instance, ret_error);
}

static int method_get_gpu(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        Bus *b = userdata;
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        g_autofree char *path = NULL;
        const char *what;
        Gpu *gpu;
        int r;

        r = bus_read_text(call, "name", BUS_MAX_GPU, &what, &e);
        if (r >= 0)
                r = bus_read_options(call, NULL, 0, &e);
        if (r >= 0)
                r = manager_find_gpu(b, what, &gpu, &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);

        path = bus_path_gpu(gpu_name(gpu));

        return sd_bus_reply_method_return(call, "o", path);
}

static int method_get_instance(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        Bus *b = userdata;
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        g_autofree char *path = NULL;
        const char *what;
        Instance *instance;
        int r;

        r = bus_read_text(call, "name", BUS_MAX_INSTANCE, &what, &e);
        if (r >= 0)
                r = bus_read_options(call, NULL, 0, &e);
        if (r >= 0)
                r = manager_find_instance(b, what, &instance, &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);

        path = bus_path_instance(instance->desc->uuid);

        return sd_bus_reply_method_return(call, "o", path);
}

static int method_get_job(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        Bus *b = userdata;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        const FinishedJob *ended = NULL;
        const Job *job = NULL;
        uint32_t id;
        int r;

        r = sd_bus_message_read(call, "u", &id);
        if (r >= 0)
                r = bus_read_options(call, NULL, 0, &e);
        if (r >= 0) {
                job = model_get_job(b->model, id);
                ended = job ? NULL : finished_get(b->model->finished, id);
                if (!job && !ended)
                        r = vgpud_error_setf(&e, VGPUD_ERROR_NO_SUCH_JOB, "there is no job %" PRIu32, id);
        }

        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);

        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = job ? bus_job_append_live(reply, job) : bus_job_append_ended(reply, ended);

        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int method_list_gpus(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        Bus *b = userdata;
        g_autoptr(GPtrArray) columns = NULL;
        const BusOption options[] = {
                { "columns", "as", &columns, 0, BUS_MAX_COLUMNS },
        };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        int r;

        r = bus_read_options(call, options, G_N_ELEMENTS(options), &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);

        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = bus_gpu_append_table(reply, b->model, columns);

        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int method_list_instances(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        Bus *b = userdata;
        const char *word = NULL;
        g_autoptr(GPtrArray) columns = NULL;
        const BusOption options[] = {
                { "gpu", "s", &word, 0, BUS_MAX_GPU },
                { "columns", "as", &columns, 0, BUS_MAX_COLUMNS },
        };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        Gpu *gpu = NULL;
        int r;

        r = bus_read_options(call, options, G_N_ELEMENTS(options), &e);
        if (r >= 0 && word)
                r = manager_find_gpu(b, word, &gpu, &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);

        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = bus_instance_append_table(reply, b, gpu, columns);

        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int method_list_types(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        Bus *b = userdata;
        g_autoptr(GPtrArray) gpus = g_ptr_array_new();
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        GHashTableIter iter;
        void *gpu;
        int r;

        r = bus_read_options(call, NULL, 0, &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);

        g_hash_table_iter_init(&iter, model_gpus(b->model));
        while (g_hash_table_iter_next(&iter, NULL, &gpu))
                if (bus_gpu_type_count(gpu) > 0)
                        g_ptr_array_add(gpus, gpu);

        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = bus_types_append(reply, gpus);

        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int method_list_jobs(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        Bus *b = userdata;
        bool ended = false;
        const BusOption options[] = {
                { "ended", "b", &ended },
        };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        int r;

        r = bus_read_options(call, options, G_N_ELEMENTS(options), &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);

        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = bus_job_append_table(reply, b->model, ended);

        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int method_list_missing(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        Bus *b = userdata;
        uint32_t limit = UINT32_MAX;
        const BusOption options[] = {
                { "limit", "u", &limit, 0, UINT32_MAX },
        };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        g_autoptr(GPtrArray) texts = NULL;
        int r;

        r = bus_read_options(call, options, G_N_ELEMENTS(options), &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);

        texts = missing_list(b->model, limit);
        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = manager_append_texts(reply, texts);
        if (r >= 0)
                r = sd_bus_message_append(reply, "u", (uint32_t)missing_count(b->model));

        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int place_append_candidate(sd_bus_message *reply, const Place *place, const PlacementRank *rank)
{
        const PlacementCandidate *c = rank->candidate;
        const VgpuType *type = place->types[rank->index];
        const char *error = vgpud_error_code_to_dbus(place_error_code(place, rank));
        const char *reason = placement_reason_of(place->placement, rank);
        const VgpudHint *hint = place_hint(place, rank);
        g_autofree char *path = bus_path_gpu(c->gpu);
        int r;

        r = sd_bus_message_open_container(reply, 'r', "oa{sv}");
        if (r >= 0)
                r = sd_bus_message_append_basic(reply, 'o', path);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = bus_append_entry_string(reply, "name", c->gpu);
        if (r >= 0)
                r = bus_append_entry_string(reply, "type", type ? type->id : NULL);
        if (r >= 0)
                r = bus_append_entry(reply, "fits", "b", rank->verdict == PLACEMENT_FITS);
        if (r >= 0 && placement_would_wait(place->placement, rank))
                r = bus_append_entry(reply, "would_wait", "b", true);
        if (r >= 0)
                r = bus_append_entry_string(reply, "reason", reason);
        if (r >= 0 && reason)
                r = bus_append_entry_string(reply, "reason_id", placement_reason_to_string(rank->reason_id));
        if (r >= 0)
                r = bus_append_entry_string(reply, "error", error);
        if (r >= 0 && hint)
                r = bus_error_append_hint(reply, hint, BUS_ERROR_TEXT_MAX);
        if (r >= 0)
                r = bus_append_entry(reply, "room", "u", rank->room);
        if (r >= 0)
                r = bus_append_entry(reply, "available", "u", c->available);
        if (r >= 0)
                r = bus_append_entry(reply, "promised", "u", c->promised);
        if (r >= 0)
                r = bus_append_entry(reply, "spare", "u", c->spare);
        if (r >= 0)
                r = bus_append_entry(reply, "instances", "u", c->instances);
        if (r >= 0)
                r = bus_append_entry(reply, "numa_node", "i", c->numa_node);
        if (r >= 0 && rank->distance < PLACEMENT_SAME_NODE)
                r = bus_append_entry(reply, "distance", "u", rank->distance);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int method_place(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        Bus *b = userdata;
        PlaceHints hints = PLACE_HINTS_NONE;
        uint32_t count = 1;
        const BusOption options[] = {
                { "count", "u", &count, 1, 1024 },
                { "strategy", "s", &hints.strategy, 0, BUS_MAX_STRATEGY },
                { "numa_node", "i", &hints.numa_node },
                { "preferred_numa_node", "i", &hints.preferred_numa_node },
                { "near", "s", &hints.near, 0, BUS_MAX_GPU },
                { "pool", "s", &hints.pool, 0, BUS_MAX_POOL },
        };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        _cleanup_place_ Place *place = NULL;
        g_autofree char *path = NULL, *near = NULL;
        const PlacementRank *first;
        const Placement *p;
        const char *type;
        int r;

        r = bus_read_text(call, "type", BUS_MAX_TYPE, &type, &e);
        if (r >= 0)
                r = bus_read_options(call, options, G_N_ELEMENTS(options), &e);
        if (r >= 0)
                r = bus_read_gpu_word(&hints.near, &near, &e);
        if (r >= 0)
                r = place_new(b->model, type, count, &hints, 0, &place, &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);

        p = place->placement;
        first = p->n > 0 ? &p->ranks[0] : NULL;
        if (first && (first == p->chosen || placement_would_wait(p, first)))
                path = bus_path_gpu(first->candidate->gpu);
        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_append(reply, "os", path ? path : "/",
                                          placement_strategy_to_string(place->strategy));
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(oa{sv})");
        for (size_t i = 0; r >= 0 && i < p->n; i++)
                r = place_append_candidate(reply, place, &p->ranks[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);

        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

const sd_bus_vtable bus_manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        BUS_PROPERTY_CONST("Version", "s", property_get_version),
        BUS_PROPERTY_CONST("ConfigErrors", "as", property_get_config_errors),
        BUS_PROPERTY("ConfigUnmatched", "as", property_get_config_unmatched),
        BUS_PROPERTY_CONST("JobTimeoutUsec", "t", property_get_job_timeout_usec),
        BUS_PROPERTY_CHANGES("Readiness", "s", property_get_readiness),
        BUS_PROPERTY("StoreErrors", "as", property_get_store_errors),
        BUS_PROPERTY_CONST("Actions", "a{sas}", property_get_actions),
        SD_BUS_METHOD_WITH_ARGS("Create", SD_BUS_ARGS("s", gpu, "s", type, "a{sv}", options),
                                SD_BUS_RESULT("o", job, "aa{sv}", instances), bus_method_create,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Destroy", SD_BUS_ARGS("s", instance, "a{sv}", options),
                                SD_BUS_RESULT("o", job), method_destroy, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("DestroyMany", SD_BUS_ARGS("ao", instances, "a{sv}", options),
                                SD_BUS_RESULT("ao", jobs), method_destroy_many, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Define", SD_BUS_ARGS("s", type, "a{sv}", options), SD_BUS_RESULT("s", uuid),
                                bus_method_define, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("DefineInstance", SD_BUS_ARGS("s", instance, "a{sv}", options),
                                SD_BUS_RESULT("s", uuid), method_define_instance, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Edit", SD_BUS_ARGS("s", definition, "a{sv}", options), SD_BUS_NO_RESULT,
                                bus_method_edit, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Undefine", SD_BUS_ARGS("s", definition, "a{sv}", options), SD_BUS_NO_RESULT,
                                bus_method_undefine, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Start", SD_BUS_ARGS("s", definition, "a{sv}", options),
                                SD_BUS_RESULT("o", job, "aa{sv}", instances), bus_method_start,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("CancelStart", SD_BUS_ARGS("s", definition, "a{sv}", options), SD_BUS_NO_RESULT,
                                bus_method_cancel_start, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ForgetSettings", SD_BUS_ARGS("s", gpu, "a{sv}", options), SD_BUS_NO_RESULT,
                                bus_method_forget_settings, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetDefinition", SD_BUS_ARGS("s", definition, "a{sv}", options),
                                SD_BUS_RESULT("a{sv}", values), bus_method_get_definition,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetGpu", SD_BUS_ARGS("s", name, "a{sv}", options), SD_BUS_RESULT("o", gpu),
                                method_get_gpu, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetInstance", SD_BUS_ARGS("s", name, "a{sv}", options),
                                SD_BUS_RESULT("o", instance), method_get_instance, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetJob", SD_BUS_ARGS("u", id, "a{sv}", options), SD_BUS_RESULT("a{sv}", job),
                                method_get_job, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListDefinitions", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("a{sv}", definitions), bus_method_list_definitions,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListGpus", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("a{sv}", gpus),
                                method_list_gpus, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListInstances", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("a{sv}", instances), method_list_instances,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListTypes", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("a{sv}", types),
                                method_list_types, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListJobs", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("a{sv}", jobs),
                                method_list_jobs, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListMissing", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("as", missing, "u", count), method_list_missing,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Place", SD_BUS_ARGS("s", type, "a{sv}", options),
                                SD_BUS_RESULT("o", gpu, "s", strategy, "a(oa{sv})", candidates), method_place,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_ARGS("DefinitionAdded", SD_BUS_ARGS("s", uuid, "a{sv}", values), 0),
        SD_BUS_SIGNAL_WITH_ARGS("DefinitionChanged", SD_BUS_ARGS("s", uuid, "a{sv}", values), 0),
        SD_BUS_SIGNAL_WITH_ARGS("DefinitionRemoved", SD_BUS_ARGS("s", uuid), 0),
        SD_BUS_SIGNAL_WITH_ARGS("JobRemoved",
                                SD_BUS_ARGS("u", id, "o", job, "s", result, "s", error_name, "a{sv}", details),
                                0),
        SD_BUS_VTABLE_END,
};
