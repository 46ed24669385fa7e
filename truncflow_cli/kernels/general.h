/* What Python may ask of the compiled code of `general`, through one function, and its event loop for the usual step.

   The usual step ends where one coordinate of one point goes through, alone. It is taken with the same functions as one
   that goes through Python, so that the two give the same numbers. What is out of the ordinary ends the loop before the
   step in question, which is then taken from its beginning in Python. */

#pragma once

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "arrays.h"
#include "cellbackward.h"
#include "cells.h"
#include "cellseries.h"
#include "columns.h"
#include "course.h"
#include "deadlines.h"
#include "netsampling.h"
#include "pace.h"
#include "passing.h"
#include "series.h"
#include "vector.h"

/* What to do. */
enum { NET_EXPAND, NET_CROSS, NET_ADVANCE, NET_AHEAD, NET_GATHER, NET_MOVE, NET_FIELD, NET_POLISH };
/* The next crossing is first looked for within this share of the reach. */
static const double NET_SOON = 0.75;
/* Rank-one updates of the cells' sums after which they are summed anew, so that rounding does not pile up. */
enum { REFRESH_CELLS = 4096 };

/* Let the series begin at the state. */
static void begin_at_state(const NetState *state, const double *clock, Course *course)
{
    const size_t in_b = (size_t)(state->b.n[0] * state->b.n[1]) * sizeof(double);
    course->energy.at[0] = clock[ENERGY];
    memcpy(course->b.at, state->b.at, in_b);
    memcpy(course->R.at, state->R.at, in_b * (size_t)state->b.n[1]);
}

/* Expand the solution about the state; return the length on which the series are accurate. */
static double expand_network_state(const NetState *state, const double *clock, const Cloud *cloud, const Cells *cells,
                                   const Tree *tree, Course *course, Room *room, Held *held,
                                   const NetAccuracy *accuracy, double reach)
{
    begin_at_state(state, clock, course);
    double scale = accuracy->floor;
    for (int64_t k = 0; k < state->b.n[0] * state->b.n[1]; k++)
        scale = maximum(scale, fabs(state->b.at[k]));
    const double extent = maximum(accuracy->spread, scale);
    return expand_network(course, cloud, cells, tree, room, held, scale, extent * extent, accuracy->tolerance, reach);
}

/* Let coordinate r of point i in layer l change sides, and write that down. */
static void cross_network(int64_t i, int64_t l, int64_t r, double s, Cloud *cloud, Cells *cells, Tree *tree,
                          Watch *watch, Passed *log, int64_t *counts)
{
    const int64_t dim = cloud->pattern.n[2], place = (i * cloud->pattern.n[1] + l) * dim + r;
    const int gone = leave(cloud, cells, i);
    const int8_t side = cloud->pattern.at[place] == UNTRUNCATED ? TRUNCATED : UNTRUNCATED;
    cloud->pattern.at[place] = side;
    cloud->code.at[place] = side;
    const int fresh = enter(cloud, cells, i);
    if (gone || fresh)
        plant(cells, tree);
    cells->truncated.at[l * dim + r] += side == TRUNCATED ? cloud->inputs.at[i] : -cloud->inputs.at[i];
    for (int64_t m = l + 1; m < watch->size.n[0]; m++)
        hurry(watch, m, i);
    const int64_t event = counts[EVENTS]++;
    log->s.at[event] = s;
    log->point.at[event] = i;
    log->layer.at[event] = l;
    log->row.at[event] = r;
    log->side.at[event] = side;
}

/* Let the next state be the state, and note what is truncated along the step that led to it. */
static void take_next_state(NetState *state, const Cells *cells)
{
    const size_t in_b = (size_t)(state->b.n[0] * state->b.n[1]) * sizeof(double);
    memcpy(state->R.at, state->R_next.at, in_b * (size_t)state->b.n[1]);
    memcpy(state->b.at, state->b_next.at, in_b);
    memcpy(state->truncated.at, cells->truncated.at, in_b);
}

/* Take steps until clock[UNTIL] is passed, something unusual is next, or the log is full; return their number.

   The state, the clock and the other arrays are where the last step has led to; `course` holds its series unless
   counts[UNUSUAL] is 1: the next step has then to be taken in Python. The samples at the times that have been passed
   are filled, counts[SAMPLED] of them. */
static int64_t run_network_ahead(NetState *state, double *clock, Cloud *cloud, Cells *cells, Tree *tree, Course *course,
                                 Room *room, Held *held, Watch *watch, const NetAccuracy *accuracy, Passed *log,
                                 NetSamples *samples, int64_t *counts)
{
    const int64_t dim = state->b.n[1];
    const double s_end = clock[S_END], until = clock[UNTIL];
    int64_t steps = 0;
    counts[UNUSUAL] = 0;
    while (counts[EVENTS] < log->s.n[0]) {
        counts[UNUSUAL] = 1;
        if (cells->tally.at[LEAVES] >= cells->root.n[0] || cells->tally.at[UPDATES] > REFRESH_CELLS)
            break;
        const double s = clock[S], left = s_end - s, reach = minimum(clock[REACH], left);
        double h = expand_network_state(state, clock, cloud, cells, tree, course, room, held, accuracy, reach);
        if (!(h > 0.0))
            break;
        h = step_length(h, clock[REACH], left);
        int64_t seen[2] = {0, 0}, entry = -1;
        const Columns cols = columns_of(cells, tree, room);
        const double t = net_first_crossing(h, NET_SOON * reach, course, cloud, cells, tree, &cols, watch, seen,
                                            &entry);
        if (!(t > 4 * DBL_EPSILON * s))
            break;
        const double energy = evaluate_network(course, t, state->R_next.at, state->b_next.at, room->work.at);
        if (entry >= 0 && !net_passes(state, t, entry, course, cloud, cells, tree, &cols, watch, accuracy))
            break;

        counts[UNUSUAL] = 0;
        steps++;
        counts[STEPS]++;
        counts[ORDERS] += course->order.at[0];
        counts[CANDIDATES] += seen[0];
        counts[ROOTS] += seen[1];
        go(course, watch, t);
        take_next_state(state, cells);
        clock[BEFORE] = s;
        clock[ENERGY] = energy;
        clock[REACH] = next_reach(clock[REACH], t, entry >= 0, s_end);
        if (entry < 0 && h >= left)
            clock[S] = s_end;
        else
            clock[S] = minimum(later(s, &clock[LOST], t), s_end);
        for (; counts[SAMPLED] < samples->s.n[0] && samples->s.at[counts[SAMPLED]] <= clock[S]; counts[SAMPLED]++)
            take_network_sample(cloud, cells, course, maximum(samples->s.at[counts[SAMPLED]] - s, 0.0), samples,
                                counts[SAMPLED], room->work.at);
        if (entry >= 0) {
            const int64_t *hit = watch->hit.at + 2 * (entry / dim);
            cross_network(hit[1], hit[0], entry % dim, clock[S], cloud, cells, tree, watch, log, counts);
        }
        if (clock[S] >= until || clock[S] >= s_end)
            break;
    }
    return steps;
}

/* Move the first counts[EVENTS] points of `log` to the cells of their codes, see NET_MOVE. */
static void move_points(Cloud *cloud, Cells *cells, Watch *watch, const Passed *log, const int64_t *counts)
{
    for (int64_t k = 0; k < counts[EVENTS]; k++) {
        const int64_t i = log->point.at[k];
        if (log->side.at[k] == 0) {
            leave(cloud, cells, i);
            continue;
        }
        enter(cloud, cells, i);
        for (int64_t l = 0; l < watch->size.n[0]; l++)
            hurry(watch, l, i);
    }
}

/* Do one of these and return what is said of it; clock and counts hold its numbers.

   - EXPAND the solution about the state, to be accurate over clock[REACH]: clock[LENGTH] is how far it is.
   - CROSS: find the first coordinate to leave its side within clock[LENGTH], first looking within clock[NEARBY];
     clock[LENGTH] becomes the time, and (hit, coordinate) is returned as one number (-1: none).
   - ADVANCE the state to clock[LENGTH] of the series.
   - AHEAD: see run_network_ahead.
   - GATHER the points in cells, and sum those up from scratch.
   - MOVE the first counts[EVENTS] points of `log` to the cells of their codes; log->side says whether they have to
     leave one (0) or be put into one (1). Returns how many pinned coordinates the nodes have.
   - FIELD: fill order 0 of c and Ω.
   - POLISH: make R orthogonal to rounding. */
EXPORT int64_t truncflow_general(int64_t task, NetState *state, double *clock, Cloud *cloud, Cells *cells, Tree *tree,
                                 Course *course, Room *room, Held *held, Watch *watch, const NetAccuracy *accuracy,
                                 Passed *log, NetSamples *samples, int64_t *counts)
{
    const int64_t layers = state->b.n[0], dim = state->b.n[1];
    int64_t which = -1;
    Columns cols;
    switch (task) {
    case NET_EXPAND:
        clock[LENGTH] = expand_network_state(state, clock, cloud, cells, tree, course, room, held, accuracy,
                                             clock[REACH]);
        return 0;
    case NET_CROSS:
        cols = columns_of(cells, tree, room);
        clock[LENGTH] = net_first_crossing(clock[LENGTH], clock[NEARBY], course, cloud, cells, tree, &cols, watch,
                                           counts + CANDIDATES, &which);
        return which;
    case NET_ADVANCE:
        clock[ENERGY] = evaluate_network(course, clock[LENGTH], state->R.at, state->b.at, room->work.at);
        go(course, watch, clock[LENGTH]);
        return 0;
    case NET_AHEAD:
        return run_network_ahead(state, clock, cloud, cells, tree, course, room, held, watch, accuracy, log, samples,
                                 counts);
    case NET_GATHER:
        gather_points(cloud, cells);
        plant(cells, tree);
        return tree->tally.at[0];
    case NET_MOVE:
        move_points(cloud, cells, watch, log, counts);
        plant(cells, tree);
        return tree->tally.at[0];
    case NET_FIELD:
        begin_at_state(state, clock, course);
        cols = begin_network(course, cloud, cells, tree, room, held);
        backward(0, course, cells, tree, room, &cols, held);
        return 0;
    case NET_POLISH:
        for (int64_t l = 0; l < layers; l++)
            orthonormalise(state->R.at + l * dim * dim, dim, room->work.at);
        return 0;
    default:
        return 0;
    }
}

/* Fill loss (times, C) in states R (times, L, Q, Q), b (times, L, Q), see network_losses. */
EXPORT void truncflow_network_losses(const double *x, const double *weight, const double *target, const int64_t *label,
                                     int64_t points, const double *R, const double *b, int64_t layers, int64_t dim,
                                     int64_t clusters, int64_t times, double *loss)
{
    for (int64_t k = 0; k < times; k++)
        network_losses(x, weight, target, label, points, R + k * layers * dim * dim, b + k * layers * dim, layers, dim,
                       clusters, loss + k * clusters);
}
