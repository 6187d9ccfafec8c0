/* Weight gradients: dw[term][channel] = sum over positions of term times channel (kernels.h).
 *
 *     CONV_3, CONV_3_2   channels are dy's, terms x's (its phases') units and taps;
 *     CONV_UP            channels are x's, terms the phases of dy.
 *
 * Positions are split among PARTS partial sums, a number that depends on the layer alone, and those
 * are added in their order: the same bits with any number of threads. Within a chunk sums run in
 * the lanes of fp32 vectors, CHUNK / lanes long; chunks are added in fp32, parts in double. */
#include "engine/convolve.h"

/* Units of terms in one task: what a chunk of them reads (9 rows each) stays in the second-level
 * cache while all channels of the task pass over it. */
#define UNIT_GROUP 32

typedef struct {
    engine *e;
    const tensor *channel_tensor; /* whose positions are walked and whose channels are `a` */
    int64_t channels, terms, terms_per_unit;
    int64_t parts, channel_groups, unit_groups;
    int64_t stride;             /* floats of dw between terms: channels rounded up to whole tiles */
    const uint32_t **a, **term; /* [n][units of channels], [n][terms] */
    float *dw;                  /* [parts][terms][stride] */
    double *sums;               /* [parts][channels]: for dbias */
    int64_t samples;            /* those now in a, term */
    bool first;                 /* dw and sums are not yet begun */
} correlate_job;

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t groups_of(int64_t count, int64_t group)
{
    return (count + group - 1) / group;
}

static void correlate_task(void *context, int64_t index, int thread)
{
    (void)thread;
    const correlate_job *j = context;
    const tensor *t = j->channel_tensor;
    const int64_t groups = j->channel_groups * j->unit_groups;
    const int64_t part = index / groups, channel_group = index % groups / j->unit_groups;
    const int64_t unit_group = index % j->unit_groups;
    const int64_t first_channel = channel_group * CHANNEL_GROUP;
    const int64_t per_group = UNIT_GROUP * j->terms_per_unit;
    const int64_t first_term = unit_group * per_group;
    correlation k = {
        .channels = smaller(CHANNEL_GROUP, j->channels - first_channel),
        .terms = smaller(per_group, j->terms - first_term),
        .dw = j->dw + (part * j->terms + first_term) * j->stride + first_channel,
        .dw_stride = j->stride,
    };
    const int64_t columns = smaller(CHANNEL_GROUP, j->stride - first_channel);
    double *sums = j->sums + part * j->channels + first_channel;
    if (j->first) {
        for (int64_t i = 0; i < k.terms; i++)
            memset(k.dw + i * j->stride, 0, (size_t)columns * sizeof *k.dw);
        if (unit_group == 0)
            memset(sums, 0, (size_t)k.channels * sizeof *sums);
    }
    const int64_t chunks = sweep_chunks(t), all = j->samples * chunks;
    for (int64_t i = part * all / j->parts; i < (part + 1) * all / j->parts; i++) {
        const int64_t n = i / chunks, from = i % chunks * CHUNK;
        const int64_t to = smaller(from + CHUNK, t->span);
        k.a = j->a + n * j->channels + first_channel;
        k.term = j->term + n * j->terms + first_term;
        j->e->kernels->correlate(&k, from, to);
        for (int64_t c = 0; unit_group == 0 && c < k.channels; c++) {
            double sum[2] = {0};
            j->e->kernels->sum(k.a[c], from, to, sum);
            sums[c] += sum[0];
        }
    }
}

static void correlate_run(correlate_job *j)
{
    pool_run(j->e->threads, correlate_task, j, j->parts * j->channel_groups * j->unit_groups);
    j->first = false;
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

typedef struct {
    correlate_job job;
    tensor phases;
} gradient_scratch;

/* samples: how many are in the tables at once. */
static gradient_scratch take_scratch(const engine *e, const conv *c, const tensor *x,
                                     scratch_pieces *s)
{
    gradient_scratch g = {0};
    correlate_job *j = &g.job;
    const bool up = c->kind == CONV_UP;
    const tensor y = conv_output(e, c, x);
    const tensor *walked = up ? x : &y;
    j->channels = up ? c->in[0] : c->out;
    j->terms_per_unit = up ? 8 : 27;
    j->terms = j->terms_per_unit * (up ? c->out : c->in[0] + c->in[1]);
    j->channel_groups = groups_of(j->channels, CHANNEL_GROUP);
    j->unit_groups = groups_of(j->terms, UNIT_GROUP * j->terms_per_unit);
    const int64_t samples = c->kind == CONV_3 ? x->n : 1;
    j->parts =
        smaller(groups_of(32, j->channel_groups * j->unit_groups), samples * sweep_chunks(walked));
    j->stride = groups_of(j->channels, e->kernels->tile) * e->kernels->tile;
    j->a = scratch_take(s, (size_t)(samples * j->channels), sizeof *j->a);
    j->term = scratch_take(s, (size_t)(samples * j->terms), sizeof *j->term);
    j->dw = scratch_take(s, (size_t)(j->parts * j->terms * j->stride), sizeof *j->dw);
    j->sums = scratch_take(s, (size_t)(j->parts * j->channels), sizeof *j->sums);
    if (c->kind != CONV_3) {
        g.phases = phases_describe(e, units_of(e, up ? c->out : c->in[0]), walked->d, walked->h,
                                   walked->w);
        g.phases.data = scratch_take(s, tensor_bytes(&g.phases), 1);
    }
    return g;
}

size_t weight_gradient_scratch(const engine *e, const conv *c, const tensor *x)
{
    scratch_pieces s = {0};
    take_scratch(e, c, x, &s);
    return s.used;
}

/* ---- the three kinds ------------------------------------------------------------------- */

static void run_3(correlate_job *j, conv_inputs x, const tensor *dy)
{
    const uint32_t **term = j->term, **a = j->a;
    for (int64_t n = 0; n < dy->n; n++) {
        for (int side = 0; side < 2 && x[side]; side++)
            for (int64_t u = 0; u < tensor_units(x[side]); u++)
                for (int k = 0; k < 27; k++)
                    *term++ = tensor_unit(x[side], n, u) + tap_distance(x[side], k);
        for (int64_t u = 0; u < tensor_units(dy); u++)
            *a++ = tensor_unit(dy, n, u);
    }
    j->samples = dy->n;
    correlate_run(j);
}

static void run_phases(correlate_job *j, const conv *c, const tensor *x, const tensor *dy,
                       const tensor *phases)
{
    const bool up = c->kind == CONV_UP;
    for (int64_t n = 0; n < x->n; n++) {
        phases_split(j->e, up ? dy : x, n, phases);
        for (int64_t t = 0; t < j->terms; t++) {
            int phase = (int)(t % 8);
            int64_t distance = 0;
            if (!up)
                stride_tap(phases, (int)(t % 27), &phase, &distance);
            j->term[t] = tensor_unit(phases, 0, t / j->terms_per_unit * 8 + phase) + distance;
        }
        for (int64_t u = 0; u < j->channels; u++)
            j->a[u] = tensor_unit(up ? x : dy, n, u);
        j->samples = 1;
        correlate_run(j);
    }
}

typedef struct {
    const correlate_job *job;
    const conv *c;
    float *dweight;
} finish_job;

/* Weights of master channel pair block `index`: the output channel (transposed: the input one). */
static void finish_channel(void *context, int64_t index, int thread)
{
    (void)thread;
    const finish_job *f = context;
    const int64_t terms = f->job->terms;
    for (int64_t t = 0; t < terms; t++)
        f->dweight[index * terms + t] = (float)added(f->job, t, index);
}

void conv_weight_gradient(engine *e, const conv *c, conv_inputs x, const tensor *dy, float *dweight,
                          float *dbias, void *scratch)
{
    if (e->target == TARGET_REF) {
        ref_conv_weight_gradient(e, c, x, dy, dweight, dbias);
        return;
    }
    scratch_pieces pieces = {.base = scratch};
    gradient_scratch g = take_scratch(e, c, x[0], &pieces);
    correlate_job *j = &g.job;
    j->e = e;
    j->first = true;
    j->channel_tensor = c->kind == CONV_UP ? x[0] : dy;
    if (c->kind == CONV_3)
        run_3(j, x, dy);
    else
        run_phases(j, c, x[0], dy, &g.phases);
    finish_job f = {.job = j, .c = c, .dweight = dweight};
    pool_run(e->threads, finish_channel, &f, j->channels);
    if (c->kind != CONV_UP) {
        for (int64_t o = 0; o < c->out; o++)
            dbias[o] = (float)added_sum(j, o);
        return;
    }
    for (int64_t o = 0; o < c->out; o++) {
        double sum = 0;
        for (int64_t n = 0; n < dy->n; n++) {
            double here[2] = {0};
            e->kernels->sum(tensor_unit(dy, n, o), 0, dy->span, here);
            sum += here[0];
        }
        dbias[o] = (float)sum;
    }
}
