/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dbus/bus-error.h"

#include <string.h>

static const sd_bus_error_map error_map[] = {
#define X(id, name, eno, exit_status, text) SD_BUS_ERROR_MAP(VGPUD_ERROR_DBUS_PREFIX name, eno),
        VGPUD_ERRORS(X)
#undef X
                        SD_BUS_ERROR_MAP_END,
};

int bus_error_register(void)
{
        int r = sd_bus_error_add_map(error_map);

        return r < 0 ? r : 0;
}

int bus_error_set(sd_bus_error *ret_error, int r, const VgpudError *e)
{
        VgpudErrorCode code = e && e->code != VGPUD_ERROR_NONE ? e->code : vgpud_error_code_from_errno(r);

        const char *text = e && e->message ? e->message : g_strerror(ABS(r));
        const char *hint = e ? e->hint.text : NULL;
        g_autofree char *whole = g_strconcat(text, hint ? "\nHint: " : "", hint, NULL);
        g_autofree char *valid = g_utf8_make_valid(whole, -1); /* may quote a driver */

        g_assert(r < 0);
        g_assert(code > VGPUD_ERROR_NONE && code < _VGPUD_ERROR_MAX);

        sd_bus_error_set(ret_error, vgpud_error_code_to_dbus(code), valid);

        return -vgpud_error_code_to_errno(code);
}

int bus_error_reply(sd_bus_message *call, int r, const VgpudError *e)
{
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

        bus_error_set(&error, r, e);

        return sd_bus_reply_method_error(call, &error);
}
