/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The model on the in-memory kernel, with a log of all announcements. No udev, no bus. */

#include "daemon/discovery/arrivals.h"
#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/discovery/inventory.h"
#include "daemon/work/job.h"
#include "daemon/manager.h"
#include "daemon/model/model.h"
#include "daemon/store/records.h"
#include "daemon/requests/create.h"
#include "daemon/requests/destroy.h"
#include "daemon/requests/find.h"
#include "daemon/requests/gpu.h"
#include "daemon/work/queue.h"
#include "daemon/work/scan.h"
#include "fake-gpus.h"
#include "fake-sriov.h"
#include "scratch.h"
#include "tests.h"

#define WAIT_USEC (60 * USEC_PER_SEC) /* limit for a failing test */

typedef struct Fixture {
        Scratch scratch;
        sd_event *event;
        Config *config;
        Manager *manager;
        Model *model; /* borrowed from the manager */
        FakeKernel *kernel;
        GPtrArray *fake_gpus; /* FakeGpu that discovery finds */
        GPtrArray *unloaded;  /* FakeGpu without driver */
        FakePci *pci;         /* NULL without fixture_add_pf() */
        GPtrArray *fake_pfs;  /* FakePf that discovery finds */
        GpuFacts *other_gpu;  /* borrowed: another GPU that discovery finds; NULL: none */
        GString *log;         /* one line per announcement */
} Fixture;

/* fixture_start() returns when all GPUs have been scanned. */
void fixture_init(Fixture *f);
void fixture_start(Fixture *f);
void fixture_new_manager(Fixture *f);     /* the first part of fixture_start() */
void fixture_add(Fixture *f, FakeGpu *g); /* call before fixture_start() or fixture_discover() */
/* Unload the driver. The model notices in the next fixture_discover(). */
void fixture_unload(Fixture *f, FakeGpu *g);
FakePf *fixture_add_pf(Fixture *f, FakePfModel model, const char *address, unsigned total_vfs);
VgpuIo *fixture_io(int keep_fd, void *kernel); /* VgpuIo of the lanes */
void fixture_discover(Fixture *f);             /* apply a discovery of the present GPUs */
/* Stop the daemon as SIGTERM or SIGKILL would: its files stay. */
void fixture_stop(Fixture *f);
void fixture_done(Fixture *f);
#define _cleanup_fixture_ _cleanup_(fixture_done)

/* Run the event loop until the condition holds; false: timeout. */
typedef bool (*Condition)(Fixture *f, void *data);
bool fixture_wait(Fixture *f, Condition condition, void *data);

/* Result of a job, for job_on_finished(). */
typedef struct Outcome {
        unsigned told; /* number of calls */
        VgpudErrorCode code;
        char *message;
} Outcome;
void outcome_done(Outcome *o);
#define _cleanup_outcome_ _cleanup_(outcome_done)
void outcome_of(Outcome *o, Job *job);
bool outcome_is_known(Fixture *f, void *outcome);

/* Create and wait. Returns the code of the error; uuid: the first instance. */
VgpudErrorCode fixture_create(Fixture *f, const CreateRequest *request, char uuid[static UUID_STRLEN + 1]);
/* Destroy and wait. flags: bits of DestroyFlags. */
VgpudErrorCode fixture_destroy(Fixture *f, const char *uuid, unsigned flags);
#define REQUEST(...)      REQUEST_N(1, __VA_ARGS__)
#define REQUEST_N(n, ...) (&(CreateRequest){ .count = (n), __VA_ARGS__ })

Instance *fixture_get(Fixture *f, const char *uuid); /* NULL: not in the model */
unsigned fixture_count_records(Fixture *f);          /* on disk */
uint32_t fixture_available(Fixture *f, const char *gpu, const char *type);

/* Conditions whose `data` is a UUID or the name of a GPU. A GPU is at rest if no scan runs or is wanted. */
bool instance_is_there(Fixture *f, void *uuid);
bool instance_is_gone(Fixture *f, void *uuid);
bool gpu_is_ready(Fixture *f, void *gpu);
bool gpu_is_at_rest(Fixture *f, void *gpu);
bool wishes_are_carried_out(Fixture *f, void *data); /* the manager has nothing to start */

/* True if the log contains the announcement. */
bool fixture_saw(Fixture *f, const char *line);
bool saw(Fixture *f, void *line);
void fixture_forget(Fixture *f);
