/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "policy/placement.h"

static bool has_room(const PlacementCandidate *c, uint32_t count)
{
        return c->available >= (uint64_t)c->pending + count;
}

int placement_choose(const PlacementCandidate *candidates, size_t n, uint32_t count)
{
        int first = -1;

        for (size_t i = 0; i < n; i++) {
                if (!candidates[i].usable)
                        continue;
                if (has_room(&candidates[i], count))
                        return (int)i;
                if (first < 0)
                        first = (int)i;
        }
        return first;
}
