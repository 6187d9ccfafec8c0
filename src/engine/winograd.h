/* CONV_3 by Winograd's algorithm (winograd.c), behind the calls of engine.h. */
#ifndef TWINSEG_ENGINE_WINOGRAD_H
#define TWINSEG_ENGINE_WINOGRAD_H

#include "engine/kernels.h"

/* Whether a pass of a layer with conv.winograd takes it: forward and data gradient, where its
 * widths make it faster and the target does not multiply pairs of bf16 instead. */
bool winograd_used(const engine *e, const conv *c, conv_pass pass);

size_t winograd_packed_bytes(const engine *e, const conv *c);
void winograd_pack(engine *e, const conv *c, const float *weight, float *packed);
size_t winograd_scratch(const engine *e, const conv *c, const tensor *x, conv_pass pass);
void winograd_forward(engine *e, const conv *c, conv_inputs x, const float *packed,
                      const float *bias, const tensor *y, float *moments, void *scratch);
/* Of one side of the input. */
void winograd_data_gradient(engine *e, const conv *c, int side, const float *weight,
                            const tensor *dy, const tensor *dx, bool add, void *scratch);

#endif
