/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The nvidia-vfio back end on the in-memory kernel. check_golden() compares all writes and runs of programs
 * with tests/golden/nvidia-vfio-NAME.txt. */

#include <signal.h>

#include "drivers-glue/problem.h"
#include "drivers-glue/registry.h"

#include "back-end.h"
#include "fake-nvidia.h"
#include "tests.h"

#define GPU    "0000:3d:00.0"
#define UUID_A "11111111-0000-4000-8000-000000000001"
#define UUID_B "22222222-0000-4000-8000-000000000002"
#define UUID_C "33333333-0000-4000-8000-000000000003"

typedef struct Fixture {
        FakeKernel *k;
        FakeNvidia *gpu;
        GpuFacts *facts;
        VgpuIo *io;
        VgpuTarget t;
        VgpudError e;
        InstanceDesc *made;    /* result of the last create() */
        GPtrArray *known;      /* VgpuType; known types */
        GPtrArray *attributes; /* attributes of the next create() */
        GString *reservations; /* reservations, "SLOT RESTORE;" */
        int reserve_result;
        GpuSnapshot *s; /* result of the last scan() */
} Fixture;

static void attribute_free(gpointer p)
{
        vgpu_attribute_free(p);
}

static void type_free(gpointer p)
{
        vgpu_type_free(p);
}

/* Reads new facts, like the daemon after an event. */
static void read_facts(Fixture *f)
{
        gpu_facts_unref(f->facts);
        f->facts = fake_nvidia_facts(f->gpu);
        f->t.facts = f->facts;
}

static Fixture fixture_of(FakeKernel *k, FakeNvidia *gpu)
{
        Fixture f = { .k = k, .gpu = gpu, .io = fake_kernel_io(k), .reservations = g_string_new(NULL) };

        f.t.io = f.io;
        f.known = g_ptr_array_new_with_free_func(type_free);
        f.attributes = g_ptr_array_new_with_free_func(attribute_free);
        read_facts(&f);

        return f;
}

static Fixture with_l40s(bool enabled)
{
        FakeKernel *k = fake_kernel_new();

        return fixture_of(k, fake_add_l40s(k, GPU, enabled));
}

static Fixture with_h200(bool enabled)
{
        FakeKernel *k = fake_kernel_new();

        return fixture_of(k, fake_add_h200(k, GPU, enabled));
}

static void fixture_free(Fixture *f)
{
        gpu_snapshot_unref(f->s);
        instance_desc_free(f->made);
        g_ptr_array_unref(f->known);
        g_ptr_array_unref(f->attributes);
        g_string_free(f->reservations, TRUE);
        vgpud_error_done(&f->e);
        vgpu_io_free(f->io);
        gpu_facts_unref(f->facts);
        fake_nvidia_free(f->gpu);
        fake_kernel_free(f->k);
}
#define _cleanup_fixture_ _cleanup_(fixture_free)

static int checked(Fixture *f, int r)
{
        return assert_explained(r, &f->e);
}

static int scan(Fixture *f)
{
        vgpud_error_done(&f->e);
        f->s = gpu_snapshot_unref(f->s);
        return checked(f, nvidia_vfio_driver.scan(&f->t, &f->s, &f->e));
}

static int on_reserve(const char *slot, const char *restore, void *userdata)
{
        Fixture *f = userdata;

        g_string_append_printf(f->reservations, "%s %s;", slot, restore ? restore : "-");

        return f->reserve_result;
}

static int create_on(Fixture *f, const char *uuid, const char *type_id, const char *parent)
{
        CreateArgs args = { .uuid = uuid,
                            .type_id = type_id,
                            .parent = parent,
                            .attributes = f->attributes,
                            .reserve = on_reserve,
                            .reserve_userdata = f };

        vgpud_error_done(&f->e);
        f->made = instance_desc_free(f->made);

        int r = nvidia_vfio_driver.create(&f->t, &args, &f->made, &f->e);
        if (r < 0)
                ASSERT_NULL(f->made);

        return checked(f, r);
}

static int create(Fixture *f, const char *uuid, const char *type_id)
{
        return create_on(f, uuid, type_id, NULL);
}

static int destroy(Fixture *f, const InstanceDesc *d)
{
        vgpud_error_done(&f->e);
        return checked(f, nvidia_vfio_driver.destroy(&f->t, d, &f->e));
}

static int set_vfs(Fixture *f, uint32_t count)
{
        uint32_t now = UINT32_MAX;

        vgpud_error_done(&f->e);

        int r = checked(f, nvidia_vfio_driver.set_vfs(&f->t, count, &now, &f->e));
        if (r >= 0)
                ASSERT_EQ(now, count);
        read_facts(f);

        return r;
}

static int configure(Fixture *f, const char *mode, const char *value)
{
        vgpud_error_done(&f->e);
        return checked(f, nvidia_vfio_driver.configure(&f->t, mode, value, &f->e));
}

/* Returns the type in the last scan, or NULL. */
static const VgpuType *type(Fixture *f, const char *id)
{
        for (guint i = 0; i < f->s->types->len; i++)
                if (strcmp(((const VgpuType *)f->s->types->pdata[i])->id, id) == 0)
                        return f->s->types->pdata[i];

        return NULL;
}

static int64_t available(Fixture *f, const char *id)
{
        const VgpuType *t;

        ASSERT_OK(scan(f));
        t = type(f, id);

        return t ? (int64_t)t->available : -1;
}

static const char *mode(Fixture *f, const char *name)
{
        for (guint i = 0; i < f->s->modes->len; i++) {
                const VgpuMode *m = f->s->modes->pdata[i];

                if (strcmp(m->name, name) == 0)
                        return m->value;
        }

        return NULL;
}

/* Makes the types of a scan known types, as the daemon does. */
static void learn(Fixture *f)
{
        ASSERT_OK(scan(f));
        g_ptr_array_set_size(f->known, 0);

        for (guint i = 0; i < f->s->types->len; i++)
                g_ptr_array_add(f->known, vgpu_type_copy(f->s->types->pdata[i]));
        f->t.known_types = f->known;
}

static char *current_path(Fixture *f, unsigned n)
{
        return g_strconcat(fake_nvidia_vf_path(f->gpu, n), "/nvidia/current_vgpu_type", NULL);
}

static void check_golden(Fixture *f, const char *name)
{
        assert_golden(f->k, "nvidia-vfio", name);
}

/* scan */

static void test_scan(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);

        ASSERT_OK(scan(&f));
        ASSERT_NULL(f.s->unprepared);
        ASSERT_EQ(f.s->modes->len, 0);
        ASSERT_EQ(f.s->instances->len, 0);
        ASSERT_EQ(f.s->types->len, 23);
        const VgpuType *t = f.s->types->pdata[5];
        ASSERT_STREQ(t->id, "nvidia-1150");
        ASSERT_STREQ(t->name, "NVIDIA L40S-4Q");
        ASSERT_STREQ(t->device_api, "vfio-pci");
        ASSERT_STREQ(t->product, "L40S");
        ASSERT_STREQ(t->class, "Q");
        ASSERT_FALSE(t->mig);
        ASSERT_EQ(t->framebuffer_bytes, UINT64_C(4) << 30);
        ASSERT_EQ(t->available, 12);
        ASSERT_NULL(t->why_not);
        ASSERT_EQ(t->options->len, 1);
        ASSERT_STREQ(((const VgpuTypeOption *)t->options->pdata[0])->name, "vgpu_params");
        ASSERT_EQ(type(&f, "nvidia-1147")->available, 32);
        ASSERT_EQ(type(&f, "nvidia-1156")->available, 1);
        ASSERT_EQ(fake_count(f.k, "run"), 0); /* no query without the node of the library */
        ASSERT_EQ(f.s->memory_bytes, 0);
        g_autofree char *writes = fake_writes(f.k);
        ASSERT_STREQ(writes, "");
}

/* The header line of creatable_vgpu_types is no type. */
static void test_scan_h200(void)
{
        _cleanup_fixture_ Fixture f = with_h200(true);

        ASSERT_OK(scan(&f));
        ASSERT_EQ(f.s->types->len, 1);
        ASSERT_STREQ(type(&f, "nvidia-1428")->product, "H200X");
        ASSERT_EQ(type(&f, "nvidia-1428")->available, 1);
}

static void test_instance(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);

        ASSERT_OK(create(&f, UUID_A, "nvidia-1150"));
        ASSERT_STREQ(f.made->uuid, UUID_A);
        ASSERT_STREQ(f.made->slot, "0000:3d:00.4");
        ASSERT_STREQ(f.made->type_id, "nvidia-1150");
        ASSERT_STREQ(f.reservations->str, "0000:3d:00.4 -;");
        ASSERT_OK(scan(&f));
        ASSERT_EQ(f.s->instances->len, 1);
        const InstanceDesc *d = f.s->instances->pdata[0];
        ASSERT_STREQ(d->uuid, "");
        ASSERT_STREQ(d->slot, "0000:3d:00.4");
        ASSERT_STREQ(d->parent, "0000:3d:00.4");
        ASSERT_STREQ(d->type_id, "nvidia-1150");
        ASSERT_STREQ(d->path, fake_nvidia_vf_path(f.gpu, 0));
        ASSERT_STREQ(d->device_api, "vfio-pci");
        ASSERT_STREQ(d->driver, "nvidia");
        ASSERT_EQ(d->iommu_group, 100);
        ASSERT_STREQ(d->cdev, "vfio0");
        ASSERT_EQ(d->attributes->len, 2); /* vgpu_params is empty */
        ASSERT_STREQ(((const VgpuAttribute *)d->attributes->pdata[0])->name, "placement_id");
        ASSERT_STREQ(((const VgpuAttribute *)d->attributes->pdata[0])->value, "Not Applicable");
}

/* Values that the driver does not report are omitted. */
static void test_unreadable_attributes(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);
        g_autofree char *folder = g_strconcat(fake_nvidia_vf_path(f.gpu, 0), "/nvidia/", NULL);
        g_autofree char *placement = g_strconcat(folder, "placement_id", NULL);
        g_autofree char *instance = g_strconcat(folder, "gpu_instance_id", NULL);

        ASSERT_OK(create(&f, UUID_A, "nvidia-1150"));
        fake_fail(f.k, "read", placement, ENXIO);
        fake_fail(f.k, "read", instance, EIO);
        ASSERT_OK(scan(&f));
        ASSERT_EQ(f.s->instances->len, 1);
        ASSERT_NULL(((const InstanceDesc *)f.s->instances->pdata[0])->attributes);
}

/* A vGPU of 4 GB commits all VFs to 4 GB. */
static void test_homogeneous(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);

        learn(&f);
        ASSERT_OK(create(&f, UUID_A, "nvidia-1150"));
        ASSERT_EQ(available(&f, "nvidia-1150"), 11);
        ASSERT_NOT_NULL(type(&f, "nvidia-1150")->why_not);
        ASSERT_EQ(available(&f, "nvidia-1160"), 11);
        ASSERT_EQ(f.s->types->len, 23);
        ASSERT_EQ(available(&f, "nvidia-1152"), 0);
        ASSERT_STREQ(type(&f, "nvidia-1152")->name, "NVIDIA L40S-8Q");
        ASSERT_EQ(type(&f, "nvidia-1152")->framebuffer_bytes, UINT64_C(8) << 30);
        ASSERT_EQ(type(&f, "nvidia-1152")->hint.id, VGPUD_HINT_DESTROY_INSTANCE);
        ASSERT_ERROR(create(&f, UUID_B, "nvidia-1152"), ENOSPC);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_CHOOSE_OTHER);
        ASSERT_STREQ(f.reservations->str, "0000:3d:00.4 -;"); /* no reservation without a write */

        for (unsigned i = 1; i < 12; i++) {
                g_autofree char *uuid = g_strdup_printf("44444444-0000-4000-8000-0000000000%02u", i);

                ASSERT_EQ(available(&f, "nvidia-1150"), 12 - i);
                ASSERT_OK(create(&f, uuid, i % 2 > 0 ? "nvidia-1160" : "nvidia-1150"));
        }

        ASSERT_EQ(available(&f, "nvidia-1150"), 0);
        ASSERT_NOT_NULL(type(&f, "nvidia-1150")->why_not);
}

/* Without known types and without the library, types of another size are not shown. */
static void test_homogeneous_unknown(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);

        ASSERT_OK(create(&f, UUID_A, "nvidia-1150"));
        ASSERT_EQ(available(&f, "nvidia-1150"), 1);
        ASSERT_NOT_NULL(type(&f, "nvidia-1150")->why_not);
        ASSERT_EQ(available(&f, "nvidia-1152"), -1);
}

/* An idle GPU lists all types except MIG types, so only the known MIG type is added. */
static void test_known_types_idle(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);
        g_autoptr(GPtrArray) known = g_ptr_array_new_with_free_func(type_free);
        VgpuType *slice = vgpu_type_new("nvidia-1414"), *foreign = vgpu_type_new("mdpy-xga");

        slice->mig = true;
        g_ptr_array_add(known, vgpu_type_new("nvidia-999"));
        g_ptr_array_add(known, slice);
        g_ptr_array_add(known, foreign);
        f.t.known_types = known;
        ASSERT_EQ(available(&f, "nvidia-999"), -1);
        ASSERT_EQ(available(&f, "mdpy-xga"), -1);
        ASSERT_EQ(available(&f, "nvidia-1414"), 0);
        ASSERT_EQ(available(&f, "nvidia-1145"), 32);
}

/* The driver lists no types on a full GPU. The types of the instances are shown all the same. */
static void test_full(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);

        ASSERT_OK(create(&f, UUID_A, "nvidia-1155"));
        ASSERT_OK(create(&f, UUID_B, "nvidia-1165"));
        ASSERT_STREQ(f.made->slot, "0000:3d:00.5");
        ASSERT_OK(scan(&f));
        ASSERT_NULL(f.s->unprepared);
        ASSERT_EQ(f.s->types->len, 2);
        ASSERT_STREQ(((const VgpuType *)f.s->types->pdata[0])->id, "nvidia-1155");
        ASSERT_EQ(((const VgpuType *)f.s->types->pdata[0])->available, 0);
        ASSERT_NOT_NULL(((const VgpuType *)f.s->types->pdata[0])->why_not);
        ASSERT_ERROR(create(&f, UUID_C, "nvidia-1155"), ENOSPC);
        ASSERT_EQ(f.e.errnum, 0);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_SEE_KERNEL_LOG);
}

static void test_no_such_type(void)
{
        static const char *const ids[] = { "nvidia-7", "nvidia-0", "nvidia-x", "i915-GVTg_V5_4", "x" };
        _cleanup_fixture_ Fixture f = with_l40s(true);

        for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
                ASSERT_ERROR(create(&f, UUID_A, ids[i]), ENOENT);
                ASSERT_EQ(f.e.code, VGPUD_ERROR_NO_SUCH_TYPE);
        }

        g_autofree char *writes = fake_writes(f.k);
        ASSERT_STREQ(writes, "");
}

static void test_bad_arguments(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);

        ASSERT_ERROR(create(&f, "11111111-0000-4000-8000-00000000000X", "nvidia-1150"), EINVAL);
        ASSERT_ERROR(create_on(&f, UUID_A, "nvidia-1150", "0000:3d:00.0"), EINVAL);
        g_ptr_array_add(f.attributes, vgpu_attribute_new("nvidia/current_vgpu_type", "0"));
        ASSERT_ERROR(create(&f, UUID_A, "nvidia-1150"), EINVAL);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_CHOOSE_OTHER);
        g_ptr_array_set_size(f.attributes, 0);
        g_ptr_array_add(f.attributes, vgpu_attribute_new("vgpu_params", ""));
        ASSERT_ERROR(create(&f, UUID_A, "nvidia-1150"), EINVAL);
}

static void test_parent(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);

        learn(&f);
        ASSERT_OK(create_on(&f, UUID_A, "nvidia-1150", "0000:3d:02.3"));
        ASSERT_STREQ(f.made->slot, "0000:3d:02.3");
        ASSERT_ERROR(create_on(&f, UUID_B, "nvidia-1150", "0000:3d:02.3"), ENOSPC);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_CHOOSE_OTHER);
        ASSERT_OK(create(&f, UUID_B, "nvidia-1150"));
        ASSERT_STREQ(f.made->slot, "0000:3d:02.4"); /* the search starts at the VF of the previous create() */
}

/* The reservation is on disk before the first write, or nothing is written. */
static void test_reserve_fails(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);

        f.reserve_result = -EROFS;
        ASSERT_ERROR(create(&f, UUID_A, "nvidia-1150"), EIO);
        ASSERT_EQ(f.e.errnum, EROFS);
        g_autofree char *writes = fake_writes(f.k);
        ASSERT_STREQ(writes, "");
}

/* Enable VFs, create and destroy with both names of the parameters, disable VFs. */
static void test_life(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(false);

        ASSERT_OK(set_vfs(&f, 32));
        g_ptr_array_add(f.attributes, vgpu_attribute_new("vgpu_params", "disable_vnc=1"));
        ASSERT_OK(create(&f, UUID_A, "nvidia-1150"));
        const VgpuAttribute *a = f.made->attributes->pdata[0];
        ASSERT_STREQ(a->name, "vgpu_params");
        ASSERT_STREQ(a->value, "disable_vnc=1");
        _cleanup_(instance_desc_freep) InstanceDesc *first = instance_desc_copy(f.made);
        g_ptr_array_set_size(f.attributes, 0);
        g_ptr_array_add(f.attributes, vgpu_attribute_new("nvidia/vgpu_params", "frame_rate_limiter=0"));
        ASSERT_OK(create(&f, UUID_B, "nvidia-1160"));
        ASSERT_EQ(destroy(&f, first), 1);
        ASSERT_EQ(destroy(&f, first), 0);
        ASSERT_EQ(destroy(&f, f.made), 1);
        ASSERT_EQ(available(&f, "nvidia-1156"), 1);
        ASSERT_OK(set_vfs(&f, 0));
        check_golden(&f, "life");
}

/* Each errno with which the driver can refuse to set a type. */
static void test_create_errno(void)
{
        static const struct {
                int eno;
                VgpudErrorCode code;
        } table[] = {
                { EINVAL, VGPUD_ERROR_FAILED },   { ERANGE, VGPUD_ERROR_FAILED },
                { EPERM, VGPUD_ERROR_FAILED },    { EBUSY, VGPUD_ERROR_FAILED },
                { EAGAIN, VGPUD_ERROR_FAILED },   { EIO, VGPUD_ERROR_FAILED },
                { ENODEV, VGPUD_ERROR_GPU_GONE }, { ENOENT, VGPUD_ERROR_GPU_GONE },
                { EACCES, VGPUD_ERROR_FAILED },   { EPROTO, VGPUD_ERROR_FAILED },
                { ENOMEM, VGPUD_ERROR_FAILED },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                _cleanup_fixture_ Fixture f = with_l40s(true);
                bool is_of_all = table[i].eno == EACCES || table[i].eno == EPROTO;

                for (unsigned n = 0; n < 32; n++) {
                        g_autofree char *path = current_path(&f, n);

                        fake_fail(f.k, "write", path, table[i].eno);
                }

                ASSERT_TRUE(create(&f, UUID_A, "nvidia-1150") < 0);
                ASSERT_EQ(f.e.code, table[i].code);
                ASSERT_EQ(f.e.errnum, table[i].eno);
                /* The message counts the 3 other VFs that refused, unless the reason concerns all VFs or the
                 * VFs are busy. If they are busy, create() writes to one VF 10 times, with 9 pauses. */
                ASSERT_TRUE((strstr(f.e.message, "; 3 ") != NULL) ==
                            (!is_of_all && table[i].eno != EBUSY && table[i].eno != EAGAIN));
                unsigned pauses = table[i].eno == EBUSY || table[i].eno == EAGAIN ? 9 : 0;
                ASSERT_EQ(fake_count(f.k, "pause"), pauses);
                fake_heal(f.k);
                ASSERT_EQ(available(&f, "nvidia-1150"), 12);
        }
}

/* The plugin of an earlier vGPU keeps the VF busy for two writes. */
static int forgive(FakeKernel *k, const char *path, void *data)
{
        unsigned *times = data;

        return (*times)++ < 2 ? -EBUSY : 0;
}

static void test_create_retries(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);
        g_autofree char *path = current_path(&f, 0);
        unsigned times = 0;

        fake_before(f.k, "write", path, forgive, &times);
        ASSERT_OK(create_on(&f, UUID_A, "nvidia-1150", fake_nvidia_vf_name(f.gpu, 0)));
        ASSERT_EQ(fake_count(f.k, "pause"), 1);
        check_golden(&f, "create-retries");
}

/* If setting the type fails on a VF, the next VF is tried. */
static void test_create_goes_on(void)
{
        static const int errnos[] = { EINVAL, ERANGE, EPERM, EBUSY, EAGAIN, EIO, ENODEV, ENOENT, ENOMEM };

        for (size_t i = 0; i < G_N_ELEMENTS(errnos); i++) {
                _cleanup_fixture_ Fixture f = with_l40s(true);
                g_autofree char *first = current_path(&f, 0), *second = current_path(&f, 1);

                fake_fail(f.k, "write", first, errnos[i]);
                fake_fail(f.k, "write", second, EIO);
                ASSERT_OK(create(&f, UUID_A, "nvidia-1150"));
                ASSERT_STREQ(f.made->slot, fake_nvidia_vf_name(f.gpu, 2));
                ASSERT_STREQ(f.reservations->str, "0000:3d:00.4 -;0000:3d:00.5 -;0000:3d:00.6 -;");
                ASSERT_EQ(fake_count(f.k, "pause"), 0);
                /* If the caller names a VF, no other VF is tried. */
                ASSERT_TRUE(create_on(&f, UUID_B, "nvidia-1150", "0000:3d:00.5") < 0);
                ASSERT_EQ(f.e.errnum, EIO);
        }
}

/* The first VF is busy, the second refuses, and the others are not ready: vgpud waits for the busy VF. */
static void test_create_waits_for_the_last(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);
        g_autofree char *first = current_path(&f, 0), *second = current_path(&f, 1);
        unsigned times = 0;

        for (unsigned n = 2; n < 32; n++)
                fake_nvidia_unready(f.gpu, n, "nvidia");
        fake_before(f.k, "write", first, forgive, &times);
        fake_fail(f.k, "write", second, EIO);
        ASSERT_OK(create(&f, UUID_A, "nvidia-1150"));
        ASSERT_STREQ(f.made->slot, "0000:3d:00.4");
        ASSERT_STREQ(f.reservations->str, "0000:3d:00.4 -;0000:3d:00.5 -;0000:3d:00.4 -;");
        ASSERT_EQ(fake_count(f.k, "pause"), 1);
}

/* Other programs take the room during the write: the driver's EIO then means a lack of capacity. */
static int take_room(FakeKernel *k, const char *path, void *data)
{
        fake_nvidia_set(data, 5, 1155);
        fake_nvidia_set(data, 6, 1155);
        return 0;
}

static void test_create_races_capacity(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);
        g_autofree char *path = current_path(&f, 0);

        fake_before(f.k, "write", path, take_room, f.gpu);
        ASSERT_ERROR(create(&f, UUID_A, "nvidia-1155"), ENOSPC);
        ASSERT_EQ(f.e.errnum, EIO);
}

/* Another program sets a type on the VF first, so the driver answers EPERM; that vGPU stays. */
static int take_function(FakeKernel *k, const char *path, void *data)
{
        fake_nvidia_set(data, 0, 1160);
        return 0;
}

static void test_create_races_function(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);
        g_autofree char *path = current_path(&f, 0);

        learn(&f);
        fake_before(f.k, "write", path, take_function, f.gpu);
        ASSERT_ERROR(create_on(&f, UUID_A, "nvidia-1150", "0000:3d:00.4"), EIO);
        ASSERT_EQ(f.e.errnum, EPERM);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_NONE);
        ASSERT_EQ(available(&f, "nvidia-1150"), 11);
        fake_nvidia_set(f.gpu, 0, 0);
        ASSERT_OK(create(&f, UUID_A, "nvidia-1150"));
        ASSERT_STREQ(f.made->slot, "0000:3d:00.5");
        ASSERT_EQ(available(&f, "nvidia-1150"), 10);
}

/* The write succeeds, but the driver still shows no type: create() fails. */
static int say_yes(FakeKernel *k, const char *path, void *data, char **ret)
{
        *ret = g_strdup("0\n");
        return 0;
}

static int do_nothing(FakeKernel *k, const char *path, void *data, const char *value)
{
        return 0;
}

static void test_create_lies(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);
        g_autofree char *path = current_path(&f, 0);

        fake_add_attribute(f.k, path, say_yes, do_nothing, NULL);
        ASSERT_ERROR(create(&f, UUID_A, "nvidia-1150"), EIO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_NONE);
}

/* The writer died after write(2): the type is set, so create() succeeds. */
static void test_writer_dies(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);
        g_autofree char *path = current_path(&f, 0);

        fake_fail_after(f.k, "write", path, EPROTO);
        ASSERT_OK(create(&f, UUID_A, "nvidia-1150"));
        ASSERT_EQ(destroy(&f, f.made), 1);
}

static void test_attribute_rollback(void)
{
        static const struct {
                int eno, result;
        } table[] = {
                { E2BIG, EINVAL }, { EPERM, EIO }, { EINVAL, EINVAL }, { ENXIO, EIO }, { EIO, EIO },
        };
        _cleanup_fixture_ Fixture f = with_l40s(true);
        g_autofree char *path = g_strconcat(fake_nvidia_vf_path(f.gpu, 0), "/nvidia/vgpu_params", NULL);

        g_ptr_array_add(f.attributes, vgpu_attribute_new("vgpu_params", "nonsense"));

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                fake_fail(f.k, "write", path, table[i].eno);
                ASSERT_ERROR(create(&f, UUID_A, "nvidia-1150"), table[i].result);
                ASSERT_EQ(f.e.errnum, table[i].eno);
        }

        fake_remove(f.k, path);
        fake_heal(f.k);
        ASSERT_ERROR(create(&f, UUID_A, "nvidia-1150"), EINVAL);
        ASSERT_EQ(f.e.errnum, ENOENT);
        ASSERT_EQ(available(&f, "nvidia-1150"), 12);
        check_golden(&f, "rollback");
}

static int drop_parameters(FakeKernel *k, const char *path, void *data)
{
        fake_add_file(k, path, "disable_vnc=\n");

        return 0;
}

/* A create fails if the driver does not keep a value. */
static void test_attribute_read_back(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);
        g_autofree char *path = g_strconcat(fake_nvidia_vf_path(f.gpu, 0), "/nvidia/vgpu_params", NULL);

        g_ptr_array_add(f.attributes, vgpu_attribute_new("vgpu_params", "disable_vnc=1"));
        fake_before(f.k, "read", path, drop_parameters, NULL);
        ASSERT_ERROR(create(&f, UUID_A, "nvidia-1150"), EIO);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_FAILED);
        fake_heal(f.k);
        ASSERT_EQ(available(&f, "nvidia-1150"), 12);
        ASSERT_OK(create(&f, UUID_A, "nvidia-1150"));
}

/* The driver refuses the parameters, and the rollback fails too, because the plugin does not end. */
static void test_inconsistent(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);
        g_autofree char *path = g_strconcat(fake_nvidia_vf_path(f.gpu, 0), "/nvidia/vgpu_params", NULL);

        g_ptr_array_add(f.attributes, vgpu_attribute_new("vgpu_params", "nonsense"));
        fake_fail(f.k, "write", path, EINVAL);
        f.gpu->plugin_pauses = 100;
        ASSERT_ERROR(create(&f, UUID_A, "nvidia-1150"), ENOTRECOVERABLE);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_INCONSISTENT);
        ASSERT_EQ(f.e.errnum, EINVAL);
}

/* destroy */

static void test_in_use(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);

        learn(&f);
        ASSERT_OK(create(&f, UUID_A, "nvidia-1150"));
        fake_hold_node(f.k, fake_nvidia_node(f.gpu, 0), 4711, "qemu-system-x86");
        ASSERT_ERROR(destroy(&f, f.made), EBUSY);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_IN_USE);
        ASSERT_CONTAINS(f.e.message, "process 4711 (qemu-system-x86) has /dev/vfio/100 open");
        ASSERT_EQ(available(&f, "nvidia-1150"), 11);
        fake_hold_node(f.k, fake_nvidia_node(f.gpu, 0), 0, NULL);
        ASSERT_EQ(destroy(&f, f.made), 1);
}

/* The plugin ends a moment after its VM. vgpud retries, and keeps the group open so that no other program
 * can open the device. */
static void test_destroy_waits(void)
{
        static const int errnos[] = { EBUSY, EPERM };

        for (size_t i = 0; i < G_N_ELEMENTS(errnos); i++) {
                _cleanup_fixture_ Fixture f = with_l40s(true);

                ASSERT_OK(create(&f, UUID_A, "nvidia-1150"));
                f.gpu->plugin_errno = errnos[i];
                f.gpu->plugin_pauses = 2;
                ASSERT_EQ(destroy(&f, f.made), 1);
                ASSERT_EQ(fake_count(f.k, "pause"), 2);
                ASSERT_FALSE(fake_node_is_kept(f.k, fake_nvidia_node(f.gpu, 0)));
                check_golden(&f, i == 0 ? "destroy-busy" : "destroy-perm");
        }
}

static void test_destroy_errno(void)
{
        static const struct {
                int eno;
                VgpudErrorCode code;
                unsigned pauses;
        } table[] = {
                { EBUSY, VGPUD_ERROR_IN_USE, 9 },  { EPERM, VGPUD_ERROR_IN_USE, 9 },
                { EIO, VGPUD_ERROR_FAILED, 0 },    { ENODEV, VGPUD_ERROR_FAILED, 0 },
                { EINVAL, VGPUD_ERROR_FAILED, 0 }, { EPROTO, VGPUD_ERROR_FAILED, 0 },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                _cleanup_fixture_ Fixture f = with_l40s(true);
                g_autofree char *path = current_path(&f, 0);

                ASSERT_OK(create(&f, UUID_A, "nvidia-1150"));
                fake_fail(f.k, "write", path, table[i].eno);
                ASSERT_TRUE(destroy(&f, f.made) < 0);
                ASSERT_EQ(f.e.code, table[i].code);
                ASSERT_EQ(f.e.errnum, table[i].eno);
                ASSERT_EQ(fake_count(f.k, "pause"), table[i].pauses);
        }
}

static int show_1150(FakeKernel *k, const char *path, void *data, char **ret)
{
        *ret = g_strdup("1150\n");
        return 0;
}

static void test_destroy_lies(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);
        g_autofree char *path = current_path(&f, 0);

        ASSERT_OK(create(&f, UUID_A, "nvidia-1150"));
        fake_add_attribute(f.k, path, show_1150, do_nothing, NULL);
        ASSERT_ERROR(destroy(&f, f.made), EIO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_NONE);
}

/* Another program has set another type on the VF after the create. */
static void test_destroy_foreign(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);

        ASSERT_OK(create(&f, UUID_A, "nvidia-1150"));
        fake_nvidia_set(f.gpu, 0, 1160);
        ASSERT_ERROR(destroy(&f, f.made), EPERM);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_FOREIGN);
}

static void test_destroy_gone(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);

        ASSERT_OK(create(&f, UUID_A, "nvidia-1150"));
        fake_nvidia_enable(f.gpu, false);
        ASSERT_EQ(destroy(&f, f.made), 0);
}

/* Not ready */

static void test_not_enabled(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(false);
        g_autoptr(GPtrArray) known = g_ptr_array_new_with_free_func(type_free);

        ASSERT_OK(scan(&f));
        ASSERT_EQ(f.s->hint.id, VGPUD_HINT_ENABLE_VFS);
        ASSERT_EQ(f.s->types->len, 0);
        ASSERT_ERROR(create(&f, UUID_A, "nvidia-1150"), EOPNOTSUPP);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_ENABLE_VFS);
        /* Known types come from an earlier scan. */
        g_ptr_array_add(known, vgpu_type_new("nvidia-1150"));
        f.t.known_types = known;
        ASSERT_EQ(available(&f, "nvidia-1150"), 0);
        ASSERT_STREQ(type(&f, "nvidia-1150")->why_not, f.s->unprepared);
        /* The hint is the same with the library. */
        fake_nvidia_add_nvml(f.gpu);
        ASSERT_OK(scan(&f));
        ASSERT_EQ(f.s->hint.id, VGPUD_HINT_ENABLE_VFS);
        ASSERT_CONTAINS(f.s->hint.text, "0000:3d:00.0");
}

static void test_not_ready(void)
{
        static const struct {
                const char *driver;
        } table[] = { { "nvidia" }, { "vfio-pci" }, { NULL } };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                _cleanup_fixture_ Fixture f = with_l40s(true);

                for (unsigned n = 0; n < 32; n++)
                        fake_nvidia_unready(f.gpu, n, table[i].driver);
                ASSERT_OK(scan(&f));
                ASSERT_EQ(f.s->hint.id, VGPUD_HINT_LOAD_DRIVER);
                ASSERT_ERROR(create(&f, UUID_A, "nvidia-1150"), EOPNOTSUPP);
        }
}

/* Only ready VFs count. */
static void test_some_ready(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);

        for (unsigned n = 0; n < 30; n++)
                fake_nvidia_unready(f.gpu, n, n % 2 > 0 ? "nvidia" : "vfio-pci");
        ASSERT_EQ(available(&f, "nvidia-1150"), 2);
        ASSERT_NULL(f.s->unprepared);
        ASSERT_OK(create(&f, UUID_A, "nvidia-1150"));
        ASSERT_STREQ(f.made->slot, fake_nvidia_vf_name(f.gpu, 30));
}

/* Checks that a scan leaves out the VF and names it in a problem. */
static void check_left_out(Fixture *f, const char *vf, guint n_instances)
{
        ASSERT_OK(scan(f));
        ASSERT_EQ(f->s->instances->len, n_instances);
        ASSERT_EQ(f->s->problems->len, 1);
        ASSERT_TRUE(gpu_snapshot_is_unread(f->s, vf));
        ASSERT_FALSE(gpu_snapshot_is_unread(f->s, fake_nvidia_vf_name(f->gpu, 0)));
        ASSERT_CONTAINS(((const VgpuProblem *)f->s->problems->pdata[0])->text, vf);
        ASSERT_EQ(((const VgpuProblem *)f->s->problems->pdata[0])->hint.id, VGPUD_HINT_SEE_KERNEL_LOG);
        ASSERT_NULL(f->s->unprepared);
}

/* One VF that cannot be read hides neither the instances nor the room of the others. */
static void test_unreadable_vf(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);
        g_autofree char *path = current_path(&f, 7);
        const char *vf = fake_nvidia_vf_name(f.gpu, 7);

        learn(&f);
        ASSERT_OK(create(&f, UUID_A, "nvidia-1150"));
        _cleanup_(instance_desc_freep) InstanceDesc *first = instance_desc_copy(f.made);
        fake_fail(f.k, "read", path, EIO);
        check_left_out(&f, vf, 1);
        ASSERT_EQ(type(&f, "nvidia-1150")->available, 11);
        ASSERT_OK(create(&f, UUID_B, "nvidia-1150"));
        check_left_out(&f, vf, 2);
        ASSERT_EQ(destroy(&f, first), 1);
        check_left_out(&f, vf, 1);
        fake_heal(f.k);
        fake_remove(f.k, path);
        fake_add_file(f.k, path, "Not Applicable\n");
        check_left_out(&f, vf, 1);
        fake_fail(f.k, "read", path, ENODEV);
        ASSERT_OK(scan(&f));
        ASSERT_EQ(f.s->problems->len, 0);
}

/* An instance on a VF with other unreadable files is left out, too. */
static void test_unreadable_instance(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);
        g_autofree char *group = g_strconcat(fake_nvidia_vf_path(f.gpu, 7), "/iommu_group", NULL);

        fake_nvidia_set(f.gpu, 7, 1150);
        fake_nvidia_set(f.gpu, 8, 1150);
        fake_fail(f.k, "link", group, EIO);
        check_left_out(&f, fake_nvidia_vf_name(f.gpu, 7), 1);
}

/* Without ACS, the VFs are in the IOMMU group of their GPU, so no VM can use them. */
static void test_shared_group(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);
        g_autofree char *pf = g_strconcat("bus/pci/devices/", f.gpu->name, NULL);

        learn(&f);
        fake_add_link(f.k, pf, f.gpu->path);

        for (unsigned n = 0; n < 31; n++) {
                g_autofree char *member =
                                g_strdup_printf("kernel/iommu_groups/%u/devices/%s", 100 + n, f.gpu->name);

                fake_add_link(f.k, member, f.gpu->path);
        }

        /* One VF is isolated. */
        ASSERT_EQ(available(&f, "nvidia-1150"), 1);
        ASSERT_EQ(f.s->problems->len, 1);
        ASSERT_OK(create(&f, UUID_A, "nvidia-1150"));
        ASSERT_STREQ(f.made->slot, fake_nvidia_vf_name(f.gpu, 31));
        ASSERT_EQ(available(&f, "nvidia-1150"), 0);
        ASSERT_EQ(type(&f, "nvidia-1150")->hint.id, VGPUD_HINT_ENABLE_ACS);
        ASSERT_CONTAINS(type(&f, "nvidia-1150")->why_not, f.gpu->name);
        ASSERT_ERROR(create(&f, UUID_B, "nvidia-1150"), EOPNOTSUPP);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_UNSUPPORTED);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_ENABLE_ACS);
        ASSERT_ERROR(create_on(&f, UUID_B, "nvidia-1150", fake_nvidia_vf_name(f.gpu, 0)), EOPNOTSUPP);
}

/* Every VF shares its IOMMU group with the GPU. The GPU is prepared, and why_not says why it has no room. */
static void test_shared_groups(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);
        g_autofree char *pf = g_strconcat("bus/pci/devices/", f.gpu->name, NULL);

        fake_add_link(f.k, pf, f.gpu->path);

        for (unsigned n = 0; n < 32; n++) {
                g_autofree char *member =
                                g_strdup_printf("kernel/iommu_groups/%u/devices/%s", 100 + n, f.gpu->name);

                fake_add_link(f.k, member, f.gpu->path);
        }

        ASSERT_EQ(available(&f, "nvidia-1150"), 0);
        ASSERT_NULL(f.s->unprepared);
        ASSERT_EQ(type(&f, "nvidia-1150")->hint.id, VGPUD_HINT_ENABLE_ACS);
        ASSERT_ERROR(create(&f, UUID_A, "nvidia-1150"), EOPNOTSUPP);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_ENABLE_ACS);
        g_autofree char *writes = fake_writes(f.k);
        ASSERT_STREQ(writes, "");
}

static void test_unreadable_vfs(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);

        for (unsigned n = 0; n < 32; n++) {
                g_autofree char *path = current_path(&f, n);

                fake_fail(f.k, "read", path, EIO);
        }

        ASSERT_ERROR(scan(&f), EIO);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_FAILED);
        ASSERT_EQ(f.e.errnum, EIO);
}

static void test_gone(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);

        fake_nvidia_enable(f.gpu, false);
        ASSERT_OK(scan(&f)); /* stale facts */
        ASSERT_EQ(f.s->hint.id, VGPUD_HINT_ENABLE_VFS);
        fake_remove(f.k, f.gpu->path);
        ASSERT_ERROR(scan(&f), ENOLINK);
        ASSERT_ERROR(create(&f, UUID_A, "nvidia-1150"), ENOLINK);
}

/* sriov-manage */

static void test_sriov_failure(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(false);

        f.gpu->sriov_failures = 2;
        ASSERT_OK(set_vfs(&f, 32));
        ASSERT_EQ(fake_count(f.k, "pause"), 2);
        ASSERT_OK(set_vfs(&f, 0));
        f.gpu->sriov_failures = 100;
        ASSERT_ERROR(set_vfs(&f, 32), EIO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_STOP_USER);
        check_golden(&f, "sriov-failure");
}

/* vgpud waits until the vGPU manager has taken the new VFs, but not for ever. */
static void test_sriov_manager(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(false);

        f.gpu->manager_pauses = 3;
        ASSERT_OK(set_vfs(&f, 32));
        ASSERT_EQ(fake_count(f.k, "pause"), 3);
        ASSERT_EQ(available(&f, "nvidia-1150"), 12);
        ASSERT_OK(set_vfs(&f, 0));
        ASSERT_EQ(fake_count(f.k, "pause"), 3);
        f.gpu->manager_pauses = 100;
        ASSERT_OK(set_vfs(&f, 32));
        ASSERT_EQ(fake_count(f.k, "pause"), 3 + 10); /* vgpud gives up after 10 */
        ASSERT_OK(scan(&f));
        ASSERT_EQ(f.s->hint.id, VGPUD_HINT_LOAD_DRIVER);
}

static void test_sriov_missing(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(false);

        f.gpu->sriov_missing = true;
        ASSERT_ERROR(set_vfs(&f, 32), EOPNOTSUPP);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_LOAD_DRIVER);
        f.gpu->sriov_unit_missing = true;
        ASSERT_ERROR(set_vfs(&f, 32), EOPNOTSUPP);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_LOAD_DRIVER);
        fake_set_program(f.k, VGPU_PROGRAM_SYSTEMCTL, NULL, NULL);
        ASSERT_ERROR(set_vfs(&f, 32), EOPNOTSUPP);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_LOAD_DRIVER);
        ASSERT_EQ(fake_count(f.k, "pause"), 0);
}

/* Another program runs sriov-manage: for some seconds the GPU has driver pci-pf-stub or none, while the facts
 * still say nvidia. Nothing is written, and the VFs keep their drivers. */
static void test_sriov_of_somebody_else(void)
{
        static const char *const drivers[] = { "bus/pci/drivers/pci-pf-stub", NULL };

        for (size_t i = 0; i < G_N_ELEMENTS(drivers); i++) {
                _cleanup_fixture_ Fixture f = with_l40s(false);
                g_autofree char *link = g_strconcat(f.gpu->path, "/driver", NULL);
                g_autofree char *autoprobe = g_strconcat(f.gpu->path, "/sriov_drivers_autoprobe", NULL);

                fake_add_file(f.k, autoprobe, "1\n");
                fake_remove(f.k, link);

                if (drivers[i])
                        fake_add_link(f.k, link, drivers[i]);
                ASSERT_ERROR(set_vfs(&f, 4), EBUSY);
                ASSERT_EQ(f.e.hint.id, VGPUD_HINT_STOP_OTHER_TOOL);
                ASSERT_ERROR(set_vfs(&f, 32), EBUSY);
                ASSERT_ERROR(set_vfs(&f, 0), EBUSY);
                g_autofree char *writes = fake_writes(f.k);
                ASSERT_STREQ(writes, "");
        }
}

/* VFs cannot be disabled while a VF carries a vGPU. */
static void test_sriov_in_use(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);

        ASSERT_OK(create(&f, UUID_A, "nvidia-1150"));
        ASSERT_ERROR(set_vfs(&f, 0), EBUSY);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_IN_USE);
        ASSERT_EQ(fake_count(f.k, "run"), 0);
}

/* The library */

static void test_nvml_details(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);

        fake_nvidia_add_nvml(f.gpu);
        ASSERT_OK(create(&f, UUID_A, "nvidia-1150"));
        ASSERT_EQ(fake_count(f.k, "run"), 0); /* create() does not query the library */
        ASSERT_OK(scan(&f));
        ASSERT_EQ(fake_count(f.k, "run"), 1);
        ASSERT_EQ(f.s->types->len, 23);
        const VgpuType *t = type(&f, "nvidia-1152");
        ASSERT_STREQ(t->name, "NVIDIA L40S-8Q");
        ASSERT_STREQ(t->class, "Q");
        ASSERT_EQ(t->heads, 4);
        ASSERT_EQ(t->max_x, 7680);
        ASSERT_EQ(t->frame_rate_limit, 60);
        ASSERT_EQ(t->max_instances, 6);
        ASSERT_EQ(f.s->memory_bytes, (uint64_t)48 << 30);
        ASSERT_EQ(t->available, 0);
        ASSERT_EQ(t->hint.id, VGPUD_HINT_DESTROY_INSTANCE);
        ASSERT_STREQ(mode(&f, "heterogeneous"), "no");
        ASSERT_STREQ(mode(&f, "mig"), "no");
}

static void test_nvml_broken(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);

        fake_nvidia_add_nvml(f.gpu);
        f.gpu->nvml_knows_nothing = true;
        ASSERT_EQ(available(&f, "nvidia-1150"), 12);
        ASSERT_EQ(f.s->modes->len, 0);
        fake_fail(f.k, "run", "nvml", ENOENT);
        ASSERT_EQ(available(&f, "nvidia-1150"), 12);
}

static void test_heterogeneous(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);

        fake_nvidia_add_nvml(f.gpu);
        ASSERT_OK(configure(&f, "heterogeneous", "yes"));
        ASSERT_OK(create(&f, UUID_A, "nvidia-1150"));
        ASSERT_EQ(available(&f, "nvidia-1152"), 5);
        ASSERT_STREQ(mode(&f, "heterogeneous"), "yes");
        ASSERT_OK(create(&f, UUID_B, "nvidia-1152"));
        ASSERT_EQ(available(&f, "nvidia-1150"), 9);
        ASSERT_EQ(available(&f, "nvidia-1155"), 1);
        ASSERT_EQ(available(&f, "nvidia-1156"), 0);
        ASSERT_NOT_NULL(type(&f, "nvidia-1156")->why_not);
        check_golden(&f, "heterogeneous");

        ASSERT_ERROR(configure(&f, "heterogeneous", "no"), EBUSY);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_IN_USE);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_DESTROY_INSTANCE);
}

static void test_heterogeneous_order(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(false);

        fake_nvidia_add_nvml(f.gpu);
        ASSERT_ERROR(configure(&f, "heterogeneous", "yes"), EOPNOTSUPP);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_ENABLE_VFS);
        ASSERT_ERROR(configure(&f, "heterogeneous", "maybe"), EINVAL);
        ASSERT_ERROR(configure(&f, "NPS", "yes"), EINVAL);
}

static void test_mig(void)
{
        _cleanup_fixture_ Fixture f = with_h200(true);

        fake_nvidia_add_nvml(f.gpu);
        ASSERT_EQ(available(&f, "nvidia-1414"), 0);
        ASSERT_TRUE(type(&f, "nvidia-1414")->mig);
        ASSERT_EQ(type(&f, "nvidia-1414")->hint.id, VGPUD_HINT_CONFIGURE_GPU);
        ASSERT_ERROR(configure(&f, "mig", "yes"), EBUSY);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_DISABLE_VFS);
        ASSERT_OK(set_vfs(&f, 0));
        ASSERT_OK(configure(&f, "mig", "yes"));
        ASSERT_OK(scan(&f));
        ASSERT_STREQ(mode(&f, "mig"), "yes");
        ASSERT_OK(set_vfs(&f, 16));
        ASSERT_EQ(available(&f, "nvidia-1414"), 0);
        ASSERT_NULL(f.s->unprepared); /* GPU instances may be created at any time */
        ASSERT_EQ(type(&f, "nvidia-1414")->hint.id, VGPUD_HINT_CONFIGURE_GPU);
        ASSERT_ERROR(create(&f, UUID_A, "nvidia-1414"), ENOSPC);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_CONFIGURE_GPU);
        f.gpu->gpu_instances = 2;
        ASSERT_OK(create(&f, UUID_A, "nvidia-1414"));
        ASSERT_EQ(available(&f, "nvidia-1414"), 1);
        ASSERT_NOT_NULL(type(&f, "nvidia-1414")->why_not);
        ASSERT_NOT_NULL(type(&f, "nvidia-1428")->why_not);
        ASSERT_OK(create(&f, UUID_B, "nvidia-1414"));
        ASSERT_EQ(available(&f, "nvidia-1414"), 0);
        ASSERT_EQ(type(&f, "nvidia-1414")->hint.id, VGPUD_HINT_CONFIGURE_GPU);
}

/* If the number of GPU instances is unknown, one is available when the driver offers the type. */
static void test_mig_unknown(void)
{
        _cleanup_fixture_ Fixture f = with_h200(false);

        fake_nvidia_add_nvml(f.gpu);
        f.gpu->nvml_hides_gpu_instances = true;
        f.gpu->gpu_instances = 3;
        ASSERT_OK(configure(&f, "mig", "yes"));
        ASSERT_OK(set_vfs(&f, 16));
        ASSERT_EQ(available(&f, "nvidia-1414"), 1);
        ASSERT_NOT_NULL(type(&f, "nvidia-1414")->why_not);
        ASSERT_OK(create(&f, UUID_A, "nvidia-1414"));
        ASSERT_EQ(available(&f, "nvidia-1414"), 1);
}

/* Setting the current value succeeds even if a change would be refused. */
static void test_mode_is_set_already(void)
{
        _cleanup_fixture_ Fixture f = with_h200(true), g = with_l40s(true);

        fake_nvidia_add_nvml(f.gpu);
        ASSERT_OK(configure(&f, "mig", "no"));
        ASSERT_OK(set_vfs(&f, 0));
        ASSERT_OK(configure(&f, "mig", "yes"));
        ASSERT_OK(set_vfs(&f, 16));
        ASSERT_OK(configure(&f, "mig", "yes"));
        ASSERT_ERROR(configure(&f, "mig", "no"), EBUSY);
        f.gpu->mig_pending = false; /* MIG mode would end at the next reset, so "yes" is a change */
        ASSERT_ERROR(configure(&f, "mig", "yes"), EBUSY);

        fake_nvidia_add_nvml(g.gpu);
        ASSERT_OK(configure(&g, "heterogeneous", "yes"));
        ASSERT_OK(create(&g, UUID_A, "nvidia-1150"));
        ASSERT_OK(configure(&g, "heterogeneous", "yes"));
        ASSERT_ERROR(configure(&g, "heterogeneous", "no"), EBUSY);
        g_autofree char *writes = fake_writes(g.k);
        const char *set = strstr(writes, "run nvml set-");
        ASSERT_NOT_NULL(set);
        ASSERT_NULL(strstr(set + 1, "run nvml set-"));
}

/* If the library accepts the mode only for the next reset, configure() fails with the hint to reset the GPU. */
static void test_mig_pending(void)
{
        static const struct {
                int activation; /* nvmlReturn_t of the activation; 49: VGPUD_NVML_OTHER_CODE */
                VgpudErrorCode code;
        } table[] = {
                { 16, VGPUD_ERROR_FAILED },
                { 3, VGPUD_ERROR_FAILED },
                { 19, VGPUD_ERROR_IN_USE },
                { 49, VGPUD_ERROR_FAILED },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                _cleanup_fixture_ Fixture f = with_h200(false);

                fake_nvidia_add_nvml(f.gpu);
                f.gpu->nvml_activation = table[i].activation;
                ASSERT_TRUE(configure(&f, "mig", "yes") < 0);
                ASSERT_EQ(f.e.code, table[i].code);
                ASSERT_EQ(f.e.hint.id, VGPUD_HINT_RESET_GPU);
                ASSERT_OK(scan(&f));
                ASSERT_STREQ(mode(&f, "mig"), "no");
                ASSERT_NOT_NULL(((const VgpuMode *)f.s->modes->pdata[1])->help);
                f.gpu->nvml_activation = 0;
                ASSERT_OK(configure(&f, "mig", "no"));
                ASSERT_FALSE(f.gpu->mig_pending);
        }
}

static void test_mode_errno(void)
{
        static const struct {
                int nvml; /* exit status of vgpud-nvml (nvml-text.h); below 49: nvmlReturn_t */
                VgpudErrorCode code;
                VgpudHintId hint;
        } table[] = {
                { 3, VGPUD_ERROR_UNSUPPORTED, VGPUD_HINT_NONE },
                { 13, VGPUD_ERROR_UNSUPPORTED, VGPUD_HINT_NONE },
                { 100, VGPUD_ERROR_UNSUPPORTED, VGPUD_HINT_LOAD_DRIVER },
                { 9, VGPUD_ERROR_FAILED, VGPUD_HINT_SEE_JOURNAL },
                { 15, VGPUD_ERROR_GPU_GONE, VGPUD_HINT_NONE },
                { 19, VGPUD_ERROR_IN_USE, VGPUD_HINT_STOP_USER },
                { 16, VGPUD_ERROR_FAILED, VGPUD_HINT_RESET_GPU },
                { 30, VGPUD_ERROR_FAILED, VGPUD_HINT_SEE_JOURNAL },
                { 49, VGPUD_ERROR_FAILED, VGPUD_HINT_SEE_JOURNAL },
                { 128 + SIGSEGV, VGPUD_ERROR_FAILED, VGPUD_HINT_SEE_JOURNAL },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                _cleanup_fixture_ Fixture f = with_l40s(true);

                fake_nvidia_add_nvml(f.gpu);
                f.gpu->nvml_set_code = table[i].nvml;
                ASSERT_TRUE(configure(&f, "heterogeneous", "yes") < 0);
                ASSERT_EQ(f.e.code, table[i].code);
                ASSERT_EQ(f.e.hint.id, table[i].hint);
        }
}

/* The error names the process or the module that keeps the GPU open. The node of the GPU is nvidia3; nvidia4 is
 * the node of another GPU. */
static void test_mode_holder(void)
{
        static const struct {
                const char *node; /* held; NULL: none */
                bool drm;         /* nvidia_drm is loaded */
                const char *names[3];
        } table[] = {
                { "nvidia3", false, { "4242", "nvidia-persiste", "/dev/nvidia3" } },
                { "nvidia3", true, { "4242", "/dev/nvidia3" } },
                { "dri/card7", true, { "4242", "/dev/dri/card7" } },
                { NULL, true, { "nvidia_drm" } },
                { "nvidia4", false, { NULL } },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                for (int pending = 0; pending <= 1; pending++) {
                        _cleanup_fixture_ Fixture f = with_h200(false);

                        fake_nvidia_add_nvml(f.gpu);
                        g_autofree char *card = g_strconcat(f.gpu->path, "/drm/card7", NULL);
                        fake_add_directory(f.k, card);
                        fake_add_node(f.k, "nvidia3");
                        fake_add_node(f.k, "nvidia4");
                        fake_add_node(f.k, "dri/card7");
                        if (table[i].node)
                                fake_hold_node(f.k, table[i].node, 4242, "nvidia-persiste");
                        if (table[i].drm)
                                fake_add_directory(f.k, "module/nvidia_drm");

                        *(pending ? &f.gpu->nvml_activation : &f.gpu->nvml_set_code) = 19;
                        ASSERT_ERROR(configure(&f, "mig", "yes"), EBUSY);
                        ASSERT_EQ(f.e.code, VGPUD_ERROR_IN_USE);
                        ASSERT_EQ(f.e.hint.id, pending ? VGPUD_HINT_RESET_GPU : VGPUD_HINT_STOP_USER);
                        ASSERT_EQ(!strstr(f.e.message, "4242"), !table[i].names[0] || !table[i].node);
                        for (size_t n = 0; n < G_N_ELEMENTS(table[i].names) && table[i].names[n]; n++)
                                ASSERT_CONTAINS(f.e.message, table[i].names[n]);
                        if (table[i].drm && !pending)
                                ASSERT_CONTAINS(f.e.hint.text, "rmmod nvidia_drm");
                }
        }
}

/* sriov-manage fails because a program has the GPU open. */
static void test_sriov_holder(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(false);

        fake_nvidia_add_nvml(f.gpu);
        fake_add_node(f.k, "nvidia3");
        fake_hold_node(f.k, "nvidia3", 4242, "Xorg");
        fake_add_directory(f.k, "module/nvidia_drm");
        f.gpu->sriov_failures = 100;
        ASSERT_ERROR(set_vfs(&f, 32), EIO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_STOP_USER);
        ASSERT_CONTAINS(f.e.message, "4242");
        ASSERT_CONTAINS(f.e.message, "/dev/nvidia3");
        ASSERT_CONTAINS(f.e.hint.text, "nvidia_drm");
}

/* NVIDIA's driver without the vGPU manager: the library lists no types, so vgpud does not run sriov-manage. */
static void test_sriov_no_manager(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(false);

        fake_nvidia_add_nvml(f.gpu);
        f.gpu->nvml_knows_nothing = true;
        fake_remove(f.k, "module/nvidia_vgpu_vfio");
        ASSERT_OK(scan(&f));
        ASSERT_EQ(f.s->hint.id, VGPUD_HINT_LOAD_DRIVER);
        ASSERT_ERROR(set_vfs(&f, 32), EOPNOTSUPP);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_LOAD_DRIVER);
        ASSERT_OK(set_vfs(&f, 0));
        g_autofree char *writes = fake_writes(f.k);
        ASSERT_NULL(strstr(writes, "run systemctl"));
}

static void test_mode_lies(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);

        fake_nvidia_add_nvml(f.gpu);
        f.gpu->nvml_set_does_nothing = true;
        ASSERT_ERROR(configure(&f, "heterogeneous", "yes"), EIO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_NONE);
}

/* vgpud lacks the permission to set the mode, so systemd starts vgpud-nvml as a unit. */
static void test_mode_by_unit(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);

        fake_nvidia_add_nvml(f.gpu);
        f.gpu->nvml_set_needs_unit = true;
        ASSERT_OK(configure(&f, "heterogeneous", "yes"));
        check_golden(&f, "mode-by-unit");
        f.gpu->nvml_set_code = 19;
        ASSERT_ERROR(configure(&f, "heterogeneous", "no"), EBUSY);
        fake_set_program(f.k, VGPU_PROGRAM_SYSTEMCTL, NULL, NULL);
        ASSERT_ERROR(configure(&f, "heterogeneous", "no"), EIO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_SEE_JOURNAL);
}

/* ExecMainStatus may be the number of a signal, or a status of systemd from 200 on. vgpud must not take
 * either for a code of NVML. */
static void test_mode_unit_is_killed(void)
{
        static const struct {
                int code, status;
        } table[] = {
                { CLD_KILLED, SIGTERM }, /* not NVML_ERROR_GPU_IS_LOST */
                { CLD_KILLED, SIGKILL }, /* not NVML_ERROR_DRIVER_NOT_LOADED */
                { CLD_DUMPED, SIGILL },  /* not NVML_ERROR_NO_PERMISSION */
                { CLD_EXITED, 200 },     /* EXIT_CHDIR */
                { CLD_EXITED, 226 },     /* EXIT_NAMESPACE */
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                _cleanup_fixture_ Fixture f = with_l40s(true);

                fake_nvidia_add_nvml(f.gpu);
                f.gpu->nvml_set_needs_unit = true;
                f.gpu->nvml_set_does_nothing = true;
                f.gpu->nvml_unit_code = table[i].code;
                f.gpu->nvml_unit_status = table[i].status;
                ASSERT_ERROR(configure(&f, "heterogeneous", "yes"), EIO);
                ASSERT_EQ(f.e.code, VGPUD_ERROR_FAILED);
                ASSERT_EQ(f.e.hint.id, VGPUD_HINT_SEE_JOURNAL);
                /* The program may have set the mode before the crash. */
                f.gpu->nvml_set_does_nothing = false;
                ASSERT_OK(configure(&f, "heterogeneous", "yes"));
        }
}

/* MIG mode is off, but would begin at the next reset. Setting "no" fails if MIG mode stays pending. */
static void test_mig_is_still_pending(void)
{
        _cleanup_fixture_ Fixture f = with_h200(false);

        fake_nvidia_add_nvml(f.gpu);
        f.gpu->mig_pending = true;
        f.gpu->nvml_set_does_nothing = true;
        ASSERT_ERROR(configure(&f, "mig", "no"), EIO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_NONE);
}

static void test_mode_without_library(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);

        ASSERT_ERROR(configure(&f, "heterogeneous", "yes"), EOPNOTSUPP);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_LOAD_DRIVER);
        ASSERT_EQ(fake_count(f.k, "run"), 0);
}

/* match and hand-over */

static void test_match(void)
{
        static const struct {
                const char *driver;
                uint32_t total_vfs;
                bool mdev;
                VgpuMatch expected;
        } table[] = {
                { "nvidia", 32, false, VGPU_MATCH_VENDOR }, { "nvidia", 0, false, VGPU_MATCH_NO },
                { "nvidia", 32, true, VGPU_MATCH_NO },      { "vfio-pci", 32, false, VGPU_MATCH_NO },
                { NULL, 32, false, VGPU_MATCH_NO },         { "nouveau", 32, false, VGPU_MATCH_NO },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                GpuFacts *facts = gpu_facts_new(GPU, "devices/pci0000:3a/" GPU);

                facts->is_pci = true;
                facts->vendor = 0x10de;
                facts->driver = g_strdup(table[i].driver);
                facts->total_vfs = table[i].total_vfs;

                if (table[i].mdev)
                        g_ptr_array_add(facts->mdev_parents, mdev_parent_new("0000:3d:00.4", "devices/x", GPU));
                ASSERT_EQ(nvidia_vfio_driver.match(facts), table[i].expected);
                gpu_facts_unref(facts);
        }
}

static void test_handover(void)
{
        _cleanup_fixture_ Fixture f = with_l40s(true);

        ASSERT_OK(create(&f, UUID_A, "nvidia-1150"));
        Handover *h = nvidia_vfio_driver.handover(f.made);
        g_autofree char *args = g_strjoinv(" ", h->qemu_args);
        g_autofree char *xml = g_strdup(h->libvirt_xml), *path = g_strdup(h->sysfs_path);
        g_autofree char *group = g_strdup(h->group_node), *cdev = g_strdup(h->cdev_node);
        int number = h->iommu_group;
        handover_free(h);
        ASSERT_STREQ(path, "/sys/bus/pci/devices/0000:3d:00.4");
        ASSERT_STREQ(args, "-device vfio-pci,host=0000:3d:00.4");
        ASSERT_STREQ(xml, "<hostdev mode='subsystem' type='pci' managed='no'>\n"
                          "  <source>\n"
                          "    <address domain='0x0000' bus='0x3d' slot='0x00' function='0x4'/>\n"
                          "  </source>\n"
                          "</hostdev>\n");
        ASSERT_EQ(number, 100);
        ASSERT_STREQ(group, "/dev/vfio/100");
        ASSERT_STREQ(cdev, "/dev/vfio/devices/vfio0");
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_scan);
        TEST(test_scan_h200);
        TEST(test_instance);
        TEST(test_unreadable_attributes);
        TEST(test_homogeneous);
        TEST(test_homogeneous_unknown);
        TEST(test_known_types_idle);
        TEST(test_full);
        TEST(test_no_such_type);
        TEST(test_bad_arguments);
        TEST(test_parent);
        TEST(test_reserve_fails);
        TEST(test_life);
        TEST(test_create_errno);
        TEST(test_create_retries);
        TEST(test_create_goes_on);
        TEST(test_create_waits_for_the_last);
        TEST(test_create_races_capacity);
        TEST(test_create_races_function);
        TEST(test_create_lies);
        TEST(test_writer_dies);
        TEST(test_attribute_rollback);
        TEST(test_attribute_read_back);
        TEST(test_inconsistent);
        TEST(test_in_use);
        TEST(test_destroy_waits);
        TEST(test_destroy_errno);
        TEST(test_destroy_lies);
        TEST(test_destroy_foreign);
        TEST(test_destroy_gone);
        TEST(test_not_enabled);
        TEST(test_not_ready);
        TEST(test_some_ready);
        TEST(test_unreadable_vf);
        TEST(test_unreadable_instance);
        TEST(test_unreadable_vfs);
        TEST(test_shared_group);
        TEST(test_shared_groups);
        TEST(test_gone);
        TEST(test_sriov_failure);
        TEST(test_sriov_manager);
        TEST(test_sriov_missing);
        TEST(test_sriov_of_somebody_else);
        TEST(test_sriov_in_use);
        TEST(test_nvml_details);
        TEST(test_nvml_broken);
        TEST(test_heterogeneous);
        TEST(test_heterogeneous_order);
        TEST(test_mig);
        TEST(test_mig_unknown);
        TEST(test_mode_is_set_already);
        TEST(test_mig_pending);
        TEST(test_mode_errno);
        TEST(test_mode_lies);
        TEST(test_mode_by_unit);
        TEST(test_mode_unit_is_killed);
        TEST(test_mig_is_still_pending);
        TEST(test_mode_without_library);
        TEST(test_match);
        TEST(test_handover);
        TEST(test_mode_holder);
        TEST(test_sriov_holder);
        TEST(test_sriov_no_manager);

        return tests_end();
}
