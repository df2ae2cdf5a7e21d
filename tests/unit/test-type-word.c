/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/type-word.h"

#include "tests.h"

static void test_equal(void)
{
        static const char *const same[][2] = {
                { "NVIDIA A2-4Q", "nvidia_a2-4q" },
                { "NVIDIA A2-4Q", "A2-4Q" },
                { "NVIDIA L40S-4Q", "l40s-4q" },
                { "GRID P40-1Q", "GRID_P40-1Q" },
                { "GRID P40-1Q", "NVIDIA P40-1Q" }, /* the prefix depends on the release of the driver */
                { "GRID P40-1Q", "nvidia.com/GRID_P40-1Q" }, /* a resource of Kubernetes */
                { "NVIDIA A2-4Q", "NVIDIA-A2-4Q" },          /* a label of Kubernetes */
                { "NVIDIA RTX Pro 6000 Blackwell DC-48C", "rtx_pro_6000_blackwell_dc-48c" },
                { "GVTg_V5_4", "gvtg_v5_4" },
                { "i915-GVTg_V5_4", "I915-gvtg_v5_4" },
                { " A2-4Q ", "A2-4Q" },
                { "nvidia-746", "NVIDIA-746" },
                { "10de/A2/Q/4096/A2-4Q", "10DE/a2/q/4096/a2-4q" },
        };
        static const char *const different[][2] = {
                { "A2-4Q", "A2-4C" },
                { "A2-4Q", "A2-4Q0" },
                { "A2-4Q", "" },
                { "", "" },
                { " ", "_" },
                { "A100-1-5C", "A100-15C" },
                { "nvidia-746", "746" },
                { "nvidia_746", "746" },
                { "grid 1", "1" },
                { "GRID", "" },
                { "NVIDIA", "GRID" },
                { "NVIDIA ", "" },
                { "nvidiaA2-4Q", "A2-4Q" },
                { "A2-4Q\n", "A2-4Q" },
                { "10de/A2/Q/4096/A2-4Q", "A2-4Q" },
                { "a/b-1", "a/b_1" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(same); i++) {
                ASSERT_TRUE(type_word_equal(same[i][0], same[i][1]));
                ASSERT_TRUE(type_word_equal(same[i][1], same[i][0]));
                ASSERT_EQ(type_word_distance(same[i][0], same[i][1]), 0);
        }

        for (size_t i = 0; i < G_N_ELEMENTS(different); i++) {
                ASSERT_FALSE(type_word_equal(different[i][0], different[i][1]));
                ASSERT_FALSE(type_word_equal(different[i][1], different[i][0]));
        }
}

static void test_vendor(void)
{
        static const char *const table[][2] = {
                { "NVIDIA A2-4Q", "A2-4Q" },
                { "nvidia_a2-4q", "a2-4q" },
                { "nvidia.com/GRID P40-1Q", "P40-1Q" },
                { "GRID", "GRID" },
                { "nvidia-746", "nvidia-746" },
                { "GVTg_V5_4", "GVTg_V5_4" },
                { "", "" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
                ASSERT_STREQ(type_word_skip_vendor(table[i][0]), table[i][1]);
}

static void test_distance(void)
{
        g_autofree char *most = g_strnfill(64, 'x'), *more = g_strnfill(65, 'x');

        ASSERT_EQ(type_word_distance("A2-4QQ", "NVIDIA A2-4Q"), 1);
        ASSERT_EQ(type_word_distance("A2-Q4", "A2-4Q"), 1); /* two characters exchanged */
        ASSERT_EQ(type_word_distance("a24q", "A2-4Q"), 1);
        ASSERT_EQ(type_word_distance("A2-5Q", "A2-4Q"), 1);
        ASSERT_EQ(type_word_distance("l40-40q", "L40S-4Q"), 2);
        ASSERT_EQ(type_word_distance("T4-8Q", "A2-4Q"), TYPE_WORD_FAR);
        ASSERT_EQ(type_word_distance("nonsense", "A2-4Q"), TYPE_WORD_FAR);
        ASSERT_EQ(type_word_distance("", "A2-4Q"), TYPE_WORD_FAR);
        ASSERT_EQ(type_word_distance("A2-4Q", ""), TYPE_WORD_FAR);
        ASSERT_EQ(type_word_distance("1", "12345"), TYPE_WORD_FAR);

        /* The beginning of a name is near, but not nearer than a typing error. */
        ASSERT_EQ(type_word_distance("l40s", "NVIDIA L40S-4Q"), 1);
        ASSERT_EQ(type_word_distance("A2-4Q", "A2-4QQQQQ"), 1);

        ASSERT_EQ(type_word_distance(most, most), 0);
        ASSERT_EQ(type_word_distance(more, most), TYPE_WORD_FAR);
        ASSERT_EQ(type_word_distance(most, more), TYPE_WORD_FAR);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_equal);
        TEST(test_vendor);
        TEST(test_distance);

        return tests_end();
}
