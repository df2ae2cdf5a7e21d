/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/converge/missing.h"

#include <string.h>

#include "base/thread.h"
#include "daemon/converge/kept.h"
#include "daemon/definitions/define.h"
#include "daemon/model/instance.h"
#include "daemon/model/model.h"
#include "daemon/model/want.h"
#include "daemon/store/definitions.h"

/* Reasons of a missing instance whose start has no error. */
static const char *const missing_reasons[_DEFINITION_STATE_MAX] = {
        [DEFINITION_STOPPED] = "its instance is gone",
        [DEFINITION_STARTING] = "its instance is being created",
        [DEFINITION_WAITING] = "its start has not been tried yet",
        [DEFINITION_ACTIVE] = "its instance may be incomplete, so vgpud removes it and creates it again",
        [DEFINITION_FOREIGN] = "another program created a device with its UUID",
        [DEFINITION_UNKNOWN] = "its GPU does not answer, so its instance may exist",
};

/* An instance with an interrupted creation counts as missing, because a removal follows. */
static bool missing_is_definition(Model *m, const Definition *definition)
{
        const Instance *instance = definition ? model_get_instance(m, definition->uuid) : NULL;

        return definition &&
               (define_get_state(m, definition) != DEFINITION_ACTIVE || (instance && instance->undo));
}

static char *missing_describe_definition(Model *m, const Definition *definition, const Want *want)
{
        DefinitionState state = define_get_state(m, definition);
        const char *reason = state == DEFINITION_WAITING && want->waiting.code != VGPUD_ERROR_NONE
                                             ? want->waiting.message
                                             : missing_reasons[state];

        return definition->name ? g_strdup_printf("definition %s (%s): %s", definition->name, definition->uuid,
                                                  reason)
                                : g_strdup_printf("definition %s: %s", definition->uuid, reason);
}

static int missing_compare_wants(gconstpointer a, gconstpointer b)
{
        return strcmp((*(Want *const *)a)->uuid, (*(Want *const *)b)->uuid);
}

/* The wants (Want) of the definitions that are not active. */
static GPtrArray *missing_wants(Model *m)
{
        GPtrArray *wants = g_ptr_array_new();
        GHashTableIter iter;
        Want *want;

        g_hash_table_iter_init(&iter, m->wants);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&want))
                if (missing_is_definition(m, definitions_get(m->definitions, want->uuid)))
                        g_ptr_array_add(wants, want);

        return wants;
}

GPtrArray *missing_list(Model *m, size_t max)
{
        GPtrArray *texts = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GPtrArray) wants = missing_wants(m);

        assert_main_thread();

        g_ptr_array_sort(wants, missing_compare_wants);

        kept_add_missing(m, texts);
        if (texts->len > max)
                g_ptr_array_set_size(texts, (gint)max);

        for (guint i = 0; i < wants->len && texts->len < max; i++) {
                const Want *want = wants->pdata[i];

                g_ptr_array_add(texts, missing_describe_definition(
                                                       m, definitions_get(m->definitions, want->uuid), want));
        }

        return texts;
}

size_t missing_count(Model *m)
{
        g_autoptr(GPtrArray) gpus = g_ptr_array_new_with_free_func(g_free), wants = missing_wants(m);

        assert_main_thread();

        kept_add_missing(m, gpus);

        return (size_t)gpus->len + wants->len;
}
