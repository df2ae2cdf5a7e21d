/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dbus/message/bus-error.h"

#include <string.h>

#include "dbus/message/bus-util.h"

static const sd_bus_error_map error_map[] = {
#define X(id, name, eno, exit_status, text) SD_BUS_ERROR_MAP(VGPUD_ERROR_DBUS_PREFIX name, eno),
        VGPUD_ERRORS(X)
#undef X
                        SD_BUS_ERROR_MAP_END,
};

int bus_error_register(void)
{
        int r = sd_bus_error_add_map(error_map);

        return r < 0 ? r : 0;
}

/* ---- texts ---- */

char *bus_error_cut(const char *text, size_t max)
{
        static const char ellipsis[] = "…";
        char *valid = g_utf8_make_valid(text, -1);
        size_t n = max - strlen(ellipsis);

        g_assert(max > sizeof ellipsis);

        if (strlen(valid) <= max)
                return valid;

        while (n > 0 && ((unsigned char)valid[n] & 0xc0) == 0x80)
                n--;
        memcpy(valid + n, ellipsis, sizeof ellipsis);

        return valid;
}

static VgpudErrorCode error_code(int r, const VgpudError *e)
{
        return e && e->code != VGPUD_ERROR_NONE ? e->code : vgpud_error_code_from_errno(r);
}

static char *error_message(int r, const VgpudError *e)
{
        return bus_error_cut(e && e->message ? e->message : g_strerror(ABS(r)), BUS_ERROR_TEXT_MAX);
}

static void error_shorten(char **text, size_t max)
{
        char *cut = bus_error_cut(*text, max);

        g_free(*text);
        *text = cut;
}

void bus_error_cut_texts(const VgpudError *e, size_t lists, BusErrorTexts *ret, size_t *ret_size)
{
        size_t room = BUS_ERROR_SIZE_MAX - BUS_ERROR_SIZE_REST - lists, message, hint;

        g_assert(lists < BUS_ERROR_SIZE_MAX - BUS_ERROR_SIZE_REST);

        *ret = (BusErrorTexts){
                .message = bus_error_cut(e->message ? e->message : "", BUS_ERROR_TEXT_MAX),
                .hint = e->hint.text ? bus_error_cut(e->hint.text, BUS_ERROR_TEXT_MAX) : NULL,
                .hint_id = e->hint.id,
        };
        message = strlen(ret->message);
        hint = ret->hint ? strlen(ret->hint) : 0;

        if (message + hint > room) {
                size_t most = room - MIN(MIN(message, hint), room / 2);

                error_shorten(&ret->message, MIN(most, BUS_ERROR_TEXT_MAX));
                if (ret->hint)
                        error_shorten(&ret->hint, MIN(most, BUS_ERROR_TEXT_MAX));
        }

        if (ret_size)
                *ret_size = BUS_ERROR_SIZE_REST + lists + strlen(ret->message) +
                            (ret->hint ? strlen(ret->hint) : 0);
}

void bus_error_texts_done(BusErrorTexts *texts)
{
        g_free(texts->message);
        g_free(texts->hint);
}

/* ---- the dictionary ---- */

int bus_error_append_hint(sd_bus_message *m, const VgpudHint *hint, size_t max)
{
        g_autofree char *text = NULL;
        int r;

        if (!hint->text)
                return 0;

        text = bus_error_cut(hint->text, max);
        r = bus_append_entry_string(m, "hint", text);
        if (r >= 0 && hint->id != VGPUD_HINT_NONE)
                r = bus_append_entry_string(m, "hint_id", vgpud_hint_id_to_string(hint->id));

        return r;
}

static int error_append_failure(sd_bus_message *m, const BusFailure *failure, size_t text_max)
{
        g_autofree char *path = bus_path_instance(failure->uuid);
        g_autofree char *message =
                        bus_error_cut(failure->error->message ? failure->error->message : "", text_max);
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = bus_append_entry(m, "instance", "o", path);
        if (r >= 0)
                r = bus_append_entry_string(m, "error_name", vgpud_error_code_to_dbus(failure->error->code));
        if (r >= 0)
                r = bus_append_entry_string(m, "message", message);
        if (r >= 0)
                r = bus_error_append_hint(m, &failure->error->hint, text_max);

        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* Upper bound of the size of a failure in the message, in bytes. */
static size_t error_failure_size(const BusFailure *failure, size_t text_max)
{
        const VgpudError *e = failure->error;

        return 320 + MIN(e->message ? strlen(e->message) : 0, text_max) +
               MIN(e->hint.text ? strlen(e->hint.text) : 0, text_max);
}

int bus_error_append_failures(sd_bus_message *m, const GPtrArray *failures, size_t text_max, size_t size)
{
        bool all = size == SIZE_MAX;
        int r;

        if (!failures || failures->len == 0)
                return 0;

        r = bus_open_entry(m, "failures", "aa{sv}");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "a{sv}");
        for (guint i = 0; r >= 0 && i < failures->len && (all || i < BUS_ERROR_FAILURES_MAX); i++) {
                const BusFailure *failure = failures->pdata[i];

                if (!all) {
                        size += error_failure_size(failure, text_max);
                        if (size > BUS_ERROR_SIZE_MAX)
                                break;
                }

                r = error_append_failure(m, failure, text_max);
        }

        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = bus_close_entry(m);

        return r < 0 ? r : bus_append_entry(m, "n_failures", "u", failures->len);
}

static int error_append_job_paths(sd_bus_message *m, const GPtrArray *jobs)
{
        int r;

        r = bus_open_entry(m, "jobs", "ao");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "o");
        for (guint i = 0; r >= 0 && i < jobs->len && i < BUS_ERROR_JOBS_MAX; i++) {
                g_autofree char *path = bus_path_job(GPOINTER_TO_UINT(jobs->pdata[i]));

                r = sd_bus_message_append_basic(m, 'o', path);
        }

        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = bus_close_entry(m);

        return r < 0 || jobs->len <= BUS_ERROR_JOBS_MAX ? r : bus_append_entry(m, "n_jobs", "u", jobs->len);
}

static size_t error_lists_size(const BusErrorJobs *jobs)
{
        return BUS_ERROR_SIZE_INSTANCE * MIN(jobs->uuids->len, BUS_INSTANCES_MAX) +
               (jobs->jobs ? BUS_ERROR_SIZE_JOB * MIN(jobs->jobs->len, BUS_ERROR_JOBS_MAX) : 0);
}

static int error_append_job(sd_bus_message *m, uint32_t id)
{
        g_autofree char *path = bus_path_job(id);

        return bus_append_entry(m, "job", "o", path);
}

static int error_append_jobs(sd_bus_message *m, const BusErrorJobs *jobs, size_t size)
{
        int r;

        r = error_append_job(m, jobs->job);
        if (r >= 0 && jobs->jobs)
                r = error_append_job_paths(m, jobs->jobs);
        if (r >= 0)
                r = bus_open_entry(m, "instances", "ao");
        if (r >= 0)
                r = bus_append_instance_paths(m, jobs->uuids, BUS_INSTANCES_MAX);
        if (r >= 0)
                r = bus_close_entry(m);
        if (r >= 0 && jobs->uuids->len > BUS_INSTANCES_MAX)
                r = bus_append_entry(m, "n_instances", "u", jobs->uuids->len);
        if (r < 0)
                return r;

        return bus_error_append_failures(m, jobs->failures, BUS_ERROR_FAILURE_TEXT_MAX, size);
}

/* ---- answers ---- */

/* Enter the options, which are the last argument. Skip the arguments before them. */
static int error_enter_options(sd_bus_message *call)
{
        const char *signature = sd_bus_message_get_signature(call, true);
        g_autofree char *before = NULL;
        int r;

        if (!signature || !g_str_has_suffix(signature, "a{sv}"))
                return -EBADMSG;

        before = g_strndup(signature, strlen(signature) - strlen("a{sv}"));
        r = sd_bus_message_rewind(call, true);
        if (r >= 0 && before[0])
                r = sd_bus_message_skip(call, before);

        return r < 0 ? r : sd_bus_message_enter_container(call, 'a', "{sv}");
}

/* Read one option. Returns 1 if the option is error_details, with its value in *ret, and 0 for another option.
 */
static int error_read_option(sd_bus_message *call, bool *ret)
{
        const char *key;
        int r, value;

        r = sd_bus_message_read_basic(call, 's', &key);
        if (r < 0)
                return r;

        if (strcmp(key, BUS_OPTION_ERROR_DETAILS) != 0) {
                r = sd_bus_message_skip(call, "v");
                return r < 0 ? r : 0;
        }

        r = sd_bus_message_read(call, "v", "b", &value);
        if (r < 0)
                return r;

        *ret = value;

        return 1;
}

/* True if the call has the option error_details exactly once, and its value is true. Reads the options from the
 * first, because bus_read_options() may have stopped at an invalid option. */
static bool error_wants_details(sd_bus_message *call)
{
        bool wanted = false;
        unsigned n = 0;
        int r;

        if (error_enter_options(call) < 0)
                return false;

        while ((r = sd_bus_message_enter_container(call, 'e', "sv")) > 0) {
                r = error_read_option(call, &wanted);
                if (r < 0)
                        return false;

                n += r;
                if (sd_bus_message_exit_container(call) < 0)
                        return false;
        }

        return r == 0 && n == 1 && wanted;
}

static void error_fill(sd_bus_error *ret_error, int r, const VgpudError *e)
{
        g_autofree char *message = error_message(r, e);
        g_autofree char *hint = e && e->hint.text ? bus_error_cut(e->hint.text, BUS_ERROR_TEXT_MAX) : NULL;
        g_autofree char *whole = g_strconcat(message, hint ? "\nHint: " : "", hint, NULL);

        g_assert(r < 0);

        sd_bus_error_set(ret_error, vgpud_error_code_to_dbus(error_code(r, e)), whole);
}

static int error_send_details(sd_bus_message *call, const VgpudError *e, const BusErrorJobs *jobs)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_bus_error_texts_ BusErrorTexts texts = { 0 };
        VgpudHint hint;
        sd_bus_error error;
        size_t size;
        int q;

        g_assert(e->code != VGPUD_ERROR_NONE);

        if (sd_bus_message_get_expect_reply(call) <= 0)
                return 0;

        bus_error_cut_texts(e, jobs ? error_lists_size(jobs) : 0, &texts, &size);
        hint = (VgpudHint){ texts.hint_id, texts.hint };
        error = SD_BUS_ERROR_MAKE_CONST(vgpud_error_code_to_dbus(e->code), texts.message);

        q = sd_bus_message_new_method_error(call, &reply, &error);
        if (q >= 0)
                q = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (q >= 0)
                q = bus_error_append_hint(reply, &hint, BUS_ERROR_TEXT_MAX);
        if (q >= 0 && jobs)
                q = error_append_jobs(reply, jobs, size);
        else if (q >= 0 && e->job != 0)
                q = error_append_job(reply, e->job);
        if (q >= 0)
                q = sd_bus_message_close_container(reply);

        return q < 0 ? q : sd_bus_send(NULL, reply, NULL);
}

int bus_error_answer(sd_bus_message *call, int r, const VgpudError *e, sd_bus_error *ret_error)
{
        int q;

        g_assert(r < 0);

        if (e->code == VGPUD_ERROR_NONE || !error_wants_details(call)) {
                error_fill(ret_error, r, e);
                return -vgpud_error_code_to_errno(error_code(r, e));
        }

        q = error_send_details(call, e, NULL);

        return q < 0 ? q : 1;
}

int bus_error_send(sd_bus_message *call, const VgpudError *e, const BusErrorJobs *jobs)
{
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r = -vgpud_error_code_to_errno(e->code);

        g_assert(e->code > VGPUD_ERROR_NONE && e->code < _VGPUD_ERROR_MAX);

        if (error_wants_details(call))
                return error_send_details(call, e, jobs);

        error_fill(&error, r, e);

        return sd_bus_reply_method_error(call, &error);
}
