/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/store/definitions.h"

#include "drivers-glue/attribute.h"
#include "scratch.h"
#include "tests.h"

#define UUID_A "11111111-0000-4000-8000-000000000001"

static Definition *make(const char *uuid, const char *name)
{
        Definition *d = definition_new(uuid);

        d->type = g_strdup("10de/L40S/Q/8192/L40S-8Q");
        d->name = g_strdup(name);
        d->owner = 1000;
        d->created_usec = 1764500000000000;

        return d;
}

static void test_life(void)
{
        _cleanup_scratch_ Scratch scratch = scratch_new();
        _cleanup_definition_ Definition *a = make(UUID_A, "a");
        Definitions *d = definitions_new(scratch.path);

        g_ptr_array_add(a->attributes, vgpu_attribute_new("vgpu_params", "x=\"1\", y=\\2"));
        ASSERT_OK(definitions_put(d, a, NULL));
        d = definitions_free(d);

        d = definitions_new(scratch.path);
        ASSERT_EQ(definitions_errors(d)->len, 0);
        ASSERT_EQ(definitions_count(d), 1);
        ASSERT_EQ(definitions_count_of(d, 1000), 1);
        const Definition *again = definitions_find_name(d, "a");
        ASSERT_NOT_NULL(again);
        g_autofree char *one = definition_checksum(a), *two = definition_checksum(again);
        ASSERT_STREQ(one, two);
        ASSERT_OK(definitions_remove(d, UUID_A, NULL));
        ASSERT_EQ(definitions_count(d), 0);
        definitions_free(d);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_life);
        return tests_end();
}
