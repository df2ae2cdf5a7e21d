/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The kept settings of the GPUs of this host. One JSON file per GPU, STATE/gpus/NAME.json (gpu-settings.h), in
 * a StoreFolder, whose header says what happens to damaged files. Each text is written to a temporary file,
 * which is fsynced and renamed; then the folder is fsynced. Main thread only. model/keep.c alone changes
 * settings, because each change must be announced. */

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
/* char *, one clause each, as definitions_errors(). */
const GPtrArray *settings_errors(Settings *s);

/* Write the settings of a GPU; settings that keep nothing remove its file. Memory keeps a copy. On failure
 * memory and disk are as before. Errors: those of gpu_settings_check(); QUOTA: SETTINGS_MAX; FAILED with the
 * errno
 * (-EEXIST: a file of the GPU exists that vgpud could not read, or that appeared after the start). */
int settings_put(Settings *s, const GpuSettings *settings, VgpudError *reterr);
