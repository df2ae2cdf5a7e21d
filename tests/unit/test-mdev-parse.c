/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/mdev/parse.h"

#include "tests.h"

#define MB (UINT64_C(1) << 20)

typedef struct Case {
        const char *text;
        VgpuType expected; /* numbers only */
} Case;

static void check(const Case *c)
{
        VgpuType *t = vgpu_type_new("x-1");
        VgpuType e = c->expected;

        mdev_parse_description(c->text, t);
        e.id = t->id;
        e.name = t->name;

        bool equal = vgpu_type_equal(t, &e);
        if (!equal)
                printf("\"%s\": framebuffer %llu low %llu high %llu fences %u weight %u heads %u limit %u %ux%u max %u\n",
                       c->text ? c->text : "(NULL)", (unsigned long long)t->framebuffer_bytes,
                       (unsigned long long)t->low_gm_bytes, (unsigned long long)t->high_gm_bytes, t->fences,
                       t->weight, t->heads, t->frame_rate_limit, t->max_x, t->max_y, t->max_instances);

        vgpu_type_free(t);
        ASSERT_TRUE(equal);
}

static void check_all(const Case *cases, size_t n)
{
        for (size_t i = 0; i < n; i++)
                check(&cases[i]);
}

static void test_gvt_g(void)
{
        static const Case cases[] = {
                { "low_gm_size: 128MB\nhigh_gm_size: 512MB\nfence: 4\nresolution: 1920x1200\nweight: 4",
                  { .framebuffer_bytes = 640 * MB,
                    .low_gm_bytes = 128 * MB,
                    .high_gm_bytes = 512 * MB,
                    .fences = 4,
                    .max_x = 1920,
                    .max_y = 1200,
                    .weight = 4 } },
                /* Linux 4.10 shows neither resolution nor weight, Linux 4.12 no weight */
                { "low_gm_size: 64MB\nhigh_gm_size: 384MB\nfence: 4\n",
                  { .framebuffer_bytes = 448 * MB,
                    .low_gm_bytes = 64 * MB,
                    .high_gm_bytes = 384 * MB,
                    .fences = 4 } },
                { "low_gm_size: 64MB\nhigh_gm_size: 384MB\nfence: 4\nresolution: 1024x768\n",
                  { .framebuffer_bytes = 448 * MB,
                    .low_gm_bytes = 64 * MB,
                    .high_gm_bytes = 384 * MB,
                    .fences = 4,
                    .max_x = 1024,
                    .max_y = 768 } },
                /* any order, unknown keys, odd blanks and line ends */
                { "weight:16\r\n  fence :  4  \nnew_key: 12\nhigh_gm_size: 2048MB\n\n",
                  { .framebuffer_bytes = 2048 * MB, .high_gm_bytes = 2048 * MB, .fences = 4, .weight = 16 } },
                /* an invalid number counts as missing */
                { "low_gm_size: 128MB\nfence: 99999999999\nweight: -4\nresolution: wide",
                  { .framebuffer_bytes = 128 * MB, .low_gm_bytes = 128 * MB } },
        };

        check_all(cases, G_N_ELEMENTS(cases));
}

static void test_nvidia(void)
{
        static const Case cases[] = {
                { "num_heads=4, frl_config=60, framebuffer=4096M, max_resolution=7680x4320, max_instance=4",
                  { .heads = 4,
                    .frame_rate_limit = 60,
                    .framebuffer_bytes = 4096 * MB,
                    .max_x = 7680,
                    .max_y = 4320,
                    .max_instances = 4 } },
                { "num_heads=1, frl_config=45, framebuffer=512M, max_resolution=2560x1600, max_instance=16\n",
                  { .heads = 1,
                    .frame_rate_limit = 45,
                    .framebuffer_bytes = 512 * MB,
                    .max_x = 2560,
                    .max_y = 1600,
                    .max_instances = 16 } },
                { "num_heads=1,frl_config=N/A,framebuffer=49152M",
                  { .heads = 1, .framebuffer_bytes = 49152 * MB } },
                { "max_instance=2,,=,framebuffer=,max_resolution=0x0", { .max_instances = 2 } },
        };

        check_all(cases, G_N_ELEMENTS(cases));
}

static void test_samples(void)
{
        static const Case cases[] = {
                { "virtual display, 640x480 framebuffer", { .heads = 1, .max_x = 640, .max_y = 480 } },
                { "virtual display, 4 MB video memory", { .heads = 1, .framebuffer_bytes = 4 * MB } },
                { "virtual display, x framebuffer", { .heads = 1 } },
                { "virtual display, some video memory", { .heads = 1 } },
        };

        check_all(cases, G_N_ELEMENTS(cases));
}

static void test_nothing(void)
{
        static const Case cases[] = {
                { NULL, { 0 } },
                { "", { 0 } },
                { "\n\n", { 0 } },
                { "a text for people, with commas: and colons = and signs", { 0 } },
                { "framebuffer", { 0 } },
                { " framebuffer", { 0 } },
                { " video memory", { 0 } },
                { "low_gm_size\nfence", { 0 } },
                { "\xff\xfe=\xff, \x01\x02", { 0 } },
                /* the sum of both sizes exceeds 64 bits */
                { "low_gm_size: 16383P\nhigh_gm_size: 16383P",
                  { .low_gm_bytes = UINT64_C(16383) << 50, .high_gm_bytes = UINT64_C(16383) << 50 } },
        };

        check_all(cases, G_N_ELEMENTS(cases));
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_gvt_g);
        TEST(test_nvidia);
        TEST(test_samples);
        TEST(test_nothing);

        return tests_end();
}
