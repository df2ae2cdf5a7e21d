/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A libnvidia-ml.so.1 for tests: the part of NVIDIA's management library that vgpud-nvml calls, for the cards
 * of the simulated host behind the control socket $SIMHOST_CONTROL. Like the real library, it keeps all GPUs
 * open from nvmlInit to nvmlShutdown, or to the end of the process. nvidia-control.c computes the answers.
 */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Values of nvmlReturn_t. */
enum {
        SUCCESS = 0,
        UNINITIALIZED = 1,
        INVALID_ARGUMENT = 2,
        NOT_SUPPORTED = 3,
        NO_PERMISSION = 4,
        NOT_FOUND = 6,
        INSUFFICIENT_SIZE = 7,
        DRIVER_NOT_LOADED = 9,
        RESET_REQUIRED = 16,
        IN_USE = 19,
        ARGUMENT_VERSION_MISMATCH = 25,
        INVALID_STATE = 29,
        UNKNOWN = 999,
};

#define CARDS_MAX    16
#define TYPES_MAX    64
#define PROFILES_MAX 16
#define NAME_SIZE    64
#define ADDRESS_MAX  16

typedef struct Type {
        unsigned id;
        char name[NAME_SIZE], class[NAME_SIZE];
        unsigned size_mib, heads, max_x, max_y, frame_rate_limit, most, profile;
        bool creatable;
} Type;

typedef struct GpuInstances {
        unsigned profile, count;
} GpuInstances;

typedef struct Device {
        char address[ADDRESS_MAX];
        int host_mode, heterogeneous, mig; /* -1: not supported */
        int mig_pending;
        unsigned memory_mib;
        Type types[TYPES_MAX];
        unsigned n_types;
        GpuInstances instances[PROFILES_MAX];
        unsigned n_profiles; /* 0: not in MIG mode */
} Device;

typedef struct MemoryInfo {
        unsigned long long total, free, used;
} MemoryInfo;

typedef struct TypeMaxInstance {
        unsigned version, id, max_per_gpu_instance;
} TypeMaxInstance;

typedef struct HeterogeneousMode {
        unsigned version, mode;
} HeterogeneousMode;

static Device devices[CARDS_MAX];
static unsigned n_devices;
static bool initialized;

/* Head of each function of the library: visible, and declared here because there is no header. */
#define NVML(name, ...)                                               \
        __attribute__((visibility("default"))) int name(__VA_ARGS__); \
        int name(__VA_ARGS__)

/* Sends "nvidia COMMAND" to the simulated host. Returns the stream of the reply; NULL: no reply, or a refusal.
 * *ret_lines is the number of lines to read from the stream; 0: the whole reply is in `text`. */
static FILE *nvml_ask(const char *command, char *text, size_t size, unsigned *ret_lines)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        const char *path = getenv("SIMHOST_CONTROL");
        FILE *stream;
        int fd;

        if (!path || strlen(path) >= sizeof(address.sun_path))
                return NULL;

        memcpy(address.sun_path, path, strlen(path));
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return NULL;

        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
            dprintf(fd, "nvidia %s\n", command) < 0) {
                close(fd);
                return NULL;
        }

        stream = fdopen(fd, "r");
        *ret_lines = 0;

        if (!fgets(text, (int)size, stream) || strncmp(text, "ok", 2) != 0) {
                (void)fclose(stream);
                return NULL;
        }

        if (sscanf(text, "ok +%u", ret_lines) != 1)
                memmove(text, text + 2, strlen(text + 2) + 1);

        return stream;
}

/* Returns the first code in the reply to a command. *ret_second is the second code, and unchanged if there is
 * none. */
static int ask_codes(const char *command, int *ret_second)
{
        char text[256];
        unsigned lines;
        int code;
        FILE *stream = nvml_ask(command, text, sizeof(text), &lines);

        if (!stream)
                return UNKNOWN;

        (void)fclose(stream);

        return sscanf(text, "%d %d", &code, ret_second) >= 1 ? code : UNKNOWN;
}

static int ask_code(const char *command)
{
        int second;

        return ask_codes(command, &second);
}

static void parse_line(const char *line, Device *device)
{
        Type *type = &device->types[device->n_types];
        GpuInstances *instances = &device->instances[device->n_profiles];
        int creatable;

        (void)sscanf(line, "host-vgpu-mode=%d", &device->host_mode);
        (void)sscanf(line, "heterogeneous=%d", &device->heterogeneous);
        (void)sscanf(line, "mig=%d", &device->mig);
        (void)sscanf(line, "mig-pending=%d", &device->mig_pending);

        (void)sscanf(line, "memory-mib=%u", &device->memory_mib);
        if (device->n_types < TYPES_MAX &&
            sscanf(line, "type=%u|%63[^|]|%63[^|]|%u|%u|%u|%u|%u|%u|%u|%d", &type->id, type->name, type->class,
                   &type->size_mib, &type->heads, &type->max_x, &type->max_y, &type->frame_rate_limit,
                   &type->most, &type->profile, &creatable) == 11) {
                type->creatable = creatable != 0;
                device->n_types++;
        }

        if (device->n_profiles < PROFILES_MAX &&
            sscanf(line, "instances=%u|%u", &instances->profile, &instances->count) == 2)
                device->n_profiles++;
}

/* Reads the present state of the card. */
static int device_refresh(Device *device)
{
        char command[64], line[512];
        unsigned lines;
        FILE *stream;

        if (!initialized)
                return UNINITIALIZED;

        (void)snprintf(command, sizeof(command), "query %s", device->address);
        stream = nvml_ask(command, line, sizeof(line), &lines);
        if (!stream)
                return UNKNOWN;

        device->n_types = device->n_profiles = 0;
        for (; lines > 0 && fgets(line, sizeof(line), stream); lines--)
                parse_line(line, device);
        (void)fclose(stream);

        return SUCCESS;
}

static int list_devices(void)
{
        char line[64];
        unsigned lines;
        FILE *stream = nvml_ask("list", line, sizeof(line), &lines);

        if (!stream)
                return DRIVER_NOT_LOADED;

        for (n_devices = 0; lines > 0 && n_devices < CARDS_MAX && fgets(line, sizeof(line), stream); lines--)
                if (sscanf(line, "%15s", devices[n_devices].address) == 1)
                        n_devices++;

        (void)fclose(stream);

        return n_devices > 0 ? SUCCESS : DRIVER_NOT_LOADED;
}

static void tell_clients(const char *word)
{
        char command[64];

        (void)snprintf(command, sizeof(command), "%s %d", word, getpid());
        (void)ask_code(command);
}

NVML(nvmlInit_v2, void)
{
        int r = list_devices();

        if (r != SUCCESS)
                return r;
        initialized = true;
        tell_clients("nvml");
        for (unsigned i = 0; i < n_devices; i++)
                (void)device_refresh(&devices[i]);
        return SUCCESS;
}

NVML(nvmlShutdown, void)
{
        if (!initialized)
                return UNINITIALIZED;
        tell_clients("nvml-end");
        initialized = false;
        return SUCCESS;
}

__attribute__((visibility("default"))) const char *nvmlErrorString(int code);
const char *nvmlErrorString(int code)
{
        static const struct {
                int code;
                const char *text;
        } texts[] = {
                { SUCCESS, "Success" },
                { UNINITIALIZED, "Uninitialized" },
                { INVALID_ARGUMENT, "Invalid Argument" },
                { NOT_SUPPORTED, "Not Supported" },
                { NO_PERMISSION, "Insufficient Permissions" },
                { NOT_FOUND, "Not Found" },
                { INSUFFICIENT_SIZE, "Insufficient Size" },
                { DRIVER_NOT_LOADED, "Driver Not Loaded" },
                { RESET_REQUIRED, "GPU requires restart" },
                { IN_USE, "In use by another client" },
                { ARGUMENT_VERSION_MISMATCH, "Argument Version Mismatch" },
                { INVALID_STATE, "Invalid State" },
        };

        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
                if (texts[i].code == code)
                        return texts[i].text;

        return "Unknown Error";
}

/* Accepts a PCI domain of eight digits, of four, or no domain. */
NVML(nvmlDeviceGetHandleByPciBusId_v2, const char *text, Device **ret)
{
        unsigned domain = 0, bus, slot, function;
        char address[ADDRESS_MAX];

        if (!initialized)
                return UNINITIALIZED;
        if (sscanf(text, "%x:%x:%x.%x", &domain, &bus, &slot, &function) != 4) {
                domain = 0;
                if (sscanf(text, "%x:%x.%x", &bus, &slot, &function) != 3)
                        return INVALID_ARGUMENT;
        }
        (void)snprintf(address, sizeof(address), "%04x:%02x:%02x.%x", domain & 0xffff, bus & 0xff, slot & 0x1f,
                       function & 7);
        for (unsigned i = 0; i < n_devices; i++)
                if (strcmp(devices[i].address, address) == 0) {
                        *ret = &devices[i];
                        return SUCCESS;
                }
        return NOT_FOUND;
}

NVML(nvmlDeviceGetVirtualizationMode, Device *device, int *ret)
{
        int r = device_refresh(device);

        *ret = device->host_mode < 0 ? 0 : 3; /* none, or host of vGPUs */
        return r;
}

NVML(nvmlDeviceGetHostVgpuMode, Device *device, int *ret)
{
        int r = device_refresh(device);

        if (r == SUCCESS && device->host_mode < 0)
                return NOT_SUPPORTED;
        *ret = device->host_mode;
        return r;
}

NVML(nvmlDeviceGetMinorNumber, Device *device, unsigned *ret)
{
        if (!initialized)
                return UNINITIALIZED;
        *ret = (unsigned)(device - devices);
        return SUCCESS;
}

static bool version_is_right(const HeterogeneousMode *mode)
{
        return mode->version == (sizeof(*mode) | 1U << 24);
}

NVML(nvmlDeviceGetVgpuHeterogeneousMode, Device *device, HeterogeneousMode *ret)
{
        int r = device_refresh(device);

        if (r != SUCCESS)
                return r;
        if (!version_is_right(ret))
                return ARGUMENT_VERSION_MISMATCH;
        if (device->heterogeneous < 0)
                return NOT_SUPPORTED;
        ret->mode = (unsigned)device->heterogeneous;
        return SUCCESS;
}

static int set_mode(const Device *device, const char *mode, unsigned value, int *ret_second)
{
        char command[64];

        if (!initialized)
                return UNINITIALIZED;

        if (value > 1)
                return INVALID_ARGUMENT;

        /* The real library requires CAP_SYS_ADMIN. */
        if (getenv("SIMHOST_NVML_UNPRIVILEGED"))
                return NO_PERMISSION;

        (void)snprintf(command, sizeof(command), "%s %s %u", mode, device->address, value);

        return ask_codes(command, ret_second);
}

NVML(nvmlDeviceSetVgpuHeterogeneousMode, Device *device, const HeterogeneousMode *mode)
{
        int second;

        return version_is_right(mode) ? set_mode(device, "heterogeneous", mode->mode, &second)
                                      : ARGUMENT_VERSION_MISMATCH;
}

NVML(nvmlDeviceGetMigMode, Device *device, unsigned *ret_current, unsigned *ret_pending)
{
        int r = device_refresh(device);

        if (r != SUCCESS)
                return r;
        if (device->mig < 0)
                return NOT_SUPPORTED;
        *ret_current = (unsigned)device->mig;
        *ret_pending = (unsigned)device->mig_pending;
        return SUCCESS;
}

NVML(nvmlDeviceSetMigMode, Device *device, unsigned mode, int *ret_activation)
{
        *ret_activation = SUCCESS;
        return set_mode(device, "mig", mode, ret_activation);
}

NVML(nvmlDeviceGetMemoryInfo, Device *device, MemoryInfo *ret)
{
        int r = device_refresh(device);

        ret->total = (unsigned long long)device->memory_mib << 20;
        ret->used = 1ULL << 29;
        ret->free = ret->total - ret->used;
        return r;
}

static int get_types(Device *device, bool only_creatable, unsigned *count, unsigned *ids)
{
        unsigned found = 0, room = *count;
        int r = device_refresh(device);

        if (r != SUCCESS)
                return r;

        for (unsigned i = 0; i < device->n_types; i++)
                if (!only_creatable || device->types[i].creatable) {
                        if (found < room)
                                ids[found] = device->types[i].id;
                        found++;
                }

        *count = found;

        return found > room ? INSUFFICIENT_SIZE : SUCCESS;
}

NVML(nvmlDeviceGetSupportedVgpus, Device *device, unsigned *count, unsigned *ids)
{
        return get_types(device, false, count, ids);
}

NVML(nvmlDeviceGetCreatableVgpus, Device *device, unsigned *count, unsigned *ids)
{
        return get_types(device, true, count, ids);
}

/* Finds the type in the last answers to device_refresh(), because types do not change. */
static const Type *nvml_find_type(unsigned id)
{
        for (unsigned i = 0; initialized && i < n_devices; i++)
                for (unsigned j = 0; j < devices[i].n_types; j++)
                        if (devices[i].types[j].id == id)
                                return &devices[i].types[j];

        return NULL;
}

static int copy_text(const char *text, char *ret, unsigned *size)
{
        unsigned needed = (unsigned)strlen(text) + 1, room = *size;

        *size = needed;

        if (needed > room)
                return INSUFFICIENT_SIZE;

        memcpy(ret, text, needed);

        return SUCCESS;
}

NVML(nvmlVgpuTypeGetName, unsigned id, char *name, unsigned *size)
{
        const Type *type = nvml_find_type(id);

        return type ? copy_text(type->name, name, size) : INVALID_ARGUMENT;
}

NVML(nvmlVgpuTypeGetClass, unsigned id, char *name, unsigned *size)
{
        const Type *type = nvml_find_type(id);

        return type ? copy_text(type->class, name, size) : INVALID_ARGUMENT;
}

NVML(nvmlVgpuTypeGetFramebufferSize, unsigned id, unsigned long long *ret)
{
        const Type *type = nvml_find_type(id);

        if (!type)
                return INVALID_ARGUMENT;
        *ret = (unsigned long long)type->size_mib << 20;
        return SUCCESS;
}

NVML(nvmlVgpuTypeGetNumDisplayHeads, unsigned id, unsigned *ret)
{
        const Type *type = nvml_find_type(id);

        if (!type)
                return INVALID_ARGUMENT;
        *ret = type->heads;
        return SUCCESS;
}

NVML(nvmlVgpuTypeGetResolution, unsigned id, unsigned display, unsigned *ret_x, unsigned *ret_y)
{
        const Type *type = nvml_find_type(id);

        if (!type || display >= type->heads)
                return INVALID_ARGUMENT;
        *ret_x = type->max_x;
        *ret_y = type->max_y;
        return SUCCESS;
}

NVML(nvmlVgpuTypeGetFrameRateLimit, unsigned id, unsigned *ret)
{
        const Type *type = nvml_find_type(id);

        if (!type)
                return INVALID_ARGUMENT;
        *ret = type->frame_rate_limit;
        return SUCCESS;
}

NVML(nvmlVgpuTypeGetMaxInstances, Device *device, unsigned id, unsigned *ret)
{
        const Type *type = nvml_find_type(id);

        if (!type)
                return INVALID_ARGUMENT;
        *ret = type->most;
        return SUCCESS;
}

NVML(nvmlVgpuTypeGetGpuInstanceProfileId, unsigned id, unsigned *ret)
{
        const Type *type = nvml_find_type(id);

        if (!type)
                return INVALID_ARGUMENT;
        *ret = type->profile;
        return SUCCESS;
}

/* A GPU instance serves one vGPU. */
NVML(nvmlVgpuTypeGetMaxInstancesPerGpuInstance, TypeMaxInstance *m)
{
        if (m->version != (sizeof(*m) | 1U << 24))
                return ARGUMENT_VERSION_MISMATCH;
        if (!nvml_find_type(m->id))
                return INVALID_ARGUMENT;
        m->max_per_gpu_instance = 1;
        return SUCCESS;
}

NVML(nvmlDeviceGetGpuInstances, Device *device, unsigned profile, void **instances, unsigned *count)
{
        int r = device_refresh(device);

        if (r != SUCCESS)
                return r;
        if (device->n_profiles == 0)
                return NOT_SUPPORTED;
        for (unsigned i = 0; i < device->n_profiles; i++) {
                if (device->instances[i].profile != profile)
                        continue;
                *count = device->instances[i].count;
                for (unsigned k = 0; k < *count; k++)
                        instances[k] = device;
                return SUCCESS;
        }
        return INVALID_ARGUMENT;
}
