/* One iteration (docs/method.md, "One iteration"): the same batch through teacher and student, deep
 * supervision for both, Barlow Twins between their latents (and softened labels, where set), one
 * optimiser step for each network that learns. */
#ifndef TWINSEG_TRAIN_ITERATION_H
#define TWINSEG_TRAIN_ITERATION_H

#include "net/net.h"
#include "sample/sample.h"
#include "train/checkpoint.h"
#include "train/method.h"

typedef struct trainer trainer;

/* Networks with their initial weights, optimiser state 0. Memory is taken here once and for all. */
ts_status trainer_create(const plan *p, trainer **out, ts_error *error);
void trainer_destroy(trainer *t);

/* NAN where the network does not learn at this step, or the weight of the loss is 0. The teacher
 * does not learn from patches that lack modalities, nor has the student a distillation loss there
 * (unless partial_teacher is set). */
typedef struct {
    double learning_rate;
    double loss[ROLES]; /* of the segmentation, heads weighted */
    double barlow;      /* before its weight */
    double soft;        /* of the softened labels, before its weight */
    double norm[ROLES]; /* of the gradient, before clipping */
} step_result;

/* One step of the run, counted from 0. A loss or gradient that is not finite is an error
 * (TS_BAD_INPUT), and then no weight has changed. */
ts_status trainer_step(trainer *t, const batch *b, int64_t step, step_result *out, ts_error *error);

bool trainer_has(const trainer *t, int role);
modality_set trainer_channels(const trainer *t, int role);
net *trainer_net(const trainer *t, int role);
pool *trainer_pool(const trainer *t);
const char *trainer_target(const trainer *t); /* of the kernels: engine_target */

/* Forward pass only, for validation: logits [N][classes][D][H][W] at full resolution, valid until
 * the next call. The batch's step says which modalities a student of any subset sees. */
ts_status trainer_forward(trainer *t, int role, const batch *b, const float **logits,
                          ts_error *error);

/* Weights trained before take the place of the network's own; the teacher's moving average begins
 * with them too. */
ts_status trainer_set_weights(trainer *t, int role, const float *weights, int64_t count,
                              ts_error *error);

/* The state as parts of a checkpoint, at most TRAINER_PARTS; values are the trainer's own memory.
 * After reading into them call trainer_restored with the complete steps of then. */
enum { TRAINER_PARTS = 8 };
size_t trainer_state(trainer *t, checkpoint_part parts[TRAINER_PARTS]);
void trainer_restored(trainer *t, int64_t complete_steps);
/* Steps of the schedule so far at which the teacher learned, or would have: those whose patches had
 * all modalities (with partial_teacher all). */
int64_t trainer_complete_steps(const trainer *t);

#endif
