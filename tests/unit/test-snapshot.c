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

/* Ids are ordered by the value of their number, whichever type is added first: 002 is less than 10, although it
 * has more digits. */
static void test_leading_zeros(void)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *a = make("x-002", "x-10", NULL);
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *b = make("x-10", "x-002", NULL);
        g_autofree char *order_a = ids(a), *order_b = ids(b);

        ASSERT_STREQ(order_a, "x-002 x-10");
        ASSERT_STREQ(order_b, "x-002 x-10");
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

/* A request may use the alias of an option; other attributes keep their names. */
static void test_names_of_options(void)
{
        g_autoptr(GPtrArray) given = g_ptr_array_new(), named = NULL;
        VgpuAttribute *alias = vgpu_attribute_new("folder/quota", "1"),
                      *other = vgpu_attribute_new("other", "2");
        VgpuType *t = vgpu_type_new("x-1"), *copy;
        VgpuTypeOption *option = vgpu_type_option_new("quota", "bytes");

        g_ptr_array_add(given, alias);
        g_ptr_array_add(given, other);
        named = vgpu_type_name_options(t, given);
        ASSERT_STREQ(((VgpuAttribute *)named->pdata[0])->name, "folder/quota"); /* the type has no options */
        g_ptr_array_unref(named);

        t->options = g_ptr_array_new();
        option->alias = g_strdup("folder/quota");
        g_ptr_array_add(t->options, option);
        named = vgpu_type_name_options(t, given);
        ASSERT_EQ(named->len, 2);
        ASSERT_STREQ(((VgpuAttribute *)named->pdata[0])->name, "quota");
        ASSERT_STREQ(((VgpuAttribute *)named->pdata[0])->value, "1");
        ASSERT_STREQ(((VgpuAttribute *)named->pdata[1])->name, "other");
        ASSERT_STREQ(alias->name, "folder/quota");
        ASSERT_NULL(vgpu_type_name_options(t, NULL));

        copy = vgpu_type_copy(t);
        ASSERT_TRUE(vgpu_type_equal(copy, t));
        g_clear_pointer(&option->alias, g_free);
        ASSERT_FALSE(vgpu_type_equal(copy, t));
        vgpu_type_free(copy);
        vgpu_type_free(t);
        vgpu_type_option_free(option);
        vgpu_attribute_free(alias);
        vgpu_attribute_free(other);
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

/* Predicted drivers of VFs: the VF of a new instance is bound; the driver of a VF whose instance is removed
 * is unknown. */
static void test_bindings(void)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *a = gpu_snapshot_new(), *b = NULL, *c = NULL;
        g_autoptr(GPtrArray) made = g_ptr_array_new(), removed = g_ptr_array_new();
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
        g_ptr_array_add(removed, d->uuid);
        c = gpu_snapshot_predict(b, NULL, removed);
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
        TEST(test_type_equal);
        TEST(test_names_of_options);
        TEST(test_desc);
        TEST(test_references);
        TEST(test_bindings);

        return tests_end();
}
