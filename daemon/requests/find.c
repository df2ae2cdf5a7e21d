/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/requests/find.h"

#include <inttypes.h>
#include <string.h>

#include "base/parse-util.h"
#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/model/model.h"
#include "daemon/work/job-create.h"

static int compare_names(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The GPUs in the order of their names, so that nothing depends on a hash. */
static GPtrArray *sorted_gpu_names(Model *m)
{
        GPtrArray *names = g_ptr_array_new();
        GHashTableIter iter;
        gpointer name;

        g_hash_table_iter_init(&iter, m->gpus);
        while (g_hash_table_iter_next(&iter, &name, NULL))
                g_ptr_array_add(names, name);
        g_ptr_array_sort(names, compare_names);
        return names;
}

int request_find_gpu(Model *m, const char *what, Gpu **ret, VgpudError *reterr)
{
        g_autoptr(GPtrArray) names = sorted_gpu_names(m);
        const char *found = NULL;

        if (!what[0])
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "the name of a GPU is empty");
        if (g_hash_table_contains(m->gpus, what)) {
                *ret = model_get_gpu(m, what);
                return 0;
        }
        for (guint i = 0; i < names->len; i++) {
                const char *name = names->pdata[i];
                if (!g_str_has_prefix(name, what) && !g_str_has_suffix(name, what))
                        continue;
                if (found)
                        return vgpud_error_setf(reterr, VGPUD_ERROR_AMBIGUOUS, "\"%s\" could be GPU %s or %s",
                                                what, found, name);
                found = name;
        }
        if (!found)
                return vgpud_error_setf(reterr, VGPUD_ERROR_NO_SUCH_GPU, "there is no GPU \"%s\"", what);
        *ret = model_get_gpu(m, found);
        return 0;
}

VgpudErrorCode request_explain_record(Model *m, const Record *record, char **ret)
{
        const Gpu *gpu = model_get_gpu(m, record->gpu);

        if (!gpu && m->discovered) {
                *ret = g_strdup_printf("GPU %s, which is not there, or vgpud.conf does not admit it",
                                       record->gpu);
                return VGPUD_ERROR_GPU_GONE;
        }
        if (gpu && !gpu->driver) {
                *ret = g_strdup_printf("GPU %s, which offers no virtual GPUs: %s", record->gpu, gpu->reason);
                return VGPUD_ERROR_UNSUPPORTED;
        }
        if (!gpu || gpu->state == GPU_NEW || gpu_is_stale(gpu)) {
                *ret = g_strdup_printf("GPU %s, which has not answered yet%s%s", record->gpu,
                                       gpu && gpu->reason ? ": " : "", gpu && gpu->reason ? gpu->reason : "");
                return VGPUD_ERROR_GPU_STUCK;
        }
        *ret = g_strdup_printf("GPU %s, which did not show it when it was last looked at", record->gpu);
        return VGPUD_ERROR_NO_SUCH_INSTANCE;
}

static const Job *find_creating_job(Model *m, const char *uuid)
{
        GHashTableIter iter;
        const Job *job;

        g_hash_table_iter_init(&iter, m->jobs);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&job))
                if (job_creates(job, uuid))
                        return job;

        return NULL;
}

/* No instance of the model has this name or UUID: say whether a job or a record has it. */
static int find_explain_missing(Model *m, const char *what, VgpudError *reterr)
{
        char uuid[UUID_STRLEN + 1];
        g_autofree char *where = NULL;
        const Record *record;
        VgpudErrorCode code;
        const Job *job;

        if (!instance_name_is_valid(what) && !uuid_prefix_is_valid(what))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "\"%s\" is neither a UUID, nor the beginning of one, nor a name", what);

        record = records_find_name(m->records, what);
        if (!record && uuid_normalize(what, uuid) >= 0)
                record = records_get(m->records, uuid);
        if (!record)
                return vgpud_error_setf(reterr, VGPUD_ERROR_NO_SUCH_INSTANCE, "there is no instance \"%s\"",
                                        what);

        job = find_creating_job(m, record->uuid);
        if (job)
                return vgpud_error_setf(reterr, VGPUD_ERROR_NO_SUCH_INSTANCE,
                                        "instance %s is not there yet: job %" PRIu32
                                        " makes it on GPU %s; wait until it is",
                                        record->uuid, job->id, record->gpu);

        code = request_explain_record(m, record, &where);
        return vgpud_error_setf(reterr, code, "instance %s is on %s", record->uuid, where);
}

int request_find_instance(Model *m, const char *what, Instance **ret, VgpudError *reterr)
{
        g_autofree char *lower = g_ascii_strdown(what, -1);
        Instance *found = NULL, *instance;
        GHashTableIter iter;

        g_hash_table_iter_init(&iter, m->instances);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&instance)) {
                if (g_strcmp0(instance->name, what) == 0) {
                        *ret = instance;
                        return 0;
                }
                if (!what[0] || !g_str_has_prefix(instance->desc->uuid, lower))
                        continue;
                if (found)
                        return vgpud_error_setf(reterr, VGPUD_ERROR_AMBIGUOUS,
                                                "more than one instance begins with \"%s\": %s and %s", what,
                                                found->desc->uuid, instance->desc->uuid);
                found = instance;
        }
        if (!found)
                return find_explain_missing(m, what, reterr);

        *ret = found;
        return 0;
}

char *request_find_uuid(Model *m, const char *uuid)
{
        const Instance *instance = model_get_instance(m, uuid);
        const Record *record;
        const Job *job;

        if (instance)
                return g_strdup_printf(
                                "it is an instance of type %s on GPU %s%s%s",
                                instance->desc->type_id ? instance->desc->type_id : "(not known yet)",
                                gpu_name(instance->gpu),
                                strcmp(instance->desc->parent, gpu_name(instance->gpu)) != 0 ? ", parent " : "",
                                strcmp(instance->desc->parent, gpu_name(instance->gpu)) != 0
                                                ? instance->desc->parent
                                                : "");
        job = find_creating_job(m, uuid);
        if (job)
                return g_strdup_printf("job %" PRIu32 " is making it on GPU %s", job->id, job->gpu_name);
        /* The owner must not be forgotten while the GPU cannot be scanned. */
        record = records_get(m->records, uuid);
        if (record) {
                g_autofree char *where = NULL;
                (void)request_explain_record(m, record, &where);
                return g_strdup_printf("an instance of type %s has it, on %s", record->type_id, where);
        }
        return NULL;
}
