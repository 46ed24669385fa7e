/* Images of many points, rows of X Rᵀ + b: a few rows of R at a time, for a block of points that fits into the cache.

   A row of images is as long as can be read four by four; what stands behind its Q coordinates the caller chooses. */

#include "numerics.h"

/* Rows of R that are taken at a time. */
enum { ROWS_TOGETHER = 8 };

/* Fill some columns of Z for some points, see map_points: `fours` fours of columns, of `together` points. */
INLINE void map_some(const double *x, const double *columns, const double *b, double *Z, int64_t dim, int64_t width,
                      int fours, int together)
{
    Four sums[4][2];
    for (int k = 0; k < together; k++)
        for (int v = 0; v < fours; v++)
            sums[k][v] = four_at(b + 4 * v);
    for (int64_t a = 0; a < dim; a++)
        for (int k = 0; k < together; k++)
            for (int v = 0; v < fours; v++)
                sums[k][v] = multiply_add(all_four(x[k * dim + a]), four_at(columns + (a * fours + v) * 4), sums[k][v]);
    for (int k = 0; k < together; k++)
        for (int v = 0; v < fours; v++)
            put_four(Z + k * width + 4 * v, sums[k][v]);
}

/* The same for all of `count` points. */
INLINE void map_columns(const double *x, int64_t count, const double *columns, const double *b, double *Z,
                         int64_t dim, int64_t width, int fours)
{
    int64_t k = 0;
    for (; k + 4 <= count; k += 4)
        map_some(x + k * dim, columns, b, Z + k * width, dim, width, fours, 4);
    for (; k < count; k++)
        map_some(x + k * dim, columns, b, Z + k * width, dim, width, fours, 1);
}

/* Fill the rows of Z, each followed by `padding`, with x Rᵀ + b, for `count` points x. */
void map_points(const double *x, int64_t count, const double *R, const double *b, int64_t dim, double padding,
                        double *Z)
{
    const int64_t width = padded(dim);
    double columns[MOST_DIM * ROWS_TOGETHER];
    for (int64_t first = 0; first < width; first += ROWS_TOGETHER) {
        const int64_t wide = width - first < ROWS_TOGETHER ? 4 : ROWS_TOGETHER;
        double shift[ROWS_TOGETHER];
        for (int64_t r = 0; r < wide; r++) {
            const int real = first + r < dim;
            shift[r] = real ? b[first + r] : padding;
            for (int64_t a = 0; a < dim; a++)
                columns[a * wide + r] = real ? R[(first + r) * dim + a] : 0.0;
        }
        if (wide == 4)
            map_columns(x, count, columns, shift, Z + first, dim, width, 1);
        else
            map_columns(x, count, columns, shift, Z + first, dim, width, 2);
    }
}
