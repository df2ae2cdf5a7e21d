/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Virtual functions handed out whole. */

#include "drivers-glue/vf/handout.h"

#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "drivers-glue/explain.h"
#include "drivers-glue/vfio/driver-choice.h"
#include "drivers-glue/vfio/use.h"
#include "drivers-glue/vf/bind.h"

#define DEVICE_API "vfio-pci"

/* One function */

void vf_state_done(VfState *s)
{
        g_free(s->driver);
        g_free(s->override);
        *s = (VfState){ 0 };
}

int vf_state_read(VgpuIo *io, const char *path, VfState *ret)
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

int vf_state_read_or_explain(VgpuTarget *t, const VgpuVf *vf, VfState *ret, VgpudError *reterr)
{
        return explain_read(t->facts, vf->path, vf_state_read(t->io, vf->path, ret), reterr);
}

bool vf_state_is_handed_out(const VfState *s)
{
        return s->leaving || vfs_driver_is_vfio(s->driver) || vfs_driver_is_vfio(s->override);
}

bool vf_state_is_reserved(const VfState *s)
{
        return s->override || vfs_driver_is_stub(s->driver);
}

int vf_read_instance(VgpuTarget *t, const VgpuVf *vf, VfState *s, const char *type_id, InstanceDesc **ret)
{
        _cleanup_(instance_desc_freep) InstanceDesc *d = instance_desc_new(NULL);
        int r;

        if ((r = vfio_read_group(t->io, vf->path, &d->iommu_group)) < 0 ||
            (r = vfio_read_cdev(t->io, vf->path, &d->cdev)) < 0)
                return r;
        /* A virtual machine takes it for none. */
        if (vfio_group_is_noiommu(t->io, d->iommu_group))
                d->iommu_group = -1;
        d->slot = g_strdup(vf->name);
        d->half_made = !s->leaving && !vfs_driver_is_vfio(s->driver);
        d->type_id = g_strdup(type_id);
        d->parent = g_strdup(vf->name);
        d->path = g_strdup(vf->path);
        d->device_api = g_strdup(DEVICE_API);
        d->driver = g_steal_pointer(&s->driver);
        *ret = g_steal_pointer(&d);
        return 0;
}

int vf_check_instance(VgpuTarget *t, const VgpuVf *vf, const InstanceDesc *d, int r, VgpudError *reterr)
{
        if (r < 0)
                return explain_read(t->facts, vf->path, r, reterr);
        if (d->iommu_group < 0 && !d->cdev)
                return explain_no_iommu(vf, 0, reterr);

        return 0;
}

/* ---- scan ---- */

static void count_free(VfCount *c, uint64_t framebuffer_bytes)
{
        if (c->free == 0 || framebuffer_bytes < c->framebuffer_bytes)
                c->framebuffer_bytes = framebuffer_bytes;
        c->free++;
}

/* Whether a driver of VFIO for the VFs is loaded. */
static bool has_vfio_driver(const VgpuTarget *t)
{
        g_autofree char *driver = NULL;

        if (vgpu_io_exists(t->io, "bus/pci/drivers/vfio-pci"))
                return true;
        if (t->facts->vfs->len > 0) {
                const VgpuVf *vf = t->facts->vfs->pdata[0];
                (void)vfio_find_driver(t->io, vf->path, &driver, NULL);
        }
        return driver;
}

static char *explain_unprepared(const GpuFacts *f, const VfMethod *method, const VfCount *count,
                                bool has_vfio_driver)
{
        if (count->all == 0 && method && method->fixed_none)
                return g_strdup_printf("it has no virtual functions (0 of %" PRIu32 "); %s", f->total_vfs,
                                       method->fixed_none);
        if (count->all == 0)
                return g_strdup_printf("its virtual functions are not enabled (0 of %" PRIu32
                                       "); enable as many as are needed: vgpuctl enable-vfs %s [COUNT]",
                                       f->total_vfs, f->name);
        if (!has_vfio_driver && count->handed_out == 0)
                return g_strdup("the driver that hands virtual functions to virtual machines is not loaded; "
                                "load it (modprobe vfio-pci), and have it loaded at every boot");
        return NULL;
}

/* What stands between those that are free and all that there can be. NULL: nothing. */
static char *explain_no_more(const GpuFacts *f, const VfMethod *method, const VfCount *count)
{
        uint32_t taken = count->handed_out + count->reserved;
        const char *fixed = method ? method->fixed_more : NULL;
        bool can_enable = count->all < f->total_vfs && !fixed;
        GString *text;

        if (taken == 0 && count->all >= f->total_vfs)
                return NULL;
        if (taken == 0 && fixed)
                return g_strdup_printf("it has %" PRIu32 " of %" PRIu32 " virtual functions; %s", count->all,
                                       f->total_vfs, fixed);
        if (taken == 0)
                return g_strdup_printf("%" PRIu32 " of %" PRIu32
                                       " virtual functions are enabled; for more, as long as none is taken: "
                                       "vgpuctl enable-vfs %s [COUNT]",
                                       count->all, f->total_vfs, f->name);
        text = g_string_new(NULL);
        g_string_printf(text, "of %" PRIu32 " virtual functions %" PRIu32 " %s handed out", count->all,
                        count->handed_out, count->handed_out == 1 ? "is" : "are");
        if (count->reserved > 0)
                g_string_append_printf(text,
                                       " and %" PRIu32 " reserved by a driver_override or a stub driver "
                                       "(vgpuctl show %s says which)",
                                       count->reserved, f->name);
        if (count->handed_out > 0)
                g_string_append(text, "; destroy one first");
        if (can_enable)
                g_string_append_printf(
                                text,
                                "%s enable more when none is taken: vgpuctl enable-vfs %s [COUNT], %" PRIu32
                                " at most",
                                count->handed_out > 0 ? ", or" : ";", f->name, f->total_vfs);
        return g_string_free(text, FALSE);
}

static int scan_vf(VgpuTarget *t, const VfScan *scan, const VgpuVf *vf, GpuSnapshot *s, VfCount *count)
{
        _cleanup_(vf_state_done) VfState state = { 0 };
        InstanceDesc *d = NULL;
        int r = vf_state_read(t->io, vf->path, &state);

        if (r < 0)
                return r;

        gpu_snapshot_add_binding(s, vf->name, state.driver, state.override);
        if (vf_state_is_handed_out(&state)) {
                r = scan->read_instance(t, vf, &state, &d);
                if (r < 0)
                        return r;
                g_ptr_array_add(s->instances, d);
                count->handed_out++;
        } else if (vf_state_is_reserved(&state))
                count->reserved++;
        else
                count_free(count, scan->read_framebuffer(t, vf));

        count->all++;
        return 0;
}

int vf_scan(VgpuTarget *t, const VfScan *scan, GpuSnapshot *s, VfCount *ret, VgpudError *reterr)
{
        for (guint i = 0; i < t->facts->vfs->len; i++) {
                const VgpuVf *vf = t->facts->vfs->pdata[i];
                int r = scan_vf(t, scan, vf, s, ret);

                if (r < 0 && !vgpu_io_is_gone(r))
                        return explain_unreadable(vf->path, r, reterr);
        }
        if (ret->all == 0 && !vgpu_io_exists(t->io, t->facts->path))
                return explain_gpu_gone(t->facts, 0, reterr);

        s->unprepared = explain_unprepared(t->facts, scan->method, ret, has_vfio_driver(t));
        return 0;
}

VgpuType *vf_type_new(const GpuFacts *f, const VfMethod *method, const char *id, const char *description,
                      const VfCount *count, const char *unprepared, GPtrArray *options)
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
        else
                t->why_not = explain_no_more(f, method, count);
        t->options = options;
        return t;
}

/* Before one is handed out */

int vf_refuse_taken(VgpuTarget *t, const VgpuVf *vf, const VfState *s, VgpudError *reterr)
{
        return vgpud_error_setf(reterr, VGPUD_ERROR_NO_CAPACITY,
                                "virtual function %s of GPU %s is handed out already: %s %s", vf->name,
                                t->facts->name, s->driver ? "it is bound to" : "it is reserved for",
                                s->driver ? s->driver : s->override);
}

int vf_refuse_reserved(VgpuTarget *t, const VgpuVf *vf, const VfState *s, VgpudError *reterr)
{
        g_autofree char *words = vfs_explain_reserved(s->driver, s->override);
        g_autofree char *advice = vfs_advise_reserved(vf, s->driver, s->override);

        return vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE, "virtual function %s of GPU %s %s; %s", vf->name,
                                t->facts->name, words, advice);
}

/* VFIO gives a virtual machine all devices of an IOMMU group or none (Linux drivers/vfio/group.c); bridges do
 * not count. What cannot be found out is left to the kernel. */
int vf_refuse_shared_group(VgpuTarget *t, const VgpuVf *vf, VgpudError *reterr)
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
                                "has, and a virtual machine gets all of a group or nothing; what belongs "
                                "together is decided by the hardware (ACS): switch ACS on in the firmware "
                                "setup, or use another slot",
                                vf->name, group, *n, driver);
        }
        return 0;
}

int vf_explain_none_free(VgpuTarget *t, const VgpuType *type, VgpudError *reterr)
{
        return vgpud_error_setf(reterr, VGPUD_ERROR_NO_CAPACITY,
                                "GPU %s has no virtual function to hand out: %s", t->facts->name,
                                type->why_not ? type->why_not
                                              : "the last one was taken at this moment; try again");
}

int vf_find_vfio_driver(VgpuTarget *t, const VgpuVf *vf, char **ret, VgpudError *reterr)
{
        g_autofree char *driver = NULL, *better = NULL;
        int r = vfio_find_driver(t->io, vf->path, &driver, &better);

        if (r < 0)
                return explain_read(t->facts, vf->path, r, reterr);
        if (!driver)
                return vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED,
                                        "virtual function %s cannot be handed out: %s is not loaded; load it "
                                        "(modprobe %s), and have it loaded at every boot",
                                        vf->name, better ? better : "vfio-pci", better ? better : "vfio-pci");
        if (better)
                log_info("Virtual function %s is bound to %s, because module %s, which is made for it, is not "
                         "loaded",
                         vf->name, driver, better);
        *ret = g_steal_pointer(&driver);
        return 0;
}

int vf_reserve(const CreateArgs *args, const VgpuVf *vf, const char *restore, VgpudError *reterr)
{
        return slot_reserve(args, vf->name, restore[0] ? restore : NULL, reterr);
}

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

/* What it was */

#define RESTORE_DRIVER   "driver"
#define RESTORE_OVERRIDE "override"
#define RESTORE_QUOTA    "quota."

DEFINE_DESTROY_NOTIFY(free_attribute, vgpu_attribute_free)

void vf_restore_done(VfRestore *r)
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

char *vf_restore_to_text(const VfRestore *r)
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

static bool driver_exists(VgpuIo *io, const char *driver)
{
        g_autofree char *path = g_strconcat("bus/pci/drivers/", driver, NULL);

        return vgpu_io_name_is_valid(driver) && vgpu_io_exists(io, path);
}

void vf_restore_from_text(VgpuIo *io, const char *text, VfRestore *ret)
{
        g_auto(GStrv) items = g_strsplit(text ? text : "", " ", -1);

        ret->quotas = g_ptr_array_new_with_free_func(free_attribute);
        for (char **i = items; *i; i++) {
                char *equals = strchr(*i, '=');
                g_autofree char *value = equals ? g_uri_unescape_string(equals + 1, NULL) : NULL;

                if (!value || !value[0])
                        continue;
                *equals = 0;
                if (strcmp(*i, RESTORE_DRIVER) == 0 && driver_exists(io, value)) {
                        g_free(ret->state.driver);
                        ret->state.driver = g_steal_pointer(&value);
                } else if (strcmp(*i, RESTORE_OVERRIDE) == 0) {
                        g_free(ret->state.override);
                        ret->state.override = g_steal_pointer(&value);
                } else if (g_str_has_prefix(*i, RESTORE_QUOTA))
                        g_ptr_array_add(ret->quotas, vgpu_attribute_new(*i + strlen(RESTORE_QUOTA), value));
        }
}

int vf_find_handed_out(VgpuTarget *t, const InstanceDesc *instance, VgpuVf *ret, VgpudError *reterr)
{
        _cleanup_(vf_state_done) VfState state = { 0 };
        int r;

        if (!find_vf(t, instance, ret))
                return 0;
        r = vf_state_read(t->io, ret->path, &state);
        if (vgpu_io_is_gone(r))
                return 0;
        if (r < 0)
                return explain_unreadable(ret->path, r, reterr);
        return vf_state_is_handed_out(&state);
}

const VgpuVf *vf_find_interrupted(VgpuTarget *t, const char *slot, const char *restore, VfRestore *ret)
{
        const VgpuVf *vf = gpu_facts_find_vf(t->facts, slot);
        _cleanup_(vf_state_done) VfState now = { 0 };
        const char *driver;

        if (!vf || vf_state_read(t->io, vf->path, &now) < 0 || vf_state_is_handed_out(&now))
                return NULL;
        vf_restore_from_text(t->io, restore, ret);
        driver = ret->state.driver;
        if (!driver || g_strcmp0(now.override, driver) != 0 || g_strcmp0(ret->state.override, driver) == 0 ||
            (now.driver && strcmp(now.driver, driver) != 0))
                return NULL;
        return vf;
}

int vf_return(VgpuTarget *t, const VgpuVf *vf, const VfState *was, VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError cause = VGPUD_ERROR_INIT, again = VGPUD_ERROR_INIT;
        _cleanup_(vf_state_done) VfState now = { 0 };
        int r = vfs_bind(t->io, vf, was->driver, was->override, &cause);

        if (r >= 0)
                return r;
        /* Whoever comes must not take the driver_override that was to bring the driver for a reservation. One
         * of VFIO is there when it could not be changed: then it is an instance still. */
        if (vf_state_read(t->io, vf->path, &now) < 0 || vf_state_is_handed_out(&now) ||
            vfs_bind(t->io, vf, now.driver, was->override, &again) >= 0) {
                vgpud_error_move(reterr, &cause);
                return r;
        }
        return vgpud_error_set_errnof(reterr, cause.code, -cause.errnum, "%s; and %s", cause.message,
                                      again.message);
}

int vf_explain_destroy(VgpuTarget *t, const VgpuVf *vf, int r, VgpudError *cause, VgpudError *reterr)
{
        _cleanup_(vf_state_done) VfState now = { 0 };

        if (r >= 0)
                return r;
        if (vf_state_read(t->io, vf->path, &now) < 0 || vf_state_is_handed_out(&now)) {
                vgpud_error_move(reterr, cause);
                return r;
        }
        r = vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, -cause->errnum,
                                   "the instance has gone, but its virtual function is not all that it was "
                                   "before (driver: "
                                   "%s, driver_override: %s): %s",
                                   now.driver ? now.driver : "none", now.override ? now.override : "none",
                                   cause->message);
        vgpud_error_done(cause);
        return r;
}

int vf_explain_undo(const VgpuVf *vf, int r, const VgpudError *again, VgpudError *cause, VgpudError *reterr)
{
        if (r < 0)
                return explain_rollback(vf->name, r, again->message, cause, reterr);

        return vgpud_error_move(reterr, cause);
}
