/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* __complete KIND [WORD]: candidates for the completion of shells, one per line, with a tab before the
 * explanation. Pressing Tab must not change the host or print errors: the daemon is not started, ssh asks for
 * no password, and a failure prints nothing. */

#include <stdio.h>
#include <string.h>

#include "base/type-word.h"
#include "cli/client/lookup-definitions.h"
#include "cli/host/report.h"
#include "cli/host/type-table.h"
#include "cli/output/format.h"
#include "cli/verbs/verbs.h"

static void complete_print(const char *word, const char *text)
{
        g_autofree char *printable = text ? format_printable(text) : NULL, *safe = format_printable(word);

        /* Skip a word with control characters: tab and newline separate the fields, and the shell prints the
         * word on the terminal. */
        if (strcmp(safe, word) != 0)
                return;

        (void)printf("%s%s%s\n", word, printable && *printable ? "\t" : "",
                     printable && *printable ? printable : "");
}

static void complete_verbs(void)
{
        for (const VerbInfo *const *v = verb_table(); *v; v++)
                if ((*v)->name && (*v)->text)
                        complete_print((*v)->name, (*v)->text);
}

static void complete_options(const char *verb)
{
        const VerbInfo *v = verb_find(verb);
        unsigned bits = v && v->text ? v->options : 0;

        for (const OptionInfo *o = option_table(); o->name; o++)
                if (o->bit == 0 || (o->bit & bits))
                        complete_print(o->name, option_text(o, v && v->unsets));
}

/* The GPU that `word`, the value of --gpu, names. NULL: --gpu is not given, or no GPU has this name. */
static GpuInfo *complete_find_gpu(const Host *h, const char *word)
{
        _cleanup_error_info_ ErrorInfo ignored = { 0 };
        ObjectKind kind;

        return word ? host_find(h, word, FIND_GPU, &kind, &ignored) : NULL;
}

static void complete_gpus(const Host *h)
{
        for (unsigned i = 0; i < host_n(h, OBJECT_GPU); i++) {
                g_autofree char *title = gpu_title(host_gpu(h, i));

                complete_print(host_gpu(h, i)->name, title);
        }
}

static void complete_vf_gpus(const Host *h)
{
        for (unsigned i = 0; i < host_n(h, OBJECT_GPU); i++) {
                const GpuInfo *g = host_gpu(h, i);
                g_autofree char *title = gpu_title(g), *text = NULL;

                if (g->total_vfs == 0)
                        continue;

                text = g_strdup_printf("%s%s%" G_GUINT32_FORMAT " of %" G_GUINT32_FORMAT " VFs",
                                       title ? title : "", title ? ", " : "", g->enabled_vfs, g->total_vfs);
                complete_print(g->name, text);
        }
}

/* The modes of a GPU that can be set, or the choices of one mode. */
static void complete_modes(const Host *h, const char *gpu, const char *only)
{
        const GpuInfo *g = complete_find_gpu(h, gpu);

        for (unsigned i = 0; g && i < g->modes->len; i++) {
                const ModeInfo *m = g->modes->pdata[i];

                if (!m->choices)
                        continue;

                if (!only)
                        complete_print(m->name, m->help);
                for (char **p = m->choices; only && strcmp(only, m->name) == 0 && *p; p++)
                        complete_print(*p, g_strcmp0(*p, m->value) == 0 ? "the present value" : NULL);
        }
}

static bool complete_type_is(const TypeInfo *t, const char *word)
{
        if (type_word_equal(t->id, word) || type_word_equal(t->key, word))
                return true;

        for (char **alias = t->aliases; *alias; alias++)
                if (type_word_equal(*alias, word))
                        return true;

        return false;
}

/* Print "NAME=" for each option that a type has. `type` is any name of one type; NULL: all types. */
static void complete_attributes(const Host *h, const char *gpu, const char *type)
{
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

        for (unsigned i = 0; i < host_n(h, OBJECT_GPU); i++) {
                const GpuInfo *g = host_gpu(h, i);

                if (gpu && complete_find_gpu(h, gpu) != g)
                        continue;

                for (unsigned n = 0; n < g->types->len; n++) {
                        const TypeInfo *t = gpu_type(g, n);

                        if (type && !complete_type_is(t, type))
                                continue;

                        for (unsigned k = 0; k < t->options->len; k++) {
                                const PairInfo *option = t->options->pdata[k];
                                g_autofree char *word = g_strconcat(option->name, "=", NULL);

                                if (g_hash_table_add(seen, option->name))
                                        complete_print(word, option->text);
                        }
                }
        }
}

static void complete_types(const Host *h, const char *gpu)
{
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

        for (unsigned i = 0; i < host_n(h, OBJECT_GPU); i++) {
                const GpuInfo *g = host_gpu(h, i);

                if (gpu && complete_find_gpu(h, gpu) != g)
                        continue;

                for (unsigned n = 0; n < g->types->len; n++) {
                        const TypeInfo *t = gpu_type(g, n);
                        g_autofree char *available = type_available_text(t), *text = NULL;

                        if (!g_hash_table_add(seen, t->id))
                                continue;

                        text = g_strdup_printf("%s, available %s", *t->name ? t->name : t->id,
                                               available ? available : "?");
                        complete_print(t->id, text);
                }
        }
}

static void complete_instances(const Host *h)
{
        for (unsigned n = 0; n < host_n(h, OBJECT_INSTANCE); n++) {
                const InstanceInfo *i = host_instance(h, n);
                g_autofree char *text = g_strdup_printf("%s on %s", *i->type ? i->type : "?", i->gpu_name);

                complete_print(i->uuid, text);

                if (*i->name)
                        complete_print(i->name, text);
        }
}

/* Print the definitions in this state and the waiting definitions; NULL: all definitions. */
static void complete_definitions(const Host *h, const char *state)
{
        for (unsigned n = 0; n < host_n(h, OBJECT_DEFINITION); n++) {
                const DefinitionInfo *d = host_definition(h, n);
                g_autofree char *text = g_strdup_printf("%s, %s", *d->type ? d->type : "?", d->state);

                if (state && strcmp(d->state, state) != 0 && strcmp(d->state, "waiting") != 0)
                        continue;

                complete_print(d->uuid, text);

                if (*d->name)
                        complete_print(d->name, text);
        }
}

static void complete_jobs(const Host *h)
{
        for (unsigned i = 0; i < host_n(h, OBJECT_JOB); i++) {
                const JobInfo *j = host_job(h, i);
                g_autofree char *id = format_number(j->id),
                                *text = g_strdup_printf("%s on %s, %s", j->kind, j->gpu_name, j->state);

                complete_print(id, text);
        }
}

static void complete_parents(const Host *h, const char *gpu)
{

        for (unsigned i = 0; i < host_n(h, OBJECT_GPU); i++)
                if (!gpu || complete_find_gpu(h, gpu) == host_gpu(h, i))
                        for (char **p = host_gpu(h, i)->parents; *p; p++)
                                complete_print(*p, host_gpu(h, i)->name);
}

/* ---- the kinds ---- */

static void complete_objects(const Host *h, const Arguments *a)
{
        complete_gpus(h);
        complete_instances(h);
        complete_definitions(h, "stopped");
}

static void complete_kind_definitions(const Host *h, const Arguments *a)
{
        complete_definitions(h, NULL);
}

static void complete_kind_stopped(const Host *h, const Arguments *a)
{
        complete_definitions(h, "stopped");
}

static void complete_kind_active(const Host *h, const Arguments *a)
{
        complete_definitions(h, "active");
}

static void complete_kind_gpus(const Host *h, const Arguments *a)
{
        complete_gpus(h);
}

static void complete_kind_types(const Host *h, const Arguments *a)
{
        complete_types(h, a->gpu);
}

static void complete_kind_vf_gpus(const Host *h, const Arguments *a)
{
        complete_vf_gpus(h);
}

static void complete_kind_modes(const Host *h, const Arguments *a)
{
        complete_modes(h, a->gpu, NULL);
}

static void complete_kind_choices(const Host *h, const Arguments *a)
{
        if (a->n_words > 1)
                complete_modes(h, a->gpu, a->words[1]);
}

static void complete_kind_attributes(const Host *h, const Arguments *a)
{
        complete_attributes(h, a->gpu, a->n_words > 1 ? a->words[1] : NULL);
}

static void complete_kind_parents(const Host *h, const Arguments *a)
{
        complete_parents(h, a->gpu);
}

static void complete_kind_instances(const Host *h, const Arguments *a)
{
        complete_instances(h);
}

static void complete_kind_jobs(const Host *h, const Arguments *a)
{
        complete_jobs(h);
}

enum {
        NEED_GPUS = 1 << 0,
        NEED_TYPES = 1 << 1,
        NEED_INSTANCES = 1 << 2,
        NEED_JOBS = 1 << 3,
        NEED_ENDED = 1 << 4,
        NEED_DEFINITIONS = 1 << 5,
        NEED_GPU = 1 << 6, /* the properties of the GPU that --gpu names, or of all GPUs */
};

static const struct {
        const char *name;
        unsigned needs;
        void (*run)(const Host *h, const Arguments *a);
} complete_kinds[] = {
        { "gpus", NEED_GPUS, complete_kind_gpus },
        { "types", NEED_GPUS | NEED_TYPES, complete_kind_types },
        { "vf-gpus", NEED_GPUS, complete_kind_vf_gpus },
        { "modes", NEED_GPUS | NEED_GPU, complete_kind_modes },
        { "choices", NEED_GPUS | NEED_GPU, complete_kind_choices },
        { "attributes", NEED_GPUS | NEED_TYPES, complete_kind_attributes },
        { "parents", NEED_GPUS | NEED_GPU, complete_kind_parents },
        { "instances", NEED_INSTANCES, complete_kind_instances },
        { "jobs", NEED_JOBS, complete_kind_jobs },
        { "all-jobs", NEED_JOBS | NEED_ENDED, complete_kind_jobs },
        { "definitions", NEED_DEFINITIONS, complete_kind_definitions },
        { "stopped-definitions", NEED_DEFINITIONS, complete_kind_stopped },
        { "active-definitions", NEED_DEFINITIONS, complete_kind_active },
        { "objects", NEED_GPUS | NEED_INSTANCES | NEED_DEFINITIONS, complete_objects },
};

static int complete_lookup(Client *c, Host *h, unsigned needs)
{
        const GpuInfo *only;
        int status = 0;

        g_assert((needs & NEED_GPUS) || !(needs & NEED_GPU));

        if (needs & NEED_GPUS)
                status = lookup_gpus(c, h);
        if (status == 0 && (needs & NEED_TYPES))
                status = lookup_types(c, h);
        if (status == 0 && (needs & NEED_INSTANCES))
                status = lookup_instances(c, h, NULL, LOOKUP_TABLE);
        if (status == 0 && (needs & NEED_DEFINITIONS))
                status = lookup_definitions(c, h, NULL, LOOKUP_TABLE);
        if (status == 0 && (needs & NEED_JOBS))
                status = lookup_jobs(c, h, needs & NEED_ENDED);
        if (status != 0 || !(needs & NEED_GPU))
                return status;

        only = complete_find_gpu(h, c->args->gpu);
        for (unsigned i = 0; status == 0 && i < host_n(h, OBJECT_GPU); i++) {
                void *object;

                if (!c->args->gpu || host_gpu(h, i) == only)
                        status = lookup_object(c, h, OBJECT_GPU, host_gpu(h, i)->path, host_gpu(h, i)->name,
                                               &object);
        }

        return status;
}

static int complete_run(const Arguments *a)
{
        const char *kind = a->words[0];
        _cleanup_host_ Host *h = host_new();
        _cleanup_client_ Client c = { 0 };

        g_assert(a->n_words >= 1);

        if (strcmp(kind, "verbs") == 0) {
                complete_verbs();
                return 0;
        }

        if (strcmp(kind, "options") == 0) {
                complete_options(a->n_words > 1 ? a->words[1] : NULL);
                return 0;
        }

        if (client_open_quiet(&c, a) != 0)
                return 0;

        for (size_t i = 0; i < G_N_ELEMENTS(complete_kinds); i++)
                if (strcmp(complete_kinds[i].name, kind) == 0 &&
                    complete_lookup(&c, h, complete_kinds[i].needs) == 0)
                        complete_kinds[i].run(h, a);

        return 0;
}

const VerbInfo verb_complete = {
        .name = "__complete",
        .words = "KIND [WORD]",
        .least_words = 1,
        .most_words = 2,
        .options = OPTION_GPU,
        .run = complete_run,
};
