/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* PCI vendor ids, as in include/linux/pci_ids.h of the kernel, which programs cannot include. */

#define PCI_VENDOR_AMD    0x1002
#define PCI_VENDOR_INTEL  0x8086
#define PCI_VENDOR_NVIDIA 0x10de
