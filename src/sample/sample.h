/* sample: preprocessed cases in, batches of augmented patches out, from threads beside the training
 * step. A batch is a function of (plan, cases, seed, step) alone. */
#ifndef TWINSEG_SAMPLE_H
#define TWINSEG_SAMPLE_H

#include "dataset/dataset.h"

/* images [N][MODALITIES][D][H][W], labels [N][D][H][W] 0..3. */
typedef struct {
    int64_t step;
    float *images;
    uint8_t *labels;
} batch;

/* Makes the batch of one step into caller's memory, on the caller's thread (tests, and the
 * loader's own work). */
ts_status sample_batch(const plan *p, const preprocessed *cases, size_t count, int64_t step,
                       batch *out, ts_error *error);

/* A loader keeps `ahead` batches ready from step `first` on, made by `threads` threads. */
typedef struct loader loader;
ts_status loader_create(const plan *p, const preprocessed *cases, size_t count, int64_t first,
                        int threads, int ahead, loader **out, ts_error *error);
/* The next step's batch, waiting for it if need be; valid until the next call.
 * *waited_seconds (may be NULL) says how long the caller waited. */
ts_status loader_next(loader *l, const batch **out, double *waited_seconds, ts_error *error);
void loader_destroy(loader *l);

#endif
