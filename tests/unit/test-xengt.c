/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The xengt back end on the in-memory kernel. test_golden() compares all writes with
 * tests/golden/xengt-life.txt. */

#include "drivers-glue/problem.h"
#include "drivers-glue/registry.h"

#include "back-end.h"
#include "fake-xengt.h"

#define UUID_A  "11111111-0000-4000-8000-000000000001"
#define UUID_B  "22222222-0000-4000-8000-000000000002"
#define CREATE  "kernel/vgt/control/create_vgt_instance"
#define UNKNOWN "kernel/vgt/control/available_resource"

typedef struct Fixture {
        FakeKernel *k;
        FakeXengt *x;
        GpuFacts *facts;
        VgpuIo *io;
        VgpuTarget t;
        VgpudError e;
        InstanceDesc *made;
        GPtrArray *attributes;
        GString *claims; /* each reservation, and the number of writes before it */
        int claim_result;
        uint32_t count;
} Fixture;

static void attribute_free(gpointer p)
{
        vgpu_attribute_free(p);
}

static void fixture_init(Fixture *f)
{
        *f = (Fixture){ .k = fake_kernel_new(), .count = 1 };
        f->x = fake_add_xengt(f->k);
        f->facts = fake_xengt_facts(f->x);
        f->io = fake_kernel_io(f->k);
        f->t = (VgpuTarget){ .facts = f->facts, .io = f->io };
        f->attributes = g_ptr_array_new_with_free_func(attribute_free);
        f->claims = g_string_new(NULL);
}

static void fixture_free(Fixture *f)
{
        instance_desc_free(f->made);
        g_ptr_array_unref(f->attributes);
        (void)g_string_free(f->claims, TRUE);
        vgpud_error_done(&f->e);
        vgpu_io_free(f->io);
        gpu_facts_unref(f->facts);
        fake_xengt_free(f->x);
        fake_kernel_free(f->k);
}
#define _cleanup_fixture_ _cleanup_(fixture_free)

static unsigned count_lines(const char *text)
{
        unsigned n = 0;

        for (; *text; text++)
                n += *text == '\n';

        return n;
}

static int claim(const char *slot, const char *restore, void *userdata)
{
        Fixture *f = userdata;
        g_autofree char *writes = fake_writes(f->k);

        g_string_append_printf(f->claims, "%s %s after %u\n", slot, restore ? restore : "-",
                               count_lines(writes));

        return f->claim_result;
}

static int create(Fixture *f, const char *uuid, const char *type_id)
{
        CreateArgs args = { .uuid = uuid,
                            .type_id = type_id,
                            .attributes = f->attributes,
                            .count = f->count,
                            .reserve = claim,
                            .reserve_userdata = f };

        vgpud_error_done(&f->e);
        f->made = instance_desc_free(f->made);

        int r = xengt_driver.create(&f->t, &args, &f->made, &f->e);
        if (r < 0)
                ASSERT_NULL(f->made);
        g_ptr_array_set_size(f->attributes, 0);

        return assert_explained(r, &f->e);
}

static int destroy(Fixture *f, const char *slot)
{
        InstanceDesc *d = instance_desc_new(UUID_A);
        int r;

        d->slot = g_strdup(slot);
        d->path = g_strconcat("kernel/vgt/", slot, NULL);
        vgpud_error_done(&f->e);
        r = xengt_driver.destroy(&f->t, d, &f->e);
        instance_desc_free(d);

        return assert_explained(r, &f->e);
}

static void option(Fixture *f, const char *name, const char *value)
{
        g_ptr_array_add(f->attributes, vgpu_attribute_new(name, value));
}

/* Starts the domain and creates a vGPU for it. */
static int make(Fixture *f, unsigned domain, const char *uuid, const char *type_id)
{
        g_autofree char *id = g_strdup_printf("%u", domain);

        fake_xengt_domain(f->x, domain, true);
        option(f, "vmid", id);

        return create(f, uuid, type_id);
}

/* Ends the domain and destroys its vGPU. */
static int unmake(Fixture *f, unsigned domain)
{
        g_autofree char *slot = g_strdup_printf("vm%u", domain);

        fake_xengt_domain(f->x, domain, false);

        return destroy(f, slot);
}

static GpuSnapshot *scan(Fixture *f)
{
        GpuSnapshot *s = NULL;

        ASSERT_OK(xengt_driver.scan(&f->t, &s, &f->e));

        return s;
}

static const VgpuType *find_type(const GpuSnapshot *s, const char *id)
{
        for (guint i = 0; i < s->types->len; i++) {
                const VgpuType *t = s->types->pdata[i];

                if (strcmp(t->id, id) == 0)
                        return t;
        }

        return NULL;
}

static uint32_t available(Fixture *f, const char *type_id)
{
        GpuSnapshot *s = scan(f);
        uint32_t n = find_type(s, type_id)->available;

        gpu_snapshot_unref(s);

        return n;
}

static const char *attribute_of(const InstanceDesc *d, const char *name)
{
        for (guint i = 0; i < d->attributes->len; i++) {
                const VgpuAttribute *a = d->attributes->pdata[i];

                if (strcmp(a->name, name) == 0)
                        return a->value;
        }

        return NULL;
}

static void test_match(void)
{
        _cleanup_fixture_ Fixture f;

        fixture_init(&f);
        ASSERT_EQ(xengt_driver.match(f.facts), VGPU_MATCH_VENDOR);
        f.facts->features = 0;
        ASSERT_EQ(xengt_driver.match(f.facts), VGPU_MATCH_NO);
}

static void test_scan(void)
{
        _cleanup_fixture_ Fixture f;

        fixture_init(&f);
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = scan(&f);
        ASSERT_EQ(s->instances->len, 0);
        ASSERT_EQ(s->types->len, 6);
        ASSERT_NULL(s->unprepared);
        const VgpuType *t = find_type(s, "xengt-128-384");
        ASSERT_STREQ(t->name, "Intel GVT-g");
        ASSERT_STREQ(t->device_api, "xengt");
        ASSERT_EQ(t->framebuffer_bytes, 512 << 20);
        ASSERT_EQ(t->low_gm_bytes, 128 << 20);
        ASSERT_EQ(t->fences, 4);
        ASSERT_EQ(t->options->len, 3);
        /* 384 MB of aperture, 3200 MB of other memory and 28 fences are free. */
        ASSERT_EQ(t->available, 3);
        ASSERT_NULL(t->why_not);
        ASSERT_EQ(find_type(s, "xengt-64-448")->available, 6);
        ASSERT_EQ(find_type(s, "xengt-256-1024")->available, 1);
        ASSERT_EQ(find_type(s, "xengt-512-2048")->available, 0);
        ASSERT_EQ(find_type(s, "xengt-512-2048")->hint.id, VGPUD_HINT_CHOOSE_OTHER);
        t = find_type(s, "xengt-custom");
        ASSERT_EQ(t->options->len, 6);
        ASSERT_EQ(t->framebuffer_bytes, 0);
}

/* Every way to create and remove a vGPU makes the writes in the golden file. */
static void test_golden(void)
{
        _cleanup_fixture_ Fixture f;

        fixture_init(&f);
        ASSERT_OK(make(&f, 1, UUID_A, "xengt-128-384"));
        ASSERT_STREQ(f.made->uuid, UUID_A);
        ASSERT_STREQ(f.made->slot, "vm1");
        ASSERT_STREQ(f.made->type_id, "xengt-128-384");
        ASSERT_STREQ(f.made->parent, "0000:00:02.0");
        ASSERT_STREQ(f.made->path, "kernel/vgt/vm1");
        ASSERT_EQ(f.made->iommu_group, -1);
        option(&f, "primary", "yes");
        ASSERT_OK(make(&f, 7, UUID_B, "xengt-64-448"));
        ASSERT_STREQ(f.made->slot, "vm7");
        option(&f, "cap", "50");
        option(&f, "low_gm", "96M");
        option(&f, "high_gm", "0");
        option(&f, "fences", "2");
        ASSERT_OK(make(&f, 2, UUID_B, "xengt-custom"));
        ASSERT_STREQ(f.made->slot, "vm2");
        ASSERT_STREQ(f.made->type_id, "xengt-custom");
        ASSERT_EQ(unmake(&f, 7), 1);
        ASSERT_EQ(destroy(&f, "vm7"), 0);
        ASSERT_EQ(unmake(&f, 1), 1);
        ASSERT_STREQ(f.claims->str, "vm1 low_gm=128M high_gm=384M fences=4 after 0\n"
                                    "vm7 low_gm=64M high_gm=448M fences=4 primary=yes after 1\n"
                                    "vm2 low_gm=96M high_gm=0M fences=2 cap=50 after 2\n");
        assert_golden(f.k, "xengt", "life");
}

/* The kernel shows sizes, not the requested type. */
static void test_instances(void)
{
        _cleanup_fixture_ Fixture f;

        fixture_init(&f);
        ASSERT_OK(make(&f, 12, UUID_A, "xengt-64-448"));
        option(&f, "low_gm", "100M");
        ASSERT_OK(make(&f, 1, UUID_B, "xengt-custom"));
        fake_add_directory(f.k, "kernel/vgt/vm0");
        fake_add_directory(f.k, "kernel/vgt/vmx");
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = scan(&f);
        ASSERT_EQ(s->instances->len, 2);
        const InstanceDesc *a = NULL, *b = NULL;

        for (guint i = 0; i < 2; i++) {
                const InstanceDesc *d = s->instances->pdata[i];

                *(strcmp(d->slot, "vm12") == 0 ? &a : &b) = d;
        }

        ASSERT_STREQ(a->uuid, "");
        ASSERT_STREQ(a->type_id, "xengt-64-448");
        ASSERT_TRUE(a->type_guessed);
        ASSERT_STREQ(attribute_of(a, "low_gm"), "64M");
        ASSERT_STREQ(attribute_of(a, "high_gm"), "448M");
        ASSERT_STREQ(attribute_of(a, "vmid"), "12");
        ASSERT_STREQ(b->slot, "vm1");
        ASSERT_STREQ(b->type_id, "xengt-custom");
        ASSERT_STREQ(attribute_of(b, "low_gm"), "100M");
        Handover *h = xengt_driver.handover(a);
        g_autofree char *path = g_strdup(h->sysfs_path);
        /* vgpud has neither XML nor arguments to hand over: a VM uses the vGPU by the domain's number. */
        bool none = !h->qemu_args && !h->libvirt_xml && !h->group_node && !h->cdev_node && h->iommu_group == -1;
        handover_free(h);
        ASSERT_TRUE(none);
        ASSERT_STREQ(path, "/sys/kernel/vgt/vm12");
}

/* The record has the options that the kernel does not show; its sizes identify the vGPU. */
static void test_recall(void)
{
        _cleanup_fixture_ Fixture f;

        fixture_init(&f);
        option(&f, "fences", "8");
        option(&f, "cap", "0");
        option(&f, "primary", "no");
        ASSERT_OK(make(&f, 1, UUID_A, "xengt-custom"));
        ASSERT_STREQ(attribute_of(f.made, "fences"), "8");
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = scan(&f);
        InstanceDesc *d = s->instances->pdata[0];
        ASSERT_NULL(attribute_of(d, "fences"));
        ASSERT_FALSE(xengt_driver.match_reservation(d, "low_gm=64M high_gm=384M fences=8"));
        ASSERT_FALSE(xengt_driver.match_reservation(d, "fences=8 low_gm=64M high_gm=384M"));
        ASSERT_NULL(attribute_of(d, "fences"));
        ASSERT_TRUE(xengt_driver.match_reservation(d, "low_gm=64M high_gm=448M fences=8 primary=no cap=0"));
        memcpy(d->uuid, f.made->uuid, sizeof d->uuid);
        g_free(d->type_id);
        d->type_id = g_strdup("xengt-custom");
        ASSERT_STREQ(attribute_of(d, "cap"), "0");
        ASSERT_STREQ(attribute_of(d, "primary"), "no");
        /* Apart from the fields that the model fills in, the description equals the result of create(). */
        d->type_guessed = f.made->type_guessed;
        ASSERT_TRUE(instance_desc_equal(d, f.made));
}

/* All types share the memory, and the low memory of a vGPU must be contiguous. */
static void test_capacity(void)
{
        _cleanup_fixture_ Fixture f;

        fixture_init(&f);

        for (unsigned i = 1; i <= 6; i++)
                ASSERT_OK(make(&f, i, UUID_A, "xengt-64-448"));
        ASSERT_EQ(available(&f, "xengt-64-448"), 0);
        ASSERT_ERROR(make(&f, 8, UUID_B, "xengt-64-448"), ENOSPC);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_DESTROY_INSTANCE);
        ASSERT_EQ(f.e.errnum, 0); /* no write */
        /* 128 MB of low memory are free again, but not contiguous. */
        ASSERT_EQ(unmake(&f, 2), 1);
        ASSERT_EQ(unmake(&f, 4), 1);
        ASSERT_EQ(available(&f, "xengt-64-448"), 2);
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = scan(&f);
        ASSERT_EQ(find_type(s, "xengt-64-448")->hint.id, VGPUD_HINT_DESTROY_INSTANCE);
        ASSERT_EQ(available(&f, "xengt-128-384"), 0);
        ASSERT_ERROR(make(&f, 9, UUID_B, "xengt-128-384"), ENOSPC);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_DESTROY_INSTANCE);
        ASSERT_EQ(unmake(&f, 3), 1);
        ASSERT_EQ(available(&f, "xengt-128-384"), 1);
        ASSERT_OK(make(&f, 10, UUID_B, "xengt-128-384"));
        ASSERT_STREQ(f.made->slot, "vm10");
}

/* vGPUs share slots of high memory (vgt/aperture_gm.c, vgt_find_hidden_gm_slots()): the free slots limit the
 * size of one vGPU, but not the number of vGPUs. */
static void test_slots(void)
{
        _cleanup_fixture_ Fixture f;

        fixture_init(&f);
        /* The host keeps 6 of 56 slots. */
        option(&f, "high_gm", "3201M");
        ASSERT_ERROR(make(&f, 1, UUID_A, "xengt-custom"), ENOSPC);
        ASSERT_EQ(f.e.errnum, 0);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_DESTROY_INSTANCE);

        for (unsigned i = 2; i <= 4; i++) {
                option(&f, "high_gm", "3200M");
                ASSERT_OK(make(&f, i, UUID_A, "xengt-custom"));
        }

        ASSERT_EQ(available(&f, "xengt-64-448"), 3);
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = scan(&f);
        ASSERT_EQ(find_type(s, "xengt-64-448")->hint.id, VGPUD_HINT_DESTROY_INSTANCE);
        ASSERT_EQ(unmake(&f, 3), 1);
        ASSERT_EQ(available(&f, "xengt-64-448"), 4);
}

static void test_ids(void)
{
        _cleanup_fixture_ Fixture f;

        fixture_init(&f);

        for (unsigned i = 1; i <= 7; i++) {
                option(&f, "low_gm", "16M");
                option(&f, "high_gm", "64M");
                option(&f, "fences", "1");
                ASSERT_OK(make(&f, i, UUID_A, "xengt-custom"));
        }

        ASSERT_EQ(available(&f, "xengt-64-448"), 0);
        ASSERT_ERROR(make(&f, 8, UUID_B, "xengt-64-448"), ENOSPC);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_DESTROY_INSTANCE);
        option(&f, "vmid", "3");
        ASSERT_ERROR(create(&f, UUID_B, "xengt-64-448"), EEXIST);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_DESTROY_INSTANCE);
}

static void test_bad_requests(void)
{
        static const struct {
                const char *type, *name, *value;
                int eno;
        } cases[] = {
                { "xengt-1-1", NULL, NULL, ENOENT },
                /* A vGPU without a domain could go to any running domain. */
                { "xengt-64-448", NULL, NULL, EINVAL },
                { "xengt-64-448", "cap", "50", EINVAL },
                { "xengt-64-448", "vmid", "0", EINVAL },
                { "xengt-64-448", "vmid", "32752", EINVAL },
                { "xengt-64-448", "vmid", "-3", EINVAL },
                { "xengt-64-448", "primary", "2", EINVAL },
                { "xengt-64-448", "cap", "101", EINVAL },
                { "xengt-64-448", "low_gm", "64M", EINVAL },
                { "xengt-64-448", "fences", "8", EINVAL },
                { "xengt-64-448", "nonsense", "1", EINVAL },
                { "xengt-custom", "low_gm", "0", EINVAL },
                { "xengt-custom", "low_gm", "1000000", EINVAL },
                { "xengt-custom", "low_gm", "4096T", EINVAL },
                { "xengt-custom", "high_gm", "x", EINVAL },
                { "xengt-custom", "fences", "0", EINVAL },
        };
        _cleanup_fixture_ Fixture f;

        fixture_init(&f);

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                if (cases[i].name)
                        option(&f, cases[i].name, cases[i].value);
                ASSERT_ERROR(create(&f, UUID_A, cases[i].type), cases[i].eno);
        }

        fake_xengt_domain(f.x, 7, true);
        option(&f, "vmid", "7");
        f.count = 2;
        ASSERT_ERROR(create(&f, UUID_A, "xengt-64-448"), EINVAL);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_CHOOSE_OTHER);
        f.count = 1;
        CreateArgs args = { .uuid = UUID_A, .type_id = "xengt-64-448", .parent = "0000:00:02.1" };
        vgpud_error_done(&f.e);
        ASSERT_ERROR(xengt_driver.create(&f.t, &args, &f.made, &f.e), EINVAL);
        ASSERT_CONTAINS(f.e.message, "0000:00:02.1");
        f.claim_result = -ENOSPC;
        ASSERT_ERROR(make(&f, 1, UUID_A, "xengt-64-448"), EIO);
        ASSERT_EQ(f.e.errnum, ENOSPC);
        g_autofree char *writes = fake_writes(f.k);
        ASSERT_STREQ(writes, "");
}

static int hide_resources(FakeKernel *k, const char *path, void *data)
{
        fake_fail(k, "read", UNKNOWN, EIO);
        return -ENOMEM;
}

/* Each errno with which the driver can refuse a create. */
static void test_errors(void)
{
        static const struct {
                int eno, code_errno;
        } cases[] = {
                { EINVAL, EIO }, { ENOSPC, ENOSPC }, { ENOMEM, ENOSPC }, { ENODEV, ENOLINK },
                { EPERM, EIO },  { EPROTO, EIO },    { EFAULT, EIO },    { ESRCH, EIO },
        };
        _cleanup_fixture_ Fixture f;

        fixture_init(&f);

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                fake_fail(f.k, "write", CREATE, cases[i].eno);
                ASSERT_ERROR(make(&f, 1, UUID_A, "xengt-64-448"), cases[i].code_errno);
                ASSERT_EQ(f.e.errnum, cases[i].eno);
                fake_heal(f.k);
        }

        /* The resources cannot be read after the failed write: ENOMEM still means that no room is left. */
        fake_before(f.k, "write", CREATE, hide_resources, NULL);
        ASSERT_ERROR(make(&f, 1, UUID_A, "xengt-64-448"), ENOSPC);
        ASSERT_EQ(f.e.errnum, ENOMEM);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_DESTROY_INSTANCE);
        fake_heal(f.k);
        /* Domain 9 does not exist. */
        option(&f, "vmid", "9");
        ASSERT_ERROR(create(&f, UUID_A, "xengt-64-448"), EIO);
        ASSERT_EQ(f.e.errnum, EFAULT);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_CHOOSE_OTHER);
        /* create() succeeds even if the writer died after write(2). */
        fake_fail_after(f.k, "write", CREATE, EPROTO);
        ASSERT_OK(make(&f, 1, UUID_A, "xengt-64-448"));
}

static int take_the_id(FakeKernel *k, const char *path, void *data)
{
        fake_add_directory(k, "kernel/vgt/vm1");
        return -EINVAL;
}

static int take_it_away(FakeKernel *k, const char *path, void *data)
{
        fake_remove(k, "kernel/vgt/vm1");
        return -ENODEV;
}

static int do_nothing(FakeKernel *k, const char *path, void *data, const char *value)
{
        return 0;
}

static int make_another(FakeKernel *k, const char *path, void *data, const char *value)
{
        unsigned *writes = data;

        if ((*writes)++ > 0) {
                fake_remove(k, "kernel/vgt/vm1");
                return 0;
        }

        fake_add_file(k, "kernel/vgt/vm1/aperture_sz", "0000000004000000\n");
        fake_add_file(k, "kernel/vgt/vm1/gm_sz", "0000000010000000\n");

        return 0;
}

static int make_and_keep(FakeKernel *k, const char *path, void *data, const char *value)
{
        if (value[0] == '-')
                return -EIO;

        fake_add_file(k, "kernel/vgt/vm1/aperture_sz", "nonsense\n");

        return 0;
}

/* create() fails if another program interferes, or if the result of the driver differs from the request. */
static void test_surprises(void)
{
        _cleanup_fixture_ Fixture f;
        unsigned writes = 0;

        fixture_init(&f);
        fake_before(f.k, "write", CREATE, take_the_id, NULL);
        ASSERT_ERROR(make(&f, 1, UUID_A, "xengt-64-448"), EEXIST);
        ASSERT_EQ(f.e.errnum, EINVAL);
        fake_heal(f.k);
        fake_remove(f.k, "kernel/vgt/vm1");

        fake_remove(f.k, CREATE);
        fake_add_attribute(f.k, CREATE, NULL, do_nothing, NULL);
        ASSERT_ERROR(make(&f, 1, UUID_A, "xengt-64-448"), EIO);
        fake_remove(f.k, CREATE);
        fake_add_attribute(f.k, CREATE, NULL, make_another, &writes);
        ASSERT_ERROR(make(&f, 1, UUID_A, "xengt-64-448"), EIO);
        ASSERT_EQ(writes, 2);
        ASSERT_FALSE(fake_exists(f.k, "kernel/vgt/vm1"));
        fake_remove(f.k, CREATE);
        fake_add_attribute(f.k, CREATE, NULL, make_and_keep, NULL);
        ASSERT_ERROR(make(&f, 1, UUID_A, "xengt-64-448"), ENOTRECOVERABLE);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_INCONSISTENT);
}

/* A vGPU is in use as long as its domain exists, whatever the guest does. */
static void test_in_use(void)
{
        _cleanup_fixture_ Fixture f;

        fixture_init(&f);
        ASSERT_OK(make(&f, 3, UUID_A, "xengt-64-448"));
        ASSERT_OK(make(&f, 31, UUID_B, "xengt-64-448"));

        for (unsigned i = 0; i < 2; i++) {
                /* In the first round the guest has loaded no driver, in the second round it has. */
                fake_xengt_start(f.x, 3, i == 1);
                ASSERT_ERROR(destroy(&f, "vm3"), EBUSY);
                ASSERT_EQ(f.e.hint.id, VGPUD_HINT_STOP_USER);
        }

        /* Domain 3 ends without unloading the driver. A device of domain 31 with the number 3 is not in
         * domain 3. */
        fake_add_directory(f.k, "bus/xen-backend/devices/vif-31-3");
        ASSERT_EQ(unmake(&f, 3), 1);
        ASSERT_ERROR(destroy(&f, "vm31"), EBUSY);
        fake_remove(f.k, "bus/xen-backend/devices/console-31-0");
        ASSERT_ERROR(destroy(&f, "vm31"), EBUSY);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_STOP_USER);
}

/* vgpud cannot tell if the domain exists, because the list of domains cannot be read, or the hypervisor is
 * KVM. */
static void test_in_use_unknown(void)
{
        _cleanup_fixture_ Fixture f;

        fixture_init(&f);
        ASSERT_OK(make(&f, 3, UUID_A, "xengt-64-448"));
        fake_fail(f.k, "list", "bus/xen-backend/devices", EACCES);
        ASSERT_ERROR(destroy(&f, "vm3"), EBUSY);
        ASSERT_EQ(f.e.errnum, EACCES);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_REMOVE_BY_HAND);
        fake_heal(f.k);
        fake_remove(f.k, "bus/xen-backend");
        ASSERT_ERROR(destroy(&f, "vm3"), EBUSY);
        ASSERT_EQ(f.e.errnum, ENOENT);
        fake_add_directory(f.k, "bus/xen-backend/devices");
        fake_remove(f.k, "hypervisor/type");
        ASSERT_ERROR(destroy(&f, "vm3"), EBUSY);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_REMOVE_BY_HAND);
        fake_add_file(f.k, "hypervisor/type", "kvm\n");
        ASSERT_ERROR(destroy(&f, "vm3"), EBUSY);
        ASSERT_EQ(f.e.errnum, ENOTSUP);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_REMOVE_BY_HAND);
        ASSERT_TRUE(fake_exists(f.k, "kernel/vgt/vm3"));
}

static void test_destroy(void)
{
        _cleanup_fixture_ Fixture f;

        fixture_init(&f);
        ASSERT_OK(make(&f, 1, UUID_A, "xengt-64-448"));
        fake_xengt_domain(f.x, 1, false);
        fake_fail(f.k, "write", CREATE, EPROTO);
        ASSERT_ERROR(destroy(&f, "vm1"), EIO);
        ASSERT_EQ(f.e.errnum, EPROTO);
        fake_heal(f.k);
        fake_fail(f.k, "write", CREATE, EIO);
        ASSERT_ERROR(destroy(&f, "vm1"), EIO);
        ASSERT_EQ(f.e.errnum, EIO);
        fake_heal(f.k);
        ASSERT_ERROR(destroy(&f, "vm"), EINVAL);
        ASSERT_ERROR(destroy(&f, "vm1/../control"), EINVAL);
        fake_before(f.k, "write", CREATE, take_it_away, NULL);
        ASSERT_EQ(destroy(&f, "vm1"), 0);
        fake_heal(f.k);
        fake_add_directory(f.k, "kernel/vgt/vm9");
        fake_remove(f.k, CREATE);
        fake_add_attribute(f.k, CREATE, NULL, do_nothing, NULL);
        ASSERT_ERROR(destroy(&f, "vm9"), EIO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_STOP_USER);
}

static void test_gone(void)
{
        _cleanup_fixture_ Fixture f;
        GpuSnapshot *s = NULL;

        fixture_init(&f);
        fake_xengt_unload(f.x);
        ASSERT_ERROR(xengt_driver.scan(&f.t, &s, &f.e), ENOLINK);
        ASSERT_NULL(s);
        ASSERT_ERROR(make(&f, 1, UUID_A, "xengt-64-448"), ENOLINK);
        ASSERT_EQ(destroy(&f, "vm1"), 0);
}

/* Bitmaps of 512 MB of high memory, one bit per MB, above 64 MB of low memory. The used MB in HIGH_CUT
 * splits the eight slots into two and five free ones. */
#define FOUR_WORDS "00000000,00000000,00000000,00000000,"
#define HIGH_FREE  FOUR_WORDS FOUR_WORDS FOUR_WORDS FOUR_WORDS
#define HIGH_CUT   FOUR_WORDS FOUR_WORDS "00000000,00000000,00000000,00000001," FOUR_WORDS

/* Texts of other versions of the driver: vgpud uses the valid parts, and leaves the rest to the driver. */
static void test_resources(void)
{
        /* The second row is a Haswell with 2 GB of graphics memory. */
        static const struct {
                const char *text;
                int eno;            /* the reason names the errno; 0: not checked */
                uint32_t available; /* of the type xengt-64-448, which needs 4 fences */
        } cases[] = {
                { "0x00000200, 0x00000180, 0x00000e00, 0x00000c80, 0x00000020, 0x0000001c\n", 0, 6 },
                { "0x00000200, 0x00000180, 0x00000600, 0x00000480, 0x00000020, 0x0000001c\n", 0, 6 },
                { "200,80,e00,c80,20,1c", 0, 2 },
                { "0x80, 0x80, 0x200, 0x1c0, 0x20, 0x20\n", 0, 2 },
                { "0x40, 0x40, 0x200, 0x1bf, 0x20, 0x20\n", 0, 0 },
                { "0x40, 0x40, 0x200, 0x1c0, 0x20, 0x20\n", 0, 1 },
                { "0x40, 0x40, 0x200, 0x200, 0x20, 0x3\n", 0, 0 },
                { "0x40, 0x40, 0x200, 0x200, 0x20, 0x20\n" HIGH_FREE "00000001,00000000\n0\n", 0, 0 },
                { "0x40, 0x40, 0x200, 0x200, 0x20, 0x20\n" HIGH_FREE "00000000,00000000\nfffffff0\n", 0, 1 },
                { "0x40, 0x40, 0x200, 0x200, 0x20, 0x20\n" HIGH_FREE "00000000,00000000\nfffffff8\n", 0, 0 },
                { "0x40, 0x40, 0x200, 0x200, 0x20, 0x20\n" HIGH_CUT "00000000,00000000\nfffffff0\n", 0, 0 },
                { "0x40, 0x40, 0x200, 0x200, 0x20, 0x20\n00000000,00000000\nfffffff0\n", 0, 1 },
                { "0x40, 0x40, 0x200, 0x200, 0x20, 0x20\nnonsense\nnonsense\n", 0, 1 },
                { "0x40, 0x41, 0x200, 0x200, 0x20, 0x20\n", EBADMSG, 0 },
                { "0x40, 0x40, 0x200, 0x200, 0x20\n", EBADMSG, 0 },
                { "nothing of the kind\n", EBADMSG, 0 },
                { "", EBADMSG, 0 },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                _cleanup_fixture_ Fixture f;
                _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;

                fixture_init(&f);
                fake_remove(f.k, UNKNOWN);
                /* The manual names the file available_resources; vgpud reads both names. */
                fake_add_file(f.k, i % 2 ? UNKNOWN "s" : UNKNOWN, cases[i].text);
                ASSERT_OK(xengt_driver.scan(&f.t, &s, &f.e));
                const VgpuType *t = find_type(s, "xengt-64-448");
                ASSERT_EQ(t->available, cases[i].available);

                if (cases[i].eno)
                        ASSERT_CONTAINS(t->why_not, g_strerror(cases[i].eno));
        }
}

/* One vGPU that cannot be read hides none of the others. */
static void test_unreadable_instance(void)
{
        _cleanup_fixture_ Fixture f;
        GpuSnapshot *s;

        fixture_init(&f);
        ASSERT_OK(make(&f, 1, UUID_A, "xengt-64-448"));
        ASSERT_OK(make(&f, 2, UUID_B, "xengt-64-448"));
        fake_fail(f.k, "read", "kernel/vgt/vm1/gm_sz", EIO);
        s = scan(&f);
        ASSERT_EQ(s->instances->len, 1);
        ASSERT_STREQ(((const InstanceDesc *)s->instances->pdata[0])->slot, "vm2");
        ASSERT_EQ(s->problems->len, 1);
        ASSERT_TRUE(gpu_snapshot_is_unread(s, "vm1"));
        gpu_snapshot_unref(s);
        ASSERT_EQ(unmake(&f, 2), 1);
        ASSERT_OK(make(&f, 3, UUID_B, "xengt-64-448"));
        fake_heal(f.k);
        fake_remove(f.k, "kernel/vgt/vm1/gm_sz");
        fake_add_file(f.k, "kernel/vgt/vm1/gm_sz", "nonsense\n");
        s = scan(&f);
        ASSERT_EQ(s->instances->len, 1);
        ASSERT_TRUE(gpu_snapshot_is_unread(s, "vm1"));
        gpu_snapshot_unref(s);
}

/* The resources cannot be read although the driver is loaded: the GPU is not gone, and the vGPUs stay. */
static void test_room_unknown(void)
{
        static const int table[] = { ENOENT, ENODEV, EIO, EACCES };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                _cleanup_fixture_ Fixture f;
                _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;

                fixture_init(&f);
                ASSERT_OK(make(&f, 1, UUID_A, "xengt-64-448"));
                fake_fail(f.k, "read", UNKNOWN, table[i]);
                s = scan(&f);
                ASSERT_EQ(s->instances->len, 1);
                ASSERT_STREQ(((const InstanceDesc *)s->instances->pdata[0])->slot, "vm1");
                ASSERT_EQ(s->types->len, 6);

                for (guint j = 0; j < s->types->len; j++) {
                        const VgpuType *t = s->types->pdata[j];

                        ASSERT_EQ(t->available, 0);
                        ASSERT_NOT_NULL(t->why_not);
                        ASSERT_CONTAINS(t->why_not, g_strerror(table[i]));
                }

                /* create() does not write, because the driver could crash the domain. */
                ASSERT_ERROR(make(&f, 2, UUID_B, "xengt-64-448"), EIO);
                ASSERT_EQ(f.e.code, VGPUD_ERROR_FAILED);
                ASSERT_EQ(f.e.errnum, table[i]);
                ASSERT_CONTAINS(f.e.message, UNKNOWN);
                fake_heal(f.k);
                ASSERT_OK(make(&f, 2, UUID_B, "xengt-64-448"));
                ASSERT_STREQ(f.made->slot, "vm2");
        }
}

static int unload(FakeKernel *k, const char *path, void *data)
{
        fake_xengt_unload(data);
        return -ENODEV;
}

static void test_gone_while_looking(void)
{
        _cleanup_fixture_ Fixture f;
        GpuSnapshot *s = NULL;

        fixture_init(&f);
        fake_before(f.k, "read", UNKNOWN, unload, f.x);
        ASSERT_ERROR(xengt_driver.scan(&f.t, &s, &f.e), ENOLINK);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_GPU_GONE);
        ASSERT_NULL(s);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_match);
        TEST(test_scan);
        TEST(test_golden);
        TEST(test_instances);
        TEST(test_recall);
        TEST(test_capacity);
        TEST(test_slots);
        TEST(test_ids);
        TEST(test_bad_requests);
        TEST(test_errors);
        TEST(test_surprises);
        TEST(test_in_use);
        TEST(test_in_use_unknown);
        TEST(test_destroy);
        TEST(test_gone);
        TEST(test_resources);
        TEST(test_unreadable_instance);
        TEST(test_room_unknown);
        TEST(test_gone_while_looking);

        return tests_end();
}
