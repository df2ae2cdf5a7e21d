/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The back end for mediated devices (Linux Documentation/driver-api/vfio-mediated-device.rst): Intel GVT-g,
 * NVIDIA vGPU with the mdev interface, and the kernel's samples. Differences between vendors are read from
 * sysfs: whether the parents are VFs, and the descriptions of the types. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/parse-util.h"
#include "base/text.h"
#include "drivers-glue/driver.h"
#include "drivers-glue/explain.h"
#include "drivers-glue/mdev/room.h"
#include "drivers-glue/mdev/scan.h"
#include "drivers-glue/nvidia/nvml.h"
#include "drivers-glue/nvidia/parse.h"
#include "drivers-glue/nvidia/vfs.h"
#include "drivers-glue/registry.h"
#include "drivers-glue/vfio/use.h"

#define INSTANCE_IN_USE \
        "the instance is in use", VGPUD_HINT_STOP_USER, "shut down the VM that uses the instance"
/* Limit of refusals by single VFs: after so many, assume that the reason concerns the whole GPU. */
#define REFUSALS_MAX 4

static VgpuMatch mdev_match(const GpuFacts *facts)
{
        return facts->mdev_parents->len > 0 ? VGPU_MATCH_GENERIC : VGPU_MATCH_NO;
}

/* ---- explanations ---- */

/* r: errno of the kernel, 0 if no write failed. */
static int mdev_explain_no_capacity(VgpuTarget *t, const CreateArgs *args, int r, VgpudError *reterr)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;
        int q = mdev_scan(t, &s, reterr);

        return q < 0 ? q : mdev_room_refuse(t->facts, s, args->type_id, args->parent, r, reterr);
}

/* Error EXISTS if any parent has an instance with this UUID, or if the kernel reported so (r: negative errno;
 * 0: not asked). */
static int mdev_refuse_existing(VgpuIo *io, const char *uuid, int r, VgpudError *reterr)
{
        g_autofree char *link = g_strconcat("bus/mdev/devices/", uuid, NULL), *path = NULL, *parent_path = NULL;
        g_autofree char *parent = NULL, *type_id = NULL;

        g_assert(uuid_is_valid(uuid));
        g_assert(r <= 0);

        if (vgpu_io_resolve_link(io, link, &path) < 0) {
                if (r >= 0)
                        return 0;

                return vgpud_error_set_errnof(
                                reterr, VGPUD_ERROR_EXISTS, r,
                                "the kernel reports an instance with UUID %s, but does not show it; its removal may be in progress",
                                uuid);
        }

        parent_path = g_path_get_dirname(path);
        parent = g_path_get_basename(parent_path);
        (void)mdev_read_optional_link(io, path, "mdev_type", &type_id);

        r = vgpud_error_set_errnof(reterr, VGPUD_ERROR_EXISTS, r,
                                   "an instance with UUID %s exists already: type %s on %s", uuid,
                                   type_id ? type_id : "(unknown)", parent);
        vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER, "choose another UUID, or none to get a new one");

        return r;
}

/* ---- create ---- */

static int mdev_check_args(const CreateArgs *args, VgpudError *reterr)
{
        if (!vgpu_io_name_is_valid(args->type_id))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "\"%s\" is not the name of a type",
                                        TEXT_QUOTE(args->type_id));

        return create_args_check(args, reterr);
}

static int mdev_explain_no_type(VgpuTarget *t, const CreateArgs *args, VgpudError *reterr)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;
        int r = mdev_scan(t, &s, reterr);

        if (r < 0)
                return r;

        return explain_no_such_type(s, args->type_id, args->parent ? args->parent : t->facts->name, reterr);
}

/* The number that the parent reports as available; -ENOENT or -ENODEV if the parent does not offer the type. */
static int mdev_read_available(VgpuIo *io, const MdevParent *p, const char *type_id, uint32_t *ret)
{
        return vgpu_io_read_u32f(io, ret, "%s/mdev_supported_types/%s/available_instances", p->path, type_id);
}

/* True if the parent offers a type of this name that a VM can use. */
static bool mdev_offers_type(VgpuIo *io, const MdevParent *p, const char *type_id)
{
        g_autofree char *api = NULL;

        return vgpu_io_readf(io, &api, "%s/mdev_supported_types/%s/device_api", p->path, type_id) >= 0 &&
               strcmp(api, MDEV_DEVICE_API) == 0;
}

/* Find a parent with room. If the request names a parent, consider only that parent. */
static int mdev_choose_parent(VgpuTarget *t, const CreateArgs *args, const MdevParent **ret, VgpudError *reterr)
{
        const GPtrArray *parents = t->facts->mdev_parents;
        const MdevParent *unreadable = NULL;
        bool offered = false, readable = false;
        int problem = 0;

        g_assert(vgpu_io_name_is_valid(args->type_id));

        if (args->parent && !mdev_find_parent(t->facts, args->parent))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "%s is not a parent of instances of GPU %s", TEXT_QUOTE(args->parent),
                                        t->facts->name);

        /* Begin the search at t->parent_hint of the previous create() of the job: parents before it had no
         * room. */
        for (guint i = 0; i < parents->len; i++) {
                guint at = (t->parent_hint + i) % parents->len;
                const MdevParent *p = parents->pdata[at];
                uint32_t available = 0;
                bool known;
                int r;

                if (args->parent && strcmp(args->parent, p->name) != 0)
                        continue;

                known = t->type_is_known;
                if (!known && !mdev_offers_type(t->io, p, args->type_id))
                        continue;

                /* All parents that offer a type of this name offer the same type, so a job checks the type
                 * once. */
                t->type_is_known = true;

                r = mdev_read_available(t->io, p, args->type_id, &available);
                if (known && vgpu_io_is_gone(r))
                        continue;

                offered = true;
                if (r < 0) {
                        unreadable = p;
                        problem = r;
                } else
                        readable = true;

                if (available > 0) {
                        /* A VF takes only one instance. */
                        t->parent_hint = p->physfn ? (at + 1) % parents->len : at;
                        *ret = p;
                        return 0;
                }
        }

        if (offered && !readable) {
                g_autofree char *file = g_strdup_printf("%s/mdev_supported_types/%s/available_instances",
                                                        unreadable->path, args->type_id);

                return explain_read(t->facts, file, problem, reterr);
        }

        return offered ? mdev_explain_no_capacity(t, args, 0, reterr) : mdev_explain_no_type(t, args, reterr);
}

static int mdev_explain_create(VgpuTarget *t, const CreateArgs *args, const MdevParent *p, int r,
                               VgpudError *reterr)
{
        static const Refusal refusals[] = {
                { EAGAIN, VGPUD_ERROR_FAILED, "the driver is not ready to create instances",
                  VGPUD_HINT_TRY_AGAIN, "retry in a moment" },
                { EINVAL, VGPUD_ERROR_FAILED, "the driver rejects the type or the state of the GPU",
                  VGPUD_HINT_SEE_KERNEL_LOG, "look for messages of the driver in the kernel log" },
                { EIO, VGPUD_ERROR_FAILED, "the driver refused although it reports room",
                  VGPUD_HINT_SEE_KERNEL_LOG,
                  "look into the kernel log; the GPU may be committed to another framebuffer size or to MIG, or the removal of an instance with the same UUID is in progress" },
                { ENOMEM, VGPUD_ERROR_FAILED, "the kernel is out of memory" },
                { 0 },
        };
        uint32_t available = 0;

        g_assert(r < 0);

        switch (-r) {
        case EEXIST:
                return mdev_refuse_existing(t->io, args->uuid, r, reterr);
        case EUSERS:
        case ENOSPC:
                return mdev_explain_no_capacity(t, args, r, reterr);
        case ENOMEM:
        case EIO:
                /* Drivers use ENOMEM and EIO for any reason, "full" included. */
                if (mdev_read_available(t->io, p, args->type_id, &available) >= 0 && available == 0)
                        return mdev_explain_no_capacity(t, args, r, reterr);

                break;
        case ENODEV:
                return explain_gpu_gone(t->facts, r, reterr);
        case ENOENT: /* open(2) failed: the type vanished */
                if (!vgpu_io_exists(t->io, p->path))
                        return explain_gpu_gone(t->facts, r, reterr);

                return mdev_explain_no_type(t, args, reterr);
        default:
                break;
        }

        return explain_refusal(refusals, r, reterr, "a %s cannot be created on %s", args->type_id, p->name);
}

static int mdev_remove_instance(VgpuIo *io, const char *path, VgpudError *reterr);

/* Rolls back: removes an incomplete instance. *cause, which is emptied, is the error of create(). */
static int mdev_undo_create(VgpuIo *io, const char *path, VgpudError *cause, VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError again = VGPUD_ERROR_INIT;
        int r = mdev_remove_instance(io, path, &again);

        vgpud_error_require(cause);

        /* ENOENT and ENODEV mean that the kernel is removing the new instance already: the file "remove"
         * vanishes before the device, and writes to it fail with ENODEV while the driver is being unloaded. */
        if (r < 0 && again.errnum != ENOENT && again.errnum != ENODEV)
                return explain_rollback("the instance", r, again.message, cause, reterr);

        return vgpud_error_move(reterr, cause);
}

static int mdev_verify_create(VgpuTarget *t, const CreateArgs *args, const MdevParent *p, InstanceDesc **ret,
                              VgpudError *reterr)
{
        g_autofree char *path = g_strdup_printf("%s/%s", p->path, args->uuid);
        _cleanup_(instance_desc_freep) InstanceDesc *d = NULL;
        _cleanup_vgpud_error_ VgpudError cause = VGPUD_ERROR_INIT;
        int r;

        /* The kernel creates all links before write(2) returns, so one read is enough. */
        r = mdev_read_instance(t->io, p, args->uuid, &d);
        if (r >= 0 && d && g_strcmp0(d->type_id, args->type_id) == 0 && mdev_is_usable(d)) {
                d->device_api = g_strdup(MDEV_DEVICE_API);
                *ret = g_steal_pointer(&d);
                return 0;
        }

        if (!vgpu_io_exists(t->io, path))
                return vgpud_error_setf(reterr, VGPUD_ERROR_FAILED,
                                        "the new instance on %s vanished right after its creation", p->name);

        if (r < 0)
                (void)explain_unreadable(path, r, &cause);
        else if (d && g_strcmp0(d->type_id, args->type_id) == 0) {
                (void)vgpud_error_setf(&cause, VGPUD_ERROR_UNSUPPORTED,
                                       "the new instance has neither a driver nor an IOMMU group");
                vgpud_error_hintf(&cause, MDEV_NO_DRIVER_HINT);
        } else
                (void)vgpud_error_setf(&cause, VGPUD_ERROR_FAILED, "the new instance has type %s instead of %s",
                                       d && d->type_id ? d->type_id : "(unknown)", args->type_id);

        return mdev_undo_create(t->io, path, &cause, reterr);
}

/* Write the attributes. Attributes that are options of the type are also added to the instance, as a scan would
 * do. */
static int mdev_write_attributes(VgpuTarget *t, const CreateArgs *args, InstanceDesc *d, VgpudError *reterr)
{
        bool nvidia = mdev_type_is_nvidia(args->type_id);

        for (guint i = 0; args->attributes && i < args->attributes->len; i++) {
                const VgpuAttribute *a = args->attributes->pdata[i];
                bool params = nvidia && nvidia_params_is_name(a->name);
                g_autofree char *path =
                                g_strdup_printf("%s/%s", d->path, params ? NVIDIA_PARAMS_FILE : a->name);
                int r = vgpu_attribute_write(t->io, path, a, reterr);

                if (r < 0)
                        return r;
                if (params)
                        mdev_set_option(d, NVIDIA_PARAMS, a->value);
        }

        return 0;
}

static int mdev_write_create(VgpuTarget *t, const CreateArgs *args, const MdevParent *p)
{
        g_autofree char *create = g_strdup_printf("%s/mdev_supported_types/%s/create", p->path, args->type_id);
        g_autofree char *device = g_strdup_printf("%s/%s", p->path, args->uuid);
        VgpuWitness buffer;
        int r = vgpu_io_write_witnessed(t->io, create, args->uuid, create_args_witness(args, device, &buffer));

        /* vgpud-write died before or after its write(2), never inside: check the result. */
        return r == -EPROTO && vgpu_io_exists(t->io, device) ? 0 : r;
}

/* True if the reason may concern this parent alone, so that another VF is worth a try. */
static bool mdev_refusal_is_local(const MdevParent *p, int r)
{
        switch (-r) {
        case EAGAIN:
        case EBUSY:
        case EINVAL:
        case EIO:
        case ENODEV:
        case ENOMEM:
        case ENOSPC:
                return p->physfn;
        default:
                return false;
        }
}

static int mdev_create_on_any(VgpuTarget *t, const CreateArgs *args, const MdevParent **ret, VgpudError *reterr)
{
        const MdevParent *refuser = NULL;
        int refusal = 0;

        /* The driver may have been unloaded since the back end was chosen. */
        if (t->facts->mdev_parents->len == 0)
                return explain_gpu_gone(t->facts, 0, reterr);

        for (unsigned tries = 0; tries < REFUSALS_MAX; tries++) {
                _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
                const MdevParent *p = NULL;
                int r = mdev_choose_parent(t, args, &p, &e);

                if (r < 0 && !refuser)
                        return vgpud_error_move(reterr, &e);
                if (r < 0 || p == refuser)
                        break;

                r = mdev_write_create(t, args, p);
                if (r >= 0) {
                        *ret = p;
                        return 0;
                }

                if (!refuser) {
                        refuser = p;
                        refusal = r;
                }

                if (args->parent || !mdev_refusal_is_local(p, r))
                        break;
        }

        return mdev_explain_create(t, args, refuser, refusal, reterr);
}

static int mdev_create(VgpuTarget *t, const CreateArgs *args, InstanceDesc **ret, VgpudError *reterr)
{
        _cleanup_(instance_desc_freep) InstanceDesc *d = NULL;
        _cleanup_vgpud_error_ VgpudError cause = VGPUD_ERROR_INIT;
        const MdevParent *p = NULL;
        int r;

        r = mdev_check_args(args, reterr);
        if (r < 0)
                return r;

        r = mdev_refuse_existing(t->io, args->uuid, 0, reterr);
        if (r < 0)
                return r;

        r = mdev_create_on_any(t, args, &p, reterr);
        if (r < 0)
                return r;

        r = mdev_verify_create(t, args, p, &d, reterr);
        if (r < 0)
                return r;

        r = mdev_write_attributes(t, args, d, &cause);
        if (r < 0)
                return mdev_undo_create(t->io, d->path, &cause, reterr);

        *ret = g_steal_pointer(&d);

        return 0;
}

/* ---- destroy ---- */

static int mdev_explain_remove(const char *path, int r, VgpudError *reterr)
{
        static const Refusal refusals[] = {
                { EPERM, VGPUD_ERROR_IN_USE, INSTANCE_IN_USE }, /* Linux before 5.2: the driver refuses */
                { EBUSY, VGPUD_ERROR_IN_USE, INSTANCE_IN_USE },
                { ENODEV, VGPUD_ERROR_GPU_GONE,
                  "the driver of the GPU is being unloaded, which removes the instance" },
                { EAGAIN, VGPUD_ERROR_FAILED,
                  "the creation of the instance, or its removal by another program, is in progress",
                  VGPUD_HINT_TRY_AGAIN, "retry in a moment" },
                { ENOENT, VGPUD_ERROR_FAILED, "an earlier removal failed or is in progress",
                  VGPUD_HINT_REMOVE_BY_HAND,
                  "if the instance stays, only unloading the driver of the GPU removes it" },
                { 0 },
        };
        g_autofree char *uuid = g_path_get_basename(path);

        if (r == 0) {
                r = vgpud_error_setf(reterr, VGPUD_ERROR_FAILED, "instance %s still exists after its removal",
                                     uuid);
                vgpud_error_hintf(reterr, VGPUD_HINT_TRY_AGAIN,
                                  "retry in a moment, because another program may be removing the instance");
                return r;
        }

        return explain_refusal(refusals, r, reterr, "instance %s cannot be removed", uuid);
}

/* 1: removed; 0: did not exist. */
static int mdev_remove_instance(VgpuIo *io, const char *path, VgpudError *reterr)
{
        g_autofree char *remove_path = g_strconcat(path, "/remove", NULL), *driver = NULL, *cdev = NULL;
        _cleanup_close_ int keep_out_fd = -EBADF;
        int group = -1, r;

        if (!vgpu_io_exists(io, path))
                return 0;

        if ((r = vfio_read_group(io, path, &group)) < 0 || (r = vfio_read_cdev(io, path, &cdev)) < 0 ||
            (r = mdev_read_optional_link(io, path, "driver", &driver)) < 0) {
                if (!vgpu_io_exists(io, path))
                        return 0;

                return explain_unreadable(path, r, reterr);
        }

        /* A device without a driver has no VFIO device. If the group has no node either, no process can have
         * the device open. */
        if (!driver && !cdev && group >= 0) {
                g_autofree char *node = g_strdup_printf("vfio/%d", group);

                if (vgpu_io_node_exists(io, node) == 0)
                        group = -1;
        }

        /* The removal of an open device blocks forever since Linux 5.2, so check for users
         * first, and lock new users out until the instance is gone. */
        r = vfio_keep_out(io, group, cdev, &keep_out_fd, reterr);
        if (r < 0)
                return r;

        r = vgpu_io_write_guarded(io, remove_path, "1");
        keep_out_fd = safe_close(keep_out_fd);

        return vgpu_io_exists(io, path) ? mdev_explain_remove(path, r, reterr) : 1;
}

static int mdev_destroy(VgpuTarget *t, const InstanceDesc *instance, VgpudError *reterr)
{
        return mdev_remove_instance(t->io, instance->path, reterr);
}

/* ---- configure ---- */

static int mdev_configure(VgpuTarget *t, const char *mode, const char *value, VgpudError *reterr)
{
        if (!mdev_parents_are_vfs(t->facts))
                return vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED, "GPU %s has no modes", t->facts->name);

        return nvidia_configure(t, mode, value, reterr);
}

/* ---- handover ---- */

static Handover *mdev_handover(const InstanceDesc *instance)
{
        g_autofree char *path = g_strconcat("/sys/bus/mdev/devices/", instance->uuid, NULL);
        g_autofree char *device = g_strconcat("sysfsdev=", path, NULL);
        Handover *h = handover_new(instance, path, device);

        if (!mdev_is_usable(instance)) {
                g_clear_pointer(&h->qemu_args, g_strfreev);
                return h;
        }

        h->libvirt_xml = g_strdup_printf("<hostdev mode='subsystem' type='mdev' model='%s'>\n"
                                         "  <source>\n"
                                         "    <address uuid='%s'/>\n"
                                         "  </source>\n"
                                         "</hostdev>\n",
                                         MDEV_DEVICE_API, instance->uuid);

        return h;
}

static int mdev_set_vfs(VgpuTarget *t, uint32_t count, uint32_t *ret, VgpudError *reterr)
{
        return vfs_set(t, nvidia_vf_method_for(t->facts), count, ret, reterr);
}

const VgpuDriver mdev_driver = {
        .name = "mdev",
        .has_witness = true,
        .match = mdev_match,
        .scan = mdev_scan,
        .find_instances = mdev_find_instances,
        .create = mdev_create,
        .destroy = mdev_destroy,
        .set_vfs = mdev_set_vfs,
        .configure = mdev_configure,
        .predict = mdev_room_predict,
        .handover = mdev_handover,
};
