/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/host/fields.h"

#include "dbus/bus-names.h"

#define GPU(p, k, s, f)                           \
        {                                         \
                p, #k, s, offsetof(GpuInfo, k), f \
        }
static const Field gpu_fields[] = {
        GPU("Name", name, "s", 0),
        GPU("SysfsPath", sysfs_path, "s", 0),
        GPU("Subsystem", subsystem, "s", NULL_IF_EMPTY),
        GPU("VendorId", vendor_id, "q", NULL_IF_ZERO),
        GPU("DeviceId", device_id, "q", NULL_IF_ZERO),
        GPU("SubsystemVendorId", subsystem_vendor_id, "q", NULL_IF_ZERO),
        GPU("SubsystemDeviceId", subsystem_device_id, "q", NULL_IF_ZERO),
        GPU("Class", class, "u", NULL_IF_ZERO),
        GPU("VendorName", vendor_name, "s", NULL_IF_EMPTY),
        GPU("DeviceName", device_name, "s", NULL_IF_EMPTY),
        GPU("Driver", driver, "s", NULL_IF_EMPTY),
        GPU("BackEnd", back_end, "s", NULL_IF_EMPTY),
        GPU("State", state, "s", 0),
        GPU("Reason", reason, "s", NULL_IF_EMPTY),
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
        GPU("Vfs", vfs, "a(usoss)", 0),
        GPU("Parents", parents, "as", 0),
        GPU("Types", types, "a{sa{sv}}", 0),
        GPU("Modes", modes, "a{sa{sv}}", IS_MODES),
        GPU("Job", job, "o", IS_JOB),
        GPU("QueuedJobs", queued_jobs, "u", 0),
        GPU("ScannedUsec", scanned_usec, "t", NULL_IF_ZERO),
};
#undef GPU

#define INSTANCE(p, k, s, f)                           \
        {                                              \
                p, #k, s, offsetof(InstanceInfo, k), f \
        }
static const Field instance_fields[] = {
        INSTANCE("Uuid", uuid, "s", 0),
        INSTANCE("Name", name, "s", NULL_IF_EMPTY),
        INSTANCE("Gpu", gpu, "o", IS_GPU),
        INSTANCE("Parent", parent, "s", 0),
        INSTANCE("Slot", slot, "s", NULL_IF_EMPTY),
        INSTANCE("Type", type, "s", NULL_IF_EMPTY),
        INSTANCE("TypeName", type_name, "s", NULL_IF_EMPTY),
        INSTANCE("DeviceApi", device_api, "s", NULL_IF_EMPTY),
        INSTANCE("Driver", driver, "s", NULL_IF_EMPTY),
        INSTANCE("Origin", origin, "s", 0),
        INSTANCE("State", state, "s", 0),
        INSTANCE("Owner", owner, "u", NULL_IF_MAX),
        INSTANCE("CreatedUsec", created_usec, "t", NULL_IF_ZERO),
        INSTANCE("SysfsPath", sysfs_path, "s", 0),
        INSTANCE("IommuGroup", iommu_group, "i", NULL_IF_NEGATIVE),
        INSTANCE("Attributes", attributes, "a{ss}", 0),
        INSTANCE("HandOver", hand_over, "a{sv}", 0),
        INSTANCE("Job", job, "o", IS_JOB),
};
#undef INSTANCE

#define JOB(p, k, s, f)                           \
        {                                         \
                p, #k, s, offsetof(JobInfo, k), f \
        }
static const Field job_fields[] = {
        JOB("Id", id, "u", 0),
        JOB("Kind", kind, "s", 0),
        JOB("State", state, "s", 0),
        JOB("Gpu", gpu, "s", 0),
        JOB("Instances", instances, "ao", IS_INSTANCES),
        JOB("Type", type, "s", NULL_IF_EMPTY),
        JOB("Vfs", vfs, "u", NULL_UNLESS_VFS),
        JOB("Mode", mode, "s", NULL_IF_EMPTY),
        JOB("Value", value, "s", NULL_IF_EMPTY),
        JOB("Requester", requester, "u", 0),
        JOB("CreatedUsec", created_usec, "t", NULL_IF_ZERO),
        JOB("StartedUsec", started_usec, "t", NULL_IF_ZERO),
        JOB("TimeoutUsec", timeout_usec, "t", NULL_IF_ZERO),
};
#undef JOB

#define TYPE(p, k, s)                              \
        {                                          \
                p, #k, s, offsetof(TypeInfo, k), 0 \
        }
static const Field type_value_fields[] = {
        TYPE("Name", name, "s"),
        TYPE("Description", description, "s"),
        TYPE("DeviceApi", device_api, "s"),
        TYPE("Aliases", aliases, "as"),
        TYPE("WhyNot", why_not, "s"),
        TYPE("Key", key, "s"),
        TYPE("Product", product, "s"),
        TYPE("Class", class, "s"),
        TYPE("EarlierName", earlier_name, "s"),
        TYPE("Mig", mig, "b"),
        TYPE("Options", options, "a(ss)"),
};
static const Field type_number_fields[] = {
        TYPE("Available", available, "u"),
        TYPE("MaxInstances", max_instances, "u"),
        TYPE("FramebufferBytes", framebuffer_bytes, "t"),
        TYPE("LowGmBytes", low_gm_bytes, "t"),
        TYPE("HighGmBytes", high_gm_bytes, "t"),
        TYPE("Fences", fences, "u"),
        TYPE("Weight", weight, "u"),
        TYPE("Heads", heads, "u"),
        TYPE("FrameRateLimit", frame_rate_limit, "u"),
        TYPE("MaxX", max_x, "u"),
        TYPE("MaxY", max_y, "u"),
};
#undef TYPE

#define TABLE(t)                   \
        {                          \
                t, G_N_ELEMENTS(t) \
        }
const FieldTable type_values = TABLE(type_value_fields);
const FieldTable type_numbers = TABLE(type_number_fields);

const ObjectKindInfo object_kinds[_OBJECT_KIND_MAX] = {
        [OBJECT_GPU] = { "gpu", VGPUD_INTERFACE_GPU, TABLE(gpu_fields), sizeof(GpuInfo) },
        [OBJECT_INSTANCE] = { "instance", VGPUD_INTERFACE_INSTANCE, TABLE(instance_fields),
                              sizeof(InstanceInfo) },
        [OBJECT_JOB] = { "job", VGPUD_INTERFACE_JOB, TABLE(job_fields), sizeof(JobInfo) },
};

const char *object_kind_to_string(ObjectKind kind)
{
        return (int)kind >= 0 && kind < _OBJECT_KIND_MAX ? object_kinds[kind].name : NULL;
}

ObjectKind object_kind_from_interface(const char *interface)
{
        for (ObjectKind k = 0; k < _OBJECT_KIND_MAX; k++)
                if (strcmp(object_kinds[k].interface, interface) == 0)
                        return k;

        return _OBJECT_KIND_INVALID;
}
