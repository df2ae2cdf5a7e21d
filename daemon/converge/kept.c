/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/converge/kept.h"

#include "base/thread.h"

bool kept_step(Gpu *gpu)
{
        assert_main_thread();

        return true;
}

const VgpudError *kept_get_waiting(const Gpu *gpu)
{
        assert_main_thread();

        return NULL;
}
