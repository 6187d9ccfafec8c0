/* The sweep: one sum of terms at every position of a tensor, chunk by chunk. */
#ifndef TWINSEG_ENGINE_SWEEP_H
#define TWINSEG_ENGINE_SWEEP_H

#include "engine/kernels.h"

/* One product over all positions of `out`, chunk by chunk. All memory is the caller's. */
typedef struct {
    engine *e;
    const tensor *out;
    int64_t channels, terms;
    const float *packed, *bias; /* bias: [channels]; NULL: 0 */
    bool add;                   /* onto what out holds */
    const uint32_t **term;      /* [n][terms]; with split: [threads][terms], filled per task */
    double *partial; /* [n][chunks][channels] of voxels, sum, squares for moments; or NULL */
    int64_t chunk;   /* positions in a task */
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
/* Pads of a chunk, and (partial not NULL) partial[c] of each channel from `first` on: voxels, sum,
 * sum of squared distances from the mean. */
void finish_chunk(const engine *e, const tensor *t, const stretch *at, int64_t n, int64_t first,
                  int64_t channels, double *partial);
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

/* Computes a share of one chunk from `terms` terms, and its pads and partial moments. */
void sweep_chunk(const sweep *s, const share *part, int64_t chunk, const uint32_t *const *term,
                 int64_t terms);

#endif
