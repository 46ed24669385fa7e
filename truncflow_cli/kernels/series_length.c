/* How far a Taylor series can be trusted, by the size of its terms. */

#include "numerics.h"

/* The terms of a series fall fast where each is at most this share of the one before. */
static const double FALLING = 0.1;
/* A comparison that saves taking roots errs on the safe side by this much. */
static const double GENEROUS = 1.0 + 1e-9;

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

/* Return what is known of a series before its first term. */
SeriesLength no_terms(const Accuracy *accuracy, double reach, int64_t fewest, int64_t highest)
{
    return (SeriesLength){accuracy->tolerance, reach, fewest, highest, INFINITY, INFINITY, INFINITY, reach, 0.0};
}

/* Note the size of term n+1, and of term n of the weights of pinned surfaces (0.0: none); return whether the series
   may end with it. */
int is_long_enough(SeriesLength *series, int64_t n, double size, double pull)
{
    if (!isfinite(size)) {
        series->length = -1.0;
        return 1;
    }
    /* Not asked if the last term alone says: not over reach. */
    const int likely = n + 1 == series->highest || !(size * series->power > series->tolerance * GENEROUS);
    if (n >= 1 && (n + 1 >= series->fewest || n + 1 == series->highest) && likely) {
        double h = where_accurate(size, series->before, series->earlier, n, series->tolerance);
        /* The weights are derivatives of the state, as it were, and converge one order later. */
        if (pull > 0.0)
            h = minimum(h, pow(series->tolerance / pull, 1.0 / (double)n));
        if (n >= 2 && series->pull > 0.0)
            h = minimum(h, pow(series->tolerance / series->pull, 1.0 / (double)(n - 1)));
        series->length = h;
        if (h >= series->reach)
            return 1;
    }
    series->earlier = series->before;
    series->before = size;
    series->pull = pull;
    series->power *= series->reach;
    return 0;
}
