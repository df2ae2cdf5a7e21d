/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The fuzzer reads the XML of a libvirt domain. Each PCI function that is found has a valid address. */

#include "fuzz.h"

#include <string.h>

#include "base/pci-addr.h"
#include "drivers-glue/io/definitions.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        VgpuDefinitions *d = g_new0(VgpuDefinitions, 1);
        g_autofree char *text = g_malloc(size + 1);
        GHashTableIter iter;
        gpointer function;
        PciAddr address;

        if (size > 0)
                memcpy(text, data, size);
        text[size] = 0;

        d->files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        (void)vgpu_definitions_add_domain(d, "vm.xml", text, size);

        g_hash_table_iter_init(&iter, d->files);
        while (g_hash_table_iter_next(&iter, &function, NULL))
                g_assert(pci_addr_parse(function, &address) >= 0);

        vgpu_definitions_free(d);

        return 0;
}
