/* Weight gradients (correlate.c): conv_weight_gradient of engine.h, and its scratch. */
#ifndef TWINSEG_ENGINE_CORRELATE_H
#define TWINSEG_ENGINE_CORRELATE_H

#include "engine/kernels.h"

/* Bytes, for an input shaped as x. */
size_t weight_gradient_scratch(const engine *e, const conv *c, const tensor *x);

#endif
