/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Tests the parser for the answer of vgpud-nvml. */

#include "drivers-glue/nvidia/nvml-text.h"

#include "tests.h"

static void test_whole(void)
{
        _cleanup_(nvml_answer_freep) NvmlAnswer *a = NULL;
        uint32_t n;

        ASSERT_OK(nvml_answer_parse(
                        "virtualization-mode=3\nhost-vgpu-mode=1\nheterogeneous=1\nmig=0\nmig-pending=1\n"
                        "framebuffer=48305799168\nof-a-newer-release=1\n"
                        "type=1150\ntype.name=NVIDIA L40S-4Q\ntype.class=Quadro\n"
                        "type.framebuffer=4294967296\ntype.heads=4\ntype.resolution=7680x4320\n"
                        "type.frame-rate-limit=60\ntype.max-instances=12\n"
                        "type=1414\ntype.name=a=b\ntype.gpu-instance-profile=19\n"
                        "type.max-per-gpu-instance=4\ngpu-instances=19:2\ngpu-instances=5:0\n"
                        "creatable=1150\ncreatable=7\nend\n",
                        &a));
        ASSERT_EQ(a->virtualization_mode, 3);
        ASSERT_EQ(a->host_vgpu_mode, 1);
        ASSERT_EQ(a->heterogeneous, 1);
        ASSERT_EQ(a->mig, 0);
        ASSERT_EQ(a->mig_pending, 1);
        ASSERT_EQ(a->framebuffer_bytes, 48305799168);
        ASSERT_EQ(a->types->len, 2);
        const NvmlType *t = nvml_answer_find_type(a, 1150);
        ASSERT_STREQ(t->name, "NVIDIA L40S-4Q");
        ASSERT_STREQ(t->class, "Quadro");
        ASSERT_EQ(t->framebuffer_bytes, 4294967296);
        ASSERT_EQ(t->heads, 4);
        ASSERT_EQ(t->max_x, 7680);
        ASSERT_EQ(t->max_y, 4320);
        ASSERT_EQ(t->frame_rate_limit, 60);
        ASSERT_EQ(t->max_instances, 12);
        ASSERT_FALSE(t->mig);
        t = nvml_answer_find_type(a, 1414);
        ASSERT_STREQ(t->name, "a=b");
        ASSERT_TRUE(t->mig);
        ASSERT_EQ(t->profile, 19);
        ASSERT_EQ(t->max_per_gpu_instance, 4);
        ASSERT_TRUE(nvml_answer_count_gpu_instances(a, 19, &n));
        ASSERT_EQ(n, 2);
        ASSERT_TRUE(nvml_answer_count_gpu_instances(a, 5, &n));
        ASSERT_EQ(n, 0);
        ASSERT_FALSE(nvml_answer_count_gpu_instances(a, 14, &n));
        ASSERT_NULL(nvml_answer_find_type(a, 7));
        ASSERT_EQ(a->creatable->len, 2);
        ASSERT_EQ(g_array_index(a->creatable, uint32_t, 1), 7);
}

/* The answer may have no values. */
static void test_nothing(void)
{
        _cleanup_(nvml_answer_freep) NvmlAnswer *a = NULL;

        ASSERT_OK(nvml_answer_parse("end\n", &a));
        ASSERT_EQ(a->virtualization_mode, -1);
        ASSERT_EQ(a->heterogeneous, -1);
        ASSERT_EQ(a->mig, -1);
        ASSERT_EQ(a->framebuffer_bytes, 0);
        ASSERT_EQ(a->types->len, 0);
}

static void test_refused(void)
{
        static const char *const table[] = {
                "",
                "\n",
                "end",
                "mig=0\n",
                "end\nend\n",
                "end\n\n",
                "\nend\n",
                "mig\nend\n",
                "=1\nend\n",
                "mig=2\nend\n",
                "mig=\nend\n",
                "mig=-1\nend\n",
                "mig= 1\nend\n",
                "heterogeneous=yes\nend\n",
                "framebuffer=18446744073709551616\nend\n",
                "virtualization-mode=4294967295\nend\n",
                "type.name=x\nend\n",
                "type=\nend\n",
                "type=1\ntype=1\nend\n",
                "type=1\ntype.name=\nend\n",
                "type=1\ntype.name=\xff\nend\n",
                "type=1\ntype.resolution=7680\nend\n",
                "type=1\ntype.gpu-instance-profile=x\nend\n",
                "type=1\ntype.max-per-gpu-instance=x\nend\n",
                "gpu-instances=19\nend\n",
                "gpu-instances=19:x\nend\n",
                "gpu-instances=1:2:3\nend\n",
                "creatable=x\nend\n",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                NvmlAnswer *a = NULL;

                if (nvml_answer_parse(table[i], &a) != -EINVAL)
                        FAIL("\"%s\" is accepted", table[i]);
                ASSERT_NULL(a);
        }
}

static void test_too_many(void)
{
        g_autoptr(GString) types = g_string_new(NULL), creatable = g_string_new(NULL);
        NvmlAnswer *a = NULL;

        for (unsigned i = 0; i <= NVML_TYPES_MAX; i++) {
                g_string_append_printf(types, "type=%u\n", i);
                g_string_append_printf(creatable, "creatable=%u\n", i);
        }

        g_string_append(types, "end\n");
        g_string_append(creatable, "end\n");
        ASSERT_ERROR(nvml_answer_parse(types->str, &a), EINVAL);
        ASSERT_ERROR(nvml_answer_parse(creatable->str, &a), EINVAL);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_whole);
        TEST(test_nothing);
        TEST(test_refused);
        TEST(test_too_many);

        return tests_end();
}
