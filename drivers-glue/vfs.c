/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Virtual functions: how many there are. The rules are those of Linux drivers/pci/iov.c; what was written
 * counts for nothing until it was looked up, by the links to the functions: sriov_numvfs is written only. Its
 * reader takes the lock of the device (Linux 6.1), cannot be killed while it waits for that, and somebody else
 * who disables functions keeps it until the last one is let go. */

#include "drivers-glue/vfs.h"

#include <inttypes.h>
#include <string.h>

#include "base/parse-util.h"
#include "drivers-glue/nvidia-sriov.h"
#include "drivers-glue/pci-ids.h"
#include "drivers-glue/sriov-i915.h"
#include "drivers-glue/vfs-bind.h"

typedef struct Change {
        VgpuIo *io;
        VgpuTarget *t;
        const GpuFacts *facts;
        char *driver; /* owned; of the GPU, now */
        uint32_t total, before, wanted;
        const char *fate; /* what would become of all functions: "go" */
        GPtrArray *vfs;   /* owned: VgpuVf, now */
} Change;

DEFINE_DESTROY_NOTIFY(free_vf, vgpu_vf_free)

static void change_done(Change *c)
{
        g_free(c->driver);
        g_clear_pointer(&c->vfs, g_ptr_array_unref);
}

static int gpu_gone(const Change *c, int r, VgpudError *reterr)
{
        return vgpud_error_set_errnof(reterr, VGPUD_ERROR_GPU_GONE, r < 0 ? r : -ENODEV,
                                      "GPU %s went away meanwhile", c->facts->name);
}

static int cannot_read(const Change *c, const char *name, int r, VgpudError *reterr)
{
        /* The attributes of a device answer ENODEV some moments before its folder goes. */
        if (r == -ENODEV || (vgpu_io_is_gone(r) && !vgpu_io_exists(c->io, c->facts->path)))
                return gpu_gone(c, r, reterr);
        return vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r, "/sys/%s/%s cannot be read: %s",
                                      c->facts->path, name, g_strerror(-r));
}

static int read_number(const Change *c, const char *name, uint32_t *ret)
{
        g_autofree char *text = NULL;
        int r = vgpu_io_readf(c->io, &text, "%s/%s", c->facts->path, name);

        return r < 0 ? r : parse_u32(text, 10, ret);
}

/* The functions that there are now, and how many links to some. */
static int list_vfs(const Change *c, GPtrArray **ret, uint32_t *ret_links)
{
        g_autoptr(GPtrArray) vfs = g_ptr_array_new_with_free_func(free_vf);
        g_auto(GStrv) names = NULL;
        int r = vgpu_io_list(c->io, c->facts->path, &names);

        if (r >= 0)
                r = vgpu_vfs_read(c->io, c->facts->path, names, vfs, ret_links);
        if (r >= 0)
                *ret = g_steal_pointer(&vfs);
        return r;
}

/* 0 also when nobody can tell. */
static uint32_t count_vfs(const Change *c)
{
        g_autoptr(GPtrArray) vfs = NULL;
        uint32_t links = 0;

        return list_vfs(c, &vfs, &links) < 0 ? 0 : links;
}

static bool driver_is(const Change *c, const char *name)
{
        return g_strcmp0(c->driver, name) == 0;
}

static bool is_fixed_by_gim(const Change *c)
{
        return driver_is(c, "gim") || (c->facts->features & (VGPU_FEATURE_GIM | VGPU_FEATURE_GIM_LEGACY));
}

/* What there is to know before anything is touched. */
static int look(Change *c, VgpudError *reterr)
{
        int r;

        r = vfs_read_driver(c->io, c->facts->path, &c->driver);
        if (r < 0)
                return cannot_read(c, "driver", r, reterr);
        r = read_number(c, "sriov_totalvfs", &c->total);
        if (r == -ENOENT && vgpu_io_exists(c->io, c->facts->path))
                return vgpud_error_set_errnof(reterr, VGPUD_ERROR_UNSUPPORTED, r,
                                              "GPU %s has no SR-IOV, so it cannot have virtual functions",
                                              c->facts->name);
        if (r < 0)
                return cannot_read(c, "sriov_totalvfs", r, reterr);
        r = list_vfs(c, &c->vfs, &c->before);
        if (r < 0)
                return cannot_read(c, "virtfn*", r, reterr);
        return 0;
}

/* sriov-manage, whoever runs it, takes the GPU from its driver for some seconds and has another one enable the
 * functions. Meanwhile their number is its to set; and without nvidia they are of no use. */
static int refuse_without_nvidia(const Change *c, VgpudError *reterr)
{
        if (c->facts->vendor != PCI_VENDOR_NVIDIA || driver_is(c, "nvidia"))
                return 0;
        return vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE,
                                "GPU %s has left its driver nvidia (%s%s), as it does while somebody else runs "
                                "NVIDIA's sriov-manage; its virtual functions are left alone until it is back: "
                                "try again in a moment, or bind it to nvidia",
                                c->facts->name, c->driver ? "it is bound to " : "no driver is bound",
                                c->driver ? c->driver : "");
}

static int check_count(const Change *c, VgpudError *reterr)
{
        if (c->wanted > c->total && c->total == 0)
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_UNSUPPORTED,
                                "GPU %s can have no virtual functions as it is now: its driver %s allows "
                                "none (xe and i915 take the limit from their parameter max_vfs, and need "
                                "the GPU's firmware GuC)",
                                c->facts->name, c->driver ? c->driver : "(none)");
        if (c->wanted > c->total)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "GPU %s can have %" PRIu32 " virtual functions at most, not %" PRIu32,
                                        c->facts->name, c->total, c->wanted);
        return 0;
}

/* In words what makes a function more than idle, and what is to be done about it; NULL: nothing. That a driver
 * of the host has it is no load, unless a program uses it. *ret_device is what would be held open. */
static int find_load(VgpuIo *io, const VgpuVf *vf, char **ret_words, char **ret_advice, char **ret_device)
{
        g_autofree char *type = NULL, *driver = NULL, *override = NULL;
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
        if (g_strv_contains((const char *const *)names, "nvidia")) {
                r = vgpu_io_readf(io, &type, "%s/nvidia/current_vgpu_type", vf->path);
                if (r < 0 && r != -ENOENT)
                        return r;
                if (r >= 0 && strcmp(type, "0") != 0) {
                        *ret_words = g_strdup_printf("carries an instance of type nvidia-%s", type);
                        return 0;
                }
        }
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

/* 1 and an explanation in *reterr when it carries something, which nobody has open; IN_USE when somebody has.
 */
static int check_load(const Change *c, const VgpuVf *vf, GArray *kept, VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        g_autofree char *words = NULL, *advice = NULL, *device = NULL;
        int r = find_load(c->io, vf, &words, &advice, &device);

        if (vgpu_io_is_gone(r))
                return 0;
        if (r < 0)
                return vgpud_error_set_errnof(
                                reterr, VGPUD_ERROR_IN_USE, r,
                                "nobody can tell whether virtual function %s of GPU %s is in use: it "
                                "cannot be read: %s",
                                vf->name, c->facts->name, g_strerror(-r));
        r = vfs_keep_out(c->io, device, kept, &e);
        if (r < 0)
                return vgpud_error_set_errnof(
                                reterr, VGPUD_ERROR_IN_USE, -e.errnum,
                                "virtual function %s of GPU %s %s%sis in use, and all of them would "
                                "%s: %s",
                                vf->name, c->facts->name, words ? words : "", words ? " and " : "", c->fate,
                                e.message);
        if (!words)
                return 0;
        (void)vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE,
                               "virtual function %s of GPU %s %s, and all of them would %s; %s", vf->name,
                               c->facts->name, words, c->fate, advice ? advice : "destroy the instance first");
        return 1;
}

/* Whoever has one open is told of first: that is the more urgent thing. */
static int refuse_loads(const Change *c, GArray *kept, VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError first = VGPUD_ERROR_INIT;
        guint n = 0;

        for (guint i = 0; i < c->vfs->len; i++) {
                _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
                int r = check_load(c, c->vfs->pdata[i], kept, &e);

                if (r < 0) {
                        vgpud_error_move(reterr, &e);
                        return r;
                }
                if (r > 0 && n++ == 0)
                        vgpud_error_move(&first, &e);
        }
        if (n > 1)
                return vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE, "%s (%u more %s in the way)", first.message,
                                        n - 1, n > 2 ? "are" : "is");
        if (n == 0)
                return 0;
        vgpud_error_move(reterr, &first);
        return -vgpud_error_code_to_errno(VGPUD_ERROR_IN_USE);
}

int vfs_refuse_loads(VgpuTarget *t, const char *fate, GArray *kept, VgpudError *reterr)
{
        _cleanup_(change_done) Change c = { .io = t->io, .t = t, .facts = t->facts, .fate = fate };
        int r = list_vfs(&c, &c.vfs, &c.before);

        if (r < 0)
                return cannot_read(&c, "virtfn*", r, reterr);
        return refuse_loads(&c, kept, reterr);
}

/* Errors of the write to sriov_numvfs: those of the PCI core and of pci_enable_sriov() (drivers/pci/iov.c), and
 * what drivers add. */
static int explain_no_sriov(const Change *c, int r, VgpudError *reterr)
{
        const char *advice = "";

        if (!c->driver)
                advice = "; bind the driver that divides it";
        else if (driver_is(c, "i915"))
                advice = "; i915 as it is in Linux never can: bind the GPU to xe (xe.force_probe=, "
                         "i915.force_probe=!, with its device ID) or install Intel's i915 with SR-IOV and set "
                         "its parameter max_vfs";
        else if (vfs_driver_is_vfio(c->driver))
                advice = "; vfio-pci can only when it is loaded with enable_sriov=1";
        return vgpud_error_set_errnof(reterr, VGPUD_ERROR_UNSUPPORTED, r,
                                      "%s %s of GPU %s cannot switch virtual functions on and off%s",
                                      c->driver ? "driver" : "no driver is bound, and without one the kernel",
                                      c->driver ? c->driver : "", c->facts->name, advice);
}

static int explain_busy(const Change *c, uint32_t count, int r, VgpudError *reterr)
{
        uint32_t now = count_vfs(c);

        if (now > 0 && count > 0)
                return vgpud_error_set_errnof(reterr, VGPUD_ERROR_IN_USE, r,
                                              "somebody else has enabled %" PRIu32
                                              " virtual functions of GPU %s in "
                                              "the meantime",
                                              now, c->facts->name);
        return vgpud_error_set_errnof(
                        reterr, VGPUD_ERROR_FAILED, r,
                        "driver %s of GPU %s is busy, resetting it perhaps; try again in a moment", c->driver,
                        c->facts->name);
}

static int explain_write(const Change *c, uint32_t count, int r, VgpudError *reterr)
{
        const char *gpu = c->facts->name, *driver = c->driver ? c->driver : "(none)";
        const char *after = c->before > 0 && count > 0 ? " (the earlier ones are disabled already)" : "";
        VgpudErrorCode code = VGPUD_ERROR_FAILED;
        const char *why;

        if (!vgpu_io_exists(c->io, c->facts->path))
                return gpu_gone(c, r, reterr);
        switch (-r) {
        case ENOENT: /* of write(2): the file was there a moment ago */
                return explain_no_sriov(c, r, reterr);
        case EBUSY:
                return explain_busy(c, count, r, reterr);
        case ERANGE:
                code = VGPUD_ERROR_INVALID;
                why = "that is more than it can have; its driver has lowered the limit in the meantime";
                break;
        case ENOMEM:
                code = VGPUD_ERROR_NO_CAPACITY;
                why = "the firmware has reserved no address space or bus numbers for them; switch on SR-IOV, "
                      "\"Above 4G decoding\" and ARI in the firmware setup, or boot with pci=realloc (and "
                      "pci=assign-busses)";
                break;
        case ENOSPC:
                code = VGPUD_ERROR_NO_CAPACITY;
                why = "the GPU has not enough left to share out among so many; ask for fewer, lower the quotas "
                      "that were set by hand, or end what uses the GPU's memory on the host";
                break;
        case EUSERS:
                code = VGPUD_ERROR_IN_USE;
                why = "a program has the GPU for itself; end it first";
                break;
        case EPERM:
                why = "it is locked: by an open lockdown file of debugfs (xe), or because a guest has one of "
                      "them (Xen)";
                break;
        case ENOKEY:
                why = "only a part of what they need was provisioned by hand; provision all of it (memory, "
                      "contexts and doorbells of each) or nothing, or the GPU's firmware (GuC) refused";
                break;
        case EPROTO:
                why = "the GPU's firmware (GuC) refused, or the process that asks the kernel could not be "
                      "started or died before the answer (the daemon's log would have that)";
                break;
        case ECANCELED:
                why = "the driver has given the GPU up after an error (it is \"wedged\"); unbind and bind the "
                      "driver, or reboot";
                break;
        case EIO:
                why = "the GPU or its firmware does not answer as it should, or its SR-IOV capability is "
                      "broken; the kernel's log has more";
                break;
        case ENODEV:
                code = VGPUD_ERROR_UNSUPPORTED;
                why = "the driver does not run it as a GPU with virtual functions (for xe: without the "
                      "firmware GuC, or with max_vfs=0)";
                break;
        case ENOSYS:
                code = VGPUD_ERROR_UNSUPPORTED;
                why = "its SR-IOV depends on another function of the device that is not there";
                break;
        case EINVAL:
                why = "the driver takes no such number, or has them enabled in another way; the kernel's log "
                      "has more";
                break;
        case EACCES:
                why = "the kernel does not let us; a security module or the service's own restrictions may "
                      "forbid it";
                break;
        default:
                why = "the kernel's log may have the reason";
                break;
        }
        if (count == 0)
                return vgpud_error_set_errnof(
                                reterr, code, r,
                                "driver %s refused to disable the virtual functions of GPU %s: %s: %s", driver,
                                gpu, g_strerror(-r), why);
        return vgpud_error_set_errnof(reterr, code, r,
                                      "driver %s refused to enable %" PRIu32
                                      " virtual functions of GPU %s%s: %s: %s",
                                      driver, count, gpu, after, g_strerror(-r), why);
}

/* As many are to be enabled now, and stay; *ret is the number. */
static int verify_count(const Change *c, uint32_t count, uint32_t *ret, VgpudError *reterr)
{
        g_autoptr(GPtrArray) vfs = NULL;
        uint32_t now = 0;
        int r = list_vfs(c, &vfs, &now);

        if (r < 0)
                return cannot_read(c, "virtfn*", r, reterr);
        if (now == count && vfs->len == count) {
                *ret = now;
                return 0;
        }
        if (count == 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_FAILED,
                                        "the kernel reported success, but GPU %s still has %" PRIu32
                                        " virtual functions",
                                        c->facts->name, now);
        return vgpud_error_setf(reterr, VGPUD_ERROR_FAILED,
                                "GPU %s has %" PRIu32 " virtual functions now, not the %" PRIu32
                                " asked for: its driver %s gave no more; the kernel's log may have the reason",
                                c->facts->name, now, count, c->driver ? c->driver : "(none)");
}

static int write_count(const Change *c, uint32_t count, VgpudError *reterr)
{
        g_autofree char *path = g_strconcat(c->facts->path, "/sriov_numvfs", NULL);
        g_autofree char *value = g_strdup_printf("%" PRIu32, count);
        int r = vgpu_io_write_guarded(c->io, path, value);

        /* A writer that died did so after its write(2), or before it: a process cannot end inside. */
        if (r == -EPROTO && vgpu_io_exists(c->io, c->facts->path) && count_vfs(c) == count)
                r = 0;
        return r < 0 ? explain_write(c, count, r, reterr) : 0;
}

/* The drivers of the host leave the new functions alone: they are for virtual machines, and a driver that takes
 * a function for itself can take seconds for each. The setting is evaluated when a function is probed, so it
 * need not stay. Not for NVIDIA, whose functions the driver of the host must have. */
static int enable(const Change *c, VgpudError *reterr)
{
        g_autofree char *path = g_strconcat(c->facts->path, "/sriov_drivers_autoprobe", NULL), *before = NULL;
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        bool changed = false;
        int r, q = 0;

        r = vgpu_io_read(c->io, path, &before);
        if (r < 0 && r != -ENOENT) /* kernels below 4.12 have none */
                return cannot_read(c, "sriov_drivers_autoprobe", r, reterr);
        if (r >= 0 && strcmp(before, "0") != 0) {
                r = vgpu_io_write(c->io, path, "0");
                if (vgpu_io_is_gone(r))
                        return gpu_gone(c, r, reterr);
                if (r < 0)
                        return vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r,
                                                      "the host's drivers cannot be kept from the new virtual "
                                                      "functions: \"0\" to /sys/%s: %s",
                                                      path, g_strerror(-r));
                changed = true;
        }
        r = write_count(c, c->wanted, &e);
        if (changed)
                q = vgpu_io_write(c->io, path, before);
        if (q < 0 && vgpu_io_exists(c->io, c->facts->path))
                return vgpud_error_set_errnof(
                                reterr, VGPUD_ERROR_INCONSISTENT, r < 0 && e.errnum ? -e.errnum : q,
                                "%s%ssriov_drivers_autoprobe of GPU %s could not be set to \"%s\" again: "
                                "%s",
                                r < 0 ? e.message : "", r < 0 ? "; and " : "", c->facts->name, before,
                                g_strerror(-q));
        if (r < 0)
                vgpud_error_move(reterr, &e);
        return r;
}

static int set_by_kernel(const Change *c, uint32_t count, VgpudError *reterr)
{
        uint32_t now;
        int r;

        r = count == 0 ? write_count(c, 0, reterr) : enable(c, reterr);
        return r < 0 ? r : verify_count(c, count, &now, reterr);
}

/* sriov-manage takes the GPU from its driver for a while, with all that is on it. */
static int refuse_nvidia(const Change *c, VgpudError *reterr)
{
        for (guint i = 0; i < c->facts->mdev_parents->len; i++)
                if (strcmp(((const MdevParent *)c->facts->mdev_parents->pdata[i])->name, c->facts->name) == 0)
                        return vgpud_error_setf(
                                        reterr, VGPUD_ERROR_UNSUPPORTED,
                                        "vGPUs of GPU %s are made on the GPU itself, where its driver has "
                                        "registered their types; it advertises %" PRIu32
                                        " virtual functions, but needs none, and never makes them",
                                        c->facts->name, c->total);
        if (c->wanted == c->total)
                return 0;
        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                "NVIDIA's sriov-manage enables all %" PRIu32
                                " virtual functions of GPU %s or none, not %" PRIu32,
                                c->total, c->facts->name, c->wanted);
}

/* The driver nvidia has no way by sriov_numvfs: its vendor's script unbinds the driver, enables all functions
 * and binds it again. */
static int set_by_nvidia(const Change *c, uint32_t count, VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError run = VGPUD_ERROR_INIT, look = VGPUD_ERROR_INIT;
        uint32_t now;
        int r, q;

        r = nvidia_run_sriov_manage(c->t, count > 0, &run);
        /* Its exit status says little: what is there counts. */
        q = verify_count(c, count, &now, &look);
        if (q >= 0)
                return 0;
        if (r >= 0 && count > 0 && count_vfs(c) == 0 && vgpu_io_exists(c->io, c->facts->path))
                return vgpud_error_setf(reterr, VGPUD_ERROR_FAILED,
                                        "NVIDIA's sriov-manage reported success, but GPU %s has no virtual "
                                        "functions; GPUs from before Ampere (such as a T4) advertise some and "
                                        "never make them: their vGPUs are made on the GPU itself, as soon as "
                                        "the vGPU manager is loaded",
                                        c->facts->name);
        vgpud_error_move(reterr, r < 0 ? &run : &look);
        return r < 0 ? r : q;
}

static int set_count(const Change *c, uint32_t count, VgpudError *reterr)
{
        return driver_is(c, "nvidia") ? set_by_nvidia(c, count, reterr) : set_by_kernel(c, count, reterr);
}

int vfs_set(VgpuTarget *t, uint32_t count, uint32_t *ret, VgpudError *reterr)
{
        _cleanup_(change_done)
                        Change c = { .io = t->io, .t = t, .facts = t->facts, .wanted = count, .fate = "go" };
        g_autoptr(GArray) kept = vfs_kept_new();
        int r;

        r = look(&c, reterr);
        if (r < 0)
                return r;
        r = refuse_without_nvidia(&c, reterr);
        if (r < 0)
                return r;
        r = check_count(&c, reterr);
        if (r < 0)
                return r;
        if (c.before == count && c.vfs->len == count) {
                if (count == 0)
                        i915_restore_automatic(t);
                *ret = count;
                return 0;
        }
        if (is_fixed_by_gim(&c))
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_UNSUPPORTED,
                                "AMD's driver gim makes the virtual functions of GPU %s when it is loaded, and "
                                "their number (%" PRIu32 ") stays as it is then; set its parameter vf_num (or "
                                "vf_num= in /etc/gim_config), and load it again while no virtual machine uses "
                                "one",
                                t->facts->name, c.before);
        if (driver_is(&c, "nvidia") && count > 0) {
                r = refuse_nvidia(&c, reterr);
                if (r < 0)
                        return r;
        }
        r = refuse_loads(&c, kept, reterr);
        if (r < 0)
                return r;
        if (c.before > 0 || c.vfs->len > 0) {
                r = set_count(&c, 0, reterr);
                if (r < 0)
                        return r;
        }
        g_array_set_size(kept, 0);
        i915_restore_automatic(t);
        if (count > 0) {
                r = i915_refuse_empty(t, count, reterr);
                if (r >= 0)
                        r = set_count(&c, count, reterr);
                if (r < 0)
                        return r;
        }
        *ret = count;
        return 0;
}
