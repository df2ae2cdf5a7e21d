/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/requests/place.h"

#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "base/thread.h"
#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/discovery/inventory.h"
#include "daemon/model/model.h"
#include "daemon/model/rules.h"
#include "daemon/requests/find.h"
#include "daemon/work/job-create.h"
#include "daemon/work/queue.h"
#include "drivers-glue/type-find.h"

DEFINE_DESTROY_NOTIFY(place_destroy_strings, g_strfreev)

static gint place_compare_gpus(gconstpointer a, gconstpointer b)
{
        return placement_compare_names(gpu_name(a), gpu_name(b));
}

/* ---- candidates ---- */

/* Add a running or queued job to the counts of the candidate: the snapshot does not show its result yet. */
static void place_count_job(const Job *job, const Gpu *gpu, const VgpuType *type, PlacementCandidate *c)
{
        uint64_t n = job->uuids->len, promised = c->promised;
        const char *type_id = job_created_type(job);
        const VgpuType *other;

        if (!type_id) {
                c->unsettled = true;
                c->job_ahead |= job->kind->changes_capacity;
                return;
        }

        c->instances += (uint32_t)n;
        if (strcmp(type_id, type->id) == 0)
                promised += n;
        else {
                c->crowded = true;
                /* If M instances of the other type are available, N of them use N/M of the room for this type.
                 */
                other = gpu_snapshot_look_up_type(gpu->snapshot, type_id, NULL);
                if (other && other->available > 0)
                        promised += (n * type->available + other->available - 1) / other->available;
        }

        c->promised = (uint32_t)MIN(promised, UINT32_MAX);
}

static void place_fill_capacity(const Gpu *gpu, const VgpuType *type, PlacementCandidate *c)
{
        c->available = type->available;
        c->why_full = type->why_not;
        c->instances = g_hash_table_size(gpu->instances);
        c->unsettled = gpu->scan != NULL;

        if (gpu->current)
                place_count_job(gpu->current, gpu, type, c);
        for (const GList *l = gpu->waiting.head; l; l = l->next)
                if (l->data != gpu->current)
                        place_count_job(l->data, gpu, type, c);
}

/* Replace "GPU NAME" at the beginning of the message by "it", because clients print the name of the candidate
 * before its refusal. The result belongs to `place`. */
static const char *place_make_refusal(Place *place, const Gpu *gpu, const char *message)
{
        g_autofree char *subject = g_strdup_printf("GPU %s ", gpu_name(gpu));
        char **list = g_new0(char *, 2);

        list[0] = g_str_has_prefix(message, subject) ? g_strconcat("it ", message + strlen(subject), NULL)
                                                     : g_strdup(message);
        g_ptr_array_add(place->texts, list);

        return list[0];
}

static void place_refuse_candidate(Place *place, size_t i, const char *refusal, PlacementReason id,
                                   VgpudErrorCode code)
{
        place->candidates[i].refusal = refusal;
        place->candidates[i].refusal_id = id;
        place->refusals[i] = code;
}

static int place_check_queue(const Gpu *gpu, uid_t requester, VgpudError *reterr)
{
        if (!queue_is_full(gpu, requester))
                return 0;

        return vgpud_error_setf(reterr, VGPUD_ERROR_TOO_MANY_JOBS,
                                "GPU %s has no place in its queue for user %u", gpu_name(gpu),
                                (unsigned)requester);
}

/* Fill candidate `i`. place->types[i] is NULL if the GPU does not offer the type or has not been scanned.
 * AMBIGUOUS is the only error. */
static int place_fill_candidate(Model *m, const Gpu *gpu, const char *name, Place *place, size_t i,
                                VgpudError *reterr)
{
        PlacementCandidate *c = &place->candidates[i];
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        const VgpuType *type = NULL;

        *c = (PlacementCandidate){
                .gpu = gpu_name(gpu),
                .numa_node = gpu->facts->numa_node,
                .path = gpu->facts->path,
        };
        rules_fill(m->config, c);

        if (gpu->driver && gpu->snapshot) {
                type = gpu_snapshot_look_up_type(gpu->snapshot, name, &error);
                if (error.code == VGPUD_ERROR_AMBIGUOUS) {
                        vgpud_error_move(reterr, &error);
                        return -vgpud_error_code_to_errno(VGPUD_ERROR_AMBIGUOUS);
                }
        }

        place->types[i] = type;
        /* A GPU that has not been scanned, or whose files could not be read, may offer the type. */
        c->offers = type || ((gpu->driver || gpu->facts->unread) && !gpu->snapshot);

        if (type) {
                place_fill_capacity(gpu, type, c);
                if (rules_need_type_names(c)) {
                        char **names = rules_type_names(type);

                        g_ptr_array_add(place->texts, names);
                        c->type_names = (const char *const *)names;
                }
        }

        vgpud_error_done(&error);
        /* The GPU offers other types only: report the missing type, whatever the state of the GPU. */
        if (!type && gpu->driver && gpu->snapshot && gpu->snapshot->types->len > 0) {
                place_refuse_candidate(place, i, "it does not offer that type", PLACEMENT_NO_SUCH_TYPE,
                                       VGPUD_ERROR_NO_SUCH_TYPE);
        } else if (gpu_check_ready(gpu, &error) < 0 || place_check_queue(gpu, place->requester, &error) < 0) {
                place_refuse_candidate(place, i, place_make_refusal(place, gpu, error.message),
                                       error.code == VGPUD_ERROR_TOO_MANY_JOBS ? PLACEMENT_QUEUE_FULL
                                                                               : PLACEMENT_NOT_READY,
                                       error.code);
                vgpud_hint_copy(&place->hints[i], &error.hint);

                if (c->offers && place->error.code == VGPUD_ERROR_NONE)
                        vgpud_error_move(&place->error, &error);
                else if (c->offers)
                        place->more_errors = true;
        } else if (!type) {
                place_refuse_candidate(place, i, "it does not offer that type", PLACEMENT_NO_SUCH_TYPE,
                                       VGPUD_ERROR_NO_SUCH_TYPE);
        }

        return 0;
}

static int place_refuse_type(Model *m, const char *name, VgpudError *reterr)
{
        g_autoptr(GList) gpus = g_list_sort(g_hash_table_get_values(m->gpus), place_compare_gpus);
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
        g_autoptr(GPtrArray) offered = g_ptr_array_new();
        const Gpu *unprepared = NULL;
        int r;

        for (const GList *l = gpus; l; l = l->next) {
                const Gpu *gpu = l->data;

                /* The message names one unprepared GPU as an example. */
                if (gpu->state == GPU_UNPREPARED && gpu->snapshot && gpu->snapshot->types->len == 0 &&
                    !unprepared)
                        unprepared = gpu;
                for (guint i = 0; gpu->snapshot && i < gpu->snapshot->types->len; i++) {
                        VgpuType *t = gpu->snapshot->types->pdata[i];

                        if (g_hash_table_add(seen, t->id))
                                g_ptr_array_add(offered, t);
                }
        }

        if (unprepared)
                r = vgpud_error_setf(reterr, VGPUD_ERROR_NO_SUCH_TYPE,
                                     "no GPU offers type \"%s\", and GPU %s offers no types yet: %s",
                                     TEXT_QUOTE(name), gpu_name(unprepared), unprepared->reason);
        else
                r = vgpud_error_setf(reterr, VGPUD_ERROR_NO_SUCH_TYPE, "no GPU offers type \"%s\"",
                                     TEXT_QUOTE(name));

        if (offered->len > 0)
                vgpu_types_suggest(offered, name, reterr);
        else if (unprepared && unprepared->hint.text)
                vgpud_error_hintf(reterr, unprepared->hint.id, "%s", unprepared->hint.text);

        return r;
}

/* ---- requests ---- */

/* Find a PCI device, or a GPU on another bus ("mdpy"). Returns its path below /sys and sets its NUMA node;
 * NULL: no such device. */
static const char *place_find_device(Model *m, const char *what, int *ret_node)
{
        g_autofree char *name = request_read_address(what);
        const Gpu *gpu = model_get_gpu(m, name);

        if (!gpu)
                return inventory_find_pci(m->inventory, name, ret_node);

        *ret_node = gpu->facts->numa_node;

        return gpu->facts->path;
}

static bool place_pool_is_known(const Config *config, const char *pool)
{
        if (strcmp(pool, PLACEMENT_DEFAULT_POOL) == 0)
                return true;

        for (guint i = 0; i < config->gpus->len; i++) {
                const ConfigGpu *g = config->gpus->pdata[i];

                if (g->pools && g_strv_contains((const char *const *)g->pools, pool))
                        return true;
        }

        return false;
}

static int place_read_hints(Model *m, const PlaceHints *hints, PlacementRequest *request, VgpudError *reterr)
{
        int r;

        if (!hints)
                return 0;

        if (hints->strategy) {
                request->strategy = placement_strategy_from_string(hints->strategy);
                if ((int)request->strategy < 0) {
                        r = vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "there is no strategy \"%s\"",
                                             TEXT_QUOTE(hints->strategy));
                        vgpud_error_hintf(
                                        reterr, VGPUD_HINT_CHOOSE_OTHER,
                                        "use breadth (also called performance or separated) or depth (also called consolidation or consolidated)");
                        return r;
                }
        }

        if (hints->numa_node < -1 || hints->preferred_numa_node < -1)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "%d is not a NUMA node",
                                        MIN(hints->numa_node, hints->preferred_numa_node));

        request->numa_node = hints->numa_node;
        request->preferred_numa_node = hints->preferred_numa_node;

        if (hints->pool && !place_pool_is_known(m->config, hints->pool)) {
                r = vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "there is no pool \"%s\"",
                                     TEXT_QUOTE(hints->pool));
                vgpud_error_hintf(reterr, VGPUD_HINT_CHANGE_CONFIG,
                                  "name a pool that vgpud.conf defines, or define the pool there");
                return r;
        }

        request->pool = hints->pool;
        if (hints->near) {
                request->near_path = place_find_device(m, hints->near, &request->near_numa_node);
                if (!request->near_path)
                        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                                "\"%s\" is neither a PCI device nor a GPU",
                                                TEXT_QUOTE(hints->near));
        }

        return 0;
}

/* Give a hint to each GPU that would have room without spare=. */
static void place_hint_spare(Place *place, uint32_t count)
{
        for (size_t i = 0; i < place->placement->n; i++) {
                const PlacementRank *rank = &place->placement->ranks[i];
                const PlacementCandidate *c = rank->candidate;

                if (rank->verdict == PLACEMENT_FULL && c->spare > 0 &&
                    (uint64_t)c->promised + count <= c->available)
                        vgpud_hint_setf(&place->hints[rank->index], VGPUD_HINT_CHANGE_CONFIG,
                                        "lower spare= for GPU %s in vgpud.conf, or request this GPU by name, for which spare= does not count",
                                        c->gpu);
        }
}

int place_new(Model *m, const char *type, uint32_t count, const PlaceHints *hints, uid_t requester, Place **ret,
              VgpudError *reterr)
{
        PlacementRequest request = {
                .count = count,
                .strategy = m->config->strategy,
                .numa_node = -1,
                .preferred_numa_node = -1,
        };
        g_autoptr(GList) gpus = NULL;
        bool offered = false;
        Place *place;
        size_t n = 0;
        int r;

        assert_main_thread();

        r = place_read_hints(m, hints, &request, reterr);
        if (r < 0)
                return r;

        place = g_new(Place, 1);
        *place = (Place){
                .strategy = request.strategy,
                .requester = requester,
                .candidates = g_new0(PlacementCandidate, g_hash_table_size(m->gpus) + 1),
                .types = g_new0(const VgpuType *, g_hash_table_size(m->gpus) + 1),
                .refusals = g_new0(VgpudErrorCode, g_hash_table_size(m->gpus) + 1),
                .hints = g_new0(VgpudHint, g_hash_table_size(m->gpus) + 1),
                .n_hints = g_hash_table_size(m->gpus),
                .texts = g_ptr_array_new_with_free_func(place_destroy_strings),
        };
        gpus = g_list_sort(g_hash_table_get_values(m->gpus), place_compare_gpus);

        for (const GList *l = gpus; l; l = l->next, n++) {
                r = place_fill_candidate(m, l->data, type, place, n, reterr);
                if (r < 0) {
                        place_free(place);
                        return r;
                }
                if (hints && hints->avoided &&
                    g_ptr_array_find_with_equal_func((GPtrArray *)hints->avoided, gpu_name(l->data),
                                                     g_str_equal, NULL))
                        place_refuse_candidate(place, n, "it has refused the instance", PLACEMENT_NOT_READY,
                                               VGPUD_ERROR_FAILED);

                offered = offered || place->candidates[n].offers;
        }

        if (!offered) {
                place_free(place);
                return place_refuse_type(m, type, reterr);
        }

        place->placement = placement_choose(place->candidates, n, &request);
        place_hint_spare(place, count);
        *ret = place;

        return 0;
}

VgpudErrorCode place_error_code(const Place *place, const PlacementRank *rank)
{
        switch (rank->verdict) {
        case PLACEMENT_FITS:
                return VGPUD_ERROR_NONE;
        case PLACEMENT_FULL:
                return VGPUD_ERROR_NO_CAPACITY;
        case PLACEMENT_EXCLUDED:
                return VGPUD_ERROR_UNSUPPORTED;
        case PLACEMENT_REFUSED:
        default:
                return place->refusals[rank->index];
        }
}

const VgpudHint *place_hint(const Place *place, const PlacementRank *rank)
{
        const VgpuType *type = place->types[rank->index];
        const VgpudHint *hint = NULL;

        switch (rank->verdict) {
        case PLACEMENT_REFUSED:
                hint = &place->hints[rank->index];
                break;
        case PLACEMENT_FULL:
                hint = &place->hints[rank->index];
                if (!hint->text)
                        hint = type ? &type->hint : NULL;
                break;
        case PLACEMENT_EXCLUDED:
                /* CHANGE_CONFIG may be about a rule of the type. Any other hint is about room, which is not the
                 * reason for the exclusion. */
                hint = type && type->hint.id == VGPUD_HINT_CHANGE_CONFIG ? &type->hint : NULL;
                break;
        case PLACEMENT_FITS:
        default:
                break;
        }

        return hint && hint->text ? hint : NULL;
}

Place *place_free(Place *place)
{
        assert_main_thread();

        if (!place)
                return NULL;

        placement_free(place->placement);
        g_ptr_array_unref(place->texts);
        vgpud_error_done(&place->error);
        g_free(place->candidates);
        g_free(place->types);
        g_free(place->refusals);
        for (size_t i = 0; i < place->n_hints; i++)
                vgpud_hint_done(&place->hints[i]);
        g_free(place->hints);
        g_free(place);

        return NULL;
}

/* Set the error of a request without a fitting GPU. */
static int place_refuse(const Place *place, const char *type, uint32_t count, VgpudError *reterr)
{
        g_autofree char *why = placement_explain(place->placement), *what = NULL;
        VgpudErrorCode code = place_error_code(place, &place->placement->ranks[0]);
        const VgpudHint *hint = place_hint(place, &place->placement->ranks[0]);
        int r;

        what = count > 1 ? g_strdup_printf("%" PRIu32 " of %s", count, TEXT_QUOTE(type))
                         : g_strdup(TEXT_QUOTE(type));

        switch (place->placement->ranks[0].verdict) {
        case PLACEMENT_FULL:
                r = vgpud_error_setf(reterr, code, "no GPU has room for %s: %s", what, why);
                break;
        case PLACEMENT_EXCLUDED:
                r = vgpud_error_setf(reterr, code,
                                     "the rules or the request exclude every GPU that offers %s: %s", what,
                                     why);
                break;
        case PLACEMENT_REFUSED:
                r = place->more_errors ? vgpud_error_setf(reterr, code,
                                                          "no GPU that offers %s can take a job now: %s", what,
                                                          why)
                                       : vgpud_error_setf(reterr, code, "%s", place->error.message);
                break;
        case PLACEMENT_FITS:
        default:
                g_assert_not_reached();
        }

        if (hint)
                vgpud_error_hintf(reterr, hint->id, "%s", hint->text);

        return r;
}

static const PlacementRank *place_find_fitting(const Placement *p, const char *gpu)
{
        for (size_t i = 0; gpu && i < p->n && p->ranks[i].verdict == PLACEMENT_FITS; i++)
                if (strcmp(p->ranks[i].candidate->gpu, gpu) == 0)
                        return &p->ranks[i];

        return NULL;
}

int place_resolve(Model *m, const char *type, uint32_t count, const PlaceHints *hints, uid_t requester,
                  const char *chosen, Gpu **ret_gpu, const VgpuType **ret_type, VgpudError *reterr)
{
        _cleanup_place_ Place *place = NULL;
        const PlacementRank *rank;
        int r;

        assert_main_thread();

        r = place_new(m, type, count, hints, requester, &place, reterr);
        if (r < 0)
                return r;

        rank = place_find_fitting(place->placement, chosen);
        if (!rank)
                rank = place->placement->chosen ? place->placement->chosen
                                                : placement_find_hope(place->placement);
        if (!rank)
                return place_refuse(place, type, count, reterr);

        *ret_gpu = model_get_gpu(m, rank->candidate->gpu);
        *ret_type = place->types[rank->index];

        return 0;
}
