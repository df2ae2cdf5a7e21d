/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Each fuzzer defines this function. With -Dfuzz=true (clang) libFuzzer drives it; else fuzz-main.c replays
 * the files of the corpus, so old findings stay fixed. */

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
