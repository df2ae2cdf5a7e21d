/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The driver core of the simulated kernel: devices with their "uevent" and "subsystem", buses, classes,
 * drivers, IOMMU groups, VFIO group nodes, and the files that every PCI function has. Everything wants the
 * tree's lock.
 */

#include "simhost/node.h"

typedef struct Device Device;
typedef struct DeviceSpec DeviceSpec;
typedef struct PciSpec PciSpec;

struct DeviceSpec {
        Node *parent; /* directory it lives in */
        const char *name;
        const char *subsystem;
        bool is_class;       /* /sys/class/SUBSYSTEM, else /sys/bus/SUBSYSTEM/devices */
        const char *devtype; /* or NULL */
        const char *devname; /* below /dev, or NULL; then major and minor count */
        unsigned major;
        unsigned minor;
        const char *properties; /* more lines of "uevent", or NULL */
        /* Its attributes, which are there before its bus or class lists it; or NULL. */
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
        unsigned group;  /* of a PCI function */
};

/* Makes /sys with what every Linux has, and /dev/vfio. */
void device_init(void);
/* Where umockdev looks up the numbers of device nodes (DIRECTORY/vfio_5 is a link to "244:5"); NULL: nowhere.
 */
void device_set_node_directory(const char *directory);
Node *device_sys(void);
Node *device_dev_vfio(void);

Device *device_add(const DeviceSpec *spec);
/* The first half of device_del() in the kernel: everything by which others find the device. The directory
 * stays. */
void device_hide(Device *device);
/* The whole of it; frees the device. */
void device_del(Device *device);
void device_set_driver(Device *device, const char *driver);
/* The links between the two go, although the driver is not done with the device yet. */
void device_remove_driver_links(Device *device);

/* Announces it as soon as the lock is free. extra: more "KEY=VALUE\n" lines, or NULL. */
void device_event(const Device *device, const char *action, const char *extra);

/* The same for what is no device: a module, a driver. */
void kernel_event(const char *action, const char *devpath, const char *subsystem);

/* What the files bind and unbind of a PCI driver do; called without the lock. */
typedef int (*DriverBindFunc)(const char *driver, const char *device);
void device_set_bind(DriverBindFunc bind, DriverBindFunc unbind);
/* Makes /sys/bus/BUS/drivers/DRIVER, once. */
Node *device_driver(const char *bus, const char *driver);
/* Makes /sys/module/MODULE, once. */
Node *device_module(const char *module);

/* Both, and the link between them; the module is called as its driver, with "_" for "-". */
void device_driver_in_module(const char *bus, const char *driver);

/* A new group with that one device. */
unsigned iommu_group_add(Device *device);
void iommu_group_remove(Device *device, unsigned group);

/* /sys/devices/virtual/vfio/GROUP and /dev/vfio/GROUP. */
Device *vfio_group_add(unsigned group);
void vfio_group_del(Device *device);
/* Somebody else has it open (by 1) or has closed it (by -1). -ENODEV: no such group, -EINVAL: not held. */
int vfio_group_hold(unsigned group, int by);
/* <device>/vfio-dev/vfioN */
Device *vfio_dev_add(Device *device);
void vfio_dev_del(Device *vfio_dev);

struct PciSpec {
        const char *address;
        const char *bridge; /* path below /sys/devices that it hangs on, made by pci_bridge_add() */
        unsigned vendor;
        unsigned device;
        unsigned subsystem_vendor;
        unsigned subsystem_device;
        unsigned class;
        unsigned revision;
        int numa_node;
        const char *link_speed; /* NULL: no PCI Express link */
        unsigned link_width;
        bool is_display;  /* has boot_vga; the first one of the host boots */
        Device *physical; /* VFs: their PF */
        unsigned virtual_index;
};

Device *pci_add(const PciSpec *spec);
/* Also its links from and to virtual functions. Frees the device. */
void pci_del(Device *device);
/* virtfnN and physfn. */
void pci_add_virtual_links(Device *device);
void pci_remove_virtual_links(Device *device);
/* As the file says it, with a newline; NULL: none is set. */
const char *pci_driver_override(const Device *device);
/* Its file "enable", which counts who has switched it on; here nobody does so twice. */
void pci_set_enabled(Device *device, bool enabled);
bool pci_is_enabled(const Device *device);
/* Root port and what else stands between the CPU and a slot, on its NUMA node; does nothing where it exists. */
void pci_bridge_add(const char *path, int numa_node);
/* Card and render node of a display driver, announced. The array takes them; drm_del() wants them back. */
void drm_add(Device *gpu, GPtrArray *ret_devices);
void drm_del(GPtrArray *devices);

/* What the kernel's parsers make of a text with at most one newline at its end. kstrtoull(…, 0, …), up to
 * `most`: -EINVAL, -ERANGE. kstrtobool(): -EINVAL. */
int kernel_parse_unsigned(const char *text, guint64 most, guint64 *ret);
int kernel_parse_bool(const char *text, bool *ret);

/* The lowest number that is free; sets are made by g_array_new(FALSE, TRUE, 1). */
unsigned number_take(GArray *set);
void number_give(GArray *set, unsigned number);
