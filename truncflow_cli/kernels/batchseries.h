/* The series of `separated` along a step over many crossings: as in series.h, with moments that depend on s.

   With m(s) = Σ_k m_k (s/h)^k, k ≤ d, and M(s) likewise, see batchmoments.h, what is linear in the moments becomes a
   Cauchy product (m and M are here divided by the total weight):

       S_i,n = Σ_k h^−k m_i,k · R̂_i,n−k,     B_i,n = Σ_k h^−k ((R_i,n−k·ỹ) m_i,k − R_i,n−k M_i,k)
       (J⊥u)_i,n = u_i,n − Σ_k h^−k (the last entry of m_i,k) u_i,n−k

   Without zz-terms, B_i = u_i m_i. What the projection leaves out is orthogonal to polynomials of degree d, so that the
   state at the end of the step hardly notices it; inside the step the trajectory is off by about the area under it. */

#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "arrays.h"
#include "batchmoments.h"
#include "series.h"
#include "vector.h"

/* Put the state into order 0 of the series; return the scale of b. */
static double start_series(const State *state, double energy, const Points *points, Motion *motion,
                           const Accuracy *accuracy)
{
    const int64_t dim = state->b.n[0];
    memcpy(motion->R.at, state->R.at, sizeof(double) * dim * dim);
    memcpy(motion->b.at, state->b.at, sizeof(double) * dim);
    motion->energy.at[0] = energy;
    double scale = accuracy->floor;
    for (int64_t r = 0; r < dim; r++) {
        scale = maximum(fabs(state->b.at[r]), scale);
        scale = maximum(fabs(speed_of_bias(state->R.at, state->b.at, points->y_tilde.at, dim, r)), scale);
    }
    return scale;
}

/* Fill the n-th coefficients of u, R ỹ, B and S, with moments that depend on s; see series.h. */
static void linear_terms_along(const Moments *moments, Work *work, const double *y_tilde, int with_zz, double h,
                               int64_t n, Batch *batch)
{
    const int64_t dim = batch->m.n[1], columns = dim + 1;
    const double inverse = 1.0 / moments->total.at[0];
    double line[columns];
    for (int64_t r = 0; r < dim; r++) {
        const double *row = work->rows.at + (n * dim + r) * columns;
        double *B = work->B.at + (n * dim + r) * (dim + 2);
        const double q = along(row, y_tilde, dim);
        batch->q.at[n * dim + r] = q;
        work->u.at[n * dim + r] = row[dim] + q;
        place_columns(work, n, r, dim);
        double S = 0.0, power = inverse;
        memset(B, 0, sizeof(double) * columns);
        for (int64_t k = 0; k <= n && k <= DEGREE; k++) {
            const double *R_r = work->rows.at + ((n - k) * dim + r) * columns;
            const double *m_r = batch->m.at + (k * dim + r) * columns;
            S += power * along(R_r, m_r, columns);
            if (with_zz) {
                const double *M_r = batch->M.at + (k * dim + r) * dim * columns;
                second_moments(line, batch->q.at[(n - k) * dim + r], 1.0, m_r, R_r, M_r, dim);
                add_multiple(B, power, line, columns);
            } else {
                add_multiple(B, power * work->u.at[(n - k) * dim + r], m_r, columns);
            }
            power /= h;
        }
        B[dim + 1] = S;
    }
}

/* Fill the n-th coefficients of Ω and J⊥u. */
static void rotation_rate_along(const Moments *moments, Work *work, double h, int64_t n, const Batch *batch)
{
    const int64_t dim = batch->m.n[1];
    quadratic_terms(work, n, dim);
    skew_part(work, n, dim);
    double *Ju = work->Ju.at + n * dim;
    memcpy(Ju, work->u.at + n * dim, sizeof(double) * dim);
    double power = 1.0 / moments->total.at[0];
    for (int64_t k = 0; k <= n && k <= DEGREE; k++) {
        const double *mass = batch->m.at + k * dim * (dim + 1) + dim;
        const double *u = work->u.at + (n - k) * dim;
        for (int64_t r = 0; r < dim; r++)
            Ju[r] -= power * mass[r * (dim + 1)] * u[r];
        power /= h;
    }
}

/* Extend the series until they are accurate over h; return how far they are (-1.0: the state is not finite). */
static double expand_batch(Motion *motion, const Moments *moments, Work *work, const double *y_tilde,
                           const Accuracy *accuracy, double scale, double h, Batch *batch)
{
    const int64_t highest = motion->energy.n[0] - 1, dim = motion->b.n[1];
    double before = INFINITY, earlier = INFINITY, accurate = 0.0;
    double square = accuracy->floor * accuracy->floor + accuracy->spread * accuracy->spread;
    begin_rows(motion, work);
    for (int64_t n = 0; n < highest; n++) {
        linear_terms_along(moments, work, y_tilde, accuracy->with_zz != 0, h, n, batch);
        rotation_rate_along(moments, work, h, n, batch);
        if (n == 0)
            square = maximum(along(work->u.at, work->u.at, dim), square);
        const double size = next_order(motion, work, n, scale, square);
        motion->order.at[0] = n + 1;
        if (!isfinite(size))
            return -1.0;
        if (n > DEGREE) {
            accurate = where_accurate(size, before, earlier, n, accuracy->tolerance);
            if (accurate >= h)
                return accurate;
        }
        earlier = before;
        before = size;
    }
    return accurate;
}

/* Return how far middle and end of the trajectory are from those of the last sweep, and keep them. */
static double gap_to_last_sweep(const Motion *motion, Work *work, double h, double scale, Batch *batch)
{
    const int64_t dim = motion->b.n[1], order = motion->order.at[0];
    double *R = work->P.at, b[dim], gap = 0.0, shift = 0.0;
    for (int place = 0; place < 2; place++) {
        const double t = place == 1 ? h : 0.5 * h;
        double *before = batch->before.at + place * dim * (dim + 1);
        evaluate_rows(motion->R.at, order, dim * dim, t, R);
        evaluate_rows(motion->b.at, order, dim, t, b);
        for (int64_t r = 0; r < dim; r++, before += dim + 1) {
            for (int64_t a = 0; a < dim; a++)
                gap = maximum(fabs(R[r * dim + a] - before[a]), gap);
            shift = maximum(fabs(b[r] - before[dim]), shift);
            memcpy(before, R + r * dim, sizeof(double) * dim);
            before[dim] = b[r];
        }
    }
    return maximum(shift / scale, gap);
}

/* Return what the trajectory may be off by inside: the next coefficient's field, for a part of the step. */
static double off_inside(const Motion *motion, const Moments *moments, Work *work, const Accuracy *accuracy,
                         double scale, double h, const Batch *batch)
{
    const int64_t dim = motion->b.n[1], columns = dim + 1;
    const double inverse = 1.0 / moments->total.at[0];
    const double *u = work->u.at, *b = motion->b.at;
    double *P = work->P.at, line[columns], worst = 0.0;
    for (int64_t r = 0; r < dim; r++) {
        const double *m_r = batch->m.at + ((DEGREE + 1) * dim + r) * columns;
        const double *R_r = motion->R.at + r * dim;
        worst = maximum(fabs(m_r[dim] * inverse * u[r]) / scale, worst);
        const double S = along(R_r, m_r, dim) + b[r] * m_r[dim];
        if (accuracy->with_zz)
            second_moments(line, batch->q.at[r], 1.0, m_r, R_r, batch->M.at + ((DEGREE + 1) * dim + r) * dim * columns,
                           dim);
        else
            for (int64_t a = 0; a <= dim; a++)
                line[a] = u[r] * m_r[a];
        for (int64_t j = 0; j < dim; j++)
            P[r * dim + j] = (S * u[j] + line[dim] * b[j] + along(line, motion->R.at + j * dim, dim)) * inverse;
    }
    for (int64_t i = 0; i < dim; i++)
        for (int64_t j = 0; j < i; j++)
            worst = maximum(0.5 * fabs(P[i * dim + j] - P[j * dim + i]), worst);
    return worst * h / (2.0 * (DEGREE + 1));
}
