/* What a method trains: which networks a run has, which of them learns at a step, which
 * distillation losses the student has beside the truth's, and which modalities it sees of a patch.
 *
 * A run is one schedule of plan.steps steps; two-stage has two, the teacher's and then the
 * student's, and both draw the same patches. */
#ifndef TWINSEG_TRAIN_METHOD_H
#define TWINSEG_TRAIN_METHOD_H

#include "plan/plan.h"

enum { STUDENT, TEACHER, ROLES };
extern const char *const role_names[ROLES]; /* "student", "teacher" */

/* Does a run of this method have the network, and which are its inputs? */
bool method_has(const plan *p, int role);
modality_set role_channels(const plan *p, int role);

/* The distillation losses: of latents, of softened labels; from a moving average of the teacher? */
bool method_has_barlow(const plan *p);
double method_soft_weight(const plan *p);
bool method_averages(const plan *p);

/* Steps of the whole run are counted from 0 to train_steps - 1; each belongs to a schedule, in
 * which it has the place method_schedule_step, and to the networks that learn at it. */
int64_t method_schedule_step(const plan *p, int64_t step);
bool method_learns(const plan *p, int role, int64_t step);

/* The modalities that the student sees of a patch whose case has those `present`; with methods over
 * subsets one of their non-empty subsets (15 of all four), with any-image one of them, all equally
 * likely, keyed by (seed, step of the schedule, place in the batch). */
modality_set method_subset(const plan *p, int64_t step, int64_t patch, modality_set present);

/* The plan by which the patches of a step of the run are drawn: where the teacher alone learns,
 * without cases that only the student learns from. */
plan method_sampling(const plan *p, int64_t step);

#endif
