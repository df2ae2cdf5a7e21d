/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The back end for GPUs and accelerators that are divided by SR-IOV and nothing else. An instance is a virtual
 * function handed out: bound to a driver of VFIO, or reserved for one. It is returned to what it was when it is
 * destroyed. What drivers of the host add (quotas, modes) is in their providers (sriov-provider.h). */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/parse-util.h"
#include "drivers-glue/driver.h"
#include "drivers-glue/sriov-provider.h"
#include "drivers-glue/vfio-util.h"
#include "drivers-glue/vfs.h"

#define DEVICE_API   "vfio-pci"
#define TYPE_PLAIN   "vf"
#define TYPE_PROFILE "vf-profile"

static const VfProvider *const providers[] = {
        &xe_provider,
        &i915_provider,
};

static const VfProvider *find_provider(const GpuFacts *facts)
{
        for (size_t i = 0; i < G_N_ELEMENTS(providers); i++)
                if (providers[i]->match(facts))
                        return providers[i];
        return NULL;
}

static int gpu_gone(const GpuFacts *facts, int r, VgpudError *reterr)
{
        return vgpud_error_set_errnof(reterr, VGPUD_ERROR_GPU_GONE, r < 0 ? r : -ENODEV,
                                      "GPU %s or its virtual functions went away meanwhile", facts->name);
}

/* match */

static bool names_contain(const char *const *names, size_t n, const char *name)
{
        for (size_t i = 0; i < n; i++)
                if (g_strcmp0(names[i], name) == 0)
                        return true;
        return false;
}

/* Drivers that cannot enable virtual functions of a GPU, or whose functions are of no use without more. */
static bool driver_can(const GpuFacts *f)
{
        static const char *const cannot[] = { "amdgpu",    "ast",    "mgag200", "nouveau",
                                              "nova-core", "nvidia", "radeon" };
        static const char *const passed_through[] = { "pci-stub", "pciback", "xen-pciback" };

        if (!f->driver || names_contain(cannot, G_N_ELEMENTS(cannot), f->driver) ||
            names_contain(passed_through, G_N_ELEMENTS(passed_through), f->driver) ||
            vfs_driver_is_vfio(f->driver))
                return false;
        /* As it is in Linux i915 leaves the capability alone; Intel's own has an administration for it. */
        if (strcmp(f->driver, "i915") == 0)
                return (f->features & VGPU_FEATURE_I915_IOV) || f->enabled_vfs > 0;
        return true;
}

static VgpuMatch sriov_match(const GpuFacts *f)
{
        bool wanted = f->class >> 16 == 0x03 || f->class >> 16 == 0x12 || (f->features & VGPU_FEATURE_ADMITTED);

        return f->is_pci && f->total_vfs > 0 && wanted && driver_can(f) ? VGPU_MATCH_PLAIN : VGPU_MATCH_NO;
}

/* One function */

typedef struct VfState {
        char *driver;   /* owned; NULL: none */
        char *override; /* owned; NULL: none */
        bool leaving;   /* vfs_is_leaving(): then the override is not read */
} VfState;

static void vf_state_done(VfState *s)
{
        g_free(s->driver);
        g_free(s->override);
        *s = (VfState){ 0 };
}

static int read_state(VgpuIo *io, const char *path, VfState *ret)
{
        int r;

        vf_state_done(ret);
        r = vfs_read_driver(io, path, &ret->driver);
        if (r < 0)
                return r;
        ret->leaving = !ret->driver && vfs_is_leaving(io, path);
        if (ret->leaving)
                return 0;
        r = vfs_read_override(io, path, &ret->override);
        if (r < 0)
                return r;
        return !ret->driver && !ret->override && !vgpu_io_exists(io, path) ? -ENODEV : 0;
}

static int read_state_or_explain(VgpuTarget *t, const VgpuVf *vf, VfState *ret, VgpudError *reterr)
{
        int r = read_state(t->io, vf->path, ret);

        if (vgpu_io_is_gone(r))
                return gpu_gone(t->facts, r, reterr);
        if (r < 0)
                return vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r, "/sys/%s cannot be read: %s",
                                              vf->path, g_strerror(-r));
        return 0;
}

/* An instance; without a driver but reserved for one it is half made, or half destroyed. */
static bool is_handed_out(const VfState *s)
{
        return s->leaving || vfs_driver_is_vfio(s->driver) || vfs_driver_is_vfio(s->override);
}

/* Somebody means it for something else than its usual driver. */
static bool is_reserved(const VfState *s)
{
        static const char *const stubs[] = { "pci-stub", "pciback", "xen-pciback" };

        return s->override || names_contain(stubs, G_N_ELEMENTS(stubs), s->driver);
}

/* modules.alias, where the module for a device is found, is not in sysfs; so of the drivers that are loaded. A
 * variant of vfio-pci can do more than vfio-pci with its devices (migration), and is called after the driver of
 * the physical function: xe-vfio-pci for xe. */
static char *find_vfio_driver(const VgpuTarget *t)
{
        char *names[] = { g_strdup_printf("%s-vfio-pci", t->facts->driver),
                          g_strdup_printf("%s_vfio_pci", t->facts->driver), g_strdup("vfio-pci") };
        char *found = NULL;

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autofree char *path = g_strconcat("bus/pci/drivers/", names[i], NULL);
                if (!found && vgpu_io_exists(t->io, path))
                        found = g_steal_pointer(&names[i]);
                g_free(names[i]);
        }
        return found;
}

static int read_instance(VgpuTarget *t, const VfProvider *p, const VgpuVf *vf, VfState *s, InstanceDesc **ret)
{
        _cleanup_(instance_desc_freep) InstanceDesc *d = instance_desc_new(NULL);
        int r;

        if ((r = vfio_read_group(t->io, vf->path, &d->iommu_group)) < 0 ||
            (r = vfio_read_cdev(t->io, vf->path, &d->cdev)) < 0)
                return r;
        d->slot = g_strdup(vf->name);
        d->half_made = !s->leaving && !vfs_driver_is_vfio(s->driver);
        d->type_id = g_strdup(TYPE_PLAIN);
        /* A function that was given quotas looks like one that the driver gave its share. */
        d->type_guessed = p && p->n_quotas > 0;
        d->parent = g_strdup(vf->name);
        d->path = g_strdup(vf->path);
        d->device_api = g_strdup(DEVICE_API);
        d->driver = g_steal_pointer(&s->driver);
        d->attributes = vf_quota_read_all(t, p, vf->index);
        *ret = g_steal_pointer(&d);
        return 0;
}

/* scan */

typedef struct Count {
        uint32_t all, handed_out, reserved, free;
        uint64_t framebuffer_bytes; /* of the free one with the least */
} Count;

static int scan_vf(VgpuTarget *t, const VfProvider *p, const VgpuVf *vf, GpuSnapshot *s, Count *count)
{
        _cleanup_(vf_state_done) VfState state = { 0 };
        InstanceDesc *d = NULL;
        uint64_t framebuffer;
        int r;

        r = read_state(t->io, vf->path, &state);
        if (r < 0)
                return r;
        if (is_handed_out(&state)) {
                r = read_instance(t, p, vf, &state, &d);
                if (r < 0)
                        return r;
                g_ptr_array_add(s->instances, d);
                count->handed_out++;
        } else if (is_reserved(&state))
                count->reserved++;
        else {
                framebuffer = vf_quota_read_framebuffer(t, p, vf->index);
                if (count->free == 0 || framebuffer < count->framebuffer_bytes)
                        count->framebuffer_bytes = framebuffer;
                count->free++;
        }
        count->all++;
        return 0;
}

static bool is_gim(const GpuFacts *f)
{
        return g_strcmp0(f->driver, "gim") == 0 || (f->features & (VGPU_FEATURE_GIM | VGPU_FEATURE_GIM_LEGACY));
}

static char *explain_unprepared(const GpuFacts *f, const Count *count, const char *vfio_driver)
{
        if (count->all == 0 && is_gim(f))
                return g_strdup_printf("it has no virtual functions (0 of %" PRIu32
                                       "); AMD's gim makes them when it is loaded: set its parameter vf_num "
                                       "(or vf_num= "
                                       "in /etc/gim_config), and load it again",
                                       f->total_vfs);
        if (count->all == 0)
                return g_strdup_printf("its virtual functions are not enabled (0 of %" PRIu32
                                       "); enable as many as are needed: vgpuctl enable-vfs %s [COUNT]",
                                       f->total_vfs, f->name);
        if (!vfio_driver && count->handed_out == 0)
                return g_strdup("the driver that hands virtual functions to virtual machines is not loaded; "
                                "load it "
                                "(modprobe vfio-pci), and have it loaded at every boot");
        return NULL;
}

static char *explain_none_free(const GpuFacts *f, const Count *count)
{
        GString *text = g_string_new(NULL);

        g_string_printf(text, "of %" PRIu32 " virtual functions %" PRIu32 " %s handed out", count->all,
                        count->handed_out, count->handed_out == 1 ? "is" : "are");
        if (count->reserved > 0)
                g_string_append_printf(text, " and %" PRIu32 " reserved by a driver_override or a stub driver",
                                       count->reserved);
        g_string_append(text, "; destroy one first");
        if (count->all < f->total_vfs && !is_gim(f))
                g_string_append_printf(
                                text,
                                ", or destroy all and enable more: vgpuctl enable-vfs %s [COUNT], %" PRIu32
                                " at most",
                                f->name, f->total_vfs);
        return g_string_free(text, FALSE);
}

static void add_type(GpuSnapshot *s, const GpuFacts *f, const char *id, const char *description,
                     const Count *count, const char *unprepared, GPtrArray *options)
{
        VgpuType *t = vgpu_type_new(id);

        t->description = g_strdup(description);
        t->device_api = g_strdup(DEVICE_API);
        /* How much memory a function gets depends on how many there are, and makes no other type of it. */
        t->key = vgpu_type_make_key(t, f->vendor);
        t->framebuffer_bytes = count->framebuffer_bytes;
        t->max_instances = f->total_vfs;
        t->available = unprepared ? 0 : count->free;
        if (unprepared)
                t->why_not = g_strdup(unprepared);
        else if (count->free == 0)
                t->why_not = explain_none_free(f, count);
        t->options = options;
        g_ptr_array_add(s->types, t);
}

static int sriov_scan(VgpuTarget *t, GpuSnapshot **ret, VgpudError *reterr)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *snapshot = gpu_snapshot_new();
        const VfProvider *p = find_provider(t->facts);
        g_autofree char *vfio_driver = find_vfio_driver(t);
        GPtrArray *options;
        Count count = { 0 };
        int r;

        for (guint i = 0; i < t->facts->vfs->len; i++) {
                const VgpuVf *vf = t->facts->vfs->pdata[i];
                r = scan_vf(t, p, vf, snapshot, &count);
                if (r < 0 && !vgpu_io_is_gone(r))
                        return vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r,
                                                      "/sys/%s cannot be read: %s", vf->path, g_strerror(-r));
        }
        if (count.all == 0 && !vgpu_io_exists(t->io, t->facts->path))
                return gpu_gone(t->facts, 0, reterr);
        snapshot->unprepared = explain_unprepared(t->facts, &count, vfio_driver);
        add_type(snapshot, t->facts, TYPE_PLAIN, "a virtual function as the driver makes it", &count,
                 snapshot->unprepared, NULL);
        options = vf_quota_options(t, p);
        if (options)
                add_type(snapshot, t->facts, TYPE_PROFILE, "a virtual function with quotas of your own", &count,
                         snapshot->unprepared, options);
        if (p && p->add_modes) {
                r = p->add_modes(t, snapshot, reterr);
                if (r < 0)
                        return r;
        }
        gpu_snapshot_seal(snapshot);
        *ret = g_steal_pointer(&snapshot);
        return 0;
}

/* What a function was before it was handed out, as one line of text: "driver=xe override=… quota.vram_quota=…"
 */

#define RESTORE_DRIVER   "driver"
#define RESTORE_OVERRIDE "override"
#define RESTORE_QUOTA    "quota."

typedef struct Restore {
        VfState state;
        GPtrArray *quotas; /* owned: VgpuAttribute; NULL: none */
} Restore;

DEFINE_DESTROY_NOTIFY(free_attribute, vgpu_attribute_free)

static void restore_done(Restore *r)
{
        vf_state_done(&r->state);
        g_clear_pointer(&r->quotas, g_ptr_array_unref);
}

static void append_item(GString *text, const char *prefix, const char *name, const char *value)
{
        g_autofree char *escaped = value ? g_uri_escape_string(value, NULL, FALSE) : NULL;

        if (escaped)
                g_string_append_printf(text, "%s%s%s=%s", text->len > 0 ? " " : "", prefix, name, escaped);
}

static char *restore_to_text(const Restore *r)
{
        GString *text = g_string_new(NULL);

        append_item(text, "", RESTORE_DRIVER, r->state.driver);
        append_item(text, "", RESTORE_OVERRIDE, r->state.override);
        for (guint i = 0; r->quotas && i < r->quotas->len; i++) {
                const VgpuAttribute *a = r->quotas->pdata[i];
                append_item(text, RESTORE_QUOTA, a->name, a->value);
        }
        return g_string_free(text, FALSE);
}

/* What makes no sense in it is left out: it comes from a file. */
static void restore_from_text(const char *text, Restore *ret)
{
        g_auto(GStrv) items = g_strsplit(text ? text : "", " ", -1);

        ret->quotas = g_ptr_array_new_with_free_func(free_attribute);
        for (char **i = items; *i; i++) {
                char *equals = strchr(*i, '=');
                g_autofree char *value = equals ? g_uri_unescape_string(equals + 1, NULL) : NULL;

                if (!value || !value[0])
                        continue;
                *equals = 0;
                if (strcmp(*i, RESTORE_DRIVER) == 0 && vgpu_io_name_is_valid(value)) {
                        g_free(ret->state.driver);
                        ret->state.driver = g_steal_pointer(&value);
                } else if (strcmp(*i, RESTORE_OVERRIDE) == 0) {
                        g_free(ret->state.override);
                        ret->state.override = g_steal_pointer(&value);
                } else if (g_str_has_prefix(*i, RESTORE_QUOTA))
                        g_ptr_array_add(ret->quotas, vgpu_attribute_new(*i + strlen(RESTORE_QUOTA), value));
        }
}

/* The function is taken from whatever has it, which is refused while somebody uses it. Its driver_override goes
 * last: as long as that names a driver of VFIO, whoever comes after a crash sees that there is something to put
 * back. A quota that cannot be put back does not keep the rest from it. */
static int put_back(VgpuTarget *t, const VfProvider *p, const VgpuVf *vf, const Restore *was,
                    VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError quota = VGPUD_ERROR_INIT;
        _cleanup_(vf_state_done) VfState now = { 0 };
        int r, q = 0;

        if (was->quotas && was->quotas->len > 0) {
                r = read_state_or_explain(t, vf, &now, reterr);
                if (r < 0)
                        return r;
                r = vfs_bind(t->io, vf, NULL, now.override, reterr);
                if (r < 0)
                        return r;
                q = vf_quota_write(t, p, vf, was->quotas, &quota);
        }
        r = vfs_bind(t->io, vf, was->state.driver, was->state.override, reterr);
        if (r < 0 || q >= 0)
                return r;
        vgpud_error_move(reterr, &quota);
        return q;
}

/* create */

static int check_args(VgpuTarget *t, const VfProvider *p, const CreateArgs *args, VgpudError *reterr)
{
        char normal[UUID_STRLEN + 1];
        bool profile = strcmp(args->type_id, TYPE_PROFILE) == 0;

        if (uuid_normalize(args->uuid, normal) < 0 || strcmp(normal, args->uuid) != 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "\"%s\" is not a UUID in lower case",
                                        args->uuid);
        if (profile) {
                g_autoptr(GPtrArray) options = vf_quota_options(t, p);
                if (options)
                        return vf_quota_check(t, p, args->attributes, reterr);
        }
        if (profile || strcmp(args->type_id, TYPE_PLAIN) != 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_NO_SUCH_TYPE,
                                        "there is no type \"%s\"; GPU %s offers " TYPE_PLAIN
                                        " (a plain virtual function)%s",
                                        args->type_id, t->facts->name,
                                        p && p->n_quotas > 0 && !profile ? " and " TYPE_PROFILE
                                                                           " (one with quotas)"
                                                                         : "");
        if (args->attributes && args->attributes->len > 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "type " TYPE_PLAIN " takes no options%s",
                                        p && p->n_quotas > 0 ? "; " TYPE_PROFILE " does" : "");
        return 0;
}

static int none_free(VgpuTarget *t, VgpudError *reterr)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;
        const VgpuType *type;
        int r = sriov_scan(t, &s, reterr);

        if (r < 0)
                return r;
        type = gpu_snapshot_find_type(s, TYPE_PLAIN, NULL);
        return vgpud_error_setf(reterr, VGPUD_ERROR_NO_CAPACITY,
                                "GPU %s has no virtual function to hand out: %s", t->facts->name,
                                type->why_not ? type->why_not
                                              : "the last one was taken at this moment; try again");
}

static int refuse_parent(VgpuTarget *t, const VgpuVf *vf, const VfState *s, VgpudError *reterr)
{
        return vgpud_error_setf(reterr, VGPUD_ERROR_NO_CAPACITY,
                                "virtual function %s of GPU %s is handed out already: %s %s", vf->name,
                                t->facts->name, s->driver ? "it is bound to" : "it is reserved for",
                                s->driver ? s->driver : s->override);
}

/* How well a function fits: 0 not at all, because it is taken or cannot be read. One that no driver has is
 * better than one that a driver of the host has, which is there for virtual machines all the same unless
 * somebody has reserved it; and best is one that has the quotas already, because a driver may refuse to change
 * them. */
static int rate_vf(VgpuTarget *t, const VfProvider *p, const CreateArgs *args, const VgpuVf *vf)
{
        _cleanup_(vf_state_done) VfState state = { 0 };
        bool options = args->attributes && args->attributes->len > 0;

        if (read_state(t->io, vf->path, &state) < 0 || is_handed_out(&state) || is_reserved(&state))
                return 0;
        return (state.driver ? 1 : 2) + (!options || vf_quota_has(t, p, vf->index, args->attributes) ? 2 : 0);
}
#define RATE_MAX 4

static int choose_vf(VgpuTarget *t, const VfProvider *p, const CreateArgs *args, const VgpuVf **ret,
                     VfState *ret_state, VgpudError *reterr)
{
        const GPtrArray *vfs = t->facts->vfs;
        guint best_at = 0;
        int best = 0, r;

        if (args->parent) {
                *ret = gpu_facts_find_vf(t->facts, args->parent);
                if (!*ret)
                        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                                "%s is no virtual function of GPU %s", args->parent,
                                                t->facts->name);
                r = read_state_or_explain(t, *ret, ret_state, reterr);
                if (r < 0)
                        return r;
                return is_handed_out(ret_state) ? refuse_parent(t, *ret, ret_state, reterr) : 0;
        }
        /* From where the last one of the same job was found on: those before are taken. */
        for (guint i = 0; i < vfs->len && best < RATE_MAX; i++) {
                guint at = (t->parent_hint + i) % vfs->len;
                int rate = rate_vf(t, p, args, vfs->pdata[at]);

                if (rate > best) {
                        best = rate;
                        best_at = at;
                }
        }
        if (best == 0)
                return none_free(t, reterr);
        t->parent_hint = best_at + 1;
        *ret = vfs->pdata[best_at];
        return read_state_or_explain(t, *ret, ret_state, reterr);
}

/* VFIO gives a virtual machine all devices of an IOMMU group or none (Linux drivers/vfio/group.c); bridges do
 * not count. What cannot be found out is left to the kernel. */
static int refuse_shared_group(VgpuTarget *t, const VgpuVf *vf, VgpudError *reterr)
{
        g_autofree char *folder = NULL;
        g_auto(GStrv) names = NULL;
        int group;

        if (vfio_read_group(t->io, vf->path, &group) < 0 || group < 0)
                return 0;
        folder = g_strdup_printf("kernel/iommu_groups/%d/devices", group);
        if (vgpu_io_list(t->io, folder, &names) < 0)
                return 0;
        for (char **n = names; *n; n++) {
                g_autofree char *link = g_strconcat("bus/pci/devices/", *n, NULL), *path = NULL;
                g_autofree char *driver = NULL, *class = NULL;

                if (strcmp(*n, vf->name) == 0 || vgpu_io_resolve_link(t->io, link, &path) < 0 ||
                    vfs_read_driver(t->io, path, &driver) < 0 || !driver || vfs_driver_is_vfio(driver) ||
                    strcmp(driver, "pci-stub") == 0 || vgpu_io_readf(t->io, &class, "%s/class", path) < 0 ||
                    g_str_has_prefix(class, "0x0604"))
                        continue;
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_UNSUPPORTED,
                                "virtual function %s is in IOMMU group %d together with %s, which driver %s "
                                "has, "
                                "and a virtual machine gets all of a group or nothing; what belongs together "
                                "is "
                                "decided by the hardware (ACS): switch ACS on in the firmware setup, or use "
                                "another slot",
                                vf->name, group, *n, driver);
        }
        return 0;
}

/* Make the function what was asked for. */
static int hand_out(VgpuTarget *t, const VfProvider *p, const CreateArgs *args, const VgpuVf *vf,
                    const char *driver, const VfState *was, InstanceDesc **ret, VgpudError *reterr)
{
        _cleanup_(instance_desc_freep) InstanceDesc *d = NULL;
        _cleanup_(vf_state_done) VfState state = { 0 };
        int r;

        /* First its driver_override, by which it is seen to be half made. */
        r = vfs_bind(t->io, vf, was->driver, driver, reterr);
        if (r < 0)
                return r;
        if (args->attributes && args->attributes->len > 0) {
                /* Not under the hands of a driver of the host. */
                r = vfs_bind(t->io, vf, NULL, driver, reterr);
                if (r < 0)
                        return r;
                r = vf_quota_write(t, p, vf, args->attributes, reterr);
                if (r < 0)
                        return r;
        }
        r = vfs_bind(t->io, vf, driver, driver, reterr);
        if (r < 0)
                return r;
        r = read_state(t->io, vf->path, &state);
        if (r >= 0)
                r = read_instance(t, p, vf, &state, &d);
        if (vgpu_io_is_gone(r))
                return gpu_gone(t->facts, r, reterr);
        if (r < 0)
                return vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r,
                                              "virtual function %s cannot be read after it was handed out: %s",
                                              vf->name, g_strerror(-r));
        if (d->iommu_group < 0 && !d->cdev)
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_UNSUPPORTED,
                                "virtual function %s has no IOMMU group, so no virtual machine can have it; "
                                "switch the IOMMU on in the firmware setup (VT-d, AMD-Vi) and boot with "
                                "intel_iommu=on on Intel",
                                vf->name);
        *ret = g_steal_pointer(&d);
        return 0;
}

/* Undo what hand_out() has done, because of *cause, which is emptied. */
static int undo(VgpuTarget *t, const VfProvider *p, const VgpuVf *vf, const Restore *was, VgpudError *cause,
                VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError again = VGPUD_ERROR_INIT;
        int r;

        if (!vgpu_io_exists(t->io, vf->path)) {
                vgpud_error_done(cause);
                return gpu_gone(t->facts, 0, reterr);
        }
        r = put_back(t, p, vf, was, &again);
        if (r < 0) {
                r = vgpud_error_set_errnof(
                                reterr, VGPUD_ERROR_INCONSISTENT, cause->errnum > 0 ? -cause->errnum : r,
                                "%s; and virtual function %s could not be returned to what it was: %s",
                                cause->message, vf->name, again.message);
                vgpud_error_done(cause);
                return r;
        }
        r = -vgpud_error_code_to_errno(cause->code);
        vgpud_error_move(reterr, cause);
        return r;
}

static int sriov_create(VgpuTarget *t, const CreateArgs *args, InstanceDesc **ret, VgpudError *reterr)
{
        _cleanup_(restore_done) Restore was = { 0 };
        _cleanup_(instance_desc_freep) InstanceDesc *d = NULL;
        _cleanup_vgpud_error_ VgpudError cause = VGPUD_ERROR_INIT;
        const VfProvider *p = find_provider(t->facts);
        g_autofree char *driver = NULL, *text = NULL;
        const VgpuVf *vf = NULL;
        int r;

        r = check_args(t, p, args, reterr);
        if (r < 0)
                return r;
        r = choose_vf(t, p, args, &vf, &was.state, reterr);
        if (r < 0)
                return r;
        r = refuse_shared_group(t, vf, reterr);
        if (r < 0)
                return r;
        driver = find_vfio_driver(t);
        if (!driver)
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_UNSUPPORTED,
                                "virtual function %s cannot be handed out: vfio-pci is not loaded; load it "
                                "(modprobe vfio-pci), and have it loaded at every boot",
                                vf->name);
        if (args->attributes && args->attributes->len > 0)
                was.quotas = vf_quota_save(t, p, vf->index, args->attributes);
        text = restore_to_text(&was);
        if (args->claim) {
                r = args->claim(vf->name, text[0] ? text : NULL, args->claim_userdata);
                if (r < 0)
                        return vgpud_error_set_errnof(
                                        reterr, VGPUD_ERROR_FAILED, r,
                                        "nothing was done, because it could not be written down that "
                                        "virtual function %s was chosen: %s",
                                        vf->name, g_strerror(-r));
        }
        r = hand_out(t, p, args, vf, driver, &was.state, &d, &cause);
        if (r < 0)
                return undo(t, p, vf, &was, &cause, reterr);
        memcpy(d->uuid, args->uuid, sizeof d->uuid);
        g_free(d->type_id);
        d->type_id = g_strdup(args->type_id);
        d->restore = text[0] ? g_steal_pointer(&text) : NULL;
        *ret = g_steal_pointer(&d);
        return 0;
}

/* destroy */

/* The function by this name may be another one by now: of another GPU, or not there. */
static bool find_vf(VgpuTarget *t, const InstanceDesc *instance, VgpuVf *ret)
{
        g_autofree char *link = g_strconcat(instance->path, "/physfn", NULL), *gpu = NULL;
        const VgpuVf *known = gpu_facts_find_vf(t->facts, instance->slot);

        if (vgpu_io_resolve_link(t->io, link, &gpu) < 0 || strcmp(gpu, t->facts->path) != 0)
                return false;
        *ret = (VgpuVf){ .name = instance->slot,
                         .path = instance->path,
                         .index = known ? known->index : UINT32_MAX };
        return true;
}

static int sriov_destroy(VgpuTarget *t, const InstanceDesc *instance, VgpudError *reterr)
{
        _cleanup_(vf_state_done) VfState state = { 0 };
        _cleanup_(restore_done) Restore was = { 0 };
        VgpuVf vf;
        int r;

        if (!find_vf(t, instance, &vf))
                return 0;
        r = read_state(t->io, vf.path, &state);
        if (vgpu_io_is_gone(r))
                return 0;
        if (r < 0)
                return vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r, "/sys/%s cannot be read: %s",
                                              vf.path, g_strerror(-r));
        if (!is_handed_out(&state))
                return 0;
        restore_from_text(instance->restore, &was);
        /* A driver that is not loaded any more did not leave it: the function has none then. */
        if (was.state.driver) {
                g_autofree char *path = g_strconcat("bus/pci/drivers/", was.state.driver, NULL);
                if (!vgpu_io_exists(t->io, path))
                        g_clear_pointer(&was.state.driver, g_free);
        }
        /* Whose number is not known has no quotas either. */
        if (vf.index == UINT32_MAX)
                g_ptr_array_set_size(was.quotas, 0);
        r = put_back(t, find_provider(t->facts), &vf, &was, reterr);
        return r < 0 ? r : 1;
}

static int sriov_configure(VgpuTarget *t, const char *mode, const char *value, VgpudError *reterr)
{
        const VfProvider *p = find_provider(t->facts);

        if (p && p->configure)
                return p->configure(t, mode, value, reterr);
        return vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED, "GPU %s has no modes that could be set",
                                t->facts->name);
}

const VgpuDriver sriov_driver = {
        .name = "sriov",
        .match = sriov_match,
        .scan = sriov_scan,
        .create = sriov_create,
        .destroy = sriov_destroy,
        .set_vfs = vfs_set,
        .configure = sriov_configure,
        .handover = handover_new_pci,
};
