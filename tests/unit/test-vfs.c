/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The number and the drivers of VFs on the in-memory kernel. Tests that call check_golden()
 * compare all writes with tests/golden/vfs-NAME.txt. */

#include "drivers-glue/vf/count.h"

#include "back-end.h"
#include "drivers-glue/nvidia/sriov-manage.h"
#include "drivers-glue/nvidia/vfs.h"
#include "drivers-glue/amd/gim.h"
#include "drivers-glue/intel/i915.h"
#include "drivers-glue/vf/bind.h"
#include "fake-sriov.h"
#include "tests.h"

#define PF "devices/pci0000:00/0000:00:01.0/0000:03:00.0"

/* A stand-in for NVIDIA's script: unbinds the driver, sets the number, and binds the driver. */
static struct {
        FakePf *pf;
        unsigned made; /* number of VFs that -e enables */
        int result;
        unsigned runs;
} manage;

int nvidia_run_sriov_manage(VgpuTarget *t, bool enable, VgpudError *reterr)
{
        manage.runs++;
        if (manage.pf) {
                fake_pf_set_driver(manage.pf, "accel");
                g_assert(fake_pf_enable(manage.pf, enable ? manage.made : 0) >= 0);
                fake_pf_set_driver(manage.pf, "nvidia");
        }

        if (manage.result < 0)
                return vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, manage.result, "the script failed");

        return 0;
}

typedef struct Fixture {
        FakeKernel *k;
        FakePci *pci;
        FakePf *pf;
        GpuFacts *facts;
        VgpuIo *io;
        VgpuTarget t;
        const VfMethod *method; /* NULL: the write to sriov_numvfs */
        VgpudError e;
} Fixture;

static void read_facts(Fixture *f)
{
        gpu_facts_unref(f->facts);
        f->facts = fake_pf_facts(f->pf);
        f->t = (VgpuTarget){ .facts = f->facts, .io = f->io };
}

static Fixture with_pf(FakePfModel model, unsigned total, unsigned offset)
{
        Fixture f = { .k = fake_kernel_new() };

        f.pci = fake_pci_new(f.k);
        f.pf = fake_pci_add_pf(f.pci, model, "0000:03:00.0", total, offset);
        f.io = fake_kernel_io(f.k);
        read_facts(&f);
        memset(&manage, 0, sizeof manage);

        return f;
}

static void fixture_free(Fixture *f)
{
        vgpud_error_done(&f->e);
        gpu_facts_unref(f->facts);
        vgpu_io_free(f->io);
        fake_pci_free(f->pci);
        fake_kernel_free(f->k);
}
#define _cleanup_fixture_ _cleanup_(fixture_free)

static int checked(Fixture *f, int r)
{
        return assert_explained(r, &f->e);
}

static int set(Fixture *f, uint32_t count)
{
        uint32_t got = UINT32_MAX;

        vgpud_error_done(&f->e);
        int r = checked(f, vfs_set(&f->t, f->method, count, &got, &f->e));
        ASSERT_EQ(got, r < 0 ? UINT32_MAX : count);

        return r;
}

static int bind_vf(Fixture *f, unsigned n, const char *driver, const char *override)
{
        vgpud_error_done(&f->e);
        return checked(f, vfs_bind(f->io, f->facts->vfs->pdata[n], driver, override, &f->e));
}

static void check_golden(Fixture *f, const char *name)
{
        assert_golden(f->k, "vfs", name);
}

static char *read_text(Fixture *f, const char *path)
{
        char *text = NULL;

        ASSERT_OK(vgpu_io_read(f->io, path, &text));

        return text;
}

/* ---- the number of VFs ---- */

static void test_life(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 7, 1);

        ASSERT_OK(set(&f, 0)); /* no change */
        ASSERT_OK(set(&f, 2));
        read_facts(&f);
        ASSERT_EQ(f.facts->enabled_vfs, 2);
        ASSERT_NULL(fake_vf_driver(f.pf, 0)); /* the host's driver was kept away */
        ASSERT_OK(set(&f, 2));                /* no change */
        ASSERT_OK(set(&f, 3));                /* the kernel requires a step through 0 */
        ASSERT_OK(set(&f, 0));
        check_golden(&f, "life");
        g_autofree char *autoprobe = read_text(&f, PF "/sriov_drivers_autoprobe");
        ASSERT_STREQ(autoprobe, "1");
}

/* sriov_drivers_autoprobe gets its earlier value back, even if the kernel refuses the number of VFs. */
static void test_autoprobe(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 7, 1);
        g_autofree char *off = NULL, *on = NULL;

        ASSERT_OK(vgpu_io_write(f.io, PF "/sriov_drivers_autoprobe", "0"));
        ASSERT_OK(set(&f, 2));
        off = read_text(&f, PF "/sriov_drivers_autoprobe");
        ASSERT_STREQ(off, "0");
        ASSERT_OK(set(&f, 0));
        ASSERT_OK(vgpu_io_write(f.io, PF "/sriov_drivers_autoprobe", "1"));
        fake_fail(f.k, "write", PF "/sriov_numvfs", ENOMEM);
        ASSERT_ERROR(set(&f, 2), ENOSPC);
        on = read_text(&f, PF "/sriov_drivers_autoprobe");
        ASSERT_STREQ(on, "1");
        check_golden(&f, "autoprobe");
}

static int fail_next(FakeKernel *k, const char *path, void *data)
{
        fake_fail(k, "write", data, EIO);
        return 0;
}

static void test_autoprobe_fails(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 7, 1);

        fake_fail(f.k, "write", PF "/sriov_drivers_autoprobe", EIO);
        ASSERT_ERROR(set(&f, 2), EIO);
        ASSERT_EQ(f.e.errnum, EIO);
        ASSERT_FALSE(fake_exists(f.k, PF "/virtfn0"));
        fake_heal(f.k);
        /* The restore of sriov_drivers_autoprobe fails. */
        fake_before(f.k, "write", PF "/sriov_numvfs", fail_next, (void *)PF "/sriov_drivers_autoprobe");
        ASSERT_ERROR(set(&f, 2), ENOTRECOVERABLE);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_INCONSISTENT);
        ASSERT_EQ(f.e.errnum, EIO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_REMOVE_BY_HAND);
        fake_heal(f.k);
        ASSERT_OK(set(&f, 0));
        /* Kernels before 4.12 lack the file. */
        fake_remove(f.k, PF "/sriov_drivers_autoprobe");
        ASSERT_OK(set(&f, 2));
        ASSERT_STREQ(fake_vf_driver(f.pf, 0), NULL);
}

static void test_count(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 7, 1);

        ASSERT_ERROR(set(&f, 8), EINVAL);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_INVALID);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_CHOOSE_OTHER);
        /* The facts are out of date: the driver has lowered the limit. */
        fake_add_file(f.k, PF "/sriov_totalvfs", "4\n");
        ASSERT_ERROR(set(&f, 5), EINVAL);
        fake_add_file(f.k, PF "/sriov_totalvfs", "0\n");
        ASSERT_ERROR(set(&f, 1), EOPNOTSUPP);
        f.method = &i915_vf_method;
        ASSERT_ERROR(set(&f, 1), EOPNOTSUPP);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_CONFIGURE_DRIVER);
        ASSERT_OK(set(&f, 0));
        fake_remove(f.k, PF "/sriov_totalvfs");
        ASSERT_ERROR(set(&f, 1), EOPNOTSUPP);
        ASSERT_EQ(f.e.errnum, ENOENT);
        g_autofree char *writes = fake_writes(f.k);
        ASSERT_STREQ(writes, "");
}

/* The error names the driver's setting that limits the number of VFs to 0. */
static void test_limit_of_driver(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_XE, 7, 0);

        fake_add_file(f.k, PF "/sriov_totalvfs", "0\n");
        fake_add_file(f.k, "module/xe/parameters/max_vfs", "0\n");
        ASSERT_ERROR(set(&f, 1), EOPNOTSUPP);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_CONFIGURE_DRIVER);
        ASSERT_CONTAINS(f.e.message, "/sys/module/xe/parameters/max_vfs");
        ASSERT_CONTAINS(f.e.hint.text, "xe.max_vfs=");
        g_autofree char *writes = fake_writes(f.k);
        ASSERT_STREQ(writes, "");
}

static void test_fewer(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 7, 1);

        fake_pf_set_limit(f.pf, 3);
        ASSERT_ERROR(set(&f, 5), EIO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_SEE_KERNEL_LOG);
}

/* Every errno of sriov_numvfs: from the PCI core and pci_enable_sriov(), and from xe and i915. */
static void test_enable_errno(void)
{
        static const struct {
                int eno;
                VgpudErrorCode code;
                const VfMethod *method;
        } table[] = {
                { ENOENT, VGPUD_ERROR_UNSUPPORTED },
                { ERANGE, VGPUD_ERROR_INVALID },
                { EBUSY, VGPUD_ERROR_FAILED },
                { ENOMEM, VGPUD_ERROR_NO_CAPACITY },
                { ENOSPC, VGPUD_ERROR_NO_CAPACITY },
                { EUSERS, VGPUD_ERROR_IN_USE },
                { EPERM, VGPUD_ERROR_FAILED },
                { EPERM, VGPUD_ERROR_FAILED, &i915_vf_method },
                { ENOKEY, VGPUD_ERROR_FAILED, &i915_vf_method },
                { EPROTO, VGPUD_ERROR_FAILED },
                { EPROTO, VGPUD_ERROR_FAILED, &i915_vf_method },
                { ECANCELED, VGPUD_ERROR_FAILED, &i915_vf_method },
                { EIO, VGPUD_ERROR_FAILED },
                { ENODEV, VGPUD_ERROR_UNSUPPORTED },
                { ENODEV, VGPUD_ERROR_UNSUPPORTED, &i915_vf_method },
                { ENOSYS, VGPUD_ERROR_UNSUPPORTED },
                { EINVAL, VGPUD_ERROR_FAILED },
                { EACCES, VGPUD_ERROR_FAILED },
                { EXDEV, VGPUD_ERROR_FAILED },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 7, 1);

                f.method = table[i].method;
                fake_fail(f.k, "write", PF "/sriov_numvfs", table[i].eno);
                ASSERT_ERROR(set(&f, 2), vgpud_error_code_to_errno(table[i].code));
                ASSERT_EQ(f.e.code, table[i].code);
                ASSERT_EQ(f.e.errnum, table[i].eno);
                /* The refusals of the VfMethod take precedence. Of all refusals, only i915's for ECANCELED has
                 * this hint. */
                ASSERT_EQ(f.e.hint.id == VGPUD_HINT_RESET_GPU, table[i].eno == ECANCELED);
                ASSERT_CONTAINS(f.e.message, "0000:03:00.0");
                fake_heal(f.k);
                ASSERT_OK(set(&f, 2));
                /* Disabling fails with the same errno, and the VFs stay. */
                fake_fail(f.k, "write", PF "/sriov_numvfs", table[i].eno);
                ASSERT_ERROR(set(&f, 0), vgpud_error_code_to_errno(table[i].code));
                ASSERT_TRUE(fake_exists(f.k, PF "/virtfn1"));
        }
}

/* Without a driver that can enable VFs, the write to sriov_numvfs fails with ENOENT. The hint depends on the
 * driver that the PF has. */
static void test_no_sriov(void)
{
        static const struct {
                const char *driver;
                VgpudHintId hint;
                const VfMethod *method;
        } table[] = {
                { NULL, VGPUD_HINT_LOAD_DRIVER },
                { NULL, VGPUD_HINT_LOAD_DRIVER, &i915_vf_method },
                { "i915", VGPUD_HINT_CONFIGURE_DRIVER, &i915_vf_method },
                { "vfio-pci", VGPUD_HINT_CONFIGURE_DRIVER },
                { "pci-stub", VGPUD_HINT_NONE },
        };
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 7, 1);

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                f.method = table[i].method;
                fake_pf_set_driver(f.pf, table[i].driver);
                ASSERT_ERROR(set(&f, 2), EOPNOTSUPP);
                ASSERT_EQ(f.e.errnum, ENOENT);
                ASSERT_EQ(f.e.hint.id, table[i].hint);
        }
}

static void test_gim(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 8, 1);

        ASSERT_OK(fake_pf_enable(f.pf, 8));
        fake_pf_set_driver(f.pf, "gim");
        read_facts(&f);
        f.method = &gim_vf_method;
        ASSERT_OK(set(&f, 8));
        ASSERT_ERROR(set(&f, 4), EOPNOTSUPP);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_CONFIGURE_DRIVER);
        g_autofree char *writes = fake_writes(f.k);
        ASSERT_STREQ(writes, "");
}

/* The writer died after write(2): the number of VFs that exist decides about success. */
static void test_writer_died(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 7, 1);

        fake_fail_after(f.k, "write", PF "/sriov_numvfs", EPROTO);
        ASSERT_OK(set(&f, 2));
        ASSERT_OK(set(&f, 3));
        ASSERT_OK(set(&f, 0));
}

static int store_nothing(FakeKernel *k, const char *path, void *data, const char *value)
{
        return 0;
}

static void test_nothing_happens(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 7, 1);

        ASSERT_OK(set(&f, 2));
        fake_add_attribute(f.k, PF "/sriov_numvfs", NULL, store_nothing, NULL);
        ASSERT_ERROR(set(&f, 0), EIO);
        ASSERT_ERROR(set(&f, 3), EIO);
}

/* A VF whose link cannot be read may be in use, so VFs are not disabled. A VF that disappears is not in use. */
static void test_odd_link(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 7, 1);

        ASSERT_OK(set(&f, 2));
        fake_fail(f.k, "link", PF "/virtfn1", EACCES);
        ASSERT_ERROR(set(&f, 0), EIO);
        ASSERT_EQ(f.e.errnum, EACCES);
        fake_heal(f.k);
        ASSERT_EQ(set(&f, 2), 0); /* unchanged */
        fake_fail(f.k, "link", PF "/virtfn1", ENOENT);
        ASSERT_OK(set(&f, 0));
        fake_heal(f.k);
        read_facts(&f);
        ASSERT_EQ(f.facts->vfs->len, 0);
}

/* The kernel counts three VFs, but the third does not exist. */
static void test_missing_vf(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 7, 1);

        fake_fail(f.k, "link", PF "/virtfn2", ENOENT);
        ASSERT_ERROR(set(&f, 3), EIO);
        ASSERT_CONTAINS(f.e.message, " 2 ");
        ASSERT_CONTAINS(f.e.message, " 3 ");
}

/* Another program enables four VFs first. */
static int enable_four(FakeKernel *k, const char *path, void *data)
{
        g_assert(fake_pf_enable(data, 4) >= 0);
        return 0;
}

static void test_race(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 7, 1);

        fake_before(f.k, "write", PF "/sriov_numvfs", enable_four, f.pf);
        ASSERT_ERROR(set(&f, 2), EBUSY);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_IN_USE);
        ASSERT_EQ(f.e.errnum, EBUSY);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_STOP_OTHER_TOOL);
}

static int unplug(FakeKernel *k, const char *path, void *data)
{
        fake_pf_unplug(data);
        return 0;
}

static void test_gone(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 7, 1);

        fake_before(f.k, "write", PF "/sriov_numvfs", unplug, f.pf);
        ASSERT_ERROR(set(&f, 2), ENOLINK);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_GPU_GONE);
        fake_heal(f.k);
        ASSERT_ERROR(set(&f, 2), ENOLINK);
}

/* The folder of a removed device still exists for a moment. */
static void test_going(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 7, 1);

        fake_fail(f.k, "read", PF "/sriov_totalvfs", ENODEV);
        ASSERT_ERROR(set(&f, 2), ENOLINK);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_GPU_GONE);
        fake_heal(f.k);
        fake_fail(f.k, "write", PF "/sriov_drivers_autoprobe", ENODEV);
        ASSERT_ERROR(set(&f, 2), ENOLINK);
}

/* ---- VFs in use ---- */

static void test_in_use(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 7, 1);

        ASSERT_OK(set(&f, 2));
        read_facts(&f);
        ASSERT_OK(bind_vf(&f, 1, "vfio-pci", "vfio-pci"));
        fake_hold_node(f.k, "vfio/11", 4711, "qemu-system-x86");
        g_autofree char *before = fake_writes(f.k);
        ASSERT_ERROR(set(&f, 0), EBUSY);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_IN_USE);
        ASSERT_CONTAINS(f.e.message, "0000:03:00.2");
        ASSERT_CONTAINS(f.e.message, "process 4711 (qemu-system-x86)");
        ASSERT_ERROR(set(&f, 3), EBUSY);
        /* The message names the VF that is open, even if a VF that is not open comes first. */
        ASSERT_OK(bind_vf(&f, 0, "vfio-pci", "vfio-pci"));
        g_free(before);
        before = fake_writes(f.k);
        ASSERT_ERROR(set(&f, 0), EBUSY);
        ASSERT_CONTAINS(f.e.message, "process 4711 (qemu-system-x86)");
        fake_hold_node(f.k, "vfio/11", 0, NULL);
        ASSERT_ERROR(set(&f, 0), EBUSY);
        ASSERT_CONTAINS(f.e.message, "0000:03:00.1");
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_DESTROY_INSTANCE);
        ASSERT_OK(bind_vf(&f, 0, NULL, NULL));
        g_free(before);
        before = fake_writes(f.k);
        /* The VF is not open any more, but still handed out. */
        fake_hold_node(f.k, "vfio/11", 0, NULL);
        ASSERT_ERROR(set(&f, 0), EBUSY);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_DESTROY_INSTANCE);
        g_autofree char *after = fake_writes(f.k);
        ASSERT_STREQ(after, before);
        /* A half-made instance counts as handed out. */
        ASSERT_OK(bind_vf(&f, 1, NULL, "vfio-pci"));
        ASSERT_ERROR(set(&f, 0), EBUSY);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_DESTROY_INSTANCE);
        ASSERT_OK(bind_vf(&f, 1, NULL, NULL));
        ASSERT_OK(set(&f, 0));
}

static void test_carries(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 7, 1);
        g_autofree char *child = NULL, *type = NULL;

        ASSERT_OK(set(&f, 2));
        child = g_strconcat(fake_vf_path(f.pf, 0), "/11111111-0000-4000-8000-000000000001", NULL);
        type = g_strconcat(fake_vf_path(f.pf, 0), "/nvidia/current_vgpu_type", NULL);
        fake_add_directory(f.k, child);
        ASSERT_ERROR(set(&f, 0), EBUSY);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_DESTROY_INSTANCE);
        fake_remove(f.k, child);
        fake_add_file(f.k, type, "1155\n");
        fake_pf_set_driver(f.pf, "nvidia");
        manage.pf = f.pf;
        f.method = &nvidia_vf_method;
        ASSERT_ERROR(set(&f, 0), EBUSY);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_DESTROY_INSTANCE);
        fake_fail(f.k, "read", type, EIO);
        ASSERT_ERROR(set(&f, 0), EBUSY);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_IN_USE);
        fake_heal(f.k);
        fake_add_file(f.k, type, "0\n");
        ASSERT_OK(set(&f, 0));
}

/* A VF is in use if the host keeps it for another purpose, by a driver like pci-stub or by driver_override. */
static void test_in_use_by_host(void)
{
        static const struct {
                const char *driver, *override;
        } table[] = {
                { "pci-stub", NULL }, { "pci-stub", "pci-stub" },       { "accelvf", "accelvf" },
                { "pciback", NULL },  { "xen-pciback", "xen-pciback" },
        };
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 7, 1);
        g_autofree char *render = NULL, *accel = NULL;

        ASSERT_OK(fake_pf_enable(f.pf, 2));
        read_facts(&f);

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                fake_pci_add_driver(f.pci, table[i].driver);
                ASSERT_OK(bind_vf(&f, 1, table[i].driver, table[i].override));
                g_autofree char *before = fake_writes(f.k);
                ASSERT_ERROR(set(&f, 0), EBUSY);
                ASSERT_EQ(f.e.code, VGPUD_ERROR_IN_USE);
                ASSERT_EQ(f.e.hint.id, VGPUD_HINT_RELEASE_VF);
                ASSERT_ERROR(set(&f, 3), EBUSY);
                g_autofree char *after = fake_writes(f.k);
                ASSERT_STREQ(after, before);
        }

        ASSERT_OK(bind_vf(&f, 1, "accelvf", NULL));
        render = g_strconcat(fake_vf_path(f.pf, 0), "/drm/renderD129", NULL);
        accel = g_strconcat(fake_vf_path(f.pf, 1), "/accel/accel3", NULL);
        fake_add_directory(f.k, render);
        fake_add_directory(f.k, accel);
        fake_add_node(f.k, "dri/renderD129");
        fake_add_node(f.k, "accel/accel3");
        fake_hold_node(f.k, "dri/renderD129", 815, "ffmpeg");
        ASSERT_ERROR(set(&f, 0), EBUSY);
        ASSERT_EQ(f.e.errnum, EBUSY);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_STOP_USER);
        ASSERT_CONTAINS(f.e.message, "process 815 (ffmpeg) has /dev/dri/renderD129 open");
        fake_hold_node(f.k, "dri/renderD129", 0, NULL);
        fake_hold_node(f.k, "accel/accel3", 4, "python3");
        ASSERT_ERROR(bind_vf(&f, 1, NULL, NULL), EBUSY);
        ASSERT_CONTAINS(f.e.message, "process 4 (python3) has /dev/accel/accel3 open");
        ASSERT_ERROR(set(&f, 0), EBUSY);
        fake_hold_node(f.k, "accel/accel3", 0, NULL);
        /* A VF that cannot be checked may be in use. */
        g_autofree char *drm = g_path_get_dirname(render);
        fake_fail(f.k, "list", drm, EACCES);
        ASSERT_ERROR(set(&f, 0), EBUSY);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_IN_USE);
        fake_heal(f.k);
        /* No program has the VFs open. A VF that is only bound to a driver of the host is not in use. */
        ASSERT_STREQ(fake_vf_driver(f.pf, 1), "accelvf");
        ASSERT_OK(set(&f, 0));
}

/* vgpud keeps the groups of the VFs open until the write has returned. The golden file shows which groups. */
static void test_keeps_out(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 7, 1);

        ASSERT_OK(set(&f, 3));
        fake_add_node(f.k, "vfio/10");
        fake_add_node(f.k, "vfio/12");
        ASSERT_OK(set(&f, 0));
        ASSERT_FALSE(fake_node_is_kept(f.k, "vfio/10"));
        check_golden(&f, "kept");
}

/* If all VFs share one group, vgpud opens the group once. */
static void test_shared_group(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 7, 1);

        fake_pf_set_iommu(f.pf, true, true);
        ASSERT_OK(set(&f, 3));
        read_facts(&f);
        fake_add_node(f.k, "vfio/10");
        ASSERT_OK(set(&f, 0));
        g_autofree char *writes = fake_writes(f.k);
        ASSERT_CONTAINS(writes, "sriov_numvfs = 0: ok (keeping vfio/10)");
        fake_hold_node(f.k, "vfio/10", 4711, "qemu");
        ASSERT_OK(set(&f, 3));
        ASSERT_ERROR(set(&f, 0), EBUSY);
        ASSERT_CONTAINS(f.e.message, "process 4711");
}

static void test_many(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 256, 128);

        ASSERT_OK(set(&f, 256));
        read_facts(&f);
        /* The VFs are on several devices and buses. */
        ASSERT_STREQ(((const VgpuVf *)f.facts->vfs->pdata[0])->name, "0000:03:10.0");
        ASSERT_STREQ(((const VgpuVf *)f.facts->vfs->pdata[128])->name, "0000:04:00.0");
        ASSERT_EQ(f.facts->vfs->len, 256);
        ASSERT_OK(bind_vf(&f, 200, "vfio-pci", "vfio-pci"));
        ASSERT_ERROR(set(&f, 0), EBUSY);
        ASSERT_CONTAINS(f.e.message, "0000:04:09.0");
        ASSERT_OK(bind_vf(&f, 200, NULL, NULL));
        ASSERT_OK(set(&f, 0));
}

/* ---- NVIDIA ---- */

static void test_nvidia(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 16, 4);

        f.method = &nvidia_vf_method;
        ASSERT_ERROR(set(&f, 16), EBUSY);
        fake_pf_set_driver(f.pf, "nvidia");
        manage.pf = f.pf;
        manage.made = 16;
        ASSERT_ERROR(set(&f, 4), EINVAL);
        ASSERT_EQ(manage.runs, 0);
        /* The number of VFs decides, not the exit status of the script. */
        manage.result = -EIO;
        ASSERT_OK(set(&f, 16));
        ASSERT_OK(set(&f, 16));
        ASSERT_EQ(manage.runs, 1);
        ASSERT_OK(set(&f, 0));
        manage.made = 4;
        ASSERT_ERROR(set(&f, 16), EIO);
        ASSERT_STREQ(f.e.message, "the script failed");
        manage.result = 0;
        ASSERT_ERROR(set(&f, 16), EIO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_SEE_KERNEL_LOG);
        ASSERT_OK(set(&f, 0));
        /* The script enables no VFs, as on a T4. */
        manage.made = 0;
        ASSERT_ERROR(set(&f, 16), EIO);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_LOAD_DRIVER);
        manage.runs = 0;
        g_ptr_array_add(f.facts->mdev_parents, mdev_parent_new("0000:03:00.0", PF, NULL));
        ASSERT_ERROR(set(&f, 16), EOPNOTSUPP);
        ASSERT_EQ(f.e.errnum, 0);
        ASSERT_OK(set(&f, 0));
        ASSERT_EQ(manage.runs, 0);
        /* The VFs are meant for the driver of the host: autoprobe stays, and only the script writes numvfs. */
        g_autofree char *writes = fake_writes(f.k);
        ASSERT_STREQ(writes, "");
}

/* ---- binding ---- */

static void test_bind(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 7, 1);
        g_autofree char *driver = NULL, *override = NULL;

        ASSERT_OK(fake_pf_enable(f.pf, 2));
        read_facts(&f);
        ASSERT_STREQ(fake_vf_driver(f.pf, 0), "accelvf");
        ASSERT_OK(bind_vf(&f, 0, "vfio-pci", "vfio-pci"));
        ASSERT_STREQ(fake_vf_driver(f.pf, 0), "vfio-pci");
        ASSERT_STREQ(fake_vf_override(f.pf, 0), "vfio-pci");
        ASSERT_OK(vfs_read_driver(f.io, fake_vf_path(f.pf, 0), &driver));
        ASSERT_STREQ(driver, "vfio-pci");
        ASSERT_OK(vfs_read_override(f.io, fake_vf_path(f.pf, 0), &override));
        ASSERT_STREQ(override, "vfio-pci");
        ASSERT_OK(bind_vf(&f, 0, "vfio-pci", "vfio-pci")); /* no change */
        ASSERT_OK(bind_vf(&f, 0, "accelvf", NULL));
        ASSERT_STREQ(fake_vf_driver(f.pf, 0), "accelvf");
        ASSERT_NULL(fake_vf_override(f.pf, 0));
        ASSERT_OK(bind_vf(&f, 0, NULL, "pci-stub"));
        ASSERT_NULL(fake_vf_driver(f.pf, 0));
        ASSERT_STREQ(fake_vf_override(f.pf, 0), "pci-stub");
        ASSERT_OK(bind_vf(&f, 0, NULL, NULL));
        check_golden(&f, "bind");
}

/* If autoprobe is off, only driver_override brings a driver to a VF. */
static void test_bind_without_autoprobe(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 7, 1);

        ASSERT_OK(vgpu_io_write(f.io, PF "/sriov_drivers_autoprobe", "0"));
        ASSERT_OK(set(&f, 1));
        read_facts(&f);
        ASSERT_OK(bind_vf(&f, 0, "vfio-pci", "vfio-pci"));
        ASSERT_OK(bind_vf(&f, 0, "accelvf", NULL));
        ASSERT_STREQ(fake_vf_driver(f.pf, 0), "accelvf");
}

static void test_unbind_in_use(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 7, 1);

        ASSERT_OK(set(&f, 1));
        read_facts(&f);
        ASSERT_OK(bind_vf(&f, 0, "vfio-pci", "vfio-pci"));
        fake_hold_node(f.k, "vfio/10", 4711, "qemu");
        g_autofree char *before = fake_writes(f.k);
        ASSERT_ERROR(bind_vf(&f, 0, NULL, NULL), EBUSY);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_IN_USE);
        ASSERT_CONTAINS(f.e.message, "process 4711 (qemu)");
        ASSERT_ERROR(bind_vf(&f, 0, "accelvf", NULL), EBUSY);
        g_autofree char *after = fake_writes(f.k);
        ASSERT_STREQ(after, before);
        fake_hold_node(f.k, "vfio/10", 0, NULL);
        ASSERT_OK(bind_vf(&f, 0, NULL, NULL));
        ASSERT_FALSE(fake_node_is_kept(f.k, "vfio/10"));
}

/* While the kernel waits for the program that has the VF open, it shows no driver; the group is still busy. */
static void test_bind_leaving(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 7, 1);

        ASSERT_OK(set(&f, 1));
        read_facts(&f);
        ASSERT_OK(bind_vf(&f, 0, "vfio-pci", "vfio-pci"));
        g_autofree char *member = g_strconcat("kernel/iommu_groups/10/devices/", fake_vf_name(f.pf, 0), NULL);
        g_autofree char *link = g_strconcat(fake_vf_path(f.pf, 0), "/driver", NULL);
        fake_add_directory(f.k, member);
        fake_remove(f.k, link);
        fake_hold_node(f.k, "vfio/10", 4711, "qemu");
        g_autofree char *before = fake_writes(f.k);
        ASSERT_ERROR(bind_vf(&f, 0, NULL, NULL), EBUSY);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_IN_USE);
        ASSERT_CONTAINS(f.e.message, "process 4711 (qemu)");
        ASSERT_ERROR(bind_vf(&f, 0, "accelvf", NULL), EBUSY);
        /* During this wait, Linux 6.1 blocks readers of driver_override. A read would get the error EIO here,
         * so the result shows that vfs_set() does not read the file. */
        g_autofree char *override = g_strconcat(fake_vf_path(f.pf, 0), "/driver_override", NULL);
        fake_fail(f.k, "read", override, EIO);
        ASSERT_ERROR(set(&f, 0), EBUSY);
        ASSERT_EQ(f.e.errnum, EBUSY);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_STOP_USER);
        ASSERT_CONTAINS(f.e.message, "process 4711 (qemu)");
        fake_heal(f.k);
        g_autofree char *after = fake_writes(f.k);
        ASSERT_STREQ(after, before);

        /* With another function in the group, the program may have that function open, so the busy group does
         * not show that the VF is in use. */
        g_autofree char *other = g_strdup("kernel/iommu_groups/10/devices/0000:ff:00.1");
        fake_add_directory(f.k, other);
        ASSERT_OK(bind_vf(&f, 0, NULL, NULL));
}

static void test_bind_no_driver(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 7, 1);

        ASSERT_OK(fake_pf_enable(f.pf, 1));
        read_facts(&f);
        fake_pci_remove_driver(f.pci, "vfio-pci");
        ASSERT_ERROR(bind_vf(&f, 0, "vfio-pci", "vfio-pci"), EOPNOTSUPP);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_UNSUPPORTED);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_LOAD_DRIVER);
        ASSERT_STREQ(fake_vf_driver(f.pf, 0), "accelvf");
        g_autofree char *writes = fake_writes(f.k);
        ASSERT_STREQ(writes, "");
}

/* The write to drivers_probe succeeds even if no driver took the VF. The errno of each row is that of the later
 * write to the file `bind` of the driver. */
static void test_bind_errno(void)
{
        static const struct {
                int eno;
                VgpudErrorCode code;
        } table[] = {
                { ENODEV, VGPUD_ERROR_UNSUPPORTED }, { EBUSY, VGPUD_ERROR_FAILED },
                { EAGAIN, VGPUD_ERROR_FAILED },      { EINVAL, VGPUD_ERROR_FAILED },
                { EPERM, VGPUD_ERROR_FAILED },       { EACCES, VGPUD_ERROR_FAILED },
                { ENOMEM, VGPUD_ERROR_FAILED },      { EIO, VGPUD_ERROR_FAILED },
                { ETIMEDOUT, VGPUD_ERROR_FAILED },   { EPROTO, VGPUD_ERROR_FAILED },
                { ENXIO, VGPUD_ERROR_FAILED },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 7, 1);

                ASSERT_OK(set(&f, 1));
                read_facts(&f);
                fake_pci_fail_probe(f.pci, "vfio-pci", table[i].eno);
                ASSERT_ERROR(bind_vf(&f, 0, "vfio-pci", "vfio-pci"), vgpud_error_code_to_errno(table[i].code));
                ASSERT_EQ(f.e.code, table[i].code);
                ASSERT_EQ(f.e.errnum, table[i].eno);
                ASSERT_CONTAINS(f.e.message, "0000:03:00.1");
                fake_pci_fail_probe(f.pci, "vfio-pci", 0);
                ASSERT_OK(bind_vf(&f, 0, "vfio-pci", "vfio-pci"));
        }
}

static void test_bind_no_iommu(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 7, 1);

        fake_pf_set_iommu(f.pf, false, false);
        ASSERT_OK(set(&f, 1));
        read_facts(&f);
        ASSERT_ERROR(bind_vf(&f, 0, "vfio-pci", "vfio-pci"), EOPNOTSUPP);
        ASSERT_EQ(f.e.errnum, EINVAL);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_ENABLE_IOMMU);
}

static void test_unbind_errno(void)
{
        static const int errnos[] = { ENODEV, EIO, EPROTO };
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 7, 1);

        ASSERT_OK(fake_pf_enable(f.pf, 1));
        read_facts(&f);

        for (size_t i = 0; i < G_N_ELEMENTS(errnos); i++) {
                fake_fail(f.k, "write", "bus/pci/drivers/accelvf/unbind", errnos[i]);
                ASSERT_ERROR(bind_vf(&f, 0, "vfio-pci", "vfio-pci"), EIO);
                ASSERT_EQ(f.e.errnum, errnos[i]);
                ASSERT_STREQ(fake_vf_driver(f.pf, 0), "accelvf");
                ASSERT_NULL(fake_vf_override(f.pf, 0));
        }

        /* The writes report an errno but have their effect: the bind has succeeded. */
        fake_heal(f.k);
        fake_fail_after(f.k, "write", "bus/pci/drivers/accelvf/unbind", EPROTO);
        fake_fail_after(f.k, "write", "bus/pci/drivers_probe", EPROTO);
        ASSERT_OK(bind_vf(&f, 0, "vfio-pci", "vfio-pci"));
}

static void test_override_errno(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 7, 1);
        g_autofree char *path = NULL;

        ASSERT_OK(fake_pf_enable(f.pf, 1));
        read_facts(&f);
        path = g_strconcat(fake_vf_path(f.pf, 0), "/driver_override", NULL);
        fake_fail(f.k, "write", path, EINVAL);
        ASSERT_ERROR(bind_vf(&f, 0, "vfio-pci", "vfio-pci"), EIO);
        ASSERT_EQ(f.e.errnum, EINVAL);
        fake_heal(f.k);
        ASSERT_OK(bind_vf(&f, 0, "vfio-pci", "vfio-pci"));
        fake_fail(f.k, "write", path, ENOMEM);
        ASSERT_ERROR(bind_vf(&f, 0, NULL, NULL), EIO);
        ASSERT_EQ(f.e.errnum, ENOMEM);
        fake_heal(f.k);
        fake_fail_after(f.k, "write", path, EPROTO);
        ASSERT_OK(bind_vf(&f, 0, NULL, NULL));
        ASSERT_NULL(fake_vf_override(f.pf, 0));
}

/* Another program binds the VF to accelvf before driver_override is written. */
static int bind_to_accel(FakeKernel *k, const char *path, void *data)
{
        Fixture *f = data;

        fake_heal(k);
        (void)vgpu_io_write(f->io, path, "accelvf");
        (void)vgpu_io_write(f->io, "bus/pci/drivers/accelvf/bind", "0000:03:00.1");

        return -EIO;
}

static void test_bind_race(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 7, 1);
        g_autofree char *path = NULL;

        ASSERT_OK(set(&f, 1));
        read_facts(&f);
        path = g_strconcat(fake_vf_path(f.pf, 0), "/driver_override", NULL);
        fake_before(f.k, "write", path, bind_to_accel, &f);
        ASSERT_ERROR(bind_vf(&f, 0, "vfio-pci", "vfio-pci"), EIO);
        ASSERT_EQ(f.e.errnum, EIO);
        ASSERT_STREQ(fake_vf_driver(f.pf, 0), "accelvf");
}

static void test_bind_gone(void)
{
        _cleanup_fixture_ Fixture f = with_pf(FAKE_PF_PLAIN, 7, 1);

        ASSERT_OK(set(&f, 1));
        read_facts(&f);
        fake_before(f.k, "write", "bus/pci/drivers_probe", unplug, f.pf);
        ASSERT_ERROR(bind_vf(&f, 0, "vfio-pci", "vfio-pci"), ENOLINK);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_GPU_GONE);
        ASSERT_ERROR(bind_vf(&f, 0, NULL, NULL), ENOLINK);
}

static void test_vfio_names(void)
{
        static const char *const yes[] = { "vfio-pci", "vfio_pci", "xe-vfio-pci", "nvgrace_gpu_vfio_pci" };
        static const char *const no[] = {
                "", "xe", "vfio", "myvfio-pci", "vfio-pci-stub", "nvidia", "pci-stub"
        };

        for (size_t i = 0; i < G_N_ELEMENTS(yes); i++)
                ASSERT_TRUE(vfs_driver_is_vfio(yes[i]));
        for (size_t i = 0; i < G_N_ELEMENTS(no); i++)
                ASSERT_FALSE(vfs_driver_is_vfio(no[i]));
        ASSERT_FALSE(vfs_driver_is_vfio(NULL));
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_life);
        TEST(test_autoprobe);
        TEST(test_autoprobe_fails);
        TEST(test_count);
        TEST(test_limit_of_driver);
        TEST(test_fewer);
        TEST(test_enable_errno);
        TEST(test_no_sriov);
        TEST(test_gim);
        TEST(test_writer_died);
        TEST(test_nothing_happens);
        TEST(test_odd_link);
        TEST(test_missing_vf);
        TEST(test_race);
        TEST(test_gone);
        TEST(test_going);
        TEST(test_in_use);
        TEST(test_carries);
        TEST(test_in_use_by_host);
        TEST(test_keeps_out);
        TEST(test_shared_group);
        TEST(test_many);
        TEST(test_nvidia);
        TEST(test_bind);
        TEST(test_bind_without_autoprobe);
        TEST(test_unbind_in_use);
        TEST(test_bind_leaving);
        TEST(test_bind_no_driver);
        TEST(test_bind_errno);
        TEST(test_bind_no_iommu);
        TEST(test_unbind_errno);
        TEST(test_override_errno);
        TEST(test_bind_race);
        TEST(test_bind_gone);
        TEST(test_vfio_names);

        return tests_end();
}
