/* Models trained before, with whose weights a run begins: --from and --teacher. */
#ifndef TWINSEG_TRAIN_GIVEN_H
#define TWINSEG_TRAIN_GIVEN_H

#include "train/iteration.h"
#include "train/train.h"

/* Checks the models that a new run is given, and hands their weights to the trainer; the state then
 * says what the run begins with (two-stage with a teacher: after the first stage). Writes nothing.
 * *any: is there one? */
ts_status given_take(const plan *p, const train_options *o, trainer *t, checkpoint_state *state,
                     bool *any, ts_error *error);

/* For a run that goes on: it has weights of its own, so that a model is an error, but for the
 * teacher of two-stage, which no step changes and which must be the same. */
ts_status given_compare(const plan *p, const train_options *o, trainer *t,
                        const checkpoint_state *state, ts_error *error);

#endif
