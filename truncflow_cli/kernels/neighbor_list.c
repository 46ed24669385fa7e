/* The few surfaces that can be reached soon: lists within lists, as molecular dynamics keeps them (Verlet skin).

   While the rows of R have moved by at most D and b by at most c D, a coordinate has moved by at most
   |Δz_{i,r}| ≤ D (|x_i| + c). So a list of all coordinates with |z| ≤ skin (|x| + c) misses nothing as long as
   D ≤ skin. The shortest list reaches a few steps far; it is made anew from one that reaches further, that from the
   next, and the longest one, rarely, from all points: the work per step hardly depends on how many there are.

   List `level` holds the coordinates with |z_{i,r}| ≤ skin (|x_i| + c), c being `ratio`. They lie one behind the other
   in the pool, with the z that they had when the list was made; `state` has (R, b) of that time. */

#include "layer.h"

/* The shortest list reaches this many times as far as the present step. */
static const double SKIN = 3.0;
/* Below this many entries a list is never too long. */
enum { SHORT = 32 };
/* Each list reaches this many times as far as the next shorter one. */
static const double WIDER = 6.0;

/* Return how far list `level` reaches if the shortest has this skin. */
static double wider(double skin, int64_t level)
{
    for (int64_t k = 0; k < level; k++)
        skin *= WIDER;
    return skin;
}

/* Write an entry of a list, if there is room. */
INLINE void put_entry(NeighborLists *near, int64_t put, int64_t i, int64_t r, double z)
{
    if (put < near->room) {
        near->pool[put].point = (uint32_t)i;
        near->pool[put].row = (uint32_t)r;
        near->z[put] = z;
    }
}

/* Note that list `level` ends before pool entry `end`, and where it was made. */
static void end_list(const Taylor *taylor, int64_t level, int64_t end, double skin, NeighborLists *near)
{
    const int64_t dim = taylor->dim;
    double *state = near->state + level * dim * (dim + 1);
    near->place[level].end = end;
    near->skin[level] = skin;
    for (int64_t r = 0; r < dim; r++) {
        memcpy(state + r * (dim + 1), taylor->R + r * dim, sizeof(double) * dim);
        state[r * (dim + 1) + dim] = taylor->b[r];
    }
    if (end > near->room) {
        near->top = -1;
        near->needs = end;
    }
}

/* Make the lists below `source` anew, each from the next longer one; return whether there was room. */
static int shorten(const Points *points, const Taylor *taylor, int64_t source, double wanted, NeighborLists *near)
{
    const int64_t dim = taylor->dim;
    const double *b = taylor->b, *length = points->length;
    const double ratio = near->ratio;
    double reach[MOST_DIM][2], turn[MOST_DIM], shift[MOST_DIM];
    double room = room_left(taylor, near, source, 0.0);
    displacements(taylor, near, source, turn, shift);
    for (int64_t level = source - 1; level >= 0; level--) {
        const double skin = minimum(wider(wanted, level), room);
        const int64_t first = near->place[level + 1].begin, end = near->place[level + 1].end;
        int64_t put = end;
        near->place[level].begin = put;
        if (level == source - 1) {
            /* From where it was, most of the long list cannot have come close enough. */
            for (int64_t r = 0; r < dim; r++) {
                reach[r][0] = skin + turn[r] + 4 * points->noise;
                reach[r][1] = skin * ratio + shift[r] + 4 * points->noise * fabs(b[r]);
            }
            for (int64_t start = first; start < end; start += ENTRIES_TOGETHER) {
                int64_t kept[ENTRIES_TOGETHER];
                double z[ENTRIES_TOGETHER];
                const int64_t stop = end - start < ENTRIES_TOGETHER ? end : start + ENTRIES_TOGETHER;
                const int64_t count = keep_entries(points, near, start, stop, reach, kept);
                coordinates_of(points, taylor, 0, near, kept, count, z);
                for (int64_t k = 0; k < count; k++) {
                    const int64_t i = near->pool[kept[k]].point;
                    if (fabs(z[k]) <= skin * (length[i] + ratio))
                        put_entry(near, put++, i, near->pool[kept[k]].row, z[k]);
                }
            }
        } else {
            /* The longer list has just been made: its z are the present ones. */
            for (int64_t entry = first; entry < end; entry++) {
                const int64_t i = near->pool[entry].point, r = near->pool[entry].row;
                const double z = near->z[entry];
                if (fabs(z) <= skin * (length[i] + ratio))
                    put_entry(near, put++, i, r, z);
            }
        }
        end_list(taylor, level, put, skin, near);
        if (put > near->room)
            return 0;
        room = skin;
    }
    return 1;
}

/* Fill counts (LEVELS,) with how many coordinates each list would hold if the shortest went up to skin `first`; return
   from which level on they would be too long to be worth while, and are not counted. */
static int64_t count_levels(const Points *points, const Taylor *taylor, double first, double ratio, int64_t *counts)
{
    const int64_t size = points->size, dim = points->dim, width = padded(dim), step = together(dim);
    double Z[IMAGES];
    int64_t limit = LEVELS;
    memset(counts, 0, sizeof(int64_t) * LEVELS);
    for (int64_t start = 0; start < size; start += step) {
        const int64_t count = size - start < step ? size - start : step;
        Wholes inside[LEVELS];
        memset(inside, 0, sizeof inside);
        map_points(points->x + start * dim, count, taylor->R, taylor->b, dim, INFINITY, Z);
        for (int64_t k = 0; k < count; k++) {
            double wide = first * (points->length[start + k] + ratio);
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
static int list_all(const Points *points, const Taylor *taylor, double first, NeighborLists *near)
{
    const int64_t size = points->size, dim = points->dim, width = padded(dim), step = together(dim);
    const double ratio = near->ratio;
    int64_t counts[LEVELS];
    const int64_t top = count_levels(points, taylor, first, ratio, counts) - 1;
    int64_t needs = 0;
    for (int64_t level = 0; level <= top; level++)
        needs += counts[level];
    near->needs = needs;
    near->top = -1;
    if (needs > near->room)
        return 0;
    const double skin = wider(first, top);
    double Z[IMAGES];
    int64_t inside[MOST_DIM], put = 0;
    for (int64_t start = 0; start < size; start += step) {
        const int64_t count = size - start < step ? size - start : step;
        map_points(points->x + start * dim, count, taylor->R, taylor->b, dim, INFINITY, Z);
        for (int64_t k = 0; k < count; k++) {
            const double *z = Z + k * width;
            const double wide = skin * (points->length[start + k] + ratio);
            int64_t found = 0;
            for (int64_t r = 0; r < dim; r++) {
                inside[found] = r;
                found += fabs(z[r]) <= wide;
            }
            for (int64_t n = 0; n < found; n++)
                put_entry(near, put++, start + k, inside[n], z[inside[n]]);
        }
    }
    near->top = top;
    near->place[top].begin = 0;
    end_list(taylor, top, put, skin, near);
    return 1;
}

/* Return c: how far b moves for one unit that the rows of R do, within reason. */
static double typical_ratio(const Points *points, double turn, double shift, double largest)
{
    const int64_t size = points->size;
    const double *length = points->length;
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

/* Choose a list that holds every coordinate that [0, h] can bring to zero; return whether there is one.

   It is level 0 if it is to be the `shortest`, which is made anew if need be, else whichever suffices. Without success,
   the pool has less room than near->needs, and there are no lists. */
int choose_list(const Points *points, const Taylor *taylor, double h, int shortest, NeighborLists *near)
{
    const int64_t dim = taylor->dim;
    bound_displacements(taylor, h, near);
    double turn = 0.0, shift = 0.0, largest = 0.0;
    for (int64_t r = 0; r < dim; r++) {
        turn = maximum(near->turn[r], turn);
        shift = maximum(near->shift[r], shift);
        largest = maximum(fabs(taylor->b[r]), largest);
    }
    const int64_t top = near->top;
    int64_t source = 0;
    double wanted = 0.0;
    if (top >= 0) {
        const double ratio = near->ratio;
        const double floor = 8 * points->noise * maximum(1.0, largest / ratio);
        wanted = SKIN * maximum(turn, shift / ratio) + floor;
        const int wide =
            near->place[0].end - near->place[0].begin > SHORT && near->skin[0] > WIDER * WIDER * wanted;
        const int64_t last = shortest ? 0 : top;
        for (int64_t level = shortest && wide ? 1 : 0; level <= last; level++)
            if (room_left(taylor, near, level, 1.0) >= floor) {
                near->level = level;
                return 1;
            }
        near->refreshes++;
        double reach = wanted;
        for (int64_t level = 1; level <= top && source == 0; level++) {
            const int enough = room_left(taylor, near, level, 0.0) >= 0.5 * reach;
            reach *= WIDER;
            if (enough && near->skin[level] <= WIDER * WIDER * reach)
                source = level;
        }
    }
    if (source == 0) {
        near->refreshes += top < 0;
        const double ratio = typical_ratio(points, turn, shift, largest);
        near->ratio = ratio;
        wanted = SKIN * maximum(turn, shift / ratio) + 8 * points->noise * maximum(1.0, largest / ratio);
        if (!list_all(points, taylor, wanted, near))
            return 0;
        source = near->top;
    }
    near->level = 0;
    return shorten(points, taylor, source, wanted, near);
}
