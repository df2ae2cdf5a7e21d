/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/nvidia/nvml.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "base/parse-util.h"
#include "base/uuid.h"
#include "drivers-glue/explain.h"
#include "drivers-glue/nvidia/vf.h"

/* Codes of the library (nvmlReturn_t) that mean something to us. */
#define NVML_NOT_SUPPORTED      3
#define NVML_NO_PERMISSION      4
#define NVML_DRIVER_NOT_LOADED  9
#define NVML_FUNCTION_NOT_FOUND 13
#define NVML_GPU_IS_LOST        15
#define NVML_RESET_REQUIRED     16
#define NVML_IN_USE             19

/* As exit status: above all that vgpud-nvml has. */
#define PROGRAM_FAILED 255

#define NAMES_IN_MESSAGE_MAX 8

static bool is_there(VgpuTarget *t)
{
        return t->facts->is_pci && vgpu_io_node_exists(t->io, "nvidiactl") == 1;
}

NvmlAnswer *nvml_query(VgpuTarget *t)
{
        const char *const arguments[] = { "query", t->facts->name, NULL };
        g_autofree char *output = NULL;
        NvmlAnswer *a = NULL;

        if (!is_there(t) || vgpu_io_run(t->io, VGPU_PROGRAM_NVML, arguments, &output) != 0 ||
            nvml_answer_parse(output, &a) < 0)
                return NULL;
        return a;
}

void nvml_add_modes(const NvmlAnswer *a, GpuSnapshot *s)
{
        static const char *const choices[] = { "yes", "no", NULL };

        if (a->heterogeneous >= 0)
                g_ptr_array_add(s->modes,
                                vgpu_mode_new("heterogeneous", a->heterogeneous ? "yes" : "no", choices,
                                              "vGPUs of different framebuffer sizes beside each other; set "
                                              "it after enabling virtual functions and before the first "
                                              "vGPU, it ends when they are disabled"));
        else if (a->mig == 1)
                g_ptr_array_add(s->modes,
                                vgpu_mode_new("heterogeneous", "no", NULL,
                                              "vGPUs of different framebuffer sizes beside each other, "
                                              "which a GPU in MIG mode does not have: there GPU instances "
                                              "have sizes of their own (mode mig)"));
        if (a->mig >= 0)
                g_ptr_array_add(s->modes, vgpu_mode_new("mig", a->mig ? "yes" : "no", choices,
                                                        a->mig_pending >= 0 && a->mig_pending != a->mig
                                                                        ? "the GPU is divided into slices "
                                                                          "(MIG); it changes with the next "
                                                                          "reset of the GPU"
                                                                        : "the GPU is divided into slices "
                                                                          "(MIG); set it before enabling "
                                                                          "virtual functions"));
}

/* A number that `systemctl show` knows of the unit; 0 also when it does not. */
static uint32_t get_number(VgpuTarget *t, const char *unit, const char *option)
{
        const char *const arguments[] = { "show", "--value", option, unit, NULL };
        g_autofree char *output = NULL;
        uint32_t n;

        if (vgpu_io_run(t->io, VGPU_PROGRAM_SYSTEMCTL, arguments, &output) != 0 ||
            parse_u32(g_strstrip(output), 10, &n) < 0)
                return 0;
        return n;
}

/* The library lets only CAP_SYS_ADMIN set a mode, which vgpud does not have: then systemd starts the same
 * program, in the unit vgpud-nvml@.service. Its exit status, or a negative errno. */
static int set_by_unit(VgpuTarget *t, const char *mode, bool value)
{
        g_autofree char *unit =
                        g_strdup_printf("vgpud-nvml@set\\x2d%s-%s-%d.service", mode, t->facts->name, value);
        const char *const start[] = { "start", "--quiet", "--no-ask-password", unit, NULL };
        g_autofree char *output = NULL;
        uint32_t code, status;
        int r;

        r = vgpu_io_run(t->io, VGPU_PROGRAM_SYSTEMCTL, start, &output);
        if (r <= 0)
                return r;
        code = get_number(t, unit, "--property=ExecMainCode");
        if (code == 0)
                return NVML_NO_PERMISSION;
        /* Of what a signal ended, the status is the number of the signal. */
        if (code != CLD_EXITED)
                return PROGRAM_FAILED;
        status = get_number(t, unit, "--property=ExecMainStatus");
        return status == 0 ? NVML_NO_PERMISSION : (int)MIN(status, PROGRAM_FAILED);
}

/* " (NVML error 19)"; "" for what is no code of the library, or not known which. */
static char *name_code(int code)
{
        return code > 0 && code < VGPUD_NVML_OTHER_CODE ? g_strdup_printf(" (NVML error %d)", code)
                                                        : g_strdup("");
}

/* MIG mode only: the library has taken it, and put it off until the next reset. */
static bool is_taken(int status)
{
        return status >= VGPUD_NVML_PENDING && status < VGPUD_NVML_NO_LIBRARY;
}

static int explain(VgpuTarget *t, const char *mode, int code, VgpudError *reterr)
{
        g_autofree char *number = name_code(code);
        const char *gpu = t->facts->name;

        if (code > VGPUD_NVML_NO_LIBRARY)
                return vgpud_error_setf(reterr, VGPUD_ERROR_FAILED,
                                        "vgpud-nvml ended before it could say whether mode \"%s\" of GPU %s is "
                                        "set, and as far as can be seen it is not; the journal says more",
                                        mode, gpu);
        switch (code) {
        case -ENOENT:
        case VGPUD_NVML_NO_LIBRARY:
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_UNSUPPORTED,
                                "mode \"%s\" of GPU %s is set by NVIDIA's library libnvidia-ml.so.1, which is "
                                "not there",
                                mode, gpu);
        case NVML_NOT_SUPPORTED:
        case NVML_FUNCTION_NOT_FOUND:
                return vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED,
                                        "GPU %s or its driver has no mode \"%s\" (NVML error %d)", gpu, mode,
                                        code);
        case NVML_NO_PERMISSION:
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_FAILED,
                                "NVIDIA's library does not let vgpud set mode \"%s\" of GPU %s (NVML error "
                                "%d), nor did the unit vgpud-nvml@.service; the journal says more",
                                mode, gpu, code);
        case NVML_IN_USE:
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_IN_USE,
                                "mode \"%s\" of GPU %s cannot be set while somebody else has the GPU open "
                                "(NVML error %d); stop nvidia-persistenced, DCGM (nvidia-dcgm), exporters and "
                                "whatever computes on it, and try again",
                                mode, gpu, code);
        case NVML_GPU_IS_LOST:
                return vgpud_error_setf(reterr, VGPUD_ERROR_GPU_GONE,
                                        "GPU %s does not answer NVIDIA's driver any more (NVML error %d)", gpu,
                                        code);
        case NVML_DRIVER_NOT_LOADED:
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_FAILED,
                                "NVIDIA's library cannot reach the driver of GPU %s (NVML error %d); the "
                                "journal says more",
                                gpu, code);
        case NVML_RESET_REQUIRED:
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_FAILED,
                                "GPU %s must be reset before its mode \"%s\" can change (NVML error %d): end "
                                "what uses it, and run nvidia-smi --gpu-reset -i %s, or boot again",
                                gpu, mode, code, gpu);
        default:
                return code < 0 ? vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, code,
                                                         "vgpud-nvml cannot be run: %s", g_strerror(-code))
                                : vgpud_error_setf(reterr, VGPUD_ERROR_FAILED,
                                                   "NVIDIA's library refused to set mode \"%s\" of GPU "
                                                   "%s%s; the journal says more",
                                                   mode, gpu, number);
        }
}

/* MIG mode only. The one in effect has not changed, so that to take the other one back needs no reset. */
static int explain_pending(VgpuTarget *t, bool value, int code, VgpudError *reterr)
{
        g_autofree char *number = name_code(code);
        const char *gpu = t->facts->name;

        return vgpud_error_setf(reterr, code == NVML_IN_USE ? VGPUD_ERROR_IN_USE : VGPUD_ERROR_FAILED,
                                "mode \"mig\" of GPU %s stays as it is until the GPU is reset, and is %s from "
                                "then on%s: end what uses the GPU%s, and run nvidia-smi --gpu-reset -i %s, or "
                                "boot again; vgpuctl configure %s mig %s takes it back",
                                gpu, value ? "on" : "off", number,
                                code == NVML_IN_USE ? " (nvidia-persistenced, DCGM, exporters)" : "", gpu, gpu,
                                value ? "no" : "yes");
}

/* Also after the next reset of the GPU. */
static bool is_set(const NvmlAnswer *a, const char *mode, bool value)
{
        if (!a)
                return false;
        return strcmp(mode, "mig") == 0
                               ? a->mig == (int)value && (a->mig_pending < 0 || a->mig_pending == (int)value)
                               : a->heterogeneous == (int)value;
}

/* What there is counts; the program's status says why it is not as it was to be. */
static int verify(VgpuTarget *t, const char *mode, bool value, int status, VgpudError *reterr)
{
        _cleanup_(nvml_answer_freep) NvmlAnswer *a = nvml_query(t);
        bool mig = strcmp(mode, "mig") == 0, is_pending = is_taken(status);
        int now = !a ? -1 : mig ? a->mig : a->heterogeneous;
        int code = is_pending ? status - VGPUD_NVML_PENDING : status;

        if (is_set(a, mode, value))
                return 0;
        if (mig && a && a->mig_pending >= 0)
                is_pending = a->mig_pending == (int)value;
        if (is_pending)
                return explain_pending(t, value, code, reterr);
        if (code != 0)
                return explain(t, mode, code, reterr);
        return vgpud_error_setf(reterr, VGPUD_ERROR_FAILED,
                                "NVIDIA's library reported success, but mode \"%s\" of GPU %s is %s", mode,
                                t->facts->name,
                                now < 0             ? "not known now"
                                : now == (int)value ? "still to change with its next reset"
                                : now               ? "still on"
                                                    : "still off");
}

static int set_mode(VgpuTarget *t, const char *mode, bool value, VgpudError *reterr)
{
        g_autofree char *verb = g_strconcat("set-", mode, NULL), *output = NULL;
        const char *const arguments[] = { verb, t->facts->name, value ? "1" : "0", NULL };
        int r;

        if (!is_there(t))
                return explain(t, mode, VGPUD_NVML_NO_LIBRARY, reterr);
        r = vgpu_io_run(t->io, VGPU_PROGRAM_NVML, arguments, &output);
        if (r == NVML_NO_PERMISSION) {
                r = set_by_unit(t, mode, value);
                if (r < 0) /* no systemctl: what was said first is the reason */
                        r = NVML_NO_PERMISSION;
        }
        /* Where the program did not come to its end nobody knows. */
        if (r == 0 || is_taken(r) || r > VGPUD_NVML_NO_LIBRARY)
                return verify(t, mode, value, r, reterr);
        return explain(t, mode, r, reterr);
}

/* What has to go first */

/* What the function carries, in words: NULL when nothing. False in *ret_ready when it can carry none. */
static int read_load(VgpuIo *io, const VgpuVf *vf, char **ret, bool *ret_ready)
{
        g_auto(GStrv) names = NULL;
        uint32_t type = 0;
        int r = nvidia_vf_read_type(io, vf->path, &type);

        *ret = NULL;
        *ret_ready = r >= 0;
        if (r >= 0 && type != 0)
                *ret = g_strdup_printf("%s (nvidia-%" PRIu32 ")", vf->name, type);
        if (r != -ENOENT)
                return r == -ENODEV ? 0 : r;
        /* With mediated devices. */
        r = vgpu_io_list(io, vf->path, &names);
        if (r < 0)
                return r == -ENOENT || r == -ENODEV ? 0 : r;
        for (char **n = names; *n; n++) {
                *ret_ready |= strcmp(*n, "mdev_supported_types") == 0;
                if (!*ret && uuid_is_valid(*n))
                        *ret = g_strdup(*n);
        }
        return 0;
}

/* vGPUs that are there are named in the error. */
static int refuse_types(VgpuTarget *t, const char *mode, VgpudError *reterr)
{
        g_autoptr(GString) names = g_string_new(NULL);
        guint n = 0, ready = 0;

        for (guint i = 0; i < t->facts->vfs->len; i++) {
                const VgpuVf *vf = t->facts->vfs->pdata[i];
                g_autofree char *load = NULL;
                bool is_ready;
                int r = read_load(t->io, vf, &load, &is_ready);

                if (r < 0)
                        return explain_unreadable(vf->path, r, reterr);
                ready += is_ready;
                if (load && n++ < NAMES_IN_MESSAGE_MAX)
                        g_string_append_printf(names, "%s%s", n > 1 ? ", " : "", load);
        }
        if (n > 0)
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_IN_USE,
                                "mode \"%s\" of GPU %s cannot change while it has vGPUs: destroy %s%s first",
                                mode, t->facts->name, names->str,
                                n > NAMES_IN_MESSAGE_MAX ? " and others" : "");
        if (ready == 0)
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_UNSUPPORTED,
                                "mode \"%s\" of GPU %s is one of its virtual functions: enable them first "
                                "(vgpuctl enable-vfs %s)",
                                mode, t->facts->name, t->facts->name);
        return 0;
}

static int refuse_vfs(VgpuTarget *t, const char *mode, VgpudError *reterr)
{
        g_auto(GStrv) names = NULL;
        guint n = 0;
        int r = vgpu_io_list(t->io, t->facts->path, &names);

        if (r < 0)
                return explain_gpu_gone(t->facts, r, reterr);
        for (char **name = names; *name; name++)
                n += g_str_has_prefix(*name, "virtfn");
        if (n > 0)
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_IN_USE,
                                "mode \"%s\" of GPU %s cannot change while its virtual functions are enabled "
                                "(%u): disable them first (vgpuctl disable-vfs), set the mode, and enable them "
                                "again",
                                mode, t->facts->name, n);
        return 0;
}

int nvidia_configure(VgpuTarget *t, const char *mode, const char *value, VgpudError *reterr)
{
        bool on = strcmp(value, "yes") == 0, is_mig = strcmp(mode, "mig") == 0;
        _cleanup_(nvml_answer_freep) NvmlAnswer *before = NULL;
        int r;

        if (!on && strcmp(value, "no") != 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "mode \"%s\" is yes or no, not \"%s\"",
                                        mode, value);
        if (!is_mig && strcmp(mode, "heterogeneous") != 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "GPU %s has no mode \"%s\"",
                                        t->facts->name, mode);
        before = nvml_query(t);
        if (is_set(before, mode, on))
                return 0;
        r = is_mig ? refuse_vfs(t, mode, reterr) : refuse_types(t, mode, reterr);
        return r < 0 ? r : set_mode(t, mode, on, reterr);
}
