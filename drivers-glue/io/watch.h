/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A VgpuIo that notes each path before it reads the file, lists the folder, reads the link or identifies the
 * device there. Another thread can thus tell which operation does not return. Other operations are refused. */

#include <pthread.h>

#include "drivers-glue/io/io.h"

typedef struct IoWatch {
        pthread_mutex_t mutex;           /* protects the members below */
        uint64_t began_usec;             /* CLOCK_MONOTONIC when the operation began; 0: no operation */
        bool stopped;                    /* further operations fail */
        char path[VGPU_IO_PATH_MAX + 1]; /* of the operation in progress, below /sys */
} IoWatch;

void io_watch_init(IoWatch *w);
void io_watch_done(IoWatch *w);

/* Any thread: the time in microseconds since the current operation began, and the path of its file (newly
 * allocated). 0: no operation is under way. */
uint64_t io_watch_get_age(IoWatch *w, char **ret_path);
/* Any thread: operations that begin later fail with -ECANCELED. */
void io_watch_stop(IoWatch *w);

/* `io` and `w` are borrowed, and must outlive the result. */
VgpuIo *vgpu_io_watched_new(VgpuIo *io, IoWatch *w);
