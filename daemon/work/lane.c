/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/work/lane.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <time.h>

#include "base/log.h"
#include "base/thread.h"
#include "drivers-glue/blocked.h"

/* Lifetime of an idle writer, so that a burst of jobs shares one writer. */
#define WRITER_IDLE_USEC (5 * USEC_PER_SEC)

/* Time to the next attempt to start threads that could not be started; doubled by each failure. */
#define RETRY_MIN_USEC (100 * USEC_PER_MSEC)
#define RETRY_MAX_USEC (10 * USEC_PER_SEC)

enum {
        PHASE_WAITING,
        PHASE_RUNNING, /* the work has begun, but the main thread has not noticed yet */
        PHASE_STARTED, /* the main thread has noticed the start */
};

struct Lanes {
        sd_event *event;         /* ref */
        sd_event_source *source; /* owned */
        int event_fd;            /* owned; signals starts and ends */
        int lock_dir_fd;         /* owned */
        LaneIoFactory factory;
        void *userdata;
        GPtrArray *lanes; /* borrowed; the lanes that are not released */

        sd_event_source *retry; /* owned; tries again to start threads */
        uint64_t retry_usec;    /* time to the next attempt */
        LanesThreadless threadless;
        void *threadless_userdata;

        pthread_mutex_t mutex; /* protects the members below, and queues and phases of all lanes */
        pthread_cond_t idle;   /* a lane has become idle, or a thread has ended */
        LaneWork *done, **done_tail;
        unsigned busy;    /* threads that run work now */
        unsigned threads; /* threads that may still use this struct */
};

struct Lane {
        atomic_int refs; /* main thread and lane thread */
        Lanes *lanes;    /* outlives the lane */
        char *name;
        bool locks; /* the thread takes the lock that orders writes of several processes */
        pthread_cond_t wake;
        LaneWork *head, **tail;
        LaneWork *running;
        bool started;           /* the thread has been made */
        bool told;              /* the failure to start the thread was reported */
        bool ending;            /* no more work will come */
        char *blocked, *holder; /* owned; see lane_find_blocked(); NULL: nothing is slow */
};

static Lane *lane_unref(Lane *lane)
{
        if (!lane || atomic_fetch_sub(&lane->refs, 1) != 1)
                return NULL;

        pthread_cond_destroy(&lane->wake);
        g_free(lane->blocked);
        g_free(lane->holder);
        g_free(lane->name);
        g_free(lane);

        return NULL;
}

static void lane_wake_main(Lanes *lanes)
{
        uint64_t one = 1;

        while (write(lanes->event_fd, &one, sizeof one) < 0 && errno == EINTR)
                ;
}

static void lane_timespec_in(uint64_t usec, struct timespec *ret)
{
        (void)clock_gettime(CLOCK_MONOTONIC, ret);
        uint64_t nsec = (uint64_t)ret->tv_nsec + usec % USEC_PER_SEC * 1000;
        ret->tv_sec += (time_t)(usec / USEC_PER_SEC + nsec / 1000000000);
        ret->tv_nsec = (long)(nsec % 1000000000);
}

static void lane_cond_init(pthread_cond_t *cond)
{
        pthread_condattr_t attr;

        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_cond_init(cond, &attr);
        pthread_condattr_destroy(&attr);
}

/* Waits until no other process, such as the writer of an earlier daemon, holds the lock. */
static int lane_take_lock(Lane *lane)
{
        _cleanup_close_ int fd = openat(lane->lanes->lock_dir_fd, lane->name,
                                        O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (fd < 0)
                return log_warning_errno(-errno, "Cannot open the lock of lane %s, continuing without lock: %m",
                                         lane->name);

        while (flock(fd, LOCK_EX) < 0)
                if (errno != EINTR)
                        return log_warning_errno(-errno, "Cannot lock lane %s, continuing without lock: %m",
                                                 lane->name);

        return TAKE_FD(fd);
}

/* Wait for the next work and return it, or NULL if the lane ends. The caller holds the mutex. The lane ends its
 * writer if the writer is idle for WRITER_IDLE_USEC. */
static LaneWork *lane_next_work(Lane *lane, VgpuIo *io)
{
        Lanes *lanes = lane->lanes;
        bool idle_done = !io;
        struct timespec until;

        lane_timespec_in(WRITER_IDLE_USEC, &until);

        while (!lane->head && !lane->ending) {
                if (idle_done) {
                        pthread_cond_wait(&lane->wake, &lanes->mutex);
                        continue;
                }

                if (pthread_cond_timedwait(&lane->wake, &lanes->mutex, &until) == ETIMEDOUT && !lane->head) {
                        idle_done = true;
                        pthread_mutex_unlock(&lanes->mutex);
                        vgpu_io_sysfs_rest(io);
                        pthread_mutex_lock(&lanes->mutex);
                }
        }

        LaneWork *w = lane->head;
        if (w) {
                lane->head = w->next;
                if (!lane->head)
                        lane->tail = &lane->head;
                w->next = NULL;
                w->phase = PHASE_RUNNING;
                lane->running = w;
                lanes->busy++;
        }

        return w;
}

/* Takes ownership of both texts. The caller holds the mutex. */
static void lane_set_blocked(Lane *lane, char *blocked, char *holder)
{
        g_free(lane->blocked);
        g_free(lane->holder);
        lane->blocked = blocked;
        lane->holder = holder;
}

/* VgpuIoSlow, in the lane: find out what a slow operation waits for, so that on_job_deadline() can name it.
 * `value` NULL: the operation has ended. */
static void lane_note_slow(VgpuIo *io, const char *path, const char *value, void *userdata)
{
        g_autofree char *blocked = NULL, *holder = NULL;
        Lane *lane = userdata;

        if (value)
                blocked = blocked_explain(io, lane->name, path, value, &holder);

        pthread_mutex_lock(&lane->lanes->mutex);
        lane_set_blocked(lane, g_steal_pointer(&blocked), g_steal_pointer(&holder));
        pthread_mutex_unlock(&lane->lanes->mutex);
}

static void *lane_thread(void *userdata)
{
        Lane *lane = userdata;
        Lanes *lanes = lane->lanes;
        _cleanup_close_ int lock_fd = -EBADF;
        VgpuIo *io = NULL;
        LaneWork *w;

        thread_set_roles(THREAD_LANE);
        pthread_mutex_lock(&lanes->mutex);

        while ((w = lane_next_work(lane, io))) {
                pthread_mutex_unlock(&lanes->mutex);
                lane_wake_main(lanes);

                if (!io) {
                        /* Taking the lock may block: the deadline of the first work covers it. */
                        if (lane->locks)
                                lock_fd = lane_take_lock(lane);
                        io = lanes->factory(lock_fd, lanes->userdata);
                        vgpu_io_on_slow(io, lane_note_slow, lane);
                }

                w->run(w, io);
                pthread_mutex_lock(&lanes->mutex);
                lane->running = NULL;
                lane_set_blocked(lane, NULL, NULL);
                lanes->busy--;
                *lanes->done_tail = w;
                lanes->done_tail = &w->next;
                pthread_cond_broadcast(&lanes->idle);
                lane_wake_main(lanes);
        }

        pthread_mutex_unlock(&lanes->mutex);
        vgpu_io_free(io);
        lane_unref(lane);

        pthread_mutex_lock(&lanes->mutex);
        lanes->threads--;
        pthread_cond_broadcast(&lanes->idle);
        pthread_mutex_unlock(&lanes->mutex);

        return NULL;
}

/* Main thread: report ended and started work. */
static void lanes_dispatch(Lanes *lanes)
{
        g_autoptr(GPtrArray) begun = g_ptr_array_new();

        pthread_mutex_lock(&lanes->mutex);

        for (guint i = 0; i < lanes->lanes->len; i++) {
                Lane *lane = lanes->lanes->pdata[i];

                if (lane->running && lane->running->phase == PHASE_RUNNING) {
                        lane->running->phase = PHASE_STARTED;
                        if (lane->running->started)
                                g_ptr_array_add(begun, lane->running);
                }
        }

        LaneWork *done = lanes->done;
        lanes->done = NULL;
        lanes->done_tail = &lanes->done;
        pthread_mutex_unlock(&lanes->mutex);

        /* Report ends first: the ended work precedes the running work of the same lane. Running work that ends
         * meanwhile is reported by the next dispatch. */
        while (done) {
                LaneWork *w = done;

                done = w->next;
                w->next = NULL;
                w->done(w);
        }

        for (guint i = 0; i < begun->len; i++) {
                LaneWork *w = begun->pdata[i];

                w->started(w);
        }
}

static int on_lane_events(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        uint64_t n;

        (void)!read(fd, &n, sizeof n);
        lanes_dispatch(userdata);

        return 0;
}

int lanes_new(sd_event *event, int lock_dir_fd, LaneIoFactory factory, void *userdata, Lanes **ret)
{
        Lanes *lanes = g_new0(Lanes, 1);
        int r;

        assert_main_thread();

        lanes->event = sd_event_ref(event);
        lanes->lock_dir_fd = fcntl(lock_dir_fd, F_DUPFD_CLOEXEC, 3);
        lanes->factory = factory;
        lanes->userdata = userdata;
        lanes->lanes = g_ptr_array_new();
        lanes->done_tail = &lanes->done;
        lanes->retry_usec = RETRY_MIN_USEC;
        pthread_mutex_init(&lanes->mutex, NULL);
        lane_cond_init(&lanes->idle);
        lanes->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

        r = lanes->event_fd < 0 ? -errno
                                : sd_event_add_io(event, &lanes->source, lanes->event_fd, EPOLLIN,
                                                  on_lane_events, lanes);
        if (r < 0) {
                lanes_free(lanes);
                return r;
        }

        (void)sd_event_source_set_description(lanes->source, "lanes");
        *ret = lanes;

        return 0;
}

unsigned lanes_stop(Lanes *lanes, uint64_t timeout_usec)
{
        struct timespec until;
        unsigned busy;

        assert_main_thread();

        lane_timespec_in(timeout_usec, &until);
        pthread_mutex_lock(&lanes->mutex);

        while (lanes->busy > 0)
                if (pthread_cond_timedwait(&lanes->idle, &lanes->mutex, &until) == ETIMEDOUT)
                        break;

        busy = lanes->busy;
        pthread_mutex_unlock(&lanes->mutex);
        lanes_dispatch(lanes);

        return busy;
}

Lanes *lanes_free(Lanes *lanes)
{
        assert_main_thread();

        if (!lanes)
                return NULL;

        g_assert(lanes->lanes->len == 0);
        lanes->source = sd_event_source_disable_unref(lanes->source);
        lanes->retry = sd_event_source_disable_unref(lanes->retry);
        lanes->event = sd_event_unref(lanes->event);
        g_ptr_array_unref(lanes->lanes);

        pthread_mutex_lock(&lanes->mutex);

        while (lanes->threads > lanes->busy)
                pthread_cond_wait(&lanes->idle, &lanes->mutex);
        bool busy = lanes->threads > 0;
        pthread_mutex_unlock(&lanes->mutex);

        if (busy)
                return NULL; /* a blocked thread still uses the lanes, until the process ends */

        safe_close(lanes->event_fd);
        safe_close(lanes->lock_dir_fd);
        pthread_cond_destroy(&lanes->idle);
        pthread_mutex_destroy(&lanes->mutex);
        g_free(lanes);

        return NULL;
}

static Lane *lane_make(Lanes *lanes, const char *name, bool locks)
{
        Lane *lane = g_new0(Lane, 1);

        assert_main_thread();

        lane->refs = 1;
        lane->lanes = lanes;
        lane->name = g_strdup(name);
        lane->locks = locks;
        lane->tail = &lane->head;
        lane_cond_init(&lane->wake);
        g_ptr_array_add(lanes->lanes, lane);

        return lane;
}

Lane *lane_new(Lanes *lanes, const char *name)
{
        return lane_make(lanes, name, true);
}

Lane *lane_new_reader(Lanes *lanes, const char *name)
{
        return lane_make(lanes, name, false);
}

static int lane_start(Lane *lane)
{
        pthread_attr_t attr;
        pthread_t thread;
        sigset_t all, old;

        /* Signals are for the main thread. */
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        pthread_attr_init(&attr);
        pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        atomic_fetch_add(&lane->refs, 1);
        pthread_mutex_lock(&lane->lanes->mutex);
        lane->lanes->threads++;
        pthread_mutex_unlock(&lane->lanes->mutex);
        int r = pthread_create(&thread, &attr, lane_thread, lane);
        pthread_attr_destroy(&attr);
        pthread_sigmask(SIG_SETMASK, &old, NULL);

        lane->started = r == 0;
        if (lane->started)
                return 0;

        pthread_mutex_lock(&lane->lanes->mutex);
        lane->lanes->threads--;
        pthread_mutex_unlock(&lane->lanes->mutex);
        (void)lane_unref(lane);

        return -r;
}

static void lanes_retry_later(Lanes *lanes);

/* Report a lane only after the second attempt: the limit of threads may be exceeded only for a moment. */
static int on_lanes_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
        g_autoptr(GPtrArray) failed = g_ptr_array_new();
        Lanes *lanes = userdata;
        int problem = 0;

        lanes->retry = sd_event_source_disable_unref(lanes->retry);

        for (guint i = 0; i < lanes->lanes->len; i++) {
                Lane *lane = lanes->lanes->pdata[i];
                int r = lane->started || !lane->head ? 0 : lane_start(lane);

                if (r >= 0)
                        continue;

                problem = r;
                if (!lane->told)
                        g_ptr_array_add(failed, lane);
                lane->told = true;
        }

        lanes->retry_usec = problem < 0 ? MIN(2 * lanes->retry_usec, RETRY_MAX_USEC) : RETRY_MIN_USEC;
        if (problem < 0)
                lanes_retry_later(lanes);

        for (guint i = 0; i < failed->len; i++) {
                Lane *lane = failed->pdata[i];

                log_warning_errno(problem, "Cannot start the thread of lane %s, trying again: %m", lane->name);
                if (lanes->threadless)
                        lanes->threadless(lane, problem, lanes->threadless_userdata);
        }

        return 0;
}

static void lanes_retry_later(Lanes *lanes)
{
        int r;

        if (lanes->retry)
                return;

        r = sd_event_add_time_relative(lanes->event, &lanes->retry, CLOCK_MONOTONIC, lanes->retry_usec,
                                       USEC_PER_MSEC, on_lanes_retry, lanes);
        if (r < 0)
                log_error_errno(r, "Cannot set a timer for the start of threads: %m");
}

void lanes_on_threadless(Lanes *lanes, LanesThreadless threadless, void *userdata)
{
        assert_main_thread();

        lanes->threadless = threadless;
        lanes->threadless_userdata = userdata;
}

void lane_submit(Lane *lane, LaneWork *w)
{
        assert_main_thread();
        g_assert(!lane->ending);
        w->lane = lane;
        w->next = NULL;
        w->phase = PHASE_WAITING;
        pthread_mutex_lock(&lane->lanes->mutex);
        *lane->tail = w;
        lane->tail = &w->next;
        pthread_cond_signal(&lane->wake);

        pthread_mutex_unlock(&lane->lanes->mutex);
        if (!lane->started && lane_start(lane) < 0)
                lanes_retry_later(lane->lanes);
}

bool lane_cancel(Lane *lane, LaneWork *w)
{
        bool found = false;

        assert_main_thread();

        pthread_mutex_lock(&lane->lanes->mutex);

        for (LaneWork **p = &lane->head; *p; p = &(*p)->next)
                if (*p == w) {
                        *p = w->next;
                        if (!*p)
                                lane->tail = p;
                        w->next = NULL;
                        found = true;
                        break;
                }

        pthread_mutex_unlock(&lane->lanes->mutex);

        return found;
}

bool lane_is_awaited(LaneWork *w)
{
        Lane *lane = w->lane;
        bool awaited;

        assert_in_lane();

        pthread_mutex_lock(&lane->lanes->mutex);
        awaited = lane->head;
        pthread_mutex_unlock(&lane->lanes->mutex);

        return awaited;
}

char *lane_find_blocked(Lane *lane, char **ret_holder)
{
        char *blocked;

        assert_main_thread();

        pthread_mutex_lock(&lane->lanes->mutex);
        blocked = g_strdup(lane->blocked);
        *ret_holder = g_strdup(lane->holder);
        pthread_mutex_unlock(&lane->lanes->mutex);

        return blocked;
}

Lane *lane_release(Lane *lane)
{
        assert_main_thread();

        if (!lane)
                return NULL;

        g_ptr_array_remove_fast(lane->lanes->lanes, lane);
        pthread_mutex_lock(&lane->lanes->mutex);
        g_assert(!lane->head);
        lane->ending = true;
        pthread_cond_signal(&lane->wake);
        pthread_mutex_unlock(&lane->lanes->mutex);

        return lane_unref(lane);
}
