/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* show: one object in detail, one value per line, and texts for a domain of libvirt and for QEMU */

#include <stdio.h>
#include <string.h>

#include "base/parse-util.h"
#include "cli/client/lookup-definitions.h"
#include "cli/host/job-kinds.h"
#include "cli/host/objects-json.h"
#include "cli/host/report.h"
#include "cli/host/type-table.h"
#include "cli/output/errors.h"
#include "cli/output/format.h"
#include "cli/output/json.h"
#include "cli/output/table.h"
#include "cli/output/terminal.h"
#include "cli/verbs/show-definition.h"
#include "cli/verbs/show-line.h"
#include "cli/verbs/verbs.h"

static char *show_link_text(const char *speed, uint32_t width)
{
        if (!*speed && width == 0)
                return NULL;

        if (width == 0)
                return g_strdup(speed);

        return g_strdup_printf("%s%sx%" G_GUINT32_FORMAT, speed, *speed ? ", " : "", width);
}

/* True if the GPU never has virtual functions: NVIDIA's GPUs before Ampere advertise virtual functions, but
 * their vGPUs are on the GPU itself. */
static bool show_vfs_are_never_made(const GpuInfo *g)
{
        return g->enabled_vfs == 0 && g->parents && g_strv_contains((const char *const *)g->parents, g->name);
}

static void show_gpu_pci(const GpuInfo *g)
{
        g_autofree char *most = show_link_text(g->link_speed_max, g->link_width_max);
        char *now = show_link_text(g->link_speed, g->link_width);

        if (g->vendor_id != 0) {
                show_line("PCI id", g_strdup_printf("%04x:%04x", g->vendor_id, g->device_id), TONE_PLAIN);
                if (g->subsystem_vendor_id != 0)
                        show_line("PCI subsystem",
                                  g_strdup_printf("%04x:%04x", g->subsystem_vendor_id, g->subsystem_device_id),
                                  TONE_PLAIN);

                show_line("PCI class", g_strdup_printf("%06" G_GINT32_MODIFIER "x", g->class), TONE_PLAIN);
        } else
                show_line_copy("Subsystem", g->subsystem);

        if (now && most && strcmp(now, most) != 0)
                show_line("PCIe link", g_strdup_printf("%s (at most %s)", now, most), TONE_PLAIN);
        else
                show_line_copy("PCIe link", now);

        g_free(now);
        if (g->total_vfs > 0 || g->enabled_vfs > 0)
                show_line("VFs",
                          g_strdup_printf("%" G_GUINT32_FORMAT " of %" G_GUINT32_FORMAT "%s", g->enabled_vfs,
                                          g->total_vfs,
                                          show_vfs_are_never_made(g)
                                                          ? "; unused, the vGPUs are on the GPU itself"
                                                          : ""),
                          TONE_PLAIN);
}

static void show_type_line(const char *key, const char *text)
{
        g_autofree char *printable = format_printable(text);

        (void)printf("    %s%s: %s%s\n", tone_begin(TONE_DIM), key, printable, tone_end(TONE_DIM));
}

static void show_type(const GpuInfo *g, const TypeInfo *t)
{
        static const struct {
                const char *key;
                size_t offset;
        } bytes[] = {
                { "memory", offsetof(TypeInfo, framebuffer_bytes) },
                { "aperture", offsetof(TypeInfo, low_gm_bytes) },
                { "hidden memory", offsetof(TypeInfo, high_gm_bytes) },
        }, numbers[] = {
                { "heads", offsetof(TypeInfo, heads) },   { "frames per second", offsetof(TypeInfo, frame_rate_limit) },
                { "fences", offsetof(TypeInfo, fences) }, { "weight", offsetof(TypeInfo, weight) },
        };
        g_autofree char *available = type_available_text(t), *resolution = type_resolution_text(t);
        g_autofree char *aliases = g_strjoinv(", ", t->aliases), *id = format_printable(t->id);
        GString *s = g_string_new(NULL);

        (void)printf("  %s%s%s", tone_begin(TONE_HEAD), id, tone_end(TONE_HEAD));

        if (*aliases) {
                g_autofree char *printable = format_printable(aliases);

                (void)printf("  also %s", printable);
        }

        (void)printf("\n    %savailable %s%s", tone_begin(t->available > 0 ? TONE_GOOD : TONE_DIM),
                     available ? available : "unknown", tone_end(TONE_GOOD));
        for (size_t i = 0; i < G_N_ELEMENTS(bytes); i++) {
                int64_t value = *(const int64_t *)(const void *)((const char *)t + bytes[i].offset);
                g_autofree char *text = value < 0 ? NULL : format_bytes((uint64_t)value);

                if (text)
                        g_string_append_printf(s, ", %s %s", bytes[i].key, text);
        }

        if (resolution)
                g_string_append_printf(s, ", resolution %s", resolution);
        for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
                int64_t value = *(const int64_t *)(const void *)((const char *)t + numbers[i].offset);

                if (value >= 0)
                        g_string_append_printf(s, ", %s %" G_GINT64_FORMAT, numbers[i].key, value);
        }

        if (t->mig)
                g_string_append(s, ", a slice of the partitioned GPU (MIG)");
        if (*t->device_api)
                g_string_append_printf(s, ", %s", t->device_api);
        g_autofree char *line = format_printable(s->str);
        (void)puts(line);
        g_string_free(s, true);

        if (t->why_not && !type_waits_for_gpu(g, t))
                print_reason(4, t->available > 0 ? "no more:" : "why:", t->why_not, t->hint);
        if (*t->earlier_name)
                print_wrapped(4, "careful: an earlier driver gave this id to", t->earlier_name);
        if (*t->key)
                show_type_line("key", t->key);
        if (*t->description) {
                g_autofree char *stripped = g_strstrip(g_strdup(t->description));
                g_auto(GStrv) lines = g_strsplit(stripped, "\n", -1);
                g_autofree char *text = g_strjoinv("; ", lines);

                show_type_line("driver", text);
        }
}

/* The driver of a virtual function, and a remark if the function is free, or is reserved for this driver or for
 * another driver. NULL: no driver is known. */
static char *show_vf_driver_text(const VfInfo *vf)
{
        if (strcmp(vf->state, "bound-free") == 0)
                return g_strdup_printf("%s (bound, free)", vf->driver);
        if (!*vf->driver_override ||
            (strcmp(vf->driver_override, vf->driver) == 0 && strcmp(vf->instance, "/") != 0))
                return *vf->driver ? g_strdup(vf->driver) : NULL;
        if (!*vf->driver)
                return g_strdup_printf("reserved for %s", vf->driver_override);

        if (strcmp(vf->driver_override, vf->driver) == 0)
                return g_strdup_printf("%s (reserved)", vf->driver);

        return g_strdup_printf("%s (reserved for %s)", vf->driver, vf->driver_override);
}

/* False if no driver is known: some back ends do not read the drivers of virtual functions. */
static bool show_vf_drivers_are_known(const GpuInfo *g)
{
        for (unsigned i = 0; i < g->vfs->len; i++) {
                const VfInfo *vf = g->vfs->pdata[i];

                if (*vf->driver || *vf->driver_override)
                        return true;
        }

        return false;
}

static void show_vfs(const Arguments *a, const Host *h, const GpuInfo *g)
{
        static const Column with_driver[] = {
                { "VF", COLUMN_RIGHT },
                { "DEVICE", 0 },
                { "DRIVER", 0 },
                { "INSTANCE", COLUMN_SHRINK },
                { "TYPE", COLUMN_SHRINK },
        }, without[] = {
                { "VF", COLUMN_RIGHT },
                { "DEVICE", 0 },
                { "INSTANCE", COLUMN_SHRINK },
                { "TYPE", COLUMN_SHRINK },
        };
        bool drivers = show_vf_drivers_are_known(g);
        _cleanup_table_ Table *t = drivers ? table_new(with_driver, G_N_ELEMENTS(with_driver))
                                           : table_new(without, G_N_ELEMENTS(without));

        for (unsigned i = 0; i < g->vfs->len; i++) {
                const VfInfo *vf = g->vfs->pdata[i];
                const InstanceInfo *on_it = host_find_path(h, OBJECT_INSTANCE, vf->instance);

                table_take(t, format_number(vf->index), TONE_PLAIN);
                table_add(t, vf->name, TONE_PLAIN);

                if (drivers)
                        table_take(t, show_vf_driver_text(vf), TONE_PLAIN);
                table_take(t, uuid_from_path(vf->instance), TONE_PLAIN);
                table_add(t, on_it ? on_it->type : NULL, TONE_PLAIN);
        }

        (void)puts("\nVirtual functions:");
        table_print(t, 4, a->legend);
}

/* True if the parents need a line: at least one is neither the GPU itself nor one of its virtual functions. */
static bool show_parents_are_news(const GpuInfo *g)
{
        for (char **p = g->parents; *p; p++)
                if (strcmp(*p, g->name) != 0 && !gpu_has_vf(g, *p))
                        return true;

        return false;
}

/* "8 VFs, mig no" */
static char *show_kept_text(const GpuInfo *g)
{
        GString *s = g_string_new(NULL);

        if (g->kept_vfs >= 0)
                g_string_append_printf(s, "%" G_GINT32_FORMAT " VFs", g->kept_vfs);

        for (unsigned i = 0; i < g->kept_modes->len; i++) {
                const PairInfo *mode = g->kept_modes->pdata[i];

                g_string_append_printf(s, "%s%s %s", s->len > 0 ? ", " : "", mode->name, mode->text);
        }

        return g_string_free(s, false);
}

static void show_gpu(const Arguments *a, const Host *h, const GpuInfo *g)
{
        unsigned n_instances = 0;

        show_line_copy("GPU", g->name);
        show_line("Device", gpu_title(g), TONE_PLAIN);
        show_line("State", gpu_state_text(g), gpu_state_tone(g));
        show_line_text("Reason", g->reason);
        show_line_text("Hint", g->hint);
        show_line("Kept", show_kept_text(g), TONE_PLAIN);
        show_line_text("Not applied", g->kept_reason);
        show_line("Driver", g_strdup(*g->driver ? g->driver : g->vendor_id != 0 ? "none" : ""), TONE_PLAIN);
        show_line_copy("Managed as", g->back_end);
        show_line("Memory", gpu_memory_text(g), TONE_PLAIN);
        show_gpu_pci(g);
        show_line_number("NUMA node", g->numa_node);
        show_line_number("IOMMU group", g->iommu_group);

        if (g->boot_display)
                show_line_copy("Boot display", "yes");
        if (show_parents_are_news(g))
                show_line("Parents", g_strjoinv(" ", g->parents), TONE_PLAIN);
        show_line_copy("Path", g->sysfs_path);
        show_line_moment("Scanned", g->scanned_usec);

        if (job_id_from_path(g->job) != 0)
                show_line("Job",
                          g->queued_jobs > 0 ? g_strdup_printf("%" G_GUINT32_FORMAT ", and %" G_GUINT32_FORMAT
                                                               " in the queue",
                                                               job_id_from_path(g->job), g->queued_jobs)
                                             : format_number(job_id_from_path(g->job)),
                          TONE_PLAIN);

        if (g->modes->len > 0) {
                (void)puts("\nModes:");
                print_modes(g, 4);
        }

        if (g->vfs->len > 0)
                show_vfs(a, h, g);
        for (unsigned i = 0; i < host_n(h, OBJECT_INSTANCE); i++)
                n_instances += strcmp(host_instance(h, i)->gpu, g->path) == 0;
        if (n_instances > 0) {
                (void)puts("\nInstances:");
                (void)print_instances(a, h, g, PRINT_NESTED);
        }

        if (g->types->len > 0) {
                (void)puts("\nTypes:");
                for (unsigned i = 0; i < g->types->len; i++)
                        show_type(g, gpu_type(g, i));
        }

        print_type_options(g, "\nOptions of create (--attr):", 4);
}

/* The word, quoted for a shell if necessary. */
static char *show_shell_word(const char *word)
{
        for (const char *p = word; *p; p++)
                if (!g_ascii_isalnum(*p) && !strchr("-_./,:=@%+", *p))
                        return g_shell_quote(word);

        return *word ? g_strdup(word) : g_strdup("''");
}

static void show_hand_over(const HandOver *o)
{
        show_line_copy("Group node", o->group_node);
        show_line_copy("VFIO node", o->cdev_node);

        if (o->libvirt_xml && *o->libvirt_xml) {
                g_auto(GStrv) lines = g_strsplit(o->libvirt_xml, "\n", -1);

                (void)puts("\nlibvirt, in <devices> of a domain:");

                for (char **p = lines; *p; p++)
                        if (**p) {
                                g_autofree char *printable = format_printable(*p);

                                (void)printf("    %s\n", printable);
                        }
        }

        if (o->qemu_args && o->qemu_args[0]) {
                (void)puts("\nQEMU, on its command line:");
                (void)fputs("   ", stdout);

                for (char **p = o->qemu_args; *p; p++) {
                        g_autofree char *word = show_shell_word(*p), *printable = format_printable(word);

                        (void)printf(" %s", printable);
                }

                (void)putchar('\n');
        }
}

static void show_instance(const Arguments *a, const InstanceInfo *i, const HandOver *o)
{
        bool foreign = strcmp(i->origin, "foreign") == 0;

        show_line_copy("UUID", i->uuid);
        show_line_copy("Name", i->name);
        show_line("Type",
                  *i->type_name && strcmp(i->type_name, i->type) != 0
                                  ? g_strdup_printf("%s (%s)", i->type, i->type_name)
                                  : g_strdup(i->type),
                  TONE_PLAIN);
        show_line("State",
                  strcmp(i->state, "incomplete") == 0
                                  ? g_strdup_printf("incomplete (unusable; vgpuctl %s removes the rest)",
                                                    *i->definition ? "stop" : "destroy")
                                  : instance_state_text(i),
                  instance_state_tone(i));
        show_line("Origin", g_strdup(foreign ? "foreign (not made by vgpud)" : i->origin),
                  foreign ? TONE_WARN : TONE_PLAIN);
        show_line("Owner", show_owner_text(a, i->owner), TONE_PLAIN);
        show_line_moment("Created", i->created_usec);
        show_line_copy("GPU", i->gpu_name);

        if (strcmp(i->parent, i->gpu_name) != 0)
                show_line_copy("Parent", i->parent);
        show_line_copy("Slot", i->slot);
        show_line("Memory", memory_text(i->memory_bytes), TONE_PLAIN);

        show_line_attributes(i->attributes);
        show_line_copy("Interface", i->device_api);
        show_line("Driver", g_strdup(*i->driver ? i->driver : "none"), *i->driver ? TONE_PLAIN : TONE_WARN);
        show_line_copy("Path", i->sysfs_path);

        if (o->sysfs_path && strcmp(o->sysfs_path, i->sysfs_path) != 0)
                show_line_copy("Link", o->sysfs_path);
        show_line_number("IOMMU group", i->iommu_group);
        if (job_id_from_path(i->job) != 0)
                show_line_number("Job", job_id_from_path(i->job));
        show_hand_over(o);
}

static void show_failures(const JobInfo *j)
{
        for (unsigned i = 0; i < j->failures->len; i++) {
                const FailureInfo *f = j->failures->pdata[i];
                g_autofree char *head = g_strdup_printf("%s:", f->instance ? f->instance : "?");

                if (i == 0)
                        (void)puts("\nFailures:");
                print_reason(4, head, f->message ? f->message : "?", f->hint);
        }
}

static void show_job(const Arguments *a, const JobInfo *j)
{
        const char *title;
        char *detail;

        show_line_number("Job", j->id);
        show_line_copy("Kind", j->kind);
        show_line("State", g_strdup(j->state), job_state_tone(j));
        show_line_copy("Result", j->result);
        show_line_text("Message", j->message);
        show_line_text("Hint", j->hint);
        show_line_copy("GPU", j->gpu_name);
        detail = job_detail(j, &title);
        show_line(title, detail, TONE_PLAIN);

        for (char **p = j->instances; *p; p++)
                show_line(p == j->instances ? "Instances" : "", uuid_from_path(*p), TONE_PLAIN);
        show_line("Asked by", show_user_text(a, j->requester), TONE_PLAIN);
        show_line_moment("Asked", j->created_usec);
        show_line_moment("Began", j->started_usec);
        show_line_moment("Ended", j->ended_usec);
        show_failures(j);
}

/* ---- looking up and printing ---- */

/* Print one object in full; `o` (may be NULL) becomes its last member. `d`: the definition of an instance;
 * NULL: none. */
static void show_json(const char *key, ObjectKind kind, const void *object, const HandOver *o,
                      const DefinitionInfo *d)
{
        Json j = json_new(false);

        g_assert(!o || kind == OBJECT_INSTANCE);

        json_object(&j, NULL);
        json_object(&j, key);
        json_object_members(&j, kind, object, true);

        if (o)
                json_hand_over(&j, "hand_over", o);
        json_object_end(&j);

        if (d)
                json_object_info(&j, "definition", OBJECT_DEFINITION, d, true);
        json_object_end(&j);
        json_print(&j, stdout);
}

static int show_find_gpu(Client *c, Host *h, GpuInfo *g)
{
        const Arguments *a = c->args;
        void *object;
        int status;

        status = lookup_object(c, h, OBJECT_GPU, g->path, a->words[0], &object);
        if (status == 0 && a->quiet && !a->json) {
                print_name(g->name);
                return 0;
        }

        if (status == 0)
                status = lookup_gpu_types(c, h, g->path);
        if (status == 0)
                status = lookup_gpu_vfs(c, g);
        if (status == 0 && !a->json)
                status = lookup_instances(c, h, g->path, LOOKUP_TABLE);
        if (status != 0)
                return status;

        if (a->json)
                show_json("gpu", OBJECT_GPU, g, NULL, NULL);
        else
                show_gpu(a, h, g);

        return 0;
}

/* The caller has read all properties of `i`. */
static int show_found_instance(Client *c, Host *h, const InstanceInfo *i)
{
        _cleanup_hand_over_ HandOver o = HAND_OVER_INIT;
        const Arguments *a = c->args;
        DefinitionInfo *d = NULL;
        int status;

        status = lookup_hand_over(c, i->path, &o);
        /* A foreign instance may have the UUID of a definition. While it exists, the definition cannot be
         * started. */
        if (status == 0 && (*i->definition || strcmp(i->origin, "foreign") == 0))
                status = lookup_definition_if_present(c, h, i->uuid, &d);
        if (status != 0)
                return status;

        if (a->json) {
                show_json("instance", OBJECT_INSTANCE, i, &o, d);
                return 0;
        }

        show_instance(a, i, &o);

        if (d) {
                (void)puts(d->differs ? "\nDefinition, edited since the start:" : "\nDefinition:");
                show_definition(a, d);
        }

        return 0;
}

static int show_find_definition(Client *c, Host *h, const char *uuid, DefinitionInfo **ret)
{
        const Arguments *a = c->args;
        DefinitionInfo *d;
        int status;

        status = lookup_definition_if_present(c, h, uuid, &d);
        *ret = d;
        if (status != 0 || !d)
                return status;

        if (a->json)
                show_json("definition", OBJECT_DEFINITION, d, NULL, NULL);
        else if (a->quiet)
                print_name(d->uuid);
        else
                show_definition(a, d);

        return 0;
}

/* Show the instance, or if it does not exist, the definition of the same UUID. */
static int show_find_instance(Client *c, Host *h, const InstanceInfo *i)
{
        const Arguments *a = c->args;
        DefinitionInfo *d;
        void *object;
        int status;

        status = lookup_object_if_present(c, h, OBJECT_INSTANCE, i->path, a->words[0], &object);
        if (status != 0)
                return status;

        if (!object) {
                status = show_find_definition(c, h, i->uuid, &d);

                return status == 0 && !d ? lookup_fail_absent(c, OBJECT_INSTANCE, a->words[0]) : status;
        }

        if (a->quiet && !a->json) {
                print_name(i->uuid);
                return 0;
        }

        return show_found_instance(c, h, object);
}

static int show_find_job(Client *c, Host *h, uint32_t id)
{
        const Arguments *a = c->args;
        JobInfo *j;
        int status;

        status = lookup_job(c, h, id, &j);
        if (status != 0)
                return status;

        if (a->json)
                show_json("job", OBJECT_JOB, j, NULL, NULL);
        else if (a->quiet)
                (void)printf("%" G_GUINT32_FORMAT "\n", j->id);
        else
                show_job(a, j);

        return 0;
}

static int show_find_word(Client *c, Host *h)
{
        const Arguments *a = c->args;
        DefinitionInfo *d;
        ObjectKind kind;
        void *object;
        int status;

        if (job_id_from_path(a->words[0]) != 0)
                return show_find_job(c, h, job_id_from_path(a->words[0]));

        status = lookup_word(c, h, a->words[0], FIND_GPU | FIND_INSTANCE | FIND_DEFINITION, &kind, &object);
        if (status != 0)
                return status;

        if (kind == OBJECT_GPU)
                return show_find_gpu(c, h, object);
        if (kind == OBJECT_INSTANCE)
                return show_find_instance(c, h, object);

        status = show_find_definition(c, h, ((const DefinitionInfo *)object)->uuid, &d);

        return status == 0 && !d ? lookup_fail_absent(c, OBJECT_DEFINITION, a->words[0]) : status;
}

static int show_run(const Arguments *a)
{
        _cleanup_host_ Host *h = host_new();
        _cleanup_client_ Client c = { 0 };
        uint32_t id = 0;
        int status;

        g_assert(a->n_words == 1 || a->n_words == 2);

        if (a->n_words == 2 && strcmp(a->words[0], "job") != 0)
                return fail_usage(a, "show takes one object, or \"job\" and a number");
        if (a->n_words == 2 && (parse_u32(a->words[1], 10, &id) < 0 || id == 0))
                return fail_usage(a, "show job needs the number of a job, not \"%s\"", a->words[1]);

        status = client_open(&c, a);
        if (status != 0)
                return status;

        return id > 0 ? show_find_job(&c, h, id) : show_find_word(&c, h);
}

const VerbInfo verb_show = {
        .name = "show",
        .words = "OBJECT",
        .least_words = 1,
        .most_words = 2,
        .run = show_run,
        .text = "Show a GPU, an instance, a definition, or \"job N\" in detail",
};
