/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The back end for NVIDIA vGPU without mediated devices (vGPU 17 and later): a vGPU is a type that a virtual
 * function has been given by a write to nvidia/current_vgpu_type, and 0 takes it away. The functions stay bound
 * to nvidia, which is their VFIO driver. None of this is an interface that anybody has promised: files are
 * looked for, not assumed.
 *
 * Order of things: MIG mode, virtual functions, heterogeneous mode, GPU instances, types; each step is refused
 * by the one that needs it. */

#include <inttypes.h>
#include <string.h>

#include "base/pci-addr.h"
#include "drivers-glue/explain.h"
#include "drivers-glue/nvidia/capacity.h"
#include "drivers-glue/nvidia/nvml.h"
#include "drivers-glue/nvidia/parse.h"
#include "drivers-glue/nvidia/vf.h"
#include "drivers-glue/nvidia/vfs.h"
#include "drivers-glue/registry.h"
#include "drivers-glue/nvidia/type-name.h"
#include "drivers-glue/vfio/use.h"
#include "drivers-glue/vf/bind.h"

#define DEVICE_API           "vfio-pci"
#define NAMES_IN_MESSAGE_MAX 8
/* So many functions may refuse, each for a reason of its own, before it is taken for one of the GPU. */
#define REFUSALS_MAX 4

static const char *const params_names[] = { "vgpu_params", "nvidia/vgpu_params" };

DEFINE_DESTROY_NOTIFY(free_option, vgpu_type_option_free)
DEFINE_DESTROY_NOTIFY(free_attribute, vgpu_attribute_free)

/* Also while it cannot be seen whether it is this one: functions that are not enabled, or show nothing, are
 * what it explains, and mediated devices that are registered later make it the other one. */
static VgpuMatch nvidia_match(const GpuFacts *f)
{
        return f->is_pci && g_strcmp0(f->driver, NVIDIA_DRIVER) == 0 && f->total_vfs > 0 &&
                                               f->mdev_parents->len == 0
                               ? VGPU_MATCH_VENDOR
                               : VGPU_MATCH_NO;
}

/* scan */

typedef struct Scan {
        VgpuTarget *t;
        GpuSnapshot *snapshot;
        NvmlAnswer *nvml;  /* owned; NULL: nobody to ask */
        GHashTable *types; /* id -> VgpuType of the snapshot */
        uint32_t n_ready, n_free, n_not_ready, n_elsewhere, n_gone;
        char *elsewhere; /* owned; a driver that a function is bound to instead */
} Scan;

static void scan_done(Scan *s)
{
        nvml_answer_free(s->nvml);
        g_clear_pointer(&s->types, g_hash_table_unref);
        g_free(s->elsewhere);
}

/* The type of the id, made when it is new; NULL for its name when nobody knows it. */
static VgpuType *get_type(Scan *s, uint32_t id, const char *name)
{
        g_autofree char *type_id = nvidia_type_id(id);
        VgpuType *t = g_hash_table_lookup(s->types, type_id);

        if (t)
                return t;
        t = vgpu_type_new(type_id);
        if (name) {
                g_free(t->name);
                t->name = g_strdup(name);
        }
        t->device_api = g_strdup(DEVICE_API);
        type_name_apply(t);
        t->options = g_ptr_array_new_with_free_func(free_option);
        g_ptr_array_add(t->options,
                        vgpu_type_option_new(params_names[0],
                                             "NVIDIA's parameters of a vGPU, KEY=VALUE and commas between "
                                             "them; a virtual machine that starts later gets them"));
        g_ptr_array_add(s->snapshot->types, t);
        g_hash_table_insert(s->types, t->id, t);
        return t;
}

static void read_attribute(VgpuIo *io, InstanceDesc *d, const char *name)
{
        g_autofree char *path = nvidia_vf_file(d->path, name), *text = NULL;

        if (vgpu_io_read(io, path, &text) < 0 || !g_strstrip(text)[0])
                return;
        if (!d->attributes)
                d->attributes = g_ptr_array_new_with_free_func(free_attribute);
        g_autofree char *valid = g_utf8_make_valid(text, -1);
        g_ptr_array_add(d->attributes, vgpu_attribute_new(name, valid));
}

/* The vGPU on this function. `uuid` may be NULL. */
static int read_instance(VgpuIo *io, const VgpuVf *vf, uint32_t type, const char *uuid, InstanceDesc **ret)
{
        g_autofree char *driver = NULL, *cdev = NULL;
        InstanceDesc *d;
        int group, r;

        if ((r = vfs_read_driver(io, vf->path, &driver)) < 0 ||
            (r = vfio_read_group(io, vf->path, &group)) < 0 || (r = vfio_read_cdev(io, vf->path, &cdev)) < 0)
                return r;
        d = instance_desc_new(uuid);
        d->slot = g_strdup(vf->name);
        d->type_id = nvidia_type_id(type);
        d->parent = g_strdup(vf->name);
        d->path = g_strdup(vf->path);
        d->device_api = g_strdup(DEVICE_API);
        d->driver = g_steal_pointer(&driver);
        d->iommu_group = group;
        d->cdev = g_steal_pointer(&cdev);
        read_attribute(io, d, "vgpu_params");
        read_attribute(io, d, "placement_id");
        read_attribute(io, d, "gpu_instance_id");
        *ret = d;
        return 0;
}

static int scan_vf(Scan *s, const VgpuVf *vf)
{
        g_autofree char *driver = NULL;
        InstanceDesc *d = NULL;
        uint32_t type = 0;
        NvidiaVfState state;
        int r;

        r = nvidia_vf_read(s->t->io, vf, &state, &type, &driver);
        if (r < 0)
                return r;
        switch (state) {
        case NVIDIA_VF_GONE:
                s->n_gone++;
                return 0;
        case NVIDIA_VF_NOT_READY:
                s->n_not_ready++;
                return 0;
        case NVIDIA_VF_ELSEWHERE:
                s->n_elsewhere++;
                if (!s->elsewhere)
                        s->elsewhere = g_steal_pointer(&driver);
                return 0;
        case NVIDIA_VF_READY:
                break;
        }
        s->n_ready++;
        if (type == 0) {
                g_autoptr(GPtrArray) creatable = nvidia_vf_read_creatable(s->t->io, vf->path);
                s->n_free++;
                for (guint i = 0; i < creatable->len; i++) {
                        const NvidiaListed *l = creatable->pdata[i];
                        get_type(s, l->id, l->name)->available++;
                }
                return 0;
        }
        r = read_instance(s->t->io, vf, type, NULL, &d);
        if (r < 0)
                return vgpu_io_is_gone(r) ? 0 : r;
        g_ptr_array_add(s->snapshot->instances, d);
        return 0;
}

/* Details that no file has; names as well, where the lists leave them out. */
static void add_nvml_types(Scan *s)
{
        for (guint i = 0; s->nvml && i < s->nvml->types->len; i++) {
                const NvmlType *n = s->nvml->types->pdata[i];
                if (n->id == 0 || !n->name)
                        continue;
                VgpuType *t = get_type(s, n->id, n->name);
                if (t->framebuffer_bytes == 0)
                        t->framebuffer_bytes = n->framebuffer_bytes;
                t->heads = n->heads;
                t->max_x = n->max_x;
                t->max_y = n->max_y;
                t->frame_rate_limit = n->frame_rate_limit;
                t->max_instances = n->max_instances;
                t->mig |= n->mig;
        }
}

/* What GPUs of this model were seen to offer before, and what this one leaves out now. The library's list is
 * whole, and so is that of a GPU without vGPUs but for the slices; a type that is missing in it belongs to
 * another driver. */
static void add_known_types(Scan *s)
{
        const GPtrArray *known = s->t->known_types;
        bool whole = s->snapshot->instances->len == 0 && s->snapshot->types->len > 0;

        if (s->nvml && s->nvml->types->len > 0)
                return;
        for (guint i = 0; known && i < known->len; i++) {
                const VgpuType *k = known->pdata[i];
                uint32_t id;
                if (nvidia_type_id_parse(k->id, &id) < 0 || (whole && !k->mig))
                        continue;
                VgpuType *t = get_type(s, id, k->name);
                if (t->framebuffer_bytes == 0)
                        t->framebuffer_bytes = k->framebuffer_bytes;
        }
}

/* Types that are in use have the names they had before, or none. */
static void add_used_types(Scan *s)
{
        const GPtrArray *known = s->t->known_types;

        for (guint i = 0; i < s->snapshot->instances->len; i++) {
                const InstanceDesc *d = s->snapshot->instances->pdata[i];
                const char *name = NULL;
                uint32_t id;

                for (guint k = 0; known && k < known->len; k++)
                        if (strcmp(((const VgpuType *)known->pdata[k])->id, d->type_id) == 0)
                                name = ((const VgpuType *)known->pdata[k])->name;
                if (nvidia_type_id_parse(d->type_id, &id) >= 0)
                        (void)get_type(s, id, name);
        }
}

/* Some GPUs advertise virtual functions that nobody ever makes, which only the library can tell before it was
 * tried. */
static char *explain_not_enabled(const Scan *s)
{
        const GpuFacts *f = s->t->facts;
        g_autofree char *text = NULL;

        if (s->nvml && s->nvml->host_vgpu_mode == NVML_HOST_VGPU_MODE_NON_SRIOV)
                return g_strdup_printf("it advertises %" PRIu32 " virtual functions but never makes them: its "
                                       "vGPUs are made on the GPU itself, and the vGPU manager has registered "
                                       "no types there; see that nvidia_vgpu_vfio is loaded and that the "
                                       "services nvidia-vgpud and nvidia-vgpu-mgr run",
                                       f->total_vfs);
        text = g_strdup_printf("its virtual functions, on which vGPUs are made, are not enabled (0 of %" PRIu32
                               "); enable them: vgpuctl enable-vfs %s",
                               f->total_vfs, f->name);
        if (s->nvml && s->nvml->host_vgpu_mode == NVML_HOST_VGPU_MODE_SRIOV)
                return g_steal_pointer(&text);
        return g_strconcat(text,
                           "; if there are none then, it is a GPU from before Ampere (such as a T4), which "
                           "advertises functions that it never makes: with those, the vGPU manager registers "
                           "types on the GPU itself as soon as it is loaded",
                           NULL);
}

static char *explain_unprepared(const Scan *s)
{
        const GpuFacts *f = s->t->facts;
        uint32_t n = f->vfs->len - s->n_gone;

        if (n == 0)
                return explain_not_enabled(s);
        if (s->n_ready == 0 && s->n_elsewhere > 0 && s->elsewhere)
                return g_strdup_printf(
                                "%" PRIu32 " of its %" PRIu32 " virtual functions are bound to %s: vGPUs are "
                                "made on functions that are bound to nvidia; bind them to it again, or disable "
                                "and enable them",
                                s->n_elsewhere, n, s->elsewhere);
        if (s->n_ready == 0 && s->n_elsewhere > 0)
                return g_strdup_printf(
                                "%" PRIu32 " of its %" PRIu32 " virtual functions are bound to no driver: the "
                                "driver for graphics and compute takes none (vGPUs need the host driver of "
                                "NVIDIA vGPU, the vGPU manager), and that one refuses them while the IOMMU is "
                                "off (boot with intel_iommu=on or amd_iommu=on)",
                                s->n_elsewhere, n);
        if (s->n_ready == 0)
                return g_strdup_printf("none of its %" PRIu32
                                       " virtual functions has a ready vGPU manager: see that "
                                       "nvidia_vgpu_vfio is loaded and that the services nvidia-vgpud and "
                                       "nvidia-vgpu-mgr run; they are parts of NVIDIA's host driver for vGPU, "
                                       "which the driver for graphics and compute is not; vgpuctl rescan looks "
                                       "again",
                                       n);
        if (s->snapshot->instances->len > 0)
                return NULL;
        for (guint i = 0; i < s->snapshot->types->len; i++)
                if (((const VgpuType *)s->snapshot->types->pdata[i])->available > 0)
                        return NULL;
        /* GPU instances come and go, and nobody is told: a matter of room, for which create() looks again. */
        if (s->nvml && s->nvml->mig == 1 && s->nvml->types->len > 0)
                return NULL;
        if (s->nvml && s->nvml->mig == 1)
                return g_strdup("it is in MIG mode and has no GPU instance that a vGPU could be made on: make "
                                "some (nvidia-smi mig -cgi PROFILES -C; vgpuctl rescan finds them), or end the "
                                "mode");
        return g_strdup("the driver offers no type on any of its virtual functions: nvidia-vgpu-mgr may not "
                        "run, the GPU may not be one that vGPU supports, or be in MIG mode without GPU "
                        "instances; the kernel's log may say why; vgpuctl rescan looks again");
}

static int nvidia_scan(VgpuTarget *t, GpuSnapshot **ret, VgpudError *reterr)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *snapshot = gpu_snapshot_new();
        _cleanup_(scan_done) Scan s = { .t = t,
                                        .snapshot = snapshot,
                                        .types = g_hash_table_new(g_str_hash, g_str_equal) };
        const GPtrArray *vfs = t->facts->vfs;
        int r;

        for (guint i = 0; i < vfs->len; i++) {
                const VgpuVf *vf = vfs->pdata[i];
                r = scan_vf(&s, vf);
                if (r < 0)
                        return explain_unreadable(vf->path, r, reterr);
        }
        if (s.n_gone == vfs->len && !vgpu_io_exists(t->io, t->facts->path))
                return explain_gpu_gone(t->facts, 0, reterr);

        s.nvml = nvml_query(t);
        if (s.nvml)
                nvml_add_modes(s.nvml, snapshot);
        snapshot->unprepared = explain_unprepared(&s);
        add_nvml_types(&s);
        add_known_types(&s);
        add_used_types(&s);
        nvidia_capacity(&(NvidiaBudget){
                        .types = snapshot->types,
                        .instances = snapshot->instances,
                        .known_types = t->known_types,
                        .n_vfs = s.n_ready,
                        .free_vfs = s.n_free,
                        .framebuffer_bytes = s.nvml ? s.nvml->framebuffer_bytes : 0,
                        .heterogeneous = s.nvml ? s.nvml->heterogeneous : -1,
                        .mig = s.nvml ? s.nvml->mig : -1,
                        .nvml = s.nvml,
                        .unprepared = snapshot->unprepared,
        });
        gpu_snapshot_seal(snapshot);
        *ret = g_steal_pointer(&snapshot);
        return 0;
}

/* create */

static const VgpuType *find_type(const GpuSnapshot *s, const char *id)
{
        for (guint i = 0; i < s->types->len; i++)
                if (strcmp(((const VgpuType *)s->types->pdata[i])->id, id) == 0)
                        return s->types->pdata[i];
        return NULL;
}

static void append_still_possible(GString *text, const GpuSnapshot *s, const char *refused)
{
        guint n = 0;

        for (guint i = 0; i < s->types->len && n < NAMES_IN_MESSAGE_MAX; i++) {
                const VgpuType *t = s->types->pdata[i];
                if (t->available == 0 || strcmp(t->id, refused) == 0)
                        continue;
                g_string_append_printf(text, "%s%s (%" PRIu32 ")", n > 0 ? ", " : "; still possible: ", t->name,
                                       t->available);
                n++;
        }
        if (n == 0 && s->instances->len > 0)
                g_string_append(text, "; destroy one first");
}

/* No function takes it. r: what the kernel answered, 0 when it was not asked. */
static int no_room(VgpuTarget *t, const CreateArgs *args, int r, VgpudError *reterr)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;
        g_autoptr(GString) text = g_string_new(NULL);
        const VgpuType *wanted;
        int q = nvidia_scan(t, &s, reterr);

        if (q < 0)
                return q;
        if (s->unprepared)
                return vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED,
                                        "GPU %s can make no vGPU as it is now: %s", t->facts->name,
                                        s->unprepared);
        wanted = find_type(s, args->type_id);
        if (!wanted)
                return explain_no_such_type(s, args->type_id, t->facts->name, reterr);

        if (r == 0 && args->parent && wanted->available > 0)
                g_string_printf(text,
                                "virtual function %s takes no %s now, but others of GPU %s have room for "
                                "%" PRIu32,
                                args->parent, wanted->name, t->facts->name, wanted->available);
        else {
                g_string_printf(text, "there is no room for another %s on GPU %s", wanted->name,
                                t->facts->name);
                if (wanted->why_not && wanted->available == 0)
                        g_string_append_printf(text, ": %s", wanted->why_not);
                append_still_possible(text, s, args->type_id);
        }

        return vgpud_error_set_errnof(reterr, VGPUD_ERROR_NO_CAPACITY, r, "%s", text->str);
}

static int check_args(VgpuTarget *t, const CreateArgs *args, uint32_t *ret_type, VgpudError *reterr)
{
        int r = create_args_check(args, reterr);

        if (r < 0)
                return r;
        if (args->parent && !gpu_facts_find_vf(t->facts, args->parent))
                return explain_no_vf(t->facts, args->parent, reterr);
        for (guint i = 0; args->attributes && i < args->attributes->len; i++) {
                const VgpuAttribute *a = args->attributes->pdata[i];
                if (strcmp(a->name, params_names[0]) != 0 && strcmp(a->name, params_names[1]) != 0)
                        return vgpud_error_setf(
                                        reterr, VGPUD_ERROR_INVALID,
                                        "NVIDIA's vGPUs have no attribute \"%s\" that could be set; they have "
                                        "%s",
                                        a->name, params_names[0]);
        }
        return nvidia_type_id_parse(args->type_id, ret_type) < 0 ? no_room(t, args, 0, reterr) : 0;
}

/* What create() has learned of the functions. */
typedef struct Attempt {
        VgpuTarget *t;
        const CreateArgs *args;
        uint32_t type;
        guint first;        /* where to begin */
        guint at;           /* how many from there have been looked at */
        const VgpuVf *vf;   /* that was tried */
        const VgpuVf *busy; /* the first whose earlier vGPU has not quite gone; NULL: none */
        guint refused;      /* how many would not, the busy ones left out */
} Attempt;

/* The next function that carries nothing and offers the type, or the one that was asked for if it does. */
static bool find_vf(Attempt *a)
{
        const GPtrArray *vfs = a->t->facts->vfs;

        while (a->at < vfs->len) {
                guint at = (a->first + a->at++) % vfs->len;
                const VgpuVf *vf = vfs->pdata[at];
                uint32_t now = 0;

                if ((a->args->parent && strcmp(a->args->parent, vf->name) != 0) ||
                    nvidia_vf_read_type(a->t->io, vf->path, &now) < 0 || now != 0 ||
                    !nvidia_vf_offers(a->t->io, vf->path, a->type))
                        continue;
                /* The next one of the same job begins here: those before have no room any more. */
                a->t->parent_hint = at;
                a->vf = vf;
                return true;
        }
        return false;
}

static int nvidia_explain_create(VgpuTarget *t, const CreateArgs *args, const VgpuVf *vf, uint32_t type, int r,
                                 VgpudError *reterr)
{
        static const Refusal refusals[] = {
                { EIO, VGPUD_ERROR_FAILED,
                  "the resource manager refused although the driver offers the type; the GPU may be committed to another framebuffer size, or lack a GPU instance (MIG); the kernel's log (NVRM) has the reason" },
                { EPERM, VGPUD_ERROR_FAILED,
                  "the virtual function may be in use otherwise, or a security module forbids it" },
                { EBUSY, VGPUD_ERROR_FAILED,
                  "the plugin of an earlier vGPU has not ended; try again, or see the log of nvidia-vgpu-mgr" },
                { EAGAIN, VGPUD_ERROR_FAILED,
                  "the plugin of an earlier vGPU has not ended; try again, or see the log of nvidia-vgpu-mgr" },
                { EINVAL, VGPUD_ERROR_FAILED,
                  "the driver does not know the number of the type, or finds no VFIO device on the virtual function; see the kernel's log" },
                { ERANGE, VGPUD_ERROR_FAILED,
                  "the driver does not know the number of the type, or finds no VFIO device on the virtual function; see the kernel's log" },
                { 0 },
        };
        uint32_t now = 0;

        if (vgpu_io_is_gone(r))
                return explain_gpu_gone(t->facts, r, reterr);
        if (r == -EIO && !nvidia_vf_offers(t->io, vf->path, type))
                return no_room(t, args, r, reterr);
        if (r == -EPERM && nvidia_vf_read_type(t->io, vf->path, &now) >= 0 && now != 0)
                return vgpud_error_set_errnof(
                                reterr, VGPUD_ERROR_FAILED, r,
                                "another program has just given virtual function %s the type nvidia-%u; try again",
                                vf->name, now);

        return explain_refusal(refusals, r, reterr, "a %s cannot be created on %s", args->type_id, vf->name);
}

/* Take back a half-made vGPU, because of *cause, which is emptied. */
static int nvidia_undo_create(VgpuTarget *t, const VgpuVf *vf, VgpudError *cause, VgpudError *reterr)
{
        uint32_t now = 0;
        int r = nvidia_vf_write_type(t->io, vf->path, 0, NVIDIA_TRIES_MAX),
            q = nvidia_vf_read_type(t->io, vf->path, &now);

        if ((q >= 0 && now == 0) || vgpu_io_is_gone(q))
                return vgpud_error_move(reterr, cause);

        return explain_rollback(vf->name, r, NULL, cause, reterr);
}

static int write_attributes(VgpuTarget *t, const CreateArgs *args, const VgpuVf *vf, VgpudError *reterr)
{
        g_autofree char *path = nvidia_vf_file(vf->path, params_names[0]);

        for (guint i = 0; args->attributes && i < args->attributes->len; i++) {
                const VgpuAttribute *a = args->attributes->pdata[i];
                int r = vgpu_io_write(t->io, path, a->value);

                if (r < 0)
                        return explain_attribute(a, r, reterr);
        }

        return 0;
}

static int verify(VgpuTarget *t, const CreateArgs *args, const VgpuVf *vf, uint32_t type, VgpudError *reterr)
{
        uint32_t now = 0;
        int r = nvidia_vf_read_type(t->io, vf->path, &now);

        if (r >= 0 && now == type)
                return 0;
        if (vgpu_io_is_gone(r))
                return explain_gpu_gone(t->facts, r, reterr);
        if (r < 0)
                return vgpud_error_set_errnof(
                                reterr, VGPUD_ERROR_INCONSISTENT, r,
                                "the driver reported success, but the type of virtual function %s cannot be read: %s",
                                vf->name, g_strerror(-r));

        return vgpud_error_setf(
                        reterr, VGPUD_ERROR_FAILED,
                        "the driver reported success, but virtual function %s has %s, not %s; another program may have changed it at once",
                        vf->name, now == 0 ? "no type" : "another type", args->type_id);
}

/* Whether the refusal may be one of the function alone, so that another might do. */
static bool may_be_of_function(int r)
{
        return r != -EACCES && r != -EPROTO;
}

static bool is_busy(int r)
{
        return r == -EBUSY || r == -EAGAIN;
}

static int explain_attempt(const Attempt *a, int r, VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        int q = nvidia_explain_create(a->t, a->args, a->vf, a->type, r, &e);

        if (a->refused < 2 || e.code == VGPUD_ERROR_NO_CAPACITY)
                vgpud_error_move(reterr, &e);
        else
                (void)vgpud_error_set_errnof(reterr, e.code, r,
                                             "%s; %u other virtual function%s refused as well", e.message,
                                             a->refused - 1, a->refused > 2 ? "s" : "");
        return q;
}

/* Gives the type to a function, a->vf. One that refuses may be the only one that does: the next is tried. One
 * whose plugin has not ended is waited for where there is no other. */
static int take_vf(Attempt *a, VgpudError *reterr)
{
        const VgpuVf *refuser = NULL;
        int r, refusal = 0;

        while (a->refused < REFUSALS_MAX && find_vf(a)) {
                r = slot_reserve(a->args, a->vf->name, NULL, reterr);
                if (r < 0)
                        return r;
                r = nvidia_vf_write_type(a->t->io, a->vf->path, a->type, 1);
                if (r >= 0)
                        return 0;
                if (is_busy(r)) {
                        a->busy = a->busy ? a->busy : a->vf;
                        continue;
                }
                a->refused++;
                if (!refuser) {
                        refuser = a->vf;
                        refusal = r;
                }
                if (!may_be_of_function(r))
                        break;
        }
        if (a->busy && (refusal == 0 || may_be_of_function(refusal))) {
                a->vf = a->busy;
                r = slot_reserve(a->args, a->vf->name, NULL, reterr);
                if (r < 0)
                        return r;
                r = nvidia_vf_write_type(a->t->io, a->vf->path, a->type, NVIDIA_TRIES_MAX);
                return r < 0 ? nvidia_explain_create(a->t, a->args, a->vf, a->type, r, reterr) : 0;
        }
        if (!refuser)
                return no_room(a->t, a->args, 0, reterr);
        a->vf = refuser;
        return explain_attempt(a, refusal, reterr);
}

static int nvidia_create(VgpuTarget *t, const CreateArgs *args, InstanceDesc **ret, VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError cause = VGPUD_ERROR_INIT;
        Attempt a = { .t = t, .args = args, .first = t->parent_hint };
        InstanceDesc *d = NULL;
        int r;

        r = check_args(t, args, &a.type, reterr);
        if (r < 0)
                return r;
        r = take_vf(&a, reterr);
        if (r < 0)
                return r;
        r = verify(t, args, a.vf, a.type, reterr);
        if (r < 0)
                return r;
        r = write_attributes(t, args, a.vf, &cause);
        if (r < 0)
                return nvidia_undo_create(t, a.vf, &cause, reterr);
        r = read_instance(t->io, a.vf, a.type, args->uuid, &d);
        if (r < 0) {
                (void)explain_unreadable(a.vf->path, r, &cause);
                return nvidia_undo_create(t, a.vf, &cause, reterr);
        }
        *ret = d;
        return 0;
}

/* destroy */

static int nvidia_explain_destroy(const VgpuVf *vf, int r, VgpudError *reterr)
{
        static const Refusal refusals[] = {
                { EPERM, VGPUD_ERROR_IN_USE, "a virtual machine has the vGPU, or is about to end" },
                { EBUSY, VGPUD_ERROR_IN_USE,
                  "the plugin of the vGPU has not ended, as if a virtual machine still used it; see the log of nvidia-vgpu-mgr; a plugin that never ends is cleared by disabling the virtual functions" },
                { EAGAIN, VGPUD_ERROR_IN_USE,
                  "the plugin of the vGPU has not ended, as if a virtual machine still used it; see the log of nvidia-vgpu-mgr; a plugin that never ends is cleared by disabling the virtual functions" },
                { 0 },
        };

        if (r == 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_FAILED,
                                        "the driver reported success, but the vGPU on %s is still there",
                                        vf->name);

        return explain_refusal(refusals, r, reterr, "the vGPU on %s cannot be removed", vf->name);
}

static int nvidia_destroy(VgpuTarget *t, const InstanceDesc *instance, VgpudError *reterr)
{
        const VgpuVf vf = { .name = instance->slot, .path = instance->path };
        g_autofree char *cdev = NULL, *type_id = NULL;
        _cleanup_close_ int keep_out_fd = -EBADF;
        uint32_t now = 0;
        int group, r, q;

        r = nvidia_vf_read_type(t->io, vf.path, &now);
        if (vgpu_io_is_gone(r) || (r >= 0 && now == 0))
                return 0;
        if (r < 0)
                return explain_unreadable(vf.path, r, reterr);
        type_id = nvidia_type_id(now);
        if (instance->type_id && strcmp(type_id, instance->type_id) != 0)
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_FOREIGN,
                                "virtual function %s has type %s, not %s: another program made another vGPU there, which vgpud leaves alone",
                                vf.name, type_id, instance->type_id);

        if ((r = vfio_read_group(t->io, vf.path, &group)) < 0 ||
            (r = vfio_read_cdev(t->io, vf.path, &cdev)) < 0)
                return vgpu_io_is_gone(r) && !vgpu_io_exists(t->io, vf.path)
                                       ? 0
                                       : explain_unreadable(vf.path, r, reterr);
        r = vfio_keep_out(t->io, group, cdev, &keep_out_fd, reterr);
        if (r < 0)
                return r;
        r = nvidia_vf_write_type(t->io, vf.path, 0, NVIDIA_TRIES_MAX);
        q = nvidia_vf_read_type(t->io, vf.path, &now);
        keep_out_fd = safe_close(keep_out_fd);
        if ((q >= 0 && now == 0) || vgpu_io_is_gone(q))
                return 1;
        return q < 0 ? explain_unreadable(vf.path, q, reterr) : nvidia_explain_destroy(&vf, r, reterr);
}

static int nvidia_set_vfs(VgpuTarget *t, uint32_t count, uint32_t *ret, VgpudError *reterr)
{
        return vfs_set(t, &nvidia_vf_method, count, ret, reterr);
}

const VgpuDriver nvidia_vfio_driver = {
        .name = "nvidia-vfio",
        .match = nvidia_match,
        .scan = nvidia_scan,
        .create = nvidia_create,
        .destroy = nvidia_destroy,
        .set_vfs = nvidia_set_vfs,
        .configure = nvidia_configure,
        .handover = handover_new_pci,
};
