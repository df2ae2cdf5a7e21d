/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/host/report.h"

#include <string.h>

#include "base/parse-util.h"
#include "cli/host/find.h"
#include "cli/host/job-kinds.h"
#include "cli/host/type-table.h"
#include "cli/output/format.h"
#include "cli/output/table.h"
#include "cli/output/terminal.h"

char *gpu_title(const GpuInfo *g)
{
        if (!*g->vendor_name && !*g->device_name)
                return g->vendor_id != 0 ? g_strdup_printf("PCI device %04x:%04x", g->vendor_id, g->device_id)
                                         : NULL;

        return g_strdup_printf("%s%s%s", g->vendor_name, *g->vendor_name && *g->device_name ? " " : "",
                               g->device_name);
}

char *gpu_state_text(const GpuInfo *g)
{
        g_autofree char *age = format_age(g->scanned_usec);

        if (!g->stale)
                return g_strdup(g->state);

        return age ? g_strdup_printf("%s, last scanned %s ago", g->state, age)
                   : g_strdup_printf("%s, stale", g->state);
}

Tone gpu_state_tone(const GpuInfo *g)
{
        if (strcmp(g->state, "ready") == 0)
                return g->stale ? TONE_WARN : TONE_GOOD;
        if (strcmp(g->state, "unprepared") == 0)
                return TONE_WARN;
        if (strcmp(g->state, "unsupported") == 0 || strcmp(g->state, "new") == 0)
                return TONE_DIM;

        return TONE_BAD;
}

Tone instance_state_tone(const InstanceInfo *i)
{
        return strcmp(i->state, "active") == 0 ? TONE_GOOD : TONE_BAD;
}

/* "edited": the instance started before the last edit of its definition. The next start applies the edit. */
static char *report_mark_edited(const char *state, bool edited)
{
        return edited ? g_strdup_printf("%s (edited)", state) : g_strdup(state);
}

char *instance_state_text(const InstanceInfo *i)
{
        return report_mark_edited(i->state, strcmp(i->definition, "differs") == 0);
}

char *definition_state_text(const DefinitionInfo *d)
{
        return report_mark_edited(d->state, d->differs);
}

Tone definition_state_tone(const DefinitionInfo *d)
{
        if (strcmp(d->state, "foreign") == 0 || strcmp(d->state, "waiting") == 0)
                return TONE_WARN;

        return strcmp(d->state, "active") == 0 ? TONE_GOOD : TONE_DIM;
}

bool definition_is_listed(const Host *h, const DefinitionInfo *d)
{
        const InstanceInfo *i = host_find_instance(h, d->uuid);

        return strcmp(d->state, "active") != 0 && (!i || strcmp(i->origin, "foreign") == 0);
}

Tone job_state_tone(const JobInfo *j)
{
        return strcmp(j->state, "stuck") == 0     ? TONE_BAD
               : strcmp(j->state, "running") == 0 ? TONE_GOOD
                                                  : TONE_PLAIN;
}

bool gpu_has_vf(const GpuInfo *g, const char *name)
{
        for (unsigned i = 0; i < g->vfs->len; i++)
                if (strcmp(((const VfInfo *)g->vfs->pdata[i])->name, name) == 0)
                        return true;

        return false;
}

char *type_available_text(const TypeInfo *t)
{
        if (t->available < 0)
                return NULL;
        if (t->max_instances > 0)
                return g_strdup_printf("%" G_GINT64_FORMAT " of %" G_GINT64_FORMAT, t->available,
                                       t->max_instances);

        return format_number(t->available);
}

char *memory_text(uint64_t bytes)
{
        return bytes == UINT64_MAX ? NULL : format_bytes(bytes);
}

/* "4 of 48 GiB": shows the unit only once if the two numbers have the same unit. */
char *gpu_memory_text(const GpuInfo *g)
{
        g_autofree char *used = memory_text(g->memory_used_bytes), *total = memory_text(g->memory_bytes);
        const char *used_unit, *total_unit;

        if (!used || !total)
                return total ? g_strdup_printf("? of %s", total) : NULL;

        used_unit = strchr(used, ' ');
        total_unit = strchr(total, ' ');
        g_assert(used_unit && total_unit);

        if (g->memory_used_bytes == 0 || strcmp(used_unit, total_unit) == 0)
                return g_strdup_printf("%.*s of %s", (int)(used_unit - used), used, total);

        return g_strdup_printf("%s of %s", used, total);
}

char *owner_text(const Arguments *a, const char *owner)
{
        uint32_t uid;

        if (!*owner)
                return NULL;

        return parse_u32(owner, 10, &uid) < 0 ? g_strdup(owner) : format_user(a, uid);
}

char *type_memory_text(const TypeInfo *t)
{
        return t->framebuffer_bytes < 0 ? NULL : format_bytes((uint64_t)t->framebuffer_bytes);
}

char *type_resolution_text(const TypeInfo *t)
{
        if (t->max_x < 0 || t->max_y < 0)
                return NULL;

        return g_strdup_printf("%" G_GINT64_FORMAT "x%" G_GINT64_FORMAT, t->max_x, t->max_y);
}

#define REPORT_INDENT 4

static unsigned report_finish_table(const Arguments *a, const Table *t, unsigned flags)
{
        if (table_rows(t) > 0)
                table_print(t, flags & PRINT_NESTED ? REPORT_INDENT : 0, a->legend);
        return table_rows(t);
}

/* Says that the numbers of a stale GPU are from an earlier scan. */
static bool report_print_stale(const GpuInfo *g)
{
        g_autofree char *head = g_strconcat(g->name, ":", NULL), *state = gpu_state_text(g), *text = NULL;
        bool is_stuck = strcmp(g->state, "stuck") == 0;

        if (!g->stale || g->types->len == 0)
                return false;

        text = g_strdup_printf("%s%s%s; the numbers are from an earlier scan%s", state, *g->reason ? ": " : "",
                               g->reason,
                               is_stuck ? ", and no instance can be made until the GPU answers" : "");
        print_wrapped(0, head, text);

        return true;
}

unsigned print_types(const Arguments *a, const Host *h, const GpuInfo *only, unsigned flags)
{
        static const Column columns[] = {
                { "TYPE", 0 },
                { "NAME", COLUMN_SHRINK },
                { "AVAILABLE", 0 },
                { "MEMORY", COLUMN_RIGHT },
                { "RESOLUTION", 0 },
                { "HEADS", COLUMN_RIGHT },
                { "FPS", COLUMN_RIGHT },
                { "API", COLUMN_SHRINK },
                { "GPU", 0 },
        };
        _cleanup_table_ Table *t = table_new(columns, G_N_ELEMENTS(columns) - (flags & PRINT_NESTED ? 1 : 0));
        unsigned n_rows;

        for (unsigned i = 0; i < host_n(h, OBJECT_GPU); i++) {
                const GpuInfo *g = host_gpu(h, i);

                for (unsigned n = 0; (!only || only == g) && n < g->types->len; n++) {
                        const TypeInfo *type = gpu_type(g, n);
                        Tone tone = type->available == 0 || g->stale ? TONE_DIM : TONE_PLAIN;

                        if ((flags & PRINT_AVAILABLE) && type->available <= 0)
                                continue;

                        table_add(t, type->id, tone);
                        table_add(t, g_strcmp0(type->name, type->id) == 0 ? NULL : type->name, tone);
                        table_take(t, type_available_text(type),
                                   type->available > 0 && !g->stale ? TONE_GOOD : tone);
                        table_take(t, type_memory_text(type), tone);
                        table_take(t, type_resolution_text(type), tone);
                        table_take(t, format_number(type->heads), tone);
                        table_take(t, format_number(type->frame_rate_limit), tone);
                        table_add(t, type->device_api, tone);

                        if (!(flags & PRINT_NESTED))
                                table_add(t, g->name, tone);
                }
        }

        n_rows = report_finish_table(a, t, flags);
        for (unsigned i = 0; !(flags & PRINT_NESTED) && i < host_n(h, OBJECT_GPU); i++)
                if (!only || only == host_gpu(h, i))
                        (void)report_print_stale(host_gpu(h, i));

        return n_rows;
}

void print_modes(const GpuInfo *g, unsigned indent)
{
        g_assert(indent < 80);

        for (unsigned i = 0; i < g->modes->len; i++) {
                const ModeInfo *m = g->modes->pdata[i];
                g_autofree char *choices = m->choices ? g_strjoinv(", ", m->choices) : NULL;
                g_autofree char *head = g_strconcat(m->name, ":", NULL);
                g_autofree char *text = g_strdup_printf("%s%s%s%s", m->value ? m->value : "unknown",
                                                        choices ? " (can be " : "", choices ? choices : "",
                                                        choices ? ")" : "");

                print_wrapped(indent, head, text);

                if (m->help)
                        print_wrapped(indent + 4, NULL, m->help);
        }
}

bool type_waits_for_gpu(const GpuInfo *g, const TypeInfo *t)
{
        return *g->reason && g_strcmp0(t->why_not, g->reason) == 0;
}

void print_reason(unsigned indent, const char *head, const char *reason, const char *hint)
{
        print_wrapped(indent, head, reason);
        if (hint && *hint)
                print_wrapped(indent + 4, "Hint:", hint);
}

static void report_print_labelled(unsigned indent, const char *label, const char *reason, const char *hint)
{
        g_autofree char *text = g_strconcat(label, reason, NULL);

        print_reason(indent, NULL, text, hint);
}

static void report_print_type_why(const GpuInfo *g, const TypeInfo *t)
{
        bool named = *t->name && strcmp(t->name, t->id) != 0;
        g_autofree char *available = t->available > 0 ? format_number(t->available) : g_strdup("none");
        g_autofree char *most = t->max_instances > 0 ? format_number(t->max_instances) : NULL;
        g_autofree char *text = g_strdup_printf("%s%s%son %s: %s%s%s can be made now", named ? "(" : "",
                                                named ? t->name : "", named ? ") " : "", g->name, available,
                                                most ? " of " : "", most ? most : "");

        print_wrapped(0, t->id, text);

        if (t->why_not && !type_waits_for_gpu(g, t))
                report_print_labelled(4, t->available > 0 ? "No more: " : "Why: ", t->why_not, t->hint);
        else if (t->available <= 0 && !t->why_not)
                print_wrapped(4, NULL, "Why: the driver does not say");

        if (*t->earlier_name) {
                g_autofree char *careful = g_strdup_printf("Careful: an earlier driver gave this id to \"%s\"",
                                                           t->earlier_name);

                print_wrapped(4, NULL, careful);
        }
}

static const PairInfo *report_find_option(const TypeInfo *t, const PairInfo *wanted)
{
        for (unsigned i = 0; i < t->options->len; i++) {
                const PairInfo *option = t->options->pdata[i];

                if (strcmp(option->name, wanted->name) == 0 && strcmp(option->text, wanted->text) == 0)
                        return option;
        }

        return NULL;
}

/* Print "vram_quota (vf-profile): …", with all types that have the option. No type before `first` has it. */
static void report_print_option(const GpuInfo *g, unsigned first, const PairInfo *option, unsigned indent)
{
        g_autoptr(GString) ids = g_string_new("(");
        unsigned n = 0;

        for (unsigned i = first; i < g->types->len; i++)
                if (report_find_option(gpu_type(g, i), option))
                        g_string_append_printf(ids, "%s%s", n++ > 0 ? ", " : "", gpu_type(g, i)->id);

        if (n == g->types->len && n > 1)
                g_string_assign(ids, "(all types");
        g_string_append_printf(ids, "): %s", option->text);
        print_wrapped(indent, option->name, ids->str);
}

static bool report_has_option(const GpuInfo *g, unsigned n_types, const PairInfo *option)
{
        for (unsigned i = 0; i < n_types; i++)
                if (report_find_option(gpu_type(g, i), option))
                        return true;

        return false;
}

void print_type_options(const GpuInfo *g, const char *title, unsigned indent)
{
        bool titled = false;

        for (unsigned i = 0; i < g->types->len; i++) {
                const TypeInfo *t = gpu_type(g, i);

                for (unsigned k = 0; k < t->options->len; k++) {
                        if (report_has_option(g, i, t->options->pdata[k]))
                                continue;

                        if (!titled)
                                (void)printf("%s\n", title);
                        titled = true;
                        report_print_option(g, i, t->options->pdata[k], indent);
                }
        }
}

/* Print the reason that all types of the GPU share. */
static void report_print_gpu_why(const GpuInfo *g)
{
        g_autofree char *head = g_strconcat(g->name, ":", NULL);

        if (report_print_stale(g))
                return;

        for (unsigned k = 0; k < g->types->len; k++)
                if (type_waits_for_gpu(g, gpu_type(g, k))) {
                        print_reason(0, head, g->reason, g->hint);
                        return;
                }
}

unsigned print_types_why(const Host *h, const GpuInfo *only)
{
        unsigned n = 0;

        for (unsigned i = 0; i < host_n(h, OBJECT_GPU); i++) {
                const GpuInfo *g = host_gpu(h, i);
                g_autofree char *title = NULL;

                if (only && only != g)
                        continue;

                report_print_gpu_why(g);
                for (unsigned k = 0; k < g->types->len; k++, n++)
                        report_print_type_why(g, gpu_type(g, k));
                g_autofree char *name = format_printable(g->name);

                title = g_strdup_printf("Options on %s:", name);
                print_type_options(g, title, 4);

                if (g->types->len == 0) {
                        g_autofree char *text = g_strdup_printf("%s offers no types%s%s", g->name,
                                                                *g->reason ? ": " : "", g->reason);

                        print_reason(0, NULL, text, g->hint);
                        n++;
                }
        }

        return n;
}

const char *definition_autostart_text(const DefinitionInfo *d)
{
        return d->autostart ? "yes" : "no";
}

/* Add the row of a definition to the table of print_instances(). */
static void report_add_definition(const Arguments *a, Table *t, const DefinitionInfo *d)
{
        table_add(t, d->uuid, TONE_PLAIN);
        table_add(t, d->name, TONE_PLAIN);
        table_add(t, d->type, TONE_PLAIN);
        table_take(t, definition_state_text(d), definition_state_tone(d));
        table_add(t, NULL, TONE_PLAIN);
        table_take(t, owner_text(a, d->owner), TONE_PLAIN);
        table_add(t, NULL, TONE_PLAIN);
        table_add(t, NULL, TONE_PLAIN);
        table_add(t, d->parent, TONE_PLAIN);
        table_take(t, *d->pool ? g_strdup_printf("pool %s", d->pool) : g_strdup(d->gpu), TONE_PLAIN);
        table_add(t, definition_autostart_text(d), TONE_PLAIN);
}

/* "desk (next: other)" if the definition was given another name: the instance has the old name until the
 * next start. */
static char *report_instance_name(const Host *h, const InstanceInfo *i)
{
        const DefinitionInfo *d = strcmp(i->definition, "differs") == 0
                                                  ? host_find_path(h, OBJECT_DEFINITION, i->uuid)
                                                  : NULL;

        if (!d || strcmp(d->name, i->name) == 0)
                return g_strdup(i->name);

        return g_strdup_printf("%s%s(next: %s)", i->name, *i->name ? " " : "", *d->name ? d->name : "no name");
}

unsigned print_instances(const Arguments *a, const Host *h, const GpuInfo *only, unsigned flags)
{
        static const Column columns[] = {
                { "UUID", 0 },
                { "NAME", COLUMN_SHRINK },
                { "TYPE", COLUMN_SHRINK },
                { "STATE", 0 },
                { "ORIGIN", 0 },
                { "OWNER", COLUMN_SHRINK },
                { "AGE", 0 },
                { "MEMORY", COLUMN_RIGHT },
                { "PARENT", 0 },
                { "GPU", 0 },       /* not with PRINT_NESTED */
                { "AUTOSTART", 0 }, /* only with PRINT_DEFINED */
        };
        const unsigned n_columns = G_N_ELEMENTS(columns) - (flags & PRINT_NESTED    ? 2
                                                            : flags & PRINT_DEFINED ? 0
                                                                                    : 1);
        _cleanup_table_ Table *t = table_new(columns, n_columns);

        g_assert(!(flags & PRINT_NESTED) || !(flags & PRINT_DEFINED));

        for (unsigned n = 0; n < host_n(h, OBJECT_INSTANCE); n++) {
                const InstanceInfo *i = host_instance(h, n);
                const DefinitionInfo *d = *i->definition ? host_find_path(h, OBJECT_DEFINITION, i->uuid) : NULL;

                if (only && strcmp(i->gpu, only->path) != 0)
                        continue;

                table_add(t, i->uuid, TONE_PLAIN);
                table_take(t, report_instance_name(h, i), TONE_PLAIN);
                table_add(t, i->type, TONE_PLAIN);
                table_take(t, instance_state_text(i), instance_state_tone(i));
                table_add(t, i->origin, strcmp(i->origin, "foreign") == 0 ? TONE_WARN : TONE_PLAIN);
                table_take(t, owner_text(a, i->owner), TONE_PLAIN);
                table_take(t, format_age(i->created_usec), TONE_PLAIN);
                table_take(t, memory_text(i->memory_bytes), TONE_PLAIN);
                table_add(t, strcmp(i->parent, i->gpu_name) == 0 ? NULL : i->parent, TONE_PLAIN);

                if (!(flags & PRINT_NESTED))
                        table_add(t, i->gpu_name, TONE_PLAIN);
                if (flags & PRINT_DEFINED)
                        table_add(t, d ? definition_autostart_text(d) : NULL, TONE_PLAIN);
        }

        for (unsigned n = 0; (flags & PRINT_DEFINED) && n < host_n(h, OBJECT_DEFINITION); n++)
                if (definition_is_listed(h, host_definition(h, n)))
                        report_add_definition(a, t, host_definition(h, n));

        return report_finish_table(a, t, flags);
}

static Tone report_result_tone(const JobInfo *j)
{
        return strcmp(j->result, "failed") == 0 ? TONE_BAD
               : strcmp(j->result, "done") == 0 ? TONE_GOOD
                                                : TONE_PLAIN;
}

static char *report_span(uint64_t from, uint64_t until)
{
        return format_duration(until > from ? until - from : 0);
}

unsigned print_jobs(const Arguments *a, const Host *h, unsigned flags)
{
        static const Column with_ended[] = {
                { "JOB", COLUMN_RIGHT },
                { "KIND", 0 },
                { "STATE", 0 },
                { "RESULT", 0 },
                { "ENDED", 0 },
                { "TARGET", COLUMN_SHRINK },
                { "ASKED BY", COLUMN_SHRINK },
                { "WAITED", 0 },
                { "RUNS FOR", 0 },
                { "GPU", 0 },
        };
        static const Column without[] = {
                { "JOB", COLUMN_RIGHT },       { "KIND", 0 },   { "STATE", 0 },    { "TARGET", COLUMN_SHRINK },
                { "ASKED BY", COLUMN_SHRINK }, { "WAITED", 0 }, { "RUNS FOR", 0 }, { "GPU", 0 },
        };
        bool ended = flags & PRINT_ENDED;
        _cleanup_table_ Table *t = ended ? table_new(with_ended, G_N_ELEMENTS(with_ended))
                                         : table_new(without, G_N_ELEMENTS(without));

        for (unsigned n = 0; n < host_n(h, OBJECT_JOB); n++) {
                const JobInfo *j = host_job(h, n);
                uint64_t until = j->ended_usec != 0 ? j->ended_usec : now_usec();

                table_take(t, format_number(j->id), TONE_PLAIN);
                table_add(t, j->kind, TONE_PLAIN);
                table_add(t, j->state, job_state_tone(j));

                if (ended) {
                        table_add(t, j->result, report_result_tone(j));
                        table_take(t, j->ended_usec != 0 ? format_moment(j->ended_usec) : NULL, TONE_PLAIN);
                }

                table_take(t, job_target_text(j), TONE_PLAIN);
                table_take(t, format_user(a, j->requester), TONE_PLAIN);
                table_take(t, report_span(j->created_usec, j->started_usec != 0 ? j->started_usec : until),
                           TONE_PLAIN);
                table_take(t, j->started_usec != 0 ? report_span(j->started_usec, until) : NULL, TONE_PLAIN);
                table_add(t, j->gpu_name, TONE_PLAIN);
        }

        return report_finish_table(a, t, flags);
}
