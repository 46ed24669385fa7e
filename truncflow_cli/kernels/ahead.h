/* The event loop for the usual step of `separated`: one coordinate goes through, no more.

   Every step is taken with the same functions as one that goes through Python, so that the two give the same numbers.
   What is out of the ordinary ends the loop before the step in question, which is then taken from its beginning in
   Python. */

#pragma once

#include <float.h>

#include "coordinates.h"
#include "crossings.h"
#include "nearby.h"
#include "pace.h"
#include "sampling.h"
#include "series.h"

/* A kink that turns a coordinate back is left to Python, and so is one that does so but for this share of the jump. */
static const double CLEAR = 0.01;
/* The same for a coordinate that hardly moves, relative to the speed of the state. */
static const double SLOW = 1e-9;
/* A field below this, relative to the state, may be at rest. */
static const double MAY_REST = 1e-11;
/* A field below this, relative to the state, is looked at more closely: is it rest? */
static const double STANDS = 1e-12;
/* The next crossing is first looked for within this share of the reach. */
static const double SOON = 0.75;
/* Foreign crossings in one step beyond which it is taken in Python. */
enum { FOREIGN = 16 };

/* Expand the solution about the state; return the length on which the series are accurate. */
static double expand_state(const State *state, double energy, const Points *points, Moments *moments, Motion *motion,
                           Work *work, Pins *pins, const Accuracy *accuracy, double reach)
{
    const int64_t dim = state->b.n[0];
    refresh_moments(points, moments);
    motion->energy.at[0] = energy;
    memcpy(motion->R.at, state->R.at, sizeof(double) * dim * dim);
    memcpy(motion->b.at, state->b.at, sizeof(double) * dim);
    double scale = accuracy->floor, square = 0.0;
    for (int64_t r = 0; r < dim; r++) {
        const double u = speed_of_bias(state->R.at, state->b.at, points->y_tilde.at, dim, r);
        scale = maximum(scale, maximum(fabs(u), fabs(state->b.at[r])));
        square += u * u;
    }
    square = maximum(square, maximum(accuracy->spread * accuracy->spread, accuracy->floor * accuracy->floor));
    return expand(motion, moments, work, pins, points->y_tilde.at, (int)accuracy->with_zz, scale, square,
                  accuracy->tolerance, reach);
}

/* Let the coordinate of this near entry change sides, and write that down. */
static void note(Points *points, const Near *near, int64_t entry, double s, Log *log, int64_t *counts)
{
    const int64_t i = near->pool.at[2 * entry], r = near->pool.at[2 * entry + 1], event = counts[EVENTS]++;
    int8_t *side = points->pattern.at + i * points->x.n[1] + r;
    *side = *side == UNTRUNCATED ? TRUNCATED : UNTRUNCATED;
    log->s.at[event] = s;
    log->point.at[event] = i;
    log->row.at[event] = r;
    log->side.at[event] = *side;
}

/* Return coordinate r of point i at the next state. */
INLINE double next_coordinate(const State *state, const Points *points, int64_t i, int64_t r)
{
    const int64_t dim = points->x.n[1];
    return state->b_next.at[r] + along(state->R_next.at + r * dim, points->x.at + i * dim, dim);
}

/* Return whether no other own coordinate is zero, to rounding, where hit `which` crosses. */
static int alone(const State *state, const Points *points, const Motion *motion, const Near *near, double t,
                 int64_t which)
{
    const double part = t / near->scale.at[HORIZON];
    for (int64_t k = 0; k < near->tally.at[HITS]; k++) {
        const uint32_t *entry = near->pool.at + 2 * near->hit.at[k];
        const int64_t i = entry[0], r = entry[1];
        if (k == which || i >= points->weight.n[0])
            continue;
        const double noise =
            4 * NOISE * (points->length.at[i] + fabs(state->b_next.at[r]) + fabs(motion->b.at[r]));
        const double rest = rest_of(points, near, i, r);
        const double *line = near->line.at + 2 * k;
        if (fabs(line[0] + line[1] * t) > rest * part * part + noise)
            continue;
        if (fabs(next_coordinate(state, points, i, r)) <= noise)
            return 0;
    }
    return 1;
}

/* Return whether hit `which`, at zero at t, clearly goes through, alone, and the flow goes on after it. */
static int passes(const State *state, const Points *points, const Moments *moments, Motion *motion, const Near *near,
                  double t, int64_t which, const Accuracy *accuracy)
{
    const uint32_t *entry = near->pool.at + 2 * near->hit.at[which];
    const int64_t i = entry[0], r = entry[1], dim = state->b.n[0], size = motion->order.at[0] + 1;
    if (!alone(state, points, motion, near, t, which))
        return 0;
    /* ż_r(untruncated) − ż_r(truncated) = (m/N) u_r (1 + ½ Σ_{j≠r} z_j²) */
    double normal = 1.0;
    for (int64_t j = 0; j < dim; j++)
        if (j != r) {
            const double z = next_coordinate(state, points, i, j);
            normal += 0.5 * z * z;
        }
    const double *R = state->R_next.at, *b = state->b_next.at, *y_tilde = points->y_tilde.at;
    const double total = moments->total.at[0];
    const double jump = points->weight.at[i] / total * speed_of_bias(R, b, y_tilde, dim, r) * normal;
    const int untruncated = points->pattern.at[i * dim + r] == UNTRUNCATED;
    double *c = motion->line.at;
    coordinate_series(points, motion, i, r, untruncated ? -1.0 : 1.0, c, size);
    const double before = derivative(c, size, t);
    const double after = before + jump; /* downwards: −(ż − jump); upwards: ż + jump */
    const double power = maximum(derivative(motion->energy.at, size, t), 0.0);
    const double margin = CLEAR * fabs(jump) + SLOW * sqrt(power * normal);
    if (!(before > margin && after > margin))
        return 0;
    /* At rest only if J⊥u vanishes, with the moments after the event. */
    double largest = 0.0, moving = 0.0;
    for (int64_t j = 0; j < dim; j++) {
        double count = moments->m.at[j * (dim + 1) + dim];
        if (j == r)
            count += untruncated ? -points->weight.at[i] : points->weight.at[i];
        const double rate = (1.0 - count / total) * speed_of_bias(R, b, y_tilde, dim, j);
        moving = maximum(moving, fabs(rate));
        largest = maximum(largest, fabs(b[j]));
    }
    return moving > MAY_REST * (largest + accuracy->spread);
}

/* Return the least power of two above s; 0 for 0. */
static double next_octave(double s)
{
    int exponent;
    if (s == 0.0)
        return 0.0;
    frexp(s, &exponent);
    return ldexp(1.0, exponent);
}

/* Return whether the state may be at rest: the bias hardly moves, relative to its size. */
static int is_slow(const State *state, const Points *points, const Moments *moments, const Accuracy *accuracy)
{
    const int64_t dim = state->b.n[0];
    double largest = 0.0, moving = 0.0;
    for (int64_t r = 0; r < dim; r++) {
        const double u = speed_of_bias(state->R.at, state->b.at, points->y_tilde.at, dim, r);
        const double truncated = 1.0 - moments->m.at[r * (dim + 1) + dim] / moments->total.at[0];
        moving = maximum(moving, fabs(truncated * u));
        largest = maximum(largest, fabs(state->b.at[r]));
    }
    return moving <= STANDS * (largest + accuracy->spread);
}

/* Take steps until clock[UNTIL] is passed, something unusual is next, or the log is full; return their number.

   The state, the clock and the other arrays are where the last step has led to; motion holds its series unless
   counts[UNUSUAL] is 1: the next step has then to be taken in Python. The samples at the times that have been passed
   are filled, counts[SAMPLED] of them. A step that has passed some s = 2^k and may have come to rest ends the loop, with
   counts[SLOWED] = 1. */
static int64_t run_ahead(State *state, double *clock, Points *points, Moments *moments, Motion *motion, Work *work,
                         Pins *pins, Near *near, const Accuracy *accuracy, Log *log, Samples *samples, int64_t *counts)
{
    const int64_t dim = state->b.n[0];
    const double s_end = clock[S_END], until = clock[UNTIL];
    double times[FOREIGN];
    int64_t entries[FOREIGN], steps = 0;
    double octave = next_octave(clock[S]);
    counts[UNUSUAL] = 0;
    while (counts[EVENTS] + FOREIGN < log->s.n[0]) {
        const double s = clock[S], left = s_end - s, reach = minimum(clock[REACH], left);
        double h = expand_state(state, clock[ENERGY], points, moments, motion, work, pins, accuracy, reach);
        counts[UNUSUAL] = 1;
        if (!(h > 0.0))
            break;
        h = step_length(h, clock[REACH], left);
        int64_t seen[2] = {0, 0}, which, foreign = 0;
        const double t = first_crossing(points, motion, h, SOON * reach, near, seen, &which);
        if (which == -2 || !(t > 4 * DBL_EPSILON * s))
            break;
        const double energy = evaluate_state(motion, t, state->R_next.at, state->b_next.at, work->rows.at);
        if (which >= 0 && !passes(state, points, moments, motion, near, t, which, accuracy))
            break;
        if (points->weight.n[0] < points->length.n[0]) {
            foreign = foreign_crossings(points, motion, t, near, times, entries, FOREIGN);
            if (foreign > FOREIGN)
                break;
        }

        counts[UNUSUAL] = 0;
        steps++;
        counts[STEPS]++;
        counts[ORDERS] += motion->order.at[0];
        counts[CANDIDATES] += seen[0];
        counts[ROOTS] += seen[1];
        for (int64_t k = 0; k < foreign; k++)
            note(points, near, entries[k], s + times[k], log, counts);
        memcpy(state->R.at, state->R_next.at, sizeof(double) * dim * dim);
        memcpy(state->b.at, state->b_next.at, sizeof(double) * dim);
        for (int64_t r = 0; r < dim; r++)
            state->untruncated.at[r] = moments->m.at[r * (dim + 1) + dim];
        clock[BEFORE] = s;
        clock[ENERGY] = energy;
        clock[REACH] = next_reach(clock[REACH], t, which >= 0, s_end);
        if (which < 0 && h >= left)
            clock[S] = s_end;
        else
            clock[S] = minimum(later(s, &clock[LOST], t), s_end);
        for (; counts[SAMPLED] < samples->s.n[0] && samples->s.at[counts[SAMPLED]] <= clock[S]; counts[SAMPLED]++)
            take_sample(points, moments, motion, maximum(samples->s.at[counts[SAMPLED]] - s, 0.0), samples,
                        counts[SAMPLED], work->rows.at);
        if (which >= 0) {
            const int64_t entry = near->hit.at[which];
            const int64_t i = near->pool.at[2 * entry], r = near->pool.at[2 * entry + 1];
            count_point(points, i, r, points->pattern.at[i * dim + r] == TRUNCATED ? 1.0 : -1.0, moments);
            note(points, near, entry, clock[S], log, counts);
        }
        if (clock[S] >= octave) {
            octave = next_octave(clock[S]);
            counts[SLOWED] = is_slow(state, points, moments, accuracy);
        }
        if (clock[S] >= until || clock[S] >= s_end || counts[SLOWED])
            break;
    }
    return steps;
}
