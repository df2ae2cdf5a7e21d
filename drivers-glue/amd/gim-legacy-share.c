/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/amd/gim-legacy-share.h"

#include <inttypes.h>
#include <string.h>

#include "base/parse-util.h"
#include "base/text.h"
#include "drivers-glue/explain.h"

#define SHARE_STEP_MB     16
#define SHARE_DIVIDER_MAX 16
static const struct {
        const char *name, *help;
} share_options[] = {
        { "fb_offset",
          "bytes (K, M, G allowed), whole MB: where the graphics memory of the VF starts, after the host's part at the start of the GPU's memory; requires fb_size and gfx_divider" },
        { "fb_size", "bytes (K, M, G allowed), a multiple of 16M, at least 256M: graphics memory" },
        { "gfx_divider", "1, 2, 4, 8 or 16: number of parts of the computing time, of which the VF gets one" },
};

DEFINE_DESTROY_NOTIFY(share_free_option, vgpu_type_option_free)

GPtrArray *gim_share_options(void)
{
        GPtrArray *result = g_ptr_array_new_with_free_func(share_free_option);

        for (size_t i = 0; i < G_N_ELEMENTS(share_options); i++)
                g_ptr_array_add(result, vgpu_type_option_new(share_options[i].name, share_options[i].help));

        return result;
}

static bool share_parse_mb(const char *value, uint32_t *ret)
{
        uint64_t bytes;

        if (parse_bytes(value, &bytes) < 0 || bytes == 0 || bytes % (1 << 20) != 0 || bytes >> 20 > INT32_MAX)
                return false;

        *ret = (uint32_t)(bytes >> 20);

        return true;
}

static bool share_take_option(const VgpuAttribute *a, GimShare *w)
{
        if (strcmp(a->name, "fb_offset") == 0)
                return share_parse_mb(a->value, &w->offset_mb);
        if (strcmp(a->name, "fb_size") == 0)
                return share_parse_mb(a->value, &w->size_mb) && w->size_mb >= GIM_SHARE_MIN_MB &&
                       w->size_mb % SHARE_STEP_MB == 0;

        return strcmp(a->name, "gfx_divider") == 0 && parse_u32(a->value, 10, &w->divider) >= 0 &&
               w->divider > 0 && w->divider <= SHARE_DIVIDER_MAX && (w->divider & (w->divider - 1)) == 0;
}

static int share_explain_option(const VgpuAttribute *a, VgpudError *reterr)
{
        int r;

        for (size_t i = 0; i < G_N_ELEMENTS(share_options); i++)
                if (strcmp(share_options[i].name, a->name) == 0)
                        return explain_option(a, share_options[i].help, reterr);

        r = vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "type " GIM_SHARE_TYPE " has no option %s",
                             TEXT_QUOTE(a->name));
        vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER,
                          "the options are fb_offset, fb_size and gfx_divider");

        return r;
}

int gim_share_read(VgpuTarget *t, const CreateArgs *args, GimShare *ret, VgpudError *reterr)
{
        int r;

        g_assert(ret->offset_mb == 0 && ret->size_mb == 0 && ret->divider == 0);

        r = create_args_check(args, reterr);

        if (r < 0)
                return r;

        if (strcmp(args->type_id, GIM_SHARE_TYPE) != 0) {
                r = vgpud_error_setf(reterr, VGPUD_ERROR_NO_SUCH_TYPE, "GPU %s does not offer type \"%s\"",
                                     t->facts->name, TEXT_QUOTE(args->type_id));
                vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER, "the GPU offers " GIM_SHARE_TYPE);

                return r;
        }

        for (guint i = 0; args->attributes && i < args->attributes->len; i++)
                if (!share_take_option(args->attributes->pdata[i], ret))
                        return share_explain_option(args->attributes->pdata[i], reterr);

        if ((ret->offset_mb > 0 || ret->size_mb > 0 || ret->divider > 0) &&
            (ret->offset_mb == 0 || ret->size_mb == 0 || ret->divider == 0)) {
                r = vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                     "driver gim needs all of fb_offset, fb_size and gfx_divider");
                vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER,
                                  "set all three options, or none for an equal share");

                return r;
        }

        return 0;
}

/* Explain the answer of gim. A row of the table holds for answers that contain `part`. */
int gim_share_explain_answer(VgpuTarget *t, const GimShare *w, const char *answer, VgpudError *reterr)
{
        static const struct {
                const char *part;
                VgpudErrorCode code;
                VgpudHintId hint_id;
                const char *why, *hint;
        } table[] = {
                { "Can't find", VGPUD_ERROR_NO_CAPACITY, VGPUD_HINT_RELEASE_VF, "all VFs are allocated",
                  "release the VFs that no program uses: write their names to relvf" },
                { "Active VFs", VGPUD_ERROR_NO_CAPACITY, VGPUD_HINT_STOP_USER,
                  "guests use VFs with equal shares",
                  "leave out the options for an equal share, or shut down the guests" },
                { "three zero inputs", VGPUD_ERROR_NO_CAPACITY, VGPUD_HINT_DESTROY_INSTANCE,
                  "other VFs have equal shares",
                  "leave out the options for an equal share, or destroy the other instances" },
                { "three non-zero inputs", VGPUD_ERROR_NO_CAPACITY, VGPUD_HINT_DESTROY_INSTANCE,
                  "other VFs have a share set by options",
                  "set fb_offset, fb_size and gfx_divider, or destroy the other instances" },
                { "GFX_partition cannot be satisfied", VGPUD_ERROR_NO_CAPACITY, VGPUD_HINT_CHOOSE_OTHER,
                  "too little computing time is left", "request less computing time (a larger gfx_divider)" },
                { "offset and size", VGPUD_ERROR_NO_CAPACITY, VGPUD_HINT_CHOOSE_OTHER,
                  "another VF uses a part of the requested memory, or the GPU has less memory",
                  "request another fb_offset or a smaller fb_size" },
                { "frame buffer offset", VGPUD_ERROR_INVALID, VGPUD_HINT_CHOOSE_OTHER,
                  "the host uses the start of the memory (parameter pf_fb of gim)",
                  "request a larger fb_offset" },
                { "frame buffer size", VGPUD_ERROR_INVALID, VGPUD_HINT_CHOOSE_OTHER, "the size is not possible",
                  "fb_size is a multiple of 16M, at least 256M" },
                { "GFX partition", VGPUD_ERROR_INVALID, VGPUD_HINT_CHOOSE_OTHER, "the divider is not possible",
                  "gfx_divider is 1, 2, 4, 8 or 16" },
                { "Invalid Parameters", VGPUD_ERROR_INVALID, VGPUD_HINT_CHOOSE_OTHER,
                  "this release of gim does not support these numbers",
                  "leave out the options for an equal share" },
        };
        const char *name = t->facts->name;
        int r;

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                if (!strstr(answer, table[i].part))
                        continue;

                r = vgpud_error_setf(reterr, table[i].code,
                                     "driver gim allocated no VF of GPU %s for \"%" PRIu32 " %" PRIu32
                                     " %" PRIu32 "\": %s (\"%s\")",
                                     name, w->offset_mb, w->size_mb, w->divider, table[i].why,
                                     TEXT_QUOTE(answer));
                vgpud_error_hintf(reterr, table[i].hint_id, "%s", table[i].hint);

                return r;
        }

        r = vgpud_error_setf(reterr, VGPUD_ERROR_FAILED,
                             "driver gim allocated no VF of GPU %s: its answer is \"%s\"", name,
                             TEXT_QUOTE(answer));
        vgpud_error_hintf(reterr, VGPUD_HINT_SEE_KERNEL_LOG, "look for messages of gim in the kernel log");

        return r;
}
