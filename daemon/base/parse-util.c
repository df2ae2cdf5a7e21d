/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/parse-util.h"

#include <string.h>

#include "base/uuid.h"

#define INSTANCE_NAME_MAX 64

static int parse_digit(char c)
{
        return g_ascii_xdigit_value(c); /* -1: not a digit */
}

/* Parse the digits at the beginning of `s`; *ret_rest is the text after the digits. */
static int parse_digits(const char *s, unsigned base, uint64_t *ret, const char **ret_rest)
{
        uint64_t v = 0;
        const char *p = s;

        g_assert(base == 10 || base == 16);

        for (; *p; p++) {
                int d = parse_digit(*p);

                if (d < 0 || (unsigned)d >= base)
                        break;

                if (v > (UINT64_MAX - (unsigned)d) / base)
                        return -ERANGE;

                v = v * base + (unsigned)d;
        }

        if (p == s)
                return -EINVAL;

        *ret = v;
        *ret_rest = p;

        return 0;
}

int parse_u64(const char *s, unsigned base, uint64_t *ret)
{
        const char *rest;
        uint64_t v;
        int r;

        if (!s)
                return -EINVAL;

        r = parse_digits(s, base, &v, &rest);
        if (r < 0)
                return r;

        if (*rest)
                return -EINVAL;

        *ret = v;

        return 0;
}

static int parse_limited(const char *s, unsigned base, uint64_t max, uint64_t *ret)
{
        int r = parse_u64(s, base, ret);

        return r >= 0 && *ret > max ? -ERANGE : r;
}

int parse_u32(const char *s, unsigned base, uint32_t *ret)
{
        uint64_t v;
        int r = parse_limited(s, base, UINT32_MAX, &v);

        if (r >= 0)
                *ret = (uint32_t)v;

        return r;
}

int parse_u16(const char *s, unsigned base, uint16_t *ret)
{
        uint64_t v;
        int r = parse_limited(s, base, UINT16_MAX, &v);

        if (r >= 0)
                *ret = (uint16_t)v;

        return r;
}

int parse_i32(const char *s, int32_t *ret)
{
        bool negative = s && s[0] == '-';
        uint64_t v;
        int r = parse_u64(negative ? s + 1 : s, 10, &v);

        if (r < 0)
                return r;

        if (v > (uint64_t)INT32_MAX + (negative ? 1 : 0))
                return -ERANGE;

        *ret = negative ? (int32_t) - (int64_t)v : (int32_t)v;

        return 0;
}

int parse_boolean(const char *s, bool *ret)
{
        static const char *const yes[] = { "yes", "true", "on", "1" }, *const no[] = { "no", "false", "off",
                                                                                       "0" };

        for (size_t i = 0; s && i < G_N_ELEMENTS(yes); i++) {
                if (strcmp(s, yes[i]) == 0) {
                        *ret = true;
                        return 0;
                }

                if (strcmp(s, no[i]) == 0) {
                        *ret = false;
                        return 0;
                }
        }

        return -EINVAL;
}

int parse_bytes(const char *s, uint64_t *ret)
{
        static const char units[] = "KMGTP";
        const char *rest, *u;
        unsigned shift = 0;
        uint64_t v;
        int r;

        if (!s)
                return -EINVAL;

        r = parse_digits(s, 10, &v, &rest);
        if (r < 0)
                return r;

        if (*rest) {
                u = strchr(units, *rest);
                if (!u || (rest[1] && strcmp(rest + 1, "B") != 0))
                        return -EINVAL;

                shift = 10 * (unsigned)(u - units + 1);
        }

        if (shift > 0 && v > UINT64_MAX >> shift)
                return -ERANGE;

        *ret = v << shift;

        return 0;
}

int parse_resolution(const char *s, uint32_t *ret_x, uint32_t *ret_y)
{
        const char *rest;
        uint64_t x;
        uint32_t y;
        int r;

        if (!s)
                return -EINVAL;

        r = parse_digits(s, 10, &x, &rest);
        if (r < 0)
                return r;

        if (*rest != 'x')
                return -EINVAL;

        r = parse_u32(rest + 1, 10, &y);
        if (r < 0)
                return r;

        if (x > UINT32_MAX)
                return -ERANGE;

        *ret_x = (uint32_t)x;
        *ret_y = y;

        return 0;
}

int parse_seconds(const char *s, uint64_t *ret_usec)
{
        static const struct {
                const char *unit;
                uint64_t usec;
        } units[] = {
                { "", USEC_PER_SEC },         { "s", USEC_PER_SEC },        { "ms", USEC_PER_MSEC },
                { "min", 60 * USEC_PER_SEC }, { "h", 3600 * USEC_PER_SEC },
        };
        const char *rest;
        uint64_t v;
        int r;

        if (!s)
                return -EINVAL;

        r = parse_digits(s, 10, &v, &rest);
        if (r < 0)
                return r;

        for (size_t i = 0; i < G_N_ELEMENTS(units); i++)
                if (strcmp(rest, units[i].unit) == 0) {
                        if (v > UINT64_MAX / units[i].usec)
                                return -ERANGE;

                        *ret_usec = v * units[i].usec;
                        return 0;
                }

        return -EINVAL;
}

int compare_naturally(const char *a, const char *b)
{
        const char *whole_a = a, *whole_b = b;

        while (*a && *b) {
                if (!g_ascii_isdigit(*a) || !g_ascii_isdigit(*b)) {
                        if (*a != *b)
                                return (unsigned char)*a < (unsigned char)*b ? -1 : 1;

                        a++;
                        b++;
                        continue;
                }

                a += strspn(a, "0");
                b += strspn(b, "0");

                size_t na = strspn(a, "0123456789"), nb = strspn(b, "0123456789");
                if (na != nb)
                        return na < nb ? -1 : 1;

                int c = strncmp(a, b, na);
                if (c != 0)
                        return c;

                a += na;
                b += nb;
        }

        if (*a || *b)
                return *a ? 1 : -1;

        return strcmp(whole_a, whole_b);
}

bool instance_name_is_valid(const char *name)
{
        size_t n = name ? strlen(name) : 0;

        if (n == 0 || n > INSTANCE_NAME_MAX || !g_ascii_isalnum(name[0]))
                return false;

        for (size_t i = 0; i < n; i++)
                if (!g_ascii_isalnum(name[i]) && !strchr("_.-", name[i]))
                        return false;

        return !uuid_is_valid(name);
}
