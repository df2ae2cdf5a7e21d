/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/blocked.h"

#include "io-fake.h"
#include "tests.h"

#define GPU  "0000:03:00.0"
#define VF   "0000:03:00.1"
#define MDEV "11111111-0000-4000-8000-000000000001"
#define PF   "devices/pci0000:00/" GPU
#define VFP  "devices/pci0000:00/" VF

/* A GPU with a display node; a VF bound to VFIO, with the group node vfio/12 and the device node
 * vfio/devices/vfio3; and a mediated device on the VF, with the group node vfio/13. */
static FakeKernel *kernel_new(void)
{
        FakeKernel *k = fake_kernel_new();

        fake_add_link(k, "bus/pci/devices/" GPU, PF);
        fake_add_link(k, "bus/pci/devices/" VF, VFP);
        fake_add_link(k, PF "/virtfn0", VFP);
        fake_add_directory(k, PF "/drm/card1");
        fake_add_directory(k, VFP "/vfio-dev/vfio3");
        fake_add_directory(k, "kernel/iommu_groups/12");
        fake_add_link(k, VFP "/iommu_group", "kernel/iommu_groups/12");
        fake_add_directory(k, "kernel/iommu_groups/13");
        fake_add_link(k, VFP "/" MDEV "/iommu_group", "kernel/iommu_groups/13");

        return k;
}

static void test_holder(void)
{
        static const struct {
                const char *node;         /* open in a process; NULL: none */
                const char *path, *value; /* blocked write; path NULL: a program, and value is its command */
                bool found;
        } table[] = {
                { "vfio/12", "bus/pci/drivers/vfio-pci/unbind", VF, true },
                { "vfio/noiommu-12", "bus/pci/drivers/vfio-pci/unbind", VF, true },
                { "vfio/devices/vfio3", "bus/pci/drivers/vfio-pci/unbind", VF, true },
                { "vfio/devices/vfio3", VFP "/driver_override", "vfio-pci", true },
                { "vfio/devices/vfio3", VFP "/nvidia/current_vgpu_type", "0", true },
                { "vfio/devices/vfio3", PF "/sriov_numvfs", "0", true },
                { "vfio/13", VFP "/" MDEV "/remove", "1", true },
                { "dri/card1", "bus/pci/drivers/xe/unbind", GPU, true },
                { "dri/card1", NULL, "systemctl start vgpud-sriov@disable-" GPU ".service", true },
                { "vfio/12", NULL, "systemctl start vgpud-sriov@disable-" GPU ".service", true },
                /* A program with the display node open does not block these two writes. */
                { "dri/card1", PF "/sriov_numvfs", "0", false },
                { "dri/card1", "bus/pci/drivers/vfio-pci/unbind", VF, false },
                { "vfio/12", "bus/pci/drivers/vfio-pci/unbind", "0000:09:00.0", false },
                { NULL, "bus/pci/drivers/vfio-pci/unbind", VF, false },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                FakeKernel *k = kernel_new();
                VgpuIo *io = fake_kernel_io(k);
                g_autofree char *what = NULL, *holder = NULL;

                if (table[i].node) {
                        fake_add_node(k, table[i].node);
                        fake_hold_node(k, table[i].node, 4242, "qemu");
                }

                what = blocked_explain(io, GPU, table[i].path, table[i].value, &holder);
                vgpu_io_free(io);
                fake_kernel_free(k);

                ASSERT_CONTAINS(what, table[i].value);
                if (table[i].path)
                        ASSERT_CONTAINS(what, table[i].path);
                if (!holder != !table[i].found)
                        FAIL("case %zu: the holder is %s", i, holder ? holder : "unknown");
                if (holder) {
                        ASSERT_CONTAINS(holder, "4242");
                        ASSERT_CONTAINS(holder, table[i].node);
                }
        }
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_holder);

        return tests_end();
}
