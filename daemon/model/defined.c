/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/model/defined.h"

#include "base/thread.h"
#include "daemon/model/instance.h"
#include "daemon/model/model.h"

/* The property Definition of the instance may have changed. */
static void defined_tell_instance(Model *m, const char *uuid)
{
        Instance *instance = model_get_instance(m, uuid);

        if (instance && instance->origin == INSTANCE_ORIGIN_VGPUD)
                MODEL_EMIT(m, instance_changed, instance, INSTANCE_CHANGED_DEFINITION);
}

int defined_check_quota(Model *m, uid_t owner, uint32_t count, VgpudError *reterr)
{
        bool is_root = owner == 0;
        guint most = is_root ? DEFINITIONS_MAX : DEFINITIONS_PER_UID_MAX;
        guint present = is_root ? definitions_count(m->definitions)
                                : definitions_count_of(m->definitions, owner);
        int r;

        assert_main_thread();

        if (count > DEFINITIONS_MAX - MIN(definitions_count(m->definitions), DEFINITIONS_MAX))
                r = vgpud_error_setf(reterr, VGPUD_ERROR_QUOTA, "the host has %u of at most %u definitions",
                                     definitions_count(m->definitions), DEFINITIONS_MAX);
        else if (count > most - MIN(present, most))
                r = vgpud_error_setf(reterr, VGPUD_ERROR_QUOTA, "user %u has %u of at most %u definitions",
                                     (unsigned)owner, present, most);
        else
                return 0;

        vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER, "undefine definitions that are not needed any more");

        return r;
}

int defined_put(Model *m, const Definition *definition, VgpudError *reterr)
{
        bool is_new = !definitions_get(m->definitions, definition->uuid);
        const Definition *kept;
        int r;

        assert_main_thread();

        r = definitions_put(m->definitions, definition, reterr);
        if (r < 0)
                return r;

        kept = definitions_get(m->definitions, definition->uuid);
        if (is_new)
                MODEL_EMIT(m, definition_added, kept);
        else
                MODEL_EMIT(m, definition_changed, kept);
        defined_tell_instance(m, kept->uuid);

        return 0;
}

int defined_put_many(Model *m, const GPtrArray *definitions, VgpudError *reterr)
{
        int r;

        assert_main_thread();

        r = definitions_put_many(m->definitions, definitions, reterr);
        if (r < 0)
                return r;

        for (guint i = 0; i < definitions->len; i++) {
                const Definition *d = definitions->pdata[i];

                MODEL_EMIT(m, definition_added, definitions_get(m->definitions, d->uuid));
        }

        return 0;
}

int defined_remove(Model *m, const Definition *definition, VgpudError *reterr)
{
        _cleanup_definition_ Definition *copy = definition_copy(definition);
        int r;

        assert_main_thread();

        r = definitions_remove(m->definitions, copy->uuid, reterr);
        if (r < 0)
                return r;

        MODEL_EMIT(m, definition_removed, copy);
        defined_tell_instance(m, copy->uuid);

        return 0;
}
