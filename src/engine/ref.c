/* The reference: every operation as the loop nest of its definition, sums in double. Slow on
 * purpose; what the other targets are tested against. */
#include "engine/ref.h"

#include <math.h>

static float get(const tensor *t, int64_t n, int64_t c, int64_t z, int64_t y, int64_t x)
{
    if (z < 0 || y < 0 || x < 0 || z >= t->d || y >= t->h || x >= t->w)
        return 0;
    return unit_get(tensor_unit(t, n, c / CHANNELS_PER_UNIT(t->dtype)), t->dtype, c,
                    z * t->plane + y * t->row + x);
}

static void set(const tensor *t, int64_t n, int64_t c, int64_t z, int64_t y, int64_t x, float v)
{
    unit_set(tensor_unit(t, n, c / CHANNELS_PER_UNIT(t->dtype)), t->dtype, c,
             z * t->plane + y * t->row + x, v);
}

#define FOR_VOXELS(t)                                                                              \
    for (int64_t z = 0; z < (t)->d; z++)                                                           \
        for (int64_t y = 0; y < (t)->h; y++)                                                       \
            for (int64_t x = 0; x < (t)->w; x++)

/* What one convolution task needs; a task computes one unit's channels of one sample, or one
 * output channel's weights. */
typedef struct {
    const conv *c;
    const tensor *x[2], *y;
    const float *weight, *bias;
    float *moments, *dweight, *dbias;
    int side;
    bool add;
} job;

static int kernel_size(const conv *c)
{
    return c->kind == CONV_UP ? 2 : 3;
}

static int64_t inputs(const conv *c)
{
    return c->in[0] + c->in[1];
}

/* The weight that connects input channel i and output channel o at tap k. */
static int64_t weight_index(const conv *c, int64_t i, int64_t o, int kz, int ky, int kx)
{
    const int k = kernel_size(c);
    const int64_t pair = c->kind == CONV_UP ? i * c->out + o : o * inputs(c) + i;
    return ((pair * k + kz) * k + ky) * k + kx;
}

/* Input channel i of the concatenation at a voxel. */
static float get_input(const job *j, int64_t n, int64_t i, int64_t z, int64_t y, int64_t x)
{
    const int64_t first = j->c->in[0];
    return i < first ? get(j->x[0], n, i, z, y, x) : get(j->x[1], n, i - first, z, y, x);
}

static void store_moments(const job *j, int64_t n, int64_t o)
{
    const tensor *t = j->y;
    const double count = (double)(t->d * t->h * t->w);
    double mean = 0, variance = 0;
    FOR_VOXELS(t) mean += get(t, n, o, z, y, x);
    mean /= count;
    FOR_VOXELS(t)
    {
        const double difference = get(t, n, o, z, y, x) - mean;
        variance += difference * difference;
    }
    j->moments[(n * t->c + o) * 2] = (float)mean;
    j->moments[(n * t->c + o) * 2 + 1] = (float)(1 / sqrt(variance / count + NORM_EPSILON));
}

/* The value of output channel o: sum over input channels and taps. */
static double forward_value(const job *j, int64_t n, int64_t o, int64_t z, int64_t y, int64_t x)
{
    const conv *c = j->c;
    double sum = j->bias[o];
    for (int64_t i = 0; i < inputs(c); i++) {
        if (c->kind == CONV_UP) {
            sum += (double)j->weight[weight_index(c, i, o, z & 1, y & 1, x & 1)] *
                   get_input(j, n, i, z / 2, y / 2, x / 2);
            continue;
        }
        const int stride = c->kind == CONV_3_2 ? 2 : 1;
        for (int k = 0; k < 27; k++)
            sum += (double)j->weight[weight_index(c, i, o, k / 9, k / 3 % 3, k % 3)] *
                   get_input(j, n, i, z * stride + k / 9 - 1, y * stride + k / 3 % 3 - 1,
                             x * stride + k % 3 - 1);
    }
    return sum;
}

static void forward_unit(void *context, int64_t index, int thread)
{
    (void)thread;
    const job *j = context;
    const int64_t units = tensor_units(j->y), n = index / units;
    const int per = CHANNELS_PER_UNIT(j->y->dtype);
    for (int64_t o = index % units * per; o < (index % units + 1) * per && o < j->y->c; o++) {
        FOR_VOXELS(j->y) set(j->y, n, o, z, y, x, (float)forward_value(j, n, o, z, y, x));
        if (j->moments)
            store_moments(j, n, o);
    }
}

void ref_conv_forward(engine *e, const conv *c, conv_inputs x, const void *packed,
                      const float *bias, const tensor *y, float *moments)
{
    job j = {.c = c, .x = {x[0], x[1]}, .y = y, .weight = packed, .bias = bias, .moments = moments};
    memset(y->data, 0, tensor_bytes(y));
    pool_run(e->threads, forward_unit, &j, y->n * tensor_units(y));
}

/* Calls for every output voxel and tap that input voxel (z, y, x) takes part in: output position
 * p with 2 or 1 times p + tap - 1 == voxel (convolution), or 2 voxel + tap (transposed). */
static double data_value(const job *j, int64_t n, int64_t i, int64_t z, int64_t y, int64_t x)
{
    const conv *c = j->c;
    const int k = kernel_size(c), stride = c->kind == CONV_3_2 ? 2 : 1;
    double sum = 0;
    for (int t = 0; t < k * k * k; t++) {
        const int kz = t / (k * k), ky = t / k % k, kx = t % k;
        int64_t pz = 2 * z + kz, py = 2 * y + ky, px = 2 * x + kx;
        if (c->kind != CONV_UP) {
            pz = z + 1 - kz, py = y + 1 - ky, px = x + 1 - kx;
            if (pz % stride || py % stride || px % stride)
                continue;
            pz /= stride, py /= stride, px /= stride;
        }
        for (int64_t o = 0; o < c->out; o++)
            sum +=
                (double)j->weight[weight_index(c, i, o, kz, ky, kx)] * get(j->y, n, o, pz, py, px);
    }
    return sum;
}

static void data_gradient_unit(void *context, int64_t index, int thread)
{
    (void)thread;
    const job *j = context;
    const tensor *dx = j->x[j->side];
    const int64_t units = tensor_units(dx), n = index / units;
    const int64_t first = j->side ? j->c->in[0] : 0;
    const int per = CHANNELS_PER_UNIT(dx->dtype);
    for (int64_t i = index % units * per; i < (index % units + 1) * per && i < dx->c; i++)
        FOR_VOXELS(dx)
        {
            const double old = j->add ? get(dx, n, i, z, y, x) : 0;
            set(dx, n, i, z, y, x, (float)(old + data_value(j, n, first + i, z, y, x)));
        }
}

void ref_conv_data_gradient(engine *e, const conv *c, const float *weight, const tensor *dy,
                            conv_inputs dx, const bool add[2])
{
    job j = {.c = c, .x = {dx[0], dx[1]}, .y = dy, .weight = weight};
    for (j.side = 0; j.side < 2; j.side++) {
        if (!dx[j.side])
            continue;
        j.add = add[j.side];
        if (!j.add)
            memset(dx[j.side]->data, 0, tensor_bytes(dx[j.side]));
        pool_run(e->threads, data_gradient_unit, &j, dx[j.side]->n * tensor_units(dx[j.side]));
    }
}

static double weight_value(const job *j, int64_t i, int64_t o, int kz, int ky, int kx)
{
    const int stride = j->c->kind == CONV_3_2 ? 2 : 1;
    double sum = 0;
    for (int64_t n = 0; n < j->y->n; n++) {
        if (j->c->kind == CONV_UP) {
            FOR_VOXELS(j->x[0])
            sum += (double)get_input(j, n, i, z, y, x) *
                   get(j->y, n, o, 2 * z + kz, 2 * y + ky, 2 * x + kx);
            continue;
        }
        FOR_VOXELS(j->y)
        sum += (double)get(j->y, n, o, z, y, x) *
               get_input(j, n, i, z * stride + kz - 1, y * stride + ky - 1, x * stride + kx - 1);
    }
    return sum;
}

static void weight_gradient_channel(void *context, int64_t o, int thread)
{
    (void)thread;
    const job *j = context;
    const int k = kernel_size(j->c);
    for (int64_t i = 0; i < inputs(j->c); i++)
        for (int t = 0; t < k * k * k; t++) {
            const int kz = t / (k * k), ky = t / k % k, kx = t % k;
            j->dweight[weight_index(j->c, i, o, kz, ky, kx)] =
                (float)weight_value(j, i, o, kz, ky, kx);
        }
    double sum = 0;
    for (int64_t n = 0; n < j->y->n; n++)
        FOR_VOXELS(j->y) sum += get(j->y, n, o, z, y, x);
    j->dbias[o] = (float)sum;
}

void ref_conv_weight_gradient(engine *e, const conv *c, conv_inputs x, const tensor *dy,
                              float *dweight, float *dbias)
{
    job j = {.c = c, .x = {x[0], x[1]}, .y = dy, .dweight = dweight, .dbias = dbias};
    pool_run(e->threads, weight_gradient_channel, &j, c->out);
}

/* ---- norm ------------------------------------------------------------------------------ */

void ref_norm_forward(engine *e, const tensor *y, const float *moments, const float *gamma,
                      const float *beta, const tensor *a)
{
    (void)e;
    if (a->data != y->data)
        memset(a->data, 0, tensor_bytes(a));
    const tensor *in = y;
    for (int64_t n = 0; n < in->n; n++)
        for (int64_t c = 0; c < in->c; c++) {
            const float mean = moments[(n * in->c + c) * 2],
                        rstd = moments[(n * in->c + c) * 2 + 1];
            for (int64_t z = 0; z < in->d; z++)
                for (int64_t r = 0; r < in->h; r++)
                    for (int64_t x = 0; x < in->w; x++) {
                        const float v =
                            gamma[c] * ((get(in, n, c, z, r, x) - mean) * rstd) + beta[c];
                        set(a, n, c, z, r, x, v > 0 ? v : LEAKY_SLOPE * v);
                    }
        }
}

/* g: gradient at the norm's output; xhat: the normalised value. Per sample and channel
 * dy = gamma rstd (g - mean(g) - xhat mean(g xhat)). */
void ref_norm_backward(engine *e, const tensor *y, const float *moments, const float *gamma,
                       const float *beta, const tensor *da, const tensor *dy, float *dgamma,
                       float *dbeta)
{
    (void)e;
    const tensor *in = y;
    if (dy->data != da->data)
        memset(dy->data, 0, tensor_bytes(dy));
    const double count = (double)(in->d * in->h * in->w);
    for (int64_t c = 0; c < in->c; c++) {
        double sum_g = 0, sum_gx = 0;
        for (int64_t n = 0; n < in->n; n++) {
            const float mean = moments[(n * in->c + c) * 2],
                        rstd = moments[(n * in->c + c) * 2 + 1];
            double g_mean = 0, gx_mean = 0;
            for (int pass = 0; pass < 2; pass++) {
                for (int64_t z = 0; z < in->d; z++)
                    for (int64_t r = 0; r < in->h; r++)
                        for (int64_t x = 0; x < in->w; x++) {
                            const double xhat = ((double)get(in, n, c, z, r, x) - mean) * rstd;
                            const double slope = gamma[c] * xhat + beta[c] > 0 ? 1 : LEAKY_SLOPE;
                            const double g = slope * get(da, n, c, z, r, x);
                            if (pass == 0) {
                                g_mean += g / count;
                                gx_mean += g * xhat / count;
                                continue;
                            }
                            set(dy, n, c, z, r, x,
                                (float)(gamma[c] * rstd * (g - g_mean - xhat * gx_mean)));
                        }
            }
            sum_g += g_mean * count;
            sum_gx += gx_mean * count;
        }
        dgamma[c] = (float)sum_gx;
        dbeta[c] = (float)sum_g;
    }
}

/* ---- heads ----------------------------------------------------------------------------- */

/* Value v of the plain array [n][classes][d][h][w]. */
static int64_t plain_index(const tensor *t, int64_t classes, int64_t n, int64_t k, int64_t z,
                           int64_t y, int64_t x)
{
    return (((n * classes + k) * t->d + z) * t->h + y) * t->w + x;
}

/* The activation of a head's input, as in ref_norm_forward. */
static float head_input(const tensor *y, const norm_parameters *norm, int64_t n, int64_t c,
                        int64_t z, int64_t row, int64_t x)
{
    const float value = get(y, n, c, z, row, x);
    if (!norm)
        return value;
    const float *moments = norm->moments + (n * y->c + c) * 2;
    const float v = norm->gamma[c] * ((value - moments[0]) * moments[1]) + norm->beta[c];
    return v > 0 ? v : LEAKY_SLOPE * v;
}

void ref_head_forward(engine *e, const tensor *a, const norm_parameters *norm, const float *weight,
                      const float *bias, int64_t classes, float *logits)
{
    (void)e;
    for (int64_t n = 0; n < a->n; n++)
        for (int64_t k = 0; k < classes; k++)
            FOR_VOXELS(a)
            {
                double sum = bias[k];
                for (int64_t c = 0; c < a->c; c++)
                    sum += (double)weight[k * a->c + c] * head_input(a, norm, n, c, z, y, x);
                logits[plain_index(a, classes, n, k, z, y, x)] = (float)sum;
            }
}

void ref_head_data_gradient(engine *e, const float *dlogits, const float *weight, int64_t classes,
                            const tensor *da, bool add)
{
    (void)e;
    if (!add)
        memset(da->data, 0, tensor_bytes(da));
    for (int64_t n = 0; n < da->n; n++)
        for (int64_t c = 0; c < da->c; c++)
            FOR_VOXELS(da)
            {
                double sum = add ? get(da, n, c, z, y, x) : 0;
                for (int64_t k = 0; k < classes; k++)
                    sum += (double)weight[k * da->c + c] *
                           dlogits[plain_index(da, classes, n, k, z, y, x)];
                set(da, n, c, z, y, x, (float)sum);
            }
}

void ref_head_weight_gradient(engine *e, const tensor *a, const norm_parameters *norm,
                              const float *dlogits, int64_t classes, float *dweight, float *dbias)
{
    (void)e;
    for (int64_t k = 0; k < classes; k++) {
        for (int64_t c = -1; c < a->c; c++) {
            double sum = 0;
            for (int64_t n = 0; n < a->n; n++)
                FOR_VOXELS(a)
            sum += (double)dlogits[plain_index(a, classes, n, k, z, y, x)] *
                   (c < 0 ? 1 : head_input(a, norm, n, c, z, y, x));
            *(c < 0 ? &dbias[k] : &dweight[k * a->c + c]) = (float)sum;
        }
    }
}
