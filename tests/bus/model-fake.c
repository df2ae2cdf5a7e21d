/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "model-fake.h"

#include <string.h>

#include "drivers-glue/type-find.h"

DEFINE_DESTROY_NOTIFY(type_destroy, vgpu_type_free)
DEFINE_DESTROY_NOTIFY(parent_destroy, mdev_parent_free)
DEFINE_DESTROY_NOTIFY(option_destroy, vgpu_type_option_free)

#define FAKE_KEY "-/-/-/3/Virtual XGA"

struct Definitions {
        GHashTable *table; /* owned: UUID -> Definition, owned */
        GPtrArray *errors; /* owned: char *, owned */
};

struct Settings {
        GPtrArray *errors; /* owned: char *, owned */
};

static Handover *fake_handover(const InstanceDesc *desc)
{
        Handover *h = g_new0(Handover, 1);

        h->sysfs_path = g_strdup_printf("/sys/bus/mdev/devices/%s", desc->uuid);

        h->iommu_group = desc->iommu_group;
        if (desc->iommu_group >= 0)
                h->group_node = g_strdup_printf("/dev/vfio/%d", desc->iommu_group);
        if (desc->cdev)
                h->cdev_node = g_strdup_printf("/dev/vfio/devices/%s", desc->cdev);
        h->libvirt_xml = g_strdup("<hostdev/>");
        h->qemu_args = g_strsplit("-device vfio-pci", " ", -1);

        return h;
}

const VgpuDriver fake_driver = { .name = "fake", .handover = fake_handover };

/* ---- for tests ---- */

static void gpu_destroy(gpointer p)
{
        Gpu *gpu = p;

        gpu_facts_unref(gpu->facts);
        gpu_snapshot_unref(gpu->snapshot);
        vgpud_error_done(&gpu->kept.waiting);
        g_hash_table_unref(gpu->instances);
        g_queue_clear(&gpu->waiting);
        g_free(gpu->reason);
        vgpud_hint_done(&gpu->hint);
        g_free(gpu);
}

static void instance_destroy(gpointer p)
{
        Instance *instance = p;

        instance_desc_free(instance->desc);
        g_free(instance->name);
        g_free(instance);
}

static void job_destroy(gpointer p)
{
        Job *job = p;

        if (job->gpu) {
                g_queue_remove(&job->gpu->waiting, job);
                if (job->gpu->current == job)
                        job->gpu->current = NULL;
        }

        g_free(job->gpu_name);
        g_free(((FakeJob *)job)->type_id);
        g_free(((FakeJob *)job)->mode);
        g_free(((FakeJob *)job)->value);
        g_ptr_array_unref(job->uuids);
        g_clear_pointer(&job->failures, g_ptr_array_unref);
        vgpud_error_done(&job->error);
        g_free(job);
}

Model *fake_model_new(void)
{
        Model *m = (Model *)g_new0(FakeModel, 1);

        m->gpus = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, gpu_destroy);
        m->instances = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, instance_destroy);
        m->jobs = g_hash_table_new_full(NULL, NULL, NULL, job_destroy);
        m->finished = finished_new();
        m->definitions = g_new(Definitions, 1);
        m->definitions->table = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, definition_free);
        m->definitions->errors = g_ptr_array_new_with_free_func(g_free);
        fake_model(m)->missing = g_ptr_array_new_with_free_func(g_free);

        m->settings = g_new(Settings, 1);
        m->settings->errors = g_ptr_array_new_with_free_func(g_free);

        return m;
}

Model *fake_model_free(Model *m)
{
        g_hash_table_unref(m->jobs);
        finished_free(m->finished);
        g_hash_table_unref(m->instances);
        g_hash_table_unref(m->gpus);
        g_hash_table_unref(m->definitions->table);
        g_ptr_array_unref(m->definitions->errors);
        g_free(m->definitions);
        g_ptr_array_unref(fake_model(m)->missing);
        vgpud_error_done(&fake_model(m)->want.waiting);
        g_ptr_array_unref(m->settings->errors);
        g_free(m->settings);
        gpu_settings_free(fake_model(m)->settings);
        g_free(fake_model(m)->kept_pool);
        g_free(fake_model(m)->gpu);
        g_free(fake_model(m)->type);
        g_free(fake_model(m)->uuid);
        g_free(fake_model(m)->name);
        g_free(fake_model(m)->parent);
        g_free(fake_model(m)->attributes);
        g_free(fake_model(m)->hints);
        g_free(fake_model(m)->mode);
        g_free(fake_model(m)->value);
        g_free(m);

        return NULL;
}

Gpu *fake_model_add_gpu(Model *m, const char *name)
{
        Gpu *gpu = g_new0(Gpu, 1);
        g_autofree char *path = g_strdup_printf("devices/virtual/%s", name);
        VgpuType *full = vgpu_type_new("mdpy-xga"), *bare = vgpu_type_new("bare");

        gpu->model = m;
        gpu->facts = gpu_facts_new(name, path);
        gpu->driver = &fake_driver;
        gpu->state = GPU_READY;
        gpu->instances = g_hash_table_new(g_str_hash, g_str_equal);

        g_queue_init(&gpu->waiting);
        if (!gpu->facts->mdev_parents)
                gpu->facts->mdev_parents = g_ptr_array_new_with_free_func(parent_destroy);
        g_ptr_array_add(gpu->facts->mdev_parents, mdev_parent_new(name, path, NULL));

        g_free(full->name);
        full->name = g_strdup("Virtual XGA");
        g_free(full->description);
        full->description = g_strdup("resolution: 1024x768\nand more");
        g_free(full->device_api);
        full->device_api = g_strdup("vfio-pci");
        full->framebuffer_bytes = 3145728;
        full->low_gm_bytes = 64;
        full->high_gm_bytes = 384;
        full->fences = 4;
        full->weight = 2;
        full->heads = 1;
        full->frame_rate_limit = 60;
        full->max_x = 1024;
        full->max_y = 768;
        full->max_instances = 8;
        full->available = 3;
        full->why_not = g_strdup("no memory is left");
        full->key = g_strdup(FAKE_KEY);
        full->product = g_strdup("A2");
        full->class = g_strdup("Q");
        full->earlier_name = g_strdup("Virtual VGA");
        full->mig = true;
        full->options = g_ptr_array_new_with_free_func(option_destroy);
        g_ptr_array_add(full->options, vgpu_type_option_new("quota", "bytes"));
        gpu->snapshot = gpu_snapshot_new();
        gpu->snapshot->taken_usec = 1700000000000000;

        if (!gpu->snapshot->types)
                gpu->snapshot->types = g_ptr_array_new_with_free_func(type_destroy);
        g_ptr_array_add(gpu->snapshot->types, full);
        g_ptr_array_add(gpu->snapshot->types, bare);
        gpu_snapshot_seal(gpu->snapshot);

        g_hash_table_insert(m->gpus, gpu->facts->name, gpu);

        return gpu;
}

Instance *fake_model_add_instance(Gpu *gpu, const char *uuid, InstanceOrigin origin, uid_t owner,
                                  const char *name)
{
        Instance *instance = g_new0(Instance, 1);

        instance->gpu = gpu;
        instance->desc = instance_desc_new(uuid);
        instance->desc->type_id = g_strdup("mdpy-xga");
        instance->desc->parent = g_strdup(gpu_name(gpu));
        instance->desc->path = g_strdup_printf("%s/%s", gpu->facts->path, uuid);
        instance->desc->device_api = g_strdup("vfio-pci");
        instance->desc->driver = g_strdup("vfio_mdev");
        instance->desc->iommu_group = 12;
        instance->desc->cdev = g_strdup("vfio3");
        instance->origin = origin;
        instance->owner = owner;
        instance->name = g_strdup(name);
        instance->created_usec = origin == INSTANCE_ORIGIN_VGPUD ? 1700000001000000 : 0;
        g_hash_table_insert(gpu->instances, instance->desc->uuid, instance);
        g_hash_table_insert(gpu->model->instances, instance->desc->uuid, instance);

        return instance;
}

Job *fake_model_add_job(Gpu *gpu, const JobKindInfo *kind, uid_t requester)
{
        Job *job = (Job *)g_new0(FakeJob, 1);

        job->model = gpu->model;
        job->id = ++gpu->model->last_job_id;
        job->kind = kind;
        job->gpu = gpu;
        job->gpu_name = g_strdup(gpu_name(gpu));
        job->requester = requester;
        job->created_usec = 1700000002000000;
        job->uuids = g_ptr_array_new_with_free_func(g_free);
        g_hash_table_insert(gpu->model->jobs, GUINT_TO_POINTER(job->id), job);
        g_queue_push_tail(&gpu->waiting, job);

        return job;
}

static Job *queue_job(Gpu *gpu, const JobKindInfo *kind, uid_t requester)
{
        Model *m = gpu->model;
        Job *job = fake_model_add_job(gpu, kind, requester);

        if (m->events)
                m->events->job_added(job, m->events_userdata);

        return job;
}

void fake_model_remove_instance(Instance *instance)
{
        Model *m = instance->gpu->model;

        m->events->instance_removed(instance, m->events_userdata);
        g_hash_table_remove(instance->gpu->instances, instance->desc->uuid);
        g_hash_table_remove(m->instances, instance->desc->uuid);
}

void fake_model_remove_gpu(Gpu *gpu)
{
        Model *m = gpu->model;

        m->events->gpu_removed(gpu, m->events_userdata);
        g_hash_table_remove(m->gpus, gpu_name(gpu));
}

void fake_model_start_job(Job *job)
{
        job->state = JOB_RUNNING;
        job->started_usec = 1700000003000000;
        g_queue_remove(&job->gpu->waiting, job);
        job->gpu->current = job;
        job->model->events->job_changed(job, job->model->events_userdata);
}

static void failure_destroy(gpointer p)
{
        JobFailure *failure = p;

        vgpud_error_done(&failure->error);
        g_free(failure);
}

void fake_model_add_failure(Job *job, const char *uuid, VgpudErrorCode code, const char *message)
{
        JobFailure *failure = g_new0(JobFailure, 1);

        if (!job->failures)
                job->failures = g_ptr_array_new_with_free_func(failure_destroy);
        (void)g_strlcpy(failure->uuid, uuid, sizeof failure->uuid);
        vgpud_error_setf(&failure->error, code, "%s", message);
        g_ptr_array_add(job->failures, failure);
}

void fake_model_end_job(Job *job, JobState state, VgpudErrorCode code, const char *message)
{
        Model *m = job->model;
        JobFinished finished = job->finished;

        job->state = state;
        if (job->started_usec == 0 && state != JOB_CANCELED)
                job->started_usec = 1700000003000000;

        if (code != VGPUD_ERROR_NONE)
                vgpud_error_setf(&job->error, code, "%s", message);
        finished_add(m->finished, job);
        job->finished = NULL;
        if (finished)
                finished(job, &job->error, job->finished_userdata);
        if (m->events)
                m->events->job_removed(job, m->events_userdata);
        g_hash_table_remove(m->jobs, GUINT_TO_POINTER(job->id));
}

/* ---- readiness ---- */

static const char *const readiness_table[_READINESS_MAX] = {
        [READINESS_CONVERGING] = "converging",
        [READINESS_DEGRADED] = "degraded",
        [READINESS_READY] = "ready",
};
DEFINE_STRING_TABLE_TO_STRING(readiness, Readiness)

void fake_model_set_readiness(Model *m, Readiness readiness)
{
        m->readiness = readiness;
        if (m->events)
                m->events->readiness_changed(m, m->events_userdata);
}

GPtrArray *missing_list(Model *m, size_t max)
{
        const GPtrArray *all = fake_model(m)->missing;
        GPtrArray *texts = g_ptr_array_new_with_free_func(g_free);

        for (guint i = 0; i < all->len && i < max; i++)
                g_ptr_array_add(texts, g_strdup(all->pdata[i]));

        return texts;
}

size_t missing_count(Model *m)
{
        return fake_model(m)->missing->len;
}

/* ---- daemon/model/model.h, daemon/model/rules.h, daemon/requests/ ---- */

void model_set_events(Model *m, const ModelEvents *events, void *userdata)
{
        m->events = events;
        m->events_userdata = userdata;
}

const Config *model_config(Model *m)
{
        static char error[] = "vgpud.conf:1: \"x\" is not \"KEY=VALUE\", ignoring it";
        static gpointer errors[] = { error };
        static GPtrArray array = { .pdata = errors, .len = 1 };
        static const Config config = { .errors = &array, .job_timeout_usec = 120 * USEC_PER_SEC };

        return &config;
}

GPtrArray *rules_find_unmatched(Model *m)
{
        GPtrArray *texts = g_ptr_array_new_with_free_func(g_free);

        g_ptr_array_add(texts, g_strdup("vgpud.conf:2: [gpu y] matches no GPU"));

        return texts;
}

GHashTable *model_gpus(Model *m)
{
        return m->gpus;
}

GHashTable *model_jobs(Model *m)
{
        return m->jobs;
}

GHashTable *model_instances(Model *m)
{
        return m->instances;
}

Gpu *model_get_gpu(Model *m, const char *name)
{
        return g_hash_table_lookup(m->gpus, name);
}

Instance *model_get_instance(Model *m, const char *uuid)
{
        return g_hash_table_lookup(m->instances, uuid);
}

Job *model_get_job(Model *m, uint32_t id)
{
        return g_hash_table_lookup(m->jobs, GUINT_TO_POINTER(id));
}

char *request_read_address(const char *word)
{
        return g_strdup(word);
}

int request_get_gpu(Model *m, const char *what, Gpu **ret, VgpudError *reterr)
{
        *ret = model_get_gpu(m, what);
        return *ret ? 0 : vgpud_error_setf(reterr, VGPUD_ERROR_NO_SUCH_GPU, "there is no GPU '%s'", what);
}

int request_get_kept_gpu(Model *m, const char *what, char **ret, VgpudError *reterr)
{
        const GpuSettings *settings = fake_model(m)->settings;
        bool is_kept = settings && strcmp(settings->gpu, what) == 0;
        Gpu *gpu;
        int r = is_kept ? 0 : request_get_gpu(m, what, &gpu, reterr);

        if (r >= 0)
                *ret = g_strdup(what);

        return r;
}

int request_get_instance(Model *m, const char *what, Instance **ret, VgpudError *reterr)
{
        *ret = model_get_instance(m, what);
        return *ret ? 0
                    : vgpud_error_setf(reterr, VGPUD_ERROR_NO_SUCH_INSTANCE, "there is no instance '%s'", what);
}

static int fail(Model *m, VgpudError *reterr)
{
        VgpudErrorCode code = fake_model(m)->fail_next;

        fake_model(m)->fail_next = VGPUD_ERROR_NONE;

        return code == VGPUD_ERROR_NONE ? 0 : vgpud_error_setf(reterr, code, "%s", fake_model(m)->fail_message);
}

static void keep_hints(Model *m, const PlaceHints *hints)
{
        if (!hints)
                return;

        g_free(fake_model(m)->hints);
        fake_model(m)->hints =
                        g_strdup_printf("%s %d %d %s %s", hints->strategy ? hints->strategy : "-",
                                        hints->numa_node, hints->preferred_numa_node,
                                        hints->near ? hints->near : "-", hints->pool ? hints->pool : "-");
}

/* Rank two GPUs: "mdpy", which fits, and "mtty", which does not fit. The model may have no GPU "mtty". */
int place_new(Model *m, const char *type, uint32_t count, const PlaceHints *hints, uid_t requester, Place **ret,
              VgpudError *reterr)
{
        PlacementRequest request = { .count = count, .numa_node = -1, .preferred_numa_node = -1 };
        Gpu *gpu = model_get_gpu(m, "mdpy");
        const VgpuType *t = gpu_snapshot_find_type(gpu->snapshot, type, reterr);
        Place *place;

        fake_model(m)->places++;
        keep_hints(m, hints);

        if (!t)
                return -vgpud_error_code_to_errno(VGPUD_ERROR_NO_SUCH_TYPE);

        if (hints->near) {
                request.near_path = gpu->facts->path;
                request.near_numa_node = gpu->facts->numa_node;
        }

        place = g_new(Place, 1);
        *place = (Place){
                .strategy = PLACEMENT_DEPTH,
                .candidates = g_new0(PlacementCandidate, 2),
                .types = g_new0(const VgpuType *, 2),
        };
        place->types[0] = t;
        place->candidates[0] = (PlacementCandidate){
                .gpu = "mdpy",
                .offers = true,
                .available = 5,
                .promised = 2,
                .spare = 1,
                .instances = 7,
                .numa_node = 3,
                .path = gpu->facts->path,
        };
        place->candidates[1] = (PlacementCandidate){
                .gpu = "mtty",
                .refusal = "it is not there",
                .refusal_id = PLACEMENT_NOT_READY,
                .numa_node = -1,
                .path = "",
        };
        place->placement = placement_choose(place->candidates, 2, &request);
        *ret = place;

        return 0;
}

VgpudErrorCode place_error_code(const Place *place, const PlacementRank *rank)
{
        return rank->verdict == PLACEMENT_FITS      ? VGPUD_ERROR_NONE
               : rank->verdict == PLACEMENT_REFUSED ? VGPUD_ERROR_GPU_GONE
                                                    : VGPUD_ERROR_NO_CAPACITY;
}

const VgpudHint *place_hint(const Place *place, const PlacementRank *rank)
{
        static const VgpudHint hint = { VGPUD_HINT_TRY_AGAIN, (char *)"look again" };

        return rank->verdict == PLACEMENT_REFUSED ? &hint : NULL;
}

Place *place_free(Place *place)
{
        if (!place)
                return NULL;

        placement_free(place->placement);
        g_free(place->candidates);
        g_free(place->types);
        g_free(place);

        return NULL;
}

int request_resolve_create(Model *m, const CreateRequest *request, Gpu **ret_gpu, const VgpuType **ret_type,
                           VgpudError *reterr)
{
        Gpu *gpu;
        int r;

        keep_hints(m, request->hints);
        const char *any = request->chosen && !fake_model(m)->chosen_is_full ? request->chosen
                                                                            : fake_model(m)->any_gpu;

        r = request_get_gpu(m, request->gpu && request->gpu[0] ? request->gpu : any, &gpu, reterr);
        if (r < 0)
                return r;

        *ret_type = gpu_snapshot_find_type(gpu->snapshot, request->type, reterr);
        if (!*ret_type)
                return -vgpud_error_code_to_errno(VGPUD_ERROR_NO_SUCH_TYPE);

        *ret_gpu = gpu;

        return 0;
}

static void keep(char **where, const char *what)
{
        g_free(*where);
        *where = g_strdup(what);
}

int request_create(Model *m, const CreateRequest *request, Job **ret, VgpudError *reterr)
{
        g_autoptr(GString) attributes = g_string_new(NULL);
        const VgpuType *type;
        Gpu *gpu;
        int r;

        fake_model(m)->creates++;
        g_assert(!request->hints); /* the handler has chosen a GPU */
        keep(&fake_model(m)->gpu, request->gpu);
        keep(&fake_model(m)->type, request->type);
        keep(&fake_model(m)->uuid, request->uuid);
        keep(&fake_model(m)->name, request->name);
        keep(&fake_model(m)->parent, request->parent);

        for (guint i = 0; request->attributes && i < request->attributes->len; i++) {
                const VgpuAttribute *a = request->attributes->pdata[i];

                g_string_append_printf(attributes, "%s=%s;", a->name, a->value);
        }

        keep(&fake_model(m)->attributes, attributes->str);
        fake_model(m)->count = request->count;
        fake_model(m)->requester = request->requester;
        fake_model(m)->kept = request->keep;
        fake_model(m)->kept_gpu = request->keep && request->keep->gpu;
        fake_model(m)->kept_autostart = request->keep && request->keep->autostart;
        keep(&fake_model(m)->kept_pool, request->keep ? request->keep->pool : NULL);

        r = fail(m, reterr);
        if (r >= 0)
                r = request_resolve_create(m, request, &gpu, &type, reterr);
        if (r < 0)
                return r;

        *ret = queue_job(gpu, &fake_kind_create, request->requester);
        ((FakeJob *)*ret)->type_id = g_strdup(type->id);

        if (request->definition)
                g_ptr_array_add((*ret)->uuids, g_strdup(request->uuid));
        for (uint32_t i = 0; !request->definition && i < request->count; i++)
                g_ptr_array_add((*ret)->uuids, g_strdup_printf("00000000-0000-4000-8000-%012x", i + 1));

        return 0;
}

int request_destroy_check_flags(const Instance *instance, unsigned flags, VgpudError *reterr)
{
        const bool is_defined = instance_get_definition(instance) != INSTANCE_DEFINITION_NONE;

        if (instance->origin == INSTANCE_ORIGIN_FOREIGN && !(flags & DESTROY_FOREIGN)) {
                int r = vgpud_error_setf(reterr, VGPUD_ERROR_FOREIGN, "another program made it");

                vgpud_error_hintf(reterr, VGPUD_HINT_USE_FOREIGN, "say foreign");
                return r;
        }

        if (is_defined && !(flags & DESTROY_DEFINED)) {
                int r = vgpud_error_setf(reterr, VGPUD_ERROR_DEFINED, "it is defined");

                vgpud_error_hintf(reterr, VGPUD_HINT_USE_STOP, "stop it");
                return r;
        }

        if (!is_defined && (flags & DESTROY_DEFINED))
                return vgpud_error_setf(reterr, VGPUD_ERROR_NO_SUCH_DEFINITION, "it is not defined");

        return 0;
}

/* Queue one job for each GPU. The jobs have the order in which their GPUs first occur among the instances. */
int request_destroy_many(Model *m, const GPtrArray *instances, unsigned flags, uid_t requester,
                         GPtrArray **ret_jobs, VgpudError *reterr)
{
        g_autoptr(GPtrArray) jobs = g_ptr_array_new();
        int r;

        fake_model(m)->destroys++;
        fake_model(m)->foreign = flags & DESTROY_FOREIGN;
        fake_model(m)->defined = flags & DESTROY_DEFINED;
        fake_model(m)->requester = requester;
        keep(&fake_model(m)->uuid, ((const Instance *)instances->pdata[0])->desc->uuid);

        r = fail(m, reterr);
        if (r < 0)
                return r;

        for (guint i = 0; i < instances->len; i++) {
                const Instance *instance = instances->pdata[i];
                Job *job = NULL;

                for (guint k = 0; k < jobs->len && !job; k++)
                        if (((Job *)jobs->pdata[k])->gpu == instance->gpu)
                                job = jobs->pdata[k];

                if (!job) {
                        job = queue_job(instance->gpu, &fake_kind_destroy, requester);
                        ((FakeJob *)job)->type_id = g_strdup(instance->desc->type_id);
                        ((FakeJob *)job)->foreign = flags & DESTROY_FOREIGN;
                        g_ptr_array_add(jobs, job);
                }

                g_ptr_array_add(job->uuids, g_strdup(instance->desc->uuid));
        }

        *ret_jobs = g_steal_pointer(&jobs);

        return 0;
}

int request_check_set_vfs(const Gpu *gpu, uint32_t count, VgpudError *reterr)
{
        return fake_model(gpu->model)->wrong ? vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "%s",
                                                                fake_model(gpu->model)->wrong)
                                             : 0;
}

int request_check_configure(const Gpu *gpu, const char *mode, const char *value, VgpudError *reterr)
{
        return request_check_set_vfs(gpu, 0, reterr);
}

int request_set_vfs(Gpu *gpu, uint32_t count, bool kept, uid_t requester, Job **ret, VgpudError *reterr)
{
        Model *m = gpu->model;
        int r;

        fake_model(m)->vf_changes++;
        fake_model(m)->count = count;
        fake_model(m)->kept_setting = kept;
        fake_model(m)->requester = requester;
        keep(&fake_model(m)->gpu, gpu_name(gpu));

        r = fail(m, reterr);
        if (r < 0)
                return r;

        *ret = queue_job(gpu, &fake_kind_set_vfs, requester);
        ((FakeJob *)*ret)->vfs = count;

        return 0;
}

int request_configure(Gpu *gpu, const char *mode, const char *value, bool kept, uid_t requester, Job **ret,
                      VgpudError *reterr)
{
        Model *m = gpu->model;
        int r;

        fake_model(m)->configures++;
        fake_model(m)->kept_setting = kept;
        fake_model(m)->requester = requester;
        keep(&fake_model(m)->gpu, gpu_name(gpu));
        keep(&fake_model(m)->mode, mode);
        keep(&fake_model(m)->value, value);

        r = fail(m, reterr);
        if (r < 0)
                return r;

        *ret = queue_job(gpu, &fake_kind_configure, requester);
        ((FakeJob *)*ret)->mode = g_strdup(mode);
        ((FakeJob *)*ret)->value = g_strdup(value);

        return 0;
}

int request_rescan(Gpu *gpu, uid_t requester, Job **ret, VgpudError *reterr)
{
        Model *m = gpu->model;
        int r;

        fake_model(m)->rescans++;
        fake_model(m)->requester = requester;
        keep(&fake_model(m)->gpu, gpu_name(gpu));

        r = fail(m, reterr);
        if (r < 0)
                return r;

        *ret = queue_job(gpu, &fake_kind_rescan, requester);

        return 0;
}

/* ---- kept settings ---- */

const GpuSettings *keep_get(const Gpu *gpu)
{
        return fake_model(gpu->model)->settings;
}

int keep_check_forget(Model *m, const char *gpu, bool vfs, const char *mode, VgpudError *reterr)
{
        return fake_model(m)->settings ? 0 : vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "nothing is kept");
}

int keep_forget(Model *m, const char *gpu, bool vfs, const char *mode, uid_t requester, VgpudError *reterr)
{
        FakeModel *f = fake_model(m);
        Gpu *present = model_get_gpu(m, gpu);

        f->forgets++;
        f->requester = requester;
        if (vfs || !mode)
                f->settings->vfs = 0;
        if (mode)
                gpu_settings_set_mode(f->settings, mode, NULL);
        else if (!vfs)
                g_ptr_array_set_size(f->settings->modes, 0);
        if (present)
                m->events->gpu_changed(present, GPU_CHANGED_KEPT, m->events_userdata);

        return 0;
}

const GPtrArray *settings_errors(Settings *s)
{
        return s->errors;
}

/* ---- definitions ---- */

const Definition *fake_model_add_definition(Model *m, const char *uuid, uid_t owner, const char *name)
{
        Definition *d = definition_new(uuid);

        d->type = g_strdup(FAKE_KEY);
        d->gpu = g_strdup("mdpy");
        d->name = g_strdup(name);
        d->owner = owner;
        d->created_usec = 1700000004000000;
        assert_se(g_hash_table_insert(m->definitions->table, d->uuid, d));

        return d;
}

void fake_model_add_store_error(Model *m, const char *text)
{
        g_ptr_array_add(m->definitions->errors, g_strdup(text));
}

const Definition *definitions_get(Definitions *d, const char *uuid)
{
        return g_hash_table_lookup(d->table, uuid);
}

const GPtrArray *definitions_errors(Definitions *d)
{
        return d->errors;
}

static gint definition_compare(gconstpointer a, gconstpointer b)
{
        const Definition *x = *(Definition *const *)a, *y = *(Definition *const *)b;

        return strcmp(x->uuid, y->uuid);
}

GPtrArray *definitions_list(Definitions *d, const char *after)
{
        GPtrArray *list = g_ptr_array_new();
        GHashTableIter i;
        void *uuid, *definition;

        g_hash_table_iter_init(&i, d->table);

        while (g_hash_table_iter_next(&i, &uuid, &definition))
                if (!after || strcmp(uuid, after) > 0)
                        g_ptr_array_add(list, definition);
        g_ptr_array_sort(list, definition_compare);

        return list;
}

static const char *const definition_state_table[_DEFINITION_STATE_MAX] = {
        [DEFINITION_STOPPED] = "stopped", [DEFINITION_STARTING] = "starting", [DEFINITION_WAITING] = "waiting",
        [DEFINITION_ACTIVE] = "active",   [DEFINITION_FOREIGN] = "foreign",   [DEFINITION_UNKNOWN] = "unknown",
};
DEFINE_STRING_TABLE_TO_STRING(definition_state, DefinitionState)
DEFINE_STRING_TABLE_FROM_STRING(definition_state, DefinitionState)

DefinitionState define_get_state(Model *m, const Definition *definition)
{
        const Instance *instance = model_get_instance(m, definition->uuid);

        if (!instance)
                return fake_model(m)->starting;

        return instance->origin == INSTANCE_ORIGIN_FOREIGN ? DEFINITION_FOREIGN : DEFINITION_ACTIVE;
}

const VgpudError *define_get_waiting(Model *m, const Definition *definition)
{
        return define_get_state(m, definition) == DEFINITION_WAITING ? &fake_model(m)->want.waiting : NULL;
}

bool define_differs(Model *m, const Definition *definition)
{
        return define_get_state(m, definition) == DEFINITION_ACTIVE && fake_model(m)->differs;
}

InstanceDefinition instance_get_definition(const Instance *instance)
{
        Model *m = instance->gpu->model;

        if (!definitions_get(m->definitions, instance->desc->uuid))
                return INSTANCE_DEFINITION_NONE;

        return fake_model(m)->differs ? INSTANCE_DEFINITION_DIFFERS : INSTANCE_DEFINITION_CURRENT;
}

static const char *const instance_definition_table[_INSTANCE_DEFINITION_MAX] = {
        [INSTANCE_DEFINITION_NONE] = "",
        [INSTANCE_DEFINITION_CURRENT] = "current",
        [INSTANCE_DEFINITION_DIFFERS] = "differs",
};
DEFINE_STRING_TABLE_TO_STRING(instance_definition, InstanceDefinition)

int define_find(Model *m, const char *word, const Definition **ret, VgpudError *reterr)
{
        g_autoptr(GPtrArray) all = definitions_list(m->definitions, NULL);

        for (guint i = 0; i < all->len; i++) {
                const Definition *d = all->pdata[i];

                if (g_ascii_strcasecmp(d->uuid, word) == 0 || g_strcmp0(d->name, word) == 0) {
                        *ret = d;
                        return 0;
                }
        }

        return vgpud_error_setf(reterr, VGPUD_ERROR_NO_SUCH_DEFINITION, "there is no definition '%s'", word);
}

static void change(char **where, const char *text)
{
        if (text)
                keep(where, text[0] ? text : NULL);
}

static void define_change(Definition *d, const DefineRequest *request)
{
        change(&d->type, g_strcmp0(request->type, "mdpy-xga") == 0 ? FAKE_KEY : request->type);
        change(&d->gpu, request->gpu);
        change(&d->parent, request->parent);
        change(&d->pool, request->pool);
        change(&d->name, request->name);
        if (request->autostart || request->sets_autostart)
                d->autostart = request->autostart;

        if (request->attributes) {
                g_ptr_array_unref(d->attributes);
                d->attributes = vgpu_attributes_copy(request->attributes);
        }
}

int define_prepare(Model *m, const DefineRequest *request, Definition **ret, VgpudError *reterr)
{
        char uuid[UUID_STRLEN + 1];
        int r;

        fake_model(m)->requester = request->requester;

        r = fail(m, reterr);
        if (r < 0)
                return r;

        if (!request->uuid)
                uuid_generate(uuid);
        else if (uuid_normalize(request->uuid, uuid) < 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "that is no UUID");

        *ret = definition_new(uuid);
        (*ret)->owner = request->requester;
        define_change(*ret, request);

        return 0;
}

int define_prepare_from(Model *m, const Instance *instance, Definition **ret, VgpudError *reterr)
{
        if (instance->origin == INSTANCE_ORIGIN_FOREIGN)
                return vgpud_error_setf(reterr, VGPUD_ERROR_FOREIGN, "another program made it");

        *ret = definition_new(instance->desc->uuid);
        (*ret)->type = g_strdup(FAKE_KEY);
        (*ret)->gpu = g_strdup(gpu_name(instance->gpu));
        (*ret)->name = g_strdup(instance->name);
        (*ret)->owner = instance->owner;

        return 0;
}

int define_prepare_edit(Model *m, const Definition *definition, const DefineRequest *changes, Definition **ret,
                        VgpudError *reterr)
{
        int r;

        r = fail(m, reterr);
        if (r < 0)
                return r;

        *ret = definition_copy(definition);
        define_change(*ret, changes);

        return 0;
}

int define_commit(Model *m, const Definition *definition, uid_t requester, VgpudError *reterr)
{
        const bool is_new = !definitions_get(m->definitions, definition->uuid);
        Definition *copy = definition_copy(definition);

        fake_model(m)->defines++;
        g_hash_table_replace(m->definitions->table, copy->uuid, copy);
        if (is_new)
                m->events->definition_added(copy, m->events_userdata);
        else
                m->events->definition_changed(copy, m->events_userdata);

        return 0;
}

int defined_remove(Model *m, const Definition *definition, uid_t requester, VgpudError *reterr)
{
        _cleanup_definition_ Definition *copy = definition_copy(definition);

        fake_model(m)->undefines++;
        g_hash_table_remove(m->definitions->table, copy->uuid);
        m->events->definition_removed(copy, m->events_userdata);

        return 0;
}

Want *want_get(Model *m, const char *uuid)
{
        return &fake_model(m)->want;
}

void want_remove(Model *m, const char *uuid)
{
        fake_model(m)->wants_removed++;
        fake_model(m)->starting = DEFINITION_STOPPED;
        m->events->definition_changed(definitions_get(m->definitions, uuid), m->events_userdata);
}

/* ---- daemon/work/job.h, daemon/work/queue.h, daemon/model/gpu.h, daemon/model/instance.h ---- */

static size_t fake_describe(const Job *job, JobDetail ret[static JOB_DETAILS_MAX])
{
        const FakeJob *fake = (const FakeJob *)job;
        size_t n = 0;

        if (fake->type_id)
                ret[n++] = (JobDetail){ .name = "type", .text = fake->type_id };
        if (job->uuids->len > 0)
                ret[n++] = (JobDetail){ .name = "count", .kind = JOB_DETAIL_NUMBER, .number = job->uuids->len };
        if (fake->foreign)
                ret[n++] = (JobDetail){ .name = "foreign", .kind = JOB_DETAIL_FLAG };
        if (fake->vfs > 0)
                ret[n++] = (JobDetail){ .name = "count", .kind = JOB_DETAIL_NUMBER, .number = fake->vfs };
        if (fake->mode)
                ret[n++] = (JobDetail){ .name = "mode", .text = fake->mode };
        if (fake->value)
                ret[n++] = (JobDetail){ .name = "value", .text = fake->value };

        return n;
}

const JobKindInfo fake_kind_create = { .name = "create", .makes_instances = true, .describe = fake_describe };
const JobKindInfo fake_kind_destroy = { .name = "destroy", .takes_instances = true, .describe = fake_describe };
const JobKindInfo fake_kind_set_vfs = { .name = "set-vfs", .describe = fake_describe };
const JobKindInfo fake_kind_configure = { .name = "configure", .describe = fake_describe };
const JobKindInfo fake_kind_rescan = { .name = "rescan", .describe = fake_describe };

size_t job_describe(const Job *job, JobDetail ret[static JOB_DETAILS_MAX])
{
        return job->kind->describe(job, ret);
}

bool job_get_detail(const Job *job, const char *name, JobDetail *ret)
{
        JobDetail details[JOB_DETAILS_MAX];
        size_t n = job_describe(job, details);

        for (size_t i = 0; i < n; i++)
                if (strcmp(details[i].name, name) == 0) {
                        *ret = details[i];
                        return true;
                }

        return false;
}

static const char *const job_state_table[_JOB_STATE_MAX] = {
        [JOB_WAITING] = "waiting", [JOB_RUNNING] = "running", [JOB_STUCK] = "stuck",
        [JOB_DONE] = "done",       [JOB_FAILED] = "failed",   [JOB_CANCELED] = "canceled",
};
DEFINE_STRING_TABLE_TO_STRING(job_state, JobState)

static const char *const gpu_state_table[_GPU_STATE_MAX] = {
        [GPU_NEW] = "new",
        [GPU_READY] = "ready",
        [GPU_UNPREPARED] = "unprepared",
        [GPU_UNSUPPORTED] = "unsupported",
        [GPU_FAILED] = "failed",
        [GPU_STUCK] = "stuck",
};
DEFINE_STRING_TABLE_TO_STRING(gpu_state, GpuState)

static const char *const instance_origin_table[_INSTANCE_ORIGIN_MAX] = {
        [INSTANCE_ORIGIN_VGPUD] = "vgpud",
        [INSTANCE_ORIGIN_FOREIGN] = "foreign",
};
DEFINE_STRING_TABLE_TO_STRING(instance_origin, InstanceOrigin)

static const char *const instance_state_table[_INSTANCE_STATE_MAX] = {
        [INSTANCE_ACTIVE] = "active",
        [INSTANCE_STUCK] = "stuck",
};
DEFINE_STRING_TABLE_TO_STRING(instance_state, InstanceState)

bool gpu_is_stale(const Gpu *gpu)
{
        return gpu->state == GPU_STUCK || gpu->state == GPU_FAILED;
}

void job_on_finished(Job *job, JobFinished finished, void *userdata)
{
        job->finished = finished;
        job->finished_userdata = userdata;
}

int queue_cancel(Job *job, VgpudError *reterr)
{
        Model *m = job->model;
        int r;

        fake_model(m)->cancels++;

        r = fail(m, reterr);
        if (r < 0)
                return r;

        fake_model_end_job(job, JOB_CANCELED, VGPUD_ERROR_CANCELED, "it was cancelled");

        return 0;
}
