/* What Python may ask of the compiled code of `separated`. */

#pragma once

#include <stdint.h>

#include "ahead.h"
#include "arrays.h"
#include "crossings.h"
#include "polynomial.h"
#include "sampling.h"
#include "series.h"
#include "vector.h"

/* What to do. */
enum { DO_EXPAND, DO_CROSS, DO_WATCH, DO_AHEAD, DO_SUM, DO_COUNT, DO_POLISH };

/* Do one of these and return what is said of it; clock and counts hold its numbers.

   - EXPAND the solution about the state, to be accurate over clock[REACH]: clock[LENGTH] is how far it is.
   - CROSS: find the first own coordinate to leave its side within clock[LENGTH], first looking within clock[NEARBY];
     clock[LENGTH] becomes the time, and the hit is returned (-1: none; -2: the near lists need more room).
   - WATCH the foreign coordinates within clock[LENGTH]: return how many cross, listed in log (times, and near entries
     as points).
   - AHEAD: see run_ahead.
   - SUM the moments from scratch.
   - COUNT the first counts[EVENTS] points and rows of log clock[LENGTH] = ±1 times in the moments.
   - POLISH: make R orthogonal to rounding. */
EXPORT int64_t truncflow_separated(int64_t task, State *state, double *clock, Points *points, Moments *moments,
                                   Motion *motion, Work *work, Pins *pins, Near *near, const Accuracy *accuracy,
                                   Log *log, Samples *samples, int64_t *counts)
{
    int64_t which = 0;
    switch (task) {
    case DO_EXPAND:
        clock[LENGTH] = expand_state(state, clock[ENERGY], points, moments, motion, work, pins, accuracy,
                                     clock[REACH]);
        break;
    case DO_CROSS:
        clock[LENGTH] = first_crossing(points, motion, clock[LENGTH], clock[NEARBY], near, counts + CANDIDATES,
                                       &which);
        return which;
    case DO_WATCH:
        return foreign_crossings(points, motion, clock[LENGTH], near, log->s.at, log->point.at, log->s.n[0]);
    case DO_AHEAD:
        return run_ahead(state, clock, points, moments, motion, work, pins, near, accuracy, log, samples, counts);
    case DO_SUM:
        sum_moments(points, moments);
        break;
    case DO_COUNT:
        for (int64_t k = 0; k < counts[EVENTS]; k++)
            count_point(points, log->point.at[k], log->row.at[k], clock[LENGTH], moments);
        break;
    case DO_POLISH:
        orthonormalise(state->R.at, state->b.n[0], work->rows.at);
        break;
    default:
        break;
    }
    return 0;
}

/* Fill R_out (times, Q, Q), orthonormalised, b_out and beta_out = Rᵀ b (times, Q), and energy_out (times) with the
   state at each t. `scratch` has room for (Q, Q) twice. */
EXPORT void truncflow_evaluate(const double *R, const double *b, const double *energy, int64_t order, int64_t dim,
                               int64_t times, const double *t, double *R_out, double *b_out, double *beta_out,
                               double *energy_out, double *scratch)
{
    for (int64_t k = 0; k < times; k++) {
        double *R_k = R_out + k * dim * dim, *b_k = b_out + k * dim, *beta_k = beta_out + k * dim;
        evaluate_rows(energy, order, 1, t[k], energy_out + k);
        evaluate_rows(b, order, dim, t[k], b_k);
        evaluate_rows(R, order, dim * dim, t[k], R_k);
        orthonormalise(R_k, dim, scratch);
        turn_back(R_k, b_k, beta_k, dim);
    }
}

/* Fill loss (times) with that of a cluster of `own` points in states R (times, Q, Q), b (times, Q): cluster_loss. */
EXPORT void truncflow_losses(const double *x, const double *weight, int64_t own, double total, const double *y_tilde,
                             const double *R, const double *b, int64_t dim, int64_t times, double *loss)
{
    for (int64_t k = 0; k < times; k++)
        loss[k] = cluster_loss(x, weight, own, total, y_tilde, R + k * dim * dim, b + k * dim, dim);
}

/* Return when a polynomial with these coefficients leaves its side, see first_exit. */
EXPORT double truncflow_first_exit(const double *c, int64_t size, double h, double noise)
{
    return first_exit(c, size, h, noise);
}

/* Return whether the processor can run what this library was compiled to. */
EXPORT int truncflow_suits_processor(void)
{
#if defined(__x86_64__) && defined(__FMA__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return 1;
#endif
}

/* Return the digest of the source that was compiled. */
EXPORT const char *truncflow_stamp(void)
{
    return STAMP;
}
