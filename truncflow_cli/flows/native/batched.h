/* Steps over many crossings at once, each located afterwards: `separated` with very many points.

   On a step [0, h] the moments m(s), M(s) of the untruncated points are step functions of s, with a jump of one point's
   share 1/N at each crossing. They are replaced by their L²-projection onto polynomials of degree d: then the solution
   is a Taylor series again. What is left out is orthogonal to polynomials of degree d, so that the state at the end of
   the step hardly notices it; inside the step the trajectory is off by about the area under it.

   The crossings follow from the trajectory and the trajectory from the crossings: the two are found in turns
   ("sweeps"), until they agree. Each sweep gains a factor of the order of h.

   The projection of 1[s > t] has the coefficients, in Legendre polynomials P_k of 2s/h − 1 with τ = 2t/h − 1,

       a_0 = ½ (1 − τ),     a_k = ½ (P_{k−1}(τ) − P_{k+1}(τ))

   batch.m and batch.M hold the moments along the step: coefficients of the powers of s/h, and in the last block the
   next Legendre coefficient. M is needed with zz-terms only. */

#pragma once

#include <math.h>

#include "arrays.h"
#include "crossings.h"
#include "nearby.h"
#include "polynomial.h"
#include "series.h"
#include "vector.h"

/* Degree d of the moments along a step, and how many of their coefficients are kept. */
enum { DEGREE = 4, SHARES = DEGREE + 2 };
/* Sweeps after which a step is given up. */
enum { SWEEPS = 8 };
/* Two sweeps agree when the states they lead to differ by this share of the tolerance. */
static const double AGREED = 0.1;
/* By what share of a coordinate's motion the sweeps may disagree before all coordinates are looked at again. */
static const double MARGIN = 0.05;
/* Crossings of one coordinate in one step; more of them are a sign that it does not just pass. */
enum { OFTEN = 4 };
/* Rank-one updates of the moments after which they are summed anew: as many as there are points, but not fewer. */
enum { FEWEST_UPDATES = 4096 };
/* Falling coordinates whose roots are found together, and the steps of Newton's method that they have for it. */
enum { TOGETHER = 8, NEWTON_STEPS = 50 };
/* Crossings of one row that are added to the moments together, and rows of their products that fit into registers. */
enum { BUCKET = 16, PRODUCT_ROWS = 2 };

/* Legendre polynomials of 2x − 1: row k has the coefficients of xⁿ. */
static const double LEGENDRE[DEGREE + 1][DEGREE + 1] = {
    {1.0},
    {-1.0, 2.0},
    {1.0, -6.0, 6.0},
    {-1.0, 12.0, -30.0, 20.0},
    {1.0, -20.0, 90.0, -140.0, 70.0},
};

/* Return a where it is marked, b elsewhere. */
INLINE Four choose(Wholes marked, Four a, Four b)
{
    return (Four)(((Wholes)a & marked) | ((Wholes)b & ~marked));
}

/* Return whether any is marked. */
INLINE int any_of(Wholes marked)
{
    return (marked[0] | marked[1] | marked[2] | marked[3]) != 0;
}

/* ---- the series -------------------------------------------------------------------------------------------------- */

/* Put the state into order 0 of the series; return the scale of b. */
static double start_series(const State *state, double energy, const Points *points, Motion *motion,
                           const Accuracy *accuracy)
{
    const int64_t dim = state->b.n[0];
    memcpy(motion->R.at, state->R.at, sizeof(double) * dim * dim);
    memcpy(motion->b.at, state->b.at, sizeof(double) * dim);
    motion->energy.at[0] = energy;
    double scale = accuracy->floor;
    for (int64_t r = 0; r < dim; r++) {
        scale = maximum(fabs(state->b.at[r]), scale);
        scale = maximum(fabs(speed_of_bias(state->R.at, state->b.at, points->y_tilde.at, dim, r)), scale);
    }
    return scale;
}

/* Let the moments along the step change as fast as they did over the last one. */
static void expected_moments(const Moments *moments, double h, int with_zz, Batch *batch)
{
    const int64_t dim = moments->m.n[0];
    const int64_t sizes[2] = {dim * (dim + 1), with_zz ? dim * dim * (dim + 1) : 0};
    double *const along_step[2] = {batch->m.at, batch->M.at};
    const double *const rates[2] = {batch->m_rate.at, batch->M_rate.at};
    const double *const start[2] = {moments->m.at, moments->M.at};
    for (int which = 0; which < 2; which++) {
        const int64_t size = sizes[which];
        memcpy(along_step[which], start[which], sizeof(double) * size);
        for (int64_t k = 0; k < size; k++)
            along_step[which][size + k] = rates[which][k] * h;
        memset(along_step[which] + 2 * size, 0, sizeof(double) * (SHARES - 2) * size);
    }
}

/* Fill the n-th coefficients of u, R ỹ, B and S, with moments that depend on s; see series.h. */
static void linear_terms_along(const Moments *moments, Work *work, const double *y_tilde, int with_zz, double h,
                               int64_t n, Batch *batch)
{
    const int64_t dim = batch->m.n[1], columns = dim + 1;
    const double inverse = 1.0 / moments->total.at[0];
    double line[columns];
    for (int64_t r = 0; r < dim; r++) {
        const double *row = work->rows.at + (n * dim + r) * columns;
        double *B = work->B.at + (n * dim + r) * (dim + 2);
        const double q = along(row, y_tilde, dim);
        batch->q.at[n * dim + r] = q;
        work->u.at[n * dim + r] = row[dim] + q;
        place_columns(work, n, r, dim);
        double S = 0.0, power = inverse;
        memset(B, 0, sizeof(double) * columns);
        for (int64_t k = 0; k <= n && k <= DEGREE; k++) {
            const double *R_r = work->rows.at + ((n - k) * dim + r) * columns;
            const double *m_r = batch->m.at + (k * dim + r) * columns;
            S += power * along(R_r, m_r, columns);
            if (with_zz) {
                const double *M_r = batch->M.at + (k * dim + r) * dim * columns;
                second_moments(line, batch->q.at[(n - k) * dim + r], 1.0, m_r, R_r, M_r, dim);
                add_multiple(B, power, line, columns);
            } else {
                add_multiple(B, power * work->u.at[(n - k) * dim + r], m_r, columns);
            }
            power /= h;
        }
        B[dim + 1] = S;
    }
}

/* Fill the n-th coefficients of Ω and J⊥u. */
static void rotation_rate_along(const Moments *moments, Work *work, double h, int64_t n, const Batch *batch)
{
    const int64_t dim = batch->m.n[1];
    quadratic_terms(work, n, dim);
    skew_part(work, n, dim);
    double *Ju = work->Ju.at + n * dim;
    memcpy(Ju, work->u.at + n * dim, sizeof(double) * dim);
    double power = 1.0 / moments->total.at[0];
    for (int64_t k = 0; k <= n && k <= DEGREE; k++) {
        const double *mass = batch->m.at + k * dim * (dim + 1) + dim;
        const double *u = work->u.at + (n - k) * dim;
        for (int64_t r = 0; r < dim; r++)
            Ju[r] -= power * mass[r * (dim + 1)] * u[r];
        power /= h;
    }
}

/* Extend the series until they are accurate over h; return how far they are (-1.0: the state is not finite). */
static double expand_batch(Motion *motion, const Moments *moments, Work *work, const double *y_tilde,
                           const Accuracy *accuracy, double scale, double h, Batch *batch)
{
    const int64_t highest = motion->energy.n[0] - 1, dim = motion->b.n[1];
    double before = INFINITY, earlier = INFINITY, accurate = 0.0;
    double square = accuracy->floor * accuracy->floor + accuracy->spread * accuracy->spread;
    begin_rows(motion, work);
    for (int64_t n = 0; n < highest; n++) {
        linear_terms_along(moments, work, y_tilde, accuracy->with_zz != 0, h, n, batch);
        rotation_rate_along(moments, work, h, n, batch);
        if (n == 0)
            square = maximum(along(work->u.at, work->u.at, dim), square);
        const double size = next_order(motion, work, n, scale, square);
        motion->order.at[0] = n + 1;
        if (!isfinite(size))
            return -1.0;
        if (n > DEGREE) {
            accurate = where_accurate(size, before, earlier, n, accuracy->tolerance);
            if (accurate >= h)
                return accurate;
        }
        earlier = before;
        before = size;
    }
    return accurate;
}

/* Return how far middle and end of the trajectory are from those of the last sweep, and keep them. */
static double gap_to_last_sweep(const Motion *motion, Work *work, double h, double scale, Batch *batch)
{
    const int64_t dim = motion->b.n[1], order = motion->order.at[0];
    double *R = work->P.at, b[dim], gap = 0.0, shift = 0.0;
    for (int place = 0; place < 2; place++) {
        const double t = place == 1 ? h : 0.5 * h;
        double *before = batch->before.at + place * dim * (dim + 1);
        evaluate_rows(motion->R.at, order, dim * dim, t, R);
        evaluate_rows(motion->b.at, order, dim, t, b);
        for (int64_t r = 0; r < dim; r++, before += dim + 1) {
            for (int64_t a = 0; a < dim; a++)
                gap = maximum(fabs(R[r * dim + a] - before[a]), gap);
            shift = maximum(fabs(b[r] - before[dim]), shift);
            memcpy(before, R + r * dim, sizeof(double) * dim);
            before[dim] = b[r];
        }
    }
    return maximum(shift / scale, gap);
}

/* ---- which coordinates are looked at ----------------------------------------------------------------------------- */

/* Make room in the bounds for what later sweeps will say. */
static void allow_for_sweeps(Near *near)
{
    static const int kinds[2][3] = {{TURN, REST_TURN, STEP_TURN}, {SHIFT, REST_SHIFT, STEP_SHIFT}};
    const int64_t dim = near->bound.n[1];
    for (int kind = 0; kind < 2; kind++) {
        double *whole = near->bound.at + kinds[kind][0] * dim;
        double *rest = near->bound.at + kinds[kind][1] * dim;
        double *step = near->bound.at + kinds[kind][2] * dim;
        for (int64_t r = 0; r < dim; r++) {
            const double more = MARGIN * whole[r] + 2.0 * rest[r];
            rest[r] += more;
            whole[r] += more;
            step[r] += more;
        }
    }
}

/* Return whether the coordinates may move further than near.bound allows for. */
static int reaches_further(const Motion *motion, double h, const Near *near)
{
    const int64_t dim = motion->b.n[1];
    const double *bound = near->bound.at;
    for (int64_t r = 0; r < dim; r++) {
        double turn = 0.0, shift = 0.0, power = 1.0;
        for (int64_t n = 1; n <= motion->order.at[0]; n++) {
            power *= h;
            turn += motion->turn.at[n * dim + r] * power;
            shift += fabs(motion->b.at[n * dim + r]) * power;
        }
        const double rest_turn = turn - motion->turn.at[dim + r] * h;
        const double rest_shift = shift - fabs(motion->b.at[dim + r]) * h;
        if (turn > bound[TURN * dim + r] || shift > bound[SHIFT * dim + r])
            return 1;
        if (rest_turn > bound[REST_TURN * dim + r] || rest_shift > bound[REST_SHIFT * dim + r])
            return 1;
    }
    return 0;
}

/* Return 1.0 for a coordinate that is untruncated, else -1.0; without a branch, as nobody could foresee it. */
INLINE double sign_of(int8_t side)
{
    return (double)(2 * (side == UNTRUNCATED) - 1);
}

/* Keep the hits that come to zero, or nearly so, by two terms of their series and the bound of the rest. */
static void keep_likely_hits(const Points *points, Near *near, double h)
{
    const int64_t dim = points->x.n[1];
    const double *turn = near->bound.at + TURN * dim, *shift = near->bound.at + SHIFT * dim;
    int64_t kept = 0;
    for (int64_t k = 0; k < near->tally.at[HITS]; k++) {
        const int64_t entry = near->hit.at[k];
        const int64_t i = near->pool.at[2 * entry], r = near->pool.at[2 * entry + 1];
        const double z0 = near->line.at[2 * k], z1 = near->line.at[2 * k + 1];
        const double sign = sign_of(points->pattern.at[i * dim + r]);
        const double margin = MARGIN * (turn[r] * points->length.at[i] + shift[r]);
        /* Which are kept follows no rule that a processor could foresee: written in any case, counted if kept. */
        const int likely = lowest(sign * z0, sign * z1, rest_of(points, near, i, r), h) < margin;
        near->hit.at[kept] = entry;
        near->line.at[2 * kept] = z0;
        near->line.at[2 * kept + 1] = z1;
        kept += likely;
    }
    near->tally.at[HITS] = kept;
}

/* Give the hits the velocities that the present series says they have. */
static void follow_hits(const Points *points, const Motion *motion, Near *near)
{
    const int64_t hits = near->tally.at[HITS];
    double z1[ENTRIES_TOGETHER];
    for (int64_t first = 0; first < hits; first += ENTRIES_TOGETHER) {
        const int64_t count = hits - first < ENTRIES_TOGETHER ? hits - first : ENTRIES_TOGETHER;
        coordinates_of(points, motion, 1, near, near->hit.at + first, count, z1);
        for (int64_t k = 0; k < count; k++)
            near->line.at[2 * (first + k) + 1] = z1[k];
    }
}

/* ---- the crossings ----------------------------------------------------------------------------------------------- */

/* Note crossing number `times` of a coordinate that was on `side`, if there is room. */
INLINE void put_crossing(Batch *batch, int64_t found, double t, int64_t entry, int8_t side, int times)
{
    if (found < batch->time.n[0]) {
        batch->time.at[found] = t;
        batch->entry.at[found] = entry;
        batch->side.at[found] = (int8_t)(times % 2 == 0 ? side : UNTRUNCATED + TRUNCATED - side);
    }
}

/* The series of all coordinates, one row of them after the other: that of z_{i,r} is the sum of the Q+1 lines of block
   r of `at`, each `width` long, times (x_i, 1). */
typedef struct { double *at; int64_t width, terms; } Turned;

/* Return the series in that order, in the memory of work.rows. */
static Turned turned_series(const Motion *motion, Work *work)
{
    const int64_t dim = motion->b.n[1], terms = motion->order.at[0] + 1;
    int64_t width = (terms + 3) / 4 * 4;
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

/* Coordinates that wait for their roots to be found together: c[n][k] is a coefficient of the k-th. */
typedef struct {
    double *c;
    double noise[TOGETHER];
    int64_t entry[TOGETHER];
    int8_t side[TOGETHER];
    int waiting;
} Falling;

/* Mark the polynomials that clearly fall on all of [0, h]. */
INLINE void fall_throughout(const double *c, int64_t terms, double h, Wholes *falls)
{
    Four slope[2] = {four_at(c + TOGETHER), four_at(c + TOGETHER + 4)};
    double power = 1.0;
    for (int64_t n = 2; n < terms; n++) {
        power *= h;
        const Four weight = all_four((double)n * power);
        for (int v = 0; v < 2; v++)
            slope[v] = multiply_add(weight, sizes_of_four(four_at(c + n * TOGETHER + 4 * v)), slope[v]);
    }
    for (int v = 0; v < 2; v++)
        falls[v] = (Wholes)(slope[v] < all_four(0.0));
}

/* Fill root with where falling polynomials that start above zero reach it, -1.0 if they do not by h (Newton). */
static void roots_of_falling(const double *c, int64_t terms, double h, const Wholes *falls, double *root)
{
    const Four zero = all_four(0.0), end = all_four(h), close = all_four(1e-15 * h);
    Four t[2], low[2], high[2];
    Wholes open[2];
    for (int v = 0; v < 2; v++) {
        t[v] = -four_at(c + 4 * v) / four_at(c + TOGETHER + 4 * v);
        t[v] = choose((Wholes)(t[v] < end), t[v], end);
        low[v] = zero;
        high[v] = end;
        open[v] = falls[v];
    }
    for (int attempt = 0; attempt < NEWTON_STEPS && any_of(open[0] | open[1]); attempt++) {
        Four value[2], slope[2];
        for (int v = 0; v < 2; v++) {
            value[v] = four_at(c + (terms - 1) * TOGETHER + 4 * v);
            slope[v] = zero;
        }
        for (int64_t n = terms - 2; n >= 0; n--)
            for (int v = 0; v < 2; v++) {
                slope[v] = multiply_add(slope[v], t[v], value[v]);
                value[v] = multiply_add(value[v], t[v], four_at(c + n * TOGETHER + 4 * v));
            }
        for (int v = 0; v < 2; v++) {
            const Wholes above = (Wholes)(value[v] > zero), beyond = above & (Wholes)(t[v] >= end);
            low[v] = choose(above, t[v], low[v]);
            high[v] = choose(above, high[v], t[v]);
            Four step = t[v] - value[v] / slope[v];
            const Wholes inside = ((Wholes)(low[v] < step) | (Wholes)(step == t[v])) & (Wholes)(step < high[v]);
            const Four other = choose((Wholes)(step >= high[v]), high[v], all_four(0.5) * (low[v] + high[v]));
            step = choose(inside, step, other);
            const Wholes still = (Wholes)(step - t[v] > close) | (Wholes)(t[v] - step > close);
            t[v] = choose(open[v], choose(beyond, all_four(-1.0), step), t[v]);
            open[v] &= still & ~beyond;
        }
    }
    put_four(root, t[0]);
    put_four(root + 4, t[1]);
}

/* List the crossings of a coordinate with series c (terms); return how many are listed then, -1 if it goes on. */
static int64_t locate_alone(const double *c, int64_t terms, double h, double noise, int64_t entry, int8_t side,
                            int64_t found, Batch *batch)
{
    double moved[terms], start = 0.0, turned = 1.0;
    int times = 0;
    do {
        shift_series(c, terms, start, turned, moved);
        const double t = first_exit(moved, terms, h - start, noise);
        if (t < 0.0)
            break;
        start += t;
        times++;
        if (times > OFTEN)
            return -1;
        put_crossing(batch, found, start, entry, side, times);
        found++;
        turned = -turned;
    } while (start < h);
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

/* List in `likely` which of the hits from `first` to `end` have no bound that keeps them from crossing on [0, h];
   return how many there are. */
INLINE int64_t likely_to_cross(const Points *points, const Motion *motion, double h, const Near *near, int64_t first,
                               int64_t end, int64_t *likely)
{
    const int64_t dim = points->x.n[1];
    int64_t count = 0;
    for (int64_t k = first; k < end; k++) {
        const uint32_t *pair = near->pool.at + 2 * near->hit.at[k];
        const int64_t i = pair[0], r = pair[1];
        const double sign = sign_of(points->pattern.at[i * dim + r]);
        const double z0 = sign * near->line.at[2 * k], z1 = sign * near->line.at[2 * k + 1];
        likely[count] = k;
        count += lowest(z0, z1, rest_of(points, near, i, r), h) < minimum(z0, 0.0) - noise_of(points, motion, i, r);
    }
    return count;
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

/* ---- the moments ------------------------------------------------------------------------------------------------- */

/* Crossings of one row, to be added to the moments: (x, 1), zeros behind it up to `width`, and the shares of each. */
typedef struct { const double *x; int64_t width, size; double (*share)[SHARES]; } Bucket;

/* Add to rows `at`, at + next, of the Legendre coefficients, `block` apart, the sums of share x_a x over four columns
   of x from `first` on, of which `columns` exist; for one row a, or PRODUCT_ROWS from there on. */
INLINE void add_products(Bucket bucket, int64_t a, int64_t first, int rows, int64_t columns, double *at, int64_t next,
                         int64_t block)
{
    Four sums[PRODUCT_ROWS][SHARES];
    for (int i = 0; i < rows; i++)
        for (int n = 0; n < SHARES; n++)
            sums[i][n] = all_four(0.0);
    const double *x = bucket.x;
    for (int64_t k = 0; k < bucket.size; k++, x += bucket.width) {
        const Four here = four_at(x + first);
        Four product[PRODUCT_ROWS];
        for (int i = 0; i < rows; i++)
            product[i] = all_four(x[a + i]) * here;
        for (int n = 0; n < SHARES; n++) {
            const Four w = all_four(bucket.share[k][n]);
            for (int i = 0; i < rows; i++)
                sums[i][n] = multiply_add(w, product[i], sums[i][n]);
        }
    }
    for (int i = 0; i < rows; i++)
        for (int n = 0; n < SHARES; n++) {
            double *place = at + i * next + n * block;
            if (columns >= 4)
                put_four(place, four_at(place) + sums[i][n]);
            else
                for (int v = 0; v < columns; v++)
                    place[v] += sums[i][n][v];
        }
}

/* Add a bucket of row r to the Legendre coefficients of m, and to the right upper half of those of M. */
static void empty_bucket(Bucket bucket, int64_t dim, int64_t r, int with_zz, Batch *batch)
{
    const int64_t columns = dim + 1, block = dim * dim * columns;
    double *m = batch->m.at + r * columns, *M = batch->M.at + r * dim * columns;
    for (int64_t first = 0; first < columns; first += 4)
        add_products(bucket, dim, first, 1, columns - first, m + first, 0, dim * columns);
    for (int64_t first = 0; with_zz && first < dim; first += 4) {
        const int64_t rows = first + 4 < dim ? first + 4 : dim, exist = dim - first;
        int64_t a = 0;
        for (; a + PRODUCT_ROWS <= rows; a += PRODUCT_ROWS)
            add_products(bucket, a, first, PRODUCT_ROWS, exist, M + a * columns + first, columns, block);
        if (a < rows)
            add_products(bucket, a, first, 1, exist, M + a * columns + first, columns, block);
    }
}

/* Fill share with the Legendre coefficients of a weight that is there from time t of [0, h] on. */
INLINE void shares_of(double weight, double t, double h, double *share)
{
    double legendre[SHARES + 1];
    const double tau = 2.0 * t / h - 1.0;
    legendre[0] = 1.0;
    legendre[1] = tau;
    for (int n = 1; n < SHARES; n++)
        legendre[n + 1] = ((2 * n + 1) * tau * legendre[n] - n * legendre[n - 1]) * (1.0 / (n + 1));
    share[0] = 0.5 * weight * (1.0 - tau);
    for (int n = 1; n < SHARES; n++)
        share[n] = 0.5 * weight * (legendre[n - 1] - legendre[n + 1]);
}

/* Turn `size` Legendre coefficients each up to d, `block` apart, into those of powers of s/h. */
INLINE void legendre_to_powers(double *at, int64_t size, int64_t block)
{
    int64_t a = 0;
    for (; a + 4 <= size; a += 4)
        for (int n = 0; n <= DEGREE; n++) {
            Four value = all_four(LEGENDRE[n][n]) * four_at(at + n * block + a);
            for (int k = n + 1; k <= DEGREE; k++)
                value = multiply_add(all_four(LEGENDRE[k][n]), four_at(at + k * block + a), value);
            put_four(at + n * block + a, value);
        }
    for (; a < size; a++)
        for (int n = 0; n <= DEGREE; n++) {
            double value = LEGENDRE[n][n] * at[n * block + a];
            for (int k = n + 1; k <= DEGREE; k++)
                value += LEGENDRE[k][n] * at[k * block + a];
            at[n * block + a] = value;
        }
}

/* Turn the Legendre coefficients up to d into those of powers of s/h, and add the moments at the start. */
static void to_powers(const Moments *moments, int with_zz, Batch *batch)
{
    const int64_t dim = moments->m.n[0], columns = dim + 1;
    legendre_to_powers(batch->m.at, dim * columns, dim * columns);
    add_multiple(batch->m.at, 1.0, moments->m.at, dim * columns);
    if (!with_zz)
        return;
    const int64_t block = dim * columns;
    for (int64_t r = 0; r < dim; r++) {
        legendre_to_powers(batch->M.at + r * block, block, dim * block);
        for (int64_t n = 0; n < SHARES; n++) {
            double *M = batch->M.at + (n * dim + r) * block;
            if (n == 0)
                add_multiple(M, 1.0, moments->M.at + r * block, block);
            /* M is symmetric in its first columns, the last of which is m. */
            for (int64_t c = 0; c < dim; c++) {
                for (int64_t a = 0; a < c; a++)
                    M[c * columns + a] = M[a * columns + c];
                M[c * columns + dim] = batch->m.at[(n * dim + r) * columns + c];
            }
        }
    }
}

/* Project the moments, as these crossings make them, onto polynomials over the step. */
static void moments_along(const Points *points, const Moments *moments, const Near *near, double h, int64_t found,
                          int with_zz, Batch *batch)
{
    const int64_t dim = points->x.n[1], own = points->weight.n[0], width = (dim + 4) / 4 * 4;
    double x[BUCKET * width], share[BUCKET][SHARES];
    int64_t waiting[dim * BUCKET], sizes[dim];
    memset(sizes, 0, sizeof sizes);
    memset(x, 0, sizeof x);
    for (int k = 0; k < BUCKET; k++)
        x[k * width + dim] = 1.0;
    memset(batch->m.at, 0, sizeof(double) * SHARES * dim * (dim + 1));
    if (with_zz)
        memset(batch->M.at, 0, sizeof(double) * SHARES * dim * dim * (dim + 1));
    /* Beyond the crossings come those that still wait, row by row. */
    for (int64_t turn = 0; turn < found + dim; turn++) {
        int64_t r = turn - found;
        if (turn < found) {
            const uint32_t *pair = near->pool.at + 2 * batch->entry.at[turn];
            if (pair[0] >= own)
                continue;
            r = pair[1];
            waiting[r * BUCKET + sizes[r]++] = turn;
            if (sizes[r] < BUCKET)
                continue;
        }
        if (sizes[r] == 0)
            continue;
        const Bucket bucket = {x, width, sizes[r], share};
        for (int64_t k = 0; k < bucket.size; k++) {
            const int64_t crossing = waiting[r * BUCKET + k];
            const int64_t i = near->pool.at[2 * batch->entry.at[crossing]];
            const double weight = points->weight.at[i];
            memcpy(x + k * width, points->x.at + i * dim, sizeof(double) * dim);
            shares_of(batch->side.at[crossing] == UNTRUNCATED ? weight : -weight, batch->time.at[crossing], h,
                      share[k]);
        }
        empty_bucket(bucket, dim, r, with_zz, batch);
        sizes[r] = 0;
    }
    to_powers(moments, with_zz, batch);
}

/* Return what the trajectory may be off by inside: the next coefficient's field, for a part of the step. */
static double off_inside(const Motion *motion, const Moments *moments, Work *work, const Accuracy *accuracy,
                         double scale, double h, const Batch *batch)
{
    const int64_t dim = motion->b.n[1], columns = dim + 1;
    const double inverse = 1.0 / moments->total.at[0];
    const double *u = work->u.at, *b = motion->b.at;
    double *P = work->P.at, line[columns], worst = 0.0;
    for (int64_t r = 0; r < dim; r++) {
        const double *m_r = batch->m.at + ((DEGREE + 1) * dim + r) * columns;
        const double *R_r = motion->R.at + r * dim;
        worst = maximum(fabs(m_r[dim] * inverse * u[r]) / scale, worst);
        const double S = along(R_r, m_r, dim) + b[r] * m_r[dim];
        if (accuracy->with_zz)
            second_moments(line, batch->q.at[r], 1.0, m_r, R_r, batch->M.at + ((DEGREE + 1) * dim + r) * dim * columns,
                           dim);
        else
            for (int64_t a = 0; a <= dim; a++)
                line[a] = u[r] * m_r[a];
        for (int64_t j = 0; j < dim; j++)
            P[r * dim + j] = (S * u[j] + line[dim] * b[j] + along(line, motion->R.at + j * dim, dim)) * inverse;
    }
    for (int64_t i = 0; i < dim; i++)
        for (int64_t j = 0; j < i; j++)
            worst = maximum(0.5 * fabs(P[i * dim + j] - P[j * dim + i]), worst);
    return worst * h / (2.0 * (DEGREE + 1));
}

/* Let the listed coordinates change sides, and the moments with them. */
static void settle(const Points *points, Moments *moments, const Near *near, int64_t found, const Batch *batch)
{
    const int64_t dim = points->x.n[1];
    for (int64_t k = 0; k < found; k++) {
        const uint32_t *pair = near->pool.at + 2 * batch->entry.at[k];
        int8_t *pattern = points->pattern.at + pair[0] * dim + pair[1];
        const int up = *pattern == TRUNCATED;
        *pattern = up ? UNTRUNCATED : TRUNCATED;
        if (pair[0] < points->weight.n[0])
            count_point(points, pair[0], pair[1], up ? 1.0 : -1.0, moments);
    }
}

/* ---- the step ---------------------------------------------------------------------------------------------------- */

/* Replace `before` by (now − before) / h. */
static void change_over(const double *now, double *before, int64_t size, double h)
{
    for (int64_t k = 0; k < size; k++)
        before[k] = (now[k] - before[k]) / h;
}

/* Take one step of at most batch.scalars[BATCH_LENGTH], which becomes its length; return how it went.

   When DONE, state.R_next and b_next are the state at the end, `motion` is the trajectory, and the crossings are listed
   in `batch` in no order; patterns and moments are those after the step. */
EXPORT int64_t truncflow_batch_step(const State *state, double energy, const Points *points, Moments *moments,
                                    Motion *motion, Work *work, Near *near, const Accuracy *accuracy, Batch *batch)
{
    const int64_t dim = points->x.n[1], size_m = dim * (dim + 1), size_M = dim * size_m;
    const int with_zz = accuracy->with_zz != 0;
    const int64_t own = points->weight.n[0];
    if (moments->updates.at[0] > (own > FEWEST_UPDATES ? own : FEWEST_UPDATES))
        sum_moments(points, moments);
    memset(batch->tally.at, 0, sizeof(int64_t) * batch->tally.n[0]);
    const double scale = start_series(state, energy, points, motion, accuracy);
    double h = batch->scalars.at[BATCH_LENGTH];
    expected_moments(moments, h, with_zz, batch);
    int64_t found = 0;
    for (int sweep = 0; sweep <= SWEEPS; sweep++) {
        const double accurate = expand_batch(motion, moments, work, points->y_tilde.at, accuracy, scale, h, batch);
        if (!(accurate > 0.0))
            return ASTRAY;
        if (sweep == 0 && accurate < h) {
            h = accurate;
            expected_moments(moments, h, with_zz, batch);
            expand_batch(motion, moments, work, points->y_tilde.at, accuracy, scale, h, batch);
        } else if (accurate < 0.5 * h) {
            return ASTRAY;
        }
        batch->tally.at[BATCH_SWEPT]++;
        batch->tally.at[BATCH_ORDERS] += motion->order.at[0];
        const double gap = gap_to_last_sweep(motion, work, h, scale, batch);
        if (sweep > 0 && gap <= AGREED * accuracy->tolerance)
            break;
        if (sweep == SWEEPS)
            return ASTRAY;
        if (sweep == 0 || reaches_further(motion, h, near)) {
            if (!look_around(points, motion, h, 1, near))
                return LISTS_FULL;
            add_displacement(motion, near);
            allow_for_sweeps(near);
            gather_hits(points, motion, near);
            batch->tally.at[BATCH_CANDIDATES] += near->tally.at[HITS];
            keep_likely_hits(points, near, h);
        } else {
            follow_hits(points, motion, near);
        }
        found = locate(points, motion, work, h, near, batch);
        if (found < 0)
            return ASTRAY;
        if (found > batch->time.n[0]) {
            batch->tally.at[BATCH_CROSSINGS] = found;
            return CROSSINGS_FULL;
        }
        moments_along(points, moments, near, h, found, with_zz, batch);
    }
    batch->scalars.at[BATCH_LENGTH] = h;
    batch->scalars.at[BATCH_INSIDE] = off_inside(motion, moments, work, accuracy, scale, h, batch);
    batch->tally.at[BATCH_CROSSINGS] = found;
    evaluate_state(motion, h, state->R_next.at, state->b_next.at, work->rows.at);
    memcpy(batch->m_rate.at, moments->m.at, sizeof(double) * size_m);
    memcpy(batch->M_rate.at, moments->M.at, sizeof(double) * size_M);
    settle(points, moments, near, found, batch);
    change_over(moments->m.at, batch->m_rate.at, size_m, h);
    change_over(moments->M.at, batch->M_rate.at, size_M, h);
    return DONE;
}
