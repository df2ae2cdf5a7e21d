/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/work/debounce.h"

#include "base/log.h"
#include "tests.h"

typedef struct Burst {
        sd_event *event;
        Debounce *debounce;
        unsigned handled;
        bool again; /* the handler sees another event */
} Burst;

static void on_burst(void *userdata);

static void begin(Burst *b, uint64_t usec)
{
        debounce_start(&b->debounce, b->event, usec, "a test", on_burst, b);
}

static void on_burst(void *userdata)
{
        Burst *b = userdata;

        ASSERT_NULL(b->debounce);
        b->handled++;

        if (b->again) {
                b->again = false;
                begin(b, 0);
        }
}

static void burst_done(Burst *b)
{
        b->debounce = debounce_free(b->debounce);
        sd_event_unref(b->event);
}

static void burst_init(Burst *b)
{
        *b = (Burst){ 0 };
        ASSERT_OK(sd_event_new(&b->event));
}

static void run(Burst *b, unsigned handled)
{
        while (b->handled < handled)
                ASSERT_OK(sd_event_run(b->event, UINT64_MAX));
}

/* The first event of a burst decides when the handler runs. Later events of the burst have no effect, not even
 * one with a delay that would never end. */
static void test_burst(void)
{
        _cleanup_(burst_done) Burst b;

        burst_init(&b);
        begin(&b, 0);
        begin(&b, UINT64_MAX / 4);
        begin(&b, 0);
        ASSERT_EQ(b.handled, 0);
        ASSERT_NOT_NULL(b.debounce);
        run(&b, 1);
        ASSERT_NULL(b.debounce);
        ASSERT_EQ(sd_event_run(b.event, 0), 0);
        ASSERT_EQ(b.handled, 1);
        begin(&b, 0);
        run(&b, 2);
}

static void test_event_in_the_handler(void)
{
        _cleanup_(burst_done) Burst b;

        burst_init(&b);
        b.again = true;
        begin(&b, 0);
        run(&b, 2);
        ASSERT_NULL(b.debounce);
}

static void test_free(void)
{
        _cleanup_(burst_done) Burst b;

        burst_init(&b);
        begin(&b, 0);
        b.debounce = debounce_free(b.debounce);
        ASSERT_NULL(b.debounce);
        ASSERT_EQ(sd_event_run(b.event, 0), 0);
        ASSERT_EQ(b.handled, 0);
}

/* An event loop that has ended accepts no timer: the handler runs at once, so that no event is lost. */
static void test_no_timer(void)
{
        _cleanup_(burst_done) Burst b;

        log_set_max_level(LOG_EMERG);
        burst_init(&b);
        ASSERT_OK(sd_event_exit(b.event, 0));
        ASSERT_OK(sd_event_loop(b.event));
        begin(&b, 0);
        ASSERT_EQ(b.handled, 1);
        ASSERT_NULL(b.debounce);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_burst);
        TEST(test_event_in_the_handler);
        TEST(test_free);
        TEST(test_no_timer);

        return tests_end();
}
