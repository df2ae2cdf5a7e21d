/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The back end for XenGT: the i915 that Intel patched for Xen (Linux 3.x and 4.x, Haswell to Skylake), whose
 * whole interface is /sys/kernel/vgt. A vGPU is the folder vmID, where ID is that of the Xen domain it is for;
 * it has no UUID, no PCI function and no VFIO. It is made by one line of numbers and unmade by "-ID".
 *
 * To make one is to give it to that domain at once: the driver answers for 00:02.0 in it from then on, and what
 * it cannot answer ends in a crash of the domain. To unmake one does not ask whether the domain still runs.
 *
 * A line of five numbers is never written: the driver then takes the sixth, the cap, from memory that nobody
 * has set. */

#include <inttypes.h>
#include <string.h>

#include "base/parse-util.h"
#include "drivers-glue/driver.h"
#include "drivers-glue/explain.h"
#include "drivers-glue/registry.h"
#include "drivers-glue/intel/xengt-room.h"

#define VGT         "kernel/vgt"
#define CONTROL     VGT "/control"
#define CREATE      CONTROL "/create_vgt_instance"
#define ROOM        CONTROL "/available_resource"
#define HYPERVISOR  "hypervisor/type"
#define BACKENDS    "bus/xen-backend/devices"
#define DEVICE_API  "xengt"
#define TYPE_CUSTOM "xengt-custom"
/* DOMID_FIRST_RESERVED of Xen is 0x7ff0. */
#define VM_ID_MAX 0x7fef
#define CAP_MAX   100

static const struct {
        const char *id, *name, *description;
        XengtSize size;
} presets[] = {
        { "xengt-64-448", "XenGT-64-448", "what xl asks for when nothing is said", { 64, 448, 4 } },
        { "xengt-128-384", "Intel GVT-g", "what XenServer makes of every GPU it knows", { 128, 384, 4 } },
        { "xengt-128-512", "XenGT-128-512", "as large as i915-GVTg_V5_4", { 128, 512, 4 } },
        { "xengt-256-1024", "XenGT-256-1024", "as large as i915-GVTg_V5_2", { 256, 1024, 4 } },
        { "xengt-512-2048", "XenGT-512-2048", "as large as i915-GVTg_V5_1", { 512, 2048, 4 } },
};

static const XengtSize custom_defaults = { 64, 448, 4 };

static const struct {
        const char *name, *help;
        bool custom_only;
} options[] = {
        { "vmid", "must be given: ID of the Xen domain that gets it (xl list), 1 to 32751", false },
        { "low_gm", "bytes (K, M, G allowed), whole MB: graphics memory that the CPU can map; 64M", true },
        { "high_gm", "bytes (K, M, G allowed), whole MB, may be 0: other graphics memory; 448M", true },
        { "fences", "number of fence registers, 1 or more; 4", true },
        { "primary",
          "yes or no: whether the guest sees it as its first display; as the driver is set, by default",
          false },
        { "cap", "percent of the GPU's time that it gets at most, 1 to 100; 0: no limit", false },
};

DEFINE_DESTROY_NOTIFY(free_attribute, vgpu_attribute_free)
DEFINE_DESTROY_NOTIFY(free_option, vgpu_type_option_free)

/* What a request comes to. */
typedef struct Wish {
        const char *type_id; /* of the tables here */
        XengtSize size;
        uint32_t vm_id;
        int primary; /* -1: not said */
        uint32_t cap;
        bool has_cap;
} Wish;

static VgpuMatch xengt_match(const GpuFacts *facts)
{
        return facts->features & VGPU_FEATURE_XENGT ? VGPU_MATCH_VENDOR : VGPU_MATCH_NO;
}

/* GPU_GONE makes everybody look which GPUs there are, so one file that is missing is not it. */
static bool has_control(const VgpuTarget *t)
{
        return vgpu_io_exists(t->io, CONTROL);
}

static int read_room(VgpuIo *io, XengtRoom *ret)
{
        g_autofree char *text = NULL;
        int r;

        *ret = (XengtRoom){ 0 };
        r = vgpu_io_read(io, ROOM, &text);
        if (r == -ENOENT)
                r = vgpu_io_read(io, ROOM "s", &text); /* what its manual calls it */
        return r < 0 ? r : xengt_room_parse(text, ret);
}

/* scan */

static bool parse_slot(const char *name, uint32_t *ret_vm_id)
{
        return g_str_has_prefix(name, "vm") && parse_u32(name + strlen("vm"), 10, ret_vm_id) >= 0 &&
               *ret_vm_id > 0;
}

/* The vGPUs there are: "vm3". The host's own has no folder, and would be vm0. */
static int list_slots(VgpuIo *io, GPtrArray **ret)
{
        g_autoptr(GPtrArray) slots = g_ptr_array_new_with_free_func(g_free);
        g_auto(GStrv) names = NULL;
        uint32_t vm_id;
        int r = vgpu_io_list(io, VGT, &names);

        if (r < 0)
                return r;
        for (char **n = names; *n; n++)
                if (parse_slot(*n, &vm_id))
                        g_ptr_array_add(slots, g_strdup(*n));
        *ret = g_steal_pointer(&slots);
        return 0;
}

static int list_slots_or_explain(VgpuTarget *t, GPtrArray **ret, VgpudError *reterr)
{
        return explain_read(t->facts, VGT, list_slots(t->io, ret), reterr);
}

static int read_size(VgpuIo *io, const char *slot, const char *name, uint64_t *ret)
{
        g_autofree char *text = NULL;
        int r = vgpu_io_readf(io, &text, VGT "/%s/%s", slot, name);

        return r < 0 ? r : parse_u64(text, 16, ret);
}

static const char *type_of_size(uint64_t low, uint64_t high)
{
        for (size_t i = 0; i < G_N_ELEMENTS(presets); i++)
                if ((uint64_t)presets[i].size.low_mb << 20 == low &&
                    (uint64_t)presets[i].size.high_mb << 20 == high)
                        return presets[i].id;
        return TYPE_CUSTOM;
}

static void add_bytes(InstanceDesc *d, const char *name, uint64_t bytes)
{
        g_autofree char *value = bytes % (1 << 20) == 0 ? g_strdup_printf("%" PRIu64 "M", bytes >> 20)
                                                        : g_strdup_printf("%" PRIu64, bytes);

        g_ptr_array_add(d->attributes, vgpu_attribute_new(name, value));
}

/* The kernel shows neither its fences nor whether it is its guest's first display, nor its cap: they are on
 * record, beside the sizes, by which it is known again. */
static char *wish_to_text(const Wish *w)
{
        GString *text = g_string_new(NULL);

        g_string_printf(text, "low_gm=%" PRIu32 "M high_gm=%" PRIu32 "M fences=%" PRIu32, w->size.low_mb,
                        w->size.high_mb, w->size.fences);
        if (w->primary >= 0)
                g_string_append(text, w->primary ? " primary=yes" : " primary=no");
        if (w->has_cap)
                g_string_append_printf(text, " cap=%" PRIu32, w->cap);
        return g_string_free(text, FALSE);
}

static const char *find_attribute(const InstanceDesc *d, const char *name)
{
        for (guint i = 0; d->attributes && i < d->attributes->len; i++) {
                const VgpuAttribute *a = d->attributes->pdata[i];
                if (strcmp(a->name, name) == 0)
                        return a->value;
        }
        return NULL;
}

static gint compare_attributes(gconstpointer a, gconstpointer b)
{
        return strcmp((*(VgpuAttribute *const *)a)->name, (*(VgpuAttribute *const *)b)->name);
}

static bool xengt_recall(InstanceDesc *d, const char *restore)
{
        static const char *const sizes[] = { "low_gm", "high_gm", NULL };
        static const char *const hidden[] = { "fences", "primary", "cap", NULL };
        g_auto(GStrv) words = g_strsplit(restore, " ", -1);

        for (char **w = words; *w; w++) {
                char *value = strchr(*w, '=');
                if (!value)
                        continue;
                *value++ = 0;
                if (g_strv_contains(sizes, *w) && g_strcmp0(find_attribute(d, *w), value) != 0)
                        return false;
                if (g_strv_contains(hidden, *w))
                        g_ptr_array_add(d->attributes, vgpu_attribute_new(*w, value));
        }
        g_ptr_array_sort(d->attributes, compare_attributes);
        return true;
}

/* Without the type by which it was made, which the kernel does not show. */
static int read_instance(VgpuTarget *t, const char *slot, InstanceDesc **ret)
{
        uint64_t low = 0, all = 0;
        InstanceDesc *d;
        int r;

        if ((r = read_size(t->io, slot, "aperture_sz", &low)) < 0 ||
            (r = read_size(t->io, slot, "gm_sz", &all)) < 0)
                return r;
        d = instance_desc_new(NULL);
        d->slot = g_strdup(slot);
        d->parent = g_strdup(t->facts->name);
        d->path = g_strconcat(VGT "/", slot, NULL);
        d->device_api = g_strdup(DEVICE_API);
        d->type_id = g_strdup(type_of_size(low, all > low ? all - low : 0));
        d->type_guessed = true;
        d->attributes = g_ptr_array_new_with_free_func(free_attribute);
        add_bytes(d, "high_gm", all > low ? all - low : 0);
        add_bytes(d, "low_gm", low);
        g_ptr_array_add(d->attributes, vgpu_attribute_new("vmid", slot + strlen("vm")));
        *ret = d;
        return 0;
}

static VgpuType *make_type(const char *id, const char *name, const char *description, const XengtSize *size)
{
        VgpuType *type = vgpu_type_new(id);

        g_free(type->name);
        type->name = g_strdup(name);
        type->description = g_strdup(description);
        type->device_api = g_strdup(DEVICE_API);
        type->options = g_ptr_array_new_with_free_func(free_option);
        for (size_t i = 0; i < G_N_ELEMENTS(options); i++)
                if (!size || !options[i].custom_only)
                        g_ptr_array_add(type->options, vgpu_type_option_new(options[i].name, options[i].help));
        if (!size)
                return type;
        type->low_gm_bytes = (uint64_t)size->low_mb << 20;
        type->high_gm_bytes = (uint64_t)size->high_mb << 20;
        type->framebuffer_bytes = type->low_gm_bytes + type->high_gm_bytes;
        type->fences = size->fences;
        return type;
}

/* r: what came of reading how much room there is. */
static void set_available(VgpuType *type, int r, const XengtRoom *room, const XengtSize *size,
                          guint n_instances)
{
        if (r < 0) {
                type->available = 0;
                type->why_not = g_strdup_printf("how much is left cannot be read (/sys/" ROOM "): %s",
                                                g_strerror(-r));
                return;
        }
        type->available = xengt_room_count(room, size, n_instances);
        if (n_instances > 0 || type->available == 0)
                type->why_not = xengt_room_explain(room, size, n_instances);
}

static void add_types(GpuSnapshot *s, int r, const XengtRoom *room)
{
        VgpuType *type;

        for (size_t i = 0; i < G_N_ELEMENTS(presets); i++) {
                type = make_type(presets[i].id, presets[i].name, presets[i].description, &presets[i].size);
                set_available(type, r, room, &presets[i].size, s->instances->len);
                g_ptr_array_add(s->types, type);
        }
        type = make_type(TYPE_CUSTOM, "XenGT-custom", "of the sizes that the options say", NULL);
        set_available(type, r, room, &custom_defaults, s->instances->len);
        g_ptr_array_add(s->types, type);
}

static int xengt_scan(VgpuTarget *t, GpuSnapshot **ret, VgpudError *reterr)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = gpu_snapshot_new();
        _cleanup_(xengt_room_done) XengtRoom room = { 0 };
        g_autoptr(GPtrArray) slots = NULL;
        int r;

        r = list_slots_or_explain(t, &slots, reterr);
        if (r < 0)
                return r;
        for (guint i = 0; i < slots->len; i++) {
                InstanceDesc *d = NULL;
                r = read_instance(t, slots->pdata[i], &d);
                if (r >= 0)
                        g_ptr_array_add(s->instances, d);
                else if (!vgpu_io_is_gone(r)) /* else it has gone since it was listed */
                        return explain_unreadable(VGT, r, reterr);
        }
        r = read_room(t->io, &room);
        if (r < 0 && !has_control(t))
                return explain_gpu_gone(t->facts, r, reterr);
        add_types(s, r, &room);
        gpu_snapshot_seal(s);
        *ret = g_steal_pointer(&s);
        return 0;
}

/* create: what is asked for */

static int bad_value(const Wish *w, const VgpuAttribute *a, VgpudError *reterr)
{
        for (size_t i = 0; i < G_N_ELEMENTS(options); i++)
                if (strcmp(options[i].name, a->name) == 0 && options[i].custom_only &&
                    strcmp(w->type_id, TYPE_CUSTOM) != 0)
                        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                                "the sizes of type %s are fixed, and it has no option %s; "
                                                "type " TYPE_CUSTOM " takes low_gm, high_gm and fences",
                                                w->type_id, a->name);
                else if (strcmp(options[i].name, a->name) == 0)
                        return explain_option(a, options[i].help, reterr);
        return vgpud_error_setf(
                        reterr, VGPUD_ERROR_INVALID,
                        "there is no option %s; there are vmid, primary and cap, and of type " TYPE_CUSTOM
                        " also low_gm, high_gm and fences",
                        a->name);
}

static bool parse_mb(const char *value, uint32_t min, uint32_t *ret)
{
        uint64_t bytes;

        if (parse_bytes(value, &bytes) < 0 || bytes % (1 << 20) != 0 || bytes >> 20 < min ||
            bytes >> 20 > INT32_MAX)
                return false;
        *ret = (uint32_t)(bytes >> 20);
        return true;
}

static bool parse_number(const char *value, uint32_t min, uint32_t max, uint32_t *ret)
{
        uint32_t v;

        if (parse_u32(value, 10, &v) < 0 || v < min || v > max)
                return false;
        *ret = v;
        return true;
}

static bool take_option(Wish *w, const VgpuAttribute *a)
{
        bool custom = strcmp(w->type_id, TYPE_CUSTOM) == 0, yes;

        if (strcmp(a->name, "vmid") == 0)
                return parse_number(a->value, 1, VM_ID_MAX, &w->vm_id);
        if (strcmp(a->name, "primary") == 0) {
                if (parse_boolean(a->value, &yes) < 0)
                        return false;
                w->primary = yes;
                return true;
        }
        if (strcmp(a->name, "cap") == 0) {
                w->has_cap = true;
                return parse_number(a->value, 0, CAP_MAX, &w->cap);
        }
        if (custom && strcmp(a->name, "low_gm") == 0)
                return parse_mb(a->value, 1, &w->size.low_mb);
        if (custom && strcmp(a->name, "high_gm") == 0)
                return parse_mb(a->value, 0, &w->size.high_mb);
        return custom && strcmp(a->name, "fences") == 0 &&
               parse_number(a->value, 1, INT32_MAX, &w->size.fences);
}

static int read_wish(const CreateArgs *args, Wish *w, VgpudError *reterr)
{
        int r = create_args_check(args, reterr);

        if (r < 0)
                return r;
        *w = (Wish){ .primary = -1 };
        if (strcmp(args->type_id, TYPE_CUSTOM) == 0) {
                w->type_id = TYPE_CUSTOM;
                w->size = custom_defaults;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(presets); i++)
                if (strcmp(args->type_id, presets[i].id) == 0) {
                        w->type_id = presets[i].id;
                        w->size = presets[i].size;
                }
        if (!w->type_id)
                return vgpud_error_setf(reterr, VGPUD_ERROR_NO_SUCH_TYPE,
                                        "XenGT has no type %s; there are xengt-64-448, xengt-128-384, "
                                        "xengt-128-512, xengt-256-1024, xengt-512-2048 and " TYPE_CUSTOM,
                                        args->type_id);
        for (guint i = 0; args->attributes && i < args->attributes->len; i++) {
                const VgpuAttribute *a = args->attributes->pdata[i];
                if (!take_option(w, a))
                        return bad_value(w, a, reterr);
        }
        if (w->vm_id == 0)
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_INVALID,
                                "XenGT makes a vGPU for one Xen domain, which has it from then on, and none is "
                                "named; option vmid names it (xl list shows the IDs)");
        if (args->count > 1)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "option vmid names one domain, which gets one vGPU, and %" PRIu32
                                        " are asked for; make them one by one, each with the ID of its domain",
                                        args->count);
        return 0;
}

/* create: doing it */

static bool slot_exists(VgpuIo *io, const char *slot)
{
        g_autofree char *path = g_strconcat(VGT "/", slot, NULL);

        return vgpu_io_exists(io, path);
}

static int vm_exists(uint32_t vm_id, int r, VgpudError *reterr)
{
        return vgpud_error_set_errnof(reterr, VGPUD_ERROR_EXISTS, r,
                                      "domain %" PRIu32 " has a vGPU already (vm%" PRIu32
                                      "), and XenGT gives one to each",
                                      vm_id, vm_id);
}

static int check_room(const VgpuTarget *t, const Wish *w, guint n_instances, VgpudError *reterr)
{
        _cleanup_(xengt_room_done) XengtRoom room = { 0 };
        g_autofree char *why = NULL;
        int r = read_room(t->io, &room);

        if (r < 0 && !has_control(t))
                return explain_gpu_gone(t->facts, r, reterr);
        if (r < 0) /* then the driver decides */
                return 0;
        if (xengt_room_count(&room, &w->size, n_instances) > 0)
                return 0;
        why = xengt_room_explain(&room, &w->size, n_instances);
        return vgpud_error_setf(reterr, VGPUD_ERROR_NO_CAPACITY,
                                "there is no room for another %s on GPU %s: %s", w->type_id, t->facts->name,
                                why);
}

static int refused_for_memory(const VgpuTarget *t, const Wish *w, int r, VgpudError *reterr)
{
        _cleanup_(xengt_room_done) XengtRoom room = { 0 };
        g_autoptr(GString) left = g_string_new(NULL);

        if (read_room(t->io, &room) >= 0) {
                g_string_append(left, "; ");
                xengt_room_append(left, &room);
        }
        return vgpud_error_set_errnof(
                        reterr, VGPUD_ERROR_NO_CAPACITY, r,
                        "the driver of GPU %s found no %" PRIu32 " MB of low graphics memory, or no %" PRIu32
                        " MB of high graphics memory, or no %" PRIu32 " fences, each in one piece%s",
                        t->facts->name, w->size.low_mb, w->size.high_mb, w->size.fences, left->str);
}

static int xengt_explain_create(const VgpuTarget *t, const Wish *w, const char *slot, int r, VgpudError *reterr)
{
        static const Refusal refusals[] = {
                { EINVAL, VGPUD_ERROR_FAILED, "the driver does not take these numbers" },
                { ENOSPC, VGPUD_ERROR_NO_CAPACITY, "the driver has no vGPU ID left; destroy a vGPU first" },
                { EFAULT, VGPUD_ERROR_FAILED,
                  "the domain does not exist or is not an HVM one (xl list shows the domains)" },
                { EACCES, VGPUD_ERROR_FAILED,
                  "only the first domain of Xen (dom0) may create one; a security module or the sandbox of the service may forbid it as well" },
                { EPERM, VGPUD_ERROR_FAILED,
                  "only the first domain of Xen (dom0) may create one; a security module or the sandbox of the service may forbid it as well" },
                { 0 },
        };

        if (vgpu_io_is_gone(r))
                return explain_gpu_gone(t->facts, r, reterr);
        if (r == -EINVAL && slot_exists(t->io, slot))
                return vm_exists(w->vm_id, r, reterr);
        if (r == -ENOMEM)
                return refused_for_memory(t, w, r, reterr);

        return explain_refusal(refusals, r, reterr,
                               "a vGPU of %" PRIu32 " + %" PRIu32 " MB and %" PRIu32
                               " fences cannot be created on GPU %s for domain %" PRIu32,
                               w->size.low_mb, w->size.high_mb, w->size.fences, t->facts->name, w->vm_id);
}

/* Take back a vGPU that is not as requested, because of *cause, which is emptied. */
static int xengt_undo_create(VgpuTarget *t, const Wish *w, const char *slot, VgpudError *cause,
                             VgpudError *reterr)
{
        g_autofree char *line = g_strdup_printf("-%" PRIu32, w->vm_id);
        int r = vgpu_io_write_guarded(t->io, CREATE, line);

        if (!slot_exists(t->io, slot))
                return vgpud_error_move(reterr, cause);

        return explain_rollback(slot, r, NULL, cause, reterr);
}

/* The driver answers for what it took; what it made of it shows. */
static int verify(VgpuTarget *t, const CreateArgs *args, const Wish *w, const char *slot, const char *restore,
                  InstanceDesc **ret, VgpudError *reterr)
{
        _cleanup_(instance_desc_freep) InstanceDesc *d = NULL;
        _cleanup_vgpud_error_ VgpudError cause = VGPUD_ERROR_INIT;
        uint64_t low = 0, all = 0;
        int r;

        if (!slot_exists(t->io, slot))
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_FAILED,
                                "the kernel reported success, but %s is not there; another program may have removed it at once",
                                slot);

        if ((r = read_instance(t, slot, &d)) < 0 || (r = read_size(t->io, slot, "aperture_sz", &low)) < 0 ||
            (r = read_size(t->io, slot, "gm_sz", &all)) < 0)
                (void)explain_unreadable(VGT, r, &cause);
        else if (!xengt_recall(d, restore))
                (void)vgpud_error_setf(&cause, VGPUD_ERROR_FAILED,
                                       "the driver made %s with %" PRIu64 " + %" PRIu64 " MB, not with %" PRIu32
                                       " + %" PRIu32 " MB",
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
        g_autofree char *slot = NULL, *line = NULL, *restore = NULL;
        Wish w;
        int r;

        if (args->parent && strcmp(args->parent, t->facts->name) != 0)
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_INVALID,
                                "\"%s\" is not a part of GPU %s: XenGT makes all vGPUs on the GPU itself",
                                args->parent, t->facts->name);
        r = read_wish(args, &w, reterr);
        if (r < 0)
                return r;
        r = list_slots_or_explain(t, &slots, reterr);
        if (r < 0)
                return r;
        slot = g_strdup_printf("vm%" PRIu32, w.vm_id);
        if (g_ptr_array_find_with_equal_func(slots, slot, g_str_equal, NULL))
                return vm_exists(w.vm_id, 0, reterr);
        r = check_room(t, &w, slots->len, reterr);
        if (r < 0)
                return r;
        restore = wish_to_text(&w);
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
        r = vgpu_io_write_guarded(t->io, CREATE, line);
        /* A writer that died did so after its write(2), or before it. */
        if (r == -EPROTO && slot_exists(t->io, slot))
                r = 0;
        if (r < 0)
                return xengt_explain_create(t, &w, slot, r, reterr);
        return verify(t, args, &w, slot, restore, ret, reterr);
}

/* destroy */

/* Whether the domain exists. For each device that dom0 serves another domain, the kernel of dom0 has a device
 * such as "console-3-0" from the creation of domain 3 to its cleanup, and xl gives every domain a console. 1:
 * *ret_device is one of them; 0: there is no such domain; negative: unknown because of *ret_why, as under KVM.
 */
static int find_domain(VgpuIo *io, uint32_t vm_id, char **ret_device, char **ret_why)
{
        g_autofree char *type = NULL, *infix = g_strdup_printf("-%" PRIu32 "-", vm_id);
        g_auto(GStrv) names = NULL;
        int r = vgpu_io_read(io, HYPERVISOR, &type);

        if (r < 0) {
                *ret_why = g_strdup("/sys/" HYPERVISOR " cannot be read");
                return r;
        }
        if (strcmp(type, "xen") != 0) {
                *ret_why = g_strdup_printf("/sys/" HYPERVISOR " says \"%s\", not \"xen\"", type);
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

/* What the driver shows in "schedule" does not tell: a guest that has not loaded its driver is not in the run
 * queue, and one that has gone with its driver loaded stays in it. */
static int refuse_used(const VgpuTarget *t, const char *slot, uint32_t vm_id, VgpudError *reterr)
{
        g_autofree char *device = NULL, *why = NULL;
        int r = find_domain(t->io, vm_id, &device, &why);

        if (r == 0)
                return 0;
        if (r > 0)
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_IN_USE,
                                "domain %" PRIu32 " has it and still exists: /sys/" BACKENDS
                                "/%s serves it; shut that domain down first, or, if xl list does not show it, "
                                "remove what is left of it below /local/domain/0/backend in xenstore",
                                vm_id, device);

        return explain_use_unknown(
                        r, reterr,
                        "domain %" PRIu32
                        " may have it (if xl list does not show that domain, remove %s with: echo -%" PRIu32
                        " >/sys/" CREATE "): %s",
                        vm_id, slot, vm_id, why);
}

static int xengt_destroy(VgpuTarget *t, const InstanceDesc *instance, VgpudError *reterr)
{
        g_autofree char *line = NULL;
        uint32_t vm_id;
        int r;

        if (!instance->slot || !parse_slot(instance->slot, &vm_id))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "\"%s\" is not a vGPU of XenGT",
                                        instance->slot ? instance->slot : "");
        if (!slot_exists(t->io, instance->slot))
                return 0;
        r = refuse_used(t, instance->slot, vm_id, reterr);
        if (r < 0)
                return r;
        line = g_strdup_printf("-%" PRIu32, vm_id);
        r = vgpu_io_write_guarded(t->io, CREATE, line);
        if (!slot_exists(t->io, instance->slot))
                return r == -ENODEV ? 0 : 1; /* ENODEV: somebody else was faster */
        if (r < 0)
                return explain_refusal(NULL, r, reterr, "%s of GPU %s cannot be removed", instance->slot,
                                       t->facts->name);

        return vgpud_error_setf(
                        reterr, VGPUD_ERROR_FAILED,
                        "the kernel reported success, but %s is still there; its folder stays while a program has a file of it open",
                        instance->slot);
}

/* hand-over */

/* The domain has it already; there is nothing to give to QEMU. Intel's QEMU for XenGT (-xengt) makes one for
 * its domain itself, and ends when the domain has one. */
static Handover *xengt_handover(const InstanceDesc *instance)
{
        Handover *h = g_new0(Handover, 1);

        h->sysfs_path = g_strconcat("/sys/", instance->path, NULL);
        h->iommu_group = -1;
        return h;
}

const VgpuDriver xengt_driver = {
        .name = "xengt",
        .match = xengt_match,
        .scan = xengt_scan,
        .create = xengt_create,
        .destroy = xengt_destroy,
        .match_reservation = xengt_recall,
        .handover = xengt_handover,
};
