/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Turns the events of the model into signals: InterfacesAdded, InterfacesRemoved, PropertiesChanged,
 * JobRemoved. Changes of properties are collected and announced once per turn of the event loop, or earlier
 * before a removal or the answer to a call that waited: both tell clients that all changes are announced. */

#include "daemon/model/events.h"
#include "dbus/bus.h"

/* Callbacks for the model; userdata is the Bus. */
extern const ModelEvents bus_announce_events;

/* Announce all changes of properties now. */
void bus_announce_flush(Bus *b);
