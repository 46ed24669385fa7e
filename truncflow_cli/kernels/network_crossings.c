/* Which of the coordinates that can leave their sides does so first. */

#include "network.h"

/* The share of the step that is looked at first where there is nothing to go by, and how much longer it gets then. */
static const double FIRST_SHARE = 0x1p-12;
static const double LONGER = 8.0;
/* A coordinate this far on the wrong side, in units of its rounding error, has not got there by rounding. */
static const double MISSED = 1e4;

/* Return the sides of the coordinates of a hit. */
INLINE const int8_t *sides_of(int64_t hit, const Network *net)
{
    return sides_in(net, net->bounds.hit[hit].point, net->bounds.hit[hit].layer);
}

/* Return the coordinate, as hit Q + r, that leaves its side first on [0, h] if all keep their velocities; -1: none. */
static int64_t seems_first(double h, const Network *net)
{
    const int64_t dim = net->dim;
    const Line *line = net->bounds.line;
    double soonest = h;
    int64_t lead = -1;
    for (int64_t hit = 0; hit < net->bounds.hits; hit++, line += dim) {
        const int8_t *side = sides_of(hit, net);
        for (int64_t r = 0; r < dim; r++) {
            const double toward = -SIGN[side[r]] * line[r].velocity, distance = fabs(line[r].value);
            if ((toward > 0.0) & (distance < soonest * toward)) {
                soonest = distance / toward;
                lead = hit * dim + r;
            }
        }
    }
    return lead;
}

/* What has been seen of a step: no coordinate looked at leaves before `best`, this part of it, when `which` does. */
typedef struct { double best, part; int64_t which; } Sooner;

/* Note when coordinate r of a hit leaves its side, if that is before all those that have been seen, on [0, h]. */
static void note_exit(int64_t hit, int64_t r, double h, Network *net, Sooner *sooner)
{
    const int64_t l = net->bounds.hit[hit].layer, i = net->bounds.hit[hit].point, size = net->taylor.order + 1;
    const double sign = SIGN[sides_of(hit, net)[r]], noise = net->points.noise[i];
    double c[MOST_TERMS];
    coordinate_of_point(l, r, i, sign, net, c, size);
    /* One that is on the wrong side by more than rounding has been missed: it changes now. */
    const double t = c[0] < -MISSED * noise ? 0.0 : first_exit(c, size, sooner->best, noise);
    if (t >= 0.0 && (t < sooner->best || sooner->which < 0)) {
        net->loop.roots++;
        sooner->best = t;
        sooner->part = h > 0.0 ? t / h : 1.0;
        sooner->which = hit * net->dim + r;
    }
}

/* Return whether a coordinate with this side and line may leave before all those that have been seen. */
INLINE int may_be_sooner(int8_t side, const Line *line, double rest, double noise, const Sooner *sooner)
{
    const double z0 = SIGN[side] * line->value, z1 = SIGN[side] * line->velocity;
    /* The rest grows at least like t², so that z1 t − rest is least at one of the ends. */
    const double fall = minimum(0.0, z1 * sooner->best - rest * sooner->part * sooner->part);
    return side != PINNED && !(z0 + fall >= minimum(0.0, z0) - noise);
}

/* Return the time of the first coordinate to leave its side on [0, h]; `which` is hit Q + r, -1 if none does. */
static double first_within(double h, Network *net, int64_t *which)
{
    const int64_t dim = net->dim;
    list_hits(h, net);
    const int64_t hits = net->bounds.hits, lead = seems_first(h, net);
    net->loop.candidates += hits;
    Sooner sooner = {h, 1.0, -1};
    /* The one that seems to be first makes the stretch short on which the others have to be looked at. */
    for (int64_t turn = lead < 0 ? 0 : -1; turn < hits; turn++) {
        const int64_t hit = turn < 0 ? lead / dim : turn;
        const double rest = rest_of_hit(net->bounds.hit + hit, net);
        const double noise = net->points.noise[net->bounds.hit[hit].point];
        const Line *line = net->bounds.line + hit * dim;
        const int8_t *side = sides_of(hit, net);
        for (int64_t r = 0; r < dim; r++)
            if (may_be_sooner(side[r], line + r, rest, noise, &sooner) && (hit * dim + r == lead) == (turn < 0))
                note_exit(hit, r, h, net, &sooner);
    }
    *which = sooner.which;
    return sooner.best;
}

/* Return hit Q + r of the first coordinate to leave its side on [0, h], at net.crossing; NO_CROSSING if none does.

   One that is found on a short stretch saves looking at those that come later: on [0, soon], or on shorter ones if
   that is all. */
int64_t network_first_crossing(Network *net, double h, double soon)
{
    int64_t which;
    bound_speeds(net);
    double end = soon < h ? soon : FIRST_SHARE * h;
    for (;;) {
        net->crossing = first_within(end, net, &which);
        if (which >= 0 || end >= h)
            return which;
        end = minimum(LONGER * end, h);
    }
}
