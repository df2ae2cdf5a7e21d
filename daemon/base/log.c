/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <systemd/sd-journal.h>

#include "base/parse-util.h"
#include "base/text.h"

static atomic_int max_level = LOG_INFO;

/* Destination of the lines, determined when the first line is logged. */
typedef enum LogTarget {
        LOG_TARGET_UNKNOWN,
        LOG_TARGET_JOURNAL, /* stderr is the journal's socket: send structured messages */
        LOG_TARGET_PREFIX,  /* a service manager started the process, but stderr is redirected: "<6>text" */
        LOG_TARGET_STDERR,  /* a terminal or a file */
} LogTarget;

static atomic_int target = LOG_TARGET_UNKNOWN;

/* systemd says in JOURNAL_STREAM which device and inode stderr had when it was connected to the journal. */
static LogTarget log_find_target(void)
{
        const char *stream = g_getenv("JOURNAL_STREAM");
        g_auto(GStrv) parts = stream ? g_strsplit(stream, ":", 2) : NULL;
        uint64_t dev, ino;
        struct stat st;

        if (!parts)
                return LOG_TARGET_STDERR;

        if (g_strv_length(parts) == 2 && parse_u64(parts[0], 10, &dev) >= 0 &&
            parse_u64(parts[1], 10, &ino) >= 0 && fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev &&
            st.st_ino == ino)
                return LOG_TARGET_JOURNAL;

        return LOG_TARGET_PREFIX;
}

void log_set_max_level(int level)
{
        g_assert(level >= LOG_EMERG && level <= LOG_DEBUG);

        atomic_store(&max_level, level);
}

int log_get_max_level(void)
{
        return atomic_load(&max_level);
}

static void log_add_field(GPtrArray *lines, const char *format, ...) _printf_(2, 3);
static void log_add_field(GPtrArray *lines, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        g_ptr_array_add(lines, g_strdup_vprintf(format, ap));
        va_end(ap);
}

static void log_send_to_journal(int level, const LogFields *f, const char *file, int line, const char *func,
                                const char *text)
{
        g_autoptr(GPtrArray) fields = g_ptr_array_new_with_free_func(g_free);

        log_add_field(fields, "MESSAGE=%s", text);
        log_add_field(fields, "PRIORITY=%d", level);
        log_add_field(fields, "SYSLOG_IDENTIFIER=%s", g_get_prgname() ? g_get_prgname() : "vgpud");
        log_add_field(fields, "CODE_FILE=%s", file);
        log_add_field(fields, "CODE_LINE=%d", line);
        log_add_field(fields, "CODE_FUNC=%s", func);

        if (f->message_id)
                log_add_field(fields, "MESSAGE_ID=%s", f->message_id);
        if (f->gpu)
                log_add_field(fields, "VGPUD_GPU=%s", TEXT_QUOTE(f->gpu));
        if (f->driver)
                log_add_field(fields, "VGPUD_DRIVER=%s", TEXT_QUOTE(f->driver));
        if (f->instance)
                log_add_field(fields, "VGPUD_INSTANCE=%s", f->instance);
        if (f->job)
                log_add_field(fields, "VGPUD_JOB=%" PRIu32, f->job);
        if (f->requester)
                log_add_field(fields, "VGPUD_REQUESTER=%" PRId64, f->requester - 1);
        if (f->action)
                log_add_field(fields, "VGPUD_ACTION=%s", TEXT_QUOTE(f->action));
        if (f->object)
                log_add_field(fields, "VGPUD_OBJECT=%s", f->object);
        if (f->suppressed)
                log_add_field(fields, "VGPUD_SUPPRESSED=%" PRIu64, f->suppressed);
        if (f->error < 0)
                log_add_field(fields, "ERRNO=%d", -f->error);

        g_autofree struct iovec *iov = g_new0(struct iovec, fields->len);
        for (guint i = 0; i < fields->len; i++)
                iov[i] = (struct iovec){ .iov_base = fields->pdata[i], .iov_len = strlen(fields->pdata[i]) };
        (void)sd_journal_sendv(iov, (int)fields->len);
}

int log_full(int level, const LogFields *fields, const char *file, int line, const char *func,
             const char *format, ...)
{
        int saved = errno, r = fields->error;
        LogTarget t = atomic_load(&target);
        va_list ap;

        g_assert(level >= LOG_EMERG && level <= LOG_DEBUG);

        if (level > log_get_max_level())
                return r;

        if (t == LOG_TARGET_UNKNOWN)
                atomic_store(&target, t = log_find_target());

        if (r < 0)
                errno = -r; /* errno for %m */
        va_start(ap, format);
        g_autofree char *text = text_clean(g_strdup_vprintf(format, ap), TEXT_LINE_MAX);
        va_end(ap);

        switch (t) {
        case LOG_TARGET_JOURNAL:
                log_send_to_journal(level, fields, file, line, func, text);
                break;
        case LOG_TARGET_PREFIX:
                fprintf(stderr, "<%d>%s\n", level, text);
                break;
        case LOG_TARGET_UNKNOWN:
        case LOG_TARGET_STDERR:
                fprintf(stderr, "%s\n", text);
                break;
        }

        errno = saved;

        return r;
}
