/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/store/known-types.h"

#include <inttypes.h>
#include <string.h>

#include "base/fs-util.h"
#include "base/log-ids.h"
#include "base/log.h"
#include "base/parse-util.h"
#include "base/thread.h"

#define FILE_MAX_BYTES (1024 * 1024)
/* Limit of types per model, because another program may have written the file. */
#define TYPES_MAX 4096

struct KnownTypes {
        int dirfd;            /* owned */
        GHashTable *by_model; /* owned: name of the model -> GPtrArray of VgpuType */
        bool complained;
};

static void known_types_free_type(gpointer t)
{
        vgpu_type_free(t);
}

static void known_types_free_list(gpointer types)
{
        g_ptr_array_unref(types);
}

static int known_types_open_folder(const char *state_directory)
{
        _cleanup_close_ int state_fd = fs_open_directory(state_directory, 0755);

        return state_fd < 0 ? state_fd : fs_open_directory_at(state_fd, "types", 0755);
}

KnownTypes *known_types_new(const char *state_directory)
{
        KnownTypes *k = g_new0(KnownTypes, 1);

        assert_main_thread();

        k->dirfd = known_types_open_folder(state_directory);
        if (k->dirfd < 0)
                log_warning_errno(k->dirfd, "Cannot open %s/types, continuing without known types: %m",
                                  state_directory);
        else
                fs_remove_temporary_files(k->dirfd);

        k->by_model = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, known_types_free_list);

        return k;
}

KnownTypes *known_types_free(KnownTypes *k)
{
        assert_main_thread();

        if (!k)
                return NULL;

        safe_close(k->dirfd);
        g_hash_table_unref(k->by_model);
        g_free(k);

        return NULL;
}

static char *known_types_model_name(const GpuFacts *f)
{
        return f->is_pci ? g_strdup_printf("%04x-%04x-%04x-%04x", f->vendor, f->device, f->subsystem_vendor,
                                           f->subsystem_device)
                         : g_strdup(f->name);
}

/* ---- files ---- */

/* Numeric fields by key; a field of value 0 is not written. */
static const struct {
        const char *key;
        size_t offset;
        bool is_64;
} known_types_numbers[] = {
        { "FramebufferBytes", offsetof(VgpuType, framebuffer_bytes), true },
        { "LowGmBytes", offsetof(VgpuType, low_gm_bytes), true },
        { "HighGmBytes", offsetof(VgpuType, high_gm_bytes), true },
        { "Fences", offsetof(VgpuType, fences), false },
        { "Weight", offsetof(VgpuType, weight), false },
        { "Heads", offsetof(VgpuType, heads), false },
        { "FrameRateLimit", offsetof(VgpuType, frame_rate_limit), false },
        { "MaxX", offsetof(VgpuType, max_x), false },
        { "MaxY", offsetof(VgpuType, max_y), false },
        { "MaxInstances", offsetof(VgpuType, max_instances), false },
};

static const struct {
        const char *key;
        size_t offset;
} known_types_texts[] = {
        { "Name", offsetof(VgpuType, name) },
        { "Description", offsetof(VgpuType, description) },
        { "DeviceApi", offsetof(VgpuType, device_api) },
        { "Product", offsetof(VgpuType, product) },
        { "Class", offsetof(VgpuType, class) },
        { "Key", offsetof(VgpuType, key) },
        { "EarlierName", offsetof(VgpuType, earlier_name) },
};

static char **known_types_text_of(VgpuType *t, size_t i)
{
        return G_STRUCT_MEMBER_P(t, known_types_texts[i].offset);
}

static uint64_t known_types_number_of(const VgpuType *t, size_t i)
{
        const void *at = G_STRUCT_MEMBER_P(t, known_types_numbers[i].offset);

        return known_types_numbers[i].is_64 ? *(const uint64_t *)at : *(const uint32_t *)at;
}

static void known_types_set_number(VgpuType *t, size_t i, uint64_t value)
{
        void *at = G_STRUCT_MEMBER_P(t, known_types_numbers[i].offset);

        if (known_types_numbers[i].is_64)
                *(uint64_t *)at = value;
        else
                *(uint32_t *)at = (uint32_t)MIN(value, UINT32_MAX);
}

/* GLib refuses group names with "[", "]" or control characters. */
static bool known_types_id_is_storable(const char *id)
{
        return vgpu_io_name_is_valid(id) && !strpbrk(id, "[]");
}

static VgpuType *known_types_read_type(GKeyFile *file, const char *id)
{
        VgpuType *t = vgpu_type_new(id);

        for (size_t i = 0; i < G_N_ELEMENTS(known_types_texts); i++) {
                char *text = g_key_file_get_string(file, id, known_types_texts[i].key, NULL);

                if (!text)
                        continue;

                g_free(*known_types_text_of(t, i));
                *known_types_text_of(t, i) = text;
        }

        for (size_t i = 0; i < G_N_ELEMENTS(known_types_numbers); i++) {
                g_autofree char *text = g_key_file_get_value(file, id, known_types_numbers[i].key, NULL);
                uint64_t v;

                if (text && parse_u64(text, 10, &v) >= 0)
                        known_types_set_number(t, i, v);
        }

        t->mig = g_key_file_get_boolean(file, id, "Mig", NULL);

        return t;
}

static GPtrArray *known_types_read_file(KnownTypes *k, const char *model)
{
        GPtrArray *types = g_ptr_array_new_with_free_func(known_types_free_type);
        g_autoptr(GKeyFile) file = g_key_file_new();
        g_autofree char *text = NULL;
        g_auto(GStrv) ids = NULL;
        size_t size;
        int r;

        if (k->dirfd < 0)
                return types;

        r = fs_read_file_at(k->dirfd, model, FILE_MAX_BYTES, &text, &size);
        if (r >= 0 && !g_key_file_load_from_data(file, text, size, G_KEY_FILE_NONE, NULL))
                r = -EBADMSG;
        if (r < 0) {
                if (r != -ENOENT)
                        log_warning_errno(r,
                                          "Cannot read the known types of model %s, starting without them: %m",
                                          model);

                return types;
        }

        ids = g_key_file_get_groups(file, NULL);
        for (char **id = ids; *id && types->len < TYPES_MAX; id++)
                if (known_types_id_is_storable(*id))
                        g_ptr_array_add(types, known_types_read_type(file, *id));

        return types;
}

static void known_types_write_file(KnownTypes *k, const char *model, const GPtrArray *types)
{
        g_autoptr(GKeyFile) file = g_key_file_new();
        gsize size;
        int r;

        if (k->dirfd < 0)
                return;

        for (guint n = 0; n < types->len; n++) {
                VgpuType *t = types->pdata[n];

                if (!known_types_id_is_storable(t->id))
                        continue;

                for (size_t i = 0; i < G_N_ELEMENTS(known_types_texts); i++)
                        if (*known_types_text_of(t, i))
                                g_key_file_set_string(file, t->id, known_types_texts[i].key,
                                                      *known_types_text_of(t, i));

                for (size_t i = 0; i < G_N_ELEMENTS(known_types_numbers); i++)
                        if (known_types_number_of(t, i) > 0)
                                g_key_file_set_uint64(file, t->id, known_types_numbers[i].key,
                                                      known_types_number_of(t, i));

                if (t->mig)
                        g_key_file_set_boolean(file, t->id, "Mig", true);
        }

        g_autofree char *text = g_key_file_to_data(file, &size, NULL);
        r = fs_replace_file_at(k->dirfd, model, text, size, 0644);
        if (r >= 0 || k->complained)
                return;

        k->complained = true;
        log_warning_errno(r, "Cannot write the known types of model %s, keeping them in memory: %m", model);
}

/* ---- types of a model ---- */

static GPtrArray *known_types_load(KnownTypes *k, const char *model)
{
        GPtrArray *types = g_hash_table_lookup(k->by_model, model);

        if (!types) {
                types = known_types_read_file(k, model);
                g_hash_table_insert(k->by_model, g_strdup(model), types);
        }

        return types;
}

GPtrArray *known_types_get(KnownTypes *k, const GpuFacts *facts)
{
        g_autofree char *model = known_types_model_name(facts);

        assert_main_thread();

        return g_ptr_array_ref(known_types_load(k, model));
}

/* Free the present text, because a predicted snapshot has a copy of the text of the previous snapshot. */
static void known_types_set_earlier_name(VgpuType *t, const char *name)
{
        g_free(t->earlier_name);
        t->earlier_name = g_strdup(name);
}

static VgpuType *known_types_find(const GPtrArray *types, const char *id)
{
        for (guint i = 0; i < types->len; i++) {
                VgpuType *t = types->pdata[i];

                if (strcmp(t->id, id) == 0)
                        return t;
        }

        return NULL;
}

/* Returns a copy without the fields that change between scans. */
static VgpuType *known_types_strip_volatile(const VgpuType *t)
{
        VgpuType *copy = vgpu_type_copy(t);

        copy->available = 0;
        g_clear_pointer(&copy->why_not, g_free);
        vgpud_hint_done(&copy->hint);
        g_clear_pointer(&copy->options, g_ptr_array_unref);

        return copy;
}

/* True if both types have the same key or no key, if both have the same name, or if one has no name of its
 * own (its name is its id), for example because NVML was missing: then nothing shows that the id got another
 * meaning. */
static bool known_types_same_meaning(const VgpuType *known, const VgpuType *now)
{
        return g_strcmp0(known->key, now->key) == 0 || strcmp(known->name, now->name) == 0 ||
               strcmp(known->name, known->id) == 0 || strcmp(now->name, now->id) == 0;
}

void known_types_learn(KnownTypes *k, const GpuFacts *facts, GpuSnapshot *snapshot)
{
        g_autofree char *model = known_types_model_name(facts);
        const GPtrArray *types = known_types_load(k, model);
        GPtrArray *changed = NULL;

        assert_main_thread();

        for (guint i = 0; i < snapshot->types->len; i++) {
                VgpuType *t = snapshot->types->pdata[i];
                const VgpuType *known = known_types_find(changed ? changed : types, t->id);

                if (known && !known_types_same_meaning(known, t)) {
                        LOG_FIELDS(LOG_WARNING,
                                   (.gpu = facts->name, .driver = facts->driver,
                                    .message_id = VGPUD_MESSAGE_TYPE_CHANGED),
                                   "Type id %s of GPU %s is \"%s\" now and was \"%s\" before, so requests by id get another type",
                                   t->id, facts->name, t->name, known->name);
                        known_types_set_earlier_name(t, known->name);
                } else if (known) {
                        known_types_set_earlier_name(t, known->earlier_name);
                        /* The snapshot has no name for the type: keep the known type with its name. */
                        if (strcmp(t->name, t->id) == 0 && strcmp(known->name, known->id) != 0)
                                continue;
                }

                VgpuType *now = known_types_strip_volatile(t);
                if (known && vgpu_type_equal(known, now)) {
                        vgpu_type_free(now);
                        continue;
                }

                if (!changed) {
                        changed = g_ptr_array_new_with_free_func(known_types_free_type);
                        for (guint n = 0; n < types->len; n++)
                                g_ptr_array_add(changed, vgpu_type_copy(types->pdata[n]));
                        known = known ? known_types_find(changed, t->id) : NULL;
                }

                if (known)
                        g_ptr_array_remove(changed, (gpointer)known);
                if (changed->len < TYPES_MAX)
                        g_ptr_array_add(changed, now);
                else
                        vgpu_type_free(now);
        }

        if (!changed)
                return;

        g_hash_table_replace(k->by_model, g_strdup(model), changed);
        known_types_write_file(k, model, changed);
}
