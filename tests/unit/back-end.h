/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Helpers for the tests of back ends: golden files of writes, and checks that a return value agrees with the
 * error. GOLDEN_DIR comes from meson.build. VGPUD_UPDATE_GOLDEN=1 rewrites the golden files. */

#include <fcntl.h>

#include "base/error.h"
#include "base/fs-util.h"
#include "io-fake.h"
#include "tests.h"

/* Compares all writes so far with tests/golden/SUITE-NAME.txt. */
static inline void assert_golden(FakeKernel *k, const char *suite, const char *name)
{
        g_autofree char *writes = fake_writes(k), *file = g_strdup_printf("%s-%s.txt", suite, name),
                        *expected = NULL;
        _cleanup_close_ int fd = open(GOLDEN_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (getenv("VGPUD_UPDATE_GOLDEN"))
                ASSERT_OK(fs_replace_file_at(fd, file, writes, strlen(writes), 0644));
        ASSERT_OK(fs_read_file_at(fd, file, 65536, &expected, NULL));
        ASSERT_STREQ(writes, expected);
}

/* Checks that r and the error agree. Returns r. */
static inline int assert_explained(int r, const VgpudError *e)
{
        if (r < 0) {
                ASSERT_NOT_NULL(e->message);
                ASSERT_EQ(r, -vgpud_error_code_to_errno(e->code));
                ASSERT_TRUE(e->message[strlen(e->message) - 1] != '.');
        } else
                ASSERT_EQ(e->code, VGPUD_ERROR_NONE);
        return r;
}
