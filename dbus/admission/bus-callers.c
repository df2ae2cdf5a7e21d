/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dbus/admission/bus-callers.h"

#include <string.h>

#include "base/log.h"

#define DBUS_NAME      "org.freedesktop.DBus"
#define DBUS_PATH      "/org/freedesktop/DBus"
#define DBUS_INTERFACE "org.freedesktop.DBus"

typedef struct Caller {
        BusCallers *callers; /* borrowed */
        char *name;          /* owned; the key */
        bool known;
        uid_t uid;             /* set if known */
        sd_bus_slot *question; /* owned; the question to the bus; NULL: none is open */
        GQueue watches;        /* BusWatch, borrowed */
        bool in_use;           /* the uid is being reported, or the caller has left the table */
} Caller;

struct BusWatch {
        Caller *caller; /* borrowed; NULL: the caller has left */
        BusLeft left;
        void *userdata;
};

struct BusCallers {
        sd_bus *bus; /* borrowed */
        bool is_client;
        uid_t peer;          /* the only caller without a bus daemon */
        GHashTable *callers; /* name -> Caller, owned */
        sd_bus_slot *match;  /* owned */
        BusIdentified identified;
        void *userdata;
};

static void caller_free(gpointer p)
{
        Caller *caller = p;

        g_assert(g_queue_is_empty(&caller->watches));

        sd_bus_slot_unref(caller->question);
        g_free(caller->name);
        g_free(caller);
}

bool bus_is_from_bus(sd_bus_message *m)
{
        return g_strcmp0(sd_bus_message_get_sender(m), DBUS_NAME) == 0;
}

static bool caller_is_idle(const Caller *caller)
{
        return g_queue_is_empty((GQueue *)&caller->watches) && !caller->question && !caller->in_use;
}

/* Remove an idle entry without a uid. Its caller may have left the bus already, and no further signal would
 * remove the entry. */
static void caller_drop_if_useless(Caller *caller)
{
        if (!caller->known && caller_is_idle(caller))
                assert_se(g_hash_table_remove(caller->callers->callers, caller->name));
}

/* ---- leaving ---- */

static void watch_unlink(BusWatch *w)
{
        if (!w->caller)
                return;

        assert_se(g_queue_remove(&w->caller->watches, w));
        w->caller = NULL;
}

BusWatch *bus_watch_free(BusWatch *w)
{
        Caller *caller = w ? w->caller : NULL;

        if (!w)
                return NULL;

        watch_unlink(w);
        g_free(w);
        if (caller)
                caller_drop_if_useless(caller);

        return NULL;
}

static void callers_drop(BusCallers *c, const char *name)
{
        Caller *caller = g_hash_table_lookup(c->callers, name);
        BusWatch *w;

        if (!caller)
                return;

        (void)g_hash_table_steal(c->callers, name);
        caller->in_use = true;

        /* `left` frees its watch, and maybe others. */
        while ((w = g_queue_peek_head(&caller->watches))) {
                watch_unlink(w);
                w->left(w->userdata);
        }

        if (caller->question)
                c->identified(caller->name, 0, -ENXIO, c->userdata);
        caller_free(caller);
}

static int on_name_lost(sd_bus_message *signal, void *userdata, sd_bus_error *ret_error)
{
        const char *name, *before, *after;

        /* Ignore a forged signal, with which any user could end the calls of another user. */
        if (!bus_is_from_bus(signal) || sd_bus_message_read(signal, "sss", &name, &before, &after) < 0)
                return 0;

        if (name[0] == ':' && !after[0])
                callers_drop(userdata, name);

        return 0;
}

static int on_match_installed(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        const sd_bus_error *e = sd_bus_message_get_error(reply);

        if (e)
                log_error("Failed to watch for callers that leave, ignoring: %s", e->message);

        return 1;
}

/* ---- the table ---- */

int bus_callers_new(sd_bus *bus, BusIdentified identified, void *userdata, BusCallers **ret)
{
        _cleanup_(sd_bus_creds_unrefp) sd_bus_creds *creds = NULL;
        BusCallers *c = g_new0(BusCallers, 1);
        int r;

        c->bus = bus;
        c->is_client = sd_bus_is_bus_client(bus) > 0;
        c->callers = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, caller_free);
        c->identified = identified;
        c->userdata = userdata;

        if (c->is_client)
                r = sd_bus_add_match_async(bus, &c->match,
                                           "type='signal',sender='" DBUS_NAME "',path='" DBUS_PATH
                                           "',interface='" DBUS_INTERFACE "',member='NameOwnerChanged',arg2=''",
                                           on_name_lost, on_match_installed, c);
        else
                r = sd_bus_get_owner_creds(bus, SD_BUS_CREDS_EUID, &creds);
        if (r >= 0 && !c->is_client)
                r = sd_bus_creds_get_euid(creds, &c->peer);
        if (r < 0) {
                bus_callers_free(c);
                return r;
        }

        *ret = c;

        return 0;
}

BusCallers *bus_callers_free(BusCallers *c)
{
        if (!c)
                return NULL;

        sd_bus_slot_unref(c->match);
        g_hash_table_unref(c->callers);
        g_free(c);

        return NULL;
}

static gboolean callers_match_idle(gpointer name, gpointer value, gpointer userdata)
{
        return caller_is_idle(value);
}

/* The entry of a name, new if needed; NULL: the table is full. */
static Caller *callers_enter(BusCallers *c, const char *name)
{
        Caller *caller = g_hash_table_lookup(c->callers, name);

        if (caller)
                return caller;

        if (g_hash_table_size(c->callers) >= BUS_CALLERS_MAX &&
            g_hash_table_foreach_remove(c->callers, callers_match_idle, NULL) == 0)
                return NULL;

        caller = g_new0(Caller, 1);
        caller->callers = c;
        caller->name = g_strdup(name);
        g_queue_init(&caller->watches);
        (void)g_hash_table_insert(c->callers, caller->name, caller);

        return caller;
}

size_t bus_callers_count(const BusCallers *c)
{
        return g_hash_table_size(c->callers);
}

int bus_callers_get(const BusCallers *c, sd_bus_message *call, uid_t *ret)
{
        const char *name = sd_bus_message_get_sender(call);
        const Caller *caller;

        if (!c->is_client) {
                *ret = c->peer;
                return 1;
        }

        caller = name ? g_hash_table_lookup(c->callers, name) : NULL;
        if (!caller || !caller->known)
                return 0;

        *ret = caller->uid;

        return 1;
}

BusWatch *bus_callers_watch(BusCallers *c, sd_bus_message *call, BusLeft left, void *userdata)
{
        const char *name = sd_bus_message_get_sender(call);
        Caller *caller = c->is_client && name ? callers_enter(c, name) : NULL;
        BusWatch *w;

        if (!caller)
                return NULL;

        w = g_new(BusWatch, 1);
        *w = (BusWatch){ .caller = caller, .left = left, .userdata = userdata };
        g_queue_push_tail(&caller->watches, w);

        return w;
}

/* ---- the question ---- */

static int on_uid(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        Caller *caller = userdata;
        BusCallers *c = caller->callers;
        uint32_t uid = 0;
        int r;

        caller->question = sd_bus_slot_unref(caller->question);

        if (sd_bus_message_is_method_error(reply, NULL))
                r = -sd_bus_message_get_errno(reply);
        else
                r = sd_bus_message_read_basic(reply, 'u', &uid);
        if (r >= 0) {
                caller->known = true;
                caller->uid = uid;
        }

        caller->in_use = true;
        c->identified(caller->name, uid, MIN(r, 0), c->userdata);
        caller->in_use = false;
        caller_drop_if_useless(caller);

        return 1;
}

int bus_callers_ask(BusCallers *c, const char *name)
{
        Caller *caller = callers_enter(c, name);
        int r;

        if (!caller)
                return -ENOBUFS;

        g_assert(c->is_client && !caller->known);

        if (caller->question)
                return 0;

        r = sd_bus_call_method_async(c->bus, &caller->question, DBUS_NAME, DBUS_PATH, DBUS_INTERFACE,
                                     "GetConnectionUnixUser", on_uid, caller, "s", name);
        if (r < 0)
                caller_drop_if_useless(caller);

        return r;
}
