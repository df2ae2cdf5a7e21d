/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/output/terminal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/parse-util.h"

bool output_is_terminal(void)
{
        static int known = -1;

        if (known < 0)
                known = isatty(STDOUT_FILENO) == 1;
        return known > 0;
}

bool remarks_wanted(const Arguments *a)
{
        return !a->quiet && !a->json && isatty(STDERR_FILENO) == 1;
}

unsigned terminal_columns(int fd)
{
        struct winsize size;
        uint32_t columns;

        if (isatty(fd) != 1)
                return 0;
        if (parse_u32(getenv("COLUMNS") ?: "", 10, &columns) >= 0 && columns > 0)
                return columns;
        if (ioctl(fd, TIOCGWINSZ, &size) >= 0 && size.ws_col > 0)
                return size.ws_col;
        return 80;
}

static int write_error; /* errno of the first write to stdout that failed */

static ssize_t write_output(void *cookie, const char *data, size_t size)
{
        for (size_t done = 0; done < size;) {
                ssize_t n = write(STDOUT_FILENO, data + done, size - done);

                if (n >= 0)
                        done += (size_t)n;
                else if (errno != EINTR) {
                        if (write_error == 0)
                                write_error = errno;
                        return 0; /* as stdio wants it */
                }
        }
        return (ssize_t)size;
}

/* stdio forgets why a write has failed if that is not the last one. */
void output_begin(void)
{
        FILE *f = fopencookie(NULL, "w", (cookie_io_functions_t){ .write = write_output });

        if (!f)
                return;
        (void)setvbuf(f, NULL, output_is_terminal() ? _IOLBF : _IOFBF, 32768);
        stdout = f;
}

int output_finish(int status)
{
        if (fflush(stdout) == 0 && !ferror(stdout))
                return status;
        if (write_error != EPIPE)
                (void)fprintf(stderr, "vgpuctl: Could not write the output: %s.\n",
                              strerror(write_error ?: EIO));
        return status != 0 ? status : EXIT_FAILURE;
}

static bool colours_wanted(void)
{
        static int known = -1;

        if (known < 0) {
                const char *terminal = getenv("TERM"), *no_color = getenv("NO_COLOR");

                known = output_is_terminal() && terminal && strcmp(terminal, "dumb") != 0 &&
                        (!no_color || !*no_color);
        }
        return known > 0;
}

const char *tone_begin(Tone tone)
{
        static const char *const table[_TONE_MAX] = {
                [TONE_PLAIN] = "",      [TONE_HEAD] = "\033[1m",  [TONE_GOOD] = "\033[32m",
                [TONE_DIM] = "\033[2m", [TONE_WARN] = "\033[33m", [TONE_BAD] = "\033[1;31m",
        };

        return colours_wanted() ? table[tone] : "";
}

const char *tone_end(Tone tone)
{
        return tone != TONE_PLAIN && colours_wanted() ? "\033[0m" : "";
}

/* ---- Running text ---- */

static void print_words(unsigned indent, unsigned hang, const char *head, Tone tone, const char *text)
{
        g_autofree char *first = format_printable(head ? head : ""), *printable = format_printable(text);
        g_auto(GStrv) words = g_strsplit(printable, " ", -1);
        unsigned columns = output_is_terminal() ? terminal_columns(STDOUT_FILENO) : 0;
        unsigned used = indent + text_width(first);

        (void)printf("%*s%s%s%s", (int)indent, "", tone_begin(tone), first, tone_end(tone));
        for (char **p = words; *p; p++) {
                unsigned width = text_width(*p);
                bool begins = p == words && !head;

                if (!begins && columns > 0 && used + 1 + width > columns) {
                        (void)printf("\n%*s%s", (int)hang, "", *p);
                        used = hang + width;
                } else {
                        (void)printf("%s%s", begins ? "" : " ", *p);
                        used += width + !begins;
                }
        }
        (void)putchar('\n');
}

void print_wrapped(unsigned indent, const char *head, const char *text)
{
        print_words(indent, indent + 4, head, head ? TONE_HEAD : TONE_PLAIN, text);
}

void print_hanging(unsigned hang, const char *head, const char *text)
{
        print_words(0, hang, head, TONE_PLAIN, text);
}

/* ---- Errors ---- */

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
