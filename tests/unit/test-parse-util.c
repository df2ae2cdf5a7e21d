/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/parse-util.h"

#include "tests.h"

/* A parser that refuses its input leaves this value in the result. */
#define UNTOUCHED 77

static void test_u64(void)
{
        static const struct {
                const char *text;
                unsigned base;
                int r;
                uint64_t value;
        } table[] = {
                { "0", 10, 0, 0 },
                { "1", 10, 0, 1 },
                { "007", 10, 0, 7 }, /* not octal */
                { "18446744073709551615", 10, 0, UINT64_MAX },
                { "18446744073709551616", 10, -ERANGE, 0 },
                { "99999999999999999999999", 10, -ERANGE, 0 },
                { "ff", 16, 0, 255 },
                { "FF", 16, 0, 255 },
                { "ffffffffffffffff", 16, 0, UINT64_MAX },
                { "10000000000000000", 16, -ERANGE, 0 },
                { "0x10", 16, -EINVAL, 0 },
                { "ff", 10, -EINVAL, 0 },
                { "fg", 16, -EINVAL, 0 },
                { "", 10, -EINVAL, 0 },
                { NULL, 10, -EINVAL, 0 },
                { " 1", 10, -EINVAL, 0 },
                { "1 ", 10, -EINVAL, 0 },
                { "1\n", 10, -EINVAL, 0 },
                { "+1", 10, -EINVAL, 0 },
                { "-1", 10, -EINVAL, 0 },
                { "1.5", 10, -EINVAL, 0 },
                { "1_000", 10, -EINVAL, 0 },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                uint64_t v = UNTOUCHED;

                ASSERT_EQ(parse_u64(table[i].text, table[i].base, &v), table[i].r);
                ASSERT_TRUE(v == (table[i].r < 0 ? UNTOUCHED : table[i].value));
        }
}

static void test_narrow(void)
{
        uint32_t u32 = UNTOUCHED;
        uint16_t u16 = UNTOUCHED;

        ASSERT_OK(parse_u32("4294967295", 10, &u32));
        ASSERT_EQ(u32, UINT32_MAX);
        ASSERT_ERROR(parse_u32("4294967296", 10, &u32), ERANGE);
        ASSERT_ERROR(parse_u32("x", 10, &u32), EINVAL);
        ASSERT_EQ(u32, UINT32_MAX);
        ASSERT_OK(parse_u16("10de", 16, &u16));
        ASSERT_EQ(u16, 0x10de);
        ASSERT_ERROR(parse_u16("10000", 16, &u16), ERANGE);
        ASSERT_ERROR(parse_u16("-1", 10, &u16), EINVAL);
        ASSERT_EQ(u16, 0x10de);
}

static void test_i32(void)
{
        int32_t v = UNTOUCHED;

        ASSERT_ERROR(parse_i32("2147483648", &v), ERANGE);
        ASSERT_ERROR(parse_i32("-2147483649", &v), ERANGE);
        ASSERT_ERROR(parse_i32("-", &v), EINVAL);
        ASSERT_ERROR(parse_i32("--1", &v), EINVAL);
        ASSERT_ERROR(parse_i32("+1", &v), EINVAL);
        ASSERT_ERROR(parse_i32("- 1", &v), EINVAL);
        ASSERT_ERROR(parse_i32("", &v), EINVAL);
        ASSERT_ERROR(parse_i32(NULL, &v), EINVAL);
        ASSERT_EQ(v, UNTOUCHED);
        ASSERT_OK(parse_i32("-1", &v));
        ASSERT_EQ(v, -1);
        ASSERT_OK(parse_i32("2147483647", &v));
        ASSERT_EQ(v, INT32_MAX);
        ASSERT_OK(parse_i32("-2147483648", &v));
        ASSERT_EQ(v, INT32_MIN);
}

static void test_boolean(void)
{
        static const char *const yes[] = { "yes", "true", "on", "1" }, *const no[] = { "no", "false", "off",
                                                                                       "0" };
        static const char *const neither[] = { "", "y", "YES", "True", "2", "on ", "enable" };
        bool v;

        for (size_t i = 0; i < G_N_ELEMENTS(yes); i++) {
                v = false;
                ASSERT_OK(parse_boolean(yes[i], &v));
                ASSERT_TRUE(v);
                ASSERT_OK(parse_boolean(no[i], &v));
                ASSERT_FALSE(v);
        }

        for (size_t i = 0; i < G_N_ELEMENTS(neither); i++)
                ASSERT_ERROR(parse_boolean(neither[i], &v), EINVAL);
        ASSERT_ERROR(parse_boolean(NULL, &v), EINVAL);
}

static void test_bytes(void)
{
        static const struct {
                const char *text;
                int r;
                uint64_t value;
        } table[] = {
                { "4096", 0, 4096 },
                { "64K", 0, 64 << 10 },
                { "64KB", 0, 64 << 10 },
                { "128MB", 0, 128 << 20 },
                { "4096M", 0, UINT64_C(4096) << 20 },
                { "4G", 0, UINT64_C(4) << 30 },
                { "2T", 0, UINT64_C(2) << 40 },
                { "0M", 0, 0 },
                { "16383P", 0, UINT64_C(16383) << 50 },
                { "16384P", -ERANGE, 0 },
                { "99999999999999999999", -ERANGE, 0 },
                { "M", -EINVAL, 0 },
                { "4 MB", -EINVAL, 0 },
                { "4m", -EINVAL, 0 },
                { "4MiB", -EINVAL, 0 },
                { "4MBs", -EINVAL, 0 },
                { "4B", -EINVAL, 0 },
                { "-4M", -EINVAL, 0 },
                { "", -EINVAL, 0 },
                { NULL, -EINVAL, 0 },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                uint64_t v = UNTOUCHED;

                ASSERT_EQ(parse_bytes(table[i].text, &v), table[i].r);
                ASSERT_TRUE(v == (table[i].r < 0 ? UNTOUCHED : table[i].value));
        }
}

static void test_resolution(void)
{
        static const char *const bad[] = { "",          "x",           "1920",        "1920x",      "x1200",
                                           "1920X1200", "1920 x 1200", "1920x1200x1", "1920x1200 ", "-1x1" };
        uint32_t x = UNTOUCHED, y = UNTOUCHED;

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                ASSERT_ERROR(parse_resolution(bad[i], &x, &y), EINVAL);
        ASSERT_ERROR(parse_resolution("4294967296x1", &x, &y), ERANGE);
        ASSERT_ERROR(parse_resolution("1x4294967296", &x, &y), ERANGE);
        ASSERT_ERROR(parse_resolution(NULL, &x, &y), EINVAL);
        ASSERT_EQ(x, UNTOUCHED);
        ASSERT_EQ(y, UNTOUCHED);
        ASSERT_OK(parse_resolution("1920x1200", &x, &y));
        ASSERT_EQ(x, 1920);
        ASSERT_EQ(y, 1200);
}

static void test_seconds(void)
{
        static const struct {
                const char *text;
                int r;
                uint64_t value;
        } table[] = {
                { "120", 0, 120 * USEC_PER_SEC },
                { "120s", 0, 120 * USEC_PER_SEC },
                { "500ms", 0, 500 * USEC_PER_MSEC },
                { "2min", 0, 120 * USEC_PER_SEC },
                { "1h", 0, 3600 * USEC_PER_SEC },
                { "0", 0, 0 },
                { "18446744073709551615", -ERANGE, 0 },
                { "2 min", -EINVAL, 0 },
                { "1.5s", -EINVAL, 0 },
                { "s", -EINVAL, 0 },
                { "1m", -EINVAL, 0 },
                { "-1", -EINVAL, 0 },
                { "", -EINVAL, 0 },
                { NULL, -EINVAL, 0 },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                uint64_t v = UNTOUCHED;

                ASSERT_EQ(parse_seconds(table[i].text, &v), table[i].r);
                ASSERT_TRUE(v == (table[i].r < 0 ? UNTOUCHED : table[i].value));
        }
}

static void test_compare_naturally(void)
{
        /* The numbers in the two longest names exceed 64 bits. */
        static const char *const sorted[] = {
                "",
                "0",
                "00",
                "01",
                "1",
                "9",
                "10",
                "a",
                "a-2",
                "a-010",
                "a-10",
                "a-11",
                "a2b3",
                "a2b20",
                "a10b1",
                "a18446744073709551616",
                "a18446744073709551617",
                "b",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(sorted); i++)
                for (size_t k = 0; k < G_N_ELEMENTS(sorted); k++) {
                        int c = compare_naturally(sorted[i], sorted[k]);

                        if (i < k ? c >= 0 : i > k ? c <= 0 : c != 0)
                                FAIL("\"%s\" and \"%s\": %d", sorted[i], sorted[k], c);
                }
}

static void test_instance_name(void)
{
        /* The last good name is one digit shorter than a UUID. */
        static const char *const good[] = { "a",   "hugo",    "100",
                                            "abc", "d",       "7_.-",
                                            "A.b", "1-2-3-4", "11111111-2222-4333-8444-55555555555" };
        static const char *const bad[] = { NULL,
                                           "",
                                           "-x",
                                           ".x",
                                           "_x",
                                           "a/b",
                                           "a b",
                                           "a\n",
                                           "\303\244",
                                           "11111111-2222-4333-8444-555555555555",
                                           "AAAAAAAA-2222-4333-8444-555555555555" };
        g_autofree char *longest = g_strnfill(64, 'x'), *longer = g_strnfill(65, 'x');

        for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
                ASSERT_TRUE(instance_name_is_valid(good[i]));
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                ASSERT_FALSE(instance_name_is_valid(bad[i]));
        ASSERT_TRUE(instance_name_is_valid(longest));
        ASSERT_FALSE(instance_name_is_valid(longer));
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_u64);
        TEST(test_narrow);
        TEST(test_i32);
        TEST(test_boolean);
        TEST(test_bytes);
        TEST(test_resolution);
        TEST(test_seconds);
        TEST(test_compare_naturally);
        TEST(test_instance_name);
        return tests_end();
}
