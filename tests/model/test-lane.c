/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>

#include "base/log.h"
#include "daemon/work/lane.h"
#include "io-fake.h"
#include "no-threads.h"
#include "scratch.h"
#include "tests.h"

#define WAIT_USEC (60 * USEC_PER_SEC)

typedef struct Piece {
        LaneWork work;
        GString *log; /* main thread only */
        char name;
        const char *path; /* written file */
        int result;
        unsigned *left;
        bool started;
        size_t done_before; /* number of ended works at the start */
} Piece;

typedef struct Setup {
        Scratch scratch;
        sd_event *event;
        FakeKernel *kernel;
        Lanes *lanes;
        GString *log;
        unsigned left;
} Setup;

static VgpuIo *make_io(int keep_fd, void *userdata)
{
        return fake_kernel_io(userdata);
}

static void piece_run(LaneWork *w, VgpuIo *io)
{
        Piece *p = (Piece *)w;

        p->result = vgpu_io_write_guarded(io, p->path, "1");
}

static void piece_started(LaneWork *w)
{
        Piece *p = (Piece *)w;

        p->started = true;
        p->done_before = p->log->len;
}

static void piece_done(LaneWork *w)
{
        Piece *p = (Piece *)w;

        g_string_append_c(p->log, p->name);
        (*p->left)--;
}

static Piece piece(Setup *s, char name, const char *path)
{
        return (Piece){
                .work = { .run = piece_run, .done = piece_done, .started = piece_started },
                .log = s->log,
                .name = name,
                .path = path,
                .left = &s->left,
        };
}

static void submit(Setup *s, Lane *lane, Piece *p)
{
        s->left++;
        lane_submit(lane, &p->work);
}

static Setup setup_new(void)
{
        Setup s = { .scratch = scratch_new(), .kernel = fake_kernel_new(), .log = g_string_new(NULL) };

        g_assert(sd_event_new(&s.event) >= 0);
        g_assert(lanes_new(s.event, s.scratch.fd, make_io, s.kernel, &s.lanes) >= 0);
        fake_add_file(s.kernel, "a", "");
        fake_add_file(s.kernel, "b", "");

        return s;
}

static void setup_free(Setup *s)
{
        lanes_free(s->lanes);
        fake_kernel_free(s->kernel);
        g_string_free(s->log, TRUE);
        sd_event_unref(s->event);
        scratch_free(&s->scratch);
}

typedef struct Refusals {
        unsigned n;
        const Lane *lane;
        int problem;
} Refusals;

static void on_threadless(Lane *lane, int problem, void *userdata)
{
        Refusals *refusals = userdata;

        refusals->n++;
        refusals->lane = lane;
        refusals->problem = problem;
}

static bool run_until(Setup *s, unsigned left)
{
        gint64 end = g_get_monotonic_time() + (gint64)WAIT_USEC;

        while (s->left > left && g_get_monotonic_time() < end)
                g_assert(sd_event_run(s->event, USEC_PER_SEC) >= 0);

        return s->left == left;
}

static void test_order(void)
{
        Setup s = setup_new();
        Lane *lane = lane_new(s.lanes, "gpu");
        Piece p[26];

        for (size_t i = 0; i < G_N_ELEMENTS(p); i++) {
                p[i] = piece(&s, (char)('a' + i), "a");
                submit(&s, lane, &p[i]);
        }

        ASSERT_TRUE(run_until(&s, 0));
        ASSERT_STREQ(s.log->str, "abcdefghijklmnopqrstuvwxyz");
        lane_release(lane);
        setup_free(&s);
}

/* The main thread learns that a work has ended before it learns that the next work has started, even in one
 * dispatch. */
static void test_end_before_beginning(void)
{
        Setup s = setup_new();
        Lane *lane = lane_new(s.lanes, "gpu");
        Piece a = piece(&s, 'a', "a"), b = piece(&s, 'b', "b");

        fake_hang(s.kernel, "write", "b");
        submit(&s, lane, &a);
        submit(&s, lane, &b);
        fake_wait_hanging(s.kernel);
        ASSERT_TRUE(run_until(&s, 1));
        ASSERT_TRUE(b.started);
        ASSERT_EQ(b.done_before, 1);
        fake_release(s.kernel);
        ASSERT_TRUE(run_until(&s, 0));
        ASSERT_STREQ(s.log->str, "ab");
        lane_release(lane);
        setup_free(&s);
}

static void slow_run(LaneWork *w, VgpuIo *io)
{
        io->slow(io, "bus/pci/drivers/vfio-pci/unbind", "0000:03:00.1", io->slow_userdata);
        piece_run(w, io);
}

/* lane_find_blocked() names the file and the holder of the device while work is blocked, and nothing
 * afterwards. */
static void test_blocked(void)
{
        Setup s = setup_new();
        Lane *lane = lane_new(s.lanes, "0000:03:00.0");
        g_autofree char *before = NULL, *blocked = NULL, *holder = NULL, *after = NULL;
        Piece p = piece(&s, 'a', "a");

        fake_add_link(s.kernel, "bus/pci/devices/0000:03:00.1", "devices/0000:03:00.1");
        fake_add_directory(s.kernel, "devices/0000:03:00.1/vfio-dev/vfio3");
        fake_add_node(s.kernel, "vfio/devices/vfio3");
        fake_hold_node(s.kernel, "vfio/devices/vfio3", 4242, "qemu");
        fake_hang(s.kernel, "write", "a");
        before = lane_find_blocked(lane, &holder);
        ASSERT_NULL(before);
        ASSERT_NULL(holder);

        p.work.run = slow_run;
        submit(&s, lane, &p);
        fake_wait_hanging(s.kernel);
        blocked = lane_find_blocked(lane, &holder);
        ASSERT_CONTAINS(blocked, "vfio-pci/unbind");
        ASSERT_CONTAINS(holder, "4242");
        g_clear_pointer(&holder, g_free);

        fake_release(s.kernel);
        ASSERT_TRUE(run_until(&s, 0));
        after = lane_find_blocked(lane, &holder);
        ASSERT_NULL(after);
        ASSERT_NULL(holder);
        lane_release(lane);
        setup_free(&s);
}

/* A hanging lane does not delay other lanes. Its work ends after the hang. */
static void test_hang(void)
{
        Setup s = setup_new();
        Lane *slow = lane_new(s.lanes, "slow"), *fast = lane_new(s.lanes, "fast");
        Piece a = piece(&s, 'a', "a"), b = piece(&s, 'b', "b"), c = piece(&s, 'c', "b");

        fake_hang(s.kernel, "write", "a");
        submit(&s, slow, &a);
        fake_wait_hanging(s.kernel);
        submit(&s, fast, &b);
        submit(&s, fast, &c);
        ASSERT_TRUE(run_until(&s, 1));
        ASSERT_STREQ(s.log->str, "bc");
        ASSERT_TRUE(a.started);
        ASSERT_EQ(lanes_stop(s.lanes, 0), 1);
        fake_release(s.kernel);
        ASSERT_TRUE(run_until(&s, 0));
        ASSERT_STREQ(s.log->str, "bca");
        ASSERT_EQ(lanes_stop(s.lanes, WAIT_USEC), 0);
        lane_release(slow);
        lane_release(fast);
        setup_free(&s);
}

static void test_cancel(void)
{
        Setup s = setup_new();
        Lane *lane = lane_new(s.lanes, "gpu");
        Piece a = piece(&s, 'a', "a"), b = piece(&s, 'b', "b"), c = piece(&s, 'c', "b");

        fake_hang(s.kernel, "write", "a");
        submit(&s, lane, &a);
        fake_wait_hanging(s.kernel);
        submit(&s, lane, &b);
        submit(&s, lane, &c);
        ASSERT_FALSE(lane_cancel(lane, &a.work));
        ASSERT_TRUE(lane_cancel(lane, &c.work));
        ASSERT_FALSE(lane_cancel(lane, &c.work));
        s.left--;
        fake_release(s.kernel);
        ASSERT_TRUE(run_until(&s, 0));
        ASSERT_STREQ(s.log->str, "ab");
        lane_release(lane);
        setup_free(&s);
}

/* The running work of a released lane still ends in the main thread. */
static void test_release_while_running(void)
{
        Setup s = setup_new();
        Lane *lane = lane_new(s.lanes, "gpu");
        Piece a = piece(&s, 'a', "a");

        fake_hang(s.kernel, "write", "a");
        submit(&s, lane, &a);
        fake_wait_hanging(s.kernel);
        lane_release(lane);
        fake_release(s.kernel);
        ASSERT_TRUE(run_until(&s, 0));
        ASSERT_EQ(a.result, 0);
        setup_free(&s);
}

/* A lane waits while an earlier daemon holds the lock of the lane; the work counts as started meanwhile. */
static void test_lock(void)
{
        Setup s = setup_new();
        Lane *lane = lane_new(s.lanes, "gpu");
        Piece a = piece(&s, 'a', "a");
        int other = openat(s.scratch.fd, "gpu", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        gint64 end = g_get_monotonic_time() + (gint64)WAIT_USEC;

        ASSERT_OK(other);
        ASSERT_OK(flock(other, LOCK_EX));
        submit(&s, lane, &a);

        while (!a.started && g_get_monotonic_time() < end)
                g_assert(sd_event_run(s.event, USEC_PER_SEC) >= 0);
        ASSERT_TRUE(a.started);
        g_autofree char *writes = fake_writes(s.kernel);
        ASSERT_STREQ(writes, "");
        safe_close(other);
        ASSERT_TRUE(run_until(&s, 0));
        lane_release(lane);
        setup_free(&s);
}

/* The work of a lane waits until a thread can be started. The failure is reported once. */
static void test_no_thread(void)
{
        Setup s = setup_new();
        Lane *lane = lane_new(s.lanes, "gpu");
        Piece a = piece(&s, 'a', "a"), b = piece(&s, 'b', "b");
        Refusals refusals = { 0 };
        NoThreads limit;

        log_set_max_level(LOG_ERR);
        lanes_on_threadless(s.lanes, on_threadless, &refusals);
        limit = no_threads_begin();
        submit(&s, lane, &a);
        submit(&s, lane, &b);
        while (refusals.n == 0)
                g_assert(sd_event_run(s.event, WAIT_USEC) >= 0);
        ASSERT_EQ(refusals.lane, lane);
        ASSERT_EQ(refusals.problem, -EAGAIN);
        ASSERT_FALSE(a.started);

        ASSERT_TRUE(lane_cancel(lane, &b.work));
        s.left--;

        no_threads_end(&limit);
        ASSERT_TRUE(run_until(&s, 0));
        ASSERT_EQ(a.result, 0);
        ASSERT_EQ(refusals.n, 1);
        lane_release(lane);
        setup_free(&s);
}

/* Many lanes with much work, so that the thread sanitizer finds races. */
static void test_many(void)
{
        Setup s = setup_new();
        Lane *lanes[16];
        g_autofree Piece *p = g_new0(Piece, 16 * 64);

        for (unsigned i = 0; i < 16; i++) {
                g_autofree char *name = g_strdup_printf("gpu%u", i);

                lanes[i] = lane_new(s.lanes, name);
        }

        for (unsigned k = 0; k < 16 * 64; k++) {
                p[k] = piece(&s, 'x', k % 2 ? "a" : "b");
                submit(&s, lanes[k % 16], &p[k]);
        }

        ASSERT_TRUE(run_until(&s, 0));
        ASSERT_EQ(s.log->len, 16 * 64);

        for (unsigned i = 0; i < 16; i++)
                lane_release(lanes[i]);
        setup_free(&s);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_order);
        TEST(test_blocked);
        TEST(test_end_before_beginning);
        TEST(test_hang);
        TEST(test_cancel);
        TEST(test_release_while_running);
        TEST(test_lock);
        TEST(test_no_thread);
        TEST(test_many);

        return tests_end();
}
