/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/model/keep.h"

#include <inttypes.h>
#include <string.h>

#include "base/gpu-note.h"
#include "base/log-ids.h"
#include "base/log.h"
#include "base/parse-util.h"
#include "base/text.h"
#include "base/thread.h"
#include "base/time-util.h"
#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/model/model.h"
#include "daemon/store/settings.h"
#include "drivers-glue/attribute.h"

#define SETTLED_TOPIC "kept"
/* Length of a checksum in the note: 18 of them fit into a note. */
#define SETTLED_LENGTH 12

struct Keep {
        Model *model; /* borrowed */
        char *gpu;    /* owned: sysfs name */
        uid_t requester;
        GpuSettings *before; /* owned; restored after a failure if `after` is NULL; NULL: nothing was kept */
        GpuSettings *after;  /* owned; stored after a success; NULL: the new settings are stored already */
        bool unsettled;      /* keep_begin_forget() has made the settled number of VFs unsettled */
};

static void settled_prune(Gpu *gpu);
static void settled_write(const Gpu *gpu);
static char *settled_checksum(const GpuSettings *s, const char *mode);

void gpu_kept_done(GpuKept *kept)
{
        g_ptr_array_unref(kept->settled);
        vgpud_error_done(&kept->waiting);
        sd_event_source_disable_unref(kept->retry);
}

const GpuSettings *keep_get(const Gpu *gpu)
{
        assert_main_thread();

        return settings_get(gpu->model->settings, gpu_name(gpu));
}

static bool keep_is_of_card(const Gpu *gpu, const GpuSettings *settings)
{
        return settings->vendor == gpu->facts->vendor && settings->device == gpu->facts->device;
}

int keep_check_card(const Gpu *gpu, const GpuSettings *settings, VgpudError *reterr)
{
        int r;

        assert_main_thread();

        if (keep_is_of_card(gpu, settings))
                return 0;

        r = vgpud_error_setf(
                        reterr, VGPUD_ERROR_UNSUPPORTED,
                        "GPU %s has other PCI ids (%04x:%04x) than the GPU of the kept settings (%04x:%04x)",
                        gpu_name(gpu), gpu->facts->vendor, gpu->facts->device, settings->vendor,
                        settings->device);
        vgpud_error_hintf(reterr, VGPUD_HINT_FORGET_SETTINGS,
                          "if the earlier GPU does not come back, forget its settings: vgpuctl forget %s",
                          gpu_name(gpu));

        return r;
}

/* ---- changes ---- */

static void keep_tell(Model *m, const char *gpu_name)
{
        Gpu *gpu = model_get_gpu(m, gpu_name);

        if (gpu)
                MODEL_EMIT(m, gpu_changed, gpu, GPU_CHANGED_KEPT);
        model_wish_converge(m, gpu_name);
}

static char *keep_describe(const GpuSettings *s)
{
        g_autoptr(GString) text = g_string_new(NULL);

        if (!s || gpu_settings_is_empty(s))
                return g_strdup("nothing");

        if (s->vfs > 0)
                g_string_append_printf(text, "%" PRIu32 " virtual functions", s->vfs);

        for (guint i = 0; i < s->modes->len; i++) {
                const VgpuAttribute *mode = s->modes->pdata[i];

                g_string_append_printf(text, "%smode %s \"%s\"", text->len > 0 ? ", " : "", mode->name,
                                       mode->value);
        }

        return g_string_free(g_steal_pointer(&text), FALSE);
}

/* `settings` NULL: nothing is kept. */
static int keep_put(Model *m, const char *gpu, const GpuSettings *settings, uid_t requester, VgpudError *reterr)
{
        _cleanup_gpu_settings_ GpuSettings *none = settings ? NULL : gpu_settings_new(gpu);
        g_autofree char *before = keep_describe(settings_get(m->settings, gpu)),
                        *after = keep_describe(settings);
        g_autofree char *by = requester == UID_INVALID ? g_strdup("vgpud")
                                                       : g_strdup_printf("user %u", (unsigned)requester);
        int r;

        r = settings_put(m->settings, settings ? settings : none, reterr);
        if (r < 0)
                return r;

        LOG_FIELDS(LOG_INFO,
                   (.gpu = gpu,
                    .message_id = settings_get(m->settings, gpu) ? VGPUD_MESSAGE_SETTINGS_KEPT
                                                                 : VGPUD_MESSAGE_SETTINGS_FORGOTTEN,
                    .requester = requester == UID_INVALID ? 0 : (int64_t)requester + 1),
                   "The kept settings of GPU %s were changed by %s: %s, before: %s", gpu, by, after, before);
        keep_tell(m, gpu);

        return 0;
}

bool keep_is_changing(const Gpu *gpu)
{
        assert_main_thread();

        return g_hash_table_contains(gpu->model->keeps, gpu_name(gpu));
}

/* The settings must not change while a job may still restore the earlier ones. */
static int keep_check_unchanging(Model *m, const char *gpu, VgpudError *reterr)
{
        int r;

        if (!g_hash_table_contains(m->keeps, gpu))
                return 0;

        r = vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE, "another job changes the kept settings of GPU %s",
                             gpu);
        vgpud_error_hintf(reterr, VGPUD_HINT_WAIT_FOR_JOB, "wait until the job has ended");

        return r;
}

/* Copy the settings, to be changed. Start with empty settings if the present ones belong to another card. */
static GpuSettings *keep_edit(const Gpu *gpu, uid_t requester)
{
        const GpuSettings *present = keep_get(gpu);
        GpuSettings *s = present && keep_is_of_card(gpu, present) ? gpu_settings_copy(present)
                                                                  : gpu_settings_new(gpu_name(gpu));

        s->vendor = gpu->facts->vendor;
        s->device = gpu->facts->device;
        s->writer = requester;
        s->written_usec = now_realtime_usec();

        return s;
}

static Keep *keep_new(const Gpu *gpu, uid_t requester)
{
        Keep *k = g_new(Keep, 1);

        *k = (Keep){
                .model = gpu->model,
                .gpu = g_strdup(gpu_name(gpu)),
                .requester = requester,
                .before = gpu_settings_copy(keep_get(gpu)),
        };
        g_hash_table_insert(gpu->model->keeps, k->gpu, k);

        return k;
}

static Keep *keep_free(Keep *k)
{
        g_hash_table_remove(k->model->keeps, k->gpu);
        g_free(k->gpu);
        gpu_settings_free(k->before);
        gpu_settings_free(k->after);
        g_free(k);

        return NULL;
}

/* Store the settings before the job: if vgpud is killed, the next vgpud applies them. */
static int keep_begin(Gpu *gpu, const GpuSettings *settings, Keep **ret, VgpudError *reterr)
{
        Keep *k = keep_new(gpu, settings->writer);
        int r = keep_put(gpu->model, k->gpu, settings, k->requester, reterr);

        *ret = r < 0 ? keep_free(k) : k;

        return r;
}

/* Forget the number of VFs after the job has disabled the VFs. If vgpud is killed before that, the next vgpud
 * enables the VFs again, because the number is not settled any more. */
static void keep_begin_forget(Gpu *gpu, GpuSettings *settings, Keep **ret)
{
        Keep *k = keep_new(gpu, settings->writer);
        g_autofree char *sum = k->before ? settled_checksum(k->before, NULL) : NULL;
        guint i;

        k->after = settings;
        k->unsettled = sum && g_ptr_array_find_with_equal_func(gpu->kept.settled, sum, g_str_equal, &i);
        if (k->unsettled) {
                g_ptr_array_remove_index(gpu->kept.settled, i);
                settled_write(gpu);
        }

        *ret = k;
}

int keep_begin_vfs(Gpu *gpu, uint32_t count, uid_t requester, Keep **ret, VgpudError *reterr)
{
        _cleanup_gpu_settings_ GpuSettings *settings = NULL;
        int r;

        assert_main_thread();

        r = keep_check_unchanging(gpu->model, gpu_name(gpu), reterr);
        if (r < 0)
                return r;

        settings = keep_edit(gpu, requester);
        settings->vfs = count;
        if (count == 0) {
                keep_begin_forget(gpu, g_steal_pointer(&settings), ret);
                return 0;
        }

        return keep_begin(gpu, settings, ret, reterr);
}

int keep_begin_mode(Gpu *gpu, const char *mode, const char *value, uid_t requester, Keep **ret,
                    VgpudError *reterr)
{
        _cleanup_gpu_settings_ GpuSettings *settings = NULL;
        int r;

        assert_main_thread();

        r = keep_check_unchanging(gpu->model, gpu_name(gpu), reterr);
        if (r < 0)
                return r;

        settings = keep_edit(gpu, requester);
        gpu_settings_set_mode(settings, mode, value);

        return keep_begin(gpu, settings, ret, reterr);
}

static void keep_fail_end(const Keep *k, const VgpudError *error, VgpudError *reterr)
{
        (void)vgpud_error_setf(reterr, error->code,
                               "GPU %s has no virtual functions now, but their number stays kept: %s", k->gpu,
                               error->message);
        reterr->errnum = error->errnum;
        if (error->hint.text)
                vgpud_error_hintf(reterr, error->hint.id, "%s", error->hint.text);
}

Keep *keep_end(Keep *k, bool done, VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        Gpu *gpu;
        int r = 0;

        assert_main_thread();

        if (!k)
                return NULL;

        gpu = model_get_gpu(k->model, k->gpu);
        g_hash_table_remove(k->model->keeps, k->gpu);
        if (done && k->after)
                r = keep_put(k->model, k->gpu, k->after, k->requester, &error);
        else if (!done && !k->after)
                r = keep_put(k->model, k->gpu, k->before, k->requester, &error);
        if (r < 0)
                LOG_FIELDS(LOG_ERR, (.gpu = k->gpu, .error = -error.errnum),
                           "Cannot write the kept settings of GPU %s after the job: %s", k->gpu, error.message);
        if (r < 0 && done)
                keep_fail_end(k, &error, reterr);

        if (gpu && k->unsettled && (!done || r < 0))
                keep_settle(gpu, NULL);
        model_wish_converge(k->model, k->gpu);
        k = keep_free(k);
        if (gpu)
                settled_prune(gpu);

        return k;
}

int keep_check_forget(Model *m, const char *gpu, bool vfs, const char *mode, VgpudError *reterr)
{
        const GpuSettings *s = settings_get(m->settings, gpu);

        assert_main_thread();

        if (!s)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "no settings of GPU %s are kept", gpu);
        if (vfs && s->vfs == 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "no number of virtual functions of GPU %s is kept", gpu);
        if (mode && !gpu_settings_get_mode(s, mode))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "mode \"%s\" of GPU %s is not kept",
                                        TEXT_QUOTE(mode), gpu);

        return keep_check_unchanging(m, gpu, reterr);
}

int keep_forget(Model *m, const char *gpu, bool vfs, const char *mode, uid_t requester, VgpudError *reterr)
{
        _cleanup_gpu_settings_ GpuSettings *s = NULL;
        Gpu *present = model_get_gpu(m, gpu);
        int r;

        assert_main_thread();

        r = keep_check_forget(m, gpu, vfs, mode, reterr);
        if (r < 0)
                return r;

        s = gpu_settings_copy(settings_get(m->settings, gpu));
        s->writer = requester;
        s->written_usec = now_realtime_usec();
        if (vfs || !mode)
                s->vfs = 0;
        if (mode)
                gpu_settings_set_mode(s, mode, NULL);
        else if (!vfs)
                g_ptr_array_set_size(s->modes, 0);

        r = keep_put(m, gpu, s, requester, reterr);
        if (r >= 0 && present)
                settled_prune(present);

        return r;
}

void keep_set_waiting(Gpu *gpu, const VgpudError *error)
{
        VgpudError *waiting = &gpu->kept.waiting;
        const VgpudError none = VGPUD_ERROR_INIT;

        assert_main_thread();

        if (!error)
                error = &none;
        if (waiting->code == error->code && g_strcmp0(waiting->message, error->message) == 0)
                return;

        vgpud_error_copy(waiting, error);
        if (error->code != VGPUD_ERROR_NONE)
                LOG_FIELDS(LOG_NOTICE, (.gpu = gpu_name(gpu), .message_id = VGPUD_MESSAGE_SETTINGS_WAIT),
                           "The kept settings of GPU %s wait: %s%s%s", gpu_name(gpu), error->message,
                           error->hint.text ? "; hint: " : "", error->hint.text ? error->hint.text : "");
        MODEL_EMIT(gpu->model, gpu_changed, gpu, GPU_CHANGED_KEPT);
}

/* ---- settled settings ---- */

/* A checksum of the setting and its kept value, so that a new value is not settled. */
static char *settled_checksum(const GpuSettings *s, const char *mode)
{
        g_autofree char *text = mode ? g_strdup_printf("%s=%s", mode, gpu_settings_get_mode(s, mode))
                                     : g_strdup_printf("=%" PRIu32, s->vfs);
        char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);

        sum[SETTLED_LENGTH] = 0;

        return sum;
}

static bool settled_contains(const Gpu *gpu, const char *sum)
{
        return g_ptr_array_find_with_equal_func(gpu->kept.settled, sum, g_str_equal, NULL);
}

static void settled_write(const Gpu *gpu)
{
        const GpuNotes notes = { shared_fd_get(gpu->model->runtime), gpu_name(gpu) };
        g_autoptr(GString) text = g_string_new(NULL);

        if (gpu->kept.settled->len == 0) {
                gpu_note_remove(&notes, SETTLED_TOPIC);
                return;
        }

        g_string_append_printf(text, "%" PRIx64, gpu->kept.driver_identity);
        for (guint i = 0; i < gpu->kept.settled->len; i++)
                g_string_append_printf(text, " %s", (const char *)gpu->kept.settled->pdata[i]);

        gpu_note_write(&notes, SETTLED_TOPIC, text->str);
}

static bool settled_is_of_value(const GpuSettings *s, const char *sum)
{
        for (guint i = 0; s && i <= s->modes->len; i++) {
                const char *mode = i < s->modes->len ? ((const VgpuAttribute *)s->modes->pdata[i])->name : NULL;
                g_autofree char *kept = settled_checksum(s, mode);

                if (strcmp(kept, sum) == 0)
                        return true;
        }

        return false;
}

/* Drop the checksums of values that are not kept any more. During a change, the earlier value may come back. */
static void settled_prune(Gpu *gpu)
{
        GPtrArray *settled = gpu->kept.settled;
        guint before = settled->len;

        if (keep_is_changing(gpu))
                return;

        for (guint i = settled->len; i > 0; i--)
                if (!settled_is_of_value(keep_get(gpu), settled->pdata[i - 1]))
                        g_ptr_array_remove_index(settled, i - 1);

        if (settled->len != before)
                settled_write(gpu);
}

bool keep_is_settled(const Gpu *gpu, const char *mode)
{
        const GpuSettings *s = keep_get(gpu);
        g_autofree char *sum = NULL;

        assert_main_thread();

        if (!s || (mode ? !gpu_settings_get_mode(s, mode) : s->vfs == 0))
                return true;

        sum = settled_checksum(s, mode);

        return settled_contains(gpu, sum);
}

void keep_settle(Gpu *gpu, const char *mode)
{
        const GpuSettings *s = keep_get(gpu);
        const Keep *change = g_hash_table_lookup(gpu->model->keeps, gpu_name(gpu));

        assert_main_thread();

        /* A number that is about to be forgotten stays unsettled, see keep_begin_forget(). */
        if (keep_is_settled(gpu, mode) || (!mode && change && change->after))
                return;

        g_assert(s);

        g_ptr_array_add(gpu->kept.settled, settled_checksum(s, mode));
        settled_prune(gpu);
        settled_write(gpu);
}

void keep_settle_by_job(Gpu *gpu, const char *mode, const Keep *own)
{
        assert_main_thread();

        /* The store has the value of the job that follows. If vgpud is killed before that job, the next vgpud
         * must apply the value. */
        if (g_hash_table_lookup(gpu->model->keeps, gpu_name(gpu)) == own)
                keep_settle(gpu, mode);
}

void keep_read_settled(Gpu *gpu)
{
        g_autofree char *text = NULL;
        g_auto(GStrv) words = NULL;
        uint64_t identity;

        assert_main_thread();

        gpu->kept.settled = g_ptr_array_new_with_free_func(g_free);
        gpu->kept.driver_identity = gpu->facts->driver_identity;
        if (!gpu->model->runtime)
                return;

        const GpuNotes notes = { shared_fd_get(gpu->model->runtime), gpu_name(gpu) };
        text = gpu_note_read(&notes, SETTLED_TOPIC);
        words = text ? g_strsplit(text, " ", -1) : NULL;
        if (!words || !words[0] || parse_u64(words[0], 16, &identity) < 0 ||
            identity != gpu->kept.driver_identity)
                return;

        for (char **w = words + 1; *w; w++)
                g_ptr_array_add(gpu->kept.settled, g_strdup(*w));

        /* A setting may have been forgotten while the model did not have the GPU. */
        settled_prune(gpu);
}

void keep_follow_driver(Gpu *gpu)
{
        GpuKept *kept = &gpu->kept;

        assert_main_thread();

        if (kept->driver_identity == gpu->facts->driver_identity)
                return;

        kept->driver_identity = gpu->facts->driver_identity;
        g_ptr_array_set_size(kept->settled, 0);
        kept->failures = 0;
        kept->retry_usec = 0;
        kept->retry = sd_event_source_disable_unref(kept->retry);
        settled_write(gpu);
        model_wish_converge(gpu->model, gpu_name(gpu));
}
