/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/store/gpu-settings.h"

#include <string.h>

#include "base/macros.h"
#include "base/text.h"
#include "daemon/store/strict-json.h"
#include "drivers-glue/attribute.h"
#include "drivers-glue/io/io.h"

#define FORMAT_VERSION 1
/* The limits of the bus (dbus/message/bus-util.h). */
#define MODE_NAME_MAX  64U
#define MODE_VALUE_MAX 255U

GpuSettings *gpu_settings_new(const char *gpu)
{
        GpuSettings *s = g_new0(GpuSettings, 1);

        s->gpu = g_strdup(gpu);
        s->modes = vgpu_attributes_new();

        return s;
}

GpuSettings *gpu_settings_copy(const GpuSettings *s)
{
        GpuSettings *copy;

        if (!s)
                return NULL;

        copy = g_new(GpuSettings, 1);
        *copy = *s;
        copy->gpu = g_strdup(s->gpu);
        copy->modes = vgpu_attributes_copy(s->modes);

        return copy;
}

void gpu_settings_free(void *p)
{
        GpuSettings *s = p;

        if (!s)
                return;

        g_free(s->gpu);
        g_ptr_array_unref(s->modes);
        g_free(s);
}

bool gpu_settings_is_empty(const GpuSettings *s)
{
        return s->vfs == 0 && s->modes->len == 0;
}

/* The index of the mode; -1: it is not kept. */
static int settings_find_mode(const GpuSettings *s, const char *mode)
{
        for (guint i = 0; i < s->modes->len; i++)
                if (strcmp(((const VgpuAttribute *)s->modes->pdata[i])->name, mode) == 0)
                        return (int)i;

        return -1;
}

const char *gpu_settings_get_mode(const GpuSettings *s, const char *mode)
{
        int i = settings_find_mode(s, mode);

        return i < 0 ? NULL : ((const VgpuAttribute *)s->modes->pdata[i])->value;
}

void gpu_settings_set_mode(GpuSettings *s, const char *mode, const char *value)
{
        int i = settings_find_mode(s, mode);

        if (i >= 0 && value) {
                VgpuAttribute *kept = s->modes->pdata[i];

                g_free(kept->value);
                kept->value = g_strdup(value);
        } else if (i >= 0)
                g_ptr_array_remove_index(s->modes, (guint)i);
        else if (value)
                g_ptr_array_add(s->modes, vgpu_attribute_new(mode, value));
}

/* The names and values of modes come from drivers, so any short line is valid. */
static bool settings_line_is_valid(const char *text, size_t max)
{
        return *text && strlen(text) <= max && vgpu_attribute_value_is_valid(text);
}

int gpu_settings_check(const GpuSettings *s, VgpudError *reterr)
{
        if (!vgpu_io_name_is_valid(s->gpu))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "\"%s\" is not the name of a GPU",
                                        TEXT_QUOTE(s->gpu));
        if (s->modes->len > GPU_SETTINGS_MODES_MAX)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "more than %u modes are kept",
                                        GPU_SETTINGS_MODES_MAX);

        for (guint i = 0; i < s->modes->len; i++) {
                const VgpuAttribute *mode = s->modes->pdata[i];

                if (!settings_line_is_valid(mode->name, MODE_NAME_MAX) ||
                    !settings_line_is_valid(mode->value, MODE_VALUE_MAX))
                        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                                "the name or value of a mode is not valid");
                if (settings_find_mode(s, mode->name) != (int)i)
                        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "mode \"%s\" is kept twice",
                                                TEXT_QUOTE(mode->name));
        }

        return 0;
}

/* ---- JSON ---- */

static void settings_add_number(JsonBuilder *builder, const char *name, uint64_t number)
{
        json_builder_set_member_name(builder, name);
        json_builder_add_int_value(builder, (gint64)number);
}

char *gpu_settings_to_json(const GpuSettings *s, size_t *ret_size)
{
        g_autoptr(JsonBuilder) builder = json_builder_new();

        json_builder_begin_object(builder);
        settings_add_number(builder, "version", FORMAT_VERSION);
        if (s->vendor > 0 || s->device > 0) {
                settings_add_number(builder, "vendor", s->vendor);
                settings_add_number(builder, "device", s->device);
        }

        if (s->vfs > 0)
                settings_add_number(builder, "vfs", s->vfs);
        if (s->modes->len > 0)
                strict_json_add_attributes(builder, "modes", s->modes);
        settings_add_number(builder, "writer", s->writer);
        settings_add_number(builder, "written", s->written_usec);
        json_builder_end_object(builder);

        return strict_json_write(builder, ret_size);
}

/* Read a member from `least` to `most`. A missing member stays 0, unless it is required. */
static int settings_read_number(JsonObject *object, const char *name, bool required, uint64_t least,
                                uint64_t most, uint64_t *ret, guint *known, VgpudError *reterr)
{
        int64_t number = strict_json_get_number(object, name);

        *ret = 0;
        if (!required && !json_object_has_member(object, name))
                return 0;
        if (number < 0 || (uint64_t)number < least || (uint64_t)number > most)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "member \"%s\" is not a valid number",
                                        name);

        *ret = (uint64_t)number;
        (*known)++;

        return 0;
}

static int settings_read_object(const StrictJson *j, GpuSettings *s, VgpudError *reterr)
{
        uint64_t vendor, device, vfs, writer, written;
        guint known = 1;
        int r;

        r = settings_read_number(j->object, "vendor", false, 0, UINT16_MAX, &vendor, &known, reterr);
        if (r >= 0)
                r = settings_read_number(j->object, "device", false, 0, UINT16_MAX, &device, &known, reterr);
        if (r >= 0)
                r = settings_read_number(j->object, "vfs", false, 1, UINT16_MAX, &vfs, &known, reterr);
        if (r >= 0)
                r = settings_read_number(j->object, "writer", true, 0, UINT32_MAX, &writer, &known, reterr);
        if (r >= 0)
                r = settings_read_number(j->object, "written", true, 0, INT64_MAX, &written, &known, reterr);
        if (r >= 0)
                r = strict_json_get_attributes(j->object, "modes", s->modes, &known, reterr);
        if (r >= 0)
                r = strict_json_check_members(j, known, known + 2 * s->modes->len, reterr);
        if (r < 0)
                return r;

        s->vendor = (uint16_t)vendor;
        s->device = (uint16_t)device;
        s->vfs = (uint32_t)vfs;
        s->writer = (uid_t)writer;
        s->written_usec = written;

        return gpu_settings_check(s, reterr);
}

int gpu_settings_from_json(const char *gpu, const char *text, size_t size, GpuSettings **ret,
                           VgpudError *reterr)
{
        _cleanup_gpu_settings_ GpuSettings *s = gpu_settings_new(gpu);
        _cleanup_strict_json_ StrictJson j = { 0 };
        int r;

        r = strict_json_read(&j, text, size, GPU_SETTINGS_JSON_MAX, FORMAT_VERSION, reterr);
        if (r >= 0)
                r = settings_read_object(&j, s, reterr);
        if (r < 0)
                return r;

        *ret = g_steal_pointer(&s);

        return 0;
}
