/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/uuid.h"

#include "tests.h"

#define UPPER "F715F63C-0D00-4007-9C5A-B07B0C6C05DE"
#define LOWER "f715f63c-0d00-4007-9c5a-b07b0c6c05de"

static void test_valid(void)
{
        static const char *const bad[] = {
                "",
                "f715f63c",
                "f715f63c0d0040079c5ab07b0c6c05de",
                "{f715f63c-0d00-4007-9c5a-b07b0c6c05de}",
                "f715f63c-0d00-4007-9c5a-b07b0c6c05d",
                "f715f63c-0d00-4007-9c5a-b07b0c6c05de ",
                "f715f63c-0d00-4007-9c5a-b07b0c6c05de\n",
                "f715f63c-0d00-4007-9c5a-b07b0c6c05dg",
                "f715f63c-0d00-4007-9c5a_b07b0c6c05de",
                "f715f63-c0d00-4007-9c5a-b07b0c6c05de",
                "../../../../../../../../../../etc/xx",
        };

        ASSERT_TRUE(uuid_is_valid(UPPER));
        ASSERT_TRUE(uuid_is_valid(LOWER));
        ASSERT_TRUE(uuid_is_valid("00000000-0000-0000-0000-000000000000"));
        ASSERT_TRUE(uuid_is_nil("00000000-0000-0000-0000-000000000000"));
        ASSERT_FALSE(uuid_is_nil("00000000-0000-0000-0000-000000000001"));
        ASSERT_FALSE(uuid_is_nil("0000"));
        ASSERT_FALSE(uuid_is_nil(LOWER));

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                ASSERT_FALSE(uuid_is_valid(bad[i]));
        ASSERT_FALSE(uuid_is_valid(NULL));
}

static void test_normalize(void)
{
        char text[UUID_STRLEN + 1] = "untouched";

        ASSERT_ERROR(uuid_normalize("nonsense", text), EINVAL);
        ASSERT_ERROR(uuid_normalize(NULL, text), EINVAL);
        ASSERT_STREQ(text, "untouched");
        ASSERT_OK(uuid_normalize(UPPER, text));
        ASSERT_STREQ(text, LOWER);
}

static void test_generate(void)
{
        char a[UUID_STRLEN + 1], b[UUID_STRLEN + 1], normal[UUID_STRLEN + 1];

        ASSERT_STREQ(uuid_generate(a), a);
        ASSERT_TRUE(uuid_is_valid(a));
        ASSERT_OK(uuid_normalize(a, normal));
        ASSERT_STREQ(a, normal);
        ASSERT_EQ(a[14], '4');
        ASSERT_TRUE(strcmp(a, uuid_generate(b)) != 0);
}

static void test_derive(void)
{
        char a[UUID_STRLEN + 1], b[UUID_STRLEN + 1];

        /* The first 16 bytes of the SHA-256 of "abc", with the version and variant of a UUID. */
        ASSERT_STREQ(uuid_derive("abc", a), "ba7816bf-8f01-8fea-8141-40de5dae2223");
        ASSERT_STREQ(uuid_derive("abc", b), a);
        ASSERT_TRUE(strcmp(uuid_derive("abd", b), a) != 0);
}

static void test_prefix(void)
{
        for (size_t n = 1; n <= UUID_STRLEN; n++) {
                char prefix[UUID_STRLEN + 1] = LOWER;

                prefix[n] = 0;
                ASSERT_TRUE(uuid_prefix_is_valid(prefix));
        }

        ASSERT_TRUE(uuid_prefix_is_valid("F7"));
        ASSERT_FALSE(uuid_prefix_is_valid(""));
        ASSERT_FALSE(uuid_prefix_is_valid(NULL));
        ASSERT_FALSE(uuid_prefix_is_valid("-"));
        ASSERT_FALSE(uuid_prefix_is_valid("web"));
        ASSERT_FALSE(uuid_prefix_is_valid("f715f63c0"));
        ASSERT_FALSE(uuid_prefix_is_valid("f715f63c-0d00-4007-9c5a-b07b0c6c05de0"));
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_valid);
        TEST(test_normalize);
        TEST(test_generate);
        TEST(test_derive);
        TEST(test_prefix);

        return tests_end();
}
