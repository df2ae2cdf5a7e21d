/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Prints one element <nodes> with an element <node name="PATH"> for an object of each kind, and with the
 * actions. Takes no arguments. tests/checks/api-in-step.py compares the output with the XML in dbus/. */

#include <stdio.h>
#include <string.h>

#include "fixture.h"

/* Prints <action method="METHOD" name="ACTION"/> for each action in the property Actions. */
static void print_actions(Fixture *f)
{
        g_autoptr(Call) c = call_start(f, 0, VGPUD_PATH_ROOT, "org.freedesktop.DBus.Properties", "Get", "ss",
                                       VGPUD_INTERFACE_MANAGER, "Actions");
        const char *method, *action;

        fixture_settle(f);
        g_assert_cmpint(sd_bus_message_enter_container(c->reply, 'v', "a{sas}"), >, 0);
        g_assert_cmpint(sd_bus_message_enter_container(c->reply, 'a', "{sas}"), >, 0);

        while (sd_bus_message_enter_container(c->reply, 'e', "sas") > 0) {
                g_assert_cmpint(sd_bus_message_read_basic(c->reply, 's', &method), >, 0);
                g_assert_cmpint(sd_bus_message_enter_container(c->reply, 'a', "s"), >, 0);

                while (sd_bus_message_read_basic(c->reply, 's', &action) > 0)
                        printf("<action method=\"%s\" name=\"%s\"/>", method, action);
                g_assert_cmpint(sd_bus_message_exit_container(c->reply), >=, 0);
                g_assert_cmpint(sd_bus_message_exit_container(c->reply), >=, 0);
        }
}

int main(void)
{
        static const char *const objects[] = { VGPUD_PATH_ROOT, PATH_GPU, PATH_A, VGPUD_PATH_JOB "/1",
                                               "/org/freedesktop/LogControl1" };
        g_autoptr(Fixture) f = fixture_new(UID_A_USER);

        fake_model_add_job(f->gpu, &fake_kind_rescan, 0);
        puts("<nodes>");

        for (size_t i = 0; i < G_N_ELEMENTS(objects); i++) {
                g_autoptr(Call) c = call_start(f, 0, objects[i], "org.freedesktop.DBus.Introspectable",
                                               "Introspect", "");
                const char *xml;

                fixture_settle(f);
                g_assert_cmpint(sd_bus_message_read_basic(c->reply, 's', &xml), >, 0);
                xml = strstr(xml, "<node>");
                g_assert_nonnull(xml);
                printf("<node name=\"%s\">%s", objects[i], xml + strlen("<node>"));
        }

        print_actions(f);
        puts("</nodes>");

        return 0;
}
