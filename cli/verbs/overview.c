/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The overview: vgpuctl without a verb */

#include <stdio.h>
#include <string.h>

#include "cli/client/lookup-definitions.h"
#include "cli/client/lookup.h"
#include "cli/host/objects-json.h"
#include "cli/host/report.h"
#include "cli/host/type-table.h"
#include "cli/output/errors.h"
#include "cli/output/format.h"
#include "cli/output/json.h"
#include "cli/output/terminal.h"
#include "cli/verbs/verbs.h"

/* For a GPU with more instances, the overview prints only their number: a screen holds no more, and the time of
 * the overview must not grow with the number of instances. */
#define OVERVIEW_INSTANCES_MAX 16U

static bool gpu_is_crowded(const GpuInfo *g)
{
        return g->instance_count > OVERVIEW_INSTANCES_MAX;
}

/* Appends a fact, such as "driver i915", with ", " before each fact but the first. */
static void overview_append(GString *s, const char *format, ...) _printf_(2, 3);
static void overview_append(GString *s, const char *format, ...)
{
        va_list ap;

        if (s->len > 0)
                g_string_append(s, ", ");

        va_start(ap, format);
        g_string_append_vprintf(s, format, ap);
        va_end(ap);
}

static void overview_facts(const GpuInfo *g)
{
        g_autofree char *memory = gpu_memory_text(g), *text = NULL;
        g_autoptr(GString) s = g_string_new(NULL);

        if (*g->driver)
                overview_append(s, "driver %s", g->driver);
        if (*g->back_end)
                overview_append(s, "managed as %s", g->back_end);
        if (memory)
                overview_append(s, "memory %s", memory);
        if (g->numa_node >= 0)
                overview_append(s, "NUMA node %" G_GINT32_FORMAT, g->numa_node);
        if (g->total_vfs > 0)
                overview_append(s, "%" G_GUINT32_FORMAT " of %" G_GUINT32_FORMAT " virtual functions",
                                g->enabled_vfs, g->total_vfs);
        if (g->boot_display)
                overview_append(s, "display of the host");
        if (g->queued_jobs > 0)
                overview_append(s, "jobs in its queue: %" G_GUINT32_FORMAT, g->queued_jobs);

        text = format_printable(s->str);
        if (*text)
                (void)printf("  %s%s%s\n", tone_begin(TONE_DIM), text, tone_end(TONE_DIM));
}

/* Print the types with room, and the number of the types without room. */
static void overview_types(const Arguments *a, const Host *h, const GpuInfo *g)
{
        unsigned n_full = 0;

        if (g->types->len > 0 && strcmp(g->state, "ready") != 0) {
                g_autofree char *state = format_printable(g->state);

                (void)printf("  No instance can be made while the GPU is %s.\n", state);
                return;
        }

        for (unsigned i = 0; i < g->types->len; i++)
                n_full += gpu_type(g, i)->available <= 0;
        if (n_full < g->types->len) {
                (void)puts("  Types with room:");
                (void)print_types(a, h, g, PRINT_NESTED | PRINT_AVAILABLE);
        }

        if (n_full > 0)
                (void)printf("  %sNo room for %u of %u types; \"vgpuctl types --why\" explains.%s\n",
                             tone_begin(TONE_DIM), n_full, g->types->len, tone_end(TONE_DIM));
}

static void overview_instances(const Arguments *a, const Host *h, const GpuInfo *g)
{
        bool has_instances = false;

        if (gpu_is_crowded(g)) {
                g_autofree char *name = format_printable(g->name);

                (void)printf("  Instances: %" G_GUINT32_FORMAT "; \"vgpuctl list %s\" lists them.\n",
                             g->instance_count, name);
                return;
        }

        for (unsigned i = 0; !has_instances && i < host_n(h, OBJECT_INSTANCE); i++)
                has_instances = strcmp(host_instance(h, i)->gpu, g->path) == 0;

        if (has_instances) {
                (void)puts("  Instances:");
                (void)print_instances(a, h, g, PRINT_NESTED);
        }
}

static void overview_gpu(const Arguments *a, const Host *h, const GpuInfo *g)
{
        g_autofree char *title = gpu_title(g), *state = gpu_state_text(g);
        g_autofree char *name = format_printable(g->name), *printable = format_printable(title ? title : "");
        g_autofree char *printable_state = format_printable(state);

        (void)printf("%s%s%s%s%s: %s%s%s\n", tone_begin(TONE_HEAD), name, title ? "  " : "", printable,
                     tone_end(TONE_HEAD), tone_begin(gpu_state_tone(g)), printable_state,
                     tone_end(gpu_state_tone(g)));

        if (*g->reason)
                print_reason(2, NULL, g->reason, g->hint);
        overview_facts(g);
        overview_instances(a, h, g);
        overview_types(a, h, g);
}

static int overview_json(Client *c, const Host *h)
{
        Json j = json_new(false);

        json_object(&j, NULL);
        json_objects(&j, "gpus", h, OBJECT_GPU);
        json_all_types(&j, "types", h);
        json_objects(&j, "instances", h, OBJECT_INSTANCE);
        json_objects(&j, "jobs", h, OBJECT_JOB);
        lookup_json_missing(c, &j);
        json_object_end(&j);
        json_print(&j, stdout);

        return 0;
}

/* List the instances of all GPUs in one call. If a GPU is crowded, instead make one call for each GPU that has
 * instances and is not crowded. */
static int overview_lookup_instances(Client *c, Host *h)
{
        bool crowded = false;
        int status = 0;

        for (unsigned i = 0; i < host_n(h, OBJECT_GPU); i++)
                crowded = crowded || gpu_is_crowded(host_gpu(h, i));

        if (!crowded)
                return lookup_instances(c, h, NULL, LOOKUP_TABLE);

        for (unsigned i = 0; status == 0 && i < host_n(h, OBJECT_GPU); i++) {
                const GpuInfo *g = host_gpu(h, i);

                if (g->instance_count > 0 && !gpu_is_crowded(g))
                        status = lookup_more_instances(c, h, g->path, LOOKUP_TABLE);
        }

        host_sort(h);

        return status;
}

static int overview_run(const Arguments *a)
{
        _cleanup_host_ Host *h = host_new();
        _cleanup_client_ Client c = { 0 };
        int status;

        g_assert(a->n_words == 0);

        status = client_open(&c, a);
        if (status == 0)
                status = lookup_gpus(&c, h);
        if (status == 0 && a->json)
                status = lookup_instances(&c, h, NULL, LOOKUP_ALL);
        else if (status == 0 && !a->quiet)
                status = overview_lookup_instances(&c, h);
        if (status == 0 && (a->json || !a->quiet))
                status = lookup_types(&c, h);
        if (status == 0 && (a->json || !a->quiet))
                status = lookup_jobs(&c, h, false);
        if (status != 0)
                return status;

        if (a->json)
                return overview_json(&c, h);

        for (unsigned i = 0; i < host_n(h, OBJECT_GPU); i++) {
                if (a->quiet) {
                        print_name(host_gpu(h, i)->name);
                        continue;
                }

                if (i > 0)
                        (void)putchar('\n');
                overview_gpu(a, h, host_gpu(h, i));
        }

        if (!a->quiet && host_n(h, OBJECT_JOB) > 0) {
                (void)puts("\nJobs:");
                (void)print_jobs(a, h, 0);
        }

        if (host_n(h, OBJECT_GPU) == 0)
                remark(a, "This host has no GPU.");
        lookup_warn_missing(&c);
        client_remark_config(&c);

        return 0;
}

const VerbInfo verb_overview = {
        .words = "",
        .run = overview_run,
        .text = "Show the GPUs, their instances, and the types with room",
};
