/* The moments along a step over many crossings, as polynomials.

   On a step [0, h] the moments m(s), M(s) of the untruncated points are step functions of s, with a jump of one point's
   share 1/N at each crossing. They are replaced by their L²-projection onto polynomials of degree d. That of 1[s > t]
   has the coefficients, in Legendre polynomials P_k of 2s/h − 1 with τ = 2t/h − 1,

       a_0 = ½ (1 − τ),     a_k = ½ (P_{k−1}(τ) − P_{k+1}(τ))

   Batch.m and Batch.M hold the moments along the step: coefficients of the powers of s/h, and in the last block the
   next Legendre coefficient. M is needed with zz-terms only. */

#include "layer.h"

/* How many coefficients of the moments along a step are kept. */
enum { SHARES = DEGREE + 2 };
/* Rows of products of crossings that fit into registers. */
enum { PRODUCT_ROWS = 2 };

/* Legendre polynomials of 2x − 1: row k has the coefficients of xⁿ. */
static const double LEGENDRE[DEGREE + 1][DEGREE + 1] = {
    {1.0},
    {-1.0, 2.0},
    {1.0, -6.0, 6.0},
    {-1.0, 12.0, -30.0, 20.0},
    {1.0, -20.0, 90.0, -140.0, 70.0},
};

/* Let the moments along the step change as fast as they did over the last one. */
void expected_moments(const Moments *moments, double h, int with_zz, Batch *batch)
{
    const int64_t dim = moments->dim;
    const int64_t sizes[2] = {dim * (dim + 1), with_zz ? dim * dim * (dim + 1) : 0};
    double *const along_step[2] = {batch->m, batch->M};
    const double *const rates[2] = {batch->m_rate, batch->M_rate};
    const double *const start[2] = {moments->m, moments->M};
    for (int which = 0; which < 2; which++) {
        const int64_t size = sizes[which];
        memcpy(along_step[which], start[which], sizeof(double) * size);
        for (int64_t k = 0; k < size; k++)
            along_step[which][size + k] = rates[which][k] * h;
        memset(along_step[which] + 2 * size, 0, sizeof(double) * (SHARES - 2) * size);
    }
}

/* Crossings of one row, to be added to the moments: (x, 1), zeros behind it up to `width`, and the shares of each. */
typedef struct { const double *x; int64_t width, size; double (*share)[SHARES]; } Bucket;

/* Add to rows `at`, at + next, of the Legendre coefficients, `block` apart, the sums of share x_a x over four columns
   of x from `first` on, of which `columns` exist; for one row a, or PRODUCT_ROWS from there on. */
INLINE void add_products(Bucket bucket, int64_t a, int64_t first, int rows, int64_t columns, double *at, int64_t next,
                         int64_t block)
{
    Four sums[PRODUCT_ROWS][SHARES];
    for (int i = 0; i < rows; i++)
        for (int n = 0; n < SHARES; n++)
            sums[i][n] = all_four(0.0);
    const double *x = bucket.x;
    for (int64_t k = 0; k < bucket.size; k++, x += bucket.width) {
        const Four here = four_at(x + first);
        Four product[PRODUCT_ROWS];
        for (int i = 0; i < rows; i++)
            product[i] = all_four(x[a + i]) * here;
        for (int n = 0; n < SHARES; n++) {
            const Four w = all_four(bucket.share[k][n]);
            for (int i = 0; i < rows; i++)
                sums[i][n] = multiply_add(w, product[i], sums[i][n]);
        }
    }
    for (int i = 0; i < rows; i++)
        for (int n = 0; n < SHARES; n++) {
            double *place = at + i * next + n * block;
            if (columns >= 4)
                put_four(place, four_at(place) + sums[i][n]);
            else
                for (int v = 0; v < columns; v++)
                    place[v] += sums[i][n][v];
        }
}

/* Add a bucket of row r to the Legendre coefficients of m, and to the right upper half of those of M. */
static void empty_bucket(Bucket bucket, int64_t dim, int64_t r, int with_zz, Batch *batch)
{
    const int64_t columns = dim + 1, block = dim * dim * columns;
    double *m = batch->m + r * columns, *M = batch->M + r * dim * columns;
    for (int64_t first = 0; first < columns; first += 4)
        add_products(bucket, dim, first, 1, columns - first, m + first, 0, dim * columns);
    for (int64_t first = 0; with_zz && first < dim; first += 4) {
        const int64_t rows = first + 4 < dim ? first + 4 : dim, exist = dim - first;
        int64_t a = 0;
        for (; a + PRODUCT_ROWS <= rows; a += PRODUCT_ROWS)
            add_products(bucket, a, first, PRODUCT_ROWS, exist, M + a * columns + first, columns, block);
        if (a < rows)
            add_products(bucket, a, first, 1, exist, M + a * columns + first, columns, block);
    }
}

/* Fill share with the Legendre coefficients of a weight that is there from time t of [0, h] on. */
INLINE void shares_of(double weight, double t, double h, double *share)
{
    double legendre[SHARES + 1];
    const double tau = 2.0 * t / h - 1.0;
    legendre[0] = 1.0;
    legendre[1] = tau;
    for (int n = 1; n < SHARES; n++)
        legendre[n + 1] = ((2 * n + 1) * tau * legendre[n] - n * legendre[n - 1]) * (1.0 / (n + 1));
    share[0] = 0.5 * weight * (1.0 - tau);
    for (int n = 1; n < SHARES; n++)
        share[n] = 0.5 * weight * (legendre[n - 1] - legendre[n + 1]);
}

/* Turn `size` Legendre coefficients each up to d, `block` apart, into those of powers of s/h. */
INLINE void legendre_to_powers(double *at, int64_t size, int64_t block)
{
    int64_t a = 0;
    for (; a + 4 <= size; a += 4)
        for (int n = 0; n <= DEGREE; n++) {
            Four value = all_four(LEGENDRE[n][n]) * four_at(at + n * block + a);
            for (int k = n + 1; k <= DEGREE; k++)
                value = multiply_add(all_four(LEGENDRE[k][n]), four_at(at + k * block + a), value);
            put_four(at + n * block + a, value);
        }
    for (; a < size; a++)
        for (int n = 0; n <= DEGREE; n++) {
            double value = LEGENDRE[n][n] * at[n * block + a];
            for (int k = n + 1; k <= DEGREE; k++)
                value += LEGENDRE[k][n] * at[k * block + a];
            at[n * block + a] = value;
        }
}

/* Turn the Legendre coefficients up to d into those of powers of s/h, and add the moments at the start. */
static void to_powers(const Moments *moments, int with_zz, Batch *batch)
{
    const int64_t dim = moments->dim, columns = dim + 1;
    legendre_to_powers(batch->m, dim * columns, dim * columns);
    add_multiple(batch->m, 1.0, moments->m, dim * columns);
    if (!with_zz)
        return;
    const int64_t block = dim * columns;
    for (int64_t r = 0; r < dim; r++) {
        legendre_to_powers(batch->M + r * block, block, dim * block);
        for (int64_t n = 0; n < SHARES; n++) {
            double *M = batch->M + (n * dim + r) * block;
            if (n == 0)
                add_multiple(M, 1.0, moments->M + r * block, block);
            /* M is symmetric in its first columns, the last of which is m. */
            for (int64_t c = 0; c < dim; c++) {
                for (int64_t a = 0; a < c; a++)
                    M[c * columns + a] = M[a * columns + c];
                M[c * columns + dim] = batch->m[(n * dim + r) * columns + c];
            }
        }
    }
}

/* Project the moments, as these crossings make them, onto polynomials over the step. */
void moments_along(const Points *points, const Moments *moments, const NeighborLists *near, double h, int64_t found,
                          int with_zz, Batch *batch)
{
    const int64_t dim = points->dim, own = points->own, width = padded(dim + 1);
    double *x = batch->bucket, share[BUCKET][SHARES];
    int64_t *waiting = batch->waiting, *sizes = waiting + dim * BUCKET;
    memset(sizes, 0, sizeof *sizes * dim);
    memset(x, 0, sizeof *x * BUCKET * width);
    for (int k = 0; k < BUCKET; k++)
        x[k * width + dim] = 1.0;
    memset(batch->m, 0, sizeof(double) * SHARES * dim * (dim + 1));
    if (with_zz)
        memset(batch->M, 0, sizeof(double) * SHARES * dim * dim * (dim + 1));
    /* Beyond the crossings come those that still wait, row by row. */
    for (int64_t turn = 0; turn < found + dim; turn++) {
        int64_t r = turn - found;
        if (turn < found) {
            const Entry pair = near->pool[batch->entry[turn]];
            if (pair.point >= own)
                continue;
            r = pair.row;
            waiting[r * BUCKET + sizes[r]++] = turn;
            if (sizes[r] < BUCKET)
                continue;
        }
        if (sizes[r] == 0)
            continue;
        const Bucket bucket = {x, width, sizes[r], share};
        for (int64_t k = 0; k < bucket.size; k++) {
            const int64_t crossing = waiting[r * BUCKET + k];
            const int64_t i = near->pool[batch->entry[crossing]].point;
            const double weight = points->weight[i];
            memcpy(x + k * width, points->x + i * dim, sizeof(double) * dim);
            shares_of(batch->side[crossing] == UNTRUNCATED ? weight : -weight, batch->time[crossing], h,
                      share[k]);
        }
        empty_bucket(bucket, dim, r, with_zz, batch);
        sizes[r] = 0;
    }
    to_powers(moments, with_zz, batch);
}
