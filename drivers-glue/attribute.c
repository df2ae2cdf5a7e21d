/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/attribute.h"

#include <string.h>

#include "base/text.h"
#include "drivers-glue/explain.h"
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

static void attribute_destroy(gpointer a)
{
        vgpu_attribute_free(a);
}

GPtrArray *vgpu_attributes_new(void)
{
        return g_ptr_array_new_with_free_func(attribute_destroy);
}

GPtrArray *vgpu_attributes_copy(const GPtrArray *attributes)
{
        GPtrArray *copy;

        if (!attributes)
                return NULL;

        copy = vgpu_attributes_new();
        for (guint i = 0; i < attributes->len; i++) {
                const VgpuAttribute *a = attributes->pdata[i];

                g_ptr_array_add(copy, vgpu_attribute_new(a->name, a->value));
        }

        return copy;
}

/* Length of the component at the beginning of s; 0 if s does not begin with a valid component. */
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

/* The attributes whose form is known. All others are written as they are, and not read back: a driver may show
 * them in another form, or not at all. */
static const struct {
        const char *name;    /* the last component */
        bool drop_last_byte; /* the driver drops the last byte of a write, so a newline must follow the value */
} attribute_forms[] = {
        { "vgpu_params", true }, /* NVIDIA, mediated devices and VFs */
};

static int attribute_verify(VgpuIo *io, const char *path, const VgpuAttribute *a, VgpudError *reterr)
{
        g_autofree char *now = NULL;
        int r = vgpu_io_read(io, path, &now);

        if (r < 0)
                return vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r,
                                              "attribute %s was set to %s, but cannot be read back: %s",
                                              a->name, a->value, g_strerror(-r));

        /* A driver that stores the newline of the write shows two newlines; vgpu_io_read() dropped only one. */
        if (g_str_has_suffix(now, "\n"))
                now[strlen(now) - 1] = 0;
        if (strcmp(now, a->value) == 0)
                return 0;

        r = vgpud_error_setf(reterr, VGPUD_ERROR_FAILED,
                             "attribute %s was set to %s without an error, but is %s", a->name, a->value,
                             now[0] ? now : "empty");
        vgpud_error_hintf(reterr, VGPUD_HINT_SEE_KERNEL_LOG,
                          "look for messages of the driver in the kernel log");

        return r;
}

int vgpu_attribute_write(VgpuIo *io, const char *path, const VgpuAttribute *a, VgpudError *reterr)
{
        const char *slash = strrchr(a->name, '/'), *name = slash ? slash + 1 : a->name;
        g_autofree char *line = NULL;
        bool known = false;
        int r;

        g_assert(vgpu_attribute_value_is_valid(a->value));

        for (size_t i = 0; i < G_N_ELEMENTS(attribute_forms); i++) {
                if (strcmp(attribute_forms[i].name, name) != 0)
                        continue;

                known = true;
                if (attribute_forms[i].drop_last_byte)
                        line = g_strconcat(a->value, "\n", NULL);
        }

        if (line && strlen(line) > VGPU_IO_ATTR_MAX)
                return explain_attribute(a, -E2BIG, reterr);

        r = vgpu_io_write(io, path, line ? line : a->value);
        if (r < 0)
                return explain_attribute(a, r, reterr);

        return known ? attribute_verify(io, path, a, reterr) : 0;
}
