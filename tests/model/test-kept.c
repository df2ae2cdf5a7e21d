/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Kept settings: changes with a job, and their application after a boot of the host or a reload of the driver.
 * The tests take the steps of convergence themselves. */

#include "base/fs-util.h"
#include "daemon/converge/kept.h"
#include "daemon/model/keep.h"
#include "daemon/requests/find.h"
#include "daemon/store/settings.h"
#include "fake-nvidia.h"
#include "fixture.h"

#define XE        "0000:03:00.0"
#define L40S      "0000:41:00.0"
#define FILE_XE   "state/gpus/" XE ".json"
#define FILE_L40S "state/gpus/" L40S ".json"

static const char *gpu_address = XE;

static Gpu *gpu(Fixture *f)
{
        return model_get_gpu(f->model, gpu_address);
}

static FakePf *start(Fixture *f)
{
        FakePf *pf;

        gpu_address = XE;
        fixture_init(f);
        pf = fixture_add_pf(f, FAKE_PF_XE, XE, 7);
        fixture_start(f);

        return pf;
}

static VgpudErrorCode wait_for(Fixture *f, Job *job)
{
        _cleanup_outcome_ Outcome o = { 0 };

        outcome_of(&o, job);
        g_assert(fixture_wait(f, outcome_is_known, &o));

        return o.code;
}

static VgpudErrorCode set_vfs(Fixture *f, uint32_t count, bool keep)
{
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        Job *job;

        if (request_set_vfs(gpu(f), count, keep, 1000, &job, &error) < 0)
                return error.code;

        return wait_for(f, job);
}

static VgpudErrorCode configure(Fixture *f, const char *mode, const char *value, bool keep)
{
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        Job *job;

        if (request_configure(gpu(f), mode, value, keep, 1000, &job, &error) < 0)
                return error.code;

        return wait_for(f, job);
}

/* The number of VFs in the file; 0: there is no file. */
static uint32_t vfs_on_disk(Fixture *f)
{
        _cleanup_gpu_settings_ GpuSettings *s = NULL;
        g_autofree char *text = NULL;
        size_t size;

        if (fs_read_file_at(f->scratch.fd, FILE_XE, 65536, &text, &size) < 0)
                return 0;

        ASSERT_OK(gpu_settings_from_json(XE, text, size, &s, NULL));

        return s->vfs;
}

static void write_settings(Fixture *f, const char *file, const char *text)
{
        _cleanup_close_ int state = fs_open_directory_at(f->scratch.fd, "state", 0755);

        safe_close(fs_open_directory_at(state, "gpus", 0700));
        scratch_file(&f->scratch, file, text);
}

/* Remove the notes, as a boot of the host does. */
static void reboot(Fixture *f)
{
        fixture_stop(f);
        (void)unlinkat(f->scratch.fd, "kept/" XE, 0);
        (void)unlinkat(f->scratch.fd, "kept/" L40S, 0);
}

static bool settings_are_applied(Fixture *f, void *data)
{
        return kept_step(gpu(f));
}

static bool settings_wait(Fixture *f, void *data)
{
        return !kept_step(gpu(f)) && kept_get_waiting(gpu(f));
}

static VgpudErrorCode waiting_code(Fixture *f)
{
        return fixture_wait(f, settings_wait, NULL) ? kept_get_waiting(gpu(f))->code : VGPUD_ERROR_NONE;
}

static bool is_running(Fixture *f, void *job)
{
        return ((Job *)job)->state == JOB_RUNNING;
}

/* The change is on disk before the job begins; a failure restores the earlier settings. */
static void test_change(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        FakePf *pf = start(&f);
        g_autofree char *path = g_strconcat(fake_pf_path(pf), "/sriov_numvfs", NULL);
        Job *job, *other;

        fake_hang(f.kernel, "write", path);
        ASSERT_OK(request_set_vfs(gpu(&f), 2, true, 1000, &job, NULL));
        ASSERT_EQ(vfs_on_disk(&f), 2);
        ASSERT_TRUE(fixture_wait(&f, is_running, job));
        fake_wait_hanging(f.kernel);

        ASSERT_ERROR(request_set_vfs(gpu(&f), 3, true, 1000, &other, &error), EBUSY);
        ASSERT_EQ(error.hint.id, VGPUD_HINT_WAIT_FOR_JOB);
        ASSERT_ERROR(keep_forget(f.model, gpu_address, true, NULL, 1000, NULL), EBUSY);
        ASSERT_FALSE(kept_step(gpu(&f)));
        ASSERT_NULL(kept_get_waiting(gpu(&f)));
        fake_release(f.kernel);
        ASSERT_EQ(wait_for(&f, job), VGPUD_ERROR_NONE);

        const GpuSettings *s = keep_get(gpu(&f));
        ASSERT_EQ(s->vfs, 2);
        ASSERT_EQ(s->vendor, 0x8086);
        ASSERT_EQ(s->writer, 1000);
        ASSERT_TRUE(keep_is_settled(gpu(&f), NULL));
        ASSERT_TRUE(kept_step(gpu(&f)));

        fake_fail(f.kernel, "write", path, EIO);
        ASSERT_TRUE(set_vfs(&f, 3, true) != VGPUD_ERROR_NONE);
        ASSERT_EQ(keep_get(gpu(&f))->vfs, 2);
        ASSERT_EQ(vfs_on_disk(&f), 2);
        ASSERT_TRUE(keep_is_settled(gpu(&f), NULL));
        ASSERT_TRUE(set_vfs(&f, 0, true) != VGPUD_ERROR_NONE);
        ASSERT_EQ(vfs_on_disk(&f), 2);
        fake_heal(f.kernel);

        /* A change without `keep` leaves the kept number. */
        ASSERT_EQ(set_vfs(&f, 0, false), VGPUD_ERROR_NONE);
        ASSERT_EQ(vfs_on_disk(&f), 2);
        ASSERT_TRUE(kept_step(gpu(&f)));
        ASSERT_EQ(set_vfs(&f, 0, true), VGPUD_ERROR_NONE);
        ASSERT_NULL(keep_get(gpu(&f)));
        ASSERT_EQ(vfs_on_disk(&f), 0);
        ASSERT_EQ(set_vfs(&f, 8, true), VGPUD_ERROR_INVALID);
        ASSERT_NULL(keep_get(gpu(&f)));
}

/* The VFs are disabled, but the file cannot be removed: the caller hears of it, and no VF comes back. */
static void test_unforgotten(void)
{
        _cleanup_fixture_ Fixture f;
        g_autofree char *folder = NULL, *away = NULL;

        (void)start(&f);
        ASSERT_EQ(set_vfs(&f, 2, true), VGPUD_ERROR_NONE);
        folder = g_build_filename(f.scratch.path, "state", "gpus", NULL);
        away = g_strconcat(folder, ".away", NULL);
        ASSERT_OK(rename(folder, away));
        scratch_file(&f.scratch, "state/gpus", "");

        ASSERT_EQ(set_vfs(&f, 0, true), VGPUD_ERROR_FAILED);
        ASSERT_EQ(keep_get(gpu(&f))->vfs, 2);
        ASSERT_EQ(gpu(&f)->facts->enabled_vfs, 0);
        ASSERT_TRUE(kept_step(gpu(&f)));

        ASSERT_OK(unlink(folder));
        ASSERT_OK(rename(away, folder));
        ASSERT_EQ(set_vfs(&f, 0, true), VGPUD_ERROR_NONE);
        ASSERT_EQ(vfs_on_disk(&f), 0);
}

static void test_forget(void)
{
        _cleanup_fixture_ Fixture f;

        (void)start(&f);
        ASSERT_ERROR(keep_forget(f.model, gpu_address, false, NULL, 0, NULL), EINVAL);
        ASSERT_EQ(set_vfs(&f, 2, true), VGPUD_ERROR_NONE);
        ASSERT_ERROR(keep_forget(f.model, gpu_address, false, "mig", 0, NULL), EINVAL);
        fixture_forget(&f);
        ASSERT_OK(keep_forget(f.model, gpu_address, true, NULL, 0, NULL));
        ASSERT_TRUE(fixture_saw(&f, "gpu~ " XE));
        ASSERT_NULL(keep_get(gpu(&f)));
        ASSERT_EQ(gpu(&f)->facts->enabled_vfs, 2);

        /* If the settings go while the model does not have the GPU, the same number is not settled later. */
        ASSERT_EQ(set_vfs(&f, 2, true), VGPUD_ERROR_NONE);
        fixture_stop(&f);
        ASSERT_OK(unlinkat(f.scratch.fd, FILE_XE, 0));
        fixture_start(&f);
        ASSERT_EQ(gpu(&f)->kept.settled->len, 0);
}

/* A boot applies the settings, once: a user may disable the VFs, and a restart of vgpud changes nothing. */
static void test_boot(void)
{
        _cleanup_fixture_ Fixture f;
        FakePf *pf = start(&f);

        ASSERT_EQ(set_vfs(&f, 2, true), VGPUD_ERROR_NONE);
        reboot(&f);
        ASSERT_OK(fake_pf_enable(pf, 0));
        fixture_start(&f);
        ASSERT_EQ(gpu(&f)->facts->enabled_vfs, 0);
        ASSERT_FALSE(kept_step(gpu(&f)));
        Job *job = model_get_job(f.model, gpu(&f)->kept.job);
        ASSERT_TRUE(job->internal);
        ASSERT_EQ(job->requester, UID_INVALID);
        ASSERT_TRUE(fixture_wait(&f, settings_are_applied, NULL));
        ASSERT_EQ(gpu(&f)->facts->enabled_vfs, 2);
        ASSERT_NULL(kept_get_waiting(gpu(&f)));

        ASSERT_EQ(set_vfs(&f, 0, false), VGPUD_ERROR_NONE);
        ASSERT_TRUE(kept_step(gpu(&f)));
        fixture_stop(&f);
        fixture_start(&f);
        ASSERT_TRUE(kept_step(gpu(&f)));
        ASSERT_EQ(gpu(&f)->facts->enabled_vfs, 0);
        ASSERT_EQ(keep_get(gpu(&f))->vfs, 2);
}

/* The job of a user waits or runs already: its result is the later decision. */
static void test_user_first(void)
{
        _cleanup_fixture_ Fixture f;
        FakePf *pf = start(&f);
        g_autofree char *path = g_strconcat(fake_pf_path(pf), "/sriov_numvfs", NULL);
        Job *job;

        ASSERT_EQ(set_vfs(&f, 2, true), VGPUD_ERROR_NONE);
        reboot(&f);
        ASSERT_OK(fake_pf_enable(pf, 0));
        fixture_start(&f);
        fake_hang(f.kernel, "write", path);
        ASSERT_OK(request_set_vfs(gpu(&f), 3, false, 1000, &job, NULL));
        ASSERT_FALSE(kept_step(gpu(&f)));
        ASSERT_NULL(kept_get_waiting(gpu(&f)));
        ASSERT_EQ(gpu(&f)->kept.job, 0);
        fake_wait_hanging(f.kernel);
        ASSERT_FALSE(kept_step(gpu(&f)));
        ASSERT_EQ(gpu(&f)->kept.job, 0);
        fake_release(f.kernel);
        ASSERT_EQ(wait_for(&f, job), VGPUD_ERROR_NONE);
        ASSERT_TRUE(kept_step(gpu(&f)));
        ASSERT_EQ(gpu(&f)->facts->enabled_vfs, 3);
}

static void on_first_finished(Job *job, const VgpudError *error, void *userdata)
{
        bool *is_settled = userdata;

        *is_settled = keep_is_settled(model_get_gpu(job->model, job->gpu_name), NULL);
}

/* A job ends while a job that keeps a number waits: the result does not settle that number. */
static void test_keep_follows(void)
{
        _cleanup_fixture_ Fixture f;
        FakePf *pf = start(&f);
        g_autofree char *path = g_strconcat(fake_pf_path(pf), "/sriov_numvfs", NULL);
        bool is_settled = true;
        Job *first, *second;

        fake_hang(f.kernel, "write", path);
        ASSERT_OK(request_set_vfs(gpu(&f), 3, false, 1000, &first, NULL));
        job_on_finished(first, on_first_finished, &is_settled);
        fake_wait_hanging(f.kernel);
        ASSERT_OK(request_set_vfs(gpu(&f), 0, false, 1000, &second, NULL));
        ASSERT_OK(request_set_vfs(gpu(&f), 2, true, 1000, &second, NULL));
        fake_release(f.kernel);
        ASSERT_EQ(wait_for(&f, second), VGPUD_ERROR_NONE);
        ASSERT_FALSE(is_settled);
        ASSERT_TRUE(keep_is_settled(gpu(&f), NULL));
        ASSERT_EQ(gpu(&f)->facts->enabled_vfs, 2);
}

/* vgpud applies the settings after a driver took the GPU, also if vgpud did not run at that moment. */
static void test_driver(void)
{
        _cleanup_fixture_ Fixture f;
        FakePf *pf = start(&f);

        ASSERT_EQ(set_vfs(&f, 2, true), VGPUD_ERROR_NONE);
        ASSERT_OK(fake_pf_enable(pf, 0));
        fake_pf_set_driver(pf, NULL);
        fixture_discover(&f);
        ASSERT_EQ(waiting_code(&f), VGPUD_ERROR_UNSUPPORTED);
        fake_pf_set_driver(pf, "xe");
        fixture_discover(&f);
        ASSERT_TRUE(fixture_wait(&f, settings_are_applied, NULL));
        ASSERT_EQ(gpu(&f)->facts->enabled_vfs, 2);

        fixture_stop(&f);
        ASSERT_OK(fake_pf_enable(pf, 0));
        fake_pf_set_driver(pf, NULL);
        fake_pf_set_driver(pf, "xe");
        fixture_start(&f);
        ASSERT_TRUE(fixture_wait(&f, settings_are_applied, NULL));
        ASSERT_EQ(gpu(&f)->facts->enabled_vfs, 2);
}

static void test_waits(void)
{
        static const struct {
                const char *text;
                VgpudErrorCode code;
        } cases[] = {
                { "{\"version\":1,\"vendor\":32902,\"device\":57867,\"vfs\":9,\"writer\":0,\"written\":1}",
                  VGPUD_ERROR_INVALID },
                { "{\"version\":1,\"vendor\":4318,\"device\":57867,\"vfs\":2,\"writer\":0,\"written\":1}",
                  VGPUD_ERROR_UNSUPPORTED },
                { "{\"version\":1,\"vendor\":32902,\"device\":57867,\"modes\":[{\"name\":\"mig\",\"value\":\"no\"}],\"writer\":0,\"written\":1}",
                  VGPUD_ERROR_UNSUPPORTED },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                _cleanup_fixture_ Fixture f;
                g_autoptr(GPtrArray) missing = g_ptr_array_new_with_free_func(g_free);

                gpu_address = XE;
                fixture_init(&f);
                (void)fixture_add_pf(&f, FAKE_PF_XE, XE, 7);
                write_settings(&f, FILE_XE, cases[i].text);
                fixture_start(&f);
                ASSERT_EQ(settings_errors(f.model->settings)->len, 0);
                ASSERT_EQ(waiting_code(&f), cases[i].code);
                ASSERT_EQ(gpu(&f)->facts->enabled_vfs, 0);
                kept_add_missing(f.model, missing);
                ASSERT_EQ(missing->len, 1);
                ASSERT_CONTAINS(missing->pdata[0], XE);
        }
}

/* Enabled VFs stay. */
static void test_other_number(void)
{
        _cleanup_fixture_ Fixture f;
        FakePf *pf = start(&f);

        ASSERT_EQ(set_vfs(&f, 2, true), VGPUD_ERROR_NONE);
        reboot(&f);
        ASSERT_OK(fake_pf_enable(pf, 0));
        ASSERT_OK(fake_pf_enable(pf, 3));
        fixture_start(&f);
        ASSERT_EQ(waiting_code(&f), VGPUD_ERROR_IN_USE);
        ASSERT_EQ(gpu(&f)->facts->enabled_vfs, 3);
        ASSERT_EQ(g_hash_table_size(model_jobs(f.model)), 0);

        /* A user keeps another number. */
        ASSERT_EQ(set_vfs(&f, 3, true), VGPUD_ERROR_NONE);
        ASSERT_TRUE(kept_step(gpu(&f)));
        ASSERT_NULL(kept_get_waiting(gpu(&f)));
        ASSERT_EQ(vfs_on_disk(&f), 3);
}

static void test_missing_gpu(void)
{
        _cleanup_fixture_ Fixture f;
        g_autoptr(GPtrArray) missing = g_ptr_array_new_with_free_func(g_free);
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        g_autofree char *name = NULL, *none = NULL;

        fixture_init(&f);
        write_settings(&f, FILE_L40S,
                       "{\"version\":1,\"vendor\":4318,\"device\":1,\"vfs\":9,\"writer\":0,\"written\":1}");
        fixture_start(&f);
        kept_add_missing(f.model, missing);
        ASSERT_EQ(missing->len, 1);
        ASSERT_CONTAINS(missing->pdata[0], L40S);

        ASSERT_OK(request_get_kept_gpu(f.model, "41:00.0", &name, NULL));
        ASSERT_STREQ(name, L40S);
        ASSERT_ERROR(keep_forget(f.model, name, false, "mig", 0, NULL), EINVAL);
        ASSERT_OK(keep_forget(f.model, name, true, NULL, 0, NULL));
        ASSERT_EQ(faccessat(f.scratch.fd, FILE_L40S, F_OK, 0), -1);
        g_ptr_array_set_size(missing, 0);
        kept_add_missing(f.model, missing);
        ASSERT_EQ(missing->len, 0);
        ASSERT_ERROR(request_get_kept_gpu(f.model, L40S, &none, &error), ENXIO);
        ASSERT_EQ(error.code, VGPUD_ERROR_NO_SUCH_GPU);
}

/* After a failure, the next job waits for a pause. */
static void test_retry(void)
{
        _cleanup_fixture_ Fixture f;
        FakePf *pf = start(&f);
        g_autofree char *path = g_strconcat(fake_pf_path(pf), "/sriov_numvfs", NULL);

        ASSERT_EQ(set_vfs(&f, 2, true), VGPUD_ERROR_NONE);
        reboot(&f);
        ASSERT_OK(fake_pf_enable(pf, 0));
        fixture_start(&f);
        fake_fail(f.kernel, "write", path, EIO);
        ASSERT_EQ(waiting_code(&f), VGPUD_ERROR_FAILED);
        ASSERT_EQ(gpu(&f)->kept.failures, 1);
        ASSERT_NOT_NULL(gpu(&f)->kept.retry);
        ASSERT_FALSE(kept_step(gpu(&f)));
        ASSERT_EQ(gpu(&f)->kept.job, 0);
        ASSERT_EQ(vfs_on_disk(&f), 2);

        fake_heal(f.kernel);
        gpu(&f)->kept.retry_usec = 0;
        ASSERT_TRUE(fixture_wait(&f, settings_are_applied, NULL));
        ASSERT_EQ(gpu(&f)->facts->enabled_vfs, 2);
        ASSERT_EQ(gpu(&f)->kept.failures, 0);
}

static void on_job_added(Job *job, void *userdata)
{
        JobDetail detail;

        g_string_append_printf(userdata, "%s ",
                               job_get_detail(job, "mode", &detail) ? detail.text : job->kind->name);
}

/* MIG mode comes before the VFs, the heterogeneous mode after the VFs. */
static void test_order(void)
{
        static const ModelEvents jobs = { .job_added = on_job_added };
        _cleanup_fixture_ Fixture f;
        FakeNvidia *g;

        gpu_address = L40S;
        fixture_init(&f);
        g = fake_add_l40s(f.kernel, L40S, false);
        fake_nvidia_add_nvml(g);
        f.other_gpu = fake_nvidia_facts(g);
        g_autofree char *text = g_strdup_printf(
                        "{\"version\":1,\"vendor\":%u,\"device\":%u,\"vfs\":32,\"writer\":0,\"written\":1,"
                        "\"modes\":[{\"name\":\"heterogeneous\",\"value\":\"yes\"},{\"name\":\"mig\",\"value\":\"no\"}]}",
                        f.other_gpu->vendor, f.other_gpu->device);
        write_settings(&f, FILE_L40S, text);
        g->mig = g->mig_pending = true;
        fixture_start(&f);
        model_set_watcher(f.model, &jobs, f.log);
        fixture_forget(&f);

        /* MIG mode changes only at a reset of the GPU: the VFs wait. */
        g->nvml_activation = 1;
        ASSERT_TRUE(waiting_code(&f) != VGPUD_ERROR_NONE);
        ASSERT_EQ(kept_get_waiting(gpu(&f))->hint.id, VGPUD_HINT_RESET_GPU);
        ASSERT_FALSE(g->enabled);
        g->nvml_activation = 0;
        gpu(&f)->kept.retry_usec = 0;
        fixture_forget(&f);
        model_set_events(f.model, NULL, NULL);
        ASSERT_TRUE(fixture_wait(&f, settings_are_applied, NULL));
        ASSERT_STREQ(f.log->str, "mig set-vfs heterogeneous ");
        ASSERT_FALSE(g->mig);
        ASSERT_TRUE(g->enabled);
        ASSERT_TRUE(g->heterogeneous);

        /* A user changes a mode without `keep`. */
        ASSERT_EQ(configure(&f, "heterogeneous", "no", false), VGPUD_ERROR_NONE);
        ASSERT_TRUE(kept_step(gpu(&f)));
        ASSERT_STREQ(gpu_settings_get_mode(keep_get(gpu(&f)), "heterogeneous"), "yes");
        ASSERT_EQ(configure(&f, "heterogeneous", "no", true), VGPUD_ERROR_NONE);
        ASSERT_STREQ(gpu_settings_get_mode(keep_get(gpu(&f)), "heterogeneous"), "no");
        ASSERT_OK(keep_forget(f.model, gpu_address, false, "mig", 0, NULL));
        ASSERT_NULL(gpu_settings_get_mode(keep_get(gpu(&f)), "mig"));
        ASSERT_OK(keep_forget(f.model, gpu_address, false, NULL, 0, NULL));
        ASSERT_NULL(keep_get(gpu(&f)));

        /* A scan follows each change of a mode, and reads the fake GPU. */
        ASSERT_TRUE(fixture_wait(&f, gpu_is_at_rest, (void *)L40S));
        gpu_facts_unref(g_steal_pointer(&f.other_gpu));
        fake_nvidia_free(g);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_change);
        TEST(test_unforgotten);
        TEST(test_forget);
        TEST(test_boot);
        TEST(test_user_first);
        TEST(test_keep_follows);
        TEST(test_driver);
        TEST(test_waits);
        TEST(test_other_number);
        TEST(test_missing_gpu);
        TEST(test_retry);
        TEST(test_order);

        return tests_end();
}
