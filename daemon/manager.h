/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Starts and stops the model, the lanes, the discovery and the convergence, reports the end of start-up, and
 * carries out the wishes of the model (daemon/model/model.h). Main thread only. */

#include "daemon/store/config.h"
#include "daemon/forward.h"
#include "daemon/work/lane.h"

/* `factory` makes the VgpuIo of each lane (daemon/work/lane.h). */
int manager_new(sd_event *event, const Config *config, LaneIoFactory factory, void *factory_userdata,
                Manager **ret);
/* Announces nothing. manager_stop() must come first if the manager was opened. */
Manager *manager_free(Manager *m);

Model *manager_model(Manager *m);

/* Open the runtime directory, the records and the lanes: the first part of manager_start(), for tests that run
 * discoveries themselves. */
int manager_open(Manager *m);

/* Start the convergence (converge/converge.h): the last part of manager_start(), for the same tests. */
int manager_converge(Manager *m);

/* Open all parts and start the first discovery. ready() is called once: when each GPU of the first discovery
 * has been scanned or its scan has failed, or after Config.start_timeout_usec. The convergence
 * starts after ready(). */
int manager_start(Manager *m, void (*ready)(Manager *m, void *userdata), void *userdata);

/* Refuse new jobs, cancel the waiting ones, and wait at most timeout_usec for the running ones. */
void manager_stop(Manager *m, uint64_t timeout_usec);
