/* How far coordinates get over a step, and how far they have come since a list of near ones was made.

   On [0, h], |ΔR_r| ≤ Σ_n |R_r,n| hⁿ =: turn_r and |Δb_r| ≤ Σ_n |b_r,n| hⁿ =: shift_r, n ≥ 1, and a coordinate moves by

       |Δz_{i,r}| ≤ turn_r |x_i| + shift_r.

   Near.bound has turn and shift for the step alone (STEP_), for its orders from the second on (REST_), and for the step
   with what came before it since the chosen list was made. */

#pragma once

#include <math.h>
#include <stdint.h>

#include "arrays.h"
#include "vector.h"

/* Bound how far R_r and b_r get from the start of the step on [0, h], and the share of orders ≥ 2 in that. */
static void travel(const Motion *motion, double h, Near *near)
{
    const int64_t dim = motion->b.n[1], order = motion->order.at[0];
    const double *turns = motion->turn.at, *shifts = motion->b.at;
    double *bound = near->bound.at;
    double power[order + 2];
    near->scale.at[HORIZON] = h;
    power[1] = h;
    for (int64_t n = 2; n <= order; n++)
        power[n] = power[n - 1] * h;
    int64_t r = 0;
    for (; r + 4 <= dim; r += 4) {
        Four turn = all_four(0.0), shift = all_four(0.0);
        for (int64_t n = 2; n <= order; n++) {
            turn = multiply_add(four_at(turns + n * dim + r), all_four(power[n]), turn);
            shift = multiply_add(sizes_of_four(four_at(shifts + n * dim + r)), all_four(power[n]), shift);
        }
        put_four(bound + REST_TURN * dim + r, turn);
        put_four(bound + REST_SHIFT * dim + r, shift);
    }
    for (; r < dim; r++) {
        double turn = 0.0, shift = 0.0;
        for (int64_t n = 2; n <= order; n++) {
            turn += turns[n * dim + r] * power[n];
            shift += fabs(shifts[n * dim + r]) * power[n];
        }
        bound[REST_TURN * dim + r] = turn;
        bound[REST_SHIFT * dim + r] = shift;
    }
    for (r = 0; r < dim; r++) {
        const double turn = bound[REST_TURN * dim + r] + turns[dim + r] * h;
        const double shift = bound[REST_SHIFT * dim + r] + fabs(shifts[dim + r]) * h;
        bound[STEP_TURN * dim + r] = bound[TURN * dim + r] = turn;
        bound[STEP_SHIFT * dim + r] = bound[SHIFT * dim + r] = shift;
    }
}

/* Return |a − b|². */
INLINE double squared_distance(const double *a, const double *b, int64_t size)
{
    Four sums = all_four(0.0);
    int64_t k = 0;
    for (; k + 4 <= size; k += 4) {
        const Four apart = four_at(a + k) - four_at(b + k);
        sums = multiply_add(apart, apart, sums);
    }
    double total = sum_of_four(sums);
    for (; k < size; k++)
        total += (a[k] - b[k]) * (a[k] - b[k]);
    return total;
}

/* Fill turn and shift (Q,) with how far R_r and b_r are from where they were when list `level` was made. */
static void displacements(const Motion *motion, const Near *near, int64_t level, double *turn, double *shift)
{
    const int64_t dim = motion->b.n[1];
    const double *state = near->state.at + level * dim * (dim + 1);
    for (int64_t r = 0; r < dim; r++) {
        turn[r] = squared_distance(state + r * (dim + 1), motion->R.at + r * dim, dim);
        shift[r] = fabs(motion->b.at[r] - state[r * (dim + 1) + dim]);
    }
    for (int64_t r = 0; r < dim; r++)
        turn[r] = sqrt(turn[r]);
}

/* Add the displacement since the chosen list was made to the bounds over the step. */
static void add_displacement(const Motion *motion, Near *near)
{
    const int64_t dim = motion->b.n[1];
    double turn[dim], shift[dim];
    displacements(motion, near, near->tally.at[LEVEL], turn, shift);
    for (int64_t r = 0; r < dim; r++) {
        near->bound.at[TURN * dim + r] += turn[r];
        near->bound.at[SHIFT * dim + r] += shift[r];
    }
}

/* Return how far list `level` still reaches from the present state, after `share` of the step's bounds. */
static double room_left(const Motion *motion, const Near *near, int64_t level, double share)
{
    const int64_t dim = motion->b.n[1];
    double turn[dim], shift[dim];
    displacements(motion, near, level, turn, shift);
    double turned = 0.0, shifted = 0.0;
    for (int64_t r = 0; r < dim; r++) {
        turned = maximum(turn[r] + share * near->bound.at[TURN * dim + r], turned);
        shifted = maximum(shift[r] + share * near->bound.at[SHIFT * dim + r], shifted);
    }
    return near->skin.at[level] - maximum(shifted / near->scale.at[RATIO], turned);
}

/* Return c: how far b moves for one unit that the rows of R do, within reason. */
static double typical_ratio(const Points *points, double turn, double shift, double largest)
{
    const int64_t size = points->length.n[0];
    const double *length = points->length.at;
    double longest[4] = {0.0, 0.0, 0.0, 0.0};
    int64_t i = 0;
    for (; i + 4 <= size; i += 4)
        for (int64_t k = 0; k < 4; k++)
            longest[k] = maximum(length[i + k], longest[k]);
    for (; i < size; i++)
        longest[0] = maximum(length[i], longest[0]);
    double extent = maximum(maximum(longest[0], longest[1]), maximum(longest[2], longest[3]));
    extent = maximum(extent, 1e-3 * largest);
    if (extent == 0.0)
        extent = 1.0;
    if (turn > 0.0)
        return minimum(maximum(shift / turn, 1e-3 * extent), 1e3 * extent);
    return 1e3 * extent;
}
