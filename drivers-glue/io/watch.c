/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/io/watch.h"

#include "base/time-util.h"

typedef struct WatchedIo {
        VgpuIo io; /* first */
        VgpuIo *inner;
        IoWatch *watch;
} WatchedIo;

/* ---- the IoWatch ---- */

void io_watch_init(IoWatch *w)
{
        *w = (IoWatch){ 0 };
        pthread_mutex_init(&w->mutex, NULL);
}

void io_watch_done(IoWatch *w)
{
        pthread_mutex_destroy(&w->mutex);
}

uint64_t io_watch_get_age(IoWatch *w, char **ret_path)
{
        uint64_t now = now_monotonic_usec(), age = 0;

        pthread_mutex_lock(&w->mutex);
        if (w->began_usec > 0) {
                age = now > w->began_usec ? now - w->began_usec : 1;
                *ret_path = g_strdup(w->path);
        }
        pthread_mutex_unlock(&w->mutex);

        return age;
}

void io_watch_stop(IoWatch *w)
{
        pthread_mutex_lock(&w->mutex);
        w->stopped = true;
        pthread_mutex_unlock(&w->mutex);
}

/* ---- the VgpuIo ---- */

static WatchedIo *watched(VgpuIo *io)
{
        return (WatchedIo *)io;
}

static int watched_begin(WatchedIo *io, const char *path)
{
        IoWatch *w = io->watch;
        bool stopped;

        pthread_mutex_lock(&w->mutex);
        stopped = w->stopped;
        if (!stopped) {
                w->began_usec = now_monotonic_usec();
                (void)g_strlcpy(w->path, path, sizeof w->path);
        }
        pthread_mutex_unlock(&w->mutex);

        return stopped ? -ECANCELED : 0;
}

static int watched_end(WatchedIo *io, int r)
{
        pthread_mutex_lock(&io->watch->mutex);
        io->watch->began_usec = 0;
        pthread_mutex_unlock(&io->watch->mutex);

        return r;
}

static int watched_read(VgpuIo *io, const char *path, char **ret)
{
        WatchedIo *w = watched(io);
        int r = watched_begin(w, path);

        return r < 0 ? r : watched_end(w, w->inner->ops->read(w->inner, path, ret));
}

static int watched_list(VgpuIo *io, const char *path, char ***ret)
{
        WatchedIo *w = watched(io);
        int r = watched_begin(w, path);

        return r < 0 ? r : watched_end(w, w->inner->ops->list(w->inner, path, ret));
}

static int watched_read_link(VgpuIo *io, const char *path, char **ret)
{
        WatchedIo *w = watched(io);
        int r = watched_begin(w, path);

        return r < 0 ? r : watched_end(w, w->inner->ops->read_link(w->inner, path, ret));
}

static int watched_identify(VgpuIo *io, const char *path, uint64_t *ret)
{
        WatchedIo *w = watched(io);
        int r = watched_begin(w, path);

        return r < 0 ? r : watched_end(w, w->inner->ops->identify(w->inner, path, ret));
}

static int watched_write(VgpuIo *io, const char *path, const char *value)
{
        return -EOPNOTSUPP;
}

static int watched_write_guarded(VgpuIo *io, const char *path, const char *value, const VgpuWitness *witness)
{
        return -EOPNOTSUPP;
}

static int watched_open_group(VgpuIo *io, unsigned group)
{
        return -EOPNOTSUPP;
}

static int watched_node_exists(VgpuIo *io, const char *path)
{
        return -EOPNOTSUPP;
}

static int watched_find_holder(VgpuIo *io, const char *path, int *ret_pid, char **ret_command)
{
        return -EOPNOTSUPP;
}

static int watched_list_held(VgpuIo *io, const char *folder, GHashTable **ret)
{
        return -EOPNOTSUPP;
}

static int watched_read_definitions(VgpuIo *io, VgpuDefinitions **ret)
{
        return -EOPNOTSUPP;
}

static int watched_list_aliases(VgpuIo *io, const char *prefix, char ***ret)
{
        return -EOPNOTSUPP;
}

static void watched_free(VgpuIo *io)
{
        g_free(io);
}

VgpuIo *vgpu_io_watched_new(VgpuIo *io, IoWatch *w)
{
        static const VgpuIoOps ops = {
                .read = watched_read,
                .write = watched_write,
                .write_guarded = watched_write_guarded,
                .list = watched_list,
                .read_link = watched_read_link,
                .identify = watched_identify,
                .open_group = watched_open_group,
                .node_exists = watched_node_exists,
                .find_holder = watched_find_holder,
                .list_held = watched_list_held,
                .list_aliases = watched_list_aliases,
                .read_definitions = watched_read_definitions,
                .free = watched_free,
        };
        WatchedIo *result = g_new(WatchedIo, 1);

        *result = (WatchedIo){ .io.ops = &ops, .inner = io, .watch = w };

        return &result->io;
}
