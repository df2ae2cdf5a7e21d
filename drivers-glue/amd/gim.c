/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How an accelerator of AMD's driver gim (8.x) is partitioned: modes of the whole GPU, each a file of the GPU.
 * What these files are like:
 *
 * - Some files beside them act when they are read: reset_gpu resets the GPU, psp_vbflash begins to write its
 *   flash memory. So the names here are all that is ever opened.
 * - A write reports success also when nothing came of it; an errno means only that the text was not understood.
 *   What was asked for counts when it is read back.
 * - When a value cannot be had, the file has a sentence instead ("failed to get current mp mode"), which is
 *   taken for "not available".
 * - Another memory mode resets the GPU, after the write has returned, and chooses the profile that goes with
 * it. GPUs that are linked with each other (XGMI) change together.
 */

#include "drivers-glue/amd/gim.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/parse-util.h"
#include "drivers-glue/explain.h"
#include "drivers-glue/vf/bind.h"
#include "drivers-glue/vf/count.h"

#define PROFILE "accelerator_partition_profile"
#define MEMORY  "memory_partition_mode"
#define SPATIAL "spatial_partition_mode"

#define RETRY_USEC (1000 * 1000)
/* For so many looks at most the GPU may answer nothing, because it is reset … */
#define LOOKS_MAX 60
/* … and for so many it may say what it was before, because the reset has not begun. */
#define LOOKS_OLD 5

#define SAID_MAX 80

/* A value that can be set: as we show it, and as the driver wants it. */
typedef struct Choice {
        char *value;
        char *text;
        uint32_t partitions; /* 0: not known */
} Choice;

typedef struct Partitioning {
        const char *name;   /* of the mode and of the file */
        char *value;        /* owned; now; NULL: not available */
        char *said;         /* owned; what the driver said instead; NULL: nothing */
        int errnum;         /* why it could not be read */
        GPtrArray *choices; /* owned: Choice; empty: not known, or it cannot be set */
} Partitioning;

static void choice_free(gpointer p)
{
        Choice *c = p;

        g_free(c->value);
        g_free(c->text);
        g_free(c);
}

static void partitioning_done(Partitioning *p)
{
        g_free(p->value);
        g_free(p->said);
        g_clear_pointer(&p->choices, g_ptr_array_unref);
}
#define _cleanup_partitioning_ _cleanup_(partitioning_done)

static void add_choice(GPtrArray *choices, const char *value, const char *text, uint32_t partitions)
{
        Choice *c = g_new(Choice, 1);

        *c = (Choice){ .value = g_strdup(value), .text = g_strdup(text), .partitions = partitions };
        g_ptr_array_add(choices, c);
}

static const Choice *find_choice(const GPtrArray *choices, const char *value)
{
        for (guint i = 0; i < choices->len; i++) {
                const Choice *c = choices->pdata[i];
                if (strcmp(c->value, value) == 0)
                        return c;
        }
        return NULL;
}

/* A name of a mode, "CPX" or "NPS4": not a sentence. */
static bool is_word(const char *s)
{
        size_t n = 0;

        while (g_ascii_isalnum(s[n]) || s[n] == '-' || s[n] == '_')
                n++;
        return n > 0 && !s[n];
}

/* The words of a line, of which the first one must be a number. */
static bool split_row(const char *line, uint32_t *ret_index, char ***ret_words)
{
        g_auto(GStrv) all = g_strsplit_set(line, " \t", -1);
        GPtrArray *words = g_ptr_array_new();

        for (char **w = all; *w; w++)
                if (**w)
                        g_ptr_array_add(words, g_strdup(*w));
        g_ptr_array_add(words, NULL);
        *ret_words = (char **)g_ptr_array_free(words, FALSE);
        return g_strv_length(*ret_words) >= 3 && parse_u32((*ret_words)[0], 10, ret_index) >= 0;
}

/* Names come from a list that newer GPUs may go beyond, and two profiles may have the same; their numbers are
 * what tells them apart. */
static char *profile_label(uint32_t index, const char *name, bool unique)
{
        return unique && is_word(name) && strcmp(name, "UNKNOWN") != 0 ? g_strdup(name)
                                                                       : g_strdup_printf("profile%u", index);
}

static bool is_unique(const GPtrArray *choices, const char *name)
{
        guint n = 0;

        for (guint i = 0; i < choices->len; i++)
                n += strcmp(((const Choice *)choices->pdata[i])->value, name) == 0;
        return n == 1;
}

/* Rows "INDEX NAME PARTITIONS …" below a line "profiles:" and their header. */
static void parse_profiles(const char *text, GPtrArray *choices)
{
        const char *at = strstr(text, "\nprofiles:");
        g_auto(GStrv) lines = g_strsplit(at ? at : "", "\n", -1);
        g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(choice_free);

        for (char **l = lines; *l; l++) {
                g_auto(GStrv) words = NULL;
                uint32_t index, partitions;

                if (split_row(*l, &index, &words))
                        add_choice(rows, words[1], words[0],
                                   parse_u32(words[2], 10, &partitions) < 0 ? 0 : partitions);
        }
        for (guint i = 0; i < rows->len; i++) {
                const Choice *row = rows->pdata[i];
                g_autofree char *label = NULL;
                uint32_t index = 0;

                (void)parse_u32(row->text, 10, &index);
                label = profile_label(index, row->value, is_unique(rows, row->value));
                add_choice(choices, label, row->text, row->partitions);
        }
}

/* A table of one row: "INDEX NAME PARTITIONS …". */
static char *parse_profile(const char *text, const GPtrArray *choices)
{
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

        for (char **l = lines; *l; l++) {
                g_auto(GStrv) words = NULL;
                uint32_t index;

                if (!split_row(*l, &index, &words))
                        continue;
                for (guint i = 0; i < choices->len; i++) {
                        const Choice *c = choices->pdata[i];
                        if (strcmp(c->text, words[0]) == 0)
                                return g_strdup(c->value);
                }
                return profile_label(index, words[1], choices->len == 0);
        }
        return NULL;
}

/* "memory_partition_mode: NPS1", and lines of addresses. */
static char *parse_memory(const char *text)
{
        g_autofree char *line = g_strndup(text, strcspn(text, "\n"));
        const char *value = line + strlen(MEMORY ": ");

        return g_str_has_prefix(line, MEMORY ": ") && is_word(g_strchomp(line) + strlen(MEMORY ": "))
                               ? g_strdup(value)
                               : NULL;
}

/* "NPS1 NPS4 " */
static void parse_memory_modes(const char *text, GPtrArray *choices)
{
        g_auto(GStrv) words = g_strsplit_set(text, " \t\n", -1);
        uint32_t n;

        for (char **w = words; *w; w++)
                if (g_str_has_prefix(*w, "NPS") && parse_u32(*w + strlen("NPS"), 10, &n) >= 0)
                        add_choice(choices, *w, *w, 0);
}

static char *quote(const char *text)
{
        g_autofree char *line = g_strndup(text, strcspn(text, "\n"));

        if (strlen(line) > SAID_MAX)
                line[SAID_MAX] = 0;
        return g_utf8_make_valid(g_strstrip(line), -1);
}

static void read_value(VgpuTarget *t, Partitioning *p)
{
        g_autofree char *text = NULL;
        int r;

        g_clear_pointer(&p->value, g_free);
        g_clear_pointer(&p->said, g_free);
        r = vgpu_io_readf(t->io, &text, "%s/%s", t->facts->path, p->name);
        p->errnum = r < 0 ? -r : 0;
        if (r < 0)
                return;
        if (strcmp(p->name, PROFILE) == 0)
                p->value = parse_profile(text, p->choices);
        else if (strcmp(p->name, MEMORY) == 0)
                p->value = parse_memory(text);
        else
                p->value = is_word(text) ? g_strdup(text) : NULL;
        if (!p->value)
                p->said = quote(text);
}

static void read_partitioning(VgpuTarget *t, const char *name, Partitioning *ret)
{
        g_autofree char *text = NULL;

        *ret = (Partitioning){ .name = name, .choices = g_ptr_array_new_with_free_func(choice_free) };
        if (strcmp(name, PROFILE) == 0) {
                if (vgpu_io_readf(t->io, &text, "%s/accelerator_partition_profile_config", t->facts->path) >= 0)
                        parse_profiles(text, ret->choices);
        } else if (strcmp(name, MEMORY) == 0) {
                if (vgpu_io_readf(t->io, &text, "%s/memory_partition_config", t->facts->path) >= 0)
                        parse_memory_modes(text, ret->choices);
        }
        read_value(t, ret);
}

/* Modes */

static bool gim_match(const GpuFacts *facts)
{
        return facts->features & VGPU_FEATURE_GIM;
}

/* Without files for partitions. */
static bool gim_match_plain(const GpuFacts *facts)
{
        return g_strcmp0(facts->driver, "gim") == 0;
}

static char *make_help(const Partitioning *p)
{
        GString *help;

        if (strcmp(p->name, MEMORY) == 0)
                return g_strdup("in how many parts the memory is seen (NPS4: four); another one resets the "
                                "GPU, sets " PROFILE
                                " to what goes with it, and GPUs that are linked with this one "
                                "(XGMI) change with it");
        if (strcmp(p->name, SPATIAL) == 0)
                return g_strdup("in how many parts virtual functions share the GPU side by side: SPX one, DPX "
                                "two, QPX four, CPX eight; the driver decides");
        help = g_string_new("in how many parts an operating system sees the compute units");
        for (guint i = 0; i < p->choices->len; i++) {
                const Choice *c = p->choices->pdata[i];
                if (c->partitions > 0)
                        g_string_append_printf(help, "%s%s %u", i == 0 ? ": " : ", ", c->value, c->partitions);
        }
        g_string_append(help,
                        "; which are possible depends on " MEMORY " and on the number of virtual functions");
        return g_string_free(help, FALSE);
}

static int gim_add_modes(VgpuTarget *t, GpuSnapshot *snapshot, VgpudError *reterr)
{
        static const char *const names[] = { PROFILE, MEMORY, SPATIAL };

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                _cleanup_partitioning_ Partitioning p = { 0 };
                g_autoptr(GPtrArray) values = g_ptr_array_new();
                g_autofree char *help = NULL;

                read_partitioning(t, names[i], &p);
                if (!p.value)
                        continue;
                for (guint k = 0; k < p.choices->len; k++)
                        g_ptr_array_add(values, ((Choice *)p.choices->pdata[k])->value);
                g_ptr_array_add(values, NULL);
                help = make_help(&p);
                g_ptr_array_add(snapshot->modes,
                                vgpu_mode_new(p.name, p.value,
                                              values->len > 1 ? (const char *const *)values->pdata : NULL,
                                              help));
        }
        return 0;
}

/* configure */

static bool is_gone(VgpuTarget *t, int eno)
{
        return eno == ENODEV || (eno == ENOENT && !vgpu_io_exists(t->io, t->facts->path));
}

static int not_available(VgpuTarget *t, const Partitioning *p, VgpudError *reterr)
{
        if (is_gone(t, p->errnum))
                return explain_gpu_gone(t->facts, -p->errnum, reterr);
        if (p->errnum > 0)
                return vgpud_error_set_errnof(reterr, VGPUD_ERROR_UNSUPPORTED, -p->errnum,
                                              "mode \"%s\" of GPU %s cannot be read: %s", p->name,
                                              t->facts->name, g_strerror(p->errnum));
        return vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED,
                                "mode \"%s\" of GPU %s is not available now: driver gim says \"%s\"; this GPU "
                                "may not have it, or the GPU is being reset or has failed",
                                p->name, t->facts->name, p->said);
}

static int check_value(VgpuTarget *t, const Partitioning *p, const char *value, const Choice **ret,
                       VgpudError *reterr)
{
        g_autoptr(GString) all = g_string_new(NULL);

        if (!p->value)
                return not_available(t, p, reterr);
        *ret = find_choice(p->choices, value);
        if (*ret)
                return 0;
        if (p->choices->len == 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED,
                                        "mode \"%s\" of GPU %s cannot be set: driver gim does not say what it "
                                        "could be",
                                        p->name, t->facts->name);
        for (guint i = 0; i < p->choices->len; i++)
                g_string_append_printf(all, "%s%s", i > 0 ? ", " : "",
                                       ((const Choice *)p->choices->pdata[i])->value);
        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                "mode \"%s\" of GPU %s cannot be \"%s\"; it can be %s", p->name, t->facts->name,
                                value, all->str);
}

/* Only a text that it does not understand fails in this driver; the rest is the kernel's. */
static int explain_write(VgpuTarget *t, const Partitioning *p, const Choice *c, int r, VgpudError *reterr)
{
        static const Refusal refusals[] = {
                { EINVAL, VGPUD_ERROR_FAILED, "this release of the driver does not understand it" },
                { ENOENT, VGPUD_ERROR_FAILED, "the driver does not have this file any more" },
                { 0 },
        };

        if (is_gone(t, -r))
                return explain_gpu_gone(t->facts, r, reterr);

        return explain_refusal(refusals, r, reterr,
                               "mode \"%s\" of GPU %s cannot be set to %s by writing \"%s\"", p->name,
                               t->facts->name, c->value, c->text);
}

/* The driver refuses while a function is switched on (its pci_dev.enable_cnt, in sysfs "enable"): by whoever
 * has it open through VFIO, or by a driver of the host for as long as it has it, used or not. True with a
 * reason in *reterr when one of these is. */
static bool find_switched_on(VgpuIo *io, const char *gpu, const GPtrArray *vfs, VgpudError *reterr)
{
        for (guint i = 0; i < vfs->len; i++) {
                const VgpuVf *vf = vfs->pdata[i];
                _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
                g_autoptr(GArray) kept = vfs_kept_new();
                g_autofree char *count = NULL, *driver = NULL;

                if (vgpu_io_readf(io, &count, "%s/enable", vf->path) < 0 || strcmp(count, "0") == 0 ||
                    vfs_read_driver(io, vf->path, &driver) < 0)
                        continue;
                if (vfs_keep_out(io, vf->path, kept, &e) < 0)
                        (void)vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE,
                                               "virtual function %s of GPU %s is in use: %s", vf->name, gpu,
                                               e.message);
                else if (!driver)
                        (void)vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE,
                                               "virtual function %s of GPU %s has no driver, but is switched "
                                               "on; if nobody needs that, switch it off (echo 0 "
                                               ">/sys/bus/pci/devices/%s/enable)",
                                               vf->name, gpu, vf->name);
                else if (!vfs_driver_is_vfio(driver))
                        (void)vgpud_error_setf(
                                        reterr, VGPUD_ERROR_IN_USE,
                                        "driver %s of the host has virtual function %s of GPU %s; unbind "
                                        "this and all others that it has (echo %s "
                                        ">/sys/bus/pci/drivers/%s/unbind), and where the host does not "
                                        "need that driver, keep it from being loaded at boot",
                                        driver, vf->name, gpu, vf->name, driver);
                else
                        continue; /* let go by now */
                return true;
        }
        return false;
}

DEFINE_DESTROY_NOTIFY(free_vf, vgpu_vf_free)

/* The same of this GPU and all others of the driver, which changes those that are linked (XGMI) together; which
 * are linked it does not tell. */
static bool find_use(VgpuTarget *t, VgpudError *reterr)
{
        g_auto(GStrv) gpus = NULL;
        PciAddr address;

        if (find_switched_on(t->io, t->facts->name, t->facts->vfs, reterr))
                return true;
        if (vgpu_io_list(t->io, "bus/pci/drivers/gim", &gpus) < 0)
                return false;
        for (char **g = gpus; *g; g++) {
                g_autofree char *link = g_strconcat("bus/pci/devices/", *g, NULL), *path = NULL;
                g_autoptr(GPtrArray) vfs = g_ptr_array_new_with_free_func(free_vf);
                g_auto(GStrv) names = NULL;
                uint32_t links;

                if (strcmp(*g, t->facts->name) == 0 || pci_addr_parse(*g, &address) < 0 ||
                    vgpu_io_resolve_link(t->io, link, &path) < 0 || vgpu_io_list(t->io, path, &names) < 0)
                        continue;
                (void)vgpu_vfs_read(t->io, path, names, vfs, &links);
                if (find_switched_on(t->io, *g, vfs, reterr))
                        return true;
        }
        return false;
}

static int explain_unchanged(VgpuTarget *t, const Partitioning *p, const char *before, const Choice *c,
                             VgpudError *reterr)
{
        const char *gpu = t->facts->name;
        _cleanup_vgpud_error_ VgpudError use = VGPUD_ERROR_INIT;
        g_autofree char *memory = NULL;

        if (!p->value && is_gone(t, p->errnum))
                return explain_gpu_gone(t->facts, -p->errnum, reterr);
        if (!p->value)
                return vgpud_error_setf(reterr, VGPUD_ERROR_FAILED,
                                        "mode \"%s\" of GPU %s was set to %s, but %d s later it cannot be "
                                        "read: %s; the "
                                        "GPU may not have come back from its reset, see the kernel's log",
                                        p->name, gpu, c->value, LOOKS_MAX - 1,
                                        p->errnum > 0 ? g_strerror(p->errnum) : p->said);
        if (strcmp(c->value, "NPS8") == 0 && strcmp(p->value, "NPS4") == 0)
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_FAILED,
                                "mode \"%s\" of GPU %s is NPS4 now, not NPS8: this release of driver gim "
                                "takes one for the other%s",
                                p->name, gpu, strcmp(before, "NPS4") == 0 ? "" : "; set it again");
        if (strcmp(p->value, before) != 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_FAILED,
                                        "mode \"%s\" of GPU %s was to be %s, and is %s now; somebody else may "
                                        "have set it",
                                        p->name, gpu, c->value, p->value);
        if (find_use(t, &use))
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_IN_USE,
                                "driver gim reported success, but mode \"%s\" of GPU %s is %s as before, not "
                                "%s; it refuses without a word while a virtual function of this GPU, or of "
                                "one that is linked with it (XGMI), is switched on: %s",
                                p->name, gpu, p->value, c->value, use.message);
        if (strcmp(p->name, PROFILE) == 0) {
                _cleanup_partitioning_ Partitioning m = { 0 };
                read_partitioning(t, MEMORY, &m);
                memory = m.value ? g_strdup_printf(" (%s)", m.value) : NULL;
        }
        return vgpud_error_setf(
                        reterr, VGPUD_ERROR_FAILED,
                        "driver gim reported success, but mode \"%s\" of GPU %s is %s as before, not %s; it "
                        "refuses without a word what does not go with %s%s or with the number of virtual "
                        "functions (%u); the kernel's log says more",
                        p->name, gpu, p->value, c->value, strcmp(p->name, PROFILE) == 0 ? MEMORY : PROFILE,
                        memory ? memory : "", t->facts->vfs->len);
}

/* Look until it is what was asked for, or is not going to be. */
static bool verify(VgpuTarget *t, Partitioning *p, const char *wanted)
{
        /* The profile changes within the write. */
        int old_max = strcmp(p->name, MEMORY) == 0 ? LOOKS_OLD : 1;

        for (int looks = 1;; looks++) {
                read_value(t, p);
                if (p->value && strcmp(p->value, wanted) == 0)
                        return true;
                if (looks >= (p->value ? old_max : LOOKS_MAX) || (!p->value && is_gone(t, p->errnum)))
                        return false;
                vgpu_io_pause(t->io, RETRY_USEC);
        }
}

static int gim_configure(VgpuTarget *t, const char *mode, const char *value, VgpudError *reterr)
{
        const char *name = strcmp(mode, PROFILE) == 0 ? PROFILE : strcmp(mode, MEMORY) == 0 ? MEMORY : NULL;
        _cleanup_partitioning_ Partitioning p = { 0 };
        g_autofree char *before = NULL, *path = NULL;
        g_autoptr(GArray) kept = vfs_kept_new();
        const Choice *c = NULL;
        int r;

        if (strcmp(mode, SPATIAL) == 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED,
                                        "mode \"%s\" of GPU %s is decided by driver gim and only shown", mode,
                                        t->facts->name);
        if (!name)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "GPU %s has no mode \"%s\"",
                                        t->facts->name, mode);
        read_partitioning(t, name, &p);
        r = check_value(t, &p, value, &c, reterr);
        if (r < 0 || strcmp(p.value, value) == 0)
                return r;
        r = vfs_refuse_loads(t, &gim_vf_method, "be reset", kept, reterr);
        if (r < 0)
                return r;
        before = g_strdup(p.value);
        path = g_strdup_printf("%s/%s", t->facts->path, name);
        r = vgpu_io_write_guarded(t->io, path, c->text);
        if (r < 0 && r != -EPROTO)
                return explain_write(t, &p, c, r, reterr);
        if (verify(t, &p, value))
                return 0;
        /* A writer that died did so after its write(2), or before it. */
        if (r == -EPROTO && p.value && strcmp(p.value, before) == 0)
                return explain_refusal(NULL, r, reterr, "mode \"%s\" of GPU %s is still %s", name,
                                       t->facts->name, before);
        g_array_set_size(kept, 0);
        return explain_unchanged(t, &p, before, c, reterr);
}

/* ---- VFs ---- */

static int gim_check_vfs(const VfChange *c, VgpudError *reterr)
{
        return vgpud_error_setf(
                        reterr, VGPUD_ERROR_UNSUPPORTED,
                        "AMD's driver gim makes the virtual functions of GPU %s when it is loaded, and their number (%" PRIu32
                        ") stays as it is then; set its parameter vf_num (or vf_num= in /etc/gim_config), and load it again while no virtual machine uses one",
                        c->t->facts->name, c->before);
}

const VfMethod gim_vf_method = {
        .check = gim_check_vfs,
        .fixed_none = "AMD's gim makes them when it is loaded: set its parameter vf_num (or vf_num= in /etc/gim_config), and load it again",
        .fixed_more = "AMD's gim makes as many as its parameter vf_num (or vf_num= in /etc/gim_config) says when it is loaded",
};

const VfProvider gim_provider = {
        .name = "gim",
        .match = gim_match,
        .method = &gim_vf_method,
        .add_modes = gim_add_modes,
        .configure = gim_configure,
};

const VfProvider gim_plain_provider = {
        .name = "gim-plain",
        .match = gim_match_plain,
        .method = &gim_vf_method,
};
