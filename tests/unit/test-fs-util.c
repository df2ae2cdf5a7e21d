/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/fs-util.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "scratch.h"
#include "tests.h"

static void test_read(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        g_autofree char *text = NULL;
        size_t size = 77;

        scratch_file(&s, "file", "0123456789");
        ASSERT_OK(fs_read_file_at(s.fd, "file", 10, &text, &size));
        ASSERT_STREQ(text, "0123456789");
        ASSERT_EQ(size, 10);
        g_clear_pointer(&text, g_free);
        ASSERT_OK(fs_read_file_at(s.fd, "file", 100, &text, NULL));
        ASSERT_STREQ(text, "0123456789");

        scratch_file(&s, "empty", "");
        g_clear_pointer(&text, g_free);
        ASSERT_OK(fs_read_file_at(s.fd, "empty", 0, &text, &size));
        ASSERT_STREQ(text, "");
        ASSERT_EQ(size, 0);
}

static void test_read_refused(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        char *text = NULL;

        scratch_file(&s, "file", "0123456789");
        scratch_directory(&s, "directory");
        scratch_link(&s, "link", "file");
        scratch_fifo(&s, "fifo");
        ASSERT_ERROR(fs_read_file_at(s.fd, "file", 9, &text, NULL), EFBIG);
        ASSERT_ERROR(fs_read_file_at(s.fd, "link", 100, &text, NULL), ELOOP);
        ASSERT_ERROR(fs_read_file_at(s.fd, "directory", 100, &text, NULL), EISDIR);
        ASSERT_ERROR(fs_read_file_at(s.fd, "fifo", 100, &text, NULL),
                     EINVAL); /* opening the FIFO does not wait for a writer */
        ASSERT_ERROR(fs_read_file_at(s.fd, "nothing", 100, &text, NULL), ENOENT);
        ASSERT_NULL(text);

        /* Files in /proc have st_size 0 although they have content, so the limit must count the bytes read. */
        _cleanup_close_ int proc = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ASSERT_ERROR(fs_read_file_at(proc, "status", 20, &text, NULL), EFBIG);
        ASSERT_NULL(text);
}

static void test_replace(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        g_autofree char *text = NULL;
        g_auto(GStrv) names = NULL;
        struct stat before, after;

        ASSERT_OK(fs_replace_file_at(s.fd, "state", "one", 3, 0600));
        ASSERT_EQ(fstatat(s.fd, "state", &before, 0), 0);
        ASSERT_EQ(before.st_mode & 07777, 0600);
        ASSERT_OK(fs_replace_file_at(s.fd, "state", "two!", 4, 0644));
        ASSERT_OK(fs_read_file_at(s.fd, "state", 100, &text, NULL));
        ASSERT_STREQ(text, "two!");
        ASSERT_EQ(fstatat(s.fd, "state", &after, 0), 0);
        ASSERT_EQ(after.st_mode & 07777, 0644);
        /* The inode changes, so open readers keep the old content. */
        ASSERT_TRUE(before.st_ino != after.st_ino);
        ASSERT_OK(fs_list_at(s.fd, ".", &names));
        ASSERT_EQ(g_strv_length(names), 1);
}

static void test_replace_after_crash(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        g_autofree char *text = NULL;

        /* A killed process left a temporary file that is longer than the new content. */
        scratch_file(&s, ".state.tmp", "half of something long");
        ASSERT_OK(fs_replace_file_at(s.fd, "state", "new", 3, 0600));
        ASSERT_OK(fs_read_file_at(s.fd, "state", 100, &text, NULL));
        ASSERT_STREQ(text, "new");
        ASSERT_ERROR(faccessat(s.fd, ".state.tmp", F_OK, 0) < 0 ? -errno : 0, ENOENT);
}

static void test_replace_fails(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        g_auto(GStrv) names = NULL;

        /* A failed rename leaves no temporary file. */
        scratch_directory(&s, "state");
        ASSERT_ERROR(fs_replace_file_at(s.fd, "state", "new", 3, 0600), EISDIR);
        ASSERT_OK(fs_list_at(s.fd, ".", &names));
        ASSERT_EQ(g_strv_length(names), 1);
        /* A link in the place of the temporary file is not followed. */
        scratch_file(&s, "victim", "precious");
        scratch_link(&s, ".other.tmp", "victim");
        ASSERT_ERROR(fs_replace_file_at(s.fd, "other", "new", 3, 0600), ELOOP);
        g_autofree char *text = NULL;
        ASSERT_OK(fs_read_file_at(s.fd, "victim", 100, &text, NULL));
        ASSERT_STREQ(text, "precious");
}

static void test_directories(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        g_autofree char *path = g_strconcat(s.path, "/new", NULL);
        _cleanup_close_ int first = fs_open_directory(path, 0700), again = -EBADF;
        struct stat st;

        ASSERT_OK(first);
        ASSERT_EQ(fstat(first, &st), 0);
        ASSERT_EQ(st.st_mode & 07777, 0700);
        again = fs_open_directory_at(s.fd, "new", 0755);
        ASSERT_OK(again);
        ASSERT_EQ(fstat(again, &st), 0);
        ASSERT_EQ(st.st_mode & 07777, 0700);
        scratch_link(&s, "link", "new");
        ASSERT_ERROR(fs_open_directory_at(s.fd, "link", 0755), ENOTDIR);
        scratch_file(&s, "file", "");
        ASSERT_ERROR(fs_open_directory_at(s.fd, "file", 0755), ENOTDIR);
}

static void test_list(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        g_auto(GStrv) names = NULL;
        g_autofree char *joined = NULL;

        scratch_file(&s, "b", "");
        scratch_file(&s, ".hidden", "");
        scratch_directory(&s, "a");
        scratch_file(&s, "a/below", "");
        ASSERT_OK(fs_list_at(s.fd, ".", &names));
        joined = g_strjoinv(" ", names);
        ASSERT_STREQ(joined, ".hidden a b");
        ASSERT_ERROR(fs_list_at(s.fd, "b", &names), ENOTDIR);
        ASSERT_ERROR(fs_list_at(s.fd, "nothing", &names), ENOENT);
}

static void test_temporary(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        g_autofree char *tmp = fs_temporary_name("a"), *text = NULL, *other = NULL;

        ASSERT_STREQ(tmp, ".a.tmp");
        for (unsigned sync = 0; sync < 2; sync++) {
                ASSERT_OK(fs_write_temporary_at(s.fd, "a", "new", 3, 0600, sync));
                ASSERT_ERROR(faccessat(s.fd, "a", F_OK, 0) < 0 ? -errno : 0, ENOENT);
        }

        ASSERT_OK(fs_rename_new_at(s.fd, tmp, "a"));
        ASSERT_OK(fs_read_file_at(s.fd, "a", 10, &text, NULL));
        ASSERT_STREQ(text, "new");

        ASSERT_OK(fs_write_temporary_at(s.fd, "a", "newer", 5, 0600, true));
        ASSERT_ERROR(fs_rename_new_at(s.fd, tmp, "a"), EEXIST);
        ASSERT_OK(fs_read_file_at(s.fd, "a", 10, &other, NULL));
        ASSERT_STREQ(other, "new");
        ASSERT_ERROR(fs_rename_new_at(s.fd, "missing", "b"), ENOENT);
}

static void test_remove_temporary_files(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        g_auto(GStrv) names = NULL;
        g_autofree char *joined = NULL;

        scratch_file(&s, "file", "");
        scratch_file(&s, "file.tmp", "");
        scratch_file(&s, ".hidden", "");
        scratch_file(&s, ".file.tmp", "");
        scratch_directory(&s, ".folder.tmp");
        fs_remove_temporary_files(s.fd);
        ASSERT_OK(fs_list_at(s.fd, ".", &names));
        joined = g_strjoinv(" ", names);
        ASSERT_STREQ(joined, ".folder.tmp .hidden file file.tmp");
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_read);
        TEST(test_read_refused);
        TEST(test_replace);
        TEST(test_replace_after_crash);
        TEST(test_replace_fails);
        TEST(test_directories);
        TEST(test_list);
        TEST(test_temporary);
        TEST(test_remove_temporary_files);

        return tests_end();
}
