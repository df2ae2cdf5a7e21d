/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/requests/find.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "base/parse-util.h"
#include "base/pci-addr.h"
#include "base/text.h"
#include "base/thread.h"
#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/model/model.h"
#include "daemon/store/definitions.h"
#include "daemon/store/settings.h"
#include "daemon/work/job-create.h"

/* sysfs names are file names. */
static bool find_gpu_name_is_valid(const char *name)
{
        size_t n = strlen(name);

        if (n == 0 || n > NAME_MAX || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
                return false;

        for (size_t i = 0; i < n; i++)
                if (!g_ascii_isgraph(name[i]) || name[i] == '/')
                        return false;

        return true;
}

char *request_read_address(const char *word)
{
        char *name = pci_addr_to_name(word);

        return name ? name : g_strdup(word);
}

int request_get_gpu(Model *m, const char *word, Gpu **ret, VgpudError *reterr)
{
        g_autofree char *name = request_read_address(word);
        Gpu *gpu = model_get_gpu(m, name);

        assert_main_thread();

        if (!gpu && !find_gpu_name_is_valid(word))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "\"%s\" is not the name of a GPU",
                                        TEXT_QUOTE(word));
        if (!gpu)
                return vgpud_error_setf(reterr, VGPUD_ERROR_NO_SUCH_GPU, "there is no GPU \"%s\"",
                                        TEXT_QUOTE(word));

        *ret = gpu;

        return 0;
}

int request_get_kept_gpu(Model *m, const char *word, char **ret, VgpudError *reterr)
{
        g_autofree char *name = request_read_address(word);
        Gpu *gpu;
        int r = 0;

        assert_main_thread();

        if (!settings_get(m->settings, name))
                r = request_get_gpu(m, word, &gpu, reterr);
        if (r < 0)
                return r;

        *ret = g_steal_pointer(&name);

        return 0;
}

VgpudErrorCode request_explain_record(Model *m, const Record *record, char **ret)
{
        const Gpu *gpu = model_get_gpu(m, record->gpu);

        assert_main_thread();

        if (!gpu && m->discovered) {
                *ret = g_strdup_printf("GPU %s does not exist, or vgpud.conf does not admit the GPU",
                                       record->gpu);
                return VGPUD_ERROR_GPU_GONE;
        }

        if (gpu && !gpu->driver && gpu->state != GPU_STUCK) {
                *ret = g_strdup_printf("GPU %s offers no virtual GPUs: %s", record->gpu, gpu->reason);
                return VGPUD_ERROR_UNSUPPORTED;
        }

        if (!gpu || gpu->state == GPU_NEW || gpu_is_stale(gpu)) {
                *ret = g_strdup_printf("GPU %s has not answered yet%s%s", record->gpu,
                                       gpu && gpu->reason ? ": " : "", gpu && gpu->reason ? gpu->reason : "");
                return VGPUD_ERROR_GPU_STUCK;
        }

        *ret = g_strdup_printf("the last scan of GPU %s did not find the instance", record->gpu);

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

/* Explain, from jobs, records and definitions, why no instance has this name or UUID. `uuid` NULL: the word is
 * a name. */
static int find_explain_missing(Model *m, const char *word, const char *uuid, VgpudError *reterr)
{
        const Definition *definition = uuid ? definitions_get(m->definitions, uuid)
                                            : definitions_find_name(m->definitions, word);
        g_autofree char *where = NULL;
        const Record *record;
        VgpudErrorCode code;
        const Job *job;

        record = uuid ? records_get(m->records, uuid) : records_find_name(m->records, word);
        if (!record && definition)
                record = records_get(m->records, definition->uuid);
        if (!record && definition) {
                int r = vgpud_error_setf(reterr, VGPUD_ERROR_NO_SUCH_INSTANCE, "definition %s is not started",
                                         definition->uuid);

                vgpud_error_hintf(reterr, VGPUD_HINT_USE_START, "start the definition");
                return r;
        }

        if (!record)
                return vgpud_error_setf(reterr, VGPUD_ERROR_NO_SUCH_INSTANCE, "there is no instance \"%s\"",
                                        TEXT_QUOTE(word));

        job = find_creating_job(m, record->uuid);
        if (job) {
                int r = vgpud_error_setf(reterr, VGPUD_ERROR_NO_SUCH_INSTANCE,
                                         "job %" PRIu32 " has not created instance %s on GPU %s yet", job->id,
                                         record->uuid, record->gpu);

                vgpud_error_hint_job(reterr, job->id);
                return r;
        }

        code = request_explain_record(m, record, &where);

        return vgpud_error_setf(reterr, code, "instance %s is not available: %s", record->uuid, where);
}

static Instance *find_instance_by_name(Model *m, const char *name)
{
        GHashTableIter iter;
        Instance *instance;

        g_hash_table_iter_init(&iter, m->instances);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&instance))
                if (g_strcmp0(instance->name, name) == 0)
                        return instance;

        return NULL;
}

int request_get_instance(Model *m, const char *word, Instance **ret, VgpudError *reterr)
{
        char uuid[UUID_STRLEN + 1];
        bool is_uuid = uuid_normalize(word, uuid) >= 0;
        Instance *instance;

        assert_main_thread();

        if (!is_uuid && !instance_name_is_valid(word))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "\"%s\" is neither a name nor a UUID",
                                        TEXT_QUOTE(word));

        instance = is_uuid ? model_get_instance(m, uuid) : find_instance_by_name(m, word);

        /* An edit renames the definition, but not its running instance: look for the definition's name, too. */
        if (!instance && !is_uuid && definitions_find_name(m->definitions, word))
                instance = model_get_instance(m, definitions_find_name(m->definitions, word)->uuid);
        if (!instance)
                return find_explain_missing(m, word, is_uuid ? uuid : NULL, reterr);

        *ret = instance;

        return 0;
}

char *request_find_uuid(Model *m, const char *uuid)
{
        const Instance *instance = model_get_instance(m, uuid);
        const Record *record;
        const Job *job;

        assert_main_thread();

        if (instance)
                return g_strdup_printf(
                                "an instance of type %s on GPU %s%s%s has the UUID",
                                instance->desc->type_id ? instance->desc->type_id : "(unknown)",
                                gpu_name(instance->gpu),
                                strcmp(instance->desc->parent, gpu_name(instance->gpu)) != 0 ? ", parent " : "",
                                strcmp(instance->desc->parent, gpu_name(instance->gpu)) != 0
                                                ? instance->desc->parent
                                                : "");

        job = find_creating_job(m, uuid);
        if (job)
                return g_strdup_printf("job %" PRIu32 " creates an instance with the UUID on GPU %s", job->id,
                                       job->gpu_name);

        /* While the GPU cannot be scanned, the record still reserves the UUID. */
        record = records_get(m->records, uuid);
        if (record) {
                g_autofree char *where = NULL;

                (void)request_explain_record(m, record, &where);
                return g_strdup_printf("an instance of type %s has the UUID, but %s", record->type_id, where);
        }

        return NULL;
}

int request_check_ours(const Instance *instance, VgpudError *reterr)
{
        const char *uuid = instance->desc->uuid;
        int r;

        assert_main_thread();

        if (instance->origin != INSTANCE_ORIGIN_FOREIGN)
                return 0;

        r = vgpud_error_setf(reterr, VGPUD_ERROR_FOREIGN, "another program created instance %s", uuid);
        vgpud_error_hintf(
                        reterr, VGPUD_HINT_USE_FOREIGN,
                        "\"vgpuctl destroy --foreign %s\" destroys the instance; on D-Bus, give Destroy the option foreign",
                        uuid);

        return r;
}

int request_check_idle(const Instance *instance, VgpudError *reterr)
{
        int r;

        assert_main_thread();

        if (!instance->job)
                return 0;

        r = vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE, "job %" PRIu32 " (%s) works on instance %s",
                             instance->job->id, instance->job->kind->name, instance->desc->uuid);
        vgpud_error_hint_job(reterr, instance->job->id);

        return r;
}

/* ---- free names ---- */

/* Refuse a UUID or name of another definition than `own`. */
static int find_refuse_definition(const Definition *taken, const Definition *own, const char *word,
                                  VgpudError *reterr)
{
        int r;

        if (!taken || taken == own)
                return 0;

        r = vgpud_error_setf(reterr, VGPUD_ERROR_EXISTS, "%s belongs to definition %s", word, taken->uuid);
        if (own)
                vgpud_error_hintf(
                                reterr, VGPUD_HINT_CHOOSE_OTHER,
                                "change the name of one of the two definitions: vgpuctl edit UUID --name NAME");
        else
                vgpud_error_hintf(
                                reterr, VGPUD_HINT_USE_START,
                                "give another UUID or name; \"vgpuctl start %s\" creates the instance of the definition",
                                taken->uuid);

        return r;
}

/* Refuse the start of a definition whose instance exists, or is being created. */
static int find_refuse_start(Model *m, const Definition *definition, VgpudError *reterr)
{
        const Instance *instance = model_get_instance(m, definition->uuid);
        const Job *job = instance ? instance->job : find_creating_job(m, definition->uuid);
        int r;

        if (job) {
                r = vgpud_error_setf(reterr, VGPUD_ERROR_EXISTS,
                                     "job %" PRIu32 " (%s) works on the instance of definition %s", job->id,
                                     job->kind->name, definition->uuid);
                vgpud_error_hint_job(reterr, job->id);
                return r;
        }

        if (instance && instance->origin == INSTANCE_ORIGIN_VGPUD)
                return vgpud_error_setf(reterr, VGPUD_ERROR_EXISTS, "definition %s is started already",
                                        definition->uuid);

        return 0;
}

int request_check_uuid(Model *m, const char *word, const Definition *own, VgpudError *reterr)
{
        char uuid[UUID_STRLEN + 1];
        int r;

        assert_main_thread();

        if (uuid_normalize(word, uuid) < 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "\"%s\" is not a UUID (8-4-4-4-12 hexadecimal digits)",
                                        TEXT_QUOTE(word));

        if (uuid_is_nil(uuid)) {
                r = vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                     "UUID %s is the nil UUID, which no instance may have", uuid);
                vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER,
                                  "give another UUID, or none to have one generated");
                return r;
        }

        if (own) {
                r = find_refuse_start(m, own, reterr);
                if (r < 0)
                        return r;
        }

        g_autofree char *where = request_find_uuid(m, uuid);
        if (where)
                return vgpud_error_setf(reterr, VGPUD_ERROR_EXISTS, "UUID %s is taken: %s", uuid, where);

        return find_refuse_definition(definitions_get(m->definitions, uuid), own, "the UUID", reterr);
}

int request_check_name(Model *m, const char *name, const Definition *own, VgpudError *reterr)
{
        const Record *record;
        int r;

        assert_main_thread();

        if (!instance_name_is_valid(name)) {
                r = vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "\"%s\" is not a valid name",
                                     TEXT_QUOTE(name));
                vgpud_error_hintf(
                                reterr, VGPUD_HINT_SEE_MANUAL,
                                "use 1 to 64 letters, digits, \"_\", \".\" and \"-\", beginning with a letter or a digit, and no UUID");
                return r;
        }

        g_autofree char *gpu_name = request_read_address(name);
        if (model_get_gpu(m, gpu_name))
                return vgpud_error_setf(reterr, VGPUD_ERROR_EXISTS, "a GPU has the name \"%s\"", name);

        record = records_find_name(m->records, name);
        if (record && (!own || strcmp(record->uuid, own->uuid) != 0))
                return vgpud_error_setf(reterr, VGPUD_ERROR_EXISTS, "the name \"%s\" is taken by instance %s",
                                        name, record->uuid);

        return find_refuse_definition(definitions_find_name(m->definitions, name), own, "the name", reterr);
}
