/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/driver.h"

#include "tests.h"

typedef struct Case {
        const char *driver;
        uint16_t vendor;
        uint32_t total_vfs, enabled_vfs;
        const char *words[3]; /* what the reason must say */
} Case;

static void check(const Case *c)
{
        GpuFacts *f = gpu_facts_new("0000:3b:00.0", "devices/pci0000:3a/0000:3b:00.0");
        g_autofree char *reason = NULL;

        f->is_pci = true;
        f->driver = g_strdup(c->driver);
        f->vendor = c->vendor;
        f->total_vfs = c->total_vfs;
        f->enabled_vfs = c->enabled_vfs;
        const VgpuDriver *d = registry_choose(f, &reason);
        gpu_facts_unref(f);
        ASSERT_NULL(d);
        for (size_t i = 0; i < G_N_ELEMENTS(c->words) && c->words[i]; i++)
                ASSERT_CONTAINS(reason, c->words[i]);
        ASSERT_TRUE(reason[strlen(reason) - 1] != '.');
}

static void test_reasons(void)
{
        static const Case cases[] = {
                { NULL, 0x8086, 0, 0, { "no driver is bound", "i915" } },
                { NULL, 0x10de, 0, 0, { "no driver is bound", "vGPU manager" } },
                { NULL, 0x1002, 0, 0, { "no driver is bound", "gim" } },
                { NULL, 0x1a03, 0, 0, { "no driver is bound" } },
                { "i915", 0x8086, 0, 0, { "kvmgt", "i915.enable_gvt=1" } },
                { "i915", 0x8086, 7, 0, { "kvmgt", "SR-IOV", "7 virtual functions" } },
                { "xe", 0x8086, 7, 2, { "SR-IOV", "2 of 7" } },
                { "xe", 0x8086, 0, 0, { "no SR-IOV" } },
                { "nvidia", 0x10de, 0, 0, { "vGPU manager" } },
                { "nouveau", 0x10de, 0, 0, { "nouveau cannot", "vGPU manager" } },
                { "amdgpu", 0x1002, 0, 0, { "amdgpu cannot", "gim" } },
                { "gim", 0x1002, 8, 8, { "8 of 8" } },
                { "vfio-pci", 0x10de, 0, 0, { "vfio-pci", "passed through whole" } },
                { "xe-vfio-pci", 0x8086, 0, 0, { "xe-vfio-pci", "passed through whole" } },
                { "nvgrace_gpu_vfio_pci", 0x10de, 0, 0, { "passed through whole" } },
                { "pci-stub", 0x10de, 0, 0, { "pci-stub", "passed through whole" } },
                { "ast", 0x1a03, 0, 0, { "ast", "no mediated types" } },
                { "habanalabs", 0x1da3, 4, 1, { "habanalabs", "1 of 4" } },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                check(&cases[i]);
}

static void check_mdev(const char *name, const char *driver, uint16_t vendor, const char *parent,
                       const char *physfn)
{
        GpuFacts *f = gpu_facts_new(name, "devices/x");
        g_autofree char *reason = g_strdup("untouched");

        f->driver = g_strdup(driver);
        f->vendor = vendor;
        g_ptr_array_add(f->mdev_parents, mdev_parent_new(parent, "devices/x/y", physfn));
        g_free(reason);
        const VgpuDriver *d = registry_choose(f, &reason);
        gpu_facts_unref(f);
        ASSERT_TRUE(d == &mdev_driver);
        ASSERT_STREQ(d->name, "mdev");
        ASSERT_NULL(reason);
}

/* Whoever made it: what is registered decides. */
static void test_mdev(void)
{
        check_mdev("0000:00:02.0", "i915", 0x8086, "0000:00:02.0", NULL);
        check_mdev("0000:08:00.0", "nvidia", 0x10de, "0000:08:00.4", "0000:08:00.0");
        check_mdev("0000:08:00.0", "nvidia", 0x10de, "0000:08:00.0", NULL);
        check_mdev("mdpy", NULL, 0, "mdpy", NULL);
        check_mdev("0000:09:00.0", "somebody-elses", 0x1234, "0000:09:00.0", NULL);
}

static void test_going_away(void)
{
        GpuFacts *f = gpu_facts_new("mdpy", "devices/virtual/mdpy/mdpy");
        g_autofree char *reason = NULL;
        const VgpuDriver *d = registry_choose(f, &reason);

        gpu_facts_unref(f);
        ASSERT_NULL(d);
        ASSERT_CONTAINS(reason, "no mediated types");
}

static void test_attribute_names(void)
{
        static const char *const good[] = { "nvidia/vgpu_params", "vgpu_params", "a.b-c_9",
                                            "vendor/memory",      "driver2",     "removed" };
        static const char *const bad[] = {
                "",
                "/",
                "remove",
                "uevent",
                "driver",
                "driver_override",
                "subsystem",
                "iommu_group",
                "mdev_type",
                "power",
                "power/control",
                "vfio-dev/x",
                "remove/x",
                "a/b/c",
                "a//b",
                "/a",
                "a/",
                ".",
                "..",
                "../remove",
                "a/..",
                ".hidden",
                "a/.hidden",
                "a b",
                "a:b",
                "a\n",
                "\xc3\xa4",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
                ASSERT_TRUE(vgpu_attribute_name_is_valid(good[i]));
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                ASSERT_FALSE(vgpu_attribute_name_is_valid(bad[i]));
        ASSERT_FALSE(vgpu_attribute_name_is_valid(NULL));

        g_autofree char *longest = g_strnfill(255, 'a'), *longer = g_strnfill(256, 'a');
        ASSERT_TRUE(vgpu_attribute_name_is_valid(longest));
        ASSERT_FALSE(vgpu_attribute_name_is_valid(longer));

        VgpuAttribute *a = vgpu_attribute_new("x", "1");
        bool same = strcmp(a->name, "x") == 0 && strcmp(a->value, "1") == 0;
        ASSERT_NULL(vgpu_attribute_free(a));
        ASSERT_TRUE(same);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_reasons);
        TEST(test_mdev);
        TEST(test_going_away);
        TEST(test_attribute_names);
        return tests_end();
}
