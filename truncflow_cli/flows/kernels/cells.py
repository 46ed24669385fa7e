"""The points of `general` by cells: which are there, what they sum up to, and the tree that they are the leaves of.

Points with the same activation pattern in all layers share one affine map x̂ = (x, 1) → z_ℓ in each layer ℓ. So a cell
enters the field only through sums over its points (THEORY: cells), with weights 1/N_j:

    S = Σ weight x̂ x̂ᵀ,    Y = Σ weight ỹ_j x̂ᵀ.

Cells whose patterns agree up to layer ℓ share the maps up to layer ℓ+1: they hang under one node of depth ℓ. Nodes lie
in the order of their patterns, so that all sums are taken in an order that depends on the pattern alone.

A node has K columns, the images of K inputs under its affine map: of the unit vectors and 0 if points are taken
together (K = Q+1; the first Q columns are the linear part alone), or of its one point if they are not (K = 1). Columns
of all nodes of one depth lie side by side, first the first of each, then the second of each, and so on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from truncflow_cli.flows.kernels.jit import plain
from truncflow_cli.flows.kernels.separated import UNTRUNCATED

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Entries of ``Cells.tally``: how many cells there are, rank-one updates since all was summed, columns of a node, and
#: columns of all nodes, which is how far rows of ``Columns`` lie apart.
LEAVES, UPDATES, FRAME, WIDTH = range(4)
#: Columns by which a row is longer than it has to be: rows 4 KiB apart would share one place in the cache.
PADDING = 8
#: Code of a coordinate that is pin 0; those of the others follow.
FIRST_PIN = 2


class Cloud(NamedTuple):
    """The points.

    Attributes:
        x: (M, Q) positions.
        length: (M,) |x_i|.
        weight: (M,) share of their cluster.
        inputs: (M,) how many training inputs each stands for.
        target: (M, Q) ỹ of each.
        noise: (M,) rounding error of their coordinates.
        pattern: (M, L, Q) int8, where each coordinate is.
        code: (M, L, Q) the same, with ``FIRST_PIN`` + k for pin k.
        cell: (M,) which cell each is in.
    """

    x: Array
    length: Array
    weight: Array
    inputs: Array
    target: Array
    noise: Array
    pattern: NDArray[np.int8]
    code: NDArray[np.int32]
    cell: Ints


class Cells(NamedTuple):
    """The cells, in the order of their patterns, with room for more.

    Attributes:
        root: (room,) which root each hangs under: 0, or its point if points are not taken together.
        code: (room, L, Q) their patterns, as in ``Cloud``.
        points: (room,) how many points each has.
        S: (K, K, room).
        Y: (Q, K, room).
        tally: see ``LEAVES`` ff.
        truncated: (L, Q) training inputs that are truncated, or pinned, in each coordinate.
    """

    root: Ints
    code: NDArray[np.int32]
    points: Ints
    S: Array
    Y: Array
    tally: Ints
    truncated: Array


class Tree(NamedTuple):
    """The nodes above the cells, for depths 0 (roots) to L (cells).

    Attributes:
        nodes: (L+1,) how many.
        first: (L+2,) where the columns of each depth begin.
        above: (L+1, room) which node of the depth before each hangs under.
        node: (L+1, room) which node each cell hangs under.
        open: (L+1, Q, room) 1.0 where a coordinate of the layer before is untruncated, else 0.0.
        held: (entries, 4) depth, node, coordinate and pin of each pinned coordinate of a node, the deepest first.
        tally: (1,) how many of those there are.
    """

    nodes: Ints
    first: Ints
    above: Ints
    node: Ints
    open: Array
    held: Ints
    tally: Ints


@plain
def compare(cells, place, root, code):
    """Return the sign of (cell at ``place``) − (root, code) in the order of the cells."""
    if cells.root[place] != root:
        return 1 if cells.root[place] > root else -1
    for l in range(code.shape[0]):  # noqa: E741
        for r in range(code.shape[1]):
            difference = cells.code[place, l, r] - code[l, r]
            if difference != 0:
                return difference
    return 0


@plain
def find(cells, root, code):
    """Return the place of a cell, or of the first one after where it would be."""
    low = 0
    high = cells.tally[LEAVES]
    while low < high:
        middle = (low + high) // 2
        if compare(cells, middle, root, code) < 0:
            low = middle + 1
        else:
            high = middle
    return low


@plain
def count_in(cloud, cells, i, place, sign):
    """Let the cell at ``place`` have point i (``sign`` 1.0), or no longer (-1.0)."""
    S, Y, x, target = cells.S, cells.Y, cloud.x, cloud.target
    last = S.shape[0] - 1
    weight = sign * cloud.weight[i]
    for a in range(last + 1):
        xa = weight if a == last else weight * x[i, a]
        for c in range(last):
            S[a, c, place] += xa * x[i, c]
        S[a, last, place] += xa
        for q in range(x.shape[1]):
            Y[q, a, place] += xa * target[i, q]
    cells.points[place] += 1 if sign > 0.0 else -1
    cells.tally[UPDATES] += 1


@plain
def shift_cells(cloud, cells, place, by):
    """Move the cells from ``place`` on, by one place on (``by`` 1) or back (-1)."""
    leaves = cells.tally[LEAVES]
    size = cells.S.shape[0]
    if by > 0:
        for k in range(leaves, place, -1):
            copy_cell(cells, k - 1, k, size)
    else:
        for k in range(place, leaves):
            copy_cell(cells, k, k - 1, size)
    if place < leaves:
        for i in range(cloud.cell.size):
            if cloud.cell[i] >= place:
                cloud.cell[i] += by
    cells.tally[LEAVES] = leaves + by


@plain
def write_code(cells, place, code):
    """Let the cell at ``place`` have this code."""
    for l in range(code.shape[0]):  # noqa: E741
        for r in range(code.shape[1]):
            cells.code[place, l, r] = code[l, r]


@plain
def copy_cell(cells, source, target, size):
    """Write one cell over another."""
    cells.root[target] = cells.root[source]
    cells.points[target] = cells.points[source]
    write_code(cells, target, cells.code[source])
    for a in range(size):
        for c in range(size):
            cells.S[a, c, target] = cells.S[a, c, source]
        for q in range(cells.Y.shape[0]):
            cells.Y[q, a, target] = cells.Y[q, a, source]


@plain
def enter(cloud, cells, i):
    """Put point i, which is in no cell, into that of its code; return whether there was none so far."""
    size = cells.S.shape[0]
    root = i if size == 1 else 0
    place = find(cells, root, cloud.code[i])
    fresh = place == cells.tally[LEAVES] or compare(cells, place, root, cloud.code[i]) != 0
    if fresh:
        shift_cells(cloud, cells, place, np.int64(1))
        cells.root[place] = root
        cells.points[place] = 0
        write_code(cells, place, cloud.code[i])
        for a in range(size):
            for c in range(size):
                cells.S[a, c, place] = 0.0
            for q in range(cells.Y.shape[0]):
                cells.Y[q, a, place] = 0.0
    count_in(cloud, cells, i, place, 1.0)
    cloud.cell[i] = place
    return fresh


@plain
def leave(cloud, cells, i):
    """Take point i out of its cell; return whether that is gone now."""
    place = cloud.cell[i]
    cloud.cell[i] = -1
    count_in(cloud, cells, i, place, -1.0)
    if cells.points[place] > 0:
        return False
    shift_cells(cloud, cells, place + 1, np.int64(-1))
    return True


@plain
def gather_points(cloud, cells):
    """Find the cells of all points, and sum up each from scratch; the rows of ``cloud`` are in their order."""
    cells.tally[LEAVES] = 0
    cells.truncated[:] = 0.0
    cloud.cell[:] = -1
    for i in range(cloud.x.shape[0]):
        enter(cloud, cells, i)
        for l in range(cloud.code.shape[1]):  # noqa: E741
            for r in range(cloud.code.shape[2]):
                if cloud.code[i, l, r] != UNTRUNCATED:
                    cells.truncated[l, r] += cloud.inputs[i]
    cells.tally[UPDATES] = 0


@plain
def plant(cells, tree):
    """Make the tree above the cells anew."""
    leaves = cells.tally[LEAVES]
    layers, dim = cells.code.shape[1], cells.code.shape[2]
    depth_of_change = 0
    tree.nodes[:] = 0
    for leaf in range(leaves):
        if leaf > 0:
            depth_of_change = 0
            if cells.root[leaf] == cells.root[leaf - 1]:
                depth_of_change = 1
                while depth_of_change <= layers and same_layer(cells, leaf, depth_of_change - 1):
                    depth_of_change += 1
        for depth in range(depth_of_change, layers + 1):
            node = tree.nodes[depth]
            tree.nodes[depth] = node + 1
            if depth > 0:
                tree.above[depth, node] = tree.nodes[depth - 1] - 1
                for r in range(dim):
                    tree.open[depth, r, node] = 1.0 if cells.code[leaf, depth - 1, r] == UNTRUNCATED else 0.0
        for depth in range(layers + 1):
            tree.node[depth, leaf] = tree.nodes[depth] - 1
    frame = cells.S.shape[0]
    cells.tally[FRAME] = frame
    tree.first[0] = 0
    for depth in range(layers + 1):
        tree.first[depth + 1] = tree.first[depth] + frame * tree.nodes[depth]
    cells.tally[WIDTH] = tree.first[layers + 1] + PADDING
    list_held(cells, tree)


@plain
def same_layer(cells, leaf, layer):
    """Return whether a cell has the same code as the one before it in this layer."""
    same = True
    for r in range(cells.code.shape[2]):
        same = same and cells.code[leaf, layer, r] == cells.code[leaf - 1, layer, r]
    return same


@plain
def list_held(cells, tree):
    """List the pinned coordinates of all nodes; with too little room only their number is right."""
    layers = cells.code.shape[1]
    found = 0
    for depth in range(layers, 0, -1):
        last = -1
        for leaf in range(cells.tally[LEAVES]):
            node = tree.node[depth, leaf]
            if node == last:
                continue
            last = node
            for r in range(cells.code.shape[2]):
                pin = cells.code[leaf, depth - 1, r] - FIRST_PIN
                if pin < 0:
                    continue
                if found < tree.held.shape[0]:
                    tree.held[found, 0] = depth
                    tree.held[found, 1] = node
                    tree.held[found, 2] = r
                    tree.held[found, 3] = pin
                found += 1
    tree.tally[0] = found
