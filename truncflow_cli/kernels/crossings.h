/* Which of the near coordinates leaves its side first, and when those that are only watched cross. */

#pragma once

#include <math.h>
#include <stdint.h>

#include "arrays.h"
#include "coordinates.h"
#include "nearby.h"
#include "nearlists.h"
#include "polynomial.h"
#include "travel.h"

/* List the entries of the chosen list that the step can bring to zero, with value and velocity. */
static void gather_hits(const Points *points, const Motion *motion, Near *near)
{
    const int64_t dim = motion->b.n[1], level = near->tally.at[LEVEL];
    const int64_t first = near->place.at[2 * level], end = near->place.at[2 * level + 1];
    const double *bound = near->bound.at, *b = motion->b.at;
    /* How far each coordinate gets, since the list was made and over the step alone: so much |x|, and so much more. */
    double since[dim][2], within[dim][2];
    for (int64_t r = 0; r < dim; r++) {
        const double noise = 4 * NOISE * fabs(b[r]);
        since[r][0] = bound[TURN * dim + r] + 4 * NOISE;
        since[r][1] = bound[SHIFT * dim + r] + noise;
        within[r][0] = bound[STEP_TURN * dim + r] + 4 * NOISE;
        within[r][1] = bound[STEP_SHIFT * dim + r] + noise;
    }
    int64_t found = 0, *hit = near->hit.at;
    double *line = near->line.at;
    for (int64_t start = first; start < end; start += ENTRIES_TOGETHER) {
        int64_t kept[ENTRIES_TOGETHER];
        double z[ENTRIES_TOGETHER];
        const int64_t stop = end - start < ENTRIES_TOGETHER ? end : start + ENTRIES_TOGETHER;
        const int64_t count = keep_entries(points, near, start, stop, since, kept), before = found;
        /* The list tells where z was; from where it is, fewer can reach zero. */
        coordinates_of(points, motion, 0, near, kept, count, z);
        for (int64_t k = 0; k < count; k++) {
            const int64_t i = near->pool.at[2 * kept[k]], r = near->pool.at[2 * kept[k] + 1];
            hit[found] = kept[k];
            line[2 * found] = z[k];
            found += fabs(z[k]) <= within[r][0] * points->length.at[i] + within[r][1];
        }
        coordinates_of(points, motion, 1, near, hit + before, found - before, z);
        for (int64_t k = before; k < found; k++)
            line[2 * k + 1] = z[k - before];
    }
    near->tally.at[HITS] = found;
}

/* Return the time of the first own coordinate to leave its side on [0, h], *which being its hit; h, and -1, if none
   does. */
static double first_within(const Points *points, Motion *motion, double h, Near *near, int64_t *counters,
                           int64_t *which)
{
    add_displacement(motion, near);
    gather_hits(points, motion, near);
    const int64_t own = points->weight.n[0], dim = motion->b.n[1], hits = near->tally.at[HITS];
    const uint32_t *pool = near->pool.at;
    const int64_t *hit = near->hit.at;
    const double *line = near->line.at;
    counters[0] += hits;
    /* The one that seems to be first makes the stretch short on which the others have to be looked at. */
    int64_t lead = -1;
    double soonest = h;
    for (int64_t k = 0; k < hits; k++) {
        const int64_t i = pool[2 * hit[k]], r = pool[2 * hit[k] + 1];
        const int8_t side = points->pattern.at[i * dim + r];
        if (i >= own || side == PINNED)
            continue;
        const double toward = side == UNTRUNCATED ? -line[2 * k + 1] : line[2 * k + 1];
        const double distance = fabs(line[2 * k]);
        if (toward > 0.0 && distance < soonest * toward) {
            soonest = distance / toward;
            lead = k;
        }
    }
    double best = h;
    *which = -1;
    double *c = motion->line.at;
    const int64_t size = motion->order.at[0] + 1;
    for (int64_t turn = lead >= 0 ? -1 : 0; turn < hits; turn++) {
        if (turn == lead)
            continue;
        const int64_t k = turn < 0 ? lead : turn;
        const int64_t i = pool[2 * hit[k]], r = pool[2 * hit[k] + 1];
        const int8_t side = points->pattern.at[i * dim + r];
        if (i >= own || side == PINNED)
            continue;
        const double sign = sign_of(side);
        const double noise = noise_of(points, motion, i, r);
        const double z0 = sign * line[2 * k], z1 = sign * line[2 * k + 1];
        const double part = h > 0.0 ? best / h : 1.0;
        if (lowest(z0, z1, rest_of(points, near, i, r) * part * part, best) >= minimum(0.0, z0) - noise)
            continue;
        coordinate_series(points, motion, i, r, sign, c, size);
        const double t = first_exit(c, size, best, noise);
        if (t >= 0.0 && (t < best || *which < 0)) {
            counters[1]++;
            best = t;
            *which = k;
        }
    }
    return best;
}

/* Return the time of the first own coordinate to leave its side on [0, h], *which being its hit; h, and -1, if none
   does.

   If one is likely to be found on [0, soon], fewer have to be looked at. `counters` (2,) counts the coordinates looked
   at and the crossings located. The hit is -2 where the near lists need more room. */
static double first_crossing(const Points *points, Motion *motion, double h, double soon, Near *near,
                             int64_t *counters, int64_t *which)
{
    double t = h;
    *which = -1;
    near->tally.at[HITS] = 0;
    for (int stage = soon < h ? 0 : 1; stage < 2 && *which < 0; stage++) {
        const double end = stage == 0 ? soon : h;
        if (!look_around(points, motion, end, stage == 0, near)) {
            *which = -2;
            return 0.0;
        }
        t = first_within(points, motion, end, near, counters, which);
    }
    return t;
}

/* Put (t, entry) behind the `found` earlier ones that are not later, as far as there is room. */
static void insert_in_order(double *times, int64_t *entries, int64_t room, int64_t found, double t, int64_t entry)
{
    int64_t place = found < room ? found : room;
    for (; place > 0 && times[place - 1] > t; place--)
        if (place < room) {
            times[place] = times[place - 1];
            entries[place] = entries[place - 1];
        }
    if (place < room) {
        times[place] = t;
        entries[place] = entry;
    }
}

/* Record all crossings on [0, t_end] of the foreign coordinates among the hits, in order of time.

   They do not act on the field. Returns how many there are; without `room` to hold them only the count is right. The
   pattern is not changed; a coordinate may cross several times. */
static int64_t foreign_crossings(const Points *points, Motion *motion, double t_end, Near *near, double *times,
                                 int64_t *entries, int64_t room)
{
    const int64_t own = points->weight.n[0], dim = motion->b.n[1], size = motion->order.at[0] + 1;
    const double horizon = near->scale.at[HORIZON], part = horizon > 0.0 ? t_end / horizon : 1.0;
    double *c = motion->line.at, *moved = c + motion->line.n[1];
    int64_t found = 0;
    for (int64_t k = 0; k < near->tally.at[HITS]; k++) {
        const int64_t entry = near->hit.at[k];
        const int64_t i = near->pool.at[2 * entry], r = near->pool.at[2 * entry + 1];
        if (i < own)
            continue;
        double sign = sign_of(points->pattern.at[i * dim + r]);
        const double noise = noise_of(points, motion, i, r);
        const double z0 = sign * near->line.at[2 * k], z1 = sign * near->line.at[2 * k + 1];
        if (lowest(z0, z1, rest_of(points, near, i, r) * part * part, t_end) >= minimum(0.0, z0) - noise)
            continue;
        coordinate_series(points, motion, i, r, 1.0, c, size);
        double t = 0.0;
        do {
            t = next_exit(c, size, t, t_end, sign, noise, moved);
            if (t < 0.0)
                break;
            insert_in_order(times, entries, room, found++, t, entry);
            sign = -sign;
        } while (t < t_end);
    }
    return found;
}
