/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The text formats of the files in the folder nvidia/ of a VF or mediated device, the ids of types, and the
 * only option of the types. */

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "drivers-glue/snapshot.h"

#define NVIDIA_LISTED_MAX 512 /* limit of types that one VF lists; drivers list about 25 */

typedef struct NvidiaListed {
        uint32_t id; /* never 0 */
        char *name;  /* "NVIDIA L40S-4Q"; one line of UTF-8 */
} NvidiaListed;

/* creatable_vgpu_types: a line "1150  : NVIDIA L40S-4Q" for each type that can be created on the VF now. Other
 * lines, such as the header of most releases, and repeated ids are ignored. NvidiaListed, owned. */
GPtrArray *nvidia_parse_creatable(const char *text);

/* current_vgpu_type: a decimal number, 0 for none, with optional blanks around. -EBADMSG: another text. */
int nvidia_parse_current(const char *text, uint32_t *ret);

/* "nvidia-1150", the id of the same type in the mdev back end. The number is never 0. */
char *nvidia_type_id(uint32_t id);
int nvidia_type_id_parse(const char *type_id, uint32_t *ret);

/* The parameters of a vGPU are an option of every type, with one name in the back ends mdev and nvidia-vfio.
 * The file is nvidia/vgpu_params of the VF or of the mediated device. */
#define NVIDIA_PARAMS      "vgpu_params"
#define NVIDIA_PARAMS_FILE "nvidia/" NVIDIA_PARAMS
VgpuTypeOption *nvidia_params_option(void);
/* True for the name of the option, and for its alias: the name of the file. */
bool nvidia_params_is_name(const char *name);
