/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/vfio/use.h"

#include <fcntl.h>

#include "io-fake.h"
#include "tests.h"

#define DEVICE "devices/virtual/mdpy/mdpy/f715f63c-0d00-4007-9c5a-b07b0c6c05de"

typedef struct Fixture {
        FakeKernel *k;
        VgpuIo *io;
        VgpudError e;
} Fixture;

static Fixture fixture_new(void)
{
        FakeKernel *k = fake_kernel_new();

        fake_add_directory(k, DEVICE);

        return (Fixture){ .k = k, .io = fake_kernel_io(k) };
}

static void fixture_free(Fixture *f)
{
        vgpud_error_done(&f->e);
        vgpu_io_free(f->io);
        fake_kernel_free(f->k);
}
#define _cleanup_fixture_ _cleanup_(fixture_free)

static void test_group(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        int group = 77;

        ASSERT_OK(vfio_read_group(f.io, DEVICE, &group));
        ASSERT_EQ(group, -1);
        fake_add_link(f.k, DEVICE "/iommu_group", "kernel/iommu_groups/106");
        ASSERT_OK(vfio_read_group(f.io, DEVICE, &group));
        ASSERT_EQ(group, 106);
        fake_add_link(f.k, DEVICE "/iommu_group", "kernel/iommu_groups/-1");
        ASSERT_ERROR(vfio_read_group(f.io, DEVICE, &group), EBADMSG);
        fake_fail(f.k, "link", DEVICE "/iommu_group", ENODEV);
        ASSERT_ERROR(vfio_read_group(f.io, DEVICE, &group), ENODEV);
}

static void test_cdev(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        g_autofree char *cdev = NULL;

        ASSERT_OK(vfio_read_cdev(f.io, DEVICE, &cdev));
        ASSERT_NULL(cdev);
        /* Without cdevs, the VFIO device has no file dev. The folder vfio-dev/power is no VFIO device. */
        fake_add_directory(f.k, DEVICE "/vfio-dev/vfio3");
        fake_add_directory(f.k, DEVICE "/vfio-dev/power");
        ASSERT_OK(vfio_read_cdev(f.io, DEVICE, &cdev));
        ASSERT_NULL(cdev);
        fake_add_file(f.k, DEVICE "/vfio-dev/vfio3/dev", "511:3\n");
        ASSERT_OK(vfio_read_cdev(f.io, DEVICE, &cdev));
        ASSERT_STREQ(cdev, "vfio3");
        g_clear_pointer(&cdev, g_free);
        fake_fail(f.k, "identify", DEVICE "/vfio-dev/vfio3/dev", ENODEV);
        ASSERT_ERROR(vfio_read_cdev(f.io, DEVICE, &cdev), ENODEV);
        ASSERT_NULL(cdev);
}

static void test_keep_out(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        int fd = -77, other = -77;

        fake_add_node(f.k, "vfio/12");
        ASSERT_OK(vfio_keep_out(f.io, 12, NULL, &fd, &f.e));
        ASSERT_TRUE(fd >= 0);
        ASSERT_TRUE(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        ASSERT_TRUE(fake_node_is_kept(f.k, "vfio/12"));
        ASSERT_ERROR(vfio_keep_out(f.io, 12, NULL, &other, &f.e), EBUSY);
        close(fd);
        ASSERT_FALSE(fake_node_is_kept(f.k, "vfio/12"));
}

static void test_in_use(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        int fd = -77;

        fake_add_node(f.k, "vfio/12");
        fake_hold_node(f.k, "vfio/12", 4711, "qemu-system-x86");
        ASSERT_ERROR(vfio_keep_out(f.io, 12, NULL, &fd, &f.e), EBUSY);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_IN_USE);
        ASSERT_EQ(f.e.errnum, EBUSY);
        ASSERT_CONTAINS(f.e.message, "process 4711 (qemu-system-x86)");
        ASSERT_CONTAINS(f.e.message, "/dev/vfio/12");
        ASSERT_EQ(fd, -77);

        /* The kernel reports EBUSY although /proc shows no process with the node open. */
        fake_hold_node_invisibly(f.k, "vfio/12");
        ASSERT_ERROR(vfio_keep_out(f.io, 12, NULL, &fd, &f.e), EBUSY);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_IN_USE);
        ASSERT_EQ(f.e.errnum, EBUSY);

        /* The group is busy because its cdev is open. */
        fake_add_node(f.k, "vfio/devices/vfio3");
        fake_hold_node(f.k, "vfio/devices/vfio3", 12, "cloud-hyperviso"); /* comm has 15 bytes */
        ASSERT_ERROR(vfio_keep_out(f.io, 12, "vfio3", &fd, &f.e), EBUSY);
        ASSERT_CONTAINS(f.e.message, "process 12 (cloud-hyperviso)");
        ASSERT_CONTAINS(f.e.message, "/dev/vfio/devices/vfio3");
        ASSERT_ERROR(vfio_keep_out(f.io, 12, "vfio3", &fd, NULL), EBUSY);
}

/* A device that cannot be checked counts as used. */
static void test_nobody_can_tell(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        int fd = -77;

        ASSERT_ERROR(vfio_keep_out(f.io, 12, NULL, &fd, &f.e), EBUSY); /* no node */
        ASSERT_EQ(f.e.code, VGPUD_ERROR_IN_USE);
        ASSERT_EQ(f.e.errnum, ENOENT);
        fake_add_node(f.k, "vfio/12");
        fake_fail(f.k, "group", "12", EPERM);
        ASSERT_ERROR(vfio_keep_out(f.io, 12, NULL, &fd, &f.e), EBUSY);
        ASSERT_EQ(f.e.errnum, EPERM);
        ASSERT_EQ(fd, -77);
}

/* A kernel without VFIO_GROUP: only the search of /proc finds a user. */
static void test_cdev_only(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        int fd = -77;

        fake_add_node(f.k, "vfio/devices/vfio3");
        ASSERT_OK(vfio_keep_out(f.io, 12, "vfio3", &fd, &f.e));
        ASSERT_EQ(fd, -EBADF);
        fake_hold_node(f.k, "vfio/devices/vfio3", 12, "qemu");
        ASSERT_ERROR(vfio_keep_out(f.io, -1, "vfio3", &fd, &f.e), EBUSY);
        ASSERT_CONTAINS(f.e.message, "process 12 (qemu)");
        fake_hold_node(f.k, "vfio/devices/vfio3", 0, NULL);
        fake_deny_processes(f.k);
        ASSERT_ERROR(vfio_keep_out(f.io, 12, "vfio3", &fd, &f.e), EBUSY);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_IN_USE);
        ASSERT_EQ(f.e.errnum, EACCES);
}

/* In the no-IOMMU mode of VFIO, opening the group needs CAP_SYS_RAWIO, so only the search of /proc finds a
 * user. */
static void test_noiommu(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        int fd = -77;

        ASSERT_FALSE(vfio_group_is_noiommu(f.io, -1));
        ASSERT_FALSE(vfio_group_has_node(f.io, -1));
        ASSERT_FALSE(vfio_group_is_noiommu(f.io, 12));
        ASSERT_FALSE(vfio_group_has_node(f.io, 12));
        fake_add_node(f.k, "vfio/noiommu-12");
        ASSERT_TRUE(vfio_group_is_noiommu(f.io, 12));
        ASSERT_TRUE(vfio_group_has_node(f.io, 12));
        ASSERT_OK(vfio_keep_out(f.io, 12, NULL, &fd, &f.e));
        ASSERT_EQ(fd, -EBADF);
        fake_hold_node(f.k, "vfio/noiommu-12", 12, "dpdk-testpmd");
        ASSERT_ERROR(vfio_keep_out(f.io, 12, NULL, &fd, &f.e), EBUSY);
        ASSERT_EQ(f.e.code, VGPUD_ERROR_IN_USE);
        ASSERT_CONTAINS(f.e.message, "process 12 (dpdk-testpmd) has /dev/vfio/noiommu-12 open");
        fake_hold_node(f.k, "vfio/noiommu-12", 0, NULL);
        fake_deny_processes(f.k);
        ASSERT_ERROR(vfio_keep_out(f.io, 12, NULL, &fd, &f.e), EBUSY);
        ASSERT_EQ(f.e.errnum, EACCES);
        /* A group of mediated devices has a node without the prefix noiommu-. */
        fake_add_node(f.k, "vfio/13");
        ASSERT_FALSE(vfio_group_is_noiommu(f.io, 13));
        ASSERT_TRUE(vfio_group_has_node(f.io, 13));
}

static void test_nothing_to_use(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        int fd = -77;

        ASSERT_OK(vfio_keep_out(f.io, -1, NULL, &fd, &f.e));
        ASSERT_EQ(fd, -EBADF);
        fd = -77;
        fake_fail(f.k, "group", "12", ENODEV); /* the group has no device any more */
        ASSERT_OK(vfio_keep_out(f.io, 12, NULL, &fd, &f.e));
        ASSERT_EQ(fd, -EBADF);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_group);
        TEST(test_cdev);
        TEST(test_keep_out);
        TEST(test_in_use);
        TEST(test_nobody_can_tell);
        TEST(test_cdev_only);
        TEST(test_noiommu);
        TEST(test_nothing_to_use);

        return tests_end();
}
