/* Weight gradients: dw[term][channel] = sum over positions of term times channel (kernels.h).
 *
 *     CONV_3, CONV_3_2   channels are dy's, terms x's (its phases') units and taps;
 *     CONV_UP            channels are x's, terms the phases of dy.
 *
 * Positions are split among at most WEIGHT_PARTS partial sums, a number that depends on the
 * layer alone, and those are added in their order: the same bits with any number of threads.
 * Within a chunk sums run in the lanes of fp32 vectors, CHUNK / lanes long; chunks are added in
 * fp32, parts in double. */
#include "engine/correlate.h"
#include "engine/phase.h"
#include "engine/ref.h"
#include "engine/scratch.h"
#include "engine/sweep.h"

typedef struct {
    engine *e;
    const tensor *walked; /* whose positions are walked and whose channels are `a` */
    const tensor *x[2]; /* whose taps are the terms: in[0] channels of the first, then the others */
    int64_t first_in;   /* in[0] */
    bool split;         /* the terms are x[0]'s phases */
    int64_t channels, terms, taps;
    int64_t parts, channel_groups, term_groups, term_group; /* the last: inputs of a task */
    int64_t distance[27];                                   /* of the taps in x */
    int64_t stride, chunk; /* stride: channels rounded up to whole tiles */
    float *dw;             /* [parts][terms][stride] */
    double *sums;          /* [parts][sum_count]: of dy's channels, for dbias */
    int64_t sum_count;
    int blocks;
    /* Each thread's memory: pointers; phases; in bf16 planes of the channels (chunk + PLANE_STEP
     * values each) and of TERM_GROUP + 2 inputs (plane_values each). */
    char *local;
    size_t local_bytes, phases_at, planes_at, inputs_at;
    int64_t slice, plane_values; /* slice: from one to the next */
} correlate_job;

static int64_t groups_of(int64_t count, int64_t group)
{
    return (count + group - 1) / group;
}

/* A task: channels and inputs [first, first + count), the chunk [from, to) of sample n. */
typedef struct {
    const correlate_job *j;
    char *local;
    int64_t first_channel, channels, first_input, inputs;
    int64_t n, from, to;
    /* Of the inputs' slices, split by channel: the position that a slice begins at, the positions
     * that it has, and those that taps may read, both without what lies within reach. */
    int64_t origin, extent, room;
    int64_t plane; /* of the chunk, where chunks are taken down the planes (walks_down), else 0 */
    bool below;    /* the task's chunk before is the one above: two of three slices are there */
    double *sums;  /* of dy's channels in this task; NULL where another task adds them */
} place;

/* ---- what a chunk multiplies ----------------------------------------------------------- */

static bool has_planes(const correlate_job *j)
{
    return j->walked->dtype == DTYPE_BF16;
}

/* Pointers to the channels at `from`; in bf16 to their planes, zero beyond `to`. */
static void list_channels(const place *p, const void **a)
{
    const correlate_job *j = p->j;
    const int64_t count = p->to - p->from;
    const int64_t whole = (count + PLANE_STEP - 1) / PLANE_STEP * PLANE_STEP;
    const int64_t bytes = j->e->kernels->plane_bytes;
    for (int64_t c = 0; c < p->channels; c++) {
        const int64_t channel = p->first_channel + c;
        if (!has_planes(j)) {
            a[c] = tensor_unit(j->walked, p->n, channel) + p->from;
            continue;
        }
        char *plane = p->local + j->planes_at + c * (j->chunk + PLANE_STEP) * bytes;
        a[c] = plane;
        if (channel & 1)
            continue;
        char *high = plane + (j->chunk + PLANE_STEP) * bytes;
        j->e->kernels->split_channels(tensor_unit(j->walked, p->n, channel / 2) + p->from, whole,
                                      plane, high);
        memset(plane + count * bytes, 0, (size_t)((whole - count) * bytes));
        memset(high + count * bytes, 0, (size_t)((whole - count) * bytes));
    }
}

/* Input i's tensor; *channel is its channel there. */
static const tensor *input_of(const correlate_job *j, int64_t i, int64_t *channel)
{
    const bool second = i >= j->first_in;
    *channel = second ? i - j->first_in : i;
    return j->x[second];
}

/* The planes of input i of the task. The low half of a unit goes to its channel's place and the
 * high half to the next one, where the next tensor's first channel may overwrite what an odd last
 * channel has there; one place is spare at either end. */
static char *input_planes(const place *p, int64_t i)
{
    return p->local + p->j->inputs_at +
           (i - p->first_input + 1) * p->j->plane_values * p->j->e->kernels->plane_bytes;
}

static int64_t whole_steps(int64_t count)
{
    return round_up(count, PLANE_STEP);
}

/* One slice of the planes of a unit: what lies within reach of the chunk, and zeros behind it as
 * far as the taps read beside the zeros of the channels' planes. */
static void split_slice(const place *p, const uint32_t *unit, int64_t reach, char *low, char *high)
{
    const int64_t bytes = p->j->e->kernels->plane_bytes;
    const int64_t count = whole_steps(p->extent + 2 * reach);
    const int64_t behind = p->room + 2 * reach - count;
    p->j->e->kernels->split_channels(unit, count, low, high);
    if (behind > 0) {
        memset(low + count * bytes, 0, (size_t)(behind * bytes));
        memset(high + count * bytes, 0, (size_t)(behind * bytes));
    }
}

/* Terms read from the tensors: three slices, of the planes z - 1, z, z + 1, or one from the first
 * to the last where they would overlap. Down the planes only the last of the three is new. */
static void list_taps(const place *p, const void **term)
{
    const correlate_job *j = p->j;
    const int64_t bytes = j->e->kernels->plane_bytes;
    for (int64_t i = p->first_input; i < p->first_input + p->inputs; i++) {
        int64_t channel;
        const tensor *x = input_of(j, i, &channel);
        const int64_t reach = x->row + 1;
        if (!has_planes(j)) {
            const uint32_t *middle = tensor_unit(x, p->n, channel) + p->from;
            for (int k = 0; k < 27; k++)
                *term++ = middle + j->distance[k];
            continue;
        }
        const int64_t low = i - (channel & 1);
        const int64_t slices = j->slice == x->plane ? 1 : 3;
        for (int64_t z = p->below ? 2 : 0; z < slices && (low == i || i == p->first_input); z++) {
            const uint32_t *unit = tensor_unit(x, p->n, channel / 2) + p->origin - x->plane - reach;
            const int64_t at = (p->plane + z) % 3 * j->slice * bytes;
            split_slice(p, unit + z * x->plane, reach + (3 - slices) / 2 * x->plane,
                        input_planes(p, low) + at, input_planes(p, low + 1) + at);
        }
        const char *middle = input_planes(p, i) + (reach + p->from - p->origin) * bytes;
        for (int64_t z = 0; z < 3; z++) {
            const char *slice = middle + (p->plane + z) % 3 * j->slice * bytes;
            for (int k = 0; k < 9; k++)
                *term++ = slice + ((k / 3 - 1) * x->row + k % 3 - 1) * bytes;
        }
    }
}

/* Adds the sums of dy, which are those of a transposed convolution's phases. */
static void sum_phases(const place *p, const phases *q)
{
    const int per = CHANNELS_PER_UNIT(q->half->dtype);
    for (int64_t i = 0; p->sums && i < p->inputs; i += per)
        for (int t = 0; t < 8; t++) {
            double sum[2] = {0};
            p->j->e->kernels->sum(split_term(q, i / per * 8 + t, 8), p->from, p->to, sum);
            for (int h = 0; h < per && i + h < p->inputs; h++)
                p->sums[i + h] += sum[h];
        }
}

static void sum_channels(const place *p)
{
    const correlate_job *j = p->j;
    const int per = CHANNELS_PER_UNIT(j->walked->dtype);
    for (int64_t c = 0; p->sums && c < p->channels; c += per) {
        double sum[2] = {0};
        j->e->kernels->sum(tensor_unit(j->walked, p->n, (p->first_channel + c) / per), p->from,
                           p->to, sum);
        for (int h = 0; h < per && c + h < p->channels; h++)
            p->sums[c + h] += sum[h];
    }
}

/* Terms read from phases, which are split here. */
static void list_phases(const place *p, const void **term)
{
    const correlate_job *j = p->j;
    const int per = CHANNELS_PER_UNIT(j->walked->dtype);
    const int64_t row = j->walked->row, low = p->from - (j->blocks == 3 ? row + 1 : 0);
    phases q = {
        .half = j->walked,
        .first_row = low < 0 ? -((row - 1 - low) / row) : low / row,
        .length = phases_length(j->walked, j->chunk),
        .blocks = j->blocks,
        .data = (uint32_t *)(p->local + j->phases_at),
    };
    q.rows = groups_of(p->to, row) - q.first_row;
    j->e->kernels->phases_split(j->x[0], p->n, p->first_input / per, groups_of(p->inputs, per), &q);
    if (j->taps == 8)
        sum_phases(p, &q);
    for (int64_t i = 0; i < p->inputs; i++) {
        const uint32_t *first = phases_volume(&q, i / per, 0, 0, 0);
        char *planes = input_planes(p, p->first_input + i);
        if (per == 2 && i % 2 == 0)
            j->e->kernels->split_channels(first, j->plane_values, planes,
                                          input_planes(p, p->first_input + i + 1));
        for (int64_t t = 0; t < j->taps; t++) {
            const uint32_t *at = split_term(&q, i / per * j->taps + t, (int)j->taps) + p->from;
            *term++ = per == 2 ? (const void *)(planes + (at - first) * j->e->kernels->plane_bytes)
                               : (const void *)at;
        }
    }
}

/* bf16 takes chunks down the planes, so that for each it splits one new slice. */
static bool walks_down(const correlate_job *j)
{
    return has_planes(j) && !j->split && chunks_of_plane(j->walked, j->chunk) > 0;
}

/* Room for a chunk that begins up to 16 positions behind its slices' origin. */
static int64_t room_of(int64_t chunk)
{
    return 16 + whole_steps(chunk);
}

static void place_chunk(place *p, int64_t index, int64_t chunks)
{
    const correlate_job *j = p->j;
    const tensor *t = j->walked;
    const bool down = walks_down(j);
    int64_t chunk = index % chunks, before = 0;
    if (down) {
        p->plane = chunk % t->d;
        before = chunk / t->d * j->chunk - 16;
        chunk = p->plane * chunks_of_plane(t, j->chunk) + chunk / t->d;
    }
    const stretch at = sweep_stretch(t, j->chunk, chunk);
    p->n = index / chunks;
    p->from = at.from;
    p->to = at.to;
    p->origin = down ? p->plane * t->plane + before : p->from;
    p->room = down ? room_of(j->chunk) : whole_steps(p->to - p->from);
    p->extent = down ? smaller(p->room, t->h * t->row + 15 - before) : p->to - p->from;
}

/* Lists what another chunk splits into channels, in pieces of `bytes`; returns how many. */
static int64_t list_ahead(const place *p, int64_t bytes, const char **ahead)
{
    const correlate_job *j = p->j;
    const char **next = ahead;
    for (int64_t c = 0; c < p->channels; c += 2)
        *next++ =
            (const char *)(tensor_unit(j->walked, p->n, (p->first_channel + c) / 2) + p->from);
    for (int64_t i = p->first_input; i < p->first_input + p->inputs; i += 2) {
        int64_t channel;
        const tensor *x = input_of(j, i, &channel);
        for (int z = p->below ? 1 : -1; z < 2; z++)
            *next++ = (const char *)(tensor_unit(x, p->n, channel / 2) + p->from + z * x->plane);
    }
    const int64_t slices = next - ahead;
    for (int64_t i = 0; j->e->kernels->dot && i < slices; i++)
        *next++ = ahead[i] + bytes;
    return next - ahead;
}

static void correlate_task(void *context, int64_t index, int thread)
{
    const correlate_job *j = context;
    const int64_t groups = j->channel_groups * j->term_groups, part = index / groups;
    place p = {
        .j = j,
        .local = j->local + (size_t)thread * j->local_bytes,
        .first_channel = index % groups / j->term_groups * CHANNEL_GROUP,
        .first_input = index % j->term_groups * j->term_group,
    };
    p.channels = smaller(CHANNEL_GROUP, j->channels - p.first_channel);
    p.inputs = smaller(j->term_group, j->terms / j->taps - p.first_input);
    const void **a = (const void **)p.local, **term = a + CHANNEL_GROUP;
    const char *ahead[CHANNEL_GROUP + 3 * TERM_GROUP];
    const int64_t first_term = p.first_input * j->taps;
    correlation k = {
        .a = a,
        .channels = p.channels,
        .term = term,
        .terms = p.inputs * j->taps,
        .ahead = ahead,
        .dw = j->dw + (part * j->terms + first_term) * j->stride + p.first_channel,
        .dw_stride = j->stride,
    };
    for (int64_t i = 0; i < k.terms; i++)
        memset(k.dw + i * j->stride, 0,
               (size_t)smaller(CHANNEL_GROUP, j->stride - p.first_channel) * sizeof *k.dw);
    const bool up = j->taps == 8;
    if ((up ? p.first_channel : p.first_input) == 0)
        p.sums = j->sums + part * j->sum_count + (up ? p.first_input : p.first_channel);
    for (int64_t i = 0; p.sums && i < (up ? p.inputs : p.channels); i++)
        p.sums[i] = 0;
    const int64_t chunks = sweep_chunks(j->walked, j->chunk), all = j->walked->n * chunks;
    const int64_t first = part * all / j->parts, end = (part + 1) * all / j->parts;
    for (int64_t i = first; i < end; i++) {
        place_chunk(&p, i, chunks);
        p.below = i > first && p.plane > 0;
        const int64_t count = p.to - p.from;
        list_channels(&p, a);
        (j->split ? list_phases : list_taps)(&p, term);
        if (has_planes(j) && !j->split && i + 1 < end) {
            place next = p;
            place_chunk(&next, i + 1, chunks);
            next.below = next.plane > 0;
            k.aheads = list_ahead(&next, whole_steps(count) * j->e->kernels->plane_bytes, ahead);
        } else {
            k.aheads = 0;
        }
        j->e->kernels->correlate(&k, has_planes(j) ? whole_steps(count) : count);
        if (!up)
            sum_channels(&p);
    }
}

/* ---- scratch --------------------------------------------------------------------------- */

static void take_local(const engine *e, correlate_job *j, const tensor *walked, scratch_pieces *s)
{
    scratch_pieces local = {0};
    const bool planes = e->dtype == DTYPE_BF16;
    const int64_t inputs = smaller(TERM_GROUP, j->terms / j->taps);
    scratch_take(&local, (size_t)(CHANNEL_GROUP + TERM_GROUP * j->taps), sizeof(void *));
    const int64_t slice = whole_steps(room_of(j->chunk) + 2 * (walked->row + 1));
    j->slice = chunks_of_plane(walked, j->chunk) ? slice : smaller(slice, walked->plane);
    j->plane_values = whole_steps(2 * j->slice + slice) + PLANE_STEP;
    if (j->split) {
        const int64_t volumes = j->blocks * 4 * phases_length(walked, j->chunk);
        j->plane_values = groups_of(volumes, PLANE_STEP) * PLANE_STEP;
        j->phases_at = local.used;
        scratch_take(&local, (size_t)(units_of(e, inputs) * volumes + PLANE_STEP),
                     sizeof(uint32_t));
    }
    if (planes) {
        const size_t bytes = (size_t)e->kernels->plane_bytes;
        j->planes_at = local.used;
        scratch_take(&local, (size_t)((CHANNEL_GROUP + 1) * (j->chunk + PLANE_STEP)), bytes);
        j->inputs_at = local.used;
        scratch_take(&local, (size_t)((inputs + 2) * j->plane_values), bytes);
    }
    j->local_bytes = local.used;
    j->local = scratch_take(s, (size_t)pool_threads(e->threads) * local.used, 1);
}

/* Inputs of a task: fewer where many threads would find too few tasks. Every sum stays in the part
 * and the order that it has, so that no bit depends on the threads; each task reads all channels'
 * chunks, which costs two threads 1 % of a step. */
static void share_terms(const engine *e, correlate_job *j, int64_t inputs)
{
    const int64_t tasks = 2 * pool_threads(e->threads);
    j->term_group = smaller(TERM_GROUP, round_up(inputs, 2));
    while (j->term_group > 2 && j->parts * j->channel_groups * j->term_groups < tasks) {
        j->term_group = round_up(j->term_group / 2, 2);
        j->term_groups = groups_of(inputs, j->term_group);
    }
}

static correlate_job take_scratch(const engine *e, const conv *c, const tensor *x,
                                  scratch_pieces *s)
{
    const bool up = c->kind == CONV_UP;
    const tensor y = conv_output(e, c, x);
    const tensor *walked = up ? x : &y;
    correlate_job j = {
        .channels = up ? c->in[0] : c->out,
        .taps = up ? 8 : 27,
        .chunk = CHUNK * 4 / e->kernels->plane_bytes,
        .blocks = up ? 2 : 3,
        .split = c->kind != CONV_3,
    };
    const int64_t inputs = up ? c->out : c->in[0] + c->in[1];
    j.terms = j.taps * inputs;
    j.channel_groups = groups_of(j.channels, CHANNEL_GROUP);
    j.term_groups = groups_of(inputs, TERM_GROUP);
    j.stride = groups_of(j.channels, e->kernels->tile) * e->kernels->tile;
    if (j.split)
        j.chunk = chunk_for(units_of(e, smaller(TERM_GROUP, inputs)) * j.blocks * 4,
                            walked->n * walked->span, CHUNK);
    j.parts = smaller(groups_of(WEIGHT_PARTS, j.channel_groups * j.term_groups),
                      walked->n * sweep_chunks(walked, j.chunk));
    share_terms(e, &j, inputs);
    take_local(e, &j, walked, s);
    j.dw = scratch_take(s, (size_t)(j.parts * j.terms * j.stride), sizeof *j.dw);
    j.sum_count = c->out;
    j.sums = scratch_take(s, (size_t)(j.parts * j.sum_count), sizeof *j.sums);
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

#define FINISH_TERMS 64

/* Adds the parts of a block of terms, all channels. */
static void finish_terms(void *context, int64_t index, int thread)
{
    (void)thread;
    const finish_job *f = context;
    const correlate_job *j = f->job;
    const int64_t first = index * FINISH_TERMS;
    const int64_t end = smaller(first + FINISH_TERMS, j->terms);
    for (int64_t c = 0; c < j->channels; c += 4) {
        const int64_t width = smaller(4, j->channels - c);
        for (int64_t next = c + 4; next < smaller(c + 8, j->channels); next++)
            for (int64_t t = first; t < end; t += 16)
                __builtin_prefetch(f->dweight + next * j->terms + t, 1);
        for (int64_t t = first; t < end; t++) {
            double sum[4] = {0};
            for (int64_t p = 0; p < j->parts; p++) {
                const float *dw = j->dw + (p * j->terms + t) * j->stride + c;
                __builtin_prefetch(dw + 32); /* columns of lines, which no hardware follows */
                for (int i = 0; i < 4; i++)  /* a whole tile has room */
                    sum[i] += (double)dw[i];
            }
            for (int64_t i = 0; i < width; i++)
                f->dweight[(c + i) * j->terms + t] = (float)sum[i];
        }
    }
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
    const bool up = c->kind == CONV_UP;
    j.e = e;
    j.walked = up ? x[0] : dy;
    j.x[0] = up ? dy : x[0];
    j.x[1] = x[1];
    j.first_in = up ? c->out : c->in[0];
    for (int k = 0; k < 27; k++)
        j.distance[k] = tap_distance(x[0], k);
    pool_run(e->threads, correlate_task, &j, j.parts * j.channel_groups * j.term_groups);
    finish_job f = {.job = &j, .dweight = dweight};
    pool_run(e->threads, finish_terms, &f, groups_of(j.terms, FINISH_TERMS));
    for (int64_t o = 0; o < c->out; o++) {
        double sum = 0;
        for (int64_t p = 0; p < j.parts; p++)
            sum += j.sums[p * j.sum_count + o];
        dbias[o] = (float)sum;
    }
}
