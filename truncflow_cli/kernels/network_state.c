/* The series of the state of `general`, from those of Ω and c.

       R_ℓ' = Ω_ℓ R_ℓ,    b_ℓ' = Ω_ℓ b_ℓ + c_ℓ,    M_ℓ = R_{ℓ+1} R_ℓᵀ,    energy' = Σ_ℓ |c_ℓ|² + ‖Ω_ℓ‖_F²

   Coefficient n multiplies tⁿ, so that those of order n+1 are sums of products of lower ones, divided by n+1. */

#include "network.h"
#include "products.h"

/* Fill the n-th coefficient of one M_ℓ, for 2 or 3 dimensions: a row is one Four, what follows it coming along. */
INLINE void narrow_product(int64_t n, const double *R, int64_t R_block, const double *Rt, int64_t Rt_block, double *M,
                           int dim)
{
    Four sums[3] = {all_four(0.0), all_four(0.0), all_four(0.0)};
    for (int64_t m = 0; m <= n; m++) {
        const double *left = R + m * R_block, *right = Rt + (n - m) * Rt_block;
        Four line[3];
        for (int a = 0; a < dim; a++) {
            line[a] = all_four(0.0);
            if (m > 0)
                line[a] = four_at(right + a * dim);
            else /* nothing need follow */
                memcpy(&line[a], right + a * dim, dim * sizeof(double));
        }
        for (int i = 0; i < dim; i++)
            for (int a = 0; a < dim; a++)
                sums[i] = multiply_add(all_four(left[i * dim + a]), line[a], sums[i]);
    }
    for (int i = 0; i < dim; i++)
        memcpy(M + i * dim, &sums[i], dim * sizeof(double));
}

/* Fill the n-th coefficients of M_ℓ = R_{ℓ+1} R_ℓᵀ, and of R_ℓᵀ. */
void fill_links(int64_t n, Network *net)
{
    const int64_t layers = net->layers, dim = net->dim, size = dim * dim;
    const int64_t R_block = layers * size, M_block = net->field.links * size;
    for (int64_t l = 0; l + 1 < layers; l++) {
        const double *R = net->taylor.R + l * size, *R_n = R + n * R_block;
        double *Rt = net->field.Rt + l * size, *Rt_n = Rt + n * M_block, *M_n = net->field.M + n * M_block + l * size;
        for (int64_t a = 0; a < dim; a++)
            for (int64_t j = 0; j < dim; j++)
                Rt_n[a * dim + j] = R_n[j * dim + a];
        if (dim == 3)
            narrow_product(n, R + size, R_block, Rt, M_block, M_n, 3);
        else if (dim == 2)
            narrow_product(n, R + size, R_block, Rt, M_block, M_n, 2);
        else
            cauchy_product((Left){R + size, R_block, dim, 1}, (Rows){Rt, M_block, dim, NULL, dim}, M_n, dim, n, dim, dim);
    }
}

/* Fill the (n+1)-th coefficients of one R_ℓ and b_ℓ, for 2 or 3 dimensions: a row is one Four, with b in its end. */
INLINE void narrow_state(int64_t n, Network *net, int64_t l, int dim)
{
    const int64_t layers = net->layers, size = dim * dim;
    Four sums[3] = {all_four(0.0), all_four(0.0), all_four(0.0)};
    for (int64_t m = 0; m <= n; m++) {
        const double *Om = net->field.Om + (m * layers + l) * size;
        const double *R = net->taylor.R + ((n - m) * layers + l) * size;
        const double *b = net->taylor.b + ((n - m) * layers + l) * dim;
        Four line[3];
        for (int j = 0; j < dim; j++) {
            line[j] = four_at(R + j * dim);
            line[j][3] = b[j];
        }
        for (int i = 0; i < dim; i++)
            for (int j = 0; j < dim; j++)
                if (j != i)
                    sums[i] = multiply_add(all_four(Om[i * dim + j]), line[j], sums[i]);
    }
    const double scale = 1.0 / (double)(n + 1), *c = net->field.c + (n * layers + l) * dim;
    double *R_next = net->taylor.R + ((n + 1) * layers + l) * size;
    double *b_next = net->taylor.b + ((n + 1) * layers + l) * dim;
    for (int i = 0; i < dim; i++) {
        b_next[i] = (sums[i][3] + c[i]) * scale;
        sums[i] *= all_four(scale);
        memcpy(R_next + i * dim, &sums[i], dim * sizeof(double));
    }
}

/* Fill the (n+1)-th coefficients of one R_ℓ and b_ℓ. */
static void wide_state(int64_t n, Network *net, int64_t l)
{
    const int64_t layers = net->layers, dim = net->dim, size = dim * dim, block = layers * size;
    const double *Om = net->field.Om + l * size, *c = net->field.c + (n * layers + l) * dim;
    const double scale = 1.0 / (double)(n + 1);
    double *R = net->taylor.R + l * size, *R_next = R + (n + 1) * block;
    double *b = net->taylor.b + l * dim, *b_next = b + (n + 1) * layers * dim;
    cauchy_product((Left){Om, block, dim, 1}, (Rows){R, block, dim, NULL, dim}, R_next, dim, n, dim, dim);
    for (int64_t k = 0; k < size; k++)
        R_next[k] *= scale;
    for (int64_t i = 0; i < dim; i++) {
        double total = c[i];
        for (int64_t m = 0; m <= n; m++)
            total += along(Om + m * block + i * dim, b + (n - m) * layers * dim, dim);
        b_next[i] = total * scale;
    }
}

/* Fill the (n+1)-th coefficients of R and b, and of M, from the field's coefficients up to n. */
void next_state(int64_t n, Network *net)
{
    for (int64_t l = 0; l < net->layers; l++)
        switch (net->dim) {
        case 2: narrow_state(n, net, l, 2); break;
        case 3: narrow_state(n, net, l, 3); break;
        default: wide_state(n, net, l); break;
        }
    fill_links(n + 1, net);
}

/* Return the greatest |a_k|; infinity if one is not finite. */
static double largest_of(const double *a, int64_t size)
{
    Four greatest = all_four(0.0), strange = all_four(0.0);
    double last = 0.0, odd = 0.0;
    int64_t k = 0;
    for (; k + 4 <= size; k += 4) {
        greatest = greater_of_four(greatest, sizes_of_four(four_at(a + k)));
        strange += four_at(a + k) * all_four(0.0);
    }
    for (; k < size; k++) {
        last = maximum(fabs(a[k]), last);
        odd += a[k] * 0.0;
    }
    return odd + sum_of_four(strange) == 0.0 ? maximum(last, greatest_of_four(greatest)) : INFINITY;
}

/* Fill the (n+1)-th coefficient of the energy; return the size of those of the state, relative to it. */
double size_of_order(int64_t n, Network *net, double scale_b, double scale_energy)
{
    const int64_t in_b = net->layers * net->dim, in_R = in_b * net->dim;
    const double *Om = net->field.Om, *c = net->field.c;
    double power = 0.0;
    for (int64_t m = 0; 2 * m <= n; m++) {
        const int64_t k = n - m;
        power += (m == k ? 1.0 : 2.0) *
                 (along(Om + m * in_R, Om + k * in_R, in_R) + along(c + m * in_b, c + k * in_b, in_b));
    }
    const double energy = power / (double)(n + 1);
    net->taylor.energy[n + 1] = energy;
    const double in_state = maximum(largest_of(net->taylor.R + (n + 1) * in_R, in_R),
                                    largest_of(net->taylor.b + (n + 1) * in_b, in_b) / scale_b);
    return isfinite(energy) ? maximum(in_state, fabs(energy) / scale_energy) : INFINITY;
}
