/* Which of the near coordinates leaves its side first, and when those that are only watched cross. */

#include "layer.h"

/* List the entries of the chosen list that the step can bring to zero, with value and velocity. */
void gather_hits(const Points *points, const Taylor *taylor, NeighborLists *near)
{
    const int64_t dim = taylor->dim, level = near->level;
    const int64_t first = near->place[level].begin, end = near->place[level].end;
    const double *b = taylor->b;
    /* How far each coordinate gets, since the list was made and over the step alone: so much |x|, and so much more. */
    double since[MOST_DIM][2], within[MOST_DIM][2];
    for (int64_t r = 0; r < dim; r++) {
        const double noise = 4 * points->noise * fabs(b[r]);
        since[r][0] = near->turn[r] + 4 * points->noise;
        since[r][1] = near->shift[r] + noise;
        within[r][0] = near->step_turn[r] + 4 * points->noise;
        within[r][1] = near->step_shift[r] + noise;
    }
    int64_t found = 0, *hit = near->hit;
    Line *line = near->line;
    for (int64_t start = first; start < end; start += ENTRIES_TOGETHER) {
        int64_t kept[ENTRIES_TOGETHER];
        double z[ENTRIES_TOGETHER];
        const int64_t stop = end - start < ENTRIES_TOGETHER ? end : start + ENTRIES_TOGETHER;
        const int64_t count = keep_entries(points, near, start, stop, since, kept), before = found;
        /* The list tells where z was; from where it is, fewer can reach zero. */
        coordinates_of(points, taylor, 0, near, kept, count, z);
        for (int64_t k = 0; k < count; k++) {
            const int64_t i = near->pool[kept[k]].point, r = near->pool[kept[k]].row;
            hit[found] = kept[k];
            line[found].value = z[k];
            found += fabs(z[k]) <= within[r][0] * points->length[i] + within[r][1];
        }
        coordinates_of(points, taylor, 1, near, hit + before, found - before, z);
        for (int64_t k = before; k < found; k++)
            line[k].velocity = z[k - before];
    }
    near->hits = found;
}

/* Return the time of the first own coordinate to leave its side on [0, h], *which being its hit; h, and -1, if none
   does. */
static double first_within(Layer *layer, double h, int64_t *which)
{
    const Points *points = &layer->points;
    const Taylor *taylor = &layer->taylor;
    NeighborLists *near = &layer->near;
    add_displacement(taylor, near);
    gather_hits(points, taylor, near);
    const int64_t own = points->own, dim = taylor->dim, hits = near->hits;
    const Entry *pool = near->pool;
    const int64_t *hit = near->hit;
    const Line *line = near->line;
    layer->loop.candidates += hits;
    /* The one that seems to be first makes the stretch short on which the others have to be looked at. */
    int64_t lead = -1;
    double soonest = h;
    for (int64_t k = 0; k < hits; k++) {
        const int64_t i = pool[hit[k]].point, r = pool[hit[k]].row;
        const int8_t side = points->pattern[i * dim + r];
        if (i >= own || side == PINNED)
            continue;
        const double toward = side == UNTRUNCATED ? -line[k].velocity : line[k].velocity;
        const double distance = fabs(line[k].value);
        if (toward > 0.0 && distance < soonest * toward) {
            soonest = distance / toward;
            lead = k;
        }
    }
    double best = h;
    *which = -1;
    double c[MOST_TERMS];
    const int64_t size = taylor->order + 1;
    for (int64_t turn = lead >= 0 ? -1 : 0; turn < hits; turn++) {
        if (turn == lead)
            continue;
        const int64_t k = turn < 0 ? lead : turn;
        const int64_t i = pool[hit[k]].point, r = pool[hit[k]].row;
        const int8_t side = points->pattern[i * dim + r];
        if (i >= own || side == PINNED)
            continue;
        const double sign = sign_of(side);
        const double noise = noise_of(points, taylor, i, r);
        const double z0 = sign * line[k].value, z1 = sign * line[k].velocity;
        const double part = h > 0.0 ? best / h : 1.0;
        if (lowest(z0, z1, rest_of(points, near, i, r) * part * part, best) >= minimum(0.0, z0) - noise)
            continue;
        coordinate_series(points, taylor, i, r, sign, c, size);
        const double t = first_exit(c, size, best, noise);
        if (t >= 0.0 && (t < best || *which < 0)) {
            layer->loop.roots++;
            best = t;
            *which = k;
        }
    }
    return best;
}

/* Return the hit that is the first own coordinate to leave its side on [0, h], at layer.crossing; NO_CROSSING and h if
   none does; LISTS_FULL where the lists need more room.

   If one is likely to be found on [0, soon], fewer have to be looked at. */
int64_t layer_first_crossing(Layer *layer, double h, double soon)
{
    NeighborLists *near = &layer->near;
    int64_t which = NO_CROSSING;
    near->hits = 0;
    for (int stage = soon < h ? 0 : 1; stage < 2 && which < 0; stage++) {
        const double end = stage == 0 ? soon : h;
        if (!choose_list(&layer->points, &layer->taylor, end, stage == 0, near))
            return LISTS_FULL;
        layer->crossing = first_within(layer, end, &which);
    }
    return which;
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
int64_t foreign_crossings(const Points *points, const Taylor *taylor, double t_end, const NeighborLists *near, double *times,
                                 int64_t *entries, int64_t room)
{
    const int64_t own = points->own, dim = taylor->dim, size = taylor->order + 1;
    const double horizon = near->horizon, part = horizon > 0.0 ? t_end / horizon : 1.0;
    double c[MOST_TERMS], moved[MOST_TERMS];
    int64_t found = 0;
    for (int64_t k = 0; k < near->hits; k++) {
        const int64_t entry = near->hit[k];
        const int64_t i = near->pool[entry].point, r = near->pool[entry].row;
        if (i < own)
            continue;
        double sign = sign_of(points->pattern[i * dim + r]);
        const double noise = noise_of(points, taylor, i, r);
        const double z0 = sign * near->line[k].value, z1 = sign * near->line[k].velocity;
        if (lowest(z0, z1, rest_of(points, near, i, r) * part * part, t_end) >= minimum(0.0, z0) - noise)
            continue;
        coordinate_series(points, taylor, i, r, 1.0, c, size);
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

int64_t layer_foreign_crossings(Layer *layer, double t)
{
    EventLog *log = &layer->log;
    return foreign_crossings(&layer->points, &layer->taylor, t, &layer->near, log->s, log->point, log->room);
}
