/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The GPUs and PCI functions of the host. libudev reports changes; discovery.c finds and reads the GPUs in a
 * lane, because an attribute of a busy device can block the reader. A blocked device does not hide the others:
 * another discovery goes on without the device until the read returns. Events that change only instances or the
 * drivers of VFs cause a scan of the GPU; other events cause a discovery. */

#include <stdbool.h>
#include <stdint.h>

#include "daemon/forward.h"
#include "drivers-glue/facts.h"

/* Called in the main thread after each discovery: GpuFacts of all GPUs, BlockedDevice of all devices left out,
 * and CLOCK_MONOTONIC of the start. */
typedef void (*InventoryDone)(Model *m, const GPtrArray *facts, const GPtrArray *blocked, uint64_t began_usec);

/* Listen to udev and start the first discovery. *ret is set even after an error. */
int inventory_start(Model *m, InventoryDone done, Inventory **ret);
/* Stop events and discoveries, and release the lane. `inventory` may be NULL. */
void inventory_stop(Inventory *inventory);
Inventory *inventory_free(Inventory *inventory);

/* Discover again after the debounce time. Ignored once the inventory has been stopped. */
void inventory_request(Inventory *inventory);

/* True if a discovery is running. */
bool inventory_is_busy(const Inventory *inventory);

/* Path below /sys (borrowed) and NUMA node (-1: unknown; ret_node may be NULL) of the PCI function of exactly
 * this name ("0000:41:00.0"). NULL: no such function, or no inventory. */
const char *inventory_find_pci(const Inventory *inventory, const char *name, int *ret_node);
