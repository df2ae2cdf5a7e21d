/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Tests the parsers for files of NVIDIA's virtual functions. */

#include "drivers-glue/nvidia/parse.h"

#include "tests.h"

static char *flatten(const char *text)
{
        g_autoptr(GPtrArray) list = nvidia_parse_creatable(text);
        GString *s = g_string_new(NULL);

        for (guint i = 0; i < list->len; i++) {
                const NvidiaListed *l = list->pdata[i];

                g_string_append_printf(s, "[%u %s]", l->id, l->name);
        }

        return g_string_free(s, FALSE);
}

static void test_creatable(void)
{
        static const struct {
                const char *text, *expected;
        } table[] = {
                { "", "" },
                { "ID    : vGPU Name\n", "" },
                { "ID    : vGPU Name\n1145  : NVIDIA L40S-1B\n1146  : NVIDIA L40S-2B\n",
                  "[1145 NVIDIA L40S-1B][1146 NVIDIA L40S-2B]" },
                { "1428 : NVIDIA H200X-141C\n1414 : NVIDIA H200X-1-18C",
                  "[1428 NVIDIA H200X-141C][1414 NVIDIA H200X-1-18C]" },
                { "  7:x  \r\n", "[7 x]" },
                { "7\t:\tNVIDIA RTX Pro 6000 Blackwell DC-48C\t\n",
                  "[7 NVIDIA RTX Pro 6000 Blackwell DC-48C]" },
                { "1: a: b\n", "[1 a: b]" },
                { "1: a\n1: b\n", "[1 a]" },
                { "0: a\n-1: b\n1x: c\n4294967296: d\n: e\n2:\n3: \nnothing else\n", "" },
                { "1: \xff\x01\n", "[1 \xef\xbf\xbd?]" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autofree char *flat = flatten(table[i].text);

                ASSERT_STREQ(flat, table[i].expected);
        }
}

static void test_many(void)
{
        g_autoptr(GString) text = g_string_new(NULL);

        for (unsigned i = 1; i <= 2 * NVIDIA_LISTED_MAX; i++)
                g_string_append_printf(text, "%u : x\n", i);
        g_autoptr(GPtrArray) list = nvidia_parse_creatable(text->str);
        ASSERT_EQ(list->len, NVIDIA_LISTED_MAX);
}

static void test_current(void)
{
        uint32_t id = 7;

        ASSERT_ERROR(nvidia_parse_current("", &id), EBADMSG);
        ASSERT_ERROR(nvidia_parse_current("Not Applicable", &id), EBADMSG);
        ASSERT_ERROR(nvidia_parse_current("4294967296", &id), EBADMSG);
        ASSERT_EQ(id, 7);
        ASSERT_OK(nvidia_parse_current(" 1150\n", &id));
        ASSERT_EQ(id, 1150);
        ASSERT_OK(nvidia_parse_current("0", &id));
        ASSERT_EQ(id, 0);
}

static void test_type_id(void)
{
        static const char *const wrong[] = {
                "",          "1150",      "nvidia",       "nvidia-",           "nvidia-0",    "nvidia-01",
                "nvidia-1x", "nvidia--1", "vfio-pci-575", "nvidia-4294967296", "nvidia-1150 "
        };
        g_autofree char *text = nvidia_type_id(1150);
        uint32_t id = 7;

        ASSERT_STREQ(text, "nvidia-1150");

        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
                if (nvidia_type_id_parse(wrong[i], &id) >= 0)
                        FAIL("\"%s\" is accepted", wrong[i]);

        ASSERT_EQ(id, 7);
        ASSERT_OK(nvidia_type_id_parse(text, &id));
        ASSERT_EQ(id, 1150);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_creatable);
        TEST(test_many);
        TEST(test_current);
        TEST(test_type_id);

        return tests_end();
}
