/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The room of an NVIDIA GPU for vGPUs, and why no more fit. */

#include "drivers-glue/nvidia/capacity.h"

#include "drivers-glue/nvidia/type-name.h"
#include "tests.h"

#define GB(n) ((uint64_t)(n) << 30)

typedef struct Case {
        GPtrArray *types, *instances;
        NvidiaBudget budget;
} Case;

static void free_type(gpointer t)
{
        vgpu_type_free(t);
}

static void free_instance(gpointer d)
{
        instance_desc_free(d);
}

static Case case_new(uint32_t n_vfs)
{
        Case c = { .types = g_ptr_array_new_with_free_func(free_type),
                   .instances = g_ptr_array_new_with_free_func(free_instance) };

        c.budget = (NvidiaBudget){ .types = c.types,
                                   .instances = c.instances,
                                   .n_vfs = n_vfs,
                                   .free_vfs = n_vfs,
                                   .heterogeneous = -1,
                                   .mig = -1 };

        return c;
}

static void case_free(Case *c)
{
        g_ptr_array_unref(c->types);
        g_ptr_array_unref(c->instances);
}
#define _cleanup_case_ _cleanup_(case_free)

static VgpuType *add(Case *c, const char *name, uint32_t offered)
{
        VgpuType *t = vgpu_type_new(strrchr(name, ' ') + 1);

        g_free(t->name);
        t->name = g_strdup(name);
        t->available = offered;
        type_name_apply(t);
        g_ptr_array_add(c->types, t);

        return t;
}

static void make(Case *c, const char *type)
{
        InstanceDesc *d = instance_desc_new(NULL);

        d->type_id = g_strdup(type);
        g_ptr_array_add(c->instances, d);
        c->budget.free_vfs--;
}

/* An idle L40S: the memory or the number of VFs limits each type. */
static void test_idle(void)
{
        static const struct {
                const char *name;
                unsigned available;
        } table[] = {
                { "NVIDIA L40S-1Q", 32 }, { "NVIDIA L40S-2Q", 24 }, { "NVIDIA L40S-3Q", 16 },
                { "NVIDIA L40S-4Q", 12 }, { "NVIDIA L40S-6Q", 8 },  { "NVIDIA L40S-8Q", 6 },
                { "NVIDIA L40S-12Q", 4 }, { "NVIDIA L40S-16Q", 3 }, { "NVIDIA L40S-24Q", 2 },
                { "NVIDIA L40S-48Q", 1 },
        };
        _cleanup_case_ Case c = case_new(32);

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
                (void)add(&c, table[i].name, 32);
        /* The driver reports less memory than the largest type has. */
        c.budget.framebuffer_bytes = GB(45);
        ASSERT_EQ(nvidia_memory_bytes(c.types, NULL, GB(45)), GB(48));
        nvidia_capacity(&c.budget);

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                const VgpuType *t = c.types->pdata[i];

                ASSERT_EQ(t->available, table[i].available);
                ASSERT_NULL(t->why_not);
        }
}

static void test_homogeneous(void)
{
        _cleanup_case_ Case c = case_new(32);
        VgpuType *q4 = add(&c, "NVIDIA L40S-4Q", 31), *a4 = add(&c, "NVIDIA L40S-4A", 31);
        VgpuType *q8 = add(&c, "NVIDIA L40S-8Q", 0), *q48 = add(&c, "NVIDIA L40S-48Q", 0);

        make(&c, "L40S-4Q");
        nvidia_capacity(&c.budget);
        ASSERT_EQ(q4->available, 11);
        ASSERT_NOT_NULL(q4->why_not);
        ASSERT_EQ(a4->available, 11); /* the same size in another series */
        ASSERT_EQ(q8->available, 0);
        ASSERT_EQ(q8->hint.id, VGPUD_HINT_DESTROY_INSTANCE);
        ASSERT_EQ(q48->available, 0);
        /* The hint is the same if the driver reports that heterogeneous mode is off. */
        c.budget.heterogeneous = 0;
        nvidia_capacity(&c.budget);
        ASSERT_EQ(q8->hint.id, VGPUD_HINT_DESTROY_INSTANCE);
}

static void test_full(void)
{
        _cleanup_case_ Case c = case_new(32);
        VgpuType *q24 = add(&c, "NVIDIA L40S-24Q", 0);

        (void)add(&c, "NVIDIA L40S-48Q", 0);

        make(&c, "L40S-24Q");
        make(&c, "L40S-24Q");
        nvidia_capacity(&c.budget);
        ASSERT_EQ(q24->available, 0);
        ASSERT_NOT_NULL(q24->why_not);
}

/* The free VFs still offer the type, but the GPU has max_instances vGPUs of the type already: no more fit. */
static void test_limit_of_driver(void)
{
        _cleanup_case_ Case c = case_new(16);
        VgpuType *q4 = add(&c, "NVIDIA A2-4Q", 12);

        q4->max_instances = 4;

        for (unsigned i = 0; i < 4; i++)
                make(&c, "A2-4Q");
        nvidia_capacity(&c.budget);
        ASSERT_EQ(q4->available, 0);
        ASSERT_NOT_NULL(q4->why_not);
}

/* If the driver still offers a type, one instance is available, even if the memory seems to be full. */
static void test_driver_knows_better(void)
{
        _cleanup_case_ Case c = case_new(16);
        VgpuType *q4 = add(&c, "NVIDIA X-4Q", 15);

        make(&c, "X-4Q");
        nvidia_capacity(&c.budget);
        ASSERT_EQ(q4->available, 1);
        ASSERT_NOT_NULL(q4->why_not);
        /* NVIDIA's library has reported the size of the memory. */
        c.budget.framebuffer_bytes = GB(16);
        q4->available = 15;
        nvidia_capacity(&c.budget);
        ASSERT_EQ(q4->available, 3);
        c.budget.framebuffer_bytes = GB(4);
        q4->available = 15;
        nvidia_capacity(&c.budget);
        ASSERT_EQ(q4->available, 1);
}

static void test_functions(void)
{
        _cleanup_case_ Case c = case_new(4);
        VgpuType *q1 = add(&c, "NVIDIA L40S-1Q", 2);

        (void)add(&c, "NVIDIA L40S-48Q", 0);

        make(&c, "L40S-1Q");
        make(&c, "L40S-1Q");
        nvidia_capacity(&c.budget);
        ASSERT_EQ(q1->available, 2);
        ASSERT_NOT_NULL(q1->why_not);
        make(&c, "L40S-1Q");
        q1->available = 1;
        nvidia_capacity(&c.budget);
        ASSERT_NOT_NULL(q1->why_not);
        make(&c, "L40S-1Q");
        q1->available = 0;
        nvidia_capacity(&c.budget);
        ASSERT_EQ(q1->available, 0);
        ASSERT_NOT_NULL(q1->why_not);
        /* The driver offers the type on fewer VFs than are free. */
        g_ptr_array_set_size(c.instances, 0);
        c.budget.free_vfs = 4;
        q1->available = 3;
        nvidia_capacity(&c.budget);
        ASSERT_EQ(q1->available, 3);
        ASSERT_NOT_NULL(q1->why_not);
}

static void test_heterogeneous(void)
{
        for (int mode = -1; mode <= 1; mode += 2) { /* 1: known from the library; -1: derived from the offers */
                _cleanup_case_ Case c = case_new(32);
                VgpuType *q4 = add(&c, "NVIDIA L40S-4Q", 31), *q8 = add(&c, "NVIDIA L40S-8Q", 31);
                VgpuType *q48 = add(&c, "NVIDIA L40S-48Q", 0), *q24 = add(&c, "NVIDIA L40S-24Q", 0);

                c.budget.heterogeneous = mode;
                make(&c, "L40S-4Q");
                nvidia_capacity(&c.budget);
                ASSERT_EQ(q4->available, 11);
                ASSERT_NOT_NULL(q4->why_not);
                ASSERT_EQ(q8->available, 5);
                ASSERT_EQ(q48->available, 0);
                ASSERT_NOT_NULL(q48->why_not);
                ASSERT_EQ(q24->available, 0);
                ASSERT_EQ(q24->hint.id, VGPUD_HINT_DESTROY_INSTANCE);
        }
}

/* Instances of two sizes show heterogeneous mode. */
static void test_mixed(void)
{
        _cleanup_case_ Case c = case_new(32);
        VgpuType *q4 = add(&c, "NVIDIA L40S-4Q", 30);

        (void)add(&c, "NVIDIA L40S-8Q", 0);
        (void)add(&c, "NVIDIA L40S-48Q", 0);

        make(&c, "L40S-4Q");
        make(&c, "L40S-8Q");
        nvidia_capacity(&c.budget);
        ASSERT_EQ(q4->available, 9);
}

/* GPUs before Ampere have no VFs: the driver reports the available instances, and vgpud adds the reasons. */
static void test_on_the_gpu(void)
{
        _cleanup_case_ Case c = case_new(NVIDIA_NO_VFS);
        VgpuType *q4 = add(&c, "GRID T4-4Q", 4), *q8 = add(&c, "GRID T4-8Q", 2),
                 *q1 = add(&c, "GRID T4-1Q", 16);

        q4->max_instances = 4;
        q8->max_instances = 2;
        q1->max_instances = 16;
        nvidia_capacity(&c.budget);
        ASSERT_EQ(q4->available, 4);
        ASSERT_NULL(q4->why_not);
        ASSERT_EQ(q1->available, 16);
        ASSERT_NULL(q1->why_not);
        q8->available = 0;
        nvidia_capacity(&c.budget);
        ASSERT_EQ(q8->hint.id, VGPUD_HINT_SEE_KERNEL_LOG);
        q8->available = 1;
        nvidia_capacity(&c.budget);
        ASSERT_NOT_NULL(q8->why_not);

        make(&c, "T4-4Q");
        q4->available = 3;
        q1->available = q8->available = 0;
        nvidia_capacity(&c.budget);
        ASSERT_EQ(q4->available, 3);
        ASSERT_NOT_NULL(q4->why_not);
        ASSERT_EQ(q8->hint.id, VGPUD_HINT_DESTROY_INSTANCE);
        ASSERT_EQ(q1->hint.id, VGPUD_HINT_DESTROY_INSTANCE);
}

static void test_slices(void)
{
        _cleanup_case_ Case c = case_new(16);
        VgpuType *slice = add(&c, "NVIDIA H200X-1-18C", 0), *whole = add(&c, "NVIDIA H200X-141C", 16);

        c.budget.mig = 0;
        nvidia_capacity(&c.budget);
        ASSERT_EQ(slice->available, 0);
        ASSERT_EQ(slice->hint.id, VGPUD_HINT_CONFIGURE_GPU);
        ASSERT_EQ(whole->available, 1);

        c.budget.mig = 1;
        slice->available = 0;
        nvidia_capacity(&c.budget);
        ASSERT_EQ(slice->hint.id, VGPUD_HINT_CONFIGURE_GPU);
        ASSERT_EQ(whole->available, 0);
        ASSERT_NOT_NULL(whole->why_not);

        /* Each VF offers the MIG type. Without the library, the number of GPU instances is unknown, so one
         * is available. */
        slice->available = 16;
        slice->max_instances = 7;
        nvidia_capacity(&c.budget);
        ASSERT_EQ(slice->available, 1);
        ASSERT_NOT_NULL(slice->why_not);
}

/* The room is the number of vGPUs that still fit on the GPU instances of the profile. `there` is the number of
 * GPU instances, and each can carry at most `per` vGPUs of one type. A sibling is another type of the same
 * profile. */
static void test_gpu_instances(void)
{
        static const struct {
                unsigned per, there, used, used_by_sibling, offered, available;
                bool limited; /* why_not is set: the GPU instances, not max_instances, limit the room */
        } table[] = {
                { 1, 0, 0, 0, 0, 0, true },   { 1, 1, 0, 0, 16, 1, true },  { 1, 1, 1, 0, 0, 0, true },
                { 1, 3, 1, 0, 15, 2, true },  { 1, 3, 1, 1, 14, 1, true },  { 1, 7, 0, 0, 16, 7, false },
                { 1, 3, 3, 0, 13, 1, true }, /* all GPU instances seem in use, but the driver offers the type */
                { 4, 2, 0, 0, 16, 7, false }, { 4, 2, 1, 0, 15, 7, false }, { 4, 2, 5, 0, 11, 3, true },
                { 4, 2, 5, 1, 11, 3, true },  { 4, 2, 1, 1, 14, 3, true },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                _cleanup_case_ Case c = case_new(16);
                _cleanup_(nvml_answer_freep) NvmlAnswer *nvml = NULL;
                VgpuType *slice = add(&c, "NVIDIA DC-1-24Q", table[i].offered);
                g_autofree char *text = g_strdup_printf(
                                "type=12\ntype.gpu-instance-profile=47\ntype.max-per-gpu-instance=%u\n"
                                "type=13\ntype.gpu-instance-profile=47\n"
                                "type=14\ntype.gpu-instance-profile=0\ngpu-instances=47:%u\ngpu-instances=0:1\n"
                                "end\n",
                                table[i].per, table[i].there);

                g_free(slice->id);
                slice->id = g_strdup("nvidia-12");
                slice->max_instances = 7;
                ASSERT_OK(nvml_answer_parse(text, &nvml));
                c.budget.nvml = nvml;
                c.budget.mig = 1;

                for (unsigned n = 0; n < table[i].used; n++)
                        make(&c, "nvidia-12");
                for (unsigned n = 0; n < table[i].used_by_sibling; n++)
                        make(&c, "nvidia-13");
                make(&c, "nvidia-14"); /* another profile */
                nvidia_capacity(&c.budget);
                ASSERT_EQ(slice->available, table[i].available);
                ASSERT_EQ(slice->why_not != NULL, table[i].limited);
                ASSERT_EQ(slice->hint.id, slice->available > 0 ? VGPUD_HINT_NONE : VGPUD_HINT_CONFIGURE_GPU);
        }
}

static void test_unprepared(void)
{
        _cleanup_case_ Case c = case_new(0);
        VgpuType *t = add(&c, "NVIDIA L40S-4Q", 0);

        c.budget.unprepared = "its virtual functions are not enabled";
        nvidia_capacity(&c.budget);
        ASSERT_EQ(t->available, 0);
        ASSERT_NOT_NULL(t->why_not);
}

/* Instances may have a type that is no longer offered, or unknown. */
static void test_unknown_instance(void)
{
        _cleanup_case_ Case c = case_new(32);
        g_autoptr(GPtrArray) known = g_ptr_array_new_with_free_func(free_type);
        VgpuType *q8 = add(&c, "NVIDIA L40S-8Q", 0), *older = vgpu_type_new("nvidia-1150");

        make(&c, "nvidia-1150");
        nvidia_capacity(&c.budget);
        ASSERT_EQ(q8->hint.id, VGPUD_HINT_SEE_KERNEL_LOG);
        older->framebuffer_bytes = GB(4);
        g_ptr_array_add(known, older);
        c.budget.known_types = known;
        nvidia_capacity(&c.budget);
        ASSERT_EQ(q8->hint.id, VGPUD_HINT_DESTROY_INSTANCE);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_idle);
        TEST(test_homogeneous);
        TEST(test_full);
        TEST(test_limit_of_driver);
        TEST(test_driver_knows_better);
        TEST(test_functions);
        TEST(test_heterogeneous);
        TEST(test_mixed);
        TEST(test_on_the_gpu);
        TEST(test_slices);
        TEST(test_gpu_instances);
        TEST(test_unprepared);
        TEST(test_unknown_instance);

        return tests_end();
}
