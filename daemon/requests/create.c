/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/requests/create.h"

#include <inttypes.h>
#include <string.h>

#include "base/parse-util.h"
#include "base/text.h"
#include "base/thread.h"
#include "base/uuid.h"
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
        char uuid[UUID_STRLEN + 1];
        const Record *record;

        if (request->count < 1 || request->count > CREATE_COUNT_MAX)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "the call requests %" PRIu32 " instances, not 1 to %d", request->count,
                                        CREATE_COUNT_MAX);
        if (request->count > 1 && (request->uuid || request->name))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "a UUID or a name can be given to one instance, not to %" PRIu32,
                                        request->count);

        if (request->uuid) {
                if (uuid_normalize(request->uuid, uuid) < 0)
                        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                                "\"%s\" is not a UUID (8-4-4-4-12 hexadecimal digits)",
                                                TEXT_QUOTE(request->uuid));

                if (uuid_is_nil(uuid))
                        return create_add_hint(
                                        reterr, VGPUD_HINT_CHOOSE_OTHER,
                                        "give another UUID, or none to have one generated",
                                        vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                                         "UUID %s is the nil UUID, which no instance may have",
                                                         uuid));

                g_autofree char *where = request_find_uuid(m, uuid);
                if (where)
                        return vgpud_error_setf(reterr, VGPUD_ERROR_EXISTS, "UUID %s is taken: %s", uuid,
                                                where);
        }

        if (request->name) {
                if (!instance_name_is_valid(request->name))
                        return create_add_hint(
                                        reterr, VGPUD_HINT_SEE_MANUAL,
                                        "use 1 to 64 letters, digits, \"_\", \".\" and \"-\", beginning with a letter or a digit, and no UUID",
                                        vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                                         "\"%s\" is not a valid name",
                                                         TEXT_QUOTE(request->name)));

                g_autofree char *gpu_name = request_read_address(request->name);
                if (model_get_gpu(m, gpu_name))
                        return vgpud_error_setf(reterr, VGPUD_ERROR_EXISTS, "a GPU has the name \"%s\"",
                                                request->name);

                record = records_find_name(m->records, request->name);
                if (record)
                        return vgpud_error_setf(reterr, VGPUD_ERROR_EXISTS,
                                                "the name \"%s\" is taken by instance %s", request->name,
                                                record->uuid);
        }

        return 0;
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

int request_create(Model *m, const CreateRequest *request, Job **ret, VgpudError *reterr)
{
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

        job = job_create_new(gpu, request->requester, type->id, create_make_uuids(request));
        job_create_set_options(job, request->parent, request->name, request->attributes);

        job_create_add_records(job);
        queue_submit(job);
        *ret = job;

        return 0;
}
