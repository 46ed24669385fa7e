/* The usual step of `separated`: whether a coordinate that has come to zero simply goes through, and what that does. */

#include "layer.h"

/* A field below this, relative to the state, is looked at more closely: is it rest? */
static const double STANDS = 1e-12;
/* Foreign crossings in one step beyond which it is taken in Python. */
enum { FOREIGN = 16 };

/* Return ½ mean_i |σ(R x_i + b) − u|², u = b + Rỹ, the cluster's part of the loss (3.18).

   By a forward pass, without the moments that the flow itself works with, so that the energy balance checks them. The
   sums of blocks of points are added up with their rounding errors. */
static double cluster_loss(const Points *points, double total, const double *R, const double *b)
{
    const int64_t dim = points->dim, own = points->own, width = padded(dim), step = together(dim);
    double Z[IMAGES], u[MOST_DIM], sum = 0.0, lost = 0.0;
    for (int64_t r = 0; r < width; r++)
        u[r] = r < dim ? speed_of_bias(R, b, points->y_tilde, dim, r) : 0.0;
    for (int64_t first = 0; first < own; first += step) {
        const int64_t count = own - first < step ? own - first : step;
        map_points(points->x + first * dim, count, R, b, dim, 0.0, Z);
        Four block = all_four(0.0);
        for (int64_t k = 0; k < count; k++) {
            Four squares = all_four(0.0);
            for (int64_t r = 0; r < width; r += 4) {
                const Four off = positive_part(four_at(Z + k * width + r)) - four_at(u + r);
                squares = multiply_add(off, off, squares);
            }
            block = multiply_add(all_four(points->weight[first + k]), squares, block);
        }
        add_exactly(&sum, &lost, sum_of_four(block));
    }
    return 0.5 * (sum + lost) / total;
}

/* Fill the loss of sample k. */
static void sample_loss(const Points *points, double total, Samples *samples, int64_t k)
{
    const int64_t dim = points->dim;
    samples->loss[k] = cluster_loss(points, total, samples->R + k * dim * dim, samples->b + k * dim);
}

void layer_losses(const Points *points, double total, Samples *samples)
{
    for (int64_t k = 0; k < samples->size; k++)
        sample_loss(points, total, samples, k);
}

void layer_advance(Layer *layer, double t)
{
    layer->state.energy = evaluate_state(&layer->taylor, t, layer->state.R, layer->state.b, layer->work.rows);
}

/* Return coordinate r of point i at the next state. */
INLINE double next_coordinate(const State *state, const Points *points, int64_t i, int64_t r)
{
    const int64_t dim = points->dim;
    return state->b_next[r] + along(state->R_next + r * dim, points->x + i * dim, dim);
}

/* Return whether no other own coordinate is zero, to rounding, where hit `which` crosses. */
static int alone(const Layer *layer, double t, int64_t which)
{
    const State *state = &layer->state;
    const Points *points = &layer->points;
    const NeighborLists *near = &layer->near;
    const double part = t / near->horizon;
    for (int64_t k = 0; k < near->hits; k++) {
        const Entry *entry = near->pool + near->hit[k];
        const int64_t i = entry->point, r = entry->row;
        if (k == which || i >= points->own)
            continue;
        const double noise =
            4 * points->noise * (points->length[i] + fabs(state->b_next[r]) + fabs(layer->taylor.b[r]));
        if (fabs(near->line[k].value + near->line[k].velocity * t) > rest_of(points, near, i, r) * part * part + noise)
            continue;
        if (fabs(next_coordinate(state, points, i, r)) <= noise)
            return 0;
    }
    return 1;
}

/* Return whether J⊥u is more than this share of the size of a state (R, b), with so many more points untruncated in
   coordinate `row`. */
static int moves(const Layer *layer, const double *R, const double *b, int64_t row, double more, double share)
{
    const int64_t dim = layer->state.dim;
    double largest = 0.0, moving = 0.0;
    for (int64_t j = 0; j < dim; j++) {
        const double count = layer->moments.m[j * (dim + 1) + dim] + (j == row ? more : 0.0);
        const double rate = (1.0 - count / layer->moments.total) * speed_of_bias(R, b, layer->points.y_tilde, dim, j);
        moving = maximum(moving, fabs(rate));
        largest = maximum(largest, fabs(b[j]));
    }
    return moving > share * (largest + layer->accuracy.spread);
}

/* Return whether hit `which`, at zero at t, clearly goes through, alone, and the flow goes on after it. */
static int passes(const Layer *layer, double t, int64_t which)
{
    const State *state = &layer->state;
    const Points *points = &layer->points;
    const Taylor *taylor = &layer->taylor;
    const Entry *entry = layer->near.pool + layer->near.hit[which];
    const int64_t i = entry->point, r = entry->row, dim = state->dim, size = taylor->order + 1;
    if (!alone(layer, t, which))
        return 0;
    /* ż_r(untruncated) − ż_r(truncated) = (m/N) u_r (1 + ½ Σ_{j≠r} z_j²) */
    double normal = 1.0, c[MOST_TERMS];
    for (int64_t j = 0; j < dim; j++)
        if (j != r) {
            const double z = next_coordinate(state, points, i, j);
            normal += 0.5 * z * z;
        }
    const double *R = state->R_next, *b = state->b_next, weight = points->weight[i];
    const double jump = weight / layer->moments.total * speed_of_bias(R, b, points->y_tilde, dim, r) * normal;
    const double sign = -sign_of(points->pattern[i * dim + r]);
    coordinate_series(points, taylor, i, r, sign, c, size);
    /* downwards: −(ż − jump); upwards: ż + jump */
    if (!goes_through(derivative(c, size, t), jump, derivative(taylor->energy, size, t), normal))
        return 0;
    /* At rest only if J⊥u vanishes, with the moments after the event. */
    return moves(layer, R, b, r, sign * weight, MAY_REST);
}

/* Let the coordinate of this list entry change sides, and write that down. */
static int8_t change_side(Layer *layer, int64_t entry, double s)
{
    const int64_t i = layer->near.pool[entry].point, r = layer->near.pool[entry].row;
    int8_t *side = layer->points.pattern + i * layer->points.dim + r;
    *side = *side == UNTRUNCATED ? TRUNCATED : UNTRUNCATED;
    note_event(&layer->log, s, i, 0, r, *side);
    return *side;
}

/* ---- what step_many asks ---- */

static double expand(void *flow, double reach)
{
    return layer_expand(flow, reach);
}

static double first(void *flow, double h, double soon, int64_t *which)
{
    Layer *layer = flow;
    *which = layer_first_crossing(layer, h, soon);
    return layer->crossing;
}

/* The foreign crossings are listed behind the events, where those are written down if the step is taken. */
static int is_usual(void *flow, double t, int64_t which)
{
    Layer *layer = flow;
    EventLog *log = &layer->log;
    if (which >= 0 && !passes(layer, t, which))
        return 0;
    layer->foreign = 0;
    if (layer->points.own < layer->points.size)
        layer->foreign = foreign_crossings(&layer->points, &layer->taylor, t, &layer->near, log->s + log->size,
                                           log->point + log->size, FOREIGN);
    return layer->foreign <= FOREIGN;
}

static void pass(void *flow, double t)
{
    Layer *layer = flow;
    EventLog *log = &layer->log;
    (void)t;
    for (int64_t k = layer->foreign; k > 0; k--)
        change_side(layer, log->point[log->size], layer->loop.s + log->s[log->size]);
    const int64_t dim = layer->state.dim;
    for (int64_t r = 0; r < dim; r++)
        layer->state.truncated[r] = layer->moments.total - layer->moments.m[r * (dim + 1) + dim];
}

static void fill_loss(void *flow, int64_t k)
{
    Layer *layer = flow;
    sample_loss(&layer->points, layer->moments.total, &layer->samples, k);
}

static void cross(void *flow, int64_t which, double s)
{
    Layer *layer = flow;
    const int64_t entry = layer->near.hit[which];
    const Entry at = layer->near.pool[entry];
    const int8_t side = change_side(layer, entry, s);
    count_point(&layer->points, at.point, at.row, sign_of(side), &layer->moments);
}

static int is_slow(const void *flow)
{
    const Layer *layer = flow;
    return !moves(layer, layer->state.R, layer->state.b, -1, 0.0, STANDS);
}

int64_t layer_step_many(Layer *layer)
{
    const Steps steps = {
        &layer->state, &layer->loop, &layer->taylor, &layer->log, &layer->samples, layer->work.rows, FOREIGN,
        expand, first, is_usual, pass, fill_loss, cross, is_slow,
    };
    return step_many(layer, &steps);
}
