/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dbus/admission/bus-unread.h"

#include <string.h>

#include "base/log.h"

/* The number of calls that vgpud serves between two questions to the bus: CALLS_PER_QUESTION while the bus
 * holds few bytes, and CALLS_PER_QUESTION_MANY from BYTES_SUSPICIOUS on. The answer of a List method has about
 * 1 MiB on a large host. */
#define CALLS_PER_QUESTION      16U
#define CALLS_PER_QUESTION_MANY 1U
#define BYTES_SUSPICIOUS        (8U * 1024U * 1024U)

struct BusUnread {
        sd_bus *bus;       /* borrowed */
        bool is_supported; /* the bus counts bytes */
        unsigned calls;    /* since the last question */
        uint32_t bytes;    /* held by the bus, according to its last reply */
        BusUnreadState state;
        sd_bus_slot *question; /* owned; NULL: none is open */
        void (*told)(void *userdata);
        void *userdata;
};

BusUnread *bus_unread_new(sd_bus *bus, void (*told)(void *userdata), void *userdata)
{
        BusUnread *u = g_new0(BusUnread, 1);

        u->bus = bus;
        u->told = told;
        u->userdata = userdata;
        u->is_supported = sd_bus_is_bus_client(bus) > 0;

        return u;
}

BusUnread *bus_unread_free(BusUnread *u)
{
        if (!u)
                return NULL;

        sd_bus_slot_unref(u->question);
        g_free(u);

        return NULL;
}

static int unread_read_bytes(sd_bus_message *reply, uint32_t *ret)
{
        const char *key;
        int r;

        r = sd_bus_message_enter_container(reply, 'a', "{sv}");
        if (r < 0)
                return r;

        while ((r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
                r = sd_bus_message_read_basic(reply, 's', &key);
                if (r < 0)
                        return r;

                if (strcmp(key, "IncomingBytes") == 0)
                        return sd_bus_message_read(reply, "v", "u", ret);

                r = sd_bus_message_skip(reply, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(reply);
                if (r < 0)
                        return r;
        }

        return r < 0 ? r : -ENODATA;
}

/* True if the bus does not count the bytes, or does not tell vgpud: dbus-daemon answers UnknownInterface if it
 * was built without statistics, and AccessDenied if a policy forbids the question. dbus-broker answers Failed.
 * Any other error, such as a timeout, may be temporary. */
static bool unread_is_refused(sd_bus_message *reply)
{
        static const char *const names[] = { SD_BUS_ERROR_UNKNOWN_METHOD, SD_BUS_ERROR_UNKNOWN_INTERFACE,
                                             SD_BUS_ERROR_UNKNOWN_OBJECT, SD_BUS_ERROR_ACCESS_DENIED,
                                             SD_BUS_ERROR_FAILED };

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                if (sd_bus_message_is_method_error(reply, names[i]) > 0)
                        return true;

        return false;
}

static void unread_take(BusUnread *u, sd_bus_message *reply)
{
        BusUnreadState before = u->state;
        bool is_error = sd_bus_message_is_method_error(reply, NULL) > 0;

        if (is_error && !unread_is_refused(reply)) {
                log_debug("Failed to ask the bus for unread answers, asking again later: %s",
                          sd_bus_message_get_error(reply)->name);
                return;
        }

        if (is_error || unread_read_bytes(reply, &u->bytes) < 0) {
                log_debug("The bus does not count unread answers, ignoring");
                u->is_supported = false;
                u->state = BUS_UNREAD_FEW;
                return;
        }

        u->state = u->bytes >= BUS_UNREAD_FULL_BYTES   ? BUS_UNREAD_FULL
                   : u->bytes >= BUS_UNREAD_MANY_BYTES ? BUS_UNREAD_MANY
                                                       : BUS_UNREAD_FEW;

        if (before == BUS_UNREAD_FEW && u->state != BUS_UNREAD_FEW)
                log_warning("Refusing calls of users other than root: %u MiB of answers are unread on the bus",
                            u->bytes >> 20);
}

static int on_stats(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        BusUnread *u = userdata;

        u->question = sd_bus_slot_unref(u->question);
        unread_take(u, reply);
        u->told(u->userdata);

        return 1;
}

static void unread_ask(BusUnread *u)
{
        const char *name;
        int r;

        r = sd_bus_get_unique_name(u->bus, &name);
        if (r >= 0)
                r = sd_bus_call_method_async(u->bus, &u->question, "org.freedesktop.DBus",
                                             "/org/freedesktop/DBus", "org.freedesktop.DBus.Debug.Stats",
                                             "GetConnectionStats", on_stats, u, "s", name);
        if (r < 0)
                log_debug_errno(r, "Failed to ask the bus for unread answers, ignoring: %m");

        u->calls = 0;
}

BusUnreadState bus_unread_count(BusUnread *u)
{
        unsigned limit = u->bytes >= BYTES_SUSPICIOUS ? CALLS_PER_QUESTION_MANY : CALLS_PER_QUESTION;

        if (!u->is_supported)
                return BUS_UNREAD_FEW;

        u->calls++;
        if (!u->question && u->calls >= limit)
                unread_ask(u);

        return u->state;
}

bool bus_unread_is_many(const BusUnread *u)
{
        return u->state != BUS_UNREAD_FEW;
}

bool bus_unread_is_due(const BusUnread *u)
{
        return u->question && u->calls >= CALLS_PER_QUESTION;
}
