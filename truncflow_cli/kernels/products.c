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

/* A column of an A_m, and the row of B_(last-m) that it is multiplied with. */
typedef struct { const double *a, *b; } Pair;

/* What is added to C at a time: the products of so many pairs or, without pairs, all of those of A and B, from whose
   rows no list chooses. The first part is not added but written there. */
typedef struct { Left A; Rows B; int64_t last; const Pair *pairs; int64_t count; int is_first; } Part;

/* Add the products of entries of a, `apart` apart, with those of b to the sums. */
INLINE void add_pair(const double *a, int64_t apart, const double *b, const int64_t *offset, Four sums[DOWN][ACROSS],
                     int rows, int across)
{
    Four line[ACROSS];
    for (int v = 0; v < across; v++)
        line[v] = four_at(b + offset[v]);
    for (int i = 0; i < rows; i++) {
        const Four w = all_four(a[i * apart]);
        for (int v = 0; v < across; v++)
            sums[i][v] = multiply_add(w, line[v], sums[i][v]);
    }
}

/* Add a part to rows by 4 across entries of C, from row i0 on, in the columns from each offset on. */
INLINE void fill_block(const Part *part, int64_t i0, double *C, int64_t row, const int64_t *offset, int rows, int across)
{
    const Left A = part->A;
    const Rows B = part->B;
    Four sums[DOWN][ACROSS];
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < across; v++)
            sums[i][v] = part->is_first ? all_four(0.0) : four_at(C + i * row + offset[v]);
    for (int64_t k = 0; k < part->count; k++)
        add_pair(part->pairs[k].a + i0 * A.row, A.row, part->pairs[k].b, offset, sums, rows, across);
    for (int64_t m = 0; !part->pairs && m <= part->last; m++) {
        const double *a = A.at + m * A.block + i0 * A.row, *b = B.at + (part->last - m) * B.block;
        for (int64_t k = 0; k < B.used; k++, a += A.column, b += B.row)
            add_pair(a, A.row, b, offset, sums, rows, across);
    }
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < across; v++)
            put_four(C + i * row + offset[v], sums[i][v]);
}

/* A function of its own for each shape: together they would not fit into the registers. */
typedef void Fill(const Part *part, int64_t i0, double *C, int64_t row, const int64_t *offset);
#define FILL(rows, across)                                                                                            \
    static __attribute__((noinline)) void fill_##rows##_##across(const Part *part, int64_t i0, double *C,             \
                                                                 int64_t row, const int64_t *offset)                  \
    {                                                                                                                 \
        fill_block(part, i0, C, row, offset, rows, across);                                                           \
    }
FILL(1, 1) FILL(2, 1) FILL(3, 1) FILL(4, 1)
FILL(1, 2) FILL(2, 2) FILL(3, 2) FILL(4, 2)
FILL(1, 3) FILL(2, 3) FILL(3, 3) FILL(4, 3)
static Fill *const FILLS[ACROSS][DOWN] = {{fill_1_1, fill_2_1, fill_3_1, fill_4_1},
                                          {fill_1_2, fill_2_2, fill_3_2, fill_4_2},
                                          {fill_1_3, fill_2_3, fill_3_3, fill_4_3}};

/* Add a part to all dim rows of C, in the columns from `first` on and before `end`, out of `size`. */
static void fill_strip(const Part *part, double *C, int64_t row, int64_t dim, int64_t first, int64_t end, int64_t size)
{
    int64_t offset[ACROSS], across;
    for (int64_t fours = (end - first + 3) / 4; fours > 0; fours -= across, first += 4 * across) {
        /* The last four may overlap those before if they are of one block, or of another strip. */
        across = fours == ACROSS + 1 ? ACROSS - 1 : fours < ACROSS ? fours : ACROSS;
        for (int64_t v = 0; v < across; v++)
            offset[v] = first + 4 * v <= size - 4 ? first + 4 * v : size - 4;
        for (int64_t i = 0; i < dim; i += DOWN) {
            const int64_t rows = dim - i < DOWN ? dim - i : DOWN;
            FILLS[across - 1][rows - 1](part, i, C + i * row, row, offset);
        }
    }
}

/* Fill C (dim, size), its rows `row` apart, with the sum over m of A_m B_(last-m). */
void cauchy_product(Left A, Rows B, double *C, int64_t row, int64_t last, int64_t dim, int64_t size)
{
    if (are_few(A, B, C, row, last, dim, size))
        return;
    if (B.row <= STRIP && !B.list) { /* the rows are near one another */
        fill_strip(&(Part){A, B, last, NULL, 0, 1}, C, row, dim, 0, size, size);
        return;
    }
    Pair pairs[PAIRS];
    for (int64_t first = 0; first < size; first += STRIP) {
        Part part = {A, B, last, pairs, 0, 1};
        for (int64_t m = 0; m <= last; m++) {
            const double *a = A.at + m * A.block, *b = B.at + (last - m) * B.block;
            for (int64_t k = 0; k < B.used; k++) {
                const int64_t used = B.list ? B.list[k] : k;
                pairs[part.count++] = (Pair){a + used * A.column, b + used * B.row};
                if (part.count < PAIRS)
                    continue;
                fill_strip(&part, C, row, dim, first, least(first + STRIP, size), size);
                part.count = part.is_first = 0;
            }
        }
        if (part.count > 0 || part.is_first)
            fill_strip(&part, C, row, dim, first, least(first + STRIP, size), size);
    }
}
