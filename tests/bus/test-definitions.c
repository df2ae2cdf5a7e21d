/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The methods and signals about definitions, and what polkit is told. */

#include <string.h>

#include "dbus/message/bus-util.h"
#include "fixture.h"

#define MANAGER_CALL 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER
#define JOB1         VGPUD_PATH_JOB "/1"
#define KEY          "-/-/-/3/Virtual XGA"
#define UUID_D       "dddddddd-0000-4000-8000-00000000000d"
#define UUID_UPPER   "CCCCCCCC-0000-4000-8000-00000000000C"

/* An entry of a dictionary, and a column of a table. */
#define E(key, value) "{\"" key "\", <" value ">}"

#define DETAILS_OF(uuid, gpu, name, pool, parent, attributes, owner, mine)                              \
        "instance=" uuid " gpu=" gpu " type=" KEY " count=1 name=" name " pool=" pool " parent=" parent \
        " attributes=" attributes " autostart=no owner=" owner " mine=" mine

static Fixture *root_fixture(void)
{
        Fixture *f = fixture_new(0);

        f->polkit = POLKIT_SAYS_YES; /* needed if the tests run without root */

        return f;
}

/* A fixture whose caller is a user other than root, to whom polkit permits everything. */
static Fixture *user_fixture(void)
{
        Fixture *f = fixture_new(UID_A_USER);

        f->polkit = POLKIT_SAYS_YES;

        return f;
}

static void forget_log(Fixture *f)
{
        fixture_settle(f);
        g_string_truncate(f->log, 0);
}

static const Definition *get(Fixture *f, const char *uuid)
{
        const Definition *d = definitions_get(f->model->definitions, uuid);

        g_assert_nonnull(d);

        return d;
}

/* Check the last question to polkit. "ME" in `format` stands for the uid of the fixture. */
static void assert_asked(const Fixture *f, const char *action, const char *format)
{
        g_autofree char *uid = g_strdup_printf("%u", (unsigned)f->uid);
        g_autoptr(GString) details = g_string_new(format);
        g_autofree char *expected = NULL;

        g_string_replace(details, "ME", uid, 0);
        expected = g_strdup_printf("%s :1.7 0 %s", action, details->str);
        g_assert_cmpstr(f->question, ==, expected);
}

/* ---- Define ---- */

static void test_define(void)
{
        g_autoptr(Fixture) f = root_fixture();
        const Definition *d;

        assert_call("\"" UUID_C "\"", f, MANAGER_CALL, "Define", "sa{sv}", "mdpy-xga", 5, "gpu", "s", PATH_GPU,
                    "parent", "s", "00000000:3D:00.4", "name", "s", "desk2", "uuid", "s", UUID_UPPER,
                    "attributes", "a(ss)", 2, "a", "1", "b/c", "");
        d = get(f, UUID_C);
        g_assert_cmpstr(d->type, ==, KEY);
        g_assert_cmpstr(d->gpu, ==, "mdpy");
        g_assert_cmpstr(d->parent, ==, "0000:3d:00.4");
        g_assert_cmpstr(d->name, ==, "desk2");
        g_assert_null(d->pool);
        g_assert_cmpuint(d->attributes->len, ==, 2);
        g_assert_cmpuint(d->owner, ==, f->uid);
        g_assert_cmpuint(fake_model(f->model)->requester, ==, f->uid);
        g_assert_true(g_str_has_prefix(f->log->str, "DefinitionAdded(\"" UUID_C "\" ["));
        g_assert_true(g_str_has_suffix(f->log->str, ") reply "));
}

/* An option with an empty text means the same as no option. */
static void test_define_plain(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autofree char *got = CALL_TEXT(f, MANAGER_CALL, "Define", "sa{sv}", "mdpy-xga", 4, "gpu", "s", "",
                                         "pool", "s", "", "parent", "s", "", "name", "s", "");
        g_autofree char *uuid = g_strndup(got + 1, UUID_STRLEN);
        const Definition *d = get(f, uuid);

        g_assert_null(d->gpu);
        g_assert_null(d->pool);
        g_assert_null(d->parent);
        g_assert_null(d->name);
        g_assert_cmpuint(d->attributes->len, ==, 0);
}

static void test_define_errors(void)
{
        g_autoptr(Fixture) f = root_fixture();

        assert_error("InvalidArgs", f, MANAGER_CALL, "Define", "sa{sv}", "mdpy-xga", 1, "gpu", "s", PATH_A);
        assert_error("InvalidArgs", f, MANAGER_CALL, "Define", "sa{sv}", "mdpy-xga", 1, "wait", "b", true);
        assert_error("InvalidArgs", f, MANAGER_CALL, "Define", "sa{sv}", "mdpy-xga", 1, "uuid", "s", "x");
        fake_model(f->model)->fail_next = VGPUD_ERROR_QUOTA;
        fake_model(f->model)->fail_message = "1024 of 1024";
        assert_error("QuotaExceeded", f, MANAGER_CALL, "Define", "sa{sv}", "mdpy-xga", 0);
        g_assert_cmpuint(fake_model(f->model)->defines, ==, 0);
}

static void test_autostart(void)
{
        g_autoptr(Fixture) f = user_fixture();

        assert_call("\"" UUID_C "\"", f, MANAGER_CALL, "Define", "sa{sv}", "mdpy-xga", 2, "autostart", "b",
                    true, "uuid", "s", UUID_C);
        g_assert_true(get(f, UUID_C)->autostart);
        assert_contains(f->question, " autostart=yes owner=");
        assert_contains(f->log->str, E("autostart", "b true"));

        /* An edit without the option keeps autostart. */
        assert_call("", f, MANAGER_CALL, "Edit", "sa{sv}", UUID_C, 1, "name", "s", "x");
        g_assert_true(get(f, UUID_C)->autostart);
        assert_contains(f->question, " autostart=yes owner=");
        forget_log(f);
        assert_call("", f, MANAGER_CALL, "Edit", "sa{sv}", UUID_C, 1, "autostart", "b", false);
        g_assert_false(get(f, UUID_C)->autostart);
        assert_contains(f->question, " autostart=no owner=");
        assert_contains(f->log->str, E("autostart", "b false"));
        assert_call("", f, MANAGER_CALL, "Edit", "sa{sv}", UUID_C, 1, "autostart", "b", true);
        g_assert_true(get(f, UUID_C)->autostart);
        assert_error("InvalidArgs", f, MANAGER_CALL, "Edit", "sa{sv}", UUID_C, 1, "autostart", "s", "yes");
}

static void set_waiting(Fixture *f)
{
        VgpudError *reason = &fake_model(f->model)->want.waiting;

        fake_model(f->model)->starting = DEFINITION_WAITING;
        vgpud_error_setf(reason, VGPUD_ERROR_NO_SUCH_GPU, "x is not plugged in");
        vgpud_error_hintf(reason, VGPUD_HINT_LOAD_DRIVER, "plug it in");
}

static void test_cancel_start(void)
{
        g_autoptr(Fixture) f = user_fixture();

        fake_model_add_definition(f->model, UUID_C, f->uid, "desk2");
        fake_model_add_definition(f->model, UUID_D, 7, "other");
        assert_error("InvalidArgs", f, MANAGER_CALL, "CancelStart", "sa{sv}", "desk2", 0);
        g_assert_cmpuint(f->asked, ==, 0);

        set_waiting(f);
        forget_log(f);
        assert_call("", f, MANAGER_CALL, "CancelStart", "sa{sv}", "desk2", 0);
        assert_asked(f, "org.vgpud1.start",
                     "instance=" UUID_C " gpu=mdpy type=" KEY
                     " count=0 name=desk2 pool= parent= attributes= autostart=no owner=ME mine=yes");
        g_assert_cmpuint(fake_model(f->model)->wants_removed, ==, 1);
        g_assert_true(g_str_has_prefix(f->log->str, "DefinitionChanged(\"" UUID_C "\" ["));
        g_assert_true(g_str_has_suffix(f->log->str, ") reply "));

        set_waiting(f);
        f->polkit = POLKIT_SAYS_NO;
        assert_error("NotAuthorized", f, MANAGER_CALL, "CancelStart", "sa{sv}", "other", 0);
        g_assert_true(g_str_has_prefix(f->question, "org.vgpud1.start-other "));
        assert_error("InvalidArgs", f, MANAGER_CALL, "CancelStart", "sa{sv}", UUID_C, 1, "wait", "b", true);
        assert_error("NoSuchDefinition", f, MANAGER_CALL, "CancelStart", "sa{sv}", UUID_A, 0);
        g_assert_cmpuint(fake_model(f->model)->wants_removed, ==, 1);
}

/* Only a definition that waits has a reason. */
static void test_waiting(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autofree char *got = NULL, *active = NULL;

        fake_model_add_definition(f->model, UUID_C, 7, NULL);
        fake_model_add_definition(f->model, UUID_A, 7, NULL);
        set_waiting(f);
        got = CALL_TEXT(f, MANAGER_CALL, "GetDefinition", "sa{sv}", UUID_C, 0);
        assert_contains(got, E("state", "s \"waiting\""));
        assert_contains(got, E("reason", "s \"x is not plugged in\""));
        assert_contains(got, E("hint", "s \"plug it in\""));
        assert_contains(got, E("hint_id", "s \"load-driver\""));
        active = CALL_TEXT(f, MANAGER_CALL, "GetDefinition", "sa{sv}", UUID_A, 0);
        assert_contains(active, E("reason", "s \"\""));
        assert_contains(active, E("hint_id", "s \"\""));
}

/* A generated UUID differs in each dispatch of the call, so polkit is told only a UUID that the caller gave. */
static void test_define_asks(void)
{
        g_autoptr(Fixture) f = user_fixture();

        g_free(CALL_TEXT(f, MANAGER_CALL, "Define", "sa{sv}", "mdpy-xga", 1, "pool", "s", "ai"));
        assert_asked(f, "org.vgpud1.define", DETAILS_OF("", "", "", "ai", "", "", "ME", "yes"));
        g_free(CALL_TEXT(f, MANAGER_CALL, "Define", "sa{sv}", "mdpy-xga", 5, "gpu", "s", "mdpy", "parent", "s",
                         "mdpy", "name", "s", "x", "uuid", "s", UUID_UPPER, "attributes", "a(ss)", 2, "a", "1",
                         "b", "2"));
        assert_asked(f, "org.vgpud1.define",
                     DETAILS_OF(UUID_C, "mdpy", "x", "", "mdpy", "a=1\nb=2", "ME", "yes"));
        g_assert_cmpuint(f->asked, ==, 2);
        g_assert_cmpuint(fake_model(f->model)->defines, ==, 2);

        f->polkit = POLKIT_SAYS_NO;
        assert_error("NotAuthorized", f, MANAGER_CALL, "Define", "sa{sv}", "mdpy-xga", 0);
        g_assert_cmpuint(fake_model(f->model)->defines, ==, 2);
}

static void test_define_instance(void)
{
        g_autoptr(Fixture) f = user_fixture();

        assert_call("\"" UUID_A "\"", f, MANAGER_CALL, "DefineInstance", "sa{sv}", PATH_A, 0);
        assert_asked(f, "org.vgpud1.define", DETAILS_OF(UUID_A, "mdpy", "desk", "", "", "", "ME", "yes"));
        g_assert_cmpuint(get(f, UUID_A)->owner, ==, f->uid);

        f->a->owner = f->uid + 1;
        f->polkit = POLKIT_SAYS_NO;
        assert_error("NotAuthorized", f, MANAGER_CALL, "DefineInstance", "sa{sv}", UUID_A, 0);
        g_assert_true(g_str_has_prefix(f->question, "org.vgpud1.define-other "));
        g_assert_true(g_str_has_suffix(f->question, " mine=no"));

        assert_error("Foreign", f, MANAGER_CALL, "DefineInstance", "sa{sv}", UUID_B, 0);
        assert_error("NoSuchInstance", f, MANAGER_CALL, "DefineInstance", "sa{sv}", UUID_C, 0);
        g_assert_cmpuint(f->asked, ==, 2);
}

/* ---- Edit and Undefine ---- */

static void test_edit(void)
{
        g_autoptr(Fixture) f = root_fixture();
        const Definition *d;

        fake_model_add_definition(f->model, UUID_C, f->uid, "desk2");
        forget_log(f);
        assert_call("", f, MANAGER_CALL, "Edit", "sa{sv}", "desk2", 4, "gpu", "s", "", "pool", "s", "ai",
                    "name", "s", "desk3", "attributes", "a(ss)", 1, "a", "1");
        d = get(f, UUID_C);
        g_assert_null(d->gpu);
        g_assert_cmpstr(d->pool, ==, "ai");
        g_assert_cmpstr(d->name, ==, "desk3");
        g_assert_cmpuint(d->attributes->len, ==, 1);
        g_assert_true(g_str_has_prefix(f->log->str, "DefinitionChanged(\"" UUID_C "\" ["));
        g_assert_null(strstr(f->log->str, "attributes"));
        assert_contains(f->log->str, E("pool", "s \"ai\""));

        assert_call("", f, MANAGER_CALL, "Edit", "sa{sv}", UUID_UPPER, 2, "name", "s", "", "attributes",
                    "a(ss)", 0);
        d = get(f, UUID_C);
        g_assert_null(d->name);
        g_assert_cmpuint(d->attributes->len, ==, 0);

        assert_error("InvalidArgs", f, MANAGER_CALL, "Edit", "sa{sv}", UUID_C, 0);
        assert_error("InvalidArgs", f, MANAGER_CALL, "Edit", "sa{sv}", UUID_C, 1, "uuid", "s", UUID_D);
        assert_error("NoSuchDefinition", f, MANAGER_CALL, "Edit", "sa{sv}", UUID_D, 1, "name", "s", "x");
        g_assert_cmpuint(fake_model(f->model)->defines, ==, 2);
}

/* polkit is asked about the definition as it will be. A definition of another user needs another action. */
static void test_edit_asks(void)
{
        g_autoptr(Fixture) f = user_fixture();

        fake_model_add_definition(f->model, UUID_C, f->uid, NULL);
        fake_model_add_definition(f->model, UUID_D, 7, "other");
        assert_call("", f, MANAGER_CALL, "Edit", "sa{sv}", UUID_C, 1, "name", "s", "new");
        assert_asked(f, "org.vgpud1.define", DETAILS_OF(UUID_C, "mdpy", "new", "", "", "", "ME", "yes"));
        assert_call("", f, MANAGER_CALL, "Edit", "sa{sv}", UUID_D, 1, "gpu", "s", "");
        assert_asked(f, "org.vgpud1.define-other", DETAILS_OF(UUID_D, "", "other", "", "", "", "7", "no"));
        g_assert_cmpuint(get(f, UUID_D)->owner, ==, 7);
}

static void test_undefine(void)
{
        g_autoptr(Fixture) f = user_fixture();

        fake_model_add_definition(f->model, UUID_C, f->uid, NULL);
        fake_model_add_definition(f->model, UUID_D, 7, "other");
        forget_log(f);
        assert_call("", f, MANAGER_CALL, "Undefine", "sa{sv}", UUID_UPPER, 0);
        assert_asked(f, "org.vgpud1.define", DETAILS_OF(UUID_C, "mdpy", "", "", "", "", "ME", "yes"));
        g_assert_cmpstr(f->log->str, ==, "DefinitionRemoved(\"" UUID_C "\") reply ");

        f->polkit = POLKIT_SAYS_NO;
        assert_error("NotAuthorized", f, MANAGER_CALL, "Undefine", "sa{sv}", "other", 0);
        assert_asked(f, "org.vgpud1.define-other", DETAILS_OF(UUID_D, "mdpy", "other", "", "", "", "7", "no"));
        assert_error("NoSuchDefinition", f, MANAGER_CALL, "Undefine", "sa{sv}", UUID_C, 0);
        g_assert_cmpuint(fake_model(f->model)->undefines, ==, 1);
}

/* Permission does not cover a definition that was edited since the question. */
static void test_changed_meanwhile(void)
{
        g_autoptr(Fixture) f = user_fixture();
        g_autoptr(Call) undefine = NULL, edit = NULL;
        g_autofree char *undefined = NULL, *edited = NULL;

        fake_model_add_definition(f->model, UUID_C, f->uid, NULL);
        f->polkit = POLKIT_THINKS;
        undefine = call_start(f, MANAGER_CALL, "Undefine", "sa{sv}", UUID_C, 0);
        edit = call_start(f, MANAGER_CALL, "Edit", "sa{sv}", UUID_C, 1, "name", "s", "new");
        fixture_settle(f);
        g_assert_cmpuint(f->asked, ==, 2);

        _cleanup_definition_ Definition *next = definition_copy(get(f, UUID_C));
        g_free(next->gpu);
        next->gpu = g_strdup("mtty");
        g_assert_cmpint(define_commit(f->model, next, 0, NULL), ==, 0);
        fixture_polkit_answers(f, POLKIT_SAYS_YES);
        undefined = call_text(undefine);
        edited = call_text(edit);
        g_assert_true(g_str_has_prefix(undefined, "org.vgpud1.Error.Failed: "));
        g_assert_true(g_str_has_prefix(edited, "org.vgpud1.Error.Failed: "));
        g_assert_cmpuint(fake_model(f->model)->undefines, ==, 0);
        g_assert_null(get(f, UUID_C)->name);
}

/* ---- Start and keep ---- */

static void test_start(void)
{
        g_autoptr(Fixture) f = user_fixture();
        Model *m = f->model;
        g_autofree char *got = NULL;

        fake_model_add_definition(m, UUID_C, f->uid, "desk2");
        got = CALL_TEXT(f, MANAGER_CALL, "Start", "sa{sv}", "desk2", 0);
        g_assert_cmpstr(got, ==,
                        "\"" JOB1
                        "\" [[" E("object_path", "o \"" VGPUD_PATH_INSTANCE "/cccccccc_0000_4000_8000_00000000000c\"") ", " E(
                                        "uuid", "s \"" UUID_C "\"") ", " E("gpu",
                                                                           "o \"" PATH_GPU
                                                                           "\"") ", " E("type",
                                                                                        "s \"mdpy-xga\"") "]]");
        g_assert_cmpstr(fake_model(m)->gpu, ==, "mdpy");
        g_assert_cmpstr(fake_model(m)->type, ==, "mdpy-xga");
        g_assert_cmpstr(fake_model(m)->uuid, ==, UUID_C);
        g_assert_cmpstr(fake_model(m)->name, ==, "desk2");
        g_assert_false(fake_model(m)->kept);
        assert_asked(f, "org.vgpud1.start",
                     "gpu=mdpy type=mdpy-xga count=1 instance=" UUID_C
                     " name=desk2 parent= attributes= owner=ME mine=yes");

        fake_model_add_definition(m, UUID_D, 7, NULL);
        f->polkit = POLKIT_SAYS_NO;
        assert_error("NotAuthorized", f, MANAGER_CALL, "Start", "sa{sv}", UUID_D, 0);
        g_assert_true(g_str_has_prefix(f->question, "org.vgpud1.start-other "));
        g_assert_true(g_str_has_suffix(f->question, " owner=7 mine=no"));
        g_assert_cmpuint(fake_model(m)->creates, ==, 1);

        assert_error("NoSuchDefinition", f, MANAGER_CALL, "Start", "sa{sv}", UUID_A, 0);
        assert_error("InvalidArgs", f, MANAGER_CALL, "Start", "sa{sv}", UUID_C, 1, "count", "u", 1);
}

/* A definition without a GPU is placed as by Create, in its pool. If another GPU fits after the answer of
 * polkit, polkit is asked about that GPU. */
static void test_start_anywhere(void)
{
        g_autoptr(Fixture) f = user_fixture();
        g_autoptr(Call) c = NULL;
        _cleanup_definition_ Definition *next = NULL;

        fake_model_add_gpu(f->model, "mtty");
        next = definition_copy(fake_model_add_definition(f->model, UUID_C, f->uid, NULL));
        g_clear_pointer(&next->gpu, g_free);
        next->pool = g_strdup("ai");
        g_assert_cmpint(define_commit(f->model, next, 0, NULL), ==, 0);

        fake_model(f->model)->any_gpu = "mdpy";
        f->polkit = POLKIT_THINKS;
        c = call_start(f, MANAGER_CALL, "Start", "sa{sv}", UUID_C, 0);
        fixture_settle(f);
        g_assert_cmpstr(fake_model(f->model)->hints, ==, "- -1 -1 - ai");
        fake_model(f->model)->any_gpu = "mtty";
        fake_model(f->model)->chosen_is_full = true;
        fixture_polkit_answers(f, POLKIT_SAYS_YES);
        fake_model(f->model)->chosen_is_full = false;
        fixture_polkit_answers(f, POLKIT_SAYS_YES);
        g_assert_cmpuint(f->asked, ==, 2);
        g_assert_cmpstr(fake_model(f->model)->gpu, ==, "mtty");
        g_assert_nonnull(c->reply);
}

/* With "keep", polkit is also asked about the definition. */
static void test_keep(void)
{
        g_autoptr(Fixture) f = user_fixture();
        Model *m = f->model;

        g_free(CALL_TEXT(f, MANAGER_CALL, "Create", "ssa{sv}", "mdpy", "mdpy-xga", 2, "keep", "b", true, "name",
                         "s", "x"));
        g_assert_cmpuint(f->asked, ==, 2);
        assert_asked(f, "org.vgpud1.define", DETAILS_OF("", "mdpy", "x", "", "", "", "ME", "yes"));
        g_assert_true(fake_model(m)->kept && fake_model(m)->kept_gpu && !fake_model(m)->kept_autostart);
        g_assert_null(fake_model(m)->kept_pool);

        /* The definition names no GPU, but the instance stays on the GPU that polkit was asked about. */
        fake_model_add_gpu(m, "mtty");
        fake_model(m)->any_gpu = "mdpy";
        g_free(CALL_TEXT(f, MANAGER_CALL, "Create", "ssa{sv}", "", "mdpy-xga", 2, "keep", "b", true, "pool",
                         "s", "ai"));
        g_assert_cmpuint(f->asked, ==, 4);
        assert_asked(f, "org.vgpud1.define", DETAILS_OF("", "", "", "ai", "", "", "ME", "yes"));
        g_assert_true(fake_model(m)->kept && !fake_model(m)->kept_gpu);
        g_assert_cmpstr(fake_model(m)->kept_pool, ==, "ai");
        g_assert_cmpstr(fake_model(m)->gpu, ==, "mdpy");

        g_free(CALL_TEXT(f, MANAGER_CALL, "Create", "ssa{sv}", "mdpy", "mdpy-xga", 1, "keep", "b", false));
        g_assert_cmpuint(f->asked, ==, 5);
        g_assert_false(fake_model(m)->kept);

        g_free(CALL_TEXT(f, MANAGER_CALL, "Create", "ssa{sv}", "mdpy", "mdpy-xga", 2, "keep", "b", true,
                         "autostart", "b", true));
        assert_contains(f->question, " autostart=yes owner=");
        g_assert_true(fake_model(m)->kept_autostart);
        assert_error("InvalidArgs", f, MANAGER_CALL, "Create", "ssa{sv}", "mdpy", "mdpy-xga", 1, "autostart",
                     "b", true);
        g_assert_cmpuint(fake_model(m)->creates, ==, 4);
}

/* ---- Destroy ---- */

static void test_destroy(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autofree char *refused = NULL;

        fake_model_add_definition(f->model, UUID_A, f->uid, "desk");
        refused = CALL_TEXT(f, 0, PATH_A, VGPUD_INTERFACE_INSTANCE, "Destroy", "a{sv}", 1, "error_details", "b",
                            true);
        g_assert_true(g_str_has_prefix(refused, "org.vgpud1.Error.Defined: "));
        assert_contains(refused, E("hint_id", "s \"use-stop\""));
        assert_error("Defined", f, MANAGER_CALL, "Destroy", "sa{sv}", UUID_A, 0);
        assert_error("Defined", f, MANAGER_CALL, "DestroyMany", "aoa{sv}", 1, PATH_A, 0);
        assert_error("NoSuchDefinition", f, 0, PATH_B, VGPUD_INTERFACE_INSTANCE, "Destroy", "a{sv}", 2,
                     "foreign", "b", true, "defined", "b", true);
        g_assert_cmpuint(fake_model(f->model)->destroys, ==, 0);

        assert_call("\"" JOB1 "\"", f, MANAGER_CALL, "Destroy", "sa{sv}", UUID_A, 1, "defined", "b", true);
        g_assert_true(fake_model(f->model)->defined && !fake_model(f->model)->foreign);
        assert_call("[\"" VGPUD_PATH_JOB "/2\"]", f, MANAGER_CALL, "DestroyMany", "aoa{sv}", 1, PATH_A, 1,
                    "defined", "b", true);
}

/* ---- ListDefinitions, GetDefinition, properties ---- */

#define LIST(f, ...) CALL_TEXT(f, MANAGER_CALL, "ListDefinitions", "a{sv}", __VA_ARGS__)

static void assert_uuids(Fixture *f, const char *key, const char *signature, const char *value,
                         const char *uuids)
{
        g_autofree char *got = NULL;

        if (strcmp(signature, "u") == 0)
                got = LIST(f, 2, "columns", "as", 1, "uuid", key, "u", (uint32_t)atoi(value));
        else
                got = LIST(f, 2, "columns", "as", 1, "uuid", key, "s", value);
        g_assert_cmpstr(got, ==, uuids);
}

static void test_list(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autofree char *all = NULL, *none = NULL, *page = NULL, *nothing = NULL, *rest = NULL;
        _cleanup_definition_ Definition *other = NULL;

        nothing = LIST(f, 1, "columns", "as", 1, "uuid");
        g_assert_cmpstr(nothing, ==, "[" E("uuid", "as []") "]");

        fake_model_add_definition(f->model, UUID_C, 7, NULL);
        fake_model_add_definition(f->model, UUID_A, f->uid, "desk");
        other = definition_copy(get(f, UUID_C));
        g_clear_pointer(&other->gpu, g_free);
        other->pool = g_strdup("ai");
        g_ptr_array_add(other->attributes, vgpu_attribute_new("a", "1"));
        g_assert_cmpint(define_commit(f->model, other, 0, NULL), ==, 0);
        fake_model(f->model)->differs = true;

        all = LIST(f, 0);
        assert_contains(all, E("uuid", "as [\"" UUID_A "\", \"" UUID_C "\"]"));
        assert_contains(all, E("name", "as [\"desk\", \"\"]"));
        assert_contains(all, E("type", "as [\"" KEY "\", \"" KEY "\"]"));
        assert_contains(all, E("gpu", "as [\"mdpy\", \"\"]"));
        assert_contains(all, E("parent", "as [\"\", \"\"]"));
        assert_contains(all, E("pool", "as [\"\", \"ai\"]"));
        assert_contains(all, E("created_usec", "at [1700000004000000, 1700000004000000]"));
        assert_contains(all, E("state", "as [\"active\", \"stopped\"]"));
        assert_contains(all, E("differs", "ab [true, false]"));
        assert_contains(all, E("autostart", "ab [false, false]"));
        assert_contains(all, E("reason", "as [\"\", \"\"]"));
        assert_contains(all, E("attributes", "aa(ss) [[], [(\"a\", \"1\")]]"));

        none = LIST(f, 1, "columns", "as", 0);
        g_assert_cmpstr(none, ==, "[]");
        page = LIST(f, 2, "columns", "as", 1, "uuid", "limit", "u", 1);
        g_assert_cmpstr(page, ==, "[" E("uuid", "as [\"" UUID_A "\"]") "]");
        rest = LIST(f, 2, "columns", "as", 1, "uuid", "after", "s", "AAAAAAAA-0000-4000-8000-00000000000A");
        g_assert_cmpstr(rest, ==, "[" E("uuid", "as [\"" UUID_C "\"]") "]");

#define ONLY(uuid) "[" E("uuid", "as [\"" uuid "\"]") "]"
        assert_uuids(f, "gpu", "s", PATH_GPU, ONLY(UUID_A));
        assert_uuids(f, "gpu", "s", "", ONLY(UUID_C));
        assert_uuids(f, "gpu", "s", "gone", "[" E("uuid", "as []") "]");
        assert_uuids(f, "pool", "s", "ai", ONLY(UUID_C));
        assert_uuids(f, "pool", "s", "", ONLY(UUID_A));
        assert_uuids(f, "state", "s", "active", ONLY(UUID_A));
        assert_uuids(f, "owner", "u", "7", ONLY(UUID_C));

        assert_error("InvalidArgs", f, MANAGER_CALL, "ListDefinitions", "a{sv}", 1, "state", "s", "running");
        assert_error("InvalidArgs", f, MANAGER_CALL, "ListDefinitions", "a{sv}", 1, "after", "s", "desk");
        assert_error("InvalidArgs", f, MANAGER_CALL, "ListDefinitions", "a{sv}", 1, "limit", "u", 0);
        assert_error("InvalidArgs", f, MANAGER_CALL, "ListDefinitions", "a{sv}", 1, "limit", "u", 16385);
        assert_error("InvalidArgs", f, MANAGER_CALL, "ListDefinitions", "a{sv}", 1, "gpu", "s", PATH_A);
        assert_error("InvalidArgs", f, MANAGER_CALL, "ListDefinitions", "a{sv}", 1, "owner", "u", UINT32_MAX);
}

static void test_get(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autofree char *got = NULL;

        fake_model_add_definition(f->model, UUID_C, 7, "desk2");
        fake_model(f->model)->starting = DEFINITION_STARTING;
        got = CALL_TEXT(f, MANAGER_CALL, "GetDefinition", "sa{sv}", "desk2", 0);
        g_assert_cmpstr(got, ==,
                        "[" E("uuid", "s \"" UUID_C "\"") ", " E("name", "s \"desk2\"") ", " E("type", "s \"" KEY "\"") ", " E("gpu", "s \"mdpy\"") ", " E("parent", "s \"\"") ", " E("pool", "s \"\"") ", " E(
                                        "owner",
                                        "s \"7\"") ", " E("created_usec",
                                                          "t 1700000004000000") ", " E("state",
                                                                                       "s \"starting\"") ", " E("differs",
                                                                                                                "b false") ", " E("autostart",
                                                                                                                                  "b false") ", " E("reason",
                                                                                                                                                    "s \"\"") ", " E("hint",
                                                                                                                                                                     "s \"\"") ", " E("hint_id",
                                                                                                                                                                                      "s \"\"") ", " E("attributes",
                                                                                                                                                                                                       "a(ss) []") "]");
        assert_error("NoSuchDefinition", f, MANAGER_CALL, "GetDefinition", "sa{sv}", "x", 0);
        assert_error("InvalidArgs", f, MANAGER_CALL, "GetDefinition", "sa{sv}", UUID_C, 1, "wait", "b", true);
}

static void assert_property(Fixture *f, const char *path, const char *interface, const char *name,
                            const char *expected)
{
        g_autofree char *got =
                        CALL_TEXT(f, 0, path, "org.freedesktop.DBus.Properties", "Get", "ss", interface, name);

        g_assert_cmpstr(got, ==, expected);
}

static void test_properties(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autofree char *column = NULL;

        assert_property(f, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "StoreErrors", "<as []>");
        fake_model_add_store_error(f->model, "a.json is \xff");
        assert_property(f, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "StoreErrors",
                        "<as [\"a.json is \xef\xbf\xbd\"]>");

        assert_property(f, PATH_A, VGPUD_INTERFACE_INSTANCE, "Definition", "<s \"\">");
        fake_model_add_definition(f->model, UUID_A, f->uid, "desk");
        assert_property(f, PATH_A, VGPUD_INTERFACE_INSTANCE, "Definition", "<s \"current\">");
        forget_log(f);
        fake_model(f->model)->differs = true;
        f->model->events->instance_changed(f->a, INSTANCE_CHANGED_DEFINITION, f->model->events_userdata);
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==, "~" PATH_A ".Definition ");
        column = CALL_TEXT(f, MANAGER_CALL, "ListInstances", "a{sv}", 1, "columns", "as", 1, "definition");
        g_assert_cmpstr(column, ==, "[" E("definition", "as [\"differs\", \"\"]") "]");
}

/* ---- limits ---- */

static char *long_text(size_t n)
{
        char *text = g_malloc(n + 1);

        memset(text, 'x', n);
        text[n] = '\0';

        return text;
}

#define ASSERT_REFUSED(argument, ...)                                                  \
        do {                                                                           \
                g_autofree char *_t = CALL_TEXT(f, MANAGER_CALL, __VA_ARGS__);         \
                g_assert_true(g_str_has_prefix(_t, "org.vgpud1.Error.InvalidArgs: ")); \
                assert_contains(_t, argument);                                         \
                g_assert_cmpuint(strlen(_t), <, 200);                                  \
        } while (0)

static void test_arguments(void)
{
        static const char *const define[] = { "gpu", "pool", "parent", "name", "uuid" };
        static const char *const edit[] = { "type", "gpu", "pool", "parent", "name" };
        static const char *const list[] = { "gpu", "pool", "state", "after" };
        static const char *const methods[] = { "Edit", "Undefine", "Start", "CancelStart", "GetDefinition" };
        g_autoptr(Fixture) f = root_fixture();
        g_autofree char *text = long_text(50000), *half = long_text(BUS_MAX_ATTRIBUTE_BYTES / 2);

        fake_model_add_definition(f->model, UUID_C, f->uid, NULL);
        ASSERT_REFUSED("'type'", "Define", "sa{sv}", text, 0);
        ASSERT_REFUSED("'instance'", "DefineInstance", "sa{sv}", text, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(methods); i++)
                ASSERT_REFUSED("'definition'", methods[i], "sa{sv}", text, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(define); i++)
                ASSERT_REFUSED(define[i], "Define", "sa{sv}", "mdpy-xga", 1, define[i], "s", text);
        for (size_t i = 0; i < G_N_ELEMENTS(edit); i++)
                ASSERT_REFUSED(edit[i], "Edit", "sa{sv}", UUID_C, 1, edit[i], "s", text);
        for (size_t i = 0; i < G_N_ELEMENTS(list); i++)
                ASSERT_REFUSED(list[i], "ListDefinitions", "a{sv}", 1, list[i], "s", text);
        ASSERT_REFUSED("'attributes'", "Define", "sa{sv}", "mdpy-xga", 1, "attributes", "a(ss)", 1, "a", text);
        /* With the names, two values of half the limit exceed the limit. */
        ASSERT_REFUSED("'attributes'", "Edit", "sa{sv}", UUID_C, 1, "attributes", "a(ss)", 2, "a", half, "b",
                       half);
        g_assert_cmpuint(fake_model(f->model)->defines, ==, 0);
}

/* A signal with the longest values has at most 3 KiB: long texts are cut, and attributes are left out. */
static void test_signals(void)
{
        g_autoptr(Fixture) f = root_fixture();
        g_autofree char *text = long_text(10000), *value = long_text(BUS_MAX_ATTRIBUTE_BYTES - 1);
        _cleanup_definition_ Definition *d = definition_new(UUID_C);

        d->type = g_strdup(text);
        d->gpu = g_strdup(text);
        d->parent = g_strdup(text);
        d->pool = g_strdup(text);
        d->name = g_strdup(text);
        d->owner = UINT32_MAX - 1;
        g_ptr_array_add(d->attributes, vgpu_attribute_new("a", value));
        set_waiting(f);
        vgpud_error_setf(&fake_model(f->model)->want.waiting, VGPUD_ERROR_FAILED, "%s", text);
        vgpud_error_hintf(&fake_model(f->model)->want.waiting, VGPUD_HINT_SEE_KERNEL_LOG, "%s", text);
        forget_log(f);
        f->largest_signal = f->signals = 0;
        for (unsigned i = 0; i < 2; i++)
                g_assert_cmpint(define_commit(f->model, d, 0, NULL), ==, 0);
        fixture_settle(f);
        g_assert_cmpuint(f->signals, ==, 2);
        g_assert_cmpuint(f->largest_signal, <=, 3072);
        assert_contains(f->log->str, "DefinitionAdded(");
        assert_contains(f->log->str, "DefinitionChanged(");
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/definitions/define", test_define);
        g_test_add_func("/definitions/define-plain", test_define_plain);
        g_test_add_func("/definitions/define-errors", test_define_errors);
        g_test_add_func("/definitions/define-asks", test_define_asks);
        g_test_add_func("/definitions/autostart", test_autostart);
        g_test_add_func("/definitions/cancel-start", test_cancel_start);
        g_test_add_func("/definitions/waiting", test_waiting);
        g_test_add_func("/definitions/define-instance", test_define_instance);
        g_test_add_func("/definitions/edit", test_edit);
        g_test_add_func("/definitions/edit-asks", test_edit_asks);
        g_test_add_func("/definitions/undefine", test_undefine);
        g_test_add_func("/definitions/changed-meanwhile", test_changed_meanwhile);
        g_test_add_func("/definitions/start", test_start);
        g_test_add_func("/definitions/start-anywhere", test_start_anywhere);
        g_test_add_func("/definitions/keep", test_keep);
        g_test_add_func("/definitions/destroy", test_destroy);
        g_test_add_func("/definitions/list", test_list);
        g_test_add_func("/definitions/get", test_get);
        g_test_add_func("/definitions/properties", test_properties);
        g_test_add_func("/definitions/arguments", test_arguments);
        g_test_add_func("/definitions/signals", test_signals);

        return g_test_run();
}
