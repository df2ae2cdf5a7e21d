/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/vfio/driver-choice.h"
#include "fake-sriov.h"
#include "tests.h"

#define VF "devices/pci0000:00/0000:00:01.0/0000:03:00.1"

#define GENERIC "vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci\n"
#define XE      "vfio_pci:v00008086d0000E20Bsv*sd*bc*sc*i* xe_vfio_pci\n"

typedef struct Row {
        const char *aliases;
        const char *loaded[3]; /* besides vfio-pci */
        bool without_vfio_pci;
        const char *driver, *better; /* expected */
} Row;

static void check(const Row *row)
{
        FakeKernel *k = fake_kernel_new();
        FakePci *pci = fake_pci_new(k);
        VgpuIo *io = fake_kernel_io(k);
        g_autofree char *driver = NULL, *better = NULL;

        fake_add_file(k, VF "/modalias", "pci:v00008086d0000E20Bsv00008086sd00001114bc03sc00i00\n");
        fake_set_aliases(k, row->aliases);

        for (size_t i = 0; i < G_N_ELEMENTS(row->loaded) && row->loaded[i]; i++)
                fake_pci_add_driver(pci, row->loaded[i]);
        if (row->without_vfio_pci)
                fake_pci_remove_driver(pci, "vfio-pci");
        ASSERT_OK(vfio_find_driver(io, VF, &driver, &better));
        ASSERT_STREQ(driver, row->driver);
        ASSERT_STREQ(better, row->better);
        vgpu_io_free(io);
        fake_pci_free(pci);
        fake_kernel_free(k);
}

static void test_choice(void)
{
        static const Row table[] = {
                /* no modules.alias: a kernel without modules */
                { .driver = "vfio-pci" },
                { .without_vfio_pci = true },
                /* no driver for this device, whether loaded or not */
                { .aliases = GENERIC, .driver = "vfio-pci" },
                { .aliases = GENERIC, .loaded = { "xe-vfio-pci" }, .driver = "vfio-pci" },
                { .aliases = GENERIC "vfio_pci:v00008086d0000E20Csv*sd*bc*sc*i* xe_vfio_pci\n",
                  .loaded = { "xe-vfio-pci" },
                  .driver = "vfio-pci" },
                /* a driver for this device */
                { .aliases = GENERIC XE, .loaded = { "xe-vfio-pci" }, .driver = "xe-vfio-pci" },
                { .aliases = XE GENERIC, .loaded = { "xe-vfio-pci" }, .driver = "xe-vfio-pci" },
                { .aliases = XE GENERIC,
                  .loaded = { "xe-vfio-pci" },
                  .without_vfio_pci = true,
                  .driver = "xe-vfio-pci" },
                /* the better driver is not loaded */
                { .aliases = GENERIC XE, .driver = "vfio-pci", .better = "xe_vfio_pci" },
                { .aliases = GENERIC XE, .without_vfio_pci = true, .better = "xe_vfio_pci" },
                /* two drivers for this device: the one that is more specific, if it is loaded */
                { .aliases = "vfio_pci:v00008086d*sv*sd*bc*sc*i* intel_vfio_pci\n" XE,
                  .loaded = { "intel-vfio-pci", "xe-vfio-pci" },
                  .driver = "xe-vfio-pci" },
                { .aliases = "vfio_pci:v00008086d*sv*sd*bc*sc*i* intel_vfio_pci\n" XE,
                  .loaded = { "intel-vfio-pci" },
                  .driver = "intel-vfio-pci",
                  .better = "xe_vfio_pci" },
                /* invalid lines are ignored */
                { .aliases = "vfio_pci:v*\nvfio_pci:* ../../etc\nvfio_pci:* \nvfio_pci:v* x y\nvfio_pci:[ z\n" GENERIC,
                  .driver = "vfio-pci" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
                check(&table[i]);
}

/* The module of the better driver lists a driver without a name, so vfio-pci is chosen. */
static void test_nameless(void)
{
        FakeKernel *k = fake_kernel_new();
        FakePci *pci = fake_pci_new(k);
        VgpuIo *io = fake_kernel_io(k);
        g_autofree char *driver = NULL;

        fake_add_file(k, VF "/modalias", "pci:v00008086d0000E20Bsv00008086sd00001114bc03sc00i00\n");
        fake_set_aliases(k, XE);
        fake_add_directory(k, "module/xe_vfio_pci/drivers/pci:");
        ASSERT_OK(vfio_find_driver(io, VF, &driver, NULL));
        ASSERT_STREQ(driver, "vfio-pci");
        vgpu_io_free(io);
        fake_pci_free(pci);
        fake_kernel_free(k);
}

static void test_gone(void)
{
        FakeKernel *k = fake_kernel_new();
        VgpuIo *io = fake_kernel_io(k);
        char *driver;

        ASSERT_EQ(vfio_find_driver(io, VF, &driver, NULL), -ENOENT);
        vgpu_io_free(io);
        fake_kernel_free(k);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_choice);
        TEST(test_nameless);
        TEST(test_gone);

        return tests_end();
}
