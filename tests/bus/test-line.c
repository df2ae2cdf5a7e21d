/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The shares of users, and the order in which users are served. */

#include "dbus/admission/bus-line.h"
#include "dbus/admission/bus-places.h"

static const char *take(BusLine *l, bool (*may)(uid_t uid, void *userdata), void *userdata)
{
        return bus_line_take(l, may, userdata);
}

static bool may_not(uid_t uid, void *userdata)
{
        return uid != *(const uid_t *)userdata;
}

static void test_turns(void)
{
        BusLine *l = bus_line_new();
        char many[1000], one = 'b', other = 'c';
        uid_t barred = 7;

        for (size_t i = 0; i < G_N_ELEMENTS(many); i++)
                bus_line_add(l, 7, &many[i]);
        bus_line_add(l, 8, &one);
        bus_line_add(l, 9, &other);

        /* A thousand items of one user delay an item of another user by one item only. */
        g_assert_true(take(l, NULL, NULL) == &many[0]);
        g_assert_true(take(l, NULL, NULL) == &one);
        g_assert_true(take(l, NULL, NULL) == &other);
        g_assert_true(take(l, NULL, NULL) == &many[1]);

        bus_line_remove(l, 7, &many[2]);
        bus_line_add(l, 8, &one);
        g_assert_true(take(l, may_not, &barred) == &one);
        g_assert_null(take(l, may_not, &barred));

        for (size_t i = 3; i < G_N_ELEMENTS(many); i++)
                g_assert_true(take(l, NULL, NULL) == &many[i]);
        g_assert_true(bus_line_is_empty(l));
        g_assert_null(take(l, NULL, NULL));
        bus_line_free(l);
}

/* Ninety users come one after the other, and each takes all places that it is allowed. The first ten get at
 * least one place each. */
static void test_shares(void)
{
        size_t taken = 0;

        for (unsigned user = 0; user < 90; user++) {
                size_t own = 0;

                while (bus_share_allows(own, 16, taken, 96)) {
                        own++;
                        taken++;
                }

                g_assert_cmpuint(own, <=, 16);
                if (user < 10)
                        g_assert_cmpuint(own, >, 0);
        }

        g_assert_cmpuint(taken, <=, 96);
        g_assert_false(bus_share_allows(0, 16, 96, 96));
        g_assert_true(bus_share_allows(0, 16, 95, 96));
}

static void test_places(void)
{
        BusPlaces *p = bus_places_new();
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;

        for (unsigned i = 0; i < BUS_CALLS_PER_USER_MAX; i++) {
                g_assert_cmpint(bus_places_check(p, 7, 10, NULL), ==, 0);
                bus_places_take(p, 7, 10);
        }

        g_assert_cmpint(bus_places_check(p, 7, 10, &e), <, 0);
        g_assert_cmpint(e.code, ==, VGPUD_ERROR_TOO_MANY_CALLS);
        g_assert_cmpint(bus_places_check(p, 8, BUS_BYTES_PER_USER_MAX, NULL), ==, 0);
        g_assert_cmpint(bus_places_check(p, 8, BUS_BYTES_PER_USER_MAX + 1, NULL), <, 0);
        g_assert_cmpint(bus_places_check(p, 0, BUS_BYTES_MAX, NULL), ==, 0);
        bus_places_leave(p, 7, 10);
        g_assert_cmpint(bus_places_check(p, 7, 10, NULL), ==, 0);
        bus_places_free(p);
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/line/turns", test_turns);
        g_test_add_func("/line/shares", test_shares);
        g_test_add_func("/line/places", test_places);

        return g_test_run();
}
