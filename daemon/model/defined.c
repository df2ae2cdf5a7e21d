/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/model/defined.h"

#include "base/log-ids.h"
#include "base/log.h"
#include "base/thread.h"
#include "daemon/model/instance.h"
#include "daemon/model/model.h"
#include "daemon/model/want.h"
#include "daemon/store/records.h"

/* Announce the instance, whose property Definition may have changed. */
static void defined_tell_instance(Model *m, const char *uuid)
{
        Instance *instance = model_get_instance(m, uuid);

        if (instance && instance->origin == INSTANCE_ORIGIN_VGPUD)
                MODEL_EMIT(m, instance_changed, instance, INSTANCE_CHANGED_DEFINITION);
}

static void defined_log(const Definition *d, uid_t requester, const char *message_id, const char *what)
{
        g_autofree char *by = requester == UID_INVALID ? g_strdup("vgpud")
                                                       : g_strdup_printf("user %u", (unsigned)requester);
        g_autofree char *place = d->gpu    ? g_strdup_printf("GPU %s", d->gpu)
                                 : d->pool ? g_strdup_printf("pool %s", d->pool)
                                           : g_strdup("any GPU");

        LOG_FIELDS(LOG_INFO,
                   (.instance = d->uuid, .gpu = d->gpu, .message_id = message_id,
                    .requester = requester == UID_INVALID ? 0 : (int64_t)requester + 1),
                   "The definition of instance %s was %s by %s: type %s, %s, owner %u", d->uuid, what, by,
                   d->type, place, (unsigned)d->owner);
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

/* True if the definition loses its autostart while its instance does not run: vgpud then does not start the
 * instance in this boot either. An instance that runs stays wanted. */
static bool defined_ends_want(Model *m, const Definition *before, const Definition *after)
{
        const Instance *instance = model_get_instance(m, after->uuid);

        return before && before->autostart && !after->autostart && want_get(m, after->uuid) &&
               (!instance || instance->origin == INSTANCE_ORIGIN_FOREIGN);
}

int defined_put(Model *m, const Definition *definition, uid_t requester, VgpudError *reterr)
{
        const Definition *before = definitions_get(m->definitions, definition->uuid), *kept;
        const bool is_new = !before, ends_want = defined_ends_want(m, before, definition);
        int r;

        assert_main_thread();

        r = definitions_put(m->definitions, definition, reterr);
        if (r < 0)
                return r;

        kept = definitions_get(m->definitions, definition->uuid);
        if (ends_want)
                want_forget(m, kept->uuid);
        if (is_new) {
                MODEL_EMIT(m, definition_added, kept);
                defined_log(kept, requester, VGPUD_MESSAGE_DEFINED, "written");
        } else {
                MODEL_EMIT(m, definition_changed, kept);
                defined_log(kept, requester, VGPUD_MESSAGE_DEFINITION_EDITED, "changed");
        }
        defined_tell_instance(m, kept->uuid);

        return 0;
}

int defined_put_many(Model *m, const GPtrArray *definitions, uid_t requester, VgpudError *reterr)
{
        int r;

        assert_main_thread();

        r = definitions_put_many(m->definitions, definitions, reterr);
        if (r < 0)
                return r;

        for (guint i = 0; i < definitions->len; i++) {
                const Definition *d = definitions->pdata[i];

                MODEL_EMIT(m, definition_added, definitions_get(m->definitions, d->uuid));
                defined_log(d, requester, VGPUD_MESSAGE_DEFINED, "written");
        }

        return 0;
}

int defined_remove(Model *m, const Definition *definition, uid_t requester, VgpudError *reterr)
{
        _cleanup_definition_ Definition *copy = definition_copy(definition);
        int r;

        assert_main_thread();

        r = definitions_remove(m->definitions, copy->uuid, reterr);
        if (r < 0)
                return r;

        want_forget(m, copy->uuid);
        MODEL_EMIT(m, definition_removed, copy);
        defined_log(copy, requester, VGPUD_MESSAGE_UNDEFINED, "removed");
        defined_tell_instance(m, copy->uuid);

        return 0;
}

void defined_log_lost(Model *m, const Record *record, const char *cause)
{
        assert_main_thread();

        if (definitions_get(m->definitions, record->uuid))
                LOG_FIELDS(LOG_NOTICE,
                           (.gpu = record->gpu, .instance = record->uuid,
                            .message_id = VGPUD_MESSAGE_INSTANCE_GONE),
                           "Instance %s of type %s on GPU %s is gone, and its definition stays: %s",
                           record->uuid, record->type_id, record->gpu, cause);
        else
                LOG_FIELDS(LOG_WARNING,
                           (.gpu = record->gpu, .instance = record->uuid,
                            .message_id = VGPUD_MESSAGE_INSTANCE_LOST),
                           "Instance %s of type %s on GPU %s, name %s, owner %u, is lost: %s", record->uuid,
                           record->type_id, record->gpu, record->name ? record->name : "(none)",
                           (unsigned)record->owner, cause);
}

void defined_forget_record(Model *m, const char *uuid)
{
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        const Record *record = records_get(m->records, uuid);
        const Definition *definition = definitions_get(m->definitions, uuid);
        g_autofree char *copy = g_strdup(uuid); /* the text may be the record's own */

        assert_main_thread();

        if (record && record->made && !record->undo && !record->removal_interrupted &&
            !model_get_instance(m, uuid))
                defined_log_lost(m, record, "it disappeared while vgpud was stopped, or with its driver");

        if (record && record->kept && (!record->made || record->undo) && definition &&
            defined_remove(m, definition, UID_INVALID, &error) < 0)
                log_warning("Definition %s stays, although its instance was not created: %s", uuid,
                            error.message);

        records_forget(m->records, uuid);
        want_wish(m, copy);
}
