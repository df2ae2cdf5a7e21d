/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/nvidia/type-name.h"

#include <string.h>

#include "base/parse-util.h"

#define FRAMEBUFFER_GB_MAX 4096

static bool type_name_board_is_valid(const char *s, size_t n)
{
        if (n == 0 || n >= sizeof(((TypeName *)NULL)->product) || s[0] == ' ' || s[n - 1] == ' ' ||
            s[0] == '-' || s[n - 1] == '-')
                return false;

        for (size_t i = 0; i < n; i++)
                if (!g_ascii_isalnum(s[i]) && !strchr(" ._+()-", s[i]))
                        return false;

        return true;
}

/* Parses a profile, such as "4Q" or "18CME". */
static bool type_name_parse_profile(const char *s, TypeName *t)
{
        size_t digits = strspn(s, "0123456789"), n;
        char number[8];
        uint32_t gb;

        if (digits == 0 || digits >= sizeof(number) || (digits > 1 && s[0] == '0'))
                return false;

        memcpy(number, s, digits);
        number[digits] = 0;

        if (parse_u32(number, 10, &gb) < 0 || gb > FRAMEBUFFER_GB_MAX)
                return false;

        s += digits;
        if (!*s || !strchr("QBAC", *s))
                return false;

        t->framebuffer_bytes = gb > 0 ? (uint64_t)gb << 30 : UINT64_C(512) << 20;
        t->class[0] = *s++;

        n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
        if (s[n] || n >= sizeof(t->attribute))
                return false;

        memcpy(t->attribute, s, n);

        return true;
}

/* Parses "-1" at the end of "H200X-1". Returns the length of the rest. */
static size_t type_name_parse_slices(const char *board, size_t n, TypeName *t)
{
        char number[3] = "";
        size_t digits = 0;

        while (digits < n && g_ascii_isdigit(board[n - 1 - digits]))
                digits++;
        if (digits == 0 || digits >= sizeof(number) || digits + 1 >= n || board[n - 1 - digits] != '-' ||
            board[n - digits] == '0')
                return n;

        memcpy(number, board + n - digits, digits);
        if (parse_u32(number, 10, &t->slices) < 0)
                return n;

        return n - digits - 1;
}

bool type_name_parse(const char *text, TypeName *ret)
{
        static const char *const prefixes[] = { "NVIDIA ", "GRID " };
        const char *dash;
        TypeName t = { 0 };
        size_t n;

        for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++)
                if (g_str_has_prefix(text, prefixes[i])) {
                        text += strlen(prefixes[i]);
                        break;
                }

        dash = strrchr(text, '-');
        if (!dash || !type_name_parse_profile(dash + 1, &t))
                return false;

        n = type_name_parse_slices(text, (size_t)(dash - text), &t);
        if (!type_name_board_is_valid(text, n))
                return false;

        g_assert(t.framebuffer_bytes > 0);
        g_assert(t.class[0]);
        g_assert(n < sizeof t.product);

        memcpy(t.product, text, n);
        *ret = t;

        return true;
}

void type_name_apply(VgpuType *t)
{
        TypeName n;

        if (!type_name_parse(t->name, &n))
                return;

        g_free(t->product);
        t->product = g_strdup(n.product);
        g_free(t->class);
        t->class = g_strdup(n.class);
        t->mig = n.slices > 0;

        if (t->framebuffer_bytes == 0)
                t->framebuffer_bytes = n.framebuffer_bytes;
}
