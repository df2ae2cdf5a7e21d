/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The message of an error says what failed and why. Its hint says what a person can do about the failure. A
 * hint has an id, by which programs and tests recognize the situation, and a text, which may name objects. The
 * two tables define every id; org.vgpud1(5) is made from them.
 *
 * Columns: enum name, id on the bus and in --json, the situation in the words of the manual. */

#include <stdbool.h>

#include "base/macros.h"

#define VGPUD_HINTS(X)                                                                                   \
        X(ENABLE_SRIOV, "enable-sriov", "SR-IOV is switched off in the firmware setup or by the driver") \
        X(ENABLE_ACS, "enable-acs", "the IOMMU does not isolate the device from others")                 \
        X(ENABLE_VFS, "enable-vfs", "the GPU has no VFs yet")                                            \
        X(DISABLE_VFS, "disable-vfs", "the VFs must be disabled first")                                  \
        X(LOAD_DRIVER, "load-driver", "a kernel module or a vendor's driver is missing")                 \
        X(CONFIGURE_DRIVER, "configure-driver", "a parameter of the kernel driver must be changed")      \
        X(CONFIGURE_GPU, "configure-gpu", "a mode of the GPU must be changed first")                     \
        X(CHANGE_CONFIG, "change-config", "a setting in vgpud.conf causes the refusal")                  \
        X(CHOOSE_OTHER, "choose-other", "another type, GPU, name or value is possible")                  \
        X(USE_FOREIGN, "use-foreign", "another program created the instance")                            \
        X(USE_START, "use-start", "the UUID or name belongs to a definition")                            \
        X(USE_STOP, "use-stop", "the instance has a definition")                                         \
        X(FORGET_SETTINGS, "forget-settings", "the kept settings belong to another GPU")                 \
        X(STOP_USER, "stop-user", "a process or VM uses the device")                                     \
        X(STOP_OTHER_TOOL, "stop-other-tool", "another program is changing the GPU")                     \
        X(RELEASE_VF, "release-vf", "a VF is reserved, or its driver may count it as allocated")         \
        X(REMOVE_BY_HAND, "remove-by-hand", "something is left that vgpud does not remove by itself")    \
        X(RESET_GPU, "reset-gpu", "only a reset of the GPU or of the host helps")                        \
        X(WAIT_FOR_JOB, "wait-for-job", "a job in progress must end first")                              \
        X(WAIT_FOR_CALLS, "wait-for-calls", "earlier answers must be sent, or read, first")              \
        X(ENABLE_IOMMU, "enable-iommu", "the IOMMU is switched off")                                     \
        X(DESTROY_INSTANCE, "destroy-instance", "other instances of the GPU must be destroyed first")    \
        X(TRY_AGAIN, "try-again", "the situation ends by itself")                                        \
        X(SEE_JOURNAL, "see-journal", "the journal of vgpud or of a vendor's service has the reason")    \
        X(SEE_KERNEL_LOG, "see-kernel-log", "the kernel log has the driver's reason")                    \
        X(SEE_MANUAL, "see-manual", "the manual page lists the accepted values")

/* Hints that vgpuctl alone gives. */
#define VGPUD_CLIENT_HINTS(X)                                                                                \
        X(LIST_GPUS, "list-gpus", "no GPU has this name")                                                    \
        X(LIST_TYPES, "list-types", "no type has this name")                                                 \
        X(LIST_INSTANCES, "list-instances", "no instance has this name, or another instance has it already") \
        X(LIST_DEFINITIONS, "list-definitions", "no definition has this name, or the limit is reached")      \
        X(LIST_JOBS, "list-jobs", "no job has this number")                                                  \
        X(LONGER_PREFIX, "longer-prefix", "several objects fit the word, or it is too short")                \
        X(EXPLAIN_TYPES, "explain-types", "no GPU has room for the type, or the type has no such option")    \
        X(ASK_ADMINISTRATOR, "ask-administrator", "polkit or the bus does not permit the call")              \
        X(SEE_HELP, "see-help", "the command line is wrong")                                                 \
        X(CHECK_SERVICE, "check-service", "vgpud does not run or does not answer")                           \
        X(CHECK_BUS, "check-bus", "the system bus cannot be reached")                                        \
        X(CHECK_SSH, "check-ssh", "the other host cannot be reached")                                        \
        X(RESTART_DAEMON, "restart-daemon", "vgpud and vgpuctl have different versions")

typedef enum VgpudHintId {
        VGPUD_HINT_NONE,
#define X(name, id, text) VGPUD_HINT_##name,
        VGPUD_HINTS(X) VGPUD_CLIENT_HINTS(X)
#undef X
                        _VGPUD_HINT_MAX,
} VgpudHintId;

typedef struct VgpudHint {
        VgpudHintId id;
        char *text; /* owned; one English sentence without the full stop; NULL when there is none */
} VgpudHint;

#define VGPUD_HINT_INIT ((VgpudHint){ 0 })

/* Replaces the hint. `h` may be NULL. */
void vgpud_hint_setf(VgpudHint *h, VgpudHintId id, const char *format, ...) _printf_(3, 4);
/* Empty the hint (may be NULL), so that it can be used again. */
void vgpud_hint_done(VgpudHint *h);
#define _cleanup_vgpud_hint_ _cleanup_(vgpud_hint_done)

/* Replaces *dst by a copy. `src` NULL: empties *dst. */
void vgpud_hint_copy(VgpudHint *dst, const VgpudHint *src);
bool vgpud_hint_equal(const VgpudHint *a, const VgpudHint *b);

/* "enable-vfs"; "" for VGPUD_HINT_NONE. */
const char *vgpud_hint_id_to_string(VgpudHintId id);
