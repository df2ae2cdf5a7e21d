/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/log.h"

#include <fcntl.h>
#include <sys/wait.h>

#include "base/fs-util.h"
#include "scratch.h"
#include "tests.h"

/* Runs the function in a child whose stderr is a file, and returns the lines; free the result. The
 * logger chooses its target once per process, so each case needs a process. */
static char *logged_by(const char *journal_stream, void (*function)(void))
{
        _cleanup_scratch_ Scratch s = scratch_new();
        char *text = NULL;
        int status;

        scratch_file(&s, "stderr", "");
        fflush(stdout);

        pid_t pid = fork();
        if (pid == 0) {
                int fd = openat(s.fd, "stderr", O_WRONLY | O_APPEND | O_CLOEXEC);

                if (fd < 0 || dup2(fd, STDERR_FILENO) < 0)
                        _exit(2);
                if (journal_stream)
                        g_setenv("JOURNAL_STREAM", journal_stream, true);
                else
                        g_unsetenv("JOURNAL_STREAM");

                function();
                _exit(0);
        }

        g_assert(pid > 0 && waitpid(pid, &status, 0) == pid);
        g_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        g_assert(fs_read_file_at(s.fd, "stderr", 65536, &text, NULL) >= 0);

        return text;
}

static void some_lines(void)
{
        log_set_max_level(LOG_INFO);
        log_error("%s %d", "error", 1);
        log_info("info");
        log_debug("debug");
        (void)log_warning_errno(-ENOSPC, "full: %m");
        LOG_FIELDS(LOG_NOTICE, (.gpu = "0000:00:02.0", .job = 7), "with %s", "fields");
}

static void test_plain(void)
{
        g_autofree char *text = logged_by(NULL, some_lines);

        ASSERT_STREQ(text, "error 1\ninfo\nfull: No space left on device\nwith fields\n");
}

/* JOURNAL_STREAM is set, but stderr is another file, so each line gets a priority prefix. */
static void test_prefix(void)
{
        g_autofree char *text = logged_by("1:1", some_lines);

        ASSERT_STREQ(text, "<3>error 1\n<6>info\n<4>full: No space left on device\n<5>with fields\n");
}

static void hostile_lines(void)
{
        g_autofree char *text = g_strnfill(1 << 20, 'x');

        log_error("a\nb \x1b[31m");
        log_error("%s", text);
}

/* A message becomes one log line of limited length. */
static void test_hostile(void)
{
        g_autofree char *text = logged_by(NULL, hostile_lines);
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

        ASSERT_EQ(g_strv_length(lines), 3);
        ASSERT_STREQ(lines[0], "a\\nb \\x1b[31m");
        ASSERT_TRUE(strlen(lines[1]) <= 4096);
}

static void results(void)
{
        log_set_max_level(LOG_ERR);
        errno = EXDEV;
        /* The return value does not depend on the level, and errno does not change. */
        if (log_debug_errno(-EBUSY, "x") != -EBUSY || log_error_errno(-EBUSY, "y") != -EBUSY ||
            log_error("z") != 0 || errno != EXDEV)
                _exit(3);
}

static void test_results(void)
{
        g_autofree char *text = logged_by(NULL, results);

        ASSERT_STREQ(text, "y\nz\n");
}

static void test_level(void)
{
        int before = log_get_max_level();

        log_set_max_level(LOG_DEBUG);
        ASSERT_EQ(log_get_max_level(), LOG_DEBUG);
        log_set_max_level(before);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_plain);
        TEST(test_prefix);
        TEST(test_hostile);
        TEST(test_results);
        TEST(test_level);

        return tests_end();
}
