/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Uevents to the monitors of the processes inside, in the form in which udevd passes them on. It owns the
 * sequence number, the log of events, and the two ways out:
 *
 * - in a testbed, umockdev's preload library turns each netlink monitor into a socket "eventN" in the testbed's
 *   directory. umockdev_testbed_uevent() is not used: it aborts the process when a monitor's queue is full (ten
 * messages on a stock kernel), looks the device up in sysfs, which is too late for a removed one, and has no
 * way to add a property such as MDEV_STATE. A full queue is drained by a thread here, nothing is lost.
 * - in a namespace of its own, real netlink: the host plays udevd. A monitor that does not read gets ENOBUFS,
 * as in life.
 */

#include <glib.h>

/* Where to send. What happens before either call is the state a booted host has anyway: it makes no event. */
void event_use_testbed(const char *directory);
int event_use_netlink(void);

/* properties: "KEY=VALUE\n" lines besides ACTION, DEVPATH, SUBSYSTEM and SEQNUM. When it returns, every monitor
 * that has room has the event. */
void event_send(const char *action, const char *devpath, const char *subsystem, const char *devtype,
                const char *properties);
/* Sends the coming events nowhere, as if they had been lost on the way. */
void event_drop(unsigned count);
/* Sends an event of the subsystem "simhost" to all monitors that want it: the next one after all events so far.
 * The log and the sequence number do not have it, and event_drop() does not lose it. */
void event_mark(void);
guint64 event_sequence_number(void);
/* "ACTION DEVPATH SUBSYSTEM [KEY=VALUE]…" per line. */
void event_append_log(GString *text);
