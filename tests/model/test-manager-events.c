/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Events of instances that other programs create and destroy: quick scans, and scans that give way to jobs. */

#include "drivers-glue/vf/bind.h"
#include "fake-nvidia.h"
#include "fixture.h"

#define A2    "0000:08:00.0"
#define XE    "0000:03:00.0"
#define VF0   "0000:03:00.1"
#define L40S  "0000:41:00.0"
#define TYPE  "nvidia-1000"
#define UUID1 "11111111-2222-4333-8444-555555555555"
#define UUID2 "22222222-2222-4333-8444-555555555555"
#define UUID3 "33333333-2222-4333-8444-555555555555"
#define N_VFS 32

/* ---- another program ---- */

static char *parent_name(FakeGpu *g, unsigned n)
{
        return g_path_get_basename(fake_gpu_parent_path(g, n));
}

static void make_foreign(Fixture *f, FakeGpu *g, unsigned parent, const char *type, const char *uuid)
{
        VgpuIo *io = fake_kernel_io(f->kernel);
        g_autofree char *path = g_strdup_printf("%s/mdev_supported_types/%s/create",
                                                fake_gpu_parent_path(g, parent), type);

        ASSERT_OK(vgpu_io_write(io, path, uuid));
        vgpu_io_free(io);
}

static void remove_foreign(Fixture *f, FakeGpu *g, unsigned parent, const char *uuid)
{
        VgpuIo *io = fake_kernel_io(f->kernel);
        g_autofree char *path = g_strdup_printf("%s/%s/remove", fake_gpu_parent_path(g, parent), uuid);

        ASSERT_OK(vgpu_io_write(io, path, "1"));
        vgpu_io_free(io);
}

/* Requests only the quick scan of an event, not the scan that the daemon wishes as well, so that only the
 * quick scan can show the change. */
static void hear(Fixture *f, FakeGpu *g, unsigned parent, const char *uuid, bool gone)
{
        g_autofree char *name = parent_name(g, parent);

        scan_instance(model_get_gpu(f->model, g == f->fake_gpus->pdata[0] ? A2 : "mdpy"), name, uuid, gone);
}

/* ---- conditions ---- */

static Gpu *large(Fixture *f)
{
        return model_get_gpu(f->model, A2);
}

static bool quick_scans_have_ended(Fixture *f, void *name)
{
        const Gpu *gpu = model_get_gpu(f->model, name);

        return f->model->wishes == 0 && !gpu->quick_scan && !gpu->quick_again && !gpu->quick_parents;
}

static bool is_repeated(Fixture *f, void *data)
{
        return large(f)->quick_again;
}

static bool is_running(Fixture *f, void *job)
{
        return ((Job *)job)->state == JOB_RUNNING;
}

static bool is_stuck(Fixture *f, void *gpu)
{
        return model_get_gpu(f->model, gpu)->state == GPU_STUCK;
}

static FakeGpu *start_large(Fixture *f)
{
        FakeGpu *g;

        fixture_init(f);
        g = fake_add_large(f->kernel, A2, N_VFS, 20);
        fixture_add(f, g);
        fixture_start(f);

        return g;
}

/* Runs the scan that follows events and corrects the quick scans. */
static void scan_all(Fixture *f)
{
        gpu_want_scan(large(f), GPU_SCAN_SOON);
        ASSERT_TRUE(fixture_wait(f, gpu_is_at_rest, (void *)A2));
}

/* ---- tests ---- */

/* The quick scan reads no attribute of a type, and has the same result as the scan that follows. */
static void test_made(void)
{
        _cleanup_fixture_ Fixture f;
        FakeGpu *g = start_large(&f);
        uint32_t room = fixture_available(&f, A2, TYPE);
        unsigned reads;
        Instance *i;

        make_foreign(&f, g, 3, TYPE, UUID1);
        reads = fake_count(f.kernel, "read");
        hear(&f, g, 3, UUID1, false);
        ASSERT_TRUE(fixture_wait(&f, saw, (void *)"instance+ " UUID1 " foreign"));
        ASSERT_EQ(fake_count(f.kernel, "read"), reads);

        i = fixture_get(&f, UUID1);
        ASSERT_STREQ(i->desc->type_id, TYPE);
        ASSERT_STREQ(i->desc->device_api, "vfio-pci");
        ASSERT_TRUE(i->desc->iommu_group >= 0);
        ASSERT_EQ(fixture_available(&f, A2, TYPE), room - 1);
        ASSERT_EQ(fixture_available(&f, A2, "nvidia-1001"), 0);

        fixture_forget(&f);
        scan_all(&f);
        ASSERT_EQ(fixture_available(&f, A2, TYPE), room - 1);
        ASSERT_FALSE(fixture_saw(&f, "instance~ " UUID1));
        ASSERT_FALSE(fixture_saw(&f, "gpu~ " A2 " types"));

        /* The model knows these changes already, so no quick scan starts. */
        hear(&f, g, 3, UUID1, false);
        ASSERT_NULL(large(&f)->quick_scan);
        hear(&f, g, 3, UUID2, true);
        ASSERT_NULL(large(&f)->quick_scan);
}

static void test_removed(void)
{
        _cleanup_fixture_ Fixture f;
        FakeGpu *g = start_large(&f);
        g_autofree char *parent = parent_name(g, 3);
        uint32_t room = fixture_available(&f, A2, TYPE);
        char uuid[UUID_STRLEN + 1];
        unsigned reads;

        ASSERT_EQ(fixture_create(&f, REQUEST(.type = TYPE, .uuid = UUID1, .gpu = A2, .parent = parent), uuid),
                  VGPUD_ERROR_NONE);
        make_foreign(&f, g, 4, TYPE, UUID2);
        make_foreign(&f, g, 5, TYPE, UUID3);
        scan_all(&f);
        ASSERT_EQ(fixture_available(&f, A2, TYPE), room - 3);

        /* Two removals at once; vgpud created one of the instances. */
        remove_foreign(&f, g, 3, UUID1);
        remove_foreign(&f, g, 4, UUID2);
        reads = fake_count(f.kernel, "read");
        hear(&f, g, 3, UUID1, true);
        hear(&f, g, 4, UUID2, true);
        ASSERT_TRUE(fixture_wait(&f, quick_scans_have_ended, (void *)A2));
        ASSERT_EQ(fake_count(f.kernel, "read"), reads);
        ASSERT_TRUE(fixture_saw(&f, "instance- " UUID1));
        ASSERT_TRUE(fixture_saw(&f, "instance- " UUID2));
        ASSERT_NOT_NULL(fixture_get(&f, UUID3));
        ASSERT_EQ(fixture_count_records(&f), 0);
        ASSERT_EQ(fixture_available(&f, A2, TYPE), room - 1);

        /* The UUID is free for another program. */
        make_foreign(&f, g, 3, TYPE, UUID1);
        hear(&f, g, 3, UUID1, false);
        ASSERT_TRUE(fixture_wait(&f, saw, (void *)"instance+ " UUID1 " foreign"));
}

/* Another program replaces vgpud's instance by a device of the same UUID, so fast that no scan sees the gap. */
static void test_replaced(void)
{
        _cleanup_fixture_ Fixture f;
        FakeGpu *g = start_large(&f);
        g_autofree char *parent = parent_name(g, 3);
        char uuid[UUID_STRLEN + 1];

        ASSERT_EQ(fixture_create(&f, REQUEST(.type = TYPE, .uuid = UUID1, .gpu = A2, .parent = parent), uuid),
                  VGPUD_ERROR_NONE);
        remove_foreign(&f, g, 3, UUID1);
        make_foreign(&f, g, 3, TYPE, UUID1);
        hear(&f, g, 3, UUID1, true);
        hear(&f, g, 3, UUID1, false);
        scan_all(&f);
        ASSERT_EQ(fixture_get(&f, UUID1)->origin, INSTANCE_ORIGIN_FOREIGN);
        ASSERT_EQ(fixture_count_records(&f), 0);

        /* The events have not arrived when a user destroys the instance: the foreign device stays. */
        parent = (g_free(parent), parent_name(g, 4));
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = TYPE, .uuid = UUID2, .gpu = A2, .parent = parent), uuid),
                  VGPUD_ERROR_NONE);
        remove_foreign(&f, g, 4, UUID2);
        make_foreign(&f, g, 4, TYPE, UUID2);
        ASSERT_EQ(fixture_destroy(&f, UUID2, 0), VGPUD_ERROR_FOREIGN);
        ASSERT_NOT_NULL(fixture_get(&f, UUID2));
        hear(&f, g, 4, UUID2, true);
        scan_all(&f);
        ASSERT_EQ(fixture_get(&f, UUID2)->origin, INSTANCE_ORIGIN_FOREIGN);

        /* The device of another event is still vgpud's own. */
        parent = (g_free(parent), parent_name(g, 5));
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = TYPE, .uuid = UUID3, .gpu = A2, .parent = parent), uuid),
                  VGPUD_ERROR_NONE);
        hear(&f, g, 5, UUID3, true);
        scan_all(&f);
        ASSERT_EQ(fixture_get(&f, UUID3)->origin, INSTANCE_ORIGIN_VGPUD);
        ASSERT_EQ(fixture_destroy(&f, UUID3, 0), VGPUD_ERROR_NONE);
}

/* The driver has less room than the quick scan predicts: the scan corrects the number. */
static void test_corrected(void)
{
        _cleanup_fixture_ Fixture f;
        FakeGpu *g = start_large(&f);
        g_autofree char *path = g_strdup_printf("%s/mdev_supported_types/" TYPE "/available_instances",
                                                fake_gpu_parent_path(g, 9));
        uint32_t room = fixture_available(&f, A2, TYPE);

        fake_add_file(f.kernel, path, "0\n");
        make_foreign(&f, g, 3, TYPE, UUID1);
        hear(&f, g, 3, UUID1, false);
        ASSERT_TRUE(fixture_wait(&f, instance_is_there, (void *)UUID1));
        ASSERT_EQ(fixture_available(&f, A2, TYPE), room - 1);
        scan_all(&f);
        ASSERT_EQ(fixture_available(&f, A2, TYPE), room - 2);
        ASSERT_NOT_NULL(fixture_get(&f, UUID1));
}

/* An instance that cannot be read hides no other instance, and does not count as removed. */
static void test_unreadable(void)
{
        _cleanup_fixture_ Fixture f;
        FakeGpu *g = start_large(&f);
        g_autofree char *known = g_strdup_printf("%s/" UUID1 "/mdev_type", fake_gpu_parent_path(g, 3));
        g_autofree char *hidden = g_strdup_printf("%s/" UUID2 "/mdev_type", fake_gpu_parent_path(g, 4));
        g_autofree char *third = parent_name(g, 3);

        make_foreign(&f, g, 3, TYPE, UUID1);
        scan_all(&f);
        fake_fail(f.kernel, "link", known, EIO);
        fake_fail(f.kernel, "link", hidden, EIO);
        make_foreign(&f, g, 4, TYPE, UUID2);
        make_foreign(&f, g, 5, TYPE, UUID3);
        scan_parent(large(&f), third);
        hear(&f, g, 4, UUID2, false);
        hear(&f, g, 5, UUID3, false);
        ASSERT_TRUE(fixture_wait(&f, quick_scans_have_ended, (void *)A2));
        ASSERT_NOT_NULL(fixture_get(&f, UUID1));
        ASSERT_NULL(fixture_get(&f, UUID2));
        ASSERT_NOT_NULL(fixture_get(&f, UUID3));

        /* A parent that cannot be read does not count as a parent without instances. */
        fake_heal(f.kernel);
        fake_fail(f.kernel, "list", fake_gpu_parent_path(g, 3), EIO);
        scan_parent(large(&f), third);
        scan_parent(large(&f), "0000:08:99.0"); /* a parent that the GPU does not have */
        hear(&f, g, 4, UUID2, false);
        ASSERT_TRUE(fixture_wait(&f, instance_is_there, (void *)UUID2));
        ASSERT_TRUE(fixture_wait(&f, quick_scans_have_ended, (void *)A2));
        ASSERT_NOT_NULL(fixture_get(&f, UUID1));
}

/* No quick scan starts for the instance of a running job; a quick scan for another instance waits behind the
 * job. */
static void test_during_job(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_outcome_ Outcome o = { 0 };
        FakeGpu *g = start_large(&f);
        g_autofree char *parent = parent_name(g, 3);
        g_autofree char *path =
                        g_strdup_printf("%s/mdev_supported_types/" TYPE "/create", fake_gpu_parent_path(g, 3));
        uint32_t room = fixture_available(&f, A2, TYPE);
        Job *job;

        fake_hang(f.kernel, "write", path);
        ASSERT_OK(request_create(f.model, REQUEST(.type = TYPE, .uuid = UUID1, .gpu = A2, .parent = parent),
                                 &job, NULL));
        outcome_of(&o, job);
        ASSERT_TRUE(fixture_wait(&f, is_running, job));
        fake_wait_hanging(f.kernel);
        hear(&f, g, 3, UUID1, false);
        ASSERT_NULL(large(&f)->quick_scan);

        make_foreign(&f, g, 5, TYPE, UUID2);
        hear(&f, g, 5, UUID2, false);
        ASSERT_NOT_NULL(large(&f)->quick_scan);
        ASSERT_NULL(fixture_get(&f, UUID2));
        fake_release(f.kernel);
        ASSERT_TRUE(fixture_wait(&f, quick_scans_have_ended, (void *)A2));
        ASSERT_EQ(o.told, 1);
        ASSERT_EQ(o.code, VGPUD_ERROR_NONE);
        ASSERT_EQ(fixture_get(&f, UUID1)->origin, INSTANCE_ORIGIN_VGPUD);
        ASSERT_EQ(fixture_get(&f, UUID2)->origin, INSTANCE_ORIGIN_FOREIGN);
        ASSERT_EQ(fixture_available(&f, A2, TYPE), room - 2);
        scan_all(&f);
        ASSERT_EQ(fixture_available(&f, A2, TYPE), room - 2);
}

/* Another program removes an instance that a job is about to destroy: the job announces the end of the
 * instance. */
static void test_during_destroy(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_outcome_ Outcome first = { 0 }, second = { 0 };
        FakeGpu *g = start_large(&f);
        g_autofree char *parent = parent_name(g, 3);
        g_autofree char *path =
                        g_strdup_printf("%s/mdev_supported_types/" TYPE "/create", fake_gpu_parent_path(g, 3));
        Job *job;

        make_foreign(&f, g, 5, TYPE, UUID2);
        scan_all(&f);
        fake_hang(f.kernel, "write", path);
        ASSERT_OK(request_create(f.model, REQUEST(.type = TYPE, .uuid = UUID1, .gpu = A2, .parent = parent),
                                 &job, NULL));
        outcome_of(&first, job);
        fake_wait_hanging(f.kernel);
        remove_foreign(&f, g, 5, UUID2);
        hear(&f, g, 5, UUID2, true); /* waits in the lane before the next job */
        ASSERT_OK(request_destroy(f.model, fixture_get(&f, UUID2), true, 0, &job, NULL));
        outcome_of(&second, job);
        fake_release(f.kernel);
        ASSERT_TRUE(fixture_wait(&f, outcome_is_known, &second));
        ASSERT_EQ(first.code, VGPUD_ERROR_NONE);
        ASSERT_EQ(second.code, VGPUD_ERROR_NONE);
        ASSERT_NULL(fixture_get(&f, UUID2));
}

/* The kernel creates the link to the type after its last event. A quick scan shows the instance only when the
 * link exists. */
static void test_in_the_making(void)
{
        _cleanup_fixture_ Fixture f;
        FakeGpu *g = start_large(&f);
        g_autofree char *link = g_strdup_printf("%s/" UUID1 "/mdev_type", fake_gpu_parent_path(g, 3));

        fake_fail(f.kernel, "link", link, ENOENT);
        make_foreign(&f, g, 3, TYPE, UUID1);
        hear(&f, g, 3, UUID1, false);
        ASSERT_TRUE(fixture_wait(&f, is_repeated, NULL));
        ASSERT_NULL(fixture_get(&f, UUID1));
        fake_heal(f.kernel);
        ASSERT_TRUE(fixture_wait(&f, instance_is_there, (void *)UUID1));
        ASSERT_STREQ(fixture_get(&f, UUID1)->desc->type_id, TYPE);

        /* On removal, the link disappears before the instance. */
        fake_fail(f.kernel, "link", link, ENOENT);
        hear(&f, g, 3, UUID1, true);
        ASSERT_TRUE(fixture_wait(&f, is_repeated, NULL));
        ASSERT_STREQ(fixture_get(&f, UUID1)->desc->type_id, TYPE);
        remove_foreign(&f, g, 3, UUID1);
        ASSERT_TRUE(fixture_wait(&f, instance_is_gone, (void *)UUID1));

        /* The link never appears: the quick scan leaves the instance to the scan. */
        make_foreign(&f, g, 3, TYPE, UUID1);
        hear(&f, g, 3, UUID1, false);
        ASSERT_TRUE(fixture_wait(&f, quick_scans_have_ended, (void *)A2));
        ASSERT_NULL(fixture_get(&f, UUID1));
        gpu_want_scan(large(&f), GPU_SCAN_SOON);
        ASSERT_TRUE(fixture_wait(&f, instance_is_there, (void *)UUID1));
        ASSERT_NULL(fixture_get(&f, UUID1)->desc->type_id);
}

/* If the availability cannot be predicted, a GPU with few attributes is scanned at once. A large GPU shows the
 * instance before the scan, and the new availability after it. */
static void test_unpredictable(void)
{
        _cleanup_fixture_ Fixture f;
        FakeGpu *g = start_large(&f);
        FakeGpu *mdpy = fake_add_mdpy(f.kernel);
        g_autofree char *path = g_strdup_printf("%s/mdev_supported_types/nvidia-1007/available_instances",
                                                fake_gpu_parent_path(g, 9));
        unsigned reads;
        uint32_t room;

        fixture_add(&f, mdpy);
        fixture_discover(&f);
        ASSERT_TRUE(fixture_wait(&f, gpu_is_ready, (void *)"mdpy"));
        room = fixture_available(&f, "mdpy", "mdpy-vga");
        make_foreign(&f, mdpy, 0, "mdpy-vga", UUID1);
        hear(&f, mdpy, 0, UUID1, false);
        ASSERT_TRUE(fixture_wait(&f, instance_is_there, (void *)UUID1));
        ASSERT_EQ(fixture_available(&f, "mdpy", "mdpy-vga"), room - 1);
        remove_foreign(&f, mdpy, 0, UUID1);
        hear(&f, mdpy, 0, UUID1, true);
        ASSERT_TRUE(fixture_wait(&f, instance_is_gone, (void *)UUID1));
        ASSERT_EQ(fixture_available(&f, "mdpy", "mdpy-vga"), room);

        /* A snapshot with a problem, here an unreadable type, makes the availability unpredictable. */
        fake_fail(f.kernel, "read", path, EIO);
        scan_all(&f);
        room = fixture_available(&f, A2, TYPE);
        make_foreign(&f, g, 3, TYPE, UUID2);
        reads = fake_count(f.kernel, "read");
        hear(&f, g, 3, UUID2, false);
        ASSERT_TRUE(fixture_wait(&f, instance_is_there, (void *)UUID2));
        ASSERT_TRUE(fixture_wait(&f, quick_scans_have_ended, (void *)A2));
        ASSERT_EQ(fake_count(f.kernel, "read"), reads);
        ASSERT_EQ(fixture_available(&f, A2, TYPE), room);
        ASSERT_NULL(large(&f)->scan);
        scan_all(&f);
        ASSERT_NOT_NULL(fixture_get(&f, UUID2));
        ASSERT_EQ(fixture_available(&f, A2, TYPE), room - 1);
        remove_foreign(&f, g, 3, UUID2);
        hear(&f, g, 3, UUID2, true);
        ASSERT_TRUE(fixture_wait(&f, instance_is_gone, (void *)UUID2));
        ASSERT_EQ(fixture_available(&f, A2, TYPE), room - 1);

        /* The instance has a type that the last scan did not show: the quick scan leaves it to the scan. */
        fake_heal(f.kernel);
        scan_all(&f);
        path = (g_free(path), g_strdup_printf("%s/" UUID3 "/mdev_type", fake_gpu_parent_path(g, 4)));
        make_foreign(&f, g, 4, TYPE, UUID3);
        fake_add_link(f.kernel, path, "class/mdev_bus/nvidia-9999");
        hear(&f, g, 4, UUID3, false);
        ASSERT_TRUE(fixture_wait(&f, quick_scans_have_ended, (void *)A2));
        ASSERT_NULL(fixture_get(&f, UUID3));
}

/* A quick scan has no effect on a GPU whose last scan failed. */
static void test_states(void)
{
        _cleanup_fixture_ Fixture f;
        FakeGpu *g = start_large(&f);

        make_foreign(&f, g, 3, TYPE, UUID1);
        hear(&f, g, 3, UUID1, false);
        gpu_set_state(large(&f), GPU_FAILED, "a test", NULL);
        ASSERT_TRUE(fixture_wait(&f, quick_scans_have_ended, (void *)A2));
        ASSERT_NULL(fixture_get(&f, UUID1));
        ASSERT_EQ(large(&f)->state, GPU_FAILED);
        hear(&f, g, 3, UUID1, false);
        ASSERT_NULL(large(&f)->quick_scan);
        scan_all(&f);
        ASSERT_NOT_NULL(fixture_get(&f, UUID1));

        /* The facts changed during the quick scan, which may have read another device. */
        make_foreign(&f, g, 4, TYPE, UUID2);
        hear(&f, g, 4, UUID2, false);
        GpuFacts *facts = fake_gpu_facts(g);
        g_autoptr(GPtrArray) all = g_ptr_array_new();
        facts->numa_node++;
        g_ptr_array_add(all, facts);
        arrivals_apply(f.model, all, NULL, facts->began_usec);
        gpu_facts_unref(facts);
        ASSERT_TRUE(fixture_wait(&f, quick_scans_have_ended, (void *)A2));
        scan_all(&f);
        ASSERT_NOT_NULL(fixture_get(&f, UUID2));

        /* The GPU leaves the model while a quick scan waits. */
        hear(&f, g, 5, UUID3, false);
        ASSERT_NOT_NULL(large(&f)->quick_scan);
        fixture_unload(&f, g);
        fixture_discover(&f);
        ASSERT_NULL(large(&f));
}

/* A quick scan that does not end makes the GPU stuck. When the quick scan ends, the GPU is scanned again. */
static void test_stuck(void)
{
        _cleanup_fixture_ Fixture f;
        FakeGpu *g;

        fixture_init(&f);
        f.config->job_timeout_usec = USEC_PER_SEC;
        g = fake_add_large(f.kernel, A2, N_VFS, 20);
        fixture_add(&f, g);
        fixture_start(&f);
        fake_hang(f.kernel, "list", fake_gpu_parent_path(g, 3));
        make_foreign(&f, g, 3, TYPE, UUID1);
        hear(&f, g, 3, UUID1, false);
        ASSERT_TRUE(fixture_wait(&f, is_stuck, (void *)A2));
        fake_heal(f.kernel);
        ASSERT_TRUE(fixture_wait(&f, gpu_is_ready, (void *)A2));
        ASSERT_TRUE(fixture_wait(&f, instance_is_there, (void *)UUID1));
}

/* An event of a VF names the VF, but only a scan can tell how many VFs are free. */
static void test_vfs(void)
{
        _cleanup_fixture_ Fixture f;
        VgpuVf vf = { .name = (char *)VF0 };
        g_autofree char *node = NULL;
        uint64_t taken;
        VgpuIo *io;
        FakePf *pf;
        Gpu *gpu;

        fixture_init(&f);
        pf = fixture_add_pf(&f, FAKE_PF_XE, XE, 7);
        ASSERT_OK(fake_pf_enable(pf, 3));
        fixture_start(&f);
        io = fake_kernel_io(f.kernel);
        gpu = model_get_gpu(f.model, XE);
        ASSERT_EQ(fixture_available(&f, XE, "vf"), 3);
        taken = gpu->snapshot->taken_usec;

        scan_parent(gpu, VF0);
        ASSERT_TRUE(fixture_wait(&f, gpu_is_at_rest, (void *)XE));
        ASSERT_EQ(gpu->snapshot->taken_usec, taken);

        vf.path = (char *)fake_vf_path(pf, 0);
        ASSERT_OK(vfs_bind(io, &vf, "vfio-pci", "vfio-pci", NULL));
        scan_parent(gpu, VF0);
        ASSERT_TRUE(fixture_wait(&f, gpu_is_at_rest, (void *)XE));
        ASSERT_EQ(g_hash_table_size(gpu->instances), 0);

        /* A bound VF is an instance while a program uses it. */
        node = g_strdup_printf("vfio/%d", fake_vf_group(pf, 0));
        fake_hold_node(f.kernel, node, 4711, "qemu");
        scan_parent(gpu, VF0);
        ASSERT_TRUE(fixture_wait(&f, gpu_is_at_rest, (void *)XE));
        ASSERT_EQ(g_hash_table_size(gpu->instances), 1);
        ASSERT_EQ(fixture_available(&f, XE, "vf"), 2);
        taken = gpu->snapshot->taken_usec;
        scan_parent(gpu, VF0);
        ASSERT_TRUE(fixture_wait(&f, gpu_is_at_rest, (void *)XE));
        ASSERT_EQ(gpu->snapshot->taken_usec, taken);

        fake_hold_node(f.kernel, node, 0, NULL);
        ASSERT_OK(vfs_bind(io, &vf, NULL, NULL, NULL));
        scan_parent(gpu, VF0);
        ASSERT_TRUE(fixture_wait(&f, gpu_is_at_rest, (void *)XE));
        ASSERT_EQ(g_hash_table_size(gpu->instances), 0);
        vgpu_io_free(io);
}

static void test_nvidia_vfs(void)
{
        _cleanup_fixture_ Fixture f;
        FakeNvidia *g;
        uint64_t taken;
        Gpu *gpu;

        fixture_init(&f);
        g = fake_add_l40s(f.kernel, L40S, true);
        f.other_gpu = fake_nvidia_facts(g);
        fixture_start(&f);
        gpu = model_get_gpu(f.model, L40S);
        taken = gpu->snapshot->taken_usec;
        scan_parent(gpu, fake_nvidia_vf_name(g, 3));
        ASSERT_TRUE(fixture_wait(&f, gpu_is_at_rest, (void *)L40S));
        ASSERT_EQ(gpu->snapshot->taken_usec, taken);

        fake_nvidia_set(g, 3, 1155);
        scan_parent(gpu, fake_nvidia_vf_name(g, 3));
        ASSERT_TRUE(fixture_wait(&f, gpu_is_at_rest, (void *)L40S));
        ASSERT_EQ(g_hash_table_size(gpu->instances), 1);

        /* Another type on the same VF is another instance. */
        fake_nvidia_set(g, 3, 0);
        fake_nvidia_set(g, 3, 1150);
        scan_parent(gpu, fake_nvidia_vf_name(g, 3));
        ASSERT_TRUE(fixture_wait(&f, gpu_is_at_rest, (void *)L40S));
        ASSERT_EQ(g_hash_table_size(gpu->instances), 1);
        ASSERT_STREQ(((InstanceDesc *)gpu->snapshot->instances->pdata[0])->type_id, "nvidia-1150");

        gpu_facts_unref(f.other_gpu);
        fixture_stop(&f);
        fake_nvidia_free(g);
}

/* ---- scans give way ---- */

typedef struct End {
        Fixture *f;
        bool told;
        uint64_t taken_usec; /* taken_usec of the snapshot at the end of the job */
} End;

static void on_end(Job *job, const VgpudError *error, void *userdata)
{
        End *end = userdata;

        ASSERT_EQ(error->code, VGPUD_ERROR_NONE);
        end->told = true;
        end->taken_usec = large(end->f)->snapshot->taken_usec;
}

static bool has_ended(Fixture *f, void *end)
{
        return ((End *)end)->told;
}

/* A job that is requested during a scan runs before the scan goes on. */
static void test_gives_way(void)
{
        _cleanup_fixture_ Fixture f;
        FakeGpu *g = start_large(&f);
        g_autofree char *path = g_strdup_printf("%s/mdev_supported_types/" TYPE "/available_instances",
                                                fake_gpu_parent_path(g, 1));
        g_autofree char *parent = parent_name(g, 3);
        uint64_t before = large(&f)->snapshot->taken_usec;
        End end = { .f = &f };
        Job *job;

        fake_hang(f.kernel, "read", path);
        gpu_want_scan(large(&f), GPU_SCAN_NOW);
        ASSERT_TRUE(fixture_wait(&f, wishes_are_carried_out, NULL));
        fake_wait_hanging(f.kernel);
        ASSERT_OK(request_create(f.model, REQUEST(.type = TYPE, .uuid = UUID1, .gpu = A2, .parent = parent),
                                 &job, NULL));
        job_on_finished(job, on_end, &end);
        fake_heal(f.kernel);
        ASSERT_TRUE(fixture_wait(&f, has_ended, &end));
        ASSERT_EQ(end.taken_usec, before);
        ASSERT_NOT_NULL(fixture_get(&f, UUID1));

        /* The scan runs after the job. */
        ASSERT_TRUE(fixture_wait(&f, gpu_is_at_rest, (void *)A2));
        ASSERT_TRUE(large(&f)->snapshot->taken_usec > before);
}

/* Each job that ends requests another job, so that a job always waits. */
typedef struct Load {
        Fixture *f;
        unsigned n, failed;
} Load;

static void load_add(Load *l);

static void on_load_end(Job *job, const VgpudError *error, void *userdata)
{
        Load *l = userdata;

        l->failed += error->code != VGPUD_ERROR_NO_CAPACITY;
        if (!l->f->model->stopping)
                load_add(l);
}

static void load_add(Load *l)
{
        Job *job;

        l->n++;
        ASSERT_OK(request_create(l->f->model, REQUEST(.type = TYPE, .gpu = A2, .parent = "0000:08:00.4"), &job,
                                 NULL));
        job_on_finished(job, on_load_end, l);
}

static bool is_scanned(Fixture *f, void *data)
{
        return !large(f)->scan;
}

/* Although a job always waits, the scan ends, because it gives way to jobs only for a second. */
static void test_gives_way_for_a_while(void)
{
        _cleanup_fixture_ Fixture f;
        FakeGpu *g = start_large(&f);
        Load l = { .f = &f };

        (void)g;
        gpu_want_scan(large(&f), GPU_SCAN_NOW);
        for (unsigned i = 0; i < 3; i++)
                load_add(&l);
        ASSERT_TRUE(fixture_wait(&f, wishes_are_carried_out, NULL));
        ASSERT_NOT_NULL(large(&f)->scan);
        ASSERT_TRUE(fixture_wait(&f, is_scanned, NULL));
        ASSERT_TRUE(l.n > 3);
        fixture_stop(&f);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_made);
        TEST(test_removed);
        TEST(test_replaced);
        TEST(test_corrected);
        TEST(test_unreadable);
        TEST(test_during_job);
        TEST(test_during_destroy);
        TEST(test_in_the_making);
        TEST(test_unpredictable);
        TEST(test_states);
        TEST(test_stuck);
        TEST(test_vfs);
        TEST(test_nvidia_vfs);
        TEST(test_gives_way);
        TEST(test_gives_way_for_a_while);

        return tests_end();
}
