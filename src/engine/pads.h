/* The zeros around the voxels of a unit (layout.h). */
#ifndef TWINSEG_ENGINE_PADS_H
#define TWINSEG_ENGINE_PADS_H

#include "engine/layout.h"

/* Zeroes the pads among positions [from, to) of a unit shaped as t, those beyond the last plane
 * too. from == 0 also clears the lead before. */
void clear_pads(const tensor *t, uint32_t *unit, int64_t from, int64_t to);
/* The same without the lead. */
void clear_pads_within(const tensor *t, uint32_t *unit, int64_t from, int64_t to);
/* Voxels among positions [from, to). */
int64_t count_voxels(const tensor *t, int64_t from, int64_t to);
/* The lead behind the last unit, which no unit owns. */
void clear_tail(const tensor *t);

#endif
