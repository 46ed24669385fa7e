/* A cluster under single layers: the velocity of Theorem 3.2, and how far it lies from where a layer truncates it. */

#pragma once

#include <math.h>
#include <string.h>

#include "abreast.h"

/* Columns of the room of a scene: the last two have u = R(β + ỹ), and four counts of each coordinate. */
enum { LAYER_T, LAYER_Z, LAYER_H, LAYER_V, LAYER_U, LAYER_COUNTS };

/* Add Σ (h_i − h_j)(z_i v_j + u_i z_j) to A_ij for `many` j from j on: four, or one. */
INLINE void add_commutators(const double *z, const double *h, const double *v, double u_i, int64_t i, int64_t j,
                            int many, double *A_ij)
{
    Four sums[4];
    for (int k = 0; k < many; k++)
        sums[k] = all_four(0.0);
    for (int part = 0; part < FOURS; part++) {
        const Four z_i = four_at(z + i * ABREAST + 4 * part), h_i = four_at(h + i * ABREAST + 4 * part);
        for (int k = 0; k < many; k++) {
            const int64_t other = (j + k) * ABREAST + 4 * part;
            const Four twice_M = multiply_add(z_i, four_at(v + other), all_four(u_i) * four_at(z + other));
            sums[k] = multiply_add(h_i - four_at(h + other), twice_M, sums[k]);
        }
    }
    if (many == 4)
        put_four(A_ij, four_at(A_ij) + four_sums(sums[0], sums[1], sums[2], sums[3]));
    else
        *A_ij += sum_of_four(sums[0]);
}

/* Add up what points contribute to J⊥ (3.22) and to Ω (3.25), the mean of [H, M] with M = ½(z uᵀ + u zᵀ − z zᵀ).

   2M_ij = z_i v_j + u_i z_j with v = u − z, and v = u as the paper prints it. */
static void add_velocity(const Scene *scene, int64_t m, int64_t point, int64_t points, int64_t printed,
                         double *moved, double *turned)
{
    const int64_t dim = scene->R.n[2], size = dim * ABREAST;
    const double *R = rotation_of(scene, m, 0), *beta = bias_of(scene, m, 0);
    double *t = scene->columns.at, *z = t + LAYER_Z * size, *h = t + LAYER_H * size, *v = t + LAYER_V * size;
    double *u = t + LAYER_U * size, *untruncated = t + LAYER_COUNTS * size, *A = scene->turns.at;
    for (int64_t r = 0; r < dim; r++)
        u[r] = along(R + r * dim, beta, dim) + along(R + r * dim, scene->y_tilde.at, dim);
    memset(untruncated, 0, sizeof(double) * dim * 4);
    memset(A, 0, sizeof(double) * dim * dim);
    PinRows pins = {0, scene->pins_before.at[m]};
    for (int64_t first = point; first < points; first += ABREAST) {
        const int64_t count = points - first < ABREAST ? points - first : ABREAST;
        double there[ABREAST];
        mark_places(count, there);
        set_abreast(&scene->x, first, count, t);
        find_coordinates(R, beta, t, z, dim);
        next_pins(scene, m, first, count, &pins);
        set_pinned(scene, pins, 0, first, count, z);
        const Positive positive = find_positive(z, dim);
        if (!positive.some)
            continue;
        for (int64_t r = 0; r < dim; r++) {
            Four counts = four_at(untruncated + 4 * r);
            for (int part = 0; part < FOURS; part++) {
                const int64_t k = r * ABREAST + 4 * part;
                const Four at = four_at(z + k), here = positive_as_one(at) * four_at(there + 4 * part);
                counts += here;
                put_four(h + k, here);
                put_four(v + k, printed ? all_four(u[r]) : all_four(u[r]) - at);
            }
            put_four(untruncated + 4 * r, counts);
        }
        if (positive.all) /* [1, M] = 0 */
            continue;
        for (int64_t i = 0; i < dim; i++) {
            int64_t j = i + 1;
            for (; j + 4 <= dim; j += 4)
                add_commutators(z, h, v, u[i], i, j, 4, A + i * dim + j);
            for (; j < dim; j++)
                add_commutators(z, h, v, u[i], i, j, 1, A + i * dim + j);
        }
    }
    for (int64_t r = 0; r < dim; r++) {
        const double truncated = (double)(points - point) - sum_of_four(four_at(untruncated + 4 * r));
        add_multiple(moved, -truncated / (double)scene->x.n[0] * u[r], R + r * dim, dim);
    }
    add_multiple(turned, 1.0, A, dim * dim);
}

/* Lower margin (L) to the least coordinate that points have under each layer but their own.

   With `images`, those of τ^(own)(x) under the layers after their own; `own` is -1 for points that have none. */
static void lower_margins(const Scene *scene, int64_t m, int64_t point, int64_t points, int64_t own, int64_t images,
                          double *margin)
{
    const int64_t layers = scene->layers, dim = scene->R.n[2];
    double *t = scene->columns.at, *z = t + LAYER_Z * dim * ABREAST, *positive = t + LAYER_H * dim * ABREAST;
    double *x = t + LAYER_V * dim * ABREAST;
    for (int64_t first = point; first < points; first += ABREAST) {
        set_abreast(&scene->x, first, points - first < ABREAST ? points - first : ABREAST, x);
        if (images)
            truncate_points(rotation_of(scene, m, own), bias_of(scene, m, own), x, z, positive, dim);
        for (int64_t l = images ? own + 1 : 0; l < layers; l++) {
            if (l == own)
                continue;
            memcpy(t, x, sizeof(double) * dim * ABREAST);
            find_coordinates(rotation_of(scene, m, l), bias_of(scene, m, l), t, z, dim);
            Four least[FOURS];
            for (int part = 0; part < FOURS; part++)
                least[part] = all_four(INFINITY);
            for (int64_t r = 0; r < dim; r++)
                for (int part = 0; part < FOURS; part++)
                    least[part] = least_of_fours(least[part], four_at(z + r * ABREAST + 4 * part));
            for (int part = 0; part < FOURS; part++)
                margin[l] = minimum(margin[l], least_of_four(least[part]));
        }
    }
}

/* Return ‖RRᵀ − 1‖ (Frobenius), which is ‖RᵀR − 1‖ of the same R. */
static double orthogonality_defect(const double *R, int64_t dim)
{
    double products[dim], on = 0.0, off = 0.0;
    for (int64_t i = 0; i < dim; i++) {
        row_products(R + i * dim, 0, R + i * dim, dim, dim - i, dim, products);
        on += (products[0] - 1.0) * (products[0] - 1.0);
        off += along(products + 1, products + 1, dim - i - 1);
    }
    return sqrt(on + 2.0 * off);
}

/* ---- what Python calls ------------------------------------------------------------------------------------------- */

EXPORT void truncflow_velocity(const Scene *scene, int64_t first_state, int64_t states, int64_t first_point,
                               int64_t points, double *moved, double *turned, int64_t printed)
{
    const int64_t dim = scene->R.n[2];
    for (int64_t m = first_state; m < states; m++) {
        for (int64_t point = first_point; point < points; point += SUMMED) {
            const int64_t beyond = points - point < SUMMED ? points : point + SUMMED;
            add_velocity(scene, m, point, beyond, printed, moved + m * dim, turned + m * dim * dim);
        }
        if (points == scene->x.n[0])
            make_antisymmetric(turned + m * dim * dim, dim, (double)scene->x.n[0]);
    }
}

EXPORT void truncflow_margins(const Scene *scene, int64_t first_state, int64_t states, int64_t first_point,
                              int64_t points, double *margins, int64_t own, int64_t images)
{
    for (int64_t m = first_state; m < states; m++)
        lower_margins(scene, m, first_point, points, own, images, margins + m * scene->layers);
}

EXPORT void truncflow_defects(const double *R, int64_t count, int64_t dim, double *defects)
{
    for (int64_t k = 0; k < count; k++)
        defects[k] = orthogonality_defect(R + k * dim * dim, dim);
}
