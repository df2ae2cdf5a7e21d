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

/* The form of the kernel, in lower or upper case; the domain is mandatory. */
int pci_addr_parse(const char *s, PciAddr *ret);

/* Every form in which a known tool prints the address of a function, in lower or upper case:
 *
 *     0000:89:00.0, 10000:e1:00.0   kernel, lspci -D, rocm-smi, libvirt
 *     89:00.0                       lspci, xl, QEMU
 *     00000000:89:00.0              nvidia-smi, DCGM
 *     pci_0000_89_00_0              virsh nodedev-list
 *     pci@0000:89:00.0              lshw -businfo
 *     pci-0000:89:00.0              udev: ID_PATH
 *     pci-0000_89_00_0              udev: ID_PATH_TAG; DRI_PRIME of Mesa
 *     0000:89:00:0                  OpenNebula
 *     0000:89.00.0                  /proc/driver/nvidia/gpus/NAME/information
 *     PCI:0000:89:00                kernel messages of NVIDIA's driver (function 0)
 *     PCI:137:0:0, PCI:137@0:0:0    Xorg, nvidia-xconfig (decimal numbers: bus@domain:device:function)
 *
 * Returns 1 if the text has a domain, 0 if it has none (lspci then means domain 0), or -EINVAL. Use this
 * function only for text that a person wrote: names that come from the kernel have one form. */
int pci_addr_parse_any(const char *s, PciAddr *ret);
/* Parse an address in one of these forms. Returns the kernel's name of the function, newly allocated; NULL: not
 * an address. */
char *pci_addr_to_name(const char *s);

const char *pci_addr_format(const PciAddr *a, char buf[static PCI_ADDR_STRLEN]);
int pci_addr_compare(const PciAddr *a, const PciAddr *b);
