/* How the event loop moves on in s, and how far the next series is made to reach. */

#pragma once

#include <math.h>

#include "vector.h"

/* How much further than the last spacing of events the next series is made to reach. */
static const double REACH_AFTER_EVENT = 2.0;
/* How much further the next series reaches when the last one met no event. */
static const double REACH_AFTER_QUIET = 8.0;
/* A step much longer than where the next event is expected would only have more candidates to look at. */
static const double LONGEST = 4.0;
/* The shortest reach, in units of the whole run. */
static const double SHORTEST = 1e-14;

/* Return s + t; *lost is the rounding error of the sum so far, and then of this one, to be carried along (Kahan). */
static double later(double s, double *lost, double t)
{
    const double step = t - *lost;
    const double total = s + step;
    *lost = (total - s) - step;
    return total;
}

/* Return how far the next series is made to reach after a step t that ended at an event, or did not. */
static double next_reach(double reach, double t, int met_event, double s_end)
{
    if (!met_event)
        return reach * REACH_AFTER_QUIET;
    if (isinf(reach))
        return t > 0.0 ? REACH_AFTER_EVENT * t : reach;
    return maximum(0.5 * (reach + REACH_AFTER_EVENT * t), SHORTEST * s_end);
}

/* Return how much of a series that is accurate over `accurate` is used, with `left` to the end of the run. */
static double step_length(double accurate, double reach, double left)
{
    if (!isinf(reach))
        accurate = minimum(accurate, LONGEST * reach);
    return minimum(accurate, left);
}
