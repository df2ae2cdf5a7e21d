/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "policy/placement.h"

#include <glib.h>
#include <inttypes.h>
#include <string.h>

#include "base/macros.h"
#include "base/parse-util.h"
#include "base/type-word.h"

/* Limit of GPUs that one message names. */
#define REASONS_IN_MESSAGE_MAX 8

static const struct {
        const char *name;
        PlacementStrategy strategy;
} strategy_names[] = {
        { "breadth", PLACEMENT_BREADTH },       { "depth", PLACEMENT_DEPTH },
        { "breadth-first", PLACEMENT_BREADTH }, { "depth-first", PLACEMENT_DEPTH },
        { "breadth_first", PLACEMENT_BREADTH }, { "depth_first", PLACEMENT_DEPTH },
        { "performance", PLACEMENT_BREADTH },   { "consolidation", PLACEMENT_DEPTH },
        { "separated", PLACEMENT_BREADTH },     { "consolidated", PLACEMENT_DEPTH },
};

const char *placement_strategy_to_string(PlacementStrategy strategy)
{
        for (size_t i = 0; i < G_N_ELEMENTS(strategy_names); i++)
                if (strategy_names[i].strategy == strategy)
                        return strategy_names[i].name;

        return NULL;
}

PlacementStrategy placement_strategy_from_string(const char *text)
{
        for (size_t i = 0; text && i < G_N_ELEMENTS(strategy_names); i++)
                if (strcmp(strategy_names[i].name, text) == 0)
                        return strategy_names[i].strategy;

        return _PLACEMENT_STRATEGY_INVALID;
}

static const char *const placement_reason_table[_PLACEMENT_REASON_MAX] = {
        [PLACEMENT_REASON_NONE] = "",
        [PLACEMENT_NO_SUCH_TYPE] = "no-such-type",
        [PLACEMENT_NOT_READY] = "not-ready",
        [PLACEMENT_QUEUE_FULL] = "queue-full",
        [PLACEMENT_TYPE_FORBIDDEN] = "type-forbidden",
        [PLACEMENT_TYPE_NOT_ALLOWED] = "type-not-allowed",
        [PLACEMENT_OTHER_POOL] = "other-pool",
        [PLACEMENT_OTHER_NODE] = "other-numa-node",
        [PLACEMENT_NO_ROOM] = "no-room",
};

DEFINE_STRING_TABLE_TO_STRING(placement_reason, PlacementReason)

/* ---- names and distances ---- */

/* A PCI address ("0000:41:00.0", domains of up to eight digits) as a number above 0; 0 for other names. */
static uint64_t placement_read_address(const char *name)
{
        static const char form[] = "xxxxxxxx:xx:xx.x";
        size_t n = 0;
        uint64_t v = 0;

        while (n < 9 && g_ascii_isxdigit(name[n]) && !g_ascii_isupper(name[n]))
                n++;
        if (n < 4 || n > 8)
                return 0;

        for (const char *f = &form[8 - n]; *f; f++, name++) {
                if (*f != 'x' ? *name != *f : !g_ascii_isxdigit(*name) || g_ascii_isupper(*name))
                        return 0;
                if (*f == 'x')
                        v = v << 4 | (uint64_t)g_ascii_xdigit_value(*name);
        }

        return *name ? 0 : v + 1;
}

#define BY(x, y)                                   \
        do {                                       \
                if ((x) != (y))                    \
                        return (x) < (y) ? -1 : 1; \
        } while (0)

static int placement_compare_addressed(uint64_t address_a, const char *a, uint64_t address_b, const char *b)
{
        BY(!address_a, !address_b);
        BY(address_a, address_b);
        return compare_naturally(a, b);
}

int placement_compare_names(const char *a, const char *b)
{
        return placement_compare_addressed(placement_read_address(a), a, placement_read_address(b), b);
}

static uint32_t placement_count_components(const char *path)
{
        uint32_t n = *path != 0;

        for (; *path; path++)
                n += *path == '/';

        return n;
}

uint32_t placement_distance(const char *path_a, const char *path_b)
{
        static const char devices[] = "devices/pci";
        const char *a, *b;
        size_t common = 0;

        if (!g_str_has_prefix(path_a, devices) || !g_str_has_prefix(path_b, devices))
                return strcmp(path_a, path_b) == 0 ? 0 : PLACEMENT_FAR;

        /* Find the common prefix in whole components. It must contain a host bridge below "devices". */
        for (size_t i = 0;; i++) {
                bool end_a = path_a[i] == 0 || path_a[i] == '/', end_b = path_b[i] == 0 || path_b[i] == '/';

                if (end_a && end_b)
                        common = i;
                if (path_a[i] != path_b[i] || path_a[i] == 0)
                        break;
        }

        if (common < sizeof devices - 1)
                return PLACEMENT_FAR;

        a = path_a + common;
        b = path_b + common;

        return placement_count_components(*a ? a + 1 : a) + placement_count_components(*b ? b + 1 : b);
}

/* ---- rules ---- */

/* "*" matches any text, "?" any character. Case does not matter. */
static bool placement_pattern_matches(const char *pattern, const char *text)
{
        const char *star = NULL, *again = NULL;

        while (*text) {
                if (*pattern == '*') {
                        star = ++pattern;
                        again = text;
                } else if (*pattern == '?') {
                        pattern++;
                        /* Skip all bytes of the character; names need not be valid UTF-8. */
                        do
                                text++;
                        while (((unsigned char)*text & 0xc0) == 0x80);
                } else if (g_ascii_tolower(*pattern) == g_ascii_tolower(*text)) {
                        pattern++;
                        text++;
                } else if (star) {
                        pattern = star;
                        text = ++again;
                } else
                        return false;
        }

        while (*pattern == '*')
                pattern++;

        return !*pattern;
}

/* Find the first pattern that matches one of the names. A pattern may also be a name in any form that a request
 * accepts. */
static const char *placement_find_pattern(const char *const *patterns, const char *const *names)
{
        for (; patterns && *patterns; patterns++)
                for (const char *const *n = names; n && *n; n++)
                        if (placement_pattern_matches(*patterns, *n) || type_word_equal(*patterns, *n))
                                return *patterns;

        return NULL;
}

static const char *placement_type_name(const PlacementCandidate *c)
{
        return c->type_names && c->type_names[0] ? c->type_names[0] : "the type";
}

/* Find the rule that excludes the type. The reason in words costs more, and most callers do not need it. */
static PlacementReason placement_find_type_rule(const PlacementCandidate *c, const char **ret_pattern)
{
        *ret_pattern = placement_find_pattern(c->forbid, c->type_names);
        if (*ret_pattern)
                return PLACEMENT_TYPE_FORBIDDEN;

        return c->allow && c->allow[0] && !placement_find_pattern(c->allow, c->type_names)
                               ? PLACEMENT_TYPE_NOT_ALLOWED
                               : PLACEMENT_REASON_NONE;
}

PlacementReason placement_check_type(const PlacementCandidate *c, char **ret_reason)
{
        const char *pattern;
        PlacementReason id = placement_find_type_rule(c, &pattern);

        *ret_reason = NULL;
        if (id == PLACEMENT_TYPE_FORBIDDEN)
                *ret_reason = g_strdup_printf("forbid=%s in vgpud.conf excludes %s", pattern,
                                              placement_type_name(c));
        else if (id == PLACEMENT_TYPE_NOT_ALLOWED) {
                g_autofree char *allowed = g_strjoinv(", ", (char **)c->allow);

                *ret_reason = g_strdup_printf("allow=%s in vgpud.conf excludes %s", allowed,
                                              placement_type_name(c));
        }

        return id;
}

/* The latest results of placement_find_type_rule(). GPUs of one section of vgpud.conf share the lists of
 * patterns, and GPUs of one model the names of the type, so a few entries serve a host. */
#define RULE_CACHE_SIZE 8U
typedef struct RuleCache {
        const PlacementCandidate *candidates[RULE_CACHE_SIZE];
        PlacementReason reasons[RULE_CACHE_SIZE];
        size_t n; /* results so far */
} RuleCache;

static bool placement_names_equal(const char *const *a, const char *const *b)
{
        return a == b || (a && b && g_strv_equal(a, b));
}

static PlacementReason placement_look_up_type_rule(RuleCache *cache, const PlacementCandidate *c)
{
        const char *pattern;
        size_t i;

        if (!c->allow && !c->forbid)
                return PLACEMENT_REASON_NONE;

        for (i = 0; i < MIN(cache->n, RULE_CACHE_SIZE); i++) {
                const PlacementCandidate *other = cache->candidates[i];

                if (other->allow == c->allow && other->forbid == c->forbid &&
                    placement_names_equal(other->type_names, c->type_names))
                        return cache->reasons[i];
        }

        i = cache->n++ % RULE_CACHE_SIZE;
        cache->candidates[i] = c;
        cache->reasons[i] = placement_find_type_rule(c, &pattern);

        return cache->reasons[i];
}

static const char *const default_pools[] = { PLACEMENT_DEFAULT_POOL, NULL };

static const char *const *placement_pools(const PlacementCandidate *c)
{
        return c->pools && c->pools[0] ? c->pools : default_pools;
}

static bool placement_is_in_pool(const PlacementCandidate *c, const char *wanted)
{
        return g_strv_contains(placement_pools(c), wanted ? wanted : PLACEMENT_DEFAULT_POOL);
}

static char *placement_explain_pool(const PlacementCandidate *c, const char *wanted)
{
        g_autofree char *text = g_strjoinv(", ", (char **)placement_pools(c));

        if (!wanted)
                return g_strdup_printf("the GPU serves only requests for pool %s", text);
        if (placement_pools(c) == default_pools)
                return g_strdup_printf("the GPU is in no pool, but the request is for pool \"%s\"", wanted);

        return g_strdup_printf("the pool of the GPU is %s, not \"%s\"", text, wanted);
}

static char *placement_explain_node(const PlacementCandidate *c, int wanted)
{
        if (c->numa_node < 0)
                return g_strdup_printf("the NUMA node of the GPU is unknown, but the request is for node %d",
                                       wanted);

        return g_strdup_printf("the GPU is on NUMA node %d, not %d", c->numa_node, wanted);
}

static char *placement_explain_full(const PlacementCandidate *c, uint32_t room, uint32_t count)
{
        GString *text = g_string_new(NULL);

        if (c->available == 0)
                g_string_append(text, "the GPU has no room");
        else {
                g_string_append_printf(text, "the GPU has room for %" PRIu32, room);
                if (count > 1)
                        g_string_append_printf(text, ", not for %" PRIu32, count);
        }

        if (c->available > 0 && (c->promised > 0 || c->spare > 0)) {
                g_string_append_printf(text, ": %" PRIu32 " available", c->available);
                if (c->promised > 0)
                        g_string_append_printf(text, ", %" PRIu32 " reserved by queued jobs",
                                               MIN(c->promised, c->available));
                if (c->spare > 0)
                        g_string_append_printf(text, ", %" PRIu32 " held back by spare= in vgpud.conf",
                                               c->spare);
        }

        if (c->why_full)
                g_string_append_printf(text, "; %s", c->why_full);

        return g_string_free(text, FALSE);
}

static uint32_t placement_room(const PlacementCandidate *c)
{
        uint64_t taken = (uint64_t)c->promised + c->spare;

        return taken < c->available ? c->available - (uint32_t)taken : 0;
}

static PlacementReason placement_find_exclusion(RuleCache *cache, const PlacementCandidate *c,
                                                const PlacementRequest *request)
{
        PlacementReason id = placement_look_up_type_rule(cache, c);

        if (id != PLACEMENT_REASON_NONE)
                return id;
        if (!placement_is_in_pool(c, request->pool))
                return PLACEMENT_OTHER_POOL;
        if (request->numa_node >= 0 && c->numa_node != request->numa_node)
                return PLACEMENT_OTHER_NODE;

        return PLACEMENT_REASON_NONE;
}

static void placement_judge(PlacementRank *r, const PlacementRequest *request, RuleCache *cache)
{
        const PlacementCandidate *c = r->candidate;

        g_assert((c->refusal != NULL) == (c->refusal_id != PLACEMENT_REASON_NONE));

        if (c->refusal) {
                r->verdict = PLACEMENT_REFUSED;
                r->reason_id = c->refusal_id;
                return;
        }

        r->verdict = PLACEMENT_EXCLUDED;
        r->reason_id = placement_find_exclusion(cache, c, request);
        if (r->reason_id != PLACEMENT_REASON_NONE)
                return;

        r->room = placement_room(c);
        r->verdict = r->room >= request->count ? PLACEMENT_FITS : PLACEMENT_FULL;
        if (r->verdict == PLACEMENT_FULL)
                r->reason_id = PLACEMENT_NO_ROOM;
}

static char *placement_make_reason(const Placement *p, const PlacementRank *r)
{
        const PlacementCandidate *c = r->candidate;
        char *reason;

        switch (r->verdict) {
        case PLACEMENT_REFUSED:
                return g_strdup(c->refusal);
        case PLACEMENT_FULL:
                return placement_explain_full(c, r->room, p->count);
        case PLACEMENT_EXCLUDED:
                if (r->reason_id == PLACEMENT_OTHER_POOL)
                        return placement_explain_pool(c, p->pool);
                if (r->reason_id == PLACEMENT_OTHER_NODE)
                        return placement_explain_node(c, p->numa_node);

                (void)placement_check_type(c, &reason);
                return reason;
        case PLACEMENT_FITS:
        default:
                return NULL;
        }
}

const char *placement_reason_of(const Placement *p, const PlacementRank *rank)
{
        PlacementRank *r = &p->ranks[rank - p->ranks];

        g_assert(rank >= p->ranks && rank < p->ranks + p->n);

        if (!r->reason)
                r->reason = placement_make_reason(p, r);

        return r->reason;
}

/* ---- order ---- */

static void placement_measure(PlacementRank *r, const PlacementRequest *request)
{
        const PlacementCandidate *c = r->candidate;

        r->distance = request->near_path ? placement_distance(c->path, request->near_path) : PLACEMENT_FAR;
        if (request->near_path && r->distance == PLACEMENT_FAR && c->numa_node >= 0 &&
            c->numa_node == request->near_numa_node)
                r->distance = PLACEMENT_SAME_NODE;
}

static int placement_compare_ranks(const void *a, const void *b, void *userdata)
{
        const PlacementRank *x = a, *y = b;
        const PlacementCandidate *c = x->candidate, *d = y->candidate;
        const PlacementRequest *request = userdata;

        BY(x->verdict, y->verdict);

        if (x->verdict == PLACEMENT_REFUSED)
                BY(!c->offers, !d->offers);
        if (x->verdict == PLACEMENT_FULL)
                BY(!c->unsettled, !d->unsettled);
        if (x->verdict <= PLACEMENT_FULL) {
                if (request->preferred_numa_node >= 0)
                        BY(c->numa_node != request->preferred_numa_node,
                           d->numa_node != request->preferred_numa_node);

                BY(x->distance, y->distance);
                BY(d->priority, c->priority);
                BY(c->crowded, d->crowded);

                if (request->strategy == PLACEMENT_DEPTH) {
                        BY(c->instances == 0, d->instances == 0);
                        BY(x->room, y->room);
                        BY(d->instances, c->instances);
                } else {
                        BY(y->room, x->room);
                        BY(c->instances, d->instances);
                }
        }

        return placement_compare_addressed(x->address, c->gpu, y->address, d->gpu);
}

Placement *placement_choose(const PlacementCandidate *candidates, size_t n, const PlacementRequest *request)
{
        Placement *p = g_new0(Placement, 1);
        RuleCache cache = { .n = 0 };

        g_assert(request->count > 0);
        g_assert(request->strategy >= 0 && request->strategy < _PLACEMENT_STRATEGY_MAX);
        g_assert(n <= G_MAXINT);

        p->ranks = g_new0(PlacementRank, n + 1);
        p->n = n;
        p->count = request->count;
        p->numa_node = request->numa_node;
        p->pool = g_strdup(request->pool);

        for (size_t i = 0; i < n; i++) {
                p->ranks[i].index = i;
                p->ranks[i].candidate = &candidates[i];
                p->ranks[i].address = placement_read_address(candidates[i].gpu);
                placement_judge(&p->ranks[i], request, &cache);
                placement_measure(&p->ranks[i], request);
        }

        if (n > 1)
                g_qsort_with_data(p->ranks, (gint)n, sizeof *p->ranks, placement_compare_ranks,
                                  (void *)request);
        if (n > 0 && p->ranks[0].verdict == PLACEMENT_FITS)
                p->chosen = &p->ranks[0];

        return p;
}

Placement *placement_free(Placement *p)
{
        if (!p)
                return NULL;

        for (size_t i = 0; i < p->n; i++)
                g_free(p->ranks[i].reason);
        g_free(p->ranks);
        g_free(p->pool);
        g_free(p);

        return NULL;
}

bool placement_would_wait(const Placement *p, const PlacementRank *rank)
{
        g_assert(rank >= p->ranks && rank < p->ranks + p->n);

        return rank->candidate->job_ahead && placement_find_hope(p) == rank;
}

const PlacementRank *placement_find_hope(const Placement *p)
{
        const PlacementRank *first = p->n > 0 ? &p->ranks[0] : NULL;

        g_assert(!p->chosen || p->chosen == first);

        /* Do not try a GPU with spare=: its driver does not know the setting, and would give away the room that
         * is held back. */
        if (!first || first->verdict != PLACEMENT_FULL || first->candidate->spare > 0)
                return NULL;
        if (first->candidate->unsettled)
                return first;

        return p->n == 1 || p->ranks[1].verdict == PLACEMENT_REFUSED ? first : NULL;
}

char *placement_explain(const Placement *p)
{
        GString *text = g_string_new(NULL);
        size_t shown = 0, all = 0;

        for (size_t i = 0; i < p->n; i++) {
                const PlacementRank *r = &p->ranks[i];

                if (r->verdict == PLACEMENT_FITS || !r->candidate->offers)
                        continue;

                if (all++ >= REASONS_IN_MESSAGE_MAX)
                        continue;

                g_string_append_printf(text, "%sGPU %s: %s", shown++ > 0 ? "; " : "", r->candidate->gpu,
                                       placement_reason_of(p, r));
        }

        if (all > shown)
                g_string_append_printf(text, "; and %zu more", all - shown);

        return g_string_free(text, FALSE);
}
