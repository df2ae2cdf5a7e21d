/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The number of VFs, by the rules of Linux drivers/pci/iov.c. The links to the VFs say how many there are.
 * sriov_numvfs is never read: a reader takes the device lock (Linux 6.1), which another program that disables
 * VFs holds until the last VF is closed, and cannot be killed while it waits. */

#include "drivers-glue/vf/count.h"

#include <inttypes.h>
#include <string.h>

#include "base/parse-util.h"
#include "drivers-glue/explain.h"
#include "drivers-glue/vf/bind.h"

/* The method of a back end that passes none. */
static const VfMethod plain_method = { 0 };

/* The VFs of a GPU, about to be disabled or reset. */
typedef struct Loads {
        VgpuTarget *t;
        const VfMethod *method;
        const char *fate; /* what would become of all VFs: "go" */
        GPtrArray *vfs;   /* owned: VgpuVf */
} Loads;

DEFINE_DESTROY_NOTIFY(free_vf, vgpu_vf_free)

static void loads_done(Loads *l)
{
        g_clear_pointer(&l->vfs, g_ptr_array_unref);
}

static void change_done(VfChange *c)
{
        g_free(c->driver);
}

static int cannot_read(VgpuTarget *t, const char *name, int r, VgpudError *reterr)
{
        g_autofree char *path = g_strdup_printf("%s/%s", t->facts->path, name);

        /* The attributes of a device answer ENODEV some moments before its folder goes. */
        if (r == -ENODEV || (vgpu_io_is_gone(r) && !vgpu_io_exists(t->io, t->facts->path)))
                return explain_gpu_gone(t->facts, r, reterr);

        return explain_unreadable(path, r, reterr);
}

static int read_number(VgpuTarget *t, const char *name, uint32_t *ret)
{
        g_autofree char *text = NULL;
        int r = vgpu_io_readf(t->io, &text, "%s/%s", t->facts->path, name);

        return r < 0 ? r : parse_u32(text, 10, ret);
}

/* The VFs enabled now, and the number of links to them. */
static int list_vfs(VgpuTarget *t, GPtrArray **ret, uint32_t *ret_links)
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

/* Return 0 also if the VFs cannot be listed. */
static uint32_t count_vfs(const VfChange *c)
{
        g_autoptr(GPtrArray) vfs = NULL;
        uint32_t links = 0;

        return list_vfs(c->t, &vfs, &links) < 0 ? 0 : links;
}

/* Read the state of the GPU and its VFs before anything is written. */
static int read_state(VfChange *c, Loads *l, VgpudError *reterr)
{
        VgpuTarget *t = c->t;
        int r = vfs_read_driver(t->io, t->facts->path, &c->driver);

        if (r < 0)
                return cannot_read(t, "driver", r, reterr);

        r = read_number(t, "sriov_totalvfs", &c->total);
        if (r == -ENOENT && vgpu_io_exists(t->io, t->facts->path))
                return vgpud_error_set_errnof(reterr, VGPUD_ERROR_UNSUPPORTED, r,
                                              "GPU %s has no SR-IOV, so it cannot have virtual functions",
                                              t->facts->name);
        if (r < 0)
                return cannot_read(t, "sriov_totalvfs", r, reterr);

        r = list_vfs(t, &l->vfs, &c->before);
        return r < 0 ? cannot_read(t, "virtfn*", r, reterr) : 0;
}

static int check_count(const VfChange *c, VgpudError *reterr)
{
        const char *hint = c->method->limit_hint;

        if (c->wanted > c->total && c->total == 0)
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_UNSUPPORTED,
                                "GPU %s can have no virtual functions as it is now: its driver %s allows none%s%s%s",
                                c->t->facts->name, c->driver ? c->driver : "(none)", hint ? " (" : "",
                                hint ? hint : "", hint ? ")" : "");
        if (c->wanted > c->total)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "GPU %s can have %" PRIu32 " virtual functions at most, not %" PRIu32,
                                        c->t->facts->name, c->total, c->wanted);
        return 0;
}

/* Why a VF is not idle, in words, and how to change that; NULL for an idle one. A driver of the host alone is
 * no load, unless a program uses it. *ret_device is the device that a program would hold open. */
static int find_load(VgpuIo *io, const VfMethod *method, const VgpuVf *vf, char **ret_words, char **ret_advice,
                     char **ret_device)
{
        g_autofree char *driver = NULL, *override = NULL;
        g_auto(GStrv) names = NULL;
        int r;

        *ret_words = NULL;
        *ret_advice = NULL;
        *ret_device = g_strdup(vf->path);
        r = vgpu_io_list(io, vf->path, &names);
        if (r < 0)
                return r;
        for (char **n = names; *n; n++) {
                if (!uuid_is_valid(*n))
                        continue;
                *ret_words = g_strdup_printf("carries instance %s", *n);
                g_free(*ret_device);
                *ret_device = g_strdup_printf("%s/%s", vf->path, *n);
                return 0;
        }
        r = method->find_instance ? method->find_instance(io, vf, ret_words) : 0;
        if (r < 0 || *ret_words)
                return r;

        r = vfs_read_driver(io, vf->path, &driver);
        if (r < 0)
                return r;
        if (!driver && vfs_is_leaving(io, vf->path)) {
                *ret_words = g_strdup("is being taken back");
                return 0;
        }
        r = vfs_read_override(io, vf->path, &override);
        if (r < 0)
                return r;
        if (vfs_driver_is_vfio(driver))
                *ret_words = g_strdup_printf("is handed out (it is bound to %s)", driver);
        else if (vfs_driver_is_vfio(override))
                *ret_words = g_strdup_printf("is being handed out (its driver_override is %s)", override);
        else if (override || vfs_driver_is_stub(driver)) {
                *ret_words = vfs_explain_reserved(driver, override);
                *ret_advice = vfs_advise_reserved(vf, driver, override);
        }
        return 0;
}

/* IN_USE if a program has the VF open. Else 1 with an explanation in *reterr if the VF is not idle. */
static int check_load(const Loads *l, const VgpuVf *vf, GArray *kept, VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        g_autofree char *words = NULL, *advice = NULL, *device = NULL;
        int r = find_load(l->t->io, l->method, vf, &words, &advice, &device);

        if (vgpu_io_is_gone(r))
                return 0;
        if (r < 0)
                return explain_use_unknown(r, reterr, "/sys/%s cannot be read", vf->path);
        r = vfs_keep_out(l->t->io, device, kept, &e);
        if (r < 0)
                return vgpud_error_set_errnof(
                                reterr, VGPUD_ERROR_IN_USE, -e.errnum,
                                "virtual function %s of GPU %s %s%sis in use, and all of them would %s: %s",
                                vf->name, l->t->facts->name, words ? words : "", words ? " and " : "", l->fate,
                                e.message);
        if (!words)
                return 0;
        (void)vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE,
                               "virtual function %s of GPU %s %s, and all of them would %s; %s", vf->name,
                               l->t->facts->name, words, l->fate,
                               advice ? advice : "destroy the instance first");
        return 1;
}

/* A VF that a program has open is more urgent, so it is reported before all others. */
static int refuse_loads(const Loads *l, GArray *kept, VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError first = VGPUD_ERROR_INIT;
        guint n = 0;

        for (guint i = 0; i < l->vfs->len; i++) {
                _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
                int r = check_load(l, l->vfs->pdata[i], kept, &e);

                if (r < 0)
                        return vgpud_error_move(reterr, &e);
                if (r > 0 && n++ == 0)
                        vgpud_error_move(&first, &e);
        }
        if (n > 1)
                return vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE, "%s (%u more %s in the way)", first.message,
                                        n - 1, n > 2 ? "are" : "is");
        if (n == 0)
                return 0;

        return vgpud_error_move(reterr, &first);
}

int vfs_refuse_loads(VgpuTarget *t, const VfMethod *method, const char *fate, GArray *kept, VgpudError *reterr)
{
        _cleanup_(loads_done) Loads l = { .t = t, .method = method ? method : &plain_method, .fate = fate };
        uint32_t links;
        int r = list_vfs(t, &l.vfs, &links);

        if (r < 0)
                return cannot_read(t, "virtfn*", r, reterr);

        return refuse_loads(&l, kept, reterr);
}

/* ---- errors of the write to sriov_numvfs ---- */

/* Errnos of the PCI core and of pci_enable_sriov() (drivers/pci/iov.c). */
static const Refusal pci_refusals[] = {
        { ERANGE, VGPUD_ERROR_INVALID, "the driver has lowered the limit in the meantime" },
        { ENOMEM, VGPUD_ERROR_NO_CAPACITY,
          "the firmware has reserved no address space or bus numbers for them; switch on SR-IOV, \"Above 4G decoding\" and ARI in the firmware setup, or boot with pci=realloc (and pci=assign-busses)" },
        { ENOSPC, VGPUD_ERROR_NO_CAPACITY,
          "the GPU has not enough left for so many; ask for fewer, lower the quotas that were set by hand, or end the programs of the host that use the GPU's memory" },
        { EUSERS, VGPUD_ERROR_IN_USE, "a program has the GPU for itself; end it first" },
        { EPERM, VGPUD_ERROR_FAILED, "a guest that has one of them (Xen) locks the number" },
        { EIO, VGPUD_ERROR_FAILED,
          "the GPU or its firmware does not answer as it should, or its SR-IOV capability is broken; the kernel's log has more" },
        { ENODEV, VGPUD_ERROR_UNSUPPORTED, "the driver does not run it as a GPU with virtual functions" },
        { ENOSYS, VGPUD_ERROR_UNSUPPORTED,
          "its SR-IOV depends on another function of the device that is not there" },
        { EINVAL, VGPUD_ERROR_FAILED,
          "the driver takes no such number, or has enabled them in another way; the kernel's log has more" },
        { 0 },
};

static int explain_no_sriov(const VfChange *c, int r, VgpudError *reterr)
{
        const char *advice = c->method->unable_hint;

        if (!c->driver)
                advice = "bind the driver that divides it";
        else if (!advice && vfs_driver_is_vfio(c->driver))
                advice = "vfio-pci can only when it is loaded with enable_sriov=1";

        return vgpud_error_set_errnof(reterr, VGPUD_ERROR_UNSUPPORTED, r,
                                      "%s %s of GPU %s cannot switch virtual functions on and off%s%s",
                                      c->driver ? "driver" : "no driver is bound, and without one the kernel",
                                      c->driver ? c->driver : "", c->t->facts->name, advice ? "; " : "",
                                      advice ? advice : "");
}

static int explain_busy(const VfChange *c, uint32_t count, int r, VgpudError *reterr)
{
        uint32_t now = count_vfs(c);

        if (now > 0 && count > 0)
                return vgpud_error_set_errnof(reterr, VGPUD_ERROR_IN_USE, r,
                                              "somebody else has enabled %" PRIu32
                                              " virtual functions of GPU %s in "
                                              "the meantime",
                                              now, c->t->facts->name);
        return vgpud_error_set_errnof(
                        reterr, VGPUD_ERROR_FAILED, r,
                        "driver %s of GPU %s is busy, resetting it perhaps; try again in a moment", c->driver,
                        c->t->facts->name);
}

static int explain_write(const VfChange *c, uint32_t count, int r, VgpudError *reterr)
{
        const Refusal *table = refusal_find(c->method->refusals, r) ? c->method->refusals : pci_refusals;
        const char *gpu = c->t->facts->name, *driver = c->driver ? c->driver : "(none)";
        const char *after = c->before > 0 && count > 0 ? " (the earlier ones are disabled already)" : "";

        if (!vgpu_io_exists(c->t->io, c->t->facts->path))
                return explain_gpu_gone(c->t->facts, r, reterr);
        if (r == -ENOENT) /* of write(2): the file was there a moment ago */
                return explain_no_sriov(c, r, reterr);
        if (r == -EBUSY)
                return explain_busy(c, count, r, reterr);
        if (count == 0)
                return explain_refusal(table, r, reterr,
                                       "driver %s cannot disable the virtual functions of GPU %s", driver, gpu);

        return explain_refusal(table, r, reterr,
                               "driver %s cannot enable %" PRIu32 " virtual functions of GPU %s%s", driver,
                               count, gpu, after);
}

/* Fails unless exactly `count` VFs are enabled. */
static int verify_count(const VfChange *c, uint32_t count, VgpudError *reterr)
{
        g_autoptr(GPtrArray) vfs = NULL;
        uint32_t now = 0;
        int r = list_vfs(c->t, &vfs, &now);

        if (r < 0)
                return cannot_read(c->t, "virtfn*", r, reterr);
        if (now == count && vfs->len == count)
                return 0;
        if (count == 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_FAILED,
                                        "the kernel reported success, but GPU %s still has %" PRIu32
                                        " virtual functions",
                                        c->t->facts->name, now);
        return vgpud_error_setf(reterr, VGPUD_ERROR_FAILED,
                                "GPU %s has %" PRIu32 " virtual functions now, not the %" PRIu32
                                " asked for: its driver %s gave no more; the kernel's log may have the reason",
                                c->t->facts->name, now, count, c->driver ? c->driver : "(none)");
}

static int write_count(const VfChange *c, uint32_t count, VgpudError *reterr)
{
        g_autofree char *path = g_strconcat(c->t->facts->path, "/sriov_numvfs", NULL);
        g_autofree char *value = g_strdup_printf("%" PRIu32, count);
        int r = vgpu_io_write_guarded(c->t->io, path, value);

        /* A writer that died did so after its write(2), or before it: a process cannot end inside. */
        if (r == -EPROTO && vgpu_io_exists(c->t->io, c->t->facts->path) && count_vfs(c) == count)
                r = 0;
        return r < 0 ? explain_write(c, count, r, reterr) : 0;
}

/* Keep the drivers of the host from the new VFs: the VFs are for virtual machines, and a driver can take
 * seconds to probe each. The kernel reads the setting when it probes a VF, so it need not stay. */
static int enable(const VfChange *c, VgpudError *reterr)
{
        g_autofree char *path = g_strconcat(c->t->facts->path, "/sriov_drivers_autoprobe", NULL),
                        *before = NULL;
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        bool changed = false;
        int r, q = 0;

        r = vgpu_io_read(c->t->io, path, &before);
        if (r < 0 && r != -ENOENT) /* kernels below 4.12 have none */
                return cannot_read(c->t, "sriov_drivers_autoprobe", r, reterr);
        if (r >= 0 && strcmp(before, "0") != 0) {
                r = vgpu_io_write(c->t->io, path, "0");
                if (vgpu_io_is_gone(r))
                        return explain_gpu_gone(c->t->facts, r, reterr);
                if (r < 0)
                        return vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r,
                                                      "the host's drivers cannot be kept from the new virtual "
                                                      "functions: \"0\" to /sys/%s: %s",
                                                      path, g_strerror(-r));
                changed = true;
        }
        r = write_count(c, c->wanted, &e);
        if (changed)
                q = vgpu_io_write(c->t->io, path, before);
        if (q < 0 && vgpu_io_exists(c->t->io, c->t->facts->path))
                return vgpud_error_set_errnof(
                                reterr, VGPUD_ERROR_INCONSISTENT, r < 0 && e.errnum ? -e.errnum : q,
                                "%s%ssriov_drivers_autoprobe of GPU %s could not be set to \"%s\" again: "
                                "%s",
                                r < 0 ? e.message : "", r < 0 ? "; and " : "", c->t->facts->name, before,
                                g_strerror(-q));
        if (r < 0)
                vgpud_error_move(reterr, &e);
        return r;
}

static int set_by_kernel(const VfChange *c, uint32_t count, VgpudError *reterr)
{
        int r = count == 0 ? write_count(c, 0, reterr) : enable(c, reterr);

        return r < 0 ? r : verify_count(c, count, reterr);
}

/* The result of a method says little: the number of VFs counts. */
static int set_by_method(const VfChange *c, uint32_t count, VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError set = VGPUD_ERROR_INIT, verify = VGPUD_ERROR_INIT;
        int r = c->method->set(c->t, count, &set), q = verify_count(c, count, &verify);

        if (q >= 0)
                return 0;
        if (r >= 0 && count > 0 && c->method->explain_none && count_vfs(c) == 0 &&
            vgpu_io_exists(c->t->io, c->t->facts->path))
                return c->method->explain_none(c, reterr);

        vgpud_error_move(reterr, r < 0 ? &set : &verify);
        return r < 0 ? r : q;
}

static int set_count(const VfChange *c, uint32_t count, VgpudError *reterr)
{
        return c->method->set ? set_by_method(c, count, reterr) : set_by_kernel(c, count, reterr);
}

static void restore_settings(const VfChange *c)
{
        if (c->method->after_disable)
                c->method->after_disable(c->t);
}

/* From c->before to c->wanted, through 0: the kernel accepts no other way. */
static int change_count(const VfChange *c, const Loads *l, VgpudError *reterr)
{
        g_autoptr(GArray) kept = vfs_kept_new();
        int r = refuse_loads(l, kept, reterr);

        if (r < 0)
                return r;
        if (c->before > 0 || l->vfs->len > 0) {
                r = set_count(c, 0, reterr);
                if (r < 0)
                        return r;
        }

        g_array_set_size(kept, 0);
        restore_settings(c);
        if (c->wanted == 0)
                return 0;

        r = c->method->before_enable ? c->method->before_enable(c->t, c->wanted, reterr) : 0;
        return r < 0 ? r : set_count(c, c->wanted, reterr);
}

int vfs_set(VgpuTarget *t, const VfMethod *method, uint32_t count, uint32_t *ret, VgpudError *reterr)
{
        const VfMethod *m = method ? method : &plain_method;
        _cleanup_(change_done) VfChange c = { .t = t, .method = m, .wanted = count };
        _cleanup_(loads_done) Loads l = { .t = t, .method = m, .fate = "go" };
        int r = read_state(&c, &l, reterr);

        if (r < 0)
                return r;
        if ((m->check_driver && (r = m->check_driver(&c, reterr)) < 0) || (r = check_count(&c, reterr)) < 0)
                return r;

        if (c.before == count && l.vfs->len == count) {
                if (count == 0)
                        restore_settings(&c);
        } else if ((m->check && (r = m->check(&c, reterr)) < 0) || (r = change_count(&c, &l, reterr)) < 0)
                return r;

        *ret = count;
        return 0;
}
