/* CONV_3 forward by Winograd's algorithm (winograd.c), behind the calls of engine.h. */
#ifndef TWINSEG_ENGINE_WINOGRAD_H
#define TWINSEG_ENGINE_WINOGRAD_H

#include "engine/convolve.h"

/* Whether a layer that asks for it gets it: from 16 channels on, where the transforms are the small
 * part; to 256 outputs, because what is wider has too few tiles; and where the target does not
 * multiply pairs of bf16 instead. */
bool winograd_used(const engine *e, const conv *c);

size_t winograd_packed_bytes(const engine *e, const conv *c);
void winograd_pack(engine *e, const conv *c, const float *weight, float *packed);
size_t winograd_scratch(const engine *e, const conv *c, const tensor *x);
void winograd_forward(engine *e, const conv *c, conv_inputs x, const float *packed,
                      const float *bias, const tensor *y, float *moments, void *scratch);

#endif
