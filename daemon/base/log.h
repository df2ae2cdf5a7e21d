/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Log lines go to the journal, with fields. If stderr is not the journal, they go to stderr, with <N> prefixes
 * if a service manager started the process. Any thread may log.
 *
 * A line has at most TEXT_LINE_MAX bytes and no control characters (base/text.h).
 *
 * A function logs an error or returns an explanation for the caller to log, never both. */

#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>

#include "base/macros.h"

/* The fields of a line. A field that is NULL or 0 is left out. In the journal they are VGPUD_GPU=,
 * VGPUD_DRIVER=, VGPUD_INSTANCE=, VGPUD_JOB=, VGPUD_REQUESTER=, VGPUD_ACTION=, VGPUD_OBJECT=,
 * VGPUD_SUPPRESSED=, ERRNO= and MESSAGE_ID=. */
typedef struct LogFields {
        const char *gpu;        /* sysfs name of the GPU */
        const char *driver;     /* name of the back end */
        const char *instance;   /* UUID */
        uint32_t job;           /* number of the job */
        int64_t requester;      /* uid of the caller + 1, so that 0 means unset */
        const char *action;     /* of polkit, or a method of D-Bus */
        const char *object;     /* what the action is about, in words */
        uint64_t suppressed;    /* number of events that this line replaces */
        const char *message_id; /* one of log-ids.h */
        int error;              /* negative errno */
} LogFields;

void log_set_max_level(int level);
int log_get_max_level(void);

/* Use the macros below. Returns fields->error, so that `return log_error_errno(r, …)` passes the error on. "%m"
 * in the format is strerror() of that error. */
int log_full(int level, const LogFields *fields, const char *file, int line, const char *func,
             const char *format, ...) _printf_(6, 7);

#define LOG_FULL(level, fields, ...)                                                              \
        (log_get_max_level() >= (level)                                                           \
                         ? log_full((level), (fields), __FILE__, __LINE__, __func__, __VA_ARGS__) \
                         : (fields)->error)

#define log_error(...)            LOG_FULL(LOG_ERR, (&(LogFields){ 0 }), __VA_ARGS__)
#define log_warning(...)          LOG_FULL(LOG_WARNING, (&(LogFields){ 0 }), __VA_ARGS__)
#define log_notice(...)           LOG_FULL(LOG_NOTICE, (&(LogFields){ 0 }), __VA_ARGS__)
#define log_info(...)             LOG_FULL(LOG_INFO, (&(LogFields){ 0 }), __VA_ARGS__)
#define log_debug(...)            LOG_FULL(LOG_DEBUG, (&(LogFields){ 0 }), __VA_ARGS__)
#define log_error_errno(r, ...)   LOG_FULL(LOG_ERR, (&(LogFields){ .error = (r) }), __VA_ARGS__)
#define log_warning_errno(r, ...) LOG_FULL(LOG_WARNING, (&(LogFields){ .error = (r) }), __VA_ARGS__)
#define log_debug_errno(r, ...)   LOG_FULL(LOG_DEBUG, (&(LogFields){ .error = (r) }), __VA_ARGS__)
/* A line with fields: LOG_FIELDS(LOG_INFO, (.gpu = name, .instance = uuid), "text %s", x) */
#define LOG_UNWRAP(...)                __VA_ARGS__
#define LOG_FIELDS(level, fields, ...) LOG_FULL((level), (&(LogFields){ LOG_UNWRAP fields }), __VA_ARGS__)
