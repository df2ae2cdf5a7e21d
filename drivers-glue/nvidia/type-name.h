/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The format of the names of NVIDIA's types: "[NVIDIA |GRID ]BOARD-[SLICES-]FRAMEBUFFER SERIES[ATTRIBUTE]",
 * without the blank between FRAMEBUFFER and SERIES: "NVIDIA A2-4Q", "GRID M60-0B", "NVIDIA H200X-1-18CME",
 * "NVIDIA RTX Pro 6000 Blackwell DC-48C".
 *
 *     BOARD        letters, digits and " ._+()-", neither beginning nor ending with a blank or "-"; at most 63
 *     SLICES       of a partitioned GPU (MIG): 1 or 2 digits
 *     FRAMEBUFFER  GB (1024 MB); 0 stands for 512 MB
 *     SERIES       Q workstation, B desktop, A applications, C compute
 *     ATTRIBUTE    1 to 8 of A-Z and 0-9, for example "ME", "NOME", "MEALL" and "GFX" of slices, "4" in "2B4"
 *
 * All other texts are rejected. */

#include "drivers-glue/snapshot.h"

typedef struct TypeName {
        char product[64];           /* "A2" */
        char class[2];              /* "Q" */
        char attribute[9];          /* ""; "ME" */
        uint32_t slices;            /* 0: not of a partitioned GPU */
        uint64_t framebuffer_bytes; /* never 0 */
} TypeName;

/* False if the text does not have this format; *ret is unchanged then. */
bool type_name_parse(const char *text, TypeName *ret);

/* Set product, class and mig of a type from its name, and its framebuffer unless the driver reported it. */
void type_name_apply(VgpuType *t);
