/* The points of `general` by activation region: which are there, what they sum up to, and the tree above them.

   Points with the same activation pattern in all layers share one affine map x̂ = (x, 1) → z_ℓ in each layer ℓ. So a
   region enters the field only through sums over its points (THEORY: net), with weights 1/N_j:

       S = Σ weight x̂ x̂ᵀ,    Y = Σ weight ỹ_j x̂ᵀ.

   Regions whose patterns agree up to layer ℓ share the maps up to layer ℓ+1: they hang under one node of depth ℓ. Nodes
   lie in the order of their patterns, so that all sums are taken in an order that depends on the pattern alone.

   A node has K columns, the images of K inputs under its affine map: of the unit vectors and 0 if points are taken
   together (K = Q+1; the first Q columns are the linear part alone), or of its one point if they are not (K = 1).
   Columns of all nodes of one depth lie side by side, first the first of each, then the second of each, and so on.

   So products of series run over the columns of nodes, not over points. Row r of all nodes of one depth is contiguous,
   those of different depths lie one behind the other. */

#include "network.h"

/* Return how many entries the code of a region, or of a point, has. */
INLINE int64_t size_of_code(const Network *net)
{
    return net->layers * net->dim;
}

/* Return the first entry in which two codes differ; their size if they do not. */
INLINE int64_t first_difference(const int32_t *a, const int32_t *b, int64_t size)
{
    int64_t k = 0;
    while (k < size && a[k] == b[k])
        k++;
    return k;
}

/* Return the sign of (region at `place`) − (root, code) in the order of the regions. */
static int compare(const Network *net, int64_t place, int64_t root, const int32_t *code)
{
    const int64_t own_root = net->regions.root[place], size = size_of_code(net);
    if (own_root != root)
        return own_root > root ? 1 : -1;
    const int32_t *own = net->regions.code + place * size;
    const int64_t k = first_difference(own, code, size);
    if (k == size)
        return 0;
    return own[k] > code[k] ? 1 : -1;
}

/* Return the place of a region, or of the first one after where it would be. */
static int64_t find(const Network *net, int64_t root, const int32_t *code)
{
    int64_t low = 0, high = net->regions.count;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (compare(net, middle, root, code) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Return the root that point i hangs under. */
INLINE int64_t root_of(const Network *net, int64_t i)
{
    return net->regions.frame == 1 ? i : 0;
}

/* Let the region at `place` have point i (`sign` 1.0), or no longer (-1.0). */
static void count_in(Network *net, int64_t i, int64_t place, double sign)
{
    const int64_t dim = net->dim, frame = net->regions.frame, last = frame - 1, apart = net->regions.room;
    const double *x = net->points.x + i * dim, *target = net->points.target + i * dim;
    const double weight = sign * net->points.weight[i];
    for (int64_t a = 0; a < frame; a++) {
        const double xa = a == last ? weight : weight * x[a];
        double *sums = net->regions.S + a * frame * apart + place;
        for (int64_t c = 0; c < last; c++)
            sums[c * apart] += xa * x[c];
        sums[last * apart] += xa;
        sums = net->regions.Y + a * apart + place;
        for (int64_t q = 0; q < dim; q++)
            sums[q * frame * apart] += xa * target[q];
    }
    net->regions.points[place] += sign > 0.0 ? 1 : -1;
    net->regions.updates++;
}

/* Move what says which regions there are, from `place` on, by one place on (`by` 1) or back (-1); count them anew. */
static void shift_codes(Network *net, int64_t place, int64_t by)
{
    const int64_t size = size_of_code(net);
    const size_t moved = (size_t)(net->regions.count - place);
    int64_t *root = net->regions.root + place, *points = net->regions.points + place;
    int32_t *code = net->regions.code + place * size;
    memmove(root + by, root, moved * sizeof *root);
    memmove(points + by, points, moved * sizeof *points);
    memmove(code + by * size, code, moved * (size_t)size * sizeof *code);
    net->regions.count += by;
}

/* Move the regions from `place` on, by one place on (`by` 1) or back (-1). */
static void shift_regions(Network *net, int64_t place, int64_t by)
{
    const int64_t moved = net->regions.count - place;
    shift_codes(net, place, by);
    if (moved == 0)
        return;
    const int64_t frame = net->regions.frame, apart = net->regions.room, in_S = frame * frame, in_Y = net->dim * frame;
    for (int64_t k = 0; k < in_S + in_Y; k++) {
        double *sums = (k < in_S ? net->regions.S + k * apart : net->regions.Y + (k - in_S) * apart) + place;
        memmove(sums + by, sums, (size_t)moved * sizeof *sums);
    }
    int64_t *region = net->points.region, points = net->points.size;
    for (int64_t i = 0; i < points; i++)
        region[i] += region[i] >= place ? by : 0;
}

/* Let the region at `place` be the one of this root and code, with no points yet. */
static void name_region(Network *net, int64_t place, int64_t root, const int32_t *code)
{
    const int64_t size = size_of_code(net);
    net->regions.root[place] = root;
    net->regions.points[place] = 0;
    memcpy(net->regions.code + place * size, code, (size_t)size * sizeof *code);
}

/* Let the sums of `count` regions from `place` on be 0. */
static void clear_sums(Network *net, int64_t place, int64_t count)
{
    const int64_t frame = net->regions.frame, apart = net->regions.room;
    for (int64_t k = 0; k < frame * frame; k++)
        memset(net->regions.S + k * apart + place, 0, (size_t)count * sizeof(double));
    for (int64_t k = 0; k < net->dim * frame; k++)
        memset(net->regions.Y + k * apart + place, 0, (size_t)count * sizeof(double));
}

/* Return whether the region of this root and code, which is at `place` if anywhere, is missing. */
static int is_missing(const Network *net, int64_t place, int64_t root, const int32_t *code)
{
    return place == net->regions.count || compare(net, place, root, code) != 0;
}

/* Put point i, which is in no region, into that of its code; return whether there was none so far. */
int enter(Network *net, int64_t i)
{
    const int32_t *code = net->points.code + i * size_of_code(net);
    const int64_t root = root_of(net, i), place = find(net, root, code);
    const int fresh = is_missing(net, place, root, code);
    if (fresh) {
        shift_regions(net, place, 1);
        name_region(net, place, root, code);
        clear_sums(net, place, 1);
    }
    count_in(net, i, place, 1.0);
    net->points.region[i] = place;
    return fresh;
}

/* Take point i out of its region; return whether that is gone now. */
int leave(Network *net, int64_t i)
{
    const int64_t place = net->points.region[i];
    net->points.region[i] = -1;
    count_in(net, i, place, -1.0);
    if (net->regions.points[place] > 0)
        return 0;
    shift_regions(net, place + 1, -1);
    return 1;
}

/* Find the regions of all points; their sums are left to be made. */
static void find_regions(Network *net)
{
    const int64_t points = net->points.size, size = size_of_code(net);
    int64_t *region = net->points.region, *number = net->regions.points;
    double *place_of = net->regions.S; /* nothing is in the sums yet */
    net->regions.count = 0;
    /* Regions move while others are found: so each is known by how many there were before it. */
    for (int64_t i = 0; i < points; i++) {
        const int32_t *code = net->points.code + i * size;
        const int64_t root = root_of(net, i), place = find(net, root, code);
        if (is_missing(net, place, root, code)) {
            shift_codes(net, place, 1);
            name_region(net, place, root, code);
            number[place] = net->regions.count - 1;
        }
        region[i] = number[place];
    }
    for (int64_t place = 0; place < net->regions.count; place++) {
        place_of[number[place]] = (double)place;
        number[place] = 0;
    }
    for (int64_t i = 0; i < points; i++)
        region[i] = (int64_t)place_of[region[i]];
}

/* Find the regions of all points, and sum up each from scratch, over its points in their order. */
static void gather_points(Network *net)
{
    const int64_t points = net->points.size, size = size_of_code(net);
    double *truncated = net->regions.truncated;
    find_regions(net);
    clear_sums(net, 0, net->regions.count);
    memset(truncated, 0, sizeof *truncated * (size_t)size);
    for (int64_t i = 0; i < points; i++) {
        const int32_t *code = net->points.code + i * size;
        const double inputs = net->points.inputs[i];
        count_in(net, i, net->points.region[i], 1.0);
        for (int64_t k = 0; k < size; k++)
            truncated[k] += code[k] != UNTRUNCATED ? inputs : 0.0;
    }
    net->regions.updates = 0;
}

/* List the pinned coordinates of all nodes; with too little room only their number is right. */
static void list_held(Network *net)
{
    int64_t layers = net->layers, dim = net->dim, leaves = net->regions.count, found = 0;
    int32_t highest = 0;
    for (int64_t k = 0; k < leaves * layers * dim; k++)
        highest = net->regions.code[k] > highest ? net->regions.code[k] : highest;
    for (int64_t depth = layers; depth > 0 && highest >= FIRST_PIN; depth--) {
        const int64_t *nodes = net->tree.node + depth * net->tree.room;
        int64_t last = -1;
        for (int64_t leaf = 0; leaf < leaves; leaf++) {
            if (nodes[leaf] == last)
                continue;
            last = nodes[leaf];
            const int32_t *code = net->regions.code + (leaf * layers + depth - 1) * dim;
            for (int64_t r = 0; r < dim; r++) {
                if (code[r] < FIRST_PIN)
                    continue;
                if (found < net->tree.held_room)
                    net->tree.held[found] = (HeldEntry){depth, last, r, code[r] - FIRST_PIN};
                found++;
            }
        }
    }
    net->tree.held_count = found;
}

/* Make the tree above the regions anew. */
void make_tree(Network *net)
{
    const int64_t layers = net->layers, dim = net->dim, size = layers * dim, apart = net->tree.room;
    const int64_t leaves = net->regions.count, frame = net->regions.frame;
    int64_t *nodes = net->tree.nodes, *first = net->tree.first;
    const int64_t *root = net->regions.root;
    memset(nodes, 0, (size_t)(layers + 1) * sizeof *nodes);
    for (int64_t leaf = 0; leaf < leaves; leaf++) {
        const int32_t *code = net->regions.code + leaf * size;
        int64_t depth_of_change = 0;
        if (leaf > 0 && root[leaf] == root[leaf - 1])
            depth_of_change = first_difference(code, code - size, size) / dim + 1;
        for (int64_t depth = depth_of_change; depth <= layers; depth++) {
            const int64_t node = nodes[depth]++;
            if (depth == 0)
                continue;
            net->tree.above[depth * apart + node] = nodes[depth - 1] - 1;
            double *open = net->tree.open + depth * dim * apart + node;
            for (int64_t r = 0; r < dim; r++)
                open[r * apart] = code[(depth - 1) * dim + r] == UNTRUNCATED ? 1.0 : 0.0;
        }
        for (int64_t depth = 0; depth <= layers; depth++)
            net->tree.node[depth * apart + leaf] = nodes[depth] - 1;
    }
    first[0] = 0;
    for (int64_t depth = 0; depth <= layers; depth++)
        first[depth + 1] = first[depth] + frame * nodes[depth];
    net->regions.width = first[layers + 1] + PADDING;
    list_held(net);
}

void network_gather(Network *net)
{
    gather_points(net);
    make_tree(net);
}

void network_move(Network *net, const int64_t *point, int64_t count, int64_t entering)
{
    for (int64_t k = 0; k < count; k++) {
        if (!entering) {
            leave(net, point[k]);
            continue;
        }
        enter(net, point[k]);
        for (int64_t l = 0; l < net->layers; l++)
            look_next(net, l, point[k]);
    }
    make_tree(net);
}
