/* Taylor series of the flow of Theorem 5.1 (corrected), cell by cell through all layers.

   In the layers' co-moving frames, with b_ℓ = R_ℓ β^(ℓ), M_ℓ = R_{ℓ+1} R_ℓᵀ and u_j = b_L + R_L ỹ_j, a point of
   cluster j has

       forward:   z_1 = R_1 x + b_1,    z_{ℓ+1} = M_ℓ y_ℓ + b_{ℓ+1},    y_ℓ = H_ℓ z_ℓ − b_ℓ
       backward:  w_L = H_L z_L − u_j,  w_ℓ = M_ℓᵀ H_{ℓ+1} w_{ℓ+1}                  (w_ℓ = R_ℓ g_ℓ)

   and the flow is, with means over each cluster summed over clusters,

       b_ℓ' = Ω_ℓ b_ℓ + c_ℓ,   c_ℓ = Σ mean H_ℓ⊥ w_ℓ                                 (5.4), corrected
       R_ℓ' = Ω_ℓ R_ℓ,         Ω_ℓ = −½ Σ mean [H_ℓ, z_ℓ w_ℓᵀ + w_ℓ z_ℓᵀ]             (5.6)
       energy' = Σ_ℓ |c_ℓ|² + ‖Ω_ℓ‖_F².

   Points of one cell have z_ℓ = Z_ℓ x̂ with the same Z_ℓ; their w_ℓ are needed in T_ℓ = Σ weight w_ℓ x̂ᵀ only, where

       T_L = Y_L S − R_L Y,    V_ℓ = Σ H_{ℓ+1} T_{ℓ+1} (over the nodes below),    T_ℓ = M_ℓᵀ V_ℓ,

   Y_ℓ x̂ being y_ℓ, and Σ weight z wᵀ = Z Tᵀ, Σ weight w = the last column of T. Cauchy products so run over the
   columns of nodes, not over points. A pinned coordinate (z_r = 0) has h_r = λ(s), such that z_r stays 0; its
   coefficient of each order solves a linear system, the same one for all orders. */

#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "arrays.h"
#include "cells.h"
#include "products.h"
#include "series.h"
#include "vector.h"

/* The series of all columns of nodes: entry (n, r, c) is at [(n * dim + r) * width + c].

   Z and H have z_ℓ and y_ℓ as the nodes of depth ℓ have them, T and V have T_ℓ and V_ℓ of these; pinned,
   [order][entries][frame], has the rows λ T_r of the coordinates in Tree.held. */
typedef struct Columns {
    double *Z, *H, *T, *V, *pinned;
    int64_t dim, width, entries, frame;
} Columns;

/* Columns that are summed up over at a time. */
enum { STRIP = 96 };
/* From this many nodes below one on, they are summed up along their row. */
enum { MANY_BELOW = 8 };
/* Rows of a tile of Ω, and its columns. */
enum { TILE = 3 };

/* Return the columns: as narrow as there are nodes, for the sake of the cache. */
static Columns columns_of(const Cells *cells, const Tree *tree, const Room *room)
{
    return (Columns){
        room->Z.at, room->H.at, room->T.at, room->V.at, room->pinned.at,
        room->work.n[0], cells->tally.at[WIDTH], tree->tally.at[0], cells->tally.at[FRAME],
    };
}

/* Return where the row of a coordinate of the nodes of a depth says which of them have it untruncated. */
INLINE const double *open_row(const Tree *tree, int64_t depth, int64_t r)
{
    return tree->open.at + (depth * tree->open.n[1] + r) * tree->open.n[2];
}

/* List the coordinates that some node of a depth has untruncated; return how many those are. */
static int64_t list_open(const Tree *tree, int64_t depth, int64_t *list)
{
    const int64_t count = tree->nodes.at[depth];
    int64_t found = 0;
    for (int64_t r = 0; r < tree->open.n[1]; r++) {
        const double *open = open_row(tree, depth, r);
        int64_t node = 0;
        while (node < count && open[node] == 0.0)
            node++;
        list[found] = r;
        found += node < count;
    }
    return found;
}

/* ---- sums of products of small matrices and long rows ------------------------------------------------------------ */

/* B of a sum of products A_0 B_last + ... + A_last B_0, see products.h; only these rows of it are not zero. */
typedef struct { const double *at; int64_t block, row; const int64_t *list; int64_t used; } Rows;

/* A column of an A_m, and the row of B_(last-m) that it is multiplied with. */
typedef struct { const double *a, *b; } Pair;

/* Pairs whose products are summed up at a time: each row is in a page of its own. */
enum { PAIRS = 24 };

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

/* ---- the state --------------------------------------------------------------------------------------------------- */

/* Fill the n-th coefficient of one M_ℓ, for 2 or 3 dimensions: a row is one Four, what follows it coming along. */
INLINE void narrow_product(int64_t n, const double *R, int64_t R_block, const double *Rt, int64_t Rt_block, double *M,
                           int dim)
{
    Four sums[3] = {all_four(0.0), all_four(0.0), all_four(0.0)};
    for (int64_t m = 0; m <= n; m++) {
        const double *left = R + m * R_block, *right = Rt + (n - m) * Rt_block;
        Four line[3];
        for (int a = 0; a < dim; a++) {
            line[a] = all_four(0.0);
            if (m > 0)
                line[a] = four_at(right + a * dim);
            else /* nothing need follow */
                memcpy(&line[a], right + a * dim, dim * sizeof(double));
        }
        for (int i = 0; i < dim; i++)
            for (int a = 0; a < dim; a++)
                sums[i] = multiply_add(all_four(left[i * dim + a]), line[a], sums[i]);
    }
    for (int i = 0; i < dim; i++)
        memcpy(M + i * dim, &sums[i], dim * sizeof(double));
}

/* Fill the n-th coefficients of M_ℓ = R_{ℓ+1} R_ℓᵀ, and of R_ℓᵀ. */
static void products(int64_t n, Course *course)
{
    const int64_t layers = course->b.n[1], dim = course->b.n[2], size = dim * dim;
    const int64_t R_block = layers * size, M_block = course->M.n[1] * size;
    int64_t all[dim];
    for (int64_t a = 0; a < dim; a++)
        all[a] = a;
    for (int64_t l = 0; l + 1 < layers; l++) {
        const double *R = course->R.at + l * size, *R_n = R + n * R_block;
        double *Rt = course->Rt.at + l * size, *Rt_n = Rt + n * M_block, *M_n = course->M.at + n * M_block + l * size;
        for (int64_t a = 0; a < dim; a++)
            for (int64_t j = 0; j < dim; j++)
                Rt_n[a * dim + j] = R_n[j * dim + a];
        if (dim == 3)
            narrow_product(n, R + size, R_block, Rt, M_block, M_n, 3);
        else if (dim == 2)
            narrow_product(n, R + size, R_block, Rt, M_block, M_n, 2);
        else
            fill_products((Left){R + size, R_block, dim, 1}, (Rows){Rt, M_block, dim, all, dim}, M_n, dim, n, dim, dim);
    }
}

/* Fill the (n+1)-th coefficients of one R_ℓ and b_ℓ, for 2 or 3 dimensions: a row is one Four, with b in its end. */
INLINE void narrow_state(int64_t n, Course *course, int64_t l, int dim)
{
    const int64_t layers = course->b.n[1], size = dim * dim;
    Four sums[3] = {all_four(0.0), all_four(0.0), all_four(0.0)};
    for (int64_t m = 0; m <= n; m++) {
        const double *Om = course->Om.at + (m * layers + l) * size;
        const double *R = course->R.at + ((n - m) * layers + l) * size;
        const double *b = course->b.at + ((n - m) * layers + l) * dim;
        Four line[3];
        for (int j = 0; j < dim; j++) {
            line[j] = four_at(R + j * dim);
            line[j][3] = b[j];
        }
        for (int i = 0; i < dim; i++)
            for (int j = 0; j < dim; j++)
                if (j != i)
                    sums[i] = multiply_add(all_four(Om[i * dim + j]), line[j], sums[i]);
    }
    const double scale = 1.0 / (double)(n + 1), *c = course->c.at + (n * layers + l) * dim;
    double *R_next = course->R.at + ((n + 1) * layers + l) * size;
    double *b_next = course->b.at + ((n + 1) * layers + l) * dim;
    for (int i = 0; i < dim; i++) {
        b_next[i] = (sums[i][3] + c[i]) * scale;
        sums[i] *= all_four(scale);
        memcpy(R_next + i * dim, &sums[i], dim * sizeof(double));
    }
}

/* Fill the (n+1)-th coefficients of one R_ℓ and b_ℓ. */
static void wide_state(int64_t n, Course *course, int64_t l)
{
    const int64_t layers = course->b.n[1], dim = course->b.n[2], size = dim * dim, block = layers * size;
    const double *Om = course->Om.at + l * size, *c = course->c.at + (n * layers + l) * dim;
    const double scale = 1.0 / (double)(n + 1);
    double *R = course->R.at + l * size, *R_next = R + (n + 1) * block;
    double *b = course->b.at + l * dim, *b_next = b + (n + 1) * layers * dim;
    int64_t all[dim];
    for (int64_t a = 0; a < dim; a++)
        all[a] = a;
    fill_products((Left){Om, block, dim, 1}, (Rows){R, block, dim, all, dim}, R_next, dim, n, dim, dim);
    for (int64_t k = 0; k < size; k++)
        R_next[k] *= scale;
    for (int64_t i = 0; i < dim; i++) {
        double total = c[i];
        for (int64_t m = 0; m <= n; m++)
            total += along(Om + m * block + i * dim, b + (n - m) * layers * dim, dim);
        b_next[i] = total * scale;
    }
}

/* Fill the (n+1)-th coefficients of R and b, and of M, from the field's coefficients up to n. */
static void next_state(int64_t n, Course *course)
{
    for (int64_t l = 0; l < course->b.n[1]; l++)
        switch (course->b.n[2]) {
        case 2: narrow_state(n, course, l, 2); break;
        case 3: narrow_state(n, course, l, 3); break;
        default: wide_state(n, course, l); break;
        }
    products(n + 1, course);
}

/* Return the greatest |a_k|; infinity if one is not finite. */
static double largest_of(const double *a, int64_t size)
{
    Four greatest = all_four(0.0), strange = all_four(0.0);
    double last = 0.0, odd = 0.0;
    int64_t k = 0;
    for (; k + 4 <= size; k += 4) {
        greatest = greater_of_four(greatest, size_of_four(four_at(a + k)));
        strange += four_at(a + k) * all_four(0.0);
    }
    for (; k < size; k++) {
        last = maximum(fabs(a[k]), last);
        odd += a[k] * 0.0;
    }
    return odd + sum_of_four(strange) == 0.0 ? maximum(last, greatest_of_four(greatest)) : INFINITY;
}

/* Fill the (n+1)-th coefficient of the energy; return the size of those of the state, relative to it. */
static double size_of_order(int64_t n, Course *course, double scale_b, double scale_energy)
{
    const int64_t in_b = course->b.n[1] * course->b.n[2], in_R = in_b * course->b.n[2];
    const double *Om = course->Om.at, *c = course->c.at;
    double power = 0.0;
    for (int64_t m = 0; 2 * m <= n; m++) {
        const int64_t k = n - m;
        power += (m == k ? 1.0 : 2.0) *
                 (along(Om + m * in_R, Om + k * in_R, in_R) + along(c + m * in_b, c + k * in_b, in_b));
    }
    const double energy = power / (double)(n + 1);
    course->energy.at[n + 1] = energy;
    const double in_state = maximum(largest_of(course->R.at + (n + 1) * in_R, in_R),
                                    largest_of(course->b.at + (n + 1) * in_b, in_b) / scale_b);
    return isfinite(energy) ? maximum(in_state, fabs(energy) / scale_energy) : INFINITY;
}

/* ---- forward ----------------------------------------------------------------------------------------------------- */

/* What the n-th coefficients of Z and H of the nodes of a depth are made of. */
typedef struct {
    const double *own; /* the columns that they take from the nodes above */
    const double *shift; /* what is added to the last one of each */
    const double *b; /* what that has less in H */
    double *Z, *H;
    int64_t nodes, count;
} Images;

/* Fill the columns of the four nodes from `node` on. */
INLINE void take_four(const Images *images, const Tree *tree, const Columns *cols, int64_t depth, int64_t node)
{
    const int64_t dim = cols->dim, last = cols->frame - 1, nodes = images->nodes, count = images->count;
    const int64_t *above = tree->above.at + depth * tree->above.n[1] + node;
    const int64_t p0 = above[0], p1 = above[1], p2 = above[2], p3 = above[3];
    for (int64_t r = 0; r < dim; r++) {
        const double *own = images->own + r * cols->width;
        double *Z = images->Z + r * cols->width + node, *H = images->H + r * cols->width + node;
        const Four open = four_at(open_row(tree, depth, r) + node);
        for (int64_t a = 0; a < last; a++, own += nodes, Z += count, H += count) {
            const Four z = {own[p0], own[p1], own[p2], own[p3]};
            put_four(Z, z);
            put_four(H, z * open);
        }
        const Four z = (Four){own[p0], own[p1], own[p2], own[p3]} + all_four(images->shift[r]);
        put_four(Z, z);
        put_four(H, z * open - all_four(images->b[r]));
    }
}

/* Fill the columns of the four nodes from `node` on, each of which is alone under that of the same number. */
INLINE void keep_four(const Images *images, const Tree *tree, const Columns *cols, int64_t depth, int64_t node)
{
    const int64_t dim = cols->dim, last = cols->frame - 1, count = images->count;
    for (int64_t r = 0; r < dim; r++) {
        const double *own = images->own + r * cols->width + node;
        double *Z = images->Z + r * cols->width + node, *H = images->H + r * cols->width + node;
        const Four open = four_at(open_row(tree, depth, r) + node);
        for (int64_t a = 0; a < last; a++, own += count, Z += count, H += count) {
            const Four z = four_at(own);
            put_four(Z, z);
            put_four(H, z * open);
        }
        const Four z = four_at(own) + all_four(images->shift[r]);
        put_four(Z, z);
        put_four(H, z * open - all_four(images->b[r]));
    }
}

/* Fill the columns of one node. */
INLINE void take_one(const Images *images, const Tree *tree, const Columns *cols, int64_t depth, int64_t node)
{
    const int64_t dim = cols->dim, last = cols->frame - 1, nodes = images->nodes, count = images->count;
    const int64_t above = tree->above.at[depth * tree->above.n[1] + node];
    for (int64_t r = 0; r < dim; r++) {
        const double *own = images->own + r * cols->width + above, open = open_row(tree, depth, r)[node];
        double *Z = images->Z + r * cols->width + node, *H = images->H + r * cols->width + node;
        for (int64_t a = 0; a < last; a++) {
            Z[a * count] = own[a * nodes];
            H[a * count] = own[a * nodes] * open;
        }
        const double z = own[last * nodes] + images->shift[r];
        Z[last * count] = z;
        H[last * count] = z * open - images->b[r];
    }
}

/* Fill the n-th coefficients of Z and H of the nodes of a depth. */
static void take_images(const Images *images, const Tree *tree, const Columns *cols, int64_t depth)
{
    const int64_t count = images->count;
    if (count < 4) {
        for (int64_t node = 0; node < count; node++)
            take_one(images, tree, cols, depth, node);
        return;
    }
    /* The last four may overlap those before. */
    if (images->nodes == count)
        for (int64_t node = 0; node < count; node += 4)
            keep_four(images, tree, cols, depth, node + 4 <= count ? node : count - 4);
    else
        for (int64_t node = 0; node < count; node += 4)
            take_four(images, tree, cols, depth, node + 4 <= count ? node : count - 4);
}

/* Fill the n-th coefficients of Z and H at all nodes. What they are taken from is in V, which has it till backward. */
static void forward(int64_t n, const Course *course, const Tree *tree, const Room *room, const Columns *cols)
{
    const int64_t layers = course->b.n[1], dim = cols->dim, width = cols->width, block = dim * width;
    const int64_t M_block = course->M.n[1] * dim * dim;
    double shift[dim];
    int64_t list[dim];
    for (int64_t l = 0; l < layers; l++) {
        const int64_t first = tree->first.at[l], below = tree->first.at[l + 1];
        double *own = cols->V + n * block + first;
        const double *b = course->b.at + (n * layers + l) * dim;
        memcpy(shift, b, dim * sizeof(double));
        if (l == 0) {
            for (int64_t a = 0; a < dim; a++)
                list[a] = a;
            const Left R = {course->R.at + n * layers * dim * dim, 0, dim, 1};
            fill_products(R, (Rows){room->X.at, 0, room->X.n[1], list, dim}, own, width, 0, dim, below - first);
        } else {
            const double *M = course->M.at + (l - 1) * dim * dim;
            const int64_t used = list_open(tree, l, list);
            fill_products((Left){M, M_block, dim, 1}, (Rows){cols->H + first, block, width, list, used}, own, width, n,
                          dim, below - first);
            /* All that is left of y in a coordinate that is nowhere untruncated is b. */
            for (int64_t a = 0, k = 0; a < dim; a++) {
                if (k < used && list[k] == a) {
                    k++;
                    continue;
                }
                for (int64_t m = 0; m <= n; m++) {
                    const double y = course->b.at[((n - m) * layers + l - 1) * dim + a];
                    for (int64_t r = 0; r < dim; r++)
                        shift[r] -= M[m * M_block + r * dim + a] * y;
                }
            }
        }
        const Images images = {
            own, shift, b, cols->Z + n * block + below, cols->H + n * block + below,
            tree->nodes.at[l], tree->nodes.at[l + 1],
        };
        take_images(&images, tree, cols, l + 1);
    }
}

/* ---- backward ---------------------------------------------------------------------------------------------------- */

/* Fill entries of T at four cells, of `rows` coordinates and column c: R, H and T are those of the first of them. */
INLINE void output_four(const double *R, const double *H, const double *S, const double *Y, double *T, int64_t dim,
                        int64_t frame, int64_t room, int64_t leaves, int64_t width, int64_t c, int rows)
{
    Four sums[DOWN];
    for (int r = 0; r < rows; r++)
        sums[r] = all_four(0.0);
    for (int64_t q = 0; q < dim; q++) {
        const Four y = four_at(Y + (q * frame + c) * room);
        for (int r = 0; r < rows; r++)
            sums[r] = multiply_add(all_four(R[r * dim + q]), y, sums[r]);
    }
    for (int r = 0; r < rows; r++)
        sums[r] = -sums[r];
    for (int64_t a = 0; a < frame; a++) {
        const Four s = four_at(S + (a * frame + c) * room);
        for (int r = 0; r < rows; r++)
            sums[r] = multiply_add(four_at(H + r * width + a * leaves), s, sums[r]);
    }
    for (int r = 0; r < rows; r++)
        put_four(T + r * width + c * leaves, sums[r]);
}

/* Fill entries of T at four cells, of at most DOWN coordinates and all columns. */
INLINE void output_rows(const double *R, const double *H, const double *S, const double *Y, double *T, int64_t dim,
                        int64_t frame, int64_t room, int64_t leaves, int64_t width, int64_t rows)
{
    for (int64_t c = 0; c < frame; c++)
        switch (rows) {
        case 1: output_four(R, H, S, Y, T, dim, frame, room, leaves, width, c, 1); break;
        case 2: output_four(R, H, S, Y, T, dim, frame, room, leaves, width, c, 2); break;
        case 3: output_four(R, H, S, Y, T, dim, frame, room, leaves, width, c, 3); break;
        default: output_four(R, H, S, Y, T, dim, frame, room, leaves, width, c, DOWN); break;
        }
}

/* Fill T at one cell. */
static void output_one(const double *R, const double *H, const double *S, const double *Y, double *T, int64_t dim,
                       int64_t frame, int64_t room, int64_t leaves, int64_t width)
{
    for (int64_t r = 0; r < dim; r++)
        for (int64_t c = 0; c < frame; c++) {
            double total = 0.0;
            for (int64_t q = 0; q < dim; q++)
                total -= R[r * dim + q] * Y[(q * frame + c) * room];
            for (int64_t a = 0; a < frame; a++)
                total += H[r * width + a * leaves] * S[(a * frame + c) * room];
            T[r * width + c * leaves] = total;
        }
}

/* Fill the n-th coefficients of T at the cells: Y S − R Y of the last layer. */
static void output(int64_t n, const Course *course, const Cells *cells, const Tree *tree, const Columns *cols)
{
    const int64_t layers = course->b.n[1], dim = cols->dim, frame = cols->frame, width = cols->width;
    const int64_t leaves = cells->tally.at[LEAVES], room = cells->S.n[2];
    const int64_t place = n * dim * width + tree->first.at[layers];
    const double *R = course->R.at + (n * layers + layers - 1) * dim * dim, *S = cells->S.at, *Y = cells->Y.at;
    const double *H = cols->H + place;
    double *T = cols->T + place;
    if (leaves < 4) {
        for (int64_t k = 0; k < leaves; k++)
            output_one(R, H + k, S + k, Y + k, T + k, dim, frame, room, leaves, width);
        return;
    }
    for (int64_t next = 0; next < leaves; next += 4) {
        const int64_t k = next + 4 <= leaves ? next : leaves - 4; /* the last four may overlap those before */
        for (int64_t r = 0; r < dim; r += DOWN)
            output_rows(R + r * dim, H + r * width + k, S + k, Y + k, T + r * width + k, dim, frame, room, leaves,
                        width, dim - r);
    }
}

/* Fill columns of V of one node: the sums over so many nodes below, the first of which `open` and T are of. */
INLINE void sum_below(const double *open, const double *T, double *V, int64_t nodes, int64_t count, int64_t below,
                      int columns)
{
    double sums[4];
    for (int a = 0; a < columns; a++)
        sums[a] = open[0] * T[a * count];
    for (int64_t k = 1; k < below; k++)
        for (int a = 0; a < columns; a++)
            sums[a] += open[k] * T[a * count + k];
    for (int a = 0; a < columns; a++)
        V[a * nodes] = sums[a];
}

/* Fill all columns of V of one node. */
INLINE void sum_all_below(const double *open, const double *T, double *V, int64_t frame, int64_t nodes, int64_t count,
                          int64_t below)
{
    if (below >= MANY_BELOW) {
        for (int64_t a = 0; a < frame; a++)
            V[a * nodes] = along(open, T + a * count, below);
        return;
    }
    for (; frame >= 4; frame -= 4, T += 4 * count, V += 4 * nodes)
        sum_below(open, T, V, nodes, count, below, 4);
    switch (frame) {
    case 3: sum_below(open, T, V, nodes, count, below, 3); break;
    case 2: sum_below(open, T, V, nodes, count, below, 2); break;
    case 1: sum_below(open, T, V, nodes, count, below, 1); break;
    default: break;
    }
}

/* Fill the columns of V of the nodes above a depth, from T of its own. */
static void gather_below(const Tree *tree, const Columns *cols, int64_t depth, const double *T, double *V)
{
    const int64_t dim = cols->dim, frame = cols->frame, width = cols->width;
    const int64_t count = tree->nodes.at[depth], nodes = tree->nodes.at[depth - 1];
    const int64_t *above = tree->above.at + depth * tree->above.n[1];
    if (nodes == count) { /* each is alone */
        for (int64_t r = 0; r < dim; r++) {
            const double *open = open_row(tree, depth, r);
            for (int64_t a = 0; a < frame; a++) {
                const double *restrict from = T + r * width + a * count;
                double *restrict to = V + r * width + a * count;
                for (int64_t node = 0; node < count; node++)
                    to[node] = from[node] * open[node];
            }
        }
        return;
    }
    for (int64_t node = 0, end; node < count; node = end) {
        for (end = node + 1; end < count && above[end] == above[node];)
            end++;
        for (int64_t r = 0; r < dim; r++)
            sum_all_below(open_row(tree, depth, r) + node, T + r * width + node, V + r * width + above[node], frame,
                          nodes, count, end - node);
    }
}

/* Return the sum of what is not open of the last column of nodes. */
static double sum_closed(const double *open, const double *T, int64_t count)
{
    Four sums = all_four(0.0);
    int64_t node = 0;
    for (; node + 4 <= count; node += 4)
        sums = multiply_add(all_four(1.0) - four_at(open + node), four_at(T + node), sums);
    double total = sum_of_four(sums);
    for (; node < count; node++)
        total += (1.0 - open[node]) * T[node];
    return total;
}

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
                sum = (Four)((FourBits)sum & ((FourBits){0, 1, 2, 3} < keep));
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
        turn_strip(tile, n, start, end, first, last, Om, dim, rows, across);                                     \
    }
TURN(2, 0) TURN(3, 0) TURN(1, 3) TURN(2, 3) TURN(3, 3)
static Turn *const TURN_OF[2][TILE] = {{NULL, turn_2_0, turn_3_0}, {turn_1_3, turn_2_3, turn_3_3}};

/* Fill the n-th coefficients of Ω of the layer above nodes of this depth, without the pinned coordinates' λ. */
static void turn_layer(int64_t n, int64_t depth, Course *course, const Tree *tree, const Room *room,
                       const Columns *cols)
{
    const int64_t layers = course->b.n[1], dim = cols->dim, width = cols->width, open_row = room->work.n[1];
    const int64_t from = tree->first.at[depth], to = tree->first.at[depth + 1];
    const int64_t chunk = 2 * dim < PAIRS ? PAIRS / dim : 1;
    double *Om = course->Om.at + (n * layers + depth - 1) * dim * dim;
    memset(Om, 0, dim * dim * sizeof(double));
    for (int64_t first = from; first < to; first += STRIP)
        for (int64_t start = 0; start <= n; start += chunk) {
            const int64_t last = first + STRIP < to ? first + STRIP : to;
            const int64_t end = start + chunk <= n ? start + chunk : n + 1;
            for (int64_t i = 0; i < dim; i += TILE)
                for (int64_t j = 0; j <= i; j += TILE) {
                    const Tile tile = {
                        cols->Z + i * width, cols->T + i * width, cols->Z + j * width, cols->T + j * width,
                        room->work.at + i * open_row, room->work.at + j * open_row, width, open_row, dim * width,
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

/* Add what λ of a pinned coordinate does to V, c and Ω of order n. */
static void hold_entry(int64_t n, int64_t entry, Course *course, const Tree *tree, const Columns *cols,
                       const Held *held)
{
    const int64_t layers = course->b.n[1], dim = cols->dim, width = cols->width, frame = cols->frame;
    const int64_t *at = tree->held.at + entry * HELD_ENTRIES, depth = at[HELD_DEPTH], node = at[HELD_NODE];
    const int64_t r = at[HELD_ROW], pin = at[HELD_PIN], pins = held->lam.n[1];
    const int64_t first = tree->first.at[depth] + node, count = tree->nodes.at[depth];
    const int64_t parent = tree->first.at[depth - 1] + tree->above.at[depth * tree->above.n[1] + node];
    const int64_t block = dim * width, pinned_block = cols->entries * frame;
    double *pinned = cols->pinned + entry * frame, *V = cols->V + n * block + r * width + parent;
    double *Om = course->Om.at + (n * layers + depth - 1) * dim * dim;
    double total = 0.0;
    for (int64_t a = 0; a < frame; a++) {
        const double *T = cols->T + r * width + first + a * count;
        total = 0.0;
        for (int64_t m = 0; m <= n; m++)
            total += held->lam.at[m * pins + pin] * T[(n - m) * block];
        pinned[n * pinned_block + a] = total;
        V[a * tree->nodes.at[depth - 1]] += total;
    }
    course->c.at[(n * layers + depth - 1) * dim + r] -= total;
    for (int64_t j = 0; j < dim; j++) {
        if (j == r)
            continue;
        const double *Z = cols->Z + j * width + first;
        total = 0.0;
        for (int64_t a = 0; a < frame; a++)
            for (int64_t m = 0; m <= n; m++)
                total += pinned[m * pinned_block + a] * Z[(n - m) * block + a * count];
        Om[r * dim + j] -= 0.5 * total;
        Om[j * dim + r] += 0.5 * total;
    }
}

/* Fill the n-th coefficients of T and V at all nodes, and those of c and Ω. */
static void backward(int64_t n, Course *course, const Cells *cells, const Tree *tree, const Room *room,
                     const Columns *cols, const Held *held)
{
    const int64_t layers = course->b.n[1], dim = cols->dim, width = cols->width, block = dim * width;
    const int64_t M_block = course->M.n[1] * dim * dim, entries = tree->tally.at[0];
    int64_t list[dim], entry = 0;
    output(n, course, cells, tree, cols);
    for (int64_t depth = layers; depth > 0; depth--) {
        const int64_t first = tree->first.at[depth], count = tree->nodes.at[depth], start = tree->first.at[depth - 1];
        double *T = cols->T + n * block, *c = course->c.at + (n * layers + depth - 1) * dim;
        gather_below(tree, cols, depth, T + first, cols->V + n * block + start);
        for (int64_t r = 0; r < dim; r++)
            c[r] = sum_closed(open_row(tree, depth, r), T + r * width + first + (cols->frame - 1) * count, count);
        turn_layer(n, depth, course, tree, room, cols);
        for (; entry < entries && tree->held.at[entry * HELD_ENTRIES + HELD_DEPTH] == depth; entry++)
            hold_entry(n, entry, course, tree, cols, held);
        if (depth == 1)
            break;
        int64_t used = list_open(tree, depth, list);
        if (entries > 0)
            for (used = 0; used < dim; used++)
                list[used] = used;
        const Left Mt = {course->M.at + (depth - 2) * dim * dim, M_block, 1, dim};
        fill_products(Mt, (Rows){cols->V + start, block, width, list, used}, T + start, width, n, dim, first - start);
    }
}

/* ---- pins -------------------------------------------------------------------------------------------------------- */

/* Fill the n-th coefficients z[n, k, ℓ] of the point of pin k in all layers. */
static void point_forward(int64_t n, int64_t k, const Course *course, const Cloud *cloud, const Held *held)
{
    const int64_t layers = course->b.n[1], dim = course->b.n[2], size = dim * dim, pins = held->surface.n[0];
    const int64_t i = held->surface.at[3 * k], M_block = course->M.n[1] * size;
    const double *b = course->b.at, *R = course->R.at + n * layers * size, *x = cloud->x.at + i * dim;
    double *z = held->z.at + (n * pins + k) * layers * dim;
    for (int64_t r = 0; r < dim; r++)
        z[r] = b[n * layers * dim + r] + along(R + r * dim, x, dim);
    for (int64_t l = 1; l < layers; l++) {
        const int8_t *side = cloud->pattern.at + (i * layers + l - 1) * dim;
        double y[dim];
        memcpy(z + l * dim, b + (n * layers + l) * dim, dim * sizeof(double));
        for (int64_t m = 0; m <= n; m++) {
            const double *z_m = held->z.at + (((n - m) * pins + k) * layers + l - 1) * dim;
            const double *b_m = b + ((n - m) * layers + l - 1) * dim, *M = course->M.at + m * M_block + (l - 1) * size;
            for (int64_t a = 0; a < dim; a++)
                y[a] = (side[a] == UNTRUNCATED ? z_m[a] : 0.0) - b_m[a];
            for (int64_t r = 0; r < dim; r++)
                z[l * dim + r] += along(M + r * dim, y, dim);
        }
    }
}

/* Choose the n-th coefficients of λ so that z_{n+1} vanishes on the pinned surfaces. */
static void hold_network_pins(int64_t n, const Course *course, const Cloud *cloud, Held *held)
{
    const int64_t layers = course->b.n[1], dim = course->b.n[2], pins = held->surface.n[0];
    for (int64_t k = 0; k < pins; k++)
        point_forward(n + 1, k, course, cloud, held);
    for (int64_t k = 0; k < pins; k++) {
        double total = 0.0;
        for (int64_t j = 0; j < pins; j++) {
            const int64_t l = held->surface.at[3 * j + 1], r = held->surface.at[3 * j + 2];
            total += held->inverse.at[k * pins + j] * held->z.at[(((n + 1) * pins + j) * layers + l) * dim + r];
        }
        held->lam.at[n * pins + k] -= (double)(n + 1) * total;
    }
}

/* ---- the series -------------------------------------------------------------------------------------------------- */

/* Say of each column of the nodes which coordinates are untruncated, in `work`. */
static void spread_open(const Tree *tree, const Room *room, const Columns *cols)
{
    for (int64_t depth = 1; depth < tree->nodes.n[0]; depth++)
        for (int64_t r = 0; r < cols->dim; r++) {
            const double *open = open_row(tree, depth, r);
            const int64_t count = tree->nodes.at[depth];
            double *all = room->work.at + r * room->work.n[1] + tree->first.at[depth];
            for (int64_t a = 0; a < cols->frame; a++)
                memcpy(all + a * count, open, count * sizeof(double));
        }
}

/* Return the columns, with the coefficients of order 0 of the points' coordinates filled in. */
static Columns begin_network(Course *course, const Cloud *cloud, const Cells *cells, const Tree *tree, Room *room,
                             Held *held)
{
    const Columns cols = columns_of(cells, tree, room);
    spread_open(tree, room, &cols);
    products(0, course);
    forward(0, course, tree, room, &cols);
    for (int64_t k = 0; k < held->surface.n[0]; k++)
        point_forward(0, k, course, cloud, held);
    return cols;
}

/* Extend the series, order by order, until they are accurate over `reach`; return the length on which they are.

   Order 0 of course and held->lam hold the state. The length is -1 where the state is not finite. */
static double expand_network(Course *course, const Cloud *cloud, const Cells *cells, const Tree *tree, Room *room,
                             Held *held, double scale_b, double scale_energy, double tolerance, double reach)
{
    const int64_t highest = course->energy.n[0] - 1, pins = held->lam.n[1];
    double size_before = INFINITY, size_earlier = INFINITY, pull_before = INFINITY, h = 0.0;
    const Columns cols = begin_network(course, cloud, cells, tree, room, held);
    for (int64_t n = 0; n < highest; n++) {
        double *lam = held->lam.at + n * pins;
        if (n > 0)
            for (int64_t k = 0; k < pins; k++)
                lam[k] = 0.0;
        backward(n, course, cells, tree, room, &cols, held);
        next_state(n, course);
        if (pins > 0) {
            /* Sliding: with λ_n as it should be, once more. */
            hold_network_pins(n, course, cloud, held);
            backward(n, course, cells, tree, room, &cols, held);
            next_state(n, course);
            for (int64_t k = 0; k < pins; k++)
                point_forward(n + 1, k, course, cloud, held);
        }
        forward(n + 1, course, tree, room, &cols);

        const double largest = size_of_order(n, course, scale_b, scale_energy);
        double pull = 0.0;
        for (int64_t k = 0; k < pins; k++)
            pull = maximum(pull, fabs(lam[k]));
        course->order.at[0] = n + 1;
        if (!isfinite(largest))
            return -1.0;
        if (n >= 1) {
            h = where_accurate(largest, size_before, size_earlier, n, tolerance);
            /* The weights are derivatives of the state, as it were, and converge one order later. */
            if (pull > 0.0)
                h = minimum(h, pow(tolerance / pull, 1.0 / (double)n));
            if (n >= 2 && pull_before > 0.0)
                h = minimum(h, pow(tolerance / pull_before, 1.0 / (double)(n - 1)));
            if (n >= 2 && h >= reach)
                return h;
        }
        size_earlier = size_before;
        size_before = largest;
        pull_before = pull;
    }
    return h;
}

/* Fill R_out (L, Q, Q), orthonormalised, and b_out (L, Q) with the state at t; return the energy. */
static double evaluate_network(const Course *course, double t, double *R_out, double *b_out, double *scratch)
{
    const int64_t layers = course->b.n[1], dim = course->b.n[2], order = course->order.at[0];
    double energy;
    evaluate_rows(course->energy.at, order, 1, t, &energy);
    evaluate_rows(course->b.at, order, layers * dim, t, b_out);
    evaluate_rows(course->R.at, order, layers * dim * dim, t, R_out);
    for (int64_t l = 0; l < layers; l++)
        orthonormalise(R_out + l * dim * dim, dim, scratch);
    return energy;
}
