/* Pinned coordinates of `general` (z_r = 0), which have h_r = λ(s), such that z_r stays 0.

   Elsewhere a pinned coordinate counts as truncated. At its node, with T_r its row of T there, λ adds

       λ T_r to V_r,    −λ T_r in the last column to c_r,    −½ Σ_c λ T_rc Z_jc to Ω_rj, and as much to −Ω_jr.

   λ is such that z_r stays 0: its coefficients of order n solve a linear system, the same one for all orders, by which
   those of order n+1 of all pinned z_r vanish. These are known from the pinned points alone (NetworkPins.z). */

#include "network.h"

/* Add what λ of a pinned coordinate does to V, c and Ω of order n. */
void add_pinned(int64_t n, int64_t entry, Network *net)
{
    const int64_t layers = net->layers, dim = net->dim, width = net->regions.width, frame = net->regions.frame;
    const HeldEntry at = net->tree.held[entry];
    const int64_t depth = at.depth, node = at.node, r = at.row, pin = at.pin, pins = net->pins.size;
    const int64_t first = net->tree.first[depth] + node, count = net->tree.nodes[depth];
    const int64_t parent = net->tree.first[depth - 1] + net->tree.above[depth * net->tree.room + node];
    const int64_t block = dim * width, pinned_block = net->tree.held_count * frame;
    double *pinned = net->columns.pinned + entry * frame, *V = net->columns.V + n * block + r * width + parent;
    double *Om = net->field.Om + (n * layers + depth - 1) * dim * dim;
    double total = 0.0;
    for (int64_t a = 0; a < frame; a++) {
        const double *T = net->columns.T + r * width + first + a * count;
        total = 0.0;
        for (int64_t m = 0; m <= n; m++)
            total += net->pins.lam[m * pins + pin] * T[(n - m) * block];
        pinned[n * pinned_block + a] = total;
        V[a * net->tree.nodes[depth - 1]] += total;
    }
    net->field.c[(n * layers + depth - 1) * dim + r] -= total;
    for (int64_t j = 0; j < dim; j++) {
        if (j == r)
            continue;
        const double *Z = net->columns.Z + j * width + first;
        total = 0.0;
        for (int64_t a = 0; a < frame; a++)
            for (int64_t m = 0; m <= n; m++)
                total += pinned[m * pinned_block + a] * Z[(n - m) * block + a * count];
        Om[r * dim + j] -= 0.5 * total;
        Om[j * dim + r] += 0.5 * total;
    }
}

/* Fill the n-th coefficients z[n, k, ℓ] of the point of pin k in all layers. */
void point_forward(int64_t n, int64_t k, const Network *net)
{
    const int64_t layers = net->layers, dim = net->dim, size = dim * dim, pins = net->pins.size;
    const int64_t i = net->pins.surface[k].point, M_block = net->field.links * size;
    const double *b = net->taylor.b, *R = net->taylor.R + n * layers * size, *x = net->points.x + i * dim;
    double *z = net->pins.z + (n * pins + k) * layers * dim;
    for (int64_t r = 0; r < dim; r++)
        z[r] = b[n * layers * dim + r] + along(R + r * dim, x, dim);
    for (int64_t l = 1; l < layers; l++) {
        const int8_t *side = net->points.pattern + (i * layers + l - 1) * dim;
        double y[MOST_DIM];
        memcpy(z + l * dim, b + (n * layers + l) * dim, dim * sizeof(double));
        for (int64_t m = 0; m <= n; m++) {
            const double *z_m = net->pins.z + (((n - m) * pins + k) * layers + l - 1) * dim;
            const double *b_m = b + ((n - m) * layers + l - 1) * dim, *M = net->field.M + m * M_block + (l - 1) * size;
            for (int64_t a = 0; a < dim; a++)
                y[a] = (side[a] == UNTRUNCATED ? z_m[a] : 0.0) - b_m[a];
            for (int64_t r = 0; r < dim; r++)
                z[l * dim + r] += along(M + r * dim, y, dim);
        }
    }
}

/* Choose the n-th coefficients of λ so that z_{n+1} vanishes on the pinned surfaces. */
void hold_pins(int64_t n, Network *net)
{
    const int64_t layers = net->layers, dim = net->dim, pins = net->pins.size;
    for (int64_t k = 0; k < pins; k++)
        point_forward(n + 1, k, net);
    for (int64_t k = 0; k < pins; k++) {
        double total = 0.0;
        for (int64_t j = 0; j < pins; j++) {
            const int64_t l = net->pins.surface[j].layer, r = net->pins.surface[j].row;
            total += net->pins.inverse[k * pins + j] * net->pins.z[(((n + 1) * pins + j) * layers + l) * dim + r];
        }
        net->pins.lam[n * pins + k] -= (double)(n + 1) * total;
    }
}
