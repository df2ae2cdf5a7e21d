/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/thread.h"

#include <pthread.h>

#include "base/log.h"
#include "tests.h"

static void *run_lane(void *userdata)
{
        unsigned *before = userdata;

        *before = thread_has_role(THREAD_MAIN) || thread_has_role(THREAD_LANE);
        thread_set_roles(THREAD_LANE);
        assert_in_lane();

        return thread_has_role(THREAD_MAIN) ? userdata : NULL;
}

static void test_roles(void)
{
        unsigned before = 1;
        pthread_t thread;
        void *result;

        assert_main_thread();
        ASSERT_FALSE(thread_has_role(THREAD_LANE));
        ASSERT_EQ(pthread_create(&thread, NULL, run_lane, &before), 0);
        ASSERT_EQ(pthread_join(thread, &result), 0);
        ASSERT_EQ(before, 0);
        ASSERT_NULL(result);

        thread_set_roles(THREAD_MAIN | THREAD_LANE);
        assert_main_thread();
        assert_in_lane();
        thread_set_roles(THREAD_MAIN);
}

static void test_lane_check(void)
{
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        unsigned evaluated = 0;

        log_set_max_level(LOG_CRIT);
        ASSERT_OK(lane_check(++evaluated == 1, &error));
        ASSERT_EQ(error.code, VGPUD_ERROR_NONE);
        ASSERT_ERROR(lane_check(++evaluated == 1, &error), EIO);
        ASSERT_EQ(error.code, VGPUD_ERROR_FAILED);
        ASSERT_EQ(evaluated, 2);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_roles);
        TEST(test_lane_check);
        return tests_end();
}
