/* The series of all points at once, as the columns of the nodes of cells.h.

   Points of one cell have z_ℓ = Z_ℓ x̂ with the same Z_ℓ, x̂ = (x, 1); their w_ℓ are needed in T_ℓ = Σ weight w_ℓ x̂ᵀ
   only, see cellseries.h. So products of series run over the columns of nodes, not over points. Row r of all nodes of
   one depth is contiguous, those of different depths lie one behind the other. */

#pragma once

#include <stdint.h>
#include <string.h>

#include "arrays.h"
#include "vector.h"

/* The series of all columns of nodes: entry (n, r, c) is at [(n * dim + r) * width + c].

   Z and H have z_ℓ and y_ℓ as the nodes of depth ℓ have them, T and V have T_ℓ and V_ℓ of these; pinned,
   [order][entries][frame], has the rows λ T_r of the coordinates in Tree.held. */
typedef struct Columns {
    double *Z, *H, *T, *V, *pinned;
    int64_t dim, width, entries, frame;
} Columns;

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
