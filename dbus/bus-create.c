/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dbus/bus-create.h"

#include <inttypes.h>
#include <string.h>

#include "base/pci-addr.h"
#include "base/uuid.h"
#include "daemon/model/gpu.h"
#include "daemon/requests/create.h"
#include "dbus/bus-authz.h"
#include "dbus/bus-request.h"
#include "dbus/message/bus-error.h"
#include "dbus/message/bus-util.h"

static bool hints_are_given(const PlaceHints *h)
{
        return h->strategy || h->near || h->pool || h->numa_node != -1 || h->preferred_numa_node != -1;
}

typedef struct CreateArguments {
        Model *model;
        CreateRequest create;
        GPtrArray *attributes;            /* owned: VgpuAttribute; NULL: none */
        char *gpu, *type, *near, *parent; /* owned */
} CreateArguments;

static void create_done(CreateArguments *a)
{
        g_clear_pointer(&a->attributes, g_ptr_array_unref);
        g_free(a->gpu);
        g_free(a->type);
        g_free(a->near);
        g_free(a->parent);
}

/* Resolve GPU, type and names of options in the request, so that the job is exactly the job that polkit
 * permits, and rules of polkit see only one name for each thing. If the call names no GPU, the GPU that polkit
 * was asked about is kept as long as it fits. Otherwise polkit is asked again, about another GPU. */
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

        g_free(a->gpu);
        a->create.gpu = a->gpu = g_strdup(gpu_name(gpu));
        a->create.type = a->type = g_strdup(type->id);
        a->create.attributes = a->attributes = vgpu_type_name_options(type, a->create.attributes);
        a->create.hints = NULL;
        a->create.chosen = NULL;

        return 0;
}

static int create_queue(void *arguments, uid_t requester, GPtrArray *ret_jobs, VgpudError *reterr)
{
        CreateArguments *a = arguments;
        Job *job;
        int r;

        /* create_resolve() has set both. */
        g_assert(a->create.gpu == a->gpu && a->create.type == a->type);
        g_assert(!a->create.hints && !a->create.chosen);

        r = request_create(a->model, &a->create, &job, reterr);
        if (r >= 0)
                g_ptr_array_add(ret_jobs, job);

        return r;
}

int bus_method_create(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        Bus *b = userdata;
        _cleanup_(create_done) CreateArguments a = { .model = b->model, .create = { .count = 1 } };
        CreateRequest *create = &a.create;
        PlaceHints hints = PLACE_HINTS_NONE;
        g_autoptr(GPtrArray) attributes = NULL;
        BusRequest request = { .answer = BUS_ANSWER_CREATED, .arguments = &a, .queue = create_queue };
        const BusOption options[] = {
                { "uuid", "s", &create->uuid, 0, BUS_MAX_UUID },
                { "name", "s", &create->name, 0, BUS_MAX_NAME },
                { "parent", "s", &create->parent, 0, BUS_MAX_PARENT },
                { "attributes", "a(ss)", &attributes, 0, BUS_MAX_ATTRIBUTES },
                { "count", "u", &create->count, 1, 1024 },
                { "strategy", "s", &hints.strategy, 0, BUS_MAX_STRATEGY },
                { "numa_node", "i", &hints.numa_node },
                { "preferred_numa_node", "i", &hints.preferred_numa_node },
                { "near", "s", &hints.near, 0, BUS_MAX_GPU },
                { "pool", "s", &hints.pool, 0, BUS_MAX_POOL },
                BUS_WAIT_OPTIONS(request.wait),
        };
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        g_autofree char *count = NULL, *joined = NULL;
        char uuid[UUID_STRLEN + 1] = "";
        int r;

        r = bus_request_identify(b, call, &request.requester, ret_error);
        if (r != 0)
                return r;

        r = bus_read_text(call, "gpu", BUS_MAX_GPU, &create->gpu, &e);
        if (r >= 0)
                r = bus_read_text(call, "type", BUS_MAX_TYPE, &create->type, &e);
        if (r >= 0)
                r = bus_read_options(call, options, G_N_ELEMENTS(options), &e);
        if (r >= 0)
                r = bus_read_gpu_word(&create->gpu, &a.gpu, &e);
        if (r >= 0)
                r = bus_read_gpu_word(&hints.near, &a.near, &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);

        /* polkit and the back ends know parents by their sysfs names. */
        a.parent = pci_addr_to_name(create->parent);
        if (a.parent)
                create->parent = a.parent;

        create->requester = request.requester;
        create->attributes = attributes;
        create->hints = hints_are_given(&hints) ? &hints : NULL;

        r = create_resolve(b, call, &a, &e);
        if (r < 0) {
                const char *details[] = { "gpu", create->gpu, "type", create->type, NULL };

                bus_authz_log_refusal(b->authz, call, &(BusAuthzQuestion){ POLKIT_CREATE, details }, &e);
                return bus_error_answer(call, r, &e, ret_error);
        }

        count = g_strdup_printf("%" PRIu32, create->count);
        joined = bus_join_attributes(create->attributes);
        if (create->uuid && uuid_normalize(create->uuid, uuid) < 0)
                uuid[0] = '\0'; /* unreachable: create_resolve() refuses a malformed UUID */
        const char *details[] = {
                "gpu",        create->gpu,
                "type",       create->type,
                "count",      count,
                "instance",   uuid,
                "name",       create->name ? create->name : "",
                "parent",     create->parent ? create->parent : "",
                "attributes", joined,
                NULL,
        };
        const BusAuthzQuestion question = { POLKIT_CREATE, details };
        request.questions = &question;
        request.n_questions = 1;

        return bus_request_run(b, call, &request, ret_error);
}
