/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/requests/destroy.h"

#include <inttypes.h>

#include "base/thread.h"
#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/model/model.h"
#include "daemon/model/want.h"
#include "daemon/requests/find.h"
#include "daemon/work/job-destroy.h"
#include "daemon/work/queue.h"

#define DESTROY_COUNT_MAX 1024

/* A stop ends the wants of the definitions. If the job fails, the instances that are left are wanted again. */
static void destroy_remove_wants(Model *m, const GPtrArray *instances)
{
        for (guint i = 0; i < instances->len; i++)
                want_remove(m, ((const Instance *)instances->pdata[i])->desc->uuid);
}

static Job *destroy_submit(Instance *instance, unsigned flags, uid_t requester)
{
        g_autoptr(GPtrArray) instances = g_ptr_array_new();
        Job *job;

        g_ptr_array_add(instances, instance);
        job = job_destroy_new(instance->gpu, requester, instances, flags);
        queue_submit(job);

        return job;
}

void request_undo(Instance *instance)
{
        assert_main_thread();

        instance->wants_undo = false;

        if (instance->job || !instance->gpu->lane)
                return;

        (void)destroy_submit(instance, JOB_DESTROY_INTERNAL, UID_INVALID);
}

int request_destroy_check_flags(const Instance *instance, unsigned flags, VgpudError *reterr)
{
        const char *uuid = instance->desc->uuid;
        bool is_defined = instance_get_definition(instance) != INSTANCE_DEFINITION_NONE;
        int r;

        assert_main_thread();

        r = flags & DESTROY_FOREIGN ? 0 : request_check_ours(instance, reterr);
        if (r < 0)
                return r;

        if (is_defined && !(flags & DESTROY_DEFINED)) {
                r = vgpud_error_setf(reterr, VGPUD_ERROR_DEFINED, "instance %s has a definition", uuid);
                vgpud_error_hintf(
                                reterr, VGPUD_HINT_USE_STOP,
                                "\"vgpuctl stop %s\" destroys the instance and keeps the definition; \"vgpuctl undefine --stop %s\" removes both",
                                uuid, uuid);
                return r;
        }

        if (!is_defined && (flags & DESTROY_DEFINED)) {
                r = vgpud_error_setf(reterr, VGPUD_ERROR_NO_SUCH_DEFINITION, "instance %s has no definition",
                                     uuid);
                vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER, "to remove the instance, destroy it");
                return r;
        }

        return 0;
}

/* Check that the instance may be destroyed. Check the GPU before the job of the instance: "the GPU is stuck"
 * explains more than "a job works on the instance". */
static int destroy_check(const Instance *instance, unsigned flags, VgpudError *reterr)
{
        int r;

        r = request_destroy_check_flags(instance, flags, reterr);
        if (r < 0)
                return r;

        r = gpu_check_driven(instance->gpu, reterr);

        return r < 0 ? r : request_check_idle(instance, reterr);
}

int request_destroy(Model *m, Instance *instance, unsigned flags, uid_t requester, Job **ret,
                    VgpudError *reterr)
{
        int r;

        assert_main_thread();

        r = destroy_check(instance, flags, reterr);
        if (r < 0)
                return r;

        r = queue_check(instance->gpu, requester, 0, reterr);
        if (r < 0)
                return r;

        if (flags & DESTROY_DEFINED)
                want_remove(m, instance->desc->uuid);

        *ret = destroy_submit(instance, flags & DESTROY_FOREIGN ? JOB_DESTROY_FOREIGN : 0, requester);

        return 0;
}

/* Instances of one GPU; groups are in the order of their first instance. */
typedef struct DestroyGroup {
        Gpu *gpu;
        GPtrArray *instances;
} DestroyGroup;

static void destroy_group_free(gpointer p)
{
        DestroyGroup *group = p;

        g_ptr_array_unref(group->instances);
        g_free(group);
}

static GPtrArray *destroy_group_by_gpu(const GPtrArray *instances)
{
        GPtrArray *groups = g_ptr_array_new_with_free_func(destroy_group_free);
        g_autoptr(GHashTable) by_gpu = g_hash_table_new(g_direct_hash, g_direct_equal);

        for (guint i = 0; i < instances->len; i++) {
                Instance *instance = instances->pdata[i];
                DestroyGroup *group = g_hash_table_lookup(by_gpu, instance->gpu);

                if (!group) {
                        group = g_new(DestroyGroup, 1);
                        *group = (DestroyGroup){ .gpu = instance->gpu, .instances = g_ptr_array_new() };
                        g_hash_table_insert(by_gpu, instance->gpu, group);
                        g_ptr_array_add(groups, group);
                }

                g_ptr_array_add(group->instances, instance);
        }

        return groups;
}

static int destroy_check_many(const GPtrArray *instances, unsigned flags, VgpudError *reterr)
{
        g_autoptr(GHashTable) seen = g_hash_table_new(g_direct_hash, g_direct_equal);
        int r;

        if (instances->len < 1 || instances->len > DESTROY_COUNT_MAX)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "the call names %u instances, not 1 to %d",
                                        instances->len, DESTROY_COUNT_MAX);

        for (guint i = 0; i < instances->len; i++) {
                const Instance *instance = instances->pdata[i];

                if (!g_hash_table_add(seen, (gpointer)instance))
                        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                                "the call names instance %s more than once",
                                                instance->desc->uuid);

                r = destroy_check(instance, flags, reterr);
                if (r < 0)
                        return r;
        }

        return 0;
}

int request_destroy_many(Model *m, const GPtrArray *instances, unsigned flags, uid_t requester,
                         GPtrArray **ret_jobs, VgpudError *reterr)
{
        g_autoptr(GPtrArray) groups = NULL, jobs = g_ptr_array_new();
        int r;

        assert_main_thread();

        r = destroy_check_many(instances, flags, reterr);
        if (r < 0)
                return r;

        groups = destroy_group_by_gpu(instances);
        for (guint i = 0; i < groups->len; i++) {
                const DestroyGroup *group = groups->pdata[i];

                r = queue_check(group->gpu, requester, i, reterr);
                if (r < 0)
                        return r;
        }

        if (flags & DESTROY_DEFINED)
                destroy_remove_wants(m, instances);

        for (guint i = 0; i < groups->len; i++) {
                const DestroyGroup *group = groups->pdata[i];
                Job *job = job_destroy_new(group->gpu, requester, group->instances,
                                           flags & DESTROY_FOREIGN ? JOB_DESTROY_FOREIGN : 0);

                queue_submit(job);
                g_ptr_array_add(jobs, job);
        }

        *ret_jobs = g_steal_pointer(&jobs);

        return 0;
}
