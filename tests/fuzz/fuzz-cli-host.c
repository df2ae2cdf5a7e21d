/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The fuzzer reads answers and signals of an untrusted daemon, such as the daemon of another host. The first
 * byte selects the kind. The objects are then printed: no character of the output controls a terminal. */

#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/client/call-error.h"
#include "cli/host/columns.h"
#include "cli/host/fields.h"
#include "cli/host/find.h"
#include "cli/host/hand-over.h"
#include "cli/host/job-kinds.h"
#include "cli/host/objects-json.h"
#include "cli/host/report.h"
#include "cli/host/type-table.h"
#include "cli/output/format.h"
#include "fuzz-message.h"

/* ---- keys ---- */

/* Keys of dictionaries inside values. */
static const FuzzKey inner_keys[] = {
        { "value", "s" },         { "help", "s" },       { "choices", "as" },    { "type", "s" },
        { "mode", "s" },          { "count", "u" },      { "foreign", "b" },     { "instance", "o" },
        { "error_name", "s" },    { "message", "s" },    { "hint", "s" },        { "hint_id", "s" },
        { "sysfs_path", "s" },    { "group_node", "s" }, { "libvirt_xml", "s" }, { "iommu_group", "i" },
        { "qemu_args", "as" },    { "jobs", "ao" },      { "instances", "ao" },  { "job", "o" },
        { "failures", "aa{sv}" }, { "n_failures", "u" },
};

/* Keys of ListTypes, whose tables are dictionaries of columns. */
static const FuzzKey type_table_keys[] = {
        { "offers", "a{sv}" }, { "gpus", "a{sv}" },     { "types", "a{sv}" },    { "texts", "as" },
        { "gpu", "au" },       { "type", "au" },        { "available", "au" },   { "why_not", "au" },
        { "hint", "au" },      { "hint_id", "au" },     { "object_path", "ao" }, { "name", "as" },
        { "stale", "ab" },     { "options", "aa(ss)" },
};

static void add_keys(GArray *keys, const FuzzKey *more, size_t n)
{
        g_array_append_vals(keys, more, (guint)n);
}

/* Adds the keys of a table: names of properties, columns, or keys of GetJob. */
static void add_fields(GArray *keys, const FieldTable *t, bool properties, bool columns)
{
        for (size_t i = 0; i < t->n_fields; i++) {
                const Field *f = &t->fields[i];
                FuzzKey key = { f->key, f->signature };

                if (properties && !f->property)
                        continue;

                if (properties)
                        key.key = f->property;
                if (columns) {
                        g_autofree char *array = g_strconcat("a", f->signature, NULL);

                        key.signature = g_intern_string(array);
                }

                g_array_append_val(keys, key);
        }
}

typedef enum Target {
        TARGET_MANAGED,
        TARGET_GPUS,
        TARGET_INSTANCES,
        TARGET_JOBS,
        TARGET_GPU,
        TARGET_INSTANCE,
        TARGET_JOB,
        TARGET_TYPES,
        TARGET_VFS,
        TARGET_HAND_OVER,
        TARGET_ERROR,
        _TARGET_MAX,
} Target;

static const char *const signatures[_TARGET_MAX] = {
        [TARGET_MANAGED] = "a{oa{sa{sv}}}",
        [TARGET_GPUS] = "a{sv}",
        [TARGET_INSTANCES] = "a{sv}",
        [TARGET_JOBS] = "a{sv}",
        [TARGET_GPU] = "a{sv}a{sv}",
        [TARGET_INSTANCE] = "a{sv}a{sv}",
        [TARGET_JOB] = "a{sv}",
        [TARGET_TYPES] = "a{sv}a{sv}",
        [TARGET_VFS] = "a{sv}a{sv}",
        [TARGET_HAND_OVER] = "a{sv}",
        [TARGET_ERROR] = "a{sv}",
};

static const GArray *target_keys(Target target)
{
        static GArray *all[_TARGET_MAX];
        GArray *keys = all[target];

        if (keys)
                return keys;

        keys = all[target] = g_array_new(FALSE, FALSE, sizeof(FuzzKey));
        switch (target) {
        case TARGET_MANAGED:
                for (ObjectKind k = 0; k < _OBJECT_KIND_MAX; k++)
                        add_fields(keys, &object_kinds[k].table, true, false);
                break;
        case TARGET_GPUS:
        case TARGET_INSTANCES:
        case TARGET_JOBS:
                add_fields(keys, &object_kinds[target - TARGET_GPUS].table, false, true);
                break;
        case TARGET_GPU:
        case TARGET_INSTANCE:
                add_fields(keys, &object_kinds[target - TARGET_GPU].table, true, false);
                break;
        case TARGET_JOB:
                add_fields(keys, &object_kinds[OBJECT_JOB].table, false, false);
                break;
        case TARGET_TYPES:
                add_keys(keys, type_table_keys, G_N_ELEMENTS(type_table_keys));
                add_fields(keys, &type_fields, false, true);
                break;
        case TARGET_VFS:
                add_fields(keys, &vf_fields, false, true);
                break;
        case TARGET_HAND_OVER:
        case TARGET_ERROR:
        case _TARGET_MAX:
        default:
                break;
        }

        add_keys(keys, inner_keys, G_N_ELEMENTS(inner_keys));

        return keys;
}

/* ---- output ---- */

static void check_output(const char *text)
{
        g_assert(g_utf8_validate(text, -1, NULL));

        for (const char *p = text; *p; p = g_utf8_next_char(p))
                g_assert(*p == '\n' || character_is_safe(g_utf8_get_char(p)));
}

/* Checks that the braces and quotes of the JSON are balanced. */
static void check_json(const char *text)
{
        int depth = 0;
        bool quoted = false;

        check_output(text);
        for (const char *p = text; *p; p++) {
                if (quoted && *p == '\\' && p[1])
                        p++;
                else if (*p == '"')
                        quoted = !quoted;
                else if (!quoted)
                        depth += (*p == '{' || *p == '[') - (*p == '}' || *p == ']');
                g_assert(depth >= 0 && !(quoted && *p == '\n'));
        }

        g_assert(depth == 0 && !quoted);
}

typedef struct Output {
        FILE *before;
        char *text;
        size_t size;
} Output;

static void output_take(Output *o)
{
        o->before = stdout;
        stdout = open_memstream(&o->text, &o->size);
        g_assert(stdout);
}

static char *output_give_back(Output *o)
{
        (void)fclose(stdout);
        stdout = o->before;

        return o->text;
}

static void show_texts(const Host *h)
{
        const Arguments a = { .legend = true };
        Output o;
        char *text;

        output_take(&o);
        (void)print_types(&a, h, NULL, 0);
        (void)print_types_why(h, NULL);
        (void)print_instances(&a, h, NULL, 0);
        (void)print_jobs(&a, h, PRINT_ENDED);

        for (unsigned i = 0; i < host_n(h, OBJECT_GPU); i++) {
                const GpuInfo *g = host_gpu(h, i);
                g_autofree char *title = gpu_title(g), *state = gpu_state_text(g), *memory = gpu_memory_text(g);

                print_modes(g, 4);
                print_wrapped(4, title, state);
                print_wrapped(4, NULL, memory ? memory : "-");
                print_reason(4, "Reason:", g->reason, g->hint);
        }

        for (unsigned i = 0; i < host_n(h, OBJECT_JOB); i++) {
                const JobInfo *j = host_job(h, i);
                const char *title = NULL;
                g_autofree char *object = job_object(j), *detail = job_detail(j, &title);

                print_wrapped(4, job_doing(j), object ? object : "?");
                if (detail)
                        print_wrapped(4, title, detail);
        }

        text = output_give_back(&o);
        check_output(text);
        free(text);
}

static void show_json(const Host *h)
{
        Output o;
        Json j = json_new(false);
        char *text;

        output_take(&o);
        json_object(&j, NULL);
        json_all_types(&j, "types", h);
        for (ObjectKind k = 0; k < _OBJECT_KIND_MAX; k++) {
                json_objects(&j, object_kind_to_string(k), h, k);
                json_array(&j, "full");
                for (unsigned i = 0; i < host_n(h, k); i++)
                        json_object_info(&j, NULL, k, h->objects[k]->pdata[i], true);
                json_array_end(&j);
        }

        json_object_end(&j);
        json_print(&j, stdout);
        text = output_give_back(&o);
        check_json(text);
        free(text);
}

static void show_host(Host *h)
{
        static const char *const words[] = { "11111111", "mdpy", "3a:02", "" };

        host_sort(h);
        host_derive_jobs(h);

        for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
                _cleanup_error_info_ ErrorInfo error = { 0 };
                ObjectKind kind;

                if (!host_find(h, words[i], FIND_GPU | FIND_INSTANCE, &kind, &error))
                        g_assert(error.name && error.message);
        }

        show_texts(h);
        show_json(h);
}

/* ---- answers ---- */

static void read_vfs(Host *h, sd_bus_message *m)
{
        GpuInfo *g = host_add(h, OBJECT_GPU, "/org/vgpud1/gpu/mdpy");
        g_autoptr(GPtrArray) changes = vfs_new();

        if (columns_read(m, &vf_fields, g->vfs, vf_new) >= 0 &&
            columns_read(m, &vf_fields, changes, vf_change_new) >= 0)
                vfs_apply(g->vfs, changes);
}

static void read_hand_over(sd_bus_message *m)
{
        _cleanup_hand_over_ HandOver o = HAND_OVER_INIT;
        Json j = json_new(true);
        Output out;
        char *text;

        (void)hand_over_read(&o, m);
        output_take(&out);
        json_object(&j, NULL);
        json_hand_over(&j, "hand_over", &o);
        json_object_end(&j);
        json_print(&j, stdout);
        text = output_give_back(&out);
        check_json(text);
        free(text);
}

static void read_error(sd_bus_message *m)
{
        _cleanup_error_info_ ErrorInfo said = { 0 }, e = { 0 };
        const Arguments a = { .host = "host" };
        Json j = json_new(true);
        Output o;
        char *text;

        call_error_read(&said, m);
        call_error_explain(&e, &a, &said, "Could not ask");
        output_take(&o);
        json_object(&j, NULL);
        json_error(&j, "error", &e, NULL);
        json_object_end(&j);
        json_print(&j, stdout);
        text = output_give_back(&o);
        check_json(text);
        free(text);
}

static void read_answer(Target target, sd_bus_message *m, Host *h)
{
        static const char *const object_paths[] = {
                [OBJECT_GPU] = "/org/vgpud1/gpu/mdpy",
                [OBJECT_INSTANCE] = "/org/vgpud1/instance/11111111_0000_4000_8000_000000000001",
        };
        g_autoptr(GPtrArray) changed = g_ptr_array_new();
        JobInfo *job;

        switch (target) {
        case TARGET_MANAGED:
                (void)host_read_managed(h, m);
                break;
        case TARGET_GPUS:
        case TARGET_INSTANCES:
        case TARGET_JOBS:
                (void)host_read_table(h, (ObjectKind)(target - TARGET_GPUS), m);
                break;
        case TARGET_GPU:
        case TARGET_INSTANCE: {
                ObjectKind kind = (ObjectKind)(target - TARGET_GPU);

                if (host_read_object(h, kind, object_paths[kind], m, NULL, NULL) >= 0)
                        (void)host_read_object(h, kind, object_paths[kind], m, changed, NULL);
                break;
        }
        case TARGET_JOB:
                (void)host_read_job(h, "/org/vgpud1/job/7", m, &job);
                break;
        case TARGET_TYPES:
                if (type_table_read(h, m) >= 0)
                        (void)type_table_read(h, m);
                break;
        case TARGET_VFS:
                read_vfs(h, m);
                break;
        case TARGET_HAND_OVER:
                read_hand_over(m);
                break;
        case TARGET_ERROR:
                read_error(m);
                break;
        case _TARGET_MAX:
        default:
                break;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        FuzzInput in = { data, size };
        uint8_t byte = fuzz_take_byte(&in);
        Target target = (Target)(byte % _TARGET_MAX);
        const GArray *keys = target_keys(target);
        /* Some inputs have a body of another type. */
        const char *signature = byte < 240 ? signatures[target] : byte % 2 ? "sa{sv}" : "a{sa{sv}}";
        sd_bus_message *m = (target == TARGET_ERROR ? fuzz_message_new_error : fuzz_message_new)(
                        &in, signature, (const FuzzKey *)(const void *)keys->data, keys->len);
        _cleanup_host_ Host *h = host_new();

        if (target == TARGET_ERROR || byte < 240)
                read_answer(target, m, h);
        else
                read_answer((Target)(byte % TARGET_ERROR), m, h);

        show_host(h);
        sd_bus_message_unref(m);

        return 0;
}
