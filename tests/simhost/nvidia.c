/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * vGPUs as types of virtual functions; see nvidia.h. The files are those of NVIDIA's drivers from version 17
 * on: a write of a type's number to the function's nvidia/current_vgpu_type assigns the type. The list of
 * creatable types shrinks with each vGPU on the GPU.
 */

#include "simhost/nvidia.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "simhost/driver.h"

#define DRIVER          "nvidia"
#define PARAMETERS_SIZE 1024
#define MIB_PER_GIB     1024

static GPtrArray *cards;

GPtrArray *nvidia_cards(void)
{
        if (!cards)
                cards = g_ptr_array_new();
        return cards;
}

NvidiaCard *nvidia_find_card(const char *address)
{
        for (guint i = 0; i < nvidia_cards()->len; i++) {
                NvidiaCard *card = cards->pdata[i];

                if (g_str_equal(card->gpu->functions[0].spec.address, address))
                        return card;
        }

        return NULL;
}

static bool vf_is_used(const NvidiaVf *vf)
{
        return vf->function->holds > 0;
}

bool nvidia_card_is_used(const NvidiaCard *card)
{
        for (unsigned i = 0; i < card->gpu->n_functions; i++) {
                const GpuFunction *function = &card->gpu->functions[i];

                if (function->holds > 0)
                        return true;

                for (guint j = 0; function->parent && j < function->parent->mdevs->len; j++)
                        if (((const Mdev *)function->parent->mdevs->pdata[j])->holds > 0)
                                return true;
        }

        return false;
}

unsigned nvidia_count_vgpus(const NvidiaCard *card)
{
        unsigned count = card->shared.count;

        for (unsigned i = 0; i < card->n_vfs; i++)
                count += card->vfs[i].type != NULL;

        return count;
}

static unsigned count_type(const NvidiaCard *card, const NvidiaType *type)
{
        unsigned count = 0;

        for (unsigned i = 0; i < card->n_vfs; i++)
                count += card->vfs[i].type == type;

        return count;
}

/* The first vGPU fixes the size for all, except in heterogeneous mode. */
static bool fits_beside_its_like(const NvidiaCard *card, const NvidiaType *type)
{
        unsigned count = 0;

        for (unsigned i = 0; i < card->n_vfs; i++) {
                const NvidiaType *other = card->vfs[i].type;

                if (other && other->size_mib != type->size_mib)
                        return false;

                count += other != NULL;
        }

        return count < MIN(type->most, card->memory_mib / type->size_mib);
}

/* Returns the size of a type in heterogeneous mode: the next power of two, or the size of the whole GPU. A
 * vGPU of the type is placed at a multiple of this size. */
static unsigned slot_gib(const NvidiaCard *card, const NvidiaType *type)
{
        unsigned size = 1;

        if (type->size_mib == card->memory_mib)
                return card->memory_mib / MIB_PER_GIB;

        while (size * MIB_PER_GIB < type->size_mib)
                size *= 2;

        return size;
}

static bool place_is_free(const NvidiaCard *card, unsigned start, unsigned size)
{
        for (unsigned i = 0; i < card->n_vfs; i++) {
                const NvidiaVf *vf = &card->vfs[i];

                if (vf->type && vf->placement < start + size &&
                    start < vf->placement + slot_gib(card, vf->type))
                        return false;
        }

        return true;
}

static bool find_place(const NvidiaCard *card, const NvidiaType *type, unsigned *ret)
{
        unsigned size = slot_gib(card, type);

        for (unsigned start = 0; (start + size) * MIB_PER_GIB <= card->memory_mib; start += size)
                if (place_is_free(card, start, size)) {
                        *ret = start;
                        return count_type(card, type) < type->most;
                }

        return false;
}

/* Finds a free GPU instance of the type's profile. */
static bool find_instance(const NvidiaCard *card, const NvidiaType *type, unsigned *ret)
{
        for (unsigned i = 0; i < NVIDIA_INSTANCES_MAX; i++) {
                const NvidiaInstance *instance = &card->instances[i];

                if (instance->id != 0 && !instance->used && instance->profile == type->profile) {
                        *ret = i;
                        return true;
                }
        }

        return false;
}

static bool has_room(const NvidiaCard *card, const NvidiaType *type)
{
        unsigned place;

        if (card->mig)
                return type->profile != NVIDIA_NO_PROFILE && find_instance(card, type, &place);

        if (type->profile != NVIDIA_NO_PROFILE)
                return false;

        return card->heterogeneous ? find_place(card, type, &place) : fits_beside_its_like(card, type);
}

static bool mdev_is_creatable(const NvidiaCard *card, unsigned index)
{
        for (unsigned i = 0; i < card->gpu->n_functions; i++) {
                const MdevParent *parent = card->gpu->functions[i].parent;

                if (parent && parent->registered && mdev_type_available(&parent->types[index]) > 0)
                        return true;
        }

        return false;
}

bool nvidia_is_creatable(const NvidiaCard *card, const NvidiaType *type)
{
        if (card->is_mdev)
                return mdev_is_creatable(card, (unsigned)(type - card->types->types));

        for (unsigned i = 0; i < card->n_vfs; i++)
                if (function_is_bound_to(card->vfs[i].function, DRIVER) && !card->vfs[i].type)
                        return has_room(card, type);

        return false;
}

static NvidiaCard *card_of(const NvidiaVf *vf)
{
        return vf->function->gpu->state;
}

static void set_type(NvidiaVf *vf, const NvidiaType *type)
{
        NvidiaCard *card = card_of(vf);

        if (card->mig && find_instance(card, type, &vf->instance))
                card->instances[vf->instance].used = true;
        else if (card->heterogeneous)
                (void)find_place(card, type, &vf->placement);

        vf->type = type;
}

static void clear_type(NvidiaVf *vf)
{
        if (vf->type && vf->type->profile != NVIDIA_NO_PROFILE)
                card_of(vf)->instances[vf->instance].used = false;
        vf->type = NULL;
        vf->placement = 0;
        g_clear_pointer(&vf->parameters, g_free);
}

static int show_creatable(Node *node, GString *text)
{
        const NvidiaVf *vf = node->data;
        const NvidiaCard *card = card_of(vf);

        if (!card->lists_without_header)
                g_string_append(text, "ID    : vGPU Name\n");
        for (unsigned i = 0; i < card->types->count; i++) {
                const NvidiaType *type = &card->types->types[i];

                if (!vf->type && has_room(card, type))
                        g_string_append_printf(text, "%-5u : %s\n", type->id, type->name);
        }

        return 0;
}

static const NodeOps creatable_ops = { .show = show_creatable };

static int show_current(Node *node, GString *text)
{
        const NvidiaVf *vf = node->data;

        g_string_append_printf(text, "%u\n", vf->type ? vf->type->id : 0);

        return 0;
}

/* Parses like kstrtouint(…, 10, …) of the kernel. */
static int parse_id(const char *bytes, unsigned *ret)
{
        g_autofree char *text = g_strdup(bytes);
        char *end;
        unsigned long value;

        if (g_str_has_suffix(text, "\n"))
                text[strlen(text) - 1] = '\0';
        if (!g_ascii_isdigit(text[text[0] == '+']))
                return -EINVAL;

        errno = 0;
        value = strtoul(text, &end, 10);
        if (*end)
                return -EINVAL;

        if (errno != 0 || value > G_MAXUINT)
                return -ERANGE;

        *ret = (unsigned)value;

        return 0;
}

static const NvidiaType *nvidia_find_type(const NvidiaCard *card, unsigned id)
{
        for (unsigned i = 0; i < card->types->count; i++)
                if (card->types->types[i].id == id)
                        return &card->types->types[i];

        return NULL;
}

static int change_type(NvidiaVf *vf, unsigned id)
{
        const NvidiaType *type = nvidia_find_type(card_of(vf), id);

        if (id == 0) {
                if (!vf->type || vf_is_used(vf))
                        return -EPERM;

                if (vf->lingering > 0) {
                        vf->lingering--;
                        return -EBUSY;
                }

                clear_type(vf);
                return 0;
        }

        if (vf->type)
                return -EPERM;

        /* The resource manager reports every refusal with the same errno. */
        if (!type || !has_room(card_of(vf), type))
                return -EIO;

        set_type(vf, type);

        return 0;
}

static int store_current(Node *node, const char *bytes, size_t length)
{
        unsigned id;
        int r = parse_id(bytes, &id);

        return r < 0 ? r : change_type(node->data, id);
}

static const NodeOps current_ops = { .show = show_current, .store_locked = store_current };

char *nvidia_keep_parameters(const char *bytes, size_t length)
{
        return g_strdup_printf("%.*s\n", length > 0 ? (int)length - 1 : 0, bytes);
}

static int nvidia_show_parameters(Node *node, GString *text)
{
        const NvidiaVf *vf = node->data;

        g_string_append(text, vf->parameters ? vf->parameters : "\n");

        return 0;
}

static int nvidia_store_parameters(Node *node, const char *bytes, size_t length)
{
        NvidiaVf *vf = node->data;

        if (length >= PARAMETERS_SIZE)
                return -E2BIG;

        if (!vf->type)
                return -ENXIO;

        if (vf_is_used(vf))
                return -EPERM;

        g_free(vf->parameters);
        vf->parameters = nvidia_keep_parameters(bytes, length);

        return 0;
}

static const NodeOps parameters_ops = { .show = nvidia_show_parameters,
                                        .store_locked = nvidia_store_parameters };

static int show_placement(Node *node, GString *text)
{
        const NvidiaVf *vf = node->data;

        if (!vf->type)
                return -ENXIO;

        if (card_of(vf)->heterogeneous)
                g_string_append_printf(text, "%u\n", vf->placement);
        else
                g_string_append(text, "Not Applicable\n");

        return 0;
}

static const NodeOps placement_ops = { .show = show_placement };

static int show_instance(Node *node, GString *text)
{
        const NvidiaVf *vf = node->data;

        if (!vf->type)
                return -ENXIO;
        if (vf->type->profile != NVIDIA_NO_PROFILE)
                g_string_append_printf(text, "%u\n", card_of(vf)->instances[vf->instance].id);
        else
                g_string_append(text, "Not Applicable\n");

        return 0;
}

static const NodeOps instance_ops = { .show = show_instance };

/* The driver's probe of a virtual function. driver.c registers the function with VFIO afterwards. */
static int nvidia_bind(GpuFunction *function)
{
        const NvidiaCard *card = function->gpu->state;
        Node *group;

        if (function->index == 0)
                return 0;

        if (card->has_no_manager)
                return -ENODEV;

        group = node_add_directory(function->device->directory, "nvidia");
        node_add_attribute(group, "creatable_vgpu_types", 0444, &creatable_ops, function->state);
        node_add_attribute(group, "current_vgpu_type", 0644, &current_ops, function->state);
        node_add_attribute(group, "vgpu_params", 0644, &parameters_ops, function->state);
        node_add_attribute(group, "placement_id", 0444, &placement_ops, function->state);
        node_add_attribute(group, "gpu_instance_id", 0444, &instance_ops, function->state);

        return 0;
}

static void nvidia_unbind(GpuFunction *function)
{
        if (function->index == 0)
                return;

        clear_type(function->state);
        node_remove_child(function->device->directory, "nvidia");
}

/* Refuses vfio-pci on virtual functions, which are no whole devices. */
static int refuse_vfio(GpuFunction *function)
{
        return function->index > 0 ? -EINVAL : 0;
}

/* The driver has no sriov_configure: sriov-manage enables virtual functions through another driver. */
static const GpuOps vendor_ops = {
        .driver = DRIVER,
        .vf_driver = DRIVER,
        .keeps_vfs = true,
        .vf_is_vfio = true,
        .bind = nvidia_bind,
        .unbind = nvidia_unbind,
        .vfio_bind = refuse_vfio,
};

void nvidia_set_heterogeneous(NvidiaCard *card, bool mixed)
{
        card->heterogeneous = mixed;
        card->shared.mixed = mixed;
}

void nvidia_forget(NvidiaCard *card)
{
        for (unsigned i = 0; i < card->n_vfs; i++)
                clear_type(&card->vfs[i]);
        memset(card->instances, 0, sizeof(card->instances));
        nvidia_set_heterogeneous(card, false);
}

static void add_parents(NvidiaCard *card)
{
        const MdevTypeSpec *types = nvidia_mdev_types(card->types);
        unsigned first = card->has_no_vfs ? 0 : 1, end = card->has_no_vfs ? 1 : card->gpu->n_functions;

        card->shared.memory_mib = card->memory_mib;
        card->shared.on_functions = !card->has_no_vfs;

        for (unsigned i = first; i < end; i++)
                card->gpu->functions[i].parent =
                                mdev_parent_new(card->gpu->functions[i].spec.address, DRIVER, &nvidia_ops,
                                                types, card->types->count, &card->shared);
}

void nvidia_add_card(NvidiaCard *card, const PciSpec *spec, unsigned n_vfs, unsigned vf_device_id)
{
        card->gpu = gpu_new(spec, card->is_mdev ? &nvidia_gpu_ops : &vendor_ops, n_vfs, vf_device_id, 4, 1);
        card->gpu->state = card;
        card->gpu->vfs_at_plug = card->vfs_at_plug;
        card->n_vfs = n_vfs;
        card->vfs = g_new0(NvidiaVf, n_vfs);

        for (unsigned i = 0; i < n_vfs; i++) {
                card->vfs[i].function = &card->gpu->functions[i + 1];
                card->vfs[i].function->state = &card->vfs[i];
        }

        card->nvml_clients = g_array_new(FALSE, FALSE, sizeof(pid_t));
        g_ptr_array_add(nvidia_cards(), card);

        if (!card->has_no_manager)
                device_module(NVIDIA_MANAGER);

        if (card->is_mdev)
                add_parents(card);
        (void)gpu_plug(card->gpu);
}
