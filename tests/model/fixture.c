/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fixture.h"

#include "daemon/store/definitions.h"

#include "base/fs-util.h"
#include "base/log.h"
#include "daemon/work/lane.h"
#include "drivers-glue/type-find.h"

static void on_gpu_added(Gpu *gpu, void *userdata)
{
        g_string_append_printf(userdata, "gpu+ %s\n", gpu_name(gpu));
}

static void on_gpu_changed(Gpu *gpu, unsigned changes, void *userdata)
{
        g_string_append_printf(userdata, "gpu~ %s%s%s%s%s\n", gpu_name(gpu),
                               changes & GPU_CHANGED_TYPES ? " types" : "",
                               changes & GPU_CHANGED_STATE ? " state=" : "",
                               changes & GPU_CHANGED_STATE ? gpu_state_to_string(gpu->state) : "",
                               changes & GPU_CHANGED_FACTS ? " facts" : "");
}

static void on_gpu_removed(Gpu *gpu, void *userdata)
{
        g_string_append_printf(userdata, "gpu- %s\n", gpu_name(gpu));
}

static void on_instance_added(Instance *i, void *userdata)
{
        /* A lookup finds the new object during its announcement. */
        g_assert(model_get_instance(i->gpu->model, i->desc->uuid) == i);
        g_string_append_printf(userdata, "instance+ %s %s\n", i->desc->uuid,
                               instance_origin_to_string(i->origin));
}

static void on_instance_changed(Instance *i, unsigned changes, void *userdata)
{
        g_string_append_printf(userdata, "instance~ %s%s%s\n", i->desc->uuid,
                               changes & INSTANCE_CHANGED_STATE ? " state=" : "",
                               changes & INSTANCE_CHANGED_STATE ? instance_state_to_string(i->state) : "");
}

static void on_instance_removed(Instance *i, void *userdata)
{
        g_assert(model_get_instance(i->gpu->model, i->desc->uuid) == i);
        g_string_append_printf(userdata, "instance- %s\n", i->desc->uuid);
}

static void on_definition_added(const Definition *d, void *userdata)
{
        g_string_append_printf(userdata, "definition+ %s\n", d->uuid);
}

static void on_definition_changed(const Definition *d, void *userdata)
{
        g_string_append_printf(userdata, "definition~ %s\n", d->uuid);
}

static void on_definition_removed(const Definition *d, void *userdata)
{
        g_string_append_printf(userdata, "definition- %s\n", d->uuid);
}

static void on_job_added(Job *job, void *userdata)
{
        g_string_append_printf(userdata, "job+ %u %s\n", job->id, job->kind->name);
}

static void on_job_removed(Job *job, void *userdata)
{
        g_string_append_printf(userdata, "job- %u %s\n", job->id, job_state_to_string(job->state));
}

static const ModelEvents recorder = {
        .gpu_added = on_gpu_added,
        .gpu_changed = on_gpu_changed,
        .gpu_removed = on_gpu_removed,
        .instance_added = on_instance_added,
        .instance_changed = on_instance_changed,
        .instance_removed = on_instance_removed,
        .definition_added = on_definition_added,
        .definition_changed = on_definition_changed,
        .definition_removed = on_definition_removed,
        .job_added = on_job_added,
        .job_removed = on_job_removed,
};

VgpuIo *fixture_io(int keep_fd, void *userdata)
{
        return fake_kernel_io(userdata);
}

void fixture_init(Fixture *f)
{
        *f = (Fixture){
                .scratch = scratch_new(),
                .config = config_new(),
                .kernel = fake_kernel_new(),
                .fake_gpus = g_ptr_array_new(),
                .unloaded = g_ptr_array_new(),
                .fake_pfs = g_ptr_array_new(),
                .log = g_string_new(NULL),
        };
        log_set_max_level(LOG_CRIT);
        g_free(f->config->runtime_directory);
        f->config->runtime_directory = g_strdup(f->scratch.path);
        g_free(f->config->state_directory);
        f->config->state_directory = g_build_filename(f->scratch.path, "state", NULL);
        g_assert(sd_event_new(&f->event) >= 0);
}

void fixture_add(Fixture *f, FakeGpu *g)
{
        g_ptr_array_add(f->fake_gpus, g);
}

void fixture_unload(Fixture *f, FakeGpu *g)
{
        fake_gpu_unload(g);
        g_ptr_array_remove(f->fake_gpus, g);
        g_ptr_array_add(f->unloaded, g);
}

/* Adds a PF, and the driver vfio-pci. */
FakePf *fixture_add_pf(Fixture *f, FakePfModel model, const char *address, unsigned total_vfs)
{
        FakePf *pf;

        if (!f->pci) {
                f->pci = fake_pci_new(f->kernel);
                fake_pci_add_driver(f->pci, "vfio-pci");
        }

        pf = fake_pci_add_pf(f->pci, model, address, total_vfs, 1);
        g_ptr_array_add(f->fake_pfs, pf);

        return pf;
}

void fixture_discover(Fixture *f)
{
        g_autoptr(GPtrArray) facts = g_ptr_array_new();

        for (guint i = 0; i < f->fake_gpus->len; i++)
                g_ptr_array_add(facts, fake_gpu_facts(f->fake_gpus->pdata[i]));
        for (guint i = 0; i < f->fake_pfs->len; i++)
                g_ptr_array_add(facts, fake_pf_facts(f->fake_pfs->pdata[i]));
        if (f->other_gpu)
                g_ptr_array_add(facts, gpu_facts_ref(f->other_gpu));
        arrivals_apply(f->model, facts, NULL, (uint64_t)g_get_monotonic_time());
        for (guint i = 0; i < facts->len; i++)
                gpu_facts_unref(facts->pdata[i]);
}

static bool all_are_known(Fixture *f, void *data)
{
        GHashTableIter iter;
        Gpu *gpu;

        g_hash_table_iter_init(&iter, model_gpus(f->model));
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&gpu))
                if (gpu->state == GPU_NEW)
                        return false;

        return f->model->wishes == 0;
}

void fixture_new_manager(Fixture *f)
{
        assert_se(manager_new(f->event, f->config, fixture_io, f->kernel, &f->manager) >= 0);
        f->model = manager_model(f->manager);
}

void fixture_start(Fixture *f)
{
        fixture_new_manager(f);
        model_set_events(f->model, &recorder, f->log);
        g_assert(manager_open(f->manager) >= 0);
        fixture_discover(f);
        g_assert(fixture_wait(f, all_are_known, NULL));
}

void fixture_stop(Fixture *f)
{
        if (f->manager)
                manager_stop(f->manager, f->config->stop_timeout_usec);
        f->manager = manager_free(f->manager);
        f->model = NULL;
}

void fixture_done(Fixture *f)
{
        fake_heal(f->kernel);
        fake_release(f->kernel);

        /* manager_stop() does not wait for scans, which would read a kernel that is freed. */
        if (f->manager) {
                f->model->stopping = true;
                (void)lanes_stop(f->model->lanes, WAIT_USEC);
        }

        fixture_stop(f);
        g_ptr_array_extend_and_steal(f->fake_gpus, f->unloaded);

        for (guint i = 0; i < f->fake_gpus->len; i++)
                fake_gpu_free(f->fake_gpus->pdata[i]);
        g_ptr_array_unref(f->fake_gpus);
        g_ptr_array_unref(f->fake_pfs);
        fake_pci_free(f->pci);
        fake_kernel_free(f->kernel);
        g_string_free(f->log, TRUE);
        sd_event_unref(f->event);
        config_free(f->config);
        scratch_free(&f->scratch);
}

bool fixture_wait(Fixture *f, Condition condition, void *data)
{
        gint64 end = g_get_monotonic_time() + (gint64)WAIT_USEC;

        while (!condition(f, data)) {
                gint64 left = end - g_get_monotonic_time();

                if (left <= 0)
                        return false;

                g_assert(sd_event_run(f->event, (uint64_t)left) >= 0);
        }

        return true;
}

static void on_finished(Job *job, const VgpudError *error, void *userdata)
{
        Outcome *o = userdata;

        o->told++;
        o->code = error->code;
        g_free(o->message);
        o->message = g_strdup(error->message);
}

void outcome_of(Outcome *o, Job *job)
{
        job_on_finished(job, on_finished, o);
}

void outcome_done(Outcome *o)
{
        g_free(o->message);
}

bool outcome_is_known(Fixture *f, void *outcome)
{
        return ((Outcome *)outcome)->told > 0;
}

VgpudErrorCode fixture_create(Fixture *f, const CreateRequest *request, char uuid[static UUID_STRLEN + 1])
{
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        _cleanup_outcome_ Outcome o = { 0 };
        Job *job;

        if (request_create(f->model, request, &job, &error) < 0)
                return error.code;

        memcpy(uuid, job->uuids->pdata[0], UUID_STRLEN + 1);
        outcome_of(&o, job);
        g_assert(fixture_wait(f, outcome_is_known, &o));

        return o.code;
}

VgpudErrorCode fixture_destroy(Fixture *f, const char *uuid, unsigned flags)
{
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        _cleanup_outcome_ Outcome o = { 0 };
        Instance *instance;
        Job *job;

        if (request_get_instance(f->model, uuid, &instance, &error) < 0 ||
            request_destroy(f->model, instance, flags, 0, &job, &error) < 0)
                return error.code;

        outcome_of(&o, job);
        g_assert(fixture_wait(f, outcome_is_known, &o));

        return o.code;
}

bool fixture_saw(Fixture *f, const char *line)
{
        g_autofree char *whole = g_strconcat(line, "\n", NULL);

        return strstr(f->log->str, whole) != NULL;
}

bool saw(Fixture *f, void *line)
{
        return fixture_saw(f, line);
}

void fixture_forget(Fixture *f)
{
        g_string_truncate(f->log, 0);
}

Instance *fixture_get(Fixture *f, const char *uuid)
{
        return model_get_instance(f->model, uuid);
}

unsigned fixture_count_records(Fixture *f)
{
        g_auto(GStrv) names = NULL;

        g_assert(fs_list_at(f->scratch.fd, "instance", &names) >= 0);

        return g_strv_length(names);
}

uint32_t fixture_available(Fixture *f, const char *gpu, const char *type)
{
        const VgpuType *t = gpu_snapshot_find_type(model_get_gpu(f->model, gpu)->snapshot, type, NULL);

        g_assert(t);

        return t->available;
}

bool instance_is_there(Fixture *f, void *uuid)
{
        return fixture_get(f, uuid);
}

bool instance_is_gone(Fixture *f, void *uuid)
{
        return !fixture_get(f, uuid);
}

bool gpu_is_ready(Fixture *f, void *gpu)
{
        return model_get_gpu(f->model, gpu)->state == GPU_READY;
}

bool wishes_are_carried_out(Fixture *f, void *data)
{
        return f->model->wishes == 0;
}

bool gpu_is_at_rest(Fixture *f, void *name)
{
        const Gpu *gpu = model_get_gpu(f->model, name);

        return f->model->wishes == 0 && !gpu->scan && !gpu->debounce && !gpu->quick_scan && !gpu->quick_again;
}
