/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* show: all about one object, one value per line, and what can be pasted elsewhere as it is. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse-util.h"
#include "cli/client/client.h"
#include "cli/host/fields.h"
#include "cli/host/host-find.h"
#include "cli/host/host-json.h"
#include "cli/host/job-kinds.h"
#include "cli/host/report.h"
#include "cli/output/errors.h"
#include "cli/output/format.h"
#include "cli/output/json.h"
#include "cli/output/table.h"
#include "cli/output/terminal.h"
#include "cli/verbs/verbs.h"

/* "      Key: value", and one more of the same when the key is ""; left out when the value is NULL or empty.
 * Frees the value. */
static void line(const char *key, char *value, Tone tone)
{
        if (value && *value) {
                g_autofree char *printable = format_printable(value);

                (void)printf("%14s%c %s%s%s\n", key, *key ? ':' : ' ', tone_begin(tone), printable,
                             tone_end(tone));
        }

        g_free(value);
}

static void line_copy(const char *key, const char *value)
{
        line(key, g_strdup(value), TONE_PLAIN);
}

/* A sentence, which may be long. */
static void line_text(const char *key, const char *text)
{
        g_autofree char *head = g_strdup_printf("%14s:", key);

        if (*text)
                print_hanging(16, head, text);
}

static void line_number(const char *key, int64_t value)
{
        line(key, format_number(value), TONE_PLAIN);
}

static void line_moment(const char *key, uint64_t usec)
{
        g_autofree char *moment = NULL, *age = NULL;

        if (usec == 0)
                return;

        moment = format_moment(usec);
        age = format_age(usec);
        line(key, g_strdup_printf("%s (%s ago)", moment, age), TONE_PLAIN);
}

static char *user_text(const Arguments *a, uint32_t uid)
{
        g_autofree char *name = format_user(a, uid);

        if (!name)
                return NULL;

        if (a->host)
                return g_strdup_printf("user %s", name);

        return g_strdup_printf("%s (user %" G_GUINT32_FORMAT ")", name, uid);
}

static char *link_text(const char *speed, uint32_t width)
{
        if (!*speed && width == 0)
                return NULL;

        if (width == 0)
                return g_strdup(speed);

        return g_strdup_printf("%s%sx%" G_GUINT32_FORMAT, speed, *speed ? ", " : "", width);
}

/* NVIDIA's GPUs from before Ampere advertise virtual functions, and have their mediated types on themselves. */
static bool vfs_are_never_made(const GpuInfo *g)
{
        return g->enabled_vfs == 0 && g->parents && g_strv_contains((const char *const *)g->parents, g->name);
}

static void show_gpu_pci(const GpuInfo *g)
{
        g_autofree char *most = link_text(g->link_speed_max, g->link_width_max);
        char *now = link_text(g->link_speed, g->link_width);

        if (g->vendor_id != 0) {
                line("PCI id", g_strdup_printf("%04x:%04x", g->vendor_id, g->device_id), TONE_PLAIN);
                if (g->subsystem_vendor_id != 0)
                        line("PCI subsystem",
                             g_strdup_printf("%04x:%04x", g->subsystem_vendor_id, g->subsystem_device_id),
                             TONE_PLAIN);

                line("PCI class", g_strdup_printf("%06" G_GINT32_MODIFIER "x", g->class), TONE_PLAIN);
        } else
                line_copy("Subsystem", g->subsystem);

        if (now && most && strcmp(now, most) != 0)
                line("PCIe link", g_strdup_printf("%s (at most %s)", now, most), TONE_PLAIN);
        else
                line_copy("PCIe link", now);

        g_free(now);
        if (g->total_vfs > 0 || g->enabled_vfs > 0)
                line("VFs",
                     g_strdup_printf("%" G_GUINT32_FORMAT " of %" G_GUINT32_FORMAT "%s", g->enabled_vfs,
                                     g->total_vfs,
                                     vfs_are_never_made(g)
                                                     ? "; none is ever made, its vGPUs are on the GPU itself"
                                                     : ""),
                     TONE_PLAIN);
}

static void type_line(const char *key, const char *text)
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
        if (t->device_api && *t->device_api)
                g_string_append_printf(s, ", %s", t->device_api);
        (void)puts(s->str);
        g_string_free(s, true);

        if (t->why_not && !type_waits_for_gpu(g, t))
                print_wrapped(4, t->available > 0 ? "no more, because:" : "why:", t->why_not);
        if (t->earlier_name)
                print_wrapped(4, "careful: when vgpud saw this id before it was", t->earlier_name);
        if (t->key)
                type_line("key", t->key);
        if (t->description && *t->description) {
                g_autofree char *stripped = g_strstrip(g_strdup(t->description));
                g_auto(GStrv) lines = g_strsplit(stripped, "\n", -1);
                g_autofree char *text = g_strjoinv("; ", lines);

                type_line("driver", text);
        }
}

/* Who has it, and for whom it is kept where that is not the same. NULL: nobody, or not known. */
static char *vf_driver_text(const VfInfo *vf)
{
        if (!*vf->override || (strcmp(vf->override, vf->driver) == 0 && strcmp(vf->instance, "/") != 0))
                return *vf->driver ? g_strdup(vf->driver) : NULL;
        if (!*vf->driver)
                return g_strdup_printf("reserved for %s", vf->override);

        if (strcmp(vf->override, vf->driver) == 0)
                return g_strdup_printf("%s (reserved)", vf->driver);

        return g_strdup_printf("%s (reserved for %s)", vf->driver, vf->override);
}

/* Not all back ends look at the drivers of virtual functions. */
static bool vf_drivers_are_known(const GpuInfo *g)
{
        for (unsigned i = 0; i < g->vfs->len; i++) {
                const VfInfo *vf = g->vfs->pdata[i];

                if (*vf->driver || *vf->override)
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
        bool drivers = vf_drivers_are_known(g);
        _cleanup_table_ Table *t = drivers ? table_new(with_driver, G_N_ELEMENTS(with_driver))
                                           : table_new(without, G_N_ELEMENTS(without));

        for (unsigned i = 0; i < g->vfs->len; i++) {
                const VfInfo *vf = g->vfs->pdata[i];
                const InstanceInfo *on_it = host_find_path(h, OBJECT_INSTANCE, vf->instance);

                table_take(t, format_number(vf->index), TONE_PLAIN);
                table_add(t, vf->name, TONE_PLAIN);

                if (drivers)
                        table_take(t, vf_driver_text(vf), TONE_PLAIN);
                table_take(t, uuid_from_path(vf->instance), TONE_PLAIN);
                table_add(t, on_it ? on_it->type : NULL, TONE_PLAIN);
        }

        (void)puts("\nVirtual functions:");
        table_print(t, 4, a->legend);
}

/* Worth a line when they are not the GPU itself, or what is listed as its virtual functions anyway. */
static bool parents_are_news(const GpuInfo *g)
{
        for (char **p = g->parents; *p; p++)
                if (strcmp(*p, g->name) != 0 && !gpu_has_vf(g, *p))
                        return true;

        return false;
}

static void show_gpu(const Arguments *a, const Host *h, const GpuInfo *g)
{
        unsigned n_instances = 0;

        line_copy("GPU", g->name);
        line("Device", gpu_title(g), TONE_PLAIN);
        line("State", gpu_state_text(g), gpu_state_tone(g));
        line_text("Reason", g->reason);
        line("Driver", g_strdup(*g->driver ? g->driver : g->vendor_id != 0 ? "none" : ""), TONE_PLAIN);
        line_copy("Managed as", g->back_end);
        show_gpu_pci(g);
        line_number("NUMA node", g->numa_node);
        line_number("IOMMU group", g->iommu_group);

        if (g->boot_display)
                line_copy("Boot display", "yes");
        if (parents_are_news(g))
                line("Parents", g_strjoinv(" ", g->parents), TONE_PLAIN);
        line_copy("Path", g->sysfs_path);
        line_moment("Looked at", g->scanned_usec);

        if (job_id_from_path(g->job) != 0)
                line("Job",
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
                        show_type(g, g->types->pdata[i]);
        }

        print_type_options(g, "\nOptions of create (--attr):", 4);
}

/* As one word for a shell, quoted only when it has to be. */
static char *shell_word(const char *word)
{
        for (const char *p = word; *p; p++)
                if (!g_ascii_isalnum(*p) && !strchr("-_./,:=@%+", *p))
                        return g_shell_quote(word);

        return *word ? g_strdup(word) : g_strdup("''");
}

static void show_hand_over(const HandOver *o)
{
        line_copy("Group node", o->group_node);
        line_copy("VFIO node", o->cdev_node);

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
                        g_autofree char *word = shell_word(*p), *printable = format_printable(word);

                        (void)printf(" %s", printable);
                }

                (void)putchar('\n');
        }
}

static void show_instance(const Arguments *a, const InstanceInfo *i)
{
        bool foreign = strcmp(i->origin, "foreign") == 0;

        line_copy("UUID", i->uuid);
        line_copy("Name", i->name);
        line("Type",
             *i->type_name && strcmp(i->type_name, i->type) != 0
                             ? g_strdup_printf("%s (%s)", i->type, i->type_name)
                             : g_strdup(i->type),
             TONE_PLAIN);
        line("State",
             g_strdup(strcmp(i->state, "incomplete") == 0
                                      ? "incomplete (of no use; vgpuctl destroy removes what there is of it)"
                                      : i->state),
             instance_state_tone(i));
        line("Origin", g_strdup(foreign ? "foreign (vgpud did not make it)" : i->origin),
             foreign ? TONE_WARN : TONE_PLAIN);
        line("Owner", user_text(a, i->owner), TONE_PLAIN);
        line_moment("Created", i->created_usec);
        line_copy("GPU", i->gpu_name);

        if (strcmp(i->parent, i->gpu_name) != 0)
                line_copy("Parent", i->parent);
        line_copy("Slot", i->slot);
        for (unsigned n = 0; n < i->attributes->len; n++) {
                const PairInfo *attribute = i->attributes->pdata[n];

                line(n == 0 ? "Options" : "", g_strdup_printf("%s = %s", attribute->name, attribute->text),
                     TONE_PLAIN);
        }

        line_copy("Interface", i->device_api);
        line("Driver", g_strdup(*i->driver ? i->driver : "none"), *i->driver ? TONE_PLAIN : TONE_WARN);
        line_copy("Path", i->sysfs_path);

        if (i->hand_over.sysfs_path && strcmp(i->hand_over.sysfs_path, i->sysfs_path) != 0)
                line_copy("Link", i->hand_over.sysfs_path);
        line_number("IOMMU group", i->iommu_group);
        if (job_id_from_path(i->job) != 0)
                line_number("Job", job_id_from_path(i->job));
        show_hand_over(&i->hand_over);
}

static void show_job(const Arguments *a, const JobInfo *j)
{
        const char *title;
        char *detail;

        line_number("Job", j->id);
        line_copy("Kind", j->kind);
        line("State", g_strdup(j->state), job_state_tone(j));
        line_copy("GPU", j->gpu);
        detail = job_detail(j, &title);
        line(title, detail, TONE_PLAIN);

        for (char **p = j->instances; *p; p++)
                line(p == j->instances ? "Instances" : "", uuid_from_path(*p), TONE_PLAIN);
        line("Asked by", user_text(a, j->requester), TONE_PLAIN);
        line_moment("Asked", j->created_usec);
        line_moment("Began", j->started_usec);
        line("May take", format_duration(j->timeout_usec), TONE_PLAIN);
}

int verb_show(const Arguments *a)
{
        _cleanup_client_ Client c = { 0 };
        _cleanup_host_ Host *h = NULL;
        ObjectKind kind = OBJECT_JOB;
        void *object;
        uint32_t id = 0;
        int status;

        if (a->n_words == 2 && strcmp(a->words[0], "job") != 0)
                return fail_usage(a, "show takes one object, or \"job\" and a number");
        if (a->n_words == 2 && (parse_u32(a->words[1], 10, &id) < 0 || id == 0))
                return fail_usage(a, "show job needs the number of a job, not \"%s\"", a->words[1]);

        status = client_open(&c, a);
        if (status == 0)
                status = client_get_host(&c, &h);
        if (status != 0)
                return status;

        object = id > 0 ? host_find_job(h, id) : host_find_object(h, a, a->words[0], &kind, &status);
        if (!object && id > 0)
                return fail(a, VGPUD_ERROR_NO_SUCH_JOB, a->words[1], "There is no job %s, or it has ended",
                            a->words[1]);
        if (!object)
                return status;

        if (a->json) {
                Json j = json_new(false);

                json_object(&j, NULL);
                json_object_info(&j, object_kind_to_string(kind), kind, object);
                json_object_end(&j);
                json_print(&j, stdout);
        } else if (a->quiet) {
                if (kind == OBJECT_JOB)
                        (void)printf("%" G_GUINT32_FORMAT "\n", ((const JobInfo *)object)->id);
                else
                        (void)puts(kind == OBJECT_GPU ? ((const GpuInfo *)object)->name
                                                      : ((const InstanceInfo *)object)->uuid);
        } else if (kind == OBJECT_GPU)
                show_gpu(a, h, object);
        else if (kind == OBJECT_INSTANCE)
                show_instance(a, object);
        else
                show_job(a, object);

        return 0;
}
