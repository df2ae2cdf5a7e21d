/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vgpud.conf may have any text. Only the bad lines are ignored, and every value in force is in its range. */

#include "fuzz.h"

#include "base/log.h"
#include "daemon/store/config.h"
#include "fuzz-folder.h"

static void check_list(char *const *list)
{
        for (; list && *list; list++)
                g_assert(**list && g_utf8_validate(*list, -1, NULL));
}

static void check_gpu(const ConfigGpu *g)
{
        check_list(g->pools);
        check_list(g->allow);
        check_list(g->forbid);
        g_assert(g->spare >= -1 && g->spare <= 65536);
        g_assert(g->priority == CONFIG_PRIORITY_NOT_SAID ||
                 (g->priority >= -1000000 && g->priority <= 1000000));
}

static void check_config(const Config *c)
{
        static const char *const names[] = { "0000:00:02.0", "mdpy", "\xff" };

        g_assert(c->job_timeout_usec >= 10 * USEC_PER_MSEC && c->job_timeout_usec <= 24 * 3600 * USEC_PER_SEC);
        g_assert(c->ready_timeout_usec >= 10 * USEC_PER_MSEC && c->ready_timeout_usec <= 3600 * USEC_PER_SEC);
        g_assert(c->start_timeout_usec >= 10 * USEC_PER_MSEC && c->start_timeout_usec <= 600 * USEC_PER_SEC);
        g_assert(c->stop_timeout_usec >= 10 * USEC_PER_MSEC && c->stop_timeout_usec <= 600 * USEC_PER_SEC);
        g_assert(c->jobs_per_gpu >= 1 && c->jobs_per_gpu <= 65536);
        g_assert(c->jobs_per_user >= 1 && c->jobs_per_user <= 65536);
        g_assert(placement_strategy_to_string(c->strategy));
        g_assert(c->errors->len <= 100);

        for (guint i = 0; i < c->errors->len; i++)
                g_assert(strlen(c->errors->pdata[i]) <= 512 && g_utf8_validate(c->errors->pdata[i], -1, NULL));

        for (guint i = 0; i < c->gpus->len; i++) {
                const ConfigGpu *g = c->gpus->pdata[i];

                g_assert(g->pattern[0] && g_utf8_validate(g->pattern, -1, NULL));
                check_gpu(g);
        }

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                ConfigGpu found = config_find_gpu(c, names[i]);

                check_gpu(&found);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        g_autofree char *text = fuzz_take_text(&(FuzzInput){ data, size });
        const char *folder = fuzz_folder();
        _cleanup_close_ int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        Config *c = config_new();

        log_set_max_level(LOG_CRIT);
        fuzz_write_file(fd, "vgpud.conf", text);
        config_read(c, folder);
        (void)unlinkat(fd, "vgpud.conf", 0);
        check_config(c);
        config_free(c);

        return 0;
}
