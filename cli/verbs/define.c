/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* define */

#include <string.h>

#include "cli/client/lookup.h"
#include "cli/output/errors.h"
#include "cli/verbs/define-call.h"
#include "cli/verbs/verbs.h"

static int define_instance(Client *c)
{
        const Arguments *a = c->args;
        _cleanup_host_ Host *h = host_new();
        sd_bus_message *m;
        ObjectKind kind;
        void *object;
        int status;

        status = lookup_word(c, h, a->from, FIND_INSTANCE | FIND_NO_SHORT, &kind, &object);
        if (status != 0)
                return status;

        g_assert(kind == OBJECT_INSTANCE);

        status = define_call_new(c, "DefineInstance", ((const InstanceInfo *)object)->uuid, NULL, &m);

        return status != 0 ? status
                           : define_call_run(c, m, a->from, NULL, ((const InstanceInfo *)object)->uuid);
}

static int define_new(Client *c, const char *type)
{
        sd_bus_message *m;
        int status = define_call_new(c, "Define", type, NULL, &m);

        return status != 0 ? status : define_call_run(c, m, type, NULL, NULL);
}

static int define_check(const Arguments *a, const char *type)
{
        if (a->from && (type || (a->given & ~(unsigned)OPTION_FROM) != 0))
                return fail_usage(a, "define --from takes the type and all options from the instance");
        if (a->from && !*a->from)
                return fail_usage(a, "--from needs an instance");
        if (!a->from && (!type || !*type))
                return fail_usage(a, "define needs a type, or --from and an instance");
        if (a->n_words > 0 && a->type && strcmp(a->type, type) != 0)
                return fail_usage(a, "define takes one type, not \"%s\" and \"%s\"", type, a->type);

        return define_check_options(a);
}

static int define_run(const Arguments *a)
{
        const char *type = a->n_words > 0 ? a->words[0] : a->type;
        _cleanup_client_ Client c = { 0 };
        int status;

        g_assert(a->n_words <= 1);

        status = define_check(a, type);
        if (status == 0)
                status = client_open(&c, a);
        if (status != 0)
                return status;

        return a->from ? define_instance(&c) : define_new(&c, type);
}

const VerbInfo verb_define = {
        .name = "define",
        .words = "TYPE",
        .most_words = 1,
        .options = DEFINE_OPTIONS | OPTION_UUID | OPTION_FROM | OPTION_AUTOSTART,
        .run = define_run,
        .text = "Describe an instance that can be started, and print its UUID",
};
