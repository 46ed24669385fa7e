/* What the parts of `separated` ask of one another. */

#pragma once

#include "numerics.h"

/* ---- layer_moments.c ---- */

void count_point(const Points *points, int64_t i, int64_t r, double sign, Moments *moments);
void refresh_moments(Layer *layer);

/* ---- layer_taylor.c ---- */

double begin_series(Layer *layer);
void second_moments(double *line, double head, double w, const double *m_r, const double *R_r, const double *M_r,
                    int64_t dim);
void place_columns(const LayerWork *work, int64_t n, int64_t r, int64_t dim);
void quadratic_terms(LayerWork *work, int64_t n, int64_t dim);
void skew_part(LayerWork *work, int64_t n, int64_t dim);
double next_order(Taylor *taylor, LayerWork *work, int64_t n, double scale_b, double scale_energy);

/* ---- coordinates.c: z_{i,r} = R_r x_i + b_r along a step ---- */

void coordinates_of(const Points *points, const Taylor *taylor, int64_t n, const NeighborLists *near,
                    const int64_t *entries, int64_t count, double *z);
void coordinate_series(const Points *points, const Taylor *taylor, int64_t i, int64_t r, double sign,
                       double *restrict c, int64_t size);

/* Return 1.0 for a coordinate that is untruncated, else -1.0; without a branch, as nobody could foresee it. */
INLINE double sign_of(int8_t side)
{
    return (double)(2 * (side == UNTRUNCATED) - 1);
}

/* Return the rounding error of z_{i,r}. */
INLINE double noise_of(const Points *points, const Taylor *taylor, int64_t i, int64_t r)
{
    return points->noise * (points->length[i] + fabs(taylor->b[r]));
}

/* Return a bound of what the orders from the second on can do to z_{i,r} over the step. */
INLINE double rest_of(const Points *points, const NeighborLists *near, int64_t i, int64_t r)
{
    return near->rest_turn[r] * points->length[i] + near->rest_shift[r];
}

/* Return a lower bound on [0, t] of a coordinate with value z0 and velocity z1; `rest` bounds the rest at t.

   The rest grows at least like t², so that z1 t − rest is least at one of the ends. */
INLINE double lowest(double z0, double z1, double rest, double t)
{
    return z0 + minimum(z1 * t - rest, 0.0);
}

/* ---- displacement_bounds.c ---- */

void bound_rest(const Taylor *taylor, double h, double *rest_turn, double *rest_shift);
void bound_displacements(const Taylor *taylor, double h, NeighborLists *near);
void displacements(const Taylor *taylor, const NeighborLists *near, int64_t level, double *turn, double *shift);
void add_displacement(const Taylor *taylor, NeighborLists *near);
double room_left(const Taylor *taylor, const NeighborLists *near, int64_t level, double share);

/* ---- neighbor_list.c ---- */

int choose_list(const Points *points, const Taylor *taylor, double h, int shortest, NeighborLists *near);

/* Entries of a list that are looked at together. */
enum { ENTRIES_TOGETHER = 256 };

/* The lengths of points are asked for this many entries before they are needed: those of very many are not near. */
enum { LENGTHS_AHEAD = 24 };

/* Fill kept with those of the entries [first, end) of a list whose z was at most so much |x| and so much more, as told
   for each coordinate by reach[r][0] and reach[r][1]; return how many there are. */
INLINE int64_t keep_entries(const Points *points, const NeighborLists *near, int64_t first, int64_t end,
                            double (*reach)[2], int64_t *kept)
{
    const Entry *pool = near->pool;
    int64_t count = 0;
    for (int64_t entry = first; entry < end; entry++) {
        const int64_t i = pool[entry].point, r = pool[entry].row;
        if (entry + LENGTHS_AHEAD < end)
            __builtin_prefetch(points->length + pool[entry + LENGTHS_AHEAD].point);
        kept[count] = entry;
        count += fabs(near->z[entry]) <= reach[r][0] * points->length[i] + reach[r][1];
    }
    return count;
}

/* ---- layer_crossings.c ---- */

void gather_hits(const Points *points, const Taylor *taylor, NeighborLists *near);
int64_t foreign_crossings(const Points *points, const Taylor *taylor, double t_end, const NeighborLists *near,
                          double *times, int64_t *entries, int64_t room);

/* ---- batch_moments.c, batch_taylor.c, batch_crossings.c ---- */

void expected_moments(const Moments *moments, double h, int with_zz, Batch *batch);
void moments_along(const Points *points, const Moments *moments, const NeighborLists *near, double h, int64_t found,
                   int with_zz, Batch *batch);
double expand_batch(Layer *layer, double scale, double h, Batch *batch);
double gap_to_last_sweep(const Layer *layer, double h, double scale, Batch *batch);
double off_inside(const Layer *layer, double scale, double h, const Batch *batch);
void allow_for_sweeps(NeighborLists *near);
int reaches_further(const Taylor *taylor, double h, const NeighborLists *near);
void keep_likely_hits(const Points *points, NeighborLists *near, double h);
void follow_hits(const Points *points, const Taylor *taylor, NeighborLists *near);
int64_t locate(const Points *points, const Taylor *taylor, LayerWork *work, double h, const NeighborLists *near,
               Batch *batch);
