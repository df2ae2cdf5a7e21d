/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dbus/bus-manager.h"

#include <inttypes.h>
#include <string.h>

#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/model/model.h"
#include "daemon/requests/create.h"
#include "daemon/requests/find.h"
#include "daemon/requests/place.h"
#include "dbus/bus-error.h"
#include "dbus/bus-instance.h"
#include "dbus/bus-request.h"
#include "dbus/bus-util.h"

BUS_DEFINE_TEXT_GETTER(property_get_version, Bus, b, b ? PROJECT_VERSION : NULL)

static int property_get_config_errors(sd_bus *bus, const char *path, const char *interface,
                                      const char *property, sd_bus_message *reply, void *userdata,
                                      sd_bus_error *ret_error)
{
        const Bus *b = userdata;
        const GPtrArray *errors = model_config(b->model)->errors;
        int r = sd_bus_message_open_container(reply, 'a', "s");

        for (guint i = 0; r >= 0 && i < errors->len; i++)
                r = sd_bus_message_append_basic(reply, 's', errors->pdata[i]);

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* ---- methods ---- */

static bool hints_are_given(const PlaceHints *h)
{
        return h->strategy || h->near || h->pool || h->numa_node != -1 || h->preferred_numa_node != -1;
}

typedef struct CreateArguments {
        Model *model;
        CreateRequest create;
        char *gpu, *type; /* owned */
} CreateArguments;

static void create_done(CreateArguments *a)
{
        g_free(a->gpu);
        g_free(a->type);
}

/* Name GPU and type, so that the job is exactly the permitted one. A call without a GPU keeps the GPU of the
 * question to polkit while the same rules allow it; otherwise polkit is asked again, about the new GPU. */
static int create_resolve(Bus *b, sd_bus_message *call, CreateArguments *a, VgpudError *reterr)
{
        const VgpuType *type;
        Gpu *gpu;
        int r;

        a->create.chosen = bus_authz_detail(b->authz, call, "gpu");

        r = request_resolve_create(b->model, &a->create, &gpu, &type, reterr);
        if (r < 0)
                return r;

        if (a->create.gpu[0] == '\0' && a->create.chosen && strcmp(a->create.chosen, gpu_name(gpu)) != 0)
                bus_authz_ask_anew(b->authz, call);

        a->create.gpu = a->gpu = g_strdup(gpu_name(gpu));
        a->create.type = a->type = g_strdup(type->id);
        a->create.hints = NULL;
        a->create.chosen = NULL;

        return 0;
}

static int create_queue(void *arguments, uid_t requester, Job **ret, VgpudError *reterr)
{
        CreateArguments *a = arguments;

        /* create_resolve() has named both. */
        g_assert(a->create.gpu == a->gpu && a->create.type == a->type);
        g_assert(!a->create.hints && !a->create.chosen);

        return request_create(a->model, &a->create, ret, reterr);
}

static int method_create(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        Bus *b = userdata;
        _cleanup_(create_done) CreateArguments a = { .model = b->model, .create = { .count = 1 } };
        CreateRequest *create = &a.create;
        PlaceHints hints = PLACE_HINTS_NONE;
        g_autoptr(GPtrArray) attributes = NULL;
        uint64_t timeout_usec = 0; /* not used yet */
        BusRequest request = { .action = POLKIT_CREATE, .arguments = &a, .queue = create_queue };
        const BusOption options[] = {
                { "uuid", "s", &create->uuid },
                { "name", "s", &create->name },
                { "parent", "s", &create->parent },
                { "attributes", "a(ss)", &attributes },
                { "count", "u", &create->count, 1, 1024 },
                { "strategy", "s", &hints.strategy },
                { "numa_node", "i", &hints.numa_node },
                { "preferred_numa_node", "i", &hints.preferred_numa_node },
                { "near", "s", &hints.near },
                { "pool", "s", &hints.pool },
                { "wait", "b", &request.wait },
                BUS_TIMEOUT_OPTION(timeout_usec),
        };
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        g_autofree char *count = NULL;
        int r;

        r = sd_bus_message_read(call, "ss", &create->gpu, &create->type);
        if (r >= 0)
                r = bus_read_options(call, options, G_N_ELEMENTS(options), &e);
        if (r >= 0)
                r = bus_authz_caller(call, &request.requester, &e);
        if (r < 0)
                return bus_error_set(ret_error, r, &e);

        create->requester = request.requester;
        create->attributes = attributes;
        create->hints = hints_are_given(&hints) ? &hints : NULL;

        r = create_resolve(b, call, &a, &e);
        if (r < 0)
                return bus_error_set(ret_error, r, &e);

        count = g_strdup_printf("%" PRIu32, create->count);
        const char *details[] = { "gpu", create->gpu, "type", create->type, "count", count, NULL };
        request.details = details;

        return bus_request_run(b, call, &request, ret_error);
}

static int method_destroy(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        Bus *b = userdata;
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        const char *what;
        Instance *instance;
        int r;

        r = sd_bus_message_read(call, "s", &what);
        if (r >= 0)
                r = request_get_instance(b->model, what, &instance, &e);
        if (r < 0)
                return bus_error_set(ret_error, r, &e);

        return bus_instance_destroy(b, call, instance, ret_error);
}

static int method_get_gpu(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        Bus *b = userdata;
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        g_autofree char *path = NULL;
        const char *what;
        Gpu *gpu;
        int r;

        r = sd_bus_message_read(call, "s", &what);
        if (r >= 0)
                r = bus_read_options(call, NULL, 0, &e);
        if (r >= 0)
                r = request_get_gpu(b->model, what, &gpu, &e);
        if (r < 0)
                return bus_error_set(ret_error, r, &e);

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

        r = sd_bus_message_read(call, "s", &what);
        if (r >= 0)
                r = bus_read_options(call, NULL, 0, &e);
        if (r >= 0)
                r = request_get_instance(b->model, what, &instance, &e);
        if (r < 0)
                return bus_error_set(ret_error, r, &e);

        path = bus_path_instance(instance->desc->uuid);

        return sd_bus_reply_method_return(call, "o", path);
}

static int append_instance(sd_bus_message *reply, const Instance *i)
{
        const InstanceDesc *d = i->desc;
        g_autofree char *path = bus_path_instance(d->uuid);
        const char *texts[] = {
                d->uuid,
                i->name,
                d->type_id,
                instance_state_to_string(i->state),
                instance_origin_to_string(i->origin),
                d->parent,
                gpu_name(i->gpu),
        };
        int r;

        r = sd_bus_message_open_container(reply, 'r', "osssssssut");
        if (r >= 0)
                r = sd_bus_message_append_basic(reply, 'o', path);
        for (size_t n = 0; r >= 0 && n < G_N_ELEMENTS(texts); n++)
                r = bus_append_text(reply, texts[n]);
        if (r >= 0)
                r = sd_bus_message_append(reply, "ut", (uint32_t)i->owner, i->created_usec);

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int method_list_instances(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        Bus *b = userdata;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        GHashTableIter iter;
        void *instance;
        int r;

        r = bus_read_options(call, NULL, 0, &e);
        if (r < 0)
                return bus_error_set(ret_error, r, &e);

        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(osssssssut)");
        g_hash_table_iter_init(&iter, model_instances(b->model));
        while (r >= 0 && g_hash_table_iter_next(&iter, NULL, &instance))
                r = append_instance(reply, instance);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);

        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int append_type(sd_bus_message *reply, const Gpu *gpu, const VgpuType *t)
{
        const char *texts[] = { gpu_name(gpu), t->id, t->name, t->device_api };
        int r;

        r = sd_bus_message_open_container(reply, 'r', "ssssuutuuuu");

        for (size_t n = 0; r >= 0 && n < G_N_ELEMENTS(texts); n++)
                r = bus_append_text(reply, texts[n]);
        if (r >= 0)
                r = sd_bus_message_append(reply, "uutuuuu", t->available, t->max_instances,
                                          t->framebuffer_bytes, t->heads, t->frame_rate_limit, t->max_x,
                                          t->max_y);

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int method_list_types(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        Bus *b = userdata;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        GHashTableIter iter;
        void *value;
        int r;

        r = bus_read_options(call, NULL, 0, &e);
        if (r < 0)
                return bus_error_set(ret_error, r, &e);

        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ssssuutuuuu)");
        g_hash_table_iter_init(&iter, model_gpus(b->model));
        while (r >= 0 && g_hash_table_iter_next(&iter, NULL, &value)) {
                const Gpu *gpu = value;

                for (guint i = 0; r >= 0 && gpu->snapshot && i < gpu->snapshot->types->len; i++)
                        r = append_type(reply, gpu, gpu->snapshot->types->pdata[i]);
        }

        if (r >= 0)
                r = sd_bus_message_close_container(reply);

        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int append_candidate(sd_bus_message *reply, const Place *place, const PlacementRank *rank)
{
        const PlacementCandidate *c = rank->candidate;
        const VgpuType *type = place->types[rank->index];
        const char *error = vgpud_error_code_to_dbus(place_error_code(place, rank));
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
                r = bus_append_entry_string(reply, "reason", rank->reason);
        if (r >= 0)
                r = bus_append_entry_string(reply, "error", error);
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
                { "strategy", "s", &hints.strategy },
                { "numa_node", "i", &hints.numa_node },
                { "preferred_numa_node", "i", &hints.preferred_numa_node },
                { "near", "s", &hints.near },
                { "pool", "s", &hints.pool },
        };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        _cleanup_place_ Place *place = NULL;
        g_autofree char *path = NULL;
        const PlacementRank *first;
        const Placement *p;
        const char *type;
        int r;

        r = sd_bus_message_read(call, "s", &type);
        if (r >= 0)
                r = bus_read_options(call, options, G_N_ELEMENTS(options), &e);
        if (r >= 0)
                r = place_new(b->model, type, count, &hints, &place, &e);
        if (r < 0)
                return bus_error_set(ret_error, r, &e);

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
                r = append_candidate(reply, place, &p->ranks[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);

        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

const sd_bus_vtable bus_manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        BUS_PROPERTY_CONST("Version", "s", property_get_version),
        BUS_PROPERTY_CONST("ConfigErrors", "as", property_get_config_errors),
        SD_BUS_METHOD_WITH_ARGS("Create", SD_BUS_ARGS("s", gpu, "s", type, "a{sv}", options),
                                SD_BUS_RESULT("o", job, "ao", instances), method_create,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Destroy", SD_BUS_ARGS("s", instance, "a{sv}", options),
                                SD_BUS_RESULT("o", job), method_destroy, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetGpu", SD_BUS_ARGS("s", name, "a{sv}", options), SD_BUS_RESULT("o", gpu),
                                method_get_gpu, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetInstance", SD_BUS_ARGS("s", name, "a{sv}", options),
                                SD_BUS_RESULT("o", instance), method_get_instance, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListInstances", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("a(osssssssut)", instances), method_list_instances,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListTypes", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("a(ssssuutuuuu)", types), method_list_types,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Place", SD_BUS_ARGS("s", type, "a{sv}", options),
                                SD_BUS_RESULT("o", gpu, "s", strategy, "a(oa{sv})", candidates), method_place,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_ARGS("JobRemoved",
                                SD_BUS_ARGS("u", id, "o", job, "s", result, "s", error_name, "s", message, "ao",
                                            instances),
                                0),
        SD_BUS_VTABLE_END,
};
