/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Convergence: when vgpud starts a definition, and why a definition waits. */

#include "daemon/definitions/define.h"
#include "daemon/definitions/start.h"
#include "daemon/model/defined.h"
#include "daemon/model/want.h"
#include "fixture.h"

#define GVT_G  "0000:00:02.0"
#define UUID_A "11111111-2222-4333-8444-555555555555"
#define UUID_B "22222222-2222-4333-8444-555555555555"
#define UUID_C "33333333-2222-4333-8444-555555555555"
#define MDPY   "mdpy"
#define XE     "0000:03:00.0"
#define XGA    "mdpy-xga"

/* ---- a host with definitions ---- */

static void define(Fixture *f, const char *uuid, const char *type, const char *gpu, bool autostart)
{
        DefineRequest request = { .type = type, .gpu = gpu, .uuid = uuid, .requester = 1000 };
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        _cleanup_definition_ Definition *d = NULL;

        if (define_prepare(f->model, &request, &d, &e) < 0)
                g_error("%s", e.message);

        d->autostart = autostart;
        ASSERT_OK(define_commit(f->model, d, 1000, NULL));
}

static const Definition *get(Fixture *f, const char *uuid)
{
        return definitions_get(f->model->definitions, uuid);
}

static const char *state(Fixture *f, const char *uuid)
{
        return definition_state_to_string(define_get_state(f->model, get(f, uuid)));
}

/* The code of the reason why the definition waits; NONE: it is not wanted, or has no reason. */
static VgpudErrorCode reason(Fixture *f, const char *uuid)
{
        const Want *want = want_get(f->model, uuid);

        return want ? want->waiting.code : VGPUD_ERROR_NONE;
}

/* Stop the daemon as a restart of the service does. */
static void restart(Fixture *f)
{
        fixture_stop(f);
        fixture_start(f);
        ASSERT_OK(manager_converge(f->manager));
}

/* A boot of the host leaves an empty runtime directory. */
static void boot(Fixture *f)
{
        char *directory = g_strconcat(f->config->runtime_directory, "-next", NULL);

        fixture_stop(f);
        g_free(f->config->runtime_directory);
        f->config->runtime_directory = directory;
        fixture_start(f);
        ASSERT_OK(manager_converge(f->manager));
}

/* A host with the GPU mdpy; the convergence has begun. */
static FakeGpu *start_mdpy(Fixture *f)
{
        FakeGpu *mdpy;

        fixture_init(f);
        mdpy = fake_add_mdpy(f->kernel);
        fixture_add(f, mdpy);
        fixture_start(f);
        ASSERT_OK(manager_converge(f->manager));

        return mdpy;
}

static VgpudErrorCode start(Fixture *f, const char *uuid)
{
        char made[UUID_STRLEN + 1];
        PlaceHints hints;
        CreateRequest request;

        start_prepare(get(f, uuid), &hints, &request);

        return fixture_create(f, &request, made);
}

/* ---- conditions ---- */

typedef struct InState {
        const char *uuid, *state;
        VgpudErrorCode code;
} InState;

static bool is_in_state(Fixture *f, void *data)
{
        const InState *wanted = data;

        return strcmp(state(f, wanted->uuid), wanted->state) == 0 && reason(f, wanted->uuid) == wanted->code;
}

static bool wait_state(Fixture *f, const char *uuid, const char *text, VgpudErrorCode code)
{
        InState wanted = { uuid, text, code };

        return fixture_wait(f, is_in_state, &wanted);
}

static bool is_readiness(Fixture *f, void *data)
{
        return f->model->readiness == *(const Readiness *)data;
}

static bool wait_readiness(Fixture *f, Readiness readiness)
{
        return fixture_wait(f, is_readiness, &readiness);
}

/* ---- tests ---- */

static void test_autostart(void)
{
        _cleanup_fixture_ Fixture f;

        (void)start_mdpy(&f);
        ASSERT_EQ(f.model->readiness, READINESS_READY);

        /* A definition with autostart is started at a boot, not when it is written. */
        define(&f, UUID_A, XGA, MDPY, true);
        define(&f, UUID_B, XGA, NULL, true);
        define(&f, UUID_C, XGA, MDPY, false);
        restart(&f);
        ASSERT_STREQ(state(&f, UUID_A), "stopped");
        ASSERT_EQ(f.model->readiness, READINESS_READY);

        boot(&f);
        ASSERT_STREQ(state(&f, UUID_A), "starting");
        ASSERT_EQ(f.model->readiness, READINESS_CONVERGING);
        ASSERT_TRUE(wait_readiness(&f, READINESS_READY));
        ASSERT_STREQ(state(&f, UUID_A), "active");
        ASSERT_STREQ(state(&f, UUID_B), "active");
        ASSERT_STREQ(state(&f, UUID_C), "stopped");
        ASSERT_EQ(fixture_get(&f, UUID_A)->owner, 1000);

        /* A restart of vgpud in the same boot starts nothing that a user has stopped. */
        ASSERT_EQ(fixture_destroy(&f, UUID_A, DESTROY_DEFINED), VGPUD_ERROR_NONE);
        ASSERT_NULL(want_get(f.model, UUID_A));
        restart(&f);
        ASSERT_STREQ(state(&f, UUID_A), "stopped");
        ASSERT_STREQ(state(&f, UUID_B), "active");
        ASSERT_EQ(f.model->readiness, READINESS_READY);
}

static bool gpu_is_gone(Fixture *f, void *gpu)
{
        return !model_get_gpu(f->model, gpu);
}

/* After a driver is unloaded and loaded again, instances with definitions come back. */
static void test_reload(void)
{
        _cleanup_fixture_ Fixture f;
        char plain[UUID_STRLEN + 1];
        FakeGpu *mdpy;

        mdpy = start_mdpy(&f);
        define(&f, UUID_A, XGA, MDPY, false);
        define(&f, UUID_B, XGA, MDPY, true);
        ASSERT_EQ(start(&f, UUID_A), VGPUD_ERROR_NONE);
        ASSERT_EQ(fixture_create(&f, REQUEST(.gpu = MDPY, .type = XGA), plain), VGPUD_ERROR_NONE);

        fixture_unload(&f, mdpy);
        fixture_discover(&f);
        ASSERT_TRUE(fixture_wait(&f, gpu_is_gone, (void *)MDPY));
        ASSERT_TRUE(wait_state(&f, UUID_A, "waiting", VGPUD_ERROR_NO_SUCH_GPU));
        ASSERT_STREQ(state(&f, UUID_B), "stopped");
        ASSERT_TRUE(wait_readiness(&f, READINESS_DEGRADED));

        fixture_add(&f, fake_add_mdpy(f.kernel));
        fixture_discover(&f);
        ASSERT_TRUE(wait_state(&f, UUID_A, "active", VGPUD_ERROR_NONE));
        ASSERT_TRUE(wait_readiness(&f, READINESS_READY));
        ASSERT_NULL(fixture_get(&f, plain));
        ASSERT_STREQ(state(&f, UUID_B), "stopped");
}

static bool is_unwanted(Fixture *f, void *uuid)
{
        return !want_get(f->model, uuid);
}

static void write_remove(Fixture *f, FakeGpu *g, const char *uuid)
{
        g_autofree char *path = g_strdup_printf("%s/%s/remove", fake_gpu_parent_path(g, 0), uuid);
        _cleanup_(vgpu_io_freep) VgpuIo *io = fixture_io(-EBADF, f->kernel);

        ASSERT_OK(vgpu_io_write(io, path, "1"));
}

/* Another program removes a device while the driver stays: vgpud does not create the device again. */
static void test_removed_by_another_program(void)
{
        _cleanup_fixture_ Fixture f;
        FakeGpu *mdpy;

        mdpy = start_mdpy(&f);
        define(&f, UUID_A, XGA, MDPY, true);
        define(&f, UUID_B, XGA, MDPY, true);
        ASSERT_EQ(start(&f, UUID_A), VGPUD_ERROR_NONE);
        ASSERT_EQ(start(&f, UUID_B), VGPUD_ERROR_NONE);

        /* The devices go before their driver: these events come with an unload, too, so vgpud waits. */
        write_remove(&f, mdpy, UUID_A);
        gpu_want_scan(model_get_gpu(f.model, MDPY), GPU_SCAN_NOW);
        ASSERT_TRUE(wait_state(&f, UUID_A, "waiting", VGPUD_ERROR_GPU_GONE));
        ASSERT_TRUE(fixture_wait(&f, is_unwanted, (void *)UUID_A));
        ASSERT_STREQ(state(&f, UUID_A), "stopped");
        ASSERT_TRUE(wait_readiness(&f, READINESS_READY));

        write_remove(&f, mdpy, UUID_B);
        gpu_want_scan(model_get_gpu(f.model, MDPY), GPU_SCAN_NOW);
        ASSERT_TRUE(wait_state(&f, UUID_B, "waiting", VGPUD_ERROR_GPU_GONE));
        fixture_unload(&f, mdpy);
        fixture_discover(&f);
        ASSERT_TRUE(wait_state(&f, UUID_B, "waiting", VGPUD_ERROR_NO_SUCH_GPU));
        fixture_add(&f, fake_add_mdpy(f.kernel));
        fixture_discover(&f);
        ASSERT_TRUE(wait_state(&f, UUID_B, "active", VGPUD_ERROR_NONE));
        ASSERT_STREQ(state(&f, UUID_A), "stopped");
}

static bool is_later_job(Fixture *f, void *id)
{
        return f->model->last_job_id > *(const uint32_t *)id;
}

/* An event of the parent, or of a device above it, proves that its driver removed the instance. */
static void test_moved_parent(void)
{
        _cleanup_fixture_ Fixture f;
        g_autofree char *neighbour = NULL;
        const char *parent;
        FakeGpu *mdpy;

        mdpy = start_mdpy(&f);
        define(&f, UUID_A, XGA, MDPY, true);
        ASSERT_EQ(start(&f, UUID_A), VGPUD_ERROR_NONE);

        parent = fake_gpu_parent_path(mdpy, 0);
        g_autofree char *above = g_path_get_dirname(parent);
        for (size_t i = 0; i < 2; i++) {
                uint32_t jobs = f.model->last_job_id;

                MODEL_EMIT(f.model, device_moved, i == 0 ? parent : above);
                for (unsigned n = 0; n < 600; n++) {
                        g_autofree char *other = g_strdup_printf("%s%u", parent, n);

                        MODEL_EMIT(f.model, device_moved, other);
                }

                write_remove(&f, mdpy, UUID_A);
                gpu_want_scan(model_get_gpu(f.model, MDPY), GPU_SCAN_NOW);
                ASSERT_TRUE(fixture_wait(&f, is_later_job, &jobs));
                ASSERT_TRUE(wait_state(&f, UUID_A, "active", VGPUD_ERROR_NONE));
        }

        neighbour = g_strconcat(parent, "2", NULL);
        MODEL_EMIT(f.model, device_moved, neighbour);
        write_remove(&f, mdpy, UUID_A);
        gpu_want_scan(model_get_gpu(f.model, MDPY), GPU_SCAN_NOW);
        ASSERT_TRUE(wait_state(&f, UUID_A, "waiting", VGPUD_ERROR_GPU_GONE));
        MODEL_EMIT(f.model, device_moved, parent);
        ASSERT_TRUE(wait_state(&f, UUID_A, "active", VGPUD_ERROR_NONE));
}

/* The driver refuses an instance at first: vgpud tries again by itself. */
static void test_refused(void)
{
        _cleanup_fixture_ Fixture f;
        g_autofree char *create = NULL;
        FakeGpu *mdpy;

        mdpy = start_mdpy(&f);
        define(&f, UUID_A, XGA, MDPY, true);
        create = g_strdup_printf("%s/mdev_supported_types/" XGA "/create", fake_gpu_parent_path(mdpy, 0));
        fake_fail(f.kernel, "write", create, EIO);
        f.config->ready_timeout_usec = USEC_PER_MSEC;
        boot(&f);
        ASSERT_TRUE(wait_state(&f, UUID_A, "waiting", VGPUD_ERROR_FAILED));
        ASSERT_TRUE(wait_readiness(&f, READINESS_DEGRADED));

        fake_heal(f.kernel);
        ASSERT_TRUE(wait_state(&f, UUID_A, "active", VGPUD_ERROR_NONE));
        ASSERT_EQ(want_get(f.model, UUID_A)->failures, 0);
        ASSERT_TRUE(wait_readiness(&f, READINESS_READY));
}

/* mdpy has room for four. Definitions that name the GPU come first, although their UUIDs are higher. */
static void test_full(void)
{
        static const char *const anywhere[] = { UUID_A, UUID_B, UUID_C };
        static const char *const named[] = { "a1111111-2222-4333-8444-555555555555",
                                             "a2222222-2222-4333-8444-555555555555",
                                             "a3333333-2222-4333-8444-555555555555" };
        _cleanup_fixture_ Fixture f;
        uint32_t jobs;

        fixture_init(&f);
        fixture_add(&f, fake_add_mdpy(f.kernel));
        fixture_start(&f);
        for (size_t i = 0; i < G_N_ELEMENTS(anywhere); i++)
                define(&f, anywhere[i], XGA, NULL, true);
        for (size_t i = 0; i < G_N_ELEMENTS(named); i++)
                define(&f, named[i], XGA, MDPY, true);

        boot(&f);
        ASSERT_TRUE(wait_state(&f, UUID_B, "waiting", VGPUD_ERROR_NO_CAPACITY));
        ASSERT_TRUE(wait_state(&f, UUID_C, "waiting", VGPUD_ERROR_NO_CAPACITY));
        for (size_t i = 0; i < G_N_ELEMENTS(named); i++)
                ASSERT_TRUE(wait_state(&f, named[i], "active", VGPUD_ERROR_NONE));
        ASSERT_TRUE(wait_state(&f, UUID_A, "active", VGPUD_ERROR_NONE));

        /* Room for one instance becomes free: one of the two waiting definitions starts, and no job fails. */
        jobs = f.model->last_job_id;
        ASSERT_EQ(fixture_destroy(&f, named[0], DESTROY_DEFINED), VGPUD_ERROR_NONE);
        ASSERT_TRUE(wait_state(&f, UUID_B, "active", VGPUD_ERROR_NONE));
        ASSERT_TRUE(fixture_wait(&f, gpu_is_at_rest, (void *)MDPY));
        ASSERT_TRUE(wait_state(&f, UUID_C, "waiting", VGPUD_ERROR_NO_CAPACITY));
        ASSERT_EQ(f.model->last_job_id, jobs + 2);

        /* The end of the want ends the wait. */
        want_remove(f.model, UUID_C);
        ASSERT_STREQ(state(&f, UUID_C), "stopped");
        ASSERT_TRUE(wait_readiness(&f, READINESS_READY));
        ASSERT_OK(defined_remove(f.model, get(&f, UUID_B), 0, NULL));
        ASSERT_NULL(want_get(f.model, UUID_B));
        ASSERT_NOT_NULL(fixture_get(&f, UUID_B));
}

/* Another program has taken the UUID of a definition. */
static void test_foreign(void)
{
        _cleanup_fixture_ Fixture f;
        g_autofree char *create = NULL;
        _cleanup_(vgpu_io_freep) VgpuIo *io = NULL;
        FakeGpu *mdpy;

        fixture_init(&f);
        mdpy = fake_add_mdpy(f.kernel);
        fixture_add(&f, mdpy);
        fixture_start(&f);
        define(&f, UUID_A, XGA, MDPY, true);
        create = g_strdup_printf("%s/mdev_supported_types/" XGA "/create", fake_gpu_parent_path(mdpy, 0));
        io = fixture_io(-EBADF, f.kernel);
        ASSERT_OK(vgpu_io_write(io, create, UUID_A));

        boot(&f);
        ASSERT_TRUE(wait_state(&f, UUID_A, "foreign", VGPUD_ERROR_FOREIGN));
        write_remove(&f, mdpy, UUID_A);
        gpu_want_scan(model_get_gpu(f.model, MDPY), GPU_SCAN_NOW);
        ASSERT_TRUE(wait_state(&f, UUID_A, "active", VGPUD_ERROR_NONE));
}

/* The instance of an edited definition is on another GPU than the definition: its end concerns the definition,
 * too. */
static void test_edited_place(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_definition_ Definition *d = NULL;
        FakeGpu *mdpy;

        fixture_init(&f);
        mdpy = fake_add_mdpy(f.kernel);
        fixture_add(&f, mdpy);
        fixture_add(&f, fake_add_gvt_g(f.kernel, GVT_G));
        fixture_start(&f);
        ASSERT_OK(manager_converge(f.manager));
        define(&f, UUID_A, XGA, MDPY, false);
        ASSERT_EQ(start(&f, UUID_A), VGPUD_ERROR_NONE);

        d = definition_copy(get(&f, UUID_A));
        g_free(d->type);
        d->type = g_strdup("8086/-/-/640/GVTg_V5_4");
        g_free(d->gpu);
        d->gpu = g_strdup(GVT_G);
        ASSERT_OK(defined_put(f.model, d, 1000, NULL));
        write_remove(&f, mdpy, UUID_A);
        gpu_want_scan(model_get_gpu(f.model, MDPY), GPU_SCAN_NOW);
        ASSERT_TRUE(wait_state(&f, UUID_A, "waiting", VGPUD_ERROR_GPU_GONE));
        fixture_unload(&f, mdpy);
        fixture_discover(&f);
        ASSERT_TRUE(wait_state(&f, UUID_A, "active", VGPUD_ERROR_NONE));
        ASSERT_STREQ(gpu_name(fixture_get(&f, UUID_A)->gpu), GVT_G);
}

/* The name of a definition becomes the name of a GPU: only this definition waits, although it is looked at
 * first. */
static void test_refusal_of_one(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_definition_ Definition *d = NULL;

        fixture_init(&f);
        fixture_add(&f, fake_add_mdpy(f.kernel));
        fixture_start(&f);
        define(&f, UUID_A, XGA, NULL, true);
        define(&f, UUID_B, XGA, NULL, true);
        d = definition_copy(get(&f, UUID_A));
        d->name = g_strdup(MDPY);
        ASSERT_OK(defined_put(f.model, d, 1000, NULL));

        boot(&f);
        ASSERT_TRUE(wait_state(&f, UUID_A, "waiting", VGPUD_ERROR_EXISTS));
        ASSERT_TRUE(wait_state(&f, UUID_B, "active", VGPUD_ERROR_NONE));
}

/* A job that changes kept settings is blocked in the kernel: a definition that names no GPU starts on another
 * one. */
static void test_stuck_settings(void)
{
        _cleanup_fixture_ Fixture f;
        FakePf *pf;
        Job *job;

        fixture_init(&f);
        fixture_add(&f, fake_add_mdpy(f.kernel));
        pf = fixture_add_pf(&f, FAKE_PF_XE, XE, 7);
        fixture_start(&f);
        ASSERT_OK(manager_converge(f.manager));
        g_autofree char *path = g_strconcat(fake_pf_path(pf), "/sriov_numvfs", NULL);
        fake_hang(f.kernel, "write", path);
        ASSERT_OK(request_set_vfs(model_get_gpu(f.model, XE), 2, true, 0, &job, NULL));
        fake_wait_hanging(f.kernel);

        define(&f, UUID_A, XGA, NULL, false);
        want_add(f.model, UUID_A);
        ASSERT_TRUE(wait_state(&f, UUID_A, "active", VGPUD_ERROR_NONE));
        fake_release(f.kernel);
}

/* The type with the key of the definition is gone, and its id means another type now. */
static void test_another_meaning(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_definition_ Definition *d = NULL;

        fixture_init(&f);
        fixture_add(&f, fake_add_gvt_g(f.kernel, GVT_G));
        fixture_start(&f);
        define(&f, UUID_A, "GVTg_V5_4", GVT_G, true);
        d = definition_copy(get(&f, UUID_A));
        g_free(d->type);
        d->type = g_strdup("8086/-/-/512/GVTg_V5_4");
        ASSERT_OK(defined_put(f.model, d, 1000, NULL));

        boot(&f);
        ASSERT_TRUE(wait_state(&f, UUID_A, "waiting", VGPUD_ERROR_NO_SUCH_TYPE));
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_autostart);
        TEST(test_reload);
        TEST(test_removed_by_another_program);
        TEST(test_moved_parent);
        TEST(test_refused);
        TEST(test_full);
        TEST(test_foreign);
        TEST(test_edited_place);
        TEST(test_refusal_of_one);
        TEST(test_stuck_settings);
        TEST(test_another_meaning);

        return tests_end();
}
