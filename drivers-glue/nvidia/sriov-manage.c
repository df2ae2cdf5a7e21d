/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The driver nvidia enables VFs only through NVIDIA's sriov-manage, not through sriov_numvfs. The script runs
 * in its own unit (systemd/vgpud-sriov@.service.in), because it writes to more files than vgpud may, and must
 * not end with vgpud. */

#include "drivers-glue/nvidia/sriov-manage.h"

#include <string.h>

#include "drivers-glue/nvidia/nvml.h"
#include "drivers-glue/vf/bind.h"

/* The script is tried again, because a program that opens the GPU for a moment makes it fail. */
#define TRIES_MAX 5
/* The wait for the VFs has a pause after each try but the last: ten pauses at most. */
#define READY_TRIES_MAX 11
#define PAUSE_USEC      USEC_PER_SEC
#define LOG_LINES       "12"
#define LOG_LENGTH_MAX  600
/* Exit status of vgpud-sriov if sriov-manage is not installed. */
#define NOT_INSTALLED "69"

typedef struct Helper {
        VgpuTarget *t;
        bool enable;
        char *unit; /* owned */
} Helper;

/* A PCI address needs no escaping in the name of a unit. */
static char *manage_unit_name(const char *address, bool enable)
{
        return g_strdup_printf("vgpud-sriov@%s-%s.service", enable ? "enable" : "disable", address);
}

/* A property of the unit, from `systemctl show`; never NULL. */
static char *manage_get_property(const Helper *h, const char *name)
{
        g_autofree char *output = NULL, *option = g_strconcat("--property=", name, NULL);
        const char *const arguments[] = { "show", "--value", option, h->unit, NULL };

        if (vgpu_io_run(h->t->io, VGPU_PROGRAM_SYSTEMCTL, arguments, &output) != 0)
                return g_strdup("");

        return g_strdup(g_strstrip(output));
}

/* True for systemd's own messages about the unit, which give no reason. */
static bool manage_line_is_systemds(const Helper *h, const char *line)
{
        return strstr(line, h->unit) || g_str_has_prefix(line, "Starting ") ||
               g_str_has_prefix(line, "Stopped ") || g_str_has_prefix(line, "Failed to start ") ||
               g_str_has_prefix(line, "Finished ");
}

/* The last lines of the unit in the journal, joined: the part of `systemctl status` below the empty line. NULL
 * if there are none. */
static char *manage_read_log(const Helper *h)
{
        const char *const arguments[] = {
                "status", "--no-pager", "--full", "--output=cat", ("--lines=" LOG_LINES), h->unit, NULL
        };
        g_autofree char *output = NULL;
        g_auto(GStrv) lines = NULL;
        g_autoptr(GString) text = g_string_new(NULL);
        char **l;

        if (vgpu_io_run(h->t->io, VGPU_PROGRAM_SYSTEMCTL, arguments, &output) < 0)
                return NULL;

        lines = g_strsplit(output, "\n", -1);
        for (l = lines; *l && **l; l++)
                ;
        for (; *l; l++) {
                g_autofree char *line = g_utf8_make_valid(g_strstrip(*l), -1);

                if (!line[0] || manage_line_is_systemds(h, line) || text->len + strlen(line) > LOG_LENGTH_MAX)
                        continue;

                for (char *c = line; *c; c++)
                        if (g_ascii_iscntrl(*c))
                                *c = ' ';

                g_string_append_printf(text, "%s%s", text->len > 0 ? "; " : "", line);
        }

        return text->len > 0 ? g_strdup(text->str) : NULL;
}

static int manage_explain_missing(const Helper *h, const char *what, VgpudError *reterr)
{
        int r = vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED,
                                 "the VFs of GPU %s need NVIDIA's sriov-manage, but %s", h->t->facts->name,
                                 what);

        vgpud_error_hintf(reterr, VGPUD_HINT_LOAD_DRIVER,
                          "install NVIDIA's host driver for vGPU (the vGPU manager), which has sriov-manage");

        return r;
}

static int manage_explain_failure(const Helper *h, VgpudError *reterr)
{
        g_autofree char *log = manage_read_log(h), *result = manage_get_property(h, "Result"), *holder = NULL;
        _cleanup_(nvml_answer_freep) NvmlAnswer *a = nvml_query(h->t);
        int r;

        holder = nvidia_find_holder(h->t, a ? a->minor : -1);
        r = vgpud_error_setf(reterr, VGPUD_ERROR_FAILED,
                             "NVIDIA's sriov-manage could not %s the VFs of GPU %s (result \"%s\")%s%s%s%s",
                             h->enable ? "enable" : "disable", h->t->facts->name,
                             result[0] ? result : "unknown", log ? ": " : "", log ? log : "",
                             holder ? "; " : "", holder ? holder : "");
        vgpud_error_hintf(
                        reterr, VGPUD_HINT_STOP_USER,
                        "stop nvidia-persistenced, DCGM (nvidia-dcgm), exporters and other users of the GPU%s, and retry; the whole output is in journalctl -u '%s'",
                        nvidia_drm_is_loaded(h->t) ? " (display servers, the module nvidia_drm)" : "", h->unit);

        return r;
}

static int manage_run(const Helper *h, VgpudError *reterr)
{
        const char *const arguments[] = { "start", "--quiet", "--no-ask-password", h->unit, NULL };

        for (unsigned tries = 1;; tries++) {
                g_autofree char *output = NULL, *state = NULL, *status = NULL;
                int r = vgpu_io_run(h->t->io, VGPU_PROGRAM_SYSTEMCTL, arguments, &output);

                if (r == 0)
                        return 0;
                if (r == -ENOENT)
                        return manage_explain_missing(h, "systemctl is not installed", reterr);
                if (r < 0)
                        return vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r,
                                                      "systemctl cannot be run: %s", g_strerror(-r));

                state = manage_get_property(h, "LoadState");
                if (strcmp(state, "not-found") == 0)
                        return manage_explain_missing(h, "vgpud-sriov@.service is not installed", reterr);

                status = manage_get_property(h, "ExecMainStatus");
                if (strcmp(status, NOT_INSTALLED) == 0)
                        return manage_explain_missing(h, "/usr/lib/nvidia/sriov-manage is not installed",
                                                      reterr);

                if (tries == TRIES_MAX)
                        return manage_explain_failure(h, reterr);

                vgpu_io_pause(h->t->io, PAUSE_USEC);
        }
}

static bool manage_names_contain(char **names, const char *name)
{
        return g_strv_contains((const char *const *)names, name);
}

/* The vGPU manager registers a new VF some time after the driver is bound, and no event reports that. If the
 * wait is too short, the next scan reports the VFs as not ready. */
static void manage_wait_for_vfs(VgpuTarget *t)
{
        for (unsigned tries = 1; tries < READY_TRIES_MAX; tries++) {
                g_autofree char *link = g_strconcat(t->facts->path, "/virtfn0", NULL), *path = NULL,
                                *driver = NULL;
                g_auto(GStrv) names = NULL;

                if (vgpu_io_resolve_link(t->io, link, &path) < 0 || vfs_read_driver(t->io, path, &driver) < 0 ||
                    g_strcmp0(driver, "nvidia") != 0 || vgpu_io_list(t->io, path, &names) < 0 ||
                    manage_names_contain(names, "nvidia") ||
                    manage_names_contain(names, "mdev_supported_types"))
                        return;

                vgpu_io_pause(t->io, PAUSE_USEC);
        }
}

int nvidia_run_sriov_manage(VgpuTarget *t, bool enable, VgpudError *reterr)
{
        Helper h = { .t = t, .enable = enable };
        PciAddr address;
        int r;

        r = pci_addr_parse(t->facts->name, &address);
        if (r < 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED,
                                        "%s is not the address of a PCI function", t->facts->name);

        h.unit = manage_unit_name(t->facts->name, enable);
        r = manage_run(&h, reterr);
        g_free(h.unit);

        if (r >= 0 && enable)
                manage_wait_for_vfs(t);

        return r;
}
