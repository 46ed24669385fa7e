/* Products of small matrices, in registers: blocks of four rows by twelve columns. */

#pragma once

#include "vector.h"

/* Fours in a row of a block, and its rows. */
enum { ACROSS = 3, DOWN = 4 };

/* Where a sum of products A_0 B_last + A_1 B_(last-1) + ... + A_last B_0 has its factors: entry (i, k) of A_m is
   at[m * block + i * row + k * column]; rows of B, and of the result, are contiguous. */
typedef struct { const double *at; int64_t block, row, column; } Left;

/* Fill rows by 4 across entries of C, in the columns from each offset on, with the sum over m of A_m B_(last-m). */
INLINE void fill_block(Left A, const double *B, double *C, int64_t last, int64_t inner, int64_t columns,
                       const int64_t *offset, int rows, int across)
{
    Four sums[DOWN][ACROSS];
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < across; v++)
            sums[i][v] = all_four(0.0);
    for (int64_t m = 0; m <= last; m++) {
        const double *a = A.at + m * A.block;
        const double *b = B + (last - m) * inner * columns;
        for (int64_t k = 0; k < inner; k++, a += A.column, b += columns) {
            Four line[ACROSS];
            for (int v = 0; v < across; v++)
                line[v] = four_at(b + offset[v]);
            for (int i = 0; i < rows; i++) {
                const Four w = all_four(a[i * A.row]);
                for (int v = 0; v < across; v++)
                    sums[i][v] = multiply_add(w, line[v], sums[i][v]);
            }
        }
    }
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < across; v++)
            put_four(C + i * columns + offset[v], sums[i][v]);
}

/* A function of its own for each shape: together they would not fit into the registers. */
typedef void Fill(Left A, const double *B, double *C, int64_t last, int64_t inner, int64_t columns,
                  const int64_t *offset);
#define FILL(rows, across)                                                                                            \
    static __attribute__((noinline)) void fill_##rows##_##across(Left A, const double *B, double *C, int64_t last,    \
                                                                 int64_t inner, int64_t columns,                      \
                                                                 const int64_t *offset)                               \
    {                                                                                                                 \
        fill_block(A, B, C, last, inner, columns, offset, rows, across);                                              \
    }
FILL(1, 1) FILL(2, 1) FILL(3, 1) FILL(4, 1)
FILL(1, 2) FILL(2, 2) FILL(3, 2) FILL(4, 2)
FILL(1, 3) FILL(2, 3) FILL(3, 3) FILL(4, 3)
static Fill *const FILLS[ACROSS][DOWN] = {{fill_1_1, fill_2_1, fill_3_1, fill_4_1},
                                          {fill_1_2, fill_2_2, fill_3_2, fill_4_2},
                                          {fill_1_3, fill_2_3, fill_3_3, fill_4_3}};

/* The same for fewer than four columns. */
INLINE void fill_narrow(Left A, const double *B, double *C, int64_t last, int64_t rows, int64_t inner, int columns)
{
    for (int64_t i = 0; i < rows; i++, A.at += A.row) {
        double sums[3] = {0.0, 0.0, 0.0};
        for (int64_t m = 0; m <= last; m++) {
            const double *a = A.at + m * A.block;
            const double *b = B + (last - m) * inner * columns;
            for (int64_t k = 0; k < inner; k++, a += A.column, b += columns)
                for (int j = 0; j < columns; j++)
                    sums[j] += *a * b[j];
        }
        for (int j = 0; j < columns; j++)
            C[i * columns + j] = sums[j];
    }
}

/* Fill C (rows, columns) with the sum over m of A_m B_(last-m), where A_m is (rows, inner), B_m (inner, columns). */
static void cauchy_product(Left A, const double *B, double *C, int64_t last, int64_t rows, int64_t inner,
                           int64_t columns)
{
    switch (columns) {
    case 1: fill_narrow(A, B, C, last, rows, inner, 1); return;
    case 2: fill_narrow(A, B, C, last, rows, inner, 2); return;
    case 3: fill_narrow(A, B, C, last, rows, inner, 3); return;
    default: break;
    }
    for (int64_t first = 0; first < columns; first += 4 * ACROSS) {
        /* The last four columns may be among those before. */
        const int64_t fours = columns - first < 4 * ACROSS ? (columns - first + 3) / 4 : ACROSS;
        int64_t offset[ACROSS];
        for (int64_t v = 0; v < fours; v++)
            offset[v] = first + 4 * v < columns - 4 ? first + 4 * v : columns - 4;
        Left from = A;
        for (int64_t i = 0; i < rows; i += DOWN, from.at += DOWN * A.row) {
            const int64_t down = rows - i < DOWN ? rows - i : DOWN;
            FILLS[fours - 1][down - 1](from, B, C + i * columns, last, inner, columns, offset);
        }
    }
}
