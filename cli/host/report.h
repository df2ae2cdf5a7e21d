/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Texts and tables that several verbs show. Functions that return char * return new text, NULL if unknown. */

#include "cli/arguments.h"
#include "cli/host/host.h"
#include "cli/output/terminal.h"

char *gpu_title(const GpuInfo *g);       /* "Intel Corporation HD Graphics 530" */
char *gpu_state_text(const GpuInfo *g);  /* "ready", "stuck, last scanned 3 min ago" */
char *gpu_memory_text(const GpuInfo *g); /* "4 of 48 GiB" */
char *memory_text(uint64_t bytes);       /* "4 GiB"; UINT64_MAX: unknown */
char *owner_text(const Arguments *a, const char *owner);
char *type_available_text(const TypeInfo *t); /* "3 of 4", "3" */
char *type_memory_text(const TypeInfo *t);
char *type_resolution_text(const TypeInfo *t); /* "3840x2160" */

Tone gpu_state_tone(const GpuInfo *g);
char *instance_state_text(const InstanceInfo *i); /* "active", "active (edited)" */
Tone instance_state_tone(const InstanceInfo *i);
char *definition_state_text(const DefinitionInfo *d); /* "stopped", "active (edited)" */
Tone definition_state_tone(const DefinitionInfo *d);
const char *definition_autostart_text(const DefinitionInfo *d); /* "yes", "no" */
Tone job_state_tone(const JobInfo *j);

/* True if `list --all` has a row for the definition: no instance of vgpud has its UUID. */
bool definition_is_listed(const Host *h, const DefinitionInfo *d);

bool gpu_has_vf(const GpuInfo *g, const char *name);

/* True if the type is unavailable for the same reason as the whole GPU. The reason is shown once, for the
 * GPU. */
bool type_waits_for_gpu(const GpuInfo *g, const TypeInfo *t);

/* Tables of a host, or of one GPU (`only`). They return the number of rows; a table without rows is not
 * printed. */
typedef enum PrintFlags {
        PRINT_NESTED = 1 << 0,    /* indented, below a line about the GPU, and without the column GPU */
        PRINT_AVAILABLE = 1 << 1, /* only types with room */
        PRINT_ENDED = 1 << 2,     /* with the result of jobs that have ended */
        PRINT_DEFINED = 1 << 3,   /* after the instances: definitions that are not active */
} PrintFlags;

unsigned print_types(const Arguments *a, const Host *h, const GpuInfo *only, unsigned flags);
unsigned print_instances(const Arguments *a, const Host *h, const GpuInfo *only, unsigned flags);
unsigned print_jobs(const Arguments *a, const Host *h, unsigned flags);

/* Print running text instead of a table: a reason and a hint (may be NULL or ""); the modes of a GPU; the
 * options of a GPU's types, below a title; for each type, how many instances can be created, and why no more.
 */
void print_reason(unsigned indent, const char *head, const char *reason, const char *hint);
void print_modes(const GpuInfo *g, unsigned indent);
void print_type_options(const GpuInfo *g, const char *title, unsigned indent);
unsigned print_types_why(const Host *h, const GpuInfo *only);
