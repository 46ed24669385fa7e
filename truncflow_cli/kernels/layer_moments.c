/* The constrained moments of a cluster's own points (3.33) ff.: sums over those untruncated in a coordinate. */

#include "layer.h"

/* Rank-one updates after which the moments are summed anew, so that rounding does not pile up: as many as there are
   points, but not fewer than these. */
enum { FEWEST_UPDATES = 4096 };

/* Let own point i count as untruncated in coordinate r (sign -1: no longer). */
void count_point(const Points *points, int64_t i, int64_t r, double sign, Moments *moments)
{
    const int64_t dim = points->dim;
    const double *x = points->x + i * dim;
    const double weight = sign * points->weight[i];
    double *m = moments->m + r * (dim + 1);
    double *M = moments->M + r * dim * (dim + 1);
    for (int64_t a = 0; a < dim; a++, M += dim + 1) {
        const double weighted = weight * x[a];
        m[a] += weighted;
        add_multiple(M, weighted, x, dim);
        M[dim] += weighted;
    }
    m[dim] += weight;
    moments->updates++;
}

/* Sum the moments from scratch, over the untruncated own points. */
void layer_sum_moments(Layer *layer)
{
    const Points *points = &layer->points;
    Moments *moments = &layer->moments;
    const int64_t dim = points->dim;
    memset(moments->m, 0, sizeof(double) * dim * (dim + 1));
    memset(moments->M, 0, sizeof(double) * dim * dim * (dim + 1));
    for (int64_t i = 0; i < points->own; i++)
        for (int64_t r = 0; r < dim; r++)
            if (points->pattern[i * dim + r] == UNTRUNCATED)
                count_point(points, i, r, 1.0, moments);
    moments->updates = 0;
}

/* Sum the moments from scratch if they have been updated often. */
void refresh_moments(Layer *layer)
{
    const int64_t own = layer->points.own;
    if (layer->moments.updates > (own > FEWEST_UPDATES ? own : FEWEST_UPDATES))
        layer_sum_moments(layer);
}

void layer_count_points(Layer *layer, const int64_t *point, const int64_t *row, int64_t count, double sign)
{
    for (int64_t k = 0; k < count; k++)
        count_point(&layer->points, point[k], row[k], sign, &layer->moments);
}
