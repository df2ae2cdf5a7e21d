/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A client made of the code that gdbus-codegen generates from dbus/org.vgpud1.*.xml:
 *   client-generated GPU TYPE
 * Lists the GPUs, creates an instance, reads its properties and its hand-over, and destroys the instance. Waits
 * for the signals of the creation and of the destruction. Prints one "KEY=VALUE" per line, which
 * test-clients.py compares. */

#include <stdlib.h>

#include "vgpud-generated.h"

#define SERVICE  "org.vgpud1"
#define ROOT     "/org/vgpud1"
#define SECONDS  30 /* limit for a failing test */
#define NO_FLAGS G_DBUS_PROXY_FLAGS_NONE

/* The signals received since the last call. */
typedef struct Heard {
        guint types_changed, jobs_removed;
        char *job, *result; /* of the last JobRemoved */
} Heard;

static void fail_on(GError *error, const char *what)
{
        if (!error)
                return;

        g_printerr("%s: %s\n", what, error->message);
        exit(EXIT_FAILURE);
}

static void on_types_changed(VgpudGpu *gpu, gboolean list_changed, GVariant *types, gpointer userdata)
{
        ((Heard *)userdata)->types_changed++;
}

static void on_job_removed(VgpudManager *manager, guint id, const char *job, const char *result,
                           const char *error_name, GVariant *details, gpointer userdata)
{
        Heard *heard = userdata;

        heard->jobs_removed++;
        g_free(heard->job);
        g_free(heard->result);
        heard->job = g_strdup(job);
        heard->result = g_strdup(result);
}

static gboolean on_timeout(gpointer userdata)
{
        g_printerr("the signals of a change did not arrive\n");
        exit(EXIT_FAILURE);
}

/* Wait for the end of the job and for the change of the types. */
static void await_signals(Heard *heard, const char *job)
{
        guint source = g_timeout_add_seconds(SECONDS, on_timeout, NULL);

        while (heard->types_changed == 0 || g_strcmp0(heard->job, job) != 0)
                g_main_context_iteration(NULL, TRUE);
        g_source_remove(source);
        g_print("result=%s\n", heard->result);

        g_clear_pointer(&heard->job, g_free);
        g_clear_pointer(&heard->result, g_free);
        *heard = (Heard){ 0 };
}

/* Options of a call; a floating reference. */
static GVariant *options(gboolean wait)
{
        GVariantBuilder builder;

        g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
        if (wait)
                g_variant_builder_add(&builder, "{sv}", "wait", g_variant_new_boolean(TRUE));

        return g_variant_builder_end(&builder);
}

static void list_gpus(VgpudManager *manager)
{
        g_autoptr(GVariant) table = NULL;
        g_autoptr(GError) error = NULL;
        g_autofree const char **names = NULL;

        vgpud_manager_call_list_gpus_sync(manager, options(FALSE), &table, NULL, &error);
        fail_on(error, "ListGpus");

        if (!g_variant_lookup(table, "name", "^a&s", &names))
                g_error("ListGpus: no column of names");
        for (const char **name = names; *name; name++)
                g_print("gpu=%s\n", *name);
}

static VgpudGpu *get_gpu(VgpudManager *manager, const char *name)
{
        g_autofree char *path = NULL;
        g_autoptr(GError) error = NULL;
        VgpudGpu *gpu;

        vgpud_manager_call_get_gpu_sync(manager, name, options(FALSE), &path, NULL, &error);
        fail_on(error, "GetGpu");
        gpu = vgpud_gpu_proxy_new_for_bus_sync(G_BUS_TYPE_SYSTEM, NO_FLAGS, SERVICE, path, NULL, &error);
        fail_on(error, "the object of the GPU");
        g_print("gpu_state=%s\nback_end=%s\n", vgpud_gpu_get_state(gpu), vgpud_gpu_get_back_end(gpu));

        return gpu;
}

static VgpudInstance *create_instance(VgpudManager *manager, const char *gpu, const char *type, Heard *heard)
{
        g_autoptr(GVariant) instances = NULL, row = NULL;
        g_autofree char *job = NULL;
        g_autoptr(GError) error = NULL;
        VgpudInstance *instance;
        const char *path;

        vgpud_manager_call_create_sync(manager, gpu, type, options(TRUE), &job, &instances, NULL, &error);
        fail_on(error, "Create");
        await_signals(heard, job);

        row = g_variant_get_child_value(instances, 0);
        if (!g_variant_lookup(row, "object_path", "&o", &path))
                g_error("Create: no path of the instance");
        instance = vgpud_instance_proxy_new_for_bus_sync(G_BUS_TYPE_SYSTEM, NO_FLAGS, SERVICE, path, NULL,
                                                         &error);
        fail_on(error, "the object of the instance");

        return instance;
}

static void print_instance(VgpudInstance *instance)
{
        g_autoptr(GVariant) hand_over = NULL;
        g_autoptr(GError) error = NULL;
        GVariantIter entries;
        const char *key;

        g_print("uuid=%s\ntype=%s\nparent=%s\nstate=%s\niommu_group=%d\nmemory_bytes=%" G_GUINT64_FORMAT "\n",
                vgpud_instance_get_uuid(instance), vgpud_instance_get_type_(instance),
                vgpud_instance_get_parent(instance), vgpud_instance_get_state(instance),
                vgpud_instance_get_iommu_group(instance), vgpud_instance_get_memory_bytes(instance));

        vgpud_instance_call_get_hand_over_sync(instance, options(FALSE), &hand_over, NULL, &error);
        fail_on(error, "GetHandOver");
        g_variant_iter_init(&entries, hand_over);
        while (g_variant_iter_next(&entries, "{&sv}", &key, NULL))
                g_print("hand_over=%s\n", key);
}

static void destroy_instance(VgpudInstance *instance, Heard *heard)
{
        g_autofree char *job = NULL;
        g_autoptr(GError) error = NULL;

        vgpud_instance_call_destroy_sync(instance, options(TRUE), &job, NULL, &error);
        fail_on(error, "Destroy");
        await_signals(heard, job);
}

int main(int argc, char *argv[])
{
        g_autoptr(VgpudManager) manager = NULL;
        g_autoptr(VgpudGpu) gpu = NULL;
        g_autoptr(VgpudInstance) instance = NULL;
        g_autoptr(GError) error = NULL;
        Heard heard = { 0 };

        if (argc != 3) {
                g_printerr("Usage: client-generated GPU TYPE\n");
                return EXIT_FAILURE;
        }

        manager = vgpud_manager_proxy_new_for_bus_sync(G_BUS_TYPE_SYSTEM, NO_FLAGS, SERVICE, ROOT, NULL,
                                                       &error);
        fail_on(error, "the object of the manager");
        g_print("version=%s\n", vgpud_manager_get_version(manager));
        g_signal_connect(manager, "job-removed", G_CALLBACK(on_job_removed), &heard);
        list_gpus(manager);
        gpu = get_gpu(manager, argv[1]);
        g_signal_connect(gpu, "types-changed", G_CALLBACK(on_types_changed), &heard);

        instance = create_instance(manager, argv[1], argv[2], &heard);
        print_instance(instance);
        destroy_instance(instance, &heard);

        return EXIT_SUCCESS;
}
