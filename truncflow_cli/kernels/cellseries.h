/* Taylor series of the flow of Theorem 5.1 (corrected), cell by cell through all layers.

   In the layers' co-moving frames, with b_ℓ = R_ℓ β^(ℓ), M_ℓ = R_{ℓ+1} R_ℓᵀ and u_j = b_L + R_L ỹ_j, a point of
   cluster j has

       forward:   z_1 = R_1 x + b_1,    z_{ℓ+1} = M_ℓ y_ℓ + b_{ℓ+1},    y_ℓ = H_ℓ z_ℓ − b_ℓ
       backward:  w_L = H_L z_L − u_j,  w_ℓ = M_ℓᵀ H_{ℓ+1} w_{ℓ+1}                  (w_ℓ = R_ℓ g_ℓ)

   and the flow is, with means over each cluster summed over clusters,

       b_ℓ' = Ω_ℓ b_ℓ + c_ℓ,   c_ℓ = Σ mean H_ℓ⊥ w_ℓ                                 (5.4), corrected
       R_ℓ' = Ω_ℓ R_ℓ,         Ω_ℓ = −½ Σ mean [H_ℓ, z_ℓ w_ℓᵀ + w_ℓ z_ℓᵀ]             (5.6)
       energy' = Σ_ℓ |c_ℓ|² + ‖Ω_ℓ‖_F².

   Order by order, `backward` finds c and Ω, `next_state` the next coefficients of R and b, and `forward` those of the
   points' coordinates. Points are taken together by cells, see cells.h and columns.h. */

#pragma once

#include <math.h>
#include <stdint.h>

#include "arrays.h"
#include "cellbackward.h"
#include "cellforward.h"
#include "cellpins.h"
#include "columns.h"
#include "course.h"
#include "series.h"
#include "vector.h"

/* Return the columns, with the coefficients of order 0 of the points' coordinates filled in. */
static Columns begin_network(Course *course, const Cloud *cloud, const Cells *cells, const Tree *tree, Room *room,
                             Held *held)
{
    const Columns cols = columns_of(cells, tree, room);
    spread_open(tree, room, &cols);
    products(0, course);
    forward(0, course, tree, room, &cols);
    for (int64_t k = 0; k < held->surface.n[0]; k++)
        point_forward(0, k, course, cloud, held);
    return cols;
}

/* Extend the series, order by order, until they are accurate over `reach`; return the length on which they are.

   Order 0 of course and held->lam hold the state. The length is -1 where the state is not finite. */
static double expand_network(Course *course, const Cloud *cloud, const Cells *cells, const Tree *tree, Room *room,
                             Held *held, double scale_b, double scale_energy, double tolerance, double reach)
{
    const int64_t highest = course->energy.n[0] - 1, pins = held->lam.n[1];
    Terms terms = NO_TERMS;
    double h = 0.0;
    const Columns cols = begin_network(course, cloud, cells, tree, room, held);
    for (int64_t n = 0; n < highest; n++) {
        double *lam = held->lam.at + n * pins;
        if (n > 0)
            for (int64_t k = 0; k < pins; k++)
                lam[k] = 0.0;
        backward(n, course, cells, tree, room, &cols, held);
        next_state(n, course);
        if (pins > 0) {
            /* Sliding: with λ_n as it should be, once more. */
            hold_network_pins(n, course, cloud, held);
            backward(n, course, cells, tree, room, &cols, held);
            next_state(n, course);
            for (int64_t k = 0; k < pins; k++)
                point_forward(n + 1, k, course, cloud, held);
        }
        forward(n + 1, course, tree, room, &cols);

        const double largest = size_of_order(n, course, scale_b, scale_energy);
        double pull = 0.0;
        for (int64_t k = 0; k < pins; k++)
            pull = maximum(pull, fabs(lam[k]));
        course->order.at[0] = n + 1;
        if (!isfinite(largest))
            return -1.0;
        if (n >= 1) {
            h = where_both_accurate(&terms, largest, pull, n, tolerance);
            if (n >= 2 && h >= reach)
                return h;
        }
        pass_terms(&terms, largest, pull);
    }
    return h;
}
