/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/log.h"
#include "daemon/model/rules.h"
#include "daemon/work/finished.h"
#include "drivers-glue/type-find.h"
#include "fake-nvidia.h"
#include "fixture.h"

#define A      "0000:08:00.0"
#define B      "0000:09:00.0"
#define C      "0000:0a:00.0"
#define A_PATH "devices/pci0000:00/" A

#define NODE_HINTS(node, preferred) (&(PlaceHints){ .numa_node = (node), .preferred_numa_node = (preferred) })
#define HINTS(...)                  (&(PlaceHints){ .numa_node = -1, .preferred_numa_node = -1, __VA_ARGS__ })

static bool job_runs(Fixture *f, void *job)
{
        return ((const Job *)job)->state == JOB_RUNNING;
}

/* Starts the fixture with a configuration, and with GVT-g GPUs at the addresses. */
static void start(Fixture *f, const char *const *addresses, const char *config)
{
        fixture_init(f);
        scratch_file(&f->scratch, "vgpud.conf", config);
        config_read(f->config, f->scratch.path);

        for (; *addresses; addresses++)
                fixture_add(f, fake_add_gvt_g(f->kernel, *addresses));
        fixture_start(f);
}
#define START(f, config, ...) start(f, (const char *const[]){ __VA_ARGS__, NULL }, config)

/* Returns "A B | C", the GPUs in their order; GPUs that do not fit follow the bar. On an error, returns the
 * name of its code. */
static char *place(Fixture *f, const char *type, uint32_t count, const PlaceHints *hints)
{
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        _cleanup_place_ Place *p = NULL;
        GString *s = g_string_new(NULL);

        if (place_new(f->model, type, count, hints, 0, &p, &error) < 0) {
                g_string_assign(s, vgpud_error_code_to_dbus(error.code) + strlen(VGPUD_ERROR_DBUS_PREFIX));
                return g_string_free(s, FALSE);
        }

        for (size_t i = 0; i < p->placement->n; i++) {
                const PlacementRank *r = &p->placement->ranks[i];

                if (r->verdict != PLACEMENT_FITS && !strchr(s->str, '|'))
                        g_string_append(s, s->len > 0 ? " |" : "|");
                g_string_append_printf(s, "%s%s", s->len > 0 ? " " : "", r->candidate->gpu);
        }

        return g_string_free(s, FALSE);
}

#define ASSERT_PLACE(f, type, count, hints, expected)                   \
        do {                                                            \
                g_autofree char *_order = place(f, type, count, hints); \
                ASSERT_STREQ(_order, expected);                         \
        } while (0)

/* The hint of the last error. */
static VgpudHintId last_hint;

static char *create_error(Fixture *f, const CreateRequest *request, VgpudErrorCode code)
{
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        Job *job;

        if (request_create(f->model, request, &job, &error) >= 0)
                FAIL("job %u was made on %s", job->id, job->gpu_name);
        ASSERT_EQ(error.code, code);
        last_hint = error.hint.id;

        return g_steal_pointer(&error.message);
}

/* Checks that the create fails with the code, and that the message contains the fact. */
#define ASSERT_CREATE_ERROR(f, request, code, fact)                         \
        do {                                                                \
                g_autofree char *_message = create_error(f, request, code); \
                ASSERT_CONTAINS(_message, fact);                            \
        } while (0)

/* Returns the reason why the request does not fit on the GPU; PLACEMENT_REASON_NONE: it fits. */
static PlacementReason reason_on(Fixture *f, const char *type, uint32_t count, const PlaceHints *hints,
                                 const char *gpu)
{
        _cleanup_place_ Place *p = NULL;

        ASSERT_OK(place_new(f->model, type, count, hints, 0, &p, NULL));

        for (size_t i = 0; i < p->placement->n; i++)
                if (strcmp(p->placement->ranks[i].candidate->gpu, gpu) == 0)
                        return p->placement->ranks[i].reason_id;

        FAIL("%s is no candidate", gpu);
}

static void test_strategies(void)
{
        _cleanup_fixture_ Fixture f;
        char uuid[UUID_STRLEN + 1];

        START(&f, "", A, B, C);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "GVTg_V5_8", .gpu = B), uuid), VGPUD_ERROR_NONE);
        ASSERT_PLACE(&f, "GVTg_V5_8", 1, NULL, A " " C " " B);
        ASSERT_PLACE(&f, "i915-GVTg_V5_8", 1, HINTS(.strategy = "consolidated"), B " " A " " C);
        ASSERT_PLACE(&f, "GVTg_V5_8", 4, HINTS(.strategy = "depth"), A " " C " | " B);
        ASSERT_PLACE(&f, "GVTg_V5_8", 5, HINTS(.strategy = "performance"), "| " A " " C " " B);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "GVTg_V5_8", .hints = HINTS(.strategy = "depth")), uuid),
                  VGPUD_ERROR_NONE);
        ASSERT_STREQ(gpu_name(model_get_instance(f.model, uuid)->gpu), B);
        ASSERT_CREATE_ERROR(&f, REQUEST(.type = "GVTg_V5_8", .hints = HINTS(.strategy = "deep")),
                            VGPUD_ERROR_INVALID, "\"deep\"");
        ASSERT_CREATE_ERROR(&f, REQUEST(.type = "GVTg_V5_8", .gpu = A, .hints = HINTS(.strategy = "depth")),
                            VGPUD_ERROR_INVALID, A);
}

static void test_configured_strategy(void)
{
        _cleanup_fixture_ Fixture f;
        char uuid[UUID_STRLEN + 1];

        START(&f, "[placement]\nstrategy=depth\n", A, B);

        for (size_t i = 0; i < 3; i++) {
                ASSERT_EQ(fixture_create(&f, REQUEST(.type = "GVTg_V5_4"), uuid), VGPUD_ERROR_NONE);
                ASSERT_STREQ(gpu_name(model_get_instance(f.model, uuid)->gpu), A);
        }

        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "GVTg_V5_4"), uuid), VGPUD_ERROR_NONE);
        ASSERT_STREQ(gpu_name(model_get_instance(f.model, uuid)->gpu), B);
}

static void test_rules(void)
{
        _cleanup_fixture_ Fixture f;
        char uuid[UUID_STRLEN + 1];

        START(&f,
              "[gpu *]\nspare=1\n[gpu 0000:08:00.0]\nforbid=GVTg_V5_4; nothing\npriority=1\n"
              "[gpu 0000:0A:*]\npool=desk\nspare=0\n",
              A, B, C);
        ASSERT_PLACE(&f, "GVTg_V5_8", 1, NULL, A " " B " | " C);
        ASSERT_PLACE(&f, "GVTg_V5_8", 1, HINTS(.pool = "desk"), C " | " A " " B);
        ASSERT_PLACE(&f, "GVTg_V5_4", 2, NULL, B " | " A " " C);
        ASSERT_PLACE(&f, "GVTg_V5_4", 3, NULL, "| " B " " A " " C);
        ASSERT_PLACE(&f, "GVTg_V5_4", 3, HINTS(.pool = "desk"), C " | " A " " B);
        ASSERT_PLACE(&f, "GVTg_V5_4", 3, HINTS(.pool = "dask"), "InvalidArgs");
        ASSERT_EQ(reason_on(&f, "GVTg_V5_4", 3, NULL, A), PLACEMENT_TYPE_FORBIDDEN);
        ASSERT_EQ(reason_on(&f, "GVTg_V5_4", 3, NULL, B), PLACEMENT_NO_ROOM);
        ASSERT_EQ(reason_on(&f, "GVTg_V5_4", 3, NULL, C), PLACEMENT_OTHER_POOL);
        ASSERT_CREATE_ERROR(&f, REQUEST_N(3, .type = "GVTg_V5_4"), VGPUD_ERROR_NO_CAPACITY, "GPU " B ": ");
        ASSERT_CREATE_ERROR(&f, REQUEST_N(3, .type = "GVTg_V5_4"), VGPUD_ERROR_NO_CAPACITY,
                            "GPU " A ": forbid=GVTg_V5_4 ");
        ASSERT_CREATE_ERROR(&f, REQUEST_N(3, .type = "GVTg_V5_4"), VGPUD_ERROR_NO_CAPACITY, "GPU " C ": ");
        /* A rule for types also holds if the caller names the GPU; spare= does not. */
        ASSERT_CREATE_ERROR(&f, REQUEST(.type = "i915-GVTg_V5_4", .gpu = A), VGPUD_ERROR_UNSUPPORTED,
                            "forbid=GVTg_V5_4");
        ASSERT_EQ(last_hint, VGPUD_HINT_CHANGE_CONFIG);
        /* The forbidden type shows no capacity; another type does. */
        const VgpuType *t = gpu_snapshot_find_type(model_get_gpu(f.model, A)->snapshot, "GVTg_V5_4", NULL);
        ASSERT_EQ(t->available, 0);
        ASSERT_CONTAINS(t->why_not, "forbid=GVTg_V5_4");
        ASSERT_EQ(t->hint.id, VGPUD_HINT_CHANGE_CONFIG);
        t = gpu_snapshot_find_type(model_get_gpu(f.model, A)->snapshot, "GVTg_V5_8", NULL);
        ASSERT_TRUE(t->available > 0);
        ASSERT_EQ(fixture_create(&f, REQUEST_N(3, .type = "GVTg_V5_4", .gpu = B), uuid), VGPUD_ERROR_NONE);
        ASSERT_CREATE_ERROR(&f, REQUEST(.type = "GVTg_V5_4"), VGPUD_ERROR_NO_CAPACITY, B);
}

/* The caller names a GPU that has room for fewer instances than requested: the job fails, and the hint
 * advises another choice. */
static void test_count_above_room(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_outcome_ Outcome o = { 0 };
        uint32_t id;
        Job *job;

        START(&f, "", A);
        ASSERT_OK(request_create(f.model, REQUEST_N(9, .type = "GVTg_V5_4", .gpu = A), &job, NULL));
        id = job->id;
        outcome_of(&o, job);
        ASSERT_TRUE(fixture_wait(&f, outcome_is_known, &o));
        ASSERT_EQ(o.code, VGPUD_ERROR_NO_CAPACITY);
        ASSERT_EQ(finished_get(f.model->finished, id)->error.hint.id, VGPUD_HINT_CHOOSE_OTHER);
}

static void test_all_excluded(void)
{
        _cleanup_fixture_ Fixture f;

        START(&f, "[gpu *]\nallow=*_8\n", A, B);
        ASSERT_PLACE(&f, "GVTg_V5_8", 1, NULL, A " " B);
        ASSERT_CREATE_ERROR(&f, REQUEST(.type = "GVTg_V5_2"), VGPUD_ERROR_UNSUPPORTED, "GPU " A ": allow=*_8 ");
        ASSERT_EQ(last_hint, VGPUD_HINT_CHANGE_CONFIG);
        ASSERT_CREATE_ERROR(&f, REQUEST(.type = "GVTg_V5_8", .hints = NODE_HINTS(1, -1)),
                            VGPUD_ERROR_UNSUPPORTED, A);
        ASSERT_EQ(last_hint, VGPUD_HINT_NONE);
        ASSERT_CREATE_ERROR(&f, REQUEST(.type = "GVTg_V5_2", .gpu = B), VGPUD_ERROR_UNSUPPORTED, "allow=*_8");
        ASSERT_EQ(last_hint, VGPUD_HINT_CHANGE_CONFIG);
        ASSERT_EQ(reason_on(&f, "GVTg_V5_2", 1, NULL, A), PLACEMENT_TYPE_NOT_ALLOWED);
        ASSERT_EQ(reason_on(&f, "GVTg_V5_8", 1, NODE_HINTS(1, -1), A), PLACEMENT_OTHER_NODE);
}

/* A job that has not ended takes room of its GPU, also from requests for other types. */
static void test_promises(void)
{
        _cleanup_fixture_ Fixture f;
        Outcome o[3] = { 0 };
        Job *job[3];

        START(&f, "", A, B);
        fake_hang(f.kernel, "write", A_PATH "/mdev_supported_types/i915-GVTg_V5_2/create");
        ASSERT_OK(request_create(f.model, REQUEST(.type = "GVTg_V5_2", .gpu = A), &job[0], NULL));
        fake_wait_hanging(f.kernel);
        /* the job reserves room on GPU A that the smaller type cannot have */
        _cleanup_place_ Place *p = NULL;
        ASSERT_OK(place_new(f.model, "GVTg_V5_8", 1, HINTS(.strategy = "depth"), 0, &p, NULL));
        ASSERT_STREQ(p->placement->chosen->candidate->gpu, B); /* a job creates another type on A */
        ASSERT_STREQ(p->placement->ranks[1].candidate->gpu, A);
        ASSERT_EQ(p->candidates[0].instances, 1);
        ASSERT_TRUE(p->candidates[0].crowded);
        ASSERT_TRUE(p->candidates[0].promised > 0);
        ASSERT_EQ(p->placement->ranks[1].room, p->candidates[0].available - p->candidates[0].promised);

        ASSERT_OK(request_create(f.model, REQUEST_N(2, .type = "GVTg_V5_4"), &job[1], NULL));
        ASSERT_STREQ(job[1]->gpu_name, B);
        ASSERT_PLACE(&f, "GVTg_V5_4", 2, NULL, "| " B " " A);
        ASSERT_OK(request_create(f.model, REQUEST(.type = "GVTg_V5_4"), &job[2], NULL));
        ASSERT_STREQ(job[2]->gpu_name, B);
        fake_release(f.kernel);

        for (size_t i = 0; i < 3; i++)
                outcome_of(&o[i], job[i]);
        for (size_t i = 0; i < 3; i++) {
                ASSERT_TRUE(fixture_wait(&f, outcome_is_known, &o[i]));
                ASSERT_EQ(o[i].code, VGPUD_ERROR_NONE);
                outcome_done(&o[i]);
        }
}

/* A GPU that was chosen before polkit was asked is kept while it fits. */
static void test_chosen_before(void)
{
        _cleanup_fixture_ Fixture f;
        char uuid[UUID_STRLEN + 1];
        const VgpuType *type;
        Gpu *gpu;

        START(&f, "[gpu *]\nspare=1\n", A, B);
        ASSERT_OK(request_resolve_create(f.model, REQUEST(.type = "GVTg_V5_4", .chosen = B), &gpu, &type,
                                         NULL));
        ASSERT_STREQ(gpu_name(gpu), B);
        ASSERT_EQ(fixture_create(&f, REQUEST_N(2, .type = "GVTg_V5_4", .gpu = B), uuid), VGPUD_ERROR_NONE);
        ASSERT_OK(request_resolve_create(f.model, REQUEST(.type = "GVTg_V5_4", .chosen = B), &gpu, &type,
                                         NULL));
        ASSERT_STREQ(gpu_name(gpu), A); /* spare= holds back the rest of B */
        ASSERT_OK(request_resolve_create(f.model, REQUEST(.type = "GVTg_V5_4", .chosen = "mdpy"), &gpu, &type,
                                         NULL));
        ASSERT_STREQ(gpu_name(gpu), A);
        ASSERT_EQ(fixture_create(&f, REQUEST_N(2, .type = "GVTg_V5_4", .gpu = A), uuid), VGPUD_ERROR_NONE);
        ASSERT_CREATE_ERROR(&f, REQUEST(.type = "GVTg_V5_4", .chosen = B), VGPUD_ERROR_NO_CAPACITY, "spare=");
        ASSERT_EQ(last_hint, VGPUD_HINT_CHANGE_CONFIG);
        /* 64 instances would not fit without spare= either, so the hint does not suggest a change
         * of the configuration. */
        ASSERT_CREATE_ERROR(&f, REQUEST_N(64, .type = "GVTg_V5_4"), VGPUD_ERROR_NO_CAPACITY, "spare=");
        ASSERT_TRUE(last_hint != VGPUD_HINT_CHANGE_CONFIG);
        /* spare= does not apply to a named GPU. */
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "GVTg_V5_4", .gpu = B), uuid), VGPUD_ERROR_NONE);
}

/* No GPU has room, but GPU B has a destroy job: the request waits behind that job. */
static void test_hope(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_outcome_ Outcome o = { 0 };
        char uuid[UUID_STRLEN + 1], other[UUID_STRLEN + 1];
        Job *job;

        START(&f, "", A, B);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "GVTg_V5_2", .gpu = A), other), VGPUD_ERROR_NONE);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "GVTg_V5_2", .gpu = B), uuid), VGPUD_ERROR_NONE);
        ASSERT_CREATE_ERROR(&f, REQUEST(.type = "GVTg_V5_2"), VGPUD_ERROR_NO_CAPACITY, "GPU " A ": ");
        ASSERT_OK(request_destroy(f.model, model_get_instance(f.model, uuid), false, 0, &job, NULL));
        ASSERT_PLACE(&f, "GVTg_V5_2", 1, NULL, "| " B " " A);
        ASSERT_OK(request_create(f.model, REQUEST(.type = "GVTg_V5_2"), &job, NULL));
        ASSERT_STREQ(job->gpu_name, B);
        outcome_of(&o, job);
        ASSERT_TRUE(fixture_wait(&f, outcome_is_known, &o));
        ASSERT_EQ(o.code, VGPUD_ERROR_NONE);
}

static void test_nodes_and_neighbours(void)
{
        _cleanup_fixture_ Fixture f;

        fixture_init(&f);
        fixture_add(&f, fake_add_gvt_g(f.kernel, A));
        fixture_add(&f, fake_add_gvt_g(f.kernel, B));
        fixture_add(&f, fake_add_mdpy(f.kernel));
        fake_add_file(f.kernel, A_PATH "/numa_node", "0");
        fake_add_file(f.kernel, "devices/pci0000:00/" B "/numa_node", "1");
        fixture_start(&f);
        ASSERT_PLACE(&f, "GVTg_V5_8", 1, NODE_HINTS(1, -1), B " | " A " mdpy");
        ASSERT_PLACE(&f, "GVTg_V5_8", 1, NODE_HINTS(-1, 1), B " " A " | mdpy");
        ASSERT_PLACE(&f, "GVTg_V5_8", 1, NODE_HINTS(7, -1), "| " A " " B " mdpy");
        ASSERT_PLACE(&f, "GVTg_V5_8", 1, NODE_HINTS(-2, -1), "InvalidArgs");
        ASSERT_PLACE(&f, "GVTg_V5_8", 1, HINTS(.near = B), B " " A " | mdpy");
        ASSERT_PLACE(&f, "GVTg_V5_8", 1, HINTS(.near = "09:00.0"), B " " A " | mdpy");
        ASSERT_PLACE(&f, "GVTg_V5_8", 1, HINTS(.near = "00000000:09:00.0"), B " " A " | mdpy");
        ASSERT_PLACE(&f, "GVTg_V5_8", 1, HINTS(.near = "pci_0000_09_00_0"), B " " A " | mdpy");
        ASSERT_PLACE(&f, "GVTg_V5_8", 1, HINTS(.near = "mdpy"), A " " B " | mdpy");
        ASSERT_PLACE(&f, "GVTg_V5_8", 1, HINTS(.near = "0000:77:00.0"), "InvalidArgs");
        ASSERT_PLACE(&f, "mdpy-vga", 1, NULL, "mdpy | " A " " B);
        ASSERT_EQ(reason_on(&f, "mdpy-vga", 1, NULL, A), PLACEMENT_NO_SUCH_TYPE);
        ASSERT_PLACE(&f, "no-such", 1, NULL, "NoSuchType");
}

/* A GPU with a full queue is skipped, even if the strategy prefers it. */
static void test_full_queue(void)
{
        _cleanup_fixture_ Fixture f;
        Outcome o[3] = { 0 };
        Job *job[3];

        START(&f, "[jobs]\nper-gpu=1\n[placement]\nstrategy=depth\n", A, B);
        fake_hang(f.kernel, "write", A_PATH "/mdev_supported_types/i915-GVTg_V5_8/create");
        ASSERT_OK(request_create(f.model, REQUEST(.type = "GVTg_V5_8"), &job[0], NULL));
        ASSERT_STREQ(job[0]->gpu_name, A);
        outcome_of(&o[0], job[0]);
        fake_wait_hanging(f.kernel);
        ASSERT_TRUE(fixture_wait(&f, job_runs, job[0]));

        for (size_t i = 1; i < 3; i++) {
                ASSERT_OK(request_create(f.model, REQUEST(.type = "GVTg_V5_8"), &job[i], NULL));
                ASSERT_STREQ(job[i]->gpu_name, i == 1 ? A : B);
                outcome_of(&o[i], job[i]);
        }
        ASSERT_EQ(reason_on(&f, "GVTg_V5_8", 1, NULL, A), PLACEMENT_QUEUE_FULL);

        fake_release(f.kernel);
        for (size_t i = 0; i < 3; i++) {
                ASSERT_TRUE(fixture_wait(&f, outcome_is_known, &o[i]));
                ASSERT_EQ(o[i].code, VGPUD_ERROR_NONE);
                outcome_done(&o[i]);
        }
}

/* A stuck GPU is skipped, and named in errors. */
static void test_stuck(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_place_ Place *p = NULL;
        Job *job;

        START(&f, "[jobs]\ntimeout=50ms\n", A, B);
        fake_hang(f.kernel, "write", A_PATH "/mdev_supported_types/i915-GVTg_V5_8/create");
        ASSERT_OK(request_create(f.model, REQUEST(.type = "GVTg_V5_8"), &job, NULL));
        ASSERT_TRUE(fixture_wait(&f, saw, (void *)"gpu~ " A " state=stuck"));
        ASSERT_OK(place_new(f.model, "GVTg_V5_8", 1, NULL, 0, &p, NULL));
        ASSERT_STREQ(p->placement->chosen->candidate->gpu, B);
        ASSERT_STREQ(p->placement->ranks[1].candidate->gpu, A);
        ASSERT_EQ(p->placement->ranks[1].reason_id, PLACEMENT_NOT_READY);
        ASSERT_EQ(place_error_code(p, &p->placement->ranks[1]), VGPUD_ERROR_GPU_STUCK);
        /* A is stuck, so the only hope of a request for 9 instances is B, which has no room for them. */
        fake_hang(f.kernel, "write", "devices/pci0000:00/" B "/mdev_supported_types/i915-GVTg_V5_8/create");
        ASSERT_OK(request_create(f.model, REQUEST_N(4, .type = "GVTg_V5_8"), &job, NULL));
        ASSERT_STREQ(job->gpu_name, B);
        ASSERT_OK(request_create(f.model, REQUEST_N(9, .type = "GVTg_V5_8"), &job, NULL));
        ASSERT_STREQ(job->gpu_name, B);
        ASSERT_TRUE(fixture_wait(&f, saw, (void *)"gpu~ " B " state=stuck"));
        ASSERT_CREATE_ERROR(&f, REQUEST(.type = "GVTg_V5_8"), VGPUD_ERROR_GPU_STUCK, "GPU " A ": ");
        fixture_forget(&f);
        fake_release(f.kernel);
        ASSERT_TRUE(fixture_wait(&f, saw, (void *)"gpu~ " A " state=ready"));
        ASSERT_TRUE(fixture_wait(&f, saw, (void *)"gpu~ " B " state=ready"));
}

/* A GPU without VFs may offer any type later, so the error about an unknown type names this GPU. */
static void test_unprepared(void)
{
        g_autoptr(GPtrArray) facts = g_ptr_array_new();
        g_autofree char *message = NULL;
        FakeNvidia *gpu;
        Fixture f;

        fixture_init(&f);
        fixture_start(&f);
        gpu = fake_add_l40s(f.kernel, A, false);
        g_ptr_array_add(facts, fake_nvidia_facts(gpu));
        arrivals_apply(f.model, facts, NULL, (uint64_t)g_get_monotonic_time());
        g_assert(fixture_wait(&f, saw, (void *)"gpu~ " A " state=unprepared"));
        message = create_error(&f, REQUEST(.type = "L40S-4Q"), VGPUD_ERROR_NO_SUCH_TYPE);
        fixture_done(&f);
        gpu_facts_unref(facts->pdata[0]);
        fake_nvidia_free(gpu);
        ASSERT_CONTAINS(message, A);
}

/* A section may have a GPU's address in any form. Sections that match no GPU are listed after the discovery. */
static void test_sections_without_a_gpu(void)
{
        static const char config[] =
                        "[gpu *]\nspare=0\n[gpu 00000000:0A:00.0]\nforbid=*\n[gpu 0b:00.0]\nforbid=*\n"
                        "[gpu 0000:7*]\nforbid=*\n[gpu 0000:0900.0]\nforbid=*\n[gpu pci_0000_09_00_0]\nspare=1\n";
        static const char *const expected[] = { ":5: [gpu 0b:00.0]", ":7: [gpu 0000:7*]",
                                                ":9: [gpu 0000:0900.0]" };
        g_autoptr(GPtrArray) unmatched = NULL;
        _cleanup_fixture_ Fixture f;

        log_set_max_level(LOG_ERR);
        fixture_init(&f);
        scratch_file(&f.scratch, "vgpud.conf", config);
        config_read(f.config, f.scratch.path);
        fixture_add(&f, fake_add_gvt_g(f.kernel, A));
        fixture_add(&f, fake_add_gvt_g(f.kernel, B));
        fixture_add(&f, fake_add_gvt_g(f.kernel, C));
        fixture_start(&f);

        ASSERT_EQ(config_find_gpu(f.config, B).spare, 1);
        ASSERT_PLACE(&f, "GVTg_V5_8", 1, NULL, A " " B " | " C);
        ASSERT_EQ(reason_on(&f, "GVTg_V5_8", 1, NULL, C), PLACEMENT_TYPE_FORBIDDEN);

        unmatched = rules_find_unmatched(f.model);
        ASSERT_EQ(unmatched->len, G_N_ELEMENTS(expected));
        for (guint i = 0; i < unmatched->len; i++)
                ASSERT_CONTAINS(unmatched->pdata[i], expected[i]);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_strategies);
        TEST(test_configured_strategy);
        TEST(test_rules);
        TEST(test_count_above_room);
        TEST(test_all_excluded);
        TEST(test_promises);
        TEST(test_chosen_before);
        TEST(test_hope);
        TEST(test_nodes_and_neighbours);
        TEST(test_full_queue);
        TEST(test_stuck);
        TEST(test_unprepared);
        TEST(test_sections_without_a_gpu);

        return tests_end();
}
