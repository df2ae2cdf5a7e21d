/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/io/io.h"

#include "io-fake.h"
#include "tests.h"

typedef struct Fixture {
        FakeKernel *k;
        VgpuIo *io;
} Fixture;

static Fixture fixture_new(void)
{
        FakeKernel *k = fake_kernel_new();

        return (Fixture){ k, fake_kernel_io(k) };
}

static void fixture_free(Fixture *f)
{
        vgpu_io_free(f->io);
        fake_kernel_free(f->k);
}
#define _cleanup_fixture_ _cleanup_(fixture_free)

static void test_names(void)
{
        static const char *const good[] = { "a", "0000:00:02.0", "...", ".hidden", "vfio-pci 575", "\xc3\xa4" };
        static const char *const bad[] = { "", ".", "..", "a/b", "/", "a\n", "\x7f", "\x1b[31m", "\xff" };
        g_autofree char *longest = g_strnfill(255, 'a'), *longer = g_strnfill(256, 'a');

        for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
                ASSERT_TRUE(vgpu_io_name_is_valid(good[i]));
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                ASSERT_FALSE(vgpu_io_name_is_valid(bad[i]));
        ASSERT_TRUE(vgpu_io_name_is_valid(longest));
        ASSERT_FALSE(vgpu_io_name_is_valid(longer));
        ASSERT_FALSE(vgpu_io_name_is_valid(NULL));
}

static void test_paths(void)
{
        static const char *const bad[] = { "",      "/sys", "a/",   "a//b", "./a",    "a/.",
                                           "a/./b", "..",   "../a", "a/..", "a/../b", "a\n/b" };
        g_autoptr(GString) s = g_string_new("a");

        ASSERT_TRUE(vgpu_io_path_is_valid("devices/pci0000:00/0000:00:02.0/class"));
        ASSERT_TRUE(vgpu_io_path_is_valid("a"));

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                ASSERT_FALSE(vgpu_io_path_is_valid(bad[i]));
        ASSERT_FALSE(vgpu_io_path_is_valid(NULL));
        while (s->len + 2 <= VGPU_IO_PATH_MAX)
                g_string_append(s, "/a");
        while (s->len < VGPU_IO_PATH_MAX)
                g_string_append(s, "a");
        ASSERT_TRUE(vgpu_io_path_is_valid(s->str));
        g_string_append(s, "a");
        ASSERT_FALSE(vgpu_io_path_is_valid(s->str));
}

/* Invalid paths never reach the kernel. */
static void test_refused_everywhere(void)
{
        static const char *const bad[] = { "/sys/class", "../dev", "a/../b", "" };
        _cleanup_fixture_ Fixture f = fixture_new();
        g_autofree char *written = NULL;
        char *text = NULL, **names = NULL;
        int pid;

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                ASSERT_ERROR(vgpu_io_read(f.io, bad[i], &text), EINVAL);
                ASSERT_ERROR(vgpu_io_readf(f.io, &text, "%s", bad[i]), EINVAL);
                ASSERT_ERROR(vgpu_io_write(f.io, bad[i], "1"), EINVAL);
                ASSERT_ERROR(vgpu_io_write_guarded(f.io, bad[i], "1"), EINVAL);
                ASSERT_ERROR(vgpu_io_list(f.io, bad[i], &names), EINVAL);
                ASSERT_ERROR(vgpu_io_read_link(f.io, bad[i], &text), EINVAL);
                ASSERT_ERROR(vgpu_io_resolve_link(f.io, bad[i], &text), EINVAL);
                ASSERT_ERROR(vgpu_io_node_exists(f.io, bad[i]), EINVAL);
                ASSERT_ERROR(vgpu_io_find_holder(f.io, bad[i], &pid, &text), EINVAL);
        }

        ASSERT_ERROR(vgpu_io_readf(f.io, &text, "a/%2000d", 1), EINVAL);
        ASSERT_EQ(fake_count(f.k, "read") + fake_count(f.k, "list") + fake_count(f.k, "link"), 0);
        written = fake_writes(f.k);
        ASSERT_STREQ(written, "");
}

static void test_values(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        g_autofree char *page = g_strnfill(VGPU_IO_ATTR_MAX, 'x'),
                        *more = g_strnfill(VGPU_IO_ATTR_MAX + 1, 'x');
        g_autofree char *text = NULL;

        fake_add_file(f.k, "a/b", "old\n");
        ASSERT_ERROR(vgpu_io_write(f.io, "a/b", ""), EINVAL);
        ASSERT_ERROR(vgpu_io_write_guarded(f.io, "a/b", ""), EINVAL);
        ASSERT_ERROR(vgpu_io_write(f.io, "a/b", more), EINVAL);
        ASSERT_ERROR(vgpu_io_write_guarded(f.io, "a/b", more), EINVAL);
        ASSERT_OK(vgpu_io_readf(f.io, &text, "%s/%c", "a", 'b'));
        ASSERT_STREQ(text, "old");
        ASSERT_OK(vgpu_io_write(f.io, "a/b", page));
        g_clear_pointer(&text, g_free);
        ASSERT_OK(vgpu_io_read(f.io, "a/b", &text));
        ASSERT_STREQ(text, page);
}

static void test_links(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        g_autofree char *text = NULL, *name = NULL, *path = NULL;

        fake_add_directory(f.k, "devices/pci0000:00/0000:00:02.0");
        fake_add_link(f.k, "class/mdev_bus/0000:00:02.0", "devices/pci0000:00/0000:00:02.0");
        ASSERT_OK(vgpu_io_read_link(f.io, "class/mdev_bus/0000:00:02.0", &text));
        ASSERT_STREQ(text, "../../devices/pci0000:00/0000:00:02.0");
        ASSERT_OK(vgpu_io_read_link_name(f.io, "class/mdev_bus/0000:00:02.0", &name));
        ASSERT_STREQ(name, "0000:00:02.0");
        ASSERT_OK(vgpu_io_resolve_link(f.io, "class/mdev_bus/0000:00:02.0", &path));
        ASSERT_STREQ(path, "devices/pci0000:00/0000:00:02.0");
        ASSERT_ERROR(vgpu_io_resolve_link(f.io, "devices/pci0000:00", &path), EINVAL);
        ASSERT_ERROR(vgpu_io_resolve_link(f.io, "nothing", &path), ENOENT);
        /* A path that leads through a link is refused. */
        ASSERT_ERROR(vgpu_io_read(f.io, "class/mdev_bus/0000:00:02.0/class", &path), ELOOP);
}

/* sysfs has no such links. A link is refused if it leads out of /sys or to /sys itself, or if its target has a
 * control character. A link below /sys with needless dots and slashes is accepted. */
static void test_odd_links(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        char *path = NULL;

        fake_add_link(f.k, "a/out", "../../etc");
        ASSERT_ERROR(vgpu_io_resolve_link(f.io, "a/out", &path), EXDEV);
        fake_add_link(f.k, "absolute", "/etc");
        ASSERT_ERROR(vgpu_io_resolve_link(f.io, "absolute", &path), EXDEV);
        fake_add_link(f.k, "a/root", "");
        ASSERT_ERROR(vgpu_io_resolve_link(f.io, "a/root", &path), EINVAL);
        ASSERT_ERROR(vgpu_io_read_link_name(f.io, "a/root", &path), EINVAL);
        fake_add_link(f.k, "a/control", "b/\x01");
        ASSERT_ERROR(vgpu_io_read_link_name(f.io, "a/control", &path), EINVAL);
        ASSERT_ERROR(vgpu_io_resolve_link(f.io, "a/control", &path), EINVAL);
        ASSERT_NULL(path);
        fake_add_link(f.k, "a/b/dots", "./c//d/");
        ASSERT_OK(vgpu_io_resolve_link(f.io, "a/b/dots", &path));
        bool right = strcmp(path, "c/d") == 0;
        g_free(path);
        ASSERT_TRUE(right);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_names);
        TEST(test_paths);
        TEST(test_refused_everywhere);
        TEST(test_values);
        TEST(test_links);
        TEST(test_odd_links);

        return tests_end();
}
