/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/type-word.h"

#include <string.h>

/* Longest word that type_word_distance() compares, in significant characters; NVIDIA's longest name has 36. */
#define WORD_MAX 64U

static const char *const vendors[] = { "nvidia", "grid", "intel", "amd" };

static bool word_is_blank(char c)
{
        return c == ' ' || c == '_' || c == '\t';
}

static const char *word_skip_blanks(const char *s)
{
        while (word_is_blank(*s))
                s++;

        return s;
}

static bool word_is_number(const char *s)
{
        return s[0] && !s[strspn(s, "0123456789")];
}

/* The rest of a word after the name of a vendor; NULL if the word does not begin with one. */
static const char *word_skip_one_vendor(const char *s, const char *vendor)
{
        size_t n = strlen(vendor);
        const char *rest;

        if (g_ascii_strncasecmp(s, vendor, n) != 0)
                return NULL;

        s += n;
        if (g_ascii_strncasecmp(s, ".com/", strlen(".com/")) == 0)
                rest = s + strlen(".com/");
        else if (word_is_blank(*s) || *s == '-')
                rest = word_skip_blanks(s + 1);
        else
                return NULL;

        return !*rest || word_is_number(rest) ? NULL : rest;
}

const char *type_word_skip_vendor(const char *name)
{
        const char *s = word_skip_blanks(name), *rest;

        do {
                rest = NULL;
                for (size_t i = 0; !rest && i < G_N_ELEMENTS(vendors); i++)
                        rest = word_skip_one_vendor(s, vendors[i]);
                if (rest)
                        s = rest;
        } while (rest);

        return s;
}

/* The next significant character, in lower case; 0 at the end. Blanks are not significant. */
static char word_next(const char **s)
{
        *s = word_skip_blanks(*s);

        return **s ? g_ascii_tolower(*(*s)++) : '\0';
}

bool type_word_equal(const char *a, const char *b)
{
        const char *s = type_word_skip_vendor(a), *t = type_word_skip_vendor(b);
        bool any = false;

        for (;;) {
                char c = word_next(&s), d = word_next(&t);

                if (c != d)
                        return false;
                if (!c)
                        return any;

                any = true;
        }
}

/* Copy the significant characters of the word to `ret`, without a 0 at the end. False if the word has none, or
 * more than WORD_MAX. */
static bool word_read(const char *word, char ret[static WORD_MAX], size_t *ret_length)
{
        const char *s = type_word_skip_vendor(word);
        size_t n = 0;
        char c;

        while ((c = word_next(&s))) {
                if (n == WORD_MAX)
                        return false;
                ret[n++] = c;
        }

        *ret_length = n;

        return n > 0;
}

/* The number of edits that turn `a` into `b`; no part is edited twice ("optimal string alignment"). */
static unsigned word_count_edits(const char *a, size_t n_a, const char *b, size_t n_b)
{
        unsigned rows[3][WORD_MAX + 1] = { 0 }, *before = rows[0], *last = rows[1], *row = rows[2], *free_row;

        g_assert(n_a <= WORD_MAX && n_b <= WORD_MAX);

        for (size_t j = 0; j <= n_b; j++)
                last[j] = (unsigned)j;

        for (size_t i = 1; i <= n_a; i++) {
                row[0] = (unsigned)i;

                for (size_t j = 1; j <= n_b; j++) {
                        unsigned edits = last[j - 1] + (a[i - 1] != b[j - 1]);

                        edits = MIN(edits, MIN(last[j], row[j - 1]) + 1);
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                                edits = MIN(edits, before[j - 2] + 1);
                        row[j] = edits;
                }

                free_row = before;
                before = last;
                last = row;
                row = free_row;
        }

        return last[n_b];
}

unsigned type_word_distance(const char *word, const char *name)
{
        char a[WORD_MAX], b[WORD_MAX];
        size_t n_a, n_b, most, difference;
        unsigned edits;

        if (!word_read(word, a, &n_a) || !word_read(name, b, &n_b))
                return TYPE_WORD_FAR;

        most = 1 + n_a / 6;
        if (n_a >= 2 && n_a < n_b && memcmp(a, b, n_a) == 0)
                return (unsigned)MIN(most, n_b - n_a);

        difference = MAX(n_a, n_b) - MIN(n_a, n_b);
        if (difference > most)
                return TYPE_WORD_FAR;

        edits = word_count_edits(a, n_a, b, n_b);

        return edits <= most ? edits : TYPE_WORD_FAR;
}
