/* The points' coordinates in all layers, forward: the n-th coefficients of Z and H at all nodes.

   With Y_ℓ x̂ = y_ℓ, X the columns of the inputs, and (b) the matrix with b in its last column and zeros elsewhere,

       Z_1 = R_1 X + (b_1),    Y_ℓ = H_ℓ Z_ℓ − (b_ℓ),    Z_{ℓ+1} = M_ℓ Y_ℓ + (b_{ℓ+1}).

   The product is formed once for each node that has others below it, then taken by all of those. A row of Y_ℓ that is
   truncated at all nodes of a depth is −b alone: it is left out of the product, and added to the shift instead. */

#pragma once

#include <stdint.h>
#include <string.h>

#include "arrays.h"
#include "cellproducts.h"
#include "columns.h"
#include "vector.h"

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
            const int64_t used = list_rows(list, dim);
            const Left R = {course->R.at + n * layers * dim * dim, 0, dim, 1};
            fill_products(R, (Rows){room->X.at, 0, room->X.n[1], list, used}, own, width, 0, dim, below - first);
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
