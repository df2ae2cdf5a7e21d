/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Names of NVIDIA's types in drivers of several generations, and texts that are not such names. */

#include "drivers-glue/nvidia/type-name.h"

#include "tests.h"

#define MB(n) ((uint64_t)(n) << 20)
#define GB(n) ((uint64_t)(n) << 30)

static void test_names(void)
{
        static const struct {
                const char *name, *product, *class, *attribute;
                unsigned slices;
                uint64_t framebuffer_bytes;
        } table[] = {
                { "NVIDIA A2-4Q", "A2", "Q", "", 0, GB(4) },
                { "A2-4Q", "A2", "Q", "", 0, GB(4) },
                { "GRID M60-0Q", "M60", "Q", "", 0, MB(512) },
                { "GRID M60-0B", "M60", "B", "", 0, MB(512) },
                { "GRID M10-2B4", "M10", "B", "4", 0, GB(2) },
                { "GRID RTX6000-1Q", "RTX6000", "Q", "", 0, GB(1) },
                { "NVIDIA A40-1B", "A40", "B", "", 0, GB(1) },
                { "NVIDIA L40S-48A", "L40S", "A", "", 0, GB(48) },
                { "NVIDIA H200X-141C", "H200X", "C", "", 0, GB(141) },
                { "NVIDIA H200X-1-18C", "H200X", "C", "", 1, GB(18) },
                { "NVIDIA A100-7-40C", "A100", "C", "", 7, GB(40) },
                { "NVIDIA A100-1-5CME", "A100", "C", "ME", 1, GB(5) },
                { "NVIDIA A100-1-5CMEALL", "A100", "C", "MEALL", 1, GB(5) },
                { "NVIDIA H100-1-10CNOME", "H100", "C", "NOME", 1, GB(10) },
                { "NVIDIA RTX A6000-48Q", "RTX A6000", "Q", "", 0, GB(48) },
                { "NVIDIA RTX Pro 6000 Blackwell DC-48C", "RTX Pro 6000 Blackwell DC", "C", "", 0, GB(48) },
                { "NVIDIA RTX Pro 6000 Blackwell DC-1-24QGFX", "RTX Pro 6000 Blackwell DC", "Q", "GFX", 1,
                  GB(24) },
                { "NVIDIA A100-PCIE-40C", "A100-PCIE", "C", "", 0, GB(40) },
                { "NVIDIA GRID X-4096C", "GRID X", "C", "", 0, GB(4096) },
                { "NVIDIA X-123-1Q", "X-123", "Q", "", 0, GB(1) }, /* no GPU has 123 slices */
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                TypeName n;

                if (!type_name_parse(table[i].name, &n))
                        FAIL("%s is not understood", table[i].name);
                ASSERT_STREQ(n.product, table[i].product);
                ASSERT_STREQ(n.class, table[i].class);
                ASSERT_STREQ(n.attribute, table[i].attribute);
                ASSERT_EQ(n.slices, table[i].slices);
                ASSERT_EQ(n.framebuffer_bytes, table[i].framebuffer_bytes);
        }
}

static void test_other_texts(void)
{
        static const char *const table[] = {
                "",
                "-",
                "NVIDIA ",
                "NVIDIA A2",
                "NVIDIA A2-",
                "NVIDIA A2-4",
                "-4Q",
                "NVIDIA -4Q",
                "NVIDIA  A2-4Q",
                "NVIDIA A2 -4Q",
                "NVIDIA A2-4q",
                "NVIDIA A2-4X",
                "NVIDIA A2-04Q",
                "NVIDIA A2-Q",
                "NVIDIA A2-4Q ",
                "NVIDIA A2-4097Q",
                "NVIDIA A2-99999999999999999999Q",
                "NVIDIA A2-4Qme",
                "NVIDIA A2-4QABCDEFGHI",
                "NVIDIA A/2-4Q",
                "NVIDIA A\n2-4Q",
                "NVIDIA \xc3\xa4-4Q",
                "NVIDIA -1-4Q",
                "NVIDIA A--4Q",
                "-1-4Q",
                "1-4Q-",
                "GVTg_V5_4",
                "i915-GVTg_V5_4",
                "mdpy-xga",
                "nvidia-746",
                "GRID K140Q",
                "vgpu VGA display 4 MB",
                "NVIDIA AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA-4Q",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                TypeName n = { .slices = 77 };

                if (type_name_parse(table[i], &n))
                        FAIL("\"%s\" is taken for a name", table[i]);
                ASSERT_EQ(n.slices, 77);
        }
}

static void test_apply(void)
{
        VgpuType *t = vgpu_type_new("nvidia-1414");

        type_name_apply(t);
        ASSERT_NULL(t->product);
        g_free(t->name);
        t->name = g_strdup("NVIDIA H200X-1-18C");
        type_name_apply(t);
        ASSERT_STREQ(t->product, "H200X");
        ASSERT_STREQ(t->class, "C");
        ASSERT_TRUE(t->mig);
        ASSERT_EQ(t->framebuffer_bytes, GB(18));
        /* Values of the driver are kept. */
        t->framebuffer_bytes = 5;
        type_name_apply(t);
        ASSERT_EQ(t->framebuffer_bytes, 5);
        vgpu_type_free(t);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_names);
        TEST(test_other_texts);
        TEST(test_apply);

        return tests_end();
}
