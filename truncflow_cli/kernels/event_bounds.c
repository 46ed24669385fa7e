/* Lower bounds of when a coordinate of `general` can leave its side, measured by the way that its layer has gone.

   With x̂ = (x, 1), a coordinate z = Z_r x̂ changes over a step by at most |ΔZ_r| (|x| + κ), where |ΔZ_r| is the
   greatest way of the linear part, or 1/κ of that of the affine one, over all rows and nodes of its layer. So a
   coordinate that is at z when its layer has gone the way ρ is safe until ρ + |z| / (|x| + κ), its bound. Only points
   with a bound within the step are looked at, and get a new one. Bounds up to a horizon are listed, so that not all are
   compared. */

#include "network.h"

/* How many steps like the present one the horizon is away. */
static const double STEPS_LISTED = 24.0;
/* Listed are at most these times as many steps, unless there are only FEW bounds. */
static const double TOO_MANY = 4.0;
enum { FEW = 64 };

/* Bound the coefficients of all rows of all nodes, for each layer and order from the first on. */
void bound_speeds(Network *net)
{
    const int64_t layers = net->layers, last = net->regions.frame - 1;
    for (int64_t l = 0; l < layers; l++) {
        const int64_t count = net->tree.nodes[l + 1], first = net->tree.first[l + 1];
        for (int64_t n = 1; n <= net->taylor.order; n++) {
            Four turns = all_four(0.0), shifts = all_four(0.0);
            double turn = 0.0, shift = 0.0;
            for (int64_t r = 0; r < net->dim; r++) {
                const double *linear = net->columns.Z + (n * net->dim + r) * net->regions.width + first;
                const double *affine = linear + last * count;
                /* Four nodes at a time, the last four of them in any case. */
                for (int64_t next = 4; next < count + 4 && count >= 4; next += 4) {
                    const int64_t node = (next < count ? next : count) - 4;
                    Four square = all_four(0.0);
                    for (int64_t a = node; a < last * count; a += count)
                        square += four_at(linear + a) * four_at(linear + a);
                    turns = greater_of_four(turns, square);
                    shifts = greater_of_four(shifts, sizes_of_four(four_at(affine + node)));
                }
                for (int64_t node = 0; node < count && count < 4; node++) {
                    double square = 0.0;
                    for (int64_t a = node; a < last * count; a += count)
                        square += linear[a] * linear[a];
                    turn = maximum(turn, square);
                    shift = maximum(shift, fabs(affine[node]));
                }
            }
            double *speed = net->bounds.speed + (n * layers + l) * 2;
            speed[0] = sqrt(maximum(turn, greatest_of_four(turns)));
            speed[1] = maximum(shift, greatest_of_four(shifts));
        }
    }
}

/* Bound how far each layer goes on [0, h]. */
static void bound_way(Network *net, double h)
{
    const int64_t layers = net->layers;
    for (int64_t l = 0; l < layers; l++) {
        const double *speed = net->bounds.speed + 2 * l;
        Way *way = &net->bounds.way[l];
        double turn = 0.0, shift = 0.0, power = h;
        for (int64_t n = 2; n <= net->taylor.order; n++) {
            power *= h;
            turn += speed[2 * n * layers] * power;
            shift += speed[2 * n * layers + 1] * power;
        }
        way->rest_turn = turn;
        way->rest_shift = shift;
        turn += speed[2 * layers] * h;
        shift += speed[2 * layers + 1] * h;
        way->ahead = maximum(turn, shift / net->bounds.kappa) + net->bounds.slack;
    }
}

/* Note that all layers have gone on to t of the present step. */
void pass_way(Network *net, double t)
{
    bound_way(net, t);
    for (int64_t l = 0; l < net->layers; l++)
        net->bounds.way[l].gone += net->bounds.way[l].ahead;
}

/* List the bounds of a layer anew, counting its way from here. */
static void list_soon(Network *net, int64_t l)
{
    const int64_t points = net->points.size;
    Way *way = &net->bounds.way[l];
    double *due = net->bounds.due + l * points;
    int64_t *soon = net->bounds.soon + l * points, found = 0;
    const double gone = way->gone, horizon = STEPS_LISTED * way->ahead;
    for (int64_t i = 0; i < points; i++) {
        due[i] -= gone;
        soon[found] = i; /* to be written over if it is later */
        found += due[i] <= horizon;
    }
    net->bounds.size[l] = found;
    way->gone = 0.0;
    way->horizon = horizon;
}

/* Let point i be looked at next, in this layer: it has come under another node. */
void look_next(Network *net, int64_t l, int64_t i)
{
    const int64_t points = net->points.size;
    double *due = net->bounds.due + l * points;
    if (due[i] > net->bounds.way[l].horizon) {
        int64_t *soon = net->bounds.soon + l * points, place = net->bounds.size[l]++;
        for (; place > 0 && soon[place - 1] > i; place--)
            soon[place] = soon[place - 1];
        soon[place] = i;
    }
    due[i] = -INFINITY;
}

/* Return the first of the columns of z_ℓ that belong to point i; the others are count apart. */
INLINE int64_t column_of(int64_t l, int64_t i, const Network *net)
{
    return net->tree.first[l + 1] + net->tree.node[(l + 1) * net->tree.room + net->points.region[i]];
}

/* Return the images of (x, 1) under four rows of an affine map, `apart` apart, with last + 1 entries count apart each.

   Where there are only so many `rows` to look at, the first one stands in for the others. */
INLINE Four images(const double *row, int64_t apart, int64_t rows, int64_t last, int64_t count, const double *x)
{
    const double *second = row + (rows > 1 ? apart : 0);
    const double *third = row + (rows > 2 ? 2 * apart : 0), *fourth = row + (rows > 3 ? 3 * apart : 0);
    int64_t a = last * count;
    Four total = {row[a], second[a], third[a], fourth[a]};
    a = 0;
    for (int64_t k = 0; k < last; k++, a += count)
        total += (Four){row[a], second[a], third[a], fourth[a]} * all_four(x[k]);
    return total;
}

/* Fill c (size) with ±1 times the coefficients of z_{ℓ,i,r}. */
void coordinate_of_point(int64_t l, int64_t r, int64_t i, double sign, const Network *net, double *c, int64_t size)
{
    const int64_t last = net->regions.frame - 1, count = net->tree.nodes[l + 1];
    const double *row = net->columns.Z + r * net->regions.width + column_of(l, i, net);
    const double *x = net->points.x + i * net->dim;
    const int64_t apart = net->dim * net->regions.width;
    for (int64_t n = 0; n < size; n += 4) {
        const int64_t rows = size - n < 4 ? size - n : 4;
        const Four z = images(row + n * apart, apart, rows, last, count, x);
        for (int64_t k = 0; k < rows; k++)
            c[n + k] = sign * z[k];
    }
}

/* Give point i a new bound in layer ℓ; where that is not after `end`, write `line` (Q, 2) and return 1, else 0. */
static int look_at(int64_t l, int64_t i, double end, Network *net, Line *line)
{
    const int64_t dim = net->dim, last = net->regions.frame - 1, count = net->tree.nodes[l + 1];
    const int64_t width = net->regions.width;
    const double *value = net->columns.Z + column_of(l, i, net), *velocity = value + dim * width;
    const double *x = net->points.x + i * net->dim;
    const int8_t *side = sides_in(net, i, l);
    double margin = INFINITY;
    for (int64_t r = 0; r < dim; r += 4) {
        const int64_t rows = dim - r < 4 ? dim - r : 4;
        const Four z = images(value + r * width, width, rows, last, count, x);
        for (int64_t k = 0; k < rows; k++) {
            line[r + k].value = z[k];
            margin = minimum(margin, side[r + k] == PINNED ? INFINITY : SIGN[side[r + k]] * z[k]);
        }
    }
    double *due = net->bounds.due + l * net->points.size + i;
    *due = net->bounds.way[l].gone + maximum(margin, 0.0) / (net->points.length[i] + net->bounds.kappa);
    if (!(*due <= end))
        return 0;
    for (int64_t r = 0; r < dim; r += 4) {
        const int64_t rows = dim - r < 4 ? dim - r : 4;
        const Four z = images(velocity + r * width, width, rows, last, count, x);
        for (int64_t k = 0; k < rows; k++)
            line[r + k].velocity = z[k];
    }
    return 1;
}

/* List the points and layers with a coordinate that may leave its side on [0, h]. */
void list_hits(double h, Network *net)
{
    const int64_t points = net->points.size, dim = net->dim;
    int64_t found = 0;
    bound_way(net, h);
    for (int64_t l = 0; l < net->layers; l++) {
        Way *way = &net->bounds.way[l];
        const double left = way->horizon - way->gone;
        const int too_many = net->bounds.size[l] > FEW && left > TOO_MANY * STEPS_LISTED * way->ahead;
        if (too_many || way->ahead > left)
            list_soon(net, l);
        const double horizon = way->horizon, end = way->gone + way->ahead, *due = net->bounds.due + l * points;
        const int64_t size = net->bounds.size[l];
        int64_t *soon = net->bounds.soon + l * points, kept = 0;
        for (int64_t entry = 0; entry < size; entry++) {
            const int64_t i = soon[entry];
            if (due[i] <= end && look_at(l, i, end, net, net->bounds.line + dim * found))
                net->bounds.hit[found++] = (Hit){l, i};
            soon[kept] = i;
            kept += due[i] <= horizon;
        }
        net->bounds.size[l] = kept;
    }
    net->bounds.hits = found;
}
