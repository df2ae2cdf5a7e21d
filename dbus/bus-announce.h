/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Turns the events of the model into signals. Changes are collected and announced once per turn of the event
 * loop, or earlier before the end of a job, the removal of a GPU or the answer to a call: each tells clients
 * that all earlier changes are announced. In each round instances come before their GPU, which comes before the
 * end of a job.
 *
 * A job on an idle GPU is announced when it starts, so that clients hear of it once. */

#include "daemon/model/events.h"
#include "dbus/bus.h"

/* Callbacks for the model; userdata is the Bus. */
extern const ModelEvents bus_announce_events;

/* What clients have been told. */
BusAnnounce *bus_announce_new(Bus *b);
BusAnnounce *bus_announce_free(BusAnnounce *a);

/* Announce all changes now. */
void bus_announce_flush(Bus *b);

/* Announce all changes and all new jobs now, also those that are about to start. */
void bus_announce_jobs(Bus *b);
