/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/requests/create.h"

#include <inttypes.h>
#include <string.h>

#include "base/parse-util.h"
#include "base/text.h"
#include "base/thread.h"
#include "base/uuid.h"
#include "daemon/model/defined.h"
#include "daemon/model/gpu.h"
#include "daemon/model/model.h"
#include "daemon/model/rules.h"
#include "daemon/store/records.h"
#include "daemon/requests/find.h"
#include "daemon/work/job-create.h"
#include "daemon/work/queue.h"
#include "drivers-glue/type-find.h"

#define CREATE_COUNT_MAX 1024

/* Adds a hint to the error that has just been set with the result `r`. Returns `r`. */
static int create_add_hint(VgpudError *reterr, VgpudHintId id, const char *hint, int r)
{
        g_assert(r < 0);

        vgpud_error_hintf(reterr, id, "%s", hint);

        return r;
}

static int create_check_names(Model *m, const CreateRequest *request, VgpudError *reterr)
{
        int r = 0;

        if (request->count < 1 || request->count > CREATE_COUNT_MAX)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "the call requests %" PRIu32 " instances, not 1 to %d", request->count,
                                        CREATE_COUNT_MAX);
        if (request->count > 1 && (request->uuid || request->name))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "a UUID or a name can be given to one instance, not to %" PRIu32,
                                        request->count);

        if (request->uuid)
                r = request_check_uuid(m, request->uuid, request->definition, reterr);
        if (r >= 0 && request->name)
                r = request_check_name(m, request->name, request->definition, reterr);

        return r;
}

/* A definition keeps a GPU or a pool, and no other option for the choice of a GPU. */
static int create_check_keep(const CreateRequest *request, VgpudError *reterr)
{
        const PlaceHints *hints = request->keep ? request->hints : NULL;

        if (!hints ||
            (!hints->strategy && !hints->near && hints->numa_node == -1 && hints->preferred_numa_node == -1))
                return 0;

        return create_add_hint(
                        reterr, VGPUD_HINT_CHOOSE_OTHER, "name a GPU or a pool instead",
                        vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                         "a definition cannot keep the options strategy, NUMA node and near"));
}

/* Refuse a request for more instances than the GPU can ever have. The lane checks later, before it writes any
 * record, whether there is room at that time: earlier jobs may free room. */
static int create_check_count(const Gpu *gpu, const VgpuType *type, uint32_t count, VgpudError *reterr)
{
        /* A maximum that the driver reports too low must not refuse instances that fit now. */
        uint32_t most = MAX(type->max_instances, type->available);

        if (type->max_instances == 0 || count <= most)
                return 0;

        return create_add_hint(reterr, VGPUD_HINT_CHOOSE_OTHER, "ask for fewer, or use several GPUs",
                               vgpud_error_setf(reterr, VGPUD_ERROR_NO_CAPACITY,
                                                "GPU %s can have %" PRIu32 " of %s, not %" PRIu32,
                                                gpu_name(gpu), most, type->id, count));
}

int request_resolve_create(Model *m, const CreateRequest *request, Gpu **ret_gpu, const VgpuType **ret_type,
                           VgpudError *reterr)
{
        const VgpuType *type;
        Gpu *gpu;
        int r;

        assert_main_thread();

        r = create_check_names(m, request, reterr);
        if (r < 0)
                return r;

        r = vgpu_attributes_check(request->attributes, reterr);
        if (r >= 0)
                r = create_check_keep(request, reterr);
        if (r < 0)
                return r;

        if (!request->gpu || !request->gpu[0]) {
                if (request->parent)
                        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                                "the request names a parent, but not its GPU");

                return place_resolve(m, request->type, request->count, request->hints, request->requester,
                                     request->chosen, ret_gpu, ret_type, reterr);
        }

        if (request->hints)
                return create_add_hint(
                                reterr, VGPUD_HINT_CHOOSE_OTHER, "leave out either the GPU or these options",
                                vgpud_error_setf(
                                                reterr, VGPUD_ERROR_INVALID,
                                                "the options for choosing a GPU (strategy, NUMA node, near, pool) conflict with the named GPU %s",
                                                TEXT_QUOTE(request->gpu)));

        r = request_get_gpu(m, request->gpu, &gpu, reterr);
        if (r < 0)
                return r;

        r = gpu_check_ready(gpu, reterr);
        if (r < 0)
                return r;

        type = gpu_snapshot_find_type(gpu->snapshot, request->type, reterr);
        if (!type)
                return -ENOENT;

        r = rules_check_type(gpu, type, reterr);
        if (r >= 0)
                r = create_check_count(gpu, type, request->count, reterr);
        if (r < 0)
                return r;

        *ret_gpu = gpu;
        *ret_type = type;

        return 0;
}

static GPtrArray *create_make_uuids(const CreateRequest *request)
{
        GPtrArray *uuids = g_ptr_array_new_with_free_func(g_free);
        char uuid[UUID_STRLEN + 1];

        for (uint32_t i = 0; i < request->count; i++) {
                if (request->uuid)
                        assert_se(uuid_normalize(request->uuid, uuid) >= 0);
                else
                        uuid_generate(uuid);

                g_ptr_array_add(uuids, g_strdup(uuid));
        }

        return uuids;
}

/* The definition of one instance of the request. */
static Definition *create_make_definition(const CreateRequest *request, const Gpu *gpu, const VgpuType *type,
                                          const char *uuid)
{
        Definition *d = definition_new(uuid);

        d->type = g_strdup(type->key);
        d->gpu = request->keep->gpu ? g_strdup(gpu_name(gpu)) : NULL;
        d->parent = request->keep->gpu ? g_strdup(request->parent) : NULL;
        d->pool = g_strdup(request->keep->pool);
        d->autostart = request->keep->autostart;
        d->name = g_strdup(request->name);
        d->owner = request->requester;
        d->created_usec = (uint64_t)g_get_real_time();

        if (request->attributes) {
                g_ptr_array_unref(d->attributes);
                d->attributes = vgpu_attributes_copy(request->attributes);
        }

        return d;
}

static GPtrArray *create_make_definitions(const CreateRequest *request, const Gpu *gpu, const VgpuType *type,
                                          const GPtrArray *uuids)
{
        GPtrArray *definitions = g_ptr_array_new_with_free_func(definition_free);

        g_assert(!request->definition);

        for (guint i = 0; i < uuids->len; i++)
                g_ptr_array_add(definitions, create_make_definition(request, gpu, type, uuids->pdata[i]));

        return definitions;
}

int request_create(Model *m, const CreateRequest *request, Job **ret, VgpudError *reterr)
{
        g_autoptr(GPtrArray) uuids = NULL, kept = NULL;
        const VgpuType *type;
        Gpu *gpu;
        Job *job;
        int r;

        assert_main_thread();

        r = request_resolve_create(m, request, &gpu, &type, reterr);
        if (r < 0)
                return r;

        r = queue_check(gpu, request->requester, 0, reterr);
        if (r >= 0)
                r = queue_check_instances(m, request->requester, request->count, reterr);
        if (r < 0)
                return r;

        if (request->keep) {
                r = defined_check_quota(m, request->requester, request->count, reterr);
                if (r < 0)
                        return r;
        }

        uuids = create_make_uuids(request);
        if (request->keep)
                kept = create_make_definitions(request, gpu, type, uuids);

        job = job_create_new(gpu, request->requester, type->id, g_steal_pointer(&uuids));
        job_create_set_options(job, request->parent, request->name, request->attributes);
        if (request->definition || kept)
                job_create_set_definition(job, kept ? kept->pdata[0] : request->definition, kept);

        r = job_create_add_records(job, reterr);
        if (r >= 0 && kept) {
                r = defined_put_many(m, kept, request->requester, reterr);
                if (r < 0)
                        job_create_forget_records(job);
        }

        if (r < 0) {
                job_free(job);
                return r;
        }

        queue_submit(job);
        *ret = job;

        return 0;
}
