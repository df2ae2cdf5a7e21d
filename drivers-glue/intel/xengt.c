/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The back end for XenGT: the i915 that Intel patched for Xen (Linux 3.x and 4.x, Haswell to Skylake). Its
 * whole interface is /sys/kernel/vgt. A vGPU is the folder vmID with the ID of a Xen domain; there is no UUID,
 * PCI function or VFIO. A line of numbers creates a vGPU, "-ID" removes it.
 *
 * A new vGPU belongs to its domain at once: the driver serves 00:02.0 in the domain from then on, and a request
 * that the driver cannot serve crashes the domain. The removal does not check whether the domain still runs.
 *
 * Never write a line of five numbers: the driver then reads the sixth, the cap, from uninitialised memory. */

#include <inttypes.h>
#include <string.h>

#include "base/parse-util.h"
#include "base/text.h"
#include "drivers-glue/driver.h"
#include "drivers-glue/explain.h"
#include "drivers-glue/problem.h"
#include "drivers-glue/registry.h"
#include "drivers-glue/intel/xengt-request.h"
#include "drivers-glue/intel/xengt-room.h"

#define VGT        "kernel/vgt"
#define CONTROL    VGT "/control"
#define CREATE     CONTROL "/create_vgt_instance"
#define ROOM       CONTROL "/available_resource"
#define HYPERVISOR "hypervisor/type"
#define BACKENDS   "bus/xen-backend/devices"
static VgpuMatch xengt_match(const GpuFacts *facts)
{
        return facts->features & VGPU_FEATURE_XENGT ? VGPU_MATCH_VENDOR : VGPU_MATCH_NO;
}

/* True if the folder of XenGT exists. A missing file alone must not become GPU_GONE, which triggers a
 * discovery. */
static bool xengt_has_control(const VgpuTarget *t)
{
        return vgpu_io_exists(t->io, CONTROL);
}

static int xengt_read_room(VgpuIo *io, XengtRoom *ret)
{
        g_autofree char *text = NULL;
        int r;

        *ret = (XengtRoom){ 0 };

        r = vgpu_io_read(io, ROOM, &text);
        if (r == -ENOENT)
                r = vgpu_io_read(io, ROOM "s", &text); /* the name in the manual */

        return r < 0 ? r : xengt_room_parse(text, ret);
}

/* ---- scan ---- */

static bool xengt_parse_slot(const char *name, uint32_t *ret_vm_id)
{
        return g_str_has_prefix(name, "vm") && parse_u32(name + strlen("vm"), 10, ret_vm_id) >= 0 &&
               *ret_vm_id > 0;
}

/* List the vGPUs: "vm3". The vGPU of the host has no folder. */
static int xengt_list_slots(VgpuIo *io, GPtrArray **ret)
{
        g_autoptr(GPtrArray) slots = g_ptr_array_new_with_free_func(g_free);
        g_auto(GStrv) names = NULL;
        uint32_t vm_id;
        int r = vgpu_io_list(io, VGT, &names);

        if (r < 0)
                return r;

        for (char **n = names; *n; n++)
                if (xengt_parse_slot(*n, &vm_id))
                        g_ptr_array_add(slots, g_strdup(*n));

        *ret = g_steal_pointer(&slots);

        return 0;
}

static int xengt_list_slots_or_explain(VgpuTarget *t, GPtrArray **ret, VgpudError *reterr)
{
        return explain_read(t->facts, VGT, xengt_list_slots(t->io, ret), reterr);
}

static int xengt_read_size(VgpuIo *io, const char *slot, const char *name, uint64_t *ret)
{
        g_autofree char *text = NULL;
        int r = vgpu_io_readf(io, &text, VGT "/%s/%s", slot, name);

        if (r < 0)
                return r;

        return parse_u64(text, 16, ret) < 0 ? -EBADMSG : 0;
}

static void xengt_add_bytes(InstanceDesc *d, const char *name, uint64_t bytes)
{
        g_autofree char *value = bytes % (1 << 20) == 0 ? g_strdup_printf("%" PRIu64 "M", bytes >> 20)
                                                        : g_strdup_printf("%" PRIu64, bytes);

        g_ptr_array_add(d->attributes, vgpu_attribute_new(name, value));
}

static const char *xengt_find_attribute(const InstanceDesc *d, const char *name)
{
        for (guint i = 0; d->attributes && i < d->attributes->len; i++) {
                const VgpuAttribute *a = d->attributes->pdata[i];

                if (strcmp(a->name, name) == 0)
                        return a->value;
        }

        return NULL;
}

static gint xengt_compare_attributes(gconstpointer a, gconstpointer b)
{
        return strcmp((*(VgpuAttribute *const *)a)->name, (*(VgpuAttribute *const *)b)->name);
}

static bool xengt_match_reservation(InstanceDesc *d, const char *restore)
{
        static const char *const sizes[] = { "low_gm", "high_gm", NULL };
        static const char *const hidden[] = { "fences", "primary", "cap", NULL };
        g_auto(GStrv) words = g_strsplit(restore, " ", -1);
        g_autoptr(GPtrArray) found = vgpu_attributes_new();

        g_assert(d->slot);
        g_assert(d->attributes);

        for (char **w = words; *w; w++) {
                char *value = strchr(*w, '=');

                if (!value)
                        continue;

                *value++ = 0;
                if (g_strv_contains(sizes, *w) && g_strcmp0(xengt_find_attribute(d, *w), value) != 0)
                        return false;
                if (g_strv_contains(hidden, *w))
                        g_ptr_array_add(found, vgpu_attribute_new(*w, value));
        }

        g_ptr_array_extend_and_steal(d->attributes, g_steal_pointer(&found));
        g_ptr_array_sort(d->attributes, xengt_compare_attributes);

        return true;
}

/* The kernel does not show the type of a vGPU, so it is guessed by the sizes. */
static int xengt_read_instance(VgpuTarget *t, const char *slot, InstanceDesc **ret)
{
        uint64_t low = 0, all = 0;
        InstanceDesc *d;
        int r;

        if ((r = xengt_read_size(t->io, slot, "aperture_sz", &low)) < 0 ||
            (r = xengt_read_size(t->io, slot, "gm_sz", &all)) < 0)
                return r;

        d = instance_desc_new(NULL);
        d->slot = g_strdup(slot);
        d->parent = g_strdup(t->facts->name);
        d->path = g_strconcat(VGT "/", slot, NULL);
        d->device_api = g_strdup(XENGT_DEVICE_API);
        d->type_id = g_strdup(xengt_preset_guess(low, all > low ? all - low : 0));
        d->type_guessed = true;
        d->attributes = vgpu_attributes_new();
        xengt_add_bytes(d, "high_gm", all > low ? all - low : 0);
        xengt_add_bytes(d, "low_gm", low);
        g_ptr_array_add(d->attributes, vgpu_attribute_new("vmid", slot + strlen("vm")));
        *ret = d;

        return 0;
}

/* r: the result of reading the resources. */
static void xengt_set_available(VgpuType *type, int r, const XengtRoom *room, const XengtSize *size,
                                guint n_instances)
{
        if (r < 0) {
                type->available = 0;
                type->why_not = g_strdup_printf("/sys/" ROOM " cannot be read: %s", g_strerror(-r));
                return;
        }

        type->available = xengt_room_count(room, size, n_instances);
        if (n_instances == 0 && type->available > 0)
                return;

        type->why_not = xengt_room_explain(room, size, n_instances);
        if (n_instances > 0)
                vgpud_hint_setf(&type->hint, VGPUD_HINT_DESTROY_INSTANCE,
                                "destroy a vGPU, or choose a smaller type");
        else
                vgpud_hint_setf(&type->hint, VGPUD_HINT_CHOOSE_OTHER, "choose a smaller type");
}

/* r: the result of reading the resources. n_instances includes vGPUs that cannot be read. */
static void xengt_add_types(GpuSnapshot *s, int r, const XengtRoom *room, guint n_instances)
{
        const XengtPreset *p;

        for (size_t i = 0; (p = xengt_preset_get(i)); i++) {
                VgpuType *type = xengt_preset_new_type(p);

                xengt_set_available(type, r, room, &p->size, n_instances);
                g_ptr_array_add(s->types, type);
        }
}

static int xengt_scan(VgpuTarget *t, GpuSnapshot **ret, VgpudError *reterr)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = gpu_snapshot_new();
        _cleanup_(xengt_room_done) XengtRoom room = { 0 };
        g_autoptr(GPtrArray) slots = NULL;
        guint n_gone = 0;
        int r;

        r = xengt_list_slots_or_explain(t, &slots, reterr);
        if (r < 0)
                return r;

        for (guint i = 0; i < slots->len; i++) {
                g_autofree char *path = g_strconcat(VGT "/", slots->pdata[i], NULL);
                InstanceDesc *d = NULL;

                r = xengt_read_instance(t, slots->pdata[i], &d);
                if (r >= 0)
                        g_ptr_array_add(s->instances, d);
                else if (vgpu_io_is_gone(r))
                        n_gone++;
                else
                        gpu_snapshot_add_unread(s, slots->pdata[i], path, r);
        }

        r = xengt_read_room(t->io, &room);
        if (r < 0 && !xengt_has_control(t))
                return explain_gpu_gone(t->facts, r, reterr);

        xengt_add_types(s, r, &room, slots->len - n_gone);
        gpu_snapshot_seal(s);
        *ret = g_steal_pointer(&s);

        return 0;
}

/* ---- create: the vGPU ---- */

static bool xengt_slot_exists(VgpuIo *io, const char *slot)
{
        g_autofree char *path = g_strconcat(VGT "/", slot, NULL);

        return vgpu_io_exists(io, path);
}

static int xengt_explain_exists(uint32_t vm_id, int r, VgpudError *reterr)
{
        r = vgpud_error_set_errnof(reterr, VGPUD_ERROR_EXISTS, r,
                                   "domain %" PRIu32 " has a vGPU already (vm%" PRIu32 ")", vm_id, vm_id);
        vgpud_error_hintf(reterr, VGPUD_HINT_DESTROY_INSTANCE, "destroy the vGPU of the domain first");

        return r;
}

static int xengt_check_room(const VgpuTarget *t, const XengtRequest *w, guint n_instances, VgpudError *reterr)
{
        _cleanup_(xengt_room_done) XengtRoom room = { 0 };
        g_autofree char *why = NULL;
        int r = xengt_read_room(t->io, &room);

        if (r < 0 && !xengt_has_control(t))
                return explain_gpu_gone(t->facts, r, reterr);
        /* Do not ask the driver: a request that it cannot serve may crash the domain. */
        if (r < 0)
                return explain_unreadable(ROOM, r, reterr);
        if (xengt_room_count(&room, &w->size, n_instances) > 0)
                return 0;

        why = xengt_room_explain(&room, &w->size, n_instances);
        r = vgpud_error_setf(reterr, VGPUD_ERROR_NO_CAPACITY, "GPU %s has no room for another %s: %s",
                             t->facts->name, w->type_id, why);
        vgpud_error_hintf(reterr, VGPUD_HINT_DESTROY_INSTANCE, "destroy a vGPU, or choose a smaller type");

        return r;
}

static int xengt_explain_memory(const VgpuTarget *t, const XengtRequest *w, int r, VgpudError *reterr)
{
        _cleanup_(xengt_room_done) XengtRoom room = { 0 };
        g_autoptr(GString) left = g_string_new(NULL);

        if (xengt_read_room(t->io, &room) >= 0) {
                g_string_append(left, "; ");
                xengt_room_append(left, &room);
        }

        r = vgpud_error_set_errnof(reterr, VGPUD_ERROR_NO_CAPACITY, r,
                                   "the driver of GPU %s found no %" PRIu32
                                   " MB of low graphics memory, %" PRIu32
                                   " MB of high graphics memory or %" PRIu32 " fences in one piece: %s%s",
                                   t->facts->name, w->size.low_mb, w->size.high_mb, w->size.fences,
                                   g_strerror(-r), left->str);
        vgpud_error_hintf(reterr, VGPUD_HINT_DESTROY_INSTANCE, "destroy a vGPU, or choose a smaller type");

        return r;
}

#define XENGT_DENIED \
        "only dom0 of Xen may create vGPUs, and a security module or the sandbox of the service may deny access"

static int xengt_explain_create(const VgpuTarget *t, const XengtRequest *w, const char *slot, int r,
                                VgpudError *reterr)
{
        static const Refusal refusals[] = {
                { EINVAL, VGPUD_ERROR_FAILED, "the driver does not support these numbers" },
                { ENOSPC, VGPUD_ERROR_NO_CAPACITY, "the driver has no vGPU ID left",
                  VGPUD_HINT_DESTROY_INSTANCE, "destroy a vGPU first" },
                { EFAULT, VGPUD_ERROR_FAILED, "the domain does not exist, or is not an HVM domain",
                  VGPUD_HINT_CHOOSE_OTHER, "choose a domain that xl list shows" },
                { EACCES, VGPUD_ERROR_FAILED, XENGT_DENIED },
                { EPERM, VGPUD_ERROR_FAILED, XENGT_DENIED },
                { 0 },
        };

        if (vgpu_io_is_gone(r))
                return explain_gpu_gone(t->facts, r, reterr);

        if (r == -EINVAL && xengt_slot_exists(t->io, slot))
                return xengt_explain_exists(w->vm_id, r, reterr);
        if (r == -ENOMEM)
                return xengt_explain_memory(t, w, r, reterr);

        return explain_refusal(refusals, r, reterr,
                               "a vGPU of %" PRIu32 " + %" PRIu32 " MB and %" PRIu32
                               " fences cannot be created on GPU %s for domain %" PRIu32,
                               w->size.low_mb, w->size.high_mb, w->size.fences, t->facts->name, w->vm_id);
}

/* Roll back: remove the new vGPU. *cause, which is emptied, says why it does not fit the request. */
static int xengt_undo_create(VgpuTarget *t, const XengtRequest *w, const char *slot, VgpudError *cause,
                             VgpudError *reterr)
{
        g_autofree char *line = g_strdup_printf("-%" PRIu32, w->vm_id);
        int r = vgpu_io_write_guarded(t->io, CREATE, line);

        if (!xengt_slot_exists(t->io, slot))
                return vgpud_error_move(reterr, cause);

        return explain_rollback(slot, r, NULL, cause, reterr);
}

/* Success of the write only means that the driver accepted the line. Read the result back. */
static int xengt_verify(VgpuTarget *t, const CreateArgs *args, const XengtRequest *w, const char *slot,
                        const char *restore, InstanceDesc **ret, VgpudError *reterr)
{
        _cleanup_(instance_desc_freep) InstanceDesc *d = NULL;
        _cleanup_vgpud_error_ VgpudError cause = VGPUD_ERROR_INIT;
        uint64_t low = 0, all = 0;
        int r;

        g_assert(uuid_is_valid(args->uuid));

        if (!xengt_slot_exists(t->io, slot))
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_FAILED,
                                "the kernel reported success, but %s does not exist: another program may have removed it",
                                slot);

        if ((r = xengt_read_instance(t, slot, &d)) < 0 ||
            (r = xengt_read_size(t->io, slot, "aperture_sz", &low)) < 0 ||
            (r = xengt_read_size(t->io, slot, "gm_sz", &all)) < 0)
                (void)explain_unreadable(VGT, r, &cause);
        else if (!xengt_match_reservation(d, restore))
                (void)vgpud_error_setf(&cause, VGPUD_ERROR_FAILED,
                                       "the driver created %s with %" PRIu64 " + %" PRIu64
                                       " MB, not with %" PRIu32 " + %" PRIu32 " MB",
                                       slot, low >> 20, (all - low) >> 20, w->size.low_mb, w->size.high_mb);

        if (cause.code != VGPUD_ERROR_NONE)
                return xengt_undo_create(t, w, slot, &cause, reterr);

        g_free(d->type_id);
        d->type_id = g_strdup(w->type_id);
        (void)g_strlcpy(d->uuid, args->uuid, sizeof(d->uuid));
        *ret = g_steal_pointer(&d);

        return 0;
}

static int xengt_create(VgpuTarget *t, const CreateArgs *args, InstanceDesc **ret, VgpudError *reterr)
{
        g_autoptr(GPtrArray) slots = NULL;
        g_autofree char *slot = NULL, *line = NULL, *restore = NULL, *device = NULL;
        VgpuWitness witness;
        XengtRequest w;
        int r;

        if (args->parent && strcmp(args->parent, t->facts->name) != 0)
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_INVALID,
                                "\"%s\" is not a parent of vGPUs on GPU %s: XenGT creates all vGPUs on the GPU itself",
                                TEXT_QUOTE(args->parent), t->facts->name);

        r = xengt_request_read(args, &w, reterr);
        if (r < 0)
                return r;

        r = xengt_list_slots_or_explain(t, &slots, reterr);
        if (r < 0)
                return r;

        g_assert(w.vm_id > 0 && w.vm_id <= XENGT_VM_ID_MAX);
        g_assert(w.size.low_mb > 0 && w.size.fences > 0);

        slot = g_strdup_printf("vm%" PRIu32, w.vm_id);
        if (g_ptr_array_find_with_equal_func(slots, slot, g_str_equal, NULL))
                return xengt_explain_exists(w.vm_id, 0, reterr);

        r = xengt_check_room(t, &w, slots->len, reterr);
        if (r < 0)
                return r;

        restore = xengt_request_to_text(&w);
        r = slot_reserve(args, slot, restore, reterr);
        if (r < 0)
                return r;

        line = g_strdup_printf("%" PRIu32 ",%" PRIu32 ",%" PRIu32 ",%" PRIu32, w.vm_id, w.size.low_mb,
                               w.size.high_mb, w.size.fences);
        if (w.primary >= 0 || w.has_cap) {
                g_autofree char *longer = g_strdup_printf("%s,%d,%" PRIu32, line, w.primary, w.cap);

                g_free(line);
                line = g_steal_pointer(&longer);
        }

        device = g_strconcat(VGT "/", slot, NULL);
        r = vgpu_io_write_witnessed(t->io, CREATE, line, create_args_witness(args, device, &witness));
        /* vgpud-write died before or after its write(2), never inside: the folder shows the result. */
        if (r == -EPROTO && xengt_slot_exists(t->io, slot))
                r = 0;
        if (r < 0)
                return xengt_explain_create(t, &w, slot, r, reterr);

        return xengt_verify(t, args, &w, slot, restore, ret, reterr);
}

/* ---- destroy ---- */

/* Check whether the domain exists: dom0 keeps a back-end device such as "console-3-0" for domain 3 until the
 * domain is cleaned up, and xl gives every domain a console. 1: *ret_device is such a device; 0: there is no
 * such domain; negative: unknown because of *ret_why. */
static int xengt_find_domain(VgpuIo *io, uint32_t vm_id, char **ret_device, char **ret_why)
{
        g_autofree char *type = NULL, *infix = g_strdup_printf("-%" PRIu32 "-", vm_id);
        g_auto(GStrv) names = NULL;
        int r = vgpu_io_read(io, HYPERVISOR, &type);

        if (r < 0) {
                *ret_why = g_strdup("/sys/" HYPERVISOR " cannot be read");
                return r;
        }

        if (strcmp(type, "xen") != 0) {
                *ret_why = g_strdup_printf("/sys/" HYPERVISOR " is \"%s\", not \"xen\"", TEXT_QUOTE(type));
                return -EOPNOTSUPP;
        }

        r = vgpu_io_list(io, BACKENDS, &names);
        if (r < 0) {
                *ret_why = g_strdup("/sys/" BACKENDS " cannot be read");
                return r;
        }

        for (char **n = names; *n; n++)
                if (strstr(*n, infix)) {
                        *ret_device = g_strdup(*n);
                        return 1;
                }

        return 0;
}

/* Refuse to remove the vGPU of a domain that exists. The run queue in the file "schedule" does not show whether
 * a guest runs: a guest without a loaded driver is missing there, and a guest destroyed with a loaded driver
 * stays there. */
static int xengt_refuse_used(const VgpuTarget *t, const char *slot, uint32_t vm_id, VgpudError *reterr)
{
        g_autofree char *device = NULL, *why = NULL;
        int r = xengt_find_domain(t->io, vm_id, &device, &why);

        if (r == 0)
                return 0;

        if (r > 0) {
                r = vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE,
                                     "domain %" PRIu32 " uses %s: /sys/" BACKENDS "/%s exists", vm_id, slot,
                                     device);
                vgpud_error_hintf(
                                reterr, VGPUD_HINT_STOP_USER,
                                "shut down the domain; if xl list does not show it, remove its remains below /local/domain/0/backend in xenstore");

                return r;
        }

        r = explain_use_unknown(r, reterr, "domain %" PRIu32 " may use %s: %s", vm_id, slot, why);
        vgpud_error_hintf(reterr, VGPUD_HINT_REMOVE_BY_HAND,
                          "if xl list does not show the domain, remove %s: echo -%" PRIu32 " >/sys/" CREATE,
                          slot, vm_id);

        return r;
}

static int xengt_destroy(VgpuTarget *t, const InstanceDesc *instance, VgpudError *reterr)
{
        g_autofree char *line = NULL;
        uint32_t vm_id;
        int r;

        if (!instance->slot || !xengt_parse_slot(instance->slot, &vm_id))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "\"%s\" is not a vGPU of XenGT",
                                        instance->slot ? instance->slot : "");

        if (!xengt_slot_exists(t->io, instance->slot))
                return 0;

        r = xengt_refuse_used(t, instance->slot, vm_id, reterr);
        if (r < 0)
                return r;

        line = g_strdup_printf("-%" PRIu32, vm_id);
        r = vgpu_io_write_guarded(t->io, CREATE, line);

        if (!xengt_slot_exists(t->io, instance->slot))
                return r == -ENODEV ? 0 : 1; /* ENODEV: another program removed the vGPU first */

        if (r < 0)
                return explain_refusal(NULL, r, reterr, "%s of GPU %s cannot be removed", instance->slot,
                                       t->facts->name);

        r = vgpud_error_setf(reterr, VGPUD_ERROR_FAILED, "the kernel reported success, but %s still exists",
                             instance->slot);
        vgpud_error_hintf(reterr, VGPUD_HINT_STOP_USER,
                          "close the programs that have files below /sys/" VGT "/%s open", instance->slot);

        return r;
}

/* ---- hand-over ---- */

/* The domain uses the vGPU already, so there are no arguments for QEMU. Intel's QEMU for XenGT (-xengt)
 * creates the vGPU of its domain itself, and exits if the domain has one already. */
static Handover *xengt_handover(const InstanceDesc *instance)
{
        Handover *h = g_new0(Handover, 1);

        g_assert(instance->path);

        h->sysfs_path = g_strconcat("/sys/", instance->path, NULL);
        h->iommu_group = -1;

        return h;
}

const VgpuDriver xengt_driver = {
        .name = "xengt",
        .has_witness = true,
        .match = xengt_match,
        .scan = xengt_scan,
        .create = xengt_create,
        .destroy = xengt_destroy,
        .match_reservation = xengt_match_reservation,
        .handover = xengt_handover,
};
