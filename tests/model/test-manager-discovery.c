/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The model while GPUs, drivers and parents of mediated devices change, and after discoveries with stale
 * facts. */

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "daemon/discovery/discovery.h"
#include "fixture.h"
#include "no-threads.h"

#define GVT_G  "0000:00:02.0"
#define A2     "0000:08:00.0"
#define NVIDIA "0000:41:00.0"
#define UUID1  "11111111-2222-4333-8444-555555555555"

/* Starts a create of UUID1 that hangs in its write on the first parent until fake_release(). */
static void start_hanging_create(Fixture *f, FakeGpu *g, const char *type, Outcome *o)
{
        g_autofree char *create =
                        g_strdup_printf("%s/mdev_supported_types/%s/create", fake_gpu_parent_path(g, 0), type);
        Job *job;

        fake_hang(f->kernel, "write", create);
        ASSERT_OK(request_create(f->model, REQUEST(.type = type, .uuid = UUID1), &job, NULL));
        outcome_of(o, job);
        fake_wait_hanging(f->kernel);
}

static void test_discovery(void)
{
        _cleanup_fixture_ Fixture f;

        fixture_init(&f);
        fixture_add(&f, fake_add_gvt_g(f.kernel, GVT_G));
        fixture_start(&f);
        ASSERT_TRUE(fixture_saw(&f, "gpu+ " GVT_G));
        ASSERT_TRUE(fixture_saw(&f, "gpu~ " GVT_G " state=ready"));
        ASSERT_EQ(fixture_available(&f, GVT_G, "i915-GVTg_V5_4"), 3);

        fixture_forget(&f);
        fixture_add(&f, fake_add_mdpy(f.kernel));
        fixture_discover(&f);
        ASSERT_TRUE(fixture_wait(&f, saw, (void *)"gpu~ mdpy state=ready"));
        /* no announcement for the unchanged GPU */
        ASSERT_FALSE(fixture_saw(&f, "gpu~ " GVT_G " types"));
}

/* A file of the GPU blocks the discovery. A GPU that is not in the model yet becomes stuck at once. A GPU in
 * the model becomes stuck after [jobs] timeout, and keeps its records and instances. */
static void test_blocked(void)
{
        _cleanup_fixture_ Fixture f;
        BlockedDevice b = { .name = (char *)GVT_G,
                            .path = (char *)"devices/pci0000:00/" GVT_G,
                            .file = (char *)"devices/pci0000:00/" GVT_G "/vendor",
                            .kind = DEVICE_GPU };
        g_autoptr(GPtrArray) none = g_ptr_array_new(), blocked = g_ptr_array_new();
        char uuid[UUID_STRLEN + 1];
        const Gpu *gpu;

        fixture_init(&f);
        log_set_max_level(LOG_CRIT);
        fixture_start(&f);
        g_ptr_array_add(blocked, &b);
        b.since_usec = (uint64_t)g_get_monotonic_time();
        arrivals_apply(f.model, none, blocked, b.since_usec);
        gpu = model_get_gpu(f.model, GVT_G);
        ASSERT_EQ(gpu->state, GPU_STUCK);
        ASSERT_CONTAINS(gpu->reason, "/vendor");
        ASSERT_ERROR(gpu_check_driven(gpu, NULL), ETIMEDOUT);

        fixture_add(&f, fake_add_gvt_g(f.kernel, GVT_G));
        fixture_discover(&f);
        ASSERT_TRUE(fixture_wait(&f, gpu_is_ready, (void *)GVT_G));
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "GVTg_V5_4"), uuid), VGPUD_ERROR_NONE);

        b.since_usec = (uint64_t)g_get_monotonic_time();
        arrivals_apply(f.model, none, blocked, b.since_usec);
        gpu = model_get_gpu(f.model, GVT_G);
        ASSERT_EQ(gpu->state, GPU_READY);
        f.config->job_timeout_usec = 0;
        arrivals_apply(f.model, none, blocked, (uint64_t)g_get_monotonic_time());
        ASSERT_EQ(gpu->state, GPU_STUCK);
        ASSERT_NOT_NULL(fixture_get(&f, uuid));
        ASSERT_EQ(fixture_count_records(&f), 1);

        f.config->job_timeout_usec = 120 * USEC_PER_SEC;
        fixture_discover(&f);
        ASSERT_TRUE(fixture_wait(&f, gpu_is_ready, (void *)GVT_G));
        ASSERT_EQ(fixture_get(&f, uuid)->origin, INSTANCE_ORIGIN_VGPUD);
}

static void discover_nothing(Fixture *f)
{
        g_autoptr(GPtrArray) none = g_ptr_array_new();

        arrivals_apply(f->model, none, NULL, (uint64_t)g_get_monotonic_time());
}

/* Returns the length of the log of the call at level "notice". */
static size_t measure_notices(Fixture *f, void (*call)(Fixture *f))
{
        FILE *saved = stderr;
        char *text = NULL;
        size_t size = 0;

        stderr = open_memstream(&text, &size);
        ASSERT_NOT_NULL(stderr);
        log_set_max_level(LOG_NOTICE);
        call(f);
        log_set_max_level(LOG_CRIT);
        ASSERT_EQ(fclose(stderr), 0);
        stderr = saved;
        free(text);

        return size;
}

/* The log has a notice if the GPU answers again, and none if the GPU is removed while a read blocks. */
static void test_blocked_end(void)
{
        _cleanup_fixture_ Fixture f;
        BlockedDevice b = { .name = (char *)GVT_G,
                            .path = (char *)"devices/pci0000:00/" GVT_G,
                            .file = (char *)"devices/pci0000:00/" GVT_G "/vendor",
                            .kind = DEVICE_GPU };
        g_autoptr(GPtrArray) none = g_ptr_array_new(), blocked = g_ptr_array_new();

        fixture_init(&f);
        fixture_start(&f);
        g_ptr_array_add(blocked, &b);
        b.since_usec = (uint64_t)g_get_monotonic_time();
        arrivals_apply(f.model, none, blocked, b.since_usec);
        ASSERT_EQ(measure_notices(&f, discover_nothing), 0);
        ASSERT_NULL(model_get_gpu(f.model, GVT_G));

        arrivals_apply(f.model, none, blocked, b.since_usec);
        fixture_add(&f, fake_add_gvt_g(f.kernel, GVT_G));
        ASSERT_TRUE(measure_notices(&f, fixture_discover) > 0);
        ASSERT_TRUE(fixture_wait(&f, gpu_is_ready, (void *)GVT_G));
}

static bool has_no_thread(Fixture *f, void *name)
{
        const Gpu *gpu = model_get_gpu(f->model, name);

        return gpu && gpu->state == GPU_FAILED && gpu->reason && gpu->hint.id == VGPUD_HINT_TRY_AGAIN;
}

/* No thread can be started for a new GPU, as under TasksMax=. The GPU is shown with the reason, other GPUs
 * work, and the GPU recovers later. */
static void test_no_thread(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        char uuid[UUID_STRLEN + 1];
        NoThreads limit;
        Job *job;

        fixture_init(&f);
        log_set_max_level(LOG_ERR);
        fixture_add(&f, fake_add_mdpy(f.kernel));
        fixture_start(&f);
        fixture_add(&f, fake_add_gvt_g(f.kernel, GVT_G));
        limit = no_threads_begin();
        fixture_discover(&f);
        ASSERT_TRUE(fixture_wait(&f, has_no_thread, (void *)GVT_G));
        ASSERT_ERROR(request_create(f.model, REQUEST(.type = "i915-GVTg_V5_4", .gpu = GVT_G), &job, &error),
                     EIO);
        ASSERT_EQ(error.code, VGPUD_ERROR_FAILED);
        ASSERT_EQ(error.hint.id, VGPUD_HINT_TRY_AGAIN);
        no_threads_end(&limit);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "mdpy-hd"), uuid), VGPUD_ERROR_NONE);
        ASSERT_TRUE(fixture_wait(&f, gpu_is_ready, (void *)GVT_G));
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "i915-GVTg_V5_4"), uuid), VGPUD_ERROR_NONE);
}

/* A discovery does not find the GPU, but it began before the GPU's last answer, so the GPU stays. */
static void test_old_inventory(void)
{
        _cleanup_fixture_ Fixture f;
        g_autoptr(GPtrArray) none = g_ptr_array_new();
        char uuid[UUID_STRLEN + 1];

        fixture_init(&f);
        fixture_add(&f, fake_add_gvt_g(f.kernel, GVT_G));
        fixture_start(&f);
        uint64_t began_usec = (uint64_t)g_get_monotonic_time();
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "GVTg_V5_4"), uuid), VGPUD_ERROR_NONE);
        arrivals_apply(f.model, none, NULL, began_usec);
        ASSERT_NOT_NULL(fixture_get(&f, uuid));
        ASSERT_EQ(fixture_get(&f, uuid)->origin, INSTANCE_ORIGIN_VGPUD);
        arrivals_apply(f.model, none, NULL, (uint64_t)g_get_monotonic_time());
        ASSERT_NULL(model_get_gpu(f.model, GVT_G));
}

/* A discovery finds no driver of the GPU, but it began before the GPU's last answer, so its facts do not
 * count. */
static void test_old_facts(void)
{
        _cleanup_fixture_ Fixture f;
        g_autoptr(GPtrArray) found = g_ptr_array_new();
        char uuid[UUID_STRLEN + 1];

        fixture_init(&f);
        fixture_add(&f, fake_add_gvt_g(f.kernel, GVT_G));
        fixture_start(&f);
        GpuFacts *old = fake_gpu_facts(f.fake_gpus->pdata[0]);
        g_clear_pointer(&old->driver, g_free);
        g_ptr_array_set_size(old->mdev_parents, 0);
        g_ptr_array_add(found, old);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "GVTg_V5_4"), uuid), VGPUD_ERROR_NONE);
        arrivals_apply(f.model, found, NULL, old->began_usec);
        ASSERT_NOT_NULL(model_get_gpu(f.model, GVT_G)->driver);
        ASSERT_NOT_NULL(fixture_get(&f, uuid));
        ASSERT_EQ(fixture_get(&f, uuid)->origin, INSTANCE_ORIGIN_VGPUD);
        gpu_facts_unref(old);
}

/* A discovery finds another device at the GPU's address, but it began before the GPU's last answer: the object
 * still describes the first device. */
static void test_other_device(void)
{
        _cleanup_fixture_ Fixture f;
        g_autoptr(GPtrArray) found = g_ptr_array_new();
        char uuid[UUID_STRLEN + 1];

        fixture_init(&f);
        fixture_add(&f, fake_add_gvt_g(f.kernel, GVT_G));
        fixture_start(&f);
        uint16_t first = model_get_gpu(f.model, GVT_G)->facts->device;
        GpuFacts *other = fake_gpu_facts(f.fake_gpus->pdata[0]);
        other->device++;
        g_ptr_array_add(found, other);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "GVTg_V5_4"), uuid), VGPUD_ERROR_NONE);
        fixture_forget(&f);
        arrivals_apply(f.model, found, NULL, other->began_usec);
        ASSERT_EQ(model_get_gpu(f.model, GVT_G)->facts->device, first);
        ASSERT_FALSE(fixture_saw(&f, "gpu- " GVT_G));

        /* The same facts from a newer discovery count. */
        other->began_usec = (uint64_t)g_get_monotonic_time();
        arrivals_apply(f.model, found, NULL, other->began_usec);
        ASSERT_TRUE(fixture_saw(&f, "gpu- " GVT_G));
        ASSERT_TRUE(fixture_saw(&f, "gpu+ " GVT_G));
        ASSERT_EQ(model_get_gpu(f.model, GVT_G)->facts->device, first + 1);
        gpu_facts_unref(other);
}

/* The GPU leaves the model during a create. The record stays, even after a discovery that began before the
 * end of the create. */
static void test_made_meanwhile(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_outcome_ Outcome o = { 0 };
        g_autoptr(GPtrArray) none = g_ptr_array_new();
        FakeGpu *mdpy;
        Job *job;

        fixture_init(&f);
        mdpy = fake_add_mdpy(f.kernel);
        fixture_add(&f, mdpy);
        fixture_start(&f);
        g_autofree char *create = g_strconcat(fake_gpu_parent_path(mdpy, 0),
                                              "/mdev_supported_types/mdpy-hd/create", NULL);
        fake_hang(f.kernel, "write", create);
        ASSERT_OK(request_create(f.model, REQUEST(.type = "mdpy-hd", .uuid = UUID1, .name = "hugo"), &job,
                                 NULL));
        outcome_of(&o, job);
        fake_wait_hanging(f.kernel);
        arrivals_apply(f.model, none, NULL, (uint64_t)g_get_monotonic_time());
        ASSERT_NULL(model_get_gpu(f.model, "mdpy"));
        uint64_t began_usec = (uint64_t)g_get_monotonic_time();
        fake_release(f.kernel);
        ASSERT_TRUE(fixture_wait(&f, outcome_is_known, &o));
        ASSERT_EQ(fixture_count_records(&f), 1);
        arrivals_apply(f.model, none, NULL, began_usec);
        ASSERT_EQ(fixture_count_records(&f), 1);
        fixture_discover(&f);
        ASSERT_TRUE(fixture_wait(&f, instance_is_there, (void *)UUID1));
        ASSERT_STREQ(fixture_get(&f, UUID1)->name, "hugo");
        fixture_unload(&f, mdpy);
        fixture_discover(&f);
        ASSERT_EQ(fixture_count_records(&f), 0);
}

/* A discovery that began during a create finds no GPU: the GPU stays, until a later discovery finds none
 * either. */
static void test_made_during_a_discovery(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_outcome_ Outcome o = { 0 };
        g_autoptr(GPtrArray) none = g_ptr_array_new();

        fixture_init(&f);
        FakeGpu *g = fake_add_large(f.kernel, A2, 32, 20);
        fixture_add(&f, g);
        fixture_start(&f);
        const VgpuType *type = model_get_gpu(f.model, A2)->snapshot->types->pdata[0];
        start_hanging_create(&f, g, type->id, &o);
        uint64_t began_usec = (uint64_t)g_get_monotonic_time();
        fake_release(f.kernel);
        ASSERT_TRUE(fixture_wait(&f, outcome_is_known, &o));
        arrivals_apply(f.model, none, NULL, began_usec);
        ASSERT_NOT_NULL(fixture_get(&f, UUID1));
        ASSERT_EQ(fixture_count_records(&f), 1);
        arrivals_apply(f.model, none, NULL, (uint64_t)g_get_monotonic_time());
        ASSERT_NULL(model_get_gpu(f.model, A2));
        ASSERT_EQ(fixture_count_records(&f), 0);
}

/* The parents of a GPU appear one by one. An instance is created on a parent that the latest facts do not
 * have yet. */
static void test_parents_one_by_one(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_outcome_ Outcome o = { 0 };
        g_autoptr(GPtrArray) found = g_ptr_array_new();

        fixture_init(&f);
        FakeGpu *g = fake_add_nvidia_a2(f.kernel, NVIDIA, 2);
        fixture_add(&f, g);
        fixture_start(&f);
        start_hanging_create(&f, g, "nvidia-746", &o);
        GpuFacts *early = fake_gpu_facts(g);
        ASSERT_EQ(early->mdev_parents->len, 2);
        g_ptr_array_remove_index(early->mdev_parents, 0);
        g_ptr_array_add(found, early);
        arrivals_apply(f.model, found, NULL, early->began_usec);
        ASSERT_EQ(model_get_gpu(f.model, NVIDIA)->facts->mdev_parents->len, 1);
        fake_release(f.kernel);
        ASSERT_TRUE(fixture_wait(&f, outcome_is_known, &o));
        ASSERT_TRUE(fixture_wait(&f, gpu_is_at_rest, (void *)NVIDIA));
        ASSERT_NOT_NULL(fixture_get(&f, UUID1));
        ASSERT_EQ(fixture_count_records(&f), 1);

        /* `early` lacks the parent, but the discovery began before the create, so the instance stays. */
        arrivals_apply(f.model, found, NULL, early->began_usec);
        ASSERT_TRUE(fixture_wait(&f, gpu_is_at_rest, (void *)NVIDIA));
        ASSERT_NOT_NULL(fixture_get(&f, UUID1));
        fixture_discover(&f);
        ASSERT_TRUE(fixture_wait(&f, gpu_is_at_rest, (void *)NVIDIA));
        ASSERT_EQ(fixture_get(&f, UUID1)->origin, INSTANCE_ORIGIN_VGPUD);

        /* If the discovery began after the create, the missing parent removes the instance. */
        early->began_usec = (uint64_t)g_get_monotonic_time();
        arrivals_apply(f.model, found, NULL, early->began_usec);
        ASSERT_TRUE(fixture_wait(&f, gpu_is_at_rest, (void *)NVIDIA));
        ASSERT_NULL(fixture_get(&f, UUID1));
        ASSERT_EQ(fixture_count_records(&f), 0);
        gpu_facts_unref(early);
}

/* As test_parents_one_by_one(), but the GPU leaves the model and returns during the create. */
static void test_parents_of_another_object(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_outcome_ Outcome o = { 0 };
        g_autoptr(GPtrArray) none = g_ptr_array_new();
        g_autoptr(GPtrArray) found = g_ptr_array_new();

        fixture_init(&f);
        FakeGpu *g = fake_add_nvidia_a2(f.kernel, NVIDIA, 2);
        fixture_add(&f, g);
        fixture_start(&f);
        start_hanging_create(&f, g, "nvidia-746", &o);
        arrivals_apply(f.model, none, NULL, (uint64_t)g_get_monotonic_time());
        GpuFacts *early = fake_gpu_facts(g);
        g_ptr_array_remove_index(early->mdev_parents, 0);
        g_ptr_array_add(found, early);
        arrivals_apply(f.model, found, NULL, early->began_usec);
        fake_release(f.kernel);
        ASSERT_TRUE(fixture_wait(&f, outcome_is_known, &o));
        ASSERT_TRUE(fixture_wait(&f, gpu_is_at_rest, (void *)NVIDIA));
        ASSERT_EQ(fixture_count_records(&f), 1);
        fixture_discover(&f);
        ASSERT_TRUE(fixture_wait(&f, instance_is_there, (void *)UUID1));
        ASSERT_EQ(fixture_get(&f, UUID1)->origin, INSTANCE_ORIGIN_VGPUD);
        gpu_facts_unref(early);
}

/* The GPU disappears while one job runs and another waits. */
static void test_gone(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_outcome_ Outcome first = { 0 }, second = { 0 };
        char uuid[UUID_STRLEN + 1];
        FakeGpu *mdpy;
        Job *job;

        fixture_init(&f);
        mdpy = fake_add_mdpy(f.kernel);
        fixture_add(&f, mdpy);
        fixture_start(&f);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "mdpy-hd", .uuid = UUID1), uuid), VGPUD_ERROR_NONE);
        g_autofree char *create = g_strconcat(fake_gpu_parent_path(mdpy, 0),
                                              "/mdev_supported_types/mdpy-hd/create", NULL);
        fake_hang(f.kernel, "write", create);
        ASSERT_OK(request_create(f.model, REQUEST(.type = "mdpy-hd"), &job, NULL));
        outcome_of(&first, job);
        fake_wait_hanging(f.kernel);
        ASSERT_OK(request_create(f.model, REQUEST(.type = "mdpy-hd"), &job, NULL));
        outcome_of(&second, job);

        fixture_unload(&f, mdpy);
        fixture_discover(&f);
        ASSERT_NULL(model_get_gpu(f.model, "mdpy"));
        ASSERT_NULL(fixture_get(&f, UUID1));
        ASSERT_TRUE(fixture_saw(&f, "instance- " UUID1));
        ASSERT_TRUE(fixture_saw(&f, "gpu- mdpy"));
        ASSERT_EQ(second.code, VGPUD_ERROR_GPU_GONE);
        fake_heal(f.kernel);
        fake_release(f.kernel);
        ASSERT_TRUE(fixture_wait(&f, outcome_is_known, &first));
        ASSERT_EQ(first.code, VGPUD_ERROR_GPU_GONE);
        ASSERT_EQ(g_hash_table_size(model_jobs(f.model)), 0);
        ASSERT_EQ(g_hash_table_size(model_instances(f.model)), 0);
        ASSERT_EQ(fixture_count_records(&f), 0);
}

/* The driver is unloaded after the write of a create: the instance is gone before it can be scanned. */
static void test_gone_at_once(void)
{
        _cleanup_fixture_ Fixture f;
        char uuid[UUID_STRLEN + 1];
        FakeGpu *mdpy;

        fixture_init(&f);
        mdpy = fake_add_mdpy(f.kernel);
        fixture_add(&f, mdpy);
        fixture_start(&f);
        fake_fail(f.kernel, "list", fake_gpu_parent_path(mdpy, 0), ENODEV);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "mdpy-hd", .name = "hugo"), uuid), VGPUD_ERROR_GPU_GONE);
        ASSERT_EQ(fixture_count_records(&f), 0);
        fake_heal(f.kernel);
        fixture_unload(&f, mdpy);
        fixture_discover(&f);
        ASSERT_EQ(g_hash_table_size(model_instances(f.model)), 0);
        ASSERT_EQ(fixture_count_records(&f), 0);
}

/* The driver is unloaded while no daemon runs. */
static void test_gone_meanwhile(void)
{
        _cleanup_fixture_ Fixture f;
        char uuid[UUID_STRLEN + 1];
        FakeGpu *mdpy;

        fixture_init(&f);
        mdpy = fake_add_mdpy(f.kernel);
        fixture_add(&f, mdpy);
        fixture_add(&f, fake_add_mtty(f.kernel));
        fixture_start(&f);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "mdpy-hd", .name = "hugo"), uuid), VGPUD_ERROR_NONE);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "mtty-1", .name = "emil"), uuid), VGPUD_ERROR_NONE);
        fixture_stop(&f);
        fixture_unload(&f, mdpy);
        fixture_start(&f);
        ASSERT_EQ(fixture_count_records(&f), 1);
        ASSERT_STREQ(fixture_get(&f, uuid)->name, "emil");
        /* the name is free */
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "mtty-1", .name = "hugo"), uuid), VGPUD_ERROR_NONE);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_discovery);
        TEST(test_blocked);
        TEST(test_blocked_end);
        TEST(test_no_thread);
        TEST(test_old_inventory);
        TEST(test_old_facts);
        TEST(test_other_device);
        TEST(test_made_meanwhile);
        TEST(test_made_during_a_discovery);
        TEST(test_parents_one_by_one);
        TEST(test_parents_of_another_object);
        TEST(test_gone);
        TEST(test_gone_at_once);
        TEST(test_gone_meanwhile);

        return tests_end();
}
