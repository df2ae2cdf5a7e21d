/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/converge/vanished.h"

#include <string.h>
#include <systemd/sd-event.h>

#include "base/log-ids.h"
#include "base/log.h"
#include "base/thread.h"
#include "daemon/model/apply.h"
#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/model/model.h"
#include "daemon/model/want.h"

struct Vanished {
        Model *model;           /* borrowed */
        GHashTable *entries;    /* owned: UUID in the entry -> VanishedEntry */
        GHashTable *moved;      /* owned: path (owned) -> uint64_t (owned), CLOCK_MONOTONIC of its last event */
        guint moved_limit;      /* size of the table at which old events are forgotten */
        uint64_t lost_usec;     /* CLOCK_MONOTONIC, when the kernel dropped events; 0: never */
        sd_event_source *timer; /* owned; NULL: there are no entries */
};

/* Forget no old events of devices before the table has this size. */
#define MOVED_MIN 256U

typedef struct VanishedEntry {
        char uuid[UUID_STRLEN + 1];
        char *gpu;          /* owned: sysfs name */
        InstanceDesc *desc; /* owned */
        uint64_t usec;      /* CLOCK_MONOTONIC, when the instance left the model */
} VanishedEntry;

static void vanished_entry_free(gpointer p)
{
        VanishedEntry *entry = p;

        g_free(entry->gpu);
        instance_desc_free(entry->desc);
        g_free(entry);
}

Vanished *vanished_new(Model *m)
{
        Vanished *v = g_new0(Vanished, 1);

        assert_main_thread();

        v->model = m;
        v->entries = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, vanished_entry_free);
        v->moved = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        v->moved_limit = MOVED_MIN;

        return v;
}

Vanished *vanished_free(Vanished *v)
{
        assert_main_thread();

        sd_event_source_disable_unref(v->timer);
        g_hash_table_unref(v->entries);
        g_hash_table_unref(v->moved);
        g_free(v);

        return NULL;
}

static bool vanished_has_parent(const Gpu *gpu, const InstanceDesc *desc)
{
        return gpu->driver && apply_has_place(gpu->facts, desc);
}

static void vanished_set_timer(Vanished *v);

/* The parent has stayed, so another program removed the device: end the want. */
static void vanished_give_up(Vanished *v, const VanishedEntry *entry)
{
        /* A user has stopped the definition meanwhile. */
        if (!want_get(v->model, entry->uuid))
                return;

        LOG_FIELDS(LOG_NOTICE,
                   (.instance = entry->uuid, .gpu = entry->gpu, .message_id = VGPUD_MESSAGE_INSTANCE_GONE),
                   "Definition %s is stopped, because another program removed its device from GPU %s",
                   entry->uuid, entry->gpu);
        want_remove(v->model, entry->uuid);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        Vanished *v = userdata;
        uint64_t now = now_monotonic_usec();
        GHashTableIter iter;
        VanishedEntry *entry;

        v->timer = sd_event_source_disable_unref(v->timer);

        g_hash_table_iter_init(&iter, v->entries);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&entry)) {
                const Gpu *gpu = model_get_gpu(v->model, entry->gpu);

                if (now < entry->usec + VANISHED_USEC)
                        continue;

                /* A GPU that does not answer proves nothing: then create the instance again. */
                if (gpu && vanished_has_parent(gpu, entry->desc) && !gpu_is_stale(gpu))
                        vanished_give_up(v, entry);
                else
                        want_wish(v->model, entry->uuid);
                g_hash_table_iter_remove(&iter);
        }

        vanished_set_timer(v);

        return 0;
}

/* Wake up for the oldest entry. */
static void vanished_set_timer(Vanished *v)
{
        uint64_t next = UINT64_MAX;
        GHashTableIter iter;
        const VanishedEntry *entry;
        int r = 0;

        g_hash_table_iter_init(&iter, v->entries);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&entry))
                next = MIN(next, entry->usec + VANISHED_USEC);

        v->timer = sd_event_source_disable_unref(v->timer);
        if (next != UINT64_MAX)
                r = sd_event_add_time(v->model->event, &v->timer, CLOCK_MONOTONIC, next, 10 * USEC_PER_MSEC,
                                      on_timer, v);
        if (r < 0)
                log_warning_errno(r, "Cannot set the timer for instances that disappeared: %m");
}

/* ---- events of devices ---- */

static bool path_is_at_or_below(const char *path, const char *device)
{
        size_t length = strlen(device);

        return strncmp(path, device, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static gboolean moved_is_old(gpointer key, gpointer value, gpointer userdata)
{
        const uint64_t *usec = value, *now = userdata;

        return *usec + VANISHED_USEC < *now;
}

static void vanished_remember_move(Vanished *v, const char *path)
{
        uint64_t now = now_monotonic_usec(), *usec = g_new(uint64_t, 1);

        /* The next limit is twice the size, so a burst of new devices does not pay for each event. */
        if (g_hash_table_size(v->moved) >= v->moved_limit) {
                (void)g_hash_table_foreach_remove(v->moved, moved_is_old, &now);
                v->moved_limit = MAX(MOVED_MIN, 2 * g_hash_table_size(v->moved));
        }

        *usec = now;
        g_hash_table_replace(v->moved, g_strdup(path), usec);
}

/* True if the device at the path, or one above it, has moved between `since_usec` and now. */
static bool vanished_has_moved(const Vanished *v, const char *path, uint64_t since_usec)
{
        uint64_t now = now_monotonic_usec(), first = MAX(since_usec, now - MIN(now, VANISHED_USEC));
        g_autofree char *device = g_strdup(path);

        if (v->lost_usec > first)
                return true;

        for (;;) {
                const uint64_t *usec = g_hash_table_lookup(v->moved, device);
                char *end = strrchr(device, '/');

                if (usec && *usec > first)
                        return true;
                if (!end)
                        return false;

                *end = '\0';
        }
}

void vanished_note_moved(Vanished *v, const char *path)
{
        GHashTableIter iter;
        const VanishedEntry *entry;

        assert_main_thread();

        if (path)
                vanished_remember_move(v, path);
        else
                v->lost_usec = now_monotonic_usec();

        g_hash_table_iter_init(&iter, v->entries);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&entry)) {
                if (path && !path_is_at_or_below(entry->desc->path, path))
                        continue;

                want_wish(v->model, entry->uuid);
                g_hash_table_iter_remove(&iter);
        }
}

/* ---- instances ---- */

void vanished_add(Vanished *v, const Instance *instance, uint64_t since_usec)
{
        VanishedEntry *entry;

        assert_main_thread();

        if (v->model->stopping || !vanished_has_parent(instance->gpu, instance->desc) ||
            vanished_has_moved(v, instance->desc->path, since_usec))
                return;

        entry = g_new0(VanishedEntry, 1);
        memcpy(entry->uuid, instance->desc->uuid, sizeof entry->uuid);
        entry->gpu = g_strdup(gpu_name(instance->gpu));
        entry->desc = instance_desc_copy(instance->desc);
        entry->usec = now_monotonic_usec();
        g_hash_table_replace(v->entries, entry->uuid, entry);

        if (!v->timer)
                vanished_set_timer(v);
}

void vanished_remove(Vanished *v, const char *uuid)
{
        assert_main_thread();

        (void)g_hash_table_remove(v->entries, uuid);
}

bool vanished_contains(const Vanished *v, const char *uuid)
{
        assert_main_thread();

        return g_hash_table_contains(v->entries, uuid);
}

static void vanished_drop(Vanished *v, const Gpu *gpu, bool is_gone)
{
        GHashTableIter iter;
        const VanishedEntry *entry;

        g_hash_table_iter_init(&iter, v->entries);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&entry))
                if (strcmp(entry->gpu, gpu_name(gpu)) == 0 &&
                    (is_gone || !vanished_has_parent(gpu, entry->desc))) {
                        want_wish(v->model, entry->uuid);
                        g_hash_table_iter_remove(&iter);
                }
}

void vanished_note_gpu(Vanished *v, const Gpu *gpu)
{
        assert_main_thread();

        vanished_drop(v, gpu, false);
}

void vanished_note_gpu_removed(Vanished *v, const Gpu *gpu)
{
        assert_main_thread();

        vanished_drop(v, gpu, true);
}
