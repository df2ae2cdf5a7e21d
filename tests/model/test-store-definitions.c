/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/store/definitions.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "base/fs-util.h"
#include "base/log.h"
#include "daemon/store/definition-json.h"
#include "drivers-glue/attribute.h"
#include "scratch.h"
#include "tests.h"

#define UUID_A "11111111-0000-4000-8000-00000000000a"
#define UUID_B "22222222-0000-4000-8000-00000000000b"
#define UUID_C "33333333-0000-4000-8000-00000000000c"
#define FILE_A "definitions/" UUID_A ".json"
#define FILE_B "definitions/" UUID_B ".json"
#define FILE_C "definitions/" UUID_C ".json"
/* The members that each file needs. */
#define HEAD "\"version\": 1, \"type\": \"8086/-/-/64/A\", \"owner\": 1000, \"created\": 5"

static void definitions_freep(Definitions **d)
{
        *d = definitions_free(*d);
}
#define _cleanup_definitions_ _cleanup_(definitions_freep)

/* ---- failing system calls ---- */

/* Functions of the test hide functions of the C library. Call number `nth` of `call`, from 1, fails. */
static struct {
        const char *call;
        unsigned nth;
        int error;
} fault;

static bool fault_hits(const char *call)
{
        if (!fault.call || strcmp(fault.call, call) != 0 || --fault.nth > 0)
                return false;

        fault.call = NULL;
        errno = fault.error;

        return true;
}

int fsync(int fd)
{
        return fault_hits("fsync") ? -1 : (int)syscall(SYS_fsync, fd);
}

int syncfs(int fd)
{
        return fault_hits("syncfs") ? -1 : (int)syscall(SYS_syncfs, fd);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
        return fault_hits("renameat") ? -1 : (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, 0);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
        return fault_hits("renameat2") ? -1 : (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
}

int unlinkat(int fd, const char *name, int flags)
{
        return fault_hits("unlinkat") ? -1 : (int)syscall(SYS_unlinkat, fd, name, flags);
}

/* ---- parts ---- */

static Definition *make(const char *uuid, const char *name)
{
        Definition *d = definition_new(uuid);

        d->type = g_strdup("10de/L40S/Q/8192/L40S-8Q");
        d->name = g_strdup(name);
        d->owner = 1000;
        d->created_usec = 1764500000000000;

        return d;
}

static void put(Definitions *d, const char *uuid, const char *name, uid_t owner)
{
        _cleanup_definition_ Definition *definition = make(uuid, name);

        definition->owner = owner;
        ASSERT_OK(definitions_put(d, definition, NULL));
}

static GPtrArray *make_many(guint count)
{
        GPtrArray *many = g_ptr_array_new_with_free_func(definition_free);

        for (guint i = 0; i < count; i++) {
                char uuid[UUID_STRLEN + 1];

                g_snprintf(uuid, sizeof uuid, "%08x-0000-4000-8000-000000000000", i);
                g_ptr_array_add(many, make(uuid, NULL));
        }

        return many;
}

/* Names and contents of all files. */
static char *describe_disk(const char *state)
{
        g_autofree char *folder = g_build_filename(state, "definitions", NULL);
        g_auto(GStrv) names = NULL;
        GString *all = g_string_new(NULL);

        if (fs_list_at(AT_FDCWD, folder, &names) < 0)
                return g_string_free(all, FALSE);

        for (char **n = names; *n; n++) {
                g_autofree char *path = g_build_filename(folder, *n, NULL), *text = NULL;

                (void)fs_read_file_at(AT_FDCWD, path, 65536, &text, NULL);
                g_string_append_printf(all, "%s: %s\n", *n, text ? text : "?");
        }

        return g_string_free(all, FALSE);
}

static char *describe_memory(Definitions *d)
{
        g_autoptr(GPtrArray) list = definitions_list(d, NULL);
        GString *all = g_string_new(NULL);

        for (guint i = 0; i < list->len; i++) {
                const Definition *definition = list->pdata[i];
                size_t size;
                g_autofree char *text = definition_to_json(definition, &size);

                g_string_append_printf(all, "%s: %s\n", definition->uuid, text);
                if (definition->name)
                        g_assert(definitions_find_name(d, definition->name));
        }

        return g_string_free(all, FALSE);
}

static bool has_file(const Scratch *s, const char *name)
{
        return faccessat(s->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static guint count_files(const Scratch *s)
{
        g_auto(GStrv) names = NULL;

        g_assert(fs_list_at(s->fd, "definitions", &names) >= 0);

        return g_strv_length(names);
}

/* ---- definitions ---- */

static void test_life(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        _cleanup_definition_ Definition *a = make(UUID_A, "a"), *b = make(UUID_B, NULL);
        _cleanup_definitions_ Definitions *d = definitions_new(s.path);
        const Definition *again;

        a->gpu = g_strdup("0000:41:00.0");
        a->parent = g_strdup("0000:41:00.4");
        /* Quotes, a backslash, a comment and brackets within a text are ordinary characters. */
        g_ptr_array_add(a->attributes, vgpu_attribute_new("nvidia/vgpu_params", "x=\"1\", y=\\2 /*é*/ [[[["));
        g_ptr_array_add(a->attributes, vgpu_attribute_new("other", "1"));
        b->pool = g_strdup("ai");
        b->owner = 0;
        b->created_usec = 0;
        b->autostart = true;
        ASSERT_OK(definitions_put(d, a, NULL));
        ASSERT_OK(definitions_put(d, b, NULL));
        g_autofree char *before = describe_memory(d);

        definitions_free(d);
        d = definitions_new(s.path);
        ASSERT_EQ(definitions_errors(d)->len, 0);
        g_autofree char *after = describe_memory(d);
        ASSERT_STREQ(after, before);
        ASSERT_EQ(count_files(&s), 2);

        ASSERT_TRUE(definitions_find_name(d, "a") == definitions_get(d, UUID_A));
        ASSERT_NULL(definitions_find_name(d, "b"));
        ASSERT_NULL(definitions_get(d, UUID_C));
        ASSERT_EQ(definitions_count(d), 2);
        ASSERT_EQ(definitions_count_of(d, 1000), 1);
        ASSERT_EQ(definitions_count_of(d, 0), 1);
        ASSERT_EQ(definitions_count_of(d, 1), 0);
        again = definitions_get(d, UUID_A);
        ASSERT_STREQ(again->gpu, "0000:41:00.0");
        ASSERT_STREQ(again->parent, "0000:41:00.4");
        ASSERT_EQ(again->created_usec, 1764500000000000);
        ASSERT_FALSE(again->autostart);
        ASSERT_TRUE(definitions_get(d, UUID_B)->autostart);
        ASSERT_EQ(again->attributes->len, 2);
        ASSERT_STREQ(((const VgpuAttribute *)again->attributes->pdata[0])->name, "nvidia/vgpu_params");

        /* The definition gets another name and owner. */
        put(d, UUID_A, "c", 7);
        ASSERT_NULL(definitions_find_name(d, "a"));
        ASSERT_NOT_NULL(definitions_find_name(d, "c"));
        ASSERT_EQ(definitions_count(d), 2);
        ASSERT_EQ(definitions_count_of(d, 1000), 0);
        ASSERT_EQ(definitions_count_of(d, 7), 1);

        /* The caller may pass the definition of the store itself. */
        ASSERT_OK(definitions_put(d, definitions_get(d, UUID_A), NULL));
        ASSERT_STREQ(definitions_get(d, UUID_A)->name, "c");

        ASSERT_OK(definitions_remove(d, UUID_A, NULL));
        ASSERT_NULL(definitions_find_name(d, "c"));
        ASSERT_EQ(definitions_count_of(d, 7), 0);
        ASSERT_FALSE(has_file(&s, FILE_A));

        /* An administrator has removed the file already. */
        ASSERT_OK(unlinkat(s.fd, FILE_B, 0));
        ASSERT_OK(definitions_remove(d, UUID_B, NULL));
        ASSERT_EQ(definitions_count(d), 0);
}

static void change_text(char **text)
{
        g_free(*text);
        *text = g_strdup("other");
}

static void test_checksum(void)
{
        _cleanup_definition_ Definition *a = make(UUID_A, "a"), *other_uuid = make(UUID_B, "a");
        g_autofree char *sum = definition_checksum(a), *of_uuid = definition_checksum(other_uuid);

        ASSERT_STREQ(sum, of_uuid);
        for (size_t i = 0; i < 7; i++) {
                _cleanup_definition_ Definition *b = definition_copy(a);
                char **const texts[] = { &b->type, &b->gpu, &b->parent, &b->pool, &b->name };

                b->owner = 3;
                b->created_usec = 4;
                b->autostart = true;
                g_autofree char *same = definition_checksum(b);
                ASSERT_STREQ(same, sum);

                if (i < G_N_ELEMENTS(texts))
                        change_text(texts[i]);
                else
                        g_ptr_array_add(b->attributes, vgpu_attribute_new("a", i == 5 ? "b" : "c"));
                g_autofree char *changed = definition_checksum(b);
                ASSERT_FALSE(strcmp(changed, sum) == 0);
        }

        /* The border between two texts counts. */
        g_ptr_array_add(a->attributes, vgpu_attribute_new("ab", "c"));
        g_ptr_array_add(other_uuid->attributes, vgpu_attribute_new("a", "bc"));
        g_autofree char *one = definition_checksum(a), *two = definition_checksum(other_uuid);
        ASSERT_FALSE(strcmp(one, two) == 0);
}

static Definition *make_with(const char *gpu, const char *parent, const char *pool, const char *name)
{
        Definition *d = make(UUID_A, name);

        d->gpu = g_strdup(gpu);
        d->parent = g_strdup(parent);
        d->pool = g_strdup(pool);

        return d;
}

static void add_attributes(Definition *d, guint count, size_t value_bytes)
{
        g_autofree char *value = g_strnfill(value_bytes, '"');

        for (guint i = 0; i < count; i++)
                g_ptr_array_add(d->attributes, vgpu_attribute_new("a", value));
}

static void test_check(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        _cleanup_definitions_ Definitions *d = definitions_new(s.path);
        g_autofree char *long_name = g_strnfill(256, 'x');
        struct {
                Definition *definition;
                bool valid;
        } cases[] = {
                { make_with("g", "p", NULL, "n"), true },
                { make_with(NULL, NULL, "a/b ü", NULL), true },
                { make_with(NULL, "p", NULL, NULL), false },
                { make_with("g", NULL, "ai", NULL), false },
                { make_with("../g", NULL, NULL, NULL), false },
                { make_with("", NULL, NULL, NULL), false },
                { make_with("g", "..", NULL, NULL), false },
                { make_with(NULL, NULL, "a\nb", NULL), false },
                { make_with(NULL, NULL, long_name, NULL), false },
                { make_with(NULL, NULL, NULL, "a b"), false },
                { make_with(NULL, NULL, NULL, UUID_B), false },
                { make("00000000-0000-0000-0000-000000000000", NULL), false },
                { make(UUID_A, NULL), true },  /* 64 attributes of 64 bytes */
                { make(UUID_A, NULL), false }, /* one more byte */
                { make(UUID_A, NULL), false }, /* 65 attributes */
                { make(UUID_A, NULL), false }, /* empty value */
                { make(UUID_A, NULL), false }, /* no type */
                { make(UUID_A, NULL), false }, /* no user id */
                { make(UUID_A, NULL), false }, /* a time beyond the numbers of JSON-GLib */
                { make(UUID_A, NULL), false }, /* a type that is no key */
        };

        add_attributes(cases[12].definition, 64, 63);
        add_attributes(cases[13].definition, 63, 63);
        add_attributes(cases[13].definition, 1, 64);
        add_attributes(cases[14].definition, 65, 1);
        add_attributes(cases[15].definition, 1, 0);
        g_clear_pointer(&cases[16].definition->type, g_free);
        cases[17].definition->owner = (uid_t)-1;
        cases[18].definition->created_usec = UINT64_MAX;
        g_free(cases[19].definition->type);
        cases[19].definition->type = g_strdup("L40S-8Q");

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                VgpudError e = VGPUD_ERROR_INIT;
                int r = definitions_put(d, cases[i].definition, &e);

                if ((r >= 0) != cases[i].valid)
                        FAIL("case %zu: %s", i, e.message ? e.message : "accepted");
                ASSERT_EQ(e.code, cases[i].valid ? VGPUD_ERROR_NONE : VGPUD_ERROR_INVALID);
                ASSERT_EQ(count_files(&s), cases[i].valid);
                if (cases[i].valid)
                        ASSERT_OK(definitions_remove(d, UUID_A, NULL));
                vgpud_error_done(&e);
                definition_free(cases[i].definition);
        }
}

static void test_keys(void)
{
        static const char *const keys[] = { "10de/L40S/Q/8192/L40S-8Q", "-/-/-/-/a", "8086/-/-/640/GVTg_V5_4" };
        static const char *const others[] = { "",
                                              "a",
                                              "8086/-/-/-",
                                              "8086/-/-/-/",
                                              "8086/-/-/-/a b",
                                              "808x/-/-/-/a",
                                              "80861/-/-/-/a",
                                              "8086/-/-/-/a/b",
                                              "10DE/-/-/-/a",
                                              "-/-/-/-/a\tb",
                                              "-/-/-/-/\xff" };

        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
                ASSERT_TRUE(definition_type_is_key(keys[i]));
        for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
                ASSERT_FALSE(definition_type_is_key(others[i]));

        ASSERT_FALSE(definition_type_is_key(NULL));
}

/* ---- files that people edited ---- */

static void test_edited(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();

        scratch_directory(&s, "definitions");
        scratch_file(&s, FILE_A, "\t{" HEAD ", \"attributes\": [], \"name\": \"\\u0061\\ud83d\\ude00\" }");
        scratch_file(&s, FILE_B,
                     "{\"owner\":0,\"created\":0,\"type\":\"-/-\\/-/-/\\\"t\\ud83d\\ude00\",\"version\":1,\r\n"
                     "\"attributes\":[{\"value\":\"1\",\"name\":\"a\"}]}\n\n");
        scratch_file(&s, FILE_C, "{" HEAD ", \"autostart\": false}");

        _cleanup_definitions_ Definitions *d = definitions_new(s.path);
        ASSERT_EQ(definitions_errors(d)->len, 1); /* a name cannot have this character */
        ASSERT_EQ(definitions_count(d), 2);
        ASSERT_FALSE(definitions_get(d, UUID_C)->autostart);
        const Definition *b = definitions_get(d, UUID_B);
        ASSERT_NOT_NULL(b);
        ASSERT_STREQ(b->type, "-/-/-/-/\"t\xf0\x9f\x98\x80");
        ASSERT_EQ(b->attributes->len, 1);
}

static void test_damaged(void)
{
        static const char *const texts[] = {
                "",
                " ",
                "{",
                "{}",
                "[]",
                "1",
                "null",
                "\"text\"",
                "{" HEAD,
                "{" HEAD ",}",
                "{" HEAD "}}",
                "{" HEAD "} {" HEAD "}",
                "{" HEAD "} 1",
                "{" HEAD "} // comment",
                "{ /* comment */ " HEAD "}",
                "# comment\n{" HEAD "}",
                "var a = {" HEAD "}",
                "[{" HEAD "}]",
                "\xef\xbb\xbf{" HEAD "}",
                "{" HEAD ", \"other\": 1}",
                "{" HEAD ", \"gpu\": null}",
                "{" HEAD ", \"gpu\": 1}",
                "{" HEAD ", \"gpu\": [\"g\"]}",
                "{" HEAD ", \"gpu\": \"a/b\"}",
                "{" HEAD ", \"gpu\": \"..\"}",
                "{" HEAD ", \"gpu\": \"g\\u0000h\"}",
                "{" HEAD ", \"gpu\": \"g\\ud800\"}",
                "{" HEAD ", \"gpu\": \"g\\udc00\"}",
                "{" HEAD ", \"gpu\": \"g\\ud800\\u0041\"}",
                "{" HEAD ", \"gpu\": \"g\\u00\"}",
                "{" HEAD ", \"gpu\": \"g\\x\"}",
                "{" HEAD ", \"gpu\": \"g\n\"}",
                "{" HEAD ", \"gpu\": \"g\\n\"}",
                "{" HEAD ", \"gpu\": \"\xff\"}",
                "{" HEAD ", \"gpu\": \"g",
                "{" HEAD ", \"gpu\": \"g\\",
                "{" HEAD ", \"gpu\": \"g\", \"gpu\": \"g\"}",
                "{" HEAD ", \"gpu\": \"g\", \"pool\": \"p\"}",
                "{" HEAD ", \"parent\": \"p\"}",
                "{" HEAD ", \"name\": \"\"}",
                "{" HEAD ", \"autostart\": 1}",
                "{" HEAD ", \"autostart\": \"yes\"}",
                "{" HEAD ", \"autostart\": null}",
                "{" HEAD ", \"autostart\": []}",
                "{" HEAD ", \"autostart\": True}",
                "{" HEAD ", \"autostart\": true, \"autostart\": true}",
                "{" HEAD ", \"attributes\": {}}",
                "{" HEAD ", \"attributes\": [1]}",
                "{" HEAD ", \"attributes\": [[]]}",
                "{" HEAD ", \"attributes\": [{}]}",
                "{" HEAD ", \"attributes\": [{\"name\": \"a\"}]}",
                "{" HEAD ", \"attributes\": [{\"name\": \"a\", \"value\": 1}]}",
                "{" HEAD ", \"attributes\": [{\"name\": \"a\", \"value\": \"\"}]}",
                "{" HEAD ", \"attributes\": [{\"name\": \"../a\", \"value\": \"1\"}]}",
                "{" HEAD ", \"attributes\": [{\"name\": \"remove\", \"value\": \"1\"}]}",
                "{" HEAD ", \"attributes\": [{\"name\": \"a\", \"value\": \"1\", \"more\": \"1\"}]}",
                "{" HEAD ", \"attributes\": [{\"name\": \"a\", \"value\": \"1\", \"name\": \"a\"}]}",
                "{" HEAD ", \"attributes\": [{\"name\": \"a\", \"value\": \"1\"},]}",
                "{\"version\": 1, \"type\": \"-/-/-/-/t\", \"owner\": 0}",
                "{\"version\": 1, \"type\": \"-/-/-/-/t\", \"created\": 0}",
                "{\"version\": 1, \"owner\": 0, \"created\": 0}",
                "{\"type\": \"-/-/-/-/t\", \"owner\": 0, \"created\": 0}",
                "{\"version\": 0, \"type\": \"-/-/-/-/t\", \"owner\": 0, \"created\": 0}",
                "{\"version\": -2, \"type\": \"-/-/-/-/t\", \"owner\": 0, \"created\": 0}",
                "{\"version\": \"1\", \"type\": \"-/-/-/-/t\", \"owner\": 0, \"created\": 0}",
                "{\"version\": 2.0, \"type\": \"-/-/-/-/t\", \"owner\": 0, \"created\": 0}",
                "{\"version\": true, \"type\": \"-/-/-/-/t\", \"owner\": 0, \"created\": 0}",
                "{\"version\": 1, \"type\": \"-/-/-/-/t\", \"owner\": 4294967295, \"created\": 0}",
                "{\"version\": 1, \"type\": \"-/-/-/-/t\", \"owner\": 4294967296, \"created\": 0}",
                "{\"version\": 1, \"type\": \"-/-/-/-/t\", \"owner\": 010, \"created\": 0}",
                "{\"version\": 1, \"type\": \"-/-/-/-/t\", \"owner\": 0x10, \"created\": 0}",
                "{\"version\": 1, \"type\": \"-/-/-/-/t\", \"owner\": -1, \"created\": 0}",
                "{\"version\": 1, \"type\": \"-/-/-/-/t\", \"owner\": - 1, \"created\": 0}",
                "{\"version\": 1, \"type\": \"-/-/-/-/t\", \"owner\": 1e3, \"created\": 0}",
                "{\"version\": 1, \"type\": \"-/-/-/-/t\", \"owner\": .5, \"created\": 0}",
                "{\"version\": 1, \"type\": \"-/-/-/-/t\", \"owner\": \"0\", \"created\": 0}",
                "{\"version\": 1, \"type\": \"-/-/-/-/t\", \"owner\": 0, \"created\": 18446744073709551615}",
                "{\"version\": 1, \"type\": \"-/-/-/-/t\", \"owner\": 0, \"created\": 99999999999999999999999999}",
                "{\"version\": 1, \"type\": \"\", \"owner\": 0, \"created\": 0}",
                "{\"version\": 1, \"type\": \"bad\", \"owner\": 0, \"created\": 0}",
                "{\"version\": 1, \"type\": \"-/-/-/t\", \"owner\": 0, \"created\": 0}",
                "{\"version\": 1, \"type\": \"-/-/-/-/a b\", \"owner\": 0, \"created\": 0}",
                "{\"version\": 1, \"type\": \"-/-/-/-/t\", \"type\": \"-/-/-/-/t\", \"owner\": 0, \"created\": 0}",
        };
        _cleanup_scratch_ Scratch s = scratch_new();

        scratch_directory(&s, "definitions");
        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
                g_autofree char *text = NULL;

                scratch_file(&s, FILE_A, texts[i]);
                _cleanup_definitions_ Definitions *d = definitions_new(s.path);
                if (definitions_count(d) != 0 || definitions_errors(d)->len != 1 || has_file(&s, FILE_A))
                        FAIL("not set aside: %s", texts[i]);

                /* The content is kept, and the UUID is free. */
                ASSERT_OK(fs_read_file_at(s.fd, FILE_A ".damaged", 65536, &text, NULL));
                ASSERT_STREQ(text, texts[i]);
                put(d, UUID_A, NULL, 0);
                ASSERT_OK(unlinkat(s.fd, FILE_A, 0));
                ASSERT_OK(unlinkat(s.fd, FILE_A ".damaged", 0));
        }
}

static void test_set_aside(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        g_autofree char *text = NULL;

        scratch_directory(&s, "definitions");
        for (unsigned i = 0; i < 3; i++) {
                const char *const bad[] = { "0", "1", "2" };

                scratch_file(&s, FILE_A, bad[i]);
                _cleanup_definitions_ Definitions *d = definitions_new(s.path);
                ASSERT_EQ(definitions_errors(d)->len, i + 1);
                ASSERT_CONTAINS(definitions_errors(d)->pdata[0], UUID_A ".json.damaged");
                ASSERT_EQ(definitions_count(d), 0);
        }

        ASSERT_EQ(count_files(&s), 3);
        ASSERT_OK(fs_read_file_at(s.fd, FILE_A ".damaged.1", 10, &text, NULL));
        ASSERT_STREQ(text, "1");

        /* Each start reports the damaged files and changes nothing. */
        g_autofree char *before = describe_disk(s.path);
        _cleanup_definitions_ Definitions *d = definitions_new(s.path);
        g_autofree char *after = describe_disk(s.path);
        ASSERT_EQ(definitions_errors(d)->len, 3);
        ASSERT_STREQ(after, before);
}

static void make_socket(const Scratch *s, const char *name)
{
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        g_snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", s->path, name);
        ASSERT_OK(bind(fd, (struct sockaddr *)&address, sizeof address));
}

static void test_no_files(void)
{
        static const char *const names[] = {
                FILE_A,
                FILE_B,
                FILE_C,
                "definitions/44444444-0000-4000-8000-000000000000.json",
        };
        _cleanup_scratch_ Scratch s = scratch_new();
        struct stat st;

        scratch_directory(&s, "definitions");
        scratch_file(&s, "target", "{" HEAD "}");
        scratch_link(&s, names[0], "../target");
        scratch_fifo(&s, names[1]);
        scratch_directory(&s, names[2]);
        scratch_file(&s, "definitions/" UUID_C ".json/inside", "x");
        make_socket(&s, names[3]);

        _cleanup_definitions_ Definitions *d = definitions_new(s.path);
        ASSERT_EQ(definitions_count(d), 0);
        ASSERT_EQ(definitions_errors(d)->len, G_N_ELEMENTS(names));
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autofree char *aside = g_strconcat(names[i], ".damaged", NULL);

                ASSERT_FALSE(has_file(&s, names[i]));
                ASSERT_OK(fstatat(s.fd, aside, &st, AT_SYMLINK_NOFOLLOW));
                ASSERT_FALSE(S_ISREG(st.st_mode));
        }

        ASSERT_TRUE(has_file(&s, "definitions/" UUID_C ".json.damaged/inside"));
        ASSERT_TRUE(has_file(&s, "target"));
}

static void test_names(void)
{
        static const char *const bad[] = {
                "a.json",
                "1111111A-0000-4000-8000-000000000001.json",
                "00000000-0000-0000-0000-000000000000.json",
                "{11111111-0000-4000-8000-000000000001}.json",
                "\xff\n.json",
                "x.damaged.json",
        };
        static const char *const set_aside[] = { "y.json.damaged", "y.json.damaged.12" };
        static const char *const ignored[] = {
                ".hidden", "." UUID_A ".json.swp", ".x.json.tmp",  "." UUID_A ".tmp", "README",
                UUID_A,    UUID_A ".json~",        UUID_A ".JSON", "y.damaged"
        };
        g_autofree char *z = g_strnfill(245, 'z'), *long_name = g_strconcat(z, ".json", NULL);
        _cleanup_scratch_ Scratch s = scratch_new();
        _cleanup_close_ int folder = fs_open_directory_at(s.fd, "definitions", 0700);
        Scratch f = { .fd = folder };

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                scratch_file(&f, bad[i], "{" HEAD "}");
        for (size_t i = 0; i < G_N_ELEMENTS(set_aside); i++)
                scratch_file(&f, set_aside[i], "");
        for (size_t i = 0; i < G_N_ELEMENTS(ignored); i++)
                scratch_file(&f, ignored[i], "");
        ASSERT_OK(mkdirat(folder, "lost+found", 0700));
        scratch_file(&f, long_name, "");
        scratch_file(&f, "." UUID_A ".json.tmp", "{");

        _cleanup_definitions_ Definitions *d = definitions_new(s.path);
        ASSERT_EQ(definitions_count(d), 0);
        ASSERT_EQ(definitions_errors(d)->len, G_N_ELEMENTS(bad) + G_N_ELEMENTS(set_aside) + 1);
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autofree char *aside = g_strconcat(bad[i], ".damaged", NULL);

                ASSERT_FALSE(has_file(&f, bad[i]));
                ASSERT_TRUE(has_file(&f, aside));
        }

        for (size_t i = 0; i < G_N_ELEMENTS(ignored); i++)
                ASSERT_TRUE(has_file(&f, ignored[i]));
        ASSERT_TRUE(has_file(&f, "lost+found"));
        ASSERT_TRUE(has_file(&f, long_name)); /* with ".damaged", the name would be too long */
        ASSERT_FALSE(has_file(&f, "." UUID_A ".json.tmp"));

        for (guint i = 0; i < definitions_errors(d)->len; i++) {
                const char *error = definitions_errors(d)->pdata[i];

                ASSERT_TRUE(g_utf8_validate(error, -1, NULL));
                ASSERT_NULL(strchr(error, '\n'));
        }
}

static void test_size(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        g_autoptr(GString) text = g_string_new("{" HEAD "}");
        g_autofree char *deep = g_strnfill(DEFINITION_JSON_MAX - 100, '[');
        g_autofree char *nested = g_strdup_printf("{" HEAD ", \"attributes\": %s", deep);
        g_autofree char *hidden = g_strdup_printf("{" HEAD ", \"gpu\": \"g\\\"\", \"attributes\": %s", deep);

        while (text->len < DEFINITION_JSON_MAX)
                g_string_append_c(text, ' ');

        scratch_directory(&s, "definitions");
        scratch_file(&s, FILE_A, text->str);
        g_string_append_c(text, ' ');
        scratch_file(&s, FILE_B, text->str);
        scratch_file(&s, FILE_C, nested);
        scratch_file(&s, "definitions/44444444-0000-4000-8000-000000000000.json", hidden);
        scratch_bytes(&s, "definitions/55555555-0000-4000-8000-000000000000.json", "{" HEAD "}\0",
                      sizeof("{" HEAD "}\0") - 1);

        _cleanup_definitions_ Definitions *d = definitions_new(s.path);
        ASSERT_NOT_NULL(definitions_get(d, UUID_A));
        ASSERT_EQ(definitions_count(d), 1);
        ASSERT_EQ(definitions_errors(d)->len, 4);
}

/* The file of a newer vgpud must survive an older vgpud. */
static void test_newer(void)
{
        static const char *const texts[] = {
                "{\"version\": 2}",
                "{\"version\": 3, \"type\": {\"a\": [[[[1.5e3]]]]}, \"other\": null}",
        };
        _cleanup_definition_ Definition *a = make(UUID_A, NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
                _cleanup_scratch_ Scratch s = scratch_new();
                _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
                g_autoptr(GPtrArray) many = g_ptr_array_new();

                scratch_directory(&s, "definitions");
                scratch_file(&s, FILE_A, texts[i]);
                g_autofree char *before = describe_disk(s.path);
                _cleanup_definitions_ Definitions *d = definitions_new(s.path);
                ASSERT_EQ(definitions_errors(d)->len, 1);
                ASSERT_NULL(definitions_get(d, UUID_A));

                ASSERT_TRUE(definitions_put(d, a, &e) < 0);
                ASSERT_EQ(e.code, VGPUD_ERROR_FAILED);
                ASSERT_EQ(e.errnum, EEXIST);
                ASSERT_EQ(e.hint.id, VGPUD_HINT_REMOVE_BY_HAND);
                g_ptr_array_add(many, a);
                ASSERT_TRUE(definitions_put_many(d, many, NULL) < 0);
                g_autofree char *after = describe_disk(s.path);
                ASSERT_STREQ(after, before);
                ASSERT_EQ(definitions_count(d), 0);

                /* When the file has gone, the UUID is free. */
                ASSERT_OK(unlinkat(s.fd, FILE_A, 0));
                ASSERT_OK(definitions_put(d, a, NULL));
        }
}

static void test_unreadable(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        _cleanup_definition_ Definition *a = make(UUID_A, NULL);
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        bool is_root = geteuid() == 0;

        scratch_directory(&s, "definitions");
        scratch_file(&s, FILE_A, "{" HEAD "}");
        ASSERT_OK(fchmodat(s.fd, ".", 0777, 0));
        ASSERT_OK(fchmodat(s.fd, "definitions", 0777, 0));
        ASSERT_OK(fchmodat(s.fd, FILE_A, 0, 0));
        if (is_root)
                ASSERT_OK(seteuid(65534));
        Definitions *d = definitions_new(s.path);
        int r = definitions_put(d, a, &e);
        if (is_root)
                ASSERT_OK(seteuid(0));
        ASSERT_EQ(definitions_errors(d)->len, 1);
        ASSERT_EQ(definitions_count(d), 0);
        definitions_free(d);
        ASSERT_TRUE(r < 0);
        ASSERT_EQ(e.errnum, EEXIST);

        ASSERT_OK(fchmodat(s.fd, FILE_A, 0600, 0));
        d = definitions_new(s.path);
        ASSERT_EQ(definitions_errors(d)->len, 0);
        ASSERT_EQ(definitions_get(d, UUID_A)->owner, 1000);
        definitions_free(d);
}

/* Definitions in files that people wrote can have the same name. */
static void test_shared_name(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();

        scratch_directory(&s, "definitions");
        scratch_file(&s, FILE_C, "{" HEAD ", \"name\": \"n\"}");
        scratch_file(&s, FILE_B, "{" HEAD ", \"name\": \"n\"}");
        scratch_file(&s, FILE_A, "{" HEAD ", \"name\": \"n\"}");

        _cleanup_definitions_ Definitions *d = definitions_new(s.path);
        ASSERT_EQ(definitions_errors(d)->len, 2);
        ASSERT_STREQ(definitions_get(d, UUID_C)->name, "n");
        ASSERT_STREQ(definitions_find_name(d, "n")->uuid, UUID_A);
        ASSERT_OK(definitions_remove(d, UUID_A, NULL));
        ASSERT_STREQ(definitions_find_name(d, "n")->uuid, UUID_B);
        put(d, UUID_A, "n", 0);
        ASSERT_STREQ(definitions_find_name(d, "n")->uuid, UUID_A);
        put(d, UUID_A, "other", 0);
        ASSERT_STREQ(definitions_find_name(d, "n")->uuid, UUID_B);
        ASSERT_OK(definitions_remove(d, UUID_C, NULL));
        ASSERT_STREQ(definitions_find_name(d, "n")->uuid, UUID_B);
        ASSERT_OK(definitions_remove(d, UUID_B, NULL));
        ASSERT_NULL(definitions_find_name(d, "n"));
}

static void test_many_faults(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();

        scratch_directory(&s, "definitions");
        for (unsigned i = 0; i < 300; i++) {
                g_autofree char *name = g_strdup_printf("definitions/%u.json", i);

                scratch_file(&s, name, "");
        }

        scratch_file(&s, FILE_A, "{" HEAD "}");
        _cleanup_definitions_ Definitions *d = definitions_new(s.path);
        ASSERT_EQ(definitions_count(d), 1);
        /* 256 texts about one file each, and one about the other 44 */
        ASSERT_EQ(definitions_errors(d)->len, 257);
        ASSERT_CONTAINS(definitions_errors(d)->pdata[256], "44");
}

static void test_no_folder(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        _cleanup_definition_ Definition *a = make(UUID_A, NULL);
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;

        scratch_file(&s, "definitions", "");
        _cleanup_definitions_ Definitions *d = definitions_new(s.path);
        ASSERT_EQ(definitions_errors(d)->len, 1);
        ASSERT_EQ(definitions_count(d), 0);
        ASSERT_TRUE(definitions_put(d, a, &e) < 0);
        ASSERT_EQ(e.code, VGPUD_ERROR_FAILED);
        ASSERT_EQ(e.errnum, ENOTDIR);
        ASSERT_EQ(e.hint.id, VGPUD_HINT_REMOVE_BY_HAND);

        /* The next change finds the folder. */
        ASSERT_OK(unlinkat(s.fd, "definitions", 0));
        ASSERT_OK(definitions_put(d, a, NULL));
        ASSERT_TRUE(has_file(&s, FILE_A));
        ASSERT_EQ(definitions_errors(d)->len, 2);
}

/* ---- changes that fail ---- */

static void test_many(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        _cleanup_definitions_ Definitions *d = definitions_new(s.path);
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        g_autoptr(GPtrArray) many = make_many(3);
        g_autoptr(GPtrArray) none = g_ptr_array_new();

        ASSERT_OK(definitions_put_many(d, none, NULL));
        ASSERT_OK(definitions_put_many(d, many, NULL));
        ASSERT_EQ(definitions_count(d), 3);
        ASSERT_EQ(count_files(&s), 3);

        /* One of several exists. */
        ASSERT_OK(definitions_remove(d, "00000000-0000-4000-8000-000000000000", NULL));
        ASSERT_OK(definitions_remove(d, "00000001-0000-4000-8000-000000000000", NULL));
        ASSERT_TRUE(definitions_put_many(d, many, &e) < 0);
        ASSERT_EQ(e.code, VGPUD_ERROR_FAILED);
        ASSERT_EQ(e.errnum, EEXIST);
        ASSERT_EQ(definitions_count(d), 1);
        ASSERT_EQ(count_files(&s), 1);

        /* The array has the same UUID twice. */
        ASSERT_OK(definitions_remove(d, "00000002-0000-4000-8000-000000000000", NULL));
        g_ptr_array_add(many, make("00000000-0000-4000-8000-000000000000", NULL));
        ASSERT_TRUE(definitions_put_many(d, many, NULL) < 0);
        ASSERT_EQ(definitions_count(d), 0);
        ASSERT_EQ(count_files(&s), 0);

        /* One of several is not valid. */
        vgpud_error_done(&e);
        ((Definition *)many->pdata[3])->owner = (uid_t)-1;
        ASSERT_TRUE(definitions_put_many(d, many, &e) < 0);
        ASSERT_EQ(e.code, VGPUD_ERROR_INVALID);
        ASSERT_EQ(count_files(&s), 0);
}

static int change_add(Definitions *d, VgpudError *reterr)
{
        _cleanup_definition_ Definition *c = make(UUID_C, "new");

        return definitions_put(d, c, reterr);
}

static int change_replace(Definitions *d, VgpudError *reterr)
{
        _cleanup_definition_ Definition *a = make(UUID_A, "changed");

        return definitions_put(d, a, reterr);
}

static int change_put_many(Definitions *d, VgpudError *reterr)
{
        g_autoptr(GPtrArray) many = make_many(3);

        return definitions_put_many(d, many, reterr);
}

/* From 32 definitions on, one syncfs() replaces the fsync() of each file. */
static int change_put_32(Definitions *d, VgpudError *reterr)
{
        g_autoptr(GPtrArray) many = make_many(32);

        return definitions_put_many(d, many, reterr);
}

static int change_remove(Definitions *d, VgpudError *reterr)
{
        return definitions_remove(d, UUID_A, reterr);
}

/* Fewer than 32 definitions cause no syncfs(), which would also write the files of other programs. */
static void test_few(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        _cleanup_definitions_ Definitions *d = definitions_new(s.path);
        g_autoptr(GPtrArray) many = make_many(31);

        fault.call = "syncfs";
        fault.nth = 1;
        ASSERT_OK(definitions_put_many(d, many, NULL));
        ASSERT_NOT_NULL(fault.call);
        fault.call = NULL;
}

/* Every step of every change fails once. */
static void test_steps(void)
{
        static const struct {
                int (*change)(Definitions *d, VgpudError *reterr);
                const char *call;
                unsigned nth;
                bool counts; /* the change is in effect nevertheless */
        } steps[] = {
                { change_add, "fsync", 1, false },          { change_add, "renameat2", 1, false },
                { change_add, "fsync", 2, true },           { change_replace, "fsync", 1, false },
                { change_replace, "renameat", 1, false },   { change_replace, "fsync", 2, true },
                { change_put_many, "fsync", 1, false },     { change_put_many, "fsync", 3, false },
                { change_put_many, "renameat2", 1, false }, { change_put_many, "renameat2", 3, false },
                { change_put_many, "fsync", 4, true },      { change_put_32, "syncfs", 1, false },
                { change_put_32, "renameat2", 32, false },  { change_put_32, "fsync", 1, true },
                { change_remove, "unlinkat", 1, false },    { change_remove, "fsync", 1, true },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
                _cleanup_scratch_ Scratch s = scratch_new();
                _cleanup_definitions_ Definitions *d = definitions_new(s.path), *again = NULL;
                _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
                int r;

                put(d, UUID_A, "a", 1000);
                put(d, UUID_B, "b", 1000);
                g_autofree char *disk = describe_disk(s.path), *memory = describe_memory(d);

                fault.call = steps[i].call;
                fault.nth = steps[i].nth;
                fault.error = EIO;
                r = steps[i].change(d, &e);
                if (fault.call)
                        FAIL("step %zu made no call %u of %s", i, steps[i].nth, steps[i].call);

                g_autofree char *now = describe_memory(d), *disk_now = describe_disk(s.path);
                ASSERT_EQ(r >= 0, steps[i].counts);
                ASSERT_EQ(strcmp(now, memory) != 0, steps[i].counts);
                ASSERT_EQ(strcmp(disk_now, disk) != 0, steps[i].counts);
                ASSERT_EQ(e.errnum, steps[i].counts ? 0 : EIO);
                ASSERT_EQ(e.code, steps[i].counts ? VGPUD_ERROR_NONE : VGPUD_ERROR_FAILED);

                again = definitions_new(s.path);
                g_autofree char *read = describe_memory(again);
                ASSERT_STREQ(read, now);
                ASSERT_EQ(definitions_errors(again)->len, 0);

                /* The fault is over. */
                vgpud_error_done(&e);
                if (!steps[i].counts)
                        ASSERT_OK(steps[i].change(d, &e));
        }
}

/* If the file system does not know RENAME_NOREPLACE, a new definition replaces no other file either. */
static void test_no_flag(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        _cleanup_definition_ Definition *b = make(UUID_B, NULL);
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        _cleanup_definitions_ Definitions *d = definitions_new(s.path);

        fault.call = "renameat2";
        fault.nth = 1;
        fault.error = EINVAL;
        put(d, UUID_A, NULL, 0);
        ASSERT_NULL(fault.call);
        ASSERT_EQ(count_files(&s), 1);

        scratch_file(&s, FILE_B, "x");
        g_autofree char *before = describe_disk(s.path);
        fault.call = "renameat2";
        fault.nth = 1;
        ASSERT_TRUE(definitions_put(d, b, &e) < 0);
        ASSERT_EQ(e.errnum, EEXIST);
        g_autofree char *after = describe_disk(s.path);
        ASSERT_STREQ(after, before);
}

/* Hide the mounts of this program from other programs. */
static void enter_namespace(void)
{
        static bool entered;

        if (entered)
                return;
        if (geteuid() != 0)
                SKIP("needs root, to mount");

        ASSERT_OK(unshare(CLONE_NEWNS));
        ASSERT_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
        entered = true;
}

static void unmount(const char **path)
{
        g_assert(umount2(*path, MNT_DETACH) == 0);
}

static void test_full(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        char uuid[UUID_STRLEN + 1];

        enter_namespace();
        ASSERT_OK(mount("tmpfs", s.path, "tmpfs", 0, "size=64k,mode=700"));
        _cleanup_(unmount) const char *mounted = s.path;
        _cleanup_definitions_ Definitions *d = definitions_new(mounted);

        for (int r = 0; r >= 0;) {
                _cleanup_definition_ Definition *next = make(uuid_generate(uuid), NULL);

                ASSERT_TRUE(definitions_count(d) < 64);
                r = definitions_put(d, next, &e);
        }

        ASSERT_EQ(e.code, VGPUD_ERROR_FAILED);
        ASSERT_EQ(e.errnum, ENOSPC);
        ASSERT_NULL(definitions_get(d, uuid));
        ASSERT_TRUE(definitions_count(d) > 4);
        g_autofree char *disk = describe_disk(mounted), *memory = describe_memory(d);

        /* Neither a failed change nor failed new definitions leave anything behind. */
        g_autoptr(GPtrArray) list = definitions_list(d, NULL);
        _cleanup_definition_ Definition *first = definition_copy(list->pdata[0]);
        g_autoptr(GPtrArray) many = make_many(3);
        vgpud_error_done(&e);
        first->name = g_strdup("changed");
        ASSERT_TRUE(definitions_put(d, first, &e) < 0);
        ASSERT_EQ(e.errnum, ENOSPC);
        vgpud_error_done(&e);
        ASSERT_TRUE(definitions_put_many(d, many, &e) < 0);
        ASSERT_EQ(e.errnum, ENOSPC);
        g_autofree char *disk_now = describe_disk(mounted), *memory_now = describe_memory(d);
        ASSERT_STREQ(disk_now, disk);
        ASSERT_STREQ(memory_now, memory);

        /* A removal needs no space, and makes some. */
        ASSERT_OK(definitions_remove(d, definitions_get(d, first->uuid)->uuid, NULL));
        ASSERT_OK(definitions_put(d, first, NULL));
        ASSERT_NOT_NULL(definitions_find_name(d, "changed"));
}

static void test_read_only(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        int (*const changes[])(Definitions *, VgpudError *) = {
                change_add,
                change_replace,
                change_put_many,
                change_remove,
        };

        enter_namespace();
        ASSERT_OK(mkdirat(s.fd, "empty", 0700));
        ASSERT_OK(mkdirat(s.fd, "state", 0700));
        g_autofree char *empty = g_build_filename(s.path, "empty", NULL);
        g_autofree char *state = g_build_filename(s.path, "state", NULL);
        Definitions *before = definitions_new(state);
        put(before, UUID_A, "a", 0);
        definitions_free(before);
        scratch_file(&s, "state/definitions/" UUID_B ".json", "{");
        scratch_file(&s, "state/definitions/." UUID_A ".json.tmp", "{");
        g_autofree char *disk = describe_disk(state);

        ASSERT_OK(mount(s.path, s.path, NULL, MS_BIND, NULL));
        _cleanup_(unmount) const char *mounted = s.path;
        ASSERT_OK(mount(NULL, mounted, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));

        _cleanup_definitions_ Definitions *d = definitions_new(state), *nothing = definitions_new(empty);
        ASSERT_EQ(definitions_count(d), 1);
        ASSERT_EQ(definitions_errors(d)->len, 1); /* the damaged file, which keeps its name */
        g_autofree char *memory = describe_memory(d);
        for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
                _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;

                ASSERT_TRUE(changes[i](d, &e) < 0);
                ASSERT_EQ(e.code, VGPUD_ERROR_FAILED);
                ASSERT_EQ(e.errnum, EROFS);
                g_autofree char *memory_now = describe_memory(d), *disk_now = describe_disk(state);
                ASSERT_STREQ(memory_now, memory);
                ASSERT_STREQ(disk_now, disk);
        }

        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        ASSERT_EQ(definitions_errors(nothing)->len, 1);
        ASSERT_TRUE(change_add(nothing, &e) < 0);
        ASSERT_EQ(e.errnum, EROFS);
}

/* ---- changes by people while vgpud runs ---- */

static void move(const Scratch *s, const char *from, const char *to)
{
        ASSERT_OK(renameat(s->fd, from, s->fd, to));
}

/* A folder that was moved away is created again. A folder that was put in its place is used. */
static void test_folder_replaced(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        _cleanup_definitions_ Definitions *d = definitions_new(s.path);
        g_autoptr(GPtrArray) many = make_many(2);

        put(d, UUID_A, NULL, 0);
        put(d, UUID_B, NULL, 0);
        move(&s, "definitions", "old");
        put(d, UUID_C, NULL, 0);
        ASSERT_TRUE(has_file(&s, FILE_C));
        ASSERT_EQ(count_files(&s), 1);
        ASSERT_EQ(definitions_errors(d)->len, 1);
        put(d, UUID_A, "a", 0);
        ASSERT_TRUE(has_file(&s, FILE_A));
        ASSERT_EQ(definitions_count(d), 3);
        ASSERT_EQ(definitions_errors(d)->len, 1);

        /* The old folder is put back, as from a backup. A removal removes the file there, too. */
        move(&s, "definitions", "new");
        move(&s, "old", "definitions");
        ASSERT_OK(definitions_remove(d, UUID_B, NULL));
        ASSERT_FALSE(has_file(&s, FILE_B));
        ASSERT_TRUE(has_file(&s, FILE_A));
        ASSERT_EQ(definitions_errors(d)->len, 2);

        move(&s, "definitions", "old");
        ASSERT_OK(definitions_put_many(d, many, NULL));
        ASSERT_EQ(count_files(&s), 2);
        ASSERT_EQ(definitions_errors(d)->len, 3);
}

/* A symbolic link in place of the folder is refused, at the start and later. A new folder there is used. */
static void test_folder_link(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        int (*const changes[])(Definitions *, VgpudError *) = {
                change_add,
                change_replace,
                change_put_many,
                change_remove,
        };

        Definitions *running = definitions_new(s.path);
        put(running, UUID_A, "a", 0);
        move(&s, "definitions", "disk");
        scratch_link(&s, "definitions", "disk");
        Definitions *started = definitions_new(s.path);
        Definitions *const both[] = { running, started };
        g_autofree char *before = describe_memory(running);
        for (size_t i = 0; i < G_N_ELEMENTS(changes) * 2; i++) {
                _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;

                ASSERT_TRUE(changes[i / 2](both[i % 2], &e) < 0);
                ASSERT_EQ(e.code, VGPUD_ERROR_FAILED);
                ASSERT_EQ(e.errnum, ELOOP);
                ASSERT_EQ(e.hint.id, VGPUD_HINT_REMOVE_BY_HAND);
                ASSERT_EQ(definitions_errors(both[i % 2])->len, 1);
        }

        g_autofree char *after = describe_memory(running);
        ASSERT_STREQ(after, before);
        ASSERT_EQ(definitions_count(started), 0);

        ASSERT_OK(unlinkat(s.fd, "definitions", 0));
        move(&s, "disk", "definitions");
        ASSERT_OK(change_remove(running, NULL));
        ASSERT_EQ(count_files(&s), 0);
        ASSERT_OK(change_add(started, NULL));
        ASSERT_EQ(count_files(&s), 1);
        definitions_free(running);
        definitions_free(started);
}

/* A folder takes the place of the file of a definition. */
static void test_file_replaced(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        _cleanup_definitions_ Definitions *d = definitions_new(s.path);
        int (*const changes[])(Definitions *, VgpudError *) = { change_replace, change_remove };

        put(d, UUID_A, "a", 0);
        ASSERT_OK(unlinkat(s.fd, FILE_A, 0));
        scratch_directory(&s, FILE_A);
        g_autofree char *before = describe_memory(d);
        for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
                _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;

                ASSERT_TRUE(changes[i](d, &e) < 0);
                ASSERT_EQ(e.errnum, EISDIR);
                ASSERT_EQ(e.hint.id, VGPUD_HINT_REMOVE_BY_HAND);
                g_autofree char *after = describe_memory(d);
                ASSERT_STREQ(after, before);
        }

        ASSERT_OK(unlinkat(s.fd, FILE_A, AT_REMOVEDIR));
        ASSERT_OK(change_replace(d, NULL));
        ASSERT_EQ(count_files(&s), 1);
}

/* A valid file added after the start blocks the UUID. A restart reads the file. */
static void test_file_added(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        _cleanup_definitions_ Definitions *d = definitions_new(s.path);
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;

        scratch_file(&s, FILE_C, "{" HEAD "}");
        ASSERT_TRUE(change_add(d, &e) < 0);
        ASSERT_EQ(e.errnum, EEXIST);
        ASSERT_EQ(e.hint.id, VGPUD_HINT_REMOVE_BY_HAND);
        definitions_free(d);
        d = definitions_new(s.path);
        ASSERT_NOT_NULL(definitions_get(d, UUID_C));
}

/* ---- scale ---- */

static void test_scale(void)
{
        _cleanup_scratch_ Scratch s = scratch_new_in_memory();
        g_autoptr(GPtrArray) many = g_ptr_array_new_with_free_func(definition_free), page = NULL;
        _cleanup_definitions_ Definitions *d = definitions_new(s.path);
        const char *after = NULL;
        char uuid[UUID_STRLEN + 1];
        guint seen = 0;

        for (guint i = 0; i < DEFINITIONS_MAX; i++) {
                g_autofree char *name = g_strdup_printf("vm%u", i);
                g_autofree char *text = g_strdup_printf("definition %u", i);
                Definition *definition = make(uuid_derive(text, uuid), name);

                definition->owner = i % 16;
                g_ptr_array_add(many, definition);
        }

        ASSERT_OK(definitions_put_many(d, many, NULL));
        definitions_free(d);

        /* One file more than the limit is reported, and stays. */
        scratch_file(&s, "definitions/ffffffff-ffff-4fff-bfff-ffffffffffff.json", "{" HEAD "}");
        d = definitions_new(s.path);
        ASSERT_EQ(definitions_count(d), DEFINITIONS_MAX);
        ASSERT_EQ(definitions_errors(d)->len, 1);
        ASSERT_TRUE(has_file(&s, "definitions/ffffffff-ffff-4fff-bfff-ffffffffffff.json"));
        ASSERT_EQ(definitions_count_of(d, 3), DEFINITIONS_MAX / 16);
        for (guint i = 0; i < many->len; i++) {
                const Definition *definition = many->pdata[i];

                ASSERT_TRUE(definitions_find_name(d, definition->name) == definitions_get(d, definition->uuid));
        }

        /* The list can be read in pages of 4096. */
        do {
                g_clear_pointer(&page, g_ptr_array_unref);
                page = definitions_list(d, after);
                ASSERT_EQ(page->len, DEFINITIONS_MAX - seen);
                for (guint i = 0; i < MIN(page->len, 4096U); i++, seen++) {
                        const char *next = ((const Definition *)page->pdata[i])->uuid;

                        ASSERT_TRUE(!after || strcmp(after, next) < 0);
                        after = next;
                }
        } while (page->len > 4096);

        ASSERT_EQ(seen, DEFINITIONS_MAX);

        /* The definition `after` need not exist. */
        g_clear_pointer(&page, g_ptr_array_unref);
        page = definitions_list(d, "ffffffff-ffff-4fff-bfff-ffffffffffff");
        ASSERT_EQ(page->len, 0);
}

int main(int argc, char **argv)
{
        log_set_max_level(LOG_EMERG);
        tests_begin(argc, argv);
        TEST(test_life);
        TEST(test_checksum);
        TEST(test_check);
        TEST(test_keys);
        TEST(test_edited);
        TEST(test_damaged);
        TEST(test_set_aside);
        TEST(test_no_files);
        TEST(test_names);
        TEST(test_size);
        TEST(test_newer);
        TEST(test_unreadable);
        TEST(test_shared_name);
        TEST(test_many_faults);
        TEST(test_no_folder);
        TEST(test_folder_replaced);
        TEST(test_folder_link);
        TEST(test_file_replaced);
        TEST(test_file_added);
        TEST(test_many);
        TEST(test_few);
        TEST(test_steps);
        TEST(test_no_flag);
        TEST(test_full);
        TEST(test_read_only);
        TEST(test_scale);
        return tests_end();
}
