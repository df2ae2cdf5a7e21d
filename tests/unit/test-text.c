/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/text.h"

#include <string.h>

#include "base/error.h"
#include "tests.h"

static void test_quote(void)
{
        static const struct {
                const char *text, *quoted;
        } table[] = {
                { NULL, "" },
                { "", "" },
                { "A2-4Q", "A2-4Q" },
                { "Grafik für zwei — ok", "Grafik für zwei — ok" },
                { "a\nb\tc", "a\\nb\\tc" },
                { "\x01\x1b[31m\x7f", "\\x01\\x1b[31m\\x7f" },
                { "\xc2\x80\xc2\x9b\xc2\xa0", "\\x80\\x9b\xc2\xa0" }, /* C1 and a no-break space */
                { "x\xff\xc3y\xe2\x80", "x\\xff\\xc3y\\xe2\\x80" },   /* invalid UTF-8 */
                { "\xed\xa0\x80", "\\xed\\xa0\\x80" },                /* a surrogate */
                { "a\xe2\x80\xae"
                  "b",
                  "a\\u202eb" }, /* right-to-left override */
                { "a\xe2\x81\xa6"
                  "b\xe2\x81\xa9",
                  "a\\u2066b\\u2069" }, /* directional isolates */
                { "a\xe2\x80\xa8"
                  "b\xd8\x9c",
                  "a\\u2028b\\u061c" }, /* line separator, Arabic letter mark */
                { "a\xe2\x80\x8b"
                  "b\xef\xbb\xbf",
                  "a\\u200bb\\ufeff" },                  /* zero-width characters */
                { "a\xf3\xa0\x81\x81", "a\\U000e0041" }, /* a tag character */
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
                ASSERT_STREQ(TEXT_QUOTE(table[i].text), table[i].quoted);
}

static void test_quote_cuts(void)
{
        g_autofree char *exact = g_strnfill(TEXT_QUOTE_MAX, 'x'), *more = g_strnfill(TEXT_QUOTE_MAX + 1, 'x');
        g_autofree char *evil = g_strnfill(100000, '\x1b');
        const char *cut;
        char tiny[12];

        ASSERT_STREQ(TEXT_QUOTE(exact), exact);
        cut = TEXT_QUOTE(more);
        ASSERT_EQ(strlen(cut), TEXT_QUOTE_MAX + strlen("…"));
        ASSERT_TRUE(g_str_has_suffix(cut, "x…"));
        cut = TEXT_QUOTE(evil);
        ASSERT_EQ(strlen(cut), 4 * TEXT_QUOTE_MAX + strlen("…"));
        ASSERT_TRUE(g_utf8_validate(cut, -1, NULL));

        /* A cut splits no character. */
        ASSERT_STREQ(text_quote("äöüäöüäöü", 96, tiny, sizeof tiny), "äöüä…");
}

static void test_clean(void)
{
        g_autofree char *same = text_clean(g_strdup("plain"), 20), *bad = text_clean(g_strdup("a\nb\xff"), 20);

        ASSERT_STREQ(same, "plain");
        ASSERT_STREQ(bad, "a\\nb\\xff");

        for (size_t max = 8; max < 40; max++) {
                g_autofree char *cut = text_clean(g_strdup("ääää€€€€\x1b\x1b𝄞𝄞𝄞𝄞 and more of this text"), max);

                ASSERT_TRUE(strlen(cut) <= max);
                ASSERT_TRUE(g_str_has_suffix(cut, "…"));
                ASSERT_TRUE(g_utf8_validate(cut, -1, NULL));
        }
}

/* A message is clean and short even if its parts were not quoted. */
static void test_errors(void)
{
        g_autofree char *text = g_strnfill(1 << 20, '\x1b');
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;

        (void)vgpud_error_setf(&e, VGPUD_ERROR_INVALID, "%s", text);
        ASSERT_TRUE(strlen(e.message) <= TEXT_MESSAGE_MAX);
        ASSERT_NULL(strchr(e.message, '\x1b'));
        vgpud_error_hintf(&e, VGPUD_HINT_CHOOSE_OTHER, "not %s", text);
        ASSERT_TRUE(strlen(e.hint.text) <= TEXT_MESSAGE_MAX);
        ASSERT_NULL(strchr(e.hint.text, '\x1b'));
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_quote);
        TEST(test_quote_cuts);
        TEST(test_clean);
        TEST(test_errors);

        return tests_end();
}
