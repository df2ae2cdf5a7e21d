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
                return "\"vgpuctl types\" lists the types";
        case VGPUD_ERROR_NO_SUCH_INSTANCE:
                return "\"vgpuctl list\" lists the instances";
        case VGPUD_ERROR_NO_SUCH_JOB:
                return "\"vgpuctl jobs\" lists the jobs";
        case VGPUD_ERROR_AMBIGUOUS:
                return "use a longer prefix";
        case VGPUD_ERROR_NOT_AUTHORIZED:
                return "ask an administrator for a polkit rule, or run vgpuctl as root";
        case VGPUD_ERROR_FOREIGN:
                return "use --foreign if the program that made the instance does not need it any more";
        case VGPUD_ERROR_NO_CAPACITY:
                return "\"vgpuctl types --why\" lists the types that can be made, and the reasons for the others";
        case VGPUD_ERROR_TOO_MANY_JOBS:
                return "wait for some of the jobs that \"vgpuctl jobs\" lists";
        case VGPUD_ERROR_EXISTS:
                return "\"vgpuctl list\" lists the instances";
        case VGPUD_ERROR_IN_USE:
                return "stop the virtual machine or program that uses it, or wait for the job that works on it";
        case VGPUD_ERROR_GPU_STUCK:
                return "\"vgpuctl jobs\" shows the blocked job, and the log of the kernel may show the cause";
        case VGPUD_ERROR_INCONSISTENT:
                return "compare \"vgpuctl list\" with the journal of vgpud: journalctl -u vgpud";
        case VGPUD_ERROR_FAILED:
                return "the journals of vgpud and the kernel may say more: journalctl -u vgpud -k";
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
        g_assert(status > 0);
        g_assert(name && *name);

        /* Keep the order of stdout and stderr if both go to one file. */
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

                if (n > 0 &&
                    printable[n - 1] == '.') /* the bus and libsystemd end some messages with a full stop */
                        printable[n - 1] = 0;

                (void)fprintf(stderr, "vgpuctl: %s.\n", printable);
                if (hint)
                        (void)fprintf(stderr, "Hint: %s.\n", hint);
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
