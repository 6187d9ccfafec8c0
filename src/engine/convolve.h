/* What the convolutions' files share: terms, packed weights, the sweep over positions, phases. */
#ifndef TWINSEG_ENGINE_CONVOLVE_H
#define TWINSEG_ENGINE_CONVOLVE_H

#include "engine/kernels.h"

/* Pieces of the caller's scratch, one behind the other, each at a multiple of 64 bytes. With
 * base NULL it only counts. */
typedef struct {
    char *base;
    size_t used;
} scratch_pieces;
void *scratch_take(scratch_pieces *s, size_t count, size_t size);

/* Distance from a position to its neighbour at tap 0..26 of a 3x3x3 kernel. */
int64_t tap_distance(const tensor *t, int tap);

/* Which master weight stands at (term, half of its unit, output channel) of a product:
 * weight[term_at[term * halves + half] + channel_at[channel]], or 0 where either is negative. */
typedef struct {
    int64_t terms, channels;
    int64_t *term_at, *channel_at;
} weight_map;

/* Floats of packed weights. */
int64_t packed_count(const engine *e, int64_t terms, int64_t channels);
void pack_weights(engine *e, const weight_map *map, const float *weight, float *packed);

/* A product over all positions of a tensor: one sample after the other, chunk by chunk. */
typedef struct {
    engine *e;
    const tensor *out;
    int64_t channel, channels;   /* of out; those written */
    const uint32_t *const *term; /* [n][terms] */
    int64_t terms;
    const float *packed, *bias;
    bool add;
    double *partial; /* [n][chunks][channels][2]: sum and squares for moments; NULL: not wanted */
} sweep;
void sweep_run(const sweep *s);
int64_t sweep_chunks(const tensor *out);

int64_t units_of(const engine *e, int64_t channels);
size_t weight_gradient_scratch(const engine *e, const conv *c, const tensor *x);

/* Phases: the eight half-resolution volumes that an input of even and odd positions falls into.
 * Unit u of x becomes units 8u + 4 pz + 2 py + px of p, shaped (1, 8 units, d', h', w'), where
 * voxel (z, y, x) of phase (pz, py, px) is voxel (2z + pz, 2y + py, 2x + px), zero beyond x. */
tensor phases_describe(const engine *e, int64_t units, int64_t d, int64_t h, int64_t w);
void phases_split(engine *e, const tensor *x, int64_t n, const tensor *p);
/* The way back, into sample n of x; add: onto what it holds. */
void phases_merge(engine *e, const tensor *p, const tensor *x, int64_t n, bool add);
/* Tap 0..26 of a stride-2 convolution reads phase *phase at *distance. */
void stride_tap(const tensor *p, int tap, int *phase, int64_t *distance);

/* [n][c][2] of mean and 1/sqrt(variance + epsilon) out of a sweep's partial sums. */
void moments_finish(const tensor *y, const double *partial, float *moments);

#endif
