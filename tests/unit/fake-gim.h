/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What AMD's driver gim adds to a physical function of fake-sriov.h and its virtual functions, which must be
 * there by then: the partition files of gim 8, or "getvf" and "relvf" of the first gim. The files whose reading
 * does something, or ends the kernel, abort the test. */

#include "fake-sriov.h"

/* Profiles SPX, DPX, QPX, CPX (and a second one called CPX) of an accelerator with NPS1, NPS4 and NPS8; SPX and
 * DPX go with NPS1 only. It begins with SPX and NPS1. Nothing comes of what is
 * asked for while one of its virtual functions is switched on. */
typedef struct FakeGim FakeGim;
FakeGim *fake_gim_new(FakeKernel *k, FakePf *pf);
FakeGim *fake_gim_free(FakeGim *g);
/* Whatever is asked for from now on, nothing comes of it. */
void fake_gim_refuse(FakeGim *g);
/* After the next change of the memory mode so many looks show the old one, and so many nothing at all. */
void fake_gim_lag(FakeGim *g, unsigned old_looks, unsigned blind_looks);
/* Values cannot be had from now on. */
void fake_gim_fail_reads(FakeGim *g);

/* A GPU of 8192 MB, of which the host keeps 256 MB. */
typedef struct FakeGimLegacy FakeGimLegacy;
FakeGimLegacy *fake_gim_legacy_new(FakeKernel *k, FakePf *pf);
FakeGimLegacy *fake_gim_legacy_free(FakeGimLegacy *g);
/* Somebody writes that to getvf, and reads the answer (owned by the caller). */
char *fake_gim_legacy_get(FakeGimLegacy *g, const char *line);
/* A guest has loaded its driver on virtual function number n (from 0), or has ended it. */
void fake_gim_legacy_run(FakeGimLegacy *g, unsigned n, bool running);
bool fake_gim_legacy_is_taken(FakeGimLegacy *g, unsigned n);
/* It does nothing and answers that, once. */
void fake_gim_legacy_say(FakeGimLegacy *g, const char *text);
