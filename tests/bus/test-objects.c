/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Properties, the tree of objects, and the signals. */

#include <string.h>

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
                { "Types",
                  "a{sa{sv}} [{\"bare\", [{\"Name\", <s \"bare\">}, {\"Description\", <s \"\">}, {\"DeviceApi\", <s \"\">}, {\"Aliases\", <as []>}, {\"Available\", <u 0>}]}, {\"mdpy-xga\", [{\"Name\", <s \"Virtual XGA\">}, {\"Description\", <s \"resolution: 1024x768\nand more\">}, {\"DeviceApi\", <s \"vfio-pci\">}, {\"Aliases\", <as ALIASES>}, {\"Available\", <u 3>}, {\"FramebufferBytes\", <t 3145728>}, {\"LowGmBytes\", <t 64>}, {\"HighGmBytes\", <t 384>}, {\"Fences\", <u 4>}, {\"Weight\", <u 2>}, {\"Heads\", <u 1>}, {\"FrameRateLimit\", <u 60>}, {\"MaxX\", <u 1024>}, {\"MaxY\", <u 768>}, {\"MaxInstances\", <u 8>}, {\"WhyNot\", <s \"no memory is left\">}, {\"Key\", <s \"-/-/-/3/Virtual XGA\">}, {\"Product\", <s \"A2\">}, {\"Class\", <s \"Q\">}, {\"EarlierName\", <s \"Virtual VGA\">}, {\"Mig\", <b true>}, {\"Options\", <a(ss) [(\"quota\", \"bytes\")]>}]}]" },
                { "Vfs", "a(usoss) []" },
                { "Modes", "a{sa{sv}} []" },
                { "Job", "o \"/\"" },
                { "QueuedJobs", "u 0" },
                { "ScannedUsec", "t 1700000000000000" },
                { NULL, NULL },
        };
        g_autoptr(GString) types = g_string_new(NULL);
        g_autoptr(GString) aliases = g_string_new("[");
        g_auto(GStrv) names = vgpu_type_aliases(f->gpu->snapshot->types->pdata[1]);

        for (size_t i = 0; names[i]; i++)
                g_string_append_printf(aliases, "%s\"%s\"", i > 0 ? ", " : "", names[i]);
        g_string_append_c(aliases, ']');
        for (size_t i = 0; bare[i][0]; i++)
                if (strcmp(bare[i][0], "Types") == 0) {
                        g_string_assign(types, bare[i][1]);
                        g_assert_cmpint(g_string_replace(types, "ALIASES", aliases->str, 0), ==, 1);
                        bare[i][1] = types->str;
                }

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
                { "Types", "a{sa{sv}} []" },
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
        gpu_snapshot_unref(g_steal_pointer(&gpu->snapshot));
        assert_properties(f, VGPUD_PATH_GPU "/_30000_3a3b_3a00_2e0", VGPUD_INTERFACE_GPU, expected);
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
        g_autofree char *owner = g_strdup_printf("u %u", (unsigned)f->uid);
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
                { "CreatedUsec", "t 1700000001000000" },
                { "SysfsPath", "s \"/sys/devices/virtual/mdpy/" UUID_A "\"" },
                { "IommuGroup", "i 12" },
                { "Slot", "s \"\"" },
                { "Attributes", "a{ss} []" },
                { "HandOver",
                  "a{sv} [{\"sysfs_path\", <s \"/sys/bus/mdev/devices/" UUID_A
                  "\">}, {\"iommu_group\", <i 12>}, {\"group_node\", <s \"/dev/vfio/12\">}, {\"cdev_node\", <s \"/dev/vfio/devices/vfio3\">}, {\"libvirt_xml\", <s \"<hostdev/>\">}, {\"qemu_args\", <as [\"-device\", \"vfio-pci\"]>}]" },
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
                { "Owner", "u 4294967295" },
                { "CreatedUsec", "t 0" },
                { "IommuGroup", "i -1" },
                { "HandOver",
                  "a{sv} [{\"sysfs_path\", <s \"/sys/bus/mdev/devices/" UUID_B
                  "\">}, {\"libvirt_xml\", <s \"<hostdev/>\">}, {\"qemu_args\", <as [\"-device\", \"vfio-pci\"]>}]" },
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
                { "Gpu", "s \"mdpy\"" },
                { "Instances", "ao [\"" PATH_A "\"]" },
                { "Type", "s \"mdpy-xga\"" },
                { "Vfs", "u 0" },
                { "Mode", "s \"\"" },
                { "Value", "s \"\"" },
                { "Requester", "u 1000" },
                { "CreatedUsec", "t 1700000002000000" },
                { "StartedUsec", "t 1700000003000000" },
                { "TimeoutUsec", "t 120000000" },
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
                { "Kind", "s \"set-vfs\"" }, { "Instances", "ao []" }, { "Vfs", "u 16" },
                { "Mode", "s \"\"" },        { NULL, NULL },
        };
        const char *of_mode[][2] = {
                { "Kind", "s \"configure\"" }, { "Vfs", "u 0" }, { "Mode", "s \"heterogeneous\"" },
                { "Value", "s \"yes\"" },      { NULL, NULL },
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

/* Give the GPU of the fixture two VFs instead of mediated types. */
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

static void test_vfs(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        const char *expected[][2] = {
                { "Vfs", "a(usoss) [(0, \"0000:08:00.4\", \"" PATH_A
                         "\", \"vfio-pci\", \"vfio-pci\"), (5, \"0000:09:01.1\", \"/\", \"\", \"pci-stub\")]" },
                { "Parents", "as [\"0000:08:00.4\", \"0000:09:01.1\"]" },
                { NULL, NULL },
        };
        const char *both[][2] = {
                { "Vfs", "a(usoss) [(0, \"0000:08:00.4\", \"/\", \"\", \"\"), (5, \"0000:09:01.1\", \"" PATH_A
                         "\", \"\", \"\")]" },
                { NULL, NULL },
        };
        const char *slot[][2] = {
                { "Slot", "s \"0000:08:00.4\"" },
                { "Attributes", "a{ss} [{\"vram_quota\", \"1073741824\"}]" },
                { NULL, NULL },
        };

        give_vfs(f);
        put_on(f->a, "0000:08:00.4", "mdpy"); /* the instance is the VF */
        f->a->desc->attributes = g_ptr_array_new_with_free_func(attribute_destroy);
        g_ptr_array_add(f->a->desc->attributes, vgpu_attribute_new("vram_quota", "1073741824"));
        gpu_snapshot_add_binding(f->gpu->snapshot, "0000:08:00.4", "vfio-pci", "vfio-pci");
        gpu_snapshot_add_binding(f->gpu->snapshot, "0000:09:01.1", NULL, "pci-stub");
        assert_properties(f, PATH_GPU, VGPUD_INTERFACE_GPU, expected);
        assert_properties(f, PATH_A, VGPUD_INTERFACE_INSTANCE, slot);
        g_ptr_array_set_size(f->gpu->snapshot->bindings, 0);
        put_on(f->b, NULL, "0000:09:01.1"); /* both instances are on the VF */
        put_on(f->a, NULL, "0000:09:01.1");
        assert_properties(f, PATH_GPU, VGPUD_INTERFACE_GPU, both);
}

/* A GPU without VFs is the only parent, once prepared. */
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
                { "Reason", "s \"no VFs\"" },
                { "Modes",
                  "a{sa{sv}} [{\"heterogeneous\", [{\"Value\", <s \"no\">}, {\"Choices\", <as [\"no\", \"yes\"]>}, {\"Help\", <s \"types of several sizes\">}]}, {\"partition\", [{\"Value\", <s \"NPS1\">}]}]" },
                { NULL, NULL },
        };

        f->gpu->state = GPU_UNPREPARED;
        f->gpu->reason = g_strdup("no VFs");

        if (!f->gpu->snapshot->modes)
                f->gpu->snapshot->modes = g_ptr_array_new_with_free_func(mode_destroy);
        g_ptr_array_add(f->gpu->snapshot->modes,
                        vgpu_mode_new("heterogeneous", "no", choices, "types of several sizes"));
        g_ptr_array_add(f->gpu->snapshot->modes, vgpu_mode_new("partition", "NPS1", NULL, NULL));
        assert_properties(f, PATH_GPU, VGPUD_INTERFACE_GPU, expected);
}

/* A back end may have neither XML nor arguments of QEMU. */
static Handover *bare_handover(const InstanceDesc *desc)
{
        Handover *h = g_new0(Handover, 1);

        h->sysfs_path = g_strdup("/sys/kernel/vgt/vm3");
        h->iommu_group = -1;

        return h;
}

static void test_bare_handover(void)
{
        static const VgpuDriver bare = { .name = "bare", .handover = bare_handover };
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        const char *expected[][2] = {
                { "HandOver", "a{sv} [{\"sysfs_path\", <s \"/sys/kernel/vgt/vm3\">}]" },
                { NULL, NULL },
        };

        f->gpu->driver = &bare;
        assert_properties(f, PATH_A, VGPUD_INTERFACE_INSTANCE, expected);
}

static void test_version(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);

        assert_call("<s \"" PROJECT_VERSION "\">", f, 0, VGPUD_PATH_ROOT, PROPERTIES, "Get", "ss",
                    VGPUD_INTERFACE_MANAGER, "Version");
        assert_call("<as [\"vgpud.conf:1: \"x\" is not \"KEY=VALUE\", ignoring it\"]>", f, 0, VGPUD_PATH_ROOT,
                    PROPERTIES, "Get", "ss", VGPUD_INTERFACE_MANAGER, "ConfigErrors");
}

/* Text of a driver may not be UTF-8; on the bus it must be, or the bus daemon ends the connection. */
static void test_not_utf8(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        VgpuType *type = f->gpu->snapshot->types->pdata[0];
        g_autofree char *got = NULL;

        g_free(type->description);
        type->description = g_strdup("caf\xe9");
        f->gpu->reason = g_strdup("\xff");
        got = CALL_TEXT(f, 0, PATH_GPU, PROPERTIES, "GetAll", "s", VGPUD_INTERFACE_GPU);
        g_assert_nonnull(strstr(got, "<s \"caf\xef\xbf\xbd\">"));
        g_assert_nonnull(strstr(got, "{\"Reason\", <s \"\xef\xbf\xbd\">}"));
}

/* Each object has one path. */
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
                { VGPUD_PATH_JOB "/4294967297", VGPUD_INTERFACE_JOB },
        };
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);

        fake_model_add_job(f->gpu, &fake_kind_rescan, 0);

        for (size_t i = 0; i < G_N_ELEMENTS(nothing); i++) {
                g_autofree char *got = CALL_TEXT(f, 0, nothing[i][0], PROPERTIES, "GetAll", "s", nothing[i][1]);

                /* A folder is an object without the interface. */
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

/* The announced properties according to the introspection of a path, in order: ".A.B" */
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

/* All bits (except GPU_CHANGED_VFS, see test_occupancy()) announce every property that claims to be announced,
 * and no other. No property belongs to two bits. */
static void test_every_property_is_announced(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        Job *job = fake_model_add_job(f->gpu, &fake_kind_rescan, 0);
        g_autofree char *gpu = announced(f, PATH_GPU, VGPUD_INTERFACE_GPU);
        g_autofree char *instance = announced(f, PATH_A, VGPUD_INTERFACE_INSTANCE);
        g_autofree char *of_job = announced(f, VGPUD_PATH_JOB "/1", VGPUD_INTERFACE_JOB);

        g_string_truncate(f->log, 0);

        for (unsigned bit = GPU_CHANGED_FACTS; bit <= GPU_CHANGED_MODES; bit <<= 1) {
                change_gpu(f, bit);
                fixture_settle(f);
        }

        g_string_replace(f->log, "~" PATH_GPU, "", 0);
        g_string_replace(f->log, " ", "", 0);
        assert_same_words(f->log->str, gpu);

        g_string_truncate(f->log, 0);

        for (unsigned bit = INSTANCE_CHANGED_DESC; bit <= INSTANCE_CHANGED_JOB; bit <<= 1) {
                change_instance(f, bit);
                fixture_settle(f);
        }

        g_string_replace(f->log, "~" PATH_A, "", 0);
        g_string_replace(f->log, " ", "", 0);
        assert_same_words(f->log->str, instance);

        g_string_truncate(f->log, 0);
        f->model->events->job_changed(job, f->model->events_userdata);
        fixture_settle(f);
        g_string_replace(f->log, "~" VGPUD_PATH_JOB "/1", "", 0);
        g_string_replace(f->log, " ", "", 0);
        assert_same_words(f->log->str, of_job);
}

static void test_changes_are_collected(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);

        change_gpu(f, GPU_CHANGED_STATE);
        change_gpu(f, GPU_CHANGED_JOB);
        change_gpu(f, GPU_CHANGED_STATE);
        change_gpu(f, GPU_CHANGED_SCANNED);
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==, "~" PATH_GPU ".State.Reason.Stale.Job.QueuedJobs ");

        g_string_truncate(f->log, 0);
        change_gpu(f, GPU_CHANGED_SCANNED);
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==, "");
}

/* Changes are announced before a removal. */
static void test_changes_come_before_removals(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);

        change_gpu(f, GPU_CHANGED_TYPES);
        change_instance(f, INSTANCE_CHANGED_STATE);
        fake_model_remove_instance(f->a);
        f->a = NULL;
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==, "~" PATH_GPU ".Types ~" PATH_A ".State -" PATH_A " ");

        g_string_truncate(f->log, 0);
        fake_model_remove_instance(f->b);
        change_gpu(f, GPU_CHANGED_JOB);
        fake_model_remove_gpu(f->gpu);
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==, "-" PATH_B " ~" PATH_GPU ".Job.QueuedJobs -" PATH_GPU " ");
}

/* Gpu.Vfs is announced when the instance on a VF changes. */
static void test_occupancy(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);

        give_vfs(f);
        put_on(f->a, "0000:08:00.4", "0000:08:00.4");
        f->model->events->instance_added(f->a, f->model->events_userdata);
        f->model->events->instance_added(f->b, f->model->events_userdata); /* not on a VF */
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==, "+" PATH_A " +" PATH_B " ~" PATH_GPU ".Vfs ");

        g_string_truncate(f->log, 0);
        change_instance(f, INSTANCE_CHANGED_STATE);
        fixture_settle(f);
        g_assert_null(strstr(f->log->str, ".Vfs"));
        change_instance(f, INSTANCE_CHANGED_DESC);
        fixture_settle(f);
        g_assert_nonnull(strstr(f->log->str, "~" PATH_GPU ".Vfs "));
        g_string_truncate(f->log, 0);
        change_gpu(f, GPU_CHANGED_VFS);
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==, "~" PATH_GPU ".Vfs ");

        g_string_truncate(f->log, 0);
        fake_model_remove_instance(f->a);
        f->a = NULL;
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==, "-" PATH_A " ~" PATH_GPU ".Vfs ");

        /* Once, even if the facts changed too, and before the GPU goes. */
        g_string_truncate(f->log, 0);
        put_on(f->b, "0000:08:00.4", "0000:08:00.4");
        fake_model_remove_instance(f->b);
        change_gpu(f, GPU_CHANGED_FACTS);
        fake_model_remove_gpu(f->gpu);
        fixture_settle(f);
        g_assert_true(g_str_has_suffix(f->log->str, ".Vfs -" PATH_GPU " "));
        g_assert_null(strstr(strstr(f->log->str, ".Vfs") + 1, ".Vfs"));
}

static void test_additions(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        const ModelEvents *events = f->model->events;

        events->gpu_added(fake_model_add_gpu(f->model, "mtty"), f->model->events_userdata);
        events->instance_added(f->a, f->model->events_userdata);
        events->job_added(fake_model_add_job(f->gpu, &fake_kind_rescan, 0), f->model->events_userdata);
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==, "+" VGPUD_PATH_GPU "/mtty +" PATH_A " +" VGPUD_PATH_JOB "/1 ");
}

static void test_job_removed(void)
{
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);
        Job *job = fake_model_add_job(f->gpu, &fake_kind_destroy, 0);

        g_ptr_array_add(job->uuids, g_strdup(UUID_A));
        f->model->events->job_changed(job, f->model->events_userdata);
        fake_model_end_job(job, JOB_DONE, VGPUD_ERROR_NONE, NULL);
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==,
                        "~" VGPUD_PATH_JOB "/1.State.StartedUsec -" VGPUD_PATH_JOB
                        "/1 JobRemoved(1 \"" VGPUD_PATH_JOB "/1\" \"done\" \"\" \"\" [\"" PATH_A "\"]) ");

        g_string_truncate(f->log, 0);
        fake_model_end_job(fake_model_add_job(f->gpu, &fake_kind_rescan, 0), JOB_FAILED, VGPUD_ERROR_GPU_GONE,
                           "it went away");
        fixture_settle(f);
        g_assert_cmpstr(f->log->str, ==,
                        "-" VGPUD_PATH_JOB "/2 JobRemoved(2 \"" VGPUD_PATH_JOB
                        "/2\" \"failed\" \"org.vgpud1.Error.GpuGone\" \"it went away\" []) ");
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/objects/gpu", test_gpu_properties);
        g_test_add_func("/objects/gpu-pci", test_pci_gpu_properties);
        g_test_add_func("/objects/gpu-busy", test_busy_gpu_properties);
        g_test_add_func("/objects/instance", test_instance_properties);
        g_test_add_func("/objects/job", test_job_properties);
        g_test_add_func("/objects/other-jobs", test_other_jobs);
        g_test_add_func("/objects/vfs", test_vfs);
        g_test_add_func("/objects/parents", test_parents);
        g_test_add_func("/objects/modes", test_modes);
        g_test_add_func("/objects/bare-handover", test_bare_handover);
        g_test_add_func("/objects/version", test_version);
        g_test_add_func("/objects/not-utf8", test_not_utf8);
        g_test_add_func("/objects/paths", test_paths);
        g_test_add_func("/objects/managed", test_managed_objects);
        g_test_add_func("/signals/every-property", test_every_property_is_announced);
        g_test_add_func("/signals/collected", test_changes_are_collected);
        g_test_add_func("/signals/removals", test_changes_come_before_removals);
        g_test_add_func("/signals/occupancy", test_occupancy);
        g_test_add_func("/signals/additions", test_additions);
        g_test_add_func("/signals/job-removed", test_job_removed);

        return g_test_run();
}
