/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/log.h"
#include "daemon/store/config.h"
#include "scratch.h"
#include "tests.h"

static void test_defaults(void)
{
        Config *c = config_new();

        config_read(c, "/nonexistent/vgpud");
        ASSERT_EQ(c->job_timeout_usec, 120 * USEC_PER_SEC);
        ASSERT_EQ(c->jobs_per_gpu, 256);
        ASSERT_EQ(c->jobs_per_user, 256);
        ASSERT_EQ(c->ready_timeout_usec, 60 * USEC_PER_SEC);
        ASSERT_EQ(c->start_timeout_usec, 5 * USEC_PER_SEC);
        ASSERT_EQ(c->stop_timeout_usec, 5 * USEC_PER_SEC);
        config_free(c);
}

/* Drop-ins are read after the file, in the order of their names. Only the invalid lines of a file are
 * ignored. */
static void test_files(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        Config *c = config_new();

        log_set_max_level(LOG_CRIT);
        scratch_file(&s, "vgpud.conf",
                     "# a comment\n[jobs]\ntimeout = 30s\nper-gpu=0\nper-user=-3\nnonsense=1\n[start]\ntimeout=0\n[stop]\ntimeout=2min\n[what]\nx=y\n");
        scratch_directory(&s, "vgpud.conf.d");
        scratch_file(&s, "vgpud.conf.d/20.conf", "[jobs]\ntimeout=500ms\nper-gpu=7\n");
        scratch_file(&s, "vgpud.conf.d/10.conf", "[jobs]\ntimeout=1s\nper-gpu=3\n");
        scratch_file(&s, "vgpud.conf.d/30.conf", "this is no key file\n");
        scratch_file(&s, "vgpud.conf.d/40.conf.dpkg-old", "[jobs]\nper-gpu=9\n");
        config_read(c, s.path);
        ASSERT_EQ(c->job_timeout_usec, 500 * USEC_PER_MSEC);
        ASSERT_EQ(c->jobs_per_gpu, 7);
        ASSERT_EQ(c->jobs_per_user, 256);
        ASSERT_EQ(c->start_timeout_usec, 5 * USEC_PER_SEC);
        ASSERT_EQ(c->stop_timeout_usec, 120 * USEC_PER_SEC);
        config_free(c);
}

/* A value outside the range of its key is ignored and listed as an error, and the default stays. */
static void test_ranges(void)
{
        static const struct {
                const char *section, *key, *value;
                uint64_t expected; /* 0: the value is refused */
        } cases[] = {
                { "jobs", "timeout", "10ms", 10 * USEC_PER_MSEC },
                { "jobs", "timeout", "24h", 24 * 3600 * USEC_PER_SEC },
                { "jobs", "timeout", "86400", 24 * 3600 * USEC_PER_SEC },
                { "jobs", "timeout", "9ms", 0 },
                { "jobs", "timeout", "0", 0 },
                { "jobs", "timeout", "86401", 0 },
                { "jobs", "timeout", "18446744073709s", 0 },
                { "jobs", "timeout", "18446744073710s", 0 },
                { "jobs", "timeout", "18446744073709551615ms", 0 },
                { "start", "timeout", "10ms", 10 * USEC_PER_MSEC },
                { "start", "timeout", "10min", 600 * USEC_PER_SEC },
                { "start", "timeout", "9ms", 0 },
                { "start", "timeout", "601s", 0 },
                { "start", "timeout", "18446744073709s", 0 },
                { "start", "timeout", "99999999999999999999999", 0 },
                { "ready", "timeout", "10ms", 10 * USEC_PER_MSEC },
                { "ready", "timeout", "90", 90 * USEC_PER_SEC },
                { "ready", "timeout", "1h", 3600 * USEC_PER_SEC },
                { "ready", "timeout", "9ms", 0 },
                { "ready", "timeout", "0", 0 },
                { "ready", "timeout", "3601s", 0 },
                { "stop", "timeout", "10ms", 10 * USEC_PER_MSEC },
                { "stop", "timeout", "10min", 600 * USEC_PER_SEC },
                { "stop", "timeout", "9ms", 0 },
                { "stop", "timeout", "601s", 0 },
                { "stop", "timeout", "18446744073709s", 0 },
                { "jobs", "per-gpu", "1", 1 },
                { "jobs", "per-gpu", "65536", 65536 },
                { "jobs", "per-gpu", "0", 0 },
                { "jobs", "per-gpu", "65537", 0 },
                { "jobs", "per-gpu", "4294967296", 0 },
                { "jobs", "per-user", "1", 1 },
                { "jobs", "per-user", "65536", 65536 },
                { "jobs", "per-user", "0", 0 },
                { "jobs", "per-user", "65537", 0 },
                { "jobs", "per-user", "-1", 0 },
        };

        log_set_max_level(LOG_EMERG);

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                _cleanup_scratch_ Scratch s = scratch_new();
                g_autofree char *text = g_strdup_printf("[%s]\n%s=%s\n", cases[i].section, cases[i].key,
                                                        cases[i].value);
                bool of_jobs = g_str_equal(cases[i].section, "jobs");
                bool of_ready = g_str_equal(cases[i].section, "ready");
                Config *c = config_new();

                scratch_file(&s, "vgpud.conf", text);
                config_read(c, s.path);
                uint64_t value = g_str_equal(cases[i].key, "per-gpu")     ? c->jobs_per_gpu
                                 : g_str_equal(cases[i].key, "per-user")  ? c->jobs_per_user
                                 : of_jobs                                ? c->job_timeout_usec
                                 : of_ready                               ? c->ready_timeout_usec
                                 : g_str_equal(cases[i].section, "start") ? c->start_timeout_usec
                                                                          : c->stop_timeout_usec;
                uint64_t standard = !g_str_equal(cases[i].key, "timeout") ? 256
                                    : of_jobs                             ? 120 * USEC_PER_SEC
                                    : of_ready                            ? 60 * USEC_PER_SEC
                                                                          : 5 * USEC_PER_SEC;

                ASSERT_EQ(value, cases[i].expected > 0 ? cases[i].expected : standard);
                ASSERT_EQ(c->errors->len, cases[i].expected > 0 ? 0 : 1);
                config_free(c);
        }
}

static void test_gpu_ranges(void)
{
        static const struct {
                const char *key, *value;
                bool valid;
        } cases[] = {
                { "spare", "0", true },           { "spare", "65536", true },
                { "spare", "-1", false },         { "spare", "65537", false },
                { "spare", "4294967295", false }, { "priority", "-1000000", true },
                { "priority", "1000000", true },  { "priority", "-1000001", false },
                { "priority", "1000001", false }, { "priority", "-2147483649", false },
        };

        log_set_max_level(LOG_EMERG);

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                _cleanup_scratch_ Scratch s = scratch_new();
                g_autofree char *text = g_strdup_printf("[gpu *]\n%s=%s\n", cases[i].key, cases[i].value);
                bool spare = g_str_equal(cases[i].key, "spare");
                int64_t given = g_ascii_strtoll(cases[i].value, NULL, 10);
                Config *c = config_new();
                ConfigGpu g;

                scratch_file(&s, "vgpud.conf", text);
                config_read(c, s.path);
                g = config_find_gpu(c, "0000:41:00.0");
                ASSERT_EQ(g.spare, spare && cases[i].valid ? given : -1);
                ASSERT_EQ(g.priority, !spare && cases[i].valid ? given : CONFIG_PRIORITY_NOT_SAID);
                ASSERT_EQ(c->errors->len, cases[i].valid ? 0 : 1);
                config_free(c);
        }
}

/* A bad line is ignored alone. After a bad section header, all lines up to the next section are ignored. */
static void test_bad_lines(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        Config *c = config_new();

        log_set_max_level(LOG_EMERG);
        scratch_file(&s, "vgpud.conf",
                     "per-gpu=3\n[jobs]\nper-gpu 4\n=5\n per-user = 6 \r\n[gpu 0000:41:00.0]\nforbid *-1B\n"
                     "forbid=*-2B\n\n  # spare=9\n[gpu 0000:42:00.0\npool=ai\nspare=8\n[gpu 0000:43:00.0] #\n"
                     "pool=ai\n[]\npool=ai\n[gpu 0000:4[45]:00.0]\npool=ai\n[gpu 0000:46:00.0]\nspare=7");
        config_read(c, s.path);
        ASSERT_EQ(c->jobs_per_gpu, 256);
        ASSERT_EQ(c->jobs_per_user, 6);
        ASSERT_EQ(c->gpus->len, 2);
        ASSERT_EQ(c->errors->len, 8);
        ASSERT_CONTAINS(c->errors->pdata[1], "vgpud.conf:3: \"per-gpu 4\" ");
        ConfigGpu g = config_find_gpu(c, "0000:41:00.0");
        ASSERT_STREQ(g.forbid[0], "*-2B");
        ASSERT_NULL(g.forbid[1]);
        ASSERT_NULL(g.pools);
        ASSERT_EQ(g.spare, -1);
        ASSERT_EQ(config_find_gpu(c, "0000:46:00.0").spare, 7);
        config_free(c);
}

/* A section means the same GPU in every form of its address; other texts stay patterns. */
static void test_gpu_addresses(void)
{
        static const struct {
                const char *section, *pattern;
        } cases[] = {
                { "0000:3d:00.0", "0000:3d:00.0" },
                { "0000:3D:00.0", "0000:3d:00.0" },
                { "00000000:3D:00.0", "0000:3d:00.0" },
                { "3D:00.0", "0000:3d:00.0" },
                { "pci_0000_3d_00_0", "0000:3d:00.0" },
                { "pci@0000:3d:00.0", "0000:3d:00.0" },
                { " PCI:61:0:0 ", "0000:3d:00.0" },
                { "0000:3D:*", "0000:3d:*" },
                { "*", "*" },
                { "mdpy", "mdpy" },
                { "MDPY", "MDPY" },
                { "0000:3D00.0", "0000:3d00.0" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                _cleanup_scratch_ Scratch s = scratch_new();
                g_autofree char *text = g_strdup_printf("\n[gpu %s]\nspare=3\n", cases[i].section);
                Config *c = config_new();

                scratch_file(&s, "vgpud.conf", text);
                config_read(c, s.path);
                ASSERT_EQ(c->errors->len, 0);
                ASSERT_EQ(c->gpus->len, 1);
                ASSERT_STREQ(((const ConfigGpu *)c->gpus->pdata[0])->pattern, cases[i].pattern);
                ASSERT_CONTAINS(((const ConfigGpu *)c->gpus->pdata[0])->where, "vgpud.conf:2: [gpu ");

                if (g_str_equal(cases[i].pattern, "0000:3d:00.0"))
                        ASSERT_EQ(config_find_gpu(c, "0000:3d:00.0").spare, 3);
                config_free(c);
        }
}

/* A file with NUL bytes is ignored as a whole, because a part of it could mean the opposite. A rule that is not
 * UTF-8 stays, because an empty allow= would allow all types. */
static void test_no_text(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        Config *c = config_new();

        log_set_max_level(LOG_EMERG);
        scratch_file(&s, "vgpud.conf", "[gpu *]\nallow=A2-\xff,\xfe\npool=\xff\n[gpu \xff*]\nspare=1\n");
        scratch_directory(&s, "vgpud.conf.d");
        scratch_bytes(&s, "vgpud.conf.d/10.conf", "[jobs]\nper-gpu=4\n\0per-user=4\n", 29);
        config_read(c, s.path);
        ASSERT_EQ(c->jobs_per_gpu, 256);
        ConfigGpu g = config_find_gpu(c, "0000:41:00.0");
        ASSERT_EQ(g_strv_length(g.allow), 2);
        ASSERT_EQ(g_strv_length(g.pools), 1);
        ASSERT_EQ(g.spare, -1);
        config_free(c);
}

static void test_pci_ids(void)
{
        static const struct {
                const char *text;
                unsigned n;
                uint32_t last;
        } cases[] = {
                { "8086:10c9", 1, 0x808610c9 },
                { " 1d55:1000,  8086:10C9 ", 2, 0x808610c9 },
                { "1:2 3:4;5:6", 3, 0x00050006 },
                { "", 0, 0 },
                /* If the value is invalid, that of vgpud.conf stays: abcd:1234. */
                { "8086", 1, 0xabcd1234 },
                { "8086:10c9:1", 1, 0xabcd1234 },
                { "8086:", 1, 0xabcd1234 },
                { ":10c9", 1, 0xabcd1234 },
                { "0x8086:10c9", 1, 0xabcd1234 },
                { "18086:10c9", 1, 0xabcd1234 },
                { "nonsense, 8086", 1, 0xabcd1234 },
                /* The valid elements of a list count. */
                { "8086:10c9 nonsense", 1, 0x808610c9 },
                { "10c9, 1d55:1000,8086:,8086:10c9", 2, 0x808610c9 },
        };

        log_set_max_level(LOG_CRIT);

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                _cleanup_scratch_ Scratch s = scratch_new();
                g_autofree char *text = g_strdup_printf("[discovery]\nalso=%s\n", cases[i].text);
                Config *c = config_new();

                ASSERT_EQ(c->also->len, 0);
                scratch_file(&s, "vgpud.conf", "[discovery]\nalso=abcd:1234\n");
                scratch_directory(&s, "vgpud.conf.d");
                scratch_file(&s, "vgpud.conf.d/10.conf", text);
                config_read(c, s.path);
                ASSERT_EQ(c->also->len, cases[i].n);

                if (cases[i].n > 0)
                        ASSERT_EQ(g_array_index(c->also, uint32_t, cases[i].n - 1), cases[i].last);
                config_free(c);
        }
}

static char *words(char *const *list)
{
        return list ? g_strjoinv("|", (char **)list) : NULL;
}

/* Each key of a GPU comes from the last matching section with the key. */
static void test_gpus(void)
{
        static const struct {
                const char *name, *pools, *allow, *forbid;
                int64_t spare, priority;
        } expected[] = {
                { "0000:41:00.0", "ai|desk", "A2-4Q|NVIDIA A2-8Q", "*-1B", 0, -3 },
                { "0000:42:00.0", "ai|desk", NULL, "*-1B", 7, CONFIG_PRIORITY_NOT_SAID },
                { "10000:41:00.0", NULL, NULL, "*-1B", 1, CONFIG_PRIORITY_NOT_SAID },
                { "mdpy", "", NULL, "", 1, 2 },
                { "MDPY", NULL, NULL, "*-1B", 1, CONFIG_PRIORITY_NOT_SAID },
        };
        _cleanup_scratch_ Scratch s = scratch_new();
        Config *c = config_new();

        log_set_max_level(LOG_CRIT);
        ASSERT_EQ(c->strategy, PLACEMENT_BREADTH);
        scratch_file(&s, "vgpud.conf",
                     "[placement]\nstrategy=consolidated\n[gpu *]\nspare=1\nforbid=*-1B\n[gpu 0000:4?:*]\n"
                     "pool = ai, desk\n[gpu 0000:41:00.0]\nallow=A2-4Q ; NVIDIA A2-8Q,,\nspare=0\npriority=-3\n"
                     "nonsense=1\n[gpu]\nspare=9\n[gpu ]\nspare=9\n[gpuX]\nspare=9\n");
        scratch_directory(&s, "vgpud.conf.d");
        scratch_file(&s, "vgpud.conf.d/10.conf",
                     "[gpu mdpy]\npool=\nforbid=\npriority=2\n[gpu 0000:42:00.0]\nspare=7\n");
        scratch_file(&s, "vgpud.conf.d/20.conf",
                     "[gpu 0000:42:00.0]\npriority=high\nspare=-1\n[placement]\nstrategy=width\n");
        config_read(c, s.path);
        ASSERT_EQ(c->strategy, PLACEMENT_DEPTH);

        for (size_t i = 0; i < G_N_ELEMENTS(expected); i++) {
                ConfigGpu g = config_find_gpu(c, expected[i].name);
                g_autofree char *pools = words(g.pools), *allow = words(g.allow), *forbid = words(g.forbid);

                ASSERT_STREQ(pools, expected[i].pools);
                ASSERT_STREQ(allow, expected[i].allow);
                ASSERT_STREQ(forbid, expected[i].forbid);
                ASSERT_EQ(g.spare, expected[i].spare);
                ASSERT_EQ(g.priority, expected[i].priority);
        }

        config_free(c);
}

/* A PCI address may be in capitals, although the kernel writes lower case. In other names, case matters. */
static void test_gpu_in_capitals(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        Config *c = config_new();

        scratch_file(&s, "vgpud.conf", "[gpu 0000:AF:*]\nspare=1\n[gpu Mdpy]\nspare=2\n");
        config_read(c, s.path);
        ASSERT_EQ(config_find_gpu(c, "0000:af:00.0").spare, 1);
        ASSERT_EQ(config_find_gpu(c, "mdpy").spare, -1);
        ASSERT_EQ(config_find_gpu(c, "Mdpy").spare, 2);
        config_free(c);
}

static void test_take_bound(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        Config *c = config_new();

        scratch_file(&s, "vgpud.conf",
                     "[gpu *]\ntake-bound=yes\n[gpu 0000:41:00.0]\ntake-bound=no\n[gpu 0000:42:00.0]\ntake-bound=maybe\n");
        int before = config_find_gpu(c, "0000:41:00.0").take_bound;
        config_read(c, s.path);
        int none = config_find_gpu(c, "0000:41:00.0").take_bound;
        int invalid = config_find_gpu(c, "0000:42:00.0").take_bound;
        guint errors = c->errors->len;
        config_free(c);
        ASSERT_EQ(before, -1);
        ASSERT_EQ(none, 0);
        ASSERT_EQ(invalid, 1);
        ASSERT_EQ(errors, 1);
}

/* Symbolic links are followed. */
static void test_link(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        Config *c = config_new();

        scratch_file(&s, "elsewhere", "[jobs]\nper-gpu=5\n");
        scratch_link(&s, "vgpud.conf", "elsewhere");
        config_read(c, s.path);
        ASSERT_EQ(c->jobs_per_gpu, 5);
        config_free(c);
}

/* A dangling link, for example to a share that is not mounted, is a mistake, unlike a missing file. */
static void test_dangling_link(void)
{
        for (unsigned i = 0; i < 3; i++) {
                _cleanup_scratch_ Scratch s = scratch_new();
                Config *c = config_new();

                log_set_max_level(LOG_EMERG);
                if (i == 1)
                        scratch_directory(&s, "vgpud.conf.d");
                scratch_link(&s,
                             i == 0   ? "vgpud.conf"
                             : i == 1 ? "vgpud.conf.d/10.conf"
                                      : "vgpud.conf.d",
                             "nowhere");
                config_read(c, s.path);
                ASSERT_EQ(c->errors->len, 1);
                config_free(c);
        }
}

static void test_byte_order_mark(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        Config *c = config_new();

        scratch_file(&s, "vgpud.conf", "\xef\xbb\xbf[gpu *]\r\nspare=2\r\n");
        config_read(c, s.path);
        ASSERT_EQ(c->errors->len, 0);
        ASSERT_EQ(config_find_gpu(c, "0000:41:00.0").spare, 2);
        config_free(c);
}

/* Rules below a section header that follows a no-break space must not apply to the section above. */
static void test_spoiled_section(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        Config *c = config_new();

        log_set_max_level(LOG_EMERG);
        scratch_file(&s, "vgpud.conf",
                     "[gpu 0000:41:00.0]\nspare=1\n\xc2\xa0[gpu 0000:42:00.0]\nspare=2\n[gpu 0000:43:00.0]\nspare=3\n");
        config_read(c, s.path);
        ASSERT_EQ(c->errors->len, 1);
        ASSERT_EQ(config_find_gpu(c, "0000:41:00.0").spare, 1);
        ASSERT_EQ(config_find_gpu(c, "0000:42:00.0").spare, -1);
        ASSERT_EQ(config_find_gpu(c, "0000:43:00.0").spare, 3);
        config_free(c);
}

/* A rule for types that has a quote or a comment matches nothing: it stays, and is listed as a mistake. */
static void test_strange_types(void)
{
        static const char *const values[] = { "\"A2-1Q\"", "A2-1Q # why", "'A2-1Q'" };

        for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
                _cleanup_scratch_ Scratch s = scratch_new();
                g_autofree char *text =
                                g_strdup_printf("[gpu *]\nforbid=A2-2Q, %s\nallow=%s\n", values[i], values[i]);
                Config *c = config_new();

                log_set_max_level(LOG_EMERG);
                scratch_file(&s, "vgpud.conf", text);
                config_read(c, s.path);
                ASSERT_EQ(c->errors->len, 2);
                ConfigGpu g = config_find_gpu(c, "0000:41:00.0");
                ASSERT_EQ(g_strv_length(g.forbid), 2);
                ASSERT_EQ(g_strv_length(g.allow), 1);
                config_free(c);
        }
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_defaults);
        TEST(test_files);
        TEST(test_ranges);
        TEST(test_gpu_ranges);
        TEST(test_gpu_addresses);
        TEST(test_bad_lines);
        TEST(test_no_text);
        TEST(test_pci_ids);
        TEST(test_gpus);
        TEST(test_gpu_in_capitals);
        TEST(test_take_bound);
        TEST(test_link);
        TEST(test_dangling_link);
        TEST(test_byte_order_mark);
        TEST(test_spoiled_section);
        TEST(test_strange_types);

        return tests_end();
}
