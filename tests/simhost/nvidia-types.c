/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Types of NVIDIA's cards, with NVIDIA's names and figures. The ids of the A2, the L40S and the T4 were
 * observed with drivers, and so were two ids of the H200, 1414 and 1428. The other ids of the H200 are
 * invented.
 */

#include "simhost/nvidia.h"

#define GIB 1024

/* Series Q and B have four displays. Series A has one small display, series C one display for a console. */
#define Q(id, board, gib, most)                                                                              \
        {                                                                                                    \
                id, board "-" #gib "Q", gib *GIB, most, 4, 60, gib > 1 ? 7680 : 5120, gib > 1 ? 4320 : 2880, \
                                NVIDIA_NO_PROFILE                                                            \
        }
#define B(id, board, gib, most)                                                              \
        {                                                                                    \
                id, board "-" #gib "B", gib *GIB, most, 4, 45, 5120, 2880, NVIDIA_NO_PROFILE \
        }
#define A(id, board, gib, most)                                                              \
        {                                                                                    \
                id, board "-" #gib "A", gib *GIB, most, 1, 60, 1280, 1024, NVIDIA_NO_PROFILE \
        }
#define C(id, board, gib, most)                                                              \
        {                                                                                    \
                id, board "-" #gib "C", gib *GIB, most, 1, 60, 4096, 2400, NVIDIA_NO_PROFILE \
        }
#define MIG(id, board, slices, suffix, gib, most, profile)                                            \
        {                                                                                             \
                id, board "-" #slices "-" #gib "C" suffix, gib *GIB, most, 1, 60, 4096, 2400, profile \
        }

static const NvidiaType a2[] = {
        B(742, "NVIDIA A2", 1, 16), B(743, "NVIDIA A2", 2, 8),  Q(744, "NVIDIA A2", 1, 16),
        Q(745, "NVIDIA A2", 2, 8),  Q(746, "NVIDIA A2", 4, 4),  Q(747, "NVIDIA A2", 8, 2),
        Q(748, "NVIDIA A2", 16, 1), A(749, "NVIDIA A2", 1, 16), A(750, "NVIDIA A2", 2, 8),
        A(751, "NVIDIA A2", 4, 4),  A(752, "NVIDIA A2", 8, 2),  A(753, "NVIDIA A2", 16, 1),
        C(754, "NVIDIA A2", 4, 4),  C(755, "NVIDIA A2", 8, 2),  C(756, "NVIDIA A2", 16, 1),
};
const NvidiaTypes nvidia_a2_types = { a2, G_N_ELEMENTS(a2) };

static const NvidiaType l40s[] = {
        B(1145, "NVIDIA L40S", 1, 32), B(1146, "NVIDIA L40S", 2, 24), Q(1147, "NVIDIA L40S", 1, 32),
        Q(1148, "NVIDIA L40S", 2, 24), Q(1149, "NVIDIA L40S", 3, 16), Q(1150, "NVIDIA L40S", 4, 12),
        Q(1151, "NVIDIA L40S", 6, 8),  Q(1152, "NVIDIA L40S", 8, 6),  Q(1153, "NVIDIA L40S", 12, 4),
        Q(1154, "NVIDIA L40S", 16, 3), Q(1155, "NVIDIA L40S", 24, 2), Q(1156, "NVIDIA L40S", 48, 1),
        A(1157, "NVIDIA L40S", 1, 32), A(1158, "NVIDIA L40S", 2, 24), A(1159, "NVIDIA L40S", 3, 16),
        A(1160, "NVIDIA L40S", 4, 12), A(1161, "NVIDIA L40S", 6, 8),  A(1162, "NVIDIA L40S", 8, 6),
        A(1163, "NVIDIA L40S", 12, 4), A(1164, "NVIDIA L40S", 16, 3), A(1165, "NVIDIA L40S", 24, 2),
        A(1166, "NVIDIA L40S", 48, 1), B(2164, "NVIDIA L40S", 3, 16),
};
const NvidiaTypes nvidia_l40s_types = { l40s, G_N_ELEMENTS(l40s) };

static const NvidiaType h200[] = {
        MIG(1413, "NVIDIA H200X", 1, "ME", 18, 1, 20),
        MIG(1414, "NVIDIA H200X", 1, "", 18, 7, 19),
        MIG(1415, "NVIDIA H200X", 1, "", 35, 4, 15),
        MIG(1416, "NVIDIA H200X", 2, "", 35, 3, 14),
        MIG(1417, "NVIDIA H200X", 3, "", 71, 2, 9),
        MIG(1418, "NVIDIA H200X", 4, "", 71, 1, 5),
        MIG(1419, "NVIDIA H200X", 7, "", 141, 1, 0),
        C(1420, "NVIDIA H200X", 4, 32),
        C(1421, "NVIDIA H200X", 8, 16),
        C(1422, "NVIDIA H200X", 17, 8),
        C(1424, "NVIDIA H200X", 28, 5),
        C(1425, "NVIDIA H200X", 35, 4),
        C(1426, "NVIDIA H200X", 47, 3),
        C(1427, "NVIDIA H200X", 70, 2),
        C(1428, "NVIDIA H200X", 141, 1),
};
const NvidiaTypes nvidia_h200_types = { h200, G_N_ELEMENTS(h200) };

static const NvidiaType t4[] = {
        B(222, "GRID T4", 1, 16), B(223, "GRID T4", 2, 8), A(225, "GRID T4", 1, 16), A(226, "GRID T4", 2, 8),
        A(227, "GRID T4", 4, 4),  A(228, "GRID T4", 8, 2), A(229, "GRID T4", 16, 1), Q(230, "GRID T4", 1, 16),
        Q(231, "GRID T4", 2, 8),  Q(232, "GRID T4", 4, 4), Q(233, "GRID T4", 8, 2),  Q(234, "GRID T4", 16, 1),
        C(319, "GRID T4", 4, 4),  C(320, "GRID T4", 8, 2), C(321, "GRID T4", 16, 1),
};
const NvidiaTypes nvidia_t4_types = { t4, G_N_ELEMENTS(t4) };

const MdevTypeSpec *nvidia_mdev_types(const NvidiaTypes *types)
{
        MdevTypeSpec *specs = g_new0(MdevTypeSpec, types->count);

        for (unsigned i = 0; i < types->count; i++) {
                const NvidiaType *type = &types->types[i];

                specs[i] = (MdevTypeSpec){
                        .suffix = g_strdup_printf("%u", type->id),
                        .name = type->name,
                        .description = g_strdup_printf(
                                        "num_heads=%u, frl_config=%u, framebuffer=%uM, max_resolution=%ux%u, max_instance=%u",
                                        type->heads, type->frame_rate_limit, type->size_mib, type->max_x,
                                        type->max_y, type->most),
                        .amount = { type->size_mib, type->most },
                };
        }

        return specs;
}
