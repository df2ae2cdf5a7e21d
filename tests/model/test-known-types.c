/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib/gstdio.h>

#include "base/fs-util.h"
#include "base/log.h"
#include "daemon/store/known-types.h"
#include "scratch.h"
#include "tests.h"

static GpuFacts *l40s(void)
{
        GpuFacts *f = gpu_facts_new("0000:41:00.0", "devices/pci0000:40/0000:41:00.0");

        f->is_pci = true;
        f->vendor = 0x10de;
        f->device = 0x26b9;
        f->subsystem_vendor = 0x10de;
        f->subsystem_device = 0x1851;

        return f;
}

static VgpuType *offer(GpuSnapshot *s, const char *id, const char *name, uint64_t mib)
{
        VgpuType *t = vgpu_type_new(id);

        g_free(t->name);
        t->name = g_strdup(name);
        t->framebuffer_bytes = mib << 20;
        t->product = g_strdup("L40S");
        t->class = g_strdup("Q");
        t->heads = 4;
        t->available = 7;
        t->why_not = g_strdup("because");
        t->key = vgpu_type_make_key(t, 0x10de);
        g_ptr_array_add(s->types, t);

        return t;
}

static const VgpuType *find(const GPtrArray *types, const char *id)
{
        for (guint i = 0; i < types->len; i++)
                if (strcmp(((const VgpuType *)types->pdata[i])->id, id) == 0)
                        return types->pdata[i];

        return NULL;
}

static void test_learn(void)
{
        _cleanup_scratch_ Scratch scratch = scratch_new();
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = gpu_snapshot_new(), *less = gpu_snapshot_new();
        GpuFacts *f = l40s();
        KnownTypes *k = known_types_new(scratch.path);
        g_autoptr(GPtrArray) before = known_types_get(k, f), after = NULL;

        ASSERT_EQ(before->len, 0);
        (void)offer(s, "nvidia-1150", "NVIDIA L40S-4Q", 4096);
        (void)offer(s, "nvidia-1152", "NVIDIA L40S-8Q", 8192);
        known_types_learn(k, f, s);
        ASSERT_EQ(before->len, 0); /* a list that a lane may use never changes */
        after = known_types_get(k, f);
        ASSERT_EQ(after->len, 2);

        /* A type that is no longer offered is remembered. */
        (void)offer(less, "nvidia-1150", "NVIDIA L40S-4Q", 4096);
        known_types_learn(k, f, less);
        k = known_types_free(k);

        k = known_types_new(scratch.path);
        g_autoptr(GPtrArray) again = known_types_get(k, f);
        ASSERT_EQ(again->len, 2);
        const VgpuType *t = find(again, "nvidia-1152");
        ASSERT_NOT_NULL(t);
        ASSERT_STREQ(t->name, "NVIDIA L40S-8Q");
        ASSERT_STREQ(t->key, "10de/L40S/Q/8192/L40S-8Q");
        ASSERT_EQ(t->framebuffer_bytes, (uint64_t)8192 << 20);
        ASSERT_EQ(t->heads, 4);
        ASSERT_EQ(t->available, 0);
        ASSERT_NULL(t->why_not);

        /* Another model of GPU has its own known types. */
        f->subsystem_device = 1;
        g_autoptr(GPtrArray) other = known_types_get(k, f);
        ASSERT_EQ(other->len, 0);
        known_types_free(k);
        gpu_facts_unref(f);
}

/* Each create and destroy changes the availability. This change must not rewrite the file. */
static void test_learn_nothing(void)
{
        _cleanup_scratch_ Scratch scratch = scratch_new();
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = gpu_snapshot_new(), *fewer = gpu_snapshot_new();
        GpuFacts *f = l40s();
        KnownTypes *k = known_types_new(scratch.path);
        g_autofree char *path = g_build_filename(scratch.path, "types", "10de-26b9-10de-1851", NULL);
        VgpuType *t;

        (void)offer(s, "nvidia-1150", "NVIDIA L40S-4Q", 4096);
        known_types_learn(k, f, s);
        ASSERT_EQ(g_unlink(path), 0);

        t = offer(fewer, "nvidia-1150", "NVIDIA L40S-4Q", 4096);
        t->available = 0;
        g_free(t->why_not);
        t->why_not = g_strdup("another reason");
        vgpud_hint_setf(&t->hint, VGPUD_HINT_DESTROY_INSTANCE, "a hint");
        t->options = g_ptr_array_new();
        known_types_learn(k, f, fewer);
        ASSERT_FALSE(g_file_test(path, G_FILE_TEST_EXISTS));

        known_types_free(k);
        gpu_facts_unref(f);
}

static void test_changed_meaning(void)
{
        _cleanup_scratch_ Scratch scratch = scratch_new();
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = gpu_snapshot_new(), *renamed = gpu_snapshot_new(),
                                                   *other = gpu_snapshot_new(), *still = gpu_snapshot_new();
        GpuFacts *f = l40s();
        KnownTypes *k = known_types_new(scratch.path);
        VgpuType *t;

        log_set_max_level(LOG_CRIT);
        (void)offer(s, "nvidia-1150", "NVIDIA L40S-4Q", 4096);
        known_types_learn(k, f, s);

        /* The same type with another spelling of its name. */
        t = offer(renamed, "nvidia-1150", "GRID L40S-4Q", 4096);
        known_types_learn(k, f, renamed);
        ASSERT_NULL(t->earlier_name);

        t = offer(other, "nvidia-1150", "NVIDIA L40S-48Q", 49152);
        known_types_learn(k, f, other);
        ASSERT_STREQ(t->earlier_name, "GRID L40S-4Q");
        k = known_types_free(k);

        k = known_types_new(scratch.path);
        t = offer(still, "nvidia-1150", "NVIDIA L40S-48Q", 49152);
        known_types_learn(k, f, still);
        ASSERT_STREQ(t->earlier_name, "GRID L40S-4Q");

        /* A predicted snapshot has the earlier name already; the leak sanitizer checks the copy. */
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *amended = gpu_snapshot_predict(still, NULL, NULL);
        known_types_learn(k, f, amended);
        ASSERT_STREQ(((const VgpuType *)amended->types->pdata[0])->earlier_name, "GRID L40S-4Q");
        known_types_free(k);
        gpu_facts_unref(f);
}

static void test_bad_files(void)
{
        _cleanup_scratch_ Scratch scratch = scratch_new();
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = gpu_snapshot_new();
        GpuFacts *f = l40s();
        KnownTypes *k = known_types_new(scratch.path);
        g_autofree char *path = g_build_filename(scratch.path, "types", "10de-26b9-10de-1851", NULL);

        log_set_max_level(LOG_CRIT);
        ASSERT_TRUE(g_file_set_contents(path, "nonsense", -1, NULL));
        g_autoptr(GPtrArray) none = known_types_get(k, f);
        ASSERT_EQ(none->len, 0);
        (void)offer(s, "nvidia-1150", "NVIDIA L40S-4Q", 4096);
        (void)offer(s, "odd[id]", "Odd", 1);
        known_types_learn(k, f, s);
        known_types_free(k);

        k = known_types_new(scratch.path);
        g_autoptr(GPtrArray) some = known_types_get(k, f);
        ASSERT_EQ(some->len, 1); /* the file cannot store "odd[id]" */
        known_types_free(k);

        ASSERT_TRUE(g_file_set_contents(path, "[nvidia-1150]\nName=x\nFramebufferBytes=-1\nHeads=99999999999\n",
                                        -1, NULL));
        k = known_types_new(scratch.path);
        g_autoptr(GPtrArray) odd = known_types_get(k, f);
        ASSERT_EQ(odd->len, 1);
        ASSERT_EQ(((const VgpuType *)odd->pdata[0])->framebuffer_bytes, 0);
        ASSERT_EQ(((const VgpuType *)odd->pdata[0])->heads, UINT32_MAX);
        known_types_free(k);

        /* Known types stay in memory if there is no state directory. */
        k = known_types_new("/proc/nowhere");
        known_types_learn(k, f, s);
        g_autoptr(GPtrArray) kept = known_types_get(k, f);
        ASSERT_EQ(kept->len, 2);
        known_types_free(k);
        gpu_facts_unref(f);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_learn);
        TEST(test_learn_nothing);
        TEST(test_changed_meaning);
        TEST(test_bad_files);

        return tests_end();
}
