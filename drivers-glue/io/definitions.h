/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* PCI functions in the definitions of other programs: parents of mediated devices (mdevctl), and functions
 * passed to a VM (libvirt). A file with unknown content may name any function. */

#include <stdbool.h>

#include "base/macros.h"

typedef struct VgpuDefinitions {
        GHashTable *files; /* owned: PCI function ("0000:41:00.2") -> file with the definition */
        char *unread;      /* owned; the first file or folder that cannot be read, and why; NULL: none */
} VgpuDefinitions;

/* Read the definitions below `root` ("/" for the host): etc/mdevctl.d/, etc/libvirt/qemu/ and, for running
 * domains, run/libvirt/qemu/. Folders may be missing. Blocks. */
VgpuDefinitions *vgpu_definitions_read(const char *root);
VgpuDefinitions *vgpu_definitions_free(VgpuDefinitions *d);

/* Add the PCI functions in the XML of a libvirt domain. -EBADMSG: invalid XML, or not the XML of a domain;
 * functions before the error are added nevertheless. */
int vgpu_definitions_add_domain(VgpuDefinitions *d, const char *file, const char *text, size_t size);

static inline void vgpu_definitions_freep(VgpuDefinitions **d)
{
        *d = vgpu_definitions_free(*d);
}
