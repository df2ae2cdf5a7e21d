/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* PCI functions, their parent bridges and DRM nodes; see device.h. */

#include "simhost/device.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define DRM_MAJOR 226

static GArray *drm_minors;
static const char *boot_display; /* address */

/* The part of the configuration space that lspci and libpci read by default. */
static int show_config(Node *node, GString *text)
{
        const PciSpec *pci = ((const Device *)node->data)->pci;
        guint8 header[64] = {
                [0x00] = (guint8)pci->vendor,
                [0x01] = (guint8)(pci->vendor >> 8),
                [0x02] = (guint8)pci->device,
                [0x03] = (guint8)(pci->device >> 8),
                [0x04] = 0x06, /* memory and bus master */
                [0x08] = (guint8)pci->revision,
                [0x09] = (guint8)pci->class,
                [0x0a] = (guint8)(pci->class >> 8),
                [0x0b] = (guint8)(pci->class >> 16),
                [0x2c] = (guint8)pci->subsystem_vendor,
                [0x2d] = (guint8)(pci->subsystem_vendor >> 8),
                [0x2e] = (guint8)pci->subsystem_device,
                [0x2f] = (guint8)(pci->subsystem_device >> 8),
        };

        g_string_append_len(text, (const char *)header, sizeof(header));

        return 0;
}

static const NodeOps config_ops = { .show = show_config };

/* An empty line clears the override. */
static int store_override(Node *node, const char *bytes, size_t length)
{
        g_autofree char *line = g_strdup_printf("%.*s\n", (int)strcspn(bytes, "\n"), bytes);

        if (length >= 4096 - 1)
                return -EINVAL;

        node_set_text(node, g_str_equal(line, "\n") ? "(null)\n" : line);

        return 0;
}

static const NodeOps override_ops = { .store_locked = store_override };

static int pci_store_reset(Node *node, const char *bytes, size_t length)
{
        return g_str_equal(bytes, "1") || g_str_equal(bytes, "1\n") ? 0 : -EINVAL;
}

static const NodeOps reset_ops = { .store = pci_store_reset };

/* No simulated driver of a PF can set the number of a VF's interrupts. */
static int store_msix_count(Node *node, const char *bytes, size_t length)
{
        const Device *device = node->data;
        guint64 count;

        if (kernel_parse_unsigned(bytes, G_MAXINT, &count) < 0)
                return -EINVAL;

        return device->driver ? -EBUSY : -EOPNOTSUPP;
}

static const NodeOps msix_count_ops = { .store_locked = store_msix_count };

static void add_link_files(Node *directory, const PciSpec *spec)
{
        node_add_format(directory, "current_link_speed", 0444, "%s PCIe\n", spec->link_speed);
        node_add_format(directory, "max_link_speed", 0444, "%s PCIe\n", spec->link_speed);
        node_add_format(directory, "current_link_width", 0444, "%u\n", spec->link_width);
        node_add_format(directory, "max_link_width", 0444, "%u\n", spec->link_width);
}

static void add_files(Device *device, const void *data)
{
        const PciSpec *spec = data;
        Node *directory = device->directory;

        device->pci = g_new(PciSpec, 1);
        *device->pci = *spec;

        node_add_format(directory, "vendor", 0444, "0x%04x\n", spec->vendor);
        node_add_format(directory, "device", 0444, "0x%04x\n", spec->device);
        node_add_format(directory, "subsystem_vendor", 0444, "0x%04x\n", spec->subsystem_vendor);
        node_add_format(directory, "subsystem_device", 0444, "0x%04x\n", spec->subsystem_device);
        node_add_format(directory, "class", 0444, "0x%06x\n", spec->class);
        node_add_format(directory, "revision", 0444, "0x%02x\n", spec->revision);
        node_add_format(directory, "numa_node", 0644, "%d\n", spec->numa_node);
        node_add_text(directory, "local_cpulist", 0444, NULL, "0-1\n");
        node_add_text(directory, "local_cpus", 0444, NULL, "3\n");
        node_add_text(directory, "irq", 0444, NULL, "0\n");
        node_add_text(directory, "enable", 0644, NULL, spec->class >> 8 == 0x0604 ? "1\n" : "0\n");
        node_add_text(directory, "power_state", 0444, NULL, "D0\n");
        node_add_text(directory, "resource", 0444, NULL,
                      "0x00000000d0000000 0x00000000dfffffff 0x000000000014220c\n");
        node_add_text(directory, "driver_override", 0644, &override_ops, "(null)\n");
        node_add_text(directory, "reset_method", 0644, NULL, "flr bus\n");
        node_add_attribute(directory, "reset", 0200, &reset_ops, NULL);
        node_add_attribute(directory, "config", 0644, &config_ops, device);
        /* "modalias" is the value of MODALIAS= in "uevent". */
        node_add_format(directory, "modalias", 0444, "%s",
                        strstr(device->properties, "MODALIAS=") + strlen("MODALIAS="));

        if (spec->link_speed)
                add_link_files(directory, spec);
        if (spec->physical)
                node_add_attribute(directory, "sriov_vf_msix_count", 0200, &msix_count_ops, device);
        if (spec->is_display && (spec->class >> 8) == 0x0300) {
                if (!boot_display)
                        boot_display = g_intern_string(spec->address);
                node_add_text(directory, "boot_vga", 0444, NULL,
                              g_str_equal(boot_display, spec->address) ? "1\n" : "0\n");
        }
}

void pci_add_virtual_links(Device *device)
{
        const PciSpec *spec = device->pci;
        g_autofree char *name = g_strdup_printf("virtfn%u", spec->virtual_index);

        node_add_link(device->directory, "physfn", spec->physical->directory);
        node_add_link(spec->physical->directory, name, device->directory);
}

Device *pci_add(const PciSpec *spec)
{
        g_autofree char *path = g_strdup_printf("devices/%s", spec->bridge), *properties = NULL;
        DeviceSpec device_spec = { .name = spec->address, .subsystem = "pci" };
        Device *device;

        pci_bridge_add(spec->bridge, spec->numa_node);
        properties = g_strdup_printf(
                        "PCI_CLASS=%X\nPCI_ID=%04X:%04X\nPCI_SUBSYS_ID=%04X:%04X\nPCI_SLOT_NAME=%s\n"
                        "MODALIAS=pci:v%08Xd%08Xsv%08Xsd%08Xbc%02Xsc%02Xi%02X\n",
                        spec->class, spec->vendor, spec->device, spec->subsystem_vendor, spec->subsystem_device,
                        spec->address, spec->vendor, spec->device, spec->subsystem_vendor,
                        spec->subsystem_device, spec->class >> 16 & 0xff, spec->class >> 8 & 0xff,
                        spec->class & 0xff);
        device_spec.parent = node_make_path(device_sys(), path);
        device_spec.properties = properties;
        device_spec.add_files = add_files;
        device_spec.data = spec;
        device = device_add(&device_spec);
        device->group = iommu_group_add(device);

        return device;
}

void pci_remove_virtual_links(Device *device)
{
        const PciSpec *spec = device->pci;
        g_autofree char *name = g_strdup_printf("virtfn%u", spec->virtual_index);

        node_remove_child(spec->physical->directory, name);
        node_remove_child(device->directory, "physfn");
}

void pci_set_enabled(Device *device, bool enabled)
{
        node_set_text(node_child(device->directory, "enable"), enabled ? "1\n" : "0\n");
}

bool pci_is_enabled(const Device *device)
{
        return node_child(device->directory, "enable")->text[0] != '0';
}

const char *pci_driver_override(const Device *device)
{
        const Node *node = node_child(device->directory, "driver_override");

        return g_str_equal(node->text, "(null)\n") ? NULL : node->text;
}

void pci_del(Device *device)
{
        if (device->pci->physical)
                pci_remove_virtual_links(device);
        iommu_group_remove(device, device->group);
        device_del(device);
}

void pci_bridge_add(const char *path, int numa_node)
{
        g_auto(GStrv) parts = g_strsplit(path, "/", -1);
        g_autoptr(GString) above = g_string_new(parts[0]);
        g_autofree char *root_path = g_strdup_printf("devices/%s", parts[0]);

        node_make_path(device_sys(), root_path);

        for (char **part = parts + 1; *part; part++) {
                g_autofree char *own_path = g_strdup_printf("devices/%s/%s", above->str, *part);

                if (!node_find(device_sys(), own_path)) {
                        PciSpec spec = { .address = g_intern_string(*part),
                                         .bridge = g_intern_string(above->str),
                                         .vendor = 0x8086,
                                         .device = 0x2030,
                                         .subsystem_vendor = 0x8086,
                                         .subsystem_device = 0x0000,
                                         .class = 0x060400,
                                         .revision = 4,
                                         .numa_node = numa_node,
                                         .link_speed = "8.0 GT/s",
                                         .link_width = 16 };

                        device_set_driver(pci_add(&spec), "pcieport");
                }

                g_string_append_printf(above, "/%s", *part);
        }
}

static Device *add_drm_node(Device *gpu, const char *prefix, unsigned minor)
{
        g_autofree char *name = g_strdup_printf("%s%u", prefix, minor),
                        *devname = g_strdup_printf("dri/%s", name);
        DeviceSpec spec = {
                .parent = node_make_path(gpu->directory, "drm"),
                .name = name,
                .subsystem = "drm",
                .is_class = true,
                .devtype = "drm_minor",
                .devname = devname,
                .major = DRM_MAJOR,
                .minor = minor,
        };
        Device *device = device_add(&spec);

        node_add_link(device->directory, "device", gpu->directory);
        device_event(device, "add", NULL);

        return device;
}

void drm_add(Device *gpu, GPtrArray *ret_devices)
{
        unsigned minor;

        if (!drm_minors)
                drm_minors = g_array_new(FALSE, TRUE, 1);
        minor = number_take(drm_minors);
        g_ptr_array_add(ret_devices, add_drm_node(gpu, "renderD", 128 + minor));
        g_ptr_array_add(ret_devices, add_drm_node(gpu, "card", minor));
}

void drm_del(GPtrArray *devices)
{
        for (guint i = devices->len; i > 0; i--) {
                Device *device = devices->pdata[i - 1];
                Node *directory = device->directory->parent;

                if (device->minor < 128)
                        number_give(drm_minors, device->minor);
                device_event(device, "remove", NULL);
                device_del(device);

                if (i == 1)
                        node_remove(directory);
        }

        g_ptr_array_set_size(devices, 0);
}
