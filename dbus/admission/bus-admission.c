/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dbus/admission/bus-admission.h"

#include <sys/ioctl.h>

#include "base/log.h"
#include "dbus/admission/bus-call.h"
#include "dbus/admission/bus-line.h"
#include "dbus/admission/bus-places.h"
#include "dbus/admission/bus-unread.h"

/* The priority of the end of a turn: after vgpud has served the call, and before it reads the next message. */
#define TURN_END_PRIORITY (SD_EVENT_PRIORITY_NORMAL - 10)
/* A call of root waits behind all messages that arrived earlier. While messages arrive faster than vgpud reads
 * them, vgpud only reads messages after each turn, for READ_SHARE times the length of the turn. */
#define READ_SHARE   7U
#define BEHIND_BYTES 4096
#define REFUSED_USEC USEC_PER_MSEC
/* Longest time that vgpud reads without handling other events. */
#define DRAIN_USEC (5 * USEC_PER_MSEC)

/* A call that waits. */
typedef struct Kept {
        BusAdmission *admission; /* borrowed */
        sd_bus_message *call;    /* ref; a copy, and the key in `kept` */
        size_t bytes;
        bool has_user;
        uid_t uid; /* if has_user */
        bool in_line;
        BusWatch *watch; /* owned; NULL: the uid is not known yet, or bus_callers_watch() returned NULL */
        BusLeft left;   /* called if the caller of a held call leaves; NULL: not held, so the call is dropped */
        void *userdata; /* of `left` */
} Kept;

/* A sender whose uid vgpud has asked the bus for. */
typedef struct Unknown {
        GQueue calls; /* Kept, borrowed, in order */
        size_t bytes;
} Unknown;

struct BusAdmission {
        sd_bus *bus; /* borrowed */
        bool is_client;
        sd_bus_slot *filter;   /* owned */
        BusCallers *callers;   /* owned */
        BusUnread *unread;     /* owned */
        GHashTable *kept;      /* sd_bus_message -> Kept, owned */
        BusPlaces *places;     /* owned */
        BusRefusals *refusals; /* owned */
        GHashTable *unknown;   /* sender -> Unknown, owned */
        size_t unknown_calls, unknown_bytes;
        GHashTable *dispatched; /* sd_bus_message, ref: enqueued again; the filter lets them pass */

        BusLine *line; /* Kept of users whose turn will come */
        sd_event_source *turn_end, *next, *drain;
        uint64_t turn_began_usec;   /* 0: no turn */
        uint64_t closed_until_usec; /* vgpud only reads messages until then, and no turn begins */
};

static uint64_t admission_now(void)
{
        return (uint64_t)g_get_monotonic_time();
}

/* ---- calls that wait ---- */

static void kept_take_place(Kept *k, uid_t uid)
{
        g_assert(!k->has_user);

        k->has_user = true;
        k->uid = uid;
        bus_places_take(k->admission->places, uid, k->bytes);
}

static void kept_free(gpointer p)
{
        Kept *k = p;

        if (k->in_line)
                bus_line_remove(k->admission->line, k->uid, k);
        if (k->has_user)
                bus_places_leave(k->admission->places, k->uid, k->bytes);
        bus_watch_free(k->watch);
        sd_bus_message_unref(k->call);
        g_free(k);
}

static void kept_drop(Kept *k)
{
        assert_se(g_hash_table_remove(k->admission->kept, k->call));
}

static void kept_on_left(void *userdata)
{
        Kept *k = userdata;

        if (k->left)
                k->left(k->userdata);
        else
                kept_drop(k);
}

static int admission_copy(BusAdmission *a, sd_bus_message *call, Kept **ret, VgpudError *reterr)
{
        sd_bus_message *copy = NULL;
        size_t bytes;
        Kept *k;
        int r;

        r = bus_call_measure(call, BUS_CALL_SIZE_MAX, &bytes);
        if (r >= 0)
                r = bus_call_copy(call, &copy);
        if (r < 0)
                return bus_call_unreadable(r, reterr);

        k = g_new(Kept, 1);
        *k = (Kept){ .admission = a, .call = copy, .bytes = bytes };
        assert_se(g_hash_table_insert(a->kept, copy, k));
        *ret = k;

        return 0;
}

/* ---- unread answers ---- */

/* Check whether vgpud may answer the call of a user. Returns 1 if so, and 0 if the call must be dropped. */
static int admission_check_unread(BusAdmission *a, sd_bus_message *call, VgpudError *reterr)
{
        BusUnreadState state = bus_call_is_silent(call) ? BUS_UNREAD_FEW : bus_unread_count(a->unread);

        if (state == BUS_UNREAD_MANY)
                return vgpud_error_setf(reterr, VGPUD_ERROR_TOO_MANY_CALLS,
                                        "too many answers of vgpud are unread on the bus");

        return state == BUS_UNREAD_FEW ? 1 : 0;
}

/* ---- turns ---- */

/* True if a dozen calls or more are unread: a call of root behind them would wait noticeably. */
static bool admission_is_behind(const BusAdmission *a)
{
        int fd = sd_bus_get_fd(a->bus), n = 0;

        return fd >= 0 && ioctl(fd, FIONREAD, &n) >= 0 && n > BEHIND_BYTES;
}

static void admission_arm_next(BusAdmission *a)
{
        uint64_t usec = MAX(a->closed_until_usec, 1);

        if (a->turn_began_usec > 0 || bus_line_is_empty(a->line) || bus_unread_is_due(a->unread))
                return;

        (void)sd_event_source_set_time(a->next, usec);
        (void)sd_event_source_set_enabled(a->next, SD_EVENT_ONESHOT);
}

static void on_unread_told(void *userdata)
{
        admission_arm_next(userdata);
}

static void admission_begin_turn(BusAdmission *a)
{
        if (!a->is_client)
                return;

        a->turn_began_usec = admission_now();
        (void)sd_event_source_set_enabled(a->turn_end, SD_EVENT_ONESHOT);
}

static int on_turn_end(sd_event_source *s, void *userdata)
{
        BusAdmission *a = userdata;
        uint64_t now = admission_now();

        g_assert(a->turn_began_usec > 0);

        a->closed_until_usec = admission_is_behind(a) ? now + READ_SHARE * (now - a->turn_began_usec) : 0;
        a->turn_began_usec = 0;

        if (a->closed_until_usec > 0)
                (void)sd_event_source_set_enabled(a->drain, SD_EVENT_ONESHOT);
        admission_arm_next(a);

        return 0;
}

/* Read many messages in one iteration of the event loop, because an iteration costs more than the refusal of a
 * message. */
static int on_drain(sd_event_source *s, void *userdata)
{
        BusAdmission *a = userdata;
        uint64_t now = admission_now(), end = MIN(now + DRAIN_USEC, a->closed_until_usec);

        /* If the connection has ended, its own event source finds out. */
        while (a->turn_began_usec == 0 && now < end && sd_bus_process(a->bus, NULL) > 0)
                now = admission_now();

        if (a->turn_began_usec == 0 && now < a->closed_until_usec && admission_is_behind(a))
                (void)sd_event_source_set_enabled(a->drain, SD_EVENT_ONESHOT);

        return 0;
}

/* True if a new call must wait for its turn. */
static bool admission_is_busy(const BusAdmission *a)
{
        return !bus_line_is_empty(a->line) || bus_unread_is_due(a->unread) ||
               g_hash_table_size(a->dispatched) > 0 ||
               (a->closed_until_usec > 0 && admission_now() < a->closed_until_usec);
}

static int admission_dispatch(BusAdmission *a, sd_bus_message *call)
{
        int r;

        r = sd_bus_message_rewind(call, true);
        if (r >= 0)
                r = sd_bus_enqueue_for_read(a->bus, call);
        if (r >= 0)
                (void)g_hash_table_add(a->dispatched, sd_bus_message_ref(call));

        return r;
}

/* Dispatch a waiting call, and give its place back. */
static void kept_dispatch(Kept *k)
{
        int r = admission_dispatch(k->admission, k->call);

        if (r < 0) /* the connection is closing */
                log_debug_errno(r, "Failed to dispatch a call again, dropping it: %m");
        kept_drop(k);
}

static int on_next(sd_event_source *s, uint64_t usec, void *userdata)
{
        BusAdmission *a = userdata;
        Kept *k = bus_unread_is_due(a->unread) ? NULL : bus_line_take(a->line, NULL, NULL);

        if (!k)
                return 0;

        /* The turn begins when the filter sees the call. */
        if (!bus_call_is_silent(k->call))
                (void)bus_unread_count(a->unread);
        k->in_line = false;
        kept_dispatch(k);

        return 0;
}

static void kept_queue(Kept *k)
{
        BusAdmission *a = k->admission;

        g_assert(k->has_user && !k->in_line);

        k->watch = bus_callers_watch(a->callers, k->call, kept_on_left, k);
        k->in_line = true;
        bus_line_add(a->line, k->uid, k);
        admission_arm_next(a);
}

/* ---- calls without a uid ---- */

static void unknown_refuse(Kept *k, VgpudErrorCode code, const char *message)
{
        int r;

        bus_admission_log_refusal(k->admission, k->call, NULL, NULL,
                                  &(VgpudError){ .code = code, .message = (char *)message });
        if (!bus_call_is_silent(k->call)) {
                r = sd_bus_reply_method_errorf(k->call, vgpud_error_code_to_dbus(code), "%s", message);
                if (r < 0)
                        log_debug_errno(r, "Failed to refuse a call, ignoring: %m");
        }

        kept_drop(k);
}

static void unknown_decide(Kept *k, uid_t uid, int error)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        BusAdmission *a = k->admission;
        int r;

        a->unknown_calls--;
        a->unknown_bytes -= k->bytes;

        if (error < 0) {
                unknown_refuse(k, VGPUD_ERROR_NOT_AUTHORIZED, "the bus did not report the user of the caller");
                return;
        }

        if (uid == 0) {
                kept_dispatch(k);
                return;
        }

        r = admission_check_unread(a, k->call, &e);
        if (r > 0) {
                r = bus_places_check(a->places, uid, k->bytes, &e);
                r = r < 0 ? r : 1;
        }

        if (r < 0) {
                unknown_refuse(k, e.code, e.message);
                return;
        }
        if (r == 0) {
                kept_drop(k);
                return;
        }

        kept_take_place(k, uid);
        kept_queue(k);
}

static void on_identified(const char *name, uid_t uid, int error, void *userdata)
{
        BusAdmission *a = userdata;
        Unknown *u = g_hash_table_lookup(a->unknown, name);
        Kept *k;

        if (!u)
                return;

        while ((k = g_queue_pop_head(&u->calls)))
                unknown_decide(k, uid, error);

        assert_se(g_hash_table_remove(a->unknown, name));
}

static void unknown_free(gpointer p)
{
        Unknown *u = p;

        g_queue_clear(&u->calls);
        g_free(u);
}

/* The sender with the most waiting bytes; NULL: no sender has more than `bytes`. */
static Unknown *unknown_find_largest(const BusAdmission *a, size_t bytes)
{
        GHashTableIter iter;
        Unknown *u, *largest = NULL;

        g_hash_table_iter_init(&iter, a->unknown);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&u))
                if (u->bytes > (largest ? largest->bytes : bytes))
                        largest = u;

        return largest;
}

/* Make a place for the first call of a sender, who may be root, by refusing calls of other senders. Returns
 * true if there is a place. */
static bool unknown_make_place(BusAdmission *a, size_t bytes)
{
        Unknown *u;

        while (a->unknown_bytes + bytes > BUS_UNKNOWN_BYTES_MAX && (u = unknown_find_largest(a, bytes))) {
                Kept *k = g_queue_pop_tail(&u->calls);

                u->bytes -= k->bytes;
                a->unknown_bytes -= k->bytes;
                a->unknown_calls--;
                unknown_refuse(k, VGPUD_ERROR_TOO_MANY_CALLS,
                               "the calls of unknown callers have too many bytes, and this caller has the most");
        }

        return a->unknown_bytes + bytes <= BUS_UNKNOWN_BYTES_MAX;
}

static bool unknown_has_place(BusAdmission *a, const Unknown *u, size_t bytes)
{
        if (!u || u->calls.length == 0)
                return bytes <= BUS_UNKNOWN_SMALL || unknown_make_place(a, bytes);

        return a->unknown_bytes + bytes <= BUS_UNKNOWN_BYTES_MAX &&
               bus_share_allows(u->calls.length, BUS_UNKNOWN_PER_SENDER_MAX, a->unknown_calls, BUS_UNKNOWN_MAX);
}

/* Keep the call until the bus has reported the uid of its sender. */
static int admission_ask(BusAdmission *a, sd_bus_message *call, VgpudError *reterr)
{
        const char *sender = sd_bus_message_get_sender(call);
        Unknown *u = sender ? g_hash_table_lookup(a->unknown, sender) : NULL;
        size_t bytes;
        Kept *k;
        int r;

        r = sender ? bus_call_measure(call, BUS_CALL_SIZE_MAX, &bytes) : -ENXIO;
        if (r >= 0)
                r = bus_callers_ask(a->callers, sender);
        if (r >= 0 && !unknown_has_place(a, u, bytes))
                return vgpud_error_setf(reterr, VGPUD_ERROR_TOO_MANY_CALLS,
                                        "no place is free for another call of the unidentified sender %s",
                                        sender);
        if (r < 0)
                return vgpud_error_set_errnof(reterr, VGPUD_ERROR_NOT_AUTHORIZED, r,
                                              "failed to identify the caller: %s", g_strerror(-r));

        r = admission_copy(a, call, &k, reterr);
        if (r < 0)
                return r;

        if (!u) {
                u = g_new0(Unknown, 1);
                g_queue_init(&u->calls);
                (void)g_hash_table_insert(a->unknown, g_strdup(sender), u);
        }

        g_queue_push_tail(&u->calls, k);
        u->bytes += k->bytes;
        a->unknown_calls++;
        a->unknown_bytes += k->bytes;

        return 0;
}

/* ---- the filter ---- */

/* Let the call of an identified user wait for its turn. */
static int admission_wait(BusAdmission *a, sd_bus_message *call, uid_t uid, VgpudError *reterr)
{
        size_t bytes;
        Kept *k;
        int r;

        r = bus_call_measure(call, BUS_CALL_SIZE_MAX, &bytes);
        if (r < 0)
                return bus_call_unreadable(r, reterr);

        r = bus_places_check(a->places, uid, bytes, reterr);
        if (r < 0)
                return r;

        r = admission_copy(a, call, &k, reterr);
        if (r < 0)
                return r;

        kept_take_place(k, uid);
        kept_queue(k);

        return 0;
}

/* Let only root write properties. sd-bus would check this as well, but with a synchronous call to the bus for
 * each attempt. Returns 1 if the call may pass, and 0 if it waits for the uid of its sender. */
static int admission_check_write(BusAdmission *a, sd_bus_message *call, VgpudError *reterr)
{
        uid_t uid;

        if (sd_bus_message_is_method_call(call, "org.freedesktop.DBus.Properties", "Set") <= 0)
                return 1;

        if (bus_callers_get(a->callers, call, &uid) <= 0)
                return admission_ask(a, call, reterr);

        if (uid != 0 && uid != geteuid())
                return vgpud_error_setf(reterr, VGPUD_ERROR_NOT_AUTHORIZED, "only root may write properties");

        return 1;
}

/* Go on reading at once, because more calls are likely to follow a refused call. */
static void admission_hurry(BusAdmission *a)
{
        uint64_t now = admission_now();

        if (!a->is_client || now < a->closed_until_usec)
                return;

        a->closed_until_usec = now + REFUSED_USEC;
        (void)sd_event_source_set_enabled(a->drain, SD_EVENT_ONESHOT);
}

/* Decide about a new call. Returns 1 if the call passes, and 0 if it waits or is dropped. */
static int admission_decide(BusAdmission *a, sd_bus_message *call, VgpudError *reterr)
{
        const char *sender = sd_bus_message_get_sender(call);
        bool known;
        uid_t uid;
        int r;

        r = bus_call_check(call, reterr);
        if (r < 0)
                return r;

        r = admission_check_write(a, call, reterr);
        if (r <= 0 || !a->is_client)
                return r;

        known = bus_callers_get(a->callers, call, &uid) > 0;
        if (known && uid == 0)
                return 1;

        /* Calls of a sender stay in order. */
        if (!known && sender && g_hash_table_contains(a->unknown, sender))
                return admission_ask(a, call, reterr);

        if (known || !bus_unread_is_many(a->unread)) {
                r = admission_check_unread(a, call, reterr);
                if (r <= 0)
                        return r;

                if (!admission_is_busy(a)) {
                        admission_begin_turn(a);
                        return 1;
                }
        }

        return known ? admission_wait(a, call, uid, reterr) : admission_ask(a, call, reterr);
}

static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
        BusAdmission *a = userdata;
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        uint8_t type;
        uid_t uid;
        int r;

        if (sd_bus_message_get_type(m, &type) < 0 || type != SD_BUS_MESSAGE_METHOD_CALL)
                return 0;

        if (g_hash_table_remove(a->dispatched, m)) {
                if (bus_callers_get(a->callers, m, &uid) <= 0 || uid != 0)
                        admission_begin_turn(a);
                r = admission_check_write(a, m, &e);
        } else
                r = admission_decide(a, m, &e);
        if (r < 0) {
                bus_admission_log_refusal(a, m, NULL, NULL, &e);
                admission_hurry(a);
                if (bus_call_is_silent(m))
                        return 1;
                sd_bus_error_set(ret_error, vgpud_error_code_to_dbus(e.code), e.message);
                return r;
        }

        return r == 0;
}

/* ---- for handlers ---- */

int bus_admission_identify(BusAdmission *a, sd_bus_message *call, uid_t *ret, VgpudError *reterr)
{
        int r;

        if (bus_callers_get(a->callers, call, ret) > 0) {
                r = g_hash_table_contains(a->kept, call) ? 0 : bus_places_check(a->places, *ret, 0, reterr);

                return r < 0 ? r : 1;
        }

        r = admission_ask(a, call, reterr);

        return r < 0 ? r : 0;
}

void bus_admission_log_refusal(BusAdmission *a, sd_bus_message *call, const char *action,
                               const char *const *details, const VgpudError *e)
{
        bus_refusals_log_call(a->refusals, a->callers, call, action, details, e);
}

int bus_admission_hold(BusAdmission *a, sd_bus_message *call, uid_t uid, BusLeft left, void *userdata,
                       sd_bus_message **ret, VgpudError *reterr)
{
        Kept *k;
        int r;

        g_assert(left);

        r = admission_copy(a, call, &k, reterr);
        if (r < 0)
                return r;

        r = bus_places_check(a->places, uid, k->bytes, reterr);
        if (r < 0) {
                kept_drop(k);
                return r;
        }

        kept_take_place(k, uid);
        k->left = left;
        k->userdata = userdata;
        k->watch = bus_callers_watch(a->callers, call, kept_on_left, k);
        *ret = k->call;

        return 0;
}

void bus_admission_release(BusAdmission *a, sd_bus_message *held)
{
        Kept *k = g_hash_table_lookup(a->kept, held);

        g_assert(k && k->left);

        kept_drop(k);
}

int bus_admission_dispatch(BusAdmission *a, sd_bus_message *held)
{
        g_assert(g_hash_table_contains(a->kept, held));

        return admission_dispatch(a, held);
}

BusWatch *bus_admission_watch(BusAdmission *a, sd_bus_message *call, BusLeft left, void *userdata)
{
        return bus_callers_watch(a->callers, call, left, userdata);
}

/* ---- begin and end ---- */

DEFINE_DESTROY_NOTIFY(message_destroy, sd_bus_message_unref)

static int admission_set_up(BusAdmission *a)
{
        sd_event *event = sd_bus_get_event(a->bus);
        int r;

        g_assert(event);

        r = bus_callers_new(a->bus, on_identified, a, &a->callers);
        if (r >= 0)
                r = sd_event_add_defer(event, &a->turn_end, on_turn_end, a);
        if (r >= 0)
                r = sd_event_source_set_enabled(a->turn_end, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_source_set_priority(a->turn_end, TURN_END_PRIORITY);
        if (r >= 0)
                r = sd_event_add_time(event, &a->next, CLOCK_MONOTONIC, 0, 1, on_next, a);
        if (r >= 0)
                r = sd_event_source_set_enabled(a->next, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_defer(event, &a->drain, on_drain, a);
        if (r >= 0)
                r = sd_event_source_set_enabled(a->drain, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_bus_add_filter(a->bus, &a->filter, on_message, a);

        return r;
}

int bus_admission_new(sd_bus *bus, BusAdmission **ret)
{
        BusAdmission *a = g_new0(BusAdmission, 1);
        int r;

        a->bus = bus;
        a->is_client = sd_bus_is_bus_client(bus) > 0;
        a->kept = g_hash_table_new_full(NULL, NULL, NULL, kept_free);
        a->places = bus_places_new();
        a->refusals = bus_refusals_new(sd_bus_get_event(bus), BUS_REFUSALS_PERIOD_SEC * USEC_PER_SEC);
        a->unknown = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, unknown_free);
        a->dispatched = g_hash_table_new_full(NULL, NULL, message_destroy, NULL);
        a->line = bus_line_new();
        a->unread = bus_unread_new(bus, on_unread_told, a);

        r = admission_set_up(a);
        if (r < 0) {
                bus_admission_free(a);
                return r;
        }

        *ret = a;

        return 0;
}

BusAdmission *bus_admission_free(BusAdmission *a)
{
        if (!a)
                return NULL;

        sd_bus_slot_unref(a->filter);
        g_hash_table_unref(a->kept);
        g_hash_table_unref(a->unknown);
        g_hash_table_unref(a->dispatched);
        bus_places_free(a->places);
        bus_refusals_free(a->refusals);
        bus_line_free(a->line);
        bus_callers_free(a->callers);
        bus_unread_free(a->unread);
        sd_event_source_disable_unref(a->turn_end);
        sd_event_source_disable_unref(a->next);
        sd_event_source_disable_unref(a->drain);
        g_free(a);

        return NULL;
}
