/* The trajectory at saved times, with the loss there. */

#pragma once

#include "arrays.h"
#include "states.h"
#include "turning.h"
#include "vector.h"

/* Return ½ mean_i |σ(R x_i + b) − u|², u = b + Rỹ, the cluster's part of the loss (3.18).

   By a forward pass, without the moments that the flow itself works with, so that the energy balance checks them. The
   sums of blocks of points are added up with their rounding errors (Neumaier). */
static double cluster_loss(const double *x, const double *weight, int64_t own, double total, const double *y_tilde,
                           const double *R, const double *b, int64_t dim)
{
    const int64_t width = padded(dim), step = together(dim);
    double Z[step * width], u[width], sum = 0.0, lost = 0.0;
    for (int64_t r = 0; r < width; r++)
        u[r] = r < dim ? speed_of_bias(R, b, y_tilde, dim, r) : 0.0;
    for (int64_t first = 0; first < own; first += step) {
        const int64_t count = own - first < step ? own - first : step;
        turn_points(x + first * dim, count, R, b, dim, 0.0, Z);
        Four block = all_four(0.0);
        for (int64_t k = 0; k < count; k++) {
            Four squares = all_four(0.0);
            for (int64_t r = 0; r < width; r += 4) {
                const Four off = positive_part(four_at(Z + k * width + r)) - four_at(u + r);
                squares = multiply_add(off, off, squares);
            }
            block = multiply_add(all_four(weight[first + k]), squares, block);
        }
        const double part = sum_of_four(block), next = sum + part;
        lost += sum >= part ? (sum - next) + part : (part - next) + sum;
        sum = next;
    }
    return 0.5 * (sum + lost) / total;
}

/* Fill sample k with the state at t of the motion. */
static void take_sample(const Points *points, const Moments *moments, const Motion *motion, double t, Samples *samples,
                        int64_t k, double *scratch)
{
    const int64_t dim = motion->b.n[1];
    double *R = samples->R.at + k * dim * dim, *b = samples->b.at + k * dim;
    samples->energy.at[k] = evaluate_state(motion, t, R, b, scratch);
    turn_back(R, b, samples->beta.at + k * dim, dim);
    samples->loss.at[k] = cluster_loss(points->x.at, points->weight.at, points->weight.n[0], moments->total.at[0],
                                       points->y_tilde.at, R, b, dim);
    for (int64_t r = 0; r < dim; r++)
        samples->untruncated.at[k * dim + r] = moments->m.at[r * (dim + 1) + dim];
}
