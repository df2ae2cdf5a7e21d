/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/pci-addr.h"

#include <stdio.h>
#include <string.h>

/* Parse min to max hexadecimal digits, then `end`, and advance *s behind them. */
static int pci_addr_parse_field(const char **s, size_t min, size_t max, char end, uint64_t limit, uint64_t *ret)
{
        uint64_t v = 0;
        size_t n = 0;

        g_assert(min <= max && max <= 16);

        while (g_ascii_isxdigit((*s)[n])) {
                if (n == max)
                        return -EINVAL;

                v = v << 4 | (uint64_t)g_ascii_xdigit_value((*s)[n]);
                n++;
        }

        if (n < min || (*s)[n] != end || v > limit)
                return -EINVAL;

        *s += n + (end != 0);
        *ret = v;

        return 0;
}

int pci_addr_parse(const char *s, PciAddr *ret)
{
        uint64_t domain, bus, device, function;

        if (!s || pci_addr_parse_field(&s, 4, 8, ':', UINT32_MAX, &domain) < 0 ||
            pci_addr_parse_field(&s, 2, 2, ':', 0xff, &bus) < 0 ||
            pci_addr_parse_field(&s, 2, 2, '.', 31, &device) < 0 ||
            pci_addr_parse_field(&s, 1, 1, 0, 7, &function) < 0)
                return -EINVAL;

        *ret = (PciAddr){ (uint32_t)domain, (uint8_t)bus, (uint8_t)device, (uint8_t)function };

        return 0;
}

const char *pci_addr_format(const PciAddr *a, char buf[static PCI_ADDR_STRLEN])
{
        g_assert(a->device <= 31 && a->function <= 7);

        (void)snprintf(buf, PCI_ADDR_STRLEN, "%04x:%02x:%02x.%x", a->domain, a->bus, a->device, a->function);

        return buf;
}

int pci_addr_compare(const PciAddr *a, const PciAddr *b)
{
        if (a->domain != b->domain)
                return a->domain < b->domain ? -1 : 1;
        if (a->bus != b->bus)
                return a->bus < b->bus ? -1 : 1;
        if (a->device != b->device)
                return a->device < b->device ? -1 : 1;

        return (a->function > b->function) - (a->function < b->function);
}
