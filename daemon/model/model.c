/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/model/model.h"

#include <systemd/sd-id128.h>

#include "base/fs-util.h"
#include "base/gpu-note.h"
#include "base/log.h"
#include "base/thread.h"
#include "daemon/model/want.h"
#include "daemon/store/definitions.h"
#include "daemon/store/known-types.h"
#include "daemon/store/records.h"
#include "daemon/store/settings.h"

static const ModelEvents no_events;

static const char *const readiness_table[_READINESS_MAX] = {
        [READINESS_CONVERGING] = "converging",
        [READINESS_DEGRADED] = "degraded",
        [READINESS_READY] = "ready",
};
DEFINE_STRING_TABLE_TO_STRING(readiness, Readiness)

int model_new(sd_event *event, const Config *config, sd_event_handler_t carry_out, void *userdata, Model **ret)
{
        Model *m = g_new0(Model, 1);
        sd_id128_t boot_id;
        int r;

        *m = (Model){
                .event = sd_event_ref(event),
                .config = config,
                .gpus = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
                .instances = g_hash_table_new(g_str_hash, g_str_equal),
                .jobs = g_hash_table_new(g_direct_hash, g_direct_equal),
                .keeps = g_hash_table_new(g_str_hash, g_str_equal),
                .wants = wants_new(),
                .to_converge = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
                .watcher = &no_events,
                .events = &no_events,
        };

        r = sd_id128_get_boot(&boot_id);
        if (r >= 0)
                r = sd_event_add_defer(event, &m->wishes_source, carry_out, userdata);
        if (r >= 0)
                r = sd_event_source_set_enabled(m->wishes_source, SD_EVENT_OFF);
        /* Run before requests that arrive in the same iteration of the event loop. */
        if (r >= 0)
                r = sd_event_source_set_priority(m->wishes_source, SD_EVENT_PRIORITY_IMPORTANT);
        if (r < 0) {
                model_free(m);
                return r;
        }

        sd_id128_to_uuid_string(boot_id, m->boot_id);
        (void)sd_event_source_set_description(m->wishes_source, "wishes");

        *ret = m;

        return 0;
}

Model *model_free(Model *m)
{
        assert_main_thread();

        if (!m)
                return NULL;

        g_assert(g_hash_table_size(m->gpus) == 0);

        sd_event_source_disable_unref(m->wishes_source);
        records_free(m->records);
        known_types_free(m->known_types);
        g_hash_table_unref(m->wants);
        shared_fd_unref(m->wants_folder);
        g_hash_table_unref(m->to_converge);
        g_hash_table_unref(m->keeps);
        definitions_free(m->definitions);
        settings_free(m->settings);
        shared_fd_unref(m->runtime);
        g_hash_table_unref(m->gpus);
        g_hash_table_unref(m->instances);
        g_hash_table_unref(m->jobs);
        sd_event_unref(m->event);
        g_free(m);

        return NULL;
}

int model_open(Model *m)
{
        const char *directory = m->config->runtime_directory;
        int r;

        assert_main_thread();

        r = fs_open_directory(directory, 0755);
        if (r < 0)
                return log_error_errno(r, "Cannot open %s: %m", directory);

        m->runtime = shared_fd_new(r);
        r = records_open(shared_fd_get(m->runtime), &m->records);
        if (r < 0)
                return log_error_errno(r, "Cannot read the records in %s: %m", directory);

        gpu_notes_remove_temporary_files(shared_fd_get(m->runtime));
        m->known_types = known_types_new(m->config->state_directory);
        m->definitions = definitions_new(m->config->state_directory);
        m->settings = settings_new(m->config->state_directory);

        return wants_open(m);
}

void model_set_events(Model *m, const ModelEvents *events, void *userdata)
{
        assert_main_thread();

        m->events = events ? events : &no_events;
        m->events_userdata = userdata;
}

void model_set_watcher(Model *m, const ModelEvents *watcher, void *userdata)
{
        assert_main_thread();

        m->watcher = watcher ? watcher : &no_events;
        m->watcher_userdata = userdata;
}

/* ---- wishes ---- */

void model_wish(Model *m, ModelWish wish)
{
        int r;

        assert_main_thread();

        if (m->stopping)
                return;

        m->wishes |= wish;
        r = sd_event_source_set_enabled(m->wishes_source, SD_EVENT_ONESHOT);
        if (r < 0)
                log_warning_errno(r, "Cannot schedule the wishes of the model: %m");
}

void model_wish_converge(Model *m, const char *gpu)
{
        assert_main_thread();

        if (gpu && !g_hash_table_contains(m->to_converge, gpu))
                g_hash_table_add(m->to_converge, g_strdup(gpu));
        m->converge_all |= !gpu;
        model_wish(m, MODEL_WISH_CONVERGE);
}

void model_set_readiness(Model *m, Readiness readiness)
{
        assert_main_thread();

        if (m->readiness == readiness)
                return;

        m->readiness = readiness;
        MODEL_EMIT(m, readiness_changed, m);
}

unsigned model_take_wishes(Model *m)
{
        unsigned wishes = m->wishes;

        assert_main_thread();

        m->wishes = 0;

        return wishes;
}

/* ---- lookups ---- */

GHashTable *model_gpus(Model *m)
{
        assert_main_thread();

        return m->gpus;
}

GHashTable *model_jobs(Model *m)
{
        assert_main_thread();

        return m->jobs;
}

GHashTable *model_instances(Model *m)
{
        assert_main_thread();

        return m->instances;
}

Gpu *model_get_gpu(Model *m, const char *name)
{
        assert_main_thread();

        return g_hash_table_lookup(m->gpus, name);
}

Instance *model_get_instance(Model *m, const char *uuid)
{
        assert_main_thread();

        return g_hash_table_lookup(m->instances, uuid);
}

Job *model_get_job(Model *m, uint32_t id)
{
        assert_main_thread();

        return g_hash_table_lookup(m->jobs, GUINT_TO_POINTER(id));
}

const Config *model_config(Model *m)
{
        return m->config;
}
