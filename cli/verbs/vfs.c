/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* enable-vfs and disable-vfs */

#include <string.h>

#include "base/parse-util.h"
#include "cli/client/lookup.h"
#include "cli/output/errors.h"
#include "cli/verbs/gpu-call.h"
#include "cli/verbs/verbs.h"
#include "dbus/bus-names.h"

/* Without --keep, a person may still expect that the call changed the kept number. */
static int vfs_say_kept(Client *c, Host *h, const GpuInfo *g, uint32_t count)
{
        const Arguments *a = c->args;
        void *object;
        int status;

        if (a->keep || !a->block || !remarks_wanted(a))
                return 0;

        status = lookup_object(c, h, OBJECT_GPU, g->path, a->words[0], &object);
        if (status != 0)
                return status;

        g = object;
        if (g->kept_vfs >= 0 && (uint32_t)g->kept_vfs != count)
                remark(a,
                       "%" G_GINT32_FORMAT
                       " is still the kept number of virtual functions; use --keep to change the kept number.",
                       g->kept_vfs);

        return 0;
}

static int vfs_set(Client *c, Host *h, const GpuInfo *g, uint32_t count)
{
        Batch b = { .client = c, .key = "gpu", .calls = g_new0(Call, 1), .n_calls = 1 };
        int r = 0, status = 0;

        b.asked = count > 0 ? "Could not enable virtual functions of"
                            : "Could not disable the virtual functions of";
        b.calls->object = c->args->words[0];

        b.calls->message = client_call_new(c, g->path, VGPUD_INTERFACE_GPU, "SetVfs", &status);
        if (b.calls->message)
                r = sd_bus_message_append(b.calls->message, "u", count);

        status = gpu_call_run(&b, r, status);

        return status != 0 ? status : vfs_say_kept(c, h, g, count);
}

static int vfs_run_enable(const Arguments *a)
{
        _cleanup_host_ Host *h = host_new();
        _cleanup_client_ Client c = { 0 };
        GpuInfo *g = NULL;
        uint32_t count = 0;
        int status;

        g_assert(a->n_words == 1 || a->n_words == 2);

        if (a->n_words > 1 && (parse_u32(a->words[1], 10, &count) < 0 || count == 0))
                return fail_usage(
                                a,
                                "enable-vfs needs 1 or more virtual functions, not \"%s\" (disable-vfs disables all)",
                                a->words[1]);

        status = client_open(&c, a);
        if (status == 0 && count > 0)
                status = lookup_gpu(&c, h, a->words[0], &g);
        else if (status == 0)
                status = lookup_gpu_listed(&c, h, a->words[0], &g);
        if (status != 0)
                return status;

        if (count == 0 && g->total_vfs == 0 && strcmp(g->state, "ready") == 0)
                return fail(a, VGPUD_ERROR_UNSUPPORTED, g->name,
                            "Could not enable virtual functions of %s: the GPU has no SR-IOV, or the firmware setup disables it",
                            g->name);

        /* If the GPU can have no virtual functions for another reason, send any number: vgpud refuses the call
         * and says why. */
        return vfs_set(&c, h, g, count > 0 ? count : MAX(g->total_vfs, 1));
}

const VerbInfo verb_enable_vfs = {
        .name = "enable-vfs",
        .words = "GPU [COUNT]",
        .least_words = 1,
        .most_words = 2,
        .options = OPTION_KEEP | OPTION_TIMEOUT | OPTION_NO_BLOCK,
        .run = vfs_run_enable,
        .text = "Enable virtual functions of a GPU",
};

static int vfs_run_disable(const Arguments *a)
{
        _cleanup_host_ Host *h = host_new();
        _cleanup_client_ Client c = { 0 };
        GpuInfo *g = NULL;
        int status;

        g_assert(a->n_words == 1);

        status = client_open(&c, a);
        if (status == 0)
                status = lookup_gpu(&c, h, a->words[0], &g);

        return status != 0 ? status : vfs_set(&c, h, g, 0);
}

const VerbInfo verb_disable_vfs = {
        .name = "disable-vfs",
        .words = "GPU",
        .least_words = 1,
        .most_words = 1,
        .options = OPTION_KEEP | OPTION_TIMEOUT | OPTION_NO_BLOCK,
        .run = vfs_run_disable,
        .text = "Disable the virtual functions of a GPU",
};
