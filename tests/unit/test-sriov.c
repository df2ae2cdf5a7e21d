/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The back end "sriov" on the in-memory kernel. Tests that call check_golden()
 * compare all writes with tests/golden/sriov-NAME.txt. */

#include "drivers-glue/problem.h"
#include "drivers-glue/registry.h"
#include "drivers-glue/type-find.h"

#include <inttypes.h>

#include "drivers-glue/vf/bind.h"
#include "back-end.h"
#include "fake-sriov.h"
#include "scratch.h"
#include "tests.h"

#define UUID_A "11111111-0000-4000-8000-000000000001"
#define UUID_B "22222222-0000-4000-8000-000000000002"
#define UUID_C "33333333-0000-4000-8000-000000000003"
#define XE     "devices/pci0000:00/0000:00:01.0/0000:03:00.0"
#define I915   "devices/pci0000:00/0000:00:02.0"

typedef struct Fixture {
        FakeKernel *k;
        FakePci *pci;
        FakePf *pf;
        GpuFacts *facts;
        VgpuIo *io;
        VgpuTarget t;
        VgpudError e;
        InstanceDesc *made; /* result of the last create() */
        GPtrArray *attributes;
        char *slot, *restore; /* text of the last reservation */
        int claim_result;
} Fixture;

DEFINE_DESTROY_NOTIFY(attribute_free, vgpu_attribute_free)

static void read_facts(Fixture *f)
{
        gpu_facts_unref(f->facts);
        f->facts = fake_pf_facts(f->pf);
        f->t = (VgpuTarget){ .facts = f->facts, .io = f->io };
}

static Fixture with_pf(FakePfModel model, unsigned total, unsigned enabled)
{
        Fixture f = { .k = fake_kernel_new() };
        uint32_t got;

        f.pci = fake_pci_new(f.k);
        f.pf = fake_pci_add_pf(f.pci, model, model == FAKE_PF_I915 ? "0000:00:02.0" : "0000:03:00.0", total, 1);
        f.io = fake_kernel_io(f.k);
        f.attributes = g_ptr_array_new_with_free_func(attribute_free);
        read_facts(&f);
        g_assert(sriov_driver.set_vfs(&f.t, enabled, &got, NULL) >= 0);
        read_facts(&f);

        return f;
}

static void fixture_free(Fixture *f)
{
        instance_desc_free(f->made);
        g_ptr_array_unref(f->attributes);
        g_free(f->slot);
        g_free(f->restore);
        vgpud_error_done(&f->e);
        gpu_facts_unref(f->facts);
        vgpu_io_free(f->io);
        fake_pci_free(f->pci);
        fake_kernel_free(f->k);
}
#define _cleanup_fixture_ _cleanup_(fixture_free)

static int claim(const char *slot, const char *restore, void *userdata)
{
        Fixture *f = userdata;

        g_free(f->slot);
        g_free(f->restore);
        f->slot = g_strdup(slot);
        f->restore = g_strdup(restore);

        return f->claim_result;
}

static int checked(Fixture *f, int r)
{
        return assert_explained(r, &f->e);
}

static int create_on(Fixture *f, const char *uuid, const char *type_id, const char *parent)
{
        CreateArgs args = { .uuid = uuid,
                            .type_id = type_id,
                            .parent = parent,
                            .attributes = f->attributes,
                            .reserve = claim,
                            .reserve_userdata = f };

        vgpud_error_done(&f->e);
        f->made = instance_desc_free(f->made);

        int r = checked(f, sriov_driver.create(&f->t, &args, &f->made, &f->e));
        if (r < 0)
                ASSERT_NULL(f->made);
        else {
                ASSERT_STREQ(f->made->uuid, uuid);
                ASSERT_STREQ(f->made->type_id, type_id);
                ASSERT_STREQ(f->made->slot, f->slot);
                ASSERT_STREQ(f->made->restore, f->restore);
        }

        return r;
}

static int create(Fixture *f, const char *uuid, const char *type_id)
{
        return create_on(f, uuid, type_id, NULL);
}

static int destroy(Fixture *f, const InstanceDesc *d)
{
        vgpud_error_done(&f->e);
        return checked(f, sriov_driver.destroy(&f->t, d, &f->e));
}

static void add_attribute(Fixture *f, const char *name, const char *value)
{
        g_ptr_array_add(f->attributes, vgpu_attribute_new(name, value));
}

static void set_attribute(Fixture *f, const char *name, const char *value)
{
        g_ptr_array_set_size(f->attributes, 0);
        add_attribute(f, name, value);
}

static GpuSnapshot *scan(Fixture *f)
{
        GpuSnapshot *s = NULL;

        vgpud_error_done(&f->e);
        ASSERT_OK(checked(f, sriov_driver.scan(&f->t, &s, &f->e)));

        return s;
}

static int64_t available(Fixture *f, const char *type_id)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = scan(f);
        const VgpuType *t = gpu_snapshot_find_type(s, type_id, NULL);

        return t ? (int64_t)t->available : -1;
}

static const char *attribute(const InstanceDesc *d, const char *name)
{
        for (guint i = 0; d->attributes && i < d->attributes->len; i++) {
                const VgpuAttribute *a = d->attributes->pdata[i];

                if (strcmp(a->name, name) == 0)
                        return a->value;
        }

        return NULL;
}

static char *read_text(Fixture *f, const char *path)
{
        char *text = NULL;

        ASSERT_OK(vgpu_io_read(f->io, path, &text));

        return text;
}

static void check_golden(Fixture *f, const char *name)
{
        assert_golden(f->k, "sriov", name);
}

/* ---- match ---- */

static void test_match(void)
{
        static const struct {
                const char *driver;
                uint32_t class, total_vfs, enabled_vfs;
                unsigned features;
                bool yes;
        } table[] = {
                { "xe", 0x030000, 7, 0, 0, true },
                { "xe", 0x030000, 7, 0, VGPU_FEATURE_XE_ADMIN, true },
                { "xe", 0x030000, 0, 0, VGPU_FEATURE_XE_ADMIN, false },
                { "xe", 0x020000, 7, 0, 0, false },
                { "xe-vfio-pci", 0x030000, 7, 0, 0, false },
                { NULL, 0x030000, 7, 0, 0, false },
                { "i915", 0x030000, 7, 0, 0, false },
                { "i915", 0x030000, 7, 2, 0, true },
                { "i915", 0x030000, 7, 0, VGPU_FEATURE_I915_IOV, true },
                { "nvidia", 0x030200, 16, 16, VGPU_FEATURE_NVIDIA_VF, false },
                { "nouveau", 0x030000, 16, 0, 0, false },
                { "amdgpu", 0x120000, 8, 0, 0, false },
                { "gim", 0x120000, 8, 8, VGPU_FEATURE_GIM, true },
                { "vfio-pci", 0x030000, 7, 0, 0, false },
                { "pci-stub", 0x030000, 7, 0, 0, false },
                { "habanalabs", 0x120000, 4, 0, 0, true },
                { "igb", 0x020000, 8, 0, 0, false },
                { "igb", 0x020000, 8, 0, VGPU_FEATURE_ADMITTED, true },
                { "nvme", 0x010802, 4, 0, VGPU_FEATURE_ADMITTED, true },
                { "vfio-pci", 0x020000, 8, 0, VGPU_FEATURE_ADMITTED, false },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                GpuFacts *f = gpu_facts_new("0000:03:00.0", XE);

                f->is_pci = true;
                f->driver = g_strdup(table[i].driver);
                f->class = table[i].class;
                f->total_vfs = table[i].total_vfs;
                f->enabled_vfs = table[i].enabled_vfs;
                f->features = table[i].features;
                VgpuMatch m = sriov_driver.match(f);
                gpu_facts_unref(f);

                if (m != (table[i].yes ? VGPU_MATCH_PLAIN : VGPU_MATCH_NO))
                        FAIL("case %zu (%s)", i, table[i].driver ? table[i].driver : "none");
        }
}

/* ---- scan ---- */

static void test_scan_unprepared(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_XE, 7, 0);
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = scan(&f);

        ASSERT_EQ(s->hint.id, VGPUD_HINT_ENABLE_VFS);
        ASSERT_EQ(s->types->len, 2);
        const VgpuType *t = s->types->pdata[0];
        ASSERT_STREQ(t->id, "vf");
        ASSERT_EQ(t->available, 0);
        ASSERT_STREQ(t->why_not, s->unprepared);
        ASSERT_ERROR(create(&f, UUID_A, "vf"), ENOSPC);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_NO_CAPACITY);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_ENABLE_VFS);
        ASSERT_NULL(f.slot);
}

static void test_scan_plain(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 8, 3);
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;

        ASSERT_OK(create(&f, UUID_A, "vf"));
        s = scan(&f);
        ASSERT_NULL(s->unprepared);
        ASSERT_EQ(s->types->len, 1); /* the GPU has no quotas, so it has no type vf-profile */
        const VgpuType *t = s->types->pdata[0];
        ASSERT_STREQ(t->id, "vf");
        ASSERT_STREQ(t->device_api, "vfio-pci");
        ASSERT_EQ(t->available, 2);
        ASSERT_EQ(t->max_instances, 8);
        ASSERT_EQ(t->framebuffer_bytes, 0);
        ASSERT_EQ(t->hint.id, VGPUD_HINT_DESTROY_INSTANCE);
        ASSERT_EQ(s->instances->len, 1);
        const InstanceDesc *d = s->instances->pdata[0];
        ASSERT_STREQ(d->uuid, "");
        ASSERT_STREQ(d->slot, "0000:03:00.1");
        ASSERT_STREQ(d->parent, "0000:03:00.1");
        ASSERT_STREQ(d->type_id, "vf");
        ASSERT_FALSE(d->type_guessed);
        ASSERT_STREQ(d->path, fake_vf_path(f.pf, 0));
        ASSERT_STREQ(d->driver, "vfio-pci");
        ASSERT_EQ(d->iommu_group, 10);
        ASSERT_NULL(d->cdev);
        ASSERT_NULL(d->attributes);
        ASSERT_EQ(d->memory_bytes, 0);
        /* scan() and create() describe the same instance, except for the fields that the model fills in. */
        InstanceDesc *made = instance_desc_copy(f.made);
        made->uuid[0] = 0;
        bool same = instance_desc_equal(made, d);
        instance_desc_free(made);
        ASSERT_TRUE(same);
}

static void test_scan_xe(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_XE, 7, 2);
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;

        ASSERT_OK(create(&f, UUID_A, "vf"));
        s = scan(&f);
        ASSERT_EQ(s->types->len, 2);
        const VgpuType *t = s->types->pdata[1];
        ASSERT_STREQ(t->id, "vf-profile");
        ASSERT_EQ(t->available, 1);
        ASSERT_EQ(t->framebuffer_bytes, (uint64_t)3 << 30);
        ASSERT_EQ(t->options->len, 4);
        const VgpuTypeOption *o = t->options->pdata[3];
        ASSERT_STREQ(o->name, "vram_quota");
        ASSERT_CONTAINS(o->help, "bytes");
        const InstanceDesc *d = s->instances->pdata[0];
        ASSERT_TRUE(d->type_guessed);
        ASSERT_STREQ(attribute(d, "vram_quota"), "3221225472");
        ASSERT_EQ(d->memory_bytes, (uint64_t)3 << 30);
        ASSERT_STREQ(attribute(d, "sched_priority"), "low");
        ASSERT_STREQ(attribute(d, "exec_quantum_ms"), "0");
}

/* The reason why no more can be created is given even if some can. */
static void test_why_no_more(void)
{
        static const struct {
                unsigned enabled, reserved;
                VgpudHintId hint;
        } table[] = {
                { 3, 0, VGPUD_HINT_ENABLE_VFS },
                { 4, 0, VGPUD_HINT_NONE },
                { 4, 1, VGPUD_HINT_RELEASE_VF },
                { 2, 2, VGPUD_HINT_RELEASE_VF },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 4, table[i].enabled);
                _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;

                for (unsigned n = 0; n < table[i].reserved; n++)
                        ASSERT_OK(vfs_bind(f.io, f.facts->vfs->pdata[n], NULL, "pci-stub", NULL));
                s = scan(&f);
                const VgpuType *t = s->types->pdata[0];
                ASSERT_EQ(t->available, table[i].enabled - table[i].reserved);
                ASSERT_EQ(t->hint.id, table[i].hint);
                ASSERT_EQ(t->why_not != NULL, table[i].hint != VGPUD_HINT_NONE);
        }
}

/* VFs that other programs have bound or reserved do not count as available, and cannot be requested. */
static void test_scan_taken(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 8, 4);
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;

        ASSERT_OK(vfs_bind(f.io, f.facts->vfs->pdata[0], "vfio-pci", NULL, NULL));
        ASSERT_OK(vfs_bind(f.io, f.facts->vfs->pdata[1], NULL, "vfio-pci", NULL));
        ASSERT_OK(vfs_bind(f.io, f.facts->vfs->pdata[2], NULL, "pci-stub", NULL));
        ASSERT_OK(vfs_bind(f.io, f.facts->vfs->pdata[3], "accelvf", "accelvf", NULL));
        s = scan(&f);
        ASSERT_EQ(s->instances->len, 2);
        const VgpuType *t = s->types->pdata[0];
        ASSERT_EQ(t->available, 0);
        ASSERT_EQ(t->hint.id, VGPUD_HINT_DESTROY_INSTANCE);
        ASSERT_ERROR(create(&f, UUID_A, "vf"), ENOSPC);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_DESTROY_INSTANCE);
        ASSERT_ERROR(create_on(&f, UUID_A, "vf", "0000:03:00.1"), ENOSPC);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_CHOOSE_OTHER);
        ASSERT_ERROR(create_on(&f, UUID_A, "vf", "0000:03:00.2"), ENOSPC);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_CHOOSE_OTHER);
        /* A caller cannot request a VF of another program by name. */
        ASSERT_ERROR(create_on(&f, UUID_A, "vf", "0000:03:00.3"), EBUSY);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_IN_USE);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_RELEASE_VF);
        ASSERT_ERROR(create_on(&f, UUID_A, "vf", "0000:03:00.4"), EBUSY);
        ASSERT_NULL(f.slot);
        ASSERT_STREQ(fake_vf_override(f.pf, 2), "pci-stub");
        ASSERT_STREQ(fake_vf_driver(f.pf, 3), "accelvf");
}

static void test_no_vfio_driver(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 8, 2);
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;

        fake_pci_remove_driver(f.pci, "vfio-pci");
        s = scan(&f);
        ASSERT_EQ(s->hint.id, VGPUD_HINT_LOAD_DRIVER);
        ASSERT_ERROR(create(&f, UUID_A, "vf"), EOPNOTSUPP);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_LOAD_DRIVER);
        ASSERT_NULL(f.slot);
}

static int unplug(FakeKernel *k, const char *path, void *data)
{
        fake_pf_unplug(data);
        return 0;
}

static int disable(FakeKernel *k, const char *path, void *data)
{
        g_assert(fake_pf_enable(data, 0) >= 0);
        return 0;
}

static void test_scan_gone(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 8, 2);
        g_autofree char *path = g_strconcat(fake_vf_path(f.pf, 0), "/driver_override", NULL);
        GpuSnapshot *s = NULL;

        /* The VFs are disabled while scan() reads them … */
        fake_before(f.k, "read", path, disable, f.pf);
        s = scan(&f);
        bool empty = s->instances->len == 0 && s->unprepared;
        gpu_snapshot_unref(s);
        ASSERT_TRUE(empty);
        /* … and then the whole GPU is removed. */
        fake_pf_unplug(f.pf);
        s = NULL;
        ASSERT_ERROR(sriov_driver.scan(&f.t, &s, &f.e), ENOLINK);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_GPU_GONE);
        ASSERT_NULL(s);
}

/* One VF that cannot be read hides neither the instances nor the room of the others. */
static void test_unreadable_vf(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 8, 3);
        g_autofree char *path = g_strconcat(fake_vf_path(f.pf, 0), "/driver", NULL);
        g_autofree char *group = g_strconcat(fake_vf_path(f.pf, 1), "/iommu_group", NULL);
        const char *vf = fake_vf_name(f.pf, 0);

        fake_fail(f.k, "link", path, EACCES);
        GpuSnapshot *s = scan(&f);
        ASSERT_EQ(s->problems->len, 1);
        ASSERT_TRUE(gpu_snapshot_is_unread(s, vf));
        ASSERT_EQ(((const VgpuType *)s->types->pdata[0])->available, 2);
        ASSERT_CONTAINS(((const VgpuType *)s->types->pdata[0])->why_not, "1 of 3 VFs");
        gpu_snapshot_unref(s);
        ASSERT_OK(create(&f, UUID_A, "vf"));
        ASSERT_STREQ(f.made->slot, fake_vf_name(f.pf, 1));
        s = scan(&f);
        ASSERT_EQ(s->instances->len, 1);
        gpu_snapshot_unref(s);
        /* An instance with an unreadable file is left out, too. */
        fake_fail(f.k, "link", group, EIO);
        s = scan(&f);
        ASSERT_EQ(s->instances->len, 0);
        ASSERT_EQ(s->problems->len, 2);
        ASSERT_TRUE(gpu_snapshot_is_unread(s, fake_vf_name(f.pf, 1)));
        ASSERT_EQ(((const VgpuType *)s->types->pdata[0])->available, 1);
        gpu_snapshot_unref(s);
        fake_heal(f.k);
        fake_fail(f.k, "link", path, EACCES);
        ASSERT_EQ(destroy(&f, f.made), 1);
}

static void test_unreadable_vfs(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 8, 2);
        GpuSnapshot *s = NULL;

        for (unsigned n = 0; n < 2; n++) {
                g_autofree char *path = g_strconcat(fake_vf_path(f.pf, n), "/driver", NULL);

                fake_fail(f.k, "link", path, EACCES);
        }

        ASSERT_ERROR(sriov_driver.scan(&f.t, &s, &f.e), EIO);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_FAILED);
}

/* scan() reads one file, the driver and the IOMMU group of each VF. */
static void test_cost(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 64, 64);
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;

        ASSERT_OK(create(&f, UUID_A, "vf"));
        unsigned reads = fake_count(f.k, "read"), links = fake_count(f.k, "link");
        s = scan(&f);
        ASSERT_EQ(fake_count(f.k, "read") - reads, 64);
        ASSERT_EQ(fake_count(f.k, "link") - links, 2 * 64);
}

/* ---- create ---- */

static void test_writes_plain(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 8, 2);

        ASSERT_OK(create(&f, UUID_A, "vf"));
        ASSERT_STREQ(f.slot, "0000:03:00.1");
        ASSERT_NULL(f.restore);
        ASSERT_EQ(destroy(&f, f.made), 1);
        ASSERT_FALSE(fake_node_is_kept(f.k, "vfio/10"));
        ASSERT_EQ(destroy(&f, f.made), 0); /* no write follows, as the golden file shows */
        ASSERT_NULL(fake_vf_driver(f.pf, 0));
        ASSERT_NULL(fake_vf_override(f.pf, 0));
        check_golden(&f, "plain");
}

static void test_writes_xe(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_XE, 7, 2);

        fake_pci_add_driver(f.pci, "xe-vfio-pci");
        fake_set_aliases(f.k, "vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci\n"
                              "vfio_pci:v00008086d0000E20Bsv*sd*bc*sc*i* xe_vfio_pci");
        add_attribute(&f, "vram_quota", "4097M");
        add_attribute(&f, "exec_quantum_ms", "20");
        add_attribute(&f, "preempt_timeout_us", "5000");
        ASSERT_OK(create_on(&f, UUID_A, "vf-profile", "0000:03:00.2"));
        ASSERT_STREQ(f.made->driver, "xe-vfio-pci");
        ASSERT_STREQ(f.restore,
                     "quota.exec_quantum_ms=0 quota.preempt_timeout_us=0 quota.vram_quota=3221225472");
        /* The GPU rounds the value up. */
        ASSERT_STREQ(attribute(f.made, "vram_quota"), "4297064448");
        ASSERT_STREQ(attribute(f.made, "exec_quantum_ms"), "20");
        ASSERT_EQ(destroy(&f, f.made), 1);
        check_golden(&f, "xe");
        g_autofree char *vram = read_text(&f, XE "/sriov_admin/vf2/profile/vram_quota");
        ASSERT_STREQ(vram, "3221225472");
}

static void test_writes_i915(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_I915, 7, 2);

        add_attribute(&f, "ggtt_quota", "256M");
        add_attribute(&f, "contexts_quota", "1024");
        add_attribute(&f, "exec_quantum_ms", "10");
        ASSERT_OK(create(&f, UUID_A, "vf-profile"));
        ASSERT_STREQ(attribute(f.made, "ggtt_quota"), "268435456");
        ASSERT_STREQ(attribute(f.made, "exec_quantum_ms"), "10");
        ASSERT_EQ(destroy(&f, f.made), 1);
        check_golden(&f, "i915");
        g_autofree char *media = read_text(&f, I915 "/drm/card1/iov/vf1/gt1/exec_quantum_ms");
        ASSERT_STREQ(media, "0");
}

/* i915 rounds the number of contexts up to a multiple of 128. */
static void test_i915_contexts(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_I915, 7, 2);

        set_attribute(&f, "contexts_quota", "1000");
        ASSERT_OK(create(&f, UUID_A, "vf-profile"));
        ASSERT_STREQ(attribute(f.made, "contexts_quota"), "1024");
        ASSERT_EQ(destroy(&f, f.made), 1);
        /* A VF that has the quotas already is chosen. */
        ASSERT_OK(vgpu_io_write(f.io, I915 "/drm/card1/iov/vf2/gt0/contexts_quota", "1024"));
        ASSERT_OK(vgpu_io_write(f.io, I915 "/drm/card1/iov/vf2/gt1/contexts_quota", "1024"));
        ASSERT_OK(create(&f, UUID_A, "vf-profile"));
        ASSERT_STREQ(f.made->slot, "0000:00:02.2");
        /* The rounded value would exceed 16 bits. */
        set_attribute(&f, "contexts_quota", "65409");
        ASSERT_ERROR(create(&f, UUID_B, "vf-profile"), EINVAL);
}

/* Each GT has its own value, and destroy() restores both values. */
static void test_i915_gts(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_I915, 7, 2);

        ASSERT_OK(vgpu_io_write(f.io, I915 "/drm/card1/iov/vf1/gt0/exec_quantum_ms", "20"));
        ASSERT_OK(vgpu_io_write(f.io, I915 "/drm/card1/iov/vf1/gt1/exec_quantum_ms", "5"));
        ASSERT_OK(create_on(&f, UUID_A, "vf", "0000:00:02.1"));
        ASSERT_STREQ(attribute(f.made, "exec_quantum_ms"), "different on parts of the GPU");
        ASSERT_EQ(destroy(&f, f.made), 1);
        add_attribute(&f, "exec_quantum_ms", "50");
        add_attribute(&f, "ggtt_quota", "256M"); /* gt1 lacks this quota */
        ASSERT_OK(create_on(&f, UUID_A, "vf-profile", "0000:00:02.1"));
        ASSERT_CONTAINS(f.restore,
                        "quota.gt0/exec_quantum_ms=20 quota.gt1/exec_quantum_ms=5 quota.ggtt_quota=");
        ASSERT_STREQ(attribute(f.made, "exec_quantum_ms"), "50");
        ASSERT_STREQ(attribute(f.made, "ggtt_quota"), "268435456");
        ASSERT_EQ(destroy(&f, f.made), 1);
        g_autofree char *main = read_text(&f, I915 "/drm/card1/iov/vf1/gt0/exec_quantum_ms");
        ASSERT_STREQ(main, "20");
        g_autofree char *media = read_text(&f, I915 "/drm/card1/iov/vf1/gt1/exec_quantum_ms");
        ASSERT_STREQ(media, "5");
        /* A create that fails restores both values as well. */
        add_attribute(&f, "doorbells_quota", "300");
        ASSERT_ERROR(create_on(&f, UUID_A, "vf-profile", "0000:00:02.1"), ENOSPC);
        g_autofree char *again = read_text(&f, I915 "/drm/card1/iov/vf1/gt1/exec_quantum_ms");
        ASSERT_STREQ(again, "5");
}

/* ---- automatic provisioning of i915 ---- */

#define IOV       I915 "/drm/card1/iov"
#define AUTOMATIC IOV "/pf/auto_provisioning"
#define NOTE      "auto-provisioning"

/* Create and destroy an instance of the type vf-profile. */
static void make_profile(Fixture *f)
{
        set_attribute(f, "exec_quantum_ms", "10");
        ASSERT_OK(create(f, UUID_A, "vf-profile"));
        ASSERT_EQ(destroy(f, f->made), 1);
}

static bool is_automatic(Fixture *f)
{
        g_autofree char *text = read_text(f, AUTOMATIC);

        return strcmp(text, "1") == 0;
}

/* Sets the number of VFs. Returns 1 if the last VF has resources, 0 if it has none. */
static int set_vfs(Fixture *f, uint32_t count)
{
        const GpuNotes *notes = f->t.notes;
        g_autofree char *path = g_strdup_printf(IOV "/vf%u/gt0/ggtt_quota", count), *quota = NULL;
        uint32_t got;
        int r;

        vgpud_error_done(&f->e);
        r = checked(f, sriov_driver.set_vfs(&f->t, count, &got, &f->e));
        read_facts(f);
        f->t.notes = notes;

        if (r < 0 || count == 0)
                return r;

        quota = read_text(f, path);

        return strcmp(quota, "0") != 0;
}

static bool is_noted(const GpuNotes *notes)
{
        g_autofree char *text = gpu_note_read(notes, NOTE);

        return text;
}

/* i915 switches automatic provisioning off when a quota is written. */
static void test_i915_automatic(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_I915, 7, 2);
        _cleanup_scratch_ Scratch s = scratch_new();
        const GpuNotes notes = { s.fd, "0000:00:02.0" };

        f.t.notes = &notes;
        make_profile(&f);
        ASSERT_FALSE(is_automatic(&f));
        ASSERT_TRUE(is_noted(&notes));
        ASSERT_OK(set_vfs(&f, 0));
        ASSERT_TRUE(is_automatic(&f));
        ASSERT_FALSE(is_noted(&notes));
        ASSERT_EQ(set_vfs(&f, 3), 1);
        /* A change from 3 to 4 VFs goes through 0, and restores automatic provisioning on its way. */
        make_profile(&f);
        ASSERT_EQ(set_vfs(&f, 4), 1);
        ASSERT_TRUE(is_automatic(&f));
        ASSERT_FALSE(is_noted(&notes));
        /* A create whose quotas are set already writes no quota, so automatic provisioning stays on. */
        set_attribute(&f, "preempt_timeout_us", "0");
        ASSERT_OK(create(&f, UUID_A, "vf-profile"));
        ASSERT_TRUE(is_automatic(&f));
        ASSERT_FALSE(is_noted(&notes));
}

/* vgpud is killed at any step, or another program interferes: the note says whether vgpud has to switch
 * automatic provisioning on. */
static void test_i915_automatic_killed(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_I915, 7, 2);
        _cleanup_scratch_ Scratch s = scratch_new();
        const GpuNotes notes = { s.fd, "0000:00:02.0" };
        g_autofree char *note = NULL;
        uint64_t identity;

        f.t.notes = &notes;
        /* vgpud was killed after the VFs were disabled. */
        make_profile(&f);
        ASSERT_OK(fake_pf_enable(f.pf, 0));
        ASSERT_EQ(set_vfs(&f, 3), 1);
        make_profile(&f);
        ASSERT_OK(fake_pf_enable(f.pf, 0));
        ASSERT_OK(set_vfs(&f, 0));
        ASSERT_TRUE(is_automatic(&f));
        /* vgpud was killed before the quota was written. The next scan drops the note. */
        ASSERT_EQ(set_vfs(&f, 2), 1);
        ASSERT_OK(vgpu_io_identify(f.io, AUTOMATIC, &identity));
        note = g_strdup_printf("%" PRIu64, identity);
        gpu_note_write(&notes, NOTE, note);
        ASSERT_EQ(available(&f, "vf"), 2);
        ASSERT_FALSE(is_noted(&notes));
        /* The note names another inode, so it does not hold for this file. */
        gpu_note_write(&notes, NOTE, "4711");
        ASSERT_OK(vgpu_io_write(f.io, AUTOMATIC, "0"));
        ASSERT_OK(set_vfs(&f, 0));
        ASSERT_FALSE(is_noted(&notes));
        ASSERT_FALSE(is_automatic(&f));
        ASSERT_OK(vgpu_io_write(f.io, AUTOMATIC, "1"));
        /* The restore of automatic provisioning fails, and the next request tries again. */
        ASSERT_EQ(set_vfs(&f, 2), 1);
        make_profile(&f);
        fake_fail(f.k, "write", AUTOMATIC, ESTALE);
        ASSERT_OK(set_vfs(&f, 0));
        ASSERT_TRUE(is_noted(&notes));
        ASSERT_ERROR(set_vfs(&f, 3), EIO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_CONFIGURE_GPU);
        ASSERT_EQ(f.facts->enabled_vfs, 0);
        fake_heal(f.k);
        ASSERT_EQ(set_vfs(&f, 3), 1);
}

/* If an administrator has switched automatic provisioning off, it stays off. VFs without resources cannot be
 * enabled. */
static void test_i915_automatic_off(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_I915, 7, 0);
        _cleanup_scratch_ Scratch s = scratch_new();
        const GpuNotes notes = { s.fd, "0000:00:02.0" };

        f.t.notes = &notes;
        ASSERT_OK(vgpu_io_write(f.io, AUTOMATIC, "0"));
        ASSERT_ERROR(set_vfs(&f, 1), EIO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_CONFIGURE_GPU);
        ASSERT_OK(vgpu_io_write(f.io, IOV "/vf1/gt0/ggtt_quota", "268435456"));
        ASSERT_ERROR(set_vfs(&f, 1), EIO);
        ASSERT_EQ(f.e.errnum, ENOKEY);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_CONFIGURE_GPU);
        ASSERT_OK(vgpu_io_write(f.io, IOV "/vf1/gt0/contexts_quota", "1024"));
        ASSERT_OK(vgpu_io_write(f.io, IOV "/vf1/gt1/contexts_quota", "1024"));
        ASSERT_EQ(set_vfs(&f, 1), 1);
        make_profile(&f);
        ASSERT_FALSE(is_noted(&notes));
        ASSERT_ERROR(set_vfs(&f, 2), EIO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_CONFIGURE_GPU);
        ASSERT_EQ(f.facts->enabled_vfs, 0);
        ASSERT_FALSE(is_automatic(&f));
        ASSERT_EQ(set_vfs(&f, 1), 1); /* resources provisioned by hand stay */
}

/* A VF returns to the driver of the host. */
static void test_restores_driver(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_XE, 7, 0);

        ASSERT_OK(fake_pf_enable(f.pf, 2)); /* the driver of the host is bound, because autoprobe is on */
        read_facts(&f);
        ASSERT_EQ(available(&f, "vf"), 2);
        ASSERT_OK(create(&f, UUID_A, "vf"));
        ASSERT_STREQ(f.restore, "driver=xe");
        ASSERT_EQ(destroy(&f, f.made), 1);
        ASSERT_STREQ(fake_vf_driver(f.pf, 0), "xe");
        ASSERT_NULL(fake_vf_override(f.pf, 0));
        /* Quotas are not changed while the driver uses the VF. */
        set_attribute(&f, "exec_quantum_ms", "5");
        f.t.parent_hint = 0;
        ASSERT_OK(create(&f, UUID_A, "vf-profile"));
        ASSERT_STREQ(f.restore, "driver=xe quota.exec_quantum_ms=0");
        ASSERT_EQ(destroy(&f, f.made), 1);
        ASSERT_STREQ(fake_vf_driver(f.pf, 0), "xe");
        check_golden(&f, "driver");
        /* The driver to restore is no longer loaded: the VF is left without a driver. */
        g_ptr_array_set_size(f.attributes, 0);
        ASSERT_OK(create_on(&f, UUID_A, "vf", "0000:03:00.1"));
        g_free(f.made->restore);
        f.made->restore = g_strdup("driver=gone");
        ASSERT_EQ(destroy(&f, f.made), 1);
        ASSERT_NULL(fake_vf_driver(f.pf, 0));
}

/* The driver of the host refuses the VF: the VF is left free and not reserved. */
static void test_driver_refuses_it(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_XE, 7, 0);

        ASSERT_OK(fake_pf_enable(f.pf, 1));
        read_facts(&f);
        ASSERT_OK(create(&f, UUID_A, "vf"));
        fake_pci_fail_probe(f.pci, "xe", EIO);
        ASSERT_ERROR(destroy(&f, f.made), EIO);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_FAILED);
        ASSERT_EQ(f.e.errnum, EIO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_SEE_KERNEL_LOG);
        ASSERT_NULL(fake_vf_driver(f.pf, 0));
        ASSERT_NULL(fake_vf_override(f.pf, 0));
        ASSERT_EQ(available(&f, "vf"), 1);
        ASSERT_EQ(destroy(&f, f.made), 0);
        /* If driver_override cannot be written, the instance stays, and a second destroy() succeeds. */
        ASSERT_OK(create(&f, UUID_B, "vf"));
        g_autofree char *override = g_strconcat(fake_vf_path(f.pf, 0), "/driver_override", NULL);
        fake_fail(f.k, "write", override, EIO);
        ASSERT_ERROR(destroy(&f, f.made), EIO);
        ASSERT_EQ(f.e.errnum, EIO);
        fake_heal(f.k);
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = scan(&f);
        ASSERT_EQ(s->instances->len, 1); /* the instance can still be destroyed */
        ASSERT_EQ(destroy(&f, f.made), 1);
        ASSERT_EQ(available(&f, "vf"), 1);
}

/* If a VF fails, the next VF is tried. */
static void test_next_one(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 8, 5);

        fake_vf_fail_probe(f.pf, 0, EIO);
        ASSERT_OK(create(&f, UUID_A, "vf"));
        ASSERT_STREQ(f.slot, "0000:03:00.2");
        ASSERT_NULL(fake_vf_override(f.pf, 0));
        ASSERT_EQ(available(&f, "vf"), 4);
        ASSERT_EQ(destroy(&f, f.made), 1);
        /* If the caller names a VF, no other VF is tried. */
        ASSERT_ERROR(create_on(&f, UUID_A, "vf", "0000:03:00.1"), EIO);
        ASSERT_STREQ(f.slot, "0000:03:00.1");
        ASSERT_EQ(f.e.errnum, EIO);

        /* Three VFs are tried, so the fourth is not in the message. */
        for (unsigned i = 0; i < 4; i++)
                fake_vf_fail_probe(f.pf, i, i == 1 ? ENOMEM : EIO);
        f.t.parent_hint = 0;
        ASSERT_ERROR(create(&f, UUID_A, "vf"), EIO);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_FAILED);
        ASSERT_EQ(f.e.errnum, EIO);
        ASSERT_FALSE(strstr(f.e.message, "0000:03:00.4"));
        ASSERT_EQ(available(&f, "vf"), 5);
        /* The error says that vfio-pci does not support the VF, so no other VF is tried. */
        f.t.parent_hint = 0;
        fake_vf_fail_probe(f.pf, 0, ENODEV);
        ASSERT_ERROR(create(&f, UUID_A, "vf"), EOPNOTSUPP);
        ASSERT_STREQ(f.slot, "0000:03:00.1");

        for (unsigned i = 0; i < 5; i++)
                ASSERT_NULL(fake_vf_override(f.pf, i));
}

/* A program has the render node open that the driver of the host provides for the VF. */
static void test_program_uses_it(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_XE, 7, 0);

        ASSERT_OK(fake_pf_enable(f.pf, 2));
        read_facts(&f);

        for (unsigned i = 0; i < 2; i++) {
                g_autofree char *render = g_strdup_printf("%s/drm/renderD%u", fake_vf_path(f.pf, i), 129 + i);
                g_autofree char *node = g_strdup_printf("dri/renderD%u", 129 + i);

                fake_add_directory(f.k, render);
                fake_add_node(f.k, node);
        }

        fake_hold_node(f.k, "dri/renderD129", 815, "ffmpeg");
        ASSERT_OK(create(&f, UUID_A, "vf"));
        ASSERT_STREQ(f.slot, "0000:03:00.2");
        ASSERT_EQ(destroy(&f, f.made), 1);
        g_autofree char *before = fake_writes(f.k);
        ASSERT_ERROR(create_on(&f, UUID_A, "vf", "0000:03:00.1"), EBUSY);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_IN_USE);
        ASSERT_EQ(f.e.errnum, EBUSY);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_STOP_USER);
        ASSERT_CONTAINS(f.e.message, "process 815 (ffmpeg) has /dev/dri/renderD129 open");
        fake_hold_node(f.k, "dri/renderD130", 816, "steam");
        ASSERT_ERROR(create(&f, UUID_A, "vf"), EBUSY);
        ASSERT_CONTAINS(f.e.message, "process 815 (ffmpeg)");
        ASSERT_CONTAINS(f.e.message, "process 816 (steam)");
        fake_hold_node(f.k, "dri/renderD129", 0, NULL);
        fake_hold_node(f.k, "dri/renderD130", 0, NULL);
        fake_deny_processes(f.k);
        ASSERT_ERROR(create(&f, UUID_A, "vf"), EBUSY);
        ASSERT_EQ(f.e.errnum, EACCES);
        g_autofree char *after = fake_writes(f.k);
        ASSERT_STREQ(after, before);
        ASSERT_EQ(available(&f, "vf"), 2);
}

static void hold_by_program(Fixture *f, unsigned n)
{
        g_autofree char *render = g_strdup_printf("%s/drm/renderD%u", fake_vf_path(f->pf, n), 129 + n);
        g_autofree char *node = g_strdup_printf("dri/renderD%u", 129 + n);

        fake_add_directory(f->k, render);
        fake_add_node(f->k, node);
        fake_hold_node(f->k, node, 815 + (int)n, "ffmpeg");
}

/* Programs of the host use the first six VFs. All six are skipped, and the seventh VF is taken. */
static void test_many_in_use(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_XE, 7, 0);

        ASSERT_OK(fake_pf_enable(f.pf, 7));
        read_facts(&f);

        for (unsigned i = 0; i < 6; i++)
                hold_by_program(&f, i);
        ASSERT_EQ(available(&f, "vf"), 7);
        ASSERT_OK(create(&f, UUID_A, "vf"));
        ASSERT_STREQ(f.slot, "0000:03:00.7");
        ASSERT_EQ(destroy(&f, f.made), 1);
        /* All VFs are in use: the message names the first users. */
        hold_by_program(&f, 6);
        f.t.parent_hint = 0;
        g_autofree char *before = fake_writes(f.k);
        ASSERT_ERROR(create(&f, UUID_A, "vf"), EBUSY);
        g_autofree char *after = fake_writes(f.k);
        ASSERT_STREQ(after, before);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_IN_USE);
        ASSERT_EQ(f.e.errnum, EBUSY);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_STOP_USER);
        ASSERT_CONTAINS(f.e.message, "process 815 (ffmpeg)");
        ASSERT_CONTAINS(f.e.message, "process 817 (ffmpeg)");
        ASSERT_EQ(f.e.errnum, EBUSY);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_STOP_USER);
        ASSERT_FALSE(strstr(f.e.message, "process 818"));
}

/* The first two VFs have no driver, so they are tried first, and fail. Skipped VFs in use do not count as
 * tries, so the sixth VF is reached. */
static void test_in_use_and_broken(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_XE, 7, 0);

        ASSERT_OK(fake_pf_enable(f.pf, 6));
        read_facts(&f);

        for (unsigned i = 0; i < 2; i++) {
                ASSERT_OK(vfs_bind(f.io, f.facts->vfs->pdata[i], NULL, NULL, NULL));
                fake_vf_fail_probe(f.pf, i, EIO);
        }

        for (unsigned i = 2; i < 5; i++)
                hold_by_program(&f, i);
        ASSERT_OK(create(&f, UUID_A, "vf"));
        ASSERT_STREQ(f.slot, "0000:03:00.6");
        f.t.parent_hint = 0;
        ASSERT_ERROR(create(&f, UUID_B, "vf"), EIO);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_FAILED);
        ASSERT_EQ(f.e.errnum, EIO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_SEE_KERNEL_LOG);
        ASSERT_CONTAINS(f.e.message, "process 819 (ffmpeg)");
}

/* VFs without a driver come first, also for several instances of one job. */
static void test_chooses(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 8, 3);

        ASSERT_OK(vfs_bind(f.io, f.facts->vfs->pdata[0], "accelvf", NULL, NULL));
        ASSERT_OK(create(&f, UUID_A, "vf"));
        ASSERT_STREQ(f.slot, "0000:03:00.2");
        ASSERT_OK(create(&f, UUID_B, "vf"));
        ASSERT_STREQ(f.slot, "0000:03:00.3");
        ASSERT_OK(create(&f, UUID_C, "vf"));
        ASSERT_STREQ(f.slot, "0000:03:00.1");
        ASSERT_STREQ(f.restore, "driver=accelvf");
        ASSERT_EQ(available(&f, "vf"), 0);
        ASSERT_ERROR(create(&f, "44444444-0000-4000-8000-000000000004", "vf"), ENOSPC);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_DESTROY_INSTANCE);
}

/* A VF that has the quotas already is preferred, because the driver might refuse a write. */
static void test_chooses_quota(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_XE, 7, 3);

        ASSERT_OK(vgpu_io_write(f.io, XE "/sriov_admin/vf2/profile/vram_quota", "1073741824"));
        fake_fail(f.k, "write", XE "/sriov_admin/vf2/profile/vram_quota", EBUSY);
        set_attribute(&f, "vram_quota", "1G");
        ASSERT_OK(create(&f, UUID_A, "vf-profile"));
        ASSERT_STREQ(f.slot, "0000:03:00.2");
        ASSERT_EQ(destroy(&f, f.made), 1);
        /* The next create uses VF 2 again. The create after that has to write the quotas of VF 3. */
        ASSERT_OK(create(&f, UUID_A, "vf-profile"));
        ASSERT_OK(create(&f, UUID_B, "vf-profile"));
        ASSERT_STREQ(f.slot, "0000:03:00.3");
}

/* xe has rounded a quota up, and refuses further changes. A request for the value from before the rounding
 * still gets the VF with the rounded quota. */
static void test_chooses_rounded_quota(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_XE, 7, 3);
        static const char *const files[] = { XE "/sriov_admin/vf1/profile/vram_quota",
                                             XE "/sriov_admin/vf2/profile/vram_quota",
                                             XE "/sriov_admin/vf3/profile/vram_quota" };

        ASSERT_OK(vgpu_io_write(f.io, files[1], "1000000000"));
        g_autofree char *rounded = read_text(&f, files[1]);
        ASSERT_STREQ(rounded, "1000341504");

        for (size_t i = 0; i < G_N_ELEMENTS(files); i++)
                fake_fail(f.k, "write", files[i], EBUSY);
        set_attribute(&f, "vram_quota", "1000000000");
        ASSERT_OK(create(&f, UUID_A, "vf-profile"));
        ASSERT_STREQ(f.slot, "0000:03:00.2");
        ASSERT_STREQ(attribute(f.made, "vram_quota"), "1000341504");
        ASSERT_EQ(destroy(&f, f.made), 1);
        /* A VF with a much larger quota does not match the request, and a smaller quota does not suffice. */
        set_attribute(&f, "vram_quota", "900000000");
        ASSERT_ERROR(create(&f, UUID_A, "vf-profile"), EIO);
        ASSERT_EQ(f.e.errnum, EBUSY);
        set_attribute(&f, "vram_quota", "1000341505");
        ASSERT_ERROR(create(&f, UUID_A, "vf-profile"), EIO);
        ASSERT_EQ(f.e.errnum, EBUSY);
}

static void test_arguments(void)
{
        static const struct {
                const char *uuid, *type, *parent, *name, *value;
                VgpudErrorCode code;
        } table[] = {
                { "nonsense", "vf", NULL, NULL, NULL, VGPUD_ERROR_INVALID },
                { UUID_A, "vf2", NULL, NULL, NULL, VGPUD_ERROR_NO_SUCH_TYPE },
                { UUID_A, "vf", "0000:03:00.0", NULL, NULL, VGPUD_ERROR_INVALID },
                { UUID_A, "vf", NULL, "vram_quota", "1G", VGPUD_ERROR_INVALID },
                { UUID_A, "vf-profile", NULL, NULL, NULL, VGPUD_ERROR_INVALID },
                { UUID_A, "vf-profile", NULL, "ggtt_quota", "1G", VGPUD_ERROR_INVALID },
                { UUID_A, "vf-profile", NULL, "vram_quota", "much", VGPUD_ERROR_INVALID },
                { UUID_A, "vf-profile", NULL, "vram_quota", "-1", VGPUD_ERROR_INVALID },
                { UUID_A, "vf-profile", NULL, "exec_quantum_ms", "100001", VGPUD_ERROR_INVALID },
                { UUID_A, "vf-profile", NULL, "exec_quantum_ms", "1K", VGPUD_ERROR_INVALID },
                { UUID_A, "vf-profile", NULL, "sched_priority", "[low]", VGPUD_ERROR_INVALID },
        };
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_XE, 7, 2);
        g_autofree char *before = fake_writes(f.k);

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_ptr_array_set_size(f.attributes, 0);
                if (table[i].name)
                        add_attribute(&f, table[i].name, table[i].value);
                ASSERT_ERROR(create_on(&f, table[i].uuid, table[i].type, table[i].parent),
                             vgpud_error_code_to_errno(table[i].code));
                ASSERT_EQ(f.e.code, table[i].code);
                ASSERT_NULL(f.slot);
        }

        g_autofree char *after = fake_writes(f.k);
        ASSERT_STREQ(after, before);
}

static void test_no_profile(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 8, 2);

        ASSERT_ERROR(create(&f, UUID_A, "vf-profile"), ENOENT);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_NO_SUCH_TYPE);
        set_attribute(&f, "vram_quota", "1G");
        ASSERT_ERROR(create(&f, UUID_A, "vf"), EINVAL);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_NONE);
}

static void test_claim_fails(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 8, 2);
        g_autofree char *before = fake_writes(f.k), *after = NULL;

        f.claim_result = -EROFS;
        ASSERT_ERROR(create(&f, UUID_A, "vf"), EIO);
        ASSERT_EQ(f.e.errnum, EROFS);
        after = fake_writes(f.k);
        ASSERT_STREQ(after, before);
        /* A caller without a callback for reservations can create an instance. */
        ASSERT_OK(sriov_driver.create(&f.t, &(CreateArgs){ .uuid = UUID_A, .type_id = "vf" }, &f.made, &f.e));
}

static void test_bind_fails(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_XE, 7, 2);

        add_attribute(&f, "exec_quantum_ms", "20");
        fake_pci_fail_probe(f.pci, "vfio-pci", EIO);
        ASSERT_ERROR(create(&f, UUID_A, "vf-profile"), EIO);
        ASSERT_EQ(f.e.errnum, EIO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_SEE_KERNEL_LOG);
        check_golden(&f, "rollback");
        ASSERT_NULL(fake_vf_override(f.pf, 0));
        g_autofree char *quantum = read_text(&f, XE "/sriov_admin/vf1/profile/exec_quantum_ms");
        ASSERT_STREQ(quantum, "0");
        ASSERT_EQ(available(&f, "vf"), 2);
}

static int spoil_override(FakeKernel *k, const char *path, void *data)
{
        fake_fail(k, "write", data, ENOMEM);
        return -EIO;
}

static void test_inconsistent(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 8, 2);
        g_autofree char *path = g_strconcat(fake_vf_path(f.pf, 0), "/driver_override", NULL);

        fake_before(f.k, "write", "bus/pci/drivers_probe", spoil_override, path);
        fake_pci_fail_probe(f.pci, "vfio-pci", EIO);
        ASSERT_ERROR(create(&f, UUID_A, "vf"), ENOTRECOVERABLE);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_INCONSISTENT);
        ASSERT_EQ(f.e.errnum, EIO);
        /* The half-made instance shows and can be destroyed. */
        fake_heal(f.k);
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = scan(&f);
        ASSERT_EQ(s->instances->len, 1);
        const InstanceDesc *d = s->instances->pdata[0];
        ASSERT_NULL(d->driver);
        ASSERT_EQ(destroy(&f, d), 1);
        ASSERT_NULL(fake_vf_override(f.pf, 0));
        ASSERT_EQ(available(&f, "vf"), 2);
}

static void test_no_iommu(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 8, 0);

        fake_pf_set_iommu(f.pf, false, false);
        ASSERT_OK(fake_pf_enable(f.pf, 1));
        read_facts(&f);
        ASSERT_ERROR(create(&f, UUID_A, "vf"), EOPNOTSUPP);
        ASSERT_EQ(f.e.errnum, EINVAL);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_ENABLE_IOMMU);
        ASSERT_STREQ(fake_vf_driver(f.pf, 0), "accelvf");
}

/* VFIO created a group without an IOMMU (enable_unsafe_noiommu_mode), which no VM can use. */
static void test_noiommu(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 8, 0);
        uint32_t got;

        fake_pf_set_noiommu(f.pf);
        ASSERT_OK(sriov_driver.set_vfs(&f.t, 2, &got, NULL));
        read_facts(&f);
        ASSERT_ERROR(create(&f, UUID_A, "vf"), EOPNOTSUPP);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_UNSUPPORTED);
        ASSERT_NULL(fake_vf_driver(f.pf, 0));
        ASSERT_NULL(fake_vf_override(f.pf, 0));
        ASSERT_EQ(available(&f, "vf"), 2);
        /* A VF that another program has bound can be destroyed, unless it is in use. */
        ASSERT_OK(vfs_bind(f.io, f.facts->vfs->pdata[0], "vfio-pci", "vfio-pci", NULL));
        g_autofree char *node = g_strdup_printf("vfio/noiommu-%d", fake_vf_group(f.pf, 0));
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = scan(&f);
        ASSERT_EQ(s->instances->len, 1);
        const InstanceDesc *d = s->instances->pdata[0];
        ASSERT_EQ(d->iommu_group, -1);
        fake_hold_node(f.k, node, 4711, "dpdk-testpmd");
        ASSERT_ERROR(destroy(&f, d), EBUSY);
        ASSERT_CONTAINS(f.e.message, "process 4711 (dpdk-testpmd)");
        ASSERT_ERROR(sriov_driver.set_vfs(&f.t, 0, &got, &f.e), EBUSY);
        fake_hold_node(f.k, node, 0, NULL);
        ASSERT_EQ(destroy(&f, d), 1);
        ASSERT_OK(sriov_driver.set_vfs(&f.t, 0, &got, NULL));
}

/* VFs of a card without ACS share a group, and a VM gets all of a group or none. */
static void test_shared_group(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_XE, 7, 2);
        g_autofree char *before = NULL, *after = NULL;
        GpuSnapshot *s;

        fake_add_directory(f.k, "kernel/iommu_groups/11/devices/0000:03:00.0");
        fake_add_directory(f.k, "kernel/iommu_groups/10/devices/0000:03:00.0");
        fake_add_directory(f.k, "kernel/iommu_groups/10/devices/0000:03:00.1");
        fake_add_directory(f.k, "kernel/iommu_groups/10/devices/0000:03:00.2");
        fake_add_directory(f.k, "kernel/iommu_groups/10/devices/0000:00:01.0");
        fake_add_link(f.k, "bus/pci/devices/0000:03:00.0", XE);
        fake_add_link(f.k, "bus/pci/devices/0000:00:01.0", "devices/pci0000:00/0000:00:01.0");
        fake_add_link(f.k, "devices/pci0000:00/0000:00:01.0/driver", "bus/pci/drivers/pcieport");
        fake_add_file(f.k, "devices/pci0000:00/0000:00:01.0/class", "0x060400\n");
        before = fake_writes(f.k);
        s = scan(&f);
        const VgpuType *t = gpu_snapshot_find_type(s, "vf", NULL);
        ASSERT_EQ(t->available, 0);
        ASSERT_CONTAINS(t->why_not, "0000:03:00.0");
        ASSERT_EQ(t->hint.id, VGPUD_HINT_ENABLE_ACS);
        ASSERT_EQ(s->problems->len, 1);
        gpu_snapshot_unref(s);
        ASSERT_ERROR(create(&f, UUID_A, "vf"), EOPNOTSUPP);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_UNSUPPORTED);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_ENABLE_ACS);
        ASSERT_NULL(f.slot);
        after = fake_writes(f.k);
        ASSERT_STREQ(after, before);
        /* Bridges in the group do no harm, nor do functions without a driver or with a driver of VFIO. */
        fake_remove(f.k, "kernel/iommu_groups/10/devices/0000:03:00.0");
        ASSERT_OK(vfs_bind(f.io, f.facts->vfs->pdata[1], "vfio-pci", "vfio-pci", NULL));
        ASSERT_OK(create_on(&f, UUID_A, "vf", "0000:03:00.1"));
}

static void test_gone_while_creating(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 8, 2);

        fake_before(f.k, "write", "bus/pci/drivers_probe", unplug, f.pf);
        ASSERT_ERROR(create(&f, UUID_A, "vf"), ENOLINK);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_GPU_GONE);
}

static int unplug_at_rollback(FakeKernel *k, const char *path, void *data)
{
        Fixture *f = data;
        g_autofree char *override = g_strconcat(fake_vf_path(f->pf, 0), "/driver_override", NULL);

        fake_heal(k);
        fake_before(k, "write", override, unplug, f->pf);

        return 0;
}

static void test_gone_while_undoing(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 8, 1);

        fake_vf_fail_probe(f.pf, 0, EIO);
        fake_before(f.k, "write", "bus/pci/drivers/vfio-pci/bind", unplug_at_rollback, &f);
        ASSERT_ERROR(create(&f, UUID_A, "vf"), ENOLINK);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_GPU_GONE);
}

/* Another program binds the VF to accelvf before the first write of a create, or before the unbind of a
 * destroy. */
static int bind_to_accel(FakeKernel *k, const char *path, void *data)
{
        Fixture *f = data;
        g_autofree char *override = g_strconcat(fake_vf_path(f->pf, 0), "/driver_override", NULL);

        fake_heal(k);
        (void)vgpu_io_write(f->io, "bus/pci/drivers/vfio-pci/unbind", "0000:03:00.1");
        ASSERT_OK(vgpu_io_write(f->io, override, "accelvf"));
        ASSERT_OK(vgpu_io_write(f->io, "bus/pci/drivers/accelvf/bind", "0000:03:00.1"));

        return 0;
}

static void test_races_of_a_rival(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 8, 1);
        g_autofree char *override = g_strconcat(fake_vf_path(f.pf, 0), "/driver_override", NULL);

        fake_before(f.k, "write", override, bind_to_accel, &f);
        ASSERT_ERROR(create(&f, UUID_A, "vf"), EIO);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_FAILED);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_STOP_OTHER_TOOL);
        ASSERT_STREQ(fake_vf_driver(f.pf, 0), "accelvf");
        ASSERT_NULL(fake_vf_override(f.pf, 0));

        ASSERT_OK(vfs_bind(f.io, f.facts->vfs->pdata[0], NULL, NULL, NULL));
        ASSERT_OK(create(&f, UUID_A, "vf"));
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = scan(&f);
        ASSERT_EQ(s->instances->len, 1);
        fake_before(f.k, "write", "bus/pci/drivers/vfio-pci/unbind", bind_to_accel, &f);
        ASSERT_ERROR(destroy(&f, s->instances->pdata[0]), EIO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_STOP_OTHER_TOOL);
        ASSERT_STREQ(fake_vf_driver(f.pf, 0), "accelvf");
}

/* ---- quotas: every errno of xe and i915 ---- */

typedef struct QuotaErrno {
        int eno;
        VgpudErrorCode code;
} QuotaErrno;

static int heal_after(FakeKernel *k, const char *path, void *data)
{
        int eno = *(int *)data;

        /* The rollback succeeds. */
        if (eno == 0)
                return 0;

        *(int *)data = 0;

        return -eno;
}

static void check_quota_errnos(FakePfModel model, const char *path, const char *name, const QuotaErrno *table,
                               size_t n)
{
        for (size_t i = 0; i < n; i++) {
                _cleanup_fixture_ Fixture f = with_pf(model, 7, 1);
                int eno = table[i].eno;

                set_attribute(&f, name, "16");
                fake_before(f.k, "write", path, heal_after, &eno);
                ASSERT_ERROR(create(&f, UUID_A, "vf-profile"), vgpud_error_code_to_errno(table[i].code));
                ASSERT_EQ(f.e.code, table[i].code);
                ASSERT_EQ(f.e.errnum, table[i].eno);
                ASSERT_NULL(fake_vf_override(f.pf, 0));
                ASSERT_NULL(fake_vf_driver(f.pf, 0));
                ASSERT_OK(create_on(&f, UUID_A, "vf-profile", fake_vf_name(f.pf, 0)));
        }
}

static void test_quota_errno_xe(void)
{
        static const QuotaErrno table[] = {
                { EINVAL, VGPUD_ERROR_INVALID },         { ERANGE, VGPUD_ERROR_INVALID },
                { EPERM, VGPUD_ERROR_UNSUPPORTED },      { EACCES, VGPUD_ERROR_UNSUPPORTED },
                { EOPNOTSUPP, VGPUD_ERROR_UNSUPPORTED }, { ENODEV, VGPUD_ERROR_UNSUPPORTED },
                { ENOSPC, VGPUD_ERROR_NO_CAPACITY },     { EIO, VGPUD_ERROR_FAILED },
                { EUCLEAN, VGPUD_ERROR_FAILED },         { ENODATA, VGPUD_ERROR_FAILED },
                { EBUSY, VGPUD_ERROR_FAILED },           { ECANCELED, VGPUD_ERROR_FAILED },
                { ENOKEY, VGPUD_ERROR_FAILED },          { EPROTO, VGPUD_ERROR_FAILED },
                { ENXIO, VGPUD_ERROR_FAILED },
        };

        check_quota_errnos(FAKE_PF_XE, XE "/sriov_admin/vf1/profile/exec_quantum_ms", "exec_quantum_ms", table,
                           G_N_ELEMENTS(table));
}

static void test_quota_errno_i915(void)
{
        static const QuotaErrno table[] = {
                { EINVAL, VGPUD_ERROR_INVALID },         { EDQUOT, VGPUD_ERROR_NO_CAPACITY },
                { E2BIG, VGPUD_ERROR_NO_CAPACITY },      { EOVERFLOW, VGPUD_ERROR_NO_CAPACITY },
                { ENOSPC, VGPUD_ERROR_NO_CAPACITY },     { EBUSY, VGPUD_ERROR_FAILED },
                { EOPNOTSUPP, VGPUD_ERROR_UNSUPPORTED }, { ENOKEY, VGPUD_ERROR_FAILED },
                { ESTALE, VGPUD_ERROR_FAILED },          { EPERM, VGPUD_ERROR_UNSUPPORTED },
                { EACCES, VGPUD_ERROR_UNSUPPORTED },     { EIO, VGPUD_ERROR_FAILED },
                { EPROTO, VGPUD_ERROR_FAILED },
        };

        check_quota_errnos(FAKE_PF_I915, I915 "/drm/card1/iov/vf1/gt0/contexts_quota", "contexts_quota", table,
                           G_N_ELEMENTS(table));
}

/* No GT accepts the quota: the write to gt0 fails, and gt1 has no address space of its own. */
static void test_quota_nowhere(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_I915, 7, 1);

        set_attribute(&f, "ggtt_quota", "1M");
        fake_fail(f.k, "write", I915 "/drm/card1/iov/vf1/gt0/ggtt_quota", ENODEV);
        ASSERT_ERROR(create(&f, UUID_A, "vf-profile"), EOPNOTSUPP);
        ASSERT_EQ(f.e.errnum, ENODEV);
}

static void test_quota_priority(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_XE, 7, 1);

        set_attribute(&f, "sched_priority", "normal");
        fake_fail(f.k, "write", XE "/sriov_admin/vf1/profile/sched_priority", EACCES);
        ASSERT_ERROR(create(&f, UUID_A, "vf-profile"), EOPNOTSUPP);
        ASSERT_EQ(f.e.errnum, EACCES);
}

static int store_nothing(FakeKernel *k, const char *path, void *data, const char *value)
{
        return 0;
}

static int show_seven(FakeKernel *k, const char *path, void *data, char **ret)
{
        *ret = g_strdup("7\n");
        return 0;
}

/* The write of a quota succeeds without an effect: create() fails. */
static void test_quota_not_applied(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_XE, 7, 1);

        fake_add_attribute(f.k, XE "/sriov_admin/vf1/profile/exec_quantum_ms", show_seven, store_nothing, NULL);
        set_attribute(&f, "exec_quantum_ms", "20");
        ASSERT_ERROR(create(&f, UUID_A, "vf-profile"), EIO);
}

static void test_quota_unreadable(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_XE, 7, 1);

        ASSERT_OK(create(&f, UUID_A, "vf"));
        fake_fail(f.k, "read", XE "/sriov_admin/vf1/profile/preempt_timeout_us", EUCLEAN);
        fake_fail(f.k, "read", XE "/sriov_admin/vf1/profile/vram_quota", ENODATA);
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = scan(&f);
        const InstanceDesc *d = s->instances->pdata[0];
        ASSERT_STREQ(attribute(d, "preempt_timeout_us"), "different on parts of the GPU");
        ASSERT_NULL(attribute(d, "vram_quota"));
        ASSERT_EQ(destroy(&f, f.made), 1);
        /* A value that cannot be read cannot be restored, and is not recorded. */
        set_attribute(&f, "exec_quantum_ms", "20");
        add_attribute(&f, "preempt_timeout_us", "20");
        ASSERT_ERROR(create_on(&f, UUID_A, "vf-profile", "0000:03:00.1"), EIO);
        ASSERT_EQ(f.e.errnum, EUCLEAN);
        ASSERT_STREQ(f.restore, "quota.exec_quantum_ms=0");
}

static void test_quota_writer_died(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_XE, 7, 1);

        set_attribute(&f, "exec_quantum_ms", "20");
        fake_fail_after(f.k, "write", XE "/sriov_admin/vf1/profile/exec_quantum_ms", EPROTO);
        ASSERT_OK(create(&f, UUID_A, "vf-profile"));
        ASSERT_STREQ(attribute(f.made, "exec_quantum_ms"), "20");
}

/* ---- destroy ---- */

static void test_destroy_in_use(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_XE, 7, 1);

        set_attribute(&f, "exec_quantum_ms", "20");
        ASSERT_OK(create(&f, UUID_A, "vf-profile"));
        g_autofree char *before = fake_writes(f.k);
        fake_hold_node(f.k, "vfio/10", 4711, "qemu-system-x86");
        ASSERT_ERROR(destroy(&f, f.made), EBUSY);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_IN_USE);
        ASSERT_CONTAINS(f.e.message, "process 4711 (qemu-system-x86)");
        g_autofree char *after = fake_writes(f.k);
        ASSERT_STREQ(after, before);
        fake_hold_node(f.k, "vfio/10", 0, NULL);
        ASSERT_EQ(destroy(&f, f.made), 1);
}

/* While the kernel waits for the user of a VF, it shows no driver, and Linux 6.1 blocks readers of
 * driver_override. */
static void test_leaving(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 7, 1);
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;

        ASSERT_OK(create(&f, UUID_A, "vf"));
        g_autofree char *member = g_strconcat("kernel/iommu_groups/10/devices/", fake_vf_name(f.pf, 0), NULL);
        g_autofree char *link = g_strconcat(fake_vf_path(f.pf, 0), "/driver", NULL);
        g_autofree char *override = g_strconcat(fake_vf_path(f.pf, 0), "/driver_override", NULL);
        fake_add_directory(f.k, member);
        fake_remove(f.k, link);
        fake_hold_node(f.k, "vfio/10", 4711, "qemu-system-x86");
        fake_fail(f.k, "read", override, EIO);
        s = scan(&f);
        ASSERT_EQ(s->instances->len, 1);
        ASSERT_FALSE(((InstanceDesc *)s->instances->pdata[0])->half_made);
        ASSERT_ERROR(destroy(&f, f.made), EBUSY);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_IN_USE);
        ASSERT_CONTAINS(f.e.message, "process 4711 (qemu-system-x86)");
}

/* If the kernel has no group nodes, destroy() finds the user of the character device. */
static void test_destroy_cdev(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 8, 0);

        fake_pf_set_nodes(f.pf, false, true);
        ASSERT_OK(fake_pf_enable(f.pf, 1));
        read_facts(&f);
        ASSERT_OK(create(&f, UUID_A, "vf"));
        ASSERT_STREQ(f.made->cdev, "vfio0");
        fake_hold_node(f.k, "vfio/devices/vfio0", 4711, "qemu");
        ASSERT_ERROR(destroy(&f, f.made), EBUSY);
        ASSERT_CONTAINS(f.e.message, "process 4711");
        fake_hold_node(f.k, "vfio/devices/vfio0", 0, NULL);
        ASSERT_EQ(destroy(&f, f.made), 1);
}

/* The instance has no record: another program created it, or the records were lost. */
static void test_destroy_foreign(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 8, 2);

        ASSERT_OK(vfs_bind(f.io, f.facts->vfs->pdata[1], "vfio-pci", "vfio-pci", NULL));
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = scan(&f);
        ASSERT_EQ(destroy(&f, s->instances->pdata[0]), 1);
        ASSERT_NULL(fake_vf_driver(f.pf, 1));
        ASSERT_NULL(fake_vf_override(f.pf, 1));
}

static void test_destroy_restore_fails(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_XE, 7, 1);

        set_attribute(&f, "exec_quantum_ms", "20");
        ASSERT_OK(create(&f, UUID_A, "vf-profile"));
        fake_fail(f.k, "write", XE "/sriov_admin/vf1/profile/exec_quantum_ms", EIO);
        ASSERT_ERROR(destroy(&f, f.made), EIO);
        ASSERT_EQ(f.e.errnum, EIO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_SEE_KERNEL_LOG);
        ASSERT_EQ(available(&f, "vf"), 1);
        ASSERT_EQ(destroy(&f, f.made), 0);
}

/* destroy() unbinds the VF even if the text to restore in the record is invalid. */
static void test_destroy_odd_restore(void)
{
        static const char *const texts[] = {
                "",      "=",  "driver=",     "driver=../x", "driver", "quota.x=1 override=%00",
                "%zz=1", "  ", "driver=a b=c"
        };
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 8, 1);

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
                ASSERT_OK(create_on(&f, UUID_A, "vf", "0000:03:00.1"));
                g_free(f.made->restore);
                f.made->restore = g_strdup(texts[i]);
                (void)destroy(&f, f.made);
                ASSERT_NULL(fake_vf_driver(f.pf, 0));
        }
}

/* vgpud was killed during the return of a VF to the host: the last write is missing, or the last two. */
static void test_settle(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_XE, 7, 0);
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        const VgpuVf *vf;

        ASSERT_OK(fake_pf_enable(f.pf, 2)); /* the driver of the host is bound, because autoprobe is on */
        read_facts(&f);
        vf = f.facts->vfs->pdata[0];
        ASSERT_OK(sriov_driver.finish_interrupted(&f.t, vf->name, "driver=xe", &error));
        ASSERT_STREQ(fake_vf_driver(f.pf, 0), "xe");

        for (int bound = 0; bound < 2; bound++) {
                ASSERT_OK(vfs_bind(f.io, vf, bound ? "xe" : NULL, "xe", NULL));
                ASSERT_EQ(available(&f, "vf"), 1); /* the VF looks reserved for xe */
                ASSERT_OK(sriov_driver.finish_interrupted(&f.t, vf->name, "driver=xe", &error));
                ASSERT_STREQ(fake_vf_driver(f.pf, 0), "xe");
                ASSERT_NULL(fake_vf_override(f.pf, 0));
                ASSERT_EQ(available(&f, "vf"), 2);
        }

        /* The VF is left alone if no return was interrupted: driver_override was xe before, there is no earlier
         * driver, the VF does not exist, the VF is reserved for another driver, or it is handed out. */
        ASSERT_OK(vfs_bind(f.io, vf, NULL, "xe", NULL));
        ASSERT_OK(sriov_driver.finish_interrupted(&f.t, vf->name, "driver=xe override=xe", &error));
        ASSERT_OK(sriov_driver.finish_interrupted(&f.t, vf->name, "override=xe", &error));
        ASSERT_OK(sriov_driver.finish_interrupted(&f.t, "0000:03:00.7", "driver=xe", &error));
        ASSERT_NULL(fake_vf_driver(f.pf, 0));
        ASSERT_STREQ(fake_vf_override(f.pf, 0), "xe");
        ASSERT_OK(vfs_bind(f.io, vf, NULL, "pci-stub", NULL));
        ASSERT_OK(sriov_driver.finish_interrupted(&f.t, vf->name, "driver=xe", &error));
        ASSERT_STREQ(fake_vf_override(f.pf, 0), "pci-stub");
        ASSERT_OK(vfs_bind(f.io, vf, "vfio-pci", "vfio-pci", NULL));
        ASSERT_OK(sriov_driver.finish_interrupted(&f.t, vf->name, "driver=xe", &error));
        ASSERT_STREQ(fake_vf_driver(f.pf, 0), "vfio-pci");
        /* A failure is explained. */
        ASSERT_OK(vfs_bind(f.io, vf, NULL, "xe", NULL));
        fake_pci_fail_probe(f.pci, "xe", EIO);
        ASSERT_ERROR(sriov_driver.finish_interrupted(&f.t, vf->name, "driver=xe", &error), EIO);
        ASSERT_CONTAINS(error.message, "0000:03:00.1");
}

static void test_destroy_gone(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 8, 2);

        ASSERT_OK(create(&f, UUID_A, "vf"));
        ASSERT_OK(vfs_bind(f.io, f.facts->vfs->pdata[0], NULL, NULL, NULL));
        ASSERT_EQ(destroy(&f, f.made), 0);
        fake_pf_unplug(f.pf);
        ASSERT_EQ(destroy(&f, f.made), 0);
}

/* The VF's name now belongs to a VF of another GPU. */
static void test_destroy_other(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 8, 1);

        ASSERT_OK(create(&f, UUID_A, "vf"));
        g_autofree char *link = g_strconcat(fake_vf_path(f.pf, 0), "/physfn", NULL);
        fake_add_link(f.k, link, "devices/pci0000:00/0000:00:01.0/0000:03:00.4");
        ASSERT_EQ(destroy(&f, f.made), 0);
        ASSERT_STREQ(fake_vf_driver(f.pf, 0), "vfio-pci");
}

/* ---- other functions ---- */

static void test_configure(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 8, 1);

        ASSERT_ERROR(checked(&f, sriov_driver.configure(&f.t, "mig", "yes", &f.e)), EOPNOTSUPP);
}

static void test_handover(void)
{
        InstanceDesc d = { .uuid = UUID_A,
                           .slot = (char *)"0001:3d:02.4",
                           .path = (char *)"devices/pci0001:3c/0001:3d:02.4",
                           .iommu_group = 12,
                           .cdev = (char *)"vfio3" };
        Handover *h = sriov_driver.handover(&d);
        g_autofree char *args = g_strjoinv(" ", h->qemu_args), *path = g_strdup(h->sysfs_path);
        g_autofree char *group = g_strdup(h->group_node), *cdev = g_strdup(h->cdev_node),
                        *xml = g_strdup(h->libvirt_xml);

        handover_free(h);
        ASSERT_STREQ(path, "/sys/bus/pci/devices/0001:3d:02.4");
        ASSERT_STREQ(group, "/dev/vfio/12");
        ASSERT_STREQ(cdev, "/dev/vfio/devices/vfio3");
        ASSERT_STREQ(args, "-device vfio-pci,host=0001:3d:02.4");
        ASSERT_STREQ(xml, "<hostdev mode='subsystem' type='pci' managed='no'>\n"
                          "  <source>\n"
                          "    <address domain='0x0001' bus='0x3d' slot='0x02' function='0x4'/>\n"
                          "  </source>\n"
                          "</hostdev>\n");
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_match);
        TEST(test_scan_unprepared);
        TEST(test_scan_plain);
        TEST(test_scan_xe);
        TEST(test_why_no_more);
        TEST(test_scan_taken);
        TEST(test_no_vfio_driver);
        TEST(test_scan_gone);
        TEST(test_unreadable_vf);
        TEST(test_unreadable_vfs);
        TEST(test_cost);
        TEST(test_writes_plain);
        TEST(test_writes_xe);
        TEST(test_writes_i915);
        TEST(test_i915_contexts);
        TEST(test_i915_gts);
        TEST(test_i915_automatic);
        TEST(test_i915_automatic_killed);
        TEST(test_i915_automatic_off);
        TEST(test_restores_driver);
        TEST(test_chooses);
        TEST(test_driver_refuses_it);
        TEST(test_next_one);
        TEST(test_program_uses_it);
        TEST(test_many_in_use);
        TEST(test_in_use_and_broken);
        TEST(test_chooses_quota);
        TEST(test_chooses_rounded_quota);
        TEST(test_arguments);
        TEST(test_no_profile);
        TEST(test_claim_fails);
        TEST(test_bind_fails);
        TEST(test_inconsistent);
        TEST(test_no_iommu);
        TEST(test_noiommu);
        TEST(test_shared_group);
        TEST(test_gone_while_creating);
        TEST(test_gone_while_undoing);
        TEST(test_races_of_a_rival);
        TEST(test_quota_errno_xe);
        TEST(test_quota_errno_i915);
        TEST(test_quota_nowhere);
        TEST(test_quota_priority);
        TEST(test_quota_not_applied);
        TEST(test_quota_unreadable);
        TEST(test_quota_writer_died);
        TEST(test_destroy_in_use);
        TEST(test_leaving);
        TEST(test_destroy_cdev);
        TEST(test_destroy_foreign);
        TEST(test_destroy_restore_fails);
        TEST(test_destroy_odd_restore);
        TEST(test_settle);
        TEST(test_destroy_gone);
        TEST(test_destroy_other);
        TEST(test_configure);
        TEST(test_handover);

        return tests_end();
}
