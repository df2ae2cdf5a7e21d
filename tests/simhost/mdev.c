/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The mediated device core; see mdev.h. The names in comments are those of drivers/vfio/mdev/mdev_core.c. */

#include "simhost/mdev.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "simhost/fault.h"

#define UUID_LENGTH 36

static bool shutting_down;
static GPtrArray *parents;
static GHashTable *mdevs; /* uuid → Mdev: the kernel's mdev_list, over all parents */

static void add_type_directory(Node *types, MdevType *type);

Mdev *mdev_find(const char *uuid)
{
        return mdevs ? g_hash_table_lookup(mdevs, uuid) : NULL;
}

GPtrArray *mdev_parents(void)
{
        if (!parents)
                parents = g_ptr_array_new();
        return parents;
}

MdevParent *mdev_parent_find(const char *name)
{
        for (guint i = 0; i < mdev_parents()->len; i++) {
                MdevParent *parent = parents->pdata[i];

                if (g_str_equal(parent->name, name))
                        return parent;
        }

        return NULL;
}

MdevType *mdev_type_find(MdevParent *parent, const char *id)
{
        for (unsigned i = 0; i < parent->n_types; i++)
                if (g_str_equal(parent->types[i].id, id))
                        return &parent->types[i];

        return NULL;
}

unsigned mdev_type_available(const MdevType *type)
{
        return type->parent->ops->available ? type->parent->ops->available(type) : type->parent->budget;
}

MdevParent *mdev_parent_new(const char *name, const char *prefix, const MdevParentOps *ops,
                            const MdevTypeSpec *specs, unsigned n_specs, void *state)
{
        MdevParent *parent = g_new0(MdevParent, 1);

        if (!mdevs)
                mdevs = g_hash_table_new(g_str_hash, g_str_equal);
        parent->name = g_strdup(name);
        parent->prefix = prefix;
        parent->ops = ops;
        parent->state = state;
        parent->mdevs = g_ptr_array_new();
        parent->n_types = n_specs;
        parent->types = g_new0(MdevType, n_specs);

        for (unsigned i = 0; i < n_specs; i++)
                parent->types[i] = (MdevType){
                        .parent = parent,
                        .spec = &specs[i],
                        .id = g_strdup_printf("%s-%s", prefix, specs[i].suffix),
                };

        g_ptr_array_add(mdev_parents(), parent);

        return parent;
}

static int show_name(Node *node, GString *text)
{
        const MdevType *type = node->data;

        g_string_append_printf(text, "%s\n", type->spec->name ? type->spec->name : type->spec->suffix);

        return 0;
}

static int show_description(Node *node, GString *text)
{
        g_string_append_printf(text, "%s\n", ((const MdevType *)node->data)->spec->description);
        return 0;
}

static int mdev_show_available(Node *node, GString *text)
{
        g_string_append_printf(text, "%u\n", mdev_type_available(node->data));
        return 0;
}

static int show_device_api(Node *node, GString *text)
{
        g_string_append(text, "vfio-pci\n");
        return 0;
}

static int mdev_store_create(Node *node, const char *bytes, size_t length)
{
        MdevType *type = NULL;

        tree_lock();

        if (!node->removed)
                type = node->data; /* parents are never freed */
        tree_unlock();

        return type ? mdev_create(type, bytes, length) : -ENODEV;
}

static const NodeOps name_ops = { .show = show_name };
static const NodeOps description_ops = { .show = show_description };
static const NodeOps available_ops = { .show = mdev_show_available };
static const NodeOps device_api_ops = { .show = show_device_api };
static const NodeOps create_ops = { .store = mdev_store_create };

static int store_remove(Node *node, const char *bytes, size_t length)
{
        g_autofree char *uuid = NULL;
        guint64 value;

        if (kernel_parse_unsigned(bytes, G_MAXULONG, &value) < 0)
                return -EINVAL;

        if (value == 0)
                return 0;

        /* device_remove_file_self(): the first of two writers removes the file and goes on, the other returns.
         */
        tree_lock();
        if (!node->removed) {
                uuid = g_strdup(node->parent->name);
                node_remove(node);
        }

        tree_unlock();

        return uuid ? mdev_remove(uuid) : 0;
}

static const NodeOps remove_ops = { .store = store_remove };

static void populate_type(Node *directory)
{
        MdevType *type = directory->data;
        const GPtrArray *siblings = type->parent->mdevs;
        Node *devices;

        node_add_attribute(directory, "create", 0200, &create_ops, type);
        node_add_attribute(directory, "available_instances", 0444, &available_ops, type);
        node_add_attribute(directory, "device_api", 0444, &device_api_ops, type);
        node_add_attribute(directory, "name", 0444, &name_ops, type);

        if (type->spec->description)
                node_add_attribute(directory, "description", 0444, &description_ops, type);

        devices = node_add_directory(directory, "devices");
        for (guint i = 0; i < siblings->len; i++) {
                const Mdev *mdev = siblings->pdata[i];

                if (mdev->type == type && mdev->linked)
                        node_add_link(devices, mdev->uuid, mdev->device->directory);
        }
}

/* Directories are filled at first lookup, because 1 024 parents with 40 types would need 290 000 nodes. */
static const NodeOps type_ops = { .populate = populate_type };

static void populate_types(Node *directory)
{
        MdevParent *parent = directory->data;

        for (unsigned i = 0; i < parent->n_types; i++)
                add_type_directory(directory, &parent->types[i]);
}

static const NodeOps types_ops = { .populate = populate_types };

static void add_type_directory(Node *types, MdevType *type)
{
        node_add_directory_lazy(types, type->id, &type_ops, type);
}

static Node *class_directory(void)
{
        return node_make_path(device_sys(), "class/mdev_bus");
}

void mdev_parent_register(MdevParent *parent, Device *device)
{
        static const char *const modules[] = { "mdev", "vfio", "vfio_iommu_type1" };

        assert(!parent->registered);

        for (size_t i = 0; i < G_N_ELEMENTS(modules); i++)
                device_module(modules[i]);
        device_module(parent->ops->module);
        device_driver("mdev", parent->ops->driver);
        node_make_path(device_sys(), "bus/mdev/devices");

        parent->device = device;
        parent->registered = true;
        node_add_directory_lazy(device->directory, "mdev_supported_types", &types_ops, parent);
        node_add_link(class_directory(), device->name, device->directory);
        device_event(device, "change", "MDEV_STATE=registered\n");
}

/* Returns the directory "devices" of a type. NULL: the type's directory is still empty, and populate_type()
 * makes the links at its first lookup. */
static Node *type_devices(const MdevType *type)
{
        Node *types = node_child(type->parent->device->directory, "mdev_supported_types");
        Node *directory = types && types->populated ? node_child(types, type->id) : NULL;

        return directory && directory->populated ? node_child(directory, "devices") : NULL;
}

/* mdev_create_sysfs_files() */
static void add_links(Mdev *mdev)
{
        Node *devices = type_devices(mdev->type);
        Node *types = node_child(mdev->type->parent->device->directory, "mdev_supported_types");

        mdev->linked = true;

        if (devices)
                node_add_link(devices, mdev->uuid, mdev->device->directory);
        node_add_link(mdev->device->directory, "mdev_type", node_child(types, mdev->type->id));
}

static void remove_links(Mdev *mdev)
{
        Node *devices = type_devices(mdev->type);

        mdev->linked = false;
        node_remove_child(mdev->device->directory, "mdev_type");

        if (devices)
                node_remove_child(devices, mdev->uuid);
}

static int parse_uuid(const char *text, size_t length, char **ret)
{
        g_autofree char *uuid = NULL;

        if (length < UUID_LENGTH || length > UUID_LENGTH + 1)
                return -EINVAL;

        uuid = g_ascii_strdown(text, UUID_LENGTH);
        for (size_t i = 0; i < UUID_LENGTH; i++) {
                bool dash = i == 8 || i == 13 || i == 18 || i == 23;

                if (dash ? uuid[i] != '-' : !g_ascii_isxdigit(uuid[i]))
                        return -EINVAL;
        }

        *ret = g_steal_pointer(&uuid);

        return 0;
}

/* mdev_device_release() */
static void mdev_release(Mdev *mdev)
{
        MdevParent *parent = mdev->type->parent;

        g_hash_table_remove(mdevs, mdev->uuid);
        g_ptr_array_remove_fast(parent->mdevs, mdev);

        if (!parent->ops->available)
                parent->budget++;
        g_free(mdev->uuid);
        g_free(mdev->parameters);
        g_free(mdev);
}

/* The checks of mdev_device_create() before the device exists. */
static int mdev_reserve(MdevType *type, const char *uuid, Mdev **ret)
{
        MdevParent *parent = type->parent;
        Mdev *mdev = mdev_find(uuid);

        /* Observed with 6.1 and 6.12: while a removal waits for the close of the device, a create with the same
         * UUID fails with EIO. */
        if (mdev)
                return mdev->removing ? -EIO : -EEXIST;

        if (!parent->ops->available && parent->budget == 0)
                return -EUSERS;

        mdev = g_new0(Mdev, 1);
        mdev->uuid = g_strdup(uuid);
        mdev->type = type;
        g_hash_table_insert(mdevs, mdev->uuid, mdev);
        g_ptr_array_add(parent->mdevs, mdev);

        if (!parent->ops->available)
                parent->budget--;
        if (!parent->registered || parent->unregistering) {
                mdev_release(mdev);
                return -ENODEV;
        }

        parent->users++;
        *ret = mdev;

        return 0;
}

static void leave_parent(MdevParent *parent)
{
        parent->users--;
        tree_broadcast();
}

/* Makes the nodes of vfio_register_emulated_iommu_dev(). */
static void mdev_add_vfio(Mdev *mdev)
{
        mdev->group = iommu_group_add(mdev->device);
        mdev->vfio_group = vfio_group_add(mdev->group);
        device_event(mdev->vfio_group, "add", NULL);
        mdev->vfio_dev = vfio_dev_add(mdev->device);
        device_event(mdev->vfio_dev, "add", NULL);
}

static char *fault_path(const Mdev *mdev)
{
        return node_path(mdev->device->directory);
}

/* device_driver_attach(): runs the vendor's probe, which may block. */
static int mdev_probe(Mdev *mdev)
{
        MdevParent *parent = mdev->type->parent;
        g_autofree char *path = fault_path(mdev);
        int r;

        device_set_driver(mdev->device, parent->ops->driver);
        tree_unlock();
        r = fault_apply(FAULT_CREATE, path);
        tree_lock();

        if (r == 0 && parent->ops->probe)
                r = parent->ops->probe(mdev);
        if (r < 0) {
                device_set_driver(mdev->device, NULL);
                return r;
        }

        if (parent->ops->add_attributes)
                parent->ops->add_attributes(mdev, mdev->device->directory);
        mdev_add_vfio(mdev);
        device_event(mdev->device, "bind", NULL);
        tree_unlock();
        (void)fault_apply(FAULT_LINK, path);
        tree_lock();

        return 0;
}

int mdev_create(MdevType *type, const char *text, size_t length)
{
        MdevParent *parent = type->parent;
        g_autofree char *uuid = NULL;
        DeviceSpec spec = { .subsystem = "mdev" };
        Mdev *mdev;
        int r = parse_uuid(text, length, &uuid);

        if (r < 0)
                return r;

        tree_lock();
        r = mdev_reserve(type, uuid, &mdev);
        if (r < 0)
                goto out;

        spec.parent = parent->device->directory;
        spec.name = uuid;
        mdev->device = device_add(&spec);
        node_add_attribute(mdev->device->directory, "remove", 0200, &remove_ops, NULL);
        device_event(mdev->device, "add", NULL);

        r = mdev_probe(mdev);
        if (r == 0) {
                add_links(mdev);
                mdev->active = true;
        } else {
                device_event(mdev->device, "remove", NULL);
                device_del(mdev->device);
                mdev_release(mdev);
        }

        leave_parent(parent);
out:
        tree_unlock();

        return r;
}

/* Does the work of mdev_device_remove_common() and its vfio_unregister_group_dev(): refuses new opens first,
 * then waits until the device is closed. The caller holds the lock of the tree, which is released during the
 * wait. */
static void mdev_remove_common(Mdev *mdev)
{
        MdevParent *parent = mdev->type->parent;

        mdev->removing = true;
        remove_links(mdev);
        device_hide(mdev->device);
        node_remove_child(mdev->device->directory, "remove");
        device_event(mdev->vfio_dev, "remove", NULL);
        vfio_dev_del(mdev->vfio_dev);

        while (mdev->holds > 0 && !shutting_down)
                tree_wait("close", mdev->uuid);

        if (parent->ops->release)
                parent->ops->release(mdev);
        device_event(mdev->vfio_group, "remove", NULL);
        vfio_group_del(mdev->vfio_group);
        iommu_group_remove(mdev->device, mdev->group);
        device_set_driver(mdev->device, NULL);
        device_event(mdev->device, "unbind", NULL);
        device_event(mdev->device, "remove", NULL);
        device_del(mdev->device);
        mdev_release(mdev);
}

int mdev_remove(const char *uuid)
{
        g_autofree char *path = NULL;
        MdevParent *parent;
        Mdev *mdev;
        int r;

        tree_lock();

        mdev = mdev_find(uuid);
        if (!mdev) {
                tree_unlock();
                return -ENODEV;
        }

        if (!mdev->active) {
                tree_unlock();
                return -EAGAIN;
        }

        parent = mdev->type->parent;
        mdev->active = false;

        if (parent->unregistering) {
                tree_unlock();
                return -ENODEV;
        }

        parent->users++;
        path = fault_path(mdev);
        tree_unlock();

        r = fault_apply(FAULT_REMOVE, path);

        tree_lock();

        if (r == 0)
                mdev_remove_common(mdev);
        else
                mdev->active = true; /* the instance stays, but without its file "remove" */

        leave_parent(parent);
        tree_unlock();

        return r;
}

/* Returns a child whose removal has not begun, or NULL. */
static Mdev *next_child(const MdevParent *parent)
{
        for (guint i = 0; i < parent->mdevs->len; i++) {
                Mdev *mdev = parent->mdevs->pdata[i];

                if (!mdev->removing)
                        return mdev;
        }

        return NULL;
}

int mdev_parent_unregister(MdevParent *parent)
{
        Device *device;
        Mdev *mdev;

        tree_lock();

        if (!parent->registered || parent->unregistering) {
                tree_unlock();
                return -ENODEV;
        }

        /* trylock of unreg_sem fails from here on; current holders finish first. */
        parent->unregistering = true;
        while (parent->users > 0)
                tree_wait("unregister", parent->name);

        device = parent->device;
        node_remove_child(class_directory(), device->name);

        while ((mdev = next_child(parent))) {
                mdev->active = false;
                mdev_remove_common(mdev);
        }

        node_remove_child(device->directory, "mdev_supported_types");
        parent->registered = false;
        parent->unregistering = false;
        parent->device = NULL;
        device_event(device, "change", "MDEV_STATE=unregistered\n");
        tree_broadcast();
        tree_unlock();

        return 0;
}

int mdev_hold(const char *uuid, int by)
{
        Mdev *mdev;
        int r = -ENODEV;

        tree_lock();

        mdev = mdev_find(uuid);
        if (mdev && mdev->vfio_group && (by > 0 ? !mdev->removing : mdev->holds > 0)) {
                /* A device is opened through its group, so count the group as open too. */
                r = vfio_group_hold(mdev->group, by);
                if (r == 0)
                        mdev->holds += (unsigned)by;
                tree_broadcast();
        }

        tree_unlock();

        return r;
}

void mdev_shutdown(void)
{
        tree_lock();
        shutting_down = true;
        tree_broadcast();
        tree_unlock();
}
