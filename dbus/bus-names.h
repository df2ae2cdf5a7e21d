/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Names on the bus, for the daemon and its clients. Errors are in base/error.h. */

#define VGPUD_BUS_NAME           "org.vgpud1"
#define VGPUD_PATH_ROOT          "/org/vgpud1"
#define VGPUD_PATH_GPU           VGPUD_PATH_ROOT "/gpu"      /* + sd_bus_path_encode(sysfs name) */
#define VGPUD_PATH_INSTANCE      VGPUD_PATH_ROOT "/instance" /* + UUID with _ for - */
#define VGPUD_PATH_JOB           VGPUD_PATH_ROOT "/job"      /* + number */
#define VGPUD_INTERFACE_MANAGER  "org.vgpud1.Manager"
#define VGPUD_INTERFACE_GPU      "org.vgpud1.Gpu"
#define VGPUD_INTERFACE_INSTANCE "org.vgpud1.Instance"
#define VGPUD_INTERFACE_JOB      "org.vgpud1.Job"
