/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/vfio/driver-choice.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#define GENERIC_MODULE "vfio_pci"
#define GENERIC_DRIVER "vfio-pci"
#define BUS            "pci:"
#define ALIASES        "vfio_pci:"

typedef struct Candidate {
        const char *module; /* borrowed from the line */
        unsigned wildcards; /* number in the pattern; fewer wildcards match more closely */
        guint line;
} Candidate;

static int choice_compare(const void *a, const void *b)
{
        const Candidate *x = a, *y = b;

        if (x->wildcards != y->wildcards)
                return x->wildcards < y->wildcards ? -1 : 1;

        return x->line < y->line ? -1 : x->line > y->line;
}

static bool choice_is_module(const char *name)
{
        for (const char *c = name; *c; c++)
                if (!g_ascii_isalnum(*c) && *c != '_' && *c != '-')
                        return false;

        return name[0];
}

/* Parse a line "PATTERN MODULE", which is cut in two. False if the pattern does not match the alias, or the
 * module has no valid name. */
static bool choice_read_line(char *line, const char *alias, Candidate *ret)
{
        char *space = strchr(line, ' ');

        if (!space)
                return false;

        *space = 0;
        if (fnmatch(line, alias, 0) != 0 || !choice_is_module(space + 1))
                return false;

        *ret = (Candidate){ .module = space + 1 };
        for (const char *c = line; *c; c++)
                ret->wildcards += *c == '*';

        return true;
}

/* The PCI driver that a module has registered; NULL if the module is not loaded or has none. */
static char *choice_find_driver(VgpuIo *io, const char *module)
{
        g_autofree char *path = g_strconcat("module/", module, "/drivers", NULL);
        g_auto(GStrv) names = NULL;

        if (vgpu_io_list(io, path, &names) < 0)
                return NULL;

        for (char **n = names; *n; n++)
                if (g_str_has_prefix(*n, BUS) && (*n)[strlen(BUS)])
                        return g_strdup(*n + strlen(BUS));

        return NULL;
}

int vfio_find_driver(VgpuIo *io, const char *device_path, char **ret, char **ret_better)
{
        g_autofree char *modalias = NULL, *alias = NULL, *better = NULL, *driver = NULL;
        g_autoptr(GArray) candidates = g_array_new(FALSE, FALSE, sizeof(Candidate));
        g_auto(GStrv) lines = NULL;
        int r;

        g_assert(ret);

        r = vgpu_io_readf(io, &modalias, "%s/modalias", device_path);
        if (r < 0)
                return r;

        if (g_str_has_prefix(modalias, BUS)) {
                alias = g_strconcat(ALIASES, modalias + strlen(BUS), NULL);
                /* A kernel without modules has no file of aliases: only loaded drivers count then. */
                if (vgpu_io_list_aliases(io, ALIASES, &lines) < 0)
                        lines = g_new0(char *, 1);
                for (guint i = 0; lines[i]; i++) {
                        Candidate c;

                        if (choice_read_line(lines[i], alias, &c)) {
                                c.line = i;
                                g_array_append_val(candidates, c);
                        }
                }

                g_array_sort(candidates, choice_compare);
        }

        for (guint i = 0; i < candidates->len && !driver; i++) {
                const Candidate *c = &g_array_index(candidates, Candidate, i);

                driver = choice_find_driver(io, c->module);
                if (!driver && !better && strcmp(c->module, GENERIC_MODULE) != 0)
                        better = g_strdup(c->module);
        }

        if (!driver && vgpu_io_exists(io, "bus/pci/drivers/" GENERIC_DRIVER))
                driver = g_strdup(GENERIC_DRIVER);
        *ret = g_steal_pointer(&driver);
        if (ret_better)
                *ret_better = g_steal_pointer(&better);

        return 0;
}
