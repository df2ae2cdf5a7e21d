/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/attribute.h"

#include <string.h>

#include "base/text.h"
#include "drivers-glue/io/io.h"

VgpuAttribute *vgpu_attribute_new(const char *name, const char *value)
{
        VgpuAttribute *a = g_new(VgpuAttribute, 1);

        *a = (VgpuAttribute){ .name = g_strdup(name), .value = g_strdup(value) };

        return a;
}

VgpuAttribute *vgpu_attribute_free(VgpuAttribute *a)
{
        if (!a)
                return NULL;

        g_free(a->name);
        g_free(a->value);
        g_free(a);

        return NULL;
}

/* Length of the component at the beginning of s; 0 if s does not begin with a valid one. */
static size_t attribute_component_length(const char *s)
{
        size_t n = 0;

        if (s[0] == '.')
                return 0;

        while (g_ascii_isalnum(s[n]) || s[n] == '_' || s[n] == '.' || s[n] == '-')
                n++;

        return n <= 255 ? n : 0;
}

bool vgpu_attribute_name_is_valid(const char *name)
{
        /* Files, folders and links that the driver core, mdev core and VFIO create in the folder of a device.
         */
        static const char *const kernel[] = {
                "driver",   "driver_override",      "firmware_node", "iommu",  "iommu_group", "mdev_type",
                "of_node",  "physical_location",    "power",         "remove", "subsystem",   "uevent",
                "vfio-dev", "waiting_for_supplier",
        };
        size_t first, second;

        if (!name)
                return false;

        first = attribute_component_length(name);
        if (first == 0)
                return false;

        for (size_t i = 0; i < G_N_ELEMENTS(kernel); i++)
                if (strlen(kernel[i]) == first && strncmp(kernel[i], name, first) == 0)
                        return false;

        if (!name[first])
                return true;
        if (name[first] != '/')
                return false;

        second = attribute_component_length(name + first + 1);

        return second > 0 && !name[first + 1 + second];
}

/* Control characters would reach the terminals of all users who list the instance. */
bool vgpu_attribute_value_is_valid(const char *value)
{
        if (!value || !value[0] || strlen(value) > VGPU_IO_ATTR_MAX || !g_utf8_validate(value, -1, NULL))
                return false;

        for (const char *c = value; *c; c = g_utf8_next_char(c))
                if (g_unichar_iscntrl(g_utf8_get_char(c)))
                        return false;

        return true;
}

int vgpu_attributes_check(const GPtrArray *attributes, VgpudError *reterr)
{
        for (guint i = 0; attributes && i < attributes->len; i++) {
                const VgpuAttribute *a = attributes->pdata[i];

                if (!vgpu_attribute_name_is_valid(a->name))
                        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                                "\"%s\" is not the name of a vendor attribute",
                                                TEXT_QUOTE(a->name));

                if (!vgpu_attribute_value_is_valid(a->value))
                        return vgpud_error_setf(
                                        reterr, VGPUD_ERROR_INVALID,
                                        "the value of attribute %s must be one line of 1 to %d bytes, without control characters",
                                        TEXT_QUOTE(a->name), VGPU_IO_ATTR_MAX);
        }

        return 0;
}
