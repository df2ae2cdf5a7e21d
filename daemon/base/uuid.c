/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/uuid.h"

#include <string.h>

#include <systemd/sd-id128.h>

static bool uuid_char_is_valid(const char *s, size_t i)
{
        return i == 8 || i == 13 || i == 18 || i == 23 ? s[i] == '-' : g_ascii_isxdigit(s[i]);
}

bool uuid_prefix_is_valid(const char *s)
{
        size_t n = s ? strlen(s) : 0;

        if (n == 0 || n > UUID_STRLEN)
                return false;

        for (size_t i = 0; i < n; i++)
                if (!uuid_char_is_valid(s, i))
                        return false;

        return true;
}

bool uuid_is_valid(const char *s)
{
        return s && strlen(s) == UUID_STRLEN && uuid_prefix_is_valid(s);
}

bool uuid_is_nil(const char *s)
{
        return uuid_is_valid(s) && s[strspn(s, "0-")] == 0;
}

int uuid_normalize(const char *s, char buf[static UUID_STRLEN + 1])
{
        if (!uuid_is_valid(s))
                return -EINVAL;

        for (size_t i = 0; i <= UUID_STRLEN; i++)
                buf[i] = g_ascii_tolower(s[i]);

        return 0;
}

const char *uuid_generate(char buf[static UUID_STRLEN + 1])
{
        sd_id128_t id;

        /* The call fails only without a random source, which every kernel has. */
        assert_se(sd_id128_randomize(&id) >= 0);
        g_assert(!sd_id128_is_null(id));

        return sd_id128_to_uuid_string(id, buf);
}

const char *uuid_derive(const char *text, char buf[static UUID_STRLEN + 1])
{
        g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
        guint8 digest[32];
        gsize size = sizeof digest;
        sd_id128_t id;

        g_checksum_update(sum, (const guint8 *)text, -1);
        g_checksum_get_digest(sum, digest, &size);
        g_assert(size == sizeof digest);
        memcpy(id.bytes, digest, sizeof id.bytes);
        id.bytes[6] = (id.bytes[6] & 0x0f) | 0x80;
        id.bytes[8] = (id.bytes[8] & 0x3f) | 0x80;

        return sd_id128_to_uuid_string(id, buf);
}
