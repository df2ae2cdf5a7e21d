/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* NVIDIA GPUs without mediated devices for the in-memory kernel: VFs with nvidia/current_vgpu_type and
 * nvidia/creatable_vgpu_types, NVIDIA's library behind vgpud-nvml, and sriov-manage behind systemctl. */

#include "drivers-glue/driver.h"
#include "io-fake.h"

typedef struct FakeVf FakeVf;

typedef struct FakeNvidia {
        FakeKernel *k;
        char *name, *path;       /* owned */
        const void *types;       /* private */
        unsigned n_types, n_vfs; /* numbers of the model */
        uint64_t framebuffer_mb;
        unsigned group; /* group of the first VF */
        bool enabled;
        GPtrArray *vfs; /* owned: FakeVf */

        /* The GPU's modes. */
        bool heterogeneous, mig, mig_pending;
        unsigned gpu_instances; /* MIG */

        int nvml_exit_status; /* ExecMainStatus that the last start of vgpud-nvml@.service left */

        /* Failures to simulate. */
        unsigned plugin_pauses;        /* vgpu_io_pause() calls until a write of type 0 succeeds */
        int plugin_errno;              /* errno of writes of type 0 until then: EBUSY or EPERM */
        unsigned manager_pauses;       /* vgpu_io_pause() calls until the vGPU manager registers new VFs */
        unsigned sriov_failures;       /* number of runs of sriov-manage that fail */
        bool sriov_missing;            /* sriov-manage is not installed */
        bool sriov_unit_missing;       /* the unit vgpud-sriov@.service is not installed */
        int nvml_set_code;             /* exit status of vgpud-nvml when it sets a mode; 0: success */
        bool nvml_set_needs_unit;      /* vgpud-nvml may set modes only if systemd starts it; else status 4 */
        bool nvml_set_does_nothing;    /* setting a mode reports success, and changes nothing */
        int nvml_activation;           /* NVML's error that keeps a change of MIG mode pending; 0: none */
        int nvml_unit_code;            /* ExecMainCode of vgpud-nvml@.service; 0: CLD_EXITED */
        int nvml_unit_status;          /* ExecMainStatus of that unit; 0: the exit status of vgpud-nvml */
        bool nvml_knows_nothing;       /* the library reports neither types nor modes */
        bool nvml_hides_gpu_instances; /* the library lacks permission to list GPU instances */
} FakeNvidia;

/* 48 GB, 32 VFs, types 1145 to 1166 and 2164. */
FakeNvidia *fake_add_l40s(FakeKernel *k, const char *address, bool enabled);
/* 141 GB, 16 VFs, type 1428 and the MIG type 1414. */
FakeNvidia *fake_add_h200(FakeKernel *k, const char *address, bool enabled);
FakeNvidia *fake_nvidia_free(FakeNvidia *g);

GpuFacts *fake_nvidia_facts(FakeNvidia *g);
/* Simulates sriov-manage. */
void fake_nvidia_enable(FakeNvidia *g, bool enable);
/* Install NVIDIA's library and vgpud-nvml. */
void fake_nvidia_add_nvml(FakeNvidia *g);
/* Takes VF number n from the vGPU manager, and binds it to this driver (NULL: none). */
void fake_nvidia_unready(FakeNvidia *g, unsigned n, const char *driver);
/* Another program gives VF number n a type, 0 for none. */
void fake_nvidia_set(FakeNvidia *g, unsigned n, unsigned type);
const char *fake_nvidia_vf_name(FakeNvidia *g, unsigned n);
const char *fake_nvidia_vf_path(FakeNvidia *g, unsigned n);
/* The VFIO node "vfio/N" of VF number n. */
const char *fake_nvidia_node(FakeNvidia *g, unsigned n);
