/* Whether a coordinate of `general` that has come to zero simply goes through: alone, and clearly.

   All is evaluated at the state where the step ends, for the one point that crosses. There, with H_ℓ from the
   pattern,

       z_ℓ = R_ℓ t_{ℓ-1} + b_ℓ,    t_0 = x,    t_ℓ = R_ℓᵀ (H_ℓ z_ℓ − b_ℓ),
       w_L = H_L z_L − b_L − R_L ỹ,    w_ℓ = R_ℓ R_{ℓ+1}ᵀ H_{ℓ+1} w_{ℓ+1}. */

#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "ahead.h"
#include "arrays.h"
#include "columns.h"
#include "deadlines.h"
#include "polynomial.h"
#include "vector.h"

/* Return R_ℓ of the next state. */
INLINE const double *next_R(const NetState *state, int64_t l)
{
    return state->R_next.at + l * state->R_next.n[1] * state->R_next.n[2];
}

/* Return b_ℓ of the next state. */
INLINE const double *next_b(const NetState *state, int64_t l)
{
    return state->b_next.at + l * state->b_next.n[1];
}

/* Fill t (Q) with R_ℓᵀ (H z − b), or with R_ℓᵀ H z if b is NULL. */
static void back(const NetState *state, int64_t i, int64_t l, const Cloud *cloud, const double *z, const double *b,
                 double *t)
{
    const int64_t dim = state->b.n[1];
    const double *R = next_R(state, l);
    const int8_t *side = sides_in(cloud, i, l);
    memset(t, 0, sizeof(double) * dim);
    for (int64_t r = 0; r < dim; r++) {
        const double value = (side[r] == UNTRUNCATED ? z[r] : 0.0) - (b ? b[r] : 0.0);
        if (value != 0.0)
            add_multiple(t, value, R + r * dim, dim);
    }
}

/* Fill z (L, Q) with the coordinates of point i at the next state. */
static void pass_point(const NetState *state, int64_t i, const Cloud *cloud, double *z)
{
    const int64_t layers = state->b.n[0], dim = state->b.n[1];
    double before[dim];
    memcpy(before, cloud->x.at + i * dim, sizeof before);
    for (int64_t l = 0; l < layers; l++, z += dim) {
        const double *R = next_R(state, l), *b = next_b(state, l);
        for (int64_t r = 0; r < dim; r++)
            z[r] = b[r] + along(R + r * dim, before, dim);
        back(state, i, l, cloud, z, b, before);
    }
}

/* Return whether no other coordinate is zero, to rounding, where this one crosses; z (L, Q) is room to work. */
static int net_alone(const NetState *state, double t, int64_t entry, const Cloud *cloud, const Watch *watch, double *z)
{
    const int64_t dim = state->b.n[1];
    for (int64_t hit = 0; hit < watch->hits.at[0]; hit++) {
        const int64_t l = watch->hit.at[2 * hit], i = watch->hit.at[2 * hit + 1];
        const double *line = watch->line.at + 2 * hit * dim;
        const double noise = 4 * cloud->noise.at[i], rest = net_rest_of(hit, cloud, watch);
        int passed = 0;
        for (int64_t r = 0; r < dim; r++) {
            if (hit * dim + r == entry || fabs(line[2 * r] + line[2 * r + 1] * t) > rest + noise)
                continue;
            if (!passed)
                pass_point(state, i, cloud, z);
            passed = 1;
            if (fabs(z[l * dim + r]) <= noise)
                return 0;
        }
    }
    return 1;
}

/* Return w_{ℓ,r} of point i, with coordinates z (L, Q), at the next state. */
static double push_on(const NetState *state, int64_t i, int64_t l, int64_t r, const Cloud *cloud, const double *z)
{
    const int64_t dim = state->b.n[1], last = state->b.n[0] - 1;
    const double *R = next_R(state, last), *b = next_b(state, last), *target = cloud->target.at + i * dim;
    const int8_t *side = sides_in(cloud, i, last);
    double w[dim], g[dim];
    for (int64_t q = 0; q < dim; q++)
        w[q] = (side[q] == UNTRUNCATED ? z[last * dim + q] : 0.0) - b[q] - along(R + q * dim, target, dim);
    for (int64_t m = last; m > l; m--) {
        back(state, i, m, cloud, w, NULL, g);
        R = next_R(state, m - 1);
        for (int64_t q = 0; q < dim; q++)
            w[q] = along(R + q * dim, g, dim);
    }
    return w[r];
}

/* Return |∇z_{ℓ,r}|² of point i, with coordinates z (L, Q), at the next state.

   With g_{ℓ-1} the r-th row of R_ℓ, q_m = R_m g_m and g_{m-1} = R_mᵀ H_m q_m, it is

       1 + ½ Σ_{j≠r} z_{ℓ,j}² + Σ_{m<ℓ} (|H_m⊥ q_m|² + ½ Σ_{j<k} (h_k − h_j)² (q_k z_j + q_j z_k)²). */
static double square_of_gradient(const NetState *state, int64_t i, int64_t l, int64_t r, const Cloud *cloud,
                                 const double *z)
{
    const int64_t dim = state->b.n[1];
    double total = 1.0, g[dim], q[dim];
    for (int64_t j = 0; j < dim; j++)
        if (j != r)
            total += 0.5 * z[l * dim + j] * z[l * dim + j];
    memcpy(g, next_R(state, l) + r * dim, sizeof g);
    for (int64_t m = l - 1; m >= 0; m--) {
        const double *R = next_R(state, m), *z_m = z + m * dim;
        const int8_t *side = sides_in(cloud, i, m);
        for (int64_t k = 0; k < dim; k++) {
            q[k] = along(R + k * dim, g, dim);
            if (side[k] != UNTRUNCATED)
                total += q[k] * q[k];
        }
        for (int64_t k = 0; k < dim; k++)
            for (int64_t j = 0; j < k; j++)
                if ((side[k] == UNTRUNCATED) != (side[j] == UNTRUNCATED)) {
                    const double skew = q[k] * z_m[j] + q[j] * z_m[k];
                    total += 0.5 * skew * skew;
                }
        back(state, i, m, cloud, q, NULL, g);
    }
    return total;
}

/* Return whether this coordinate, at zero at t, clearly goes through, alone, and the flow goes on after it. */
static int net_passes(const NetState *state, double t, int64_t entry, const Course *course, const Cloud *cloud,
                      const Cells *cells, const Tree *tree, const Columns *cols, const Watch *watch,
                      const NetAccuracy *accuracy)
{
    const int64_t layers = state->b.n[0], dim = state->b.n[1], size = course->order.at[0] + 1;
    const int64_t hit = entry / dim, r = entry % dim, l = watch->hit.at[2 * hit], i = watch->hit.at[2 * hit + 1];
    double z[layers * dim], c[size];
    if (!net_alone(state, t, entry, cloud, watch, z))
        return 0;
    pass_point(state, i, cloud, z);
    const double normal = square_of_gradient(state, i, l, r, cloud, z);
    /* ż_r(untruncated) − ż_r(truncated) = −(m/N) w_r |∇z_r|² */
    const double jump = -cloud->weight.at[i] * push_on(state, i, l, r, cloud, z) * normal;
    const double sign = sides_in(cloud, i, l)[r] == UNTRUNCATED ? -1.0 : 1.0;
    series_of(l, r, i, sign, cloud, cells, tree, cols, c, size);
    const double before = derivative(c, size, t);
    const double after = before + jump; /* downwards: −(ż − jump); upwards: ż + jump */
    const double power = maximum(derivative(course->energy.at, size, t), 0.0);
    const double margin = CLEAR * fabs(jump) + SLOW * sqrt(power * normal);
    if (!(before > margin && after > margin))
        return 0;
    /* The field after the event is at least as large as its part along ∇z_r. */
    double largest = accuracy->spread;
    for (int64_t k = 0; k < layers * dim; k++)
        largest = maximum(largest, fabs(state->b_next.at[k]));
    return after > MAY_REST * largest * maximum(1.0, largest) * sqrt(normal);
}
