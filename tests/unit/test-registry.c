/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Shows which back end registry_choose() chooses for each kind of card by its files, and which hint a card
 * without a back end gets. */

#include "drivers-glue/registry.h"

#include "io-fake.h"
#include "tests.h"

#define FILES_MAX 8

/* A card as sysfs shows it. Its files are "NAME=TEXT", "NAME->LINK" or "NAME/" (a folder), below the GPU's
 * folder or, if they begin with "/", below /sys. A card that is not a PCI function has vendor 0. */
typedef struct Card {
        const char *what;
        const char *name; /* NULL: 0000:3b:00.0 */
        uint16_t vendor, device;
        uint32_t class;
        const char *driver;           /* NULL: none */
        int total_vfs;                /* -1: no SR-IOV */
        unsigned vfs;                 /* enabled */
        const char *vf_driver;        /* driver of all VFs; NULL: none */
        const char *files[FILES_MAX]; /* files of the GPU */
        const char *vf_files[3];      /* files of each VF */
        const char *nvml;             /* answer of NVIDIA's library; NULL: not installed */
        bool admitted;                /* also=VENDOR:DEVICE */
        bool no_vfio;                 /* vfio-pci is not loaded */

        const char *back_end; /* NULL: none */
        bool not_ready;       /* no back end, or unprepared: a reason is given */
        VgpudHintId hint;     /* hint of the reason; NONE: not checked */
        const char *says[3];  /* names of files and settings in the reason or the hint */
} Card;

#define GPU(vendor_id, device_id, class_code, bound_to) \
        .vendor = (vendor_id), .device = (device_id), .class = (class_code), .driver = (bound_to)
#define SRIOV(total, enabled, bound_to) .total_vfs = (total), .vfs = (enabled), .vf_driver = (bound_to)
#define NO_SRIOV                        .total_vfs = -1

#define MDEV_TYPE(id, type_name, text, n)                                                                 \
        "mdev_supported_types/" id "/device_api=vfio-pci", "mdev_supported_types/" id "/name=" type_name, \
                        "mdev_supported_types/" id "/description=" text,                                  \
                        "mdev_supported_types/" id "/available_instances=" n
#define NVIDIA_TEXT(mb) \
        "num_heads=4, frl_config=60, framebuffer=" mb "M, max_resolution=4096x2160, max_instance=4"
#define NVIDIA_VF(listed) "nvidia/current_vgpu_type=0", "nvidia/creatable_vgpu_types=ID    : vGPU Name\n" listed

static const Card cards[] = {
        /* NVIDIA */
        { .what = "M60: types on the GPU itself",
          GPU(0x10de, 0x13f2, 0x030000, "nvidia"),
          NO_SRIOV,
          .files = { MDEV_TYPE("nvidia-11", "GRID M60-0B", NVIDIA_TEXT("512"), "16") },
          .back_end = "mdev" },
        { .what = "T4 that advertises VFs",
          GPU(0x10de, 0x1eb8, 0x030200, "nvidia"),
          SRIOV(16, 0, NULL),
          .files = { MDEV_TYPE("nvidia-232", "GRID T4-4Q", NVIDIA_TEXT("4096"), "4") },
          .back_end = "mdev" },
        { .what = "T4 without the vGPU manager",
          GPU(0x10de, 0x1eb8, 0x030200, "nvidia"),
          SRIOV(16, 0, NULL),
          .back_end = "nvidia-vfio",
          .not_ready = true,
          .hint = VGPUD_HINT_LOAD_DRIVER },
        { .what = "T4, whose VFs carry no vGPUs according to the library",
          GPU(0x10de, 0x1eb8, 0x030200, "nvidia"),
          SRIOV(16, 0, NULL),
          .nvml = "host-vgpu-mode=0\nend\n",
          .back_end = "nvidia-vfio",
          .not_ready = true,
          .hint = VGPUD_HINT_LOAD_DRIVER },
        { .what = "GeForce",
          GPU(0x10de, 0x2684, 0x030000, "nvidia"),
          NO_SRIOV,
          .not_ready = true,
          .hint = VGPUD_HINT_LOAD_DRIVER },
        { .what = "GeForce RTX 50 that advertises one VF",
          GPU(0x10de, 0x2b85, 0x030000, "nvidia"),
          SRIOV(1, 0, NULL),
          .back_end = "nvidia-vfio",
          .not_ready = true,
          .hint = VGPUD_HINT_LOAD_DRIVER },
        { .what = "GeForce RTX 50 that advertises one VF, without types in the library",
          GPU(0x10de, 0x2b85, 0x030000, "nvidia"),
          SRIOV(1, 0, NULL),
          .nvml = "virtualization-mode=0\nframebuffer=34190917632\nend\n",
          .back_end = "nvidia-vfio",
          .not_ready = true,
          .hint = VGPUD_HINT_LOAD_DRIVER },
        { .what = "RTX A5000 in display mode",
          GPU(0x10de, 0x2231, 0x030000, "nvidia"),
          NO_SRIOV,
          .files = { "/module/nvidia_vgpu_vfio/" },
          .not_ready = true,
          .hint = VGPUD_HINT_CONFIGURE_GPU,
          .says = { "displaymodeselector" } },
        { .what = "RTX A5000 in display mode, without the vGPU manager",
          GPU(0x10de, 0x2231, 0x030000, "nvidia"),
          NO_SRIOV,
          .not_ready = true,
          .hint = VGPUD_HINT_LOAD_DRIVER,
          .says = { "displaymodeselector" } },
        { .what = "RTX A5000 in display mode that advertises VFs",
          GPU(0x10de, 0x2231, 0x030000, "nvidia"),
          SRIOV(24, 0, NULL),
          .files = { "/module/nvidia_vgpu_vfio/" },
          .nvml = "virtualization-mode=0\nend\n",
          .back_end = "nvidia-vfio",
          .not_ready = true,
          .hint = VGPUD_HINT_CONFIGURE_GPU,
          .says = { "displaymodeselector" } },
        { .what = "RTX A5000 with its display outputs off",
          GPU(0x10de, 0x2231, 0x030200, "nvidia"),
          SRIOV(24, 0, NULL),
          .files = { "/module/nvidia_vgpu_vfio/" },
          .nvml = "virtualization-mode=3\nhost-vgpu-mode=1\nend\n",
          .back_end = "nvidia-vfio",
          .not_ready = true,
          .hint = VGPUD_HINT_ENABLE_VFS },
        { .what = "A2, types on VFs",
          GPU(0x10de, 0x25b6, 0x030200, "nvidia"),
          SRIOV(16, 2, "nvidia"),
          .vf_files = { "mdev_supported_types/nvidia-746/device_api=vfio-pci",
                        "mdev_supported_types/nvidia-746/name=NVIDIA A2-4Q",
                        "mdev_supported_types/nvidia-746/available_instances=1" },
          .back_end = "mdev" },
        { .what = "A2, newer driver",
          GPU(0x10de, 0x25b6, 0x030200, "nvidia"),
          SRIOV(16, 2, "nvidia"),
          .vf_files = { NVIDIA_VF("746   : NVIDIA A2-4Q\n") },
          .back_end = "nvidia-vfio" },
        { .what = "A2 without enabled VFs: mdev or nvidia-vfio is possible later",
          GPU(0x10de, 0x25b6, 0x030200, "nvidia"),
          SRIOV(16, 0, NULL),
          .files = { "/module/nvidia_vgpu_vfio/" },
          .back_end = "nvidia-vfio",
          .not_ready = true,
          .hint = VGPUD_HINT_ENABLE_VFS },
        { .what = "L40S",
          GPU(0x10de, 0x26b9, 0x030200, "nvidia"),
          SRIOV(32, 2, "nvidia"),
          .vf_files = { NVIDIA_VF("1150  : NVIDIA L40S-4Q\n") },
          .back_end = "nvidia-vfio" },
        { .what = "L40S, older kernel",
          GPU(0x10de, 0x26b9, 0x030200, "nvidia"),
          SRIOV(32, 2, "nvidia"),
          .vf_files = { "mdev_supported_types/nvidia-1150/device_api=vfio-pci",
                        "mdev_supported_types/nvidia-1150/name=NVIDIA L40S-4Q",
                        "mdev_supported_types/nvidia-1150/available_instances=1" },
          .back_end = "mdev" },
        { .what = "L40S, a type set on every VF",
          GPU(0x10de, 0x26b9, 0x030200, "nvidia"),
          SRIOV(2, 2, "nvidia"),
          .vf_files = { "nvidia/current_vgpu_type=1150", "nvidia/creatable_vgpu_types=ID    : vGPU Name\n" },
          .back_end = "nvidia-vfio" },
        { .what = "L40S without enabled VFs, which carry its vGPUs according to the library",
          GPU(0x10de, 0x26b9, 0x030200, "nvidia"),
          SRIOV(32, 0, NULL),
          .nvml = "virtualization-mode=3\nhost-vgpu-mode=1\nend\n",
          .back_end = "nvidia-vfio",
          .not_ready = true,
          .hint = VGPUD_HINT_ENABLE_VFS },
        { .what = "L40S, VFs without the vGPU manager",
          GPU(0x10de, 0x26b9, 0x030200, "nvidia"),
          SRIOV(32, 2, "nvidia"),
          .back_end = "nvidia-vfio",
          .not_ready = true,
          .hint = VGPUD_HINT_LOAD_DRIVER },
        { .what = "L40S with the driver for graphics, which has no vGPU manager",
          GPU(0x10de, 0x26b9, 0x030200, "nvidia"),
          SRIOV(32, 2, NULL),
          .back_end = "nvidia-vfio",
          .not_ready = true,
          .hint = VGPUD_HINT_LOAD_DRIVER },
        { .what = "L40S, VFs bound to vfio-pci",
          GPU(0x10de, 0x26b9, 0x030200, "nvidia"),
          SRIOV(32, 2, "vfio-pci"),
          .back_end = "nvidia-vfio",
          .not_ready = true,
          .hint = VGPUD_HINT_LOAD_DRIVER },
        { .what = "L40S, while sriov-manage enables its VFs",
          GPU(0x10de, 0x26b9, 0x030200, "pci-pf-stub"),
          SRIOV(32, 2, NULL),
          .not_ready = true,
          .hint = VGPUD_HINT_LOAD_DRIVER },
        { .what = "H200",
          GPU(0x10de, 0x2335, 0x030200, "nvidia"),
          SRIOV(16, 2, "nvidia"),
          .vf_files = { NVIDIA_VF("1428  : NVIDIA H200X-141C\n") },
          .back_end = "nvidia-vfio" },
        { .what = "A100 with MIG",
          GPU(0x10de, 0x20b5, 0x030200, "nvidia"),
          SRIOV(20, 2, "nvidia"),
          .vf_files = { NVIDIA_VF("699 : NVIDIA A100-1-5C\n") },
          .nvml = "mig=1\nmig-pending=1\nend\n",
          .back_end = "nvidia-vfio" },
        { .what = "A100 with MIG, without GPU instances",
          GPU(0x10de, 0x20b5, 0x030200, "nvidia"),
          SRIOV(20, 2, "nvidia"),
          .vf_files = { NVIDIA_VF("") },
          .nvml = "mig=1\nmig-pending=1\nend\n",
          .back_end = "nvidia-vfio",
          .not_ready = true,
          .hint = VGPUD_HINT_CONFIGURE_GPU },
        { .what = "A100 with MIG, types on VFs",
          GPU(0x10de, 0x20b5, 0x030200, "nvidia"),
          SRIOV(20, 2, "nvidia"),
          .vf_files = { "mdev_supported_types/nvidia-475/device_api=vfio-pci",
                        "mdev_supported_types/nvidia-475/name=GRID A100-1-5C",
                        "mdev_supported_types/nvidia-475/available_instances=1" },
          .back_end = "mdev" },
        { .what = "Blackwell",
          GPU(0x10de, 0x2bb5, 0x030200, "nvidia"),
          SRIOV(48, 2, "nvidia"),
          .vf_files = { NVIDIA_VF("1590  : NVIDIA RTX Pro 6000 Blackwell DC-48C\n") },
          .back_end = "nvidia-vfio" },
        { .what = "Blackwell with nova-core",
          GPU(0x10de, 0x2bb5, 0x030200, "nova-core"),
          SRIOV(48, 0, NULL),
          .not_ready = true,
          .hint = VGPUD_HINT_LOAD_DRIVER },
        { .what = "nouveau",
          GPU(0x10de, 0x1eb8, 0x030200, "nouveau"),
          SRIOV(16, 0, NULL),
          .not_ready = true,
          .hint = VGPUD_HINT_LOAD_DRIVER },

        /* Intel */
        { .what = "GVT-g",
          .name = "0000:00:02.0",
          GPU(0x8086, 0x5912, 0x030000, "i915"),
          NO_SRIOV,
          .files = { MDEV_TYPE("i915-GVTg_V5_4", "GVTg_V5_4", "low_gm_size: 128MB", "2"), "drm/card0/" },
          .back_end = "mdev" },
        { .what = "GVT-g not loaded, or an Intel GPU older than SR-IOV",
          .name = "0000:00:02.0",
          GPU(0x8086, 0x5912, 0x030000, "i915"),
          NO_SRIOV,
          .files = { "drm/card0/" },
          .not_ready = true,
          .hint = VGPUD_HINT_LOAD_DRIVER },
        { .what = "i915 of mainline Linux on a GPU with SR-IOV",
          .name = "0000:00:02.0",
          GPU(0x8086, 0x4680, 0x030000, "i915"),
          SRIOV(7, 0, NULL),
          .files = { "drm/card0/" },
          .not_ready = true,
          .hint = VGPUD_HINT_LOAD_DRIVER },
        { .what = "i915 with SR-IOV, max_vfs=0",
          .name = "0000:00:02.0",
          GPU(0x8086, 0x4680, 0x030000, "i915"),
          SRIOV(0, 0, NULL),
          .files = { "drm/card0/", "/module/i915/parameters/max_vfs=0" },
          .not_ready = true,
          .hint = VGPUD_HINT_CONFIGURE_DRIVER,
          .says = { "/sys/module/i915/parameters/max_vfs", "i915.max_vfs=" } },
        { .what = "i915 with SR-IOV and prelim_iov, max_vfs=0",
          .name = "0000:00:02.0",
          GPU(0x8086, 0x46a6, 0x030000, "i915"),
          SRIOV(0, 0, NULL),
          .files = { "drm/card0/prelim_iov/mode=native", "/module/i915/parameters/max_vfs=0" },
          .not_ready = true,
          .hint = VGPUD_HINT_CONFIGURE_DRIVER,
          .says = { "/sys/module/i915/parameters/max_vfs", "i915.max_vfs=" } },
        { .what = "i915 with SR-IOV, max_vfs=7, and still no VFs",
          .name = "0000:00:02.0",
          GPU(0x8086, 0x4680, 0x030000, "i915"),
          SRIOV(0, 0, NULL),
          .files = { "drm/card0/", "/module/i915/parameters/max_vfs=7" },
          .not_ready = true,
          .hint = VGPUD_HINT_CONFIGURE_DRIVER,
          .says = { "sriov_totalvfs", "i915.enable_guc=3" } },
        { .what = "i915 that enables VFs, without iov",
          .name = "0000:00:02.0",
          GPU(0x8086, 0x4680, 0x030000, "i915"),
          SRIOV(7, 2, NULL),
          .files = { "drm/card0/" },
          .back_end = "sriov" },
        { .what = "i915 with iov",
          .name = "0000:00:02.0",
          GPU(0x8086, 0x4680, 0x030000, "i915"),
          SRIOV(7, 0, NULL),
          .files = { "drm/card0/iov/pf/" },
          .back_end = "sriov",
          .not_ready = true },
        { .what = "i915 with prelim_iov",
          .name = "0000:00:02.0",
          GPU(0x8086, 0x46a6, 0x030000, "i915"),
          SRIOV(7, 2, NULL),
          .files = { "drm/card0/prelim_iov/vf1/gt0/exec_quantum_ms=0" },
          .back_end = "sriov" },
        { .what = "Battlemage",
          GPU(0x8086, 0xe211, 0x030000, "xe"),
          SRIOV(24, 2, NULL),
          .files = { "sriov_admin/vf1/profile/vram_quota=0" },
          .back_end = "sriov" },
        { .what = "Battlemage without enabled VFs",
          GPU(0x8086, 0xe211, 0x030000, "xe"),
          SRIOV(24, 0, NULL),
          .files = { "sriov_admin/vf1/profile/vram_quota=0" },
          .back_end = "sriov",
          .not_ready = true },
        { .what = "xe, integrated, older than sriov_admin",
          .name = "0000:00:02.0",
          GPU(0x8086, 0xb080, 0x030000, "xe"),
          SRIOV(7, 2, NULL),
          .back_end = "sriov" },
        { .what = "xe, vfio-pci not loaded",
          .name = "0000:00:02.0",
          GPU(0x8086, 0xb080, 0x030000, "xe"),
          SRIOV(7, 2, NULL),
          .no_vfio = true,
          .back_end = "sriov",
          .not_ready = true },
        { .what = "xe without SR-IOV",
          .name = "0000:00:02.0",
          GPU(0x8086, 0x7d55, 0x030000, "xe"),
          NO_SRIOV,
          .not_ready = true,
          .hint = VGPUD_HINT_ENABLE_SRIOV },
        { .what = "xe that allows no VFs, without a setting",
          .name = "0000:00:02.0",
          GPU(0x8086, 0xb080, 0x030000, "xe"),
          SRIOV(0, 0, NULL),
          .not_ready = true,
          .hint = VGPUD_HINT_ENABLE_SRIOV },
        { .what = "xe with max_vfs=0",
          .name = "0000:00:02.0",
          GPU(0x8086, 0xb080, 0x030000, "xe"),
          SRIOV(0, 0, NULL),
          .files = { "/module/xe/parameters/max_vfs=0" },
          .not_ready = true,
          .hint = VGPUD_HINT_CONFIGURE_DRIVER,
          .says = { "/sys/module/xe/parameters/max_vfs", "xe.max_vfs=" } },
        { .what = "xe, limited by configfs",
          GPU(0x8086, 0xe211, 0x030000, "xe"),
          SRIOV(0, 0, NULL),
          .files = { "/module/xe/parameters/max_vfs=4294967295",
                     "/kernel/config/xe/0000:3b:00.0/sriov/max_vfs=0" },
          .not_ready = true,
          .hint = VGPUD_HINT_CONFIGURE_DRIVER,
          .says = { "/sys/kernel/config/xe/0000:3b:00.0/sriov/max_vfs" } },
        { .what = "xe, max_vfs=0 overridden by configfs",
          GPU(0x8086, 0xe211, 0x030000, "xe"),
          SRIOV(0, 0, NULL),
          .files = { "/module/xe/parameters/max_vfs=0",
                     "/kernel/config/xe/0000:3b:00.0/sriov/max_vfs=unlimited" },
          .not_ready = true,
          .hint = VGPUD_HINT_ENABLE_SRIOV },
        { .what = "XenGT",
          .name = "0000:00:02.0",
          GPU(0x8086, 0x0412, 0x030000, "i915"),
          NO_SRIOV,
          .files = { "/kernel/vgt/control/available_resource=0x200, 0x180, 0xe00, 0xc80, 0x20, 0x1c" },
          .back_end = "xengt" },
        { .what = "a second Intel GPU beside XenGT",
          GPU(0x8086, 0x56a0, 0x030000, "i915"),
          NO_SRIOV,
          .files = { "/kernel/vgt/control/available_resource=0x200, 0x180, 0xe00, 0xc80, 0x20, 0x1c" },
          .not_ready = true,
          .hint = VGPUD_HINT_LOAD_DRIVER },

        /* AMD */
        { .what = "MI300X",
          GPU(0x1002, 0x74a1, 0x120000, "gim"),
          SRIOV(8, 2, NULL),
          .files = { "memory_partition_mode=memory_partition_mode: NPS1", "spatial_partition_mode=SPX" },
          .back_end = "sriov" },
        { .what = "MI300X, its driver loaded without vf_num",
          GPU(0x1002, 0x74a1, 0x120000, "gim"),
          SRIOV(8, 0, NULL),
          .files = { "memory_partition_mode=memory_partition_mode: NPS1", "spatial_partition_mode=SPX" },
          .back_end = "sriov",
          .not_ready = true },
        { .what = "S7150",
          GPU(0x1002, 0x6929, 0x038000, "gim"),
          SRIOV(16, 2, NULL),
          .files = { "getvf=", "relvf=" },
          .back_end = "gim-legacy" },
        { .what = "S7150 without VFs",
          GPU(0x1002, 0x6929, 0x038000, "gim"),
          SRIOV(16, 0, NULL),
          .files = { "getvf=", "relvf=" },
          .back_end = "gim-legacy",
          .not_ready = true },
        { .what = "gim on a board without SR-IOV",
          GPU(0x1002, 0x74a1, 0x120000, "gim"),
          NO_SRIOV,
          .not_ready = true,
          .hint = VGPUD_HINT_ENABLE_SRIOV },
        { .what = "amdgpu",
          GPU(0x1002, 0x744c, 0x030000, "amdgpu"),
          SRIOV(4, 0, NULL),
          .not_ready = true,
          .hint = VGPUD_HINT_LOAD_DRIVER },
        { .what = "radeon",
          GPU(0x1002, 0x6779, 0x030000, "radeon"),
          NO_SRIOV,
          .not_ready = true,
          .hint = VGPUD_HINT_LOAD_DRIVER },

        /* Bound to a driver for guests, or to no driver: vgpud leaves the card alone. */
        { .what = "passed through",
          GPU(0x10de, 0x1eb8, 0x030200, "vfio-pci"),
          NO_SRIOV,
          .not_ready = true,
          .hint = VGPUD_HINT_LOAD_DRIVER },
        { .what = "passed through, with VFs",
          GPU(0x8086, 0xe211, 0x030000, "vfio-pci"),
          SRIOV(24, 2, "vfio-pci"),
          .not_ready = true,
          .hint = VGPUD_HINT_LOAD_DRIVER },
        { .what = "a variant of vfio-pci",
          GPU(0x8086, 0xe211, 0x030000, "xe-vfio-pci"),
          NO_SRIOV,
          .not_ready = true,
          .hint = VGPUD_HINT_LOAD_DRIVER },
        { .what = "another variant of vfio-pci",
          GPU(0x10de, 0x2342, 0x030200, "nvgrace_gpu_vfio_pci"),
          NO_SRIOV,
          .not_ready = true,
          .hint = VGPUD_HINT_LOAD_DRIVER },
        { .what = "pci-stub",
          GPU(0x10de, 0x1eb8, 0x030200, "pci-stub"),
          SRIOV(16, 0, NULL),
          .not_ready = true,
          .hint = VGPUD_HINT_LOAD_DRIVER },
        { .what = "bound to Xen's pciback",
          GPU(0x1002, 0x74a1, 0x120000, "pciback"),
          SRIOV(8, 0, NULL),
          .not_ready = true,
          .hint = VGPUD_HINT_LOAD_DRIVER },
        { .what = "Intel without a driver",
          GPU(0x8086, 0xe211, 0x030000, NULL),
          SRIOV(24, 0, NULL),
          .not_ready = true,
          .hint = VGPUD_HINT_LOAD_DRIVER },
        { .what = "NVIDIA without a driver",
          GPU(0x10de, 0x26b9, 0x030200, NULL),
          SRIOV(32, 0, NULL),
          .not_ready = true,
          .hint = VGPUD_HINT_LOAD_DRIVER },
        { .what = "AMD without a driver",
          GPU(0x1002, 0x74a1, 0x120000, NULL),
          SRIOV(8, 0, NULL),
          .not_ready = true,
          .hint = VGPUD_HINT_LOAD_DRIVER },
        { .what = "another vendor without a driver",
          GPU(0x1a03, 0x2000, 0x030000, NULL),
          NO_SRIOV,
          .not_ready = true,
          .hint = VGPUD_HINT_LOAD_DRIVER },

        /* Devices of more vendors */
        { .what = "a server's display",
          GPU(0x1a03, 0x2000, 0x030000, "ast"),
          NO_SRIOV,
          .not_ready = true,
          .hint = VGPUD_HINT_LOAD_DRIVER },
        { .what = "a server's display with SR-IOV that its driver does not use",
          GPU(0x1a03, 0x2000, 0x030000, "ast"),
          SRIOV(2, 0, NULL),
          .not_ready = true,
          .hint = VGPUD_HINT_LOAD_DRIVER },
        { .what = "an accelerator with SR-IOV",
          GPU(0x1da3, 0x1020, 0x120000, "habanalabs"),
          SRIOV(4, 1, NULL),
          .back_end = "sriov" },
        { .what = "an unknown vendor with mediated types",
          GPU(0x1234, 0x1111, 0x030000, "somebody-elses"),
          NO_SRIOV,
          .files = { MDEV_TYPE("somebody-elses-1", "One", "a half", "2") },
          .back_end = "mdev" },
        { .what = "a network card that was admitted",
          GPU(0x8086, 0x10c9, 0x020000, "igb"),
          SRIOV(7, 0, NULL),
          .admitted = true,
          .back_end = "sriov",
          .not_ready = true },
        { .what = "a network card that was not admitted",
          GPU(0x8086, 0x10c9, 0x020000, "igb"),
          SRIOV(7, 0, NULL),
          .not_ready = true,
          .hint = VGPUD_HINT_LOAD_DRIVER },
        { .what = "NVMe that was admitted",
          GPU(0x1b36, 0x0010, 0x010802, "nvme"),
          SRIOV(4, 2, NULL),
          .admitted = true,
          .back_end = "sriov" },
        { .what = "admitted, and its driver allows no VFs",
          GPU(0x8086, 0x10c9, 0x020000, "some-driver"),
          SRIOV(0, 0, NULL),
          .files = { "/module/some_driver/parameters/max_vfs=0" },
          .admitted = true,
          .not_ready = true,
          .hint = VGPUD_HINT_CONFIGURE_DRIVER,
          .says = { "/sys/module/some_driver/parameters/max_vfs", "some_driver.max_vfs=" } },
        { .what = "admitted, and its driver allows no VFs, for an unknown reason",
          GPU(0x8086, 0x10c9, 0x020000, "some-driver"),
          SRIOV(0, 0, NULL),
          .admitted = true,
          .not_ready = true,
          .hint = VGPUD_HINT_CONFIGURE_DRIVER,
          .says = { "sriov_totalvfs", "modinfo" } },
        { .what = "admitted, and without SR-IOV",
          GPU(0x8086, 0x10d3, 0x020000, "e1000e"),
          NO_SRIOV,
          .admitted = true,
          .not_ready = true,
          .hint = VGPUD_HINT_LOAD_DRIVER },
        { .what = "admitted, with a driver for SR-IOV only",
          GPU(0x1d0f, 0x0053, 0x088000, "pci-pf-stub"),
          SRIOV(64, 2, NULL),
          .admitted = true,
          .back_end = "sriov" },
        { .what = "the kernel's sample mtty",
          .name = "mtty",
          NO_SRIOV,
          .files = { MDEV_TYPE("mtty-2", "Dual port serial", "ports", "12") },
          .back_end = "mdev" },
        { .what = "the kernel's sample mdpy",
          .name = "mdpy",
          NO_SRIOV,
          .files = { MDEV_TYPE("mdpy-xga", "mdpy-xga", "virtual display, 1024x768 framebuffer", "4") },
          .back_end = "mdev" },
        { .what = "the kernel's sample mbochs",
          .name = "mbochs",
          NO_SRIOV,
          .files = { MDEV_TYPE("mbochs-small", "mbochs-small", "virtual display, 4 MB video memory", "64") },
          .back_end = "mdev" },
        { .what = "a sample that is being unloaded", .name = "mdpy", NO_SRIOV, .not_ready = true },
};

static int show_forbidden(FakeKernel *k, const char *path, void *data, char **ret)
{
        g_error("/sys/%s was read, which acts on the hardware", path);
        return -EIO;
}

static void add_files(FakeKernel *k, const char *folder, const char *const *files, size_t n)
{
        for (size_t i = 0; i < n && files[i]; i++) {
                const char *file = files[i], *arrow = strstr(file, "->"), *equals = strchr(file, '=');
                size_t length = strcspn(file, arrow ? "-" : "=");
                g_autofree char *name = g_strndup(file, length);
                g_autofree char *path =
                                name[0] == '/' ? g_strdup(name + 1) : g_strdup_printf("%s/%s", folder, name);
                g_autofree char *text = equals ? g_strconcat(equals + 1, "\n", NULL) : NULL;

                if (arrow)
                        fake_add_link(k, path, arrow + strlen("->"));
                else if (text)
                        fake_add_file(k, path, text);
                else {
                        path[strlen(path) - 1] = 0;
                        fake_add_directory(k, path);
                }
        }
}

static void add_text(FakeKernel *k, const char *folder, const char *name, const char *text)
{
        g_autofree char *path = g_strdup_printf("%s/%s", folder, name), *line = g_strconcat(text, "\n", NULL);

        fake_add_file(k, path, line);
}

static void add_number(FakeKernel *k, const char *folder, const char *name, unsigned value)
{
        g_autofree char *text = g_strdup_printf("%u", value);

        add_text(k, folder, name, text);
}

static void add_hex(FakeKernel *k, const char *folder, const char *name, int digits, unsigned value)
{
        g_autofree char *text = g_strdup_printf("0x%0*x", digits, value);

        add_text(k, folder, name, text);
}

static void add_link(FakeKernel *k, const char *folder, const char *name, const char *target)
{
        g_autofree char *path = g_strdup_printf("%s/%s", folder, name);

        fake_add_link(k, path, target);
}

static void add_function(FakeKernel *k, const Card *c, const char *name, const char *path, const char *driver)
{
        g_autofree char *device = g_strconcat("bus/pci/devices/", name, NULL);

        fake_add_link(k, device, path);
        add_link(k, path, "subsystem", "bus/pci");
        add_text(k, path, "uevent", "");
        add_hex(k, path, "vendor", 4, c->vendor);
        add_hex(k, path, "device", 4, c->device);
        add_hex(k, path, "class", 6, c->class);

        if (driver) {
                g_autofree char *folder = g_strconcat("bus/pci/drivers/", driver, NULL);

                fake_add_directory(k, folder);
                add_link(k, path, "driver", folder);
        }
}

/* Adds the device to class/mdev_bus if it has a folder of types. */
static void register_parent(FakeKernel *k, const char *name, const char *path)
{
        g_autofree char *types = g_strconcat(path, "/mdev_supported_types", NULL);
        g_autofree char *parent = g_strconcat("class/mdev_bus/", name, NULL);

        if (fake_exists(k, types))
                fake_add_link(k, parent, path);
}

static void add_vf(FakeKernel *k, const Card *c, const char *gpu, unsigned n)
{
        g_autofree char *name = g_strdup_printf("0000:3b:00.%u", n + 4);
        g_autofree char *path = g_strdup_printf("devices/pci0000:3a/%s", name);
        g_autofree char *link = g_strdup_printf("virtfn%u", n);

        add_function(k, c, name, path, c->vf_driver);
        add_link(k, path, "physfn", gpu);
        add_text(k, path, "driver_override", "(null)");
        add_link(k, gpu, link, path);
        add_files(k, path, c->vf_files, G_N_ELEMENTS(c->vf_files));
        register_parent(k, name, path);
}

/* Adds the files of the card. Returns its path. */
static char *add_card(FakeKernel *k, const Card *c, const char *name)
{
        static const char *const forbidden[] = { "reset_gpu", "psp_vbflash", "hotlink_reset" };
        char *path = g_strdup_printf("devices/%s/%s", c->vendor ? "pci0000:3a" : "virtual/sample", name);

        if (c->vendor)
                add_function(k, c, name, path, c->driver);
        else
                add_text(k, path, "uevent", "");

        if (c->total_vfs >= 0) {
                add_number(k, path, "sriov_totalvfs", (unsigned)c->total_vfs);
                add_number(k, path, "sriov_numvfs", c->vfs);
        }

        for (size_t i = 0; c->vendor == 0x1002 && i < G_N_ELEMENTS(forbidden); i++) {
                g_autofree char *file = g_strdup_printf("%s/%s", path, forbidden[i]);

                fake_add_attribute(k, file, show_forbidden, NULL, NULL);
        }

        add_files(k, path, c->files, G_N_ELEMENTS(c->files));
        register_parent(k, name, path);

        for (unsigned n = 0; n < c->vfs; n++)
                add_vf(k, c, path, n);
        if (!c->no_vfio)
                fake_add_directory(k, "bus/pci/drivers/vfio-pci");

        return path;
}

static int run_nvml(FakeKernel *k, const char *const *arguments, void *data, char **ret_output)
{
        const Card *c = data;

        *ret_output = g_strdup(c->nvml);

        return 0;
}

/* Adds the card and scans it. Returns the name of its back end, or NULL; *ret_reason is "" if the card is
 * ready. */
static const char *look(FakeKernel *k, const Card *c, char **ret_reason, VgpudHint *ret_hint)
{
        const char *name = c->name ? c->name : "0000:3b:00.0";
        g_autofree char *path = add_card(k, c, name);
        g_autoptr(GPtrArray) parents = NULL;
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        _cleanup_(vgpu_io_freep) VgpuIo *io = fake_kernel_io(k);
        GpuSeed seed = { .name = name, .path = path, .admitted = c->admitted };
        VgpuTarget t = { .io = io };
        GpuFacts *facts = NULL;
        const VgpuDriver *d;

        if (c->nvml) {
                fake_add_node(k, "nvidiactl");
                fake_set_program(k, VGPU_PROGRAM_NVML, run_nvml, (void *)c);
        }

        ASSERT_OK(mdev_parents_read(io, &parents));
        ASSERT_OK(gpu_facts_read(io, &seed, parents, &facts));
        d = registry_choose(facts, ret_reason, ret_hint);
        t.facts = facts;

        if (d) {
                ASSERT_NULL(*ret_reason);
                ASSERT_OK(d->scan(&t, &s, &e));
                *ret_reason = g_strdup(s->unprepared ? s->unprepared : "");
                vgpud_hint_copy(ret_hint, &s->hint);
        }

        gpu_facts_unref(facts);

        return d ? d->name : NULL;
}

static void test_cards(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(cards); i++) {
                const Card *c = &cards[i];
                FakeKernel *k = fake_kernel_new();
                g_autofree char *reason = NULL;
                _cleanup_vgpud_hint_ VgpudHint hint = VGPUD_HINT_INIT;
                const char *back_end = look(k, c, &reason, &hint);
                g_autofree char *writes = fake_writes(k);

                fake_kernel_free(k);

                if (g_strcmp0(back_end, c->back_end) != 0)
                        FAIL("%s: it has the back end %s, not %s", c->what, back_end ? back_end : "(none)",
                             c->back_end ? c->back_end : "(none)");

                if ((reason[0] != 0) != c->not_ready)
                        FAIL("%s: the reason is \"%s\"", c->what, reason);
                if (c->hint != VGPUD_HINT_NONE && c->hint != hint.id)
                        FAIL("%s: the hint is %s, not %s", c->what, vgpud_hint_id_to_string(hint.id),
                             vgpud_hint_id_to_string(c->hint));

                for (size_t n = 0; n < G_N_ELEMENTS(c->says) && c->says[n]; n++)
                        if (!strstr(reason, c->says[n]) && !strstr(hint.text, c->says[n]))
                                FAIL("%s: neither \"%s\" nor \"%s\" names %s", c->what, reason, hint.text,
                                     c->says[n]);

                if (g_str_has_suffix(reason, ".") || strchr(reason, '\n'))
                        FAIL("%s: the reason is not one clause: %s", c->what, reason);
                /* No file is written; only a card with the library runs a program. */
                ASSERT_TRUE(c->nvml || !writes[0]);
        }
}

static void test_attribute_names(void)
{
        static const char *const good[] = { "nvidia/vgpu_params", "vgpu_params", "a.b-c_9",
                                            "vendor/memory",      "driver2",     "removed" };
        static const char *const bad[] = {
                "",
                "/",
                "remove",
                "uevent",
                "driver",
                "driver_override",
                "subsystem",
                "iommu_group",
                "mdev_type",
                "power",
                "power/control",
                "vfio-dev/x",
                "remove/x",
                "a/b/c",
                "a//b",
                "/a",
                "a/",
                ".",
                "..",
                "../remove",
                "a/..",
                ".hidden",
                "a/.hidden",
                "a b",
                "a:b",
                "a\n",
                "\xc3\xa4",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
                ASSERT_TRUE(vgpu_attribute_name_is_valid(good[i]));
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                ASSERT_FALSE(vgpu_attribute_name_is_valid(bad[i]));
        ASSERT_FALSE(vgpu_attribute_name_is_valid(NULL));

        g_autofree char *longest = g_strnfill(255, 'a'), *longer = g_strnfill(256, 'a');
        ASSERT_TRUE(vgpu_attribute_name_is_valid(longest));
        ASSERT_FALSE(vgpu_attribute_name_is_valid(longer));

        VgpuAttribute *a = vgpu_attribute_new("x", "1");
        bool same = strcmp(a->name, "x") == 0 && strcmp(a->value, "1") == 0;
        ASSERT_NULL(vgpu_attribute_free(a));
        ASSERT_TRUE(same);
}

/* A value is one line without characters that control a terminal. */
static void test_attribute_values(void)
{
        static const char *const good[] = { "1", "frame_rate_limiter=0,disable_vnc=1", "a b",
                                            "gr\303\266\303\237e" };
        static const char *const bad[] = { "",     "a\nb",       "a\n",  "\t", "a\033[2J",
                                           "\x7f", "\302\2332J", "\xff", "\r" };
        g_autofree char *page = g_strnfill(VGPU_IO_ATTR_MAX, 'x'),
                        *more = g_strnfill(VGPU_IO_ATTR_MAX + 1, 'x');

        for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
                ASSERT_TRUE(vgpu_attribute_value_is_valid(good[i]));
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                ASSERT_FALSE(vgpu_attribute_value_is_valid(bad[i]));
        ASSERT_FALSE(vgpu_attribute_value_is_valid(NULL));
        ASSERT_TRUE(vgpu_attribute_value_is_valid(page));
        ASSERT_FALSE(vgpu_attribute_value_is_valid(more));
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_cards);
        TEST(test_attribute_names);
        TEST(test_attribute_values);

        return tests_end();
}
