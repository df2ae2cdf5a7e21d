/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/pci-addr.h"

#include "tests.h"

static void test_round_trip(void)
{
        static const struct {
                const char *text, *formatted;
                PciAddr address;
        } table[] = {
                { "0000:00:00.0", "0000:00:00.0", { 0, 0, 0, 0 } },
                { "0000:00:02.0", "0000:00:02.0", { 0, 0, 2, 0 } },
                { "0000:3D:1F.7", "0000:3d:1f.7", { 0, 0x3d, 31, 7 } },
                { "ffff:ff:1f.7", "ffff:ff:1f.7", { 0xffff, 0xff, 31, 7 } },
                { "10000:e1:00.0", "10000:e1:00.0", { 0x10000, 0xe1, 0, 0 } },
                { "ffffffff:ff:1f.7", "ffffffff:ff:1f.7", { UINT32_MAX, 0xff, 31, 7 } },
        };
        char text[PCI_ADDR_STRLEN];

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                PciAddr a;

                ASSERT_OK(pci_addr_parse(table[i].text, &a));
                ASSERT_EQ(pci_addr_compare(&a, &table[i].address), 0);
                ASSERT_STREQ(pci_addr_format(&a, text), table[i].formatted);
        }
}

static void test_refused(void)
{
        static const char *const bad[] = {
                "",
                "00:02.0",
                "0000:00:02",
                "0000:00:02.",
                "0000:00:02.8",
                "0000:00:20.0",
                "0000:00:2.0",
                "000:00:02.0",
                "0000:000:02.0",
                "100000000:00:00.0",
                "0000:00:02.0 ",
                " 0000:00:02.0",
                "0000:00:02.00",
                "0000:00:02.0\n",
                "0000-00-02.0",
                "0000:gg:02.0",
                "0000:00:02:0",
                "mdpy",
        };
        PciAddr a = { 1, 2, 3, 4 };

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                ASSERT_ERROR(pci_addr_parse(bad[i], &a), EINVAL);
        ASSERT_ERROR(pci_addr_parse(NULL, &a), EINVAL);
        ASSERT_EQ(pci_addr_compare(&a, &(PciAddr){ 1, 2, 3, 4 }), 0);
}

/* Addresses in the forms of other tools, and the kernel's name for each. */
static void test_forms_of_tools(void)
{
        static const struct {
                const char *tool, *text, *name;
                bool has_domain;
        } table[] = {
                { "kernel, lspci -D", "0000:89:00.0", "0000:89:00.0", true },
                { "kernel, VMD", "10000:e1:00.0", "10000:e1:00.0", true },
                { "lspci", "89:00.0", "0000:89:00.0", false },
                { "lspci, capitals", "3D:1F.7", "0000:3d:1f.7", false },
                { "nvidia-smi", "00000000:89:00.0", "0000:89:00.0", true },
                { "nvidia-smi, capitals", "00000000:3D:00.0", "0000:3d:00.0", true },
                { "nvidia-smi, VMD", "00010000:E1:00.0", "10000:e1:00.0", true },
                { "nvidia-smi, highest", "FFFFFFFF:FF:1F.7", "ffffffff:ff:1f.7", true },
                { "virsh nodedev-list", "pci_0000_89_00_0", "0000:89:00.0", true },
                { "virsh nodedev-list, VMD", "pci_10000_e1_00_0", "10000:e1:00.0", true },
                { "lshw", "pci@0000:89:00.0", "0000:89:00.0", true },
                { "udev, ID_PATH", "pci-0000:89:00.0", "0000:89:00.0", true },
                { "udev, ID_PATH_TAG", "pci-0000_89_00_0", "0000:89:00.0", true },
                { "OpenNebula", "0000:41:00:7", "0000:41:00.7", true },
                { "/proc/driver/nvidia", "0000:08.00.0", "0000:08:00.0", true },
                { "NVIDIA's kernel messages", "PCI:0000:89:00", "0000:89:00.0", true },
                { "nvidia-xconfig", "PCI:137:0:0", "0000:89:00.0", true },
                { "Xorg", "PCI:1@2:31:7", "0002:01:1f.7", true },
                { "Xorg, small letters", "pci:255:0:0", "0000:ff:00.0", true },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autofree char *name = pci_addr_to_name(table[i].text);
                PciAddr a;

                if (g_strcmp0(name, table[i].name) != 0)
                        FAIL("%s: \"%s\" is %s, not %s", table[i].tool, table[i].text, name ? name : "nothing",
                             table[i].name);

                ASSERT_EQ(pci_addr_parse_any(table[i].text, &a), table[i].has_domain);
        }
}

static void test_forms_refused(void)
{
        static const char *const bad[] = {
                "",
                "89",
                "89:00",
                "0000:89:00",
                "10de:2684",
                "10DE:2684:0",
                "8:00.0",
                "1:00.0",
                "089:00.0",
                "89:20.0",
                "89:00.8",
                "89:00.00",
                "89:00.0 ",
                " 89:00.0",
                "89:00.0\n",
                "89:00:0",
                "89.00.0",
                "000000000:89:00.0",
                "00000000:89:00",
                "0000:89:00-0",
                "0000_89_00_0",
                "pci_0000_89_00",
                "pci_89_00_0",
                "pci_0000:89:00.0",
                "pci_0000_89_00_0_",
                "pci0000:89",
                "pci@",
                "pci@0000_89_00_0",
                "pci-0000:89:00.0-card",
                "pci:89:00.0",
                "PCI:0000:89:00.0",
                "PCI:0000:89:20",
                "PCI:1:0",
                "PCI:1:0:0:0",
                "PCI:256:0:0",
                "PCI:1:32:0",
                "PCI:1:0:8",
                "PCI:1@:0:0",
                "PCI:@1:0:0",
                "PCI:+1:0:0",
                "PCI:3d:0:0",
                "PCI:*:0:0",
                "0000:*:00.0",
                "*",
                "/sys/bus/pci/devices/0000:89:00.0",
                "/dev/dri/by-path/pci-0000:89:00.0-card",
                "GPU-89000000-0000-0000-0000-000000000000",
                "89000000-0000-0000-0000-000000000000",
                "card0",
                "mdpy",
        };
        PciAddr a = { 1, 2, 3, 4 };

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autofree char *name = pci_addr_to_name(bad[i]);

                if (name)
                        FAIL("\"%s\" is taken for %s", bad[i], name);

                ASSERT_ERROR(pci_addr_parse_any(bad[i], &a), EINVAL);
        }

        ASSERT_ERROR(pci_addr_parse_any(NULL, &a), EINVAL);
        ASSERT_NULL(pci_addr_to_name(NULL));
        ASSERT_EQ(pci_addr_compare(&a, &(PciAddr){ 1, 2, 3, 4 }), 0);
}

static void test_order(void)
{
        static const PciAddr sorted[] = {
                { 0, 0, 2, 0 }, { 0, 0, 2, 1 }, { 0, 0, 3, 0 },
                { 0, 1, 0, 0 }, { 1, 0, 0, 0 }, { 0x10000, 0, 0, 0 },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(sorted); i++)
                for (size_t j = 0; j < G_N_ELEMENTS(sorted); j++) {
                        int c = pci_addr_compare(&sorted[i], &sorted[j]);

                        ASSERT_EQ((c > 0) - (c < 0), (i > j) - (i < j));
                }
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_round_trip);
        TEST(test_refused);
        TEST(test_forms_of_tools);
        TEST(test_forms_refused);
        TEST(test_order);

        return tests_end();
}
