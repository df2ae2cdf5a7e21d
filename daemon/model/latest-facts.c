/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/model/latest-facts.h"

#include <pthread.h>

struct LatestFacts {
        pthread_mutex_t mutex;
        unsigned refs;   /* protected by the mutex, as are the facts */
        GpuFacts *facts; /* ref */
};

LatestFacts *latest_facts_new(const GpuFacts *facts)
{
        LatestFacts *l = g_new(LatestFacts, 1);

        *l = (LatestFacts){ .refs = 1, .facts = gpu_facts_ref(facts) };
        pthread_mutex_init(&l->mutex, NULL);

        return l;
}

LatestFacts *latest_facts_ref(LatestFacts *l)
{
        pthread_mutex_lock(&l->mutex);
        l->refs++;
        pthread_mutex_unlock(&l->mutex);

        return l;
}

LatestFacts *latest_facts_unref(LatestFacts *l)
{
        bool last;

        if (!l)
                return NULL;

        pthread_mutex_lock(&l->mutex);
        last = --l->refs == 0;
        pthread_mutex_unlock(&l->mutex);

        if (!last)
                return NULL;

        gpu_facts_unref(l->facts);
        pthread_mutex_destroy(&l->mutex);
        g_free(l);

        return NULL;
}

GpuFacts *latest_facts_get(LatestFacts *l)
{
        GpuFacts *facts;

        pthread_mutex_lock(&l->mutex);
        facts = gpu_facts_ref(l->facts);
        pthread_mutex_unlock(&l->mutex);

        return facts;
}

void latest_facts_offer(LatestFacts *l, const GpuFacts *facts)
{
        const GpuFacts *old = NULL;

        pthread_mutex_lock(&l->mutex);
        if (!gpu_facts_is_older(facts, l->facts)) {
                old = l->facts;
                l->facts = gpu_facts_ref(facts);
        }

        pthread_mutex_unlock(&l->mutex);
        gpu_facts_unref(old);
}
