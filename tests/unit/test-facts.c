/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/facts.h"

#include <inttypes.h>

#include "drivers-glue/registry.h"

#include "fake-gpus.h"
#include "tests.h"

#define GPU "devices/pci0000:3a/0000:3a:00.0/0000:3b:00.0"

static GpuSeed seed = { .name = "0000:3b:00.0", .path = GPU, .vendor_name = "ACME", .device_name = "Painter" };

static void add(FakeKernel *k, const char *name, const char *text)
{
        g_autofree char *path = g_strconcat(GPU "/", name, NULL), *line = g_strconcat(text, "\n", NULL);

        fake_add_file(k, path, line);
}

static void test_full(void)
{
        FakeKernel *k = fake_kernel_new();
        VgpuIo *io = fake_kernel_io(k);
        GpuFacts *f = NULL;

        fake_add_link(k, GPU "/subsystem", "bus/pci");
        fake_add_link(k, GPU "/driver", "bus/pci/drivers/painter");
        fake_add_link(k, GPU "/iommu_group", "kernel/iommu_groups/42");
        add(k, "vendor", "0x10de");
        add(k, "device", "0x25b6");
        add(k, "subsystem_vendor", "0x1028");
        add(k, "subsystem_device", "0x157e");
        add(k, "class", "0x030200");
        add(k, "numa_node", "1");
        add(k, "current_link_speed", "8.0 GT/s PCIe");
        add(k, "max_link_speed", "16.0 GT/s PCIe");
        add(k, "current_link_width", "8");
        add(k, "max_link_width", "16");
        add(k, "boot_vga", "1");
        add(k, "sriov_totalvfs", "16");
        add(k, "sriov_drivers_autoprobe", "1");
        /* gpu_facts_read() must not read this file, because a read waits for the device lock. */
        add(k, "sriov_numvfs", "2");
        fake_fail(k, "read", GPU "/sriov_numvfs", EDEADLK);
        /* gpu_facts_read() must not read this file, because the read resets the GPU with some drivers. */
        fake_fail(k, "read", GPU "/reset_gpu", EDEADLK);
        fake_add_link(k, GPU "/virtfn0", "devices/pci0000:3a/0000:3a:00.0/0000:3b:00.1");
        fake_add_link(k, GPU "/virtfn1", "devices/pci0000:3a/0000:3a:00.0/0000:3b:00.2");
        add(k, "virtfnx", "no link");
        /* No VF has this index: SR-IOV counts in 16 bits. */
        fake_add_link(k, GPU "/virtfn4294967295", "devices/pci0000:3a/0000:3a:00.0/0000:3b:00.3");
        ASSERT_OK(gpu_facts_read(io, &seed, NULL, &f));

        ASSERT_STREQ(f->name, "0000:3b:00.0");
        ASSERT_STREQ(f->path, GPU);
        ASSERT_STREQ(f->subsystem, "pci");
        ASSERT_TRUE(f->is_pci);
        ASSERT_EQ(f->address.bus, 0x3b);
        ASSERT_EQ(f->vendor, 0x10de);
        ASSERT_EQ(f->device, 0x25b6);
        ASSERT_EQ(f->subsystem_vendor, 0x1028);
        ASSERT_EQ(f->subsystem_device, 0x157e);
        ASSERT_EQ(f->class, 0x030200);
        ASSERT_STREQ(f->vendor_name, "ACME");
        ASSERT_STREQ(f->device_name, "Painter");
        ASSERT_STREQ(f->driver, "painter");
        ASSERT_EQ(f->numa_node, 1);
        ASSERT_EQ(f->iommu_group, 42);
        ASSERT_STREQ(f->link_speed, "8.0 GT/s PCIe");
        ASSERT_STREQ(f->link_speed_max, "16.0 GT/s PCIe");
        ASSERT_EQ(f->link_width, 8);
        ASSERT_EQ(f->link_width_max, 16);
        ASSERT_TRUE(f->boot_display);
        ASSERT_EQ(f->total_vfs, 16);
        ASSERT_EQ(f->enabled_vfs, 2);
        ASSERT_TRUE(f->autoprobe);
        ASSERT_EQ(f->mdev_parents->len, 0);
        gpu_facts_unref(f);
        vgpu_io_free(io);
        fake_kernel_free(k);
}

/* An unreadable sriov_totalvfs does not mean that the GPU has no SR-IOV. */
static void test_unreadable_total_vfs(void)
{
        for (unsigned i = 0; i < 2; i++) {
                FakeKernel *k = fake_kernel_new();
                VgpuIo *io = fake_kernel_io(k);
                GpuFacts *f = NULL;
                _cleanup_vgpud_hint_ VgpudHint hint = VGPUD_HINT_INIT;
                g_autofree char *reason = NULL;

                fake_add_link(k, GPU "/subsystem", "bus/pci");
                fake_add_link(k, GPU "/driver", "bus/pci/drivers/xe");
                add(k, "class", "0x030000");
                add(k, "sriov_totalvfs", i > 0 ? "7" : "some");
                if (i > 0)
                        fake_fail(k, "read", GPU "/sriov_totalvfs", EIO);

                ASSERT_OK(gpu_facts_read(io, &seed, NULL, &f));
                ASSERT_EQ(f->total_vfs, 0);
                ASSERT_EQ(f->total_vfs_error, i > 0 ? -EIO : -EBADMSG);
                ASSERT_NULL(registry_choose(f, &reason, &hint));
                ASSERT_CONTAINS(reason, "/sriov_totalvfs");
                ASSERT_EQ(hint.id, VGPUD_HINT_SEE_KERNEL_LOG);
                gpu_facts_unref(f);
                vgpu_io_free(io);
                fake_kernel_free(k);
        }
}

/* Missing and malformed attributes are unknown. */
static void test_bare(void)
{
        FakeKernel *k = fake_kernel_new();
        VgpuIo *io = fake_kernel_io(k);
        GpuFacts *f = NULL;
        GpuSeed bare = { .name = "0000:3b:00.0", .path = GPU };

        fake_add_link(k, GPU "/subsystem", "bus/pci");
        add(k, "vendor", "10de");
        add(k, "device", "0x125b6");
        add(k, "numa_node", "-1");
        add(k, "current_link_speed", "Unknown");
        add(k, "current_link_width", "255");
        add(k, "max_link_width", "many");
        fake_add_link(k, GPU "/iommu_group", "kernel/iommu_groups/none");
        add(k, "class", "0x030000");
        fake_fail(k, "read", GPU "/class", EIO);
        ASSERT_OK(gpu_facts_read(io, &bare, NULL, &f));
        ASSERT_EQ(f->vendor, 0);
        ASSERT_EQ(f->device, 0);
        ASSERT_EQ(f->class, 0);
        ASSERT_NULL(f->vendor_name);
        ASSERT_NULL(f->driver);
        ASSERT_EQ(f->numa_node, -1);
        ASSERT_EQ(f->iommu_group, -1);
        ASSERT_NULL(f->link_speed);
        ASSERT_NULL(f->link_speed_max);
        ASSERT_EQ(f->link_width, 0);
        ASSERT_EQ(f->link_width_max, 0);
        ASSERT_FALSE(f->boot_display);
        ASSERT_EQ(f->total_vfs, 0);
        gpu_facts_unref(f);
        vgpu_io_free(io);
        fake_kernel_free(k);
}

/* The size of the memory is read only from the file of the driver that is bound. */
static void test_memory(void)
{
        static const struct {
                const char *driver;
                const char *files[3][2];
                uint64_t bytes;
        } table[] = {
                { "amdgpu", { { "mem_info_vram_total", "17163091968" } }, 17163091968 },
                { "amdgpu", { { "mem_info_vram_total", "much" } }, 0 },
                { "amdgpu", { { "tile0/physical_vram_size_bytes", "1024" } }, 0 },
                { "gim", { { "mem_info_vram_total", "17163091968" } }, 0 },
                { "xe", { { "tile0/physical_vram_size_bytes", "17179869184" } }, 17179869184 },
                { "xe",
                  { { "tile0/physical_vram_size_bytes", "1024" },
                    { "tile1/physical_vram_size_bytes", "512" },
                    { "tile/physical_vram_size_bytes", "1" } },
                  1536 },
                /* the size of one tile is unknown, so the sum is unknown */
                { "xe", { { "tile0/physical_vram_size_bytes", "1024" }, { "tile1/gt1/x", "" } }, 0 },
                { "xe",
                  { { "tile0/physical_vram_size_bytes", "18446744073709551615" },
                    { "tile1/physical_vram_size_bytes", "1" } },
                  0 },
                { "xe", { { "sriov_admin/x", "" } }, 0 },
                { "i915",
                  { { "drm/renderD128/lmem_total_bytes", "1" }, { "drm/card1/lmem_total_bytes", "1024" } },
                  1024 },
                { "i915", { { "drm/card1/lmem_total_bytes", "0" } }, 0 },
                { "i915", { { "drm/card0/dev", "226:0" } }, 0 },
                { "i915", { { "mem_info_vram_total", "1024" } }, 0 },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                FakeKernel *k = fake_kernel_new();
                VgpuIo *io = fake_kernel_io(k);
                g_autofree char *driver = g_strconcat("bus/pci/drivers/", table[i].driver, NULL);
                GpuFacts *f = NULL;
                uint64_t bytes;

                fake_add_link(k, GPU "/subsystem", "bus/pci");
                fake_add_link(k, GPU "/driver", driver);

                for (size_t j = 0; j < G_N_ELEMENTS(table[i].files) && table[i].files[j][0]; j++)
                        add(k, table[i].files[j][0], table[i].files[j][1]);
                ASSERT_OK(gpu_facts_read(io, &seed, NULL, &f));
                bytes = f->memory_bytes;
                gpu_facts_unref(f);
                vgpu_io_free(io);
                fake_kernel_free(k);

                if (bytes != table[i].bytes)
                        FAIL("case %zu (%s): %" PRIu64, i, table[i].driver, bytes);
        }
}

static void test_gone(void)
{
        FakeKernel *k = fake_kernel_new();
        VgpuIo *io = fake_kernel_io(k);
        GpuFacts *f = NULL;

        ASSERT_ERROR(gpu_facts_read(io, &seed, NULL, &f), ENODEV);
        fake_add_link(k, GPU "/subsystem", "bus/pci");
        add(k, "vendor", "0x10de");
        fake_fail(k, "read", GPU "/device", ENODEV);
        ASSERT_ERROR(gpu_facts_read(io, &seed, NULL, &f), ENODEV);
        ASSERT_NULL(f);
        vgpu_io_free(io);
        fake_kernel_free(k);
}

static int begin_removal(FakeKernel *k, const char *path, void *data)
{
        fake_remove(k, GPU "/uevent");
        fake_remove(k, GPU "/subsystem_vendor");
        return 0;
}

/* The GPU is removed during gpu_facts_read(), which must not take the remaining files for another device. */
static void test_going(void)
{
        FakeKernel *k = fake_kernel_new();
        VgpuIo *io = fake_kernel_io(k);
        GpuFacts *f = NULL;

        fake_add_link(k, GPU "/subsystem", "bus/pci");
        add(k, "uevent", "");
        add(k, "vendor", "0x10de");
        add(k, "device", "0x25b6");
        add(k, "subsystem_vendor", "0x10de");
        add(k, "class", "0x030200");
        ASSERT_OK(gpu_facts_read(io, &seed, NULL, &f));
        f = gpu_facts_unref(f);
        fake_before(k, "read", GPU "/device", begin_removal, NULL);
        ASSERT_ERROR(gpu_facts_read(io, &seed, NULL, &f), ENODEV);
        ASSERT_NULL(f);
        vgpu_io_free(io);
        fake_kernel_free(k);
}

static void test_parents(void)
{
        FakeKernel *k = fake_kernel_new();
        VgpuIo *io = fake_kernel_io(k);
        GPtrArray *parents = NULL;

        ASSERT_OK(mdev_parents_read(io, &parents));
        ASSERT_EQ(parents->len, 0);
        g_ptr_array_unref(parents);

        FakeGpu *intel = fake_add_gvt_g(k, "0000:00:02.0"), *nvidia = fake_add_nvidia_a2(k, "0000:08:00.0", 6);
        FakeGpu *mdpy = fake_add_mdpy(k);
        /* A parent that disappeared between the listing and the read of its link. */
        fake_add_link(k, "class/mdev_bus/0000:09:00.0", "devices/gone");
        fake_fail(k, "link", "class/mdev_bus/0000:09:00.0", ENOENT);
        /* Entries that cannot be read do not hide the other parents. */
        fake_add_file(k, "class/mdev_bus/no-link", "x");
        fake_add_link(k, "class/mdev_bus/refused", "devices/refused");
        fake_fail(k, "link", "class/mdev_bus/refused", EIO);
        ASSERT_OK(mdev_parents_read(io, &parents));
        ASSERT_EQ(parents->len, 1 + 6 + 1);

        for (guint i = 0; i < parents->len; i++) {
                const MdevParent *p = parents->pdata[i];

                ASSERT_EQ(mdev_parent_is_gpu(io, p), 1);
        }

        g_ptr_array_unref(parents);

        GpuFacts *f = fake_gpu_facts(nvidia);
        ASSERT_EQ(f->mdev_parents->len, 6);
        ASSERT_EQ(f->enabled_vfs, 6);
        ASSERT_EQ(f->total_vfs, 6);
        const MdevParent *first = f->mdev_parents->pdata[0], *fifth = f->mdev_parents->pdata[4];
        ASSERT_STREQ(first->name, "0000:08:00.4");
        ASSERT_STREQ(first->physfn, "0000:08:00.0");
        ASSERT_STREQ(fifth->name, "0000:08:01.0");
        gpu_facts_unref(f);
        f = fake_gpu_facts(intel);
        ASSERT_EQ(f->mdev_parents->len, 1);
        ASSERT_NULL(((const MdevParent *)f->mdev_parents->pdata[0])->physfn);
        gpu_facts_unref(f);
        f = fake_gpu_facts(mdpy);
        ASSERT_FALSE(f->is_pci);
        ASSERT_STREQ(f->subsystem, "mdpy");
        ASSERT_EQ(f->mdev_parents->len, 1);
        gpu_facts_unref(f);

        fake_gpu_free(intel);
        fake_gpu_free(nvidia);
        fake_gpu_free(mdpy);
        vgpu_io_free(io);
        fake_kernel_free(k);
}

static void test_parent_is_gpu(void)
{
        FakeKernel *k = fake_kernel_new();
        VgpuIo *io = fake_kernel_io(k);
        MdevParent *p = mdev_parent_new("css0", "devices/css0", NULL);

        ASSERT_EQ(mdev_parent_is_gpu(io, p), 0);
        fake_add_file(k, "devices/css0/mdev_supported_types/vfio_ccw-io/device_api", "vfio-ccw\n");
        ASSERT_EQ(mdev_parent_is_gpu(io, p), 0);
        fake_add_file(k, "devices/css0/mdev_supported_types/zz-1/device_api", "vfio-pci\n");
        ASSERT_EQ(mdev_parent_is_gpu(io, p), 1);
        fake_fail(k, "read", "devices/css0/mdev_supported_types/zz-1/device_api", ENODEV);
        ASSERT_EQ(mdev_parent_is_gpu(io, p), 0);
        fake_fail(k, "list", "devices/css0/mdev_supported_types", EACCES);
        ASSERT_ERROR(mdev_parent_is_gpu(io, p), EACCES);
        mdev_parent_free(p);
        vgpu_io_free(io);
        fake_kernel_free(k);
}

/* The files that identify the interface of a driver. */
typedef struct Way {
        const char *vendor, *class, *paths[4]; /* paths below the folder of the GPU */
        const char *elsewhere;                 /* below /sys */
        unsigned features;
        const char *iov_path; /* below the GPU's folder */
} Way;

#define VF0 "devices/pci0000:00/0000:00:02.1"

static void check_way(const Way *w)
{
        FakeKernel *k = fake_kernel_new();
        VgpuIo *io = fake_kernel_io(k);
        GpuSeed s = { .name = "0000:00:02.0", .path = "devices/pci0000:00/0000:00:02.0" };
        /* gpu_facts_read() must not read these files; a read of reset_gpu or psp_vbflash does damage. */
        static const char *const closed[] = {
                "reset_gpu", "psp_vbflash",           "psp_vbflash_status",           "getvf",
                "relvf",     "memory_partition_mode", "accelerator_partition_profile"
        };
        g_autofree char *expected = w->iov_path ? g_strdup_printf("%s/%s", s.path, w->iov_path) : NULL;
        GpuFacts *f = NULL;

        for (size_t i = 0; i < G_N_ELEMENTS(w->paths) && w->paths[i]; i++) {
                g_autofree char *path = g_strdup_printf("%s/%s", s.path, w->paths[i]);

                fake_add_file(k, path, "");
        }

        for (size_t i = 0; i < G_N_ELEMENTS(closed); i++) {
                g_autofree char *path = g_strdup_printf("%s/%s", s.path, closed[i]);

                fake_fail(k, "read", path, EDEADLK);
        }

        fake_add_file(k, "devices/pci0000:00/0000:00:02.0/uevent", "");
        fake_add_file(k, "devices/pci0000:00/0000:00:02.0/vendor", w->vendor);
        fake_add_file(k, "devices/pci0000:00/0000:00:02.0/class", w->class);
        fake_add_link(k, "devices/pci0000:00/0000:00:02.0/subsystem", "bus/pci");
        fake_add_link(k, "devices/pci0000:00/0000:00:02.0/virtfn0", VF0);
        fake_add_link(k, "devices/pci0000:00/0000:00:02.0/virtfn1", "devices/pci0000:00/0000:00:02.2");
        fake_add_directory(k, VF0);
        fake_add_directory(k, "devices/pci0000:00/0000:00:02.2");

        if (w->elsewhere)
                fake_add_file(k, w->elsewhere, "");
        unsigned before = fake_count(k, "read");
        ASSERT_OK(gpu_facts_read(io, &s, NULL, &f));
        ASSERT_EQ(f->features, w->features);
        ASSERT_STREQ(f->iov_path, expected);
        ASSERT_EQ(f->vfs->len, 2);
        ASSERT_STREQ(((const VgpuVf *)f->vfs->pdata[0])->path, VF0);
        ASSERT_EQ(fake_count(k, "read") - before, 13); /* the attributes of every PCI device */
        gpu_facts_unref(f);
        vgpu_io_free(io);
        fake_kernel_free(k);
}

static void test_features(void)
{
        static const Way ways[] = {
                { "0x8086", "0x030000", { "drm/card0/dev", "drm/renderD128/dev" }, NULL, 0, NULL },
                { "0x8086", "0x030000", { "sriov_admin/pf/profile/x" }, NULL, VGPU_FEATURE_XE_ADMIN, NULL },
                { "0x8086",
                  "0x030000",
                  { "drm/renderD128/dev", "drm/card1/card1-DP-1/status", "drm/card1/prelim_iov/mode" },
                  NULL,
                  VGPU_FEATURE_I915_IOV,
                  "drm/card1/prelim_iov" },
                { "0x8086",
                  "0x030000",
                  { "drm/card0/iov/mode" },
                  NULL,
                  VGPU_FEATURE_I915_IOV,
                  "drm/card0/iov" },
                { "0x8086",
                  "0x030000",
                  { "drm/card0/iov/mode", "drm/card0/prelim_iov/mode" },
                  NULL,
                  VGPU_FEATURE_I915_IOV,
                  "drm/card0/prelim_iov" },
                { "0x8086", "0x030000", { "drm/cardX/iov/mode", "drm/card0/iov" }, NULL, 0, NULL },
                { "0x1002", "0x120000", { "reset_gpu", "psp_vbflash", "guard_status" }, NULL, 0, NULL },
                { "0x1002",
                  "0x120000",
                  { "reset_gpu", "memory_partition_mode" },
                  NULL,
                  VGPU_FEATURE_GIM,
                  NULL },
                { "0x1002", "0x120000", { "accelerator_partition_profile" }, NULL, VGPU_FEATURE_GIM, NULL },
                { "0x1002", "0x120000", { "spatial_partition_mode" }, NULL, VGPU_FEATURE_GIM, NULL },
                { "0x1002", "0x030000", { "getvf", "relvf", "gpuvf" }, NULL, VGPU_FEATURE_GIM_LEGACY, NULL },
                { "0x1002", "0x030000", { "getvf" }, NULL, 0, NULL },
                { "0x10de",
                  "0x030200",
                  { "x" },
                  VF0 "/nvidia/current_vgpu_type",
                  VGPU_FEATURE_NVIDIA_VF,
                  NULL },
                /* The first VF has no folder nvidia/, so the second VF decides. */
                { "0x10de",
                  "0x030200",
                  { "x" },
                  "devices/pci0000:00/0000:00:02.2/nvidia/current_vgpu_type",
                  VGPU_FEATURE_NVIDIA_VF,
                  NULL },
                { "0x10de", "0x030200", { "x" }, VF0 "/nvidia/something", 0, NULL },
                { "0x10de", "0x030200", { "nvidia/current_vgpu_type" }, NULL, 0, NULL },
                { "0x8086",
                  "0x030000",
                  { "x" },
                  "kernel/vgt/control/create_vgt_instance",
                  VGPU_FEATURE_XENGT,
                  NULL },
                { "0x8086", "0x020000", { "x" }, "kernel/vgt/control/create_vgt_instance", 0, NULL },
                { "0x1002", "0x030000", { "x" }, "kernel/vgt/control/create_vgt_instance", 0, NULL },
                { "0x8086", "0x030000", { "x" }, "kernel/vgt/something", 0, NULL },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(ways); i++)
                check_way(&ways[i]);
}

/* XenGT divides only the integrated GPU at 0000:00:02.0; an Intel GPU at another address has only the
 * features that the seed gives. */
static void test_features_of_others(void)
{
        FakeKernel *k = fake_kernel_new();
        VgpuIo *io = fake_kernel_io(k);
        GpuFacts *f = NULL;
        GpuSeed admitted = seed;

        admitted.admitted = true;
        fake_add_link(k, GPU "/subsystem", "bus/pci");
        add(k, "vendor", "0x8086");
        add(k, "class", "0x030000");
        fake_add_file(k, "kernel/vgt/control/create_vgt_instance", "");
        ASSERT_OK(gpu_facts_read(io, &seed, NULL, &f));
        ASSERT_EQ(f->features, 0);
        f = gpu_facts_unref(f);
        ASSERT_OK(gpu_facts_read(io, &admitted, NULL, &f));
        ASSERT_EQ(f->features, VGPU_FEATURE_ADMITTED);
        gpu_facts_unref(f);
        vgpu_io_free(io);
        fake_kernel_free(k);
}

/* The VFs of a GPU with mediated devices are not searched for the folder nvidia/, since a GPU may have
 * hundreds of VFs. */
static void test_features_mdev(void)
{
        FakeKernel *k = fake_kernel_new();
        FakeGpu *g = fake_add_nvidia_a2(k, "0000:08:00.0", 16);
        unsigned before = fake_count(k, "list");
        GpuFacts *f = fake_gpu_facts(g);

        ASSERT_EQ(f->features, 0);
        ASSERT_EQ(f->vfs->len, 16);
        ASSERT_TRUE(fake_count(k, "list") - before < 16);
        gpu_facts_unref(f);
        fake_gpu_free(g);
        fake_kernel_free(k);
}

static void test_equal(void)
{
        FakeKernel *k = fake_kernel_new();
        FakeGpu *g = fake_add_nvidia_a2(k, "0000:08:00.0", 2);
        GpuFacts *a = fake_gpu_facts(g), *b = fake_gpu_facts(g);
        bool equal = gpu_facts_equal(a, b), differs = true;

        b->numa_node = 0;
        differs = differs && !gpu_facts_equal(a, b);
        b->numa_node = -1;
        b->memory_bytes = 1;
        differs = differs && !gpu_facts_equal(a, b);
        b->memory_bytes = 0;
        b->link_speed = g_strdup("2.5 GT/s PCIe");
        differs = differs && !gpu_facts_equal(a, b);
        g_clear_pointer(&b->link_speed, g_free);
        b->enabled_vfs++;
        differs = differs && !gpu_facts_equal(a, b);
        b->enabled_vfs--;
        b->features = VGPU_FEATURE_ADMITTED;
        differs = differs && !gpu_facts_equal(a, b);
        b->features = 0;
        b->iov_path = g_strdup("devices/x/drm/card0/iov");
        differs = differs && !gpu_facts_equal(a, b);
        g_clear_pointer(&b->iov_path, g_free);
        equal = equal && gpu_facts_equal(a, b);
        g_ptr_array_set_size(b->vfs, 1);
        differs = differs && !gpu_facts_equal(a, b);
        g_ptr_array_add(b->vfs, vgpu_vf_new(1, "0000:08:00.6", "devices/elsewhere"));
        differs = differs && !gpu_facts_equal(a, b);
        g_ptr_array_set_size(b->mdev_parents, 1);
        differs = differs && !gpu_facts_equal(a, b);
        g_ptr_array_add(b->mdev_parents, mdev_parent_new("0000:08:00.5", "devices/elsewhere", "0000:08:00.0"));
        differs = differs && !gpu_facts_equal(a, b);

        GpuFacts *c = gpu_facts_ref(a);
        ASSERT_TRUE(c == a);
        gpu_facts_unref(a);
        ASSERT_NULL(gpu_facts_unref(c));
        ASSERT_NULL(gpu_facts_unref(NULL));
        gpu_facts_unref(b);
        fake_gpu_free(g);
        fake_kernel_free(k);
        ASSERT_TRUE(equal);
        ASSERT_TRUE(differs);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_full);
        TEST(test_unreadable_total_vfs);
        TEST(test_bare);
        TEST(test_memory);
        TEST(test_gone);
        TEST(test_going);
        TEST(test_parents);
        TEST(test_parent_is_gpu);
        TEST(test_features);
        TEST(test_features_of_others);
        TEST(test_features_mdev);
        TEST(test_equal);

        return tests_end();
}
