/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* All parsers of single values. The value of an accepted text can be printed, and the printed text has the same
 * value. A refused text leaves the result unchanged. */

#include "fuzz.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/parse-util.h"
#include "base/pci-addr.h"
#include "base/uuid.h"

static void check_u64(const char *s)
{
        uint64_t v = 77, again;
        char text[32];

        if (parse_u64(s, 10, &v) < 0) {
                g_assert(v == 77);
                return;
        }

        (void)snprintf(text, sizeof(text), "%" PRIu64, v);
        g_assert(parse_u64(text, 10, &again) >= 0 && again == v);
        g_assert(strspn(s, "0123456789") == strlen(s) && s[0]);
}

static void check_i32(const char *s)
{
        int32_t v = 77, again;
        char text[32];

        if (parse_i32(s, &v) < 0) {
                g_assert(v == 77);
                return;
        }

        (void)snprintf(text, sizeof(text), "%" PRId32, v);
        g_assert(parse_i32(text, &again) >= 0 && again == v);
}

static void check_address(const char *s)
{
        char text[PCI_ADDR_STRLEN];
        PciAddr a, again;

        if (pci_addr_parse(s, &a) < 0)
                return;

        g_assert(pci_addr_parse(pci_addr_format(&a, text), &again) >= 0);
        g_assert(pci_addr_compare(&a, &again) == 0);
        g_assert(strlen(text) < PCI_ADDR_STRLEN);
}

static void check_uuid(const char *s)
{
        char text[UUID_STRLEN + 1];

        g_assert(uuid_is_valid(s) == (uuid_normalize(s, text) >= 0));

        if (uuid_is_valid(s))
                g_assert(uuid_prefix_is_valid(s) && uuid_is_valid(text) && g_ascii_strcasecmp(s, text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        g_autofree char *s = g_strndup((const char *)data, size);
        uint32_t x = 77, y = 77, u32 = 77;
        uint64_t bytes = 77, usec = 77;
        uint16_t u16 = 77;
        bool b;

        check_u64(s);
        check_i32(s);
        check_address(s);
        check_uuid(s);
        g_assert(parse_u32(s, 16, &u32) >= 0 || u32 == 77);
        g_assert(parse_u16(s, 16, &u16) >= 0 || u16 == 77);
        g_assert(parse_resolution(s, &x, &y) >= 0 || (x == 77 && y == 77));
        g_assert(parse_bytes(s, &bytes) >= 0 || bytes == 77);
        g_assert(parse_seconds(s, &usec) >= 0 || usec == 77);
        (void)parse_boolean(s, &b);

        return 0;
}
