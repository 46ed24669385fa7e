/* Every crossing of a step over many of them, on a trajectory that is given.

   Each coordinate's series is a sum over the Q+1 entries of (x_i, 1). Most coordinates start clearly on their side and
   fall throughout, see falling.h: these wait until there are enough of them to be solved together. All others go
   through the search that misses no root, see polynomial.h, once for each crossing that they have. */

#pragma once

#include <stdint.h>
#include <string.h>

#include "arrays.h"
#include "batchhits.h"
#include "coordinates.h"
#include "falling.h"
#include "nearlists.h"
#include "polynomial.h"
#include "turning.h"
#include "vector.h"

/* Crossings of one coordinate in one step; more of them are a sign that it does not just pass. */
enum { OFTEN = 4 };

/* The series of all coordinates, one row of them after the other: that of z_{i,r} is the sum of the Q+1 lines of block
   r of `at`, each `width` long, times (x_i, 1). */
typedef struct { double *at; int64_t width, terms; } Turned;

/* Return the series in that order, in the memory of work.rows. */
static Turned turned_series(const Motion *motion, Work *work)
{
    const int64_t dim = motion->b.n[1], terms = motion->order.at[0] + 1;
    int64_t width = padded(terms);
    if (width > motion->energy.n[0])
        width = terms;
    const Turned turned = {work->rows.at, width, terms};
    for (int64_t r = 0; r < dim; r++)
        for (int64_t a = 0; a <= dim; a++) {
            double *line = turned.at + (r * (dim + 1) + a) * width;
            for (int64_t n = 0; n < width; n++)
                if (n >= terms)
                    line[n] = 0.0;
                else
                    line[n] = a < dim ? motion->R.at[(n * dim + r) * dim + a] : motion->b.at[n * dim + r];
        }
    return turned;
}

/* Fill c from `first` on, 4 `across` coefficients of the series of z_{i,r}. */
INLINE void turned_coefficients(const double *block, int64_t width, const double *x, int64_t dim, int64_t first,
                                int across, double *c)
{
    Four sums[3];
    for (int v = 0; v < across; v++)
        sums[v] = four_at(block + dim * width + first + 4 * v);
    for (int64_t a = 0; a < dim; a++) {
        const Four w = all_four(x[a]);
        for (int v = 0; v < across; v++)
            sums[v] = multiply_add(w, four_at(block + a * width + first + 4 * v), sums[v]);
    }
    for (int v = 0; v < across; v++)
        put_four(c + first + 4 * v, sums[v]);
}

/* Fill c (width) with the series of z_{i,r}. */
INLINE void turned_coordinate(Turned turned, const double *x, int64_t dim, int64_t r, double *c)
{
    const double *block = turned.at + r * (dim + 1) * turned.width;
    int64_t n = 0;
    for (; n + 12 <= turned.width; n += 12)
        turned_coefficients(block, turned.width, x, dim, n, 3, c);
    for (; n + 8 <= turned.width; n += 8)
        turned_coefficients(block, turned.width, x, dim, n, 2, c);
    for (; n + 4 <= turned.width; n += 4)
        turned_coefficients(block, turned.width, x, dim, n, 1, c);
    for (; n < turned.width; n++) {
        c[n] = block[dim * turned.width + n];
        for (int64_t a = 0; a < dim; a++)
            c[n] += x[a] * block[a * turned.width + n];
    }
}

/* Note crossing number `times` of a coordinate that was on `side`, if there is room. */
INLINE void put_crossing(Batch *batch, int64_t found, double t, int64_t entry, int8_t side, int times)
{
    if (found < batch->time.n[0]) {
        batch->time.at[found] = t;
        batch->entry.at[found] = entry;
        batch->side.at[found] = (int8_t)(times % 2 == 0 ? side : UNTRUNCATED + TRUNCATED - side);
    }
}

/* Coordinates that wait for their roots to be found together: c[n][k] is a coefficient of the k-th. */
typedef struct {
    double *c;
    double noise[TOGETHER];
    int64_t entry[TOGETHER];
    int8_t side[TOGETHER];
    int waiting;
} Falling;

/* List the crossings of a coordinate with series c (terms); return how many are listed then, -1 if it goes on. */
static int64_t locate_alone(const double *c, int64_t terms, double h, double noise, int64_t entry, int8_t side,
                            int64_t found, Batch *batch)
{
    double moved[terms], t = 0.0, turned = 1.0;
    int times = 0;
    do {
        t = next_exit(c, terms, t, h, turned, noise, moved);
        if (t < 0.0)
            break;
        times++;
        if (times > OFTEN)
            return -1;
        put_crossing(batch, found++, t, entry, side, times);
        turned = -turned;
    } while (t < h);
    return found;
}

/* List the crossings of the coordinates that wait; return how many are listed then, -1 if one keeps crossing. */
static int64_t locate_together(Falling *falling, int64_t terms, double h, int64_t found, Batch *batch)
{
    Wholes falls[2];
    double root[TOGETHER], c[terms];
    const int waiting = falling->waiting;
    falling->waiting = 0;
    fall_throughout(falling->c, terms, h, falls);
    roots_of_falling(falling->c, terms, h, falls, root);
    for (int k = 0; k < waiting; k++) {
        if (falls[k / 4][k % 4]) {
            if (root[k] >= 0.0)
                put_crossing(batch, found++, root[k], falling->entry[k], falling->side[k], 1);
            continue;
        }
        for (int64_t n = 0; n < terms; n++)
            c[n] = falling->c[n * TOGETHER + k];
        found = locate_alone(c, terms, h, falling->noise[k], falling->entry[k], falling->side[k], found, batch);
        if (found < 0)
            return -1;
    }
    return found;
}

/* List the crossings of all hits on [0, h]; return how many there are, or -1 if one keeps crossing. */
static int64_t locate(const Points *points, const Motion *motion, Work *work, double h, const Near *near, Batch *batch)
{
    const int64_t dim = points->x.n[1], hits = near->tally.at[HITS];
    const Turned turned = turned_series(motion, work);
    const int64_t terms = turned.terms;
    double c[turned.width], abreast[terms * TOGETHER];
    Falling falling = {.c = abreast, .waiting = 0};
    memset(abreast, 0, sizeof abreast);
    int64_t found = 0;
    for (int64_t first = 0; first < hits; first += ENTRIES_TOGETHER) {
        int64_t likely[ENTRIES_TOGETHER];
        const int64_t end = hits - first < ENTRIES_TOGETHER ? hits : first + ENTRIES_TOGETHER;
        const int64_t count = likely_to_cross(points, motion, h, near, first, end, likely);
        for (int64_t k = 0; k < count && found >= 0; k++) {
            const int64_t entry = near->hit.at[likely[k]];
            const int64_t i = near->pool.at[2 * entry], r = near->pool.at[2 * entry + 1];
            const int8_t side = points->pattern.at[i * dim + r];
            const double sign = sign_of(side);
            const double noise = noise_of(points, motion, i, r);
            turned_coordinate(turned, points->x.at + i * dim, dim, r, c);
            if (!(sign * near->line.at[2 * likely[k]] > noise)) {
                for (int64_t n = 0; n < terms; n++)
                    c[n] *= sign;
                found = locate_alone(c, terms, h, noise, entry, side, found, batch);
                continue;
            }
            const int place = falling.waiting++;
            for (int64_t n = 0; n < terms; n++)
                abreast[n * TOGETHER + place] = sign * c[n];
            falling.noise[place] = noise;
            falling.entry[place] = entry;
            falling.side[place] = side;
            if (falling.waiting == TOGETHER)
                found = locate_together(&falling, terms, h, found, batch);
        }
    }
    return found < 0 ? -1 : locate_together(&falling, terms, h, found, batch);
}
