/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/store/config.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "base/fs-util.h"
#include "base/log-ids.h"
#include "base/log.h"
#include "base/parse-util.h"
#include "base/pci-addr.h"
#include "base/text.h"

#define CONFIG_FILE_MAX (1024 * 1024)
#define BYTE_ORDER_MARK "\xef\xbb\xbf" /* Some editors begin a file with it. */
/* Limits of Config.errors, which clients can read: the number of mistakes, and the bytes of each text. */
#define CONFIG_ERRORS_MAX 100U
#define CONFIG_ERROR_MAX  512U

typedef struct Setting Setting;

/* `min` and `max` are the range of a number, written as in the file; NULL for other values. */
struct Setting {
        const char *section, *key;
        int (*set)(const Setting *setting, void *target, const char *value, GString *bad);
        size_t offset;
        const char *min, *max;
};

/* Setters of values. An invalid value changes nothing and is an error: -ERANGE if it is a number out of range.
 * A setter of a list adds the invalid elements to *bad, and accepts the list all the same. The exception is a
 * list for config_set_pci_ids() in which no element is valid. */
static int config_set_usec(const Setting *setting, void *target, const char *value, GString *bad)
{
        uint64_t v, min, max;
        int r = parse_seconds(value, &v);

        if (r < 0)
                return r;

        assert_se(parse_seconds(setting->min, &min) >= 0);
        assert_se(parse_seconds(setting->max, &max) >= 0);
        if (v < min || v > max)
                return -ERANGE;

        *(uint64_t *)target = v;

        return 0;
}

static int config_parse_i32(const Setting *setting, const char *value, int32_t *ret)
{
        int32_t min, max;
        int r = parse_i32(value, ret);

        if (r < 0)
                return r;

        assert_se(parse_i32(setting->min, &min) >= 0);
        assert_se(parse_i32(setting->max, &max) >= 0);

        return *ret < min || *ret > max ? -ERANGE : 0;
}

static int config_set_count(const Setting *setting, void *target, const char *value, GString *bad)
{
        int32_t v;
        int r = config_parse_i32(setting, value, &v);

        if (r >= 0)
                *(uint32_t *)target = (uint32_t)v;

        return r;
}

static int config_set_number(const Setting *setting, void *target, const char *value, GString *bad)
{
        int32_t v;
        int r = config_parse_i32(setting, value, &v);

        if (r >= 0)
                *(int64_t *)target = v;

        return r;
}

static int config_set_flag(const Setting *setting, void *target, const char *value, GString *bad)
{
        bool v;
        int r = parse_boolean(value, &v);

        if (r >= 0)
                *(int *)target = v;

        return r;
}

static void config_add_bad_word(GString *bad, const char *word)
{
        g_string_append_printf(bad, "%s\"%s\"", bad->len > 0 ? ", " : "", word);
}

static int config_parse_pci_id(const char *word, uint32_t *ret)
{
        g_auto(GStrv) parts = g_strsplit(word, ":", -1);
        uint16_t vendor, device;
        int r;

        if (g_strv_length(parts) != 2)
                return -EINVAL;

        if ((r = parse_u16(parts[0], 16, &vendor)) < 0 || (r = parse_u16(parts[1], 16, &device)) < 0)
                return r;

        *ret = (uint32_t)vendor << 16 | device;

        return 0;
}

/* "8086:10c9, 1d55:1000" */
static int config_set_pci_ids(const Setting *setting, void *target, const char *value, GString *bad)
{
        g_auto(GStrv) words = g_strsplit_set(value, " \t,;", -1);
        g_autoptr(GArray) ids = g_array_new(false, false, sizeof(uint32_t));

        for (char **w = words; *w; w++) {
                uint32_t id;

                if (!**w)
                        continue;

                if (config_parse_pci_id(*w, &id) >= 0)
                        g_array_append_val(ids, id);
                else
                        config_add_bad_word(bad, *w);
        }

        if (ids->len == 0 && bad->len > 0)
                return -EINVAL;

        g_array_unref(*(GArray **)target);
        *(GArray **)target = g_steal_pointer(&ids);

        return 0;
}

static int config_set_strategy(const Setting *setting, void *target, const char *value, GString *bad)
{
        PlacementStrategy strategy = placement_strategy_from_string(value);

        if ((int)strategy < 0)
                return (int)strategy;

        *(PlacementStrategy *)target = strategy;

        return 0;
}

/* Report an element that has one of the characters `strange`, or is not valid UTF-8. Keep this element,
 * although it matches nothing: without it allow= might be empty, and an empty list allows every type. */
static int config_set_list(void *target, const char *value, const char *separators, const char *strange,
                           GString *bad)
{
        g_auto(GStrv) words = g_strsplit_set(value, separators, -1);
        g_autoptr(GStrvBuilder) list = g_strv_builder_new();

        for (char **w = words; *w; w++) {
                g_autofree char *word = g_utf8_make_valid(g_strstrip(*w), -1);

                if (!*word)
                        continue;

                if (strcmp(word, *w) != 0 || strpbrk(word, strange))
                        config_add_bad_word(bad, word);
                g_strv_builder_add(list, word);
        }

        g_strfreev(*(char ***)target);
        *(char ***)target = g_strv_builder_end(list);

        return 0;
}

/* Type names may contain blanks, but no quotes. A "#" begins no comment here: a comment needs its own line. */
static int config_set_types(const Setting *setting, void *target, const char *value, GString *bad)
{
        return config_set_list(target, value, ",;", "\"'#", bad);
}

static int config_set_pools(const Setting *setting, void *target, const char *value, GString *bad)
{
        return config_set_list(target, value, " \t,;", "", bad);
}

static const Setting config_settings[] = {
        { "discovery", "also", config_set_pci_ids, offsetof(Config, also) },
        { "jobs", "timeout", config_set_usec, offsetof(Config, job_timeout_usec), "10ms", "24h" },
        { "jobs", "per-gpu", config_set_count, offsetof(Config, jobs_per_gpu), "1", "65536" },
        { "jobs", "per-user", config_set_count, offsetof(Config, jobs_per_user), "1", "65536" },
        { "placement", "strategy", config_set_strategy, offsetof(Config, strategy) },
        { "ready", "timeout", config_set_usec, offsetof(Config, ready_timeout_usec), "10ms", "1h" },
        { "start", "timeout", config_set_usec, offsetof(Config, start_timeout_usec), "10ms", "10min" },
        { "stop", "timeout", config_set_usec, offsetof(Config, stop_timeout_usec), "10ms", "10min" },
};

#define GPU_SECTION "gpu "

static const Setting config_gpu_settings[] = {
        { NULL, "allow", config_set_types, offsetof(ConfigGpu, allow) },
        { NULL, "forbid", config_set_types, offsetof(ConfigGpu, forbid) },
        { NULL, "pool", config_set_pools, offsetof(ConfigGpu, pools) },
        { NULL, "priority", config_set_number, offsetof(ConfigGpu, priority), "-1000000", "1000000" },
        { NULL, "spare", config_set_number, offsetof(ConfigGpu, spare), "0", "65536" },
        { NULL, "take-bound", config_set_flag, offsetof(ConfigGpu, take_bound) },
};

static void config_gpu_destroy(gpointer p)
{
        ConfigGpu *g = p;

        g_free(g->pattern);
        g_free(g->where);
        g_strfreev(g->pools);
        g_strfreev(g->allow);
        g_strfreev(g->forbid);
        g_free(g);
}

Config *config_new(void)
{
        struct utsname system;

        assert_se(uname(&system) >= 0);
        Config *c = g_new0(Config, 1);

        *c = (Config){
                .job_timeout_usec = 120 * USEC_PER_SEC,
                .jobs_per_gpu = 256,
                .jobs_per_user = 256,
                .ready_timeout_usec = 60 * USEC_PER_SEC,
                .start_timeout_usec = 5 * USEC_PER_SEC,
                .stop_timeout_usec = 5 * USEC_PER_SEC,
                .also = g_array_new(false, false, sizeof(uint32_t)),
                .strategy = PLACEMENT_BREADTH,
                .gpus = g_ptr_array_new_with_free_func(config_gpu_destroy),
                .errors = g_ptr_array_new_with_free_func(g_free),
                .runtime_directory = g_strdup(VGPUD_RUNTIME_DIR),
                .state_directory = g_strdup(VGPUD_STATE_DIR),
                .writer_path = g_strdup(VGPUD_LIBEXEC_DIR "/vgpud-write"),
                .nvml_path = g_strdup(VGPUD_LIBEXEC_DIR "/vgpud-nvml"),
                .systemctl_path = g_strdup("/usr/bin/systemctl"),
                .modules_path = g_build_filename("/lib/modules", system.release, NULL),
                .definitions_root = g_strdup("/"),
        };

        return c;
}

/* Log the mistake at error level, because it may spoil an access restriction. Do not fail start-up. `r`: the
 * negative errno of the reason, or 0. */
static void config_ignore(Config *c, int r, const char *format, ...) _printf_(3, 4);
static void config_ignore(Config *c, int r, const char *format, ...)
{
        g_autoptr(GString) text = g_string_new(NULL);
        va_list ap;

        va_start(ap, format);
        g_string_append_vprintf(text, format, ap);
        va_end(ap);

        if (r < 0)
                g_string_append_printf(text, ": %s", g_strerror(-r));
        LOG_FIELDS(LOG_ERR, (.error = r, .message_id = VGPUD_MESSAGE_CONFIG_IGNORED), "%s", text->str);
        if (c->errors->len < CONFIG_ERRORS_MAX)
                g_ptr_array_add(c->errors, text_clean(g_strdup(text->str), CONFIG_ERROR_MAX));
}

typedef struct Line {
        Config *config;
        const char *file;
        unsigned number; /* first line: 1 */
        const char *section;
} Line;

static void config_apply(const Line *line, const Setting *table, size_t n, void *target, const char *key,
                         const char *value)
{
        for (size_t i = 0; i < n; i++) {
                if ((table[i].section && strcmp(table[i].section, line->section) != 0) ||
                    strcmp(table[i].key, key) != 0)
                        continue;

                g_autoptr(GString) bad = g_string_new(NULL);
                int r = table[i].set(&table[i], (char *)target + table[i].offset, value, bad);
                if (r == -ERANGE && table[i].min)
                        config_ignore(line->config, 0,
                                      "%s:%u: [%s] %s=%s is not in the range %s to %s, ignoring it", line->file,
                                      line->number, line->section, key, value, table[i].min, table[i].max);
                else if (r < 0)
                        config_ignore(line->config, r, "%s:%u: [%s] %s=%s is not valid, ignoring it",
                                      line->file, line->number, TEXT_QUOTE(line->section), TEXT_QUOTE(key),
                                      TEXT_QUOTE(value));
                else if (bad->len > 0)
                        config_ignore(line->config, 0,
                                      "%s:%u: [%s] %s= has invalid elements, which match nothing: %s",
                                      line->file, line->number, TEXT_QUOTE(line->section), key, bad->str);

                return;
        }

        config_ignore(line->config, 0, "%s:%u: [%s] %s= is not known, ignoring it", line->file, line->number,
                      TEXT_QUOTE(line->section), TEXT_QUOTE(key));
}

/* Add the section to Config.gpus. NULL: the section is not [gpu PATTERN]. config_find_gpu() merges the sections
 * that match a GPU. */
static ConfigGpu *config_add_gpu(const Line *line)
{
        g_autofree char *written = NULL, *pattern = NULL;
        Config *c = line->config;
        ConfigGpu *g;

        if (!g_str_has_prefix(line->section, GPU_SECTION))
                return NULL;

        written = g_strstrip(g_utf8_make_valid(line->section + strlen(GPU_SECTION), -1));
        if (!*written)
                return NULL;

        pattern = pci_addr_to_name(written);
        if (!pattern)
                pattern = g_strdup(written);
        /* The kernel writes addresses in lower case. */
        if (pattern[strspn(pattern, "0123456789abcdefABCDEF:.*?")] == 0)
                for (char *p = pattern; *p; p++)
                        *p = g_ascii_tolower(*p);

        g = g_new(ConfigGpu, 1);
        *g = (ConfigGpu){
                .pattern = g_steal_pointer(&pattern),
                .where = g_strdup_printf("%s:%u: [" GPU_SECTION "%s]", line->file, line->number,
                                         TEXT_QUOTE(written)),
                .spare = -1,
                .priority = CONFIG_PRIORITY_NOT_SAID,
                .take_bound = -1,
        };
        g_ptr_array_add(c->gpus, g);

        return g;
}

/* Parses "[NAME]"; NULL: not a section. Changes the text. */
static char *config_parse_section(char *text)
{
        size_t n = strlen(text);

        if (n < 3 || text[n - 1] != ']')
                return NULL;

        text[n - 1] = 0;

        return text[1 + strcspn(text + 1, "[]")] ? NULL : text + 1;
}

/* True if a line without "=" looks like a section header with a character before it, such as a no-break space.
 */
static bool config_is_spoiled_section(const char *line)
{
        return strchr(line, '[') && g_str_has_suffix(line, "]");
}

/* Parse the lines here, because GKeyFile rejects a whole file for one bad line. Skip the lines below an invalid
 * section header: they must not change the settings of the previous section. */
static void config_read_lines(Config *c, const char *name, char *text)
{
        Line line = { .config = c, .file = name };
        ConfigGpu *gpu = NULL;
        bool lost = false;
        char *next;

        for (char *p = text; p; p = next) {
                next = strchr(p, '\n');
                if (next)
                        *next++ = 0;
                line.number++;
                g_strstrip(p);
                char *value = strchr(p, '=');

                if (!*p || *p == '#')
                        continue;

                if (*p == '[' || (!value && config_is_spoiled_section(p))) {
                        g_autofree char *whole = g_strdup(p);

                        line.section = *p == '[' ? config_parse_section(p) : NULL;
                        lost = !line.section;
                        gpu = lost ? NULL : config_add_gpu(&line);

                        if (lost)
                                config_ignore(c, 0,
                                              "%s:%u: \"%s\" is not \"[SECTION]\", ignoring the lines up to the next section",
                                              name, line.number, TEXT_QUOTE(whole));

                        continue;
                }

                if (lost)
                        continue;

                if (!value || value == p) {
                        config_ignore(c, 0, "%s:%u: \"%s\" is not \"KEY=VALUE\", ignoring it", name,
                                      line.number, TEXT_QUOTE(p));
                        continue;
                }

                if (!line.section) {
                        config_ignore(c, 0, "%s:%u: \"%s\" is outside any section, ignoring it", name,
                                      line.number, TEXT_QUOTE(p));
                        continue;
                }

                *value++ = 0;
                g_strstrip(value);

                if (gpu)
                        config_apply(&line, config_gpu_settings, G_N_ELEMENTS(config_gpu_settings), gpu,
                                     g_strchomp(p), value);
                else
                        config_apply(&line, config_settings, G_N_ELEMENTS(config_settings), c, g_strchomp(p),
                                     value);
        }
}

/* True if the path is a symbolic link. A file may be missing, but a dangling link is a mistake. */
static bool config_is_link(const char *name)
{
        struct stat st;

        return lstat(name, &st) >= 0 && S_ISLNK(st.st_mode);
}

/* Follow symbolic links: administrators link configuration files. Messages name the whole path. */
static void config_read_file(Config *c, const char *directory, const char *file_name)
{
        g_autofree char *name = g_build_filename(directory, file_name, NULL);
        _cleanup_close_ int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        g_autofree char *text = NULL;
        size_t size;
        int r;

        r = fd < 0 ? -errno : fs_read_file(fd, CONFIG_FILE_MAX, &text, &size);
        if (r == -ENOENT && !config_is_link(name))
                return;
        if (r < 0)
                config_ignore(c, r, "Cannot read %s, ignoring it", name);
        else if (strlen(text) != size)
                config_ignore(c, 0, "%s contains zero bytes, ignoring it", name);
        else
                config_read_lines(c, name,
                                  g_str_has_prefix(text, BYTE_ORDER_MARK) ? text + strlen(BYTE_ORDER_MARK)
                                                                          : text);
}

void config_read(Config *c, const char *directory)
{
        g_autofree char *dropins = g_build_filename(directory, "vgpud.conf.d", NULL);
        g_auto(GStrv) names = NULL;
        int r;

        config_read_file(c, directory, "vgpud.conf");
        _cleanup_close_ int dropins_fd = open(dropins, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        r = dropins_fd < 0 ? -errno : fs_list_at(dropins_fd, ".", &names);
        if (r < 0 && (r != -ENOENT || config_is_link(dropins)))
                config_ignore(c, r, "Cannot read %s, ignoring it", dropins);
        if (r < 0)
                return;

        for (char **n = names; *n; n++)
                if (g_str_has_suffix(*n, ".conf") && (*n)[0] != '.')
                        config_read_file(c, dropins, *n);
}

ConfigGpu config_find_gpu(const Config *c, const char *name)
{
        ConfigGpu found = { .spare = -1, .priority = CONFIG_PRIORITY_NOT_SAID, .take_bound = -1 };

        for (guint i = 0; i < c->gpus->len; i++) {
                const ConfigGpu *g = c->gpus->pdata[i];

                if (!g_pattern_match_simple(g->pattern, name))
                        continue;

                found.pools = g->pools ? g->pools : found.pools;
                found.allow = g->allow ? g->allow : found.allow;
                found.forbid = g->forbid ? g->forbid : found.forbid;
                found.spare = g->spare >= 0 ? g->spare : found.spare;
                found.priority = g->priority != CONFIG_PRIORITY_NOT_SAID ? g->priority : found.priority;
                found.take_bound = g->take_bound >= 0 ? g->take_bound : found.take_bound;
        }

        return found;
}

Config *config_free(Config *c)
{
        if (!c)
                return NULL;

        g_array_unref(c->also);
        g_ptr_array_unref(c->gpus);
        g_ptr_array_unref(c->errors);
        g_free(c->runtime_directory);
        g_free(c->state_directory);
        g_free(c->writer_path);
        g_free(c->nvml_path);
        g_free(c->systemctl_path);
        g_free(c->modules_path);
        g_free(c->definitions_root);
        g_free(c);

        return NULL;
}
