/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Instances, jobs, capacity, announcements and stuck operations on GPUs that stay. */

#include "drivers-glue/type-find.h"
#include "fake-nvidia.h"
#include "fixture.h"

#define GVT_G  "0000:00:02.0"
#define A2     "0000:08:00.0"
#define NVIDIA "0000:41:00.0"
#define UUID1  "11111111-2222-4333-8444-555555555555"
#define UUID2  "22222222-2222-4333-8444-555555555555"

static void test_life(void)
{
        _cleanup_fixture_ Fixture f;
        char uuid[UUID_STRLEN + 1];
        g_autofree char *line = NULL;

        fixture_init(&f);
        fixture_add(&f, fake_add_gvt_g(f.kernel, GVT_G));
        fixture_start(&f);
        fixture_forget(&f);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "GVTg_V5_4", .name = "hugo", .requester = 1000), uuid),
                  VGPUD_ERROR_NONE);
        Instance *i = fixture_get(&f, uuid);
        ASSERT_NOT_NULL(i);
        ASSERT_EQ(i->origin, INSTANCE_ORIGIN_VGPUD);
        ASSERT_EQ(i->owner, 1000);
        ASSERT_STREQ(i->name, "hugo");
        ASSERT_STREQ(i->desc->type_id, "i915-GVTg_V5_4");
        ASSERT_TRUE(i->created_usec > 0);
        ASSERT_EQ(fixture_available(&f, GVT_G, "i915-GVTg_V5_4"), 2);
        /* announcements in order: job, instance, types, end of the job */
        line = g_strdup_printf("job+ 1 create\n");
        ASSERT_TRUE(g_str_has_prefix(f.log->str, line));
        const char *added = strstr(f.log->str, "instance+"), *types = strstr(f.log->str, " types"),
                   *end = strstr(f.log->str, "job- 1 done");
        ASSERT_TRUE(added && types && end && added < types && types < end);

        Instance *found;
        g_autofree char *upper = g_ascii_strup(uuid, -1);
        ASSERT_OK(request_get_instance(f.model, "hugo", &found, NULL));
        ASSERT_TRUE(found == i);
        ASSERT_OK(request_get_instance(f.model, upper, &found, NULL));
        ASSERT_TRUE(found == i);

        ASSERT_EQ(fixture_destroy(&f, "hugo", 0), VGPUD_ERROR_NONE);
        ASSERT_NULL(fixture_get(&f, uuid));
        ASSERT_EQ(fixture_count_records(&f), 0);
        ASSERT_EQ(g_hash_table_size(model_jobs(f.model)), 0);
        ASSERT_EQ(fixture_available(&f, GVT_G, "i915-GVTg_V5_4"), 3);
}

static void test_refusals(void)
{
        _cleanup_fixture_ Fixture f;
        char uuid[UUID_STRLEN + 1];
        g_autoptr(GPtrArray) attributes = g_ptr_array_new();
        VgpuAttribute bad = { (char *)"../remove", (char *)"1" };

        fixture_init(&f);
        fixture_add(&f, fake_add_gvt_g(f.kernel, GVT_G));
        fixture_add(&f, fake_add_mdpy(f.kernel));
        fixture_start(&f);
        g_ptr_array_add(attributes, &bad);
        static const struct {
                CreateRequest request;
                VgpudErrorCode code;
        } cases[] = {
                { { .count = 1, .type = "nonsense" }, VGPUD_ERROR_NO_SUCH_TYPE },
                { { .count = 1, .type = "mdpy-xga", .gpu = GVT_G }, VGPUD_ERROR_NO_SUCH_TYPE },
                { { .count = 1, .type = "mdpy-xga", .gpu = "0000:99:00.0" }, VGPUD_ERROR_NO_SUCH_GPU },
                { { .count = 0, .type = "mdpy-xga" }, VGPUD_ERROR_INVALID },
                { { .count = 1025, .type = "mdpy-xga" }, VGPUD_ERROR_INVALID },
                { { .count = 2, .type = "mdpy-xga", .uuid = UUID1 }, VGPUD_ERROR_INVALID },
                { { .count = 2, .type = "mdpy-xga", .name = "x" }, VGPUD_ERROR_INVALID },
                { { .count = 1, .type = "mdpy-xga", .uuid = "not-a-uuid" }, VGPUD_ERROR_INVALID },
                { { .count = 1, .type = "mdpy-xga", .uuid = "{" UUID1 "}" }, VGPUD_ERROR_INVALID },
                { { .count = 1, .type = "mdpy-xga", .name = UUID1 }, VGPUD_ERROR_INVALID },
                { { .count = 1, .type = "mdpy-xga", .name = "-x" }, VGPUD_ERROR_INVALID },
                { { .count = 1, .type = "mdpy-xga", .name = "a/b" }, VGPUD_ERROR_INVALID },
                { { .count = 1, .type = "mdpy-xga", .parent = "mdpy" },
                  VGPUD_ERROR_INVALID }, /* parent without GPU */
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                ASSERT_EQ(fixture_create(&f, &cases[i].request, uuid), cases[i].code);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "mdpy-xga", .attributes = attributes), uuid),
                  VGPUD_ERROR_INVALID);
        g_autofree char *writes = fake_writes(f.kernel);
        ASSERT_STREQ(writes, "");
        ASSERT_EQ(fixture_count_records(&f), 0);

        /* The UUID and the name are in use; "mdpy" is the name of a GPU. */
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "mdpy-xga", .uuid = UUID1, .name = "hugo"), uuid),
                  VGPUD_ERROR_NONE);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "GVTg_V5_8", .uuid = UUID1), uuid), VGPUD_ERROR_EXISTS);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "GVTg_V5_8", .name = "hugo"), uuid), VGPUD_ERROR_EXISTS);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "GVTg_V5_8", .name = "mdpy"), uuid), VGPUD_ERROR_EXISTS);
        ASSERT_EQ(fixture_destroy(&f, "emil", 0), VGPUD_ERROR_NO_SUCH_INSTANCE);
        ASSERT_EQ(fixture_destroy(&f, "a/b", 0), VGPUD_ERROR_INVALID);
        ASSERT_EQ(fixture_destroy(&f, "", 0), VGPUD_ERROR_INVALID);

        ASSERT_NOT_NULL(fixture_get(&f, UUID1));
}

/* A lookup needs the whole name or UUID, even if a name looks like the beginning of a UUID. */
static void test_lookups(void)
{
        static const char *const names[] = { "100", "abc", "d" };
        _cleanup_fixture_ Fixture f;
        char uuids[G_N_ELEMENTS(names)][UUID_STRLEN + 1];
        Instance *instance;
        Gpu *gpu;

        fixture_init(&f);
        fixture_add(&f, fake_add_gvt_g(f.kernel, GVT_G));
        fixture_add(&f, fake_add_mdpy(f.kernel));
        fixture_start(&f);

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                ASSERT_EQ(fixture_create(&f, REQUEST(.type = "mdpy-vga", .name = names[i]), uuids[i]),
                          VGPUD_ERROR_NONE);

        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "GVTg_V5_8", .uuid = UUID1), (char[UUID_STRLEN + 1]){ 0 }),
                  VGPUD_ERROR_NONE);

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autofree char *upper = g_ascii_strup(uuids[i], -1);

                ASSERT_OK(request_get_instance(f.model, names[i], &instance, NULL));
                ASSERT_STREQ(instance->desc->uuid, uuids[i]);
                ASSERT_OK(request_get_instance(f.model, upper, &instance, NULL));
                ASSERT_STREQ(instance->desc->uuid, uuids[i]);
        }

        ASSERT_ERROR(request_get_instance(f.model, "ABC", &instance, NULL), ENODEV);
        ASSERT_ERROR(request_get_instance(f.model, "1111", &instance, NULL), ENODEV);
        ASSERT_ERROR(request_get_instance(f.model, UUID2, &instance, NULL), ENODEV);
        ASSERT_ERROR(request_get_instance(f.model, "", &instance, NULL), EINVAL);
        ASSERT_ERROR(request_get_instance(f.model, "/org/vgpud1/job/3", &instance, NULL), EINVAL);

        ASSERT_OK(request_get_gpu(f.model, GVT_G, &gpu, NULL));
        ASSERT_STREQ(gpu_name(gpu), GVT_G);
        ASSERT_OK(request_get_gpu(f.model, "mdpy", &gpu, NULL));
        ASSERT_OK(request_get_gpu(f.model, "00:02.0", &gpu, NULL));
        ASSERT_STREQ(gpu_name(gpu), GVT_G);
        ASSERT_OK(request_get_gpu(f.model, "pci_0000_00_02_0", &gpu, NULL));
        ASSERT_STREQ(gpu_name(gpu), GVT_G);
        ASSERT_ERROR(request_get_gpu(f.model, "00:03.0", &gpu, NULL), ENXIO);
        ASSERT_ERROR(request_get_gpu(f.model, "00000000:00:03.0", &gpu, NULL), ENXIO);
        ASSERT_ERROR(request_get_gpu(f.model, "0000:00:02", &gpu, NULL), ENXIO);
        ASSERT_ERROR(request_get_gpu(f.model, "", &gpu, NULL), EINVAL);
        ASSERT_ERROR(request_get_gpu(f.model, "..", &gpu, NULL), EINVAL);
        ASSERT_ERROR(request_get_gpu(f.model, "../" GVT_G, &gpu, NULL), EINVAL);
        ASSERT_ERROR(request_get_gpu(f.model, "a b", &gpu, NULL), EINVAL);
}

static void test_capacity(void)
{
        _cleanup_fixture_ Fixture f;
        unsigned made = 0, full = 0;
        Outcome o[32] = { 0 };
        unsigned left = 32;

        fixture_init(&f);
        fixture_add(&f, fake_add_mdpy(f.kernel));
        fixture_start(&f);

        for (size_t i = 0; i < 32; i++) {
                Job *job;

                ASSERT_OK(request_create(f.model, REQUEST(.type = "mdpy-vga"), &job, NULL));
                outcome_of(&o[i], job);
        }

        while (left > 0) {
                ASSERT_TRUE(fixture_wait(&f, outcome_is_known, &o[32 - left]));
                left--;
        }

        for (size_t i = 0; i < 32; i++) {
                made += o[i].code == VGPUD_ERROR_NONE;
                full += o[i].code == VGPUD_ERROR_NO_CAPACITY;
                ASSERT_EQ(o[i].told, 1);
                outcome_done(&o[i]);
        }

        ASSERT_EQ(made, 4);
        ASSERT_EQ(full, 28);
        ASSERT_EQ(fixture_count_records(&f), 4);
}

static int fail_third(FakeKernel *k, const char *path, void *data)
{
        return ++*(unsigned *)data == 3 ? -EIO : 0;
}

/* A create of several instances creates all or none. */
static void test_several(void)
{
        _cleanup_fixture_ Fixture f;
        char uuid[UUID_STRLEN + 1];
        unsigned calls = 0;
        FakeGpu *gpu;

        fixture_init(&f);
        gpu = fake_add_gvt_g(f.kernel, GVT_G);
        fixture_add(&f, gpu);
        fixture_start(&f);
        /* without capacity for all instances, nothing is written */
        ASSERT_EQ(fixture_create(&f, REQUEST_N(4, .type = "GVTg_V5_4"), uuid), VGPUD_ERROR_NO_CAPACITY);
        g_autofree char *writes = fake_writes(f.kernel);
        ASSERT_STREQ(writes, "");

        /* the third fails: the first two are rolled back */
        g_autofree char *create = g_strconcat(fake_gpu_parent_path(gpu, 0),
                                              "/mdev_supported_types/i915-GVTg_V5_4/create", NULL);
        fake_before(f.kernel, "write", create, fail_third, &calls);
        ASSERT_EQ(fixture_create(&f, REQUEST_N(3, .type = "GVTg_V5_4"), uuid), VGPUD_ERROR_FAILED);
        ASSERT_EQ(calls, 3);
        ASSERT_EQ(fixture_available(&f, GVT_G, "GVTg_V5_4"), 3);
        ASSERT_EQ(g_hash_table_size(model_instances(f.model)), 0);
        ASSERT_EQ(fixture_count_records(&f), 0);
        fake_heal(f.kernel);

        ASSERT_EQ(fixture_create(&f, REQUEST_N(3, .type = "GVTg_V5_4"), uuid), VGPUD_ERROR_NONE);
        ASSERT_EQ(g_hash_table_size(model_instances(f.model)), 3);
        ASSERT_EQ(fixture_count_records(&f), 3);
}

/* True if the GPU was scanned after the moment. */
static bool is_looked_at(Fixture *f, void *moment)
{
        return model_get_gpu(f->model, A2)->snapshot->taken_usec > *(uint64_t *)moment;
}

/* The answer to a create or destroy does not wait for a scan of many parents and types. */
static void test_large(void)
{
        uint64_t moment;
        _cleanup_fixture_ Fixture f;
        char uuid[UUID_STRLEN + 1];
        unsigned before, reads;

        fixture_init(&f);
        fixture_add(&f, fake_add_large(f.kernel, A2, 32, 20));
        fixture_start(&f);
        const GpuSnapshot *s = model_get_gpu(f.model, A2)->snapshot;
        ASSERT_EQ(s->types->len, 20);
        const VgpuType *first = s->types->pdata[0], *last = s->types->pdata[19];
        g_autofree char *type = g_strdup(first->id), *other = g_strdup(last->id);
        uint32_t room = first->available, other_room = last->available;
        ASSERT_TRUE(room >= 3 && other_room > 0);

        before = fake_count(f.kernel, "read");
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = type), uuid), VGPUD_ERROR_NONE);
        reads = fake_count(f.kernel, "read") - before;
        ASSERT_TRUE(reads < 32);
        Instance *i = fixture_get(&f, uuid);
        ASSERT_NOT_NULL(i);
        ASSERT_EQ(i->origin, INSTANCE_ORIGIN_VGPUD);
        ASSERT_STREQ(i->desc->type_id, type);
        ASSERT_EQ(fixture_available(&f, A2, type), room - 1);
        /* The first instance decides the size of all vGPUs; the model predicts this without a scan. */
        ASSERT_EQ(fixture_available(&f, A2, other), 0);
        moment = (uint64_t)g_get_real_time();
        ASSERT_TRUE(fixture_wait(&f, is_looked_at, &moment));
        ASSERT_EQ(fixture_available(&f, A2, type), room - 1);
        ASSERT_EQ(fixture_available(&f, A2, other), 0);

        before = fake_count(f.kernel, "read");
        ASSERT_EQ(fixture_destroy(&f, uuid, 0), VGPUD_ERROR_NONE);
        reads = fake_count(f.kernel, "read") - before;
        ASSERT_TRUE(reads < 32);
        ASSERT_NULL(fixture_get(&f, uuid));
        ASSERT_EQ(fixture_count_records(&f), 0);
        ASSERT_EQ(fixture_available(&f, A2, type), room);
        ASSERT_EQ(fixture_available(&f, A2, other), other_room);
        moment = (uint64_t)g_get_real_time();
        ASSERT_TRUE(fixture_wait(&f, is_looked_at, &moment));
        ASSERT_EQ(fixture_available(&f, A2, other), other_room);

        /* A create of several instances continues at the next VF, instead of searching all VFs each time. */
        before = fake_count(f.kernel, "read");
        ASSERT_EQ(fixture_create(&f, REQUEST_N(room, .type = type), uuid), VGPUD_ERROR_NONE);
        reads = fake_count(f.kernel, "read") - before;
        ASSERT_TRUE(reads < 8 * room);
        ASSERT_EQ(g_hash_table_size(model_instances(f.model)), room);
        ASSERT_EQ(fixture_available(&f, A2, type), 0);

        /* The answer to a destroy of several instances does not wait for a scan either. */
        g_autoptr(GPtrArray) instances = g_ptr_array_new(), jobs = NULL;
        _cleanup_outcome_ Outcome o = { 0 };
        GHashTableIter iter;
        gpointer instance;

        g_hash_table_iter_init(&iter, model_instances(f.model));
        while (g_hash_table_iter_next(&iter, NULL, &instance))
                g_ptr_array_add(instances, instance);
        moment = (uint64_t)g_get_real_time();
        ASSERT_TRUE(fixture_wait(&f, is_looked_at, &moment));
        before = fake_count(f.kernel, "read");
        ASSERT_OK(request_destroy_many(f.model, instances, false, 0, &jobs, NULL));
        ASSERT_EQ(jobs->len, 1);
        outcome_of(&o, jobs->pdata[0]);
        ASSERT_TRUE(fixture_wait(&f, outcome_is_known, &o));
        ASSERT_EQ(o.code, VGPUD_ERROR_NONE);
        reads = fake_count(f.kernel, "read") - before;
        ASSERT_TRUE(reads < room);
        ASSERT_EQ(g_hash_table_size(model_instances(f.model)), 0);
        ASSERT_EQ(fixture_available(&f, A2, type), room);
        ASSERT_EQ(fixture_available(&f, A2, other), other_room);
        moment = (uint64_t)g_get_real_time();
        ASSERT_TRUE(fixture_wait(&f, is_looked_at, &moment));
        ASSERT_EQ(fixture_available(&f, A2, type), room);
}

/* A create without a GPU respects the capacity of the GPUs and their waiting jobs. */
static void test_placement(void)
{
        _cleanup_fixture_ Fixture f;
        Outcome o[8] = { 0 };

        fixture_init(&f);
        fixture_add(&f, fake_add_gvt_g(f.kernel, GVT_G));
        fixture_add(&f, fake_add_gvt_g(f.kernel, "0001:00:02.0"));
        fixture_start(&f);

        for (size_t i = 0; i < 6; i++) {
                Job *job;

                ASSERT_OK(request_create(f.model, REQUEST(.type = "GVTg_V5_4"), &job, NULL));
                ASSERT_STREQ(job->gpu_name, i % 2 == 0 ? GVT_G : "0001:00:02.0");
                outcome_of(&o[i], job);
        }

        for (size_t i = 0; i < 6; i++) {
                ASSERT_TRUE(fixture_wait(&f, outcome_is_known, &o[i]));
                ASSERT_EQ(o[i].code, VGPUD_ERROR_NONE);
                outcome_done(&o[i]);
        }
}

static void test_foreign(void)
{
        _cleanup_fixture_ Fixture f;
        FakeGpu *mdpy;
        VgpuIo *io;

        fixture_init(&f);
        mdpy = fake_add_mdpy(f.kernel);
        fixture_add(&f, mdpy);
        fixture_start(&f);
        io = fake_kernel_io(f.kernel);
        g_autofree char *create = g_strconcat(fake_gpu_parent_path(mdpy, 0),
                                              "/mdev_supported_types/mdpy-hd/create", NULL);
        ASSERT_OK(vgpu_io_write(io, create, UUID1));
        vgpu_io_free(io);
        gpu_want_scan(model_get_gpu(f.model, "mdpy"), GPU_SCAN_SOON); /* as an event does */
        ASSERT_TRUE(fixture_wait(&f, saw, (void *)"instance+ " UUID1 " foreign"));
        ASSERT_EQ(fixture_get(&f, UUID1)->owner, UID_INVALID);
        ASSERT_EQ(fixture_destroy(&f, UUID1, 0), VGPUD_ERROR_FOREIGN);
        ASSERT_NOT_NULL(fixture_get(&f, UUID1));
        ASSERT_EQ(fixture_destroy(&f, UUID1, DESTROY_FOREIGN), VGPUD_ERROR_NONE);
        ASSERT_NULL(fixture_get(&f, UUID1));
        ASSERT_TRUE(fixture_saw(&f, "instance- " UUID1));
}

static bool is_on(Fixture *f, void *gpu)
{
        return fixture_get(f, UUID1) && strcmp(gpu_name(fixture_get(f, UUID1)->gpu), gpu) == 0;
}

static bool both_are_at_rest(Fixture *f, void *data)
{
        const Gpu *a = model_get_gpu(f->model, "mdpy"), *b = model_get_gpu(f->model, "mtty");

        return !a->scan && !a->debounce && !b->scan && !b->debounce;
}

typedef struct Changes {
        unsigned gpu, instance;
} Changes;

static void add_gpu_changes(Gpu *gpu, unsigned changes, void *userdata)
{
        ((Changes *)userdata)->gpu |= changes;
}

static void add_instance_changes(Instance *instance, unsigned changes, void *userdata)
{
        ((Changes *)userdata)->instance |= changes;
}

static const ModelEvents change_events = { .gpu_changed = add_gpu_changes,
                                           .instance_changed = add_instance_changes };

static bool is_known(Fixture *f, void *name)
{
        return model_get_gpu(f->model, name)->state != GPU_NEW;
}

static void apply_facts(Fixture *f, GpuFacts *facts)
{
        g_autoptr(GPtrArray) all = g_ptr_array_new();

        facts->began_usec = (uint64_t)g_get_monotonic_time();
        g_ptr_array_add(all, facts);
        arrivals_apply(f->model, all, NULL, facts->began_usec);
        gpu_facts_unref(facts);
        g_assert(fixture_wait(f, is_known, (void *)NVIDIA));
}

/* Two properties that follow from other data are announced: the type name of an instance, which a driver may
 * hide, and the modes. */
static void test_what_follows(void)
{
        _cleanup_fixture_ Fixture f;
        Changes changes = { 0 };
        const VgpuType *type;
        GpuFacts *facts;
        Gpu *gpu;

        fixture_init(&f);
        FakeNvidia *g = fake_add_l40s(f.kernel, NVIDIA, true);
        fixture_start(&f);

        /* Three vGPUs of 24 GB exceed the memory of the GPU: no VF lists a type, and the names are unknown. */
        for (unsigned i = 0; i < 3; i++)
                fake_nvidia_set(g, i, 1155);
        apply_facts(&f, fake_nvidia_facts(g));
        gpu = model_get_gpu(f.model, NVIDIA);
        type = gpu_snapshot_find_type(gpu->snapshot, "nvidia-1155", NULL);
        ASSERT_STREQ(type->name, "nvidia-1155");
        model_set_events(f.model, &change_events, &changes);
        gpu_want_scan(gpu, GPU_SCAN_NOW);
        ASSERT_TRUE(fixture_wait(&f, gpu_is_at_rest, (void *)NVIDIA));
        ASSERT_EQ(changes.instance, 0);
        fake_nvidia_set(g, 2, 0);
        fake_nvidia_set(g, 1, 0);
        gpu_want_scan(gpu, GPU_SCAN_NOW);
        ASSERT_TRUE(fixture_wait(&f, gpu_is_at_rest, (void *)NVIDIA));
        type = gpu_snapshot_find_type(gpu->snapshot, "nvidia-1155", NULL);
        ASSERT_CONTAINS(type->name, "L40S");
        ASSERT_EQ(changes.instance, INSTANCE_CHANGED_DESC);

        fake_nvidia_add_nvml(g);
        gpu_want_scan(gpu, GPU_SCAN_NOW);
        ASSERT_TRUE(fixture_wait(&f, gpu_is_at_rest, (void *)NVIDIA));
        ASSERT_TRUE(gpu->snapshot->modes->len > 0);
        changes = (Changes){ 0 };
        facts = fake_nvidia_facts(g);
        g_clear_pointer(&facts->driver, g_free);
        facts->features = 0;
        apply_facts(&f, facts);
        ASSERT_NULL(gpu->snapshot);
        ASSERT_TRUE(changes.gpu & GPU_CHANGED_MODES);
        fixture_stop(&f);
        fake_nvidia_free(g);
}

/* Another program recreates the instance on another GPU, and that GPU is scanned before the first GPU. */
static void test_foreign_elsewhere(void)
{
        _cleanup_fixture_ Fixture f;
        FakeGpu *mdpy, *mtty;
        VgpuIo *io;
        char uuid[UUID_STRLEN + 1];

        fixture_init(&f);
        mdpy = fake_add_mdpy(f.kernel);
        mtty = fake_add_mtty(f.kernel);
        fixture_add(&f, mdpy);
        fixture_add(&f, mtty);
        fixture_start(&f);
        io = fake_kernel_io(f.kernel);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "mdpy-hd", .uuid = UUID1, .name = "one"), uuid),
                  VGPUD_ERROR_NONE);
        g_autofree char *remove = g_strconcat(fake_gpu_parent_path(mdpy, 0), "/" UUID1 "/remove", NULL);
        g_autofree char *create =
                        g_strconcat(fake_gpu_parent_path(mtty, 0), "/mdev_supported_types/mtty-1/create", NULL);
        ASSERT_OK(vgpu_io_write(io, remove, "1"));
        ASSERT_OK(vgpu_io_write(io, create, UUID1));
        vgpu_io_free(io);
        gpu_want_scan(model_get_gpu(f.model, "mtty"), GPU_SCAN_NOW);
        ASSERT_TRUE(fixture_wait(&f, is_on, (void *)"mtty"));
        gpu_want_scan(model_get_gpu(f.model, "mdpy"), GPU_SCAN_NOW);
        ASSERT_TRUE(fixture_wait(&f, both_are_at_rest, NULL));
        ASSERT_TRUE(is_on(&f, (void *)"mtty"));
        ASSERT_EQ(fixture_get(&f, UUID1)->origin, INSTANCE_ORIGIN_FOREIGN);
        ASSERT_EQ(g_hash_table_size(model_get_gpu(f.model, "mdpy")->instances), 0);
        ASSERT_EQ(fixture_count_records(&f), 0);
}

/* A failed create leaves a foreign instance foreign. */
static void test_foreign_first(void)
{
        _cleanup_fixture_ Fixture f;
        char uuid[UUID_STRLEN + 1];
        FakeGpu *mdpy;
        VgpuIo *io;

        fixture_init(&f);
        mdpy = fake_add_mdpy(f.kernel);
        fixture_add(&f, mdpy);
        fixture_start(&f);
        io = fake_kernel_io(f.kernel);
        g_autofree char *create = g_strconcat(fake_gpu_parent_path(mdpy, 0),
                                              "/mdev_supported_types/mdpy-hd/create", NULL);
        ASSERT_OK(vgpu_io_write(io, create, UUID1)); /* not in the model yet */
        vgpu_io_free(io);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "mdpy-hd", .uuid = UUID1), uuid), VGPUD_ERROR_EXISTS);
        ASSERT_NOT_NULL(fixture_get(&f, UUID1));
        ASSERT_EQ(fixture_get(&f, UUID1)->origin, INSTANCE_ORIGIN_FOREIGN);
        ASSERT_EQ(fixture_count_records(&f), 0);
}

static void test_in_use(void)
{
        _cleanup_fixture_ Fixture f;
        char uuid[UUID_STRLEN + 1];

        fixture_init(&f);
        fixture_add(&f, fake_add_mdpy(f.kernel));
        fixture_start(&f);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "mdpy-hd"), uuid), VGPUD_ERROR_NONE);
        g_autofree char *node = g_strdup_printf("vfio/%d", fixture_get(&f, uuid)->desc->iommu_group);
        fake_hold_node(f.kernel, node, 42, "qemu-system-x86");
        ASSERT_EQ(fixture_destroy(&f, uuid, 0), VGPUD_ERROR_IN_USE);
        ASSERT_NOT_NULL(fixture_get(&f, uuid));
        ASSERT_EQ(fixture_count_records(&f), 1);
        fake_hold_node(f.kernel, node, 0, NULL);
        ASSERT_EQ(fixture_destroy(&f, uuid, 0), VGPUD_ERROR_NONE);
}

static bool is_stuck(Fixture *f, void *gpu)
{
        return model_get_gpu(f->model, gpu)->state == GPU_STUCK;
}

/* A create blocks: its caller and the waiting callers get an error, other GPUs work, and the GPU recovers
 * after the block. */
static void test_stuck(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_outcome_ Outcome first = { 0 }, second = { 0 };
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        char uuid[UUID_STRLEN + 1];
        FakeGpu *mdpy;
        Job *job;

        fixture_init(&f);
        f.config->job_timeout_usec = USEC_PER_SEC;
        mdpy = fake_add_mdpy(f.kernel);
        fixture_add(&f, mdpy);
        fixture_add(&f, fake_add_gvt_g(f.kernel, GVT_G));
        fixture_start(&f);
        g_autofree char *create = g_strconcat(fake_gpu_parent_path(mdpy, 0),
                                              "/mdev_supported_types/mdpy-hd/create", NULL);
        fake_hang(f.kernel, "write", create);

        ASSERT_OK(request_create(f.model, REQUEST(.type = "mdpy-hd", .uuid = UUID1), &job, NULL));
        outcome_of(&first, job);
        fake_wait_hanging(f.kernel);
        ASSERT_OK(request_create(f.model, REQUEST(.type = "mdpy-hd", .uuid = UUID2), &job, NULL));
        outcome_of(&second, job);
        /* another GPU still works */
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "GVTg_V5_8"), uuid), VGPUD_ERROR_NONE);
        ASSERT_EQ(first.told, 0);

        ASSERT_TRUE(fixture_wait(&f, outcome_is_known, &first));
        ASSERT_EQ(first.code, VGPUD_ERROR_GPU_STUCK);
        ASSERT_TRUE(fixture_wait(&f, outcome_is_known, &second));
        ASSERT_EQ(second.code, VGPUD_ERROR_GPU_STUCK);
        ASSERT_TRUE(is_stuck(&f, (void *)"mdpy"));
        ASSERT_TRUE(gpu_is_stale(model_get_gpu(f.model, "mdpy")));
        ASSERT_EQ(fixture_available(&f, "mdpy", "mdpy-hd"), 4); /* stale data stays visible */
        ASSERT_ERROR(request_create(f.model, REQUEST(.type = "mdpy-hd"), &job, &error), ETIMEDOUT);
        ASSERT_EQ(error.code, VGPUD_ERROR_GPU_STUCK);
        gpu_want_scan(model_get_gpu(f.model, "mdpy"), GPU_SCAN_NOW);
        ASSERT_EQ(g_hash_table_size(model_jobs(f.model)), 1);

        fake_heal(f.kernel);
        fake_release(f.kernel);
        ASSERT_TRUE(fixture_wait(&f, gpu_is_ready, (void *)"mdpy"));
        ASSERT_EQ(first.told, 1);
        ASSERT_NOT_NULL(fixture_get(&f, UUID1));
        ASSERT_EQ(fixture_get(&f, UUID1)->origin, INSTANCE_ORIGIN_VGPUD);
        ASSERT_NULL(fixture_get(&f, UUID2));
        ASSERT_EQ(fixture_count_records(&f), 2);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "mdpy-hd", .uuid = UUID2), uuid), VGPUD_ERROR_NONE);
}

/* A removal blocks: later requests learn about the stuck GPU. */
static void test_stuck_removal(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_outcome_ Outcome outcome = { 0 };
        char uuid[UUID_STRLEN + 1];
        Job *job;

        fixture_init(&f);
        f.config->job_timeout_usec = USEC_PER_SEC;
        fixture_add(&f, fake_add_mdpy(f.kernel));
        fixture_start(&f);
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "mdpy-hd"), uuid), VGPUD_ERROR_NONE);
        g_autofree char *attribute = g_strconcat(fixture_get(&f, uuid)->desc->path, "/remove", NULL);
        fake_hang(f.kernel, "write", attribute);
        ASSERT_OK(request_destroy(f.model, fixture_get(&f, uuid), false, 0, &job, NULL));
        outcome_of(&outcome, job);
        fake_wait_hanging(f.kernel);
        ASSERT_EQ(fixture_destroy(&f, uuid, 0), VGPUD_ERROR_IN_USE); /* the job is in progress */
        ASSERT_TRUE(fixture_wait(&f, outcome_is_known, &outcome));
        ASSERT_EQ(outcome.code, VGPUD_ERROR_GPU_STUCK);
        ASSERT_EQ(fixture_get(&f, uuid)->state, INSTANCE_STUCK);
        ASSERT_EQ(fixture_destroy(&f, uuid, 0), VGPUD_ERROR_GPU_STUCK);
        fake_heal(f.kernel);
        fake_release(f.kernel);
        ASSERT_TRUE(fixture_wait(&f, instance_is_gone, uuid));
        ASSERT_EQ(fixture_count_records(&f), 0);
}

/* A scan blocks: the GPU is stuck until the scan goes on. */
static void test_stuck_scan(void)
{
        _cleanup_fixture_ Fixture f;
        FakeGpu *mdpy;

        fixture_init(&f);
        f.config->job_timeout_usec = USEC_PER_SEC;
        mdpy = fake_add_mdpy(f.kernel);
        fixture_add(&f, mdpy);
        fixture_start(&f);
        g_autofree char *path = g_strconcat(fake_gpu_parent_path(mdpy, 0),
                                            "/mdev_supported_types/mdpy-hd/available_instances", NULL);
        fake_hang(f.kernel, "read", path);
        gpu_want_scan(model_get_gpu(f.model, "mdpy"), GPU_SCAN_NOW);
        ASSERT_TRUE(fixture_wait(&f, is_stuck, (void *)"mdpy"));
        fake_heal(f.kernel);
        fake_release(f.kernel);
        ASSERT_TRUE(fixture_wait(&f, gpu_is_ready, (void *)"mdpy"));
}

static void test_cancel(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_outcome_ Outcome first = { 0 }, second = { 0 };
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        FakeGpu *mdpy;
        Job *a, *b;

        fixture_init(&f);
        mdpy = fake_add_mdpy(f.kernel);
        fixture_add(&f, mdpy);
        fixture_start(&f);
        g_autofree char *create = g_strconcat(fake_gpu_parent_path(mdpy, 0),
                                              "/mdev_supported_types/mdpy-hd/create", NULL);
        fake_hang(f.kernel, "write", create);
        ASSERT_OK(request_create(f.model, REQUEST(.type = "mdpy-hd", .uuid = UUID1), &a, NULL));
        outcome_of(&first, a);
        fake_wait_hanging(f.kernel);
        ASSERT_OK(request_create(f.model, REQUEST(.type = "mdpy-hd", .uuid = UUID2), &b, NULL));
        outcome_of(&second, b);
        /* The instance does not exist yet: the error names the job that will create it. */
        _cleanup_vgpud_error_ VgpudError not_yet = VGPUD_ERROR_INIT;
        Instance *instance;
        ASSERT_TRUE(request_get_instance(f.model, UUID2, &instance, &not_yet) < 0);
        ASSERT_EQ(not_yet.code, VGPUD_ERROR_NO_SUCH_INSTANCE);
        ASSERT_EQ(not_yet.hint.id, VGPUD_HINT_WAIT_FOR_JOB);
        ASSERT_EQ(not_yet.job, b->id);
        ASSERT_ERROR(queue_cancel(a, &error), EBUSY);
        ASSERT_EQ(error.hint.id, VGPUD_HINT_WAIT_FOR_JOB);
        ASSERT_EQ(error.job, a->id);
        ASSERT_OK(queue_cancel(b, NULL));
        ASSERT_EQ(second.code, VGPUD_ERROR_CANCELED);
        ASSERT_TRUE(fixture_saw(&f, "job- 2 canceled"));
        ASSERT_EQ(fixture_count_records(&f), 1);
        fake_release(f.kernel);
        ASSERT_TRUE(fixture_wait(&f, outcome_is_known, &first));
        ASSERT_EQ(first.code, VGPUD_ERROR_NONE);
        ASSERT_NULL(fixture_get(&f, UUID2));
}

static void test_limits(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        FakeGpu *mdpy;
        Job *job;

        fixture_init(&f);
        f.config->jobs_per_gpu = 4;
        f.config->jobs_per_user = 2;
        mdpy = fake_add_mdpy(f.kernel);
        fixture_add(&f, mdpy);
        fixture_start(&f);
        g_autofree char *create = g_strconcat(fake_gpu_parent_path(mdpy, 0),
                                              "/mdev_supported_types/mdpy-hd/create", NULL);
        fake_hang(f.kernel, "write", create);
        ASSERT_OK(request_create(f.model, REQUEST(.type = "mdpy-hd", .requester = 1000), &job, NULL));
        ASSERT_OK(request_create(f.model, REQUEST(.type = "mdpy-hd", .requester = 1000), &job, NULL));
        ASSERT_ERROR(request_create(f.model, REQUEST(.type = "mdpy-hd", .requester = 1000), &job, &error),
                     EDQUOT);
        ASSERT_EQ(error.code, VGPUD_ERROR_TOO_MANY_JOBS);
        ASSERT_OK(request_create(f.model, REQUEST(.type = "mdpy-hd", .requester = 1001), &job, NULL));
        ASSERT_OK(request_create(f.model, REQUEST(.type = "mdpy-hd"), &job, NULL));
        ASSERT_ERROR(request_create(f.model, REQUEST(.type = "mdpy-hd"), &job, NULL), EDQUOT);
        fake_release(f.kernel);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_life);
        TEST(test_refusals);
        TEST(test_lookups);
        TEST(test_capacity);
        TEST(test_several);
        TEST(test_large);
        TEST(test_placement);
        TEST(test_foreign);
        TEST(test_what_follows);
        TEST(test_foreign_elsewhere);
        TEST(test_foreign_first);
        TEST(test_in_use);
        TEST(test_stuck);
        TEST(test_stuck_removal);
        TEST(test_stuck_scan);
        TEST(test_cancel);
        TEST(test_limits);

        return tests_end();
}
