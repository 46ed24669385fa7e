/* The usual step of `general`: whether a coordinate that has come to zero simply goes through, and what that does.

   All is evaluated at the state where the step ends, for the one point that crosses. There, with H_ℓ from the pattern,

       z_ℓ = R_ℓ t_{ℓ-1} + b_ℓ,    t_0 = x,    t_ℓ = R_ℓᵀ (H_ℓ z_ℓ − b_ℓ),
       w_L = H_L z_L − b_L − R_L ỹ,    w_ℓ = R_ℓ R_{ℓ+1}ᵀ H_{ℓ+1} w_{ℓ+1}. */

#include "network.h"

/* Return R_ℓ of the next state. */
INLINE const double *next_R(const Network *net, int64_t l)
{
    return net->state.R_next + l * net->dim * net->dim;
}

/* Return b_ℓ of the next state. */
INLINE const double *next_b(const Network *net, int64_t l)
{
    return net->state.b_next + l * net->dim;
}

/* Fill t (Q) with R_ℓᵀ (H z − b), or with R_ℓᵀ H z if b is NULL. */
static void back(const Network *net, int64_t i, int64_t l, const double *z, const double *b,
                 double *t)
{
    const int64_t dim = net->dim;
    const double *R = next_R(net, l);
    const int8_t *side = sides_in(net, i, l);
    memset(t, 0, sizeof(double) * dim);
    for (int64_t r = 0; r < dim; r++) {
        const double value = (side[r] == UNTRUNCATED ? z[r] : 0.0) - (b ? b[r] : 0.0);
        if (value != 0.0)
            add_multiple(t, value, R + r * dim, dim);
    }
}

/* Fill z (L, Q) with the coordinates of point i at the next state. */
static void pass_point(const Network *net, int64_t i, double *z)
{
    const int64_t layers = net->layers, dim = net->dim;
    double before[MOST_DIM];
    memcpy(before, net->points.x + i * dim, sizeof *before * dim);
    for (int64_t l = 0; l < layers; l++, z += dim) {
        const double *R = next_R(net, l), *b = next_b(net, l);
        for (int64_t r = 0; r < dim; r++)
            z[r] = b[r] + along(R + r * dim, before, dim);
        back(net, i, l, z, b, before);
    }
}

/* Return w_{ℓ,r} of point i, with coordinates z (L, Q), at the next state. */
static double push_on(const Network *net, int64_t i, int64_t l, int64_t r, const double *z)
{
    const int64_t dim = net->dim, last = net->layers - 1;
    const double *R = next_R(net, last), *b = next_b(net, last), *target = net->points.target + i * dim;
    const int8_t *side = sides_in(net, i, last);
    double w[MOST_DIM], g[MOST_DIM];
    for (int64_t q = 0; q < dim; q++)
        w[q] = (side[q] == UNTRUNCATED ? z[last * dim + q] : 0.0) - b[q] - along(R + q * dim, target, dim);
    for (int64_t m = last; m > l; m--) {
        back(net, i, m, w, NULL, g);
        R = next_R(net, m - 1);
        for (int64_t q = 0; q < dim; q++)
            w[q] = along(R + q * dim, g, dim);
    }
    return w[r];
}

/* Return |∇z_{ℓ,r}|² of point i, with coordinates z (L, Q), at the next state.

   With g_{ℓ-1} the r-th row of R_ℓ, q_m = R_m g_m and g_{m-1} = R_mᵀ H_m q_m, it is

       1 + ½ Σ_{j≠r} z_{ℓ,j}² + Σ_{m<ℓ} (|H_m⊥ q_m|² + ½ Σ_{j<k} (h_k − h_j)² (q_k z_j + q_j z_k)²). */
static double square_of_gradient(const Network *net, int64_t i, int64_t l, int64_t r, const double *z)
{
    const int64_t dim = net->dim;
    double total = 1.0, g[MOST_DIM], q[MOST_DIM];
    for (int64_t j = 0; j < dim; j++)
        if (j != r)
            total += 0.5 * z[l * dim + j] * z[l * dim + j];
    memcpy(g, next_R(net, l) + r * dim, sizeof *g * dim);
    for (int64_t m = l - 1; m >= 0; m--) {
        const double *R = next_R(net, m), *z_m = z + m * dim;
        const int8_t *side = sides_in(net, i, m);
        for (int64_t k = 0; k < dim; k++) {
            q[k] = along(R + k * dim, g, dim);
            if (side[k] != UNTRUNCATED)
                total += q[k] * q[k];
        }
        for (int64_t k = 0; k < dim; k++)
            for (int64_t j = 0; j < k; j++)
                if ((side[k] == UNTRUNCATED) != (side[j] == UNTRUNCATED)) {
                    const double skew = q[k] * z_m[j] + q[j] * z_m[k];
                    total += 0.5 * skew * skew;
                }
        back(net, i, m, q, NULL, g);
    }
    return total;
}

/* Return whether no other coordinate is zero, to rounding, where this one crosses; z (L, Q) is room to work. */
static int alone(const Network *net, double t, int64_t entry, double *z)
{
    const int64_t dim = net->dim;
    for (int64_t k = 0; k < net->bounds.hits; k++) {
        const Hit *hit = net->bounds.hit + k;
        const Line *line = net->bounds.line + k * dim;
        const double noise = 4 * net->points.noise[hit->point], rest = rest_of_hit(hit, net);
        int passed = 0;
        for (int64_t r = 0; r < dim; r++) {
            if (k * dim + r == entry || fabs(line[r].value + line[r].velocity * t) > rest + noise)
                continue;
            if (!passed)
                pass_point(net, hit->point, z);
            passed = 1;
            if (fabs(z[hit->layer * dim + r]) <= noise)
                return 0;
        }
    }
    return 1;
}

/* Return whether this coordinate, at zero at t, clearly goes through, alone, and the flow goes on after it. */
static int passes(const Network *net, double t, int64_t entry)
{
    const int64_t dim = net->dim, size = net->taylor.order + 1, r = entry % dim;
    const int64_t l = net->bounds.hit[entry / dim].layer, i = net->bounds.hit[entry / dim].point;
    double *z = net->columns.z, c[MOST_TERMS];
    if (!alone(net, t, entry, z))
        return 0;
    pass_point(net, i, z);
    const double normal = square_of_gradient(net, i, l, r, z);
    /* ż_r(untruncated) − ż_r(truncated) = −(m/N) w_r |∇z_r|² */
    const double jump = -net->points.weight[i] * push_on(net, i, l, r, z) * normal;
    coordinate_of_point(l, r, i, sides_in(net, i, l)[r] == UNTRUNCATED ? -1.0 : 1.0, net, c, size);
    /* downwards: −(ż − jump); upwards: ż + jump */
    const double before = derivative(c, size, t);
    if (!goes_through(before, jump, derivative(net->taylor.energy, size, t), normal))
        return 0;
    /* The field after the event is at least as large as its part along ∇z_r. */
    double largest = net->accuracy.spread;
    for (int64_t k = 0; k < net->layers * dim; k++)
        largest = maximum(largest, fabs(net->state.b_next[k]));
    return before + jump > MAY_REST * largest * maximum(1.0, largest) * sqrt(normal);
}

/* Replace t (Q, 4), four points side by side, by their images under layers with these R (L, Q, Q) and b = Rβ (L, Q). */
INLINE void pass_four(Four *t, Four *z, const double *R, const double *b, int64_t layers, int64_t dim)
{
    for (int64_t l = 0; l < layers; l++, R += dim * dim, b += dim) {
        for (int64_t r = 0; r < dim; r++) {
            Four total = all_four(b[r]);
            for (int64_t a = 0; a < dim; a++)
                total = multiply_add(all_four(R[r * dim + a]), t[a], total);
            z[r] = positive_part(total) - all_four(b[r]);
        }
        for (int64_t a = 0; a < dim; a++)
            t[a] = all_four(0.0);
        for (int64_t r = 0; r < dim; r++)
            for (int64_t a = 0; a < dim; a++)
                t[a] = multiply_add(all_four(R[r * dim + a]), z[r], t[a]);
    }
}

/* Fill the losses of sample k, (1/N_j) Σ_i ½ |τ^(L)∘…∘τ^(1)(x) − ỹ_j|² of each cluster, by a forward pass (2.26); sums
   are taken with their rounding errors. */
static void sample_losses(const NetworkPoints *points, int64_t layers, int64_t dim, Samples *samples, int64_t k)
{
    const double *R = samples->R + k * layers * dim * dim, *b = samples->b + k * layers * dim;
    double *loss = samples->loss + k * samples->clusters, *lost = samples->lost;
    Four t[MOST_DIM], z[MOST_DIM];
    for (int64_t j = 0; j < samples->clusters; j++)
        loss[j] = lost[j] = 0.0;
    for (int64_t first = 0; first < points->size; first += 4) {
        const int64_t count = points->size - first < 4 ? points->size - first : 4;
        for (int64_t a = 0; a < dim; a++)
            for (int64_t n = 0; n < 4; n++)
                t[a][n] = points->x[(first + (n < count ? n : 0)) * dim + a];
        pass_four(t, z, R, b, layers, dim);
        Four squares = all_four(0.0);
        for (int64_t a = 0; a < dim; a++) {
            Four off = t[a];
            for (int64_t n = 0; n < 4; n++)
                off[n] -= points->target[(first + (n < count ? n : 0)) * dim + a];
            squares = multiply_add(off, off, squares);
        }
        for (int64_t i = first; i < first + count; i++) {
            const int64_t j = points->label[i];
            add_exactly(loss + j, lost + j, 0.5 * points->weight[i] * squares[i - first]);
        }
    }
    for (int64_t j = 0; j < samples->clusters; j++)
        loss[j] += lost[j];
}

void network_losses(const NetworkPoints *points, int64_t layers, int64_t dim, Samples *samples)
{
    for (int64_t k = 0; k < samples->size; k++)
        sample_losses(points, layers, dim, samples, k);
}

void network_advance(Network *net, double t)
{
    net->state.energy = evaluate_state(&net->taylor, t, net->state.R, net->state.b, net->columns.work);
    pass_way(net, t);
}

/* ---- what step_many asks ---- */

/* Without room for another region, or with sums that have to be taken anew, the step is left to Python. */
static double expand(void *flow, double reach)
{
    Network *net = flow;
    if (net->regions.count >= net->regions.room || net->regions.updates > net->regions.most_updates)
        return 0.0;
    return network_expand(net, reach);
}

static double first(void *flow, double h, double soon, int64_t *which)
{
    Network *net = flow;
    *which = network_first_crossing(net, h, soon);
    return net->crossing;
}

static int is_usual(void *flow, double t, int64_t which)
{
    return which < 0 || passes(flow, t, which);
}

static void pass(void *flow, double t)
{
    Network *net = flow;
    pass_way(net, t);
    memcpy(net->state.truncated, net->regions.truncated, sizeof(double) * net->layers * net->dim);
}

static void fill_loss(void *flow, int64_t k)
{
    Network *net = flow;
    sample_losses(&net->points, net->layers, net->dim, &net->samples, k);
}

/* Let a coordinate change sides, and its point the region. */
static void cross(void *flow, int64_t which, double s)
{
    Network *net = flow;
    const Hit hit = net->bounds.hit[which / net->dim];
    const int64_t i = hit.point, r = which % net->dim, place = (i * net->layers + hit.layer) * net->dim + r;
    const int gone = leave(net, i);
    const int8_t side = net->points.pattern[place] == UNTRUNCATED ? TRUNCATED : UNTRUNCATED;
    net->points.pattern[place] = side;
    net->points.code[place] = side;
    const int fresh = enter(net, i);
    if (gone || fresh)
        make_tree(net);
    const double inputs = net->points.inputs[i];
    net->regions.truncated[hit.layer * net->dim + r] += side == TRUNCATED ? inputs : -inputs;
    for (int64_t m = hit.layer + 1; m < net->layers; m++)
        look_next(net, m, i);
    note_event(&net->log, s, i, hit.layer, r, side);
}

int64_t network_step_many(Network *net)
{
    const Steps steps = {
        &net->state, &net->loop, &net->taylor, &net->log, &net->samples, net->columns.work, 0,
        expand, first, is_usual, pass, fill_loss, cross, NULL,
    };
    return step_many(net, &steps);
}
