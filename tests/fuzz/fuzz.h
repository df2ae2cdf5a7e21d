/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A fuzzer is a file with this function. With -Dfuzz=true (clang) libFuzzer drives it; else fuzz-main.c replays
 * the files of its corpus, so that everything that was ever found stays found. */

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
