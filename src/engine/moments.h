/* Moments of a layer's output, out of the sums of its tasks. */
#ifndef TWINSEG_ENGINE_MOMENTS_H
#define TWINSEG_ENGINE_MOMENTS_H

#include "engine/kernels.h"

/* [samples][channels][2] of mean and 1/sqrt(variance + epsilon) out of partial sums
 * [samples][tasks][channels] of voxels, sum and squared distances from the task's mean. */
void moments_join(engine *e, int64_t samples, int64_t channels, int64_t tasks,
                  const double *partial, float *moments);

#endif
