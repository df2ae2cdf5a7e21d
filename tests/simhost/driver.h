/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Drivers of PCI functions, as drivers/base/dd.c and drivers/pci/pci-driver.c have them: which one matches,
 * probe and removal, "bind", "unbind" and "drivers_probe" with their errno. Besides the drivers of the models
 * there are vfio-pci, its variants, and pci-stub, which bind only where driver_override names them.
 *
 * It also owns the kernel's device lock of a function, which is held while a driver probes, while one leaves,
 * and, for a physical function, while the number of virtual functions changes. Whoever holds both takes that of
 * the physical function first.
 */

#include "simhost/gpu.h"

/* Once, after device_init() and with the lock held. */
void driver_init(void);

/* All of the following want the tree's lock, and let go of it while they wait. */
void function_lock(GpuFunction *function);
void function_unlock(GpuFunction *function);

/* With the function's lock too. device_attach(): binds the driver that matches, if there is one; nobody hears
 * of its probe's failure. */
void driver_attach(GpuFunction *function);
/* Waits while somebody has the function open by VFIO, or an instance on it. No-op where nothing is bound. */
void driver_release(GpuFunction *function);
/* Whether that driver is bound to the function. */
bool function_is_bound_to(const GpuFunction *function, const char *driver);

/* At run time, without the lock. driver NULL: whichever it is. */
int driver_bind(const char *driver, const char *address);
int driver_unbind(const char *driver, const char *address);
/* The driver's module. Loading binds it to what it matches (-EEXIST: is loaded), unloading unbinds all its
 * functions first, which may wait (-ENOENT: is not loaded). */
int driver_load(const char *driver);
int driver_unload(const char *driver);
/* Somebody opens the function by VFIO (by 1) or closes it (by -1). -ENODEV: is not bound to such a driver. */
int function_hold(const char *address, int by);
/* The host goes down: whoever waits for a function to be closed waits no longer. */
void driver_shutdown(void);
