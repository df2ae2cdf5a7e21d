/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Numbers and bitmaps of XenGT, which may contradict each other. */

#include "fuzz.h"

#include "drivers-glue/intel/xengt-room.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const XengtSize sizes[] = { { 64, 448, 4 }, { 1, 0, 1 }, { INT32_MAX, INT32_MAX, INT32_MAX } };
        g_autofree char *text = size > 0 ? g_strndup((const char *)data, size) : g_strdup("");
        XengtRoom room;

        if (xengt_room_parse(text, &room) >= 0)
                for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++)
                        for (uint32_t n = 0; n <= XENGT_INSTANCES_MAX; n++) {
                                uint32_t more = xengt_room_count(&room, &sizes[i], n);
                                g_autofree char *why = xengt_room_explain(&room, &sizes[i], n);

                                g_assert(more + n <= XENGT_INSTANCES_MAX);
                                g_assert(why != NULL);
                        }

        xengt_room_done(&room);

        return 0;
}
