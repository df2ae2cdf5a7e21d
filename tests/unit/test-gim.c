/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* AMD's gim on the in-memory kernel: the modes of the back end "sriov" (gim 8), and the back end "gim-legacy".
 * Tests that call assert_golden() compare all writes with tests/golden/gim-NAME.txt. */

#include "drivers-glue/driver.h"
#include "drivers-glue/problem.h"
#include "drivers-glue/registry.h"
#include "drivers-glue/vf/bind.h"
#include "drivers-glue/vf/count.h"

#include "back-end.h"
#include "fake-gim.h"

#define UUID_A  "11111111-0000-4000-8000-000000000001"
#define UUID_B  "22222222-0000-4000-8000-000000000002"
#define GPU     "devices/pci0000:00/0000:00:01.0/0000:03:00.0"
#define PROFILE "accelerator_partition_profile"
#define MEMORY  "memory_partition_mode"
#define SPATIAL "spatial_partition_mode"

typedef struct Fixture {
        FakeKernel *k;
        FakePci *pci;
        FakePf *pf;
        FakeGim *gim;
        FakeGimLegacy *legacy;
        const VgpuDriver *driver;
        GpuFacts *facts;
        VgpuIo *io;
        VgpuTarget t;
        VgpudError e;
        InstanceDesc *made; /* result of the last create() */
        GPtrArray *attributes;
        GString *claims; /* a line "SLOT RESTORE" per reservation; "-": no RESTORE */
        int claim_result;
        unsigned claims_before; /* number of reservations that succeed before claim_result */
} Fixture;

DEFINE_DESTROY_NOTIFY(attribute_free, vgpu_attribute_free)

static void read_facts(Fixture *f)
{
        gpu_facts_unref(f->facts);
        f->facts = fake_pf_facts(f->pf);
        f->t = (VgpuTarget){ .facts = f->facts, .io = f->io };
}

/* A PF with four VFs that no driver has. */
static Fixture with_functions(void)
{
        Fixture f = { .k = fake_kernel_new(), .claims = g_string_new(NULL) };

        f.pci = fake_pci_new(f.k);
        f.pf = fake_pci_add_pf(f.pci, FAKE_PF_PLAIN, "0000:03:00.0", 8, 1);
        f.io = fake_kernel_io(f.k);
        f.attributes = g_ptr_array_new_with_free_func(attribute_free);
        g_assert(vgpu_io_write(f.io, GPU "/sriov_drivers_autoprobe", "0") >= 0);
        g_assert(fake_pf_enable(f.pf, 4) >= 0);

        return f;
}

static Fixture with_gim(void)
{
        Fixture f = with_functions();

        f.gim = fake_gim_new(f.k, f.pf);
        f.driver = &sriov_driver;
        read_facts(&f);

        return f;
}

static Fixture with_legacy(void)
{
        Fixture f = with_functions();

        f.legacy = fake_gim_legacy_new(f.k, f.pf);
        f.driver = &gim_legacy_driver;
        read_facts(&f);

        return f;
}

static void fixture_free(Fixture *f)
{
        instance_desc_free(f->made);
        g_ptr_array_unref(f->attributes);
        (void)g_string_free(f->claims, TRUE);
        vgpud_error_done(&f->e);
        gpu_facts_unref(f->facts);
        vgpu_io_free(f->io);
        fake_gim_free(f->gim);
        fake_gim_legacy_free(f->legacy);
        fake_pci_free(f->pci);
        fake_kernel_free(f->k);
}
#define _cleanup_fixture_ _cleanup_(fixture_free)

static int claim(const char *slot, const char *restore, void *userdata)
{
        Fixture *f = userdata;

        g_string_append_printf(f->claims, "%s %s\n", slot, restore ? restore : "-");

        if (f->claims_before == 0)
                return f->claim_result;

        f->claims_before--;

        return 0;
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

        int r = f->driver->create(&f->t, &args, &f->made, &f->e);
        if (r < 0)
                ASSERT_NULL(f->made);
        else
                ASSERT_STREQ(f->made->uuid, uuid);

        g_ptr_array_set_size(f->attributes, 0);

        return assert_explained(r, &f->e);
}

static int create(Fixture *f, const char *uuid)
{
        return create_on(f, uuid, f->legacy ? "mxgpu" : "vf", NULL);
}

static void add_option(Fixture *f, const char *name, const char *value)
{
        g_ptr_array_add(f->attributes, vgpu_attribute_new(name, value));
}

static int create_chosen(Fixture *f, const char *offset, const char *size, const char *divider)
{
        add_option(f, "fb_offset", offset);
        add_option(f, "fb_size", size);
        add_option(f, "gfx_divider", divider);

        return create(f, UUID_A);
}

static int destroy(Fixture *f, const InstanceDesc *d)
{
        vgpud_error_done(&f->e);
        return assert_explained(f->driver->destroy(&f->t, d, &f->e), &f->e);
}

static int configure(Fixture *f, const char *mode, const char *value)
{
        vgpud_error_done(&f->e);
        return assert_explained(f->driver->configure(&f->t, mode, value, &f->e), &f->e);
}

static GpuSnapshot *scan(Fixture *f)
{
        GpuSnapshot *s = NULL;

        vgpud_error_done(&f->e);
        ASSERT_OK(assert_explained(f->driver->scan(&f->t, &s, &f->e), &f->e));

        return s;
}

static const VgpuMode *find_mode(const GpuSnapshot *s, const char *name)
{
        for (guint i = 0; i < s->modes->len; i++)
                if (strcmp(((const VgpuMode *)s->modes->pdata[i])->name, name) == 0)
                        return s->modes->pdata[i];

        return NULL;
}

static char *mode_value(Fixture *f, const char *name)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = scan(f);
        const VgpuMode *m = find_mode(s, name);

        return g_strdup(m ? m->value : "(none)");
}

static uint32_t available(Fixture *f)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = scan(f);

        return ((const VgpuType *)s->types->pdata[0])->available;
}

/* Runs the statements, which must not write. */
#define ASSERT_WRITES_NOTHING(f, code)                                 \
        do {                                                           \
                g_autofree char *writes_before_ = fake_writes((f)->k); \
                code;                                                  \
                g_autofree char *writes_after_ = fake_writes((f)->k);  \
                ASSERT_STREQ(writes_after_, writes_before_);           \
        } while (0)

/* ---- partitions ---- */

static void test_modes(void)
{
        _cleanup_fixture_ Fixture f = with_gim();
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;
        g_autofree char *profiles = NULL, *memory = NULL;

        ASSERT_EQ(sriov_driver.match(f.facts), VGPU_MATCH_PLAIN);
        ASSERT_WRITES_NOTHING(&f, s = scan(&f));
        ASSERT_EQ(s->modes->len, 3);
        const VgpuMode *m = find_mode(s, PROFILE);
        ASSERT_STREQ(m->value, "SPX");
        /* Two profiles are called CPX, so they are listed as profile3 and profile4. */
        profiles = g_strjoinv(" ", m->choices);
        ASSERT_STREQ(profiles, "SPX DPX QPX profile3 profile4");
        ASSERT_CONTAINS(m->help, "SPX 1, DPX 2, QPX 4, profile3 8, profile4 16");
        m = find_mode(s, MEMORY);
        ASSERT_STREQ(m->value, "NPS1");
        memory = g_strjoinv(" ", m->choices);
        ASSERT_STREQ(memory, "NPS1 NPS4 NPS8");
        ASSERT_CONTAINS(m->help, "XGMI");
        m = find_mode(s, SPATIAL);
        ASSERT_STREQ(m->value, "QPX");
        ASSERT_NULL(m->choices);
        ASSERT_EQ(((const VgpuType *)s->types->pdata[0])->available, 4);
        ASSERT_NULL(s->unprepared);
}

/* A mode without a file or value is not listed. */
static void test_modes_missing(void)
{
        _cleanup_fixture_ Fixture f = with_gim();
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;

        fake_remove(f.k, GPU "/" MEMORY);
        fake_remove(f.k, GPU "/accelerator_partition_profile_config");
        s = scan(&f);
        ASSERT_EQ(s->modes->len, 2);
        ASSERT_STREQ(find_mode(s, PROFILE)->value, "SPX");
        ASSERT_NULL(find_mode(s, PROFILE)->choices);
        ASSERT_ERROR(configure(&f, PROFILE, "QPX"), EOPNOTSUPP);
        ASSERT_ERROR(configure(&f, MEMORY, "NPS4"), EOPNOTSUPP);
        ASSERT_EQ(f.e.errnum, ENOENT);
}

/* Reads succeed, but the files contain error sentences instead of values. */
static void test_modes_not_available(void)
{
        _cleanup_fixture_ Fixture f = with_gim();

        fake_gim_fail_reads(f.gim);
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = scan(&f);
        ASSERT_EQ(s->modes->len, 0);
        ASSERT_WRITES_NOTHING(&f, {
                ASSERT_ERROR(configure(&f, MEMORY, "NPS4"), EOPNOTSUPP);
                ASSERT_EQ(f.e.hint.id, VGPUD_HINT_TRY_AGAIN);
                ASSERT_ERROR(configure(&f, PROFILE, "QPX"), EOPNOTSUPP);
                ASSERT_EQ(f.e.hint.id, VGPUD_HINT_TRY_AGAIN);
        });
}

static void test_modes_of_plain(void)
{
        _cleanup_fixture_ Fixture f = with_functions();
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;

        f.driver = &sriov_driver;
        read_facts(&f);
        s = scan(&f);
        ASSERT_EQ(s->modes->len, 0);
        ASSERT_ERROR(configure(&f, MEMORY, "NPS4"), EOPNOTSUPP);
}

static void test_set(void)
{
        _cleanup_fixture_ Fixture f = with_gim();
        g_autofree char *profile = NULL, *memory = NULL, *after = NULL;

        ASSERT_WRITES_NOTHING(&f, {
                ASSERT_OK(configure(&f, PROFILE, "SPX"));
                ASSERT_OK(configure(&f, MEMORY, "NPS1"));
        });
        ASSERT_OK(configure(&f, PROFILE, "QPX"));
        profile = mode_value(&f, PROFILE);
        ASSERT_STREQ(profile, "QPX");
        /* The write returns before the reset. Two reads show the old mode and seven reads show no mode,
         * before vgpud sees the new mode. */
        fake_gim_lag(f.gim, 2, 7);
        ASSERT_OK(configure(&f, MEMORY, "NPS4"));
        ASSERT_EQ(fake_count(f.k, "pause"), 9);
        memory = mode_value(&f, MEMORY);
        ASSERT_STREQ(memory, "NPS4");
        after = mode_value(&f, PROFILE);
        ASSERT_STREQ(after, "profile3");
        assert_golden(f.k, "gim", "partitions");
}

static void test_set_bad_values(void)
{
        static const struct {
                const char *mode, *value;
                int eno;
                VgpudHintId hint;
        } table[] = {
                { PROFILE, "CPX", EINVAL, VGPUD_HINT_CHOOSE_OTHER },
                { PROFILE, "2", EINVAL, VGPUD_HINT_CHOOSE_OTHER },
                { MEMORY, "NPS2", EINVAL, VGPUD_HINT_CHOOSE_OTHER },
                { MEMORY, "", EINVAL, VGPUD_HINT_CHOOSE_OTHER },
                { SPATIAL, "SPX", EOPNOTSUPP, VGPUD_HINT_NONE },
                { "reset_gpu", "1", EINVAL, VGPUD_HINT_NONE },
                { "psp_vbflash", "1", EINVAL, VGPUD_HINT_NONE },
        };
        _cleanup_fixture_ Fixture f = with_gim();

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
                ASSERT_WRITES_NOTHING(&f, {
                        ASSERT_ERROR(configure(&f, table[i].mode, table[i].value), table[i].eno);
                        ASSERT_EQ(f.e.hint.id, table[i].hint);
                });
}

/* gim reports success without an effect. */
static void test_set_refused(void)
{
        _cleanup_fixture_ Fixture f = with_gim();

        ASSERT_OK(configure(&f, MEMORY, "NPS4"));
        ASSERT_ERROR(configure(&f, PROFILE, "DPX"), EIO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_CONFIGURE_GPU);
        ASSERT_EQ(fake_count(f.k, "pause"), 0);
        fake_gim_refuse(f.gim);
        ASSERT_ERROR(configure(&f, MEMORY, "NPS1"), EIO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_CONFIGURE_GPU);
        ASSERT_EQ(f.e.errnum, 0);
}

static void test_set_nps8(void)
{
        _cleanup_fixture_ Fixture f = with_gim();

        ASSERT_ERROR(configure(&f, MEMORY, "NPS8"), EIO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_TRY_AGAIN);
        ASSERT_ERROR(configure(&f, MEMORY, "NPS8"), EIO);
}

static void test_set_lost(void)
{
        _cleanup_fixture_ Fixture f = with_gim();

        fake_gim_lag(f.gim, 0, 1000);
        ASSERT_ERROR(configure(&f, MEMORY, "NPS4"), EIO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_SEE_KERNEL_LOG);
}

static void test_set_errno(void)
{
        static const struct {
                int eno;
                VgpudErrorCode code;
        } table[] = {
                { EINVAL, VGPUD_ERROR_FAILED }, { EACCES, VGPUD_ERROR_FAILED },
                { EPERM, VGPUD_ERROR_FAILED },  { ENOENT, VGPUD_ERROR_FAILED },
                { EIO, VGPUD_ERROR_FAILED },    { ENODEV, VGPUD_ERROR_GPU_GONE },
                { EPROTO, VGPUD_ERROR_FAILED },
        };
        _cleanup_fixture_ Fixture f = with_gim();
        g_autofree char *memory = NULL;

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                fake_fail(f.k, "write", GPU "/" MEMORY, table[i].eno);
                ASSERT_ERROR(configure(&f, MEMORY, "NPS4"), vgpud_error_code_to_errno(table[i].code));
                ASSERT_EQ(f.e.code, table[i].code);
                ASSERT_EQ(f.e.errnum, table[i].eno);
                fake_heal(f.k);
        }

        /* The writer dies after write(2). */
        fake_fail_after(f.k, "write", GPU "/" MEMORY, EPROTO);
        ASSERT_OK(configure(&f, MEMORY, "NPS4"));
        memory = mode_value(&f, MEMORY);
        ASSERT_STREQ(memory, "NPS4");
}

static int unplug(FakeKernel *k, const char *path, void *data)
{
        fake_pf_unplug(data);
        return 0;
}

static void test_set_gone(void)
{
        _cleanup_fixture_ Fixture f = with_gim();

        fake_before(f.k, "write", GPU "/" PROFILE, unplug, f.pf);
        ASSERT_ERROR(configure(&f, PROFILE, "QPX"), ENOLINK);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_GPU_GONE);
        ASSERT_ERROR(configure(&f, PROFILE, "QPX"), ENOLINK);
}

static void test_set_in_use(void)
{
        _cleanup_fixture_ Fixture f = with_gim();

        ASSERT_OK(create(&f, UUID_A));
        ASSERT_WRITES_NOTHING(&f, {
                ASSERT_ERROR(configure(&f, PROFILE, "QPX"), EBUSY);
                ASSERT_EQ(f.e.code, VGPUD_ERROR_IN_USE);
                ASSERT_EQ(f.e.hint.id, VGPUD_HINT_DESTROY_INSTANCE);
                fake_hold_node(f.k, "vfio/10", 4711, "qemu-system-x86");
                ASSERT_ERROR(configure(&f, MEMORY, "NPS4"), EBUSY);
                ASSERT_CONTAINS(f.e.message, "process 4711 (qemu-system-x86)");
        });
        fake_hold_node(f.k, "vfio/10", 0, NULL);
        ASSERT_EQ(destroy(&f, f.made), 1);
        ASSERT_OK(configure(&f, PROFILE, "QPX"));
}

/* gim refuses while a VF of a GPU linked by XGMI is open. gim does not report which GPUs are linked, so vgpud
 * checks all GPUs of gim. The third GPU has no symlink in bus/pci/devices, so vgpud passes over it. */
static void test_set_in_use_elsewhere(void)
{
        _cleanup_fixture_ Fixture f = with_gim();
        FakePf *other = fake_pci_add_pf(f.pci, FAKE_PF_PLAIN, "0000:04:00.0", 8, 1);
        FakePf *third = fake_pci_add_pf(f.pci, FAKE_PF_PLAIN, "0000:05:00.0", 8, 1);

        ASSERT_OK(fake_pf_enable(other, 1));
        fake_pf_set_driver(other, "gim");
        fake_add_link(f.k, "bus/pci/devices/0000:04:00.0", fake_pf_path(other));
        fake_add_link(f.k, "bus/pci/drivers/gim/0000:03:00.0", GPU);
        fake_add_link(f.k, "bus/pci/drivers/gim/0000:04:00.0", fake_pf_path(other));
        fake_add_link(f.k, "bus/pci/drivers/gim/0000:05:00.0", fake_pf_path(third));
        GpuFacts *facts = fake_pf_facts(other);
        int r = vfs_bind(f.io, facts->vfs->pdata[0], "vfio-pci", "vfio-pci", NULL);
        gpu_facts_unref(facts);
        ASSERT_OK(r);
        g_autofree char *node = g_strdup_printf("vfio/%d", fake_vf_group(other, 0));
        fake_gim_refuse(f.gim);
        /* A VF that is handed out but not open is not the reason of gim's refusal. */
        ASSERT_ERROR(configure(&f, PROFILE, "QPX"), EIO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_CONFIGURE_GPU);
        fake_hold_node(f.k, node, 4711, "qemu-system-x86");
        ASSERT_ERROR(configure(&f, PROFILE, "QPX"), EBUSY);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_STOP_USER);
        ASSERT_CONTAINS(f.e.message, "process 4711 (qemu-system-x86)");
}

/* gim refuses while the PCI device of a VF is enabled (sysfs file "enable"). A driver of the host enables the
 * device, even if no program uses the driver. */
static void test_set_host_driver(void)
{
        _cleanup_fixture_ Fixture f = with_gim();
        const VgpuVf *vf = f.facts->vfs->pdata[1];
        g_autofree char *enable = g_strconcat(vf->path, "/enable", NULL);

        fake_pci_add_driver(f.pci, "amdgpu");
        ASSERT_OK(vfs_bind(f.io, vf, "amdgpu", NULL, NULL));
        ASSERT_ERROR(configure(&f, PROFILE, "QPX"), EBUSY);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_IN_USE);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_REMOVE_BY_HAND);
        ASSERT_OK(vfs_bind(f.io, vf, NULL, NULL, NULL));
        ASSERT_OK(configure(&f, PROFILE, "QPX"));
        /* An administrator enabled the PCI device of the VF, or a driver left the device enabled. */
        fake_remove(f.k, enable);
        fake_add_file(f.k, enable, "1\n");
        fake_gim_refuse(f.gim);
        ASSERT_ERROR(configure(&f, MEMORY, "NPS4"), EBUSY);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_REMOVE_BY_HAND);
}

/* A driver of the host is bound to VFs of a GPU linked by XGMI. */
static void test_set_host_driver_elsewhere(void)
{
        _cleanup_fixture_ Fixture f = with_gim();
        FakePf *other = fake_pci_add_pf(f.pci, FAKE_PF_PLAIN, "0000:04:00.0", 8, 1);

        ASSERT_OK(fake_pf_enable(other, 1));
        fake_pf_set_driver(other, "gim");
        fake_add_link(f.k, "bus/pci/devices/0000:04:00.0", fake_pf_path(other));
        fake_add_link(f.k, "bus/pci/drivers/gim/0000:04:00.0", fake_pf_path(other));
        ASSERT_STREQ(fake_vf_driver(other, 0), "accelvf");
        fake_gim_refuse(f.gim);
        ASSERT_ERROR(configure(&f, MEMORY, "NPS4"), EBUSY);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_REMOVE_BY_HAND);
}

/* ---- the first gim ---- */

static void test_legacy_match(void)
{
        _cleanup_fixture_ Fixture f = with_legacy();

        ASSERT_EQ(gim_legacy_driver.match(f.facts), VGPU_MATCH_VENDOR);
        f.facts->features = 0;
        ASSERT_EQ(gim_legacy_driver.match(f.facts), VGPU_MATCH_NO);
        f.facts->features = VGPU_FEATURE_GIM;
        ASSERT_EQ(gim_legacy_driver.match(f.facts), VGPU_MATCH_NO);
}

static void test_legacy_scan(void)
{
        _cleanup_fixture_ Fixture f = with_legacy();
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;

        ASSERT_OK(create(&f, UUID_A));
        ASSERT_WRITES_NOTHING(&f, s = scan(&f));
        ASSERT_NULL(s->unprepared);
        ASSERT_EQ(s->types->len, 1);
        const VgpuType *t = s->types->pdata[0];
        ASSERT_STREQ(t->id, "mxgpu");
        ASSERT_STREQ(t->device_api, "vfio-pci");
        ASSERT_EQ(t->framebuffer_bytes, (uint64_t)992 << 20);
        ASSERT_EQ(t->max_instances, 8);
        ASSERT_EQ(t->available, 3);
        ASSERT_EQ(t->options->len, 3);
        ASSERT_EQ(s->instances->len, 1);
        const InstanceDesc *d = s->instances->pdata[0];
        ASSERT_STREQ(d->slot, "0000:03:00.1");
        ASSERT_STREQ(d->type_id, "mxgpu");
        ASSERT_FALSE(d->type_guessed);
        ASSERT_FALSE(d->half_made);
        ASSERT_EQ(d->attributes->len, 1);
        ASSERT_STREQ(((const VgpuAttribute *)d->attributes->pdata[0])->value, "992M");
        ASSERT_EQ(d->memory_bytes, (uint64_t)992 << 20);
        /* scan() and create() describe the same instance, except for the fields that the model fills in. */
        InstanceDesc *made = instance_desc_copy(f.made);
        made->uuid[0] = 0;
        g_clear_pointer(&made->restore, g_free);
        bool same = instance_desc_equal(made, d);
        instance_desc_free(made);
        ASSERT_TRUE(same);
}

static void test_legacy_life(void)
{
        _cleanup_fixture_ Fixture f = with_legacy();

        ASSERT_OK(create(&f, UUID_A));
        ASSERT_STREQ(f.made->slot, "0000:03:00.1");
        ASSERT_STREQ(f.made->driver, "vfio-pci");
        ASSERT_TRUE(fake_gim_legacy_is_taken(f.legacy, 0));
        ASSERT_STREQ(f.claims->str, "0000:03:00.1 -\n0000:03:00.1 gim=given\n");
        ASSERT_EQ(destroy(&f, f.made), 1);
        ASSERT_FALSE(fake_gim_legacy_is_taken(f.legacy, 0));
        ASSERT_NULL(fake_vf_override(f.pf, 0));
        ASSERT_NULL(fake_vf_driver(f.pf, 0));
        ASSERT_EQ(destroy(&f, f.made), 0);
        assert_golden(f.k, "gim", "legacy-life");
}

static void test_legacy_options(void)
{
        _cleanup_fixture_ Fixture f = with_legacy();

        ASSERT_OK(create_chosen(&f, "256M", "512M", "4"));
        ASSERT_STREQ(((const VgpuAttribute *)f.made->attributes->pdata[0])->value, "512M");
        ASSERT_OK(create_chosen(&f, "1G", "2G", "2"));
        ASSERT_STREQ(f.made->slot, "0000:03:00.2");
        /* gim allows no VF with an equal share beside VFs with chosen sizes. */
        ASSERT_ERROR(create(&f, UUID_B), ENOSPC);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_DESTROY_INSTANCE);
        ASSERT_NULL(fake_vf_override(f.pf, 2));
        assert_golden(f.k, "gim", "legacy-options");
}

/* gim does not notice a memory range inside an allocated range, so vgpud refuses it. */
static void test_legacy_within(void)
{
        _cleanup_fixture_ Fixture f = with_legacy();
        g_autofree char *other = NULL;

        ASSERT_OK(create_chosen(&f, "1G", "2G", "4"));
        ASSERT_WRITES_NOTHING(&f, ASSERT_ERROR(create_chosen(&f, "2G", "512M", "4"), ENOSPC));
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_CHOOSE_OTHER);
        /* A range that overlaps an allocated one; gim itself would refuse it. */
        ASSERT_ERROR(create_chosen(&f, "2G", "2G", "4"), ENOSPC);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_CHOOSE_OTHER);
        /* A range inside one that another program allocated for a VF that is not bound. */
        other = fake_gim_legacy_get(f.legacy, "3072 3072 8");
        ASSERT_STREQ(other, "0000:03:00.2");
        ASSERT_ERROR(create_chosen(&f, "4G", "2G", "8"), ENOSPC);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_CHOOSE_OTHER);

        /* gim has released both VFs, which have their equal share again; the requested range could lie
         * inside a share. */
        for (unsigned i = 0; i < 2; i++)
                ASSERT_OK(vgpu_io_write(f.io, GPU "/relvf", fake_vf_name(f.pf, i)));
        ASSERT_ERROR(create_chosen(&f, "2G", "512M", "4"), ENOSPC);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_DESTROY_INSTANCE);
        /* The sizes cannot be read. */
        g_autofree char *file = g_strconcat(fake_vf_path(f.pf, 3), "/gpuvf", NULL);
        fake_fail(f.k, "read", file, EIO);
        ASSERT_ERROR(create_chosen(&f, "6G", "1G", "8"), EOPNOTSUPP);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_CHOOSE_OTHER);
}

static void test_legacy_bad_requests(void)
{
        static const struct {
                const char *uuid, *type, *parent, *name, *value;
                VgpudErrorCode code;
        } table[] = {
                { "nonsense", "mxgpu", NULL, NULL, NULL, VGPUD_ERROR_INVALID },
                { UUID_A, "vf", NULL, NULL, NULL, VGPUD_ERROR_NO_SUCH_TYPE },
                { UUID_A, "mxgpu", "0000:03:00.3", NULL, NULL, VGPUD_ERROR_INVALID },
                { UUID_A, "mxgpu", NULL, "fb_size", "512M", VGPUD_ERROR_INVALID },
                { UUID_A, "mxgpu", NULL, "fb_size", "240M", VGPUD_ERROR_INVALID },
                { UUID_A, "mxgpu", NULL, "fb_size", "500M", VGPUD_ERROR_INVALID },
                { UUID_A, "mxgpu", NULL, "fb_size", "much", VGPUD_ERROR_INVALID },
                { UUID_A, "mxgpu", NULL, "fb_offset", "0", VGPUD_ERROR_INVALID },
                { UUID_A, "mxgpu", NULL, "fb_offset", "1000000", VGPUD_ERROR_INVALID },
                { UUID_A, "mxgpu", NULL, "fb_offset", "4096T", VGPUD_ERROR_INVALID },
                { UUID_A, "mxgpu", NULL, "gfx_divider", "3", VGPUD_ERROR_INVALID },
                { UUID_A, "mxgpu", NULL, "gfx_divider", "32", VGPUD_ERROR_INVALID },
                { UUID_A, "mxgpu", NULL, "gfx_divider", "0", VGPUD_ERROR_INVALID },
                { UUID_A, "mxgpu", NULL, "vram_quota", "1G", VGPUD_ERROR_INVALID },
        };
        _cleanup_fixture_ Fixture f = with_legacy();

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                if (table[i].name)
                        add_option(&f, table[i].name, table[i].value);
                ASSERT_WRITES_NOTHING(&f,
                                      ASSERT_ERROR(create_on(&f, table[i].uuid, table[i].type, table[i].parent),
                                                   vgpud_error_code_to_errno(table[i].code)));
                ASSERT_EQ(f.e.code, table[i].code);
        }

        ASSERT_STREQ(f.claims->str, "");
}

/* Each refusal that gim can answer has its code and hint. */
static void test_legacy_refusals(void)
{
        static const struct {
                const char *says;
                VgpudErrorCode code;
                VgpudHintId hint;
        } table[] = {
                { "Can't find an availible VF", VGPUD_ERROR_NO_CAPACITY, VGPUD_HINT_RELEASE_VF },
                { "Can't find available VF", VGPUD_ERROR_NO_CAPACITY, VGPUD_HINT_RELEASE_VF },
                { "Detected Active VFs. The GPU partition should be managed with three zero inputs.",
                  VGPUD_ERROR_NO_CAPACITY, VGPUD_HINT_STOP_USER },
                { "The GPU partition should be managed with three zero inputs.", VGPUD_ERROR_NO_CAPACITY,
                  VGPUD_HINT_DESTROY_INSTANCE },
                { "The GPU partition should be managed with three non-zero inputs.", VGPUD_ERROR_NO_CAPACITY,
                  VGPUD_HINT_DESTROY_INSTANCE },
                { "The specified GFX_partition cannot be satisfied", VGPUD_ERROR_NO_CAPACITY,
                  VGPUD_HINT_CHOOSE_OTHER },
                { "Can not allocate a frame buffer with this offset and size", VGPUD_ERROR_NO_CAPACITY,
                  VGPUD_HINT_CHOOSE_OTHER },
                { "Invalid frame buffer offset, not in range", VGPUD_ERROR_INVALID, VGPUD_HINT_CHOOSE_OTHER },
                { "Invalid frame buffer size, should be larger than 256M and aligned in 16M",
                  VGPUD_ERROR_INVALID, VGPUD_HINT_CHOOSE_OTHER },
                { "Invalid GFX partition, should be power of 2 and in the range from 0 to 16",
                  VGPUD_ERROR_INVALID, VGPUD_HINT_CHOOSE_OTHER },
                { "Invalid Parameters", VGPUD_ERROR_INVALID, VGPUD_HINT_CHOOSE_OTHER },
                { "Not enough quota left.", VGPUD_ERROR_FAILED, VGPUD_HINT_SEE_KERNEL_LOG },
                { "", VGPUD_ERROR_FAILED, VGPUD_HINT_SEE_KERNEL_LOG },
        };
        _cleanup_fixture_ Fixture f = with_legacy();

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autofree char *text = g_strdup_printf("Failed to do getvf with error: %s\n\n", table[i].says);

                fake_gim_legacy_say(f.legacy, text);
                ASSERT_ERROR(create(&f, UUID_A), vgpud_error_code_to_errno(table[i].code));
                ASSERT_EQ(f.e.code, table[i].code);
                ASSERT_EQ(f.e.hint.id, table[i].hint);
                ASSERT_NULL(fake_vf_override(f.pf, 0));
                ASSERT_EQ(available(&f), 4);
        }

        fake_gim_legacy_say(f.legacy, "\n");
        ASSERT_ERROR(create(&f, UUID_A), EIO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_SEE_KERNEL_LOG);
        /* gim answers with a VF of another GPU. */
        fake_gim_legacy_say(f.legacy, "0000:04:00.1\n\n");
        ASSERT_ERROR(create(&f, UUID_A), EIO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_SEE_KERNEL_LOG);
}

static void test_legacy_errno(void)
{
        static const struct {
                int eno;
                VgpudErrorCode code;
        } table[] = {
                { ENOENT, VGPUD_ERROR_UNSUPPORTED }, { ENODEV, VGPUD_ERROR_GPU_GONE },
                { EACCES, VGPUD_ERROR_FAILED },      { EPERM, VGPUD_ERROR_FAILED },
                { EIO, VGPUD_ERROR_FAILED },         { EPROTO, VGPUD_ERROR_FAILED },
        };
        _cleanup_fixture_ Fixture f = with_legacy();

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                fake_fail(f.k, "write", GPU "/getvf", table[i].eno);
                ASSERT_ERROR(create(&f, UUID_A), vgpud_error_code_to_errno(table[i].code));
                ASSERT_EQ(f.e.code, table[i].code);
                ASSERT_EQ(f.e.errnum, table[i].eno);
                ASSERT_NULL(fake_vf_override(f.pf, 0));
                fake_heal(f.k);
        }
}

static int fail_once(FakeKernel *k, const char *path, void *data)
{
        unsigned *times = data;

        if (*times == 0)
                return 0;

        (*times)--;

        return -EIO;
}

/* The answer of gim is lost. gim has allocated the second VF, but vgpud cannot know this: it expected the first
 * VF, which another program has allocated. So vgpud releases no VF. */
static void test_legacy_no_answer(void)
{
        _cleanup_fixture_ Fixture f = with_legacy();
        g_autofree char *other = fake_gim_legacy_get(f.legacy, "0 0 0");
        unsigned times = 1;

        ASSERT_STREQ(other, "0000:03:00.1");
        fake_fail(f.k, "read", GPU "/getvf", EIO);
        ASSERT_ERROR(create(&f, UUID_A), ENOTRECOVERABLE);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_INCONSISTENT);
        ASSERT_EQ(f.e.errnum, EIO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_RELEASE_VF);
        ASSERT_TRUE(fake_gim_legacy_is_taken(f.legacy, 0));

        for (unsigned i = 0; i < 2; i++)
                ASSERT_NULL(fake_vf_override(f.pf, i));
        ASSERT_EQ(available(&f), 4);
        fake_heal(f.k);
        /* The first read of the answer fails. The answer stays in the file, so the second read succeeds. */
        ASSERT_OK(vgpu_io_write(f.io, GPU "/relvf", "0000:03:00.2"));
        fake_before(f.k, "read", GPU "/getvf", fail_once, &times);
        ASSERT_OK(create(&f, UUID_A));
        ASSERT_EQ(times, 0);
        ASSERT_STREQ(f.made->slot, "0000:03:00.2");
        ASSERT_EQ(destroy(&f, f.made), 1);
        ASSERT_TRUE(fake_gim_legacy_is_taken(f.legacy, 0));
}

/* The writer died: the file may contain the answer to an earlier request. */
static void test_legacy_writer_dies(void)
{
        _cleanup_fixture_ Fixture f = with_legacy();

        /* The file contains the answer to another program; gim received no new request. */
        ASSERT_OK(vgpu_io_write(f.io, GPU "/getvf", "0 0 0"));
        fake_fail(f.k, "write", GPU "/getvf", EPROTO);
        ASSERT_ERROR(create(&f, UUID_A), ENOTRECOVERABLE);
        ASSERT_EQ(f.e.errnum, EPROTO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_RELEASE_VF);
        ASSERT_TRUE(fake_gim_legacy_is_taken(f.legacy, 0));
        fake_heal(f.k);
        /* gim allocated another VF than vgpud had guessed. */
        fake_fail_after(f.k, "write", GPU "/getvf", EPROTO);
        ASSERT_ERROR(create(&f, UUID_A), ENOTRECOVERABLE);
        ASSERT_EQ(f.e.errnum, EPROTO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_RELEASE_VF);

        for (unsigned i = 0; i < 2; i++) {
                ASSERT_TRUE(fake_gim_legacy_is_taken(f.legacy, i));
                ASSERT_NULL(fake_vf_override(f.pf, i));
        }

        fake_heal(f.k);
        /* Two answers show that gim allocated no VF: one names an instance's VF, the other names no VF. */
        ASSERT_OK(create(&f, UUID_A));
        ASSERT_STREQ(f.made->slot, "0000:03:00.3");
        fake_fail(f.k, "write", GPU "/getvf", EPROTO);
        ASSERT_ERROR(create(&f, UUID_B), EIO);
        fake_heal(f.k);
        fake_gim_legacy_say(f.legacy, "Failed to do getvf with error: Can't find an availible VF\n\n");
        fake_fail_after(f.k, "write", GPU "/getvf", EPROTO);
        ASSERT_ERROR(create(&f, UUID_B), EIO);
        ASSERT_NULL(fake_vf_override(f.pf, 0));
}

/* Another program allocated the first VF and did not bind it, so gim allocates the next. */
static void test_legacy_guess(void)
{
        _cleanup_fixture_ Fixture f = with_legacy();
        g_autofree char *other = fake_gim_legacy_get(f.legacy, "0 0 0");

        ASSERT_STREQ(other, "0000:03:00.1");
        ASSERT_OK(create(&f, UUID_A));
        ASSERT_STREQ(f.made->slot, "0000:03:00.2");
        ASSERT_STREQ(f.claims->str, "0000:03:00.1 -\n0000:03:00.2 gim=given\n");
        ASSERT_STREQ(f.made->restore, "gim=given");
        ASSERT_NULL(fake_vf_override(f.pf, 0));
        ASSERT_EQ(destroy(&f, f.made), 1);
        ASSERT_TRUE(fake_gim_legacy_is_taken(f.legacy, 0));
        ASSERT_FALSE(fake_gim_legacy_is_taken(f.legacy, 1));
        assert_golden(f.k, "gim", "legacy-guess");
}

/* gim allocates the first free VF. If that VF cannot be read, vgpud releases it again. If another program
 * already has the unreadable VF, gim allocates a readable one. */
static void test_legacy_unreadable_vf(void)
{
        _cleanup_fixture_ Fixture f = with_legacy();
        g_autofree char *driver = g_strconcat(fake_vf_path(f.pf, 0), "/driver", NULL);
        GpuSnapshot *s = NULL;

        fake_fail(f.k, "link", driver, EIO);
        ASSERT_OK(f.driver->scan(&f.t, &s, &f.e));
        ASSERT_EQ(s->problems->len, 1);
        ASSERT_TRUE(gpu_snapshot_is_unread(s, fake_vf_name(f.pf, 0)));
        gpu_snapshot_unref(s);
        ASSERT_ERROR(create(&f, UUID_A), EIO);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_FAILED);
        ASSERT_EQ(f.e.errnum, EIO);
        ASSERT_FALSE(fake_gim_legacy_is_taken(f.legacy, 0));
        ASSERT_FALSE(fake_gim_legacy_is_taken(f.legacy, 1));
        ASSERT_NULL(fake_vf_override(f.pf, 1));
        g_free(fake_gim_legacy_get(f.legacy, "0 0 0")); /* by another program */
        ASSERT_OK(create(&f, UUID_A));
        ASSERT_STREQ(f.made->slot, fake_vf_name(f.pf, 1));
        ASSERT_EQ(destroy(&f, f.made), 1);
}

/* gim allocates the second VF, whose reservation fails: vgpud releases the second VF and restores the first. */
static void test_legacy_guess_claim_fails(void)
{
        _cleanup_fixture_ Fixture f = with_legacy();

        g_free(fake_gim_legacy_get(f.legacy, "0 0 0")); /* by another program */
        f.claims_before = 1;
        f.claim_result = -ENOSPC;
        ASSERT_ERROR(create(&f, UUID_A), EIO);
        ASSERT_EQ(f.e.errnum, ENOSPC);
        ASSERT_STREQ(f.claims->str, "0000:03:00.1 -\n0000:03:00.2 gim=given\n");
        ASSERT_FALSE(fake_gim_legacy_is_taken(f.legacy, 1));

        for (unsigned i = 0; i < 2; i++) {
                ASSERT_NULL(fake_vf_override(f.pf, i));
                ASSERT_NULL(fake_vf_driver(f.pf, i));
        }
}

/* Fails the second write to driver_override, which clears the reservation of the guessed VF. */
static int fail_clearing(FakeKernel *k, const char *path, void *data)
{
        unsigned *writes = data; /* writes so far; the first one sets the reservation */

        if ((*writes)++ == 0)
                return 0;

        return *writes == 2 ? -EIO : 0;
}

static int fail_all_clearing(FakeKernel *k, const char *path, void *data)
{
        unsigned *writes = data;

        return (*writes)++ == 0 ? 0 : -EIO;
}

static void test_legacy_guess_stays(void)
{
        _cleanup_fixture_ Fixture f = with_legacy();
        g_autofree char *override = g_strconcat(fake_vf_path(f.pf, 0), "/driver_override", NULL);
        unsigned writes = 0;

        g_free(fake_gim_legacy_get(f.legacy, "0 0 0")); /* by another program */
        fake_before(f.k, "write", override, fail_clearing, &writes);
        ASSERT_ERROR(create(&f, UUID_A), EIO);
        ASSERT_EQ(writes, 3);
        ASSERT_CONTAINS(f.e.message, "0000:03:00.1");

        for (unsigned i = 0; i < 2; i++)
                ASSERT_NULL(fake_vf_override(f.pf, i));
        ASSERT_TRUE(fake_gim_legacy_is_taken(f.legacy, 0));
        ASSERT_FALSE(fake_gim_legacy_is_taken(f.legacy, 1));
        fake_heal(f.k);
        writes = 0;
        (void)g_string_truncate(f.claims, 0);
        fake_before(f.k, "write", override, fail_all_clearing, &writes);
        ASSERT_ERROR(create(&f, UUID_A), ENOTRECOVERABLE);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_INCONSISTENT);
        ASSERT_EQ(f.e.errnum, EIO);
        ASSERT_NULL(fake_vf_override(f.pf, 1));
        ASSERT_FALSE(fake_gim_legacy_is_taken(f.legacy, 1));
        /* The guessed VF stays reserved. It is on record without gim=given, so destroy() will not release it
         * in gim. */
        ASSERT_STREQ(fake_vf_override(f.pf, 0), "vfio-pci");
        ASSERT_STREQ(f.claims->str, "0000:03:00.1 -\n0000:03:00.2 gim=given\n0000:03:00.1 -\n");
        fake_heal(f.k);
        /* gim refuses to release the VF that it allocated. */
        ASSERT_OK(vgpu_io_write(f.io, override, "\n"));
        writes = 0;
        fake_before(f.k, "write", override, fail_all_clearing, &writes);
        fake_fail(f.k, "write", GPU "/relvf", EIO);
        ASSERT_ERROR(create(&f, UUID_A), ENOTRECOVERABLE);
        ASSERT_EQ(f.e.errnum, EIO);
        ASSERT_TRUE(g_str_has_suffix(f.claims->str, "0000:03:00.2 gim=given\n"));
}

/* A VF that is bound without an allocation is left alone. */
static void test_legacy_bound_by_others(void)
{
        _cleanup_fixture_ Fixture f = with_legacy();

        ASSERT_OK(vfs_bind(f.io, f.facts->vfs->pdata[0], "vfio-pci", "vfio-pci", NULL));
        ASSERT_ERROR(create(&f, UUID_A), ENOSPC);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_STOP_OTHER_TOOL);
        ASSERT_FALSE(fake_gim_legacy_is_taken(f.legacy, 0));
        ASSERT_STREQ(fake_vf_driver(f.pf, 0), "vfio-pci");
        ASSERT_NULL(fake_vf_override(f.pf, 1));
        /* The VF can be destroyed; gim has no allocation to release. */
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = scan(&f);
        ASSERT_EQ(s->instances->len, 1);
        ASSERT_EQ(destroy(&f, s->instances->pdata[0]), 1);
        ASSERT_OK(create(&f, UUID_A));
        ASSERT_STREQ(f.made->slot, "0000:03:00.1");
}

static void test_legacy_full(void)
{
        _cleanup_fixture_ Fixture f = with_legacy();

        for (unsigned i = 0; i < 4; i++)
                ASSERT_OK(create(&f, UUID_A));
        ASSERT_EQ(available(&f), 0);
        ASSERT_ERROR(create(&f, UUID_B), ENOSPC);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_DESTROY_INSTANCE);
}

static void test_legacy_claim_fails(void)
{
        _cleanup_fixture_ Fixture f = with_legacy();

        f.claim_result = -EROFS;
        ASSERT_WRITES_NOTHING(&f, ASSERT_ERROR(create(&f, UUID_A), EIO));
        ASSERT_EQ(f.e.errnum, EROFS);
}

static void test_legacy_bind_fails(void)
{
        _cleanup_fixture_ Fixture f = with_legacy();

        fake_pci_fail_probe(f.pci, "vfio-pci", EIO);
        ASSERT_ERROR(create(&f, UUID_A), EIO);
        ASSERT_EQ(f.e.errnum, EIO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_SEE_KERNEL_LOG);
        ASSERT_FALSE(fake_gim_legacy_is_taken(f.legacy, 0));
        ASSERT_NULL(fake_vf_override(f.pf, 0));
        assert_golden(f.k, "gim", "legacy-rollback");
        /* gim also refuses to release the VF. */
        fake_fail(f.k, "write", GPU "/relvf", EIO);
        ASSERT_ERROR(create(&f, UUID_A), ENOTRECOVERABLE);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_INCONSISTENT);
        fake_heal(f.k);
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = scan(&f);
        ASSERT_EQ(s->instances->len, 1);
        InstanceDesc *d = s->instances->pdata[0];
        ASSERT_TRUE(d->half_made);
        ASSERT_TRUE(g_str_has_suffix(f.claims->str, "0000:03:00.1 gim=given\n"));
        d->restore = g_strdup("gim=given");
        ASSERT_EQ(destroy(&f, d), 1);
        ASSERT_FALSE(fake_gim_legacy_is_taken(f.legacy, 0));
}

/* vgpud was killed and left a reservation. An allocation is released if it is on record or the VF is bound;
 * else another program may own it. */
static void test_legacy_killed(void)
{
        static const struct {
                const char *restore, *driver;
                bool goes_back;
        } table[] = {
                { NULL, NULL, false },       { "driver=accelvf", NULL, false },
                { "gim=given", NULL, true }, { "driver=nothing gim=given", NULL, true },
                { NULL, "vfio-pci", true },
        };
        _cleanup_fixture_ Fixture f = with_legacy();
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autofree char *other = fake_gim_legacy_get(f.legacy, "0 0 0");

                ASSERT_STREQ(other, "0000:03:00.1");
                ASSERT_OK(vfs_bind(f.io, f.facts->vfs->pdata[0], table[i].driver, "vfio-pci", NULL));
                s = gpu_snapshot_unref(s);
                s = scan(&f);
                ASSERT_EQ(s->instances->len, 1);
                InstanceDesc *d = s->instances->pdata[0];
                ASSERT_EQ(d->half_made, !table[i].driver);
                d->restore = g_strdup(table[i].restore);

                if (table[i].goes_back)
                        ASSERT_EQ(destroy(&f, d), 1);
                else {
                        ASSERT_ERROR(destroy(&f, d), EIO);
                        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_RELEASE_VF);
                }

                ASSERT_EQ(fake_gim_legacy_is_taken(f.legacy, 0), !table[i].goes_back);
                ASSERT_NULL(fake_vf_override(f.pf, 0));
                ASSERT_OK(vgpu_io_write(f.io, GPU "/relvf", "0000:03:00.1"));
        }
}

static void test_legacy_restores(void)
{
        _cleanup_fixture_ Fixture f = with_legacy();

        ASSERT_OK(vgpu_io_write(f.io, GPU "/sriov_drivers_autoprobe", "1"));
        ASSERT_OK(vfs_bind(f.io, f.facts->vfs->pdata[0], "accelvf", NULL, NULL));
        ASSERT_OK(create(&f, UUID_A));
        ASSERT_STREQ(f.claims->str, "0000:03:00.1 driver=accelvf\n0000:03:00.1 driver=accelvf gim=given\n");
        ASSERT_STREQ(f.made->restore, "driver=accelvf gim=given");
        ASSERT_EQ(destroy(&f, f.made), 1);
        ASSERT_STREQ(fake_vf_driver(f.pf, 0), "accelvf");
        /* vgpud was killed during the return, before it restored driver_override. */
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        ASSERT_OK(vfs_bind(f.io, f.facts->vfs->pdata[0], "accelvf", "accelvf", NULL));
        ASSERT_OK(gim_legacy_driver.finish_interrupted(&f.t, "0000:03:00.1", f.made->restore, &error));
        ASSERT_NULL(fake_vf_override(f.pf, 0));
        ASSERT_STREQ(fake_vf_driver(f.pf, 0), "accelvf");
        ASSERT_NULL(fake_vf_override(f.pf, 0));
}

/* The driver of the host refuses the returned VF. Later, create() leaves a VF alone that a program uses
 * through that driver. */
static void test_legacy_driver_of_host(void)
{
        _cleanup_fixture_ Fixture f = with_legacy();
        g_autofree char *render = g_strconcat(fake_vf_path(f.pf, 0), "/drm/renderD129", NULL);

        ASSERT_OK(vgpu_io_write(f.io, GPU "/sriov_drivers_autoprobe", "1"));
        ASSERT_OK(vfs_bind(f.io, f.facts->vfs->pdata[0], "accelvf", NULL, NULL));
        ASSERT_OK(create(&f, UUID_A));
        fake_pci_fail_probe(f.pci, "accelvf", EIO);
        ASSERT_ERROR(destroy(&f, f.made), EIO);
        ASSERT_EQ(f.e.errnum, EIO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_SEE_KERNEL_LOG);
        ASSERT_NULL(fake_vf_override(f.pf, 0));
        ASSERT_FALSE(fake_gim_legacy_is_taken(f.legacy, 0));
        fake_pci_fail_probe(f.pci, "accelvf", 0);

        ASSERT_OK(vfs_bind(f.io, f.facts->vfs->pdata[0], "accelvf", NULL, NULL));
        fake_add_directory(f.k, render);
        fake_add_node(f.k, "dri/renderD129");
        fake_hold_node(f.k, "dri/renderD129", 815, "ffmpeg");
        g_autofree char *before = fake_writes(f.k);
        ASSERT_ERROR(create(&f, UUID_A), EBUSY);
        ASSERT_CONTAINS(f.e.message, "process 815 (ffmpeg)");
        g_autofree char *after = fake_writes(f.k);
        ASSERT_STREQ(after, before);
}

static void test_legacy_destroy_in_use(void)
{
        _cleanup_fixture_ Fixture f = with_legacy();

        ASSERT_OK(create(&f, UUID_A));
        fake_hold_node(f.k, "vfio/10", 4711, "qemu-system-x86");
        ASSERT_WRITES_NOTHING(&f, {
                ASSERT_ERROR(destroy(&f, f.made), EBUSY);
                ASSERT_CONTAINS(f.e.message, "process 4711 (qemu-system-x86)");
                fake_gim_legacy_run(f.legacy, 0, true);
                ASSERT_ERROR(destroy(&f, f.made), EBUSY);
                ASSERT_EQ(f.e.errnum, EBUSY);
                ASSERT_EQ(f.e.hint.id, VGPUD_HINT_STOP_USER);
                /* QEMU has ended, but gim still reports the guest as running. */
                fake_hold_node(f.k, "vfio/10", 0, NULL);
                ASSERT_ERROR(destroy(&f, f.made), EBUSY);
                ASSERT_EQ(f.e.errnum, EBUSY);
                ASSERT_EQ(f.e.hint.id, VGPUD_HINT_STOP_USER);
        });
        ASSERT_FALSE(fake_node_is_kept(f.k, "vfio/10"));
        fake_gim_legacy_run(f.legacy, 0, false);
        ASSERT_EQ(destroy(&f, f.made), 1);
}

static void test_legacy_release_fails(void)
{
        static const struct {
                const char *says;
                VgpudErrorCode code;
        } table[] = {
                { "Failed to do relvf with error: Failed to release VF. The VF is still in use.\n\n",
                  VGPUD_ERROR_IN_USE },
                { "Failed to do relvf with error: Failed to release VF. The specified VF cannot be found.\n\n",
                  VGPUD_ERROR_FAILED },
                { "Failed to do relvf with error: Invalid Parameters\n\n", VGPUD_ERROR_FAILED },
                { "\n", VGPUD_ERROR_FAILED },
        };
        _cleanup_fixture_ Fixture f = with_legacy();

        ASSERT_OK(create(&f, UUID_A));

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                fake_gim_legacy_say(f.legacy, table[i].says);
                ASSERT_ERROR(destroy(&f, f.made), vgpud_error_code_to_errno(table[i].code));
                ASSERT_EQ(f.e.code, table[i].code);
                /* The instance still exists and can be destroyed. */
                ASSERT_STREQ(fake_vf_override(f.pf, 0), "vfio-pci");
                ASSERT_TRUE(fake_gim_legacy_is_taken(f.legacy, 0));
        }

        ASSERT_EQ(destroy(&f, f.made), 1);
        ASSERT_NULL(fake_vf_override(f.pf, 0));
}

/* destroy() sets driver_override if it is missing, so that the instance stays visible until gim has released
 * the VF. */
static void test_legacy_destroy_bound_otherwise(void)
{
        _cleanup_fixture_ Fixture f = with_legacy();

        ASSERT_OK(create(&f, UUID_A));
        ASSERT_OK(vfs_bind(f.io, f.facts->vfs->pdata[0], "vfio-pci", NULL, NULL));
        fake_gim_legacy_say(f.legacy, "nonsense\n");
        ASSERT_ERROR(destroy(&f, f.made), EIO);
        ASSERT_STREQ(fake_vf_override(f.pf, 0), "vfio-pci");
        ASSERT_EQ(destroy(&f, f.made), 1);
        ASSERT_NULL(fake_vf_override(f.pf, 0));
}

static void test_legacy_gone(void)
{
        _cleanup_fixture_ Fixture f = with_legacy();

        ASSERT_OK(create(&f, UUID_A));
        InstanceDesc *d = g_steal_pointer(&f.made);
        fake_before(f.k, "write", GPU "/getvf", unplug, f.pf);
        int r = create(&f, UUID_B), q = destroy(&f, d);
        instance_desc_free(d);
        ASSERT_ERROR(r, ENOLINK);
        ASSERT_EQ(q, 0);
        GpuSnapshot *s = NULL;
        ASSERT_ERROR(gim_legacy_driver.scan(&f.t, &s, &f.e), ENOLINK);
}

static void test_legacy_unprepared(void)
{
        _cleanup_fixture_ Fixture f = with_legacy();

        fake_pci_remove_driver(f.pci, "vfio-pci");
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = scan(&f);
        ASSERT_EQ(s->hint.id, VGPUD_HINT_LOAD_DRIVER);
        ASSERT_ERROR(create(&f, UUID_A), EOPNOTSUPP);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_LOAD_DRIVER);
        ASSERT_STREQ(f.claims->str, "");
        uint32_t n = 0;
        ASSERT_ERROR(gim_legacy_driver.set_vfs(&f.t, 2, &n, &f.e), EOPNOTSUPP);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_CONFIGURE_DRIVER);
}

static void test_legacy_no_iommu(void)
{
        _cleanup_fixture_ Fixture f = with_functions();

        ASSERT_OK(fake_pf_enable(f.pf, 0));
        fake_pf_set_iommu(f.pf, false, false);
        ASSERT_OK(fake_pf_enable(f.pf, 2));
        f.legacy = fake_gim_legacy_new(f.k, f.pf);
        f.driver = &gim_legacy_driver;
        read_facts(&f);
        ASSERT_ERROR(create(&f, UUID_A), EOPNOTSUPP);
        ASSERT_EQ(f.e.errnum, EINVAL);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_ENABLE_IOMMU);
        ASSERT_FALSE(fake_gim_legacy_is_taken(f.legacy, 0));
}

int main(void)
{
        TEST(test_modes);
        TEST(test_modes_missing);
        TEST(test_modes_not_available);
        TEST(test_modes_of_plain);
        TEST(test_set);
        TEST(test_set_bad_values);
        TEST(test_set_refused);
        TEST(test_set_nps8);
        TEST(test_set_lost);
        TEST(test_set_errno);
        TEST(test_set_gone);
        TEST(test_set_in_use);
        TEST(test_set_in_use_elsewhere);
        TEST(test_set_host_driver);
        TEST(test_set_host_driver_elsewhere);
        TEST(test_legacy_match);
        TEST(test_legacy_scan);
        TEST(test_legacy_life);
        TEST(test_legacy_options);
        TEST(test_legacy_within);
        TEST(test_legacy_bad_requests);
        TEST(test_legacy_refusals);
        TEST(test_legacy_errno);
        TEST(test_legacy_no_answer);
        TEST(test_legacy_writer_dies);
        TEST(test_legacy_guess);
        TEST(test_legacy_unreadable_vf);
        TEST(test_legacy_guess_claim_fails);
        TEST(test_legacy_guess_stays);
        TEST(test_legacy_bound_by_others);
        TEST(test_legacy_full);
        TEST(test_legacy_claim_fails);
        TEST(test_legacy_bind_fails);
        TEST(test_legacy_killed);
        TEST(test_legacy_restores);
        TEST(test_legacy_driver_of_host);
        TEST(test_legacy_destroy_in_use);
        TEST(test_legacy_release_fails);
        TEST(test_legacy_destroy_bound_otherwise);
        TEST(test_legacy_gone);
        TEST(test_legacy_unprepared);
        TEST(test_legacy_no_iommu);

        return tests_end();
}
