/* Instance norm with leaky ReLU. A task is a unit (with all its samples where the affine gradients
 * add over them); sums run over chunks in their order, in double from chunk to chunk. */
#include "engine/kernels.h"
#include "engine/pads.h"
#include "engine/ref.h"

typedef struct {
    const engine *e;
    const tensor *y, *da, *out;
    const float *moments, *gamma, *beta;
    float *dgamma, *dbeta;
} job;

static norm_channel channel_of(const job *j, int64_t n, int64_t unit)
{
    norm_channel k = {0};
    const int per = CHANNELS_PER_UNIT(j->y->dtype);
    for (int i = 0; i < per; i++) {
        const int64_t c = unit * per + i;
        if (c >= j->y->c)
            break;
        k.mean[i] = j->moments[(n * j->y->c + c) * 2];
        k.rstd[i] = j->moments[(n * j->y->c + c) * 2 + 1];
        k.gamma[i] = j->gamma[c];
        k.beta[i] = j->beta[c];
    }
    return k;
}

static int64_t chunk_end(const tensor *t, int64_t from)
{
    return from + CHUNK < t->span ? from + CHUNK : t->span;
}

static void forward_unit(void *context, int64_t index, int thread)
{
    (void)thread;
    const job *j = context;
    const int64_t units = tensor_units(j->y), n = index / units, unit = index % units;
    const norm_channel k = channel_of(j, n, unit);
    const uint32_t *y = tensor_unit(j->y, n, unit);
    uint32_t *a = tensor_unit(j->out, n, unit);
    for (int64_t from = 0; from < j->y->span; from += CHUNK) {
        const int64_t to = chunk_end(j->y, from);
        j->e->kernels->norm_forward(&k, y, a, from, to);
        clear_pads(j->y, a, from, to);
    }
}

void norm_forward(engine *e, const tensor *y, const float *moments, const float *gamma,
                  const float *beta, const tensor *a)
{
    if (e->target == TARGET_REF) {
        ref_norm_forward(e, y, moments, gamma, beta, a);
        return;
    }
    job j = {.e = e, .y = y, .out = a, .moments = moments, .gamma = gamma, .beta = beta};
    pool_run(e->threads, forward_unit, &j, y->n * tensor_units(y));
    clear_tail(a);
}

static void backward_unit(void *context, int64_t unit, int thread)
{
    (void)thread;
    const job *j = context;
    const tensor *t = j->y;
    const int per = CHANNELS_PER_UNIT(t->dtype);
    const double count = (double)(t->d * t->h * t->w);
    double dbeta[2] = {0}, dgamma[2] = {0};
    for (int64_t n = 0; n < t->n; n++) {
        norm_channel k = channel_of(j, n, unit);
        const uint32_t *y = tensor_unit(t, n, unit), *da = tensor_unit(j->da, n, unit);
        uint32_t *dy = tensor_unit(j->out, n, unit);
        double g[2] = {0}, gx[2] = {0};
        for (int64_t from = 0; from < t->span; from += CHUNK)
            j->e->kernels->norm_sums(&k, y, da, from, chunk_end(t, from), g, gx);
        for (int i = 0; i < per; i++) {
            dbeta[i] += g[i];
            dgamma[i] += gx[i];
            k.g_mean[i] = (float)(g[i] / count);
            k.gx_mean[i] = (float)(gx[i] / count);
        }
        for (int64_t from = 0; from < t->span; from += CHUNK) {
            const int64_t to = chunk_end(t, from);
            j->e->kernels->norm_backward(&k, y, da, dy, from, to);
            clear_pads(t, dy, from, to);
        }
    }
    for (int i = 0; i < per && unit * per + i < t->c; i++) {
        j->dgamma[unit * per + i] = (float)dgamma[i];
        j->dbeta[unit * per + i] = (float)dbeta[i];
    }
}

void norm_backward(engine *e, const tensor *y, const float *moments, const float *gamma,
                   const float *beta, const tensor *da, const tensor *dy, float *dgamma,
                   float *dbeta)
{
    if (e->target == TARGET_REF) {
        ref_norm_backward(e, y, moments, gamma, beta, da, dy, dgamma, dbeta);
        return;
    }
    job j = {.e = e,
             .y = y,
             .da = da,
             .out = dy,
             .moments = moments,
             .gamma = gamma,
             .beta = beta,
             .dgamma = dgamma,
             .dbeta = dbeta};
    pool_run(e->threads, backward_unit, &j, tensor_units(y));
    clear_tail(dy);
}
