/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The kept settings on disk. test-store-definitions.c has the tests of what all folders of JSON files share. */

#include "daemon/store/settings.h"

#include <sys/syscall.h>

#include "base/fs-util.h"
#include "base/log.h"
#include "drivers-glue/attribute.h"
#include "scratch.h"
#include "tests.h"

#define GPU_A  "0000:41:00.0"
#define GPU_B  "mdpy"
#define FILE_A "gpus/" GPU_A ".json"
#define HEAD   "\"version\":1,\"writer\":0,\"written\":5"

static void settings_freep(Settings **s)
{
        *s = settings_free(*s);
}
#define _cleanup_settings_ _cleanup_(settings_freep)

/* Functions of the test hide functions of the C library: the next call of `call` fails. */
static struct {
        const char *call;
        int error;
} fault;

static bool fault_hits(const char *call)
{
        if (!fault.call || strcmp(fault.call, call) != 0)
                return false;

        fault.call = NULL;
        errno = fault.error;

        return true;
}

int fsync(int fd)
{
        return fault_hits("fsync") ? -1 : (int)syscall(SYS_fsync, fd);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
        return fault_hits("renameat") ? -1 : (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, 0);
}

int unlinkat(int fd, const char *name, int flags)
{
        return fault_hits("unlinkat") ? -1 : (int)syscall(SYS_unlinkat, fd, name, flags);
}

static GpuSettings *make(const char *gpu)
{
        GpuSettings *s = gpu_settings_new(gpu);

        s->vendor = 0x10de;
        s->device = 0x26b9;
        s->vfs = 8;
        s->writer = 1000;
        s->written_usec = 7;
        gpu_settings_set_mode(s, "mig", "no");
        gpu_settings_set_mode(s, "heterogeneous", "\xc3\xa4\\\"");

        return s;
}

static void assert_equal(const GpuSettings *a, const GpuSettings *b)
{
        ASSERT_STREQ(a->gpu, b->gpu);
        ASSERT_EQ(a->vendor, b->vendor);
        ASSERT_EQ(a->device, b->device);
        ASSERT_EQ(a->vfs, b->vfs);
        ASSERT_EQ(a->writer, b->writer);
        ASSERT_EQ(a->written_usec, b->written_usec);
        ASSERT_EQ(a->modes->len, b->modes->len);

        for (guint i = 0; i < a->modes->len; i++) {
                const VgpuAttribute *x = a->modes->pdata[i], *y = b->modes->pdata[i];

                ASSERT_STREQ(x->name, y->name);
                ASSERT_STREQ(x->value, y->value);
        }
}

static bool has_file(const Scratch *s, const char *name)
{
        return faccessat(s->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) >= 0;
}

static void test_life(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        _cleanup_gpu_settings_ GpuSettings *a = make(GPU_A), *b = gpu_settings_new(GPU_B);
        _cleanup_settings_ Settings *first = settings_new(s.path), *second = NULL, *third = NULL;

        ASSERT_NULL(settings_get(first, GPU_A));
        ASSERT_OK(settings_put(first, b, NULL)); /* nothing to keep */
        ASSERT_FALSE(has_file(&s, "gpus/" GPU_B ".json"));
        ASSERT_OK(settings_put(first, a, NULL));
        gpu_settings_set_mode(b, "x", "1");
        ASSERT_OK(settings_put(first, b, NULL));
        gpu_settings_set_mode(a, "mig", "yes");
        ASSERT_STREQ(gpu_settings_get_mode(settings_get(first, GPU_A), "mig"), "no");
        ASSERT_OK(settings_put(first, a, NULL));

        second = settings_new(s.path);
        ASSERT_EQ(settings_errors(second)->len, 0);
        assert_equal(settings_get(second, GPU_A), a);
        assert_equal(settings_get(second, GPU_B), b);
        ASSERT_EQ(settings_get(second, GPU_B)->vendor, 0);
        g_autoptr(GPtrArray) all = settings_list(second);
        ASSERT_EQ(all->len, 2);
        ASSERT_STREQ(((const GpuSettings *)all->pdata[1])->gpu, GPU_B);

        gpu_settings_set_mode(b, "x", NULL);
        ASSERT_OK(settings_put(second, b, NULL));
        ASSERT_NULL(settings_get(second, GPU_B));
        third = settings_new(s.path);
        ASSERT_NULL(settings_get(third, GPU_B));
        assert_equal(settings_get(third, GPU_A), a);
}

/* A change that fails leaves disk and memory as they were. */
static void test_faults(void)
{
        static const char *const calls[] = { "fsync", "renameat", "unlinkat" };
        _cleanup_scratch_ Scratch s = scratch_new();
        _cleanup_gpu_settings_ GpuSettings *a = make(GPU_A), *none = gpu_settings_new(GPU_A);
        _cleanup_settings_ Settings *settings = settings_new(s.path);

        log_set_max_level(LOG_CRIT);
        ASSERT_OK(settings_put(settings, a, NULL));

        for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
                _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
                _cleanup_settings_ Settings *again = NULL;

                a->vfs = 9;
                fault.call = calls[i];
                fault.error = ENOSPC;
                ASSERT_ERROR(settings_put(settings, i == 2 ? none : a, &error), EIO);
                ASSERT_EQ(error.errnum, ENOSPC);
                ASSERT_EQ(settings_get(settings, GPU_A)->vfs, 8);
                again = settings_new(s.path);
                ASSERT_EQ(settings_get(again, GPU_A)->vfs, 8);
                ASSERT_FALSE(has_file(&s, "gpus/." GPU_A ".json.tmp"));
        }
}

static void test_damaged(void)
{
        static const char *const texts[] = {
                "",
                "{" HEAD,
                "{" HEAD ",\"vfs\":0}",
                "{" HEAD ",\"vfs\":-1}",
                "{" HEAD ",\"vfs\":65536}",
                "{" HEAD ",\"vfs\":\"8\"}",
                "{" HEAD ",\"vfs\":8,\"vfs\":8}",
                "{" HEAD ",\"vendor\":65536}",
                "{" HEAD ",\"other\":1}",
                "{" HEAD ",\"modes\":{}}",
                "{" HEAD ",\"modes\":[{\"name\":\"mig\"}]}",
                "{" HEAD ",\"modes\":[{\"name\":\"\",\"value\":\"x\"}]}",
                "{" HEAD ",\"modes\":[{\"name\":\"mig\",\"value\":\"a\\nb\"}]}",
                "{" HEAD ",\"modes\":[{\"name\":\"mig\",\"value\":\"a\"},{\"name\":\"mig\",\"value\":\"b\"}]}",
                "{\"version\":0,\"writer\":0,\"written\":5}",
                "{\"version\":1,\"written\":5}",
                "{\"version\":1,\"writer\":0}",
        };

        log_set_max_level(LOG_CRIT);

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
                _cleanup_scratch_ Scratch s = scratch_new();
                _cleanup_gpu_settings_ GpuSettings *a = make(GPU_A);
                _cleanup_settings_ Settings *settings = NULL;

                scratch_directory(&s, "gpus");
                scratch_file(&s, FILE_A, texts[i]);
                settings = settings_new(s.path);
                ASSERT_NULL(settings_get(settings, GPU_A));
                ASSERT_EQ(settings_errors(settings)->len, 1);
                ASSERT_CONTAINS(settings_errors(settings)->pdata[0], GPU_A ".json.damaged");
                ASSERT_TRUE(has_file(&s, FILE_A ".damaged"));
                ASSERT_OK(settings_put(settings, a, NULL));
        }
}

/* The file of a newer vgpud stays, and is not replaced. */
static void test_newer(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        _cleanup_gpu_settings_ GpuSettings *a = make(GPU_A);
        _cleanup_settings_ Settings *settings = NULL;

        log_set_max_level(LOG_CRIT);
        scratch_directory(&s, "gpus");
        scratch_file(&s, FILE_A, "{\"version\":2,\"new\":[]}");
        settings = settings_new(s.path);
        ASSERT_EQ(settings_errors(settings)->len, 1);
        ASSERT_TRUE(has_file(&s, FILE_A));
        ASSERT_ERROR(settings_put(settings, a, &error), EIO);
        ASSERT_EQ(error.errnum, EEXIST);
        ASSERT_EQ(error.hint.id, VGPUD_HINT_REMOVE_BY_HAND);
}

static void test_limits(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        _cleanup_gpu_settings_ GpuSettings *a = make(GPU_A);
        _cleanup_settings_ Settings *settings = settings_new(s.path);

        for (guint i = a->modes->len; i <= GPU_SETTINGS_MODES_MAX; i++) {
                g_autofree char *name = g_strdup_printf("mode%u", i);

                gpu_settings_set_mode(a, name, "x");
        }

        ASSERT_ERROR(settings_put(settings, a, NULL), EINVAL);
        gpu_settings_set_mode(a, "mig", NULL);
        ASSERT_OK(settings_put(settings, a, NULL));
        g_autofree char *value = g_strnfill(256, 'x');
        gpu_settings_set_mode(a, "mode5", value);
        ASSERT_ERROR(settings_put(settings, a, NULL), EINVAL);
        ASSERT_STREQ(gpu_settings_get_mode(settings_get(settings, GPU_A), "mode5"), "x");
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_life);
        TEST(test_faults);
        TEST(test_damaged);
        TEST(test_newer);
        TEST(test_limits);

        return tests_end();
}
