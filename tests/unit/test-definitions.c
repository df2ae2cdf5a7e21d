/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/io/definitions.h"

#include "scratch.h"
#include "tests.h"

#define DOMAIN(devices) "<domain type='kvm'><name>vm</name><devices>" devices "</devices></domain>"
#define HOSTDEV(source) "<hostdev mode='subsystem' type='pci' managed='no'>" source "</hostdev>"
#define SOURCE(address) "<source>" address "</source>"
#define UUID            "11111111-0000-4000-8000-000000000001"

static int read_domain(const char *text, char **ret_functions)
{
        VgpuDefinitions d = { .files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free) };
        int r = vgpu_definitions_add_domain(&d, "x.xml", text, strlen(text));
        g_autoptr(GList) names = g_list_sort(g_hash_table_get_keys(d.files), (GCompareFunc)strcmp);
        GString *functions = g_string_new(NULL);

        for (const GList *l = names; l; l = l->next)
                g_string_append_printf(functions, "%s ", (const char *)l->data);

        *ret_functions = g_string_free(functions, FALSE);
        g_hash_table_unref(d.files);

        return r;
}

static void test_domains(void)
{
        static const struct {
                const char *text, *functions;
        } table[] = {
                { "<domain/>", "" },
                { DOMAIN(""), "" },
                /* the files of libvirt; the address outside <source> is the guest's */
                { "<!--\nWARNING: THIS IS AN AUTO-GENERATED FILE.\n-->\n" DOMAIN(HOSTDEV(SOURCE(
                                  "<address domain='0x0000' bus='0x41' slot='0x1f' function='0x7'/>") "<address type='pci' domain='0x0000' bus='0x06' slot='0x00' function='0x0'/>")),
                  "0000:41:1f.7 " },
                { "<domstatus state='running' pid='42'>" DOMAIN(HOSTDEV(SOURCE(
                                  "<address domain='65536' bus='010' slot='2' function='1'/>"))) "</domstatus>",
                  "10000:08:02.1 " },
                { DOMAIN(HOSTDEV(SOURCE("<address bus='0x41'/>"))), "0000:41:00.0 " },
                { DOMAIN("<interface type='hostdev'>" SOURCE(
                                  "<address type='pci' domain='0x0000' bus='0x03' slot='0x10' function='0x2'/>") "</interface>"),
                  "0000:03:10.2 " },
                /* devices of the host that are no PCI functions */
                { DOMAIN("<hostdev mode='subsystem' type='mdev' model='vfio-pci'>" SOURCE("<address uuid='" UUID
                                                                                          "'/>") "</hostdev>"),
                  "" },
                { DOMAIN("<hostdev mode='subsystem' type='usb'>" SOURCE(
                                  "<vendor id='0x1'/><address bus='1' device='4'/>") "</hostdev>"),
                  "" },
                { DOMAIN("<hostdev mode='subsystem' type='scsi'>" SOURCE(
                                  "<adapter name='scsi_host0'/><address bus='0' target='0' unit='0'/>") "</hostdev>"),
                  "" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autofree char *functions = NULL;

                ASSERT_OK(read_domain(table[i].text, &functions));
                ASSERT_STREQ(functions, table[i].functions);
        }
}

/* A domain that vgpud does not understand is an error, because it may name any function. */
static void test_bad_domains(void)
{
        static const char *const texts[] = {
                "",
                "domain",
                "<domain>",
                "<domain><name>&undefined;</name></domain>",
                "<network/>",
                "<domain></network>",
                DOMAIN(HOSTDEV("")),
                DOMAIN(HOSTDEV(SOURCE("<address bus='0x100' slot='0' function='0'/>"))),
                DOMAIN(HOSTDEV(SOURCE("<address bus='3' slot='32' function='0'/>"))),
                DOMAIN(HOSTDEV(SOURCE("<address bus='3' slot='0' function='8'/>"))),
                DOMAIN(HOSTDEV(SOURCE("<address bus='-3' slot='0' function='0'/>"))),
                DOMAIN(HOSTDEV(SOURCE("<address bus='' slot='0' function='0'/>"))),
                DOMAIN(HOSTDEV(SOURCE("<address domain='0x100000000' bus='3' slot='0' function='0'/>"))),
        };

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
                g_autofree char *functions = NULL;

                ASSERT_ERROR(read_domain(texts[i], &functions), EBADMSG);
                ASSERT_STREQ(functions, "");
        }
}

static const char *file_of(const VgpuDefinitions *d, const char *function)
{
        return g_hash_table_lookup(d->files, function);
}

static void make_folders(const Scratch *s)
{
        static const char *const folders[] = { "etc",
                                               "etc/libvirt",
                                               "etc/libvirt/qemu",
                                               "etc/libvirt/qemu/networks",
                                               "etc/libvirt/qemu/autostart",
                                               "run",
                                               "run/libvirt",
                                               "run/libvirt/qemu",
                                               "etc/mdevctl.d",
                                               "etc/mdevctl.d/0000:41:00.4",
                                               "etc/mdevctl.d/0000:41:00.5",
                                               "etc/mdevctl.d/matrix",
                                               "etc/mdevctl.d/scripts.d" };

        for (size_t i = 0; i < G_N_ELEMENTS(folders); i++)
                scratch_directory(s, folders[i]);
}

static void test_folders(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        VgpuDefinitions *d;

        d = vgpu_definitions_read(s.path);
        guint none = g_hash_table_size(d->files);
        g_autofree char *unread = g_strdup(d->unread);
        d = vgpu_definitions_free(d);
        ASSERT_EQ(none, 0);
        ASSERT_NULL(unread);

        make_folders(&s);
        scratch_file(&s, "etc/libvirt/qemu/a.xml", DOMAIN(HOSTDEV(SOURCE("<address bus='1' slot='2'/>"))));
        scratch_file(&s, "elsewhere.xml", DOMAIN(HOSTDEV(SOURCE("<address bus='2' slot='2'/>"))));
        scratch_link(&s, "etc/libvirt/qemu/link.xml", "../../../elsewhere.xml");
        scratch_file(&s, "etc/libvirt/qemu/notes", "no XML");
        scratch_file(&s, "run/libvirt/qemu/b.xml",
                     "<domstatus>" DOMAIN(HOSTDEV(SOURCE("<address bus='3' slot='2'/>"))) "</domstatus>");
        scratch_file(&s, "run/libvirt/qemu/b.pid", "1");
        scratch_file(&s, "etc/mdevctl.d/0000:41:00.4/" UUID, "{}");
        scratch_file(&s, "etc/mdevctl.d/0000:41:00.5/README", "");
        scratch_file(&s, "etc/mdevctl.d/matrix/" UUID, "{}");

        _cleanup_(vgpu_definitions_freep) VgpuDefinitions *all = vgpu_definitions_read(s.path);
        ASSERT_NULL(all->unread);
        ASSERT_EQ(g_hash_table_size(all->files), 4);
        ASSERT_TRUE(g_str_has_suffix(file_of(all, "0000:01:02.0"), "/etc/libvirt/qemu/a.xml"));
        ASSERT_TRUE(g_str_has_suffix(file_of(all, "0000:02:02.0"), "/etc/libvirt/qemu/link.xml"));
        ASSERT_TRUE(g_str_has_suffix(file_of(all, "0000:03:02.0"), "/run/libvirt/qemu/b.xml"));
        ASSERT_TRUE(g_str_has_suffix(file_of(all, "0000:41:00.4"), "/etc/mdevctl.d/0000:41:00.4/" UUID));
}

static void test_unread(void)
{
        static const struct {
                const char *name, *text;
        } table[] = {
                { "etc/libvirt/qemu/bad.xml", "<domain>" },
                { "etc/libvirt/qemu/empty.xml", "" },
                { "run/libvirt/qemu/bad.xml", "<domstatus>" },
        };

        /* The last two rounds use a folder, and a file that is too large, in place of a row of the table. */
        for (size_t i = 0; i < G_N_ELEMENTS(table) + 2; i++) {
                _cleanup_scratch_ Scratch s = scratch_new();
                _cleanup_(vgpu_definitions_freep) VgpuDefinitions *d = NULL;
                const char *name = "etc/libvirt/qemu/x.xml";

                make_folders(&s);
                scratch_file(&s, "etc/libvirt/qemu/a.xml",
                             DOMAIN(HOSTDEV(SOURCE("<address bus='1' slot='2'/>"))));
                if (i == G_N_ELEMENTS(table))
                        scratch_directory(&s, name);
                else if (i > G_N_ELEMENTS(table)) {
                        g_autofree char *large = g_strnfill(1024 * 1024 + 1, ' ');

                        scratch_file(&s, name, large);
                } else {
                        name = table[i].name;
                        scratch_file(&s, name, table[i].text);
                }

                d = vgpu_definitions_read(s.path);
                ASSERT_NOT_NULL(d->unread);
                ASSERT_CONTAINS(d->unread, name);
                /* The file that can be read still counts. */
                ASSERT_NOT_NULL(file_of(d, "0000:01:02.0"));
        }
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_domains);
        TEST(test_bad_domains);
        TEST(test_folders);
        TEST(test_unread);

        return tests_end();
}
