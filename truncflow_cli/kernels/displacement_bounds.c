/* How far coordinates get over a step, and how far they have come since a list of near ones was made.

   On [0, h], |ΔR_r| ≤ Σ_n |R_r,n| hⁿ =: turn_r and |Δb_r| ≤ Σ_n |b_r,n| hⁿ =: shift_r, n ≥ 1, and a coordinate moves by

       |Δz_{i,r}| ≤ turn_r |x_i| + shift_r.

   NeighborLists has turn and shift for the step alone (step_), for its orders from the second on (rest_), and for the
   step with what came before it since the chosen list was made. */

#include "layer.h"

/* Fill rest_turn and rest_shift (Q) with what the orders from the second on have in the bounds over [0, h]. */
void bound_rest(const Taylor *taylor, double h, double *rest_turn, double *rest_shift)
{
    const int64_t dim = taylor->dim, order = taylor->order;
    const double *turns = taylor->row_length, *shifts = taylor->b;
    double power[MOST_TERMS + 1];
    power[1] = h;
    for (int64_t n = 2; n <= order; n++)
        power[n] = power[n - 1] * h;
    int64_t r = 0;
    for (; r + 4 <= dim; r += 4) {
        Four turn = all_four(0.0), shift = all_four(0.0);
        for (int64_t n = 2; n <= order; n++) {
            turn = multiply_add(four_at(turns + n * dim + r), all_four(power[n]), turn);
            shift = multiply_add(sizes_of_four(four_at(shifts + n * dim + r)), all_four(power[n]), shift);
        }
        put_four(rest_turn + r, turn);
        put_four(rest_shift + r, shift);
    }
    for (; r < dim; r++) {
        double turn = 0.0, shift = 0.0;
        for (int64_t n = 2; n <= order; n++) {
            turn += turns[n * dim + r] * power[n];
            shift += fabs(shifts[n * dim + r]) * power[n];
        }
        rest_turn[r] = turn;
        rest_shift[r] = shift;
    }
}

/* Bound how far R_r and b_r get from the start of the step on [0, h], and the share of orders ≥ 2 in that. */
void bound_displacements(const Taylor *taylor, double h, NeighborLists *near)
{
    near->horizon = h;
    bound_rest(taylor, h, near->rest_turn, near->rest_shift);
    for (int64_t r = 0, first = taylor->dim; r < taylor->dim; r++) {
        const double turn = near->rest_turn[r] + taylor->row_length[first + r] * h;
        const double shift = near->rest_shift[r] + fabs(taylor->b[first + r]) * h;
        near->step_turn[r] = near->turn[r] = turn;
        near->step_shift[r] = near->shift[r] = shift;
    }
}

/* Return |a − b|². */
INLINE double squared_distance(const double *a, const double *b, int64_t size)
{
    Four sums = all_four(0.0);
    int64_t k = 0;
    for (; k + 4 <= size; k += 4) {
        const Four apart = four_at(a + k) - four_at(b + k);
        sums = multiply_add(apart, apart, sums);
    }
    double total = sum_of_four(sums);
    for (; k < size; k++)
        total += (a[k] - b[k]) * (a[k] - b[k]);
    return total;
}

/* Fill turn and shift (Q,) with how far R_r and b_r are from where they were when list `level` was made. */
void displacements(const Taylor *taylor, const NeighborLists *near, int64_t level, double *turn, double *shift)
{
    const int64_t dim = taylor->dim;
    const double *state = near->state + level * dim * (dim + 1);
    for (int64_t r = 0; r < dim; r++) {
        turn[r] = squared_distance(state + r * (dim + 1), taylor->R + r * dim, dim);
        shift[r] = fabs(taylor->b[r] - state[r * (dim + 1) + dim]);
    }
    for (int64_t r = 0; r < dim; r++)
        turn[r] = sqrt(turn[r]);
}

/* Add the displacement since the chosen list was made to the bounds over the step. */
void add_displacement(const Taylor *taylor, NeighborLists *near)
{
    const int64_t dim = taylor->dim;
    double turn[MOST_DIM], shift[MOST_DIM];
    displacements(taylor, near, near->level, turn, shift);
    for (int64_t r = 0; r < dim; r++) {
        near->turn[r] += turn[r];
        near->shift[r] += shift[r];
    }
}

/* Return how far list `level` still reaches from the present state, after `share` of the step's bounds. */
double room_left(const Taylor *taylor, const NeighborLists *near, int64_t level, double share)
{
    const int64_t dim = taylor->dim;
    double turn[MOST_DIM], shift[MOST_DIM];
    displacements(taylor, near, level, turn, shift);
    double turned = 0.0, shifted = 0.0;
    for (int64_t r = 0; r < dim; r++) {
        turned = maximum(turn[r] + share * near->turn[r], turned);
        shifted = maximum(shift[r] + share * near->shift[r], shifted);
    }
    return near->skin[level] - maximum(shifted / near->ratio, turned);
}
