/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vgpud-nvml: asks NVIDIA's management library (libnvidia-ml.so.1) what only that knows, and sets the two modes
 * of a GPU that have no file in sysfs. A process of its own, because the library is big, foreign, may hang or
 * crash, and keeps the GPU open for as long as it is initialized, which is what sriov-manage must not meet: it
 * is shut down before this program ends, and ends with it in any case.
 *
 *     vgpud-nvml query ADDRESS
 *     vgpud-nvml set-heterogeneous ADDRESS 0|1
 *     vgpud-nvml set-mig ADDRESS 0|1
 *
 * The words may also come as one, with slashes between them: "set-mig/0000:41:00.0/1". So the unit
 * vgpud-nvml@.service passes them on, which vgpud has started when the library does not let it set a mode
 * itself (code 4, no permission: only CAP_SYS_ADMIN may).
 *
 * ADDRESS is that of the GPU, "0000:41:00.0". vgpud starts it only where the node /dev/nvidiactl exists:
 * without it the library cannot reach the driver, and vgpud's own files show what they show.
 *
 * Exit status: 0, or the library's code (nvmlReturn_t; 49 for those that are not below, such as 999, unknown),
 * or 100 when the library is not there. 13 (function not found) when this release of the library cannot do what
 * was asked. 50 and the second code of nvmlDeviceSetMigMode, when that has taken the mode but not put it into
 * effect: it changes with the next reset of the GPU. Where the GPU is in use (19), which another try can mend,
 * the mode is given back, and nothing has changed. What went wrong when a mode was to be set is said on
 * standard error, but for code 4 to vgpud, which goes on to the unit; a query is made again and again, and
 * fails silently.
 *
 * Output of query, one KEY=VALUE a line, `end` last (without it the output is not whole). What the library does
 * not know or refuses to say is left out; nothing of it is an error but that the GPU cannot be found.
 *
 *     virtualization-mode=3       nvmlDeviceGetVirtualizationMode: 3 is a host of vGPUs
 *     host-vgpu-mode=1            nvmlDeviceGetHostVgpuMode: 1 is SR-IOV
 *     heterogeneous=0             nvmlDeviceGetVgpuHeterogeneousMode
 *     mig=0                       nvmlDeviceGetMigMode: now
 *     mig-pending=0                   and after the next reset of the GPU
 *     framebuffer=48305799168     nvmlDeviceGetMemoryInfo: total, bytes
 *     type=1150                   nvmlDeviceGetSupportedVgpus: begins a type, decimal as in sysfs
 *     type.name=NVIDIA L40S-4Q    nvmlVgpuTypeGetName
 *     type.class=Quadro           nvmlVgpuTypeGetClass
 *     type.framebuffer=4294967296 nvmlVgpuTypeGetFramebufferSize, bytes
 *     type.heads=4                nvmlVgpuTypeGetNumDisplayHeads
 *     type.resolution=7680x4320   nvmlVgpuTypeGetResolution, of display 0
 *     type.frame-rate-limit=60    nvmlVgpuTypeGetFrameRateLimit
 *     type.max-instances=12       nvmlVgpuTypeGetMaxInstances, per GPU
 *     type.gpu-instance-profile=19
 *                                 nvmlVgpuTypeGetGpuInstanceProfileId; left out where it is 0xffffffff, which
 *                                 says that the type needs no GPU instance (MIG)
 *     type.max-per-gpu-instance=1 nvmlVgpuTypeGetMaxInstancesPerGpuInstance, with such a profile
 *     gpu-instances=19:2          nvmlDeviceGetGpuInstances: of that profile there are two; in MIG mode, a line
 * for each profile of a type creatable=1150              nvmlDeviceGetCreatableVgpus, a line each end
 *
 * Every function of the library is looked up by name and may be missing. Used besides those above: nvmlInit_v2
 * (or nvmlInit), nvmlDeviceGetHandleByPciBusId_v2 (or without _v2), nvmlShutdown, nvmlErrorString,
 * nvmlDeviceSetVgpuHeterogeneousMode, nvmlDeviceSetMigMode. Declared here is only what is called, with the
 * types of the library's public interface: enums, ids and return codes are 32 bits, a device is one pointer. */

#include <ctype.h>
#include <dlfcn.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers-glue/nvidia/nvml-text.h"

#define LIBRARY "libnvidia-ml.so.1"

#define NVML_INVALID_ARGUMENT   2
#define NVML_NO_PERMISSION      4
#define NVML_FUNCTION_NOT_FOUND 13
#define NVML_IN_USE             19
#define NVML_UNKNOWN            999

#define WORDS_MAX 3

#define NVML_NAME_SIZE  64 /* NVML_DEVICE_NAME_BUFFER_SIZE */
#define NVML_NO_PROFILE UINT32_MAX
/* Of one profile; a GPU can be divided into some 8. */
#define GPU_INSTANCES_MAX 64
#define PROFILES_MAX      32

typedef struct nvmlDevice *NvmlDevice;
typedef struct nvmlGpuInstance *NvmlGpuInstance;

typedef struct NvmlMemory {
        unsigned long long total, free, used; /* bytes */
} NvmlMemory;

typedef struct NvmlTypeMaxInstance {
        unsigned version; /* size of the struct, and 1 << 24 */
        unsigned type_id;
        unsigned max_per_gpu_instance;
} NvmlTypeMaxInstance;
#define NVML_TYPE_MAX_INSTANCE_V1 ((unsigned)sizeof(NvmlTypeMaxInstance) | 1U << 24)

typedef struct NvmlHeterogeneousMode {
        unsigned version; /* size of the struct, and 1 << 24 */
        unsigned mode;
} NvmlHeterogeneousMode;
#define NVML_HETEROGENEOUS_MODE_V1 ((unsigned)sizeof(NvmlHeterogeneousMode) | 1U << 24)

/* All functions but the ones that start and end; NULL for one that the library does not have. */
typedef struct Nvml {
        const char *(*error_string)(int code);
        int (*get_handle)(const char *address, NvmlDevice *ret);
        int (*get_virtualization_mode)(NvmlDevice d, int *ret);
        int (*get_host_vgpu_mode)(NvmlDevice d, int *ret);
        int (*get_heterogeneous)(NvmlDevice d, NvmlHeterogeneousMode *ret);
        int (*set_heterogeneous)(NvmlDevice d, const NvmlHeterogeneousMode *mode);
        int (*get_mig)(NvmlDevice d, unsigned *ret_current, unsigned *ret_pending);
        int (*set_mig)(NvmlDevice d, unsigned mode, int *ret_activation);
        int (*get_memory)(NvmlDevice d, NvmlMemory *ret);
        int (*get_supported)(NvmlDevice d, unsigned *count, unsigned *ids);
        int (*get_creatable)(NvmlDevice d, unsigned *count, unsigned *ids);
        int (*type_name)(unsigned id, char *name, unsigned *size);
        int (*type_class)(unsigned id, char *name, unsigned *size);
        int (*type_framebuffer)(unsigned id, unsigned long long *ret);
        int (*type_heads)(unsigned id, unsigned *ret);
        int (*type_resolution)(unsigned id, unsigned display, unsigned *ret_x, unsigned *ret_y);
        int (*type_frame_rate_limit)(unsigned id, unsigned *ret);
        int (*type_max_instances)(NvmlDevice d, unsigned id, unsigned *ret);
        int (*type_profile)(unsigned id, unsigned *ret);
        int (*type_max_per_gpu_instance)(NvmlTypeMaxInstance *m);
        int (*get_gpu_instances)(NvmlDevice d, unsigned profile, NvmlGpuInstance *instances, unsigned *count);
} Nvml;

static void *find(void *library, const char *name, const char *older_name)
{
        void *f = dlsym(library, name);

        return f || !older_name ? f : dlsym(library, older_name);
}

static void find_all(void *library, Nvml *n)
{
        const struct {
                void *slot;
                const char *name, *older_name;
        } table[] = {
                { &n->error_string, "nvmlErrorString", NULL },
                { &n->get_handle, "nvmlDeviceGetHandleByPciBusId_v2", "nvmlDeviceGetHandleByPciBusId" },
                { &n->get_virtualization_mode, "nvmlDeviceGetVirtualizationMode", NULL },
                { &n->get_host_vgpu_mode, "nvmlDeviceGetHostVgpuMode", NULL },
                { &n->get_heterogeneous, "nvmlDeviceGetVgpuHeterogeneousMode", NULL },
                { &n->set_heterogeneous, "nvmlDeviceSetVgpuHeterogeneousMode", NULL },
                { &n->get_mig, "nvmlDeviceGetMigMode", NULL },
                { &n->set_mig, "nvmlDeviceSetMigMode", NULL },
                { &n->get_memory, "nvmlDeviceGetMemoryInfo", NULL },
                { &n->get_supported, "nvmlDeviceGetSupportedVgpus", NULL },
                { &n->get_creatable, "nvmlDeviceGetCreatableVgpus", NULL },
                { &n->type_name, "nvmlVgpuTypeGetName", NULL },
                { &n->type_class, "nvmlVgpuTypeGetClass", NULL },
                { &n->type_framebuffer, "nvmlVgpuTypeGetFramebufferSize", NULL },
                { &n->type_heads, "nvmlVgpuTypeGetNumDisplayHeads", NULL },
                { &n->type_resolution, "nvmlVgpuTypeGetResolution", NULL },
                { &n->type_frame_rate_limit, "nvmlVgpuTypeGetFrameRateLimit", NULL },
                { &n->type_max_instances, "nvmlVgpuTypeGetMaxInstances", NULL },
                { &n->type_profile, "nvmlVgpuTypeGetGpuInstanceProfileId", NULL },
                { &n->type_max_per_gpu_instance, "nvmlVgpuTypeGetMaxInstancesPerGpuInstance", NULL },
                { &n->get_gpu_instances, "nvmlDeviceGetGpuInstances", NULL },
        };

        for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
                void *f = find(library, table[i].name, table[i].older_name);
                memcpy(table[i].slot, &f, sizeof(f));
        }
}

static bool is_pending(int r)
{
        return r >= VGPUD_NVML_PENDING && r < VGPUD_NVML_NO_LIBRARY;
}

static void complain(const Nvml *n, char *words[], int r)
{
        int code = is_pending(r) ? r - VGPUD_NVML_PENDING : r;
        const char *text = n->error_string ? n->error_string(code) : NULL;

        (void)fprintf(stderr, "GPU %s: %s %s: %s%s (NVML error %d)\n", words[1], words[0], words[2],
                      is_pending(r) ? "in effect with the next reset of the GPU only: " : "",
                      text ? text : "refused", code);
}

/* The library's text is one line for us, whatever it holds. */
static void print_text(const char *key, const char *text)
{
        printf("%s=", key);
        for (const char *p = text; *p; p++)
                putchar((unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p);
        putchar('\n');
}

/* What says that a type needs a GPU instance. */
static void print_profile(const Nvml *n, unsigned id)
{
        NvmlTypeMaxInstance m = { .version = NVML_TYPE_MAX_INSTANCE_V1, .type_id = id };
        unsigned profile;

        if (!n->type_profile || n->type_profile(id, &profile) != 0 || profile == NVML_NO_PROFILE)
                return;
        printf("type.gpu-instance-profile=%u\n", profile);
        if (n->type_max_per_gpu_instance && n->type_max_per_gpu_instance(&m) == 0)
                printf("type.max-per-gpu-instance=%u\n", m.max_per_gpu_instance);
}

static void print_type(const Nvml *n, NvmlDevice d, unsigned id)
{
        unsigned size, number, x, y;
        char text[NVML_NAME_SIZE + 1] = "";
        unsigned long long bytes;

        printf("type=%u\n", id);
        size = NVML_NAME_SIZE;
        if (n->type_name && n->type_name(id, text, &size) == 0)
                print_text("type.name", text);
        memset(text, 0, sizeof(text));
        size = NVML_NAME_SIZE;
        if (n->type_class && n->type_class(id, text, &size) == 0)
                print_text("type.class", text);
        if (n->type_framebuffer && n->type_framebuffer(id, &bytes) == 0)
                printf("type.framebuffer=%llu\n", bytes);
        if (n->type_heads && n->type_heads(id, &number) == 0)
                printf("type.heads=%u\n", number);
        if (n->type_resolution && n->type_resolution(id, 0, &x, &y) == 0)
                printf("type.resolution=%ux%u\n", x, y);
        if (n->type_frame_rate_limit && n->type_frame_rate_limit(id, &number) == 0)
                printf("type.frame-rate-limit=%u\n", number);
        if (n->type_max_instances && n->type_max_instances(d, id, &number) == 0)
                printf("type.max-instances=%u\n", number);
        print_profile(n, id);
}

/* How many GPU instances there are of each profile that one of the types needs. */
static void print_gpu_instances(const Nvml *n, NvmlDevice d, const unsigned *ids, unsigned n_ids)
{
        NvmlGpuInstance instances[GPU_INSTANCES_MAX];
        unsigned profiles[PROFILES_MAX], n_profiles = 0, profile, k;

        for (unsigned i = 0; n->type_profile && n->get_gpu_instances && i < n_ids; i++) {
                unsigned count = GPU_INSTANCES_MAX;

                if (n->type_profile(ids[i], &profile) != 0 || profile == NVML_NO_PROFILE)
                        continue;
                for (k = 0; k < n_profiles && profiles[k] != profile; k++)
                        ;
                if (k < n_profiles || n_profiles == PROFILES_MAX)
                        continue;
                profiles[n_profiles++] = profile;
                if (n->get_gpu_instances(d, profile, instances, &count) == 0)
                        printf("gpu-instances=%u:%u\n", profile, count);
        }
}

/* The ids that one of the two functions lists; their number, 0 when it cannot say. */
static unsigned get_ids(int (*get)(NvmlDevice d, unsigned *count, unsigned *ids), NvmlDevice d,
                        unsigned ids[static NVML_TYPES_MAX])
{
        unsigned count = NVML_TYPES_MAX;

        if (!get || get(d, &count, ids) != 0)
                return 0;
        return count < NVML_TYPES_MAX ? count : NVML_TYPES_MAX;
}

static int query(const Nvml *n, NvmlDevice d)
{
        NvmlHeterogeneousMode heterogeneous = { .version = NVML_HETEROGENEOUS_MODE_V1 };
        unsigned ids[NVML_TYPES_MAX], count, current = 0, pending;
        NvmlMemory memory;
        int mode;

        if (n->get_virtualization_mode && n->get_virtualization_mode(d, &mode) == 0)
                printf("virtualization-mode=%d\n", mode);
        if (n->get_host_vgpu_mode && n->get_host_vgpu_mode(d, &mode) == 0)
                printf("host-vgpu-mode=%d\n", mode);
        if (n->get_heterogeneous && n->get_heterogeneous(d, &heterogeneous) == 0)
                printf("heterogeneous=%u\n", heterogeneous.mode);
        if (n->get_mig && n->get_mig(d, &current, &pending) == 0)
                printf("mig=%u\nmig-pending=%u\n", current, pending);
        if (n->get_memory && n->get_memory(d, &memory) == 0)
                printf("framebuffer=%llu\n", memory.total);
        count = get_ids(n->get_supported, d, ids);
        for (unsigned i = 0; i < count; i++)
                print_type(n, d, ids[i]);
        if (current == 1)
                print_gpu_instances(n, d, ids, count);
        count = get_ids(n->get_creatable, d, ids);
        for (unsigned i = 0; i < count; i++)
                printf("creatable=%u\n", ids[i]);
        printf("end\n");
        return 0;
}

static int set_heterogeneous(const Nvml *n, NvmlDevice d, unsigned value)
{
        NvmlHeterogeneousMode mode = { .version = NVML_HETEROGENEOUS_MODE_V1, .mode = value };

        return n->set_heterogeneous ? n->set_heterogeneous(d, &mode) : NVML_FUNCTION_NOT_FOUND;
}

/* It has two codes: whether the mode was taken, and whether it is in effect. What waits for a reset stays, as
 * on some hosts nothing else gets there. */
static int set_mig(const Nvml *n, NvmlDevice d, unsigned value)
{
        unsigned current = 0, pending = 0, before;
        int r, activation = 0, ignored;
        bool can_go_back;

        if (!n->set_mig)
                return NVML_FUNCTION_NOT_FOUND;
        can_go_back = n->get_mig && n->get_mig(d, &current, &pending) == 0 && current == pending;
        before = current;
        r = n->set_mig(d, value, &activation);
        if (r != 0 || activation == 0)
                return r;
        if (activation == NVML_IN_USE && can_go_back && n->set_mig(d, before, &ignored) == 0 &&
            n->get_mig(d, &current, &pending) == 0 && pending == before)
                return NVML_IN_USE;
        return VGPUD_NVML_PENDING + (activation < VGPUD_NVML_OTHER_CODE ? activation : VGPUD_NVML_OTHER_CODE);
}

static bool address_is_valid(const char *s)
{
        size_t n = strspn(s, "0123456789abcdefABCDEF:.");

        return n >= strlen("0000:00:00.0") && n <= strlen("00000000:00:00.0") && !s[n];
}

static int usage(void)
{
        (void)fprintf(stderr, "Usage: vgpud-nvml query ADDRESS\n"
                              "       vgpud-nvml set-heterogeneous ADDRESS 0|1\n"
                              "       vgpud-nvml set-mig ADDRESS 0|1\n");
        return NVML_INVALID_ARGUMENT;
}

/* Takes "a/b/c" apart, in place. */
static int split(char *text, char *words[static WORDS_MAX + 1])
{
        int n = 0;

        for (char *word = strtok(text, "/"); word; word = strtok(NULL, "/")) {
                if (n == WORDS_MAX)
                        return 0;
                words[n++] = word;
        }
        words[n] = NULL;
        return n;
}

/* The library is there; what it is asked for. A unit has nobody after it who could try. */
static int ask(void *library, char *words[], bool is_query, bool is_unit)
{
        int (*init)(void), (*shut_down)(void);
        Nvml n = { 0 };
        NvmlDevice d = NULL;
        bool is_initialized;
        void *f;
        int r;

        find_all(library, &n);
        f = find(library, "nvmlInit_v2", "nvmlInit");
        memcpy(&init, &f, sizeof(f));
        f = find(library, "nvmlShutdown", NULL);
        memcpy(&shut_down, &f, sizeof(f));
        r = init && n.get_handle ? init() : NVML_FUNCTION_NOT_FOUND;
        is_initialized = r == 0;
        if (r == 0)
                r = n.get_handle(words[1], &d);
        if (r == 0 && is_query)
                r = query(&n, d);
        else if (r == 0) {
                unsigned value = words[2][0] == '1';
                r = strcmp(words[0], "set-mig") == 0 ? set_mig(&n, d, value) : set_heterogeneous(&n, d, value);
        }
        if (r != 0 && !is_query && (r != NVML_NO_PERMISSION || is_unit))
                complain(&n, words, r);
        if (is_initialized && shut_down)
                (void)shut_down();
        return r;
}

int main(int argc, char *argv[])
{
        char *split_words[WORDS_MAX + 1], **words = argv + 1;
        int n = argc - 1, r;
        bool is_query, is_unit = argc == 2;
        void *library;

        if (is_unit) {
                n = split(argv[1], split_words);
                words = split_words;
        }
        is_query = n == 2 && strcmp(words[0], "query") == 0;
        if (!is_query &&
            (n != 3 || (strcmp(words[0], "set-heterogeneous") != 0 && strcmp(words[0], "set-mig") != 0) ||
             (strcmp(words[2], "0") != 0 && strcmp(words[2], "1") != 0)))
                return usage();
        if (!address_is_valid(words[1]))
                return usage();

        library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
        if (!library)
                return VGPUD_NVML_NO_LIBRARY;
        r = ask(library, words, is_query, is_unit);
        if (fflush(stdout) != 0 && r == 0)
                r = NVML_UNKNOWN;
        return is_pending(r) || (r >= 0 && r < VGPUD_NVML_OTHER_CODE) ? r : VGPUD_NVML_OTHER_CODE;
}
