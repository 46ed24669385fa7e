/* The points' coordinates in all layers, forward: the n-th coefficients of Z and H at all nodes.

   With Y_ℓ x̂ = y_ℓ, X the columns of the inputs, and (b) the matrix with b in its last column and zeros elsewhere,

       Z_1 = R_1 X + (b_1),    Y_ℓ = H_ℓ Z_ℓ − (b_ℓ),    Z_{ℓ+1} = M_ℓ Y_ℓ + (b_{ℓ+1}).

   The product is formed once for each node that has others below it, then taken by all of those. A row of Y_ℓ that is
   truncated at all nodes of a depth is −b alone: it is left out of the product, and added to the shift instead. */

#include "network.h"
#include "products.h"

/* List the coordinates that some node of a depth has untruncated; return how many those are. */
int64_t list_open(const Network *net, int64_t depth, int64_t *list)
{
    const int64_t count = net->tree.nodes[depth];
    int64_t found = 0;
    for (int64_t r = 0; r < net->dim; r++) {
        const double *open = open_row(net, depth, r);
        int64_t node = 0;
        while (node < count && open[node] == 0.0)
            node++;
        list[found] = r;
        found += node < count;
    }
    return found;
}

/* Say of each column of the nodes which coordinates are untruncated, in `work`. */
void spread_open(const Network *net)
{
    for (int64_t depth = 1; depth < net->layers + 1; depth++)
        for (int64_t r = 0; r < net->dim; r++) {
            const double *open = open_row(net, depth, r);
            const int64_t count = net->tree.nodes[depth];
            double *all = net->columns.work + r * net->columns.work_row + net->tree.first[depth];
            for (int64_t a = 0; a < net->regions.frame; a++)
                memcpy(all + a * count, open, count * sizeof(double));
        }
}

/* What the n-th coefficients of Z and H of the nodes of a depth are made of. */
typedef struct {
    const double *own; /* the columns that they take from the nodes above */
    const double *shift; /* what is added to the last one of each */
    const double *b; /* what that has less in H */
    double *Z, *H;
    int64_t nodes, count;
} Images;

/* Fill the columns of the four nodes from `node` on; they may each be alone under the node of the same number. */
INLINE void take_four(const Images *images, const Network *net, int64_t depth, int64_t node, int are_alone)
{
    const int64_t last = net->regions.frame - 1, width = net->regions.width, nodes = images->nodes;
    const int64_t count = images->count;
    const int64_t *above = net->tree.above + depth * net->tree.room + node;
    const int64_t p0 = above[0], p1 = above[1], p2 = above[2], p3 = above[3];
    for (int64_t r = 0; r < net->dim; r++) {
        const double *own = images->own + r * width;
        double *Z = images->Z + r * width + node, *H = images->H + r * width + node;
        const Four open = four_at(open_row(net, depth, r) + node);
        for (int64_t a = 0; a <= last; a++, own += nodes, Z += count, H += count) {
            Four z = are_alone ? four_at(own + node) : (Four){own[p0], own[p1], own[p2], own[p3]};
            if (a == last)
                z += all_four(images->shift[r]);
            put_four(Z, z);
            put_four(H, a == last ? z * open - all_four(images->b[r]) : z * open);
        }
    }
}

/* Fill the columns of one node. */
INLINE void take_one(const Images *images, const Network *net, int64_t depth, int64_t node)
{
    const int64_t dim = net->dim, last = net->regions.frame - 1, nodes = images->nodes, count = images->count;
    const int64_t above = net->tree.above[depth * net->tree.room + node];
    for (int64_t r = 0; r < dim; r++) {
        const double *own = images->own + r * net->regions.width + above, open = open_row(net, depth, r)[node];
        double *Z = images->Z + r * net->regions.width + node, *H = images->H + r * net->regions.width + node;
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
static void take_images(const Images *images, const Network *net, int64_t depth)
{
    const int64_t count = images->count;
    if (count < 4) {
        for (int64_t node = 0; node < count; node++)
            take_one(images, net, depth, node);
        return;
    }
    /* The last four may overlap those before. */
    if (images->nodes == count)
        for (int64_t node = 0; node < count; node += 4)
            take_four(images, net, depth, node + 4 <= count ? node : count - 4, 1);
    else
        for (int64_t node = 0; node < count; node += 4)
            take_four(images, net, depth, node + 4 <= count ? node : count - 4, 0);
}

/* Fill the n-th coefficients of Z and H at all nodes. What they are taken from is in V, which has it till backward. */
void forward(int64_t n, const Network *net)
{
    const int64_t layers = net->layers, dim = net->dim, width = net->regions.width, block = dim * width;
    const int64_t M_block = net->field.links * dim * dim;
    double shift[MOST_DIM];
    int64_t list[MOST_DIM];
    for (int64_t l = 0; l < layers; l++) {
        const int64_t first = net->tree.first[l], below = net->tree.first[l + 1];
        double *own = net->columns.V + n * block + first;
        const double *b = net->taylor.b + (n * layers + l) * dim;
        memcpy(shift, b, dim * sizeof(double));
        if (l == 0) {
            const Left R = {net->taylor.R + n * layers * dim * dim, 0, dim, 1};
            const Rows X = {net->columns.X, 0, net->columns.X_row, NULL, dim};
            cauchy_product(R, X, own, width, 0, dim, below - first);
        } else {
            const double *M = net->field.M + (l - 1) * dim * dim;
            const int64_t used = list_open(net, l, list);
            const Rows H = {net->columns.H + first, block, width, list, used};
            cauchy_product((Left){M, M_block, dim, 1}, H, own, width, n, dim, below - first);
            /* All that is left of y in a coordinate that is nowhere untruncated is b. */
            for (int64_t a = 0, k = 0; a < dim; a++) {
                if (k < used && list[k] == a) {
                    k++;
                    continue;
                }
                for (int64_t m = 0; m <= n; m++) {
                    const double y = net->taylor.b[((n - m) * layers + l - 1) * dim + a];
                    for (int64_t r = 0; r < dim; r++)
                        shift[r] -= M[m * M_block + r * dim + a] * y;
                }
            }
        }
        const Images images = {
            own, shift, b, net->columns.Z + n * block + below, net->columns.H + n * block + below,
            net->tree.nodes[l], net->tree.nodes[l + 1],
        };
        take_images(&images, net, l + 1);
    }
}
