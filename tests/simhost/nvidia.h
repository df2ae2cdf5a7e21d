/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * NVIDIA's cards with the vGPU manager: types, the rules for sharing a GPU, and the driver's two interfaces:
 * mediated devices (model-nvidia-a2.c), or files "nvidia/…" on each virtual function (nvidia.c), where the VF
 * itself is the VFIO device. Operations from outside sysfs are in nvidia-control.c: sriov-manage, and NVML.
 * Callers hold the tree's lock, unless a comment says otherwise.
 */

#include "simhost/gpu.h"
#include "simhost/model.h"

#define NVIDIA_NO_PROFILE G_MAXUINT

/* The driver's node for NVML. Models without the node simulate hosts without NVML. */
#define NVIDIA_NODE "nvidiactl"

/* The module of the vGPU manager, and the one for displays, which keeps the GPUs open. */
#define NVIDIA_MANAGER "nvidia_vgpu_vfio"
#define NVIDIA_DRM     "nvidia_drm"

/* Values of nvmlReturn_t. */
enum {
        NVML_SUCCESS = 0,
        NVML_NOT_SUPPORTED = 3,
        NVML_NOT_FOUND = 6,
        NVML_RESET_REQUIRED = 16,
        NVML_IN_USE = 19,
        NVML_INSUFFICIENT_RESOURCES = 23,
        NVML_INVALID_STATE = 29,
};

typedef struct NvidiaType {
        unsigned id;
        const char *name;
        unsigned size_mib;
        unsigned most; /* most instances per GPU */
        unsigned heads;
        unsigned frame_rate_limit;
        unsigned max_x, max_y;
        unsigned profile; /* profile of the GPU instance (MIG) that the type needs; NVIDIA_NO_PROFILE: none */
} NvidiaType;

typedef struct NvidiaTypes {
        const NvidiaType *types;
        unsigned count;
} NvidiaTypes;

extern const NvidiaTypes nvidia_a2_types;
extern const NvidiaTypes nvidia_l40s_types;
extern const NvidiaTypes nvidia_h200_types;
extern const NvidiaTypes nvidia_t4_types;

/* A virtual function, and the vGPU on it. */
typedef struct NvidiaVf {
        GpuFunction *function;
        const NvidiaType *type; /* NULL: none */
        char *parameters;       /* owned; NULL: never written */
        unsigned placement;     /* GiB from the beginning; heterogeneous mode only */
        unsigned instance;      /* index of the GPU instance; MIG only */
        unsigned lingering;     /* remaining attempts to clear the type that find its plugin still running */
} NvidiaVf;

/* A GPU instance (MIG). */
typedef struct NvidiaInstance {
        unsigned id; /* starts at 1; 0: no instance */
        unsigned profile;
        bool used;
} NvidiaInstance;

#define NVIDIA_INSTANCES_MAX 7 /* slices of a GPU */

typedef struct NvidiaCard {
        const NvidiaTypes *types;
        unsigned memory_mib;       /* memory to divide among vGPUs */
        unsigned usable_mib;       /* memory that NVML reports */
        bool is_mdev;              /* types are mediated, on the card's functions */
        bool has_no_vfs;           /* advertises virtual functions that cannot be enabled */
        bool can_mix, can_mig;     /* heterogeneous mode, MIG mode */
        bool lists_without_header; /* quirk of some releases */
        bool has_no_manager;       /* the driver is not that of a vGPU host */
        unsigned vfs_at_plug;

        /* Models leave the fields below zero. */
        Gpu *gpu;
        NvidiaGpu shared; /* state for the rules of mediated types */
        NvidiaVf *vfs;    /* index: VF */
        unsigned n_vfs;
        bool heterogeneous;
        bool mig, mig_pending;
        bool cannot_reset; /* MIG mode changes with the next reset, and not by itself */
        NvidiaInstance instances[NVIDIA_INSTANCES_MAX];
        unsigned holds;       /* number of programs with the GPU itself open */
        GArray *nvml_clients; /* pid_t: live processes with the GPU open by NVML */
} NvidiaCard;

/* Makes the GPU of a card and plugs it. Function 0 is at spec's address; n_vfs is the advertised number. */
void nvidia_add_card(NvidiaCard *card, const PciSpec *spec, unsigned n_vfs, unsigned vf_device_id);
/* Returns NULL if no card has the address. */
NvidiaCard *nvidia_find_card(const char *address);
/* Returns all cards. Never NULL. */
GPtrArray *nvidia_cards(void);
/* True if a guest uses a vGPU of the card. */
bool nvidia_card_is_used(const NvidiaCard *card);
/* Returns the number of vGPUs: mediated devices, and types set on virtual functions. */
unsigned nvidia_count_vgpus(const NvidiaCard *card);
/* True if the type could be created now on some function. */
bool nvidia_is_creatable(const NvidiaCard *card, const NvidiaType *type);
/* Switches heterogeneous mode: with mixed, vGPUs of different sizes may share the card. */
void nvidia_set_heterogeneous(NvidiaCard *card, bool mixed);
/* Removes all vGPUs and GPU instances, and switches heterogeneous mode off. */
void nvidia_forget(NvidiaCard *card);

/* The text that the driver keeps of a write to vgpu_params: all but the last byte. */
char *nvidia_keep_parameters(const char *bytes, size_t length);

/* Mediated types of a card, for mdev_parent_new(). */
const MdevTypeSpec *nvidia_mdev_types(const NvidiaTypes *types);

/* Runs a command "nvidia" of the control socket (arguments: the text after "nvidia"). Call without the lock. */
int nvidia_control(const char *arguments, GString *text);
