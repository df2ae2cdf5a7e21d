/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The answer of GetHandOver: how a virtual machine monitor takes an instance. */

#include <systemd/sd-bus.h>

#include "cli/output/json.h"

typedef struct HandOver {
        char *sysfs_path;    /* each text or list is NULL if the answer does not have it */
        int64_t iommu_group; /* -1 if the answer does not have it */
        char *group_node;
        char *cdev_node;
        char *libvirt_xml;
        char **qemu_args;
} HandOver;

#define HAND_OVER_INIT ((HandOver){ .iommu_group = -1 })
void hand_over_done(HandOver *o);
#define _cleanup_hand_over_ _cleanup_(hand_over_done)

/* Reads the a{sv} into an empty *o. Returns 0 or a negative errno. */
int hand_over_read(HandOver *o, sd_bus_message *m);

void json_hand_over(Json *j, const char *key, const HandOver *o);
