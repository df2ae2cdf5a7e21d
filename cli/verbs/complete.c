/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* __complete KIND [VERB]: candidates for the completion of shells, one per line, a tabulator before what
 * explains them. Says nothing and ends well when there is no answer: a shell cannot show errors while somebody
 * types. Does not start the daemon: pressing Tab must not change the host; and asks for no password of another
 * host. */

#include <stdio.h>
#include <string.h>

#include "cli/client/client.h"
#include "cli/host/host-find.h"
#include "cli/host/report.h"
#include "cli/output/format.h"
#include "cli/verbs/verbs.h"
#include "dbus/bus-names.h"

#define ANSWER_USEC (2 * USEC_PER_SEC)

static void candidate(const char *word, const char *text)
{
        g_autofree char *printable = text ? format_printable(text) : NULL;

        if (strpbrk(word, "\t\n")) /* no such names; and they could not be told apart */
                return;

        (void)printf("%s%s%s\n", word, printable && *printable ? "\t" : "",
                     printable && *printable ? printable : "");
}

static void complete_verbs(void)
{
        for (const VerbInfo *v = verb_table(); v->run; v++)
                if (v->name && v->text)
                        candidate(v->name, v->text);
}

static void complete_options(const char *verb)
{
        unsigned bits = 0;

        for (const VerbInfo *v = verb_table(); v->run; v++)
                if (v->text && g_strcmp0(v->name, verb) == 0)
                        bits = v->options;

        for (const OptionInfo *o = option_table(); o->name; o++)
                if (o->bit == 0 || (o->bit & bits))
                        candidate(o->name, o->text);
}

static Host *get_host_quietly(const Arguments *a)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *answer = NULL;
        _cleanup_(ssh_close) Ssh ssh = { 0 }; /* before the bus, so that it is cleaned up after it */
        _cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
        _cleanup_host_ Host *h = host_new();
        int r;

        r = a->host ? ssh_open(&ssh, a->host, false, &bus) : sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_bus_message_new_method_call(bus, &m, VGPUD_BUS_NAME, VGPUD_PATH_ROOT,
                                                   "org.freedesktop.DBus.ObjectManager", "GetManagedObjects");
        if (r >= 0)
                r = sd_bus_message_set_auto_start(m, false);
        if (r >= 0)
                r = sd_bus_call(bus, m, ANSWER_USEC, NULL, &answer);
        if (r >= 0)
                r = host_read(h, answer);

        return r < 0 ? NULL : g_steal_pointer(&h);
}

static void complete_gpus(const Host *h)
{
        for (unsigned i = 0; i < host_n(h, OBJECT_GPU); i++) {
                g_autofree char *title = gpu_title(host_gpu(h, i));

                candidate(host_gpu(h, i)->name, title);
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
                candidate(g->name, text);
        }
}

/* The modes of a GPU that can be set, or what one of them can be. */
static void complete_modes(const Host *h, const char *gpu, const char *only)
{
        int status;
        const GpuInfo *g = gpu ? host_find_gpu(h, NULL, gpu, &status) : NULL;

        for (unsigned i = 0; g && i < g->modes->len; i++) {
                const ModeInfo *m = g->modes->pdata[i];

                if (!m->choices)
                        continue;

                if (!only)
                        candidate(m->name, m->help);
                for (char **p = m->choices; only && strcmp(only, m->name) == 0 && *p; p++)
                        candidate(*p, g_strcmp0(*p, m->value) == 0 ? "as it is now" : NULL);
        }
}

/* "vram_quota=": the options of a type, by id or alias, or of all types. */
static void complete_attributes(const Host *h, const char *gpu, const char *type)
{
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
        int status;

        for (unsigned i = 0; i < host_n(h, OBJECT_GPU); i++) {
                const GpuInfo *g = host_gpu(h, i);

                if (gpu && host_find_gpu(h, NULL, gpu, &status) != g)
                        continue;

                for (unsigned n = 0; n < g->types->len; n++) {
                        const TypeInfo *t = g->types->pdata[n];

                        if (type && strcmp(t->id, type) != 0 &&
                            !g_strv_contains((const char *const *)t->aliases, type))
                                continue;

                        for (unsigned k = 0; k < t->options->len; k++) {
                                const PairInfo *option = t->options->pdata[k];
                                g_autofree char *word = g_strconcat(option->name, "=", NULL);

                                if (g_hash_table_add(seen, option->name))
                                        candidate(word, option->text);
                        }
                }
        }
}

static void complete_types(const Host *h, const char *gpu)
{
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
        int status;

        for (unsigned i = 0; i < host_n(h, OBJECT_GPU); i++) {
                const GpuInfo *g = host_gpu(h, i);

                if (gpu && host_find_gpu(h, NULL, gpu, &status) != g)
                        continue;

                for (unsigned n = 0; n < g->types->len; n++) {
                        const TypeInfo *t = g->types->pdata[n];
                        g_autofree char *available = type_available_text(t), *text = NULL;

                        if (!g_hash_table_add(seen, t->id))
                                continue;

                        text = g_strdup_printf("%s, available %s", t->name ? t->name : t->id,
                                               available ? available : "?");
                        candidate(t->id, text);
                }
        }
}

static void complete_instances(const Host *h)
{
        for (unsigned n = 0; n < host_n(h, OBJECT_INSTANCE); n++) {
                const InstanceInfo *i = host_instance(h, n);
                g_autofree char *text = g_strdup_printf("%s on %s", *i->type ? i->type : "?", i->gpu_name);

                candidate(i->uuid, text);

                if (*i->name)
                        candidate(i->name, text);
        }
}

static void complete_jobs(const Host *h)
{
        for (unsigned i = 0; i < host_n(h, OBJECT_JOB); i++) {
                const JobInfo *j = host_job(h, i);
                g_autofree char *id = format_number(j->id),
                                *text = g_strdup_printf("%s on %s, %s", j->kind, j->gpu, j->state);

                candidate(id, text);
        }
}

static void complete_parents(const Host *h, const char *gpu)
{
        int status;

        for (unsigned i = 0; i < host_n(h, OBJECT_GPU); i++)
                if (!gpu || host_find_gpu(h, NULL, gpu, &status) == host_gpu(h, i))
                        for (char **p = host_gpu(h, i)->parents; *p; p++)
                                candidate(*p, host_gpu(h, i)->name);
}

int verb_complete(const Arguments *a)
{
        const char *kind = a->words[0];
        _cleanup_host_ Host *h = NULL;

        if (strcmp(kind, "verbs") == 0) {
                complete_verbs();
                return 0;
        }

        if (strcmp(kind, "options") == 0) {
                complete_options(a->n_words > 1 ? a->words[1] : NULL);
                return 0;
        }

        h = get_host_quietly(a);
        if (!h)
                return 0;

        if (strcmp(kind, "gpus") == 0)
                complete_gpus(h);
        else if (strcmp(kind, "types") == 0)
                complete_types(h, a->gpu);
        else if (strcmp(kind, "vf-gpus") == 0)
                complete_vf_gpus(h);
        else if (strcmp(kind, "modes") == 0)
                complete_modes(h, a->gpu, NULL);
        else if (strcmp(kind, "choices") == 0 && a->n_words > 1)
                complete_modes(h, a->gpu, a->words[1]);
        else if (strcmp(kind, "attributes") == 0)
                complete_attributes(h, a->gpu, a->n_words > 1 ? a->words[1] : NULL);
        else if (strcmp(kind, "parents") == 0)
                complete_parents(h, a->gpu);
        else if (strcmp(kind, "instances") == 0)
                complete_instances(h);
        else if (strcmp(kind, "jobs") == 0)
                complete_jobs(h);
        else if (strcmp(kind, "objects") == 0) {
                complete_gpus(h);
                complete_instances(h);
        }

        return 0;
}
