/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dbus/admission/bus-line.h"

/* A user with at least one item. */
typedef struct LineUser {
        uid_t uid;
        GQueue items; /* borrowed */
} LineUser;

struct BusLine {
        GQueue turns;      /* LineUser, owned; the head has the next turn */
        GHashTable *users; /* uid -> link in `turns` */
};

static void line_user_free(gpointer p)
{
        LineUser *user = p;

        g_queue_clear(&user->items);
        g_free(user);
}

BusLine *bus_line_new(void)
{
        BusLine *l = g_new0(BusLine, 1);

        g_queue_init(&l->turns);
        l->users = g_hash_table_new(NULL, NULL);

        return l;
}

BusLine *bus_line_free(BusLine *l)
{
        if (!l)
                return NULL;

        g_queue_clear_full(&l->turns, line_user_free);
        g_hash_table_unref(l->users);
        g_free(l);

        return NULL;
}

static GList *line_find_user(const BusLine *l, uid_t uid)
{
        return g_hash_table_lookup(l->users, GUINT_TO_POINTER(uid));
}

void bus_line_add(BusLine *l, uid_t uid, void *item)
{
        GList *link = line_find_user(l, uid);
        LineUser *user;

        g_assert(item);

        if (!link) {
                user = g_new0(LineUser, 1);
                user->uid = uid;
                g_queue_init(&user->items);
                g_queue_push_tail(&l->turns, user);
                link = g_queue_peek_tail_link(&l->turns);
                (void)g_hash_table_insert(l->users, GUINT_TO_POINTER(uid), link);
        }

        user = link->data;
        g_queue_push_tail(&user->items, item);
}

/* The user leaves the line if no item is left. */
static void line_drop_if_empty(BusLine *l, GList *link)
{
        LineUser *user = link->data;

        if (!g_queue_is_empty(&user->items))
                return;

        assert_se(g_hash_table_remove(l->users, GUINT_TO_POINTER(user->uid)));
        g_queue_delete_link(&l->turns, link);
        line_user_free(user);
}

void bus_line_remove(BusLine *l, uid_t uid, void *item)
{
        GList *link = line_find_user(l, uid);
        LineUser *user;

        g_assert(link);

        user = link->data;
        assert_se(g_queue_remove(&user->items, item));
        line_drop_if_empty(l, link);
}

void *bus_line_take(BusLine *l, bool (*may)(uid_t uid, void *userdata), void *userdata)
{
        for (GList *link = g_queue_peek_head_link(&l->turns); link; link = link->next) {
                LineUser *user = link->data;
                void *item;

                if (may && !may(user->uid, userdata))
                        continue;

                item = g_queue_pop_head(&user->items);
                g_queue_unlink(&l->turns, link);
                g_queue_push_tail_link(&l->turns, link);
                line_drop_if_empty(l, link);

                return item;
        }

        return NULL;
}

bool bus_line_is_empty(const BusLine *l)
{
        return g_queue_is_empty((GQueue *)&l->turns);
}

bool bus_share_allows(size_t own, size_t max, size_t taken, size_t places)
{
        g_assert(own <= taken);

        if (own >= max || taken >= places)
                return false;

        return own < (places - taken + 1) / 2;
}
