/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/client/lookup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/pci-addr.h"
#include "base/uuid.h"
#include "cli/client/call-error.h"
#include "cli/client/lookup-definitions.h"
#include "cli/host/columns.h"
#include "cli/host/fields.h"
#include "cli/host/type-table.h"
#include "dbus/bus-names.h"

/* ---- lists ---- */

typedef int (*LookupReader)(Host *h, sd_bus_message *answer);

/* Sends a complete call, releases it, and reads the answer. The error `fine` is as good as an empty answer. */
static int lookup_send_unless(Client *c, Host *h, sd_bus_message *call, int status, LookupReader reader,
                              VgpudErrorCode fine)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = call, *answer = NULL;
        _cleanup_error_info_ ErrorInfo error = { 0 };
        int r;

        if (!m)
                return status;

        if (!client_call(c, m, &answer, &error))
                return fine != VGPUD_ERROR_NONE && vgpud_error_code_from_dbus(error.name) == fine
                                       ? 0
                                       : client_failed(c, &error, NULL, CLIENT_ASKED);

        r = reader(h, answer);

        return r < 0 ? client_unreadable(c, r) : 0;
}

static int lookup_send(Client *c, Host *h, sd_bus_message *call, int status, LookupReader reader)
{
        return lookup_send_unless(c, h, call, status, reader, VGPUD_ERROR_NONE);
}

static int lookup_read_gpus(Host *h, sd_bus_message *m)
{
        return host_read_table(h, OBJECT_GPU, m);
}

static int lookup_read_instances(Host *h, sd_bus_message *m)
{
        return host_read_table(h, OBJECT_INSTANCE, m);
}

static int lookup_read_more_instances(Host *h, sd_bus_message *m)
{
        return host_add_table(h, OBJECT_INSTANCE, m);
}

static int lookup_read_jobs(Host *h, sd_bus_message *m)
{
        return host_read_table(h, OBJECT_JOB, m);
}

static int lookup_read_types(Host *h, sd_bus_message *m)
{
        int r;

        r = type_table_read(h, m);
        if (r >= 0)
                host_sort(h);

        return r;
}

int lookup_gpus(Client *c, Host *h)
{
        int status = 0;
        sd_bus_message *m =
                        client_call_new_plain(c, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ListGpus", &status);

        return lookup_send(c, h, m, status, lookup_read_gpus);
}

int lookup_types(Client *c, Host *h)
{
        int status = 0;
        sd_bus_message *m = client_call_new_plain(c, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ListTypes",
                                                  &status);

        return lookup_send(c, h, m, status, lookup_read_types);
}

int lookup_gpu_types(Client *c, Host *h, const char *gpu)
{
        int status = 0;
        sd_bus_message *m = client_call_new_plain(c, gpu, VGPUD_INTERFACE_GPU, "ListTypes", &status);

        return lookup_send(c, h, m, status, lookup_read_types);
}

int lookup_append_columns(sd_bus_message *m, const char *const *names)
{
        int r;

        g_assert(names[0]);

        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', "columns");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_append_strv(m, (char **)names);
        if (r >= 0)
                r = sd_bus_message_close_container(m);

        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int lookup_send_list_instances(Client *c, Host *h, const char *gpu, LookupDetail detail,
                                      LookupReader reader, VgpudErrorCode fine)
{
        static const char *const names[] = { "object_path", "uuid", "name", "gpu", NULL };
        static const char *const table[] = { "object_path",  "uuid",       "name",   "gpu",   "parent",
                                             "type",         "state",      "origin", "owner", "created_usec",
                                             "memory_bytes", "definition", NULL };
        int r, status = 0;
        sd_bus_message *m =
                        client_call_new(c, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ListInstances", &status);

        if (!m)
                return status;

        r = client_options_begin(m);
        if (r >= 0 && gpu)
                r = sd_bus_message_append(m, "{sv}", "gpu", "s", gpu);
        if (r >= 0 && detail != LOOKUP_ALL)
                r = lookup_append_columns(m, detail == LOOKUP_NAMES ? names : table);
        if (r >= 0)
                r = client_options_end(m);
        if (r < 0) {
                sd_bus_message_unref(m);
                return client_not_sent(c, r);
        }

        return lookup_send_unless(c, h, m, status, reader, fine);
}

int lookup_instances(Client *c, Host *h, const char *gpu, LookupDetail detail)
{
        return lookup_send_list_instances(c, h, gpu, detail, lookup_read_instances, VGPUD_ERROR_NONE);
}

int lookup_more_instances(Client *c, Host *h, const char *gpu, LookupDetail detail)
{
        g_assert(gpu);

        /* The GPU may have gone since it was listed. */
        return lookup_send_list_instances(c, h, gpu, detail, lookup_read_more_instances,
                                          VGPUD_ERROR_NO_SUCH_GPU);
}

int lookup_jobs(Client *c, Host *h, bool ended)
{
        int r, status = 0;
        sd_bus_message *m = client_call_new(c, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ListJobs", &status);

        if (!m)
                return status;

        r = client_options_begin(m);
        if (r >= 0 && ended)
                r = sd_bus_message_append(m, "{sv}", "ended", "b", true);
        if (r >= 0)
                r = client_options_end(m);
        if (r < 0) {
                sd_bus_message_unref(m);
                return client_not_sent(c, r);
        }

        return lookup_send(c, h, m, status, lookup_read_jobs);
}

/* ---- single objects ---- */

int lookup_gpu_vfs(Client *c, GpuInfo *g)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *answer = NULL;
        _cleanup_error_info_ ErrorInfo error = { 0 };
        int r, status = 0;

        m = client_call_new_plain(c, g->path, VGPUD_INTERFACE_GPU, "ListVfs", &status);
        if (!m)
                return status;

        if (!client_call(c, m, &answer, &error))
                return client_failed(c, &error, g->name, CLIENT_ASKED);

        g_ptr_array_set_size(g->vfs, 0);
        r = columns_read(answer, &vf_fields, g->vfs, vf_new);

        return r < 0 ? client_unreadable(c, r) : 0;
}

/* True if the error means that the object does not exist. */
static bool lookup_is_absent(const ErrorInfo *error)
{
        return strcmp(error->name, SD_BUS_ERROR_UNKNOWN_OBJECT) == 0 ||
               strcmp(error->name, SD_BUS_ERROR_UNKNOWN_INTERFACE) == 0 ||
               strcmp(error->name, SD_BUS_ERROR_UNKNOWN_PROPERTY) == 0;
}

bool lookup_named_instance(Client *c, const char *name, char **ret_path, ErrorInfo *ret_error)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *answer = NULL;
        const char *path;
        int r, status = 0;

        m = client_call_new(c, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "GetInstance", &status);
        if (!m)
                return false;

        r = client_append_word(m, name);
        if (r < 0 || !client_call(c, m, &answer, ret_error))
                return false;

        if (sd_bus_message_read(answer, "o", &path) < 0)
                return false;
        *ret_path = g_strdup(path);

        return true;
}

/* Find the instance of an active definition: after an edit of the name, the definition has another name than
 * the instance. */
static bool lookup_active_definition(Client *c, const char *name, char **ret_path)
{
        _cleanup_host_ Host *h = host_new();
        bool quiet = c->quiet;
        DefinitionInfo *d;
        int status;

        c->quiet = true;
        status = lookup_definition_if_present(c, h, name, &d);
        c->quiet = quiet;

        if (status != 0 || !d || strcmp(d->state, "active") != 0 || !uuid_is_valid(d->uuid))
                return false;

        *ret_path = instance_path_from_uuid(d->uuid);

        return true;
}

/* True if `answer`, the error of GetInstance, says more than `said`, the code of the failed search in the list.
 * If `said` is INVALID, the word is too short for the beginning of a UUID. That helps more than a bare
 * NoSuchInstance, so the answer needs a hint or a job to say more. */
static bool lookup_answer_says_more(const ErrorInfo *answer, VgpudErrorCode said)
{
        VgpudErrorCode answered = error_info_code(answer);

        if (answered == VGPUD_ERROR_NONE || answered == VGPUD_ERROR_INVALID)
                return false;

        return said != VGPUD_ERROR_INVALID || answer->hint_id || answer->job != 0;
}

bool lookup_missing_instance(Client *c, const char *word, const ErrorInfo *said, char **ret_path,
                             ErrorInfo *ret_error)
{
        _cleanup_error_info_ ErrorInfo answer = { 0 };
        VgpudErrorCode code = error_info_code(said);

        g_assert(said->name);
        g_assert(!ret_error->name);

        if (code == VGPUD_ERROR_NO_SUCH_INSTANCE || code == VGPUD_ERROR_INVALID) {
                if (lookup_named_instance(c, word, ret_path, &answer))
                        return true;

                if (error_info_code(&answer) == VGPUD_ERROR_NO_SUCH_INSTANCE && answer.job == 0 &&
                    lookup_active_definition(c, word, ret_path))
                        return true;
        }

        error_info_copy(ret_error, lookup_answer_says_more(&answer, code) ? &answer : said);

        return false;
}

/* Calls lookup_missing_instance() and prints its error. If Client.quiet is set, returns a failure at once,
 * without asking the daemon. */
static int lookup_missing_or_fail(Client *c, const char *word, const ErrorInfo *said, char **ret_path)
{
        _cleanup_error_info_ ErrorInfo error = { 0 };
        g_autofree char *asked = g_strdup_printf("Could not find \"%s\"", word);

        if (c->quiet)
                return EXIT_FAILURE;

        if (lookup_missing_instance(c, word, said, ret_path, &error))
                return 0;

        return client_failed(c, &error, word, asked);
}

int lookup_fail_absent(Client *c, ObjectKind kind, const char *word)
{
        static const VgpudErrorCode codes[_OBJECT_KIND_MAX] = {
                [OBJECT_GPU] = VGPUD_ERROR_NO_SUCH_GPU,
                [OBJECT_INSTANCE] = VGPUD_ERROR_NO_SUCH_INSTANCE,
                [OBJECT_DEFINITION] = VGPUD_ERROR_NO_SUCH_DEFINITION,
                [OBJECT_JOB] = VGPUD_ERROR_NO_SUCH_JOB,
        };
        g_autofree char *message = NULL, *path = NULL;

        if (c->quiet)
                return EXIT_FAILURE;

        message = g_strdup_printf("There is no %s \"%s\"",
                                  kind == OBJECT_GPU ? "GPU" : object_kind_to_string(kind), word);
        if (kind == OBJECT_INSTANCE) {
                _cleanup_error_info_ ErrorInfo said = { 0 };
                int status;

                error_info_set(&said, codes[kind], message);
                status = lookup_missing_or_fail(c, word, &said, &path);

                if (status != 0)
                        return status;
        }

        return fail(c->args, codes[kind], word, "%s", message);
}

int lookup_object(Client *c, Host *h, ObjectKind kind, const char *path, const char *word, void **ret)
{
        int status;

        g_assert(kind >= 0 && kind < _OBJECT_KIND_MAX);

        status = lookup_object_if_present(c, h, kind, path, word, ret);

        return status == 0 && !*ret ? lookup_fail_absent(c, kind, word) : status;
}

int lookup_object_if_present(Client *c, Host *h, ObjectKind kind, const char *path, const char *word,
                             void **ret)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *answer = NULL;
        _cleanup_error_info_ ErrorInfo error = { 0 };
        int r, status = 0;

        g_assert(object_kinds[kind].interface);

        *ret = NULL;

        m = client_call_new(c, path, "org.freedesktop.DBus.Properties", "GetAll", &status);
        if (!m)
                return status;

        r = sd_bus_message_append(m, "s", object_kinds[kind].interface);
        if (r < 0)
                return client_not_sent(c, r);

        if (!client_call(c, m, &answer, &error))
                return lookup_is_absent(&error) ? 0 : client_failed(c, &error, word, CLIENT_ASKED);

        r = host_read_object(h, kind, path, answer, NULL, ret);

        return r < 0 ? client_unreadable(c, r) : 0;
}

int lookup_job(Client *c, Host *h, uint32_t id, JobInfo **ret)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *answer = NULL;
        g_autofree char *path = g_strdup_printf(VGPUD_PATH_JOB "/%" G_GUINT32_FORMAT, id);
        g_autofree char *asked = g_strdup_printf("Could not look up job %" G_GUINT32_FORMAT, id);
        _cleanup_error_info_ ErrorInfo error = { 0 };
        int r, status = 0;

        g_assert(id > 0);

        m = client_call_new(c, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "GetJob", &status);
        if (!m)
                return status;

        r = sd_bus_message_append(m, "u", id);
        if (r >= 0)
                r = client_options_begin(m);
        if (r >= 0)
                r = client_options_end(m);
        if (r < 0)
                return client_not_sent(c, r);

        if (!client_call(c, m, &answer, &error))
                return client_failed(c, &error, path + strlen(VGPUD_PATH_JOB "/"), asked);

        r = host_read_job(h, path, answer, ret);

        return r < 0 ? client_unreadable(c, r) : 0;
}

int lookup_hand_over(Client *c, const char *path, HandOver *ret)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *answer = NULL;
        _cleanup_error_info_ ErrorInfo error = { 0 };
        int r, status = 0;

        m = client_call_new_plain(c, path, VGPUD_INTERFACE_INSTANCE, "GetHandOver", &status);
        if (!m)
                return status;

        if (!client_call(c, m, &answer, &error))
                return client_failed(c, &error, NULL, CLIENT_ASKED);

        r = hand_over_read(ret, answer);

        return r < 0 ? client_unreadable(c, r) : 0;
}

/* ---- words ---- */

/* The GPU of a PCI address with a domain, which is never ambiguous. NULL: the word is not such an address. */
static GpuInfo *lookup_address(Host *h, const char *word)
{
        char name[PCI_ADDR_STRLEN];
        g_autofree char *path = NULL;
        PciAddr address;
        GpuInfo *g;

        if (pci_addr_parse_any(word, &address) <= 0)
                return NULL;

        path = gpu_path_from_name(pci_addr_format(&address, name));
        g = host_add(h, OBJECT_GPU, path);
        g_free(g->name);
        g->name = g_strdup(name);

        return g;
}

/* The object of a whole UUID or an object path; NULL: the path of an object of another kind. */
static void *lookup_whole(Host *h, const char *word, unsigned flags, ObjectKind *ret_kind)
{
        g_autofree char *gpu = word[0] == '/' ? gpu_name_from_path(word) : g_strdup("");
        g_autofree char *path = word[0] == '/' ? g_strdup(word) : instance_path_from_uuid(word);
        g_autofree char *uuid = uuid_from_path(path);

        if ((flags & FIND_GPU) && *gpu) {
                GpuInfo *g = host_add(h, OBJECT_GPU, path);

                g_free(g->name);
                g->name = g_steal_pointer(&gpu);
                *ret_kind = OBJECT_GPU;
                return g;
        }

        if ((flags & FIND_INSTANCE) && uuid) {
                InstanceInfo *i = host_add(h, OBJECT_INSTANCE, path);

                g_free(i->uuid);
                i->uuid = g_steal_pointer(&uuid);
                *ret_kind = OBJECT_INSTANCE;
                return i;
        }

        return NULL;
}

static int lookup_listed(Client *c, Host *h, const char *word, unsigned flags, ObjectKind *ret_kind, void **ret)
{
        _cleanup_error_info_ ErrorInfo said = { 0 };
        g_autofree char *path = NULL;
        int status = 0;

        if (flags & FIND_GPU)
                status = lookup_gpus(c, h);
        if (status == 0 && (flags & FIND_INSTANCE))
                status = lookup_instances(c, h, NULL, LOOKUP_NAMES);
        if (status == 0 && (flags & FIND_DEFINITION))
                status = lookup_definitions(c, h, NULL, LOOKUP_NAMES);
        if (status != 0)
                return status;

        *ret = host_find(h, word, flags, ret_kind, &said);
        if (*ret)
                return 0;

        /* Only for an instance can the daemon say more than its lists: why the instance cannot be shown. */
        if (!(flags & FIND_INSTANCE))
                return c->quiet ? EXIT_FAILURE : error_info_print(c->args, &said, word);

        status = lookup_missing_or_fail(c, word, &said, &path);
        if (status != 0)
                return status;

        *ret = lookup_whole(h, path, FIND_INSTANCE, ret_kind);

        return *ret ? 0 : client_unreadable(c, -EBADMSG);
}

int lookup_word(Client *c, Host *h, const char *word, unsigned flags, ObjectKind *ret_kind, void **ret)
{
        g_assert(flags & (FIND_GPU | FIND_INSTANCE | FIND_DEFINITION));

        /* A GPU may be missing at the address: the next call, to the object of the GPU, fails then. */
        *ret = (flags & FIND_GPU) ? lookup_address(h, word) : NULL;
        if (*ret) {
                *ret_kind = OBJECT_GPU;
                return 0;
        }

        if (word_is_whole(word) && (word[0] == '/' || (flags & FIND_INSTANCE))) {
                *ret = lookup_whole(h, word, flags, ret_kind);
                if (*ret)
                        return 0;
        }

        return lookup_listed(c, h, word, flags, ret_kind, ret);
}

int lookup_gpu(Client *c, Host *h, const char *word, GpuInfo **ret)
{
        ObjectKind kind;
        void *object;
        int status;

        status = lookup_word(c, h, word, FIND_GPU, &kind, &object);
        if (status == 0)
                *ret = object;

        return status;
}

/* The name of a missing GPU, from a word of the user. NULL: the word seems to be a part of an address. */
static char *lookup_missing_gpu_name(const char *word)
{
        g_autofree char *from_path = gpu_name_from_path(word);
        char *address = pci_addr_to_name(word);

        if (address)
                return address;
        if (*from_path)
                return g_steal_pointer(&from_path);

        return word[0] != '/' && strspn(word, "0123456789abcdefABCDEF:.") < strlen(word) ? g_strdup(word)
                                                                                         : NULL;
}

int lookup_gpu_name(Client *c, Host *h, const char *word, char **ret)
{
        _cleanup_error_info_ ErrorInfo said = { 0 };
        const GpuInfo *g = lookup_address(h, word);
        ObjectKind kind;
        int status;

        *ret = NULL;

        if (!g) {
                status = lookup_gpus(c, h);
                if (status != 0)
                        return status;

                g = host_find(h, word, FIND_GPU, &kind, &said);
        }

        if (g)
                *ret = g_strdup(g->name);
        else if (error_info_code(&said) == VGPUD_ERROR_NO_SUCH_GPU)
                *ret = lookup_missing_gpu_name(word);

        return *ret ? 0 : error_info_print(c->args, &said, word);
}

int lookup_gpu_listed(Client *c, Host *h, const char *word, GpuInfo **ret)
{
        ObjectKind kind;
        void *object;
        int status;

        status = lookup_listed(c, h, word, FIND_GPU, &kind, &object);
        if (status == 0)
                *ret = object;

        return status;
}
