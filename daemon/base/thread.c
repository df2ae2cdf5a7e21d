/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/thread.h"

#include <unistd.h>

#include "base/log.h"

static _Thread_local unsigned thread_roles; /* bits of ThreadRole; 0: not known yet */

void thread_set_roles(unsigned roles)
{
        g_assert(roles != 0);

        thread_roles = roles;
}

bool thread_has_role(ThreadRole role)
{
        if (thread_roles == 0 && gettid() == getpid())
                thread_roles = THREAD_MAIN;

        return thread_roles & role;
}

int thread_fail_check(const char *expr, const char *file, int line, VgpudError *reterr)
{
        log_error("Internal error at %s:%d: \"%s\" does not hold", file, line, expr);

        return vgpud_error_setf(reterr, VGPUD_ERROR_FAILED, "internal error at %s:%d: \"%s\" does not hold",
                                file, line, expr);
}
