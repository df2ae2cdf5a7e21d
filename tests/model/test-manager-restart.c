/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The model after a restart, which finds finished and interrupted work of an earlier daemon. */

#include "fixture.h"

#include "base/fs-util.h"

#define GVT_G "0000:00:02.0"
#define UUID1 "11111111-2222-4333-8444-555555555555"
#define UUID2 "22222222-2222-4333-8444-555555555555"

/* Instances of an earlier daemon keep origin, owner and name. */
static void test_restart(void)
{
        _cleanup_fixture_ Fixture f;
        char uuid[UUID_STRLEN + 1];

        fixture_init(&f);
        fixture_add(&f, fake_add_mdpy(f.kernel));
        fixture_start(&f);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "mdpy-hd", .name = "hugo", .requester = 1000), uuid),
                  VGPUD_ERROR_NONE);
        fixture_stop(&f);
        fixture_start(&f);
        Instance *i = fixture_get(&f, uuid);
        ASSERT_NOT_NULL(i);
        ASSERT_EQ(i->origin, INSTANCE_ORIGIN_VGPUD);
        ASSERT_STREQ(i->name, "hugo");
        ASSERT_EQ(i->owner, 1000);
}

/* A record of a mediated device is kept while a part of the GPU cannot be read. */
static void test_restart_unreadable(void)
{
        _cleanup_fixture_ Fixture f;
        char uuid[UUID_STRLEN + 1], second[UUID_STRLEN + 1];
        FakeGpu *a2;

        fixture_init(&f);
        a2 = fake_add_nvidia_a2(f.kernel, "0000:08:00.0", 4);
        fixture_add(&f, a2);
        fixture_start(&f);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "nvidia-746", .name = "hugo"), uuid), VGPUD_ERROR_NONE);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "nvidia-746"), second), VGPUD_ERROR_NONE);
        fixture_stop(&f);
        fake_fail(f.kernel, "list", fake_gpu_parent_path(a2, 0), EIO);
        fixture_start(&f);
        ASSERT_NULL(fixture_get(&f, uuid));
        ASSERT_NOT_NULL(fixture_get(&f, second));
        ASSERT_EQ(fixture_get(&f, second)->origin, INSTANCE_ORIGIN_VGPUD);
        ASSERT_EQ(fixture_destroy(&f, second, 0), VGPUD_ERROR_NONE);
        ASSERT_EQ(fixture_count_records(&f), 1);
        fake_heal(f.kernel);
        gpu_want_scan(model_get_gpu(f.model, "0000:08:00.0"), GPU_SCAN_NOW);
        ASSERT_TRUE(fixture_wait(&f, instance_is_there, uuid));
        ASSERT_EQ(fixture_get(&f, uuid)->origin, INSTANCE_ORIGIN_VGPUD);
        ASSERT_STREQ(fixture_get(&f, uuid)->name, "hugo");
}

/* Create a device of mdpy as any program could. Returns its identity. */
static uint64_t make_device(Fixture *f, FakeGpu *mdpy, const char *uuid)
{
        g_autofree char *create = g_strconcat(fake_gpu_parent_path(mdpy, 0),
                                              "/mdev_supported_types/mdpy-hd/create", NULL);
        g_autofree char *device = g_strconcat(fake_gpu_parent_path(mdpy, 0), "/", uuid, NULL);
        VgpuIo *io = fake_kernel_io(f->kernel);
        uint64_t identity = 0;

        g_assert(vgpu_io_write(io, create, uuid) >= 0);
        g_assert(vgpu_io_identify(io, device, &identity) >= 0);
        vgpu_io_free(io);

        return identity;
}

/* The earlier daemon was killed after it wrote the record of UUID1, and before the commit. `undo`: the
 * instance must be removed. `device`: the daemon had created the device. */
static void interrupted(bool undo, bool device)
{
        _cleanup_fixture_ Fixture f;
        Record record = { .uuid = UUID1,
                          .gpu = (char *)"mdpy",
                          .type_id = (char *)"mdpy-hd",
                          .owner = 1000,
                          .created_usec = 1,
                          .undo = undo };
        Records *records;
        FakeGpu *mdpy;

        fixture_init(&f);
        mdpy = fake_add_mdpy(f.kernel);
        fixture_add(&f, mdpy);
        if (device)
                record.identity = make_device(&f, mdpy, UUID1);
        ASSERT_OK(records_open(f.scratch.fd, &records));
        ASSERT_OK(records_put(records, &record));
        records_free(records);

        fixture_start(&f);
        if (device && undo)
                ASSERT_TRUE(fixture_wait(&f, saw, (void *)"instance- " UUID1));
        if (device && !undo) {
                ASSERT_EQ(fixture_get(&f, UUID1)->origin, INSTANCE_ORIGIN_VGPUD);
                ASSERT_EQ(fixture_count_records(&f), 1);
        } else {
                ASSERT_NULL(fixture_get(&f, UUID1));
                ASSERT_EQ(fixture_count_records(&f), 0);
        }
}

static void test_interrupted(void)
{
        interrupted(false, false);
        interrupted(false, true);
        interrupted(true, false);
        interrupted(true, true);
}

/* The daemon was killed before the inode of the device was in the record (identity 0), or the record has
 * another inode (identity 1). A device with the UUID stays, and is foreign. `made`: the record is committed. */
static void unproven(bool undo, bool made, uint64_t identity)
{
        _cleanup_fixture_ Fixture f;
        Record record = { .uuid = UUID1,
                          .gpu = (char *)"mdpy",
                          .type_id = (char *)"mdpy-hd",
                          .name = (char *)"hugo",
                          .owner = 1000,
                          .created_usec = 1,
                          .made = made,
                          .identity = identity,
                          .undo = undo };
        Records *records;
        FakeGpu *mdpy;

        fixture_init(&f);
        mdpy = fake_add_mdpy(f.kernel);
        fixture_add(&f, mdpy);
        ASSERT_OK(records_open(f.scratch.fd, &records));
        ASSERT_OK(records_put(records, &record));
        records_free(records);
        (void)make_device(&f, mdpy, UUID1);

        fixture_start(&f);
        ASSERT_TRUE(fixture_wait(&f, gpu_is_at_rest, (void *)"mdpy"));
        ASSERT_NOT_NULL(fixture_get(&f, UUID1));
        ASSERT_EQ(fixture_get(&f, UUID1)->origin, INSTANCE_ORIGIN_FOREIGN);
        ASSERT_EQ(fixture_get(&f, UUID1)->state, INSTANCE_ACTIVE);
        ASSERT_NULL(fixture_get(&f, UUID1)->name);
        ASSERT_NULL(fixture_get(&f, UUID1)->job);
        ASSERT_EQ(f.model->last_job_id, 0);
        ASSERT_EQ(fixture_count_records(&f), 0);
}

static void test_unproven(void)
{
        unproven(false, false, 0);
        unproven(true, false, 0);
        unproven(false, true, 0);
        unproven(true, false, 1);
        unproven(false, true, 1);
}

/* The same as unproven(), but the parent of the device cannot be read during the first scan. */
static void test_unproven_unreadable(void)
{
        _cleanup_fixture_ Fixture f;
        Record record = { .uuid = UUID1,
                          .gpu = (char *)"0000:08:00.0",
                          .type_id = (char *)"nvidia-746",
                          .owner = 1000,
                          .created_usec = 1,
                          .undo = true };
        Records *records;
        FakeGpu *a2;

        fixture_init(&f);
        a2 = fake_add_nvidia_a2(f.kernel, "0000:08:00.0", 4);
        fixture_add(&f, a2);
        ASSERT_OK(records_open(f.scratch.fd, &records));
        ASSERT_OK(records_put(records, &record));
        records_free(records);
        VgpuIo *io = fake_kernel_io(f.kernel);
        g_autofree char *create = g_strconcat(fake_gpu_parent_path(a2, 0),
                                              "/mdev_supported_types/nvidia-746/create", NULL);
        ASSERT_OK(vgpu_io_write(io, create, UUID1));
        vgpu_io_free(io);
        fake_fail(f.kernel, "list", fake_gpu_parent_path(a2, 0), EIO);

        fixture_start(&f);
        ASSERT_TRUE(fixture_wait(&f, gpu_is_at_rest, (void *)"0000:08:00.0"));
        ASSERT_NULL(fixture_get(&f, UUID1));
        ASSERT_EQ(fixture_count_records(&f), 1);
        fake_heal(f.kernel);
        gpu_want_scan(model_get_gpu(f.model, "0000:08:00.0"), GPU_SCAN_NOW);
        ASSERT_TRUE(fixture_wait(&f, instance_is_there, (void *)UUID1));
        ASSERT_TRUE(fixture_wait(&f, gpu_is_at_rest, (void *)"0000:08:00.0"));
        ASSERT_NOT_NULL(fixture_get(&f, UUID1));
        ASSERT_EQ(fixture_get(&f, UUID1)->origin, INSTANCE_ORIGIN_FOREIGN);
        ASSERT_EQ(f.model->last_job_id, 0);
        ASSERT_EQ(fixture_count_records(&f), 0);
}

/* If a daemon is killed between the commits of two instances of one job, both instances stay. If it is killed
 * before the first commit, both are removed. */
static void interrupted_pair(bool first_made)
{
        _cleanup_fixture_ Fixture f;
        Record record = { .gpu = (char *)"mdpy",
                          .type_id = (char *)"mdpy-hd",
                          .owner = 1000,
                          .created_usec = 1,
                          .first = UUID1,
                          .undo = true };
        static const char *const uuids[] = { UUID1, UUID2 };
        Records *records;
        FakeGpu *mdpy;

        fixture_init(&f);
        mdpy = fake_add_mdpy(f.kernel);
        fixture_add(&f, mdpy);
        ASSERT_OK(records_open(f.scratch.fd, &records));

        for (size_t i = 0; i < G_N_ELEMENTS(uuids); i++) {
                memcpy(record.uuid, uuids[i], sizeof record.uuid);
                record.identity = make_device(&f, mdpy, uuids[i]);
                ASSERT_OK(records_put(records, &record));
        }

        if (first_made)
                ASSERT_OK(records_commit(records, UUID1));
        records_free(records);

        fixture_start(&f);

        for (size_t i = 0; i < G_N_ELEMENTS(uuids); i++)
                if (first_made) {
                        ASSERT_EQ(fixture_get(&f, uuids[i])->origin, INSTANCE_ORIGIN_VGPUD);
                        ASSERT_NULL(fixture_get(&f, uuids[i])->job);
                } else
                        ASSERT_TRUE(fixture_wait(&f, instance_is_gone, (void *)uuids[i]));

        ASSERT_EQ(fixture_count_records(&f), first_made ? 2 : 0);
}

static void test_interrupted_pair(void)
{
        interrupted_pair(true);
        interrupted_pair(false);
}

static bool no_jobs(Fixture *f, void *gpu)
{
        const Gpu *g = model_get_gpu(f->model, gpu);

        return g_hash_table_size(model_jobs(f->model)) == 0 && f->model->wishes == 0 && !g->scan &&
               !g->debounce;
}

/* More incomplete instances than the queue has places: all are removed, and their jobs take no place from
 * users' requests. */
static void test_undo_many(void)
{
        _cleanup_fixture_ Fixture f;
        char uuid[UUID_STRLEN + 1];

        fixture_init(&f);
        f.config->jobs_per_gpu = 4;
        fixture_add(&f, fake_add_mtty(f.kernel));
        fixture_start(&f);
        ASSERT_EQ(fixture_create(&f, REQUEST_N(12, .type = "mtty-1"), uuid), VGPUD_ERROR_NONE);
        /* Write the records that a daemon leaves if it is killed before the first commit. */
        g_autoptr(GPtrArray) uuids = records_of_gpu(f.model->records, "mtty");

        for (guint i = 0; i < uuids->len; i++) {
                Record r = { .gpu = (char *)"mtty", .type_id = (char *)"mtty-1", .undo = true };

                r.identity = records_get(f.model->records, uuids->pdata[i])->identity;
                memcpy(r.uuid, uuids->pdata[i], sizeof r.uuid);
                ASSERT_OK(records_put(f.model->records, &r));
        }

        fixture_stop(&f);
        fixture_start(&f);
        ASSERT_EQ(f.model->last_job_id, 12);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "mtty-1"), uuid), VGPUD_ERROR_NONE);
        ASSERT_TRUE(fixture_wait(&f, no_jobs, (void *)"mtty"));
        ASSERT_EQ(g_hash_table_size(model_instances(f.model)), 1);
        ASSERT_EQ(fixture_count_records(&f), 1);
}

/* Leaves an incomplete instance on mdpy, with a record that says that the instance must be removed. */
static FakeGpu *leave_half_made(Fixture *f)
{
        Record r = { .uuid = UUID1, .gpu = (char *)"mdpy", .type_id = (char *)"mdpy-hd", .undo = true };
        Records *records;
        FakeGpu *mdpy;

        fixture_init(f);
        mdpy = fake_add_mdpy(f->kernel);
        fixture_add(f, mdpy);
        r.identity = make_device(f, mdpy, UUID1);
        g_assert(records_open(f->scratch.fd, &records) >= 0);
        g_assert(records_put(records, &r) >= 0);
        records_free(records);

        return mdpy;
}

static void test_undo_and_stop(void)
{
        _cleanup_fixture_ Fixture f;
        FakeGpu *mdpy = leave_half_made(&f);
        g_autofree char *room = g_strconcat(fake_gpu_parent_path(mdpy, 0),
                                            "/mdev_supported_types/mdpy-hd/available_instances", NULL);

        /* The daemon stops during its first scan, so the next daemon removes the incomplete instance. */
        fake_hang(f.kernel, "read", room);
        fixture_new_manager(&f);
        ASSERT_OK(manager_open(f.manager));
        fixture_discover(&f);
        ASSERT_TRUE(fixture_wait(&f, wishes_are_carried_out, NULL));
        fake_wait_hanging(f.kernel);
        fake_heal(f.kernel);
        fake_release(f.kernel);
        fixture_stop(&f);
        ASSERT_EQ(fixture_count_records(&f), 1);
        fixture_start(&f);
        ASSERT_TRUE(fixture_wait(&f, instance_is_gone, (void *)UUID1));
        ASSERT_EQ(fixture_count_records(&f), 0);
}

/* A removal that fails is retried when a user requests a rescan, and by the next daemon, but not by other scans
 * within UNDO_PAUSE_USEC (model/apply.c). */
static void test_undo_fails(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_outcome_ Outcome o = { 0 };
        FakeGpu *mdpy = leave_half_made(&f);
        g_autofree char *path = g_strconcat(fake_gpu_parent_path(mdpy, 0), "/" UUID1 "/iommu_group", NULL);
        g_autofree char *group = NULL;
        VgpuIo *io = fake_kernel_io(f.kernel);
        uint32_t last;
        Job *job;

        ASSERT_OK(vgpu_io_read_link_name(io, path, &group));
        vgpu_io_free(io);
        g_autofree char *node = g_strconcat("vfio/", group, NULL);
        fake_hold_node(f.kernel, node, 42, "qemu-system-x86");
        fixture_start(&f);
        ASSERT_TRUE(fixture_wait(&f, no_jobs, (void *)"mdpy"));
        ASSERT_EQ(fixture_get(&f, UUID1)->origin, INSTANCE_ORIGIN_VGPUD);
        ASSERT_EQ(fixture_get(&f, UUID1)->state, INSTANCE_INCOMPLETE);
        last = f.model->last_job_id;

        for (unsigned n = 0; n < 3; n++) {
                gpu_want_scan(model_get_gpu(f.model, "mdpy"), GPU_SCAN_NOW);
                ASSERT_TRUE(fixture_wait(&f, no_jobs, (void *)"mdpy"));
        }

        ASSERT_EQ(f.model->last_job_id, last);
        fixture_stop(&f);

        fixture_start(&f);
        ASSERT_TRUE(fixture_wait(&f, no_jobs, (void *)"mdpy"));
        ASSERT_EQ(fixture_get(&f, UUID1)->state, INSTANCE_INCOMPLETE);
        fake_hold_node(f.kernel, node, 0, NULL);
        ASSERT_OK(request_rescan(model_get_gpu(f.model, "mdpy"), 0, &job, NULL));
        outcome_of(&o, job);
        ASSERT_TRUE(fixture_wait(&f, outcome_is_known, &o));
        ASSERT_TRUE(fixture_wait(&f, instance_is_gone, (void *)UUID1));
        ASSERT_EQ(fixture_count_records(&f), 0);
}

/* A GPU does not answer after a restart: the names and UUIDs in its records stay in use. */
static void test_restart_unanswered(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        char uuid[UUID_STRLEN + 1];
        Instance *instance;
        FakeGpu *mdpy;
        Job *job;

        fixture_init(&f);
        mdpy = fake_add_mdpy(f.kernel);
        fixture_add(&f, mdpy);
        fixture_add(&f, fake_add_gvt_g(f.kernel, GVT_G));
        fixture_start(&f);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "mdpy-hd", .uuid = UUID1, .name = "hugo"), uuid),
                  VGPUD_ERROR_NONE);
        fixture_stop(&f);

        g_autofree char *path = g_strconcat(fake_gpu_parent_path(mdpy, 0),
                                            "/mdev_supported_types/mdpy-hd/available_instances", NULL);
        fake_hang(f.kernel, "read", path);
        fixture_new_manager(&f);
        ASSERT_OK(manager_open(f.manager));
        fixture_discover(&f);
        ASSERT_TRUE(fixture_wait(&f, gpu_is_ready, (void *)GVT_G));
        fake_wait_hanging(f.kernel);

        ASSERT_ERROR(request_create(f.model, REQUEST(.type = "GVTg_V5_8", .uuid = UUID1), &job, &error),
                     EEXIST);
        vgpud_error_done(&error);
        ASSERT_ERROR(request_create(f.model, REQUEST(.type = "GVTg_V5_8", .name = "hugo"), &job, &error),
                     EEXIST);
        vgpud_error_done(&error);
        ASSERT_ERROR(request_get_instance(f.model, "hugo", &instance, &error), ETIMEDOUT);
        vgpud_error_done(&error);
        ASSERT_ERROR(request_get_instance(f.model, UUID1, &instance, &error), ETIMEDOUT);
        ASSERT_EQ(fixture_count_records(&f), 1);
        fake_heal(f.kernel);
        fake_release(f.kernel);
        ASSERT_TRUE(fixture_wait(&f, gpu_is_ready, (void *)"mdpy"));
        ASSERT_EQ(fixture_get(&f, UUID1)->origin, INSTANCE_ORIGIN_VGPUD);
        ASSERT_STREQ(fixture_get(&f, UUID1)->name, "hugo");
}

/* A stop cancels the waiting job, does not wait for the blocked job, and answers the callers of both. */
static void test_stop(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_outcome_ Outcome first = { 0 }, second = { 0 };
        FakeGpu *mdpy;
        Job *job;

        fixture_init(&f);
        f.config->stop_timeout_usec = 50 * USEC_PER_MSEC;
        mdpy = fake_add_mdpy(f.kernel);
        fixture_add(&f, mdpy);
        fixture_start(&f);
        g_autofree char *create = g_strconcat(fake_gpu_parent_path(mdpy, 0),
                                              "/mdev_supported_types/mdpy-hd/create", NULL);
        fake_hang(f.kernel, "write", create);
        ASSERT_OK(request_create(f.model, REQUEST(.type = "mdpy-hd"), &job, NULL));
        outcome_of(&first, job);
        fake_wait_hanging(f.kernel);
        ASSERT_OK(request_create(f.model, REQUEST(.type = "mdpy-hd"), &job, NULL));
        outcome_of(&second, job);
        manager_stop(f.manager, f.config->stop_timeout_usec);
        ASSERT_EQ(first.code, VGPUD_ERROR_CANCELED);
        ASSERT_EQ(second.code, VGPUD_ERROR_CANCELED);
        ASSERT_ERROR(request_create(f.model, REQUEST(.type = "mdpy-hd"), &job, NULL), ECANCELED);
        ASSERT_EQ(fixture_count_records(&f), 1); /* record of the running job, which may still succeed */
        fake_heal(f.kernel);
        fake_release(f.kernel);
        ASSERT_EQ(lanes_stop(f.model->lanes, WAIT_USEC), 0);
}

static unsigned count_threads(void)
{
        g_auto(GStrv) names = NULL;

        g_assert(fs_list_at(AT_FDCWD, "/proc/self/task", &names) >= 0);

        return g_strv_length(names);
}

/* The folders of the daemon stay open for a lane that is blocked in the kernel. */
static void test_stop_while_blocked(void)
{
        _cleanup_fixture_ Fixture f;
        static Job *left;             /* the lane uses the job until the process ends */
        static Lanes *volatile lanes; /* likewise; volatile, so that the leak sanitizer finds the pointer */
        unsigned threads = count_threads();
        g_auto(GStrv) names = NULL;
        g_autofree char *text = NULL;
        FakeGpu *mdpy;

        fixture_init(&f);
        f.config->stop_timeout_usec = 1;
        mdpy = fake_add_mdpy(f.kernel);
        fixture_add(&f, mdpy);
        fixture_start(&f);
        g_autofree char *create = g_strconcat(fake_gpu_parent_path(mdpy, 0),
                                              "/mdev_supported_types/mdpy-hd/create", NULL);
        fake_hang(f.kernel, "write", create);
        ASSERT_OK(request_create(f.model, REQUEST_N(2, .type = "mdpy-hd"), &left, NULL));
        fake_wait_hanging(f.kernel);
        lanes = f.model->lanes;
        g_assert(lanes);
        fixture_stop(&f);

        /* These folders get the numbers of the descriptors that fixture_stop() has closed. The lane, which
         * goes on, must not write to them. */
        scratch_directory(&f.scratch, "other");
        int others[8];
        for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
                others[i] = openat(f.scratch.fd, "other", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        fake_heal(f.kernel);
        while (count_threads() > threads)
                g_usleep(1000);
        text = fake_writes(f.kernel);
        for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
                safe_close(others[i]);

        ASSERT_CONTAINS(text, (const char *)left->uuids->pdata[1]);
        ASSERT_EQ(fixture_count_records(&f), 2);
        ASSERT_OK(fs_list_at(f.scratch.fd, "other", &names));
        ASSERT_EQ(g_strv_length(names), 0);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_restart);
        TEST(test_restart_unreadable);
        TEST(test_restart_unanswered);
        TEST(test_interrupted);
        TEST(test_unproven);
        TEST(test_unproven_unreadable);
        TEST(test_interrupted_pair);
        TEST(test_undo_many);
        TEST(test_undo_and_stop);
        TEST(test_undo_fails);
        TEST(test_stop);
        TEST(test_stop_while_blocked);

        return tests_end();
}
