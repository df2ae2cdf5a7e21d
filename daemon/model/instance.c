/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/model/instance.h"

#include <string.h>

#include "base/thread.h"
#include "daemon/model/gpu.h"
#include "daemon/model/model.h"
#include "daemon/store/definitions.h"
#include "daemon/store/records.h"

static const char *const instance_origin_table[_INSTANCE_ORIGIN_MAX] = {
        [INSTANCE_ORIGIN_VGPUD] = "vgpud",
        [INSTANCE_ORIGIN_FOREIGN] = "foreign",
};
DEFINE_STRING_TABLE_TO_STRING(instance_origin, InstanceOrigin)

static const char *const instance_state_table[_INSTANCE_STATE_MAX] = {
        [INSTANCE_ACTIVE] = "active",
        [INSTANCE_INCOMPLETE] = "incomplete",
        [INSTANCE_STUCK] = "stuck",
};
DEFINE_STRING_TABLE_TO_STRING(instance_state, InstanceState)

static const char *const instance_definition_table[_INSTANCE_DEFINITION_MAX] = {
        [INSTANCE_DEFINITION_NONE] = "",
        [INSTANCE_DEFINITION_CURRENT] = "current",
        [INSTANCE_DEFINITION_DIFFERS] = "differs",
};
DEFINE_STRING_TABLE_TO_STRING(instance_definition, InstanceDefinition)

InstanceDefinition instance_get_definition(const Instance *instance)
{
        Model *m = instance->gpu->model;
        const Definition *definition = definitions_get(m->definitions, instance->desc->uuid);
        const Record *record = records_get(m->records, instance->desc->uuid);

        assert_main_thread();

        if (!definition || instance->origin == INSTANCE_ORIGIN_FOREIGN)
                return INSTANCE_DEFINITION_NONE;

        g_autofree char *checksum = definition_checksum(definition);

        return record && g_strcmp0(record->definition, checksum) == 0 ? INSTANCE_DEFINITION_CURRENT
                                                                      : INSTANCE_DEFINITION_DIFFERS;
}

void instances_identify(VgpuIo *io, const GPtrArray *descs)
{
        assert_in_lane();

        for (guint i = 0; i < descs->len; i++) {
                InstanceDesc *d = descs->pdata[i];

                if (d->slot && vgpu_io_identify(io, d->path, &d->identity) < 0)
                        d->identity = 0;
        }
}

Instance *instance_new(Gpu *gpu, const InstanceDesc *desc)
{
        Instance *instance = g_new0(Instance, 1);

        assert_main_thread();

        *instance = (Instance){
                .gpu = gpu,
                .desc = instance_desc_copy(desc),
                .origin = INSTANCE_ORIGIN_FOREIGN,
                .owner = UID_INVALID,
        };

        return instance;
}

void instance_free(void *p)
{
        Instance *instance = p;

        if (!instance)
                return;

        instance_desc_free(instance->desc);
        g_free(instance->name);
        g_free(instance);
}

/* An instance is vgpud's own if a record of it has the flag `made`, the same GPU and the same type. */
bool instance_update_origin(Instance *instance)
{
        const Record *record = records_get(instance->gpu->model->records, instance->desc->uuid);
        bool ours = record && record->made && strcmp(record->gpu, gpu_name(instance->gpu)) == 0 &&
                    (!instance->desc->type_id || strcmp(record->type_id, instance->desc->type_id) == 0);
        InstanceOrigin origin = ours ? INSTANCE_ORIGIN_VGPUD : INSTANCE_ORIGIN_FOREIGN;
        const char *name = ours ? record->name : NULL;
        uid_t owner = ours ? record->owner : UID_INVALID;
        uint64_t created_usec = ours ? record->created_usec : 0;

        assert_main_thread();

        if (instance->origin == origin && g_strcmp0(instance->name, name) == 0 && instance->owner == owner &&
            instance->created_usec == created_usec)
                return false;

        instance->origin = origin;
        g_free(instance->name);
        instance->name = g_strdup(name);
        instance->owner = owner;
        instance->created_usec = created_usec;

        return true;
}

bool instance_update_undo(Instance *instance)
{
        const Record *record = records_get(instance->gpu->model->records, instance->desc->uuid);
        bool undo = instance->origin == INSTANCE_ORIGIN_VGPUD && record && record->undo;

        assert_main_thread();

        if (instance->undo == undo)
                return false;

        instance->undo = undo;

        return true;
}

bool instance_update_state(Instance *instance, bool is_stuck)
{
        InstanceState before = instance->state;

        assert_main_thread();

        if (is_stuck)
                instance->state = INSTANCE_STUCK;
        else
                instance->state = instance_is_incomplete(instance) ? INSTANCE_INCOMPLETE : INSTANCE_ACTIVE;

        return instance->state != before;
}

void instance_set_stuck(Instance *instance)
{
        assert_main_thread();

        instance->state = INSTANCE_STUCK;
        MODEL_EMIT(instance->gpu->model, instance_changed, instance, INSTANCE_CHANGED_STATE);
}
