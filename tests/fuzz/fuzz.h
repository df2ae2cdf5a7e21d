/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Each fuzzer defines LLVMFuzzerTestOneInput(). With -Dfuzz=true (clang) libFuzzer calls it. Without
 * -Dfuzz=true, fuzz-main.c calls it for the files of the corpus, so that old findings stay fixed. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/macros.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The rest of an input that has several parts. */
typedef struct FuzzInput {
        const uint8_t *data;
        size_t size;
} FuzzInput;

/* The next byte; 0 at the end. */
static inline uint8_t fuzz_take_byte(FuzzInput *in)
{
        if (in->size == 0)
                return 0;

        in->size--;

        return *in->data++;
}

/* The bytes up to the next zero byte, or up to the end; owned by the caller. */
static inline char *fuzz_take_text(FuzzInput *in)
{
        size_t n = in->size > 0 ? strnlen((const char *)in->data, in->size) : 0;
        char *text = g_strndup(n > 0 ? (const char *)in->data : "", n);

        in->data += MIN(n + 1, in->size);
        in->size -= MIN(n + 1, in->size);

        return text;
}

/* The text up to the next line break; NULL at the end. Changes *text. */
static inline char *fuzz_take_line(char **text)
{
        char *line = *text, *end = line ? strchr(line, '\n') : NULL;

        if (end)
                *end++ = 0;
        *text = end;

        return line;
}
