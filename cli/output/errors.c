/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/output/errors.h"

#include <string.h>
#include <unistd.h>

#include "cli/output/format.h"

bool remarks_wanted(const Arguments *a)
{
        return !a->quiet && !a->json && isatty(STDERR_FILENO) == 1;
}

const char *error_hint(VgpudErrorCode code)
{
        switch (code) {
        case VGPUD_ERROR_NO_SUCH_GPU:
                return "\"vgpuctl gpus\" lists the GPUs";
        case VGPUD_ERROR_NO_SUCH_TYPE:
                return "\"vgpuctl types\" lists what can be made";
        case VGPUD_ERROR_NO_SUCH_INSTANCE:
                return "\"vgpuctl list\" lists the instances";
        case VGPUD_ERROR_NO_SUCH_JOB:
                return "\"vgpuctl jobs\" lists the jobs";
        case VGPUD_ERROR_AMBIGUOUS:
                return "give more of it";
        case VGPUD_ERROR_NOT_AUTHORIZED:
                return "ask an administrator for a polkit rule, or do it as root";
        case VGPUD_ERROR_FOREIGN:
                return "--foreign removes it anyway; make sure first that whoever made it does not need it";
        case VGPUD_ERROR_NO_CAPACITY:
                return "\"vgpuctl types --why\" shows what there is room for, and what stands in the way of "
                       "the rest";
        case VGPUD_ERROR_TOO_MANY_JOBS:
                return "wait until some of the jobs that \"vgpuctl jobs\" lists have ended";
        case VGPUD_ERROR_EXISTS:
                return "\"vgpuctl list\" shows what is there";
        case VGPUD_ERROR_IN_USE:
                return "wait for, or end, whatever holds it or works on it";
        case VGPUD_ERROR_GPU_STUCK:
                return "\"vgpuctl jobs\" and the kernel's log show what has not come back";
        case VGPUD_ERROR_INCONSISTENT:
                return "look at \"vgpuctl list\" and at the journal of vgpud: journalctl -u vgpud";
        case VGPUD_ERROR_FAILED:
                return "the journals of vgpud and of the kernel may say more: journalctl -u vgpud -k";
        case VGPUD_ERROR_GPU_GONE:
        case VGPUD_ERROR_CANCELED:
        case VGPUD_ERROR_INVALID:
        case VGPUD_ERROR_UNSUPPORTED:
        case VGPUD_ERROR_NONE:
        case _VGPUD_ERROR_MAX:
        default:
                return NULL;
        }
}

void json_error(Json *j, const char *key, const char *name, int status, const char *object, const char *hint,
                const char *message)
{
        json_object(j, key);
        json_string(j, "name", name);
        json_string(j, "message", message);
        json_string(j, "hint", hint);
        json_string(j, "object", object);
        json_u64(j, "exit_status", (uint64_t)status);
        json_object_end(j);
}

int fail_named(const Arguments *a, const char *name, int status, const char *object, const char *hint,
               const char *message)
{
        /* What was printed so far comes first, also when both go to one file. */
        (void)fflush(stdout);
        if (a->json) {
                Json j = json_new(true);

                json_object(&j, NULL);
                json_error(&j, "error", name, status, object, hint, message);
                json_object_end(&j);
                json_print(&j, stderr);
        } else {
                g_autofree char *printable = format_printable(message);
                size_t n = strlen(printable);

                if (n > 0 && printable[n - 1] == '.') /* messages of others end as they like */
                        printable[n - 1] = 0;
                (void)fprintf(stderr, "vgpuctl: %s.\n", printable);
                if (hint)
                        (void)fprintf(stderr, "         What can be done: %s.\n", hint);
        }
        return status;
}

int fail(const Arguments *a, VgpudErrorCode code, const char *object, const char *format, ...)
{
        g_autofree char *message = NULL;
        va_list ap;

        va_start(ap, format);
        message = g_strdup_vprintf(format, ap);
        va_end(ap);
        return fail_named(a, vgpud_error_code_to_dbus(code), vgpud_error_code_to_exit_status(code), object,
                          error_hint(code), message);
}

int fail_usage(const Arguments *a, const char *format, ...)
{
        g_autofree char *message = NULL;
        va_list ap;

        va_start(ap, format);
        message = g_strdup_vprintf(format, ap);
        va_end(ap);
        return fail_named(a, vgpud_error_code_to_dbus(VGPUD_ERROR_INVALID),
                          vgpud_error_code_to_exit_status(VGPUD_ERROR_INVALID), NULL,
                          "\"vgpuctl help\" shows verbs and options, vgpuctl(1) explains them", message);
}

void remark(const Arguments *a, const char *format, ...)
{
        g_autofree char *text = NULL, *printable = NULL;
        va_list ap;

        if (!remarks_wanted(a))
                return;
        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);
        printable = format_printable(text);
        (void)fflush(stdout);
        (void)fprintf(stderr, "%s\n", printable);
}
