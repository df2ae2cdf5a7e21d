/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dbus/bus-definitions.h"

#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/pci-addr.h"
#include "base/text.h"
#include "base/uuid.h"
#include "daemon/definitions/define.h"
#include "daemon/definitions/start.h"
#include "daemon/model/defined.h"
#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/model/model.h"
#include "daemon/requests/find.h"
#include "daemon/store/definitions.h"
#include "dbus/bus-announce.h"
#include "dbus/bus-authz.h"
#include "dbus/bus-names.h"
#include "dbus/bus-request.h"
#include "dbus/message/bus-error.h"
#include "dbus/message/bus-util.h"
#include "drivers-glue/attribute.h"

/* ---- keys and columns ---- */

/* One definition for the bus. */
typedef struct DefinitionRow {
        Model *model;
        const Definition *definition;
        bool is_signal; /* cut long texts, and leave the attributes out */
} DefinitionRow;

static int definition_append_text(sd_bus_message *m, const DefinitionRow *row, const char *text)
{
        return row->is_signal ? bus_append_short_text(m, text, BUS_SHORT_TEXT_MAX) : bus_append_text(m, text);
}

#define DEFINE_DEFINITION_COLUMN(function, member)                                       \
        static int function(sd_bus_message *m, const void *row)                          \
        {                                                                                \
                const Definition *definition = ((const DefinitionRow *)row)->definition; \
                return definition_append_text(m, row, definition->member);               \
        }

BUS_DEFINE_STRING_COLUMN(definition_append_uuid, DefinitionRow, row, "s", row->definition->uuid)
DEFINE_DEFINITION_COLUMN(definition_append_name, name)
DEFINE_DEFINITION_COLUMN(definition_append_type, type)
DEFINE_DEFINITION_COLUMN(definition_append_gpu, gpu)
DEFINE_DEFINITION_COLUMN(definition_append_parent, parent)
DEFINE_DEFINITION_COLUMN(definition_append_pool, pool)
BUS_DEFINE_COLUMN(definition_append_created_usec, DefinitionRow, row, "t", row->definition->created_usec)
BUS_DEFINE_STRING_COLUMN(definition_append_state, DefinitionRow, row, "s",
                         definition_state_to_string(define_get_state(row->model, row->definition)))
BUS_DEFINE_COLUMN(definition_append_differs, DefinitionRow, row, "b",
                  define_differs(row->model, row->definition))
BUS_DEFINE_COLUMN(definition_append_autostart, DefinitionRow, row, "b", row->definition->autostart)

static int definition_append_reason(sd_bus_message *m, const void *row)
{
        const DefinitionRow *r = row;
        const VgpudError *waiting = define_get_waiting(r->model, r->definition);

        return definition_append_text(m, r, waiting ? waiting->message : NULL);
}

static int definition_append_hint(sd_bus_message *m, const void *row)
{
        const DefinitionRow *r = row;
        const VgpudError *waiting = define_get_waiting(r->model, r->definition);

        return definition_append_text(m, r, waiting ? waiting->hint.text : NULL);
}

static int definition_append_hint_id(sd_bus_message *m, const void *row)
{
        const DefinitionRow *r = row;
        const VgpudError *waiting = define_get_waiting(r->model, r->definition);

        return bus_append_text(m, waiting ? vgpud_hint_id_to_string(waiting->hint.id) : NULL);
}

static int definition_append_owner(sd_bus_message *m, const void *row)
{
        const Definition *definition = ((const DefinitionRow *)row)->definition;
        g_autofree char *owner = g_strdup_printf("%" PRIu32, (uint32_t)definition->owner);

        return sd_bus_message_append_basic(m, 's', owner);
}

static int definition_append_attributes(sd_bus_message *m, const void *row)
{
        const Definition *definition = ((const DefinitionRow *)row)->definition;
        int r;

        r = sd_bus_message_open_container(m, 'a', "(ss)");

        for (guint i = 0; r >= 0 && i < definition->attributes->len; i++) {
                const VgpuAttribute *a = definition->attributes->pdata[i];

                r = sd_bus_message_append(m, "(ss)", a->name, a->value);
        }

        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* The signals have all columns but the last one, which may be too long for a signal. */
static const BusColumn definition_columns[] = {
        { "uuid", "s", definition_append_uuid },
        { "name", "s", definition_append_name },
        { "type", "s", definition_append_type },
        { "gpu", "s", definition_append_gpu },
        { "parent", "s", definition_append_parent },
        { "pool", "s", definition_append_pool },
        { "owner", "s", definition_append_owner },
        { "created_usec", "t", definition_append_created_usec },
        { "state", "s", definition_append_state },
        { "differs", "b", definition_append_differs },
        { "autostart", "b", definition_append_autostart },
        { "reason", "s", definition_append_reason },
        { "hint", "s", definition_append_hint },
        { "hint_id", "s", definition_append_hint_id },
        { "attributes", "a(ss)", definition_append_attributes },
};

#define DEFINITION_SIGNAL_COLUMNS (G_N_ELEMENTS(definition_columns) - 1)

static int definition_append_dictionary(sd_bus_message *m, const DefinitionRow *row)
{
        const size_t n = row->is_signal ? DEFINITION_SIGNAL_COLUMNS : G_N_ELEMENTS(definition_columns);
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");

        for (size_t c = 0; r >= 0 && c < n; c++) {
                const BusColumn *column = &definition_columns[c];

                r = bus_open_entry(m, column->name, column->signature);
                if (r >= 0)
                        r = column->append(m, row);
                if (r >= 0)
                        r = bus_close_entry(m);
        }

        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* ---- signals ---- */

/* `row` NULL: the signal has no dictionary. */
static void definition_send_signal(Bus *b, const char *member, const char *uuid, const DefinitionRow *row)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
        int r;

        r = sd_bus_message_new_signal(b->bus, &signal, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, member);
        if (r >= 0)
                r = sd_bus_message_append_basic(signal, 's', uuid);
        if (r >= 0 && row)
                r = definition_append_dictionary(signal, row);
        if (r >= 0)
                r = sd_bus_send(b->bus, signal, NULL);
        if (r < 0)
                log_debug_errno(r, "Failed to announce definition %s, ignoring: %m", uuid);
}

void bus_definitions_on_added(const Definition *definition, void *userdata)
{
        Bus *b = userdata;
        const DefinitionRow row = { .model = b->model, .definition = definition, .is_signal = true };

        definition_send_signal(b, "DefinitionAdded", definition->uuid, &row);
}

void bus_definitions_on_changed(const Definition *definition, void *userdata)
{
        Bus *b = userdata;
        const DefinitionRow row = { .model = b->model, .definition = definition, .is_signal = true };

        definition_send_signal(b, "DefinitionChanged", definition->uuid, &row);
}

void bus_definitions_on_removed(const Definition *definition, void *userdata)
{
        definition_send_signal(userdata, "DefinitionRemoved", definition->uuid, NULL);
}

/* ---- the question to polkit ---- */

/* Ask polkit about a definition, as it is or as it will be. The action is `own` for a definition of the caller,
 * otherwise `other`. `uuid`: the detail instance; "" if vgpud generates the UUID, because each dispatch of the
 * call generates another one, and a question whose details differ fails. `count`: the number of instances that
 * the call creates. Returns the result of bus_authz_check(). */
static int definition_ask_action(Bus *b, sd_bus_message *call, uid_t uid, PolkitAction own, PolkitAction other,
                                 const Definition *d, const char *uuid, const char *count, VgpudError *reterr)
{
        const bool is_mine = d->owner == uid;
        g_autofree char *joined = bus_join_attributes(d->attributes);
        g_autofree char *owner = g_strdup_printf("%" PRIu32, (uint32_t)d->owner);
        const char *details[] = {
                "instance",   uuid,
                "gpu",        d->gpu ? d->gpu : "",
                "type",       d->type,
                "count",      count,
                "name",       d->name ? d->name : "",
                "pool",       d->pool ? d->pool : "",
                "parent",     d->parent ? d->parent : "",
                "attributes", joined,
                "autostart",  d->autostart ? "yes" : "no",
                "owner",      owner,
                "mine",       is_mine ? "yes" : "no",
                NULL,
        };
        const BusAuthzQuestion question = { .action = is_mine ? own : other, .details = details };

        return bus_authz_check(b->authz, call, uid, &question, 1, reterr);
}

/* Ask polkit about a change of the definition. */
static int definition_ask(Bus *b, sd_bus_message *call, uid_t uid, const Definition *d, const char *uuid,
                          VgpudError *reterr)
{
        return definition_ask_action(b, call, uid, POLKIT_DEFINE, POLKIT_DEFINE_OTHER, d, uuid, "1", reterr);
}

/* Log the error of a definition that cannot be written, if it is a refusal. */
static void definition_log_refusal(Bus *b, sd_bus_message *call, const char *gpu, const char *type,
                                   const VgpudError *e)
{
        const char *details[] = { "gpu", gpu ? gpu : "", "type", type ? type : "", NULL };

        bus_authz_log_refusal(b->authz, call, &(BusAuthzQuestion){ POLKIT_DEFINE, details }, e);
}

/* Ask polkit about a prepared definition, write it, and announce it before the answer. Returns 1 if the
 * definition is written, 0 while polkit is being asked. */
static int definition_ask_and_write(Bus *b, sd_bus_message *call, uid_t uid, const Definition *d,
                                    const char *uuid, VgpudError *reterr)
{
        int r;

        r = definition_ask(b, call, uid, d, uuid, reterr);
        if (r <= 0)
                return r;

        r = define_commit(b->model, d, uid, reterr);
        if (r < 0)
                return r;

        bus_announce_flush(b);

        return 1;
}

/* ---- Define, DefineInstance, Edit, Undefine, CancelStart ---- */

/* The texts of a request that its handler had to change. */
typedef struct DefineWords {
        char *gpu, *parent; /* owned */
} DefineWords;

static void define_words_done(DefineWords *w)
{
        g_free(w->gpu);
        g_free(w->parent);
}

/* polkit, the files and the back ends know GPUs and parents by their sysfs names. */
static int define_read_words(DefineRequest *request, DefineWords *words, VgpudError *reterr)
{
        int r;

        r = bus_read_gpu_word(&request->gpu, &words->gpu, reterr);
        if (r < 0)
                return r;

        words->parent = request->parent ? pci_addr_to_name(request->parent) : NULL;
        if (words->parent)
                request->parent = words->parent;

        return 0;
}

static void define_clear_empty(const char **text)
{
        if (*text && (*text)[0] == '\0')
                *text = NULL;
}

int bus_method_define(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        Bus *b = userdata;
        DefineRequest request = { 0 };
        g_autoptr(GPtrArray) attributes = NULL;
        const BusOption options[] = {
                { "gpu", "s", &request.gpu, 0, BUS_MAX_GPU },
                { "pool", "s", &request.pool, 0, BUS_MAX_POOL },
                { "parent", "s", &request.parent, 0, BUS_MAX_PARENT },
                { "attributes", "a(ss)", &attributes, 0, BUS_MAX_ATTRIBUTES },
                { "name", "s", &request.name, 0, BUS_MAX_NAME },
                { "uuid", "s", &request.uuid, 0, BUS_MAX_UUID },
                { "autostart", "b", &request.autostart },
        };
        _cleanup_(define_words_done) DefineWords words = { 0 };
        _cleanup_definition_ Definition *d = NULL;
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        int r;

        r = bus_request_identify(b, call, &request.requester, ret_error);
        if (r != 0)
                return r;

        r = bus_read_text(call, "type", BUS_MAX_TYPE, &request.type, &e);
        if (r >= 0)
                r = bus_read_options(call, options, G_N_ELEMENTS(options), &e);
        if (r >= 0)
                r = define_read_words(&request, &words, &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);

        request.attributes = attributes;
        define_clear_empty(&request.gpu);
        define_clear_empty(&request.pool);
        define_clear_empty(&request.parent);
        define_clear_empty(&request.name);

        r = define_prepare(b->model, &request, &d, &e);
        if (r < 0) {
                definition_log_refusal(b, call, request.gpu, request.type, &e);
                return bus_error_answer(call, r, &e, ret_error);
        }

        r = definition_ask_and_write(b, call, request.requester, d, request.uuid ? d->uuid : "", &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);
        if (r == 0)
                return 1;

        return sd_bus_reply_method_return(call, "s", d->uuid);
}

int bus_definitions_define_instance(Bus *b, sd_bus_message *call, const Instance *instance,
                                    sd_bus_error *ret_error)
{
        _cleanup_definition_ Definition *d = NULL;
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        uid_t uid;
        int r;

        r = bus_request_identify(b, call, &uid, ret_error);
        if (r != 0)
                return r;

        r = bus_read_options(call, NULL, 0, &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);

        r = define_prepare_from(b->model, instance, &d, &e);
        if (r < 0) {
                definition_log_refusal(b, call, gpu_name(instance->gpu), instance->desc->type_id, &e);
                return bus_error_answer(call, r, &e, ret_error);
        }

        r = definition_ask_and_write(b, call, uid, d, d->uuid, &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);
        if (r == 0)
                return 1;

        return sd_bus_reply_method_return(call, "s", d->uuid);
}

/* Read the argument `definition`. */
static int definition_read_argument(Bus *b, sd_bus_message *call, const Definition **ret, VgpudError *reterr)
{
        const char *word;
        int r;

        r = bus_read_text(call, "definition", BUS_MAX_INSTANCE, &word, reterr);

        return r < 0 ? r : define_find(b->model, word, ret, reterr);
}

static int edit_check(const DefineRequest *changes, VgpudError *reterr)
{
        if (changes->type || changes->gpu || changes->pool || changes->parent || changes->attributes ||
            changes->name || changes->sets_autostart)
                return 0;

        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "the call changes nothing of the definition");
}

int bus_method_edit(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        Bus *b = userdata;
        DefineRequest changes = { 0 };
        g_autoptr(GPtrArray) attributes = NULL;
        const BusOption options[] = {
                { "type", "s", &changes.type, 0, BUS_MAX_TYPE },
                { "gpu", "s", &changes.gpu, 0, BUS_MAX_GPU },
                { "pool", "s", &changes.pool, 0, BUS_MAX_POOL },
                { "parent", "s", &changes.parent, 0, BUS_MAX_PARENT },
                { "attributes", "a(ss)", &attributes, 0, BUS_MAX_ATTRIBUTES },
                { "name", "s", &changes.name, 0, BUS_MAX_NAME },
                { "autostart", "b", &changes.autostart, .given = &changes.sets_autostart },
        };
        _cleanup_(define_words_done) DefineWords words = { 0 };
        _cleanup_definition_ Definition *d = NULL;
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        const Definition *before;
        int r;

        r = bus_request_identify(b, call, &changes.requester, ret_error);
        if (r != 0)
                return r;

        r = definition_read_argument(b, call, &before, &e);
        if (r >= 0)
                r = bus_read_options(call, options, G_N_ELEMENTS(options), &e);
        if (r >= 0)
                r = define_read_words(&changes, &words, &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);

        changes.attributes = attributes;

        r = edit_check(&changes, &e);
        if (r >= 0)
                r = define_prepare_edit(b->model, before, &changes, &d, &e);
        if (r >= 0)
                r = definition_ask_and_write(b, call, changes.requester, d, d->uuid, &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);
        if (r == 0)
                return 1;

        return sd_bus_reply_method_return(call, NULL);
}

int bus_method_undefine(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        Bus *b = userdata;
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        const Definition *d;
        uid_t uid;
        int r;

        r = bus_request_identify(b, call, &uid, ret_error);
        if (r != 0)
                return r;

        r = definition_read_argument(b, call, &d, &e);
        if (r >= 0)
                r = bus_read_options(call, NULL, 0, &e);
        if (r >= 0)
                r = definition_ask(b, call, uid, d, d->uuid, &e);
        if (r == 0)
                return 1;
        if (r >= 0)
                r = defined_remove(b->model, d, uid, &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);

        bus_announce_flush(b);

        return sd_bus_reply_method_return(call, NULL);
}

int bus_method_cancel_start(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        Bus *b = userdata;
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        const Definition *d;
        uid_t uid;
        int r;

        r = bus_request_identify(b, call, &uid, ret_error);
        if (r != 0)
                return r;

        r = definition_read_argument(b, call, &d, &e);
        if (r >= 0)
                r = bus_read_options(call, NULL, 0, &e);
        if (r >= 0)
                r = start_check_cancel(b->model, d, &e);
        if (r >= 0)
                r = definition_ask_action(b, call, uid, POLKIT_START, POLKIT_START_OTHER, d, d->uuid, "0", &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);
        if (r == 0)
                return 1;

        start_cancel(b->model, d, uid);
        bus_announce_flush(b);

        return sd_bus_reply_method_return(call, NULL);
}

/* ---- ListDefinitions, GetDefinition ---- */

/* The options of ListDefinitions. `gpu` and `pool` are NULL for any, or "" for definitions that name no GPU or
 * pool. `owner` is UID_INVALID for any. */
typedef struct DefinitionFilter {
        const char *gpu, *pool, *state_word;
        DefinitionState state; /* _DEFINITION_STATE_INVALID: any */
        uint32_t owner, limit;
} DefinitionFilter;

static bool filter_matches_text(const char *wanted, const char *text)
{
        return !wanted || strcmp(wanted, text ? text : "") == 0;
}

static bool filter_matches(const DefinitionFilter *f, Model *m, const Definition *d)
{
        return filter_matches_text(f->gpu, d->gpu) && filter_matches_text(f->pool, d->pool) &&
               (f->owner == UID_INVALID || f->owner == d->owner) &&
               (f->state == _DEFINITION_STATE_INVALID || f->state == define_get_state(m, d));
}

static int filter_read_state(DefinitionFilter *f, VgpudError *reterr)
{
        f->state = _DEFINITION_STATE_INVALID;
        if (!f->state_word)
                return 0;

        f->state = definition_state_from_string(f->state_word);
        if (f->state < 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "there is no state '%s' of definitions",
                                        TEXT_QUOTE(f->state_word));

        return 0;
}

static int filter_read_after(const char *after, char uuid[static UUID_STRLEN + 1], VgpudError *reterr)
{
        if (after && uuid_normalize(after, uuid) < 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "option 'after' is no UUID: '%s'",
                                        TEXT_QUOTE(after));

        return 0;
}

static int definition_append_table(sd_bus_message *reply, Model *m, const DefinitionFilter *f,
                                   const char *after, const GPtrArray *names)
{
        g_autoptr(GPtrArray) all = definitions_list(m->definitions, after);
        g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(g_free);
        BusColumn columns[G_N_ELEMENTS(definition_columns)];
        size_t n = bus_select_columns(definition_columns, G_N_ELEMENTS(definition_columns), names, columns);

        for (guint i = 0; i < all->len && rows->len < f->limit; i++) {
                DefinitionRow *row;

                if (!filter_matches(f, m, all->pdata[i]))
                        continue;

                row = g_new(DefinitionRow, 1);
                *row = (DefinitionRow){ .model = m, .definition = all->pdata[i] };
                g_ptr_array_add(rows, row);
        }

        return bus_append_table(reply, columns, n, rows);
}

int bus_method_list_definitions(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        Bus *b = userdata;
        DefinitionFilter filter = { .owner = UID_INVALID, .limit = DEFINITIONS_MAX };
        const char *after = NULL;
        g_autoptr(GPtrArray) columns = NULL;
        const BusOption options[] = {
                { "gpu", "s", &filter.gpu, 0, BUS_MAX_GPU },
                { "pool", "s", &filter.pool, 0, BUS_MAX_POOL },
                { "owner", "u", &filter.owner, 0, UID_INVALID - 1 },
                { "state", "s", &filter.state_word, 0, BUS_MAX_STATE },
                { "after", "s", &after, 0, BUS_MAX_UUID },
                { "limit", "u", &filter.limit, 1, DEFINITIONS_MAX },
                { "columns", "as", &columns, 0, BUS_MAX_COLUMNS },
        };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        g_autofree char *path_gpu = NULL, *gpu = NULL;
        char uuid[UUID_STRLEN + 1];
        int r;

        r = bus_read_options(call, options, G_N_ELEMENTS(options), &e);
        if (r >= 0)
                r = bus_read_gpu_word(&filter.gpu, &path_gpu, &e);
        if (r >= 0)
                r = filter_read_state(&filter, &e);
        if (r >= 0)
                r = filter_read_after(after, uuid, &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);

        /* Only normalize an address: the GPU that a definition names may be missing now. */
        if (filter.gpu)
                filter.gpu = gpu = request_read_address(filter.gpu);

        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = definition_append_table(reply, b->model, &filter, after ? uuid : NULL, columns);

        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

int bus_method_get_definition(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        Bus *b = userdata;
        DefinitionRow row = { .model = b->model };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        int r;

        r = definition_read_argument(b, call, &row.definition, &e);
        if (r >= 0)
                r = bus_read_options(call, NULL, 0, &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);

        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = definition_append_dictionary(reply, &row);

        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}
