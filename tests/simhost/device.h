/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The driver core of the simulated kernel: devices with "uevent" and "subsystem", buses, classes, drivers,
 * IOMMU groups, VFIO group nodes, and the files common to all PCI functions. Callers hold the tree's lock.
 */

#include "simhost/node.h"

typedef struct Device Device;
typedef struct DeviceSpec DeviceSpec;
typedef struct PciSpec PciSpec;

struct DeviceSpec {
        Node *parent; /* parent directory */
        const char *name;
        const char *subsystem;
        bool is_class;       /* /sys/class/SUBSYSTEM, else /sys/bus/SUBSYSTEM/devices */
        const char *devtype; /* or NULL */
        const char *devname; /* name below /dev, with major and minor; NULL: no device node */
        unsigned major;
        unsigned minor;
        const char *properties; /* more lines of "uevent", or NULL */
        /* Adds the device's attributes before its bus or class lists the device; NULL: no attributes. */
        void (*add_files)(Device *device, const void *data);
        const void *data;
};

struct Device {
        char *name;
        char *devpath;
        const char *subsystem;
        bool is_class;
        const char *devtype;
        char *devname;
        unsigned major;
        unsigned minor;
        const char *driver; /* interned; NULL: unbound */
        char *properties;
        Node *directory; /* borrowed from the tree */
        PciSpec *pci;    /* owned; NULL: not a PCI function */
        unsigned group;  /* IOMMU group of a PCI function */
};

/* Makes the common part of /sys, and /dev/vfio. */
void device_init(void);
/* Sets the directory where umockdev looks up the numbers of device nodes (DIRECTORY/vfio_5 is a link to
 * "244:5"); NULL: none. */
void device_set_node_directory(const char *directory);
Node *device_sys(void);
Node *device_dev_vfio(void);

Device *device_add(const DeviceSpec *spec);
/* The first half of the kernel's device_del(): removes all links by which programs find the device. The
 * directory stays. */
void device_hide(Device *device);
/* Removes the directory too; frees the device. */
void device_del(Device *device);
void device_set_driver(Device *device, const char *driver);
/* Removes the links between device and driver. The driver may still use the device. */
void device_remove_driver_links(Device *device);

/* Sends an event of the device when the lock is released. extra: more "KEY=VALUE\n" lines, or NULL. */
void device_event(const Device *device, const char *action, const char *extra);

/* Sends an event for a module or a driver, which is no device. */
void kernel_event(const char *action, const char *devpath, const char *subsystem);

/* Implements the files bind and unbind of a PCI driver; called without the lock. */
typedef int (*DriverBindFunc)(const char *driver, const char *device);
void device_set_bind(DriverBindFunc bind, DriverBindFunc unbind);
/* Makes /sys/bus/BUS/drivers/DRIVER, once. */
Node *device_driver(const char *bus, const char *driver);
/* Makes /sys/module/MODULE, once. */
Node *device_module(const char *module);

/* Adds driver and module and the link between them; the module has the driver's name, with "_" for "-". */
void device_driver_in_module(const char *bus, const char *driver);

/* Sets the first number of IOMMU groups and VFIO cdevs; without this call, it is 0. vgpud finds the users of a
 * node by its path in /proc, which shows the processes of all simulated hosts: hosts that run side by side need
 * different numbers. */
void iommu_group_begin_at(unsigned first);
/* Adds a group that contains only this device. Returns the group's number. */
unsigned iommu_group_add(Device *device);
void iommu_group_remove(Device *device, unsigned group);

/* Adds /sys/devices/virtual/vfio/GROUP and /dev/vfio/GROUP. */
Device *vfio_group_add(unsigned group);
void vfio_group_del(Device *device);
/* Counts another program's open (by 1) or close (by -1). -ENODEV: no such group, -EINVAL: not held. */
int vfio_group_hold(unsigned group, int by);
/* Adds <device>/vfio-dev/vfioN. */
Device *vfio_dev_add(Device *device);
void vfio_dev_del(Device *vfio_dev);

struct PciSpec {
        const char *address;
        const char *bridge; /* parent bridge, a path below /sys/devices made by pci_bridge_add() */
        unsigned vendor;
        unsigned device;
        unsigned subsystem_vendor;
        unsigned subsystem_device;
        unsigned class;
        unsigned revision;
        int numa_node;
        const char *link_speed; /* NULL: no PCI Express link */
        unsigned link_width;
        bool is_display;  /* has boot_vga, which is 1 for the first display device of the host */
        Device *physical; /* VFs: their PF */
        unsigned virtual_index;
};

Device *pci_add(const PciSpec *spec);
/* Removes the links from and to virtual functions too. Frees the device. */
void pci_del(Device *device);
/* Adds the links virtfnN and physfn. */
void pci_add_virtual_links(Device *device);
void pci_remove_virtual_links(Device *device);
/* The content of driver_override, with a newline; NULL: not set. */
const char *pci_driver_override(const Device *device);
/* Sets the file "enable" to 1 or 0. The kernel shows the number of users there; a simulated device has at most
 * one. */
void pci_set_enabled(Device *device, bool enabled);
bool pci_is_enabled(const Device *device);
/* Adds the root port and bridges between the CPU and a slot, on a NUMA node; no-op if they exist. */
void pci_bridge_add(const char *path, int numa_node);
/* Adds the card and render node of a display driver and sends their events. Pass the array to drm_del()
 * later. */
void drm_add(Device *gpu, GPtrArray *ret_devices);
void drm_del(GPtrArray *devices);

/* The kernel's kstrtoull(…, 0, …) with an upper limit `most` (-EINVAL, -ERANGE), and its kstrtobool()
 * (-EINVAL). The text may end with one newline. */
int kernel_parse_unsigned(const char *text, guint64 most, guint64 *ret);
int kernel_parse_bool(const char *text, bool *ret);

/* Takes the lowest free number of a set, and gives a number back. g_array_new(FALSE, TRUE, 1) makes a set. */
unsigned number_take(GArray *set);
void number_give(GArray *set, unsigned number);
