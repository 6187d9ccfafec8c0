/* Validation of a run by pseudo-Dice, as nnU-Net has it: over fixed patches of the held-out cases,
 * counts of all patches together. Cheap (a few steps' worth of forward passes) and good for
 * following a run; scores of whole cases are `twinseg evaluate`'s. */
#ifndef TWINSEG_TRAIN_VALIDATE_H
#define TWINSEG_TRAIN_VALIDATE_H

#include "train/iteration.h"

/* dice[role][region] of WT, TC, ET; NAN for a role that does not learn at this step of the run, and for
 * the teacher where no held-out case has all modalities; 1
 * where a region is neither in the truth nor predicted. A student of any subset is shown a subset a
 * patch, the same each time. */
ts_status validate(trainer *t, const plan *p, int64_t step, const preprocessed *cases, size_t count,
                   double dice[ROLES][3], ts_error *error);

#endif
