/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The back end for mediated devices (Linux Documentation/driver-api/vfio-mediated-device.rst): Intel GVT-g,
 * NVIDIA vGPU on GPUs and drivers that use the mdev interface, and the kernel's samples. Nothing in it asks who
 * made the GPU; what differs between them is visible in sysfs: whether the parents are virtual functions, and
 * what the descriptions say. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/parse-util.h"
#include "drivers-glue/driver.h"
#include "drivers-glue/explain.h"
#include "drivers-glue/mdev/parse.h"
#include "drivers-glue/mdev/room.h"
#include "drivers-glue/nvidia/nvml.h"
#include "drivers-glue/nvidia/vfs.h"
#include "drivers-glue/registry.h"
#include "drivers-glue/nvidia/type-name.h"
#include "drivers-glue/vfio/use.h"

#define DEVICE_API "vfio-pci"
/* So many virtual functions may refuse, each for a reason of its own, before it is taken for one of the GPU. */
#define REFUSALS_MAX 4

static VgpuMatch mdev_match(const GpuFacts *facts)
{
        return facts->mdev_parents->len > 0 ? VGPU_MATCH_GENERIC : VGPU_MATCH_NO;
}

/* scan */

typedef struct Scan {
        VgpuIo *io;
        GpuSnapshot *snapshot;
        GHashTable *types; /* id -> VgpuType of the snapshot; NULL for a type that is not for PCI devices */
} Scan;

/* The texts that are the same on every parent. NULL in *ret when the type is not ours. */
static int read_type(VgpuIo *io, const char *path, const char *id, VgpuType **ret)
{
        g_autofree char *api = NULL, *name = NULL, *description = NULL;
        VgpuType *t;
        int r;

        *ret = NULL;
        r = vgpu_io_readf(io, &api, "%s/device_api", path);
        if (r < 0)
                return r;
        if (strcmp(api, DEVICE_API) != 0)
                return 0;
        /* Both are missing with some drivers and kernels; or this parent goes at this moment, and another has
         * them. */
        r = vgpu_io_readf(io, &name, "%s/name", path);
        if (r == -ENODEV)
                return r;
        r = vgpu_io_readf(io, &description, "%s/description", path);
        if (r == -ENODEV)
                return r;
        if (!name || !description) {
                g_autofree char *still = NULL;
                r = vgpu_io_readf(io, &still, "%s/device_api", path);
                if (r < 0)
                        return r;
        }

        t = vgpu_type_new(id);
        t->device_api = g_steal_pointer(&api);
        if (name && name[0]) {
                g_free(t->name);
                t->name = g_utf8_make_valid(name, -1);
        }
        if (description && description[0]) {
                t->description = g_utf8_make_valid(description, -1);
                mdev_parse_description(t->description, t);
        }
        type_name_apply(t);
        *ret = t;
        return 0;
}

/* What cannot be read counts as nothing: one odd attribute must not hide the GPU. */
static void scan_type(Scan *s, const MdevParent *p, const char *id)
{
        g_autofree char *path = g_strdup_printf("%s/mdev_supported_types/%s", p->path, id), *text = NULL;
        gpointer known;
        uint32_t available;
        VgpuType *t;

        if (g_hash_table_lookup_extended(s->types, id, NULL, &known))
                t = known;
        else {
                if (read_type(s->io, path, id, &t) < 0)
                        return;
                g_hash_table_insert(s->types, g_strdup(id), t);
                if (t)
                        g_ptr_array_add(s->snapshot->types, t);
        }
        if (!t || vgpu_io_readf(s->io, &text, "%s/available_instances", path) < 0 ||
            parse_u32(text, 10, &available) < 0)
                return;
        t->available = available > UINT32_MAX - t->available ? UINT32_MAX : t->available + available;
}

static int read_optional_link_name(VgpuIo *io, const char *path, const char *name, char **ret)
{
        g_autofree char *link = g_strdup_printf("%s/%s", path, name);
        int r = vgpu_io_read_link_name(io, link, ret);

        return r == -ENOENT ? 0 : r;
}

/* What the kernel shows of one instance, without device_api. NULL in *ret when the folder is not a mediated
 * device. */
static int read_instance(VgpuIo *io, const MdevParent *p, const char *uuid, InstanceDesc **ret)
{
        g_autofree char *path = g_strdup_printf("%s/%s", p->path, uuid), *subsystem = NULL;
        g_autofree char *type_id = NULL, *driver = NULL, *cdev = NULL;
        InstanceDesc *d;
        int group, r;

        *ret = NULL;
        /* A device that is just being made may lack any of these links. */
        if ((r = read_optional_link_name(io, path, "subsystem", &subsystem)) < 0 ||
            (r = read_optional_link_name(io, path, "mdev_type", &type_id)) < 0 ||
            (r = read_optional_link_name(io, path, "driver", &driver)) < 0 ||
            (r = vfio_read_group(io, path, &group)) < 0 || (r = vfio_read_cdev(io, path, &cdev)) < 0)
                return r;
        if (subsystem && strcmp(subsystem, "mdev") != 0)
                return 0;
        d = instance_desc_new(uuid);
        d->type_id = g_steal_pointer(&type_id);
        d->parent = g_strdup(p->name);
        d->path = g_steal_pointer(&path);
        d->driver = g_steal_pointer(&driver);
        d->iommu_group = group;
        d->cdev = g_steal_pointer(&cdev);
        *ret = d;
        return 0;
}

static int scan_instance(Scan *s, const MdevParent *p, const char *uuid)
{
        InstanceDesc *d = NULL;
        gpointer known;
        int r;

        r = read_instance(s->io, p, uuid, &d);
        if (r < 0 || !d)
                return r;
        if (d->type_id && g_hash_table_lookup_extended(s->types, d->type_id, NULL, &known)) {
                if (!known) {
                        instance_desc_free(d);
                        return 0;
                }
                d->device_api = g_strdup(DEVICE_API);
        }
        g_ptr_array_add(s->snapshot->instances, d);
        return 0;
}

/* -ENOENT or -ENODEV when the parent has gone. */
static int scan_parent(Scan *s, const MdevParent *p)
{
        g_autofree char *types_path = g_strconcat(p->path, "/mdev_supported_types", NULL);
        g_auto(GStrv) names = NULL, types = NULL;
        int r;

        r = vgpu_io_list(s->io, types_path, &types);
        if (r < 0 && !vgpu_io_is_gone(r))
                return r;
        for (char **t = types; t && *t; t++)
                scan_type(s, p, *t);

        /* Instances are folders of the parent from their first moment to their last; the links in TYPE/devices
         * come later (Linux drivers/vfio/mdev/mdev_core.c), and there are as many of those folders as types. */
        r = vgpu_io_list(s->io, p->path, &names);
        if (r < 0)
                return r;
        for (char **n = names; *n; n++) {
                if (!uuid_is_valid(*n))
                        continue;
                r = scan_instance(s, p, *n);
                if (r < 0 && !vgpu_io_is_gone(r))
                        return r;
        }
        return 0;
}

static int mdev_scan(VgpuTarget *t, GpuSnapshot **ret, VgpudError *reterr)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *snapshot = gpu_snapshot_new();
        g_autoptr(GHashTable) types = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        Scan s = { .io = t->io, .snapshot = snapshot, .types = types };
        const GPtrArray *parents = t->facts->mdev_parents;
        guint alive = 0;
        int r = 0;

        for (guint i = 0; i < parents->len; i++) {
                const MdevParent *p = parents->pdata[i];
                r = scan_parent(&s, p);
                if (r >= 0)
                        alive++;
                else if (!vgpu_io_is_gone(r))
                        return explain_unreadable(p->path, r, reterr);
        }
        if (alive == 0)
                return explain_gpu_gone(t->facts, r, reterr);
        mdev_room_find(t, snapshot);
        gpu_snapshot_seal(snapshot);
        *ret = g_steal_pointer(&snapshot);
        return 0;
}

/* Explanations */

/* r: what the kernel answered, 0 when it was not asked. */
static int no_capacity(VgpuTarget *t, const CreateArgs *args, int r, VgpudError *reterr)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;
        g_autofree char *text = NULL;
        int q = mdev_scan(t, &s, reterr);

        if (q < 0)
                return q;

        text = mdev_room_refuse(t->facts, s, args->type_id, args->parent);

        return vgpud_error_set_errnof(reterr, VGPUD_ERROR_NO_CAPACITY, r, "%s", text);
}

/* 0 when no instance of that UUID exists, on whatever parent. */
static int refuse_existing(VgpuIo *io, const char *uuid, int r, VgpudError *reterr)
{
        g_autofree char *link = g_strconcat("bus/mdev/devices/", uuid, NULL), *path = NULL, *parent_path = NULL;
        g_autofree char *parent = NULL, *type_id = NULL;

        if (vgpu_io_resolve_link(io, link, &path) < 0) {
                if (r >= 0)
                        return 0;
                return vgpud_error_set_errnof(
                                reterr, VGPUD_ERROR_EXISTS, r,
                                "the kernel says that an instance of UUID %s exists, but does not show where; its removal may be in progress",
                                uuid);
        }

        parent_path = g_path_get_dirname(path);
        parent = g_path_get_basename(parent_path);
        (void)read_optional_link_name(io, path, "mdev_type", &type_id);

        return vgpud_error_set_errnof(
                        reterr, VGPUD_ERROR_EXISTS, r,
                        "an instance of UUID %s exists already: of type %s on %s; choose another UUID, or none to get a new one",
                        uuid, type_id ? type_id : "(unknown)", parent);
}

/* create */

static int check_args(const CreateArgs *args, VgpudError *reterr)
{
        if (!vgpu_io_name_is_valid(args->type_id))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "this cannot be the name of a type");
        return create_args_check(args, reterr);
}

static const MdevParent *find_parent(const GpuFacts *facts, const char *name)
{
        for (guint i = 0; i < facts->mdev_parents->len; i++) {
                const MdevParent *p = facts->mdev_parents->pdata[i];
                if (strcmp(p->name, name) == 0)
                        return p;
        }
        return NULL;
}

static int no_such_type(VgpuTarget *t, const CreateArgs *args, VgpudError *reterr)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;
        int r = mdev_scan(t, &s, reterr);

        if (r < 0)
                return r;

        return explain_no_such_type(s, args->type_id, args->parent ? args->parent : t->facts->name, reterr);
}

/* How many the parent says it can make; vgpu_io_is_gone() when it does not offer the type. */
static int read_available(VgpuIo *io, const MdevParent *p, const char *type_id, uint32_t *ret)
{
        g_autofree char *text = NULL;
        int r = vgpu_io_readf(io, &text, "%s/mdev_supported_types/%s/available_instances", p->path, type_id);

        if (r < 0)
                return r;
        return parse_u32(text, 10, ret);
}

/* The first parent with room, or the one that was asked for if that has. */
static int choose_parent(VgpuTarget *t, const CreateArgs *args, const MdevParent **ret, VgpudError *reterr)
{
        const GPtrArray *parents = t->facts->mdev_parents;
        const MdevParent *unreadable = NULL;
        bool offered = false, readable = false;
        int problem = 0;

        if (args->parent && !find_parent(t->facts, args->parent))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "%s is no parent of instances of GPU %s",
                                        args->parent, t->facts->name);
        /* From where the last one of the same job found room: those before had none a moment ago, and a virtual
         * function takes only one. */
        for (guint i = 0; i < parents->len; i++) {
                guint at = (t->parent_hint + i) % parents->len;
                const MdevParent *p = parents->pdata[at];
                g_autofree char *api = NULL;
                uint32_t available = 0;
                int r;

                if (args->parent && strcmp(args->parent, p->name) != 0)
                        continue;
                r = vgpu_io_readf(t->io, &api, "%s/mdev_supported_types/%s/device_api", p->path, args->type_id);
                if (r < 0 || strcmp(api, DEVICE_API) != 0)
                        continue;
                offered = true;
                r = read_available(t->io, p, args->type_id, &available);
                if (r < 0) {
                        unreadable = p;
                        problem = r;
                } else
                        readable = true;
                if (available > 0) {
                        t->parent_hint = at;
                        *ret = p;
                        return 0;
                }
        }
        if (offered && !readable) {
                g_autofree char *file = g_strconcat(unreadable->path, "/mdev_supported_types", NULL);
                return explain_read(t->facts, file, problem, reterr);
        }

        return offered ? no_capacity(t, args, 0, reterr) : no_such_type(t, args, reterr);
}

static int mdev_explain_create(VgpuTarget *t, const CreateArgs *args, const MdevParent *p, int r,
                               VgpudError *reterr)
{
        static const Refusal refusals[] = {
                { EAGAIN, VGPUD_ERROR_FAILED,
                  "the driver is not ready to create instances yet; try again in a moment" },
                { EINVAL, VGPUD_ERROR_FAILED,
                  "the driver objects to the type or to the state of the GPU; see the kernel's log" },
                { EIO, VGPUD_ERROR_FAILED,
                  "the driver refused although it reports room; the GPU may be committed to another framebuffer size or to MIG, or the removal of an instance of the same UUID is in progress; see the kernel's log" },
                { ENOMEM, VGPUD_ERROR_FAILED, "the kernel is out of memory" },
                { 0 },
        };
        uint32_t available = 0;

        switch (-r) {
        case EEXIST:
                return refuse_existing(t->io, args->uuid, r, reterr);
        case EUSERS:
        case ENOSPC:
                return no_capacity(t, args, r, reterr);
        case ENOMEM:
        case EIO:
                /* They stand for everything from "full" to "broken". */
                if (read_available(t->io, p, args->type_id, &available) >= 0 && available == 0)
                        return no_capacity(t, args, r, reterr);
                break;
        case ENODEV:
                return explain_gpu_gone(t->facts, r, reterr);
        case ENOENT: /* from opening: the type was there a moment ago */
                if (!vgpu_io_exists(t->io, p->path))
                        return explain_gpu_gone(t->facts, r, reterr);
                return no_such_type(t, args, reterr);
        default:
                break;
        }

        return explain_refusal(refusals, r, reterr, "a %s cannot be created on %s", args->type_id, p->name);
}

static int remove_instance(VgpuIo *io, const char *path, VgpudError *reterr);

/* Take back a half-made instance, because of *cause, which is emptied. */
static int mdev_undo_create(VgpuIo *io, const char *path, VgpudError *cause, VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError again = VGPUD_ERROR_INIT;
        int r = remove_instance(io, path, &again);

        if (r < 0)
                return explain_rollback("the instance", r, again.message, cause, reterr);

        return vgpud_error_move(reterr, cause);
}

static int verify(VgpuTarget *t, const CreateArgs *args, const MdevParent *p, InstanceDesc **ret,
                  VgpudError *reterr)
{
        g_autofree char *path = g_strdup_printf("%s/%s", p->path, args->uuid);
        _cleanup_(instance_desc_freep) InstanceDesc *d = NULL;
        _cleanup_vgpud_error_ VgpudError cause = VGPUD_ERROR_INIT;
        int r;

        /* The kernel makes all links before write(2) returns, so looking once is enough. */
        r = read_instance(t->io, p, args->uuid, &d);
        if (r >= 0 && d && g_strcmp0(d->type_id, args->type_id) == 0) {
                d->device_api = g_strdup(DEVICE_API);
                *ret = g_steal_pointer(&d);
                return 0;
        }
        if (!vgpu_io_exists(t->io, path))
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_FAILED,
                                "the kernel reported success, but the instance is not there; the driver of %s or another program may have removed it at once",
                                p->name);
        if (r < 0)
                (void)explain_unreadable(path, r, &cause);
        else
                (void)vgpud_error_setf(&cause, VGPUD_ERROR_FAILED,
                                       "the new instance is not of type %s but of type %s", args->type_id,
                                       d && d->type_id ? d->type_id : "(unknown)");
        return mdev_undo_create(t->io, path, &cause, reterr);
}

static int write_attributes(VgpuTarget *t, const CreateArgs *args, const InstanceDesc *d, VgpudError *reterr)
{
        for (guint i = 0; args->attributes && i < args->attributes->len; i++) {
                const VgpuAttribute *a = args->attributes->pdata[i];
                g_autofree char *path = g_strdup_printf("%s/%s", d->path, a->name);
                int r = vgpu_io_write(t->io, path, a->value);

                if (r < 0)
                        return explain_attribute(a, r, reterr);
        }

        return 0;
}

static int ask_for(VgpuTarget *t, const CreateArgs *args, const MdevParent *p)
{
        g_autofree char *create = g_strdup_printf("%s/mdev_supported_types/%s/create", p->path, args->type_id);
        g_autofree char *device = g_strdup_printf("%s/%s", p->path, args->uuid);
        int r = vgpu_io_write_guarded(t->io, create, args->uuid);

        /* A writer that died did so after its write(2), or before it: a process cannot end inside. */
        return r == -EPROTO && vgpu_io_exists(t->io, device) ? 0 : r;
}

/* Whether another virtual function might do what this one would not. */
static bool may_be_of_parent(const MdevParent *p, int r)
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

static int make_on_some_parent(VgpuTarget *t, const CreateArgs *args, const MdevParent **ret,
                               VgpudError *reterr)
{
        const MdevParent *refuser = NULL;
        int refusal = 0;

        for (unsigned tries = 0; tries < REFUSALS_MAX; tries++) {
                _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
                const MdevParent *p = NULL;
                int r = choose_parent(t, args, &p, &e);

                if (r < 0 && !refuser)
                        return vgpud_error_move(reterr, &e);
                if (r < 0 || p == refuser)
                        break;
                r = ask_for(t, args, p);
                if (r >= 0) {
                        *ret = p;
                        return 0;
                }
                if (!refuser) {
                        refuser = p;
                        refusal = r;
                }
                if (args->parent || !may_be_of_parent(p, r))
                        break;
                t->parent_hint = (t->parent_hint + 1) % t->facts->mdev_parents->len;
        }
        return mdev_explain_create(t, args, refuser, refusal, reterr);
}

static int mdev_create(VgpuTarget *t, const CreateArgs *args, InstanceDesc **ret, VgpudError *reterr)
{
        _cleanup_(instance_desc_freep) InstanceDesc *d = NULL;
        _cleanup_vgpud_error_ VgpudError cause = VGPUD_ERROR_INIT;
        const MdevParent *p = NULL;
        int r;

        r = check_args(args, reterr);
        if (r < 0)
                return r;
        r = refuse_existing(t->io, args->uuid, 0, reterr);
        if (r < 0)
                return r;
        r = make_on_some_parent(t, args, &p, reterr);
        if (r < 0)
                return r;
        r = verify(t, args, p, &d, reterr);
        if (r < 0)
                return r;
        r = write_attributes(t, args, d, &cause);
        if (r < 0)
                return mdev_undo_create(t->io, d->path, &cause, reterr);
        *ret = g_steal_pointer(&d);
        return 0;
}

/* destroy */

static int mdev_explain_remove(const char *path, int r, VgpudError *reterr)
{
        static const Refusal refusals[] = {
                { EPERM, VGPUD_ERROR_IN_USE, "it is in use" }, /* kernels below 5.2 let the driver refuse */
                { EBUSY, VGPUD_ERROR_IN_USE, "it is in use" },
                { ENODEV, VGPUD_ERROR_GPU_GONE,
                  "the driver of the GPU is being unloaded, and takes it with it" },
                { EAGAIN, VGPUD_ERROR_FAILED,
                  "its creation, or its removal by another program, is in progress; try again in a moment" },
                { ENOENT, VGPUD_ERROR_FAILED,
                  "an earlier removal failed or is still in progress; if the instance stays, only unloading the GPU's driver removes it" },
                { 0 },
        };
        g_autofree char *uuid = g_path_get_basename(path);

        if (r == 0)
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_FAILED,
                                "the kernel reported success, but instance %s is still there; another program may be removing it",
                                uuid);

        return explain_refusal(refusals, r, reterr, "instance %s cannot be removed", uuid);
}

/* 1: removed, 0: it was not there. */
static int remove_instance(VgpuIo *io, const char *path, VgpudError *reterr)
{
        g_autofree char *remove_path = g_strconcat(path, "/remove", NULL), *driver = NULL, *cdev = NULL;
        _cleanup_close_ int keep_out_fd = -EBADF;
        int group = -1, r;

        if (!vgpu_io_exists(io, path))
                return 0;
        if ((r = vfio_read_group(io, path, &group)) < 0 || (r = vfio_read_cdev(io, path, &cdev)) < 0 ||
            (r = read_optional_link_name(io, path, "driver", &driver)) < 0) {
                if (!vgpu_io_exists(io, path))
                        return 0;
                return explain_unreadable(path, r, reterr);
        }
        /* A device that no driver has taken has no VFIO device; where even the node is missing, nobody can have
         * it. */
        if (!driver && !cdev && group >= 0) {
                g_autofree char *node = g_strdup_printf("vfio/%d", group);
                if (vgpu_io_node_exists(io, node) == 0)
                        group = -1;
        }

        /* Since Linux 5.2 removing a device that is open does not fail but waits for ever. So test before, and
         * let nobody open it until it is gone. */
        r = vfio_keep_out(io, group, cdev, &keep_out_fd, reterr);
        if (r < 0)
                return r;
        r = vgpu_io_write_guarded(io, remove_path, "1");
        keep_out_fd = safe_close(keep_out_fd);

        return vgpu_io_exists(io, path) ? mdev_explain_remove(path, r, reterr) : 1;
}

static int mdev_destroy(VgpuTarget *t, const InstanceDesc *instance, VgpudError *reterr)
{
        return remove_instance(t->io, instance->path, reterr);
}

/* configure */

static int mdev_configure(VgpuTarget *t, const char *mode, const char *value, VgpudError *reterr)
{
        if (!mdev_parents_are_vfs(t->facts))
                return vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED, "GPU %s has no modes", t->facts->name);
        return nvidia_configure(t, mode, value, reterr);
}

/* handover */

static Handover *mdev_handover(const InstanceDesc *instance)
{
        g_autofree char *path = g_strconcat("/sys/bus/mdev/devices/", instance->uuid, NULL);
        g_autofree char *device = g_strconcat("sysfsdev=", path, NULL);
        Handover *h = handover_new(instance, path, device);

        h->libvirt_xml = g_strdup_printf("<hostdev mode='subsystem' type='mdev' model='%s'>\n"
                                         "  <source>\n"
                                         "    <address uuid='%s'/>\n"
                                         "  </source>\n"
                                         "</hostdev>\n",
                                         DEVICE_API, instance->uuid);
        return h;
}

static int mdev_set_vfs(VgpuTarget *t, uint32_t count, uint32_t *ret, VgpudError *reterr)
{
        return vfs_set(t, nvidia_vf_method_for(t->facts), count, ret, reterr);
}

const VgpuDriver mdev_driver = {
        .name = "mdev",
        .match = mdev_match,
        .scan = mdev_scan,
        .create = mdev_create,
        .destroy = mdev_destroy,
        .set_vfs = mdev_set_vfs,
        .configure = mdev_configure,
        .predict = mdev_room_amend,
        .handover = mdev_handover,
};
