/* What both flows are made of: polynomials, affine maps of points, the state at a time, lengths of series and steps. */

#pragma once

#include "truncflow.h"
#include "vector.h"

/* ---- polynomial.c ---- */

double derivative(const double *c, int64_t size, double t);
double next_exit(const double *c, int64_t size, double start, double end, double sign, double noise, double *moved);

/* ---- batched_newton.c ---- */

/* Polynomials whose roots are found together: coefficient n of polynomial k is at c[n TOGETHER + k]. */
enum { TOGETHER = 8 };
void roots_of_falling(const double *c, int64_t terms, double h, Wholes *falls, double *root);

/* ---- affine_map.c ---- */

/* Points that are looked at together, at most, so that their images, IMAGES numbers at most, stay in the cache. */
enum { POINTS_TOGETHER = 64, FEW_COORDINATES = 2048, IMAGES = 8192 };
void map_points(const double *x, int64_t count, const double *R, const double *b, int64_t dim, double padding,
                double *Z);

/* Return how long a row of so many numbers is that is read four by four: the next multiple of four. */
INLINE int64_t padded(int64_t size)
{
    return (size + 3) / 4 * 4;
}

/* Return how many points are looked at together. */
INLINE int64_t together(int64_t dim)
{
    const int64_t width = padded(dim), most = IMAGES / width, count = FEW_COORDINATES / width;
    return count > POINTS_TOGETHER ? count : most < POINTS_TOGETHER ? most : POINTS_TOGETHER;
}

/* ---- dense_output.c ---- */

double orthonormalise(double *R, int64_t dim, double *scratch);
void evaluate_rows(const double *series, int64_t order, int64_t size, double t, double *out);
double evaluate_state(const Taylor *taylor, double t, double *R_out, double *b_out, double *scratch);
void sample_state(const Taylor *taylor, double t, Samples *samples, int64_t k, double *scratch);

/* Return u_r = (b + R ỹ)_r. */
INLINE double speed_of_bias(const double *R, const double *b, const double *y_tilde, int64_t dim, int64_t r)
{
    return b[r] + along(R + r * dim, y_tilde, dim);
}

/* Add `part` to *sum, and what that loses by rounding to *lost (Neumaier). */
INLINE void add_exactly(double *sum, double *lost, double part)
{
    const double next = *sum + part;
    *lost += *sum >= part ? (*sum - next) + part : (part - next) + *sum;
    *sum = next;
}

/* ---- series_length.c ---- */

/* How far a Taylor series can be trusted, order by order, to be accurate over `reach` if that can be. */
typedef struct {
    double tolerance, reach;
    int64_t fewest, highest; /* the order from which on the series may end, and has to */
    double before, earlier, pull; /* sizes of the terms before the last one; of the last weight of a pinned surface */
    double power; /* reach^(n+1) */
    double length; /* on which it is accurate; -1.0 where it is not finite */
} SeriesLength;

SeriesLength no_terms(const Accuracy *accuracy, double reach, int64_t fewest, int64_t highest);
int is_long_enough(SeriesLength *series, int64_t n, double size, double pull);

/* ---- step_many.c ---- */

/* The next crossing is first looked for within this share of the reach. */
static const double SOON = 0.75;

/* What step_many asks of a flow. */
typedef struct {
    State *state;
    Loop *loop;
    const Taylor *taylor;
    EventLog *log;
    Samples *samples;
    double *scratch;
    int64_t spare; /* events that there has to be room for in a step */
    double (*expand)(void *flow, double reach);
    /* Return the time of the first crossing on [0, h], *which it is; see layer_first_crossing. */
    double (*first_crossing)(void *flow, double h, double soon, int64_t *which);
    /* Return whether that is all that happens by t, where state->R_next and b_next are, and goes through simply. */
    int (*is_usual)(void *flow, double t, int64_t which);
    /* The step is taken: note what else happens on [0, t] of it, and how much is truncated along it. */
    void (*pass)(void *flow, double t);
    /* Fill the loss of sample k. */
    void (*sample_loss)(void *flow, int64_t k);
    /* Let the crossing take place. */
    void (*cross)(void *flow, int64_t which, double s);
    /* Return whether the state may be at rest; NULL if that need not be known. */
    int (*is_slow)(const void *flow);
} Steps;

int64_t step_many(void *flow, const Steps *steps);
void note_event(EventLog *log, double s, int64_t point, int64_t layer, int64_t row, int8_t side);
int goes_through(double before, double jump, double power, double normal);

/* A field below this, relative to the state, may be at rest. */
static const double MAY_REST = 1e-11;
