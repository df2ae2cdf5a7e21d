/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/work/finished.h"

#include <string.h>

#include "base/thread.h"
#include "base/time-util.h"

struct Finished {
        FinishedJob *ring[FINISHED_MAX]; /* owned; NULL: not used yet */
        size_t next; /* index of the next job, and of the oldest job once the ring is full */
};

Finished *finished_new(void)
{
        return g_new0(Finished, 1);
}

static void finished_job_free(FinishedJob *f)
{
        if (!f)
                return;

        g_free(f->gpu_name);
        g_free(f->uuids);
        vgpud_error_done(&f->error);

        for (size_t i = 0; i < f->n_failures; i++)
                vgpud_error_done(&f->failures[i].error);
        g_free(f->failures);
        for (size_t i = 0; i < f->n_details; i++)
                g_free((char *)f->details[i].text);
        g_free(f);
}

Finished *finished_free(Finished *finished)
{
        assert_main_thread();

        if (!finished)
                return NULL;

        for (size_t i = 0; i < FINISHED_MAX; i++)
                finished_job_free(finished->ring[i]);
        g_free(finished);

        return NULL;
}

/* Cut between two characters, without functions that require valid UTF-8: the text may be a driver's. */
static void finished_cut_text(char **text, size_t max)
{
        static const char ellipsis[] = "\u2026";
        size_t n;

        if (!*text || strlen(*text) <= max)
                return;

        n = max - strlen(ellipsis);
        while (n > 0 && ((*text)[n] & 0xc0) == 0x80)
                n--;
        memcpy(*text + n, ellipsis, sizeof ellipsis);
        *text = g_realloc(*text, n + sizeof ellipsis);
}

static void finished_copy_error(VgpudError *dst, const VgpudError *src, size_t max)
{
        vgpud_error_copy(dst, src);
        finished_cut_text(&dst->message, max);
        finished_cut_text(&dst->hint.text, max);
}

static sd_id128_t finished_parse_uuid(const char *uuid)
{
        sd_id128_t id;

        assert_se(sd_id128_from_string(uuid, &id) >= 0);

        return id;
}

static void finished_copy_uuids(FinishedJob *f, const Job *job)
{
        f->n_uuids = job->uuids->len;
        f->uuids = g_new(sd_id128_t, f->n_uuids);

        for (size_t i = 0; i < f->n_uuids; i++)
                f->uuids[i] = finished_parse_uuid(job->uuids->pdata[i]);
}

static void finished_copy_failures(FinishedJob *f, const Job *job)
{
        if (!job->failures)
                return;

        f->n_failures = job->failures->len;
        f->failures = g_new0(FinishedFailure, f->n_failures);

        for (size_t i = 0; i < f->n_failures; i++) {
                const JobFailure *failure = job->failures->pdata[i];

                f->failures[i].uuid = finished_parse_uuid(failure->uuid);
                finished_copy_error(&f->failures[i].error, &failure->error, FINISHED_FAILURE_TEXT_MAX);
        }
}

static void finished_copy_details(FinishedJob *f, const Job *job)
{
        f->n_details = job_describe(job, f->details);
        for (size_t i = 0; i < f->n_details; i++)
                f->details[i].text = g_strdup(f->details[i].text);
}

void finished_add(Finished *finished, const Job *job)
{
        FinishedJob *f = g_new(FinishedJob, 1);

        assert_main_thread();
        g_assert(job->state == JOB_DONE || job->state == JOB_FAILED || job->state == JOB_CANCELED);
        g_assert((job->state == JOB_DONE) == (job->error.code == VGPUD_ERROR_NONE));

        *f = (FinishedJob){
                .id = job->id,
                .kind = job->kind->name,
                .gpu_name = g_strdup(job->gpu_name),
                .result = job->state,
                .requester = job->requester,
                .created_usec = job->created_usec,
                .started_usec = job->started_usec,
                .ended_usec = now_realtime_usec(),
        };
        finished_copy_error(&f->error, &job->error, FINISHED_TEXT_MAX);
        finished_copy_uuids(f, job);
        finished_copy_failures(f, job);
        finished_copy_details(f, job);

        finished_job_free(finished->ring[finished->next]);
        finished->ring[finished->next] = f;
        finished->next = (finished->next + 1) % FINISHED_MAX;
}

const FinishedJob *finished_get(const Finished *finished, uint32_t id)
{
        assert_main_thread();

        for (size_t i = 0; finished && i < FINISHED_MAX && finished->ring[i]; i++)
                if (finished->ring[i]->id == id)
                        return finished->ring[i];

        return NULL;
}

static int finished_compare_ids(const void *a, const void *b)
{
        const FinishedJob *const *x = a, *const *y = b;

        return (*x)->id < (*y)->id ? -1 : (*x)->id > (*y)->id;
}

GPtrArray *finished_list(const Finished *finished)
{
        GPtrArray *jobs = g_ptr_array_new();

        assert_main_thread();

        for (size_t i = 0; finished && i < FINISHED_MAX && finished->ring[i]; i++)
                g_ptr_array_add(jobs, finished->ring[i]);
        g_ptr_array_sort(jobs, finished_compare_ids);

        return jobs;
}
