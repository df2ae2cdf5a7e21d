/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* XenGT for the in-memory kernel: /sys/kernel/vgt of a Haswell with 512 MB of aperture, 4 GB of graphics memory
 * and 32 fences. The host keeps 96 MB of low memory (aperture), 384 MB of high memory and 4 fences, and the
 * driver keeps 32 MB at the end of the aperture. Low memory and fences of a vGPU are contiguous. The slots of
 * 64 MB of high memory are one pool, which all vGPUs share (vgt/aperture_gm.c). A read of a file whose reading
 * disturbs the GPU aborts the test, and so does the removal of a vGPU whose domain exists. */

#include "drivers-glue/driver.h"
#include "io-fake.h"

typedef struct FakeXengt FakeXengt;

FakeXengt *fake_add_xengt(FakeKernel *k);
FakeXengt *fake_xengt_free(FakeXengt *x);
GpuFacts *fake_xengt_facts(FakeXengt *x);
/* The guest of this domain loads or unloads the driver. */
void fake_xengt_start(FakeXengt *x, unsigned vm_id, bool started);
/* The domain starts or ends. vGPUs require a running domain. */
void fake_xengt_domain(FakeXengt *x, unsigned domain, bool exists);
/* The driver is unloaded. */
void fake_xengt_unload(FakeXengt *x);
