/* Small convolutions of stride 2 and transposed ones, forward and their data gradients (strided.c).
 *
 * The smaller of a layer's two tensors, `half`, is walked in runs of at most RUN voxels, row behind
 * row, without pads. Of each run a task copies what its products read into a *panel* in memory of
 * its thread: a row of RUN_STRIDE values for each term. A product then is a matrix product of
 * aligned rows, without the pads' part, and its sums go to the tensors row by row.
 *
 * Where rows are long, splitting whole chunks (sweep.h, spread.h) reads and writes memory in longer
 * streams and is faster: 16 voxels and more. */
#ifndef TWINSEG_ENGINE_STRIDED_H
#define TWINSEG_ENGINE_STRIDED_H

#include "engine/kernels.h"

/* A layer's pass: sums for the voxels of half (stride 2 forward, data gradient of a transposed
 * layer: one product), or for their eight phases (transposed forward: one product with a channel
 * for each phase; data gradient of stride 2: a product for each phase). All memory is the
 * caller's. */
typedef struct {
    engine *e;
    const tensor *half, *whole;
    panel_kind read;
    int products; /* 1 or 8 */
    /* Rows of the panel that are a product's terms; NULL: all, in their order. */
    const int32_t *row[8];
    int64_t terms[8]; /* rows of a product, weights_of_term for each term */
    const float *packed[8];
    const float *bias; /* of each product's channels, in whole tiles */
    int64_t channels;  /* of the tensor that is computed */
    bool add;
    double *partial; /* [n][chunks][channels] of voxels, sum, squares for moments; or NULL */
    int64_t chunk;   /* of the sums for moments (sweep.h) */
    float *local;    /* [threads][local_count] */
    int64_t local_count;
} strided;

bool strided_used(const tensor *half);
void strided_run(const strided *s);

/* Elements of a thread's memory. */
int64_t strided_local(const engine *e, panel_kind read, int64_t units, int64_t channels);

#endif
