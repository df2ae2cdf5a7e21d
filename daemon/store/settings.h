/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The kept settings of the GPUs of this host. One JSON file per GPU, STATE/gpus/NAME.json (gpu-settings.h), in
 * a StoreFolder; store-folder.h describes damaged files. Each text is written to a temporary file, which is
 * fsynced and renamed; then the folder is fsynced. Main thread only. Only model/keep.c changes settings,
 * because each change must be announced. */

#include "daemon/store/gpu-settings.h"

/* Limit of GPUs with kept settings. */
#define SETTINGS_MAX 1024U

/* Opens or creates STATE/gpus and reads all files. Never fails: settings_errors() lists the files that cannot
 * be read. */
Settings *settings_new(const char *state_directory);
Settings *settings_free(Settings *s);

const GpuSettings *settings_get(Settings *s, const char *gpu); /* NULL: nothing is kept */
/* All settings, borrowed (const GpuSettings), in the order of the GPUs' names. */
GPtrArray *settings_list(Settings *s);
/* The faults of the files, as definitions_errors(). */
const GPtrArray *settings_errors(Settings *s);

/* Write the settings of a GPU; empty settings remove the file. Memory keeps a copy. On failure memory and disk
 * are as before. Errors: INVALID (gpu_settings_check()); QUOTA (SETTINGS_MAX); FAILED with the errno (-EEXIST:
 * the folder has an unreadable file of the GPU, or a file newer than the start). */
int settings_put(Settings *s, const GpuSettings *settings, VgpudError *reterr);
