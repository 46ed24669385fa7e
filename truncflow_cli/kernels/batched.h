/* Steps over many crossings at once, each located afterwards: `separated` with very many points.

   On a step the moments of the untruncated points are replaced by polynomials, see batchmoments.h: then the solution is
   a Taylor series again, see batchseries.h. The crossings follow from the trajectory, see batchcrossings.h, and the
   trajectory from the crossings: the two are found in turns ("sweeps"), until they agree. Each sweep gains a factor of
   the order of h. */

#pragma once

#include <stdint.h>
#include <string.h>

#include "arrays.h"
#include "batchcrossings.h"
#include "batchhits.h"
#include "batchmoments.h"
#include "batchseries.h"
#include "crossings.h"
#include "nearby.h"
#include "series.h"
#include "travel.h"
#include "vector.h"

/* Sweeps after which a step is given up. */
enum { SWEEPS = 8 };
/* Two sweeps agree when the states they lead to differ by this share of the tolerance. */
static const double AGREED = 0.1;

/* Let the listed coordinates change sides, and the moments with them. */
static void settle(const Points *points, Moments *moments, const Near *near, int64_t found, const Batch *batch)
{
    const int64_t dim = points->x.n[1];
    for (int64_t k = 0; k < found; k++) {
        const uint32_t *pair = near->pool.at + 2 * batch->entry.at[k];
        int8_t *pattern = points->pattern.at + pair[0] * dim + pair[1];
        const int up = *pattern == TRUNCATED;
        *pattern = up ? UNTRUNCATED : TRUNCATED;
        if (pair[0] < points->weight.n[0])
            count_point(points, pair[0], pair[1], up ? 1.0 : -1.0, moments);
    }
}

/* Replace `before` by (now − before) / h. */
static void change_over(const double *now, double *before, int64_t size, double h)
{
    for (int64_t k = 0; k < size; k++)
        before[k] = (now[k] - before[k]) / h;
}

/* Take one step of at most batch.scalars[BATCH_LENGTH], which becomes its length; return how it went.

   When DONE, state.R_next and b_next are the state at the end, `motion` is the trajectory, and the crossings are listed
   in `batch` in no order; patterns and moments are those after the step. */
EXPORT int64_t truncflow_batch_step(const State *state, double energy, const Points *points, Moments *moments,
                                    Motion *motion, Work *work, Near *near, const Accuracy *accuracy, Batch *batch)
{
    const int64_t dim = points->x.n[1], size_m = dim * (dim + 1), size_M = dim * size_m;
    const int with_zz = accuracy->with_zz != 0;
    refresh_moments(points, moments);
    memset(batch->tally.at, 0, sizeof(int64_t) * batch->tally.n[0]);
    const double scale = start_series(state, energy, points, motion, accuracy);
    double h = batch->scalars.at[BATCH_LENGTH];
    expected_moments(moments, h, with_zz, batch);
    int64_t found = 0;
    for (int sweep = 0; sweep <= SWEEPS; sweep++) {
        const double accurate = expand_batch(motion, moments, work, points->y_tilde.at, accuracy, scale, h, batch);
        if (!(accurate > 0.0))
            return ASTRAY;
        if (sweep == 0 && accurate < h) {
            h = accurate;
            expected_moments(moments, h, with_zz, batch);
            expand_batch(motion, moments, work, points->y_tilde.at, accuracy, scale, h, batch);
        } else if (accurate < 0.5 * h) {
            return ASTRAY;
        }
        batch->tally.at[BATCH_SWEPT]++;
        batch->tally.at[BATCH_ORDERS] += motion->order.at[0];
        const double gap = gap_to_last_sweep(motion, work, h, scale, batch);
        if (sweep > 0 && gap <= AGREED * accuracy->tolerance)
            break;
        if (sweep == SWEEPS)
            return ASTRAY;
        if (sweep == 0 || reaches_further(motion, h, near)) {
            if (!look_around(points, motion, h, 1, near))
                return LISTS_FULL;
            add_displacement(motion, near);
            allow_for_sweeps(near);
            gather_hits(points, motion, near);
            batch->tally.at[BATCH_CANDIDATES] += near->tally.at[HITS];
            keep_likely_hits(points, near, h);
        } else {
            follow_hits(points, motion, near);
        }
        found = locate(points, motion, work, h, near, batch);
        if (found < 0)
            return ASTRAY;
        if (found > batch->time.n[0]) {
            batch->tally.at[BATCH_CROSSINGS] = found;
            return CROSSINGS_FULL;
        }
        moments_along(points, moments, near, h, found, with_zz, batch);
    }
    batch->scalars.at[BATCH_LENGTH] = h;
    batch->scalars.at[BATCH_INSIDE] = off_inside(motion, moments, work, accuracy, scale, h, batch);
    batch->tally.at[BATCH_CROSSINGS] = found;
    evaluate_state(motion, h, state->R_next.at, state->b_next.at, work->rows.at);
    memcpy(batch->m_rate.at, moments->m.at, sizeof(double) * size_m);
    memcpy(batch->M_rate.at, moments->M.at, sizeof(double) * size_M);
    settle(points, moments, near, found, batch);
    change_over(moments->m.at, batch->m_rate.at, size_m, h);
    change_over(moments->M.at, batch->M_rate.at, size_M, h);
    return DONE;
}
