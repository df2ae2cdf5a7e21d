/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The number of VFs, by the rules of Linux drivers/pci/iov.c. The code counts the links to the VFs, and never
 * reads sriov_numvfs: the read waits for the device lock (Linux 6.1), and the reading process cannot be killed
 * meanwhile. A program that disables VFs keeps the lock until the last VF is closed. */

#include "drivers-glue/vf/count.h"

#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "drivers-glue/explain.h"
#include "drivers-glue/vf-limit.h"
#include "drivers-glue/vf/bind.h"
#include "drivers-glue/vf/bound.h"

/* Used for back ends that pass no method: only sriov_numvfs is written. */
static const VfMethod plain_method = { 0 };

/* The VFs of a GPU that are about to be disabled or reset, to be checked for loads: see Load. */
typedef struct Loads {
        VgpuTarget *t;
        const VfMethod *method;
        const char *fate; /* what the change would do to all VFs, a verb: "remove" */
        GPtrArray *vfs;   /* owned: VgpuVf */
        VfBound bound;    /* owned */
} Loads;

DEFINE_DESTROY_NOTIFY(free_vf, vgpu_vf_free)

static void count_loads_done(Loads *l)
{
        g_clear_pointer(&l->vfs, g_ptr_array_unref);
        vf_bound_done(&l->bound);
}

static void count_change_done(VfChange *c)
{
        g_free(c->driver);
}

static int count_explain_read(VgpuTarget *t, const char *name, int r, VgpudError *reterr)
{
        g_autofree char *path = g_strdup_printf("%s/%s", t->facts->path, name);

        /* The attributes of a device answer ENODEV shortly before the kernel removes its folder. */
        if (r == -ENODEV || (vgpu_io_is_gone(r) && !vgpu_io_exists(t->io, t->facts->path)))
                return explain_gpu_gone(t->facts, r, reterr);

        return explain_unreadable(path, r, reterr);
}

static int count_read_number(VgpuTarget *t, const char *name, uint32_t *ret)
{
        return vgpu_io_read_u32f(t->io, ret, "%s/%s", t->facts->path, name);
}

/* Lists the VFs that are enabled now, and counts the links to VFs. */
static int count_list_vfs(VgpuTarget *t, GPtrArray **ret, uint32_t *ret_links)
{
        g_autoptr(GPtrArray) vfs = g_ptr_array_new_with_free_func(free_vf);
        g_auto(GStrv) names = NULL;
        int r = vgpu_io_list(t->io, t->facts->path, &names);

        if (r >= 0)
                r = vgpu_vfs_read(t->io, t->facts->path, names, vfs, ret_links);
        if (r >= 0)
                *ret = g_steal_pointer(&vfs);

        return r;
}

/* The number of VFs enabled now; 0 if the VFs cannot be listed. */
static uint32_t count_links(const VfChange *c)
{
        g_autoptr(GPtrArray) vfs = NULL;
        uint32_t links = 0;

        return count_list_vfs(c->t, &vfs, &links) < 0 ? 0 : links;
}

/* Read the state of the GPU and its VFs before the first write. */
static int count_read_state(VfChange *c, Loads *l, VgpudError *reterr)
{
        VgpuTarget *t = c->t;
        int r = vfs_read_driver(t->io, t->facts->path, &c->driver);

        if (r < 0)
                return count_explain_read(t, "driver", r, reterr);

        r = count_read_number(t, "sriov_totalvfs", &c->total);
        if (r == -ENOENT && vgpu_io_exists(t->io, t->facts->path))
                return vgpud_error_set_errnof(reterr, VGPUD_ERROR_UNSUPPORTED, r,
                                              "GPU %s cannot have VFs: it does not support SR-IOV",
                                              t->facts->name);
        if (r < 0)
                return count_explain_read(t, "sriov_totalvfs", r, reterr);

        r = count_list_vfs(t, &l->vfs, &c->before);

        return r < 0 ? count_explain_read(t, "virtfn*", r, reterr) : 0;
}

static void count_add_hint(const VfHint *hint, VgpudError *reterr)
{
        if (hint->id != VGPUD_HINT_NONE)
                vgpud_error_hintf(reterr, hint->id, "%s", hint->text);
}

static int count_explain_limit(const VfChange *c, VgpudError *reterr)
{
        g_autofree char *limit = c->driver ? vf_limit_find(c->t->io, c->driver, c->t->facts->name) : NULL;
        g_autofree char *reason = NULL;
        _cleanup_vgpud_hint_ VgpudHint hint = VGPUD_HINT_INIT;
        int r;

        if (limit)
                reason = vf_limit_explain(c->driver, c->t->facts->name, limit, "", &hint);
        else
                reason = g_strdup_printf("its driver %s allows none", c->driver ? c->driver : "(none)");

        r = vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED, "GPU %s cannot have VFs: %s", c->t->facts->name,
                             reason);
        if (limit)
                explain_copy_hint(&hint, reterr);
        else
                count_add_hint(&c->method->limit_hint, reterr);

        return r;
}

static int count_check_limit(const VfChange *c, VgpudError *reterr)
{
        const char *gpu = c->t->facts->name;
        int r;

        if (c->wanted <= c->total)
                return 0;

        if (c->total == 0)
                return count_explain_limit(c, reterr);

        r = vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                             "GPU %s can have %" PRIu32 " VFs at most, not %" PRIu32, gpu, c->total, c->wanted);
        vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER, "request %" PRIu32 " VFs at most", c->total);

        return r;
}

/* A load: the reason why a VF is not idle. The VF carries an instance, is handed out or reserved, is being
 * unbound, or was bound by another program. A driver of the host is no load. count_check_load() checks
 * separately whether a program has the VF open. */
typedef struct Load {
        char *words;    /* owned; a predicate: "is handed out (…)"; NULL: the VF is idle */
        VgpudHint hint; /* owned */
        char *device;   /* owned; the device that a program would hold open */
} Load;

static void count_load_done(Load *l)
{
        g_free(l->words);
        vgpud_hint_done(&l->hint);
        g_free(l->device);
}

static bool count_find_mdev(const VgpuVf *vf, char **names, Load *ret)
{
        for (char **n = names; *n; n++) {
                if (!uuid_is_valid(*n))
                        continue;

                ret->words = g_strdup_printf("carries instance %s", *n);
                vgpud_hint_setf(&ret->hint, VGPUD_HINT_DESTROY_INSTANCE,
                                "destroy the instance: vgpuctl destroy %s", *n);
                g_free(ret->device);
                ret->device = g_strdup_printf("%s/%s", vf->path, *n);
                return true;
        }

        return false;
}

/* A VF that another program bound counts as idle if vgpud may hand it out. count_check_load() checks whether a
 * program has it open. */
static void count_explain_bound(VfBound *bound, const VgpuVf *vf, const VfState *s, Load *ret)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;

        if (vf_bound_refuse(bound, vf, s, &e) >= 0)
                return;

        ret->words = g_strdup_printf("is not free (%s)", e.message);
        vgpud_hint_copy(&ret->hint, &e.hint);
}

static int count_find_binding(Loads *l, const VgpuVf *vf, Load *ret)
{
        _cleanup_(vf_state_done) VfState s = { 0 };
        int r = vf_state_read(l->t->io, vf->path, &s);

        if (r < 0)
                return r;

        if (s.leaving) {
                ret->words = g_strdup("is being unbound from its driver");
                vgpud_hint_setf(&ret->hint, VGPUD_HINT_TRY_AGAIN,
                                "try again when no program uses the VF any more");
        } else if (vf_bound_is_foreign(l->t, vf, &s))
                count_explain_bound(&l->bound, vf, &s, ret);
        else if (vfs_driver_is_vfio(s.driver))
                ret->words = g_strdup_printf("is handed out (bound to %s)", s.driver);
        else if (vfs_driver_is_vfio(s.override))
                ret->words = g_strdup_printf("is being handed out (its driver_override is %s)", s.override);
        else if (vf_state_is_reserved(&s)) {
                ret->words = vfs_explain_reserved(s.driver, s.override);
                vfs_hint_reserved(vf, s.driver, s.override, &ret->hint);
        }

        return 0;
}

static int count_find_load(Loads *l, const VgpuVf *vf, Load *ret)
{
        const VfMethod *method = l->method;
        g_auto(GStrv) names = NULL;
        VgpuIo *io = l->t->io;
        int r = vgpu_io_list(io, vf->path, &names);

        if (r < 0)
                return r;

        ret->device = g_strdup(vf->path);
        if (count_find_mdev(vf, names, ret))
                return 0;

        r = method->find_instance ? method->find_instance(io, vf, &ret->words) : 0;
        if (r >= 0 && !ret->words)
                r = count_find_binding(l, vf, ret);
        if (r >= 0 && ret->words && ret->hint.id == VGPUD_HINT_NONE)
                vgpud_hint_setf(&ret->hint, VGPUD_HINT_DESTROY_INSTANCE, "destroy the instance on VF %s",
                                vf->name);

        return r;
}

/* Check one VF. Error IN_USE: a program has the VF open, or this cannot be checked. 1: the VF is not idle for
 * another reason, which *reterr explains. 0: the VF is idle. */
static int count_check_load(Loads *l, const VgpuVf *vf, GArray *held, VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        _cleanup_(count_load_done) Load load = { 0 };
        int r = count_find_load(l, vf, &load);

        if (vgpu_io_is_gone(r))
                return 0;

        if (r < 0)
                return explain_use_unknown(r, reterr, "/sys/%s cannot be read", vf->path);

        r = vfs_keep_out(l->t->io, load.device, held, &e);
        if (r < 0) {
                r = vgpud_error_set_errnof(reterr, VGPUD_ERROR_IN_USE, -e.errnum,
                                           "VF %s of GPU %s %s%sis in use, but the change would %s all VFs: %s",
                                           vf->name, l->t->facts->name, load.words ? load.words : "",
                                           load.words ? " and " : "", l->fate, e.message);
                explain_copy_hint(&e.hint, reterr);

                return r;
        }

        if (!load.words)
                return 0;

        (void)vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE,
                               "VF %s of GPU %s %s, but the change would %s all VFs", vf->name,
                               l->t->facts->name, load.words, l->fate);
        explain_copy_hint(&load.hint, reterr);

        return 1;
}

/* Refuse if a VF is not idle. If a program has a VF open, report this VF first. */
static int count_refuse_loads(Loads *l, GArray *held, VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError first = VGPUD_ERROR_INIT;
        guint n = 0;
        int r;

        for (guint i = 0; i < l->vfs->len; i++) {
                _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;

                r = count_check_load(l, l->vfs->pdata[i], held, &e);

                if (r < 0)
                        return vgpud_error_move(reterr, &e);
                if (r > 0 && n++ == 0)
                        vgpud_error_move(&first, &e);
        }

        if (n == 0)
                return 0;
        if (n == 1)
                return vgpud_error_move(reterr, &first);

        r = vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE, "%s (%u more VFs are not idle either)", first.message,
                             n - 1);
        explain_copy_hint(&first.hint, reterr);

        return r;
}

int vfs_refuse_loads(VgpuTarget *t, const VfMethod *method, const char *fate, GArray *held, VgpudError *reterr)
{
        _cleanup_(count_loads_done) Loads l = {
                .t = t, .method = method ? method : &plain_method, .fate = fate, .bound.t = t
        };
        uint32_t links;
        int r;

        g_assert(held);

        r = count_list_vfs(t, &l.vfs, &links);
        if (r < 0)
                return count_explain_read(t, "virtfn*", r, reterr);

        return count_refuse_loads(&l, held, reterr);
}

/* ---- errors of the write to sriov_numvfs ---- */

#define COUNT_LOG_HINT VGPUD_HINT_SEE_KERNEL_LOG, "look for messages of the driver in the kernel log"

/* Errnos of the PCI core and of pci_enable_sriov() (drivers/pci/iov.c). */
static const Refusal count_refusals[] = {
        { ERANGE, VGPUD_ERROR_INVALID, "the driver has lowered the limit in the meantime" },
        { ENOMEM, VGPUD_ERROR_NO_CAPACITY, "the firmware has reserved no address space or bus numbers for VFs",
          VGPUD_HINT_ENABLE_SRIOV,
          "enable SR-IOV, \"Above 4G decoding\" and ARI in the firmware setup, or boot with pci=realloc (and pci=assign-busses)" },
        { ENOSPC, VGPUD_ERROR_NO_CAPACITY, "the GPU has too few resources left", VGPUD_HINT_CHOOSE_OTHER,
          "request fewer VFs, lower the quotas that were set by hand, or end the host programs that use the memory of the GPU" },
        { EUSERS, VGPUD_ERROR_IN_USE, "a program has exclusive use of the GPU", VGPUD_HINT_STOP_USER,
          "end the program that uses the GPU" },
        { EPERM, VGPUD_ERROR_FAILED, "a guest of Xen that uses a VF locks the number of VFs" },
        { EIO, VGPUD_ERROR_FAILED,
          "the GPU or its firmware does not respond, or its SR-IOV capability is broken", COUNT_LOG_HINT },
        { ENODEV, VGPUD_ERROR_UNSUPPORTED, "the driver does not support VFs on this GPU" },
        { ENOSYS, VGPUD_ERROR_UNSUPPORTED,
          "SR-IOV of the GPU depends on another function of the device, which is missing" },
        { EINVAL, VGPUD_ERROR_FAILED,
          "the driver does not accept this number, or has enabled VFs in another way", COUNT_LOG_HINT },
        { 0 },
};

static int count_explain_no_sriov(const VfChange *c, int r, VgpudError *reterr)
{
        int q;

        if (!c->driver) {
                q = vgpud_error_set_errnof(reterr, VGPUD_ERROR_UNSUPPORTED, r,
                                           "VFs of GPU %s cannot be enabled or disabled: no driver is bound",
                                           c->t->facts->name);
                vgpud_error_hintf(reterr, VGPUD_HINT_LOAD_DRIVER,
                                  "bind the GPU to a driver that supports SR-IOV");

                return q;
        }

        q = vgpud_error_set_errnof(reterr, VGPUD_ERROR_UNSUPPORTED, r,
                                   "driver %s of GPU %s cannot enable or disable VFs", c->driver,
                                   c->t->facts->name);
        if (c->method->unable_hint.id == VGPUD_HINT_NONE && vfs_driver_is_vfio(c->driver))
                vgpud_error_hintf(reterr, VGPUD_HINT_CONFIGURE_DRIVER,
                                  "load vfio-pci with its parameter enable_sriov=1");
        else
                count_add_hint(&c->method->unable_hint, reterr);

        return q;
}

static int count_explain_busy(const VfChange *c, uint32_t count, int r, VgpudError *reterr)
{
        const char *gpu = c->t->facts->name;
        uint32_t now = count_links(c);

        g_assert(r < 0);

        if (now > 0 && count > 0) {
                r = vgpud_error_set_errnof(reterr, VGPUD_ERROR_IN_USE, r,
                                           "another program has enabled %" PRIu32
                                           " VFs of GPU %s in the meantime",
                                           now, gpu);
                vgpud_error_hintf(reterr, VGPUD_HINT_STOP_OTHER_TOOL,
                                  "stop the other program that enables VFs");

                return r;
        }

        r = vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r, "driver %s of GPU %s is busy: %s",
                                   c->driver ? c->driver : "(none)", gpu, g_strerror(-r));
        vgpud_error_hintf(reterr, VGPUD_HINT_TRY_AGAIN,
                          "the driver may be resetting the GPU; try again in a moment");

        return r;
}

static int count_explain_write(const VfChange *c, uint32_t count, int r, VgpudError *reterr)
{
        const Refusal *table = refusal_find(c->method->refusals, r) ? c->method->refusals : count_refusals;
        const char *gpu = c->t->facts->name, *driver = c->driver ? c->driver : "(none)";
        const char *after = c->before > 0 && count > 0 ? " (the previous VFs are disabled already)" : "";

        if (!vgpu_io_exists(c->t->io, c->t->facts->path))
                return explain_gpu_gone(c->t->facts, r, reterr);

        /* The GPU still has the file sriov_numvfs, so ENOENT is the result of write(2), not of open(2). */
        if (r == -ENOENT)
                return count_explain_no_sriov(c, r, reterr);
        if (r == -EBUSY)
                return count_explain_busy(c, count, r, reterr);

        if (count == 0)
                return explain_refusal(table, r, reterr, "driver %s cannot disable the VFs of GPU %s", driver,
                                       gpu);

        return explain_refusal(table, r, reterr, "driver %s cannot enable %" PRIu32 " VFs of GPU %s%s", driver,
                               count, gpu, after);
}

/* Fails unless exactly `count` VFs are enabled. */
static int count_verify(const VfChange *c, uint32_t count, VgpudError *reterr)
{
        g_autoptr(GPtrArray) vfs = NULL;
        uint32_t now = 0;
        int r = count_list_vfs(c->t, &vfs, &now);

        if (r < 0)
                return count_explain_read(c->t, "virtfn*", r, reterr);

        if (now == count && vfs->len == count)
                return 0;

        /* While another program changes the number too, links may lead to VFs that do not exist: name the
         * number of existing VFs. */
        if (now == count)
                now = vfs->len;
        if (count == 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_FAILED,
                                        "the kernel reported success, but GPU %s still has %" PRIu32 " VFs",
                                        c->t->facts->name, now);

        r = vgpud_error_setf(reterr, VGPUD_ERROR_FAILED,
                             "driver %s of GPU %s created %" PRIu32 " VFs, not the %" PRIu32 " requested",
                             c->driver ? c->driver : "(none)", c->t->facts->name, now, count);
        vgpud_error_hintf(reterr, COUNT_LOG_HINT);

        return r;
}

static int count_write(const VfChange *c, uint32_t count, VgpudError *reterr)
{
        g_autofree char *path = g_strconcat(c->t->facts->path, "/sriov_numvfs", NULL);
        g_autofree char *value = g_strdup_printf("%" PRIu32, count);
        int r = vgpu_io_write_guarded(c->t->io, path, value);

        /* vgpud-write died before or after its write(2), never inside: the number of VFs shows the result. */
        if (r == -EPROTO && vgpu_io_exists(c->t->io, c->t->facts->path) && count_links(c) == count)
                r = 0;

        return r < 0 ? count_explain_write(c, count, r, reterr) : 0;
}

/* Keep the drivers of the host from the new VFs, which are meant for VMs; a driver can also take seconds to
 * probe each VF. *ret is the setting to restore, NULL if nothing was changed. */
static int count_stop_autoprobe(const VfChange *c, const char *path, char **ret, VgpudError *reterr)
{
        g_autofree char *before = NULL;
        int r = vgpu_io_read(c->t->io, path, &before);

        /* Kernels before 4.12 have no such file. */
        if (r == -ENOENT || (r >= 0 && strcmp(before, "0") == 0))
                return 0;
        if (r < 0)
                return count_explain_read(c->t, "sriov_drivers_autoprobe", r, reterr);

        r = vgpu_io_write(c->t->io, path, "0");
        if (vgpu_io_is_gone(r))
                return explain_gpu_gone(c->t->facts, r, reterr);

        if (r < 0)
                return vgpud_error_set_errnof(
                                reterr, VGPUD_ERROR_FAILED, r,
                                "drivers of the host cannot be kept from the new VFs: 0 cannot be written to /sys/%s: %s",
                                path, g_strerror(-r));

        *ret = g_steal_pointer(&before);

        return 0;
}

/* The kernel reads sriov_drivers_autoprobe only when it offers a new VF to drivers, so restore the setting once
 * the VFs exist. */
static int count_enable(const VfChange *c, VgpudError *reterr)
{
        g_autofree char *path = g_strconcat(c->t->facts->path, "/sriov_drivers_autoprobe", NULL),
                        *before = NULL;
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        int r, q;

        r = count_stop_autoprobe(c, path, &before, reterr);
        if (r < 0)
                return r;

        r = count_write(c, c->wanted, &e);
        q = before ? vgpu_io_write(c->t->io, path, before) : 0;
        if (q < 0 && vgpu_io_exists(c->t->io, c->t->facts->path)) {
                q = vgpud_error_set_errnof(
                                reterr, VGPUD_ERROR_INCONSISTENT, r < 0 && e.errnum ? -e.errnum : q,
                                "%s%ssriov_drivers_autoprobe of GPU %s cannot be set back to \"%s\": %s",
                                r < 0 ? e.message : "", r < 0 ? "; " : "", c->t->facts->name,
                                TEXT_QUOTE(before), g_strerror(-q));
                vgpud_error_hintf(reterr, VGPUD_HINT_REMOVE_BY_HAND, "restore the setting: echo %s >/sys/%s",
                                  before, path);

                return q;
        }

        if (r < 0)
                return vgpud_error_move(reterr, &e);

        return 0;
}

static int count_set_by_kernel(const VfChange *c, uint32_t count, VgpudError *reterr)
{
        int r = count == 0 ? count_write(c, 0, reterr) : count_enable(c, reterr);

        return r < 0 ? r : count_verify(c, count, reterr);
}

/* The number of VFs decides about success, not the result of the method. */
static int count_set_by_method(const VfChange *c, uint32_t count, VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError set = VGPUD_ERROR_INIT, verify = VGPUD_ERROR_INIT;
        int r = c->method->set(c->t, count, &set), q = count_verify(c, count, &verify);

        if (q >= 0)
                return 0;

        if (r >= 0 && count > 0 && c->method->explain_none && count_links(c) == 0 &&
            vgpu_io_exists(c->t->io, c->t->facts->path))
                return c->method->explain_none(c, reterr);

        vgpud_error_move(reterr, r < 0 ? &set : &verify);

        return r < 0 ? r : q;
}

static int count_set(const VfChange *c, uint32_t count, VgpudError *reterr)
{
        return c->method->set ? count_set_by_method(c, count, reterr) : count_set_by_kernel(c, count, reterr);
}

static void count_restore_settings(const VfChange *c)
{
        if (c->method->after_disable)
                c->method->after_disable(c->t);
}

/* Disable all VFs before another number is enabled: the kernel accepts no direct change. */
static int count_change(const VfChange *c, Loads *l, VgpudError *reterr)
{
        g_autoptr(GArray) held = vfs_held_groups_new();
        int r = count_refuse_loads(l, held, reterr);

        if (r < 0)
                return r;

        if (c->before > 0 || l->vfs->len > 0) {
                r = count_set(c, 0, reterr);
                if (r < 0)
                        return r;
        }

        g_array_set_size(held, 0);
        count_restore_settings(c);

        if (c->wanted == 0)
                return 0;

        r = c->method->before_enable ? c->method->before_enable(c->t, c->wanted, reterr) : 0;

        return r < 0 ? r : count_set(c, c->wanted, reterr);
}

int vfs_set(VgpuTarget *t, const VfMethod *method, uint32_t count, uint32_t *ret, VgpudError *reterr)
{
        const VfMethod *m = method ? method : &plain_method;
        _cleanup_(count_change_done) VfChange c = { .t = t, .method = m, .wanted = count };
        _cleanup_(count_loads_done) Loads l = { .t = t, .method = m, .fate = "remove", .bound.t = t };
        int r = count_read_state(&c, &l, reterr);

        if (r < 0)
                return r;

        if ((m->check_driver && (r = m->check_driver(&c, reterr)) < 0) ||
            (r = count_check_limit(&c, reterr)) < 0)
                return r;

        if (c.before == count && l.vfs->len == count) {
                if (count == 0)
                        count_restore_settings(&c);
        } else if ((m->check && (r = m->check(&c, reterr)) < 0) || (r = count_change(&c, &l, reterr)) < 0)
                return r;

        g_assert(count <= c.total);

        *ret = count;

        return 0;
}
