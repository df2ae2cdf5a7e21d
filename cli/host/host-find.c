/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The order of objects, and finding them by path, by number, and by what a person typed. */

#include "cli/host/host-find.h"

#include <string.h>

#include "base/parse-util.h"
#include "base/pci-addr.h"
#include "base/uuid.h"
#include "cli/output/errors.h"
#include "dbus/bus-names.h"

/* ---- order ---- */

static int compare_gpu_names(const char *a, const char *b)
{
        PciAddr x, y;
        bool a_is_pci = pci_addr_parse(a, &x) >= 0, b_is_pci = pci_addr_parse(b, &y) >= 0;

        if (a_is_pci && b_is_pci)
                return pci_addr_compare(&x, &y);
        if (a_is_pci != b_is_pci)
                return a_is_pci ? -1 : 1;

        return strcmp(a, b);
}

static int compare_gpus(const void *a, const void *b)
{
        const GpuInfo *x = *(const GpuInfo *const *)a, *y = *(const GpuInfo *const *)b;

        return compare_gpu_names(x->name, y->name);
}

static int compare_instances(const void *a, const void *b)
{
        const InstanceInfo *x = *(const InstanceInfo *const *)a, *y = *(const InstanceInfo *const *)b;
        int r = strcmp(x->gpu_name, y->gpu_name);

        if (r != 0)
                r = compare_gpu_names(x->gpu_name, y->gpu_name);

        return r != 0 ? r : strcmp(x->uuid, y->uuid);
}

static int compare_jobs(const void *a, const void *b)
{
        const JobInfo *x = *(const JobInfo *const *)a, *y = *(const JobInfo *const *)b;

        return x->id < y->id ? -1 : x->id > y->id;
}

void host_sort(Host *h)
{
        g_ptr_array_sort(h->objects[OBJECT_GPU], compare_gpus);
        g_ptr_array_sort(h->objects[OBJECT_INSTANCE], compare_instances);
        g_ptr_array_sort(h->objects[OBJECT_JOB], compare_jobs);
}

/* ---- finding ---- */

void *host_find_path(const Host *h, ObjectKind kind, const char *path)
{
        for (unsigned i = 0; i < h->objects[kind]->len; i++) {
                char **object = g_ptr_array_index(h->objects[kind], i);

                if (strcmp(*object, path) == 0)
                        return object;
        }

        return NULL;
}

void host_remove_path(Host *h, ObjectKind kind, const char *path)
{
        void *object = host_find_path(h, kind, path);

        if (object)
                g_ptr_array_remove(h->objects[kind], object);
}

JobInfo *host_find_job(const Host *h, uint32_t id)
{
        for (unsigned i = 0; i < host_n(h, OBJECT_JOB); i++)
                if (host_job(h, i)->id == id)
                        return host_job(h, i);

        return NULL;
}

/* How well a GPU fits what was typed: 2 exactly, 1 begins or ends so, 0 not at all; as the daemon has it. */
static int gpu_fits(const GpuInfo *g, const char *what)
{
        if (strcmp(g->name, what) == 0)
                return 2;

        return *what && (g_str_has_prefix(g->name, what) || g_str_has_suffix(g->name, what)) ? 1 : 0;
}

static int instance_fits(const InstanceInfo *i, const char *what)
{
        if ((*i->name && strcmp(i->name, what) == 0) || g_ascii_strcasecmp(i->uuid, what) == 0)
                return 2;

        return uuid_prefix_is_valid(what) && g_ascii_strncasecmp(i->uuid, what, strlen(what)) == 0 ? 1 : 0;
}

/* Collects candidates; an exact one pushes those away that only begin so. */
typedef struct Candidates {
        GPtrArray *objects; /* borrowed */
        GString *names;
        ObjectKind kind; /* of the last one */
        int fit;
} Candidates;

static void candidate(Candidates *c, ObjectKind kind, void *object, const char *name, int fit)
{
        if (fit == 0 || fit < c->fit)
                return;

        if (fit > c->fit) {
                g_ptr_array_set_size(c->objects, 0);
                g_string_truncate(c->names, 0);
        }

        c->fit = fit;
        c->kind = kind;
        g_ptr_array_add(c->objects, object);

        if (c->objects->len <= 8)
                g_string_append_printf(c->names, "%s%s", c->objects->len > 1 ? ", " : "", name);
        else if (c->objects->len == 9)
                g_string_append(c->names, ", \u2026");
}

static void *find(const Host *h, const Arguments *a, const char *what, bool gpus, bool instances,
                  ObjectKind *ret_kind, int *status)
{
        g_autoptr(GPtrArray) objects = g_ptr_array_new();
        g_autoptr(GString) names = g_string_new(NULL);
        Candidates c = { .objects = objects, .names = names, .kind = _OBJECT_KIND_INVALID };

        for (unsigned i = 0; gpus && i < host_n(h, OBJECT_GPU); i++)
                candidate(&c, OBJECT_GPU, host_gpu(h, i), host_gpu(h, i)->name, gpu_fits(host_gpu(h, i), what));
        for (unsigned i = 0; instances && i < host_n(h, OBJECT_INSTANCE); i++)
                candidate(&c, OBJECT_INSTANCE, host_instance(h, i), host_instance(h, i)->uuid,
                          instance_fits(host_instance(h, i), what));

        if (objects->len == 1) {
                *ret_kind = c.kind;
                return objects->pdata[0];
        }

        if (!a)
                return NULL;

        if (objects->len > 1)
                *status = fail(a, VGPUD_ERROR_AMBIGUOUS, what, "\"%s\" may be any of %s", what, names->str);
        else if (!instances)
                *status = fail(a, VGPUD_ERROR_NO_SUCH_GPU, what, "There is no GPU \"%s\"", what);
        else
                *status = fail(a, VGPUD_ERROR_NO_SUCH_INSTANCE, what, "There is no instance and no GPU \"%s\"",
                               what);

        return NULL;
}

GpuInfo *host_find_gpu(const Host *h, const Arguments *a, const char *what, int *status)
{
        ObjectKind kind;

        return find(h, a, what, true, false, &kind, status);
}

InstanceInfo *host_find_instance(const Host *h, const char *what)
{
        ObjectKind kind;

        return find(h, NULL, what, false, true, &kind, NULL);
}

void *host_find_object(const Host *h, const Arguments *a, const char *what, ObjectKind *ret_kind, int *status)
{
        return find(h, a, what, true, true, ret_kind, status);
}

char *uuid_from_path(const char *path)
{
        const char *last = g_str_has_prefix(path, VGPUD_PATH_INSTANCE "/")
                                           ? path + strlen(VGPUD_PATH_INSTANCE "/")
                                           : NULL;

        return last ? g_strdelimit(g_strdup(last), "_", '-') : NULL;
}

uint32_t job_id_from_path(const char *path)
{
        uint32_t id;

        if (!g_str_has_prefix(path, VGPUD_PATH_JOB "/") ||
            parse_u32(path + strlen(VGPUD_PATH_JOB "/"), 10, &id) < 0)
                return 0;

        return id;
}
