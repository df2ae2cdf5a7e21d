/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dbus/admission/bus-places.h"

#include "dbus/admission/bus-line.h"

/* Counts of one user with at least one waiting call. */
typedef struct Holder {
        size_t calls, bytes;
} Holder;

struct BusPlaces {
        GHashTable *holders; /* uid -> Holder, owned */
        size_t calls, bytes; /* sums */
};

BusPlaces *bus_places_new(void)
{
        BusPlaces *p = g_new0(BusPlaces, 1);

        p->holders = g_hash_table_new_full(NULL, NULL, NULL, g_free);

        return p;
}

BusPlaces *bus_places_free(BusPlaces *p)
{
        if (!p)
                return NULL;

        g_hash_table_unref(p->holders);
        g_free(p);

        return NULL;
}

static Holder *places_find(const BusPlaces *p, uid_t uid)
{
        return g_hash_table_lookup(p->holders, GUINT_TO_POINTER(uid));
}

int bus_places_check(const BusPlaces *p, uid_t uid, size_t bytes, VgpudError *reterr)
{
        const Holder *holder = places_find(p, uid);
        size_t own_calls = holder ? holder->calls : 0, own_bytes = holder ? holder->bytes : 0;
        int r;

        if (uid == 0)
                return 0;

        if (own_bytes + bytes <= BUS_BYTES_PER_USER_MAX && p->bytes + bytes <= BUS_BYTES_MAX &&
            bus_share_allows(own_calls, BUS_CALLS_PER_USER_MAX, p->calls, BUS_CALLS_MAX))
                return 0;

        r = vgpud_error_setf(reterr, VGPUD_ERROR_TOO_MANY_CALLS,
                             "no place is free for another waiting call of user %u", (unsigned)uid);
        vgpud_error_hintf(reterr, VGPUD_HINT_WAIT_FOR_CALLS, "wait until vgpud has answered earlier calls");

        return r;
}

void bus_places_take(BusPlaces *p, uid_t uid, size_t bytes)
{
        Holder *holder = places_find(p, uid);

        if (!holder) {
                holder = g_new0(Holder, 1);
                (void)g_hash_table_insert(p->holders, GUINT_TO_POINTER(uid), holder);
        }

        holder->calls++;
        holder->bytes += bytes;
        p->calls++;
        p->bytes += bytes;
}

void bus_places_leave(BusPlaces *p, uid_t uid, size_t bytes)
{
        Holder *holder = places_find(p, uid);

        g_assert(holder && holder->calls > 0 && holder->bytes >= bytes);

        holder->calls--;
        holder->bytes -= bytes;
        p->calls--;
        p->bytes -= bytes;

        if (holder->calls == 0)
                (void)g_hash_table_remove(p->holders, GUINT_TO_POINTER(uid));
}
