/* The constrained moments of a cluster's own points (3.33) ff.: sums over those that are untruncated in a coordinate. */

#pragma once

#include "arrays.h"
#include "vector.h"

/* Rank-one updates after which the moments are summed anew, so that rounding does not pile up: as many as there are
   points, but not fewer than these. */
enum { FEWEST_UPDATES = 4096 };

/* Let own point i count as untruncated in coordinate r (sign -1: no longer). */
static void count_point(const Points *points, int64_t i, int64_t r, double sign, Moments *moments)
{
    const int64_t dim = points->x.n[1];
    const double *x = points->x.at + i * dim;
    const double weight = sign * points->weight.at[i];
    double *m = moments->m.at + r * (dim + 1);
    double *M = moments->M.at + r * dim * (dim + 1);
    for (int64_t a = 0; a < dim; a++, M += dim + 1) {
        const double weighted = weight * x[a];
        m[a] += weighted;
        add_multiple(M, weighted, x, dim);
        M[dim] += weighted;
    }
    m[dim] += weight;
    moments->updates.at[0]++;
}

/* Sum the moments from scratch, over the untruncated own points. */
static void sum_moments(const Points *points, Moments *moments)
{
    const int64_t dim = points->x.n[1];
    memset(moments->m.at, 0, sizeof(double) * dim * (dim + 1));
    memset(moments->M.at, 0, sizeof(double) * dim * dim * (dim + 1));
    for (int64_t i = 0; i < points->weight.n[0]; i++)
        for (int64_t r = 0; r < dim; r++)
            if (points->pattern.at[i * dim + r] == UNTRUNCATED)
                count_point(points, i, r, 1.0, moments);
    moments->updates.at[0] = 0;
}

/* Sum the moments from scratch if they have been updated often. */
static void refresh_moments(const Points *points, Moments *moments)
{
    const int64_t own = points->weight.n[0];
    if (moments->updates.at[0] > (own > FEWEST_UPDATES ? own : FEWEST_UPDATES))
        sum_moments(points, moments);
}
