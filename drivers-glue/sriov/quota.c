/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Quotas of virtual functions, read and written the same way for every driver that has them: what differs is in
 * the provider's table. */

#include "drivers-glue/sriov/quota.h"

#include <inttypes.h>
#include <string.h>

#include "base/parse-util.h"

DEFINE_DESTROY_NOTIFY(free_option, vgpu_type_option_free)
DEFINE_DESTROY_NOTIFY(free_attribute, vgpu_attribute_free)

static const VfQuota *find_quota(const VfProvider *p, const char *name)
{
        for (size_t i = 0; p && i < p->n_quotas; i++)
                if (strcmp(p->quotas[i].name, name) == 0)
                        return &p->quotas[i];
        return NULL;
}

static int list_folders(VgpuTarget *t, const VfProvider *p, uint32_t vf_index, char ***ret)
{
        return p && p->list_folders ? p->list_folders(t, vf_index, ret) : -ENOENT;
}

/* Names in all the folders; -ENOENT when there is none. */
static int list_names(VgpuTarget *t, char **folders, GHashTable *names)
{
        int result = -ENOENT;

        for (char **f = folders; *f; f++) {
                char **list = NULL;
                int r = vgpu_io_list(t->io, *f, &list);
                if (r < 0)
                        continue;
                for (char **n = list; *n; n++)
                        (void)g_hash_table_add(names, *n); /* takes it */
                g_free(list);
                result = 0;
        }
        return result;
}

GPtrArray *vf_quota_options(VgpuTarget *t, const VfProvider *p)
{
        g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_autoptr(GPtrArray) options = g_ptr_array_new_with_free_func(free_option);
        g_auto(GStrv) folders = NULL;

        /* The tree has folders for all functions that there can be, and the same in each. */
        if (list_folders(t, p, 0, &folders) < 0 || list_names(t, folders, names) < 0)
                return NULL;
        for (size_t i = 0; i < p->n_quotas; i++)
                if (g_hash_table_contains(names, p->quotas[i].name))
                        g_ptr_array_add(options, vgpu_type_option_new(p->quotas[i].name, p->quotas[i].help));
        return options->len > 0 ? g_steal_pointer(&options) : NULL;
}

/* "[low] normal high" to "low". */
static void pick_priority(char *text)
{
        char *open = strchr(text, '['), *close = open ? strchr(open, ']') : NULL;

        if (!close)
                return;
        *close = 0;
        memmove(text, open + 1, strlen(open + 1) + 1);
}

static int read_one(VgpuTarget *t, const char *folder, const VfQuota *q, char **ret)
{
        g_autofree char *text = NULL;
        int r = vgpu_io_readf(t->io, &text, "%s/%s", folder, q->name);

        if (r < 0)
                return r;
        if (q->unit == VF_QUOTA_PRIORITY)
                pick_priority(text);
        *ret = g_utf8_make_valid(text, -1);
        return 0;
}

/* The value in all folders that have one; -EUCLEAN, as xe says it, when it is not the same. */
static int read_common(VgpuTarget *t, char **folders, const VfQuota *q, char **ret)
{
        g_autofree char *common = NULL;
        int r = -ENOENT;

        for (char **f = folders; *f; f++) {
                g_autofree char *text = NULL;
                int k = read_one(t, *f, q, &text);

                if (k < 0 && r == -ENOENT)
                        r = k;
                if (k < 0)
                        continue;
                if (!common)
                        common = g_steal_pointer(&text);
                /* i915: the GT for media has no address space of its own, and says 0. */
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
        g_autoptr(GPtrArray) values = g_ptr_array_new_with_free_func(free_attribute);
        g_auto(GStrv) folders = NULL;

        if (list_folders(t, p, vf_index, &folders) < 0)
                return NULL;
        for (size_t i = 0; i < p->n_quotas; i++) {
                g_autofree char *text = NULL;
                int r = read_common(t, folders, &p->quotas[i], &text);
                if (r >= 0 || r == -EUCLEAN)
                        g_ptr_array_add(values,
                                        vgpu_attribute_new(p->quotas[i].name,
                                                           r < 0 ? "different on parts of the GPU" : text));
        }
        return values->len > 0 ? g_steal_pointer(&values) : NULL;
}

uint64_t vf_quota_read_framebuffer(VgpuTarget *t, const VfProvider *p, uint32_t vf_index)
{
        g_auto(GStrv) folders = NULL;
        uint64_t bytes = 0;

        for (size_t i = 0; p && i < p->n_quotas; i++) {
                g_autofree char *text = NULL;
                if (!p->quotas[i].framebuffer)
                        continue;
                if (!folders && list_folders(t, p, vf_index, &folders) < 0)
                        return 0;
                if (read_common(t, folders, &p->quotas[i], &text) >= 0)
                        (void)parse_u64(text, 10, &bytes);
        }
        return bytes;
}

/* The value as the kernel takes it. */
static int parse_value(const VfQuota *q, const char *value, uint64_t *ret_number, char **ret)
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
        *ret_number = number;
        return 0;
}

static char *join_options(const GPtrArray *options)
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
        g_autofree char *names = options ? join_options(options) : g_strdup("none");

        if (!attributes || attributes->len == 0)
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_INVALID,
                                "a virtual function with a profile needs at least one option that says which; "
                                "there are %s",
                                names);
        for (guint i = 0; i < attributes->len; i++) {
                const VgpuAttribute *a = attributes->pdata[i];
                const VfQuota *q = find_quota(p, a->name);
                g_autofree char *value = NULL;
                bool offered = false;
                uint64_t number;

                for (guint j = 0; options && j < options->len; j++)
                        offered |= strcmp(((const VgpuTypeOption *)options->pdata[j])->name, a->name) == 0;
                if (!q || !offered)
                        return vgpud_error_setf(
                                        reterr, VGPUD_ERROR_INVALID,
                                        "GPU %s has no option \"%s\" for virtual functions; there are %s",
                                        t->facts->name, a->name, names);
                if (parse_value(q, a->value, &number, &value) < 0)
                        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                                "\"%s\" is no value for option %s: %s", a->value, a->name,
                                                q->help);
        }
        return 0;
}

static int explain_write(VgpuTarget *t, const VfProvider *p, const VgpuVf *vf, const VfQuota *q,
                         const char *folder, const char *value, int r, VgpudError *reterr)
{
        static const Refusal refusals[] = {
                { EINVAL, VGPUD_ERROR_INVALID, "the driver takes no such value" },
                { ERANGE, VGPUD_ERROR_INVALID, "the driver takes no such value" },
                { 0 },
        };

        if (r == -EBUSY)
                return vgpud_error_set_errnof(
                                reterr, VGPUD_ERROR_FAILED, r,
                                "%s of virtual function %s cannot be set to %s: %s: the GPU is being reset, or the driver takes it only while no virtual function is enabled; then disable them (vgpuctl disable-vfs %s), write it to /sys/%s/%s for each that is to have it, enable them again, and ask for the same",
                                q->name, vf->name, value, g_strerror(-r), t->facts->name, folder, q->name);

        return explain_refusal(refusal_find(p->refusals, r) ? p->refusals : refusals, r, reterr,
                               "%s of virtual function %s cannot be set to %s", q->name, vf->name, value);
}

/* What it is now may be what comes of writing that value. */
static bool is_applied(const VfQuota *q, const char *wanted, uint64_t number, const char *now)
{
        uint64_t there;

        if (q->step > 0 && number > 0)
                return parse_u64(now, 10, &there) >= 0 && there >= number && there - number < q->step;
        return strcmp(wanted, now) == 0;
}

/* The name of a quota in the list of what was saved, where the parts of the GPU do not agree:
 * "gt1/contexts_quota" is that of one folder, without the slash it is that of all. */
static const char *split_name(const char *name, char **ret_part)
{
        const char *slash = strchr(name, '/');

        *ret_part = slash ? g_strndup(name, (size_t)(slash - name)) : NULL;
        return slash ? slash + 1 : name;
}

static bool is_part(const char *folder, const char *part)
{
        return !part || strcmp(strrchr(folder, '/') + 1, part) == 0;
}

static int write_one(VgpuTarget *t, const VfProvider *p, const VgpuVf *vf, char **folders,
                     const VgpuAttribute *a, VgpudError *reterr)
{
        g_autofree char *part = NULL;
        const VfQuota *q = find_quota(p, split_name(a->name, &part));
        g_autofree char *value = NULL;
        bool written = false;
        uint64_t number;
        int problem = -ENOENT, r, k;

        r = q ? parse_value(q, a->value, &number, &value) : -EINVAL;
        if (r < 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "\"%s\" is no value for option %s",
                                        a->value, a->name);
        for (char **f = folders; *f; f++) {
                g_autofree char *path = g_strdup_printf("%s/%s", *f, q->name), *now = NULL;

                if (!is_part(*f, part))
                        continue;
                /* So that putting back what could not be changed is no second failure. */
                if (read_one(t, *f, q, &now) >= 0 && strcmp(now, value) == 0) {
                        written = true;
                        continue;
                }
                g_clear_pointer(&now, g_free);
                /* The firmware of the GPU has to answer, and may take long or not do it at all. */
                r = vgpu_io_write_guarded(t->io, path, value);
                if (r == -ENOENT || (r < 0 && f > folders && p->is_elsewhere && p->is_elsewhere(r))) {
                        problem = r;
                        continue;
                }
                k = read_one(t, *f, q, &now);
                /* Not to be changed any more, and what was asked for. */
                if (r == -EBUSY && k >= 0 && is_applied(q, value, number, now))
                        r = 0;
                /* A writer that died may have done so after its write(2). */
                if (r == -EPROTO && k >= 0 && is_applied(q, value, number, now))
                        r = 0;
                if (r < 0)
                        return explain_write(t, p, vf, q, *f, value, r, reterr);
                if (k < 0)
                        return vgpud_error_set_errnof(
                                        reterr, VGPUD_ERROR_FAILED, k,
                                        "%s of virtual function %s was set to %s, but cannot be read "
                                        "back: %s",
                                        q->name, vf->name, value, g_strerror(-k));
                if (!is_applied(q, value, number, now))
                        return vgpud_error_setf(
                                        reterr, VGPUD_ERROR_FAILED,
                                        "%s of virtual function %s was set to %s without complaint, but is %s",
                                        q->name, vf->name, value, now);
                written = true;
        }
        return written ? 0 : explain_write(t, p, vf, q, folders[0], value, problem, reterr);
}

int vf_quota_write(VgpuTarget *t, const VfProvider *p, const VgpuVf *vf, const GPtrArray *attributes,
                   VgpudError *reterr)
{
        g_auto(GStrv) folders = NULL;
        int r;

        r = list_folders(t, p, vf->index, &folders);
        if (r < 0)
                return vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r,
                                              "the quotas of virtual function %s cannot be found: %s", vf->name,
                                              g_strerror(-r));
        if (p->before_write)
                p->before_write(t);
        for (guint i = 0; i < attributes->len && r >= 0; i++)
                r = write_one(t, p, vf, folders, attributes->pdata[i], reterr);
        if (p->after_write)
                p->after_write(t);
        return r;
}

static void save_value(GPtrArray *saved, const VfQuota *q, const char *part, const char *text)
{
        g_autofree char *value = NULL, *name = part ? g_strconcat(part, "/", q->name, NULL) : g_strdup(q->name);
        uint64_t number;

        /* What is no value cannot be written again. */
        if (parse_value(q, text, &number, &value) >= 0)
                g_ptr_array_add(saved, vgpu_attribute_new(name, text));
}

static void save_parts(VgpuTarget *t, char **folders, const VfQuota *q, GPtrArray *saved)
{
        for (char **f = folders; *f; f++) {
                g_autofree char *text = NULL;
                if (read_one(t, *f, q, &text) >= 0)
                        save_value(saved, q, strrchr(*f, '/') + 1, text);
        }
}

GPtrArray *vf_quota_save(VgpuTarget *t, const VfProvider *p, uint32_t vf_index, const GPtrArray *attributes)
{
        GPtrArray *saved = g_ptr_array_new_with_free_func(free_attribute);
        g_auto(GStrv) folders = NULL;

        if (list_folders(t, p, vf_index, &folders) < 0)
                return saved;
        for (size_t i = 0; i < p->n_quotas; i++) {
                const VfQuota *q = &p->quotas[i];
                g_autofree char *common = NULL;
                bool changes = false;

                for (guint j = 0; j < attributes->len; j++)
                        changes |= strcmp(((const VgpuAttribute *)attributes->pdata[j])->name, q->name) == 0;
                if (!changes)
                        continue;
                if (read_common(t, folders, q, &common) >= 0)
                        save_value(saved, q, NULL, common);
                else
                        save_parts(t, folders, q, saved);
        }
        return saved;
}

bool vf_quota_has(VgpuTarget *t, const VfProvider *p, uint32_t vf_index, const GPtrArray *attributes)
{
        g_autoptr(GPtrArray) values = vf_quota_read_all(t, p, vf_index);

        for (guint i = 0; i < attributes->len; i++) {
                const VgpuAttribute *a = attributes->pdata[i];
                const VfQuota *q = find_quota(p, a->name);
                g_autofree char *value = NULL;
                bool has = false;
                uint64_t number;

                if (!q || parse_value(q, a->value, &number, &value) < 0)
                        return false;
                for (guint j = 0; values && j < values->len; j++) {
                        const VgpuAttribute *v = values->pdata[j];
                        has |= strcmp(v->name, a->name) == 0 && is_applied(q, value, number, v->value);
                }
                if (!has)
                        return false;
        }
        return true;
}
