/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Instances that are VFs, for which the kernel has no UUIDs, and jobs that change the number of VFs. */

#include "base/fs-util.h"
#include "daemon/store/autoprobe.h"
#include "drivers-glue/vf/bind.h"
#include "fixture.h"

#define XE    "0000:03:00.0"
#define VF0   "0000:03:00.1"
#define UUID1 "11111111-2222-4333-8444-555555555555"

static Gpu *gpu(Fixture *f)
{
        return model_get_gpu(f->model, XE);
}

/* Set the number of VFs and wait. Returns the code of the error. */
static VgpudErrorCode set_vfs(Fixture *f, uint32_t count)
{
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        _cleanup_outcome_ Outcome o = { 0 };
        Job *job;

        if (request_set_vfs(gpu(f), count, false, 0, &job, &error) < 0)
                return error.code;

        outcome_of(&o, job);
        g_assert(fixture_wait(f, outcome_is_known, &o));

        return o.code;
}

static VgpudErrorCode configure(Fixture *f, const char *mode, const char *value)
{
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        Job *job;

        g_assert(request_configure(gpu(f), mode, value, false, 0, &job, &error) < 0);

        return error.code;
}

static FakePf *start(Fixture *f, FakePfModel model)
{
        FakePf *pf;

        fixture_init(f);
        pf = fixture_add_pf(f, model, XE, 7);
        fixture_start(f);

        return pf;
}

static void test_life(void)
{
        _cleanup_fixture_ Fixture f;
        char uuid[UUID_STRLEN + 1];

        (void)start(&f, FAKE_PF_XE);
        ASSERT_EQ(gpu(&f)->state, GPU_UNPREPARED);
        ASSERT_EQ(gpu(&f)->hint.id, VGPUD_HINT_ENABLE_VFS);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "vf", .gpu = XE), uuid), VGPUD_ERROR_UNSUPPORTED);
        ASSERT_EQ(set_vfs(&f, 8), VGPUD_ERROR_INVALID);
        ASSERT_EQ(configure(&f, "heterogeneous", "yes"), VGPUD_ERROR_UNSUPPORTED);

        /* The model shows the VFs before the job ends. */
        fixture_forget(&f);
        ASSERT_EQ(set_vfs(&f, 2), VGPUD_ERROR_NONE);
        ASSERT_TRUE(fixture_saw(&f, "gpu~ " XE " state=ready"));
        ASSERT_EQ(gpu(&f)->facts->enabled_vfs, 2);
        ASSERT_EQ(gpu(&f)->facts->vfs->len, 2);

        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "vf", .uuid = UUID1, .name = "one", .requester = 1000),
                                 uuid),
                  VGPUD_ERROR_NONE);
        const Instance *i = model_get_instance(f.model, UUID1);
        ASSERT_NOT_NULL(i);
        ASSERT_STREQ(i->desc->slot, VF0);
        ASSERT_EQ(i->origin, INSTANCE_ORIGIN_VGPUD);
        ASSERT_EQ(set_vfs(&f, 0), VGPUD_ERROR_IN_USE);
        ASSERT_EQ(set_vfs(&f, 3), VGPUD_ERROR_IN_USE);
        ASSERT_EQ(set_vfs(&f, 2), VGPUD_ERROR_NONE);

        ASSERT_EQ(fixture_destroy(&f, "one", 0), VGPUD_ERROR_NONE);
        ASSERT_EQ(set_vfs(&f, 3), VGPUD_ERROR_NONE);
        ASSERT_EQ(gpu(&f)->facts->enabled_vfs, 3);
        ASSERT_EQ(set_vfs(&f, 0), VGPUD_ERROR_NONE);
        ASSERT_EQ(gpu(&f)->state, GPU_UNPREPARED);
}

/* A create of several instances creates all or none. A failure removes the reservations. */
static void test_all_or_none(void)
{
        _cleanup_fixture_ Fixture f;
        char uuid[UUID_STRLEN + 1];
        g_auto(GStrv) names = NULL;
        FakePf *pf = start(&f, FAKE_PF_PLAIN);

        ASSERT_EQ(set_vfs(&f, 3), VGPUD_ERROR_NONE);
        g_autofree char *path = g_strconcat(fake_vf_path(pf, 2), "/driver_override", NULL);
        fake_fail(f.kernel, "write", path, EIO);
        ASSERT_EQ(fixture_create(&f, REQUEST_N(3, .type = "vf"), uuid), VGPUD_ERROR_FAILED);

        for (unsigned n = 0; n < 3; n++) {
                ASSERT_NULL(fake_vf_driver(pf, n));
                ASSERT_NULL(fake_vf_override(pf, n));
        }

        ASSERT_EQ(g_hash_table_size(model_instances(f.model)), 0);
        ASSERT_OK(fs_list_at(f.scratch.fd, "instance", &names));
        ASSERT_EQ(g_strv_length(names), 0);
        fake_heal(f.kernel);
        ASSERT_EQ(fixture_create(&f, REQUEST_N(3, .type = "vf"), uuid), VGPUD_ERROR_NONE);
        ASSERT_EQ(g_hash_table_size(model_instances(f.model)), 3);
}

static void hold_vf(Fixture *f, FakePf *pf, unsigned n)
{
        g_autofree char *node = g_strdup_printf("vfio/%d", fake_vf_group(pf, n));

        fake_hold_node(f->kernel, node, 4711, "qemu");
}

static void release_vf(Fixture *f, FakePf *pf, unsigned n)
{
        g_autofree char *node = g_strdup_printf("vfio/%d", fake_vf_group(pf, n));

        fake_hold_node(f->kernel, node, 0, NULL);
}

/* UUIDs of foreign instances are stable until the host restarts. */
static void test_foreign(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        g_autofree char *foreign = NULL;
        char uuid[UUID_STRLEN + 1];
        GHashTableIter iter;
        Instance *i;
        FakePf *pf = start(&f, FAKE_PF_PLAIN);
        VgpuIo *io = fake_kernel_io(f.kernel);

        ASSERT_OK(fake_pf_enable(pf, 2));
        fixture_discover(&f);
        ASSERT_TRUE(fixture_wait(&f, saw, (void *)("gpu~ " XE " state=ready")));
        VgpuVf vf = { .index = 0, .name = (char *)VF0, .path = (char *)fake_vf_path(pf, 0) };
        ASSERT_OK(vfs_bind(io, &vf, "vfio-pci", "vfio-pci", &error));
        hold_vf(&f, pf, 0);
        gpu_want_scan(gpu(&f), GPU_SCAN_NOW);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "vf"), uuid), VGPUD_ERROR_NONE);
        ASSERT_EQ(g_hash_table_size(model_instances(f.model)), 2);
        ASSERT_OK(request_get_instance(f.model, uuid, &i, &error));
        ASSERT_STREQ(i->desc->slot, "0000:03:00.2");

        g_hash_table_iter_init(&iter, model_instances(f.model));
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&i))
                if (i->origin == INSTANCE_ORIGIN_FOREIGN)
                        foreign = g_strdup(i->desc->uuid);

        ASSERT_NOT_NULL(foreign);
        ASSERT_EQ(foreign[14], '8'); /* the version of a UUID that uuid_derive() makes */
        ASSERT_EQ(fixture_destroy(&f, foreign, 0), VGPUD_ERROR_FOREIGN);

        fixture_stop(&f);
        fixture_start(&f);
        ASSERT_NOT_NULL(model_get_instance(f.model, foreign));
        ASSERT_EQ(model_get_instance(f.model, uuid)->origin, INSTANCE_ORIGIN_VGPUD);
        ASSERT_EQ(fixture_destroy(&f, foreign, DESTROY_FOREIGN), VGPUD_ERROR_IN_USE);
        release_vf(&f, pf, 0);
        ASSERT_EQ(fixture_destroy(&f, foreign, DESTROY_FOREIGN), VGPUD_ERROR_NONE);
        ASSERT_NULL(fake_vf_override(pf, 0));
        vgpu_io_free(io);
}

static bool is_running(Fixture *f, void *job)
{
        return ((Job *)job)->state == JOB_RUNNING;
}

/* Starts a job that hangs in its first write. */
static Job *start_hanging(Fixture *f, Outcome *o)
{
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        g_autofree char *path =
                        g_strconcat(fake_pf_path(f->fake_pfs->pdata[0]), "/sriov_drivers_autoprobe", NULL);
        Job *job;

        fake_hang(f->kernel, "write", path);
        g_assert(request_set_vfs(gpu(f), 2, false, 0, &job, &error) >= 0);
        outcome_of(o, job);
        g_assert(fixture_wait(f, is_running, job));
        fake_wait_hanging(f->kernel);

        return job;
}

/* A discovery finds VFs during a job. The facts stay as they are until the job reads them at its end. */
static void test_seen_meanwhile(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_outcome_ Outcome o = { 0 };
        g_autoptr(GPtrArray) found = g_ptr_array_new();

        (void)start(&f, FAKE_PF_XE);
        (void)start_hanging(&f, &o);
        GpuFacts *facts = fake_pf_facts(f.fake_pfs->pdata[0]);
        facts->enabled_vfs = 1;
        g_ptr_array_add(found, facts);
        arrivals_apply(f.model, found, NULL, (uint64_t)g_get_monotonic_time());
        gpu_facts_unref(facts);
        ASSERT_EQ(gpu(&f)->facts->enabled_vfs, 0);
        fake_release(f.kernel);
        ASSERT_TRUE(fixture_wait(&f, outcome_is_known, &o));
        ASSERT_EQ(o.code, VGPUD_ERROR_NONE);
        ASSERT_EQ(gpu(&f)->facts->enabled_vfs, 2);
}

/* A slow discovery has facts from before the job, which do not count. */
static void test_old_facts(void)
{
        _cleanup_fixture_ Fixture f;
        g_autoptr(GPtrArray) found = g_ptr_array_new();
        char uuid[UUID_STRLEN + 1];

        (void)start(&f, FAKE_PF_XE);
        GpuFacts *old = fake_pf_facts(f.fake_pfs->pdata[0]);
        g_ptr_array_add(found, old);
        ASSERT_EQ(set_vfs(&f, 2), VGPUD_ERROR_NONE);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "vf", .name = "precious"), uuid), VGPUD_ERROR_NONE);
        fixture_forget(&f);
        arrivals_apply(f.model, found, NULL, old->began_usec);
        ASSERT_EQ(gpu(&f)->facts->enabled_vfs, 2);
        /* Facts of another device do not count either if they are from before the job. */
        old->device++;
        arrivals_apply(f.model, found, NULL, old->began_usec);
        fixture_discover(&f);
        ASSERT_EQ(gpu(&f)->facts->enabled_vfs, 2);
        ASSERT_STREQ(model_get_instance(f.model, uuid)->name, "precious");
        ASSERT_FALSE(fixture_saw(&f, "gpu- " XE));
        gpu_facts_unref(old);
}

static bool is_at_rest(Fixture *f, void *data)
{
        return f->model->wishes == 0 && !gpu(f)->scan && !gpu(f)->debounce;
}

/* A scan that was requested during a job runs after it. */
static void test_old_scan(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_outcome_ Outcome o = { 0 };

        (void)start(&f, FAKE_PF_XE);
        (void)start_hanging(&f, &o);
        gpu_want_scan(gpu(&f), GPU_SCAN_NOW);
        fixture_forget(&f);
        fake_release(f.kernel);
        ASSERT_TRUE(fixture_wait(&f, outcome_is_known, &o));
        ASSERT_EQ(o.code, VGPUD_ERROR_NONE);
        ASSERT_EQ(gpu(&f)->state, GPU_READY);
        ASSERT_TRUE(fixture_wait(&f, is_at_rest, NULL));
        ASSERT_EQ(gpu(&f)->state, GPU_READY);
        ASSERT_FALSE(fixture_saw(&f, "gpu~ " XE " state=unprepared"));
}

/* While no daemon ran, another program recreated the VFs and bound the VF of the same name: the instance is
 * foreign. */
static void test_made_anew(void)
{
        _cleanup_fixture_ Fixture f;
        char uuid[UUID_STRLEN + 1];
        FakePf *pf = start(&f, FAKE_PF_XE);
        VgpuIo *io = fake_kernel_io(f.kernel);

        ASSERT_EQ(set_vfs(&f, 2), VGPUD_ERROR_NONE);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "vf", .name = "one"), uuid), VGPUD_ERROR_NONE);
        fixture_stop(&f);
        fixture_start(&f);
        ASSERT_EQ(model_get_instance(f.model, uuid)->origin, INSTANCE_ORIGIN_VGPUD);
        fixture_stop(&f);
        ASSERT_OK(fake_pf_enable(pf, 0));
        ASSERT_OK(fake_pf_enable(pf, 2));
        ASSERT_OK(vfs_bind(io, &(VgpuVf){ .name = (char *)VF0, .path = (char *)fake_vf_path(pf, 0) },
                           "vfio-pci", "vfio-pci", NULL));
        hold_vf(&f, pf, 0);
        fixture_start(&f);
        ASSERT_NULL(model_get_instance(f.model, uuid));
        ASSERT_EQ(g_hash_table_size(model_instances(f.model)), 1);
        GHashTableIter iter;
        Instance *instance;
        g_hash_table_iter_init(&iter, model_instances(f.model));
        g_assert(g_hash_table_iter_next(&iter, NULL, (gpointer *)&instance));
        ASSERT_EQ(instance->origin, INSTANCE_ORIGIN_FOREIGN);
        ASSERT_STREQ(instance->desc->slot, VF0);
        /* The name "one" is free again. */
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "vf", .name = "one"), uuid), VGPUD_ERROR_NONE);
        vgpu_io_free(io);
}

/* The third create of a job fails, and so does the rollback of the first. The second is rolled back all the
 * same. */
static int fail_and_stay(FakeKernel *k, const char *path, void *first)
{
        fake_fail(k, "write", first, EIO);
        return -EIO;
}

static void test_undo_all(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_outcome_ Outcome o = { 0 };
        FakePf *pf = start(&f, FAKE_PF_XE);
        Job *job;

        ASSERT_EQ(set_vfs(&f, 3), VGPUD_ERROR_NONE);
        g_autofree char *first = g_strconcat(fake_vf_path(pf, 0), "/driver_override", NULL);
        g_autofree char *third = g_strconcat(fake_vf_path(pf, 2), "/driver_override", NULL);
        fake_before(f.kernel, "write", third, fail_and_stay, first);
        ASSERT_OK(request_create(f.model, REQUEST_N(3, .type = "vf", .gpu = XE), &job, NULL));
        g_autofree char *uuid = g_strdup(job->uuids->pdata[0]);
        outcome_of(&o, job);
        ASSERT_TRUE(fixture_wait(&f, outcome_is_known, &o));
        ASSERT_EQ(o.code, VGPUD_ERROR_INCONSISTENT);
        ASSERT_CONTAINS(o.message, uuid);
        ASSERT_NULL(fake_vf_driver(pf, 1));
        ASSERT_NULL(fake_vf_override(pf, 1));
        ASSERT_EQ(g_hash_table_size(model_instances(f.model)), 1);
        /* The instance that is left belongs to vgpud, and can be destroyed later. */
        ASSERT_STREQ(model_get_instance(f.model, uuid)->desc->slot, VF0);
        fake_heal(f.kernel);
        ASSERT_EQ(fixture_destroy(&f, uuid, 0), VGPUD_ERROR_NONE);
}

/* A killed daemon left autoprobe at 0. The next daemon fails to restore it, and the daemon after that
 * succeeds. */
static void test_probe_again(void)
{
        _cleanup_fixture_ Fixture f;
        FakePf *pf = start(&f, FAKE_PF_XE);
        VgpuIo *io = fake_kernel_io(f.kernel);
        g_autofree char *path = g_strconcat(fake_pf_path(pf), "/sriov_drivers_autoprobe", NULL);
        g_autofree char *value = NULL;

        autoprobe_mark(shared_fd_get(f.model->runtime), XE);
        fixture_stop(&f);
        ASSERT_OK(vgpu_io_write(io, path, "0"));
        fake_fail(f.kernel, "write", path, EIO);
        fixture_start(&f);
        ASSERT_TRUE(autoprobe_is_marked(shared_fd_get(f.model->runtime), XE));
        fake_heal(f.kernel);
        fixture_stop(&f);
        fixture_start(&f);
        ASSERT_FALSE(autoprobe_is_marked(shared_fd_get(f.model->runtime), XE));
        ASSERT_OK(vgpu_io_read(io, path, &value));
        ASSERT_STREQ(value, "1");
        vgpu_io_free(io);
}

/* A job with quotas switches automatic provisioning off. The next daemon knows this from a note, and switches
 * the provisioning on when it disables the VFs. */
static void test_provision_again(void)
{
        _cleanup_fixture_ Fixture f;
        FakePf *pf = start(&f, FAKE_PF_I915);
        VgpuIo *io = fake_kernel_io(f.kernel);
        g_autofree char *path = g_strconcat(fake_pf_path(pf), "/drm/card1/iov/pf/auto_provisioning", NULL);
        g_autofree char *before = NULL, *after = NULL;
        g_autoptr(GPtrArray) attributes = g_ptr_array_new();
        char uuid[UUID_STRLEN + 1];

        g_ptr_array_add(attributes, &(VgpuAttribute){ (char *)"exec_quantum_ms", (char *)"10" });
        ASSERT_EQ(set_vfs(&f, 2), VGPUD_ERROR_NONE);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "vf-profile", .gpu = XE, .attributes = attributes), uuid),
                  VGPUD_ERROR_NONE);
        ASSERT_EQ(fixture_destroy(&f, uuid, 0), VGPUD_ERROR_NONE);
        fixture_stop(&f);
        ASSERT_OK(vgpu_io_read(io, path, &before));
        ASSERT_STREQ(before, "0");
        fixture_start(&f);
        ASSERT_EQ(set_vfs(&f, 0), VGPUD_ERROR_NONE);
        ASSERT_OK(vgpu_io_read(io, path, &after));
        ASSERT_STREQ(after, "1");
        vgpu_io_free(io);
}

static int second_fails(FakeKernel *k, const char *path, void *n)
{
        return ++*(unsigned *)n == 2 ? -EIO : 0;
}

static int fails_but_first(FakeKernel *k, const char *path, void *n)
{
        return ++*(unsigned *)n >= 2 ? -EIO : 0;
}

static void assert_probed_again(Fixture *f, FakePf *pf)
{
        VgpuIo *io = fake_kernel_io(f->kernel);
        g_autofree char *value = NULL;

        ASSERT_TRUE(fixture_wait(f, is_at_rest, NULL));
        ASSERT_OK(vgpu_io_readf(io, &value, "%s/sriov_drivers_autoprobe", fake_pf_path(pf)));
        ASSERT_STREQ(value, "1");
        ASSERT_FALSE(autoprobe_is_marked(shared_fd_get(f->model->runtime), XE));
        vgpu_io_free(io);
}

/* A job failed to restore autoprobe. The next scan retries. Jobs that do not restore it, and canceled jobs,
 * keep the mark. */
static void test_probe_again_after_job(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_outcome_ Outcome first = { 0 }, second = { 0 };
        FakePf *pf = start(&f, FAKE_PF_XE);
        g_autofree char *path = g_strconcat(fake_pf_path(pf), "/sriov_drivers_autoprobe", NULL);
        g_autofree char *numvfs = g_strconcat(fake_pf_path(pf), "/sriov_numvfs", NULL);
        unsigned n = 0;
        Job *job;

        fake_before(f.kernel, "write", path, second_fails, &n);
        ASSERT_OK(request_set_vfs(gpu(&f), 2, false, 0, &job, NULL));
        outcome_of(&first, job);
        ASSERT_TRUE(fixture_wait(&f, outcome_is_known, &first));
        ASSERT_EQ(first.code, VGPUD_ERROR_INCONSISTENT);
        assert_probed_again(&f, pf);
        fake_heal(f.kernel);
        outcome_done(&first);

        n = 0;
        fake_before(f.kernel, "write", path, fails_but_first, &n);
        ASSERT_OK(request_set_vfs(gpu(&f), 3, false, 0, &job, NULL));
        first = (Outcome){ 0 };
        outcome_of(&first, job);
        ASSERT_TRUE(fixture_wait(&f, outcome_is_known, &first));
        ASSERT_EQ(first.code, VGPUD_ERROR_INCONSISTENT);
        /* The job for 0 VFs blocks the lane, so that the job for 2 VFs still waits when it is canceled. */
        fake_hang(f.kernel, "write", numvfs);
        ASSERT_OK(request_set_vfs(gpu(&f), 0, false, 0, &job, NULL));
        outcome_of(&second, job);
        fake_wait_hanging(f.kernel);
        ASSERT_OK(request_set_vfs(gpu(&f), 2, false, 0, &job, NULL));
        ASSERT_OK(queue_cancel(job, NULL));
        fake_release(f.kernel);
        ASSERT_TRUE(fixture_wait(&f, outcome_is_known, &second));
        ASSERT_EQ(second.code, VGPUD_ERROR_NONE);
        ASSERT_TRUE(autoprobe_is_marked(shared_fd_get(f.model->runtime), XE));
        fixture_stop(&f);
        fake_heal(f.kernel);
        fixture_start(&f);
        assert_probed_again(&f, pf);
}

static void test_unplugged(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_outcome_ Outcome o = { 0 };
        FakePf *pf = start(&f, FAKE_PF_XE);

        (void)start_hanging(&f, &o);
        g_ptr_array_set_size(f.fake_pfs, 0);
        fixture_discover(&f);
        ASSERT_NULL(gpu(&f));
        fake_pf_unplug(pf);
        fake_release(f.kernel);
        ASSERT_TRUE(fixture_wait(&f, outcome_is_known, &o));
        ASSERT_EQ(o.code, VGPUD_ERROR_GPU_GONE);
        ASSERT_EQ(g_hash_table_size(model_jobs(f.model)), 0);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_life);
        TEST(test_all_or_none);
        TEST(test_foreign);
        TEST(test_seen_meanwhile);
        TEST(test_old_facts);
        TEST(test_old_scan);
        TEST(test_made_anew);
        TEST(test_undo_all);
        TEST(test_probe_again);
        TEST(test_provision_again);
        TEST(test_probe_again_after_job);
        TEST(test_unplugged);

        return tests_end();
}
