/* What Python and the compiled code share: constants, structs and functions.

   Python reads this file itself, so that a field has one name and one place, see library.py. Arrays belong to Python,
   are C-contiguous, and are changed in place; shapes are given in brackets, with Q dimensions (dim), L layers, M points
   (size) and series up to order P (highest). Nothing is allocated here, no errors are raised, and results depend on the
   arguments alone. */

#pragma once

#include <stdint.h>

#ifndef EXPORT
#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif
#endif

/* Where a coordinate of a point is. */
enum { TRUNCATED, UNTRUNCATED, PINNED };

/* Bounds of what is kept on the stack: dimensions Q, and terms of a series. */
enum { MOST_DIM = 1024, MOST_TERMS = 64 };

/* What the length of a step depends on: share of the state that it may be off, size of the state below which that
   counts as this large, greatest distance of a point to the mean; whether Ω has its term −½ z zᵀ (`separated`). */
typedef struct { double tolerance, floor, spread; int64_t with_zz; } Accuracy;

/* The state, the next one, and how many training inputs are truncated in each coordinate along the last step: R (L, Q,
   Q), b = Rβ and truncated (L, Q); L = 1 for a layer of `separated`. */
typedef struct {
    int64_t layers, dim;
    double *R, *b, *R_next, *b_next, *truncated;
    double energy, energy_next; /* dissipated */
} State;

/* Taylor coefficients of the state about where it is: R (P+1, L, Q, Q), b (P+1, L, Q), energy (P+1) up to the order in
   use; of one layer, also the lengths of the rows of R, row_length (P+1, Q). */
typedef struct {
    int64_t layers, dim, highest, order;
    double *R, *b, *energy, *row_length;
} Taylor;

/* Where step_many is, and what it has done. */
typedef struct {
    double s, lost; /* time, and its rounding error */
    double reach; /* how far the next series is made to reach */
    double before; /* where the last step began */
    double s_end, until; /* end of the run, and where to stop */
    int64_t steps, evaluations, candidates, roots;
    int64_t sampled; /* samples that have been taken */
    int64_t unusual; /* whether the next step has to be taken in Python */
    int64_t slowed; /* whether some s = 2^k has been passed so slowly that this may be rest */
} Loop;

/* What has been passed: time, row of the points, layer, coordinate and side after, of `size` events (room). */
typedef struct {
    int64_t room, size;
    double *s;
    int64_t *point, *layer, *row;
    int8_t *side;
} EventLog;

/* The trajectory at K saved times s: R (K, L, Q, Q), b, beta = Rᵀb and truncated (K, L, Q), energy (K), loss (K, C);
   lost (C) is room to work. */
typedef struct {
    int64_t size, clusters;
    double *s, *R, *b, *beta, *energy, *loss, *truncated, *lost;
} Samples;

/* Value and velocity of a coordinate at the start of a step. */
typedef struct { double value, velocity; } Line;

/* ---- a layer of `separated` -------------------------------------------------------------------------------------- */

/* The `own` points of the layer's cluster, then those of others, which are watched only. */
typedef struct {
    int64_t dim, size, own;
    double noise; /* rounding error of a coordinate, in units of |x| + |b| */
    double *x; /* (M, Q) relative to the own points' mean */
    double *length; /* (M) |x| */
    double *weight; /* (own) multiplicities */
    int8_t *pattern; /* (M, Q) */
    double *y_tilde; /* (Q) ỹ − x̄ */
} Points;

/* The constrained moments of the own points (3.33) ff. */
typedef struct {
    int64_t dim;
    double *m; /* (Q, Q+1) sums of h_r (x, 1) */
    double *M; /* (Q, Q, Q+1) sums of h_r x (x, 1)ᵀ */
    double total; /* N_ℓ */
    int64_t updates; /* rank-one updates since they were summed */
} Moments;

/* Scratch of a layer's series; of each order the blocks (R, b), their transposes and u, (B, S), Ω, J⊥u, u. */
typedef struct {
    double *rows; /* (P+1, Q, Q+1) */
    double *columns; /* (P+1, Q+2, Q) */
    double *B; /* (P+1, Q, Q+2) */
    double *Om; /* (P+1, Q, Q) */
    double *Ju, *u; /* (P+1, Q) */
    double *P; /* (Q, Q) */
} LayerWork;

/* The pinned surfaces of a layer, k of them (size). */
typedef struct {
    int64_t size;
    int64_t *row; /* (k) coordinate of each */
    double *x; /* (k, Q) its point */
    double *mass; /* (k) that one's share m/N of the cluster */
    double *inverse; /* (k, k) pseudo-inverse of ∂ż/∂λ */
    double *lam, *v; /* (P+1, k) series of the weights λ, and of λ u_r */
    double *z; /* (P+1, k, Q) series of the points' coordinates */
    double *residual; /* (k) room to work */
} LayerPins;

enum { LEVELS = 10 };

/* Point and coordinate of an entry of a list; where in the pool a list lies. */
typedef struct { uint32_t point, row; } Entry;
typedef struct { int64_t begin, end; } Place;

/* Lists of the coordinates nearest to zero, the shorter ones made from the longer ones, see neighbor_list.c. */
typedef struct {
    int64_t dim, room;
    int64_t top; /* the longest list (-1: none has been made) */
    int64_t level; /* the one that is looked through */
    int64_t refreshes; /* how often lists have been made anew */
    int64_t needs; /* the room that would do if there has been too little */
    int64_t hits;
    double ratio; /* c: by how much b moves for one unit that a row of R does */
    double horizon; /* the part [0, horizon] of the step is looked at */
    double *state; /* (LEVELS, Q, Q+1) (R, b) when each list was made */
    double *skin; /* (LEVELS) a list holds every coordinate with |z| ≤ skin (|x| + c) there */
    Place *place; /* (LEVELS) */
    double *turn, *shift; /* (Q) bounds of how far R_r and b_r get from where the list was made, over [0, horizon] */
    double *rest_turn, *rest_shift; /* (Q) what orders from the second on have in that */
    double *step_turn, *step_shift; /* (Q) the same bounds over the step alone */
    Entry *pool; /* (room) level 0 is the shortest list; the longest comes first */
    double *z; /* (room) coordinates when the list was made */
    int64_t *hit; /* (room) pool entries that can reach zero on [0, horizon] */
    Line *line; /* (room) of these */
} NeighborLists;

typedef struct {
    Accuracy accuracy;
    State state;
    Loop loop;
    Points points;
    Moments moments;
    Taylor taylor;
    LayerWork work;
    LayerPins pins;
    NeighborLists near;
    EventLog log;
    Samples samples;
    double crossing; /* when what layer_first_crossing has found takes place */
    int64_t foreign; /* crossings of foreign coordinates in the step that is looked at */
} Layer;

/* What a crossing search returns that found nothing; that needs longer neighbor lists. */
enum { NO_CROSSING = -1, LISTS_FULL = -2 };

/* Expand the solution about the state, to be accurate over `reach`; return how far it is (-1.0: not finite). */
EXPORT double layer_expand(Layer *layer, double reach);
/* Return the hit that is the first own coordinate to leave its side on [0, h], looking on [0, soon] first. */
EXPORT int64_t layer_first_crossing(Layer *layer, double h, double soon);
/* Return how many times foreign coordinates cross on [0, t]; the log has times, and list entries in place of points. */
EXPORT int64_t layer_foreign_crossings(Layer *layer, double t);
/* Let the state be that at t of its series. */
EXPORT void layer_advance(Layer *layer, double t);
/* Take steps in which one coordinate goes through, see step_many.c; return their number. */
EXPORT int64_t layer_step_many(Layer *layer);
/* Sum the moments from scratch. */
EXPORT void layer_sum_moments(Layer *layer);
/* Let these coordinates of own points count as untruncated (sign 1.0), or no longer (-1.0), in the moments. */
EXPORT void layer_count_points(Layer *layer, const int64_t *point, const int64_t *row, int64_t count, double sign);

/* Degree d of the moments along a step over many crossings. */
enum { DEGREE = 4 };

/* A step over many crossings, and the moments along it. */
typedef struct {
    int64_t dim, room;
    double length; /* of the step */
    double inside; /* what the trajectory is off by inside it */
    int64_t crossings, candidates, sweeps, evaluations;
    double *m; /* (d+2, Q, Q+1) coefficients of the moments m in powers of s/h; the last are the next Legendre ones */
    double *M; /* (d+2, Q, Q, Q+1) the same of M */
    double *q; /* (P+1, Q) coefficients of R ỹ */
    double *m_rate, *M_rate; /* (Q, Q+1), (Q, Q, Q+1) how fast the moments changed over the last step */
    double *before; /* (2, Q, Q+1) state at the middle and at the end, by the sweep before */
    double *time; /* (room) when each crossing takes place */
    int64_t *entry; /* (room) its entry in the pool */
    int8_t *side; /* (room) the side after it */
    double *bucket; /* (BUCKET, Q+1, padded to fours) room to work */
    int64_t *waiting; /* (Q, BUCKET + 1) the same */
} Batch;

/* Crossings that are added to the moments together. */
enum { BUCKET = 16 };

/* What a step over many crossings came to: the lists, or that of crossings, need more room; no agreement. */
enum { DONE, NEEDS_LISTS, NEEDS_CROSSINGS, ASTRAY };

/* Take one step of at most batch.length, which becomes its length; return what it came to, see batch_steps.c. */
EXPORT int64_t layer_batch_step(Layer *layer, Batch *batch);

/* ---- `general` --------------------------------------------------------------------------------------------------- */

typedef struct {
    int64_t size;
    double *x; /* (M, Q) */
    double *length; /* (M) |x| */
    double *weight; /* (M) share of their cluster */
    double *inputs; /* (M) how many training inputs each stands for */
    double *target; /* (M, Q) ỹ of each */
    int64_t *label; /* (M) its cluster */
    double *noise; /* (M) rounding error of its coordinates */
    int8_t *pattern; /* (M, L, Q) */
    int32_t *code; /* (M, L, Q) the same, with FIRST_PIN + k for pin k */
    int64_t *region; /* (M) which activation region each is in */
} NetworkPoints;

enum { FIRST_PIN = 2 };

/* The activation regions, in the order of their codes, with room for more; K columns a node (frame), see regions.c. */
typedef struct {
    int64_t room, count, frame;
    int64_t width; /* columns of all nodes: how far rows of Columns lie apart */
    int64_t updates, most_updates; /* rank-one updates since all was summed; after so many, it is summed anew */
    int64_t *root; /* (room) which root each hangs under: 0, or its point if points are not taken together */
    int32_t *code; /* (room, L, Q) */
    int64_t *points; /* (room) how many points each has */
    double *S; /* (K, K, room) */
    double *Y; /* (Q, K, room) */
    double *truncated; /* (L, Q) training inputs that are truncated, or pinned, in each coordinate */
} Regions;

/* A pinned coordinate of a node. */
typedef struct { int64_t depth, node, row, pin; } HeldEntry;

/* The nodes above the regions, for depths 0 (roots) to L (regions). */
typedef struct {
    int64_t room, held_room, held_count;
    int64_t *nodes; /* (L+1) how many */
    int64_t *first; /* (L+2) where the columns of each depth begin */
    int64_t *above; /* (L+1, room) which node of the depth before each hangs under */
    int64_t *node; /* (L+1, room) which node each region hangs under */
    double *open; /* (L+1, Q, room) 1.0 where a coordinate of the layer before is untruncated, else 0.0 */
    HeldEntry *held; /* (held_room) the deepest first */
} RegionTree;

/* Ω (P+1, L, Q, Q) and c (P+1, L, Q); M_ℓ and R_ℓᵀ (P+1, links, Q, Q), with max(L−1, 1) links. */
typedef struct {
    int64_t links;
    double *Om, *c, *M, *Rt;
} Field;

/* The series of all columns of nodes: entry (n, r, c) is at [(n * dim + r) * width + c]. */
typedef struct {
    int64_t work_row, X_row;
    double *Z, *H; /* z_ℓ as the nodes of depth ℓ have it, and H_ℓ z_ℓ − b_ℓ */
    double *T, *V; /* T_ℓ of the nodes of depth ℓ, and V_ℓ */
    double *pinned; /* (P+1, held_count, K) the rows λ T_r of the coordinates in RegionTree.held */
    double *work; /* (Q, work_row), and in any case 2 Q² numbers */
    double *X; /* (Q, X_row) what the columns of the roots are images of */
    double *z; /* (L, Q) room for the coordinates of one point */
} Columns;

typedef struct { int64_t point, layer, row; } Surface;

/* The pinned surfaces of the network, k of them (size), each by one of its points. */
typedef struct {
    int64_t size;
    Surface *surface; /* (k) */
    double *lam; /* (P+1, k) series of the weights */
    double *inverse; /* (k, k) pseudo-inverse of ∂ż/∂λ */
    double *z; /* (P+1, k, L, Q) series of the points' coordinates */
} NetworkPins;

/* How far a layer has gone, up to where bounds are listed, how far it gets over the present step at most, and what of
   that the orders from the second on contribute, in the linear and the affine part. */
typedef struct { double gone, horizon, ahead, rest_turn, rest_shift; } Way;

typedef struct { int64_t layer, point; } Hit;

/* Lower bounds of when a coordinate of each point can leave its side, in each layer, see event_bounds.c. */
typedef struct {
    double kappa, slack; /* κ, and the rounding error of a way */
    int64_t hits;
    double *due; /* (L, M) */
    int64_t *soon; /* (L, M) the points whose bounds are up to the horizon, in order */
    int64_t *size; /* (L) how many those are */
    Way *way; /* (L) */
    double *speed; /* (P+1, L, 2) bounds of each order's coefficients, of the linear and the affine part */
    Hit *hit; /* (L M) those that the step may bring to zero */
    Line *line; /* (L M, Q) of their coordinates */
} EventBounds;

typedef struct {
    int64_t layers, dim;
    Accuracy accuracy;
    State state;
    Loop loop;
    NetworkPoints points;
    Regions regions;
    RegionTree tree;
    Taylor taylor;
    Field field;
    Columns columns;
    NetworkPins pins;
    EventBounds bounds;
    EventLog log;
    Samples samples;
    double crossing; /* when what network_first_crossing has found takes place */
} Network;

/* Columns by which a row is longer than it has to be: rows 4 KiB apart would share one place in the cache. */
enum { PADDING = 8 };

/* Expand the solution about the state, to be accurate over `reach`; return how far it is (-1.0: not finite). */
EXPORT double network_expand(Network *net, double reach);
/* Return hit Q + r of the first coordinate to leave its side on [0, h], looking on [0, soon] first. */
EXPORT int64_t network_first_crossing(Network *net, double h, double soon);
/* Let the state be that at t of its series. */
EXPORT void network_advance(Network *net, double t);
/* Take steps in which one coordinate goes through, see step_many.c; return their number. */
EXPORT int64_t network_step_many(Network *net);
/* Find the regions of all points, and sum those up from scratch. */
EXPORT void network_gather(Network *net);
/* Take these points out of their regions (enter 0), or put them into those of their codes (1). */
EXPORT void network_move(Network *net, const int64_t *point, int64_t count, int64_t enter);
/* Fill order 0 of c and Ω. */
EXPORT void network_field(Network *net);

/* ---- both -------------------------------------------------------------------------------------------------------- */

/* Make R (L, Q, Q) orthogonal to rounding; `scratch` has room for (Q, Q) twice. */
EXPORT void orthonormalise_all(double *R, int64_t layers, int64_t dim, double *scratch);
/* Fill R, b, beta and energy of the samples with the states at times samples.s of the series. */
EXPORT void evaluate_states(const Taylor *taylor, Samples *samples, double *scratch);
/* Fill the losses of the samples from their R and b: of the layer's cluster (3.18), of each cluster (2.26). */
EXPORT void layer_losses(const Points *points, double total, Samples *samples);
EXPORT void network_losses(const NetworkPoints *points, int64_t layers, int64_t dim, Samples *samples);
/* Return when a polynomial leaves its side on [0, h], -1.0 if it does not; see polynomial.c. size ≤ MOST_TERMS. */
EXPORT double first_exit(const double *c, int64_t size, double h, double noise);
/* Return whether the processor can run what this library was compiled to. */
EXPORT int suits_processor(void);
/* Return the digest of the source that was compiled. */
EXPORT const char *source_stamp(void);
