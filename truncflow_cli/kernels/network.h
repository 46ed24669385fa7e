/* What the parts of `general` ask of one another. */

#pragma once

#include "numerics.h"

/* ---- regions.c ---- */

int enter(Network *net, int64_t i);
int leave(Network *net, int64_t i);
void make_tree(Network *net);

/* Return where the row of a coordinate of the nodes of a depth says which of them have it untruncated. */
INLINE const double *open_row(const Network *net, int64_t depth, int64_t r)
{
    return net->tree.open + (depth * net->dim + r) * net->tree.room;
}

/* Return the sides of the coordinates of point i in layer ℓ. */
INLINE const int8_t *sides_in(const Network *net, int64_t i, int64_t l)
{
    return net->points.pattern + (i * net->layers + l) * net->dim;
}

/* ---- the series: network_state.c, network_forward.c, network_backward.c, network_rotation.c, network_pins.c ---- */

void fill_links(int64_t n, Network *net);
void next_state(int64_t n, Network *net);
double size_of_order(int64_t n, Network *net, double scale_b, double scale_energy);
int64_t list_open(const Network *net, int64_t depth, int64_t *list);
void spread_open(const Network *net);
void forward(int64_t n, const Network *net);
void backward(int64_t n, Network *net);
void rotate_layer(int64_t n, int64_t depth, Network *net);
void add_pinned(int64_t n, int64_t entry, Network *net);
void point_forward(int64_t n, int64_t k, const Network *net);
void hold_pins(int64_t n, Network *net);

/* ---- event_bounds.c ---- */

void bound_speeds(Network *net);
void pass_way(Network *net, double t);
void look_next(Network *net, int64_t l, int64_t i);
void list_hits(double h, Network *net);
void coordinate_of_point(int64_t l, int64_t r, int64_t i, double sign, const Network *net, double *c, int64_t size);

/* The sign of a coordinate on each side, 0 for one that is pinned. */
static const double SIGN[] = {[TRUNCATED] = -1.0, [UNTRUNCATED] = 1.0, [PINNED] = 0.0};

/* Return a bound of what the orders from the second on can do to the coordinates of a hit. */
INLINE double rest_of_hit(const Hit *hit, const Network *net)
{
    const Way *way = net->bounds.way + hit->layer;
    return way->rest_turn * net->points.length[hit->point] + way->rest_shift;
}
