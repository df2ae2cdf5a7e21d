/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/intel/xengt-request.h"

#include <inttypes.h>
#include <string.h>

#include "base/parse-util.h"
#include "drivers-glue/explain.h"

#define TYPE_CUSTOM "xengt-custom"
#define CAP_MAX     100

static const XengtPreset request_presets[] = {
        { "xengt-64-448", "XenGT-64-448", "the default of xl", { 64, 448, 4 } },
        { "xengt-128-384", "Intel GVT-g", "the type of XenServer", { 128, 384, 4 } },
        { "xengt-128-512", "XenGT-128-512", "as large as i915-GVTg_V5_4", { 128, 512, 4 } },
        { "xengt-256-1024", "XenGT-256-1024", "as large as i915-GVTg_V5_2", { 256, 1024, 4 } },
        { "xengt-512-2048", "XenGT-512-2048", "as large as i915-GVTg_V5_1", { 512, 2048, 4 } },
        { TYPE_CUSTOM, "XenGT-custom", "sizes set by options", { 64, 448, 4 }, .custom = true },
};

static const struct {
        const char *name, *help;
        bool custom_only;
} request_options[] = {
        { "vmid", "required: ID of the Xen domain that gets the vGPU (xl list), 1 to 32751", false },
        { "low_gm", "bytes (K, M, G allowed), whole MB: graphics memory that the CPU can map; default 64M",
          true },
        { "high_gm",
          "bytes (K, M, G allowed), whole MB, may be 0: graphics memory that the CPU cannot map; default 448M",
          true },
        { "fences", "number of fence registers, 1 or more; default 4", true },
        { "primary",
          "yes or no: the guest uses the vGPU as its first display; without the option the driver decides",
          false },
        { "cap", "limit in percent of the GPU's time, 1 to 100; 0: no limit", false },
};

DEFINE_DESTROY_NOTIFY(request_free_option, vgpu_type_option_free)

const XengtPreset *xengt_preset_get(size_t i)
{
        return i < G_N_ELEMENTS(request_presets) ? &request_presets[i] : NULL;
}

VgpuType *xengt_preset_new_type(const XengtPreset *p)
{
        VgpuType *type = vgpu_type_new(p->id);

        g_free(type->name);
        type->name = g_strdup(p->name);
        type->description = g_strdup(p->description);
        type->device_api = g_strdup(XENGT_DEVICE_API);
        type->options = g_ptr_array_new_with_free_func(request_free_option);

        for (size_t i = 0; i < G_N_ELEMENTS(request_options); i++)
                if (p->custom || !request_options[i].custom_only)
                        g_ptr_array_add(type->options,
                                        vgpu_type_option_new(request_options[i].name, request_options[i].help));

        if (p->custom)
                return type;

        type->low_gm_bytes = (uint64_t)p->size.low_mb << 20;
        type->high_gm_bytes = (uint64_t)p->size.high_mb << 20;
        type->framebuffer_bytes = type->low_gm_bytes + type->high_gm_bytes;
        type->fences = p->size.fences;

        return type;
}

const char *xengt_preset_guess(uint64_t low, uint64_t high)
{
        for (size_t i = 0; i < G_N_ELEMENTS(request_presets); i++)
                if (!request_presets[i].custom && (uint64_t)request_presets[i].size.low_mb << 20 == low &&
                    (uint64_t)request_presets[i].size.high_mb << 20 == high)
                        return request_presets[i].id;

        return TYPE_CUSTOM;
}

static int request_explain_option(const XengtRequest *w, const VgpuAttribute *a, VgpudError *reterr)
{
        int r;

        for (size_t i = 0; i < G_N_ELEMENTS(request_options); i++) {
                if (strcmp(request_options[i].name, a->name) == 0 && request_options[i].custom_only &&
                    strcmp(w->type_id, TYPE_CUSTOM) != 0) {
                        r = vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                             "type %s has no option %s: its sizes are fixed", w->type_id,
                                             a->name);
                        vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER,
                                          "type " TYPE_CUSTOM " takes low_gm, high_gm and fences");

                        return r;
                }

                if (strcmp(request_options[i].name, a->name) == 0)
                        return explain_option(a, request_options[i].help, reterr);
        }

        r = vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "type %s has no option %s", w->type_id, a->name);
        vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER,
                          "the options are vmid, primary and cap; " TYPE_CUSTOM
                          " also has low_gm, high_gm and fences");

        return r;
}

static bool request_parse_mb(const char *value, uint32_t min, uint32_t *ret)
{
        uint64_t bytes;

        if (parse_bytes(value, &bytes) < 0 || bytes % (1 << 20) != 0 || bytes >> 20 < min ||
            bytes >> 20 > INT32_MAX)
                return false;

        *ret = (uint32_t)(bytes >> 20);

        return true;
}

static bool request_parse_number(const char *value, uint32_t min, uint32_t max, uint32_t *ret)
{
        uint32_t v;

        if (parse_u32(value, 10, &v) < 0 || v < min || v > max)
                return false;

        *ret = v;

        return true;
}

static bool request_take_option(XengtRequest *w, const VgpuAttribute *a)
{
        bool custom = strcmp(w->type_id, TYPE_CUSTOM) == 0, yes;

        if (strcmp(a->name, "vmid") == 0)
                return request_parse_number(a->value, 1, XENGT_VM_ID_MAX, &w->vm_id);

        if (strcmp(a->name, "primary") == 0) {
                if (parse_boolean(a->value, &yes) < 0)
                        return false;

                w->primary = yes;
                return true;
        }

        if (strcmp(a->name, "cap") == 0) {
                w->has_cap = true;
                return request_parse_number(a->value, 0, CAP_MAX, &w->cap);
        }

        if (custom && strcmp(a->name, "low_gm") == 0)
                return request_parse_mb(a->value, 1, &w->size.low_mb);
        if (custom && strcmp(a->name, "high_gm") == 0)
                return request_parse_mb(a->value, 0, &w->size.high_mb);

        return custom && strcmp(a->name, "fences") == 0 &&
               request_parse_number(a->value, 1, INT32_MAX, &w->size.fences);
}

int xengt_request_read(const CreateArgs *args, XengtRequest *w, VgpudError *reterr)
{
        int r = create_args_check(args, reterr);

        if (r < 0)
                return r;

        *w = (XengtRequest){ .primary = -1 };
        for (size_t i = 0; i < G_N_ELEMENTS(request_presets); i++)
                if (strcmp(args->type_id, request_presets[i].id) == 0) {
                        w->type_id = request_presets[i].id;
                        w->size = request_presets[i].size;
                }

        if (!w->type_id) {
                r = vgpud_error_setf(reterr, VGPUD_ERROR_NO_SUCH_TYPE, "XenGT has no type %s", args->type_id);
                vgpud_error_hintf(
                                reterr, VGPUD_HINT_CHOOSE_OTHER,
                                "the types are xengt-64-448, xengt-128-384, xengt-128-512, xengt-256-1024, xengt-512-2048 and " TYPE_CUSTOM);

                return r;
        }

        for (guint i = 0; args->attributes && i < args->attributes->len; i++) {
                const VgpuAttribute *a = args->attributes->pdata[i];

                if (!request_take_option(w, a))
                        return request_explain_option(w, a, reterr);
        }

        if (w->vm_id == 0) {
                r = vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                     "a vGPU of XenGT needs a Xen domain, but option vmid is not set");
                vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER,
                                  "set option vmid to an ID that xl list shows");

                return r;
        }

        if (args->count > 1) {
                r = vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                     "%" PRIu32
                                     " vGPUs are requested, but option vmid names a domain for one vGPU",
                                     args->count);
                vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER,
                                  "create the vGPUs one by one, each with the ID of its domain");

                return r;
        }

        return 0;
}

/* The kernel does not show the fences, the first display and the cap of a vGPU, so the record keeps these. The
 * record also keeps the sizes, by which a daemon recognises the vGPU. */
char *xengt_request_to_text(const XengtRequest *w)
{
        GString *text = g_string_new(NULL);

        g_assert(w->type_id);

        g_string_printf(text, "low_gm=%" PRIu32 "M high_gm=%" PRIu32 "M fences=%" PRIu32, w->size.low_mb,
                        w->size.high_mb, w->size.fences);

        if (w->primary >= 0)
                g_string_append(text, w->primary ? " primary=yes" : " primary=no");
        if (w->has_cap)
                g_string_append_printf(text, " cap=%" PRIu32, w->cap);

        return g_string_free(text, FALSE);
}
