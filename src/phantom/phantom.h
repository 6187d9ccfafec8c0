/* phantom: a physics-based cohort written as a BraTS folder; every case different. docs/phantom.md
 * names the sources of each tissue figure. */
#ifndef TWINSEG_PHANTOM_H
#define TWINSEG_PHANTOM_H

#include "base/base.h"

typedef enum { PHANTOM_BRATS2021, PHANTOM_BRATS2023, PHANTOM_MSD } phantom_layout;

/* shape x y z; spacing 240/shape[0] mm, so that a small phantom is a whole head at coarse voxels.
 * Case k depends on (seed, k, shape) alone. */
ts_status phantom_write(const char *out, int64_t cases, uint64_t seed, const int64_t shape[3],
                        phantom_layout layout, pool *p, ts_error *error);

#endif
