/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The GPUs and PCI functions of the host: libudev enumerates them and reports changes, drivers-glue/facts.c
 * reads each GPU. Reading takes place in a lane of its own, because an attribute of a busy device can block its
 * reader. An event of a mediated device, or of a VF that gets or loses a driver, causes a scan of its GPU, any
 * other event a discovery. */

#include <stdbool.h>
#include <stdint.h>

#include "daemon/forward.h"
#include "drivers-glue/facts.h"

/* Called in the main thread after each discovery: GpuFacts of all GPUs, and CLOCK_MONOTONIC of its begin. */
typedef void (*InventoryDone)(Model *m, const GPtrArray *facts, uint64_t began_usec);

/* Listen to udev and start the first discovery. *ret is set also after an error. */
int inventory_start(Model *m, InventoryDone done, Inventory **ret);
/* No more events and no more discoveries; the lane is released. NULL is fine. */
void inventory_stop(Inventory *inventory);
Inventory *inventory_free(Inventory *inventory);

/* Discover again after the debounce time. Ignored once the inventory has been stopped. */
void inventory_request(Inventory *inventory);

/* A discovery is running. */
bool inventory_is_busy(const Inventory *inventory);

/* The path below /sys, borrowed, of the PCI function of exactly this name ("0000:41:00.0"), and its NUMA node
 * (-1: not known; ret_node may be NULL). NULL: no such function, or no inventory. */
const char *inventory_find_pci(const Inventory *inventory, const char *name, int *ret_node);
