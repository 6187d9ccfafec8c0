/* Where things lie in the phases of a task (kernels.h). */
#ifndef TWINSEG_ENGINE_PHASE_H
#define TWINSEG_ENGINE_PHASE_H

#include "engine/kernels.h"

/* The elements of one volume of phases that hold `positions` positions beginning anywhere in a row,
 * and one row and one element before them (phases.length). */
int64_t phases_length(const tensor *half, int64_t positions);
/* Where term t = (unit, tap) of a layer over split phases reads, for the position's own place:
 * taps 27 (stride 2) or 8 (transposed). */
const uint32_t *split_term(const phases *p, int64_t t, int taps);

#endif
