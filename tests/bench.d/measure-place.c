/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Measures the time of a placement among many GPUs: measure-place TIMES GPUS. On the host "alike", all GPUs are
 * equal and in random order, so that only the names decide. On the host "rules", the request names a device to
 * be near, rules limit the types, and half the GPUs are full. Prints a line per choice: host, nanoseconds. */

#include "policy/placement.h"

#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SEED 1024

static gint64 now(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);

        return t.tv_sec * G_GINT64_CONSTANT(1000000000) + t.tv_nsec;
}

static void shuffle(PlacementCandidate *candidates, size_t n)
{
        GRand *r = g_rand_new_with_seed(SEED);

        for (size_t i = n; i > 1; i--) {
                size_t k = (size_t)g_rand_int_range(r, 0, (gint32)i);
                PlacementCandidate c = candidates[i - 1];

                candidates[i - 1] = candidates[k];
                candidates[k] = c;
        }

        g_rand_free(r);
}

static void measure(const char *host, unsigned times, const PlacementCandidate *candidates, size_t n,
                    const PlacementRequest *request)
{
        for (unsigned i = 0; i < times; i++) {
                gint64 begin = now();
                Placement *p = placement_choose(candidates, n, request);
                bool chosen = p->chosen;

                placement_free(p);
                printf("%s %" G_GINT64_FORMAT "\n", host, now() - begin);

                if (!chosen)
                        exit(EXIT_FAILURE);
        }
}

int main(int argc, char **argv)
{
        static const char *const names[] = { "nvidia-1155", "NVIDIA L40S-4Q", "L40S-4Q", NULL };
        static const char *const allow[] = { "*-8Q", "*-4Q", NULL }, *const forbid[] = { "*-1B", "*-2B", NULL };
        guint64 times, n;

        if (argc != 3 || !g_ascii_string_to_unsigned(argv[1], 10, 1, 100000, &times, NULL) ||
            !g_ascii_string_to_unsigned(argv[2], 10, 2, 100000, &n, NULL)) {
                fputs("measure-place TIMES GPUS\n", stderr);
                return EXIT_FAILURE;
        }

        g_autofree PlacementCandidate *candidates = g_new0(PlacementCandidate, n);
        g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);

        for (unsigned i = 0; i < n; i++) {
                char *name = g_strdup_printf("%04x:%02x:00.0", i / 128, 0x11 + i % 128);
                char *path = g_strdup_printf("devices/pci%04x:%02x/%04x:%02x:01.0/%s", i / 128, i % 128 / 8 * 8,
                                             i / 128, i % 128 / 8 * 8, name);

                g_ptr_array_add(texts, name);
                g_ptr_array_add(texts, path);
                candidates[i] = (PlacementCandidate){
                        .gpu = name,
                        .path = path,
                        .offers = true,
                        .available = 12,
                        .numa_node = (int)(i / 64 % 2),
                        .type_names = names,
                };
        }

        shuffle(candidates, n);
        PlacementRequest request = { .count = 1, .numa_node = -1, .preferred_numa_node = -1 };
        measure("alike", (unsigned)times, candidates, n, &request);

        for (unsigned i = 0; i < n; i++) {
                candidates[i].allow = allow;
                candidates[i].forbid = forbid;
                candidates[i].instances = i % 5;
                candidates[i].available = i % 2 ? 3 + i % 7 : 1;
                candidates[i].promised = i % 2 ? 0 : 1;
                candidates[i].spare = 1;
        }

        request.strategy = PLACEMENT_DEPTH;
        request.preferred_numa_node = 1;
        request.near_path = "devices/pci0001:08/0001:08:01.0/0001:19:00.1";
        request.near_numa_node = 0;
        measure("rules", (unsigned)times, candidates, n, &request);

        return EXIT_SUCCESS;
}
