/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Partitioning of an accelerator of AMD's driver gim (8.x): modes of the whole GPU, each a file of the GPU.
 *
 * - Other files of the GPU act when they are read: reset_gpu resets the GPU, psp_vbflash starts to write the
 * flash memory of the GPU. Open no file but those named here.
 * - A write reports success even if nothing changed, and fails only for a text of unknown form. Only the value
 * read back counts.
 * - If a value is not available, the file contains a sentence ("failed to get current mp mode").
 * - A new memory mode resets the GPU after the write has returned, and selects the profile for the mode. GPUs
 * that are linked by XGMI change together. */

#include "drivers-glue/amd/gim.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/parse-util.h"
#include "base/text.h"
#include "drivers-glue/explain.h"
#include "drivers-glue/vf/bind.h"
#include "drivers-glue/vf/count.h"

#define PROFILE "accelerator_partition_profile"
#define MEMORY  "memory_partition_mode"
#define SPATIAL "spatial_partition_mode"

#define RETRY_USEC (1000 * 1000)
/* Limit of reads, one per second, until the GPU answers again after a reset. */
#define READS_MAX 60
/* Limit of reads that still show the old value because the reset has not begun. */
#define READS_OLD 5

#define SAID_MAX 80

typedef struct Choice {
        char *value;         /* owned; the value that vgpud shows */
        char *text;          /* owned; the text that the driver expects */
        uint32_t partitions; /* 0: unknown */
} Choice;

typedef struct Partitioning {
        const char *name;   /* mode and file */
        char *value;        /* owned; the current value; NULL: not available */
        char *said;         /* owned; the sentence in place of the value; NULL: none */
        int errnum;         /* positive, if the read failed */
        GPtrArray *choices; /* owned: Choice; empty: unknown, or the mode cannot be set */
} Partitioning;

static void gim_free_choice(gpointer p)
{
        Choice *c = p;

        g_free(c->value);
        g_free(c->text);
        g_free(c);
}

static void gim_partitioning_done(Partitioning *p)
{
        g_free(p->value);
        g_free(p->said);
        g_clear_pointer(&p->choices, g_ptr_array_unref);
}
#define _cleanup_partitioning_ _cleanup_(gim_partitioning_done)

static void gim_add_choice(GPtrArray *choices, const char *value, const char *text, uint32_t partitions)
{
        Choice *c = g_new(Choice, 1);

        g_assert(value && text);

        *c = (Choice){ .value = g_strdup(value), .text = g_strdup(text), .partitions = partitions };
        g_ptr_array_add(choices, c);
}

static const Choice *gim_find_choice(const GPtrArray *choices, const char *value)
{
        for (guint i = 0; i < choices->len; i++) {
                const Choice *c = choices->pdata[i];

                if (strcmp(c->value, value) == 0)
                        return c;
        }

        return NULL;
}

/* True for the name of a mode ("CPX", "NPS4"), false for a sentence. */
static bool gim_is_word(const char *s)
{
        size_t n = 0;

        while (g_ascii_isalnum(s[n]) || s[n] == '-' || s[n] == '_')
                n++;

        return n > 0 && !s[n];
}

/* Split a line into words; the first word must be a number. */
static bool gim_split_row(const char *line, uint32_t *ret_index, char ***ret_words)
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

/* New GPUs have profiles without a name, and two profiles may have the same name; the numbers are unique. */
static char *gim_label_profile(uint32_t index, const char *name, bool unique)
{
        return unique && gim_is_word(name) && strcmp(name, "UNKNOWN") != 0
                               ? g_strdup(name)
                               : g_strdup_printf("profile%u", index);
}

static bool gim_is_unique(const GPtrArray *choices, const char *name)
{
        guint n = 0;

        for (guint i = 0; i < choices->len; i++)
                n += strcmp(((const Choice *)choices->pdata[i])->value, name) == 0;

        return n == 1;
}

/* Parse the rows "INDEX NAME PARTITIONS …" below the line "profiles:" and a header line. */
static void gim_parse_profiles(const char *text, GPtrArray *choices)
{
        const char *at = strstr(text, "\nprofiles:");
        g_auto(GStrv) lines = g_strsplit(at ? at : "", "\n", -1);
        g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(gim_free_choice);

        for (char **l = lines; *l; l++) {
                g_auto(GStrv) words = NULL;
                uint32_t index, partitions;

                if (gim_split_row(*l, &index, &words))
                        gim_add_choice(rows, words[1], words[0],
                                       parse_u32(words[2], 10, &partitions) < 0 ? 0 : partitions);
        }

        for (guint i = 0; i < rows->len; i++) {
                const Choice *row = rows->pdata[i];
                g_autofree char *label = NULL;
                uint32_t index = 0;

                (void)parse_u32(row->text, 10, &index);
                label = gim_label_profile(index, row->value, gim_is_unique(rows, row->value));
                gim_add_choice(choices, label, row->text, row->partitions);
        }
}

/* Parse a table of one row: "INDEX NAME PARTITIONS …". */
static char *gim_parse_profile(const char *text, const GPtrArray *choices)
{
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

        for (char **l = lines; *l; l++) {
                g_auto(GStrv) words = NULL;
                uint32_t index;

                if (!gim_split_row(*l, &index, &words))
                        continue;

                for (guint i = 0; i < choices->len; i++) {
                        const Choice *c = choices->pdata[i];

                        if (strcmp(c->text, words[0]) == 0)
                                return g_strdup(c->value);
                }

                return gim_label_profile(index, words[1], choices->len == 0);
        }

        return NULL;
}

/* Parse the first line, "memory_partition_mode: NPS1". Lines of addresses follow. */
static char *gim_parse_memory(const char *text)
{
        g_autofree char *line = g_strndup(text, strcspn(text, "\n"));
        const char *value = line + strlen(MEMORY ": ");

        return g_str_has_prefix(line, MEMORY ": ") && gim_is_word(g_strchomp(line) + strlen(MEMORY ": "))
                               ? g_strdup(value)
                               : NULL;
}

/* Parse a list such as "NPS1 NPS4 ". */
static void gim_parse_memory_modes(const char *text, GPtrArray *choices)
{
        g_auto(GStrv) words = g_strsplit_set(text, " \t\n", -1);
        uint32_t n;

        for (char **w = words; *w; w++)
                if (g_str_has_prefix(*w, "NPS") && parse_u32(*w + strlen("NPS"), 10, &n) >= 0)
                        gim_add_choice(choices, *w, *w, 0);
}

static char *gim_quote(const char *text)
{
        g_autofree char *line = g_strndup(text, strcspn(text, "\n"));

        if (strlen(line) > SAID_MAX)
                line[SAID_MAX] = 0;

        return g_utf8_make_valid(g_strstrip(line), -1);
}

static void gim_read_value(VgpuTarget *t, Partitioning *p)
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
                p->value = gim_parse_profile(text, p->choices);
        else if (strcmp(p->name, MEMORY) == 0)
                p->value = gim_parse_memory(text);
        else
                p->value = gim_is_word(text) ? g_strdup(text) : NULL;

        if (!p->value)
                p->said = gim_quote(text);
}

static void gim_read_partitioning(VgpuTarget *t, const char *name, Partitioning *ret)
{
        g_autofree char *text = NULL;

        g_assert(!ret->choices);

        *ret = (Partitioning){ .name = name, .choices = g_ptr_array_new_with_free_func(gim_free_choice) };
        if (strcmp(name, PROFILE) == 0) {
                if (vgpu_io_readf(t->io, &text, "%s/accelerator_partition_profile_config", t->facts->path) >= 0)
                        gim_parse_profiles(text, ret->choices);
        } else if (strcmp(name, MEMORY) == 0) {
                if (vgpu_io_readf(t->io, &text, "%s/memory_partition_config", t->facts->path) >= 0)
                        gim_parse_memory_modes(text, ret->choices);
        }

        gim_read_value(t, ret);
}

/* ---- modes ---- */

static bool gim_match(const GpuFacts *facts)
{
        return facts->features & VGPU_FEATURE_GIM;
}

static bool gim_match_plain(const GpuFacts *facts)
{
        return g_strcmp0(facts->driver, "gim") == 0;
}

static char *gim_make_help(const Partitioning *p)
{
        GString *help;

        if (strcmp(p->name, MEMORY) == 0)
                return g_strdup("number of parts of the memory (NPS4: four); a new mode resets the GPU, changes " PROFILE
                                " accordingly, and also changes the GPUs that are linked with this one (XGMI)");
        if (strcmp(p->name, SPATIAL) == 0)
                return g_strdup("number of parts of the GPU that VFs use side by side: SPX one, DPX two, QPX four, CPX eight; the driver decides");

        help = g_string_new("number of parts into which the compute units are divided for an operating system");
        for (guint i = 0; i < p->choices->len; i++) {
                const Choice *c = p->choices->pdata[i];

                if (c->partitions > 0)
                        g_string_append_printf(help, "%s%s %u", i == 0 ? ": " : ", ", c->value, c->partitions);
        }

        g_string_append(help, "; the possible profiles depend on " MEMORY " and on the number of VFs");

        return g_string_free(help, FALSE);
}

static int gim_add_modes(VgpuTarget *t, GpuSnapshot *snapshot, VgpudError *reterr)
{
        static const char *const names[] = { PROFILE, MEMORY, SPATIAL };

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                _cleanup_partitioning_ Partitioning p = { 0 };
                g_autoptr(GPtrArray) values = g_ptr_array_new();
                g_autofree char *help = NULL;

                gim_read_partitioning(t, names[i], &p);
                if (!p.value)
                        continue;

                for (guint k = 0; k < p.choices->len; k++)
                        g_ptr_array_add(values, ((Choice *)p.choices->pdata[k])->value);
                g_ptr_array_add(values, NULL);
                help = gim_make_help(&p);
                g_ptr_array_add(snapshot->modes,
                                vgpu_mode_new(p.name, p.value,
                                              values->len > 1 ? (const char *const *)values->pdata : NULL,
                                              help));
        }

        return 0;
}

/* ---- configure ---- */

static bool gim_is_gone(VgpuTarget *t, int eno)
{
        g_assert(eno >= 0);

        return eno == ENODEV || (eno == ENOENT && !vgpu_io_exists(t->io, t->facts->path));
}

static int gim_explain_unavailable(VgpuTarget *t, const Partitioning *p, VgpudError *reterr)
{
        int r;

        g_assert(!p->value);

        if (gim_is_gone(t, p->errnum))
                return explain_gpu_gone(t->facts, -p->errnum, reterr);

        if (p->errnum > 0)
                return vgpud_error_set_errnof(reterr, VGPUD_ERROR_UNSUPPORTED, -p->errnum,
                                              "mode %s of GPU %s cannot be read: %s", p->name, t->facts->name,
                                              g_strerror(p->errnum));

        r = vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED,
                             "mode %s of GPU %s is not available: driver gim reports \"%s\"", p->name,
                             t->facts->name, TEXT_QUOTE(p->said));
        vgpud_error_hintf(
                        reterr, VGPUD_HINT_TRY_AGAIN,
                        "if the GPU is being reset, try again; else the GPU may not support the mode, or may have failed");

        return r;
}

static int gim_check_value(VgpuTarget *t, const Partitioning *p, const char *value, const Choice **ret,
                           VgpudError *reterr)
{
        g_autoptr(GString) all = g_string_new(NULL);
        int r;

        if (!p->value)
                return gim_explain_unavailable(t, p, reterr);

        *ret = gim_find_choice(p->choices, value);
        if (*ret)
                return 0;

        if (p->choices->len == 0)
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_UNSUPPORTED,
                                "mode %s of GPU %s cannot be set: driver gim does not list the possible values",
                                p->name, t->facts->name);

        for (guint i = 0; i < p->choices->len; i++)
                g_string_append_printf(all, "%s%s", i > 0 ? ", " : "",
                                       ((const Choice *)p->choices->pdata[i])->value);

        r = vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "mode %s of GPU %s cannot be \"%s\"", p->name,
                             t->facts->name, TEXT_QUOTE(value));
        vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER, "choose one of: %s", all->str);

        return r;
}

/* gim only refuses a text of unknown form; all other errors come from the kernel. */
static int gim_explain_write(VgpuTarget *t, const Partitioning *p, const Choice *c, int r, VgpudError *reterr)
{
        static const Refusal refusals[] = {
                { EINVAL, VGPUD_ERROR_FAILED, "this release of driver gim does not understand the text" },
                { ENOENT, VGPUD_ERROR_FAILED, "driver gim no longer has this file" },
                { 0 },
        };

        if (gim_is_gone(t, -r))
                return explain_gpu_gone(t->facts, r, reterr);

        return explain_refusal(refusals, r, reterr, "mode %s of GPU %s cannot be set to %s by writing \"%s\"",
                               p->name, t->facts->name, c->value, c->text);
}

/* Explain why an enabled VF keeps gim from changing a mode. False if the VF has a VFIO driver and no user:
 * since gim_find_enabled_vf() read "enable", the last user has closed the VF, and the driver has disabled the
 * VF. */
static bool gim_explain_enabled(VgpuIo *io, const char *gpu, const VgpuVf *vf, const char *driver,
                                VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        g_autoptr(GArray) held = vfs_held_groups_new();

        if (vfs_keep_out(io, vf->path, held, &e) < 0) {
                (void)vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE, "VF %s of GPU %s is in use: %s", vf->name,
                                       gpu, e.message);
                explain_copy_hint(&e.hint, reterr);
                return true;
        }

        if (!driver) {
                (void)vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE,
                                       "VF %s of GPU %s is enabled without a driver", vf->name, gpu);
                vgpud_error_hintf(
                                reterr, VGPUD_HINT_REMOVE_BY_HAND,
                                "if no program needs the VF, disable it: echo 0 >/sys/bus/pci/devices/%s/enable",
                                vf->name);
                return true;
        }

        if (!vfs_driver_is_vfio(driver)) {
                (void)vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE,
                                       "VF %s of GPU %s is bound to driver %s of the host", vf->name, gpu,
                                       driver);
                vgpud_error_hintf(
                                reterr, VGPUD_HINT_REMOVE_BY_HAND,
                                "unbind all VFs of this driver (echo %s >/sys/bus/pci/drivers/%s/unbind), and keep the driver from being loaded at boot if the host does not need it",
                                vf->name, driver);
                return true;
        }

        return false;
}

/* gim refuses a change while a VF is enabled (pci_dev.enable_cnt, in sysfs "enable"): by a program that has
 * the VF open through VFIO, or by a driver of the host, even if no program uses that driver. True with a
 * reason in *reterr if a VF is enabled. */
static bool gim_find_enabled_vf(VgpuIo *io, const char *gpu, const GPtrArray *vfs, VgpudError *reterr)
{
        for (guint i = 0; i < vfs->len; i++) {
                const VgpuVf *vf = vfs->pdata[i];
                g_autofree char *count = NULL, *driver = NULL;

                if (vgpu_io_readf(io, &count, "%s/enable", vf->path) < 0 || strcmp(count, "0") == 0 ||
                    vfs_read_driver(io, vf->path, &driver) < 0)
                        continue;

                if (gim_explain_enabled(io, gpu, vf, driver, reterr))
                        return true;
        }

        return false;
}

DEFINE_DESTROY_NOTIFY(gim_free_vf, vgpu_vf_free)

/* Search this GPU and all other GPUs of gim: GPUs linked by XGMI change together, and gim does not show the
 * links. */
static bool gim_find_enabled(VgpuTarget *t, VgpudError *reterr)
{
        g_auto(GStrv) gpus = NULL;
        PciAddr address;

        if (gim_find_enabled_vf(t->io, t->facts->name, t->facts->vfs, reterr))
                return true;

        if (vgpu_io_list(t->io, "bus/pci/drivers/gim", &gpus) < 0)
                return false;

        for (char **g = gpus; *g; g++) {
                g_autofree char *link = g_strconcat("bus/pci/devices/", *g, NULL), *path = NULL;
                g_autoptr(GPtrArray) vfs = g_ptr_array_new_with_free_func(gim_free_vf);
                g_auto(GStrv) names = NULL;
                uint32_t links;

                if (strcmp(*g, t->facts->name) == 0 || pci_addr_parse(*g, &address) < 0 ||
                    vgpu_io_resolve_link(t->io, link, &path) < 0 || vgpu_io_list(t->io, path, &names) < 0)
                        continue;

                (void)vgpu_vfs_read(t->io, path, names, vfs, &links);
                if (gim_find_enabled_vf(t->io, *g, vfs, reterr))
                        return true;
        }

        return false;
}

static int gim_explain_unreadable(VgpuTarget *t, const Partitioning *p, const Choice *c, VgpudError *reterr)
{
        int r = vgpud_error_setf(reterr, VGPUD_ERROR_FAILED,
                                 "mode %s of GPU %s was set to %s, but cannot be read %d s later: %s", p->name,
                                 t->facts->name, c->value, READS_MAX - 1,
                                 p->errnum > 0 ? g_strerror(p->errnum) : TEXT_QUOTE(p->said));

        vgpud_error_hintf(reterr, VGPUD_HINT_SEE_KERNEL_LOG,
                          "the GPU may have failed to reset: look for messages of gim in the kernel log");

        return r;
}

static int gim_explain_other_value(VgpuTarget *t, const Partitioning *p, const Choice *c, VgpudError *reterr)
{
        int r = vgpud_error_setf(reterr, VGPUD_ERROR_FAILED,
                                 "mode %s of GPU %s is %s now, not %s: another program may have set it",
                                 p->name, t->facts->name, TEXT_QUOTE(p->value), c->value);

        vgpud_error_hintf(reterr, VGPUD_HINT_STOP_OTHER_TOOL,
                          "stop the other program that sets modes of the GPU");

        return r;
}

static int gim_explain_nps8(VgpuTarget *t, const Partitioning *p, const char *before, VgpudError *reterr)
{
        int r = vgpud_error_setf(
                        reterr, VGPUD_ERROR_FAILED,
                        "mode %s of GPU %s is NPS4 now, not NPS8: this release of driver gim confuses them",
                        p->name, t->facts->name);

        if (strcmp(before, "NPS4") != 0)
                vgpud_error_hintf(reterr, VGPUD_HINT_TRY_AGAIN, "set the mode again");

        return r;
}

/* gim refuses combinations of mode, profile and number of VFs without an error. */
static int gim_explain_refused(VgpuTarget *t, const Partitioning *p, const Choice *c, VgpudError *reterr)
{
        bool is_profile = strcmp(p->name, PROFILE) == 0;
        _cleanup_partitioning_ Partitioning other = { 0 };
        int r;

        g_assert(p->value);

        gim_read_partitioning(t, is_profile ? MEMORY : PROFILE, &other);
        r = vgpud_error_setf(
                        reterr, VGPUD_ERROR_FAILED,
                        "driver gim reported success, but mode %s of GPU %s is still %s, not %s, with %s %s and %u VFs",
                        p->name, t->facts->name, TEXT_QUOTE(p->value), c->value, other.name,
                        other.value ? TEXT_QUOTE(other.value) : "(unknown)", t->facts->vfs->len);
        vgpud_error_hintf(
                        reterr, VGPUD_HINT_CONFIGURE_GPU,
                        "driver gim refuses values that do not fit %s or the number of VFs: change these first, or look for messages of gim in the kernel log",
                        other.name);

        return r;
}

static int gim_explain_unchanged(VgpuTarget *t, const Partitioning *p, const char *before, const Choice *c,
                                 VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError use = VGPUD_ERROR_INIT;
        int r;

        g_assert(strcmp(before, c->value) != 0);

        if (!p->value && gim_is_gone(t, p->errnum))
                return explain_gpu_gone(t->facts, -p->errnum, reterr);
        if (!p->value)
                return gim_explain_unreadable(t, p, c, reterr);

        if (strcmp(c->value, "NPS8") == 0 && strcmp(p->value, "NPS4") == 0)
                return gim_explain_nps8(t, p, before, reterr);
        if (strcmp(p->value, before) != 0)
                return gim_explain_other_value(t, p, c, reterr);

        if (!gim_find_enabled(t, &use))
                return gim_explain_refused(t, p, c, reterr);

        r = vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE,
                             "driver gim reported success, but mode %s of GPU %s is still %s, not %s: %s",
                             p->name, t->facts->name, TEXT_QUOTE(p->value), c->value, use.message);
        explain_copy_hint(&use.hint, reterr);

        return r;
}

/* Read the value until the GPU has the requested value (true) or the limit of reads is reached (false). */
static bool gim_verify(VgpuTarget *t, Partitioning *p, const char *wanted)
{
        /* A new profile is in effect when the write returns, so one read of the old profile is enough. */
        int old_max = strcmp(p->name, MEMORY) == 0 ? READS_OLD : 1;

        for (int reads = 1;; reads++) {
                gim_read_value(t, p);
                if (p->value && strcmp(p->value, wanted) == 0)
                        return true;

                if (reads >= (p->value ? old_max : READS_MAX) || (!p->value && gim_is_gone(t, p->errnum)))
                        return false;

                vgpu_io_pause(t->io, RETRY_USEC);
        }
}

static int gim_configure(VgpuTarget *t, const char *mode, const char *value, VgpudError *reterr)
{
        const char *name = strcmp(mode, PROFILE) == 0 ? PROFILE : strcmp(mode, MEMORY) == 0 ? MEMORY : NULL;
        _cleanup_partitioning_ Partitioning p = { 0 };
        g_autofree char *before = NULL, *path = NULL;
        g_autoptr(GArray) held = vfs_held_groups_new();
        const Choice *c = NULL;
        int r;

        if (strcmp(mode, SPATIAL) == 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED,
                                        "mode %s of GPU %s cannot be set: driver gim decides", mode,
                                        t->facts->name);

        if (!name)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "GPU %s has no mode \"%s\"",
                                        t->facts->name, TEXT_QUOTE(mode));

        gim_read_partitioning(t, name, &p);
        r = gim_check_value(t, &p, value, &c, reterr);
        if (r < 0 || strcmp(p.value, value) == 0)
                return r;

        g_assert(c);

        r = vfs_refuse_loads(t, &gim_vf_method, "reset", held, reterr);
        if (r < 0)
                return r;

        before = g_strdup(p.value);
        path = g_strdup_printf("%s/%s", t->facts->path, name);

        r = vgpu_io_write_guarded(t->io, path, c->text);
        if (r < 0 && r != -EPROTO)
                return gim_explain_write(t, &p, c, r, reterr);

        if (gim_verify(t, &p, value))
                return 0;

        /* vgpud-write died, and the old value stays: write(2) did not happen, or gim refused the value
         * silently. */
        if (r == -EPROTO && p.value && strcmp(p.value, before) == 0)
                return explain_refusal(NULL, r, reterr, "mode %s of GPU %s is still %s", name, t->facts->name,
                                       before);

        g_assert(!p.value || strcmp(p.value, value) != 0);
        g_array_set_size(held, 0);

        return gim_explain_unchanged(t, &p, before, c, reterr);
}

/* ---- VFs ---- */

#define GIM_FIXED "AMD's driver gim creates VFs only when it is loaded (parameter vf_num)"
#define GIM_FIXED_HINT \
        "set the parameter vf_num of gim (or vf_num= in /etc/gim_config), and reload gim while no VM uses a VF"

static int gim_check_vfs(const VfChange *c, VgpudError *reterr)
{
        int r = vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED,
                                 "the number of VFs of GPU %s (%" PRIu32 ") cannot be changed: " GIM_FIXED,
                                 c->t->facts->name, c->before);

        vgpud_error_hintf(reterr, VGPUD_HINT_CONFIGURE_DRIVER, GIM_FIXED_HINT);

        return r;
}

const VfMethod gim_vf_method = {
        .check = gim_check_vfs,
        .fixed = GIM_FIXED,
        .fixed_hint = { VGPUD_HINT_CONFIGURE_DRIVER, GIM_FIXED_HINT },
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
