/* A cluster through the layers and back: the loss, its gradient, and what the layers do to the points. */

#pragma once

#include <math.h>
#include <string.h>

#include "abreast.h"

/* What comes out, see `passes.py`. */
typedef struct {
    Reals loss, mean, within, lowest, highest, truncated, nearest, gradient_beta, gradient_R, apart, first;
} ClusterPass;

/* The room of a scene for one state, 3L + 5 columns and more.

   z of all layers; what is seen of each coordinate, KINDS numbers in four places each; and four sums of each coordinate
   of (H − 1)w. Then columns, the sums of the outputs, and those of ∂_R. */
typedef struct { double *z, *seen, *lost, *t, *alone, *w, *hw, *outputs, *turn; } PassRoom;
enum { LOWEST, HIGHEST, NEAREST, UNTRUNCATED_POINTS, KINDS };

/* Divide the room. */
static PassRoom divide_room(const Scene *scene)
{
    const int64_t layers = scene->layers, size = scene->R.n[2] * ABREAST;
    double *z = scene->columns.at, *t = z + 3 * layers * size;
    return (PassRoom){.z = z,
                      .seen = z + layers * size,
                      .lost = z + 2 * layers * size,
                      .t = t,
                      .alone = t + size,
                      .w = t + 2 * size,
                      .hw = t + 3 * size,
                      .outputs = t + 4 * size,
                      .turn = scene->turns.at};
}

/* Have the sums of a state begin. */
static void begin_state(const PassRoom *room, int64_t layers, int64_t dim)
{
    memset(room->lost, 0, sizeof(double) * layers * dim * 4);
    memset(room->outputs, 0, sizeof(double) * dim * 4);
    memset(room->turn, 0, sizeof(double) * layers * dim * dim);
    for (int64_t k = 0; k < layers * dim; k++) {
        double *seen = room->seen + k * KINDS * 4;
        put_four(seen + 4 * LOWEST, all_four(INFINITY));
        put_four(seen + 4 * HIGHEST, all_four(-INFINITY));
        put_four(seen + 4 * NEAREST, all_four(INFINITY));
        put_four(seen + 4 * UNTRUNCATED_POINTS, all_four(0.0));
    }
}

/* Look at the coordinates z that points have under a layer. */
static void watch_coordinates(const double *z, const double *there, int64_t dim, double *seen)
{
    for (int64_t r = 0; r < dim; r++, z += ABREAST, seen += KINDS * 4) {
        Four lowest = four_at(seen + 4 * LOWEST), highest = four_at(seen + 4 * HIGHEST);
        Four nearest = four_at(seen + 4 * NEAREST), points = four_at(seen + 4 * UNTRUNCATED_POINTS);
        for (int v = 0; v < FOURS; v++) {
            const Four here = four_at(z + 4 * v);
            lowest = least_of_fours(lowest, here);
            highest = greater_of_four(highest, here);
            nearest = least_of_fours(nearest, sizes_of_four(here));
            points += positive_as_one(here) * four_at(there + 4 * v);
        }
        put_four(seen + 4 * LOWEST, lowest);
        put_four(seen + 4 * HIGHEST, highest);
        put_four(seen + 4 * NEAREST, nearest);
        put_four(seen + 4 * UNTRUNCATED_POINTS, points);
    }
}

/* Return the largest |t_r − alone_r|, four by four. */
static Four largest_difference(const double *t, const double *alone, int64_t dim)
{
    Four apart = all_four(0.0);
    for (int64_t k = 0; k < dim * ABREAST; k += 4)
        apart = greater_of_four(apart, sizes_of_four(four_at(t + k) - four_at(alone + k)));
    return apart;
}

/* Sum up the outputs t less `shift` into `first`, and squares into `second`; return Σ|t − ỹ|², and leave t − ỹ. */
static Four take_outputs(double *t, const double *there, const double *y_tilde, const double *shift, int64_t dim,
                         double *first, Four *second)
{
    Four squares[FOURS], spread[FOURS];
    for (int v = 0; v < FOURS; v++)
        squares[v] = spread[v] = all_four(0.0);
    for (int64_t a = 0; a < dim; a++, t += ABREAST) {
        Four sum[FOURS];
        for (int v = 0; v < FOURS; v++) {
            const Four here = four_at(there + 4 * v), at = four_at(t + 4 * v);
            const Four off = (at - all_four(shift[a])) * here, residual = (at - all_four(y_tilde[a])) * here;
            sum[v] = off;
            spread[v] = multiply_add(off, off, spread[v]);
            squares[v] = multiply_add(residual, residual, squares[v]);
            put_four(t + 4 * v, residual);
        }
        put_four(first + 4 * a, four_at(first + 4 * a) + sum_abreast(sum));
    }
    *second += sum_abreast(spread);
    return sum_abreast(squares);
}

/* Add σ_i w_j + hw_i z_j − σ_j w_i − hw_j z_i, summed over the points, to A_ij for `many` j: four, or one. */
INLINE void add_turn_of(const double *z, const double *positive, const double *w, const double *hw, int64_t i,
                        int64_t j, int many, double *A_ij)
{
    Four plus[4], minus[4];
    for (int k = 0; k < many; k++)
        plus[k] = minus[k] = all_four(0.0);
    for (int v = 0; v < FOURS; v++) {
        const int64_t at = i * ABREAST + 4 * v;
        const Four z_i = four_at(z + at), positive_i = four_at(positive + at);
        const Four w_i = four_at(w + at), hw_i = four_at(hw + at);
        for (int k = 0; k < many; k++) {
            const int64_t other = (j + k) * ABREAST + 4 * v;
            plus[k] = multiply_add(positive_i, four_at(w + other), plus[k]);
            minus[k] = multiply_add(four_at(positive + other), w_i, minus[k]);
            plus[k] = multiply_add(hw_i, four_at(z + other), plus[k]);
            minus[k] = multiply_add(four_at(hw + other), z_i, minus[k]);
        }
    }
    for (int k = 0; k < many; k++)
        plus[k] -= minus[k];
    if (many == 4)
        put_four(A_ij, four_at(A_ij) + four_sums(plus[0], plus[1], plus[2], plus[3]));
    else
        *A_ij += sum_of_four(plus[0]);
}

/* The same for all j > i. */
static void add_turn(const double *z, const double *positive, const double *w, const double *hw, int64_t dim, double *A)
{
    for (int64_t i = 0; i < dim; i++) {
        int64_t j = i + 1;
        for (; j + 4 <= dim; j += 4)
            add_turn_of(z, positive, w, hw, i, j, 4, A + i * dim + j);
        for (; j < dim; j++)
            add_turn_of(z, positive, w, hw, i, j, 1, A + i * dim + j);
    }
}

/* Go back through the layers with g = t − ỹ, which is in room.t, and add up the gradient: minus (5.4) and (5.6).

   Of ½|t − ỹ|² with w = R g and H = diag(h(z)), ∂_β is Rᵀ(H − 1)w, and ∂_R Rᵀ is σ(z) wᵀ + H w zᵀ, of which the
   antisymmetric part counts. The layer before sees the gradient Rᵀ H w. */
static void go_back(const Scene *scene, int64_t m, const PassRoom *room)
{
    const int64_t layers = scene->layers, dim = scene->R.n[2];
    double *g = room->t, *w = room->w, *hw = room->hw;
    for (int64_t l = layers - 1; l >= 0; l--) {
        const double *R = rotation_of(scene, m, l), *z = room->z + l * dim * ABREAST;
        const Positive h = find_positive(z, dim);
        if (h.all && l == 0)
            return;
        multiply_columns(R, dim, 1, g, w, dim);
        if (h.all) { /* H = 1 makes ∂_β zero, and ∂_R symmetric */
            multiply_columns(R, 1, dim, w, g, dim);
            continue;
        }
        double *lost = room->lost + l * dim * 4;
        for (int64_t r = 0; r < dim; r++) {
            Four sum[FOURS];
            for (int v = 0; v < FOURS; v++) {
                const int64_t k = r * ABREAST + 4 * v;
                const Four at = four_at(z + k), here = four_at(w + k);
                const Four kept = (Four)((Wholes)here & (Wholes)(at > all_four(0.0)));
                sum[v] = kept - here;
                put_four(hw + k, kept);
                put_four(g + k, positive_part(at));
            }
            put_four(lost + 4 * r, four_at(lost + 4 * r) + sum_abreast(sum));
        }
        if (!h.some) /* what has been truncated wholly does not depend on the layers before */
            return;
        add_turn(z, g, w, hw, dim, room->turn + l * dim * dim);
        if (l > 0)
            multiply_columns(R, 1, dim, hw, g, dim);
    }
}

/* Add what has been summed up side by side to what comes out. */
static void end_state(const Scene *scene, int64_t m, int64_t points, int64_t watched, const PassRoom *room,
                      ClusterPass *passed)
{
    const int64_t layers = scene->layers, dim = scene->R.n[2];
    for (int64_t r = 0; r < dim; r++)
        passed->mean.at[m * dim + r] += sum_of_four(four_at(room->outputs + 4 * r));
    for (int64_t l = 0; l < layers; l++) {
        const int64_t place = m * layers + l;
        const double *R = rotation_of(scene, m, l);
        for (int64_t r = 0; r < dim; r++) {
            add_multiple(passed->gradient_beta.at + place * dim, sum_of_four(four_at(room->lost + (l * dim + r) * 4)),
                         R + r * dim, dim);
            if (!watched)
                continue;
            const double *seen = room->seen + (l * dim + r) * KINDS * 4;
            double *lowest = passed->lowest.at + place, *highest = passed->highest.at + place;
            double *nearest = passed->nearest.at + place * dim + r;
            *lowest = minimum(*lowest, least_of_four(four_at(seen + 4 * LOWEST)));
            *highest = maximum(*highest, greatest_of_four(four_at(seen + 4 * HIGHEST)));
            *nearest = minimum(*nearest, least_of_four(four_at(seen + 4 * NEAREST)));
            passed->truncated.at[place * dim + r] += points - sum_of_four(four_at(seen + 4 * UNTRUNCATED_POINTS));
        }
        add_multiple(passed->gradient_R.at + place * dim * dim, 1.0, room->turn + l * dim * dim, dim * dim);
    }
}

/* Make means of sums over all n points. */
static void finish_state(const Scene *scene, int64_t m, ClusterPass *passed)
{
    const int64_t layers = scene->layers, dim = scene->R.n[2];
    const double n = (double)scene->x.n[0];
    double around = 0.0;
    passed->loss.at[m] *= 0.5 / n;
    for (int64_t r = 0; r < dim; r++) {
        double *mean = passed->mean.at + m * dim + r;
        *mean /= n;
        around += *mean * *mean;
        *mean += passed->first.at[m * dim + r];
    }
    passed->within.at[m] = maximum(passed->within.at[m] / n - around, 0.0);
    for (int64_t k = m * layers * dim; k < (m + 1) * layers * dim; k++) {
        passed->truncated.at[k] /= n;
        passed->gradient_beta.at[k] /= n;
    }
    for (int64_t l = 0; l < layers; l++)
        make_antisymmetric(passed->gradient_R.at + (m * layers + l) * dim * dim, dim, n);
}

/* Send some points through the layers and back in one state. */
static void pass_points(const Scene *scene, int64_t m, int64_t point, int64_t points, int64_t own, int64_t watched,
                        const PassRoom *room, ClusterPass *passed)
{
    const int64_t layers = scene->layers, dim = scene->R.n[2];
    double *t = room->t, *shift = passed->first.at + m * dim;
    Four squares = all_four(0.0), second = all_four(0.0), apart = all_four(0.0);
    PinRows pins = {0, scene->pins_before.at[m]};
    begin_state(room, layers, dim);
    for (int64_t first = point; first < points; first += ABREAST) {
        const int64_t count = points - first < ABREAST ? points - first : ABREAST;
        double there[ABREAST];
        mark_places(count, there);
        set_abreast(&scene->x, first, count, t);
        if (own > 0) {
            memcpy(room->alone, t, sizeof(double) * dim * ABREAST);
            truncate_points(rotation_of(scene, m, own), bias_of(scene, m, own), room->alone, room->w, room->hw,
                            dim);
        }
        next_pins(scene, m, first, count, &pins);
        for (int64_t l = 0; l < layers; l++) {
            double *z = room->z + l * dim * ABREAST;
            truncate_points(rotation_of(scene, m, l), bias_of(scene, m, l), t, z, room->w, dim);
            if (l == 0 && own == 0)
                memcpy(room->alone, t, sizeof(double) * dim * ABREAST);
            /* The output is that of the saved state as it is; on which side a pin counts, the log says. */
            set_pinned(scene, pins, l, first, count, z);
            if (watched)
                watch_coordinates(z, there, dim, room->seen + l * dim * KINDS * 4);
        }
        if (own >= 0)
            apart = greater_of_four(apart, largest_difference(t, room->alone, dim));
        if (first == 0) /* mean and spread are summed up from the first image on, near which they all may be */
            for (int64_t a = 0; a < dim; a++)
                shift[a] = t[a * ABREAST];
        squares += take_outputs(t, there, scene->y_tilde.at, shift, dim, room->outputs, &second);
        go_back(scene, m, room);
    }
    passed->loss.at[m] += sum_of_four(squares);
    passed->within.at[m] += sum_of_four(second);
    passed->apart.at[m] = maximum(passed->apart.at[m], greatest_of_four(apart));
    end_state(scene, m, points - point, watched, room, passed);
}

/* ---- what Python calls ------------------------------------------------------------------------------------------- */

EXPORT void truncflow_cluster_pass(const Scene *scene, int64_t first_state, int64_t states, int64_t first_point,
                                   int64_t points, ClusterPass *passed, int64_t own, int64_t watched)
{
    const PassRoom room = divide_room(scene);
    for (int64_t m = first_state; m < states; m++) {
        for (int64_t point = first_point; point < points; point += SUMMED) {
            const int64_t beyond = points - point < SUMMED ? points : point + SUMMED;
            pass_points(scene, m, point, beyond, own, watched, &room, passed);
        }
        if (points == scene->x.n[0])
            finish_state(scene, m, passed);
    }
}
