/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Properties, the tree of objects, and the signals. */

#include <string.h>

#include "base/log.h"
#include "fixture.h"

#define PROPERTIES "org.freedesktop.DBus.Properties"

static void assert_properties(Fixture *f, const char *path, const char *interface, const char *expected[][2])
{
        for (size_t i = 0; expected[i][0]; i++) {
                g_autofree char *got =
                                CALL_TEXT(f, 0, path, PROPERTIES, "Get", "ss", interface, expected[i][0]);
                g_autofree char *want = g_strdup_printf("<%s>", expected[i][1]);

                if (strcmp(got, want) != 0)
                        g_error("%s: got %s, not %s", expected[i][0], got, want);
        }
}

static void test_gpu_properties(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        const char *bare[][2] = {
                { "Name", "s \"mdpy\"" },
                { "SysfsPath", "s \"/sys/devices/virtual/mdpy\"" },
                { "Subsystem", "s \"\"" },
                { "VendorId", "q 0" },
                { "Class", "u 0" },
                { "VendorName", "s \"\"" },
                { "DeviceName", "s \"\"" },
                { "Driver", "s \"\"" },
                { "BackEnd", "s \"fake\"" },
                { "State", "s \"ready\"" },
                { "Reason", "s \"\"" },
                { "Stale", "b false" },
                { "NumaNode", "i -1" },
                { "IommuGroup", "i -1" },
                { "LinkSpeed", "s \"\"" },
                { "LinkWidth", "u 0" },
                { "BootDisplay", "b false" },
                { "Parents", "as [\"mdpy\"]" },
                { "Hint", "s \"\"" },
                { "HintId", "s \"\"" },
                { "MemoryBytes", "t 18446744073709551615" },
                { "MemoryUsedBytes", "t 6291456" },
                { "InstanceCount", "u 2" },
                { "TypeCount", "u 2" },
                { "Modes", "a{sa{sv}} []" },
                { "KeptVfs", "i -1" },
                { "KeptModes", "a{ss} []" },
                { "KeptReason", "s \"\"" },
                { "Job", "o \"/\"" },
                { "QueuedJobs", "u 0" },
                { "ScannedUsec", "t 1700000000000000" },
                { NULL, NULL },
        };

        assert_properties(f, PATH_GPU, VGPUD_INTERFACE_GPU, bare);
}

static void test_pci_gpu_properties(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        GpuFacts *facts = fake_model_add_gpu(f->model, "0000:3b:00.0")->facts;
        Gpu *gpu = model_get_gpu(f->model, "0000:3b:00.0");
        const char *expected[][2] = {
                { "Name", "s \"0000:3b:00.0\"" },
                { "VendorId", "q 4318" },
                { "DeviceId", "q 9654" },
                { "SubsystemVendorId", "q 65535" },
                { "SubsystemDeviceId", "q 5377" },
                { "Class", "u 197120" },
                { "VendorName", "s \"NVIDIA Corporation\"" },
                { "DeviceName", "s \"GA107GL [A2]\"" },
                { "Driver", "s \"nvidia\"" },
                { "BackEnd", "s \"\"" },
                { "State", "s \"unsupported\"" },
                { "Reason", "s \"no driver of it\"" },
                { "NumaNode", "i 1" },
                { "IommuGroup", "i 40" },
                { "LinkSpeed", "s \"8.0 GT/s PCIe\"" },
                { "LinkSpeedMax", "s \"16.0 GT/s PCIe\"" },
                { "LinkWidth", "u 4" },
                { "LinkWidthMax", "u 8" },
                { "BootDisplay", "b true" },
                { "TotalVfs", "u 16" },
                { "EnabledVfs", "u 2" },
                { "TypeCount", "u 0" },
                { "InstanceCount", "u 0" },
                { "MemoryBytes", "t 51539607552" },
                { "MemoryUsedBytes", "t 0" },
                { "Hint", "s \"load it\"" },
                { "HintId", "s \"load-driver\"" },
                { "ScannedUsec", "t 0" },
                { NULL, NULL },
        };

        facts->vendor = 0x10de;
        facts->device = 0x25b6;
        facts->subsystem_vendor = 0xffff;
        facts->subsystem_device = 0x1501;
        facts->class = 0x030200;
        facts->vendor_name = g_strdup("NVIDIA Corporation");
        facts->device_name = g_strdup("GA107GL [A2]");
        facts->driver = g_strdup("nvidia");
        facts->numa_node = 1;
        facts->iommu_group = 40;
        facts->link_speed = g_strdup("8.0 GT/s PCIe");
        facts->link_speed_max = g_strdup("16.0 GT/s PCIe");
        facts->link_width = 4;
        facts->link_width_max = 8;
        facts->boot_display = true;
        facts->total_vfs = 16;
        facts->enabled_vfs = 2;
        gpu->driver = NULL;
        gpu->state = GPU_UNSUPPORTED;
        gpu->reason = g_strdup("no driver of it");
        vgpud_hint_setf(&gpu->hint, VGPUD_HINT_LOAD_DRIVER, "load it");
        facts->memory_bytes = (uint64_t)48 << 30;
        gpu_snapshot_unref(g_steal_pointer(&gpu->snapshot));
        assert_properties(f, VGPUD_PATH_GPU "/_30000_3a3b_3a00_2e0", VGPUD_INTERFACE_GPU, expected);
}

/* The memory in the snapshot counts, not that in the facts. The size of an instance may differ from the size of
 * its type. One instance of unknown size makes the sum unknown. */
static void test_memory(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        const char *gpu[][2] = { { "MemoryBytes", "t 17179869184" },
                                 { "MemoryUsedBytes", "t 4297982464" },
                                 { NULL, NULL } };
        const char *instance[][2] = { { "MemoryBytes", "t 4294836736" }, { NULL, NULL } };
        const char *unknown[][2] = { { "MemoryUsedBytes", "t 18446744073709551615" }, { NULL, NULL } };
        const char *unknown_instance[][2] = { { "MemoryBytes", "t 18446744073709551615" }, { NULL, NULL } };

        f->gpu->facts->memory_bytes = 1;
        f->gpu->snapshot->memory_bytes = (uint64_t)16 << 30;
        f->a->desc->memory_bytes = 4294836736;
        assert_properties(f, PATH_GPU, VGPUD_INTERFACE_GPU, gpu);
        assert_properties(f, PATH_A, VGPUD_INTERFACE_INSTANCE, instance);
        g_free(f->b->desc->type_id);
        f->b->desc->type_id = g_strdup("mdpy-gone");
        assert_properties(f, PATH_GPU, VGPUD_INTERFACE_GPU, unknown);
        assert_properties(f, PATH_B, VGPUD_INTERFACE_INSTANCE, unknown_instance);
}

static void test_busy_gpu_properties(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        const char *expected[][2] = {
                { "State", "s \"stuck\"" }, { "Reason", "s \"the kernel is silent\"" },
                { "Stale", "b true" },      { "Job", "o \"" VGPUD_PATH_JOB "/1\"" },
                { "QueuedJobs", "u 1" },    { NULL, NULL },
        };

        f->gpu->state = GPU_STUCK;
        f->gpu->reason = g_strdup("the kernel is silent");
        f->gpu->current = fake_model_add_job(f->gpu, &fake_kind_rescan, 0);
        g_queue_remove(&f->gpu->waiting, f->gpu->current);
        fake_model_add_job(f->gpu, &fake_kind_rescan, 0);
        assert_properties(f, PATH_GPU, VGPUD_INTERFACE_GPU, expected);
}

static void test_instance_properties(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        g_autofree char *owner = g_strdup_printf("s \"%u\"", (unsigned)f->uid);
        const char *ours[][2] = {
                { "Uuid", "s \"" UUID_A "\"" },
                { "Name", "s \"desk\"" },
                { "Gpu", "o \"" PATH_GPU "\"" },
                { "Parent", "s \"mdpy\"" },
                { "Type", "s \"mdpy-xga\"" },
                { "TypeName", "s \"Virtual XGA\"" },
                { "DeviceApi", "s \"vfio-pci\"" },
                { "Driver", "s \"vfio_mdev\"" },
                { "Origin", "s \"vgpud\"" },
                { "State", "s \"active\"" },
                { "Owner", owner },
                { "Definition", "s \"\"" },
                { "CreatedUsec", "t 1700000001000000" },
                { "SysfsPath", "s \"/sys/devices/virtual/mdpy/" UUID_A "\"" },
                { "IommuGroup", "i 12" },
                { "Slot", "s \"\"" },
                { "Attributes", "a(ss) []" },
                { "MemoryBytes", "t 3145728" },
                { "Job", "o \"/\"" },
                { NULL, NULL },
        };
        const char *foreign[][2] = {
                { "Name", "s \"\"" },
                { "Type", "s \"\"" },
                { "TypeName", "s \"\"" },
                { "Driver", "s \"\"" },
                { "Origin", "s \"foreign\"" },
                { "State", "s \"stuck\"" },
                { "Owner", "s \"\"" },
                { "CreatedUsec", "t 0" },
                { "IommuGroup", "i -1" },
                { "MemoryBytes", "t 18446744073709551615" },
                { "Job", "o \"" VGPUD_PATH_JOB "/1\"" },
                { NULL, NULL },
        };
        InstanceDesc *d = f->b->desc;

        assert_properties(f, PATH_A, VGPUD_INTERFACE_INSTANCE, ours);
        g_clear_pointer(&d->type_id, g_free);
        g_clear_pointer(&d->driver, g_free);
        g_clear_pointer(&d->cdev, g_free);
        d->iommu_group = -1;
        f->b->state = INSTANCE_STUCK;
        f->b->job = fake_model_add_job(f->gpu, &fake_kind_destroy, 0);
        assert_properties(f, PATH_B, VGPUD_INTERFACE_INSTANCE, foreign);
}

static void test_job_properties(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        Job *job = fake_model_add_job(f->gpu, &fake_kind_create, 1000);
        const char *expected[][2] = {
                { "Id", "u 1" },
                { "Kind", "s \"create\"" },
                { "State", "s \"running\"" },
                { "Gpu", "o \"" PATH_GPU "\"" },
                { "Instances", "ao [\"" PATH_A "\"]" },
                { "Details", "a{sv} [{\"type\", <s \"mdpy-xga\">}, {\"count\", <u 1>}]" },
                { "Requester", "u 1000" },
                { "CreatedUsec", "t 1700000002000000" },
                { "StartedUsec", "t 1700000003000000" },
                { NULL, NULL },
        };

        job->state = JOB_RUNNING;
        ((FakeJob *)job)->type_id = g_strdup("mdpy-xga");
        job->started_usec = 1700000003000000;
        g_ptr_array_add(job->uuids, g_strdup(UUID_A));
        assert_properties(f, VGPUD_PATH_JOB "/1", VGPUD_INTERFACE_JOB, expected);
}

static void test_other_jobs(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        Job *vfs = fake_model_add_job(f->gpu, &fake_kind_set_vfs, 0),
            *mode = fake_model_add_job(f->gpu, &fake_kind_configure, 0);
        const char *of_vfs[][2] = {
                { "Kind", "s \"set-vfs\"" },
                { "Instances", "ao []" },
                { "Details", "a{sv} [{\"count\", <u 16>}]" },
                { NULL, NULL },
        };
        const char *of_mode[][2] = {
                { "Kind", "s \"configure\"" },
                { "Details", "a{sv} [{\"mode\", <s \"heterogeneous\">}, {\"value\", <s \"yes\">}]" },
                { NULL, NULL },
        };

        ((FakeJob *)vfs)->vfs = 16;
        ((FakeJob *)mode)->mode = g_strdup("heterogeneous");
        ((FakeJob *)mode)->value = g_strdup("yes");
        assert_properties(f, VGPUD_PATH_JOB "/1", VGPUD_INTERFACE_JOB, of_vfs);
        assert_properties(f, VGPUD_PATH_JOB "/2", VGPUD_INTERFACE_JOB, of_mode);
}

DEFINE_DESTROY_NOTIFY(vf_destroy, vgpu_vf_free)
DEFINE_DESTROY_NOTIFY(mode_destroy, vgpu_mode_free)
DEFINE_DESTROY_NOTIFY(attribute_destroy, vgpu_attribute_free)

/* Gives the GPU of the fixture two VFs instead of mediated types. */
static void give_vfs(Fixture *f)
{
        GpuFacts *facts = f->gpu->facts;

        g_ptr_array_set_size(facts->mdev_parents, 0);

        if (!facts->vfs)
                facts->vfs = g_ptr_array_new_with_free_func(vf_destroy);
        g_ptr_array_add(facts->vfs, vgpu_vf_new(0, "0000:08:00.4", "devices/0000:08:00.4"));
        g_ptr_array_add(facts->vfs, vgpu_vf_new(5, "0000:09:01.1", "devices/0000:09:01.1"));
        facts->total_vfs = 16;
        facts->enabled_vfs = 2;
}

static void put_on(Instance *instance, const char *slot, const char *parent)
{
        g_free(instance->desc->slot);
        instance->desc->slot = g_strdup(slot);
        g_free(instance->desc->parent);
        instance->desc->parent = g_strdup(parent);
}

#define LIST_VFS 0, PATH_GPU, VGPUD_INTERFACE_GPU, "ListVfs", "a{sv}", 0
#define VFS(instance0, instance5, drivers, overrides, states)                                                                \
        "[{\"index\", <au [0, 5]>}, {\"name\", <as [\"0000:08:00.4\", \"0000:09:01.1\"]>}, {\"instance\", <ao [\"" instance0 \
        "\", \"" instance5 "\"]>}, {\"driver\", <as " drivers ">}, {\"driver_override\", <as " overrides                     \
        ">}, {\"state\", <as " states ">}]"

static void test_vfs(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        const char *parents[][2] = {
                { "Parents", "as [\"0000:08:00.4\", \"0000:09:01.1\"]" },
                { NULL, NULL },
        };
        const char *slot[][2] = {
                { "Slot", "s \"0000:08:00.4\"" },
                { "Attributes", "a(ss) [(\"vram_quota\", \"1073741824\"), (\"a\", \"\")]" },
                { NULL, NULL },
        };

        give_vfs(f);
        put_on(f->a, "0000:08:00.4", "mdpy"); /* the instance is the VF */
        f->a->desc->attributes = g_ptr_array_new_with_free_func(attribute_destroy);
        g_ptr_array_add(f->a->desc->attributes, vgpu_attribute_new("vram_quota", "1073741824"));
        g_ptr_array_add(f->a->desc->attributes, vgpu_attribute_new("a", ""));
        gpu_snapshot_add_binding(f->gpu->snapshot, "0000:08:00.4", "vfio-pci", "vfio-pci");
        gpu_snapshot_add_binding(f->gpu->snapshot, "0000:09:01.1", NULL, "pci-stub");
        assert_call(VFS(PATH_A, "/", "[\"vfio-pci\", \"\"]", "[\"vfio-pci\", \"pci-stub\"]", "[\"\", \"\"]"), f,
                    LIST_VFS);
        assert_properties(f, PATH_GPU, VGPUD_INTERFACE_GPU, parents);
        assert_properties(f, PATH_A, VGPUD_INTERFACE_INSTANCE, slot);
        g_ptr_array_set_size(f->gpu->snapshot->bindings, 0);
        put_on(f->b, NULL, "0000:09:01.1"); /* both instances are on one VF */
        put_on(f->a, NULL, "0000:09:01.1");
        gpu_snapshot_add_binding(f->gpu->snapshot, "0000:08:00.4", "vfio-pci", NULL)->bound_free = true;
        assert_call(VFS("/", PATH_A, "[\"vfio-pci\", \"\"]", "[\"\", \"\"]", "[\"bound-free\", \"\"]"), f,
                    LIST_VFS);
}

/* A GPU that cannot have VFs is its own only parent, if it is prepared. */
static void test_parents(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        const char *itself[][2] = { { "Parents", "as [\"mdpy\"]" }, { NULL, NULL } };
        const char *none[][2] = { { "Parents", "as []" }, { NULL, NULL } };

        g_ptr_array_set_size(f->gpu->facts->mdev_parents, 0);
        assert_properties(f, PATH_GPU, VGPUD_INTERFACE_GPU, itself);
        f->gpu->facts->total_vfs = 2;
        assert_properties(f, PATH_GPU, VGPUD_INTERFACE_GPU, none);
        f->gpu->facts->total_vfs = 0;
        f->gpu->state = GPU_UNPREPARED;
        assert_properties(f, PATH_GPU, VGPUD_INTERFACE_GPU, none);
        f->gpu->state = GPU_READY;
        give_vfs(f);
        f->gpu->driver = NULL;
        assert_properties(f, PATH_GPU, VGPUD_INTERFACE_GPU, none);
}

static void test_modes(void)
{
        static const char *const choices[] = { "no", "yes", NULL };
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        const char *expected[][2] = {
                { "State", "s \"unprepared\"" },
                { "Reason", "s \"no power\"" },
                { "Modes",
                  "a{sa{sv}} [{\"heterogeneous\", [{\"value\", <s \"no\">}, {\"choices\", <as [\"no\", \"yes\"]>}, {\"help\", <s \"types of several sizes\">}]}, {\"partition\", [{\"value\", <s \"NPS1\">}]}]" },
                { NULL, NULL },
        };

        f->gpu->state = GPU_UNPREPARED;
        f->gpu->reason = g_strdup("no power");

        if (!f->gpu->snapshot->modes)
                f->gpu->snapshot->modes = g_ptr_array_new_with_free_func(mode_destroy);
        g_ptr_array_add(f->gpu->snapshot->modes,
                        vgpu_mode_new("heterogeneous", "no", choices, "types of several sizes"));
        g_ptr_array_add(f->gpu->snapshot->modes, vgpu_mode_new("partition", "NPS1", NULL, NULL));
        assert_properties(f, PATH_GPU, VGPUD_INTERFACE_GPU, expected);
}

/* A hand-over without libvirt XML and without arguments for QEMU. */
static Handover *bare_handover(const InstanceDesc *desc)
{
        Handover *h = g_new0(Handover, 1);

        h->sysfs_path = g_strdup("/sys/kernel/vgt/vm3");
        h->iommu_group = -1;

        return h;
}

#define HAND_OVER 0, PATH_A, VGPUD_INTERFACE_INSTANCE, "GetHandOver", "a{sv}", 0

static void test_bare_handover(void)
{
        static const VgpuDriver bare = { .name = "bare", .handover = bare_handover };
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);

        f->gpu->driver = &bare;
        assert_call("[{\"sysfs_path\", <s \"/sys/kernel/vgt/vm3\">}]", f, HAND_OVER);
        f->a->desc->half_made = true;
        assert_call("[]", f, HAND_OVER);
}

static void test_handover(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);

        assert_call("[{\"sysfs_path\", <s \"/sys/bus/mdev/devices/" UUID_A
                    "\">}, {\"iommu_group\", <i 12>}, {\"group_node\", <s \"/dev/vfio/12\">}, {\"cdev_node\", <s \"/dev/vfio/devices/vfio3\">}, {\"libvirt_xml\", <s \"<hostdev/>\">}, {\"qemu_args\", <as [\"-device\", \"vfio-pci\"]>}]",
                    f, HAND_OVER);
}

static void test_version(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);

        assert_call("<s \"" PROJECT_VERSION "\">", f, 0, VGPUD_PATH_ROOT, PROPERTIES, "Get", "ss",
                    VGPUD_INTERFACE_MANAGER, "Version");
        assert_call("<as [\"vgpud.conf:1: \"x\" is not \"KEY=VALUE\", ignoring it\"]>", f, 0, VGPUD_PATH_ROOT,
                    PROPERTIES, "Get", "ss", VGPUD_INTERFACE_MANAGER, "ConfigErrors");
        assert_call("<as [\"vgpud.conf:2: [gpu y] matches no GPU\"]>", f, 0, VGPUD_PATH_ROOT, PROPERTIES, "Get",
                    "ss", VGPUD_INTERFACE_MANAGER, "ConfigUnmatched");
}

#define READINESS 0, VGPUD_PATH_ROOT, PROPERTIES, "Get", "ss", VGPUD_INTERFACE_MANAGER, "Readiness"

static void test_readiness(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        GPtrArray *missing = fake_model(f->model)->missing;

        assert_call("<s \"converging\">", f, READINESS);
        assert_call("[] 0", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ListMissing", "a{sv}", 0);

        g_ptr_array_add(missing, g_strdup("GPU mdpy: \xff"));
        g_ptr_array_add(missing, g_strdup("definition desk"));
        fixture_settle(f);
        g_string_truncate(f->log, 0);
        fake_model_set_readiness(f->model, READINESS_DEGRADED);
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==, "~" VGPUD_PATH_ROOT ".Readiness ");
        assert_call("<s \"degraded\">", f, READINESS);
        assert_call("[\"GPU mdpy: \xef\xbf\xbd\", \"definition desk\"] 2", f, 0, VGPUD_PATH_ROOT,
                    VGPUD_INTERFACE_MANAGER, "ListMissing", "a{sv}", 0);
        assert_call("[\"GPU mdpy: \xef\xbf\xbd\"] 2", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER,
                    "ListMissing", "a{sv}", 1, "limit", "u", 1);
        assert_call("[] 2", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ListMissing", "a{sv}", 1, "limit",
                    "u", 0);
        assert_error("InvalidArgs", f, 0, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ListMissing", "a{sv}", 1,
                     "limit", "i", 1);

        /* A client that hears "ready" finds the instance. */
        g_string_truncate(f->log, 0);
        f->model->events->instance_changed(f->a, INSTANCE_CHANGED_STATE, f->model->events_userdata);
        fake_model_set_readiness(f->model, READINESS_READY);
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==, "~" PATH_A ".State ~" VGPUD_PATH_ROOT ".Readiness ");
        assert_call("<s \"ready\">", f, READINESS);
}

static void test_log_control(void)
{
        g_autoptr(Fixture) f = fixture_new(0);
        int before = log_get_max_level();

#define LOG_CONTROL CALL_NAMELESS, "/org/freedesktop/LogControl1", PROPERTIES
#define LOG_LEVEL   "ss", "org.freedesktop.LogControl1", "LogLevel"
        log_set_max_level(LOG_INFO);
        assert_call("<s \"info\">", f, LOG_CONTROL, "Get", LOG_LEVEL);
        assert_call("<s \"auto\">", f, LOG_CONTROL, "Get", "ss", "org.freedesktop.LogControl1", "LogTarget");
        assert_call("<s \"vgpud\">", f, LOG_CONTROL, "Get", "ss", "org.freedesktop.LogControl1",
                    "SyslogIdentifier");

        if (f->uid == 0) {
                assert_call("", f, LOG_CONTROL, "Set", "ssv", "org.freedesktop.LogControl1", "LogLevel", "s",
                            "debug");
                g_assert_cmpint(log_get_max_level(), ==, LOG_DEBUG);
                g_autofree char *got = CALL_TEXT(f, LOG_CONTROL, "Set", "ssv", "org.freedesktop.LogControl1",
                                                 "LogTarget", "s", "kmsg");
                g_assert_true(g_str_has_prefix(got, "org.freedesktop.DBus.Error.InvalidArgs: "));
        }

        log_set_max_level(before);
}

/* A driver's text that is not UTF-8 is converted, because the bus daemon would close the connection. */
static void test_not_utf8(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        VgpuType *type = f->gpu->snapshot->types->pdata[0];
        g_autofree char *got = NULL, *types = NULL;

        g_free(type->description);
        type->description = g_strdup("caf\xe9");
        f->gpu->reason = g_strdup("\xff");
        types = CALL_TEXT(f, 0, PATH_GPU, VGPUD_INTERFACE_GPU, "ListTypes", "a{sv}", 0);
        assert_contains(types, "\"caf\xef\xbf\xbd\"");
        got = CALL_TEXT(f, 0, PATH_GPU, PROPERTIES, "GetAll", "s", VGPUD_INTERFACE_GPU);
        g_assert_nonnull(strstr(got, "{\"Reason\", <s \"\xef\xbf\xbd\">}"));
}

/* Each object has exactly one path; other spellings of the path do not exist. */
static void test_paths(void)
{
        static const char *const nothing[][2] = {
                { VGPUD_PATH_GPU "/nothing", VGPUD_INTERFACE_GPU },
                { VGPUD_PATH_GPU "/_6ddpy", VGPUD_INTERFACE_GPU }, /* "mdpy" with a needless escape */
                { VGPUD_PATH_GPU "/_", VGPUD_INTERFACE_GPU },
                { VGPUD_PATH_GPU, VGPUD_INTERFACE_GPU },
                { VGPUD_PATH_GPU "/mdpy/mdpy", VGPUD_INTERFACE_GPU },
                { VGPUD_PATH_INSTANCE "/AAAAAAAA_0000_4000_8000_00000000000a", VGPUD_INTERFACE_INSTANCE },
                { VGPUD_PATH_INSTANCE "/cccccccc_0000_4000_8000_00000000000c", VGPUD_INTERFACE_INSTANCE },
                { VGPUD_PATH_INSTANCE "/aaaaaaaa", VGPUD_INTERFACE_INSTANCE },
                { VGPUD_PATH_INSTANCE "/mdpy", VGPUD_INTERFACE_INSTANCE },
                { VGPUD_PATH_JOB "/0", VGPUD_INTERFACE_JOB },
                { VGPUD_PATH_JOB "/01", VGPUD_INTERFACE_JOB },
                { VGPUD_PATH_JOB "/2", VGPUD_INTERFACE_JOB },
                { VGPUD_PATH_JOB "/4294967297", VGPUD_INTERFACE_JOB }, /* 1 in 32 bits */
        };
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);

        fake_model_add_job(f->gpu, &fake_kind_rescan, 0);

        for (size_t i = 0; i < G_N_ELEMENTS(nothing); i++) {
                g_autofree char *got = CALL_TEXT(f, 0, nothing[i][0], PROPERTIES, "GetAll", "s", nothing[i][1]);

                /* A node above the objects exists, but it does not have the interface. */
                if (!g_str_has_prefix(got, "org.freedesktop.DBus.Error.UnknownObject") &&
                    !g_str_has_prefix(got, "org.freedesktop.DBus.Error.UnknownInterface"))
                        g_error("%s: %s", nothing[i][0], got);
        }
}

static void test_managed_objects(void)
{
        static const char *const paths[] = { PATH_GPU, PATH_A, PATH_B, VGPUD_PATH_JOB "/1" };
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        g_autofree char *got = NULL;

        fake_model_add_job(f->gpu, &fake_kind_rescan, 0);
        got = CALL_TEXT(f, 0, VGPUD_PATH_ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", "");

        for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
                g_autofree char *key = g_strdup_printf("{\"%s\", [", paths[i]);

                g_assert_nonnull(strstr(got, key));
        }

        g_assert_null(strstr(got, "{\"" VGPUD_PATH_GPU "\","));
        g_assert_nonnull(strstr(got, "{\"Uuid\", <s \"" UUID_B "\">}"));
}

/* ---- signals ---- */

static void change_gpu(Fixture *f, unsigned changes)
{
        f->model->events->gpu_changed(f->gpu, changes, f->model->events_userdata);
}

static void change_instance(Fixture *f, unsigned changes)
{
        f->model->events->instance_changed(f->a, changes, f->model->events_userdata);
}

/* Returns the properties that the introspection of a path declares as announced, in order: ".A.B" */
static char *announced(Fixture *f, const char *path, const char *interface)
{
        g_autoptr(Call) c = call_start(f, 0, path, "org.freedesktop.DBus.Introspectable", "Introspect", "");
        GString *s = g_string_new(NULL);
        const char *xml, *p, *end;

        fixture_settle(f);
        g_assert_cmpint(sd_bus_message_read_basic(c->reply, 's', &xml), >, 0);
        g_autofree char *begin = g_strdup_printf("<interface name=\"%s\">", interface);
        p = strstr(xml, begin);
        g_assert_nonnull(p);
        end = strstr(p, "</interface>");

        while ((p = strstr(p, "<property name=\"")) && p < end) {
                const char *name = p + strlen("<property name=\""), *close = strstr(p, "</property>");
                g_autofree char *property = g_strndup(p, (size_t)(close - p));

                if (!strstr(property, "EmitsChangedSignal")) /* "true" is the default */
                        g_string_append_printf(s, ".%.*s", (int)(strchr(name, '"') - name), name);
                p = close;
        }

        return g_string_free(s, false);
}

static void assert_same_words(const char *a, const char *b)
{
        g_auto(GStrv) x = g_strsplit(a, ".", -1), y = g_strsplit(b, ".", -1);

        g_assert_cmpuint(g_strv_length(x), ==, g_strv_length(y));
        g_assert_cmpuint(g_strv_length(x), >, 2);

        for (size_t i = 0; x[i]; i++)
                if (!g_strv_contains((const char *const *)y, x[i]))
                        g_error("%s: in '%s', not in '%s'", x[i], a, b);
}

static void take_log(Fixture *f, GString *to, const char *path)
{
        g_autofree char *mark = g_strdup_printf("~%s", path);

        fixture_settle(f);
        g_string_replace(f->log, mark, "", 0);
        g_string_replace(f->log, " ", "", 0);
        g_string_append(to, f->log->str);
        g_string_truncate(f->log, 0);
}

/* All bits of changes and all counts together announce exactly the properties that the introspection
 * declares as announced. No property belongs to two bits. */
static void test_every_property_is_announced(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        Job *job = fake_model_add_job(f->gpu, &fake_kind_rescan, 0);
        g_autofree char *gpu = announced(f, PATH_GPU, VGPUD_INTERFACE_GPU);
        g_autofree char *instance = announced(f, PATH_A, VGPUD_INTERFACE_INSTANCE);
        g_autofree char *of_job = announced(f, VGPUD_PATH_JOB "/1", VGPUD_INTERFACE_JOB);
        g_autoptr(GString) got = g_string_new(NULL);

        g_string_truncate(f->log, 0);

        for (unsigned bit = GPU_CHANGED_FACTS; bit <= GPU_CHANGED_KEPT; bit <<= 1) {
                change_gpu(f, bit);
                take_log(f, got, PATH_GPU);
        }

        f->gpu->facts->memory_bytes = 1;
        g_ptr_array_remove_index(f->gpu->snapshot->types, 0);
        fake_model_remove_instance(f->b);
        fixture_settle(f);
        g_assert_true(g_str_has_prefix(f->log->str, "-" PATH_B " "));
        g_string_erase(f->log, 0, strlen("-" PATH_B " "));
        take_log(f, got, PATH_GPU);
        assert_same_words(got->str, gpu);

        g_string_truncate(got, 0);

        for (unsigned bit = INSTANCE_CHANGED_DESC; bit <= INSTANCE_CHANGED_DEFINITION; bit <<= 1) {
                change_instance(f, bit);
                take_log(f, got, PATH_A);
        }

        assert_same_words(got->str, instance);

        g_string_truncate(got, 0);
        f->model->events->job_changed(job, f->model->events_userdata);
        take_log(f, got, VGPUD_PATH_JOB "/1");
        assert_same_words(got->str, of_job);
}

static void test_changes_are_collected(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);

        change_gpu(f, GPU_CHANGED_STATE);
        change_gpu(f, GPU_CHANGED_JOB);
        change_gpu(f, GPU_CHANGED_STATE);
        change_gpu(f, GPU_CHANGED_SCANNED);
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==, "~" PATH_GPU ".State.Reason.Hint.HintId.Stale ");

        g_string_truncate(f->log, 0);
        change_gpu(f, GPU_CHANGED_SCANNED | GPU_CHANGED_JOB);
        change_instance(f, INSTANCE_CHANGED_JOB);
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==, "");
}

/* Signals of instances come before those of their GPU, and all changes before the removal of the GPU. */
static void test_order(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);

        change_gpu(f, GPU_CHANGED_STATE);
        change_instance(f, INSTANCE_CHANGED_STATE);
        fake_model_remove_instance(f->b);
        f->b = NULL;
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==,
                        "-" PATH_B " ~" PATH_A ".State ~" PATH_GPU
                        ".State.Reason.Hint.HintId.Stale.MemoryUsedBytes.InstanceCount ");

        g_string_truncate(f->log, 0);
        change_gpu(f, GPU_CHANGED_STATE);
        fake_model_remove_gpu(f->gpu);
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==, "~" PATH_GPU ".State.Reason.Hint.HintId.Stale -" PATH_GPU " ");
}

/* An instance that is added and removed in one iteration of the event loop is not announced. */
static void test_short_life(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);

        f->model->events->instance_added(f->b, f->model->events_userdata);
        fake_model_remove_instance(f->b);
        f->b = NULL;
        fixture_settle(f);
        g_assert_null(strstr(f->log->str, PATH_B));
}

/* Replaces the snapshot by a copy, as the next scan would do, and reports a change of types. Returns the
 * copy. */
static GpuSnapshot *next_snapshot(Fixture *f)
{
        GpuSnapshot *next = gpu_snapshot_predict(f->gpu->snapshot, NULL, NULL);

        gpu_snapshot_unref(f->gpu->snapshot);
        f->gpu->snapshot = next;
        change_gpu(f, GPU_CHANGED_TYPES);

        return next;
}

/* A new size of the memory is announced. The same size from another source is not. */
static void test_memory_changed(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);

        next_snapshot(f)->memory_bytes = (uint64_t)16 << 30;
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==, "~" PATH_GPU ".MemoryBytes ");

        g_string_truncate(f->log, 0);
        next_snapshot(f)->memory_bytes = 0;
        f->gpu->facts->memory_bytes = (uint64_t)16 << 30;
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==, "");

        f->a->desc->memory_bytes = 1048576;
        change_gpu(f, GPU_CHANGED_SCANNED);
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==, "~" PATH_GPU ".MemoryUsedBytes ");
}

static void test_types_changed(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        VgpuType *type;

        (void)next_snapshot(f);
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==, "");

        type = next_snapshot(f)->types->pdata[1];
        type->available = 2;
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==,
                        "TypesChanged(false [{\"row\", <au [1]>}, {\"available\", <au [2]>}]) ");

        /* Another reason or hint changes the row, even if the number is the same. */
        g_string_truncate(f->log, 0);
        type = next_snapshot(f)->types->pdata[0];
        vgpud_hint_setf(&type->hint, VGPUD_HINT_ENABLE_VFS, "enable some");
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==,
                        "TypesChanged(false [{\"row\", <au [0]>}, {\"available\", <au [0]>}]) ");

        g_string_truncate(f->log, 0);
        type = next_snapshot(f)->types->pdata[0];
        type->max_instances = 9;
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==, "TypesChanged(true []) ");

        g_string_truncate(f->log, 0);
        g_ptr_array_add(next_snapshot(f)->types, vgpu_type_new("zebra"));
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==, "TypesChanged(true []) ~" PATH_GPU ".TypeCount ");
}

/* If more than BUS_CHANGED_ROWS_MAX (128) rows change, the signal has no rows, and tells clients to read the
 * list. */
static void test_many_types_changed(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        const GPtrArray *types;

        for (unsigned i = 0; i < 130; i++) {
                g_autofree char *id = g_strdup_printf("x%03u", i);

                g_ptr_array_add(f->gpu->snapshot->types, vgpu_type_new(id));
        }

        change_gpu(f, GPU_CHANGED_TYPES);
        (void)next_snapshot(f);
        fixture_settle(f);
        g_string_truncate(f->log, 0);
        types = next_snapshot(f)->types;

        for (unsigned i = 0; i < types->len; i++)
                ((VgpuType *)types->pdata[i])->available += 1;
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==, "TypesChanged(true []) ");
}

/* VfsChanged has the VFs whose instance, driver or state has changed. */
static void test_vfs_changed(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);

#define VFS_CHANGED(index, instance) \
        "VfsChanged(false [{\"index\", <au [" index "]>}, {\"instance\", <ao [\"" instance "\"]>}"
        give_vfs(f);
        change_gpu(f, GPU_CHANGED_VFS);
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==, "VfsChanged(true []) ");

        g_string_truncate(f->log, 0);
        put_on(f->a, "0000:08:00.4", "0000:08:00.4");
        f->model->events->instance_added(f->a, f->model->events_userdata);
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==, "+" PATH_A " " VFS_CHANGED("0", PATH_A) "]) ");

        g_string_truncate(f->log, 0);
        gpu_snapshot_add_binding(f->gpu->snapshot, "0000:09:01.1", "vfio-pci", NULL);
        change_gpu(f, GPU_CHANGED_VFS);
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==, VFS_CHANGED("5", "/") ", {\"driver\", <as [\"vfio-pci\"]>}]) ");

        g_string_truncate(f->log, 0);
        ((VgpuVfBinding *)gpu_snapshot_find_binding(f->gpu->snapshot, "0000:09:01.1"))->bound_free = true;
        change_gpu(f, GPU_CHANGED_VFS);
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==, VFS_CHANGED("5", "/") ", {\"state\", <as [\"bound-free\"]>}]) ");

        g_string_truncate(f->log, 0);
        change_instance(f, INSTANCE_CHANGED_STATE);
        fixture_settle(f);
        g_assert_null(strstr(f->log->str, "VfsChanged"));

        g_string_truncate(f->log, 0);
        fake_model_remove_instance(f->a);
        f->a = NULL;
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==,
                        "-" PATH_A " " VFS_CHANGED("0", "/") "]) ~" PATH_GPU ".MemoryUsedBytes.InstanceCount ");

        /* The change is announced before the removal of the GPU. */
        g_string_truncate(f->log, 0);
        put_on(f->b, "0000:08:00.4", "0000:08:00.4");
        change_gpu(f, GPU_CHANGED_VFS);
        fake_model_remove_gpu(f->gpu);
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==, VFS_CHANGED("0", PATH_B) "]) -" PATH_GPU " ");
}

static void test_additions(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        const ModelEvents *events = f->model->events;
        Job *first, *second;

        events->gpu_added(fake_model_add_gpu(f->model, "mtty"), f->model->events_userdata);
        events->instance_added(f->a, f->model->events_userdata);
        first = fake_model_add_job(f->gpu, &fake_kind_rescan, 0);
        events->job_added(first, f->model->events_userdata);
        second = fake_model_add_job(f->gpu, &fake_kind_rescan, 0);
        events->job_added(second, f->model->events_userdata);
        fixture_settle(f);
        /* Job 1 is about to start, and is announced when it starts. */
        g_assert_cmpstr(f->log->str, ==, "+" VGPUD_PATH_GPU "/mtty +" VGPUD_PATH_JOB "/2 +" PATH_A " ");

        g_string_truncate(f->log, 0);
        fake_model_start_job(first);
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==, "+" VGPUD_PATH_JOB "/1 ");
}

/* A job that does not start soon is announced as waiting. */
static void test_late_start(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        Job *job = fake_model_add_job(f->gpu, &fake_kind_rescan, 0);

        f->model->events->job_added(job, f->model->events_userdata);

        while (f->log->len == 0)
                g_assert_cmpint(sd_event_run(f->event, UINT64_MAX), >=, 0);
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==, "+" VGPUD_PATH_JOB "/1 ");

        g_string_truncate(f->log, 0);
        fake_model_start_job(job);
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==, "~" VGPUD_PATH_JOB "/1.State.StartedUsec ");
}

static void test_job_removed(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        Job *job = fake_model_add_job(f->gpu, &fake_kind_destroy, 0);

        g_ptr_array_add(job->uuids, g_strdup(UUID_A));
        f->model->events->job_added(job, f->model->events_userdata);
        fake_model_end_job(job, JOB_DONE, VGPUD_ERROR_NONE, NULL);
        fixture_settle(f);
        g_assert_true(g_str_has_prefix(
                        f->log->str,
                        "+" VGPUD_PATH_JOB "/1 -" VGPUD_PATH_JOB "/1 JobRemoved(1 \"" VGPUD_PATH_JOB
                        "/1\" \"done\" \"\" [{\"kind\", <s \"destroy\">}, {\"gpu\", <o \"" PATH_GPU
                        "\">}, {\"instances\", <ao [\"" PATH_A "\"]>}, {\"started_usec\", "));
        assert_contains(f->log->str, "{\"ended_usec\", ");
        g_assert_null(strstr(f->log->str, "{\"details\", "));
        g_assert_null(strstr(f->log->str, "n_instances"));

        g_string_truncate(f->log, 0);
        fake_model_end_job(fake_model_add_job(f->gpu, &fake_kind_rescan, 0), JOB_FAILED, VGPUD_ERROR_GPU_GONE,
                           "it burned");
        fixture_settle(f);
        assert_contains(f->log->str, "\"failed\" \"org.vgpud1.Error.GpuGone\" [");
        assert_contains(f->log->str, "{\"message\", <s \"it burned\">}");
}

/* A job that starts, removes its instance and ends in one iteration of the event loop is announced before the
 * removal. */
static void test_job_within_a_turn(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        Job *job = fake_model_add_job(f->gpu, &fake_kind_destroy, 0);

        g_ptr_array_add(job->uuids, g_strdup(UUID_A));
        f->model->events->job_added(job, f->model->events_userdata);
        fake_model_start_job(job);
        fake_model_remove_instance(f->a);
        f->a = NULL;
        fake_model_end_job(job, JOB_DONE, VGPUD_ERROR_NONE, NULL);
        fixture_settle(f);
        g_assert_true(g_str_has_prefix(f->log->str, "+" VGPUD_PATH_JOB "/1 -" PATH_A " "));
        assert_contains(f->log->str, " -" VGPUD_PATH_JOB "/1 JobRemoved(");
}

/* An L40S with 32 VFs and 23 types: one create changes the room of each type. */
static Gpu *add_l40s(Fixture *f)
{
        Gpu *gpu = fake_model_add_gpu(f->model, "0000:41:00.0");

        g_ptr_array_set_size(gpu->facts->mdev_parents, 0);
        g_ptr_array_set_size(gpu->snapshot->types, 0);

        if (!gpu->facts->vfs)
                gpu->facts->vfs = g_ptr_array_new_with_free_func(vf_destroy);
        for (unsigned i = 0; i < 32; i++) {
                g_autofree char *name = g_strdup_printf("0000:41:%02x.%u", (i + 4) / 8, (i + 4) % 8);
                g_autofree char *path = g_strdup_printf("devices/pci0000:40/0000:40:01.0/%s", name);

                g_ptr_array_add(gpu->facts->vfs, vgpu_vf_new(i, name, path));
        }

        for (unsigned i = 0; i < 23; i++) {
                g_autofree char *id = g_strdup_printf("nvidia-%u", 1140 + i);
                VgpuType *type = vgpu_type_new(id);

                type->framebuffer_bytes = (uint64_t)4 << 30;
                type->available = 32;
                g_ptr_array_add(gpu->snapshot->types, type);
        }

        f->model->events->gpu_added(gpu, f->model->events_userdata);

        return gpu;
}

static Instance *add_l40s_instance(Fixture *f, Gpu *gpu)
{
        Instance *instance = fake_model_add_instance(gpu, "4f0cd9e1-1111-4222-8333-444455556666",
                                                     INSTANCE_ORIGIN_VGPUD, f->uid, "desk");
        InstanceDesc *d = instance->desc;

        put_on(instance, "0000:41:00.4", "0000:41:00.4");
        g_free(d->type_id);
        d->type_id = g_strdup("nvidia-1155");
        g_free(d->path);
        d->path = g_strdup("devices/pci0000:40/0000:40:01.0/0000:41:00.4");
        f->model->events->instance_added(instance, f->model->events_userdata);

        return instance;
}

/* One create changes the room of all 23 types, and still sends only seven signals, with less than 2 KiB of
 * arguments in total. */
static void test_size_of_create(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        Gpu *gpu = add_l40s(f);
        GpuSnapshot *next;
        Job *job;

        fixture_settle(f);
        g_string_truncate(f->log, 0);
        f->signal_bytes = f->signals = 0;

        job = fake_model_add_job(gpu, &fake_kind_create, f->uid);
        ((FakeJob *)job)->type_id = g_strdup("nvidia-1155");
        g_ptr_array_add(job->uuids, g_strdup("4f0cd9e1-1111-4222-8333-444455556666"));
        f->model->events->job_added(job, f->model->events_userdata);
        f->model->events->gpu_changed(gpu, GPU_CHANGED_JOB, f->model->events_userdata);
        fixture_settle(f);
        fake_model_start_job(job);
        fixture_settle(f);

        next = gpu_snapshot_predict(gpu->snapshot, NULL, NULL);
        gpu_snapshot_unref(gpu->snapshot);
        gpu->snapshot = next;

        for (guint i = 0; i < next->types->len; i++)
                ((VgpuType *)next->types->pdata[i])->available = i == 15 ? 31 : 0;
        (void)add_l40s_instance(f, gpu);
        f->model->events->gpu_changed(gpu, GPU_CHANGED_TYPES | GPU_CHANGED_SCANNED, f->model->events_userdata);
        f->model->events->gpu_changed(gpu, GPU_CHANGED_JOB, f->model->events_userdata);
        fake_model_end_job(job, JOB_DONE, VGPUD_ERROR_NONE, NULL);
        fixture_settle(f);

        g_test_message("%zu bytes in %u signals: %s", f->signal_bytes, f->signals, f->log->str);
        g_assert_cmpuint(f->signals, ==, 7);
        g_assert_cmpuint(f->signal_bytes, <, 2048);
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/objects/gpu", test_gpu_properties);
        g_test_add_func("/objects/gpu-pci", test_pci_gpu_properties);
        g_test_add_func("/objects/memory", test_memory);
        g_test_add_func("/objects/gpu-busy", test_busy_gpu_properties);
        g_test_add_func("/objects/instance", test_instance_properties);
        g_test_add_func("/objects/job", test_job_properties);
        g_test_add_func("/objects/other-jobs", test_other_jobs);
        g_test_add_func("/objects/vfs", test_vfs);
        g_test_add_func("/objects/parents", test_parents);
        g_test_add_func("/objects/modes", test_modes);
        g_test_add_func("/objects/bare-handover", test_bare_handover);
        g_test_add_func("/objects/handover", test_handover);
        g_test_add_func("/objects/log-control", test_log_control);
        g_test_add_func("/objects/version", test_version);
        g_test_add_func("/objects/readiness", test_readiness);
        g_test_add_func("/objects/not-utf8", test_not_utf8);
        g_test_add_func("/objects/paths", test_paths);
        g_test_add_func("/objects/managed", test_managed_objects);
        g_test_add_func("/signals/every-property", test_every_property_is_announced);
        g_test_add_func("/signals/collected", test_changes_are_collected);
        g_test_add_func("/signals/order", test_order);
        g_test_add_func("/signals/short-life", test_short_life);
        g_test_add_func("/signals/memory", test_memory_changed);
        g_test_add_func("/signals/types", test_types_changed);
        g_test_add_func("/signals/many-types", test_many_types_changed);
        g_test_add_func("/signals/vfs", test_vfs_changed);
        g_test_add_func("/signals/late-start", test_late_start);
        g_test_add_func("/signals/size-of-create", test_size_of_create);
        g_test_add_func("/signals/additions", test_additions);
        g_test_add_func("/signals/job-removed", test_job_removed);
        g_test_add_func("/signals/job-within-a-turn", test_job_within_a_turn);

        return g_test_run();
}
