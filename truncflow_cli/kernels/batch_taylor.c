/* The series of `separated` along a step over many crossings: as in layer_taylor.c, with moments that depend on s.

   With m(s) = Σ_k m_k (s/h)^k, k ≤ d, and M(s) likewise, see batch_moments.c, what is linear in the moments becomes a
   Cauchy product (m and M are here divided by the total weight):

       S_i,n = Σ_k h^−k m_i,k · R̂_i,n−k,     B_i,n = Σ_k h^−k ((R_i,n−k·ỹ) m_i,k − R_i,n−k M_i,k)
       (J⊥u)_i,n = u_i,n − Σ_k h^−k (the last entry of m_i,k) u_i,n−k

   Without zz-terms, B_i = u_i m_i. What the projection leaves out is orthogonal to polynomials of degree d, so that the
   state at the end of the step hardly notices it; inside the step the trajectory is off by about the area under it. */

#include "layer.h"

/* Fill the n-th coefficients of u, R ỹ, B and S, with moments that depend on s; see layer_taylor.c. */
static void linear_terms_along(const Moments *moments, LayerWork *work, const double *y_tilde, int with_zz, double h,
                               int64_t n, Batch *batch)
{
    const int64_t dim = batch->dim, columns = dim + 1;
    const double inverse = 1.0 / moments->total;
    double line[MOST_DIM + 1];
    for (int64_t r = 0; r < dim; r++) {
        const double *row = work->rows + (n * dim + r) * columns;
        double *B = work->B + (n * dim + r) * (dim + 2);
        const double q = along(row, y_tilde, dim);
        batch->q[n * dim + r] = q;
        work->u[n * dim + r] = row[dim] + q;
        place_columns(work, n, r, dim);
        double S = 0.0, power = inverse;
        memset(B, 0, sizeof(double) * columns);
        for (int64_t k = 0; k <= n && k <= DEGREE; k++) {
            const double *R_r = work->rows + ((n - k) * dim + r) * columns;
            const double *m_r = batch->m + (k * dim + r) * columns;
            S += power * along(R_r, m_r, columns);
            if (with_zz) {
                const double *M_r = batch->M + (k * dim + r) * dim * columns;
                second_moments(line, batch->q[(n - k) * dim + r], 1.0, m_r, R_r, M_r, dim);
                add_multiple(B, power, line, columns);
            } else {
                add_multiple(B, power * work->u[(n - k) * dim + r], m_r, columns);
            }
            power /= h;
        }
        B[dim + 1] = S;
    }
}

/* Fill the n-th coefficients of Ω and J⊥u. */
static void rotation_rate_along(const Moments *moments, LayerWork *work, double h, int64_t n, const Batch *batch)
{
    const int64_t dim = batch->dim;
    quadratic_terms(work, n, dim);
    skew_part(work, n, dim);
    double *Ju = work->Ju + n * dim;
    memcpy(Ju, work->u + n * dim, sizeof(double) * dim);
    double power = 1.0 / moments->total;
    for (int64_t k = 0; k <= n && k <= DEGREE; k++) {
        const double *mass = batch->m + k * dim * (dim + 1) + dim;
        const double *u = work->u + (n - k) * dim;
        for (int64_t r = 0; r < dim; r++)
            Ju[r] -= power * mass[r * (dim + 1)] * u[r];
        power /= h;
    }
}

/* Extend the series until they are accurate over h; return how far they are (-1.0: the state is not finite). */
double expand_batch(Layer *layer, double scale, double h, Batch *batch)
{
    const Accuracy *accuracy = &layer->accuracy;
    Taylor *taylor = &layer->taylor;
    LayerWork *work = &layer->work;
    double square = accuracy->floor * accuracy->floor + accuracy->spread * accuracy->spread;
    SeriesLength series = no_terms(accuracy, h, DEGREE + 2, taylor->highest);
    for (int64_t n = 0; n < taylor->highest; n++) {
        linear_terms_along(&layer->moments, work, layer->points.y_tilde, accuracy->with_zz != 0, h, n, batch);
        rotation_rate_along(&layer->moments, work, h, n, batch);
        if (n == 0)
            square = maximum(along(work->u, work->u, taylor->dim), square);
        const double size = next_order(taylor, work, n, scale, square);
        taylor->order = n + 1;
        if (is_long_enough(&series, n, size, 0.0))
            break;
    }
    return series.length;
}

/* Return how far middle and end of the trajectory are from those of the last sweep, and keep them. */
double gap_to_last_sweep(const Layer *layer, double h, double scale, Batch *batch)
{
    const Taylor *taylor = &layer->taylor;
    const int64_t dim = taylor->dim, order = taylor->order;
    double *R = layer->work.P, b[MOST_DIM], gap = 0.0, shift = 0.0;
    for (int place = 0; place < 2; place++) {
        const double t = place == 1 ? h : 0.5 * h;
        double *before = batch->before + place * dim * (dim + 1);
        evaluate_rows(taylor->R, order, dim * dim, t, R);
        evaluate_rows(taylor->b, order, dim, t, b);
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

/* Return what the trajectory may be off by inside: the next coefficient's field, for a part of the step. */
double off_inside(const Layer *layer, double scale, double h, const Batch *batch)
{
    const Taylor *taylor = &layer->taylor;
    const LayerWork *work = &layer->work;
    const int64_t dim = taylor->dim, columns = dim + 1;
    const double inverse = 1.0 / layer->moments.total;
    const double *u = work->u, *b = taylor->b;
    double *P = work->P, line[MOST_DIM + 1], worst = 0.0;
    for (int64_t r = 0; r < dim; r++) {
        const double *m_r = batch->m + ((DEGREE + 1) * dim + r) * columns;
        const double *R_r = taylor->R + r * dim;
        worst = maximum(fabs(m_r[dim] * inverse * u[r]) / scale, worst);
        const double S = along(R_r, m_r, dim) + b[r] * m_r[dim];
        if (layer->accuracy.with_zz)
            second_moments(line, batch->q[r], 1.0, m_r, R_r, batch->M + ((DEGREE + 1) * dim + r) * dim * columns,
                           dim);
        else
            for (int64_t a = 0; a <= dim; a++)
                line[a] = u[r] * m_r[a];
        for (int64_t j = 0; j < dim; j++)
            P[r * dim + j] = (S * u[j] + line[dim] * b[j] + along(line, taylor->R + j * dim, dim)) * inverse;
    }
    for (int64_t i = 0; i < dim; i++)
        for (int64_t j = 0; j < i; j++)
            worst = maximum(0.5 * fabs(P[i * dim + j] - P[j * dim + i]), worst);
    return worst * h / (2.0 * (DEGREE + 1));
}
