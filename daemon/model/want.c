/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/model/want.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fs-util.h"
#include "base/log-ids.h"
#include "base/log.h"
#include "base/shared-fd.h"
#include "base/thread.h"
#include "base/time-util.h"
#include "daemon/model/model.h"
#include "daemon/store/definitions.h"
#include "daemon/store/records.h"

#define WANTS_FOLDER  "wanted"
#define WANTS_STARTED "autostarted"

/* One change of a GPU can change the reasons of all definitions that wait. */
#define WANTS_LOG_USEC (60 * USEC_PER_SEC)
#define WANTS_LOG_MAX  100U

static void want_free(gpointer p)
{
        Want *want = p;

        vgpud_error_done(&want->waiting);
        g_clear_pointer(&want->avoided, g_ptr_array_unref);
        g_free(want);
}

static Want *want_insert(Model *m, const char *uuid)
{
        Want *want = g_new0(Want, 1);

        assert_se(uuid_normalize(uuid, want->uuid) >= 0);
        g_hash_table_insert(m->wants, want->uuid, want);

        return want;
}

/* Create an empty file, which may exist. */
static void want_create_file(Model *m, const char *name)
{
        _cleanup_close_ int fd = openat(shared_fd_get(m->wants_folder), name,
                                        O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (fd < 0)
                log_warning_errno(-errno,
                                  "Cannot write %s/" WANTS_FOLDER "/%s, which a restarted vgpud would read: %m",
                                  m->config->runtime_directory, name);
}

static void want_remove_file(Model *m, const char *name)
{
        if (unlinkat(shared_fd_get(m->wants_folder), name, 0) < 0 && errno != ENOENT)
                log_warning_errno(-errno, "Cannot remove %s/" WANTS_FOLDER "/%s: %m",
                                  m->config->runtime_directory, name);
}

GHashTable *wants_new(void)
{
        return g_hash_table_new_full(g_str_hash, g_str_equal, NULL, want_free);
}

/* Want the definitions with autostart. The file "autostarted" is written last: if vgpud is killed before that,
 * the next vgpud adds the wants again. */
static void wants_add_autostarted(Model *m)
{
        g_autoptr(GPtrArray) all = definitions_list(m->definitions, NULL);

        for (guint i = 0; i < all->len; i++) {
                const Definition *d = all->pdata[i];

                if (d->autostart)
                        want_add(m, d->uuid);
        }

        want_create_file(m, WANTS_STARTED);
}

int wants_open(Model *m)
{
        g_auto(GStrv) names = NULL;
        bool autostarted = false;
        int fd, r;

        assert_main_thread();

        fd = fs_open_directory_at(shared_fd_get(m->runtime), WANTS_FOLDER, 0700);
        if (fd < 0)
                return log_error_errno(fd, "Cannot open %s/" WANTS_FOLDER ": %m", m->config->runtime_directory);

        m->wants_folder = shared_fd_new(fd);
        r = fs_list_at(fd, ".", &names);
        if (r < 0)
                return log_error_errno(r, "Cannot read %s/" WANTS_FOLDER ": %m", m->config->runtime_directory);

        for (char **name = names; *name; name++)
                if (strcmp(*name, WANTS_STARTED) == 0)
                        autostarted = true;
                else if (definitions_get(m->definitions, *name))
                        (void)want_insert(m, *name);
                else
                        want_remove_file(m, *name);

        if (!autostarted)
                wants_add_autostarted(m);

        return 0;
}

Want *want_get(Model *m, const char *uuid)
{
        assert_main_thread();

        return g_hash_table_lookup(m->wants, uuid);
}

void want_add(Model *m, const char *uuid)
{
        const Definition *definition = definitions_get(m->definitions, uuid);

        assert_main_thread();

        if (!definition || want_get(m, uuid))
                return;

        (void)want_insert(m, uuid);
        want_create_file(m, uuid);
        model_wish_converge(m, definition->gpu);
}

/* True if the state of the definition depends on the want: neither an instance nor a job has the UUID. */
static bool want_shows(Model *m, const Definition *definition)
{
        return definition && !model_get_instance(m, definition->uuid) &&
               !records_get(m->records, definition->uuid);
}

void want_forget(Model *m, const char *uuid)
{
        const Definition *definition = definitions_get(m->definitions, uuid);

        assert_main_thread();

        if (!want_get(m, uuid))
                return;

        want_remove_file(m, uuid);
        g_hash_table_remove(m->wants, uuid);
        model_wish_converge(m, definition ? definition->gpu : NULL);
}

void want_remove(Model *m, const char *uuid)
{
        const Definition *definition = definitions_get(m->definitions, uuid);
        const bool shows = want_shows(m, definition);

        assert_main_thread();

        if (!want_get(m, uuid))
                return;

        want_forget(m, uuid);
        if (shows)
                MODEL_EMIT(m, definition_changed, definition);
}

void want_wish(Model *m, const char *uuid)
{
        const Definition *definition = definitions_get(m->definitions, uuid);

        assert_main_thread();

        if (!definition || !want_get(m, uuid))
                return;

        /* Each run looks at the definitions that name no GPU. */
        if (definition->gpu)
                model_wish_converge(m, definition->gpu);
        else
                model_wish(m, MODEL_WISH_CONVERGE);
}

static bool want_is_new_reason(const Want *want, const VgpudError *error)
{
        VgpudErrorCode code = error ? error->code : VGPUD_ERROR_NONE;

        return want->waiting.code != code ||
               (code != VGPUD_ERROR_NONE && g_strcmp0(want->waiting.message, error->message) != 0);
}

static void want_log_waiting(Model *m, const Want *want, const Definition *definition)
{
        uint64_t now = now_monotonic_usec();

        if (now >= m->wants_log_usec + WANTS_LOG_USEC) {
                m->wants_log_usec = now;
                m->wants_logged = 0;
        }

        if (m->wants_logged > WANTS_LOG_MAX)
                return;

        if (m->wants_logged++ == WANTS_LOG_MAX) {
                LOG_FIELDS(LOG_NOTICE, (.message_id = VGPUD_MESSAGE_START_WAITS),
                           "More definitions wait for their start; their reasons are not logged for up to %u s",
                           (unsigned)(WANTS_LOG_USEC / USEC_PER_SEC));
                return;
        }

        LOG_FIELDS(LOG_NOTICE,
                   (.instance = want->uuid, .gpu = definition ? definition->gpu : NULL,
                    .message_id = VGPUD_MESSAGE_START_WAITS),
                   "The start of definition %s waits: %s", want->uuid, want->waiting.message);
}

void want_set_waiting(Model *m, Want *want, const VgpudError *error)
{
        const Definition *definition = definitions_get(m->definitions, want->uuid);

        assert_main_thread();

        if (!want_is_new_reason(want, error))
                return;

        vgpud_error_done(&want->waiting);
        if (error)
                vgpud_error_copy(&want->waiting, error);

        if (error && error->code != VGPUD_ERROR_NONE)
                want_log_waiting(m, want, definition);
        if (definition)
                MODEL_EMIT(m, definition_changed, definition);
}
