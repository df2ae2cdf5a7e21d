/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* place */

#include <stdio.h>
#include <string.h>

#include "cli/client/call-error.h"
#include "cli/client/lookup.h"
#include "cli/host/objects-json.h"
#include "cli/host/report.h"
#include "cli/host/values.h"
#include "cli/output/errors.h"
#include "cli/output/format.h"
#include "cli/output/json.h"
#include "cli/output/table.h"
#include "cli/output/terminal.h"
#include "cli/verbs/call-options.h"
#include "cli/verbs/near.h"
#include "cli/verbs/verbs.h"
#include "dbus/bus-names.h"

typedef struct Candidate {
        char *path, *gpu, *type, *reason, *reason_id, *hint, *hint_id, *error; /* owned; NULL: left out */
        bool fits, would_wait;
        int64_t room, available, promised, spare, instances, numa_node, distance; /* -1: left out */
} Candidate;

static const struct {
        const char *key;
        char type; /* D-Bus type; numbers are kept as int64_t */
        size_t offset;
} candidate_keys[] = {
        { "name", 's', offsetof(Candidate, gpu) },
        { "type", 's', offsetof(Candidate, type) },
        { "fits", 'b', offsetof(Candidate, fits) },
        { "would_wait", 'b', offsetof(Candidate, would_wait) },
        { "reason", 's', offsetof(Candidate, reason) },
        { "reason_id", 's', offsetof(Candidate, reason_id) },
        { "hint", 's', offsetof(Candidate, hint) },
        { "hint_id", 's', offsetof(Candidate, hint_id) },
        { "error", 's', offsetof(Candidate, error) },
        { "room", 'u', offsetof(Candidate, room) },
        { "available", 'u', offsetof(Candidate, available) },
        { "promised", 'u', offsetof(Candidate, promised) },
        { "spare", 'u', offsetof(Candidate, spare) },
        { "instances", 'u', offsetof(Candidate, instances) },
        { "numa_node", 'i', offsetof(Candidate, numa_node) },
        { "distance", 'u', offsetof(Candidate, distance) },
};

static void candidate_clear(void *p)
{
        Candidate *c = p;

        g_free(c->path);
        g_free(c->hint);
        g_free(c->hint_id);
        g_free(c->gpu);
        g_free(c->type);
        g_free(c->reason);
        g_free(c->reason_id);
        g_free(c->error);
}

/* ---- the call ---- */

static int place_build(sd_bus_message *m, const Arguments *a, const char *type, const char *near)
{
        int r;

        r = sd_bus_message_append(m, "s", type);
        if (r >= 0)
                r = client_options_begin(m);
        if (r >= 0 && a->count > 1)
                r = sd_bus_message_append(m, "{sv}", "count", "u", a->count);
        if (r >= 0)
                r = append_place_options(m, a, near);

        return r < 0 ? r : client_options_end(m);
}

/* ---- the answer ---- */

/* The message is at a variant. Unknown keys and values of another type are skipped, because a newer daemon may
 * send more. */
static int candidate_read_value(sd_bus_message *m, const char *key, void *userdata)
{
        Candidate *c = userdata;
        const char *signature, *text;
        int r, truth;
        union {
                uint32_t u;
                int32_t i;
        } number;
        size_t i;

        r = sd_bus_message_peek_type(m, NULL, &signature);
        if (r < 0)
                return r;

        for (i = 0; i < G_N_ELEMENTS(candidate_keys); i++)
                if (strcmp(candidate_keys[i].key, key) == 0 && signature[0] == candidate_keys[i].type &&
                    !signature[1])
                        break;

        if (i == G_N_ELEMENTS(candidate_keys))
                return sd_bus_message_skip(m, "v");

        r = sd_bus_message_enter_container(m, 'v', signature);
        if (r < 0)
                return r;

        void *target = (char *)c + candidate_keys[i].offset;
        switch (candidate_keys[i].type) {
        case 's':
                r = sd_bus_message_read_basic(m, 's', &text);
                if (r >= 0) {
                        g_free(*(char **)target);
                        *(char **)target = g_strdup(text);
                }

                break;
        case 'b':
                r = sd_bus_message_read_basic(m, 'b', &truth);
                if (r >= 0)
                        *(bool *)target = truth;
                break;
        default:
                r = sd_bus_message_read_basic(m, candidate_keys[i].type, &number);
                if (r >= 0)
                        *(int64_t *)target =
                                        candidate_keys[i].type == 'i' ? (int64_t)number.i : (int64_t)number.u;
        }

        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int candidate_read(sd_bus_message *m, Candidate *c)
{
        const char *path;
        int r;

        r = sd_bus_message_read_basic(m, 'o', &path);
        if (r < 0)
                return r;

        c->path = g_strdup(path);

        r = value_read_dictionary(m, candidate_read_value, c);

        return r >= 0 && !c->gpu ? -EBADMSG : r;
}

static int place_read(sd_bus_message *m, const char **ret_strategy, GArray *candidates)
{
        const char *path;
        int r;

        r = sd_bus_message_read(m, "os", &path, ret_strategy);
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "(oa{sv})");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'r', "oa{sv}")) > 0) {
                Candidate c = { .room = -1,
                                .available = -1,
                                .promised = -1,
                                .spare = -1,
                                .instances = -1,
                                .numa_node = -1,
                                .distance = -1 };

                r = candidate_read(m, &c);
                g_array_append_val(candidates, c);

                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }

        return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* ---- output ---- */

/* Return the GPU on which create would run, or wait for a job: the first candidate, or NULL. */
static const Candidate *place_find_chosen(const GArray *candidates)
{
        const Candidate *first = candidates->len > 0 ? &g_array_index(candidates, Candidate, 0) : NULL;

        return first && (first->fits || first->would_wait) ? first : NULL;
}

static void place_print_json(const Arguments *a, const char *type, const char *strategy,
                             const GArray *candidates)
{
        const Candidate *chosen = place_find_chosen(candidates);
        Json j = json_new(false);

        json_object(&j, NULL);
        json_string(&j, "gpu", chosen ? chosen->gpu : NULL);
        json_string(&j, "type", type);
        json_u64(&j, "count", a->count);
        json_string(&j, "strategy", strategy);
        json_array(&j, "candidates");

        for (unsigned i = 0; i < candidates->len; i++) {
                const Candidate *c = &g_array_index(candidates, Candidate, i);

                json_object(&j, NULL);
                json_string(&j, "gpu", c->gpu);
                json_string(&j, "object_path", c->path);
                json_string(&j, "type", c->type);
                json_bool(&j, "fits", c->fits);
                json_bool(&j, "would_wait", c->would_wait);
                json_string(&j, "reason", c->reason);
                json_string(&j, "reason_id", c->reason_id);
                json_string(&j, "hint", c->hint);
                json_string(&j, "hint_id", c->hint_id);
                json_string(&j, "error", c->error);
                json_number(&j, "room", c->room);
                json_number(&j, "available", c->available);
                json_number(&j, "promised", c->promised);
                json_number(&j, "spare", c->spare);
                json_number(&j, "instances", c->instances);
                json_number(&j, "numa_node", c->numa_node);
                json_number(&j, "distance", c->distance);
                json_object_end(&j);
        }

        json_array_end(&j);
        json_object_end(&j);
        json_print(&j, stdout);
}

static void place_print(const Arguments *a, const GArray *candidates)
{
        static const Column columns[] = {
                { "GPU", 0 },
                { "RANK", COLUMN_RIGHT },
                { "ROOM", COLUMN_RIGHT },
                { "AVAILABLE", COLUMN_RIGHT },
                { "PROMISED", COLUMN_RIGHT },
                { "SPARE", COLUMN_RIGHT },
                { "INSTANCES", COLUMN_RIGHT },
                { "NUMA", COLUMN_RIGHT },
                { "STEPS", COLUMN_RIGHT }, /* the last column: only with --near */
        };
        _cleanup_table_ Table *t = table_new(columns, G_N_ELEMENTS(columns) - (a->near ? 0 : 1));

        for (unsigned i = 0; i < candidates->len; i++) {
                const Candidate *c = &g_array_index(candidates, Candidate, i);
                const int64_t numbers[] = { c->room, c->available, c->promised, c->spare, c->instances };
                Tone tone = c->fits ? i == 0 ? TONE_GOOD : TONE_PLAIN : TONE_DIM;

                table_add(t, c->gpu, tone);
                table_take(t, format_number(c->fits ? (int64_t)i + 1 : -1), tone);

                for (size_t n = 0; n < G_N_ELEMENTS(numbers); n++)
                        table_take(t, format_number(c->type ? numbers[n] : -1),
                                   tone); /* a GPU without the type has no numbers */

                table_take(t, format_number(c->numa_node), tone);
                if (a->near)
                        table_take(t, format_number(c->distance), tone);
        }

        table_print(t, 0, a->legend);

        /* Reasons are too long for a column. */
        for (unsigned i = 0; i < candidates->len; i++) {
                const Candidate *c = &g_array_index(candidates, Candidate, i);
                g_autofree char *head = g_strconcat(c->gpu, ":", NULL);
                g_autofree char *text = g_strconcat(
                                c->reason ? c->reason : "the daemon gives no reason",
                                c->would_wait ? "; a job in progress on the GPU may leave more room, and create would wait for the job"
                                              : "",
                                NULL);

                if (!c->fits)
                        print_reason(2, head, text, c->hint);
        }
}

/* The error that create would have: the error of the first candidate. */
static VgpudErrorCode place_find_error(const GArray *candidates)
{
        const Candidate *first = candidates->len > 0 ? &g_array_index(candidates, Candidate, 0) : NULL;
        VgpudErrorCode code =
                        first && first->error ? vgpud_error_code_from_dbus(first->error) : VGPUD_ERROR_NONE;

        return code != VGPUD_ERROR_NONE ? code : VGPUD_ERROR_NO_CAPACITY;
}

static int place_answered(const Client *c, sd_bus_message *answer, const char *type)
{
        const Arguments *a = c->args;
        g_autoptr(GArray) candidates = g_array_new(false, false, sizeof(Candidate));
        const char *strategy;
        int r;

        g_array_set_clear_func(candidates, candidate_clear);

        r = place_read(answer, &strategy, candidates);
        if (r < 0)
                return client_unreadable(c, r);

        if (a->json)
                place_print_json(a, type, strategy, candidates);
        else if (!a->quiet)
                place_print(a, candidates);
        else if (place_find_chosen(candidates))
                print_name(place_find_chosen(candidates)->gpu);

        if (place_find_chosen(candidates))
                return 0;

        return a->count > 1 ? fail(a, place_find_error(candidates), type,
                                   "No GPU can take %" G_GUINT32_FORMAT " of %s", a->count, type)
                            : fail(a, place_find_error(candidates), type, "No GPU can take %s", type);
}

static int place_ask(Client *c, const char *type, const char *near)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *answer = NULL;
        g_autofree char *asked = g_strdup_printf("Could not find a GPU for %s", type);
        _cleanup_error_info_ ErrorInfo error = { 0 };
        int r, status = 0;

        m = client_call_new(c, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "Place", &status);
        if (!m)
                return status;

        r = place_build(m, c->args, type, near);
        if (r < 0)
                return client_not_sent(c, r);

        if (!client_call(c, m, &answer, &error))
                return client_failed(c, &error, type, asked);

        status = place_answered(c, answer, type);
        client_remark_config(c);

        return status;
}

static int place_run(const Arguments *a)
{
        const char *type = a->n_words > 0 ? a->words[0] : a->type;
        _cleanup_host_ Host *h = host_new();
        _cleanup_client_ Client c = { 0 };
        g_autofree char *near = NULL;
        int status;

        g_assert(a->n_words <= 1);

        if (!type || !*type)
                return fail_usage(a, "place needs a type; \"vgpuctl types\" lists them");

        if (a->n_words > 0 && a->type && strcmp(a->type, type) != 0)
                return fail_usage(a, "place looks for one type at a time, not \"%s\" and \"%s\"", type,
                                  a->type);

        status = client_open(&c, a);
        if (status == 0)
                status = near_resolve(&c, h, &near);

        return status != 0 ? status : place_ask(&c, type, near);
}

const VerbInfo verb_place = {
        .name = "place",
        .words = "TYPE",
        .most_words = 1,
        .options = OPTION_TYPE | OPTION_COUNT | OPTION_DRY_RUN | PLACE_OPTIONS,
        .run = place_run,
        .text = "Show the GPU that create would use, and why",
};
