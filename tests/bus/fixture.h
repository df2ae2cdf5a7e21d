/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Two ends of a socketpair in one event loop. One end has the objects of dbus/ with the fake model, the
 * other is a client that also plays polkit. There is no bus daemon and no second process. The loop runs
 * until nothing is left to do. */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "dbus/bus-authz.h"
#include "dbus/bus-names.h"
#include "dbus/bus.h"
#include "model-fake.h"

#define UUID_A     "aaaaaaaa-0000-4000-8000-00000000000a"
#define UUID_B     "bbbbbbbb-0000-4000-8000-00000000000b"
#define UUID_C     "cccccccc-0000-4000-8000-00000000000c"
#define PATH_A     VGPUD_PATH_INSTANCE "/aaaaaaaa_0000_4000_8000_00000000000a"
#define PATH_B     VGPUD_PATH_INSTANCE "/bbbbbbbb_0000_4000_8000_00000000000b"
#define PATH_GPU   VGPUD_PATH_GPU "/mdpy"
#define UID_A_USER 65534U /* uid of the client if root runs the tests */

typedef enum PolkitPlay {
        POLKIT_SAYS_YES,
        POLKIT_SAYS_NO,
        POLKIT_SAYS_CHALLENGE,
        POLKIT_SAYS_DISMISSED,
        POLKIT_SAYS_NONSENSE, /* an answer of another type */
        POLKIT_FAILS,         /* a D-Bus error */
        POLKIT_THINKS,        /* no answer until fixture_polkit_answers() */
} PolkitPlay;

typedef struct Fixture {
        sd_event *event;
        sd_bus *server, *client;
        Model *model;
        Bus *bus;
        uid_t uid; /* uid of the client, as the server sees it */
        Gpu *gpu;  /* "mdpy", with instance A of `uid`, named "desk", and the foreign instance B */
        Instance *a, *b;

        PolkitPlay polkit;
        unsigned asked;  /* calls of CheckAuthorization */
        char *question;  /* last question: "ACTION sender flags key=value …" */
        GQueue thinking; /* sd_bus_message, ref: open questions */

        size_t signal_bytes;   /* sum of the bodies of all signals */
        size_t largest_signal; /* body of the largest signal */
        unsigned signals;
        GString *log; /* one word per message to the client: "reply", "error", "JobRemoved", "+path", … */
} Fixture;

typedef struct Call {
        Fixture *fixture;
        sd_bus_slot *slot;
        sd_bus_message *reply; /* ref; NULL: none yet */
} Call;

Fixture *fixture_new(uid_t uid);
Fixture *fixture_free(Fixture *f);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Fixture, fixture_free)

/* Run the event loop until it is idle. */
void fixture_settle(Fixture *f);
/* The client closes its end. */
void fixture_client_leaves(Fixture *f);
void fixture_polkit_answers(Fixture *f, PolkitPlay answer);

typedef enum CallFlags {
        CALL_INTERACTIVE = 1 << 0,
        CALL_NAMELESS = 1 << 1, /* no sender */
} CallFlags;
/* Send a method call as ":1.7"; types as for sd_bus_message_append(). The reply arrives in fixture_settle(). */
Call *call_start(Fixture *f, CallFlags flags, const char *path, const char *interface, const char *member,
                 const char *types, ...);
/* Send a message that the test has made. */
Call *call_send(Fixture *f, sd_bus_message *m);
Call *call_free(Call *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Call, call_free)

/* The reply as text, or the error: "org.vgpud1.Error.Foreign: text", with details "…: \"text\" [dictionary]";
 * "" if there is none yet. */
char *call_text(Call *c);
/* Start a call, run the loop until it is idle, and return the text of the reply. */
#define CALL_TEXT(...) CALL_TEXT_EXPANDED(__VA_ARGS__)
#define CALL_TEXT_EXPANDED(f, flags, path, interface, member, ...)                               \
        ({                                                                                       \
                g_autoptr(Call) _c = call_start(f, flags, path, interface, member, __VA_ARGS__); \
                fixture_settle(f);                                                               \
                call_text(_c);                                                                   \
        })

/* Compare the text of a call with `expected`. */
#define assert_call(expected, ...)                            \
        do {                                                  \
                g_autofree char *_t = CALL_TEXT(__VA_ARGS__); \
                g_assert_cmpstr(_t, ==, expected);            \
        } while (0)

/* The call fails with this error, given as "InvalidArgs". */
#define assert_error(error, ...)                                                         \
        do {                                                                             \
                g_autofree char *_t = CALL_TEXT(__VA_ARGS__);                            \
                if (!g_str_has_prefix(_t, "org.vgpud1.Error." error ": "))               \
                        g_error("%s:%d: got %s, not %s", __FILE__, __LINE__, _t, error); \
        } while (0)

/* The text contains `part`. */
#define assert_contains(text, part)                                                         \
        do {                                                                                \
                if (!strstr(text, part))                                                    \
                        g_error("%s:%d: %s is not in: %s", __FILE__, __LINE__, part, text); \
        } while (0)

/* The whole content of a message, from its beginning, as text. */
char *message_text(sd_bus_message *m);

/* The size of the body in bytes, as marshalled for the bus. */
size_t message_body_size(sd_bus_message *m);

/* Make one end of a socketpair a server, the other a client, and attach both. */
void make_pair(sd_event *event, sd_bus **server, sd_bus **client);
