/* Which coordinates a step over many crossings looks at: near ones that may reach zero, whatever later sweeps will say.

   Each sweep changes the trajectory a little. So the bounds of travel.h are widened by a margin when the near list is
   chosen, and coordinates are chosen anew only if a sweep goes beyond that. */

#pragma once

#include <math.h>
#include <stdint.h>

#include "arrays.h"
#include "coordinates.h"
#include "nearlists.h"
#include "vector.h"

/* By what share of a coordinate's motion the sweeps may disagree before all coordinates are looked at again. */
static const double MARGIN = 0.05;

/* Make room in the bounds for what later sweeps will say. */
static void allow_for_sweeps(Near *near)
{
    static const int kinds[2][3] = {{TURN, REST_TURN, STEP_TURN}, {SHIFT, REST_SHIFT, STEP_SHIFT}};
    const int64_t dim = near->bound.n[1];
    for (int kind = 0; kind < 2; kind++) {
        double *whole = near->bound.at + kinds[kind][0] * dim;
        double *rest = near->bound.at + kinds[kind][1] * dim;
        double *step = near->bound.at + kinds[kind][2] * dim;
        for (int64_t r = 0; r < dim; r++) {
            const double more = MARGIN * whole[r] + 2.0 * rest[r];
            rest[r] += more;
            whole[r] += more;
            step[r] += more;
        }
    }
}

/* Return whether the coordinates may move further than near.bound allows for. */
static int reaches_further(const Motion *motion, double h, const Near *near)
{
    const int64_t dim = motion->b.n[1];
    const double *bound = near->bound.at;
    for (int64_t r = 0; r < dim; r++) {
        double turn = 0.0, shift = 0.0, power = 1.0;
        for (int64_t n = 1; n <= motion->order.at[0]; n++) {
            power *= h;
            turn += motion->turn.at[n * dim + r] * power;
            shift += fabs(motion->b.at[n * dim + r]) * power;
        }
        const double rest_turn = turn - motion->turn.at[dim + r] * h;
        const double rest_shift = shift - fabs(motion->b.at[dim + r]) * h;
        if (turn > bound[TURN * dim + r] || shift > bound[SHIFT * dim + r])
            return 1;
        if (rest_turn > bound[REST_TURN * dim + r] || rest_shift > bound[REST_SHIFT * dim + r])
            return 1;
    }
    return 0;
}

/* Keep the hits that come to zero, or nearly so, by two terms of their series and the bound of the rest. */
static void keep_likely_hits(const Points *points, Near *near, double h)
{
    const int64_t dim = points->x.n[1];
    const double *turn = near->bound.at + TURN * dim, *shift = near->bound.at + SHIFT * dim;
    int64_t kept = 0;
    for (int64_t k = 0; k < near->tally.at[HITS]; k++) {
        const int64_t entry = near->hit.at[k];
        const int64_t i = near->pool.at[2 * entry], r = near->pool.at[2 * entry + 1];
        const double z0 = near->line.at[2 * k], z1 = near->line.at[2 * k + 1];
        const double sign = sign_of(points->pattern.at[i * dim + r]);
        const double margin = MARGIN * (turn[r] * points->length.at[i] + shift[r]);
        /* Which are kept follows no rule that a processor could foresee: written in any case, counted if kept. */
        const int likely = lowest(sign * z0, sign * z1, rest_of(points, near, i, r), h) < margin;
        near->hit.at[kept] = entry;
        near->line.at[2 * kept] = z0;
        near->line.at[2 * kept + 1] = z1;
        kept += likely;
    }
    near->tally.at[HITS] = kept;
}

/* Give the hits the velocities that the present series says they have. */
static void follow_hits(const Points *points, const Motion *motion, Near *near)
{
    const int64_t hits = near->tally.at[HITS];
    double z1[ENTRIES_TOGETHER];
    for (int64_t first = 0; first < hits; first += ENTRIES_TOGETHER) {
        const int64_t count = hits - first < ENTRIES_TOGETHER ? hits - first : ENTRIES_TOGETHER;
        coordinates_of(points, motion, 1, near, near->hit.at + first, count, z1);
        for (int64_t k = 0; k < count; k++)
            near->line.at[2 * (first + k) + 1] = z1[k];
    }
}

/* List in `likely` which of the hits from `first` to `end` have no bound that keeps them from crossing on [0, h];
   return how many there are. */
INLINE int64_t likely_to_cross(const Points *points, const Motion *motion, double h, const Near *near, int64_t first,
                               int64_t end, int64_t *likely)
{
    const int64_t dim = points->x.n[1];
    int64_t count = 0;
    for (int64_t k = first; k < end; k++) {
        const uint32_t *pair = near->pool.at + 2 * near->hit.at[k];
        const int64_t i = pair[0], r = pair[1];
        const double sign = sign_of(points->pattern.at[i * dim + r]);
        const double z0 = sign * near->line.at[2 * k], z1 = sign * near->line.at[2 * k + 1];
        likely[count] = k;
        count += lowest(z0, z1, rest_of(points, near, i, r), h) < minimum(z0, 0.0) - noise_of(points, motion, i, r);
    }
    return count;
}
