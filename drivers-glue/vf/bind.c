/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Virtual functions: which driver each is bound to. The rules are those of Linux drivers/pci/pci-driver.c and
 * drivers/base/dd.c; what was written counts for nothing until it was looked up. */

#include "drivers-glue/vf/bind.h"

#include <string.h>

#include "drivers-glue/explain.h"
#include "drivers-glue/vfio/use.h"

int vfs_read_driver(VgpuIo *io, const char *path, char **ret)
{
        g_autofree char *link = g_strconcat(path, "/driver", NULL);
        int r;

        *ret = NULL;
        r = vgpu_io_read_link_name(io, link, ret);
        return r == -ENOENT ? 0 : r;
}

int vfs_read_override(VgpuIo *io, const char *path, char **ret)
{
        g_autofree char *text = NULL;
        int r;

        *ret = NULL;
        r = vgpu_io_readf(io, &text, "%s/driver_override", path);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        /* That is what printf() of the kernel makes of a NULL. */
        if (text[0] && strcmp(text, "(null)") != 0)
                *ret = g_steal_pointer(&text);
        return 0;
}

bool vfs_driver_is_vfio(const char *driver)
{
        static const char *const ends[] = { "vfio-pci", "vfio_pci" };

        for (size_t i = 0; driver && i < G_N_ELEMENTS(ends); i++) {
                if (!g_str_has_suffix(driver, ends[i]))
                        continue;
                size_t n = strlen(driver) - strlen(ends[i]);
                if (n == 0 || driver[n - 1] == '-' || driver[n - 1] == '_')
                        return true;
        }
        return false;
}

bool vfs_driver_is_xen(const char *driver)
{
        return driver && (strcmp(driver, "pciback") == 0 || strcmp(driver, "xen-pciback") == 0);
}

bool vfs_driver_is_stub(const char *driver)
{
        return vfs_driver_is_xen(driver) || g_strcmp0(driver, "pci-stub") == 0;
}

char *vfs_explain_reserved(const char *driver, const char *override)
{
        if (vfs_driver_is_xen(driver))
                return g_strdup_printf("is given to Xen (it is bound to %s), and a guest may run on it",
                                       driver);
        if (override)
                return g_strdup_printf("is reserved (its driver_override is %s)", override);
        return g_strdup_printf("is reserved (it is bound to %s)", driver);
}

char *vfs_advise_reserved(const VgpuVf *vf, const char *driver, const char *override)
{
        GString *text;

        if (vfs_driver_is_xen(driver))
                return g_strdup_printf("take it back first (xl pci-assignable-remove %s)", vf->name);
        text = g_string_new("if nobody needs that any more, give it up first (");
        if (vfs_driver_is_stub(driver))
                g_string_append_printf(text, "echo %s >/sys/bus/pci/drivers/%s/unbind%s", vf->name, driver,
                                       override ? "; " : "");
        if (override)
                g_string_append_printf(text, "echo >/sys/bus/pci/devices/%s/driver_override", vf->name);
        g_string_append_c(text, ')');
        return g_string_free(text, FALSE);
}

/* Keeping out: file descriptors of VFIO groups, each opened once, for functions may share one. */

typedef struct Kept {
        int group;
        int fd;
} Kept;

static void kept_clear(gpointer p)
{
        Kept *k = p;

        k->fd = safe_close(k->fd);
}

GArray *vfs_kept_new(void)
{
        GArray *a = g_array_new(FALSE, FALSE, sizeof(Kept));

        g_array_set_clear_func(a, kept_clear);
        return a;
}

/* A driver of the host has nodes for programs, which cannot be kept from them, but seen. */
static int refuse_programs(VgpuIo *io, const char *path, VgpudError *reterr)
{
        static const struct {
                const char *class, *folder; /* below the device, and below /dev */
        } nodes[] = { { "drm", "dri" }, { "accel", "accel" } };

        for (size_t i = 0; i < G_N_ELEMENTS(nodes); i++) {
                g_autofree char *folder = g_strdup_printf("%s/%s", path, nodes[i].class);
                g_auto(GStrv) names = NULL;
                int r = vgpu_io_list(io, folder, &names);

                if (vgpu_io_is_gone(r))
                        continue;
                if (r < 0)
                        return explain_use_unknown(r, reterr, "/sys/%s cannot be read", folder);
                for (char **n = names; *n; n++) {
                        g_autofree char *node = g_strdup_printf("%s/%s", nodes[i].folder, *n);
                        if (vgpu_io_node_exists(io, node) == 0)
                                continue;
                        r = vfio_refuse_holder(io, node, reterr);
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

int vfs_keep_out(VgpuIo *io, const char *path, GArray *kept, VgpudError *reterr)
{
        g_autofree char *driver = NULL, *cdev = NULL;
        Kept k = { .group = -1, .fd = -EBADF };
        int r;

        if ((r = vfio_read_group(io, path, &k.group)) < 0 || (r = vfio_read_cdev(io, path, &cdev)) < 0 ||
            (r = vfs_read_driver(io, path, &driver)) < 0) {
                if (!vgpu_io_exists(io, path))
                        return 0;
                return explain_use_unknown(r, reterr, "/sys/%s cannot be read", path);
        }
        r = refuse_programs(io, path, reterr);
        if (r < 0)
                return r;
        for (guint i = 0; i < kept->len; i++)
                if (k.group >= 0 && g_array_index(kept, Kept, i).group == k.group)
                        return 0;
        /* Where no driver of VFIO has the device and no other one of its group either, there is no node to
         * open. */
        if (!cdev && !vfs_driver_is_vfio(driver) && !vfio_group_has_node(io, k.group))
                return 0;
        r = vfio_keep_out(io, k.group, cdev, &k.fd, reterr);
        if (r < 0)
                return r;
        g_array_append_val(kept, k);
        return 0;
}

typedef struct Binding {
        VgpuIo *io;
        const VgpuVf *vf;
        const char *driver; /* wanted; NULL: none */
        char *bound;        /* owned; now */
} Binding;

static void binding_done(Binding *b)
{
        g_free(b->bound);
}

static int vf_gone(const Binding *b, int r, VgpudError *reterr)
{
        return vgpud_error_set_errnof(reterr, VGPUD_ERROR_GPU_GONE, r < 0 ? r : -ENODEV,
                                      "virtual function %s went away meanwhile", b->vf->name);
}

static int read_bound(Binding *b, VgpudError *reterr)
{
        int r;

        g_clear_pointer(&b->bound, g_free);
        r = vfs_read_driver(b->io, b->vf->path, &b->bound);
        if (r >= 0 && !b->bound && !vgpu_io_exists(b->io, b->vf->path))
                r = -ENODEV;
        if (vgpu_io_is_gone(r))
                return vf_gone(b, r, reterr);
        if (r < 0)
                return explain_unreadable(b->vf->path, r, reterr);

        return 0;
}

static bool override_is(const Binding *b, const char *override)
{
        g_autofree char *now = NULL;

        return vfs_read_override(b->io, b->vf->path, &now) >= 0 && g_strcmp0(now, override) == 0;
}

static int set_override(const Binding *b, const char *override, VgpudError *reterr)
{
        g_autofree char *path = g_strconcat(b->vf->path, "/driver_override", NULL);
        int r;

        if (override_is(b, override))
                return 0;
        /* It takes the lock of the device, behind which whoever probes it may take long. */
        r = vgpu_io_write_guarded(b->io, path, override ? override : "\n");
        if (r == -EPROTO && override_is(b, override))
                r = 0;
        if (r >= 0)
                return 0;
        if (r == -ENODEV || (vgpu_io_is_gone(r) && !vgpu_io_exists(b->io, b->vf->path)))
                return vf_gone(b, r, reterr);
        if (!override)
                return vgpud_error_set_errnof(
                                reterr, VGPUD_ERROR_FAILED, r,
                                "the driver_override of virtual function %s cannot be cleared: %s", b->vf->name,
                                g_strerror(-r));
        return vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r,
                                      "virtual function %s cannot be reserved for driver %s: \"%s\" to its "
                                      "driver_override: %s",
                                      b->vf->name, override, override, g_strerror(-r));
}

int vfs_refuse_use(VgpuIo *io, const VgpuVf *vf, const char *driver, GArray *kept, VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        int r = vfs_keep_out(io, vf->path, kept, &e);

        if (r >= 0)
                return 0;
        return vgpud_error_set_errnof(reterr, VGPUD_ERROR_IN_USE, -e.errnum,
                                      "virtual function %s cannot be taken from driver %s: it is in use: %s",
                                      vf->name, driver, e.message);
}

/* Unbinding waits for whoever has the device open, for ever if need be: so test before. */
static int unbind(Binding *b, VgpudError *reterr)
{
        g_autofree char *from = g_strdup(b->bound), *path = g_strdup_printf("bus/pci/drivers/%s/unbind", from);
        g_autoptr(GArray) kept = vfs_kept_new();
        int r, q;

        r = vfs_refuse_use(b->io, b->vf, from, kept, reterr);
        if (r < 0)
                return r;
        r = vgpu_io_write_guarded(b->io, path, b->vf->name);
        q = read_bound(b, reterr);
        if (q < 0)
                return q;
        if (!b->bound)
                return 0;
        if (r == 0)
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_FAILED,
                                "virtual function %s was taken from driver %s, but another program has bound it to %s",
                                b->vf->name, from, b->bound);
        if (r == -ENODEV) /* it was not bound to that driver any more */
                return vgpud_error_set_errnof(
                                reterr, VGPUD_ERROR_FAILED, r,
                                "another program has bound virtual function %s to %s instead of %s",
                                b->vf->name, b->bound, from);

        return explain_refusal(NULL, r, reterr, "virtual function %s cannot be taken from driver %s",
                               b->vf->name, from);
}

/* Whether the group's node may be there, and held, because of another function. */
static bool shares_group(const Binding *b, int group)
{
        g_autofree char *folder = g_strdup_printf("kernel/iommu_groups/%d/devices", group);
        g_auto(GStrv) names = NULL;

        if (vgpu_io_list(b->io, folder, &names) < 0)
                return true;
        for (char **n = names; *n; n++) {
                g_autofree char *link = g_strconcat("bus/pci/devices/", *n, NULL), *path = NULL, *driver = NULL;

                if (strcmp(*n, b->vf->name) == 0)
                        continue;
                if (vgpu_io_resolve_link(b->io, link, &path) < 0 || vfs_read_driver(b->io, path, &driver) < 0 ||
                    vfs_driver_is_vfio(driver))
                        return true;
        }
        return false;
}

bool vfs_is_leaving(VgpuIo *io, const char *path)
{
        g_autofree char *folder = g_strconcat(path, "/vfio-dev", NULL);

        return vgpu_io_exists(io, folder);
}

/* The kernel takes the link away first: while it waits for who has the function open, to unbind or to remove
 * it, it looks as if it were free. Only its group tells then. */
static int refuse_leaving(const Binding *b, VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        g_autoptr(GArray) kept = vfs_kept_new();
        int group = -1, r;

        if (vfio_read_group(b->io, b->vf->path, &group) < 0 || group < 0 || shares_group(b, group))
                return 0;
        r = vfs_keep_out(b->io, b->vf->path, kept, &e);
        if (r < 0)
                return vgpud_error_set_errnof(
                                reterr, VGPUD_ERROR_IN_USE, -e.errnum,
                                "virtual function %s is being taken from its driver, which waits for who uses "
                                "it: %s",
                                b->vf->name, e.message);
        return 0;
}

static bool driver_exists(VgpuIo *io, const char *driver)
{
        g_autofree char *path = g_strconcat("bus/pci/drivers/", driver, NULL);

        return vgpu_io_name_is_valid(driver) && vgpu_io_exists(io, path);
}

static int no_such_driver(const Binding *b, VgpudError *reterr)
{
        return vgpud_error_setf(
                        reterr, VGPUD_ERROR_UNSUPPORTED,
                        "there is no driver %s for virtual function %s: its module is not loaded; load it "
                        "(modprobe %s), and have it loaded at every boot",
                        b->driver, b->vf->name, b->driver);
}

static int explain_bind(const Binding *b, int r, VgpudError *reterr)
{
        static const Refusal refusals[] = {
                { ENODEV, VGPUD_ERROR_UNSUPPORTED,
                  "the driver does not support this device, or the device went away from it at once" },
                { EBUSY, VGPUD_ERROR_FAILED, "another driver or program has taken it or a resource of it" },
                { EAGAIN, VGPUD_ERROR_FAILED,
                  "the driver waits for another device to be ready; try again in a moment" },
                { EINVAL, VGPUD_ERROR_FAILED, "the driver refused it; the kernel's log has the reason" },
                { EPERM, VGPUD_ERROR_FAILED,
                  "the kernel is locked down, or a security module or the sandbox of the service forbids it" },
                { EACCES, VGPUD_ERROR_FAILED,
                  "the kernel is locked down, or a security module or the sandbox of the service forbids it" },
                { ENOMEM, VGPUD_ERROR_FAILED, "there is no memory or no address space for it" },
                { EIO, VGPUD_ERROR_FAILED,
                  "the device does not answer as it should; the kernel's log has more" },
                { ETIMEDOUT, VGPUD_ERROR_FAILED,
                  "the device does not answer as it should; the kernel's log has more" },
                { 0 },
        };
        int group = -1;

        if (r == -EINVAL && vfs_driver_is_vfio(b->driver) && vfio_read_group(b->io, b->vf->path, &group) >= 0 &&
            group < 0)
                return explain_no_iommu(b->vf, r, reterr);

        return explain_refusal(refusals, r, reterr, "virtual function %s cannot be bound to driver %s",
                               b->vf->name, b->driver);
}

/* drivers_probe says "success" also when no driver has taken the device; then `bind` of the driver says why
 * not. */
static int bind(Binding *b, VgpudError *reterr)
{
        g_autofree char *path = g_strdup_printf("bus/pci/drivers/%s/bind", b->driver);
        int r, q;

        r = vgpu_io_write_guarded(b->io, "bus/pci/drivers_probe", b->vf->name);
        q = read_bound(b, reterr);
        if (q < 0)
                return q;
        if (!b->bound) {
                r = vgpu_io_write_guarded(b->io, path, b->vf->name);
                q = read_bound(b, reterr);
                if (q < 0)
                        return q;
        }
        if (g_strcmp0(b->bound, b->driver) == 0)
                return 0;
        if (b->bound)
                return vgpud_error_setf(reterr, VGPUD_ERROR_FAILED,
                                        "virtual function %s was to be bound to driver %s, but %s has it; "
                                        "somebody else works on it",
                                        b->vf->name, b->driver, b->bound);
        if (r == -ENOENT && !driver_exists(b->io, b->driver))
                return no_such_driver(b, reterr);
        if (r < 0)
                return explain_bind(b, r, reterr);
        return vgpud_error_setf(
                        reterr, VGPUD_ERROR_FAILED,
                        "the kernel reported success, but virtual function %s is not bound to driver %s",
                        b->vf->name, b->driver);
}

int vfs_bind(VgpuIo *io, const VgpuVf *vf, const char *driver, const char *override, VgpudError *reterr)
{
        _cleanup_(binding_done) Binding b = { .io = io, .vf = vf, .driver = driver };
        int r;

        r = read_bound(&b, reterr);
        if (r < 0)
                return r;
        if (b.bound && g_strcmp0(b.bound, driver) == 0)
                return set_override(&b, override, reterr);
        if (driver && !driver_exists(io, driver))
                return no_such_driver(&b, reterr);
        /* First the unbinding, which is what may be refused; then nobody else may take the function, and where
         * sriov_drivers_autoprobe is 0 nobody can without driver_override. */
        r = b.bound ? unbind(&b, reterr) : refuse_leaving(&b, reterr);
        if (r < 0)
                return r;
        if (driver) {
                r = set_override(&b, driver, reterr);
                if (r < 0)
                        return r;
                r = bind(&b, reterr);
                if (r < 0)
                        return r;
        }
        return set_override(&b, override, reterr);
}
