/* How far the images of points lie from where they should. */

#pragma once

#include <math.h>

#include "abreast.h"

/* ---- what Python calls ------------------------------------------------------------------------------------------- */

/* Raise farthest (M) to the largest |τ^(L)∘…∘τ^(1)(x) − target|, target (M, Q), of any of the points. */
EXPORT void truncflow_farthest(const Scene *scene, int64_t first_state, int64_t states, int64_t first_point,
                               int64_t points, const double *target, double *farthest)
{
    const int64_t dim = scene->R.n[2];
    double *t = scene->columns.at, *z = t + dim * ABREAST, *positive = z + dim * ABREAST;
    for (int64_t m = first_state; m < states; m++)
        for (int64_t first = first_point; first < points; first += ABREAST) {
            set_abreast(&scene->x, first, points - first < ABREAST ? points - first : ABREAST, t);
            for (int64_t l = 0; l < scene->layers; l++)
                truncate_points(rotation_of(scene, m, l), bias_of(scene, m, l), t, z, positive, dim);
            for (int64_t place = 0; place < ABREAST; place += 4) {
                Four squares = all_four(0.0);
                for (int64_t a = 0; a < dim; a++) {
                    const Four off = four_at(t + a * ABREAST + place) - all_four(target[m * dim + a]);
                    squares = multiply_add(off, off, squares);
                }
                farthest[m] = maximum(farthest[m], sqrt(greatest_of_four(squares)));
            }
        }
}
