/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Turns the events of the model into signals. Changes are collected and announced once per turn of the event
 * loop, or earlier before the end of a job, the removal of a GPU or the answer to a call: each tells clients of
 * complete news. Each round announces instances, then GPUs, then the end of a job.
 *
 * A job on an idle GPU is announced at its start, and so only once. */

#include "daemon/model/events.h"
#include "dbus/bus.h"

/* Callbacks for the model; userdata is the Bus. */
extern const ModelEvents bus_announce_events;

/* The state of all objects as clients know it. */
BusAnnounce *bus_announce_new(Bus *b);
BusAnnounce *bus_announce_free(BusAnnounce *a);

/* Announce all changes now. */
void bus_announce_flush(Bus *b);

/* Announce all changes and all new jobs now, also jobs about to start. */
void bus_announce_jobs(Bus *b);
