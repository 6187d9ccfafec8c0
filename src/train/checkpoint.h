/* A checkpoint: the state of a run after some step, in one safetensors file that is complete or
 * absent. Random numbers need no state: draws are keyed by (seed, step). */
#ifndef TWINSEG_TRAIN_CHECKPOINT_H
#define TWINSEG_TRAIN_CHECKPOINT_H

#include "base/base.h"

/* A flat array of the state: "student.weights", "student.momentum", ... */
typedef struct {
    const char *name;
    float *values;
    int64_t count;
} checkpoint_part;

typedef struct {
    int64_t step;           /* finished steps */
    int64_t complete_steps; /* trainer_complete_steps; -1 in a checkpoint that does not tell: all of
                             * the schedule */
    /* Of student and teacher: the best Dice of the validations so far, -1 before the first, and the
     * fingerprint of the weights that it began with, "" where they were random. */
    double best_dice[2];
    char begun_with[2][20];
} checkpoint_state;

ts_status checkpoint_write(const char *path, const checkpoint_state *state,
                           const checkpoint_part *parts, size_t count, ts_error *error);
/* Fills the parts' values; a file whose parts differ in name or size is an error. */
ts_status checkpoint_read(const char *path, checkpoint_state *state, const checkpoint_part *parts,
                          size_t count, ts_error *error);

#endif
