/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/verbs/show-definition.h"

#include <string.h>

#include "cli/host/report.h"
#include "cli/verbs/show-line.h"

void show_definition(const Arguments *a, const DefinitionInfo *d)
{
        bool foreign = strcmp(d->state, "foreign") == 0;

        show_line_copy("UUID", d->uuid);
        show_line_copy("Name", d->name);
        show_line_copy("Type", d->type);
        show_line("State",
                  foreign ? g_strdup("foreign (another program created a device with this UUID)")
                          : definition_state_text(d),
                  definition_state_tone(d));
        show_line_text("Reason", d->reason);
        show_line_text("Hint", d->hint);
        show_line_copy("Autostart", definition_autostart_text(d));
        show_line("Owner", show_owner_text(a, d->owner), TONE_PLAIN);
        show_line_moment("Defined", d->created_usec);
        show_line_copy("GPU", *d->gpu ? d->gpu : "any; chosen at each start");
        show_line_copy("Pool", d->pool);
        show_line_copy("Parent", d->parent);
        show_line_attributes(d->attributes);
}
