/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/config.h"

#include <fcntl.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/fs-util.h"
#include "base/log.h"
#include "base/parse-util.h"

#define CONFIG_FILE_MAX (1024 * 1024)

static int set_usec(void *target, const char *value)
{
        uint64_t v;
        int r = parse_seconds(value, &v);

        if (r < 0)
                return r;
        if (v == 0)
                return -ERANGE;
        *(uint64_t *)target = v;
        return 0;
}

static int set_count(void *target, const char *value)
{
        uint32_t v;
        int r = parse_u32(value, 10, &v);

        if (r < 0)
                return r;
        if (v == 0)
                return -ERANGE;
        *(uint32_t *)target = v;
        return 0;
}

/* "8086:10c9, 1d55:1000" */
static int set_pci_ids(void *target, const char *value)
{
        g_auto(GStrv) words = g_strsplit_set(value, " \t,;", -1);
        g_autoptr(GArray) ids = g_array_new(false, false, sizeof(uint32_t));

        for (char **w = words; *w; w++) {
                g_auto(GStrv) parts = g_strsplit(*w, ":", -1);
                uint16_t vendor, device;
                uint32_t id;
                int r;

                if (!**w)
                        continue;
                if (g_strv_length(parts) != 2)
                        return -EINVAL;
                if ((r = parse_u16(parts[0], 16, &vendor)) < 0 || (r = parse_u16(parts[1], 16, &device)) < 0)
                        return r;
                id = (uint32_t)vendor << 16 | device;
                g_array_append_val(ids, id);
        }
        g_array_unref(*(GArray **)target);
        *(GArray **)target = g_steal_pointer(&ids);
        return 0;
}

static int set_strategy(void *target, const char *value)
{
        PlacementStrategy strategy = placement_strategy_from_string(value);

        if ((int)strategy < 0)
                return (int)strategy;
        *(PlacementStrategy *)target = strategy;
        return 0;
}

static int set_spare(void *target, const char *value)
{
        uint32_t v;
        int r = parse_u32(value, 10, &v);

        if (r >= 0)
                *(int64_t *)target = v;
        return r;
}

static int set_priority(void *target, const char *value)
{
        int32_t v;
        int r = parse_i32(value, &v);

        if (r >= 0)
                *(int64_t *)target = v;
        return r;
}

static int set_list(void *target, const char *value, const char *separators)
{
        g_auto(GStrv) words = g_strsplit_set(value, separators, -1);
        g_autoptr(GStrvBuilder) list = g_strv_builder_new();

        for (char **w = words; *w; w++) {
                if (!g_utf8_validate(*w, -1, NULL))
                        return -EILSEQ;
                if (*g_strstrip(*w))
                        g_strv_builder_add(list, *w);
        }
        g_strfreev(*(char ***)target);
        *(char ***)target = g_strv_builder_end(list);
        return 0;
}

/* Names of types may have blanks in them. */
static int set_types(void *target, const char *value)
{
        return set_list(target, value, ",;");
}

static int set_pools(void *target, const char *value)
{
        return set_list(target, value, " \t,;");
}

typedef struct Setting {
        const char *section, *key;
        int (*set)(void *target, const char *value);
        size_t offset;
} Setting;

static const Setting settings[] = {
        { "discovery", "also", set_pci_ids, offsetof(Config, also) },
        { "jobs", "timeout", set_usec, offsetof(Config, job_timeout_usec) },
        { "jobs", "per-gpu", set_count, offsetof(Config, jobs_per_gpu) },
        { "jobs", "per-user", set_count, offsetof(Config, jobs_per_user) },
        { "placement", "strategy", set_strategy, offsetof(Config, strategy) },
        { "start", "timeout", set_usec, offsetof(Config, start_timeout_usec) },
        { "stop", "timeout", set_usec, offsetof(Config, stop_timeout_usec) },
};

#define GPU_SECTION "gpu "

static const Setting gpu_settings[] = {
        { NULL, "allow", set_types, offsetof(ConfigGpu, allow) },
        { NULL, "forbid", set_types, offsetof(ConfigGpu, forbid) },
        { NULL, "pool", set_pools, offsetof(ConfigGpu, pools) },
        { NULL, "priority", set_priority, offsetof(ConfigGpu, priority) },
        { NULL, "spare", set_spare, offsetof(ConfigGpu, spare) },
};

static void gpu_destroy(gpointer p)
{
        ConfigGpu *g = p;

        g_free(g->pattern);
        g_strfreev(g->pools);
        g_strfreev(g->allow);
        g_strfreev(g->forbid);
        g_free(g);
}

Config *config_new(void)
{
        struct utsname system;

        /* It fails for an address that cannot be written to, and for nothing else. */
        g_assert(uname(&system) >= 0);
        Config *c = g_new0(Config, 1);

        *c = (Config){
                .job_timeout_usec = 120 * USEC_PER_SEC,
                .jobs_per_gpu = 256,
                .jobs_per_user = 256,
                .start_timeout_usec = 5 * USEC_PER_SEC,
                .stop_timeout_usec = 5 * USEC_PER_SEC,
                .also = g_array_new(false, false, sizeof(uint32_t)),
                .strategy = PLACEMENT_BREADTH,
                .gpus = g_ptr_array_new_with_free_func(gpu_destroy),
                .runtime_directory = g_strdup(VGPUD_RUNTIME_DIR),
                .state_directory = g_strdup(VGPUD_STATE_DIR),
                .writer_path = g_strdup(VGPUD_LIBEXEC_DIR "/vgpud-write"),
                .nvml_path = g_strdup(VGPUD_LIBEXEC_DIR "/vgpud-nvml"),
                .systemctl_path = g_strdup("/usr/bin/systemctl"),
                .modules_path = g_build_filename("/lib/modules", system.release, NULL),
        };
        return c;
}

static void apply(const Setting *table, size_t n, void *target, const char *file, const char *section,
                  const char *key, const char *value)
{
        for (size_t i = 0; i < n; i++) {
                if ((table[i].section && strcmp(table[i].section, section) != 0) ||
                    strcmp(table[i].key, key) != 0)
                        continue;
                int r = table[i].set((char *)target + table[i].offset, value);
                if (r < 0)
                        log_warning_errno(r, "%s: [%s] %s=%s is not valid, ignoring it: %m", file, section, key,
                                          value);
                return;
        }
        log_warning("%s: [%s] %s= is not known, ignoring it", file, section, key);
}

/* "gpu 0000:41:00.0": each such section counts for itself, and the later one for more. NULL for others. */
static ConfigGpu *add_gpu(Config *c, const char *section)
{
        g_autofree char *pattern = NULL;
        ConfigGpu *g;

        if (!g_str_has_prefix(section, GPU_SECTION))
                return NULL;
        pattern = g_strstrip(g_strdup(section + strlen(GPU_SECTION)));
        if (!*pattern)
                return NULL;
        /* The kernel writes addresses in lower case. */
        if (pattern[strspn(pattern, "0123456789abcdefABCDEF:.*?")] == 0)
                for (char *p = pattern; *p; p++)
                        *p = g_ascii_tolower(*p);
        g = g_new(ConfigGpu, 1);
        *g = (ConfigGpu){
                .pattern = g_steal_pointer(&pattern),
                .spare = -1,
                .priority = CONFIG_PRIORITY_NOT_SAID,
        };
        g_ptr_array_add(c->gpus, g);
        return g;
}

/* A configuration file may be a link: that is how many put it there. Messages name it by its whole path. */
static void config_read_file(Config *c, const char *directory, const char *file_name)
{
        g_autofree char *name = g_build_filename(directory, file_name, NULL);
        _cleanup_close_ int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        g_autoptr(GKeyFile) file = g_key_file_new();
        g_autoptr(GError) error = NULL;
        g_autofree char *text = NULL;
        size_t size;
        int r;

        r = fd < 0 ? -errno : fs_read_file(fd, CONFIG_FILE_MAX, &text, &size);
        if (r == -ENOENT)
                return;
        if (r < 0) {
                log_warning_errno(r, "Cannot read %s, ignoring it: %m", name);
                return;
        }
        if (!g_key_file_load_from_data(file, text, size, G_KEY_FILE_NONE, &error)) {
                log_warning("%s cannot be understood, ignoring it: %s", name, error->message);
                return;
        }
        g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
        for (char **s = sections; *s; s++) {
                g_auto(GStrv) keys = g_key_file_get_keys(file, *s, NULL, NULL);
                ConfigGpu *gpu = add_gpu(c, *s);
                for (char **k = keys; k && *k; k++) {
                        g_autofree char *value = g_key_file_get_value(file, *s, *k, NULL);
                        g_strstrip(value);
                        if (gpu)
                                apply(gpu_settings, G_N_ELEMENTS(gpu_settings), gpu, name, *s, *k, value);
                        else
                                apply(settings, G_N_ELEMENTS(settings), c, name, *s, *k, value);
                }
        }
}

void config_read(Config *c, const char *directory)
{
        g_autofree char *dropins = g_build_filename(directory, "vgpud.conf.d", NULL);
        _cleanup_close_ int dropins_fd = open(dropins, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        g_auto(GStrv) names = NULL;

        config_read_file(c, directory, "vgpud.conf");
        if (dropins_fd < 0 || fs_list_at(dropins_fd, ".", &names) < 0)
                return;
        for (char **n = names; *n; n++)
                if (g_str_has_suffix(*n, ".conf") && (*n)[0] != '.')
                        config_read_file(c, dropins, *n);
}

ConfigGpu config_find_gpu(const Config *c, const char *name)
{
        ConfigGpu found = { .spare = -1, .priority = CONFIG_PRIORITY_NOT_SAID };

        for (guint i = 0; i < c->gpus->len; i++) {
                const ConfigGpu *g = c->gpus->pdata[i];
                if (!g_pattern_match_simple(g->pattern, name))
                        continue;
                found.pools = g->pools ? g->pools : found.pools;
                found.allow = g->allow ? g->allow : found.allow;
                found.forbid = g->forbid ? g->forbid : found.forbid;
                found.spare = g->spare >= 0 ? g->spare : found.spare;
                found.priority = g->priority != CONFIG_PRIORITY_NOT_SAID ? g->priority : found.priority;
        }
        return found;
}

Config *config_free(Config *c)
{
        if (!c)
                return NULL;
        g_array_unref(c->also);
        g_ptr_array_unref(c->gpus);
        g_free(c->runtime_directory);
        g_free(c->state_directory);
        g_free(c->writer_path);
        g_free(c->nvml_path);
        g_free(c->systemctl_path);
        g_free(c->modules_path);
        g_free(c);
        return NULL;
}
