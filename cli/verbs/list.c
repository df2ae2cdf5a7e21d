/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* list */

#include <stdio.h>
#include <string.h>

#include "cli/client/client.h"
#include "cli/host/host-json.h"
#include "cli/host/report.h"
#include "cli/output/errors.h"
#include "cli/verbs/verbs.h"

int verb_list(const Arguments *a)
{
        _cleanup_client_ Client c = { 0 };
        _cleanup_host_ Host *h = NULL;
        GpuInfo *only = NULL;
        int status = client_open_host_and_gpu(&c, a, client_get_instances, &h, &only);

        if (status != 0)
                return status;

        if (a->json)
                return print_objects_json("instances", h, OBJECT_INSTANCE, only ? only->path : NULL);

        if (a->quiet) {
                for (unsigned i = 0; i < host_n(h, OBJECT_INSTANCE); i++)
                        if (!only || strcmp(host_instance(h, i)->gpu, only->path) == 0)
                                (void)puts(host_instance(h, i)->uuid);

                return 0;
        }

        if (print_instances(a, h, only, 0) == 0)
                remark(a, "There are no instances%s%s. \"vgpuctl types\" lists what can be made.",
                       only ? " on " : "", only ? only->name : "");

        return 0;
}
