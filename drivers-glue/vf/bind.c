/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The kernel driver of a VF, by the rules of Linux drivers/pci/pci-driver.c and drivers/base/dd.c. Every write
 * is verified by a read. */

#include "drivers-glue/vf/bind.h"

#include <string.h>

#include "base/text.h"
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

        /* The kernel prints an override of NULL as "(null)". */
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
                return g_strdup_printf("is bound to %s, so a guest of Xen may use it", driver);

        if (override)
                return g_strdup_printf("is reserved (its driver_override is %s)", TEXT_QUOTE(override));

        return g_strdup_printf("is reserved (it is bound to %s)", driver);
}

void vfs_hint_reserved(const VgpuVf *vf, const char *driver, const char *override, VgpudHint *ret)
{
        g_autofree char *unbind = NULL, *clear = NULL;

        if (vfs_driver_is_xen(driver)) {
                vgpud_hint_setf(ret, VGPUD_HINT_RELEASE_VF,
                                "take the VF back from Xen: xl pci-assignable-remove %s", vf->name);
                return;
        }

        if (vfs_driver_is_stub(driver))
                unbind = g_strdup_printf("echo %s >/sys/bus/pci/drivers/%s/unbind", vf->name, driver);
        if (override)
                clear = g_strdup_printf("echo >/sys/bus/pci/devices/%s/driver_override", vf->name);
        g_assert(unbind || clear);

        vgpud_hint_setf(ret, VGPUD_HINT_RELEASE_VF, "if no other program needs the reservation, end it: %s%s%s",
                        unbind ? unbind : "", unbind && clear ? "; " : "", clear ? clear : "");
}

/* ---- lock out other programs ---- */

/* A VFIO group that is held open. VFs may share a group, and a group can be opened only once. */

typedef struct HeldGroup {
        int group;
        int fd;
} HeldGroup;

static void bind_clear_group(gpointer p)
{
        HeldGroup *h = p;

        h->fd = safe_close(h->fd);
}

GArray *vfs_held_groups_new(void)
{
        GArray *a = g_array_new(FALSE, FALSE, sizeof(HeldGroup));

        g_array_set_clear_func(a, bind_clear_group);

        return a;
}

/* Programs that have DRM or accel nodes of the VF open can be detected, but new ones cannot be kept out. */
static int bind_refuse_programs(VgpuIo *io, const char *path, VgpudError *reterr)
{
        static const struct {
                const char *class, *folder; /* below the path of the device and below /dev */
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

int vfs_keep_out(VgpuIo *io, const char *path, GArray *held, VgpudError *reterr)
{
        g_autofree char *driver = NULL, *cdev = NULL;
        HeldGroup h = { .group = -1, .fd = -EBADF };
        int r;

        g_assert(held);

        if ((r = vfio_read_group(io, path, &h.group)) < 0 || (r = vfio_read_cdev(io, path, &cdev)) < 0 ||
            (r = vfs_read_driver(io, path, &driver)) < 0) {
                if (!vgpu_io_exists(io, path))
                        return 0;

                return explain_use_unknown(r, reterr, "/sys/%s cannot be read", path);
        }

        r = bind_refuse_programs(io, path, reterr);
        if (r < 0)
                return r;

        for (guint i = 0; i < held->len; i++)
                if (h.group >= 0 && g_array_index(held, HeldGroup, i).group == h.group)
                        return 0;

        /* A group has a node only while a driver of VFIO is bound to one of its devices. */
        if (!cdev && !vfs_driver_is_vfio(driver) && !vfio_group_has_node(io, h.group))
                return 0;

        r = vfio_keep_out(io, h.group, cdev, &h.fd, reterr);
        if (r < 0)
                return r;

        g_array_append_val(held, h);

        return 0;
}

/* ---- bind and unbind ---- */

typedef struct Binding {
        VgpuIo *io;
        const VgpuVf *vf;
        const char *driver; /* the driver to bind; NULL: none */
        char *bound;        /* owned; the driver that is bound now; NULL: none */
} Binding;

static void bind_done(Binding *b)
{
        g_free(b->bound);
}

static int bind_explain_gone(const Binding *b, int r, VgpudError *reterr)
{
        return vgpud_error_set_errnof(reterr, VGPUD_ERROR_GPU_GONE, r < 0 ? r : -ENODEV, "VF %s went away",
                                      b->vf->name);
}

static int bind_read_driver(Binding *b, VgpudError *reterr)
{
        int r;

        g_clear_pointer(&b->bound, g_free);

        r = vfs_read_driver(b->io, b->vf->path, &b->bound);
        if (r >= 0 && !b->bound && !vgpu_io_exists(b->io, b->vf->path))
                r = -ENODEV;
        if (vgpu_io_is_gone(r))
                return bind_explain_gone(b, r, reterr);

        if (r < 0)
                return explain_unreadable(b->vf->path, r, reterr);

        return 0;
}

static bool bind_override_is(const Binding *b, const char *override)
{
        g_autofree char *now = NULL;

        return vfs_read_override(b->io, b->vf->path, &now) >= 0 && g_strcmp0(now, override) == 0;
}

static int bind_set_override(const Binding *b, const char *override, VgpudError *reterr)
{
        g_autofree char *path = g_strconcat(b->vf->path, "/driver_override", NULL);
        int r;

        if (bind_override_is(b, override))
                return 0;

        /* The write waits for the device lock, which a driver holds while it probes the VF. */
        r = vgpu_io_write_guarded(b->io, path, override ? override : "\n");
        if (r == -EPROTO && bind_override_is(b, override))
                r = 0;
        if (r >= 0)
                return 0;
        if (r == -ENODEV || (vgpu_io_is_gone(r) && !vgpu_io_exists(b->io, b->vf->path)))
                return bind_explain_gone(b, r, reterr);

        if (!override)
                return vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r,
                                              "the driver_override of VF %s cannot be cleared: %s", b->vf->name,
                                              g_strerror(-r));

        return vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r,
                                      "the driver_override of VF %s cannot be set to %s: %s", b->vf->name,
                                      override, g_strerror(-r));
}

int vfs_refuse_use(VgpuIo *io, const VgpuVf *vf, const char *driver, GArray *held, VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        int r = vfs_keep_out(io, vf->path, held, &e);

        if (r >= 0)
                return 0;

        r = vgpud_error_set_errnof(reterr, VGPUD_ERROR_IN_USE, -e.errnum,
                                   "VF %s is in use and cannot be unbound from driver %s: %s", vf->name, driver,
                                   e.message);
        explain_copy_hint(&e.hint, reterr);

        return r;
}

static int bind_explain_race(const Binding *b, const char *from, int r, VgpudError *reterr)
{
        r = vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r,
                                   "another program bound VF %s to driver %s while vgpud was about to %s %s",
                                   b->vf->name, b->bound, from ? "unbind it from" : "bind it to",
                                   from        ? from
                                   : b->driver ? b->driver
                                               : "no driver");
        vgpud_error_hintf(reterr, VGPUD_HINT_STOP_OTHER_TOOL,
                          "stop the other program that changes the drivers of VFs");

        return r;
}

/* The kernel blocks an unbind until the last user closes the device, so check for users first. */
static int bind_detach(Binding *b, VgpudError *reterr)
{
        g_autofree char *from = g_strdup(b->bound), *path = g_strdup_printf("bus/pci/drivers/%s/unbind", from);
        g_autoptr(GArray) held = vfs_held_groups_new();
        int r, q;

        g_assert(from);

        r = vfs_refuse_use(b->io, b->vf, from, held, reterr);
        if (r < 0)
                return r;

        r = vgpu_io_write_guarded(b->io, path, b->vf->name);
        q = bind_read_driver(b, reterr);
        if (q < 0)
                return q;

        if (!b->bound)
                return 0;

        /* ENODEV: the VF was no longer bound to that driver. */
        if (r == 0 || r == -ENODEV)
                return bind_explain_race(b, from, r, reterr);

        return explain_refusal(NULL, r, reterr, "VF %s cannot be unbound from driver %s", b->vf->name, from);
}

/* True if another device of the group may have a driver of VFIO, so that an open node of the group may belong
 * to that device. */
static bool bind_shares_group(const Binding *b, int group)
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

/* The kernel removes the link to the driver before it waits for the last user of the VF. While the kernel
 * waits, the VF looks free, but its group is still open. */
static int bind_refuse_leaving(const Binding *b, VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        g_autoptr(GArray) held = vfs_held_groups_new();
        int group = -1, r;

        if (vfio_read_group(b->io, b->vf->path, &group) < 0 || group < 0 || bind_shares_group(b, group))
                return 0;

        r = vfs_keep_out(b->io, b->vf->path, held, &e);
        if (r >= 0)
                return 0;

        r = vgpud_error_set_errnof(reterr, VGPUD_ERROR_IN_USE, -e.errnum,
                                   "VF %s is being unbound from its driver and is still in use: %s",
                                   b->vf->name, e.message);
        explain_copy_hint(&e.hint, reterr);

        return r;
}

bool vfs_driver_exists(VgpuIo *io, const char *driver)
{
        g_autofree char *path = g_strconcat("bus/pci/drivers/", driver, NULL);

        return vgpu_io_name_is_valid(driver) && vgpu_io_exists(io, path);
}

static int bind_explain_no_driver(const Binding *b, VgpudError *reterr)
{
        int r = vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED,
                                 "VF %s cannot be bound to driver %s: the driver is not loaded", b->vf->name,
                                 b->driver);

        vgpud_error_hintf(reterr, VGPUD_HINT_LOAD_DRIVER, "load the driver now and at every boot: modprobe %s",
                          b->driver);

        return r;
}

#define BIND_DENIED \
        "the kernel is locked down, or a security module or the sandbox of the service denies access"
#define BIND_LOG_HINT VGPUD_HINT_SEE_KERNEL_LOG, "look for messages of the driver in the kernel log"

static int bind_explain_refusal(const Binding *b, int r, VgpudError *reterr)
{
        static const Refusal refusals[] = {
                { ENODEV, VGPUD_ERROR_UNSUPPORTED,
                  "the driver does not support this device, or released it at once" },
                { EBUSY, VGPUD_ERROR_FAILED, "another driver or program uses the VF or a resource of it" },
                { EAGAIN, VGPUD_ERROR_FAILED, "the driver waits for another device", VGPUD_HINT_TRY_AGAIN,
                  "try again in a moment" },
                { EINVAL, VGPUD_ERROR_FAILED, "the driver refused the VF", BIND_LOG_HINT },
                { EPERM, VGPUD_ERROR_FAILED, BIND_DENIED },
                { EACCES, VGPUD_ERROR_FAILED, BIND_DENIED },
                { ENOMEM, VGPUD_ERROR_FAILED, "the host has no memory or address space left for the VF" },
                { EIO, VGPUD_ERROR_FAILED, "the device does not respond as expected", BIND_LOG_HINT },
                { ETIMEDOUT, VGPUD_ERROR_FAILED, "the device does not respond as expected", BIND_LOG_HINT },
                { 0 },
        };
        int group = -1;

        if (r == -EINVAL && vfs_driver_is_vfio(b->driver) && vfio_read_group(b->io, b->vf->path, &group) >= 0 &&
            group < 0)
                return explain_no_iommu(b->vf, r, reterr);

        return explain_refusal(refusals, r, reterr, "VF %s cannot be bound to driver %s", b->vf->name,
                               b->driver);
}

/* drivers_probe reports success even if no driver took the VF; the `bind` file of the driver reports why not.
 */
static int bind_attach(Binding *b, VgpudError *reterr)
{
        g_autofree char *path = g_strdup_printf("bus/pci/drivers/%s/bind", b->driver);
        int r, q;

        r = vgpu_io_write_guarded(b->io, "bus/pci/drivers_probe", b->vf->name);

        q = bind_read_driver(b, reterr);
        if (q < 0)
                return q;

        if (!b->bound) {
                r = vgpu_io_write_guarded(b->io, path, b->vf->name);
                q = bind_read_driver(b, reterr);
                if (q < 0)
                        return q;
        }

        if (g_strcmp0(b->bound, b->driver) == 0)
                return 0;

        if (b->bound)
                return bind_explain_race(b, NULL, 0, reterr);

        if (r == -ENOENT && !vfs_driver_exists(b->io, b->driver))
                return bind_explain_no_driver(b, reterr);
        if (r < 0)
                return bind_explain_refusal(b, r, reterr);

        return vgpud_error_setf(reterr, VGPUD_ERROR_FAILED,
                                "the kernel reported success, but VF %s is not bound to driver %s", b->vf->name,
                                b->driver);
}

/* Bind the VF to b->driver (NULL: to none). b->bound is the driver to which the VF is bound now. */
static int bind_run(Binding *b, const char *override, VgpudError *reterr)
{
        int r;

        if (b->bound && g_strcmp0(b->bound, b->driver) == 0)
                return bind_set_override(b, override, reterr);

        if (b->driver && !vfs_driver_exists(b->io, b->driver))
                return bind_explain_no_driver(b, reterr);

        /* Unbind before writing driver_override, so that nothing has changed if the unbind is refused. Set
         * driver_override before binding, so that no other driver can take the VF. */
        r = b->bound ? bind_detach(b, reterr) : bind_refuse_leaving(b, reterr);
        if (r < 0)
                return r;

        if (b->driver) {
                r = bind_set_override(b, b->driver, reterr);
                if (r < 0)
                        return r;

                r = bind_attach(b, reterr);
                if (r < 0)
                        return r;
        }

        return bind_set_override(b, override, reterr);
}

int vfs_bind(VgpuIo *io, const VgpuVf *vf, const char *driver, const char *override, VgpudError *reterr)
{
        _cleanup_(bind_done) Binding b = { .io = io, .vf = vf, .driver = driver };
        int r;

        g_assert(vgpu_io_name_is_valid(vf->name));

        r = bind_read_driver(&b, reterr);

        return r < 0 ? r : bind_run(&b, override, reterr);
}

int vfs_bind_from(VgpuIo *io, const VgpuVf *vf, const char *from, const char *driver, const char *override,
                  VgpudError *reterr)
{
        _cleanup_(bind_done) Binding b = { .io = io, .vf = vf, .driver = driver };
        int r;

        g_assert(vgpu_io_name_is_valid(vf->name));

        r = bind_read_driver(&b, reterr);
        if (r < 0)
                return r;

        if (b.bound && g_strcmp0(b.bound, from) != 0)
                return bind_explain_race(&b, from, 0, reterr);

        return bind_run(&b, override, reterr);
}
