/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Arguments and options of an untrusted caller. An accepted option is within its limits. The error of a
 * refused call fits the returned errno. */

#include "fuzz.h"

#include "base/log.h"
#include "dbus/message/bus-error.h"
#include "dbus/message/bus-util.h"
#include "drivers-glue/attribute.h"
#include "fuzz-message.h"

#define TEXT_MAX  64U
#define COUNT_MAX 16U

static const FuzzKey keys[] = {
        { "name", "s" },  { "count", "u" },   { "timeout", "t" },       { "attributes", "a(ss)" },
        { "node", "i" },  { "foreign", "b" }, { "error_details", "b" }, { "nothing", "s" },
        { "count", "s" }, { "free", "u" },
};

static void check_text(const char *text, size_t max)
{
        g_assert(strlen(text) <= max && g_utf8_validate(text, -1, NULL));
}

static void check_error(int r, VgpudError *e)
{
        /* If libsystemd cannot read the message, the error is not set. */
        if (r < 0 && e->code != VGPUD_ERROR_NONE) {
                g_assert(r == -vgpud_error_code_to_errno(e->code));
                check_text(e->message, 2048);
        }

        vgpud_error_done(e);
}

static void fuzz_options(sd_bus_message *m)
{
        VgpudError e = VGPUD_ERROR_INIT;
        GPtrArray *attributes = NULL;
        const char *name = NULL;
        uint32_t count = 1, unbounded = 0;
        uint64_t timeout = 0;
        int32_t node = -1;
        bool foreign = false;
        const BusOption options[] = {
                { "name", "s", &name, .max = TEXT_MAX },
                { "count", "u", &count, .min = 1, .max = COUNT_MAX },
                { "timeout", "t", &timeout, .max = UINT32_MAX },
                { "attributes", "a(ss)", &attributes, .max = 4 },
                { "node", "i", &node },
                { "foreign", "b", &foreign },
                { "free", "u", &unbounded },
        };
        int r = bus_read_options(m, options, G_N_ELEMENTS(options), &e);

        g_assert(count >= 1 && count <= COUNT_MAX && timeout <= UINT32_MAX);
        g_assert(r < 0 || e.code == VGPUD_ERROR_NONE);
        if (name)
                check_text(name, TEXT_MAX);
        g_assert(!attributes || attributes->len <= 4);
        for (guint i = 0; attributes && i < attributes->len; i++) {
                const VgpuAttribute *a = attributes->pdata[i];

                check_text(a->name, BUS_MAX_ATTRIBUTE_BYTES);
                check_text(a->value, BUS_MAX_ATTRIBUTE_BYTES);
        }

        g_clear_pointer(&attributes, g_ptr_array_unref);
        check_error(r, &e);
}

/* Reads a text, which may be a path, and options. Most calls have these arguments. */
static void fuzz_call(sd_bus_message *m)
{
        VgpudError e = VGPUD_ERROR_INIT;
        const char *text = NULL;
        int r = bus_read_text(m, "type", TEXT_MAX, &text, &e);

        if (r >= 0) {
                char uuid[37];
                g_autofree char *gpu = bus_path_to_gpu(text);

                check_text(text, TEXT_MAX);
                if (gpu) {
                        g_autofree char *again = bus_path_gpu(gpu);

                        g_assert(strcmp(again, text) == 0);
                }

                (void)bus_path_to_instance(text, uuid);
                (void)bus_path_to_job(text);
                fuzz_options(m);
        }

        check_error(r, &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const char *const signatures[] = { "a{sv}", "sa{sv}", "oa{sv}", "us", "", "sv" };
        FuzzInput in = { data, size };
        uint8_t byte = fuzz_take_byte(&in);
        sd_bus_message *m = fuzz_message_new(&in, signatures[byte / 2 % G_N_ELEMENTS(signatures)], keys,
                                             G_N_ELEMENTS(keys));

        log_set_max_level(LOG_CRIT);

        if (byte % 2 == 0)
                fuzz_options(m);
        else
                fuzz_call(m);

        sd_bus_message_unref(m);

        return 0;
}
