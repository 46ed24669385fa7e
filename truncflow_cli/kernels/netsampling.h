/* The trajectory of `general` at saved times, with the loss there. */

#pragma once

#include <stdint.h>
#include <string.h>

#include "arrays.h"
#include "course.h"
#include "sampling.h"
#include "series.h"
#include "vector.h"

/* Replace t (Q, 4), four points side by side, by their images under layers with these R (L, Q, Q) and b = Rβ (L, Q). */
INLINE void pass_four(Four *t, Four *z, const double *R, const double *b, int64_t layers, int64_t dim)
{
    for (int64_t l = 0; l < layers; l++, R += dim * dim, b += dim) {
        for (int64_t r = 0; r < dim; r++) {
            Four total = all_four(b[r]);
            for (int64_t a = 0; a < dim; a++)
                total = multiply_add(all_four(R[r * dim + a]), t[a], total);
            z[r] = positive_part(total) - all_four(b[r]);
        }
        for (int64_t a = 0; a < dim; a++)
            t[a] = all_four(0.0);
        for (int64_t r = 0; r < dim; r++)
            for (int64_t a = 0; a < dim; a++)
                t[a] = multiply_add(all_four(R[r * dim + a]), z[r], t[a]);
    }
}

/* Fill loss (C) with (1/N_j) Σ_i ½ |τ^(L)∘…∘τ^(1)(x) − ỹ_j|² of each cluster, by a forward pass (2.26).

   `weight` (M) is the share of each point in its cluster, `label` (M) that cluster, `target` (M, Q) its ỹ; sums are
   taken with their rounding errors (Neumaier). */
static void network_losses(const double *x, const double *weight, const double *target, const int64_t *label,
                           int64_t points, const double *R, const double *b, int64_t layers, int64_t dim,
                           int64_t clusters, double *loss)
{
    Four t[dim], z[dim];
    double lost[clusters];
    memset(loss, 0, sizeof(double) * clusters);
    memset(lost, 0, sizeof lost);
    for (int64_t first = 0; first < points; first += 4) {
        const int64_t count = points - first < 4 ? points - first : 4;
        for (int64_t a = 0; a < dim; a++)
            for (int64_t k = 0; k < 4; k++)
                t[a][k] = x[(first + (k < count ? k : 0)) * dim + a];
        pass_four(t, z, R, b, layers, dim);
        Four squares = all_four(0.0);
        for (int64_t a = 0; a < dim; a++) {
            Four off = t[a];
            for (int64_t k = 0; k < 4; k++)
                off[k] -= target[(first + (k < count ? k : 0)) * dim + a];
            squares = multiply_add(off, off, squares);
        }
        for (int64_t k = 0; k < count; k++) {
            const int64_t j = label[first + k];
            const double part = 0.5 * weight[first + k] * squares[k], next = loss[j] + part;
            lost[j] += loss[j] >= part ? (loss[j] - next) + part : (part - next) + loss[j];
            loss[j] = next;
        }
    }
    for (int64_t j = 0; j < clusters; j++)
        loss[j] += lost[j];
}

/* Fill sample k with the state at t of the series. */
static void take_network_sample(const Cloud *cloud, const Cells *cells, const Course *course, double t,
                                NetSamples *samples, int64_t k, double *scratch)
{
    const int64_t layers = course->b.n[1], dim = course->b.n[2], clusters = samples->loss.n[1];
    double *R = samples->R.at + k * layers * dim * dim, *b = samples->b.at + k * layers * dim;
    samples->energy.at[k] = evaluate_network(course, t, R, b, scratch);
    for (int64_t l = 0; l < layers; l++)
        turn_back(R + l * dim * dim, b + l * dim, samples->beta.at + (k * layers + l) * dim, dim);
    network_losses(cloud->x.at, cloud->weight.at, cloud->target.at, cloud->label.at, cloud->x.n[0], R, b, layers, dim,
                   clusters, samples->loss.at + k * clusters);
    memcpy(samples->truncated.at + k * layers * dim, cells->truncated.at, sizeof(double) * layers * dim);
}
