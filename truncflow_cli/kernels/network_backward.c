/* The points' part in the field, backward: the n-th coefficients of T and V at all nodes, and those of c and Ω.

   With T_ℓ = Σ weight w_ℓ x̂ᵀ over the points of a node, and S and Y of regions.c, Y_L as in network_forward.c,

       T_L = Y_L S − R_L Y,    V_ℓ = Σ H_{ℓ+1} T_{ℓ+1} over the nodes below,    T_ℓ = M_ℓᵀ V_ℓ,
       c_ℓ = Σ H_ℓ⊥ T_ℓ over all nodes, of the last column. */

#include "network.h"
#include "products.h"

/* From this many nodes below one on, they are summed up along their row. */
enum { MANY_BELOW = 8 };

/* Fill entries of T at four net, of `rows` coordinates and column c: R, H and T are those of the first of them. */
INLINE void output_four(const double *R, const double *H, const double *S, const double *Y, double *T, int64_t dim,
                        int64_t frame, int64_t apart, int64_t leaves, int64_t width, int64_t c, int rows)
{
    Four sums[DOWN];
    for (int r = 0; r < rows; r++)
        sums[r] = all_four(0.0);
    for (int64_t q = 0; q < dim; q++) {
        const Four y = four_at(Y + (q * frame + c) * apart);
        for (int r = 0; r < rows; r++)
            sums[r] = multiply_add(all_four(R[r * dim + q]), y, sums[r]);
    }
    for (int r = 0; r < rows; r++)
        sums[r] = -sums[r];
    for (int64_t a = 0; a < frame; a++) {
        const Four s = four_at(S + (a * frame + c) * apart);
        for (int r = 0; r < rows; r++)
            sums[r] = multiply_add(four_at(H + r * width + a * leaves), s, sums[r]);
    }
    for (int r = 0; r < rows; r++)
        put_four(T + r * width + c * leaves, sums[r]);
}

/* Fill entries of T at four net, of at most DOWN coordinates and all columns. */
INLINE void output_rows(const double *R, const double *H, const double *S, const double *Y, double *T, int64_t dim,
                        int64_t frame, int64_t apart, int64_t leaves, int64_t width, int64_t rows)
{
    for (int64_t c = 0; c < frame; c++)
        switch (rows) {
        case 1: output_four(R, H, S, Y, T, dim, frame, apart, leaves, width, c, 1); break;
        case 2: output_four(R, H, S, Y, T, dim, frame, apart, leaves, width, c, 2); break;
        case 3: output_four(R, H, S, Y, T, dim, frame, apart, leaves, width, c, 3); break;
        default: output_four(R, H, S, Y, T, dim, frame, apart, leaves, width, c, DOWN); break;
        }
}

/* Fill T at one region. */
static void output_one(const double *R, const double *H, const double *S, const double *Y, double *T, int64_t dim,
                       int64_t frame, int64_t apart, int64_t leaves, int64_t width)
{
    for (int64_t r = 0; r < dim; r++)
        for (int64_t c = 0; c < frame; c++) {
            double total = 0.0;
            for (int64_t q = 0; q < dim; q++)
                total -= R[r * dim + q] * Y[(q * frame + c) * apart];
            for (int64_t a = 0; a < frame; a++)
                total += H[r * width + a * leaves] * S[(a * frame + c) * apart];
            T[r * width + c * leaves] = total;
        }
}

/* Fill the n-th coefficients of T at the regions: Y S − R Y of the last layer. */
static void output(int64_t n, const Network *net)
{
    const int64_t layers = net->layers, dim = net->dim, frame = net->regions.frame, width = net->regions.width;
    const int64_t leaves = net->regions.count, apart = net->regions.room;
    const int64_t place = n * dim * width + net->tree.first[layers];
    const double *R = net->taylor.R + (n * layers + layers - 1) * dim * dim, *S = net->regions.S, *Y = net->regions.Y;
    const double *H = net->columns.H + place;
    double *T = net->columns.T + place;
    if (leaves < 4) {
        for (int64_t k = 0; k < leaves; k++)
            output_one(R, H + k, S + k, Y + k, T + k, dim, frame, apart, leaves, width);
        return;
    }
    for (int64_t next = 0; next < leaves; next += 4) {
        const int64_t k = next + 4 <= leaves ? next : leaves - 4; /* the last four may overlap those before */
        for (int64_t r = 0; r < dim; r += DOWN)
            output_rows(R + r * dim, H + r * width + k, S + k, Y + k, T + r * width + k, dim, frame, apart, leaves,
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
static void gather_below(const Network *net, int64_t depth, const double *T, double *V)
{
    const int64_t dim = net->dim, frame = net->regions.frame, width = net->regions.width;
    const int64_t count = net->tree.nodes[depth], nodes = net->tree.nodes[depth - 1];
    const int64_t *above = net->tree.above + depth * net->tree.room;
    if (nodes == count) { /* each is alone */
        for (int64_t r = 0; r < dim; r++) {
            const double *open = open_row(net, depth, r);
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
            sum_all_below(open_row(net, depth, r) + node, T + r * width + node, V + r * width + above[node], frame,
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

/* Fill the n-th coefficients of T and V at all nodes, and those of c and Ω. */
void backward(int64_t n, Network *net)
{
    const int64_t layers = net->layers, dim = net->dim, width = net->regions.width, block = dim * width;
    const int64_t M_block = net->field.links * dim * dim, entries = net->tree.held_count;
    int64_t list[MOST_DIM], entry = 0;
    output(n, net);
    for (int64_t depth = layers; depth > 0; depth--) {
        const int64_t count = net->tree.nodes[depth], first = net->tree.first[depth],
                      start = net->tree.first[depth - 1];
        double *T = net->columns.T + n * block, *c = net->field.c + (n * layers + depth - 1) * dim;
        gather_below(net, depth, T + first, net->columns.V + n * block + start);
        for (int64_t r = 0; r < dim; r++)
            c[r] = sum_closed(open_row(net, depth, r), T + r * width + first + (net->regions.frame - 1) * count, count);
        rotate_layer(n, depth, net);
        for (; entry < entries && net->tree.held[entry].depth == depth; entry++)
            add_pinned(n, entry, net);
        if (depth == 1)
            break;
        const int64_t used = entries > 0 ? dim : list_open(net, depth, list);
        const Left Mt = {net->field.M + (depth - 2) * dim * dim, M_block, 1, dim};
        const Rows V = {net->columns.V + start, block, width, entries > 0 ? NULL : list, used};
        cauchy_product(Mt, V, T + start, width, n, dim, first - start);
    }
}
