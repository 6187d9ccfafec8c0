/* The convolutions' doors: shapes, packing, scratch. */
#include "engine/layout.h"

#include <assert.h>

tensor conv_output(const engine *e, const conv *c, const tensor *x)
{
    switch (c->kind) {
    case CONV_3_2:
        return tensor_describe(e, x->n, c->out, (x->d + 1) / 2, (x->h + 1) / 2, (x->w + 1) / 2);
    case CONV_UP:
        return tensor_describe(e, x->n, c->out, x->d * 2, x->h * 2, x->w * 2);
    default:
        return tensor_describe(e, x->n, c->out, x->d, x->h, x->w);
    }
}

static int64_t weight_count(const conv *c)
{
    return (c->in[0] + c->in[1]) * c->out * (c->kind == CONV_UP ? 8 : 27);
}

double conv_flops(const conv *c, const tensor *x)
{
    const double taps = c->kind == CONV_UP ? 8 : 27;
    double positions = (double)(x->n * x->d * x->h * x->w);
    if (c->kind == CONV_3_2)
        positions = (double)(x->n * ((x->d + 1) / 2) * ((x->h + 1) / 2) * ((x->w + 1) / 2));
    return 2 * positions * taps * (double)((c->in[0] + c->in[1]) * c->out);
}

size_t conv_packed_bytes(const engine *e, const conv *c)
{
    (void)e;
    return (size_t)weight_count(c) * sizeof(float);
}

void conv_pack(engine *e, const conv *c, const float *weight, void *packed)
{
    memcpy(packed, weight, conv_packed_bytes(e, c));
}

size_t conv_scratch_bytes(const engine *e, const conv *c, const tensor *x, conv_pass pass)
{
    (void)e, (void)c, (void)x, (void)pass;
    return 0;
}

void conv_forward(engine *e, const conv *c, conv_inputs x, const void *packed, const float *bias,
                  const tensor *y, float *moments, void *scratch)
{
    (void)scratch;
    ref_conv_forward(e, c, x, packed, bias, y, moments);
}

void conv_data_gradient(engine *e, const conv *c, const float *weight, const tensor *dy,
                        conv_inputs dx, const bool add[2], void *scratch)
{
    (void)scratch;
    ref_conv_data_gradient(e, c, weight, dy, dx, add);
}

void conv_weight_gradient(engine *e, const conv *c, conv_inputs x, const tensor *dy, float *dweight,
                          float *dbias, void *scratch)
{
    (void)scratch;
    ref_conv_weight_gradient(e, c, x, dy, dweight, dbias);
}
