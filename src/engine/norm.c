/* Instance norm with leaky ReLU, and the heads. */
#include "engine/layout.h"

void norm_forward(engine *e, const tensor *y, const float *moments, const float *gamma,
                  const float *beta, const tensor *a)
{
    ref_norm_forward(e, y, moments, gamma, beta, a);
}

void norm_backward(engine *e, const tensor *y, const float *moments, const float *gamma,
                   const float *beta, const tensor *da, const tensor *dy, float *dgamma,
                   float *dbeta)
{
    ref_norm_backward(e, y, moments, gamma, beta, da, dy, dgamma, dbeta);
}

void head_forward(engine *e, const tensor *a, const float *weight, const float *bias,
                  int64_t classes, float *logits)
{
    ref_head_forward(e, a, weight, bias, classes, logits);
}

void head_data_gradient(engine *e, const float *dlogits, const float *weight, int64_t classes,
                        const tensor *da, bool add)
{
    ref_head_data_gradient(e, dlogits, weight, classes, da, add);
}

void head_weight_gradient(engine *e, const tensor *a, const float *dlogits, int64_t classes,
                          float *dweight, float *dbias)
{
    ref_head_weight_gradient(e, a, dlogits, classes, dweight, dbias);
}
