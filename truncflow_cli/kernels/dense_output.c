/* The state at some time, R orthogonal and b = Rβ, from its Taylor series; losses there. */

#include "numerics.h"
#include "products.h"

/* Replace R by its polar factor (Newton–Schulz; R is nearly orthogonal), in place; return ‖RᵀR − 1‖_max before.

   `scratch` has room for (Q, Q) twice. */
double orthonormalise(double *R, int64_t dim, double *scratch)
{
    double *defect = scratch, *change = scratch + dim * dim;
    const Left transposed = {R, 0, 1, dim}, rows = {R, 0, dim, 1};
    double first = 0.0;
    for (int attempt = 0; attempt < 4; attempt++) {
        cauchy_product(transposed, (Rows){R, 0, dim, NULL, dim}, defect, dim, 0, dim, dim);
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
        cauchy_product(rows, (Rows){defect, 0, dim, NULL, dim}, change, dim, 0, dim, dim);
        for (int64_t k = 0; k < dim * dim; k++)
            R[k] -= 0.5 * change[k];
        /* The defect is squared by each round: from here on there is none left. */
        if (worst * (double)dim < 1e-9)
            break;
    }
    return first;
}

/* Fill out (size) with the sum of the rows of `series` (order+1, size) times the powers of t (Horner); each entry is
   the same number whatever stands beside it. */
void evaluate_rows(const double *series, int64_t order, int64_t size, double t, double *out)
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

/* Fill R_out (L, Q, Q), orthonormalised, and b_out (L, Q) with the state at t; return the energy. `scratch`: (Q, Q)
   twice. */
double evaluate_state(const Taylor *taylor, double t, double *R_out, double *b_out, double *scratch)
{
    const int64_t layers = taylor->layers, dim = taylor->dim, order = taylor->order;
    double energy;
    evaluate_rows(taylor->energy, order, 1, t, &energy);
    evaluate_rows(taylor->b, order, layers * dim, t, b_out);
    evaluate_rows(taylor->R, order, layers * dim * dim, t, R_out);
    orthonormalise_all(R_out, layers, dim, scratch);
    return energy;
}

void orthonormalise_all(double *R, int64_t layers, int64_t dim, double *scratch)
{
    for (int64_t l = 0; l < layers; l++)
        orthonormalise(R + l * dim * dim, dim, scratch);
}

/* Fill beta (Q) with Rᵀ b. */
static void turn_back(const double *R, const double *b, double *beta, int64_t dim)
{
    memset(beta, 0, sizeof(double) * dim);
    for (int64_t r = 0; r < dim; r++)
        add_multiple(beta, b[r], R + r * dim, dim);
}

/* Fill sample k with the state at t, but for what is truncated and the loss. */
void sample_state(const Taylor *taylor, double t, Samples *samples, int64_t k, double *scratch)
{
    const int64_t layers = taylor->layers, dim = taylor->dim, first = k * layers;
    double *R = samples->R + first * dim * dim, *b = samples->b + first * dim;
    samples->energy[k] = evaluate_state(taylor, t, R, b, scratch);
    for (int64_t l = 0; l < layers; l++)
        turn_back(R + l * dim * dim, b + l * dim, samples->beta + (first + l) * dim, dim);
}

void evaluate_states(const Taylor *taylor, Samples *samples, double *scratch)
{
    for (int64_t k = 0; k < samples->size; k++)
        sample_state(taylor, samples->s[k], samples, k, scratch);
}
