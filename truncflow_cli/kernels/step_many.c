/* The event loop for the usual step: one coordinate goes through, no more.

   Every step is taken with the same functions as one that goes through Python, so that the two give the same numbers.
   What is out of the ordinary ends the loop before the step in question, which is then taken from its beginning in
   Python. */

#include "numerics.h"

/* How much further than the last spacing of events the next series is made to reach; and after one without events. */
static const double REACH_AFTER_EVENT = 2.0, REACH_AFTER_QUIET = 8.0;
/* A step much longer than where the next event is expected would only have more candidates to look at. */
static const double LONGEST = 4.0;
/* The shortest reach, in units of the whole run. */
static const double SHORTEST = 1e-14;
/* A kink that turns a coordinate back is left to Python, and so is one that does so but for this share of the jump. */
static const double CLEAR = 0.01;
/* The same for a coordinate that hardly moves, relative to the speed of the state. */
static const double SLOW = 1e-9;

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
    return minimum(isinf(reach) ? accurate : minimum(accurate, LONGEST * reach), left);
}

/* Return the least power of two above s; 0 for 0. */
static double next_octave(double s)
{
    int exponent;
    if (s == 0.0)
        return 0.0;
    frexp(s, &exponent);
    return ldexp(1.0, exponent);
}

/* Write an event down. */
void note_event(EventLog *log, double s, int64_t point, int64_t layer, int64_t row, int8_t side)
{
    const int64_t event = log->size++;
    log->s[event] = s;
    log->point[event] = point;
    log->layer[event] = layer;
    log->row[event] = row;
    log->side[event] = side;
}

/* Return whether a coordinate clearly goes through zero whose velocity, in the direction in which it does, is `before`,
   and then changes by `jump`, where the state moves with this power and |∇z|² is `normal`. */
int goes_through(double before, double jump, double power, double normal)
{
    const double margin = CLEAR * fabs(jump) + SLOW * sqrt(maximum(power, 0.0) * normal);
    return before > margin && before + jump > margin;
}

/* Let the next state, reached at t, be the state. */
static void go_on(const Steps *steps, double t, int met_event, int at_end)
{
    State *state = steps->state;
    Loop *loop = steps->loop;
    const size_t in_b = (size_t)(state->layers * state->dim) * sizeof(double);
    memcpy(state->R, state->R_next, in_b * (size_t)state->dim);
    memcpy(state->b, state->b_next, in_b);
    state->energy = state->energy_next;
    loop->steps++;
    loop->evaluations += steps->taylor->order;
    loop->before = loop->s;
    loop->reach = next_reach(loop->reach, t, met_event, loop->s_end);
    loop->s = at_end ? loop->s_end : minimum(later(loop->s, &loop->lost, t), loop->s_end);
}

/* Take the samples at the times that have been passed. */
static void take_samples(void *flow, const Steps *steps)
{
    Loop *loop = steps->loop;
    Samples *samples = steps->samples;
    const size_t in_b = (size_t)(steps->state->layers * steps->state->dim);
    for (; loop->sampled < samples->size && samples->s[loop->sampled] <= loop->s; loop->sampled++) {
        const int64_t k = loop->sampled;
        sample_state(steps->taylor, maximum(samples->s[k] - loop->before, 0.0), samples, k, steps->scratch);
        memcpy(samples->truncated + (size_t)k * in_b, steps->state->truncated, in_b * sizeof(double));
        steps->sample_loss(flow, k);
    }
}

/* Take steps until loop.until is passed, something unusual is next, or the log is full; return their number.

   The state, the loop and the flow's arrays are where the last step has led to; the series are its own unless the loop
   is `unusual`: the next step has then to be taken in Python. The samples at the times that have been passed are
   filled, loop.sampled of them. A step that has passed some s = 2^k and may have come to rest ends the loop, which is `slowed`
   then. */
int64_t step_many(void *flow, const Steps *steps)
{
    Loop *loop = steps->loop;
    State *state = steps->state;
    const int64_t start = loop->steps;
    double octave = next_octave(loop->s);
    loop->unusual = 0;
    while (steps->log->size + steps->spare < steps->log->room) {
        const double left = loop->s_end - loop->s, reach = minimum(loop->reach, left);
        const int64_t candidates = loop->candidates, roots = loop->roots;
        int64_t which = NO_CROSSING;
        loop->unusual = 1;
        double h = steps->expand(flow, reach);
        if (!(h > 0.0))
            break;
        h = step_length(h, loop->reach, left);
        const double t = steps->first_crossing(flow, h, SOON * reach, &which);
        if (which != LISTS_FULL && t > 4 * DBL_EPSILON * loop->s) {
            state->energy_next = evaluate_state(steps->taylor, t, state->R_next, state->b_next, steps->scratch);
            loop->unusual = !steps->is_usual(flow, t, which);
        }
        if (loop->unusual) {
            loop->candidates = candidates; /* counted when the step is taken */
            loop->roots = roots;
            break;
        }
        steps->pass(flow, t);
        go_on(steps, t, which >= 0, which < 0 && h >= left);
        take_samples(flow, steps);
        if (which >= 0)
            steps->cross(flow, which, loop->s);
        if (loop->s >= octave && steps->is_slow) {
            octave = next_octave(loop->s);
            loop->slowed = steps->is_slow(flow);
        }
        if (loop->s >= loop->until || loop->s >= loop->s_end || loop->slowed)
            break;
    }
    return loop->steps - start;
}
