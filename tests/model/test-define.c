/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Definitions: define, edit, start, stop, undefine, and what a restart and failures leave. */

#include "daemon/definitions/define.h"
#include "daemon/definitions/start.h"
#include "daemon/model/defined.h"
#include "daemon/model/want.h"
#include "fake-nvidia.h"
#include "fixture.h"

#define GVT_G "0000:00:02.0"
#define UUID1 "11111111-2222-4333-8444-555555555555"
#define UUID2 "22222222-2222-4333-8444-555555555555"
#define V5_4  "GVTg_V5_4"

#define DEFINE(...) (&(DefineRequest){ __VA_ARGS__ })

static void start_host(Fixture *f)
{
        fixture_init(f);
        fixture_add(f, fake_add_gvt_g(f->kernel, GVT_G));
        fixture_add(f, fake_add_mdpy(f->kernel));
        fixture_start(f);
        fixture_forget(f);
}

/* Stop the daemon, and start a new one. */
static void restart(Fixture *f)
{
        fixture_stop(f);
        fixture_start(f);
        fixture_forget(f);
}

static VgpudErrorCode define(Fixture *f, const DefineRequest *request)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        _cleanup_definition_ Definition *d = NULL;

        if (define_prepare(f->model, request, &d, &e) >= 0)
                (void)define_commit(f->model, d, 0, &e);

        return e.code;
}

static VgpudErrorCode define_from(Fixture *f, const char *uuid)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        _cleanup_definition_ Definition *d = NULL;

        if (define_prepare_from(f->model, fixture_get(f, uuid), &d, &e) >= 0)
                (void)define_commit(f->model, d, 0, &e);

        return e.code;
}

static const Definition *get(Fixture *f, const char *word)
{
        const Definition *d = NULL;

        return define_find(f->model, word, &d, NULL) >= 0 ? d : NULL;
}

static VgpudErrorCode edit(Fixture *f, const char *word, const DefineRequest *changes)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        _cleanup_definition_ Definition *d = NULL;

        if (define_prepare_edit(f->model, get(f, word), changes, &d, &e) >= 0)
                (void)define_commit(f->model, d, 0, &e);

        return e.code;
}

static VgpudErrorCode start(Fixture *f, const char *word, uid_t requester)
{
        char uuid[UUID_STRLEN + 1];
        PlaceHints hints;
        CreateRequest request;

        start_prepare(get(f, word), &hints, &request);
        request.requester = requester;

        return fixture_create(f, &request, uuid);
}

static const char *state(Fixture *f, const char *word)
{
        return definition_state_to_string(define_get_state(f->model, get(f, word)));
}

static void test_life(void)
{
        _cleanup_fixture_ Fixture f;

        start_host(&f);
        ASSERT_EQ(define(&f, DEFINE(.type = V5_4, .gpu = "00:02.0", .uuid = UUID1, .name = "one",
                                    .requester = 1000)),
                  VGPUD_ERROR_NONE);
        ASSERT_TRUE(fixture_saw(&f, "definition+ " UUID1));
        ASSERT_STREQ(get(&f, "one")->type, "8086/-/-/640/GVTg_V5_4");
        ASSERT_STREQ(get(&f, "one")->gpu, GVT_G);
        ASSERT_STREQ(state(&f, "one"), "stopped");
        ASSERT_NULL(fixture_get(&f, UUID1));
        ASSERT_EQ(fixture_count_records(&f), 0);

        /* Root starts the definition of user 1000: the instance belongs to the owner of the definition. */
        ASSERT_EQ(start(&f, UUID1, 0), VGPUD_ERROR_NONE);
        ASSERT_STREQ(state(&f, "one"), "active");
        ASSERT_EQ(fixture_get(&f, UUID1)->owner, 1000);
        ASSERT_STREQ(fixture_get(&f, UUID1)->name, "one");
        ASSERT_STREQ(instance_definition_to_string(instance_get_definition(fixture_get(&f, UUID1))), "current");
        ASSERT_EQ(start(&f, UUID1, 0), VGPUD_ERROR_EXISTS);

        ASSERT_EQ(fixture_destroy(&f, UUID1, 0), VGPUD_ERROR_DEFINED);
        ASSERT_EQ(fixture_destroy(&f, UUID1, DESTROY_DEFINED), VGPUD_ERROR_NONE);
        ASSERT_STREQ(state(&f, "one"), "stopped");
        ASSERT_EQ(fixture_count_records(&f), 0);

        ASSERT_EQ(start(&f, "one", 0), VGPUD_ERROR_NONE);
        restart(&f);
        ASSERT_STREQ(state(&f, "one"), "active");
        ASSERT_STREQ(instance_definition_to_string(instance_get_definition(fixture_get(&f, UUID1))), "current");

        /* The instance goes on without its definition. */
        ASSERT_OK(defined_remove(f.model, get(&f, "one"), 0, NULL));
        ASSERT_TRUE(fixture_saw(&f, "definition- " UUID1));
        ASSERT_NULL(get(&f, "one"));
        ASSERT_STREQ(instance_definition_to_string(instance_get_definition(fixture_get(&f, UUID1))), "");
        ASSERT_STREQ(fixture_get(&f, UUID1)->name, "one");
        ASSERT_EQ(fixture_destroy(&f, UUID1, DESTROY_DEFINED), VGPUD_ERROR_NO_SUCH_DEFINITION);
        ASSERT_EQ(fixture_destroy(&f, UUID1, 0), VGPUD_ERROR_NONE);
        restart(&f);
        ASSERT_NULL(get(&f, UUID1));
}

static void test_refusals(void)
{
        static const struct {
                DefineRequest request;
                VgpudErrorCode code;
        } cases[] = {
                { { .type = "nonsense" }, VGPUD_ERROR_NO_SUCH_TYPE },
                { { .type = "mdpy-hd", .gpu = GVT_G }, VGPUD_ERROR_NO_SUCH_TYPE },
                { { .type = "mdpy-hd", .gpu = "0000:99:00.0" }, VGPUD_ERROR_NO_SUCH_GPU },
                { { .type = V5_4, .gpu = "a/b" }, VGPUD_ERROR_INVALID },
                { { .type = V5_4, .gpu = ".." }, VGPUD_ERROR_INVALID },
                { { .type = V5_4, .pool = "no-such-pool" }, VGPUD_ERROR_INVALID },
                { { .type = V5_4, .gpu = GVT_G, .pool = "default" }, VGPUD_ERROR_INVALID },
                { { .type = V5_4, .parent = GVT_G }, VGPUD_ERROR_INVALID },
                { { .type = V5_4, .gpu = GVT_G, .parent = "../x" }, VGPUD_ERROR_INVALID },
                { { .type = V5_4, .uuid = "x" }, VGPUD_ERROR_INVALID },
                { { .type = V5_4, .uuid = "00000000-0000-0000-0000-000000000000" }, VGPUD_ERROR_INVALID },
                { { .type = V5_4, .name = "a b" }, VGPUD_ERROR_INVALID },
                { { .type = V5_4, .name = "mdpy" }, VGPUD_ERROR_EXISTS },
                { { .type = V5_4, .name = "taken" }, VGPUD_ERROR_EXISTS },
                { { .type = V5_4, .uuid = UUID1 }, VGPUD_ERROR_EXISTS },
                { { .type = V5_4, .name = "running" }, VGPUD_ERROR_EXISTS },
                { { .type = V5_4, .uuid = UUID2 }, VGPUD_ERROR_EXISTS },
        };
        VgpuAttribute bad = { (char *)"../remove", (char *)"1" };
        g_autoptr(GPtrArray) attributes = g_ptr_array_new();
        _cleanup_fixture_ Fixture f;
        char uuid[UUID_STRLEN + 1];

        start_host(&f);
        ASSERT_EQ(define(&f, DEFINE(.type = V5_4, .uuid = UUID1, .name = "taken")), VGPUD_ERROR_NONE);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "mdpy-hd", .uuid = UUID2, .name = "running"), uuid),
                  VGPUD_ERROR_NONE);

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                ASSERT_EQ(define(&f, &cases[i].request), cases[i].code);
        g_ptr_array_add(attributes, &bad);
        ASSERT_EQ(define(&f, DEFINE(.type = V5_4, .attributes = attributes)), VGPUD_ERROR_INVALID);
        ASSERT_EQ(definitions_count(f.model->definitions), 1);

        /* An instance cannot take the UUID or the name of a definition. */
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = V5_4, .uuid = UUID1), uuid), VGPUD_ERROR_EXISTS);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = V5_4, .name = "taken"), uuid), VGPUD_ERROR_EXISTS);
        ASSERT_EQ(fixture_destroy(&f, "taken", 0), VGPUD_ERROR_NO_SUCH_INSTANCE);
}

/* The key of a type is accepted although its GPU is missing. Any other name of a type is refused. */
static void test_absent_gpus(void)
{
        static const char key[] = "8086/-/-/640/GVTg_V5_4";
        static const char *const no_keys[] = { "8086/-/-/-",    "8086/-/-/-/", "8086/-/-/-/a b", "808x/-/-/-/a",
                                               "80861/-/-/-/a", "a/b/c/d/e",   "8086/-/-/-/a/b" };
        _cleanup_fixture_ Fixture f;

        fixture_init(&f);
        FakeGpu *gvt = fake_add_gvt_g(f.kernel, GVT_G);
        fixture_start(&f);
        for (size_t i = 0; i < G_N_ELEMENTS(no_keys); i++)
                ASSERT_EQ(define(&f, DEFINE(.type = no_keys[i])), VGPUD_ERROR_NO_SUCH_TYPE);
        ASSERT_EQ(define(&f, DEFINE(.type = key, .uuid = UUID1)), VGPUD_ERROR_NONE);
        ASSERT_EQ(define(&f, DEFINE(.type = key, .uuid = UUID2, .gpu = GVT_G)), VGPUD_ERROR_NONE);
        ASSERT_EQ(start(&f, UUID1, 0), VGPUD_ERROR_NO_SUCH_TYPE);
        ASSERT_EQ(start(&f, UUID2, 0), VGPUD_ERROR_NO_SUCH_GPU);

        fixture_add(&f, gvt);
        fixture_discover(&f);
        ASSERT_TRUE(fixture_wait(&f, gpu_is_ready, (void *)GVT_G));
        ASSERT_EQ(start(&f, UUID1, 0), VGPUD_ERROR_NONE);
        ASSERT_EQ(start(&f, UUID2, 0), VGPUD_ERROR_NONE);
}

static void test_edit(void)
{
        _cleanup_fixture_ Fixture f;

        start_host(&f);
        ASSERT_EQ(define(&f, DEFINE(.type = V5_4, .uuid = UUID1, .name = "one")), VGPUD_ERROR_NONE);
        ASSERT_EQ(define(&f, DEFINE(.type = V5_4, .uuid = UUID2, .name = "two")), VGPUD_ERROR_NONE);
        ASSERT_EQ(start(&f, "one", 0), VGPUD_ERROR_NONE);
        fixture_forget(&f);

        ASSERT_EQ(edit(&f, "one", DEFINE(.name = "two")), VGPUD_ERROR_EXISTS);
        ASSERT_EQ(edit(&f, "one", DEFINE(.name = "one")), VGPUD_ERROR_NONE);
        ASSERT_FALSE(define_differs(f.model, get(&f, "one")));
        ASSERT_EQ(edit(&f, "one", DEFINE(.type = "GVTg_V5_8", .gpu = GVT_G)), VGPUD_ERROR_NONE);
        ASSERT_TRUE(fixture_saw(&f, "definition~ " UUID1));
        ASSERT_TRUE(fixture_saw(&f, "instance~ " UUID1));
        ASSERT_TRUE(define_differs(f.model, get(&f, "one")));
        ASSERT_STREQ(fixture_get(&f, UUID1)->desc->type_id, "i915-GVTg_V5_4");
        ASSERT_EQ(edit(&f, "one", DEFINE(.type = "mdpy-hd")), VGPUD_ERROR_NO_SUCH_TYPE);
        ASSERT_EQ(edit(&f, "one", DEFINE(.gpu = "mdpy")), VGPUD_ERROR_NO_SUCH_TYPE);
        restart(&f);
        ASSERT_TRUE(define_differs(f.model, get(&f, "one")));

        /* A second edit restores the definition: it differs no longer from the instance. */
        ASSERT_EQ(edit(&f, "one", DEFINE(.type = V5_4, .gpu = "")), VGPUD_ERROR_NONE);
        ASSERT_FALSE(define_differs(f.model, get(&f, "one")));
        ASSERT_NULL(get(&f, "one")->gpu);

        ASSERT_EQ(edit(&f, "one", DEFINE(.type = "GVTg_V5_8")), VGPUD_ERROR_NONE);
        ASSERT_EQ(edit(&f, "one", DEFINE(.name = "")), VGPUD_ERROR_NONE);
        ASSERT_NULL(get(&f, UUID1)->name);
        ASSERT_EQ(fixture_destroy(&f, UUID1, DESTROY_DEFINED), VGPUD_ERROR_NONE);
        ASSERT_EQ(start(&f, UUID1, 0), VGPUD_ERROR_NONE);
        ASSERT_STREQ(fixture_get(&f, UUID1)->desc->type_id, "i915-GVTg_V5_8");
        ASSERT_FALSE(define_differs(f.model, get(&f, UUID1)));

        /* A pool replaces a GPU and its parent, and a GPU replaces a pool. */
        ASSERT_EQ(edit(&f, "two", DEFINE(.gpu = GVT_G, .parent = GVT_G)), VGPUD_ERROR_NONE);
        ASSERT_EQ(edit(&f, "two", DEFINE(.pool = "default")), VGPUD_ERROR_NONE);
        ASSERT_NULL(get(&f, "two")->gpu);
        ASSERT_NULL(get(&f, "two")->parent);
        ASSERT_EQ(edit(&f, "two", DEFINE(.parent = GVT_G)), VGPUD_ERROR_INVALID);
        ASSERT_EQ(edit(&f, "two", DEFINE(.gpu = GVT_G)), VGPUD_ERROR_NONE);
        ASSERT_NULL(get(&f, "two")->pool);
}

static void test_from(void)
{
        _cleanup_fixture_ Fixture f;
        VgpuAttribute attribute = { (char *)"nvidia/vgpu_params", (char *)"frame_rate_limiter=0, a=b" };
        g_autoptr(GPtrArray) attributes = g_ptr_array_new();
        char uuid[UUID_STRLEN + 1];

        fixture_init(&f);
        FakeGpu *g = fake_add_gvt_g(f.kernel, GVT_G);
        fixture_add(&f, g);
        fixture_add(&f, fake_add_nvidia_a2(f.kernel, "0000:08:00.0", 2));
        fixture_start(&f);
        g_ptr_array_add(attributes, &attribute);
        ASSERT_EQ(fixture_create(&f,
                                 REQUEST(.type = "nvidia-746", .uuid = UUID1, .name = "one",
                                         .attributes = attributes, .requester = 1000),
                                 uuid),
                  VGPUD_ERROR_NONE);
        restart(&f);
        ASSERT_EQ(define_from(&f, UUID1), VGPUD_ERROR_NONE);
        ASSERT_EQ(define_from(&f, UUID1), VGPUD_ERROR_EXISTS);
        ASSERT_EQ(get(&f, "one")->owner, 1000);
        ASSERT_STREQ(get(&f, "one")->gpu, "0000:08:00.0");
        ASSERT_EQ(get(&f, "one")->attributes->len, 1);
        ASSERT_STREQ(((VgpuAttribute *)get(&f, "one")->attributes->pdata[0])->value, attribute.value);
        restart(&f);
        ASSERT_STREQ(instance_definition_to_string(instance_get_definition(fixture_get(&f, UUID1))), "current");
        ASSERT_EQ(fixture_destroy(&f, UUID1, DESTROY_DEFINED), VGPUD_ERROR_NONE);
        ASSERT_EQ(start(&f, "one", 1000), VGPUD_ERROR_NONE);

        /* A foreign instance cannot be defined, and its UUID is taken. */
        VgpuIo *io = fake_kernel_io(f.kernel);
        g_autofree char *path = g_strdup_printf("%s/mdev_supported_types/i915-GVTg_V5_4/create",
                                                fake_gpu_parent_path(g, 0));
        ASSERT_OK(vgpu_io_write(io, path, UUID2));
        vgpu_io_free(io);
        gpu_want_scan(model_get_gpu(f.model, GVT_G), GPU_SCAN_NOW);
        ASSERT_TRUE(fixture_wait(&f, instance_is_there, (void *)UUID2));
        ASSERT_EQ(define_from(&f, UUID2), VGPUD_ERROR_FOREIGN);
        ASSERT_EQ(define(&f, DEFINE(.type = V5_4, .uuid = UUID2)), VGPUD_ERROR_EXISTS);
}

static void test_keep(void)
{
        static const CreateKeep named = { .gpu = true, .autostart = true }, anywhere = { 0 };
        _cleanup_fixture_ Fixture f;
        PlaceHints hints = PLACE_HINTS_NONE;
        char uuid[UUID_STRLEN + 1];

        start_host(&f);
        ASSERT_EQ(fixture_create(&f, REQUEST_N(2, .type = "GVTg_V5_8", .gpu = GVT_G, .keep = &named), uuid),
                  VGPUD_ERROR_NONE);
        ASSERT_EQ(definitions_count(f.model->definitions), 2);
        ASSERT_STREQ(get(&f, uuid)->gpu, GVT_G);
        ASSERT_TRUE(get(&f, uuid)->autostart);
        ASSERT_STREQ(instance_definition_to_string(instance_get_definition(fixture_get(&f, uuid))), "current");
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "mdpy-hd", .uuid = UUID1, .keep = &anywhere), uuid),
                  VGPUD_ERROR_NONE);
        ASSERT_NULL(get(&f, UUID1)->gpu);
        ASSERT_FALSE(get(&f, UUID1)->autostart);
        ASSERT_EQ(fixture_count_records(&f), 3);

        /* A failed create leaves no definition. */
        fixture_forget(&f);
        ASSERT_EQ(fixture_create(&f, REQUEST_N(100, .type = "GVTg_V5_8", .keep = &anywhere), uuid),
                  VGPUD_ERROR_NO_CAPACITY);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "GVTg_V5_1", .gpu = GVT_G, .uuid = UUID2, .keep = &named),
                                 uuid),
                  VGPUD_ERROR_NO_CAPACITY);
        ASSERT_TRUE(fixture_saw(&f, "definition+ " UUID2));
        ASSERT_TRUE(fixture_saw(&f, "definition- " UUID2));
        ASSERT_EQ(definitions_count(f.model->definitions), 3);

        hints.preferred_numa_node = 1;
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "GVTg_V5_8", .hints = &hints, .keep = &anywhere), uuid),
                  VGPUD_ERROR_INVALID);
}

static void test_quota(void)
{
        _cleanup_fixture_ Fixture f;

        start_host(&f);
        for (unsigned i = 0; i < DEFINITIONS_PER_UID_MAX; i++)
                ASSERT_EQ(define(&f, DEFINE(.type = V5_4, .requester = 1000)), VGPUD_ERROR_NONE);
        ASSERT_EQ(define(&f, DEFINE(.type = V5_4, .requester = 1000)), VGPUD_ERROR_QUOTA);
        ASSERT_EQ(define(&f, DEFINE(.type = V5_4, .requester = 1001)), VGPUD_ERROR_NONE);
        ASSERT_EQ(define(&f, DEFINE(.type = V5_4)), VGPUD_ERROR_NONE);
}

/* Before the GPU is discovered, vgpud cannot know whether the instance exists. */
static void test_unknown(void)
{
        _cleanup_fixture_ Fixture f;

        start_host(&f);
        ASSERT_EQ(define(&f, DEFINE(.type = V5_4, .uuid = UUID1)), VGPUD_ERROR_NONE);
        ASSERT_EQ(start(&f, UUID1, 0), VGPUD_ERROR_NONE);
        fixture_stop(&f);
        fixture_new_manager(&f);
        ASSERT_OK(manager_open(f.manager));
        ASSERT_STREQ(state(&f, UUID1), "unknown");
}

/* If the daemon is killed during a create with `keep` before the instance exists, the next daemon removes the
 * definition of that create. Other definitions stay. */
static void test_killed_keep(void)
{
        _cleanup_fixture_ Fixture f;
        Record record = {
                .uuid = UUID1, .gpu = (char *)GVT_G, .type_id = (char *)"i915-GVTg_V5_4", .kept = true
        };

        start_host(&f);
        ASSERT_EQ(define(&f, DEFINE(.type = V5_4, .uuid = UUID1)), VGPUD_ERROR_NONE);
        ASSERT_EQ(define(&f, DEFINE(.type = V5_4, .uuid = UUID2)), VGPUD_ERROR_NONE);
        ASSERT_OK(records_put(f.model->records, &record));
        restart(&f);
        ASSERT_NULL(get(&f, UUID1));
        ASSERT_NOT_NULL(get(&f, UUID2));
        ASSERT_EQ(fixture_count_records(&f), 0);
        restart(&f);
        ASSERT_EQ(definitions_count(f.model->definitions), 1);
}

/* A GPU that has not been read may offer any type: only a key is accepted, and nothing aborts. */
static void test_unread_gpu(void)
{
        _cleanup_fixture_ Fixture f;

        fixture_init(&f);
        FakeGpu *g = fake_add_gvt_g(f.kernel, GVT_G);
        fixture_new_manager(&f);
        ASSERT_OK(manager_open(f.manager));
        fixture_add(&f, g);
        fixture_discover(&f);
        ASSERT_NULL(model_get_gpu(f.model, GVT_G)->snapshot);
        ASSERT_TRUE(define(&f, DEFINE(.type = V5_4)) != VGPUD_ERROR_NONE);
        ASSERT_EQ(define(&f, DEFINE(.type = "8086/-/-/640/GVTg_V5_4", .uuid = UUID1)), VGPUD_ERROR_NONE);
        g_autoptr(GPtrArray) attributes = g_ptr_array_new();
        VgpuAttribute attribute = { (char *)"a", (char *)"b" };
        g_ptr_array_add(attributes, &attribute);
        ASSERT_EQ(edit(&f, UUID1, DEFINE(.attributes = attributes)), VGPUD_ERROR_NONE);
        ASSERT_EQ(get(&f, UUID1)->attributes->len, 1);
}

/* A running instance keeps its name after an edit. The old and the new name find the instance and the
 * definition. */
static void test_two_names(void)
{
        _cleanup_fixture_ Fixture f;
        Instance *instance;

        start_host(&f);
        ASSERT_EQ(define(&f, DEFINE(.type = V5_4, .uuid = UUID1, .name = "old")), VGPUD_ERROR_NONE);
        ASSERT_EQ(start(&f, "old", 0), VGPUD_ERROR_NONE);
        ASSERT_EQ(edit(&f, "old", DEFINE(.name = "new")), VGPUD_ERROR_NONE);
        ASSERT_OK(request_get_instance(f.model, "old", &instance, NULL));
        ASSERT_OK(request_get_instance(f.model, "new", &instance, NULL));
        ASSERT_TRUE(get(&f, "old") && get(&f, "old") == get(&f, "new"));
        ASSERT_EQ(fixture_destroy(&f, UUID1, DESTROY_DEFINED), VGPUD_ERROR_NONE);
        ASSERT_NULL(get(&f, "old"));
}

static void test_parents(void)
{
        _cleanup_fixture_ Fixture f;
        char uuid[UUID_STRLEN + 1];

        fixture_init(&f);
        FakeGpu *a2 = fake_add_nvidia_a2(f.kernel, "0000:08:00.0", 2);
        fixture_add(&f, a2);
        fixture_start(&f);
        g_autofree char *parent = g_path_get_basename(fake_gpu_parent_path(a2, 1));
        ASSERT_EQ(define(&f, DEFINE(.type = "nvidia-746", .gpu = "0000:08:00.0", .parent = parent)),
                  VGPUD_ERROR_NONE);
        ASSERT_EQ(define(&f, DEFINE(.type = "nvidia-746", .gpu = "0000:08:00.0", .parent = "0000:99:00.1")),
                  VGPUD_ERROR_INVALID);

        /* The definition of a running instance has the instance's parent. */
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "nvidia-746", .gpu = "0000:08:00.0", .parent = parent),
                                 uuid),
                  VGPUD_ERROR_NONE);
        ASSERT_EQ(define_from(&f, uuid), VGPUD_ERROR_NONE);
        ASSERT_STREQ(get(&f, uuid)->parent, parent);
}

/* While a job works on the instance, neither a definition can be made of it nor its definition be started. */
static void test_job_in_progress(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_outcome_ Outcome destroyed = { 0 };
        char uuid[UUID_STRLEN + 1];
        Job *job;

        start_host(&f);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = V5_4, .uuid = UUID1), uuid), VGPUD_ERROR_NONE);
        ASSERT_OK(request_destroy(f.model, fixture_get(&f, UUID1), 0, 0, &job, NULL));
        outcome_of(&destroyed, job);
        ASSERT_EQ(define_from(&f, UUID1), VGPUD_ERROR_IN_USE);
        ASSERT_TRUE(fixture_wait(&f, outcome_is_known, &destroyed));

        _cleanup_outcome_ Outcome stopped = { 0 };
        ASSERT_EQ(define(&f, DEFINE(.type = V5_4, .uuid = UUID2)), VGPUD_ERROR_NONE);
        ASSERT_EQ(start(&f, UUID2, 0), VGPUD_ERROR_NONE);
        ASSERT_OK(request_destroy(f.model, fixture_get(&f, UUID2), DESTROY_DEFINED, 0, &job, NULL));
        outcome_of(&stopped, job);
        ASSERT_EQ(start(&f, UUID2, 0), VGPUD_ERROR_EXISTS);
        ASSERT_TRUE(fixture_wait(&f, outcome_is_known, &stopped));
        ASSERT_STREQ(state(&f, UUID2), "stopped");
}

/* Restart the daemon as after a boot of the host: the runtime directory knows no wants. */
static void boot(Fixture *f)
{
        fixture_stop(f);
        scratch_empty(openat(f->scratch.fd, "wanted", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        fixture_start(f);
        fixture_forget(f);
}

/* Definitions of a GPU that is missing: a definition with autostart waits from the boot on. */
static void test_autostart(void)
{
        static const char key[] = "8086/-/-/640/GVTg_V5_4", gone[] = "0000:77:00.0";
        _cleanup_fixture_ Fixture f;

        start_host(&f);
        ASSERT_EQ(define(&f, DEFINE(.type = key, .gpu = gone, .uuid = UUID1, .autostart = true)),
                  VGPUD_ERROR_NONE);
        ASSERT_EQ(define(&f, DEFINE(.type = key, .gpu = gone, .uuid = UUID2)), VGPUD_ERROR_NONE);
        ASSERT_TRUE(get(&f, UUID1)->autostart);
        ASSERT_FALSE(get(&f, UUID2)->autostart);
        ASSERT_STREQ(state(&f, UUID1), "stopped");
        restart(&f);
        ASSERT_STREQ(state(&f, UUID1), "stopped");
        boot(&f);
        ASSERT_STREQ(state(&f, UUID1), "waiting");
        ASSERT_STREQ(state(&f, UUID2), "stopped");
        restart(&f);
        ASSERT_STREQ(state(&f, UUID1), "waiting");
        ASSERT_EQ(start_check_cancel(f.model, get(&f, UUID2), NULL), -EINVAL);

        /* Any other change lets the definition wait. Without autostart, it stops waiting. */
        ASSERT_EQ(edit(&f, UUID1, DEFINE(.name = "one")), VGPUD_ERROR_NONE);
        ASSERT_TRUE(get(&f, UUID1)->autostart);
        ASSERT_STREQ(state(&f, UUID1), "waiting");
        fixture_forget(&f);
        ASSERT_EQ(edit(&f, UUID1, DEFINE(.sets_autostart = true)), VGPUD_ERROR_NONE);
        ASSERT_TRUE(fixture_saw(&f, "definition~ " UUID1));
        ASSERT_FALSE(get(&f, UUID1)->autostart);
        ASSERT_STREQ(state(&f, UUID1), "stopped");
        ASSERT_NULL(want_get(f.model, UUID1));

        /* A user cancels the start. A restart of the daemon does not bring it back, but a boot does. */
        ASSERT_EQ(edit(&f, UUID1, DEFINE(.autostart = true, .sets_autostart = true)), VGPUD_ERROR_NONE);
        boot(&f);
        ASSERT_OK(start_check_cancel(f.model, get(&f, UUID1), NULL));
        start_cancel(f.model, get(&f, UUID1), 0);
        ASSERT_TRUE(fixture_saw(&f, "definition~ " UUID1));
        ASSERT_STREQ(state(&f, UUID1), "stopped");
        ASSERT_EQ(start_check_cancel(f.model, get(&f, UUID1), NULL), -EINVAL);
        restart(&f);
        ASSERT_STREQ(state(&f, UUID1), "stopped");
        boot(&f);
        ASSERT_STREQ(state(&f, UUID1), "waiting");

        /* A new definition of the UUID does not inherit the want. */
        ASSERT_OK(defined_remove(f.model, get(&f, UUID1), 0, NULL));
        ASSERT_EQ(define(&f, DEFINE(.type = key, .gpu = gone, .uuid = UUID1)), VGPUD_ERROR_NONE);
        ASSERT_STREQ(state(&f, UUID1), "stopped");
}

/* The want of an instance that runs does not depend on autostart. It ends with a stop. */
static void test_want(void)
{
        _cleanup_fixture_ Fixture f;

        start_host(&f);
        ASSERT_EQ(define(&f, DEFINE(.type = V5_4, .uuid = UUID1, .autostart = true)), VGPUD_ERROR_NONE);
        ASSERT_EQ(start(&f, UUID1, 0), VGPUD_ERROR_NONE);
        want_add(f.model, UUID1);
        ASSERT_EQ(edit(&f, UUID1, DEFINE(.sets_autostart = true)), VGPUD_ERROR_NONE);
        ASSERT_FALSE(define_differs(f.model, get(&f, UUID1)));
        ASSERT_NOT_NULL(want_get(f.model, UUID1));
        ASSERT_EQ(start_check_cancel(f.model, get(&f, UUID1), NULL), -EINVAL);

        fixture_forget(&f);
        ASSERT_EQ(fixture_destroy(&f, UUID1, DESTROY_DEFINED), VGPUD_ERROR_NONE);
        ASSERT_NULL(want_get(f.model, UUID1));
        ASSERT_FALSE(fixture_saw(&f, "definition~ " UUID1));
        ASSERT_STREQ(state(&f, UUID1), "stopped");
        ASSERT_NULL(define_get_waiting(f.model, get(&f, UUID1)));

        /* A stop of several instances ends their wants, too. */
        _cleanup_outcome_ Outcome stopped = { 0 };
        g_autoptr(GPtrArray) instances = g_ptr_array_new(), jobs = NULL;
        ASSERT_EQ(start(&f, UUID1, 0), VGPUD_ERROR_NONE);
        want_add(f.model, UUID1);
        g_ptr_array_add(instances, fixture_get(&f, UUID1));
        ASSERT_OK(request_destroy_many(f.model, instances, DESTROY_DEFINED, 0, &jobs, NULL));
        ASSERT_NULL(want_get(f.model, UUID1));
        outcome_of(&stopped, jobs->pdata[0]);
        ASSERT_TRUE(fixture_wait(&f, outcome_is_known, &stopped));
}

/* Want.waiting is the reason of a definition that waits, and of no other. */
static void test_reason(void)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        _cleanup_fixture_ Fixture f;

        fixture_init(&f);
        fixture_new_manager(&f);
        ASSERT_OK(manager_open(f.manager));
        ASSERT_EQ(define(&f, DEFINE(.type = "8086/-/-/640/GVTg_V5_4", .gpu = GVT_G, .uuid = UUID1)),
                  VGPUD_ERROR_NONE);
        ASSERT_NULL(define_get_waiting(f.model, get(&f, UUID1)));
        want_add(f.model, UUID1);
        ASSERT_STREQ(state(&f, UUID1), "waiting");
        ASSERT_NULL(define_get_waiting(f.model, get(&f, UUID1)));
        vgpud_error_setf(&e, VGPUD_ERROR_NO_SUCH_GPU, "there is none");
        want_set_waiting(f.model, want_get(f.model, UUID1), &e);
        ASSERT_EQ(define_get_waiting(f.model, get(&f, UUID1))->code, VGPUD_ERROR_NO_SUCH_GPU);
        want_remove(f.model, UUID1);
        ASSERT_NULL(define_get_waiting(f.model, get(&f, UUID1)));
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_life);
        TEST(test_refusals);
        TEST(test_absent_gpus);
        TEST(test_edit);
        TEST(test_from);
        TEST(test_keep);
        TEST(test_quota);
        TEST(test_unknown);
        TEST(test_killed_keep);
        TEST(test_unread_gpu);
        TEST(test_two_names);
        TEST(test_parents);
        TEST(test_job_in_progress);
        TEST(test_autostart);
        TEST(test_want);
        TEST(test_reason);

        return tests_end();
}
