/* Taylor series of the flow of Theorem 5.1 (corrected), region by region through all layers.

   In the layers' co-moving frames, with b_ℓ = R_ℓ β^(ℓ), M_ℓ = R_{ℓ+1} R_ℓᵀ and u_j = b_L + R_L ỹ_j, a point of
   cluster j has

       forward:   z_1 = R_1 x + b_1,    z_{ℓ+1} = M_ℓ y_ℓ + b_{ℓ+1},    y_ℓ = H_ℓ z_ℓ − b_ℓ
       backward:  w_L = H_L z_L − u_j,  w_ℓ = M_ℓᵀ H_{ℓ+1} w_{ℓ+1}                  (w_ℓ = R_ℓ g_ℓ)

   and the flow is, with means over each cluster summed over clusters,

       b_ℓ' = Ω_ℓ b_ℓ + c_ℓ,   c_ℓ = Σ mean H_ℓ⊥ w_ℓ                                 (5.4), corrected
       R_ℓ' = Ω_ℓ R_ℓ,         Ω_ℓ = −½ Σ mean [H_ℓ, z_ℓ w_ℓᵀ + w_ℓ z_ℓᵀ]             (5.6)
       energy' = Σ_ℓ |c_ℓ|² + ‖Ω_ℓ‖_F².

   Order by order, `backward` finds c and Ω, `next_state` the next coefficients of R and b, and `forward` those of the
   points' coordinates. Points are taken together by activation regions, see regions.c. */

#include "network.h"

/* Let the series begin at the state, and fill order 0 of the points' coordinates. */
static void begin_series(Network *net)
{
    const size_t in_b = (size_t)(net->layers * net->dim) * sizeof(double);
    net->taylor.energy[0] = net->state.energy;
    memcpy(net->taylor.b, net->state.b, in_b);
    memcpy(net->taylor.R, net->state.R, in_b * (size_t)net->dim);
    spread_open(net);
    fill_links(0, net);
    forward(0, net);
    for (int64_t k = 0; k < net->pins.size; k++)
        point_forward(0, k, net);
}

/* Extend the series, order by order, until they are accurate over `reach`; return the length on which they are.

   pins.lam has λ in its order 0. */
double network_expand(Network *net, double reach)
{
    const int64_t pins = net->pins.size;
    double scale = net->accuracy.floor;
    for (int64_t k = 0; k < net->layers * net->dim; k++)
        scale = maximum(scale, fabs(net->state.b[k]));
    const double extent = maximum(net->accuracy.spread, scale);
    SeriesLength series = no_terms(&net->accuracy, reach, 3, net->taylor.highest);
    begin_series(net);
    for (int64_t n = 0; n < net->taylor.highest; n++) {
        double *lam = net->pins.lam + n * pins, pull = 0.0;
        for (int64_t k = 0; k < pins && n > 0; k++)
            lam[k] = 0.0;
        backward(n, net);
        next_state(n, net);
        if (pins > 0) {
            /* Sliding: with λ_n as it should be, once more. */
            hold_pins(n, net);
            backward(n, net);
            next_state(n, net);
        }
        for (int64_t k = 0; k < pins; k++) {
            point_forward(n + 1, k, net);
            pull = maximum(pull, fabs(lam[k]));
        }
        forward(n + 1, net);
        const double size = size_of_order(n, net, scale, extent * extent);
        net->taylor.order = n + 1;
        if (is_long_enough(&series, n, size, pull))
            break;
    }
    return series.length;
}

void network_field(Network *net)
{
    begin_series(net);
    backward(0, net);
}
