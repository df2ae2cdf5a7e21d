/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Arguments that are too long are refused before any other code reads them. Errors repeat little of an
 * argument. No signal is longer than 4 KiB. */

#include <string.h>

#include "dbus/bus-gpu.h"
#include "dbus/message/bus-util.h"
#include "fixture.h"

#define MANAGER VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER
#define LONG    ((size_t)100000) /* below BUS_CALL_SIZE_MAX, which is checked before the arguments */

/* libsystemd drops messages with a path of more than 64 KiB. */
#define PATH_LONG 60000

/* Limit in bytes of an error that repeats a part of a long argument. */
#define ERROR_MAX 700U

DEFINE_DESTROY_NOTIFY(attribute_destroy, vgpu_attribute_free)

static char *long_text(size_t n)
{
        char *text = g_malloc(n + 1);

        memset(text, 'x', n);
        text[n] = '\0';

        return text;
}

static Fixture *root_fixture(void)
{
        Fixture *f = fixture_new(0);

        f->polkit = POLKIT_SAYS_YES; /* needed if the tests run without root */

        return f;
}

/* The call failed with InvalidArgs and a short message that names the argument. */
static void assert_refused(const char *got, const char *argument)
{
        if (!g_str_has_prefix(got, "org.vgpud1.Error.InvalidArgs: "))
                g_error("got %.300s", got);

        assert_contains(got, argument);
        g_assert_cmpuint(strlen(got), <, 200);
}

#define ASSERT_REFUSED(argument, ...)                         \
        do {                                                  \
                g_autofree char *_t = CALL_TEXT(__VA_ARGS__); \
                assert_refused(_t, argument);                 \
        } while (0)

static void test_arguments(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autofree char *text = long_text(LONG);

        ASSERT_REFUSED("'gpu'", f, 0, MANAGER, "Create", "ssa{sv}", text, "mdpy-xga", 0);
        ASSERT_REFUSED("'type'", f, 0, MANAGER, "Create", "ssa{sv}", "mdpy", text, 0);
        ASSERT_REFUSED("'instance'", f, 0, MANAGER, "Destroy", "sa{sv}", text, 0);
        ASSERT_REFUSED("'name'", f, 0, MANAGER, "GetGpu", "sa{sv}", text, 0);
        ASSERT_REFUSED("'name'", f, 0, MANAGER, "GetInstance", "sa{sv}", text, 0);
        ASSERT_REFUSED("'type'", f, 0, MANAGER, "Place", "sa{sv}", text, 0);
        ASSERT_REFUSED("'mode'", f, 0, PATH_GPU, VGPUD_INTERFACE_GPU, "Configure", "ssa{sv}", text, "x", 0);
        ASSERT_REFUSED("'value'", f, 0, PATH_GPU, VGPUD_INTERFACE_GPU, "Configure", "ssa{sv}", "x", text, 0);
        ASSERT_REFUSED("'gpu'", f, 0, MANAGER, "ListInstances", "a{sv}", 1, "gpu", "s", text);
        g_assert_cmpuint(fake_model(f->model)->creates, ==, 0);
        g_assert_cmpuint(fake_model(f->model)->configures, ==, 0);
        g_assert_cmpuint(fake_model(f->model)->places, ==, 0);
}

static void test_options(void)
{
        static const char *const options[] = { "uuid", "name", "parent", "strategy", "near", "pool" };
        g_autoptr(Fixture) f = root_fixture();
        g_autofree char *text = long_text(LONG);

        for (size_t i = 0; i < G_N_ELEMENTS(options); i++)
                ASSERT_REFUSED(options[i], f, 0, MANAGER, "Create", "ssa{sv}", "", "mdpy-xga", 1, options[i],
                               "s", text);
        /* Place has the options from "strategy" on. */
        for (size_t i = 3; i < G_N_ELEMENTS(options); i++)
                ASSERT_REFUSED(options[i], f, 0, MANAGER, "Place", "sa{sv}", "mdpy-xga", 1, options[i], "s",
                               text);
        g_assert_cmpuint(fake_model(f->model)->creates, ==, 0);
        g_assert_cmpuint(fake_model(f->model)->places, ==, 0);
}

/* Values of exactly the maximum length are accepted. The name "a" takes one byte of the attributes. */
static void test_largest(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autofree char *name = long_text(BUS_MAX_NAME), *value = long_text(BUS_MAX_ATTRIBUTE_BYTES - 1);

        g_free(CALL_TEXT(f, 0, MANAGER, "Create", "ssa{sv}", "mdpy", "mdpy-xga", 2, "name", "s", name,
                         "attributes", "a(ss)", 1, "a", value));
        g_assert_cmpuint(fake_model(f->model)->creates, ==, 1);
        g_assert_cmpstr(fake_model(f->model)->name, ==, name);
}

static void test_attributes(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autofree char *text = long_text(LONG), *half = long_text(BUS_MAX_ATTRIBUTE_BYTES / 2);

        ASSERT_REFUSED("'attributes'", f, 0, MANAGER, "Create", "ssa{sv}", "mdpy", "mdpy-xga", 1, "attributes",
                       "a(ss)", 1, "a", text);
        ASSERT_REFUSED("'attributes'", f, 0, MANAGER, "Create", "ssa{sv}", "mdpy", "mdpy-xga", 1, "attributes",
                       "a(ss)", 1, text, "1");
        ASSERT_REFUSED("'attributes'", f, 0, MANAGER, "Create", "ssa{sv}", "mdpy", "mdpy-xga", 1, "attributes",
                       "a(ss)", 2, "a", half, "b", half);
        g_assert_cmpuint(fake_model(f->model)->creates, ==, 0);
}

static void test_columns(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autofree char *got = NULL;
        g_autoptr(Call) c = NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

        g_assert_cmpint(sd_bus_message_new_method_call(f->client, &m, VGPUD_BUS_NAME, MANAGER, "ListInstances"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "{sv}"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'e', "sv"), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "s", "columns"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'v', "as"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "s"), >=, 0);
        for (unsigned i = 0; i <= BUS_MAX_COLUMNS; i++)
                g_assert_cmpint(sd_bus_message_append(m, "s", "uuid"), >=, 0);
        for (unsigned i = 0; i < 4; i++)
                g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        c = call_send(f, m);
        fixture_settle(f);
        got = call_text(c);
        assert_refused(got, "'columns'");
}

static void test_destroy_many(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autofree char *text = long_text(LONG), *path = g_strdup_printf("/%.*s", PATH_LONG, text);
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        g_autoptr(Call) c = NULL;
        g_autofree char *got = NULL;

        ASSERT_REFUSED("'instances'", f, 0, MANAGER, "DestroyMany", "aoa{sv}", 1, path, 0);

        g_assert_cmpint(sd_bus_message_new_method_call(f->client, &m, VGPUD_BUS_NAME, MANAGER, "DestroyMany"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "o"), >=, 0);
        for (unsigned i = 0; i <= BUS_MAX_INSTANCES; i++)
                g_assert_cmpint(sd_bus_message_append(m, "o", PATH_A), >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "a{sv}", 0), >=, 0);
        c = call_send(f, m);
        fixture_settle(f);
        got = call_text(c);
        assert_refused(got, "'instances'");
        g_assert_cmpuint(fake_model(f->model)->destroys, ==, 0);
}

/* libsystemd would repeat these texts in its own error, which would be longer than the call. */
static void test_library_answers(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autofree char *huge = long_text((size_t)1 << 20);
        g_autofree char *text = long_text(LONG), *path = g_strdup_printf("/%.*s", PATH_LONG, text);

        ASSERT_REFUSED("path", f, 0, path, VGPUD_INTERFACE_MANAGER, "ListGpus", "a{sv}", 0);
        ASSERT_REFUSED("call", f, 0, VGPUD_PATH_ROOT, "org.freedesktop.DBus.Properties", "GetAll", "s", text);
        ASSERT_REFUSED("call", f, 0, VGPUD_PATH_ROOT, "org.freedesktop.DBus.Properties", "Get", "ss", text,
                       "Version");
        ASSERT_REFUSED("call", f, 0, "/org/freedesktop/LogControl1", "org.freedesktop.DBus.Properties", "Set",
                       "ssv", "org.freedesktop.LogControl1", "LogLevel", "s", text);
        ASSERT_REFUSED("call", f, 0, MANAGER, "Destroy", "sa{sv}", huge, 0);
        ASSERT_REFUSED("call", f, 0, VGPUD_PATH_ROOT, "org.example.Other", "Nothing", "a{sv}", 1, "x", "s",
                       text);

        /* Ordinary calls of other interfaces pass. */
        g_autofree char *version = CALL_TEXT(f, 0, VGPUD_PATH_ROOT, "org.freedesktop.DBus.Properties", "Get",
                                             "ss", VGPUD_INTERFACE_MANAGER, "Version");
        g_assert_true(g_str_has_prefix(version, "<s "));
}

/* An error repeats little of the name of an unknown option, and escapes characters that control a terminal. */
static void test_echo(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autofree char *text = long_text(LONG), *got = NULL;

        got = CALL_TEXT(f, 0, MANAGER, "ListGpus", "a{sv}", 1, text, "s", "x");
        g_assert_true(g_str_has_prefix(got, "org.vgpud1.Error.InvalidArgs: "));
        g_assert_cmpuint(strlen(got), <, ERROR_MAX);
        g_free(got);

        got = CALL_TEXT(f, 0, MANAGER, "ListGpus", "a{sv}", 1,
                        "a\x1b[31m\nb\xc2\x9b"
                        "c\xe2\x80\xae"
                        "d",
                        "s", "x");
        assert_contains(got, "'a\\x1b[31m\\nb\\x9bc\\u202ed'");
}

/* ---- signals ---- */

static void reset_signals(Fixture *f)
{
        fixture_settle(f);
        g_string_truncate(f->log, 0);
        f->largest_signal = f->signals = 0;
}

static void add_vfs(Gpu *gpu, unsigned n)
{
        for (unsigned i = 0; i < n; i++) {
                g_autofree char *name = g_strdup_printf("0000:41:%02x.%x", i / 8, i % 8);

                g_ptr_array_add(gpu->facts->vfs, vgpu_vf_new(i, name, "devices/x"));
        }
}

static void bind_vfs(Gpu *gpu, const char *driver)
{
        GpuSnapshot *next = gpu_snapshot_predict(gpu->snapshot, NULL, NULL);

        g_ptr_array_set_size(next->bindings, 0);
        for (guint i = 0; i < gpu->facts->vfs->len; i++) {
                const VgpuVf *vf = gpu->facts->vfs->pdata[i];

                VgpuVfBinding *b = g_new0(VgpuVfBinding, 1);

                *b = (VgpuVfBinding){ .name = g_strdup(vf->name),
                                      .driver = g_strdup(driver),
                                      .override = g_strdup(driver) };
                g_ptr_array_add(next->bindings, b);
        }

        gpu_snapshot_unref(gpu->snapshot);
        gpu->snapshot = next;
}

/* A change of many VFs is sent in several signals, which together have each row once. */
static void test_vfs_changed(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        unsigned n = 0;

        add_vfs(f->gpu, 100);
        bind_vfs(f->gpu, "a-driver-of-the-host-with-a-long-name");
        f->model->events->gpu_changed(f->gpu, GPU_CHANGED_VFS, f->model->events_userdata);
        reset_signals(f);

        bind_vfs(f->gpu, "another-driver-with-a-name-as-long-as-it");
        f->model->events->gpu_changed(f->gpu, GPU_CHANGED_VFS, f->model->events_userdata);
        fixture_settle(f);
        g_assert_cmpuint(f->largest_signal, <=, 4096);
        g_assert_cmpuint(f->signals, >, 2);
        for (const char *p = f->log->str; (p = strstr(p, "\"another-driver")); p++)
                n++;
        g_assert_cmpuint(n, ==, 2 * 100); /* driver and driver_override */
}

static void test_objects(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        g_autofree char *text = long_text(LONG);
        Instance *instance;
        Gpu *gpu;

        reset_signals(f);
        gpu = fake_model_add_gpu(f->model, "mbochs");
        gpu->reason = g_strdup(text);
        vgpud_hint_setf(&gpu->hint, VGPUD_HINT_SEE_MANUAL, "%s", text);
        g_free(gpu->facts->device_name);
        gpu->facts->device_name = g_strdup(text);
        add_vfs(gpu, 256);
        f->model->events->gpu_added(gpu, f->model->events_userdata);
        instance = fake_model_add_instance(gpu, "cccccccc-0000-4000-8000-00000000000c", INSTANCE_ORIGIN_VGPUD,
                                           0, "x");
        instance->desc->attributes = g_ptr_array_new_with_free_func(attribute_destroy);
        for (unsigned i = 0; i < 100; i++)
                g_ptr_array_add(instance->desc->attributes, vgpu_attribute_new("quota", "1073741824"));
        f->model->events->instance_added(instance, f->model->events_userdata);
        fixture_settle(f);
        g_assert_cmpuint(f->signals, >=, 2);
        g_assert_cmpuint(f->largest_signal, <=, 4096);

        reset_signals(f);
        f->model->events->gpu_changed(gpu, GPU_CHANGED_STATE | GPU_CHANGED_FACTS, f->model->events_userdata);
        fixture_settle(f);
        g_assert_cmpuint(f->signals, >=, 1);
        g_assert_cmpuint(f->largest_signal, <=, 4096);
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/limits/arguments", test_arguments);
        g_test_add_func("/limits/options", test_options);
        g_test_add_func("/limits/largest", test_largest);
        g_test_add_func("/limits/attributes", test_attributes);
        g_test_add_func("/limits/columns", test_columns);
        g_test_add_func("/limits/destroy-many", test_destroy_many);
        g_test_add_func("/limits/library-answers", test_library_answers);
        g_test_add_func("/limits/echo", test_echo);
        g_test_add_func("/limits/vfs-changed", test_vfs_changed);
        g_test_add_func("/limits/objects", test_objects);

        return g_test_run();
}
