/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The polkit check, with a polkit that the test plays. */

#include <string.h>

#include "dbus/admission/bus-places.h"
#include "fixture.h"

#define JOB1   VGPUD_PATH_JOB "/1"
#define DENIED "org.vgpud1.Error.NotAuthorized: "
#define ACTION "org.vgpud1.rescan"

/* The polkit check is internal to Bus. A test sees in Fixture.asked how many questions polkit has got. Under
 * the address sanitizer, fixture_free() finds questions that were never freed. */

static Call *rescan(Fixture *f, CallFlags flags)
{
        Call *c = call_start(f, flags, PATH_GPU, VGPUD_INTERFACE_GPU, "Rescan", "a{sv}", 0);

        fixture_settle(f);

        return c;
}

static void assert_rescan(Fixture *f, CallFlags flags, const char *expected)
{
        g_autoptr(Call) c = rescan(f, flags);
        g_autofree char *got = call_text(c);

        g_assert_cmpstr(got, ==, expected);
}

/* The call fails with the error, whose message contains the fact. */
static void assert_refused(Fixture *f, CallFlags flags, const char *error, const char *fact)
{
        g_autoptr(Call) c = rescan(f, flags);
        g_autofree char *got = call_text(c);

        g_assert_true(g_str_has_prefix(got, error));
        assert_contains(got, fact);
}

static void test_allow(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);

        f->polkit = POLKIT_SAYS_YES;
        assert_rescan(f, 0, "\"" JOB1 "\"");
        g_assert_cmpuint(f->asked, ==, 1);
        g_assert_cmpstr(f->question, ==, "org.vgpud1.rescan :1.7 0 gpu=mdpy");
        g_assert_cmpuint(fake_model(f->model)->requester, ==, f->uid);
        assert_rescan(f, CALL_INTERACTIVE, "\"" VGPUD_PATH_JOB "/2\"");
        g_assert_cmpstr(f->question, ==, "org.vgpud1.rescan :1.7 1 gpu=mdpy");
        g_assert_cmpuint(fake_model(f->model)->rescans, ==, 2);
}

static void test_refusals(void)
{
        static const struct {
                PolkitPlay play;
                CallFlags flags;
                const char *fact;
        } cases[] = {
                { POLKIT_SAYS_NO, 0, ACTION },
                { POLKIT_SAYS_CHALLENGE, 0, ACTION },
                { POLKIT_SAYS_CHALLENGE, CALL_INTERACTIVE, ACTION },
                { POLKIT_SAYS_DISMISSED, CALL_INTERACTIVE, ACTION },
                { POLKIT_SAYS_NONSENSE, 0, ACTION },
                { POLKIT_FAILS, 0, "The name org.freedesktop.PolicyKit1 was not provided" },
        };
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                f->polkit = cases[i].play;
                assert_refused(f, cases[i].flags, DENIED, cases[i].fact);
        }

        g_assert_cmpuint(f->asked, ==, G_N_ELEMENTS(cases));
        g_assert_cmpuint(fake_model(f->model)->rescans, ==, 0);
}

/* A caller without a name is refused: polkit could not identify the process. */
static void test_nameless(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);

        f->polkit = POLKIT_SAYS_YES;
        assert_refused(f, CALL_NAMELESS, DENIED, ACTION);
        g_assert_cmpuint(f->asked, ==, 0);
}

static void test_root(void)
{
        g_autoptr(Fixture) f = fixture_new(0);

        if (f->uid != 0) {
                g_test_skip("needs root");
                return;
        }

        f->polkit = POLKIT_FAILS;
        assert_rescan(f, 0, "\"" JOB1 "\"");
        g_assert_cmpuint(f->asked, ==, 0);
}

static void test_delay(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        g_autoptr(Call) c = NULL;
        g_autofree char *got = NULL;

        f->polkit = POLKIT_THINKS;
        c = rescan(f, 0);
        g_assert_null(c->reply);
        g_assert_cmpuint(fake_model(f->model)->rescans, ==, 0);
        /* The daemon answers other calls meanwhile. */
        assert_call("\"" PATH_GPU "\"", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "GetGpu", "sa{sv}",
                    "mdpy", 0);
        fixture_polkit_answers(f, POLKIT_SAYS_YES);
        got = call_text(c);
        g_assert_cmpstr(got, ==, "\"" JOB1 "\"");
        g_assert_cmpuint(fake_model(f->model)->rescans, ==, 1);
        g_assert_cmpuint(f->asked, ==, 1);
}

/* The object is removed while polkit decides, so the second dispatch of the call does not find it. */
static void test_object_removed(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        g_autoptr(Call) c = NULL, by_name = NULL;
        g_autofree char *got = NULL, *got_by_name = NULL;

        f->polkit = POLKIT_THINKS;
        c = call_start(f, 0, PATH_A, VGPUD_INTERFACE_INSTANCE, "Destroy", "a{sv}", 0);
        by_name = call_start(f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "Destroy", "sa{sv}", UUID_A, 0);
        fixture_settle(f);
        g_assert_cmpuint(f->asked, ==, 2);
        fake_model_remove_instance(f->a);
        fixture_polkit_answers(f, POLKIT_SAYS_YES);
        got = call_text(c);
        got_by_name = call_text(by_name);
        g_assert_cmpstr(got, ==, "org.freedesktop.DBus.Error.UnknownObject: Unknown object '" PATH_A "'.");
        g_assert_true(g_str_has_prefix(got_by_name, "org.vgpud1.Error.NoSuchInstance: "));
        g_assert_cmpuint(fake_model(f->model)->destroys, ==, 0);
}

/* Permission for an instance does not cover another instance with the same UUID on another GPU. */
static void test_object_replaced(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        g_autoptr(Call) c = NULL;
        g_autofree char *got = NULL;

        f->polkit = POLKIT_THINKS;
        c = call_start(f, 0, PATH_A, VGPUD_INTERFACE_INSTANCE, "Destroy", "a{sv}", 0);
        fixture_settle(f);
        fake_model_remove_instance(f->a);
        f->a = fake_model_add_instance(fake_model_add_gpu(f->model, "mtty"), UUID_A, INSTANCE_ORIGIN_VGPUD,
                                       f->uid, "desk");
        fixture_polkit_answers(f, POLKIT_SAYS_YES);
        got = call_text(c);
        g_assert_true(g_str_has_prefix(got, "org.vgpud1.Error.Failed: "));
        g_assert_cmpuint(fake_model(f->model)->destroys, ==, 0);
}

/* Permission does not cover an instance that has become foreign since the question. */
static void test_action_changed(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        g_autoptr(Call) c = NULL;
        g_autofree char *got = NULL;

        f->a->owner = f->uid + 1;
        f->polkit = POLKIT_THINKS;
        c = call_start(f, 0, PATH_A, VGPUD_INTERFACE_INSTANCE, "Destroy", "a{sv}", 1, "foreign", "b", true);
        fixture_settle(f);
        f->a->origin = INSTANCE_ORIGIN_FOREIGN;
        fixture_polkit_answers(f, POLKIT_SAYS_YES);
        got = call_text(c);
        g_assert_true(g_str_has_prefix(got, "org.vgpud1.Error.Failed: "));
        g_assert_cmpuint(fake_model(f->model)->destroys, ==, 0);
}

static void test_client_leaves(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        g_autoptr(Call) c = NULL;

        f->polkit = POLKIT_THINKS;
        c = rescan(f, 0);
        fixture_client_leaves(f);
        g_assert_cmpuint(fake_model(f->model)->rescans, ==, 0);
}

/* The daemon stops with an open question, which must not keep the connection alive. */
static void test_daemon_stops(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        g_autoptr(Call) c = NULL;

        f->polkit = POLKIT_THINKS;
        c = rescan(f, 0);
        f->bus = bus_free(f->bus);
        fixture_polkit_answers(f, POLKIT_SAYS_YES);
        g_assert_null(c->reply);
        g_assert_cmpuint(fake_model(f->model)->rescans, ==, 0);
}

/* Questions beyond a user's limit of questions wait. Calls beyond a user's limit of places are refused. */
static void test_limit(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        g_autoptr(GPtrArray) calls = g_ptr_array_new();

        if (f->uid == 0) {
                g_test_skip("polkit is not asked about root");
                return;
        }

        f->polkit = POLKIT_THINKS;

        for (unsigned i = 0; i < BUS_CALLS_PER_USER_MAX; i++)
                g_ptr_array_add(calls, rescan(f, 0));
        g_assert_cmpuint(f->asked, ==, BUS_AUTHZ_QUESTIONS_PER_UID_MAX);
        assert_error("TooManyCalls", f, 0, PATH_GPU, VGPUD_INTERFACE_GPU, "Rescan", "a{sv}", 0);
        g_assert_cmpuint(f->asked, ==, BUS_AUTHZ_QUESTIONS_PER_UID_MAX);

        while (f->asked < BUS_CALLS_PER_USER_MAX) {
                unsigned asked = f->asked;

                fixture_polkit_answers(f, POLKIT_SAYS_NO);
                g_assert_cmpuint(f->asked, >, asked);
        }

        fixture_polkit_answers(f, POLKIT_SAYS_NO);
        g_assert_cmpuint(f->asked, ==, BUS_CALLS_PER_USER_MAX);

        for (guint i = 0; i < calls->len; i++) {
                g_autoptr(Call) c = calls->pdata[i];
                g_autofree char *got = call_text(c);

                g_assert_true(g_str_has_prefix(got, DENIED));
        }

        /* All questions are answered, so another question is possible. */
        f->polkit = POLKIT_SAYS_YES;
        assert_rescan(f, 0, "\"" JOB1 "\"");
}

/* A call without a GPU keeps the GPU that polkit was asked about, even if vgpud would choose another GPU
 * now. */
static void test_any_gpu_stays(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        g_autoptr(Call) c = NULL;
        g_autofree char *got = NULL;

        fake_model_add_gpu(f->model, "mtty");
        f->polkit = POLKIT_THINKS;
        fake_model(f->model)->any_gpu = "mdpy";
        c = call_start(f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "Create", "ssa{sv}", "", "mdpy-xga", 0);
        fixture_settle(f);
        g_assert_cmpstr(f->question, ==,
                        "org.vgpud1.create :1.7 0 gpu=mdpy type=mdpy-xga count=1 instance= name= parent= attributes=");
        fake_model(f->model)->any_gpu = "mtty";
        fixture_polkit_answers(f, POLKIT_SAYS_YES);
        got = call_text(c);
        g_assert_true(g_str_has_prefix(got, "\"" JOB1 "\" "));
        g_assert_cmpstr(fake_model(f->model)->gpu, ==, "mdpy");
}

/* If the chosen GPU is full when polkit permits the call, vgpud chooses another GPU and asks polkit about
 * it. */
static void test_another_gpu(void)
{
        static const struct {
                PolkitPlay first, second;
                const char *expected, *gpu;
                unsigned asked;
        } cases[] = {
                { POLKIT_SAYS_YES, POLKIT_SAYS_YES, "\"" JOB1 "\" ", "mtty", 2 },
                { POLKIT_SAYS_YES, POLKIT_SAYS_NO, DENIED, NULL, 2 },
                { POLKIT_SAYS_NO, POLKIT_SAYS_YES, DENIED, NULL, 1 },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(Fixture) f = fixture_new(UID_A_USER);
                g_autoptr(Call) c = NULL;
                g_autofree char *got = NULL;

                fake_model_add_gpu(f->model, "mtty");
                f->polkit = POLKIT_THINKS;
                fake_model(f->model)->any_gpu = "mdpy";
                c = call_start(f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "Create", "ssa{sv}", "",
                               "mdpy-xga", 1, "strategy", "s", "depth");
                fixture_settle(f);
                fake_model(f->model)->any_gpu = "mtty";
                fake_model(f->model)->chosen_is_full = true;
                f->polkit = cases[i].second;
                fixture_polkit_answers(f, cases[i].first);
                fixture_settle(f);
                got = call_text(c);
                g_assert_true(g_str_has_prefix(got, cases[i].expected));
                g_assert_cmpuint(f->asked, ==, cases[i].asked);
                g_assert_cmpstr(fake_model(f->model)->gpu, ==, cases[i].gpu);
                /* the strategy of the call guides the second choice, too */
                g_assert_true(g_str_has_prefix(fake_model(f->model)->hints, "depth "));

                if (cases[i].asked == 2)
                        g_assert_cmpstr(f->question, ==,
                                        "org.vgpud1.create :1.7 0 gpu=mtty type=mdpy-xga count=1 instance= name= parent= attributes=");
        }
}

/* vgpud checks a call before it asks polkit, so that no user enters a password for a call that must fail. */
static void test_errors_come_first(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        g_autofree char *got = NULL;

        assert_error("NoSuchGpu", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "Create", "ssa{sv}", "x",
                     "mdpy-xga", 0);
        got = CALL_TEXT(f, 0, PATH_B, VGPUD_INTERFACE_INSTANCE, "Destroy", "a{sv}", 0);
        g_assert_true(g_str_has_prefix(got, "org.vgpud1.Error.Foreign: "));
        fake_model(f->model)->wrong = "this cannot be";
        assert_error("InvalidArgs", f, 0, PATH_GPU, VGPUD_INTERFACE_GPU, "SetVfs", "ua{sv}", 99, 0);
        assert_error("InvalidArgs", f, 0, PATH_GPU, VGPUD_INTERFACE_GPU, "Configure", "ssa{sv}", "x", "y", 0);
        g_assert_cmpuint(f->asked, ==, 0);
}

static void test_details(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        g_autofree char *of_a =
                        g_strdup_printf("org.vgpud1.destroy :1.7 0 gpu=mdpy type=mdpy-xga instance=" UUID_A
                                        " name=desk owner=%u mine=yes",
                                        (unsigned)f->uid);
        g_autofree char *of_others = g_strdup_printf(
                        "org.vgpud1.destroy-other :1.7 0 gpu=mdpy type=mdpy-xga instance=" UUID_A
                        " name=desk owner=%u mine=no",
                        (unsigned)f->uid + 1);

        f->polkit = POLKIT_SAYS_YES;
        assert_call("\"" JOB1 "\"", f, 0, PATH_A, VGPUD_INTERFACE_INSTANCE, "Destroy", "a{sv}", 0);
        g_assert_cmpstr(f->question, ==, of_a);
        f->a->owner = f->uid + 1;
        assert_call("\"" VGPUD_PATH_JOB "/2\"", f, 0, PATH_A, VGPUD_INTERFACE_INSTANCE, "Destroy", "a{sv}", 0);
        g_assert_cmpstr(f->question, ==, of_others);

        g_clear_pointer(&f->b->desc->type_id, g_free);
        assert_call("\"" VGPUD_PATH_JOB "/3\"", f, 0, PATH_B, VGPUD_INTERFACE_INSTANCE, "Destroy", "a{sv}", 1,
                    "foreign", "b", true);
        g_assert_cmpstr(f->question, ==,
                        "org.vgpud1.destroy-foreign :1.7 0 gpu=mdpy type= instance=" UUID_B
                        " name= owner= mine=no");

        fake_model_add_job(f->gpu, &fake_kind_rescan, f->uid + 1);
        g_autofree char *cancel = g_strdup_printf("org.vgpud1.cancel-job :1.7 0 gpu=mdpy type= job=4 owner=%u",
                                                  (unsigned)f->uid + 1);
        assert_call("", f, 0, VGPUD_PATH_JOB "/4", VGPUD_INTERFACE_JOB, "Cancel", "a{sv}", 0);
        g_assert_cmpstr(f->question, ==, cancel);

        assert_call("\"" VGPUD_PATH_JOB "/5\"", f, 0, PATH_GPU, VGPUD_INTERFACE_GPU, "SetVfs", "ua{sv}", 16, 0);
        g_assert_cmpstr(f->question, ==, "org.vgpud1.set-vfs :1.7 0 gpu=mdpy count=16 before=0 keep=no");
        assert_call("\"" VGPUD_PATH_JOB "/6\"", f, 0, PATH_GPU, VGPUD_INTERFACE_GPU, "Configure", "ssa{sv}",
                    "mig", "yes", 0);
        g_assert_cmpstr(f->question, ==,
                        "org.vgpud1.configure :1.7 0 gpu=mdpy mode=mig value=yes before= keep=no");

        fake_model(f->model)->settings = gpu_settings_new("mdpy");
        gpu_settings_set_mode(fake_model(f->model)->settings, "mig", "yes");
        assert_call("", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ForgetSettings", "sa{sv}", "mdpy", 1,
                    "mode", "s", "mig");
        g_assert_cmpstr(f->question, ==,
                        "org.vgpud1.configure :1.7 0 gpu=mdpy mode=mig value= before= keep=forget");
        f->asked = 0;
        assert_call("", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ForgetSettings", "sa{sv}", "mdpy", 1,
                    "vfs", "b", true);
        g_assert_cmpstr(f->question, ==, "org.vgpud1.set-vfs :1.7 0 gpu=mdpy count=0 before=0 keep=forget");
        g_assert_cmpuint(f->asked, ==, 1);
        assert_call("", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ForgetSettings", "sa{sv}", "mdpy", 0);
        g_assert_cmpuint(f->asked, ==, 3);
}

/* Nothing is known of the present values of a GPU that the host does not have. */
static void test_details_of_absent_gpu(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);

        f->polkit = POLKIT_SAYS_YES;
        fake_model(f->model)->settings = gpu_settings_new("gone");
        fake_model(f->model)->settings->vfs = 4;
        gpu_settings_set_mode(fake_model(f->model)->settings, "mig", "yes");
        assert_call("", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ForgetSettings", "sa{sv}", "gone", 1,
                    "vfs", "b", true);
        g_assert_cmpstr(f->question, ==, "org.vgpud1.set-vfs :1.7 0 gpu=gone count= before= keep=forget");
        assert_call("", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ForgetSettings", "sa{sv}", "gone", 1,
                    "mode", "s", "mig");
        g_assert_cmpstr(f->question, ==,
                        "org.vgpud1.configure :1.7 0 gpu=gone mode=mig value= before= keep=forget");
        g_assert_cmpuint(fake_model(f->model)->forgets, ==, 2);
}

static Call *destroy_both(Fixture *f)
{
        Call *c = call_start(f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "DestroyMany", "aoa{sv}", 2,
                             PATH_A, PATH_B, 1, "foreign", "b", true);

        fixture_settle(f);

        return c;
}

/* polkit gets one question per instance, one at a time. */
static void test_many(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        g_autoptr(Call) c = NULL;
        g_autofree char *got = NULL;

        f->polkit = POLKIT_THINKS;
        c = destroy_both(f);
        g_assert_cmpuint(f->asked, ==, 1);
        g_assert_true(g_str_has_prefix(f->question, "org.vgpud1.destroy "));
        fixture_polkit_answers(f, POLKIT_SAYS_YES);
        g_assert_null(c->reply);
        g_assert_cmpuint(f->asked, ==, 2);
        g_assert_true(g_str_has_prefix(f->question, "org.vgpud1.destroy-foreign "));
        g_assert_cmpuint(fake_model(f->model)->destroys, ==, 0);

        fixture_polkit_answers(f, POLKIT_SAYS_YES);
        got = call_text(c);
        g_assert_cmpstr(got, ==, "[\"" JOB1 "\"]");
        g_assert_cmpuint(fake_model(f->model)->destroys, ==, 1);
}

/* If polkit denies the last instance, the first one is kept as well. */
static void test_many_refused(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        g_autoptr(Call) c = NULL;
        g_autofree char *got = NULL;

        f->polkit = POLKIT_THINKS;
        c = destroy_both(f);
        fixture_polkit_answers(f, POLKIT_SAYS_YES);
        fixture_polkit_answers(f, POLKIT_SAYS_NO);
        got = call_text(c);
        g_assert_true(g_str_has_prefix(got, DENIED));
        g_assert_cmpuint(fake_model(f->model)->destroys, ==, 0);

        /* A broken answer to the second question does not fall back to the first verdict. */
        g_clear_pointer(&c, call_free);
        g_clear_pointer(&got, g_free);
        c = destroy_both(f);
        fixture_polkit_answers(f, POLKIT_SAYS_YES);
        fixture_polkit_answers(f, POLKIT_FAILS);
        got = call_text(c);
        g_assert_true(g_str_has_prefix(got, DENIED));
        g_assert_cmpuint(fake_model(f->model)->destroys, ==, 0);
}

/* An instance that changes after its permission is not removed. */
static void test_many_changed(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        g_autoptr(Call) c = NULL;
        g_autofree char *got = NULL;

        f->polkit = POLKIT_THINKS;
        c = destroy_both(f);
        fixture_polkit_answers(f, POLKIT_SAYS_YES);
        f->a->owner = f->uid + 1;
        fixture_polkit_answers(f, POLKIT_SAYS_YES);
        got = call_text(c);
        g_assert_true(g_str_has_prefix(got, "org.vgpud1.Error.Failed: "));
        g_assert_cmpuint(fake_model(f->model)->destroys, ==, 0);
}

static void test_own_job(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);

        f->polkit = POLKIT_SAYS_NO;
        fake_model_add_job(f->gpu, &fake_kind_rescan, f->uid);
        assert_call("", f, 0, JOB1, VGPUD_INTERFACE_JOB, "Cancel", "a{sv}", 0);
        g_assert_cmpuint(f->asked, ==, 0);
}

/* ---- every method asks polkit ---- */

/* Every method of vgpud, and the action that it asks polkit about. */
static const struct {
        const char *path, *interface, *method, *action; /* action NULL: the method only reads */
} method_table[] = {
        { VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "Create", "org.vgpud1.create" },
        { VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "Destroy", "org.vgpud1.destroy" },
        { VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "DestroyMany", "org.vgpud1.destroy" },
        { VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "Define", "org.vgpud1.define" },
        { VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "DefineInstance", "org.vgpud1.define" },
        { VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "Edit", "org.vgpud1.define-other" },
        { VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "Undefine", "org.vgpud1.define-other" },
        { VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "Start", "org.vgpud1.start-other" },
        { VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "CancelStart", "org.vgpud1.start-other" },
        { VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ForgetSettings", "org.vgpud1.set-vfs" },
        { VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "GetDefinition", NULL },
        { VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ListDefinitions", NULL },
        { VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "GetGpu", NULL },
        { VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "GetInstance", NULL },
        { VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "GetJob", NULL },
        { VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ListGpus", NULL },
        { VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ListJobs", NULL },
        { VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ListMissing", NULL },
        { VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ListInstances", NULL },
        { VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ListTypes", NULL },
        { VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "Place", NULL },
        { PATH_GPU, VGPUD_INTERFACE_GPU, "ListTypes", NULL },
        { PATH_GPU, VGPUD_INTERFACE_GPU, "ListVfs", NULL },
        { PATH_GPU, VGPUD_INTERFACE_GPU, "SetVfs", "org.vgpud1.set-vfs" },
        { PATH_GPU, VGPUD_INTERFACE_GPU, "Configure", "org.vgpud1.configure" },
        { PATH_GPU, VGPUD_INTERFACE_GPU, "Rescan", "org.vgpud1.rescan" },
        { PATH_A, VGPUD_INTERFACE_INSTANCE, "GetHandOver", NULL },
        { PATH_A, VGPUD_INTERFACE_INSTANCE, "Destroy", "org.vgpud1.destroy" },
        { JOB1, VGPUD_INTERFACE_JOB, "Cancel", "org.vgpud1.cancel-job" },
};

/* Returns the number of methods of vgpud in the introspection of the objects. */
static unsigned count_methods(Fixture *f)
{
        static const char *const objects[] = { VGPUD_PATH_ROOT, PATH_GPU, PATH_A, JOB1 };
        unsigned n = 0;

        for (size_t i = 0; i < G_N_ELEMENTS(objects); i++) {
                g_autoptr(Call) c = call_start(f, 0, objects[i], "org.freedesktop.DBus.Introspectable",
                                               "Introspect", "");
                const char *xml, *p, *end;

                fixture_settle(f);
                g_assert_cmpint(sd_bus_message_read_basic(c->reply, 's', &xml), >, 0);
                p = strstr(xml, "<interface name=\"org.vgpud1.");
                g_assert_nonnull(p);
                end = strstr(p, "</interface>");

                while ((p = strstr(p, "<method name=")) && p < end) {
                        n++;
                        p++;
                }

                g_assert_null(strstr(xml, "access=\"readwrite\"")); /* a setter could not wait for polkit */
                g_assert_null(strstr(xml, "access=\"write\""));
        }

        return n;
}

/* The first argument of a method of the Manager. */
static const char *method_word(const char *method)
{
        static const struct {
                const char *method, *word;
        } words[] = {
                { "Define", "mdpy-xga" }, { "Edit", UUID_C },        { "Undefine", UUID_C },
                { "Start", UUID_C },      { "CancelStart", UUID_C }, { "GetDefinition", UUID_C },
                { "GetGpu", "mdpy" },     { "Place", "mdpy-xga" },   { "ForgetSettings", "mdpy" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
                if (strcmp(words[i].method, method) == 0)
                        return words[i].word;

        return UUID_A;
}

static void test_every_method(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);

        f->polkit = POLKIT_SAYS_NO;
        fake_model_add_definition(f->model, UUID_C, f->uid + 1, NULL);
        fake_model_add_job(f->gpu, &fake_kind_rescan, f->uid + 1);
        fake_model(f->model)->settings = gpu_settings_new("mdpy");
        g_assert_cmpuint(count_methods(f), ==, G_N_ELEMENTS(method_table));

        for (size_t i = 0; i < G_N_ELEMENTS(method_table); i++) {
                const char *path = method_table[i].path, *interface = method_table[i].interface;
                const char *method = method_table[i].method, *action = method_table[i].action;
                g_autofree char *got = NULL;

                f->asked = 0;
                fake_model(f->model)->starting =
                                strcmp(method, "CancelStart") == 0 ? DEFINITION_WAITING : DEFINITION_STOPPED;

                if (strcmp(method, "Create") == 0)
                        got = CALL_TEXT(f, 0, path, interface, method, "ssa{sv}", "mdpy", "mdpy-xga", 0);
                else if (strcmp(method, "Edit") == 0)
                        got = CALL_TEXT(f, 0, path, interface, method, "sa{sv}", UUID_C, 1, "name", "s", "x");
                else if (strcmp(method, "DestroyMany") == 0)
                        got = CALL_TEXT(f, 0, path, interface, method, "aoa{sv}", 1, PATH_A, 0);
                else if (strcmp(method, "GetJob") == 0)
                        got = CALL_TEXT(f, 0, path, interface, method, "ua{sv}", 1, 0);
                else if (strcmp(method, "SetVfs") == 0)
                        got = CALL_TEXT(f, 0, path, interface, method, "ua{sv}", 2, 0);
                else if (strcmp(method, "Configure") == 0)
                        got = CALL_TEXT(f, 0, path, interface, method, "ssa{sv}", "mig", "yes", 0);
                else if (strcmp(path, VGPUD_PATH_ROOT) != 0 || g_str_has_prefix(method, "List"))
                        got = CALL_TEXT(f, 0, path, interface, method, "a{sv}", 0);
                else
                        got = CALL_TEXT(f, 0, path, interface, method, "sa{sv}", method_word(method), 0);

                if (!action) {
                        g_assert_cmpuint(f->asked, ==, 0);
                        g_assert_true(got[0] == '"' || got[0] == '[');
                        continue;
                }

                g_assert_cmpuint(f->asked, ==, 1);
                g_assert_true(g_str_has_prefix(got, DENIED));
                assert_contains(got, action);
        }

        g_assert_cmpuint(fake_model(f->model)->creates + fake_model(f->model)->destroys +
                                         fake_model(f->model)->rescans + fake_model(f->model)->cancels +
                                         fake_model(f->model)->vf_changes + fake_model(f->model)->configures +
                                         fake_model(f->model)->forgets + fake_model(f->model)->defines +
                                         fake_model(f->model)->undefines + fake_model(f->model)->wants_removed,
                         ==, 0);
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/authz/allow", test_allow);
        g_test_add_func("/authz/refusals", test_refusals);
        g_test_add_func("/authz/nameless", test_nameless);
        g_test_add_func("/authz/root", test_root);
        g_test_add_func("/authz/delay", test_delay);
        g_test_add_func("/authz/object-removed", test_object_removed);
        g_test_add_func("/authz/object-replaced", test_object_replaced);
        g_test_add_func("/authz/action-changed", test_action_changed);
        g_test_add_func("/authz/client-leaves", test_client_leaves);
        g_test_add_func("/authz/daemon-stops", test_daemon_stops);
        g_test_add_func("/authz/limit", test_limit);
        g_test_add_func("/authz/any-gpu-stays", test_any_gpu_stays);
        g_test_add_func("/authz/another-gpu", test_another_gpu);
        g_test_add_func("/authz/errors-come-first", test_errors_come_first);
        g_test_add_func("/authz/details", test_details);
        g_test_add_func("/authz/details-of-absent-gpu", test_details_of_absent_gpu);
        g_test_add_func("/authz/many", test_many);
        g_test_add_func("/authz/many-refused", test_many_refused);
        g_test_add_func("/authz/many-changed", test_many_changed);
        g_test_add_func("/authz/own-job", test_own_job);
        g_test_add_func("/authz/every-method", test_every_method);

        return g_test_run();
}
