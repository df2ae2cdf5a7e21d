/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dbus/bus-create.h"

#include <inttypes.h>
#include <string.h>

#include "base/pci-addr.h"
#include "base/uuid.h"
#include "daemon/definitions/define.h"
#include "daemon/definitions/start.h"
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
        GPtrArray *attributes;                  /* owned: VgpuAttribute; NULL: none */
        char *gpu, *type, *key, *near, *parent; /* owned; key: the whole key of the type */
} CreateArguments;

static void create_done(CreateArguments *a)
{
        g_clear_pointer(&a->attributes, g_ptr_array_unref);
        g_free(a->gpu);
        g_free(a->type);
        g_free(a->key);
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
        a->key = g_strdup(type->key);
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

        /* create_resolve() has set GPU and type, and cleared hints and chosen GPU. */
        g_assert(a->create.gpu == a->gpu && a->create.type == a->type);
        g_assert(!a->create.hints && !a->create.chosen);

        r = request_create(a->model, &a->create, &job, reterr);
        if (r >= 0)
                g_ptr_array_add(ret_jobs, job);

        return r;
}

/* The texts of a question to polkit about a create. */
typedef struct CreateTexts {
        char uuid[UUID_STRLEN + 1]; /* "": the caller did not choose it */
        char *count, *attributes, *owner;
} CreateTexts;

static void create_texts_init(CreateTexts *t, const CreateRequest *create, uid_t owner)
{
        *t = (CreateTexts){
                .count = g_strdup_printf("%" PRIu32, create->count),
                .attributes = bus_join_attributes(create->attributes),
                .owner = g_strdup_printf("%" PRIu32, (uint32_t)owner),
        };

        /* create_resolve() refuses a malformed UUID. */
        if (create->uuid)
                assert_se(uuid_normalize(create->uuid, t->uuid) >= 0);
}

static void create_texts_done(CreateTexts *t)
{
        g_free(t->count);
        g_free(t->attributes);
        g_free(t->owner);
}

static const char *create_text(const char *text)
{
        return text ? text : "";
}

/* If a request cannot be resolved and the error is a refusal, log the error. */
static void create_log_refusal(Bus *b, sd_bus_message *call, PolkitAction action, const CreateRequest *create,
                               const VgpudError *e)
{
        const char *details[] = { "gpu", create->gpu, "type", create->type, NULL };

        bus_authz_log_refusal(b->authz, call, &(BusAuthzQuestion){ action, details }, e);
}

/* ---- Create ---- */

/* Ask polkit about the instances, and about the definitions if the call keeps them. */
static int create_ask_and_queue(Bus *b, sd_bus_message *call, CreateArguments *a, BusRequest *request,
                                sd_bus_error *ret_error)
{
        const CreateRequest *create = &a->create;
        const CreateKeep none = { 0 }, *keep = create->keep ? create->keep : &none;
        _cleanup_(create_texts_done) CreateTexts t;

        create_texts_init(&t, create, request->requester);

        const char *create_details[] = {
                "gpu",        create->gpu,
                "type",       create->type,
                "count",      t.count,
                "instance",   t.uuid,
                "name",       create_text(create->name),
                "parent",     create_text(create->parent),
                "attributes", t.attributes,
                NULL,
        };
        const char *define_details[] = {
                "instance",   t.uuid,
                "gpu",        keep->gpu ? create->gpu : "",
                "type",       create_text(a->key),
                "count",      t.count,
                "name",       create_text(create->name),
                "pool",       create_text(keep->pool),
                "parent",     keep->gpu ? create_text(create->parent) : "",
                "attributes", t.attributes,
                "autostart",  keep->autostart ? "yes" : "no",
                "owner",      t.owner,
                "mine",       "yes",
                NULL,
        };
        const BusAuthzQuestion questions[] = {
                { POLKIT_CREATE, create_details },
                { POLKIT_DEFINE, define_details },
        };

        request->questions = questions;
        request->n_questions = create->keep ? 2 : 1;

        return bus_request_run(b, call, request, ret_error);
}

int bus_method_create(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        Bus *b = userdata;
        _cleanup_(create_done) CreateArguments a = { .model = b->model, .create = { .count = 1 } };
        CreateRequest *create = &a.create;
        PlaceHints hints = PLACE_HINTS_NONE;
        g_autoptr(GPtrArray) attributes = NULL;
        CreateKeep keep = { 0 };
        bool is_kept = false;
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
                { "keep", "b", &is_kept },
                { "autostart", "b", &keep.autostart },
                BUS_WAIT_OPTIONS(request.wait),
        };
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        int r;

        r = bus_request_identify(b, call, &request.requester, ret_error);
        if (r != 0)
                return r;

        r = bus_read_text(call, "gpu", BUS_MAX_GPU, &create->gpu, &e);
        if (r >= 0)
                r = bus_read_text(call, "type", BUS_MAX_TYPE, &create->type, &e);
        if (r >= 0)
                r = bus_read_options(call, options, G_N_ELEMENTS(options), &e);
        if (r >= 0 && keep.autostart && !is_kept)
                r = vgpud_error_setf(&e, VGPUD_ERROR_INVALID, "option 'autostart' needs option 'keep'");
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
        keep.gpu = create->gpu[0] != '\0';
        keep.pool = hints.pool;
        create->keep = is_kept ? &keep : NULL;

        r = create_resolve(b, call, &a, &e);
        if (r < 0) {
                create_log_refusal(b, call, POLKIT_CREATE, create, &e);
                return bus_error_answer(call, r, &e, ret_error);
        }

        return create_ask_and_queue(b, call, &a, &request, ret_error);
}

/* ---- Start ---- */

static int start_ask_and_queue(Bus *b, sd_bus_message *call, CreateArguments *a, BusRequest *request,
                               sd_bus_error *ret_error)
{
        const CreateRequest *create = &a->create;
        const uid_t owner = create->definition->owner;
        const bool is_mine = owner == request->requester;
        _cleanup_(create_texts_done) CreateTexts t;

        create_texts_init(&t, create, owner);

        const char *details[] = {
                "gpu",        create->gpu,
                "type",       create->type,
                "count",      t.count,
                "instance",   t.uuid,
                "name",       create_text(create->name),
                "parent",     create_text(create->parent),
                "attributes", t.attributes,
                "owner",      t.owner,
                "mine",       is_mine ? "yes" : "no",
                NULL,
        };
        const BusAuthzQuestion question = {
                .action = is_mine ? POLKIT_START : POLKIT_START_OTHER,
                .details = details,
        };

        request->questions = &question;
        request->n_questions = 1;

        return bus_request_run(b, call, request, ret_error);
}

int bus_method_start(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        Bus *b = userdata;
        _cleanup_(create_done) CreateArguments a = { .model = b->model };
        BusRequest request = { .answer = BUS_ANSWER_CREATED, .arguments = &a, .queue = create_queue };
        const BusOption options[] = {
                BUS_WAIT_OPTIONS(request.wait),
        };
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        const Definition *definition;
        PlaceHints hints;
        const char *word;
        int r;

        r = bus_request_identify(b, call, &request.requester, ret_error);
        if (r != 0)
                return r;

        r = bus_read_text(call, "definition", BUS_MAX_INSTANCE, &word, &e);
        if (r >= 0)
                r = bus_read_options(call, options, G_N_ELEMENTS(options), &e);
        if (r >= 0)
                r = define_find(b->model, word, &definition, &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);

        start_prepare(definition, &hints, &a.create);
        a.create.requester = request.requester;

        r = create_resolve(b, call, &a, &e);
        if (r < 0) {
                create_log_refusal(b, call, POLKIT_START, &a.create, &e);
                return bus_error_answer(call, r, &e, ret_error);
        }

        return start_ask_and_queue(b, call, &a, &request, ret_error);
}
