/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* XenGT for the in-memory kernel: /sys/kernel/vgt of a Haswell with 512 MB of aperture, 4 GB of graphics memory
 * and 32 fences, of which the host keeps 96 + 384 MB and 4, and the driver 32 MB at the end of the aperture.
 * Low memory and fences are taken in one piece each; high memory is in slots of 64 MB, which all but the host
 * share, so that what they take does not show (vgt/aperture_gm.c). The files whose reading disturbs the GPU
 * abort the test, and so does a vGPU that is removed while its domain exists. */

#include "drivers-glue/driver.h"
#include "io-fake.h"

typedef struct FakeXengt FakeXengt;

FakeXengt *fake_add_xengt(FakeKernel *k);
FakeXengt *fake_xengt_free(FakeXengt *x);
GpuFacts *fake_xengt_facts(FakeXengt *x);
/* The guest of this domain has loaded its driver, or it has not any more. */
void fake_xengt_start(FakeXengt *x, unsigned vm_id, bool started);
/* The domain begins, for which alone a vGPU can be made, or ends. */
void fake_xengt_domain(FakeXengt *x, unsigned domain, bool exists);
/* The driver goes. */
void fake_xengt_unload(FakeXengt *x);
