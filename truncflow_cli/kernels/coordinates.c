/* The surface coordinates z_{i,r} = R_r x_i + b_r along a step of `separated`: values, series, and bounds.

   With z(t) = z0 + z1 t + ..., the orders from the second on add at most |x_i| times what they add to R_r, and what
   they add to b_r, see displacement_bounds.c. So z0 and z1 alone say of most coordinates that they do not reach
   zero. */

#include "layer.h"

/* Positions are asked for this many entries before they are needed: those of very many points are not near. */
enum { ROWS_AHEAD = 12 };

/* Fill z with order n of z_{i,r} = R_r x_i + b_r for each of these entries, four at a time. */
void coordinates_of(const Points *points, const Taylor *taylor, int64_t n, const NeighborLists *near,
                           const int64_t *entries, int64_t count, double *z)
{
    const int64_t dim = taylor->dim, rest = dim % 4;
    const double *R = taylor->R + n * dim * dim, *b = taylor->b + n * dim;
    for (int64_t first = 0; first < count; first += 4) {
        const double *x[4], *row[4];
        double shift[4];
        for (int64_t k = first + ROWS_AHEAD; k < first + ROWS_AHEAD + 4 && k < count; k++) {
            const double *ahead = points->x + (int64_t)near->pool[entries[k]].point * dim;
            __builtin_prefetch(ahead);
            __builtin_prefetch(ahead + dim - 1);
        }
        for (int64_t k = 0; k < 4; k++) {
            const Entry *entry = near->pool + entries[first + k < count ? first + k : count - 1];
            x[k] = points->x + (int64_t)entry->point * dim;
            row[k] = R + (int64_t)entry->row * dim;
            shift[k] = b[entry->row];
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
void coordinate_series(const Points *points, const Taylor *taylor, int64_t i, int64_t r, double sign,
                              double *restrict c, int64_t size)
{
    const int64_t dim = taylor->dim, block = dim * dim, rest = dim % 4;
    const double *x = points->x + i * dim, *row = taylor->R + r * dim, *b = taylor->b + r;
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
