/* The few surfaces that can be reached soon: lists within lists, as molecular dynamics keeps them (Verlet skin).

   While the rows of R have moved by at most D and b by at most c D, a coordinate has moved by at most
   |Δz_{i,r}| ≤ D (|x_i| + c). So a list of all coordinates with |z| ≤ skin (|x| + c) misses nothing as long as
   D ≤ skin. The shortest list reaches a few steps far; it is made anew from one that reaches further, that from the
   next, and the longest one, rarely, from all points: the work per step hardly depends on how many there are. */

#pragma once

#include <float.h>
#include <math.h>
#include <stdint.h>

#include "arrays.h"
#include "vector.h"

/* Rounding error of a coordinate z, in units of |x| + |b|. */
#define NOISE (32 * DBL_EPSILON)
/* The shortest list reaches this many times as far as the present step. */
static const double SKIN = 3.0;
/* Each list reaches this many times as far as the next shorter one. */
static const double WIDER = 6.0;
/* Most lists there can be; below this many entries a list is never too long. */
enum { LEVELS = 10, SHORT = 32 };
/* Points that are looked at together: this many, or as many as have this many coordinates, and how many of their
   coordinates at once. */
enum { POINTS_TOGETHER = 64, COORDINATES_TOGETHER = 2048, ROWS_TOGETHER = 8 };
/* Entries of a list that are looked at together. */
enum { ENTRIES_TOGETHER = 256 };

/* Return how far list `level` reaches if the shortest has this skin. */
static double wider(double skin, int64_t level)
{
    for (int64_t k = 0; k < level; k++)
        skin *= WIDER;
    return skin;
}

/* Bound how far R_r and b_r get from the start of the step on [0, h], and the share of orders ≥ 2 in that. */
static void travel(const Motion *motion, double h, Near *near)
{
    const int64_t dim = motion->b.n[1], order = motion->order.at[0];
    const double *turns = motion->turn.at, *shifts = motion->b.at;
    double *bound = near->bound.at;
    double power[order + 2];
    near->scale.at[HORIZON] = h;
    power[1] = h;
    for (int64_t n = 2; n <= order; n++)
        power[n] = power[n - 1] * h;
    int64_t r = 0;
    for (; r + 4 <= dim; r += 4) {
        Four turn = all_four(0.0), shift = all_four(0.0);
        for (int64_t n = 2; n <= order; n++) {
            turn = multiply_add(four_at(turns + n * dim + r), all_four(power[n]), turn);
            shift = multiply_add(sizes_of_four(four_at(shifts + n * dim + r)), all_four(power[n]), shift);
        }
        put_four(bound + REST_TURN * dim + r, turn);
        put_four(bound + REST_SHIFT * dim + r, shift);
    }
    for (; r < dim; r++) {
        double turn = 0.0, shift = 0.0;
        for (int64_t n = 2; n <= order; n++) {
            turn += turns[n * dim + r] * power[n];
            shift += fabs(shifts[n * dim + r]) * power[n];
        }
        bound[REST_TURN * dim + r] = turn;
        bound[REST_SHIFT * dim + r] = shift;
    }
    for (r = 0; r < dim; r++) {
        const double turn = bound[REST_TURN * dim + r] + turns[dim + r] * h;
        const double shift = bound[REST_SHIFT * dim + r] + fabs(shifts[dim + r]) * h;
        bound[STEP_TURN * dim + r] = bound[TURN * dim + r] = turn;
        bound[STEP_SHIFT * dim + r] = bound[SHIFT * dim + r] = shift;
    }
}

/* Return |a − b|². */
INLINE double squared_distance(const double *a, const double *b, int64_t size)
{
    Four sums = all_four(0.0);
    int64_t k = 0;
    for (; k + 4 <= size; k += 4) {
        const Four apart = four_at(a + k) - four_at(b + k);
        sums = multiply_add(apart, apart, sums);
    }
    double total = sum_of_four(sums);
    for (; k < size; k++)
        total += (a[k] - b[k]) * (a[k] - b[k]);
    return total;
}

/* Fill turn and shift (Q,) with how far R_r and b_r are from where they were when list `level` was made. */
static void displacements(const Motion *motion, const Near *near, int64_t level, double *turn, double *shift)
{
    const int64_t dim = motion->b.n[1];
    const double *state = near->state.at + level * dim * (dim + 1);
    for (int64_t r = 0; r < dim; r++) {
        turn[r] = squared_distance(state + r * (dim + 1), motion->R.at + r * dim, dim);
        shift[r] = fabs(motion->b.at[r] - state[r * (dim + 1) + dim]);
    }
    for (int64_t r = 0; r < dim; r++)
        turn[r] = sqrt(turn[r]);
}

/* Add the displacement since the chosen list was made to the bounds over the step. */
static void add_displacement(const Motion *motion, Near *near)
{
    const int64_t dim = motion->b.n[1];
    double turn[dim], shift[dim];
    displacements(motion, near, near->tally.at[LEVEL], turn, shift);
    for (int64_t r = 0; r < dim; r++) {
        near->bound.at[TURN * dim + r] += turn[r];
        near->bound.at[SHIFT * dim + r] += shift[r];
    }
}

/* Return how far list `level` still reaches from the present state, after `share` of the step's bounds. */
static double room_left(const Motion *motion, const Near *near, int64_t level, double share)
{
    const int64_t dim = motion->b.n[1];
    double turn[dim], shift[dim];
    displacements(motion, near, level, turn, shift);
    double turned = 0.0, shifted = 0.0;
    for (int64_t r = 0; r < dim; r++) {
        turned = maximum(turn[r] + share * near->bound.at[TURN * dim + r], turned);
        shifted = maximum(shift[r] + share * near->bound.at[SHIFT * dim + r], shifted);
    }
    return near->skin.at[level] - maximum(shifted / near->scale.at[RATIO], turned);
}

/* Return c: how far b moves for one unit that the rows of R do, within reason. */
static double typical_ratio(const Points *points, double turn, double shift, double largest)
{
    const int64_t size = points->length.n[0];
    const double *length = points->length.at;
    double longest[4] = {0.0, 0.0, 0.0, 0.0};
    int64_t i = 0;
    for (; i + 4 <= size; i += 4)
        for (int64_t k = 0; k < 4; k++)
            longest[k] = maximum(length[i + k], longest[k]);
    for (; i < size; i++)
        longest[0] = maximum(length[i], longest[0]);
    double extent = maximum(maximum(longest[0], longest[1]), maximum(longest[2], longest[3]));
    extent = maximum(extent, 1e-3 * largest);
    if (extent == 0.0)
        extent = 1.0;
    if (turn > 0.0)
        return minimum(maximum(shift / turn, 1e-3 * extent), 1e3 * extent);
    return 1e3 * extent;
}

/* Write an entry of a list, if there is room. */
INLINE void put_entry(Near *near, int64_t put, int64_t i, int64_t r, double z)
{
    if (put < near->z.n[0]) {
        near->pool.at[2 * put] = (uint32_t)i;
        near->pool.at[2 * put + 1] = (uint32_t)r;
        near->z.at[put] = z;
    }
}

/* Note that list `level` ends before pool entry `end`, and where it was made. */
static void end_list(const Motion *motion, int64_t level, int64_t end, double skin, Near *near)
{
    const int64_t dim = motion->b.n[1];
    double *state = near->state.at + level * dim * (dim + 1);
    near->place.at[2 * level + 1] = end;
    near->skin.at[level] = skin;
    for (int64_t r = 0; r < dim; r++) {
        memcpy(state + r * (dim + 1), motion->R.at + r * dim, sizeof(double) * dim);
        state[r * (dim + 1) + dim] = motion->b.at[r];
    }
    if (end > near->z.n[0]) {
        near->tally.at[TOP] = -1;
        near->tally.at[NEEDS] = end;
    }
}

/* Fill kept with those of the entries [first, end) of a list whose z was at most so much |x| and so much more, as told
   for each coordinate by reach[r][0] and reach[r][1]; return how many there are. */
INLINE int64_t keep_entries(const Points *points, const Near *near, int64_t first, int64_t end,
                            double (*reach)[2], int64_t *kept)
{
    const uint32_t *pool = near->pool.at;
    int64_t count = 0;
    for (int64_t entry = first; entry < end; entry++) {
        const int64_t i = pool[2 * entry], r = pool[2 * entry + 1];
        kept[count] = entry;
        count += fabs(near->z.at[entry]) <= reach[r][0] * points->length.at[i] + reach[r][1];
    }
    return count;
}

/* Fill z with order n of z_{i,r} = R_r x_i + b_r for each of these entries, four at a time. */
static void coordinates_of(const Points *points, const Motion *motion, int64_t n, const Near *near,
                           const int64_t *entries, int64_t count, double *z)
{
    const int64_t dim = motion->b.n[1], rest = dim % 4;
    const double *R = motion->R.at + n * dim * dim, *b = motion->b.at + n * dim;
    for (int64_t first = 0; first < count; first += 4) {
        const double *x[4], *row[4];
        double shift[4];
        for (int64_t k = 0; k < 4; k++) {
            const uint32_t *entry = near->pool.at + 2 * entries[first + k < count ? first + k : count - 1];
            x[k] = points->x.at + (int64_t)entry[0] * dim;
            row[k] = R + (int64_t)entry[1] * dim;
            shift[k] = b[entry[1]];
        }
        double four[4];
        if (dim >= 4) {
            Four sums[4];
            for (int k = 0; k < 4; k++)
                sums[k] = four_at(row[k]) * four_at(x[k]);
            for (int64_t a = 4; a < dim - rest; a += 4)
                for (int k = 0; k < 4; k++)
                    sums[k] = multiply_add(four_at(row[k] + a), four_at(x[k] + a), sums[k]);
            if (rest > 0)
                for (int k = 0; k < 4; k++)
                    sums[k] = multiply_add(four_at(row[k] + dim - 4),
                                           last_of_four(four_at(x[k] + dim - 4), rest), sums[k]);
            put_four(four, four_at(shift) + four_sums(sums[0], sums[1], sums[2], sums[3]));
        } else
            for (int k = 0; k < 4; k++)
                four[k] = shift[k] + along(row[k], x[k], dim);
        if (first + 4 <= count)
            put_four(z + first, four_at(four));
        else
            memcpy(z + first, four, sizeof(double) * (count - first));
    }
}

/* Make the lists below `source` anew, each from the next longer one; return whether there was room. */
static int shorten(const Points *points, const Motion *motion, int64_t source, double wanted, Near *near)
{
    const int64_t dim = motion->b.n[1];
    const double *b = motion->b.at, *length = points->length.at;
    const double ratio = near->scale.at[RATIO];
    double reach[dim][2], turn[dim], shift[dim];
    double room = room_left(motion, near, source, 0.0);
    displacements(motion, near, source, turn, shift);
    for (int64_t level = source - 1; level >= 0; level--) {
        const double skin = minimum(wider(wanted, level), room);
        const int64_t first = near->place.at[2 * level + 2], end = near->place.at[2 * level + 3];
        int64_t put = end;
        near->place.at[2 * level] = put;
        if (level == source - 1) {
            /* From where it was, most of the long list cannot have come close enough. */
            for (int64_t r = 0; r < dim; r++) {
                reach[r][0] = skin + turn[r] + 4 * NOISE;
                reach[r][1] = skin * ratio + shift[r] + 4 * NOISE * fabs(b[r]);
            }
            for (int64_t start = first; start < end; start += ENTRIES_TOGETHER) {
                int64_t kept[ENTRIES_TOGETHER];
                double z[ENTRIES_TOGETHER];
                const int64_t stop = end - start < ENTRIES_TOGETHER ? end : start + ENTRIES_TOGETHER;
                const int64_t count = keep_entries(points, near, start, stop, reach, kept);
                coordinates_of(points, motion, 0, near, kept, count, z);
                for (int64_t k = 0; k < count; k++) {
                    const int64_t i = near->pool.at[2 * kept[k]];
                    if (fabs(z[k]) <= skin * (length[i] + ratio))
                        put_entry(near, put++, i, near->pool.at[2 * kept[k] + 1], z[k]);
                }
            }
        } else {
            /* The longer list has just been made: its z are the present ones. */
            for (int64_t entry = first; entry < end; entry++) {
                const int64_t i = near->pool.at[2 * entry], r = near->pool.at[2 * entry + 1];
                const double z = near->z.at[entry];
                if (fabs(z) <= skin * (length[i] + ratio))
                    put_entry(near, put++, i, r, z);
            }
        }
        end_list(motion, level, put, skin, near);
        if (put > near->z.n[0])
            return 0;
        room = skin;
    }
    return 1;
}

/* Return how many numbers a row of Z is long that holds Q coordinates: a multiple of four. */
INLINE int64_t padded(int64_t dim)
{
    return (dim + 3) / 4 * 4;
}

/* Fill some columns of Z for some points, see turn_points: `fours` fours of columns, of `together` points. */
INLINE void turn_some(const double *x, const double *columns, const double *b, double *Z, int64_t dim, int64_t width,
                      int fours, int together)
{
    Four sums[4][2];
    for (int k = 0; k < together; k++)
        for (int v = 0; v < fours; v++)
            sums[k][v] = four_at(b + 4 * v);
    for (int64_t a = 0; a < dim; a++)
        for (int k = 0; k < together; k++)
            for (int v = 0; v < fours; v++)
                sums[k][v] = multiply_add(all_four(x[k * dim + a]), four_at(columns + (a * fours + v) * 4), sums[k][v]);
    for (int k = 0; k < together; k++)
        for (int v = 0; v < fours; v++)
            put_four(Z + k * width + 4 * v, sums[k][v]);
}

/* The same for all of `count` points. */
INLINE void turn_columns(const double *x, int64_t count, const double *columns, const double *b, double *Z,
                         int64_t dim, int64_t width, int fours)
{
    int64_t k = 0;
    for (; k + 4 <= count; k += 4)
        turn_some(x + k * dim, columns, b, Z + k * width, dim, width, fours, 4);
    for (; k < count; k++)
        turn_some(x + k * dim, columns, b, Z + k * width, dim, width, fours, 1);
}

/* Fill the rows of Z, each followed by `padding`, with x Rᵀ + b, for `count` points x. */
static void turn_points(const double *x, int64_t count, const double *R, const double *b, int64_t dim, double padding,
                        double *Z)
{
    const int64_t width = padded(dim);
    double columns[dim * ROWS_TOGETHER];
    for (int64_t first = 0; first < width; first += ROWS_TOGETHER) {
        const int64_t wide = width - first < ROWS_TOGETHER ? 4 : ROWS_TOGETHER;
        double shift[ROWS_TOGETHER];
        for (int64_t r = 0; r < wide; r++) {
            const int real = first + r < dim;
            shift[r] = real ? b[first + r] : padding;
            for (int64_t a = 0; a < dim; a++)
                columns[a * wide + r] = real ? R[(first + r) * dim + a] : 0.0;
        }
        if (wide == 4)
            turn_columns(x, count, columns, shift, Z + first, dim, width, 1);
        else
            turn_columns(x, count, columns, shift, Z + first, dim, width, 2);
    }
}

/* Return how many points are looked at together. */
INLINE int64_t together(int64_t dim)
{
    const int64_t count = COORDINATES_TOGETHER / padded(dim);
    return count > POINTS_TOGETHER ? count : POINTS_TOGETHER;
}

/* Fill counts (LEVELS,) with how many coordinates each list would hold if the shortest went up to skin `first`; return
   from which level on they would be too long to be worth while, and are not counted. */
static int64_t count_levels(const Points *points, const Motion *motion, double first, double ratio, int64_t *counts)
{
    const int64_t size = points->x.n[0], dim = points->x.n[1], width = padded(dim), step = together(dim);
    double Z[step * width];
    int64_t limit = LEVELS;
    memset(counts, 0, sizeof(int64_t) * LEVELS);
    for (int64_t start = 0; start < size; start += step) {
        const int64_t count = size - start < step ? size - start : step;
        Wholes inside[LEVELS];
        memset(inside, 0, sizeof inside);
        turn_points(points->x.at + start * dim, count, motion->R.at, motion->b.at, dim, INFINITY, Z);
        for (int64_t k = 0; k < count; k++) {
            double wide = first * (points->length.at[start + k] + ratio);
            for (int64_t level = 0; level < limit; level++, wide *= WIDER)
                for (int64_t r = 0; r < width; r += 4)
                    inside[level] -= (Wholes)(sizes_of_four(four_at(Z + k * width + r)) <= all_four(wide));
        }
        for (int64_t level = 0; level < limit; level++)
            counts[level] += (inside[level][0] + inside[level][1]) + (inside[level][2] + inside[level][3]);
        while (limit > 1 && (double)counts[limit - 1] * WIDER > (double)(size * dim))
            limit--;
    }
    return limit;
}

/* Choose how many lists there are and make the longest; return whether there was room for all of them.

   The shortest has skin `first`. There are as many as are worth while: the longest is a small part of the whole. */
static int list_all(const Points *points, const Motion *motion, double first, Near *near)
{
    const int64_t size = points->x.n[0], dim = points->x.n[1], width = padded(dim), step = together(dim);
    const double ratio = near->scale.at[RATIO];
    int64_t counts[LEVELS];
    const int64_t top = count_levels(points, motion, first, ratio, counts) - 1;
    int64_t needs = 0;
    for (int64_t level = 0; level <= top; level++)
        needs += counts[level];
    near->tally.at[NEEDS] = needs;
    near->tally.at[TOP] = -1;
    if (needs > near->z.n[0])
        return 0;
    const double skin = wider(first, top);
    double Z[step * width];
    int64_t inside[width], put = 0;
    for (int64_t start = 0; start < size; start += step) {
        const int64_t count = size - start < step ? size - start : step;
        turn_points(points->x.at + start * dim, count, motion->R.at, motion->b.at, dim, INFINITY, Z);
        for (int64_t k = 0; k < count; k++) {
            const double *z = Z + k * width;
            const double wide = skin * (points->length.at[start + k] + ratio);
            int64_t found = 0;
            for (int64_t r = 0; r < dim; r++) {
                inside[found] = r;
                found += fabs(z[r]) <= wide;
            }
            for (int64_t n = 0; n < found; n++)
                put_entry(near, put++, start + k, inside[n], z[inside[n]]);
        }
    }
    near->tally.at[TOP] = top;
    near->place.at[2 * top] = 0;
    end_list(motion, top, put, skin, near);
    return 1;
}

/* Choose a list that holds every coordinate that [0, h] can bring to zero; return whether there is one.

   It is level 0 if it is to be the `shortest`, which is made anew if need be, else whichever suffices. Without success,
   the pool has less room than tally[NEEDS], and there are no lists. */
static int look_around(const Points *points, const Motion *motion, double h, int shortest, Near *near)
{
    const int64_t dim = motion->b.n[1];
    const double *bound = near->bound.at;
    int64_t *tally = near->tally.at;
    travel(motion, h, near);
    double turn = 0.0, shift = 0.0, largest = 0.0;
    for (int64_t r = 0; r < dim; r++) {
        turn = maximum(bound[TURN * dim + r], turn);
        shift = maximum(bound[SHIFT * dim + r], shift);
        largest = maximum(fabs(motion->b.at[r]), largest);
    }
    const int64_t top = tally[TOP];
    int64_t source = 0;
    double wanted = 0.0;
    if (top >= 0) {
        const double ratio = near->scale.at[RATIO];
        const double floor = 8 * NOISE * maximum(1.0, largest / ratio);
        wanted = SKIN * maximum(turn, shift / ratio) + floor;
        const int wide =
            near->place.at[1] - near->place.at[0] > SHORT && near->skin.at[0] > WIDER * WIDER * wanted;
        const int64_t last = shortest ? 0 : top;
        for (int64_t level = shortest && wide ? 1 : 0; level <= last; level++)
            if (room_left(motion, near, level, 1.0) >= floor) {
                tally[LEVEL] = level;
                return 1;
            }
        tally[REFRESHES]++;
        double reach = wanted;
        for (int64_t level = 1; level <= top && source == 0; level++) {
            const int enough = room_left(motion, near, level, 0.0) >= 0.5 * reach;
            reach *= WIDER;
            if (enough && near->skin.at[level] <= WIDER * WIDER * reach)
                source = level;
        }
    }
    if (source == 0) {
        tally[REFRESHES] += top < 0;
        const double ratio = typical_ratio(points, turn, shift, largest);
        near->scale.at[RATIO] = ratio;
        wanted = SKIN * maximum(turn, shift / ratio) + 8 * NOISE * maximum(1.0, largest / ratio);
        if (!list_all(points, motion, wanted, near))
            return 0;
        source = tally[TOP];
    }
    tally[LEVEL] = 0;
    return shorten(points, motion, source, wanted, near);
}
