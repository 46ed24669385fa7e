/* The arrays that Python hands over, bundled by what they are.

   Each struct mirrors a bundle of the same name (but for Net) in layer.py, batch.py or network.py, field by field; what
   the fields mean is said there. Arrays are C-contiguous; n holds the lengths of their axes, 1 where there is none. */

#pragma once

#include <stdint.h>

typedef struct { double *at; int64_t n[4]; } Reals;
typedef struct { int64_t *at; int64_t n[4]; } Ints;
typedef struct { int32_t *at; int64_t n[4]; } Codes;
typedef struct { uint32_t *at; int64_t n[4]; } Indices;
typedef struct { int8_t *at; int64_t n[4]; } Sides;

/* Pattern of a coordinate of a point. */
enum { TRUNCATED, UNTRUNCATED, PINNED };

/* Entries of the clock and of the counts, of both event loops. */
enum { S, LOST, REACH, ENERGY, BEFORE, S_END, UNTIL, LENGTH, NEARBY };
enum { STEPS, ORDERS, CANDIDATES, ROOTS, EVENTS, UNUSUAL, SAMPLED, SLOWED };

/* ---- `separated` ------------------------------------------------------------------------------------------------- */

typedef struct { Reals x, length, weight; Sides pattern; Reals y_tilde; } Points;
typedef struct { Reals m, M, total; Ints updates; } Moments;
typedef struct { Reals R, b, energy, turn; Ints order; Reals line; } Motion;
typedef struct { Reals rows, columns, B, Om, Ju, u, P, state, line; } Work;
typedef struct { Ints row; Reals x, mass, inverse, lam, v, z; } Pins;

/* Entries of Near.tally, Near.scale, and the rows of Near.bound. */
enum { TOP, LEVEL, REFRESHES, NEEDS, HITS };
enum { RATIO, HORIZON };
enum { TURN, SHIFT, REST_TURN, REST_SHIFT, STEP_TURN, STEP_SHIFT };

typedef struct {
    Reals state, skin;
    Ints place, tally;
    Reals scale, bound;
    Indices pool;
    Reals z;
    Ints hit;
    Reals line;
} Near;

typedef struct { int64_t with_zz; double tolerance, floor, spread; } Accuracy;
typedef struct { Reals s; Ints point, row; Sides side; } Log;
typedef struct { Reals R, b, R_next, b_next, untruncated; } State;
typedef struct { Reals s, R, b, beta, energy, loss, untruncated; } Samples;

/* What a step over many crossings came to; entries of Batch.scalars and Batch.tally. */
enum { DONE, LISTS_FULL, CROSSINGS_FULL, ASTRAY };
enum { BATCH_LENGTH, BATCH_INSIDE, BATCH_TOLERANCE };
enum { BATCH_CROSSINGS, BATCH_CANDIDATES, BATCH_SWEPT, BATCH_ORDERS };

typedef struct {
    Reals m, M, q, m_rate, M_rate, before, scalars;
    Ints tally;
    Reals time;
    Ints entry;
    Sides side;
} Batch;

/* ---- `general` --------------------------------------------------------------------------------------------------- */

/* Entries of Cells.tally, and the code of a coordinate that is pin 0. */
enum { LEAVES, UPDATES, FRAME, WIDTH };
enum { FIRST_PIN = 2 };

typedef struct {
    Reals x, length, weight, inputs, target;
    Ints label;
    Reals noise;
    Sides pattern;
    Codes code;
    Ints cell;
} Cloud;
typedef struct { Ints root; Codes code; Ints points; Reals S, Y; Ints tally; Reals truncated; } Cells;
typedef struct { Ints nodes, first, above, node; Reals open; Ints held, tally; } Tree;
typedef struct { Reals R, b, energy, Om, c, M, Rt; Ints order; } Course;
typedef struct { Reals Z, H, T, V, work, pinned, X; } Room;
typedef struct { Ints surface; Reals lam, inverse, z; } Held;

/* Entries of a row of Watch.way. */
enum { GONE, WATCHED, AHEAD, WAY_REST_TURN, WAY_REST_SHIFT, WAYS };

typedef struct { Reals due; Ints soon, size; Reals way, speed, scale; Ints hit; Reals line; Ints hits; } Watch;
typedef struct { double tolerance, floor, spread; } NetAccuracy;
typedef struct { Reals R, b, R_next, b_next, truncated; } NetState;
typedef struct { Reals s; Ints point, layer, row; Sides side; } Passed;
typedef struct { Reals s, R, b, beta, energy, loss, truncated; } NetSamples;
