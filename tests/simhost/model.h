/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The models of hosts. Each has a file of its own, which describes hardware and driver and says what an
 * instance costs; everything that the kernel does is in mdev.c and gpu.c. Several models may be in one host.
 */

#include "simhost/gpu.h"

typedef struct ModelOptions {
        unsigned gpus; /* of the scalable model */
        unsigned vfs;  /* per GPU; 0: the types are on the GPU itself */
        unsigned types;
} ModelOptions;

typedef struct Model {
        const char *name;
        const char *summary;
        const char *node; /* below /dev, beside that of VFIO: its driver makes it; NULL: none */
        /* Adds it to the host; with the lock held. */
        void (*build)(const ModelOptions *options);
} Model;

extern const Model model_gim_mi300x;
extern const Model model_gim_s7150;
extern const Model model_gvt_g;
extern const Model model_i915_sriov;
extern const Model model_nvidia_a2;
extern const Model model_nvidia_a2_vfio;
extern const Model model_nvidia_h200;
extern const Model model_nvidia_l40s;
extern const Model model_nvidia_l40s_mdev;
extern const Model model_nvidia_t4;
extern const Model model_plain;
extern const Model model_samples;
extern const Model model_scalable;
extern const Model model_xengt;
extern const Model model_sriov;
extern const Model model_xe;
extern const Model model_xe_igpu;

/* NULL: unknown. */
const Model *model_find(const char *name);
/* By index; NULL after the last. */
const Model *model_get(unsigned index);

/* An attribute that nobody may open, because to read it is to act: the host ends then, and with it the test. */
extern const NodeOps forbidden_ops;

/* How long the lock of an S7150's driver waits for the reader of a result. Wants the tree's lock. */
void gim_s7150_set_lock_seconds(unsigned seconds);

/* The Xen domain of that ID begins or ends; the host has a console for it. -ENODEV: this is not Xen. */
int xengt_set_domain(unsigned domain, bool exists);

/* What NVIDIA's models of mediated types share: a GPU whose instances must all have the same framebuffer size,
 * unless it is told to mix them. amount[] of a type is framebuffer in MiB and the most instances per GPU. */
typedef struct NvidiaGpu {
        unsigned memory_mib;
        unsigned size_mib; /* of the instances there are; 0: none */
        unsigned count;
        unsigned used_mib;
        bool mixed;        /* heterogeneous mode */
        bool on_functions; /* types are on virtual functions, one instance each */
} NvidiaGpu;

extern const MdevParentOps nvidia_ops;
extern const GpuOps nvidia_gpu_ops;
