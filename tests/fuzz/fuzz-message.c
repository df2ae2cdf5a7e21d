/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fuzz-message.h"

#include <sys/socket.h>

#define ELEMENTS_MAX 12
#define DEPTH_MAX    12

/* Types for values whose type is not the expected one. */
static const char *const odd_signatures[] = {
        "s",  "u", "t",     "b",      "i",     "q", "o", "as", "ao",
        "au", "v", "a{sv}", "aa{sv}", "a(ss)", "y", "g", "d",  "ai",
};

static const char *const paths[] = {
        "/",
        "/org/vgpud1/gpu/_30000_3a00_3a02_2e0",
        "/org/vgpud1/gpu/mdpy",
        "/org/vgpud1/instance/11111111_0000_4000_8000_000000000001",
        "/org/vgpud1/instance/22222222_0000_4000_8000_000000000002",
        "/org/vgpud1/job/7",
        "/org/vgpud1/job/4294967296",
        "/org/vgpud1/gpu/_ff",
};

typedef struct Writer {
        sd_bus_message *message;
        FuzzInput *in;
        const FuzzKey *keys;
        size_t n_keys;
        unsigned depth;
} Writer;

static sd_bus *make_bus(void)
{
        static sd_bus *bus;
        int fds[2];

        if (bus)
                return bus;

        assert_se(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) >= 0);
        assert_se(sd_bus_new(&bus) >= 0 && sd_bus_set_fd(bus, fds[0], fds[0]) >= 0 && sd_bus_start(bus) >= 0);

        return bus;
}

static uint64_t take_number(FuzzInput *in)
{
        static const uint64_t numbers[] = {
                0, 1, 2, 7, UINT8_MAX, INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX, (uint64_t)1 << 32,
        };
        uint8_t byte = fuzz_take_byte(in);

        return byte < 128 ? byte : numbers[byte % G_N_ELEMENTS(numbers)];
}

static void append_text(Writer *w, char type)
{
        g_autofree char *text = fuzz_take_text(w->in);

        if (type == 'o' && !sd_bus_object_path_is_valid(text)) {
                const char *path = paths[(unsigned char)text[0] % G_N_ELEMENTS(paths)];

                g_free(text);
                text = g_strdup(path);
        }

        if (type == 'g' || sd_bus_message_append_basic(w->message, type, text) < 0)
                assert_se(sd_bus_message_append_basic(w->message, type, "") >= 0);
}

static void append_basic(Writer *w, char type)
{
        union {
                uint8_t y;
                uint16_t q;
                uint32_t u;
                uint64_t t;
                int b;
        } v = { 0 };
        uint64_t number;

        if (strchr("sog", type)) {
                append_text(w, type);
                return;
        }

        number = take_number(w->in);
        if (type == 'b')
                v.b = number & 1;
        else if (type == 'y')
                v.y = (uint8_t)number;
        else if (type == 'q' || type == 'n')
                v.q = (uint16_t)number;
        else if (type == 'u' || type == 'i')
                v.u = (uint32_t)number;
        else
                v.t = number;

        assert_se(sd_bus_message_append_basic(w->message, type, &v) >= 0);
}

static size_t append_value(Writer *w, const char *signature);

/* The length of the first type of the signature. */
static size_t type_length(const char *signature)
{
        size_t n = 1;

        if (signature[0] == 'a')
                return 1 + type_length(signature + 1);
        if (signature[0] != '(' && signature[0] != '{')
                return 1;

        while (signature[n] != ')' && signature[n] != '}')
                n += type_length(signature + n);

        return n + 1;
}

static void append_values(Writer *w, const char *signature, size_t size)
{
        for (size_t n = 0; n < size;)
                n += append_value(w, signature + n);
}

static void append_variant(Writer *w, const char *signature)
{
        assert_se(sd_bus_message_open_container(w->message, 'v', signature) >= 0);
        append_values(w, signature, strlen(signature));
        assert_se(sd_bus_message_close_container(w->message) >= 0);
}

/* An entry of a{sv}. */
static void append_property(Writer *w)
{
        uint8_t byte = fuzz_take_byte(w->in);
        const FuzzKey *key = &w->keys[byte % w->n_keys];
        const char *signature = key->signature;
        g_autofree char *other = NULL;

        /* 0xff: another key with another type; 0xfe: a key from the table with another type. */
        if (byte == 0xff)
                other = fuzz_take_text(w->in);
        if (byte >= 0xfe)
                signature = odd_signatures[fuzz_take_byte(w->in) % G_N_ELEMENTS(odd_signatures)];
        if (sd_bus_message_append_basic(w->message, 's', other ? other : key->key) < 0)
                assert_se(sd_bus_message_append_basic(w->message, 's', "") >= 0);
        append_variant(w, signature);
}

static void append_array(Writer *w, const char *signature, size_t size)
{
        g_autofree char *contents = g_strndup(signature, size);
        unsigned n = w->depth < DEPTH_MAX ? fuzz_take_byte(w->in) % ELEMENTS_MAX : 0;

        assert_se(sd_bus_message_open_container(w->message, 'a', contents) >= 0);
        for (; n > 0 && w->in->size > 0; n--)
                (void)append_value(w, contents);
        assert_se(sd_bus_message_close_container(w->message) >= 0);
}

/* Append a value of the first type of the signature, and return the length of the type. */
static size_t append_value(Writer *w, const char *signature)
{
        size_t size = type_length(signature);
        g_autofree char *contents = size > 2 ? g_strndup(signature + 1, size - 2) : NULL;

        w->depth++;
        switch (signature[0]) {
        case 'a':
                append_array(w, signature + 1, size - 1);
                break;
        case 'v':
                /* From DEPTH_MAX on, use only the first types of odd_signatures[], which contain no variant. */
                append_variant(w, odd_signatures[fuzz_take_byte(w->in) %
                                                 (w->depth < DEPTH_MAX ? G_N_ELEMENTS(odd_signatures) : 8)]);
                break;
        case '{':
                assert_se(sd_bus_message_open_container(w->message, 'e', contents) >= 0);
                if (strcmp(contents, "sv") == 0)
                        append_property(w);
                else
                        append_values(w, contents, strlen(contents));
                assert_se(sd_bus_message_close_container(w->message) >= 0);
                break;
        case '(':
                assert_se(sd_bus_message_open_container(w->message, 'r', contents) >= 0);
                append_values(w, contents, strlen(contents));
                assert_se(sd_bus_message_close_container(w->message) >= 0);
                break;
        default:
                append_basic(w, signature[0]);
                break;
        }

        w->depth--;

        return size;
}

static void fill(sd_bus_message *m, FuzzInput *in, const char *signature, const FuzzKey *keys, size_t n_keys)
{
        Writer w = { .message = m, .in = in, .keys = keys, .n_keys = n_keys };

        append_values(&w, signature, strlen(signature));
        assert_se(sd_bus_message_seal(m, 2, 0) >= 0);
        assert_se(sd_bus_message_rewind(m, true) >= 0);
}

static sd_bus_message *make_call(void)
{
        sd_bus_message *m = NULL;

        assert_se(sd_bus_message_new_method_call(make_bus(), &m, "org.vgpud1", "/org/vgpud1",
                                                 "org.vgpud1.Manager", "Create") >= 0);

        return m;
}

sd_bus_message *fuzz_message_new(FuzzInput *in, const char *signature, const FuzzKey *keys, size_t n_keys)
{
        sd_bus_message *m = make_call();

        fill(m, in, signature, keys, n_keys);

        return m;
}

sd_bus_message *fuzz_message_new_error(FuzzInput *in, const char *signature, const FuzzKey *keys, size_t n_keys)
{
        g_autofree char *name = fuzz_take_text(in), *message = fuzz_take_text(in);
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *call = make_call(), *m = NULL;

        assert_se(sd_bus_message_seal(call, 1, 0) >= 0);
        if (!sd_bus_interface_name_is_valid(name) || sd_bus_error_set(&error, name, message) == 0)
                (void)sd_bus_error_set_const(&error, "org.vgpud1.Error.Failed", "");

        /* sd-bus appends the text of the error as the first value; fill() appends the values after it. */
        if (sd_bus_message_new_method_error(call, &m, &error) < 0) {
                sd_bus_error_free(&error);
                (void)sd_bus_error_set_const(&error, "org.vgpud1.Error.Failed", "");
                assert_se(sd_bus_message_new_method_error(call, &m, &error) >= 0);
        }

        fill(m, in, signature, keys, n_keys);
        sd_bus_message_unref(call);

        return m;
}
