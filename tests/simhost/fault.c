/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Faults; see fault.h. They have a lock of their own, because a hanging request must not hold the lock of the
 * tree. */

#include "simhost/fault.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

typedef enum FaultAction {
        ACTION_ERRNO,
        ACTION_DELAY,
        ACTION_HANG,
} FaultAction;

typedef struct Fault {
        FaultOp op;
        char *object;
        FaultAction action;
        unsigned value; /* errno, or milliseconds */
        bool counted;   /* false: the fault stays */
        unsigned remaining;
        char *specification;
} Fault;

static const char *const op_names[_FAULT_OP_MAX] = {
        [FAULT_CREATE] = "create", [FAULT_REMOVE] = "remove", [FAULT_LINK] = "link",
        [FAULT_READ] = "read",     [FAULT_WRITE] = "write",   [FAULT_OPEN] = "open",
        [FAULT_PROBE] = "probe",   [FAULT_ENABLE] = "enable", [FAULT_DISABLE] = "disable",
};

static const struct {
        int error;
        const char *name;
} errno_names[] = {
        { EPERM, "EPERM" },         { ENOENT, "ENOENT" },       { EIO, "EIO" },
        { ENXIO, "ENXIO" },         { E2BIG, "E2BIG" },         { EAGAIN, "EAGAIN" },
        { ENOMEM, "ENOMEM" },       { EACCES, "EACCES" },       { EFAULT, "EFAULT" },
        { EBUSY, "EBUSY" },         { EEXIST, "EEXIST" },       { ENODEV, "ENODEV" },
        { EINVAL, "EINVAL" },       { ENOTTY, "ENOTTY" },       { ENOSPC, "ENOSPC" },
        { ERANGE, "ERANGE" },       { EUSERS, "EUSERS" },       { EOPNOTSUPP, "EOPNOTSUPP" },
        { ETIMEDOUT, "ETIMEDOUT" }, { ECANCELED, "ECANCELED" }, { EUCLEAN, "EUCLEAN" },
        { EINTR, "EINTR" },         { EMFILE, "EMFILE" },       { EROFS, "EROFS" },
        { EISDIR, "EISDIR" },       { ENOTDIR, "ENOTDIR" },     { ENOKEY, "ENOKEY" },
        { EPROTO, "EPROTO" },       { ESTALE, "ESTALE" },       { EALREADY, "EALREADY" },
        { EDQUOT, "EDQUOT" },       { ENODATA, "ENODATA" },     { EOVERFLOW, "EOVERFLOW" },
        { ENOSYS, "ENOSYS" },       { ESRCH, "ESRCH" },
};

static GMutex lock;
static GCond released;
static GPtrArray *faults;
static unsigned generation; /* counts the releases */
static unsigned hanging;    /* requests that hang since the last release */
static bool shutting_down;
static FaultAliasFunc alias_func;

void fault_set_alias(FaultAliasFunc alias)
{
        alias_func = alias;
}

const char *fault_errno_name(int error)
{
        g_autofree char *number = NULL;

        for (size_t i = 0; i < G_N_ELEMENTS(errno_names); i++)
                if (errno_names[i].error == error)
                        return errno_names[i].name;

        number = g_strdup_printf("%d", error);

        return g_intern_string(number);
}

int fault_errno_from_name(const char *name)
{
        for (size_t i = 0; i < G_N_ELEMENTS(errno_names); i++)
                if (g_str_equal(errno_names[i].name, name))
                        return errno_names[i].error;

        return -EINVAL;
}

static void fault_free(void *data)
{
        Fault *fault = data;

        g_free(fault->object);
        g_free(fault->specification);
        g_free(fault);
}

static int fault_parse_number(const char *text, unsigned *ret)
{
        guint64 value;

        if (!g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT, &value, NULL))
                return -EINVAL;

        *ret = (unsigned)value;

        return 0;
}

static int parse_action(const char *text, Fault *fault)
{
        int r;

        if (g_str_equal(text, "hang")) {
                fault->action = ACTION_HANG;
                return 0;
        }

        if (g_str_has_prefix(text, "delay=")) {
                fault->action = ACTION_DELAY;
                return fault_parse_number(text + strlen("delay="), &fault->value);
        }

        if (g_str_has_prefix(text, "errno=")) {
                fault->action = ACTION_ERRNO;
                r = fault_errno_from_name(text + strlen("errno="));
                if (r < 0)
                        return r;

                fault->value = (unsigned)r;
                return 0;
        }

        return -EINVAL;
}

static FaultOp op_from_string(const char *text)
{
        for (int op = 0; op < _FAULT_OP_MAX; op++)
                if (g_str_equal(op_names[op], text))
                        return (FaultOp)op;

        return _FAULT_OP_INVALID;
}

/* The object may hold colons ("0000:00:02.0"), so the action is looked for from the end. */
static int fault_parse(const char *specification, Fault *fault, char **ret_message)
{
        g_auto(GStrv) parts = g_strsplit(specification, ":", -1);
        guint count = g_strv_length(parts), action = count - 1;

        if (count < 3) {
                *ret_message = g_strdup("a fault is OP:OBJECT:ACTION[:COUNT]");
                return -EINVAL;
        }

        fault->op = op_from_string(parts[0]);
        if (fault->op == _FAULT_OP_INVALID) {
                *ret_message = g_strdup_printf("unknown operation '%s'", parts[0]);
                return -EINVAL;
        }

        if (parse_action(parts[action], fault) < 0) {
                action--;
                fault->counted = true;

                if (action < 2 || fault_parse_number(parts[count - 1], &fault->remaining) < 0 ||
                    parse_action(parts[action], fault) < 0) {
                        *ret_message = g_strdup_printf(
                                        "no action in '%s': errno=NAME, delay=MILLISECONDS or hang",
                                        specification);
                        return -EINVAL;
                }
        }

        g_clear_pointer(&parts[action], g_free);
        fault->object = g_strjoinv(":", parts + 1);

        for (guint i = action + 1; i < count; i++)
                g_clear_pointer(&parts[i], g_free);
        fault->specification = g_strdup(specification);

        return 0;
}

int fault_add(const char *specification, char **ret_message)
{
        Fault *fault = g_new0(Fault, 1);
        int r = fault_parse(specification, fault, ret_message);

        if (r < 0) {
                fault_free(fault);
                return r;
        }

        g_mutex_lock(&lock);
        if (!faults)
                faults = g_ptr_array_new_with_free_func(fault_free);
        g_ptr_array_add(faults, fault);
        g_mutex_unlock(&lock);

        return 0;
}

void fault_clear(void)
{
        g_mutex_lock(&lock);
        if (faults)
                g_ptr_array_set_size(faults, 0);
        g_mutex_unlock(&lock);
}

unsigned fault_release(void)
{
        unsigned waiting;

        g_mutex_lock(&lock);

        for (guint i = faults ? faults->len : 0; i > 0; i--)
                if (((Fault *)faults->pdata[i - 1])->action == ACTION_HANG)
                        g_ptr_array_remove_index(faults, i - 1);

        generation++;
        waiting = hanging;
        hanging = 0;
        g_cond_broadcast(&released);
        g_mutex_unlock(&lock);

        return waiting;
}

void fault_shutdown(void)
{
        g_mutex_lock(&lock);
        shutting_down = true;
        g_cond_broadcast(&released);
        g_mutex_unlock(&lock);
}

unsigned fault_hanging(void)
{
        unsigned now;

        g_mutex_lock(&lock);
        now = hanging;
        g_mutex_unlock(&lock);

        return now;
}

void fault_append_list(GString *text)
{
        g_mutex_lock(&lock);
        for (guint i = 0; faults && i < faults->len; i++) {
                const Fault *fault = faults->pdata[i];

                if (fault->counted)
                        g_string_append_printf(text, "%s (%u left)\n", fault->specification, fault->remaining);
                else
                        g_string_append_printf(text, "%s\n", fault->specification);
        }

        g_mutex_unlock(&lock);
}

static bool has_component(const char *path, const char *name)
{
        size_t length = strlen(name);

        for (const char *at = path; (at = strstr(at, name)); at++)
                if (at > path && at[-1] == '/' && (at[length] == '\0' || at[length] == '/'))
                        return true;

        return false;
}

static bool fault_matches(const Fault *fault, FaultOp op, const char *path)
{
        const char *slash;
        g_autofree char *name = NULL;

        if (fault->op != op || (fault->counted && fault->remaining == 0))
                return false;

        if (g_str_equal(fault->object, "*"))
                return true;

        slash = strchr(fault->object, '/');
        if (slash && !g_str_has_suffix(path, slash))
                return false;

        name = slash ? g_strndup(fault->object, (gsize)(slash - fault->object)) : g_strdup(fault->object);

        return g_str_equal(name, "*") || has_component(path, name) ||
               (alias_func && g_strcmp0(alias_func(path), name) == 0);
}

int fault_apply(FaultOp op, const char *path)
{
        Fault *fault = NULL;
        FaultAction action;
        unsigned value, started;
        gint64 end;

        g_mutex_lock(&lock);

        for (guint i = 0; faults && i < faults->len && !fault; i++)
                if (fault_matches(faults->pdata[i], op, path))
                        fault = faults->pdata[i];

        if (!fault) {
                g_mutex_unlock(&lock);
                return 0;
        }

        if (fault->counted)
                fault->remaining--;
        action = fault->action; /* the fault may be cleared while we wait */
        value = fault->value;

        if (action == ACTION_DELAY) {
                end = g_get_monotonic_time() + (gint64)value * G_TIME_SPAN_MILLISECOND;
                while (!shutting_down && g_cond_wait_until(&released, &lock, end))
                        ;
        } else if (action == ACTION_HANG) {
                started = generation;
                hanging++;

                while (!shutting_down && generation == started)
                        g_cond_wait(&released, &lock);
                if (generation == started)
                        hanging--;
        }

        g_mutex_unlock(&lock);

        return action == ACTION_ERRNO ? -(int)value : 0;
}
