/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The back-end vector. A back end turns one kernel interface into a few verbs; callers keep a pointer to the
 * vector and never branch on the vendor.
 *
 * match(), match_reservation(), predict() and handover() do no I/O. All other functions run in the lane of
 * their GPU, one at a time, and may block. A back end keeps no state in memory: scan() finds what exists, so
 * restarts of the daemon and changes by other programs need no special case. Changes that a later call must
 * undo are recorded in t->notes. A back end reaches the kernel through t->io only, and leaves the logging of
 * failures to the daemon. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/gpu-note.h"
#include "drivers-glue/facts.h"
#include "drivers-glue/io/io.h"
#include "drivers-glue/slots.h"
#include "drivers-glue/snapshot.h"

typedef enum VgpuMatch {
        VGPU_MATCH_NO = 0,
        VGPU_MATCH_PLAIN = 5,    /* plain SR-IOV */
        VGPU_MATCH_GENERIC = 10, /* a standard interface: mdev */
        VGPU_MATCH_VENDOR = 20,  /* the interface of one vendor */
} VgpuMatch;

typedef struct VgpuTarget {
        const GpuFacts *facts; /* borrowed for the length of the call */
        VgpuIo *io;            /* borrowed */
        unsigned parent_hint;  /* index at which the next create() of the job begins its search for room; 0 at
                                  first */
        bool type_is_known;    /* an earlier create() of the job has found the type usable */
        const GPtrArray *known_types; /* borrowed: VgpuType that GPUs of this model ever offered; NULL: none.
                                       * NVIDIA's lists omit types that cannot be created now */
        const GpuNotes *notes;        /* borrowed: notes that outlive the daemon; NULL: none are kept */
        VgpuSlots *slots; /* borrowed: the slots that vgpud handed out; NULL: no records are kept, and each VF
                           * with a driver of VFIO is an instance */
        bool take_bound;  /* VFs that another program bound may be handed out (vgpud.conf) */

        /* Lane. True if other work waits for the lane, so that scan() should stop and be repeated later. NULL:
         * never. */
        bool (*is_awaited)(void *userdata);
        void *is_awaited_userdata;
} VgpuTarget;

typedef struct CreateArgs {
        const char *uuid;    /* lower case */
        const char *type_id; /* an id, not an alias */
        const char *parent;  /* sysfs name of the parent to use; NULL: any that has room */
        uint32_t count;      /* instances that the job creates with these arguments, this one included */
        const GPtrArray *attributes; /* VgpuAttribute; may be NULL */

        /* Back ends without UUIDs in the kernel call reserve() before their first write, with the chosen slot
         * and the text that destroy() needs to restore the slot (NULL: none). The record is on disk when
         * reserve() returns, so that a daemon started after a crash knows the owner. If reserve() fails,
         * create() fails before any change. `reserve` is NULL if no records are kept. */
        int (*reserve)(const char *slot, const char *restore, void *userdata);
        void *reserve_userdata;

        /* The open record of the instance. create() hands it to vgpu_io_write_witnessed() (VgpuWitness), which
         * appends the proof that the write created the device. NULL: no records are kept. */
        const int *record_fd;
} CreateArgs;

/* The devices and arguments by which a VMM attaches an instance. */
typedef struct Handover {
        char *sysfs_path;  /* absolute */
        int iommu_group;   /* -1: none */
        char *group_node;  /* "/dev/vfio/12"; NULL if none */
        char *cdev_node;   /* "/dev/vfio/devices/vfio3"; NULL if none */
        char *libvirt_xml; /* one <hostdev> element */
        char **qemu_args;  /* NULL-terminated: "-device", "vfio-pci,sysfsdev=…"; or NULL */
} Handover;

typedef struct VgpuDriver {
        const char *name; /* "mdev": on the bus, in the journal, in state files; never changed */

        /* True if create() makes vgpud-write append the proof to the record (CreateArgs.record_fd). After a
         * crash, an instance without the proof then counts as foreign. If false, the reserved slot alone
         * decides whether the instance is vgpud's. */
        bool has_witness;

        /* Main thread. No I/O. The highest score wins; of equal scores, the earlier entry of the registry. */
        VgpuMatch (*match)(const GpuFacts *facts);

        /* Lane. Reads the whole state, and changes nothing. Calls vgpu_target_must_yield() before each parent
         * or VF, and more often if one of them takes long. Returns -EAGAIN without setting *reterr if the
         * result is true. */
        int (*scan)(VgpuTarget *t, GpuSnapshot **ret, VgpudError *reterr);

        /* Lane. Reads the instances on one parent (InstanceDesc.parent) after an event of this parent, but no
         * types, and changes nothing. Adds the instances to the empty snapshot `s` as scan() would, but without
         * device_api if only the type shows it. Adds a problem for each instance that cannot be read, and for a
         * parent that does not exist. NULL: the kernel sends no events of instances, or only scan() can find
         * them. */
        void (*find_instances)(VgpuTarget *t, const char *parent, GpuSnapshot *s);

        /* Lane. All or nothing: on failure the kernel is as before, or the error is INCONSISTENT. *ret has been
         * verified to exist. Errors: NO_SUCH_TYPE, NO_CAPACITY, EXISTS (says where), INVALID, IN_USE,
         * UNSUPPORTED, GPU_GONE, FAILED, INCONSISTENT. */
        int (*create)(VgpuTarget *t, const CreateArgs *args, InstanceDesc **ret, VgpudError *reterr);

        /* Lane. Checks for users before the removal and locks new users out during it. 1: removed; 0: did not
         * exist. Errors: IN_USE (names the holder if known; also if users cannot be detected), FOREIGN (the VF
         * has an instance of another program now), UNSUPPORTED, GPU_GONE, FAILED. */
        int (*destroy)(VgpuTarget *t, const InstanceDesc *instance, VgpudError *reterr);

        /* Lane. Set the number of VFs; 0 disables all. VFs that are enabled are disabled before another number
         * is enabled. Fails with IN_USE while a VF carries an instance or is in use. *ret is the number that
         * the kernel reports afterwards; t->facts are stale then. NULL: the back end has no VFs. Errors:
         * INVALID (more than the GPU supports), IN_USE, UNSUPPORTED, NO_CAPACITY, GPU_GONE, FAILED,
         * INCONSISTENT (a setting cannot be restored). */
        int (*set_vfs)(VgpuTarget *t, uint32_t count, uint32_t *ret, VgpudError *reterr);

        /* Lane. Set a mode of the GPU (GpuSnapshot.modes) and verify the result. NULL: the back end has no
         * modes. Errors: INVALID, IN_USE (names the instances or VFs in the way), UNSUPPORTED, GPU_GONE,
         * FAILED. */
        int (*configure)(VgpuTarget *t, const char *mode, const char *value, VgpudError *reterr);

        /* Lane. Called before the first scan() of a daemon, for each slot that an earlier daemon reserved.
         * Finishes the return of a VF by an interrupted destroy(): scan() does not show the instance any more,
         * but driver_override does not have its value in `restore` yet.
         * 1: the VF has the VFIO driver and the driver_override that `restore` names, as before create(). If a
         * create or destroy was interrupted, the caller must remove the slot from t->slots, because scan()
         * would show the VF as an instance. 0: any other case, also after a return was finished. The caller
         * only logs errors. NULL: an interrupted destroy() leaves nothing to finish. */
        int (*finish_interrupted)(VgpuTarget *t, const char *slot, const char *restore, VgpudError *reterr);

        /* Main thread, pure. After scan(), for an instance without UUID in a slot that was reserved with
         * `restore`. false: another program created the instance. true: attributes that were requested and that
         * the kernel does not show are added. NULL: always true, and nothing to add. */
        bool (*match_reservation)(InstanceDesc *instance, const char *restore);

        /* Main thread. No I/O. Replaces a slow scan: `s` is `before` with instances added or removed
         * (gpu_snapshot_predict()). Sets `available` and `why_not` of each type as a scan would; `available`
         * must not be higher than after a scan. false or NULL: only a scan can tell. */
        bool (*predict)(const GpuFacts *facts, const GpuSnapshot *before, GpuSnapshot *s);

        /* Any thread. No I/O. */
        Handover *(*handover)(const InstanceDesc *instance);
} VgpuDriver;

/* True if scan() must return -EAGAIN now; the caller repeats the scan later. */
static inline bool vgpu_target_must_yield(const VgpuTarget *t)
{
        return t->is_awaited && t->is_awaited(t->is_awaited_userdata);
}

/* Check arguments of create() for all back ends: a UUID in lower case, valid names and values of attributes.
 * Error INVALID. */
int create_args_check(const CreateArgs *args, VgpudError *reterr);

/* Fill *buffer with the witness for the write that creates `device`, and return it; NULL if no records are
 * kept. */
const VgpuWitness *create_args_witness(const CreateArgs *args, const char *device, VgpuWitness *buffer);

/* Record the chosen slot before the first write (CreateArgs.reserve). FAILED. */
int slot_reserve(const CreateArgs *args, const char *slot, const char *restore, VgpudError *reterr);

/* The hand-over of a VFIO device: path, nodes, arguments of QEMU, but no libvirt XML. */
Handover *handover_new(const InstanceDesc *instance, const char *sysfs_path, const char *qemu_device);
/* The hand-over of the PCI function instance->slot. managed='no': vgpud chooses the driver, not libvirt. */
Handover *handover_new_pci(const InstanceDesc *instance);
Handover *handover_free(Handover *h);
