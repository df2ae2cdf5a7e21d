/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/vf/handout.h"

#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "drivers-glue/explain.h"
#include "drivers-glue/problem.h"
#include "drivers-glue/vfio/driver-choice.h"
#include "drivers-glue/vfio/use.h"
#include "drivers-glue/vf/bind.h"
#include "drivers-glue/vf/bound.h"

#define DEVICE_API "vfio-pci"

/* ---- one VF ---- */

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

        /* A VM cannot use a group without an IOMMU. */
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
        g_assert(r < 0 || d);

        if (r < 0)
                return explain_read(t->facts, vf->path, r, reterr);

        if (d->iommu_group < 0 && !d->cdev)
                return explain_no_iommu(vf, 0, reterr);

        return 0;
}

/* ---- scan ---- */

void vf_count_done(VfCount *c)
{
        vgpud_error_done(&c->bound_why);
}

static void handout_count_free(VfCount *c, uint64_t framebuffer_bytes)
{
        if (c->free == 0 || framebuffer_bytes < c->framebuffer_bytes)
                c->framebuffer_bytes = framebuffer_bytes;
        c->free++;
}

static bool handout_has_driver(const VgpuTarget *t)
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

static void handout_copy_hint(const VfHint *hint, VgpudHint *ret)
{
        if (hint->id != VGPUD_HINT_NONE)
                vgpud_hint_setf(ret, hint->id, "%s", hint->text);
}

static void handout_explain_unprepared(const VgpuTarget *t, const VfMethod *method, const VfCount *count,
                                       GpuSnapshot *s)
{
        const GpuFacts *f = t->facts;

        if (count->all == 0 && method && method->fixed) {
                s->unprepared = g_strdup_printf("the GPU has no VFs (0 of %" PRIu32 "): %s", f->total_vfs,
                                                method->fixed);
                handout_copy_hint(&method->fixed_hint, &s->hint);
        } else if (count->all == 0) {
                s->unprepared = g_strdup_printf("the VFs are not enabled (0 of %" PRIu32 ")", f->total_vfs);
                vgpud_hint_setf(&s->hint, VGPUD_HINT_ENABLE_VFS,
                                "enable as many VFs as needed: vgpuctl enable-vfs %s [COUNT]", f->name);
        } else if (count->handed_out == 0 && !handout_has_driver(t)) {
                s->unprepared = g_strdup("no driver that hands VFs to VMs is loaded");
                vgpud_hint_setf(&s->hint, VGPUD_HINT_LOAD_DRIVER,
                                "load the driver now and at every boot: modprobe vfio-pci");
        }
}

/* Explain that the GPU has fewer VFs than it can have. All existing VFs are free. */
static void handout_explain_few(const GpuFacts *f, const VfMethod *method, const VfCount *count, VgpuType *type)
{
        if (method && method->fixed) {
                type->why_not = g_strdup_printf("the GPU has %" PRIu32 " of %" PRIu32 " VFs: %s", count->all,
                                                f->total_vfs, method->fixed);
                handout_copy_hint(&method->fixed_hint, &type->hint);
                return;
        }

        type->why_not = g_strdup_printf("%" PRIu32 " of %" PRIu32 " VFs are enabled", count->all, f->total_vfs);
        vgpud_hint_setf(&type->hint, VGPUD_HINT_ENABLE_VFS,
                        "enable more VFs while none is handed out: vgpuctl enable-vfs %s [COUNT]", f->name);
}

static void handout_explain_taken(const GpuFacts *f, const VfMethod *method, const VfCount *count,
                                  VgpuType *type)
{
        g_autofree char *reserved = NULL, *shared = NULL, *unread = NULL, *bound = NULL, *more = NULL;

        if (count->reserved > 0)
                reserved = g_strdup_printf(", and %" PRIu32 " %s reserved by driver_override or a stub driver",
                                           count->reserved, count->reserved == 1 ? "is" : "are");

        if (count->shared > 0)
                shared = g_strdup_printf(", and %" PRIu32 " share an IOMMU group with a device of the host",
                                         count->shared);
        if (count->unread > 0)
                unread = g_strdup_printf(", and %" PRIu32 " cannot be read", count->unread);

        if (count->bound > 0) {
                bool say_why = count->bound_why.code == VGPUD_ERROR_IN_USE;

                bound = g_strdup_printf(", and %" PRIu32 " %s bound by another program%s%s%s", count->bound,
                                        count->bound == 1 ? "is" : "are", say_why ? " (" : "",
                                        say_why ? count->bound_why.message : "", say_why ? ")" : "");
        }

        type->why_not = g_strdup_printf("%" PRIu32 " of %" PRIu32 " VFs %s handed out%s%s%s%s",
                                        count->handed_out, count->all, count->handed_out == 1 ? "is" : "are",
                                        reserved ? reserved : "", bound ? bound : "", shared ? shared : "",
                                        unread ? unread : "");

        if (count->all < f->total_vfs && !(method && method->fixed))
                more = g_strdup_printf(", or enable up to %" PRIu32
                                       " VFs while none is handed out: vgpuctl enable-vfs %s [COUNT]",
                                       f->total_vfs, f->name);
        if (count->bound > 0)
                vgpud_hint_copy(&type->hint, &count->bound_why.hint);
        else if (count->handed_out > 0)
                vgpud_hint_setf(&type->hint, VGPUD_HINT_DESTROY_INSTANCE, "destroy an instance%s",
                                more ? more : "");
        else
                vgpud_hint_setf(&type->hint, VGPUD_HINT_RELEASE_VF,
                                "end a reservation that vgpuctl show %s lists%s", f->name, more ? more : "");
}

static void handout_explain_unread(const GpuFacts *f, const VfCount *count, VgpuType *type)
{
        type->why_not = g_strdup_printf("%" PRIu32 " of %" PRIu32 " VFs cannot be read", count->unread,
                                        count->all);
        vgpud_hint_setf(&type->hint, VGPUD_HINT_SEE_KERNEL_LOG,
                        "vgpuctl show %s names the VFs; look for messages of the driver in the kernel log",
                        f->name);
}

/* Use the message of vf_refuse_shared_group(): create() would refuse with the same message. */
static void handout_explain_shared(const GpuSnapshot *s, VgpuType *type)
{
        for (guint i = 0; i < s->problems->len && !type->why_not; i++) {
                const VgpuProblem *p = s->problems->pdata[i];

                if (p->hint.id != VGPUD_HINT_ENABLE_ACS)
                        continue;

                type->why_not = g_strdup(p->text);
                vgpud_hint_copy(&type->hint, &p->hint);
        }
}

static void handout_explain_no_more(const GpuFacts *f, const VfMethod *method, const VfCount *count,
                                    const GpuSnapshot *s, VgpuType *type)
{
        if (count->handed_out + count->reserved + count->bound > 0)
                handout_explain_taken(f, method, count, type);
        else if (count->shared > 0)
                handout_explain_shared(s, type);
        else if (count->unread > 0)
                handout_explain_unread(f, count, type);
        else if (count->all < f->total_vfs)
                handout_explain_few(f, method, count, type);
}

/* True if the VF shares its IOMMU group with a device of the host. Only the first such VF becomes a problem of
 * the GPU: usually all VFs share one group. */
static bool handout_is_shared(VgpuTarget *t, const VgpuVf *vf, GpuSnapshot *s, const VfCount *count)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;

        if (vf_refuse_shared_group(t, vf, &e) >= 0)
                return false;

        if (count->shared == 0)
                gpu_snapshot_add_problem(s, e.hint.id, e.hint.text, "%s", e.message);

        return true;
}

/* Count a VF that another program bound: as bound if vgpud may not hand it out, else as shared or free. */
static void handout_count_bound(VfBound *b, const VfScan *scan, const VgpuVf *vf, const VfState *state,
                                GpuSnapshot *s, VfCount *count)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;

        if (vf_bound_refuse(b, vf, state, &e) >= 0) {
                if (handout_is_shared(b->t, vf, s, count))
                        count->shared++;
                else
                        handout_count_free(count, scan->read_framebuffer(b->t, vf));
                return;
        }

        if (count->bound++ == 0)
                vgpud_error_move(&count->bound_why, &e);
}

static void handout_scan_vf(VgpuTarget *t, const VfScan *scan, VfBound *b, const VgpuVf *vf, GpuSnapshot *s,
                            VfCount *count)
{
        _cleanup_(vf_state_done) VfState state = { 0 };
        InstanceDesc *d = NULL;
        int r = vf_state_read(t->io, vf->path, &state);
        bool bound;

        if (vgpu_io_is_gone(r))
                return;

        if (r < 0) {
                gpu_snapshot_add_unread(s, vf->name, vf->path, r);
                count->unread++;
                count->all++;
                return;
        }

        bound = scan->takes_bound && vf_bound_is_free(b, vf, &state);
        gpu_snapshot_add_binding(s, vf->name, state.driver, state.override)->bound_free = bound;

        if (bound)
                handout_count_bound(b, scan, vf, &state, s, count);
        else if (vf_state_is_handed_out(&state)) {
                r = scan->read_instance(t, vf, &state, &d);
                if (vgpu_io_is_gone(r))
                        return;

                if (r < 0)
                        gpu_snapshot_add_unread(s, vf->name, vf->path, r);
                else
                        g_ptr_array_add(s->instances, d);
                count->handed_out++;
        } else if (vf_state_is_reserved(&state))
                count->reserved++;
        else if (handout_is_shared(t, vf, s, count))
                count->shared++;
        else
                handout_count_free(count, scan->read_framebuffer(t, vf));

        count->all++;
}

int vf_scan(VgpuTarget *t, const VfScan *scan, GpuSnapshot *s, VfCount *ret, VgpudError *reterr)
{
        _cleanup_(vf_bound_done) VfBound b = { .t = t };

        g_assert(ret->all == 0);
        g_assert(!s->unprepared);

        for (guint i = 0; i < t->facts->vfs->len; i++) {
                if (vgpu_target_must_yield(t))
                        return -EAGAIN;

                handout_scan_vf(t, scan, &b, t->facts->vfs->pdata[i], s, ret);
        }

        if (ret->unread > 0 && ret->unread == ret->all)
                return vgpud_error_setf(reterr, VGPUD_ERROR_FAILED, "no VF can be read: %s",
                                        ((const VgpuProblem *)s->problems->pdata[0])->text);

        if (ret->all == 0 && !vgpu_io_exists(t->io, t->facts->path))
                return explain_gpu_gone(t->facts, 0, reterr);

        g_assert(ret->all ==
                 ret->handed_out + ret->reserved + ret->free + ret->shared + ret->unread + ret->bound);
        handout_explain_unprepared(t, scan->method, ret, s);

        return 0;
}

void vf_find_instances(VgpuTarget *t, const VfScan *scan, const char *name, GpuSnapshot *s)
{
        const VgpuVf *vf = gpu_facts_find_vf(t->facts, name);
        _cleanup_(vf_bound_done) VfBound b = { .t = t };
        _cleanup_(vf_state_done) VfState state = { 0 };
        InstanceDesc *d = NULL;
        int r = vf ? vf_state_read(t->io, vf->path, &state) : -ENOENT;

        if (r >= 0 &&
            (!vf_state_is_handed_out(&state) || (scan->takes_bound && vf_bound_is_free(&b, vf, &state))))
                return;

        if (r >= 0)
                r = scan->read_instance(t, vf, &state, &d);
        if (r < 0)
                gpu_snapshot_add_unread(s, name, vf ? vf->path : t->facts->path, r);
        else
                g_ptr_array_add(s->instances, d);
}

VgpuType *vf_type_new(const GpuFacts *f, const VfMethod *method, const char *id, const char *description,
                      const VfCount *count, const GpuSnapshot *s, GPtrArray *options)
{
        VgpuType *t = vgpu_type_new(id);

        t->description = g_strdup(description);
        t->device_api = g_strdup(DEVICE_API);
        /* The memory of a VF depends on the number of VFs, so the key does not contain it. */
        t->key = vgpu_type_make_key(t, f->vendor);
        t->framebuffer_bytes = count->framebuffer_bytes;
        t->max_instances = f->total_vfs;
        t->available = s->unprepared ? 0 : count->free;
        t->options = options;

        if (s->unprepared) {
                t->why_not = g_strdup(s->unprepared);
                vgpud_hint_copy(&t->hint, &s->hint);
        } else
                handout_explain_no_more(f, method, count, s, t);

        return t;
}

/* ---- refusals before a VF is handed out ---- */

int vf_refuse_taken(VgpuTarget *t, const VgpuVf *vf, const VfState *s, VgpudError *reterr)
{
        const char *driver = s->driver ? s->driver : s->override;
        int r;

        g_assert(vf_state_is_handed_out(s));

        r = vgpud_error_setf(reterr, VGPUD_ERROR_NO_CAPACITY, "VF %s of GPU %s is handed out already (%s %s)",
                             vf->name, t->facts->name, s->driver ? "bound to" : "reserved for",
                             driver ? driver : "VFIO");
        vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER,
                          "choose another VF, or destroy the instance on this one");

        return r;
}

int vf_refuse_reserved(VgpuTarget *t, const VgpuVf *vf, const VfState *s, VgpudError *reterr)
{
        g_autofree char *words = vfs_explain_reserved(s->driver, s->override);
        _cleanup_vgpud_hint_ VgpudHint hint = VGPUD_HINT_INIT;
        int r = vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE, "VF %s of GPU %s %s", vf->name, t->facts->name,
                                 words);

        vfs_hint_reserved(vf, s->driver, s->override, &hint);
        explain_copy_hint(&hint, reterr);

        return r;
}

/* VFIO gives a VM all devices of an IOMMU group or none (Linux drivers/vfio/group.c); bridges do not count. If
 * a device cannot be read, the kernel decides later. */
int vf_refuse_shared_group(VgpuTarget *t, const VgpuVf *vf, VgpudError *reterr)
{
        g_autofree char *folder = NULL;
        g_auto(GStrv) names = NULL;
        int group, r;

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

                r = vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED,
                                     "VF %s shares IOMMU group %d with %s, which driver %s uses", vf->name,
                                     group, *n, driver);
                vgpud_error_hintf(
                                reterr, VGPUD_HINT_ENABLE_ACS,
                                "a VM gets all devices of a group or none: enable ACS in the firmware setup, or move the GPU to another PCIe slot");

                return r;
        }

        return 0;
}

int vf_explain_none_free(VgpuTarget *t, const VgpuType *type, VgpudError *reterr)
{
        int r = vgpud_error_setf(reterr, VGPUD_ERROR_NO_CAPACITY, "GPU %s has no free VF: %s", t->facts->name,
                                 type->why_not ? type->why_not : "another program took the last one");

        if (!type->why_not)
                vgpud_error_hintf(reterr, VGPUD_HINT_TRY_AGAIN, "try again");
        explain_copy_hint(&type->hint, reterr);

        return r;
}

int vf_find_vfio_driver(VgpuTarget *t, const VgpuVf *vf, char **ret, VgpudError *reterr)
{
        g_autofree char *driver = NULL, *better = NULL;
        int r = vfio_find_driver(t->io, vf->path, &driver, &better);

        if (r < 0)
                return explain_read(t->facts, vf->path, r, reterr);

        if (!driver) {
                const char *module = better ? better : "vfio-pci";

                r = vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED,
                                     "VF %s cannot be handed out: driver %s is not loaded", vf->name, module);
                vgpud_error_hintf(reterr, VGPUD_HINT_LOAD_DRIVER,
                                  "load the driver now and at every boot: modprobe %s", module);

                return r;
        }

        if (better)
                log_info("Binding VF %s to %s, because module %s, which is made for this device, is not loaded",
                         vf->name, driver, better);

        *ret = g_steal_pointer(&driver);

        return 0;
}

int vf_reserve(const CreateArgs *args, const VgpuVf *vf, const char *restore, VgpudError *reterr)
{
        g_assert(restore);

        return slot_reserve(args, vf->name, restore[0] ? restore : NULL, reterr);
}

/* Find the VF of the instance. False if the slot is not a VF of this GPU: the name may belong to a VF of
 * another GPU by now, or to none. */
static bool handout_find_vf(VgpuTarget *t, const InstanceDesc *instance, VgpuVf *ret)
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

int vf_find_handed_out(VgpuTarget *t, const InstanceDesc *instance, VgpuVf *ret, VgpudError *reterr)
{
        _cleanup_(vf_state_done) VfState state = { 0 };
        int r;

        if (!handout_find_vf(t, instance, ret))
                return 0;

        r = vf_state_read(t->io, ret->path, &state);
        if (vgpu_io_is_gone(r))
                return 0;

        if (r < 0)
                return explain_unreadable(ret->path, r, reterr);

        return vf_state_is_handed_out(&state);
}
