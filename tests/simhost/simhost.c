/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The simulated host: builds the models, mounts the tree, runs a command inside, and cleans up when the command
 * ends. README.md describes the usage.
 */

#include <errno.h>
#include <getopt.h>
#include <glib.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <umockdev.h>
#include <unistd.h>

#include "simhost/control.h"
#include "simhost/driver.h"
#include "simhost/event.h"
#include "simhost/fault.h"
#include "simhost/fs.h"
#include "simhost/model.h"
#include "simhost/sandbox.h"

#define PRELOAD "libumockdev-preload.so.0"

/* Time for leftover processes of the command to end. */
#define LEFTOVERS_SECONDS 3

#define EXIT_CANNOT_RUN 126
#define EXIT_NOT_FOUND  127

typedef struct Options {
        GPtrArray *models; /* borrowed Model */
        GPtrArray *nodes;  /* borrowed names below /dev, ends with NULL */
        ModelOptions model;
        unsigned populate;
        bool in_namespace;
        const char *control;
        char **command; /* NULL: serve until told to stop */
} Options;

typedef struct Host {
        char *directory;
        char *control;
        UMockdevTestbed *testbed;
        GPtrArray *environment; /* "NAME=VALUE", ends with NULL */
        int mounts_fd;          /* -1: a testbed */
        int root_fd;            /* of the mount namespace; -1: a testbed */
        pid_t child;
} Host;

static void print_usage(FILE *stream)
{
        fputs("simhost [OPTIONS] [--] COMMAND [ARGUMENTS]  run a command on a simulated host\n"
              "simhost [OPTIONS]                           print the environment, serve until SIGTERM\n"
              "simhost ctl [--control=PATH] COMMAND…       control a host (\"help\" lists the commands)\n"
              "simhost enter [--control=PATH] -- COMMAND…  run one more command on a host\n"
              "\n"
              "  --model=NAME       one of the models below; may be given several times\n"
              "  --gpus=N --vfs=N --types=N  size of the model \"scalable\" (2, 8, 10)\n"
              "  --populate=N       make N instances first\n"
              "  --first-group=N    number of the first IOMMU group (0)\n"
              "  --fault=SPEC       OP:OBJECT:ACTION[:COUNT], see README.md; may be given several times\n"
              "  --control=PATH     path of the control socket\n"
              "  --namespace        put the tree over /sys in a namespace instead of using umockdev's preload library\n"
              "\n"
              "Models:\n",
              stream);
        for (unsigned i = 0; model_get(i); i++)
                fprintf(stream, "  %-16s %s\n", model_get(i)->name, model_get(i)->summary);
}

static G_GNUC_PRINTF(2, 3) G_GNUC_NORETURN void host_fail(int error, const char *format, ...)
{
        va_list arguments;

        fputs("simhost: ", stderr);
        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
        fprintf(stderr, "%s%s\n", error < 0 ? ": " : "", error < 0 ? g_strerror(-error) : "");
        exit(EXIT_FAILURE);
}

static unsigned parse_count(const char *option, const char *text, unsigned most)
{
        guint64 value;

        if (!g_ascii_string_to_unsigned(text, 10, 0, most, &value, NULL))
                host_fail(0, "--%s wants a number up to %u, not '%s'", option, most, text);

        return (unsigned)value;
}

static void add_fault(const char *specification)
{
        g_autofree char *message = NULL;

        if (fault_add(specification, &message) < 0)
                host_fail(0, "--fault=%s: %s", specification, message);
}

static void parse_options(int argc, char **argv, Options *ret)
{
        enum { MODEL, GPUS, VFS, TYPES, POPULATE, FIRST_GROUP, FAULT, CONTROL, NAMESPACE, HELP };
        static const struct option long_options[] = {
                { "model", required_argument, NULL, MODEL },
                { "gpus", required_argument, NULL, GPUS },
                { "vfs", required_argument, NULL, VFS },
                { "types", required_argument, NULL, TYPES },
                { "populate", required_argument, NULL, POPULATE },
                { "first-group", required_argument, NULL, FIRST_GROUP },
                { "fault", required_argument, NULL, FAULT },
                { "control", required_argument, NULL, CONTROL },
                { "namespace", no_argument, NULL, NAMESPACE },
                { "help", no_argument, NULL, HELP },
                { NULL, 0, NULL, 0 },
        };
        int option;

        *ret = (Options){ .models = g_ptr_array_new(), .model = { .gpus = 2, .vfs = 8, .types = 10 } };

        while ((option = getopt_long(argc, argv, "+", long_options, NULL)) >= 0)
                switch (option) {
                case MODEL:
                        if (!model_find(optarg))
                                host_fail(0, "unknown model '%s'", optarg);
                        if (g_ptr_array_find(ret->models, model_find(optarg), NULL))
                                host_fail(0, "model '%s' given twice", optarg);
                        g_ptr_array_add(ret->models, (void *)model_find(optarg));
                        break;
                case GPUS:
                        ret->model.gpus = parse_count("gpus", optarg, 16);
                        break;
                case VFS:
                        ret->model.vfs = parse_count("vfs", optarg, 240);
                        break;
                case TYPES:
                        ret->model.types = parse_count("types", optarg, 40);
                        break;
                case POPULATE:
                        ret->populate = parse_count("populate", optarg, 100000);
                        break;
                case FIRST_GROUP:
                        iommu_group_begin_at(parse_count("first-group", optarg, INT_MAX / 2));
                        break;
                case FAULT:
                        add_fault(optarg);
                        break;
                case CONTROL:
                        ret->control = optarg;
                        break;
                case NAMESPACE:
                        ret->in_namespace = true;
                        break;
                case HELP:
                        print_usage(stdout);
                        exit(EXIT_SUCCESS);
                default:
                        print_usage(stderr);
                        exit(EXIT_FAILURE);
                }

        ret->command = optind < argc ? argv + optind : NULL;
}

static GPtrArray *collect_nodes(const GPtrArray *models)
{
        GPtrArray *nodes = g_ptr_array_new();

        for (guint i = 0; i < models->len; i++) {
                const Model *model = models->pdata[i];

                if (model->node && !g_ptr_array_find_with_equal_func(nodes, model->node, g_str_equal, NULL))
                        g_ptr_array_add(nodes, (void *)model->node);
        }

        g_ptr_array_add(nodes, NULL);

        return nodes;
}

static void build_models(const Options *options)
{
        tree_lock();
        device_init();
        driver_init();
        fault_set_alias(gpu_alias);

        for (guint i = 0; i < options->models->len; i++)
                ((const Model *)options->models->pdata[i])->build(&options->model);
        tree_unlock();
}

/* Returns the first type with room of the parent, or NULL. */
static MdevType *free_type(MdevParent *parent)
{
        for (unsigned i = 0; i < parent->n_types; i++)
                if (mdev_type_available(&parent->types[i]) > 0)
                        return &parent->types[i];

        return NULL;
}

/* Creates an instance on each parent, then a second one on each, and so on, until there are enough. */
static void host_populate(unsigned wanted)
{
        unsigned made = 0, before;

        do {
                before = made;
                for (guint i = 0; i < mdev_parents()->len && made < wanted; i++) {
                        g_autofree char *uuid =
                                        g_strdup_printf("%08x-0000-4000-8000-%012x", made + 1, made + 1);
                        MdevType *type;

                        tree_lock();
                        type = free_type(mdev_parents()->pdata[i]);
                        tree_unlock();
                        made += type && mdev_create(type, uuid, strlen(uuid)) == 0;
                }
        } while (made < wanted && made > before);

        if (made < wanted)
                host_fail(0, "room for %u instances only", made);
}

static void add_variable(Host *host, const char *name, const char *value)
{
        g_ptr_array_add(host->environment, g_strdup_printf("%s=%s", name, value));
}

static char *preload_value(void)
{
        const char *before = g_getenv("LD_PRELOAD");

        return before && *before ? g_strdup_printf("%s:%s", PRELOAD, before) : g_strdup(PRELOAD);
}

static void mount_tree(Node *root, const char *path)
{
        int r;

        if (g_mkdir_with_parents(path, 0755) < 0)
                host_fail(-errno, "%s", path);
        r = fs_mount(root, path, geteuid() == 0);
        if (r < 0)
                host_fail(r, "cannot mount the tree at %s (is /dev/fuse usable?)", path);
}

static void start_testbed(Host *host, const Options *options)
{
        g_autofree char *temporary = g_strdup(g_getenv("TMPDIR")), *root = NULL, *sys = NULL, *vfio = NULL,
                        *nodes = NULL, *preload = preload_value();

        /* umockdev makes its directory in $TMPDIR; choose ours, so that both vanish together. */
        g_setenv("TMPDIR", host->directory, TRUE);
        host->testbed = umockdev_testbed_new();

        if (temporary)
                g_setenv("TMPDIR", temporary, TRUE);
        else
                g_unsetenv("TMPDIR");

        root = umockdev_testbed_get_root_dir(host->testbed);
        sys = g_build_filename(root, "sys", NULL);
        vfio = g_build_filename(root, "dev", "vfio", NULL);
        nodes = g_build_filename(root, "dev", ".node", NULL);
        mount_tree(device_sys(), sys);
        mount_tree(device_dev_vfio(), vfio);

        if (g_mkdir_with_parents(nodes, 0755) < 0)
                host_fail(-errno, "%s", nodes);
        for (guint i = 0; options->nodes->pdata[i]; i++) {
                g_autofree char *path = g_build_filename(root, "dev", options->nodes->pdata[i], NULL);

                if (!g_file_set_contents(path, "", 0, NULL))
                        host_fail(0, "%s", path);
        }

        tree_lock();
        device_set_node_directory(nodes);
        tree_unlock();

        event_use_testbed(root);
        add_variable(host, "UMOCKDEV_DIR", root);
        add_variable(host, "LD_PRELOAD", preload);
}

static void start_namespace(Host *host)
{
        g_autofree char *sys = g_build_filename(host->directory, "sys", NULL),
                        *vfio = g_build_filename(host->directory, "vfio", NULL), *mounts = NULL, *root = NULL;
        int r;

        mount_tree(device_sys(), sys);
        mount_tree(device_dev_vfio(), vfio);

        r = sandbox_finish(&host->mounts_fd, &host->root_fd);
        if (r < 0)
                host_fail(r, "cannot put the tree over /sys");
        r = event_use_netlink();
        if (r < 0)
                host_fail(r, "netlink");
        mounts = g_strdup_printf("/proc/%d/fd/%d", getpid(), host->mounts_fd);
        add_variable(host, "SIMHOST_MOUNTS", mounts);
        root = g_strdup_printf("/proc/%d/fd/%d", getpid(), host->root_fd);
        add_variable(host, "SIMHOST_ROOT", root);
}

/* The host to clean up in exit(3), if a step fails before the command runs. */
static Host *started;

static void take_down(void)
{
        fault_shutdown();
        mdev_shutdown();
        driver_shutdown();
        fs_unmount_all();
        g_clear_object(&started->testbed);
        sandbox_remove_directory(started->directory);
        sandbox_guard_dismiss();
}

static void host_start(Host *host, const Options *options)
{
        g_autofree char *pid = g_strdup_printf("%d", getpid());
        int r;

        host->environment = g_ptr_array_new();

        /* Do not call g_get_tmp_dir(), which caches $TMPDIR: start_testbed() changes the variable. */
        host->directory =
                        g_strdup_printf("%s/simhost.XXXXXX", g_getenv("TMPDIR") ? g_getenv("TMPDIR") : "/tmp");
        if (!mkdtemp(host->directory))
                host_fail(-errno, "no temporary directory");
        started = host;
        (void)atexit(take_down);
        host->control = options->control ? g_strdup(options->control)
                                         : g_build_filename(host->directory, "control", NULL);

        r = sandbox_guard(host->directory);
        if (r < 0)
                host_fail(r, "guard");
        if (options->in_namespace) {
                r = sandbox_unshare();
                if (r < 0)
                        host_fail(r, "no namespace (root, or user namespaces, needed)");
                r = sandbox_prepare(host->directory, (const char *const *)options->nodes->pdata);
                if (r < 0)
                        host_fail(r, "fork");
        }

        build_models(options);
        host_populate(options->populate);

        if (options->in_namespace)
                start_namespace(host);
        else
                start_testbed(host, options);

        add_variable(host, "SIMHOST_CONTROL", host->control);
        add_variable(host, "SIMHOST_MODE", options->in_namespace ? "namespace" : "testbed");
        add_variable(host, "SIMHOST_PID", pid);
        /* libudev would refuse a directory that is not sysfs. */
        add_variable(host, "SYSTEMD_DEVICE_VERIFY_SYSFS", "0");
        g_ptr_array_add(host->environment, NULL);

        r = control_listen(host->control, (const char *const *)host->environment->pdata);
        if (r < 0)
                host_fail(r, "control socket %s", host->control);
}

static G_GNUC_NORETURN void host_execute(char **command, char **environment)
{
        for (char **line = environment; *line; line++) {
                g_auto(GStrv) parts = g_strsplit(*line, "=", 2);

                if (setenv(parts[0], parts[1], 1) < 0)
                        _exit(EXIT_CANNOT_RUN);
        }

        execvp(command[0], command);
        fprintf(stderr, "simhost: %s: %s\n", command[0], g_strerror(errno));
        _exit(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN);
}

static void run_command(Host *host, char **command)
{
        pid_t parent = getpid();

        host->child = fork();
        if (host->child < 0)
                host_fail(-errno, "fork");
        if (host->child == 0) {
                sigset_t none;

                (void)sigemptyset(&none);
                (void)sigprocmask(SIG_SETMASK, &none, NULL);
                (void)prctl(PR_SET_PDEATHSIG, SIGTERM);

                if (getppid() != parent ||
                    (host->mounts_fd >= 0 && sandbox_enter_mounts(host->mounts_fd, host->root_fd) < 0))
                        _exit(EXIT_CANNOT_RUN);
                host_execute(command, (char **)host->environment->pdata);
        }
}

static int status_of(int wait_status)
{
        return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

/* Reaps all children that have ended; true if the command is among them. */
static bool host_reap(Host *host, int *ret_status)
{
        bool ended = false;
        int wait_status;
        pid_t pid;

        while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0)
                if (pid == host->child) {
                        *ret_status = status_of(wait_status);
                        host->child = 0;
                        ended = true;
                }

        return ended;
}

static int wait_for_end(Host *host, const sigset_t *signals)
{
        int status = EXIT_SUCCESS;

        for (;;) {
                siginfo_t info;
                int signal = sigwaitinfo(signals, &info);

                if (signal == SIGCHLD) {
                        if (host_reap(host, &status))
                                return status;
                } else if (signal > 0 && host->child == 0) {
                        return EXIT_SUCCESS;
                } else if (signal > 0 && info.si_code != SI_KERNEL) {
                        /* Forward signals of programs; the terminal (SI_KERNEL) signals the command itself. */
                        (void)kill(host->child, signal);
                }
        }
}

static bool signal_children(int signal)
{
        g_autofree char *path = g_strdup_printf("/proc/self/task/%d/children", getpid()), *list = NULL;
        g_auto(GStrv) pids = NULL;
        bool any = false;

        if (!g_file_get_contents(path, &list, NULL, NULL))
                return false;

        pids = g_strsplit(list, " ", -1);
        for (char **pid = pids; *pid; pid++)
                if (**pid) {
                        any = true;
                        (void)kill((pid_t)g_ascii_strtoll(*pid, NULL, 10), signal);
                }

        return any;
}

/* Leftover processes of the command are children of the host by now. */
static void end_leftovers(Host *host)
{
        static const int signals[] = { SIGTERM, SIGKILL };
        sigset_t child;
        int status;

        (void)sigemptyset(&child);
        (void)sigaddset(&child, SIGCHLD);

        for (size_t i = 0; i < G_N_ELEMENTS(signals); i++) {
                gint64 end = g_get_monotonic_time() + LEFTOVERS_SECONDS * G_TIME_SPAN_SECOND;

                while (signal_children(signals[i]) && g_get_monotonic_time() < end) {
                        struct timespec rest = { .tv_nsec = 200 * 1000 * 1000 };

                        (void)sigtimedwait(&child, NULL, &rest);
                        (void)host_reap(host, &status);
                }
        }
}

static int run_host(int argc, char **argv)
{
        Host host = { .mounts_fd = -1, .root_fd = -1 };
        Options options;
        sigset_t signals;
        int status;

        (void)g_ascii_strtoull("0", NULL, 10); /* GLib initializes its locale, which sets errno: do so before
                                                * there are threads */
        parse_options(argc, argv, &options);
        options.nodes = collect_nodes(options.models);
        (void)sigemptyset(&signals);
        (void)sigaddset(&signals, SIGCHLD);
        (void)sigaddset(&signals, SIGHUP);
        (void)sigaddset(&signals, SIGINT);
        (void)sigaddset(&signals, SIGQUIT);
        (void)sigaddset(&signals, SIGTERM);
        (void)sigprocmask(SIG_BLOCK, &signals, NULL); /* inherited by threads */
        (void)signal(SIGPIPE, SIG_IGN);

        host_start(&host, &options);
        (void)prctl(PR_SET_CHILD_SUBREAPER, 1);

        if (options.command) {
                run_command(&host, options.command);
        } else {
                for (guint i = 0; host.environment->pdata[i]; i++)
                        puts(host.environment->pdata[i]);
                puts("ready");
                (void)fflush(stdout);
        }

        status = wait_for_end(&host, &signals);
        fault_shutdown();
        mdev_shutdown();
        driver_shutdown();
        end_leftovers(&host);
        take_down();

        if (options.control)
                (void)unlink(options.control);
        /* Threads that serve a still busy file system end here. */
        _exit(status);
}

/* --control=PATH or $SIMHOST_CONTROL; returns the index of the first other argument. */
static int parse_client(int argc, char **argv, const char **ret_control)
{
        static const struct option long_options[] = { { "control", required_argument, NULL, 'c' },
                                                      { NULL, 0, NULL, 0 } };
        int option;

        *ret_control = g_getenv("SIMHOST_CONTROL");

        while ((option = getopt_long(argc, argv, "+", long_options, NULL)) >= 0) {
                if (option != 'c') {
                        print_usage(stderr);
                        exit(EXIT_FAILURE);
                }

                *ret_control = optarg;
        }

        if (optind >= argc) {
                print_usage(stderr);
                exit(EXIT_FAILURE);
        }

        if (!*ret_control)
                host_fail(0, "no --control and no $SIMHOST_CONTROL");

        return optind;
}

static int run_ctl(int argc, char **argv)
{
        const char *control;
        int first = parse_client(argc, argv, &control), r;
        g_autofree char *command = g_strjoinv(" ", argv + first), *text = NULL;

        r = control_call(control, command, &text);
        if (r < 0 && r != -EREMOTEIO)
                host_fail(r, "%s", control);
        if (text && *text)
                fprintf(r < 0 ? stderr : stdout, "%s%s", text, g_str_has_suffix(text, "\n") ? "" : "\n");

        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_enter(int argc, char **argv)
{
        const char *control;
        int first = parse_client(argc, argv, &control), r;
        g_autofree char *text = NULL;
        g_auto(GStrv) lines = NULL;
        const char *mounts = NULL, *root = NULL;
        pid_t pid = 0;

        r = control_call(control, "where", &text);
        if (r < 0)
                host_fail(r, "%s", control);
        lines = g_strsplit(g_strchomp(text), "\n", -1);
        for (char **line = lines; *line; line++) {
                if (g_str_has_prefix(*line, "SIMHOST_PID="))
                        pid = (pid_t)g_ascii_strtoll(*line + strlen("SIMHOST_PID="), NULL, 10);
                if (g_str_has_prefix(*line, "SIMHOST_MOUNTS="))
                        mounts = *line + strlen("SIMHOST_MOUNTS=");
                if (g_str_has_prefix(*line, "SIMHOST_ROOT="))
                        root = *line + strlen("SIMHOST_ROOT=");
        }

        if (mounts && root) {
                r = sandbox_join(pid, mounts, root);
                if (r < 0)
                        host_fail(r, "cannot join the namespaces of process %d", pid);
        }

        host_execute(argv + first, lines);
}

int main(int argc, char **argv)
{
        if (argc > 1 && g_str_equal(argv[1], "ctl"))
                return run_ctl(argc - 1, argv + 1);
        if (argc > 1 && g_str_equal(argv[1], "enter"))
                return run_enter(argc - 1, argv + 1);

        return run_host(argc, argv);
}
