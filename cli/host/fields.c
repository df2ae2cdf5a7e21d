/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/host/fields.h"

#include "cli/host/values.h"
#include "cli/output/errors.h"
#include "dbus/bus-names.h"

#define GPU(p, k, s, f)                           \
        {                                         \
                p, #k, s, offsetof(GpuInfo, k), f \
        }
static const Field gpu_fields[] = {
        { NULL, "object_path", "o", offsetof(GpuInfo, path), 0 },
        GPU("Name", name, "s", 0),
        GPU("SysfsPath", sysfs_path, "s", NULL_IF_EMPTY),
        GPU("Subsystem", subsystem, "s", NULL_IF_EMPTY),
        GPU("VendorId", vendor_id, "q", NULL_IF_ZERO | IS_HEX4),
        GPU("DeviceId", device_id, "q", NULL_IF_ZERO | IS_HEX4),
        GPU("SubsystemVendorId", subsystem_vendor_id, "q", NULL_IF_ZERO | IS_HEX4),
        GPU("SubsystemDeviceId", subsystem_device_id, "q", NULL_IF_ZERO | IS_HEX4),
        GPU("Class", class, "u", NULL_IF_ZERO | IS_HEX6),
        GPU("VendorName", vendor_name, "s", NULL_IF_EMPTY),
        GPU("DeviceName", device_name, "s", NULL_IF_EMPTY),
        GPU("Driver", driver, "s", NULL_IF_EMPTY),
        GPU("BackEnd", back_end, "s", NULL_IF_EMPTY),
        GPU("State", state, "s", 0),
        GPU("Reason", reason, "s", NULL_IF_EMPTY),
        GPU("Hint", hint, "s", NULL_IF_EMPTY),
        GPU("HintId", hint_id, "s", NULL_IF_EMPTY),
        GPU("Stale", stale, "b", 0),
        GPU("NumaNode", numa_node, "i", NULL_IF_NEGATIVE),
        GPU("IommuGroup", iommu_group, "i", NULL_IF_NEGATIVE),
        GPU("LinkSpeed", link_speed, "s", NULL_IF_EMPTY),
        GPU("LinkSpeedMax", link_speed_max, "s", NULL_IF_EMPTY),
        GPU("LinkWidth", link_width, "u", NULL_IF_ZERO),
        GPU("LinkWidthMax", link_width_max, "u", NULL_IF_ZERO),
        GPU("BootDisplay", boot_display, "b", 0),
        GPU("TotalVfs", total_vfs, "u", 0),
        GPU("EnabledVfs", enabled_vfs, "u", 0),
        GPU("MemoryBytes", memory_bytes, "t", NULL_IF_MAX),
        GPU("MemoryUsedBytes", memory_used_bytes, "t", NULL_IF_MAX),
        GPU("InstanceCount", instance_count, "u", 0),
        GPU("TypeCount", type_count, "u", 0),
        GPU("Job", job, "o", IS_JOB | NOT_ANNOUNCED),
        GPU("QueuedJobs", queued_jobs, "u", NOT_ANNOUNCED),
        GPU("ScannedUsec", scanned_usec, "t", NULL_IF_ZERO | NOT_ANNOUNCED),
        GPU("KeptVfs", kept_vfs, "i", NULL_IF_NEGATIVE),
        GPU("KeptReason", kept_reason, "s", NULL_IF_EMPTY),
        GPU("Parents", parents, "as", ONLY_FULL),
        GPU("Modes", modes, "a{sa{sv}}", ONLY_FULL),
        GPU("KeptModes", kept_modes, "a{ss}", ONLY_FULL),
};
#undef GPU

#define INSTANCE(p, k, s, f)                           \
        {                                              \
                p, #k, s, offsetof(InstanceInfo, k), f \
        }
static const Field instance_fields[] = {
        { NULL, "object_path", "o", offsetof(InstanceInfo, path), 0 },
        INSTANCE("Uuid", uuid, "s", 0),
        INSTANCE("Name", name, "s", NULL_IF_EMPTY),
        INSTANCE("Gpu", gpu, "o", IS_GPU),
        INSTANCE("Parent", parent, "s", NULL_IF_EMPTY),
        INSTANCE("Slot", slot, "s", NULL_IF_EMPTY),
        INSTANCE("Type", type, "s", NULL_IF_EMPTY),
        INSTANCE("TypeName", type_name, "s", NULL_IF_EMPTY),
        INSTANCE("DeviceApi", device_api, "s", NULL_IF_EMPTY),
        INSTANCE("Driver", driver, "s", NULL_IF_EMPTY),
        INSTANCE("Origin", origin, "s", 0),
        INSTANCE("State", state, "s", 0),
        INSTANCE("Owner", owner, "s", NULL_IF_EMPTY),
        INSTANCE("CreatedUsec", created_usec, "t", NULL_IF_ZERO),
        INSTANCE("MemoryBytes", memory_bytes, "t", NULL_IF_MAX),
        INSTANCE("IommuGroup", iommu_group, "i", NULL_IF_NEGATIVE),
        INSTANCE("Job", job, "o", IS_JOB | NOT_ANNOUNCED),
        INSTANCE("Definition", definition, "s", NULL_IF_EMPTY),
        INSTANCE("SysfsPath", sysfs_path, "s", NULL_IF_EMPTY | ONLY_FULL),
        INSTANCE("Attributes", attributes, "a(ss)", ONLY_FULL),
};
#undef INSTANCE

#define DEFINITION(k, s, f)                                 \
        {                                                   \
                NULL, #k, s, offsetof(DefinitionInfo, k), f \
        }
static const Field definition_fields[] = {
        DEFINITION(uuid, "s", 0),
        DEFINITION(name, "s", NULL_IF_EMPTY),
        DEFINITION(type, "s", 0),
        DEFINITION(gpu, "s", NULL_IF_EMPTY),
        DEFINITION(parent, "s", NULL_IF_EMPTY),
        DEFINITION(pool, "s", NULL_IF_EMPTY),
        DEFINITION(owner, "s", NULL_IF_EMPTY),
        DEFINITION(created_usec, "t", NULL_IF_ZERO),
        DEFINITION(state, "s", NOT_ANNOUNCED),
        DEFINITION(differs, "b", NOT_ANNOUNCED),
        DEFINITION(autostart, "b", 0),
        DEFINITION(reason, "s", NULL_IF_EMPTY),
        DEFINITION(hint, "s", NULL_IF_EMPTY),
        DEFINITION(hint_id, "s", NULL_IF_EMPTY),
        DEFINITION(attributes, "a(ss)", ONLY_FULL),
};
#undef DEFINITION

#define JOB(p, k, s, f)                           \
        {                                         \
                p, #k, s, offsetof(JobInfo, k), f \
        }
static const Field job_fields[] = {
        { NULL, "object_path", "o", offsetof(JobInfo, path), 0 },
        JOB("Id", id, "u", 0),
        JOB("Kind", kind, "s", 0),
        JOB("State", state, "s", 0),
        JOB(NULL, result, "s", NULL_IF_EMPTY),
        JOB("Gpu", gpu, "o", IS_GPU),
        JOB("Instances", instances, "ao", IS_INSTANCES),
        JOB(NULL, n_instances, "u", 0),
        JOB("Requester", requester, "u", NULL_IF_MAX),
        JOB("CreatedUsec", created_usec, "t", NULL_IF_ZERO),
        JOB("StartedUsec", started_usec, "t", NULL_IF_ZERO),
        JOB(NULL, ended_usec, "t", NULL_IF_ZERO),
        JOB("Details", details, "a{sv}", 0),
        JOB(NULL, error_name, "s", NULL_IF_EMPTY),
        JOB(NULL, message, "s", NULL_IF_EMPTY),
        JOB(NULL, hint, "s", NULL_IF_EMPTY),
        JOB(NULL, hint_id, "s", NULL_IF_EMPTY),
        JOB(NULL, failures, "aa{sv}", 0),
        JOB(NULL, n_failures, "u", 0),
};
#undef JOB

#define TYPE(k, s, f)                                 \
        {                                             \
                NULL, #k, s, offsetof(TypeInfo, k), f \
        }
static const Field type_field_rows[] = {
        TYPE(id, "s", 0),
        TYPE(name, "s", 0),
        TYPE(description, "s", NULL_IF_EMPTY),
        TYPE(device_api, "s", NULL_IF_EMPTY),
        TYPE(aliases, "as", 0),
        TYPE(key, "s", NULL_IF_EMPTY),
        TYPE(product, "s", NULL_IF_EMPTY),
        TYPE(class, "s", NULL_IF_EMPTY),
        TYPE(earlier_name, "s", NULL_IF_EMPTY),
        TYPE(mig, "b", 0),
        TYPE(options, "a(ss)", 0),
        TYPE(framebuffer_bytes, "t", IS_NUMBER),
        TYPE(low_gm_bytes, "t", IS_NUMBER),
        TYPE(high_gm_bytes, "t", IS_NUMBER),
        TYPE(fences, "u", IS_NUMBER),
        TYPE(weight, "u", IS_NUMBER),
        TYPE(heads, "u", IS_NUMBER),
        TYPE(frame_rate_limit, "u", IS_NUMBER),
        TYPE(max_x, "u", IS_NUMBER),
        TYPE(max_y, "u", IS_NUMBER),
        TYPE(max_instances, "u", IS_NUMBER),
};
#undef TYPE

#define VF(k, s)                                    \
        {                                           \
                NULL, #k, s, offsetof(VfInfo, k), 0 \
        }
static const Field vf_field_rows[] = {
        VF(index, "u"),           VF(name, "s"),  VF(instance, "o"), VF(driver, "s"),
        VF(driver_override, "s"), VF(state, "s"),
};
#undef VF

#define TABLE(t)                   \
        {                          \
                t, G_N_ELEMENTS(t) \
        }
const FieldTable type_fields = TABLE(type_field_rows);
const FieldTable vf_fields = TABLE(vf_field_rows);

const ObjectKindInfo object_kinds[_OBJECT_KIND_MAX] = {
        [OBJECT_GPU] = { "gpu", VGPUD_INTERFACE_GPU, TABLE(gpu_fields), sizeof(GpuInfo) },
        [OBJECT_INSTANCE] = { "instance", VGPUD_INTERFACE_INSTANCE, TABLE(instance_fields),
                              sizeof(InstanceInfo) },
        [OBJECT_DEFINITION] = { "definition", NULL, TABLE(definition_fields), sizeof(DefinitionInfo) },
        [OBJECT_JOB] = { "job", VGPUD_INTERFACE_JOB, TABLE(job_fields), sizeof(JobInfo) },
};

const char *object_kind_to_string(ObjectKind kind)
{
        g_assert(kind >= 0 && kind < _OBJECT_KIND_MAX);

        return object_kinds[kind].name;
}

ObjectKind object_kind_from_interface(const char *interface)
{
        for (ObjectKind k = 0; k < _OBJECT_KIND_MAX; k++)
                if (g_strcmp0(object_kinds[k].interface, interface) == 0)
                        return k;

        return _OBJECT_KIND_INVALID;
}

const Field *field_find(const FieldTable *t, const char *key)
{
        g_assert(t->n_fields > 0);

        for (size_t i = 0; i < t->n_fields; i++)
                if (strcmp(t->fields[i].key, key) == 0)
                        return &t->fields[i];

        return NULL;
}

const Field *field_find_property(const FieldTable *t, const char *property)
{
        for (size_t i = 0; i < t->n_fields; i++)
                if (t->fields[i].property && strcmp(t->fields[i].property, property) == 0)
                        return &t->fields[i];

        return NULL;
}

/* Compares characters, not strings, because the function runs for each value that is read. */
FieldForm field_form(const Field *f)
{
        const char *signature = f->signature;

        if (signature[0] == 's' || signature[0] == 'o')
                return FORM_TEXT;

        if (signature[0] != 'a') {
                g_assert(signature[1] == 0);
                return FORM_NUMBER;
        }

        switch (signature[1]) {
        case 's':
        case 'o':
                return FORM_LIST;
        case '(':
                return FORM_PAIRS;
        case 'a':
                return FORM_FAILURES;
        case '{':
                return signature[3] == 'a' ? FORM_MODES : signature[3] == 's' ? FORM_PAIRS : FORM_DETAILS;
        default:
                g_assert_not_reached();
        }
}

static void field_init(const Field *f, void *object)
{
        switch (field_form(f)) {
        case FORM_TEXT:
                *AT(char *, object, f) = g_strdup("");
                break;
        case FORM_LIST:
                *AT(char **, object, f) = g_new0(char *, 1);
                break;
        case FORM_PAIRS:
                *AT(GPtrArray *, object, f) = pairs_new();
                break;
        case FORM_MODES:
                *AT(GPtrArray *, object, f) = modes_new();
                break;
        case FORM_FAILURES:
                *AT(GPtrArray *, object, f) = failures_new();
                break;
        case FORM_DETAILS:
                *AT(JobDetails, object, f) = JOB_DETAILS_INIT;
                break;
        case FORM_NUMBER:
                if (f->flags & IS_NUMBER)
                        *AT(int64_t, object, f) = -1;
                else if (f->flags & NULL_IF_NEGATIVE)
                        *AT(int32_t, object, f) = -1;
                else if ((f->flags & NULL_IF_MAX) && f->signature[0] == 'u')
                        *AT(uint32_t, object, f) = UINT32_MAX;
                else if (f->flags & NULL_IF_MAX)
                        *AT(uint64_t, object, f) = UINT64_MAX;

                break;
        default:
                g_assert_not_reached();
        }
}

void fields_init(const FieldTable *t, void *object)
{
        for (size_t i = 0; i < t->n_fields; i++)
                field_init(&t->fields[i], object);
}

void fields_done(const FieldTable *t, void *object)
{
        for (size_t i = 0; i < t->n_fields; i++) {
                const Field *f = &t->fields[i];

                switch (field_form(f)) {
                case FORM_TEXT:
                        g_free(*AT(char *, object, f));
                        break;
                case FORM_LIST:
                        g_strfreev(*AT(char **, object, f));
                        break;
                case FORM_PAIRS:
                case FORM_MODES:
                case FORM_FAILURES:
                        g_ptr_array_unref(*AT(GPtrArray *, object, f));
                        break;
                case FORM_DETAILS:
                        job_details_done(AT(JobDetails, object, f));
                        break;
                case FORM_NUMBER:
                        break;
                default:
                        g_assert_not_reached();
                }
        }
}
