/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * An AMD FirePro S7150 with the first gim: eight virtual functions, made when the driver is loaded. A write to
 * "getvf" of the GPU requests a function, a read of the same file returns its address. Until that read, or for
 * three seconds, all other requests to the driver wait. A write never fails: the result has the text of the
 * error. Reading "gpuvf" of the GPU while functions share the GPU equally divides by zero in the driver, and
 * ends the host.
 */

#include "simhost/model.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "simhost/sriov.h"

#define VFS          16
#define VFS_MADE     8
#define FB_MIB       8192
#define HOST_MIB     256 /* the memory of the first virtual function begins here */
#define MIN_MIB      256
#define ALIGN_MIB    16
#define DIVIDER_MAX  16
#define LOCK_SECONDS 3

/* Sharing of the GPU among VFs: all shares are chosen by the callers, or none. */
typedef enum Mode { MODE_NONE, MODE_AUTOMATIC, MODE_CHOSEN } Mode;

typedef struct Vf {
        GpuFunction *function;
        bool taken;
        unsigned base_mib, size_mib;
        unsigned divider; /* share of the engine's time; 0: an equal part */
        char *clear_result, *reset_result;
} Vf;

static Gpu *gpu;
static Vf vfs[VFS];
static Mode mode;
static char *get_result, *release_result;

/* The driver's one lock. Its holder is not recorded: any reader of a result, and a timeout, release the lock.
 */
static bool locked;
static gint64 answered_usec; /* time since which a result is unread; 0: none */
static unsigned lock_seconds = LOCK_SECONDS;

static unsigned even_share_mib(void)
{
        return (FB_MIB - HOST_MIB) / VFS_MADE / ALIGN_MIB * ALIGN_MIB;
}

static void reset_share(Vf *vf)
{
        vf->taken = false;
        vf->size_mib = even_share_mib();
        vf->base_mib = HOST_MIB + (unsigned)(vf - vfs) * vf->size_mib;
        vf->divider = 0;
}

/* Returns the time at which the driver stops waiting for the reader of a result. */
static gint64 locked_until(void)
{
        return answered_usec > 0 ? answered_usec + lock_seconds * G_TIME_SPAN_SECOND : G_MAXINT64;
}

/* The caller holds the lock of the tree. take_lock() releases that lock while it waits for the lock of the
 * driver. */
static void take_lock(void)
{
        while (locked && g_get_monotonic_time() < locked_until())
                tree_wait_until("lock", "gim", locked_until());
        locked = true;
        answered_usec = 0;
}

static void start_timeout(void)
{
        answered_usec = g_get_monotonic_time();
        tree_broadcast();
}

static void give_lock(void)
{
        locked = false;
        tree_broadcast();
}

void gim_s7150_set_lock_seconds(unsigned seconds)
{
        lock_seconds = seconds;
        tree_broadcast();
}

static bool is_running(const Vf *vf)
{
        return vf->function->holds > 0;
}

static unsigned time_slots_left(void)
{
        unsigned left = DIVIDER_MAX;

        for (unsigned i = 0; i < VFS_MADE; i++)
                if (vfs[i].taken && vfs[i].divider > 0)
                        left -= DIVIDER_MAX / vfs[i].divider;

        return left;
}

/* Compares as the driver does, which does not notice a new range that lies within the range of another VF. */
static bool memory_is_free(unsigned base, unsigned size)
{
        unsigned top = base + size;

        if (top > FB_MIB)
                return false;

        for (unsigned i = 0; i < VFS_MADE; i++) {
                unsigned other = vfs[i].base_mib, other_top = other + vfs[i].size_mib;

                if ((vfs[i].taken || is_running(&vfs[i])) &&
                    ((base <= other && other < top) || (base < other_top && other_top <= top)))
                        return false;
        }

        return true;
}

static Vf *find_free(void)
{
        for (unsigned i = 0; i < VFS_MADE; i++)
                if (!vfs[i].taken && !is_running(&vfs[i]))
                        return &vfs[i];

        return NULL;
}

static bool any_is_running(void)
{
        for (unsigned i = 0; i < VFS_MADE; i++)
                if (is_running(&vfs[i]))
                        return true;

        return false;
}

/* Returns NULL, or the text of the error. */
static const char *take_chosen(Vf *vf, unsigned base, unsigned size, unsigned divider)
{
        if (mode == MODE_NONE && any_is_running())
                return "Detected Active VFs. The GPU partition should be managed with three zero inputs.";
        if (mode == MODE_AUTOMATIC)
                return "The GPU partition should be managed with three zero inputs.";

        if (time_slots_left() < DIVIDER_MAX / divider)
                return "The specified GFX_partition cannot be satisfied";

        if (!memory_is_free(base, size))
                return "Can not allocate a frame buffer with this offset and size";

        vf->base_mib = base;
        vf->size_mib = size;
        vf->divider = divider;
        mode = MODE_CHOSEN;

        return NULL;
}

static const char *s7150_take(const char *text, Vf **ret)
{
        unsigned base, size, divider;
        const char *error = NULL;
        Vf *vf;

        if (sscanf(text, "%u %u %u", &base, &size, &divider) != 3)
                return "Invalid Parameters";

        if (base != 0 && base < HOST_MIB)
                return "Invalid frame buffer offset, not in range";

        if (divider > DIVIDER_MAX || (divider & (divider - 1)))
                return "Invalid GFX partition, should be power of 2 and in the range from 0 to 16";

        if (size != 0 && (size < MIN_MIB || size % ALIGN_MIB != 0))
                return "Invalid frame buffer size, should be larger than 256M and aligned in 16M";

        vf = find_free();
        if (!vf)
                return "Can't find an availible VF";

        if (base != 0 && size != 0 && divider != 0)
                error = take_chosen(vf, base, size, divider);
        else if (base != 0 || size != 0 || divider != 0)
                error = "Invalid Parameters";
        else if (mode == MODE_CHOSEN)
                error = "The GPU partition should be managed with three non-zero inputs.";
        else
                mode = MODE_AUTOMATIC;

        if (error)
                return error;

        vf->taken = true;
        *ret = vf;

        return NULL;
}

static int store_get(Node *node, const char *bytes, size_t length)
{
        const char *error;
        Vf *vf = NULL;

        take_lock();
        error = s7150_take(bytes, &vf);
        g_free(get_result);
        get_result = error ? g_strdup_printf("Failed to do getvf with error: %s\n", error)
                           : g_strdup_printf("%s\n", vf->function->spec.address);
        start_timeout();

        return 0;
}

/* The driver ignores the domain of the address. */
static Vf *find_by_text(const char *text)
{
        unsigned domain, bus, device, function;
        g_autofree char *suffix = NULL;

        if (sscanf(text, "%x:%x:%x.%x", &domain, &bus, &device, &function) != 4)
                return NULL;

        suffix = g_strdup_printf(":%02x:%02x.%x", bus & 0xff, device & 0x1f, function & 7);
        for (unsigned i = 0; i < VFS_MADE; i++)
                if (g_str_has_suffix(vfs[i].function->spec.address, suffix))
                        return &vfs[i];

        return NULL;
}

static const char *s7150_release(const char *text)
{
        unsigned ignored;
        Vf *vf;

        if (sscanf(text, "%x:%x:%x.%x", &ignored, &ignored, &ignored, &ignored) != 4)
                return "Invalid Parameters";

        vf = find_by_text(text);
        if (!vf)
                return "Failed to release VF. The specified VF cannot be found.";

        if (is_running(vf))
                return "Failed to release VF. The VF is still in use.";

        if (!vf->taken)
                return "Failed to release VF. The VF has not been set.";

        reset_share(vf);
        mode = MODE_NONE;

        for (unsigned i = 0; i < VFS_MADE; i++)
                if (vfs[i].taken)
                        mode = vfs[i].divider > 0 ? MODE_CHOSEN : MODE_AUTOMATIC;

        return NULL;
}

static int store_release(Node *node, const char *bytes, size_t length)
{
        const char *error;

        take_lock();
        error = s7150_release(bytes);
        g_free(release_result);
        release_result = error ? g_strdup_printf("Failed to do relvf with error: %s\n", error)
                               : g_strdup("OK\n");
        start_timeout();

        return 0;
}

/* Reading a result releases the lock, no matter which caller took it. */
static int show_get(Node *node, GString *text)
{
        g_string_append(text, get_result ? get_result : "");
        give_lock();
        return 0;
}

static int show_release(Node *node, GString *text)
{
        g_string_append(text, release_result ? release_result : "");
        give_lock();
        return 0;
}

/* Returns the VF's share of the engine in percent: 0 for a VF without a request while another VF has one. */
static unsigned engine_part(const Vf *vf)
{
        if (mode == MODE_NONE)
                return 100 / VFS_MADE;

        return vf->taken ? 100 / vf->divider : 0;
}

/* Ends the host where the driver would divide by zero: a function requested with three zeros has divider 0. */
static int open_gpu(Node *node, const void *opener)
{
        return mode == MODE_AUTOMATIC ? forbidden_ops.open(node, opener) : 0;
}

static int show_gpu(Node *node, GString *text)
{
        take_lock();
        for (unsigned i = 0; i < VFS_MADE; i++)
                g_string_append_printf(text,
                                       "VF #%u\n\tType:S7150\n\tBusId:%s\n\tName:MxGPU_V1_%d\n\tVF State:%s\n"
                                       "\tVF Size:%u M\n\tGFX engine partition:%u%%\n",
                                       i, vfs[i].function->spec.address, VFS_MADE,
                                       is_running(&vfs[i]) ? "Active" : "Available", vfs[i].size_mib,
                                       engine_part(&vfs[i]));

        give_lock();

        return node->removed ? -ENODEV : 0;
}

static int show_vf(Node *node, GString *text)
{
        const Vf *vf = node->data;
        unsigned active = 0;

        take_lock();

        for (unsigned i = 0; i < VFS_MADE; i++)
                active += is_running(&vfs[i]);
        g_string_append_printf(text, "GPU:%s\n\tActive vGPUs:%u\n\tvGPU ID:%s\n\t\tvGPU Name:MxGPU_V1_%d\n",
                               gpu->functions[0].spec.address, active, vf->function->spec.address, VFS_MADE);
        g_string_append_printf(text,
                               "\t\tvGPU Type:S7150\n\t\tGuest Driver Version:N/A\n"
                               "\t\tGuest Driver Certification:None\n\t\tvGPU State:%s\n"
                               "\t\tVF current running section:0:0:0\n\t\tVF active section:0:0:0\n",
                               is_running(vf) ? "Active" : "Available");
        g_string_append_printf(text,
                               "\t\tVF Last Init Start:N/A\n\t\tVF Last Init Finish:N/A\n"
                               "\t\tVF Last Shutdown Start:N/A\n\t\tVF Last Shutdown Finish:N/A\n"
                               "\t\tVF Last Reset At:N/A\n\t\tVF Reset Time:0\n\t\tVF FB Size:%u M\n",
                               vf->size_mib);
        give_lock();

        return node->removed ? -ENODEV : 0;
}

static const char *clear_memory(const Vf *vf, const char *text)
{
        g_autofree char *line = g_strchomp(g_strdup(text));
        guint64 pattern;

        if (!g_ascii_string_to_unsigned(line, 10, 0, G_MAXUINT, &pattern, NULL))
                return "Invalid Parameters";

        if (!vf->taken)
                return "The VF is not setup yet. No FB clear action can be taken";

        return is_running(vf) ? "The VF is in use. FB can't be cleared" : NULL;
}

static int store_clear(Node *node, const char *bytes, size_t length)
{
        Vf *vf = node->data;
        const char *error;

        take_lock();
        error = clear_memory(vf, bytes);
        g_free(vf->clear_result);
        vf->clear_result = error ? g_strdup_printf("Failed to do clrvffb with error: %s\n", error)
                                 : g_strdup("OK\n");
        give_lock();

        return 0;
}

static int show_clear(Node *node, GString *text)
{
        const Vf *vf = node->data;

        g_string_append(text, vf->clear_result ? vf->clear_result : "");

        return 0;
}

static int s7150_store_reset(Node *node, const char *bytes, size_t length)
{
        Vf *vf = node->data;

        take_lock();
        g_free(vf->reset_result);
        vf->reset_result = g_strdup("OK\n");
        start_timeout();

        return 0;
}

static int show_reset(Node *node, GString *text)
{
        const Vf *vf = node->data;

        g_string_append(text, vf->reset_result ? vf->reset_result : "");
        give_lock();

        return 0;
}

static const NodeOps get_ops = { .show = show_get, .store_locked = store_get };
static const NodeOps release_ops = { .show = show_release, .store_locked = store_release };
static const NodeOps gpu_info_ops = { .open = open_gpu, .show = show_gpu };
static const NodeOps vf_info_ops = { .show = show_vf };
static const NodeOps clear_ops = { .show = show_clear, .store_locked = store_clear };
static const NodeOps reset_ops = { .show = show_reset, .store_locked = s7150_store_reset };

static void add_driver_files(void)
{
        Node *directory = device_driver("pci", "gim");

        if (node_child(directory, "gpuinfo"))
                return;

        node_add_format(directory, "gpuinfo", 0444,
                        "GPU #0\n\tName:S7150\n\tBusId:%s\n\tDPM Cap:8\n\tPower Cap:109 W\n"
                        "\tFrame Buffer Size:%u M\n\tUncorr ECC:No\n\tMax VF#:16\n\tGFX Engine:GFX8\n"
                        "\tGFX MAX Clock:1000 MHz\n\tVideo Encoder:None\n\tPCIE Link Speed:8 GT/s\n"
                        "\tPCIE Link Width:x16\n",
                        gpu->functions[0].spec.address, FB_MIB);
        node_add_text(directory, "gpuvs", 0444, NULL, "GPU #0\n");
        node_add_text(directory, "gpubios", 0444, NULL, "GPU #0\n");
}

static int s7150_bind(GpuFunction *function)
{
        Node *directory = function->device->directory;
        int r;

        if (function->index > 0)
                return 0;

        mode = MODE_NONE;
        for (unsigned i = 0; i < VFS; i++)
                reset_share(&vfs[i]);
        r = sriov_enable(function->gpu, VFS_MADE);
        if (r < 0)
                return r;

        add_driver_files();
        node_add_attribute(directory, "getvf", 0644, &get_ops, NULL);
        node_add_attribute(directory, "relvf", 0644, &release_ops, NULL);
        node_add_attribute(directory, "gpuvf", 0444, &gpu_info_ops, NULL);
        /* Tests never reset the whole GPU. */
        node_add_attribute(directory, "hotlink_reset", 0644, &forbidden_ops, NULL);

        for (unsigned i = 0; i < VFS_MADE; i++) {
                directory = vfs[i].function->device->directory;
                node_add_attribute(directory, "gpuvf", 0444, &vf_info_ops, &vfs[i]);
                node_add_attribute(directory, "clrvffb", 0644, &clear_ops, &vfs[i]);
                node_add_attribute(directory, "flr", 0644, &reset_ops, &vfs[i]);
        }

        return 0;
}

/* The virtual functions have gone by now. */
static void s7150_unbind(GpuFunction *function)
{
        static const char *const names[] = { "getvf", "relvf", "gpuvf", "hotlink_reset" };

        for (size_t i = 0; function->index == 0 && i < G_N_ELEMENTS(names); i++)
                node_remove_child(function->device->directory, names[i]);
}

static const GpuOps gpu_ops = { .driver = "gim", .bind = s7150_bind, .unbind = s7150_unbind };

static void s7150_build(const ModelOptions *options)
{
        static const PciSpec spec = {
                .address = "0000:83:00.0",
                .bridge = "pci0000:80/0000:80:02.0",
                .vendor = 0x1002,
                .device = 0x6929,
                .subsystem_vendor = 0x1002,
                .subsystem_device = 0x0334,
                .class = 0x038000,
                .numa_node = 1,
                .link_speed = "8.0 GT/s",
                .link_width = 16,
        };

        gpu = gpu_new(&spec, &gpu_ops, VFS, 0x692f, 16, 1);

        for (unsigned i = 0; i < VFS; i++)
                vfs[i].function = &gpu->functions[i + 1];
        (void)gpu_plug(gpu);
}

const Model model_gim_s7150 = {
        .name = "gim-s7150",
        .summary = "AMD FirePro S7150 with the first gim: 0000:83:00.0, eight virtual functions, getvf and relvf",
        .build = s7150_build,
};
