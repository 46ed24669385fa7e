/* Taylor series of the flow of Theorem 3.2, from moments.

   Between events the field is a polynomial in the state, so its solution's Taylor coefficients follow from one another
   by Cauchy products. In the co-moving frame, with b = Rβ, u = b + Rỹ and z = Rx + b,

       R' = Ω R,     b' = Ω b − J⊥ u,     energy' = |J⊥ u|² + ‖Ω‖_F²                     (3.22), (3.24), (3.27)
       Ω = ½ (P − Pᵀ),   P_ij = mean_x h_i (z_i u_j + z_j (u_i − z_i))                   (3.25), corrected

   As u − z = R(ỹ − x), the moments m = mean h (x, 1) and M = mean h x (x, 1)ᵀ of the untruncated points (Cor. 3.5,
   corrected) give, with R̂_j = (R_j, b_j),

       P_ij = B_i·R̂_j + S_i u_j,    S_i = m_i·R̂_i,    B_i = mean h_i (u_i − z_i)(x, 1) = (R_i·ỹ) m_i − R_i M_i.

   A pinned point (z_r = 0) enters with a weight λ(s): P_rj += m λ u_r z_j and (J⊥)_rr −= m λ, where λ is such that
   z_r stays 0; its coefficient of each order solves a linear system, the same one for all orders.

   Coefficient n multiplies tⁿ. Of each order there are the blocks (Q, Q+1) = (R, b) in work.rows, their transposes with
   u below, (Q+2, Q), in work.columns, (B, S) (Q, Q+2) in work.B, and Ω (Q, Q) in work.Om. */

#include "layer.h"
#include "products.h"

/* Fill `across` fours of the lines head_r m_r − w R_r M_r, for `together` rows r; lines are Q+2 apart, the rest Q+1. */
INLINE void fill_lines(double *lines, const double *head, const double *m, const double *rows, const double *M,
                       double w, int64_t dim, int64_t first, int together, int across)
{
    const int64_t columns = dim + 1;
    Four sums[2][2 * ACROSS];
    int64_t offset[2 * ACROSS];
    for (int v = 0; v < across; v++) {
        offset[v] = first + 4 * v < columns - 4 ? first + 4 * v : columns - 4;
        for (int k = 0; k < together; k++)
            sums[k][v] = all_four(head[k]) * four_at(m + k * columns + offset[v]);
    }
    for (int64_t c = 0; c < dim; c++)
        for (int k = 0; k < together; k++) {
            const Four factor = all_four(-w * rows[k * columns + c]);
            const double *line = M + (k * dim + c) * columns;
            for (int v = 0; v < across; v++)
                sums[k][v] = multiply_add(factor, four_at(line + offset[v]), sums[k][v]);
        }
    for (int v = 0; v < across; v++)
        for (int k = 0; k < together; k++)
            put_four(lines + k * (columns + 1) + offset[v], sums[k][v]);
}

/* Fill line (Q+1) with head m_r − w R_r M_r. */
void second_moments(double *line, double head, double w, const double *m_r, const double *R_r,
                           const double *M_r, int64_t dim)
{
    const int64_t columns = dim + 1;
    if (columns < 4) {
        for (int64_t a = 0; a < columns; a++) {
            double total = head * m_r[a];
            for (int64_t c = 0; c < dim; c++)
                total -= w * R_r[c] * M_r[c * columns + a];
            line[a] = total;
        }
        return;
    }
    for (int64_t first = 0; first < columns; first += 8 * ACROSS)
        fill_lines(line, &head, m_r, R_r, M_r, w, dim, first, 1, 2 * ACROSS);
}

/* Fill the lines of all rows, Q+2 apart. */
static void all_second_moments(double *lines, const double *head, double w, const double *rows, const Moments *moments,
                               int64_t dim)
{
    const int64_t columns = dim + 1, fours = (columns + 3) / 4;
    const double *m = moments->m, *M = moments->M;
    int64_t r = 0;
    /* Short ones two at a time: one alone would wait for its own sums. */
    for (; columns >= 4 && fours <= ACROSS && r + 2 <= dim; r += 2) {
        double *line = lines + r * (columns + 1);
        const double *m_r = m + r * columns, *row = rows + r * columns, *M_r = M + r * dim * columns;
        switch (fours) {
        case 1: fill_lines(line, head + r, m_r, row, M_r, w, dim, 0, 2, 1); break;
        case 2: fill_lines(line, head + r, m_r, row, M_r, w, dim, 0, 2, 2); break;
        default: fill_lines(line, head + r, m_r, row, M_r, w, dim, 0, 2, 3); break;
        }
    }
    for (; r < dim; r++)
        second_moments(lines + r * (columns + 1), head[r], w, m + r * columns, rows + r * columns,
                       M + r * dim * columns, dim);
}

/* Put the n-th coefficients of a row (R_r, b_r), in work.rows, and u_r into their places among the columns. */
void place_columns(const LayerWork *work, int64_t n, int64_t r, int64_t dim)
{
    const double *row = work->rows + (n * dim + r) * (dim + 1);
    double *columns = work->columns + n * (dim + 2) * dim + r;
    for (int64_t a = 0; a <= dim; a++)
        columns[a * dim] = row[a];
    columns[(dim + 1) * dim] = work->u[n * dim + r];
}

/* Fill the n-th coefficients of what is linear in the state: u, B, S. */
static void linear_terms(const Moments *moments, LayerWork *work, const double *y_tilde, int with_zz, int64_t n,
                         int64_t dim)
{
    const double inverse = 1.0 / moments->total;
    const double *rows = work->rows + n * dim * (dim + 1);
    double *B = work->B + n * dim * (dim + 2), *u = work->u + n * dim, head[MOST_DIM], S[MOST_DIM];
    row_products(rows, dim + 1, y_tilde, 0, dim, dim, head);
    row_products(rows, dim + 1, moments->m, dim + 1, dim, dim + 1, S);
    for (int64_t r = 0; r < dim; r++) {
        u[r] = rows[r * (dim + 1) + dim] + head[r];
        head[r] = inverse * (with_zz ? head[r] : u[r]);
        B[r * (dim + 2) + dim + 1] = inverse * S[r];
        place_columns(work, n, r, dim);
    }
    if (with_zz) {
        all_second_moments(B, head, inverse, rows, moments, dim);
        return;
    }
    for (int64_t r = 0; r < dim; r++)
        for (int64_t a = 0; a <= dim; a++)
            B[r * (dim + 2) + a] = head[r] * moments->m[r * (dim + 1) + a];
}

/* Fill work.P with the n-th coefficients of the sum over m of (B, S)_m (R, b, u)ᵀ_(n-m). */
void quadratic_terms(LayerWork *work, int64_t n, int64_t dim)
{
    const Left B = {work->B, dim * (dim + 2), dim + 2, 1};
    cauchy_product(B, (Rows){work->columns, (dim + 2) * dim, dim, NULL, dim + 2}, work->P, dim, n, dim, dim);
}

/* Fill the n-th coefficients of Ω with ½ (P − Pᵀ). */
void skew_part(LayerWork *work, int64_t n, int64_t dim)
{
    const double *P = work->P;
    double *Om = work->Om + n * dim * dim;
    for (int64_t i = 0; i < dim; i++) {
        Om[i * dim + i] = 0.0;
        for (int64_t j = 0; j < i; j++) {
            const double value = 0.5 * (P[i * dim + j] - P[j * dim + i]);
            Om[i * dim + j] = value;
            Om[j * dim + i] = -value;
        }
    }
}

/* Fill the n-th coefficients of Ω and J⊥u. */
static void rotation_rate(const Moments *moments, LayerWork *work, const LayerPins *pins, int64_t n, int64_t dim)
{
    const int64_t pinned = pins->size;
    quadratic_terms(work, n, dim);
    for (int64_t k = 0; k < pinned; k++)
        for (int64_t m = 0; m <= n; m++)
            add_multiple(work->P + pins->row[k] * dim, pins->mass[k] * pins->v[m * pinned + k],
                         pins->z + ((n - m) * pinned + k) * dim, dim);
    skew_part(work, n, dim);
    const double inverse = 1.0 / moments->total;
    double *Ju = work->Ju + n * dim;
    for (int64_t i = 0; i < dim; i++)
        Ju[i] = (1.0 - moments->m[i * (dim + 1) + dim] * inverse) * work->u[n * dim + i];
    for (int64_t k = 0; k < pinned; k++)
        Ju[pins->row[k]] -= pins->mass[k] * pins->v[n * pinned + k];
}

/* Fill the n-th coefficients of the pinned points' z, and of v = λ u_r as far as they are known. */
static void pinned_terms(const LayerWork *work, LayerPins *pins, int64_t n, int64_t dim)
{
    const int64_t pinned = pins->size;
    const double *rows = work->rows + n * dim * (dim + 1);
    for (int64_t k = 0; k < pinned; k++) {
        double *z = pins->z + (n * pinned + k) * dim;
        for (int64_t a = 0; a < dim; a++)
            z[a] = rows[a * (dim + 1) + dim] + along(rows + a * (dim + 1), pins->x + k * dim, dim);
        if (n > 0)
            pins->lam[n * pinned + k] = 0.0;
        double total = 0.0;
        for (int64_t m = 0; m <= n; m++)
            total += pins->lam[m * pinned + k] * work->u[(n - m) * dim + pins->row[k]];
        pins->v[n * pinned + k] = total;
    }
}

/* Choose the n-th coefficients of λ so that those of ż vanish on the pinned surfaces. */
static void hold_pins(LayerWork *work, LayerPins *pins, int64_t n, int64_t dim)
{
    const int64_t pinned = pins->size;
    double *residual = pins->residual;
    for (int64_t k = 0; k < pinned; k++) {
        const int64_t r = pins->row[k];
        double total = -work->Ju[n * dim + r];
        for (int64_t m = 0; m <= n; m++)
            total += along(work->Om + (m * dim + r) * dim, pins->z + ((n - m) * pinned + k) * dim, dim);
        residual[k] = total;
    }
    double *Om = work->Om + n * dim * dim;
    for (int64_t k = 0; k < pinned; k++) {
        const double correction = -along(pins->inverse + k * pinned, residual, pinned);
        const int64_t r = pins->row[k];
        const double change = work->u[r] * correction;
        const double push = pins->mass[k] * change;
        const double *z = pins->z + k * dim;
        pins->lam[n * pinned + k] += correction;
        pins->v[n * pinned + k] += change;
        work->Ju[n * dim + r] -= push;
        for (int64_t j = 0; j < dim; j++)
            if (j != r) {
                Om[r * dim + j] += 0.5 * push * z[j];
                Om[j * dim + r] -= 0.5 * push * z[j];
            }
    }
}

/* Fill the state's coefficients of order n+1, in `taylor` and in work.rows; return their size relative to the state's. */
double next_order(Taylor *taylor, LayerWork *work, int64_t n, double scale_b, double scale_energy)
{
    const int64_t dim = taylor->dim;
    const double *Ju = work->Ju;
    double power = 0.0;
    for (int64_t m = 0; 2 * m <= n; m++) {
        const int64_t k = n - m;
        const double part = long_along(work->Om + m * dim * dim, work->Om + k * dim * dim, dim * dim)
                            + along(Ju + m * dim, Ju + k * dim, dim);
        power += m == k ? part : 2.0 * part;
    }
    const double scale = 1.0 / (double)(n + 1);
    taylor->energy[n + 1] = power * scale;
    double size = fabs(power * scale) / scale_energy;

    double *rows = work->rows + (n + 1) * dim * (dim + 1);
    const Left Om = {work->Om, dim * dim, dim, 1};
    cauchy_product(Om, (Rows){work->rows, dim * (dim + 1), dim + 1, NULL, dim}, rows, dim + 1, n, dim, dim + 1);
    double *R = taylor->R + (n + 1) * dim * dim, *b = taylor->b + (n + 1) * dim;
    double *turn = taylor->row_length + (n + 1) * dim;
    const double per_b = 1.0 / scale_b;
    for (int64_t r = 0; r < dim; r++)
        rows[r * (dim + 1) + dim] -= Ju[n * dim + r];
    for (int64_t k = 0; k < dim * (dim + 1); k++)
        rows[k] *= scale;
    for (int64_t r = 0; r < dim; r++) {
        const double *row = rows + r * (dim + 1);
        copy_row(R + r * dim, row, dim);
        b[r] = row[dim];
    }
    row_products(rows, dim + 1, rows, dim + 1, dim, dim, turn);
    double largest = 0.0, finite = 0.0; /* the latter is nan if anything is not finite */
    for (int64_t r = 0; r < dim; r++) {
        turn[r] = sqrt(turn[r]);
        largest = maximum(maximum(turn[r], fabs(b[r]) * per_b), largest);
        finite += 0.0 * (turn[r] + b[r]);
    }
    return isfinite(size + finite) ? maximum(size, largest) : INFINITY;
}

/* Put the state into order 0 of the series, and into work.rows; return the scale of b. */
double begin_series(Layer *layer)
{
    const State *state = &layer->state;
    Taylor *taylor = &layer->taylor;
    const int64_t dim = state->dim;
    taylor->energy[0] = state->energy;
    memcpy(taylor->R, state->R, sizeof(double) * dim * dim);
    memcpy(taylor->b, state->b, sizeof(double) * dim);
    double scale = layer->accuracy.floor;
    for (int64_t r = 0; r < dim; r++) {
        const double u = speed_of_bias(state->R, state->b, layer->points.y_tilde, dim, r);
        scale = maximum(scale, maximum(fabs(u), fabs(state->b[r])));
        double *row = layer->work.rows + r * (dim + 1);
        copy_row(row, state->R + r * dim, dim);
        row[dim] = state->b[r];
    }
    return scale;
}

/* Extend the series, order by order, until they are accurate over `reach`; return the length where they are.

   pins.lam has λ in its order 0. */
double layer_expand(Layer *layer, double reach)
{
    const Accuracy *accuracy = &layer->accuracy;
    Taylor *taylor = &layer->taylor;
    LayerWork *work = &layer->work;
    LayerPins *pins = &layer->pins;
    const double *y_tilde = layer->points.y_tilde;
    const int64_t dim = taylor->dim, pinned = pins->size;
    refresh_moments(layer);
    const double scale = begin_series(layer);
    double square = maximum(accuracy->spread * accuracy->spread, accuracy->floor * accuracy->floor), speed = 0.0;
    for (int64_t r = 0; r < dim; r++) {
        const double u = speed_of_bias(layer->state.R, layer->state.b, y_tilde, dim, r);
        speed += u * u;
    }
    square = maximum(speed, square);
    SeriesLength series = no_terms(accuracy, reach, 3, taylor->highest);
    for (int64_t n = 0; n < taylor->highest; n++) {
        linear_terms(&layer->moments, work, y_tilde, accuracy->with_zz != 0, n, dim);
        if (pinned > 0)
            pinned_terms(work, pins, n, dim);
        rotation_rate(&layer->moments, work, pins, n, dim);
        if (pinned > 0)
            hold_pins(work, pins, n, dim);
        const double size = next_order(taylor, work, n, scale, square);
        double pull = 0.0;
        for (int64_t k = 0; k < pinned; k++)
            pull = maximum(pull, fabs(pins->lam[n * pinned + k]));
        taylor->order = n + 1;
        if (is_long_enough(&series, n, size, pull))
            break;
    }
    return series.length;
}
