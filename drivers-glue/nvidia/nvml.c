/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/nvidia/nvml.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "base/parse-util.h"
#include "base/text.h"
#include "base/uuid.h"
#include "drivers-glue/explain.h"
#include "drivers-glue/nvidia/vf.h"

/* Codes of the library (nvmlReturn_t) with a meaning for vgpud. */
#define NVML_NOT_SUPPORTED      3
#define NVML_NO_PERMISSION      4
#define NVML_DRIVER_NOT_LOADED  9
#define NVML_FUNCTION_NOT_FOUND 13
#define NVML_GPU_IS_LOST        15
#define NVML_RESET_REQUIRED     16
#define NVML_IN_USE             19

/* Stands for an end by a signal: a status above all exit statuses of vgpud-nvml. */
#define PROGRAM_FAILED 255

#define NAMES_IN_MESSAGE_MAX 8

static bool nvml_is_available(VgpuTarget *t)
{
        return t->facts->is_pci && vgpu_io_node_exists(t->io, "nvidiactl") == 1;
}

NvmlAnswer *nvml_query(VgpuTarget *t)
{
        const char *const arguments[] = { "query", t->facts->name, NULL };
        g_autofree char *output = NULL;
        NvmlAnswer *a = NULL;

        if (!nvml_is_available(t) || vgpu_io_run(t->io, VGPU_PROGRAM_NVML, arguments, &output) != 0 ||
            nvml_answer_parse(output, &a) < 0)
                return NULL;

        return a;
}

/* ---- users of the GPU ---- */

bool nvidia_drm_is_loaded(VgpuTarget *t)
{
        return vgpu_io_exists(t->io, "module/nvidia_drm");
}

static char *nvml_find_holder_of_node(VgpuIo *io, const char *node)
{
        g_autofree char *command = NULL;
        int pid;

        if (vgpu_io_node_exists(io, node) != 1 || vgpu_io_find_holder(io, node, &pid, &command) <= 0)
                return NULL;

        return g_strdup_printf("process %d (%s) has /dev/%s open", pid, TEXT_QUOTE(command), node);
}

static char *nvml_find_holder_of_display(VgpuTarget *t)
{
        g_autofree char *folder = g_strconcat(t->facts->path, "/drm", NULL);
        g_auto(GStrv) names = NULL;

        if (vgpu_io_list(t->io, folder, &names) < 0)
                return NULL;

        for (char **n = names; *n; n++) {
                g_autofree char *node = g_strconcat("dri/", *n, NULL);
                char *holder = nvml_find_holder_of_node(t->io, node);

                if (holder)
                        return holder;
        }

        return NULL;
}

char *nvidia_find_holder(VgpuTarget *t, int minor)
{
        g_autofree char *node = g_strdup_printf("nvidia%d", minor);
        char *holder = minor >= 0 ? nvml_find_holder_of_node(t->io, node) : NULL;

        g_assert(minor >= -1);

        if (!holder)
                holder = nvml_find_holder_of_display(t);
        if (!holder && nvidia_drm_is_loaded(t))
                holder = g_strdup("module nvidia_drm uses the GPU");

        return holder;
}

static void nvml_hint_holder(VgpuTarget *t, VgpudError *reterr)
{
        if (nvidia_drm_is_loaded(t))
                vgpud_error_hintf(
                                reterr, VGPUD_HINT_STOP_USER,
                                "stop display servers, nvidia-persistenced, DCGM (nvidia-dcgm), exporters and compute jobs on the GPU, unload nvidia_drm (rmmod nvidia_drm), retry, and load nvidia_drm again");
        else
                vgpud_error_hintf(
                                reterr, VGPUD_HINT_STOP_USER,
                                "stop nvidia-persistenced, DCGM (nvidia-dcgm), exporters and compute jobs on the GPU, and retry");
}

/* ---- modes ---- */

void nvml_add_modes(const NvmlAnswer *a, GpuSnapshot *s)
{
        static const char *const choices[] = { "yes", "no", NULL };
        const char *help;

        g_assert(a->heterogeneous >= -1 && a->heterogeneous <= 1);
        g_assert(a->mig >= -1 && a->mig <= 1);
        g_assert(a->mig_pending >= -1 && a->mig_pending <= 1);
        g_assert(s->modes->len == 0);

        if (a->heterogeneous >= 0)
                g_ptr_array_add(s->modes,
                                vgpu_mode_new("heterogeneous", a->heterogeneous ? "yes" : "no", choices,
                                              "vGPUs of different framebuffer sizes on one GPU; set the mode after enabling the VFs and before creating the first vGPU; disabling the VFs resets the mode"));
        else if (a->mig == 1)
                g_ptr_array_add(s->modes,
                                vgpu_mode_new("heterogeneous", "no", NULL,
                                              "vGPUs of different framebuffer sizes on one GPU; not available in MIG mode"));

        if (a->mig < 0)
                return;

        help = a->mig_pending >= 0 && a->mig_pending != a->mig
                               ? "the GPU is divided into slices (MIG); the mode changes at the next reset of the GPU"
                               : "the GPU is divided into slices (MIG); set the mode before enabling the VFs";
        g_ptr_array_add(s->modes, vgpu_mode_new("mig", a->mig ? "yes" : "no", choices, help));
}

/* A numeric property of the unit, from `systemctl show`; 0 if unknown. */
static uint32_t nvml_get_unit_number(VgpuTarget *t, const char *unit, const char *option)
{
        const char *const arguments[] = { "show", "--value", option, unit, NULL };
        g_autofree char *output = NULL;
        uint32_t n;

        if (vgpu_io_run(t->io, VGPU_PROGRAM_SYSTEMCTL, arguments, &output) != 0 ||
            parse_u32(g_strstrip(output), 10, &n) < 0)
                return 0;

        return n;
}

/* The library changes a mode only with CAP_SYS_ADMIN. vgpud lacks this right, so systemd runs the same program
 * in vgpud-nvml@.service. Returns the exit status of the program, or a negative errno. */
static int nvml_set_by_unit(VgpuTarget *t, const char *mode, bool value)
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

        code = nvml_get_unit_number(t, unit, "--property=ExecMainCode");
        if (code == 0)
                return NVML_NO_PERMISSION;
        /* The program died of a signal: ExecMainStatus is the number of the signal. */
        if (code != CLD_EXITED)
                return PROGRAM_FAILED;

        status = nvml_get_unit_number(t, unit, "--property=ExecMainStatus");

        return status == 0 ? NVML_NO_PERMISSION : (int)MIN(status, PROGRAM_FAILED);
}

/* " (NVML error 19)"; "" if the code is not one of the library. */
static char *nvml_format_code(int code)
{
        return code > 0 && code < VGPUD_NVML_OTHER_CODE ? g_strdup_printf(" (NVML error %d)", code)
                                                        : g_strdup("");
}

/* True if the library accepted the mode, which changes at the next reset (MIG mode only). */
static bool nvml_status_is_pending(int status)
{
        return status >= VGPUD_NVML_PENDING && status < VGPUD_NVML_NO_LIBRARY;
}

/* "; process 1234 (Xorg) has /dev/nvidia0 open"; "" if the user of the GPU is unknown. */
static char *nvml_name_holder(VgpuTarget *t)
{
        _cleanup_(nvml_answer_freep) NvmlAnswer *a = nvml_query(t);
        g_autofree char *holder = nvidia_find_holder(t, a ? a->minor : -1);

        return holder ? g_strconcat("; ", holder, NULL) : g_strdup("");
}

static int nvml_explain_in_use(VgpuTarget *t, const char *mode, int code, VgpudError *reterr)
{
        g_autofree char *holder = nvml_name_holder(t);
        int r = vgpud_error_setf(
                        reterr, VGPUD_ERROR_IN_USE,
                        "mode \"%s\" of GPU %s cannot be set while another program has the GPU open (NVML error %d)%s",
                        mode, t->facts->name, code, holder);

        nvml_hint_holder(t, reterr);

        return r;
}

/* Explains an error whose reason is in the journal. */
static int nvml_explain_with_journal(const char *gpu, const char *mode, int code, VgpudError *reterr)
{
        g_autofree char *number = nvml_format_code(code);
        int r;

        g_assert(code > 0);

        if (code > VGPUD_NVML_NO_LIBRARY)
                r = vgpud_error_setf(
                                reterr, VGPUD_ERROR_FAILED,
                                "vgpud-nvml ended before it reported a result, and mode \"%s\" of GPU %s is not set",
                                mode, gpu);
        else if (code == NVML_NO_PERMISSION)
                r = vgpud_error_setf(
                                reterr, VGPUD_ERROR_FAILED,
                                "NVIDIA's library denied vgpud permission to set mode \"%s\" of GPU %s (NVML error %d), and vgpud-nvml@.service failed too",
                                mode, gpu, code);
        else if (code == NVML_DRIVER_NOT_LOADED)
                r = vgpud_error_setf(reterr, VGPUD_ERROR_FAILED,
                                     "NVIDIA's library cannot reach the driver of GPU %s (NVML error %d)", gpu,
                                     code);
        else
                r = vgpud_error_setf(reterr, VGPUD_ERROR_FAILED,
                                     "NVIDIA's library refused to set mode \"%s\" of GPU %s%s", mode, gpu,
                                     number);

        vgpud_error_hintf(
                        reterr, VGPUD_HINT_SEE_JOURNAL,
                        "look for messages of vgpud-nvml in the journal of vgpud.service and vgpud-nvml@.service");

        return r;
}

static int nvml_explain(VgpuTarget *t, const char *mode, int code, VgpudError *reterr)
{
        const char *gpu = t->facts->name;
        int r;

        g_assert(code != 0);

        switch (code) {
        case -ENOENT:
        case VGPUD_NVML_NO_LIBRARY:
                r = vgpud_error_setf(
                                reterr, VGPUD_ERROR_UNSUPPORTED,
                                "mode \"%s\" of GPU %s needs NVIDIA's library libnvidia-ml.so.1, which is not installed",
                                mode, gpu);
                vgpud_error_hintf(reterr, VGPUD_HINT_LOAD_DRIVER,
                                  "install NVIDIA's host driver for vGPU, which has the library");
                return r;
        case NVML_NOT_SUPPORTED:
        case NVML_FUNCTION_NOT_FOUND:
                return vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED,
                                        "GPU %s or its driver has no mode \"%s\" (NVML error %d)", gpu, mode,
                                        code);
        case NVML_IN_USE:
                return nvml_explain_in_use(t, mode, code, reterr);
        case NVML_GPU_IS_LOST:
                return vgpud_error_setf(reterr, VGPUD_ERROR_GPU_GONE,
                                        "GPU %s no longer answers NVIDIA's driver (NVML error %d)", gpu, code);
        case NVML_RESET_REQUIRED:
                r = vgpud_error_setf(reterr, VGPUD_ERROR_FAILED,
                                     "GPU %s must be reset before mode \"%s\" can change (NVML error %d)", gpu,
                                     mode, code);
                vgpud_error_hintf(reterr, VGPUD_HINT_RESET_GPU,
                                  "stop all users of the GPU and run nvidia-smi --gpu-reset -i %s, or reboot",
                                  gpu);
                return r;
        default:
                if (code < 0)
                        return vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, code,
                                                      "vgpud-nvml cannot be run: %s", g_strerror(-code));

                return nvml_explain_with_journal(gpu, mode, code, reterr);
        }
}

/* Explains that a change of MIG mode is pending. The mode has not changed yet, so setting the old value again
 * cancels the change without a reset. */
static int nvml_explain_pending(VgpuTarget *t, bool value, int code, VgpudError *reterr)
{
        g_autofree char *number = nvml_format_code(code), *holder = NULL;
        const char *gpu = t->facts->name;
        int r;

        holder = code == NVML_IN_USE ? nvml_name_holder(t) : g_strdup("");
        r = vgpud_error_setf(reterr, code == NVML_IN_USE ? VGPUD_ERROR_IN_USE : VGPUD_ERROR_FAILED,
                             "mode \"mig\" of GPU %s turns %s only at the next reset of the GPU%s%s", gpu,
                             value ? "on" : "off", number, holder);
        vgpud_error_hintf(
                        reterr, VGPUD_HINT_RESET_GPU,
                        "stop all users of the GPU%s and run nvidia-smi --gpu-reset -i %s, or reboot; vgpuctl configure %s mig %s cancels the change",
                        code == NVML_IN_USE ? " (nvidia-persistenced, DCGM, exporters, the module nvidia_drm)"
                                            : "",
                        gpu, gpu, value ? "no" : "yes");

        return r;
}

/* True if the mode is set now and after the next reset of the GPU. */
static bool nvml_mode_is_set(const NvmlAnswer *a, const char *mode, bool value)
{
        if (!a)
                return false;

        return strcmp(mode, "mig") == 0
                               ? a->mig == (int)value && (a->mig_pending < 0 || a->mig_pending == (int)value)
                               : a->heterogeneous == (int)value;
}

/* The state of the GPU shows whether the mode is set. The exit status of vgpud-nvml only explains a failure. */
static int nvml_verify_mode(VgpuTarget *t, const char *mode, bool value, int status, VgpudError *reterr)
{
        _cleanup_(nvml_answer_freep) NvmlAnswer *a = nvml_query(t);
        bool mig = strcmp(mode, "mig") == 0, is_pending = nvml_status_is_pending(status);
        int now = !a ? -1 : mig ? a->mig : a->heterogeneous;
        int code = is_pending ? status - VGPUD_NVML_PENDING : status;

        g_assert(status >= 0);

        if (nvml_mode_is_set(a, mode, value))
                return 0;

        if (mig && a && a->mig_pending >= 0)
                is_pending = a->mig_pending == (int)value;
        if (is_pending)
                return nvml_explain_pending(t, value, code, reterr);

        if (code != 0)
                return nvml_explain(t, mode, code, reterr);

        return vgpud_error_setf(reterr, VGPUD_ERROR_FAILED,
                                "NVIDIA's library reported success, but mode \"%s\" of GPU %s is %s", mode,
                                t->facts->name,
                                now < 0             ? "unknown"
                                : now == (int)value ? value ? "still due to turn off at the next reset"
                                                            : "still due to turn on at the next reset"
                                : now               ? "still on"
                                                    : "still off");
}

static int nvml_set_mode(VgpuTarget *t, const char *mode, bool value, VgpudError *reterr)
{
        g_autofree char *verb = g_strconcat("set-", mode, NULL), *output = NULL;
        const char *const arguments[] = { verb, t->facts->name, value ? "1" : "0", NULL };
        int r;

        if (!nvml_is_available(t))
                return nvml_explain(t, mode, VGPUD_NVML_NO_LIBRARY, reterr);

        r = vgpu_io_run(t->io, VGPU_PROGRAM_NVML, arguments, &output);
        if (r == NVML_NO_PERMISSION) {
                r = nvml_set_by_unit(t, mode, value);
                if (r < 0) /* no systemctl: report the first error */
                        r = NVML_NO_PERMISSION;
        }

        /* Also verify after a crash of the program, because the result is unknown then. */
        if (r == 0 || nvml_status_is_pending(r) || r > VGPUD_NVML_NO_LIBRARY)
                return nvml_verify_mode(t, mode, value, r, reterr);

        return nvml_explain(t, mode, r, reterr);
}

/* ---- checks before a change ---- */

/* The vGPU on the VF, as text; NULL if none. *ret_ready is false if the VF cannot carry any. */
static int nvml_read_vf_load(VgpuIo *io, const VgpuVf *vf, char **ret, bool *ret_ready)
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

        /* VFs with mediated devices have no folder nvidia/. */
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

/* Refuses a change of mode while the GPU has vGPUs (the hint names them), or while no VF can carry a vGPU. */
static int nvml_refuse_vgpus(VgpuTarget *t, const char *mode, VgpudError *reterr)
{
        g_autoptr(GString) names = g_string_new(NULL);
        guint n = 0, ready = 0;

        for (guint i = 0; i < t->facts->vfs->len; i++) {
                const VgpuVf *vf = t->facts->vfs->pdata[i];
                g_autofree char *load = NULL;
                bool is_ready;
                int r = nvml_read_vf_load(t->io, vf, &load, &is_ready);

                if (r < 0)
                        return explain_unreadable(vf->path, r, reterr);

                ready += is_ready;
                if (load && n++ < NAMES_IN_MESSAGE_MAX)
                        g_string_append_printf(names, "%s%s", n > 1 ? ", " : "", load);
        }

        if (n > 0) {
                int r = vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE,
                                         "mode \"%s\" of GPU %s cannot change while the GPU has vGPUs", mode,
                                         t->facts->name);

                vgpud_error_hintf(reterr, VGPUD_HINT_DESTROY_INSTANCE, "destroy %s%s first", names->str,
                                  n > NAMES_IN_MESSAGE_MAX ? " and others" : "");

                return r;
        }

        if (ready == 0) {
                int r = vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED,
                                         "mode \"%s\" of GPU %s exists only while its VFs are enabled", mode,
                                         t->facts->name);

                vgpud_error_hintf(reterr, VGPUD_HINT_ENABLE_VFS, "run vgpuctl enable-vfs %s", t->facts->name);

                return r;
        }

        return 0;
}

static int nvml_refuse_vfs(VgpuTarget *t, const char *mode, VgpudError *reterr)
{
        g_auto(GStrv) names = NULL;
        guint n = 0;
        int r = vgpu_io_list(t->io, t->facts->path, &names);

        if (r < 0)
                return explain_gpu_gone(t->facts, r, reterr);

        for (char **name = names; *name; name++)
                n += g_str_has_prefix(*name, "virtfn");
        if (n == 0)
                return 0;

        r = vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE,
                             "mode \"%s\" of GPU %s cannot change while its VFs are enabled (%u)", mode,
                             t->facts->name, n);
        vgpud_error_hintf(reterr, VGPUD_HINT_DISABLE_VFS,
                          "run vgpuctl disable-vfs %s, set the mode, and enable the VFs again", t->facts->name);

        return r;
}

int nvidia_configure(VgpuTarget *t, const char *mode, const char *value, VgpudError *reterr)
{
        bool on = strcmp(value, "yes") == 0, is_mig = strcmp(mode, "mig") == 0;
        _cleanup_(nvml_answer_freep) NvmlAnswer *before = NULL;
        int r;

        if (!on && strcmp(value, "no") != 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "mode \"%s\" is yes or no, not \"%s\"",
                                        TEXT_QUOTE(mode), TEXT_QUOTE(value));

        if (!is_mig && strcmp(mode, "heterogeneous") != 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "GPU %s has no mode \"%s\"",
                                        t->facts->name, TEXT_QUOTE(mode));

        before = nvml_query(t);
        if (nvml_mode_is_set(before, mode, on))
                return 0;

        r = is_mig ? nvml_refuse_vfs(t, mode, reterr) : nvml_refuse_vgpus(t, mode, reterr);

        return r < 0 ? r : nvml_set_mode(t, mode, on, reterr);
}
