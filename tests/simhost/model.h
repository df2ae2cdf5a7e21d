/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The models of hosts. Each model has its own file, which describes hardware and driver and computes the cost
 * of an instance; the kernel's part is in mdev.c and gpu.c. A host may contain several models.
 */

#include "simhost/gpu.h"

typedef struct ModelOptions {
        unsigned gpus; /* GPUs of the scalable model */
        unsigned vfs;  /* VFs per GPU; 0: the types are on the GPU itself */
        unsigned types;
} ModelOptions;

typedef struct Model {
        const char *name;
        const char *summary;
        const char *node; /* the driver's node below /dev, beside VFIO's; NULL: none */
        /* Adds the model to the host; called with the lock held. */
        void (*build)(const ModelOptions *options);
} Model;

extern const Model model_gim_mi300x;
extern const Model model_gim_s7150;
extern const Model model_gvt_g;
extern const Model model_i915_sriov;
extern const Model model_nvidia_a2;
extern const Model model_nvidia_a2_vfio;
extern const Model model_nvidia_geforce;
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
/* Model by index; NULL after the last. */
const Model *model_get(unsigned index);

/* An attribute whose read has side effects: opening the file ends the host, and so fails the test. */
extern const NodeOps forbidden_ops;

/* Sets how long the S7150's driver keeps its lock for the reader of a result. Call with the tree's lock
 * held. */
void gim_s7150_set_lock_seconds(unsigned seconds);

/* Starts or ends the Xen domain of this ID, including its console. -ENODEV: the host is not Xen. */
int xengt_set_domain(unsigned domain, bool exists);

/* Common state of NVIDIA's models with mediated types: all instances of a GPU must have the same framebuffer
 * size, except in heterogeneous mode. amount[] of a type is framebuffer in MiB and the most instances per
 * GPU. */
typedef struct NvidiaGpu {
        unsigned memory_mib;
        unsigned size_mib; /* framebuffer size of the present instances; 0: no instance */
        unsigned count;
        unsigned used_mib;
        bool mixed;        /* heterogeneous mode */
        bool on_functions; /* types are on virtual functions, one instance each */
} NvidiaGpu;

extern const MdevParentOps nvidia_ops;
extern const GpuOps nvidia_gpu_ops;
