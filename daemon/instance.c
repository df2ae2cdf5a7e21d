/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/instance.h"

#include <string.h>

#include "base/uuid.h"

#define INSTANCE_NAME_MAX 64

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

void instances_identify(VgpuIo *io, const GPtrArray *descs)
{
        for (guint i = 0; i < descs->len; i++) {
                InstanceDesc *d = descs->pdata[i];
                if (d->slot && vgpu_io_identify(io, d->path, &d->identity) < 0)
                        d->identity = 0;
        }
}

bool instance_update_state(Instance *instance, bool is_stuck)
{
        InstanceState before = instance->state;

        if (is_stuck)
                instance->state = INSTANCE_STUCK;
        else
                instance->state = instance_is_incomplete(instance) ? INSTANCE_INCOMPLETE : INSTANCE_ACTIVE;
        return instance->state != before;
}

bool instance_name_is_valid(const char *name)
{
        size_t n = name ? strlen(name) : 0;

        if (n == 0 || n > INSTANCE_NAME_MAX || !g_ascii_isalpha(name[0]))
                return false;
        for (size_t i = 0; i < n; i++)
                if (!g_ascii_isalnum(name[i]) && !strchr("_.-", name[i]))
                        return false;
        return !uuid_prefix_is_valid(name);
}
