/* Where falling polynomials reach zero: the usual crossing of a step, several of them side by side.

   Coefficient n of polynomial k is at c[n TOGETHER + k]. One that falls from above zero has at most one root, which is
   kept between `low`, where the polynomial is above zero, and `high`, while Newton's method looks for it. */

#include "numerics.h"

/* Steps of Newton's method, at most. */
enum { NEWTON_STEPS = 50 };

/* Mark the polynomials that clearly fall on all of [0, h]. */
INLINE void fall_throughout(const double *c, int64_t terms, double h, Wholes *falls)
{
    Four slope[2] = {four_at(c + TOGETHER), four_at(c + TOGETHER + 4)};
    double power = 1.0;
    for (int64_t n = 2; n < terms; n++) {
        power *= h;
        const Four weight = all_four((double)n * power);
        for (int v = 0; v < 2; v++)
            slope[v] = multiply_add(weight, sizes_of_four(four_at(c + n * TOGETHER + 4 * v)), slope[v]);
    }
    for (int v = 0; v < 2; v++)
        falls[v] = (Wholes)(slope[v] < all_four(0.0));
}

/* Mark the polynomials that start above zero and fall throughout, and fill root with where these reach it, -1.0 if they
   do not by h. */
void roots_of_falling(const double *c, int64_t terms, double h, Wholes *falls, double *root)
{
    fall_throughout(c, terms, h, falls);
    const Four zero = all_four(0.0), end = all_four(h), close = all_four(1e-15 * h);
    Four t[2], low[2], high[2];
    Wholes open[2];
    for (int v = 0; v < 2; v++) {
        t[v] = -four_at(c + 4 * v) / four_at(c + TOGETHER + 4 * v);
        t[v] = choose((Wholes)(t[v] < end), t[v], end);
        low[v] = zero;
        high[v] = end;
        open[v] = falls[v];
    }
    for (int attempt = 0; attempt < NEWTON_STEPS && any_of(open[0] | open[1]); attempt++) {
        Four value[2], slope[2];
        for (int v = 0; v < 2; v++) {
            value[v] = four_at(c + (terms - 1) * TOGETHER + 4 * v);
            slope[v] = zero;
        }
        for (int64_t n = terms - 2; n >= 0; n--)
            for (int v = 0; v < 2; v++) {
                slope[v] = multiply_add(slope[v], t[v], value[v]);
                value[v] = multiply_add(value[v], t[v], four_at(c + n * TOGETHER + 4 * v));
            }
        for (int v = 0; v < 2; v++) {
            const Wholes above = (Wholes)(value[v] > zero), beyond = above & (Wholes)(t[v] >= end);
            low[v] = choose(above, t[v], low[v]);
            high[v] = choose(above, high[v], t[v]);
            Four step = t[v] - value[v] / slope[v];
            const Wholes inside = ((Wholes)(low[v] < step) | (Wholes)(step == t[v])) & (Wholes)(step < high[v]);
            const Four other = choose((Wholes)(step >= high[v]), high[v], all_four(0.5) * (low[v] + high[v]));
            step = choose(inside, step, other);
            const Wholes still = (Wholes)(step - t[v] > close) | (Wholes)(t[v] - step > close);
            t[v] = choose(open[v], choose(beyond, all_four(-1.0), step), t[v]);
            open[v] &= still & ~beyond;
        }
    }
    put_four(root, t[0]);
    put_four(root + 4, t[1]);
}
