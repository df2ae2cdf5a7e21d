/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Two ends of a socketpair in one event loop: on one the objects of dbus/ with the fake model, on the other a
 * client that also plays polkit. No bus daemon, no second process, no clock: the loop is run until nothing is
 * left to do. */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "dbus/bus-authz.h"
#include "dbus/bus-names.h"
#include "dbus/bus.h"
#include "model-fake.h"

#define UUID_A     "aaaaaaaa-0000-4000-8000-00000000000a"
#define UUID_B     "bbbbbbbb-0000-4000-8000-00000000000b"
#define PATH_A     VGPUD_PATH_INSTANCE "/aaaaaaaa_0000_4000_8000_00000000000a"
#define PATH_B     VGPUD_PATH_INSTANCE "/bbbbbbbb_0000_4000_8000_00000000000b"
#define PATH_GPU   VGPUD_PATH_GPU "/mdpy"
#define UID_A_USER 65534U /* who the tests that run as root pretend to be */

typedef enum PolkitPlay {
        POLKIT_SAYS_YES,
        POLKIT_SAYS_NO,
        POLKIT_SAYS_CHALLENGE,
        POLKIT_SAYS_DISMISSED,
        POLKIT_SAYS_NONSENSE, /* an answer of another type */
        POLKIT_FAILS,         /* a D-Bus error */
        POLKIT_THINKS,        /* no answer before fixture_polkit_answers() */
} PolkitPlay;

typedef struct Fixture {
        sd_event *event;
        sd_bus *server, *client;
        Model *model;
        Bus *bus;
        uid_t uid; /* whom the server takes the client for */
        Gpu *gpu;  /* "mdpy", with instance A of `uid`, named "desk", and B of somebody else's making */
        Instance *a, *b;

        PolkitPlay polkit;
        unsigned asked;  /* how often CheckAuthorization was called */
        char *question;  /* the last one as text: "ACTION sender flags key=value key=value …" */
        GQueue thinking; /* sd_bus_message, ref: questions not answered yet */

        GString *log; /* what the client received, one word each: "reply", "error", "JobRemoved", "+path", … */
} Fixture;

typedef struct Call {
        Fixture *fixture;
        sd_bus_slot *slot;
        sd_bus_message *reply; /* ref; NULL: none yet */
} Call;

Fixture *fixture_new(uid_t uid);
Fixture *fixture_free(Fixture *f);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Fixture, fixture_free)

/* Run the loop until it has nothing to do. */
void fixture_settle(Fixture *f);
/* The client closes its end. */
void fixture_client_leaves(Fixture *f);
void fixture_polkit_answers(Fixture *f, PolkitPlay answer);

/* A method call from ":1.7"; types as for sd_bus_message_append(). The reply is there after fixture_settle().
 */
typedef enum CallFlags {
        CALL_INTERACTIVE = 1 << 0,
        CALL_NAMELESS = 1 << 1, /* without a sender */
} CallFlags;
Call *call_start(Fixture *f, CallFlags flags, const char *path, const char *interface, const char *member,
                 const char *types, ...);
/* The same for a message that the test has made. */
Call *call_send(Fixture *f, sd_bus_message *m);
Call *call_free(Call *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Call, call_free)

/* The reply as text: "o \"/org/…\"", or the error: "org.vgpud1.Error.Foreign: text"; "" when there is none yet.
 */
char *call_text(Call *c);
/* Start, settle, text. */
#define CALL_TEXT(f, flags, path, interface, member, ...)                                        \
        ({                                                                                       \
                g_autoptr(Call) _c = call_start(f, flags, path, interface, member, __VA_ARGS__); \
                fixture_settle(f);                                                               \
                call_text(_c);                                                                   \
        })

/* Compare with the text of a call and free it. */
#define assert_call(expected, ...)                            \
        do {                                                  \
                g_autofree char *_t = CALL_TEXT(__VA_ARGS__); \
                g_assert_cmpstr(_t, ==, expected);            \
        } while (0)

/* The whole content of a message, from its beginning, as text. */
char *message_text(sd_bus_message *m);

/* Make one end of a socketpair a server, the other a client, and attach both. */
void make_pair(sd_event *event, sd_bus **server, sd_bus **client);
