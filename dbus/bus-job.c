/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dbus/bus-job.h"

#include <inttypes.h>
#include <string.h>

#include "daemon/model/model.h"
#include "daemon/work/queue.h"
#include "dbus/bus-authz.h"
#include "dbus/bus-request.h"
#include "dbus/bus.h"
#include "dbus/message/bus-error.h"
#include "dbus/message/bus-util.h"

/* ---- properties ---- */

BUS_DEFINE_GETTER(property_get_id, Job, job, "u", job->id)
BUS_DEFINE_TEXT_GETTER(property_get_kind, Job, job, job->kind->name)
/* A job may end before the event loop gets to announcing it. The announcement then shows the job as running. */
BUS_DEFINE_TEXT_GETTER(property_get_state, Job, job,
                       job_state_to_string(job->state > JOB_STUCK ? JOB_RUNNING : job->state))
BUS_DEFINE_PATH_GETTER(property_get_gpu, Job, job, bus_path_gpu(job->gpu_name))
BUS_DEFINE_GETTER(property_get_requester, Job, job, "u", job->requester)
BUS_DEFINE_GETTER(property_get_created_usec, Job, job, "t", job->created_usec)
BUS_DEFINE_GETTER(property_get_started_usec, Job, job, "t", job->started_usec)

static int property_get_instances(sd_bus *bus, const char *path, const char *interface, const char *property,
                                  sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        const Job *job = userdata;

        return bus_append_instance_paths(reply, job->uuids, BUS_INSTANCES_MAX);
}

static int job_append_detail(sd_bus_message *m, const JobDetail *detail)
{
        switch (detail->kind) {
        case JOB_DETAIL_TEXT:
                return bus_append_entry_string(m, detail->name, detail->text);
        case JOB_DETAIL_NUMBER:
                return bus_append_entry(m, detail->name, "u", (uint32_t)detail->number);
        case JOB_DETAIL_FLAG:
                return bus_append_entry(m, detail->name, "b", true);
        default:
                g_assert_not_reached();
        }
}

static int job_append_details(sd_bus_message *m, const JobDetail *details, size_t n)
{
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");

        for (size_t i = 0; r >= 0 && i < n; i++)
                r = job_append_detail(m, &details[i]);

        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int property_get_details(sd_bus *bus, const char *path, const char *interface, const char *property,
                                sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        JobDetail details[JOB_DETAILS_MAX];
        size_t n = job_describe(userdata, details);

        return job_append_details(reply, details, n);
}

char *bus_job_path(const void *job)
{
        return bus_path_job(((const Job *)job)->id);
}

/* ---- descriptions ---- */

/* The data that the bus shows of a job, live or ended. */
typedef struct JobView {
        uint32_t id;
        const char *kind, *state, *gpu_name;
        const char *result;   /* NULL: not ended */
        GPtrArray *uuids;     /* char *, owned */
        size_t max_instances; /* largest number of instances to append */
        uid_t requester;
        uint64_t created_usec, started_usec, ended_usec;
        JobDetail details[JOB_DETAILS_MAX];
        size_t n_details;
        const VgpudError *error; /* NULL: none */
        BusErrorTexts error_texts;
        GPtrArray *failures; /* BusFailure, owned */
        GPtrArray *texts;    /* char *, owned: the UUIDs of the failures */
} JobView;

static JobView *job_view_new(const JobView *template)
{
        JobView *v = g_new(JobView, 1);

        *v = *template;
        v->max_instances = BUS_INSTANCES_MAX;
        v->failures = g_ptr_array_new_with_free_func(g_free);
        v->texts = g_ptr_array_new_with_free_func(g_free);

        return v;
}

static void job_view_free(void *p)
{
        JobView *v = p;

        bus_error_texts_done(&v->error_texts);
        g_ptr_array_unref(v->uuids);
        g_ptr_array_unref(v->failures);
        g_ptr_array_unref(v->texts);
        g_free(v);
}

static void job_view_freep(JobView **v)
{
        job_view_free(*v);
}
#define _cleanup_job_view_ _cleanup_(job_view_freep)

static JobView *job_view_live(const Job *job)
{
        JobView *v;

        g_assert(job->state <= JOB_STUCK);

        v = job_view_new(&(JobView){
                        .id = job->id,
                        .kind = job->kind->name,
                        .state = job_state_to_string(job->state),
                        .gpu_name = job->gpu_name,
                        .uuids = g_ptr_array_ref(job->uuids),
                        .requester = job->requester,
                        .created_usec = job->created_usec,
                        .started_usec = job->started_usec,
        });
        v->n_details = job_describe(job, v->details);

        return v;
}

static char *job_uuid_to_string(sd_id128_t uuid)
{
        char *s = g_malloc(SD_ID128_UUID_STRING_MAX);

        return sd_id128_to_uuid_string(uuid, s);
}

static JobView *job_view_ended(const FinishedJob *f)
{
        JobView *v = job_view_new(&(JobView){
                        .id = f->id,
                        .kind = f->kind,
                        .state = "ended",
                        .result = job_state_to_string(f->result),
                        .gpu_name = f->gpu_name,
                        .uuids = g_ptr_array_new_with_free_func(g_free),
                        .requester = f->requester,
                        .created_usec = f->created_usec,
                        .started_usec = f->started_usec,
                        .ended_usec = f->ended_usec,
                        .error = f->error.code != VGPUD_ERROR_NONE ? &f->error : NULL,
        });

        if (v->error)
                bus_error_cut_texts(v->error, 0, &v->error_texts, NULL);
        for (size_t i = 0; i < f->n_uuids; i++)
                g_ptr_array_add(v->uuids, job_uuid_to_string(f->uuids[i]));
        for (size_t i = 0; i < f->n_failures; i++) {
                BusFailure *failure = g_new(BusFailure, 1);
                char *uuid = job_uuid_to_string(f->failures[i].uuid);

                g_ptr_array_add(v->texts, uuid);
                *failure = (BusFailure){ .uuid = uuid, .error = &f->failures[i].error };
                g_ptr_array_add(v->failures, failure);
        }

        memcpy(v->details, f->details, sizeof v->details);
        v->n_details = f->n_details;

        return v;
}

/* ---- keys and columns ---- */

static int job_append_path(sd_bus_message *m, const void *job)
{
        g_autofree char *path = bus_path_job(((const JobView *)job)->id);

        return sd_bus_message_append_basic(m, 'o', path);
}

static int job_append_gpu(sd_bus_message *m, const void *job)
{
        g_autofree char *path = bus_path_gpu(((const JobView *)job)->gpu_name);

        return sd_bus_message_append_basic(m, 'o', path);
}

static int job_append_instances(sd_bus_message *m, const void *job)
{
        const JobView *v = job;

        return bus_append_instance_paths(m, v->uuids, v->max_instances);
}

static int job_append_view_details(sd_bus_message *m, const void *job)
{
        const JobView *v = job;

        return job_append_details(m, v->details, v->n_details);
}

static bool job_has_hint(const JobView *v)
{
        return v->error && v->error->hint.text;
}

BUS_DEFINE_COLUMN(job_append_id, JobView, v, "u", v->id)
BUS_DEFINE_TEXT_COLUMN(job_append_kind, JobView, v, v->kind)
BUS_DEFINE_TEXT_COLUMN(job_append_state, JobView, v, v->state)
BUS_DEFINE_TEXT_COLUMN(job_append_result, JobView, v, v->result)
BUS_DEFINE_COLUMN(job_append_n_instances, JobView, v, "u", v->uuids->len)
BUS_DEFINE_COLUMN(job_append_requester, JobView, v, "u", v->requester)
BUS_DEFINE_COLUMN(job_append_created_usec, JobView, v, "t", v->created_usec)
BUS_DEFINE_COLUMN(job_append_started_usec, JobView, v, "t", v->started_usec)
BUS_DEFINE_COLUMN(job_append_ended_usec, JobView, v, "t", v->ended_usec)
BUS_DEFINE_TEXT_COLUMN(job_append_error_name, JobView, v,
                       v->error ? vgpud_error_code_to_dbus(v->error->code) : NULL)
BUS_DEFINE_TEXT_COLUMN(job_append_message, JobView, v, v->error_texts.message)
BUS_DEFINE_TEXT_COLUMN(job_append_hint, JobView, v, v->error_texts.hint)
BUS_DEFINE_TEXT_COLUMN(job_append_hint_id, JobView, v,
                       v->error ? vgpud_hint_id_to_string(v->error->hint.id) : NULL)
BUS_DEFINE_COLUMN(job_append_n_failures, JobView, v, "u", v->failures->len)

enum {
        JOB_COLUMN_ID,
        JOB_COLUMN_OBJECT_PATH,
        JOB_COLUMN_KIND,
        JOB_COLUMN_STATE,
        JOB_COLUMN_RESULT,
        JOB_COLUMN_GPU,
        JOB_COLUMN_INSTANCES,
        JOB_COLUMN_N_INSTANCES,
        JOB_COLUMN_REQUESTER,
        JOB_COLUMN_CREATED_USEC,
        JOB_COLUMN_STARTED_USEC,
        JOB_COLUMN_ENDED_USEC,
        JOB_COLUMN_DETAILS,
        JOB_COLUMN_ERROR_NAME,
        JOB_COLUMN_MESSAGE,
        JOB_COLUMN_HINT,
        JOB_COLUMN_HINT_ID,
        JOB_COLUMN_N_FAILURES,
        _JOB_COLUMN_MAX,
};

static const BusColumn job_columns[_JOB_COLUMN_MAX] = {
        [JOB_COLUMN_ID] = { "id", "u", job_append_id },
        [JOB_COLUMN_OBJECT_PATH] = { "object_path", "o", job_append_path },
        [JOB_COLUMN_KIND] = { "kind", "s", job_append_kind },
        [JOB_COLUMN_STATE] = { "state", "s", job_append_state },
        [JOB_COLUMN_RESULT] = { "result", "s", job_append_result },
        [JOB_COLUMN_GPU] = { "gpu", "o", job_append_gpu },
        [JOB_COLUMN_INSTANCES] = { "instances", "ao", job_append_instances },
        [JOB_COLUMN_N_INSTANCES] = { "n_instances", "u", job_append_n_instances },
        [JOB_COLUMN_REQUESTER] = { "requester", "u", job_append_requester },
        [JOB_COLUMN_CREATED_USEC] = { "created_usec", "t", job_append_created_usec },
        [JOB_COLUMN_STARTED_USEC] = { "started_usec", "t", job_append_started_usec },
        [JOB_COLUMN_ENDED_USEC] = { "ended_usec", "t", job_append_ended_usec },
        [JOB_COLUMN_DETAILS] = { "details", "a{sv}", job_append_view_details },
        [JOB_COLUMN_ERROR_NAME] = { "error_name", "s", job_append_error_name },
        [JOB_COLUMN_MESSAGE] = { "message", "s", job_append_message },
        [JOB_COLUMN_HINT] = { "hint", "s", job_append_hint },
        [JOB_COLUMN_HINT_ID] = { "hint_id", "s", job_append_hint_id },
        [JOB_COLUMN_N_FAILURES] = { "n_failures", "u", job_append_n_failures },
};

/* True if the key applies to the job. The key n_failures is not decided here, because job_append_failures()
 * appends it. */
static bool job_has_key(const JobView *v, unsigned column)
{
        switch (column) {
        case JOB_COLUMN_RESULT:
        case JOB_COLUMN_ENDED_USEC:
                return v->result;
        case JOB_COLUMN_STARTED_USEC:
                return v->started_usec > 0;
        case JOB_COLUMN_ERROR_NAME:
                return v->error;
        case JOB_COLUMN_MESSAGE:
                return v->error && v->error->message;
        case JOB_COLUMN_HINT:
                return job_has_hint(v);
        case JOB_COLUMN_HINT_ID:
                return job_has_hint(v) && v->error->hint.id != VGPUD_HINT_NONE;
        case JOB_COLUMN_N_FAILURES:
                return false;
        default:
                return true;
        }
}

/* True if JobRemoved leaves the key out, because the arguments of the signal or earlier signals told it. GetJob
 * still has the key. */
static bool job_is_told_by_signal(const JobView *v, unsigned column)
{
        switch (column) {
        case JOB_COLUMN_ID:
        case JOB_COLUMN_OBJECT_PATH:
        case JOB_COLUMN_STATE:
        case JOB_COLUMN_RESULT:
        case JOB_COLUMN_ERROR_NAME:
        case JOB_COLUMN_REQUESTER:
        case JOB_COLUMN_CREATED_USEC:
        case JOB_COLUMN_DETAILS:
                return true;
        case JOB_COLUMN_N_INSTANCES:
                return v->uuids->len <= v->max_instances;
        default:
                return false;
        }
}

static int job_append_key(sd_bus_message *m, const JobView *v, const BusColumn *column)
{
        int r;

        r = bus_open_entry(m, column->name, column->signature);
        if (r >= 0)
                r = column->append(m, v);

        return r < 0 ? r : bus_close_entry(m);
}

static int job_append_failures(sd_bus_message *m, const JobView *v, bool is_signal, size_t size)
{
        if (!is_signal)
                return bus_error_append_failures(m, v->failures, BUS_ERROR_TEXT_MAX, SIZE_MAX);

        return bus_error_append_failures(m, v->failures, BUS_ERROR_FAILURE_TEXT_MAX, size);
}

/* Cut the texts so that the signal stays within its limit. Returns the size of the signal without the failures.
 */
static size_t job_cut_for_signal(JobView *v)
{
        g_autofree char *gpu = bus_path_gpu(v->gpu_name);
        size_t lists = BUS_ERROR_SIZE_INSTANCE * MIN(v->uuids->len, v->max_instances) + strlen(gpu), size;

        if (!v->error)
                return BUS_ERROR_SIZE_REST + lists;

        bus_error_texts_done(&v->error_texts);
        bus_error_cut_texts(v->error, lists, &v->error_texts, &size);

        return size;
}

static int job_append_view(sd_bus_message *m, JobView *v, bool is_signal)
{
        size_t size;
        int r;

        v->max_instances = is_signal ? BUS_INSTANCES_MAX : SIZE_MAX;
        size = is_signal ? job_cut_for_signal(v) : SIZE_MAX;

        r = sd_bus_message_open_container(m, 'a', "{sv}");

        for (unsigned c = 0; r >= 0 && c < _JOB_COLUMN_MAX; c++)
                if (job_has_key(v, c) && !(is_signal && job_is_told_by_signal(v, c)))
                        r = job_append_key(m, v, &job_columns[c]);

        if (r >= 0)
                r = job_append_failures(m, v, is_signal, size);

        return r < 0 ? r : sd_bus_message_close_container(m);
}

int bus_job_append_live(sd_bus_message *m, const Job *job)
{
        _cleanup_job_view_ JobView *v = job_view_live(job);

        return job_append_view(m, v, false);
}

int bus_job_append_ended(sd_bus_message *m, const FinishedJob *job)
{
        _cleanup_job_view_ JobView *v = job_view_ended(job);

        return job_append_view(m, v, false);
}

int bus_job_append_removed(sd_bus_message *m, const FinishedJob *job)
{
        _cleanup_job_view_ JobView *v = job_view_ended(job);

        return job_append_view(m, v, true);
}

static gint job_compare_views(gconstpointer a, gconstpointer b)
{
        uint32_t x = (*(JobView *const *)a)->id, y = (*(JobView *const *)b)->id;

        return (x > y) - (x < y);
}

int bus_job_append_table(sd_bus_message *m, Model *model, bool with_ended)
{
        g_autoptr(GPtrArray) views = g_ptr_array_new_with_free_func(job_view_free);
        g_autoptr(GPtrArray) ended = with_ended ? finished_list(model->finished) : g_ptr_array_new();
        GHashTableIter iter;
        void *job;

        for (guint i = 0; i < ended->len; i++)
                g_ptr_array_add(views, job_view_ended(ended->pdata[i]));
        g_hash_table_iter_init(&iter, model_jobs(model));
        while (g_hash_table_iter_next(&iter, NULL, &job))
                g_ptr_array_add(views, job_view_live(job));
        g_ptr_array_sort(views, job_compare_views);

        return bus_append_table(m, job_columns, G_N_ELEMENTS(job_columns), views);
}

/* ---- the interface ---- */

static int method_cancel(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        Job *job = userdata;
        Bus *b = bus_of_call(call);
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        uid_t uid;
        int r;

        r = bus_request_identify(b, call, &uid, ret_error);
        if (r != 0)
                return r;

        r = bus_read_options(call, NULL, 0, &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);

        if (uid != job->requester) {
                g_autofree char *id = g_strdup_printf("%" PRIu32, job->id);
                g_autofree char *owner = g_strdup_printf("%" PRIu32, (uint32_t)job->requester);
                JobDetail type;
                bool has_type = job_get_detail(job, "type", &type);
                const char *details[] = {
                        "gpu",   job->gpu_name, "type", has_type ? type.text : "", "job", id,
                        "owner", owner,         NULL,
                };

                const BusAuthzQuestion question = { POLKIT_CANCEL_JOB, details };

                r = bus_authz_check(b->authz, call, uid, &question, 1, &e);
                if (r < 0)
                        return bus_error_answer(call, r, &e, ret_error);
                if (r == 0)
                        return 1;
        }

        g_assert(model_get_job(b->model, job->id) == job);

        r = queue_cancel(job, &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);

        return sd_bus_reply_method_return(call, NULL);
}

static const BusChange job_changes[] = {
        { BUS_JOB_CHANGED, "State" },
        { BUS_JOB_CHANGED, "StartedUsec" },
};

char **bus_job_properties(unsigned changes)
{
        return bus_changed_properties(job_changes, G_N_ELEMENTS(job_changes), changes);
}

const sd_bus_vtable bus_job_vtable[] = {
        SD_BUS_VTABLE_START(0),
        BUS_PROPERTY_CONST("Id", "u", property_get_id),
        BUS_PROPERTY_CONST("Kind", "s", property_get_kind),
        BUS_PROPERTY_CHANGES("State", "s", property_get_state),
        BUS_PROPERTY_CONST("Gpu", "o", property_get_gpu),
        BUS_PROPERTY_CONST("Instances", "ao", property_get_instances),
        BUS_PROPERTY_CONST("Requester", "u", property_get_requester),
        BUS_PROPERTY_CONST("CreatedUsec", "t", property_get_created_usec),
        BUS_PROPERTY_CHANGES("StartedUsec", "t", property_get_started_usec),
        BUS_PROPERTY_CONST("Details", "a{sv}", property_get_details),
        SD_BUS_METHOD_WITH_ARGS("Cancel", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT, method_cancel,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};
