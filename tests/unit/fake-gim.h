/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The files that AMD's driver gim adds to a PF of fake-sriov.h and its enabled VFs: the partition files of gim
 * 8, or "getvf" and "relvf" of the first gim. Reading a file with side effects aborts the test. */

#include "fake-sriov.h"

/* An accelerator with profiles SPX, DPX, QPX and two called CPX, and with NPS1, NPS4 and NPS8; SPX and DPX
 * require NPS1. The initial modes are SPX and NPS1. Requests have no effect while a VF is enabled, and a
 * request for NPS8 sets NPS4. */
typedef struct FakeGim FakeGim;
FakeGim *fake_gim_new(FakeKernel *k, FakePf *pf);
FakeGim *fake_gim_free(FakeGim *g);
/* Requests have no effect from now on. */
void fake_gim_refuse(FakeGim *g);
/* Delay the next change of the memory mode: old_looks reads still show the old mode, then blind_looks reads
 * show no mode. */
void fake_gim_lag(FakeGim *g, unsigned old_looks, unsigned blind_looks);
/* From now on, the files contain error sentences instead of values. */
void fake_gim_fail_reads(FakeGim *g);

/* A GPU of 8192 MB, of which the host keeps 256 MB. */
typedef struct FakeGimLegacy FakeGimLegacy;
FakeGimLegacy *fake_gim_legacy_new(FakeKernel *k, FakePf *pf);
FakeGimLegacy *fake_gim_legacy_free(FakeGimLegacy *g);
/* Another program writes `line` to getvf and reads the answer (owned by the caller). */
char *fake_gim_legacy_get(FakeGimLegacy *g, const char *line);
/* A guest loads or unloads the driver on VF n (from 0). */
void fake_gim_legacy_run(FakeGimLegacy *g, unsigned n, bool running);
bool fake_gim_legacy_is_taken(FakeGimLegacy *g, unsigned n);
/* The next request has no effect and gets this answer. */
void fake_gim_legacy_say(FakeGimLegacy *g, const char *text);
