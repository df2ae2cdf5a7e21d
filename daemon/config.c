/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/config.h"

#include <fcntl.h>
#include <string.h>

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

static const struct {
        const char *section, *key;
        int (*set)(void *target, const char *value);
        size_t offset;
} settings[] = {
        { "discovery", "also", set_pci_ids, offsetof(Config, also) },
        { "jobs", "timeout", set_usec, offsetof(Config, job_timeout_usec) },
        { "jobs", "per-gpu", set_count, offsetof(Config, jobs_per_gpu) },
        { "jobs", "per-user", set_count, offsetof(Config, jobs_per_user) },
        { "start", "timeout", set_usec, offsetof(Config, start_timeout_usec) },
        { "stop", "timeout", set_usec, offsetof(Config, stop_timeout_usec) },
};

Config *config_new(void)
{
        Config *c = g_new0(Config, 1);

        *c = (Config){
                .job_timeout_usec = 120 * USEC_PER_SEC,
                .jobs_per_gpu = 256,
                .jobs_per_user = 256,
                .start_timeout_usec = 5 * USEC_PER_SEC,
                .stop_timeout_usec = 5 * USEC_PER_SEC,
                .also = g_array_new(false, false, sizeof(uint32_t)),
                .runtime_directory = g_strdup(VGPUD_RUNTIME_DIR),
                .state_directory = g_strdup(VGPUD_STATE_DIR),
                .writer_path = g_strdup(VGPUD_LIBEXEC_DIR "/vgpud-write"),
                .nvml_path = g_strdup(VGPUD_LIBEXEC_DIR "/vgpud-nvml"),
                .systemctl_path = g_strdup("/usr/bin/systemctl"),
        };
        return c;
}

static void config_set(Config *c, const char *file, const char *section, const char *key, const char *value)
{
        for (size_t i = 0; i < G_N_ELEMENTS(settings); i++) {
                if (strcmp(settings[i].section, section) != 0 || strcmp(settings[i].key, key) != 0)
                        continue;
                int r = settings[i].set((char *)c + settings[i].offset, value);
                if (r < 0)
                        log_warning_errno(r, "%s: [%s] %s=%s is not valid, ignoring it: %m", file, section, key,
                                          value);
                return;
        }
        log_warning("%s: [%s] %s= is not known, ignoring it", file, section, key);
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
                for (char **k = keys; k && *k; k++) {
                        g_autofree char *value = g_key_file_get_value(file, *s, *k, NULL);
                        config_set(c, name, *s, *k, g_strstrip(value));
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

Config *config_free(Config *c)
{
        if (!c)
                return NULL;
        g_array_unref(c->also);
        g_free(c->runtime_directory);
        g_free(c->state_directory);
        g_free(c->writer_path);
        g_free(c->nvml_path);
        g_free(c->systemctl_path);
        g_free(c);
        return NULL;
}
