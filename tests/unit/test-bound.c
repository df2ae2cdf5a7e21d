/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* VFs that another program bound to vfio-pci, in the back end "sriov" on the in-memory kernel. */

#include "drivers-glue/type-find.h"
#include "drivers-glue/vf/bound.h"

#include "drivers-glue/registry.h"
#include "drivers-glue/vf/bind.h"
#include "back-end.h"
#include "fake-sriov.h"
#include "tests.h"

#define UUID_A  "11111111-0000-4000-8000-000000000001"
#define UUID_B  "22222222-0000-4000-8000-000000000002"
#define VF(n)   "0000:03:00." #n
#define FILE_VM "/etc/libvirt/qemu/vm.xml"

typedef struct Fixture {
        FakeKernel *k;
        FakePci *pci;
        FakePf *pf;
        GpuFacts *facts;
        VgpuIo *io;
        VgpuSlots *slots;
        VgpuTarget t;
        VgpudError e;
        InstanceDesc *made; /* result of the last create() */
        const char *uuid;   /* of the create() in progress */
        char *restore;      /* text of the last reservation */
        FakeHook reserved;  /* called when a VF is on record; NULL: nothing */
} Fixture;

DEFINE_DESTROY_NOTIFY(attribute_free, vgpu_attribute_free)

static Fixture with_vfs(FakePfModel model, unsigned count)
{
        Fixture f = { .k = fake_kernel_new() };

        f.pci = fake_pci_new(f.k);
        f.pf = fake_pci_add_pf(f.pci, model, "0000:03:00.0", 7, 1);
        f.io = fake_kernel_io(f.k);
        f.slots = vgpu_slots_new();
        g_assert(fake_pf_enable(f.pf, count) >= 0);
        f.facts = fake_pf_facts(f.pf);
        f.t = (VgpuTarget){ .facts = f.facts, .io = f.io, .slots = f.slots };

        return f;
}

static void fixture_free(Fixture *f)
{
        instance_desc_free(f->made);
        g_free(f->restore);
        vgpud_error_done(&f->e);
        vgpu_slots_unref(f->slots);
        gpu_facts_unref(f->facts);
        vgpu_io_free(f->io);
        fake_pci_free(f->pci);
        fake_kernel_free(f->k);
}
#define _cleanup_fixture_ _cleanup_(fixture_free)

/* Binds as the administrator's udev rule would. */
static void bind_vf(Fixture *f, unsigned n, const char *override)
{
        g_assert(vfs_bind(f->io, f->facts->vfs->pdata[n], "vfio-pci", override, NULL) >= 0);
}

static void hold(Fixture *f, unsigned n, int pid)
{
        g_autofree char *node = g_strdup_printf("vfio/%d", fake_vf_group(f->pf, n));

        fake_hold_node(f->k, node, pid, "qemu");
}

static int reserve(const char *slot, const char *restore, void *userdata)
{
        Fixture *f = userdata;

        g_free(f->restore);
        f->restore = g_strdup(restore);
        vgpu_slots_add(f->slots, f->uuid, slot, 0);

        return f->reserved ? f->reserved(f->k, slot, f) : 0;
}

static int create_with(Fixture *f, const char *uuid, const char *type, const char *parent,
                       const GPtrArray *attributes)
{
        CreateArgs args = { .uuid = uuid,
                            .type_id = type,
                            .parent = parent,
                            .attributes = attributes,
                            .reserve = reserve,
                            .reserve_userdata = f };

        vgpud_error_done(&f->e);
        f->made = instance_desc_free(f->made);
        f->uuid = uuid;

        int r = assert_explained(sriov_driver.create(&f->t, &args, &f->made, &f->e), &f->e);
        if (r < 0)
                vgpu_slots_remove(f->slots, uuid);

        return r;
}

static int create_on(Fixture *f, const char *uuid, const char *parent)
{
        return create_with(f, uuid, "vf", parent, NULL);
}

static int destroy(Fixture *f, const InstanceDesc *d)
{
        vgpud_error_done(&f->e);

        int r = assert_explained(sriov_driver.destroy(&f->t, d, &f->e), &f->e);
        if (r >= 0)
                vgpu_slots_remove(f->slots, d->uuid);

        return r;
}

static GpuSnapshot *scan(Fixture *f)
{
        GpuSnapshot *s = NULL;

        vgpud_error_done(&f->e);
        ASSERT_OK(assert_explained(sriov_driver.scan(&f->t, &s, &f->e), &f->e));

        return s;
}

static void assert_offer(Fixture *f, uint32_t available, guint instances, VgpudHintId hint)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = scan(f);
        const VgpuType *t = gpu_snapshot_find_type(s, "vf", NULL);

        ASSERT_NOT_NULL(t);
        ASSERT_EQ(t->available, available);
        ASSERT_EQ(t->hint.id, hint);
        ASSERT_EQ(t->why_not != NULL, hint != VGPUD_HINT_NONE);
        ASSERT_EQ(s->instances->len, instances);
}

static bool is_bound_free(Fixture *f, const char *name)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = scan(f);

        return gpu_snapshot_find_binding(s, name)->bound_free;
}

static void test_needs_setting(void)
{
        _cleanup_fixture_ Fixture f = with_vfs(FAKE_PF_PLAIN, 2);

        bind_vf(&f, 0, NULL);
        bind_vf(&f, 1, "vfio-pci");
        ASSERT_TRUE(is_bound_free(&f, VF(1)));
        ASSERT_TRUE(is_bound_free(&f, VF(2)));
        assert_offer(&f, 0, 0, VGPUD_HINT_CHANGE_CONFIG);
        g_autofree char *before = fake_writes(f.k);

        for (unsigned named = 0; named < 2; named++) {
                ASSERT_ERROR(create_on(&f, UUID_A, named ? VF(2) : NULL), ENOSPC);
                ASSERT_EQ(f.e.code, VGPUD_ERROR_NO_CAPACITY);
                ASSERT_EQ(f.e.hint.id, VGPUD_HINT_CHANGE_CONFIG);
                ASSERT_CONTAINS(f.e.hint.text, "take-bound=yes");
                ASSERT_CONTAINS(f.e.hint.text, "0000:03:00.0");
        }

        g_autofree char *after = fake_writes(f.k);
        ASSERT_STREQ(after, before);
        f.t.take_bound = true;
        assert_offer(&f, 2, 0, VGPUD_HINT_ENABLE_VFS);
}

/* The read of one VF after its event agrees with a scan. */
static void test_one_vf(void)
{
        _cleanup_fixture_ Fixture f = with_vfs(FAKE_PF_PLAIN, 2);
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = gpu_snapshot_new();

        bind_vf(&f, 0, NULL);
        bind_vf(&f, 1, NULL);
        hold(&f, 1, 77);
        assert_offer(&f, 0, 1, VGPUD_HINT_CHANGE_CONFIG);
        sriov_driver.find_instances(&f.t, VF(1), s);
        ASSERT_EQ(s->instances->len, 0);
        sriov_driver.find_instances(&f.t, VF(2), s);
        ASSERT_EQ(s->instances->len, 1);
}

/* If the target keeps no records (slots NULL), every bound VF is an instance. */
static void test_no_records(void)
{
        _cleanup_fixture_ Fixture f = with_vfs(FAKE_PF_PLAIN, 1);

        bind_vf(&f, 0, NULL);
        f.t.slots = NULL;
        f.t.take_bound = true;
        assert_offer(&f, 0, 1, VGPUD_HINT_DESTROY_INSTANCE);
}

static void test_comes_last(void)
{
        static const char *const order[] = { VF(2), VF(3), VF(1) };
        static const char *const uuids[] = { UUID_A, UUID_B, "33333333-0000-4000-8000-000000000003" };
        _cleanup_fixture_ Fixture f = with_vfs(FAKE_PF_PLAIN, 3);

        f.t.take_bound = true;
        bind_vf(&f, 0, NULL);
        ASSERT_OK(vfs_bind(f.io, f.facts->vfs->pdata[2], "accelvf", NULL, NULL));

        for (size_t i = 0; i < G_N_ELEMENTS(order); i++) {
                ASSERT_OK(create_on(&f, uuids[i], NULL));
                ASSERT_STREQ(f.made->slot, order[i]);
        }

        assert_offer(&f, 0, 3, VGPUD_HINT_DESTROY_INSTANCE);
        ASSERT_ERROR(create_on(&f, "44444444-0000-4000-8000-000000000004", NULL), ENOSPC);
        ASSERT_ERROR(create_on(&f, "44444444-0000-4000-8000-000000000004", VF(1)), ENOSPC);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_CHOOSE_OTHER);
}

/* The VF stays bound during create and destroy, and destroy restores its driver_override. */
static void test_restored(void)
{
        for (unsigned set = 0; set < 2; set++) {
                _cleanup_fixture_ Fixture f = with_vfs(FAKE_PF_PLAIN, 1);
                const char *override = set ? "vfio-pci" : NULL;

                f.t.take_bound = true;
                bind_vf(&f, 0, override);
                g_autofree char *before = fake_writes(f.k);
                ASSERT_OK(create_on(&f, UUID_A, NULL));
                ASSERT_STREQ(fake_vf_override(f.pf, 0), "vfio-pci");
                ASSERT_FALSE(f.made->half_made);
                assert_offer(&f, 0, 1, VGPUD_HINT_DESTROY_INSTANCE);
                ASSERT_EQ(destroy(&f, f.made), 1);
                ASSERT_STREQ(fake_vf_driver(f.pf, 0), "vfio-pci");
                ASSERT_STREQ(fake_vf_override(f.pf, 0), override);
                assert_offer(&f, 1, 0, VGPUD_HINT_ENABLE_VFS);
                g_autofree char *writes = fake_writes(f.k);
                ASSERT_NULL(strstr(writes + strlen(before), "bind = "));
        }
}

/* A VF with quotas is unbound, because quotas are written while no driver is bound; destroy binds it to
 * vfio-pci again. */
static void test_restored_with_quotas(void)
{
        _cleanup_fixture_ Fixture f = with_vfs(FAKE_PF_XE, 1);
        g_autoptr(GPtrArray) quotas = g_ptr_array_new_with_free_func(attribute_free);
        const char *path =
                        "devices/pci0000:00/0000:00:01.0/0000:03:00.0/sriov_admin/vf1/profile/exec_quantum_ms";

        g_ptr_array_add(quotas, vgpu_attribute_new("exec_quantum_ms", "20"));
        f.t.take_bound = true;
        bind_vf(&f, 0, NULL);
        ASSERT_OK(create_with(&f, UUID_A, "vf-profile", NULL, quotas));
        ASSERT_STREQ(fake_vf_driver(f.pf, 0), "vfio-pci");
        hold(&f, 0, 4711);
        ASSERT_ERROR(destroy(&f, f.made), EBUSY);
        hold(&f, 0, 0);
        ASSERT_EQ(destroy(&f, f.made), 1);
        ASSERT_STREQ(fake_vf_driver(f.pf, 0), "vfio-pci");
        ASSERT_NULL(fake_vf_override(f.pf, 0));
        g_autofree char *text = NULL;
        ASSERT_OK(vgpu_io_read(f.io, path, &text));
        ASSERT_STREQ(text, "0");
}

static void test_in_use(void)
{
        _cleanup_fixture_ Fixture f = with_vfs(FAKE_PF_PLAIN, 2);

        f.t.take_bound = true;
        bind_vf(&f, 0, NULL);
        bind_vf(&f, 1, NULL);
        hold(&f, 0, 4711);
        assert_offer(&f, 1, 1, VGPUD_HINT_DESTROY_INSTANCE);
        ASSERT_FALSE(is_bound_free(&f, VF(1)));
        ASSERT_ERROR(create_on(&f, UUID_A, VF(1)), ENOSPC);
        ASSERT_OK(create_on(&f, UUID_A, NULL));
        ASSERT_STREQ(f.made->slot, VF(2));
        hold(&f, 1, 4712);
        ASSERT_ERROR(destroy(&f, f.made), EBUSY);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_IN_USE);
        ASSERT_STREQ(fake_vf_override(f.pf, 1), "vfio-pci");
        hold(&f, 1, 0);
        ASSERT_EQ(destroy(&f, f.made), 1);
}

/* vgpud cannot examine every process. A scan still offers the VF. create() opens the group node, which shows
 * that no program has the VF open; if there is no group node, create() refuses the VF. */
static void test_hidden_processes(void)
{
        for (unsigned group = 0; group < 2; group++) {
                _cleanup_fixture_ Fixture f = with_vfs(FAKE_PF_PLAIN, 0);

                fake_pf_set_nodes(f.pf, group, true);
                ASSERT_OK(fake_pf_enable(f.pf, 1));
                gpu_facts_unref(f.facts);
                f.t.facts = f.facts = fake_pf_facts(f.pf);
                f.t.take_bound = true;
                bind_vf(&f, 0, NULL);
                fake_deny_processes(f.k);
                assert_offer(&f, 1, 0, VGPUD_HINT_ENABLE_VFS);
                ASSERT_EQ(create_on(&f, UUID_A, NULL), group ? 0 : -EBUSY);
        }
}

/* The search of /proc misses a process that has the VF open. Opening the group fails, so create() refuses
 * the VF. */
static void test_user_is_invisible(void)
{
        _cleanup_fixture_ Fixture f = with_vfs(FAKE_PF_PLAIN, 2);
        g_autofree char *node = NULL;

        f.t.take_bound = true;
        bind_vf(&f, 0, NULL);
        bind_vf(&f, 1, NULL);
        node = g_strdup_printf("vfio/%d", fake_vf_group(f.pf, 0));
        fake_hold_node_invisibly(f.k, node);
        ASSERT_TRUE(is_bound_free(&f, VF(1)));
        ASSERT_ERROR(create_on(&f, UUID_A, VF(1)), EBUSY);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_IN_USE);
        ASSERT_OK(create_on(&f, UUID_A, NULL));
        ASSERT_STREQ(f.made->slot, VF(2));
        ASSERT_NULL(fake_vf_override(f.pf, 0));
}

static int expect_kept(FakeKernel *k, const char *slot, void *data)
{
        Fixture *f = data;
        g_autofree char *node = g_strdup_printf("vfio/%d", fake_vf_group(f->pf, 0));

        return fake_node_is_kept(k, node) ? 0 : -EBADF;
}

/* No program can open the VF between the check and the reservation. */
static void test_locked_while_reserved(void)
{
        _cleanup_fixture_ Fixture f = with_vfs(FAKE_PF_PLAIN, 1);

        f.t.take_bound = true;
        f.reserved = expect_kept;
        bind_vf(&f, 0, NULL);
        ASSERT_OK(create_on(&f, UUID_A, NULL));
        ASSERT_ERROR(expect_kept(f.k, VF(1), &f), EBADF);
}

static void test_defined(void)
{
        _cleanup_fixture_ Fixture f = with_vfs(FAKE_PF_PLAIN, 2);

        f.t.take_bound = true;
        bind_vf(&f, 0, NULL);
        bind_vf(&f, 1, NULL);
        fake_set_definitions(f.k, VF(1) " " FILE_VM "\n");
        assert_offer(&f, 1, 0, VGPUD_HINT_CHOOSE_OTHER);
        ASSERT_ERROR(create_on(&f, UUID_A, VF(1)), EBUSY);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_CHOOSE_OTHER);
        ASSERT_CONTAINS(f.e.message, FILE_VM);
        ASSERT_OK(create_on(&f, UUID_A, NULL));
        ASSERT_STREQ(f.made->slot, VF(2));
        _cleanup_(instance_desc_freep) InstanceDesc *d = g_steal_pointer(&f.made);
        ASSERT_ERROR(create_on(&f, UUID_B, NULL), ENOSPC);
        ASSERT_NULL(fake_vf_override(f.pf, 0));
        /* A definition that cannot be read may name any VF. */
        ASSERT_EQ(destroy(&f, d), 1);
        fake_set_definitions(f.k, "/etc/libvirt/qemu/bad.xml");
        assert_offer(&f, 0, 0, VGPUD_HINT_REMOVE_BY_HAND);
        ASSERT_ERROR(create_on(&f, UUID_A, VF(2)), EBUSY);
        ASSERT_CONTAINS(f.e.message, "/etc/libvirt/qemu/bad.xml");
}

/* The slot's record names another inode, so the VF was recreated: it is a bound VF, not the instance of
 * vgpud. */
static void test_recreated(void)
{
        _cleanup_fixture_ Fixture f = with_vfs(FAKE_PF_PLAIN, 1);
        const VgpuVf *vf = f.facts->vfs->pdata[0];
        uint64_t identity;

        bind_vf(&f, 0, NULL);
        ASSERT_OK(vgpu_io_identify(f.io, vf->path, &identity));
        vgpu_slots_add(f.slots, UUID_A, VF(1), identity);
        assert_offer(&f, 0, 1, VGPUD_HINT_DESTROY_INSTANCE);
        vgpu_slots_add(f.slots, UUID_A, VF(1), identity + 1);
        assert_offer(&f, 0, 0, VGPUD_HINT_CHANGE_CONFIG);
}

/* vgpud was killed before it set driver_override, or after it had restored the earlier value. Result 1: the VF
 * is as it was before create(). */
static void test_interrupted(void)
{
        static const struct {
                const char *override, *restore;
                int result;
        } table[] = {
                { NULL, "driver=vfio-pci", 1 },
                { "vfio-pci", "driver=vfio-pci", 0 },                   /* handed out */
                { "vfio-pci", "driver=vfio-pci override=vfio-pci", 0 }, /* handed out, or returned */
                { "other", "driver=vfio-pci override=other", 1 },
                { NULL, "driver=accelvf", 0 },
                { NULL, "", 0 },
        };
        _cleanup_fixture_ Fixture f = with_vfs(FAKE_PF_PLAIN, 1);

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                bind_vf(&f, 0, table[i].override);
                g_autofree char *before = fake_writes(f.k);
                ASSERT_EQ(sriov_driver.finish_interrupted(&f.t, VF(1), table[i].restore, NULL),
                          table[i].result);
                g_autofree char *after = fake_writes(f.k);
                ASSERT_STREQ(after, before);
        }
}

static int set_vfs(Fixture *f, uint32_t count)
{
        uint32_t got;

        vgpud_error_done(&f->e);

        return assert_explained(sriov_driver.set_vfs(&f->t, count, &got, &f->e), &f->e);
}

static void test_disabled(void)
{
        _cleanup_fixture_ Fixture f = with_vfs(FAKE_PF_PLAIN, 2);

        bind_vf(&f, 0, NULL);
        bind_vf(&f, 1, "vfio-pci");
        ASSERT_ERROR(set_vfs(&f, 0), EBUSY);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_CHANGE_CONFIG);
        f.t.take_bound = true;
        hold(&f, 1, 4711);
        ASSERT_ERROR(set_vfs(&f, 0), EBUSY);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_STOP_USER);
        hold(&f, 1, 0);
        fake_set_definitions(f.k, VF(2) " " FILE_VM);
        ASSERT_ERROR(set_vfs(&f, 0), EBUSY);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_CHOOSE_OTHER);
        fake_set_definitions(f.k, NULL);
        ASSERT_OK(create_on(&f, UUID_A, VF(1)));
        ASSERT_ERROR(set_vfs(&f, 0), EBUSY);
        ASSERT_EQ(f.e.hint.id, VGPUD_HINT_DESTROY_INSTANCE);
        ASSERT_EQ(destroy(&f, f.made), 1);
        ASSERT_OK(set_vfs(&f, 0));
}

static void test_slots(void)
{
        VgpuSlots *s = vgpu_slots_new(), *second = vgpu_slots_ref(s);
        uint64_t identity = 0;

        vgpu_slots_add(s, UUID_A, "a", 1);
        vgpu_slots_add(s, UUID_A, "b", 2);
        bool earlier = vgpu_slots_find(s, "a", &identity), later = vgpu_slots_find(s, "b", &identity);
        ASSERT_FALSE(earlier);
        ASSERT_TRUE(later);
        ASSERT_EQ(identity, 2);
        vgpu_slots_add(second, UUID_B, "b", 3);
        g_auto(GStrv) uuids = vgpu_slots_list(s);
        ASSERT_EQ(g_strv_length(uuids), 1);
        ASSERT_STREQ(uuids[0], UUID_B);
        vgpu_slots_remove(s, UUID_A);
        ASSERT_TRUE(vgpu_slots_find(s, "b", &identity));
        vgpu_slots_remove(s, UUID_B);
        ASSERT_FALSE(vgpu_slots_find(s, "b", &identity));
        vgpu_slots_unref(second);
        vgpu_slots_unref(s);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_needs_setting);
        TEST(test_one_vf);
        TEST(test_no_records);
        TEST(test_comes_last);
        TEST(test_restored);
        TEST(test_restored_with_quotas);
        TEST(test_in_use);
        TEST(test_hidden_processes);
        TEST(test_user_is_invisible);
        TEST(test_locked_while_reserved);
        TEST(test_defined);
        TEST(test_recreated);
        TEST(test_interrupted);
        TEST(test_disabled);
        TEST(test_slots);

        return tests_end();
}
