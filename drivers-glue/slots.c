/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/slots.h"

#include <pthread.h>
#include <string.h>

typedef struct Slot {
        char *name; /* owned */
        uint64_t identity;
} Slot;

struct VgpuSlots {
        pthread_mutex_t mutex;
        unsigned refs;     /* protected by the mutex, as is the table */
        GHashTable *slots; /* owned: UUID -> Slot */
};

static void slot_free(gpointer p)
{
        Slot *slot = p;

        g_free(slot->name);
        g_free(slot);
}

VgpuSlots *vgpu_slots_new(void)
{
        VgpuSlots *s = g_new(VgpuSlots, 1);

        *s = (VgpuSlots){ .refs = 1,
                          .slots = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, slot_free) };
        pthread_mutex_init(&s->mutex, NULL);

        return s;
}

VgpuSlots *vgpu_slots_ref(VgpuSlots *s)
{
        pthread_mutex_lock(&s->mutex);
        s->refs++;
        pthread_mutex_unlock(&s->mutex);

        return s;
}

VgpuSlots *vgpu_slots_unref(VgpuSlots *s)
{
        bool last;

        if (!s)
                return NULL;

        pthread_mutex_lock(&s->mutex);
        last = --s->refs == 0;
        pthread_mutex_unlock(&s->mutex);

        if (!last)
                return NULL;

        g_hash_table_unref(s->slots);
        pthread_mutex_destroy(&s->mutex);
        g_free(s);

        return NULL;
}

static gboolean slot_has_name(gpointer uuid, gpointer slot, gpointer name)
{
        return strcmp(((const Slot *)slot)->name, name) == 0;
}

void vgpu_slots_add(VgpuSlots *s, const char *uuid, const char *slot, uint64_t identity)
{
        Slot *added = g_new(Slot, 1);

        *added = (Slot){ .name = g_strdup(slot), .identity = identity };

        pthread_mutex_lock(&s->mutex);
        (void)g_hash_table_foreach_remove(s->slots, slot_has_name, (gpointer)slot);
        g_hash_table_replace(s->slots, g_strdup(uuid), added);
        pthread_mutex_unlock(&s->mutex);
}

void vgpu_slots_remove(VgpuSlots *s, const char *uuid)
{
        pthread_mutex_lock(&s->mutex);
        g_hash_table_remove(s->slots, uuid);
        pthread_mutex_unlock(&s->mutex);
}

bool vgpu_slots_find(VgpuSlots *s, const char *slot, uint64_t *ret_identity)
{
        const Slot *found = NULL;
        gpointer value;
        GHashTableIter iter;

        pthread_mutex_lock(&s->mutex);
        g_hash_table_iter_init(&iter, s->slots);

        while (!found && g_hash_table_iter_next(&iter, NULL, &value))
                if (slot_has_name(NULL, value, (gpointer)slot))
                        found = value;

        if (found)
                *ret_identity = found->identity;
        pthread_mutex_unlock(&s->mutex);

        return found;
}

char **vgpu_slots_list(VgpuSlots *s)
{
        g_autoptr(GStrvBuilder) uuids = g_strv_builder_new();
        GHashTableIter iter;
        gpointer uuid;

        pthread_mutex_lock(&s->mutex);
        g_hash_table_iter_init(&iter, s->slots);

        while (g_hash_table_iter_next(&iter, &uuid, NULL))
                g_strv_builder_add(uuids, uuid);

        pthread_mutex_unlock(&s->mutex);

        return g_strv_builder_end(uuids);
}
