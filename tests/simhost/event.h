/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Uevents to the monitors of the processes inside, in the form in which udevd passes events on. The module owns
 * the sequence number, the log of events, and the two ways to deliver an event:
 *
 * - in a testbed, umockdev's preload library turns each netlink monitor into a socket "eventN" in the testbed's
 *   directory. umockdev_testbed_uevent() is unusable: the function aborts the process when a monitor's queue is
 *   full (ten messages on a stock kernel), looks the device up in sysfs, where a removed device is gone,
 *   and cannot add a property such as MDEV_STATE. A thread here drains a full queue, so no event is lost.
 * - in a separate namespace, real netlink: the host plays udevd. A monitor that does not read gets ENOBUFS, as
 *   on a real host.
 */

#include <glib.h>

/* Each of these functions selects a way of delivery. Changes before the call belong to the state of a booted
 * host and make no event. */
void event_use_testbed(const char *directory);
int event_use_netlink(void);

/* properties: "KEY=VALUE\n" lines besides ACTION, DEVPATH, SUBSYSTEM and SEQNUM. On return, every monitor with
 * room in its queue has the event. */
void event_send(const char *action, const char *devpath, const char *subsystem, const char *devtype,
                const char *properties);
/* Drops the next events, as if they were lost on the way. */
void event_drop(unsigned count);
/* Sends an event of the subsystem "simhost" to the monitors that subscribed, after all events so far. The event
 * is not in the log, has no sequence number, and is not affected by event_drop(). */
void event_mark(void);
guint64 event_sequence_number(void);
/* "ACTION DEVPATH SUBSYSTEM [KEY=VALUE]…" per line. */
void event_append_log(GString *text);
