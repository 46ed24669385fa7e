/* Where a polynomial first leaves its side of zero: isolation in the Bernstein basis, no root is missed.

   A surface coordinate along a step is a polynomial z(t) = c_0 + c_1 t + … + c_p t^p on [0, h]. In the Bernstein
   basis of [0, h] the polynomial lies in the convex hull of its coefficients, so a part of the step whose coefficients
   all lie on the right side contains no crossing, however many roots there may be elsewhere. */

#include "numerics.h"

/* Halvings of the step after which a crossing is located to the last bit; the part of the step that is left then. */
enum { MAX_DEPTH = 60 };
static const double LAST_PART = 0x1p-60;
/* Newton's steps of a bisection, and of the way back to zero, at most. */
enum { BISECTIONS = 120, STEPS_BACK = 30 };
/* A step of Newton's method that is shorter than this share of t leads to the root, but for rounding. */
static const double LAST_STEP = 1e-10;

/* Return Σ c_n tⁿ and, as *slope, Σ n c_n t^(n-1), from four polynomials in t⁴. */
INLINE double value_and_slope(const double *c, int64_t size, double t, double *slope)
{
    const int64_t rest = size % 4;
    const double square = t * t, cube = square * t;
    const Four fourth = all_four(square * square), powers = {1.0, t, square, cube};
    Four sums = all_four(0.0), slopes = all_four(0.0);
    for (int64_t n = size - 4; n >= rest; n -= 4) {
        slopes = multiply_add(slopes, fourth, sums);
        sums = multiply_add(sums, fourth, four_at(c + n));
    }
    double value = sum_of_four(sums * powers);
    const Four once = {0.0, 1.0, 2.0 * t, 3.0 * square};
    double inclination = sum_of_four(multiply_add(slopes, powers * all_four(4.0 * cube), sums * once));
    for (int64_t n = rest - 1; n >= 0; n--) {
        inclination = inclination * t + value;
        value = value * t + c[n];
    }
    *slope = inclination;
    return value;
}

/* Return Σ n c_n t^(n-1). */
double derivative(const double *c, int64_t size, double t)
{
    double slope;
    value_and_slope(c, size, t, &slope);
    return slope;
}

/* Return a lower bound of Σ c_n tⁿ on [0, h] that costs one pass: c_0 + Σ min(c_n, 0) hⁿ. */
static double reach_below(const double *c, int64_t size, double h)
{
    const double *up = c + 1;
    const int64_t rest = (size - 1) % 4;
    const double square = h * h;
    const Four fourth = all_four(square * square), powers = {1.0, h, square, square * h};
    Four sums = all_four(0.0);
    for (int64_t n = size - 5; n >= rest; n -= 4)
        sums = multiply_add(sums, fourth, negative_part(four_at(up + n)));
    double bound = sum_of_four(sums * powers);
    for (int64_t n = rest - 1; n >= 0; n--)
        bound = bound * h + minimum(up[n], 0.0);
    return c[0] + bound * h;
}

/* Return an upper bound of the slope of Σ c_n tⁿ on [0, h]: c_1 + Σ_{n≥2} n max(c_n, 0) h^(n-1). */
static double greatest_slope(const double *c, int64_t size, double h)
{
    if (size < 2)
        return 0.0;
    const double *up = c + 2;
    const int64_t left = size - 2, rest = left % 4;
    const double square = h * h, cube = square * h;
    const Four fourth = all_four(square * square);
    Four sums = all_four(0.0), slopes = all_four(0.0);
    for (int64_t n = left - 4; n >= rest; n -= 4) {
        slopes = multiply_add(slopes, fourth, sums);
        sums = multiply_add(sums, fourth, positive_part(four_at(up + n)));
    }
    /* With q = Σ_m max(c_(m+2), 0) h^m, the sum is Σ_m (m+2) max(c_(m+2), 0) h^(m+1) = h (2 q + h q'). */
    const Four powers = {1.0, h, square, cube}, once = {0.0, 1.0, 2.0 * h, 3.0 * square};
    double value = sum_of_four(sums * powers);
    double slope = sum_of_four(multiply_add(slopes, powers * all_four(4.0 * cube), sums * once));
    for (int64_t n = rest - 1; n >= 0; n--) {
        slope = slope * h + value;
        value = value * h + maximum(up[n], 0.0);
    }
    return c[1] + h * (2.0 * value + h * slope);
}

/* Fill `result` with the coefficients in the Bernstein basis of [0, h]: B_i = Σ_k C(i,k)/C(p,k) c_k h^k. */
static void to_bernstein(const double *c, int64_t size, double h, double *result)
{
    const int64_t p = size - 1;
    double line[MOST_TERMS]; /* backwards: the sums of Pascal's triangle then run forwards */
    double factor = 1.0;
    for (int64_t k = 0; k < p; k++) {
        line[p - k] = c[k] * factor;
        factor *= h * (double)(k + 1) / (double)(p - k); /* h^k / C(p, k) */
    }
    line[0] = c[p] * factor;
    for (int64_t end = p; end > 0; end--)
        for (int64_t k = 0; k < end; k++)
            line[k] += line[k + 1];
    for (int64_t i = 0; i < size; i++)
        result[i] = line[p - i];
}

/* De Casteljau: `left` holds the coefficients on an interval; split them into its two halves. */
static void halve(double *restrict left, double *restrict right, int64_t size)
{
    memcpy(right, left, sizeof(double) * size);
    for (int64_t level = 1; level < size; level++) {
        /* right[0 .. p-level] becomes one level of the triangle; its first entry belongs to the left half. */
        for (int64_t i = 0; i < size - level; i++)
            right[i] = 0.5 * (right[i] + right[i + 1]);
        left[level] = right[0];
    }
    /* The last entries of the levels, bottom to top, are what is left standing in `right`. */
}

/* Return where a polynomial that falls through `level` between `low` and `high` does so (Newton, guarded, from t). */
static double bisect(const double *c, int64_t size, double low, double high, double t, double level)
{
    if (!(low < t && t < high))
        t = 0.5 * (low + high);
    for (int attempt = 0; attempt < BISECTIONS; attempt++) {
        double slope;
        const double value = value_and_slope(c, size, t, &slope) - level;
        if (value >= 0.0)
            low = t;
        else
            high = t;
        double step = slope != 0.0 ? t - value / slope : low;
        if (!(low < step && step < high))
            step = 0.5 * (low + high);
        else if (fabs(step - t) <= LAST_STEP * step)
            return step;
        if (step == t || step <= low || step >= high)
            break;
        t = step;
    }
    return t;
}

/* Return where the straight line from `first` at low to `last` at high is at `level`. */
INLINE double straight_to(double low, double high, double first, double last, double level)
{
    return low + (high - low) * ((first - level) / (first - last));
}

/* Return the first t in [0, h] at which Σ c_n tⁿ falls below `level`, through the Bernstein basis; see first_below. */
static __attribute__((noinline)) double search_below(const double *c, int64_t size, double h, double level)
{
    double stack[(MAX_DEPTH + 2) * MOST_TERMS], starts[MAX_DEPTH + 2], widths[MAX_DEPTH + 2];
    to_bernstein(c, size, h, stack);
    starts[0] = 0.0;
    widths[0] = h;
    int64_t top = 0;
    while (top >= 0) {
        double *b = stack + top * size;
        double least = b[0];
        int falling = 1;
        for (int64_t i = 1; i < size; i++) {
            least = minimum(least, b[i]);
            falling &= !(b[i] > b[i - 1]);
        }
        if (least >= level) {
            top--;
            continue;
        }
        if (b[0] < level)
            return starts[top];
        if (falling || widths[top] <= h * LAST_PART || top >= MAX_DEPTH) {
            const double end = starts[top] + widths[top];
            double slope;
            if (value_and_slope(c, size, end, &slope) >= level)
                return end;
            return bisect(c, size, starts[top], end, straight_to(starts[top], end, b[0], b[size - 1], level), level);
        }
        /* The right half waits below the left one. */
        double *next = b + size;
        halve(b, next, size);
        for (int64_t i = 0; i < size; i++) {
            const double kept = b[i];
            b[i] = next[i];
            next[i] = kept;
        }
        const double width = 0.5 * widths[top];
        starts[top + 1] = starts[top];
        widths[top + 1] = width;
        starts[top] += width;
        widths[top] = width;
        top++;
    }
    return -1.0;
}

/* Return the first t in [0, h] at which Σ c_n tⁿ falls below `level`, or -1.0 where it never does.

   A polynomial that falls throughout has at most one such t. Otherwise the search goes through the step from left to
   right by halving; parts whose Bernstein coefficients stay at or above `level` are passed over. */
static double first_below(const double *c, int64_t size, double h, double level)
{
    if (reach_below(c, size, h) >= level)
        return -1.0;
    if (c[0] < level)
        return 0.0;
    if (greatest_slope(c, size, h) < 0.0) {
        double slope;
        const double last = value_and_slope(c, size, h, &slope);
        return last >= level ? -1.0 : bisect(c, size, 0.0, h, straight_to(0.0, h, c[0], last, level), level);
    }
    return search_below(c, size, h, level);
}

/* Return when a coordinate that ought to stay positive leaves its side, or -1.0 if it does not within [0, h].

   A coordinate that only touches zero, or dips below it by less than `noise` (its rounding error), has not left. One
   that starts below zero by rounding has left only once it falls below where it started. The time returned is that of
   the root itself, not of the passage through -noise. */
double first_exit(const double *c, int64_t size, double h, double noise)
{
    const double below = first_below(c, size, h, minimum(0.0, c[0]) - noise);
    if (below < 0.0)
        return -1.0;
    if (c[0] <= 0.0) {
        /* From on the surface: where it last came down to zero, which is the start unless it rose in between. */
        double mirrored[MOST_TERMS];
        for (int64_t n = 0; n < size; n++)
            mirrored[n] = -c[n];
        if (first_below(mirrored, size, below, -noise) < 0.0)
            return 0.0;
    }
    double t = below;
    for (int attempt = 0; attempt < STEPS_BACK; attempt++) {
        double slope;
        const double value = value_and_slope(c, size, t, &slope);
        if (slope >= 0.0 || value >= 0.0)
            break;
        const double step = t - value / slope;
        if (step == t)
            break;
        if (step <= 0.0)
            return 0.0;
        t = step;
    }
    return t;
}

/* Fill `moved` with `sign` times the series c about `start` (repeated Horner division). */
static void shift_series(const double *c, int64_t size, double start, double sign, double *moved)
{
    const int64_t order = size - 1;
    for (int64_t n = 0; n < size; n++)
        moved[n] = sign * c[n];
    if (start > 0.0)
        for (int64_t low = 0; low < order; low++)
            for (int64_t n = order - 1; n >= low; n--)
                moved[n] += start * moved[n + 1];
}

/* Return when `sign` times a coordinate with series c leaves its side on [start, end], -1.0 if it does not; see
   first_exit. `moved` (size) is room to work. */
double next_exit(const double *c, int64_t size, double start, double end, double sign, double noise,
                        double *moved)
{
    shift_series(c, size, start, sign, moved);
    const double t = first_exit(moved, size, end - start, noise);
    return t < 0.0 ? -1.0 : start + t;
}
