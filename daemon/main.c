/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vgpud: arguments, signals, set-up, event loop, shutdown. */

#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "base/fs-util.h"
#include "base/log-ids.h"
#include "base/log.h"
#include "daemon/manager.h"
#include "daemon/model/model.h"
#include "dbus/bus-names.h"
#include "dbus/bus.h"

#define DEFAULT_SYSTEM_BUS_ADDRESS "unix:path=/run/dbus/system_bus_socket"

/* Time that start and stop may take in addition to [start] timeout and [stop] timeout. */
#define EXTRA_USEC (30 * USEC_PER_SEC)

typedef struct Daemon {
        sd_event *event;
        Config *config;
        Manager *manager;
        sd_bus *connection;
        Bus *bus;
        int lock_fd;
        VgpuIoSysfsConfig io; /* keep_fd is set per lane */
        sd_event_source *exit_source;
        bool stopped;
} Daemon;

static void main_print_help(void)
{
        printf("%s [OPTION...]\n\n"
               "Manage the virtual GPUs of this host.\n\n"
               "  -h --help                     Show this text\n"
               "     --version                  Show the version\n"
               "     --config-directory=PATH    Read vgpud.conf and vgpud.conf.d/ there (%s)\n"
               "     --runtime-directory=PATH   Keep run-time state there (%s)\n"
               "     --state-directory=PATH     Keep lasting state there (%s)\n"
               "     --writer=PATH              The program that does guarded writes\n"
               "                                (%s/vgpud-write)\n"
               "     --nvml=PATH                The program that asks NVIDIA's library (%s/vgpud-nvml)\n"
               "     --systemctl=PATH           The program systemctl (/usr/bin/systemctl)\n"
               "     --modules=PATH             The running kernel's modules (/lib/modules/RELEASE)\n"
               "     --definitions=PATH         The folder of etc/libvirt/ and etc/mdevctl.d/ (/)\n"
               "     --debug                    Log every write to the kernel\n\n"
               "See vgpud(8), vgpuctl(1) and org.vgpud1(5). Not to be confused with NVIDIA's nvidia-vgpud.\n",
               g_get_prgname(), VGPUD_CONFIG_DIR, VGPUD_RUNTIME_DIR, VGPUD_STATE_DIR, VGPUD_LIBEXEC_DIR,
               VGPUD_LIBEXEC_DIR);
}

static void main_set_string(char **target, const char *value)
{
        g_free(*target);
        *target = g_strdup(value);
}

/* Returns 1: continue; 0: exit with success; negative: usage error. */
static int main_parse_arguments(int argc, char *argv[], char **config_directory, Config *config)
{
        enum {
                ARG_VERSION = 0x100,
                ARG_CONFIG,
                ARG_RUNTIME,
                ARG_STATE,
                ARG_WRITER,
                ARG_NVML,
                ARG_SYSTEMCTL,
                ARG_MODULES,
                ARG_DEFINITIONS,
                ARG_DEBUG
        };
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, ARG_VERSION },
                { "config-directory", required_argument, NULL, ARG_CONFIG },
                { "runtime-directory", required_argument, NULL, ARG_RUNTIME },
                { "state-directory", required_argument, NULL, ARG_STATE },
                { "writer", required_argument, NULL, ARG_WRITER },
                { "nvml", required_argument, NULL, ARG_NVML },
                { "systemctl", required_argument, NULL, ARG_SYSTEMCTL },
                { "modules", required_argument, NULL, ARG_MODULES },
                { "definitions", required_argument, NULL, ARG_DEFINITIONS },
                { "debug", no_argument, NULL, ARG_DEBUG },
                { 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'h':
                        main_print_help();
                        return 0;
                case ARG_VERSION:
                        puts("vgpud " PROJECT_VERSION);
                        return 0;
                case ARG_CONFIG:
                        main_set_string(config_directory, optarg);
                        break;
                case ARG_RUNTIME:
                        main_set_string(&config->runtime_directory, optarg);
                        break;
                case ARG_STATE:
                        main_set_string(&config->state_directory, optarg);
                        break;
                case ARG_WRITER:
                        main_set_string(&config->writer_path, optarg);
                        break;
                case ARG_NVML:
                        main_set_string(&config->nvml_path, optarg);
                        break;
                case ARG_SYSTEMCTL:
                        main_set_string(&config->systemctl_path, optarg);
                        break;
                case ARG_MODULES:
                        main_set_string(&config->modules_path, optarg);
                        break;
                case ARG_DEFINITIONS:
                        main_set_string(&config->definitions_root, optarg);
                        break;
                case ARG_DEBUG:
                        log_set_max_level(LOG_DEBUG);
                        break;
                default:
                        return -EINVAL;
                }

        if (optind < argc) {
                log_error("vgpud takes no arguments, but was given \"%s\"", argv[optind]);
                return -EINVAL;
        }

        return 1;
}

static VgpuIo *daemon_make_io(int keep_fd, void *userdata)
{
        const Daemon *d = userdata;
        VgpuIoSysfsConfig io = d->io;

        io.keep_fd = keep_fd;

        return vgpu_io_sysfs_new(&io);
}

static int daemon_open_roots(Daemon *d)
{
        static const char *const paths[] = { "/sys", "/dev", "/proc" };
        int *fds[] = { &d->io.sysfs_fd, &d->io.dev_fd, &d->io.proc_fd };

        for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
                *fds[i] = open(paths[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (*fds[i] < 0)
                        return log_error_errno(-errno, "Cannot open %s: %m", paths[i]);
        }

        d->io.writer_path = d->config->writer_path;
        d->io.modules_path = d->config->modules_path;
        d->io.definitions_root = d->config->definitions_root;
        d->io.programs[VGPU_PROGRAM_NVML] = d->config->nvml_path;
        d->io.programs[VGPU_PROGRAM_SYSTEMCTL] = d->config->systemctl_path;

        return 0;
}

/* Make sure that no other vgpud runs: two daemons would revert each other's work. */
static int daemon_take_lock(Daemon *d)
{
        _cleanup_close_ int dirfd = fs_open_directory(d->config->runtime_directory, 0755);

        if (dirfd < 0)
                return log_error_errno(dirfd, "Cannot open %s: %m", d->config->runtime_directory);

        d->lock_fd = openat(dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (d->lock_fd < 0)
                return log_error_errno(-errno, "Cannot open %s/lock: %m", d->config->runtime_directory);

        /* Lock the process, not the open file: a child between fork() and exec() would keep a lock of the file
         * for a moment, and the next daemon would not start. */
        if (lockf(d->lock_fd, F_TLOCK, 0) < 0)
                return errno == EAGAIN || errno == EACCES ? log_error_errno(-EBUSY, "Another vgpud is running")
                                                          : log_error_errno(-errno, "Cannot lock %s/lock: %m",
                                                                            d->config->runtime_directory);

        return 0;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
        Daemon *d = userdata;

        log_info("Received SIG%s, stopping", sigabbrev_np((int)si->ssi_signo));
        (void)sd_notifyf(false, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64,
                         d->config->stop_timeout_usec + EXTRA_USEC);

        return sd_event_exit(d->event, 0);
}

static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
        Daemon *d = userdata;

        log_error("The system bus is gone, stopping");

        return sd_event_exit(d->event, 1);
}

/* Cancel waiting jobs, wait for running jobs, then give up the name on the bus. A second call does nothing. */
static void daemon_stop(Daemon *d)
{
        if (!d->manager || d->stopped)
                return;

        d->stopped = true;
        manager_stop(d->manager, d->config->stop_timeout_usec);
        d->bus = bus_free(d->bus);

        if (d->connection)
                (void)sd_bus_flush(d->connection);
}

/* Runs before sd-bus closes the connection, so that callers get their answers. */
static int on_exit_loop(sd_event_source *source, void *userdata)
{
        daemon_stop(userdata);
        return 0;
}

/* Take the bus name last, so that callers find the GPUs as soon as the name exists. Create the bus objects only
 * now, because no client would read signals about the instances that the first scans find. */
static void on_model_ready(Manager *manager, void *userdata)
{
        Daemon *d = userdata;
        Model *m = manager_model(manager);
        int r;

        r = bus_new(d->event, m, d->connection, &d->bus);
        if (r < 0) {
                log_error_errno(r, "Cannot set up the D-Bus interface: %m");
                (void)sd_event_exit(d->event, 1);
                return;
        }

        r = bus_request_name(d->bus);
        if (r < 0) {
                log_error_errno(r, "Cannot take the name %s on the system bus: %m", VGPUD_BUS_NAME);
                (void)sd_event_exit(d->event, 1);
                return;
        }

        LOG_FIELDS(LOG_INFO, (.message_id = VGPUD_MESSAGE_STARTED), "vgpud %s is ready: %u GPUs, %u instances",
                   PROJECT_VERSION, g_hash_table_size(model_gpus(m)), g_hash_table_size(model_instances(m)));
        (void)sd_notifyf(false, "READY=1\nSTATUS=%u GPUs, %u instances", g_hash_table_size(model_gpus(m)),
                         g_hash_table_size(model_instances(m)));
}

/* Like sd_bus_open_system(), but the connection accepts no file descriptors: with them, a client could use up
 * vgpud's limit of open files. */
static int daemon_open_bus(Daemon *d)
{
        const char *address = getenv("DBUS_SYSTEM_BUS_ADDRESS");
        int r;

        r = sd_bus_new(&d->connection);
        if (r >= 0)
                r = sd_bus_set_address(d->connection, address ? address : DEFAULT_SYSTEM_BUS_ADDRESS);
        if (r >= 0)
                r = sd_bus_set_bus_client(d->connection, true);
        if (r >= 0)
                r = sd_bus_negotiate_fds(d->connection, false);

        return r < 0 ? r : sd_bus_start(d->connection);
}

static int daemon_set_up(Daemon *d)
{
        sigset_t signals;
        int r;

        sigemptyset(&signals);
        sigaddset(&signals, SIGTERM);

        sigaddset(&signals, SIGINT);
        if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR ||
            signal(SIGHUP, SIG_IGN) == SIG_ERR)
                return log_error_errno(-errno, "Cannot set up signals: %m");

        r = sd_event_default(&d->event);
        if (r >= 0)
                r = sd_event_add_signal(d->event, NULL, SIGTERM, on_signal, d);
        if (r >= 0)
                r = sd_event_add_signal(d->event, NULL, SIGINT, on_signal, d);
        if (r >= 0)
                r = sd_event_add_exit(d->event, &d->exit_source, on_exit_loop, d);
        if (r >= 0)
                r = sd_event_source_set_priority(d->exit_source, SD_EVENT_PRIORITY_IMPORTANT);
        if (r >= 0)
                r = sd_event_set_watchdog(d->event, true);
        if (r < 0)
                return log_error_errno(r, "Cannot set up the event loop: %m");

        r = daemon_take_lock(d);
        if (r < 0)
                return r;

        r = daemon_open_roots(d);
        if (r < 0)
                return r;

        r = manager_new(d->event, d->config, daemon_make_io, d, &d->manager);
        if (r < 0)
                return log_error_errno(r, "Cannot set up the model: %m");

        r = daemon_open_bus(d);
        if (r >= 0)
                r = sd_bus_attach_event(d->connection, d->event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_bus_match_signal(d->connection, NULL, "org.freedesktop.DBus.Local",
                                        "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local",
                                        "Disconnected", on_disconnected, d);
        if (r < 0)
                return log_error_errno(r, "Cannot connect to the system bus: %m");

        /* Extend TimeoutStartSec= of the unit, which is shorter than the longest [start] timeout. */
        (void)sd_notifyf(false, "EXTEND_TIMEOUT_USEC=%" PRIu64, d->config->start_timeout_usec + EXTRA_USEC);

        return manager_start(d->manager, on_model_ready, d);
}

static void daemon_tear_down(Daemon *d)
{
        daemon_stop(d);
        d->manager = manager_free(d->manager);
        d->connection = sd_bus_flush_close_unref(d->connection);
        d->exit_source = sd_event_source_disable_unref(d->exit_source);
        d->event = sd_event_unref(d->event);
        safe_close(d->io.sysfs_fd);
        safe_close(d->io.dev_fd);
        safe_close(d->io.proc_fd);
        safe_close(d->lock_fd);
        d->config = config_free(d->config);
}

int main(int argc, char *argv[])
{
        g_autofree char *config_directory = g_strdup(VGPUD_CONFIG_DIR);
        Daemon d = {
                .config = config_new(),
                .lock_fd = -EBADF,
                .io = { .sysfs_fd = -EBADF, .dev_fd = -EBADF, .proc_fd = -EBADF, .keep_fd = -EBADF },
        };
        int r;

        g_set_prgname("vgpud");

        /* Fixed thresholds make free() return the memory of long messages to the kernel. By default glibc
         * raises the thresholds after the first long message, and keeps the memory of later ones. */
        (void)mallopt(M_MMAP_THRESHOLD, 128 * 1024);
        (void)mallopt(M_TRIM_THRESHOLD, 256 * 1024);

        r = main_parse_arguments(argc, argv, &config_directory, d.config);
        if (r <= 0) {
                d.config = config_free(d.config);
                return r < 0 ? 2 : 0;
        }

        config_read(d.config, config_directory);
        r = daemon_set_up(&d);
        if (r >= 0)
                r = sd_event_loop(d.event);
        daemon_tear_down(&d);

        return r < 0 ? 1 : r;
}
