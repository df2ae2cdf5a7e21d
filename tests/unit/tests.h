/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The frame of every test program. A program tests one module:
 *
 *     static void test_something(void) { ASSERT_EQ(f(1), 2); }
 *     int main(int argc, char **argv)
 *     {
 *             tests_begin(argc, argv);
 *             TEST(test_something);
 *             return tests_end();
 *     }
 *
 * A failed assertion prints both values and ends its test function; the other tests still run. Names given as
 * arguments choose the tests that run. The last line is "N passed, N failed, N skipped"; the exit status is 1
 * when anything failed. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
        int argc;
        char **argv;
        unsigned passed, failed, skipped;
        jmp_buf out; /* 1: failed, 2: skipped */
} tests;

static inline void tests_begin(int argc, char **argv)
{
        tests.argc = argc;
        tests.argv = argv;
        (void)setvbuf(stdout, NULL, _IOLBF, 0);
}

static inline bool tests_wants(const char *name)
{
        for (int i = 1; i < tests.argc; i++)
                if (strcmp(tests.argv[i], name) == 0)
                        return true;
        return tests.argc < 2;
}

static inline void tests_run(const char *name, void (*function)(void))
{
        if (!tests_wants(name))
                return;
        switch (setjmp(tests.out)) {
        case 0:
                function();
                printf("passed  %s\n", name);
                tests.passed++;
                break;
        case 1:
                printf("FAILED  %s\n", name);
                tests.failed++;
                break;
        default:
                printf("skipped %s\n", name);
                tests.skipped++;
        }
}
#define TEST(function) tests_run(#function, function)

static inline int tests_end(void)
{
        printf("%u passed, %u failed, %u skipped\n", tests.passed, tests.failed, tests.skipped);
        return tests.failed > 0 || tests.passed + tests.skipped == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static inline void tests_fail(const char *file, int line, const char *format, ...)
                __attribute__((format(printf, 3, 4), noreturn));
static inline void tests_fail(const char *file, int line, const char *format, ...)
{
        va_list ap;

        printf("%s:%d: ", file, line);
        va_start(ap, format);
        vprintf(format, ap);
        va_end(ap);
        printf("\n");
        longjmp(tests.out, 1);
}
#define FAIL(...) tests_fail(__FILE__, __LINE__, __VA_ARGS__)

/* Ends a test that this host cannot run, and prints the reason. */
#define SKIP(...)                      \
        do {                           \
                printf(__VA_ARGS__);   \
                printf("\n");          \
                longjmp(tests.out, 2); \
        } while (0)

static inline const char *tests_errno(long long r)
{
        const char *name = r < 0 && r > -4096 ? strerrorname_np((int)-r) : NULL;

        return name ? name : "";
}

#define ASSERT_TRUE(e)                               \
        do {                                         \
                if (!(e))                            \
                        FAIL("\"%s\" is false", #e); \
        } while (0)
#define ASSERT_FALSE(e)                             \
        do {                                        \
                if (e)                              \
                        FAIL("\"%s\" is true", #e); \
        } while (0)
#define ASSERT_NULL(e)                                  \
        do {                                            \
                if ((e) != NULL)                        \
                        FAIL("\"%s\" is not NULL", #e); \
        } while (0)
#define ASSERT_NOT_NULL(e)                          \
        do {                                        \
                if ((e) == NULL)                    \
                        FAIL("\"%s\" is NULL", #e); \
        } while (0)
/* Whole numbers and enums. */
#define ASSERT_EQ(a, b)                                                            \
        do {                                                                       \
                long long _a = (long long)(a), _b = (long long)(b);                \
                if (_a != _b)                                                      \
                        FAIL("\"%s\" is %lld, not %lld (\"%s\")", #a, _a, _b, #b); \
        } while (0)
/* A result that is not negative. */
#define ASSERT_OK(e)                                                                       \
        do {                                                                               \
                long long _r = (long long)(e);                                             \
                if (_r < 0)                                                                \
                        FAIL("\"%s\" is %lld (%s), not success", #e, _r, tests_errno(_r)); \
        } while (0)
/* The result is a negative errno; eno is the errno without the sign. */
#define ASSERT_ERROR(e, eno)                                                                \
        do {                                                                                \
                long long _r = (long long)(e);                                              \
                if (_r != -(long long)(eno))                                                \
                        FAIL("\"%s\" is %lld (%s), not %s", #e, _r, tests_errno(_r), #eno); \
        } while (0)
/* Texts; NULL equals only NULL. */
#define ASSERT_STREQ(a, b)                                                                                  \
        do {                                                                                                \
                const char *_a = (a), *_b = (b);                                                            \
                if (_a == NULL || _b == NULL ? _a != _b : strcmp(_a, _b) != 0)                              \
                        FAIL("\"%s\" is\n    %s\nnot\n    %s", #a, _a ? _a : "(NULL)", _b ? _b : "(NULL)"); \
        } while (0)
#define ASSERT_CONTAINS(a, b)                                                                       \
        do {                                                                                        \
                const char *_a = (a), *_b = (b);                                                    \
                if (_a == NULL || strstr(_a, _b) == NULL)                                           \
                        FAIL("\"%s\" is\n    %s\nwhich lacks\n    %s", #a, _a ? _a : "(NULL)", _b); \
        } while (0)
