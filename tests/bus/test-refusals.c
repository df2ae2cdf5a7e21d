/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The log of refusals: which facts a line has, how many lines a user gets, how many users get lines, and the
 * line at the end of a period that counts the other refusals. The lines go to stderr, which is a file here. */

#include "dbus/admission/bus-refusals.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define LONG_USEC (3600 * USEC_PER_SEC)

static int log_fd;

static void forget(void)
{
        g_assert_true(ftruncate(log_fd, 0) == 0);
        g_assert_true(lseek(log_fd, 0, SEEK_SET) == 0);
}

/* The lines so far. Free the result. */
static char **lines(void)
{
        off_t size = lseek(log_fd, 0, SEEK_END);
        g_autofree char *text = g_malloc0((size_t)size + 1);

        g_assert_true(pread(log_fd, text, (size_t)size, 0) == size);

        if (size > 0)
                text[size - 1] = '\0';

        return size > 0 ? g_strsplit(text, "\n", -1) : g_new0(char *, 1);
}

static unsigned count_lines(void)
{
        g_auto(GStrv) all = lines();

        return g_strv_length(all);
}

/* Returns the number of lines that name no action: each has the number of refusals that were not logged. */
static unsigned count_numbers(void)
{
        g_auto(GStrv) all = lines();
        unsigned n = 0;

        for (char **l = all; *l; l++)
                n += !strstr(*l, "org.");

        return n;
}

static void refuse_as(BusRefusals *r, const BusRefusal *refusal, VgpudErrorCode code)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;

        (void)vgpud_error_setf(&e, code, "x");
        bus_refusals_log(r, refusal, &e);
}

static void refuse(BusRefusals *r, uid_t uid)
{
        refuse_as(r, &(BusRefusal){ .has_uid = true, .uid = uid, .action = "org.vgpud1.create", .path = "/x" },
                  VGPUD_ERROR_NOT_AUTHORIZED);
}

static BusRefusals *with_period(sd_event **ret_event, uint64_t usec)
{
        forget();
        g_assert_cmpint(sd_event_new(ret_event), >=, 0);

        return bus_refusals_new(*ret_event, usec);
}

/* A line has the uid or sender, the action and the details, cut and escaped; a detail without a value is left
 * out. INVALID and NO_CAPACITY are no refusals, so they give no line. */
static void test_facts(void)
{
        static const char uuid[] = "11111111-0000-4000-8000-000000000001";
        g_autofree char *text = g_strnfill(4000, 'y');
        const char *details[] = { "gpu",        "0000:00:02.0", "instance", uuid,           "name", "",
                                  "attributes", text,           "mode",     "a\nb\x1b[31m", NULL };
        const BusRefusal refusal = {
                .has_uid = true,
                .uid = 4711,
                .sender = ":1.42",
                .action = "org.vgpud1.destroy-other",
                .details = details,
                .path = "/org/vgpud1",
        };
        g_auto(GStrv) all = NULL;
        sd_event *event;
        BusRefusals *r = with_period(&event, LONG_USEC);

        refuse_as(r, &refusal, VGPUD_ERROR_NOT_AUTHORIZED);
        refuse_as(r, &(BusRefusal){ .sender = ":1.43", .action = "org.x.Y", .path = "/z" },
                  VGPUD_ERROR_TOO_MANY_CALLS);
        refuse_as(r, &refusal, VGPUD_ERROR_TOO_MANY_JOBS);
        refuse_as(r, &refusal, VGPUD_ERROR_QUOTA);
        refuse_as(r, &refusal, VGPUD_ERROR_INVALID);
        refuse_as(r, &refusal, VGPUD_ERROR_NO_CAPACITY);
        all = lines();
        g_assert_cmpuint(g_strv_length(all), ==, 4);

        for (const char **fact = (const char *[]){ "4711", "org.vgpud1.destroy-other", "0000:00:02.0", uuid,
                                                   "a\\nb\\x1b[31m", NULL };
             *fact; fact++)
                g_assert_nonnull(strstr(all[0], *fact));
        g_assert_null(strstr(all[0], "name="));
        g_assert_cmpuint(strlen(all[0]), <, 512);

        for (const char **fact = (const char *[]){ ":1.43", "org.x.Y", "/z", NULL }; *fact; fact++)
                g_assert_nonnull(strstr(all[1], *fact));

        bus_refusals_free(r);
        sd_event_unref(event);
}

/* Many refusals of one user give a few lines and, at the end, a line with the number of the others.
 * Another user has lines of their own. */
static void test_limit_of_a_user(void)
{
        sd_event *event;
        BusRefusals *r = with_period(&event, LONG_USEC);
        g_auto(GStrv) all = NULL;

        for (unsigned i = 0; i < 12345; i++)
                refuse(r, 1000);
        g_assert_cmpuint(count_lines(), ==, BUS_REFUSALS_LINES_MAX);
        refuse(r, 1001);
        refuse(r, 0);
        g_assert_cmpuint(count_lines(), ==, BUS_REFUSALS_LINES_MAX + 2);

        bus_refusals_free(r);
        all = lines();
        g_assert_cmpuint(g_strv_length(all), ==, BUS_REFUSALS_LINES_MAX + 3);
        g_assert_nonnull(strstr(all[BUS_REFUSALS_LINES_MAX + 2], "12340")); /* 5 are logged */
        g_assert_nonnull(strstr(all[BUS_REFUSALS_LINES_MAX + 2], "1000"));
        sd_event_unref(event);
}

/* The users above BUS_REFUSALS_USERS_MAX share one more entry: it has as many lines as a user. */
static void test_limit_of_users(void)
{
        sd_event *event;
        BusRefusals *r = with_period(&event, LONG_USEC);

        for (unsigned turn = 0; turn < 100; turn++)
                for (uid_t uid = 1; uid <= 1000; uid++)
                        refuse(r, uid);
        g_assert_cmpuint(count_lines(), ==, BUS_REFUSALS_LINES_MAX * (BUS_REFUSALS_USERS_MAX + 1));

        bus_refusals_free(r);
        g_assert_cmpuint(count_lines(), ==, (BUS_REFUSALS_LINES_MAX + 1) * (BUS_REFUSALS_USERS_MAX + 1));
        sd_event_unref(event);
}

/* The line with the number is written when the period ends, even if no refusal follows. The next period has
 * lines again. */
static void test_next_period(void)
{
        sd_event *event;
        BusRefusals *r = with_period(&event, 100 * USEC_PER_MSEC);
        unsigned n;

        for (unsigned i = 0; i < BUS_REFUSALS_LINES_MAX + 7; i++)
                refuse(r, 1000);
        while (count_numbers() == 0)
                g_assert_cmpint(sd_event_run(event, 10 * USEC_PER_SEC), >, 0);

        n = count_lines();
        refuse(r, 1000);
        g_assert_cmpuint(count_lines(), ==, n + 1);
        bus_refusals_free(r);
        sd_event_unref(event);
}

int main(int argc, char **argv)
{
        log_fd = memfd_create("log", MFD_CLOEXEC);
        g_assert(log_fd >= 0 && dup2(log_fd, STDERR_FILENO) >= 0);
        g_unsetenv("JOURNAL_STREAM");

        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/refusals/facts", test_facts);
        g_test_add_func("/refusals/limit-of-a-user", test_limit_of_a_user);
        g_test_add_func("/refusals/limit-of-users", test_limit_of_users);
        g_test_add_func("/refusals/next-period", test_next_period);

        return g_test_run();
}
