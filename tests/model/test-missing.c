/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The texts about missing instances and settings (converge/missing.h). */

#include "daemon/converge/missing.h"
#include "daemon/definitions/define.h"
#include "daemon/model/defined.h"
#include "daemon/model/want.h"
#include "fixture.h"

#define GVT_G  "0000:00:02.0"
#define ABSENT "0000:99:00.0" /* a GPU that the host does not have: its definitions wait for ever */
#define UUID1  "11111111-2222-4333-8444-555555555555"
#define UUID2  "22222222-2222-4333-8444-555555555555"
#define UUID3  "33333333-2222-4333-8444-555555555555"
#define V5_4   "8086/-/-/640/GVTg_V5_4"
#define REASON "a reason of this test"

static void define(Fixture *f, const char *uuid, const char *name, const char *gpu)
{
        _cleanup_definition_ Definition *d = NULL;
        DefineRequest request = { .type = V5_4, .gpu = gpu, .uuid = uuid, .name = name };

        ASSERT_OK(define_prepare(f->model, &request, &d, NULL));
        ASSERT_OK(define_commit(f->model, d, 0, NULL));
}

static void wait_for(Fixture *f, const char *uuid)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;

        (void)vgpud_error_setf(&e, VGPUD_ERROR_NO_SUCH_GPU, REASON);
        want_set_waiting(f->model, want_get(f->model, uuid), &e);
}

static bool mentions(const GPtrArray *texts, guint i, const char *word)
{
        return i < texts->len && strstr(texts->pdata[i], word);
}

static void make_foreign(Fixture *f, FakeGpu *gpu, const char *uuid)
{
        VgpuIo *io = fake_kernel_io(f->kernel);
        g_autofree char *path = g_strdup_printf("%s/mdev_supported_types/i915-GVTg_V5_4/create",
                                                fake_gpu_parent_path(gpu, 0));

        ASSERT_OK(vgpu_io_write(io, path, uuid));
        vgpu_io_free(io);
}

static void test_definitions(void)
{
        _cleanup_fixture_ Fixture f;

        fixture_init(&f);
        fixture_add(&f, fake_add_gvt_g(f.kernel, GVT_G));
        fixture_start(&f);
        ASSERT_EQ(missing_count(f.model), 0);

        define(&f, UUID3, NULL, ABSENT);
        define(&f, UUID2, "two", ABSENT);
        define(&f, UUID1, "one", ABSENT);
        ASSERT_EQ(missing_count(f.model), 0);

        /* The reason is not known at first. The order is that of the UUIDs. */
        want_add(f.model, UUID3);
        want_add(f.model, UUID2);
        ASSERT_EQ(missing_count(f.model), 2);
        wait_for(&f, UUID2);
        g_autoptr(GPtrArray) two = missing_list(f.model, SIZE_MAX);
        ASSERT_EQ(two->len, 2);
        ASSERT_TRUE(mentions(two, 0, UUID2));
        ASSERT_TRUE(mentions(two, 0, "two"));
        ASSERT_TRUE(mentions(two, 0, REASON));
        ASSERT_TRUE(mentions(two, 1, UUID3));
        ASSERT_FALSE(mentions(two, 1, REASON));

        want_add(f.model, UUID1);
        g_autoptr(GPtrArray) first = missing_list(f.model, 1);
        ASSERT_EQ(first->len, 1);
        ASSERT_TRUE(mentions(first, 0, UUID1));
        g_autoptr(GPtrArray) none = missing_list(f.model, 0);
        ASSERT_EQ(none->len, 0);
        ASSERT_EQ(missing_count(f.model), 3);

        /* Neither a definition that is not wanted any more nor one that was removed is missing. */
        want_remove(f.model, UUID1);
        want_remove(f.model, UUID2);
        ASSERT_EQ(missing_count(f.model), 1);
        want_remove(f.model, UUID3);
        ASSERT_OK(defined_remove(f.model, definitions_get(f.model->definitions, UUID3), 0, NULL));
        ASSERT_EQ(missing_count(f.model), 0);
}

static void test_instances(void)
{
        _cleanup_fixture_ Fixture f;
        char uuid[UUID_STRLEN + 1];
        FakeGpu *gpu;

        fixture_init(&f);
        gpu = fake_add_gvt_g(f.kernel, GVT_G);
        fixture_add(&f, gpu);
        fixture_start(&f);

        /* An instance of vgpud is not missing. */
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = V5_4, .uuid = UUID1, .keep = &(CreateKeep){ .gpu = true }),
                                 uuid),
                  VGPUD_ERROR_NONE);
        want_add(f.model, UUID1);
        ASSERT_EQ(missing_count(f.model), 0);

        /* An instance that vgpud removes, because its creation was interrupted, is missing. */
        fixture_get(&f, UUID1)->undo = true;
        g_autoptr(GPtrArray) incomplete = missing_list(f.model, SIZE_MAX);
        ASSERT_EQ(incomplete->len, 1);
        ASSERT_TRUE(mentions(incomplete, 0, "incomplete"));
        ASSERT_EQ(missing_count(f.model), 1);
        fixture_get(&f, UUID1)->undo = false;

        /* A device of another program is not the wanted instance. */
        define(&f, UUID2, NULL, GVT_G);
        make_foreign(&f, gpu, UUID2);
        gpu_want_scan(model_get_gpu(f.model, GVT_G), GPU_SCAN_NOW);
        ASSERT_TRUE(fixture_wait(&f, instance_is_there, (char *)UUID2));
        want_add(f.model, UUID2);
        g_autoptr(GPtrArray) foreign = missing_list(f.model, SIZE_MAX);
        ASSERT_EQ(foreign->len, 1);
        ASSERT_TRUE(mentions(foreign, 0, UUID2));
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_definitions);
        TEST(test_instances);

        return tests_end();
}
