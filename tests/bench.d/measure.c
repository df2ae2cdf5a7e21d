/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Helper of tests/bench, in C to avoid the cost and noise of an interpreter: times commands in turn, calls
 * vgpud over D-Bus as a plain client, waits for signals, copies the simulated /sys to real files. Prints one
 * line per sample: name, nanoseconds of wall clock, then further values of the subcommand. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <glib.h>
#include <systemd/sd-bus.h>

#define SERVICE     "org.vgpud1"
#define ROOT        "/org/vgpud1"
#define MANAGER_API "org.freedesktop.DBus.ObjectManager"
/* A process counts as idle when its CPU clock has stood still for this time, which is longer than vgpud's
 * debounce of events. */
#define QUIET_NSEC    (60 * G_GINT64_CONSTANT(1000000))
#define LOOK_NSEC     (5 * G_GINT64_CONSTANT(1000000))
#define QUIET_MAX_SEC 60
#define WAIT_USEC     (60 * G_GUINT64_CONSTANT(1000000))
#define COMMANDS_MAX  64

extern char **environ;

static void fail(int error, const char *format, ...) G_GNUC_PRINTF(2, 3) G_GNUC_NORETURN;
static void fail(int error, const char *format, ...)
{
        va_list ap;

        fputs("measure: ", stderr);
        va_start(ap, format);
        (void)vfprintf(stderr, format, ap);
        va_end(ap);

        if (error)
                (void)fprintf(stderr, ": %s", g_strerror(error));
        (void)fputc('\n', stderr);
        exit(EXIT_FAILURE);
}

static gint64 now(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);

        return t.tv_sec * G_GINT64_CONSTANT(1000000000) + t.tv_nsec;
}

static unsigned number(const char *text)
{
        guint64 n;

        if (!g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT, &n, NULL))
                fail(0, "not a number: %s", text);

        return (unsigned)n;
}

/* ---- commands in turn ---- */

typedef struct Command {
        char **words; /* the name, then what to run */
} Command;

static gint64 cpu_of(pid_t pid)
{
        struct timespec t;
        clockid_t clock;

        if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) < 0)
                fail(0, "process %d is gone", (int)pid);

        return t.tv_sec * G_GINT64_CONSTANT(1000000000) + t.tv_nsec;
}

static gint64 cpu_of_all(const pid_t *pids, unsigned n)
{
        gint64 sum = 0;

        for (unsigned i = 0; i < n; i++)
                sum += cpu_of(pids[i]);

        return sum;
}

/* Waits until the CPU clocks of the processes stand still; no event tells that a process is idle. */
static void await_quiet(const pid_t *pids, unsigned n)
{
        const struct timespec look = { .tv_nsec = LOOK_NSEC };
        gint64 begin = now(), since = begin, last = cpu_of_all(pids, n);

        while (n > 0 && now() - since < QUIET_NSEC) {
                (void)nanosleep(&look, NULL);
                gint64 cpu = cpu_of_all(pids, n);
                if (cpu != last)
                        since = now();
                last = cpu;
                if (now() - begin > QUIET_MAX_SEC * G_GINT64_CONSTANT(1000000000))
                        fail(0, "the daemon does not come to rest");
        }
}

static void write_file(const char *path, const char *value)
{
        int fd = open(path, O_WRONLY | O_CLOEXEC);

        if (fd < 0 || write(fd, value, strlen(value)) < 0)
                fail(errno, "%s", path);
        (void)close(fd);
}

static gint64 timeval_nsec(const struct timeval *t)
{
        return t->tv_sec * G_GINT64_CONSTANT(1000000000) + t->tv_usec * G_GINT64_CONSTANT(1000);
}

static sd_bus *open_bus(void)
{
        sd_bus *bus = NULL;
        int r = sd_bus_open_system(&bus);

        if (r < 0)
                fail(-r, "bus");

        return bus;
}

/* Calls a method of the manager and waits for the end of the job. */
static void call_manager(sd_bus *bus, const char *member, const char *first, const char *second,
                         const char *uuid)
{
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *call = NULL, *answer = NULL;
        int r = sd_bus_message_new_method_call(bus, &call, SERVICE, ROOT, SERVICE ".Manager", member);

        if (r >= 0)
                r = second ? sd_bus_message_append(call, "ss", first, second)
                           : sd_bus_message_append(call, "s", first);
        if (r >= 0 && uuid)
                r = sd_bus_message_append(call, "a{sv}", 2, "wait", "b", 1, "uuid", "s", uuid);
        else if (r >= 0)
                r = sd_bus_message_append(call, "a{sv}", 1, "wait", "b", 1);
        if (r >= 0)
                r = sd_bus_call(bus, call, 0, &error, &answer);
        if (r < 0)
                fail(-r, "%s: %s", member, error.message);

        sd_bus_message_unref(answer);
        sd_bus_message_unref(call);
}

/* Runs a step in this process, which stays connected to the bus. The first round, which does not count,
 * connects. */
static void do_inside(char **words)
{
        static sd_bus *bus = NULL;

        if (strcmp(words[1], "=write") == 0) {
                write_file(words[2], words[3]);
                return;
        }

        if (!bus)
                bus = open_bus();
        if (strcmp(words[1], "=create") == 0)
                call_manager(bus, "Create", words[2], words[3], words[4]);
        else if (strcmp(words[1], "=destroy") == 0)
                call_manager(bus, "Destroy", words[2], NULL, NULL);
        else
                fail(0, "unknown step %s", words[1]);
}

/* Runs a command. Returns the wall clock time, and in ret_cpu the CPU time of the command's process. */
static gint64 run(char **words, const posix_spawn_file_actions_t *actions, gint64 *ret_cpu)
{
        struct rusage usage;
        int status, r;
        gint64 begin = now(), end;
        pid_t pid;

        if (words[1][0] == '=') {
                gint64 before = cpu_of(getpid());

                begin = now();
                do_inside(words);
                end = now();
                *ret_cpu = cpu_of(getpid()) - before;

                return end - begin;
        }

        r = posix_spawnp(&pid, words[1], actions, NULL, words + 1, environ);
        if (r != 0)
                fail(r, "%s", words[1]);
        while (wait4(pid, &status, 0, &usage) < 0)
                if (errno != EINTR)
                        fail(errno, "wait");

        end = now();
        if (status != 0)
                fail(0, "%s (%s) ended with %d", words[0], words[1], status);
        *ret_cpu = timeval_nsec(&usage.ru_utime) + timeval_nsec(&usage.ru_stime);

        return end - begin;
}

/* ROUNDS [PID...]: runs commands from stdin, one per line, name and words separated by tabs; "=write PATH
 * VALUE" is a bare write(2), "=create GPU TYPE UUID" and "=destroy INSTANCE" are calls of this process. Each
 * round runs all commands. With PIDs, each command begins when the processes are idle, and the sample includes
 * the processes' CPU time until they are idle again. */
static int do_rounds(int argc, char **argv)
{
        Command commands[COMMANDS_MAX];
        posix_spawn_file_actions_t actions;
        pid_t pids[8];
        unsigned n_commands = 0, n_pids = 0, rounds = number(argv[0]);
        g_autofree char *line = NULL;
        size_t size = 0;
        ssize_t n;

        for (int i = 1; i < argc && n_pids < G_N_ELEMENTS(pids); i++)
                pids[n_pids++] = (pid_t)number(argv[i]);
        while ((n = getline(&line, &size, stdin)) > 0 && n_commands < COMMANDS_MAX) {
                line[n - 1] = 0;
                commands[n_commands++].words = g_strsplit(line, "\t", -1);
        }

        (void)posix_spawn_file_actions_init(&actions);
        (void)posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);

        /* The first round only warms up. */
        for (unsigned i = 0; i <= rounds; i++)
                for (unsigned k = 0; k < n_commands; k++) {
                        gint64 own, before, wall;

                        await_quiet(pids, n_pids);
                        before = cpu_of_all(pids, n_pids);
                        wall = run(commands[k].words, &actions, &own);
                        await_quiet(pids, n_pids);

                        if (i > 0)
                                printf("%s %" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT "\n",
                                       commands[k].words[0], wall, own, cpu_of_all(pids, n_pids) - before);
                }

        return 0;
}

/* ---- D-Bus ---- */

/* Reads the whole answer, as a client has to, and counts the objects. */
static unsigned count_objects(sd_bus_message *answer)
{
        unsigned n = 0;
        int r;

        r = sd_bus_message_enter_container(answer, 'a', "{oa{sa{sv}}}");

        while (r >= 0 && (r = sd_bus_message_skip(answer, "{oa{sa{sv}}}")) > 0)
                n++;

        return n;
}

/* TIMES [PID...]: calls GetManagedObjects. Each sample also has the number of objects, and the CPU time of each
 * process. */
static int do_objects(int argc, char **argv)
{
        unsigned times = number(argv[0]), n_pids = 0;
        sd_bus *bus = open_bus();
        pid_t pids[8];

        for (int i = 1; i < argc && n_pids < G_N_ELEMENTS(pids); i++)
                pids[n_pids++] = (pid_t)number(argv[i]);

        for (unsigned i = 0; i <= times; i++) {
                sd_bus_error error = SD_BUS_ERROR_NULL;
                sd_bus_message *answer = NULL;
                gint64 cpu[G_N_ELEMENTS(pids)], begin, end;
                int r;

                for (unsigned k = 0; k < n_pids; k++)
                        cpu[k] = cpu_of(pids[k]);
                begin = now();
                r = sd_bus_call_method(bus, SERVICE, ROOT, MANAGER_API, "GetManagedObjects", &error, &answer,
                                       NULL);
                end = now();

                if (r < 0)
                        fail(-r, "GetManagedObjects: %s", error.message);
                if (i > 0) {
                        printf("objects %" G_GINT64_FORMAT " %u", end - begin, count_objects(answer));
                        for (unsigned k = 0; k < n_pids; k++)
                                printf(" %" G_GINT64_FORMAT, cpu_of(pids[k]) - cpu[k]);
                        (void)putchar('\n');
                }
                sd_bus_message_unref(answer);
        }

        sd_bus_flush_close_unref(bus);

        return 0;
}

static int on_path(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        char **wanted = userdata;
        const char *path;

        if (*wanted && sd_bus_message_read(m, "o", &path) > 0 && strcmp(path, *wanted) == 0)
                *wanted = NULL;

        return 0;
}

static int on_name(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        char **wanted = userdata;
        const char *name, *before, *after;

        if (sd_bus_message_read(m, "sss", &name, &before, &after) > 0 && strcmp(name, SERVICE) == 0 && after[0])
                *wanted = NULL;

        return 0;
}

/* Runs the event loop until a callback has cleared *wanted. */
static void await(sd_bus *bus, char **wanted)
{
        const char *what = *wanted;
        gint64 begin = now();

        while (*wanted) {
                int r = sd_bus_process(bus, NULL);

                if (r == 0)
                        r = sd_bus_wait(bus, WAIT_USEC);
                if (r < 0)
                        fail(-r, "bus");
                if (now() - begin > (gint64)WAIT_USEC * 1000)
                        fail(0, "waited too long for %s", what);
        }
}

static void match(sd_bus *bus, const char *sender, const char *interface, const char *member,
                  sd_bus_message_handler_t handler, void *userdata)
{
        int r = sd_bus_match_signal(bus, NULL, sender, NULL, interface, member, handler, userdata);

        if (r < 0)
                fail(-r, "match");
}

/* TIMES CREATE-FILE DEVICE-FOLDER: creates and removes an instance without the daemon, and measures from the
 * return of write(2) to the signal of the daemon. */
static int do_signals(int argc, char **argv)
{
        unsigned times = number(argv[0]);
        sd_bus *bus = open_bus();
        char *added = NULL, *removed = NULL;

        match(bus, SERVICE, MANAGER_API, "InterfacesAdded", on_path, &added);
        match(bus, SERVICE, MANAGER_API, "InterfacesRemoved", on_path, &removed);

        for (unsigned i = 0; i < times; i++) {
                g_autofree char *uuid = g_uuid_string_random();
                g_autofree char *path = g_strdelimit(g_strconcat(ROOT "/instance/", uuid, NULL), "-", '_');
                g_autofree char *remove_path = g_strconcat(argv[2], "/", uuid, "/remove", NULL);
                gint64 begin;

                added = path;
                write_file(argv[1], uuid);
                begin = now();
                await(bus, &added);
                printf("added %" G_GINT64_FORMAT "\n", now() - begin);
                removed = path;
                write_file(remove_path, "1");
                begin = now();
                await(bus, &removed);
                printf("removed %" G_GINT64_FORMAT "\n", now() - begin);
        }

        sd_bus_flush_close_unref(bus);

        return 0;
}

/* TIMES PROGRAM ARGUMENTS: measures from the daemon's start to the name on the bus. Each sample also has the
 * CPU time and the resident memory. */
static int do_start(int argc, char **argv)
{
        unsigned times = number(argv[0]);
        sd_bus *bus = open_bus();
        char *wanted = NULL;

        match(bus, "org.freedesktop.DBus", "org.freedesktop.DBus", "NameOwnerChanged", on_name, &wanted);

        for (unsigned i = 0; i < times; i++) {
                g_autofree char *file = NULL, *text = NULL;
                gint64 begin = now(), end;
                int status, r;
                pid_t pid;

                wanted = (char *)SERVICE;

                r = posix_spawnp(&pid, argv[1], NULL, NULL, argv + 1, environ);
                if (r != 0)
                        fail(r, "%s", argv[1]);
                await(bus, &wanted);
                end = now();
                gint64 cpu = cpu_of(pid);

                file = g_strdup_printf("/proc/%d/status", (int)pid);
                if (!g_file_get_contents(file, &text, NULL, NULL) || !strstr(text, "VmRSS:"))
                        fail(0, "%s", file);
                printf("start %" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %ld\n", end - begin, cpu,
                       strtol(strstr(text, "VmRSS:") + strlen("VmRSS:"), NULL, 10));
                (void)kill(pid, SIGTERM);

                while (waitpid(pid, &status, 0) < 0)
                        if (errno != EINTR)
                                fail(errno, "wait");

                if (status != 0)
                        fail(0, "%s ended with %d", argv[1], status);
        }

        sd_bus_flush_close_unref(bus);

        return 0;
}

/* ---- the tree ---- */

/* TIMES PATH: opens, reads and closes one attribute. */
static int do_read(int argc, char **argv)
{
        unsigned times = number(argv[0]);
        char buffer[4096];

        for (unsigned i = 0; i < times; i++) {
                gint64 begin = now();
                int fd = open(argv[1], O_RDONLY | O_CLOEXEC);

                if (fd < 0 || read(fd, buffer, sizeof(buffer)) < 0)
                        fail(errno, "%s", argv[1]);
                (void)close(fd);
                printf("read %" G_GINT64_FORMAT "\n", now() - begin);
        }

        return 0;
}

static void copy_file(const char *from, const char *to, GHashTable *known)
{
        g_autofree char *text = NULL;
        const char *other;
        gsize size = 0;

        /* Write-only files stay empty. */
        (void)g_file_get_contents(from, &text, &size, NULL);
        if (!text)
                text = g_strdup("");
        /* The tree repeats a few texts a hundred thousand times: hard links save memory. */
        other = size == strlen(text) ? g_hash_table_lookup(known, text) : NULL;
        if (other && link(other, to) == 0)
                return;

        if (!g_file_set_contents_full(to, text, (gssize)size, G_FILE_SET_CONTENTS_NONE, 0644, NULL))
                fail(0, "cannot write %s", to);
        g_hash_table_insert(known, g_steal_pointer(&text), g_strdup(to));
}

/* Arguments FROM TO: copies a tree of folders, files and links, breadth first, with a queue of relative
 * paths. */
static int do_copy(int argc, char **argv)
{
        g_autoptr(GHashTable) known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        GQueue folders = G_QUEUE_INIT;
        unsigned n = 0;

        g_queue_push_tail(&folders, g_strdup(""));

        while (!g_queue_is_empty(&folders)) {
                g_autofree char *folder = g_queue_pop_head(&folders);
                g_autofree char *from = g_strconcat(argv[0], folder, NULL),
                                *to = g_strconcat(argv[1], folder, NULL);
                GDir *dir = g_dir_open(from, 0, NULL);
                const char *name;

                if (!dir || (mkdir(to, 0755) < 0 && errno != EEXIST))
                        fail(errno, "%s", from);
                while ((name = g_dir_read_name(dir))) {
                        g_autofree char *below = g_strconcat(folder, "/", name, NULL);
                        g_autofree char *source = g_strconcat(argv[0], below, NULL);
                        g_autofree char *target = g_strconcat(argv[1], below, NULL);
                        struct stat st;

                        n++;

                        if (lstat(source, &st) < 0)
                                fail(errno, "%s", source);
                        if (S_ISDIR(st.st_mode))
                                g_queue_push_tail(&folders, g_steal_pointer(&below));
                        else if (S_ISLNK(st.st_mode)) {
                                g_autofree char *text = g_file_read_link(source, NULL);

                                if (!text || symlink(text, target) < 0)
                                        fail(errno, "%s", target);
                        } else
                                copy_file(source, target, known);
                }

                g_dir_close(dir);
        }

        printf("copied %u\n", n);

        return 0;
}

int main(int argc, char **argv)
{
        static const struct {
                const char *name;
                int arguments; /* minimum number of arguments */
                int (*function)(int argc, char **argv);
        } subcommands[] = {
                { "rounds", 1, do_rounds }, { "objects", 1, do_objects }, { "signals", 3, do_signals },
                { "start", 2, do_start },   { "read", 2, do_read },       { "copy", 2, do_copy },
        };

        for (size_t i = 0; argc > 1 && i < G_N_ELEMENTS(subcommands); i++)
                if (strcmp(argv[1], subcommands[i].name) == 0 && argc - 2 >= subcommands[i].arguments)
                        return subcommands[i].function(argc - 2, argv + 2);

        fail(0, "unknown subcommand, or too few arguments");
}
