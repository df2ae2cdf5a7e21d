/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The requests that methods send to the model, and their answers. If root runs the tests, the caller is root,
 * and vgpud does not ask polkit. Otherwise polkit says yes. */

#include <string.h>

#include "dbus/message/bus-util.h"
#include "fixture.h"

#define DETAILS "error_details", "b", true

#define CREATE_CALL    0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "Create", "ssa{sv}"
#define CREATE(f, ...) CALL_TEXT(f, CREATE_CALL, __VA_ARGS__)
#define MANAGER_CALL   0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER
#define JOB1           VGPUD_PATH_JOB "/1"
#define NEW_PATH(n)    VGPUD_PATH_INSTANCE "/00000000_0000_4000_8000_00000000000" n
#define CREATED(n)                                                                                           \
        "[{\"object_path\", <o \"" NEW_PATH(n) "\">}, {\"uuid\", <s \"00000000-0000-4000-8000-00000000000" n \
                                               "\">}, {\"gpu\", <o \"" PATH_GPU                              \
                                               "\">}, {\"type\", <s \"mdpy-xga\">}]"

static Fixture *root_fixture(void)
{
        Fixture *f = fixture_new(0);

        f->polkit = POLKIT_SAYS_YES; /* needed if the tests run without root */

        return f;
}

static void assert_text(char *got, const char *expected)
{
        g_assert_cmpstr(got, ==, expected);
        g_free(got);
}

static void assert_reply_error(Call *c, const char *name)
{
        g_autofree char *got = call_text(c);
        g_autofree char *prefix = g_strdup_printf("org.vgpud1.Error.%s: ", name);

        if (!g_str_has_prefix(got, prefix))
                g_error("got %s, not %s", got, name);
}

static void test_create(void)
{
        g_autoptr(Fixture) f = root_fixture();
        Model *m = f->model;

        assert_text(CREATE(f, "mdpy", "mdpy-xga", 0), "\"" JOB1 "\" [" CREATED("1") "]");
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

        assert_text(CREATE(f, "mdpy", "Virtual XGA", 5, "name", "s", "desk2", "uuid", "s", UUID_A, "parent",
                           "s", "mdpy", "attributes", "a(ss)", 2, "a", "1", "b/c", "", "wait", "b", false),
                    "\"" JOB1 "\" [" CREATED("1") "]");
        g_assert_cmpstr(fake_model(m)->type, ==, "mdpy-xga"); /* the id of the type */
        g_assert_cmpstr(fake_model(m)->uuid, ==, UUID_A);
        g_assert_cmpstr(fake_model(m)->name, ==, "desk2");
        g_assert_cmpstr(fake_model(m)->parent, ==, "mdpy");
        g_assert_cmpstr(fake_model(m)->attributes, ==, "a=1;b/c=;");

        assert_text(CREATE(f, "mdpy", "mdpy-xga", 1, "count", "u", 2),
                    "\"" VGPUD_PATH_JOB "/2\" [" CREATED("1") ", " CREATED("2") "]");
        g_assert_cmpuint(fake_model(m)->count, ==, 2);

        /* A PCI address in the form of another tool. */
        g_free(CREATE(f, "mdpy", "mdpy-xga", 1, "parent", "s", "00000000:3D:00.4"));
        g_assert_cmpstr(fake_model(m)->parent, ==, "0000:3d:00.4");
        g_free(CREATE(f, "mdpy", "mdpy-xga", 1, "parent", "s", "pci_0000_3d_00_4"));
        g_assert_cmpstr(fake_model(m)->parent, ==, "0000:3d:00.4");
}

static void test_create_any_gpu(void)
{
        g_autoptr(Fixture) f = root_fixture();

        fake_model(f->model)->any_gpu = "mdpy";
        assert_text(CREATE(f, "", "mdpy-xga", 0), "\"" JOB1 "\" [" CREATED("1") "]");
        g_assert_cmpstr(fake_model(f->model)->gpu, ==, "mdpy");
}

static void test_bad_options(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autoptr(Call) many = NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

#define INVALID "org.vgpud1.Error.InvalidArgs: "
        assert_error("InvalidArgs", f, CREATE_CALL, "mdpy", "mdpy-xga", 1, "colour", "s", "red");
        assert_error("InvalidArgs", f, CREATE_CALL, "mdpy", "mdpy-xga", 1, "", "s", "red");
        assert_error("InvalidArgs", f, CREATE_CALL, "mdpy", "mdpy-xga", 1, "wait", "s", "yes");
        assert_error("InvalidArgs", f, CREATE_CALL, "mdpy", "mdpy-xga", 1, "count", "t", (uint64_t)1);
        assert_error("InvalidArgs", f, CREATE_CALL, "mdpy", "mdpy-xga", 1, "attributes", "as", 0);
        assert_error("InvalidArgs", f, CREATE_CALL, "mdpy", "mdpy-xga", 2, "name", "s", "a", "name", "s", "b");
        assert_error("InvalidArgs", f, CREATE_CALL, "mdpy", "mdpy-xga", 1, "count", "u", 0);
        assert_error("InvalidArgs", f, CREATE_CALL, "mdpy", "mdpy-xga", 1, "count", "u", 1025);
        assert_error("InvalidArgs", f, CREATE_CALL, "mdpy", "mdpy-xga", 1, "timeout_usec", "t", (uint64_t)0);
        assert_error("InvalidArgs", f, CREATE_CALL, "mdpy", "mdpy-xga", 1, "timeout_usec", "t", (uint64_t)5);
        assert_error("InvalidArgs", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "GetGpu", "sa{sv}", "mdpy",
                     1, "wait", "b", true);
        assert_error("InvalidArgs", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "GetInstance", "sa{sv}",
                     UUID_A, 1, "wait", "b", true);
        assert_error("InvalidArgs", f, 0, PATH_GPU, VGPUD_INTERFACE_GPU, "Rescan", "a{sv}", 1, "name", "s",
                     "x");
        assert_error("InvalidArgs", f, 0, PATH_A, VGPUD_INTERFACE_INSTANCE, "Destroy", "a{sv}", 1, "name", "s",
                     "x");
        fake_model_add_job(f->gpu, &fake_kind_rescan, f->uid);
        assert_error("InvalidArgs", f, 0, JOB1, VGPUD_INTERFACE_JOB, "Cancel", "a{sv}", 1, "wait", "b", true);

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

        for (unsigned i = 0; i < 65; i++) /* one more than BUS_MAX_ATTRIBUTES */
                g_assert_cmpint(sd_bus_message_append(m, "(ss)", "a", "1"), >=, 0);
        for (unsigned i = 0; i < 4; i++)
                g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        many = call_send(f, m);
        fixture_settle(f);
        g_autofree char *got = call_text(many);
        g_assert_true(g_str_has_prefix(got, INVALID));

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
                                g_strdup_printf("%s: \\xff is full", vgpud_error_code_to_dbus(code));
                g_autofree char *got = NULL;

                fake_model(f->model)->fail_next = code;
                got = CREATE(f, "mdpy", "mdpy-xga", 0);
                g_assert_cmpstr(got, ==, expected);
        }

        assert_error("NoSuchGpu", f, CREATE_CALL, "nothing", "mdpy-xga", 0);
        assert_error("NoSuchInstance", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "Destroy", "sa{sv}", "x",
                     0);
        assert_error("NoSuchInstance", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "GetInstance", "sa{sv}",
                     "x", 0);
        assert_error("NoSuchGpu", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "GetGpu", "sa{sv}", "x", 0);
}

static void test_get(void)
{
        g_autoptr(Fixture) f = root_fixture();

        assert_call("\"" PATH_GPU "\"", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "GetGpu", "sa{sv}",
                    "mdpy", 0);
        assert_call("\"" PATH_A "\"", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "GetInstance", "sa{sv}",
                    UUID_A, 0);
}

/* A column of a table: "key": <signature values>. */
#define COLUMN(key, value) "{\"" key "\", <" value ">}"

static void test_list_instances(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autofree char *all = CALL_TEXT(f, MANAGER_CALL, "ListInstances", "a{sv}", 0);
        g_autofree char *some = NULL, *empty = NULL, *none = NULL;

        assert_contains(all, COLUMN("object_path", "ao [\"" PATH_A "\", \"" PATH_B "\"]"));
        assert_contains(all, COLUMN("uuid", "as [\"" UUID_A "\", \"" UUID_B "\"]"));
        assert_contains(all, COLUMN("name", "as [\"desk\", \"\"]"));
        assert_contains(all, COLUMN("gpu", "ao [\"" PATH_GPU "\", \"" PATH_GPU "\"]"));
        assert_contains(all, COLUMN("type_name", "as [\"Virtual XGA\", \"Virtual XGA\"]"));
        assert_contains(all, COLUMN("device_api", "as [\"vfio-pci\", \"vfio-pci\"]"));
        assert_contains(all, COLUMN("created_usec", "at [1700000001000000, 0]"));
        assert_contains(all, COLUMN("memory_bytes", "at [3145728, 3145728]"));
        assert_contains(all, COLUMN("iommu_group", "ai [12, 12]"));
        assert_contains(all, COLUMN("job", "ao [\"/\", \"/\"]"));
        g_assert_null(strstr(all, "sysfs_path"));
        g_assert_null(strstr(all, "attributes"));

        some = CALL_TEXT(f, MANAGER_CALL, "ListInstances", "a{sv}", 1, "columns", "as", 3, "uuid", "name",
                         "no");
        g_assert_cmpstr(some, ==,
                        "[" COLUMN("uuid", "as [\"" UUID_A "\", \"" UUID_B
                                           "\"]") ", " COLUMN("name", "as [\"desk\", \"\"]") "]");
        empty = CALL_TEXT(f, MANAGER_CALL, "ListInstances", "a{sv}", 1, "columns", "as", 0);
        g_assert_cmpstr(empty, ==, "[]");
        assert_error("InvalidArgs", f, MANAGER_CALL, "ListInstances", "a{sv}", 1, "columns", "s", "uuid");

        fake_model_add_gpu(f->model, "mtty");
        none = CALL_TEXT(f, MANAGER_CALL, "ListInstances", "a{sv}", 1, "gpu", "s", VGPUD_PATH_GPU "/mtty");
        assert_contains(none, COLUMN("uuid", "as []"));
        assert_contains(none, COLUMN("created_usec", "at []"));
        assert_error("NoSuchGpu", f, MANAGER_CALL, "ListInstances", "a{sv}", 1, "gpu", "s", "x");
        assert_error("InvalidArgs", f, MANAGER_CALL, "ListInstances", "a{sv}", 1, "gpu", "s", PATH_A);
}

static void test_list_gpus(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autofree char *got = NULL, *some = NULL;

        f->gpu->facts->memory_bytes = 1 << 30;
        got = CALL_TEXT(f, MANAGER_CALL, "ListGpus", "a{sv}", 0);
        assert_contains(got, COLUMN("object_path", "ao [\"" PATH_GPU "\"]"));
        assert_contains(got, COLUMN("name", "as [\"mdpy\"]"));
        assert_contains(got, COLUMN("vendor_id", "aq [0]"));
        assert_contains(got, COLUMN("hint_id", "as [\"\"]"));
        assert_contains(got, COLUMN("numa_node", "ai [-1]"));
        assert_contains(got, COLUMN("memory_bytes", "at [1073741824]"));
        assert_contains(got, COLUMN("memory_used_bytes", "at [6291456]"));
        assert_contains(got, COLUMN("instance_count", "au [2]"));
        assert_contains(got, COLUMN("type_count", "au [2]"));
        g_assert_null(strstr(got, "parents"));
        g_assert_null(strstr(got, "modes"));

        some = CALL_TEXT(f, MANAGER_CALL, "ListGpus", "a{sv}", 1, "columns", "as", 2, "object_path", "modes");
        g_assert_cmpstr(some, ==, "[" COLUMN("object_path", "ao [\"" PATH_GPU "\"]") "]");
}

/* Two GPUs share the row of a type if its constant data are equal. */
static void test_list_types(void)
{
        g_autoptr(Fixture) f = root_fixture();
        Gpu *other = fake_model_add_gpu(f->model, "mtty");
        VgpuType *bare = other->snapshot->types->pdata[0], *full = other->snapshot->types->pdata[1];
        g_autofree char *got = NULL, *one = NULL;

        full->available = 1;
        bare->max_instances = 7; /* a difference in constant data makes another row */
        vgpud_hint_setf(&full->hint, VGPUD_HINT_CHOOSE_OTHER, "take another");
        got = CALL_TEXT(f, MANAGER_CALL, "ListTypes", "a{sv}", 0);
        assert_contains(got, COLUMN("stale", "ab [false, false]"));
        assert_contains(got, COLUMN("gpu", "au [0, 0, 1, 1]"));
        assert_contains(got, COLUMN("type", "au [0, 1, 2, 1]"));
        assert_contains(got, COLUMN("id", "as [\"bare\", \"mdpy-xga\", \"bare\"]"));
        assert_contains(got, COLUMN("framebuffer_bytes",
                                    "at [18446744073709551615, 3145728, 18446744073709551615]"));
        assert_contains(got, COLUMN("mig", "ab [false, true, false]"));
        assert_contains(got, COLUMN("options", "aa(ss) [[], [(\"quota\", \"bytes\")], []]"));
        assert_contains(got, COLUMN("texts",
                                    "as [\"\", \"no memory is left\", \"take another\", \"choose-other\"]"));
        assert_contains(got, COLUMN("why_not", "au [0, 1, 0, 1]"));

        one = CALL_TEXT(f, 0, VGPUD_PATH_GPU "/mtty", VGPUD_INTERFACE_GPU, "ListTypes", "a{sv}", 0);
        assert_contains(one, COLUMN("gpu", "au [0, 0]"));
        assert_contains(one, COLUMN("available", "au [0, 1]"));
        assert_contains(one, COLUMN("hint", "au [0, 2]"));
        assert_contains(one, COLUMN("hint_id", "au [0, 3]"));
        assert_contains(one, COLUMN("name", "as [\"mtty\"]"));

        gpu_snapshot_unref(g_steal_pointer(&other->snapshot));
        g_free(one);
        one = CALL_TEXT(f, 0, VGPUD_PATH_GPU "/mtty", VGPUD_INTERFACE_GPU, "ListTypes", "a{sv}", 0);
        assert_contains(one, COLUMN("name", "as [\"mtty\"]"));
        assert_contains(one, COLUMN("type", "au []"));
}

/* ---- jobs ---- */

static void test_jobs(void)
{
        g_autoptr(Fixture) f = root_fixture();
        Job *waiting, *failed;
        g_autofree char *live = NULL, *ended = NULL, *list = NULL, *all = NULL;

        failed = fake_model_add_job(f->gpu, &fake_kind_destroy, f->uid);
        g_ptr_array_add(failed->uuids, g_strdup(UUID_A));
        g_ptr_array_add(failed->uuids, g_strdup(UUID_B));
        fake_model_add_failure(failed, UUID_B, VGPUD_ERROR_IN_USE, "qemu holds it");
        fake_model_end_job(failed, JOB_FAILED, VGPUD_ERROR_IN_USE, "qemu holds it");
        waiting = fake_model_add_job(f->gpu, &fake_kind_create, f->uid);
        ((FakeJob *)waiting)->type_id = g_strdup("mdpy-xga");

        live = CALL_TEXT(f, MANAGER_CALL, "GetJob", "ua{sv}", 2, 0);
        assert_contains(live, COLUMN("state", "s \"waiting\""));
        assert_contains(live, COLUMN("details", "a{sv} [{\"type\", <s \"mdpy-xga\">}]"));
        g_assert_null(strstr(live, "result"));
        g_assert_null(strstr(live, "started_usec"));

        ended = CALL_TEXT(f, MANAGER_CALL, "GetJob", "ua{sv}", 1, 0);
        assert_contains(ended, COLUMN("state", "s \"ended\""));
        assert_contains(ended, COLUMN("result", "s \"failed\""));
        assert_contains(ended, COLUMN("error_name", "s \"org.vgpud1.Error.InUse\""));
        assert_contains(ended, COLUMN("instances", "ao [\"" PATH_A "\", \"" PATH_B "\"]"));
        assert_contains(ended, "{\"failures\", <aa{sv} [[{\"instance\", <o \"" PATH_B "\">}");
        assert_contains(ended, COLUMN("n_failures", "u 1"));

        list = CALL_TEXT(f, MANAGER_CALL, "ListJobs", "a{sv}", 0);
        assert_contains(list, COLUMN("id", "au [2]"));
        all = CALL_TEXT(f, MANAGER_CALL, "ListJobs", "a{sv}", 1, "ended", "b", true);
        assert_contains(all, COLUMN("id", "au [1, 2]"));
        assert_contains(all, COLUMN("result", "as [\"failed\", \"\"]"));
        assert_contains(all, COLUMN("n_failures", "au [1, 0]"));
        assert_error("NoSuchJob", f, MANAGER_CALL, "GetJob", "ua{sv}", 0, 0);
        assert_error("NoSuchJob", f, MANAGER_CALL, "GetJob", "ua{sv}", 3, 0);
}

/* The daemon keeps the last 256 jobs that have ended. */
static void test_many_jobs(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autofree char *second = NULL;

        for (unsigned i = 0; i < 257; i++)
                fake_model_end_job(fake_model_add_job(f->gpu, &fake_kind_rescan, f->uid), JOB_DONE,
                                   VGPUD_ERROR_NONE, NULL);

        assert_error("NoSuchJob", f, MANAGER_CALL, "GetJob", "ua{sv}", 1, 0);
        second = CALL_TEXT(f, MANAGER_CALL, "GetJob", "ua{sv}", 2, 0);
        assert_contains(second, COLUMN("result", "s \"done\""));
}

/* ---- names ---- */

static void test_names(void)
{
        g_autoptr(Fixture) f = root_fixture();

        assert_call("\"" PATH_GPU "\"", f, MANAGER_CALL, "GetGpu", "sa{sv}", PATH_GPU, 0);
        assert_call("\"" PATH_A "\"", f, MANAGER_CALL, "GetInstance", "sa{sv}", PATH_A, 0);
        assert_error("InvalidArgs", f, MANAGER_CALL, "GetGpu", "sa{sv}", PATH_A, 0);
        assert_error("InvalidArgs", f, MANAGER_CALL, "GetGpu", "sa{sv}", VGPUD_PATH_GPU "/_6ddpy", 0);
        assert_error("NoSuchGpu", f, MANAGER_CALL, "GetGpu", "sa{sv}", VGPUD_PATH_GPU "/none", 0);
        assert_error("InvalidArgs", f, MANAGER_CALL, "Destroy", "sa{sv}", "/org/vgpud1/job/3", 0);
        assert_error("NoSuchInstance", f, MANAGER_CALL, "GetInstance", "sa{sv}",
                     VGPUD_PATH_INSTANCE "/cccccccc_0000_4000_8000_00000000000c", 0);
        assert_text(CREATE(f, PATH_GPU, "mdpy-xga", 0), "\"" JOB1 "\" [" CREATED("1") "]");
        assert_error("InvalidArgs", f, CREATE_CALL, PATH_A, "mdpy-xga", 0);
        fake_model(f->model)->any_gpu = "mdpy";
        g_free(CREATE(f, "", "mdpy-xga", 1, "near", "s", PATH_GPU));
        g_assert_cmpstr(fake_model(f->model)->hints, ==, "- -1 -1 mdpy -");
}

/* ---- error_details ---- */

static void test_error_details(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autofree char *first = NULL, *last = NULL, *plain = NULL, *twice = NULL, *wrong = NULL, *early = NULL;

        first = CALL_TEXT(f, 0, PATH_B, VGPUD_INTERFACE_INSTANCE, "Destroy", "a{sv}", 2, DETAILS, "foreign",
                          "b", false);
        assert_contains(first, "org.vgpud1.Error.Foreign: \"");
        assert_contains(first, COLUMN("hint_id", "s \"use-foreign\""));
        plain = CALL_TEXT(f, 0, PATH_B, VGPUD_INTERFACE_INSTANCE, "Destroy", "a{sv}", 1, "error_details", "b",
                          false);
        assert_contains(plain, "\nHint: ");

        /* The option counts even after an invalid option, and if an argument before the options is invalid. */
        last = CREATE(f, "mdpy", "mdpy-xga", 2, "colour", "s", "red", DETAILS);
        assert_contains(last, INVALID "\"");
        early = CREATE(f, "x", "mdpy-xga", 1, DETAILS);
        assert_contains(early, "org.vgpud1.Error.NoSuchGpu: \"");

        twice = CREATE(f, "mdpy", "mdpy-xga", 2, DETAILS, DETAILS);
        g_assert_true(g_str_has_prefix(twice, INVALID) && !strstr(twice, INVALID "\""));
        wrong = CREATE(f, "mdpy", "mdpy-xga", 1, "error_details", "s", "yes");
        g_assert_true(g_str_has_prefix(wrong, INVALID) && !strstr(wrong, INVALID "\""));
        assert_call("\"" PATH_GPU "\"", f, MANAGER_CALL, "GetGpu", "sa{sv}", "mdpy", 1, DETAILS);
}

#define HINTS(strategy, node, preferred, near, pool)                                                           \
        "strategy", "s", strategy, "numa_node", "i", node, "preferred_numa_node", "i", preferred, "near", "s", \
                        near, "pool", "s", pool

static void test_create_hints(void)
{
        g_autoptr(Fixture) f = root_fixture();

        fake_model(f->model)->any_gpu = "mdpy";
        assert_text(CREATE(f, "", "mdpy-xga", 0), "\"" JOB1 "\" [" CREATED("1") "]");
        g_assert_cmpstr(fake_model(f->model)->hints, ==, NULL);
        assert_text(CREATE(f, "", "mdpy-xga", 5, HINTS("depth", 1, 0, "0000:41:00.0", "ai")),
                    "\"" VGPUD_PATH_JOB "/2\" [" CREATED("1") "]");
        g_assert_cmpstr(fake_model(f->model)->hints, ==, "depth 1 0 0000:41:00.0 ai");
        assert_text(CREATE(f, "", "mdpy-xga", 1, "numa_node", "i", -2),
                    "\"" VGPUD_PATH_JOB "/3\" [" CREATED("1") "]");
        g_assert_cmpstr(fake_model(f->model)->hints, ==, "- -2 -1 - -");
        assert_error("InvalidArgs", f, CREATE_CALL, "", "mdpy-xga", 1, "numa_node", "u", 1);
}

/* An entry of a dictionary. */
#define E(key, value) "{\"" key "\", <" value ">}"

static void test_place(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autofree char *full = NULL;

#define PLACE(text, ...) \
        assert_call(text, f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "Place", "sa{sv}", __VA_ARGS__)
#define NUMBERS(room, available, promised, spare, instances, node)                                   \
        E("room", "u " room)                                                                         \
        ", " E("available", "u " available) ", " E("promised", "u " promised) ", " E(                \
                        "spare", "u " spare) ", " E("instances", "u " instances) ", " E("numa_node", \
                                                                                        "i " node)
#define ERROR(name) E("error", "s \"org.vgpud1.Error." name "\"")
#define FIRST       "(\"" PATH_GPU "\", [" E("name", "s \"mdpy\"") ", " E("type", "s \"mdpy-xga\"") ", "
#define SECOND                                                                                                                                                      \
        "(\"" VGPUD_PATH_GPU                                                                                                                                        \
        "/mtty\", [" E("name", "s \"mtty\"") ", " E("fits", "b false") ", " E("reason", "s \"it is not there\"") ", " E("reason_id", "s \"not-ready\"") ", " ERROR( \
                        "GpuGone") ", " E("hint",                                                                                                                   \
                                          "s \"look again\"") ", " E("hint_id",                                                                                     \
                                                                     "s \"try-again\"") ", " NUMBERS("0", "0",                                                      \
                                                                                                     "0", "0",                                                      \
                                                                                                     "0",                                                           \
                                                                                                     "-1") "])"
        PLACE("\"" PATH_GPU "\" \"depth\" [" FIRST E("fits", "b true") ", " NUMBERS("2", "5", "2", "1", "7",
                                                                                    "3") "]), " SECOND "]",
              "mdpy-xga", 0);
        g_assert_cmpstr(fake_model(f->model)->hints, ==, "- -1 -1 - -");
        full = CALL_TEXT(f, MANAGER_CALL, "Place", "sa{sv}", "mdpy-xga", 6, "count", "u", 3,
                         HINTS("x", 1, 0, "a", "b"));
        g_assert_true(g_str_has_prefix(full,
                                       "\"/\" \"depth\" [" FIRST E("fits", "b false") ", {\"reason\", <s "));
        assert_contains(full, E("reason_id", "s \"no-room\"") ", " ERROR("NoCapacity") ", " NUMBERS(
                                              "2", "5", "2", "1", "7", "3") ", " E("distance", "u 0"));
        g_assert_cmpstr(fake_model(f->model)->hints, ==, "x 1 0 a b");
        assert_error("InvalidArgs", f, MANAGER_CALL, "Place", "sa{sv}", "mdpy-xga", 1, "count", "u", 0);
        assert_error("InvalidArgs", f, MANAGER_CALL, "Place", "sa{sv}", "mdpy-xga", 1, "wait", "b", true);
        assert_error("NoSuchType", f, MANAGER_CALL, "Place", "sa{sv}", "x", 0);
        g_assert_cmpuint(fake_model(f->model)->places, ==, 3);
        g_assert_cmpuint(fake_model(f->model)->creates, ==, 0);
}

static void test_destroy(void)
{
        g_autoptr(Fixture) f = root_fixture();
        Model *m = f->model;

        assert_call("\"" JOB1 "\"", f, 0, PATH_A, VGPUD_INTERFACE_INSTANCE, "Destroy", "a{sv}", 0);
        g_assert_cmpstr(fake_model(m)->uuid, ==, UUID_A);
        g_assert_false(fake_model(m)->foreign);
        g_assert_cmpuint(fake_model(m)->requester, ==, f->uid);

        /* With the option "foreign", instances of vgpud can be destroyed as well. */
        assert_call("\"" VGPUD_PATH_JOB "/2\"", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "Destroy",
                    "sa{sv}", UUID_A, 1, "foreign", "b", true);
        g_assert_true(fake_model(m)->foreign);
}

static void test_destroy_foreign(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autofree char *got = CALL_TEXT(f, 0, PATH_B, VGPUD_INTERFACE_INSTANCE, "Destroy", "a{sv}", 0);

        g_assert_true(g_str_has_prefix(got, "org.vgpud1.Error.Foreign: "));
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

        assert_call("\"" JOB1 "\"", f, 0, PATH_GPU, VGPUD_INTERFACE_GPU, "SetVfs", "ua{sv}", 16, 0);
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
        assert_reply_error(waiting, "InUse");
        fake_model(f->model)->fail_next = VGPUD_ERROR_UNSUPPORTED;
        fake_model(f->model)->fail_message = "it has none";
        assert_error("NotSupported", f, 0, PATH_GPU, VGPUD_INTERFACE_GPU, "SetVfs", "ua{sv}", 1, 0);
        assert_error("InvalidArgs", f, 0, PATH_GPU, VGPUD_INTERFACE_GPU, "SetVfs", "ua{sv}", 1, 1, "foreign",
                     "b", true);
}

static void assert_gpu_property(Fixture *f, const char *name, const char *expected)
{
        assert_call(expected, f, 0, PATH_GPU, "org.freedesktop.DBus.Properties", "Get", "ss",
                    VGPUD_INTERFACE_GPU, name);
}

static void test_keep(void)
{
        g_autoptr(Fixture) f = root_fixture();
        FakeModel *m = fake_model(f->model);

        assert_gpu_property(f, "KeptVfs", "<i -1>");
        assert_gpu_property(f, "KeptModes", "<a{ss} []>");
        assert_gpu_property(f, "KeptReason", "<s \"\">");
        assert_error("InvalidArgs", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ForgetSettings", "sa{sv}",
                     "mdpy", 0);

        assert_call("\"" JOB1 "\"", f, 0, PATH_GPU, VGPUD_INTERFACE_GPU, "SetVfs", "ua{sv}", 16, 0);
        g_assert_false(m->kept_setting);
        assert_call("\"" VGPUD_PATH_JOB "/2\"", f, 0, PATH_GPU, VGPUD_INTERFACE_GPU, "SetVfs", "ua{sv}", 16, 1,
                    "keep", "b", true);
        g_assert_true(m->kept_setting);
        assert_call("\"" VGPUD_PATH_JOB "/3\"", f, 0, PATH_GPU, VGPUD_INTERFACE_GPU, "Configure", "ssa{sv}",
                    "mig", "yes", 0);
        g_assert_false(m->kept_setting);
        assert_call("\"" VGPUD_PATH_JOB "/4\"", f, 0, PATH_GPU, VGPUD_INTERFACE_GPU, "Configure", "ssa{sv}",
                    "mig", "yes", 1, "keep", "b", true);
        g_assert_true(m->kept_setting);

        m->settings = gpu_settings_new("mdpy");
        m->settings->vfs = 16;
        gpu_settings_set_mode(m->settings, "mig", "yes");
        gpu_settings_set_mode(m->settings, "heterogeneous", "no");
        (void)vgpud_error_setf(&f->gpu->kept.waiting, VGPUD_ERROR_IN_USE, "qemu has a VF");
        assert_gpu_property(f, "KeptVfs", "<i 16>");
        assert_gpu_property(f, "KeptModes", "<a{ss} [{\"mig\", \"yes\"}, {\"heterogeneous\", \"no\"}]>");
        assert_gpu_property(f, "KeptReason", "<s \"qemu has a VF\">");

        assert_error("InvalidArgs", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ForgetSettings", "sa{sv}",
                     "mdpy", 1, "keep", "b", true);
        assert_call("", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ForgetSettings", "sa{sv}", "mdpy", 1,
                    "mode", "s", "mig");
        g_assert_cmpuint(m->forgets, ==, 1);
        g_assert_cmpuint(m->requester, ==, f->uid);
        assert_gpu_property(f, "KeptModes", "<a{ss} [{\"heterogeneous\", \"no\"}]>");
        assert_call("", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ForgetSettings", "sa{sv}", "mdpy", 1,
                    "vfs", "b", true);
        assert_gpu_property(f, "KeptVfs", "<i -1>");
        assert_call("", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ForgetSettings", "sa{sv}", "mdpy", 0);
        assert_gpu_property(f, "KeptModes", "<a{ss} []>");
        g_assert_cmpuint(m->forgets, ==, 3);

        assert_call("", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ForgetSettings", "sa{sv}", PATH_GPU,
                    0);
        assert_error("NoSuchGpu", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ForgetSettings", "sa{sv}",
                     "gone", 0);
        assert_error("InvalidArgs", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ForgetSettings", "sa{sv}",
                     VGPUD_PATH_ROOT, 0);
        g_assert_cmpuint(m->forgets, ==, 4);
}

/* The host does not have the GPU any more. */
static void test_forget_absent_gpu(void)
{
        g_autoptr(Fixture) f = root_fixture();
        FakeModel *m = fake_model(f->model);

        m->settings = gpu_settings_new("gone");
        m->settings->vfs = 16;
        assert_call("", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ForgetSettings", "sa{sv}",
                    VGPUD_PATH_GPU "/gone", 1, "vfs", "b", true);
        assert_call("", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ForgetSettings", "sa{sv}", "gone", 0);
        g_assert_cmpuint(m->forgets, ==, 2);
}

static void test_configure(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autoptr(Call) waiting = NULL;

        assert_call("\"" JOB1 "\"", f, 0, PATH_GPU, VGPUD_INTERFACE_GPU, "Configure", "ssa{sv}",
                    "heterogeneous", "yes", 0);
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
        fake_model(f->model)->fail_message = "this cannot be";
        assert_error("InvalidArgs", f, 0, PATH_GPU, VGPUD_INTERFACE_GPU, "Configure", "ssa{sv}", "x", "y", 0);
        assert_error("InvalidArgs", f, 0, PATH_GPU, VGPUD_INTERFACE_GPU, "Configure", "ssa{sv}", "x", "y", 2,
                     "wait", "b", true, "timeout_usec", "t", (uint64_t)0);
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
        assert_error("Failed", f, 0, VGPUD_PATH_JOB "/2", VGPUD_INTERFACE_JOB, "Cancel", "a{sv}", 0);
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
        f->model->events->gpu_changed(f->gpu, GPU_CHANGED_STATE, f->model->events_userdata);
        fake_model_end_job(model_get_job(f->model, 1), JOB_DONE, VGPUD_ERROR_NONE, NULL);
        fixture_settle(f);
        assert_text(call_text(c), "\"" JOB1 "\" [" CREATED("1") "]");
        /* Signals of changes come first, then the end of the job, then the answer. */
        g_assert_true(g_str_has_prefix(f->log->str, "+" JOB1 " ~" PATH_GPU
                                                    ".State.Reason.Hint.HintId.Stale -" JOB1 " JobRemoved("));
        g_assert_true(g_str_has_suffix(f->log->str, ") reply "));
}

#define CREATED_WHOLE(n, parent)                                                                               \
        "[{\"object_path\", <o \"" NEW_PATH(n) "\">}, {\"uuid\", <s \"00000000-0000-4000-8000-00000000000" n   \
                                               "\">}, {\"gpu\", <o \"" PATH_GPU                                \
                                               "\">}, {\"type\", <s \"mdpy-xga\">}, {\"parent\", <s \"" parent \
                                               "\">}, {\"hand_over\", <a{sv} [{\"sysfs_path\","

/* The answer has the details that the kernel decided, if the instance still exists at the end of the job. */
static void test_wait_hand_over(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autoptr(Call) c = create_waiting(f);
        g_autofree char *got = NULL;

        fake_model_add_instance(f->gpu, "00000000-0000-4000-8000-000000000001", INSTANCE_ORIGIN_VGPUD, f->uid,
                                NULL);
        fake_model_end_job(model_get_job(f->model, 1), JOB_DONE, VGPUD_ERROR_NONE, NULL);
        fixture_settle(f);
        got = call_text(c);
        assert_contains(got, CREATED_WHOLE("1", "mdpy"));
}

/* ---- the caller's time ---- */

/* Run the event loop until the call has its answer. */
static char *wait_for_answer(Fixture *f, Call *c)
{
        while (!c->reply)
                g_assert_cmpint(sd_event_run(f->event, UINT64_MAX), >=, 0);

        return call_text(c);
}

static void test_timeout(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autoptr(Call) c = call_start(f, CREATE_CALL, "mdpy", "mdpy-xga", 3, DETAILS, "timeout_usec", "t",
                                       (uint64_t)1000, "wait", "b", true);
        g_autofree char *got = wait_for_answer(f, c);

        g_assert_true(g_str_has_prefix(got, "org.vgpud1.Error.Timeout: \""));
        assert_contains(got, COLUMN("hint_id", "s \"wait-for-job\""));
        assert_contains(got, COLUMN("job", "o \"" JOB1 "\""));
        assert_contains(got, COLUMN("instances", "ao [\"" NEW_PATH("1") "\"]"));

        /* The job goes on after the timeout. Its end sends no second answer. */
        g_assert_nonnull(model_get_job(f->model, 1));
        g_string_truncate(f->log, 0);
        fake_model_end_job(model_get_job(f->model, 1), JOB_DONE, VGPUD_ERROR_NONE, NULL);
        fixture_settle(f);
        g_assert_null(strstr(f->log->str, "reply"));
}

static void test_no_timeout(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autoptr(Call) endless = call_start(f, 0, PATH_GPU, VGPUD_INTERFACE_GPU, "Rescan", "a{sv}", 2,
                                             "timeout_usec", "t", UINT64_MAX, "wait", "b", true);
        g_autoptr(Call) huge = call_start(f, 0, PATH_GPU, VGPUD_INTERFACE_GPU, "Rescan", "a{sv}", 2,
                                          "timeout_usec", "t", UINT64_MAX - 1, "wait", "b", true);

        fixture_settle(f);
        g_assert_null(endless->reply);
        g_assert_null(huge->reply);
        fake_model_end_job(model_get_job(f->model, 1), JOB_DONE, VGPUD_ERROR_NONE, NULL);
        fake_model_end_job(model_get_job(f->model, 2), JOB_DONE, VGPUD_ERROR_NONE, NULL);
        fixture_settle(f);
        assert_text(call_text(endless), "\"" JOB1 "\"");
        assert_text(call_text(huge), "\"" VGPUD_PATH_JOB "/2\"");
}

/* ---- DestroyMany ---- */

#define UUID_C "cccccccc-0000-4000-8000-00000000000c"
#define PATH_C VGPUD_PATH_INSTANCE "/cccccccc_0000_4000_8000_00000000000c"
#define MANY   MANAGER_CALL, "DestroyMany", "aoa{sv}"
#define JOB2   VGPUD_PATH_JOB "/2"

static void test_destroy_many(void)
{
        g_autoptr(Fixture) f = root_fixture();

        fake_model_add_instance(fake_model_add_gpu(f->model, "mtty"), UUID_C, INSTANCE_ORIGIN_VGPUD, f->uid,
                                NULL);
        assert_error("InvalidArgs", f, MANY, 0, 0);
        assert_error("InvalidArgs", f, MANY, 2, PATH_A, PATH_A, 0);
        assert_error("InvalidArgs", f, MANY, 1, PATH_GPU, 0);
        assert_error("NoSuchInstance", f, MANY, 2, PATH_A,
                     VGPUD_PATH_INSTANCE "/dddddddd_0000_4000_8000_00000000000d", 0);
        assert_error("Foreign", f, MANY, 2, PATH_A, PATH_B, 0);
        g_assert_cmpuint(fake_model(f->model)->destroys, ==, 0);
        assert_call("[\"" JOB1 "\", \"" JOB2 "\"]", f, MANY, 3, PATH_C, PATH_B, PATH_A, 1, "foreign", "b",
                    true);
}

static void test_destroy_many_wait(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autoptr(Call) well = NULL, badly = NULL;
        g_autofree char *got = NULL;
        Job *a, *c;

        fake_model_add_instance(fake_model_add_gpu(f->model, "mtty"), UUID_C, INSTANCE_ORIGIN_VGPUD, f->uid,
                                NULL);
        well = call_start(f, MANY, 2, PATH_A, PATH_C, 1, "wait", "b", true);
        fixture_settle(f);
        fake_model_end_job(model_get_job(f->model, 2), JOB_DONE, VGPUD_ERROR_NONE, NULL);
        fixture_settle(f);
        g_assert_null(well->reply);
        fake_model_end_job(model_get_job(f->model, 1), JOB_DONE, VGPUD_ERROR_NONE, NULL);
        fixture_settle(f);
        assert_text(call_text(well), "[\"" JOB1 "\", \"" JOB2 "\"]");

        badly = call_start(f, MANY, 3, PATH_C, PATH_A, PATH_B, 3, "wait", "b", true, "foreign", "b", true,
                           DETAILS);
        fixture_settle(f);
        c = model_get_job(f->model, 3);
        a = model_get_job(f->model, 4);
        fake_model_add_failure(a, UUID_B, VGPUD_ERROR_IN_USE, "qemu holds it");
        fake_model_end_job(a, JOB_FAILED, VGPUD_ERROR_IN_USE, "qemu holds it");
        fake_model_end_job(c, JOB_FAILED, VGPUD_ERROR_GPU_GONE, "it burned");
        fixture_settle(f);
        got = call_text(badly);
        g_assert_true(g_str_has_prefix(got, "org.vgpud1.Error.GpuGone: \""));
        assert_contains(got, COLUMN("job", "o \"" VGPUD_PATH_JOB "/3\""));
        assert_contains(got, COLUMN("jobs", "ao [\"" VGPUD_PATH_JOB "/3\", \"" VGPUD_PATH_JOB "/4\"]"));
        assert_contains(got, COLUMN("n_failures", "u 2"));
}

static void test_destroy_many_timeout(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autoptr(Call) call = NULL;
        g_autofree char *got = NULL;

        fake_model_add_instance(fake_model_add_gpu(f->model, "mtty"), UUID_C, INSTANCE_ORIGIN_VGPUD, f->uid,
                                NULL);
        call = call_start(f, MANY, 2, PATH_A, PATH_C, 3, "wait", "b", true, "timeout_usec", "t",
                          (uint64_t)20000, DETAILS);
        fixture_settle(f);
        fake_model_end_job(model_get_job(f->model, 1), JOB_DONE, VGPUD_ERROR_NONE, NULL);
        got = wait_for_answer(f, call);
        g_assert_true(g_str_has_prefix(got, "org.vgpud1.Error.Timeout: \""));
        assert_contains(got, COLUMN("job", "o \"" JOB2 "\""));
        assert_contains(got, COLUMN("instances", "ao [\"" PATH_A "\", \"" PATH_C "\"]"));
}

/* An error stays below 4 KiB. */
static void test_error_size(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autoptr(Call) c = NULL;
        g_autofree char *message = g_strnfill(300, 'x');
        Job *job;
        uint64_t size = 0;

        c = call_start(f, MANY, 2, PATH_A, PATH_B, 3, "wait", "b", true, "foreign", "b", true, DETAILS);
        fixture_settle(f);
        job = model_get_job(f->model, 1);

        for (unsigned i = 0; i < 40; i++) {
                g_autofree char *uuid = g_strdup_printf("00000000-0000-4000-8000-%012x", i + 1);

                g_ptr_array_add(job->uuids, g_strdup(uuid));
                fake_model_add_failure(job, uuid, VGPUD_ERROR_IN_USE, message);
        }

        fake_model_end_job(job, JOB_FAILED, VGPUD_ERROR_IN_USE, message);
        fixture_settle(f);

        g_autofree char *got = call_text(c);
        assert_contains(got, COLUMN("n_failures", "u 40"));
        assert_contains(got, COLUMN("n_instances", "u 42"));
        size = strlen(got);
        g_assert_cmpuint(size, <, 4400); /* call_text() adds a little to the message */
}

/* Limit in bytes of the name, sender, destination, path, interface and member of a message. */
#define HEADER_MAX 256
#define LONGEST    4096
#define MANY_GPUS  20

/* A call of DestroyMany for instances on 20 GPUs. */
static Call *destroy_on_many_gpus(Fixture *f)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

        g_assert_cmpint(sd_bus_message_new_method_call(f->client, &m, VGPUD_BUS_NAME, VGPUD_PATH_ROOT,
                                                       VGPUD_INTERFACE_MANAGER, "DestroyMany"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_set_sender(m, ":1.7"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "o"), >=, 0);

        for (unsigned i = 0; i < MANY_GPUS; i++) {
                g_autofree char *name = g_strdup_printf("mtty%u", i);
                g_autofree char *uuid = g_strdup_printf("11111111-0000-4000-8000-%012x", i);
                Gpu *gpu = fake_model_add_gpu(f->model, name);
                g_autofree char *path = bus_path_instance(uuid);

                fake_model_add_instance(gpu, uuid, INSTANCE_ORIGIN_VGPUD, f->uid, NULL);
                g_assert_cmpint(sd_bus_message_append_basic(m, 'o', path), >=, 0);
        }

        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "a{sv}", 2, "wait", "b", true, DETAILS), >=, 0);

        return call_send(f, m);
}

/* End job 1 with this error, 40 instances and 40 failures. */
static void end_with_error(Fixture *f, const char *message, const char *hint)
{
        Job *job = model_get_job(f->model, 1);

        for (unsigned i = 0; i < 40; i++) {
                g_autofree char *uuid = g_strdup_printf("00000000-0000-4000-8000-%012x", i + 1);

                g_ptr_array_add(job->uuids, g_strdup(uuid));
                fake_model_add_failure(job, uuid, VGPUD_ERROR_NOT_AUTHORIZED, message);
        }

        (void)vgpud_error_setf(&job->error, VGPUD_ERROR_NOT_AUTHORIZED, "%s", message);
        if (hint)
                vgpud_error_hintf(&job->error, VGPUD_HINT_DESTROY_INSTANCE, "%s", hint);
        fake_model_end_job(job, JOB_FAILED, VGPUD_ERROR_NONE, NULL);
}

/* Returns a text of 6000 bytes: `shift` bytes, then characters of several bytes. */
static char *long_text(size_t shift, const char *character)
{
        GString *s = g_string_new(NULL);

        for (size_t i = 0; i < shift; i++)
                g_string_append_c(s, 'x');
        while (s->len < 6000)
                g_string_append(s, character);

        return g_string_free(s, false);
}

/* With the longest texts and lists, an error and the signal JobRemoved stay below 4 KiB, and texts end with a
 * whole character. If one text is short, the other may be longer. */
static void test_longest_error(void)
{
        for (size_t shift = 0; shift < 4; shift++)
                for (unsigned hint_kind = 0; hint_kind < 3; hint_kind++) {
                        g_autoptr(Fixture) f = root_fixture();
                        g_autoptr(Call) c = destroy_on_many_gpus(f);
                        g_autofree char *message = long_text(shift, "\xf0\x9f\x98\x80"), *got = NULL;
                        g_autofree char *hint = hint_kind == 2   ? long_text(shift, "\xe2\x82\xac")
                                                : hint_kind == 1 ? g_strdup("a short one")
                                                                 : NULL;

                        fixture_settle(f);

                        for (unsigned id = 2; id <= MANY_GPUS; id++)
                                fake_model_end_job(model_get_job(f->model, id), JOB_DONE, VGPUD_ERROR_NONE,
                                                   NULL);
                        f->largest_signal = 0;
                        end_with_error(f, message, hint);
                        fixture_settle(f);

                        got = call_text(c);
                        g_assert_cmpuint(message_body_size(c->reply) + HEADER_MAX, <=, LONGEST);
                        g_assert_cmpuint(f->largest_signal + HEADER_MAX, <=, LONGEST);
                        assert_contains(got, COLUMN("n_jobs", "u 20"));
                        assert_contains(got, COLUMN("n_instances", "u 41"));
                        assert_contains(got, COLUMN("n_failures", "u 40"));
                        assert_contains(got, "\xf0\x9f\x98\x80\xe2\x80\xa6\" [");
                        if (hint_kind == 2)
                                assert_contains(got, "\xe2\x82\xac\xe2\x80\xa6\"");
                        else if (hint_kind == 1)
                                assert_contains(got, COLUMN("hint", "s \"a short one\""));
                }
}

/* An error with long texts and without lists: each text is as long as a text may be. */
static void test_long_texts(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autoptr(Call) c = call_start(f, CREATE_CALL, "mdpy", "mdpy-xga", 2, "wait", "b", true, DETAILS);
        g_autofree char *message = long_text(0, "m"), *hint = long_text(0, "h"), *got = NULL;
        Job *job;

        fixture_settle(f);
        job = model_get_job(f->model, 1);
        (void)vgpud_error_setf(&job->error, VGPUD_ERROR_FAILED, "%s", message);
        vgpud_error_hintf(&job->error, VGPUD_HINT_TRY_AGAIN, "%s", hint);
        fake_model_end_job(job, JOB_FAILED, VGPUD_ERROR_NONE, NULL);
        fixture_settle(f);

        got = call_text(c);
        g_assert_cmpuint(message_body_size(c->reply), >, 2048);
        g_assert_cmpuint(message_body_size(c->reply) + HEADER_MAX, <=, LONGEST);
}

static void test_wait_for_failure(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autoptr(Call) c = create_waiting(f);

        fake_model_end_job(model_get_job(f->model, 1), JOB_FAILED, VGPUD_ERROR_NO_CAPACITY, "there is no room");
        fixture_settle(f);
        assert_reply_error(c, "NoCapacity");
}

/* The caller of a job that gets stuck has an answer at once. The job ends later, without a second answer. */
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
        assert_reply_error(c, "GpuStuck");
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
        assert_reply_error(destroy, "Canceled");
}

/* The caller has an answer even if the model removes the job without a result. */
static void test_wait_for_removed(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autoptr(Call) c = create_waiting(f);
        Job *job = model_get_job(f->model, 1);

        job->finished = NULL;
        fake_model_end_job(job, JOB_FAILED, VGPUD_ERROR_GPU_GONE, "it burned");
        fixture_settle(f);
        assert_reply_error(c, "GpuGone");
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
        /* The job has no reference to the freed Bus. */
        fake_model_end_job(model_get_job(f->model, 1), JOB_DONE, VGPUD_ERROR_NONE, NULL);
        /* The objects are no longer on the bus. */
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
        g_test_add_func("/methods/list-instances", test_list_instances);
        g_test_add_func("/methods/list-gpus", test_list_gpus);
        g_test_add_func("/methods/list-types", test_list_types);
        g_test_add_func("/methods/jobs", test_jobs);
        g_test_add_func("/methods/many-jobs", test_many_jobs);
        g_test_add_func("/methods/names", test_names);
        g_test_add_func("/methods/error-details", test_error_details);
        g_test_add_func("/methods/create-hints", test_create_hints);
        g_test_add_func("/methods/place", test_place);
        g_test_add_func("/methods/destroy", test_destroy);
        g_test_add_func("/methods/destroy-foreign", test_destroy_foreign);
        g_test_add_func("/methods/rescan", test_rescan);
        g_test_add_func("/methods/set-vfs", test_set_vfs);
        g_test_add_func("/methods/configure", test_configure);
        g_test_add_func("/methods/keep", test_keep);
        g_test_add_func("/methods/forget-absent-gpu", test_forget_absent_gpu);
        g_test_add_func("/methods/cancel", test_cancel);
        g_test_add_func("/wait/done", test_wait);
        g_test_add_func("/wait/hand-over", test_wait_hand_over);
        g_test_add_func("/wait/timeout", test_timeout);
        g_test_add_func("/wait/no-timeout", test_no_timeout);
        g_test_add_func("/many/requests", test_destroy_many);
        g_test_add_func("/many/wait", test_destroy_many_wait);
        g_test_add_func("/many/timeout", test_destroy_many_timeout);
        g_test_add_func("/many/error-size", test_error_size);
        g_test_add_func("/many/longest-error", test_longest_error);
        g_test_add_func("/many/long-texts", test_long_texts);
        g_test_add_func("/wait/failed", test_wait_for_failure);
        g_test_add_func("/wait/stuck", test_wait_for_stuck);
        g_test_add_func("/wait/other-methods", test_wait_other_methods);
        g_test_add_func("/wait/removed", test_wait_for_removed);
        g_test_add_func("/wait/client-leaves", test_wait_client_leaves);
        g_test_add_func("/wait/daemon-stops", test_wait_daemon_stops);

        return g_test_run();
}
