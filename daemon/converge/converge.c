/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/converge/converge.h"

#include "base/thread.h"
#include "daemon/model/model.h"

struct Converge {
        Model *model; /* borrowed */
};

Converge *converge_new(Model *m)
{
        Converge *c = g_new0(Converge, 1);

        assert_main_thread();

        c->model = m;

        return c;
}

Converge *converge_free(Converge *c)
{
        assert_main_thread();

        g_free(c);

        return NULL;
}

int converge_start(Converge *c)
{
        assert_main_thread();

        return 0;
}

void converge_run(Converge *c)
{
        assert_main_thread();
}
