/* Sums of products of matrices, A_0 B_last + A_1 B_(last-1) + ... + A_last B_0: coefficients of products of series. */

#pragma once

#include "vector.h"

/* Fours in a row of a block that is summed up in registers, and its rows. */
enum { ACROSS = 3, DOWN = 4 };

/* Columns that are summed up over at a time: a strip that stays in the cache. */
enum { STRIP = 96 };
/* Pairs whose products are summed up at a time: each row is in a page of its own. */
enum { PAIRS = 24 };

/* Entry (i, k) of A_m is at[m * block + i * row + k * column]. */
typedef struct { const double *at; int64_t block, row, column; } Left;

/* Row k of B_m is at + m * block + k * row; the only rows that are not zero are the `used` in the list (NULL: the first
   ones). */
typedef struct { const double *at; int64_t block, row; const int64_t *list; int64_t used; } Rows;

void cauchy_product(Left A, Rows B, double *C, int64_t row, int64_t last, int64_t dim, int64_t size);
