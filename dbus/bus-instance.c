/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dbus/bus-instance.h"

#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "daemon/model/events.h"
#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/model/model.h"
#include "daemon/requests/destroy.h"
#include "daemon/work/job.h"
#include "dbus/bus-authz.h"
#include "dbus/bus-request.h"
#include "dbus/message/bus-error.h"
#include "dbus/message/bus-util.h"

/* Largest size of the property Attributes, in bytes. Drivers show only a few short numbers. */
#define INSTANCE_ATTRIBUTES_SIZE_MAX 1536U

BUS_DEFINE_TEXT_GETTER(property_get_uuid, Instance, instance, instance->desc->uuid)
BUS_DEFINE_TEXT_GETTER(property_get_name, Instance, instance, instance->name)
BUS_DEFINE_PATH_GETTER(property_get_gpu, Instance, instance, bus_path_gpu(gpu_name(instance->gpu)))
BUS_DEFINE_TEXT_GETTER(property_get_parent, Instance, instance, instance->desc->parent)
BUS_DEFINE_TEXT_GETTER(property_get_slot, Instance, instance, instance->desc->slot)
BUS_DEFINE_TEXT_GETTER(property_get_type, Instance, instance, instance->desc->type_id)
BUS_DEFINE_TEXT_GETTER(property_get_device_api, Instance, instance, instance->desc->device_api)
BUS_DEFINE_TEXT_GETTER(property_get_driver, Instance, instance, instance->desc->driver)
BUS_DEFINE_TEXT_GETTER(property_get_origin, Instance, instance, instance_origin_to_string(instance->origin))
BUS_DEFINE_TEXT_GETTER(property_get_state, Instance, instance, instance_state_to_string(instance->state))
BUS_DEFINE_TEXT_GETTER(property_get_definition, Instance, instance,
                       instance_definition_to_string(instance_get_definition(instance)))
BUS_DEFINE_GETTER(property_get_created_usec, Instance, instance, "t", instance->created_usec)
BUS_DEFINE_GETTER(property_get_iommu_group, Instance, instance, "i", instance->desc->iommu_group)
BUS_DEFINE_PATH_GETTER(property_get_job, Instance, instance,
                       instance->job ? bus_path_job(instance->job->id) : NULL)

/* Find the type of the instance. Compares only ids, because an alias may be the id of another type. */
static const VgpuType *instance_type(const Instance *instance)
{
        const GPtrArray *types = instance->gpu->snapshot ? instance->gpu->snapshot->types : NULL;

        for (guint i = 0; types && i < types->len; i++) {
                const VgpuType *type = types->pdata[i];

                if (g_strcmp0(type->id, instance->desc->type_id) == 0)
                        return type;
        }

        return NULL;
}

uint64_t bus_instance_memory_bytes(const Instance *instance)
{
        const VgpuType *type = instance_type(instance);

        if (instance->desc->memory_bytes > 0)
                return instance->desc->memory_bytes;

        return type && type->framebuffer_bytes > 0 ? type->framebuffer_bytes : UINT64_MAX;
}

BUS_DEFINE_GETTER(property_get_memory_bytes, Instance, instance, "t", bus_instance_memory_bytes(instance))

char *bus_instance_path(const void *instance)
{
        return bus_path_instance(((const Instance *)instance)->desc->uuid);
}

/* The owner for the bus: a decimal uid, or "" for a foreign instance. */
static char *instance_owner(const Instance *instance)
{
        if (instance->owner == UID_INVALID)
                return g_strdup("");

        return g_strdup_printf("%" PRIu32, (uint32_t)instance->owner);
}

static int property_get_owner(sd_bus *bus, const char *path, const char *interface, const char *property,
                              sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        const Instance *instance = userdata;
        g_autofree char *owner = instance_owner(instance);

        return sd_bus_message_append_basic(reply, 's', owner);
}

static int property_get_type_name(sd_bus *bus, const char *path, const char *interface, const char *property,
                                  sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        const Instance *instance = userdata;
        const VgpuType *type = instance_type(instance);

        return bus_append_short_text(reply, type && type->name ? type->name : instance->desc->type_id,
                                     BUS_SHORT_TEXT_MAX);
}

static int property_get_sysfs_path(sd_bus *bus, const char *path, const char *interface, const char *property,
                                   sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        const Instance *instance = userdata;
        g_autofree char *sysfs_path = g_strconcat("/sys/", instance->desc->path, NULL);

        return bus_append_text(reply, sysfs_path);
}

static int property_get_attributes(sd_bus *bus, const char *path, const char *interface, const char *property,
                                   sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        const Instance *instance = userdata;
        const GPtrArray *attributes = instance->desc->attributes;
        size_t left = INSTANCE_ATTRIBUTES_SIZE_MAX;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(ss)");

        for (guint i = 0; r >= 0 && attributes && i < attributes->len; i++) {
                const VgpuAttribute *a = attributes->pdata[i];
                size_t size = strnlen(a->name, left + 1) + strnlen(a->value, left + 1) + 16;

                if (size > left)
                        break;

                left -= size;
                r = sd_bus_message_open_container(reply, 'r', "ss");
                if (r >= 0)
                        r = bus_append_text(reply, a->name);
                if (r >= 0)
                        r = bus_append_text(reply, a->value);
                if (r >= 0)
                        r = sd_bus_message_close_container(reply);
        }

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* ---- the hand-over ---- */

static int instance_append_handover_keys(sd_bus_message *m, const Handover *h)
{
        int r;

        r = bus_append_entry_string(m, "sysfs_path", h->sysfs_path);
        if (r >= 0 && h->iommu_group >= 0)
                r = bus_append_entry(m, "iommu_group", "i", h->iommu_group);
        if (r >= 0)
                r = bus_append_entry_string(m, "group_node", h->group_node);
        if (r >= 0)
                r = bus_append_entry_string(m, "cdev_node", h->cdev_node);
        if (r >= 0)
                r = bus_append_entry_string(m, "libvirt_xml", h->libvirt_xml);
        if (r >= 0)
                r = bus_append_entry_strings(m, "qemu_args", h->qemu_args);

        return r;
}

int bus_instance_append_hand_over(sd_bus_message *m, const Instance *instance)
{
        const VgpuDriver *driver = instance->gpu->driver;
        Handover *h = driver && !instance_is_incomplete(instance) ? driver->handover(instance->desc) : NULL;
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0 && h)
                r = instance_append_handover_keys(m, h);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        handover_free(h);

        return r;
}

static int method_get_hand_over(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        const Instance *instance = userdata;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        int r;

        r = bus_read_options(call, NULL, 0, &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);

        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = bus_instance_append_hand_over(reply, instance);

        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

/* ---- removal ---- */

typedef struct DestroyArguments {
        Bus *bus;
        GPtrArray *instances; /* Instance */
        bool foreign, defined;
} DestroyArguments;

static bool instance_is_foreign(const Instance *instance)
{
        return instance->origin == INSTANCE_ORIGIN_FOREIGN;
}

static unsigned destroy_flags(const DestroyArguments *a)
{
        return (a->foreign ? DESTROY_FOREIGN : 0U) | (a->defined ? DESTROY_DEFINED : 0U);
}

static int destroy_check(const void *arguments, VgpudError *reterr)
{
        const DestroyArguments *a = arguments;
        int r = 0;

        for (guint i = 0; r >= 0 && i < a->instances->len; i++)
                r = request_destroy_check_flags(a->instances->pdata[i], destroy_flags(a), reterr);

        return r;
}

static int destroy_queue(void *arguments, uid_t requester, GPtrArray *ret_jobs, VgpudError *reterr)
{
        const DestroyArguments *a = arguments;
        g_autoptr(GPtrArray) jobs = NULL;
        int r;

        g_assert(a->instances->len > 0);

        r = request_destroy_many(a->bus->model, a->instances, destroy_flags(a), requester, &jobs, reterr);
        if (r < 0)
                return r;

        for (guint i = 0; i < jobs->len; i++)
                g_ptr_array_add(ret_jobs, jobs->pdata[i]);

        return 0;
}

typedef struct DestroyQuestions {
        GArray *questions;  /* BusAuthzQuestion */
        GPtrArray *details; /* owned lists of strings */
} DestroyQuestions;

static void destroy_questions_done(DestroyQuestions *q)
{
        g_array_unref(q->questions);
        g_ptr_array_unref(q->details);
}

static void destroy_details_free(gpointer p)
{
        g_strfreev(p);
}

static PolkitAction destroy_action(const Instance *instance, uid_t requester)
{
        if (instance_is_foreign(instance))
                return POLKIT_DESTROY_FOREIGN;

        return instance->owner == requester ? POLKIT_DESTROY : POLKIT_DESTROY_OTHER;
}

/* Add the question about one instance. Each instance has its own question, because rules of polkit may decide
 * by name or owner. */
static void destroy_add_question(DestroyQuestions *q, const Instance *instance, uid_t requester)
{
        g_autofree char *owner = instance_owner(instance);
        const PolkitAction action = destroy_action(instance, requester);
        const char *details[] = {
                "gpu",      gpu_name(instance->gpu),
                "type",     instance->desc->type_id ? instance->desc->type_id : "",
                "instance", instance->desc->uuid,
                "name",     instance->name ? instance->name : "",
                "owner",    owner,
                "mine",     action == POLKIT_DESTROY ? "yes" : "no",
                NULL,
        };
        char **copy = g_strdupv((char **)details);
        const BusAuthzQuestion question = {
                .action = action,
                .details = (const char *const *)copy,
        };

        g_ptr_array_add(q->details, copy);
        g_array_append_val(q->questions, question);
}

static int destroy_run(sd_bus_message *call, DestroyArguments *a, BusRequest *request, sd_bus_error *ret_error)
{
        _cleanup_(destroy_questions_done) DestroyQuestions q = {
                .questions = g_array_new(false, false, sizeof(BusAuthzQuestion)),
                .details = g_ptr_array_new_with_free_func(destroy_details_free),
        };

        for (guint i = 0; i < a->instances->len; i++)
                destroy_add_question(&q, a->instances->pdata[i], request->requester);

        request->questions = (const BusAuthzQuestion *)(void *)q.questions->data;
        request->n_questions = q.questions->len;
        request->arguments = a;
        request->check = destroy_check;
        request->queue = destroy_queue;

        return bus_request_run(a->bus, call, request, ret_error);
}

int bus_instance_destroy(Bus *b, sd_bus_message *call, Instance *instance, sd_bus_error *ret_error)
{
        g_autoptr(GPtrArray) instances = g_ptr_array_new();
        DestroyArguments a = { .bus = b, .instances = instances };
        BusRequest request = { .answer = BUS_ANSWER_JOB };
        const BusOption options[] = {
                { "foreign", "b", &a.foreign },
                { "defined", "b", &a.defined },
                BUS_WAIT_OPTIONS(request.wait),
        };
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        int r;

        r = bus_request_identify(b, call, &request.requester, ret_error);
        if (r != 0)
                return r;

        r = bus_read_options(call, options, G_N_ELEMENTS(options), &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);

        g_ptr_array_add(instances, instance);

        return destroy_run(call, &a, &request, ret_error);
}

static int destroy_find(Bus *b, const GPtrArray *paths, GPtrArray *ret_instances, VgpudError *reterr)
{
        g_autoptr(GHashTable) seen = g_hash_table_new(g_direct_hash, g_direct_equal);

        if (paths->len == 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "the call names no instance");

        for (guint i = 0; i < paths->len; i++) {
                const char *path = paths->pdata[i];
                char uuid[UUID_STRLEN + 1];
                Instance *instance;

                if (!bus_path_to_instance(path, uuid))
                        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                                "%s is not the path of an instance", TEXT_QUOTE(path));

                instance = model_get_instance(b->model, uuid);
                if (!instance)
                        return vgpud_error_setf(reterr, VGPUD_ERROR_NO_SUCH_INSTANCE, "there is no instance %s",
                                                uuid);

                if (!g_hash_table_add(seen, instance))
                        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                                "the call names instance %s more than once", uuid);

                g_ptr_array_add(ret_instances, instance);
        }

        return 0;
}

static int destroy_read_paths(sd_bus_message *call, GPtrArray *ret_paths, VgpudError *reterr)
{
        const char *path;
        int r;

        r = sd_bus_message_enter_container(call, 'a', "o");

        while (r >= 0 && (r = sd_bus_message_read_basic(call, 'o', &path)) > 0) {
                if (ret_paths->len == BUS_MAX_INSTANCES)
                        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                                "argument 'instances' has more than %u entries",
                                                BUS_MAX_INSTANCES);

                r = bus_check_text("an entry of argument", "instances", path, BUS_MAX_INSTANCE, reterr);
                if (r < 0)
                        return r;

                g_ptr_array_add(ret_paths, (char *)path);
        }

        return r < 0 ? r : sd_bus_message_exit_container(call);
}

int bus_instance_destroy_many(Bus *b, sd_bus_message *call, sd_bus_error *ret_error)
{
        g_autoptr(GPtrArray) paths = g_ptr_array_new(), instances = g_ptr_array_new();
        DestroyArguments a = { .bus = b, .instances = instances };
        BusRequest request = { .answer = BUS_ANSWER_JOBS };
        const BusOption options[] = {
                { "foreign", "b", &a.foreign },
                { "defined", "b", &a.defined },
                BUS_WAIT_OPTIONS(request.wait),
        };
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        int r;

        r = bus_request_identify(b, call, &request.requester, ret_error);
        if (r != 0)
                return r;

        r = destroy_read_paths(call, paths, &e);
        if (r >= 0)
                r = bus_read_options(call, options, G_N_ELEMENTS(options), &e);
        if (r >= 0)
                r = destroy_find(b, paths, instances, &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);

        return destroy_run(call, &a, &request, ret_error);
}

static int method_destroy(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        return bus_instance_destroy(bus_of_call(call), call, userdata, ret_error);
}

/* ---- the interface ---- */

static const BusChange instance_changes[] = {
        { INSTANCE_CHANGED_DESC, "Parent" },
        { INSTANCE_CHANGED_DESC, "Type" },
        { INSTANCE_CHANGED_DESC, "TypeName" },
        { INSTANCE_CHANGED_DESC, "DeviceApi" },
        { INSTANCE_CHANGED_DESC, "Driver" },
        { INSTANCE_CHANGED_DESC, "SysfsPath" },
        { INSTANCE_CHANGED_DESC, "IommuGroup" },
        { INSTANCE_CHANGED_DESC, "MemoryBytes" },
        { INSTANCE_CHANGED_DESC, "Slot" },
        { INSTANCE_CHANGED_DESC, "Attributes" },
        { INSTANCE_CHANGED_DESC, "Gpu" },
        { INSTANCE_CHANGED_ORIGIN, "Name" },
        { INSTANCE_CHANGED_ORIGIN, "Origin" },
        { INSTANCE_CHANGED_ORIGIN, "Owner" },
        { INSTANCE_CHANGED_ORIGIN, "CreatedUsec" },
        { INSTANCE_CHANGED_STATE, "State" },
        { INSTANCE_CHANGED_DEFINITION, "Definition" },
        /* Job (INSTANCE_CHANGED_JOB) is missing: the objects of the jobs name their instances. */
};

char **bus_instance_properties(unsigned changes)
{
        return bus_changed_properties(instance_changes, G_N_ELEMENTS(instance_changes), changes);
}

const sd_bus_vtable bus_instance_vtable[] = {
        SD_BUS_VTABLE_START(0),
        BUS_PROPERTY_CONST("Uuid", "s", property_get_uuid),
        BUS_PROPERTY_CHANGES("Name", "s", property_get_name),
        BUS_PROPERTY_CHANGES("Gpu", "o", property_get_gpu),
        BUS_PROPERTY_CHANGES("Parent", "s", property_get_parent),
        BUS_PROPERTY_CHANGES("Slot", "s", property_get_slot),
        BUS_PROPERTY_CHANGES("Type", "s", property_get_type),
        BUS_PROPERTY_CHANGES("TypeName", "s", property_get_type_name),
        BUS_PROPERTY_CHANGES("DeviceApi", "s", property_get_device_api),
        BUS_PROPERTY_CHANGES("Driver", "s", property_get_driver),
        BUS_PROPERTY_CHANGES("Origin", "s", property_get_origin),
        BUS_PROPERTY_CHANGES("State", "s", property_get_state),
        BUS_PROPERTY_CHANGES("Owner", "s", property_get_owner),
        BUS_PROPERTY_CHANGES("Definition", "s", property_get_definition),
        BUS_PROPERTY_CHANGES("CreatedUsec", "t", property_get_created_usec),
        BUS_PROPERTY_CHANGES("SysfsPath", "s", property_get_sysfs_path),
        BUS_PROPERTY_CHANGES("IommuGroup", "i", property_get_iommu_group),
        BUS_PROPERTY_CHANGES("MemoryBytes", "t", property_get_memory_bytes),
        BUS_PROPERTY_CHANGES("Attributes", "a(ss)", property_get_attributes),
        BUS_PROPERTY("Job", "o", property_get_job),
        SD_BUS_METHOD_WITH_ARGS("GetHandOver", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("a{sv}", hand_over),
                                method_get_hand_over, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Destroy", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("o", job),
                                method_destroy, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

int bus_instance_append_table(sd_bus_message *m, Bus *b, const Gpu *gpu, const GPtrArray *columns)
{
        static const char *const except[] = { "SysfsPath", "Attributes", NULL };
        g_autoptr(GPtrArray) instances = g_ptr_array_new();
        GHashTableIter iter;
        void *instance;

        g_hash_table_iter_init(&iter, gpu ? gpu->instances : model_instances(b->model));

        while (g_hash_table_iter_next(&iter, NULL, &instance))
                g_ptr_array_add(instances, instance);

        return bus_append_object_table(m, bus_instance_vtable, except, bus_instance_path, instances, columns);
}
