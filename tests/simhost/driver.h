/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Drivers of PCI functions, as in drivers/base/dd.c and drivers/pci/pci-driver.c: matching, probe, removal, and
 * the errno of "bind", "unbind" and "drivers_probe". Besides the models' drivers there are vfio-pci, its
 * variants, and pci-stub, which bind only if driver_override names them.
 *
 * Each function has the kernel's device lock. The lock is held during probe and removal of a driver, and, for a
 * physical function, while the number of VFs changes. Lock order: the physical function first.
 */

#include "simhost/gpu.h"

/* Call once, after device_init(), with the tree's lock held. */
void driver_init(void);

/* Callers of the following functions hold the tree's lock; the functions release the lock while they wait. */
void function_lock(GpuFunction *function);
void function_unlock(GpuFunction *function);

/* Callers hold the function's lock too. driver_attach() binds the matching driver, if any. If the probe fails,
 * the function stays without a driver; no error is reported. */
void driver_attach(GpuFunction *function);
/* Unbinds the driver; waits while the function is open by VFIO or an instance on the function is open. No-op if
 * no driver is bound. */
void driver_release(GpuFunction *function);
/* True if the driver is bound to the function. */
bool function_is_bound_to(const GpuFunction *function, const char *driver);

/* Do what a write to the file "bind" or "unbind" of the driver does. Call without the tree's lock. driver NULL:
 * driver_bind() binds the driver of the function's model, and driver_unbind() unbinds the bound driver. */
int driver_bind(const char *driver, const char *address);
int driver_unbind(const char *driver, const char *address);
/* Loads and unloads the driver's module. Loading binds matching devices (-EEXIST: is loaded); unloading unbinds
 * all functions first, which may wait (-ENOENT: is not loaded). */
int driver_load(const char *driver);
int driver_unload(const char *driver);
/* Counts a VFIO open (by 1) or close (by -1) of the function. -ENODEV: no VFIO driver is bound. */
int function_hold(const char *address, int by);
/* The host shuts down: ends every wait for the close of a function. */
void driver_shutdown(void);
