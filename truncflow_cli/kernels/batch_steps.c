/* Steps over many crossings at once, each located afterwards: `separated` with very many points.

   On a step the moments of the untruncated points are replaced by polynomials, see batch_moments.c: then the solution
   is a Taylor series again, see batch_taylor.c. The crossings follow from the trajectory, see batch_crossings.c, and the
   trajectory from the crossings: the two are found in turns ("sweeps"), until they agree. Each sweep gains a factor of
   the order of h. */

#include "layer.h"

/* Sweeps after which a step is given up. */
enum { SWEEPS = 8 };
/* Two sweeps agree when the states they lead to differ by this share of the tolerance. */
static const double AGREED = 0.1;

/* Let the listed coordinates change sides, and the moments with them. */
static void settle(const Points *points, Moments *moments, const NeighborLists *near, int64_t found, const Batch *batch)
{
    const int64_t dim = points->dim;
    for (int64_t k = 0; k < found; k++) {
        const Entry pair = near->pool[batch->entry[k]];
        int8_t *pattern = points->pattern + pair.point * dim + pair.row;
        const int up = *pattern == TRUNCATED;
        *pattern = up ? UNTRUNCATED : TRUNCATED;
        if (pair.point < points->own)
            count_point(points, pair.point, pair.row, up ? 1.0 : -1.0, moments);
    }
}

/* Replace `before` by (now − before) / h. */
static void change_over(const double *now, double *before, int64_t size, double h)
{
    for (int64_t k = 0; k < size; k++)
        before[k] = (now[k] - before[k]) / h;
}

/* Take one step of at most batch.length, which becomes its length; return how it went.

   When DONE, state.R_next and b_next are the state at the end, `taylor` is the trajectory, and the crossings are listed
   in `batch` in no order; patterns and moments are those after the step. */
int64_t layer_batch_step(Layer *layer, Batch *batch)
{
    const Points *points = &layer->points;
    Moments *moments = &layer->moments;
    Taylor *taylor = &layer->taylor;
    LayerWork *work = &layer->work;
    NeighborLists *near = &layer->near;
    const int64_t dim = points->dim, size_m = dim * (dim + 1), size_M = dim * size_m;
    const int with_zz = layer->accuracy.with_zz != 0;
    refresh_moments(layer);
    batch->crossings = batch->candidates = batch->sweeps = batch->evaluations = 0;
    const double scale = begin_series(layer);
    double h = batch->length;
    expected_moments(moments, h, with_zz, batch);
    int64_t found = 0;
    for (int sweep = 0; sweep <= SWEEPS; sweep++) {
        begin_series(layer); /* locate has used its memory */
        const double accurate = expand_batch(layer, scale, h, batch);
        if (!(accurate > 0.0))
            return ASTRAY;
        if (sweep == 0 && accurate < h) {
            h = accurate;
            expected_moments(moments, h, with_zz, batch);
            expand_batch(layer, scale, h, batch);
        } else if (accurate < 0.5 * h) {
            return ASTRAY;
        }
        batch->sweeps++;
        batch->evaluations += taylor->order;
        const double gap = gap_to_last_sweep(layer, h, scale, batch);
        if (sweep > 0 && gap <= AGREED * layer->accuracy.tolerance)
            break;
        if (sweep == SWEEPS)
            return ASTRAY;
        if (sweep == 0 || reaches_further(taylor, h, near)) {
            if (!choose_list(points, taylor, h, 1, near))
                return NEEDS_LISTS;
            add_displacement(taylor, near);
            allow_for_sweeps(near);
            gather_hits(points, taylor, near);
            batch->candidates += near->hits;
            keep_likely_hits(points, near, h);
        } else {
            follow_hits(points, taylor, near);
        }
        found = locate(points, taylor, work, h, near, batch);
        if (found < 0)
            return ASTRAY;
        if (found > batch->room) {
            batch->crossings = found;
            return NEEDS_CROSSINGS;
        }
        moments_along(points, moments, near, h, found, with_zz, batch);
    }
    batch->length = h;
    batch->inside = off_inside(layer, scale, h, batch);
    batch->crossings = found;
    evaluate_state(taylor, h, layer->state.R_next, layer->state.b_next, work->rows);
    memcpy(batch->m_rate, moments->m, sizeof(double) * size_m);
    memcpy(batch->M_rate, moments->M, sizeof(double) * size_M);
    settle(points, moments, near, found, batch);
    change_over(moments->m, batch->m_rate, size_m, h);
    change_over(moments->M, batch->M_rate, size_M, h);
    return DONE;
}
