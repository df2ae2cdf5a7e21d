/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Pieces of text that several verbs show. All return new text. */

#include "cli/arguments.h"
#include "cli/host/host.h"
#include "cli/output/terminal.h"

char *gpu_title(const GpuInfo *g);      /* "Intel Corporation HD Graphics 530"; NULL when nothing is known */
char *gpu_state_text(const GpuInfo *g); /* "ready", "stuck, as of 3 min ago" */
Tone gpu_state_tone(const GpuInfo *g);
Tone instance_state_tone(const InstanceInfo *i);
Tone job_state_tone(const JobInfo *j);
bool gpu_has_vf(const GpuInfo *g, const char *name);
char *type_available_text(const TypeInfo *t);  /* "3 of 4", "3" */
char *type_memory_text(const TypeInfo *t);     /* "4 GiB"; NULL when unknown, as all below */
char *type_resolution_text(const TypeInfo *t); /* "3840x2160" */

/* Tables of a host, or of what is on one GPU only (NULL: all). They return the number of rows, and print
 * nothing when there is none. */
typedef enum PrintFlags {
        PRINT_NESTED = 1 << 0,    /* below a line about its GPU: indented, and the GPU is not repeated */
        PRINT_AVAILABLE = 1 << 1, /* only types that there is room for */
} PrintFlags;

/* Nothing of it can be made for the reason for which the GPU can make nothing, which need not be said again. */
bool type_waits_for_gpu(const GpuInfo *g, const TypeInfo *t);

unsigned print_types(const Arguments *a, const Host *h, const GpuInfo *only, unsigned flags);
/* What each mode is, can be and means. */
void print_modes(const GpuInfo *g, unsigned indent);
/* The options of the types of a GPU, below the title; nothing if there are none. */
void print_type_options(const GpuInfo *g, const char *title, unsigned indent);
/* In words, per type: how many, why no more, and its options; and GPUs without types. */
unsigned print_types_why(const Host *h, const GpuInfo *only);
unsigned print_instances(const Arguments *a, const Host *h, const GpuInfo *only, unsigned flags);
unsigned print_jobs(const Arguments *a, const Host *h, const GpuInfo *only, unsigned flags);
