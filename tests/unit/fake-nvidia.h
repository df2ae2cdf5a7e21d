/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* NVIDIA GPUs without mediated devices for the in-memory kernel: virtual functions with
 * nvidia/current_vgpu_type and nvidia/creatable_vgpu_types, NVIDIA's library behind vgpud-nvml, and
 * sriov-manage behind systemctl. */

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

        int nvml_exit_status; /* exit status of the unit */

        /* Failures to simulate. */
        unsigned plugin_pauses;  /* so often a clear is answered with plugin_errno, one less after each pause */
        int plugin_errno;        /* EBUSY or EPERM */
        unsigned manager_pauses; /* so many pauses after they are enabled the vGPU manager takes the functions
                                  */
        unsigned sriov_failures; /* so often sriov-manage fails */
        bool sriov_missing;      /* sriov-manage is not installed */
        bool sriov_unit_missing; /* nor is the unit */
        int nvml_set_code;       /* 0, or what a set answers with */
        bool nvml_set_needs_unit;      /* return 4 (no permission), unless systemd starts the program */
        bool nvml_set_does_nothing;    /* report success without a change */
        int nvml_activation;           /* 0, or why MIG stays pending */
        int nvml_unit_code;            /* 0, or how systemd says that the unit ended: ExecMainCode */
        int nvml_unit_status;          /* and ExecMainStatus; it may have set the mode */
        bool nvml_knows_nothing;       /* no types, no modes */
        bool nvml_hides_gpu_instances; /* lack permission to see them */
} FakeNvidia;

/* 48 GB, 32 virtual functions, types 1145 to 1166 and 2164. */
FakeNvidia *fake_add_l40s(FakeKernel *k, const char *address, bool enabled);
/* 141 GB, 16 virtual functions, type 1428 and the slice 1414. */
FakeNvidia *fake_add_h200(FakeKernel *k, const char *address, bool enabled);
FakeNvidia *fake_nvidia_free(FakeNvidia *g);

GpuFacts *fake_nvidia_facts(FakeNvidia *g);
/* Simulates sriov-manage. */
void fake_nvidia_enable(FakeNvidia *g, bool enable);
/* The library is there. */
void fake_nvidia_add_nvml(FakeNvidia *g);
/* The vGPU manager lets go of the function number n, or it is bound to another driver (NULL: none). */
void fake_nvidia_unready(FakeNvidia *g, unsigned n, const char *driver);
/* Another program gives VF number n a type, 0 for none. */
void fake_nvidia_set(FakeNvidia *g, unsigned n, unsigned type);
const char *fake_nvidia_vf_name(FakeNvidia *g, unsigned n);
const char *fake_nvidia_vf_path(FakeNvidia *g, unsigned n);
/* "vfio/N" of the function number n. */
const char *fake_nvidia_node(FakeNvidia *g, unsigned n);
