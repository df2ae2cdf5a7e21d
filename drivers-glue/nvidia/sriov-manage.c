/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* NVIDIA's sriov-manage, which is the only way to the virtual functions of a GPU whose driver is nvidia: that
 * driver has none by sriov_numvfs. It runs in a unit of its own (systemd/vgpud-sriov@.service.in): it writes to
 * more of the system than vgpud may, and goes on when vgpud is stopped. */

#include "drivers-glue/nvidia/sriov-manage.h"

#include <string.h>

#include "drivers-glue/vf/bind.h"

/* Whoever has the GPU open for a moment must not make it fail. */
#define TRIES_MAX       5
#define READY_TRIES_MAX 11
#define PAUSE_USEC      USEC_PER_SEC
#define LOG_LINES       "12"
#define LOG_LENGTH_MAX  600
/* Exit status of vgpud-sriov where there is no sriov-manage. */
#define NOT_INSTALLED "69"

typedef struct Helper {
        VgpuTarget *t;
        bool enable;
        char *unit; /* owned */
} Helper;

/* The name is that of a PCI function: of what is in it only the slash has another form in the name of a unit.
 */
static char *unit_name(const char *address, bool enable)
{
        return g_strdup_printf("vgpud-sriov@%s-%s.service", enable ? "enable" : "disable", address);
}

/* A property of the unit, as `systemctl show` prints it; never NULL. */
static char *get_property(const Helper *h, const char *name)
{
        g_autofree char *output = NULL, *option = g_strconcat("--property=", name, NULL);
        const char *const arguments[] = { "show", "--value", option, h->unit, NULL };

        if (vgpu_io_run(h->t->io, VGPU_PROGRAM_SYSTEMCTL, arguments, &output) != 0)
                return g_strdup("");
        return g_strdup(g_strstrip(output));
}

/* What systemd itself says of the unit is known already. */
static bool is_of_systemd(const Helper *h, const char *line)
{
        return strstr(line, h->unit) || g_str_has_prefix(line, "Starting ") ||
               g_str_has_prefix(line, "Stopped ") || g_str_has_prefix(line, "Failed to start ") ||
               g_str_has_prefix(line, "Finished ");
}

/* The last lines that the unit left in the journal, in one: what `systemctl status` prints below the empty
 * line. NULL when there is nothing to be had. */
static char *read_log(const Helper *h)
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
                if (!line[0] || is_of_systemd(h, line) || text->len + strlen(line) > LOG_LENGTH_MAX)
                        continue;
                for (char *c = line; *c; c++)
                        if (g_ascii_iscntrl(*c))
                                *c = ' ';
                g_string_append_printf(text, "%s%s", text->len > 0 ? "; " : "", line);
        }
        return text->len > 0 ? g_strdup(text->str) : NULL;
}

static int not_installed(const Helper *h, const char *what, VgpudError *reterr)
{
        return vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED,
                                "the virtual functions of GPU %s are managed by NVIDIA's sriov-manage, and %s; "
                                "it comes with the host driver of NVIDIA vGPU (the vGPU manager)",
                                h->t->facts->name, what);
}

static int explain(const Helper *h, VgpudError *reterr)
{
        g_autofree char *log = read_log(h), *result = get_property(h, "Result");

        return vgpud_error_setf(
                        reterr, VGPUD_ERROR_FAILED,
                        "NVIDIA's sriov-manage could not %s the virtual functions of GPU %s (%s, result \"%s\")"
                        "%s%s; it needs the GPU for itself: stop nvidia-persistenced, DCGM (nvidia-dcgm), "
                        "exporters and whatever else has the GPU open, and try again; journalctl -u '%s' has "
                        "all of it",
                        h->enable ? "enable" : "disable", h->t->facts->name, h->unit,
                        result[0] ? result : "unknown", log ? ": " : "", log ? log : "", h->unit);
}

static int run(const Helper *h, VgpudError *reterr)
{
        const char *const arguments[] = { "start", "--quiet", "--no-ask-password", h->unit, NULL };

        for (unsigned tries = 1;; tries++) {
                g_autofree char *output = NULL, *state = NULL, *status = NULL;
                int r = vgpu_io_run(h->t->io, VGPU_PROGRAM_SYSTEMCTL, arguments, &output);

                if (r == 0)
                        return 0;
                if (r == -ENOENT)
                        return not_installed(h, "systemctl, which would run it, is not there", reterr);
                if (r < 0)
                        return vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r,
                                                      "systemctl cannot be run: %s", g_strerror(-r));
                state = get_property(h, "LoadState");
                if (strcmp(state, "not-found") == 0)
                        return not_installed(
                                        h,
                                        "the unit vgpud-sriov@.service, which would run it, is not installed",
                                        reterr);
                status = get_property(h, "ExecMainStatus");
                if (strcmp(status, NOT_INSTALLED) == 0)
                        return not_installed(h, "/usr/lib/nvidia/sriov-manage is not installed", reterr);
                if (tries == TRIES_MAX)
                        return explain(h, reterr);
                vgpu_io_pause(h->t->io, PAUSE_USEC);
        }
}

static bool contains(char **names, const char *name)
{
        return g_strv_contains((const char *const *)names, name);
}

/* The vGPU manager takes the new functions a moment after their driver, and tells nobody. Where it does not,
 * the next scan says so. */
static void wait_for_manager(VgpuTarget *t)
{
        for (unsigned tries = 1; tries < READY_TRIES_MAX; tries++) {
                g_autofree char *link = g_strconcat(t->facts->path, "/virtfn0", NULL), *path = NULL,
                                *driver = NULL;
                g_auto(GStrv) names = NULL;

                if (vgpu_io_resolve_link(t->io, link, &path) < 0 || vfs_read_driver(t->io, path, &driver) < 0 ||
                    g_strcmp0(driver, "nvidia") != 0 || vgpu_io_list(t->io, path, &names) < 0 ||
                    contains(names, "nvidia") || contains(names, "mdev_supported_types"))
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
        h.unit = unit_name(t->facts->name, enable);
        r = run(&h, reterr);
        g_free(h.unit);
        if (r >= 0 && enable)
                wait_for_manager(t);
        return r;
}
