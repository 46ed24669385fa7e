/* The state of a layer at some time: R orthogonal, b = Rβ, from their Taylor series. */

#pragma once

#include <math.h>

#include "arrays.h"
#include "products.h"
#include "vector.h"

/* Return u_r = (b + R ỹ)_r. */
INLINE double speed_of_bias(const double *R, const double *b, const double *y_tilde, int64_t dim, int64_t r)
{
    return b[r] + along(R + r * dim, y_tilde, dim);
}

/* Replace R by its polar factor (Newton–Schulz; R is nearly orthogonal), in place; return ‖RᵀR − 1‖_max before.

   `scratch` has room for (Q, Q) twice. */
static double orthonormalise(double *R, int64_t dim, double *scratch)
{
    double *defect = scratch, *change = scratch + dim * dim;
    const Left transposed = {R, 0, 1, dim}, rows = {R, 0, dim, 1};
    double first = 0.0;
    for (int attempt = 0; attempt < 4; attempt++) {
        cauchy_product(transposed, R, defect, 0, dim, dim, dim);
        double worst = 0.0;
        for (int64_t a = 0; a < dim; a++) {
            defect[a * dim + a] -= 1.0;
            for (int64_t c = 0; c < dim; c++)
                worst = maximum(fabs(defect[a * dim + c]), worst);
        }
        if (attempt == 0)
            first = worst;
        if (worst < 4e-16 * (double)dim)
            break;
        cauchy_product(rows, defect, change, 0, dim, dim, dim);
        for (int64_t k = 0; k < dim * dim; k++)
            R[k] -= 0.5 * change[k];
        /* The defect is squared by each round: from here on there is none left. */
        if (worst * (double)dim < 1e-9)
            break;
    }
    return first;
}

/* Fill out (size) with the sum of the rows of `series` (order+1, size) times the powers of t (Horner); each entry is the
   same number whatever stands beside it. */
INLINE void evaluate_rows(const double *series, int64_t order, int64_t size, double t, double *out)
{
    int64_t a = 0;
    for (; a + 4 <= size; a += 4) {
        Four value = four_at(series + order * size + a);
        for (int64_t n = order - 1; n >= 0; n--)
            value = multiply_add(value, all_four(t), four_at(series + n * size + a));
        put_four(out + a, value);
    }
    for (; a < size; a++) {
        double value = series[order * size + a];
        for (int64_t n = order - 1; n >= 0; n--)
            value = multiply_add_one(value, t, series[n * size + a]);
        out[a] = value;
    }
}

/* Fill R_out (Q, Q), orthonormalised, and b_out (Q) with the state at t; return the energy. `scratch`: (Q, Q) twice. */
static double evaluate_state(const Motion *motion, double t, double *R_out, double *b_out, double *scratch)
{
    const int64_t dim = motion->b.n[1], order = motion->order.at[0];
    double energy;
    evaluate_rows(motion->energy.at, order, 1, t, &energy);
    evaluate_rows(motion->b.at, order, dim, t, b_out);
    evaluate_rows(motion->R.at, order, dim * dim, t, R_out);
    orthonormalise(R_out, dim, scratch);
    return energy;
}

/* Fill beta (Q) with Rᵀ b. */
static void turn_back(const double *R, const double *b, double *beta, int64_t dim)
{
    memset(beta, 0, sizeof(double) * dim);
    for (int64_t r = 0; r < dim; r++)
        add_multiple(beta, b[r], R + r * dim, dim);
}
