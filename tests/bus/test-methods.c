/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The requests of methods to the model, and the answers. The caller is root, so polkit is not asked. */

#include <string.h>

#include "fixture.h"

#define CREATE(f, ...) \
        CALL_TEXT(f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "Create", "ssa{sv}", __VA_ARGS__)
#define JOB1 VGPUD_PATH_JOB "/1"

static Fixture *root_fixture(void)
{
        Fixture *f = fixture_new(0);

        f->polkit = POLKIT_SAYS_YES; /* the tests may run without root */

        return f;
}

static void assert_text(char *got, const char *expected)
{
        g_assert_cmpstr(got, ==, expected);
        g_free(got);
}

static void test_create(void)
{
        g_autoptr(Fixture) f = root_fixture();
        Model *m = f->model;

        assert_text(CREATE(f, "mdpy", "mdpy-xga", 0),
                    "\"" JOB1 "\" [\"" VGPUD_PATH_INSTANCE "/00000000_0000_4000_8000_000000000001\"]");
        g_assert_cmpstr(fake_model(m)->gpu, ==, "mdpy");
        g_assert_cmpstr(fake_model(m)->type, ==, "mdpy-xga");
        g_assert_null(fake_model(m)->uuid);
        g_assert_null(fake_model(m)->name);
        g_assert_null(fake_model(m)->parent);
        g_assert_cmpstr(fake_model(m)->attributes, ==, "");
        g_assert_cmpuint(fake_model(m)->count, ==, 1);
        g_assert_cmpuint(fake_model(m)->requester, ==, f->uid);
        g_assert_cmpstr(f->log->str, ==, "+" JOB1 " reply ");
}

static void test_create_options(void)
{
        g_autoptr(Fixture) f = root_fixture();
        Model *m = f->model;

        assert_text(CREATE(f, "mdpy", "Virtual XGA", 6, "name", "s", "desk2", "uuid", "s", UUID_A, "parent",
                           "s", "mdpy", "attributes", "a(ss)", 2, "a", "1", "b/c", "", "timeout_usec", "t",
                           (uint64_t)1000000, "wait", "b", false),
                    "\"" JOB1 "\" [\"" VGPUD_PATH_INSTANCE "/00000000_0000_4000_8000_000000000001\"]");
        g_assert_cmpstr(fake_model(m)->type, ==, "mdpy-xga"); /* the id, as polkit was told */
        g_assert_cmpstr(fake_model(m)->uuid, ==, UUID_A);
        g_assert_cmpstr(fake_model(m)->name, ==, "desk2");
        g_assert_cmpstr(fake_model(m)->parent, ==, "mdpy");
        g_assert_cmpstr(fake_model(m)->attributes, ==, "a=1;b/c=;");

        assert_text(CREATE(f, "mdpy", "mdpy-xga", 1, "count", "u", 2),
                    "\"" VGPUD_PATH_JOB "/2\" [\"" VGPUD_PATH_INSTANCE
                    "/00000000_0000_4000_8000_000000000001\", \"" VGPUD_PATH_INSTANCE
                    "/00000000_0000_4000_8000_000000000002\"]");
        g_assert_cmpuint(fake_model(m)->count, ==, 2);
}

static void test_create_any_gpu(void)
{
        g_autoptr(Fixture) f = root_fixture();

        fake_model(f->model)->any_gpu = "mdpy";
        assert_text(CREATE(f, "", "mdpy-xga", 0),
                    "\"" JOB1 "\" [\"" VGPUD_PATH_INSTANCE "/00000000_0000_4000_8000_000000000001\"]");
        g_assert_cmpstr(fake_model(f->model)->gpu, ==, "mdpy");
}

static void test_bad_options(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autoptr(Call) many = NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

#define INVALID "org.vgpud1.Error.InvalidArgs: "
        assert_text(CREATE(f, "mdpy", "mdpy-xga", 1, "colour", "s", "red"),
                    INVALID "there is no option 'colour'");
        assert_text(CREATE(f, "mdpy", "mdpy-xga", 1, "", "s", "red"), INVALID "there is no option ''");
        assert_text(CREATE(f, "mdpy", "mdpy-xga", 1, "wait", "s", "yes"),
                    INVALID "option 'wait' must have the D-Bus type b, not s");
        assert_text(CREATE(f, "mdpy", "mdpy-xga", 1, "count", "t", (uint64_t)1),
                    INVALID "option 'count' must have the D-Bus type u, not t");
        assert_text(CREATE(f, "mdpy", "mdpy-xga", 1, "attributes", "as", 0),
                    INVALID "option 'attributes' must have the D-Bus type a(ss), not as");
        assert_text(CREATE(f, "mdpy", "mdpy-xga", 2, "name", "s", "a", "name", "s", "b"),
                    INVALID "option 'name' is given twice");
        assert_text(CREATE(f, "mdpy", "mdpy-xga", 1, "count", "u", 0),
                    INVALID "option 'count' must be from 1 to 1024, not 0");
        assert_text(CREATE(f, "mdpy", "mdpy-xga", 1, "count", "u", 1025),
                    INVALID "option 'count' must be from 1 to 1024, not 1025");
        assert_text(CREATE(f, "mdpy", "mdpy-xga", 1, "timeout_usec", "t", (uint64_t)0),
                    INVALID "option 'timeout_usec' must be from 1000000 to 3600000000, not 0");
        assert_text(CREATE(f, "mdpy", "mdpy-xga", 1, "timeout_usec", "t", (uint64_t)3600000001),
                    INVALID "option 'timeout_usec' must be from 1000000 to 3600000000, not 3600000001");
        assert_call(INVALID "there is no option 'wait'", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER,
                    "GetGpu", "sa{sv}", "mdpy", 1, "wait", "b", true);
        assert_call(INVALID "there is no option 'wait'", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER,
                    "GetInstance", "sa{sv}", UUID_A, 1, "wait", "b", true);
        assert_call(INVALID "there is no option 'name'", f, 0, PATH_GPU, VGPUD_INTERFACE_GPU, "Rescan", "a{sv}",
                    1, "name", "s", "x");
        assert_call(INVALID "there is no option 'name'", f, 0, PATH_A, VGPUD_INTERFACE_INSTANCE, "Destroy",
                    "a{sv}", 1, "name", "s", "x");
        fake_model_add_job(f->gpu, &fake_kind_rescan, f->uid);
        assert_call(INVALID "there is no option 'wait'", f, 0, JOB1, VGPUD_INTERFACE_JOB, "Cancel", "a{sv}", 1,
                    "wait", "b", true);

        g_assert_cmpint(sd_bus_message_new_method_call(f->client, &m, NULL, VGPUD_PATH_ROOT,
                                                       VGPUD_INTERFACE_MANAGER, "Create"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_set_sender(m, ":1.7"), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "ss", "mdpy", "mdpy-xga"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "{sv}"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'e', "sv"), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "s", "attributes"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'v', "a(ss)"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "(ss)"), >=, 0);

        for (unsigned i = 0; i < 65; i++)
                g_assert_cmpint(sd_bus_message_append(m, "(ss)", "a", "1"), >=, 0);
        for (unsigned i = 0; i < 4; i++)
                g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        many = call_send(f, m);
        fixture_settle(f);
        assert_text(call_text(many), INVALID "option 'attributes' has more than 64 entries");

        g_assert_cmpuint(fake_model(f->model)->creates + fake_model(f->model)->destroys +
                                         fake_model(f->model)->rescans + fake_model(f->model)->cancels,
                         ==, 0);
        g_assert_cmpuint(f->asked, ==, 0);
}

/* The message of the model reaches the caller, under the name of the code. */
static void test_errors_of_the_model(void)
{
        g_autoptr(Fixture) f = root_fixture();

        fake_model(f->model)->fail_message = "\xff is full";

        for (VgpudErrorCode code = VGPUD_ERROR_NONE + 1; code < _VGPUD_ERROR_MAX; code++) {
                g_autofree char *expected =
                                g_strdup_printf("%s: \xef\xbf\xbd is full", vgpud_error_code_to_dbus(code));
                g_autofree char *got = NULL;

                fake_model(f->model)->fail_next = code;
                got = CREATE(f, "mdpy", "mdpy-xga", 0);
                g_assert_cmpstr(got, ==, expected);
        }

        assert_text(CREATE(f, "nothing", "mdpy-xga", 0),
                    "org.vgpud1.Error.NoSuchGpu: there is no GPU 'nothing'");
        assert_call("org.vgpud1.Error.NoSuchInstance: there is no instance 'x'", f, 0, VGPUD_PATH_ROOT,
                    VGPUD_INTERFACE_MANAGER, "Destroy", "sa{sv}", "x", 0);
        assert_call("org.vgpud1.Error.NoSuchInstance: there is no instance 'x'", f, 0, VGPUD_PATH_ROOT,
                    VGPUD_INTERFACE_MANAGER, "GetInstance", "sa{sv}", "x", 0);
        assert_call("org.vgpud1.Error.NoSuchGpu: there is no GPU 'x'", f, 0, VGPUD_PATH_ROOT,
                    VGPUD_INTERFACE_MANAGER, "GetGpu", "sa{sv}", "x", 0);
}

static void test_get(void)
{
        g_autoptr(Fixture) f = root_fixture();

        assert_call("\"" PATH_GPU "\"", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "GetGpu", "sa{sv}",
                    "mdpy", 0);
        assert_call("\"" PATH_A "\"", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "GetInstance", "sa{sv}",
                    UUID_A, 0);
}

static void test_list(void)
{
        g_autoptr(Fixture) f = root_fixture();

        assert_call("[(\"" PATH_A "\", \"" UUID_A
                    "\", \"desk\", \"mdpy-xga\", \"active\", \"vgpud\", \"mdpy\", \"mdpy\", 0, 1700000001000000), (\"" PATH_B
                    "\", \"" UUID_B
                    "\", \"\", \"mdpy-xga\", \"active\", \"foreign\", \"mdpy\", \"mdpy\", 4294967295, 0)]",
                    f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ListInstances", "a{sv}", 0);
        assert_call("[(\"mdpy\", \"bare\", \"bare\", \"\", 0, 0, 0, 0, 0, 0, 0), (\"mdpy\", \"mdpy-xga\", \"Virtual XGA\", \"vfio-pci\", 3, 8, 3145728, 1, 60, 1024, 768)]",
                    f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ListTypes", "a{sv}", 0);
        assert_call(INVALID "there is no option 'gpu'", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER,
                    "ListInstances", "a{sv}", 1, "gpu", "s", "mdpy");
        assert_call(INVALID "there is no option 'gpu'", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER,
                    "ListTypes", "a{sv}", 1, "gpu", "s", "mdpy");
}

#define HINTS(strategy, node, preferred, near, pool)                                                           \
        "strategy", "s", strategy, "numa_node", "i", node, "preferred_numa_node", "i", preferred, "near", "s", \
                        near, "pool", "s", pool

static void test_create_hints(void)
{
        g_autoptr(Fixture) f = root_fixture();

        fake_model(f->model)->any_gpu = "mdpy";
        assert_text(CREATE(f, "", "mdpy-xga", 0),
                    "\"" JOB1 "\" [\"" VGPUD_PATH_INSTANCE "/00000000_0000_4000_8000_000000000001\"]");
        g_assert_cmpstr(fake_model(f->model)->hints, ==, NULL);
        assert_text(CREATE(f, "", "mdpy-xga", 5, HINTS("depth", 1, 0, "0000:41:00.0", "ai")),
                    "\"" VGPUD_PATH_JOB "/2\" [\"" VGPUD_PATH_INSTANCE
                    "/00000000_0000_4000_8000_000000000001\"]");
        g_assert_cmpstr(fake_model(f->model)->hints, ==, "depth 1 0 0000:41:00.0 ai");
        assert_text(CREATE(f, "", "mdpy-xga", 1, "numa_node", "i", -2),
                    "\"" VGPUD_PATH_JOB "/3\" [\"" VGPUD_PATH_INSTANCE
                    "/00000000_0000_4000_8000_000000000001\"]");
        g_assert_cmpstr(fake_model(f->model)->hints, ==, "- -2 -1 - -");
        assert_text(CREATE(f, "", "mdpy-xga", 1, "numa_node", "u", 1),
                    INVALID "option 'numa_node' must have the D-Bus type i, not u");
}

/* An entry of a dictionary. */
#define E(key, value) "{\"" key "\", <" value ">}"

static void test_place(void)
{
        g_autoptr(Fixture) f = root_fixture();

#define PLACE(text, ...) \
        assert_call(text, f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "Place", "sa{sv}", __VA_ARGS__)
#define NUMBERS(room, available, promised, spare, instances, node)                                   \
        E("room", "u " room)                                                                         \
        ", " E("available", "u " available) ", " E("promised", "u " promised) ", " E(                \
                        "spare", "u " spare) ", " E("instances", "u " instances) ", " E("numa_node", \
                                                                                        "i " node)
#define ERROR(name) E("error", "s \"org.vgpud1.Error." name "\"")
#define FIRST       "(\"" PATH_GPU "\", [" E("name", "s \"mdpy\"") ", " E("type", "s \"mdpy-xga\"") ", "
#define SECOND                                                                                               \
        "(\"" VGPUD_PATH_GPU "/mtty\", [" E("name", "s \"mtty\"") ", " E("fits", "b false") ", " E(          \
                        "reason", "s \"it is not there\"") ", " ERROR("GpuGone") ", " NUMBERS("0", "0", "0", \
                                                                                              "0", "0",      \
                                                                                              "-1") "])"
        PLACE("\"" PATH_GPU "\" \"depth\" [" FIRST E("fits", "b true") ", " NUMBERS("2", "5", "2", "1", "7",
                                                                                    "3") "]), " SECOND "]",
              "mdpy-xga", 0);
        g_assert_cmpstr(fake_model(f->model)->hints, ==, "- -1 -1 - -");
        PLACE("\"/\" \"depth\" [" FIRST
                              E("fits", "b false") ", " E("reason", "s \"it has room for 2, not for 3: 5 can be made, 2 of them are promised to jobs that wait, 1 is kept spare\"") ", " ERROR(
                                              "NoCapacity") ", " NUMBERS("2", "5", "2", "1", "7",
                                                                         "3") ", " E("distance",
                                                                                     "u 0") "]), " SECOND "]",
              "mdpy-xga", 6, "count", "u", 3, HINTS("x", 1, 0, "a", "b"));
        g_assert_cmpstr(fake_model(f->model)->hints, ==, "x 1 0 a b");
        PLACE(INVALID "option 'count' must be from 1 to 1024, not 0", "mdpy-xga", 1, "count", "u", 0);
        PLACE(INVALID "there is no option 'wait'", "mdpy-xga", 1, "wait", "b", true);
        PLACE("org.vgpud1.Error.NoSuchType: there is no type \"x\"; offered are bare, mdpy-xga", "x", 0);
        g_assert_cmpuint(fake_model(f->model)->places, ==, 3);
        g_assert_cmpuint(fake_model(f->model)->creates, ==, 0);
}

static void test_destroy(void)
{
        g_autoptr(Fixture) f = root_fixture();
        Model *m = f->model;

        assert_call("\"" JOB1 "\"", f, 0, PATH_A, VGPUD_INTERFACE_INSTANCE, "Destroy", "a{sv}", 1,
                    "timeout_usec", "t", (uint64_t)3600000000);
        g_assert_cmpstr(fake_model(m)->uuid, ==, UUID_A);
        g_assert_false(fake_model(m)->foreign);
        g_assert_cmpuint(fake_model(m)->requester, ==, f->uid);

        /* The option allows foreign instances; this one is none. */
        assert_call("\"" VGPUD_PATH_JOB "/2\"", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "Destroy",
                    "sa{sv}", UUID_A, 1, "foreign", "b", true);
        g_assert_false(fake_model(m)->foreign);
}

static void test_destroy_foreign(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autofree char *got = CALL_TEXT(f, 0, PATH_B, VGPUD_INTERFACE_INSTANCE, "Destroy", "a{sv}", 0);

        g_assert_true(g_str_has_prefix(got, "org.vgpud1.Error.Foreign: vgpud did not make instance " UUID_B));
        g_assert_cmpuint(fake_model(f->model)->destroys, ==, 0);
        assert_call("\"" JOB1 "\"", f, 0, PATH_B, VGPUD_INTERFACE_INSTANCE, "Destroy", "a{sv}", 1, "foreign",
                    "b", true);
        g_assert_true(fake_model(f->model)->foreign);
        g_assert_cmpstr(fake_model(f->model)->uuid, ==, UUID_B);
}

static void test_rescan(void)
{
        g_autoptr(Fixture) f = root_fixture();

        assert_call("\"" JOB1 "\"", f, 0, PATH_GPU, VGPUD_INTERFACE_GPU, "Rescan", "a{sv}", 0);
        g_assert_cmpuint(fake_model(f->model)->rescans, ==, 1);
        g_assert_cmpstr(fake_model(f->model)->gpu, ==, "mdpy");
}

static void test_set_vfs(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autoptr(Call) waiting = NULL;

        assert_call("\"" JOB1 "\"", f, 0, PATH_GPU, VGPUD_INTERFACE_GPU, "SetVfs", "ua{sv}", 16, 1,
                    "timeout_usec", "t", (uint64_t)5000000);
        g_assert_cmpuint(fake_model(f->model)->vf_changes, ==, 1);
        g_assert_cmpstr(fake_model(f->model)->gpu, ==, "mdpy");
        g_assert_cmpuint(fake_model(f->model)->count, ==, 16);
        g_assert_cmpuint(fake_model(f->model)->requester, ==, f->uid);
        waiting = call_start(f, 0, PATH_GPU, VGPUD_INTERFACE_GPU, "SetVfs", "ua{sv}", 0, 1, "wait", "b", true);
        fixture_settle(f);
        g_assert_null(waiting->reply);
        g_assert_cmpuint(fake_model(f->model)->count, ==, 0);
        fake_model_end_job(model_get_job(f->model, 2), JOB_FAILED, VGPUD_ERROR_IN_USE, "qemu holds it");
        fixture_settle(f);
        assert_text(call_text(waiting), "org.vgpud1.Error.InUse: qemu holds it");
        fake_model(f->model)->fail_next = VGPUD_ERROR_UNSUPPORTED;
        fake_model(f->model)->fail_message = "it has none";
        assert_call("org.vgpud1.Error.NotSupported: it has none", f, 0, PATH_GPU, VGPUD_INTERFACE_GPU, "SetVfs",
                    "ua{sv}", 1, 0);
        assert_call(INVALID "there is no option 'foreign'", f, 0, PATH_GPU, VGPUD_INTERFACE_GPU, "SetVfs",
                    "ua{sv}", 1, 1, "foreign", "b", true);
}

static void test_configure(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autoptr(Call) waiting = NULL;

        assert_call("\"" JOB1 "\"", f, 0, PATH_GPU, VGPUD_INTERFACE_GPU, "Configure", "ssa{sv}",
                    "heterogeneous", "yes", 1, "timeout_usec", "t", (uint64_t)5000000);
        g_assert_cmpuint(fake_model(f->model)->configures, ==, 1);
        g_assert_cmpstr(fake_model(f->model)->gpu, ==, "mdpy");
        g_assert_cmpstr(fake_model(f->model)->mode, ==, "heterogeneous");
        g_assert_cmpstr(fake_model(f->model)->value, ==, "yes");
        g_assert_cmpuint(fake_model(f->model)->requester, ==, f->uid);
        waiting = call_start(f, 0, PATH_GPU, VGPUD_INTERFACE_GPU, "Configure", "ssa{sv}", "mig", "", 1, "wait",
                             "b", true);
        fixture_settle(f);
        g_assert_null(waiting->reply);
        fake_model_end_job(model_get_job(f->model, 2), JOB_DONE, VGPUD_ERROR_NONE, NULL);
        fixture_settle(f);
        assert_text(call_text(waiting), "\"" VGPUD_PATH_JOB "/2\"");
        fake_model(f->model)->fail_next = VGPUD_ERROR_INVALID;
        fake_model(f->model)->fail_message = "there is no such mode";
        assert_call(INVALID "there is no such mode", f, 0, PATH_GPU, VGPUD_INTERFACE_GPU, "Configure",
                    "ssa{sv}", "x", "y", 0);
        assert_call(INVALID "option 'timeout_usec' must be from 1000000 to 3600000000, not 0", f, 0, PATH_GPU,
                    VGPUD_INTERFACE_GPU, "Configure", "ssa{sv}", "x", "y", 1, "timeout_usec", "t", (uint64_t)0);
}

static void test_cancel(void)
{
        g_autoptr(Fixture) f = root_fixture();

        fake_model_add_job(f->gpu, &fake_kind_rescan, f->uid);
        assert_call("", f, 0, JOB1, VGPUD_INTERFACE_JOB, "Cancel", "a{sv}", 0);
        g_assert_cmpuint(fake_model(f->model)->cancels, ==, 1);
        fake_model_add_job(f->gpu, &fake_kind_rescan, f->uid);
        fake_model(f->model)->fail_next = VGPUD_ERROR_FAILED;
        fake_model(f->model)->fail_message = "it runs already";
        assert_call("org.vgpud1.Error.Failed: it runs already", f, 0, VGPUD_PATH_JOB "/2", VGPUD_INTERFACE_JOB,
                    "Cancel", "a{sv}", 0);
}

/* ---- the option "wait" ---- */

static Call *create_waiting(Fixture *f)
{
        Call *c = call_start(f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "Create", "ssa{sv}", "mdpy",
                             "mdpy-xga", 1, "wait", "b", true);

        fixture_settle(f);
        g_assert_null(c->reply);
        g_assert_nonnull(model_get_job(f->model, f->model->last_job_id));

        return c;
}

static void test_wait(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autoptr(Call) c = create_waiting(f);

        g_string_truncate(f->log, 0);
        f->model->events->gpu_changed(f->gpu, GPU_CHANGED_TYPES, f->model->events_userdata);
        fake_model_end_job(model_get_job(f->model, 1), JOB_DONE, VGPUD_ERROR_NONE, NULL);
        fixture_settle(f);
        assert_text(call_text(c),
                    "\"" JOB1 "\" [\"" VGPUD_PATH_INSTANCE "/00000000_0000_4000_8000_000000000001\"]");
        /* Changes come before the answer, the answer before the end of the job. */
        g_assert_true(g_str_has_prefix(f->log->str, "~" PATH_GPU ".Types reply -" JOB1 " JobRemoved("));
}

static void test_wait_for_failure(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autoptr(Call) c = create_waiting(f);

        fake_model_end_job(model_get_job(f->model, 1), JOB_FAILED, VGPUD_ERROR_NO_CAPACITY, "there is no room");
        fixture_settle(f);
        assert_text(call_text(c), "org.vgpud1.Error.NoCapacity: there is no room");
}

/* A stuck job answers, goes on, and ends later without another answer. */
static void test_wait_for_stuck(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autoptr(Call) c = create_waiting(f);
        const VgpudError e = { .code = VGPUD_ERROR_GPU_STUCK, .message = (char *)"no answer from the kernel" };
        Job *job = model_get_job(f->model, 1);
        JobFinished finished = job->finished;

        job->state = JOB_STUCK;
        job->finished = NULL;
        finished(job, &e, job->finished_userdata);
        fixture_settle(f);
        assert_text(call_text(c), "org.vgpud1.Error.GpuStuck: no answer from the kernel");
        g_string_truncate(f->log, 0);
        fake_model_end_job(job, JOB_DONE, VGPUD_ERROR_NONE, NULL);
        fixture_settle(f);
        g_assert_true(g_str_has_prefix(f->log->str, "-" JOB1 " JobRemoved("));
}

static void test_wait_other_methods(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autoptr(Call) destroy = call_start(f, 0, PATH_A, VGPUD_INTERFACE_INSTANCE, "Destroy", "a{sv}", 1,
                                             "wait", "b", true);
        g_autoptr(Call) rescan = call_start(f, 0, PATH_GPU, VGPUD_INTERFACE_GPU, "Rescan", "a{sv}", 1, "wait",
                                            "b", true);

        fixture_settle(f);
        g_assert_null(destroy->reply);
        g_assert_null(rescan->reply);
        fake_model_end_job(model_get_job(f->model, 2), JOB_DONE, VGPUD_ERROR_NONE, NULL);
        fake_model_end_job(model_get_job(f->model, 1), JOB_CANCELED, VGPUD_ERROR_CANCELED, "not wanted");
        fixture_settle(f);
        assert_text(call_text(rescan), "\"" VGPUD_PATH_JOB "/2\"");
        assert_text(call_text(destroy), "org.vgpud1.Error.Canceled: not wanted");
}

/* The caller is also told if the model removes a job without a result. */
static void test_wait_for_removed(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autoptr(Call) c = create_waiting(f);
        Job *job = model_get_job(f->model, 1);

        job->finished = NULL;
        fake_model_end_job(job, JOB_FAILED, VGPUD_ERROR_GPU_GONE, "it went away");
        fixture_settle(f);
        assert_text(call_text(c), "org.vgpud1.Error.GpuGone: it went away");
}

static void test_wait_client_leaves(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autoptr(Call) c = create_waiting(f);

        fixture_client_leaves(f);
        g_assert_null(c->reply);
        fake_model_end_job(model_get_job(f->model, 1), JOB_DONE, VGPUD_ERROR_NONE, NULL);
        g_assert_cmpuint(g_hash_table_size(f->model->jobs), ==, 0);
}

static void test_wait_daemon_stops(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autoptr(Call) c = create_waiting(f);
        g_autofree char *got = NULL;

        f->bus = bus_free(f->bus);
        fixture_settle(f);
        got = call_text(c);
        g_assert_true(g_str_has_prefix(got, "org.vgpud1.Error.Canceled: "));
        /* The job has forgotten the bus. */
        fake_model_end_job(model_get_job(f->model, 1), JOB_DONE, VGPUD_ERROR_NONE, NULL);
        /* The objects are gone. */
        assert_call("org.freedesktop.DBus.Error.UnknownObject: Unknown object '" VGPUD_PATH_ROOT "'.", f, 0,
                    VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "GetGpu", "sa{sv}", "mdpy", 0);
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/methods/create", test_create);
        g_test_add_func("/methods/create-options", test_create_options);
        g_test_add_func("/methods/create-any-gpu", test_create_any_gpu);
        g_test_add_func("/methods/bad-options", test_bad_options);
        g_test_add_func("/methods/errors", test_errors_of_the_model);
        g_test_add_func("/methods/get", test_get);
        g_test_add_func("/methods/list", test_list);
        g_test_add_func("/methods/create-hints", test_create_hints);
        g_test_add_func("/methods/place", test_place);
        g_test_add_func("/methods/destroy", test_destroy);
        g_test_add_func("/methods/destroy-foreign", test_destroy_foreign);
        g_test_add_func("/methods/rescan", test_rescan);
        g_test_add_func("/methods/set-vfs", test_set_vfs);
        g_test_add_func("/methods/configure", test_configure);
        g_test_add_func("/methods/cancel", test_cancel);
        g_test_add_func("/wait/done", test_wait);
        g_test_add_func("/wait/failed", test_wait_for_failure);
        g_test_add_func("/wait/stuck", test_wait_for_stuck);
        g_test_add_func("/wait/other-methods", test_wait_other_methods);
        g_test_add_func("/wait/removed", test_wait_for_removed);
        g_test_add_func("/wait/client-leaves", test_wait_client_leaves);
        g_test_add_func("/wait/daemon-stops", test_wait_daemon_stops);

        return g_test_run();
}
