/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fake-gim.h"

#include <stdio.h>
#include <string.h>

static void add(FakeKernel *k, const char *path, const char *name, FakeShow show, FakeStore store, void *data)
{
        g_autofree char *file = g_strconcat(path, "/", name, NULL);

        fake_add_attribute(k, file, show, store, data);
}

/* Serves files that vgpud must never read: reading the real file resets the GPU, writes flash memory, or
 * divides by zero. */
static int show_never(FakeKernel *k, const char *path, void *data, char **ret)
{
        g_error("%s was read", path);
        return 0;
}

/* ---- partitions ---- */

typedef struct Profile {
        const char *name;
        unsigned partitions;
        bool nps1_only;
} Profile;

static const Profile profiles[] = {
        { "SPX", 1, true }, { "DPX", 2, true }, { "QPX", 4, false }, { "CPX", 8, false }, { "CPX", 16, false },
};

struct FakeGim {
        FakePf *pf;
        unsigned profile, memory, old_memory;
        unsigned old_looks, blind_looks;
        unsigned next_old_looks, next_blind_looks;
        bool refuses, fails_reads;
};

/* True if gim refuses a change of a mode, as gim does while a VF is enabled. */
static bool refuses(const FakeGim *g)
{
        return g->refuses || fake_pf_has_active_vf(g->pf);
}

static int show_profile(FakeKernel *k, const char *path, void *data, char **ret)
{
        const FakeGim *g = data;

        *ret = g->fails_reads ? g_strdup("failed to get current accelerator partition profile\n")
                              : g_strdup_printf("%-20s%-20s%-20s\n%-20u%-20s%-20u[[0 1 ]]\n", "profile_index",
                                                "profile_type", "num_of_partitions", g->profile,
                                                profiles[g->profile].name, profiles[g->profile].partitions);

        return 0;
}

static int store_profile(FakeKernel *k, const char *path, void *data, const char *value)
{
        FakeGim *g = data;
        unsigned index;

        if (sscanf(value, "%u", &index) != 1)
                return -EINVAL;

        if (!refuses(g) && index < G_N_ELEMENTS(profiles) && !(profiles[index].nps1_only && g->memory != 1))
                g->profile = index;

        return 0;
}

static int show_profile_config(FakeKernel *k, const char *path, void *data, char **ret)
{
        GString *text = g_string_new("resource_profiles:\nresource_index      resource_type\n"
                                     "0                   XCC                 8                   1\n"
                                     "profiles:\nprofile_index       profile_type        num_of_partitions\n");

        for (unsigned i = 0; i < G_N_ELEMENTS(profiles); i++)
                g_string_append_printf(text, "%-20u%-20s%-20u%-20s%-20u[[0 1 ]]\n", i, profiles[i].name,
                                       profiles[i].partitions, "NPS1 NPS4 ", 2U);

        *ret = g_string_free(text, FALSE);

        return 0;
}

static int show_memory(FakeKernel *k, const char *path, void *data, char **ret)
{
        FakeGim *g = data;
        unsigned memory = g->memory;

        if (g->old_looks > 0) {
                g->old_looks--;
                memory = g->old_memory;
        } else if (g->blind_looks > 0 || g->fails_reads) {
                g->blind_looks -= g->blind_looks > 0;
                *ret = g_strdup("failed to get current mp mode\n");
                return 0;
        }

        *ret = g_strdup_printf("memory_partition_mode: NPS%u\nnuma_count: %u\nNUMA0 type=1 start=0x0 end=0xf\n",
                               memory, memory);

        return 0;
}

static int store_memory(FakeKernel *k, const char *path, void *data, const char *value)
{
        FakeGim *g = data;
        unsigned mode;

        if (sscanf(value, "NPS%u", &mode) != 1)
                return -EINVAL;

        if (refuses(g))
                return 0;

        g->old_memory = g->memory;
        g->memory = mode == 8 ? 4 : mode;
        g->profile = g->memory == 1 ? 0 : 3;
        g->old_looks = g->next_old_looks;
        g->blind_looks = g->next_blind_looks;

        return 0;
}

static int show_memory_config(FakeKernel *k, const char *path, void *data, char **ret)
{
        *ret = g_strdup("NPS1 NPS4 NPS8 \n");
        return 0;
}

static int show_spatial(FakeKernel *k, const char *path, void *data, char **ret)
{
        const FakeGim *g = data;

        *ret = g_strdup(g->fails_reads ? "failed to get current sp mode\n" : "QPX\n");

        return 0;
}

FakeGim *fake_gim_new(FakeKernel *k, FakePf *pf)
{
        FakeGim *g = g_new0(FakeGim, 1);
        const char *path = fake_pf_path(pf);

        g->pf = pf;
        g->memory = 1;
        fake_pf_set_driver(pf, "gim");
        add(k, path, "accelerator_partition_profile", show_profile, store_profile, g);
        add(k, path, "accelerator_partition_profile_config", show_profile_config, NULL, g);
        add(k, path, "memory_partition_mode", show_memory, store_memory, g);
        add(k, path, "memory_partition_config", show_memory_config, NULL, g);
        add(k, path, "spatial_partition_mode", show_spatial, NULL, g);
        add(k, path, "reset_gpu", show_never, NULL, g);
        add(k, path, "psp_vbflash", show_never, NULL, g);

        return g;
}

FakeGim *fake_gim_free(FakeGim *g)
{
        g_free(g);
        return NULL;
}

void fake_gim_refuse(FakeGim *g)
{
        g->refuses = true;
}

void fake_gim_lag(FakeGim *g, unsigned old_looks, unsigned blind_looks)
{
        g->next_old_looks = old_looks;
        g->next_blind_looks = blind_looks;
}

void fake_gim_fail_reads(FakeGim *g)
{
        g->fails_reads = true;
}

/* ---- the first gim ---- */

#define VFS_MAX  8
#define FB_MB    8192
#define HOST_MB  256
#define SHARE_MB 992
#define SLICES   16

typedef struct Vf {
        FakeGimLegacy *g;
        bool taken, running;
        unsigned base, size, divider; /* divider 0: an equal share */
} Vf;

struct FakeGimLegacy {
        FakePf *pf;
        Vf vfs[VFS_MAX];
        unsigned n;
        char *got, *released, *next; /* owned */
};

static void reset_vf(Vf *v)
{
        v->taken = false;
        v->size = SHARE_MB;
        v->base = HOST_MB + (unsigned)(v - v->g->vfs) * SHARE_MB;
        v->divider = 0;
}

/* True if the range overlaps the range of a VF that is allocated or runs, or exceeds the memory. Like the
 * driver, this function misses a range that lies within such a range. */
static bool is_occupied(const FakeGimLegacy *g, unsigned base, unsigned top)
{
        for (unsigned i = 0; i < g->n; i++) {
                const Vf *v = &g->vfs[i];
                unsigned b = v->base, t = v->base + v->size;

                if ((v->taken || v->running) && ((base <= b && b < top) || (base < t && t <= top)))
                        return true;
        }

        return top > FB_MB;
}

static const char *get(FakeGimLegacy *g, const char *line, Vf **ret)
{
        unsigned base, size, divider, left = SLICES;
        bool shared = false, chosen = false, running = false;
        Vf *vf = NULL;

        if (sscanf(line, "%u %u %u", &base, &size, &divider) != 3)
                return "Invalid Parameters";

        for (unsigned i = 0; i < g->n; i++) {
                Vf *v = &g->vfs[i];

                if (!vf && !v->taken && !v->running)
                        vf = v;
                running |= v->running;
                shared |= v->taken && v->divider == 0;
                chosen |= v->taken && v->divider > 0;
                left -= v->taken && v->divider > 0 ? SLICES / v->divider : 0;
        }

        if (base > 0 && base < HOST_MB)
                return "Invalid frame buffer offset, not in range";

        if (!vf)
                return "Can't find an availible VF";

        if (base == 0) {
                if (chosen)
                        return "The GPU partition should be managed with three non-zero inputs.";
        } else {
                if (shared)
                        return "The GPU partition should be managed with three zero inputs.";

                if (!chosen && running)
                        return "Detected Active VFs. The GPU partition should be managed with three zero inputs.";

                if (left < SLICES / divider)
                        return "The specified GFX_partition cannot be satisfied";

                if (is_occupied(g, base, base + size))
                        return "Can not allocate a frame buffer with this offset and size";

                vf->base = base;
                vf->size = size;
                vf->divider = divider;
        }

        vf->taken = true;
        *ret = vf;

        return NULL;
}

static char *take_next(FakeGimLegacy *g)
{
        return g_steal_pointer(&g->next);
}

static int store_getvf(FakeKernel *k, const char *path, void *data, const char *value)
{
        FakeGimLegacy *g = data;
        Vf *vf = NULL;

        g_free(g->got);

        g->got = take_next(g);
        if (g->got)
                return 0;

        const char *error = get(g, value, &vf);
        g->got = error ? g_strdup_printf("Failed to do getvf with error: %s\n\n", error)
                       : g_strdup_printf("%s\n\n", fake_vf_name(g->pf, (unsigned)(vf - g->vfs)));

        return 0;
}

static int store_relvf(FakeKernel *k, const char *path, void *data, const char *value)
{
        FakeGimLegacy *g = data;
        const char *error = "Failed to release VF. The specified VF cannot be found.";

        g_free(g->released);

        g->released = take_next(g);
        if (g->released)
                return 0;

        for (unsigned i = 0; i < g->n; i++) {
                Vf *v = &g->vfs[i];

                if (strcmp(fake_vf_name(g->pf, i), value) != 0)
                        continue;

                error = v->running  ? "Failed to release VF. The VF is still in use."
                        : !v->taken ? "Failed to release VF. The VF has not been set."
                                    : NULL;
                if (!error)
                        reset_vf(v);
                break;
        }

        g->released = error ? g_strdup_printf("Failed to do relvf with error: %s\n\n", error)
                            : g_strdup("OK\n\n");

        return 0;
}

static int show_getvf(FakeKernel *k, const char *path, void *data, char **ret)
{
        *ret = g_strdup(((FakeGimLegacy *)data)->got ? ((FakeGimLegacy *)data)->got : "");
        return 0;
}

static int show_relvf(FakeKernel *k, const char *path, void *data, char **ret)
{
        *ret = g_strdup(((FakeGimLegacy *)data)->released ? ((FakeGimLegacy *)data)->released : "");
        return 0;
}

static int show_vf(FakeKernel *k, const char *path, void *data, char **ret)
{
        const Vf *v = data;

        *ret = g_strdup_printf("GPU:0000:03:00.0\n\tActive vGPUs:0\n\tvGPU ID:%s\n\t\tvGPU Name:MxGPU_V1_8\n"
                               "\t\tvGPU State:%s\n\t\tVF FB Size:%u M\n",
                               fake_vf_name(v->g->pf, (unsigned)(v - v->g->vfs)),
                               v->running ? "Active" : "Available", v->size);

        return 0;
}

FakeGimLegacy *fake_gim_legacy_new(FakeKernel *k, FakePf *pf)
{
        FakeGimLegacy *g = g_new0(FakeGimLegacy, 1);
        GpuFacts *facts = fake_pf_facts(pf);

        g->pf = pf;
        g->n = facts->vfs->len;
        gpu_facts_unref(facts);
        g_assert(g->n <= VFS_MAX);
        fake_pf_set_driver(pf, "gim");
        add(k, fake_pf_path(pf), "getvf", show_getvf, store_getvf, g);
        add(k, fake_pf_path(pf), "relvf", show_relvf, store_relvf, g);
        add(k, fake_pf_path(pf), "gpuvf", show_never, NULL, g);
        add(k, fake_pf_path(pf), "hotlink_reset", show_never, NULL, g);

        for (unsigned i = 0; i < g->n; i++) {
                g->vfs[i].g = g;
                reset_vf(&g->vfs[i]);
                add(k, fake_vf_path(pf, i), "gpuvf", show_vf, NULL, &g->vfs[i]);
        }

        return g;
}

FakeGimLegacy *fake_gim_legacy_free(FakeGimLegacy *g)
{
        if (!g)
                return NULL;

        g_free(g->got);
        g_free(g->released);
        g_free(g->next);
        g_free(g);

        return NULL;
}

char *fake_gim_legacy_get(FakeGimLegacy *g, const char *line)
{
        Vf *vf = NULL;
        const char *error = get(g, line, &vf);

        return g_strdup(error ? error : fake_vf_name(g->pf, (unsigned)(vf - g->vfs)));
}

void fake_gim_legacy_run(FakeGimLegacy *g, unsigned n, bool running)
{
        g->vfs[n].running = running;
}

bool fake_gim_legacy_is_taken(FakeGimLegacy *g, unsigned n)
{
        return g->vfs[n].taken;
}

void fake_gim_legacy_say(FakeGimLegacy *g, const char *text)
{
        g_free(g->next);
        g->next = g_strdup(text);
}
