/* Sums of products of small matrices and long rows, A_0 B_last + ... + A_last B_0, B having a column a node.

   The rows of C are filled in strips that stay in the cache while all A_m are gone through; within a strip, blocks of
   a few rows and columns are summed up in registers, from so many pairs of a column of A_m and a row of B_(last−m) at a
   time. */

#pragma once

#include <stdint.h>
#include <string.h>

#include "products.h"
#include "vector.h"

/* Columns that are summed up over at a time. */
enum { STRIP = 96 };
/* Pairs whose products are summed up at a time: each row is in a page of its own. */
enum { PAIRS = 24 };

/* B of a sum of products A_0 B_last + ... + A_last B_0, see products.h; only these rows of it are not zero. */
typedef struct { const double *at; int64_t block, row; const int64_t *list; int64_t used; } Rows;

/* A column of an A_m, and the row of B_(last-m) that it is multiplied with. */
typedef struct { const double *a, *b; } Pair;

/* List all rows; return how many there are. */
INLINE int64_t list_rows(int64_t *list, int64_t rows)
{
    for (int64_t k = 0; k < rows; k++)
        list[k] = k;
    return rows;
}

/* Add the products of so many pairs or, if these are the first, write them to rows by 4 across entries of C, in the
   columns from each offset on. The entries of A are those from `a_first` on, a_row apart. */
INLINE void fill_rows(const Pair *pairs, int64_t count, int fresh, int64_t a_first, int64_t a_row, double *C,
                      int64_t row, const int64_t *offset, int rows, int across)
{
    Four sums[DOWN][ACROSS];
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < across; v++)
            sums[i][v] = fresh ? all_four(0.0) : four_at(C + i * row + offset[v]);
    int64_t k = 0;
    do {
        const double *a = pairs[k].a + a_first, *b = pairs[k].b;
        Four line[ACROSS];
        for (int v = 0; v < across; v++)
            line[v] = four_at(b + offset[v]);
        for (int i = 0; i < rows; i++) {
            const Four w = all_four(a[i * a_row]);
            for (int v = 0; v < across; v++)
                sums[i][v] = multiply_add(w, line[v], sums[i][v]);
        }
    } while (++k < count);
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < across; v++)
            put_four(C + i * row + offset[v], sums[i][v]);
}

/* A function of its own for each shape: together they would not fit into the registers. */
typedef void FillRows(const Pair *pairs, int64_t count, int fresh, int64_t a_first, int64_t a_row, double *C,
                      int64_t row, const int64_t *offset);
#define FILL_ROWS(rows, across)                                                                                       \
    static __attribute__((noinline)) void fill_rows_##rows##_##across(const Pair *pairs, int64_t count, int fresh,    \
                                                                      int64_t a_first, int64_t a_row, double *C,      \
                                                                      int64_t row, const int64_t *offset)             \
    {                                                                                                                 \
        fill_rows(pairs, count, fresh, a_first, a_row, C, row, offset, rows, across);                                 \
    }
FILL_ROWS(1, 1) FILL_ROWS(2, 1) FILL_ROWS(3, 1) FILL_ROWS(4, 1)
FILL_ROWS(1, 2) FILL_ROWS(2, 2) FILL_ROWS(3, 2) FILL_ROWS(4, 2)
FILL_ROWS(1, 3) FILL_ROWS(2, 3) FILL_ROWS(3, 3) FILL_ROWS(4, 3)
static FillRows *const FILL_ROWS_OF[ACROSS][DOWN] = {
    {fill_rows_1_1, fill_rows_2_1, fill_rows_3_1, fill_rows_4_1},
    {fill_rows_1_2, fill_rows_2_2, fill_rows_3_2, fill_rows_4_2},
    {fill_rows_1_3, fill_rows_2_3, fill_rows_3_3, fill_rows_4_3},
};

/* Do what fill_rows does for all dim rows, and for columns from `first` on and before `end`, out of `size`. */
static void fill_strip(const Pair *pairs, int64_t count, int fresh, int64_t a_row, double *C, int64_t row, int64_t dim,
                       int64_t first, int64_t end, int64_t size)
{
    int64_t offset[ACROSS], across;
    for (int64_t fours = (end - first + 3) / 4; fours > 0; fours -= across, first += 4 * across) {
        /* The last four may overlap those before if they are of one block, or of another strip. */
        across = fours == ACROSS + 1 ? ACROSS - 1 : fours < ACROSS ? fours : ACROSS;
        for (int64_t v = 0; v < across; v++)
            offset[v] = first + 4 * v <= size - 4 ? first + 4 * v : size - 4;
        for (int64_t i = 0; i < dim; i += DOWN) {
            const int64_t rows = dim - i < DOWN ? dim - i : DOWN;
            FILL_ROWS_OF[across - 1][rows - 1](pairs, count, fresh, i * a_row, a_row, C + i * row, row, offset);
        }
    }
}

/* Fill C (dim, size), for fewer than four columns, see fill_products. */
static void fill_few(Left A, Rows B, double *C, int64_t row, int64_t last, int64_t dim, int64_t size)
{
    for (int64_t i = 0; i < dim; i++) {
        double sums[3] = {0.0, 0.0, 0.0};
        for (int64_t m = 0; m <= last; m++)
            for (int64_t k = 0; k < B.used; k++) {
                const double w = A.at[m * A.block + i * A.row + B.list[k] * A.column];
                const double *b = B.at + (last - m) * B.block + B.list[k] * B.row;
                for (int64_t c = 0; c < size; c++)
                    sums[c] += w * b[c];
            }
        for (int64_t c = 0; c < size; c++)
            C[i * row + c] = sums[c];
    }
}

/* Fill C (dim, size), its rows `row` apart, with the sum over m of A_m B_(last-m). */
static void fill_products(Left A, Rows B, double *C, int64_t row, int64_t last, int64_t dim, int64_t size)
{
    if (size < 4) {
        fill_few(A, B, C, row, last, dim, size);
        return;
    }
    if (B.used == 0) {
        for (int64_t i = 0; i < dim; i++)
            memset(C + i * row, 0, size * sizeof(double));
        return;
    }
    Pair pairs[PAIRS];
    for (int64_t first = 0; first < size; first += STRIP) {
        const int64_t end = size - first < STRIP ? size : first + STRIP;
        int64_t count = 0;
        int fresh = 1;
        for (int64_t m = 0; m <= last; m++) {
            const double *a = A.at + m * A.block, *b = B.at + (last - m) * B.block;
            for (int64_t k = 0; k < B.used; k++) {
                pairs[count++] = (Pair){a + B.list[k] * A.column, b + B.list[k] * B.row};
                if (count < PAIRS && !(m == last && k == B.used - 1))
                    continue;
                fill_strip(pairs, count, fresh, A.row, C, row, dim, first, end, size);
                count = fresh = 0;
            }
        }
    }
}
