/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Devices, buses, classes, drivers, IOMMU groups and VFIO groups; see device.h. PCI is in pci.c. */

#include "simhost/device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "simhost/event.h"

/* VFIO has a dynamic major number. Linux allocates such numbers downwards from 254. */
#define VFIO_MAJOR 244

typedef struct VfioGroup {
        Device *device;
        Node *node;
        const void *opener;
        int holds;
} VfioGroup;

/* The data of an event, kept until the lock is free. */
typedef struct PendingEvent {
        char *action;
        char *devpath;
        char *properties;
        const char *subsystem;
        const char *devtype;
} PendingEvent;

static Node *root;
static Node *sys;
static Node *dev_vfio;
static GArray *iommu_groups;
static GArray *vfio_minors;
static GArray *vfio_devs;
static unsigned first_group;
static GHashTable *vfio_groups; /* number → VfioGroup */
static char *node_directory;
static DriverBindFunc bind_func, unbind_func;

unsigned number_take(GArray *set)
{
        for (guint i = 0; i < set->len; i++)
                if (!g_array_index(set, guint8, i)) {
                        g_array_index(set, guint8, i) = 1;
                        return i;
                }

        g_array_set_size(set, set->len + 1);
        g_array_index(set, guint8, set->len - 1) = 1;

        return set->len - 1;
}

void number_give(GArray *set, unsigned number)
{
        g_array_index(set, guint8, number) = 0;
}

int kernel_parse_unsigned(const char *text, guint64 most, guint64 *ret)
{
        g_autofree char *line = g_strdup(text);
        guint64 value;
        char *end;

        if (g_str_has_suffix(line, "\n"))
                line[strlen(line) - 1] = '\0';
        if (!g_ascii_isdigit(line[line[0] == '+']))
                return -EINVAL;

        errno = 0;
        value = strtoull(line, &end, 0); /* GLib's parser may set errno at its first call */
        if (*end)
                return -EINVAL;

        if (errno != 0 || value > most)
                return -ERANGE;

        *ret = value;

        return 0;
}

int kernel_parse_bool(const char *text, bool *ret)
{
        char first = text[0] == 'o' || text[0] == 'O' ? text[1] : text[0];

        if (!first || !strchr(first == text[0] ? "yYtT1nNfF0" : "nNfF", first))
                return -EINVAL;

        /* the second letter tells "on" from "off" */
        *ret = first == text[0] ? strchr("yYtT1", first) != NULL : strchr("nN", first) != NULL;

        return 0;
}

static int show_sequence_number(Node *node, GString *text)
{
        g_string_append_printf(text, "%" G_GUINT64_FORMAT "\n", event_sequence_number());
        return 0;
}

static const NodeOps sequence_number_ops = { .show = show_sequence_number };

/* Programs count processors and memory nodes in these files, so the content is that of the real machine. */
static void copy_from_machine(const char *path)
{
        g_autofree char *real = g_strdup_printf("/sys/%s", path), *directory = g_path_get_dirname(path),
                        *name = g_path_get_basename(path), *content = NULL;

        if (g_file_get_contents(real, &content, NULL, NULL))
                node_add_text(node_make_path(sys, directory), name, 0444, NULL, content);
}

void device_init(void)
{
        static const char *const directories[] = {
                "block",           "bus",      "class", "dev/block",  "dev/char",     "devices/system",
                "devices/virtual", "firmware", "fs",    "hypervisor", "kernel/debug", "kernel/iommu_groups",
                "module",          "power",
        };
        static const char *const machine_files[] = {
                "devices/system/cpu/online",    "devices/system/cpu/possible",
                "devices/system/cpu/present",   "devices/system/node/online",
                "devices/system/node/possible", "kernel/mm/transparent_hugepage/enabled",
        };

        root = node_new_root("");
        sys = node_add_directory(root, "sys");
        dev_vfio = node_make_path(root, "dev/vfio");
        iommu_groups = g_array_new(FALSE, TRUE, 1);
        vfio_minors = g_array_new(FALSE, TRUE, 1);
        vfio_devs = g_array_new(FALSE, TRUE, 1);
        vfio_groups = g_hash_table_new(NULL, NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(directories); i++)
                node_make_path(sys, directories[i]);
        for (size_t i = 0; i < G_N_ELEMENTS(machine_files); i++)
                copy_from_machine(machine_files[i]);
        node_add_attribute(dev_vfio, "vfio", 0666, NULL, NULL); /* the container, which does nothing here */
        node_add_attribute(node_make_path(sys, "kernel"), "uevent_seqnum", 0444, &sequence_number_ops, NULL);
}

Node *device_sys(void)
{
        return sys;
}

Node *device_dev_vfio(void)
{
        return dev_vfio;
}

static void append_properties(const Device *device, GString *text)
{
        if (device->devname) {
                g_string_append_printf(text, "MAJOR=%u\nMINOR=%u\n", device->major, device->minor);
                g_string_append_printf(text, "DEVNAME=%s\n", device->devname);
        }

        if (device->devtype)
                g_string_append_printf(text, "DEVTYPE=%s\n", device->devtype);
        if (device->driver)
                g_string_append_printf(text, "DRIVER=%s\n", device->driver);
        if (device->properties)
                g_string_append(text, device->properties);
}

static int show_uevent(Node *node, GString *text)
{
        append_properties(node->data, text);
        return 0;
}

/* "udevadm trigger" writes here. Words after the action (a UUID and properties) are unused by udev on the
 * systems that this host simulates. */
static int store_uevent(Node *node, const char *bytes, size_t length)
{
        static const char *const actions[] = { "add",    "remove",  "change", "move",
                                               "online", "offline", "bind",   "unbind" };
        g_autofree char *action = g_strdup(bytes);
        bool known = false;
        int r = 0;

        action[strcspn(action, " \n")] = '\0';

        for (size_t i = 0; i < G_N_ELEMENTS(actions); i++)
                known = known || g_str_equal(action, actions[i]);
        if (!known)
                return -EINVAL;

        tree_lock();
        if (node->removed)
                r = -ENODEV;
        else
                device_event(node->data, action, "SYNTH_UUID=0\n");

        tree_unlock();

        return r;
}

static const NodeOps uevent_ops = { .show = show_uevent, .store = store_uevent };

static void send_event(void *data)
{
        PendingEvent *event = data;

        event_send(event->action, event->devpath, event->subsystem, event->devtype, event->properties);
        g_free(event->action);
        g_free(event->devpath);
        g_free(event->properties);
        g_free(event);
}

void device_event(const Device *device, const char *action, const char *extra)
{
        g_autoptr(GString) text = g_string_new(NULL);
        PendingEvent *event = g_new0(PendingEvent, 1);

        append_properties(device, text);

        if (extra)
                g_string_append(text, extra);
        /* udevd passes the node's name on in full. */
        if (device->devname)
                g_string_replace(text, "DEVNAME=", "DEVNAME=/dev/", 1);
        event->action = g_strdup(action);
        event->devpath = g_strdup(device->devpath);
        event->properties = g_string_free(g_steal_pointer(&text), FALSE);
        event->subsystem = device->subsystem;
        event->devtype = device->devtype;
        tree_after_unlock(send_event, event);
}

void kernel_event(const char *action, const char *devpath, const char *subsystem)
{
        PendingEvent *event = g_new0(PendingEvent, 1);

        event->action = g_strdup(action);
        event->devpath = g_strdup(devpath);
        event->subsystem = g_intern_string(subsystem);
        tree_after_unlock(send_event, event);
}

static Node *subsystem_directory(const Device *device)
{
        g_autofree char *path = g_strdup_printf("%s/%s", device->is_class ? "class" : "bus", device->subsystem);

        return node_make_path(sys, path);
}

/* The directory in which the subsystem lists its devices. */
static Node *subsystem_list(const Device *device)
{
        Node *directory = subsystem_directory(device);

        return device->is_class ? directory : node_make_path(directory, "devices");
}

static char *device_number(const Device *device)
{
        return g_strdup_printf("%u:%u", device->major, device->minor);
}

Device *device_add(const DeviceSpec *spec)
{
        Device *device = g_new0(Device, 1);
        g_autofree char *path = NULL, *number = NULL;

        device->name = g_strdup(spec->name);
        device->subsystem = g_intern_string(spec->subsystem);
        device->is_class = spec->is_class;
        device->devtype = spec->devtype ? g_intern_string(spec->devtype) : NULL;
        device->devname = g_strdup(spec->devname);
        device->major = spec->major;
        device->minor = spec->minor;
        device->properties = g_strdup(spec->properties);
        device->directory = node_add_directory(spec->parent, spec->name);
        path = node_path(device->directory);
        device->devpath = g_strdup(path + strlen("/sys"));

        node_add_attribute(device->directory, "uevent", 0644, &uevent_ops, device);

        if (spec->add_files)
                spec->add_files(device, spec->data);
        node_add_link(device->directory, "subsystem", subsystem_directory(device));
        node_add_link(subsystem_list(device), device->name, device->directory);

        if (device->devname) {
                number = device_number(device);
                node_add_format(device->directory, "dev", 0444, "%s\n", number);
                node_add_link(node_make_path(sys, "dev/char"), number, device->directory);
        }

        return device;
}

void device_hide(Device *device)
{
        node_remove_child(subsystem_list(device), device->name);
        node_remove_child(device->directory, "subsystem");
        node_remove_child(device->directory, "uevent");

        if (device->devname) {
                g_autofree char *number = device_number(device);

                node_remove_child(node_make_path(sys, "dev/char"), number);
        }
}

void device_del(Device *device)
{
        device_set_driver(device, NULL);
        device_hide(device);
        node_remove(device->directory);
        g_free(device->name);
        g_free(device->devpath);
        g_free(device->devname);
        g_free(device->properties);
        g_free(device->pci);
        g_free(device);
}

void device_remove_driver_links(Device *device)
{
        node_remove_child(device_driver(device->subsystem, device->driver), device->name);
        node_remove_child(device->directory, "driver");
}

void device_set_driver(Device *device, const char *driver)
{
        if (device->driver) {
                device_remove_driver_links(device);
                device->driver = NULL;
        }

        if (driver) {
                Node *directory = device_driver(device->subsystem, driver);

                device->driver = g_intern_string(driver);
                node_add_link(device->directory, "driver", directory);
                node_add_link(directory, device->name, device->directory);
        }
}

void device_set_bind(DriverBindFunc bind, DriverBindFunc unbind)
{
        bind_func = bind;
        unbind_func = unbind;
}

static int store_binding(Node *node, const char *bytes, DriverBindFunc function)
{
        g_autofree char *name = g_strdup(bytes);
        const char *driver = NULL;

        name[strcspn(name, "\n")] = '\0';
        tree_lock();

        if (!node->removed)
                driver = node->parent->name;
        tree_unlock();

        return driver && function ? function(driver, name) : -ENODEV;
}

static int store_bind(Node *node, const char *bytes, size_t length)
{
        return store_binding(node, bytes, bind_func);
}

static int store_unbind(Node *node, const char *bytes, size_t length)
{
        return store_binding(node, bytes, unbind_func);
}

static const NodeOps bind_ops = { .store = store_bind };
static const NodeOps unbind_ops = { .store = store_unbind };

Node *device_driver(const char *bus, const char *driver)
{
        g_autofree char *path = g_strdup_printf("bus/%s/drivers/%s", bus, driver);
        Node *directory = node_find(sys, path);

        if (directory)
                return directory;

        directory = node_make_path(sys, path);
        node_add_attribute(directory, "bind", 0200, &bind_ops, NULL);
        node_add_attribute(directory, "unbind", 0200, &unbind_ops, NULL);
        node_add_attribute(directory, "uevent", 0200, NULL, NULL);

        return directory;
}

Node *device_module(const char *module)
{
        g_autofree char *path = g_strdup_printf("module/%s", module);
        Node *directory = node_find(sys, path);

        if (directory)
                return directory;

        directory = node_make_path(sys, path);
        node_add_text(directory, "initstate", 0444, NULL, "live\n");
        node_add_text(directory, "refcnt", 0444, NULL, "0\n");

        return directory;
}

void device_driver_in_module(const char *bus, const char *driver)
{
        g_autofree char *module = g_strdelimit(g_strdup(driver), "-", '_');
        g_autofree char *path = g_strdup_printf("module/%s/drivers", module);
        g_autofree char *link = g_strdup_printf("%s:%s", bus, driver);
        Node *directory;

        device_module(module);

        directory = node_make_path(sys, path);
        if (!node_find(directory, link))
                node_add_link(directory, link, device_driver(bus, driver));
}

void iommu_group_begin_at(unsigned first)
{
        first_group = first;
}

unsigned iommu_group_add(Device *device)
{
        unsigned number = first_group + number_take(iommu_groups);
        g_autofree char *name = g_strdup_printf("%u", number);
        Node *group = node_add_directory(node_make_path(sys, "kernel/iommu_groups"), name);

        node_add_text(group, "reserved_regions", 0444, NULL,
                      device->pci ? "0x00000000fee00000 0x00000000feefffff msi\n" : "");
        node_add_text(group, "type", 0644, NULL, device->pci ? "DMA\n" : "unknown\n");
        node_add_link(node_add_directory(group, "devices"), device->name, device->directory);
        node_add_link(device->directory, "iommu_group", group);

        return number;
}

void iommu_group_remove(Device *device, unsigned group)
{
        g_autofree char *name = g_strdup_printf("%u", group);

        node_remove_child(device->directory, "iommu_group");
        node_remove_child(node_make_path(sys, "kernel/iommu_groups"), name);
        number_give(iommu_groups, group - first_group);
}

/* Fails with EBUSY if the group is open: like in the kernel, a group has one opener at a time. */
static int open_group(Node *node, const void *opener)
{
        VfioGroup *group = node->data;

        if (!group)
                return -ENODEV;
        if (group->opener || group->holds > 0)
                return -EBUSY;

        group->opener = opener;

        return 0;
}

static void release_group(Node *node, const void *opener)
{
        VfioGroup *group = node->data; /* NULL: the group was removed before the file was closed */

        if (group && group->opener == opener)
                group->opener = NULL;
}

static const NodeOps group_ops = { .open = open_group, .release = release_group };

static char *node_number_path(const Device *device)
{
        return g_strdup_printf("%s/vfio_%s", node_directory, device->name);
}

static void write_node_number(const Device *device)
{
        g_autofree char *path = NULL, *target = device_number(device);

        if (!node_directory)
                return;

        path = node_number_path(device);
        (void)unlink(path);

        if (symlink(target, path) < 0)
                perror("simhost: device number");
}

void device_set_node_directory(const char *directory)
{
        GHashTableIter iterator;
        void *group;

        node_directory = g_strdup(directory);
        g_hash_table_iter_init(&iterator, vfio_groups);

        while (g_hash_table_iter_next(&iterator, NULL, &group))
                write_node_number(((const VfioGroup *)group)->device);
}

Device *vfio_group_add(unsigned number)
{
        g_autofree char *name = g_strdup_printf("%u", number), *devname = g_strdup_printf("vfio/%u", number);
        VfioGroup *group = g_new0(VfioGroup, 1);
        DeviceSpec spec = {
                .parent = node_make_path(sys, "devices/virtual/vfio"),
                .name = name,
                .subsystem = "vfio",
                .is_class = true,
                .devname = devname,
                .major = VFIO_MAJOR,
                .minor = number_take(vfio_minors),
        };

        group->device = device_add(&spec);
        group->node = node_add_attribute(dev_vfio, name, 0600, &group_ops, group);
        g_hash_table_insert(vfio_groups, GUINT_TO_POINTER(number), group);
        write_node_number(group->device);

        return group->device;
}

void vfio_group_del(Device *device)
{
        guint64 number = g_ascii_strtoull(device->name, NULL, 10);
        VfioGroup *group = g_hash_table_lookup(vfio_groups, GUINT_TO_POINTER((guint)number));

        if (node_directory) {
                g_autofree char *path = node_number_path(device);

                (void)unlink(path);
        }

        g_hash_table_remove(vfio_groups, GUINT_TO_POINTER((guint)number));
        number_give(vfio_minors, device->minor);
        node_remove(group->node);
        g_free(group);
        device_del(device);
}

int vfio_group_hold(unsigned number, int by)
{
        VfioGroup *group = g_hash_table_lookup(vfio_groups, GUINT_TO_POINTER(number));

        if (!group)
                return -ENODEV;
        if (group->holds + by < 0)
                return -EINVAL;

        group->holds += by;

        return 0;
}

Device *vfio_dev_add(Device *device)
{
        unsigned number = first_group + number_take(vfio_devs);
        g_autofree char *name = g_strdup_printf("vfio%u", number);
        DeviceSpec spec = {
                .parent = node_make_path(device->directory, "vfio-dev"),
                .name = name,
                .subsystem = "vfio-dev",
                .is_class = true,
                .minor = number,
        };
        Device *vfio_dev = device_add(&spec);

        node_add_link(vfio_dev->directory, "device", device->directory);

        return vfio_dev;
}

void vfio_dev_del(Device *vfio_dev)
{
        Node *directory = vfio_dev->directory->parent;

        number_give(vfio_devs, vfio_dev->minor - first_group);
        device_del(vfio_dev);
        node_remove(directory);
}
