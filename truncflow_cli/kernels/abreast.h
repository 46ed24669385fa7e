/* Points that go through layers side by side, as columns: (Q, ABREAST) in memory, a coordinate of all of them in a row.

   The headers of this folder make what certificates are judged by. They share nothing with those of the flows but ways
   to add and multiply: a certificate must not take over a solver's mistake. */

#pragma once

#include "arrays.h"
#include "vector.h"

/* Points side by side, and the Fours that they are: four sums of each of two rows do not wait for one another. */
enum { ABREAST = 16, FOURS = ABREAST / 4 };

/* A cluster, and the layers that it goes through in the states that it is looked at in; see `passes.py`. */
typedef struct {
    Reals x, y_tilde, R, beta;
    int64_t layer, layers;
    Ints pin, pins_before;
    Reals columns, turns;
} Scene;

/* Points whose sums are taken before they are added to those of others: what is lost by rounding stays small. */
enum { SUMMED = 1024 };

/* Return R_ℓ (Q, Q) in a state; a single state stands for all. */
INLINE const double *rotation_of(const Scene *scene, int64_t state, int64_t layer)
{
    const int64_t *n = scene->R.n;
    return scene->R.at + ((n[0] == 1 ? 0 : state) * n[1] + scene->layer + layer) * n[2] * n[3];
}

/* Return β^(ℓ) (Q) in a state. */
INLINE const double *bias_of(const Scene *scene, int64_t state, int64_t layer)
{
    const int64_t *n = scene->beta.n;
    return scene->beta.at + ((n[0] == 1 ? 0 : state) * n[1] + scene->layer + layer) * n[2];
}

/* Let `to` be `count` points of x from `first` on; the last of them stands in the places that are left over. */
static void set_abreast(const Reals *x, int64_t first, int64_t count, double *to)
{
    const int64_t dim = x->n[1];
    for (int64_t place = 0; place < ABREAST; place += 4) {
        const double *point[4];
        for (int64_t k = 0; k < 4; k++)
            point[k] = x->at + (first + (place + k < count ? place + k : count - 1)) * dim;
        for (int64_t a = 0; a < dim; a++)
            put_four(to + a * ABREAST + place, (Four){point[0][a], point[1][a], point[2][a], point[3][a]});
    }
}

/* Let `there` (ABREAST) be 1 for `count` places and 0 for those that are left over. */
INLINE void mark_places(int64_t count, double *there)
{
    for (int64_t k = 0; k < ABREAST; k++)
        there[k] = k < count ? 1.0 : 0.0;
}

/* Let `to` be A times the columns `from`, for the matrix A_ra = A[r · down + a · across]: R itself, or Rᵀ. */
static void multiply_columns(const double *restrict A, int64_t down, int64_t across, const double *restrict from,
                             double *restrict to, int64_t dim)
{
    int64_t r = 0;
    for (; r + 2 <= dim; r += 2) {
        Four one[FOURS], two[FOURS];
        for (int v = 0; v < FOURS; v++)
            one[v] = two[v] = all_four(0.0);
        const double *entry = A + r * down;
        for (int64_t a = 0; a < dim; a++, entry += across) {
            const Four upper = all_four(entry[0]), lower = all_four(entry[down]);
            for (int v = 0; v < FOURS; v++) {
                const Four column = four_at(from + a * ABREAST + 4 * v);
                one[v] = multiply_add(upper, column, one[v]);
                two[v] = multiply_add(lower, column, two[v]);
            }
        }
        for (int v = 0; v < FOURS; v++) {
            put_four(to + r * ABREAST + 4 * v, one[v]);
            put_four(to + (r + 1) * ABREAST + 4 * v, two[v]);
        }
    }
    for (; r < dim; r++) {
        Four one[FOURS];
        for (int v = 0; v < FOURS; v++)
            one[v] = all_four(0.0);
        for (int64_t a = 0; a < dim; a++)
            for (int v = 0; v < FOURS; v++)
                one[v] = multiply_add(all_four(A[r * down + a * across]), four_at(from + a * ABREAST + 4 * v), one[v]);
        for (int v = 0; v < FOURS; v++)
            put_four(to + r * ABREAST + 4 * v, one[v]);
    }
}

/* Let z be the coordinates R(t + β) of points t under a layer; t becomes t + β. */
static void find_coordinates(const double *R, const double *beta, double *t, double *z, int64_t dim)
{
    for (int64_t a = 0; a < dim; a++)
        for (int v = 0; v < FOURS; v++)
            put_four(t + a * ABREAST + 4 * v, four_at(t + a * ABREAST + 4 * v) + all_four(beta[a]));
    multiply_columns(R, dim, 1, t, z, dim);
}

/* Replace points t by their images Rᵀσ(z) − β under a layer's truncation map (1.8), z = R(t + β). */
static void truncate_points(const double *R, const double *beta, double *t, double *z, double *positive, int64_t dim)
{
    find_coordinates(R, beta, t, z, dim);
    for (int64_t k = 0; k < dim * ABREAST; k += 4)
        put_four(positive + k, positive_part(four_at(z + k)));
    multiply_columns(R, 1, dim, positive, t, dim);
    for (int64_t a = 0; a < dim; a++)
        for (int v = 0; v < FOURS; v++)
            put_four(t + a * ABREAST + 4 * v, four_at(t + a * ABREAST + 4 * v) - all_four(beta[a]));
}

/* The pins of a state that lie among the points side by side: rows from `from` to `to`. */
typedef struct { int64_t from, to; } PinRows;

/* Columns of Scene.pin. */
enum { PIN_STATE, PIN_POINT, PIN_LAYER, PIN_COORDINATE, PIN_COLUMNS };

/* Go on to the pins of `count` points from `first` on; before the first points of a state, `rows` are none. */
static void next_pins(const Scene *scene, int64_t state, int64_t first, int64_t count, PinRows *rows)
{
    const int64_t end = scene->pins_before.at[state + 1];
    const int64_t *pin = scene->pin.at;
    for (rows->from = rows->to; rows->from < end && pin[rows->from * PIN_COLUMNS + PIN_POINT] < first;)
        rows->from++;
    for (rows->to = rows->from; rows->to < end && pin[rows->to * PIN_COLUMNS + PIN_POINT] < first + count;)
        rows->to++;
}

/* Set the pinned coordinates z of a layer to zero, wherever the point stands. */
static void set_pinned(const Scene *scene, PinRows rows, int64_t layer, int64_t first, int64_t count, double *z)
{
    for (int64_t row = rows.from; row < rows.to; row++) {
        const int64_t *pin = scene->pin.at + row * PIN_COLUMNS;
        if (pin[PIN_LAYER] != layer)
            continue;
        const int64_t place = pin[PIN_POINT] - first, beyond = place == count - 1 ? ABREAST : place + 1;
        for (int64_t k = place; k < beyond; k++)
            z[pin[PIN_COORDINATE] * ABREAST + k] = 0.0;
    }
}

/* Whether some, and whether all, of the coordinates z (Q, ABREAST) are positive. */
typedef struct { int some, all; } Positive;

/* Find out. */
INLINE Positive find_positive(const double *z, int64_t dim)
{
    Wholes some = {0, 0, 0, 0}, all = {-1, -1, -1, -1};
    for (int64_t k = 0; k < dim * ABREAST; k += 4) {
        const Wholes positive = (Wholes)(four_at(z + k) > all_four(0.0));
        some |= positive;
        all &= positive;
    }
    return (Positive){any_of(some), !any_of(~all)};
}

/* Return h of each of four coordinates: 1 where it is positive, else 0. */
INLINE Four positive_as_one(Four z)
{
    const Four one = {1.0, 1.0, 1.0, 1.0};
    return (Four)((Wholes)one & (Wholes)(z > all_four(0.0)));
}

/* Return the least of a and b, number by number. */
INLINE Four least_of_fours(Four a, Four b)
{
    return choose((Wholes)(b < a), b, a);
}

/* Return the least of four numbers. */
INLINE double least_of_four(Four a)
{
    return minimum(minimum(a[0], a[1]), minimum(a[2], a[3]));
}

/* Return the sum of the sums that follow one another. */
INLINE Four sum_abreast(const Four *sums)
{
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

/* Spread the upper triangle of sums A (Q, Q) over n points over both: the antisymmetric matrix ½(A − Aᵀ)/n (3.23). */
INLINE void make_antisymmetric(double *A, int64_t dim, double n)
{
    for (int64_t i = 0; i < dim; i++) {
        A[i * dim + i] = 0.0;
        for (int64_t j = i + 1; j < dim; j++) {
            A[i * dim + j] *= 0.5 / n;
            A[j * dim + i] = -A[i * dim + j];
        }
    }
}
