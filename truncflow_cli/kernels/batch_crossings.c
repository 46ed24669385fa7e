/* Every crossing of a step over many of them, on a trajectory that is given.

   Each coordinate's series is a sum over the Q+1 entries of (x_i, 1). Most coordinates start clearly on their side and
   fall throughout, see batched_newton.c: these wait until there are enough of them to be solved together. All others go
   through the search that misses no root, see polynomial.c, once for each crossing that they have.

   Each sweep changes the trajectory a little. So the bounds of displacement_bounds.c are widened by a margin when the
   list is chosen, and coordinates are chosen anew only if a sweep goes beyond that. */

#include "layer.h"

/* Crossings of one coordinate in one step; more of them are a sign that it does not just pass. */
enum { OFTEN = 4 };

/* By what share of a coordinate's motion the sweeps may disagree before all coordinates are looked at again. */
static const double MARGIN = 0.05;

/* Make room in the bounds for what later sweeps will say. */
void allow_for_sweeps(NeighborLists *near)
{
    double *const whole[2] = {near->turn, near->shift}, *const rest[2] = {near->rest_turn, near->rest_shift};
    double *const step[2] = {near->step_turn, near->step_shift};
    for (int kind = 0; kind < 2; kind++)
        for (int64_t r = 0; r < near->dim; r++) {
            const double more = MARGIN * whole[kind][r] + 2.0 * rest[kind][r];
            rest[kind][r] += more;
            whole[kind][r] += more;
            step[kind][r] += more;
        }
}

/* Return whether the coordinates may move further than the bounds allow for. */
int reaches_further(const Taylor *taylor, double h, const NeighborLists *near)
{
    const int64_t dim = taylor->dim;
    double turn[MOST_DIM], shift[MOST_DIM];
    bound_rest(taylor, h, turn, shift);
    for (int64_t r = 0; r < dim; r++) {
        if (turn[r] > near->rest_turn[r] || shift[r] > near->rest_shift[r])
            return 1;
        if (turn[r] + taylor->row_length[dim + r] * h > near->turn[r] ||
            shift[r] + fabs(taylor->b[dim + r]) * h > near->shift[r])
            return 1;
    }
    return 0;
}

/* Keep the hits that come to zero, or nearly so, by two terms of their series and the bound of the rest. */
void keep_likely_hits(const Points *points, NeighborLists *near, double h)
{
    const int64_t dim = points->dim;
    const double *turn = near->turn, *shift = near->shift;
    int64_t kept = 0;
    for (int64_t k = 0; k < near->hits; k++) {
        const int64_t entry = near->hit[k];
        const int64_t i = near->pool[entry].point, r = near->pool[entry].row;
        const double z0 = near->line[k].value, z1 = near->line[k].velocity;
        const double sign = sign_of(points->pattern[i * dim + r]);
        const double margin = MARGIN * (turn[r] * points->length[i] + shift[r]);
        /* Which are kept follows no rule that a processor could foresee: written in any case, counted if kept. */
        const int likely = lowest(sign * z0, sign * z1, rest_of(points, near, i, r), h) < margin;
        near->hit[kept] = entry;
        near->line[kept].value = z0;
        near->line[kept].velocity = z1;
        kept += likely;
    }
    near->hits = kept;
}

/* Give the hits the velocities that the present series says they have. */
void follow_hits(const Points *points, const Taylor *taylor, NeighborLists *near)
{
    const int64_t hits = near->hits;
    double z1[ENTRIES_TOGETHER];
    for (int64_t first = 0; first < hits; first += ENTRIES_TOGETHER) {
        const int64_t count = hits - first < ENTRIES_TOGETHER ? hits - first : ENTRIES_TOGETHER;
        coordinates_of(points, taylor, 1, near, near->hit + first, count, z1);
        for (int64_t k = 0; k < count; k++)
            near->line[first + k].velocity = z1[k];
    }
}

/* List in `likely` which of the hits from `first` to `end` have no bound that keeps them from crossing on [0, h];
   return how many there are. */
INLINE int64_t likely_to_cross(const Points *points, const Taylor *taylor, double h, const NeighborLists *near,
                               int64_t first, int64_t end, int64_t *likely)
{
    const int64_t dim = points->dim;
    int64_t count = 0;
    for (int64_t k = first; k < end; k++) {
        const int64_t i = near->pool[near->hit[k]].point, r = near->pool[near->hit[k]].row;
        const double sign = sign_of(points->pattern[i * dim + r]);
        const double z0 = sign * near->line[k].value, z1 = sign * near->line[k].velocity;
        likely[count] = k;
        count += lowest(z0, z1, rest_of(points, near, i, r), h) < minimum(z0, 0.0) - noise_of(points, taylor, i, r);
    }
    return count;
}

/* The series of all coordinates, one row of them after the other: that of z_{i,r} is the sum of the Q+1 lines of block
   r of `at`, each `width` long, times (x_i, 1). */
typedef struct { double *at; int64_t width, terms; } Turned;

/* Return the series in that order, in the memory of work.rows. */
static Turned turned_series(const Taylor *taylor, LayerWork *work)
{
    const int64_t dim = taylor->dim, terms = taylor->order + 1;
    int64_t width = padded(terms);
    if (width > taylor->highest + 1)
        width = terms;
    const Turned turned = {work->rows, width, terms};
    for (int64_t r = 0; r < dim; r++)
        for (int64_t a = 0; a <= dim; a++) {
            double *line = turned.at + (r * (dim + 1) + a) * width;
            for (int64_t n = 0; n < width; n++)
                if (n >= terms)
                    line[n] = 0.0;
                else
                    line[n] = a < dim ? taylor->R[(n * dim + r) * dim + a] : taylor->b[n * dim + r];
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
    if (found < batch->room) {
        batch->time[found] = t;
        batch->entry[found] = entry;
        batch->side[found] = (int8_t)(times % 2 == 0 ? side : UNTRUNCATED + TRUNCATED - side);
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
    double moved[MOST_TERMS], t = 0.0, turned = 1.0;
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
    double root[TOGETHER], c[MOST_TERMS];
    const int waiting = falling->waiting;
    falling->waiting = 0;
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
int64_t locate(const Points *points, const Taylor *taylor, LayerWork *work, double h, const NeighborLists *near,
               Batch *batch)
{
    const int64_t dim = points->dim, hits = near->hits;
    const Turned turned = turned_series(taylor, work);
    const int64_t terms = turned.terms;
    double c[MOST_TERMS], side_by_side[MOST_TERMS * TOGETHER];
    Falling falling = {.c = side_by_side, .waiting = 0};
    memset(side_by_side, 0, sizeof *side_by_side * terms * TOGETHER);
    int64_t found = 0;
    for (int64_t first = 0; first < hits; first += ENTRIES_TOGETHER) {
        int64_t likely[ENTRIES_TOGETHER];
        const int64_t end = hits - first < ENTRIES_TOGETHER ? hits : first + ENTRIES_TOGETHER;
        const int64_t count = likely_to_cross(points, taylor, h, near, first, end, likely);
        for (int64_t k = 0; k < count && found >= 0; k++) {
            const int64_t entry = near->hit[likely[k]];
            const int64_t i = near->pool[entry].point, r = near->pool[entry].row;
            const int8_t side = points->pattern[i * dim + r];
            const double sign = sign_of(side);
            const double noise = noise_of(points, taylor, i, r);
            turned_coordinate(turned, points->x + i * dim, dim, r, c);
            if (!(sign * near->line[likely[k]].value > noise)) {
                for (int64_t n = 0; n < terms; n++)
                    c[n] *= sign;
                found = locate_alone(c, terms, h, noise, entry, side, found, batch);
                continue;
            }
            const int place = falling.waiting++;
            for (int64_t n = 0; n < terms; n++)
                side_by_side[n * TOGETHER + place] = sign * c[n];
            falling.noise[place] = noise;
            falling.entry[place] = entry;
            falling.side[place] = side;
            if (falling.waiting == TOGETHER)
                found = locate_together(&falling, terms, h, found, batch);
        }
    }
    return found < 0 ? -1 : locate_together(&falling, terms, h, found, batch);
}
