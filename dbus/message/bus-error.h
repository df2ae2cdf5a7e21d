/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Errors on the bus: turns a VgpudError into the error of a reply. The names come from the table in
 * base/error.h. The body is the message with the hint; with the option error_details of the call it is the
 * message and a dictionary. */

#include <systemd/sd-bus.h>

#include "base/error.h"
#include "base/macros.h"

/* Longest message or hint, in bytes: of an error, and of the failure of one instance. */
#define BUS_ERROR_TEXT_MAX         1024U
#define BUS_ERROR_FAILURE_TEXT_MAX 128U
/* Largest number of failures in an error or signal, and of jobs in an error. */
#define BUS_ERROR_FAILURES_MAX 16U
#define BUS_ERROR_JOBS_MAX     16U
/* Sizes on the bus, in bytes. MAX: the limit of an error or of JobRemoved, with its header. REST: everything
 * but texts and lists. INSTANCE and JOB: one entry of a list. */
#define BUS_ERROR_SIZE_MAX      4096U
#define BUS_ERROR_SIZE_REST     768U
#define BUS_ERROR_SIZE_INSTANCE 64U
#define BUS_ERROR_SIZE_JOB      40U

/* The failure of one instance, in a job for several instances. */
typedef struct BusFailure {
        const char *uuid;
        const VgpudError *error;
} BusFailure;

/* The part of an error that concerns jobs. */
typedef struct BusErrorJobs {
        uint32_t job;              /* the job that failed or goes on */
        const GPtrArray *jobs;     /* GUINT_TO_POINTER(id): all jobs of the call; NULL: only one */
        const GPtrArray *uuids;    /* char *: the instances of the jobs */
        const GPtrArray *failures; /* BusFailure */
} BusErrorJobs;

/* Register the error names and their errnos with sd-bus. Safe to call again. */
int bus_error_register(void);

/* End a handler after a function has failed with r, a negative errno. `e` explains the failure; if it is empty,
 * the errno chooses the name. Fills *ret_error or sends the answer, and returns the value that the handler must
 * return. */
int bus_error_answer(sd_bus_message *call, int r, const VgpudError *e, sd_bus_error *ret_error);

/* Answer a stored call with an error. `jobs` NULL: the call made no job. */
int bus_error_send(sd_bus_message *call, const VgpudError *e, const BusErrorJobs *jobs);

/* `text` cut to `max` bytes between two characters, with "…" at the end; newly allocated valid UTF-8. */
char *bus_error_cut(const char *text, size_t max);

/* The message and the hint of an error. */
typedef struct BusErrorTexts {
        char *message; /* owned; valid UTF-8 */
        char *hint;    /* owned; valid UTF-8; NULL: none */
        VgpudHintId hint_id;
} BusErrorTexts;

/* Cut message and hint so that they fit into one error or signal beside lists of `lists` bytes. Each has at
 * most BUS_ERROR_TEXT_MAX bytes, and a short text leaves its room to the other. *ret_size: the size of all but
 * the failures, for bus_error_append_failures(); `ret_size` may be NULL. `e` may have no message. */
void bus_error_cut_texts(const VgpudError *e, size_t lists, BusErrorTexts *ret, size_t *ret_size);
void bus_error_texts_done(BusErrorTexts *texts);
#define _cleanup_bus_error_texts_ _cleanup_(bus_error_texts_done)

/* Append the keys hint and hint_id to an open a{sv}. */
int bus_error_append_hint(sd_bus_message *m, const VgpudHint *hint, size_t max);
/* Append the keys failures, with texts of at most `text_max` bytes, and n_failures. `size`: bytes of the
 * message without the failures; SIZE_MAX: append all failures. */
int bus_error_append_failures(sd_bus_message *m, const GPtrArray *failures, size_t text_max, size_t size);
