/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/error.h"

#include <limits.h>

#include "base/log.h"
#include "tests.h"

static void test_table(void)
{
        for (VgpudErrorCode c = VGPUD_ERROR_NONE + 1; c < _VGPUD_ERROR_MAX; c++) {
                const char *name = vgpud_error_code_to_dbus(c);

                ASSERT_NOT_NULL(name);
                ASSERT_EQ(strncmp(name, VGPUD_ERROR_DBUS_PREFIX, strlen(VGPUD_ERROR_DBUS_PREFIX)), 0);
                ASSERT_EQ(vgpud_error_code_from_dbus(name), c);
                ASSERT_TRUE(vgpud_error_code_to_errno(c) > 0);
                ASSERT_EQ(vgpud_error_code_from_errno(-vgpud_error_code_to_errno(c)), c);
                ASSERT_TRUE(vgpud_error_code_to_exit_status(c) >= 1 && vgpud_error_code_to_exit_status(c) <= 8);
                ASSERT_TRUE(strlen(vgpud_error_code_to_text(c)) > 10);
        }
}

static void test_out_of_table(void)
{
        ASSERT_NULL(vgpud_error_code_to_dbus(VGPUD_ERROR_NONE));
        ASSERT_NULL(vgpud_error_code_to_dbus(_VGPUD_ERROR_MAX));
        ASSERT_NULL(vgpud_error_code_to_text(_VGPUD_ERROR_MAX));
        ASSERT_EQ(vgpud_error_code_to_errno(VGPUD_ERROR_NONE), 0);
        ASSERT_EQ(vgpud_error_code_to_exit_status(VGPUD_ERROR_NONE), 0);
        ASSERT_EQ(vgpud_error_code_from_dbus("org.vgpud1.Error.Nothing"), VGPUD_ERROR_NONE);
        ASSERT_EQ(vgpud_error_code_from_dbus("NoCapacity"), VGPUD_ERROR_NONE);
        ASSERT_EQ(vgpud_error_code_from_dbus(NULL), VGPUD_ERROR_NONE);
        ASSERT_EQ(vgpud_error_code_from_errno(-EXDEV), VGPUD_ERROR_FAILED);
}

static void test_hint(void)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT, other = VGPUD_ERROR_INIT;

        (void)vgpud_error_setf(&e, VGPUD_ERROR_FOREIGN, "another program created it");
        ASSERT_EQ(e.hint.id, VGPUD_HINT_NONE);
        vgpud_error_hintf(&e, VGPUD_HINT_USE_FOREIGN, "try %s", "--force");
        ASSERT_EQ(e.hint.id, VGPUD_HINT_USE_FOREIGN);
        ASSERT_STREQ(e.hint.text, "try --force");

        vgpud_error_move(&other, &e);
        ASSERT_NULL(e.hint.text);
        ASSERT_STREQ(other.hint.text, "try --force");

        /* A new error drops the hint of the previous error. */
        (void)vgpud_error_setf(&other, VGPUD_ERROR_FAILED, "it failed");
        ASSERT_EQ(other.hint.id, VGPUD_HINT_NONE);
        vgpud_error_hintf(NULL, VGPUD_HINT_USE_FOREIGN, "x");

        for (VgpudHintId id = VGPUD_HINT_NONE + 1; id < _VGPUD_HINT_MAX; id++)
                ASSERT_TRUE(strlen(vgpud_hint_id_to_string(id)) > 3);
}

static void test_set(void)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;

        ASSERT_ERROR(vgpud_error_setf(&e, VGPUD_ERROR_NO_CAPACITY, "%d are too many", 5), ENOSPC);
        ASSERT_EQ(e.code, VGPUD_ERROR_NO_CAPACITY);
        ASSERT_EQ(e.errnum, 0);
        ASSERT_STREQ(e.message, "5 are too many");
        vgpud_error_done(&e);
        ASSERT_EQ(e.code, VGPUD_ERROR_NONE);
        ASSERT_NULL(e.message);

        /* The result is the errno of the code. The kernel's errno is in e.errnum. */
        ASSERT_ERROR(vgpud_error_set_errnof(&e, VGPUD_ERROR_NO_CAPACITY, -EUSERS, "full"), ENOSPC);
        ASSERT_EQ(e.errnum, EUSERS);
}

/* A cause may have no errno: the kernel reported success, and another program undid the effect. */
static void test_no_errno(void)
{
        static const int results[] = { 0, 1, INT_MAX, INT_MIN };

        for (size_t i = 0; i < G_N_ELEMENTS(results); i++) {
                _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;

                ASSERT_ERROR(vgpud_error_set_errnof(&e, VGPUD_ERROR_FAILED, results[i], "raced"), EIO);
                ASSERT_EQ(e.errnum, 0);
                ASSERT_STREQ(e.message, "raced");
        }
}

/* A function that failed without setting an error must not abort the daemon. */
static void test_move_of_nothing(void)
{
        _cleanup_vgpud_error_ VgpudError a = VGPUD_ERROR_INIT, b = VGPUD_ERROR_INIT;

        log_set_max_level(LOG_CRIT);
        ASSERT_ERROR(vgpud_error_move(&b, &a), EIO);
        ASSERT_EQ(b.code, VGPUD_ERROR_FAILED);
        ASSERT_EQ(b.hint.id, VGPUD_HINT_SEE_JOURNAL);
        ASSERT_EQ(a.code, VGPUD_ERROR_NONE);
        ASSERT_ERROR(vgpud_error_move(NULL, &a), EIO);
}

static void test_nobody_asks(void)
{
        ASSERT_ERROR(vgpud_error_setf(NULL, VGPUD_ERROR_IN_USE, "x"), EBUSY);
        ASSERT_ERROR(vgpud_error_set_errnof(NULL, VGPUD_ERROR_FAILED, -EPERM, "x"), EIO);
        vgpud_error_done(NULL);
}

static void test_move(void)
{
        _cleanup_vgpud_error_ VgpudError a = VGPUD_ERROR_INIT, b = VGPUD_ERROR_INIT;

        (void)vgpud_error_setf(&a, VGPUD_ERROR_EXISTS, "a");
        (void)vgpud_error_setf(&b, VGPUD_ERROR_FAILED, "b");
        vgpud_error_move(&b, &a);
        ASSERT_EQ(b.code, VGPUD_ERROR_EXISTS);
        ASSERT_STREQ(b.message, "a");
        ASSERT_EQ(a.code, VGPUD_ERROR_NONE);
        ASSERT_NULL(a.message);
        vgpud_error_move(NULL, &b);
        ASSERT_EQ(b.code, VGPUD_ERROR_NONE);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_table);
        TEST(test_out_of_table);
        TEST(test_hint);
        TEST(test_set);
        TEST(test_no_errno);
        TEST(test_nobody_asks);
        TEST(test_move);
        TEST(test_move_of_nothing);

        return tests_end();
}
