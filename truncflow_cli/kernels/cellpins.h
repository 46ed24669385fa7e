/* Pinned coordinates of `general` (z_r = 0), which have h_r = λ(s), such that z_r stays 0.

   Elsewhere a pinned coordinate counts as truncated. At its node, with T_r its row of T there, λ adds

       λ T_r to V_r,    −λ T_r in the last column to c_r,    −½ Σ_c λ T_rc Z_jc to Ω_rj, and as much to −Ω_jr.

   λ is such that z_r stays 0: its coefficients of order n solve a linear system, the same one for all orders, by which
   those of order n+1 of all pinned z_r vanish. These are known from the pinned points alone (Held.z). */

#pragma once

#include <stdint.h>
#include <string.h>

#include "arrays.h"
#include "cells.h"
#include "columns.h"
#include "vector.h"

/* Add what λ of a pinned coordinate does to V, c and Ω of order n. */
static void hold_entry(int64_t n, int64_t entry, Course *course, const Tree *tree, const Columns *cols,
                       const Held *held)
{
    const int64_t layers = course->b.n[1], dim = cols->dim, width = cols->width, frame = cols->frame;
    const int64_t *at = tree->held.at + entry * HELD_ENTRIES, depth = at[HELD_DEPTH], node = at[HELD_NODE];
    const int64_t r = at[HELD_ROW], pin = at[HELD_PIN], pins = held->lam.n[1];
    const int64_t first = tree->first.at[depth] + node, count = tree->nodes.at[depth];
    const int64_t parent = tree->first.at[depth - 1] + tree->above.at[depth * tree->above.n[1] + node];
    const int64_t block = dim * width, pinned_block = cols->entries * frame;
    double *pinned = cols->pinned + entry * frame, *V = cols->V + n * block + r * width + parent;
    double *Om = course->Om.at + (n * layers + depth - 1) * dim * dim;
    double total = 0.0;
    for (int64_t a = 0; a < frame; a++) {
        const double *T = cols->T + r * width + first + a * count;
        total = 0.0;
        for (int64_t m = 0; m <= n; m++)
            total += held->lam.at[m * pins + pin] * T[(n - m) * block];
        pinned[n * pinned_block + a] = total;
        V[a * tree->nodes.at[depth - 1]] += total;
    }
    course->c.at[(n * layers + depth - 1) * dim + r] -= total;
    for (int64_t j = 0; j < dim; j++) {
        if (j == r)
            continue;
        const double *Z = cols->Z + j * width + first;
        total = 0.0;
        for (int64_t a = 0; a < frame; a++)
            for (int64_t m = 0; m <= n; m++)
                total += pinned[m * pinned_block + a] * Z[(n - m) * block + a * count];
        Om[r * dim + j] -= 0.5 * total;
        Om[j * dim + r] += 0.5 * total;
    }
}

/* Fill the n-th coefficients z[n, k, ℓ] of the point of pin k in all layers. */
static void point_forward(int64_t n, int64_t k, const Course *course, const Cloud *cloud, const Held *held)
{
    const int64_t layers = course->b.n[1], dim = course->b.n[2], size = dim * dim, pins = held->surface.n[0];
    const int64_t i = held->surface.at[3 * k], M_block = course->M.n[1] * size;
    const double *b = course->b.at, *R = course->R.at + n * layers * size, *x = cloud->x.at + i * dim;
    double *z = held->z.at + (n * pins + k) * layers * dim;
    for (int64_t r = 0; r < dim; r++)
        z[r] = b[n * layers * dim + r] + along(R + r * dim, x, dim);
    for (int64_t l = 1; l < layers; l++) {
        const int8_t *side = cloud->pattern.at + (i * layers + l - 1) * dim;
        double y[dim];
        memcpy(z + l * dim, b + (n * layers + l) * dim, dim * sizeof(double));
        for (int64_t m = 0; m <= n; m++) {
            const double *z_m = held->z.at + (((n - m) * pins + k) * layers + l - 1) * dim;
            const double *b_m = b + ((n - m) * layers + l - 1) * dim, *M = course->M.at + m * M_block + (l - 1) * size;
            for (int64_t a = 0; a < dim; a++)
                y[a] = (side[a] == UNTRUNCATED ? z_m[a] : 0.0) - b_m[a];
            for (int64_t r = 0; r < dim; r++)
                z[l * dim + r] += along(M + r * dim, y, dim);
        }
    }
}

/* Choose the n-th coefficients of λ so that z_{n+1} vanishes on the pinned surfaces. */
static void hold_network_pins(int64_t n, const Course *course, const Cloud *cloud, Held *held)
{
    const int64_t layers = course->b.n[1], dim = course->b.n[2], pins = held->surface.n[0];
    for (int64_t k = 0; k < pins; k++)
        point_forward(n + 1, k, course, cloud, held);
    for (int64_t k = 0; k < pins; k++) {
        double total = 0.0;
        for (int64_t j = 0; j < pins; j++) {
            const int64_t l = held->surface.at[3 * j + 1], r = held->surface.at[3 * j + 2];
            total += held->inverse.at[k * pins + j] * held->z.at[(((n + 1) * pins + j) * layers + l) * dim + r];
        }
        held->lam.at[n * pins + k] -= (double)(n + 1) * total;
    }
}
