/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Turns the events of the model into signals. Changes are collected and announced once per iteration of the
 * event loop, in the order jobs, instances, GPUs. Before the end of a job, the removal of a GPU and some
 * answers, all changes are announced, so that clients know the complete state by then.
 *
 * A new job on an idle GPU is announced when it starts, so that one announcement suffices. */

#include "daemon/model/events.h"
#include "dbus/bus.h"

/* Callbacks for the model; userdata is the Bus. */
extern const ModelEvents bus_announce_events;

/* The state of all objects as clients know it. */
BusAnnounce *bus_announce_new(Bus *b);
BusAnnounce *bus_announce_free(BusAnnounce *a);

/* Announce all changes now, but not jobs that are about to start. */
void bus_announce_flush(Bus *b);

/* Announce all changes now, including jobs that are about to start. */
void bus_announce_jobs(Bus *b);
