/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/pci-addr.h"

#include <stdio.h>
#include <string.h>

#include "base/parse-util.h"

/* Parse `min` to `max` hexadecimal digits and the character `end`, and advance *s behind `end`. */
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

/* A form of an address: its prefix, and the character that follows each field (0: the field is the last). */
typedef struct PciAddrForm {
        const char *prefix; /* in lower case */
        char domain, bus, device;
} PciAddrForm;

static int pci_addr_parse_form(const char *s, const PciAddrForm *form, bool has_domain, PciAddr *ret)
{
        uint64_t domain = 0, bus, device, function = 0;
        size_t n = strlen(form->prefix);

        if (g_ascii_strncasecmp(s, form->prefix, n) != 0)
                return -EINVAL;

        s += n;
        if ((has_domain && pci_addr_parse_field(&s, 4, 8, form->domain, UINT32_MAX, &domain) < 0) ||
            pci_addr_parse_field(&s, 2, 2, form->bus, 0xff, &bus) < 0 ||
            pci_addr_parse_field(&s, 2, 2, form->device, 31, &device) < 0 ||
            (form->device && pci_addr_parse_field(&s, 1, 1, 0, 7, &function) < 0))
                return -EINVAL;

        *ret = (PciAddr){ (uint32_t)domain, (uint8_t)bus, (uint8_t)device, (uint8_t)function };

        return 0;
}

#define PCI_ADDR_KERNEL_FORM      \
        {                         \
                "", ':', ':', '.' \
        }
static const PciAddrForm pci_addr_kernel_form = PCI_ADDR_KERNEL_FORM;

int pci_addr_parse(const char *s, PciAddr *ret)
{
        return s ? pci_addr_parse_form(s, &pci_addr_kernel_form, true, ret) : -EINVAL;
}

/* "PCI:137:0:0" and "PCI:137@0:0:0", with decimal numbers (xorg.conf(5), BusID). */
static int pci_addr_parse_xorg(const char *s, PciAddr *ret)
{
        g_auto(GStrv) fields = g_strsplit(s, ":", 5);
        uint32_t domain = 0, bus, device, function;
        char *at;

        if (g_strv_length(fields) != 4 || g_ascii_strcasecmp(fields[0], "pci") != 0)
                return -EINVAL;

        at = strchr(fields[1], '@');
        if (at)
                *at++ = 0;

        if ((at && parse_u32(at, 10, &domain) < 0) || parse_u32(fields[1], 10, &bus) < 0 || bus > 0xff ||
            parse_u32(fields[2], 10, &device) < 0 || device > 31 || parse_u32(fields[3], 10, &function) < 0 ||
            function > 7)
                return -EINVAL;

        *ret = (PciAddr){ domain, (uint8_t)bus, (uint8_t)device, (uint8_t)function };

        return 0;
}

int pci_addr_parse_any(const char *s, PciAddr *ret)
{
        static const PciAddrForm forms[] = {
                PCI_ADDR_KERNEL_FORM,      { "", ':', ':', ':' },     { "", ':', '.', '.' },
                { "pci_", '_', '_', '_' }, { "pci-", '_', '_', '_' }, { "pci-", ':', ':', '.' },
                { "pci@", ':', ':', '.' }, { "pci:", ':', ':', 0 },
        };

        if (!s)
                return -EINVAL;

        for (size_t i = 0; i < G_N_ELEMENTS(forms); i++)
                if (pci_addr_parse_form(s, &forms[i], true, ret) >= 0)
                        return 1;

        if (pci_addr_parse_xorg(s, ret) >= 0)
                return 1;

        return pci_addr_parse_form(s, &pci_addr_kernel_form, false, ret);
}

char *pci_addr_to_name(const char *s)
{
        char name[PCI_ADDR_STRLEN];
        PciAddr address;

        return pci_addr_parse_any(s, &address) < 0 ? NULL : g_strdup(pci_addr_format(&address, name));
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
