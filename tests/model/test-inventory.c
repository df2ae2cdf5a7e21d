/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Lookups in the inventory between two discoveries. The test provides the data, not udev. */

#include "daemon/discovery/inventory.c"

#include "fixture.h"

#define GPU_NAME "0000:00:02.0"
#define GPU_PATH "devices/pci0000:00/" GPU_NAME
#define PF_NAME  "0000:03:00.0"
#define NIC_NAME "0000:01:00.0"
#define BRIDGE   "devices/pci0000:00/0000:00:01.0"
#define NIC_PATH BRIDGE "/" NIC_NAME

static Inventory *inventory_new(Model *m)
{
        Inventory *i = g_new0(Inventory, 1);

        i->model = m;
        i->names_by_path = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        i->pci = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, pci_function_free);

        return i;
}

static void inventory_drop(Inventory *i)
{
        g_hash_table_unref(i->names_by_path);
        g_hash_table_unref(i->pci);
        g_free(i);
}

/* The text comes from clients, so only a whole name may match: no path, and no part of a name. */
static void test_find_pci(void)
{
        g_autoptr(GPtrArray) all = g_ptr_array_new(), blocked = g_ptr_array_new(),
                             pci = g_ptr_array_new_with_free_func(pci_function_free);
        Inventory *i = inventory_new(NULL);
        int node = -1;
        GpuFacts *f = gpu_facts_new(GPU_NAME, GPU_PATH);

        g_ptr_array_add(all, f);
        f->is_pci = true;
        f->numa_node = 1;
        g_ptr_array_add(pci, pci_function_new(GPU_PATH, -1));
        g_ptr_array_add(pci, pci_function_new(BRIDGE, 2));
        g_ptr_array_add(pci, pci_function_new(NIC_PATH, 2));
        inventory_learn_paths(i, all, pci, blocked);
        ASSERT_STREQ(inventory_find_pci(i, GPU_NAME, &node), GPU_PATH);
        ASSERT_EQ(node, 1);
        ASSERT_STREQ(inventory_find_pci(i, NIC_NAME, &node), NIC_PATH);
        ASSERT_NULL(inventory_find_pci(i, GPU_PATH, &node));
        ASSERT_NULL(inventory_find_pci(i, "pci0000:00/" GPU_NAME, &node));
        ASSERT_NULL(inventory_find_pci(i, "00:02.0", &node));
        ASSERT_NULL(inventory_find_pci(i, "", &node));
        inventory_forget_pci(i, NIC_PATH);
        ASSERT_NULL(inventory_find_pci(i, NIC_NAME, &node));
        /* An event that adds the function again names no NUMA node, so the function gets the node of its
         * bridge. */
        inventory_learn_pci(i, NIC_PATH, inventory_node_of_bridge(i, NIC_PATH));
        ASSERT_STREQ(inventory_find_pci(i, NIC_NAME, &node), NIC_PATH);
        ASSERT_EQ(node, 2);
        ASSERT_EQ(inventory_node_of_bridge(i, GPU_PATH), -1);
        ASSERT_NULL(inventory_find_pci(NULL, NIC_NAME, &node));
        gpu_facts_unref(f);
        inventory_drop(i);
}

/* The PF loses its driver while the VFs stay: records of the VFs stay too. */
static void test_driver_went(void)
{
        _cleanup_fixture_ Fixture f;
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        _cleanup_outcome_ Outcome o = { 0 };
        char uuid[UUID_STRLEN + 1];
        Instance *instance;
        Inventory *i;
        FakePf *pf;
        Job *job;

        fixture_init(&f);
        pf = fixture_add_pf(&f, FAKE_PF_PLAIN, PF_NAME, 4);
        fixture_start(&f);
        ASSERT_OK(request_set_vfs(model_get_gpu(f.model, PF_NAME), 2, false, 0, &job, NULL));
        outcome_of(&o, job);
        ASSERT_TRUE(fixture_wait(&f, outcome_is_known, &o));
        ASSERT_EQ(fixture_create(&f, REQUEST(.type = "vf", .name = "hugo"), uuid), VGPUD_ERROR_NONE);
        f.model->inventory = i = inventory_new(f.model);
        inventory_learn_pci(i, fake_vf_path(pf, 0), -1);
        fake_pf_set_driver(pf, NULL);
        fixture_discover(&f);
        ASSERT_EQ(model_get_gpu(f.model, PF_NAME)->state, GPU_UNSUPPORTED);

        ASSERT_ERROR(request_get_instance(f.model, "hugo", &instance, &error), EOPNOTSUPP);
        ASSERT_CONTAINS(error.message, PF_NAME);
        vgpud_error_done(&error);
        ASSERT_ERROR(request_create(f.model, REQUEST(.type = "vf", .uuid = uuid), &job, &error), EEXIST);
        ASSERT_CONTAINS(error.message, PF_NAME);
        vgpud_error_done(&error);

        g_autoptr(GPtrArray) none = g_ptr_array_new();
        arrivals_apply(f.model, none, NULL, (uint64_t)g_get_monotonic_time());
        ASSERT_ERROR(request_get_instance(f.model, "hugo", &instance, &error), ENOLINK);
        ASSERT_CONTAINS(error.message, PF_NAME);
        f.model->inventory = NULL;
        inventory_drop(i);
}

int main(int argc, char **argv)
{
        tests_begin(argc, argv);
        TEST(test_find_pci);
        TEST(test_driver_went);

        return tests_end();
}
