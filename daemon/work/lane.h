/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One lane per GPU: a FIFO and a thread. Work on one GPU runs in order; GPUs never wait for each other, so a
 * hanging GPU delays only its own lane. Finished work returns to the main thread through one eventfd.
 *
 * A lane first locks /run/vgpud/lane/NAME. The writer of the lane (vgpud-write) inherits the lock, as flock(2)
 * belongs to the open file. If a daemon is killed during a write, its writer keeps the lock, and the next
 * daemon waits for the end of the write. */

#include <systemd/sd-event.h>

#include "base/macros.h"
#include "drivers-glue/io/io-sysfs.h"

typedef struct Lanes Lanes;
typedef struct Lane Lane;
typedef struct LaneWork LaneWork;

struct LaneWork {
        /* Lane. May block. May use only the work and `io`. Not called after lane_cancel() has removed the work.
         */
        void (*run)(LaneWork *w, VgpuIo *io);
        /* Main thread, after run(). Takes ownership of the work. */
        void (*done)(LaneWork *w);
        /* Main thread: run() has begun (may be NULL). Called before done(), or not at all. */
        void (*started)(LaneWork *w);

        /* private to lane.c */
        Lane *lane;
        LaneWork *next;
        int phase;
};

/* Creates the VgpuIo of a lane, in the lane. keep_fd is the lock of the lane. */
typedef VgpuIo *(*LaneIoFactory)(int keep_fd, void *userdata);

int lanes_new(sd_event *event, int lock_dir_fd, LaneIoFactory factory, void *userdata, Lanes **ret);

/* `threadless` is called in the main thread when the thread of a lane with work cannot be started, once per
 * lane; `r` is the negative errno. The work waits, and the thread is started again and again, with longer and
 * longer pauses. NULL: no call. */
typedef void (*LanesThreadless)(Lane *lane, int r, void *userdata);
void lanes_on_threadless(Lanes *lanes, LanesThreadless threadless, void *userdata);

/* Wait at most timeout_usec for running work; waiting work must have been cancelled. Threads that are still
 * blocked end with the process. Returns the number of busy lanes. */
unsigned lanes_stop(Lanes *lanes, uint64_t timeout_usec);
Lanes *lanes_free(Lanes *lanes);

/* `name`: sysfs name of the GPU. The thread starts with the first work. */
Lane *lane_new(Lanes *lanes, const char *name);
/* Like lane_new(), but for work that only reads: the lane takes no lock. A blocked read would keep the lock
 * after the daemon has ended. */
Lane *lane_new_reader(Lanes *lanes, const char *name);
void lane_submit(Lane *lane, LaneWork *w);
/* Remove waiting work from the queue. True: the caller owns the work again, and done() is not called. False:
 * the work has begun. */
bool lane_cancel(Lane *lane, LaneWork *w);
/* Lane, in run(): true if other work waits in the queue of the lane. */
bool lane_is_awaited(LaneWork *w);
/* Main thread. Says what the running work waits for in the kernel (blocked_explain()); newly allocated, NULL:
 * not known. *ret_holder: the process that has the device open; newly allocated, NULL: not known. */
char *lane_find_blocked(Lane *lane, char **ret_holder);
/* Give the lane up: the thread ends after the running work. Waiting work must have been cancelled before. */
Lane *lane_release(Lane *lane);
