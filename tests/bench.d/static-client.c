/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A static program that makes one call and waits for the answer: no command can take less time. The program
 * knows just enough of D-Bus for that, on a bus whose address begins with unix:path=.
 *
 *     static-client create GPU TYPE UUID | static-client destroy INSTANCE */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SERVICE "org.vgpud1"

enum { CALL = 1, RETURN = 2, ERROR = 3 };
enum {
        FIELD_PATH = 1,
        FIELD_INTERFACE = 2,
        FIELD_MEMBER = 3,
        FIELD_REPLY_SERIAL = 5,
        FIELD_DESTINATION = 6,
        FIELD_SIGNATURE = 8
};

typedef struct Buffer {
        unsigned char data[4096];
        size_t size;
} Buffer;

static void fail(const char *what)
{
        perror(what);
        exit(EXIT_FAILURE);
}

static void align(Buffer *b, size_t n)
{
        while (b->size % n)
                b->data[b->size++] = 0;
}

static void put_u32(Buffer *b, uint32_t value)
{
        align(b, 4);
        memcpy(b->data + b->size, &value, 4);
        b->size += 4;
}

static void put_text(Buffer *b, const char *text)
{
        size_t n = strlen(text) + 1;

        put_u32(b, (uint32_t)n - 1);
        memcpy(b->data + b->size, text, n);
        b->size += n;
}

static void put_signature(Buffer *b, const char *text)
{
        size_t n = strlen(text) + 1;

        b->data[b->size++] = (unsigned char)(n - 1);
        memcpy(b->data + b->size, text, n);
        b->size += n;
}

static void put_field(Buffer *b, unsigned char code, const char *signature, const char *text)
{
        align(b, 8);
        b->data[b->size++] = code;
        put_signature(b, signature);
        if (signature[0] == 'g')
                put_signature(b, text);
        else
                put_text(b, text);
}

static void put_call(Buffer *b, uint32_t serial, const char *name, const char *path, const char *interface,
                     const char *member, const char *signature, const Buffer *body)
{
        size_t fields;
        uint32_t size;

        b->data[0] = 'l';
        b->data[1] = CALL;
        b->data[2] = 0;
        b->data[3] = 1;
        b->size = 4;
        put_u32(b, body ? (uint32_t)body->size : 0);
        put_u32(b, serial);
        put_u32(b, 0);
        fields = b->size;
        put_field(b, FIELD_PATH, "o", path);
        put_field(b, FIELD_INTERFACE, "s", interface);
        put_field(b, FIELD_MEMBER, "s", member);
        put_field(b, FIELD_DESTINATION, "s", name);
        if (signature)
                put_field(b, FIELD_SIGNATURE, "g", signature);
        size = (uint32_t)(b->size - fields);
        memcpy(b->data + fields - 4, &size, 4);
        align(b, 8);
        if (body) {
                memcpy(b->data + b->size, body->data, body->size);
                b->size += body->size;
        }
}

/* The options: "wait", and "uuid" if there is one. */
static void put_options(Buffer *b, const char *uuid)
{
        size_t at, begin;
        uint32_t size;

        /* The size excludes the padding before the first entry. */
        put_u32(b, 0);
        at = b->size - 4;
        align(b, 8);
        begin = b->size;
        put_text(b, "wait");
        put_signature(b, "b");
        put_u32(b, 1);
        if (uuid) {
                align(b, 8);
                put_text(b, "uuid");
                put_signature(b, "s");
                put_text(b, uuid);
        }

        size = (uint32_t)(b->size - begin);
        memcpy(b->data + at, &size, 4);
}

static void send_all(int fd, const void *data, size_t size)
{
        if (write(fd, data, size) != (ssize_t)size)
                fail("write");
}

static void read_all(int fd, void *data, size_t size)
{
        for (size_t done = 0; done < size;) {
                ssize_t n = read(fd, (char *)data + done, size - done);

                if (n <= 0)
                        fail("read");
                done += (size_t)n;
        }
}

/* Reads messages up to the answer to the call with this serial. */
static void await_answer(int fd, uint32_t serial)
{
        for (;;) {
                unsigned char head[16], rest[65536];
                uint32_t body, fields, answered = 0;
                size_t size;

                read_all(fd, head, sizeof head);
                memcpy(&body, head + 4, 4);
                memcpy(&fields, head + 12, 4);
                size = (fields + 7) / 8 * 8 + body;
                if (size > sizeof rest)
                        exit(EXIT_FAILURE);
                read_all(fd, rest, size);
                for (size_t i = 0; i + 8 <= fields; i++)
                        if (i % 8 == 0 && rest[i] == FIELD_REPLY_SERIAL && rest[i + 2] == 'u')
                                memcpy(&answered, rest + i + 4, 4);
                if (answered != serial || (head[1] != RETURN && head[1] != ERROR))
                        continue;
                if (head[1] == ERROR) {
                        (void)fprintf(stderr, "static-client: the call failed\n");
                        exit(EXIT_FAILURE);
                }
                return;
        }
}

static void connect_bus(int fd)
{
        const char *address = getenv("DBUS_SYSTEM_BUS_ADDRESS");
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        char line[256], uid[16], *at = line;

        if (!address || strncmp(address, "unix:path=", 10) != 0 || strlen(address + 10) >= sizeof a.sun_path)
                exit(EXIT_FAILURE);
        strcpy(a.sun_path, address + 10);
        if (connect(fd, (const struct sockaddr *)&a, sizeof a) < 0)
                fail("connect");

        *at++ = 0;
        at += sprintf(at, "AUTH EXTERNAL ");
        (void)sprintf(uid, "%u", (unsigned)getuid());
        for (const char *c = uid; *c; c++)
                at += sprintf(at, "%02x", (unsigned char)*c);
        at += sprintf(at, "\r\nBEGIN\r\n");
        send_all(fd, line, (size_t)(at - line));

        /* Skip the answer "OK GUID" of the bus. */
        do
                read_all(fd, line, 1);
        while (line[0] != '\n');
}

int main(int argc, char **argv)
{
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        Buffer hello, body = { .size = 0 }, call;

        if (fd < 0 || argc < 3)
                fail("static-client");

        connect_bus(fd);
        put_call(&hello, 1, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello",
                 NULL, NULL);
        put_text(&body, argv[2]);
        if (strcmp(argv[1], "create") == 0 && argc > 4) {
                put_text(&body, argv[3]);
                put_options(&body, argv[4]);
                put_call(&call, 2, SERVICE, "/org/vgpud1", SERVICE ".Manager", "Create", "ssa{sv}", &body);
        } else {
                put_options(&body, NULL);
                put_call(&call, 2, SERVICE, "/org/vgpud1", SERVICE ".Manager", "Destroy", "sa{sv}", &body);
        }

        send_all(fd, hello.data, hello.size);
        send_all(fd, call.data, call.size);
        await_answer(fd, 2);

        return 0;
}
