/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is asked of the model: is it possible, is there room for it in the queue, and the job that does it. */

#include "daemon/manager.h"

#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "daemon/manager-private.h"

#define CREATE_COUNT_MAX 1024

DEFINE_DESTROY_NOTIFY(attribute_destroy, vgpu_attribute_free)

/* A GPU can be given work: not stuck, with a back end, looked at at least once. */
static int check_driven(const Gpu *gpu, VgpudError *reterr)
{
        if (!gpu->driver)
                return vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED, "GPU %s offers no virtual GPUs: %s",
                                        gpu_name(gpu), gpu->reason);
        if (gpu->state == GPU_STUCK)
                return vgpud_error_setf(reterr, VGPUD_ERROR_GPU_STUCK,
                                        "GPU %s takes no work: %s; if it does not come back, only a reset of "
                                        "the GPU or of the host helps",
                                        gpu_name(gpu), gpu->reason);
        if (!gpu->snapshot)
                return vgpud_error_setf(reterr, VGPUD_ERROR_FAILED, "GPU %s could not be looked at yet%s%s",
                                        gpu_name(gpu), gpu->reason ? ": " : "", gpu->reason ? gpu->reason : "");
        return 0;
}

/* It can also be asked for instances. */
int manager_check_gpu(const Gpu *gpu, VgpudError *reterr)
{
        int r = check_driven(gpu, reterr);

        if (r < 0)
                return r;
        if (gpu->state == GPU_UNPREPARED)
                return vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED,
                                        "GPU %s offers no virtual GPUs yet: %s", gpu_name(gpu), gpu->reason);
        return 0;
}

VgpudErrorCode manager_explain_record(Manager *m, const Record *record, char **ret)
{
        const Gpu *gpu = manager_get_gpu(m, record->gpu);

        if (!gpu && m->inventory_known) {
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

/* Where a UUID is taken, in words; NULL when it is free. */
static char *find_uuid(Manager *m, const char *uuid)
{
        const Instance *instance = manager_get_instance(m, uuid);
        const Record *record;
        GHashTableIter iter;
        Job *job;

        if (instance)
                return g_strdup_printf(
                                "it is an instance of type %s on GPU %s%s%s",
                                instance->desc->type_id ? instance->desc->type_id : "(not known yet)",
                                gpu_name(instance->gpu),
                                strcmp(instance->desc->parent, gpu_name(instance->gpu)) != 0 ? ", parent " : "",
                                strcmp(instance->desc->parent, gpu_name(instance->gpu)) != 0
                                                ? instance->desc->parent
                                                : "");
        g_hash_table_iter_init(&iter, m->jobs);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&job))
                if (job_makes(job, uuid))
                        return g_strdup_printf("job %" PRIu32 " is making it on GPU %s", job->id,
                                               job->gpu_name);
        /* Whose it is must not be forgotten while its GPU cannot be looked at. */
        record = records_get(m->records, uuid);
        if (record) {
                g_autofree char *where = NULL;
                (void)manager_explain_record(m, record, &where);
                return g_strdup_printf("an instance of type %s has it, on %s", record->type_id, where);
        }
        return NULL;
}

static int check_names(Manager *m, const CreateRequest *request, VgpudError *reterr)
{
        char uuid[UUID_STRLEN + 1];
        const Record *record;

        if (request->count < 1 || request->count > CREATE_COUNT_MAX)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "the count is %" PRIu32 ", not 1 to %d",
                                        request->count, CREATE_COUNT_MAX);
        if (request->count > 1 && (request->uuid || request->name))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "a UUID or a name can be given to one instance only, not to %" PRIu32,
                                        request->count);
        if (request->uuid) {
                if (uuid_normalize(request->uuid, uuid) < 0)
                        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                                "\"%s\" is not a UUID (8-4-4-4-12 hexadecimal digits)",
                                                request->uuid);
                if (uuid_is_nil(uuid))
                        return vgpud_error_setf(
                                        reterr, VGPUD_ERROR_INVALID,
                                        "%s is the UUID that means none; give another, or none at all to "
                                        "have one made up",
                                        uuid);
                g_autofree char *where = find_uuid(m, uuid);
                if (where)
                        return vgpud_error_setf(reterr, VGPUD_ERROR_EXISTS, "UUID %s is taken: %s", uuid,
                                                where);
        }
        if (request->name) {
                if (!instance_name_is_valid(request->name))
                        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                                "\"%s\" is not a name: 1 to 64 letters, digits, \"_\", \".\" "
                                                "and \"-\", beginning with a letter, and not what a UUID may "
                                                "begin with (hexadecimal digits only)",
                                                request->name);
                if (manager_get_gpu(m, request->name))
                        return vgpud_error_setf(reterr, VGPUD_ERROR_EXISTS, "the name \"%s\" is that of a GPU",
                                                request->name);
                record = records_find_name(m->records, request->name);
                if (record)
                        return vgpud_error_setf(reterr, VGPUD_ERROR_EXISTS,
                                                "the name \"%s\" is taken by instance %s", request->name,
                                                record->uuid);
        }
        return 0;
}

int manager_resolve_create(Manager *m, const CreateRequest *request, Gpu **ret_gpu, const VgpuType **ret_type,
                           VgpudError *reterr)
{
        const VgpuType *type;
        Gpu *gpu;
        int r;

        r = check_names(m, request, reterr);
        if (r < 0)
                return r;
        r = vgpu_attributes_check(request->attributes, reterr);
        if (r < 0)
                return r;
        if (!request->gpu || !request->gpu[0]) {
                if (request->parent)
                        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                                "a parent can be chosen only with its GPU");
                return place_resolve(m, request, ret_gpu, ret_type, reterr);
        }
        if (request->hints)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "strategy, NUMA node, device to be near to and pool are for choosing a "
                                        "GPU; one is named already");
        r = manager_find_gpu(m, request->gpu, &gpu, reterr);
        if (r < 0)
                return r;
        r = manager_check_gpu(gpu, reterr);
        if (r < 0)
                return r;
        type = gpu_snapshot_find_type(gpu->snapshot, request->type, reterr);
        if (!type)
                return -ENOENT;
        r = place_check_type(m, gpu, type, reterr);
        if (r < 0)
                return r;
        *ret_gpu = gpu;
        *ret_type = type;
        return 0;
}

bool manager_queue_is_full(const Gpu *gpu)
{
        uint32_t n = 0;

        for (const GList *l = gpu->waiting.head; l; l = l->next)
                n += !((const Job *)l->data)->undo;
        return n >= gpu->manager->config->jobs_per_gpu;
}

static int check_queue(Manager *m, Gpu *gpu, uid_t requester, VgpudError *reterr)
{
        GHashTableIter iter;
        uint32_t n = 0;
        Job *job;

        if (m->stopping)
                return vgpud_error_setf(reterr, VGPUD_ERROR_CANCELED, "the daemon stops");
        if (manager_queue_is_full(gpu))
                return vgpud_error_setf(reterr, VGPUD_ERROR_TOO_MANY_JOBS,
                                        "%" PRIu32 " jobs wait for GPU %s already", m->config->jobs_per_gpu,
                                        gpu_name(gpu));
        if (requester == 0)
                return 0;
        g_hash_table_iter_init(&iter, m->jobs);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&job))
                n += job->requester == requester;
        if (n >= m->config->jobs_per_user)
                return vgpud_error_setf(reterr, VGPUD_ERROR_TOO_MANY_JOBS,
                                        "user %u has %" PRIu32 " jobs already", (unsigned)requester, n);
        return 0;
}

void manager_submit_job(Manager *m, Job *job)
{
        g_hash_table_insert(m->jobs, GUINT_TO_POINTER(job->id), job);
        g_queue_push_tail(&job->gpu->waiting, job);
        MANAGER_EMIT(m, job_added, job);
        MANAGER_EMIT(m, gpu_changed, job->gpu, GPU_CHANGED_JOB);
        lane_submit(job->gpu->lane, &job->work);
}

void manager_end_job(Manager *m, Job *job)
{
        MANAGER_EMIT(m, job_removed, job);
        g_hash_table_remove(m->jobs, GUINT_TO_POINTER(job->id));
        job_free(job);
}

/* Records come first: a daemon that is killed while the kernel makes the instance must know that it is ours. */
static int write_intents(Manager *m, Job *job, VgpudError *reterr)
{
        for (guint i = 0; i < job->uuids->len; i++) {
                const char *uuid = job->uuids->pdata[i];
                Record record = {
                        .gpu = job->gpu_name,
                        .type_id = job->type_id,
                        .name = job->name,
                        .owner = job->requester,
                        .created_usec = job->created_usec,
                        .undo = job->uuids->len > 1 || (job->attributes && job->attributes->len > 0),
                };
                memcpy(record.uuid, uuid, sizeof record.uuid);
                if (job->uuids->len > 1)
                        memcpy(record.first, job->uuids->pdata[0], sizeof record.first);
                int r = records_put(m->records, &record);
                if (r < 0) {
                        for (guint k = 0; k < i; k++)
                                records_forget(m->records, job->uuids->pdata[k]);
                        LOG_FIELDS(LOG_WARNING, (.gpu = job->gpu_name, .instance = uuid, .error = r),
                                   "Cannot write the record of %s in %s: %m", uuid,
                                   m->config->runtime_directory);
                        return vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r,
                                                      "cannot write the record of %s in %s: %s", uuid,
                                                      m->config->runtime_directory, g_strerror(-r));
                }
        }
        return 0;
}

int manager_create(Manager *m, const CreateRequest *request, Job **ret, VgpudError *reterr)
{
        char uuid[UUID_STRLEN + 1];
        const VgpuType *type;
        Gpu *gpu;
        Job *job;
        int r;

        r = manager_resolve_create(m, request, &gpu, &type, reterr);
        if (r < 0)
                return r;
        r = check_queue(m, gpu, request->requester, reterr);
        if (r < 0)
                return r;

        job = job_new(m, JOB_CREATE, gpu, request->requester, request->timeout_usec);
        job->type_id = g_strdup(type->id);
        job->parent = g_strdup(request->parent);
        job->name = g_strdup(request->name);
        job->attributes = g_ptr_array_new_with_free_func(attribute_destroy);
        for (guint i = 0; request->attributes && i < request->attributes->len; i++) {
                const VgpuAttribute *a = request->attributes->pdata[i];
                g_ptr_array_add(job->attributes, vgpu_attribute_new(a->name, a->value));
        }
        for (uint32_t i = 0; i < request->count; i++) {
                if (request->uuid)
                        g_assert(uuid_normalize(request->uuid, uuid) >= 0);
                else
                        uuid_generate(uuid);
                g_ptr_array_add(job->uuids, g_strdup(uuid));
        }
        r = write_intents(m, job, reterr);
        if (r < 0) {
                job_free(job);
                return r;
        }
        manager_submit_job(m, job);
        *ret = job;
        return 0;
}

static Job *destroy(Manager *m, Instance *instance, bool undo, uid_t requester, uint64_t timeout_usec)
{
        Job *job = job_new(m, JOB_DESTROY, instance->gpu, requester, timeout_usec);
        const Record *record = records_get(m->records, instance->desc->uuid);

        job->undo = undo;
        job->instance = instance_desc_copy(instance->desc);
        if (record && !job->instance->restore)
                job->instance->restore = g_strdup(record->restore);
        g_ptr_array_add(job->uuids, g_strdup(instance->desc->uuid));
        instance->job = job;
        records_mark_removing(m->records, instance->desc->uuid, true);
        manager_submit_job(m, job);
        MANAGER_EMIT(m, instance_changed, instance, INSTANCE_CHANGED_JOB);
        return job;
}

void manager_undo(Manager *m, Instance *instance)
{
        (void)destroy(m, instance, true, 0, 0);
}

int manager_destroy(Manager *m, Instance *instance, bool foreign, uid_t requester, uint64_t timeout_usec,
                    Job **ret, VgpudError *reterr)
{
        Gpu *gpu = instance->gpu;
        int r;

        if (instance->origin == INSTANCE_ORIGIN_FOREIGN && !foreign)
                return vgpud_error_setf(reterr, VGPUD_ERROR_FOREIGN,
                                        "instance %s was not made by vgpud; to remove it all the same, say so "
                                        "(--foreign)",
                                        instance->desc->uuid);
        /* First the GPU: when it is stuck, that a job works on the instance is the lesser half of the truth. */
        r = check_driven(gpu, reterr);
        if (r < 0)
                return r;
        if (instance->job)
                return vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE, "job %" PRIu32 " (%s) works on instance %s",
                                        instance->job->id, job_kind_to_string(instance->job->kind),
                                        instance->desc->uuid);
        r = check_queue(m, gpu, requester, reterr);
        if (r < 0)
                return r;
        *ret = destroy(m, instance, false, requester, timeout_usec);
        return 0;
}

int manager_check_set_vfs(const Gpu *gpu, uint32_t count, VgpudError *reterr)
{
        int r;

        r = check_driven(gpu, reterr);
        if (r < 0)
                return r;
        if (!gpu->driver->set_vfs || gpu->facts->total_vfs == 0)
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_UNSUPPORTED,
                                "GPU %s has no virtual functions to enable or disable%s", gpu_name(gpu),
                                gpu->facts->is_pci && gpu->driver->set_vfs
                                                ? "; where the hardware has SR-IOV, it may be switched off in "
                                                  "the firmware setup"
                                                : "");
        if (count > gpu->facts->total_vfs)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "GPU %s can have %" PRIu32 " virtual functions, not %" PRIu32,
                                        gpu_name(gpu), gpu->facts->total_vfs, count);
        return 0;
}

int manager_set_vfs(Manager *m, Gpu *gpu, uint32_t count, uid_t requester, uint64_t timeout_usec, Job **ret,
                    VgpudError *reterr)
{
        Job *job;
        int r;

        r = manager_check_set_vfs(gpu, count, reterr);
        if (r < 0)
                return r;
        r = check_queue(m, gpu, requester, reterr);
        if (r < 0)
                return r;
        job = job_new(m, JOB_SET_VFS, gpu, requester, timeout_usec);
        job->vfs = count;
        manager_submit_job(m, job);
        *ret = job;
        return 0;
}

static const VgpuMode *find_mode(const GpuSnapshot *s, const char *name)
{
        for (guint i = 0; i < s->modes->len; i++) {
                const VgpuMode *mode = s->modes->pdata[i];
                if (strcmp(mode->name, name) == 0)
                        return mode;
        }
        return NULL;
}

static int no_such_mode(const Gpu *gpu, const char *name, VgpudError *reterr)
{
        g_autoptr(GString) names = g_string_new(NULL);

        for (guint i = 0; i < gpu->snapshot->modes->len; i++)
                g_string_append_printf(names, "%s%s", i > 0 ? ", " : "",
                                       ((const VgpuMode *)gpu->snapshot->modes->pdata[i])->name);
        if (names->len == 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED, "GPU %s has no modes to set",
                                        gpu_name(gpu));
        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "GPU %s has no mode \"%s\"; it has %s",
                                gpu_name(gpu), name, names->str);
}

int manager_check_configure(const Gpu *gpu, const char *mode_name, const char *value, VgpudError *reterr)
{
        const VgpuMode *mode;
        int r;

        r = check_driven(gpu, reterr);
        if (r < 0)
                return r;
        mode = find_mode(gpu->snapshot, mode_name);
        if (!mode || !gpu->driver->configure)
                return no_such_mode(gpu, mode_name, reterr);
        if (!mode->choices)
                return vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED,
                                        "mode \"%s\" of GPU %s cannot be set%s%s", mode_name, gpu_name(gpu),
                                        mode->help ? ": " : "", mode->help ? mode->help : "");
        if (!g_strv_contains((const char *const *)mode->choices, value)) {
                g_autofree char *choices = g_strjoinv(", ", mode->choices);
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "mode \"%s\" of GPU %s cannot be \"%s\"; it can be %s", mode_name,
                                        gpu_name(gpu), value, choices);
        }
        return 0;
}

int manager_configure(Manager *m, Gpu *gpu, const char *mode_name, const char *value, uid_t requester,
                      uint64_t timeout_usec, Job **ret, VgpudError *reterr)
{
        Job *job;
        int r;

        r = manager_check_configure(gpu, mode_name, value, reterr);
        if (r < 0)
                return r;
        r = check_queue(m, gpu, requester, reterr);
        if (r < 0)
                return r;
        job = job_new(m, JOB_CONFIGURE, gpu, requester, timeout_usec);
        job->mode = g_strdup(mode_name);
        job->value = g_strdup(value);
        manager_submit_job(m, job);
        *ret = job;
        return 0;
}

int manager_rescan(Manager *m, Gpu *gpu, uid_t requester, Job **ret, VgpudError *reterr)
{
        Job *job;
        int r;

        r = check_driven(gpu, reterr);
        if (r < 0 && (!gpu->driver || gpu->state == GPU_STUCK))
                return r;
        vgpud_error_done(reterr);
        r = check_queue(m, gpu, requester, reterr);
        if (r < 0)
                return r;
        job = job_new(m, JOB_RESCAN, gpu, requester, 0);
        manager_submit_job(m, job);
        *ret = job;
        return 0;
}
