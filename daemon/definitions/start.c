/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/definitions/start.h"

#include "base/thread.h"

void start_prepare(const Definition *definition, PlaceHints *hints, CreateRequest *ret)
{
        assert_main_thread();

        *hints = PLACE_HINTS_NONE;
        hints->pool = definition->pool;

        *ret = (CreateRequest){
                .gpu = definition->gpu ? definition->gpu : "",
                .type = definition->type,
                .uuid = definition->uuid,
                .name = definition->name,
                .parent = definition->parent,
                .attributes = definition->attributes,
                .count = 1,
                .hints = definition->gpu ? NULL : hints,
                .definition = definition,
        };
}
