/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Ownership of slots, where the kernel has neither UUIDs nor events. */

#include "fake-nvidia.h"
#include "fake-xengt.h"
#include "fixture.h"

#define L40S "0000:41:00.0"

/* Returns the only instance of the model; NULL: none, or several. */
static Instance *get_only(Fixture *f)
{
        GHashTableIter iter;
        Instance *i = NULL;

        if (g_hash_table_size(model_instances(f->model)) != 1)
                return NULL;

        g_hash_table_iter_init(&iter, model_instances(f->model));
        (void)g_hash_table_iter_next(&iter, NULL, (gpointer *)&i);

        return i;
}

/* Starts the fixture, and adds a GPU with these facts, which is none of the fixture's own GPUs. */
static void start(Fixture *f, GpuFacts *facts)
{
        g_autoptr(GPtrArray) found = g_ptr_array_new();
        g_autofree char *ready = g_strdup_printf("gpu~ %s state=ready", facts->name);

        fixture_start(f);
        g_ptr_array_add(found, facts);
        arrivals_apply(f->model, found, NULL, (uint64_t)g_get_monotonic_time());
        g_assert(fixture_wait(f, saw, ready));
}

static FakeNvidia *start_l40s(Fixture *f)
{
        FakeNvidia *g;

        fixture_init(f);
        g = fake_add_l40s(f->kernel, L40S, true);
        GpuFacts *facts = fake_nvidia_facts(g);
        start(f, facts);
        gpu_facts_unref(facts);

        return g;
}

static void look(Fixture *f)
{
        gpu_want_scan(model_get_gpu(f->model, L40S), GPU_SCAN_NOW);
}

#define ALICE(...) REQUEST(.name = "alice", .requester = 1000, .type = __VA_ARGS__)
#define ZOE(...)   REQUEST(.name = "zoe", .requester = 1001, .type = __VA_ARGS__)

/* Checks that Zoe's instance is the only one: another program removed Alice's instance from the slot. */
static void check_zoe(Fixture *f, const char *zoe)
{
        const Instance *i = get_only(f);

        ASSERT_NOT_NULL(i);
        ASSERT_STREQ(i->desc->uuid, zoe);
        ASSERT_EQ(i->origin, INSTANCE_ORIGIN_VGPUD);
        ASSERT_STREQ(i->name, "zoe");
        ASSERT_EQ(i->owner, 1001);
        ASSERT_EQ(fixture_count_records(f), 1);
}

/* Another program frees the slot of an instance, and vgpud uses the slot again. The test repeats this, because
 * the order of records depends on random UUIDs. */
static void test_again_nvidia(void)
{
        _cleanup_fixture_ Fixture f;
        FakeNvidia *g = start_l40s(&f);
        char alice[UUID_STRLEN + 1], zoe[UUID_STRLEN + 1];

        for (unsigned n = 0; n < 16; n++) {
                ASSERT_EQ(fixture_create(&f, ALICE("nvidia-1150"), alice), VGPUD_ERROR_NONE);
                fake_nvidia_set(g, 0, 0);
                ASSERT_EQ(fixture_create(&f, ZOE("nvidia-1150"), zoe), VGPUD_ERROR_NONE);
                check_zoe(&f, zoe);
                fake_nvidia_set(g, 0, 0);
                look(&f);
                ASSERT_TRUE(fixture_wait(&f, instance_is_gone, zoe));
        }

        fixture_stop(&f);
        fake_nvidia_free(g);
}

/* As test_again_nvidia(), but each device in the slot has its own inode. */
static void test_again_xengt(void)
{
        _cleanup_fixture_ Fixture f;
        char alice[UUID_STRLEN + 1], zoe[UUID_STRLEN + 1];

        fixture_init(&f);
        FakeXengt *x = fake_add_xengt(f.kernel);
        GpuFacts *facts = fake_xengt_facts(x);
        VgpuIo *io = fake_kernel_io(f.kernel);
        g_autoptr(GPtrArray) domain = g_ptr_array_new();
        VgpuAttribute *vmid = vgpu_attribute_new("vmid", "1");
        g_ptr_array_add(domain, vmid);
        start(&f, facts);

        for (unsigned n = 0; n < 16; n++) {
                fake_xengt_domain(x, 1, true);
                ASSERT_EQ(fixture_create(&f, ALICE("xengt-64-448", .attributes = domain), alice),
                          VGPUD_ERROR_NONE);
                fake_xengt_domain(x, 1, false);
                ASSERT_OK(vgpu_io_write(io, "kernel/vgt/control/create_vgt_instance", "-1"));
                fake_xengt_domain(x, 1, true);
                ASSERT_EQ(fixture_create(&f, ZOE("xengt-64-448", .attributes = domain), zoe), VGPUD_ERROR_NONE);
                check_zoe(&f, zoe);
                fake_xengt_domain(x, 1, false);
                ASSERT_EQ(fixture_destroy(&f, zoe, 0), VGPUD_ERROR_NONE);
        }

        vgpu_attribute_free(vmid);
        fixture_stop(&f);
        vgpu_io_free(io);
        gpu_facts_unref(facts);
        fake_xengt_free(x);
}

/* A destroy of the old instance in the slot waits behind the create of Zoe's instance, which must survive. */
static void destroy_behind_create(Fixture *f, FakeNvidia *g, Instance *before)
{
        _cleanup_outcome_ Outcome made = { 0 }, removed = { 0 };
        bool foreign = before->origin == INSTANCE_ORIGIN_FOREIGN;
        Job *job;

        fake_nvidia_set(g, 0, 0);
        ASSERT_OK(request_create(f->model, ZOE("nvidia-1150"), &job, NULL));
        g_autofree char *zoe = g_strdup(job->uuids->pdata[0]);
        outcome_of(&made, job);
        ASSERT_OK(request_destroy(f->model, before, foreign, 1000, &job, NULL));
        outcome_of(&removed, job);
        ASSERT_TRUE(fixture_wait(f, outcome_is_known, &made));
        ASSERT_TRUE(fixture_wait(f, outcome_is_known, &removed));
        ASSERT_EQ(made.code, VGPUD_ERROR_NONE);
        ASSERT_EQ(removed.code, VGPUD_ERROR_NONE);
        check_zoe(f, zoe);
}

static void test_destroy_behind_create(void)
{
        _cleanup_fixture_ Fixture f;
        FakeNvidia *g = start_l40s(&f);
        char alice[UUID_STRLEN + 1];

        ASSERT_EQ(fixture_create(&f, ALICE("nvidia-1150"), alice), VGPUD_ERROR_NONE);
        destroy_behind_create(&f, g, fixture_get(&f, alice));
        fixture_stop(&f);
        fake_nvidia_free(g);
}

/* Another program replaces vgpud's instance in its slot. Returns the foreign instance. */
static Instance *make_foreign(Fixture *f, FakeNvidia *g)
{
        char alice[UUID_STRLEN + 1];
        Instance *i;

        g_assert(fixture_create(f, ALICE("nvidia-1150"), alice) == VGPUD_ERROR_NONE);
        fake_nvidia_set(g, 0, 0);
        fake_nvidia_set(g, 0, 1148); /* another type is another instance */
        look(f);
        g_assert(fixture_wait(f, instance_is_gone, alice));
        i = get_only(f);
        g_assert(i && i->origin == INSTANCE_ORIGIN_FOREIGN);

        return i;
}

static void test_destroy_foreign_behind_create(void)
{
        _cleanup_fixture_ Fixture f;
        FakeNvidia *g = start_l40s(&f);

        destroy_behind_create(&f, g, make_foreign(&f, g));
        fixture_stop(&f);
        fake_nvidia_free(g);
}

/* A foreign instance in a slot that vgpud used earlier can be destroyed. */
static void test_destroy_foreign(void)
{
        _cleanup_fixture_ Fixture f;
        FakeNvidia *g = start_l40s(&f);
        g_autofree char *path = g_strconcat(fake_nvidia_vf_path(g, 0), "/nvidia/current_vgpu_type", NULL);
        g_autofree char *uuid = g_strdup(make_foreign(&f, g)->desc->uuid), *type = NULL;
        VgpuIo *io = fake_kernel_io(f.kernel);

        ASSERT_EQ(fixture_destroy(&f, uuid, DESTROY_FOREIGN), VGPUD_ERROR_NONE);
        ASSERT_OK(vgpu_io_read(io, path, &type));
        ASSERT_STREQ(type, "0");
        ASSERT_EQ(g_hash_table_size(model_instances(f.model)), 0);
        fixture_stop(&f);
        vgpu_io_free(io);
        fake_nvidia_free(g);
}

static bool has_reason(Fixture *f, void *data)
{
        const Gpu *gpu = model_get_gpu(f->model, L40S);

        return gpu_is_at_rest(f, (void *)L40S) && !gpu->reason == !data;
}

/* The reason of the GPU names a VF that cannot be read. The instance on this VF stays, and after a restart its
 * record stays. Other instances can be created and destroyed. */
static void test_unreadable_vf(void)
{
        _cleanup_fixture_ Fixture f;
        FakeNvidia *g = start_l40s(&f);
        g_autofree char *path = g_strconcat(fake_nvidia_vf_path(g, 0), "/nvidia/current_vgpu_type", NULL);
        char alice[UUID_STRLEN + 1], zoe[UUID_STRLEN + 1], other[UUID_STRLEN + 1];
        GpuFacts *facts = fake_nvidia_facts(g);

        ASSERT_EQ(fixture_create(&f, ALICE("nvidia-1150"), alice), VGPUD_ERROR_NONE);
        ASSERT_EQ(fixture_create(&f, ZOE("nvidia-1150"), zoe), VGPUD_ERROR_NONE);
        fake_fail(f.kernel, "read", path, EIO);
        look(&f);
        ASSERT_TRUE(fixture_wait(&f, has_reason, &f));
        const Gpu *gpu = model_get_gpu(f.model, L40S);
        ASSERT_EQ(gpu->state, GPU_READY);
        ASSERT_CONTAINS(gpu->reason, fake_nvidia_vf_name(g, 0));
        ASSERT_EQ(gpu->hint.id, VGPUD_HINT_SEE_KERNEL_LOG);
        ASSERT_NOT_NULL(fixture_get(&f, alice)); /* in the state of the last successful scan */
        ASSERT_NOT_NULL(fixture_get(&f, zoe));
        ASSERT_EQ(fixture_destroy(&f, alice, 0), VGPUD_ERROR_FAILED);
        ASSERT_NOT_NULL(fixture_get(&f, alice));

        fixture_stop(&f);
        f.other_gpu = facts;
        fixture_start(&f);
        ASSERT_NULL(fixture_get(&f, alice));
        ASSERT_NOT_NULL(fixture_get(&f, zoe));
        ASSERT_EQ(fixture_get(&f, zoe)->origin, INSTANCE_ORIGIN_VGPUD);
        ASSERT_EQ(fixture_count_records(&f), 2);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "nvidia-1150"), other), VGPUD_ERROR_NONE);
        ASSERT_EQ(fixture_destroy(&f, zoe, 0), VGPUD_ERROR_NONE);
        ASSERT_EQ(fixture_destroy(&f, other, 0), VGPUD_ERROR_NONE);
        ASSERT_EQ(fixture_count_records(&f), 1);

        fake_heal(f.kernel);
        look(&f);
        ASSERT_TRUE(fixture_wait(&f, has_reason, NULL));
        ASSERT_NOT_NULL(fixture_get(&f, alice));
        ASSERT_EQ(fixture_get(&f, alice)->origin, INSTANCE_ORIGIN_VGPUD);
        ASSERT_STREQ(fixture_get(&f, alice)->name, "alice");
        ASSERT_EQ(fixture_destroy(&f, alice, 0), VGPUD_ERROR_NONE);
        fixture_stop(&f);
        gpu_facts_unref(facts);
        fake_nvidia_free(g);
}

#define INTERRUPTED "11111111-2222-4333-8444-555555555555"

/* Writes the files of a daemon that was killed during a create with attributes. `identity`: inode of the
 * slot; 0: the slot appears with the instance. `proof`: inode from vgpud-write; 0: no write has succeeded. */
static void leave_record(Fixture *f, const GpuFacts *facts, const char *type, const char *slot,
                         const char *restore, uint64_t identity, uint64_t proof)
{
        Record record = { .uuid = INTERRUPTED,
                          .gpu = (char *)facts->name,
                          .type_id = (char *)type,
                          .owner = 1000,
                          .created_usec = 1,
                          .identity = proof,
                          .undo = true };
        SharedFd *directory;
        Records *records;

        g_assert(records_open(f->scratch.fd, &records) >= 0);
        g_assert(records_put(records, &record) >= 0);
        directory = records_directory(records);
        g_assert(records_reserve(shared_fd_get(directory), INTERRUPTED, slot, restore, identity) >= 0);
        shared_fd_unref(directory);
        records_free(records);
}

static bool is_removed(Fixture *f, void *gpu)
{
        return g_hash_table_size(model_instances(f->model)) == 0 && fixture_count_records(f) == 0;
}

static void check_interrupted(Fixture *f, const char *gpu, bool proven)
{
        const Instance *i;

        if (proven) {
                ASSERT_TRUE(fixture_wait(f, is_removed, NULL));
                return;
        }

        ASSERT_TRUE(fixture_wait(f, gpu_is_at_rest, (void *)gpu));
        i = get_only(f);
        ASSERT_NOT_NULL(i);
        ASSERT_EQ(i->origin, INSTANCE_ORIGIN_FOREIGN);
        ASSERT_TRUE(strcmp(i->desc->uuid, INTERRUPTED) != 0);
        ASSERT_EQ(f->model->last_job_id, 0);
        ASSERT_EQ(fixture_count_records(f), 0);
}

static void interrupted_xengt(bool proven)
{
        _cleanup_fixture_ Fixture f;
        uint64_t identity;

        fixture_init(&f);
        FakeXengt *x = fake_add_xengt(f.kernel);
        GpuFacts *facts = fake_xengt_facts(x);
        VgpuIo *io = fake_kernel_io(f.kernel);
        fake_xengt_domain(x, 1, true);
        ASSERT_OK(vgpu_io_write(io, "kernel/vgt/control/create_vgt_instance", "1,64,448,4"));
        ASSERT_OK(vgpu_io_identify(io, "kernel/vgt/vm1", &identity));
        fake_xengt_domain(x, 1, false); /* the domain has ended, so a removal would succeed */
        leave_record(&f, facts, "xengt-64-448", "vm1", "low_gm=64M high_gm=448M fences=4", 0,
                     proven ? identity : 0);
        f.other_gpu = facts;
        fixture_start(&f);
        check_interrupted(&f, facts->name, proven);
        ASSERT_EQ(fake_exists(f.kernel, "kernel/vgt/vm1"), !proven);
        fixture_stop(&f);
        vgpu_io_free(io);
        gpu_facts_unref(facts);
        fake_xengt_free(x);
}

static void interrupted_nvidia(bool proven)
{
        _cleanup_fixture_ Fixture f;
        uint64_t identity;

        fixture_init(&f);
        FakeNvidia *g = fake_add_l40s(f.kernel, L40S, true);
        GpuFacts *facts = fake_nvidia_facts(g);
        VgpuIo *io = fake_kernel_io(f.kernel);
        fake_nvidia_set(g, 0, 1150);
        ASSERT_OK(vgpu_io_identify(io, fake_nvidia_vf_path(g, 0), &identity));
        leave_record(&f, facts, "nvidia-1150", fake_nvidia_vf_name(g, 0), NULL, identity,
                     proven ? identity : 0);
        f.other_gpu = facts;
        fixture_start(&f);
        check_interrupted(&f, facts->name, proven);
        fixture_stop(&f);
        vgpu_io_free(io);
        gpu_facts_unref(facts);
        fake_nvidia_free(g);
}

/* vgpud undoes an interrupted create only if the record has a proof. Without a proof, another program may
 * have created the instance in the reserved slot. */
static void test_interrupted(void)
{
        interrupted_xengt(false);
        interrupted_xengt(true);
        interrupted_nvidia(false);
        interrupted_nvidia(true);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_again_nvidia);
        TEST(test_again_xengt);
        TEST(test_destroy_behind_create);
        TEST(test_destroy_foreign_behind_create);
        TEST(test_destroy_foreign);
        TEST(test_unreadable_vf);
        TEST(test_interrupted);

        return tests_end();
}
