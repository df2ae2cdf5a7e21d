/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The kept settings of one GPU: modes and number of VFs that vgpud applies again after a boot of the host or a
 * reload of the driver. settings.h stores the settings of all GPUs. The file:
 *
 *     { "version": 1, "vendor": 4318, "device": 9909, "vfs": 8, "writer": 0, "written": 1764500000000000,
 *       "modes": [ { "name": "mig", "value": "no" }, { "name": "heterogeneous", "value": "yes" } ] }
 *
 * vendor and device are those of the PCI function; they are left out if the GPU is not on PCI. vfs and modes
 * are left out if they are not kept. The name of the file has the GPU. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/macros.h"
#include "daemon/forward.h"

/* Limit of modes, and the largest file. */
#define GPU_SETTINGS_MODES_MAX 16U
#define GPU_SETTINGS_JSON_MAX  (64U * 1024U)

struct GpuSettings {
        char *gpu;               /* sysfs name */
        uint16_t vendor, device; /* both 0: the GPU is not on PCI */
        uint32_t vfs;            /* 0: no number is kept */
        GPtrArray *modes;      /* owned: VgpuAttribute, in the order in which the modes were kept; never NULL */
        uid_t writer;          /* the user of the last change; UID_INVALID: vgpud itself */
        uint64_t written_usec; /* CLOCK_REALTIME */
};

/* Empty settings. */
GpuSettings *gpu_settings_new(const char *gpu);
GpuSettings *gpu_settings_copy(const GpuSettings *s); /* NULL stays NULL */
void gpu_settings_free(void *s);
static inline void gpu_settings_freep(GpuSettings **s)
{
        gpu_settings_free(*s);
}
#define _cleanup_gpu_settings_ _cleanup_(gpu_settings_freep)

/* True if neither VFs nor modes are kept. */
bool gpu_settings_is_empty(const GpuSettings *s);
/* The kept value of this mode; NULL: not kept. */
const char *gpu_settings_get_mode(const GpuSettings *s, const char *mode);
/* Add a mode, or replace the kept value and leave the order; value NULL: remove the mode. */
void gpu_settings_set_mode(GpuSettings *s, const char *mode, const char *value);

/* INVALID if a member is malformed, a mode occurs twice, or there are too many modes. */
int gpu_settings_check(const GpuSettings *s, VgpudError *reterr);

/* The text with a newline at its end. `s` must pass gpu_settings_check(). */
char *gpu_settings_to_json(const GpuSettings *s, size_t *ret_size);
/* Read any text with a NUL byte at its end; the result passes gpu_settings_check(). Errors: UNSUPPORTED: the
 * format has a newer version; INVALID: any other fault, also an unknown member. */
int gpu_settings_from_json(const char *gpu, const char *text, size_t size, GpuSettings **ret,
                           VgpudError *reterr);
