/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/store/settings.h"

#include <string.h>

#include "base/thread.h"
#include "daemon/store/store-folder.h"
#include "drivers-glue/io/io.h"

struct Settings {
        StoreFolder *folder; /* owned */
        GTree *by_gpu;       /* owned: name in the GpuSettings -> GpuSettings */
};

static int settings_compare(gconstpointer a, gconstpointer b, gpointer userdata)
{
        return strcmp(a, b);
}

static guint settings_count(const Settings *s)
{
        return (guint)g_tree_nnodes(s->by_gpu);
}

static int settings_load(const char *gpu, const char *text, size_t size, void *userdata, VgpudError *reterr)
{
        Settings *s = userdata;
        GpuSettings *settings;
        int r;

        if (settings_count(s) >= SETTINGS_MAX) {
                store_folder_report(s->folder, "file %s" STORE_FILE_SUFFIX " is one of more than %u files", gpu,
                                    SETTINGS_MAX);
                return 0;
        }

        r = gpu_settings_from_json(gpu, text, size, &settings, reterr);
        if (r < 0)
                return r;

        g_tree_insert(s->by_gpu, settings->gpu, settings);

        return 0;
}

static const StoreFolderInfo settings_info = {
        .name = "gpus",
        .objects = "kept settings of GPUs",
        .object = "the kept settings of GPU",
        .max_size = GPU_SETTINGS_JSON_MAX,
        .name_is_valid = vgpu_io_name_is_valid,
        .valid_names = "the name of a GPU",
        .load = settings_load,
};

Settings *settings_new(const char *state_directory)
{
        Settings *s = g_new0(Settings, 1);

        assert_main_thread();

        s->by_gpu = g_tree_new_full(settings_compare, NULL, NULL, gpu_settings_free);
        s->folder = store_folder_new(&settings_info, state_directory);
        store_folder_load(s->folder, s);

        return s;
}

Settings *settings_free(Settings *s)
{
        assert_main_thread();

        if (!s)
                return NULL;

        store_folder_free(s->folder);
        g_tree_unref(s->by_gpu);
        g_free(s);

        return NULL;
}

const GpuSettings *settings_get(Settings *s, const char *gpu)
{
        assert_main_thread();

        return g_tree_lookup(s->by_gpu, gpu);
}

GPtrArray *settings_list(Settings *s)
{
        GPtrArray *list = g_ptr_array_new();

        assert_main_thread();

        for (GTreeNode *node = g_tree_node_first(s->by_gpu); node; node = g_tree_node_next(node))
                g_ptr_array_add(list, g_tree_node_value(node));

        return list;
}

const GPtrArray *settings_errors(Settings *s)
{
        assert_main_thread();

        return store_folder_errors(s->folder);
}

/* ---- changes ---- */

static int settings_write(Settings *s, const GpuSettings *settings)
{
        size_t size;
        g_autofree char *text = gpu_settings_to_json(settings, &size);
        int r;

        r = store_folder_write(s->folder, settings->gpu, text, size, true);
        if (r < 0)
                return r;

        r = store_folder_publish(s->folder, settings->gpu, settings_get(s, settings->gpu) != NULL);
        if (r < 0)
                store_folder_remove_written(s->folder, settings->gpu);

        return r;
}

int settings_put(Settings *s, const GpuSettings *settings, VgpudError *reterr)
{
        bool is_empty = gpu_settings_is_empty(settings), exists = settings_get(s, settings->gpu);
        int r;

        assert_main_thread();

        if (is_empty && !exists)
                return 0;

        r = gpu_settings_check(settings, reterr);
        if (r < 0)
                return r;
        if (!exists && settings_count(s) >= SETTINGS_MAX)
                return vgpud_error_setf(reterr, VGPUD_ERROR_QUOTA, "settings of %u GPUs are kept already",
                                        SETTINGS_MAX);

        r = store_folder_follow(s->folder, reterr);
        if (r < 0)
                return r;

        r = is_empty ? store_folder_remove(s->folder, settings->gpu) : settings_write(s, settings);
        if (r < 0)
                return store_folder_fail(s->folder, settings->gpu, is_empty ? "removed" : "written", r, reterr);

        store_folder_sync(s->folder);
        if (is_empty)
                g_tree_remove(s->by_gpu, settings->gpu);
        else {
                GpuSettings *copy = gpu_settings_copy(settings);

                g_tree_replace(s->by_gpu, copy->gpu, copy);
        }

        return 0;
}
