/* Weight gradients: dw[term][channel] = sum over positions of term times channel (kernels.h).
 *
 *     CONV_3, CONV_3_2   channels are dy's, terms x's (its phases') units and taps;
 *     CONV_UP            channels are x's, terms the phases of dy.
 *
 * Positions are split among PARTS partial sums, a number that depends on the layer alone, and those
 * are added in their order: the same bits with any number of threads. Within a chunk sums run in
 * the lanes of fp32 vectors, CHUNK / lanes long; chunks are added in fp32, parts in double. */
#include "engine/convolve.h"

/* Units of terms in one task: what a chunk of them reads (9 rows each, or phases) stays in the
 * second-level cache while all channels of the task pass over it. */
#define UNIT_GROUP 16

typedef struct {
    engine *e;
    const tensor *walked; /* whose positions are walked and whose channels are `a` */
    const tensor *split;  /* whose phases are the terms; NULL: the terms stand in `term` */
    int64_t channels, terms, taps;
    int64_t parts, channel_groups, unit_groups;
    int64_t stride, chunk;      /* stride: channels rounded up to whole tiles */
    const uint32_t **a, **term; /* [n][units of channels]; [n][terms], or [threads][terms] */
    float *dw;                  /* [parts][terms][stride] */
    double *sums;               /* [parts][channels]: for dbias */
    uint32_t *local;            /* [threads][local_count]: phases */
    int64_t local_count;
    int blocks;
} correlate_job;

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t groups_of(int64_t count, int64_t group)
{
    return (count + group - 1) / group;
}

/* Phases of the task's units at a chunk; returns the thread's terms. */
static const uint32_t *const *split_terms(const correlate_job *j, int64_t n, int64_t from,
                                          int64_t to, int64_t first_term, int64_t terms, int thread)
{
    const int64_t row = j->walked->row, low = from - (j->blocks == 3 ? row + 1 : 0);
    phases p = {
        .half = j->walked,
        .first_row = low < 0 ? -((row - 1 - low) / row) : low / row,
        .length = phases_length(j->walked, j->chunk),
        .blocks = j->blocks,
        .data = j->local + thread * j->local_count,
    };
    p.rows = (to + row - 1) / row - p.first_row;
    const int per = CHANNELS_PER_UNIT(j->walked->dtype);
    const int64_t rows_of_unit = j->taps * per;
    phases_split(j->e, j->split, n, first_term / rows_of_unit, terms / rows_of_unit, &p);
    const uint32_t **term = j->term + thread * j->terms;
    for (int64_t t = 0; t < terms; t++)
        term[t] = split_term(&p, t, (int)j->taps);
    return term;
}

static void correlate_chunks(const correlate_job *j, correlation *k, int64_t part,
                             int64_t first_channel, int64_t first_term, double *sums, int thread)
{
    const int64_t chunks = sweep_chunks(j->walked, j->chunk), all = j->walked->n * chunks;
    for (int64_t i = part * all / j->parts; i < (part + 1) * all / j->parts; i++) {
        const int64_t n = i / chunks, from = i % chunks * j->chunk;
        const int64_t to = smaller(from + j->chunk, j->walked->span);
        k->a = j->a + n * j->channels + first_channel;
        k->term = j->term + n * j->terms + first_term;
        if (j->split)
            k->term = split_terms(j, n, from, to, first_term, k->terms, thread);
        j->e->kernels->correlate(k, from, to);
        for (int64_t c = 0; sums && c < k->channels; c++) {
            double sum[2] = {0};
            j->e->kernels->sum(k->a[c], from, to, sum);
            sums[c] += sum[0];
        }
    }
}

static void correlate_task(void *context, int64_t index, int thread)
{
    const correlate_job *j = context;
    const int64_t groups = j->channel_groups * j->unit_groups;
    const int64_t part = index / groups, unit_group = index % j->unit_groups;
    const int64_t first_channel = index % groups / j->unit_groups * CHANNEL_GROUP;
    const int64_t per_group = UNIT_GROUP * j->taps, first_term = unit_group * per_group;
    correlation k = {
        .channels = smaller(CHANNEL_GROUP, j->channels - first_channel),
        .terms = smaller(per_group, j->terms - first_term),
        .dw = j->dw + (part * j->terms + first_term) * j->stride + first_channel,
        .dw_stride = j->stride,
    };
    const int64_t columns = smaller(CHANNEL_GROUP, j->stride - first_channel);
    for (int64_t i = 0; i < k.terms; i++)
        memset(k.dw + i * j->stride, 0, (size_t)columns * sizeof *k.dw);
    double *sums = unit_group == 0 ? j->sums + part * j->channels + first_channel : NULL;
    for (int64_t c = 0; sums && c < k.channels; c++)
        sums[c] = 0;
    correlate_chunks(j, &k, part, first_channel, first_term, sums, thread);
}

/* Adds the parts: value (term, channel). */
static double added(const correlate_job *j, int64_t term, int64_t channel)
{
    double sum = 0;
    for (int64_t p = 0; p < j->parts; p++)
        sum += (double)j->dw[(p * j->terms + term) * j->stride + channel];
    return sum;
}

static double added_sum(const correlate_job *j, int64_t channel)
{
    double sum = 0;
    for (int64_t p = 0; p < j->parts; p++)
        sum += j->sums[p * j->channels + channel];
    return sum;
}

/* ---- scratch --------------------------------------------------------------------------- */

static correlate_job take_scratch(const engine *e, const conv *c, const tensor *x,
                                  scratch_pieces *s)
{
    const bool up = c->kind == CONV_UP;
    const tensor y = conv_output(e, c, x);
    const tensor *walked = up ? x : &y;
    correlate_job j = {
        .channels = up ? c->in[0] : c->out,
        .taps = up ? 8 : 27,
        .chunk = CHUNK,
        .blocks = up ? 2 : 3,
    };
    j.terms = j.taps * (up ? c->out : c->in[0] + c->in[1]);
    j.channel_groups = groups_of(j.channels, CHANNEL_GROUP);
    j.unit_groups = groups_of(j.terms, UNIT_GROUP * j.taps);
    j.stride = groups_of(j.channels, e->kernels->tile) * e->kernels->tile;
    const int64_t threads = pool_threads(e->threads);
    if (c->kind != CONV_3) {
        const int64_t volumes = smaller(UNIT_GROUP, j.terms / j.taps) * j.blocks * 4;
        j.chunk = chunk_for(volumes, walked->n * walked->span);
        j.local_count = volumes * phases_length(walked, j.chunk);
        j.local = scratch_take(s, (size_t)(threads * j.local_count), sizeof *j.local);
    }
    j.parts = smaller(groups_of(32, j.channel_groups * j.unit_groups),
                      walked->n * sweep_chunks(walked, j.chunk));
    const int64_t tables = c->kind == CONV_3 ? x->n : threads;
    j.a = scratch_take(s, (size_t)(x->n * j.channels), sizeof *j.a);
    j.term = scratch_take(s, (size_t)(tables * j.terms), sizeof *j.term);
    j.dw = scratch_take(s, (size_t)(j.parts * j.terms * j.stride), sizeof *j.dw);
    j.sums = scratch_take(s, (size_t)(j.parts * j.channels + c->out), sizeof *j.sums);
    return j;
}

size_t weight_gradient_scratch(const engine *e, const conv *c, const tensor *x)
{
    scratch_pieces s = {0};
    take_scratch(e, c, x, &s);
    return s.used;
}

/* ---- the gradient ---------------------------------------------------------------------- */

typedef struct {
    const correlate_job *job;
    float *dweight;
} finish_job;

/* All weights of one output channel (transposed: input channel). */
static void finish_channel(void *context, int64_t channel, int thread)
{
    (void)thread;
    const finish_job *f = context;
    const int64_t terms = f->job->terms;
    for (int64_t t = 0; t < terms; t++)
        f->dweight[channel * terms + t] = (float)added(f->job, t, channel);
}

static void list_terms(const correlate_job *j, conv_inputs x, const tensor *dy)
{
    const uint32_t **term = j->term;
    for (int64_t n = 0; n < dy->n; n++)
        for (int side = 0; side < 2 && x[side]; side++)
            for (int64_t u = 0; u < tensor_units(x[side]); u++)
                for (int k = 0; k < 27; k++)
                    *term++ = tensor_unit(x[side], n, u) + tap_distance(x[side], k);
}

/* Sums of dy alone. */
static void bias_channel(void *context, int64_t channel, int thread)
{
    (void)thread;
    const correlate_job *j = context;
    double sum = 0;
    for (int64_t n = 0; n < j->split->n; n++)
        for (int64_t from = 0; from < j->split->span; from += CHUNK) {
            double here[2] = {0};
            j->e->kernels->sum(tensor_unit(j->split, n, channel), from,
                               smaller(from + CHUNK, j->split->span), here);
            sum += here[0];
        }
    j->sums[channel] = sum;
}

void conv_weight_gradient(engine *e, const conv *c, conv_inputs x, const tensor *dy, float *dweight,
                          float *dbias, void *scratch)
{
    if (e->target == TARGET_REF) {
        ref_conv_weight_gradient(e, c, x, dy, dweight, dbias);
        return;
    }
    scratch_pieces pieces = {.base = scratch};
    correlate_job j = take_scratch(e, c, x[0], &pieces);
    j.e = e;
    j.walked = c->kind == CONV_UP ? x[0] : dy;
    if (c->kind == CONV_3)
        list_terms(&j, x, dy);
    else
        j.split = c->kind == CONV_UP ? dy : x[0];
    for (int64_t i = 0; i < j.walked->n * j.channels; i++)
        j.a[i] = tensor_unit(j.walked, i / j.channels, i % j.channels);
    pool_run(e->threads, correlate_task, &j, j.parts * j.channel_groups * j.unit_groups);
    finish_job f = {.job = &j, .dweight = dweight};
    pool_run(e->threads, finish_channel, &f, j.channels);
    if (c->kind == CONV_UP)
        pool_run(e->threads, bias_channel, &j, c->out);
    for (int64_t o = 0; o < c->out; o++)
        dbias[o] = (float)(c->kind == CONV_UP ? j.sums[o] : added_sum(&j, o));
}
