/* Which coordinates of `general` can leave their sides next: each has a deadline in the way that its layer has gone.

   With x̂ = (x, 1), a coordinate z = Z_r x̂ changes over a step by at most |ΔZ_r| (|x| + κ), where |ΔZ_r| is the
   greatest way of the linear part, or 1/κ of that of the affine one, over all rows and nodes of its layer. So a
   coordinate that is at z when its layer has gone the way ρ is safe until ρ + |z| / (|x| + κ): its deadline. Only
   points with a deadline within the step are looked at, and get a new one. Deadlines up to a horizon are listed, so
   that not all are compared. */

#pragma once

#include <math.h>
#include <stdint.h>

#include "arrays.h"
#include "columns.h"
#include "polynomial.h"
#include "vector.h"

/* How many steps like the present one the horizon is away. */
static const double STEPS_LISTED = 24.0;
/* Listed are at most these times as many steps, unless there are only FEW deadlines. */
static const double TOO_MANY = 4.0;
enum { FEW = 64 };
/* The share of the step that is looked at first where there is nothing to go by, and how much longer it gets then. */
static const double FIRST_SHARE = 0x1p-12;
static const double LONGER = 8.0;
/* A coordinate this far on the wrong side, in units of its rounding error, has not got there by rounding. */
static const double MISSED = 1e4;
/* The sign of a coordinate on each side, 0 for one that is pinned. */
static const double SIGN[] = {[TRUNCATED] = -1.0, [UNTRUNCATED] = 1.0, [PINNED] = 0.0};

/* Bound the coefficients of all rows of all nodes, for each layer and order from the first on. */
static void bound_speeds(const Course *course, const Cells *cells, const Tree *tree, const Columns *cols, Watch *watch)
{
    const int64_t layers = watch->speed.n[1], last = cells->tally.at[FRAME] - 1;
    for (int64_t l = 0; l < layers; l++) {
        const int64_t count = tree->nodes.at[l + 1], first = tree->first.at[l + 1];
        for (int64_t n = 1; n <= course->order.at[0]; n++) {
            Four turns = all_four(0.0), shifts = all_four(0.0);
            double turn = 0.0, shift = 0.0;
            for (int64_t r = 0; r < cols->dim; r++) {
                const double *linear = cols->Z + (n * cols->dim + r) * cols->width + first;
                const double *affine = linear + last * count;
                /* Four nodes at a time, the last four of them in any case. */
                for (int64_t next = 4; next < count + 4 && count >= 4; next += 4) {
                    const int64_t node = (next < count ? next : count) - 4;
                    Four square = all_four(0.0);
                    for (int64_t a = node; a < last * count; a += count)
                        square += four_at(linear + a) * four_at(linear + a);
                    turns = greater_of_four(turns, square);
                    shifts = greater_of_four(shifts, sizes_of_four(four_at(affine + node)));
                }
                for (int64_t node = 0; node < count && count < 4; node++) {
                    double square = 0.0;
                    for (int64_t a = node; a < last * count; a += count)
                        square += linear[a] * linear[a];
                    turn = maximum(turn, square);
                    shift = maximum(shift, fabs(affine[node]));
                }
            }
            double *speed = watch->speed.at + (n * layers + l) * 2;
            speed[0] = sqrt(maximum(turn, greatest_of_four(turns)));
            speed[1] = maximum(shift, greatest_of_four(shifts));
        }
    }
}

/* Bound how far each layer goes on [0, h]. */
static void bound_way(const Course *course, Watch *watch, double h)
{
    const int64_t layers = watch->way.n[0];
    for (int64_t l = 0; l < layers; l++) {
        const double *speed = watch->speed.at + 2 * l;
        double *way = watch->way.at + l * WAYS;
        double turn = 0.0, shift = 0.0, power = h;
        for (int64_t n = 2; n <= course->order.at[0]; n++) {
            power *= h;
            turn += speed[2 * n * layers] * power;
            shift += speed[2 * n * layers + 1] * power;
        }
        way[WAY_REST_TURN] = turn;
        way[WAY_REST_SHIFT] = shift;
        turn += speed[2 * layers] * h;
        shift += speed[2 * layers + 1] * h;
        way[AHEAD] = maximum(turn, shift / watch->scale.at[0]) + watch->scale.at[1];
    }
}

/* Note that all layers have gone on to t of the present step. */
static void go(const Course *course, Watch *watch, double t)
{
    bound_way(course, watch, t);
    for (int64_t l = 0; l < watch->size.n[0]; l++)
        watch->way.at[l * WAYS + GONE] += watch->way.at[l * WAYS + AHEAD];
}

/* List the deadlines of a layer anew, counting its way from here. */
static void list_soon(Watch *watch, int64_t l)
{
    const int64_t points = watch->due.n[1];
    double *way = watch->way.at + l * WAYS, *due = watch->due.at + l * points;
    int64_t *soon = watch->soon.at + l * points, found = 0;
    const double gone = way[GONE], horizon = STEPS_LISTED * way[AHEAD];
    for (int64_t i = 0; i < points; i++) {
        due[i] -= gone;
        soon[found] = i; /* to be written over if it is later */
        found += due[i] <= horizon;
    }
    watch->size.at[l] = found;
    way[GONE] = 0.0;
    way[WATCHED] = horizon;
}

/* Let point i be looked at next, in this layer: it has come under another node. */
static void hurry(Watch *watch, int64_t l, int64_t i)
{
    const int64_t points = watch->due.n[1];
    double *due = watch->due.at + l * points;
    if (due[i] > watch->way.at[l * WAYS + WATCHED]) {
        int64_t *soon = watch->soon.at + l * points, place = watch->size.at[l]++;
        for (; place > 0 && soon[place - 1] > i; place--)
            soon[place] = soon[place - 1];
        soon[place] = i;
    }
    due[i] = -INFINITY;
}

/* Return the sides of the coordinates of point i in layer ℓ. */
INLINE const int8_t *sides_in(const Cloud *cloud, int64_t i, int64_t l)
{
    return cloud->pattern.at + (i * cloud->pattern.n[1] + l) * cloud->pattern.n[2];
}

/* Return the first of the columns of z_ℓ that belong to point i; the others are count apart. */
INLINE int64_t column_of(int64_t l, int64_t i, const Cloud *cloud, const Tree *tree)
{
    return tree->first.at[l + 1] + tree->node.at[(l + 1) * tree->node.n[1] + cloud->cell.at[i]];
}

/* Return the images of (x, 1) under four rows of an affine map, `apart` apart, with last + 1 entries count apart each.

   Where there are only so many `rows` to look at, the first one stands in for the others. */
INLINE Four images(const double *row, int64_t apart, int64_t rows, int64_t last, int64_t count, const double *x)
{
    const double *second = row + (rows > 1 ? apart : 0);
    const double *third = row + (rows > 2 ? 2 * apart : 0), *fourth = row + (rows > 3 ? 3 * apart : 0);
    int64_t a = last * count;
    Four total = {row[a], second[a], third[a], fourth[a]};
    a = 0;
    for (int64_t k = 0; k < last; k++, a += count)
        total += (Four){row[a], second[a], third[a], fourth[a]} * all_four(x[k]);
    return total;
}

/* Fill c (size) with ±1 times the coefficients of z_{ℓ,i,r}. */
static void series_of(int64_t l, int64_t r, int64_t i, double sign, const Cloud *cloud, const Cells *cells,
                      const Tree *tree, const Columns *cols, double *c, int64_t size)
{
    const int64_t last = cells->tally.at[FRAME] - 1, count = tree->nodes.at[l + 1];
    const double *row = cols->Z + r * cols->width + column_of(l, i, cloud, tree), *x = cloud->x.at + i * cloud->x.n[1];
    const int64_t apart = cols->dim * cols->width;
    for (int64_t n = 0; n < size; n += 4) {
        const int64_t rows = size - n < 4 ? size - n : 4;
        const Four z = images(row + n * apart, apart, rows, last, count, x);
        for (int64_t k = 0; k < rows; k++)
            c[n + k] = sign * z[k];
    }
}

/* Give point i a new deadline in layer ℓ; where it is not after `end`, write `line` (Q, 2) and return 1, else 0. */
static int look_at(int64_t l, int64_t i, double end, const Cloud *cloud, const Cells *cells, const Tree *tree,
                   const Columns *cols, Watch *watch, double *line)
{
    const int64_t dim = cloud->pattern.n[2], last = cells->tally.at[FRAME] - 1, count = tree->nodes.at[l + 1];
    const int64_t width = cols->width;
    const double *value = cols->Z + column_of(l, i, cloud, tree), *velocity = value + dim * width;
    const double *x = cloud->x.at + i * cloud->x.n[1];
    const int8_t *side = sides_in(cloud, i, l);
    double margin = INFINITY;
    for (int64_t r = 0; r < dim; r += 4) {
        const int64_t rows = dim - r < 4 ? dim - r : 4;
        const Four z = images(value + r * width, width, rows, last, count, x);
        for (int64_t k = 0; k < rows; k++) {
            line[2 * (r + k)] = z[k];
            margin = minimum(margin, side[r + k] == PINNED ? INFINITY : SIGN[side[r + k]] * z[k]);
        }
    }
    double *due = watch->due.at + l * watch->due.n[1] + i;
    *due = watch->way.at[l * WAYS + GONE] + maximum(margin, 0.0) / (cloud->length.at[i] + watch->scale.at[0]);
    if (!(*due <= end))
        return 0;
    for (int64_t r = 0; r < dim; r += 4) {
        const int64_t rows = dim - r < 4 ? dim - r : 4;
        const Four z = images(velocity + r * width, width, rows, last, count, x);
        for (int64_t k = 0; k < rows; k++)
            line[2 * (r + k) + 1] = z[k];
    }
    return 1;
}

/* List the points and layers with a coordinate that may leave its side on [0, h]. */
static void look(double h, const Course *course, const Cloud *cloud, const Cells *cells, const Tree *tree,
                 const Columns *cols, Watch *watch)
{
    const int64_t points = watch->due.n[1], dim = cloud->pattern.n[2];
    int64_t found = 0;
    bound_way(course, watch, h);
    for (int64_t l = 0; l < watch->way.n[0]; l++) {
        double *way = watch->way.at + l * WAYS;
        const double left = way[WATCHED] - way[GONE];
        const int too_many = watch->size.at[l] > FEW && left > TOO_MANY * STEPS_LISTED * way[AHEAD];
        if (too_many || way[AHEAD] > left)
            list_soon(watch, l);
        const double horizon = way[WATCHED], end = way[GONE] + way[AHEAD], *due = watch->due.at + l * points;
        const int64_t size = watch->size.at[l];
        int64_t *soon = watch->soon.at + l * points, kept = 0;
        for (int64_t entry = 0; entry < size; entry++) {
            const int64_t i = soon[entry];
            if (due[i] <= end &&
                look_at(l, i, end, cloud, cells, tree, cols, watch, watch->line.at + 2 * dim * found)) {
                watch->hit.at[2 * found] = l;
                watch->hit.at[2 * found + 1] = i;
                found++;
            }
            soon[kept] = i;
            kept += due[i] <= horizon;
        }
        watch->size.at[l] = kept;
    }
    watch->hits.at[0] = found;
}

/* Return a bound of what the orders from the second on can do to the coordinates of a hit. */
INLINE double net_rest_of(int64_t hit, const Cloud *cloud, const Watch *watch)
{
    const double *way = watch->way.at + watch->hit.at[2 * hit] * WAYS;
    return way[WAY_REST_TURN] * cloud->length.at[watch->hit.at[2 * hit + 1]] + way[WAY_REST_SHIFT];
}

/* Return the sides of the coordinates of a hit. */
INLINE const int8_t *sides_of(int64_t hit, const Cloud *cloud, const Watch *watch)
{
    return sides_in(cloud, watch->hit.at[2 * hit + 1], watch->hit.at[2 * hit]);
}

/* Return the coordinate, as hit Q + r, that leaves its side first on [0, h] if all keep their velocities; -1: none. */
static int64_t seems_first(double h, const Cloud *cloud, const Watch *watch)
{
    const int64_t dim = cloud->pattern.n[2];
    const double *line = watch->line.at;
    double soonest = h;
    int64_t lead = -1;
    for (int64_t hit = 0; hit < watch->hits.at[0]; hit++, line += 2 * dim) {
        const int8_t *side = sides_of(hit, cloud, watch);
        for (int64_t r = 0; r < dim; r++) {
            const double toward = -SIGN[side[r]] * line[2 * r + 1], distance = fabs(line[2 * r]);
            if ((toward > 0.0) & (distance < soonest * toward)) {
                soonest = distance / toward;
                lead = hit * dim + r;
            }
        }
    }
    return lead;
}

/* What has been seen of a step: no coordinate looked at leaves before `best`, this part of it, when `which` does. */
typedef struct { double best, part; int64_t which; } Sooner;

/* Note when coordinate r of a hit leaves its side, if that is before all those that have been seen, on [0, h]. */
static void settle_exit(int64_t hit, int64_t r, double h, const Course *course, const Cloud *cloud,
                        const Cells *cells, const Tree *tree, const Columns *cols, const Watch *watch,
                        int64_t *counters, Sooner *sooner)
{
    const int64_t l = watch->hit.at[2 * hit], i = watch->hit.at[2 * hit + 1], size = course->order.at[0] + 1;
    const double sign = SIGN[sides_of(hit, cloud, watch)[r]], noise = cloud->noise.at[i];
    double c[size];
    series_of(l, r, i, sign, cloud, cells, tree, cols, c, size);
    /* One that is on the wrong side by more than rounding has been missed: it changes now. */
    const double t = c[0] < -MISSED * noise ? 0.0 : first_exit(c, size, sooner->best, noise);
    if (t >= 0.0 && (t < sooner->best || sooner->which < 0)) {
        counters[1]++;
        sooner->best = t;
        sooner->part = h > 0.0 ? t / h : 1.0;
        sooner->which = hit * cloud->pattern.n[2] + r;
    }
}

/* Return whether a coordinate with this side and line may leave before all those that have been seen. */
INLINE int may_be_sooner(int8_t side, const double *line, double rest, double noise, const Sooner *sooner)
{
    const double z0 = SIGN[side] * line[0], z1 = SIGN[side] * line[1];
    /* The rest grows at least like t², so that z1 t − rest is least at one of the ends. */
    const double fall = minimum(0.0, z1 * sooner->best - rest * sooner->part * sooner->part);
    return side != PINNED && !(z0 + fall >= minimum(0.0, z0) - noise);
}

/* Return the time of the first coordinate to leave its side on [0, h]; `which` is hit Q + r, -1 if none does. */
static double net_first_within(double h, const Course *course, const Cloud *cloud, const Cells *cells,
                               const Tree *tree, const Columns *cols, Watch *watch, int64_t *counters, int64_t *which)
{
    const int64_t dim = cloud->pattern.n[2];
    look(h, course, cloud, cells, tree, cols, watch);
    const int64_t hits = watch->hits.at[0], lead = seems_first(h, cloud, watch);
    counters[0] += hits;
    Sooner sooner = {h, 1.0, -1};
    /* The one that seems to be first makes the stretch short on which the others have to be looked at. */
    for (int64_t turn = lead < 0 ? 0 : -1; turn < hits; turn++) {
        const int64_t hit = turn < 0 ? lead / dim : turn;
        const double rest = net_rest_of(hit, cloud, watch), noise = cloud->noise.at[watch->hit.at[2 * hit + 1]];
        const double *line = watch->line.at + 2 * hit * dim;
        const int8_t *side = sides_of(hit, cloud, watch);
        for (int64_t r = 0; r < dim; r++)
            if (may_be_sooner(side[r], line + 2 * r, rest, noise, &sooner) && (hit * dim + r == lead) == (turn < 0))
                settle_exit(hit, r, h, course, cloud, cells, tree, cols, watch, counters, &sooner);
    }
    *which = sooner.which;
    return sooner.best;
}

/* Return the time of the first coordinate to leave its side on [0, h]; `which` is hit Q + r, -1 if none does.

   One that is found on a short stretch saves looking at those that come later: on [0, soon], or on shorter ones if
   that is all. counters (2,) counts the points looked at and the crossings located. */
static double net_first_crossing(double h, double soon, const Course *course, const Cloud *cloud, const Cells *cells,
                                 const Tree *tree, const Columns *cols, Watch *watch, int64_t *counters,
                                 int64_t *which)
{
    bound_speeds(course, cells, tree, cols, watch);
    double end = soon < h ? soon : FIRST_SHARE * h;
    for (;;) {
        const double t = net_first_within(end, course, cloud, cells, tree, cols, watch, counters, which);
        if (*which >= 0 || end >= h)
            return t;
        end = minimum(LONGER * end, h);
    }
}
