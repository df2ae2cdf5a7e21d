/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/mdev/scan.h"

#include <string.h>

#include "base/parse-util.h"
#include "drivers-glue/explain.h"
#include "drivers-glue/mdev/parse.h"
#include "drivers-glue/mdev/room.h"
#include "drivers-glue/nvidia/parse.h"
#include "drivers-glue/nvidia/type-name.h"
#include "drivers-glue/problem.h"
#include "drivers-glue/vfio/use.h"

DEFINE_DESTROY_NOTIFY(mdev_free_option, vgpu_type_option_free)
typedef struct Scan {
        const VgpuTarget *target;
        VgpuIo *io;
        GpuSnapshot *snapshot;
        GHashTable *types;  /* id -> VgpuType of the snapshot; NULL for types of another device_api */
        GHashTable *counts; /* owned: id -> Availability */
        bool yielded;       /* other work waits: the scan has no result */
} Scan;

/* The reads of `available_instances` of one type, one per parent. */
typedef struct Availability {
        unsigned n_read;
        char *path; /* owned; the first file of the type that cannot be read; NULL: none */
        int r;      /* why: a negative errno */
} Availability;

static void mdev_free_availability(gpointer p)
{
        Availability *a = p;

        g_free(a->path);
        g_free(a);
}

static Availability *mdev_get_availability(Scan *s, const char *id)
{
        Availability *a = g_hash_table_lookup(s->counts, id);

        if (!a) {
                a = g_new0(Availability, 1);
                g_hash_table_insert(s->counts, g_strdup(id), a);
        }

        return a;
}

/* A parent that is going away needs no explanation. */
static void mdev_note_unread(Scan *s, const char *id, const char *path, const char *name, int r)
{
        Availability *a = mdev_get_availability(s, id);

        if (a->path || vgpu_io_is_gone(r))
                return;

        a->path = g_strdup_printf("%s/%s", path, name);
        a->r = r;
}

/* The kernel puts the name of the driver before the id of a type: "nvidia-746". */
bool mdev_type_is_nvidia(const char *type_id)
{
        uint32_t number;

        return type_id && nvidia_type_id_parse(type_id, &number) >= 0;
}

void mdev_set_option(InstanceDesc *d, const char *name, const char *value)
{
        for (guint i = 0; d->attributes && i < d->attributes->len; i++) {
                VgpuAttribute *a = d->attributes->pdata[i];

                if (strcmp(a->name, name) == 0) {
                        g_free(a->value);
                        a->value = g_strdup(value);
                        return;
                }
        }

        if (!d->attributes)
                d->attributes = vgpu_attributes_new();
        g_ptr_array_add(d->attributes, vgpu_attribute_new(name, value));
}

/* A value that cannot be read is left out: the instance is usable without the value. */
static void mdev_read_params(VgpuIo *io, InstanceDesc *d)
{
        g_autofree char *text = NULL, *valid = NULL;

        if (!mdev_type_is_nvidia(d->type_id) ||
            vgpu_io_readf(io, &text, "%s/" NVIDIA_PARAMS_FILE, d->path) < 0 || !g_strstrip(text)[0])
                return;

        valid = g_utf8_make_valid(text, -1);
        mdev_set_option(d, NVIDIA_PARAMS, valid);
}

/* Read the attributes that are the same on every parent: device_api, name and description. *ret is NULL for
 * types of another device_api. */
static int mdev_read_type(VgpuIo *io, const char *path, const char *id, VgpuType **ret)
{
        g_autofree char *api = NULL, *name = NULL, *description = NULL;
        VgpuType *t;
        int r;

        *ret = NULL;

        r = vgpu_io_readf(io, &api, "%s/device_api", path);
        if (r < 0)
                return r;

        if (strcmp(api, MDEV_DEVICE_API) != 0)
                return 0;

        /* Some drivers and kernels have neither name nor description. If one is missing, read device_api again:
         * if that fails too, the parent is going away, and another parent may show the type. */
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
        if (mdev_type_is_nvidia(id)) {
                t->options = g_ptr_array_new_with_free_func(mdev_free_option);
                g_ptr_array_add(t->options, nvidia_params_option());
        }

        *ret = t;

        return 0;
}

/* Unreadable attributes must not hide the GPU, so they are only noted. */
static void mdev_scan_type(Scan *s, const MdevParent *p, const char *id)
{
        g_autofree char *path = g_strdup_printf("%s/mdev_supported_types/%s", p->path, id);
        gpointer known;
        uint32_t available;
        VgpuType *t;
        int r;

        if (g_hash_table_lookup_extended(s->types, id, NULL, &known))
                t = known;
        else {
                r = mdev_read_type(s->io, path, id, &t);
                if (r < 0) {
                        mdev_note_unread(s, id, path, "device_api", r);
                        return;
                }

                g_hash_table_insert(s->types, g_strdup(id), t);
                if (t)
                        g_ptr_array_add(s->snapshot->types, t);
        }

        if (!t)
                return;

        r = vgpu_io_read_u32f(s->io, &available, "%s/available_instances", path);
        if (r < 0) {
                mdev_note_unread(s, id, path, "available_instances", r);
                return;
        }

        mdev_get_availability(s, id)->n_read++;
        t->available = available > UINT32_MAX - t->available ? UINT32_MAX : t->available + available;
}

int mdev_read_optional_link(VgpuIo *io, const char *path, const char *name, char **ret)
{
        g_autofree char *link = g_strdup_printf("%s/%s", path, name);
        int r = vgpu_io_read_link_name(io, link, ret);

        g_assert(vgpu_io_name_is_valid(name));

        return r == -ENOENT ? 0 : r;
}

/* Read an instance as the kernel shows it, without device_api. *ret is NULL if the folder is not a mediated
 * device. */
int mdev_read_instance(VgpuIo *io, const MdevParent *p, const char *uuid, InstanceDesc **ret)
{
        g_autofree char *path = g_strdup_printf("%s/%s", p->path, uuid), *subsystem = NULL;
        g_autofree char *type_id = NULL, *driver = NULL, *cdev = NULL;
        InstanceDesc *d;
        int group, r;

        g_assert(uuid_is_valid(uuid));

        *ret = NULL;

        /* An instance that is being created may lack any of these links. A device with a type is a mediated
         * device, so its subsystem need not be read. */
        if ((r = mdev_read_optional_link(io, path, "mdev_type", &type_id)) < 0 ||
            (!type_id && (r = mdev_read_optional_link(io, path, "subsystem", &subsystem)) < 0) ||
            (r = mdev_read_optional_link(io, path, "driver", &driver)) < 0 ||
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

bool mdev_is_usable(const InstanceDesc *d)
{
        return d->driver || d->iommu_group >= 0 || d->cdev;
}

/* An instance without a link to its type is no problem: the kernel is creating it, and makes the link last. */
static void mdev_note_unusable(Scan *s, const InstanceDesc *d)
{
        if (d->type_id && !mdev_is_usable(d))
                gpu_snapshot_add_problem(s->snapshot, MDEV_NO_DRIVER_HINT,
                                         "instance %s has neither a driver nor an IOMMU group", d->uuid);
}

static int mdev_scan_instance(Scan *s, const MdevParent *p, const char *uuid)
{
        InstanceDesc *d = NULL;
        gpointer known;
        int r;

        r = mdev_read_instance(s->io, p, uuid, &d);
        if (r < 0 || !d)
                return r;

        if (d->type_id && g_hash_table_lookup_extended(s->types, d->type_id, NULL, &known)) {
                if (!known) {
                        instance_desc_free(d);
                        return 0;
                }

                d->device_api = g_strdup(MDEV_DEVICE_API);
        }

        mdev_read_params(s->io, d);
        mdev_note_unusable(s, d);
        g_ptr_array_add(s->snapshot->instances, d);

        return 0;
}

const MdevParent *mdev_find_parent(const GpuFacts *facts, const char *name)
{
        for (guint i = 0; i < facts->mdev_parents->len; i++) {
                const MdevParent *p = facts->mdev_parents->pdata[i];

                if (strcmp(p->name, name) == 0)
                        return p;
        }

        return NULL;
}

/* The first parent costs four reads per type, so the scan may have to give way within a parent. */
static bool mdev_must_yield(Scan *s)
{
        s->yielded = s->yielded || vgpu_target_must_yield(s->target);

        return s->yielded;
}

/* -ENOENT or -ENODEV: the parent went away. -EAGAIN with Scan.yielded: the scan gives way. */
static int mdev_scan_parent(Scan *s, const MdevParent *p)
{
        g_autofree char *types_path = g_strconcat(p->path, "/mdev_supported_types", NULL);
        g_auto(GStrv) names = NULL, types = NULL;
        int r;

        r = vgpu_io_list(s->io, types_path, &types);
        if (r < 0 && !vgpu_io_is_gone(r))
                gpu_snapshot_add_unread(s->snapshot, NULL, types_path, r);

        for (char **t = types; t && *t; t++) {
                if (mdev_must_yield(s))
                        return -EAGAIN;

                mdev_scan_type(s, p, *t);
        }

        /* Search the folder of the parent, which has the folder of an instance for the whole life of the
         * instance. The links in TYPE/devices appear later (Linux drivers/vfio/mdev/mdev_core.c). */
        r = vgpu_io_list(s->io, p->path, &names);
        if (r < 0)
                return r;

        for (char **n = names; *n; n++) {
                if (!uuid_is_valid(*n))
                        continue;

                r = mdev_scan_instance(s, p, *n);
                if (r < 0 && !vgpu_io_is_gone(r)) {
                        g_autofree char *path = g_strdup_printf("%s/%s", p->path, *n);

                        gpu_snapshot_add_unread(s->snapshot, *n, path, r);
                }
        }

        return 0;
}

/* Add the first unreadable file of each type to the problems of the GPU. If no parent shows the number of a
 * type, this file is also the reason why the type has no room. */
static void mdev_explain_unread(const Scan *s)
{
        GHashTableIter iter;
        gpointer id, value, known;

        g_hash_table_iter_init(&iter, s->counts);
        while (g_hash_table_iter_next(&iter, &id, &value)) {
                const Availability *a = value;
                VgpuType *t = g_hash_table_lookup_extended(s->types, id, NULL, &known) ? known : NULL;

                if (!a->path)
                        continue;

                gpu_snapshot_add_unread(s->snapshot, NULL, a->path, a->r);
                if (!t || a->n_read > 0)
                        continue;

                g_free(t->why_not);
                t->available = 0;
                t->why_not = g_strdup_printf("/sys/%s cannot be read: %s", a->path, explain_read_error(a->r));
                vgpud_hint_setf(&t->hint, VGPUD_HINT_SEE_KERNEL_LOG,
                                "look for messages of the driver in the kernel log, then run vgpuctl rescan");
        }
}

int mdev_scan(VgpuTarget *t, GpuSnapshot **ret, VgpudError *reterr)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *snapshot = gpu_snapshot_new();
        g_autoptr(GHashTable) types = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_autoptr(GHashTable) counts =
                        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, mdev_free_availability);
        Scan s = { .target = t, .io = t->io, .snapshot = snapshot, .types = types, .counts = counts };
        const GPtrArray *parents = t->facts->mdev_parents;
        const MdevParent *unread = NULL;
        int r = 0, problem = 0;
        guint alive = 0;

        for (guint i = 0; i < parents->len; i++) {
                const MdevParent *p = parents->pdata[i];

                r = mdev_must_yield(&s) ? -EAGAIN : mdev_scan_parent(&s, p);
                if (s.yielded)
                        return -EAGAIN;

                if (r >= 0)
                        alive++;
                else if (!vgpu_io_is_gone(r)) {
                        gpu_snapshot_add_unread(snapshot, p->name, p->path, r);
                        unread = p;
                        problem = r;
                }
        }

        if (alive == 0 && unread)
                return explain_unreadable(unread->path, problem, reterr);

        if (alive == 0)
                return explain_gpu_gone(t->facts, r, reterr);

        mdev_room_find(t, snapshot);
        mdev_explain_unread(&s);
        gpu_snapshot_seal(snapshot);
        *ret = g_steal_pointer(&snapshot);

        return 0;
}

void mdev_find_instances(VgpuTarget *t, const char *parent, GpuSnapshot *s)
{
        const MdevParent *p = mdev_find_parent(t->facts, parent);
        g_auto(GStrv) names = NULL;
        int r = p ? vgpu_io_list(t->io, p->path, &names) : -ENOENT;

        if (r < 0) {
                gpu_snapshot_add_unread(s, parent, p ? p->path : t->facts->path, r);
                return;
        }

        for (char **n = names; *n; n++) {
                InstanceDesc *d = NULL;

                if (!uuid_is_valid(*n))
                        continue;

                r = mdev_read_instance(t->io, p, *n, &d);
                if (r < 0 && !vgpu_io_is_gone(r)) {
                        g_autofree char *path = g_strdup_printf("%s/%s", p->path, *n);

                        gpu_snapshot_add_unread(s, *n, path, r);
                }
                if (d)
                        g_ptr_array_add(s->instances, d);
        }
}
