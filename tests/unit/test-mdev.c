/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The mdev back end on the in-memory kernel. Tests that call check_golden()
 * compare all writes with tests/golden/mdev-NAME.txt. */

#include "drivers-glue/problem.h"
#include "drivers-glue/registry.h"
#include "drivers-glue/type-find.h"
#include "drivers-glue/nvidia/type-name.h"

#include "back-end.h"
#include "fake-gpus.h"
#include "tests.h"

#define UUID_A "11111111-0000-4000-8000-000000000001"
#define UUID_B "22222222-0000-4000-8000-000000000002"
#define UUID_C "33333333-0000-4000-8000-000000000003"
#define UUID_D "44444444-0000-4000-8000-000000000004"

typedef struct Fixture {
        FakeKernel *k;
        FakeGpu *gpu;
        GpuFacts *facts;
        VgpuIo *io;
        VgpuTarget t;
        VgpudError e;
        InstanceDesc *made; /* result of the last create() */
        GPtrArray *attributes;
        bool same_job; /* the next create() belongs to the job of the previous one */
} Fixture;

static void attribute_free(gpointer p)
{
        vgpu_attribute_free(p);
}

static void desc_free(gpointer p)
{
        instance_desc_free(p);
}

static void fixture_init(Fixture *f, FakeKernel *k, FakeGpu *gpu)
{
        *f = (Fixture){ .k = k, .gpu = gpu, .facts = fake_gpu_facts(gpu), .io = fake_kernel_io(k) };
        f->t = (VgpuTarget){ .facts = f->facts, .io = f->io };
        f->attributes = g_ptr_array_new_with_free_func(attribute_free);
}

static void fixture_free(Fixture *f)
{
        instance_desc_free(f->made);
        g_ptr_array_unref(f->attributes);
        vgpud_error_done(&f->e);
        vgpu_io_free(f->io);
        gpu_facts_unref(f->facts);
        fake_gpu_free(f->gpu);
        fake_kernel_free(f->k);
}
#define _cleanup_fixture_ _cleanup_(fixture_free)

static Fixture with_gvt_g(void)
{
        FakeKernel *k = fake_kernel_new();
        Fixture f;

        fixture_init(&f, k, fake_add_gvt_g(k, "0000:00:02.0"));

        return f;
}

static Fixture with_nvidia(unsigned n_vfs)
{
        FakeKernel *k = fake_kernel_new();
        Fixture f;

        fixture_init(&f, k, fake_add_nvidia_a2(k, "0000:08:00.0", n_vfs));

        return f;
}

static Fixture with_mdpy(void)
{
        FakeKernel *k = fake_kernel_new();
        Fixture f;

        fixture_init(&f, k, fake_add_mdpy(k));

        return f;
}

static int create_on(Fixture *f, const char *uuid, const char *type_id, const char *parent)
{
        CreateArgs args = { .uuid = uuid, .type_id = type_id, .parent = parent, .attributes = f->attributes };

        /* Clear the error of the last call: the error of this call must agree with the return value. */
        vgpud_error_done(&f->e);
        f->made = instance_desc_free(f->made);
        if (!f->same_job)
                f->t.type_is_known = false;

        int r = mdev_driver.create(&f->t, &args, &f->made, &f->e);
        if (r < 0) {
                ASSERT_NULL(f->made);
                ASSERT_NOT_NULL(f->e.message);
                ASSERT_EQ(r, -vgpud_error_code_to_errno(f->e.code));
                ASSERT_TRUE(f->e.message[strlen(f->e.message) - 1] != '.');
        } else
                ASSERT_EQ(f->e.code, VGPUD_ERROR_NONE);

        return r;
}

static int create(Fixture *f, const char *uuid, const char *type_id)
{
        return create_on(f, uuid, type_id, NULL);
}

static int destroy(Fixture *f, const InstanceDesc *d)
{
        vgpud_error_done(&f->e);
        int r = mdev_driver.destroy(&f->t, d, &f->e);
        if (r < 0) {
                ASSERT_NOT_NULL(f->e.message);
                ASSERT_EQ(r, -vgpud_error_code_to_errno(f->e.code));
        } else
                ASSERT_EQ(f->e.code, VGPUD_ERROR_NONE);

        return r;
}

static void add_attribute(Fixture *f, const char *name, const char *value)
{
        g_ptr_array_add(f->attributes, vgpu_attribute_new(name, value));
}

/* The available instances that a scan reports for the type; -1 if not offered. */
static int64_t available(Fixture *f, const char *type_id)
{
        GpuSnapshot *s = NULL;
        int64_t n = -1;

        ASSERT_OK(mdev_driver.scan(&f->t, &s, &f->e));

        for (guint i = 0; i < s->types->len; i++) {
                const VgpuType *t = s->types->pdata[i];

                if (strcmp(t->id, type_id) == 0)
                        n = t->available;
        }

        gpu_snapshot_unref(s);

        return n;
}

static void check_golden(Fixture *f, const char *name)
{
        assert_golden(f->k, "mdev", name);
}

/* scan */

static void test_scan_gvt_g(void)
{
        _cleanup_fixture_ Fixture f = with_gvt_g();
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;

        ASSERT_OK(create(&f, UUID_B, "i915-GVTg_V5_8"));
        ASSERT_OK(create(&f, UUID_A, "i915-GVTg_V5_4"));
        ASSERT_OK(mdev_driver.scan(&f.t, &s, &f.e));
        ASSERT_EQ(s->types->len, 4);
        const VgpuType *t = s->types->pdata[2];
        ASSERT_STREQ(t->id, "i915-GVTg_V5_4");
        ASSERT_STREQ(t->name, "GVTg_V5_4");
        ASSERT_STREQ(t->device_api, "vfio-pci");
        ASSERT_STREQ(t->description,
                     "low_gm_size: 128MB\nhigh_gm_size: 512MB\nfence: 4\nresolution: 1920x1200\nweight: 4");
        ASSERT_EQ(t->framebuffer_bytes, 640 << 20);
        ASSERT_EQ(t->fences, 4);
        ASSERT_EQ(t->max_x, 1920);
        ASSERT_EQ(t->max_instances, 0);
        ASSERT_EQ(s->memory_bytes, 0);

        ASSERT_EQ(s->instances->len, 2);
        const InstanceDesc *d = s->instances->pdata[0];
        ASSERT_STREQ(d->uuid, UUID_A);
        ASSERT_STREQ(d->type_id, "i915-GVTg_V5_4");
        ASSERT_STREQ(d->parent, "0000:00:02.0");
        ASSERT_STREQ(d->path, "devices/pci0000:00/0000:00:02.0/" UUID_A);
        ASSERT_STREQ(d->device_api, "vfio-pci");
        ASSERT_STREQ(d->driver, "intel_vgpu_mdev");
        ASSERT_EQ(t->available, 1);
        ASSERT_NOT_NULL(t->why_not);
        ASSERT_EQ(d->iommu_group, 11);
        ASSERT_NULL(d->cdev);
        ASSERT_TRUE(instance_desc_equal(d, f.made));
}

/* All types draw on one budget of graphics memory and fences. */
static void test_budget_gvt_g(void)
{
        _cleanup_fixture_ Fixture f = with_gvt_g();

        ASSERT_EQ(available(&f, "i915-GVTg_V5_1"), 0);
        ASSERT_EQ(available(&f, "i915-GVTg_V5_2"), 1);
        ASSERT_EQ(available(&f, "i915-GVTg_V5_4"), 3);
        ASSERT_EQ(available(&f, "i915-GVTg_V5_8"), 4);
        ASSERT_OK(create(&f, UUID_A, "i915-GVTg_V5_4"));
        ASSERT_EQ(available(&f, "i915-GVTg_V5_2"), 1);
        ASSERT_EQ(available(&f, "i915-GVTg_V5_4"), 2);
        ASSERT_EQ(available(&f, "i915-GVTg_V5_8"), 2);
        ASSERT_OK(create(&f, UUID_B, "i915-GVTg_V5_2"));
        ASSERT_EQ(available(&f, "i915-GVTg_V5_2"), 0);
        ASSERT_EQ(available(&f, "i915-GVTg_V5_4"), 0);
        ASSERT_EQ(available(&f, "i915-GVTg_V5_8"), 0);

        ASSERT_ERROR(create(&f, UUID_C, "i915-GVTg_V5_8"), ENOSPC);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_NO_CAPACITY);
        ASSERT_EQ(f.e.errnum, 0); /* no write */
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_DESTROY_INSTANCE);
}

/* All vGPUs of the GPU must have one framebuffer size. */
static void test_size_rule_nvidia(void)
{
        static const char *const four[] = { "nvidia-746", "nvidia-751", "nvidia-754" };
        _cleanup_fixture_ Fixture f = with_nvidia(16);

        /* Each of the 16 VFs can carry one vGPU, but the memory limits the number: four of nvidia-746. */
        ASSERT_EQ(available(&f, "nvidia-742"), 16);
        ASSERT_EQ(available(&f, "nvidia-745"), 8);
        ASSERT_EQ(available(&f, "nvidia-746"), 4);
        ASSERT_EQ(available(&f, "nvidia-748"), 1);
        ASSERT_OK(create(&f, UUID_A, "nvidia-746"));
        ASSERT_STREQ(f.made->parent, "0000:08:00.4");
        ASSERT_EQ(available(&f, "nvidia-742"), 0);
        ASSERT_EQ(available(&f, "nvidia-745"), 0);
        ASSERT_EQ(available(&f, "nvidia-748"), 0);

        for (size_t i = 0; i < G_N_ELEMENTS(four); i++)
                ASSERT_EQ(available(&f, four[i]), 3);

        ASSERT_ERROR(create(&f, UUID_B, "nvidia-742"), ENOSPC);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_CHOOSE_OTHER);

        /* Another type of the same size goes to the next VF, or to the requested VF. */
        ASSERT_OK(create(&f, UUID_B, "nvidia-754"));
        ASSERT_STREQ(f.made->parent, "0000:08:00.5");
        ASSERT_OK(create_on(&f, UUID_C, "nvidia-746", "0000:08:02.3"));
        ASSERT_STREQ(f.made->parent, "0000:08:02.3");
        ASSERT_ERROR(create_on(&f, "44444444-0000-4000-8000-000000000004", "nvidia-746", "0000:08:00.4"),
                     ENOSPC);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_CHOOSE_OTHER);
        ASSERT_OK(create(&f, "44444444-0000-4000-8000-000000000004", "nvidia-746"));
        ASSERT_STREQ(f.made->parent, "0000:08:00.6");

        for (size_t i = 0; i < G_N_ELEMENTS(four); i++)
                ASSERT_EQ(available(&f, four[i]), 0);
        ASSERT_ERROR(create(&f, "55555555-0000-4000-8000-000000000005", "nvidia-746"), ENOSPC);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_DESTROY_INSTANCE);
}

/* Plays vgpud-nvml for a GPU whose heterogeneous mode can be read and set. */
static int run_nvml(FakeKernel *k, const char *const *arguments, void *data, char **ret_output)
{
        bool *heterogeneous = data;

        g_assert(strcmp(arguments[1], "0000:08:00.0") == 0);

        if (strcmp(arguments[0], "query") == 0)
                *ret_output = g_strdup_printf("heterogeneous=%d\nframebuffer=17179869184\nend\n",
                                              *heterogeneous);
        else if (strcmp(arguments[0], "set-heterogeneous") == 0)
                *heterogeneous = strcmp(arguments[2], "1") == 0;
        else
                return 3;

        return 0;
}

static void test_modes_nvidia(void)
{
        _cleanup_fixture_ Fixture f = with_nvidia(16);
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;
        bool heterogeneous = false;

        ASSERT_OK(mdev_driver.scan(&f.t, &s, &f.e));
        ASSERT_EQ(s->modes->len, 0);
        ASSERT_EQ(fake_count(f.k, "run"), 0); /* no query without the node of the library */
        fake_add_node(f.k, "nvidiactl");
        fake_set_program(f.k, VGPU_PROGRAM_NVML, run_nvml, &heterogeneous);
        s = gpu_snapshot_unref(s);
        ASSERT_OK(mdev_driver.scan(&f.t, &s, &f.e));
        ASSERT_EQ(s->modes->len, 1);
        ASSERT_STREQ(((const VgpuMode *)s->modes->pdata[0])->name, "heterogeneous");
        ASSERT_STREQ(((const VgpuMode *)s->modes->pdata[0])->value, "no");

        ASSERT_OK(create(&f, UUID_A, "nvidia-746"));
        ASSERT_ERROR(mdev_driver.configure(&f.t, "heterogeneous", "yes", &f.e), EBUSY);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_DESTROY_INSTANCE);
        ASSERT_EQ(destroy(&f, f.made), 1);
        ASSERT_OK(mdev_driver.configure(&f.t, "heterogeneous", "yes", &f.e));
        ASSERT_TRUE(heterogeneous);
        ASSERT_ERROR(mdev_driver.configure(&f.t, "mig", "yes", &f.e), EBUSY);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_DISABLE_VFS);
}

static void test_no_modes(void)
{
        _cleanup_fixture_ Fixture f = with_gvt_g();

        ASSERT_ERROR(mdev_driver.configure(&f.t, "heterogeneous", "yes", &f.e), EOPNOTSUPP);
}

static void test_shared_budget_mdpy(void)
{
        static const char *const types[] = { "mdpy-vga", "mdpy-xga", "mdpy-hd", "mdpy-xga" };
        _cleanup_fixture_ Fixture f = with_mdpy();

        for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
                g_autofree char *uuid = g_strdup_printf("11111111-0000-4000-8000-00000000000%u", i);

                ASSERT_EQ(available(&f, "mdpy-hd"), 4 - i);
                ASSERT_OK(create(&f, uuid, types[i]));
        }

        ASSERT_EQ(available(&f, "mdpy-vga"), 0);
        ASSERT_ERROR(create(&f, UUID_B, "mdpy-vga"), ENOSPC);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_NO_CAPACITY);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_DESTROY_INSTANCE);
}

static void test_no_description(void)
{
        FakeKernel *k = fake_kernel_new();
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;
        _cleanup_fixture_ Fixture f;

        fixture_init(&f, k, fake_add_mtty(k));
        ASSERT_OK(mdev_driver.scan(&f.t, &s, &f.e));
        const VgpuType *t = s->types->pdata[1];
        ASSERT_STREQ(t->id, "mtty-2");
        ASSERT_STREQ(t->name, "Dual port serial");
        ASSERT_NULL(t->description);
        ASSERT_EQ(t->available, 12);
        fake_remove(k, "devices/virtual/mtty/mtty/mdev_supported_types/mtty-2/name");
        fake_add_file(k, "devices/virtual/mtty/mtty/mdev_supported_types/mtty-1/name", "\xff\xfe\n");
        gpu_snapshot_unref(g_steal_pointer(&s));
        ASSERT_OK(mdev_driver.scan(&f.t, &s, &f.e));
        ASSERT_STREQ(((const VgpuType *)s->types->pdata[1])->name, "mtty-2");
        ASSERT_TRUE(g_utf8_validate(((const VgpuType *)s->types->pdata[0])->name, -1, NULL));
}

/* Types whose device_api is not vfio-pci are not shown, nor are their instances. */
static void test_other_api(void)
{
        _cleanup_fixture_ Fixture f = with_mdpy();
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;

        ASSERT_OK(create(&f, UUID_A, "mdpy-vga"));
        ASSERT_OK(create(&f, UUID_B, "mdpy-xga"));
        fake_add_file(f.k, "devices/virtual/mdpy/mdpy/mdev_supported_types/mdpy-vga/device_api", "vfio-ccw\n");
        ASSERT_OK(mdev_driver.scan(&f.t, &s, &f.e));
        ASSERT_EQ(s->types->len, 2);
        ASSERT_EQ(s->instances->len, 1);
        ASSERT_STREQ(((const InstanceDesc *)s->instances->pdata[0])->uuid, UUID_B);
        ASSERT_ERROR(create(&f, UUID_C, "mdpy-vga"), ENOENT);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_NO_SUCH_TYPE);
}

/* An instance is shown even if its link mdev_type is missing, as right after the uevent "add". Other folders
 * are no instances. */
static void test_half_made(void)
{
        _cleanup_fixture_ Fixture f = with_mdpy();
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;

        fake_add_directory(f.k, "devices/virtual/mdpy/mdpy/" UUID_A);
        fake_add_link(f.k, "devices/virtual/mdpy/mdpy/" UUID_B "/subsystem", "bus/other");
        fake_add_directory(f.k, "devices/virtual/mdpy/mdpy/power");
        ASSERT_OK(mdev_driver.scan(&f.t, &s, &f.e));
        ASSERT_EQ(s->instances->len, 1);
        const InstanceDesc *d = s->instances->pdata[0];
        ASSERT_STREQ(d->uuid, UUID_A);
        ASSERT_NULL(d->type_id);
        ASSERT_NULL(d->driver);
        ASSERT_EQ(d->iommu_group, -1);
        ASSERT_STREQ(d->parent, "mdpy");
}

static void test_cdev(void)
{
        _cleanup_fixture_ Fixture f = with_mdpy();

        fake_gpu_set_cdev(f.gpu, true);
        ASSERT_OK(create(&f, UUID_A, "mdpy-vga"));
        ASSERT_STREQ(f.made->cdev, "vfio0");
}

/* 64 VFs with 40 types each: scan() reads the three texts of a type once, its count once per VF, and lists
 * two folders per VF. */
static void test_cost(void)
{
        FakeKernel *k = fake_kernel_new();
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;
        _cleanup_fixture_ Fixture f;

        fixture_init(&f, k, fake_add_large(k, "0000:08:00.0", 64, 40));
        unsigned reads = fake_count(k, "read"), lists = fake_count(k, "list"), links = fake_count(k, "link");
        ASSERT_OK(mdev_driver.scan(&f.t, &s, &f.e));
        ASSERT_EQ(s->types->len, 40);
        ASSERT_EQ(((const VgpuType *)s->types->pdata[0])->available, 64);
        ASSERT_EQ(fake_count(k, "read") - reads, 40 * 3 + 64 * 40);
        ASSERT_EQ(fake_count(k, "list") - lists, 64 * 2);
        ASSERT_EQ(fake_count(k, "link") - links, 0);
}

static bool is_awaited_from_third(void *calls)
{
        return ++*(unsigned *)calls > 2;
}

/* A scan makes other work wait only for the reads of one type. The first parent needs four reads. scan() calls
 * is_awaited() for the third time before the second type. */
static void test_gives_way_between_types(void)
{
        FakeKernel *k = fake_kernel_new();
        _cleanup_fixture_ Fixture f = { 0 };
        GpuSnapshot *s = NULL;
        unsigned calls = 0, reads;

        fixture_init(&f, k, fake_add_large(k, "0000:08:00.0", 64, 40));
        f.t.is_awaited = is_awaited_from_third;
        f.t.is_awaited_userdata = &calls;
        reads = fake_count(k, "read");
        ASSERT_ERROR(mdev_driver.scan(&f.t, &s, &f.e), EAGAIN);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_NONE);
        ASSERT_NULL(s);
        ASSERT_EQ(fake_count(k, "read") - reads, 4);
}

/* Scans while parents and types disappear */

static int remove_parent(FakeKernel *k, const char *path, void *data)
{
        fake_remove(k, data);
        return 0;
}

static void test_parent_vanishes(void)
{
        _cleanup_fixture_ Fixture f = with_nvidia(3);
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;
        g_autofree char *first = g_strdup(fake_gpu_parent_path(f.gpu, 0));
        g_autofree char *name = g_strconcat(first, "/mdev_supported_types/nvidia-742/name", NULL);

        /* The first VF disappears while its first type is read: scan() reads the texts of the type on
         * another VF. */
        fake_before(f.k, "read", name, remove_parent, first);
        ASSERT_OK(mdev_driver.scan(&f.t, &s, &f.e));
        ASSERT_EQ(s->types->len, 15);
        ASSERT_EQ(((const VgpuType *)s->types->pdata[0])->available, 2);
        ASSERT_STREQ(((const VgpuType *)s->types->pdata[0])->id, "nvidia-742");
        ASSERT_CONTAINS(((const VgpuType *)s->types->pdata[0])->name, "A2-");
}

static void test_type_vanishes(void)
{
        _cleanup_fixture_ Fixture f = with_nvidia(2);
        g_autofree char *api = g_strconcat(fake_gpu_parent_path(f.gpu, 0),
                                           "/mdev_supported_types/nvidia-742/device_api", NULL);
        g_autofree char *count = g_strconcat(fake_gpu_parent_path(f.gpu, 0),
                                             "/mdev_supported_types/nvidia-743/available_instances", NULL);
        g_autofree char *text = g_strconcat(fake_gpu_parent_path(f.gpu, 0),
                                            "/mdev_supported_types/nvidia-744/description", NULL);

        fake_fail(f.k, "read", api, ENODEV);
        fake_fail(f.k, "read", count, EIO);
        fake_fail(f.k, "read", text, ENODEV);
        ASSERT_EQ(available(&f, "nvidia-742"), 1);
        ASSERT_EQ(available(&f, "nvidia-743"), 1);
        ASSERT_EQ(available(&f, "nvidia-744"), 1);
        ASSERT_EQ(available(&f, "nvidia-745"), 2);
}

static void test_odd_counts(void)
{
        static const struct {
                const char *text;
                int64_t expected;
        } table[] = { { "-1\n", 0 },
                      { "\n", 0 },
                      { "many\n", 0 },
                      { "4294967296\n", 0 },
                      { "4294967295\n", UINT32_MAX } };
        _cleanup_fixture_ Fixture f = with_mdpy();

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                fake_add_file(f.k,
                              "devices/virtual/mdpy/mdpy/mdev_supported_types/mdpy-vga/available_instances",
                              table[i].text);
                ASSERT_EQ(available(&f, "mdpy-vga"), table[i].expected);
        }
}

static void test_unloading(void)
{
        _cleanup_fixture_ Fixture f = with_gvt_g();
        GpuSnapshot *s = NULL;

        /* The types go first … */
        fake_remove(f.k, "devices/pci0000:00/0000:00:02.0/mdev_supported_types");
        ASSERT_OK(mdev_driver.scan(&f.t, &s, &f.e));
        ASSERT_EQ(s->types->len, 0);
        gpu_snapshot_unref(s);
        ASSERT_ERROR(create(&f, UUID_A, "i915-GVTg_V5_4"), ENOENT);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_NO_SUCH_TYPE);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_NONE);
        /* … then the whole GPU. */
        vgpud_error_done(&f.e);
        fake_gpu_unload(f.gpu);
        ASSERT_ERROR(mdev_driver.scan(&f.t, &s, &f.e), ENOLINK);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_GPU_GONE);
        ASSERT_ERROR(create(&f, UUID_A, "i915-GVTg_V5_4"), ENOLINK);
}

static GpuSnapshot *scan_ok(Fixture *f)
{
        GpuSnapshot *s = NULL;

        g_assert(mdev_driver.scan(&f->t, &s, &f->e) >= 0);

        return s;
}

/* One parent, or one instance, that cannot be read hides none of the others. */
static void test_unreadable_parent(void)
{
        _cleanup_fixture_ Fixture f = with_nvidia(4);
        g_autofree char *instance = g_strconcat(fake_gpu_parent_path(f.gpu, 1), "/" UUID_B, NULL);
        g_autofree char *group = g_strconcat(instance, "/iommu_group", NULL);
        _cleanup_(instance_desc_freep) InstanceDesc *first = NULL;
        GpuSnapshot *s;

        ASSERT_OK(create(&f, UUID_A, "nvidia-746"));
        first = instance_desc_copy(f.made);
        ASSERT_OK(create(&f, UUID_B, "nvidia-746"));
        fake_fail(f.k, "list", fake_gpu_parent_path(f.gpu, 1), EIO);
        s = scan_ok(&f);
        ASSERT_EQ(s->instances->len, 1);
        ASSERT_EQ(s->problems->len, 1);
        ASSERT_TRUE(gpu_snapshot_is_unread(s, "0000:08:00.5"));
        ASSERT_TRUE(gpu_snapshot_is_partial(s));
        gpu_snapshot_unref(s);
        ASSERT_OK(create(&f, UUID_C, "nvidia-746"));
        ASSERT_EQ(destroy(&f, first), 1);
        fake_heal(f.k);
        fake_fail(f.k, "link", group, EIO);
        s = scan_ok(&f);
        ASSERT_EQ(s->instances->len, 1);
        ASSERT_STREQ(((const InstanceDesc *)s->instances->pdata[0])->uuid, UUID_C);
        ASSERT_TRUE(gpu_snapshot_is_unread(s, UUID_B));
        ASSERT_FALSE(gpu_snapshot_is_unread(s, "0000:08:00.5"));
        ASSERT_FALSE(mdev_driver.predict(f.facts, s, s));
        gpu_snapshot_unref(s);
}

/* A type whose available_instances cannot be read has no room; the reason names the file. */
static void test_unreadable_availability(void)
{
        static const struct {
                int eno; /* 0: the file has the text */
                const char *text;
        } table[] = {
                { EIO, NULL }, { 0, "many\n" }, { 0, "\n" }, { 0, "-1\n" }, { 0, "4294967296\n" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                _cleanup_fixture_ Fixture f = with_gvt_g();
                g_autofree char *path =
                                g_strconcat(fake_gpu_parent_path(f.gpu, 0),
                                            "/mdev_supported_types/i915-GVTg_V5_4/available_instances", NULL);
                _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;

                if (table[i].text) {
                        fake_remove(f.k, path);
                        fake_add_file(f.k, path, table[i].text);
                } else
                        fake_fail(f.k, "read", path, table[i].eno);

                s = scan_ok(&f);
                const VgpuType *t = gpu_snapshot_find_type(s, "i915-GVTg_V5_4", NULL);
                ASSERT_EQ(t->available, 0);
                ASSERT_CONTAINS(t->why_not, path);
                ASSERT_EQ(t->hint.id, VGPUD_HINT_SEE_KERNEL_LOG);
                ASSERT_EQ(gpu_snapshot_find_type(s, "i915-GVTg_V5_8", NULL)->available, 4);
                ASSERT_EQ(s->problems->len, 1);
                ASSERT_FALSE(gpu_snapshot_is_partial(s));
                ASSERT_ERROR(create(&f, UUID_A, "i915-GVTg_V5_4"), EIO);
                ASSERT_EQ(f.e.code, VGPUD_ERROR_FAILED);
                ASSERT_CONTAINS(f.e.message, path);
                ASSERT_EQ(f.e.errnum, table[i].text ? EBADMSG : EIO);
                ASSERT_OK(create(&f, UUID_A, "i915-GVTg_V5_8"));
        }
}

/* The count of one parent cannot be read; the other parents still have room. */
static void test_unreadable_availability_of_one(void)
{
        _cleanup_fixture_ Fixture f = with_nvidia(4);
        g_autofree char *path = g_strconcat(fake_gpu_parent_path(f.gpu, 0),
                                            "/mdev_supported_types/nvidia-746/available_instances", NULL);
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;

        fake_fail(f.k, "read", path, EIO);
        s = scan_ok(&f);
        ASSERT_EQ(gpu_snapshot_find_type(s, "nvidia-746", NULL)->available, 3);
        ASSERT_EQ(s->problems->len, 1);
        ASSERT_OK(create(&f, UUID_A, "nvidia-746"));
        ASSERT_STREQ(f.made->parent, "0000:08:00.5");
}

/* The counts of all parents cannot be read: the reason names the file, not a rule of NVIDIA's types. */
static void test_unreadable_availability_of_all(void)
{
        _cleanup_fixture_ Fixture f = with_nvidia(2);
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;

        for (unsigned n = 0; n < 2; n++) {
                g_autofree char *path =
                                g_strconcat(fake_gpu_parent_path(f.gpu, n),
                                            "/mdev_supported_types/nvidia-746/available_instances", NULL);

                fake_fail(f.k, "read", path, EIO);
        }

        s = scan_ok(&f);
        ASSERT_EQ(gpu_snapshot_find_type(s, "nvidia-746", NULL)->available, 0);
        ASSERT_CONTAINS(gpu_snapshot_find_type(s, "nvidia-746", NULL)->why_not, "available_instances");
        ASSERT_ERROR(create(&f, UUID_A, "nvidia-746"), EIO);
        ASSERT_CONTAINS(f.e.message, "available_instances");
}

static void test_scan_fails(void)
{
        _cleanup_fixture_ Fixture f = with_gvt_g();
        GpuSnapshot *s = NULL;

        fake_fail(f.k, "list", "devices/pci0000:00/0000:00:02.0", EACCES);
        ASSERT_ERROR(mdev_driver.scan(&f.t, &s, &f.e), EIO);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_FAILED);
        ASSERT_EQ(f.e.errnum, EACCES);
        ASSERT_CONTAINS(f.e.message, "/sys/devices/pci0000:00/0000:00:02.0");
        ASSERT_NULL(s);
}

/* create */

static void test_writes_gvt_g(void)
{
        _cleanup_fixture_ Fixture f = with_gvt_g();

        ASSERT_OK(create(&f, UUID_A, "i915-GVTg_V5_4"));
        ASSERT_EQ(destroy(&f, f.made), 1);
        ASSERT_FALSE(fake_node_is_kept(f.k, "vfio/10"));
        ASSERT_EQ(destroy(&f, f.made), 0); /* the instance is gone; no write */
        check_golden(&f, "gvt-g");
}

static void test_writes_nvidia(void)
{
        _cleanup_fixture_ Fixture f = with_nvidia(4);

        add_attribute(&f, "nvidia/vgpu_params", "disable_vnc=1");
        add_attribute(&f, "nvidia/vgpu_params", "frame_rate_limiter=0");
        ASSERT_OK(create(&f, UUID_A, "nvidia-747"));
        ASSERT_OK(create(&f, UUID_B, "nvidia-747"));
        ASSERT_ERROR(create(&f, UUID_C, "nvidia-747"), ENOSPC);
        check_golden(&f, "nvidia");
}

static void check_params(const InstanceDesc *d, const char *value)
{
        const VgpuAttribute *a;

        ASSERT_TRUE(d->attributes && d->attributes->len == 1);
        a = d->attributes->pdata[0];
        ASSERT_STREQ(a->name, "vgpu_params");
        ASSERT_STREQ(a->value, value);
}

/* The option is vgpu_params, as in the back end nvidia-vfio. The alias nvidia/vgpu_params writes the same
 * bytes. */
static void test_params(void)
{
        _cleanup_fixture_ Fixture f = with_nvidia(4);
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;
        const VgpuType *t;

        add_attribute(&f, "vgpu_params", "disable_vnc=1");
        add_attribute(&f, "vgpu_params", "frame_rate_limiter=0");
        ASSERT_OK(create(&f, UUID_A, "nvidia-747"));
        check_params(f.made, "frame_rate_limiter=0");
        ASSERT_OK(create(&f, UUID_B, "nvidia-747"));
        check_params(f.made, "frame_rate_limiter=0");
        ASSERT_ERROR(create(&f, UUID_C, "nvidia-747"), ENOSPC);
        check_golden(&f, "nvidia");

        s = scan_ok(&f);
        ASSERT_EQ(s->instances->len, 2);
        check_params(s->instances->pdata[0], "frame_rate_limiter=0");
        t = gpu_snapshot_find_type(s, "nvidia-747", NULL);
        ASSERT_TRUE(t && t->options && t->options->len == 1);
        ASSERT_STREQ(((const VgpuTypeOption *)t->options->pdata[0])->name, "vgpu_params");
        ASSERT_STREQ(((const VgpuTypeOption *)t->options->pdata[0])->alias, "nvidia/vgpu_params");
}

/* Empty or unreadable parameters are left out. */
static void test_params_unread(void)
{
        _cleanup_fixture_ Fixture f = with_nvidia(4);
        g_autofree char *path =
                        g_strconcat(fake_gpu_parent_path(f.gpu, 0), "/" UUID_A "/nvidia/vgpu_params", NULL);
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL, *unread = NULL;

        ASSERT_OK(create(&f, UUID_A, "nvidia-747"));
        ASSERT_NULL(f.made->attributes);
        s = scan_ok(&f);
        ASSERT_NULL(((const InstanceDesc *)s->instances->pdata[0])->attributes);
        fake_fail(f.k, "read", path, EIO);
        unread = scan_ok(&f);
        ASSERT_EQ(unread->instances->len, 1);
        ASSERT_NULL(((const InstanceDesc *)unread->instances->pdata[0])->attributes);
}

/* Types of other drivers have no option vgpu_params. */
static void test_params_of_others(void)
{
        _cleanup_fixture_ Fixture f = with_gvt_g();
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = scan_ok(&f);

        ASSERT_NULL(((const VgpuType *)s->types->pdata[0])->options);
        add_attribute(&f, "vgpu_params", "a=1");
        ASSERT_ERROR(create(&f, UUID_A, "i915-GVTg_V5_4"), EINVAL);
}

static void test_arguments(void)
{
        static const char *const uuids[] = { "", "nonsense", "11111111-0000-4000-8000-00000000000A",
                                             "{11111111-0000-4000-8000-000000000001}" };
        static const char *const types[] = { "", "..", "a/b", "mdpy-xga/../mdpy-hd", "a\nb" };
        static const char *const names[] = { "remove", "../x", "driver", "" };
        _cleanup_fixture_ Fixture f = with_mdpy();
        g_autofree char *large = g_strnfill(VGPU_IO_ATTR_MAX + 1, 'x'), *writes = NULL;

        for (size_t i = 0; i < G_N_ELEMENTS(uuids); i++) {
                ASSERT_ERROR(create(&f, uuids[i], "mdpy-xga"), EINVAL);
                ASSERT_EQ(f.e.code, VGPUD_ERROR_INVALID);
        }

        for (size_t i = 0; i < G_N_ELEMENTS(types); i++)
                ASSERT_ERROR(create(&f, UUID_A, types[i]), EINVAL);
        ASSERT_ERROR(create_on(&f, UUID_A, "mdpy-xga", "mtty"), EINVAL);
        ASSERT_CONTAINS(f.e.message, "mtty");
        add_attribute(&f, "vendor/x", "");
        ASSERT_ERROR(create(&f, UUID_A, "mdpy-xga"), EINVAL);
        g_ptr_array_set_size(f.attributes, 0);
        add_attribute(&f, "vendor/x", large);
        ASSERT_ERROR(create(&f, UUID_A, "mdpy-xga"), EINVAL);

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_ptr_array_set_size(f.attributes, 0);
                add_attribute(&f, "vendor/fine", "1");
                add_attribute(&f, names[i], "1");
                ASSERT_ERROR(create(&f, UUID_A, "mdpy-xga"), EINVAL);
                ASSERT_EQ(f.e.hint.id, VGPUD_HINT_NONE);
                ASSERT_CONTAINS(f.e.message, names[i]);
        }

        writes = fake_writes(f.k);
        ASSERT_STREQ(writes, "");
}

static void test_no_such_type(void)
{
        _cleanup_fixture_ Fixture f = with_nvidia(2);
        g_autofree char *only =
                        g_strconcat(fake_gpu_parent_path(f.gpu, 1), "/mdev_supported_types/nvidia-746", NULL);

        ASSERT_ERROR(create(&f, UUID_A, "nvidia-1"), ENOENT);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_NO_SUCH_TYPE);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_CHOOSE_OTHER);
        /* create() wants the id of a type: the caller has resolved aliases. */
        ASSERT_ERROR(create(&f, UUID_A, "A2-4Q"), ENOENT);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_NO_SUCH_TYPE);
        /* One VF does not offer the type any more. */
        fake_remove(f.k, only);
        ASSERT_ERROR(create_on(&f, UUID_A, "nvidia-746", "0000:08:00.5"), ENOENT);
        ASSERT_CONTAINS(f.e.message, "0000:08:00.5");
        ASSERT_OK(create(&f, UUID_A, "nvidia-746"));
}

static void test_exists(void)
{
        FakeKernel *k = fake_kernel_new();
        FakeGpu *other = fake_add_gvt_g(k, "0000:00:02.0");
        VgpuIo *io = fake_kernel_io(k);
        GpuFacts *facts = fake_gpu_facts(other);
        InstanceDesc *d = NULL;
        CreateArgs args = { .uuid = UUID_A, .type_id = "i915-GVTg_V5_8" };
        int r = mdev_driver.create(&(VgpuTarget){ .facts = facts, .io = io }, &args, &d, NULL);
        _cleanup_fixture_ Fixture f;

        instance_desc_free(d);
        gpu_facts_unref(facts);
        vgpu_io_free(io);
        fixture_init(&f, k, fake_add_mdpy(k));
        int refused = create(&f, UUID_A, "mdpy-xga");
        VgpudHintId hint = f.e.hint.id;
        g_autofree char *before = g_strdup(f.e.message), *writes = fake_writes(k);
        /* Another program creates the UUID after the check, so the kernel's write fails. */
        fake_fail(k, "link", "bus/mdev/devices/" UUID_A, ENOENT);
        int raced = create(&f, UUID_A, "mdpy-xga");
        VgpudErrorCode code = f.e.code;
        int errnum = f.e.errnum;
        fake_gpu_free(other);
        ASSERT_OK(r);
        ASSERT_ERROR(refused, EEXIST);
        ASSERT_CONTAINS(before, "i915-GVTg_V5_8");
        ASSERT_EQ(hint, VGPUD_HINT_CHOOSE_OTHER);
        ASSERT_FALSE(strstr(writes, "mdpy"));
        ASSERT_ERROR(raced, EEXIST);
        ASSERT_EQ(code, VGPUD_ERROR_EXISTS);
        ASSERT_EQ(errnum, EEXIST);
}

/* Every errno with which the write to `create` can fail (Linux drivers/vfio/mdev, and the drivers), while
 * the type has room. */
static void test_create_errno(void)
{
        static const struct {
                int eno;
                VgpudErrorCode code;
        } table[] = {
                { EINVAL, VGPUD_ERROR_FAILED },       { EEXIST, VGPUD_ERROR_EXISTS },
                { EUSERS, VGPUD_ERROR_NO_CAPACITY },  { ENOSPC, VGPUD_ERROR_NO_CAPACITY },
                { ENODEV, VGPUD_ERROR_GPU_GONE },     { ENOMEM, VGPUD_ERROR_FAILED },
                { EIO, VGPUD_ERROR_FAILED },          { EAGAIN, VGPUD_ERROR_FAILED },
                { ENOENT, VGPUD_ERROR_NO_SUCH_TYPE }, { EACCES, VGPUD_ERROR_FAILED },
                { EPERM, VGPUD_ERROR_FAILED },        { EPROTO, VGPUD_ERROR_FAILED },
                { EFAULT, VGPUD_ERROR_FAILED },       { EXDEV, VGPUD_ERROR_FAILED },
        };
        const char *path = "devices/virtual/mdpy/mdpy/mdev_supported_types/mdpy-xga/create";

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                _cleanup_fixture_ Fixture f = with_mdpy();

                fake_fail(f.k, "write", path, table[i].eno);
                ASSERT_ERROR(create(&f, UUID_A, "mdpy-xga"), vgpud_error_code_to_errno(table[i].code));
                ASSERT_EQ(f.e.code, table[i].code);

                if (table[i].eno != ENOENT)
                        ASSERT_EQ(f.e.errnum, table[i].eno);
                ASSERT_FALSE(fake_exists(f.k, "devices/virtual/mdpy/mdpy/" UUID_A));
                fake_heal(f.k);
                ASSERT_OK(create(&f, UUID_A, "mdpy-xga"));
        }
}

/* If the create fails on a VF, the next VF is tried. */
static void test_create_goes_on(void)
{
        static const int errnos[] = { EAGAIN, EBUSY, EINVAL, EIO, ENODEV, ENOMEM, ENOSPC };

        for (size_t i = 0; i < G_N_ELEMENTS(errnos); i++) {
                _cleanup_fixture_ Fixture f = with_nvidia(6);

                for (unsigned n = 0; n < 4; n++) {
                        g_autofree char *path = g_strconcat(fake_gpu_parent_path(f.gpu, n),
                                                            "/mdev_supported_types/nvidia-746/create", NULL);

                        if (n == 3) {
                                ASSERT_OK(create(&f, UUID_A, "nvidia-746"));
                                ASSERT_STREQ(f.made->path + strlen(f.made->path) -
                                                             strlen("0000:08:00.7/" UUID_A),
                                             "0000:08:00.7/" UUID_A);
                                ASSERT_EQ(destroy(&f, f.made), 1);
                                f.t.parent_hint = 0;
                        }

                        fake_fail(f.k, "write", path, errnos[i]);
                }

                /* create() gives up after four failures, although two more VFs would work. */
                ASSERT_TRUE(create(&f, UUID_A, "nvidia-746") < 0);
                ASSERT_EQ(f.e.errnum, errnos[i]);
                /* If the caller names a VF, no other VF is tried. */
                ASSERT_TRUE(create_on(&f, UUID_A, "nvidia-746", "0000:08:00.4") < 0);
                ASSERT_OK(create_on(&f, UUID_A, "nvidia-746", "0000:08:01.0"));
        }
}

/* Within one job, each further instance costs one read, on the next VF. */
static void test_create_several(void)
{
        _cleanup_fixture_ Fixture f = with_nvidia(16);

        f.same_job = true;
        ASSERT_OK(create(&f, UUID_A, "nvidia-744"));
        ASSERT_STREQ(f.made->parent, "0000:08:00.4");
        ASSERT_OK(create(&f, UUID_B, "nvidia-744"));
        unsigned reads = fake_count(f.k, "read");
        ASSERT_OK(create(&f, UUID_C, "nvidia-744"));
        ASSERT_STREQ(f.made->parent, "0000:08:00.6");
        ASSERT_EQ(fake_count(f.k, "read") - reads, 1);

        /* The type of the job vanishes from the next VF, and then from all. */
        g_autofree char *next =
                        g_strconcat(fake_gpu_parent_path(f.gpu, 3), "/mdev_supported_types/nvidia-744", NULL);
        fake_remove(f.k, next);
        ASSERT_EQ(destroy(&f, f.made), 1);
        ASSERT_OK(create(&f, UUID_C, "nvidia-744"));
        ASSERT_STREQ(f.made->parent, "0000:08:01.0");
        for (unsigned i = 0; i < 16; i++) {
                g_autofree char *path = g_strconcat(fake_gpu_parent_path(f.gpu, i),
                                                    "/mdev_supported_types/nvidia-744", NULL);

                if (i != 3)
                        fake_remove(f.k, path);
        }

        ASSERT_ERROR(create(&f, UUID_D, "nvidia-744"), ENOENT);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_NO_SUCH_TYPE);
}

/* The GPU has fewer VFs than create() would try: each VF is tried once. */
static void test_create_comes_round(void)
{
        _cleanup_fixture_ Fixture f = with_nvidia(2);

        for (unsigned n = 0; n < 2; n++) {
                g_autofree char *path = g_strconcat(fake_gpu_parent_path(f.gpu, n),
                                                    "/mdev_supported_types/nvidia-746/create", NULL);

                fake_fail(f.k, "write", path, EIO);
        }

        ASSERT_ERROR(create(&f, UUID_A, "nvidia-746"), EIO);
        ASSERT_EQ(f.e.errnum, EIO);
        ASSERT_CONTAINS(f.e.message, "0000:08:00.4");
        g_autofree char *writes = fake_writes(f.k);
        g_auto(GStrv) lines = g_strsplit(writes, "\n", -1);
        ASSERT_EQ(g_strv_length(lines), 3); /* two writes; the text after the last newline is empty */
}

/* Another program creates the last possible instance between the check and the write. */
static int take_last(FakeKernel *k, const char *path, void *data)
{
        fake_add_file(k, "devices/virtual/mdpy/mdpy/mdev_supported_types/mdpy-xga/available_instances", "0\n");
        return 0;
}

static void test_race_for_last(void)
{
        static const int answers[] = { EUSERS, ENOSPC, ENOMEM, EIO };

        for (size_t i = 0; i < G_N_ELEMENTS(answers); i++) {
                _cleanup_fixture_ Fixture f = with_mdpy();
                const char *path = "devices/virtual/mdpy/mdpy/mdev_supported_types/mdpy-xga/create";

                fake_before(f.k, "write", path, take_last, NULL);
                fake_fail(f.k, "write", path, answers[i]);
                ASSERT_ERROR(create(&f, UUID_A, "mdpy-xga"), ENOSPC);
                ASSERT_EQ(f.e.code, VGPUD_ERROR_NO_CAPACITY);
                ASSERT_EQ(f.e.errnum, answers[i]);
        }
}

static int unload(FakeKernel *k, const char *path, void *data)
{
        fake_gpu_unload(data);
        return 0;
}

/* The driver was unloaded between the choice of the back end and the job: the newest facts have no parent. */
static void test_create_without_parents(void)
{
        _cleanup_fixture_ Fixture f = with_gvt_g();

        g_ptr_array_set_size(f.facts->mdev_parents, 0);
        ASSERT_ERROR(create_on(&f, UUID_A, "i915-GVTg_V5_4", NULL), ENOLINK);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_GPU_GONE);
        ASSERT_ERROR(create_on(&f, UUID_A, "i915-GVTg_V5_4", "0000:00:02.0"), ENOLINK);
}

static void test_gone_while_creating(void)
{
        _cleanup_fixture_ Fixture f = with_mdpy();

        fake_before(f.k, "write", "devices/virtual/mdpy/mdpy/mdev_supported_types/mdpy-xga/create", unload,
                    f.gpu);
        ASSERT_ERROR(create(&f, UUID_A, "mdpy-xga"), ENOLINK);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_GPU_GONE);
        ASSERT_EQ(f.e.errnum, ENOENT);
}

/* The writer died after the kernel had created the device. */
static void test_writer_died_after(void)
{
        _cleanup_fixture_ Fixture f = with_mdpy();

        fake_fail_after(f.k, "write", "devices/virtual/mdpy/mdpy/mdev_supported_types/mdpy-xga/create", EPROTO);
        ASSERT_OK(create(&f, UUID_A, "mdpy-xga"));
        ASSERT_STREQ(f.made->type_id, "mdpy-xga");
}

/* The write succeeds without creating a device. */
static int store_nothing(FakeKernel *k, const char *path, void *data, const char *value)
{
        return 0;
}

static void test_not_made(void)
{
        _cleanup_fixture_ Fixture f = with_mdpy();

        fake_add_attribute(f.k, "devices/virtual/mdpy/mdpy/mdev_supported_types/mdpy-xga/create", NULL,
                           store_nothing, NULL);
        ASSERT_ERROR(create(&f, UUID_A, "mdpy-xga"), EIO);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_FAILED);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_NONE);
}

static int spoil_type(FakeKernel *k, const char *path, void *data)
{
        fake_add_link(k, "devices/virtual/mdpy/mdpy/" UUID_A "/mdev_type",
                      "devices/virtual/mdpy/mdpy/mdev_supported_types/mdpy-hd");
        return 0;
}

static void test_wrong_type(void)
{
        _cleanup_fixture_ Fixture f = with_mdpy();

        fake_before(f.k, "link", "devices/virtual/mdpy/mdpy/" UUID_A "/mdev_type", spoil_type, NULL);
        ASSERT_ERROR(create(&f, UUID_A, "mdpy-xga"), EIO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_NONE);
        ASSERT_FALSE(fake_exists(f.k, "devices/virtual/mdpy/mdpy/" UUID_A));
        ASSERT_EQ(available(&f, "mdpy-hd"), 4);
}

/* The new device has the wrong type, so create() removes it again. But the driver is being unloaded: the file
 * "remove" has gone, and the device goes by itself. The error is that of create(), not INCONSISTENT. */
static void test_gone_during_create(void)
{
        static const int errnos[] = { ENOENT, ENODEV };

        for (size_t i = 0; i < G_N_ELEMENTS(errnos); i++) {
                _cleanup_fixture_ Fixture f = with_mdpy();

                fake_before(f.k, "link", "devices/virtual/mdpy/mdpy/" UUID_A "/mdev_type", spoil_type, NULL);
                fake_fail(f.k, "write", "devices/virtual/mdpy/mdpy/" UUID_A "/remove", errnos[i]);
                ASSERT_ERROR(create(&f, UUID_A, "mdpy-xga"), EIO);
                ASSERT_EQ(f.e.code, VGPUD_ERROR_FAILED);
        }
}

/* Attributes */

static void test_attribute_rollback(void)
{
        static const struct {
                const char *name;
                int eno; /* 0: the errno of the fake */
                VgpudErrorCode code;
                int errnum;
        } table[] = {
                { "nvidia/nothing", 0, VGPUD_ERROR_INVALID, ENOENT },
                { "nothing", 0, VGPUD_ERROR_INVALID, ENOENT },
                { "nvidia/vm_name", 0, VGPUD_ERROR_INVALID, EACCES },
                { "nvidia", 0, VGPUD_ERROR_INVALID, EISDIR },
                { "nvidia/vgpu_params", EINVAL, VGPUD_ERROR_INVALID, EINVAL },
                { "nvidia/vgpu_params", E2BIG, VGPUD_ERROR_INVALID, E2BIG },
                { "nvidia/vgpu_params", ERANGE, VGPUD_ERROR_INVALID, ERANGE },
                { "nvidia/vgpu_params", EPERM, VGPUD_ERROR_FAILED, EPERM },
                { "nvidia/vgpu_params", EIO, VGPUD_ERROR_FAILED, EIO },
                { "nvidia/vgpu_params", ENXIO, VGPUD_ERROR_FAILED, ENXIO },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                _cleanup_fixture_ Fixture f = with_nvidia(2);
                g_autofree char *path = g_strdup_printf("%s/" UUID_A "/%s", fake_gpu_parent_path(f.gpu, 0),
                                                        table[i].name);

                if (table[i].eno > 0)
                        fake_fail(f.k, "write", path, table[i].eno);
                add_attribute(&f, table[i].name, "a=1");
                ASSERT_ERROR(create(&f, UUID_A, "nvidia-746"), vgpud_error_code_to_errno(table[i].code));
                ASSERT_EQ(f.e.code, table[i].code);
                ASSERT_EQ(f.e.errnum, table[i].errnum);
                ASSERT_CONTAINS(f.e.message, table[i].name);
                ASSERT_EQ(available(&f, "nvidia-746"), 2);
        }
}

static int show_other_parameters(FakeKernel *k, const char *path, void *data)
{
        fake_add_file(k, path, data);

        return 0;
}

/* A create fails if the driver does not keep a value. A driver may keep the newline of the write. */
static void test_attribute_read_back(void)
{
        static const struct {
                const char *shown; /* NULL: unreadable */
                VgpudErrorCode code;
        } table[] = {
                { "disable_vnc=\n", VGPUD_ERROR_FAILED },      { "\n", VGPUD_ERROR_FAILED },
                { "disable_vnc=1,a=2\n", VGPUD_ERROR_FAILED }, { NULL, VGPUD_ERROR_FAILED },
                { "disable_vnc=1\n\n", VGPUD_ERROR_NONE },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                _cleanup_fixture_ Fixture f = with_nvidia(2);
                g_autofree char *path = g_strconcat(fake_gpu_parent_path(f.gpu, 0),
                                                    "/" UUID_A "/nvidia/vgpu_params", NULL);

                if (table[i].shown)
                        fake_before(f.k, "read", path, show_other_parameters, (void *)table[i].shown);
                else
                        fake_fail(f.k, "read", path, EIO);
                add_attribute(&f, "nvidia/vgpu_params", "disable_vnc=1");

                if (table[i].code == VGPUD_ERROR_NONE) {
                        ASSERT_OK(create(&f, UUID_A, "nvidia-746"));
                        continue;
                }

                ASSERT_ERROR(create(&f, UUID_A, "nvidia-746"), vgpud_error_code_to_errno(table[i].code));
                ASSERT_EQ(f.e.code, table[i].code);
                ASSERT_EQ(available(&f, "nvidia-746"), 2);
        }
}

static void test_attribute_too_long(void)
{
        _cleanup_fixture_ Fixture f = with_nvidia(2);
        g_autofree char *largest = g_strnfill(VGPU_IO_ATTR_MAX, 'x');

        add_attribute(&f, "nvidia/vgpu_params", largest);
        ASSERT_ERROR(create(&f, UUID_A, "nvidia-746"), EINVAL);
        ASSERT_EQ(f.e.errnum, E2BIG);
}

/* Linux before 5.16 without vfio_mdev: the device appears, but no VM can use it. */
static void test_no_driver(void)
{
        _cleanup_fixture_ Fixture f = with_gvt_g();
        GpuSnapshot *s;

        fake_gpu_set_driverless(f.gpu, true);
        ASSERT_ERROR(create(&f, UUID_A, "i915-GVTg_V5_4"), EOPNOTSUPP);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_UNSUPPORTED);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_LOAD_DRIVER);
        ASSERT_CONTAINS(f.e.hint.text, "vfio_mdev");
        s = scan_ok(&f);
        ASSERT_EQ(s->instances->len, 0);
        ASSERT_EQ(s->problems->len, 0);
        gpu_snapshot_unref(s);
        /* The module was unloaded after the creation. */
        fake_gpu_set_driverless(f.gpu, false);
        ASSERT_OK(create(&f, UUID_B, "i915-GVTg_V5_4"));
        g_autofree char *driver = g_strconcat(f.made->path, "/driver", NULL);
        g_autofree char *group = g_strconcat(f.made->path, "/iommu_group", NULL);
        fake_remove(f.k, driver);
        fake_remove(f.k, group);
        s = scan_ok(&f);
        ASSERT_EQ(s->instances->len, 1);
        ASSERT_EQ(s->problems->len, 1);
        ASSERT_CONTAINS(((const VgpuProblem *)s->problems->pdata[0])->text, UUID_B);
        ASSERT_EQ(((const VgpuProblem *)s->problems->pdata[0])->hint.id, VGPUD_HINT_LOAD_DRIVER);
        ASSERT_FALSE(gpu_snapshot_is_partial(s));
        Handover *h = mdev_driver.handover(s->instances->pdata[0]);
        ASSERT_NULL(h->libvirt_xml);
        ASSERT_NULL(h->qemu_args);
        handover_free(h);
        ASSERT_EQ(destroy(&f, s->instances->pdata[0]), 1);
        gpu_snapshot_unref(s);
}

static void test_attribute_link(void)
{
        _cleanup_fixture_ Fixture f = with_nvidia(2);
        g_autofree char *path =
                        g_strconcat(fake_gpu_parent_path(f.gpu, 0), "/" UUID_A "/nvidia/vgpu_params", NULL);

        add_attribute(&f, "nvidia/vgpu_params", "a=1");
        fake_fail(f.k, "write", path, ELOOP);
        ASSERT_ERROR(create(&f, UUID_A, "nvidia-746"), EINVAL);
        ASSERT_EQ(f.e.errnum, ELOOP);
}

static void test_writes_rollback(void)
{
        _cleanup_fixture_ Fixture f = with_nvidia(2);

        add_attribute(&f, "nvidia/vgpu_params", "disable_vnc=1");
        add_attribute(&f, "nvidia/nothing", "1");
        add_attribute(&f, "nvidia/vgpu_params", "never=1");
        ASSERT_ERROR(create(&f, UUID_A, "nvidia-746"), EINVAL);
        check_golden(&f, "rollback");
}

static void test_inconsistent(void)
{
        _cleanup_fixture_ Fixture f = with_nvidia(2);
        g_autofree char *remove = g_strconcat(fake_gpu_parent_path(f.gpu, 0), "/" UUID_A "/remove", NULL);

        add_attribute(&f, "nvidia/nothing", "1");
        fake_fail(f.k, "write", remove, EAGAIN);
        ASSERT_ERROR(create(&f, UUID_A, "nvidia-746"), ENOTRECOVERABLE);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_INCONSISTENT);
        ASSERT_EQ(f.e.errnum, ENOENT);
        check_golden(&f, "inconsistent");
}

/* destroy */

static void test_destroy_in_use(void)
{
        _cleanup_fixture_ Fixture f = with_mdpy();
        g_autofree char *writes = NULL;

        ASSERT_OK(create(&f, UUID_A, "mdpy-xga"));
        fake_hold_node(f.k, "vfio/10", 4711, "qemu-system-x86");
        ASSERT_ERROR(destroy(&f, f.made), EBUSY);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_IN_USE);
        ASSERT_CONTAINS(f.e.message, "process 4711 (qemu-system-x86)");
        writes = fake_writes(f.k);
        ASSERT_FALSE(strstr(writes, "remove"));
        ASSERT_TRUE(fake_exists(f.k, f.made->path));
        fake_hold_node(f.k, "vfio/10", 0, NULL);
        ASSERT_EQ(destroy(&f, f.made), 1);
}

/* destroy() reads the group again: a description from right after the creation may lack the group. */
static void test_destroy_reads_again(void)
{
        _cleanup_fixture_ Fixture f = with_mdpy();

        ASSERT_OK(create(&f, UUID_A, "mdpy-xga"));
        f.made->iommu_group = -1;
        fake_hold_node(f.k, "vfio/10", 4711, "qemu");
        ASSERT_ERROR(destroy(&f, f.made), EBUSY);
}

static void test_destroy_without_nodes(void)
{
        _cleanup_fixture_ Fixture f = with_mdpy();

        /* A group without a node, and no cdev: users cannot be detected. */
        fake_gpu_set_group_nodes(f.gpu, false);
        ASSERT_OK(create(&f, UUID_A, "mdpy-xga"));
        ASSERT_ERROR(destroy(&f, f.made), EBUSY);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_IN_USE);
        ASSERT_EQ(f.e.errnum, ENOENT);
        /* Without a driver the instance cannot be in use. */
        fake_remove(f.k, "devices/virtual/mdpy/mdpy/" UUID_A "/driver");
        ASSERT_EQ(destroy(&f, f.made), 1);
        /* The cdev shows its holder. */
        fake_gpu_set_cdev(f.gpu, true);
        ASSERT_OK(create(&f, UUID_A, "mdpy-xga"));
        g_autofree char *node = g_strconcat("vfio/devices/", f.made->cdev, NULL);
        fake_hold_node(f.k, node, 4711, "qemu");
        ASSERT_ERROR(destroy(&f, f.made), EBUSY);
        fake_hold_node(f.k, node, 0, NULL);
        ASSERT_EQ(destroy(&f, f.made), 1);
}

static void test_destroy_errno(void)
{
        static const struct {
                int eno;
                VgpudErrorCode code;
        } table[] = {
                { EPERM, VGPUD_ERROR_IN_USE },    { EBUSY, VGPUD_ERROR_IN_USE },
                { ENODEV, VGPUD_ERROR_GPU_GONE }, { EAGAIN, VGPUD_ERROR_FAILED },
                { ENOENT, VGPUD_ERROR_FAILED },   { EINVAL, VGPUD_ERROR_FAILED },
                { EIO, VGPUD_ERROR_FAILED },      { EPROTO, VGPUD_ERROR_FAILED },
        };
        const char *path = "devices/virtual/mdpy/mdpy/" UUID_A "/remove";

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                _cleanup_fixture_ Fixture f = with_mdpy();

                ASSERT_OK(create(&f, UUID_A, "mdpy-xga"));
                fake_fail(f.k, "write", path, table[i].eno);
                ASSERT_ERROR(destroy(&f, f.made), vgpud_error_code_to_errno(table[i].code));
                ASSERT_EQ(f.e.code, table[i].code);
                ASSERT_EQ(f.e.errnum, table[i].eno);
                ASSERT_CONTAINS(f.e.message, UUID_A);
                ASSERT_FALSE(fake_node_is_kept(f.k, "vfio/10"));
                /* The write reports the same errno, but the device is gone: the destroy has succeeded. */
                fake_heal(f.k);
                fake_fail_after(f.k, "write", path, table[i].eno);
                ASSERT_EQ(destroy(&f, f.made), 1);
        }
}

static void test_destroy_lost_race(void)
{
        _cleanup_fixture_ Fixture f = with_mdpy();

        /* Of two concurrent removals, the kernel reports success to the second while the first has not removed
         * the device yet. The fake reports success, and removes nothing. */
        ASSERT_OK(create(&f, UUID_A, "mdpy-xga"));
        fake_add_attribute(f.k, "devices/virtual/mdpy/mdpy/" UUID_A "/remove", NULL, store_nothing, NULL);
        ASSERT_ERROR(destroy(&f, f.made), EIO);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_FAILED);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_TRY_AGAIN);
        ASSERT_EQ(f.e.errnum, 0);
}

static void test_destroy_gone_meanwhile(void)
{
        _cleanup_fixture_ Fixture f = with_mdpy();

        ASSERT_OK(create(&f, UUID_A, "mdpy-xga"));
        fake_before(f.k, "link", "devices/virtual/mdpy/mdpy/" UUID_A "/iommu_group", unload, f.gpu);
        ASSERT_OK(destroy(&f, f.made));
        ASSERT_FALSE(fake_exists(f.k, f.made->path));
        ASSERT_EQ(destroy(&f, f.made), 0);
}

/* handover */

static void test_handover(void)
{
        InstanceDesc d = { .uuid = UUID_A,
                           .path = (char *)"devices/virtual/mdpy/mdpy/" UUID_A,
                           .iommu_group = 12,
                           .cdev = (char *)"vfio3" };
        Handover *h = mdev_driver.handover(&d);
        g_autofree char *args = g_strjoinv(" ", h->qemu_args), *path = g_strdup(h->sysfs_path);
        g_autofree char *group = g_strdup(h->group_node), *cdev = g_strdup(h->cdev_node),
                        *xml = g_strdup(h->libvirt_xml);
        int number = h->iommu_group;

        handover_free(h);
        ASSERT_STREQ(path, "/sys/bus/mdev/devices/" UUID_A);
        ASSERT_EQ(number, 12);
        ASSERT_STREQ(group, "/dev/vfio/12");
        ASSERT_STREQ(cdev, "/dev/vfio/devices/vfio3");
        ASSERT_STREQ(args, "-device vfio-pci,sysfsdev=/sys/bus/mdev/devices/" UUID_A);
        ASSERT_STREQ(xml, "<hostdev mode='subsystem' type='mdev' model='vfio-pci'>\n"
                          "  <source>\n"
                          "    <address uuid='" UUID_A "'/>\n"
                          "  </source>\n"
                          "</hostdev>\n");
}

static void test_handover_bare(void)
{
        InstanceDesc d = { .uuid = UUID_A, .path = (char *)"devices/x", .iommu_group = -1 };
        Handover *h = mdev_driver.handover(&d);
        bool bare = !h->group_node && !h->cdev_node && h->iommu_group == -1;

        handover_free(h);
        ASSERT_NULL(handover_free(NULL));
        ASSERT_TRUE(bare);
}

/* Checks that a prediction equals the result of a scan. */
static void amend_many(Fixture *f, GpuSnapshot **s, const GPtrArray *made, const GPtrArray *removed)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *amended = NULL, *before = *s;

        amended = gpu_snapshot_predict(before, made, removed);
        ASSERT_TRUE(mdev_driver.predict(f->facts, before, amended));
        ASSERT_OK(mdev_driver.scan(&f->t, s, &f->e));
        ASSERT_EQ(amended->types->len, (*s)->types->len);

        for (guint i = 0; i < amended->types->len; i++) {
                const VgpuType *t = amended->types->pdata[i], *u = (*s)->types->pdata[i];

                if (t->available != u->available || g_strcmp0(t->why_not, u->why_not) != 0)
                        FAIL("%s: %u (%s), and a scan finds %u (%s)", t->id, t->available, t->why_not,
                             u->available, u->why_not);
        }
}

static void amend(Fixture *f, GpuSnapshot **s, const InstanceDesc *made, const char *removed)
{
        g_autoptr(GPtrArray) instances = g_ptr_array_new(), uuids = g_ptr_array_new();

        if (made)
                g_ptr_array_add(instances, (gpointer)made);
        if (removed)
                g_ptr_array_add(uuids, (gpointer)removed);
        amend_many(f, s, instances, uuids);
}

static void test_amend(void)
{
        static const struct {
                unsigned n_vfs;
                const char *type;
        } table[] = { { 16, "nvidia-746" },
                      { 16, "nvidia-744" },
                      { 16, "nvidia-748" },
                      { 3, "nvidia-746" },
                      { 2, "nvidia-756" } };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                _cleanup_fixture_ Fixture f = with_nvidia(table[i].n_vfs);
                _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;
                g_autoptr(GPtrArray) made = g_ptr_array_new_with_free_func(desc_free);

                ASSERT_OK(mdev_driver.scan(&f.t, &s, &f.e));

                for (unsigned n = 0;; n++) {
                        g_autofree char *uuid = g_strdup_printf("44444444-0000-4000-8000-0000000000%02u", n);

                        if (create(&f, uuid, table[i].type) < 0)
                                break;

                        g_ptr_array_add(made, instance_desc_copy(f.made));
                        amend(&f, &s, f.made, NULL);
                }

                ASSERT_TRUE(made->len > 0);
                for (; made->len > 0; g_ptr_array_set_size(made, (gint)made->len - 1)) {
                        const InstanceDesc *d = made->pdata[made->len - 1];

                        ASSERT_EQ(destroy(&f, d), 1);
                        amend(&f, &s, NULL, d->uuid);
                }
        }
}

/* One job creates or destroys several instances. */
static void test_amend_several(void)
{
        _cleanup_fixture_ Fixture f = with_nvidia(16);
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;
        g_autoptr(GPtrArray) made = g_ptr_array_new_with_free_func(desc_free), removed = g_ptr_array_new();

        ASSERT_OK(mdev_driver.scan(&f.t, &s, &f.e));

        for (unsigned n = 0; n < 4; n++) {
                g_autofree char *uuid = g_strdup_printf("44444444-0000-4000-8000-0000000000%02u", n);

                ASSERT_OK(create(&f, uuid, "nvidia-744"));
                g_ptr_array_add(made, instance_desc_copy(f.made));
        }

        amend_many(&f, &s, made, NULL);

        /* Destroy all instances but the last, and then the last, which frees the GPU for other sizes. */
        for (guint i = 0; i < made->len - 1; i++) {
                InstanceDesc *d = made->pdata[i];

                ASSERT_EQ(destroy(&f, d), 1);
                g_ptr_array_add(removed, d->uuid);
        }

        amend_many(&f, &s, NULL, removed);
        ASSERT_EQ(destroy(&f, made->pdata[made->len - 1]), 1);
        amend(&f, &s, NULL, ((InstanceDesc *)made->pdata[made->len - 1])->uuid);
}

/* predict() returns false in four cases: the parents are not VFs, the GPU is in heterogeneous mode, the GPU is
 * in MIG mode, or the modes are unknown and types of several sizes are available. */
static void test_predict_cannot(void)
{
        static const char *const modes[] = { "heterogeneous", "mig" };
        _cleanup_fixture_ Fixture f = with_nvidia(16), g = with_gvt_g();
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL, *same = NULL, *t = NULL;

        ASSERT_OK(mdev_driver.scan(&g.t, &t, &g.e));
        ASSERT_FALSE(mdev_driver.predict(g.facts, t, t));
        ASSERT_OK(create(&f, UUID_A, "nvidia-746"));
        ASSERT_OK(mdev_driver.scan(&f.t, &s, &f.e));
        same = gpu_snapshot_predict(s, NULL, NULL);
        ASSERT_TRUE(mdev_driver.predict(f.facts, s, same));

        for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
                g_ptr_array_add(same->modes, vgpu_mode_new(modes[i], "no", NULL, NULL));
                ASSERT_TRUE(mdev_driver.predict(f.facts, s, same));
                g_ptr_array_set_size(same->modes, 0);
                g_ptr_array_add(same->modes, vgpu_mode_new(modes[i], "yes", NULL, NULL));
                ASSERT_FALSE(mdev_driver.predict(f.facts, s, same));
                g_ptr_array_set_size(same->modes, 0);
        }

        /* The modes are unknown, but a type of another size is available. */
        for (guint i = 0; i < s->types->len; i++) {
                VgpuType *type = s->types->pdata[i];

                if (strcmp(type->id, "nvidia-747") == 0)
                        type->available = 1;
        }

        ASSERT_FALSE(mdev_driver.predict(f.facts, s, same));
}

static void add_named_type(GpuSnapshot *s, const char *id, const char *name, uint32_t max)
{
        VgpuType *t = vgpu_type_new(id);

        g_free(t->name);
        t->name = g_strdup(name);
        type_name_apply(t);
        t->max_instances = max;
        g_ptr_array_add(s->types, t);
}

/* vgpud does not know the GPU's mode, but A100-1-5C, the type of the instance, exists only in MIG mode. In this
 * mode, types of the whole GPU, such as A100-4C, never become available, with or without the instance: vgpud
 * does not predict. */
static void test_predict_slice(void)
{
        _cleanup_fixture_ Fixture f = with_nvidia(16);
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *with = gpu_snapshot_new(), *without = NULL, *again = NULL;
        g_autoptr(GPtrArray) made = g_ptr_array_new(), removed = g_ptr_array_new();
        InstanceDesc *d = instance_desc_new(UUID_A);

        add_named_type(with, "nvidia-474", "GRID A100-1-5C", 7);
        add_named_type(with, "nvidia-468", "GRID A100-4C", 10);
        add_named_type(with, "nvidia-472", "GRID A100-40C", 1);
        d->type_id = g_strdup("nvidia-474");
        d->parent = g_strdup("0000:08:00.4");
        g_ptr_array_add(with->instances, d);
        gpu_snapshot_seal(with);
        g_ptr_array_add(removed, d->uuid);
        without = gpu_snapshot_predict(with, NULL, removed);
        ASSERT_FALSE(mdev_driver.predict(f.facts, with, without));
        g_ptr_array_add(made, d);
        again = gpu_snapshot_predict(without, made, NULL);
        ASSERT_FALSE(mdev_driver.predict(f.facts, without, again));
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_scan_gvt_g);
        TEST(test_budget_gvt_g);
        TEST(test_size_rule_nvidia);
        TEST(test_modes_nvidia);
        TEST(test_no_modes);
        TEST(test_shared_budget_mdpy);
        TEST(test_no_description);
        TEST(test_other_api);
        TEST(test_half_made);
        TEST(test_cdev);
        TEST(test_cost);
        TEST(test_gives_way_between_types);
        TEST(test_parent_vanishes);
        TEST(test_type_vanishes);
        TEST(test_odd_counts);
        TEST(test_unloading);
        TEST(test_unreadable_parent);
        TEST(test_unreadable_availability);
        TEST(test_unreadable_availability_of_one);
        TEST(test_unreadable_availability_of_all);
        TEST(test_scan_fails);
        TEST(test_writes_gvt_g);
        TEST(test_writes_nvidia);
        TEST(test_params);
        TEST(test_params_unread);
        TEST(test_params_of_others);
        TEST(test_arguments);
        TEST(test_no_such_type);
        TEST(test_exists);
        TEST(test_create_errno);
        TEST(test_create_goes_on);
        TEST(test_create_several);
        TEST(test_create_comes_round);
        TEST(test_race_for_last);
        TEST(test_create_without_parents);
        TEST(test_gone_while_creating);
        TEST(test_writer_died_after);
        TEST(test_not_made);
        TEST(test_wrong_type);
        TEST(test_gone_during_create);
        TEST(test_attribute_rollback);
        TEST(test_attribute_read_back);
        TEST(test_attribute_too_long);
        TEST(test_no_driver);
        TEST(test_attribute_link);
        TEST(test_writes_rollback);
        TEST(test_inconsistent);
        TEST(test_destroy_in_use);
        TEST(test_destroy_reads_again);
        TEST(test_destroy_without_nodes);
        TEST(test_destroy_errno);
        TEST(test_destroy_lost_race);
        TEST(test_destroy_gone_meanwhile);
        TEST(test_amend);
        TEST(test_amend_several);
        TEST(test_predict_cannot);
        TEST(test_predict_slice);
        TEST(test_handover);
        TEST(test_handover_bare);

        return tests_end();
}
