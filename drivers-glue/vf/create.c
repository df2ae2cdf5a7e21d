/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/vf/create.h"

#include <string.h>

#include "drivers-glue/explain.h"
#include "drivers-glue/vf/bind.h"

void vf_create_done(VfCreate *c)
{
        vf_restore_done(&c->was);
        g_clear_pointer(&c->restore_text, g_free);
        g_clear_pointer(&c->driver, g_free);
        g_clear_pointer(&c->held, g_array_unref);
        c->vf_failed = c->vf_in_use = false;
}

/* FAILED and IN_USE concern this VF, its driver, firmware or resources. Any other error would occur on the next
 * VF, too. */
int vf_create_bind(VfCreate *c, const char *driver, VgpudError *reterr)
{
        int r = vfs_bind_from(c->t->io, c->vf, c->was.state.driver, driver, c->driver, reterr);

        c->vf_failed = r == -vgpud_error_code_to_errno(VGPUD_ERROR_FAILED) ||
                       r == -vgpud_error_code_to_errno(VGPUD_ERROR_IN_USE);

        return r;
}

/* Check everything that can be checked before the VF is reserved and written to. */
static int create_prepare(VfCreate *c, VgpudError *reterr)
{
        bool bound = vfs_driver_is_vfio(c->was.state.driver);
        int r = vf_refuse_shared_group(c->t, c->vf, reterr);

        c->vf_in_use = r < 0;
        if (r < 0)
                return r;

        c->held = vfs_held_groups_new();
        if (c->was.state.driver) {
                r = vfs_refuse_use(c->t->io, c->vf, c->was.state.driver, c->held, reterr);
                c->vf_in_use = r < 0;

                if (r < 0)
                        return r;
        }

        /* A VF that another program bound keeps its driver. */
        if (bound)
                c->driver = g_strdup(c->was.state.driver);
        r = bound ? 0 : vf_find_vfio_driver(c->t, c->vf, &c->driver, reterr);
        if (r < 0)
                return r;

        r = c->ops->prepare ? c->ops->prepare(c, reterr) : 0;
        if (r < 0)
                return r;

        c->restore_text = vf_restore_to_text(&c->was);

        return 0;
}

/* Set driver_override first: it marks the VF as a half-made instance. */
static int create_hand_out(VfCreate *c, InstanceDesc **ret, VgpudError *reterr)
{
        _cleanup_(instance_desc_freep) InstanceDesc *d = NULL;
        _cleanup_(vf_state_done) VfState state = { 0 };
        int r = vf_create_bind(c, c->was.state.driver, reterr);

        /* The next steps check for users themselves. */
        g_clear_pointer(&c->held, g_array_unref);
        if (r < 0)
                return r;

        r = c->ops->provision ? c->ops->provision(c, reterr) : 0;
        if (r < 0)
                return r;

        r = vf_create_bind(c, c->driver, reterr);
        if (r < 0)
                return r;

        r = vf_state_read(c->t->io, c->vf->path, &state);
        if (r >= 0)
                r = c->ops->read_instance(c->t, c->vf, &state, &d);
        r = vf_check_instance(c->t, c->vf, d, r, reterr);
        if (r < 0)
                return r;

        *ret = g_steal_pointer(&d);

        return 0;
}

/* True if another program has bound the VF, and nothing of vgpud is left on the VF: the request sets no
 * quotas, and driver_override is as before. */
static bool create_is_taken_over(const VfCreate *c)
{
        const VfState *was = &c->was.state;
        _cleanup_(vf_state_done) VfState now = { 0 };

        return (!c->was.quotas || c->was.quotas->len == 0) && vf_state_read(c->t->io, c->vf->path, &now) >= 0 &&
               vf_is_taken_over(&now, was) && g_strcmp0(now.override, was->override) == 0;
}

/* Roll back because of *cause, which is emptied. */
static int create_undo(VfCreate *c, VgpudError *cause, VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError again = VGPUD_ERROR_INIT;
        int r = 0;

        /* The VF may also vanish during the rollback. */
        if (!vgpu_io_exists(c->t->io, c->vf->path) ||
            ((r = c->ops->put_back(c, &again)) < 0 && !vgpu_io_exists(c->t->io, c->vf->path))) {
                vgpud_error_done(cause);
                c->vf_failed = false;
                return explain_gpu_gone(c->t->facts, 0, reterr);
        }

        if (r < 0 && !c->ops->explain_undo && create_is_taken_over(c))
                r = 0;
        if (r < 0)
                c->vf_failed = false;
        if (c->ops->explain_undo)
                return c->ops->explain_undo(c, r, &again, cause, reterr);

        return vf_explain_undo(c->vf, r, &again, cause, reterr);
}

int vf_create_run(VfCreate *c, InstanceDesc **ret, VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError cause = VGPUD_ERROR_INIT;
        _cleanup_(instance_desc_freep) InstanceDesc *d = NULL;
        int r;

        g_assert(c->ops->read_instance);
        g_assert(c->ops->put_back);
        g_assert(!c->restore_text && !c->driver && !c->held);
        g_assert(uuid_is_valid(c->args->uuid));

        r = create_prepare(c, reterr);
        if (r < 0)
                return r;

        r = vf_reserve(c->args, c->vf, c->restore_text, reterr);
        if (r < 0)
                return r;

        r = create_hand_out(c, &d, &cause);
        if (r < 0)
                return create_undo(c, &cause, reterr);

        memcpy(d->uuid, c->args->uuid, sizeof d->uuid);
        g_free(d->type_id);
        d->type_id = g_strdup(c->args->type_id);
        d->restore = c->restore_text[0] ? g_steal_pointer(&c->restore_text) : NULL;
        *ret = g_steal_pointer(&d);

        return 0;
}
