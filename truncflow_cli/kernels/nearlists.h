/* Lists of the coordinates that are within reach, one in the other, see nearby.h: how they are made.

   List `level` holds the coordinates with |z_{i,r}| ≤ skin (|x_i| + c), c being Near.scale[RATIO]. The longest is made
   from all points, each of the others from the next longer one. They lie one behind the other in Near.pool as pairs
   (i, r), with the z that they had when the list was made in Near.z; Near.state has (R, b) of that time. */

#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "arrays.h"
#include "coordinates.h"
#include "travel.h"
#include "turning.h"
#include "vector.h"

/* Each list reaches this many times as far as the next shorter one. */
static const double WIDER = 6.0;
/* Most lists there can be. */
enum { LEVELS = 10 };
/* Entries of a list that are looked at together. */
enum { ENTRIES_TOGETHER = 256 };

/* Return how far list `level` reaches if the shortest has this skin. */
static double wider(double skin, int64_t level)
{
    for (int64_t k = 0; k < level; k++)
        skin *= WIDER;
    return skin;
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

/* The lengths of points are asked for this many entries before they are needed: those of very many are not near. */
enum { LENGTHS_AHEAD = 24 };

/* Fill kept with those of the entries [first, end) of a list whose z was at most so much |x| and so much more, as told
   for each coordinate by reach[r][0] and reach[r][1]; return how many there are. */
INLINE int64_t keep_entries(const Points *points, const Near *near, int64_t first, int64_t end,
                            double (*reach)[2], int64_t *kept)
{
    const uint32_t *pool = near->pool.at;
    int64_t count = 0;
    for (int64_t entry = first; entry < end; entry++) {
        const int64_t i = pool[2 * entry], r = pool[2 * entry + 1];
        if (entry + LENGTHS_AHEAD < end)
            __builtin_prefetch(points->length.at + pool[2 * (entry + LENGTHS_AHEAD)]);
        kept[count] = entry;
        count += fabs(near->z.at[entry]) <= reach[r][0] * points->length.at[i] + reach[r][1];
    }
    return count;
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
