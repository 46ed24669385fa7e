/* Sums of products of small matrices, and of small matrices with long rows, see products.h.

   Blocks of a few rows and columns are summed up in registers. Long rows are filled in strips that stay in the cache
   while all A_m are gone through, from so many pairs of a column of A_m and a row of B_(last-m) at a time. */

#include "products.h"

/* Fill C (dim, size) for fewer than four columns. */
INLINE void fill_few(Left A, Rows B, double *C, int64_t row, int64_t last, int64_t dim, int size)
{
    for (int64_t i = 0; i < dim; i++, A.at += A.row, C += row) {
        double sums[3] = {0.0, 0.0, 0.0};
        for (int64_t m = 0; m <= last; m++) {
            const double *a = A.at + m * A.block, *b = B.at + (last - m) * B.block;
            for (int64_t n = 0; n < B.used; n++) {
                const int64_t k = B.list ? B.list[n] : n;
                for (int c = 0; c < size; c++)
                    sums[c] += a[k * A.column] * b[k * B.row + c];
            }
        }
        for (int c = 0; c < size; c++)
            C[c] = sums[c];
    }
}

/* The same, by how many columns there are; return whether there are so few. */
static int are_few(Left A, Rows B, double *C, int64_t row, int64_t last, int64_t dim, int64_t size)
{
    switch (size) {
    case 1: fill_few(A, B, C, row, last, dim, 1); return 1;
    case 2: fill_few(A, B, C, row, last, dim, 2); return 1;
    case 3: fill_few(A, B, C, row, last, dim, 3); return 1;
    default: return 0;
    }
}

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

/* Fill C (rows, columns) with the sum over m of A_m B_(last-m), where A_m is (rows, inner), B_m (inner, columns). */
void cauchy_product(Left A, const double *B, double *C, int64_t last, int64_t rows, int64_t inner, int64_t columns)
{
    if (are_few(A, (Rows){B, inner * columns, columns, NULL, inner}, C, columns, last, rows, columns))
        return;
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

/* A column of an A_m, and the row of B_(last-m) that it is multiplied with. */
typedef struct { const double *a, *b; } Pair;

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

/* Fill C (dim, size), its rows `row` apart, with the sum over m of A_m B_(last-m). */
void wide_product(Left A, Rows B, double *C, int64_t row, int64_t last, int64_t dim, int64_t size)
{
    if (are_few(A, B, C, row, last, dim, size))
        return;
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
                const int64_t used = B.list ? B.list[k] : k;
                pairs[count++] = (Pair){a + used * A.column, b + used * B.row};
                if (count < PAIRS && !(m == last && k == B.used - 1))
                    continue;
                fill_strip(pairs, count, fresh, A.row, C, row, dim, first, end, size);
                count = fresh = 0;
            }
        }
    }
}
