/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Scans that give way to jobs. */

#include "fixture.h"

#define A2    "0000:08:00.0"
#define TYPE  "nvidia-1000"
#define UUID1 "11111111-2222-4333-8444-555555555555"
#define N_VFS 32

static char *parent_name(FakeGpu *g, unsigned n)
{
        return g_path_get_basename(fake_gpu_parent_path(g, n));
}

static Gpu *large(Fixture *f)
{
        return model_get_gpu(f->model, A2);
}

static FakeGpu *start_large(Fixture *f)
{
        FakeGpu *g;

        fixture_init(f);
        g = fake_add_large(f->kernel, A2, N_VFS, 20);
        fixture_add(f, g);
        fixture_start(f);

        return g;
}

typedef struct End {
        Fixture *f;
        bool told;
        uint64_t taken_usec; /* taken_usec of the snapshot at the end of the job */
} End;

static void on_end(Job *job, const VgpudError *error, void *userdata)
{
        End *end = userdata;

        ASSERT_EQ(error->code, VGPUD_ERROR_NONE);
        end->told = true;
        end->taken_usec = large(end->f)->snapshot->taken_usec;
}

static bool has_ended(Fixture *f, void *end)
{
        return ((End *)end)->told;
}

/* A job that comes during a scan runs before the rest of it. */
static void test_gives_way(void)
{
        _cleanup_fixture_ Fixture f;
        FakeGpu *g = start_large(&f);
        g_autofree char *path = g_strdup_printf("%s/mdev_supported_types/" TYPE "/available_instances",
                                                fake_gpu_parent_path(g, 1));
        g_autofree char *parent = parent_name(g, 3);
        uint64_t before = large(&f)->snapshot->taken_usec;
        End end = { .f = &f };
        Job *job;

        fake_hang(f.kernel, "read", path);
        gpu_want_scan(large(&f), GPU_SCAN_NOW);
        ASSERT_TRUE(fixture_wait(&f, wishes_are_carried_out, NULL));
        fake_wait_hanging(f.kernel);
        ASSERT_OK(request_create(f.model, REQUEST(.type = TYPE, .uuid = UUID1, .gpu = A2, .parent = parent),
                                 &job, NULL));
        job_on_finished(job, on_end, &end);
        fake_heal(f.kernel);
        ASSERT_TRUE(fixture_wait(&f, has_ended, &end));
        ASSERT_EQ(end.taken_usec, before);
        ASSERT_NOT_NULL(fixture_get(&f, UUID1));

        /* The scan is not lost. */
        ASSERT_TRUE(fixture_wait(&f, gpu_is_at_rest, (void *)A2));
        ASSERT_TRUE(large(&f)->snapshot->taken_usec > before);
}

/* Jobs without an end: one always waits. */
typedef struct Load {
        Fixture *f;
        unsigned n, failed;
} Load;

static void load_add(Load *l);

static void on_load_end(Job *job, const VgpudError *error, void *userdata)
{
        Load *l = userdata;

        l->failed += error->code != VGPUD_ERROR_NO_CAPACITY;
        if (!l->f->model->stopping)
                load_add(l);
}

static void load_add(Load *l)
{
        Job *job;

        l->n++;
        ASSERT_OK(request_create(l->f->model, REQUEST(.type = TYPE, .gpu = A2, .parent = "0000:08:00.4"), &job,
                                 NULL));
        job_on_finished(job, on_load_end, l);
}

static bool is_scanned(Fixture *f, void *data)
{
        return !large(f)->scan;
}

static void test_gives_way_for_a_while(void)
{
        _cleanup_fixture_ Fixture f;
        FakeGpu *g = start_large(&f);
        Load l = { .f = &f };

        (void)g;
        gpu_want_scan(large(&f), GPU_SCAN_NOW);
        for (unsigned i = 0; i < 3; i++)
                load_add(&l);
        ASSERT_TRUE(fixture_wait(&f, wishes_are_carried_out, NULL));
        ASSERT_NOT_NULL(large(&f)->scan);
        ASSERT_TRUE(fixture_wait(&f, is_scanned, NULL));
        ASSERT_TRUE(l.n > 3);
        fixture_stop(&f);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_gives_way);
        TEST(test_gives_way_for_a_while);

        return tests_end();
}
