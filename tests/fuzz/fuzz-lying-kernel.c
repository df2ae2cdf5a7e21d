/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Every back end on a kernel that lies: the in-memory kernel of tests/unit, with any of its answers replaced
 * (lying-io.h). An input is
 *
 *     GPU VERBS\0 ATTRIBUTES\0 RESTORE\0 LIES
 *
 * GPU is a letter, see make_gpu(). VERBS are letters with arguments, see run_verb(). ATTRIBUTES
 * ("vmid=3,cap=5") are those of every create; RESTORE is the `restore` text in the record of an instance that
 * an earlier daemon created. */

#include "fuzz.h"

#include "base/log.h"
#include "base/uuid.h"
#include "drivers-glue/registry.h"
#include "drivers-glue/type-find.h"
#include "fake-gim.h"
#include "fake-gpus.h"
#include "fake-nvidia.h"
#include "fake-sriov.h"
#include "fake-xengt.h"
#include "fuzz-folder.h"
#include "lying-io.h"

#define VERBS_MAX 12
#define DOMAIN    3

typedef struct World {
        FakeKernel *kernel;
        FakeGpu *gpu;
        FakeNvidia *nvidia;
        FakePci *pci;
        FakePf *pf;
        FakeGim *gim;
        FakeGimLegacy *first_gim;
        FakeXengt *xengt;

        VgpuIo *truth, *io;
        GpuFacts *facts;
        const VgpuDriver *driver; /* NULL: the GPU is not supported now */
        VgpuTarget target;
        GpuSnapshot *snapshot; /* result of the last scan; may be NULL */
        GPtrArray *known;      /* VgpuType */
        GPtrArray *made;       /* InstanceDesc */
        GPtrArray *attributes; /* VgpuAttribute */
        char *restore;
        int reserve_result;
        unsigned n_created;
} World;

DEFINE_DESTROY_NOTIFY(type_free, vgpu_type_free)
DEFINE_DESTROY_NOTIFY(desc_free, instance_desc_free)
DEFINE_DESTROY_NOTIFY(attribute_free, vgpu_attribute_free)

/* ---- the GPU ---- */

static void make_pf(World *w, FakePfModel model, unsigned n_vfs, bool probe)
{
        w->pci = fake_pci_new(w->kernel);
        w->pf = fake_pci_add_pf(w->pci, model, model == FAKE_PF_I915 ? "0000:00:02.0" : "0000:03:00.0", 7, 1);
        fake_pci_add_driver(w->pci, "vfio-pci");
        if (!probe) {
                g_autofree char *path = g_strconcat(fake_pf_path(w->pf), "/sriov_drivers_autoprobe", NULL);

                assert_se(vgpu_io_write(w->truth, path, "0") >= 0);
        }

        if (n_vfs > 0)
                assert_se(fake_pf_enable(w->pf, n_vfs) >= 0);
}

static void make_gpu(World *w, char letter)
{
        switch (letter) {
        case 'g':
                w->gpu = fake_add_gvt_g(w->kernel, "0000:00:02.0");
                break;
        case 'a':
                w->gpu = fake_add_nvidia_a2(w->kernel, "0000:41:00.0", 3);
                break;
        case 'y':
                w->gpu = fake_add_mdpy(w->kernel);
                break;
        case 'h':
                w->nvidia = fake_add_h200(w->kernel, "0000:08:00.0", true);
                break;
        case 'n':
                w->nvidia = fake_add_h200(w->kernel, "0000:08:00.0", true);
                fake_nvidia_add_nvml(w->nvidia);
                break;
        case 'd':
                w->nvidia = fake_add_h200(w->kernel, "0000:08:00.0", false);
                break;
        case 'x':
                make_pf(w, FAKE_PF_XE, 3, true);
                break;
        case 'i':
                make_pf(w, FAKE_PF_I915, 3, true);
                break;
        case 'k':
                make_pf(w, FAKE_PF_PLAIN, 3, false);
                w->gim = fake_gim_new(w->kernel, w->pf);
                break;
        case 'f':
                make_pf(w, FAKE_PF_PLAIN, 4, false);
                w->first_gim = fake_gim_legacy_new(w->kernel, w->pf);
                break;
        case 'v':
                w->xengt = fake_add_xengt(w->kernel);
                fake_xengt_domain(w->xengt, DOMAIN, true);
                break;
        default:
                make_pf(w, FAKE_PF_PLAIN, 0, true);
                break;
        }

        w->facts = w->gpu      ? fake_gpu_facts(w->gpu)
                   : w->nvidia ? fake_nvidia_facts(w->nvidia)
                   : w->pf     ? fake_pf_facts(w->pf)
                               : fake_xengt_facts(w->xengt);
}

/* The in-memory kernel aborts if a vGPU of XenGT is removed before the end of its domain. After a lie, a
 * back end cannot know whether the domain has ended, so this function ends the domain before each removal. */
static void end_domain(const char *path, const char *value, void *userdata)
{
        World *w = userdata;

        if (w->xengt && value[0] == '-' && g_str_has_suffix(path, "/create_vgt_instance"))
                fake_xengt_domain(w->xengt, DOMAIN, false);
}

static void read_attributes(World *w, const char *text)
{
        g_auto(GStrv) items = g_strsplit(text, ",", -1);

        for (char **i = items; *i; i++) {
                char *equals = strchr(*i, '=');

                if (!equals)
                        continue;

                *equals = 0;
                g_ptr_array_add(w->attributes, vgpu_attribute_new(*i, equals + 1));
        }
}

static void choose_driver(World *w)
{
        g_autofree char *reason = NULL;
        VgpudHint hint = { 0 };

        w->target.facts = w->facts;
        w->driver = registry_choose(w->facts, &reason, &hint);
        g_assert(w->driver || (reason && reason[0]));
        vgpud_hint_done(&hint);
}

/* ---- what must hold after any lie ---- */

static void check_result(int r, VgpudError *e)
{
        if (r < 0) {
                g_assert(e->code != VGPUD_ERROR_NONE && r == -vgpud_error_code_to_errno(e->code));
                g_assert(e->message && e->message[0] && g_utf8_validate(e->message, -1, NULL));
                g_assert(strlen(e->message) <= 2048);
        } else
                g_assert(e->code == VGPUD_ERROR_NONE && !e->message);

        vgpud_error_done(e);
}

static void check_instance(const World *w, const InstanceDesc *d)
{
        InstanceDesc *copy = instance_desc_copy(d);
        Handover *h;

        g_assert(uuid_is_valid(d->uuid));
        g_assert(d->path && vgpu_io_path_is_valid(d->path));
        g_assert(d->parent);
        g_assert(instance_desc_equal(copy, d));
        h = w->driver->handover(d);
        g_assert(h && h->sysfs_path);
        handover_free(h);
        instance_desc_free(copy);
}

/* Gives an instance without UUID a derived UUID and the text to restore, as the model does. */
static void assign_uuid(World *w, InstanceDesc *d)
{
        g_autofree char *text = NULL;

        if (d->uuid[0])
                return;

        g_assert(d->slot);
        text = g_strdup_printf("%s/%s", d->slot, d->type_id ? d->type_id : "");
        uuid_derive(text, d->uuid);
        if (w->driver->match_reservation)
                (void)w->driver->match_reservation(d, w->restore);
        if (!d->restore)
                d->restore = g_strdup(w->restore);
}

static void learn_type(World *w, const VgpuType *t)
{
        for (guint i = 0; i < w->known->len; i++)
                if (strcmp(((const VgpuType *)w->known->pdata[i])->id, t->id) == 0)
                        return;

        g_ptr_array_add(w->known, vgpu_type_copy(t));
}

static void check_snapshot(World *w, GpuSnapshot *s)
{
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

        for (guint i = 0; i < s->types->len; i++) {
                VgpuType *t = s->types->pdata[i];

                g_assert(t->id[0] && t->name);
                g_assert(g_hash_table_add(seen, t->id));
                if (!t->key)
                        t->key = vgpu_type_make_key(t, w->facts->vendor);
                g_strfreev(vgpu_type_aliases(t));
                learn_type(w, t);
        }

        for (guint i = 0; i < s->instances->len; i++) {
                InstanceDesc *d = s->instances->pdata[i];

                assign_uuid(w, d);
                g_assert(g_hash_table_add(seen, d->uuid));
                g_assert(!d->slot || g_hash_table_add(seen, d->slot));
                check_instance(w, d);
        }

        for (guint i = 0; i < s->modes->len; i++) {
                const VgpuMode *m = s->modes->pdata[i];

                g_assert(m->name[0] && m->value && (!m->choices || m->choices[0]));
        }

        gpu_snapshot_seal(s);
}

/* ---- verbs ---- */

static void verb_facts(World *w)
{
        const GpuSeed seed = { .name = w->facts->name, .path = w->facts->path };
        g_autoptr(GPtrArray) parents = NULL;
        GpuFacts *facts = NULL;

        if (mdev_parents_read(w->io, &parents) >= 0 && gpu_facts_read(w->io, &seed, parents, &facts) >= 0) {
                gpu_facts_unref(w->facts);
                w->facts = facts;
        }

        choose_driver(w);
}

static void verb_scan(World *w)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        GpuSnapshot *s = NULL;
        int r = w->driver->scan(&w->target, &s, &e);

        check_result(r, &e);
        g_assert((r >= 0) == !!s);
        if (!s)
                return;

        check_snapshot(w, s);
        gpu_snapshot_unref(w->snapshot);
        w->snapshot = s;
}

static void predict(World *w, const GPtrArray *made, const GPtrArray *removed)
{
        GpuSnapshot *s;

        if (!w->snapshot || !w->driver->predict)
                return;

        s = gpu_snapshot_predict(w->snapshot, made, removed);
        (void)w->driver->predict(w->facts, w->snapshot, s);
        gpu_snapshot_unref(s);
}

static int on_reserve(const char *slot, const char *restore, void *userdata)
{
        const World *w = userdata;

        g_assert(slot && slot[0]);

        return w->reserve_result;
}

/* `type`: a type of the last scan, or 'z' for one that does not exist. */
static void verb_create(World *w, char type, char parent)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        const GPtrArray *types = w->snapshot ? w->snapshot->types : NULL, *vfs = w->facts->vfs;
        g_autofree char *uuid = g_strdup_printf("11111111-0000-4000-8000-%012x", ++w->n_created);
        g_autofree char *type_id = NULL;
        CreateArgs args = { .uuid = uuid, .count = 1, .attributes = w->attributes };
        InstanceDesc *d = NULL;
        int r;

        if (types && types->len > 0 && type != 'z')
                type_id = g_strdup(((const VgpuType *)types->pdata[(unsigned char)type % types->len])->id);
        else
                type_id = g_strdup("nvidia-9999");

        args.type_id = type_id;
        args.reserve = on_reserve;
        args.reserve_userdata = w;
        if (parent > '0' && vfs->len > 0)
                args.parent = ((const VgpuVf *)vfs->pdata[(unsigned char)(parent - '1') % vfs->len])->name;

        r = w->driver->create(&w->target, &args, &d, &e);
        check_result(r, &e);
        g_assert((r >= 0) == !!d);
        if (!d)
                return;

        g_assert(strcmp(d->uuid, uuid) == 0);
        check_instance(w, d);
        g_ptr_array_add(w->made, d);
        predict(w, w->made, NULL);
}

/* `which`: an instance of the last scan, or 'z' for the last one made. */
static void verb_destroy(World *w, char which)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        const GPtrArray *list = w->snapshot && which != 'z' ? w->snapshot->instances : w->made;
        g_autoptr(GPtrArray) removed = g_ptr_array_new();
        InstanceDesc *d;

        if (list->len == 0)
                return;

        d = list->pdata[which == 'z' ? list->len - 1 : (unsigned char)which % list->len];
        check_result(w->driver->destroy(&w->target, d, &e), &e);
        g_ptr_array_add(removed, d->uuid);
        predict(w, NULL, removed);
}

static void verb_set_vfs(World *w, char count)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        uint32_t now = 0;

        if (w->driver->set_vfs)
                check_result(w->driver->set_vfs(&w->target, (unsigned char)(count - '0') % 20, &now, &e), &e);
}

static void verb_configure(World *w, char mode, char choice)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        const GPtrArray *modes = w->snapshot ? w->snapshot->modes : NULL;
        const VgpuMode *m;
        const char *value;

        if (!w->driver->configure || !modes || modes->len == 0)
                return;

        m = modes->pdata[(unsigned char)mode % modes->len];
        value = m->choices ? m->choices[(unsigned char)choice % g_strv_length(m->choices)] : "yes";
        check_result(w->driver->configure(&w->target, m->name, value, &e), &e);
}

static void verb_finish(World *w, char which)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        const GPtrArray *vfs = w->facts->vfs;
        const char *slot = vfs->len > 0 ? ((const VgpuVf *)vfs->pdata[(unsigned char)which % vfs->len])->name
                                        : "vm3";

        if (w->driver->finish_interrupted)
                check_result(w->driver->finish_interrupted(&w->target, slot, w->restore, &e), &e);
}

/* Run the verb at *verbs and advance *verbs; missing arguments are 0. */
static void run_verb(World *w, const char **verbs)
{
        const char *v = *verbs;
        char first = v[1], second = first ? v[2] : 0;
        size_t n = 1;

        switch (v[0]) {
        case 'r':
                verb_facts(w);
                break;
        case 's':
                verb_scan(w);
                break;
        case 'c':
                verb_create(w, first, second);
                n = 3;
                break;
        case 'd':
                verb_destroy(w, first);
                n = 2;
                break;
        case 'v':
                verb_set_vfs(w, first);
                n = 2;
                break;
        case 'm':
                verb_configure(w, first, second);
                n = 3;
                break;
        case 'f':
                verb_finish(w, first);
                n = 2;
                break;
        case 'n': /* from now on, reservations fail */
                w->reserve_result = -EIO;
                break;
        default:
                break;
        }

        *verbs += MIN(n, strlen(v));
}

static void world_done(World *w)
{
        g_ptr_array_unref(w->known);
        g_ptr_array_unref(w->made);
        g_ptr_array_unref(w->attributes);
        g_free(w->restore);
        gpu_snapshot_unref(w->snapshot);
        gpu_facts_unref(w->facts);
        vgpu_io_free(w->io);
        vgpu_io_free(w->truth);
        fake_gpu_free(w->gpu);
        fake_nvidia_free(w->nvidia);
        fake_gim_free(w->gim);
        fake_gim_legacy_free(w->first_gim);
        fake_pci_free(w->pci);
        fake_xengt_free(w->xengt);
        fake_kernel_free(w->kernel);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        FuzzInput in = { data, size };
        _cleanup_(world_done) World w = { .kernel = fake_kernel_new() };
        _cleanup_close_ int runtime = open(fuzz_folder(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        char gpu = (char)fuzz_take_byte(&in);
        g_autofree char *verbs = fuzz_take_text(&in), *attributes = fuzz_take_text(&in);
        const char *next = verbs;
        GpuNotes notes;

        log_set_max_level(LOG_CRIT);
        w.known = g_ptr_array_new_with_free_func(type_free);
        w.made = g_ptr_array_new_with_free_func(desc_free);
        w.attributes = g_ptr_array_new_with_free_func(attribute_free);
        w.restore = fuzz_take_text(&in);
        read_attributes(&w, attributes);

        w.truth = fake_kernel_io(w.kernel);
        make_gpu(&w, gpu);
        notes = (GpuNotes){ .runtime_fd = runtime, .gpu = "gpu" };
        w.io = lying_io_new(w.truth, &in, end_domain, &w);
        w.target = (VgpuTarget){ .io = w.io, .known_types = w.known, .notes = &notes };
        choose_driver(&w);

        for (unsigned i = 0; i < VERBS_MAX && w.driver && *next; i++)
                run_verb(&w, &next);

        lying_io_check_closed(w.io);
        /* Remove the note of i915, so that the folder is empty. */
        (void)unlinkat(runtime, "auto-provisioning/gpu", 0);
        (void)unlinkat(runtime, "auto-provisioning", AT_REMOVEDIR);

        return 0;
}
