/* How far the images of points lie from where they should. */

#pragma once

#include <math.h>

#include "abreast.h"

/* ---- what Python calls ------------------------------------------------------------------------------------------- */

/* Raise farthest (M) to the largest |τ^(L)∘…∘τ^(1)(x) − target|, target (M, Q), of any of the points. */
EXPORT void truncflow_farthest(const Scene *scene, const double *target, double *farthest, const SceneRoom *room,
                               const Part *part)
{
    const int64_t dim = scene->R.n[2];
    double *t = room->columns.at, *z = t + dim * ABREAST, *positive = z + dim * ABREAST;
    for (int64_t m = part->state; m < part->states; m++)
        for (int64_t first = part->point; first < part->points; first += ABREAST) {
            set_abreast(&scene->x, first, part->points - first < ABREAST ? part->points - first : ABREAST, t);
            for (int64_t l = 0; l < scene->R.n[1]; l++)
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
