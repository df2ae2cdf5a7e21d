/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "policy/placement.h"

#include "tests.h"

static void test_choose(void)
{
        static const PlacementCandidate candidates[] = {
                { "a", false, 9, 0 }, /* would do, but takes no jobs */
                { "b", true, 2, 2 },
                { "c", true, 3, 1 },
                { "d", true, 8, 0 },
        };

        ASSERT_EQ(placement_choose(candidates, 4, 1), 2);
        ASSERT_EQ(placement_choose(candidates, 4, 2), 2);
        ASSERT_EQ(placement_choose(candidates, 4, 3), 3);
        /* Nobody has room: the first one that could be asked. */
        ASSERT_EQ(placement_choose(candidates, 4, 9), 1);
        ASSERT_EQ(placement_choose(candidates, 2, 1), 1);
        ASSERT_EQ(placement_choose(candidates, 1, 1), -1);
        ASSERT_EQ(placement_choose(NULL, 0, 1), -1);
}

static void test_no_overflow(void)
{
        static const PlacementCandidate candidates[] = {
                { "a", true, 1, UINT32_MAX },
                { "b", true, UINT32_MAX, 0 },
        };

        ASSERT_EQ(placement_choose(candidates, 2, 1), 1);
        ASSERT_EQ(placement_choose(candidates, 2, UINT32_MAX), 1);
}

/* The same answer however often it is asked. */
static void test_pure(void)
{
        PlacementCandidate candidates[] = { { "a", true, 0, 0 }, { "b", true, 1, 0 } };

        ASSERT_EQ(placement_choose(candidates, 2, 1), 1);
        ASSERT_EQ(placement_choose(candidates, 2, 1), 1);
        candidates[1].pending = 1;
        ASSERT_EQ(placement_choose(candidates, 2, 1), 0);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_choose);
        TEST(test_no_overflow);
        TEST(test_pure);
        return tests_end();
}
