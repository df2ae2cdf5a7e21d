/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* PCI addresses dddd:bb:dd.f. Domains have up to 32 bits: those of VMD are above 0xffff ("10000:e1:00.0"). */

#include <stdint.h>

#include "base/macros.h"

typedef struct PciAddr {
        uint32_t domain;
        uint8_t bus;
        uint8_t device;   /* 0..31; libvirt calls it slot */
        uint8_t function; /* 0..7 */
} PciAddr;

#define PCI_ADDR_STRLEN sizeof("ffffffff:ff:ff.f") /* NUL included */

int pci_addr_parse(const char *s, PciAddr *ret); /* lower or upper case; the domain is mandatory */
const char *pci_addr_format(const PciAddr *a, char buf[static PCI_ADDR_STRLEN]);
int pci_addr_compare(const PciAddr *a, const PciAddr *b);
