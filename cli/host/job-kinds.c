/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/host/job-kinds.h"

#include <string.h>

#include "cli/host/find.h"

typedef struct JobKindText {
        const char *name;
        const char *doing;
        const char *doing_none; /* used when the count is 0; may be NULL */
        char *(*object)(const JobInfo *j);
        char *(*target)(const JobInfo *j);
        const char *detail_title; /* NULL: `show` has no such line */
        char *(*detail)(const JobInfo *j);
} JobKindText;

/* Returns "?" for a detail that the daemon left out. */
static const char *job_detail_text(const char *text)
{
        return text ? text : "?";
}

static char *job_gpu_object(const JobInfo *j)
{
        return g_strdup(j->gpu_name);
}

static char *job_instance_target(const JobInfo *j)
{
        if (j->n_instances > 1)
                return g_strdup_printf("%" G_GUINT32_FORMAT " instances", j->n_instances);

        return j->instances[0] ? uuid_from_path(j->instances[0]) : NULL;
}

static char *job_create_detail(const JobInfo *j)
{
        return g_strdup(job_detail_text(j->details.type));
}

static char *job_create_target(const JobInfo *j)
{
        uint32_t n = j->n_instances;

        return n > 1 ? g_strdup_printf("%" G_GUINT32_FORMAT " of %s", n, job_detail_text(j->details.type))
                     : g_strdup(job_detail_text(j->details.type));
}

static char *job_create_object(const JobInfo *j)
{
        g_autofree char *target = job_create_target(j);

        return g_strdup_printf("%s on %s", target, j->gpu_name);
}

static char *job_destroy_object(const JobInfo *j)
{
        uint32_t n = j->n_instances;

        return n == 1 ? job_instance_target(j)
                      : g_strdup_printf("%" G_GUINT32_FORMAT " instances on %s", n, j->gpu_name);
}

static char *job_vfs_target(const JobInfo *j)
{
        return j->details.count > 0 ? g_strdup_printf("%" G_GINT64_FORMAT " VFs", j->details.count)
                                    : g_strdup("no VFs");
}

static char *job_vfs_object(const JobInfo *j)
{
        return j->details.count > 0 ? g_strdup_printf("%" G_GINT64_FORMAT " virtual functions of %s",
                                                      j->details.count, j->gpu_name)
                                    : g_strdup_printf("the virtual functions of %s", j->gpu_name);
}

static char *job_vfs_detail(const JobInfo *j)
{
        return g_strdup_printf("%" G_GINT64_FORMAT, MAX(j->details.count, 0));
}

static char *job_configure_target(const JobInfo *j)
{
        return g_strdup_printf("%s: %s", job_detail_text(j->details.mode), job_detail_text(j->details.value));
}

static char *job_configure_object(const JobInfo *j)
{
        return g_strdup_printf("%s of %s to %s", job_detail_text(j->details.mode), j->gpu_name,
                               job_detail_text(j->details.value));
}

static const JobKindText job_kind_texts[] = {
        { "create", "makes", NULL, job_create_object, job_create_target, "Type", job_create_detail },
        { "destroy", "removes", NULL, job_destroy_object, job_instance_target, NULL, NULL },
        { "rescan", "scans", NULL, job_gpu_object, job_instance_target, NULL, NULL },
        { "set-vfs", "enables", "disables", job_vfs_object, job_vfs_target, "VFs", job_vfs_detail },
        { "configure", "sets", NULL, job_configure_object, job_configure_target, "Mode", job_configure_target },
};

static const JobKindText *job_kind_text(const JobInfo *j)
{
        static const JobKindText other = { NULL, "works on", NULL, job_gpu_object, job_instance_target,
                                           NULL, NULL };

        for (size_t i = 0; i < G_N_ELEMENTS(job_kind_texts); i++)
                if (strcmp(job_kind_texts[i].name, j->kind) == 0)
                        return &job_kind_texts[i];

        return &other;
}

const char *job_doing(const JobInfo *j)
{
        const JobKindText *k = job_kind_text(j);

        return k->doing_none && j->details.count <= 0 ? k->doing_none : k->doing;
}

char *job_object(const JobInfo *j)
{
        return job_kind_text(j)->object(j);
}

char *job_target_text(const JobInfo *j)
{
        return job_kind_text(j)->target(j);
}

char *job_detail(const JobInfo *j, const char **ret_title)
{
        const JobKindText *k = job_kind_text(j);

        *ret_title = k->detail_title;

        return k->detail ? k->detail(j) : NULL;
}
