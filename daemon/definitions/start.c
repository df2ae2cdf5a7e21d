/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/definitions/start.h"

#include "base/log.h"
#include "base/thread.h"
#include "daemon/definitions/define.h"
#include "daemon/model/want.h"

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

int start_check_cancel(Model *m, const Definition *definition, VgpudError *reterr)
{
        assert_main_thread();

        return define_get_state(m, definition) == DEFINITION_WAITING
                               ? 0
                               : vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "definition %s is not waiting",
                                                  definition->uuid);
}

void start_cancel(Model *m, const Definition *definition, uid_t requester)
{
        assert_main_thread();
        g_assert(want_get(m, definition->uuid));

        LOG_FIELDS(LOG_INFO,
                   (.instance = definition->uuid, .gpu = definition->gpu, .requester = (int64_t)requester + 1),
                   "User %u canceled the start of definition %s", (unsigned)requester, definition->uuid);
        want_remove(m, definition->uuid);
}
