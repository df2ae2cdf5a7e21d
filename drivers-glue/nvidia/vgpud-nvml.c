/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vgpud-nvml: reads facts from NVIDIA's management library (libnvidia-ml.so.1) and sets the two modes of a GPU
 * that have no file in sysfs. The library may hang or crash, so a separate process calls it. An initialized
 * library keeps the GPU open, which makes sriov-manage fail, so the program shuts the library down before it
 * ends.
 *
 *     vgpud-nvml query ADDRESS
 *     vgpud-nvml set-heterogeneous ADDRESS 0|1
 *     vgpud-nvml set-mig ADDRESS 0|1
 *
 * The arguments may also be one word with slashes: "set-mig/0000:41:00.0/1". The unit vgpud-nvml@.service
 * passes this form. vgpud starts the unit when the library denies a change of mode (code 4: CAP_SYS_ADMIN is
 * missing).
 *
 * ADDRESS is the address of the GPU, "0000:41:00.0". vgpud runs the program only if /dev/nvidiactl exists,
 * because the library cannot reach the driver without that node.
 *
 * Exit status: 0, or the code of the library (nvmlReturn_t; 49 stands for all codes from 49 on), or 100 if the
 * library is not installed. 13 (function not found): this release of the library lacks the function.
 * 50 plus the second code of nvmlDeviceSetMigMode: the mode is accepted, but changes only at the next reset of
 * the GPU. If the second code is 19 (the GPU is in use), a retry may succeed, so the program restores the old
 * mode and then exits with 19. Errors of a change of mode go to standard error. There is one exception: outside
 * the unit, code 4 is silent, because vgpud then repeats the change in the unit. Errors of a query are silent,
 * because queries are frequent.
 *
 * Output of query: one KEY=VALUE per line, `end` last (without `end` the output is incomplete). Values that the
 * library does not report are omitted; only a missing GPU is an error.
 *
 *     virtualization-mode=3       nvmlDeviceGetVirtualizationMode: 3 is a host of vGPUs
 *     host-vgpu-mode=1            nvmlDeviceGetHostVgpuMode: 1 is SR-IOV
 *     heterogeneous=0             nvmlDeviceGetVgpuHeterogeneousMode
 *     mig=0                       nvmlDeviceGetMigMode: the mode now
 *     mig-pending=0               nvmlDeviceGetMigMode: the mode after the next reset of the GPU
 *     minor=0                     nvmlDeviceGetMinorNumber: of /dev/nvidiaN
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
 *                                 nvmlVgpuTypeGetGpuInstanceProfileId; omitted for 0xffffffff, which means
 *                                 that the type needs no GPU instance (MIG)
 *     type.max-per-gpu-instance=1 nvmlVgpuTypeGetMaxInstancesPerGpuInstance, after type.gpu-instance-profile
 *     gpu-instances=19:2          nvmlDeviceGetGpuInstances: two with this profile; in MIG mode, a line for
 *                                 each profile of a type
 *     creatable=1150              nvmlDeviceGetCreatableVgpus, a line for each type
 *     end
 *
 * The program looks every function of the library up by name; each may be missing. The program also calls these
 * functions: nvmlInit_v2 (or nvmlInit), nvmlDeviceGetHandleByPciBusId_v2 (or without _v2), nvmlShutdown,
 * nvmlErrorString, nvmlDeviceSetVgpuHeterogeneousMode, nvmlDeviceSetMigMode. Types follow the public interface
 * of the library: enums, ids and return codes have 32 bits, a device is one pointer. */

#include <assert.h>
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
/* Limit of GPU instances of one profile; a GPU divides into about 8. */
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

/* The functions of the library, except initialization and shutdown; NULL if missing. */
typedef struct Nvml {
        const char *(*error_string)(int code);
        int (*get_handle)(const char *address, NvmlDevice *ret);
        int (*get_virtualization_mode)(NvmlDevice d, int *ret);
        int (*get_host_vgpu_mode)(NvmlDevice d, int *ret);
        int (*get_heterogeneous)(NvmlDevice d, NvmlHeterogeneousMode *ret);
        int (*set_heterogeneous)(NvmlDevice d, const NvmlHeterogeneousMode *mode);
        int (*get_mig)(NvmlDevice d, unsigned *ret_current, unsigned *ret_pending);
        int (*set_mig)(NvmlDevice d, unsigned mode, int *ret_activation);
        int (*get_minor)(NvmlDevice d, unsigned *ret);
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

static void *library_find_symbol(void *library, const char *name, const char *older_name)
{
        void *f = dlsym(library, name);

        return f || !older_name ? f : dlsym(library, older_name);
}

static void library_find_all(void *library, Nvml *n)
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
                { &n->get_minor, "nvmlDeviceGetMinorNumber", NULL },
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
                void *f = library_find_symbol(library, table[i].name, table[i].older_name);

                memcpy(table[i].slot, &f, sizeof(f));
        }
}

static bool status_is_pending(int r)
{
        return r >= VGPUD_NVML_PENDING && r < VGPUD_NVML_NO_LIBRARY;
}

static void library_report_error(const Nvml *n, char *words[], int r)
{
        int code = status_is_pending(r) ? r - VGPUD_NVML_PENDING : r;
        const char *text = n->error_string ? n->error_string(code) : NULL;

        (void)fprintf(stderr, "GPU %s: %s %s: %s%s (NVML error %d)\n", words[1], words[0], words[2],
                      status_is_pending(r) ? "takes effect only at the next reset of the GPU: " : "",
                      text ? text : "refused", code);
}

/* Control characters in texts of the library must not break the lines of the output. */
static void print_text(const char *key, const char *text)
{
        printf("%s=", key);
        for (const char *p = text; *p; p++)
                putchar((unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p);
        putchar('\n');
}

/* Prints the profile of the GPU instance that a type needs. */
static void print_gpu_instance_profile(const Nvml *n, unsigned id)
{
        NvmlTypeMaxInstance m = { .version = NVML_TYPE_MAX_INSTANCE_V1, .type_id = id };
        unsigned profile;

        if (!n->type_profile || n->type_profile(id, &profile) != 0 || profile == NVML_NO_PROFILE)
                return;

        printf("type.gpu-instance-profile=%u\n", profile);
        if (n->type_max_per_gpu_instance && n->type_max_per_gpu_instance(&m) == 0)
                printf("type.max-per-gpu-instance=%u\n", m.max_per_gpu_instance);
}

static void print_vgpu_type(const Nvml *n, NvmlDevice d, unsigned id)
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
        print_gpu_instance_profile(n, id);
}

/* Prints the number of GPU instances of each profile that a type needs. */
static void print_gpu_instances(const Nvml *n, NvmlDevice d, const unsigned *ids, unsigned n_ids)
{
        NvmlGpuInstance instances[GPU_INSTANCES_MAX];
        unsigned profiles[PROFILES_MAX], n_profiles = 0, profile, k;

        assert(n_ids <= NVML_TYPES_MAX);

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

/* Fills `ids` with the ids of types that get() lists. Returns their number, 0 on failure. */
static unsigned library_get_ids(int (*get)(NvmlDevice d, unsigned *count, unsigned *ids), NvmlDevice d,
                                unsigned ids[static NVML_TYPES_MAX])
{
        unsigned count = NVML_TYPES_MAX;

        if (!get || get(d, &count, ids) != 0)
                return 0;

        return count < NVML_TYPES_MAX ? count : NVML_TYPES_MAX;
}

static int library_query(const Nvml *n, NvmlDevice d)
{
        NvmlHeterogeneousMode heterogeneous = { .version = NVML_HETEROGENEOUS_MODE_V1 };
        unsigned ids[NVML_TYPES_MAX], count, current = 0, pending, minor;
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
        if (n->get_minor && n->get_minor(d, &minor) == 0 && minor <= INT32_MAX)
                printf("minor=%u\n", minor);
        if (n->get_memory && n->get_memory(d, &memory) == 0)
                printf("framebuffer=%llu\n", memory.total);
        count = library_get_ids(n->get_supported, d, ids);
        for (unsigned i = 0; i < count; i++)
                print_vgpu_type(n, d, ids[i]);
        if (current == 1)
                print_gpu_instances(n, d, ids, count);
        count = library_get_ids(n->get_creatable, d, ids);
        for (unsigned i = 0; i < count; i++)
                printf("creatable=%u\n", ids[i]);
        printf("end\n");

        return 0;
}

static int library_set_heterogeneous(const Nvml *n, NvmlDevice d, unsigned value)
{
        NvmlHeterogeneousMode mode = { .version = NVML_HETEROGENEOUS_MODE_V1, .mode = value };

        return n->set_heterogeneous ? n->set_heterogeneous(d, &mode) : NVML_FUNCTION_NOT_FOUND;
}

/* nvmlDeviceSetMigMode returns two codes: one for the request, one for its activation. A mode that waits for a
 * reset stays set, because on some hosts only a reset can activate the mode. The old mode is restored only if
 * the GPU is in use. */
static int library_set_mig(const Nvml *n, NvmlDevice d, unsigned value)
{
        unsigned current = 0, pending = 0, before;
        int r, activation = 0, ignored;
        bool can_go_back;

        assert(value <= 1);

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

static int print_usage(void)
{
        (void)fprintf(stderr, "Usage: vgpud-nvml query ADDRESS\n"
                              "       vgpud-nvml set-heterogeneous ADDRESS 0|1\n"
                              "       vgpud-nvml set-mig ADDRESS 0|1\n");

        return NVML_INVALID_ARGUMENT;
}

/* Splits "a/b/c" in place. Returns the number of words, 0 if there are too many. */
static int split_unit_words(char *text, char *words[static WORDS_MAX + 1])
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

/* Runs the request. Code 4 (no permission) is reported only in the unit: outside the unit, code 4 makes vgpud
 * start the unit. */
static int library_run(void *library, char *words[], bool is_query, bool is_unit)
{
        int (*init)(void), (*shut_down)(void);
        Nvml n = { 0 };
        NvmlDevice d = NULL;
        bool is_initialized;
        void *f;
        int r;

        library_find_all(library, &n);
        f = library_find_symbol(library, "nvmlInit_v2", "nvmlInit");
        memcpy(&init, &f, sizeof(f));
        f = library_find_symbol(library, "nvmlShutdown", NULL);
        memcpy(&shut_down, &f, sizeof(f));
        r = init && n.get_handle ? init() : NVML_FUNCTION_NOT_FOUND;
        is_initialized = r == 0;

        if (r == 0)
                r = n.get_handle(words[1], &d);
        if (r == 0 && is_query)
                r = library_query(&n, d);
        else if (r == 0) {
                unsigned value = words[2][0] == '1';

                r = strcmp(words[0], "set-mig") == 0 ? library_set_mig(&n, d, value)
                                                     : library_set_heterogeneous(&n, d, value);
        }
        if (r != 0 && !is_query && (r != NVML_NO_PERMISSION || is_unit))
                library_report_error(&n, words, r);
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
                n = split_unit_words(argv[1], split_words);
                words = split_words;
        }

        is_query = n == 2 && strcmp(words[0], "query") == 0;
        if (!is_query &&
            (n != 3 || (strcmp(words[0], "set-heterogeneous") != 0 && strcmp(words[0], "set-mig") != 0) ||
             (strcmp(words[2], "0") != 0 && strcmp(words[2], "1") != 0)))
                return print_usage();

        if (!address_is_valid(words[1]))
                return print_usage();

        library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
        if (!library)
                return VGPUD_NVML_NO_LIBRARY;

        r = library_run(library, words, is_query, is_unit);
        if (fflush(stdout) != 0 && r == 0)
                r = NVML_UNKNOWN;

        return status_is_pending(r) || (r >= 0 && r < VGPUD_NVML_OTHER_CODE) ? r : VGPUD_NVML_OTHER_CODE;
}
