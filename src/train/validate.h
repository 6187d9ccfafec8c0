/* Validation of a run by pseudo-Dice, as nnU-Net has it: over fixed patches of the held-out cases,
 * counts of all patches together. Cheap (a few steps' worth of forward passes) and good for
 * following a run; scores of whole cases are `twinseg evaluate`'s. */
#ifndef TWINSEG_TRAIN_VALIDATE_H
#define TWINSEG_TRAIN_VALIDATE_H

#include "train/iteration.h"

/* dice[role][region] of WT, TC, ET; NAN for a role that the method has not; 1 where a region is
 * neither in the truth nor predicted. */
ts_status validate(trainer *t, const plan *p, const prepared *cases, size_t count,
                   double dice[ROLES][3], ts_error *error);

#endif
