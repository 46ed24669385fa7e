/* The surface coordinates z_{i,r} = R_r x_i + b_r along a step of `separated`: values, series, and bounds.

   With z(t) = z0 + z1 t + ..., the orders from the second on add at most |x_i| times what they add to R_r, and what
   they add to b_r, see travel.h. So z0 and z1 alone say of most coordinates that they do not reach zero. */

#pragma once

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "arrays.h"
#include "vector.h"

/* Rounding error of a coordinate z, in units of |x| + |b|. */
#define NOISE (32 * DBL_EPSILON)

/* Return 1.0 for a coordinate that is untruncated, else -1.0; without a branch, as nobody could foresee it. */
INLINE double sign_of(int8_t side)
{
    return (double)(2 * (side == UNTRUNCATED) - 1);
}

/* Return the rounding error of z_{i,r}. */
INLINE double noise_of(const Points *points, const Motion *motion, int64_t i, int64_t r)
{
    return NOISE * (points->length.at[i] + fabs(motion->b.at[r]));
}

/* Return a bound of what the orders from the second on can do to z_{i,r} over the step. */
INLINE double rest_of(const Points *points, const Near *near, int64_t i, int64_t r)
{
    const int64_t dim = near->bound.n[1];
    return near->bound.at[REST_TURN * dim + r] * points->length.at[i] + near->bound.at[REST_SHIFT * dim + r];
}

/* Return a lower bound on [0, t] of a coordinate with value z0 and velocity z1; `rest` bounds the rest at t.

   The rest grows at least like t², so that z1 t − rest is least at one of the ends. */
INLINE double lowest(double z0, double z1, double rest, double t)
{
    return z0 + minimum(z1 * t - rest, 0.0);
}

/* Positions are asked for this many entries before they are needed: those of very many points are not near. */
enum { ROWS_AHEAD = 12 };

/* Fill z with order n of z_{i,r} = R_r x_i + b_r for each of these entries, four at a time. */
static void coordinates_of(const Points *points, const Motion *motion, int64_t n, const Near *near,
                           const int64_t *entries, int64_t count, double *z)
{
    const int64_t dim = motion->b.n[1], rest = dim % 4;
    const double *R = motion->R.at + n * dim * dim, *b = motion->b.at + n * dim;
    for (int64_t first = 0; first < count; first += 4) {
        const double *x[4], *row[4];
        double shift[4];
        for (int64_t k = first + ROWS_AHEAD; k < first + ROWS_AHEAD + 4 && k < count; k++) {
            const double *ahead = points->x.at + (int64_t)near->pool.at[2 * entries[k]] * dim;
            __builtin_prefetch(ahead);
            __builtin_prefetch(ahead + dim - 1);
        }
        for (int64_t k = 0; k < 4; k++) {
            const uint32_t *entry = near->pool.at + 2 * entries[first + k < count ? first + k : count - 1];
            x[k] = points->x.at + (int64_t)entry[0] * dim;
            row[k] = R + (int64_t)entry[1] * dim;
            shift[k] = b[entry[1]];
        }
        double four[4];
        if (dim >= 4) {
            Four sums[4];
            for (int k = 0; k < 4; k++)
                sums[k] = four_at(row[k]) * four_at(x[k]);
            for (int64_t a = 4; a < dim - rest; a += 4)
                for (int k = 0; k < 4; k++)
                    sums[k] = multiply_add(four_at(row[k] + a), four_at(x[k] + a), sums[k]);
            if (rest > 0)
                for (int k = 0; k < 4; k++)
                    sums[k] = multiply_add(four_at(row[k] + dim - 4),
                                           last_of_four(four_at(x[k] + dim - 4), rest), sums[k]);
            put_four(four, four_at(shift) + four_sums(sums[0], sums[1], sums[2], sums[3]));
        } else
            for (int k = 0; k < 4; k++)
                four[k] = shift[k] + along(row[k], x[k], dim);
        if (first + 4 <= count)
            put_four(z + first, four_at(four));
        else
            memcpy(z + first, four, sizeof(double) * (count - first));
    }
}

/* Fill c (order+1,) with `sign` times the series of z_{i,r} = R_r x_i + b_r. */
static void coordinate_series(const Points *points, const Motion *motion, int64_t i, int64_t r, double sign,
                              double *restrict c, int64_t size)
{
    const int64_t dim = motion->b.n[1], block = dim * dim, rest = dim % 4;
    const double *x = points->x.at + i * dim, *row = motion->R.at + r * dim, *b = motion->b.at + r;
    int64_t n = 0;
    if (dim >= 4) {
        const Four last = last_of_four(four_at(x + dim - 4), rest);
        for (; n + 4 <= size; n += 4, row += 4 * block, b += 4 * dim) {
            Four sums[4];
            for (int k = 0; k < 4; k++)
                sums[k] = rest > 0 ? four_at(row + k * block + dim - 4) * last : all_four(0.0);
            for (int64_t a = 0; a < dim - rest; a += 4)
                for (int k = 0; k < 4; k++)
                    sums[k] = multiply_add(four_at(row + k * block + a), four_at(x + a), sums[k]);
            const Four shift = {b[0], b[dim], b[2 * dim], b[3 * dim]};
            put_four(c + n, all_four(sign) * (shift + four_sums(sums[0], sums[1], sums[2], sums[3])));
        }
    }
    for (; n < size; n++, row += block, b += dim)
        c[n] = sign * (*b + along(row, x, dim));
}
