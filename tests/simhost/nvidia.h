/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * NVIDIA's cards with the vGPU manager: their types, the rules by which those share a GPU, and the two faces
 * that the driver gives them: mediated devices (model-nvidia-a2.c has those), or files "nvidia/…" on each
 * virtual function (nvidia.c), which then is a VFIO device by itself. Also what is done to such a card from
 * outside sysfs (nvidia-control.c): by sriov-manage, and by NVML. Everything wants the tree's lock, unless it
 * says otherwise.
 */

#include "simhost/gpu.h"
#include "simhost/model.h"

#define NVIDIA_NO_PROFILE G_MAXUINT

/* Where NVML reaches the driver. Models without it are hosts where NVML is of no use. */
#define NVIDIA_NODE "nvidiactl"

/* Of nvmlReturn_t. */
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
        unsigned most; /* per GPU */
        unsigned heads;
        unsigned frame_rate_limit;
        unsigned max_x, max_y;
        unsigned profile; /* of the GPU instance (MIG) that it needs; NVIDIA_NO_PROFILE: none */
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
        unsigned lingering;     /* so many more attempts to clear it find its plugin still running */
} NvidiaVf;

/* A GPU instance (MIG). */
typedef struct NvidiaInstance {
        unsigned id; /* from 1; 0: there is none */
        unsigned profile;
        bool used;
} NvidiaInstance;

#define NVIDIA_INSTANCES_MAX 7 /* slices of a GPU */

typedef struct NvidiaCard {
        const NvidiaTypes *types;
        unsigned memory_mib;       /* that vGPUs are cut of */
        unsigned usable_mib;       /* that NVML tells */
        bool is_mdev;              /* types are mediated ones, on its functions */
        bool has_no_vfs;           /* it advertises virtual functions that nobody can make */
        bool can_mix, can_mig;     /* heterogeneous mode, MIG mode */
        bool lists_without_header; /* as some releases do */
        unsigned vfs_at_plug;

        /* The rest is not the model's to fill in. */
        Gpu *gpu;
        NvidiaGpu shared; /* the rule of mediated types */
        NvidiaVf *vfs;    /* by index */
        unsigned n_vfs;
        bool heterogeneous;
        bool mig, mig_pending;
        bool cannot_reset;   /* MIG mode changes with the next reset, and not by itself */
        bool has_no_manager; /* the driver is not that of a vGPU host */
        NvidiaInstance instances[NVIDIA_INSTANCES_MAX];
        unsigned holds;       /* programs that have the GPU itself open */
        GArray *nvml_clients; /* pid_t: those that do so by NVML, for as long as they live */
} NvidiaCard;

/* Makes the GPU of a card and plugs it. Function 0 is where spec says; n_vfs is what it advertises. */
void nvidia_add_card(NvidiaCard *card, const PciSpec *spec, unsigned n_vfs, unsigned vf_device_id);
/* NULL: none of that address. */
NvidiaCard *nvidia_find_card(const char *address);
/* Never NULL. */
GPtrArray *nvidia_cards(void);
/* Whether a guest uses one of its vGPUs. */
bool nvidia_card_is_used(const NvidiaCard *card);
/* vGPUs that there are, in either way. */
unsigned nvidia_count_vgpus(const NvidiaCard *card);
/* Whether one could be made now on some function. */
bool nvidia_is_creatable(const NvidiaCard *card, const NvidiaType *type);
/* Sizes may differ from now on, or may not. */
void nvidia_set_heterogeneous(NvidiaCard *card, bool mixed);
/* All vGPUs, GPU instances and the heterogeneous mode are gone. */
void nvidia_forget(NvidiaCard *card);

/* Mediated types of a card, as mdev_parent_new() takes them. */
const MdevTypeSpec *nvidia_mdev_types(const NvidiaTypes *types);

/* The command "nvidia" of the control socket: everything after that word. Without the lock. */
int nvidia_control(const char *arguments, GString *text);
