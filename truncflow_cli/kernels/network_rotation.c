/* Ω_ℓ of one layer, from the series of Z and T at the nodes below it.

   As Σ weight z wᵀ = Z Tᵀ over the points of a region, (5.6) is a sum over the columns c of all nodes of a depth,

       Ω_ij = −½ Σ_c (h_i − h_j) (Z_ic T_jc + Z_jc T_ic),

   each product one of series. It is taken tile by tile, a few rows i and j at a time, so that what these have in common
   is read once, in strips of columns that stay in the cache. */

#include "network.h"
#include "products.h"

/* Rows of a tile of Ω, and its columns. */
enum { TILE = 3 };

/* The rows of a tile of Ω: series of z and w of its rows and columns, and which of both are open. */
typedef struct { const double *z_i, *w_i, *z_j, *w_j, *open_i, *open_j; int64_t row, open_row, block; } Tile;

/* Add to totals the sums over four columns of (h_i − h_j) (z_i w_j + z_j w_i), of the orders from `start` on and before
   `end` of z, for i in rows and j in `across` others or, if that is 0, for j < i in rows. Only the first `keep` of the
   columns count. */
INLINE void turn_block(const Tile *tile, int64_t n, int64_t start, int64_t end, int64_t c, int64_t keep,
                       Four totals[TILE][TILE], int rows, int across)
{
    Four sums[TILE][TILE], others[TILE][TILE];
    const int triangle = across == 0;
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < (triangle ? i : across); j++)
            sums[i][j] = others[i][j] = all_four(0.0);
    const double *z_i = tile->z_i + start * tile->block + c, *w_i = tile->w_i + (n - start) * tile->block + c;
    const double *z_j = tile->z_j + start * tile->block + c, *w_j = tile->w_j + (n - start) * tile->block + c;
    int64_t m = start;
    do {
        Four z[TILE], w[TILE];
        for (int j = 0; j < (triangle ? rows : across); j++) {
            z[j] = four_at(z_j + j * tile->row);
            w[j] = four_at(w_j + j * tile->row);
        }
        for (int i = 0; i < rows; i++) {
            const Four own_z = triangle ? z[i] : four_at(z_i + i * tile->row);
            const Four own_w = triangle ? w[i] : four_at(w_i + i * tile->row);
            for (int j = 0; j < (triangle ? i : across); j++) {
                sums[i][j] = multiply_add(own_z, w[j], sums[i][j]);
                if (triangle) /* there are few sums, so that none should wait for another */
                    others[i][j] = multiply_add(z[j], own_w, others[i][j]);
                else
                    sums[i][j] = multiply_add(z[j], own_w, sums[i][j]);
            }
        }
        z_i += tile->block;
        z_j += tile->block;
        w_i -= tile->block;
        w_j -= tile->block;
    } while (++m < end);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < (triangle ? i : across); j++) {
            const Four jump =
                four_at(tile->open_i + i * tile->open_row + c) - four_at(tile->open_j + j * tile->open_row + c);
            Four sum = triangle ? sums[i][j] + others[i][j] : sums[i][j];
            if (keep < 4) /* what follows need not be numbers */
                sum = (Four)((Wholes)sum & ((Wholes){0, 1, 2, 3} < keep));
            totals[i][j] = multiply_add(jump, sum, totals[i][j]);
        }
}

/* Add to Om, whose rows are dim apart, what turn_block does over all columns from `first` on and before `last`. */
INLINE void turn_strip(const Tile *tile, int64_t n, int64_t start, int64_t end, int64_t first, int64_t last, double *Om,
                       int64_t dim, int rows, int across)
{
    Four totals[TILE][TILE];
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < (across == 0 ? i : across); j++)
            totals[i][j] = all_four(0.0);
    int64_t c = first;
    for (; c + 4 <= last; c += 4)
        turn_block(tile, n, start, end, c, 4, totals, rows, across);
    if (c < last)
        turn_block(tile, n, start, end, c, last - c, totals, rows, across);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < (across == 0 ? i : across); j++)
            Om[i * dim + j] += sum_of_four(totals[i][j]);
}

/* A function of its own for each shape. */
typedef void Turn(const Tile *tile, int64_t n, int64_t start, int64_t end, int64_t first, int64_t last, double *Om,
                  int64_t dim);
#define TURN(rows, across)                                                                                            \
    static __attribute__((noinline)) void turn_##rows##_##across(const Tile *tile, int64_t n, int64_t start,          \
                                                                 int64_t end, int64_t first, int64_t last,            \
                                                                 double *Om, int64_t dim)                             \
    {                                                                                                                 \
        turn_strip(tile, n, start, end, first, last, Om, dim, rows, across);                                          \
    }
TURN(2, 0) TURN(3, 0) TURN(1, 3) TURN(2, 3) TURN(3, 3)
static Turn *const TURN_OF[2][TILE] = {{NULL, turn_2_0, turn_3_0}, {turn_1_3, turn_2_3, turn_3_3}};

/* Fill the n-th coefficients of Ω of the layer above nodes of this depth, without the pinned coordinates' λ. */
void rotate_layer(int64_t n, int64_t depth, Network *net)
{
    const int64_t layers = net->layers, dim = net->dim, width = net->regions.width, open_row = net->columns.work_row;
    const int64_t from = net->tree.first[depth], to = net->tree.first[depth + 1];
    const int64_t chunk = 2 * dim < PAIRS ? PAIRS / dim : 1;
    double *Om = net->field.Om + (n * layers + depth - 1) * dim * dim;
    const double *Z = net->columns.Z, *T = net->columns.T, *work = net->columns.work;
    memset(Om, 0, dim * dim * sizeof(double));
    for (int64_t first = from; first < to; first += STRIP)
        for (int64_t start = 0; start <= n; start += chunk) {
            const int64_t last = first + STRIP < to ? first + STRIP : to;
            const int64_t end = start + chunk <= n ? start + chunk : n + 1;
            for (int64_t i = 0; i < dim; i += TILE)
                for (int64_t j = 0; j <= i; j += TILE) {
                    const Tile tile = {
                        Z + i * width, T + i * width, Z + j * width, T + j * width,
                        work + i * open_row, work + j * open_row, width, open_row, dim * width,
                    };
                    const int64_t rows = dim - i < TILE ? dim - i : TILE;
                    Turn *const turn = TURN_OF[j < i][rows - 1];
                    if (turn) /* there are two coordinates to turn into one another */
                        turn(&tile, n, start, end, first, last, Om + i * dim + j, dim);
                }
        }
    for (int64_t i = 0; i < dim; i++)
        for (int64_t j = 0; j < i; j++) {
            Om[i * dim + j] *= -0.5;
            Om[j * dim + i] = -Om[i * dim + j];
        }
}
