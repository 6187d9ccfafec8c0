/* ref: every operation as the loop nest of its definition (ref.c). */
#ifndef TWINSEG_ENGINE_REF_H
#define TWINSEG_ENGINE_REF_H

#include "engine/layout.h"

/* What every other target is tested against; contracts as in engine.h, without scratch. */
void ref_conv_forward(engine *e, const conv *c, conv_inputs x, const void *packed,
                      const float *bias, const tensor *y, float *moments);
void ref_conv_data_gradient(engine *e, const conv *c, const float *weight, const tensor *dy,
                            conv_inputs dx, const bool add[2]);
void ref_conv_weight_gradient(engine *e, const conv *c, conv_inputs x, const tensor *dy,
                              float *dweight, float *dbias);
void ref_norm_forward(engine *e, const tensor *y, const float *moments, const float *gamma,
                      const float *beta, const tensor *a);
void ref_norm_backward(engine *e, const tensor *y, const float *moments, const float *gamma,
                       const float *beta, const tensor *da, const tensor *dy, float *dgamma,
                       float *dbeta);
void ref_head_forward(engine *e, const tensor *y, const norm_parameters *norm, const float *weight,
                      const float *bias, int64_t classes, float *logits);
void ref_head_data_gradient(engine *e, const float *dlogits, const float *weight, int64_t classes,
                            const tensor *da, bool add);
void ref_head_weight_gradient(engine *e, const tensor *y, const norm_parameters *norm,
                              const float *dlogits, int64_t classes, float *dweight, float *dbias);

#endif
