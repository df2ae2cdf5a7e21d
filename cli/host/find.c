/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/host/find.h"

#include <stdlib.h>
#include <string.h>

#include "base/parse-util.h"
#include "base/pci-addr.h"
#include "base/uuid.h"
#include "dbus/bus-names.h"

/* ---- order ---- */

static int host_compare_gpu_names(const char *a, const char *b)
{
        PciAddr x, y;
        bool a_is_pci = pci_addr_parse(a, &x) >= 0, b_is_pci = pci_addr_parse(b, &y) >= 0;

        if (a_is_pci && b_is_pci)
                return pci_addr_compare(&x, &y);
        if (a_is_pci != b_is_pci)
                return a_is_pci ? -1 : 1;

        return strcmp(a, b);
}

static int host_compare_gpus(const void *a, const void *b)
{
        const GpuInfo *x = *(const GpuInfo *const *)a, *y = *(const GpuInfo *const *)b;

        return host_compare_gpu_names(x->name, y->name);
}

static int host_compare_instances(const void *a, const void *b)
{
        const InstanceInfo *x = *(const InstanceInfo *const *)a, *y = *(const InstanceInfo *const *)b;
        int r = strcmp(x->gpu_name, y->gpu_name);

        if (r != 0)
                r = host_compare_gpu_names(x->gpu_name, y->gpu_name);

        return r != 0 ? r : strcmp(x->uuid, y->uuid);
}

static int host_compare_definitions(const void *a, const void *b)
{
        return strcmp((*(const DefinitionInfo *const *)a)->uuid, (*(const DefinitionInfo *const *)b)->uuid);
}

static int host_compare_jobs(const void *a, const void *b)
{
        const JobInfo *x = *(const JobInfo *const *)a, *y = *(const JobInfo *const *)b;

        return x->id < y->id ? -1 : x->id > y->id;
}

void host_sort(Host *h)
{
        g_ptr_array_sort(h->objects[OBJECT_GPU], host_compare_gpus);
        g_ptr_array_sort(h->objects[OBJECT_INSTANCE], host_compare_instances);
        g_ptr_array_sort(h->objects[OBJECT_DEFINITION], host_compare_definitions);
        g_ptr_array_sort(h->objects[OBJECT_JOB], host_compare_jobs);
}

/* ---- finding ---- */

void *host_find_path(const Host *h, ObjectKind kind, const char *path)
{
        g_assert(kind >= 0 && kind < _OBJECT_KIND_MAX);

        for (unsigned i = 0; i < h->objects[kind]->len; i++) {
                char **object = g_ptr_array_index(h->objects[kind], i);

                if (strcmp(*object, path) == 0)
                        return object;
        }

        return NULL;
}

InstanceInfo *host_find_instance(const Host *h, const char *uuid)
{
        for (unsigned i = 0; i < host_n(h, OBJECT_INSTANCE); i++)
                if (strcmp(host_instance(h, i)->uuid, uuid) == 0)
                        return host_instance(h, i);

        return NULL;
}

JobInfo *host_find_job(const Host *h, uint32_t id)
{
        g_assert(id > 0);

        for (unsigned i = 0; i < host_n(h, OBJECT_JOB); i++)
                if (host_job(h, i)->id == id)
                        return host_job(h, i);

        return NULL;
}

/* Rate how well the word fits the GPU. 2: the whole name, or the address in another form; 1: a beginning or an
 * end of the name; 0: not at all. */
static int gpu_fits(const GpuInfo *g, const char *word)
{
        g_autofree char *name = pci_addr_to_name(word);

        if (strcmp(g->name, name ? name : word) == 0 || strcmp(g->path, word) == 0)
                return 2;

        return *word && (g_str_has_prefix(g->name, word) || g_str_has_suffix(g->name, word)) ? 1 : 0;
}

/* Rate how well the word fits an instance or a definition. 2: the whole name or UUID; 1: a beginning of the
 * UUID; 0: not at all. */
static int uuid_or_name_fits(const char *uuid, const char *name, const char *word)
{
        if ((*name && strcmp(name, word) == 0) || g_ascii_strcasecmp(uuid, word) == 0)
                return 2;

        return uuid_prefix_is_valid(word) && g_ascii_strncasecmp(uuid, word, strlen(word)) == 0 ? 1 : 0;
}

static int instance_fits(const InstanceInfo *i, const char *word)
{
        return strcmp(i->path, word) == 0 ? 2 : uuid_or_name_fits(i->uuid, i->name, word);
}

/* A definition and its instance count as one candidate, the instance. If only the name of the definition fits,
 * the definition is the candidate: after `edit`, the instance keeps its old name until the next start. */
static int definition_fits(const Host *h, unsigned flags, const DefinitionInfo *d, const char *word)
{
        const InstanceInfo *i = NULL;
        int fit = uuid_or_name_fits(d->uuid, d->name, word);

        if (fit > 0 && (flags & FIND_INSTANCE))
                i = host_find_instance(h, d->uuid);

        return i && instance_fits(i, word) >= fit ? 0 : fit;
}

/* The objects that fit best so far. */
typedef struct Candidates {
        GPtrArray *objects; /* borrowed */
        GString *names;
        ObjectKind kind; /* the kind of the last object */
        int fit;
} Candidates;

#define CANDIDATE_NAMES 8 /* listed in a message */

static void candidates_add(Candidates *c, ObjectKind kind, void *object, const char *name, int fit)
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

        if (c->objects->len <= CANDIDATE_NAMES)
                g_string_append_printf(c->names, "%s%s", c->objects->len > 1 ? ", " : "", name);
        else if (c->objects->len == CANDIDATE_NAMES + 1)
                g_string_append(c->names, ", \u2026");
}

/* True if the beginning of a UUID is so short that it is likely a typing error. */
static bool prefix_is_short(const char *word)
{
        unsigned digits = 0;

        for (const char *p = word; *p; p++)
                digits += *p != '-';

        return digits < 4;
}

/* Several objects fit the word. */
static void candidates_fail(const Candidates *c, const char *word, ErrorInfo *ret_error)
{
        g_autofree char *message = g_strdup_printf("\"%s\" matches several objects: %s", word, c->names->str);

        error_info_set(ret_error, VGPUD_ERROR_AMBIGUOUS, message);
        if (c->fit == 2) /* the word is a whole name, so more digits of a UUID do not help */
                error_info_set_hint(ret_error, VGPUD_HINT_CHOOSE_OTHER,
                                    "use the UUID, or for a GPU the object path, instead of the name");
}

/* No object fits the word. */
static void find_fail_absent(const char *word, unsigned flags, ErrorInfo *ret_error)
{
        VgpudErrorCode code = flags & FIND_INSTANCE ? VGPUD_ERROR_NO_SUCH_INSTANCE
                              : flags & FIND_GPU    ? VGPUD_ERROR_NO_SUCH_GPU
                                                    : VGPUD_ERROR_NO_SUCH_DEFINITION;
        const char *what = !(flags & FIND_INSTANCE) ? flags & FIND_GPU ? "GPU" : "definition"
                           : flags & FIND_GPU       ? "instance and no GPU"
                                                    : "instance";
        g_autofree char *message = g_strdup_printf("There is no %s \"%s\"", what, word);

        error_info_set(ret_error, code, message);
}

static void find_fail_short(const char *word, ErrorInfo *ret_error)
{
        g_autofree char *message = g_strdup_printf(
                        "\"%s\" is not a whole name, and too short for the beginning of a UUID", word);

        error_info_set(ret_error, VGPUD_ERROR_INVALID, message);
        error_info_set_hint(ret_error, VGPUD_HINT_LONGER_PREFIX,
                            "use at least 4 digits of the UUID, or the whole name");
}

void *host_find(const Host *h, const char *word, unsigned flags, ObjectKind *ret_kind, ErrorInfo *ret_error)
{
        g_autoptr(GPtrArray) objects = g_ptr_array_new();
        g_autoptr(GString) names = g_string_new(NULL);
        Candidates c = { .objects = objects, .names = names, .kind = _OBJECT_KIND_INVALID };

        g_assert(flags & (FIND_GPU | FIND_INSTANCE | FIND_DEFINITION));

        for (unsigned i = 0; (flags & FIND_GPU) && i < host_n(h, OBJECT_GPU); i++)
                candidates_add(&c, OBJECT_GPU, host_gpu(h, i), host_gpu(h, i)->name,
                               gpu_fits(host_gpu(h, i), word));

        for (unsigned i = 0; (flags & FIND_INSTANCE) && i < host_n(h, OBJECT_INSTANCE); i++)
                candidates_add(&c, OBJECT_INSTANCE, host_instance(h, i), host_instance(h, i)->uuid,
                               instance_fits(host_instance(h, i), word));

        for (unsigned i = 0; (flags & FIND_DEFINITION) && i < host_n(h, OBJECT_DEFINITION); i++)
                candidates_add(&c, OBJECT_DEFINITION, host_definition(h, i), host_definition(h, i)->uuid,
                               definition_fits(h, flags, host_definition(h, i), word));

        if ((flags & FIND_NO_SHORT) && c.fit < 2 && uuid_prefix_is_valid(word) && prefix_is_short(word)) {
                find_fail_short(word, ret_error);
                return NULL;
        }

        if (objects->len == 1) {
                *ret_kind = c.kind;
                return objects->pdata[0];
        }

        if (objects->len > 1)
                candidates_fail(&c, word, ret_error);
        else
                find_fail_absent(word, flags, ret_error);

        return NULL;
}

bool word_is_whole(const char *word)
{
        return uuid_is_valid(word) || (word[0] == '/' && sd_bus_object_path_is_valid(word) > 0);
}

/* ---- paths ---- */

char *uuid_from_path(const char *path)
{
        if (!g_str_has_prefix(path, VGPUD_PATH_INSTANCE "/"))
                return NULL;

        return g_strdelimit(g_strdup(path + strlen(VGPUD_PATH_INSTANCE "/")), "_", '-');
}

char *instance_path_from_uuid(const char *uuid)
{
        g_autofree char *lower = g_ascii_strdown(uuid, -1);

        g_assert(uuid_is_valid(uuid));

        return g_strconcat(VGPUD_PATH_INSTANCE "/", g_strdelimit(lower, "-", '_'), NULL);
}

char *gpu_name_from_path(const char *path)
{
        char *name, *copy;

        if (sd_bus_path_decode(path, VGPUD_PATH_GPU, &name) <= 0)
                return g_strdup("");

        copy = g_strdup(name);
        free(name);

        return copy;
}

char *gpu_path_from_name(const char *name)
{
        char *path = NULL, *copy;
        int r;

        r = sd_bus_path_encode(VGPUD_PATH_GPU, name, &path);
        g_assert(r >= 0 && path); /* fails only for a malformed prefix or without memory */

        copy = g_strdup(path);
        free(path);

        return copy;
}

uint32_t job_id_from_path(const char *path)
{
        uint32_t id;

        if (!g_str_has_prefix(path, VGPUD_PATH_JOB "/") ||
            parse_u32(path + strlen(VGPUD_PATH_JOB "/"), 10, &id) < 0)
                return 0;

        return id;
}
