/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* measure-floor N: a service that shows the least time that GetManagedObjects can take. It is named org.vgpud1
 * and has N objects with the properties of an instance (all but Definition), each with a constant value. So the
 * time is that of libsystemd, the bus and the client. */

#include <stdio.h>
#include <stdlib.h>

#include <glib.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#define SERVICE "org.vgpud1"
#define ROOT    "/org/vgpud1"

typedef struct Floor {
        char **paths;
        GHashTable *objects; /* path -> path */
} Floor;

static int get_text(sd_bus *bus, const char *path, const char *interface, const char *property,
                    sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        return sd_bus_message_append_basic(reply, 's', "0000:11:00.4");
}

static int get_path(sd_bus *bus, const char *path, const char *interface, const char *property,
                    sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        return sd_bus_message_append_basic(reply, 'o', ROOT "/gpu/_30000_3a11_3a00_2e0");
}

static int get_number(sd_bus *bus, const char *path, const char *interface, const char *property,
                      sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        static const uint64_t number = UINT64_C(1) << 30;

        return sd_bus_message_append_basic(reply, 't', &number);
}

static int get_group(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        static const int group = 12;

        return sd_bus_message_append_basic(reply, 'i', &group);
}

static int get_pairs(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        int r = sd_bus_message_open_container(reply, 'a', "(ss)");

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

#define PROPERTY(name, signature, getter) SD_BUS_PROPERTY(name, signature, getter, 0, 0)
static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        PROPERTY("Uuid", "s", get_text),
        PROPERTY("Name", "s", get_text),
        PROPERTY("Gpu", "o", get_path),
        PROPERTY("Parent", "s", get_text),
        PROPERTY("Slot", "s", get_text),
        PROPERTY("Type", "s", get_text),
        PROPERTY("TypeName", "s", get_text),
        PROPERTY("DeviceApi", "s", get_text),
        PROPERTY("Driver", "s", get_text),
        PROPERTY("Origin", "s", get_text),
        PROPERTY("State", "s", get_text),
        PROPERTY("Owner", "s", get_text),
        PROPERTY("CreatedUsec", "t", get_number),
        PROPERTY("SysfsPath", "s", get_text),
        PROPERTY("IommuGroup", "i", get_group),
        PROPERTY("MemoryBytes", "t", get_number),
        PROPERTY("Attributes", "a(ss)", get_pairs),
        PROPERTY("Job", "o", get_path),
        SD_BUS_VTABLE_END,
};

static int find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret,
                sd_bus_error *ret_error)
{
        *ret = g_hash_table_lookup(((Floor *)userdata)->objects, path);

        return *ret ? 1 : 0;
}

static int enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret, sd_bus_error *ret_error)
{
        *ret = g_strdupv(((Floor *)userdata)->paths);

        return 1;
}

int main(int argc, char **argv)
{
        Floor floor = { 0 };
        sd_event *event;
        guint64 n;
        sd_bus *bus;
        int r;

        if (argc != 2 || !g_ascii_string_to_unsigned(argv[1], 10, 1, 100000, &n, NULL)) {
                fputs("measure-floor N\n", stderr);
                return EXIT_FAILURE;
        }

        floor.paths = g_new0(char *, n + 1);
        floor.objects = g_hash_table_new(g_str_hash, g_str_equal);
        for (guint64 i = 0; i < n; i++) {
                floor.paths[i] = g_strdup_printf(ROOT "/instance/%08x_0000_4000_8000_%012x", (unsigned)i,
                                                 (unsigned)i);
                g_hash_table_add(floor.objects, floor.paths[i]);
        }

        r = sd_event_default(&event);
        if (r >= 0)
                r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_bus_add_object_manager(bus, NULL, ROOT);
        if (r >= 0)
                r = sd_bus_add_fallback_vtable(bus, NULL, ROOT "/instance", SERVICE ".Instance", vtable, find,
                                               &floor);
        if (r >= 0)
                r = sd_bus_add_node_enumerator(bus, NULL, ROOT "/instance", enumerate, &floor);
        if (r >= 0)
                r = sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_event_add_signal(event, NULL, SIGTERM | SD_EVENT_SIGNAL_PROCMASK, NULL, NULL);
        if (r >= 0)
                r = sd_bus_request_name(bus, SERVICE, 0);
        if (r >= 0)
                r = sd_event_loop(event);

        if (r < 0)
                fprintf(stderr, "measure-floor: %s\n", g_strerror(-r));

        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
