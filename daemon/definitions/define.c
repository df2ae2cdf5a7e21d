/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/definitions/define.h"

#include <string.h>

#include "base/log.h"
#include "base/parse-util.h"
#include "base/pci-addr.h"
#include "base/text.h"
#include "base/thread.h"
#include "base/uuid.h"
#include "daemon/model/defined.h"
#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/model/model.h"
#include "daemon/model/rules.h"
#include "daemon/model/want.h"
#include "daemon/requests/find.h"
#include "daemon/requests/place.h"
#include "daemon/store/records.h"
#include "drivers-glue/io/io.h"
#include "drivers-glue/type-find.h"

static const char *const definition_state_table[_DEFINITION_STATE_MAX] = {
        [DEFINITION_STOPPED] = "stopped", [DEFINITION_STARTING] = "starting", [DEFINITION_WAITING] = "waiting",
        [DEFINITION_ACTIVE] = "active",   [DEFINITION_FOREIGN] = "foreign",   [DEFINITION_UNKNOWN] = "unknown",
};
DEFINE_STRING_TABLE(definition_state, DefinitionState)

DefinitionState define_get_state(Model *m, const Definition *definition)
{
        const Instance *instance = model_get_instance(m, definition->uuid);
        const Record *record = records_get(m->records, definition->uuid);

        assert_main_thread();

        if (instance)
                return instance->origin == INSTANCE_ORIGIN_FOREIGN ? DEFINITION_FOREIGN : DEFINITION_ACTIVE;
        if (!record)
                return want_get(m, definition->uuid) ? DEFINITION_WAITING : DEFINITION_STOPPED;

        return record->made || record->interrupted ? DEFINITION_UNKNOWN : DEFINITION_STARTING;
}

const VgpudError *define_get_waiting(Model *m, const Definition *definition)
{
        const Want *want = want_get(m, definition->uuid);

        assert_main_thread();

        return want && want->waiting.code != VGPUD_ERROR_NONE &&
                                               define_get_state(m, definition) == DEFINITION_WAITING
                               ? &want->waiting
                               : NULL;
}

bool define_differs(Model *m, const Definition *definition)
{
        const Instance *instance = model_get_instance(m, definition->uuid);

        assert_main_thread();

        return instance && instance_get_definition(instance) == INSTANCE_DEFINITION_DIFFERS;
}

int define_find(Model *m, const char *word, const Definition **ret, VgpudError *reterr)
{
        char uuid[UUID_STRLEN + 1];
        bool is_uuid = uuid_normalize(word, uuid) >= 0;
        const Definition *definition;
        const Record *record;

        assert_main_thread();

        if (!is_uuid && !instance_name_is_valid(word))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "\"%s\" is neither a name nor a UUID",
                                        TEXT_QUOTE(word));

        definition = is_uuid ? definitions_get(m->definitions, uuid)
                             : definitions_find_name(m->definitions, word);

        /* An edit renames the definition, but not its running instance: look for the instance's name, too. */
        record = definition || is_uuid ? NULL : records_find_name(m->records, word);
        if (record)
                definition = definitions_get(m->definitions, record->uuid);

        if (!definition)
                return vgpud_error_setf(reterr, VGPUD_ERROR_NO_SUCH_DEFINITION, "there is no definition \"%s\"",
                                        TEXT_QUOTE(word));

        *ret = definition;

        return 0;
}

/* ---- the type ---- */

static int define_find_type_of(const Gpu *gpu, const char *word, char **ret_key, const VgpuType **ret_type,
                               VgpudError *reterr)
{
        const VgpuType *type;
        int r;

        if (!gpu->snapshot)
                return gpu_check_driven(gpu, reterr);

        type = gpu_snapshot_find_type(gpu->snapshot, word, reterr);
        if (!type)
                return -ENOENT;

        r = rules_check_type(gpu, type, reterr);
        if (r < 0)
                return r;

        *ret_key = g_strdup(type->key);
        *ret_type = type;

        return 0;
}

/* The definition names no GPU, so all GPUs that offer a type of this name must mean the same type: the
 * definition keeps one key.
 */
static int define_find_type_anywhere(Model *m, const char *word, const char *pool, uid_t requester,
                                     char **ret_key, const VgpuType **ret_type, VgpudError *reterr)
{
        _cleanup_place_ Place *place = NULL;
        PlaceHints hints = PLACE_HINTS_NONE;
        const VgpuType *found = NULL;
        int r;

        hints.pool = pool;
        r = place_new(m, word, 1, &hints, requester, &place, reterr);
        if (r < 0)
                return r;

        for (size_t i = 0; i < place->placement->n; i++) {
                const VgpuType *type = place->types[place->placement->ranks[i].index];

                if (!type)
                        continue;

                if (found && strcmp(found->key, type->key) != 0) {
                        r = vgpud_error_setf(reterr, VGPUD_ERROR_AMBIGUOUS,
                                             "\"%s\" means different types on different GPUs",
                                             TEXT_QUOTE(word));
                        vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER,
                                          "name a GPU, or give one of the keys %s and %s", found->key,
                                          type->key);
                        return r;
                }

                found = type;
        }

        /* No GPU is known to offer the type, but a GPU that has not been read may offer it. */
        if (!found && place->error.code != VGPUD_ERROR_NONE)
                return vgpud_error_move(reterr, &place->error);
        if (!found)
                return vgpud_error_setf(reterr, VGPUD_ERROR_NO_SUCH_TYPE, "no GPU offers type \"%s\"",
                                        TEXT_QUOTE(word));

        *ret_key = g_strdup(found->key);
        *ret_type = found;

        return 0;
}

/* Find the key of the type that the word names. With `may_be_absent`, a key is accepted although no GPU offers
 * the type now: the driver may not be loaded, or the GPU may not be installed yet. *ret_type: NULL if absent.
 */
static int define_find_key(Model *m, const char *word, const Definition *d, bool may_be_absent, char **ret_key,
                           const VgpuType **ret_type, VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        const Gpu *gpu = d->gpu ? model_get_gpu(m, d->gpu) : NULL;
        bool is_key = may_be_absent && definition_type_is_key(word);
        int r;

        *ret_type = NULL;

        if (d->gpu && !gpu) {
                r = vgpud_error_setf(&error, VGPUD_ERROR_NO_SUCH_GPU, "there is no GPU \"%s\"",
                                     TEXT_QUOTE(d->gpu));
                vgpud_error_hintf(&error, VGPUD_HINT_CHOOSE_OTHER,
                                  "for a GPU that is not there yet, give the key of the type");
        } else if (gpu)
                r = define_find_type_of(gpu, word, ret_key, ret_type, &error);
        else
                r = define_find_type_anywhere(m, word, d->pool, d->owner, ret_key, ret_type, &error);

        if (r >= 0)
                return 0;

        if (is_key && (error.code == VGPUD_ERROR_NO_SUCH_TYPE || error.code == VGPUD_ERROR_NO_SUCH_GPU ||
                       error.code == VGPUD_ERROR_GPU_STUCK || error.code == VGPUD_ERROR_FAILED ||
                       (gpu && !gpu->snapshot))) {
                *ret_key = g_strdup(word);
                return 0;
        }

        return vgpud_error_move(reterr, &error);
}

/* ---- prepare ---- */

static bool define_has_text(const char *word)
{
        return word && word[0] != '\0';
}

/* Returns NULL for "" and NULL. */
static char *define_copy_word(const char *word)
{
        return define_has_text(word) ? g_strdup(word) : NULL;
}

/* Read the name of a GPU or parent, which need not exist. */
static int define_read_device(const char *what, const char *word, char **ret, VgpudError *reterr)
{
        g_autofree char *name = define_has_text(word) ? request_read_address(word) : NULL;

        if (name && !vgpu_io_name_is_valid(name))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "\"%s\" is not the name of a %s",
                                        TEXT_QUOTE(word), what);

        g_free(*ret);
        *ret = g_steal_pointer(&name);

        return 0;
}

/* True if the GPU has no parent of this name. False before all VFs are enabled: a further VF may have it. */
static bool define_lacks_parent(const Gpu *gpu, const char *parent)
{
        const GPtrArray *parents = gpu->facts->mdev_parents;

        if (!gpu->snapshot || gpu->facts->vfs->len < gpu->facts->total_vfs ||
            strcmp(parent, gpu_name(gpu)) == 0)
                return false;

        for (guint i = 0; parents && i < parents->len; i++)
                if (strcmp(((const MdevParent *)parents->pdata[i])->name, parent) == 0)
                        return false;

        return !gpu_facts_find_vf(gpu->facts, parent);
}

static int define_check_place(Model *m, Definition *d, VgpudError *reterr)
{
        const Gpu *gpu = d->gpu ? model_get_gpu(m, d->gpu) : NULL;

        if (gpu && d->parent && define_lacks_parent(gpu, d->parent))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "%s is not a parent of GPU %s",
                                        TEXT_QUOTE(d->parent), d->gpu);
        if (d->gpu && d->pool)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "a definition names a GPU or a pool, not both");
        if (d->parent && !d->gpu)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "the definition names a parent, but not its GPU");

        return 0;
}

static int define_set_attributes(Definition *d, const GPtrArray *attributes, VgpudError *reterr)
{
        int r = vgpu_attributes_check(attributes, reterr);

        if (r < 0)
                return r;

        g_ptr_array_unref(d->attributes);
        d->attributes = attributes ? vgpu_attributes_copy(attributes) : vgpu_attributes_new();

        return 0;
}

/* Set the type, and name the options among the attributes as the type does. */
static int define_set_type(Model *m, Definition *d, const char *word, bool may_be_absent, VgpudError *reterr)
{
        const VgpuType *type;
        char *key;
        int r;

        r = define_find_key(m, word, d, may_be_absent, &key, &type, reterr);
        if (r < 0)
                return r;

        g_free(d->type);
        d->type = key;

        if (type) {
                GPtrArray *named = vgpu_type_name_options(type, d->attributes);

                g_ptr_array_unref(d->attributes);
                d->attributes = named;
        }

        return 0;
}

int define_prepare(Model *m, const DefineRequest *request, Definition **ret, VgpudError *reterr)
{
        _cleanup_definition_ Definition *d = NULL;
        char uuid[UUID_STRLEN + 1];
        int r = 0;

        assert_main_thread();
        g_assert(request->type);

        if (request->uuid)
                r = request_check_uuid(m, request->uuid, NULL, reterr);
        if (r >= 0 && request->name)
                r = request_check_name(m, request->name, NULL, reterr);
        if (r >= 0)
                r = defined_check_quota(m, request->requester, 1, reterr);
        if (r < 0)
                return r;

        if (request->uuid)
                assert_se(uuid_normalize(request->uuid, uuid) >= 0);
        else
                uuid_generate(uuid);

        d = definition_new(uuid);
        d->pool = define_copy_word(request->pool);
        d->name = g_strdup(request->name);
        d->autostart = request->autostart;
        d->owner = request->requester;
        d->created_usec = (uint64_t)g_get_real_time();

        r = define_read_device("GPU", request->gpu, &d->gpu, reterr);
        if (r >= 0)
                r = define_read_device("parent", request->parent, &d->parent, reterr);
        if (r >= 0)
                r = define_check_place(m, d, reterr);
        if (r >= 0)
                r = define_set_attributes(d, request->attributes, reterr);
        if (r >= 0)
                r = define_set_type(m, d, request->type, true, reterr);
        if (r < 0)
                return r;

        *ret = g_steal_pointer(&d);

        return 0;
}

int define_prepare_from(Model *m, const Instance *instance, Definition **ret, VgpudError *reterr)
{
        const char *uuid = instance->desc->uuid;
        const Definition *present = definitions_get(m->definitions, uuid);
        const Record *record = records_get(m->records, uuid);
        const VgpuType *type;
        Definition *d;
        int r;

        assert_main_thread();

        r = request_check_ours(instance, reterr);
        if (r >= 0)
                r = request_check_idle(instance, reterr);
        if (r < 0)
                return r;

        if (present)
                return vgpud_error_setf(reterr, VGPUD_ERROR_EXISTS, "instance %s has a definition already",
                                        uuid);

        type = instance->desc->type_id && instance->gpu->snapshot
                               ? gpu_snapshot_look_up_type(instance->gpu->snapshot, instance->desc->type_id,
                                                           NULL)
                               : NULL;
        if (!type || instance_is_incomplete(instance))
                return vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED,
                                        "instance %s is incomplete, or its type is not known", uuid);

        r = defined_check_quota(m, instance->owner, 1, reterr);
        if (r < 0)
                return r;

        d = definition_new(uuid);
        d->type = g_strdup(type->key);
        d->gpu = g_strdup(gpu_name(instance->gpu));
        if (g_strcmp0(instance->desc->parent, d->gpu) != 0)
                d->parent = g_strdup(instance->desc->parent);
        d->name = g_strdup(instance->name);
        d->owner = instance->owner;
        d->created_usec = (uint64_t)g_get_real_time();
        if (record && record->attributes) {
                g_ptr_array_unref(d->attributes);
                d->attributes = vgpu_attributes_copy(record->attributes);
        }

        *ret = d;

        return 0;
}

/* A definition has a GPU or a pool: if the changes set only one of them, the other one is dropped. */
static int define_edit_place(Model *m, Definition *d, const DefineRequest *changes, VgpudError *reterr)
{
        int r = 0;

        if (changes->gpu) {
                g_clear_pointer(&d->parent, g_free);
                if (changes->gpu[0] && !changes->pool)
                        g_clear_pointer(&d->pool, g_free);
                r = define_read_device("GPU", changes->gpu, &d->gpu, reterr);
        }

        if (r >= 0 && changes->pool) {
                g_free(d->pool);
                d->pool = define_copy_word(changes->pool);
                if (d->pool && !changes->gpu) {
                        g_clear_pointer(&d->gpu, g_free);
                        g_clear_pointer(&d->parent, g_free);
                }
        }

        if (r >= 0 && changes->parent)
                r = define_read_device("parent", changes->parent, &d->parent, reterr);

        return r < 0 ? r : define_check_place(m, d, reterr);
}

int define_prepare_edit(Model *m, const Definition *definition, const DefineRequest *changes, Definition **ret,
                        VgpudError *reterr)
{
        _cleanup_definition_ Definition *d = definition_copy(definition);
        int r = 0;

        assert_main_thread();
        g_assert(!changes->uuid);

        if (changes->name && changes->name[0])
                r = request_check_name(m, changes->name, definition, reterr);
        if (r >= 0)
                r = define_edit_place(m, d, changes, reterr);
        if (r >= 0 && changes->attributes)
                r = define_set_attributes(d, changes->attributes, reterr);

        /* The type must fit the new GPU or pool, too. */
        if (r >= 0 && (changes->type || changes->gpu || changes->pool || changes->attributes))
                r = define_set_type(m, d, changes->type ? changes->type : definition->type,
                                    changes->type || !(define_has_text(changes->gpu) ||
                                                       define_has_text(changes->pool)),
                                    reterr);
        if (r < 0)
                return r;

        if (changes->name) {
                g_free(d->name);
                d->name = define_copy_word(changes->name);
        }
        if (changes->sets_autostart)
                d->autostart = changes->autostart;

        *ret = g_steal_pointer(&d);

        return 0;
}

/* ---- commit ---- */

int define_commit(Model *m, const Definition *definition, uid_t requester, VgpudError *reterr)
{
        bool is_new = !definitions_get(m->definitions, definition->uuid);
        int r;

        assert_main_thread();

        /* The record of a running instance gets the checksum first: if the daemon is killed before the
         * definition is written, the checksum is ignored. */
        if (is_new && model_get_instance(m, definition->uuid)) {
                g_autofree char *checksum = definition_checksum(definition);

                r = records_note_definition(m->records, definition->uuid, checksum);
                if (r < 0)
                        log_warning_errno(r, "Cannot write the record of instance %s, keeping it in memory: %m",
                                          definition->uuid);
        }

        return defined_put(m, definition, requester, reterr);
}
