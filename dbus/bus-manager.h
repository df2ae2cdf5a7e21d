/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* org.vgpud1.Manager */

#include <systemd/sd-bus.h>

extern const sd_bus_vtable bus_manager_vtable[];
