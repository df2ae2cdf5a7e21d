/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One lane per GPU: a FIFO and a thread. What is done to one GPU is done in order, what is done to different
 * GPUs never waits for each other; a GPU that hangs holds up its own lane and nothing else. Finished work comes
 * back to the main thread through one eventfd for all lanes.
 *
 * A lane first takes a lock of its own, /run/vgpud/lane/NAME, which the child that does guarded writes inherits
 * (flock(2) belongs to the open file, not to the process). If an earlier daemon was killed during a write, its
 * child still has the lock, and the lane waits until that write is over before it looks at the GPU. */

#include <systemd/sd-event.h>

#include "base/macros.h"
#include "drivers-glue/io/io-sysfs.h"

typedef struct Lanes Lanes;
typedef struct Lane Lane;
typedef struct LaneWork LaneWork;

struct LaneWork {
        /* In the lane's thread. May block. Sees only what belongs to the work. Not called when the lane ends
         * first. */
        void (*run)(LaneWork *w, VgpuIo *io);
        /* In the main thread, after run() has returned. Owns the work from here on. */
        void (*done)(LaneWork *w);
        /* Main thread: run() has begun (may be NULL). Comes before done(), and not at all if done() comes
         * first. */
        void (*started)(LaneWork *w);

        /* private to lane.c */
        Lane *lane;
        LaneWork *next;
        int phase;
};

/* Makes the VgpuIo of a lane. keep_fd is the lane's lock. Called in the lane's thread. */
typedef VgpuIo *(*LaneIoFactory)(int keep_fd, void *userdata);

int lanes_new(sd_event *event, int lock_dir_fd, LaneIoFactory factory, void *userdata, Lanes **ret);

/* Wait at most timeout_usec for the lanes to finish what they run, with all waiting work dropped before; then
 * let go of those that have not, whose threads end with the process. 0, or the number of lanes that are still
 * busy. */
unsigned lanes_stop(Lanes *lanes, uint64_t timeout_usec);
Lanes *lanes_free(Lanes *lanes);

/* `name` is the sysfs name of the GPU. The thread starts with the first work. */
Lane *lane_new(Lanes *lanes, const char *name);
void lane_submit(Lane *lane, LaneWork *w);
/* Take waiting work out of the queue: true when it was still waiting (it is the caller's again; done() is not
 * called). */
bool lane_cancel(Lane *lane, LaneWork *w);
/* No more work will come; the thread ends after what it runs. Waiting work must have been cancelled before. */
Lane *lane_release(Lane *lane);
