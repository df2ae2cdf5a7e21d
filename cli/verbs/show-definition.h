/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cli/arguments.h"
#include "cli/host/host.h"

/* Prints the lines of a definition. */
void show_definition(const Arguments *a, const DefinitionInfo *d);
