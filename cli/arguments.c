/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/arguments.h"

#include <getopt.h>
#include <string.h>

#include "base/parse-util.h"
#include "base/uuid.h"
#include "cli/output/errors.h"

/* A longer timeout counts as infinite, so that the time of a timer cannot overflow 64 bits. */
#define TIMEOUT_MAX_USEC (UINT64_C(10) * 365 * 24 * 3600 * USEC_PER_SEC)

enum {
        ARG_VERSION = 0x100,
        ARG_JSON,
        ARG_NO_LEGEND,
        ARG_NO_ASK_PASSWORD,
        ARG_NO_BLOCK,
        ARG_TYPE,
        ARG_GPU,
        ARG_UUID,
        ARG_NAME,
        ARG_PARENT,
        ARG_COUNT,
        ARG_ATTR,
        ARG_TIMEOUT,
        ARG_READY,
        ARG_FOREIGN,
        ARG_WHY,
        ARG_STRATEGY,
        ARG_NUMA_NODE,
        ARG_PREFER_NUMA_NODE,
        ARG_NEAR,
        ARG_POOL,
        ARG_DRY_RUN,
        ARG_ALL,
        ARG_FULL,
        ARG_KEEP,
        ARG_STOP,
        ARG_FROM,
        ARG_NO_ATTRS,
        ARG_AUTOSTART,
};

static const OptionInfo options[] = {
        { "--help", "-h", NULL, 0, "Show this text" },
        { "--version", NULL, NULL, 0, "Show the version" },
        { "--host", "-H", "[USER@]HOST", 0, "Use the daemon of another host, over ssh" },
        { "--json", NULL, NULL, 0, "Print JSON, for programs" },
        { "--quiet", "-q", NULL, 0, "Print only ids" },
        { "--no-legend", NULL, NULL, 0, "Print no column headers" },
        { "--no-ask-password", NULL, NULL, 0, "Do not let polkit ask for a password" },
        { "--no-block", NULL, NULL, OPTION_NO_BLOCK, "Do not wait for the job; print its number" },
        { "--type", NULL, "TYPE", OPTION_TYPE, "Use this type (may also be the first word)",
          "Use this type from the next start on" },
        { "--gpu", NULL, "GPU", OPTION_GPU, "Use this GPU; by default, the best GPU with room",
          "Use this GPU; \"\": each start chooses a GPU" },
        { "--uuid", NULL, "UUID", OPTION_UUID, "Use this UUID" },
        { "--name", NULL, "NAME", OPTION_NAME, "Give the instance or definition a name",
          "Give the definition this name; \"\": no name" },
        { "--parent", NULL, "DEVICE", OPTION_PARENT, "Use this parent device: the GPU or one of its VFs",
          "Use this parent device; \"\": each start chooses one" },
        { "--count", NULL, "N", OPTION_COUNT, "Create N instances, or none if one fails" },
        { "--attr", NULL, "NAME=VALUE", OPTION_ATTR, "Set an option of the type, or a vendor attribute",
          "Set this option or attribute, and remove those not given" },
        { "--no-attrs", NULL, NULL, OPTION_NO_ATTRS, "Remove all options and attributes" },
        { "--from", NULL, "INSTANCE", OPTION_FROM, "Write a definition of this existing instance" },
        { "--keep", NULL, NULL, OPTION_KEEP, "Also define the instances, or also keep the setting of the GPU" },
        { "--autostart", NULL, NULL, OPTION_AUTOSTART, "Start the definition after each boot" },
        { "--stop", NULL, NULL, OPTION_STOP, "Stop the instances first" },
        { "--timeout", NULL, "TIME", OPTION_TIMEOUT, "Wait at most this long: 30, 30s, 2min" },
        { "--ready", NULL, NULL, OPTION_READY,
          "Wait until the host is ready, or until definitions are active" },
        { "--foreign", NULL, NULL, OPTION_FOREIGN, "Also destroy instances that other programs created" },
        { "--why", NULL, NULL, OPTION_WHY, "Explain why no more fit, and list the types' options" },
        { "--strategy", NULL, "STRATEGY", OPTION_STRATEGY,
          "Use the GPU with the most room (breadth) or least (depth)" },
        { "--numa-node", NULL, "N", OPTION_NUMA_NODE, "Use only a GPU of this NUMA node" },
        { "--prefer-numa-node", NULL, "N", OPTION_PREFER_NUMA_NODE, "Prefer a GPU of this NUMA node" },
        { "--near", NULL, "DEVICE", OPTION_NEAR, "Use the GPU nearest to this PCI device" },
        { "--pool", NULL, "POOL", OPTION_POOL, "Use a GPU of this pool of vgpud.conf",
          "Use a GPU of this pool; \"\": no pool" },
        { "--dry-run", NULL, NULL, OPTION_DRY_RUN, "No effect: place never changes anything" },
        { "--all", NULL, NULL, OPTION_ALL, "Also list ended jobs, or definitions that are not active" },
        { "--full", NULL, NULL, OPTION_FULL, "Print whole objects, not only changes (with --json)" },
        { NULL },
};

const OptionInfo *option_table(void)
{
        return options;
}

const char *option_text(const OptionInfo *o, bool changes)
{
        return changes && o->change_text ? o->change_text : o->text;
}

static void attribute_clear(void *p)
{
        g_free(((Attribute *)p)->name);
}

/* An error of an option is printed as JSON even if --json comes later on the command line. */
static bool json_is_wanted(char **argv)
{
        for (size_t i = 1; argv[i] && strcmp(argv[i], "--") != 0; i++)
                if (strcmp(argv[i], "--json") == 0)
                        return true;

        return false;
}

static int option_add_attribute(Arguments *a, const char *text)
{
        const char *equals = strchr(text, '=');

        if (!equals || equals == text)
                return fail_usage(a, "--attr needs NAME=VALUE, not \"%s\"", text);

        Attribute attribute = { .name = g_strndup(text, (size_t)(equals - text)), .value = equals + 1 };
        g_array_append_val(a->attributes, attribute);

        return 0;
}

static int option_read_node(const Arguments *a, const char *option, const char *text, int32_t *ret)
{
        if (parse_i32(text, ret) < 0 || *ret < 0)
                return fail_usage(a, "%s needs the number of a NUMA node, not \"%s\"", option, text);

        return 0;
}

/* getopt_long() has set optopt to the unknown letter, to 0 for an unknown long option, or to the `val` of a
 * long option that takes no argument, but was given one. */
static int option_refuse(const Arguments *a, const struct option *table, const char *argument)
{
        for (; table->name; table++)
                if (table->val == optopt)
                        return fail_usage(a, "--%s takes no value", table->name);

        if (optopt != 0)
                return fail_usage(a, "There is no option -%c", optopt);

        return fail_usage(a, "There is no option %s", argument);
}

static int option_take(Arguments *a, const struct option *table, int option, char **argv)
{
        switch (option) {
        case 'h':
                a->help = true;
                return 0;
        case ARG_VERSION:
                a->version = true;
                return 0;
        case 'H':
                if (!*optarg)
                        return fail_usage(a, "--host needs the name of a host");

                a->host = optarg;
                return 0;
        case ARG_JSON:
                a->json = true;
                return 0;
        case 'q':
                a->quiet = true;
                return 0;
        case ARG_NO_LEGEND:
                a->legend = false;
                return 0;
        case ARG_NO_ASK_PASSWORD:
                a->ask_password = false;
                return 0;
        case ARG_NO_BLOCK:
                a->given |= OPTION_NO_BLOCK;
                a->block = false;
                return 0;
        case ARG_TYPE:
                a->given |= OPTION_TYPE;
                a->type = optarg;
                return 0;
        case ARG_GPU:
                a->given |= OPTION_GPU;
                a->gpu = optarg;
                return 0;
        case ARG_UUID:
                a->given |= OPTION_UUID;
                if (!uuid_is_valid(optarg) || uuid_is_nil(optarg))
                        return fail_usage(
                                        a,
                                        "--uuid needs a UUID like b7ae9bc4-5d6e-4f1c-9a1e-2f0d3c4b5a69, not \"%s\"",
                                        optarg);

                a->uuid = optarg;
                return 0;
        case ARG_NAME:
                a->given |= OPTION_NAME;
                a->name = optarg;
                return 0;
        case ARG_PARENT:
                a->given |= OPTION_PARENT;
                a->parent = optarg;
                return 0;
        case ARG_COUNT:
                a->given |= OPTION_COUNT;
                if (parse_u32(optarg, 10, &a->count) < 0 || a->count < 1 || a->count > 1024)
                        return fail_usage(a, "--count needs a number from 1 to 1024, not \"%s\"", optarg);

                return 0;
        case ARG_ATTR:
                a->given |= OPTION_ATTR;
                return option_add_attribute(a, optarg);
        case ARG_TIMEOUT:
                a->given |= OPTION_TIMEOUT;
                if (strcmp(optarg, "infinity") == 0)
                        a->timeout_usec = UINT64_MAX;
                else if (parse_seconds(optarg, &a->timeout_usec) < 0 || a->timeout_usec < USEC_PER_MSEC)
                        return fail_usage(a,
                                          "--timeout needs a time of at least 1ms, or \"infinity\", not \"%s\"",
                                          optarg);

                if (a->timeout_usec > TIMEOUT_MAX_USEC) /* a time that never comes */
                        a->timeout_usec = UINT64_MAX;

                return 0;
        case ARG_READY:
                a->given |= OPTION_READY;
                a->ready = true;
                return 0;
        case ARG_FOREIGN:
                a->given |= OPTION_FOREIGN;
                a->foreign = true;
                return 0;
        case ARG_WHY:
                a->given |= OPTION_WHY;
                a->why = true;
                return 0;
        case ARG_STRATEGY:
                a->given |= OPTION_STRATEGY;
                a->strategy = optarg;
                return 0;
        case ARG_NUMA_NODE:
                a->given |= OPTION_NUMA_NODE;
                return option_read_node(a, "--numa-node", optarg, &a->numa_node);
        case ARG_PREFER_NUMA_NODE:
                a->given |= OPTION_PREFER_NUMA_NODE;
                return option_read_node(a, "--prefer-numa-node", optarg, &a->preferred_numa_node);
        case ARG_NEAR:
                a->given |= OPTION_NEAR;
                a->near = optarg;
                return 0;
        case ARG_POOL:
                a->given |= OPTION_POOL;
                a->pool = optarg;
                return 0;
        case ARG_DRY_RUN:
                a->given |= OPTION_DRY_RUN;
                return 0;
        case ARG_ALL:
                a->given |= OPTION_ALL;
                a->all = true;
                return 0;
        case ARG_FULL:
                a->given |= OPTION_FULL;
                a->full = true;
                return 0;
        case ARG_KEEP:
                a->given |= OPTION_KEEP;
                a->keep = true;
                return 0;
        case ARG_STOP:
                a->given |= OPTION_STOP;
                a->stop = true;
                return 0;
        case ARG_FROM:
                a->given |= OPTION_FROM;
                a->from = optarg;
                return 0;
        case ARG_NO_ATTRS:
                a->given |= OPTION_NO_ATTRS;
                return 0;
        case ARG_AUTOSTART:
                a->given |= OPTION_AUTOSTART;
                a->autostart = true;
                return 0;
        case ':':
                return fail_usage(a, "%s needs a value", argv[optind - 1]);
        default:
                return option_refuse(a, table, argv[optind - 1]);
        }
}

int arguments_parse(Arguments *a, int argc, char **argv)
{
        static const struct option table[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, ARG_VERSION },
                { "host", required_argument, NULL, 'H' },
                { "json", no_argument, NULL, ARG_JSON },
                { "quiet", no_argument, NULL, 'q' },
                { "no-legend", no_argument, NULL, ARG_NO_LEGEND },
                { "no-ask-password", no_argument, NULL, ARG_NO_ASK_PASSWORD },
                { "no-block", no_argument, NULL, ARG_NO_BLOCK },
                { "type", required_argument, NULL, ARG_TYPE },
                { "gpu", required_argument, NULL, ARG_GPU },
                { "uuid", required_argument, NULL, ARG_UUID },
                { "name", required_argument, NULL, ARG_NAME },
                { "parent", required_argument, NULL, ARG_PARENT },
                { "count", required_argument, NULL, ARG_COUNT },
                { "attr", required_argument, NULL, ARG_ATTR },
                { "timeout", required_argument, NULL, ARG_TIMEOUT },
                { "ready", no_argument, NULL, ARG_READY },
                { "foreign", no_argument, NULL, ARG_FOREIGN },
                { "why", no_argument, NULL, ARG_WHY },
                { "strategy", required_argument, NULL, ARG_STRATEGY },
                { "numa-node", required_argument, NULL, ARG_NUMA_NODE },
                { "prefer-numa-node", required_argument, NULL, ARG_PREFER_NUMA_NODE },
                { "near", required_argument, NULL, ARG_NEAR },
                { "pool", required_argument, NULL, ARG_POOL },
                { "dry-run", no_argument, NULL, ARG_DRY_RUN },
                { "all", no_argument, NULL, ARG_ALL },
                { "full", no_argument, NULL, ARG_FULL },
                { "keep", no_argument, NULL, ARG_KEEP },
                { "stop", no_argument, NULL, ARG_STOP },
                { "from", required_argument, NULL, ARG_FROM },
                { "no-attrs", no_argument, NULL, ARG_NO_ATTRS },
                { "autostart", no_argument, NULL, ARG_AUTOSTART },
                { NULL },
        };
        int option;

        *a = (Arguments){
                .json = json_is_wanted(argv),
                .legend = true,
                .ask_password = true,
                .block = true,
                .count = 1,
                .numa_node = -1,
                .preferred_numa_node = -1,
                .attributes = g_array_new(false, false, sizeof(Attribute)),
        };
        g_array_set_clear_func(a->attributes, attribute_clear);

        for (int i = 1; i < argc; i++)
                if (!g_utf8_validate(argv[i], -1, NULL)) /* D-Bus carries only UTF-8 */
                        return fail_usage(a, "\"%s\" is not UTF-8", argv[i]);

        opterr = 0;
        while ((option = getopt_long(argc, argv, ":hH:q", table, NULL)) >= 0) {
                int status = option_take(a, table, option, argv);

                if (status != 0)
                        return status;
        }

        a->words = argv + optind;
        a->n_words = (unsigned)(argc - optind);

        return 0;
}

void arguments_done(Arguments *a)
{
        if (a->attributes)
                g_array_unref(a->attributes);
        *a = (Arguments){ 0 };
}
