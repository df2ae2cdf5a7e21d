/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The control socket; see control.h. */

#include "simhost/control.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "simhost/driver.h"
#include "simhost/event.h"
#include "simhost/fault.h"
#include "simhost/fs.h"
#include "simhost/gpu.h"
#include "simhost/model.h"
#include "simhost/nvidia.h"
#include "simhost/sriov.h"

typedef struct Command {
        const char *name;
        int arguments; /* -1: the rest of the line is one argument, -2: one optional argument */
        const char *usage;
        /* Returns 0 or a negative errno. Appends the rest of the reply to text; if text has several lines, the
         * reply is "+N" and the lines. */
        int (*run)(char **arguments, GString *text);
} Command;

static const char *const *environment;
static int listen_fd = -1;

static int run_fault(char **arguments, GString *text)
{
        g_autofree char *message = NULL;
        int r;

        if (g_str_equal(arguments[0], "clear")) {
                fault_clear();
                return 0;
        }

        r = fault_add(arguments[0], &message);
        if (r < 0)
                g_string_append(text, message);

        return r;
}

static int run_faults(char **arguments, GString *text)
{
        fault_append_list(text);
        return 0;
}

static int run_release(char **arguments, GString *text)
{
        g_string_append_printf(text, "%u", fault_release());
        return 0;
}

static int run_hanging(char **arguments, GString *text)
{
        g_string_append_printf(text, "%u", fault_hanging());
        return 0;
}

static int run_waiting(char **arguments, GString *text)
{
        tree_lock();
        tree_append_waits(text);
        tree_unlock();

        return 0;
}

static int change_group(const char *number, int by)
{
        guint64 group;
        int r;

        if (!g_ascii_string_to_unsigned(number, 10, 0, G_MAXUINT, &group, NULL))
                return -EINVAL;

        tree_lock();
        r = vfio_group_hold((unsigned)group, by);
        tree_unlock();

        return r;
}

static int run_hold_group(char **arguments, GString *text)
{
        return change_group(arguments[0], 1);
}

static int run_drop_group(char **arguments, GString *text)
{
        return change_group(arguments[0], -1);
}

/* NAME is the UUID of a mediated device or the address of a PCI function. */
static int control_hold(const char *name, int by)
{
        int r = mdev_hold(name, by);

        return r == -ENODEV ? function_hold(name, by) : r;
}

static int run_hold_device(char **arguments, GString *text)
{
        return control_hold(arguments[0], 1);
}

static int run_drop_device(char **arguments, GString *text)
{
        return control_hold(arguments[0], -1);
}

static int run_create(char **arguments, GString *text)
{
        MdevParent *parent;
        MdevType *type = NULL;

        tree_lock();

        parent = mdev_parent_find(arguments[0]);
        if (parent)
                type = mdev_type_find(parent, arguments[1]);
        tree_unlock();

        return type ? mdev_create(type, arguments[2], strlen(arguments[2])) : -ENOENT;
}

static int run_remove(char **arguments, GString *text)
{
        return mdev_remove(arguments[0]);
}

static int run_register(char **arguments, GString *text)
{
        return gpu_register_by_name(arguments[0]);
}

static int run_unregister(char **arguments, GString *text)
{
        return gpu_unregister_by_name(arguments[0]);
}

static int run_bind(char **arguments, GString *text)
{
        return driver_bind(NULL, arguments[0]);
}

static int run_unbind(char **arguments, GString *text)
{
        return driver_unbind(NULL, arguments[0]);
}

static int run_plug(char **arguments, GString *text)
{
        return gpu_plug_by_address(arguments[0]);
}

static int run_unplug(char **arguments, GString *text)
{
        return gpu_unplug_by_address(arguments[0]);
}

/* "set PATH VALUE": VALUE is the rest of the line. Expands escapes such as "\n", and adds a final newline if
 * VALUE is neither empty nor ends with one. */
static int run_set(char **arguments, GString *text)
{
        g_auto(GStrv) parts = g_strsplit(arguments[0], " ", 2);
        g_autofree char *value = NULL, *line = NULL;
        Node *node;
        int r = 0;

        if (!parts[0] || !g_str_has_prefix(parts[0], "/sys/"))
                return -EINVAL;

        value = g_strcompress(parts[1] ? parts[1] : "");
        line = g_strdup_printf("%s%s", value, !*value || g_str_has_suffix(value, "\n") ? "" : "\n");
        tree_lock();

        node = node_resolve(device_sys(), parts[0] + strlen("/sys/"));
        if (!node)
                r = -ENOENT;
        else if (!S_ISREG(node->mode))
                r = -EISDIR;
        else
                node_set_text(node, line);

        tree_unlock();

        return r;
}

static int run_set_vfs(char **arguments, GString *text)
{
        guint64 count;

        if (!g_ascii_string_to_unsigned(arguments[1], 10, 0, G_MAXUINT, &count, NULL))
                return -EINVAL;

        return sriov_set_vfs(arguments[0], (unsigned)count);
}

static int run_load(char **arguments, GString *text)
{
        return driver_load(arguments[0]);
}

static int run_unload(char **arguments, GString *text)
{
        return driver_unload(arguments[0]);
}

static int run_nvidia(char **arguments, GString *text)
{
        return nvidia_control(arguments[0], text);
}

static int run_domain(char **arguments, GString *text)
{
        bool begins = g_str_equal(arguments[1], "begin");
        guint64 id;

        if (!g_ascii_string_to_unsigned(arguments[0], 10, 1, 0x7fef, &id, NULL) ||
            (!begins && !g_str_equal(arguments[1], "end")))
                return -EINVAL;

        return xengt_set_domain((unsigned)id, begins);
}

static int run_gim_lock(char **arguments, GString *text)
{
        guint64 seconds;

        if (!g_ascii_string_to_unsigned(arguments[0], 10, 0, G_MAXUINT, &seconds, NULL))
                return -EINVAL;

        tree_lock();
        gim_s7150_set_lock_seconds((unsigned)seconds);
        tree_unlock();

        return 0;
}

static int run_writes(char **arguments, GString *text)
{
        if (arguments[0] && !g_str_equal(arguments[0], "--clear"))
                return -EINVAL;

        fs_append_write_log(text, arguments[0] != NULL);

        return 0;
}

static int run_events(char **arguments, GString *text)
{
        event_append_log(text);
        return 0;
}

static int run_drop_events(char **arguments, GString *text)
{
        guint64 count;

        if (!g_ascii_string_to_unsigned(arguments[0], 10, 0, G_MAXUINT, &count, NULL))
                return -EINVAL;

        event_drop((unsigned)count);

        return 0;
}

static int run_mark_events(char **arguments, GString *text)
{
        event_mark();
        return 0;
}

static int run_where(char **arguments, GString *text)
{
        for (const char *const *line = environment; *line; line++)
                g_string_append_printf(text, "%s\n", *line);
        return 0;
}

/* Set by a "quit" on this connection. The host ends only after the reply is sent, so that the reply arrives. */
static _Thread_local bool quit_asked;

static int run_quit(char **arguments, GString *text)
{
        quit_asked = true;
        return 0;
}

static int run_help(char **arguments, GString *text);

static const Command commands[] = {
        { "fault", -1, "fault SPECIFICATION | clear", run_fault },
        { "faults", 0, "faults", run_faults },
        { "release", 0, "release: release all hanging requests; the reply is their number", run_release },
        { "hanging", 0, "hanging: number of hanging requests", run_hanging },
        { "waiting", 0, "waiting: REASON NAME of all blocked requests", run_waiting },
        { "hold-group", 1, "hold-group N: another program opens /dev/vfio/N", run_hold_group },
        { "drop-group", 1, "drop-group N", run_drop_group },
        { "hold-device", 1,
          "hold-device UUID|FUNCTION: another program opens the device, so that its removal blocks",
          run_hold_device },
        { "drop-device", 1, "drop-device UUID|FUNCTION", run_drop_device },
        { "create", 3, "create PARENT TYPE UUID", run_create },
        { "remove", 1, "remove UUID", run_remove },
        { "register", 1, "register PARENT", run_register },
        { "unregister", 1, "unregister PARENT: as when the driver's module is unloaded", run_unregister },
        { "bind", 1, "bind FUNCTION: bind it to the model's driver", run_bind },
        { "unbind", 1, "unbind FUNCTION", run_unbind },
        { "plug", 1, "plug GPU", run_plug },
        { "unplug", 1, "unplug GPU", run_unplug },
        { "set-vfs", 2, "set-vfs GPU N: the driver makes N virtual functions without a write to sriov_numvfs",
          run_set_vfs },
        { "load", 1, "load DRIVER: a PCI driver", run_load },
        { "unload", 1, "unload DRIVER", run_unload },
        { "set", -1, "set PATH VALUE: change the content of an attribute", run_set },
        { "nvidia", -1, "nvidia VERB…: what sriov-manage, NVML and their users do; see nvidia-control.c",
          run_nvidia },
        { "domain", 2, "domain N begin|end: Xen domain N begins or ends", run_domain },
        { "gim-lock", 1, "gim-lock SECONDS: time that an S7150's driver waits for the reader of a result",
          run_gim_lock },
        { "writes", -2, "writes [--clear]: RESULT PATH VALUE of all writes", run_writes },
        { "events", 0, "events: all events, also those that drop-events lost", run_events },
        { "drop-events", 1, "drop-events N: lose the next N events", run_drop_events },
        { "mark-events", 0,
          "mark-events: send monitors of the subsystem simhost an event that comes after all earlier ones",
          run_mark_events },
        { "where", 0, "where: NAME=VALUE of the variables by which a process enters the host", run_where },
        { "quit", 0, "quit", run_quit },
        { "help", 0, "help", run_help },
};

static int run_help(char **arguments, GString *text)
{
        for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
                g_string_append_printf(text, "%s\n", commands[i].usage);
        return 0;
}

static int run_line(const char *line, GString *text)
{
        g_auto(GStrv) words = g_strsplit(line, " ", 2), arguments = NULL;

        for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
                const Command *command = &commands[i];

                if (!words[0] || !g_str_equal(words[0], command->name))
                        continue;

                arguments = g_strsplit(words[1] ? words[1] : "", " ", command->arguments < 0 ? 1 : -1);
                if (command->arguments < 0 ? command->arguments == -1 && !arguments[0]
                                           : (int)g_strv_length(arguments) != command->arguments) {
                        g_string_append_printf(text, "usage: %s", command->usage);
                        return -EINVAL;
                }

                return command->run(arguments, text);
        }

        g_string_append(text, "unknown command");

        return -EINVAL;
}

static guint count_lines(const char *text)
{
        guint lines = 0;

        for (; *text; text++)
                lines += *text == '\n';

        return lines;
}

static void control_answer(FILE *stream, const char *line)
{
        g_autoptr(GString) text = g_string_new(NULL);
        int r = run_line(line, text);
        guint lines = count_lines(text->str);

        if (r < 0)
                fprintf(stream, "error %s%s%s\n", fault_errno_name(-r), text->len > 0 ? ": " : "", text->str);
        else if (lines > 0)
                fprintf(stream, "ok +%u\n%s", lines, text->str);
        else
                fprintf(stream, "ok%s%s\n", text->len > 0 ? " " : "", text->str);

        (void)fflush(stream);
        if (quit_asked)
                (void)kill(getpid(), SIGTERM);
}

static void *serve_connection(void *data)
{
        FILE *input = fdopen(GPOINTER_TO_INT(data), "r"), *output = fdopen(dup(GPOINTER_TO_INT(data)), "w");
        g_autofree char *line = NULL;
        size_t size = 0;
        ssize_t length;

        while ((length = getline(&line, &size, input)) >= 0) {
                if (length > 0 && line[length - 1] == '\n')
                        line[length - 1] = '\0';
                control_answer(output, line);
        }

        (void)fclose(input);
        (void)fclose(output);

        return NULL;
}

static void *control_serve(void *data)
{
        int fd;

        while ((fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0 || errno == EINTR ||
               errno == ECONNABORTED)
                if (fd >= 0)
                        g_thread_unref(g_thread_new("control", serve_connection, GINT_TO_POINTER(fd)));

        return NULL;
}

static int set_address(const char *path, struct sockaddr_un *ret)
{
        *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
        if (strlen(path) >= sizeof(ret->sun_path))
                return -ENAMETOOLONG;

        strcpy(ret->sun_path, path);

        return 0;
}

int control_listen(const char *path, const char *const *variables)
{
        struct sockaddr_un address;
        int r = set_address(path, &address);

        if (r < 0)
                return r;

        environment = variables;
        listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (listen_fd < 0)
                return -errno;

        if (bind(listen_fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
            listen(listen_fd, SOMAXCONN) < 0)
                return -errno;

        g_thread_unref(g_thread_new("control", control_serve, NULL));

        return 0;
}

int control_call(const char *path, const char *command, char **ret_text)
{
        g_autofree char *line = NULL;
        g_autoptr(GString) text = g_string_new(NULL);
        struct sockaddr_un address;
        size_t size = 0;
        guint64 more = 0;
        FILE *stream;
        int fd, r = set_address(path, &address);

        if (r < 0)
                return r;

        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;

        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
                r = -errno;
                close(fd);
                return r;
        }

        stream = fdopen(fd, "r+");
        fprintf(stream, "%s\n", command);
        (void)fflush(stream);

        if (getline(&line, &size, stream) < 0) {
                (void)fclose(stream);
                return -ECONNRESET;
        }

        line[strcspn(line, "\n")] = '\0';
        if (g_str_has_prefix(line, "ok +"))
                more = g_ascii_strtoull(line + strlen("ok +"), NULL, 10);
        else
                g_string_append(text, line + strcspn(line, " ") + (strchr(line, ' ') ? 1 : 0));

        r = g_str_has_prefix(line, "error") ? -EREMOTEIO : 0;
        for (; more > 0 && getline(&line, &size, stream) >= 0; more--)
                g_string_append(text, line);
        (void)fclose(stream);
        *ret_text = g_string_free(g_steal_pointer(&text), FALSE);

        return r;
}
