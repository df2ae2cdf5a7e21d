/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What all back ends share: the hand-over. */

#include "drivers-glue/driver.h"

Handover *handover_free(Handover *h)
{
        if (!h)
                return NULL;
        g_free(h->sysfs_path);
        g_free(h->group_node);
        g_free(h->cdev_node);
        g_free(h->libvirt_xml);
        g_strfreev(h->qemu_args);
        g_free(h);
        return NULL;
}
