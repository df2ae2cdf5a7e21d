/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Delivery of uevents; see event.h. */

#include "simhost/event.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

/* libudev takes messages of the second multicast group as coming from udevd. */
#define UDEV_GROUP 2
#define UDEV_MAGIC 0xfeedcafeU

#define LOG_MAX (4U * 1024 * 1024)

/* The header that libudev expects before the properties (systemd: src/libsystemd/sd-device/device-monitor.c).
 * The socket filters of monitors read magic and the two hashes. */
typedef struct UdevHeader {
        char prefix[8];
        guint32 magic;
        guint32 header_size;
        guint32 properties_offset;
        guint32 properties_length;
        guint32 subsystem_hash;
        guint32 devtype_hash;
        guint32 tag_bloom_high;
        guint32 tag_bloom_low;
} UdevHeader;

/* A monitor in a testbed. */
typedef struct Monitor {
        char *path;
        ino_t inode; /* a new socket of the same name is another monitor */
        int fd;
        GQueue backlog; /* GBytes of events for which the socket had no room */
        gboolean draining;
        gboolean gone;
} Monitor;

static GMutex lock; /* also keeps the events in order */
static char *testbed_directory;
static int netlink_fd = -1;
static guint64 sequence_number;
static unsigned drop_count;
static GHashTable *monitors; /* path → Monitor */
static GString *event_log;

void event_use_testbed(const char *directory)
{
        testbed_directory = g_strdup(directory);
        monitors = g_hash_table_new(g_str_hash, g_str_equal);
}

int event_use_netlink(void)
{
        struct sockaddr_nl address = { .nl_family = AF_NETLINK };

        netlink_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
        if (netlink_fd < 0)
                return -errno;

        if (bind(netlink_fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                return -errno;

        return 0;
}

/* MurmurHash2 by Austin Appleby, with libudev's seed 0. */
static guint32 string_hash(const char *text)
{
        const guint32 multiplier = 0x5bd1e995;
        size_t length = strlen(text);
        guint32 hash = (guint32)length;
        const unsigned char *byte = (const unsigned char *)text;

        for (; length >= 4; length -= 4, byte += 4) {
                guint32 block;

                memcpy(&block, byte, sizeof(block));
                block *= multiplier;
                block ^= block >> 24;
                block *= multiplier;
                hash = hash * multiplier ^ block;
        }

        if (length > 2)
                hash ^= (guint32)byte[2] << 16;
        if (length > 1)
                hash ^= (guint32)byte[1] << 8;
        if (length > 0)
                hash = (hash ^ byte[0]) * multiplier;
        hash ^= hash >> 13;
        hash *= multiplier;

        return hash ^ hash >> 15;
}

static void monitor_free(Monitor *monitor)
{
        GBytes *message;

        while ((message = g_queue_pop_head(&monitor->backlog)))
                g_bytes_unref(message);
        close(monitor->fd);
        g_free(monitor->path);
        g_free(monitor);
}

/* Waits in send(2) for a monitor that is slow, without the lock. */
static void *monitor_drain(void *data)
{
        Monitor *monitor = data;

        g_mutex_lock(&lock);

        while (!monitor->gone && !g_queue_is_empty(&monitor->backlog)) {
                GBytes *message = g_bytes_ref(g_queue_peek_head(&monitor->backlog));
                gsize size;
                const void *bytes = g_bytes_get_data(message, &size);
                ssize_t n;

                g_mutex_unlock(&lock);

                do
                        n = send(monitor->fd, bytes, size, MSG_NOSIGNAL);
                while (n < 0 && errno == EINTR);

                g_mutex_lock(&lock);

                g_bytes_unref(message);

                if (n < 0)
                        break; /* the monitor has gone */

                g_bytes_unref(g_queue_pop_head(&monitor->backlog));
        }

        monitor->draining = FALSE;
        if (monitor->gone)
                monitor_free(monitor);
        g_mutex_unlock(&lock);

        return NULL;
}

static void monitor_forget(Monitor *monitor)
{
        g_hash_table_remove(monitors, monitor->path);
        monitor->gone = TRUE;

        if (monitor->draining)
                shutdown(monitor->fd, SHUT_RDWR); /* the monitor's thread frees the monitor */
        else
                monitor_free(monitor);
}

/* -ECONNREFUSED: the monitor's process closed the socket. */
static int monitor_find(const char *path, Monitor **ret)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        Monitor *monitor = g_hash_table_lookup(monitors, path);
        struct stat status;
        int fd;

        if (stat(path, &status) < 0)
                return -errno;

        if (monitor && monitor->inode == status.st_ino) {
                *ret = monitor;
                return 0;
        }

        if (monitor)
                monitor_forget(monitor);

        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;

        strcpy(address.sun_path, path);
        fd = socket(AF_UNIX, SOCK_RAW | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;

        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
                int r = -errno;

                close(fd);
                return r;
        }

        monitor = g_new0(Monitor, 1);
        monitor->path = g_strdup(path);
        monitor->inode = status.st_ino;
        monitor->fd = fd;
        g_queue_init(&monitor->backlog);
        g_hash_table_insert(monitors, monitor->path, monitor);
        *ret = monitor;

        return 0;
}

static void send_to_monitor(const char *path, GBytes *message)
{
        Monitor *monitor;
        gsize size;
        const void *bytes = g_bytes_get_data(message, &size);
        int r = monitor_find(path, &monitor);

        if (r < 0) {
                if (r == -ECONNREFUSED)
                        (void)unlink(path);
                return;
        }

        if (!monitor->draining) {
                if (send(monitor->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
                        return;

                if (errno != EAGAIN && errno != ENOBUFS) {
                        monitor_forget(monitor);
                        (void)unlink(path);
                        return;
                }

                monitor->draining = TRUE;
                g_thread_unref(g_thread_new("events", monitor_drain, monitor));
        }

        g_queue_push_tail(&monitor->backlog, g_bytes_ref(message));
}

static void send_to_testbed(GBytes *message)
{
        DIR *directory = opendir(testbed_directory);
        const struct dirent *entry;

        if (!directory)
                return;

        while ((entry = readdir(directory)))
                if (g_str_has_prefix(entry->d_name, "event") && g_ascii_isdigit(entry->d_name[5])) {
                        g_autofree char *path = g_build_filename(testbed_directory, entry->d_name, NULL);

                        send_to_monitor(path, message);
                }

        closedir(directory);
}

static void send_to_netlink(GBytes *message)
{
        struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = UDEV_GROUP };
        gsize size;
        struct iovec part = { .iov_base = (void *)g_bytes_get_data(message, &size) };
        struct msghdr header = {
                .msg_name = &address, .msg_namelen = sizeof(address), .msg_iov = &part, .msg_iovlen = 1
        };

        part.iov_len = size;
        /* ECONNREFUSED: no listener. ENOBUFS: a monitor lost the event and is told so. */
        (void)sendmsg(netlink_fd, &header, MSG_NOSIGNAL);
}

static GBytes *make_message(const char *action, const char *devpath, const char *subsystem, const char *devtype,
                            const char *properties)
{
        g_autoptr(GString) text = g_string_new(NULL);
        g_auto(GStrv) lines = g_strsplit(properties ? properties : "", "\n", -1);
        GByteArray *message = g_byte_array_new();
        guint64 number = MAX(sequence_number, 1); /* libudev refuses 0 */
        UdevHeader header = {
                .prefix = "libudev",
                .magic = htonl(UDEV_MAGIC),
                .header_size = sizeof(header),
                .properties_offset = sizeof(header),
                .subsystem_hash = htonl(string_hash(subsystem)),
                .devtype_hash = devtype ? htonl(string_hash(devtype)) : 0,
        };

        g_string_append_printf(text, "ACTION=%s", action);
        g_string_append_c(text, '\0');
        g_string_append_printf(text, "DEVPATH=%s", devpath);
        g_string_append_c(text, '\0');
        g_string_append_printf(text, "SUBSYSTEM=%s", subsystem);
        g_string_append_c(text, '\0');
        g_string_append_printf(text, "SEQNUM=%" G_GUINT64_FORMAT, number);
        g_string_append_c(text, '\0');

        for (char **line = lines; *line; line++)
                if (**line)
                        g_string_append_len(text, *line, (gssize)strlen(*line) + 1);

        header.properties_length = (guint32)text->len;
        g_byte_array_append(message, (const guint8 *)&header, sizeof(header));
        g_byte_array_append(message, (const guint8 *)text->str, (guint)text->len);

        return g_byte_array_free_to_bytes(message);
}

static void log_event(const char *action, const char *devpath, const char *subsystem, const char *properties)
{
        g_autofree char *line = g_strdup(properties ? properties : "");

        if (!event_log)
                event_log = g_string_new(NULL);
        if (event_log->len >= LOG_MAX)
                return;

        g_strdelimit(line, "\n", ' ');
        g_strchomp(line);
        g_string_append_printf(event_log, "%s %s %s%s%s\n", action, devpath, subsystem, *line ? " " : "", line);
}

static void send_message(GBytes *message)
{
        if (testbed_directory)
                send_to_testbed(message);
        else
                send_to_netlink(message);
}

void event_send(const char *action, const char *devpath, const char *subsystem, const char *devtype,
                const char *properties)
{
        g_autoptr(GBytes) message = NULL;

        if (!testbed_directory && netlink_fd < 0)
                return;

        g_mutex_lock(&lock);
        sequence_number++;
        log_event(action, devpath, subsystem, properties);

        if (drop_count > 0) {
                drop_count--;
        } else {
                message = make_message(action, devpath, subsystem, devtype, properties);
                send_message(message);
        }

        g_mutex_unlock(&lock);
}

void event_mark(void)
{
        g_autoptr(GBytes) message = NULL;

        g_mutex_lock(&lock);
        message = make_message("change", "/devices/virtual/simhost/mark", "simhost", NULL, NULL);
        send_message(message);
        g_mutex_unlock(&lock);
}

void event_drop(unsigned count)
{
        g_mutex_lock(&lock);
        drop_count = count;
        g_mutex_unlock(&lock);
}

guint64 event_sequence_number(void)
{
        guint64 number;

        g_mutex_lock(&lock);
        number = sequence_number;
        g_mutex_unlock(&lock);

        return number;
}

void event_append_log(GString *text)
{
        g_mutex_lock(&lock);
        if (event_log)
                g_string_append_len(text, event_log->str, (gssize)event_log->len);
        g_mutex_unlock(&lock);
}
