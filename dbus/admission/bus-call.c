/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dbus/admission/bus-call.h"

#include <string.h>

#include "base/macros.h"

size_t bus_call_size_max(sd_bus_message *call)
{
        const char *interface = sd_bus_message_get_interface(call);

        return interface && g_str_has_prefix(interface, "org.vgpud1.") ? BUS_CALL_SIZE_MAX : BUS_CALL_SHORT_MAX;
}

static int call_take(size_t *left, size_t size)
{
        if (size > *left)
                return -EMSGSIZE;

        *left -= size;

        return 0;
}

static int call_measure_items(sd_bus_message *call, size_t *left);

static int call_measure_container(sd_bus_message *call, char type, const char *contents, size_t *left)
{
        int r;

        r = sd_bus_message_enter_container(call, type, contents);
        if (r < 0)
                return r;

        r = call_measure_items(call, left);

        return r < 0 ? r : sd_bus_message_exit_container(call);
}

static int call_measure_basic(sd_bus_message *call, char type, size_t *left)
{
        union {
                uint64_t number;
                const char *text;
        } value = { 0 };
        int r;

        r = sd_bus_message_read_basic(call, type, &value);
        if (r < 0)
                return r;

        return strchr("sog", type) ? call_take(left, strlen(value.text)) : 0;
}

/* The recursion is bounded, because sd-bus bounds the depth of containers. */
static int call_measure_items(sd_bus_message *call, size_t *left)
{
        const char *contents;
        char type;
        int r;

        while ((r = sd_bus_message_peek_type(call, &type, &contents)) > 0) {
                r = call_take(left, BUS_CALL_ITEM_SIZE);
                if (r < 0)
                        return r;

                r = strchr("arve", type) ? call_measure_container(call, type, contents, left)
                                         : call_measure_basic(call, type, left);
                if (r < 0)
                        return r;
        }

        return r;
}

int bus_call_measure(sd_bus_message *call, size_t max, size_t *ret)
{
        size_t left = max;
        int r, q;

        r = strlen(sd_bus_message_get_path(call)) > BUS_CALL_PATH_MAX ? -EMSGSIZE : 0;
        if (r >= 0)
                r = sd_bus_message_rewind(call, true);
        if (r >= 0)
                r = call_measure_items(call, &left);

        q = sd_bus_message_rewind(call, true);
        if (r < 0 || q < 0)
                return r < 0 ? r : q;

        *ret = max - left;

        return 0;
}

static int call_copy_flags(sd_bus_message *call, sd_bus_message *copy)
{
        int r;

        r = sd_bus_message_set_expect_reply(copy, !bus_call_is_silent(call));
        if (r >= 0)
                r = sd_bus_message_set_allow_interactive_authorization(
                                copy, sd_bus_message_get_allow_interactive_authorization(call) > 0);
        if (r >= 0 && sd_bus_message_get_sender(call))
                r = sd_bus_message_set_sender(copy, sd_bus_message_get_sender(call));

        return r;
}

int bus_call_check(sd_bus_message *call, VgpudError *reterr)
{
        size_t bytes;

        if (strnlen(sd_bus_message_get_path(call), BUS_CALL_PATH_MAX + 1) > BUS_CALL_PATH_MAX)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "the object path is longer than %u bytes",
                                        BUS_CALL_PATH_MAX);
        if (bus_call_measure(call, bus_call_size_max(call), &bytes) == -EMSGSIZE)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "the call is longer than %zu bytes",
                                        bus_call_size_max(call));

        return 0;
}

int bus_call_unreadable(int r, VgpudError *reterr)
{
        return vgpud_error_set_errnof(reterr, VGPUD_ERROR_INVALID, r,
                                      "the arguments of the call cannot be read: %s", g_strerror(-r));
}

int bus_call_copy(sd_bus_message *call, sd_bus_message **ret)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *copy = NULL;
        uint64_t cookie;
        int r;

        r = sd_bus_message_new_method_call(sd_bus_message_get_bus(call), &copy,
                                           sd_bus_message_get_destination(call), sd_bus_message_get_path(call),
                                           sd_bus_message_get_interface(call), sd_bus_message_get_member(call));
        if (r >= 0)
                r = call_copy_flags(call, copy);
        if (r >= 0)
                r = sd_bus_message_rewind(call, true);
        if (r >= 0)
                r = sd_bus_message_copy(copy, call, true);
        if (r >= 0)
                r = sd_bus_message_get_cookie(call, &cookie);
        if (r >= 0)
                r = sd_bus_message_seal(copy, cookie, 0);
        if (r >= 0)
                r = sd_bus_message_rewind(copy, true);
        if (r < 0)
                return r;

        *ret = g_steal_pointer(&copy);

        return 0;
}

bool bus_call_is_silent(sd_bus_message *call)
{
        return sd_bus_message_get_expect_reply(call) <= 0;
}
