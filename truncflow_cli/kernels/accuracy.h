/* How far a Taylor series can be trusted, by the size of its terms. */

#pragma once

#include <math.h>

#include "vector.h"

/* The terms of a series fall fast where each is at most this share of the one before. */
static const double FALLING = 0.1;

/* Return the length up to which a series is accurate whose terms n+1, n and n-1 have these sizes.

   That is where the last two terms are at `tolerance` (Jorba and Zou 2005), and where only the last one is, if by then
   the terms fall so fast that those left out are a small share of it. */
static double where_accurate(double last, double before, double earlier, int64_t n, double tolerance)
{
    double h = INFINITY;
    if (last > 0.0)
        h = pow(tolerance / last, 1.0 / (double)(n + 1));
    double alone = h;
    if (before > 0.0) {
        h = minimum(h, pow(tolerance / before, 1.0 / (double)n));
        if (n >= 2) {
            /* Where the last term happens to be small, the one before stands in for it. */
            double radius = earlier / before;
            alone = minimum(alone, pow(tolerance * radius / before, 1.0 / (double)(n + 1)));
            if (last > 0.0)
                radius = minimum(radius, minimum(before / last, sqrt(earlier / last)));
            h = maximum(h, minimum(alone, FALLING * radius));
        }
    }
    return h;
}

/* The sizes of the terms of a series before the last one, and the last weight of a pinned surface. */
typedef struct { double before, earlier, pull; } Terms;

/* Where there are none. */
static const Terms NO_TERMS = {INFINITY, INFINITY, INFINITY};

/* Return where_accurate of a series with term n+1 of this size, and weights of pinned surfaces with term n of size
   `pull` (0: none). */
static double where_both_accurate(const Terms *terms, double size, double pull, int64_t n, double tolerance)
{
    double h = where_accurate(size, terms->before, terms->earlier, n, tolerance);
    /* The weights are derivatives of the state, as it were, and converge one order later. */
    if (pull > 0.0)
        h = minimum(h, pow(tolerance / pull, 1.0 / (double)n));
    if (n >= 2 && terms->pull > 0.0)
        h = minimum(h, pow(tolerance / terms->pull, 1.0 / (double)(n - 1)));
    return h;
}

/* Note the sizes of the last terms as those of the terms before. */
INLINE void pass_terms(Terms *terms, double size, double pull)
{
    terms->earlier = terms->before;
    terms->before = size;
    terms->pull = pull;
}
