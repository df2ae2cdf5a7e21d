/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Quotas of VFs, read and written alike for all drivers: the table of the provider has the differences. */

#include "drivers-glue/sriov/quota.h"

#include <inttypes.h>
#include <string.h>

#include "base/parse-util.h"
#include "base/text.h"

DEFINE_DESTROY_NOTIFY(quota_free_option, vgpu_type_option_free)
static const VfQuota *quota_find(const VfProvider *p, const char *name)
{
        for (size_t i = 0; p && i < p->n_quotas; i++)
                if (strcmp(p->quotas[i].name, name) == 0)
                        return &p->quotas[i];

        return NULL;
}

static int quota_list_folders(VgpuTarget *t, const VfProvider *p, uint32_t vf_index, char ***ret)
{
        return p && p->list_folders ? p->list_folders(t, vf_index, ret) : -ENOENT;
}

/* The names in all folders; -ENOENT if no folder can be read. */
static int quota_list_names(VgpuTarget *t, char **folders, GHashTable *names)
{
        int result = -ENOENT;

        for (char **f = folders; *f; f++) {
                char **list = NULL;
                int r = vgpu_io_list(t->io, *f, &list);

                if (r < 0)
                        continue;

                for (char **n = list; *n; n++)
                        (void)g_hash_table_add(names, *n); /* takes ownership */
                g_free(list);
                result = 0;
        }

        return result;
}

GPtrArray *vf_quota_options(VgpuTarget *t, const VfProvider *p)
{
        g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_autoptr(GPtrArray) options = g_ptr_array_new_with_free_func(quota_free_option);
        g_auto(GStrv) folders = NULL;

        /* The folders of the first VF stand for all: the tree has equal folders for every VF that the GPU can
         * have. */
        if (quota_list_folders(t, p, 0, &folders) < 0 || quota_list_names(t, folders, names) < 0)
                return NULL;

        for (size_t i = 0; i < p->n_quotas; i++)
                if (g_hash_table_contains(names, p->quotas[i].name))
                        g_ptr_array_add(options, vgpu_type_option_new(p->quotas[i].name, p->quotas[i].help));

        return options->len > 0 ? g_steal_pointer(&options) : NULL;
}

/* Replace "[low] normal high" by "low". */
static void quota_pick_priority(char *text)
{
        char *open = strchr(text, '['), *close = open ? strchr(open, ']') : NULL;

        if (!close)
                return;

        *close = 0;
        memmove(text, open + 1, strlen(open + 1) + 1);
}

static int quota_read(VgpuTarget *t, const char *folder, const VfQuota *q, char **ret)
{
        g_autofree char *text = NULL;
        int r = vgpu_io_readf(t->io, &text, "%s/%s", folder, q->name);

        if (r < 0)
                return r;

        if (q->unit == VF_QUOTA_PRIORITY)
                quota_pick_priority(text);
        *ret = g_utf8_make_valid(text, -1);

        return 0;
}

/* The common value of all folders that have the quota; -EUCLEAN, as in the driver xe, if the values differ. */
static int quota_read_common(VgpuTarget *t, char **folders, const VfQuota *q, char **ret)
{
        g_autofree char *common = NULL;
        int r = -ENOENT;

        for (char **f = folders; *f; f++) {
                g_autofree char *text = NULL;
                int k = quota_read(t, *f, q, &text);

                if (k < 0 && r == -ENOENT)
                        r = k;
                if (k < 0)
                        continue;

                if (!common)
                        common = g_steal_pointer(&text);
                /* The GT for media of i915 has no address space of its own and shows 0. */
                else if (strcmp(text, common) != 0 && !(q->unit == VF_QUOTA_BYTES && strcmp(text, "0") == 0))
                        return -EUCLEAN;
        }

        if (!common)
                return r;

        *ret = g_steal_pointer(&common);

        return 0;
}

GPtrArray *vf_quota_read_all(VgpuTarget *t, const VfProvider *p, uint32_t vf_index)
{
        g_autoptr(GPtrArray) values = vgpu_attributes_new();
        g_auto(GStrv) folders = NULL;

        if (quota_list_folders(t, p, vf_index, &folders) < 0)
                return NULL;

        for (size_t i = 0; i < p->n_quotas; i++) {
                g_autofree char *text = NULL;
                int r = quota_read_common(t, folders, &p->quotas[i], &text);

                if (r >= 0 || r == -EUCLEAN)
                        g_ptr_array_add(values,
                                        vgpu_attribute_new(p->quotas[i].name,
                                                           r < 0 ? "different on parts of the GPU" : text));
        }

        return values->len > 0 ? g_steal_pointer(&values) : NULL;
}

uint64_t vf_quota_find_framebuffer(const VfProvider *p, const GPtrArray *values)
{
        uint64_t bytes = 0;

        for (guint i = 0; values && i < values->len; i++) {
                const VgpuAttribute *a = values->pdata[i];
                const VfQuota *q = quota_find(p, a->name);

                if (q && q->framebuffer)
                        (void)parse_u64(a->value, 10, &bytes);
        }

        return bytes;
}

uint64_t vf_quota_read_framebuffer(VgpuTarget *t, const VfProvider *p, uint32_t vf_index)
{
        g_auto(GStrv) folders = NULL;
        uint64_t bytes = 0;

        for (size_t i = 0; p && i < p->n_quotas; i++) {
                g_autofree char *text = NULL;

                if (!p->quotas[i].framebuffer)
                        continue;

                if (!folders && quota_list_folders(t, p, vf_index, &folders) < 0)
                        return 0;

                if (quota_read_common(t, folders, &p->quotas[i], &text) >= 0)
                        (void)parse_u64(text, 10, &bytes);
        }

        return bytes;
}

/* Convert a value to the form of the kernel. */
static int quota_parse(const VfQuota *q, const char *value, uint64_t *ret_number, char **ret)
{
        static const char *const priorities[] = { "low", "normal", "high", NULL };
        uint64_t number = 0;
        int r;

        switch (q->unit) {
        case VF_QUOTA_PRIORITY:
                if (!g_strv_contains(priorities, value))
                        return -EINVAL;

                *ret = g_strdup(value);
                break;
        case VF_QUOTA_BYTES:
        case VF_QUOTA_NUMBER:
                r = q->unit == VF_QUOTA_BYTES ? parse_bytes(value, &number) : parse_u64(value, 10, &number);
                if (r < 0)
                        return r;

                if (q->unit == VF_QUOTA_NUMBER && number > q->max)
                        return -ERANGE;

                *ret = g_strdup_printf("%" PRIu64, number);
                break;
        }

        g_assert(*ret);

        *ret_number = number;

        return 0;
}

static char *quota_join_options(const GPtrArray *options)
{
        GString *text = g_string_new(NULL);

        for (guint i = 0; i < options->len; i++)
                g_string_append_printf(text, "%s%s", i > 0 ? ", " : "",
                                       ((const VgpuTypeOption *)options->pdata[i])->name);

        return g_string_free(text, FALSE);
}

int vf_quota_check(VgpuTarget *t, const VfProvider *p, const GPtrArray *attributes, VgpudError *reterr)
{
        g_autoptr(GPtrArray) options = vf_quota_options(t, p);
        g_autofree char *names = options ? quota_join_options(options) : g_strdup("none");
        int r;

        if (!attributes || attributes->len == 0) {
                r = vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                     "a VF with a profile needs at least one option");
                vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER, "the options are: %s", names);

                return r;
        }

        for (guint i = 0; i < attributes->len; i++) {
                const VgpuAttribute *a = attributes->pdata[i];
                const VfQuota *q = quota_find(p, a->name);
                g_autofree char *value = NULL;
                bool offered = false;
                uint64_t number;

                for (guint j = 0; options && j < options->len; j++)
                        offered |= strcmp(((const VgpuTypeOption *)options->pdata[j])->name, a->name) == 0;
                if (!q || !offered) {
                        r = vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "VFs of GPU %s have no option \"%s\"",
                                             t->facts->name, TEXT_QUOTE(a->name));
                        vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER, "the options are: %s", names);

                        return r;
                }

                if (quota_parse(q, a->value, &number, &value) < 0)
                        return explain_option(a, q->help, reterr);
        }

        return 0;
}

static int quota_explain_write(VgpuTarget *t, const VfProvider *p, const VgpuVf *vf, const VfQuota *q,
                               const char *folder, const char *value, int r, VgpudError *reterr)
{
        static const Refusal refusals[] = {
                { EINVAL, VGPUD_ERROR_INVALID, "the driver does not accept the value" },
                { ERANGE, VGPUD_ERROR_INVALID, "the driver does not accept the value" },
                { 0 },
        };

        if (r == -EBUSY) {
                r = vgpud_error_set_errnof(
                                reterr, VGPUD_ERROR_FAILED, r,
                                "%s of VF %s cannot be set to %s: %s: the GPU is being reset, or the driver allows changes only while no VF is enabled",
                                q->name, vf->name, value, g_strerror(-r));
                vgpud_error_hintf(
                                reterr, VGPUD_HINT_DISABLE_VFS,
                                "try again; if that does not help, disable the VFs (vgpuctl disable-vfs %s), write the value to /sys/%s/%s for each VF that needs it, and enable the VFs again",
                                t->facts->name, folder, q->name);

                return r;
        }

        return explain_refusal(refusal_find(p->refusals, r) ? p->refusals : refusals, r, reterr,
                               "%s of VF %s cannot be set to %s", q->name, vf->name, value);
}

/* True if the current value `now` may be the result of writing `wanted`, a text whose numeric value is
 * `number`. */
static bool quota_is_applied(const VfQuota *q, const char *wanted, uint64_t number, const char *now)
{
        uint64_t there;

        if (q->step > 0 && number > 0)
                return parse_u64(now, 10, &there) >= 0 && there >= number && there - number < q->step;

        return strcmp(wanted, now) == 0;
}

/* Split the name of a saved quota: "gt1/contexts_quota" is the quota of one part of the GPU, where the parts
 * differ; a name without a slash holds for all parts. */
static const char *quota_split_name(const char *name, char **ret_part)
{
        const char *slash = strchr(name, '/');

        *ret_part = slash ? g_strndup(name, (size_t)(slash - name)) : NULL;

        return slash ? slash + 1 : name;
}

static bool quota_is_part(const char *folder, const char *part)
{
        g_assert(strchr(folder, '/'));

        return !part || strcmp(strrchr(folder, '/') + 1, part) == 0;
}

/* A value to write to the folders of a VF. */
typedef struct QuotaWrite {
        const VgpuVf *vf;
        const VfQuota *quota;
        const char *value; /* borrowed */
        uint64_t number;
        int problem; /* the last errno of a folder that has no such quota */
} QuotaWrite;

static int quota_verify(const QuotaWrite *w, const char *now, int r, VgpudError *reterr)
{
        if (r < 0)
                return vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r,
                                              "%s of VF %s was set to %s, but cannot be read back: %s",
                                              w->quota->name, w->vf->name, w->value, g_strerror(-r));

        if (!quota_is_applied(w->quota, w->value, w->number, now))
                return vgpud_error_setf(reterr, VGPUD_ERROR_FAILED,
                                        "%s of VF %s was set to %s without an error, but is %s", w->quota->name,
                                        w->vf->name, w->value, now);

        return 0;
}

/* 1: the folder has the value; 0: the folder has no such quota. */
static int quota_write_folder(VgpuTarget *t, const VfProvider *p, QuotaWrite *w, const char *folder,
                              bool other_part, VgpudError *reterr)
{
        g_autofree char *path = g_strdup_printf("%s/%s", folder, w->quota->name), *now = NULL;
        int r, k;

        /* Do not write an unchanged value: a rollback of a quota that cannot be changed must not fail. */
        if (quota_read(t, folder, w->quota, &now) >= 0 && strcmp(now, w->value) == 0)
                return 1;

        g_clear_pointer(&now, g_free);

        /* The firmware of the GPU serves the write, which may block for long. */
        r = vgpu_io_write_guarded(t->io, path, w->value);
        if (r == -ENOENT || (r < 0 && other_part && p->is_elsewhere && p->is_elsewhere(r))) {
                w->problem = r;
                return 0;
        }

        /* EBUSY: the quota is fixed, but may have the requested value. EPROTO: the writer may have died after
         * write(2). */
        k = quota_read(t, folder, w->quota, &now);
        if ((r == -EBUSY || r == -EPROTO) && k >= 0 && quota_is_applied(w->quota, w->value, w->number, now))
                r = 0;
        if (r < 0)
                return quota_explain_write(t, p, w->vf, w->quota, folder, w->value, r, reterr);

        r = quota_verify(w, now, k, reterr);

        return r < 0 ? r : 1;
}

static int quota_write(VgpuTarget *t, const VfProvider *p, const VgpuVf *vf, char **folders,
                       const VgpuAttribute *a, VgpudError *reterr)
{
        g_autofree char *part = NULL;
        const VfQuota *q = quota_find(p, quota_split_name(a->name, &part));
        g_autofree char *value = NULL;
        QuotaWrite w = { .vf = vf, .quota = q, .problem = -ENOENT };
        bool written = false;
        int r;

        r = q ? quota_parse(q, a->value, &w.number, &value) : -EINVAL;
        if (r < 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "option %s cannot be \"%s\"",
                                        TEXT_QUOTE(a->name), TEXT_QUOTE(a->value));

        w.value = value;
        for (char **f = folders; *f; f++) {
                if (!quota_is_part(*f, part))
                        continue;

                r = quota_write_folder(t, p, &w, *f, f > folders, reterr);
                if (r < 0)
                        return r;
                if (r > 0)
                        written = true;
        }

        return written ? 0 : quota_explain_write(t, p, vf, q, folders[0], value, w.problem, reterr);
}

int vf_quota_write(VgpuTarget *t, const VfProvider *p, const VgpuVf *vf, const GPtrArray *attributes,
                   VgpudError *reterr)
{
        g_auto(GStrv) folders = NULL;
        int r;

        g_assert(attributes);

        r = quota_list_folders(t, p, vf->index, &folders);
        if (r < 0)
                return vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r,
                                              "the quotas of VF %s cannot be found: %s", vf->name,
                                              g_strerror(-r));

        if (p->before_write)
                p->before_write(t);
        for (guint i = 0; i < attributes->len && r >= 0; i++)
                r = quota_write(t, p, vf, folders, attributes->pdata[i], reterr);
        if (p->after_write)
                p->after_write(t);

        return r;
}

static void quota_save_value(GPtrArray *saved, const VfQuota *q, const char *part, const char *text)
{
        g_autofree char *value = NULL, *name = part ? g_strconcat(part, "/", q->name, NULL) : g_strdup(q->name);
        uint64_t number;

        /* An invalid value cannot be restored. */
        if (quota_parse(q, text, &number, &value) >= 0)
                g_ptr_array_add(saved, vgpu_attribute_new(name, text));
}

static void quota_save_parts(VgpuTarget *t, char **folders, const VfQuota *q, GPtrArray *saved)
{
        for (char **f = folders; *f; f++) {
                g_autofree char *text = NULL;

                if (quota_read(t, *f, q, &text) >= 0)
                        quota_save_value(saved, q, strrchr(*f, '/') + 1, text);
        }
}

GPtrArray *vf_quota_save(VgpuTarget *t, const VfProvider *p, uint32_t vf_index, const GPtrArray *attributes)
{
        GPtrArray *saved = vgpu_attributes_new();
        g_auto(GStrv) folders = NULL;

        g_assert(attributes && attributes->len > 0);

        if (quota_list_folders(t, p, vf_index, &folders) < 0)
                return saved;

        for (size_t i = 0; i < p->n_quotas; i++) {
                const VfQuota *q = &p->quotas[i];
                g_autofree char *common = NULL;
                bool changes = false;

                for (guint j = 0; j < attributes->len; j++)
                        changes |= strcmp(((const VgpuAttribute *)attributes->pdata[j])->name, q->name) == 0;
                if (!changes)
                        continue;

                if (quota_read_common(t, folders, q, &common) >= 0)
                        quota_save_value(saved, q, NULL, common);
                else
                        quota_save_parts(t, folders, q, saved);
        }

        return saved;
}

bool vf_quota_has(VgpuTarget *t, const VfProvider *p, uint32_t vf_index, const GPtrArray *attributes)
{
        g_autoptr(GPtrArray) values = vf_quota_read_all(t, p, vf_index);

        g_assert(attributes);

        for (guint i = 0; i < attributes->len; i++) {
                const VgpuAttribute *a = attributes->pdata[i];
                const VfQuota *q = quota_find(p, a->name);
                g_autofree char *value = NULL;
                bool has = false;
                uint64_t number;

                if (!q || quota_parse(q, a->value, &number, &value) < 0)
                        return false;

                for (guint j = 0; values && j < values->len; j++) {
                        const VgpuAttribute *v = values->pdata[j];

                        has |= strcmp(v->name, a->name) == 0 && quota_is_applied(q, value, number, v->value);
                }

                if (!has)
                        return false;
        }

        return true;
}
