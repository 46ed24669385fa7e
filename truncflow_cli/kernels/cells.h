/* The points of `general` by cells: which are there, what they sum up to, and the tree that they are the leaves of.

   Points with the same activation pattern in all layers share one affine map x̂ = (x, 1) → z_ℓ in each layer ℓ. So a
   cell enters the field only through sums over its points (THEORY: cells), with weights 1/N_j:

       S = Σ weight x̂ x̂ᵀ,    Y = Σ weight ỹ_j x̂ᵀ.

   Cells whose patterns agree up to layer ℓ share the maps up to layer ℓ+1: they hang under one node of depth ℓ. Nodes
   lie in the order of their patterns, so that all sums are taken in an order that depends on the pattern alone.

   A node has K columns, the images of K inputs under its affine map: of the unit vectors and 0 if points are taken
   together (K = Q+1; the first Q columns are the linear part alone), or of its one point if they are not (K = 1).
   Columns of all nodes of one depth lie side by side, first the first of each, then the second of each, and so on. */

#pragma once

#include <stdint.h>
#include <string.h>

#include "arrays.h"
#include "vector.h"

/* Columns by which a row is longer than it has to be: rows 4 KiB apart would share one place in the cache. */
enum { PADDING = 8 };

/* Entries of a row of Tree.held. */
enum { HELD_DEPTH, HELD_NODE, HELD_ROW, HELD_PIN, HELD_ENTRIES };

/* Return how many entries the code of a cell, or of a point, has. */
INLINE int64_t size_of_code(const Cells *cells)
{
    return cells->code.n[1] * cells->code.n[2];
}

/* Return the first entry in which two codes differ; their size if they do not. */
INLINE int64_t first_difference(const int32_t *a, const int32_t *b, int64_t size)
{
    int64_t k = 0;
    while (k < size && a[k] == b[k])
        k++;
    return k;
}

/* Return the sign of (cell at `place`) − (root, code) in the order of the cells. */
static int compare(const Cells *cells, int64_t place, int64_t root, const int32_t *code)
{
    const int64_t own_root = cells->root.at[place], size = size_of_code(cells);
    if (own_root != root)
        return own_root > root ? 1 : -1;
    const int32_t *own = cells->code.at + place * size;
    const int64_t k = first_difference(own, code, size);
    if (k == size)
        return 0;
    return own[k] > code[k] ? 1 : -1;
}

/* Return the place of a cell, or of the first one after where it would be. */
static int64_t find(const Cells *cells, int64_t root, const int32_t *code)
{
    int64_t low = 0, high = cells->tally.at[LEAVES];
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (compare(cells, middle, root, code) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Return the root that point i hangs under. */
INLINE int64_t root_of(const Cells *cells, int64_t i)
{
    return cells->S.n[0] == 1 ? i : 0;
}

/* Let the cell at `place` have point i (`sign` 1.0), or no longer (-1.0). */
static void count_in(const Cloud *cloud, Cells *cells, int64_t i, int64_t place, double sign)
{
    const int64_t dim = cloud->x.n[1], frame = cells->S.n[0], last = frame - 1, room = cells->S.n[2];
    const double *x = cloud->x.at + i * dim, *target = cloud->target.at + i * dim;
    const double weight = sign * cloud->weight.at[i];
    for (int64_t a = 0; a < frame; a++) {
        const double xa = a == last ? weight : weight * x[a];
        double *sums = cells->S.at + a * frame * room + place;
        for (int64_t c = 0; c < last; c++)
            sums[c * room] += xa * x[c];
        sums[last * room] += xa;
        sums = cells->Y.at + a * room + place;
        for (int64_t q = 0; q < dim; q++)
            sums[q * frame * room] += xa * target[q];
    }
    cells->points.at[place] += sign > 0.0 ? 1 : -1;
    cells->tally.at[UPDATES]++;
}

/* Move what says which cells there are, from `place` on, by one place on (`by` 1) or back (-1), and count them anew. */
static void shift_codes(Cells *cells, int64_t place, int64_t by)
{
    const int64_t size = size_of_code(cells);
    const size_t moved = (size_t)(cells->tally.at[LEAVES] - place);
    int64_t *root = cells->root.at + place, *points = cells->points.at + place;
    int32_t *code = cells->code.at + place * size;
    memmove(root + by, root, moved * sizeof *root);
    memmove(points + by, points, moved * sizeof *points);
    memmove(code + by * size, code, moved * (size_t)size * sizeof *code);
    cells->tally.at[LEAVES] += by;
}

/* Move the cells from `place` on, by one place on (`by` 1) or back (-1). */
static void shift_cells(Cloud *cloud, Cells *cells, int64_t place, int64_t by)
{
    const int64_t moved = cells->tally.at[LEAVES] - place;
    shift_codes(cells, place, by);
    if (moved == 0)
        return;
    const int64_t frame = cells->S.n[0], room = cells->S.n[2], in_S = frame * frame, in_Y = cells->Y.n[0] * frame;
    for (int64_t k = 0; k < in_S + in_Y; k++) {
        double *sums = (k < in_S ? cells->S.at + k * room : cells->Y.at + (k - in_S) * room) + place;
        memmove(sums + by, sums, (size_t)moved * sizeof *sums);
    }
    int64_t *cell = cloud->cell.at, points = cloud->cell.n[0];
    for (int64_t i = 0; i < points; i++)
        cell[i] += cell[i] >= place ? by : 0;
}

/* Let the cell at `place` be the one of this root and code, with no points yet. */
static void name_cell(Cells *cells, int64_t place, int64_t root, const int32_t *code)
{
    const int64_t size = size_of_code(cells);
    cells->root.at[place] = root;
    cells->points.at[place] = 0;
    memcpy(cells->code.at + place * size, code, (size_t)size * sizeof *code);
}

/* Let the sums of `count` cells from `place` on be 0. */
static void clear_sums(Cells *cells, int64_t place, int64_t count)
{
    const int64_t frame = cells->S.n[0], room = cells->S.n[2];
    for (int64_t k = 0; k < frame * frame; k++)
        memset(cells->S.at + k * room + place, 0, (size_t)count * sizeof(double));
    for (int64_t k = 0; k < cells->Y.n[0] * frame; k++)
        memset(cells->Y.at + k * room + place, 0, (size_t)count * sizeof(double));
}

/* Return whether the cell of this root and code, which is at `place` if anywhere, is missing. */
static int is_missing(const Cells *cells, int64_t place, int64_t root, const int32_t *code)
{
    return place == cells->tally.at[LEAVES] || compare(cells, place, root, code) != 0;
}

/* Put point i, which is in no cell, into that of its code; return whether there was none so far. */
static int enter(Cloud *cloud, Cells *cells, int64_t i)
{
    const int32_t *code = cloud->code.at + i * size_of_code(cells);
    const int64_t root = root_of(cells, i), place = find(cells, root, code);
    const int fresh = is_missing(cells, place, root, code);
    if (fresh) {
        shift_cells(cloud, cells, place, 1);
        name_cell(cells, place, root, code);
        clear_sums(cells, place, 1);
    }
    count_in(cloud, cells, i, place, 1.0);
    cloud->cell.at[i] = place;
    return fresh;
}

/* Take point i out of its cell; return whether that is gone now. */
static int leave(Cloud *cloud, Cells *cells, int64_t i)
{
    const int64_t place = cloud->cell.at[i];
    cloud->cell.at[i] = -1;
    count_in(cloud, cells, i, place, -1.0);
    if (cells->points.at[place] > 0)
        return 0;
    shift_cells(cloud, cells, place + 1, -1);
    return 1;
}

/* Find the cells of all points; their sums are left to be made. */
static void find_cells(Cloud *cloud, Cells *cells)
{
    const int64_t points = cloud->x.n[0], size = size_of_code(cells);
    int64_t *cell = cloud->cell.at, *number = cells->points.at;
    double *place_of = cells->S.at; /* nothing is in the sums yet */
    cells->tally.at[LEAVES] = 0;
    /* Cells move while others are found: so each is known by how many there were before it. */
    for (int64_t i = 0; i < points; i++) {
        const int32_t *code = cloud->code.at + i * size;
        const int64_t root = root_of(cells, i), place = find(cells, root, code);
        if (is_missing(cells, place, root, code)) {
            shift_codes(cells, place, 1);
            name_cell(cells, place, root, code);
            number[place] = cells->tally.at[LEAVES] - 1;
        }
        cell[i] = number[place];
    }
    for (int64_t place = 0; place < cells->tally.at[LEAVES]; place++) {
        place_of[number[place]] = (double)place;
        number[place] = 0;
    }
    for (int64_t i = 0; i < points; i++)
        cell[i] = (int64_t)place_of[cell[i]];
}

/* Find the cells of all points, and sum up each from scratch, over its points in their order. */
static void gather_points(Cloud *cloud, Cells *cells)
{
    const int64_t points = cloud->x.n[0], size = size_of_code(cells);
    double *restrict truncated = cells->truncated.at;
    find_cells(cloud, cells);
    clear_sums(cells, 0, cells->tally.at[LEAVES]);
    memset(truncated, 0, sizeof *truncated * (size_t)size);
    for (int64_t i = 0; i < points; i++) {
        const int32_t *code = cloud->code.at + i * size;
        const double inputs = cloud->inputs.at[i];
        count_in(cloud, cells, i, cloud->cell.at[i], 1.0);
        for (int64_t k = 0; k < size; k++)
            truncated[k] += code[k] != UNTRUNCATED ? inputs : 0.0;
    }
    cells->tally.at[UPDATES] = 0;
}

/* List the pinned coordinates of all nodes; with too little room only their number is right. */
static void list_held(const Cells *cells, Tree *tree)
{
    int64_t layers = cells->code.n[1], dim = cells->code.n[2], leaves = cells->tally.at[LEAVES], found = 0;
    int32_t highest = 0;
    for (int64_t k = 0; k < leaves * layers * dim; k++)
        highest = cells->code.at[k] > highest ? cells->code.at[k] : highest;
    for (int64_t depth = layers; depth > 0 && highest >= FIRST_PIN; depth--) {
        const int64_t *nodes = tree->node.at + depth * tree->node.n[1];
        int64_t last = -1;
        for (int64_t leaf = 0; leaf < leaves; leaf++) {
            if (nodes[leaf] == last)
                continue;
            last = nodes[leaf];
            const int32_t *code = cells->code.at + (leaf * layers + depth - 1) * dim;
            for (int64_t r = 0; r < dim; r++) {
                if (code[r] < FIRST_PIN)
                    continue;
                if (found < tree->held.n[0]) {
                    int64_t *held = tree->held.at + found * HELD_ENTRIES;
                    held[HELD_DEPTH] = depth;
                    held[HELD_NODE] = last;
                    held[HELD_ROW] = r;
                    held[HELD_PIN] = code[r] - FIRST_PIN;
                }
                found++;
            }
        }
    }
    tree->tally.at[0] = found;
}

/* Make the tree above the cells anew. */
static void plant(Cells *cells, Tree *tree)
{
    const int64_t layers = cells->code.n[1], dim = cells->code.n[2], size = layers * dim, room = tree->node.n[1];
    const int64_t leaves = cells->tally.at[LEAVES], frame = cells->S.n[0];
    int64_t *nodes = tree->nodes.at, *first = tree->first.at;
    const int64_t *root = cells->root.at;
    memset(nodes, 0, (size_t)(layers + 1) * sizeof *nodes);
    for (int64_t leaf = 0; leaf < leaves; leaf++) {
        const int32_t *code = cells->code.at + leaf * size;
        int64_t depth_of_change = 0;
        if (leaf > 0 && root[leaf] == root[leaf - 1])
            depth_of_change = first_difference(code, code - size, size) / dim + 1;
        for (int64_t depth = depth_of_change; depth <= layers; depth++) {
            const int64_t node = nodes[depth]++;
            if (depth == 0)
                continue;
            tree->above.at[depth * room + node] = nodes[depth - 1] - 1;
            double *open = tree->open.at + depth * dim * room + node;
            for (int64_t r = 0; r < dim; r++)
                open[r * room] = code[(depth - 1) * dim + r] == UNTRUNCATED ? 1.0 : 0.0;
        }
        for (int64_t depth = 0; depth <= layers; depth++)
            tree->node.at[depth * room + leaf] = nodes[depth] - 1;
    }
    cells->tally.at[FRAME] = frame;
    first[0] = 0;
    for (int64_t depth = 0; depth <= layers; depth++)
        first[depth + 1] = first[depth] + frame * nodes[depth];
    cells->tally.at[WIDTH] = first[layers + 1] + PADDING;
    list_held(cells, tree);
}
