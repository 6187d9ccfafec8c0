/* What the convolutions' files share: terms, packed weights, the sweep over positions, phases. */
#ifndef TWINSEG_ENGINE_CONVOLVE_H
#define TWINSEG_ENGINE_CONVOLVE_H

#include "engine/kernels.h"

static inline int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t round_up(int64_t n, int64_t multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

/* Pieces of the caller's scratch, one behind the other, each at a multiple of 64 bytes. With
 * base NULL it only counts. */
typedef struct {
    char *base;
    size_t used;
} scratch_pieces;
void *scratch_take(scratch_pieces *s, size_t count, size_t size);

int64_t units_of(const engine *e, int64_t channels);

/* Distance from a position to its neighbour at tap 0..26 of a 3x3x3 kernel. */
int64_t tap_distance(const tensor *t, int tap);

/* ---- packed weights -------------------------------------------------------------------- */

/* Which master weight stands at (term, half of its unit, output channel) of a product:
 * weight[term_at[term * halves + half] + channel_at[channel]], or 0 where either is negative. */
typedef struct {
    int64_t terms, channels;
    int64_t *term_at, *channel_at;
} weight_map;

/* Floats of packed weights. */
int64_t packed_count(const engine *e, int64_t terms, int64_t channels);
void pack_weights(engine *e, const weight_map *map, const float *weight, float *packed);

/* ---- phases ---------------------------------------------------------------------------- */

/* Elements of `length` that hold `positions` positions beginning anywhere in a row, and one row
 * and one element before them. */
int64_t phases_length(const tensor *half, int64_t positions);
/* Where term t = (unit, tap) of a layer over split phases reads, for the position's own place:
 * taps 27 (stride 2) or 8 (transposed). */
const uint32_t *split_term(const phases *p, int64_t t, int taps);

/* ---- sweeps ---------------------------------------------------------------------------- */

/* One product over all positions of a tensor, chunk by chunk. */
typedef struct {
    engine *e;
    const tensor *out;
    int64_t channels, terms;
    const float *packed, *bias;
    bool add;
    const uint32_t **term; /* [n][terms]; with split: [threads][terms], filled per task */
    double *partial;       /* [n][chunks][channels] of voxels, sum, squares for moments; or NULL */
    int64_t chunk;         /* positions in a task */
    /* Where terms are read from phases: the tensor that is split. */
    const tensor *split;
    int blocks;
    /* Where bf16 is widened for a task: the tensors whose taps the terms are, 27 a unit, from the
     * last on where `flipped`; term is [threads][widened_pointers]. */
    const tensor *const *widened;
    bool flipped;
    uint32_t *local; /* [threads][local_count] */
    int64_t local_count;
} sweep;

void sweep_run(const sweep *s);

/* A tensor's positions in chunks of at most `chunk`: a task computes [from, to) and clears the pads
 * of [from, next), all multiples of 16. Where a plane fills a chunk, chunks end with it and the pad
 * row behind is not computed: half of what pads cost. */
typedef struct {
    int64_t from, to, next;
} stretch;
int64_t sweep_chunks(const tensor *out, int64_t chunk);
/* Chunks of a plane that ends with its last voxel; 0 where chunks go on across planes, because a
 * plane would fill a small part of one or the pad row is shorter than what is left over. */
int64_t chunks_of_plane(const tensor *t, int64_t chunk);
stretch sweep_stretch(const tensor *out, int64_t chunk, int64_t index);
/* Positions in a task of a layer that walks `positions` in all and whose thread-local memory is
 * per_position elements; no more than `most`. */
int64_t chunk_for(int64_t per_position, int64_t positions, int64_t most);

/* What a task computes of a sweep: channels [first, end) of sample n. */
typedef struct {
    int64_t n, first, end;
    int thread;
    const uint32_t *const *ahead; /* as in a product */
    int64_t aheads;
} share;

void sweep_chunk(const sweep *s, const share *part, int64_t chunk, const uint32_t *const *term,
                 int64_t terms);

/* ---- bf16 that is computed as fp32 (widen.c) --------------------------------------------- */

bool widens(const engine *e, conv_kind kind);
/* Of a thread: elements for `units` units, and pointers. */
int64_t widened_count(const tensor *out, int64_t units, int64_t chunk);
int64_t widened_pointers(int64_t terms);
int64_t widened_tasks(const sweep *s); /* of a sample */
void widened_task(const sweep *s, const share *part, int64_t task);

/* [samples][channels][2] of mean and 1/sqrt(variance + epsilon) out of partial sums
 * [samples][tasks][channels] of voxels, sum and squared distances from the task's mean. */
void moments_join(int64_t samples, int64_t channels, int64_t tasks, const double *partial,
                  float *moments);

/* Products whose channels are phases of `whole`: one product with a channel for each phase
 * (transposed convolution), or eight, one for each phase (data gradient of stride 2). */
typedef struct {
    engine *e;
    const tensor *whole, *half;
    int products;             /* 1 or 8 */
    const uint32_t **term[8]; /* [n][terms] */
    int64_t terms[8], channels;
    const float *packed[8], *bias;
    bool add;
    int64_t rows; /* of half in a task */
    uint32_t *local;
    int64_t local_count;
} spread;

void spread_run(const spread *s);

size_t weight_gradient_scratch(const engine *e, const conv *c, const tensor *x);

#endif
