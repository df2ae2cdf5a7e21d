/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Jobs for several instances, and the jobs that have ended. */

#include "daemon/work/finished.h"
#include "fixture.h"

#define GVT_G "0000:00:02.0"
#define UUID1 "11111111-2222-4333-8444-555555555555"

typedef struct Several {
        char uuids[4][UUID_STRLEN + 1]; /* indices 0, 2 and 3 are on mdpy, index 1 is on GVT-g */
        GPtrArray *instances;
} Several;

static void several_create(Several *s, Fixture *f)
{
        s->instances = g_ptr_array_new();
        for (size_t i = 0; i < G_N_ELEMENTS(s->uuids); i++) {
                const char *type = i == 1 ? "GVTg_V5_8" : "mdpy-vga";

                g_assert(fixture_create(f, REQUEST(.type = type), s->uuids[i]) == VGPUD_ERROR_NONE);
                g_ptr_array_add(s->instances, fixture_get(f, s->uuids[i]));
        }
}

static void several_done(Several *s)
{
        g_clear_pointer(&s->instances, g_ptr_array_unref);
}

static void start(Fixture *f)
{
        fixture_init(f);
        fixture_add(f, fake_add_mdpy(f->kernel));
        fixture_add(f, fake_add_gvt_g(f->kernel, GVT_G));
        fixture_start(f);
}

static void assert_details(const JobDetail *details, size_t n, const char *expected)
{
        g_autoptr(GString) text = g_string_new(NULL);

        for (size_t i = 0; i < n; i++)
                switch (details[i].kind) {
                case JOB_DETAIL_TEXT:
                        g_string_append_printf(text, "%s=%s ", details[i].name, details[i].text);
                        break;
                case JOB_DETAIL_NUMBER:
                        g_string_append_printf(text, "%s=%u ", details[i].name, (unsigned)details[i].number);
                        break;
                case JOB_DETAIL_FLAG:
                        g_string_append_printf(text, "%s ", details[i].name);
                        break;
                }

        ASSERT_STREQ(text->str, expected);
}

/* A request queues one job for each GPU. Jobs and their UUIDs have the order of the arguments. */
static void test_destroy_many(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_(several_done) Several s = { 0 };
        Outcome outcomes[2] = { 0 };
        g_autoptr(GPtrArray) jobs = NULL;
        JobDetail details[JOB_DETAILS_MAX];
        Job *job;

        start(&f);
        several_create(&s, &f);
        ASSERT_OK(request_destroy_many(f.model, s.instances, true, 1000, &jobs, NULL));
        ASSERT_EQ(jobs->len, 2);

        job = jobs->pdata[0];
        ASSERT_STREQ(job->gpu_name, "mdpy");
        ASSERT_EQ(job->uuids->len, 3);
        ASSERT_STREQ(job->uuids->pdata[0], s.uuids[0]);
        ASSERT_STREQ(job->uuids->pdata[1], s.uuids[2]);
        ASSERT_STREQ(job->uuids->pdata[2], s.uuids[3]);
        assert_details(details, job_describe(job, details), "type=mdpy-vga count=3 foreign ");
        ASSERT_STREQ(((const Job *)jobs->pdata[1])->gpu_name, GVT_G);

        for (guint i = 0; i < jobs->len; i++)
                outcome_of(&outcomes[i], jobs->pdata[i]);
        for (guint i = 0; i < jobs->len; i++) {
                ASSERT_TRUE(fixture_wait(&f, outcome_is_known, &outcomes[i]));
                ASSERT_EQ(outcomes[i].code, VGPUD_ERROR_NONE);
        }

        ASSERT_EQ(g_hash_table_size(model_instances(f.model)), 0);
        ASSERT_EQ(fixture_count_records(&f), 0);
        outcome_done(&outcomes[0]);
        outcome_done(&outcomes[1]);
}

/* If one instance is refused, none is destroyed. */
static void test_destroy_many_refused(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_(several_done) Several s = { 0 };
        g_autoptr(GPtrArray) jobs = NULL, none = g_ptr_array_new();
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        Instance *foreign;

        start(&f);
        f.config->jobs_per_user = 1;
        several_create(&s, &f);
        ASSERT_ERROR(request_destroy_many(f.model, none, false, 0, &jobs, &error), EINVAL);
        g_ptr_array_add(s.instances, s.instances->pdata[0]);
        ASSERT_ERROR(request_destroy_many(f.model, s.instances, false, 0, &jobs, &error), EINVAL);
        g_ptr_array_set_size(s.instances, 4);

        foreign = s.instances->pdata[3];
        foreign->origin = INSTANCE_ORIGIN_FOREIGN;
        ASSERT_ERROR(request_destroy_many(f.model, s.instances, false, 0, &jobs, &error), EPERM);
        foreign->origin = INSTANCE_ORIGIN_VGPUD;

        /* this needs two jobs, but per-user= allows one */
        ASSERT_ERROR(request_destroy_many(f.model, s.instances, false, 1000, &jobs, &error), EDQUOT);
        model_get_gpu(f.model, GVT_G)->state = GPU_STUCK;
        ASSERT_ERROR(request_destroy_many(f.model, s.instances, false, 0, &jobs, &error), ETIMEDOUT);
        model_get_gpu(f.model, GVT_G)->state = GPU_READY;

        ASSERT_NULL(jobs);
        ASSERT_EQ(g_hash_table_size(model_jobs(f.model)), 0);
        ASSERT_EQ(g_hash_table_size(model_instances(f.model)), 4);
}

/* If one instance cannot be destroyed, the later instances are destroyed all the same, and the job names
 * each instance that is left. */
static void test_destroy_many_failures(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_(several_done) Several s = { 0 };
        _cleanup_outcome_ Outcome outcome = { 0 };
        g_autoptr(GPtrArray) jobs = NULL;
        g_autofree char *remove0 = NULL, *remove2 = NULL;
        const FinishedJob *ended;
        const VgpudError *error;
        sd_id128_t uuid;
        uint32_t id;

        start(&f);
        several_create(&s, &f);
        g_ptr_array_remove_index(s.instances, 1);
        remove0 = g_strconcat(fixture_get(&f, s.uuids[0])->desc->path, "/remove", NULL);
        remove2 = g_strconcat(fixture_get(&f, s.uuids[2])->desc->path, "/remove", NULL);
        fake_fail(f.kernel, "write", remove0, EIO);
        fake_fail(f.kernel, "write", remove2, EPERM);
        ASSERT_OK(request_destroy_many(f.model, s.instances, false, 1000, &jobs, NULL));
        ASSERT_EQ(jobs->len, 1);
        id = ((const Job *)jobs->pdata[0])->id;
        ASSERT_NULL(finished_get(f.model->finished, id));
        outcome_of(&outcome, jobs->pdata[0]);
        ASSERT_TRUE(fixture_wait(&f, outcome_is_known, &outcome));

        ASSERT_NOT_NULL(fixture_get(&f, s.uuids[0]));
        ASSERT_NOT_NULL(fixture_get(&f, s.uuids[2]));
        ASSERT_NULL(fixture_get(&f, s.uuids[3]));
        ended = finished_get(f.model->finished, id);
        ASSERT_NOT_NULL(ended);
        ASSERT_EQ(ended->result, JOB_FAILED);
        ASSERT_EQ(ended->n_uuids, 3);
        ASSERT_EQ(ended->n_failures, 2);
        ASSERT_OK(sd_id128_from_string(s.uuids[2], &uuid));
        ASSERT_TRUE(sd_id128_equal(ended->failures[1].uuid, uuid));
        error = &ended->failures[0].error;
        ASSERT_EQ(error->errnum, EIO);
        ASSERT_EQ(ended->failures[1].error.errnum, EPERM);
        ASSERT_EQ(ended->error.code, error->code);
        ASSERT_STREQ(ended->error.message, error->message);
        ASSERT_EQ(outcome.code, error->code);
        assert_details(ended->details, ended->n_details, "type=mdpy-vga count=3 ");
}

/* A job for one instance has an error, but no list of failures. */
static void test_finished(void)
{
        _cleanup_fixture_ Fixture f;
        char uuid[UUID_STRLEN + 1], ended_uuid[SD_ID128_UUID_STRING_MAX];
        g_autofree char *attribute = NULL;
        const FinishedJob *ended;

        start(&f);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "mdpy-vga", .requester = 1000), uuid), VGPUD_ERROR_NONE);
        attribute = g_strconcat(fixture_get(&f, uuid)->desc->path, "/remove", NULL);
        fake_fail(f.kernel, "write", attribute, EIO);
        ASSERT_EQ(fixture_destroy(&f, uuid, 0), VGPUD_ERROR_FAILED);

        ended = finished_get(f.model->finished, 1);
        ASSERT_NOT_NULL(ended);
        ASSERT_STREQ(ended->kind, "create");
        ASSERT_STREQ(ended->gpu_name, "mdpy");
        ASSERT_EQ(ended->result, JOB_DONE);
        ASSERT_EQ(ended->error.code, VGPUD_ERROR_NONE);
        ASSERT_EQ(ended->requester, 1000);
        ASSERT_EQ(ended->n_uuids, 1);
        ASSERT_STREQ(sd_id128_to_uuid_string(ended->uuids[0], ended_uuid), uuid);
        ASSERT_TRUE(ended->created_usec > 0 && ended->started_usec >= ended->created_usec &&
                    ended->ended_usec >= ended->started_usec);
        assert_details(ended->details, ended->n_details, "type=mdpy-vga count=1 ");

        ended = finished_get(f.model->finished, 2);
        ASSERT_NOT_NULL(ended);
        ASSERT_EQ(ended->result, JOB_FAILED);
        ASSERT_EQ(ended->error.errnum, EIO);
        ASSERT_EQ(ended->n_failures, 0);
        ASSERT_NULL(finished_get(f.model->finished, 0));
        ASSERT_NULL(finished_get(f.model->finished, 3));
        ASSERT_NULL(finished_get(NULL, 1));
}

static const JobKindInfo fake_kind = { .name = "fake", .size = sizeof(Job) };

static Job fake_job(uint32_t id, GPtrArray *uuids, char *message)
{
        return (Job){
                .kind = &fake_kind,
                .id = id,
                .state = JOB_FAILED,
                .gpu_name = (char *)"mdpy",
                .uuids = uuids,
                .error = { .code = VGPUD_ERROR_FAILED, .message = message },
        };
}

/* The ring keeps the jobs added last, lists them by number, and cuts long texts between two characters. The
 * test adds the jobs with descending numbers, so the order of the list differs from the order of adding. */
static void test_ring(void)
{
        Finished *finished = finished_new();
        g_autoptr(GPtrArray) uuids = g_ptr_array_new(), list = NULL;
        g_autoptr(GString) text = g_string_new("x");
        const FinishedJob *ended;

        while (text->len < 2 * FINISHED_TEXT_MAX)
                g_string_append(text, "\u00e4");
        g_ptr_array_add(uuids, (gpointer)UUID1);
        for (uint32_t id = FINISHED_MAX + 1; id > 0; id--) {
                Job job = fake_job(id, uuids, text->str);

                finished_add(finished, &job);
        }

        ASSERT_NULL(finished_get(finished, FINISHED_MAX + 1));
        list = finished_list(finished);
        ASSERT_EQ(list->len, FINISHED_MAX);

        for (guint i = 0; i < list->len; i++)
                ASSERT_EQ(((const FinishedJob *)list->pdata[i])->id, i + 1);

        ended = finished_get(finished, 7);
        ASSERT_TRUE(strlen(ended->error.message) <= FINISHED_TEXT_MAX);
        ASSERT_TRUE(strlen(ended->error.message) > FINISHED_TEXT_MAX - 3);
        ASSERT_TRUE(g_utf8_validate(ended->error.message, -1, NULL));
        ASSERT_TRUE(g_str_has_suffix(ended->error.message, "\u00e4\u2026"));
        finished_free(finished);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_destroy_many);
        TEST(test_destroy_many_refused);
        TEST(test_destroy_many_failures);
        TEST(test_finished);
        TEST(test_ring);

        return tests_end();
}
