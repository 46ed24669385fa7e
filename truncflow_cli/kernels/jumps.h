/* By how much the gradient of the loss jumps where a pinned coordinate comes to count as untruncated. */

#pragma once

#include <string.h>

#include "abreast.h"

/* States and the pins in them, see `jumps.py`. */
typedef struct { Reals x, y_tilde, R, beta; Ints cluster, sizes, pin; } PinnedStates;

/* One of them: R (L, Q, Q), β (L, Q), its rows of pins, and the layers that its points pass. */
typedef struct { const double *R, *beta; int64_t pin, beyond_pin, first, beyond; } PinnedState;

/* Room for one point: z of all layers (L, Q), and t, w, Hw (Q). */
typedef struct { Reals z, t, w, hw; } JumpRoom;

/* Columns of PinnedStates.pin. */
enum { JUMP_STATE, JUMP_LAYER, JUMP_POINT, JUMP_COORDINATE, JUMP_COLUMNS };

/* Let `to` be Rᵀ times `from`. */
INLINE void multiply_back(const double *R, const double *from, double *to, int64_t dim)
{
    memset(to, 0, sizeof(double) * dim);
    for (int64_t r = 0; r < dim; r++)
        add_multiple(to, from[r], R + r * dim, dim);
}

/* Let w be R g, and hw be H w, which is zero where z is not positive. */
INLINE void multiply_truncated(const double *R, const double *g, const double *z, double *w, double *hw, int64_t dim)
{
    for (int64_t r = 0; r < dim; r++) {
        w[r] = along(R + r * dim, g, dim);
        hw[r] = z[r] > 0.0 ? w[r] : 0.0;
    }
}

/* Send the point of a pin through the layers, and leave z of each, with all its pins at zero, and t.

   Return whether it is pinned in this layer only. */
static int pass_pinned(const PinnedStates *states, const PinnedState *state, const int64_t *pin, const JumpRoom *room)
{
    const int64_t dim = states->x.n[1];
    double *t = room->t.at, *positive = room->hw.at;
    int only = 1;
    memcpy(t, states->x.at + pin[JUMP_POINT] * dim, sizeof(double) * dim);
    for (int64_t l = state->first; l < state->beyond; l++) {
        const double *R = state->R + l * dim * dim, *beta = state->beta + l * dim;
        double *z = room->z.at + l * dim;
        for (int64_t a = 0; a < dim; a++)
            t[a] += beta[a];
        for (int64_t r = 0; r < dim; r++)
            z[r] = along(R + r * dim, t, dim);
        for (int64_t k = state->pin; k < state->beyond_pin; k++) {
            const int64_t *held = states->pin.at + k * JUMP_COLUMNS;
            if (held[JUMP_POINT] != pin[JUMP_POINT])
                continue;
            only &= held[JUMP_LAYER] == pin[JUMP_LAYER];
            if (held[JUMP_LAYER] == l)
                z[held[JUMP_COORDINATE]] = 0.0;
        }
        for (int64_t r = 0; r < dim; r++)
            positive[r] = maximum(z[r], 0.0);
        multiply_back(R, positive, t, dim);
        for (int64_t a = 0; a < dim; a++)
            t[a] -= beta[a];
    }
    return only;
}

/* Set jump (L·Q and L·Q²) to that of ∂_β and of ∂_R Rᵀ; return whether the point is pinned in one layer only. */
static int find_jump(const PinnedStates *states, const PinnedState *state, const int64_t *pin, const JumpRoom *room,
                     double *jump)
{
    const int64_t layers = states->R.n[1], dim = states->x.n[1], at = pin[JUMP_LAYER], r = pin[JUMP_COORDINATE];
    const int64_t cluster = states->cluster.at[pin[JUMP_POINT]];
    const double *R = state->R + at * dim * dim;
    double *g = room->t.at, *w = room->w.at, *hw = room->hw.at;
    const int only = pass_pinned(states, state, pin, room);
    if (at < state->first || at >= state->beyond)
        return only;
    for (int64_t a = 0; a < dim; a++)
        g[a] -= states->y_tilde.at[cluster * dim + a];
    for (int64_t l = state->beyond - 1; l > at; l--) {
        multiply_truncated(state->R + l * dim * dim, g, room->z.at + l * dim, w, hw, dim);
        multiply_back(state->R + l * dim * dim, hw, g, dim);
    }
    /* In the pinned layer H changes by 1 in one entry, so H w by w_r and no more. */
    const double change = along(R + r * dim, g, dim) / (double)states->sizes.at[cluster];
    const double *z = room->z.at + at * dim;
    double *along_R = jump + layers * dim + at * dim * dim;
    for (int64_t a = 0; a < dim; a++) {
        jump[at * dim + a] = g[a] = R[r * dim + a] * change;
        along_R[r * dim + a] += 0.5 * change * z[a];
        along_R[a * dim + r] -= 0.5 * change * z[a];
    }
    for (int64_t l = at - 1; l >= state->first; l--) {
        const double *below = state->R + l * dim * dim, *seen = room->z.at + l * dim;
        double *turn = jump + layers * dim + l * dim * dim;
        multiply_truncated(below, g, seen, w, hw, dim);
        multiply_back(below, hw, g, dim);
        for (int64_t i = 0; i < dim; i++) {
            add_multiple(jump + l * dim, hw[i] - w[i], below + i * dim, dim);
            for (int64_t j = 0; j < dim; j++) {
                const double half = 0.5 * (maximum(seen[i], 0.0) * w[j] + hw[i] * seen[j]);
                turn[i * dim + j] += half;
                turn[j * dim + i] -= half;
            }
        }
    }
    return only;
}

/* ---- what Python calls ------------------------------------------------------------------------------------------- */

/* Fill the rows of jumps (P, L·Q + L·Q²), which are zero, for the pins of a state from row `pin` to row `beyond`.

   `alone` if a point is seen by the layer of its cluster only. Return 0 if some point is pinned in two layers, else 1. */
EXPORT int64_t truncflow_jumps(const PinnedStates *states, const JumpRoom *room, int64_t m, int64_t pin, int64_t beyond,
                               int64_t alone, double *jumps)
{
    const int64_t layers = states->R.n[1], dim = states->x.n[1];
    const double *R = states->R.at + m * layers * dim * dim, *beta = states->beta.at + m * layers * dim;
    PinnedState state = {R, beta, pin, beyond, 0, layers};
    for (int64_t k = pin; k < beyond; k++, jumps += layers * dim * (1 + dim)) {
        const int64_t *row = states->pin.at + k * JUMP_COLUMNS;
        if (alone) {
            state.first = states->cluster.at[row[JUMP_POINT]];
            state.beyond = state.first + 1;
        }
        if (!find_jump(states, &state, row, room, jumps))
            return 0;
    }
    return 1;
}
