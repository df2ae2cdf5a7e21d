/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Replays a folder of inputs: one call for each prefix of each input, the whole input included. */

#include "fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fs-util.h"

#define INPUT_MAX 65536

int main(int argc, char **argv)
{
        _cleanup_close_ int dir = argc == 2 ? open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -EBADF;
        g_auto(GStrv) names = NULL;
        unsigned n = 0;

        if (dir < 0 || fs_list_at(dir, ".", &names) < 0) {
                fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
                return EXIT_FAILURE;
        }

        for (char **name = names; *name; name++) {
                g_autofree char *text = NULL;
                size_t size;
                int r = fs_read_file_at(dir, *name, INPUT_MAX, &text, &size);

                if (r < 0) {
                        fprintf(stderr, "%s: %s\n", *name, g_strerror(-r));
                        return EXIT_FAILURE;
                }

                for (size_t i = 0; i <= size; i++) {
                        /* A copy of exact size, so that a sanitizer finds a read beyond the end. */
                        g_autofree uint8_t *data = g_memdup2(text, i);

                        (void)LLVMFuzzerTestOneInput(data, i);
                }

                n++;
        }

        printf("%u passed, %u failed, 0 skipped\n", n, n > 0 ? 0 : 1);

        return n > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
