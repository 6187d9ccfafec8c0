/* What norms share: norm.c and last.c. */
#ifndef TWINSEG_ENGINE_NORM_H
#define TWINSEG_ENGINE_NORM_H

#include "engine/kernels.h"

/* The parameters of the channels of a unit. */
norm_channel norm_channel_of(const norm_parameters *norm, const tensor *y, int64_t n, int64_t unit);

#endif
