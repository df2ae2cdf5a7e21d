/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The work of a discovery, counted: a host may have a thousand VFs. */

#include "daemon/discovery/discovery.h"

#include "base/thread.h"
#include "io-fake.h"
#include "tests.h"

#define BRIDGE "devices/pci0000:00/0000:00:01.0"
#define PF     BRIDGE "/0000:01:00.0"

typedef struct Cost {
        unsigned reads, lists, links;
} Cost;

static void add_function(FakeKernel *k, const char *name)
{
        g_autofree char *path = g_strdup_printf(BRIDGE "/%s", name), *class = g_strconcat(path, "/class", NULL);
        g_autofree char *vendor = g_strconcat(path, "/vendor", NULL),
                        *device = g_strconcat(path, "/device", NULL);
        g_autofree char *link = g_strconcat("bus/pci/devices/", name, NULL);
        g_autofree char *subsystem = g_strconcat(path, "/subsystem", NULL);
        g_autofree char *uevent = g_strconcat(path, "/uevent", NULL);

        fake_add_file(k, uevent, "");
        fake_add_file(k, class, "0x030200\n");
        fake_add_file(k, vendor, "0x10de\n");
        fake_add_file(k, device, "0x26b5\n");
        fake_add_link(k, subsystem, "bus/pci");
        fake_add_link(k, link, path);
}

/* A PF with n VFs, each a parent of mediated devices. */
static FakeKernel *make_host(unsigned n)
{
        FakeKernel *k = fake_kernel_new();

        add_function(k, "0000:01:00.0");

        for (unsigned i = 0; i < n; i++) {
                g_autofree char *name = g_strdup_printf("0000:01:%02x.%u", (i + 4) / 8, (i + 4) % 8);
                g_autofree char *path = g_strdup_printf(BRIDGE "/%s", name);
                g_autofree char *physfn = g_strconcat(path, "/physfn", NULL);
                g_autofree char *virtfn = g_strdup_printf(PF "/virtfn%u", i);
                g_autofree char *parent = g_strconcat("class/mdev_bus/", name, NULL);
                g_autofree char *types = g_strconcat(path, "/mdev_supported_types", NULL);

                add_function(k, name);
                fake_add_link(k, physfn, PF);
                fake_add_link(k, virtfn, path);
                fake_add_directory(k, types);
                fake_add_link(k, parent, path);
        }

        return k;
}

static Cost discover(unsigned n)
{
        FakeKernel *k = make_host(n);
        VgpuIo *io = fake_kernel_io(k);
        g_autoptr(GArray) also = g_array_new(FALSE, FALSE, sizeof(uint32_t));
        g_autoptr(GPtrArray) avoid = g_ptr_array_new();
        Discovery *d = discovery_new(also, avoid);
        const GpuFacts *f;
        Cost cost;

        d->work.run(&d->work, io);
        ASSERT_OK(d->result);
        ASSERT_EQ(d->facts->len, 1);
        f = d->facts->pdata[0];
        ASSERT_STREQ(f->name, "0000:01:00.0");
        ASSERT_EQ(f->vfs->len, n);
        ASSERT_EQ(f->mdev_parents->len, n);
        ASSERT_EQ(d->pci->len, n + 1);
        cost = (Cost){ fake_count(k, "read"), fake_count(k, "list"), fake_count(k, "link") };

        discovery_free(d);
        vgpu_io_free(io);
        fake_kernel_free(k);

        return cost;
}

/* Each VF costs the read of one attribute and of five links, and no list of a folder. The links are the one in
 * bus/pci/devices, physfn (read twice), the one in class/mdev_bus, and virtfn of the PF. */
static void test_cost_of_vfs(void)
{
        Cost few = discover(4), many = discover(64);

        ASSERT_EQ(many.reads - few.reads, 60);
        ASSERT_EQ(many.lists - few.lists, 0);
        ASSERT_EQ(many.links - few.links, 60 * 5);
}

/* While the kernel removes a VF, neither physfn nor sriov_vf_msix_count is left, so the VF looks like a PF. The
 * missing uevent shows that the function is no PF. */
static void test_vf_that_goes(void)
{
        FakeKernel *k = make_host(2);
        VgpuIo *io = fake_kernel_io(k);
        g_autoptr(GArray) also = g_array_new(FALSE, FALSE, sizeof(uint32_t));
        g_autoptr(GPtrArray) avoid = g_ptr_array_new();
        Discovery *d = discovery_new(also, avoid);

        fake_remove(k, BRIDGE "/0000:01:00.4/physfn");
        fake_remove(k, BRIDGE "/0000:01:00.4/uevent");
        d->work.run(&d->work, io);
        ASSERT_OK(d->result);
        ASSERT_EQ(d->facts->len, 1);
        ASSERT_STREQ(((const GpuFacts *)d->facts->pdata[0])->name, "0000:01:00.0");

        discovery_free(d);
        vgpu_io_free(io);
        fake_kernel_free(k);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        thread_set_roles(THREAD_MAIN | THREAD_LANE);
        TEST(test_cost_of_vfs);
        TEST(test_vf_that_goes);

        return tests_end();
}
