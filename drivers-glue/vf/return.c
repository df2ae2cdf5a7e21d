/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/vf/return.h"

#include <string.h>

#include "drivers-glue/explain.h"
#include "drivers-glue/vf/bind.h"
#include "drivers-glue/vf/bound.h"

#define RESTORE_DRIVER   "driver"
#define RESTORE_OVERRIDE "override"
#define RESTORE_QUOTA    "quota."

void vf_restore_done(VfRestore *r)
{
        vf_state_done(&r->state);
        g_clear_pointer(&r->quotas, g_ptr_array_unref);
}

static void return_append_item(GString *text, const char *prefix, const char *name, const char *value)
{
        g_autofree char *escaped = value ? g_uri_escape_string(value, NULL, FALSE) : NULL;

        if (escaped)
                g_string_append_printf(text, "%s%s%s=%s", text->len > 0 ? " " : "", prefix, name, escaped);
}

char *vf_restore_to_text(const VfRestore *r)
{
        GString *text = g_string_new(NULL);

        return_append_item(text, "", RESTORE_DRIVER, r->state.driver);
        return_append_item(text, "", RESTORE_OVERRIDE, r->state.override);

        for (guint i = 0; r->quotas && i < r->quotas->len; i++) {
                const VgpuAttribute *a = r->quotas->pdata[i];

                return_append_item(text, RESTORE_QUOTA, a->name, a->value);
        }

        return g_string_free(text, FALSE);
}

void vf_restore_from_text(VgpuIo *io, const char *text, VfRestore *ret)
{
        g_auto(GStrv) items = g_strsplit(text ? text : "", " ", -1);

        g_assert(!ret->quotas);

        ret->quotas = vgpu_attributes_new();

        for (char **i = items; *i; i++) {
                char *equals = strchr(*i, '=');
                g_autofree char *value = equals ? g_uri_unescape_string(equals + 1, NULL) : NULL;

                if (!value || !value[0])
                        continue;

                *equals = 0;
                if (strcmp(*i, RESTORE_DRIVER) == 0 && vfs_driver_exists(io, value)) {
                        g_free(ret->state.driver);
                        ret->state.driver = g_steal_pointer(&value);
                } else if (strcmp(*i, RESTORE_OVERRIDE) == 0) {
                        g_free(ret->state.override);
                        ret->state.override = g_steal_pointer(&value);
                } else if (g_str_has_prefix(*i, RESTORE_QUOTA))
                        g_ptr_array_add(ret->quotas, vgpu_attribute_new(*i + strlen(RESTORE_QUOTA), value));
        }
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

bool vf_is_taken_over(const VfState *now, const VfState *was)
{
        return now->driver && !vfs_driver_is_vfio(now->driver) && g_strcmp0(now->driver, was->driver) != 0;
}

int vf_return(VgpuTarget *t, const VgpuVf *vf, const VfState *was, VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError cause = VGPUD_ERROR_INIT, again = VGPUD_ERROR_INIT;
        _cleanup_(vf_state_done) VfState now = { 0 };
        g_autoptr(GArray) held = vfs_held_groups_new();
        g_autofree char *bound = NULL;
        int r;

        /* vgpud must not unbind a driver that another program bound in the meantime. */
        r = vfs_read_driver(t->io, vf->path, &bound);
        if (r < 0)
                return explain_unreadable(vf->path, r, reterr);

        r = vf_bound_refuse_use(t, vf, was, held, &cause);
        if (r >= 0)
                r = vfs_bind_from(t->io, vf, vfs_driver_is_vfio(bound) ? bound : was->driver, was->driver,
                                  was->override, &cause);
        if (r >= 0)
                return r;

        /* The failed vfs_bind_from() may have left driver_override set, which would look like a reservation:
         * restore the earlier value. A VF that is still handed out stays an instance. */
        if (vf_state_read(t->io, vf->path, &now) < 0 ||
            (vf_state_is_handed_out(&now) && !vf_is_taken_over(&now, was)) ||
            vfs_bind(t->io, vf, now.driver, was->override, &again) >= 0) {
                vgpud_error_move(reterr, &cause);
                return r;
        }

        vgpud_error_require(&cause);
        vgpud_error_require(&again);
        r = vgpud_error_set_errnof(reterr, cause.code, -cause.errnum, "%s; %s", cause.message, again.message);
        explain_copy_hint(&cause.hint, reterr);

        return r;
}

int vf_explain_destroy(VgpuTarget *t, const VgpuVf *vf, int r, VgpudError *cause, VgpudError *reterr)
{
        _cleanup_(vf_state_done) VfState now = { 0 };

        if (r >= 0)
                return r;

        vgpud_error_require(cause);

        if (vf_state_read(t->io, vf->path, &now) < 0 || vf_state_is_handed_out(&now)) {
                vgpud_error_move(reterr, cause);
                return r;
        }

        r = vgpud_error_set_errnof(
                        reterr, VGPUD_ERROR_FAILED, -cause->errnum,
                        "instance destroyed, but VF %s was not restored (driver: %s, driver_override: %s): %s",
                        vf->name, now.driver ? now.driver : "none", now.override ? now.override : "none",
                        cause->message);
        explain_copy_hint(&cause->hint, reterr);
        vgpud_error_done(cause);

        return r;
}

int vf_explain_undo(const VgpuVf *vf, int r, const VgpudError *again, VgpudError *cause, VgpudError *reterr)
{
        if (r < 0)
                return explain_rollback(vf->name, r, again->message, cause, reterr);

        return vgpud_error_move(reterr, cause);
}
