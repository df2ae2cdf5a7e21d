/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fake-xengt.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define GPU_PATH    "devices/pci0000:00/0000:00:02.0"
#define CONTROL     "kernel/vgt/control"
#define LOW_MB      512
#define GM_MB       4096
#define SLOT_MB     64
#define FENCES      32
#define VGT_MAX     8
#define HOST_LOW    96
#define HOST_HIGH   384
#define HOST_FENCES 4
#define RESERVED    32

typedef struct Vgt {
        unsigned vm_id; /* 0: free; the first Vgt belongs to the host */
        unsigned low_start, low, high, fence_start, fences;
        bool started;
} Vgt;

struct FakeXengt {
        FakeKernel *k;
        pthread_mutex_t lock;
        Vgt vgts[VGT_MAX];
        bool memory[GM_MB], fences[FENCES];
};

static int find_piece(const bool *used, unsigned from, unsigned to, unsigned step, unsigned wanted)
{
        for (unsigned start = from; start + wanted <= to; start += step) {
                unsigned n = 0;

                while (n < wanted && !used[start + n])
                        n++;
                if (n == wanted)
                        return (int)start;
        }

        return -1;
}

static void mark(FakeXengt *x, const Vgt *v, bool used)
{
        memset(x->memory + v->low_start, used, v->low);
        memset(x->fences + v->fence_start, used, v->fences);
}

static unsigned count_free(const bool *used, unsigned from, unsigned to)
{
        unsigned n = 0;

        for (unsigned i = from; i < to; i++)
                n += !used[i];

        return n;
}

static void append_bitmap(GString *text, const bool *used, unsigned n)
{
        for (unsigned word = n / 32; word-- > 0;) {
                uint32_t bits = 0;

                for (unsigned i = 0; i < 32; i++)
                        bits |= (uint32_t)used[word * 32 + i] << i;
                g_string_append_printf(text, "%08x%c", bits, word > 0 ? ',' : '\n');
        }
}

static int show_available(FakeKernel *k, const char *path, void *data, char **ret)
{
        FakeXengt *x = data;
        GString *text = g_string_new(NULL);

        pthread_mutex_lock(&x->lock);
        g_string_printf(text, "0x%08x, 0x%08x, 0x%08x, 0x%08x, 0x%08x, 0x%08x\n", LOW_MB,
                        count_free(x->memory, 0, LOW_MB), GM_MB - LOW_MB, count_free(x->memory, LOW_MB, GM_MB),
                        FENCES, count_free(x->fences, 0, FENCES));
        append_bitmap(text, x->memory, GM_MB);
        append_bitmap(text, x->fences, FENCES);
        pthread_mutex_unlock(&x->lock);
        *ret = g_string_free(text, FALSE);

        return 0;
}

static int show_schedule(FakeKernel *k, const char *path, void *data, char **ret)
{
        const Vgt *v = data;

        *ret = g_strdup(v->started ? "DEACTIVE\n" : "REMOVED\n");

        return 0;
}

static int show_forbidden(FakeKernel *k, const char *path, void *data, char **ret)
{
        g_error("/sys/%s was read, which disturbs the GPU", path);
        return -EIO;
}

static char *folder_of(const Vgt *v)
{
        return g_strdup_printf("kernel/vgt/vm%u", v->vm_id);
}

static void add_text(FakeKernel *k, const char *folder, const char *name, unsigned mb)
{
        g_autofree char *path = g_strdup_printf("%s/%s", folder, name);
        g_autofree char *text = g_strdup_printf("%016" G_GINT64_MODIFIER "x\n", (guint64)mb << 20);

        fake_add_file(k, path, text);
}

static void show_vgt(FakeXengt *x, Vgt *v)
{
        g_autofree char *folder = folder_of(v), *schedule = g_strconcat(folder, "/schedule", NULL);
        g_autofree char *start = g_strconcat(folder, "/start", NULL),
                        *state = g_strconcat(folder, "/state", NULL);

        add_text(x->k, folder, "gm_sz", v->low + v->high);
        add_text(x->k, folder, "aperture_sz", v->low);
        fake_add_attribute(x->k, schedule, show_schedule, NULL, v);
        fake_add_attribute(x->k, start, NULL, NULL, v);
        fake_add_attribute(x->k, state, show_forbidden, NULL, v);
}

static Vgt *find_vgt(FakeXengt *x, unsigned vm_id)
{
        for (unsigned i = 1; i < VGT_MAX; i++)
                if (x->vgts[i].vm_id == vm_id)
                        return &x->vgts[i];

        return NULL;
}

static char *backend_of(unsigned domain)
{
        return g_strdup_printf("bus/xen-backend/devices/console-%u-0", domain);
}

static bool domain_exists(FakeXengt *x, unsigned domain)
{
        g_autofree char *backend = backend_of(domain);

        return fake_exists(x->k, backend);
}

static int add_vgt(FakeXengt *x, Vgt wanted)
{
        unsigned slots = (wanted.high + SLOT_MB - 1) / SLOT_MB * SLOT_MB;
        Vgt *v = find_vgt(x, 0);
        int low, high, fence;

        if (find_vgt(x, wanted.vm_id))
                return -EINVAL;

        if (!v)
                return -ENOSPC;

        low = find_piece(x->memory, 0, LOW_MB, 1, wanted.low);
        high = find_piece(x->memory, LOW_MB, GM_MB, SLOT_MB, slots);

        fence = find_piece(x->fences, 0, FENCES, 1, wanted.fences);
        if (low < 0 || high < 0 || fence < 0)
                return -ENOMEM;

        if (!domain_exists(x, wanted.vm_id))
                return -EFAULT;

        *v = wanted;
        v->low_start = (unsigned)low;
        v->fence_start = (unsigned)fence;
        mark(x, v, true);
        show_vgt(x, v);

        return 0;
}

static int remove_vgt(FakeXengt *x, unsigned vm_id)
{
        Vgt *v = find_vgt(x, vm_id);
        g_autofree char *folder = v ? folder_of(v) : NULL;

        if (!v)
                return -ENODEV;

        if (domain_exists(x, vm_id))
                g_error("vm%u was removed while its Xen domain exists", vm_id);
        mark(x, v, false);
        fake_remove(x->k, folder);
        *v = (Vgt){ 0 };

        return 0;
}

/* Parse like the driver: one word of at most 63 characters. Abort the test if the driver would read
 * uninitialised memory. */
static int store_create(FakeKernel *k, const char *path, void *data, const char *value)
{
        FakeXengt *x = data;
        int vm_id, low, high, fences, primary = -1, cap = 0, n, r;

        if (strlen(value) > 63 || strpbrk(value, " \n"))
                return -EINVAL;

        n = sscanf(value, "%d,%d,%d,%d,%d,%d", &vm_id, &low, &high, &fences, &primary, &cap);
        if (n == 5)
                g_error("five numbers were written, so the driver would read an uninitialised cap");
        if (n == 1 ? vm_id >= 0 : n != 4 && n != 6)
                return -EINVAL;
        if (n > 1 && (vm_id <= 0 || low <= 0 || high < 0 || fences <= 0 || primary < -1 || primary > 1 ||
                      cap < 0 || cap > 100))
                return -EINVAL;

        pthread_mutex_lock(&x->lock);
        if (n == 1)
                r = remove_vgt(x, (unsigned)-vm_id);
        else
                r = add_vgt(x, (Vgt){ .vm_id = (unsigned)vm_id,
                                      .low = (unsigned)low,
                                      .high = (unsigned)high,
                                      .fences = (unsigned)fences });

        pthread_mutex_unlock(&x->lock);

        return r;
}

FakeXengt *fake_add_xengt(FakeKernel *k)
{
        FakeXengt *x = g_new0(FakeXengt, 1);
        Vgt host = { .low = HOST_LOW, .fences = HOST_FENCES };

        x->k = k;
        pthread_mutex_init(&x->lock, NULL);
        mark(x, &host, true);
        memset(x->memory + LOW_MB, true, HOST_HIGH); /* vGPUs share slots, but not with the host */
        memset(x->memory + LOW_MB - RESERVED, true, RESERVED);
        fake_add_link(k, GPU_PATH "/subsystem", "bus/pci");
        fake_add_link(k, GPU_PATH "/driver", "bus/pci/drivers/i915");
        fake_add_file(k, GPU_PATH "/uevent", "");
        fake_add_file(k, GPU_PATH "/vendor", "0x8086\n");
        fake_add_file(k, GPU_PATH "/device", "0x0412\n");
        fake_add_file(k, GPU_PATH "/class", "0x030000\n");
        fake_add_attribute(k, CONTROL "/create_vgt_instance", NULL, store_create, x);
        fake_add_attribute(k, CONTROL "/available_resource", show_available, NULL, x);
        fake_add_attribute(k, CONTROL "/igd_mmio", show_forbidden, NULL, x);
        fake_add_file(k, CONTROL "/foreground_vm", "0\n");
        fake_add_file(k, "hypervisor/type", "xen\n");
        fake_add_directory(k, "bus/xen-backend/devices");

        return x;
}

FakeXengt *fake_xengt_free(FakeXengt *x)
{
        if (!x)
                return NULL;

        pthread_mutex_destroy(&x->lock);
        g_free(x);

        return NULL;
}

GpuFacts *fake_xengt_facts(FakeXengt *x)
{
        GpuSeed seed = { .name = "0000:00:02.0", .path = GPU_PATH };
        VgpuIo *io = fake_kernel_io(x->k);
        GpuFacts *f = NULL;

        g_assert(gpu_facts_read(io, &seed, NULL, &f) >= 0);
        vgpu_io_free(io);

        return f;
}

void fake_xengt_start(FakeXengt *x, unsigned vm_id, bool started)
{
        pthread_mutex_lock(&x->lock);
        Vgt *v = find_vgt(x, vm_id);
        g_assert(v && vm_id > 0);
        v->started = started;
        pthread_mutex_unlock(&x->lock);
}

void fake_xengt_domain(FakeXengt *x, unsigned domain, bool exists)
{
        g_autofree char *backend = backend_of(domain),
                        *device = g_strdup_printf("devices/console-%u-0", domain);

        if (exists)
                fake_add_link(x->k, backend, device);
        else
                fake_remove(x->k, backend);
}

void fake_xengt_unload(FakeXengt *x)
{
        fake_remove(x->k, "kernel/vgt");
}
