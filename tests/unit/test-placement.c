/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "policy/placement.h"

#include <glib.h>

#include "base/macros.h"
#include "tests.h"

#define _cleanup_placement_ _cleanup_(placement_freep)

#define NOWHERE "devices/virtual/x"
#define PLACED(name, free, node, where, ...)                                                              \
        {                                                                                                 \
                .gpu = (name), .offers = true, .available = (free), .numa_node = (node), .path = (where), \
                __VA_ARGS__                                                                               \
        }
#define CANDIDATE(name, free, ...) PLACED(name, free, -1, NOWHERE, __VA_ARGS__)
#define NODE_REQUEST(node, preferred, ...) \
        (&(PlacementRequest){ .numa_node = (node), .preferred_numa_node = (preferred), __VA_ARGS__ })
#define REQUEST_N(n, ...) NODE_REQUEST(-1, -1, .count = (n), __VA_ARGS__)
#define REQUEST(...)      REQUEST_N(1, __VA_ARGS__)
#define NEAR(path, node)  REQUEST(.near_path = (path), .near_numa_node = (node))
#define LIST(...)         ((const char *const[]){ __VA_ARGS__, NULL })
#define REFUSED           .refusal = "no", .refusal_id = PLACEMENT_NOT_READY

static const char *chosen(const Placement *p)
{
        return p->chosen ? p->chosen->candidate->gpu : NULL;
}

/* Returns the names of the GPUs in their order, with a "|" before the GPUs that do not fit. */
static char *order(const Placement *p)
{
        GString *s = g_string_new(NULL);
        bool fits = true;

        for (size_t i = 0; i < p->n; i++) {
                if (fits && p->ranks[i].verdict != PLACEMENT_FITS)
                        g_string_append(s, s->len > 0 ? " |" : "|");
                fits = p->ranks[i].verdict == PLACEMENT_FITS;
                g_string_append_printf(s, "%s%s", s->len > 0 ? " " : "", p->ranks[i].candidate->gpu);
        }

        return g_string_free(s, FALSE);
}

#define ASSERT_ORDER(candidates, request, expected)                                              \
        do {                                                                                     \
                Placement *_p = placement_choose(candidates, G_N_ELEMENTS(candidates), request); \
                g_autofree char *_order = order(_p);                                             \
                placement_free(_p);                                                              \
                ASSERT_STREQ(_order, expected);                                                  \
        } while (0)

static const PlacementRank *rank_of(const Placement *p, const char *gpu)
{
        for (size_t i = 0; i < p->n; i++)
                if (strcmp(p->ranks[i].candidate->gpu, gpu) == 0)
                        return &p->ranks[i];

        FAIL("%s is not among the candidates", gpu);
}

#define ASSERT_REASON(p, gpu, reason) ASSERT_EQ(rank_of(p, gpu)->reason_id, reason)
/* Checks the id of the reason, and that its text contains the fact. */
#define ASSERT_REASON_NAMES(p, gpu, id, fact)                                   \
        do {                                                                    \
                ASSERT_REASON(p, gpu, id);                                      \
                ASSERT_CONTAINS(placement_reason_of(p, rank_of(p, gpu)), fact); \
        } while (0)

/* Checks that the explanation has "GPU NAME: REASON" for the first `n` ranks that offer the type, in order,
 * and for no other GPU. Returns the rest of the explanation. */
static const char *assert_explained(const char *why, const Placement *p, size_t n)
{
        const char *rest = why;
        size_t offering = 0;

        for (size_t i = 0; i < p->n; i++) {
                const PlacementRank *r = &p->ranks[i];
                g_autofree char *name = g_strdup_printf("GPU %s: ", r->candidate->gpu);
                g_autofree char *part = g_strconcat(name, placement_reason_of(p, r), NULL);
                const char *found = strstr(rest, part);

                if (!r->candidate->offers || offering++ >= n) {
                        ASSERT_NULL(strstr(why, name));
                        continue;
                }

                ASSERT_NOT_NULL(found);
                rest = found + strlen(part);
        }

        ASSERT_TRUE(offering >= n);

        return rest;
}

static void test_reasons_by_name(void)
{
        ASSERT_STREQ(placement_reason_to_string(PLACEMENT_REASON_NONE), "");
        ASSERT_STREQ(placement_reason_to_string(PLACEMENT_NO_ROOM), "no-room");
        ASSERT_NULL(placement_reason_to_string(_PLACEMENT_REASON_MAX));

        for (PlacementReason i = 1; i < _PLACEMENT_REASON_MAX; i++)
                for (PlacementReason k = 0; k < i; k++)
                        ASSERT_TRUE(strcmp(placement_reason_to_string(i), placement_reason_to_string(k)) != 0);
}

static void test_strategies_by_name(void)
{
        static const char *const breadth[] = { "breadth", "breadth-first", "breadth_first", "performance",
                                               "separated" };
        static const char *const depth[] = { "depth", "depth-first", "depth_first", "consolidation",
                                             "consolidated" };
        static const char *const neither[] = { "", "Breadth", "breadth ", "dept", "depths" };

        for (size_t i = 0; i < G_N_ELEMENTS(breadth); i++)
                ASSERT_EQ(placement_strategy_from_string(breadth[i]), PLACEMENT_BREADTH);
        for (size_t i = 0; i < G_N_ELEMENTS(depth); i++)
                ASSERT_EQ(placement_strategy_from_string(depth[i]), PLACEMENT_DEPTH);
        for (size_t i = 0; i < G_N_ELEMENTS(neither); i++)
                ASSERT_ERROR(placement_strategy_from_string(neither[i]), EINVAL);
        ASSERT_ERROR(placement_strategy_from_string(NULL), EINVAL);
        ASSERT_STREQ(placement_strategy_to_string(PLACEMENT_BREADTH), "breadth");
        ASSERT_STREQ(placement_strategy_to_string(PLACEMENT_DEPTH), "depth");
}

static void test_names(void)
{
        static const char *const sorted[] = { "0000:02:00.0", "0000:0a:00.0", "0000:1a:00.0",  "0000:1a:00.1",
                                              "0000:a0:00.0", "0001:00:02.0", "10000:00:02.0", "mdpy",
                                              "mdpy2",        "mdpy02",       "mdpy10",        "mtty" };

        for (size_t i = 0; i < G_N_ELEMENTS(sorted); i++)
                for (size_t k = 0; k < G_N_ELEMENTS(sorted); k++) {
                        int c = placement_compare_names(sorted[i], sorted[k]);

                        /* The order of mdpy2 and mdpy02 does not matter, but they must not compare as equal. */
                        if (strcmp(sorted[i], "mdpy02") == 0 && strcmp(sorted[k], "mdpy2") == 0)
                                ASSERT_TRUE(c != 0);
                        else if (strcmp(sorted[i], "mdpy2") == 0 && strcmp(sorted[k], "mdpy02") == 0)
                                ASSERT_TRUE(c != 0);
                        else
                                ASSERT_EQ((c > 0) - (c < 0), (i > k) - (i < k));
                }
}

static void test_room(void)
{
        static const PlacementCandidate candidates[] = {
                CANDIDATE("a", 9, REFUSED),
                CANDIDATE("b", 2, .promised = 2),
                CANDIDATE("c", 3, .promised = 1),
                CANDIDATE("d", 8, .spare = 3),
                CANDIDATE("e", 1, .promised = UINT32_MAX, .spare = UINT32_MAX),
                CANDIDATE("f", 0, .why_full = "all has the size 4096 MB"),
        };
        _cleanup_placement_ Placement *p = placement_choose(candidates, G_N_ELEMENTS(candidates), REQUEST());
        g_autofree char *why = NULL;

        ASSERT_ORDER(candidates, REQUEST(), "d c | b e f a");
        ASSERT_ORDER(candidates, REQUEST_N(5, ), "d | c b e f a");
        ASSERT_ORDER(candidates, REQUEST_N(6, ), "| d c b e f a");
        ASSERT_ORDER(candidates, REQUEST_N(UINT32_MAX, ), "| d c b e f a");
        ASSERT_EQ(p->ranks[0].room, 5);
        ASSERT_EQ(p->ranks[0].index, 3);
        ASSERT_NULL(placement_reason_of(p, &p->ranks[0]));
        ASSERT_REASON(p, "d", PLACEMENT_REASON_NONE);
        ASSERT_REASON(p, "a", PLACEMENT_NOT_READY);
        ASSERT_STREQ(placement_reason_of(p, rank_of(p, "a")), candidates[0].refusal);
        ASSERT_REASON(p, "b", PLACEMENT_NO_ROOM);
        ASSERT_REASON_NAMES(p, "f", PLACEMENT_NO_ROOM, candidates[5].why_full);

        p = placement_free(p);
        p = placement_choose(candidates, G_N_ELEMENTS(candidates), REQUEST_N(6, ));
        ASSERT_NULL(p->chosen);
        ASSERT_REASON_NAMES(p, "d", PLACEMENT_NO_ROOM, "spare=");
        ASSERT_EQ(rank_of(p, "d")->room, 5);
        why = placement_explain(p);
        ASSERT_STREQ(assert_explained(why, p, 6), "");

        p = placement_free(p);
        p = placement_choose(NULL, 0, REQUEST());
        ASSERT_NULL(p->chosen);
        ASSERT_NULL(placement_find_hope(p));
}

static void test_strategies(void)
{
        static const PlacementCandidate candidates[] = {
                CANDIDATE("empty", 4, ),
                CANDIDATE("begun", 3, .instances = 1),
                CANDIDATE("large", 7, .instances = 1),
                CANDIDATE("full", 0, .instances = 4),
                CANDIDATE("nearly", 1, .instances = 3),
                CANDIDATE("mixed", 3, .instances = 5),
        };

        ASSERT_ORDER(candidates, REQUEST(.strategy = PLACEMENT_BREADTH),
                     "large empty begun mixed nearly | full");
        ASSERT_ORDER(candidates, REQUEST(.strategy = PLACEMENT_DEPTH), "nearly mixed begun large empty | full");
        ASSERT_ORDER(candidates, REQUEST_N(4, .strategy = PLACEMENT_DEPTH),
                     "large empty | full nearly mixed begun");
}

/* Three GPUs take one size each, and the second has a 4Q. The strategy depth adds a 4Q to the second GPU, so
 * that an 8Q still finds an empty GPU. */
static void test_one_size(void)
{
        PlacementCandidate gpus[] = { CANDIDATE("a", 4, ), CANDIDATE("b", 3, .instances = 1),
                                      CANDIDATE("c", 4, ) };

        ASSERT_ORDER(gpus, REQUEST(.strategy = PLACEMENT_DEPTH), "b a c");
        ASSERT_ORDER(gpus, REQUEST(.strategy = PLACEMENT_BREADTH), "a c b");
        /* a queued job creates another type on GPU a, so GPU a comes last */
        gpus[0].crowded = true;
        gpus[0].instances = 1;
        ASSERT_ORDER(gpus, REQUEST(.strategy = PLACEMENT_DEPTH), "b c a");
        ASSERT_ORDER(gpus, REQUEST(.strategy = PLACEMENT_BREADTH), "c b a");
}

static void test_node(void)
{
        static const PlacementCandidate candidates[] = {
                PLACED("a", 9, 0, NOWHERE, ),
                PLACED("b", 2, 1, NOWHERE, ),
                CANDIDATE("c", 3, ),
                PLACED("d", 1, 1, NOWHERE, ),
        };
        _cleanup_placement_ Placement *p = placement_choose(candidates, 4, NODE_REQUEST(1, -1, .count = 1));

        ASSERT_ORDER(candidates, NODE_REQUEST(1, -1, .count = 1), "b d | a c");
        ASSERT_ORDER(candidates, NODE_REQUEST(-1, 1, .count = 1), "b d a c");
        ASSERT_ORDER(candidates, NODE_REQUEST(-1, 1, .count = 3), "a c | b d");
        ASSERT_ORDER(candidates, NODE_REQUEST(2, -1, .count = 1), "| a b c d");
        ASSERT_REASON(p, "a", PLACEMENT_OTHER_NODE);
        ASSERT_REASON(p, "c", PLACEMENT_OTHER_NODE);
}

#define ROOT_A "devices/pci0000:00/0000:00:01.0/"
#define ROOT_B "devices/pci0000:40/0000:40:01.0/"

static void test_distance(void)
{
        ASSERT_EQ(placement_distance(ROOT_A "0000:01:00.0", ROOT_A "0000:01:00.0"), 0);
        ASSERT_EQ(placement_distance(ROOT_A "0000:01:00.0", ROOT_A "0000:01:00.1"), 2);
        ASSERT_EQ(placement_distance(ROOT_A "0000:01:00.0", "devices/pci0000:00/0000:00:02.0"), 3);
        ASSERT_EQ(placement_distance(ROOT_A "0000:01:00.0/0000:02:00.0", ROOT_A "0000:01:00.0"), 1);
        ASSERT_EQ(placement_distance(ROOT_A "0000:01:00.0", ROOT_B "0000:41:00.0"), PLACEMENT_FAR);
        /* a name that begins like another */
        ASSERT_EQ(placement_distance("devices/pci0000:0", "devices/pci0000:00"), PLACEMENT_FAR);
        ASSERT_EQ(placement_distance("devices/pci0000:00/0000:00:02.0", "devices/pci0000:00/0000:00:02.01"), 2);
        ASSERT_EQ(placement_distance("devices/virtual/mdpy/mdpy", "devices/virtual/mtty/mtty"), PLACEMENT_FAR);
        ASSERT_EQ(placement_distance("devices/virtual/mdpy/mdpy", "devices/virtual/mdpy/mdpy"), 0);
        ASSERT_EQ(placement_distance("", ""), 0);
        ASSERT_EQ(placement_distance("", "devices/pci0000:00"), PLACEMENT_FAR);
}

static void test_near(void)
{
        static const PlacementCandidate candidates[] = {
                PLACED("a", 9, 0, "devices/pci0000:80/0000:80:01.0", ),
                PLACED("b", 1, 1, ROOT_B "0000:41:00.0/0000:42:00.0", ),
                PLACED("c", 2, 1, ROOT_B "0000:41:00.0/0000:43:00.0/0000:44:00.0", ),
                PLACED("d", 1, 1, "devices/pci0000:c0/0000:c0:01.0/0000:c1:00.0", ),
        };
        static const char near[] = ROOT_B "0000:41:00.0/0000:43:00.0/0000:45:00.0";
        _cleanup_placement_ Placement *p = placement_choose(candidates, 4, NEAR(near, 1));

        ASSERT_ORDER(candidates, REQUEST(), "a c b d");
        ASSERT_ORDER(candidates, NEAR(near, 1), "c b d a");
        /* b and c share a bridge with the path, so they come first whatever its node is */
        ASSERT_ORDER(candidates, NEAR(near, 0), "c b a d");
        ASSERT_ORDER(candidates, NEAR(near, -1), "c b a d");
        ASSERT_EQ(p->ranks[0].distance, 2);
        ASSERT_EQ(p->ranks[1].distance, 3);
        ASSERT_EQ(p->ranks[2].distance, PLACEMENT_SAME_NODE);
        ASSERT_EQ(p->ranks[3].distance, PLACEMENT_FAR);
        /* no GPU is below the host bridge of the path: the node decides */
        ASSERT_ORDER(candidates, NEAR("devices/pci0000:e0/0000:e0:01.0", 1), "c b d a");
        /* the path is far from all GPUs, so it does not matter */
        ASSERT_ORDER(candidates, NEAR("devices/pci0000:e0/0000:e0:01.0", 7), "a c b d");
        ASSERT_ORDER(candidates, NEAR("devices/pci0000:e0/0000:e0:01.0", -1), "a c b d");
}

static void test_types(void)
{
        const char *const *names = LIST("nvidia-746", "NVIDIA A2-4Q", "A2-4Q");
        const PlacementCandidate candidates[] = {
                CANDIDATE("a", 1, .type_names = names),
                CANDIDATE("b", 1, .type_names = names, .forbid = LIST("A2-8Q", "*-4Q")),
                CANDIDATE("c", 1, .type_names = names, .allow = LIST("A2-8Q", "A2-16Q")),
                CANDIDATE("d", 1, .type_names = names, .allow = LIST("A2-8Q", "A2-?Q")),
                CANDIDATE("e", 1, .type_names = names, .allow = LIST("*"), .forbid = LIST("nvidia-746")),
                CANDIDATE("f", 1, .type_names = names, .forbid = LIST("nvidia-74", "a2_4q")),
                CANDIDATE("g", 1, .type_names = names, .forbid = LIST("GRID_A2-4Q")),
        };
        _cleanup_placement_ Placement *p = placement_choose(candidates, 7, REQUEST());

        ASSERT_ORDER(candidates, REQUEST(), "a d f | b c e g");
        ASSERT_REASON_NAMES(p, "b", PLACEMENT_TYPE_FORBIDDEN, "forbid=*-4Q");
        ASSERT_REASON_NAMES(p, "c", PLACEMENT_TYPE_NOT_ALLOWED, "allow=A2-8Q, A2-16Q");
        ASSERT_REASON_NAMES(p, "e", PLACEMENT_TYPE_FORBIDDEN, "forbid=nvidia-746");
}

static void test_patterns(void)
{
        static const struct {
                const char *pattern, *name;
                bool matches;
        } cases[] = {
                { "A2-4Q", "A2-4Q", true },
                { "A2-4Q", "A2-4QX", false },
                { "A2-4QX", "A2-4Q", false },
                { "a2-4q", "A2-4Q", true },
                { "*", "A2-4Q", true },
                { "*", "", true },
                { "**", "x", true },
                { "", "x", false },
                { "?", "", false },
                { "*Q", "A2-4Q", true },
                { "*Q", "A2-4QB", false },
                { "*4*", "A2-4Q", true },
                { "*-*-*", "A2-4Q", false },
                { "A*-*Q", "A2-4Q", true },
                { "*ab", "aab", true },
                { "a*ab*b", "aabb", true },
                { "a*ab*b", "abab", false },
                { "A2-?Q", "A2-4Q", true },
                { "A2-?Q", "A2-16Q", false },
                { "A2-??Q", "A2-16Q", true },
                { "?x", "\u00e4x", true },
                { "??x", "\u00e4x", false },
                { "?", "\xc3", true }, /* invalid UTF-8: must not read beyond the end */
                { "[A-Z]*", "A2", false },
                { "*-4q", "A2-4Q", true },
                { "nvidia_A2-4Q", "A2-4Q", true },
                { "nvidia_*", "A2-4Q", false },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                const char *const *names = LIST("nvidia-746", cases[i].name), *const *patterns = LIST(
                                                                                              cases[i].pattern);
                PlacementCandidate c = { .gpu = "x", .type_names = names + 1, .forbid = patterns };
                g_autofree char *reason = NULL;
                PlacementReason id = placement_check_type(&c, &reason);

                ASSERT_EQ(reason != NULL, id == PLACEMENT_TYPE_FORBIDDEN);
                if ((reason != NULL) != cases[i].matches)
                        FAIL("\"%s\" and \"%s\"", cases[i].pattern, cases[i].name);
        }
}

static void test_pools(void)
{
        const PlacementCandidate candidates[] = {
                CANDIDATE("a", 1, ),
                CANDIDATE("b", 1, .pools = LIST("ai")),
                CANDIDATE("c", 1, .pools = LIST("ai", "desk")),
                CANDIDATE("d", 1, .pools = LIST("desk", "default")),
        };
        _cleanup_placement_ Placement *p = placement_choose(candidates, 4, REQUEST(.pool = "ai"));

        ASSERT_ORDER(candidates, REQUEST(), "a d | b c");
        ASSERT_ORDER(candidates, REQUEST(.pool = "default"), "a d | b c");
        ASSERT_ORDER(candidates, REQUEST(.pool = "ai"), "b c | a d");
        ASSERT_ORDER(candidates, REQUEST(.pool = "desk"), "c d | a b");
        ASSERT_ORDER(candidates, REQUEST(.pool = "nobody"), "| a b c d");
        ASSERT_REASON_NAMES(p, "a", PLACEMENT_OTHER_POOL, "\"ai\"");
        ASSERT_REASON_NAMES(p, "d", PLACEMENT_OTHER_POOL, "desk, default");
}

static void test_priority(void)
{
        static const PlacementCandidate candidates[] = {
                CANDIDATE("a", 9, .priority = -1),
                PLACED("b", 1, 1, NOWHERE, ),
                CANDIDATE("c", 3, .priority = INT32_MAX),
                CANDIDATE("d", 9, .priority = INT32_MIN),
        };

        ASSERT_ORDER(candidates, REQUEST(), "c b a d");
        ASSERT_ORDER(candidates, NODE_REQUEST(-1, 1, .count = 1), "b c a d");
        ASSERT_ORDER(candidates, REQUEST_N(5, ), "a d | c b");
}

/* placement_find_hope(): the GPU without room on which a request is tried all the same. */
static void test_hope(void)
{
        PlacementCandidate gpus[] = { CANDIDATE("a", 0, ), CANDIDATE("b", 0, ), CANDIDATE("c", 9, REFUSED) };
        Placement *p = placement_choose(gpus, 3, REQUEST());

        ASSERT_NULL(p->chosen);
        ASSERT_NULL(placement_find_hope(p)); /* neither of two full GPUs */
        placement_free(p);

        gpus[1].unsettled = true;
        p = placement_choose(gpus, 3, REQUEST());
        ASSERT_NULL(p->chosen);
        ASSERT_STREQ(placement_find_hope(p)->candidate->gpu, "b");
        ASSERT_FALSE(placement_would_wait(p, &p->ranks[0])); /* a scan is in progress, not a job */
        placement_free(p);

        gpus[1].job_ahead = true;
        p = placement_choose(gpus, 3, REQUEST());
        ASSERT_TRUE(placement_would_wait(p, &p->ranks[0]));
        ASSERT_FALSE(placement_would_wait(p, &p->ranks[1]));
        placement_free(p);

        gpus[1].spare = 1;
        p = placement_choose(gpus, 3, REQUEST());
        ASSERT_NULL(placement_find_hope(p));
        placement_free(p);

        gpus[1].refusal = "no";
        gpus[1].refusal_id = PLACEMENT_NOT_READY;
        p = placement_choose(gpus, 3, REQUEST());
        ASSERT_STREQ(placement_find_hope(p)->candidate->gpu, "a"); /* its driver may explain the lack of room */
        ASSERT_FALSE(placement_would_wait(p, &p->ranks[0]));
        placement_free(p);

        gpus[0].refusal = "no";
        gpus[0].refusal_id = PLACEMENT_NOT_READY;
        p = placement_choose(gpus, 3, REQUEST());
        ASSERT_NULL(placement_find_hope(p));
        placement_free(p);
}

static void test_long_explanation(void)
{
        PlacementCandidate gpus[40];
        char names[40][8];
        g_autofree char *why = NULL;

        for (size_t i = 0; i < 40; i++) {
                (void)g_snprintf(names[i], sizeof names[i], "g%zu", i);
                gpus[i] = (PlacementCandidate)CANDIDATE(names[i], 0, );
                gpus[i].offers = i % 2 == 0;
        }

        _cleanup_placement_ Placement *p = placement_choose(gpus, 40, REQUEST());
        why = placement_explain(p);
        /* the first eight of the 20 that offer the type, and the number of the others */
        ASSERT_CONTAINS(assert_explained(why, p, 8), "12");
}

/* ---- properties ---- */

#define SEED   20261121
#define ROUNDS 2000
#define N_MAX  24

typedef struct World {
        PlacementCandidate candidates[N_MAX];
        char names[N_MAX][32], paths[N_MAX][96];
        size_t n;
        PlacementRequest request;
} World;

static const char *const pool_a[] = { "a", NULL }, *const pool_default[] = { "b", "default", NULL };
static const char *const names_q[] = { "nvidia-1", "X-1Q", NULL }, *const only_q[] = { "*Q", NULL },
                         *const only_c[] = { "*C", NULL };

static uint32_t roll(GRand *r, uint32_t n)
{
        return (uint32_t)g_rand_int_range(r, 0, (gint32)n);
}

static bool one_in(GRand *r, uint32_t n)
{
        return roll(r, n) == 0;
}

/* Draws each value from a small set, so that ties occur, and now and then an extreme number. */
static void make_world(World *w, GRand *r)
{
        w->n = roll(r, N_MAX + 1);
        w->request = (PlacementRequest){
                .count = one_in(r, 20) ? UINT32_MAX : 1 + roll(r, 4),
                .strategy = (PlacementStrategy)roll(r, _PLACEMENT_STRATEGY_MAX),
                .numa_node = one_in(r, 4) ? (int)roll(r, 3) : -1,
                .preferred_numa_node = one_in(r, 4) ? (int)roll(r, 3) : -1,
                .near_path = one_in(r, 3) ? "devices/pci0000:00/0000:00:01.0/0000:01:00.0" : NULL,
                .near_numa_node = (int)roll(r, 4) - 1,
                .pool = one_in(r, 4)   ? "a"
                        : one_in(r, 4) ? "default"
                                       : NULL,
        };

        for (size_t i = 0; i < w->n; i++) {
                PlacementCandidate *c = &w->candidates[i];
                bool refused = one_in(r, 8);

                (void)g_snprintf(w->names[i], sizeof w->names[i], "0000:%02x:00.0", (unsigned)i * 7);
                (void)g_snprintf(w->paths[i], sizeof w->paths[i], "devices/pci0000:%02x/0000:%02x:%02x.0/%s",
                                 roll(r, 3), roll(r, 2), roll(r, 3), w->names[i]);
                *c = (PlacementCandidate){
                        .gpu = w->names[i],
                        .path = w->paths[i],
                        .refusal = refused ? "no" : NULL,
                        .refusal_id = refused ? PLACEMENT_NOT_READY : PLACEMENT_REASON_NONE,
                        .offers = !one_in(r, 8),
                        .available = one_in(r, 30) ? UINT32_MAX : roll(r, 6),
                        .promised = one_in(r, 30)  ? UINT32_MAX
                                    : one_in(r, 2) ? roll(r, 3)
                                                   : 0,
                        .spare = one_in(r, 30)  ? UINT32_MAX
                                 : one_in(r, 3) ? roll(r, 3)
                                                : 0,
                        .instances = roll(r, 4),
                        .crowded = one_in(r, 4),
                        .unsettled = one_in(r, 4),
                        .numa_node = (int)roll(r, 4) - 1,
                        .priority = one_in(r, 4) ? (int32_t)roll(r, 3) - 1 : 0,
                        .pools = one_in(r, 4)   ? pool_a
                                 : one_in(r, 4) ? pool_default
                                                : NULL,
                        .type_names = names_q,
                        .allow = one_in(r, 8)   ? only_c
                                 : one_in(r, 8) ? only_q
                                                : NULL,
                        .forbid = one_in(r, 8)   ? only_q
                                  : one_in(r, 8) ? only_c
                                                 : NULL,
                };
        }
}

/* True if x is better than y, where both fit. Repeats the order that placement.h describes. */
static bool is_better(const PlacementRequest *q, const PlacementRank *x, const PlacementRank *y)
{
        const PlacementCandidate *a = x->candidate, *b = y->candidate;
        int64_t keys[][2] = {
                { q->preferred_numa_node >= 0 && a->numa_node != q->preferred_numa_node,
                  q->preferred_numa_node >= 0 && b->numa_node != q->preferred_numa_node },
                { x->distance, y->distance },
                { -(int64_t)a->priority, -(int64_t)b->priority },
                { a->crowded, b->crowded },
                { q->strategy == PLACEMENT_DEPTH ? a->instances == 0 : 0,
                  q->strategy == PLACEMENT_DEPTH ? b->instances == 0 : 0 },
                { q->strategy == PLACEMENT_DEPTH ? (int64_t)x->room : -(int64_t)x->room,
                  q->strategy == PLACEMENT_DEPTH ? (int64_t)y->room : -(int64_t)y->room },
                { q->strategy == PLACEMENT_DEPTH ? -(int64_t)a->instances : a->instances,
                  q->strategy == PLACEMENT_DEPTH ? -(int64_t)b->instances : b->instances },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
                if (keys[i][0] != keys[i][1])
                        return keys[i][0] < keys[i][1];

        return strcmp(a->gpu, b->gpu) < 0; /* all names have the same length here */
}

static bool is_admitted(const PlacementRequest *q, const PlacementCandidate *c)
{
        bool in_a = c->pools == pool_a, in_default = c->pools != pool_a;

        return !c->refusal && c->allow != only_c && c->forbid != only_q &&
               (q->numa_node < 0 || q->numa_node == c->numa_node) &&
               (g_strcmp0(q->pool, "a") == 0 ? in_a : in_default);
}

static void check_world(const World *w, const Placement *p)
{
        const PlacementRank *best = NULL;

        ASSERT_EQ(p->n, w->n);

        for (size_t i = 0; i < p->n; i++) {
                const PlacementRank *r = &p->ranks[i];
                const PlacementCandidate *c = r->candidate;
                bool admitted = is_admitted(&w->request, c);
                int64_t room = (int64_t)c->available - c->promised - c->spare;

                ASSERT_TRUE(c == &w->candidates[r->index]);

                for (size_t k = 0; k < i; k++)
                        ASSERT_TRUE(p->ranks[k].index != r->index);
                /* a GPU fits only if it has room for all instances */
                ASSERT_EQ(r->verdict == PLACEMENT_FITS, admitted && room >= (int64_t)w->request.count);
                ASSERT_EQ(r->room, admitted ? MAX(room, 0) : 0);
                /* each GPU that does not fit has a reason, and no other GPU has one */
                const char *reason = placement_reason_of(p, r);

                ASSERT_EQ(r->verdict != PLACEMENT_FITS, reason && reason[0]);
                ASSERT_EQ(r->verdict == PLACEMENT_FITS, r->reason_id == PLACEMENT_REASON_NONE);
                ASSERT_EQ(r->verdict == PLACEMENT_FULL, r->reason_id == PLACEMENT_NO_ROOM);
                ASSERT_EQ(r->verdict == PLACEMENT_REFUSED, c->refusal != NULL);
                ASSERT_EQ(r->verdict <= PLACEMENT_FULL, admitted);

                if (i > 0)
                        ASSERT_TRUE(p->ranks[i - 1].verdict <= r->verdict);
                if (r->verdict == PLACEMENT_FITS && (!best || is_better(&w->request, r, best)))
                        best = r;
                if (i > 0 && r->verdict == PLACEMENT_FITS)
                        ASSERT_TRUE(is_better(&w->request, &p->ranks[i - 1], r));
        }

        ASSERT_TRUE(p->chosen == best);
}

static void test_properties(void)
{
        GRand *r = g_rand_new_with_seed(SEED);
        unsigned n_chosen = 0;

        for (unsigned round = 0; round < ROUNDS; round++) {
                World w;

                make_world(&w, r);
                _cleanup_placement_ Placement *p = placement_choose(w.candidates, w.n, &w.request);
                check_world(&w, p);
                n_chosen += p->chosen != NULL;

                const PlacementRank *hope = placement_find_hope(p);
                if (hope)
                        ASSERT_TRUE(!p->chosen && hope->verdict == PLACEMENT_FULL &&
                                    hope->candidate->spare == 0);
        }

        g_rand_free(r);
        /* a fair share of the worlds has a GPU that fits */
        ASSERT_TRUE(n_chosen > ROUNDS / 4 && n_chosen < ROUNDS * 9 / 10);
}

/* The result does not depend on the order of the candidates, nor on earlier calls. */
static void test_permutations(void)
{
        GRand *r = g_rand_new_with_seed(SEED + 1);

        for (unsigned round = 0; round < ROUNDS; round++) {
                PlacementCandidate mixed[N_MAX];
                World w;

                make_world(&w, r);
                memcpy(mixed, w.candidates, sizeof mixed);

                for (size_t i = w.n; i > 1; i--) {
                        size_t k = roll(r, (uint32_t)i);
                        PlacementCandidate c = mixed[i - 1];

                        mixed[i - 1] = mixed[k];
                        mixed[k] = c;
                }

                _cleanup_placement_ Placement *p = placement_choose(w.candidates, w.n, &w.request);
                _cleanup_placement_ Placement *again = placement_choose(mixed, w.n, &w.request);

                ASSERT_STREQ(chosen(again), chosen(p));

                for (size_t i = 0; i < w.n; i++) {
                        ASSERT_STREQ(again->ranks[i].candidate->gpu, p->ranks[i].candidate->gpu);
                        ASSERT_STREQ(placement_reason_of(again, &again->ranks[i]),
                                     placement_reason_of(p, &p->ranks[i]));
                        ASSERT_EQ(again->ranks[i].reason_id, p->ranks[i].reason_id);
                        ASSERT_EQ(again->ranks[i].distance, p->ranks[i].distance);
                }
        }

        g_rand_free(r);
}

/* GPUs that share rules and names get the same verdict as each would get alone. */
static void test_shared_rules(void)
{
        static const char *const patterns[] = { "*-4Q", "*-8Q", "*-1B", "nvidia-*" };
        static const char *const names[][3] = { { "nvidia-1", "A-4Q", NULL },
                                                { "nvidia-2", "A-8Q", NULL },
                                                { "nvidia-1", "A-4Q", NULL },
                                                { "i915-1", NULL } };
        const char *lists[12][2] = { { NULL } };
        PlacementCandidate candidates[400];
        GRand *r = g_rand_new_with_seed(SEED + 2);
        unsigned seen = 0;

        for (size_t i = 0; i < G_N_ELEMENTS(lists); i++)
                lists[i][0] = patterns[i % G_N_ELEMENTS(patterns)];

        for (size_t i = 0; i < G_N_ELEMENTS(candidates); i++)
                candidates[i] = (PlacementCandidate){
                        .gpu = "0000:01:00.0",
                        .path = "devices/pci0000:00/0000:01:00.0",
                        .offers = true,
                        .available = 1,
                        .numa_node = -1,
                        .type_names = names[roll(r, G_N_ELEMENTS(names))],
                        .allow = one_in(r, 2) ? lists[roll(r, G_N_ELEMENTS(lists))] : NULL,
                        .forbid = one_in(r, 3) ? lists[roll(r, G_N_ELEMENTS(lists))] : NULL,
                };

        _cleanup_placement_ Placement *p = placement_choose(candidates, G_N_ELEMENTS(candidates), REQUEST());

        for (size_t i = 0; i < p->n; i++) {
                g_autofree char *reason = NULL;
                PlacementReason id = placement_check_type(p->ranks[i].candidate, &reason);

                ASSERT_EQ(p->ranks[i].reason_id, id);
                ASSERT_EQ(g_strcmp0(placement_reason_of(p, &p->ranks[i]), reason), 0);
                seen |= 1U << id;
        }

        ASSERT_EQ(seen, 1U << PLACEMENT_REASON_NONE | 1U << PLACEMENT_TYPE_FORBIDDEN |
                                        1U << PLACEMENT_TYPE_NOT_ALLOWED);
        g_rand_free(r);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_strategies_by_name);
        TEST(test_reasons_by_name);
        TEST(test_names);
        TEST(test_room);
        TEST(test_strategies);
        TEST(test_one_size);
        TEST(test_node);
        TEST(test_distance);
        TEST(test_near);
        TEST(test_types);
        TEST(test_patterns);
        TEST(test_pools);
        TEST(test_priority);
        TEST(test_hope);
        TEST(test_long_explanation);
        TEST(test_properties);
        TEST(test_permutations);
        TEST(test_shared_rules);

        return tests_end();
}
