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
        TEST(test_order);

        return tests_end();
}
