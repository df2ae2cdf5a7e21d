/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/type-find.h"

#include <string.h>

#include "tests.h"

static VgpuType *add(GpuSnapshot *s, const char *id, const char *name, const char *key)
{
        VgpuType *t = vgpu_type_new(id);

        if (name) {
                g_free(t->name);
                t->name = g_strdup(name);
        }

        t->key = g_strdup(key);
        g_ptr_array_add(s->types, t);

        return t;
}

static GpuSnapshot *with_a2(void)
{
        static const struct {
                const char *id, *name;
        } types[] = {
                { "nvidia-741", "NVIDIA A2-1B" }, { "nvidia-744", "NVIDIA A2-1Q" },
                { "nvidia-745", "NVIDIA A2-2Q" }, { "nvidia-746", "NVIDIA A2-4Q" },
                { "nvidia-747", "NVIDIA A2-8Q" }, { "nvidia-748", "NVIDIA A2-16Q" },
                { "nvidia-751", "NVIDIA A2-4A" }, { "nvidia-754", "NVIDIA A2-4C" },
        };
        GpuSnapshot *s = gpu_snapshot_new();

        for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
                const char *name = strrchr(types[i].name, ' ') + 1;
                g_autofree char *key = g_strconcat("10de/A2/-/-/", name, NULL);

                (void)add(s, types[i].id, types[i].name, key);
        }

        gpu_snapshot_seal(s);

        return s;
}

/* Returns the id of the type, or "" if none is found, with the error in *e. */
static const char *find(const GpuSnapshot *s, const char *word, VgpudError *e)
{
        const VgpuType *t = gpu_snapshot_find_type(s, word, e);

        return t ? t->id : "";
}

static void check_aliases(const char *id, const char *name, const char *expected)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = gpu_snapshot_new();
        VgpuType *t = add(s, id, name, NULL);
        g_auto(GStrv) aliases = vgpu_type_aliases(t);
        g_autofree char *joined = g_strjoinv("|", aliases);

        ASSERT_STREQ(joined, expected);
        ASSERT_STREQ(find(s, id, NULL), id);
        ASSERT_STREQ(find(s, "something else", NULL), "");
        for (char **a = aliases; *a; a++)
                ASSERT_STREQ(find(s, *a, NULL), id);
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

static void test_forms_of_other_tools(void)
{
        static const char *const words[] = {
                "nvidia-746",
                "NVIDIA-746",
                "NVIDIA A2-4Q",
                "A2-4Q",
                "a2-4q",
                "nvidia_a2-4q",
                "GRID_A2-4Q",
                "GRID A2-4Q",
                "NVIDIA-A2-4Q",
                "nvidia.com/GRID_A2-4Q",
                "10de/A2/-/-/A2-4Q",
                "10DE/a2/-/-/a2-4q",
        };
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = with_a2();

        for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
                _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;

                ASSERT_STREQ(find(s, words[i], &e), "nvidia-746");
                ASSERT_EQ(e.code, VGPUD_ERROR_NONE);
        }

        /* Ids have no other forms: a part of an id is likely a typing error. */
        ASSERT_STREQ(find(s, "746", NULL), "");
        ASSERT_STREQ(find(s, "_746", NULL), "");
        ASSERT_STREQ(find(s, "nvidia 746", NULL), "");
        ASSERT_STREQ(find(s, "", NULL), "");
        ASSERT_STREQ(find(s, "_", NULL), "");
}

/* An id wins over a name, and a name with the same spelling wins over another spelling. */
static void test_order(void)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = gpu_snapshot_new();
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;

        (void)add(s, "a-1", NULL, NULL);
        (void)add(s, "b-2", "a-1", NULL);
        (void)add(s, "c-3", "A-1", NULL);
        (void)add(s, "d-4", "size_l", NULL);
        (void)add(s, "e-5", "Size L", NULL);
        ASSERT_STREQ(find(s, "a-1", &e), "a-1");
        ASSERT_STREQ(find(s, "A-1", &e), "c-3");
        ASSERT_STREQ(find(s, "size_l", &e), "d-4");
        ASSERT_STREQ(find(s, "Size L", &e), "e-5");
        ASSERT_EQ(e.code, VGPUD_ERROR_NONE);

        ASSERT_STREQ(find(s, "SIZE L", &e), "");
        ASSERT_EQ(e.code, VGPUD_ERROR_AMBIGUOUS);
        ASSERT_EQ(e.hint.id, VGPUD_HINT_CHOOSE_OTHER);
        ASSERT_CONTAINS(e.hint.text, "d-4, e-5");
}

static void test_ambiguous(void)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = gpu_snapshot_new();
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;

        (void)add(s, "mtty-1", "Single port serial", NULL);
        (void)add(s, "mtty-2", "Dual port serial", NULL);
        (void)add(s, "mdpy-xga", NULL, NULL);
        ASSERT_STREQ(find(s, "Dual port serial", &e), "mtty-2");
        ASSERT_STREQ(find(s, "dual_port_serial", &e), "mtty-2");
        ASSERT_EQ(e.code, VGPUD_ERROR_NONE);
        ASSERT_STREQ(find(s, "Serial", &e), "");
        ASSERT_EQ(e.code, VGPUD_ERROR_AMBIGUOUS);
        ASSERT_EQ(e.hint.id, VGPUD_HINT_CHOOSE_OTHER);
        ASSERT_CONTAINS(e.hint.text, "mtty-1, mtty-2");
}

/* Returns the number of types that a hint names as "NAME (ID)". */
static unsigned count_names(const char *hint)
{
        unsigned n = 0;

        for (const char *p = hint; (p = strstr(p, " (nvidia-")); p++)
                n++;

        return n;
}

static void test_unknown(void)
{
        static const struct {
                const char *word, *first;
                unsigned n;
        } table[] = {
                { "A2-4QQ", "A2-4Q (nvidia-746)", 1 },
                { "A2-16QQ", "A2-16Q (nvidia-748)", 1 },
                { "nvidia-7466", "A2-4Q (nvidia-746)", 1 },
                { "A2-5Q", "A2-1Q (nvidia-744)", 4 }, /* four types have the same distance */
                { "A2", "A2-1B (nvidia-741)", 5 },
                { "nonsense", "A2-1B (nvidia-741)", 5 },
                { "", "A2-1B (nvidia-741)", 5 },
        };
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = with_a2(), *none = gpu_snapshot_new();
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
                const char *at;

                ASSERT_STREQ(find(s, table[i].word, &error), "");
                ASSERT_EQ(error.code, VGPUD_ERROR_NO_SUCH_TYPE);
                ASSERT_EQ(error.hint.id, VGPUD_HINT_CHOOSE_OTHER);
                at = strstr(error.hint.text, table[i].first);
                ASSERT_TRUE(at);
                ASSERT_EQ(count_names(at), table[i].n); /* no type is named before this one */
                ASSERT_EQ(count_names(error.hint.text), table[i].n);
        }

        ASSERT_STREQ(find(none, "A2-4Q", &e), "");
        ASSERT_EQ(e.code, VGPUD_ERROR_NO_SUCH_TYPE);
        ASSERT_EQ(e.hint.id, VGPUD_HINT_NONE);
}

/* Neither long names from the kernel nor long words from a caller make a long or unprintable hint. */
static void test_hostile(void)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = gpu_snapshot_new();
        g_autofree char *name = g_strnfill(4000, 'x'), *word = g_strnfill(255, 'x');
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;

        name[0] = '\x1b';
        for (unsigned i = 1; i <= 50; i++) {
                g_autofree char *id = g_strdup_printf("odd-%u", i);

                (void)add(s, id, name, NULL);
        }

        ASSERT_STREQ(find(s, word, &e), "");
        ASSERT_EQ(e.code, VGPUD_ERROR_NO_SUCH_TYPE);
        ASSERT_NULL(strchr(e.hint.text, '\x1b'));
        ASSERT_TRUE(strlen(e.hint.text) < 1024);
        ASSERT_STREQ(find(s, "odd-51", &e), "");
        ASSERT_CONTAINS(e.hint.text, "odd-5");
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_aliases);
        TEST(test_forms_of_other_tools);
        TEST(test_order);
        TEST(test_ambiguous);
        TEST(test_unknown);
        TEST(test_hostile);

        return tests_end();
}
