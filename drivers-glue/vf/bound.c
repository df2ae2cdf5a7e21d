/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/vf/bound.h"

#include "base/text.h"
#include "drivers-glue/explain.h"
#include "drivers-glue/slots.h"
#include "drivers-glue/vf/bind.h"
#include "drivers-glue/vf/return.h"
#include "drivers-glue/vfio/use.h"

void vf_bound_done(VfBound *b)
{
        g_clear_pointer(&b->held, g_hash_table_unref);
        b->held_read = false;
        b->definitions = vgpu_definitions_free(b->definitions);
}

/* True if vgpud handed out this VF. A record does not count if its device was removed and recreated since. */
static bool bound_is_on_record(const VgpuTarget *t, const VgpuVf *vf)
{
        uint64_t identity, now;

        if (!vgpu_slots_find(t->slots, vf->name, &identity))
                return false;

        return identity == 0 || vgpu_io_identify(t->io, vf->path, &now) < 0 || now == identity;
}

bool vf_bound_is_foreign(const VgpuTarget *t, const VgpuVf *vf, const VfState *s)
{
        return t->slots && vfs_driver_is_vfio(s->driver) && !bound_is_on_record(t, vf);
}

/* The nodes of VFIO that are open; NULL if /proc cannot be read. The search may miss processes that vgpud
 * cannot see, so vfs_keep_out() checks again before a change. */
static GHashTable *bound_read_held(VfBound *b)
{
        if (!b->held_read)
                (void)vgpu_io_list_held(b->t->io, "vfio", &b->held);
        b->held_read = true;

        return b->held;
}

static bool bound_is_held(VfBound *b, const VgpuVf *vf)
{
        GHashTable *held = bound_read_held(b);
        g_autofree char *cdev = NULL, *group_node = NULL, *noiommu_node = NULL, *cdev_node = NULL;
        int group;

        if (!held || vfio_read_group(b->t->io, vf->path, &group) < 0 ||
            vfio_read_cdev(b->t->io, vf->path, &cdev) < 0)
                return true;

        group_node = g_strdup_printf("%d", group);
        noiommu_node = g_strdup_printf("noiommu-%d", group);
        cdev_node = cdev ? g_strconcat("devices/", cdev, NULL) : NULL;

        return g_hash_table_contains(held, group_node) || g_hash_table_contains(held, noiommu_node) ||
               (cdev_node && g_hash_table_contains(held, cdev_node));
}

bool vf_bound_is_free(VfBound *b, const VgpuVf *vf, const VfState *s)
{
        return vf_bound_is_foreign(b->t, vf, s) && !bound_is_held(b, vf);
}

static void bound_hint_setting(const GpuFacts *f, VgpudHint *ret)
{
        vgpud_hint_setf(ret, VGPUD_HINT_CHANGE_CONFIG,
                        "to let vgpud hand out VFs that another program bound, set take-bound=yes in the section [gpu %s] of vgpud.conf",
                        f->name);
}

static int bound_refuse_defined(VfBound *b, const VgpuVf *vf, VgpudError *reterr)
{
        const char *file;
        int r;

        if (!b->definitions) {
                r = vgpu_io_read_definitions(b->t->io, &b->definitions);
                if (r < 0)
                        return explain_use_unknown(r, reterr,
                                                   "the definitions of libvirt and mdevctl cannot be read");
        }

        file = g_hash_table_lookup(b->definitions->files, vf->name);
        if (file) {
                r = vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE,
                                     "VF %s is named by %s, a definition of libvirt or mdevctl", vf->name,
                                     TEXT_QUOTE(file));
                vgpud_error_hintf(
                                reterr, VGPUD_HINT_CHOOSE_OTHER,
                                "choose another VF, or remove the VF from the definition with virsh or mdevctl");

                return r;
        }

        if (!b->definitions->unread)
                return 0;

        r = vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE,
                             "a definition of libvirt or mdevctl may name VF %s: %s", vf->name,
                             b->definitions->unread);
        vgpud_error_hintf(reterr, VGPUD_HINT_REMOVE_BY_HAND, "repair or remove this file or folder");

        return r;
}

int vf_bound_refuse(VfBound *b, const VgpuVf *vf, const VfState *s, VgpudError *reterr)
{
        int r;

        g_assert(vfs_driver_is_vfio(s->driver));

        if (b->t->take_bound)
                return bound_refuse_defined(b, vf, reterr);

        r = vgpud_error_setf(reterr, VGPUD_ERROR_NO_CAPACITY, "another program bound VF %s of GPU %s to %s",
                             vf->name, b->t->facts->name, s->driver);
        if (reterr)
                bound_hint_setting(b->t->facts, &reterr->hint);

        return r;
}

bool vf_bound_is_returned(VgpuTarget *t, const char *slot, const char *restore)
{
        const VgpuVf *vf = gpu_facts_find_vf(t->facts, slot);
        _cleanup_(vf_restore_done) VfRestore was = { 0 };
        _cleanup_(vf_state_done) VfState now = { 0 };

        if (!vf || vf_state_read(t->io, vf->path, &now) < 0)
                return false;

        vf_restore_from_text(t->io, restore, &was);

        return vfs_driver_is_vfio(was.state.driver) && g_strcmp0(now.driver, was.state.driver) == 0 &&
               g_strcmp0(was.state.override, was.state.driver) != 0 &&
               g_strcmp0(now.override, was.state.override) == 0;
}

int vf_bound_refuse_use(VgpuTarget *t, const VgpuVf *vf, const VfState *was, GArray *held, VgpudError *reterr)
{
        _cleanup_(vf_state_done) VfState now = { 0 };

        if (!vfs_driver_is_vfio(was->driver) || vf_state_read(t->io, vf->path, &now) < 0 ||
            g_strcmp0(now.driver, was->driver) != 0)
                return 0;

        return vfs_keep_out(t->io, vf->path, held, reterr);
}
