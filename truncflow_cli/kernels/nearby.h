/* The few surfaces that can be reached soon: lists within lists, as molecular dynamics keeps them (Verlet skin).

   While the rows of R have moved by at most D and b by at most c D, a coordinate has moved by at most
   |Δz_{i,r}| ≤ D (|x_i| + c). So a list of all coordinates with |z| ≤ skin (|x| + c) misses nothing as long as
   D ≤ skin. The shortest list reaches a few steps far; it is made anew from one that reaches further, that from the
   next, and the longest one, rarely, from all points: the work per step hardly depends on how many there are. */

#pragma once

#include <math.h>
#include <stdint.h>

#include "arrays.h"
#include "coordinates.h"
#include "nearlists.h"
#include "travel.h"
#include "vector.h"

/* The shortest list reaches this many times as far as the present step. */
static const double SKIN = 3.0;
/* Below this many entries a list is never too long. */
enum { SHORT = 32 };

/* Choose a list that holds every coordinate that [0, h] can bring to zero; return whether there is one.

   It is level 0 if it is to be the `shortest`, which is made anew if need be, else whichever suffices. Without success,
   the pool has less room than tally[NEEDS], and there are no lists. */
static int look_around(const Points *points, const Motion *motion, double h, int shortest, Near *near)
{
    const int64_t dim = motion->b.n[1];
    const double *bound = near->bound.at;
    int64_t *tally = near->tally.at;
    travel(motion, h, near);
    double turn = 0.0, shift = 0.0, largest = 0.0;
    for (int64_t r = 0; r < dim; r++) {
        turn = maximum(bound[TURN * dim + r], turn);
        shift = maximum(bound[SHIFT * dim + r], shift);
        largest = maximum(fabs(motion->b.at[r]), largest);
    }
    const int64_t top = tally[TOP];
    int64_t source = 0;
    double wanted = 0.0;
    if (top >= 0) {
        const double ratio = near->scale.at[RATIO];
        const double floor = 8 * NOISE * maximum(1.0, largest / ratio);
        wanted = SKIN * maximum(turn, shift / ratio) + floor;
        const int wide =
            near->place.at[1] - near->place.at[0] > SHORT && near->skin.at[0] > WIDER * WIDER * wanted;
        const int64_t last = shortest ? 0 : top;
        for (int64_t level = shortest && wide ? 1 : 0; level <= last; level++)
            if (room_left(motion, near, level, 1.0) >= floor) {
                tally[LEVEL] = level;
                return 1;
            }
        tally[REFRESHES]++;
        double reach = wanted;
        for (int64_t level = 1; level <= top && source == 0; level++) {
            const int enough = room_left(motion, near, level, 0.0) >= 0.5 * reach;
            reach *= WIDER;
            if (enough && near->skin.at[level] <= WIDER * WIDER * reach)
                source = level;
        }
    }
    if (source == 0) {
        tally[REFRESHES] += top < 0;
        const double ratio = typical_ratio(points, turn, shift, largest);
        near->scale.at[RATIO] = ratio;
        wanted = SKIN * maximum(turn, shift / ratio) + 8 * NOISE * maximum(1.0, largest / ratio);
        if (!list_all(points, motion, wanted, near))
            return 0;
        source = tally[TOP];
    }
    tally[LEVEL] = 0;
    return shorten(points, motion, source, wanted, near);
}
