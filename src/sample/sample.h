/* sample: preprocessed cases in, batches of augmented patches out, from threads beside the training
 * step. A batch is a function of (plan, cases, seed, step) alone. */
#ifndef TWINSEG_SAMPLE_H
#define TWINSEG_SAMPLE_H

#include "dataset/dataset.h"

enum { BATCH_MAX = 64 }; /* plan's limit */

/* images [N][MODALITIES][D][H][W], labels [N][D][H][W] 0..3. present: the modalities that a patch's
 * case has, images of the others are 0; nothing set, as in a batch that is made by hand, means all
 * four. */
typedef struct {
    int64_t step;
    float *images;
    uint8_t *labels;
    uint8_t present[BATCH_MAX];
} batch;

modality_set batch_present(const batch *b, int64_t patch);

/* Makes the batch of one step into caller's memory, on the caller's thread (tests, and the
 * loader's own work).
 *
 * A step's patches are all of cases with four modalities or all of cases that lack some, by a draw
 * of the step: the teacher then learns from a whole batch or rests, and losses over the batch (Dice,
 * Barlow Twins) keep their meaning. partial_share of the steps are of the second kind, but no more
 * than there are such cases among all; where there is one kind only, every case is equally
 * likely. */
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
