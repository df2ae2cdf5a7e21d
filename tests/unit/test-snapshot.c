/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/snapshot.h"

#include <stdarg.h>

#include "tests.h"

static GpuSnapshot *make(const char *first, ...)
{
        GpuSnapshot *s = gpu_snapshot_new();
        va_list ap;

        va_start(ap, first);

        for (const char *id = first; id; id = va_arg(ap, const char *))
                g_ptr_array_add(s->types, vgpu_type_new(id));
        va_end(ap);
        gpu_snapshot_seal(s);

        return s;
}

static char *ids(const GpuSnapshot *s)
{
        GString *text = g_string_new(NULL);

        for (guint i = 0; i < s->types->len; i++)
                g_string_append_printf(text, "%s%s", i > 0 ? " " : "",
                                       ((const VgpuType *)s->types->pdata[i])->id);

        return g_string_free(text, FALSE);
}

static void test_order(void)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s =
                        make("nvidia-10", "nvidia-9", "nvidia-100", "i915-GVTg_V5_8", "i915-GVTg_V5_1",
                             "nvidia-010", "nvidia-", "nvidia-9a", "mdpy-xga", "nvidia-99999999999999999999999",
                             "nvidia-99999999999999999999998", NULL);
        g_autofree char *order = ids(s);

        ASSERT_STREQ(order,
                     "i915-GVTg_V5_1 i915-GVTg_V5_8 mdpy-xga nvidia- nvidia-9 nvidia-9a nvidia-010 nvidia-10 nvidia-100 nvidia-99999999999999999999998 nvidia-99999999999999999999999");

        g_ptr_array_add(s->instances, instance_desc_new("22222222-0000-4000-8000-000000000000"));
        g_ptr_array_add(s->instances, instance_desc_new("11111111-0000-4000-8000-00000000000A"));
        gpu_snapshot_seal(s);
        ASSERT_STREQ(((InstanceDesc *)s->instances->pdata[0])->uuid, "11111111-0000-4000-8000-00000000000a");
        ASSERT_NOT_NULL(gpu_snapshot_find_instance(s, "11111111-0000-4000-8000-00000000000A"));
        ASSERT_NULL(gpu_snapshot_find_instance(s, "33333333-0000-4000-8000-000000000000"));
}

/* Zeros before a number do not make it larger, whichever comes first. */
static void test_leading_zeros(void)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *a = make("x-002", "x-10", NULL);
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *b = make("x-10", "x-002", NULL);
        g_autofree char *order_a = ids(a), *order_b = ids(b);

        ASSERT_STREQ(order_a, "x-002 x-10");
        ASSERT_STREQ(order_b, "x-002 x-10");
}

static void check_aliases(const char *id, const char *name, const char *expected)
{
        VgpuType *t = vgpu_type_new(id);
        g_autofree char *joined = NULL;

        if (name) {
                g_free(t->name);
                t->name = g_strdup(name);
        }

        char **aliases = vgpu_type_aliases(t);
        joined = g_strjoinv("|", aliases);
        bool all_match = vgpu_type_matches(t, id) && !vgpu_type_matches(t, "something else");

        for (char **a = aliases; *a; a++)
                all_match = all_match && vgpu_type_matches(t, *a);
        g_strfreev(aliases);
        vgpu_type_free(t);
        ASSERT_STREQ(joined, expected);
        ASSERT_TRUE(all_match);
}

static void test_aliases(void)
{
        check_aliases("nvidia-746", "NVIDIA A2-4Q", "NVIDIA A2-4Q|A2-4Q");
        check_aliases("nvidia-1", "NVIDIA RTX Pro 6000 Blackwell DC-48C",
                      "NVIDIA RTX Pro 6000 Blackwell DC-48C|DC-48C");
        check_aliases("i915-GVTg_V5_4", NULL, "GVTg_V5_4");
        check_aliases("i915-GVTg_V5_4", "GVTg_V5_4", "GVTg_V5_4");
        check_aliases("mdpy-xga", "mdpy-xga", "xga");
        check_aliases("mtty-2", "Dual port serial", "Dual port serial|serial");
        check_aliases("odd", "odd ", "odd ");
        check_aliases("odd", NULL, "");
}

static void test_find_type(void)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = make("mtty-1", "mtty-2", "mdpy-xga", NULL);
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *none = gpu_snapshot_new();
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        VgpuType *first = s->types->pdata[1], *second = s->types->pdata[2];

        ASSERT_STREQ(first->id, "mtty-1");
        g_free(first->name);
        first->name = g_strdup("Single port serial");
        g_free(second->name);
        second->name = g_strdup("Dual port serial");

        ASSERT_TRUE(gpu_snapshot_find_type(s, "mtty-2", &e) == second);
        ASSERT_TRUE(gpu_snapshot_find_type(s, "Dual port serial", &e) == second);
        ASSERT_STREQ(gpu_snapshot_find_type(s, "xga", &e)->id, "mdpy-xga");
        ASSERT_EQ(e.code, VGPUD_ERROR_NONE);

        ASSERT_NULL(gpu_snapshot_find_type(s, "serial", &e));
        ASSERT_EQ(e.code, VGPUD_ERROR_AMBIGUOUS);
        ASSERT_EQ(e.hint.id, VGPUD_HINT_CHOOSE_OTHER);
        ASSERT_NULL(gpu_snapshot_find_type(s, "vga", &e));
        ASSERT_EQ(e.code, VGPUD_ERROR_NO_SUCH_TYPE);
        ASSERT_EQ(e.hint.id, VGPUD_HINT_CHOOSE_OTHER);
        ASSERT_NULL(gpu_snapshot_find_type(none, "vga", &e));
        ASSERT_EQ(e.code, VGPUD_ERROR_NO_SUCH_TYPE);
        ASSERT_NULL(gpu_snapshot_find_type(s, "", NULL));
}

/* An id wins over another type's alias. */
static void test_id_first(void)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = make("a-1", "b-2", NULL);
        VgpuType *b = s->types->pdata[1];

        g_free(b->name);
        b->name = g_strdup("a-1");
        ASSERT_STREQ(gpu_snapshot_find_type(s, "a-1", NULL)->id, "a-1");
}

static void test_type_equal(void)
{
        VgpuType *a = vgpu_type_new("x-1"), *b = vgpu_type_new("x-1");
        bool equal = vgpu_type_equal(a, b), differs = true;
        uint32_t *const numbers[] = { &b->fences, &b->weight, &b->heads,         &b->frame_rate_limit,
                                      &b->max_x,  &b->max_y,  &b->max_instances, &b->available };
        uint64_t *const sizes[] = { &b->framebuffer_bytes, &b->low_gm_bytes, &b->high_gm_bytes };
        char **const texts[] = { &b->description, &b->device_api };

        for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
                *numbers[i] = 1;
                differs = differs && !vgpu_type_equal(a, b);
                *numbers[i] = 0;
        }

        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
                *sizes[i] = 1;
                differs = differs && !vgpu_type_equal(a, b);
                *sizes[i] = 0;
        }

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
                *texts[i] = g_strdup("x");
                differs = differs && !vgpu_type_equal(a, b);
                g_clear_pointer(texts[i], g_free);
        }

        vgpu_type_free(a);
        vgpu_type_free(b);
        ASSERT_TRUE(equal);
        ASSERT_TRUE(differs);
}

static void test_desc(void)
{
        _cleanup_(instance_desc_freep) InstanceDesc *a =
                        instance_desc_new("11111111-0000-4000-8000-00000000000A");
        _cleanup_(instance_desc_freep) InstanceDesc *b = NULL;

        ASSERT_EQ(a->iommu_group, -1);
        a->type_id = g_strdup("mdpy-xga");
        a->parent = g_strdup("mdpy");
        a->path = g_strdup("devices/virtual/mdpy/mdpy/11111111-0000-4000-8000-00000000000a");
        a->driver = g_strdup("mdpy");
        b = instance_desc_copy(a);
        ASSERT_TRUE(instance_desc_equal(a, b));
        b->iommu_group = 3;
        ASSERT_FALSE(instance_desc_equal(a, b));
        b->iommu_group = -1;
        b->memory_bytes = 1;
        ASSERT_FALSE(instance_desc_equal(a, b));
        b->memory_bytes = 0;
        b->cdev = g_strdup("vfio0");
        ASSERT_FALSE(instance_desc_equal(a, b));
        g_clear_pointer(&b->cdev, g_free);
        g_clear_pointer(&b->type_id, g_free);
        ASSERT_FALSE(instance_desc_equal(a, b));
}

static void test_references(void)
{
        GpuSnapshot *s = gpu_snapshot_new(), *other = gpu_snapshot_ref(s);

        ASSERT_TRUE(s == other);
        ASSERT_TRUE(s->taken_usec > UINT64_C(1600000000) * USEC_PER_SEC);
        ASSERT_NULL(gpu_snapshot_unref(s));
        ASSERT_EQ(other->types->len, 0);
        ASSERT_NULL(gpu_snapshot_unref(other));
        ASSERT_NULL(gpu_snapshot_unref(NULL));
}

/* Drivers of VFs: a new instance is bound, the driver of a removed one is unknown. */
static void test_bindings(void)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *a = gpu_snapshot_new(), *b = NULL, *c = NULL;
        g_autoptr(GPtrArray) made = g_ptr_array_new();
        _cleanup_(instance_desc_freep) InstanceDesc *d =
                        instance_desc_new("11111111-0000-4000-8000-000000000001");

        gpu_snapshot_add_binding(a, "0000:03:00.1", "xe", NULL);
        gpu_snapshot_add_binding(a, "0000:03:00.2", NULL, "pci-stub");
        gpu_snapshot_seal(a);
        d->slot = g_strdup("0000:03:00.1");
        d->driver = g_strdup("vfio-pci");
        g_ptr_array_add(made, d);
        a->memory_bytes = (uint64_t)16 << 30;
        b = gpu_snapshot_predict(a, made, NULL);
        ASSERT_EQ(b->memory_bytes, a->memory_bytes);
        ASSERT_FALSE(gpu_snapshot_bindings_equal(a, b));
        ASSERT_STREQ(gpu_snapshot_find_binding(b, "0000:03:00.1")->driver, "vfio-pci");
        ASSERT_STREQ(gpu_snapshot_find_binding(b, "0000:03:00.1")->override, "vfio-pci");
        ASSERT_NULL(gpu_snapshot_find_binding(b, "0000:03:00.2")->driver);
        ASSERT_STREQ(gpu_snapshot_find_binding(b, "0000:03:00.2")->override, "pci-stub");
        ASSERT_NULL(gpu_snapshot_find_binding(b, "0000:03:00.3"));
        c = gpu_snapshot_predict(b, NULL, d->uuid);
        ASSERT_NULL(gpu_snapshot_find_binding(c, "0000:03:00.1")->driver);
        ASSERT_NULL(gpu_snapshot_find_binding(c, "0000:03:00.1")->override);
        ASSERT_TRUE(gpu_snapshot_bindings_equal(b, b));
        gpu_snapshot_add_binding(c, "0000:03:00.3", NULL, NULL);
        ASSERT_FALSE(gpu_snapshot_bindings_equal(b, c));
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_order);
        TEST(test_leading_zeros);
        TEST(test_aliases);
        TEST(test_find_type);
        TEST(test_id_first);
        TEST(test_type_equal);
        TEST(test_desc);
        TEST(test_references);
        TEST(test_bindings);

        return tests_end();
}
