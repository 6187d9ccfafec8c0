/* Instance norm with leaky ReLU. A task is a piece of a sample's unit, or backward, where it is
 * summed and then read again from a near cache, all of it; sums run over chunks in their order, in
 * double from chunk to chunk, and samples are added in their order. */
#include "engine/norm.h"
#include "engine/pads.h"
#include "engine/ref.h"

typedef struct {
    const engine *e;
    const tensor *y, *da, *out;
    norm_parameters norm;
    double *sums; /* [n][channels of whole units] of the affine gradients: beta's, gamma's */
} job;

norm_channel norm_channel_of(const norm_parameters *norm, const tensor *y, int64_t n, int64_t unit)
{
    norm_channel k = {0};
    const int per = CHANNELS_PER_UNIT(y->dtype);
    for (int i = 0; i < per; i++) {
        const int64_t c = unit * per + i;
        if (c >= y->c)
            break;
        k.mean[i] = norm->moments[(n * y->c + c) * 2];
        k.rstd[i] = norm->moments[(n * y->c + c) * 2 + 1];
        k.gamma[i] = norm->gamma[c];
        k.beta[i] = norm->beta[c];
    }
    return k;
}

/* Chunks of a forward task: units in pieces, so that many threads find tasks. */
#define PIECE 32

static int64_t pieces_of(const tensor *t)
{
    return (t->span + PIECE * CHUNK - 1) / (PIECE * CHUNK);
}

static int64_t chunk_end(const tensor *t, int64_t from)
{
    return from + CHUNK < t->span ? from + CHUNK : t->span;
}

static void forward_piece(void *context, int64_t index, int thread)
{
    (void)thread;
    const job *j = context;
    const int64_t units = tensor_units(j->y), pieces = pieces_of(j->y);
    const int64_t n = index / pieces / units, unit = index / pieces % units;
    const int64_t first = index % pieces * PIECE * CHUNK;
    const int64_t end = smaller(first + PIECE * CHUNK, j->y->span);
    const norm_channel k = norm_channel_of(&j->norm, j->y, n, unit);
    const uint32_t *y = tensor_unit(j->y, n, unit);
    uint32_t *a = tensor_unit(j->out, n, unit);
    for (int64_t from = first; from < end; from += CHUNK) {
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
    job j = {.e = e, .y = y, .out = a, .norm = {moments, gamma, beta}};
    pool_run(e->threads, forward_piece, &j, y->n * tensor_units(y) * pieces_of(y));
    clear_tail(a);
}

static void backward_unit(void *context, int64_t index, int thread)
{
    (void)thread;
    const job *j = context;
    const tensor *t = j->y;
    const int per = CHANNELS_PER_UNIT(t->dtype);
    const int64_t units = tensor_units(t), n = index / units, unit = index % units;
    const double count = (double)(t->d * t->h * t->w);
    norm_channel k = norm_channel_of(&j->norm, j->y, n, unit);
    const uint32_t *y = tensor_unit(t, n, unit), *da = tensor_unit(j->da, n, unit);
    uint32_t *dy = tensor_unit(j->out, n, unit);
    double g[2] = {0}, gx[2] = {0}, *sums = j->sums + index * per * 2;
    for (int64_t from = 0; from < t->span; from += CHUNK)
        j->e->kernels->norm_sums(&k, y, da, from, chunk_end(t, from), g, gx);
    for (int i = 0; i < per; i++) {
        sums[2 * i] = g[i];
        sums[2 * i + 1] = gx[i];
        k.g_mean[i] = (float)(g[i] / count);
        k.gx_mean[i] = (float)(gx[i] / count);
    }
    for (int64_t from = 0; from < t->span; from += CHUNK) {
        const int64_t to = chunk_end(t, from);
        j->e->kernels->norm_backward(&k, y, da, dy, from, to);
        clear_pads(t, dy, from, to);
    }
}

size_t norm_scratch_bytes(const tensor *y)
{
    return (size_t)(y->n * tensor_units(y) * CHANNELS_PER_UNIT(y->dtype) * 2) * sizeof(double);
}

void norm_backward(engine *e, const tensor *y, const norm_parameters *norm, const tensor *da,
                   const tensor *dy, float *dgamma, float *dbeta, void *scratch)
{
    if (e->target == TARGET_REF) {
        ref_norm_backward(e, y, norm->moments, norm->gamma, norm->beta, da, dy, dgamma, dbeta);
        return;
    }
    job j = {.e = e, .y = y, .da = da, .out = dy, .norm = *norm, .sums = scratch};
    pool_run(e->threads, backward_unit, &j, y->n * tensor_units(y));
    clear_tail(dy);
    const int64_t stride = tensor_units(y) * CHANNELS_PER_UNIT(y->dtype) * 2;
    for (int64_t c = 0; c < y->c; c++) {
        double g = 0, gx = 0;
        for (int64_t n = 0; n < y->n; n++) {
            g += j.sums[n * stride + 2 * c];
            gx += j.sums[n * stride + 2 * c + 1];
        }
        dbeta[c] = (float)g;
        dgamma[c] = (float)gx;
    }
}
