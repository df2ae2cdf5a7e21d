/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/output/errors.h"

#include <string.h>
#include <unistd.h>

#include "cli/output/format.h"

/* ---- errors with their details ---- */

static void failure_info_free(void *p)
{
        FailureInfo *f = p;

        g_free(f->instance);
        g_free(f->error_name);
        g_free(f->message);
        g_free(f->hint);
        g_free(f->hint_id);
        g_free(f);
}

GPtrArray *failures_new(void)
{
        return g_ptr_array_new_with_free_func(failure_info_free);
}

void error_info_done(ErrorInfo *e)
{
        g_free(e->name);
        g_free(e->message);
        g_free(e->hint);
        g_free(e->hint_id);
        g_clear_pointer(&e->jobs, g_array_unref);
        g_clear_pointer(&e->instances, g_ptr_array_unref);
        g_clear_pointer(&e->failures, g_ptr_array_unref);
        *e = (ErrorInfo){ 0 };
}

void error_info_copy(ErrorInfo *dst, const ErrorInfo *src)
{
        g_assert(!dst->name);

        *dst = (ErrorInfo){
                .name = g_strdup(src->name),
                .message = g_strdup(src->message),
                .hint = g_strdup(src->hint),
                .hint_id = g_strdup(src->hint_id),
                .status = src->status,
                .job = src->job,
                .jobs = src->jobs ? g_array_copy(src->jobs) : NULL,
                .instances = src->instances ? g_ptr_array_ref(src->instances) : NULL,
                .failures = src->failures ? g_ptr_array_ref(src->failures) : NULL,
                .n_failures = src->n_failures,
        };
}

VgpudErrorCode error_info_code(const ErrorInfo *e)
{
        return e->name ? vgpud_error_code_from_dbus(e->name) : VGPUD_ERROR_NONE;
}

void error_info_set_hint(ErrorInfo *e, VgpudHintId id, const char *text)
{
        g_assert((id == VGPUD_HINT_NONE) == !text);

        g_free(e->hint);
        g_free(e->hint_id);
        e->hint = g_strdup(text);
        e->hint_id = text ? g_strdup(vgpud_hint_id_to_string(id)) : NULL;
}

void error_info_set_general_hint(ErrorInfo *e, VgpudErrorCode code)
{
        static const struct {
                VgpudHintId id;
                const char *text;
        } hints[_VGPUD_ERROR_MAX] = {
                [VGPUD_ERROR_NO_SUCH_GPU] = { VGPUD_HINT_LIST_GPUS, "\"vgpuctl gpus\" lists the GPUs" },
                [VGPUD_ERROR_NO_SUCH_TYPE] = { VGPUD_HINT_LIST_TYPES, "\"vgpuctl types\" lists the types" },
                [VGPUD_ERROR_NO_SUCH_INSTANCE] = { VGPUD_HINT_LIST_INSTANCES,
                                                   "\"vgpuctl list --all\" lists the instances and definitions" },
                [VGPUD_ERROR_NO_SUCH_DEFINITION] = { VGPUD_HINT_LIST_DEFINITIONS,
                                                     "\"vgpuctl list --all\" lists the definitions" },
                [VGPUD_ERROR_NO_SUCH_JOB] = { VGPUD_HINT_LIST_JOBS, "\"vgpuctl jobs --all\" lists the jobs" },
                [VGPUD_ERROR_AMBIGUOUS] = { VGPUD_HINT_LONGER_PREFIX, "use a longer prefix" },
                [VGPUD_ERROR_NOT_AUTHORIZED] = { VGPUD_HINT_ASK_ADMINISTRATOR,
                                                 "ask an administrator for a polkit rule, or run vgpuctl as root" },
                [VGPUD_ERROR_FOREIGN] = { VGPUD_HINT_USE_FOREIGN,
                                          "\"vgpuctl destroy --foreign\" removes the instance, if the program that made it does not need it any more" },
                [VGPUD_ERROR_NO_CAPACITY] = { VGPUD_HINT_EXPLAIN_TYPES,
                                              "\"vgpuctl types --why\" lists the types with room, and why the others have none" },
                [VGPUD_ERROR_QUOTA] = { VGPUD_HINT_LIST_DEFINITIONS,
                                        "\"vgpuctl list --all\" lists the definitions, and \"vgpuctl undefine\" removes them" },
                [VGPUD_ERROR_DEFINED] = { VGPUD_HINT_USE_STOP,
                                          "\"vgpuctl stop\" keeps the definition, \"vgpuctl undefine --stop\" removes both" },
                [VGPUD_ERROR_TOO_MANY_JOBS] = { VGPUD_HINT_WAIT_FOR_JOB,
                                                "wait for some of the jobs that \"vgpuctl jobs\" lists" },
                [VGPUD_ERROR_TOO_MANY_CALLS] = { VGPUD_HINT_WAIT_FOR_CALLS,
                                                 "wait until vgpud has answered earlier calls and the callers have read the answers" },
                [VGPUD_ERROR_EXISTS] = { VGPUD_HINT_LIST_INSTANCES,
                                         "\"vgpuctl list --all\" lists the instances and definitions" },
                [VGPUD_ERROR_IN_USE] = { VGPUD_HINT_STOP_USER,
                                         "stop the virtual machine or program that uses the device, or wait for the job that works on the device" },
                [VGPUD_ERROR_GPU_STUCK] = { VGPUD_HINT_SEE_KERNEL_LOG,
                                            "\"vgpuctl jobs\" shows the blocked job, and the log of the kernel may show the cause" },
                [VGPUD_ERROR_INCONSISTENT] = { VGPUD_HINT_SEE_JOURNAL,
                                               "compare \"vgpuctl list\" with the journal of vgpud: journalctl -u vgpud" },
                [VGPUD_ERROR_FAILED] = { VGPUD_HINT_SEE_JOURNAL,
                                         "the journals of vgpud and the kernel may say more: journalctl -u vgpud -k" },
        };

        g_assert(code > VGPUD_ERROR_NONE && code < _VGPUD_ERROR_MAX);

        error_info_set_hint(e, hints[code].id, hints[code].text);
}

void error_info_set(ErrorInfo *e, VgpudErrorCode code, const char *message)
{
        g_assert(!e->name);
        g_assert(code > VGPUD_ERROR_NONE && code < _VGPUD_ERROR_MAX);

        e->name = g_strdup(vgpud_error_code_to_dbus(code));
        e->message = g_strdup(message);
        e->status = vgpud_error_code_to_exit_status(code);
        error_info_set_general_hint(e, code);
}

void error_info_add_job(ErrorInfo *e, uint32_t job)
{
        g_assert(job > 0);

        if (!e->jobs)
                e->jobs = g_array_new(false, false, sizeof(uint32_t));
        if (e->job == 0)
                e->job = job;
        g_array_append_val(e->jobs, job);
}

void error_info_add_instance(ErrorInfo *e, char *uuid)
{
        if (!e->instances)
                e->instances = g_ptr_array_new_with_free_func(g_free);
        g_ptr_array_add(e->instances, uuid);
}

/* ---- JSON ---- */

void json_failures(Json *j, const char *key, const GPtrArray *failures)
{
        json_array(j, key);
        for (unsigned i = 0; failures && i < failures->len; i++) {
                const FailureInfo *f = failures->pdata[i];

                json_object(j, NULL);
                json_string(j, "instance", f->instance);
                json_string(j, "error_name", f->error_name);
                json_string(j, "message", f->message);
                json_string(j, "hint", f->hint);
                json_string(j, "hint_id", f->hint_id);
                json_object_end(j);
        }

        json_array_end(j);
}

void json_error(Json *j, const char *key, const ErrorInfo *e, const char *object)
{
        if (!e->name) {
                json_null(j, key);
                return;
        }

        g_assert(e->status > 0);

        json_object(j, key);
        json_string(j, "name", e->name);
        json_string(j, "message", e->message);
        json_string(j, "hint", e->hint);
        json_string(j, "hint_id", e->hint_id);
        json_string(j, "object", object);
        json_u64(j, "exit_status", (uint64_t)e->status);

        json_u64_or_null(j, "job", e->job);

        json_array(j, "jobs");
        for (unsigned i = 0; e->jobs && i < e->jobs->len; i++)
                json_u64(j, NULL, g_array_index(e->jobs, uint32_t, i));
        json_array_end(j);

        json_array(j, "instances");

        for (unsigned i = 0; e->instances && i < e->instances->len; i++)
                json_string(j, NULL, e->instances->pdata[i]);
        json_array_end(j);

        json_failures(j, "failures", e->failures);
        json_u64(j, "n_failures", e->n_failures);
        json_object_end(j);
}

/* ---- printing ---- */

/* Print a text as a sentence, with one full stop at its end unless it ends with a question mark. Some hints,
 * and some messages of the bus and of libsystemd, end with a full stop already. */
static void print_sentence(const char *head, const char *text)
{
        g_autofree char *printable = format_printable(text);
        size_t n = strlen(printable);

        if (n > 0 && printable[n - 1] == '.')
                printable[n - 1] = 0;
        (void)fprintf(stderr, "%s: %s%s\n", head, printable, g_str_has_suffix(printable, "?") ? "" : ".");
}

int error_info_print(const Arguments *a, const ErrorInfo *e, const char *object)
{
        g_assert(e->name);
        g_assert(e->status > 0);

        /* Keep the order of stdout and stderr if both go to one file. */
        (void)fflush(stdout);

        if (a->json) {
                Json j = json_new(true);

                json_object(&j, NULL);
                json_error(&j, "error", e, object);
                json_object_end(&j);
                json_print(&j, stderr);
        } else {
                print_sentence("vgpuctl", e->message);
                if (e->hint)
                        print_sentence("Hint", e->hint);
        }

        return e->status;
}

int fail(const Arguments *a, VgpudErrorCode code, const char *object, const char *format, ...)
{
        _cleanup_error_info_ ErrorInfo e = { 0 };
        g_autofree char *message = NULL;
        va_list ap;

        va_start(ap, format);
        message = g_strdup_vprintf(format, ap);
        va_end(ap);

        error_info_set(&e, code, message);

        return error_info_print(a, &e, object);
}

int fail_usage(const Arguments *a, const char *format, ...)
{
        _cleanup_error_info_ ErrorInfo e = { 0 };
        g_autofree char *message = NULL;
        va_list ap;

        va_start(ap, format);
        message = g_strdup_vprintf(format, ap);
        va_end(ap);

        error_info_set(&e, VGPUD_ERROR_INVALID, message);
        error_info_set_hint(&e, VGPUD_HINT_SEE_HELP,
                            "\"vgpuctl help\" shows verbs and options, vgpuctl(1) explains them");

        return error_info_print(a, &e, NULL);
}

/* ---- remarks ---- */

bool remarks_wanted(const Arguments *a)
{
        return !a->quiet && !a->json && isatty(STDERR_FILENO) == 1;
}

_printf_(1, 0) static void print_remark(const char *format, va_list ap)
{
        g_autofree char *text = g_strdup_vprintf(format, ap);
        g_autofree char *printable = format_printable(text);

        (void)fflush(stdout);
        (void)fprintf(stderr, "%s\n", printable);
}

void remark(const Arguments *a, const char *format, ...)
{
        va_list ap;

        if (!remarks_wanted(a))
                return;

        va_start(ap, format);
        print_remark(format, ap);
        va_end(ap);
}

void warn(const Arguments *a, const char *format, ...)
{
        va_list ap;

        if (a->quiet || a->json)
                return;

        va_start(ap, format);
        print_remark(format, ap);
        va_end(ap);
}
