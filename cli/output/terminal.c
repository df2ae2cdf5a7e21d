/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/output/terminal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/parse-util.h"
#include "cli/output/format.h"

bool output_is_terminal(void)
{
        static int known = -1;

        if (known < 0)
                known = isatty(STDOUT_FILENO) == 1;

        return known > 0;
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

static int write_error; /* errno of the first failed write to stdout */

static ssize_t output_write(void *cookie, const char *data, size_t size)
{
        for (size_t done = 0; done < size;) {
                ssize_t n = write(STDOUT_FILENO, data + done, size - done);

                if (n >= 0)
                        done += (size_t)n;
                else if (errno != EINTR) {
                        if (write_error == 0)
                                write_error = errno;
                        return 0; /* the error value of a cookie function */
                }
        }

        return (ssize_t)size;
}

/* stdio keeps only the errno of the last write; write_error keeps the errno of the first failed write. */
void output_begin(void)
{
        FILE *f = fopencookie(NULL, "w", (cookie_io_functions_t){ .write = output_write });

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

        g_assert(tone < _TONE_MAX);

        return colours_wanted() ? table[tone] : "";
}

const char *tone_end(Tone tone)
{
        return tone != TONE_PLAIN && colours_wanted() ? "\033[0m" : "";
}

/* ---- names ---- */

void print_name(const char *name)
{
        g_autofree char *printable = format_printable(name);

        (void)puts(printable);
}

/* ---- running text ---- */

static void print_broken(unsigned indent, unsigned hang, const char *head, Tone tone, const char *text)
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
        print_broken(indent, indent + 4, head, head ? TONE_HEAD : TONE_PLAIN, text);
}

void print_hanging(unsigned hang, const char *head, const char *text)
{
        print_broken(0, hang, head, TONE_PLAIN, text);
}
