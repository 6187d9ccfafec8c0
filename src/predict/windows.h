/* windows (private to predict/): where windows stand and how much each of their voxels counts. */
#ifndef TWINSEG_PREDICT_WINDOWS_H
#define TWINSEG_PREDICT_WINDOWS_H

#include "base/base.h"

/* How many windows an axis of `size` voxels takes, each `patch` long, at most step * patch
 * apart. */
int64_t window_count(int64_t size, int64_t patch, double step);

/* Where window `index` of that axis begins: evenly spread and rounded, the last one ending with the
 * axis. An axis shorter than the patch has one window, which begins before it (padding on both
 * sides, the odd voxel behind). */
int64_t window_begin(int64_t size, int64_t patch, double step, int64_t index);

/* importance [d][h][w]: a Gaussian about voxel patch / 2 of each axis, sigma patch / 8, maximum
 * 1. */
void window_importance(const int64_t patch[3], float *importance);

#endif
